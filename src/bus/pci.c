/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/pci_impl.h"

#define PCI_ADDR_ENABLE 0x80000000u
#define PCI_ADDR_MASK   0x80fffffcu
#define PCI_ECAM_SIZE   (256ull << 20)
#define PCI_CFG_EXT     0x1000u
/* bhyve: where BARs begin, and what each bus's windows are multiples of. */
#define PCI_IO_BASE     0x2000u
#define PCI_IO_ROUND    0x20u
#define PCI_MEM32_ROUND (1ull << 20)
#define PCI_MEM64_ROUND (512ull << 20)
/* Commands a guest can write: bhyve's, bits 0-6 and 8-10. */
#define PCI_CMD_WRITABLE 0x077fu
/* What went wrong (PCI 6.2.3). */
#define PCI_STATUS_W1C 0xf900u

uint32_t
pci_cfg_get(const struct pci_dev *dev, unsigned off, unsigned size)
{
	uint32_t val = 0;
	unsigned i;

	for (i = 0; i < size && off + i < PCI_CFG_SIZE; i++)
		val |= (uint32_t)dev->cfg[off + i] << (i * 8);
	return (val);
}

static void
pci_bytes(uint8_t *bytes, unsigned off, unsigned size, uint32_t val)
{
	unsigned i;

	for (i = 0; i < size && off + i < PCI_CFG_SIZE; i++)
		bytes[off + i] = (uint8_t)(val >> (i * 8));
}

void
pci_cfg_set(struct pci_dev *dev, unsigned off, unsigned size, uint32_t val)
{
	pci_bytes(dev->cfg, off, size, val);
}

void
pci_cfg_writable(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t mask)
{
	pci_bytes(dev->wmask, off, size, mask);
}

void
pci_cfg_w1c(struct pci_dev *dev, unsigned off, unsigned size, uint32_t mask)
{
	pci_bytes(dev->w1c, off, size, mask);
}

void *
pci_dev_priv(struct pci_dev *dev)
{
	return (dev->priv);
}

const struct pci_device_ops *
pci_dev_ops(const struct pci_dev *dev)
{
	return (dev->ops);
}

uint16_t
pci_dev_bdf(const struct pci_dev *dev)
{
	return (dev->bdf);
}

struct pci_dev *
pci_at(struct pci_bus *bus, uint16_t bdf)
{
	const struct pci_root *root = bus->root[bdf >> 8];

	return (root != NULL ? root->dev[bdf & 0xff] : NULL);
}

const struct pci_device_ops *
pci_find(const struct pci_device_ops *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcmp((*list)->name, name) == 0)
			return (*list);
	return (NULL);
}

/* A function's header type says whether its slot holds several. */
static void
pci_multifunc(struct pci_root *root, unsigned slot)
{
	struct pci_dev **fn = &root->dev[slot * PCI_FUNCS];
	unsigned i, n = 0;

	for (i = 0; i < PCI_FUNCS; i++)
		n += fn[i] != NULL;
	for (i = 0; i < PCI_FUNCS; i++) {
		if (fn[i] == NULL)
			continue;
		fn[i]->cfg[PCIR_HDRTYPE] =
		    (uint8_t)((fn[i]->cfg[PCIR_HDRTYPE] & 0x7f) |
			      (n > 1 ? PCI_HDR_MULTIFUNC : 0));
		fn[i]->power_on[PCIR_HDRTYPE] = fn[i]->cfg[PCIR_HDRTYPE];
	}
}

/* One aligned access to a function's header; NULL: nobody there. */
static uint32_t
pci_cfg_read(
    struct pci_bus *bus, struct pci_dev *dev, unsigned off, unsigned size)
{
	uint32_t val;

	if (dev == NULL || off % size != 0)
		return ((uint32_t)bus_ones(size));
	/* The extended space of a conventional device is not there; that of
	 * an Express one is an empty list (PCIe 7.6.2). */
	if (off >= PCI_CFG_SIZE)
		return (dev->pcie ? 0 : (uint32_t)bus_ones(size));
	pthread_mutex_lock(&bus->lock);
	pci_intr_publish(dev);
	val = pci_cfg_get(dev, off, size);
	pthread_mutex_unlock(&bus->lock);
	if (dev->ops->cfg_read != NULL)
		dev->ops->cfg_read(dev, off, size, &val);
	return (val);
}

