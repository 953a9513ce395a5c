/* SPDX-License-Identifier: BSD-2-Clause */
/* After the Intel 8259A datasheet (231468). */
#include <string.h>

#include "chipset/pic.h"

#define PIC_CASCADE 2u

/* Initialization Command Word 1 */
#define ICW1_IC4  0x01u
#define ICW1_SNGL 0x02u
#define ICW1_INIT 0x10u
/* Initialization Command Word 4 */
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
/* Operation Command Words: which one, by D4 and D3 */
#define OCW3_SELECT 0x08u
#define OCW2_EOI    0x20u
#define OCW2_SL     0x40u
#define OCW2_R      0x80u
#define OCW3_RIS    0x01u
#define OCW3_RR     0x02u
#define OCW3_P      0x04u
#define OCW3_SMM    0x20u
#define OCW3_ESMM   0x40u

static const uint8_t elcr_mask[2] = {0xf8, 0xde};

static const struct state_field pic_fields[] = {
    STATE_ARRAY(struct pic, lines, 1),
    STATE_ARRAY(struct pic, irr, 1),
    STATE_ARRAY(struct pic, isr, 1),
    STATE_ARRAY(struct pic, imr, 1),
    STATE_ARRAY(struct pic, elcr, 1),
    STATE_ARRAY(struct pic, base, 1),
    STATE_ARRAY(struct pic, lowest, 1),
    STATE_ARRAY(struct pic, step, 1),
    STATE_ARRAY(struct pic, ready, 1),
    STATE_ARRAY(struct pic, need_icw4, 1),
    STATE_ARRAY(struct pic, single, 1),
    STATE_ARRAY(struct pic, aeoi, 1),
    STATE_ARRAY(struct pic, rotate_aeoi, 1),
    STATE_ARRAY(struct pic, sfnm, 1),
    STATE_ARRAY(struct pic, smm, 1),
    STATE_ARRAY(struct pic, poll, 1),
    STATE_ARRAY(struct pic, read_isr, 1),
    STATE_END,
};
const struct state_table pic_state = {"pic", 1, pic_fields};

void
pic_reset(struct pic *p)
{
	uint8_t lines[2];

	memcpy(lines, p->lines, sizeof(lines));
	memset(p, 0, sizeof(*p));
	memcpy(p->lines, lines, sizeof(lines));
	p->lowest[0] = p->lowest[1] = 7;
}

static int pic_pick(const struct pic *p, unsigned chip);

/* What requests service: latched edges, levels, and the slave's output,
 * which is followed as a level so that it cannot go stale. */
static uint8_t
pic_requests(const struct pic *p, unsigned chip)
{
	uint8_t req;

	req = (uint8_t)(p->irr[chip] | (p->lines[chip] & p->elcr[chip]));
	if (chip == 0 && !p->single[0]) {
		req &= (uint8_t) ~(1u << PIC_CASCADE);
		if (pic_pick(p, 1) >= 0)
			req |= 1u << PIC_CASCADE;
	}
	return (req);
}

/* The pin to be served now, or -1: the first in the order of priority
 * unless a pin of the same or higher priority is in service. */
static int
pic_pick(const struct pic *p, unsigned chip)
{
	uint8_t req, busy = p->isr[chip];
	unsigned i, pin;

	if (!p->ready[chip] || p->step[chip] != 0)
		return (-1);
	req = (uint8_t)(pic_requests(p, chip) & ~p->imr[chip]);
	/* Special Mask Mode: a masked level in service inhibits nobody. */
	if (p->smm[chip])
		busy &= (uint8_t)~p->imr[chip];
	/* Special Fully Nested Mode: the slave may interrupt itself. */
	if (p->sfnm[chip] && chip == 0)
		busy &= (uint8_t) ~(1u << PIC_CASCADE);
	for (i = 1; i <= 8; i++) {
		pin = (p->lowest[chip] + i) & 7;
		if (busy & (1u << pin))
			return (-1);
		if (req & (1u << pin))
			return ((int)pin);
	}
	return (-1);
}

bool
pic_output(const struct pic *p)
{
	return (pic_pick(p, 0) >= 0);
}

void
pic_set_pin(struct pic *p, unsigned irq, bool level)
{
	unsigned chip = irq >> 3 & 1;
	uint8_t bit = (uint8_t)(1u << (irq & 7));

	if (irq > 15 || irq == PIC_CASCADE)
		return;
	/*
	 * The latch keeps a short pulse, which the datasheet would answer
	 * with the default IR7; devices here pulse (see docs/quirks.md).
	 * Edges before the initialization are lost.
	 */
	if (level && !(p->lines[chip] & bit) && !(p->elcr[chip] & bit) &&
	    p->ready[chip])
		p->irr[chip] |= bit;
	if (level)
		p->lines[chip] |= bit;
	else
		p->lines[chip] &= (uint8_t)~bit;
}

static void
pic_accept(struct pic *p, unsigned chip, unsigned pin)
{
	p->irr[chip] &= (uint8_t) ~(1u << pin);
	if (!p->aeoi[chip])
		p->isr[chip] |= (uint8_t)(1u << pin);
	else if (p->rotate_aeoi[chip])
		p->lowest[chip] = (uint8_t)pin;
}

