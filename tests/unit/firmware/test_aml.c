/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware/aml.h"

#define EXPECT(a, ...)                                                         \
	do {                                                                   \
		static const uint8_t want[] = {__VA_ARGS__};                   \
		assert_int_equal(aml_error(a), 0);                             \
		assert_int_equal((a)->len, sizeof(want));                      \
		assert_memory_equal((a)->buf, want, sizeof(want));             \
		aml_fini(a);                                                   \
		aml_init(a);                                                   \
	} while (0)

static void
test_data(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 2);
	aml_int(&a, 0xff);
	aml_int(&a, 0x100);
	aml_int(&a, 0x12345678);
	aml_int(&a, 0x123456789abcdef0);
	EXPECT(&a, 0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c,
	    0x78, 0x56, 0x34, 0x12, 0x0e, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56,
	    0x34, 0x12);
	aml_string(&a, "Hi");
	EXPECT(&a, 0x0d, 'H', 'i', 0);
	aml_name_eisaid(&a, "_HID", "PNP0A03");
	EXPECT(&a, 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03);
	aml_name_int(&a, "X", 5);
	EXPECT(&a, 0x08, 'X', '_', '_', '_', 0x0a, 0x05);
	aml_fini(&a);
}

static void
test_paths(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_path(&a, "\\");
	EXPECT(&a, '\\', 0);
	aml_path(&a, "\\_SB");
	EXPECT(&a, '\\', '_', 'S', 'B', '_');
	aml_path(&a, "^^AB.C1");
	EXPECT(&a, '^', '^', 0x2e, 'A', 'B', '_', '_', 'C', '1', '_', '_');
	aml_path(&a, "\\A.B.CDEF");
	EXPECT(&a, '\\', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C',
	    'D', 'E', 'F');
	aml_fini(&a);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
	    "abcd", "ABCDE", "1AB", "A..B", "A.", ".A", "A B", "\\.A"};
	struct aml a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		aml_init(&a);
		aml_path(&a, bad[i]);
		assert_int_equal(aml_error(&a), -EINVAL);
		/* Errors stick. */
		aml_int(&a, 1);
		assert_int_equal(aml_error(&a), -EINVAL);
		aml_fini(&a);
	}
	aml_init(&a);
	aml_scope(&a, "A");
	assert_int_equal(aml_error(&a), -EINVAL); /* left open */
	aml_end(&a);
	assert_int_equal(aml_error(&a), 0);
	aml_end(&a); /* none is open */
	assert_int_equal(aml_error(&a), -EINVAL);
	aml_fini(&a);
	aml_init(&a);
	for (i = 0; i < AML_DEPTH + 1; i++)
		aml_scope(&a, "A");
	assert_int_equal(aml_error(&a), -EINVAL);
	aml_fini(&a);
	aml_init(&a);
	aml_res_irq(&a, 16);
	assert_int_equal(aml_error(&a), -EINVAL);
	aml_fini(&a);
	aml_init(&a);
	aml_name_eisaid(&a, "_HID", "PNP0A0");
	assert_int_equal(aml_error(&a), -EINVAL);
	aml_fini(&a);
}

/* Operators, and a region with fields. */
static void
test_fields(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_region(&a, "R", AML_PCI_CONFIG, 0, 0x100);
	EXPECT(&a, 0x5b, 0x80, 'R', '_', '_', '_', 2, 0, 0x0b, 0, 1);
	aml_field(&a, "R");
	aml_field_gap(&a, 0x60 * 8);
	aml_field_unit(&a, "A", 8);
	aml_field_gap(&a, 0x3f);
	aml_end(&a);
	EXPECT(&a, 0x5b, 0x81, 0x10, 'R', '_', '_', '_', 0x01, 0, 0x40, 0x30,
	    'A', '_', '_', '_', 8, 0, 0x3f);
	aml_and(&a);
	aml_shift_left(&a);
	aml_shift_right(&a);
	aml_find_set_right(&a);
	aml_decrement(&a);
	aml_no_target(&a);
	aml_create_word(&a);
	EXPECT(&a, 0x7b, 0x79, 0x7a, 0x82, 0x76, 0, 0x8b);
	aml_res_irqs(&a, 0xdef8);
	EXPECT(&a, 0x23, 0xf8, 0xde, 0x18);
	aml_field_gap(&a, 4096);
	assert_int_equal(aml_error(&a), -EINVAL);
	aml_fini(&a);
}

