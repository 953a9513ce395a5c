/* SPDX-License-Identifier: BSD-2-Clause */
/* The PCI functions that are the chipset's own: bridges with a header. */
#include <errno.h>
#include <stddef.h>

#include "bus/pci.h"
#include "chipset/chipset.h"

#define LPC_PIRQ_A        0x60u
#define LPC_PIRQ_E        0x68u
#define LPC_PIRQ_OFF      0x80u
#define LPC_PIRQ_WRITABLE 0x8fu

/* The routing registers of an ICH, PIRQA-D and E-H: the guest's to write,
 * bit 7 (not routed) set to begin with. */
static int
lpc_init(struct pci_dev *dev, void *conf)
{
	unsigned i;

	(void)conf;
	for (i = 0; i < 4; i++) {
		pci_cfg_set(dev, LPC_PIRQ_A + i, 1, LPC_PIRQ_OFF);
		pci_cfg_set(dev, LPC_PIRQ_E + i, 1, LPC_PIRQ_OFF);
		pci_cfg_writable(dev, LPC_PIRQ_A + i, 1, LPC_PIRQ_WRITABLE);
		pci_cfg_writable(dev, LPC_PIRQ_E + i, 1, LPC_PIRQ_WRITABLE);
	}
	return (0);
}

static int
hostbridge_init(struct pci_dev *dev, void *conf)
{
	const struct hostbridge_config *hc = conf;

	if (pci_pcie_add(dev, PCIE_ROOT_PORT) < 0)
		return (-ENOSPC);
	if (hc == NULL)
		return (0);
	if (hc->vendor >= 0)
		pci_cfg_set(dev, PCIR_VENDOR, 2, (uint32_t)hc->vendor);
	if (hc->device >= 0)
		pci_cfg_set(dev, PCIR_DEVICE, 2, (uint32_t)hc->device);
	if (hc->revid >= 0)
		pci_cfg_set(dev, PCIR_REVID, 1, (uint32_t)hc->revid);
	if (hc->subvendor >= 0)
		pci_cfg_set(dev, PCIR_SUBVEND, 2, (uint32_t)hc->subvendor);
	if (hc->subdevice >= 0)
		pci_cfg_set(dev, PCIR_SUBDEV, 2, (uint32_t)hc->subdevice);
	return (0);
}

const struct pci_device_ops pci_hostbridge = {
    .name = "hostbridge",
    .help = "host bridge (1275:1275)",
    .vendor = 0x1275,
    .device = 0x1275,
    .class = 0x06,
    .subclass = 0x00,
    .init = hostbridge_init,
};

static const struct pci_device_ops pci_amd_hostbridge = {
    .name = "amd_hostbridge",
    .help = "host bridge with AMD's ids (1022:7432)",
    .vendor = 0x1022,
    .device = 0x7432,
    .class = 0x06,
    .subclass = 0x00,
    .init = hostbridge_init,
};

const struct pci_device_ops pci_lpc = {
    .name = "lpc",
    .help = "LPC bridge with serial ports and boot ROM",
    .vendor = 0x8086,
    .device = 0x7000,
    .class = 0x06,
    .subclass = 0x01,
    .init = lpc_init,
};

const struct pci_device_ops *const chipset_pci_devices[] = {
    &pci_amd_hostbridge,
    &pci_hostbridge,
    &pci_lpc,
    NULL,
};
