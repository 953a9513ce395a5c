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
 * PCI bus 0 after the PCI Local Bus Specification 3.0: configuration
 * mechanism #1 and ECAM, type 0 headers, BARs.
 */
struct pci_bus;
struct pci_dev;

#define PCI_SLOTS    32
#define PCI_FUNCS    8
#define PCI_BARS     6
#define PCI_CFG_SIZE 256u

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
#define PCI_HDR_MULTIFUNC 0x80u

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

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
	uint64_t ecam_base;  /* 0: none; else 256 MiB of mmio */
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

/* Puts a device into bus 0, slot:func. 0; -EEXIST: occupied; -EINVAL: no
 * such slot; or what init returned. */
int pci_add(struct pci_bus *bus, unsigned slot, unsigned func,
    const struct pci_device_ops *ops, void *conf, struct pci_dev **out);
struct pci_dev *pci_at(struct pci_bus *bus, unsigned slot, unsigned func);
/* The descriptor called `name` in a NULL-terminated list, or NULL. */
const struct pci_device_ops *pci_find(
    const struct pci_device_ops *const *list, const char *name);

/* For devices. */
void *pci_dev_priv(struct pci_dev *dev);
const struct pci_device_ops *pci_dev_ops(const struct pci_dev *dev);
unsigned pci_dev_slot(const struct pci_dev *dev);
unsigned pci_dev_func(const struct pci_dev *dev);
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
/* Current address of a BAR, and its size; 0 if there is none. */
uint64_t pci_bar_addr(const struct pci_dev *dev, unsigned idx);
uint64_t pci_bar_size(const struct pci_dev *dev, unsigned idx);
/* Appends a capability (first two bytes id and next are filled in); returns
 * its offset or -ENOSPC. */
int pci_cap_add(struct pci_dev *dev, uint8_t id, const void *body,
    unsigned len /* with the two bytes of header */);

void pci_dump(struct pci_bus *bus, FILE *out);

#endif
