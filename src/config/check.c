/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/options_priv.h"

struct check {
	const struct config *cfg;
	const struct config_devices *devs;
	struct config_error *err;
	bool lpc; /* a device of the LPC bridge is configured */
	char lpc_path[CONFIG_PATH_MAX];
};

/* How the user wrote the variable. */
static const char *
how(char buf[200], const char *path, const char *value, char origin)
{
	if (origin == '\0')
		(void)snprintf(buf, 200, "%.80s=%.80s", path, value);
	else if (origin == 'm' || origin == 'U')
		(void)snprintf(buf, 200, "-%c %.80s", origin, value);
	else
		(void)snprintf(
		    buf, 200, "-%c %.80s=%.80s", origin, path, value);
	return (buf);
}

static bool
word_in(const char *words, const char *word)
{
	size_t len = strlen(word), n;

	for (; *words != '\0'; words += n + (words[n] != '\0')) {
		n = strcspn(words, " ");
		if (n == len && strncmp(words, word, n) == 0)
			return (true);
	}
	return (false);
}

static int
check_memory(struct check *c, const char *where, uint64_t size)
{
	if (size < CONFIG_MEMORY_MIN)
		return (config_fail(c->err,
		    "%s: %" PRIu64 " KiB of memory are too few to boot; give "
		    "at least %" PRIu64 "M",
		    where, size >> 10, CONFIG_MEMORY_MIN >> 20));
	if (size > CONFIG_MEMORY_MAX)
		return (config_fail(c->err,
		    "%s: a machine has at most %" PRIu64 "T of memory; give "
		    "less",
		    where, CONFIG_MEMORY_MAX >> 40));
	if (size % 4096 != 0)
		return (config_fail(c->err,
		    "%s: not a multiple of 4096 bytes; use the suffix M",
		    where));
	return (0);
}

static bool
is_text(const char *s)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f || i >= 1024)
			return (false);
	return (true);
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool
is_uuid(const char *s)
{
	unsigned i;

	for (i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ?
			s[i] != '-' :
			!isxdigit((unsigned char)s[i]))
			return (false);
	return (s[36] == '\0');
}

static int
check_cpuset(
    struct check *c, const char *where, const char *path, const char *value)
{
	uint64_t set[CONFIG_HOST_CPUS / 64];
	struct config_topology t;
	unsigned long vcpu;
	int error;

	if (config_parse_cpuset(value, set) != 0)
		return (config_fail(c->err,
		    "%s: not processors of the host; use numbers and ranges "
		    "from 0 to %d, as in 0-3,5",
		    where, CONFIG_HOST_CPUS - 1));
	error = config_topology(c->cfg, &t, c->err);
	vcpu = strtoul(path + strlen("vcpu."), NULL, 10);
	if (error == 0 && vcpu >= t.cpus)
		error = config_fail(c->err,
		    "%s: there is no vcpu %lu; the last one is %u", where,
		    vcpu, t.cpus - 1);
	return (error);
}

static int
check_value(struct check *c, const struct config_var *v, const char *path,
    const char *value, char origin)
{
	char where[200];
	uint64_t n;
	bool b;
	int error = 0;

	how(where, path, value, origin);
	switch (v->type) {
	case CONFIG_BOOL:
		if (config_parse_bool(value, &b) != 0)
			error = config_fail(c->err,
			    "%s: not a boolean; use true or false", where);
		break;
	case CONFIG_UINT:
		if (config_parse_uint(value, &n) != 0 || n < v->min ||
		    n > v->max)
			error = config_fail(c->err,
			    "%s: not a number from %" PRIu64 " to %" PRIu64,
			    where, v->min, v->max);
		break;
	case CONFIG_SIZE:
		if (config_parse_size(value, &n) != 0)
			error = config_fail(c->err,
			    "%s: invalid memsize; use a number with suffix "
			    "K, M, G or T",
			    where);
		else
			error = check_memory(c, where, n);
		break;
	case CONFIG_WORD:
		if (!word_in(v->words, value))
			error = config_fail(c->err,
			    "%s: no such choice; use one of: %s", where,
			    v->words);
		break;
	case CONFIG_CPUSET:
		error = check_cpuset(c, where, path, value);
		break;
	case CONFIG_TEXT:
		if (!is_text(value))
			error = config_fail(c->err,
			    "%s: not one line of up to 1024 bytes; shorten it "
			    "or leave control characters out",
			    where);
		break;
	case CONFIG_UUID:
		if (!is_uuid(value))
			error = config_fail(c->err,
			    "%s: not a UUID; use 8-4-4-4-12 hexadecimal "
			    "digits with \"-\" between",
			    where);
		break;
	case CONFIG_STRING:
		break;
	}
	return (error);
}

