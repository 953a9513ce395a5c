/* SPDX-License-Identifier: BSD-2-Clause */
/* Plain system calls in threads, for a kernel without io_uring. A thread is
 * started when all others are busy. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/block/aio.h"
#include "base/mevent.h"

#define THREADS 8 /* as bhyve has for a disk */

struct threads {
	struct aio aio; /* first */
	int evfd;       /* readable: `ended` has become non-empty */
	struct mevent *ev;
	void (*wake)(void *arg);
	void *arg;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work, moved;
	struct aio_op *queue, **queue_end, *ended, **ended_end;
	unsigned count, idle, queued, running;
	bool quit;
	pthread_t thread[THREADS];
};

static int64_t
perform(const struct aio_op *op)
{
	ssize_t n = -1;

	switch (op->kind) {
	case AIO_READ:
		n = preadv(op->fd, op->iov, (int)op->niov, (off_t)op->off);
		break;
	case AIO_WRITE:
		n = pwritev(op->fd, op->iov, (int)op->niov, (off_t)op->off);
		break;
	case AIO_FDATASYNC:
		n = fdatasync(op->fd);
		break;
	case AIO_FALLOCATE:
		n = fallocate(op->fd, op->mode, (off_t)op->off, (off_t)op->len);
		break;
	}
	return (n < 0 ? -errno : n);
}

static void *
worker(void *arg)
{
	struct threads *t = arg;
	struct aio_op *op;
	const uint64_t one = 1;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (t->queue == NULL && !t->quit) {
			t->idle++;
			pthread_cond_wait(&t->work, &t->lock);
			t->idle--;
		}
		op = t->queue;
		if (op == NULL)
			break;
		t->queue = op->next;
		if (t->queue == NULL)
			t->queue_end = &t->queue;
		t->queued--;
		t->running++;
		pthread_mutex_unlock(&t->lock);
		op->res = perform(op);
		pthread_mutex_lock(&t->lock);
		t->running--;
		op->next = NULL;
		if (t->ended == NULL)
			(void)!write(t->evfd, &one, sizeof(one));
		*t->ended_end = op;
		t->ended_end = &op->next;
		pthread_cond_signal(&t->moved);
	}
	pthread_mutex_unlock(&t->lock);
	return (NULL);
}

/* Signals are for the main thread. Lock held. */
static int
add_worker(struct threads *t)
{
	sigset_t all, old;
	int error;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&t->thread[t->count], NULL, worker, t);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		t->count++;
	return (-error);
}

static void
threads_submit(struct aio *aio, struct aio_op *op)
{
	struct threads *t = (struct threads *)aio;

	op->next = NULL;
	pthread_mutex_lock(&t->lock);
	*t->queue_end = op;
	t->queue_end = &op->next;
	t->queued++;
	/* One is always there. */
	if (t->idle < t->queued && t->count < THREADS)
		(void)add_worker(t);
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
}

static void
threads_kick(struct aio *aio)
{
	struct threads *t = (struct threads *)aio;
	struct aio_op *op, *next;

	for (;;) {
		pthread_mutex_lock(&t->lock);
		op = t->ended;
		t->ended = NULL;
		t->ended_end = &t->ended;
		pthread_mutex_unlock(&t->lock);
		if (op == NULL)
			break;
		for (; op != NULL; op = next) {
			next = op->next;
			op->done(op, op->res);
		}
	}
}

static void
threads_wait(struct aio *aio)
{
	struct threads *t = (struct threads *)aio;

	pthread_mutex_lock(&t->lock);
	while (t->ended == NULL && t->queued + t->running > 0)
		pthread_cond_wait(&t->moved, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static void
threads_event(void *arg, unsigned ready)
{
	struct threads *t = arg;
	uint64_t n;

	(void)ready;
	(void)!read(t->evfd, &n, sizeof(n));
	t->wake(t->arg);
}

static void
threads_destroy(struct aio *aio)
{
	struct threads *t = (struct threads *)aio;
	unsigned i;

	pthread_mutex_lock(&t->lock);
	t->quit = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (i = 0; i < t->count; i++)
		(void)pthread_join(t->thread[i], NULL);
	mevent_remove(t->ev);
	if (t->evfd >= 0)
		(void)close(t->evfd);
	pthread_cond_destroy(&t->moved);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct aio_engine threads_engine = {
    .name = "threads",
    .submit = threads_submit,
    .kick = threads_kick,
    .wait = threads_wait,
    .destroy = threads_destroy,
};

int
aio_threads_create(struct aio **out, struct mevent_loop *loop,
    void (*wake)(void *arg), void *arg)
{
	struct threads *t;
	int error;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return (-ENOMEM);
	t->aio.engine = &threads_engine;
	t->wake = wake;
	t->arg = arg;
	t->queue_end = &t->queue;
	t->ended_end = &t->ended;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->moved, NULL);
	t->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->evfd < 0)
		error = -errno;
	else
		error = mevent_add(
		    loop, t->evfd, MEVENT_READ, threads_event, t, &t->ev);
	if (error == 0)
		error = add_worker(t);
	if (error != 0) {
		threads_destroy(&t->aio);
		return (error);
	}
	*out = &t->aio;
	return (0);
}
