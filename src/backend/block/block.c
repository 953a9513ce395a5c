/* SPDX-License-Identifier: BSD-2-Clause */
/* The front of all block backends: checks, completion, and one line for the
 * user where something goes wrong. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/block/block_priv.h"
#include "base/log.h"

int
block_fail(struct block_error *err, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return (error);
}

void
block_init(struct block *b, const struct block_ops *ops)
{
	b->ops = ops;
	b->done_end = &b->done;
}

const struct block_info *
block_info(const struct block *b)
{
	return (&b->info);
}

void
block_set_size(struct block *b, uint64_t size)
{
	size -= size % b->info.logical;
	if (size == b->info.size)
		return;
	b->info.size = size;
	if (b->resized != NULL)
		b->resized(b->arg);
}

/* One line for each kind of error, and not more than a few in all. */
static void
say(struct block *b, const struct block_req *req, int error)
{
	static const char *const what[] = {
	    "read", "write", "flush", "discard", "write of zeroes"};
	unsigned i;

	/* What only the guest did wrong, or who gave up knows; and what the
	 * disk below has said. */
	if (error == -ECANCELED || error == -EINVAL || error == -EROFS ||
	    error == -EOPNOTSUPP || b->ops->layer)
		return;
	for (i = 0; i < b->nsaid; i++)
		if (b->said[i] == error)
			return;
	if (b->nsaid == BLOCK_SAID_MAX)
		return;
	b->said[b->nsaid++] = error;
	log_warn("%s: %s at %#llx fails: %s; the guest sees an I/O error",
	    b->info.where, what[req->op], (unsigned long long)req->off,
	    strerror(-error));
}

void
block_done(struct block *b, struct block_req *req, int error)
{
	if (error == 0 && req->fua && !req->flushing) {
		/* The flush keeps the request's numbers. */
		req->flushing = true;
		b->ops->submit(b, req);
		b->fresh = true;
		return;
	}
	if (error != 0)
		say(b, req, error);
	req->error = error;
	req->next = NULL;
	*b->done_end = req;
	b->done_end = &req->next;
}

static int
check(const struct block *b, const struct block_req *req)
{
	/* An overlay adds the rest of two clusters. */
	unsigned more = b->parent != NULL ? 2 : 0;
	uint64_t sum = 0, most = BLOCK_LEN_MAX + more * 65536;
	unsigned i;

	if (req->op > BLOCK_ZEROES)
		return (-EINVAL);
	if (req->op == BLOCK_FLUSH)
		return (0);
	if (b->info.readonly && req->op != BLOCK_READ)
		return (-EROFS);
	if (req->off > b->info.size || req->len > b->info.size - req->off)
		return (-EINVAL);
	if (req->op == BLOCK_DISCARD && !b->info.discard)
		return (-EOPNOTSUPP);
	if (req->op == BLOCK_DISCARD || req->op == BLOCK_ZEROES)
		return (0);
	if (req->len > most || req->niov > BLOCK_IOV_MAX + more)
		return (-EINVAL);
	for (i = 0; i < req->niov; i++) {
		if (req->iov[i].iov_len > most)
			return (-EINVAL);
		sum += req->iov[i].iov_len;
	}
	return (sum == req->len ? 0 : -EINVAL);
}

void
block_submit(struct block *b, struct block_req *req)
{
	int error = check(b, req);

	b->busy++;
	b->fresh = true;
	req->next = NULL;
	req->flushing = req->op == BLOCK_FLUSH;
	if (error == 0 && req->len == 0 && req->op != BLOCK_FLUSH && !req->fua)
		block_done(b, req, 0);
	else if (error != 0)
		block_done(b, req, error);
	else
		b->ops->submit(b, req);
}

/* Tells of what has ended; false: nothing had. */
static bool
tell(struct block *b)
{
	struct block_req *req = b->done, *next;

	if (req == NULL)
		return (false);
	b->done = NULL;
	b->done_end = &b->done;
	for (; req != NULL; req = next) {
		next = req->next;
		b->busy--;
		req->done(req, req->error);
	}
	return (true);
}

void
block_kick(struct block *b)
{
	bool any = false;

	/* A done() that calls this: the loop below goes on. */
	if (b->kicking)
		return;
	b->kicking = true;
	do {
		b->fresh = false;
		if (b->ops->kick != NULL)
			b->ops->kick(b);
		any |= tell(b);
	} while (b->fresh);
	b->kicking = false;
	if (any && b->batch != NULL)
		b->batch(b->arg);
}

void
block_wake(struct block *b)
{
	while (b->parent != NULL)
		b = b->parent;
	block_kick(b);
}

void
block_drain(struct block *b)
{
	block_kick(b);
	while (b->busy > 0) {
		b->ops->wait(b);
		block_kick(b);
	}
}

void
block_cancel(struct block *b)
{
	block_kick(b);
	if (b->busy > 0 && b->ops->cancel != NULL)
		b->ops->cancel(b);
	block_drain(b);
}

void
block_refresh(struct block *b)
{
	if (b->ops->refresh != NULL)
		b->ops->refresh(b);
}

void
block_close(struct block *b)
{
	if (b == NULL)
		return;
	block_cancel(b);
	b->ops->destroy(b);
}

int
block_open(
    struct block **out, const struct block_config *cfg, struct block_error *err)
{
	struct block_config below = *cfg;
	struct block *b;
	int error;

	/* A base is never written to. */
	below.readonly |= cfg->overlay != NULL || cfg->snapshot;
	below.batch = below.resized = NULL;
	if (strncmp(cfg->path, "nbd:", 4) == 0)
		error = block_nbd_open(&b, &below, err);
	else
		error = block_file_open(&b, &below, err);
	if (error == 0 && cfg->overlay != NULL) {
		below.readonly = cfg->readonly || cfg->snapshot;
		error = block_overlay_open(&b, b, cfg->overlay, &below, err);
	}
	if (error == 0 && cfg->snapshot) {
		below.readonly = cfg->readonly;
		error = block_overlay_open(&b, b, NULL, &below, err);
	}
	if (error != 0)
		return (error);
	b->batch = cfg->batch;
	b->resized = cfg->resized;
	b->arg = cfg->arg;
	if (cfg->nodelete)
		b->info.discard = false;
	*out = b;
	return (0);
}
