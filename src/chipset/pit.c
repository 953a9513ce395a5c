/* SPDX-License-Identifier: BSD-2-Clause */
/* After the Intel 82C54 datasheet (231244). */
#include <string.h>

#include "chipset/pit.h"

#define NS_PER_S 1000000000ull
/* Time between two refresh requests, which toggle bit 4 of port 0x61:
 * channel 1 counting 18 on a PC. */
#define PIT_REFRESH_NS 15085u

#define PORT61_GATE2    0x01u
#define PORT61_WRITABLE 0x0fu
#define PORT61_REFRESH  0x10u
#define PORT61_OUT2     0x20u

static const struct state_field pit_fields[] = {
    STATE_ARRAY(struct pit, start, 1),
    STATE_ARRAY(struct pit, held, 1),
    STATE_ARRAY(struct pit, reload, 1),
    STATE_ARRAY(struct pit, next, 1),
    STATE_ARRAY(struct pit, next_at, 1),
    STATE_ARRAY(struct pit, next_low, 1),
    STATE_ARRAY(struct pit, latch, 1),
    STATE_ARRAY(struct pit, latched, 1),
    STATE_ARRAY(struct pit, status, 1),
    STATE_ARRAY(struct pit, status_latched, 1),
    STATE_ARRAY(struct pit, mode, 1),
    STATE_ARRAY(struct pit, access, 1),
    STATE_ARRAY(struct pit, write_lsb, 1),
    STATE_ARRAY(struct pit, write_msb_next, 1),
    STATE_ARRAY(struct pit, read_msb_next, 1),
    STATE_ARRAY(struct pit, bcd, 1),
    STATE_ARRAY(struct pit, null_count, 1),
    STATE_ARRAY(struct pit, armed, 1),
    STATE_ARRAY(struct pit, gate, 1),
    STATE_FIELD(struct pit, port61, 1),
    STATE_FIELD(struct pit, edge, 1),
    STATE_FIELD(struct pit, late.owed, 1),
    STATE_FIELD(struct pit, late.since, 1),
    STATE_FIELD(struct pit, late.burst, 1),
    STATE_FIELD(struct pit, late.waiting, 1),
    STATE_FIELD(struct pit, late.again, 1),
    STATE_END,
};
const struct state_table pit_state = {"pit", 1, pit_fields};

void
pit_reset(struct pit *p, uint64_t now)
{
	unsigned ch;

	memset(p, 0, sizeof(*p));
	p->edge = PIT_NEVER;
	for (ch = 0; ch < 3; ch++) {
		/* A BIOS leaves 18.2 Hz in channel 0; until somebody loads a
		 * count nothing runs here. */
		p->mode[ch] = 3;
		p->access[ch] = 3;
		p->reload[ch] = 0x10000;
		p->null_count[ch] = true;
		p->gate[ch] = ch != 2;
		p->start[ch] = now;
	}
}

/* Whole CLK pulses since the count was loaded. */
static uint64_t
pit_ticks(const struct pit *p, unsigned ch, uint64_t now)
{
	uint64_t ns = now - p->start[ch];
	bool level = p->mode[ch] != 1 && p->mode[ch] != 5;

	/* The gate stops the count; in modes 1 and 5 it only triggers. */
	if (level && !p->gate[ch])
		ns = p->held[ch];
	return ((uint64_t)((unsigned __int128)ns * PIT_HZ / NS_PER_S));
}

/* ns until n CLK pulses have come. */
static unsigned __int128
pit_ns(uint64_t n)
{
	return (((unsigned __int128)n * NS_PER_S + PIT_HZ - 1) / PIT_HZ);
}

/* The first ns at which pit_ticks() is n. The start may lie before time 0:
 * the difference counts. */
static uint64_t
pit_tick_time(const struct pit *p, unsigned ch, uint64_t n)
{
	unsigned __int128 ns = pit_ns(n);

	return (ns >= PIT_NEVER / 2 ? PIT_NEVER : p->start[ch] + (uint64_t)ns);
}