static void
pci_cfg_write(struct pci_bus *bus, struct pci_dev *dev, unsigned off,
    unsigned size, uint32_t val)
{
	unsigned i;

	if (dev == NULL || off % size != 0 || off >= PCI_CFG_SIZE)
		return;
	pthread_mutex_lock(&bus->lock);
	for (i = 0; i < size; i++) {
		uint8_t new = (uint8_t)(val >> (i * 8));
		uint8_t mask = dev->wmask[off + i];
		uint8_t *byte = &dev->cfg[off + i];

		*byte = (uint8_t)((*byte & ~mask) | (new &mask));
		*byte &= (uint8_t) ~(new & dev->w1c[off + i]);
	}
	if (off < PCIR_BAR0 + PCI_BARS * 4u)
		pci_bar_update(dev);
	pci_intr_config(dev);
	pthread_mutex_unlock(&bus->lock);
	pci_intr_settle(dev);
	if (dev->ops->cfg_write != NULL)
		dev->ops->cfg_write(dev, off, size, val);
}

/* Configuration mechanism #1 (PCI 3.0, section 3.2.2.3.2). */
static void
pci_addr_read(void *arg, uint64_t offset, unsigned size, uint64_t *val)
{
	struct pci_bus *bus = arg;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&bus->lock);
	*val = bus->addr;
	pthread_mutex_unlock(&bus->lock);
}

static void
pci_addr_write(void *arg, uint64_t offset, unsigned size, uint64_t val)
{
	struct pci_bus *bus = arg;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&bus->lock);
	bus->addr = (uint32_t)val & PCI_ADDR_MASK;
	pthread_mutex_unlock(&bus->lock);
}

/* The function that CONFIG_ADDRESS selects, and the register. */
static struct pci_dev *
pci_selected(struct pci_bus *bus, uint64_t offset, unsigned *off)
{
	uint32_t addr;

	pthread_mutex_lock(&bus->lock);
	addr = bus->addr;
	pthread_mutex_unlock(&bus->lock);
	*off = (addr & 0xfc) + (unsigned)offset;
	if ((addr & PCI_ADDR_ENABLE) == 0)
		return (NULL);
	return (pci_at(bus, (uint16_t)(addr >> 8)));
}

static void
pci_data_read(void *arg, uint64_t offset, unsigned size, uint64_t *val)
{
	struct pci_dev *dev;
	unsigned off;

	dev = pci_selected(arg, offset, &off);
	*val = pci_cfg_read(arg, dev, off, size);
}

static void
pci_data_write(void *arg, uint64_t offset, unsigned size, uint64_t val)
{
	struct pci_dev *dev;
	unsigned off;

	dev = pci_selected(arg, offset, &off);
	pci_cfg_write(arg, dev, off, size, (uint32_t)val);
}

static void
pci_ecam_read(void *arg, uint64_t offset, unsigned size, uint64_t *val)
{
	*val = pci_cfg_read(arg, pci_at(arg, (uint16_t)(offset >> 12)),
	    (unsigned)offset % PCI_CFG_EXT, size);
}

static void
pci_ecam_write(void *arg, uint64_t offset, unsigned size, uint64_t val)
{
	pci_cfg_write(arg, pci_at(arg, (uint16_t)(offset >> 12)),
	    (unsigned)offset % PCI_CFG_EXT, size, (uint32_t)val);
}

/* CONFIG_ADDRESS is a dword only: its other bytes are other ports, 0xcf9
 * is reset control. */
static const struct bus_ops pci_addr_ops = {
    .sizes = 4,
    .overhang = true,
    .read = pci_addr_read,
    .write = pci_addr_write,
};
static const struct bus_ops pci_data_ops = {
    .sizes = 1 | 2 | 4,
    .read = pci_data_read,
    .write = pci_data_write,
};
static const struct bus_ops pci_ecam_ops = {
    .sizes = 1 | 2 | 4,
    .read = pci_ecam_read,
    .write = pci_ecam_write,
};

#define PCIEXBAR_ENABLE 0x1u
#define PCIEXBAR_LOW    0xf0000000u /* bits 31:28 of the address, and 35:32 */
#define PCIEXBAR_HIGH   0xfu

void
pci_pciexbar_add(struct pci_dev *dev, unsigned off)
{
	pci_cfg_writable(dev, off, 4, PCIEXBAR_LOW | PCIEXBAR_ENABLE);
	pci_cfg_writable(dev, off + 4, 4, PCIEXBAR_HIGH);
}

void
pci_pciexbar_update(struct pci_dev *dev, unsigned off)
{
	struct pci_bus *bus = dev->bus;
	uint64_t base;

	pthread_mutex_lock(&bus->lock);
	base = pci_cfg_get(dev, off, 4) |
	       (uint64_t)pci_cfg_get(dev, off + 4, 4) << 32;
	base = base & PCIEXBAR_ENABLE ? base & ~(uint64_t)PCIEXBAR_ENABLE : 0;
	if (base != bus->ecam2) {
		if (bus->ecam2 != 0)
			bus_remove(bus->cfg.mmio, bus->ecam2);
		bus->ecam2 = 0;
		if (base != 0 && bus_add(bus->cfg.mmio, "pci ecam", base,
				     PCI_ECAM_SIZE, &pci_ecam_ops, bus) == 0)
			bus->ecam2 = base;
		pci_bar_retry(bus);
	}
	pthread_mutex_unlock(&bus->lock);
}

