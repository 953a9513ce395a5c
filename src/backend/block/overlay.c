/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy on write: a base that is only read, and a file beside it that has the
 * clusters written since (overlay_map.h).
 *
 * A write to clusters that are not here yet takes the rest of its first and
 * last one from the base, and everything goes into the file in one write;
 * then the bits are set. Such writes, zeroes and discards hold their clusters
 * until then: another one of them waits, or it could take from the base what
 * the first has just replaced. A write to clusters that are here needs none
 * of this.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/overlay_map.h"

#define OPS 64u /* at once */

enum step { STEP_READ, STEP_PASS, STEP_HEAD, STEP_TAIL, STEP_WRITE, STEP_ZERO };

/* What one request is doing. */
struct ov_op {
	struct block_req child; /* first */
	struct overlay *ov;
	struct block_req *req;
	enum step step;
	uint64_t pos;        /* done so far, from the disk's beginning */
	uint64_t start, end; /* the part that is being done */
	uint32_t head, tail; /* bytes of `fill` that the base gives */
	uint8_t *fill;       /* two clusters, or NULL */
	struct iovec *iov;
	struct iovec one;
	/* Holds these clusters, or waits for them. */
	uint64_t first, last;
	struct ov_op *next; /* free, holding or waiting */
};

struct overlay {
	struct block blk; /* first */
	struct block *base, *top;
	struct overlay_map map;
	bool scratch; /* nobody reads it again */
	struct ov_op *ops, *free, *holding, *waiting, **waiting_end;
	struct block_req *queue, **queue_end; /* no ov_op for them yet */

	/* One flush runs; who comes meanwhile is in the next one. */
	struct block_req *flushing, *flush_next, **flush_next_end;
	struct block_req fchild;
	bool flush_runs, flush_last; /* the bits are written */
	uint8_t *saved;              /* blocks of the bitmap */
	uint32_t *saved_at;
	uint32_t nsaved, wrote;
	struct iovec fiov;
};

static const uint8_t zero_cluster[65536];

static void ov_next(struct ov_op *op);
static void ov_begin(struct overlay *ov, struct block_req *req);

/* Passes a part of the request on: [off, off + len) of a disk below. */
static void
ov_child(struct ov_op *op, struct block *b, enum block_op what, uint64_t off,
    uint64_t len, const struct iovec *iov, unsigned niov)
{
	op->child.op = what;
	op->child.off = off;
	op->child.len = len;
	op->child.iov = iov;
	op->child.niov = niov;
	op->child.unmap = true;
	op->child.fua = false;
	block_submit(b, &op->child);
}

static bool
overlaps(
    const struct ov_op *list, const struct ov_op *end, const struct ov_op *op)
{
	for (; list != end && list != NULL; list = list->next)
		if (op->first < list->last && list->first < op->last)
			return (true);
	return (false);
}

static void
ov_release(struct overlay *ov, struct ov_op *op)
{
	struct ov_op **p, *w;

	for (p = &ov->holding; *p != NULL; p = &(*p)->next)
		if (*p == op) {
			*p = op->next;
			break;
		}
	/* Those that need not wait any more, in the order they came. One that
	 * has nothing to do ends at once, and the list is another. */
	for (p = &ov->waiting; (w = *p) != NULL;) {
		if (overlaps(ov->holding, NULL, w) ||
		    overlaps(ov->waiting, w, w)) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		if (ov->waiting_end == &w->next)
			ov->waiting_end = p;
		w->next = ov->holding;
		ov->holding = w;
		ov_next(w);
		p = &ov->waiting;
	}
}

static void
ov_end(struct ov_op *op, int error)
{
	struct overlay *ov = op->ov;
	struct block_req *req = op->req;

	if (op->last > op->first)
		ov_release(ov, op);
	free(op->fill);
	free(op->iov);
	op->fill = NULL;
	op->iov = NULL;
	op->next = ov->free;
	ov->free = op;
	block_done(&ov->blk, req, error);
	if (ov->queue != NULL && ov->free != NULL) {
		req = ov->queue;
		ov->queue = req->next;
		if (ov->queue == NULL)
			ov->queue_end = &ov->queue;
		ov_begin(ov, req);
	}
}

/* The data of [pos, pos + len): a slice of the request's. */
static unsigned
ov_slice(struct ov_op *op, uint64_t pos, uint64_t len, unsigned at)
{
	return (block_iov_slice(op->iov + at, op->req->iov, op->req->niov,
	    pos - op->req->off, len));
}

