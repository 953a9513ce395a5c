/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/hpet.h"

static struct hpet h;

static void
test_registers(void **state)
{
	(void)state;
	hpet_reset(&h, 0);
	assert_int_equal(hpet_read(&h, 0x000, 0), 0x80868701);
	assert_int_equal(hpet_read(&h, 0x004, 0), 100000000); /* fs */
	assert_int_equal(hpet_read(&h, 0x100, 0), 0x8010);
	assert_int_equal(hpet_read(&h, 0x104, 0), 0x00f00000);
	assert_int_equal(hpet_read(&h, 0x1e8, 0), 0xffffffff);
	assert_int_equal(hpet_read(&h, 0x200, 0), 0); /* no timer 8 */
	hpet_write(&h, 0x208, 1, 0);
	hpet_write(&h, 0x100, 0xffffffff, 0);
	assert_int_equal(hpet_read(&h, 0x100, 0), 0xff5e | 0x10);
	hpet_write(&h, 0x110, 0x4041, 0);
	hpet_write(&h, 0x114, 0xfee01000, 0);
	assert_int_equal(hpet_read(&h, 0x110, 0), 0x4041);
	assert_int_equal(hpet_read(&h, 0x114, 0), 0xfee01000);
}

static void
test_counter(void **state)
{
	(void)state;
	hpet_reset(&h, 1000);
	assert_int_equal(hpet_read(&h, 0xf0, 1000000), 0);
	hpet_write(&h, 0xf0, 0xfffffff0, 1000000);
	hpet_write(&h, 0x10, 1, 2000000);
	assert_int_equal(hpet_read(&h, 0xf0, 2000000), 0xfffffff0);
	assert_int_equal(hpet_read(&h, 0xf0, 2000199), 0xfffffff1);
	assert_int_equal(hpet_read(&h, 0xf0, 2001700), 1); /* 32 bits */
	hpet_write(&h, 0x10, 0, 2001700);
	assert_int_equal(hpet_read(&h, 0xf0, 9000000), 1);
}

static void
test_one_shot(void **state)
{
	(void)state;
	hpet_reset(&h, 0);
	hpet_write(&h, 0x10, 1, 0);
	hpet_write(&h, 0x100, 0x4 | 20 << 9, 0);
	hpet_write(&h, 0x108, 500, 0);
	assert_int_equal(hpet_line(&h, 0), 20);
	assert_true(hpet_next(&h) == 50000);
	assert_int_equal(hpet_expire(&h, 0xff, 49999), 0);
	assert_int_equal(hpet_expire(&h, 0xff, 50000), 1);
	assert_int_equal(hpet_expire(&h, 0xff, 50000), 0);
	/* Again when the counter has wrapped. */
	assert_true(hpet_next(&h) == 50000 + (1ull << 32) * 100);
	/* A route that is not there, and disabled. */
	hpet_write(&h, 0x100, 0x4 | 5 << 9, 60000);
	assert_int_equal(hpet_line(&h, 0), -1);
	hpet_write(&h, 0x100, 0, 60000);
	assert_true(hpet_next(&h) == HPET_NEVER);
}

