/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk at an NBD server, by libnbd. All data goes through memory of ours:
 * so a server that does not answer can be given up at any time, and what it
 * sends later reaches no guest.
 *
 * libnbd is loaded when a machine has such a disk: it brings a TLS library
 * and more with it.
 */
#include <errno.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/block/nbd_priv.h"
#include "base/log.h"
#include "base/mevent.h"

#define PIECE      (1u << 20) /* bytes of one command */
#define ZERO_MAX   (1u << 30) /* of one that has no data */
#define OPS        32u        /* commands under way */
#define CONNECT_MS 10000      /* to connect */

/* What one request is doing: one command at a time. */
struct nbd_op {
	struct nbd *nbd;
	struct block_req *req; /* NULL: given up */
	uint64_t moved;
	uint32_t len;
	int error;
	bool ended; /* the server has answered */
	bool busy;
	uint8_t *buf;
	struct nbd_op *next;
};

struct nbd {
	struct block blk; /* first */
	struct nbd_api api;
	struct nbd_handle *h;
	struct mevent_loop *loop;
	struct mevent *ev;
	unsigned watched;
	bool can_zero, can_trim, can_flush;
	uint32_t piece;
	struct nbd_op ops[OPS], *free;
	struct block_req *queue, **queue_end;
};

static void nbd_begin(struct nbd *nbd, struct block_req *req);
static void nbd_next(struct nbd_op *op);

static void
nbd_op_end(struct nbd_op *op, int error)
{
	struct nbd *nbd = op->nbd;
	struct block_req *req = op->req;

	free(op->buf);
	op->buf = NULL;
	op->req = NULL;
	op->next = nbd->free;
	nbd->free = op;
	if (req != NULL)
		block_done(&nbd->blk, req, error);
	if (nbd->queue != NULL && nbd->free != NULL) {
		req = nbd->queue;
		nbd->queue = req->next;
		if (nbd->queue == NULL)
			nbd->queue_end = &nbd->queue;
		nbd_begin(nbd, req);
	}
}

/* Called by libnbd, which must not be called from here. */
static int
nbd_ended(void *arg, int *error)
{
	struct nbd_op *op = arg;

	op->error = -*error;
	op->ended = true;
	return (1);
}