static void
ov_read(struct ov_op *op)
{
	struct overlay *ov = op->ov;
	uint64_t end = op->req->off + op->req->len;
	unsigned n;
	bool here;

	op->start = op->pos;
	op->end =
	    op->pos + overlay_map_run(&ov->map, op->pos, end - op->pos, &here);
	op->step = STEP_READ;
	n = ov_slice(op, op->start, op->end - op->start, 0);
	ov_child(op, here ? ov->top : ov->base, BLOCK_READ,
	    here ? ov->map.data + op->start : op->start, op->end - op->start,
	    op->iov, n);
}

/* The part's own bytes, with what the base gave before and after them. */
static void
ov_write(struct ov_op *op)
{
	struct overlay *ov = op->ov;
	uint64_t len = op->end - op->start;
	unsigned n = 0;

	if (op->head > 0) {
		op->iov[n].iov_base = op->fill;
		op->iov[n++].iov_len = op->head;
	}
	if (op->req->op == BLOCK_WRITE) {
		n += ov_slice(op, op->start, len, n);
	} else {
		/* Less than a cluster. */
		op->iov[n].iov_base = (void *)(uintptr_t)zero_cluster;
		op->iov[n++].iov_len = (size_t)len;
	}
	if (op->tail > 0) {
		op->iov[n].iov_base = op->fill + ((size_t)1 << ov->map.shift);
		op->iov[n++].iov_len = op->tail;
	}
	op->step = STEP_WRITE;
	ov_child(op, ov->top, BLOCK_WRITE, ov->map.data + op->start - op->head,
	    len + op->head + op->tail, op->iov, n);
}

static void
ov_tail(struct ov_op *op)
{
	struct overlay *ov = op->ov;

	op->step = STEP_TAIL;
	if (op->tail == 0) {
		ov_write(op);
		return;
	}
	op->one.iov_base = op->fill + ((size_t)1 << ov->map.shift);
	op->one.iov_len = op->tail;
	ov_child(op, ov->base, BLOCK_READ, op->end, op->tail, &op->one, 1);
}

/* Writes [start, end): first the rest of its clusters is read. */
static void
ov_head(struct ov_op *op)
{
	struct overlay *ov = op->ov;
	const struct overlay_map *map = &ov->map;
	uint64_t mask = (UINT64_C(1) << map->shift) - 1, to;

	op->head = op->tail = 0;
	if ((op->start & mask) != 0 &&
	    !overlay_map_get(map, op->start >> map->shift))
		op->head = (uint32_t)(op->start & mask);
	if ((op->end & mask) != 0 && op->end < map->size &&
	    !overlay_map_get(map, op->end >> map->shift)) {
		to = (op->end | mask) + 1;
		if (to > map->size)
			to = map->size;
		op->tail = (uint32_t)(to - op->end);
	}
	if (op->head + op->tail > 0 && op->fill == NULL) {
		op->fill = malloc((size_t)2 << map->shift);
		if (op->fill == NULL) {
			ov_end(op, -ENOMEM);
			return;
		}
	}
	op->step = STEP_HEAD;
	if (op->head == 0) {
		ov_tail(op);
		return;
	}
	op->one.iov_base = op->fill;
	op->one.iov_len = op->head;
	ov_child(op, ov->base, BLOCK_READ, op->start - op->head, op->head,
	    &op->one, 1);
}

/* Whole clusters get a hole and their bits; parts of one are written, or,
 * for a discard, left alone. */
static void
ov_zero(struct ov_op *op)
{
	struct overlay *ov = op->ov;
	const struct overlay_map *map = &ov->map;
	uint64_t mask = (UINT64_C(1) << map->shift) - 1;
	uint64_t end = op->req->off + op->req->len;
	bool whole;

	op->start = op->pos;
	op->end = end == map->size ? end : end & ~mask;
	whole = (op->start & mask) == 0 && op->end > op->start;
	if (!whole) {
		op->end = (op->start | mask) + 1;
		if (op->end > end)
			op->end = end;
		if (op->req->op == BLOCK_ZEROES) {
			ov_head(op);
			return;
		}
		op->pos = op->end;
		ov_next(op);
		return;
	}
	op->step = STEP_ZERO;
	ov_child(op, ov->top, op->req->op, map->data + op->start,
	    op->end - op->start, NULL, 0);
}