/* The new count of a periodic mode takes over. */
static void
pit_switch(struct pit *p, unsigned ch)
{
	uint64_t n = p->next[ch];

	p->reload[ch] = (uint32_t)n;
	p->start[ch] = p->next_at[ch];
	if (p->next_low[ch])
		p->start[ch] -= (uint64_t)pit_ns((n + 1) / 2);
	p->next[ch] = 0;
	p->null_count[ch] = false;
}

static void
pit_advance(struct pit *p, unsigned ch, uint64_t now)
{
	if (p->next[ch] != 0 && now >= p->next_at[ch])
		pit_switch(p, ch);
}

/* CLK pulses since the counting element took the count, which happens one
 * pulse after it was written or triggered (modes 0, 1, 4, 5). */
static uint64_t
pit_counted(const struct pit *p, unsigned ch, uint64_t now)
{
	uint64_t t = pit_ticks(p, ch, now);

	return (t > 0 ? t - 1 : 0);
}

bool
pit_out(struct pit *p, unsigned ch, uint64_t now)
{
	uint64_t n, t;

	pit_advance(p, ch, now);
	n = p->reload[ch];
	if (!p->armed[ch])
		return (p->mode[ch] != 0);
	t = pit_ticks(p, ch, now);
	switch (p->mode[ch]) {
	case 0:
	case 1:
		return (t > n);
	case 2:
		return (!p->gate[ch] || t % n != n - 1);
	case 3:
		return (!p->gate[ch] || t % n < (n + 1) / 2);
	default:
		return (t != n + 1);
	}
}

uint64_t
pit_next_edge(struct pit *p, unsigned ch, uint64_t now)
{
	uint64_t n, t, edge;
	struct pit later;

	pit_advance(p, ch, now);
	n = p->reload[ch];
	if (!p->armed[ch] ||
	    (!p->gate[ch] && p->mode[ch] != 1 && p->mode[ch] != 5))
		return (PIT_NEVER);
	/* OUT falls first, and stays low for half of the new period. */
	if (p->next[ch] != 0 && p->next_low[ch]) {
		later = *p;
		pit_switch(&later, ch);
		return (pit_next_edge(&later, ch, p->next_at[ch]));
	}
	t = pit_ticks(p, ch, now);
	switch (p->mode[ch]) {
	case 0:
	case 1:
		edge = n + 1;
		break;
	case 2:
	case 3:
		edge = (t / n + 1) * n;
		break;
	default:
		edge = n + 2;
		break;
	}
	return (edge > t ? pit_tick_time(p, ch, edge) : PIT_NEVER);
}

/* The count as the guest would read it. */
static uint16_t
pit_count(const struct pit *p, unsigned ch, uint64_t now)
{
	uint32_t n = p->reload[ch], modulus = p->bcd[ch] ? 10000 : 0x10000;
	uint32_t c, t, half;

	if (!p->armed[ch])
		c = n;
	else
		switch (p->mode[ch]) {
		case 2:
			c = n - (uint32_t)(pit_ticks(p, ch, now) % n);
			break;
		case 3:
			/* By two in each half; an odd count spends the extra
			 * pulse in the first. */
			t = (uint32_t)(pit_ticks(p, ch, now) % n);
			half = (n + 1) / 2;
			c = (n & ~1u) - 2 * (t < half ? t : t - half);
			break;
		default:
			t = (uint32_t)(pit_counted(p, ch, now) % modulus);
			c = n + modulus - t;
			break;
		}
	c %= modulus;
	if (p->bcd[ch])
		c = c / 1000 << 12 | c / 100 % 10 << 8 | c / 10 % 10 << 4 |
		    c % 10;
	return ((uint16_t)c);
}

static void
pit_latch_count(struct pit *p, unsigned ch, uint64_t now)
{
	if (p->latched[ch] != 0)
		return;
	p->latch[ch] = pit_count(p, ch, now);
	p->latched[ch] = p->access[ch];
	/* A latched count is read from its first byte. */
	p->read_msb_next[ch] = false;
}

