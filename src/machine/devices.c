/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/device.h"
#include "machine/machine_priv.h"
#include "machine/rundir.h"

/* Ctrl-A x. */
static void
on_quit(void *arg)
{
	machine_stop(arg);
}

static int
open_stdio(struct machine *m, struct chardev **out)
{
	struct chardev_stdio_config sc = {
	    .loop = m->loop,
	    .in_fd = STDIN_FILENO,
	    .out_fd = STDOUT_FILENO,
	    .escape = isatty(STDIN_FILENO) == 1,
	    .quit = on_quit,
	    .arg = m,
	};

	return (chardev_stdio_create(out, &sc));
}

/* Where a port's line ends, by its path. -ENOENT: it has no such form. */
static int
open_line(void *arg, const char *path, struct chardev **out)
{
	struct machine *m = arg;

	if (strcmp(path, "null") == 0)
		return (chardev_null_create(out));
	if (strcmp(path, "stdio") == 0)
		return (open_stdio(m, out));
	if (strcmp(path, "pty") == 0)
		return (chardev_pty_create(out, m->loop));
	if (strncmp(path, "tcp=", 4) == 0)
		return (chardev_tcp_create(out, m->loop, path + 4));
	if (strncmp(path, "unix=", 5) == 0)
		return (chardev_unix_create(out, m->loop, path + 5));
	return (chardev_tty_create(out, m->loop, path));
}

static int
add_com(struct machine *m, unsigned n, const char *path,
    struct config_error *err)
{
	char name[] = "com1";
	struct chardev *cd;
	const char *why;
	int error;

	name[3] = (char)('1' + n);
	if (path[0] != '/' && strcmp(path, "null") != 0 &&
	    strcmp(path, "stdio") != 0 && strcmp(path, "pty") != 0 &&
	    strncmp(path, "tcp=", 4) != 0 && strncmp(path, "unix=", 5) != 0)
		return (config_fail(err,
		    "-l %s,%.80s: not a place for a serial line; use stdio, "
		    "pty, tcp=IP:PORT, unix=PATH, null or a terminal's path",
		    name, path));
	error = open_line(m, path, &cd);
	if (error != 0) {
		why = strerror(-error);
		if (error == -EBUSY && strcmp(path, "stdio") == 0)
			why = "another port has it";
		else if (error == -EINVAL && path[0] == 't')
			why = "not an address and a port, as 127.0.0.1:5000";
		else if (error == -ENOTTY)
			why = "not a terminal";
		(void)config_fail(err,
		    "-l %s,%.120s: cannot be opened: %s; use another place",
		    name, path, why);
		return (error);
	}
	m->com[n] = cd;
	if (cd->where[0] == '\0')
		return (0);
	if (cd->where[0] == '/' &&
	    rundir_link(m->rundir, name, cd->where) != 0)
		log_warn("%s: no link to %s in the machine's directory", name,
		    cd->where);
	/* Nobody could guess a new terminal's name, or a port left open. */
	if (path[0] == 'p' ||
	    (path[0] == 't' && strcmp(path + 4, cd->where) != 0))
		log_warn("%s: %s", name, cd->where);
	return (0);
}

/* bhyve's debug port; only this host can reach it. */
static int
add_dbgport(struct machine *m, struct config_error *err)
{
	const char *val = config_get(m->cfg, "dbgport");
	char at[24];
	uint64_t port;
	int error;

	if (val == NULL || config_parse_uint(val, &port) != 0)
		return (0);
	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", (unsigned)port & 0xffff);
	error = chardev_tcp_create(&m->dbgport, m->loop, at);
	if (error != 0)
		(void)config_fail(err,
		    "-g %s: cannot listen on this port: %s; use another", val,
		    strerror(-error));
	return (error);
}

int
machine_add_coms(struct machine *m, struct config_error *err)
{
	char path[] = "lpc.com1.path";
	const char *val;
	unsigned i;
	int error;

	error = add_dbgport(m, err);
	if (error != 0)
		return (error);
	for (i = 0; i < CHIPSET_UARTS; i++) {
		path[7] = (char)('1' + i);
		val = config_get(m->cfg, path);
		if (val == NULL)
			continue;
		error = add_com(m, i, val, err);
		if (error != 0)
			return (error);
	}
	if (!config_bool(m->cfg, "bvmcons", false))
		return (0);
	error = open_stdio(m, &m->bvmcons);
	if (error == -EBUSY)
		return (config_fail(err,
		    "-b: a serial port has stdio; use null for that"));
	if (error != 0)
		(void)config_fail(
		    err, "-b: stdio cannot be opened: %s", strerror(-error));
	return (error);
}

