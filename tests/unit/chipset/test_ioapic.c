/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/ioapic.h"

static struct ioapic io;

static uint32_t
reg(uint32_t r)
{
	ioapic_write(&io, 0, r);
	return (ioapic_read(&io, 0x10));
}

static uint32_t
set_reg(uint32_t r, uint32_t val)
{
	ioapic_write(&io, 0, r);
	return (ioapic_write(&io, 0x10, val));
}

static void
setup(void)
{
	memset(&io, 0, sizeof(io));
	ioapic_reset(&io);
}

static void
test_registers(void **state)
{
	(void)state;
	setup();
	assert_int_equal(reg(1), 0x001f0011);
	set_reg(0, 0xffffffff);
	assert_int_equal(reg(0), 0x0f000000);
	assert_int_equal(reg(2), 0x0f000000);
	assert_int_equal(ioapic_read(&io, 0), 2);
	assert_int_equal(ioapic_read(&io, 0x20), 0);
	assert_int_equal(reg(0x10), 0x00010000); /* masked */
	assert_int_equal(reg(0x4f), 0);
	assert_int_equal(reg(0x50), 0); /* beyond pin 31 */
	set_reg(0xff, 0);
	set_reg(0x12, 0xffffffff);
	set_reg(0x13, 0xffffffff);
	/* Delivery status and remote IRR are read-only. */
	assert_int_equal(reg(0x12), 0x0001afff);
	assert_int_equal(reg(0x13), 0xff000000);
}

static void
test_edge(void **state)
{
	uint32_t vectors[8];
	uint64_t addr;
	uint32_t data;

	(void)state;
	setup();
	assert_int_equal(ioapic_set_pin(&io, 4, true), 0); /* masked: lost */
	set_reg(0x19, 0x03000000);
	assert_int_equal(set_reg(0x18, 0x00000931), 0);
	assert_int_equal(ioapic_set_pin(&io, 4, true), 0); /* no edge */
	ioapic_set_pin(&io, 4, false);
	assert_int_equal(ioapic_set_pin(&io, 4, true), 1u << 4);
	ioapic_message(&io, 4, &addr, &data);
	assert_true(addr == 0xfee03004); /* logical 3 */
	assert_int_equal(data, 0x4131);  /* lowest priority, 0x31 */
	/* EOI means nothing to an edge, but to who counts edges. */
	assert_int_equal(ioapic_eoi(&io, 0x31), 0);
	assert_int_equal(ioapic_edges(&io, 0x31), 1u << 4);
	assert_int_equal(ioapic_edges(&io, 0x32), 0);
	assert_int_equal(ioapic_open(&io, vectors), 1u << 4);
	assert_int_equal(vectors[1], 1u << 17);
	set_reg(0x18, 0x00010931);
	assert_int_equal(ioapic_edges(&io, 0x31), 0);
	assert_int_equal(ioapic_open(&io, vectors), 0);
	assert_int_equal(ioapic_set_pin(&io, 99, true), 0);
}

static void
test_level(void **state)
{
	uint64_t addr;
	uint32_t data;

	(void)state;
	setup();
	ioapic_set_pin(&io, 9, true);
	/* Unmasked while high: sends. */
	assert_int_equal(set_reg(0x22, 0x8051), 1u << 9);
	ioapic_message(&io, 9, &addr, &data);
	assert_true(addr == 0xfee00000);
	assert_int_equal(data, 0xc051);
	assert_int_equal(reg(0x22), 0xc051); /* remote IRR */
	/* Not again before EOI; again at EOI while still high. */
	ioapic_set_pin(&io, 9, false);
	assert_int_equal(ioapic_set_pin(&io, 9, true), 0);
	assert_int_equal(ioapic_eoi(&io, 0x50), 0);
	assert_int_equal(ioapic_eoi(&io, 0x51), 1u << 9);
	ioapic_set_pin(&io, 9, false);
	assert_int_equal(ioapic_eoi(&io, 0x51), 0);
	assert_int_equal(reg(0x22), 0x8051);
	/* Masked in service: EOI sends nothing, unmasking does. */
	assert_int_equal(ioapic_set_pin(&io, 9, true), 1u << 9);
	assert_int_equal(set_reg(0x22, 0x18051), 0);
	assert_int_equal(ioapic_eoi(&io, 0x51), 0);
	assert_int_equal(set_reg(0x22, 0x8051), 1u << 9);
	/* Making it an edge and back is how Linux clears remote IRR. */
	set_reg(0x22, 0x10051);
	assert_int_equal(reg(0x22), 0x10051);
	assert_int_equal(set_reg(0x22, 0x8051), 1u << 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registers),
	    cmocka_unit_test(test_edge),
	    cmocka_unit_test(test_level),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
