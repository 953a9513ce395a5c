/* SPDX-License-Identifier: BSD-2-Clause */
/* What functions do to memory by themselves: only as bus masters. */
#include <errno.h>

#include "bus/pci_impl.h"
#include "gmem/gmem.h"

bool
pci_dma_enabled(const struct pci_dev *dev)
{
	return (atomic_load(&dev->intr.master) && dev->bus->cfg.gmem != NULL);
}

/* Nobody answered: Received Master Abort (PCI 6.2.3). */
static int
dma_done(struct pci_dev *dev, int error)
{
	if (error != 0) {
		pthread_mutex_lock(&dev->bus->lock);
		dev->cfg[PCIR_STATUS + 1] |= PCI_STATUS_RMA >> 8;
		pthread_mutex_unlock(&dev->bus->lock);
	}
	return (error);
}

int
pci_dma_read(struct pci_dev *dev, uint64_t gpa, void *buf, size_t len)
{
	if (!pci_dma_enabled(dev))
		return (-EPERM);
	return (dma_done(dev, gmem_read(dev->bus->cfg.gmem, gpa, buf, len)));
}

int
pci_dma_write(struct pci_dev *dev, uint64_t gpa, const void *buf, size_t len)
{
	if (!pci_dma_enabled(dev))
		return (-EPERM);
	return (dma_done(dev, gmem_write(dev->bus->cfg.gmem, gpa, buf, len)));
}

void *
pci_dma_map(struct pci_dev *dev, uint64_t gpa, uint64_t len)
{
	void *p;

	if (!pci_dma_enabled(dev))
		return (NULL);
	p = gmem_map(dev->bus->cfg.gmem, gpa, len);
	(void)dma_done(dev, p == NULL ? -EFAULT : 0);
	return (p);
}

void
pci_dma_wrote(struct pci_dev *dev, uint64_t gpa, uint64_t len)
{
	gmem_wrote(dev->bus->cfg.gmem, gpa, len);
}
