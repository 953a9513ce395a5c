/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BUS_PCI_IMPL_H
#define LHYVE_BUS_PCI_IMPL_H

#include <pthread.h>

#include "bus/pci.h"

/* What pci.c and pci_bar.c share. */
struct pci_bar {
	struct pci_dev *dev;
	unsigned idx;
	enum pci_bar_type type;
	uint64_t size;
	uint64_t mapped; /* address in the space; 0: not decoding */
	bool upper;      /* high half of a MEM64 */
};

struct pci_dev {
	struct pci_bus *bus;
	const struct pci_device_ops *ops;
	unsigned slot, func;
	uint8_t cfg[PCI_CFG_SIZE];
	uint8_t power_on[PCI_CFG_SIZE];
	uint8_t wmask[PCI_CFG_SIZE];
	uint8_t w1c[PCI_CFG_SIZE];
	struct pci_bar bar[PCI_BARS];
	unsigned cap_end, cap_last;
	void *priv;
};

struct pci_bus {
	struct pci_config cfg;
	pthread_mutex_t lock; /* headers, address register, BAR mappings */
	uint32_t addr;        /* CONFIG_ADDRESS */
	struct pci_dev *dev[PCI_SLOTS][PCI_FUNCS];
	uint64_t next_io, next_mem32, next_mem64;
};

/* Maps and unmaps BARs after a change of them or of COMMAND. Lock held. */
void pci_bar_update(struct pci_dev *dev);
/* Takes all BARs out of the spaces. Lock held, or alone. */
void pci_bar_unmap(struct pci_dev *dev);

#endif
