/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/pit.h"

#define T0 5000000000ull /* when the tests begin */
#define TICKS(n)                                                               \
	((uint64_t)(((unsigned __int128)(n)*1000000000u + PIT_HZ - 1) / PIT_HZ))

static struct pit p;

static void
load(unsigned ch, unsigned mode, unsigned count)
{
	pit_write(&p, 3, (uint8_t)(ch << 6 | 0x30 | mode << 1), T0);
	pit_write(&p, ch, (uint8_t)count, T0);
	pit_write(&p, ch, (uint8_t)(count >> 8), T0);
}

static unsigned
read16(unsigned ch, uint64_t now)
{
	unsigned lo = pit_read(&p, ch, now);

	return (lo | (unsigned)pit_read(&p, ch, now) << 8);
}

static void
test_mode2(void **state)
{
	(void)state;
	pit_reset(&p, 0);
	assert_true(pit_next_edge(&p, 0, T0) == PIT_NEVER);
	/* 100 Hz: 11932 pulses are 10.00015 ms. */
	load(0, 2, 11932);
	assert_true(pit_next_edge(&p, 0, T0) == T0 + 10000151);
	assert_true(
	    pit_next_edge(&p, 0, T0 + 10000151) == T0 + TICKS(2 * 11932));
	/* Late: the rhythm stays. */
	assert_true(pit_next_edge(&p, 0, T0 + TICKS(5 * 11932 + 7)) ==
		    T0 + TICKS(6 * 11932));
	assert_int_equal(read16(0, T0), 11932);
	assert_int_equal(read16(0, T0 + TICKS(32)), 11900);
	assert_int_equal(read16(0, T0 + TICKS(11932)), 11932);
	/* Low for the last pulse only. */
	assert_true(pit_out(&p, 0, T0 + TICKS(11930)));
	assert_false(pit_out(&p, 0, T0 + TICKS(11931)));
	assert_true(pit_out(&p, 0, T0 + TICKS(11932)));
	/* 0 is 65536. */
	load(0, 2, 0);
	assert_true(pit_next_edge(&p, 0, T0) == T0 + TICKS(65536));
	/* A century later nothing overflows. */
	assert_true(pit_next_edge(&p, 0, T0 + 3153600000000000000ull) >
		    T0 + 3153600000000000000ull);
}

static void
test_mode3(void **state)
{
	(void)state;
	pit_reset(&p, 0);
	load(2, 3, 1000);
	/* Gate low: OUT high, no counting. */
	assert_true(pit_out(&p, 2, T0 + TICKS(700)));
	pit_port61_write(&p, 1, T0);
	assert_int_equal(pit_port61_read(&p, T0 + TICKS(499)) & 0x20, 0x20);
	assert_int_equal(pit_port61_read(&p, T0 + TICKS(500)) & 0x20, 0);
	assert_int_equal(pit_port61_read(&p, T0 + TICKS(1000)) & 0x20, 0x20);
	assert_int_equal(read16(2, T0 + TICKS(100)), 800); /* by two */
	assert_true(pit_next_edge(&p, 2, T0) == T0 + TICKS(1000));
	/* Odd: one more pulse high than low. */
	load(2, 3, 5);
	assert_true(pit_out(&p, 2, T0 + TICKS(2)));
	assert_false(pit_out(&p, 2, T0 + TICKS(3)));
}

static void
test_mode0_gate(void **state)
{
	uint64_t now;

	(void)state;
	pit_reset(&p, 0);
	pit_port61_write(&p, 1, T0);
	load(2, 0, 0xffff);
	/* The way TSCs are calibrated: OUT rises N + 1 pulses later. */
	assert_false(pit_out(&p, 2, T0 + TICKS(0xffff)));
	assert_true(pit_out(&p, 2, T0 + TICKS(0x10000)));
	assert_true(pit_next_edge(&p, 2, T0) == T0 + TICKS(0x10000));
	assert_true(pit_next_edge(&p, 2, T0 + TICKS(0x10000)) == PIT_NEVER);
	/* The gate holds the count and lets it go on. */
	load(2, 0, 1000);
	now = T0 + TICKS(101);
	pit_port61_write(&p, 0, now);
	assert_int_equal(read16(2, now + 1000000), 900);
	assert_true(pit_next_edge(&p, 2, now) == PIT_NEVER);
	now += 1000000;
	pit_port61_write(&p, 1, now);
	assert_int_equal(read16(2, now + TICKS(100)), 800);
	/* It wraps after the end. */
	assert_int_equal(read16(2, now + TICKS(901)), 0xffff);
	/* The first byte of a new count stops it. */
	pit_write(&p, 2, 5, now + TICKS(950));
	assert_false(pit_out(&p, 2, now + TICKS(5000)));
}

