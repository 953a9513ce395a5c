/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/pic.h"

static struct pic p;

/* As a PC does it: vectors 0x20 and 0x28, cascade at 2, 8086 mode. */
static void
init_pair(uint8_t icw4)
{
	unsigned c;

	memset(&p, 0, sizeof(p));
	pic_reset(&p);
	for (c = 0; c < 2; c++) {
		pic_write(&p, c, 0, 0x11);
		pic_write(&p, c, 1, (uint8_t)(0x20 + 8 * c));
		pic_write(&p, c, 1, c ? 2 : 4);
		pic_write(&p, c, 1, icw4);
	}
}

static void
test_init(void **state)
{
	(void)state;
	memset(&p, 0, sizeof(p));
	pic_reset(&p);
	pic_set_pin(&p, 0, true);
	assert_false(pic_output(&p)); /* not initialized */
	assert_int_equal(pic_ack(&p), -1);
	init_pair(0x01);
	/* ICW1 clears the mask. */
	assert_int_equal(pic_read(&p, 0, 1), 0);
	pic_write(&p, 0, 1, 0xfb);
	assert_int_equal(pic_read(&p, 0, 1), 0xfb);
	assert_int_equal(pic_open(&p), 0xff04);
	pic_write(&p, 1, 1, 0x7f);
	assert_int_equal(pic_open(&p), 0x8004);
	pic_write(&p, 1, 1, 0);
	pic_set_pin(&p, 9, true);
	assert_int_equal(pic_next(&p), 9);
	pic_write(&p, 0, 1, 0xff);
	assert_int_equal(pic_next(&p), -1);
	assert_int_equal(pic_open(&p), 0);
	/* Half-way through the words nothing is delivered. */
	pic_write(&p, 0, 0, 0x11);
	pic_set_pin(&p, 1, true);
	assert_false(pic_output(&p));
}

static void
test_priority(void **state)
{
	(void)state;
	init_pair(0x01);
	pic_set_pin(&p, 4, true);
	pic_set_pin(&p, 1, true);
	assert_true(pic_output(&p));
	assert_int_equal(pic_read(&p, 0, 0), 0x12); /* IRR */
	assert_int_equal(pic_ack(&p), 0x21);
	assert_false(pic_output(&p)); /* 4 is below 1 in service */
	pic_set_pin(&p, 0, true);
	assert_int_equal(pic_next(&p), 0);
	assert_int_equal(pic_ack(&p), 0x20); /* nested */
	pic_write(&p, 0, 0, 0x0b);
	assert_int_equal(pic_read(&p, 0, 0), 0x03); /* ISR */
	pic_write(&p, 0, 0, 0x20);                  /* ends 0 */
	assert_int_equal(pic_read(&p, 0, 0), 0x02);
	pic_write(&p, 0, 0, 0x61); /* ends 1, specific */
	assert_int_equal(pic_read(&p, 0, 0), 0x00);
	assert_int_equal(pic_ack(&p), 0x24);
	assert_int_equal(pic_ack(&p), -1);
}

static void
test_edge_level(void **state)
{
	(void)state;
	init_pair(0x01);
	/* An edge is latched once, and a pulse stays. */
	pic_set_pin(&p, 3, true);
	pic_set_pin(&p, 3, false);
	assert_int_equal(pic_ack(&p), 0x23);
	pic_write(&p, 0, 0, 0x20);
	assert_false(pic_output(&p));
	pic_set_pin(&p, 3, true);
	pic_set_pin(&p, 3, true);
	assert_int_equal(pic_ack(&p), 0x23);
	pic_write(&p, 0, 0, 0x20);
	assert_false(pic_output(&p));
	/* A level stays until it falls. ELCR: 0, 1, 2, 8, 13 are edges. */
	pic_elcr_write(&p, 0, 0xff);
	pic_elcr_write(&p, 1, 0xff);
	assert_int_equal(pic_elcr_read(&p, 0), 0xf8);
	assert_int_equal(pic_elcr_read(&p, 1), 0xde);
	pic_set_pin(&p, 5, true);
	assert_int_equal(pic_ack(&p), 0x23); /* its line is still high */
	pic_set_pin(&p, 3, false);
	pic_write(&p, 0, 0, 0x20);
	assert_int_equal(pic_ack(&p), 0x25);
	pic_write(&p, 0, 0, 0x20);
	assert_int_equal(pic_ack(&p), 0x25);
	pic_write(&p, 0, 0, 0x20);
	pic_set_pin(&p, 5, false);
	assert_false(pic_output(&p));
	assert_int_equal(pic_ack(&p), -1);
}

