/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/rtc.h"

#define S 1000000000ull
/* 2024-02-28 23:59:58, a Wednesday. */
#define LEAP 1709164798

static struct rtc r;

static uint8_t
get(uint8_t reg, uint64_t now)
{
	rtc_write(&r, 0, reg, now);
	return (rtc_read(&r, 1, now));
}

static void
set(uint8_t reg, uint8_t val, uint64_t now)
{
	rtc_write(&r, 0, reg, now);
	rtc_write(&r, 1, val, now);
}

static void
test_time(void **state)
{
	(void)state;
	rtc_init(&r, LEAP, 0);
	assert_int_equal(get(0x0d, 0), 0x80);
	assert_int_equal(get(0x0b, 0), 0x02);
	assert_int_equal(get(0x00, 0), 0x58);
	assert_int_equal(get(0x02, 0), 0x59);
	assert_int_equal(get(0x04, 0), 0x23);
	assert_int_equal(get(0x06, 0), 4);
	assert_int_equal(get(0x07, 0), 0x28);
	assert_int_equal(get(0x08, 0), 0x02);
	assert_int_equal(get(0x09, 0), 0x24);
	assert_int_equal(get(0x32, 0), 0x20);
	/* Two seconds later: the 29th. */
	assert_int_equal(get(0x00, 2 * S), 0);
	assert_int_equal(get(0x07, 2 * S), 0x29);
	assert_int_equal(get(0x06, 2 * S), 5);
	/* Binary, 12-hour. */
	set(0x0b, 0x04, 0);
	assert_int_equal(get(0x04, 0), 0x80 | 11);
	assert_int_equal(get(0x09, 0), 24);
	assert_int_equal(get(0x04, 2 * S), 12);
	assert_int_equal(rtc_read(&r, 0, 0), 0xff);
}

static void
test_set(void **state)
{
	uint64_t now = 10 * S;

	(void)state;
	rtc_init(&r, LEAP, 0);
	set(0x0b, 0x92, now);
	assert_int_equal(get(0x0b, now), 0x82); /* SET clears UIE */
	set(0x00, 0x30, now);
	set(0x02, 0x59, now);
	set(0x04, 0x23, now);
	set(0x07, 0x31, now);
	set(0x08, 0x12, now);
	set(0x09, 0x99, now);
	set(0x32, 0x19, now);
	assert_int_equal(get(0x00, now + 60 * S), 0x30); /* stands */
	set(0x0b, 0x02, now + 60 * S);
	assert_true(rtc_time(&r, now + 60 * S) == 946684770);
	assert_int_equal(get(0x32, now + 90 * S), 0x20);
	assert_int_equal(get(0x09, now + 90 * S), 0x00);
	/* Impossible: it stands, and comes back with a good date. */
	set(0x08, 0x13, now + 90 * S);
	assert_int_equal(get(0x08, now + 95 * S), 0x13);
	set(0x08, 0x03, now + 95 * S);
	assert_int_equal(get(0x00, now + 96 * S), 1);
	/* The divider's reset: the first update comes half a second later. */
	now = 200 * S;
	set(0x0a, 0x70, now);
	set(0x00, 0x10, now);
	set(0x0a, 0x26, now + 3 * S);
	assert_int_equal(get(0x00, now + 3 * S + S / 2 - 1), 0x10);
	assert_int_equal(get(0x00, now + 3 * S + S / 2), 0x11);
}

static void
test_uip(void **state)
{
	(void)state;
	rtc_init(&r, LEAP, 0);
	assert_int_equal(get(0x0a, S - 244001), 0x20);
	assert_int_equal(get(0x0a, S - 244000), 0xa0);
	assert_int_equal(get(0x0a, S - 1), 0xa0);
	assert_int_equal(get(0x0a, S), 0x20);
	set(0x0b, 0x82, S);
	assert_int_equal(get(0x0a, 2 * S - 1), 0x20);
}

static void
test_interrupts(void **state)
{
	uint64_t next;

	(void)state;
	rtc_init(&r, LEAP, 0);
	assert_true(rtc_next(&r, 0) == RTC_NEVER);
	/* Flags without enables: no IRQ. */
	assert_false(rtc_update(&r, S));
	assert_int_equal(get(0x0c, S), 0x10);
	assert_int_equal(get(0x0c, S), 0x00);
	/* Update-ended; the alarm, 00:00:00, is put out of the way. */
	set(0x01, 0x30, S);
	set(0x0b, 0x12, S);
	assert_true(rtc_next(&r, S) == 2 * S);
	assert_false(rtc_update(&r, 2 * S - 1));
	assert_true(rtc_update(&r, 2 * S));
	assert_true(rtc_next(&r, 2 * S) == RTC_NEVER);
	assert_int_equal(get(0x0c, 2 * S), 0x90);
	assert_false(rtc_update(&r, 2 * S));
	/* Periodic at 1024 Hz: every 32 ticks of the crystal. */
	set(0x0a, 0x26, 2 * S);
	set(0x0b, 0x42, 2 * S);
	next = rtc_next(&r, 2 * S);
	assert_true(next == 2 * S + 976563);
	assert_false(rtc_update(&r, next - 1));
	assert_true(rtc_update(&r, next));
	assert_int_equal(get(0x0c, next), 0xc0);
	/* Rate 1 is 256 Hz, 3 is 8192 Hz, 15 is 2 Hz. */
	set(0x0a, 0x21, 2 * S);
	assert_true(rtc_next(&r, 3 * S) == 3 * S + 3906250);
	set(0x0a, 0x2f, 2 * S);
	assert_true(rtc_next(&r, 3 * S) == 3 * S + S / 2);
	/* RESET turns them off. */
	rtc_reset(&r, 3 * S);
	assert_int_equal(get(0x0b, 3 * S), 0x02);
}

