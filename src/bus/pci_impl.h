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

struct pci_msix_entry {
	uint64_t addr;
	uint32_t data;
	uint8_t ctrl;    /* Vector Control: bit 0, masked */
	uint8_t pending; /* its bit of the PBA */
};

/*
 * A function's interrupts: what it wants, and what its header says, taken
 * over by pci_intr_config(). Lock order: the bus, then this.
 */
struct pci_intr {
	pthread_mutex_t lock;
	atomic_bool master; /* read without the lock */
	bool intx_off;
	bool intx_want;
	struct irq_source line; /* no lines: no pin, or nobody to hear it */
	uint8_t msi_cap;        /* offset; 0: none */
	uint8_t msi_max, msi_count;
	bool msi_pvm, msi_on;
	uint32_t msi_data, msi_mask, msi_pending;
	uint64_t msi_addr;
	uint8_t msix_cap;
	bool msix_on, msix_masked;
	unsigned msix_vectors, msix_bar, msix_npending;
	uint32_t msix_table, msix_pba;
	struct pci_msix_entry *msix;
};
extern const struct state_table pci_intr_state, pci_msix_state;

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
	struct pci_intr intr;
	struct pci_doorbell *doorbells; /* owned */
	unsigned ndoorbells;
	void *priv;
};

/* pci_doorbell.c: those of a BAR that was mapped, or will not be any more;
 * lock held. */
#define PCI_DOORBELLS_MAX 256u
struct pci_doorbell {
	unsigned bar, size;
	uint32_t off;
	int64_t match; /* -1: any */
	int fd;
};
void pci_doorbells_set(struct pci_dev *dev, unsigned bar, bool on);
void pci_doorbells_fini(struct pci_dev *dev);

/* A bus: its functions by slot and function, and where its windows begin. */
struct pci_root {
	struct pci_dev *dev[PCI_SLOTS * PCI_FUNCS];
	uint64_t base_io, base_mem32, base_mem64;
};

struct pci_bus {
	struct pci_config cfg;
	pthread_mutex_t lock; /* headers, address register, BAR mappings */
	uint32_t addr;        /* CONFIG_ADDRESS */
	uint64_t ecam2;       /* the second ECAM; 0: none */
	struct pci_root *root[PCI_BUSES];
	struct pci_dev *devs; /* all, the last added first */
	unsigned last;        /* number of the bus that was added to last */
	uint64_t next_io, next_mem32, next_mem64;
};

/* Maps and unmaps BARs after a change of them or of COMMAND; then those of
 * others that were in the way of each other. Lock held. */
void pci_bar_update(struct pci_dev *dev);
/* Maps what was kept from it by something else. Lock held. */
void pci_bar_retry(struct pci_bus *bus);
/* Takes all BARs out of the spaces. Lock held, or alone. */
void pci_bar_unmap(struct pci_dev *dev);

void pci_intr_init(struct pci_dev *dev);
void pci_intr_fini(struct pci_dev *dev);
/* Nothing wanted, nothing pending. The bus's lock held. */
void pci_intr_reset(struct pci_dev *dev);
/* Takes over what the header says. The bus's lock held; when it is dropped,
 * pci_intr_settle() follows. */
void pci_intr_config(struct pci_dev *dev);
/* Brings what the guest reads into the header. The bus's lock held. */
void pci_intr_publish(struct pci_dev *dev);
/* Sends what can be sent, sets the line. No lock held. */
void pci_intr_settle(struct pci_dev *dev);

/* These with the function's lock held. */
void pci_msix_clear(struct pci_intr *in);
void pci_msix_config(struct pci_dev *dev);
bool pci_msix_take(struct pci_intr *in, uint64_t *addr, uint32_t *data);

void pci_msix_fini(struct pci_dev *dev);
/* Accesses to a BAR, no lock held. False: to nothing of MSI-X. */
bool pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t *val);
bool pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t val);

#endif
