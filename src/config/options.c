/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/options_priv.h"

static int parse_fwcfg(struct options *o, const char *arg);
static int parse_help(struct options *o, const char *arg);
static int parse_ioapic(struct options *o, const char *arg);
static int parse_no_mptable(struct options *o, const char *arg);
static int parse_numa(struct options *o, const char *arg);
static int parse_lpc(struct options *o, const char *arg);
static int parse_slot(struct options *o, const char *arg);
static int parse_var(struct options *o, const char *arg);
static int parse_xapic(struct options *o, const char *arg);

/* In the order of the alphabet. The letters without help are bhyve's, too;
 * they are named so that -h and the parser say what is still missing. */
const struct option_desc option_table[] = {
    {.letter = 'a',
	.parse = parse_xapic,
	.help = "local APICs start in xAPIC mode, as they do anyway"},
    {.letter = 'A',
	.var = "acpi_tables",
	.help = "build ACPI tables (they are always built)",
	.man = "Turn them off with\n.Fl o Cm acpi_tables=false ."},
    {.letter = 'b',
	.var = "bvmcons",
	.help = "bhyve's console at port 0x220, on stdio"},
    {.letter = 'c',
	.arg = "[[cpus=]n][,sockets=n][,cores=n][,threads=n]",
	.parse = options_topology,
	.help = "number of virtual processors and their topology",
	.man = "What is not given follows from the rest; one processor if\n"
	       "nothing is.\n"
	       "There are 64 at most."},
    {.letter = 'C',
	.var = "memory.guest_in_core",
	.help = "the guest's memory is in core files of lhyve"},
    {.letter = 'D',
	.var = "destroy_on_poweroff",
	.help = "the machine's directory goes when the guest powers off",
	.man = "See\n.Sx FILES ."},
    {.letter = 'e',
	.var = "x86.strictio",
	.help = "end with status 4 on access to a port that nobody has",
	.man = "A line tells direction, width, port and instruction\n"
	       "pointer.\n"
	       "Port 0x488 takes what the guest tells the host, always."},
    {.letter = 'f',
	.arg = "[name=]name,string|file=data",
	.parse = parse_fwcfg,
	.help = "file for the firmware, in fw_cfg",
	.man = "Needs\n.Fl l Cm fwcfg,qemu .\n"
	       "A string counts with its NUL."},
    {.letter = 'g',
	.arg = "port",
	.var = "dbgport",
	.help = "bhyve's debug port at 0x224, on this TCP port"},
    {.letter = 'G', .arg = "[w][address:]port"},
    {.letter = 'h', .parse = parse_help, .help = "help"},
    {.letter = 'H',
	.var = "x86.vmexit_on_hlt",
	.help = "leave the guest when it executes HLT",
	.man = "The virtual processor sleeps then, instead of using up\n"
	       "a processor of the host."},
    {.letter = 'I',
	.parse = parse_ioapic,
	.help = "have an IOAPIC (there always is one)"},
    {.letter = 'k',
	.arg = "file",
	.parse = options_file,
	.help = "read variables from a file",
	.man = "See\n.Xr lhyve_config 5 ."},
    {.letter = 'K', .arg = "layout"},
    {.letter = 'l',
	.arg = "device[,conf]|help",
	.parse = parse_lpc,
	.help = "LPC device",
	.man = "Needs the bridge, as with\n.Fl s Cm 31,lpc .\n"
	       "The word\n.Cm help\nlists the devices."},
    {.letter = 'm',
	.arg = "size[K|M|G|T]",
	.var = "memory.size",
	.help = "size of the memory, 256M if not given",
	.man = "A bare number below 1048576 counts MiB,\n"
	       "a larger one bytes."},
    {.letter = 'M'},
    {.letter = 'n',
	.arg = "id=n,size=size,cpus=list",
	.parse = parse_numa,
	.help = "NUMA domain of memory and processors",
	.man = "One for each domain, numbered from 0 to 7; every processor\n"
	       "is in one.\n"
	       "The sum of the sizes is the memory of the machine; if one\n"
	       "has no size, all share it equally."},
    {.letter = 'o',
	.arg = "variable=value",
	.parse = parse_var,
	.help = "set a variable",
	.man = "See\n.Sx VARIABLES ."},
    {.letter = 'p',
	.arg = "vcpu:hostcpu",
	.parse = options_pin,
	.help = "run a virtual processor on this one of the host",
	.man = "Given more than once for a processor, it runs on any of\n"
	       "them."},
    {.letter = 'P',
	.var = "x86.vmexit_on_pause",
	.help = "leave the guest when it executes PAUSE"},
    {.letter = 'r', .arg = "file"},
    {.letter = 's',
	.arg = "slot,device[,conf]|help",
	.parse = parse_slot,
	.help = "device of a PCI slot",
	.man = "The slot is written\n"
	       ".Ar [bus:]slot[:function] ,\nin decimal.\n"
	       "The word\n.Cm help\nlists the devices."},
    {.letter = 'S',
	.var = "memory.wired",
	.help = "lock the guest's memory, so that none of it is swapped",
	.man = "Needs the privilege, or a limit on locked memory that is\n"
	       "large enough."},
    {.letter = 'u',
	.var = "rtc.use_localtime",
	.value = "false",
	.help = "the guest's clock shows UTC, not the host's local time"},
    {.letter = 'U',
	.arg = "uuid",
	.var = "uuid",
	.help = "UUID of the machine",
	.man = "Where it is not given, it follows from the names of the\n"
	       "host and of the machine, as with\n.Xr bhyve 8 ."},
    {.letter = 'w',
	.var = "x86.strictmsr",
	.value = "false",
	.help = "ignore accesses to model specific registers not known",
	.man = "They read as zero; otherwise the guest gets #GP."},
    {.letter = 'W',
	.var = "virtio_msix",
	.value = "false",
	.help = "virtio devices interrupt by MSI, not MSI-X",
	.man = "They have one message then, as with\n.Xr bhyve 8 ."},
    {.letter = 'x',
	.var = "x86.x2apic",
	.help = "local APICs start in x2APIC mode"},
    {.letter = 'Y',
	.parse = parse_no_mptable,
	.help = "build no MP table"},
    {.letter = '\0'},
};

