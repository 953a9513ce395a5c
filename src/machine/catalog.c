/* SPDX-License-Identifier: BSD-2-Clause */
/* What -s and -l know, from the devices' own descriptions. */
#include <string.h>

#include "chipset/chipset.h"
#include "machine/machine.h"

static const struct config_var com_opts[] = {
    {.name = "path", .help = "where the line ends: stdio or null"},
    {.name = NULL},
};

static const char *const bootrom_vars[] = {"lpc.bootrom", NULL};

static const struct config_device lpc_devices[] = {
    {.name = "bootrom",
	.help = "boot ROM: the file",
	.vars = bootrom_vars,
	.needs_conf = true},
    {.name = "com1",
	.help = "serial port, path: stdio or null",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com2",
	.help = "serial port, path: stdio or null",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com3",
	.help = "serial port, path: stdio or null",
	.opts = com_opts,
	.needs_conf = true},
    {.name = "com4",
	.help = "serial port, path: stdio or null",
	.opts = com_opts,
	.needs_conf = true},
    {.name = NULL},
};

void
machine_devices_init(struct machine_devices *md)
{
	const struct pci_device_ops *ops;
	unsigned i;

	memset(md, 0, sizeof(*md));
	for (i = 0; i < MACHINE_DEVICES_MAX; i++) {
		ops = chipset_pci_devices[i];
		if (ops == NULL)
			break;
		md->pci[i].name = ops->name;
		md->pci[i].help = ops->help;
		md->pci[i].single = strcmp(ops->name, "lpc") == 0;
	}
	md->lists.pci = md->pci;
	md->lists.lpc = lpc_devices;
}