/* Goes on at `pos`. */
static void
ov_next(struct ov_op *op)
{
	struct block_req *req = op->req;

	if (op->pos >= req->off + req->len)
		ov_end(op, 0);
	else if (req->op == BLOCK_READ)
		ov_read(op);
	else if (req->op == BLOCK_WRITE) {
		op->start = req->off;
		op->end = req->off + req->len;
		ov_head(op);
	} else {
		ov_zero(op);
	}
}

static void
ov_child_done(struct block_req *child, int error)
{
	struct ov_op *op = (struct ov_op *)child;
	struct overlay *ov = op->ov;
	uint64_t size = UINT64_C(1) << ov->map.shift;

	if (error != 0) {
		ov_end(op, error);
		return;
	}
	switch (op->step) {
	case STEP_HEAD:
		ov_tail(op);
		return;
	case STEP_TAIL:
		ov_write(op);
		return;
	case STEP_WRITE:
	case STEP_ZERO:
		/* The cluster is there: now the bit may say so. */
		overlay_map_set(&ov->map, op->start >> ov->map.shift,
		    (op->end + size - 1) >> ov->map.shift);
		break;
	case STEP_READ:
	case STEP_PASS:
		break;
	}
	op->pos = op->end;
	ov_next(op);
}

/* Everything that is written is in the file already. */
static bool
all_here(const struct overlay *ov, const struct block_req *req)
{
	bool here;

	return (
	    overlay_map_run(&ov->map, req->off, req->len, &here) == req->len &&
	    here);
}

static void
ov_begin(struct overlay *ov, struct block_req *req)
{
	struct ov_op *op = ov->free;
	unsigned n =
	    req->op == BLOCK_READ || req->op == BLOCK_WRITE ? req->niov : 0;

	ov->free = op->next;
	op->req = req;
	op->pos = req->off;
	op->first = op->last = 0;
	if (req->op == BLOCK_WRITE && all_here(ov, req)) {
		op->step = STEP_PASS;
		op->end = req->off + req->len;
		ov_child(op, ov->top, BLOCK_WRITE, ov->map.data + req->off,
		    req->len, req->iov, req->niov);
		return;
	}
	op->iov = calloc(n + 3, sizeof(*op->iov));
	if (op->iov == NULL) {
		ov_end(op, -ENOMEM);
		return;
	}
	if (req->op != BLOCK_READ) {
		op->first = req->off >> ov->map.shift;
		op->last = ((req->off + req->len - 1) >> ov->map.shift) + 1;
		if (overlaps(ov->holding, NULL, op) ||
		    overlaps(ov->waiting, NULL, op)) {
			op->next = NULL;
			*ov->waiting_end = op;
			ov->waiting_end = &op->next;
			return;
		}
		op->next = ov->holding;
		ov->holding = op;
	}
	ov_next(op);
}

/*
 * A flush: clusters to the disk, then the bits that say that they are there,
 * as they were when the flush began, then these to the disk.
 */
static void ov_flush(struct overlay *ov);

static void
ov_flush_end(struct overlay *ov, int error)
{
	struct block_req *req = ov->flushing, *next;
	uint32_t i;

	for (i = 0; i < ov->nsaved && error != 0; i++) {
		if (ov->map.dirty[ov->saved_at[i]] == 0)
			ov->map.ndirty++;
		ov->map.dirty[ov->saved_at[i]] = 1;
	}
	free(ov->saved);
	free(ov->saved_at);
	ov->saved = NULL;
	ov->saved_at = NULL;
	ov->nsaved = 0;
	ov->flushing = NULL;
	ov->flush_runs = false;
	for (; req != NULL; req = next) {
		next = req->next;
		block_done(&ov->blk, req, error);
	}
	if (ov->flush_next != NULL)
		ov_flush(ov);
}

static int
ov_save_bits(struct overlay *ov)
{
	struct overlay_map *map = &ov->map;
	uint32_t i;

	if (map->ndirty == 0)
		return (0);
	ov->saved = malloc((size_t)map->ndirty * OVERLAY_BLOCK);
	ov->saved_at = malloc(map->ndirty * sizeof(*ov->saved_at));
	if (ov->saved == NULL || ov->saved_at == NULL)
		return (-ENOMEM);
	for (i = 0; i < map->blocks; i++) {
		if (map->dirty[i] == 0)
			continue;
		memcpy(ov->saved + (size_t)ov->nsaved * OVERLAY_BLOCK,
		    map->bits + (size_t)i * OVERLAY_BLOCK, OVERLAY_BLOCK);
		ov->saved_at[ov->nsaved++] = i;
		map->dirty[i] = 0;
	}
	map->ndirty = 0;
	return (0);
}

