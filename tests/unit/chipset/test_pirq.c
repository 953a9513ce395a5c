/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chipset/pirq.h"

static void
test_assign(void **state)
{
	static const uint8_t want[] = {5, 6, 7, 10, 11, 14, 15, 3};
	struct pirq p;
	unsigned n;

	(void)state;
	pirq_init(&p);
	pirq_reserve(&p, 3);
	pirq_reserve(&p, 4);
	pirq_reserve(&p, 9);
	pirq_reserve(&p, 12);
	pirq_reserve(&p, 99);
	for (n = 0; n < PIRQ_LINES; n++) {
		assert_int_equal(pirq_read(&p, n), PIRQ_OFF);
		assert_int_equal(pirq_assign(&p, n), want[n]);
		assert_int_equal(pirq_assign(&p, n), want[n]);
		assert_int_equal(pirq_read(&p, n), want[n]);
	}
	assert_int_equal(pirq_assign(&p, 8), PIRQ_NONE);
	pirq_write(&p, 2, 0x80);
	assert_int_equal(pirq_read(&p, 2), 0x80);
	pirq_reset(&p);
	assert_int_equal(pirq_read(&p, 2), 7);
}

static void
test_route(void **state)
{
	struct pirq p;

	(void)state;
	pirq_init(&p);
	pirq_set_line(&p, 1, true);
	assert_int_equal(pirq_irqs(&p), 0);
	pirq_write(&p, 1, 0x75);
	assert_int_equal(pirq_read(&p, 1), 5);
	assert_int_equal(pirq_irqs(&p), 1 << 5);
	/* Two on one IRQ. */
	pirq_write(&p, 7, 5);
	pirq_set_line(&p, 7, true);
	pirq_set_line(&p, 1, false);
	assert_int_equal(pirq_irqs(&p), 1 << 5);
	pirq_set_line(&p, 7, false);
	assert_int_equal(pirq_irqs(&p), 0);
	/* The timer's, the clock's, the coprocessor's are not to be had. */
	pirq_set_line(&p, 1, true);
	pirq_write(&p, 1, 0);
	assert_int_equal(pirq_irqs(&p), 0);
	pirq_write(&p, 1, 13);
	assert_int_equal(pirq_irqs(&p), 0);
	pirq_write(&p, 1, 15);
	assert_int_equal(pirq_irqs(&p), 1 << 15);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_assign),
	    cmocka_unit_test(test_route),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
