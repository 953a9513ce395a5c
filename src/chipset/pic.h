/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_PIC_H
#define LHYVE_CHIPSET_PIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/space.h"

/*
 * The pair of 8259A interrupt controllers with the edge/level register of
 * the EISA chipset. Pure core; arrays are indexed by chip: 0 master, 1
 * slave, cascaded at IRQ2.
 */
struct pic {
	uint8_t lines[2]; /* levels of the pins */
	uint8_t irr[2];   /* latched edges */
	uint8_t isr[2];
	uint8_t imr[2];
	uint8_t elcr[2];
	uint8_t base[2];   /* ICW2 */
	uint8_t lowest[2]; /* pin with the lowest priority */
	uint8_t step[2];   /* initialization word to come, 0: none */
	bool ready[2];     /* initialized */
	bool need_icw4[2];
	bool single[2];
	bool aeoi[2];
	bool rotate_aeoi[2];
	bool sfnm[2];
	bool smm[2];
	bool poll[2];
	bool read_isr[2];
};
extern const struct state_table pic_state;

void pic_reset(struct pic *p);
/* Sets the level of IRQ 0-15. */
void pic_set_pin(struct pic *p, unsigned irq, bool level);
/* The chips' registers; a0 is the address line. */
uint8_t pic_read(struct pic *p, unsigned chip, unsigned a0);
void pic_write(struct pic *p, unsigned chip, unsigned a0, uint8_t val);
/* ELCR; IRQ 0, 1, 2, 8 and 13 are always edge-triggered. */
uint8_t pic_elcr_read(const struct pic *p, unsigned chip);
void pic_elcr_write(struct pic *p, unsigned chip, uint8_t val);
/* Level of the master's INT output. */
bool pic_output(const struct pic *p);
/* INTA: the vector, or -1 if INT is low. */
int pic_ack(struct pic *p);
/* The IRQ that INTA would acknowledge, or -1. */
int pic_next(const struct pic *p);
/* The IRQs that are not masked, as a mask. */
uint16_t pic_open(const struct pic *p);

/* The adapter: ports 0x20, 0xa0, 0x4d0, and the INT output. */
struct pic_dev;
int pic_dev_create(struct pic_dev **out, struct bus_space *ports,
    void (*intr)(void *arg, bool level), void *arg);
void pic_dev_destroy(struct pic_dev *d);
void pic_dev_reset(struct pic_dev *d);
/* An irq_sink_fn; arg is the struct pic_dev. */
void pic_dev_set_pin(void *arg, unsigned irq, bool level);
/* The PIRQ router's inputs, a mask of IRQs. Each is high while this or the
 * ISA line is. */
void pic_dev_set_pirqs(struct pic_dev *d, uint16_t irqs);
/* Makes an IRQ level-triggered, now and after each reset, as a firmware does.
 * IRQs that cannot be are left alone. */
void pic_dev_level(struct pic_dev *d, unsigned irq);
/* The vector, or -1; *irq is the IRQ then. */
int pic_dev_ack(struct pic_dev *d, unsigned *irq);
/* Whether an IRQ would reach the INT output. Takes no lock. */
bool pic_dev_hears(struct pic_dev *d, unsigned irq);
void pic_dev_dump(struct pic_dev *d, FILE *out);

#endif
