/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/i8042.h"

static struct i8042 k;

static uint8_t
data(void)
{
	uint8_t val;

	assert_int_equal(i8042_read_status(&k) & 1, 1);
	i8042_read_data(&k, &val);
	return (val);
}

static void
nothing(void)
{
	assert_int_equal(i8042_read_status(&k) & 1, 0);
}

/* What Linux's i8042 driver does, in its order. */
static void
test_controller(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	i8042_reset(&k);
	nothing();
	assert_int_equal(i8042_read_status(&k) & 0x10, 0x10); /* unlocked */
	i8042_write_command(&k, 0xaa);
	assert_int_equal(i8042_read_status(&k), 0x1d);
	assert_int_equal(data(), 0x55);
	i8042_write_command(&k, 0x20);
	assert_int_equal(data(), 0x47);
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x74); /* both interrupts off */
	i8042_write_command(&k, 0x20);
	assert_int_equal(data(), 0x74);
	/* The auxiliary port answers as such. */
	i8042_write_command(&k, 0xd3);
	assert_int_equal(i8042_write_data(&k, 0x5a), 0);
	assert_int_equal(i8042_read_status(&k) & 0x21, 0x21);
	assert_int_equal(data(), 0x5a);
	i8042_write_command(&k, 0xa9);
	assert_int_equal(data(), 0);
	i8042_write_command(&k, 0xa7);
	i8042_write_command(&k, 0x20);
	assert_int_equal(data() & 0x20, 0x20);
	i8042_write_command(&k, 0xa8);
	i8042_write_command(&k, 0x20);
	assert_int_equal(data() & 0x20, 0);
	/* Its interrupt, when it is on. */
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x56);
	i8042_write_command(&k, 0xd3);
	assert_int_equal(i8042_write_data(&k, 0xa5), I8042_IRQ_AUX);
	assert_int_equal(data(), 0xa5);
	nothing();
	assert_int_equal(i8042_write_command(&k, 0xfe), I8042_RESET);
	i8042_write_command(&k, 0xd0);
	assert_int_equal(data() & 3, 3);
	i8042_write_command(&k, 0xd1);
	assert_int_equal(i8042_write_data(&k, 0xfe), I8042_RESET);
}

static void
test_a20(void **state)
{
	(void)state;
	i8042_reset(&k);
	assert_true(i8042_a20(&k));
	i8042_write_command(&k, 0xd1);
	i8042_write_data(&k, 0xdd);
	assert_false(i8042_a20(&k));
	i8042_write_command(&k, 0xd1);
	i8042_write_data(&k, 0xdf);
	assert_true(i8042_a20(&k));
	i8042_write_command(&k, 0xdd);
	assert_false(i8042_a20(&k));
	i8042_write_command(&k, 0xdf);
	assert_true(i8042_a20(&k));
	i8042_write_command(&k, 0xdd);
	i8042_reset(&k);
	assert_true(i8042_a20(&k));
}

static void
test_keyboard(void **state)
{
	static const uint8_t press[] = {0x1c}, release[] = {0xf0, 0x1c};
	static const uint8_t many[17] = {0};

	(void)state;
	i8042_reset(&k);
	assert_int_equal(i8042_write_data(&k, 0xff), I8042_IRQ_KBD);
	assert_int_equal(data(), 0xfa);
	assert_int_equal(data(), 0xaa);
	i8042_write_data(&k, 0xf2);
	assert_int_equal(data(), 0xfa);
	assert_int_equal(data(), 0xab);
	assert_int_equal(data(), 0x41); /* 0x83, translated */
	i8042_write_data(&k, 0xed);
	assert_int_equal(data(), 0xfa);
	i8042_write_data(&k, 0x02);
	assert_int_equal(data(), 0xfa);
	i8042_write_data(&k, 0xee);
	assert_int_equal(data(), 0xee);
	/* The A key, in set 1. */
	assert_int_equal(i8042_key(&k, press, 1), I8042_IRQ_KBD);
	/* The release waits for its turn; its edge comes with the read. */
	assert_int_equal(i8042_key(&k, release, 2), 0);
	assert_int_equal(data(), 0x1e);
	assert_int_equal(data(), 0x9e);
	nothing();
	assert_int_equal(i8042_key(&k, many, sizeof(many)), 0);
	nothing();
	/* In set 2, without translation. */
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x07);
	i8042_key(&k, release, 2);
	assert_int_equal(data(), 0xf0);
	assert_int_equal(data(), 0x1c);
	/* Off: keys are lost. A disabled port: they wait. */
	i8042_write_data(&k, 0xf5);
	assert_int_equal(data(), 0xfa);
	i8042_key(&k, press, 1);
	nothing();
	i8042_write_data(&k, 0xf4);
	assert_int_equal(data(), 0xfa);
	i8042_write_command(&k, 0xad);
	i8042_key(&k, press, 1);
	nothing();
	assert_int_equal(i8042_write_command(&k, 0xae), I8042_IRQ_KBD);
	assert_int_equal(data(), 0x1c);
}

