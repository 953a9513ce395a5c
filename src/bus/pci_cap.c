/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of capabilities (PCI 6.7) and the PCI Express one (PCIe 7.5.3). */
#include <errno.h>
#include <string.h>

#include "bus/pci_impl.h"

int
pci_cap_add(struct pci_dev *dev, uint8_t id, const void *body, unsigned len)
{
	unsigned off = dev->cap_end;

	if (len < 2 || len > PCI_CFG_SIZE - off)
		return (-ENOSPC);
	memcpy(&dev->cfg[off], body, len);
	dev->cfg[off] = id;
	dev->cfg[off + 1] = 0;
	dev->cfg[dev->cap_last ? dev->cap_last + 1 : PCIR_CAPPTR] =
	    (uint8_t)off;
	dev->cfg[PCIR_STATUS] |= PCI_STATUS_CAP;
	dev->cap_last = off;
	dev->cap_end = (off + len + 3) & ~3u;
	return ((int)off);
}

/* The list is ours: it ends, and every pointer is inside. */
unsigned
pci_cap_find(const struct pci_dev *dev, uint8_t id)
{
	unsigned off;

	for (off = dev->cfg[PCIR_CAPPTR]; off != 0; off = dev->cfg[off + 1])
		if (dev->cfg[off] == id)
			return (off);
	return (0);
}

/* Registers of the capability, and what a guest may do to them. A link that
 * is always up at 2.5 GT/s, one lane wide, as bhyve's. */
static const struct {
	uint8_t off, size;
	bool link; /* not of an integrated endpoint, which has no link */
	uint32_t value, writable, w1c;
} pcie_regs[] = {
    {0x04, 4, false, 0x00008000, 0, 0},  /* device: role-based errors */
    {0x08, 2, false, 0x2810, 0x7fff, 0}, /* control: 512 B requests */
    {0x0a, 2, false, 0, 0, 0x000f},
    {0x0c, 4, true, 0x00000011, 0, 0}, /* link: x1, 2.5 GT/s */
    {0x10, 2, true, 0, 0x00c8, 0},
    {0x12, 2, true, 0x0011, 0, 0},
    {0x1c, 2, true, 0, 0x001f, 0}, /* root control */
    {0x20, 4, true, 0, 0, 0x00010000},
    {0x28, 2, false, 0, 0x001f, 0},    /* device control 2: time-outs */
    {0x2c, 4, true, 0x00000002, 0, 0}, /* link 2: 2.5 GT/s */
    {0x30, 2, true, 0x0001, 0x000f, 0},
};
#define PCIE_CAP_SIZE 0x3cu

int
pci_pcie_add(struct pci_dev *dev, enum pcie_type type)
{
	uint8_t body[PCIE_CAP_SIZE] = {0};
	unsigned i, at;
	int off;

	/* Version 2, the port's type. */
	body[2] = (uint8_t)(0x02 | type << 4);
	off = pci_cap_add(dev, PCI_CAP_PCIE, body, sizeof(body));
	if (off < 0)
		return (off);
	for (i = 0; i < sizeof(pcie_regs) / sizeof(pcie_regs[0]); i++) {
		if (pcie_regs[i].link && type == PCIE_INTEGRATED)
			continue;
		at = (unsigned)off + pcie_regs[i].off;
		pci_cfg_set(dev, at, pcie_regs[i].size, pcie_regs[i].value);
		pci_cfg_writable(
		    dev, at, pcie_regs[i].size, pcie_regs[i].writable);
		pci_cfg_w1c(dev, at, pcie_regs[i].size, pcie_regs[i].w1c);
	}
	dev->pcie = true;
	return (off);
}