static void
test_one_shots(void **state)
{
	(void)state;
	pit_reset(&p, 0);
	/* Mode 1 waits for the gate, then is low for N pulses. */
	load(2, 1, 100);
	assert_true(pit_out(&p, 2, T0 + TICKS(500)));
	pit_set_gate(&p, 2, true, T0);
	assert_false(pit_out(&p, 2, T0 + TICKS(100)));
	assert_true(pit_out(&p, 2, T0 + TICKS(101)));
	/* Mode 4: one pulse low after N + 1. */
	load(0, 4, 100);
	assert_true(pit_out(&p, 0, T0 + TICKS(100)));
	assert_false(pit_out(&p, 0, T0 + TICKS(101)));
	assert_true(pit_out(&p, 0, T0 + TICKS(102)));
	assert_true(pit_next_edge(&p, 0, T0) == T0 + TICKS(102));
}

static void
test_latch(void **state)
{
	(void)state;
	pit_reset(&p, 0);
	load(0, 2, 0x1234);
	/* Counter Latch: the value stays while time goes on, and a second
	 * latch is ignored. */
	pit_write(&p, 3, 0x00, T0);
	pit_write(&p, 3, 0x00, T0 + TICKS(0x100));
	assert_int_equal(pit_read(&p, 0, T0 + TICKS(50)), 0x34);
	assert_int_equal(pit_read(&p, 0, T0 + TICKS(90)), 0x12);
	assert_int_equal(read16(0, T0 + TICKS(0x34)), 0x1200);
	/* Read-Back of status and count of channel 0: status first. */
	pit_write(&p, 3, 0xc2, T0);
	assert_int_equal(pit_read(&p, 0, T0), 0xb4);
	assert_int_equal(read16(0, T0 + TICKS(3)), 0x1234);
	/* Null count until it is loaded. */
	pit_write(&p, 3, 0x34, T0);
	pit_write(&p, 3, 0xe2, T0);
	assert_int_equal(pit_read(&p, 0, T0) & 0x40, 0x40);
	/* LSB only and MSB only. */
	pit_write(&p, 3, 0x14, T0);
	pit_write(&p, 0, 0x80, T0);
	assert_int_equal(pit_read(&p, 0, T0), 0x80);
	assert_int_equal(pit_read(&p, 0, T0 + TICKS(1)), 0x7f);
	pit_write(&p, 3, 0x24, T0);
	pit_write(&p, 0, 0x02, T0);
	assert_int_equal(pit_read(&p, 0, T0), 0x02);
	assert_true(pit_next_edge(&p, 0, T0) == T0 + TICKS(0x200));
	/* BCD: 0 is 10000. */
	pit_write(&p, 3, 0x35, T0);
	pit_write(&p, 0, 0, T0);
	pit_write(&p, 0, 0, T0);
	assert_int_equal(read16(0, T0), 0x0000);
	assert_int_equal(read16(0, T0 + TICKS(1)), 0x9999);
	assert_true(pit_next_edge(&p, 0, T0) == T0 + TICKS(10000));
	assert_int_equal(pit_read(&p, 3, T0), 0xff);
}

static void
test_refresh(void **state)
{
	(void)state;
	pit_reset(&p, 0);
	assert_int_not_equal(pit_port61_read(&p, T0) & 0x10,
	    pit_port61_read(&p, T0 + 15085) & 0x10);
	pit_port61_write(&p, 0xff, T0);
	assert_int_equal(pit_port61_read(&p, T0) & 0xcf, 0x0f);
}

static void
reload(unsigned ch, unsigned count, uint64_t now)
{
	pit_write(&p, ch, (uint8_t)count, now);
	pit_write(&p, ch, (uint8_t)(count >> 8), now);
}

/* A new count of a periodic mode waits for the end of the period, in mode 3
 * of its half (datasheet, Mode 2 and Mode 3). */