static void
pit_latch_status(struct pit *p, unsigned ch, uint64_t now)
{
	if (p->status_latched[ch])
		return;
	p->status[ch] =
	    (uint8_t)(pit_out(p, ch, now) << 7 | p->null_count[ch] << 6 |
		      p->access[ch] << 4 | p->mode[ch] << 1 | p->bcd[ch]);
	p->status_latched[ch] = true;
}

static void
pit_control(struct pit *p, uint8_t val, uint64_t now)
{
	unsigned ch = val >> 6, i;

	if (ch == 3) {
		/* Read-Back Command: count and status bits are inverted. */
		for (i = 0; i < 3; i++) {
			if (!(val & (2u << i)))
				continue;
			if (!(val & 0x20))
				pit_latch_count(p, i, now);
			if (!(val & 0x10))
				pit_latch_status(p, i, now);
		}
		return;
	}
	if ((val & 0x30) == 0) {
		pit_latch_count(p, ch, now);
		return;
	}
	p->access[ch] = val >> 4 & 3;
	p->mode[ch] = val >> 1 & 7;
	if (p->mode[ch] > 5) /* X10 and X11 */
		p->mode[ch] &= 3;
	p->bcd[ch] = val & 1;
	p->null_count[ch] = true;
	p->armed[ch] = false;
	p->next[ch] = 0;
	p->latched[ch] = 0;
	p->status_latched[ch] = false;
	p->write_msb_next[ch] = p->read_msb_next[ch] = false;
}

static void
pit_later(struct pit *p, unsigned ch, uint32_t n, uint64_t now)
{
	uint64_t old = p->reload[ch], t = pit_ticks(p, ch, now), half;

	half = p->mode[ch] == 3 ? (old + 1) / 2 : old;
	p->next_low[ch] = t % old < half && half < old;
	p->next[ch] = n;
	p->next_at[ch] = pit_tick_time(
	    p, ch, t / old * old + (p->next_low[ch] ? half : old));
	p->null_count[ch] = true;
}

static void
pit_load(struct pit *p, unsigned ch, uint16_t val, uint64_t now)
{
	uint32_t n = val;

	if (p->bcd[ch]) {
		n = (val >> 12) * 1000u + (val >> 8 & 15u) * 100 +
		    (val >> 4 & 15u) * 10 + (val & 15u);
		n %= 10000;
		if (n == 0)
			n = 10000;
	} else if (n == 0)
		n = 0x10000;
	/* 1 is illegal in the periodic modes; it would be an endless train
	 * of interrupts. */
	if (n == 1 && (p->mode[ch] == 2 || p->mode[ch] == 3))
		n = 2;
	/* Modes 2 and 3 finish the period that runs, or its half. */
	if ((p->mode[ch] == 2 || p->mode[ch] == 3) && p->armed[ch] &&
	    p->gate[ch]) {
		pit_later(p, ch, n, now);
		return;
	}
	p->reload[ch] = n;
	p->null_count[ch] = false;
	/* Modes 1 and 5 wait for the gate. */
	if (p->mode[ch] != 1 && p->mode[ch] != 5) {
		p->start[ch] = now;
		p->held[ch] = 0;
		p->armed[ch] = true;
	}
}

/* Whether a write gives channel 0 a new count or mode. */
static bool
pit_reprograms(unsigned ch, uint8_t val)
{
	return (ch == 0 || (ch == 3 && val >> 6 == 0 && (val & 0x30) != 0));
}

