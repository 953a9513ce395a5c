/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mevent.h"

#define MEVENT_BATCH 16

struct mevent {
	struct mevent_loop *loop;
	void (*fn)(void *arg, unsigned ready);
	void *arg;
	int fd;
	unsigned events;
	bool polled;         /* known to epoll */
	bool dead;           /* removed, freed at the end of the batch */
	struct mevent *next; /* in the list of all, or of the dead */
	struct mevent **prevp;
};

struct mevent_loop {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* `current` has changed */
	int epfd, stopfd;
	atomic_bool stopping;
	atomic_bool running;
	pthread_t thread;       /* valid while running */
	bool in_batch;          /* epoll's answers are being worked off */
	struct mevent *current; /* its handler is being called */
	struct mevent *all, *dead;
};

int
mevent_loop_create(struct mevent_loop **out)
{
	struct epoll_event ee = {.events = EPOLLIN, .data.ptr = NULL};
	struct mevent_loop *loop;
	int error;

	loop = calloc(1, sizeof(*loop));
	if (loop == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	loop->stopfd = -1;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		goto fail;
	loop->stopfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->stopfd < 0)
		goto fail;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->stopfd, &ee) != 0)
		goto fail;
	*out = loop;
	return (0);
fail:
	error = -errno;
	mevent_loop_destroy(loop);
	return (error);
}

static void
mevent_bury(struct mevent_loop *loop)
{
	struct mevent *ev;

	while ((ev = loop->dead) != NULL) {
		loop->dead = ev->next;
		free(ev);
	}
}

void
mevent_loop_destroy(struct mevent_loop *loop)
{
	struct mevent *ev;

	if (loop == NULL)
		return;
	while ((ev = loop->all) != NULL) {
		loop->all = ev->next;
		free(ev);
	}
	mevent_bury(loop);
	if (loop->stopfd >= 0)
		close(loop->stopfd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

bool
mevent_in_loop(const struct mevent_loop *loop)
{
	return (atomic_load(&loop->running) &&
		pthread_equal(loop->thread, pthread_self()));
}

void
mevent_stop(struct mevent_loop *loop)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	atomic_store(&loop->stopping, true);
	/* Full (EAGAIN) means that it is readable already. */
	n = write(loop->stopfd, &one, sizeof(one));
	(void)n;
	errno = saved;
}

/* Called with the lock held; returns with it held. */
static void
mevent_call(struct mevent_loop *loop, struct mevent *ev, uint32_t got)
{
	unsigned ready = 0;

	/* A hang-up is something to read (the end of file) or a write that
	 * will fail: whoever watches has to hear of it. */
	if (got & (EPOLLIN | EPOLLHUP | EPOLLERR))
		ready |= MEVENT_READ;
	if (got & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		ready |= MEVENT_WRITE;
	ready &= ev->events;
	if (ev->dead || ready == 0)
		return;
	loop->current = ev;
	pthread_mutex_unlock(&loop->lock);
	ev->fn(ev->arg, ready);
	pthread_mutex_lock(&loop->lock);
	loop->current = NULL;
	pthread_cond_broadcast(&loop->idle);
}

int
mevent_run(struct mevent_loop *loop)
{
	return (mevent_run_with(loop, NULL, NULL));
}

int
mevent_run_with(
    struct mevent_loop *loop, void (*wait)(void *arg, int fd), void *arg)
{
	struct epoll_event ee[MEVENT_BATCH];
	uint64_t count;
	int i, n, error = 0;

	loop->thread = pthread_self();
	atomic_store(&loop->running, true);
	while (!atomic_load(&loop->stopping)) {
		if (wait != NULL)
			wait(arg, loop->epfd);
		n = epoll_wait(
		    loop->epfd, ee, MEVENT_BATCH, wait != NULL ? 0 : -1);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			error = -errno;
			break;
		}
		/*
		 * An event freed between epoll_wait() and here would be a
		 * stale pointer, so removal only buries; and what was buried
		 * before this batch was gone from epoll's set by then.
		 */
		pthread_mutex_lock(&loop->lock);
		loop->in_batch = true;
		for (i = 0; i < n; i++) {
			if (ee[i].data.ptr != NULL)
				mevent_call(loop, ee[i].data.ptr, ee[i].events);
		}
		loop->in_batch = false;
		mevent_bury(loop);
		pthread_mutex_unlock(&loop->lock);
	}
	/* Ready to run again. */
	if (read(loop->stopfd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		error = -errno;
	atomic_store(&loop->stopping, false);
	atomic_store(&loop->running, false);
	return (error);
}

/* Brings epoll's idea of the event up to date. Lock held. */
static int
mevent_poll(struct mevent *ev)
{
	struct mevent_loop *loop = ev->loop;
	struct epoll_event ee = {.data.ptr = ev};
	int op;

	if (ev->events & MEVENT_READ)
		ee.events |= EPOLLIN;
	if (ev->events & MEVENT_WRITE)
		ee.events |= EPOLLOUT;
	/* epoll reports hang-ups to an empty mask too, again and again: who
	 * wants silence has to leave its set. */
	if (ee.events == 0) {
		if (!ev->polled)
			return (0);
		op = EPOLL_CTL_DEL;
	} else
		op = ev->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(loop->epfd, op, ev->fd, &ee) != 0)
		return (-errno);
	ev->polled = ee.events != 0;
	return (0);
}

int
mevent_add(struct mevent_loop *loop, int fd, unsigned events,
    void (*fn)(void *arg, unsigned ready), void *arg, struct mevent **out)
{
	struct mevent *ev;
	int error;

	ev = calloc(1, sizeof(*ev));
	if (ev == NULL)
		return (-ENOMEM);
	ev->loop = loop;
	ev->fn = fn;
	ev->arg = arg;
	ev->fd = fd;
	ev->events = events;
	pthread_mutex_lock(&loop->lock);
	error = mevent_poll(ev);
	if (error != 0) {
		pthread_mutex_unlock(&loop->lock);
		free(ev);
		return (error);
	}
	ev->next = loop->all;
	ev->prevp = &loop->all;
	if (ev->next != NULL)
		ev->next->prevp = &ev->next;
	loop->all = ev;
	/* Before the handler can run: it may use *out. */
	if (out != NULL)
		*out = ev;
	pthread_mutex_unlock(&loop->lock);
	return (0);
}

int
mevent_modify(struct mevent *ev, unsigned events)
{
	unsigned old;
	int error;

	pthread_mutex_lock(&ev->loop->lock);
	old = ev->events;
	ev->events = events;
	error = mevent_poll(ev);
	if (error != 0)
		ev->events = old;
	pthread_mutex_unlock(&ev->loop->lock);
	return (error);
}

void
mevent_remove(struct mevent *ev)
{
	struct mevent_loop *loop;

	if (ev == NULL)
		return;
	loop = ev->loop;
	pthread_mutex_lock(&loop->lock);
	ev->events = 0;
	/* Fails if the descriptor was closed first, which is the same. */
	(void)mevent_poll(ev);
	ev->dead = true;
	*ev->prevp = ev->next;
	if (ev->next != NULL)
		ev->next->prevp = ev->prevp;
	if (!mevent_in_loop(loop))
		while (loop->current == ev)
			pthread_cond_wait(&loop->idle, &loop->lock);
	/* Running, but maybe between epoll_wait() and its lock: bury. */
	if (loop->in_batch || atomic_load(&loop->running)) {
		ev->next = loop->dead;
		loop->dead = ev;
	} else
		free(ev);
	pthread_mutex_unlock(&loop->lock);
}
