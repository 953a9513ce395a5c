/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/state.h"

/* One element, whatever its width, in the host's byte order. */
static uint64_t
state_load(const uint8_t *p, uint16_t size)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (size) {
	case 1:
		return (*p);
	case 2:
		memcpy(&v16, p, 2);
		return (v16);
	case 4:
		memcpy(&v32, p, 4);
		return (v32);
	default:
		memcpy(&v64, p, 8);
		return (v64);
	}
}

void
state_dump(FILE *out, const struct state_table *table, const void *obj)
{
	const struct state_field *f;
	unsigned i;

	for (f = table->fields; f->name != NULL; f++) {
		const uint8_t *p = (const uint8_t *)obj + f->offset;

		fprintf(out, "%s.%s =", table->name, f->name);
		if (f->size == 1 && f->count > 1) {
			fputc(' ', out);
			for (i = 0; i < f->count; i++)
				fprintf(out, "%02x", p[i]);
		} else {
			for (i = 0; i < f->count; i++)
				fprintf(out, " %0*" PRIx64, f->size * 2,
				    state_load(
					p + (size_t)i * f->size, f->size));
		}
		fputc('\n', out);
	}
}
