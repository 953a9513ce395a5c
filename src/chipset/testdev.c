/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "bus/pci.h"
#include "chipset/chipset.h"
#include "chipset/testdev.h"

#define SCRATCH 0x100u /* bytes of it */
#define CHUNK   4096u  /* of a copy */

struct testdev {
	uint64_t src, dst;
	uint32_t len;
	uint32_t status;
	bool intx;
	uint8_t scratch[SCRATCH];
	pthread_mutex_t lock;
};

static const struct state_field testdev_fields[] = {
    STATE_FIELD(struct testdev, src, 1),
    STATE_FIELD(struct testdev, dst, 1),
    STATE_FIELD(struct testdev, len, 1),
    STATE_FIELD(struct testdev, status, 1),
    STATE_FIELD(struct testdev, intx, 1),
    STATE_ARRAY(struct testdev, scratch, 1),
    STATE_END,
};
static const struct state_table testdev_state = {
    "pci-testdev", 1, testdev_fields};

static void
testdev_intx(struct pci_dev *dev, bool level)
{
	struct testdev *t = pci_dev_priv(dev);

	pthread_mutex_lock(&t->lock);
	t->intx = level;
	pthread_mutex_unlock(&t->lock);
	pci_intx_set(dev, level);
}

/* A copy from low to high addresses, as a DMA engine's is. No lock held. */
static enum testdev_status
testdev_copy(struct pci_dev *dev, uint64_t src, uint64_t dst, uint32_t len)
{
	uint8_t buf[CHUNK];
	uint32_t done, n;
	int error = 0;

	if (len > TESTDEV_LEN_MAX)
		return (TESTDEV_TOO_LONG);
	for (done = 0; done < len && error == 0; done += n) {
		n = len - done < CHUNK ? len - done : CHUNK;
		error = pci_dma_read(dev, src + done, buf, n);
		if (error == 0)
			error = pci_dma_write(dev, dst + done, buf, n);
	}
	if (error == 0)
		return (TESTDEV_OK);
	return (error == -EPERM ? TESTDEV_NO_MASTER : TESTDEV_NO_MEMORY);
}

static void
testdev_command(struct pci_dev *dev, uint32_t val)
{
	struct testdev *t = pci_dev_priv(dev);
	enum testdev_status status;
	uint64_t src, dst;
	uint32_t len;

	if ((val & 1) == 0)
		return;
	pthread_mutex_lock(&t->lock);
	src = t->src;
	dst = t->dst;
	len = t->len;
	pthread_mutex_unlock(&t->lock);
	status = testdev_copy(dev, src, dst, len);
	pthread_mutex_lock(&t->lock);
	t->status = status;
	pthread_mutex_unlock(&t->lock);
	if ((val & 2) == 0)
		return;
	if (pci_msix_enabled(dev))
		pci_msix_raise(dev, 0);
	else if (pci_msi_count(dev) != 0)
		pci_msi_raise(dev, 0);
	else
		testdev_intx(dev, true);
}

static uint32_t
testdev_get(struct pci_dev *dev, unsigned reg)
{
	struct testdev *t = pci_dev_priv(dev);

	switch (reg) {
	case TESTDEV_ID:
		return (TESTDEV_MAGIC);
	case TESTDEV_INTX:
		return (t->intx);
	case TESTDEV_SRC:
		return ((uint32_t)t->src);
	case TESTDEV_SRC + 4:
		return ((uint32_t)(t->src >> 32));
	case TESTDEV_DST:
		return ((uint32_t)t->dst);
	case TESTDEV_DST + 4:
		return ((uint32_t)(t->dst >> 32));
	case TESTDEV_LEN:
		return (t->len);
	case TESTDEV_COPY:
		return (t->status);
	default:
		return (0);
	}
}

static void
set_half(uint64_t *reg, unsigned half, uint32_t val)
{
	*reg = half ? (*reg & UINT32_MAX) | (uint64_t)val << 32
		    : (*reg >> 32 << 32) | val;
}

/* Registers that only keep what is written. */
static void
testdev_put(struct testdev *t, unsigned reg, uint32_t val)
{
	switch (reg) {
	case TESTDEV_SRC:
	case TESTDEV_SRC + 4:
		set_half(&t->src, reg & 4, val);
		break;
	case TESTDEV_DST:
	case TESTDEV_DST + 4:
		set_half(&t->dst, reg & 4, val);
		break;
	case TESTDEV_LEN:
		t->len = val;
		break;
	default:
		break;
	}
}

