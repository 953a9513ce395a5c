/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_TICKS_H
#define LHYVE_BASE_TICKS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Ticks of a periodic timer that come late. A host that gives us no processor
 * for some periods must not cost the guest a tick that it counts: what is
 * overdue is owed, and handed out one by one, the next when the guest has
 * acknowledged the last. Pure; `now` is virtual time in ns and does not run
 * backwards. The owner's lock holds; the fields are state to be saved.
 *
 * Bounds: no more is owed than fits in TICKS_LATE_NS, and a guest that
 * acknowledges nothing for so long is not counting. Periods shorter than
 * TICKS_MIN_NS are merged: a guest whose processor is late would otherwise do
 * nothing but catch up. For the same reason ticks follow each other at once for
 * TICKS_BURST_NS only, and then for as long come as the timer has them: who
 * needs most of a period for each has time for something else meanwhile.
 */
#define TICKS_LATE_NS 1000000000ull
#define TICKS_MIN_NS  200000ull
/* So long may an interrupt be masked and still be counted: its handler may
 * mask it, and the processor be late just then. */
#define TICKS_DEAF_NS 250000000ull
#define TICKS_BURST_NS 20000000ull

struct ticks {
	uint64_t owed;	/* periods that ended without an interrupt yet */
	uint64_t since; /* ns when the last one was given */
	uint64_t burst; /* ns when it began to catch up; 0: nothing is owed */
	bool waiting;	/* that one has not been acknowledged */
	bool again;	/* nor the edge that came after it */
};

/* Owes nothing, waits for nothing: the timer was programmed anew. */
void ticks_reset(struct ticks *t);
/* n periods of `period` ns have ended by now (0 ns: the timer is no periodic
 * one). `heard`: an interrupt would reach a processor. True if one is to be
 * given now; one that meets another on its way is the same, and stays owed. */
bool ticks_come(struct ticks *t, uint64_t n, uint64_t period, bool heard,
    uint64_t now);
/* The guest has acknowledged an interrupt. True if another is to be given. */
bool ticks_ack(struct ticks *t, uint64_t now);
/* Whether a tick that is owed may come now rather than with the next period.
 * `burst` is when that began, as above; the caller clears it with the last. */
static inline bool
ticks_burst(uint64_t *burst, uint64_t now)
{
	if (*burst == 0 || now - *burst >= 2 * TICKS_BURST_NS)
		*burst = now;
	return (now - *burst < TICKS_BURST_NS);
}

#endif
