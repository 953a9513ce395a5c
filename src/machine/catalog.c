/* SPDX-License-Identifier: BSD-2-Clause */
/* What -s and -l know, from the devices' own descriptions. */
#include <string.h>

#include "chipset/chipset.h"
#include "device/device.h"
#include "machine/machine.h"

static const struct config_var com_opts[] = {
    {.name = "path", .help = "where the line ends: stdio, pty, tcp=IP:PORT, "
		"unix=PATH, null, or the path of a terminal"},
    {.name = NULL},
};

#define PCIREG(reg, limit, what)                                               \
	{.name = "pcireg." reg, .type = CONFIG_UINT, .max = limit, .help = what}
static const struct config_var hostbridge_opts[] = {
    PCIREG("vendor", 0xffff, "vendor"),
    PCIREG("device", 0xffff, "device"),
    PCIREG("revid", 0xff, "revision"),
    PCIREG("subvendor", 0xffff, "vendor of the subsystem"),
    PCIREG("subdevice", 0xffff, "subsystem"),
    {.name = NULL},
};

static const char *const fwcfg_vars[] = {"lpc.fwcfg", NULL};
static const char *const bootrom_vars[] = {
    "lpc.bootrom", "lpc.bootvars", NULL};

static const char *const exit_vars[] = {"lpc.isa-debug-exit", NULL};
static const char *const pctest_vars[] = {"lpc.pc-testdev", NULL};

static const struct config_device lpc_devices[] = {
    {.name = "bootrom",
	.help = "boot ROM: the file, and one with its variables or none",
	.vars = bootrom_vars,
	.needs_conf = true},
    {.name = "com1",
	.help = "serial port: stdio, pty, tcp=IP:PORT, unix=PATH, "
		"null or /dev/...",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com2",
	.help = "serial port: stdio, pty, tcp=IP:PORT, unix=PATH, "
		"null or /dev/...",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com3",
	.help = "serial port: stdio, pty, tcp=IP:PORT, unix=PATH, "
		"null or /dev/...",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com4",
	.help = "serial port: stdio, pty, tcp=IP:PORT, unix=PATH, "
		"null or /dev/...",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "fwcfg",
	.help = "what a firmware asks about the machine: qemu",
	.vars = fwcfg_vars,
	.needs_conf = true},
    {.name = "isa-debug-exit",
	.help = "port (0x501): a write of V ends lhyve with status 2V+1",
	.vars = exit_vars,
	.dflt = "0x501"},
    {.name = "pc-testdev",
	.help = "what kvm-unit-tests use: exit port, scratch, interrupts",
	.vars = pctest_vars,
	.dflt = "true"},
    {.name = NULL},
};

void
machine_devices_init(struct machine_devices *md)
{
	const struct device_desc *const *d;
	const struct pci_device_ops *ops;
	unsigned i;

	memset(md, 0, sizeof(*md));
	for (i = 0; i < MACHINE_DEVICES_MAX; i++) {
		ops = chipset_pci_devices[i];
		if (ops == NULL)
			break;
		md->pci[i].name = ops->name;
		md->pci[i].help = ops->help;
		if (ops == &pci_hostbridge)
			md->pci[i].opts = hostbridge_opts;
		md->pci[i].single = strcmp(ops->name, "lpc") == 0;
	}
	for (d = devices; *d != NULL && i < MACHINE_DEVICES_MAX; d++, i++) {
		md->pci[i].name = (*d)->pci->name;
		md->pci[i].help = (*d)->pci->help;
		md->pci[i].opts = (*d)->opts;
		md->pci[i].item = (*d)->item;
		md->pci[i].man = (*d)->man;
		md->pci[i].needs_conf = (*d)->needs_conf;
		md->pci[i].single = (*d)->single;
	}
	md->lists.pci = md->pci;
	md->lists.lpc = lpc_devices;
}
