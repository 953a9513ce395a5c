/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mevent.h"
#include "block_util.h"

#define AT_ONCE 24

static void
on_batch(void *arg)
{
	((struct disk *)arg)->batches++;
}

static void
on_resized(void *arg)
{
	((struct disk *)arg)->resizes++;
}

void
disk_setup(struct disk *d, const char *in_dir)
{
	memset(d, 0, sizeof(*d));
	(void)snprintf(d->dir, sizeof(d->dir), "%s/lhyve-blk-XXXXXX", in_dir);
	assert_non_null(mkdtemp(d->dir));
	(void)snprintf(d->base, sizeof(d->base), "%s/base", d->dir);
	(void)snprintf(d->over, sizeof(d->over), "%s/over", d->dir);
	assert_int_equal(mevent_loop_create(&d->loop), 0);
	d->cfg = (struct block_config){.loop = d->loop,
	    .path = d->base,
	    .batch = on_batch,
	    .resized = on_resized,
	    .arg = d};
}

uint8_t
disk_byte(uint64_t seed, uint64_t off)
{
	return ((uint8_t)((off / 512 * 7 + off + seed) * 0x9e37u >> 8));
}

void
disk_make(const char *path, uint64_t size, uint64_t seed)
{
	uint8_t *buf = malloc(size + 1);
	int fd;

	assert_non_null(buf);
	for (uint64_t i = 0; i < size; i++)
		buf[i] = disk_byte(seed, i);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, size), size);
	close(fd);
	free(buf);
}

int
disk_try(struct disk *d)
{
	return (block_open(&d->blk, &d->cfg, &d->err));
}

void
disk_open(struct disk *d)
{
	int error = disk_try(d);

	if (error != 0)
		fail_msg("%d: %s", error, d->err.text);
}

void
disk_close(struct disk *d)
{
	block_close(d->blk);
	d->blk = NULL;
}

void
disk_teardown(struct disk *d)
{
	disk_close(d);
	mevent_loop_destroy(d->loop);
	(void)unlink(d->base);
	(void)unlink(d->over);
	(void)rmdir(d->dir);
}

struct waiting {
	struct block_req req; /* first */
	int error;
	bool done;
};

static void
on_done(struct block_req *req, int error)
{
	struct waiting *w = (struct waiting *)req;

	assert_false(w->done);
	w->done = true;
	w->error = error;
}

static int
one(struct disk *d, struct waiting *w)
{
	w->req.done = on_done;
	block_submit(d->blk, &w->req);
	assert_false(w->done);
	block_drain(d->blk);
	assert_true(w->done);
	return (w->error);
}

int
disk_io(struct disk *d, enum block_op op, uint64_t off, void *buf, size_t len)
{
	struct iovec iov = {buf, len};
	struct waiting w = {
	    .req = {.op = op, .off = off, .len = len, .iov = &iov, .niov = 1}};

	return (one(d, &w));
}

int
disk_fua(struct disk *d, uint64_t off, void *buf, size_t len)
{
	struct iovec iov = {buf, len};
	struct waiting w = {.req = {.op = BLOCK_WRITE,
				.fua = true,
				.off = off,
				.len = len,
				.iov = &iov,
				.niov = 1}};

	return (one(d, &w));
}

int
disk_zero(struct disk *d, uint64_t off, uint64_t len, bool unmap)
{
	struct waiting w = {.req = {
				.op = BLOCK_ZEROES,
				.off = off,
				.len = len,
				.unmap = unmap,
			    }};

	return (one(d, &w));
}

void
disk_compare(struct disk *d, const uint8_t *shadow)
{
	uint64_t size = block_info(d->blk)->size;
	uint8_t *buf = malloc(size);

	assert_non_null(buf);
	assert_int_equal(disk_io(d, BLOCK_READ, 0, buf, size), 0);
	for (uint64_t i = 0; i < size; i++)
		if (buf[i] != shadow[i])
			fail_msg("byte %llu: %#x, not %#x",
			    (unsigned long long)i, buf[i], shadow[i]);
	free(buf);
}

static uint64_t
rnd(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31));
}

struct part {
	struct waiting w; /* first */
	struct iovec iov[5];
	uint8_t *buf;
};

/* Splits the buffer into pieces, at odd places of memory if that may be. */
static void
split(struct part *p, uint64_t *s, size_t len)
{
	size_t at = 0, n;
	unsigned i;

	for (i = 0; i < 4 && at < len; i++) {
		n = rnd(s) % (len - at) + 1;
		if (rnd(s) % 2 == 0)
			n = (n + 511) / 512 * 512;
		if (n > len - at)
			n = len - at;
		p->iov[i].iov_base = p->buf + at;
		p->iov[i].iov_len = n;
		at += n;
	}
	if (at < len) {
		p->iov[i].iov_base = p->buf + at;
		p->iov[i++].iov_len = len - at;
	}
	p->w.req.iov = p->iov;
	p->w.req.niov = i;
}

/* What the request does to memory. */
static void
apply(const struct part *p, uint8_t *shadow)
{
	const struct block_req *req = &p->w.req;

	if (req->op == BLOCK_WRITE)
		memcpy(shadow + req->off, p->buf, req->len);
	else if (req->op == BLOCK_ZEROES)
		memset(shadow + req->off, 0, req->len);
}

void
disk_model(struct disk *d, uint8_t *shadow, uint64_t seed, unsigned rounds)
{
	uint64_t sectors = block_info(d->blk)->size / 512, s = seed;
	uint64_t slice = sectors / AT_ONCE, at;
	struct part *part = calloc(AT_ONCE, sizeof(*part)), *p;
	unsigned i, k;
	size_t len;

	assert_non_null(part);
	while (rounds-- > 0) {
		memset(part, 0, AT_ONCE * sizeof(*part));
		/* Parts that do not overlap, but meet in a cluster. */
		at = 0;
		for (i = 0; i < AT_ONCE && at + 1 < sectors; i++) {
			p = &part[i];
			at += rnd(&s) % 4 == 0 ? rnd(&s) % slice : 0;
			len =
			    (rnd(&s) % 4 == 0 ? rnd(&s) % slice : rnd(&s) % 9) +
			    1;
			if (at + len > sectors)
				len = at < sectors ? sectors - at : 0;
			if (len == 0)
				break;
			p->w.req.op = (enum block_op)(rnd(&s) % 5);
			p->w.req.off = at * 512;
			p->w.req.len = len * 512;
			p->w.req.unmap = rnd(&s) % 2 == 0;
			p->w.req.fua = rnd(&s) % 16 == 0;
			p->w.req.done = on_done;
			at += len;
			/* What a discard leaves is not said. */
			if (p->w.req.op == BLOCK_DISCARD)
				p->w.req.op = BLOCK_ZEROES;
			p->buf = malloc(p->w.req.len);
			assert_non_null(p->buf);
			for (size_t b = 0; b < p->w.req.len; b++)
				p->buf[b] = (uint8_t)(rnd(&s));
			split(p, &s, p->w.req.len);
			block_submit(d->blk, &p->w.req);
			if (rnd(&s) % 8 == 0)
				block_kick(d->blk);
		}
		block_drain(d->blk);
		for (k = 0; k < i; k++) {
			p = &part[k];
			assert_true(p->w.done);
			assert_int_equal(p->w.error, 0);
			if (p->w.req.op == BLOCK_READ)
				assert_memory_equal(p->buf,
				    shadow + p->w.req.off, p->w.req.len);
			apply(p, shadow);
			free(p->buf);
		}
	}
	free(part);
	disk_compare(d, shadow);
}