static void
nbd_issue(struct nbd_op *op)
{
	struct nbd *nbd = op->nbd;
	struct block_req *req = op->req;
	nbd_completion_callback cb = {.callback = nbd_ended, .user_data = op};
	uint64_t off = req->off + op->moved;
	int64_t cookie;

	op->busy = true;
	op->ended = false;
	if (req->flushing)
		cookie = nbd->api.aio_flush(nbd->h, cb, 0);
	else if (req->op == BLOCK_READ)
		cookie =
		    nbd->api.aio_pread(nbd->h, op->buf, op->len, off, cb, 0);
	else if (req->op == BLOCK_WRITE ||
		 (req->op == BLOCK_ZEROES && !nbd->can_zero))
		cookie =
		    nbd->api.aio_pwrite(nbd->h, op->buf, op->len, off, cb, 0);
	else if (req->op == BLOCK_ZEROES)
		cookie = nbd->api.aio_zero(nbd->h, op->len, off, cb,
		    req->unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
	else
		cookie = nbd->api.aio_trim(nbd->h, op->len, off, cb, 0);
	if (cookie < 0 && op->busy && !op->ended) {
		/* Not sent; a connection that is gone is no one's number. */
		op->error = -EIO;
		op->ended = true;
	}
}

static void
nbd_next(struct nbd_op *op)
{
	struct nbd *nbd = op->nbd;
	struct block_req *req = op->req;
	uint64_t left = req->len - op->moved;
	bool data = req->op == BLOCK_READ || req->op == BLOCK_WRITE ||
		    (req->op == BLOCK_ZEROES && !nbd->can_zero);
	uint32_t most = data ? nbd->piece : ZERO_MAX;

	if (req->flushing) {
		if (!nbd->can_flush)
			nbd_op_end(op, 0);
		else
			nbd_issue(op);
		return;
	}
	if (left == 0 || (req->op == BLOCK_DISCARD && !nbd->can_trim)) {
		nbd_op_end(op, 0);
		return;
	}
	op->len = left < most ? (uint32_t)left : most;
	if (data && op->buf == NULL) {
		op->buf = calloc(1, op->len);
		if (op->buf == NULL) {
			nbd_op_end(op, -ENOMEM);
			return;
		}
	}
	if (req->op == BLOCK_WRITE)
		block_iov_read(
		    op->buf, req->iov, req->niov, op->moved, op->len);
	nbd_issue(op);
}

static void
nbd_begin(struct nbd *nbd, struct block_req *req)
{
	struct nbd_op *op = nbd->free;

	nbd->free = op->next;
	op->req = req;
	op->moved = 0;
	nbd_next(op);
}

static void
nbd_submit(struct block *b, struct block_req *req)
{
	struct nbd *nbd = (struct nbd *)b;

	if (nbd->free != NULL && nbd->queue == NULL) {
		nbd_begin(nbd, req);
		return;
	}
	req->next = NULL;
	*nbd->queue_end = req;
	nbd->queue_end = &req->next;
}

static void
nbd_finish(struct nbd_op *op)
{
	struct block_req *req = op->req;
	int error = op->error;

	op->busy = op->ended = false;
	if (req == NULL || error != 0) {
		/* The numbers of a server mean nothing here but these. */
		if (error != -ENOSPC && error != -EPERM)
			error = -EIO;
		nbd_op_end(op, error);
		return;
	}
	if (req->flushing) {
		nbd_op_end(op, 0);
		return;
	}
	if (req->op == BLOCK_READ)
		block_iov_write(
		    req->iov, req->niov, op->moved, op->buf, op->len);
	op->moved += op->len;
	nbd_next(op);
}

/* Watches for what libnbd waits for. */
static void
nbd_watch(struct nbd *nbd)
{
	unsigned dir = nbd->api.aio_get_direction(nbd->h), want = 0;

	if (nbd->api.aio_is_dead(nbd->h) || nbd->api.aio_is_closed(nbd->h)) {
		mevent_remove(nbd->ev);
		nbd->ev = NULL;
		return;
	}
	if (dir & LIBNBD_AIO_DIRECTION_READ)
		want |= MEVENT_READ;
	if (dir & LIBNBD_AIO_DIRECTION_WRITE)
		want |= MEVENT_WRITE;
	if (nbd->ev != NULL && want != nbd->watched)
		(void)mevent_modify(nbd->ev, want);
	nbd->watched = want;
}

static void
nbd_kick(struct block *b)
{
	struct nbd *nbd = (struct nbd *)b;
	bool any;
	unsigned i;

	do {
		any = false;
		for (i = 0; i < OPS; i++)
			if (nbd->ops[i].ended) {
				nbd_finish(&nbd->ops[i]);
				any = true;
			}
	} while (any);
	nbd_watch(nbd);
}

static void
nbd_event(void *arg, unsigned ready)
{
	struct nbd *nbd = arg;

	if ((ready & MEVENT_READ) != 0)
		(void)nbd->api.aio_notify_read(nbd->h);
	if ((ready & MEVENT_WRITE) != 0 && (nbd->api.aio_get_direction(nbd->h) &
					       LIBNBD_AIO_DIRECTION_WRITE) != 0)
		(void)nbd->api.aio_notify_write(nbd->h);
	block_wake(&nbd->blk);
}

static void
nbd_wait(struct block *b)
{
	struct nbd *nbd = (struct nbd *)b;

	if (!nbd->api.aio_is_dead(nbd->h))
		(void)nbd->api.poll(nbd->h, 1000);
}

/* What was sent keeps its place until the answer comes. */
static void
nbd_cancel(struct block *b)
{
	struct nbd *nbd = (struct nbd *)b;
	struct block_req *req;
	unsigned i;

	while ((req = nbd->queue) != NULL) {
		nbd->queue = req->next;
		block_done(b, req, -ECANCELED);
	}
	nbd->queue_end = &nbd->queue;
	for (i = 0; i < OPS; i++) {
		req = nbd->ops[i].req;
		nbd->ops[i].req = NULL;
		if (req != NULL)
			block_done(b, req, -ECANCELED);
	}
}

static void
nbd_destroy(struct block *b)
{
	struct nbd *nbd = (struct nbd *)b;
	unsigned i;

	mevent_remove(nbd->ev);
	if (nbd->h != NULL)
		nbd->api.close(nbd->h);
	for (i = 0; i < OPS; i++)
		free(nbd->ops[i].buf);
	nbd_api_unload(&nbd->api);
	free(nbd);
}

static const struct block_ops nbd_ops = {
    .name = "nbd",
    .submit = nbd_submit,
    .kick = nbd_kick,
    .wait = nbd_wait,
    .cancel = nbd_cancel,
    .destroy = nbd_destroy,
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* Connects, but not for longer than a user likes to wait. */
static int
nbd_connect(struct nbd *nbd, const struct nbd_place *at)
{
	uint64_t now = now_ms(), end = now + CONNECT_MS;
	int rc;

	if (nbd->api.set_export_name(nbd->h, at->export_name) != 0)
		return (-EINVAL);
	rc = at->unix_path[0] != '\0'
		 ? nbd->api.aio_connect_unix(nbd->h, at->unix_path)
		 : nbd->api.aio_connect_tcp(nbd->h, at->host, at->port);
	while (
	    rc == 0 && nbd->api.aio_is_connecting(nbd->h) == 1 && now < end) {
		if (nbd->api.poll(nbd->h, (int)(end - now)) < 0)
			rc = -1;
		now = now_ms();
	}
	if (rc == 0 && nbd->api.aio_is_ready(nbd->h) == 1)
		return (0);
	if (now >= end)
		return (-ETIMEDOUT);
	return (nbd->api.get_errno() != 0 ? -nbd->api.get_errno() : -EIO);
}

/* What the server says of itself; it may say anything. */
static int
nbd_info(
    struct nbd *nbd, const struct block_config *cfg, struct block_error *err)
{
	struct block_info *info = &nbd->blk.info;
	int64_t size = nbd->api.get_size(nbd->h);
	int64_t least = nbd->api.get_block_size(nbd->h, LIBNBD_SIZE_MINIMUM);
	int64_t most = nbd->api.get_block_size(nbd->h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0 || size > INT64_C(1) << 62)
		return (block_fail(err, -EFBIG,
		    "%s: the server has no size for it", cfg->path));
	info->logical = cfg->logical != 0 ? cfg->logical : 512;
	info->physical = cfg->physical != 0 ? cfg->physical : info->logical;
	if (least > info->logical && least <= 65536 &&
	    (least & (least - 1)) == 0) {
		if (cfg->logical != 0)
			return (block_fail(err, -EINVAL,
			    "%s: sectorsize=%u: the server has blocks of %u "
			    "bytes; leave it out",
			    cfg->path, cfg->logical, (unsigned)least));
		info->logical = (uint32_t)least;
	}
	if (info->physical < info->logical)
		info->physical = info->logical;
	info->size = (uint64_t)size - (uint64_t)size % info->logical;
	info->discard_granularity = info->physical;
	nbd->piece = most >= 65536 && most < PIECE ? (uint32_t)most : PIECE;
	nbd->piece -= nbd->piece % info->logical;
	nbd->can_zero = nbd->api.can_zero(nbd->h) == 1;
	nbd->can_trim = nbd->api.can_trim(nbd->h) == 1;
	nbd->can_flush = nbd->api.can_flush(nbd->h) == 1;
	info->readonly = cfg->readonly;
	if (!cfg->readonly && nbd->api.is_read_only(nbd->h) == 1) {
		info->readonly = true;
		log_warn("%s: the server has it read-only", cfg->path);
	}
	info->discard = !info->readonly && nbd->can_trim && !cfg->nodelete;
	return (0);
}

int
block_nbd_open(
    struct block **out, const struct block_config *cfg, struct block_error *err)
{
	struct nbd_place at;
	struct nbd *nbd;
	unsigned i;
	int error;

	error = nbd_parse(cfg->path, &at);
	if (error != 0)
		return (block_fail(err, error,
		    "%s: not a server's place; use nbd:unix:PATH or "
		    "nbd://HOST[:PORT][/EXPORT]",
		    cfg->path));
	nbd = calloc(1, sizeof(*nbd));
	if (nbd == NULL)
		return (block_fail(err, -ENOMEM, "%s: no memory", cfg->path));
	block_init(&nbd->blk, &nbd_ops);
	(void)snprintf(
	    nbd->blk.info.where, sizeof(nbd->blk.info.where), "%s", cfg->path);
	nbd->queue_end = &nbd->queue;
	for (i = OPS; i-- > 0;) {
		nbd->ops[i].nbd = nbd;
		nbd->ops[i].next = nbd->free;
		nbd->free = &nbd->ops[i];
	}
	error = nbd_api_load(&nbd->api);
	if (error != 0) {
		(void)block_fail(err, error,
		    "%s: libnbd.so.0 is not there; install libnbd0", cfg->path);
		goto fail;
	}
	nbd->h = nbd->api.create();
	error = nbd->h != NULL ? nbd_connect(nbd, &at) : -ENOMEM;
	if (error != 0) {
		(void)block_fail(err, error,
		    "%s: the server cannot be used: %s; is it running?",
		    cfg->path, strerror(-error));
		goto fail;
	}
	error = nbd_info(nbd, cfg, err);
	if (error != 0)
		goto fail;
	nbd->watched = MEVENT_READ;
	error = mevent_add(cfg->loop, nbd->api.aio_get_fd(nbd->h), MEVENT_READ,
	    nbd_event, nbd, &nbd->ev);
	if (error != 0) {
		(void)block_fail(err, error, "%s: cannot be watched: %s",
		    cfg->path, strerror(-error));
		goto fail;
	}
	*out = &nbd->blk;
	return (0);
fail:
	nbd_destroy(&nbd->blk);
	return (error);
}