int
options_set(struct options *o, const char *path, const char *value)
{
	switch (config_set(o->cfg, path, value, o->letter)) {
	case 0:
		return (0);
	case -ENOMEM:
		return (config_fail(o->err, "out of memory"));
	default:
		return (config_fail(o->err,
		    "-%c %.80s: no variable can have this name; "
		    "lhyve -h lists them",
		    o->letter, path));
	}
}

static void
print_devices(FILE *out, const struct config_device *d)
{
	for (; d->name != NULL; d++)
		(void)fprintf(out, "%-16s%s\n", d->name, d->help);
}

static int
parse_help(struct options *o, const char *arg)
{
	const struct option_desc *d;
	const struct config_var *v;
	const char *name;

	(void)arg;
	(void)fprintf(o->out, "usage: lhyve [-options] name\n");
	for (d = option_table; d->letter != '\0'; d++) {
		if (d->help == NULL)
			continue;
		name = d->arg != NULL ? d->arg : "";
		/* libvirt looks for "-u:", as bhyve has it. A long argument
		 * gets a line of its own. */
		if (d->arg == NULL)
			(void)fprintf(o->out, "  -%c:%-25s%s\n", d->letter, "",
			    d->help);
		else if (strlen(name) > 24)
			(void)fprintf(o->out, "  -%c %s\n%30s%s\n", d->letter,
			    name, "", d->help);
		else
			(void)fprintf(o->out, "  -%c %-25s%s\n", d->letter,
			    name, d->help);
	}
	(void)fprintf(o->out, "variables for -o:\n");
	for (v = config_vars; v->name != NULL; v++)
		(void)fprintf(o->out, "  %-27s %s\n", v->name, v->help);
	(void)fprintf(o->out, "not there yet:");
	for (d = option_table; d->letter != '\0'; d++)
		if (d->help == NULL)
			(void)fprintf(o->out, " -%c", d->letter);
	(void)fprintf(o->out, "\n");
	o->done = true;
	return (0);
}

/* -Y */
static int
parse_no_mptable(struct options *o, const char *arg)
{
	(void)arg;
	return (options_set(o, "x86.mptable", "false"));
}

static int
parse_numa(struct options *o, const char *arg)
{
	return (config_numa_option(o->cfg, arg, o->err));
}

/* -a is the default, but may take back an x2apic of before. */
static int
parse_xapic(struct options *o, const char *arg)
{
	(void)arg;
	return (options_set(o, "x86.x2apic", "false"));
}