static void
test_cascade(void **state)
{
	(void)state;
	init_pair(0x01);
	pic_set_pin(&p, 12, true);
	assert_int_equal(pic_read(&p, 0, 0), 0x04);
	pic_write(&p, 0, 1, 0x04); /* cascade masked */
	assert_false(pic_output(&p));
	pic_write(&p, 0, 1, 0x00);
	assert_int_equal(pic_ack(&p), 0x2c);
	pic_write(&p, 0, 0, 0x0b);
	pic_write(&p, 1, 0, 0x0b);
	assert_int_equal(pic_read(&p, 0, 0), 0x04);
	assert_int_equal(pic_read(&p, 1, 0), 0x10);
	/* A higher one of the slave waits for the master's EOI, unless the
	 * master is in Special Fully Nested Mode. */
	pic_set_pin(&p, 8, true);
	assert_false(pic_output(&p));
	pic_write(&p, 0, 0, 0x20);
	assert_int_equal(pic_ack(&p), 0x28);
	init_pair(0x11);
	pic_set_pin(&p, 12, true);
	assert_int_equal(pic_ack(&p), 0x2c);
	pic_set_pin(&p, 8, true);
	assert_int_equal(pic_ack(&p), 0x28);
}

static void
test_rotate_smm_poll(void **state)
{
	(void)state;
	init_pair(0x01);
	/* Set Priority: 4 lowest, so 5 is first. */
	pic_write(&p, 0, 0, 0xc4);
	pic_set_pin(&p, 0, true);
	pic_set_pin(&p, 5, true);
	assert_int_equal(pic_ack(&p), 0x25);
	/* Rotate on non-specific EOI: 5 becomes lowest. */
	pic_write(&p, 0, 0, 0xa0);
	pic_set_pin(&p, 6, true);
	assert_int_equal(pic_ack(&p), 0x26);
	pic_write(&p, 0, 0, 0x66);
	assert_int_equal(pic_ack(&p), 0x20);
	/* Special Mask Mode: 0 in service but masked inhibits nobody, and a
	 * non-specific EOI leaves it alone. */
	init_pair(0x01);
	pic_set_pin(&p, 0, true);
	assert_int_equal(pic_ack(&p), 0x20);
	pic_set_pin(&p, 7, true);
	assert_false(pic_output(&p));
	pic_write(&p, 0, 1, 0x01);
	pic_write(&p, 0, 0, 0x68);
	assert_int_equal(pic_ack(&p), 0x27);
	pic_write(&p, 0, 0, 0x20);
	pic_write(&p, 0, 0, 0x0b);
	assert_int_equal(pic_read(&p, 0, 0), 0x01);
	/* Poll Command. */
	init_pair(0x01);
	pic_write(&p, 0, 0, 0x0c);
	assert_int_equal(pic_read(&p, 0, 0), 0x00);
	pic_set_pin(&p, 3, true);
	pic_write(&p, 0, 0, 0x0c);
	assert_int_equal(pic_read(&p, 0, 0), 0x83);
	assert_false(pic_output(&p));
	pic_write(&p, 0, 0, 0x0b);
	assert_int_equal(pic_read(&p, 0, 0), 0x08);
	/* Automatic EOI, with rotation. */
	init_pair(0x03);
	pic_write(&p, 0, 0, 0x80);
	pic_set_pin(&p, 0, true);
	assert_int_equal(pic_ack(&p), 0x20);
	pic_write(&p, 0, 0, 0x0b);
	assert_int_equal(pic_read(&p, 0, 0), 0x00);
	assert_int_equal(p.lowest[0], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_init),
	    cmocka_unit_test(test_priority),
	    cmocka_unit_test(test_edge_level),
	    cmocka_unit_test(test_cascade),
	    cmocka_unit_test(test_rotate_smm_poll),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