/* The identity that pcireg.* gives to a slot's device. */
static int
pcireg(const struct machine *m, const unsigned bdf[3], const char *reg)
{
	char path[CONFIG_PATH_MAX];
	const char *val;
	uint64_t n;

	(void)snprintf(path, sizeof(path), "pci.%u.%u.%u.pcireg.%s", bdf[0],
	    bdf[1], bdf[2], reg);
	val = config_get(m->cfg, path);
	return (val != NULL && config_parse_uint(val, &n) == 0 ? (int)n : -1);
}

/* A device of src/device. */
static int
add_device(struct machine *m, const struct device_desc *desc,
    const unsigned bdf[3], struct config_error *err)
{
	struct device_conf conf = {
	    .desc = desc,
	    .cfg = m->cfg,
	    .err = err,
	    .loop = m->loop,
	    .vclock = m->vclock,
	    .gmem = m->gmem,
	    .open_line = open_line,
	    .open_arg = m,
	    .vm_name = config_get(m->cfg, "name"),
	    .rundir = rundir_path(m->rundir),
	    .msix = config_bool(m->cfg, "virtio_msix", true),
	};
	struct pci_dev *dev;

	(void)snprintf(conf.node, sizeof(conf.node), "pci.%u.%u.%u", bdf[0],
	    bdf[1], bdf[2]);
	err->msg[0] = '\0';
	return (pci_add(m->pci, PCI_BDF(bdf[0], bdf[1], bdf[2]), desc->pci,
	    &conf, &dev));
}

struct add_pci {
	struct machine *m;
	struct config_error *err;
	unsigned bus; /* that is filled now */
	unsigned next; /* the lowest beyond it with a device; PCI_BUSES: none */
};

static int
add_pci(void *arg, const char *path, const char *value, char origin)
{
	struct add_pci *ap = arg;
	struct hostbridge_config hc;
	const struct pci_device_ops *ops;
	const struct device_desc *desc;
	struct pci_dev *dev;
	const char *leaf;
	unsigned bdf[3];
	void *conf = NULL;
	int error;

	(void)origin;
	if (!config_pci_path(path, bdf, &leaf) || strcmp(leaf, "device") != 0)
		return (0);
	if (bdf[0] > ap->bus && bdf[0] < ap->next)
		ap->next = bdf[0];
	if (bdf[0] != ap->bus)
		return (0);
	ops = pci_find(chipset_pci_devices, value);
	hc.vendor = pcireg(ap->m, bdf, "vendor");
	hc.device = pcireg(ap->m, bdf, "device");
	hc.revid = pcireg(ap->m, bdf, "revid");
	hc.subvendor = pcireg(ap->m, bdf, "subvendor");
	hc.subdevice = pcireg(ap->m, bdf, "subdevice");
	if (ops == &pci_hostbridge)
		conf = &hc;
	if (ops == &pci_lpc)
		conf = ap->m->chipset;
	if (ops == &pci_lpc && bdf[0] != 0)
		return (config_fail(ap->err,
		    "pci slot %u:%u:%u: the LPC bridge belongs on bus 0; use "
		    "-s %u:%u,lpc",
		    bdf[0], bdf[1], bdf[2], bdf[1], bdf[2]));
	desc = ops == NULL ? device_find(value) : NULL;
	if (ops != NULL)
		error = pci_add(ap->m->pci, PCI_BDF(bdf[0], bdf[1], bdf[2]),
		    ops, conf, &dev);
	else if (desc != NULL)
		error = add_device(ap->m, desc, bdf, ap->err);
	else
		error = -ENODEV;
	if (error != 0 && (desc == NULL || ap->err->msg[0] == '\0'))
		(void)config_fail(ap->err,
		    "pci slot %u:%u:%u: %s cannot be added: %s; leave it out",
		    bdf[0], bdf[1], bdf[2], value, strerror(-error));
	return (error);
}

/* Bus by bus: each gets its part of the windows in turn. */
int
machine_add_pci(struct machine *m, struct config_error *err)
{
	struct add_pci ap = {m, err, 0, 0};
	int error = 0;

	for (; ap.bus < PCI_BUSES && error == 0; ap.bus = ap.next) {
		ap.next = PCI_BUSES;
		error = config_walk(m->cfg, add_pci, &ap);
	}
	return (error);
}
