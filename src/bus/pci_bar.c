/* SPDX-License-Identifier: BSD-2-Clause */
/* Base Address Registers (PCI 3.0, section 6.2.5.1). */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "bus/pci_impl.h"

#define PCI_BAR_IO_BIT   0x1u
#define PCI_BAR_TYPE64   0x4u
#define PCI_BAR_PREFETCH 0x8u
/* bhyve: smaller 64-bit BARs go below 4 GiB too, since some guests place
 * nothing above it. */
#define PCI_MEM64_LOW (32ull << 20)

static void
pci_bar_read(void *arg, uint64_t offset, unsigned size, uint64_t *val)
{
	struct pci_bar *bar = arg;
	const struct pci_device_ops *ops = bar->dev->ops;
	uint64_t lo = UINT32_MAX, hi = UINT32_MAX;

	if (pci_msix_read(bar->dev, bar->idx, offset, size, val) ||
	    ops->bar_read == NULL)
		return;
	if (size < 8) {
		ops->bar_read(bar->dev, bar->idx, offset, size, val);
		return;
	}
	ops->bar_read(bar->dev, bar->idx, offset, 4, &lo);
	ops->bar_read(bar->dev, bar->idx, offset + 4, 4, &hi);
	*val = hi << 32 | (lo & UINT32_MAX);
}

static void
pci_bar_write(void *arg, uint64_t offset, unsigned size, uint64_t val)
{
	struct pci_bar *bar = arg;
	const struct pci_device_ops *ops = bar->dev->ops;

	if (pci_msix_write(bar->dev, bar->idx, offset, size, val) ||
	    ops->bar_write == NULL)
		return;
	if (size < 8) {
		ops->bar_write(bar->dev, bar->idx, offset, size, val);
		return;
	}
	ops->bar_write(bar->dev, bar->idx, offset, 4, val & UINT32_MAX);
	ops->bar_write(bar->dev, bar->idx, offset + 4, 4, val >> 32);
}

/* Quadwords for the table of MSI-X; devices get dwords. */
static const struct bus_ops pci_bar_ops = {
    .sizes = 1 | 2 | 4 | 8,
    .read = pci_bar_read,
    .write = pci_bar_write,
};

static struct bus_space *
pci_bar_space(const struct pci_bar *bar)
{
	const struct pci_config *cfg = &bar->dev->bus->cfg;

	return (bar->type == PCI_BAR_IO ? cfg->ports : cfg->mmio);
}

uint64_t
pci_bar_addr(const struct pci_dev *dev, unsigned idx)
{
	const struct pci_bar *bar;
	unsigned off = PCIR_BAR0 + idx * 4;
	uint64_t addr;

	if (idx >= PCI_BARS || dev->bar[idx].type == PCI_BAR_NONE)
		return (0);
	bar = &dev->bar[idx];
	addr = pci_cfg_get(dev, off, 4);
	if (bar->type == PCI_BAR_IO)
		return (addr & ~3ull & 0xffff);
	if (bar->type == PCI_BAR_MEM64)
		addr |= (uint64_t)pci_cfg_get(dev, off + 4, 4) << 32;
	return (addr & ~0xfull);
}

uint64_t
pci_bar_size(const struct pci_dev *dev, unsigned idx)
{
	return (idx < PCI_BARS ? dev->bar[idx].size : 0);
}

/* Where the guest wants the BAR now; 0: nowhere. */
static uint64_t
pci_bar_wanted(const struct pci_bar *bar)
{
	uint32_t need = bar->type == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEM;
	uint64_t addr;

	if (bar->type == PCI_BAR_NONE ||
	    (pci_cfg_get(bar->dev, PCIR_COMMAND, 2) & need) == 0)
		return (0);
	addr = pci_bar_addr(bar->dev, bar->idx);
	/* All ones while the guest sizes it: the top is nobody's place. */
	if (bar->type == PCI_BAR_IO)
		return (addr + bar->size > PCI_IO_LIMIT ? 0 : addr);
	if (bar->type == PCI_BAR_MEM32 && addr + bar->size > UINT32_MAX)
		return (0);
	return (addr + bar->size < addr ? 0 : addr);
}

/* Unmaps what moves. True if a place became free. */
static bool
pci_bar_leave(struct pci_dev *dev)
{
	bool left = false;
	unsigned i;

	for (i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &dev->bar[i];

		if (bar->mapped == 0 || bar->mapped == pci_bar_wanted(bar))
			continue;
		pci_doorbells_set(dev, i, false);
		bus_remove(pci_bar_space(bar), bar->mapped);
		bar->mapped = 0;
		left = true;
	}
	return (left);
}

