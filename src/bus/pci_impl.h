/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BUS_PCI_IMPL_H
#define LHYVE_BUS_PCI_IMPL_H

#include <pthread.h>

#include "bus/pci.h"

/* What the files of the PCI core share. */
#define PCI_CAP_FIRST 0x40u
#define PCI_IO_LIMIT  0x10000u

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
	struct pci_dev *next;
	const struct pci_device_ops *ops;
	uint16_t bdf;
	bool pcie;
	uint8_t cfg[PCI_CFG_SIZE];
	uint8_t power_on[PCI_CFG_SIZE];
	uint8_t wmask[PCI_CFG_SIZE];
	uint8_t w1c[PCI_CFG_SIZE];
	struct pci_bar bar[PCI_BARS];
	unsigned cap_end, cap_last;
	void *priv;
};

/* A bus: its functions by slot and function, and where its windows begin. */
struct pci_root {
	struct pci_dev *dev[PCI_SLOTS * PCI_FUNCS];
	uint64_t base_io, base_mem32, base_mem64;
};

struct pci_bus {
	struct pci_config cfg;
	pthread_mutex_t lock; /* headers, address register, BAR mappings */
	uint32_t addr;        /* CONFIG_ADDRESS */
	struct pci_root *root[PCI_BUSES];
	struct pci_dev *devs; /* all, the last added first */
	unsigned last;        /* number of the bus that was added to last */
	uint64_t next_io, next_mem32, next_mem64;
};

/* Maps and unmaps BARs after a change of them or of COMMAND; then those of
 * others that were in the way of each other. Lock held. */
void pci_bar_update(struct pci_dev *dev);
/* Takes all BARs out of the spaces. Lock held, or alone. */
void pci_bar_unmap(struct pci_dev *dev);

#endif