int
pci_bus_create(struct pci_bus **out, const struct pci_config *cfg)
{
	struct pci_bus *bus;
	int error;

	bus = calloc(1, sizeof(*bus));
	if (bus == NULL)
		return (-ENOMEM);
	bus->cfg = *cfg;
	pthread_mutex_init(&bus->lock, NULL);
	if (bus->cfg.io_base == 0)
		bus->cfg.io_base = PCI_IO_BASE;
	bus->next_io = bus->cfg.io_base;
	bus->next_mem32 = cfg->mem32_base;
	bus->next_mem64 = cfg->mem64_base;
	error =
	    bus_add(cfg->ports, "pci address", 0xcf8, 1, &pci_addr_ops, bus);
	if (error != 0)
		goto fail;
	error = bus_add(cfg->ports, "pci data", 0xcfc, 4, &pci_data_ops, bus);
	if (error != 0)
		goto fail_addr;
	if (cfg->ecam_base != 0) {
		error = bus_add(cfg->mmio, "pci ecam", cfg->ecam_base,
		    PCI_ECAM_SIZE, &pci_ecam_ops, bus);
		if (error != 0)
			goto fail_data;
	}
	*out = bus;
	return (0);
fail_data:
	bus_remove(cfg->ports, 0xcfc);
fail_addr:
	bus_remove(cfg->ports, 0xcf8);
fail:
	pthread_mutex_destroy(&bus->lock);
	free(bus);
	return (error);
}

static void
pci_dev_free(struct pci_dev *dev)
{
	if (dev == NULL)
		return;
	pci_bar_unmap(dev);
	if (dev->ops->fini != NULL)
		dev->ops->fini(dev);
	pci_doorbells_fini(dev);
	pci_intr_fini(dev);
	free(dev->priv);
	free(dev);
}

