/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_CHIPSET_H
#define LHYVE_CHIPSET_CHIPSET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bus/irq.h"
#include "bus/pci.h"
#include "bus/space.h"
#include "chipset/bootvars.h"

struct chardev;
struct fwcfg;
struct gmem;
struct vclock;

/*
 * The chips of the board, put together: PIC, PIT, IOAPIC, PIRQ router, RTC,
 * PM, reset control, i8042, UARTs, POST, HPET, at bhyve's addresses, and the
 * interrupt lines between them.
 */
struct chipset;

#define CHIPSET_UARTS       4
#define CHIPSET_IOAPIC_BASE 0xfec00000u
#define CHIPSET_HPET_BASE   0xfed00000u
/* Event Timer Block ID of the HPET, for its ACPI table. */
#define CHIPSET_HPET_ID 0x80868701u
#define CHIPSET_SCI_IRQ 9
/* The host bridge of QEMU's Q35 board, and where memory ends for firmware that
 * sees it: its PCIEXBAR comes there. */
#define CHIPSET_Q35_VENDOR 0x8086u
#define CHIPSET_Q35_DEVICE 0x29c0u
#define CHIPSET_Q35_LOWMEM 0xb0000000u
/* ISA IRQs that PCI interrupts can be routed to, as a mask. */
#define CHIPSET_PIRQ_IRQS 0xdef8u

struct chipset_config {
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs; /* unconnected; the chipset connects them */
	struct vclock *vclock;
	/* The guest's wall clock at virtual time 0, as seconds since 1970 of
	 * the time to show (local time already converted as if UTC). */
	int64_t wall_time;
	uint64_t lowmem, highmem; /* bytes below and above 4 GiB, for CMOS */
	struct chardev *com[CHIPSET_UARTS]; /* COM1-4; NULL: not there */
	/* To be sealed before the guest runs; the chipset takes it over, also
	 * when it cannot be created. Writes to gmem. NULL: not there. */
	struct fwcfg *fwcfg;
	struct gmem *gmem;
	struct bootvars_config vars; /* size 0: not there */

	/* Oddities, see debug.h. The chardevs are not owned; NULL: not there.
	 * Port 0: no exit port. */
	struct chardev *bvmcons, *dbgport;
	bool pc_testdev;
	uint16_t debug_exit;

	/* The world outside. Called from any thread with no lock held that
	 * the chipset takes on the way in, but may not call back into it. */
	void *arg;
	void (*extint)(void *arg, bool level); /* PIC INTR: vm_extint() */
	void (*msi)(void *arg, uint64_t addr, uint32_t data); /* vm_msi() */
	/* vm_want_eoi(); may be NULL */
	void (*want_eoi)(void *arg, uint64_t addr, uint32_t data);
	void (*a20)(void *arg, bool open); /* vm_set_a20(); may be NULL */
	void (*reset)(void *arg);    /* vm_suspend(VM_SUSPEND_RESET) */
	void (*poweroff)(void *arg); /* vm_suspend(VM_SUSPEND_POWEROFF) */
	void (*end)(void *arg, int status); /* exit with that status */
};

/* 0 or -errno; the configuration is copied. */
int chipset_create(struct chipset **out, const struct chipset_config *cfg);
void chipset_destroy(struct chipset *cs);
/* Every chip as after RESET (CMOS contents and time stay). */
void chipset_reset(struct chipset *cs);
/* INTA cycle, for vmm_io_ops.intr_ack: the vector, or -1 if the line fell. */
int chipset_intr_ack(struct chipset *cs);
/* A vector was completed, for vmm_io_ops.eoi. */
void chipset_eoi(struct chipset *cs, uint8_t vector, bool level);
/* Presses the power button. False if the guest has not enabled ACPI, so
 * that nobody would notice. Any thread; not a signal handler. */
bool chipset_power_button(struct chipset *cs);
/* For pci_config.intx_irq, arg is the struct chipset: the ISA IRQ that the
 * firmware routes a line of pci_intx_line() to. */
uint8_t chipset_intx_irq(void *arg, unsigned line);
/* PIRQx_ROUT, n 0-7, for the LPC bridge. */
uint8_t chipset_pirq_read(struct chipset *cs, unsigned n);
void chipset_pirq_write(struct chipset *cs, unsigned n, uint8_t val);
/* For the LPC bridge: whether firmware for QEMU's boards is expected, and a
 * second place for the power management registers; 0: none. */
bool chipset_has_fwcfg(const struct chipset *cs);
void chipset_place_pm(struct chipset *cs, uint16_t base);
/* State of every chip, from the state tables. */
void chipset_dump(struct chipset *cs, FILE *out);

/* What pci_add() takes for pci_lpc is the struct chipset. For the host bridges:
 * bhyve's pcireg.*; -1: as it is.
 * Firmwares and drivers know boards by their host bridge. */
struct hostbridge_config {
	int vendor, device, revid, subvendor, subdevice;
};

/* PCI devices that belong to the chipset: for pci_add() and pci_find().
 * NULL-terminated. */
extern const struct pci_device_ops pci_hostbridge;
extern const struct pci_device_ops pci_lpc;
extern const struct pci_device_ops pci_testdev; /* testdev.h */
extern const struct pci_device_ops *const chipset_pci_devices[];

#endif
