/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_H
#define LHYVE_BACKEND_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct mevent_loop;

/*
 * A block backend: the host's end of a disk. Offsets and lengths are bytes.
 *
 * Threads: a disk belongs to the thread that runs its event loop. All
 * functions below are for that thread only, or for any one thread while the
 * loop does not run; callbacks come in the same thread, with no lock held.
 */
struct block;

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* what was done before it was submitted is on disk */
	BLOCK_DISCARD, /* what is there afterwards is not said */
	BLOCK_ZEROES,
};

/* What a request may have at most: pieces, and bytes of data. */
#define BLOCK_IOV_MAX 1000u
#define BLOCK_LEN_MAX (UINT64_C(1) << 30)

/*
 * A request, kept by the caller until `done`; so are iov and what it points
 * to. The backend copies nothing of it. Requests are worked on in any order.
 */
struct block_req {
	enum block_op op;
	bool unmap; /* BLOCK_ZEROES: need not stay allocated */
	bool fua;   /* BLOCK_WRITE, _ZEROES: on disk when it is done */
	uint64_t off, len;
	const struct iovec *iov; /* READ, WRITE: `len` bytes in all */
	unsigned niov;
	/* 0 or -errno. After an error nobody knows how much was done. Called
	 * in block_kick(), block_drain(), block_cancel() or the event loop,
	 * never in block_submit(). May submit requests. */
	void (*done)(struct block_req *req, int error);

	/* Of the backend, until done. */
	struct block_req *next;
	int error;
	bool flushing; /* the flush behind a write with fua */
};

struct block_info {
	uint64_t size;     /* bytes, whole logical sectors */
	uint32_t logical;  /* sector, bytes: power of two, at least 512 */
	uint32_t physical; /* power of two, at least `logical` */
	uint32_t offset;   /* of the first physical sector's beginning */
	uint32_t discard_granularity;
	bool readonly;
	bool discard; /* it does something */
	/* Where it is, for messages. */
	char where[128];
};

enum block_aio { BLOCK_AIO_AUTO, BLOCK_AIO_URING, BLOCK_AIO_THREADS };

struct block_config {
	struct mevent_loop *loop;
	/* A file, a block device, nbd:unix:PATH[:EXPORT] or
	 * nbd://HOST[:PORT][/EXPORT]. */
	const char *path;
	const char *overlay; /* a file that takes all writes; NULL: none */
	bool snapshot;       /* writes are kept until the end only */
	bool readonly;
	bool nocache;       /* O_DIRECT */
	bool sync;          /* each write is on disk when it is done */
	bool nodelete;      /* discards do nothing */
	enum block_aio aio; /* of files; AUTO: threads if the kernel has or
			       allows no io_uring */
	uint32_t logical, physical; /* 0: what is there */

	/* After a run of done()s: the time for an interrupt. May be NULL. */
	void (*batch)(void *arg);
	/* The size has changed (block_info()); requests that are under way
	 * are checked against the old one. May be NULL. */
	void (*resized)(void *arg);
	void *arg;
};

struct block_error {
	char text[384]; /* "disk.img: cannot be opened: ...; do this" */
};

/*
 * Opens a disk; 0, or -errno and *err says why. A regular file or block
 * device is locked: one writer, or any number of readers. What cannot be
 * opened for writing is opened read-only, with a warning.
 */
int block_open(struct block **out, const struct block_config *cfg,
    struct block_error *err);
/* Ends what is under way, as block_cancel(), and closes. What was written
 * to an overlay is found there again, also without a flush. NULL: nothing. */
void block_close(struct block *b);
const struct block_info *block_info(const struct block *b);
/* Takes a request; it may begin only with block_kick(). Never fails: what is
 * wrong with it, done() hears. */
void block_submit(struct block *b, struct block_req *req);
/* Begins what was submitted, and calls done() for what has ended. */
void block_kick(struct block *b);
/* Waits until nothing is under way: each done() was called, and memory is not
 * touched any more. */
void block_drain(struct block *b);
/* The same, but what a server on the network has not answered is given up
 * (-ECANCELED). A file is waited for as long as it takes. */
void block_cancel(struct block *b);
/* Looks whether the size has changed; the event loop does so every second. */
void block_refresh(struct block *b);

#endif
