/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BUS_PCI_H
#define LHYVE_BUS_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/irq.h"
#include "bus/space.h"

/*
 * PCI after the PCI Local Bus Specification 3.0 (below: PCI) and the PCI
 * Express Base Specification 4.0 (below: PCIe): configuration mechanism #1
 * and ECAM, type 0 headers, BARs, capabilities. Up to 256 buses, each a root
 * of its own, as bhyve has them: there are no bridges between them.
 *
 * Locking: the functions for devices may be called from any thread, by a
 * device that holds no lock of its own which its hooks take. Hooks are called
 * with no lock held.
 */
struct gmem;
struct pci_bus; /* the host bridge: all buses */
struct pci_dev; /* a function */

#define PCI_BUSES    256
#define PCI_SLOTS    32
#define PCI_FUNCS    8
#define PCI_BARS     6
#define PCI_CFG_SIZE 256u

/* A function's address, as in Requester IDs (PCIe 2.2.6.2). */
#define PCI_BDF(bus, slot, func)                                               \
	((uint16_t)((bus) << 8 | ((slot)&0x1f) << 3 | ((func)&7)))

/* Configuration registers (PCI 3.0, figure 6-1). */
enum {
	PCIR_VENDOR = 0x00,
	PCIR_DEVICE = 0x02,
	PCIR_COMMAND = 0x04,
	PCIR_STATUS = 0x06,
	PCIR_REVID = 0x08,
	PCIR_PROGIF = 0x09,
	PCIR_SUBCLASS = 0x0a,
	PCIR_CLASS = 0x0b,
	PCIR_HDRTYPE = 0x0e,
	PCIR_BAR0 = 0x10,
	PCIR_SUBVEND = 0x2c,
	PCIR_SUBDEV = 0x2e,
	PCIR_CAPPTR = 0x34,
	PCIR_INTLINE = 0x3c,
	PCIR_INTPIN = 0x3d,
};
#define PCI_CMD_IO        0x0001u
#define PCI_CMD_MEM       0x0002u
#define PCI_CMD_MASTER    0x0004u
#define PCI_CMD_INTXDIS   0x0400u
#define PCI_STATUS_INTX   0x0008u /* Interrupt Status */
#define PCI_STATUS_CAP    0x0010u
#define PCI_STATUS_RMA    0x2000u /* Received Master Abort */
#define PCI_HDR_MULTIFUNC 0x80u

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

typedef void (*pci_state_fn)(
    void *arg, const struct state_table *table, void *obj);

/*
 * What a kind of device is. One const object for each, found by name
 * through the list that the machine gives to pci_find(). Hooks may be NULL.
 */
struct pci_device_ops {
	const char *name; /* as in -s */
	const char *help; /* one line */
	uint16_t vendor, device;
	uint8_t class, subclass, progif, revid;
	size_t priv_size;                /* bytes of pci_dev_priv(), zeroed */
	const struct state_table *state; /* of the private part */
	/* Or, where the device is several objects: calls fn for each of them.
	 * While nobody changes them. */
	void (*states)(struct pci_dev *dev, pci_state_fn fn, void *arg);

	/* Adds BARs and capabilities; `conf` is the machine's, for the
	 * device's options. 0 or -errno: fini is called too. */
	int (*init)(struct pci_dev *dev, void *conf);
	void (*fini)(struct pci_dev *dev);
	void (*reset)(struct pci_dev *dev);
	/* See a configuration access after the core did it: `off` is aligned
	 * to `size`. cfg_read may replace *val. No lock held. */
	void (*cfg_read)(
	    struct pci_dev *dev, unsigned off, unsigned size, uint32_t *val);
	void (*cfg_write)(
	    struct pci_dev *dev, unsigned off, unsigned size, uint32_t val);
	/* BAR accesses, as in struct bus_ops; 8 bytes come as two of 4. */
	void (*bar_read)(struct pci_dev *dev, unsigned bar, uint64_t off,
	    unsigned size, uint64_t *val);
	void (*bar_write)(struct pci_dev *dev, unsigned bar, uint64_t off,
	    unsigned size, uint64_t val);
};

