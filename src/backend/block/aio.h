/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_AIO_H
#define LHYVE_BACKEND_BLOCK_AIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct mevent_loop;

/*
 * System calls on files that do not hold up the caller: by io_uring, or by
 * threads. Submitted and completed in one thread, that of the event loop.
 */
enum aio_kind { AIO_READ, AIO_WRITE, AIO_FDATASYNC, AIO_FALLOCATE };

struct aio_op {
	enum aio_kind kind;
	int fd;
	int mode;                /* AIO_FALLOCATE */
	const struct iovec *iov; /* kept by the caller until done */
	unsigned niov;
	uint64_t off, len; /* len: AIO_FALLOCATE */
	/* What the system call returned, or -errno. In aio_kick(). */
	void (*done)(struct aio_op *op, int64_t res);
	struct aio_op *next; /* of the engine */
	int64_t res;
};

struct aio;
struct aio_engine {
	const char *name;
	void (*submit)(struct aio *aio, struct aio_op *op);
	/* Begins what waits; calls done() for what has ended. */
	void (*kick)(struct aio *aio);
	/* Sleeps until something has ended. */
	void (*wait)(struct aio *aio);
	/* Nothing is under way. */
	void (*destroy)(struct aio *aio);
};
struct aio {
	const struct aio_engine *engine;
};

/* How many may be under way at once. */
#define AIO_DEPTH 128u

/* `wake` is called in the event loop when something has ended: it calls
 * kick. 0 or -errno: the kernel has no io_uring, or does not allow it. */
int aio_uring_create(struct aio **out, struct mevent_loop *loop,
    void (*wake)(void *arg), void *arg);
int aio_threads_create(struct aio **out, struct mevent_loop *loop,
    void (*wake)(void *arg), void *arg);

#endif
