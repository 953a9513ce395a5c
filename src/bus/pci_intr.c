/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt pins (PCI 2.2.6) and Message Signalled Interrupts (PCI 6.8.1). */
#include <errno.h>

#include "base/log.h"
#include "bus/pci_impl.h"

/* Message Control, and where the rest of the capability is. */
#define MSI_CTRL     0x02u
#define MSI_ADDR     0x04u
#define MSI_ADDR_HI  0x08u
#define MSI_DATA     0x0cu
#define MSI_MASK     0x10u
#define MSI_PENDING  0x14u
#define MSI_SIZE     0x0eu
#define MSI_SIZE_PVM 0x18u
#define MSI_ENABLE   0x0001u
#define MSI_MMC      1u /* shifts: multiple messages capable, enabled */
#define MSI_MME      4u
#define MSI_64       0x0080u
#define MSI_PVM      0x0100u
#define MSI_MAX      32u

static const struct state_field pci_intr_fields[] = {
    STATE_FIELD(struct pci_intr, intx_want, 1),
    STATE_FIELD(struct pci_intr, msi_pending, 1),
    STATE_END,
};
const struct state_table pci_intr_state = {"pci.intr", 1, pci_intr_fields};

void
pci_intr_init(struct pci_dev *dev)
{
	pthread_mutex_init(&dev->intr.lock, NULL);
}

void
pci_intr_fini(struct pci_dev *dev)
{
	/* The line is lowered before its owner goes. */
	if (dev->intr.line.il != NULL) {
		irq_want(&dev->intr.line, false);
		irq_sync(&dev->intr.line);
	}
	pci_msix_fini(dev);
	pthread_mutex_destroy(&dev->intr.lock);
}

/* A function that may send messages does not use its pin. Lock held. */
static void
intx_update(struct pci_intr *in)
{
	if (in->line.il != NULL)
		irq_want(&in->line, in->intx_want && !in->intx_off &&
					!in->msi_on && !in->msix_on);
}

void
pci_intr_config(struct pci_dev *dev)
{
	uint32_t cmd = pci_cfg_get(dev, PCIR_COMMAND, 2), ctrl;
	struct pci_intr *in = &dev->intr;
	unsigned cap = in->msi_cap, log2;

	pthread_mutex_lock(&in->lock);
	in->intx_off = (cmd & PCI_CMD_INTXDIS) != 0;
	in->master = (cmd & PCI_CMD_MASTER) != 0;
	if (cap != 0) {
		ctrl = pci_cfg_get(dev, cap + MSI_CTRL, 2);
		in->msi_on = (ctrl & MSI_ENABLE) != 0;
		log2 = ctrl >> MSI_MME & 7;
		in->msi_count = (uint8_t)(log2 < 5 ? 1u << log2 : MSI_MAX);
		if (in->msi_count > in->msi_max)
			in->msi_count = in->msi_max;
		in->msi_addr = pci_cfg_get(dev, cap + MSI_ADDR, 4) |
			       (uint64_t)pci_cfg_get(dev, cap + MSI_ADDR_HI, 4)
				   << 32;
		in->msi_data = pci_cfg_get(dev, cap + MSI_DATA, 2);
		in->msi_mask =
		    ctrl & MSI_PVM ? pci_cfg_get(dev, cap + MSI_MASK, 4) : 0;
		if (!in->msi_on)
			in->msi_pending = 0;
	}
	pci_msix_config(dev);
	intx_update(in);
	pthread_mutex_unlock(&in->lock);
}

void
pci_intr_publish(struct pci_dev *dev)
{
	struct pci_intr *in = &dev->intr;
	uint8_t *status = &dev->cfg[PCIR_STATUS];

	pthread_mutex_lock(&in->lock);
	*status &= (uint8_t)~PCI_STATUS_INTX;
	if (in->intx_want)
		*status |= PCI_STATUS_INTX;
	if (in->msi_cap != 0 && in->msi_pvm)
		pci_cfg_set(dev, in->msi_cap + MSI_PENDING, 4, in->msi_pending);
	pthread_mutex_unlock(&in->lock);
}

/* Takes a message that can go: one that is not masked, of a function that
 * may write to the bus. Lock held. */
static bool
msi_take(struct pci_intr *in, uint64_t *addr, uint32_t *data)
{
	uint32_t go = in->msi_pending & ~in->msi_mask;
	unsigned n;

	if (go == 0 || !in->msi_on || !in->master)
		return (false);
	n = (unsigned)__builtin_ctz(go);
	in->msi_pending &= ~(1u << n);
	*addr = in->msi_addr;
	*data = (in->msi_data & ~(in->msi_count - 1)) | n;
	return (true);
}