/* Periods that the guest did not answer in time follow each other. */
static void
test_late(void **state)
{
	unsigned i;

	(void)state;
	rtc_init(&r, LEAP, 0);
	set(0x0a, 0x26, S); /* 1024 Hz */
	(void)get(0x0c, S);
	set(0x0b, 0x42, S);
	assert_true(rtc_update(&r, S + S / 1024 + 1));
	assert_true(rtc_clears(&r) == false);
	assert_true(rtc_update(&r, S + 5 * (S / 1024) + 5));
	for (i = 0; i < 5; i++)
		assert_int_equal(get(0x0c, S + 5 * (S / 1024) + 5), 0xc0);
	assert_true(rtc_clears(&r));
	assert_int_equal(get(0x0c, S + 5 * (S / 1024) + 5), 0);
	assert_false(rtc_update(&r, S + 5 * (S / 1024) + 5));
	/* Not those from before it asked for them, nor after it stopped. */
	assert_true(rtc_update(&r, S + 8 * (S / 1024) + 8));
	set(0x0b, 0x02, S + 8 * (S / 1024) + 8);
	set(0x0b, 0x42, S + S / 2);
	assert_int_equal(get(0x0c, S + S / 2), 0xc0);
	assert_int_equal(get(0x0c, S + S / 2), 0);
	assert_true(rtc_update(&r, S + S / 2 + S / 100));
	set(0x0a, 0x25, S + S / 2 + S / 100);
	assert_int_equal(get(0x0c, S + S / 2 + S / 100), 0xc0);
	assert_int_equal(get(0x0c, S + S / 2 + S / 100), 0);
	/* At 8192 Hz they are merged. */
	set(0x0a, 0x23, 2 * S);
	assert_true(rtc_update(&r, 2 * S + S / 10));
	(void)get(0x0c, 2 * S + S / 10);
	assert_int_equal(get(0x0c, 2 * S + S / 10), 0);
}

static void
test_alarm(void **state)
{
	(void)state;
	rtc_init(&r, LEAP, 0); /* 23:59:58 */
	set(0x01, 0x05, 0);
	set(0x03, 0x00, 0);
	set(0x05, 0x00, 0);
	set(0x0b, 0x22, 0);
	assert_false(rtc_update(&r, 7 * S - 1));
	assert_false(rtc_alarm(&r));
	assert_true(rtc_update(&r, 7 * S)); /* 00:00:05 */
	assert_true(rtc_alarm(&r));
	assert_int_equal(get(0x0c, 7 * S), 0xb0);
	assert_false(rtc_alarm(&r));
	assert_false(rtc_update(&r, 80000 * S));
	/* Nobody looked for days: it was there. */
	assert_true(rtc_update(&r, 800000 * S));
	(void)get(0x0c, 800000 * S);
	/* Any second. */
	set(0x01, 0xff, 800000 * S);
	set(0x03, 0xc0, 800000 * S);
	set(0x05, 0xc0, 800000 * S);
	assert_true(rtc_update(&r, 800001 * S));
}

static void
test_memory(void **state)
{
	(void)state;
	rtc_init(&r, LEAP, 0);
	rtc_set_memory(&r, 0xc0000000, 5ull << 30);
	assert_int_equal(get(0x34, 0), 0x00);
	assert_int_equal(get(0x35, 0), 0xbf); /* (3 GiB - 16 MiB) / 64 KiB */
	assert_int_equal(get(0x5b, 0), 0x00);
	assert_int_equal(get(0x5c, 0), 0x40);
	assert_int_equal(get(0x5d, 0), 0x01);
	rtc_set_memory(&r, 8 << 20, 0);
	assert_int_equal(get(0x35, 0), 0);
	/* NMI bit of the index, plain bytes. */
	set(0x80 | 0x40, 0x5a, 0);
	assert_int_equal(get(0x40, 0), 0x5a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_uip),
	    cmocka_unit_test(test_interrupts),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_alarm),
	    cmocka_unit_test(test_memory),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
