/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "firmware/e820.h"

static void
test_map(void **state)
{
	static const uint64_t sizes[][2] = {
	    {16 << 20, 0},
	    {64 << 20, 0},
	    {512 << 20, 0},
	    {0xc0000000, 0},
	    {0xc0000000, 4096},
	    {0xc0000000, UINT64_C(5) << 30},
	};
	struct e820_entry map[E820_MAX];
	uint64_t ram, end;
	size_t i, j, n;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		n = e820_build(
		    map, sizes[i][0], sizes[i][1], i % 2 ? 0xe0000000 : 0);
		assert_true(n > 0 && n <= E820_MAX);
		ram = end = 0;
		for (j = 0; j < n; j++) {
			assert_true(map[j].len > 0 && map[j].base >= end);
			end = map[j].base + map[j].len;
			if (map[j].type == E820_RAM)
				ram += map[j].len;
		}
		/* All but the hole from the EBDA to 1 MiB. */
		assert_true(
		    ram == sizes[i][0] + sizes[i][1] - 0x100000 + 0x9fc00);
		assert_int_equal(map[0].base, 0);
	}
	n = e820_build(map, 0xc0000000, UINT64_C(5) << 30, 0xe0000000);
	assert_true(map[n - 2].base == 0xe0000000 &&
		    map[n - 2].len == 0x10000000 &&
		    map[n - 2].type == E820_RESERVED);
	assert_true(map[n - 1].base == UINT64_C(1) << 32 &&
		    map[n - 1].len == UINT64_C(5) << 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_map)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