static int
check_device_opt(struct check *c, const struct config_device *dev,
    const char *leaf, const char *path, const char *value, char origin)
{
	const struct config_var *v;
	char where[200], hint[100];

	for (v = dev->opts; v != NULL && v->name != NULL; v++)
		if (config_var_match(v->name, leaf))
			return (check_value(c, v, path, value, origin));
	return (config_fail(c->err, "%s: %s has no option \"%.80s\"%s",
	    how(where, path, value, origin), dev->name, leaf,
	    config_hint(hint, leaf, dev->opts, "leave it out")));
}

static int
check_pci(struct check *c, const char *path, const char *value, char origin)
{
	const struct config_device *dev;
	char where[200], device[CONFIG_PATH_MAX];
	const char *leaf, *emul;
	unsigned bdf[3];

	how(where, path, value, origin);
	if (!config_pci_path(path, bdf, &leaf))
		return (config_fail(c->err,
		    "%s: not a PCI slot; use pci.BUS.SLOT.FUNCTION.device",
		    where));
	(void)snprintf(device, sizeof(device), "pci.%u.%u.%u.device", bdf[0],
	    bdf[1], bdf[2]);
	emul = config_get(c->cfg, device);
	if (emul == NULL)
		return (config_fail(c->err,
		    "%s: the slot has no device; set %s", where, device));
	dev = config_device_find(c->devs->pci, emul);
	if (dev == NULL)
		return (config_fail(c->err,
		    "pci slot %u:%u%s%.0u: unknown device \"%.80s\"; "
		    "lhyve -s help lists the devices",
		    bdf[0], bdf[1], bdf[2] != 0 ? ":" : "", bdf[2], emul));
	if (strcmp(leaf, "device") != 0)
		return (check_device_opt(c, dev, leaf, path, value, origin));
	return (0);
}

static int
check_lpc(struct check *c, const char *path, const char *value, char origin)
{
	const struct config_device *dev;
	char name[32], where[200];
	size_t len;

	len = strcspn(path + 4, ".");
	(void)snprintf(
	    name, sizeof(name), "%.*s", (int)(len < 31 ? len : 31), path + 4);
	dev = config_device_find(c->devs->lpc, name);
	if (dev == NULL)
		return (config_unknown_var(how(where, path, value, origin),
		    path, c->devs, c->err));
	if (!c->lpc)
		(void)snprintf(c->lpc_path, sizeof(c->lpc_path), "%s", path);
	c->lpc = true;
	return (check_device_opt(c, dev, path + 4 + len + (path[4 + len] != 0),
	    path, value, origin));
}

static int
check_one(void *arg, const char *path, const char *value, char origin)
{
	const struct config_var *v;
	struct check *c = arg;
	char where[200];

	if (strncmp(path, "pci.", 4) == 0)
		return (check_pci(c, path, value, origin));
	v = config_var_find(path);
	if (v == NULL && strncmp(path, "lpc.", 4) == 0)
		return (check_lpc(c, path, value, origin));
	if (v == NULL)
		return (config_unknown_var(how(where, path, value, origin),
		    path, c->devs, c->err));
	return (check_value(c, v, path, value, origin));
}

/* Counts the slots with the device `name`. */
struct count {
	const char *name;
	unsigned n;
	char path[CONFIG_PATH_MAX]; /* of the second */
};

static int
count_device(void *arg, const char *path, const char *value, char origin)
{
	struct count *k = arg;
	const char *leaf;
	unsigned bdf[3];

	(void)origin;
	if (!config_pci_path(path, bdf, &leaf) || strcmp(leaf, "device") != 0)
		return (0);
	if (strcasecmp(value, k->name) == 0 && ++k->n == 2)
		(void)snprintf(k->path, sizeof(k->path), "%s", path);
	return (0);
}