static void
pit_put(struct pit *p, unsigned ch, uint8_t val, uint64_t now)
{
	if (ch > 2) {
		pit_control(p, val, now);
		return;
	}
	switch (p->access[ch]) {
	case 1:
		pit_load(p, ch, val, now);
		break;
	case 2:
		pit_load(p, ch, (uint16_t)(val << 8), now);
		break;
	default:
		if (!p->write_msb_next[ch]) {
			p->write_lsb[ch] = val;
			p->write_msb_next[ch] = true;
			/* Mode 0: the first byte stops the count and OUT
			 * goes low. */
			if (p->mode[ch] == 0)
				p->armed[ch] = false;
			break;
		}
		p->write_msb_next[ch] = false;
		pit_load(p, ch, (uint16_t)(val << 8 | p->write_lsb[ch]), now);
		break;
	}
}

void
pit_write(struct pit *p, unsigned ch, uint8_t val, uint64_t now)
{
	unsigned i;

	for (i = 0; i < 3; i++)
		pit_advance(p, i, now);
	pit_put(p, ch, val, now);
	if (pit_reprograms(ch, val))
		ticks_reset(&p->late);
	p->edge = pit_next_edge(p, 0, now);
}

bool
pit_tick(struct pit *p, bool heard, uint64_t now)
{
	uint64_t n = 1, period = 0, edge = p->edge, reload;

	if (now < edge)
		return (false);
	p->edge = pit_next_edge(p, 0, now); /* takes a new count over */
	reload = p->reload[0];
	if (p->mode[0] == 2 || p->mode[0] == 3) {
		n += pit_ticks(p, 0, now) / reload -
		     pit_ticks(p, 0, edge) / reload;
		period = (uint64_t)pit_ns(reload);
	}
	return (ticks_come(&p->late, n, period, heard, now));
}

bool
pit_ack(struct pit *p, uint64_t now)
{
	return (ticks_ack(&p->late, now));
}

uint8_t
pit_read(struct pit *p, unsigned ch, uint64_t now)
{
	uint16_t count;
	bool msb;

	if (ch > 2)
		return (0xff);
	pit_advance(p, ch, now);
	/* Status first, if both were latched. */
	if (p->status_latched[ch]) {
		p->status_latched[ch] = false;
		return (p->status[ch]);
	}
	count = p->latched[ch] ? p->latch[ch] : pit_count(p, ch, now);
	if (p->access[ch] == 3) {
		msb = p->read_msb_next[ch];
		p->read_msb_next[ch] = !msb;
		/* The mask of bytes left: 1 LSB, 2 MSB. */
		p->latched[ch] &= msb ? 0 : 2;
	} else {
		msb = p->access[ch] == 2;
		p->latched[ch] = 0;
	}
	return ((uint8_t)(msb ? count >> 8 : count));
}

void
pit_set_gate(struct pit *p, unsigned ch, bool level, uint64_t now)
{
	if (p->gate[ch] == level)
		return;
	pit_advance(p, ch, now);
	switch (p->mode[ch]) {
	case 0:
	case 4:
		if (level)
			p->start[ch] = now - p->held[ch];
		else
			p->held[ch] = now - p->start[ch];
		break;
	case 1:
	case 5:
		if (level && !p->null_count[ch]) {
			p->start[ch] = now;
			p->armed[ch] = true;
		}
		break;
	default:
		/* OUT goes high at once; the rising edge loads again. */
		if (p->next[ch] != 0) {
			p->next_at[ch] = now;
			p->next_low[ch] = false;
			pit_switch(p, ch);
		}
		if (level)
			p->start[ch] = now;
		else
			p->held[ch] = now - p->start[ch];
		break;
	}
	p->gate[ch] = level;
}

uint8_t
pit_port61_read(struct pit *p, uint64_t now)
{
	uint8_t val = p->port61;

	if (now / PIT_REFRESH_NS & 1)
		val |= PORT61_REFRESH;
	if (pit_out(p, 2, now))
		val |= PORT61_OUT2;
	return (val);
}

void
pit_port61_write(struct pit *p, uint8_t val, uint64_t now)
{
	p->port61 = val & PORT61_WRITABLE;
	pit_set_gate(p, 2, (val & PORT61_GATE2) != 0, now);
}