void
pci_intr_settle(struct pci_dev *dev)
{
	struct pci_intr *in = &dev->intr;
	uint64_t addr = 0;
	uint32_t data = 0;
	bool more;

	do {
		pthread_mutex_lock(&in->lock);
		more = msi_take(in, &addr, &data) ||
		       pci_msix_take(in, &addr, &data);
		pthread_mutex_unlock(&in->lock);
		if (more) {
			trace(TRACE_intr, "pci %04x message %llx %x", dev->bdf,
			    (unsigned long long)addr, data);
			msi_send(&dev->bus->cfg.msi, addr, data);
		}
	} while (more);
	if (in->line.il != NULL)
		irq_sync(&in->line);
}

/* The pin that the functions of the slot use least, as bhyve does it. */
static unsigned
intx_pin(const struct pci_dev *dev)
{
	unsigned used[4] = {0}, i, pin, best = 0;
	const struct pci_dev *fn;

	for (i = 0; i < PCI_FUNCS; i++) {
		fn = pci_at(dev->bus, (uint16_t)((dev->bdf & ~7u) | i));
		pin = fn != NULL ? fn->cfg[PCIR_INTPIN] : 0;
		if (pin != 0)
			used[(pin - 1) & 3]++;
	}
	for (i = 1; i < 4; i++)
		if (used[i] < used[best])
			best = i;
	return (best + 1);
}

int
pci_intx_add(struct pci_dev *dev)
{
	const struct pci_config *cfg = &dev->bus->cfg;
	unsigned pin = intx_pin(dev);
	unsigned line = pci_intx_line(dev->bdf >> 3 & 0x1fu, pin);

	if (dev->cfg[PCIR_INTPIN] != 0)
		return (-EBUSY);
	pci_cfg_set(dev, PCIR_INTPIN, 1, pin);
	if (cfg->intx_irq != NULL)
		pci_cfg_set(
		    dev, PCIR_INTLINE, 1, cfg->intx_irq(cfg->arg, line));
	if (cfg->irqs != NULL)
		irq_source_init(&dev->intr.line, cfg->irqs, line);
	return (0);
}

void
pci_intx_set(struct pci_dev *dev, bool level)
{
	struct pci_intr *in = &dev->intr;

	if (dev->cfg[PCIR_INTPIN] == 0)
		return;
	pthread_mutex_lock(&in->lock);
	in->intx_want = level;
	intx_update(in);
	pthread_mutex_unlock(&in->lock);
	if (in->line.il != NULL)
		irq_sync(&in->line);
}

int
pci_msi_add(struct pci_dev *dev, unsigned count, bool maskable)
{
	unsigned log2 = (unsigned)__builtin_ctz(count | MSI_MAX << 1);
	uint8_t body[MSI_SIZE_PVM] = {0};
	struct pci_intr *in = &dev->intr;
	uint32_t all = (uint32_t)((1ull << count) - 1);
	unsigned ctrl = MSI_64 | log2 << MSI_MMC | (maskable ? MSI_PVM : 0);
	int off;

	if (count == 0 || count > MSI_MAX || count != 1u << log2)
		return (-EINVAL);
	if (in->msi_cap != 0)
		return (-EBUSY);
	body[MSI_CTRL] = (uint8_t)ctrl;
	body[MSI_CTRL + 1] = (uint8_t)(ctrl >> 8);
	off = pci_cap_add(
	    dev, PCI_CAP_MSI, body, maskable ? MSI_SIZE_PVM : MSI_SIZE);
	if (off < 0)
		return (off);
	in->msi_cap = (uint8_t)off;
	in->msi_max = (uint8_t)count;
	in->msi_pvm = maskable;
	pci_cfg_writable(
	    dev, in->msi_cap + MSI_CTRL, 2, MSI_ENABLE | 7u << MSI_MME);
	pci_cfg_writable(dev, in->msi_cap + MSI_ADDR, 4, 0xfffffffc);
	pci_cfg_writable(dev, in->msi_cap + MSI_ADDR_HI, 4, 0xffffffff);
	pci_cfg_writable(dev, in->msi_cap + MSI_DATA, 2, 0xffff);
	if (maskable)
		pci_cfg_writable(dev, in->msi_cap + MSI_MASK, 4, all);
	return (0);
}

unsigned
pci_msi_count(struct pci_dev *dev)
{
	struct pci_intr *in = &dev->intr;
	unsigned n;

	pthread_mutex_lock(&in->lock);
	n = in->msi_on ? in->msi_count : 0;
	pthread_mutex_unlock(&in->lock);
	return (n);
}

void
pci_msi_raise(struct pci_dev *dev, unsigned n)
{
	struct pci_intr *in = &dev->intr;

	pthread_mutex_lock(&in->lock);
	if (in->msi_on)
		in->msi_pending |= 1u << (n & (in->msi_count - 1u));
	pthread_mutex_unlock(&in->lock);
	pci_intr_settle(dev);
}

void
pci_intr_reset(struct pci_dev *dev)
{
	struct pci_intr *in = &dev->intr;

	pthread_mutex_lock(&in->lock);
	in->msi_pending = 0;
	in->intx_want = false;
	pci_msix_clear(in);
	pthread_mutex_unlock(&in->lock);
	pci_intr_config(dev);
}