/* bhyve once had machines without. */
static int
parse_ioapic(struct options *o, const char *arg)
{
	(void)o;
	(void)arg;
	return (0);
}

/* A word that stands alone, as "ro", sets the option of that name. */
static const struct config_var *
find_flag(const struct config_device *dev, const char *tok)
{
	const struct config_var *v;

	for (v = dev->opts; v != NULL && v->name != NULL; v++)
		if (v->type == CONFIG_BOOL && strcmp(v->name, tok) == 0)
			return (v);
	return (NULL);
}

/*
 * The configuration after a device's name: "value" or "name=value", with
 * commas between. `node` is the device's path.
 */
static int
parse_conf(struct options *o, const char *arg, const char *node,
    const struct config_device *dev, const char *conf)
{
	char path[CONFIG_PATH_MAX], tok[1024];
	const struct config_var *v;
	const char *p, *val;
	size_t len;
	bool first = true;
	int error;

	for (p = conf; p != NULL; first = false) {
		len = strcspn(p, ",");
		if (len >= sizeof(tok))
			return (config_fail(o->err,
			    "-%c %.80s...: the configuration is too long; "
			    "use less than %zu bytes an item",
			    o->letter, arg, sizeof(tok)));
		memcpy(tok, p, len);
		tok[len] = '\0';
		p = p[len] == ',' ? p + len + 1 : NULL;

		val = strchr(tok, '=');
		for (v = dev->opts; v != NULL && v->name != NULL; v++)
			if (val != NULL &&
			    strncmp(tok, v->name, (size_t)(val - tok)) == 0 &&
			    v->name[val - tok] == '\0')
				break;
		if (v != NULL && v->name != NULL) {
			val++;
		} else if (!(first && dev->needs_conf) &&
		    (v = find_flag(dev, tok)) != NULL) {
			val = "true";
		} else if (dev->item != NULL &&
		    (error = dev->item(o->cfg, node, o->letter, tok, o->err)) !=
			-ENOENT) {
			if (error != 0)
				return (error);
			continue;
		} else if (first && dev->opts != NULL && tok[0] != '\0' &&
		    /* A path may have a '='; a word or a number has none. */
		    (val == NULL || dev->opts->type == CONFIG_STRING)) {
			v = dev->opts;
			val = tok;
		} else {
			return (config_fail(o->err,
			    "-%c %.80s: %s has no option \"%.80s\"; "
			    "lhyve -%c help lists the devices",
			    o->letter, arg, dev->name, tok, o->letter));
		}
		(void)snprintf(path, sizeof(path), "%s.%s", node, v->name);
		error = options_set(o, path, val);
		if (error != 0)
			return (error);
	}
	return (0);
}

/* "NAME=VALUE" for a variable lpc.NAME, which bhyve and what drives it put
 * behind "bootrom" and the bridge's slot. 0, -ENOENT if there is none, or
 * -EINVAL. */
static int
set_lpc(struct options *o, const char *val)
{
	char path[64];
	size_t len = strcspn(val, "=");

	(void)snprintf(path, sizeof(path), "lpc.%.*s", (int)len, val);
	if (val[len] == '\0' || len > 40 || config_var_find(path) == NULL)
		return (-ENOENT);
	return (options_set(o, path, val + len + 1));
}

/* "value,value" for variables that are not below the device's node. */
static int
parse_values(struct options *o, const char *arg,
    const struct config_device *dev, const char *conf)
{
	char val[1024];
	size_t len, i;
	int error;

	for (i = 0; conf != NULL;) {
		len = strcspn(conf, ",");
		error = -ENOENT;
		if (len < sizeof(val)) {
			memcpy(val, conf, len);
			val[len] = '\0';
			error = set_lpc(o, val);
		}
		if (error == -ENOENT && dev->vars == NULL)
			return (config_fail(o->err,
			    "-%c %.80s: %s has no option \"%.*s\"; lhyve -%c "
			    "help lists the devices",
			    o->letter, arg, dev->name,
			    (int)(len < 80 ? len : 80), conf, o->letter));
		if (error == -ENOENT && (len == 0 || len >= sizeof(val) ||
					    dev->vars[i] == NULL))
			return (config_fail(o->err,
			    "-%c %.80s: \"%.80s\" is too much or too little "
			    "for %s; lhyve -%c help lists the devices",
			    o->letter, arg, conf, dev->name, o->letter));
		if (error == -ENOENT)
			error = options_set(o, dev->vars[i++], val);
		if (error != 0)
			return (error);
		conf = conf[len] == ',' ? conf + len + 1 : NULL;
	}
	return (0);
}

