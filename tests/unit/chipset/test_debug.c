/* SPDX-License-Identifier: BSD-2-Clause */
/* bvmcons, pc-testdev and the exit port. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/chardev/chardev.h"
#include "chipset/debug.h"

static struct bus_space *ports, *mmio;
static struct irq_lines *irqs;
static char sent[8];
static size_t nsent;
static const char *typed;
static int status;

static size_t
cd_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
	(void)cd;
	assert_true(nsent + len < sizeof(sent));
	memcpy(sent + nsent, buf, len);
	nsent += len;
	return (len);
}

static size_t
cd_read(struct chardev *cd, uint8_t *buf, size_t len)
{
	(void)cd;
	if (*typed == '\0' || len == 0)
		return (0);
	*buf = (uint8_t)*typed++;
	return (1);
}

static void
cd_destroy(struct chardev *cd)
{
	(void)cd;
}

static const struct chardev_ops cd_ops = {
    .name = "test", .write = cd_write, .read = cd_read, .destroy = cd_destroy};
static struct chardev cd = {.ops = &cd_ops};

static void
on_end(void *arg, int val)
{
	assert_ptr_equal(arg, &status);
	status = val;
}

static int
setup(void **state)
{
	(void)state;
	assert_int_equal(bus_space_create(&ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 40), 0);
	assert_int_equal(irq_lines_create(&irqs), 0);
	memset(sent, 0, sizeof(sent));
	nsent = 0;
	status = -1;
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	irq_lines_destroy(irqs);
	bus_space_destroy(ports);
	bus_space_destroy(mmio);
	return (0);
}

static uint64_t
in(uint16_t port, unsigned size)
{
	uint64_t val;

	assert_int_equal(bus_read(ports, port, size, &val), 0);
	return (val);
}

static void
test_bvm(void **state)
{
	struct bvm_dev *d;

	(void)state;
	assert_int_equal(bvm_dev_create(&d, "bvmcons", ports, BVMCONS_PORT,
			     BVMCONS_SIG, &cd),
	    0);
	typed = "a\xff";
	assert_int_equal(in(0x220, 2), 0x6276);
	assert_int_equal(in(0x220, 1), 0xff);
	assert_int_equal(in(0x222, 2), 0xffff);
	assert_int_equal(in(0x220, 4), 'a');
	assert_int_equal(in(0x220, 4), 0xff);
	assert_int_equal(in(0x220, 4), 0xffffffff);
	bus_write(ports, 0x220, 4, 0x12345600 + 'x');
	bus_write(ports, 0x220, 2, 'y');
	bus_write(ports, 0x220, 1, 'y');
	bus_write(ports, 0x222, 2, 'y');
	assert_string_equal(sent, "x");
	bvm_dev_destroy(d);
}

static void
test_exit(void **state)
{
	struct exit_dev *d;

	(void)state;
	assert_int_equal(exit_dev_create(&d, ports, 0x501, on_end, &status), 0);
	assert_int_equal(in(0x501, 1), 0);
	assert_int_equal(in(0x501, 4), 0);
	assert_int_equal(status, -1);
	bus_write(ports, 0x501, 1, 0x10);
	assert_int_equal(status, 0x21);
	bus_write(ports, 0x501, 4, 0);
	assert_int_equal(status, 1);
	/* A status has 8 bits. */
	bus_write(ports, 0x502, 2, 0x1ff);
	assert_int_equal(status, 0xff);
	exit_dev_destroy(d);
}

static void
test_pctest(void **state)
{
	struct pctest_dev *d;
	uint64_t val;

	(void)state;
	assert_int_equal(
	    pctest_dev_create(&d, ports, mmio, irqs, on_end, &status), 0);
	bus_write(ports, 0xe0, 4, 0x12345678);
	assert_int_equal(in(0xe0, 4), 0x12345678);
	assert_int_equal(in(0xe1, 2), 0x3456);
	bus_write(ports, 0xe3, 1, 0xab);
	assert_int_equal(in(0xe0, 4), 0xab345678);
	/* Lines, of both kinds. */
	bus_write(ports, 0x2005, 1, 1);
	bus_write(ports, 0x2005, 1, 7);
	assert_true(irq_level(irqs, 5));
	bus_write(ports, 0x2005, 1, 0);
	assert_false(irq_level(irqs, 5));
	bus_write(ports, 0x2000 + 31, 1, 1);
	assert_true(irq_level(irqs, 31));
	assert_int_equal(in(0x2000 + 31, 1), 0);
	assert_int_equal(bus_read(ports, 0x2020, 1, &val), -ENOENT);
	bus_write(mmio, 0xff00fff8, 8, 0x1122334455667788);
	bus_read(mmio, 0xff00fffb, 2, &val);
	assert_int_equal(val, 0x4455);
	bus_write(ports, 0xf4, 4, 3);
	assert_int_equal(status, 7);
	pctest_dev_reset(d);
	assert_false(irq_level(irqs, 31));
	assert_int_equal(in(0xe0, 4), 0);
	bus_read(mmio, 0xff00fff8, 8, &val);
	assert_true(val == 0);
	pctest_dev_destroy(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_bvm, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_exit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pctest, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
