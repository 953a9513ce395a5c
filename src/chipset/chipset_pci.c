/* SPDX-License-Identifier: BSD-2-Clause */
/* The PCI functions that are the chipset's own: bridges with a header. */
#include <errno.h>
#include <stddef.h>

#include "bus/pci.h"
#include "chipset/chipset.h"

#define LPC_PIRQ_A 0x60u
#define LPC_PIRQ_E 0x68u

/* Where firmware for QEMU's Q35 board looks: the memory controller's PCIEXBAR
 * (Intel 3 Series datasheet, 5.1.14), the ICH9 LPC bridge's PMBASE and
 * ACPI_CNTL (ICH9 datasheet, 13.1.13 and 13.1.14). */
#define Q35_PCIEXBAR   0x60u
#define LPC_PMBASE     0x40u
#define LPC_ACPI_CNTL  0x44u
#define PMBASE_ADDR    0xff80u
#define PMBASE_IO      0x1u
#define ACPI_CNTL_EN   0x80u

/* The private part of an LPC bridge. */
struct lpc {
	struct chipset *cs;
	bool pm; /* PMBASE is there */
};

static int
lpc_init(struct pci_dev *dev, void *conf)
{
	struct lpc *lpc = pci_dev_priv(dev);

	lpc->cs = conf;
	if (conf == NULL)
		return (-EINVAL);
	lpc->pm = chipset_has_fwcfg(lpc->cs);
	if (lpc->pm) {
		pci_cfg_set(dev, LPC_PMBASE, 4, PMBASE_IO);
		pci_cfg_writable(dev, LPC_PMBASE, 4, PMBASE_ADDR);
		pci_cfg_writable(dev, LPC_ACPI_CNTL, 1, ACPI_CNTL_EN);
	}
	return (0);
}

/* After a change of PMBASE or ACPI_CNTL. */
static void
lpc_place_pm(struct pci_dev *dev)
{
	struct lpc *lpc = pci_dev_priv(dev);
	uint16_t base = 0;

	if (!lpc->pm)
		return;
	if (pci_cfg_get(dev, LPC_ACPI_CNTL, 1) & ACPI_CNTL_EN)
		base = (uint16_t)(pci_cfg_get(dev, LPC_PMBASE, 2) &
				  PMBASE_ADDR);
	chipset_place_pm(lpc->cs, base);
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
	if (off >= LPC_PMBASE && off < LPC_PMBASE + 8)
		lpc_place_pm(dev);
}

/* The private part of a host bridge. */
struct hostbridge {
	bool q35;
};

static int
hostbridge_init(struct pci_dev *dev, void *conf)
{
	const struct hostbridge_config *hc = conf;
	struct hostbridge *hb = pci_dev_priv(dev);

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
	hb->q35 = pci_cfg_get(dev, PCIR_VENDOR, 2) == CHIPSET_Q35_VENDOR &&
		  pci_cfg_get(dev, PCIR_DEVICE, 2) == CHIPSET_Q35_DEVICE;
	if (hb->q35)
		pci_pciexbar_add(dev, Q35_PCIEXBAR);
	return (0);
}

static void
hostbridge_reset(struct pci_dev *dev)
{
	struct hostbridge *hb = pci_dev_priv(dev);

	if (hb->q35)
		pci_pciexbar_update(dev, Q35_PCIEXBAR);
}

static void
hostbridge_cfg_write(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t val)
{
	(void)size;
	(void)val;
	if (off >= Q35_PCIEXBAR && off < Q35_PCIEXBAR + 8)
		hostbridge_reset(dev);
}

const struct pci_device_ops pci_hostbridge = {
    .name = "hostbridge",
    .help = "host bridge (1275:1275)",
    .vendor = 0x1275,
    .device = 0x1275,
    .class = 0x06,
    .subclass = 0x00,
    .priv_size = sizeof(struct hostbridge),
    .init = hostbridge_init,
    .reset = hostbridge_reset,
    .cfg_write = hostbridge_cfg_write,
};

static const struct pci_device_ops pci_amd_hostbridge = {
    .name = "amd_hostbridge",
    .help = "host bridge with AMD's ids (1022:7432)",
    .vendor = 0x1022,
    .device = 0x7432,
    .class = 0x06,
    .subclass = 0x00,
    .priv_size = sizeof(struct hostbridge),
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
    .reset = lpc_place_pm,
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