static bool
in_scratch(unsigned bar, uint64_t off, unsigned size)
{
	return (bar == 1 && off >= TESTDEV_SCRATCH &&
		off - TESTDEV_SCRATCH <= SCRATCH - size);
}

static void
testdev_bar_read(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t *val)
{
	struct testdev *t = pci_dev_priv(dev);
	uint32_t word = 0;

	if (bar == 2) {
		*val = off;
		return;
	}
	if (size == 4 && off == TESTDEV_MSI) {
		*val = pci_msi_count(dev);
		return;
	}
	if (size == 4 && off == TESTDEV_MSIX) {
		*val = pci_msix_enabled(dev);
		return;
	}
	pthread_mutex_lock(&t->lock);
	if (in_scratch(bar, off, size))
		memcpy(&word, &t->scratch[off - TESTDEV_SCRATCH], size);
	else if (size == 4)
		word = testdev_get(dev, (unsigned)off);
	pthread_mutex_unlock(&t->lock);
	*val = word;
}

static void
testdev_bar_write(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t val)
{
	struct testdev *t = pci_dev_priv(dev);
	uint32_t word = (uint32_t)val;

	if (bar == 2)
		return;
	if (size == 4 && off == TESTDEV_INTX) {
		testdev_intx(dev, (val & 1) != 0);
	} else if (size == 4 && off == TESTDEV_MSI) {
		pci_msi_raise(dev, word);
	} else if (size == 4 && off == TESTDEV_MSIX) {
		pci_msix_raise(dev, word);
	} else if (size == 4 && off == TESTDEV_COPY) {
		testdev_command(dev, word);
	} else {
		pthread_mutex_lock(&t->lock);
		if (in_scratch(bar, off, size))
			memcpy(&t->scratch[off - TESTDEV_SCRATCH], &word, size);
		else if (size == 4)
			testdev_put(t, (unsigned)off, word);
		pthread_mutex_unlock(&t->lock);
	}
}

static int
testdev_init(struct pci_dev *dev, void *conf)
{
	struct testdev *t = pci_dev_priv(dev);
	int error;

	(void)conf;
	pthread_mutex_init(&t->lock, NULL);
	error = pci_bar_add(dev, 0, PCI_BAR_IO, 16);
	if (error == 0)
		error = pci_bar_add(dev, 1, PCI_BAR_MEM32, 4096);
	if (error == 0)
		error = pci_bar_add(dev, 2, PCI_BAR_MEM64, TESTDEV_BAR2_SIZE);
	if (error == 0)
		error = pci_intx_add(dev);
	if (error == 0)
		error = pci_msi_add(dev, TESTDEV_MESSAGES, true);
	if (error == 0)
		error =
		    pci_msix_add(dev, TESTDEV_VECTORS, 2, 0, TESTDEV_MSIX_PBA);
	if (error == 0 && pci_pcie_add(dev, PCIE_INTEGRATED) < 0)
		error = -ENOSPC;
	return (error);
}

static void
testdev_fini(struct pci_dev *dev)
{
	struct testdev *t = pci_dev_priv(dev);

	pthread_mutex_destroy(&t->lock);
}

static void
testdev_reset(struct pci_dev *dev)
{
	struct testdev *t = pci_dev_priv(dev);

	pthread_mutex_lock(&t->lock);
	t->src = t->dst = 0;
	t->len = t->status = 0;
	t->intx = false;
	memset(t->scratch, 0, sizeof(t->scratch));
	pthread_mutex_unlock(&t->lock);
}

const struct pci_device_ops pci_testdev = {
    .name = "pci-testdev",
    .help = "for tests: BARs, interrupts and DMA of every kind",
    .vendor = TESTDEV_VENDOR,
    .device = TESTDEV_DEVICE,
    .class = 0xff, /* fits no class */
    .priv_size = sizeof(struct testdev),
    .state = &testdev_state,
    .init = testdev_init,
    .fini = testdev_fini,
    .reset = testdev_reset,
    .bar_read = testdev_bar_read,
    .bar_write = testdev_bar_write,
};