static void
ov_flush_child(struct overlay *ov, enum block_op what)
{
	ov->fchild.op = what;
	ov->fchild.fua = false;
	block_submit(ov->top, &ov->fchild);
}

/* Blocks that follow each other are one write. */
static void
ov_write_bits(struct overlay *ov)
{
	uint32_t n = 1, at = ov->wrote;

	while (at + n < ov->nsaved && n < 1024 &&
	       ov->saved_at[at + n] == ov->saved_at[at] + n)
		n++;
	ov->fiov.iov_base = ov->saved + (size_t)at * OVERLAY_BLOCK;
	ov->fiov.iov_len = (size_t)n * OVERLAY_BLOCK;
	ov->fchild.off = (uint64_t)(ov->saved_at[at] + 1) * OVERLAY_BLOCK;
	ov->fchild.len = ov->fiov.iov_len;
	ov->fchild.iov = &ov->fiov;
	ov->fchild.niov = 1;
	ov->wrote += n;
	ov_flush_child(ov, BLOCK_WRITE);
}

static void
ov_flush_done(struct block_req *child, int error)
{
	struct overlay *ov =
	    (struct overlay *)((char *)child -
			       offsetof(struct overlay, fchild));

	if (error != 0 || ov->flush_last || ov->nsaved == 0) {
		ov_flush_end(ov, error);
	} else if (ov->wrote < ov->nsaved) {
		ov_write_bits(ov);
	} else {
		ov->flush_last = true;
		ov_flush_child(ov, BLOCK_FLUSH);
	}
}

/* Begins a flush for all that wait for one. */
static void
ov_flush(struct overlay *ov)
{
	ov->flushing = ov->flush_next;
	ov->flush_next = NULL;
	ov->flush_next_end = &ov->flush_next;
	ov->flush_runs = true;
	ov->flush_last = false;
	ov->wrote = 0;
	if (ov_save_bits(ov) != 0) {
		ov_flush_end(ov, -ENOMEM);
		return;
	}
	ov_flush_child(ov, BLOCK_FLUSH);
}

static void
ov_submit(struct block *b, struct block_req *req)
{
	struct overlay *ov = (struct overlay *)b;

	req->next = NULL;
	if (req->flushing && ov->scratch) {
		block_done(b, req, 0);
	} else if (req->flushing) {
		*ov->flush_next_end = req;
		ov->flush_next_end = &req->next;
		if (!ov->flush_runs)
			ov_flush(ov);
	} else if (req->len == 0) {
		block_done(b, req, 0);
	} else if (ov->free != NULL && ov->queue == NULL) {
		ov_begin(ov, req);
	} else {
		*ov->queue_end = req;
		ov->queue_end = &req->next;
	}
}

static void
ov_kick(struct block *b)
{
	struct overlay *ov = (struct overlay *)b;

	do {
		block_kick(ov->top);
		block_kick(ov->base);
	} while (ov->top->fresh || ov->base->fresh);
}

static void
ov_wait(struct block *b)
{
	struct overlay *ov = (struct overlay *)b;
	struct block *below = ov->top->busy > 0 ? ov->top : ov->base;

	below->ops->wait(below);
}

static void
ov_cancel(struct block *b)
{
	struct overlay *ov = (struct overlay *)b;

	if (ov->base->ops->cancel != NULL)
		ov->base->ops->cancel(ov->base);
}

static void
ov_destroy(struct block *b)
{
	struct overlay *ov = (struct overlay *)b;

	if (ov->top != NULL && !ov->scratch && !b->info.readonly &&
	    ov->map.ndirty > 0) {
		ov_flush(ov);
		block_drain(ov->top);
	}
	block_close(ov->top);
	block_close(ov->base);
	overlay_map_fini(&ov->map);
	free(ov->ops);
	free(ov);
}

static const struct block_ops overlay_ops = {
    .name = "overlay",
    .layer = true,
    .submit = ov_submit,
    .kick = ov_kick,
    .wait = ov_wait,
    .cancel = ov_cancel,
    .destroy = ov_destroy,
};

