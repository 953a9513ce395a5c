/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_IOAPIC_H
#define LHYVE_CHIPSET_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/irq.h"
#include "bus/space.h"

#define IOAPIC_PINS 32

/* The 82093AA I/O APIC with 32 pins. Pure core: what it sends is returned
 * as a mask of pins, the message of each by ioapic_message(). */
struct ioapic {
	uint64_t rte[IOAPIC_PINS];
	uint32_t lines; /* levels of the pins */
	uint32_t id;
	uint32_t select; /* IOREGSEL */
};
extern const struct state_table ioapic_state;

void ioapic_reset(struct ioapic *io);
/* Each returns the pins whose message has to be sent now. */
uint32_t ioapic_set_pin(struct ioapic *io, unsigned pin, bool level);
uint32_t ioapic_eoi(struct ioapic *io, uint8_t vector);
uint32_t ioapic_write(struct ioapic *io, uint32_t offset, uint32_t val);
/* Pins with an edge-triggered entry of that vector, not masked. */
uint32_t ioapic_edges(const struct ioapic *io, uint8_t vector);
/* The pins that are not masked; the vectors of all. */
uint32_t ioapic_open(const struct ioapic *io, uint32_t vectors[8]);
/* Dword registers at offsets 0 and 0x10; others read 0. */
uint32_t ioapic_read(const struct ioapic *io, uint32_t offset);
/* The interrupt message of a pin. */
void ioapic_message(
    const struct ioapic *io, unsigned pin, uint64_t *addr, uint32_t *data);

/* The adapter: 4 KiB of MMIO at base. */
struct ioapic_dev;
int ioapic_dev_create(struct ioapic_dev **out, struct bus_space *mmio,
    uint64_t base, const struct msi_sink *msi);
void ioapic_dev_destroy(struct ioapic_dev *d);
void ioapic_dev_reset(struct ioapic_dev *d);
/* An irq_sink_fn; arg is the struct ioapic_dev. */
void ioapic_dev_set_pin(void *arg, unsigned pin, bool level);
/* Completes a level-triggered vector; or returns the pins whose edge was
 * completed. Remote IRR is not for the latter. */
uint32_t ioapic_dev_eoi(struct ioapic_dev *d, uint8_t vector, bool level);
/* Whether the entry of a pin is not masked. Takes no lock. */
bool ioapic_dev_hears(struct ioapic_dev *d, unsigned pin);
void ioapic_dev_dump(struct ioapic_dev *d, FILE *out);

#endif
