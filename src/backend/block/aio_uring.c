/* SPDX-License-Identifier: BSD-2-Clause */
/* io_uring_enter(2): one system call for a batch; what the page cache has is
 * done when it returns. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <time.h>

#include "backend/block/aio.h"
#include "base/log.h"
#include "base/mevent.h"

struct uring {
	struct aio aio; /* first */
	struct io_uring ring;
	struct mevent *ev;
	unsigned queued;  /* not given to the kernel yet */
	unsigned running; /* given to it */
	void (*wake)(void *arg);
	void *arg;
};

static void
uring_event(void *arg, unsigned ready)
{
	struct uring *u = arg;

	(void)ready;
	u->wake(u->arg);
}

static void
uring_submit(struct aio *aio, struct aio_op *op)
{
	struct uring *u = (struct uring *)aio;
	struct io_uring_sqe *sqe;

	/* The ring has room for AIO_DEPTH. */
	sqe = io_uring_get_sqe(&u->ring);
	if (sqe == NULL) {
		op->done(op, -EAGAIN);
		return;
	}
	switch (op->kind) {
	case AIO_READ:
		if (op->niov == 1)
			io_uring_prep_read(sqe, op->fd, op->iov->iov_base,
			    (unsigned)op->iov->iov_len, op->off);
		else
			io_uring_prep_readv(
			    sqe, op->fd, op->iov, op->niov, op->off);
		break;
	case AIO_WRITE:
		if (op->niov == 1)
			io_uring_prep_write(sqe, op->fd, op->iov->iov_base,
			    (unsigned)op->iov->iov_len, op->off);
		else
			io_uring_prep_writev(
			    sqe, op->fd, op->iov, op->niov, op->off);
		break;
	case AIO_FDATASYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_FALLOCATE:
		io_uring_prep_fallocate(
		    sqe, op->fd, op->mode, (off_t)op->off, (off_t)op->len);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
	u->queued++;
}

/* Gives the kernel what waits. It may be short of memory for a moment; if
 * something is under way its end is the time to try again. */
static void
uring_enter(struct uring *u)
{
	const struct timespec ms = {0, 1000000};
	int n;

	while (u->queued > 0) {
		n = io_uring_submit(&u->ring);
		if (n > 0) {
			u->queued -= (unsigned)n;
			u->running += (unsigned)n;
			continue;
		}
		if (n == -EINTR)
			continue;
		if (u->running > 0)
			break;
		(void)nanosleep(&ms, NULL);
	}
}

static void
uring_kick(struct aio *aio)
{
	struct uring *u = (struct uring *)aio;
	struct io_uring_cqe *cqe;
	struct aio_op *op;
	int64_t res;

	do {
		uring_enter(u);
		while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
			op = io_uring_cqe_get_data(cqe);
			res = cqe->res;
			io_uring_cqe_seen(&u->ring, cqe);
			u->running--;
			op->done(op, res);
		}
	} while (u->queued > 0 && u->running == 0);
}

static void
uring_wait(struct aio *aio)
{
	struct uring *u = (struct uring *)aio;
	struct io_uring_cqe *cqe;

	uring_enter(u);
	while (u->running > 0 && io_uring_wait_cqe(&u->ring, &cqe) == -EINTR)
		;
}

static void
uring_destroy(struct aio *aio)
{
	struct uring *u = (struct uring *)aio;

	mevent_remove(u->ev);
	io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct aio_engine uring_engine = {
    .name = "io_uring",
    .submit = uring_submit,
    .kick = uring_kick,
    .wait = uring_wait,
    .destroy = uring_destroy,
};

/* Has this kernel's io_uring all that is used above? Linux 5.6 has. */
static bool
has_all(struct io_uring *ring)
{
	static const int ops[] = {IORING_OP_READ, IORING_OP_WRITE,
	    IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
	    IORING_OP_FALLOCATE};
	struct io_uring_probe *probe;
	bool all = true;
	unsigned i;

	probe = io_uring_get_probe_ring(ring);
	if (probe == NULL)
		return (false);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		all &= io_uring_opcode_supported(probe, ops[i]) != 0;
	io_uring_free_probe(probe);
	/* Or a completion could be lost. */
	return (all && (ring->features & IORING_FEAT_NODROP) != 0);
}

int
aio_uring_create(struct aio **out, struct mevent_loop *loop,
    void (*wake)(void *arg), void *arg)
{
	struct uring *u;
	int error;

	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return (-ENOMEM);
	u->aio.engine = &uring_engine;
	u->wake = wake;
	u->arg = arg;
	error = io_uring_queue_init(AIO_DEPTH, &u->ring, 0);
	if (error != 0) {
		free(u);
		return (error);
	}
	if (!has_all(&u->ring))
		error = -ENOSYS;
	else
		error = mevent_add(
		    loop, u->ring.ring_fd, MEVENT_READ, uring_event, u, &u->ev);
	if (error != 0) {
		uring_destroy(&u->aio);
		return (error);
	}
	*out = &u->aio;
	return (0);
}
