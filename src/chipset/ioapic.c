/* SPDX-License-Identifier: BSD-2-Clause */
/* After the Intel 82093AA datasheet (290566), section 3.2. */
#include <string.h>

#include "chipset/ioapic.h"

#define IOAPIC_REGSEL  0x00u
#define IOAPIC_WIN     0x10u
#define IOAPIC_ID      0x00u
#define IOAPIC_VER     0x01u
#define IOAPIC_ARB     0x02u
#define IOAPIC_REDTBL  0x10u
#define IOAPIC_VERSION 0x11u

#define RTE_VECTOR     0xffull
#define RTE_DELIVERY   0x700ull
#define RTE_LOGICAL    (1ull << 11)
#define RTE_STATUS     (1ull << 12)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL      (1ull << 15)
#define RTE_MASKED     (1ull << 16)
#define RTE_DEST_SHIFT 56
#define RTE_READONLY   (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE   (0xff0000000001ffffull & ~RTE_READONLY)

static const struct state_field ioapic_fields[] = {
    STATE_ARRAY(struct ioapic, rte, 1),
    STATE_FIELD(struct ioapic, lines, 1),
    STATE_FIELD(struct ioapic, id, 1),
    STATE_FIELD(struct ioapic, select, 1),
    STATE_END,
};
const struct state_table ioapic_state = {"ioapic", 1, ioapic_fields};

void
ioapic_reset(struct ioapic *io)
{
	uint32_t lines = io->lines;
	unsigned i;

	memset(io, 0, sizeof(*io));
	io->lines = lines;
	for (i = 0; i < IOAPIC_PINS; i++)
		io->rte[i] = RTE_MASKED;
}

/* A level-triggered pin that is high, unmasked and not in service sends. */
static uint32_t
ioapic_level(struct ioapic *io, unsigned pin)
{
	uint64_t *rte = &io->rte[pin];

	if (!(io->lines & (1u << pin)) || !(*rte & RTE_LEVEL) ||
	    (*rte & (RTE_MASKED | RTE_REMOTE_IRR)))
		return (0);
	*rte |= RTE_REMOTE_IRR;
	return (1u << pin);
}

uint32_t
ioapic_set_pin(struct ioapic *io, unsigned pin, bool level)
{
	uint32_t bit = 1u << (pin & 31), old = io->lines;

	if (pin >= IOAPIC_PINS)
		return (0);
	io->lines = level ? old | bit : old & ~bit;
	if (io->rte[pin] & RTE_LEVEL)
		return (ioapic_level(io, pin));
	/* An edge on a masked pin is lost (section 3.2.4, Interrupt Mask). */
	if (level && !(old & bit) && !(io->rte[pin] & RTE_MASKED))
		return (bit);
	return (0);
}

uint32_t
ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	uint32_t send = 0;
	unsigned i;

	for (i = 0; i < IOAPIC_PINS; i++) {
		if ((io->rte[i] & RTE_VECTOR) != vector ||
		    !(io->rte[i] & RTE_REMOTE_IRR))
			continue;
		io->rte[i] &= ~RTE_REMOTE_IRR;
		send |= ioapic_level(io, i);
	}
	return (send);
}

uint32_t
ioapic_edges(const struct ioapic *io, uint8_t vector)
{
	uint32_t pins = 0;
	unsigned i;

	for (i = 0; i < IOAPIC_PINS; i++)
		if ((io->rte[i] & RTE_VECTOR) == vector &&
		    !(io->rte[i] & (RTE_LEVEL | RTE_MASKED)))
			pins |= 1u << i;
	return (pins);
}

uint32_t
ioapic_open(const struct ioapic *io, uint32_t vectors[8])
{
	uint32_t pins = 0;
	unsigned i, vector;

	memset(vectors, 0, 8 * sizeof(vectors[0]));
	for (i = 0; i < IOAPIC_PINS; i++) {
		vector = io->rte[i] & RTE_VECTOR;
		vectors[vector / 32] |= 1u << vector % 32;
		if (!(io->rte[i] & RTE_MASKED))
			pins |= 1u << i;
	}
	return (pins);
}

static uint32_t
ioapic_write_rte(struct ioapic *io, unsigned index, uint32_t val)
{
	unsigned pin = index / 2;
	uint64_t *rte, new;

	if (pin >= IOAPIC_PINS)
		return (0);
	rte = &io->rte[pin];
	if (index & 1)
		new = (*rte & 0xffffffffu) | (uint64_t)val << 32;
	else
		new = (*rte & ~0xffffffffull) | val;
	*rte = (*rte & RTE_READONLY) | (new &RTE_WRITABLE);
	/* Remote IRR has a meaning for level pins only; Linux clears it on
	 * purpose by making the pin edge-triggered and back again. */
	if (!(*rte & RTE_LEVEL))
		*rte &= ~RTE_REMOTE_IRR;
	return (ioapic_level(io, pin));
}

uint32_t
ioapic_write(struct ioapic *io, uint32_t offset, uint32_t val)
{
	if (offset == IOAPIC_REGSEL)
		io->select = val & 0xff;
	else if (offset == IOAPIC_WIN && io->select == IOAPIC_ID)
		io->id = val & 0x0f000000;
	else if (offset == IOAPIC_WIN && io->select >= IOAPIC_REDTBL)
		return (ioapic_write_rte(io, io->select - IOAPIC_REDTBL, val));
	return (0);
}

uint32_t
ioapic_read(const struct ioapic *io, uint32_t offset)
{
	unsigned index;

	if (offset == IOAPIC_REGSEL)
		return (io->select);
	if (offset != IOAPIC_WIN)
		return (0);
	switch (io->select) {
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return (io->id);
	case IOAPIC_VER:
		return ((IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION);
	default:
		index = io->select - IOAPIC_REDTBL;
		if (io->select < IOAPIC_REDTBL || index / 2 >= IOAPIC_PINS)
			return (0);
		return ((uint32_t)(io->rte[index / 2] >> (index & 1) * 32));
	}
}

void
ioapic_message(
    const struct ioapic *io, unsigned pin, uint64_t *addr, uint32_t *data)
{
	uint64_t rte = io->rte[pin];

	/* SDM volume 3, section 11.11: destination 19:12, mode 2; the data
	 * has vector and delivery mode where the entry has them, the level
	 * is always "assert". */
	*addr = 0xfee00000u | rte >> RTE_DEST_SHIFT << 12 |
		(rte & RTE_LOGICAL ? 4u : 0);
	*data = (uint32_t)(rte & (RTE_VECTOR | RTE_DELIVERY | RTE_LEVEL)) |
		1u << 14;
}
