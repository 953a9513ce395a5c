/* SPDX-License-Identifier: BSD-2-Clause */
/* The PCI functions that are the chipset's own: bridges with a header. */
#include <errno.h>
#include <stddef.h>

#include "bus/pci.h"
#include "chipset/chipset.h"

#define LPC_PIRQ_A 0x60u
#define LPC_PIRQ_E 0x68u

/* The private part of an LPC bridge. */
struct lpc {
	struct chipset *cs;
};

static int
lpc_init(struct pci_dev *dev, void *conf)
{
	struct lpc *lpc = pci_dev_priv(dev);

	lpc->cs = conf;
	return (conf != NULL ? 0 : -EINVAL);
}

/* The PIRQ register at an offset of the header, or -1. */
static int
lpc_pirq(unsigned off)
{
	if (off - LPC_PIRQ_A < 4)
		return ((int)(off - LPC_PIRQ_A));
	if (off - LPC_PIRQ_E < 4)
		return ((int)(off - LPC_PIRQ_E) + 4);
	return (-1);
}

static void
lpc_cfg_read(struct pci_dev *dev, unsigned off, unsigned size, uint32_t *val)
{
	struct lpc *lpc = pci_dev_priv(dev);
	uint32_t byte;
	unsigned i;
	int n;

	for (i = 0; i < size; i++) {
		n = lpc_pirq(off + i);
		if (n < 0)
			continue;
		byte = chipset_pirq_read(lpc->cs, (unsigned)n);
		*val = (*val & ~(0xffu << i * 8)) | byte << i * 8;
	}
}

static void
lpc_cfg_write(struct pci_dev *dev, unsigned off, unsigned size, uint32_t val)
{
	struct lpc *lpc = pci_dev_priv(dev);
	unsigned i;
	int n;

	for (i = 0; i < size; i++) {
		n = lpc_pirq(off + i);
		if (n >= 0)
			chipset_pirq_write(
			    lpc->cs, (unsigned)n, (uint8_t)(val >> i * 8));
	}
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
    .priv_size = sizeof(struct lpc),
    .init = lpc_init,
    .cfg_read = lpc_cfg_read,
    .cfg_write = lpc_cfg_write,
};

const struct pci_device_ops *const chipset_pci_devices[] = {
    &pci_amd_hostbridge,
    &pci_hostbridge,
    &pci_lpc,
    &pci_testdev,
    NULL,
};