static void
test_terms(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_scope(&a, "\\_SB");
	aml_device(&a, "D");
	aml_end(&a);
	aml_end(&a);
	EXPECT(&a, 0x10, 0x0d, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 0x05, 'D',
	    '_', '_', '_');
	aml_method(&a, "M", 2, true);
	aml_if(&a);
	aml_lequal(&a);
	aml_arg(&a, 0);
	aml_int(&a, 1);
	aml_store(&a);
	aml_arg(&a, 1);
	aml_local(&a, 3);
	aml_end(&a);
	aml_else(&a);
	aml_return(&a);
	aml_local(&a, 0);
	aml_end(&a);
	aml_end(&a);
	EXPECT(&a, 0x14, 0x12, 'M', '_', '_', '_', 0x0a, 0xa0, 0x07, 0x93, 0x68,
	    0x01, 0x70, 0x69, 0x63, 0xa1, 0x03, 0xa4, 0x60);
	aml_package(&a, 2);
	aml_int(&a, 5);
	aml_int(&a, 0);
	aml_end(&a);
	EXPECT(&a, 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00);
	aml_fini(&a);
}

static void
test_resources(void **state)
{
	struct aml a;

	(void)state;
	aml_init(&a);
	aml_resources(&a);
	aml_res_io(&a, 0x3f8, 8);
	aml_res_irq(&a, 4);
	aml_end(&a);
	EXPECT(&a, 0x11, 0x10, 0x0a, 0x0d, 0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03,
	    0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00);
	aml_res_mem32(&a, 0xfed00000, 0x400, true);
	EXPECT(&a, 0x86, 0x09, 0x00, 0x01, 0x00, 0x00, 0xd0, 0xfe, 0x00, 0x04,
	    0x00, 0x00);
	aml_res_bus_range(&a, 0, 0xff);
	EXPECT(&a, 0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0xff, 0x00, 0x00, 0x00, 0x00, 0x01);
	aml_res_io_window(&a, 0xd00, 0xffff);
	EXPECT(&a, 0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, 0x00, 0x00, 0x00, 0x0d,
	    0xff, 0xff, 0x00, 0x00, 0x00, 0xf3);
	aml_res_mem32_window(&a, 0xc0000000, 0xdfffffff);
	EXPECT(&a, 0x87, 0x17, 0x00, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0xc0, 0xff, 0xff, 0xff, 0xdf, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x20);
	aml_res_mem64_window(&a, 0x800000000, 0xfffffffff);
	EXPECT(&a, 0x8a, 0x2b, 0x00, 0x00, 0x0c, 0x07, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0);
	aml_fini(&a);
}

/* The length counts its own bytes: the edges where it takes one more. */
static void
test_pkg_length(void **state)
{
	static const struct {
		size_t body;
		uint8_t n, enc[4];
	} t[] = {
	    {4, 1, {0x05}},
	    {62, 1, {0x3f}},
	    {63, 2, {0x41, 0x04}},
	    {4093, 2, {0x4f, 0xff}},
	    {4094, 3, {0x81, 0x00, 0x01}},
	    {0xffffc, 3, {0x8f, 0xff, 0xff}},
	    {0xffffd, 4, {0xc1, 0x00, 0x00, 0x01}},
	};
	struct aml a;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		aml_init(&a);
		aml_scope(&a, "A");
		for (j = 4; j < t[i].body; j++)
			aml_int(&a, 0);
		aml_end(&a);
		assert_int_equal(aml_error(&a), 0);
		assert_int_equal(a.len, 1 + t[i].n + t[i].body);
		assert_memory_equal(a.buf + 1, t[i].enc, t[i].n);
		assert_int_equal(a.buf[1 + t[i].n], 'A');
		aml_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_data),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_resources),
	    cmocka_unit_test(test_pkg_length),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
