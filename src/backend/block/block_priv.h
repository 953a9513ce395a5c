/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_PRIV_H
#define LHYVE_BACKEND_BLOCK_PRIV_H

#include "backend/block/block.h"

/*
 * What is behind a struct block: a file, a server, or an overlay that has two
 * others below it. Those complete requests by block_done(), at any time but
 * from their destroy.
 */
struct block_ops {
	const char *name;
	bool layer; /* its errors are those of the disks below */
	/* Takes a request that was checked; begins it now or in kick. It is a
	 * flush if `flushing`, whatever its `op`. */
	void (*submit)(struct block *b, struct block_req *req);
	/* Begins what waits and looks for what has ended. May be NULL. */
	void (*kick)(struct block *b);
	/* Sleeps until something has ended, then as kick. */
	void (*wait)(struct block *b);
	/* Gives up what may take forever. May be NULL. */
	void (*cancel)(struct block *b);
	/* The size may have changed. May be NULL. */
	void (*refresh)(struct block *b);
	/* Nothing is under way. */
	void (*destroy)(struct block *b);
};

#define BLOCK_SAID_MAX 4

/* The part of every backend that the front knows; comes first in it. */
struct block {
	const struct block_ops *ops;
	struct block *parent; /* the overlay above it */
	struct block_info info;
	void (*batch)(void *arg);
	void (*resized)(void *arg);
	void *arg;
	unsigned busy;                      /* requests under way */
	struct block_req *done, **done_end; /* not told yet */
	bool kicking;
	bool fresh; /* something was submitted since the last kick */
	int said[BLOCK_SAID_MAX]; /* errors that the user has read about */
	unsigned nsaid;
};

void block_init(struct block *b, const struct block_ops *ops);
/* The request has ended; done() is called by the front. */
void block_done(struct block *b, struct block_req *req, int error);
/* For event handlers: kicks the whole stack that b is in. */
void block_wake(struct block *b);
void block_set_size(struct block *b, uint64_t size);
/* Writes *err and returns `error`. */
int block_fail(struct block_error *err, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

int block_file_open(struct block **out, const struct block_config *cfg,
    struct block_error *err);
/* The same for a descriptor, which it owns from now on, whatever happens. */
int block_file_fd(struct block **out, int fd, const struct block_config *cfg,
    struct block_error *err);
int block_nbd_open(struct block **out, const struct block_config *cfg,
    struct block_error *err);
/* Puts an overlay onto base, which it owns from now on, whatever happens.
 * NULL instead of a file: writes are forgotten. */
int block_overlay_open(struct block **out, struct block *base, const char *file,
    const struct block_config *cfg, struct block_error *err);

/* Locks a file against others: -EBUSY, and *err says who has it. */
int block_lock(
    int fd, const char *path, bool readonly, struct block_error *err);

/* The part [off, off + len) of a list, put into out (room for n entries);
 * returns how many there are. */
unsigned block_iov_slice(struct iovec *out, const struct iovec *iov, unsigned n,
    uint64_t off, uint64_t len);
/* Copies from or to the list, from its byte `off` on. */
void block_iov_read(
    void *buf, const struct iovec *iov, unsigned n, uint64_t off, size_t len);
void block_iov_write(const struct iovec *iov, unsigned n, uint64_t off,
    const void *buf, size_t len);

#endif
