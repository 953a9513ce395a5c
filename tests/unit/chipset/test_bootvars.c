/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chipset/bootvars.h"

static void
test_commands(void **state)
{
	uint8_t data[16] = "0123456789abcdef";
	struct bootvars v = {.data = data, .size = sizeof(data)};

	(void)state;
	bootvars_reset(&v);
	assert_int_equal(bootvars_read(&v, 1, 1), '1');
	assert_int_equal(bootvars_read(&v, 0, 4), 0x33323130);
	assert_int_equal(bootvars_read(&v, 8, 8), 0x6665646362613938);
	/* A store is a command, not data. */
	assert_false(bootvars_write(&v, 0, 1, BOOTVARS_STATUS));
	assert_memory_equal(data, "0123", 4);
	assert_int_equal(bootvars_read(&v, 2, 1), 0);
	assert_int_equal(bootvars_read(&v, 2, 1), '2');
	assert_false(bootvars_write(&v, 5, 1, BOOTVARS_CLEAR));
	assert_int_equal(bootvars_read(&v, 2, 1), 0);
	assert_int_equal(bootvars_read(&v, 2, 1), '2');
	/* One program, then the array again. */
	assert_false(bootvars_write(&v, 3, 1, BOOTVARS_PROGRAM));
	assert_true(bootvars_write(&v, 3, 1, 'x'));
	assert_int_equal(bootvars_read(&v, 3, 1), 'x');
	assert_false(bootvars_write(&v, 3, 1, 'y'));
	assert_int_equal(bootvars_read(&v, 3, 1), 'x');
	assert_false(bootvars_write(&v, 0, 1, BOOTVARS_PROGRAM));
	assert_true(bootvars_write(&v, 12, 4, 0x44434241));
	assert_memory_equal(data, "012x456789abABCD", 16);
	assert_false(bootvars_write(&v, 0, 1, BOOTVARS_PROGRAM));
	bootvars_reset(&v);
	assert_int_equal(bootvars_read(&v, 0, 1), '0');
}

static void
test_file(void **state)
{
	char path[] = "/tmp/test_bootvars.XXXXXX";
	uint8_t data[4096] = "abcd", got[8];
	struct bootvars_config cfg = {.base = 0xfff00000,
	    .size = sizeof(data),
	    .data = data,
	    .fd = mkstemp(path)};
	struct bootvars_dev *d;
	struct bus_space *mmio;
	uint64_t val;

	(void)state;
	assert_true(cfg.fd >= 0);
	(void)unlink(path);
	assert_int_equal(ftruncate(cfg.fd, sizeof(data)), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 52), 0);
	assert_int_equal(bootvars_dev_create(&d, mmio, &cfg), 0);
	assert_int_equal(bus_read(mmio, 0xfff00002, 1, &val), 0);
	assert_int_equal(val, 'c');
	(void)bus_write(mmio, 0xfff00006, 1, BOOTVARS_PROGRAM);
	(void)bus_write(mmio, 0xfff00006, 2, 0x3231);
	assert_int_equal(pread(cfg.fd, got, 8, 0), 8);
	assert_memory_equal(got, "\0\0\0\0\0\0" "12", 8);
	(void)bus_write(mmio, 0xfff00000, 1, BOOTVARS_PROGRAM);
	bootvars_dev_reset(d);
	(void)bus_write(mmio, 0xfff00000, 1, 'x');
	assert_int_equal(data[0], 'a');
	assert_int_equal(bus_read(mmio, 0xfff01000, 1, &val), -2);
	bootvars_dev_destroy(d);
	bus_space_destroy(mmio);
	(void)close(cfg.fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_commands),
	    cmocka_unit_test(test_file),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
