/* SPDX-License-Identifier: BSD-2-Clause */
/* After "IA-PC HPET Specification" revision 1.0a, section 2.3. */
#include <string.h>

#include "chipset/chipset.h"
#include "chipset/hpet.h"

#define HPET_CAP_ID     0x000u
#define HPET_CAP_PERIOD 0x004u
#define HPET_CONF       0x010u
#define HPET_STATUS     0x020u
#define HPET_COUNTER    0x0f0u
#define HPET_TIMER0     0x100u
#define HPET_TIMER_SIZE 0x20u
#define HPET_T_CONF     0x00u
#define HPET_T_CAP      0x04u
#define HPET_T_CMP      0x08u
#define HPET_T_FSB      0x10u

#define CONF_ENABLE    0x1u
#define CONF_LEGACY    0x2u
#define T_LEVEL        0x0002u
#define T_ENABLE       0x0004u
#define T_PERIODIC     0x0008u
#define T_PERIODIC_CAP 0x0010u
#define T_VAL_SET      0x0040u
#define T_32MODE       0x0100u
#define T_ROUTE_SHIFT  9
#define T_FSB_ENABLE   0x4000u
#define T_FSB_CAP      0x8000u
#define T_WRITABLE                                                             \
	(T_LEVEL | T_ENABLE | T_PERIODIC | T_VAL_SET | T_32MODE | 0x3e00u |    \
	    T_FSB_ENABLE)
#define T_ROUTES       0x00f00000u
#define HPET_PERIOD_FS (HPET_TICK_NS * 1000000u)
#define HPET_WRAP      (1ull << 32)

#define HPET_LATE(t)                                                           \
	STATE_FIELD(struct hpet, late[t].owed, 1),                             \
	    STATE_FIELD(struct hpet, late[t].since, 1),                        \
	    STATE_FIELD(struct hpet, late[t].burst, 1),                        \
	    STATE_FIELD(struct hpet, late[t].waiting, 1),                      \
	    STATE_FIELD(struct hpet, late[t].again, 1)

static const struct state_field hpet_fields[] = {
    STATE_FIELD(struct hpet, conf, 1),
    STATE_FIELD(struct hpet, status, 1),
    STATE_FIELD(struct hpet, base_count, 1),
    STATE_FIELD(struct hpet, base_ns, 1),
    STATE_ARRAY(struct hpet, tconf, 1),
    STATE_ARRAY(struct hpet, cmp, 1),
    STATE_ARRAY(struct hpet, period, 1),
    STATE_ARRAY(struct hpet, fsb, 1),
    STATE_ARRAY(struct hpet, due, 1),
    HPET_LATE(0),
    HPET_LATE(1),
    HPET_LATE(2),
    HPET_LATE(3),
    HPET_LATE(4),
    HPET_LATE(5),
    HPET_LATE(6),
    HPET_LATE(7),
    STATE_END,
};
const struct state_table hpet_state = {"hpet", 1, hpet_fields};

void
hpet_reset(struct hpet *h, uint64_t now)
{
	unsigned i;

	memset(h, 0, sizeof(*h));
	h->base_ns = now;
	for (i = 0; i < HPET_TIMERS; i++) {
		h->cmp[i] = UINT32_MAX;
		h->due[i] = HPET_NEVER;
	}
}

static uint64_t
hpet_count(const struct hpet *h, uint64_t now)
{
	if (!(h->conf & CONF_ENABLE))
		return (h->base_count);
	return (h->base_count + (now - h->base_ns) / HPET_TICK_NS);
}

/* When the counter meets the comparator next. */
static void
hpet_aim(struct hpet *h, unsigned t, uint64_t now)
{
	uint64_t count = hpet_count(h, now);

	if (!(h->conf & CONF_ENABLE))
		h->due[t] = HPET_NEVER;
	else
		h->due[t] = count + (uint32_t)(h->cmp[t] - (uint32_t)count);
}

