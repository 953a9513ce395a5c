/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BUS_SPACE_H
#define LHYVE_BUS_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * An address space: the machine has one of ports (limit 0x10000) and one of
 * memory-mapped I/O. Ranges may be added and removed at any time from any
 * thread; handlers are called with no lock held, in the accessing thread.
 * An access that began before bus_remove() may still call the handler, so
 * its argument lives as long as the space.
 */
struct bus_space;

/*
 * A handler. Offsets are from the base of the range, values are in the low
 * bits. `sizes` is the OR of the access sizes (1, 2, 4, 8) it takes; a wider
 * access is split into the widest that fit, as an ISA bridge does, a
 * narrower one reads ones and is dropped on write. Reads find *val filled
 * with ones. A NULL handler: ones, ignored.
 */
struct bus_ops {
	unsigned sizes;
	/* Takes accesses that begin in the range and end beyond it: port 0xcf8
	 * as a dword next to 0xcf9. Otherwise the rest is looked up anew. */
	bool overhang;
	void (*read)(void *arg, uint64_t offset, unsigned size, uint64_t *val);
	void (*write)(void *arg, uint64_t offset, unsigned size, uint64_t val);
};

/* An empty space of addresses [0, limit). 0 or -errno. */
int bus_space_create(struct bus_space **out, const char *name, uint64_t limit);
void bus_space_destroy(struct bus_space *bs);

/* Claims [base, base+size). `name` and `ops` are not copied. 0; -EEXIST if
 * any of it is taken; -EINVAL if empty or outside the space; -ENOMEM. */
int bus_add(struct bus_space *bs, const char *name, uint64_t base,
    uint64_t size, const struct bus_ops *ops, void *arg);
/* Releases the range that begins at base; 0 or -ENOENT. */
int bus_remove(struct bus_space *bs, uint64_t base);

/*
 * One access of 1, 2, 4 or 8 bytes. 0; -ENOENT if nobody claims any byte of
 * it (*val is then all ones of that size).
 */
int bus_read(struct bus_space *bs, uint64_t addr, unsigned size, uint64_t *val);
int bus_write(struct bus_space *bs, uint64_t addr, unsigned size, uint64_t val);

/* One line a range. */
void bus_dump(struct bus_space *bs, FILE *out);

/* All ones of an access size. */
static inline uint64_t
bus_ones(unsigned size)
{
	return (size >= 8 ? UINT64_MAX : (1ull << (size * 8)) - 1);
}

#endif
