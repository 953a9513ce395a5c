/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chipset/bootvars.h"
#include "fuzz.h"

#define SIZE 64u

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t *bytes = calloc(1, SIZE), before[SIZE];
	struct bootvars v = { .data = bytes, .size = SIZE };
	unsigned len;
	uint64_t off;
	uint8_t op;

	FUZZ_CHECK(bytes != NULL);
	bootvars_reset(&v);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		len = 1u << (op >> 1 & 3);
		off = fuzz_u8(&in) % (SIZE - len + 1);
		memcpy(before, bytes, SIZE);
		if (op == 0xff)
			bootvars_reset(&v);
		else if (!(op & 1))
			FUZZ_CHECK(len == 8 ||
			    bootvars_read(&v, off, len) >> 8 * len == 0);
		else if (bootvars_write(&v, off, len, fuzz_take(&in, len)))
			memcpy(before + off, bytes + off, len);
		/* Only a program changes them, and only where it says. */
		FUZZ_CHECK(memcmp(before, bytes, SIZE) == 0);
	}
	free(bytes);
	return (0);
}