int
pic_ack(struct pic *p)
{
	int pin = pic_pick(p, 0), slave;

	if (pin < 0)
		return (-1);
	if (pin != (int)PIC_CASCADE || p->single[0]) {
		pic_accept(p, 0, (unsigned)pin);
		return (p->base[0] + pin);
	}
	slave = pic_pick(p, 1);
	pic_accept(p, 0, PIC_CASCADE);
	if (slave < 0) /* cannot be: the request was the slave's output */
		return (p->base[1] + 7);
	pic_accept(p, 1, (unsigned)slave);
	return (p->base[1] + slave);
}

int
pic_next(const struct pic *p)
{
	int pin = pic_pick(p, 0), slave;

	if (pin != (int)PIC_CASCADE || p->single[0])
		return (pin);
	slave = pic_pick(p, 1);
	return (slave < 0 ? 15 : slave + 8);
}

uint16_t
pic_open(const struct pic *p)
{
	uint16_t open = 0;

	if (p->ready[0])
		open = (uint8_t)~p->imr[0];
	if (p->ready[1] && (open >> PIC_CASCADE & 1) && !p->single[0])
		open |= (uint16_t)((uint8_t)~p->imr[1] << 8);
	return (open);
}

uint8_t
pic_read(struct pic *p, unsigned chip, unsigned a0)
{
	int pin;

	if (p->poll[chip]) {
		/* Poll Command: the read is the acknowledge cycle. */
		p->poll[chip] = false;
		pin = pic_pick(p, chip);
		if (pin < 0)
			return (0);
		pic_accept(p, chip, (unsigned)pin);
		return ((uint8_t)(0x80 | pin));
	}
	if (a0)
		return (p->imr[chip]);
	return (p->read_isr[chip] ? p->isr[chip] : pic_requests(p, chip));
}

static void
pic_icw1(struct pic *p, unsigned chip, uint8_t val)
{
	p->irr[chip] = p->isr[chip] = p->imr[chip] = 0;
	p->lowest[chip] = 7;
	p->smm[chip] = p->poll[chip] = p->read_isr[chip] = false;
	p->aeoi[chip] = p->rotate_aeoi[chip] = p->sfnm[chip] = false;
	p->single[chip] = (val & ICW1_SNGL) != 0;
	p->need_icw4[chip] = (val & ICW1_IC4) != 0;
	p->ready[chip] = false;
	p->step[chip] = 2;
}

static void
pic_icw(struct pic *p, unsigned chip, uint8_t val)
{
	switch (p->step[chip]) {
	case 2:
		p->base[chip] = val & 0xf8;
		p->step[chip] = 3;
		if (!p->single[chip])
			return;
		break;
	case 3: /* the cascade is wired to IRQ2 */
		break;
	default:
		p->aeoi[chip] = (val & ICW4_AEOI) != 0;
		p->sfnm[chip] = (val & ICW4_SFNM) != 0;
		p->need_icw4[chip] = false;
		break;
	}
	p->step[chip] = p->need_icw4[chip] ? 4 : 0;
	p->ready[chip] = p->step[chip] == 0;
}

/* End of interrupt and priorities (OCW2). */
static void
pic_ocw2(struct pic *p, unsigned chip, uint8_t val)
{
	unsigned pin = val & 7, i;
	uint8_t isr = p->isr[chip];

	if (!(val & OCW2_EOI)) {
		if ((val & OCW2_SL) && (val & OCW2_R))
			p->lowest[chip] = (uint8_t)pin;
		else if (!(val & OCW2_SL))
			p->rotate_aeoi[chip] = (val & OCW2_R) != 0;
		return;
	}
	if (!(val & OCW2_SL)) {
		/* Non-specific: the highest in service; not a masked one in
		 * Special Mask Mode. */
		if (p->smm[chip])
			isr &= (uint8_t)~p->imr[chip];
		for (i = 1; i <= 8; i++) {
			pin = (p->lowest[chip] + i) & 7;
			if (isr & (1u << pin))
				break;
		}
		if (i > 8)
			return;
	}
	p->isr[chip] &= (uint8_t) ~(1u << pin);
	if (val & OCW2_R)
		p->lowest[chip] = (uint8_t)pin;
}

void
pic_write(struct pic *p, unsigned chip, unsigned a0, uint8_t val)
{
	if (a0) {
		if (p->step[chip] != 0)
			pic_icw(p, chip, val);
		else
			p->imr[chip] = val; /* OCW1 */
		return;
	}
	if (val & ICW1_INIT)
		pic_icw1(p, chip, val);
	else if (!(val & OCW3_SELECT))
		pic_ocw2(p, chip, val);
	else {
		if (val & OCW3_ESMM)
			p->smm[chip] = (val & OCW3_SMM) != 0;
		if (val & OCW3_RR)
			p->read_isr[chip] = (val & OCW3_RIS) != 0;
		p->poll[chip] = (val & OCW3_P) != 0;
	}
}

uint8_t
pic_elcr_read(const struct pic *p, unsigned chip)
{
	return (p->elcr[chip]);
}

void
pic_elcr_write(struct pic *p, unsigned chip, uint8_t val)
{
	p->elcr[chip] = val & elcr_mask[chip];
	/* A level-triggered pin has no latch. */
	p->irr[chip] &= (uint8_t)~p->elcr[chip];
}
