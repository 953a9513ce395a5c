/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer: Intel SDM, volume 3A, section 11.5.4. */
#include "base/ticks.h"
#include "vmm/lapic_priv.h"
#include "vmm/tsc.h"

/* A periodic timer faster than this would starve the host, not help the
 * guest: ticks that nobody could see apart are merged. */
#define TIMER_MIN_PERIOD 20000u

/* 11.5.4: DCR bits 3, 1, 0; 111 is divide by 1. */
static uint64_t
divisor(uint32_t dcr)
{
	uint32_t v = ((dcr >> 1) & 4) | (dcr & 3);

	return (v == 7 ? 1 : 2ull << v);
}

static uint64_t
timer_period(const struct lapic *l)
{
	return (l->timer_icr * divisor(l->timer_dcr));
}

uint32_t
lapic_timer_current(const struct lapic *l, uint64_t now)
{
	uint64_t ticks;

	if (LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]) >= TIMER_DEADLINE ||
	    l->timer_icr == 0 || l->timer_deadline == UINT64_MAX)
		return (0);
	/* Modular: the start may lie before time 0 after a rescaling. */
	ticks = (now - l->timer_start) / divisor(l->timer_dcr);
	if (LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]) == TIMER_PERIODIC)
		ticks %= l->timer_icr;
	else if (ticks >= l->timer_icr)
		return (0);
	return (l->timer_icr - (uint32_t)ticks);
}

void
lapic_timer_stop(struct lapic *l, struct lapic_action *act)
{
	l->timer_deadline = UINT64_MAX;
	l->tsc_deadline = 0;
	act->timer = true;
}

void
lapic_timer_icr(
    struct lapic *l, uint32_t val, uint64_t now, struct lapic_action *act)
{
	/* 11.5.4.1: in TSC-deadline mode such writes are ignored. */
	if (LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]) >= TIMER_DEADLINE)
		return;
	l->timer_icr = val;
	l->timer_owed = 0;
	l->timer_start = now;
	l->timer_deadline = val == 0 ? UINT64_MAX : now + timer_period(l);
	act->timer = true;
}

void
lapic_timer_dcr(
    struct lapic *l, uint32_t val, uint64_t now, struct lapic_action *act)
{
	uint32_t left = lapic_timer_current(l, now);

	l->timer_dcr = val & 0xb;
	l->timer_owed = 0;
	if (left == 0)
		return;
	/* The count goes on from where it is at the new rate. */
	l->timer_deadline = now + left * divisor(l->timer_dcr);
	l->timer_start = l->timer_deadline - timer_period(l);
	act->timer = true;
}

void
lapic_timer_tsc(struct lapic *l, uint64_t val, struct lapic_action *act)
{
	if (LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]) != TIMER_DEADLINE)
		return;
	l->tsc_deadline = val;
	l->timer_deadline =
	    val == 0 ? UINT64_MAX : tsc_to_ns(val, l->tsc_khz);
	act->timer = true;
}

/* The vector's bit in IRR. */
static bool
timer_on_its_way(const struct lapic *l)
{
	uint8_t vector = (uint8_t)l->lvt[LAPIC_LVT_TIMER];

	return ((l->irr[vector / 32] >> vector % 32 & 1) != 0);
}

/* n periods have ended: all but the one that is accepted now are owed. */
static void
timer_owe(struct lapic *l, uint64_t n, uint64_t period)
{
	uint64_t most;

	if ((l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED) != 0 ||
	    period < TICKS_MIN_NS) {
		l->timer_owed = 0;
		return;
	}
	if (!timer_on_its_way(l))
		n--;
	most = period < TICKS_LATE_NS ? TICKS_LATE_NS / period : 1;
	l->timer_owed = n > most - l->timer_owed
			    ? (uint32_t)most
			    : l->timer_owed + (uint32_t)n;
}

bool
lapic_timer_taken(struct lapic *l, uint8_t vector, uint64_t now)
{
	if (vector != (l->lvt[LAPIC_LVT_TIMER] & 0xff))
		return (false);
	if (l->timer_owed == 0) {
		l->timer_burst = 0;
		return (false);
	}
	if (!ticks_burst(&l->timer_burst, now))
		return (false);
	l->timer_owed--;
	return (true);
}

bool
lapic_timer_expire(struct lapic *l, uint64_t now)
{
	uint32_t lvt = l->lvt[LAPIC_LVT_TIMER];
	uint64_t period, n;

	if (now < l->timer_deadline)
		return (false);
	if (LVT_TIMER_MODE(lvt) == TIMER_PERIODIC && l->timer_icr != 0) {
		period = timer_period(l);
		n = (now - l->timer_deadline) / period;
		l->timer_start = l->timer_deadline + n * period;
		l->timer_deadline = l->timer_start + period;
		timer_owe(l, n + 1, period);
		if (period < TIMER_MIN_PERIOD)
			l->timer_deadline = now + TIMER_MIN_PERIOD;
	} else {
		l->timer_deadline = UINT64_MAX;
		l->tsc_deadline = 0;
	}
	if ((lvt & LVT_MASKED) != 0 || !lapic_software_enabled(l))
		return (false);
	lapic_accept(l, (uint8_t)lvt, false);
	return (true);
}
