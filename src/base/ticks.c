/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/ticks.h"

void
ticks_reset(struct ticks *t)
{
	t->owed = 0;
	t->since = 0;
	t->burst = 0;
	t->waiting = t->again = false;
}

/* One that is owed goes its way. */
static void
ticks_give(struct ticks *t, uint64_t now)
{
	t->owed--;
	t->since = now;
	t->waiting = true;
	t->again = false;
}

bool
ticks_come(
    struct ticks *t, uint64_t n, uint64_t period, bool heard, uint64_t now)
{
	uint64_t most;
	bool deaf;

	if (n == 0)
		return (false);
	/* Nobody counts: as hardware, which forgets or latches one. */
	deaf = period < TICKS_MIN_NS ||
	       (!heard && now - t->since > TICKS_DEAF_NS);
	if (deaf || (t->waiting && now - t->since > TICKS_LATE_NS))
		ticks_reset(t);
	if (deaf)
		return (true);
	most = period < TICKS_LATE_NS ? TICKS_LATE_NS / period : 1;
	/* A shorter period may have left more. */
	t->owed = t->owed > most || n > most - t->owed ? most : t->owed + n;
	/* While one is on its way another may be lost in it; but that one may
	 * be lost as well, so that the edge is given all the same. */
	if (t->waiting)
		t->again = true;
	else
		ticks_give(t, now);
	return (true);
}

bool
ticks_ack(struct ticks *t, uint64_t now)
{
	bool again = t->again;

	if (t->waiting && now - t->since > TICKS_LATE_NS)
		t->owed = 0;
	t->waiting = t->again = false;
	if (t->owed == 0)
		t->burst = 0;
	/* An edge may be latched already: it is the next one, which therefore
	 * comes now. */
	if (t->owed == 0 || (!again && !ticks_burst(&t->burst, now)))
		return (false);
	ticks_give(t, now);
	return (true);
}
