/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and block devices. A request becomes one system call, or several:
 * where one does less than it was asked for, where O_DIRECT wants memory
 * that is aligned, and for zeroes that the file system cannot make.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/file_priv.h"
#include "base/mevent.h"

/* In one piece through memory of ours. */
#define BOUNCE_MAX (256u << 10)
/* How often a system call is tried again that was only interrupted. */
#define TRIES_MAX 1000

static const uint8_t zeroes[64 << 10] __attribute__((aligned(4096)));
#define ZERO_IOVS 16

/* What one request is doing. */
struct file_op {
	struct aio_op aio; /* first */
	struct file *file;
	struct block_req *req;
	uint64_t moved;      /* bytes done */
	struct iovec *slice; /* the rest of req->iov; NULL: not needed yet */
	struct iovec one[ZERO_IOVS];
	uint8_t *bounce; /* BOUNCE_MAX bytes; NULL: not needed yet */
	bool bounced;    /* this system call uses it */
	bool by_hand;    /* zeroes are written */
	unsigned tries;
	struct file_op *next; /* in the list of free ones */
};

static void file_next(struct file_op *op);

static void
file_begin(struct file *f, struct block_req *req)
{
	struct file_op *op = f->free;

	f->free = op->next;
	op->req = req;
	op->moved = 0;
	op->tries = 0;
	op->by_hand = false;
	file_next(op);
}

static void
file_end(struct file_op *op, int error)
{
	struct file *f = op->file;
	struct block_req *req = op->req;

	free(op->slice);
	op->slice = NULL;
	/* Who needed it once will again, but not too many of them. */
	if (op->bounce != NULL && op - f->ops >= FILE_BOUNCES) {
		free(op->bounce);
		op->bounce = NULL;
	}
	op->next = f->free;
	f->free = op;
	block_done(&f->blk, req, error);
	if (f->waiting != NULL && f->free != NULL) {
		req = f->waiting;
		f->waiting = req->next;
		if (f->waiting == NULL)
			f->waiting_end = &f->waiting;
		file_begin(f, req);
	}
}

static void
file_submit(struct block *b, struct block_req *req)
{
	struct file *f = (struct file *)b;

	if (f->free != NULL && f->waiting == NULL) {
		file_begin(f, req);
		return;
	}
	req->next = NULL;
	*f->waiting_end = req;
	f->waiting_end = &req->next;
}

/* What the system call has done counts; the rest is the next one's. */
static void
file_moved(struct file_op *op, int64_t res)
{
	struct block_req *req = op->req;

	if (op->bounced && req->op == BLOCK_READ)
		block_iov_write(
		    req->iov, req->niov, op->moved, op->bounce, (size_t)res);
	op->moved += (uint64_t)res;
	if (op->moved >= req->len)
		file_end(op, 0);
	else
		file_next(op);
}

/* The file system does not know this kind of fallocate(), or (EINVAL) not
 * with these numbers. */
static void
file_cannot(struct file_op *op, int64_t error)
{
	struct file *f = op->file;

	if (op->req->op == BLOCK_DISCARD) {
		/* It was only a hint. */
		f->no_punch |= error != -EINVAL;
		file_end(op, 0);
		return;
	}
	if (error == -EINVAL)
		op->by_hand = true;
	else if (op->aio.mode & FALLOC_FL_PUNCH_HOLE)
		f->no_punch = true;
	else
		f->no_zero = true;
	file_next(op);
}

static void
file_done(struct aio_op *aio, int64_t res)
{
	struct file_op *op = (struct file_op *)aio;
	struct block_req *req = op->req;

	if ((res == -EINTR || res == -EAGAIN) && op->tries++ < TRIES_MAX) {
		file_next(op);
		return;
	}
	if (aio->kind == AIO_FALLOCATE &&
	    (res == -EOPNOTSUPP || res == -ENOSYS || res == -ENODEV ||
		res == -EINVAL)) {
		file_cannot(op, res);
		return;
	}
	if (res < 0) {
		file_end(op, (int)res);
		return;
	}
	if (aio->kind == AIO_FALLOCATE || aio->kind == AIO_FDATASYNC) {
		file_end(op, 0);
		return;
	}
	/* Nothing there where something was: the file has become shorter. */
	if (res == 0 && op->moved < req->len) {
		block_refresh(&op->file->blk);
		file_end(op, -EIO);
		return;
	}
	file_moved(op, res);
}

/* Is O_DIRECT possible with all of these? */
static bool
aligned(const struct file *f, const struct iovec *iov, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if ((((uintptr_t)iov[i].iov_base | iov[i].iov_len) &
			(f->mem_align - 1)) != 0 ||
		    (iov[i].iov_len & (f->off_align - 1)) != 0)
			return (false);
	return (true);
}

/* Through memory of ours: the part that fits. Or false. */
static bool
file_bounce(struct file_op *op)
{
	struct block_req *req = op->req;
	uint64_t left = req->len - op->moved;

	if (op->bounce == NULL &&
	    posix_memalign((void **)&op->bounce, 4096, BOUNCE_MAX) != 0) {
		op->bounce = NULL;
		return (false);
	}
	op->bounced = true;
	op->one[0].iov_base = op->bounce;
	op->one[0].iov_len = left < BOUNCE_MAX ? (size_t)left : BOUNCE_MAX;
	op->aio.iov = op->one;
	op->aio.niov = 1;
	if (req->op == BLOCK_WRITE)
		block_iov_read(op->bounce, req->iov, req->niov, op->moved,
		    op->one[0].iov_len);
	return (true);
}

