/* SPDX-License-Identifier: BSD-2-Clause */
/* MSI-X: a table of messages and pending bits in a BAR (PCI 6.8.2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/pci_impl.h"

#define MSIX_CTRL       0x02u
#define MSIX_TABLE      0x04u
#define MSIX_PBA        0x08u
#define MSIX_SIZE       0x0cu
#define MSIX_FUNC_MASK  0x4000u
#define MSIX_ENABLE     0x8000u
#define MSIX_ENTRY      16u
#define MSIX_VEC_MASKED 0x1u

static const struct state_field pci_msix_fields[] = {
    STATE_FIELD(struct pci_msix_entry, addr, 1),
    STATE_FIELD(struct pci_msix_entry, data, 1),
    STATE_FIELD(struct pci_msix_entry, ctrl, 1),
    STATE_FIELD(struct pci_msix_entry, pending, 1),
    STATE_END,
};
const struct state_table pci_msix_state = {"pci.msix", 1, pci_msix_fields};

/* Bytes of the pending bits: whole quadwords. */
static uint32_t
pba_bytes(unsigned vectors)
{
	return ((vectors + 63) / 64 * 8);
}

int
pci_msix_add(struct pci_dev *dev, unsigned vectors, unsigned bar,
    uint32_t table, uint32_t pba)
{
	uint64_t size = pci_bar_size(dev, bar);
	uint32_t tlen = vectors * MSIX_ENTRY, plen = pba_bytes(vectors);
	struct pci_intr *in = &dev->intr;
	uint8_t body[MSIX_SIZE] = {0};
	int off;

	if (vectors == 0 || vectors > PCI_MSIX_MAX || (table & 7) != 0 ||
	    (pba & 7) != 0 || table > size || size - table < tlen ||
	    pba > size || size - pba < plen ||
	    (table < pba + plen && pba < table + tlen) ||
	    dev->bar[bar].type == PCI_BAR_IO)
		return (-EINVAL);
	if (in->msix != NULL)
		return (-EBUSY);
	in->msix = calloc(vectors, sizeof(*in->msix));
	if (in->msix == NULL)
		return (-ENOMEM);
	off = pci_cap_add(dev, PCI_CAP_MSIX, body, sizeof(body));
	if (off < 0)
		return (off);
	pci_cfg_set(dev, (unsigned)off + MSIX_CTRL, 2, vectors - 1);
	pci_cfg_set(dev, (unsigned)off + MSIX_TABLE, 4, table | bar);
	pci_cfg_set(dev, (unsigned)off + MSIX_PBA, 4, pba | bar);
	pci_cfg_writable(
	    dev, (unsigned)off + MSIX_CTRL, 2, MSIX_FUNC_MASK | MSIX_ENABLE);
	in->msix_cap = (uint8_t)off;
	in->msix_vectors = vectors;
	in->msix_bar = bar;
	in->msix_table = table;
	in->msix_pba = pba;
	pci_msix_clear(in);
	return (0);
}

void
pci_msix_fini(struct pci_dev *dev)
{
	free(dev->intr.msix);
	dev->intr.msix = NULL;
}

void
pci_msix_clear(struct pci_intr *in)
{
	unsigned i;

	for (i = 0; i < in->msix_vectors; i++)
		in->msix[i] = (struct pci_msix_entry){.ctrl = MSIX_VEC_MASKED};
	in->msix_npending = 0;
}

static void
msix_set_pending(struct pci_intr *in, unsigned n, bool on)
{
	if ((in->msix[n].pending != 0) == on)
		return;
	in->msix[n].pending = on;
	in->msix_npending += on ? 1u : -1u;
}

void
pci_msix_config(struct pci_dev *dev)
{
	struct pci_intr *in = &dev->intr;
	uint32_t ctrl;
	unsigned i;

	if (in->msix_cap == 0)
		return;
	ctrl = pci_cfg_get(dev, in->msix_cap + MSIX_CTRL, 2);
	in->msix_on = (ctrl & MSIX_ENABLE) != 0;
	in->msix_masked = (ctrl & MSIX_FUNC_MASK) != 0;
	for (i = 0;
	     !in->msix_on && in->msix_npending != 0 && i < in->msix_vectors;
	     i++)
		msix_set_pending(in, i, false);
}

