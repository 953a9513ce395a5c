/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ticks.h"

#define MS 1000000ull

static struct ticks t;

/* Acknowledges until nothing comes; how many came. */
static unsigned
drain(uint64_t now)
{
	unsigned n = 0;

	while (n < 100000 && ticks_ack(&t, now))
		n++;
	return (n);
}

static void
test_on_time(void **state)
{
	unsigned i;

	(void)state;
	ticks_reset(&t);
	for (i = 1; i < 10; i++) {
		assert_true(ticks_come(&t, 1, MS, true, i * MS));
		assert_false(ticks_ack(&t, i * MS + 1000));
	}
	assert_false(ticks_come(&t, 0, MS, true, 10 * MS));
	assert_false(ticks_ack(&t, 11 * MS));
}

static void
test_late(void **state)
{
	(void)state;
	ticks_reset(&t);
	/* The host was away for five periods. */
	assert_true(ticks_come(&t, 5, MS, true, 5 * MS));
	assert_int_equal(drain(5 * MS), 4);
	/* The guest was: each period asks again, and is owed. */
	assert_true(ticks_come(&t, 1, MS, true, 6 * MS));
	assert_true(ticks_come(&t, 1, MS, true, 7 * MS));
	assert_true(ticks_come(&t, 3, MS, true, 10 * MS));
	assert_int_equal(t.owed, 4);
	assert_true(ticks_ack(&t, 10 * MS));
	/* One more period while it catches up. */
	assert_true(ticks_come(&t, 1, MS, true, 11 * MS));
	assert_int_equal(drain(11 * MS), 4);
}

static void
test_bounds(void **state)
{
	(void)state;
	/* A second's worth is the most. */
	ticks_reset(&t);
	assert_true(ticks_come(&t, UINT64_MAX, MS, true, 5000 * MS));
	assert_int_equal(drain(5000 * MS), 999);
	ticks_reset(&t);
	assert_true(ticks_come(&t, 700, MS, true, 700 * MS));
	assert_true(ticks_come(&t, 700, MS, true, 1400 * MS));
	assert_int_equal(t.owed, 1000);
	/* A period longer than that: one. */
	ticks_reset(&t);
	assert_true(ticks_come(&t, 7, 2000 * MS, true, 14000 * MS));
	assert_int_equal(drain(14000 * MS), 0);
	/* Who acknowledges nothing for a second does not count. */
	ticks_reset(&t);
	assert_true(ticks_come(&t, 10, MS, true, 10 * MS));
	assert_false(ticks_ack(&t, 1011 * MS));
	assert_true(ticks_come(&t, 10, MS, true, 1020 * MS));
	assert_true(ticks_come(&t, 1, MS, true, 2021 * MS));
	assert_int_equal(t.owed, 0);
	/* Too fast, no periodic timer, nobody there: as hardware. */
	ticks_reset(&t);
	assert_true(ticks_come(&t, 9, TICKS_MIN_NS - 1, true, MS));
	assert_int_equal(drain(MS), 0);
	assert_true(ticks_come(&t, 1, 0, true, MS));
	assert_int_equal(drain(MS), 0);
	ticks_reset(&t);
	assert_true(ticks_come(&t, 9, MS, false, 500 * MS));
	assert_int_equal(drain(500 * MS), 0);
	assert_true(ticks_come(&t, 9, MS, true, 1000 * MS));
	assert_true(ticks_come(&t, 9, MS, false, 1251 * MS));
	assert_int_equal(drain(1251 * MS), 0);
	/* Masked by its own handler, which is late. */
	assert_true(ticks_come(&t, 9, MS, true, 2000 * MS));
	assert_true(ticks_come(&t, 9, MS, false, 2250 * MS));
	assert_int_equal(drain(2250 * MS), 17);
}

/* A guest that was away for `late` periods of 1 ms, and whose handler takes
 * `handler` ns and acknowledges at its beginning (PIC, Linux) or its end. */
static void
slow_guest(uint64_t late, uint64_t handler, bool at_end)
{
	uint64_t start = 7777 * MS, due = start, own = 0, waits = 0, most = 0;
	uint64_t now = start + late * MS, n, handled = 0, until = 0;
	bool line = false, busy = false;

	ticks_reset(&t);
	while (now < start + 20000 * MS) {
		n = now < due ? 0 : (now - due) / MS + 1;
		due += n * MS;
		line |= ticks_come(&t, n, MS, true, now);
		if (busy && now >= until) {
			busy = false;
			line |= at_end && ticks_ack(&t, now);
		}
		if (!busy && line) {
			handled++;
			busy = true;
			until = now + handler;
			line = !at_end && ticks_ack(&t, now);
		}
		if (!busy)
			own += 10000;
		waits = busy ? waits + 10000 : 0;
		if (waits > most)
			most = waits;
		now += 10000;
	}
	/* Everything came, but for a handler that had not run yet. */
	assert_in_range(handled + t.owed + t.waiting + 1,
	    (due - start) / MS, (due - start) / MS + 1);
	assert_true(t.owed <= 1);
	/* Meanwhile it always had time for its own work. */
	assert_true(most < 3 * TICKS_BURST_NS);
	assert_true(own > (20000 - late) * (MS - handler) * 9 / 10 -
			late * handler);
}

/* Who is quick is not made to wait, however often the host is late. */
static void
test_late_often(void **state)
{
	uint64_t now;

	(void)state;
	ticks_reset(&t);
	for (now = 100 * MS; now < 1000 * MS; now += 10 * MS) {
		assert_true(ticks_come(&t, 10, MS, true, now));
		assert_int_equal(drain(now), 9);
	}
}

static void
test_slow_guest(void **state)
{
	static const uint64_t handlers[] = {10000, 300000, 600000, 900000};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		slow_guest(900, handlers[i], false);
		slow_guest(900, handlers[i], true);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_on_time),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_late_often),
	    cmocka_unit_test(test_slow_guest),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