struct pci_config {
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct msi_sink msi;
	struct gmem *gmem; /* for DMA; NULL: no DMA */
	/* The ISA IRQ behind a line of pci_intx_line(), for the interrupt line
	 * register; 0xff: none. NULL: none of them has one. */
	uint8_t (*intx_irq)(void *arg, unsigned line);
	void *arg;
	/* Makes a write at an address signal an eventfd instead of coming to
	 * the bus, or ends that: whatever is written, or only `match` if that
	 * is not negative. -errno: the writes come as before. With the bus's
	 * lock held; NULL: nobody can. */
	int (*doorbell)(void *arg, bool port, uint64_t addr, unsigned size,
	    int64_t match, int fd, bool on);
	void *doorbell_arg;
	uint64_t ecam_base;  /* 0: none; else 256 MiB of mmio */
	uint32_t io_base;    /* where I/O BARs begin; 0: bhyve's 0x2000 */
	uint32_t mem32_base; /* window for 32-bit BARs */
	uint32_t mem32_limit;
	uint64_t mem64_base; /* window for large 64-bit BARs; 0: none */
	uint64_t mem64_limit;
};

/* Claims 0xcf8, 0xcfc-0xcff and the ECAM. 0 or -errno. */
int pci_bus_create(struct pci_bus **out, const struct pci_config *cfg);
void pci_bus_destroy(struct pci_bus *bus);
/* Headers and BARs as after power-on, then each device's reset. */
void pci_bus_reset(struct pci_bus *bus);

/* Q35's PCIEXBAR (Intel 3 Series datasheet, 5.1.14), eight bytes in the header
 * of a host bridge from `off` on: a second place for the ECAM. The size is
 * always 256 MiB. During init; to be told of each write and reset. The second
 * place is not there while anything is in its way. */
void pci_pciexbar_add(struct pci_dev *dev, unsigned off);
void pci_pciexbar_update(struct pci_dev *dev, unsigned off);

/* Puts a function at PCI_BDF(). Buses in ascending order: each gets a part of
 * the windows. 0; -EEXIST: occupied; -EINVAL: a bus before the last; or what
 * init returned. Before the machine runs. */
int pci_add(struct pci_bus *bus, uint16_t bdf, const struct pci_device_ops *ops,
    void *conf, struct pci_dev **out);
struct pci_dev *pci_at(struct pci_bus *bus, uint16_t bdf);
/* The descriptor called `name` in a NULL-terminated list, or NULL. */
const struct pci_device_ops *pci_find(
    const struct pci_device_ops *const *list, const char *name);

/* What a bus decodes, [base, limit), once all functions are there: the bus
 * with the highest number has the rest of each window. */
struct pci_windows {
	uint32_t io_base, io_limit;
	uint32_t mem32_base, mem32_limit;
	uint64_t mem64_base, mem64_limit;
};
/* False if the bus has no functions; bus 0 always has its windows. */
bool pci_bus_windows(struct pci_bus *bus, unsigned num, struct pci_windows *w);

/* For devices. */
void *pci_dev_priv(struct pci_dev *dev);
const struct pci_device_ops *pci_dev_ops(const struct pci_dev *dev);
uint16_t pci_dev_bdf(const struct pci_dev *dev);
/* Little-endian header access without masks or side effects. */
uint32_t pci_cfg_get(const struct pci_dev *dev, unsigned off, unsigned size);
void pci_cfg_set(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t val);
/* Which bits of a register the guest can write, and which it clears by
 * writing ones. During init. */
void pci_cfg_writable(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t mask);
void pci_cfg_w1c(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t mask);
/* Allocates a BAR: size is rounded up to a power of two, at least 4 (I/O)
 * or 16. A MEM64 takes idx and idx+1. 0, -EINVAL, -EBUSY or -ENOSPC. */
int pci_bar_add(
    struct pci_dev *dev, unsigned idx, enum pci_bar_type type, uint64_t size);
/* Says that a memory BAR is prefetchable. During init. 64-bit BARs above 4
 * GiB are, without being told. */
void pci_bar_prefetchable(struct pci_dev *dev, unsigned idx);
/* Current address of a BAR, and its size; 0 if there is none. */
uint64_t pci_bar_addr(const struct pci_dev *dev, unsigned idx);
/*
 * A register at `off` of a BAR, of 2 or 4 bytes, whose writes do nothing but
 * signal `fd`, which the device also does itself when a write comes to it:
 * there an engine may spare the way. Those with the same address differ in
 * `match`; -1: any value. During init. 0 or -errno.
 */
