/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_PIRQ_H
#define LHYVE_CHIPSET_PIRQ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"

/*
 * The PIRQ router of an Intel south bridge (82801JI ICH10 datasheet, 13.1.17
 * and 13.1.23): eight inputs, PIRQA# to PIRQH#, each routed to one ISA IRQ
 * of the PIC or to none. Pure core.
 */
#define PIRQ_LINES 8
#define PIRQ_OFF   0x80u
#define PIRQ_NONE  0xffu
/* IRQs that a PIRQ may have: 3-7, 9-12, 14, 15. */
#define PIRQ_PERMITTED 0xdef8u

struct pirq {
	uint8_t reg[PIRQ_LINES];  /* PIRQx_ROUT */
	uint8_t boot[PIRQ_LINES]; /* and as the firmware sets them */
	uint8_t lines;            /* levels of the inputs */
	uint8_t uses[16];         /* who has each IRQ */
};
extern const struct state_table pirq_state;

/* Routes nothing; nobody uses an IRQ. */
void pirq_init(struct pirq *p);
/* Registers as the firmware has set them. */
void pirq_reset(struct pirq *p);
/* Somebody else uses the IRQ: routes go to others first. */
void pirq_reserve(struct pirq *p, unsigned irq);
/* What a firmware does: gives the input the IRQ that is used least, if it has
 * none. The IRQ. */
uint8_t pirq_assign(struct pirq *p, unsigned n);
/* The registers: bit 7 off, bits 3:0 the IRQ. */
uint8_t pirq_read(const struct pirq *p, unsigned n);
void pirq_write(struct pirq *p, unsigned n, uint8_t val);
void pirq_set_line(struct pirq *p, unsigned n, bool level);
/* The IRQs that are asserted now, as a mask. */
uint16_t pirq_irqs(const struct pirq *p);

/* The adapter. */
struct pic_dev;
struct pirq_dev;
int pirq_dev_create(struct pirq_dev **out, struct pic_dev *pic);
void pirq_dev_destroy(struct pirq_dev *d);
void pirq_dev_reset(struct pirq_dev *d);
void pirq_dev_reserve(struct pirq_dev *d, unsigned irq);
/* Assigns, and makes the IRQ level-triggered at the PIC. */
uint8_t pirq_dev_assign(struct pirq_dev *d, unsigned n);
uint8_t pirq_dev_read(struct pirq_dev *d, unsigned n);
void pirq_dev_write(struct pirq_dev *d, unsigned n, uint8_t val);
/* An irq_sink_fn; arg is the struct pirq_dev, pin 0-7. */
void pirq_dev_set_line(void *arg, unsigned pin, bool level);
void pirq_dev_dump(struct pirq_dev *d, FILE *out);

#endif