static void
hpet_aim_all(struct hpet *h, uint64_t now)
{
	unsigned i;

	for (i = 0; i < HPET_TIMERS; i++) {
		ticks_reset(&h->late[i]);
		hpet_aim(h, i, now);
	}
}

bool
hpet_legacy(const struct hpet *h)
{
	return ((h->conf & CONF_LEGACY) != 0);
}

bool
hpet_fsb(const struct hpet *h, unsigned t)
{
	/* The legacy replacement route overrides (section 2.3.4). */
	return ((h->tconf[t] & T_FSB_ENABLE) && !(hpet_legacy(h) && t < 2));
}

int
hpet_line(const struct hpet *h, unsigned t)
{
	unsigned route = h->tconf[t] >> T_ROUTE_SHIFT & 0x1f;

	if (hpet_legacy(h) && t < 2)
		return (t == 0 ? 0 : 8);
	if (hpet_fsb(h, t) || !(T_ROUTES >> route & 1))
		return (-1);
	return ((int)route);
}

bool
hpet_level(const struct hpet *h, unsigned t)
{
	return ((h->tconf[t] & (T_LEVEL | T_ENABLE)) == (T_LEVEL | T_ENABLE) &&
		(h->status >> t & 1) && (h->conf & CONF_ENABLE) &&
		!hpet_fsb(h, t));
}

static bool
hpet_is_level(const struct hpet *h, unsigned t)
{
	return ((h->tconf[t] & T_LEVEL) && !hpet_fsb(h, t));
}

uint32_t
hpet_expire(struct hpet *h, uint32_t heard, uint64_t now)
{
	uint64_t count = hpet_count(h, now), step, n, period;
	uint32_t fired = 0;
	unsigned t;

	if (!(h->conf & CONF_ENABLE))
		return (0);
	for (t = 0; t < HPET_TIMERS; t++) {
		if (h->due[t] > count)
			continue;
		step = HPET_WRAP;
		period = 0;
		if ((h->tconf[t] & T_PERIODIC) && h->period[t] != 0) {
			step = h->period[t];
			period = step * HPET_TICK_NS;
		}
		n = (count - h->due[t]) / step + 1;
		h->due[t] += n * step;
		if (step != HPET_WRAP)
			h->cmp[t] = (uint32_t)h->due[t];
		(void)ticks_come(&h->late[t], n, period,
		    (heard >> t & 1) && (h->tconf[t] & T_ENABLE), now);
		/* The status of a level-triggered timer is set even with its
		 * interrupt disabled (section 2.3.6). */
		if (hpet_is_level(h, t))
			h->status |= 1u << t;
		else if (h->tconf[t] & T_ENABLE)
			fired |= 1u << t;
	}
	return (fired);
}

uint32_t
hpet_ack(struct hpet *h, uint32_t timers, uint64_t now)
{
	uint32_t fired = 0;
	unsigned t;

	for (t = 0; t < HPET_TIMERS; t++) {
		if (!(timers >> t & 1) || !ticks_ack(&h->late[t], now))
			continue;
		if (hpet_is_level(h, t))
			h->status |= 1u << t;
		else
			fired |= 1u << t;
	}
	return (fired);
}

uint32_t
hpet_waiting(const struct hpet *h)
{
	uint32_t timers = 0;
	unsigned t;

	for (t = 0; t < HPET_TIMERS; t++)
		if (h->late[t].waiting)
			timers |= 1u << t;
	return (timers);
}

uint64_t
hpet_next(const struct hpet *h)
{
	uint64_t first = HPET_NEVER;
	unsigned t;

	if (!(h->conf & CONF_ENABLE))
		return (HPET_NEVER);
	for (t = 0; t < HPET_TIMERS; t++) {
		if (!(h->tconf[t] & T_ENABLE) || h->due[t] >= first)
			continue;
		/* High already: nothing more can come of it. */
		if (hpet_level(h, t))
			continue;
		first = h->due[t];
	}
	if (first == HPET_NEVER)
		return (HPET_NEVER);
	return (h->base_ns + (first - h->base_count) * HPET_TICK_NS);
}