static int
check_singles(struct check *c)
{
	const struct config_device *d;
	struct count k;
	char where[200];

	for (d = c->devs->pci; d->name != NULL; d++) {
		k = (struct count){.name = d->name};
		(void)config_walk(c->cfg, count_device, &k);
		if (d->single && k.n > 1)
			return (config_fail(c->err,
			    "%s=%s: only one %s is allowed; leave one out",
			    k.path, d->name, d->name));
		if (strcmp(d->name, "lpc") == 0 && k.n == 0 && c->lpc)
			return (config_fail(c->err,
			    "%s: needs the LPC bridge; add -s 31,lpc",
			    how(where, c->lpc_path,
				config_get(c->cfg, c->lpc_path), '\0')));
	}
	return (0);
}

/* The number given, or 0. */
static unsigned
topology_get(const struct config *cfg, const char *path)
{
	const char *s = config_get(cfg, path);
	uint64_t n;

	return (s != NULL && config_parse_uint(s, &n) == 0 ? (unsigned)n : 0);
}

int
config_topology(const struct config *cfg, struct config_topology *t,
    struct config_error *err)
{
	unsigned cpus = topology_get(cfg, "cpus");
	uint64_t per, total;

	t->sockets = topology_get(cfg, "sockets");
	t->cores = topology_get(cfg, "cores");
	t->threads = topology_get(cfg, "threads");
	if (t->cores == 0)
		t->cores = 1;
	if (t->threads == 0)
		t->threads = 1;
	per = (uint64_t)t->cores * t->threads;
	if (t->sockets == 0)
		t->sockets =
		    cpus != 0 && cpus % per == 0 ? (unsigned)(cpus / per) : 1;
	total = per * t->sockets;
	if (cpus != 0 && total != cpus)
		return (config_fail(err,
		    "-c: topology (%u sockets, %u cores, %u threads) does not "
		    "match %u cpus; make the product equal",
		    t->sockets, t->cores, t->threads, cpus));
	if (total > CONFIG_MAX_CPUS)
		return (config_fail(err,
		    "-c: %" PRIu64 " processors are too many; use at most %d",
		    total, CONFIG_MAX_CPUS));
	t->cpus = (unsigned)total;
	return (0);
}

/* Files for a device that is not there would be lost. */
static int
check_fwcfg(void *arg, const char *path, const char *value, char origin)
{
	struct check *c = arg;
	char where[200];

	if (strncmp(path, "fwcfg.", 6) != 0 ||
	    config_get(c->cfg, "lpc.fwcfg") != NULL)
		return (0);
	return (config_fail(c->err, "%s: needs fw_cfg; add -l fwcfg,qemu",
	    how(where, path, value, origin)));
}

static int
check_name(struct check *c)
{
	const char *name = config_get(c->cfg, "name");
	const char *p;

	if (config_bool(c->cfg, "config.dump", false))
		return (0);
	if (name == NULL || name[0] == '\0')
		return (config_fail(c->err,
		    "the machine has no name; give it as the last argument"));
	/* It will name files and sockets. */
	if (strlen(name) > 100 || strchr(name, '/') != NULL || name[0] == '.')
		return (config_fail(c->err,
		    "name \"%.110s\": not usable as a file's name; use up to "
		    "100 letters and digits",
		    name));
	for (p = name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return (config_fail(c->err,
			    "the machine's name has a control character; use "
			    "letters and digits"));
	return (0);
}

int
config_check(const struct config *cfg, const struct config_devices *devs,
    struct config_error *err)
{
	struct check c = {.cfg = cfg, .devs = devs, .err = err};
	struct config_topology topology;
	int error;

	error = config_walk(cfg, check_one, &c);
	if (error == 0)
		error = check_singles(&c);
	if (error == 0)
		error = config_topology(c.cfg, &topology, c.err);
	if (error == 0)
		error = config_walk(cfg, check_fwcfg, &c);
	if (error == 0)
		error = check_name(&c);
	return (error);
}