static void
pci_bar_enter(struct pci_dev *dev)
{
	unsigned i;

	for (i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &dev->bar[i];
		uint64_t addr = pci_bar_wanted(bar);

		if (addr == 0 || bar->mapped != 0)
			continue;
		/* A place that is taken or outside: not decoded, as if the
		 * bridge did not forward it. */
		if (bus_add(pci_bar_space(bar), dev->ops->name, addr, bar->size,
			&pci_bar_ops, bar) == 0) {
			bar->mapped = addr;
			pci_doorbells_set(dev, i, true);
		}
		trace(TRACE_io, "pci %04x bar %u at %" PRIx64 "%s", dev->bdf, i,
		    addr, bar->mapped ? "" : " refused");
	}
}

void
pci_bar_update(struct pci_dev *dev)
{
	bool left;

	left = pci_bar_leave(dev);
	pci_bar_enter(dev);
	/* What this one was in the way of. */
	if (left)
		pci_bar_retry(dev->bus);
}

void
pci_bar_retry(struct pci_bus *bus)
{
	struct pci_dev *dev;

	for (dev = bus->devs; dev != NULL; dev = dev->next)
		pci_bar_enter(dev);
}

void
pci_bar_unmap(struct pci_dev *dev)
{
	unsigned i;

	for (i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &dev->bar[i];

		if (bar->mapped != 0) {
			pci_doorbells_set(dev, i, false);
			bus_remove(pci_bar_space(bar), bar->mapped);
		}
		bar->mapped = 0;
	}
}

/* Takes an aligned piece of a window; 0: full. */
static uint64_t
pci_window(uint64_t *next, uint64_t limit, uint64_t size)
{
	uint64_t base = (*next + size - 1) & ~(size - 1);

	if (base < *next || base == 0 || base > limit || size > limit - base)
		return (0);
	*next = base + size;
	return (base);
}

int
pci_bar_add(
    struct pci_dev *dev, unsigned idx, enum pci_bar_type type, uint64_t size)
{
	struct pci_bus *bus = dev->bus;
	uint64_t base, mask, min = type == PCI_BAR_IO ? 4 : 16;
	uint32_t low = 0;
	unsigned off = PCIR_BAR0 + idx * 4;
	bool wide = type == PCI_BAR_MEM64;

	if (idx + wide >= PCI_BARS || type == PCI_BAR_NONE || size == 0 ||
	    size > 1ull << 46)
		return (-EINVAL);
	if (dev->bar[idx].type != PCI_BAR_NONE || dev->bar[idx].upper ||
	    (wide && dev->bar[idx + 1].type != PCI_BAR_NONE))
		return (-EBUSY);
	while (min < size)
		min <<= 1;
	size = min;
	if (type == PCI_BAR_IO) {
		base = pci_window(&bus->next_io, PCI_IO_LIMIT, size);
		low = PCI_BAR_IO_BIT;
	} else if (!wide || size <= PCI_MEM64_LOW) {
		base = pci_window(&bus->next_mem32, bus->cfg.mem32_limit, size);
	} else {
		base = pci_window(&bus->next_mem64, bus->cfg.mem64_limit, size);
		low = PCI_BAR_PREFETCH;
	}
	if (base == 0)
		return (-ENOSPC);
	if (wide)
		low |= PCI_BAR_TYPE64;
	mask = ~(size - 1);
	dev->bar[idx] = (struct pci_bar){
	    .dev = dev, .idx = idx, .type = type, .size = size};
	pci_cfg_set(dev, off, 4, (uint32_t)base | low);
	/* PC I/O space is 64 KiB, but all 32 bits answer the sizing. */
	pci_cfg_writable(dev, off, 4, (uint32_t)mask);
	if (wide) {
		dev->bar[idx + 1].upper = true;
		pci_cfg_set(dev, off + 4, 4, (uint32_t)(base >> 32));
		pci_cfg_writable(dev, off + 4, 4, (uint32_t)(mask >> 32));
	}
	return (0);
}

void
pci_bar_prefetchable(struct pci_dev *dev, unsigned idx)
{
	if (idx < PCI_BARS && dev->bar[idx].type != PCI_BAR_NONE &&
	    dev->bar[idx].type != PCI_BAR_IO)
		dev->cfg[PCIR_BAR0 + idx * 4] |= PCI_BAR_PREFETCH;
}