/* One more system call for a read or a write. */
static void
file_rw(struct file_op *op)
{
	struct file *f = op->file;
	struct block_req *req = op->req;
	struct aio_op *aio = &op->aio;

	aio->kind = req->op == BLOCK_READ ? AIO_READ : AIO_WRITE;
	aio->fd = f->fd;
	aio->off = req->off + op->moved;
	aio->iov = req->iov;
	aio->niov = req->niov;
	op->bounced = false;
	if (op->moved > 0) {
		if (op->slice == NULL)
			op->slice = calloc(req->niov, sizeof(*op->slice));
		if (op->slice == NULL) {
			file_end(op, -ENOMEM);
			return;
		}
		aio->iov = op->slice;
		aio->niov = block_iov_slice(op->slice, req->iov, req->niov,
		    op->moved, req->len - op->moved);
	}
	if (f->direct) {
		/* The kernel keeps what goes through the page cache and what
		 * goes past it together. */
		if (((aio->off | (req->len - op->moved)) &
			(f->off_align - 1)) != 0) {
			aio->fd = f->cached_fd;
		} else if (!aligned(f, aio->iov, aio->niov) &&
			   !file_bounce(op)) {
			file_end(op, -ENOMEM);
			return;
		}
	}
	f->aio->engine->submit(f->aio, aio);
}

static void
file_write_zeroes(struct file_op *op)
{
	struct file *f = op->file;
	uint64_t left = op->req->len - op->moved;
	unsigned n;

	for (n = 0; n < ZERO_IOVS && left > 0; n++) {
		op->one[n].iov_base = (void *)(uintptr_t)zeroes;
		op->one[n].iov_len =
		    left < sizeof(zeroes) ? (size_t)left : sizeof(zeroes);
		left -= op->one[n].iov_len;
	}
	op->bounced = false;
	op->aio.kind = AIO_WRITE;
	op->aio.fd = f->cached_fd;
	op->aio.off = op->req->off + op->moved;
	op->aio.iov = op->one;
	op->aio.niov = n;
	f->aio->engine->submit(f->aio, &op->aio);
}

/* Makes a hole, or zeroes that stay allocated; else writes them. */
static void
file_allocate(struct file_op *op)
{
	struct file *f = op->file;
	struct block_req *req = op->req;
	struct aio_op *aio = &op->aio;

	if (req->op == BLOCK_DISCARD && f->no_punch) {
		file_end(op, 0);
		return;
	}
	if (op->by_hand)
		;
	else if (req->op == BLOCK_DISCARD || (req->unmap && !f->no_punch))
		aio->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	else if (!f->no_zero)
		aio->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	else
		op->by_hand = true;
	if (op->by_hand) {
		file_write_zeroes(op);
		return;
	}
	aio->kind = AIO_FALLOCATE;
	aio->fd = f->fd;
	aio->off = req->off;
	aio->len = req->len;
	f->aio->engine->submit(f->aio, aio);
}

static void
file_next(struct file_op *op)
{
	struct file *f = op->file;
	struct block_req *req = op->req;

	if (req->flushing) {
		op->aio.kind = AIO_FDATASYNC;
		op->aio.fd = f->fd;
		f->aio->engine->submit(f->aio, &op->aio);
	} else if (req->len == 0) {
		file_end(op, 0);
	} else if (req->op == BLOCK_READ || req->op == BLOCK_WRITE) {
		file_rw(op);
	} else {
		file_allocate(op);
	}
}

static void
file_kick(struct block *b)
{
	struct file *f = (struct file *)b;

	f->aio->engine->kick(f->aio);
}

static void
file_wait(struct block *b)
{
	struct file *f = (struct file *)b;

	f->aio->engine->wait(f->aio);
}

static void
file_refresh(struct block *b)
{
	struct file *f = (struct file *)b;
	uint64_t size;

	if (file_size(f->fd, &size) == 0)
		block_set_size(b, size);
}

void
file_destroy(struct block *b)
{
	struct file *f = (struct file *)b;
	unsigned i;

	if (f->aio != NULL)
		f->aio->engine->destroy(f->aio);
	mevent_remove(f->timer_ev);
	if (f->timer_fd >= 0)
		(void)close(f->timer_fd);
	if (f->cached_fd >= 0 && f->cached_fd != f->fd)
		(void)close(f->cached_fd);
	if (f->fd >= 0)
		(void)close(f->fd);
	for (i = 0; i < AIO_DEPTH; i++)
		free(f->ops[i].bounce);
	free(f->ops);
	free(f);
}

static const struct block_ops file_block_ops = {
    .name = "file",
    .submit = file_submit,
    .kick = file_kick,
    .wait = file_wait,
    .refresh = file_refresh,
    .destroy = file_destroy,
};

int
file_create(struct file **out)
{
	struct file *f;
	unsigned i;

	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return (-ENOMEM);
	f->ops = calloc(AIO_DEPTH, sizeof(*f->ops));
	if (f->ops == NULL) {
		free(f);
		return (-ENOMEM);
	}
	block_init(&f->blk, &file_block_ops);
	f->fd = f->cached_fd = f->timer_fd = -1;
	f->waiting_end = &f->waiting;
	for (i = AIO_DEPTH; i-- > 0;) {
		f->ops[i].file = f;
		f->ops[i].aio.done = file_done;
		f->ops[i].next = f->free;
		f->free = &f->ops[i];
	}
	*out = f;
	return (0);
}