static int
ov_create(struct overlay **out, struct block *base)
{
	struct overlay *ov;
	unsigned i;

	ov = calloc(1, sizeof(*ov));
	if (ov != NULL)
		ov->ops = calloc(OPS, sizeof(*ov->ops));
	if (ov == NULL || ov->ops == NULL) {
		free(ov);
		return (-ENOMEM);
	}
	block_init(&ov->blk, &overlay_ops);
	ov->base = base;
	ov->waiting_end = &ov->waiting;
	ov->queue_end = &ov->queue;
	ov->flush_next_end = &ov->flush_next;
	ov->fchild.done = ov_flush_done;
	for (i = OPS; i-- > 0;) {
		ov->ops[i].ov = ov;
		ov->ops[i].child.done = ov_child_done;
		ov->ops[i].next = ov->free;
		ov->free = &ov->ops[i];
	}
	*out = ov;
	return (0);
}

/* A file without a name, which goes with the process. Where the file system can
 * make none (overlayfs before Linux 6.3) it has a name for a moment. -1 and
 * errno. */
static int
nameless_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[PATH_MAX];

	if (fd >= 0 || errno != EOPNOTSUPP)
		return (fd);
	if ((size_t)snprintf(path, sizeof(path), "%s/lhyve-XXXXXX", dir) >=
	    sizeof(path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return (fd);
}

static int
open_scratch(struct overlay *ov, struct block_error *err)
{
	const char *dir = getenv("TMPDIR");
	int error, fd;

	if (dir == NULL || dir[0] == '\0')
		dir = "/var/tmp";
	error = overlay_map_scratch(&ov->map, ov->base->info.size);
	if (error != 0)
		return (block_fail(err, error, "%s: no snapshot of it: %s",
		    ov->base->info.where, strerror(-error)));
	fd = nameless_file(dir);
	if (fd < 0 || ftruncate(fd, (off_t)ov->map.file_size) != 0) {
		error = -errno;
		if (fd >= 0)
			(void)close(fd);
		return (block_fail(err, error,
		    "%s: no file for a snapshot: %s; set TMPDIR", dir,
		    strerror(-error)));
	}
	return (fd);
}

static int
open_overlay(struct overlay *ov, const char *file, bool readonly,
    struct block_error *err)
{
	int error, fd;

	fd = open(
	    file, (readonly ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0666);
	if (fd < 0)
		return (block_fail(err, -errno,
		    "%s: the overlay cannot be opened: %s", file,
		    strerror(errno)));
	error = block_lock(fd, file, readonly, err);
	if (error == 0)
		error = overlay_map_open(
		    &ov->map, fd, ov->base->info.size, file, readonly, err);
	if (error != 0) {
		(void)close(fd);
		return (error);
	}
	return (fd);
}

int
block_overlay_open(struct block **out, struct block *base, const char *file,
    const struct block_config *cfg, struct block_error *err)
{
	struct block_config top = *cfg;
	struct overlay *ov;
	struct block_info *info;
	int error, fd;

	error = ov_create(&ov, base);
	if (error != 0) {
		block_close(base);
		return (block_fail(err, error, "%s: no memory", cfg->path));
	}
	ov->scratch = file == NULL;
	fd = file == NULL ? open_scratch(ov, err)
			  : open_overlay(ov, file, cfg->readonly, err);
	if (fd < 0) {
		ov_destroy(&ov->blk);
		return (fd);
	}
	top.path = file != NULL ? file : "snapshot";
	top.logical = top.physical = 0;
	top.readonly = file != NULL && cfg->readonly;
	error = block_file_fd(&ov->top, fd, &top, err);
	if (error != 0) {
		ov_destroy(&ov->blk);
		return (error);
	}
	ov->base->parent = ov->top->parent = &ov->blk;
	info = &ov->blk.info;
	*info = base->info;
	(void)snprintf(info->where, sizeof(info->where), "%s",
	    file != NULL ? file : base->info.where);
	info->readonly = cfg->readonly;
	info->discard = !cfg->readonly && !cfg->nodelete;
	info->discard_granularity = 1u << ov->map.shift;
	if (info->physical < OVERLAY_BLOCK)
		info->physical = OVERLAY_BLOCK;
	*out = &ov->blk;
	return (0);
}