static void
test_new_count(void **state)
{
	uint64_t now = T0 + TICKS(300);

	(void)state;
	pit_reset(&p, 0);
	load(0, 2, 1000);
	reload(0, 200, now);
	/* Null count until it is loaded. */
	pit_write(&p, 3, 0xe2, now);
	assert_int_equal(pit_read(&p, 0, now) & 0x40, 0x40);
	assert_int_equal(read16(0, now), 700);
	assert_true(pit_next_edge(&p, 0, now) == T0 + TICKS(1000));
	now = T0 + TICKS(1000);
	assert_int_equal(read16(0, now), 200);
	pit_write(&p, 3, 0xe2, now);
	assert_int_equal(pit_read(&p, 0, now) & 0x40, 0);
	assert_true(pit_next_edge(&p, 0, now) == now + TICKS(200));
	/* Long after: the rhythm is the new one's. */
	assert_true(pit_next_edge(&p, 0, now + TICKS(300)) == now + TICKS(400));
	/* The last of two counts in a period is the one. */
	reload(0, 500, now);
	reload(0, 600, now);
	assert_int_equal(read16(0, now + TICKS(200)), 600);

	/* Mode 3, in the high half: low for half of the new period. */
	load(0, 3, 1000);
	now = T0 + TICKS(100);
	reload(0, 200, now);
	assert_true(pit_out(&p, 0, T0 + TICKS(499)));
	assert_true(pit_next_edge(&p, 0, now) == T0 + TICKS(500) + TICKS(100));
	assert_false(pit_out(&p, 0, T0 + TICKS(500)));
	assert_false(pit_out(&p, 0, T0 + TICKS(599)));
	assert_true(pit_out(&p, 0, T0 + TICKS(500) + TICKS(100)));
	/* In the low half: the period ends first. */
	load(0, 3, 1000);
	now = T0 + TICKS(700);
	reload(0, 200, now);
	assert_false(pit_out(&p, 0, T0 + TICKS(999)));
	assert_true(pit_next_edge(&p, 0, now) == T0 + TICKS(1000));
	assert_true(pit_out(&p, 0, T0 + TICKS(1000)));
	assert_false(pit_out(&p, 0, T0 + TICKS(1000) + TICKS(100)));
	/* A control word, or the gate, starts anew. */
	load(2, 3, 1000);
	pit_port61_write(&p, 1, T0);
	reload(2, 200, T0 + TICKS(10));
	pit_port61_write(&p, 0, T0 + TICKS(20));
	now = T0 + TICKS(30);
	pit_port61_write(&p, 1, now);
	assert_true(pit_next_edge(&p, 2, now) == now + TICKS(200));
	/* In the first moments of time. */
	pit_reset(&p, 0);
	pit_write(&p, 3, 0x36, 0);
	reload(0, 4, 0);
	reload(0, 0, TICKS(1));
	assert_true(pit_next_edge(&p, 0, TICKS(1)) == TICKS(2) + TICKS(32768));
}

static unsigned
drain(uint64_t now)
{
	unsigned n = 0;

	while (n < 100000 && pit_ack(&p, now))
		n++;
	return (n);
}

/* Edges that nobody served in time are given one by one. */
static void
test_late(void **state)
{
	uint64_t now = T0 + TICKS(5 * 1000 + 500);

	(void)state;
	pit_reset(&p, 0);
	assert_false(pit_tick(&p, true, T0));
	load(0, 2, 1000);
	assert_true(p.edge == T0 + TICKS(1000));
	assert_false(pit_tick(&p, true, T0 + TICKS(1000) - 1));
	assert_true(pit_tick(&p, true, T0 + TICKS(1000)));
	assert_false(pit_tick(&p, true, T0 + TICKS(1000)));
	assert_int_equal(drain(T0 + TICKS(1000)), 0);
	/* Four came, half a period ago; the rhythm stays. */
	assert_true(pit_tick(&p, true, now));
	assert_true(p.edge == T0 + TICKS(6000));
	assert_int_equal(drain(now), 3);
	/* Nobody was listening, for long. */
	assert_true(pit_tick(&p, false, T0 + TICKS(900000)));
	assert_int_equal(drain(T0 + TICKS(900000)), 0);
	/* Mode 3; the count that follows has its own rhythm. */
	load(0, 3, 1000);
	reload(0, 500, T0 + TICKS(600)); /* at 1000 */
	assert_true(pit_tick(&p, true, T0 + TICKS(1000) + TICKS(1499)));
	assert_int_equal(drain(T0 + TICKS(2500)), 2);
	assert_true(p.edge == T0 + TICKS(1000) + TICKS(1500));
	/* What was owed goes with the mode, not with a latch command. */
	load(0, 2, 1000);
	assert_true(pit_tick(&p, true, T0 + TICKS(5000)));
	pit_write(&p, 3, 0x00, T0 + TICKS(5000));
	pit_write(&p, 3, 0xc2, T0 + TICKS(5000));
	assert_int_equal(p.late.owed, 4);
	pit_write(&p, 3, 0x34, T0 + TICKS(5000));
	assert_int_equal(drain(T0 + TICKS(5000)), 0);
	assert_false(pit_tick(&p, true, T0 + TICKS(90000)));
	/* One shot is one. */
	load(0, 0, 100);
	assert_true(pit_tick(&p, true, T0 + TICKS(90000)));
	assert_int_equal(drain(T0 + TICKS(90000)), 0);
	assert_false(pit_tick(&p, true, T0 + TICKS(900000)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mode2),
	    cmocka_unit_test(test_mode3),
	    cmocka_unit_test(test_new_count),
	    cmocka_unit_test(test_mode0_gate),
	    cmocka_unit_test(test_one_shots),
	    cmocka_unit_test(test_latch),
	    cmocka_unit_test(test_refresh),
	    cmocka_unit_test(test_late),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
