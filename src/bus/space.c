/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/space.h"

struct bus_range {
	const char *name;
	uint64_t base, size;
	const struct bus_ops *ops;
	void *arg;
};

struct bus_space {
	const char *name;
	uint64_t limit;
	pthread_rwlock_t lock;    /* the array; never held around a handler */
	struct bus_range *ranges; /* by base */
	unsigned n, room;
};

int
bus_space_create(struct bus_space **out, const char *name, uint64_t limit)
{
	struct bus_space *bs;

	bs = calloc(1, sizeof(*bs));
	if (bs == NULL)
		return (-ENOMEM);
	bs->name = name;
	bs->limit = limit;
	pthread_rwlock_init(&bs->lock, NULL);
	*out = bs;
	return (0);
}

void
bus_space_destroy(struct bus_space *bs)
{
	if (bs == NULL)
		return;
	pthread_rwlock_destroy(&bs->lock);
	free(bs->ranges);
	free(bs);
}

/* Index of the first range that ends beyond addr. Lock held. */
static unsigned
bus_search(const struct bus_space *bs, uint64_t addr)
{
	unsigned lo = 0, hi = bs->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct bus_range *r = &bs->ranges[mid];

		if (addr - r->base < r->size || addr < r->base)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (lo);
}

int
bus_add(struct bus_space *bs, const char *name, uint64_t base, uint64_t size,
    const struct bus_ops *ops, void *arg)
{
	struct bus_range *r;
	unsigned i;
	int error = 0;

	if (size == 0 || base >= bs->limit || size > bs->limit - base)
		return (-EINVAL);
	pthread_rwlock_wrlock(&bs->lock);
	i = bus_search(bs, base);
	if (i < bs->n && bs->ranges[i].base < base + size) {
		error = -EEXIST;
		goto out;
	}
	if (bs->n == bs->room) {
		unsigned room = bs->room ? bs->room * 2 : 16;

		r = reallocarray(bs->ranges, room, sizeof(*r));
		if (r == NULL) {
			error = -ENOMEM;
			goto out;
		}
		bs->ranges = r;
		bs->room = room;
	}
	r = &bs->ranges[i];
	memmove(r + 1, r, (bs->n - i) * sizeof(*r));
	*r = (struct bus_range){name, base, size, ops, arg};
	bs->n++;
out:
	pthread_rwlock_unlock(&bs->lock);
	return (error);
}

int
bus_remove(struct bus_space *bs, uint64_t base)
{
	unsigned i;
	int error = -ENOENT;

	pthread_rwlock_wrlock(&bs->lock);
	i = bus_search(bs, base);
	if (i < bs->n && bs->ranges[i].base == base) {
		bs->n--;
		memmove(&bs->ranges[i], &bs->ranges[i + 1],
		    (bs->n - i) * sizeof(bs->ranges[0]));
		error = 0;
	}
	pthread_rwlock_unlock(&bs->lock);
	return (error);
}

/* Copies the range that holds addr; false if there is none. */
static bool
bus_lookup(struct bus_space *bs, uint64_t addr, struct bus_range *out)
{
	unsigned i;
	bool found = false;

	pthread_rwlock_rdlock(&bs->lock);
	i = bus_search(bs, addr);
	if (i < bs->n && bs->ranges[i].base <= addr) {
		*out = bs->ranges[i];
		found = true;
	}
	pthread_rwlock_unlock(&bs->lock);
	return (found);
}

/*
 * The size of the first piece of an access at an offset: what the range
 * takes, no wider than what is left of the access and of the range. 0 if
 * the access is narrower than anything the range takes; it is then skipped
 * bytewise.
 */
static unsigned
bus_piece(const struct bus_range *r, uint64_t off, unsigned size)
{
	unsigned piece;

	for (piece = size; piece > 0; piece >>= 1)
		if ((r->ops->sizes & piece) != 0 &&
		    (r->ops->overhang || piece <= r->size - off))
			return (piece);
	return (0);
}

/* Powers of two only, so that pieces are access sizes. */
static unsigned
bus_left(unsigned left)
{
	return (left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1);
}

static int
bus_access(struct bus_space *bs, uint64_t addr, unsigned size, uint64_t *rval,
    uint64_t wval)
{
	struct bus_range r;
	unsigned done = 0, piece;
	uint64_t off, part, val = 0;
	int error = -ENOENT;

	while (done < size) {
		if (addr + done < addr || !bus_lookup(bs, addr + done, &r)) {
			val |= 0xffull << (done * 8);
			done++;
			continue;
		}
		error = 0;
		off = addr + done - r.base;
		piece = bus_piece(&r, off, bus_left(size - done));
		part = bus_ones(piece ? piece : 1);
		if (piece == 0)
			piece = 1;
		else if (rval != NULL && r.ops->read != NULL)
			r.ops->read(r.arg, off, piece, &part);
		else if (rval == NULL && r.ops->write != NULL)
			r.ops->write(r.arg, off, piece,
			    (wval >> (done * 8)) & bus_ones(piece));
		val |= (part & bus_ones(piece)) << (done * 8);
		done += piece;
	}
	if (rval != NULL)
		*rval = val;
	if (trace_on(TRACE_io)) {
		trace(TRACE_io, "%s %s %" PRIx64 "/%u %" PRIx64 "%s", bs->name,
		    rval ? "rd" : "wr", addr, size, rval ? val : wval,
		    error ? " unclaimed" : "");
	}
	return (error);
}

int
bus_read(struct bus_space *bs, uint64_t addr, unsigned size, uint64_t *val)
{
	return (bus_access(bs, addr, size, val, 0));
}

int
bus_write(struct bus_space *bs, uint64_t addr, unsigned size, uint64_t val)
{
	return (bus_access(bs, addr, size, NULL, val));
}

void
bus_dump(struct bus_space *bs, FILE *out)
{
	unsigned i;

	pthread_rwlock_rdlock(&bs->lock);
	for (i = 0; i < bs->n; i++)
		fprintf(out, "%s %010" PRIx64 "-%010" PRIx64 " %s\n", bs->name,
		    bs->ranges[i].base,
		    bs->ranges[i].base + bs->ranges[i].size - 1,
		    bs->ranges[i].name);
	pthread_rwlock_unlock(&bs->lock);
}
