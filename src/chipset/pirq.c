/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chipset/pirq.h"

#define PIRQ_IRQ      0x0fu
#define PIRQ_WRITABLE (PIRQ_OFF | PIRQ_IRQ)

static const struct state_field pirq_fields[] = {
    STATE_ARRAY(struct pirq, reg, 1),
    STATE_ARRAY(struct pirq, boot, 1),
    STATE_FIELD(struct pirq, lines, 1),
    STATE_ARRAY(struct pirq, uses, 1),
    STATE_END,
};
const struct state_table pirq_state = {"pirq", 1, pirq_fields};

void
pirq_init(struct pirq *p)
{
	memset(p, 0, sizeof(*p));
	memset(p->boot, PIRQ_OFF, sizeof(p->boot));
	pirq_reset(p);
}

void
pirq_reset(struct pirq *p)
{
	memcpy(p->reg, p->boot, sizeof(p->reg));
}

void
pirq_reserve(struct pirq *p, unsigned irq)
{
	if (irq < 16 && p->uses[irq] < UINT8_MAX)
		p->uses[irq]++;
}

uint8_t
pirq_assign(struct pirq *p, unsigned n)
{
	unsigned irq, best = PIRQ_NONE;

	if (n >= PIRQ_LINES)
		return (PIRQ_NONE);
	if (p->boot[n] & PIRQ_OFF) {
		for (irq = 0; irq < 16; irq++)
			if ((PIRQ_PERMITTED >> irq & 1) != 0 &&
			    (best == PIRQ_NONE || p->uses[irq] < p->uses[best]))
				best = irq;
		p->boot[n] = p->reg[n] = (uint8_t)best;
		pirq_reserve(p, best);
	}
	return (p->boot[n]);
}

uint8_t
pirq_read(const struct pirq *p, unsigned n)
{
	return (n < PIRQ_LINES ? p->reg[n] : 0xff);
}

void
pirq_write(struct pirq *p, unsigned n, uint8_t val)
{
	if (n < PIRQ_LINES)
		p->reg[n] = val & PIRQ_WRITABLE;
}

void
pirq_set_line(struct pirq *p, unsigned n, bool level)
{
	uint8_t bit = (uint8_t)(1u << (n & 7));

	p->lines = (uint8_t)(level ? p->lines | bit : p->lines & ~bit);
}

uint16_t
pirq_irqs(const struct pirq *p)
{
	unsigned n, irqs = 0;

	for (n = 0; n < PIRQ_LINES; n++)
		if ((p->lines >> n & 1) != 0 && !(p->reg[n] & PIRQ_OFF))
			irqs |= 1u << (p->reg[n] & PIRQ_IRQ);
	return ((uint16_t)(irqs & PIRQ_PERMITTED));
}