static void
mouse(uint8_t val)
{
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, val);
	assert_int_equal(i8042_read_status(&k) & 0x21, 0x21);
	assert_int_equal(data(), 0xfa);
}

static void
test_mouse(void **state)
{
	(void)state;
	i8042_reset(&k);
	mouse(0xff);
	assert_int_equal(data(), 0xaa);
	assert_int_equal(data(), 0x00);
	mouse(0xf2);
	assert_int_equal(data(), 0x00);
	assert_int_equal(i8042_mouse(&k, 1, 1, 0), 0); /* not reporting */
	mouse(0xf3);
	mouse(40);
	mouse(0xe8);
	mouse(3);
	mouse(0xf4);
	mouse(0xe9);
	assert_int_equal(data(), 0x20);
	assert_int_equal(data(), 3);
	assert_int_equal(data(), 40);
	assert_int_equal(i8042_mouse(&k, -5, 300, 1), I8042_IRQ_AUX);
	assert_int_equal(data(), 0x08 | 0x01 | 0x10 | 0x80);
	assert_int_equal(data(), 0xfb);
	assert_int_equal(data(), 0xff);
	nothing();
	/* Wrap mode echoes until it is left. */
	mouse(0xee);
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, 0x12);
	assert_int_equal(data(), 0x12);
	mouse(0xec);
	nothing();
}

/* The rarer commands of the controller, and Resend. */
static void
test_odd_commands(void **state)
{
	unsigned cmd;

	(void)state;
	i8042_reset(&k);
	i8042_write_command(&k, 0xe0);
	assert_int_equal(data(), 3);
	i8042_write_command(&k, 0xa7);
	i8042_write_command(&k, 0xe0);
	assert_int_equal(data(), 1);
	i8042_write_command(&k, 0xad);
	i8042_write_command(&k, 0xe0);
	assert_int_equal(data(), 0);
	i8042_write_command(&k, 0xdd);
	i8042_write_command(&k, 0xd0);
	assert_int_equal(data() & 3, 1);
	i8042_write_command(&k, 0xdf);
	i8042_write_command(&k, 0xd0);
	assert_int_equal(data() & 3, 3);
	/* Pulses: those with bit 0 clear pull the reset line. */
	for (cmd = 0xf0; cmd <= 0xff; cmd++)
		assert_int_equal(i8042_write_command(&k, (uint8_t)cmd),
		    cmd & 1 ? 0 : I8042_RESET);
	/* Resend: the last byte again. */
	i8042_reset(&k);
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x04); /* no translation */
	i8042_write_data(&k, 0xf2);
	assert_int_equal(data(), 0xfa);
	assert_int_equal(data(), 0xab);
	assert_int_equal(data(), 0x83);
	i8042_write_data(&k, 0xfe);
	assert_int_equal(data(), 0x83);
	nothing();
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, 0xf4);
	assert_int_equal(data(), 0xfa);
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, 0xfe);
	assert_int_equal(data(), 0xfa);
	nothing();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_controller),
	    cmocka_unit_test(test_a20),
	    cmocka_unit_test(test_keyboard),
	    cmocka_unit_test(test_mouse),
	    cmocka_unit_test(test_odd_commands),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
