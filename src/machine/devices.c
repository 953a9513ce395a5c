/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine/machine_priv.h"

/* Ctrl-A x. */
static void
on_quit(void *arg)
{
	machine_stop(arg);
}

static int
add_stdio(struct machine *m, struct chardev **out)
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

static int
add_com(struct machine *m, unsigned n, const char *path, bool *stdio,
    struct config_error *err)
{
	int error;

	if (strcmp(path, "null") == 0)
		return (chardev_null_create(&m->com[n]));
	if (strcmp(path, "stdio") != 0)
		return (config_fail(err,
		    "-l com%u,%.80s: this path is not there yet; use stdio "
		    "or null",
		    n + 1, path));
	if (*stdio)
		return (config_fail(err,
		    "-l com%u,stdio: another port has stdio; use null", n + 1));
	*stdio = true;
	error = add_stdio(m, &m->com[n]);
	if (error != 0)
		(void)config_fail(err,
		    "-l com%u,stdio: cannot be opened: %s; use null", n + 1,
		    strerror(-error));
	return (error);
}

/* bhyve's debug port; only this host can reach it. */
static int
add_dbgport(struct machine *m, struct config_error *err)
{
	const char *val = config_get(m->cfg, "dbgport");
	uint64_t port;
	int error;

	if (val == NULL || config_parse_uint(val, &port) != 0)
		return (0);
	error = chardev_tcp_create(
	    &m->dbgport, m->loop, "127.0.0.1", (uint16_t)port);
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
	bool stdio = false;
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
		error = add_com(m, i, val, &stdio, err);
		if (error != 0)
			return (error);
	}
	if (!config_bool(m->cfg, "bvmcons", false))
		return (0);
	if (stdio)
		return (config_fail(err,
		    "-b: a serial port has stdio; use null for that"));
	error = add_stdio(m, &m->bvmcons);
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

struct add_pci {
	struct machine *m;
	struct config_error *err;
	unsigned bus; /* that is filled now */
};

static int
add_pci(void *arg, const char *path, const char *value, char origin)
{
	struct add_pci *ap = arg;
	struct hostbridge_config hc;
	const struct pci_device_ops *ops;
	struct pci_dev *dev;
	const char *leaf;
	unsigned bdf[3];
	void *conf = NULL;
	int error;

	(void)origin;
	if (!config_pci_path(path, bdf, &leaf) || strcmp(leaf, "device") != 0 ||
	    bdf[0] != ap->bus)
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
	error = ops != NULL
		    ? pci_add(ap->m->pci, PCI_BDF(bdf[0], bdf[1], bdf[2]), ops,
			  conf, &dev)
		    : -ENODEV;
	if (error != 0)
		(void)config_fail(ap->err,
		    "pci slot %u:%u:%u: %s cannot be added: %s; leave it out",
		    bdf[0], bdf[1], bdf[2], value, strerror(-error));
	return (error);
}

/* Bus by bus: each gets its part of the windows in turn. */
int
machine_add_pci(struct machine *m, struct config_error *err)
{
	struct add_pci ap = {m, err, 0};
	int error = 0;

	for (ap.bus = 0; ap.bus < PCI_BUSES && error == 0; ap.bus++)
		error = config_walk(m->cfg, add_pci, &ap);
	return (error);
}