static void
test_periodic_legacy(void **state)
{
	(void)state;
	hpet_reset(&h, 0);
	hpet_write(&h, 0x10, 3, 0);
	assert_true(hpet_legacy(&h));
	assert_int_equal(hpet_line(&h, 0), 0);
	assert_int_equal(hpet_line(&h, 1), 8);
	/* As Linux does it: VAL_SET, first match, then the period. */
	hpet_write(&h, 0x100, 0x4c, 0);
	hpet_write(&h, 0x108, 1000, 0);
	hpet_write(&h, 0x108, 40000, 0);
	assert_int_equal(hpet_read(&h, 0x100, 0) & 0x40, 0);
	assert_true(hpet_next(&h) == 100000);
	assert_int_equal(hpet_expire(&h, 0xff, 100000), 1);
	assert_int_equal(hpet_read(&h, 0x108, 0), 41000);
	assert_int_equal(hpet_ack(&h, 1, 100000), 0);
	assert_true(hpet_next(&h) == 4100000);
	/* Missed three: one interrupt now, the rhythm stays. */
	assert_int_equal(hpet_expire(&h, 0xff, 4100000 + 3 * 4000000 + 1), 1);
	assert_true(hpet_next(&h) == 4100000 + 4 * 4000000);
	/* The others when the guest is ready. */
	assert_int_equal(hpet_waiting(&h), 1);
	assert_int_equal(hpet_ack(&h, 2, 20000000), 0);
	assert_int_equal(hpet_ack(&h, 1, 20000000), 1);
	assert_int_equal(hpet_ack(&h, 1, 20000000), 1);
	assert_int_equal(hpet_ack(&h, 1, 20000000), 1);
	assert_int_equal(hpet_ack(&h, 1, 20000000), 0);
	assert_int_equal(hpet_waiting(&h), 0);
	/* Nobody hears them: one. */
	assert_int_equal(hpet_expire(&h, 0, 400100000), 1);
	assert_int_equal(hpet_ack(&h, 1, 400100000), 0);
	/* Stopped: nothing is owed. */
	assert_int_equal(hpet_expire(&h, 0xff, 600100000), 1);
	hpet_write(&h, 0x10, 2, 600100000);
	assert_int_equal(hpet_ack(&h, 1, 600100000), 0);
}

/* A level-triggered periodic timer: the status bit asks and acknowledges. */
static void
test_periodic_level(void **state)
{
	(void)state;
	hpet_reset(&h, 0);
	hpet_write(&h, 0x10, 1, 0);
	hpet_write(&h, 0x140, 0x4e | 21 << 9, 0);
	hpet_write(&h, 0x148, 10000, 0);
	hpet_write(&h, 0x148, 10000, 0); /* 1 ms */
	assert_int_equal(hpet_expire(&h, 0xff, 1000000), 0);
	assert_true(hpet_level(&h, 2));
	assert_int_equal(hpet_expire(&h, 0xff, 3000000), 0);
	hpet_write(&h, 0x20, 4, 3000000);
	assert_true(hpet_level(&h, 2));
	hpet_write(&h, 0x20, 0xfb, 3000000); /* not this one's bit */
	assert_true(hpet_level(&h, 2));
	hpet_write(&h, 0x20, 4, 3000000);
	assert_true(hpet_level(&h, 2));
	hpet_write(&h, 0x20, 4, 3000000);
	assert_false(hpet_level(&h, 2));
	assert_true(hpet_next(&h) == 4000000);
}

static void
test_level_fsb(void **state)
{
	(void)state;
	hpet_reset(&h, 0);
	hpet_write(&h, 0x10, 1, 0);
	hpet_write(&h, 0x160, 0x6 | 23 << 9, 0); /* timer 3, level */
	hpet_write(&h, 0x168, 10, 0);
	assert_int_equal(hpet_expire(&h, 0xff, 1000), 0); /* no edge */
	assert_true(hpet_level(&h, 3));
	assert_int_equal(hpet_read(&h, 0x20, 1000), 8);
	hpet_write(&h, 0x20, 8, 1000);
	assert_false(hpet_level(&h, 3));
	/* A message is sent whatever the trigger mode says. */
	hpet_write(&h, 0x180, 0x4006, 1000);
	hpet_write(&h, 0x188, 20, 1000);
	assert_true(hpet_fsb(&h, 4));
	assert_int_equal(hpet_line(&h, 4), -1);
	assert_int_equal(hpet_expire(&h, 0xff, 2000), 1u << 4);
	assert_false(hpet_level(&h, 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registers),
	    cmocka_unit_test(test_counter),
	    cmocka_unit_test(test_one_shot),
	    cmocka_unit_test(test_periodic_legacy),
	    cmocka_unit_test(test_level_fsb),
	    cmocka_unit_test(test_periodic_level),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