void
pci_bus_destroy(struct pci_bus *bus)
{
	struct pci_dev *dev;
	unsigned i;

	if (bus == NULL)
		return;
	bus_remove(bus->cfg.ports, 0xcf8);
	bus_remove(bus->cfg.ports, 0xcfc);
	if (bus->cfg.ecam_base != 0)
		bus_remove(bus->cfg.mmio, bus->cfg.ecam_base);
	if (bus->ecam2 != 0)
		bus_remove(bus->cfg.mmio, bus->ecam2);
	while ((dev = bus->devs) != NULL) {
		bus->devs = dev->next;
		pci_dev_free(dev);
	}
	for (i = 0; i < PCI_BUSES; i++)
		free(bus->root[i]);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

void
pci_bus_reset(struct pci_bus *bus)
{
	struct pci_dev *dev;

	pthread_mutex_lock(&bus->lock);
	bus->addr = 0;
	pthread_mutex_unlock(&bus->lock);
	for (dev = bus->devs; dev != NULL; dev = dev->next) {
		pthread_mutex_lock(&bus->lock);
		memcpy(dev->cfg, dev->power_on, sizeof(dev->cfg));
		pci_bar_update(dev);
		pci_intr_reset(dev);
		pthread_mutex_unlock(&bus->lock);
		pci_intr_settle(dev);
		if (dev->ops->reset != NULL)
			dev->ops->reset(dev);
	}
}

static void
round_up(uint64_t *val, uint64_t unit)
{
	*val = (*val + unit - 1) & ~(unit - 1);
}

/* The bus with the number, made when its first function comes: then its
 * windows begin where those of the bus before it are used up. */
static int
pci_root_get(struct pci_bus *bus, unsigned num, struct pci_root **out)
{
	struct pci_root *root = bus->root[num];

	if (num < bus->last)
		return (-EINVAL);
	if (root == NULL) {
		root = calloc(1, sizeof(*root));
		if (root == NULL)
			return (-ENOMEM);
		if (num != 0) {
			round_up(&bus->next_io, PCI_IO_ROUND);
			round_up(&bus->next_mem32, PCI_MEM32_ROUND);
			round_up(&bus->next_mem64, PCI_MEM64_ROUND);
		}
		root->base_io = bus->next_io;
		root->base_mem32 = bus->next_mem32;
		root->base_mem64 = bus->next_mem64;
		bus->root[num] = root;
	}
	bus->last = num;
	*out = root;
	return (0);
}

bool
pci_bus_windows(struct pci_bus *bus, unsigned num, struct pci_windows *w)
{
	const struct pci_root *root, *next = NULL;
	unsigned i;

	root = num < PCI_BUSES ? bus->root[num] : NULL;
	if (root == NULL && num != 0)
		return (false);
	for (i = num + 1; i < PCI_BUSES && next == NULL; i++)
		next = bus->root[i];
	w->io_base = root != NULL ? (uint32_t)root->base_io : bus->cfg.io_base;
	w->mem32_base =
	    root != NULL ? (uint32_t)root->base_mem32 : bus->cfg.mem32_base;
	w->mem64_base = root != NULL ? root->base_mem64 : bus->cfg.mem64_base;
	w->io_limit = next != NULL ? (uint32_t)next->base_io : 0x10000;
	w->mem32_limit =
	    next != NULL ? (uint32_t)next->base_mem32 : bus->cfg.mem32_limit;
	w->mem64_limit = next != NULL ? next->base_mem64 : bus->cfg.mem64_limit;
	return (true);
}

int
pci_add(struct pci_bus *bus, uint16_t bdf, const struct pci_device_ops *ops,
    void *conf, struct pci_dev **out)
{
	struct pci_root *root;
	struct pci_dev *dev;
	int error;

	error = pci_root_get(bus, bdf >> 8, &root);
	if (error != 0)
		return (error);
	if (root->dev[bdf & 0xff] != NULL)
		return (-EEXIST);
	dev = calloc(1, sizeof(*dev));
	if (dev == NULL)
		return (-ENOMEM);
	dev->bus = bus;
	dev->ops = ops;
	dev->bdf = bdf;
	dev->cap_end = PCI_CAP_FIRST;
	dev->priv = calloc(1, ops->priv_size ? ops->priv_size : 1);
	if (dev->priv == NULL) {
		free(dev);
		return (-ENOMEM);
	}
	pci_intr_init(dev);
	pci_cfg_set(dev, PCIR_VENDOR, 2, ops->vendor);
	pci_cfg_set(dev, PCIR_DEVICE, 2, ops->device);
	pci_cfg_set(dev, PCIR_REVID, 1, ops->revid);
	pci_cfg_set(dev, PCIR_PROGIF, 1, ops->progif);
	pci_cfg_set(dev, PCIR_SUBCLASS, 1, ops->subclass);
	pci_cfg_set(dev, PCIR_CLASS, 1, ops->class);
	pci_cfg_set(
	    dev, PCIR_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
	pci_cfg_writable(dev, PCIR_COMMAND, 2, PCI_CMD_WRITABLE);
	pci_cfg_w1c(dev, PCIR_STATUS, 2, PCI_STATUS_W1C);
	pci_cfg_set(dev, PCIR_INTLINE, 1, 0xff);
	pci_cfg_writable(dev, PCIR_INTLINE, 1, 0xff);
	error = ops->init != NULL ? ops->init(dev, conf) : 0;
	if (error != 0) {
		pci_dev_free(dev);
		return (error);
	}
	memcpy(dev->power_on, dev->cfg, sizeof(dev->cfg));
	pthread_mutex_lock(&bus->lock);
	root->dev[bdf & 0xff] = dev;
	dev->next = bus->devs;
	bus->devs = dev;
	pci_multifunc(root, bdf >> 3 & 0x1f);
	pci_bar_update(dev);
	pci_intr_config(dev);
	pthread_mutex_unlock(&bus->lock);
	if (out != NULL)
		*out = dev;
	return (0);
}

static void
dump_state(void *arg, const struct state_table *table, void *obj)
{
	state_dump(arg, table, obj);
}

void
pci_dump(struct pci_bus *bus, FILE *out)
{
	struct pci_dev *dev;
	unsigned i;

	for (dev = bus->devs; dev != NULL; dev = dev->next) {
		char node[32];

		(void)snprintf(node, sizeof(node), "pci.%u.%u.%u",
		    dev->bdf >> 8, dev->bdf >> 3 & 0x1fu, dev->bdf & 7u);
		fprintf(out, "%s.device = %s\n", node, dev->ops->name);
		fprintf(out, "%s.cfg = ", node);
		pthread_mutex_lock(&bus->lock);
		pci_intr_publish(dev);
		for (i = 0; i < PCI_CFG_SIZE; i++)
			fprintf(out, "%02x", dev->cfg[i]);
		fputc('\n', out);
		pthread_mutex_lock(&dev->intr.lock);
		state_dump(out, &pci_intr_state, &dev->intr);
		for (i = 0; i < dev->intr.msix_vectors; i++)
			state_dump(out, &pci_msix_state, &dev->intr.msix[i]);
		pthread_mutex_unlock(&dev->intr.lock);
		pthread_mutex_unlock(&bus->lock);
		if (dev->ops->state != NULL)
			state_dump(out, dev->ops->state, dev->priv);
		if (dev->ops->states != NULL)
			dev->ops->states(dev, dump_state, out);
	}
}
