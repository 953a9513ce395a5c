/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_STATE_H
#define LHYVE_BASE_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * What a chip, device or vcpu is made of, said once: a table of fields.
 * Dump, save and restore work from it.
 */
struct state_field {
	const char *name; /* NULL ends the table */
	uint32_t offset;  /* in the owner's struct */
	uint16_t size;    /* of one element: 1, 2, 4 or 8 bytes */
	uint16_t count;   /* elements */
	uint16_t since;   /* version of the table that added the field */
};

struct state_table {
	const char *name;
	uint16_t version;
	const struct state_field *fields;
};

#define STATE_FIELD(type, member, ver)                                         \
	{ #member, offsetof(type, member), sizeof(((type *)0)->member), 1, ver }
#define STATE_ARRAY(type, member, ver)                                         \
	{                                                                      \
		#member, offsetof(type, member),                               \
		    sizeof(((type *)0)->member[0]),                            \
		    sizeof(((type *)0)->member) /                              \
			sizeof(((type *)0)->member[0]),                        \
		    ver                                                        \
	}
#define STATE_END { 0 }

/* Prints every field as "table.field = hex"; arrays of bytes as one run. */
void state_dump(FILE *out, const struct state_table *table, const void *obj);

#endif
