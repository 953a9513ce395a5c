/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_BOOTVARS_H
#define LHYVE_CHIPSET_BOOTVARS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/space.h"

/*
 * A firmware's variables: a flash chip below the boot ROM that answers to so
 * much of the Common Flash Interface as bhyve's does, and as the firmware
 * made for it uses: single-byte-cycle program, clear and read status, read
 * array (JEDEC JEP137, the Intel command sets). Programs of 1 to 8 bytes take
 * no time and may set bits.
 */
#define BOOTVARS_PROGRAM 0x10u
#define BOOTVARS_CLEAR	 0x50u
#define BOOTVARS_STATUS	 0x70u
#define BOOTVARS_ARRAY	 0xffu

struct bootvars {
	uint8_t cmd; /* the last command */
	uint8_t *data;
	uint64_t size;
};
extern const struct state_table bootvars_state;

void bootvars_reset(struct bootvars *v);
/* off + size <= v->size; size is 1, 2, 4 or 8. */
uint64_t bootvars_read(struct bootvars *v, uint64_t off, unsigned size);
/* True if the bytes in data have changed. */
bool bootvars_write(
    struct bootvars *v, uint64_t off, unsigned size, uint64_t val);

/* Where a machine has the chip, and what is in it. */
struct bootvars_config {
	uint64_t base, size;
	uint8_t *data; /* outlives the chip */
	int fd;	       /* gets what is programmed, at its offset; -1: none */
};
/* The adapter. */
struct bootvars_dev;
int bootvars_dev_create(struct bootvars_dev **out, struct bus_space *mmio,
    const struct bootvars_config *cfg);
void bootvars_dev_destroy(struct bootvars_dev *d);
void bootvars_dev_reset(struct bootvars_dev *d);
void bootvars_dev_dump(struct bootvars_dev *d, FILE *out);

#endif
