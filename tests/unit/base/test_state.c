/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/state.h"

struct thing {
	uint8_t a;
	uint32_t b[2];
	uint8_t bytes[3];
	uint64_t c;
};

static void
test_dump(void **state)
{
	static const struct state_field fields[] = {
	    STATE_FIELD(struct thing, a, 1),
	    STATE_ARRAY(struct thing, b, 1),
	    STATE_ARRAY(struct thing, bytes, 1),
	    STATE_FIELD(struct thing, c, 2),
	    STATE_END,
	};
	static const struct state_table table = {"thing", 2, fields};
	struct thing t = {
	    0x5, {1, 0xdeadbeef}, {1, 2, 0xff}, 0x123456789abcdef0};
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	(void)state;
	state_dump(f, &table, &t);
	fclose(f);
	assert_string_equal(buf, "thing.a = 05\n"
				 "thing.b = 00000001 deadbeef\n"
				 "thing.bytes = 0102ff\n"
				 "thing.c = 123456789abcdef0\n");
	free(buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dump)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