int pci_doorbell_add(struct pci_dev *dev, unsigned bar, uint32_t off,
    unsigned size, int64_t match, int fd);
uint64_t pci_bar_size(const struct pci_dev *dev, unsigned idx);
/* Appends a capability (first two bytes id and next are filled in); returns
 * its offset or -ENOSPC. It is read-only but for pci_cfg_writable(). */
int pci_cap_add(struct pci_dev *dev, uint8_t id, const void *body,
    unsigned len /* with the two bytes of header */);
/* The offset of the capability, or 0. */
unsigned pci_cap_find(const struct pci_dev *dev, uint8_t id);

#define PCI_CAP_MSI  0x05u
#define PCI_CAP_PCIE 0x10u
#define PCI_CAP_MSIX 0x11u

/* Port types of a PCI Express capability (PCIe 7.5.3.2). */
enum pcie_type { PCIE_ENDPOINT = 0, PCIE_ROOT_PORT = 4, PCIE_INTEGRATED = 9 };
/* Adds one, version 2. With it the function has 4 KiB of configuration space,
 * without extended capabilities. Returns its offset or -ENOSPC. */
int pci_pcie_add(struct pci_dev *dev, enum pcie_type type);

/*
 * Interrupts. A function adds in init what it has: a pin, MSI, MSI-X. It uses
 * MSI-X if that is enabled, then MSI, then the pin; who raises what is off
 * raises nothing. The pin is quiet while messages are enabled.
 */

/* The line of bus/irq.h that pin 1-4 (INTA#-INTD#) of a slot is wired to:
 * 16-23, which are pins of the IOAPIC and PIRQA#-PIRQH#. bhyve's wiring. */
static inline unsigned
pci_intx_line(unsigned slot, unsigned pin)
{
	return (16 + (4 + slot + pin) % 8);
}

/* Gives the function the pin its slot uses least. 0 or -EBUSY. */
int pci_intx_add(struct pci_dev *dev);
/* The level that the function wants; Interrupt Status shows it. */
void pci_intx_set(struct pci_dev *dev, bool level);

/* Adds MSI with 64-bit addresses and 1, 2, 4, ... 32 messages, with or
 * without mask bits for each. 0, -EINVAL, -EBUSY or -ENOSPC. */
int pci_msi_add(struct pci_dev *dev, unsigned count, bool maskable);
/* How many messages the guest has enabled; 0: MSI is off. */
unsigned pci_msi_count(struct pci_dev *dev);
/* Sends message n, or one that stands for it if fewer are enabled. */
void pci_msi_raise(struct pci_dev *dev, unsigned n);

#define PCI_MSIX_MAX 2048u
/* Adds MSI-X, its table and pending bits at two offsets (multiples of 8) of a
 * memory BAR that was added before; the device does not see accesses to
 * them. 0, -EINVAL, -EBUSY, -ENOSPC or -ENOMEM. */
int pci_msix_add(struct pci_dev *dev, unsigned vectors, unsigned bar,
    uint32_t table, uint32_t pba);
bool pci_msix_enabled(struct pci_dev *dev);
/* Sends the vector, or marks it pending while it is masked. */
void pci_msix_raise(struct pci_dev *dev, unsigned vector);

/*
 * DMA. Refused with -EPERM while the guest has not enabled bus mastering;
 * -EFAULT and Received Master Abort if any byte is not memory. Reading takes
 * ROM as well. Otherwise as gmem_read(), gmem_write() and gmem_map(); who
 * wrote through the pointer of pci_dma_map() says so by pci_dma_wrote().
 */
bool pci_dma_enabled(const struct pci_dev *dev); /* takes no lock */
int pci_dma_read(struct pci_dev *dev, uint64_t gpa, void *buf, size_t len);
int pci_dma_write(
    struct pci_dev *dev, uint64_t gpa, const void *buf, size_t len);
void *pci_dma_map(struct pci_dev *dev, uint64_t gpa, uint64_t len);
void pci_dma_wrote(struct pci_dev *dev, uint64_t gpa, uint64_t len);

void pci_dump(struct pci_bus *bus, FILE *out);

#endif
