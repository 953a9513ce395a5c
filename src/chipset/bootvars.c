/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/bootvars.h"

#include <string.h>

static const struct state_field bootvars_fields[] = {
    STATE_FIELD(struct bootvars, cmd, 1),
    STATE_END,
};
const struct state_table bootvars_state = {"bootvars", 1, bootvars_fields};

void
bootvars_reset(struct bootvars *v)
{
	v->cmd = BOOTVARS_ARRAY;
}

uint64_t
bootvars_read(struct bootvars *v, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	if (v->cmd == BOOTVARS_STATUS || v->cmd == BOOTVARS_CLEAR)
		v->cmd = BOOTVARS_ARRAY; /* no error, not even ready */
	else
		memcpy(&val, v->data + off, size);
	return (val);
}

bool
bootvars_write(struct bootvars *v, uint64_t off, unsigned size, uint64_t val)
{
	if (v->cmd != BOOTVARS_PROGRAM) {
		v->cmd = (uint8_t)val;
		return (false);
	}
	memcpy(v->data + off, &val, size);
	v->cmd = BOOTVARS_ARRAY;
	return (true);
}