static int
parse_lpc(struct options *o, const char *arg)
{
	const struct config_device *dev;
	char name[32], node[48];
	size_t len;
	char *p;

	if (strcmp(arg, "help") == 0) {
		print_devices(o->out, o->devs->lpc);
		o->done = true;
		return (0);
	}
	len = strcspn(arg, ",");
	dev = NULL;
	if (len < sizeof(name)) {
		memcpy(name, arg, len);
		name[len] = '\0';
		dev = config_device_find(o->devs->lpc, name);
	}
	if (dev == NULL)
		return (config_fail(o->err,
		    "invalid lpc device configuration '%.80s'; "
		    "lhyve -l help lists the devices",
		    arg));
	if (dev->needs_conf && (arg[len] == '\0' || arg[len + 1] == '\0')) {
		const char *what = dev->vars != NULL ? "value" :
						       dev->opts->name;

		return (config_fail(o->err,
		    "-l %.80s: %s needs a %s; use -l %s,%s", arg, dev->name,
		    what, dev->name, what));
	}
	if (dev->vars != NULL && arg[len] == '\0')
		return (options_set(o, dev->vars[0], dev->dflt));
	if (dev->vars != NULL)
		return (parse_values(o, arg, dev, arg + len + 1));
	(void)snprintf(node, sizeof(node), "lpc.%s", dev->name);
	for (p = node; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return (parse_conf(
	    o, arg, node, dev, arg[len] == ',' ? arg + len + 1 : NULL));
}

/* "[name=]NAME,string=TEXT" or "...,file=FILE"; the next free number. */
static int
parse_fwcfg(struct options *o, const char *arg)
{
	const char *name = arg, *data, *leaf;
	char path[48], val[64];
	unsigned n = 0;
	size_t len;
	int error;

	if (strncmp(name, "name=", 5) == 0)
		name += 5;
	len = strcspn(name, ",");
	data = name + len + (name[len] != '\0');
	leaf = strncmp(data, "string=", 7) == 0 ? "string" :
	    strncmp(data, "file=", 5) == 0	? "file" :
						  NULL;
	if (len == 0 || len >= sizeof(val) || leaf == NULL)
		return (config_fail(o->err,
		    "-f %.80s: invalid file for the firmware; use "
		    "-f [name=]NAME,string=TEXT or -f [name=]NAME,file=FILE",
		    arg));
	memcpy(val, name, len);
	val[len] = '\0';
	do
		(void)snprintf(path, sizeof(path), "fwcfg.%u.name", n++);
	while (config_get(o->cfg, path) != NULL);
	error = options_set(o, path, val);
	(void)snprintf(path, sizeof(path), "fwcfg.%u.%s", n - 1, leaf);
	if (error == 0)
		error = options_set(o, path, data + strlen(leaf) + 1);
	return (error);
}

/* "[bus:]slot[:func]", where two numbers are slot and function. */
static int
parse_bdf(const char *s, size_t len, unsigned bdf[3])
{
	static const unsigned max[3] = {255, 31, 7};
	unsigned v[3], n = 0, i;
	const char *end = s + len;

	for (;;) {
		if (n == 3 || s == end || !isdigit((unsigned char)*s))
			return (-EINVAL);
		for (v[n] = 0; s < end && isdigit((unsigned char)*s); s++) {
			v[n] = v[n] * 10 + (unsigned)(*s - '0');
			if (v[n] > 255)
				return (-EINVAL);
		}
		n++;
		if (s == end)
			break;
		if (*s++ != ':')
			return (-EINVAL);
	}
	bdf[0] = n == 3 ? v[0] : 0;
	bdf[1] = n == 3 ? v[1] : v[0];
	bdf[2] = n == 3 ? v[2] : n == 2 ? v[1] : 0;
	for (i = 0; i < 3; i++)
		if (bdf[i] > max[i])
			return (-EINVAL);
	return (0);
}

static int
parse_slot(struct options *o, const char *arg)
{
	const struct config_device *dev;
	char name[32] = "", node[32], path[48];
	const char *emul;
	unsigned bdf[3];
	size_t len;
	int error;

	if (strcmp(arg, "help") == 0) {
		print_devices(o->out, o->devs->pci);
		o->done = true;
		return (0);
	}
	len = strcspn(arg, ",");
	if (arg[len] != ',' || arg[len + 1] == '\0' || arg[len + 1] == ',')
		return (config_fail(o->err,
		    "-s %.80s: no device is named; use "
		    "-s slot,device, -s help lists them",
		    arg));
	if (parse_bdf(arg, len, bdf) != 0)
		return (config_fail(o->err,
		    "-s %.80s: invalid PCI slot \"%.*s\"; use "
		    "[bus:]slot[:function] with bus 0-255, slot 0-31, "
		    "function 0-7",
		    arg, (int)(len < 40 ? len : 40), arg));
	emul = arg + len + 1;
	len = strcspn(emul, ",");
	dev = NULL;
	if (len < sizeof(name)) {
		memcpy(name, emul, len);
		name[len] = '\0';
		dev = config_device_find(o->devs->pci, name);
	}
	if (dev == NULL)
		return (config_fail(o->err,
		    "pci slot %u:%u%s%.0u: unknown device \"%.*s\"; "
		    "lhyve -s help lists the devices",
		    bdf[0], bdf[1], bdf[2] != 0 ? ":" : "", bdf[2],
		    (int)(len < 80 ? len : 80), emul));
	(void)snprintf(
	    node, sizeof(node), "pci.%u.%u.%u", bdf[0], bdf[1], bdf[2]);
	(void)snprintf(path, sizeof(path), "%s.device", node);
	if (config_get(o->cfg, path) != NULL &&
	    config_origin(o->cfg, path) == 's')
		return (config_fail(o->err,
		    "-s %.80s: pci slot %u:%u:%u already occupied by %s; "
		    "choose another slot",
		    arg, bdf[0], bdf[1], bdf[2], config_get(o->cfg, path)));
	/* What a file says of the slot is of another device. */
	config_unset(o->cfg, node);
	error = options_set(o, path, dev->name);
	if (error != 0)
		return (error);
	if (strcmp(dev->name, "lpc") == 0 && emul[len] == ',')
		return (parse_values(o, arg, dev, emul + len + 1));
	return (parse_conf(
	    o, arg, node, dev, emul[len] == ',' ? emul + len + 1 : NULL));
}

/* Does -o know the name? Leaves below a slot are checked with its device,
 * once that is known. */
static bool
var_known(struct options *o, const char *path)
{
	const struct config_device *d;
	const struct config_var *v;
	const char *leaf;
	unsigned bdf[3];
	size_t len;

	if (strncmp(path, "pci.", 4) == 0)
		return (config_pci_path(path, bdf, &leaf));
	if (config_var_find(path) != NULL)
		return (true);
	if (strncmp(path, "lpc.", 4) != 0)
		return (false);
	path += 4;
	for (d = o->devs->lpc; d->name != NULL; d++) {
		len = strlen(d->name);
		if (strncasecmp(path, d->name, len) != 0 || path[len] != '.')
			continue;
		for (v = d->opts; v != NULL && v->name != NULL; v++)
			if (strcmp(path + len + 1, v->name) == 0)
				return (true);
	}
	return (false);
}

int
options_assign(struct options *o, const char *path, const char *value,
    const char *where)
{
	/* The short name of a variable that has others beside it. */
	if (strcmp(path, "cpu") == 0)
		path = "cpu.model";
	if (!var_known(o, path))
		return (config_unknown_var(where, path, o->devs, o->err));
	switch (config_set(o->cfg, path, value, o->letter)) {
	case 0:
		return (0);
	case -ENOMEM:
		return (config_fail(o->err, "out of memory"));
	default:
		return (config_fail(o->err,
		    "%s: a variable and a group of variables cannot have the "
		    "same name; leave one out",
		    where));
	}
}

static int
parse_var(struct options *o, const char *arg)
{
	char path[CONFIG_PATH_MAX], where[180];
	const char *eq;
	size_t len;

	eq = strchr(arg, '=');
	len = eq != NULL ? (size_t)(eq - arg) : 0;
	if (eq == NULL || len == 0 || eq[1] == '\0' || len >= sizeof(path))
		return (config_fail(o->err,
		    "-o %.80s: invalid configuration option; use "
		    "-o variable=value",
		    arg));
	memcpy(path, arg, len);
	path[len] = '\0';
	(void)snprintf(
	    where, sizeof(where), "-o %.80s=%.80s", path, eq + 1);
	return (options_assign(o, path, eq + 1, where));
}

static int
parse_one(struct options *o, const struct option_desc *d, const char *arg)
{
	o->letter = d->letter;
	if (d->help == NULL)
		return (config_fail(o->err,
		    "-%c%s%.80s: not there yet; leave it out", d->letter,
		    arg != NULL ? " " : "", arg != NULL ? arg : ""));
	if (d->parse != NULL)
		return (d->parse(o, arg));
	return (options_set(o, d->var,
	    d->arg != NULL   ? arg :
	    d->value != NULL ? d->value :
			       "true"));
}

/* Options end at the first word that is none, as getopt(3) on FreeBSD has
 * it. Returns the index of that word, or -EINVAL. */
static int
parse_argv(struct options *o, int argc, char *const argv[])
{
	const struct option_desc *d;
	const char *p, *arg;
	int i, error;

	for (i = 1; i < argc && !o->done; i++) {
		p = argv[i];
		if (p[0] != '-' || p[1] == '\0')
			return (i);
		if (strcmp(p, "--") == 0)
			return (i + 1);
		while (*++p != '\0' && !o->done) {
			for (d = option_table; d->letter != '\0'; d++)
				if (d->letter == *p)
					break;
			if (d->letter == '\0')
				return (config_fail(o->err,
				    "-%c: unknown option; lhyve -h lists the "
				    "options",
				    *p));
			arg = NULL;
			if (d->arg != NULL) {
				arg = p[1] != '\0' ? p + 1 : argv[++i];
				if (arg == NULL)
					return (config_fail(o->err,
					    "-%c: its argument is missing; "
					    "use -%c %s",
					    *p, *p, d->arg));
			}
			error = parse_one(o, d, arg);
			if (error != 0)
				return (error);
			if (arg != NULL)
				break;
		}
	}
	return (i);
}

static int
set_defaults(struct options *o)
{
	const struct config_var *v;
	int error = 0;

	o->letter = '\0';
	for (v = config_vars; v->name != NULL && error == 0; v++)
		if (v->dflt != NULL)
			error = options_set(o, v->name, v->dflt);
	return (error);
}

/* bhyve: the sizes of the domains override -m. */
static int
domains_memory(struct options *o)
{
	struct config_topology topology;
	struct config_numa numa;
	char size[32];
	int error;

	error = config_topology(o->cfg, &topology, o->err);
	if (error == 0)
		error = config_numa(o->cfg, topology.cpus, &numa, o->err);
	if (error != 0 || numa.ndomains == 0)
		return (error);
	if (numa.total < CONFIG_MEMORY_MIN || numa.total > CONFIG_MEMORY_MAX)
		return (config_fail(o->err,
		    "-n: all domains have %" PRIu64 " KiB of memory; give "
		    "between %" PRIu64 "M and %" PRIu64 "T",
		    numa.total >> 10, CONFIG_MEMORY_MIN >> 20,
		    CONFIG_MEMORY_MAX >> 40));
	(void)snprintf(size, sizeof(size), "%" PRIu64, numa.total);
	o->letter = 'n';
	return (options_set(o, "memory.size", size));
}

int
options_parse(struct config *cfg, int argc, char *const argv[],
    const struct config_devices *devs, FILE *out, struct config_error *err)
{
	struct options o = {.cfg = cfg, .devs = devs, .out = out, .err = err};
	int i, error;

	error = set_defaults(&o);
	if (error != 0)
		return (error);
	i = parse_argv(&o, argc, argv);
	if (i < 0)
		return (i);
	if (o.done)
		return (1);
	if (argc - i > 1)
		return (config_fail(err,
		    "\"%.80s\": one name only; options go before the "
		    "machine's name",
		    argv[i + 1]));
	if (i < argc) {
		o.letter = '\0';
		error = options_set(&o, "name", argv[i]);
		if (error != 0)
			return (error);
	}
	error = config_expand(cfg, err);
	if (error == 0)
		error = config_check(cfg, devs, err);
	if (error == 0)
		error = domains_memory(&o);
	return (error);
}