bool
pci_msix_take(struct pci_intr *in, uint64_t *addr, uint32_t *data)
{
	unsigned i;

	if (in->msix_npending == 0 || !in->msix_on || in->msix_masked ||
	    !in->master)
		return (false);
	for (i = 0; i < in->msix_vectors; i++) {
		struct pci_msix_entry *e = &in->msix[i];

		if (!e->pending || (e->ctrl & MSIX_VEC_MASKED) != 0)
			continue;
		msix_set_pending(in, i, false);
		*addr = e->addr;
		*data = e->data;
		return (true);
	}
	return (false);
}

bool
pci_msix_enabled(struct pci_dev *dev)
{
	bool on;

	pthread_mutex_lock(&dev->intr.lock);
	on = dev->intr.msix_on;
	pthread_mutex_unlock(&dev->intr.lock);
	return (on);
}

void
pci_msix_raise(struct pci_dev *dev, unsigned vector)
{
	struct pci_intr *in = &dev->intr;

	pthread_mutex_lock(&in->lock);
	if (in->msix_on && vector < in->msix_vectors)
		msix_set_pending(in, vector, true);
	pthread_mutex_unlock(&in->lock);
	pci_intr_settle(dev);
}

/* A dword of the table. */
static uint32_t
table_get(const struct pci_msix_entry *e, unsigned off)
{
	switch (off & 0xc) {
	case 0x0:
		return ((uint32_t)e->addr);
	case 0x4:
		return ((uint32_t)(e->addr >> 32));
	case 0x8:
		return (e->data);
	default:
		return (e->ctrl);
	}
}

static void
table_set(struct pci_msix_entry *e, unsigned off, uint32_t val)
{
	switch (off & 0xc) {
	case 0x0:
		e->addr = (e->addr >> 32 << 32) | (val & ~3u);
		break;
	case 0x4:
		e->addr = (e->addr & 0xffffffff) | (uint64_t)val << 32;
		break;
	case 0x8:
		e->data = val;
		break;
	default:
		e->ctrl = val & MSIX_VEC_MASKED;
		break;
	}
}

/* A dword of the pending bits. */
static uint32_t
pba_get(const struct pci_intr *in, uint32_t off)
{
	uint32_t val = 0;
	unsigned i, first = off / 4 * 32;

	for (i = 0; i < 32 && first + i < in->msix_vectors; i++)
		val |= (uint32_t)in->msix[first + i].pending << i;
	return (val);
}

/* A dword of whatever of the two is at an offset of the BAR; false: none. */
static bool
msix_dword(struct pci_intr *in, uint64_t off, uint32_t *val)
{
	if (off - in->msix_table < (uint64_t)in->msix_vectors * MSIX_ENTRY) {
		off -= in->msix_table;
		*val = table_get(&in->msix[off / MSIX_ENTRY], (unsigned)off);
		return (true);
	}
	if (off - in->msix_pba < pba_bytes(in->msix_vectors)) {
		*val = pba_get(in, (uint32_t)(off - in->msix_pba));
		return (true);
	}
	return (false);
}

bool
pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t *val)
{
	struct pci_intr *in = &dev->intr;
	uint32_t lo = 0, hi = 0;
	bool ours;

	if (in->msix == NULL || bar != in->msix_bar)
		return (false);
	pthread_mutex_lock(&in->lock);
	ours = msix_dword(in, off, &lo);
	if (ours && size == 8)
		(void)msix_dword(in, off + 4, &hi);
	pthread_mutex_unlock(&in->lock);
	if (!ours)
		return (false);
	/* Narrow reads get their bytes; across dwords nothing is defined. */
	if (off % size == 0)
		*val =
		    ((uint64_t)hi << 32 | lo) >> (off % 4 * 8) & bus_ones(size);
	return (true);
}

bool
pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t val)
{
	struct pci_intr *in = &dev->intr;
	uint32_t old;
	bool ours;

	if (in->msix == NULL || bar != in->msix_bar)
		return (false);
	pthread_mutex_lock(&in->lock);
	ours = msix_dword(in, off, &old);
	/* The pending bits are read-only, and software writes dwords or
	 * quadwords (PCI 6.8.2). */
	if (ours && size >= 4 && off % size == 0 &&
	    off - in->msix_table < (uint64_t)in->msix_vectors * MSIX_ENTRY) {
		unsigned at = (unsigned)(off - in->msix_table);
		struct pci_msix_entry *e = &in->msix[at / MSIX_ENTRY];

		table_set(e, at, (uint32_t)val);
		if (size == 8)
			table_set(e, at + 4, (uint32_t)(val >> 32));
	}
	pthread_mutex_unlock(&in->lock);
	if (ours)
		pci_intr_settle(dev);
	return (ours);
}