static uint32_t
hpet_read_timer(const struct hpet *h, unsigned t, uint32_t reg)
{
	switch (reg) {
	case HPET_T_CONF:
		return (h->tconf[t] | T_PERIODIC_CAP | T_FSB_CAP);
	case HPET_T_CAP:
		return (T_ROUTES);
	case HPET_T_CMP:
		return (h->cmp[t]);
	case HPET_T_FSB:
		return ((uint32_t)h->fsb[t]);
	case HPET_T_FSB + 4:
		return ((uint32_t)(h->fsb[t] >> 32));
	default:
		return (0);
	}
}

uint32_t
hpet_read(const struct hpet *h, uint32_t offset, uint64_t now)
{
	uint32_t t = (offset - HPET_TIMER0) / HPET_TIMER_SIZE;

	if (offset >= HPET_TIMER0)
		return (t < HPET_TIMERS
			    ? hpet_read_timer(h, t, offset % HPET_TIMER_SIZE)
			    : 0);
	switch (offset) {
	case HPET_CAP_ID:
		return (CHIPSET_HPET_ID);
	case HPET_CAP_PERIOD:
		return (HPET_PERIOD_FS);
	case HPET_CONF:
		return ((uint32_t)h->conf);
	case HPET_STATUS:
		return (h->status);
	case HPET_COUNTER:
		return ((uint32_t)hpet_count(h, now));
	default: /* the high halves too */
		return (0);
	}
}

static void
hpet_write_timer(
    struct hpet *h, unsigned t, uint32_t reg, uint32_t val, uint64_t now)
{
	switch (reg) {
	case HPET_T_CONF:
		h->tconf[t] = val & T_WRITABLE;
		if (!(val & T_LEVEL))
			h->status &= ~(1u << t);
		ticks_reset(&h->late[t]);
		break;
	case HPET_T_CMP:
		/* A periodic timer takes it as its period, and as the next
		 * match only if told so just before (Tn_VAL_SET_CNF). */
		if (h->tconf[t] & T_PERIODIC) {
			h->period[t] = val;
			if (!(h->tconf[t] & T_VAL_SET))
				break;
			h->tconf[t] &= ~T_VAL_SET;
		}
		h->cmp[t] = val;
		ticks_reset(&h->late[t]);
		hpet_aim(h, t, now);
		break;
	case HPET_T_FSB:
		h->fsb[t] = (h->fsb[t] & ~0xffffffffull) | val;
		break;
	case HPET_T_FSB + 4:
		h->fsb[t] = (h->fsb[t] & 0xffffffffu) | (uint64_t)val << 32;
		break;
	default:
		break;
	}
}

void
hpet_write(struct hpet *h, uint32_t offset, uint32_t val, uint64_t now)
{
	uint32_t t = (offset - HPET_TIMER0) / HPET_TIMER_SIZE;
	uint64_t count;

	if (offset >= HPET_TIMER0) {
		if (t < HPET_TIMERS)
			hpet_write_timer(
			    h, t, offset % HPET_TIMER_SIZE, val, now);
		return;
	}
	switch (offset) {
	case HPET_CONF:
		count = hpet_count(h, now);
		h->conf = val & (CONF_ENABLE | CONF_LEGACY);
		h->base_count = count;
		h->base_ns = now;
		hpet_aim_all(h, now);
		break;
	case HPET_STATUS:
		val &= h->status;
		h->status &= ~val;
		(void)hpet_ack(h, val, now);
		break;
	case HPET_COUNTER:
		/* To be written while halted; the start makes it count. */
		h->base_count = val;
		h->base_ns = now;
		hpet_aim_all(h, now);
		break;
	default:
		break;
	}
}
