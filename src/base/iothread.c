/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/iothread.h"
#include "base/log.h"
#include "base/mevent.h"

struct iothread {
	struct mevent_loop *loop;
	pthread_t thread;
	bool stopped;
	char name[16];
};

static void *
iothread_main(void *arg)
{
	struct iothread *t = arg;
	int error;

	error = mevent_run(t->loop);
	if (error != 0)
		log_error(
		    "thread %s cannot go on: %s", t->name, strerror(-error));
	return (NULL);
}

int
iothread_create(struct iothread **out, const char *name)
{
	struct iothread *t;
	int error;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return (-ENOMEM);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	error = mevent_loop_create(&t->loop);
	if (error == 0)
		error = -pthread_create(&t->thread, NULL, iothread_main, t);
	if (error != 0) {
		mevent_loop_destroy(t->loop);
		free(t);
		return (error);
	}
	(void)pthread_setname_np(t->thread, t->name);
	*out = t;
	return (0);
}

struct mevent_loop *
iothread_loop(struct iothread *t)
{
	return (t->loop);
}

struct call {
	void (*fn)(void *arg);
	void *arg;
	int fd;
	sem_t ended;
};

static void
call_ready(void *arg, unsigned ready)
{
	struct call *c = arg;
	uint64_t n;

	(void)ready;
	/* Once, however often it is found ready. */
	if (read(c->fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return;
	c->fn(c->arg);
	(void)sem_post(&c->ended);
}

int
iothread_call(struct iothread *t, void (*fn)(void *arg), void *arg)
{
	struct call c = {.fn = fn, .arg = arg};
	struct mevent *ev;
	int error = 0;

	c.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c.fd < 0)
		return (-errno);
	if (sem_init(&c.ended, 0, 0) != 0) {
		error = -errno;
		(void)close(c.fd);
		return (error);
	}
	error = mevent_add(t->loop, c.fd, MEVENT_READ, call_ready, &c, &ev);
	if (error == 0) {
		while (sem_wait(&c.ended) != 0 && errno == EINTR)
			;
		/* Waits until the handler has returned. */
		mevent_remove(ev);
	}
	(void)sem_destroy(&c.ended);
	(void)close(c.fd);
	return (error);
}

void
iothread_stop(struct iothread *t)
{
	if (t == NULL || t->stopped)
		return;
	mevent_stop(t->loop);
	(void)pthread_join(t->thread, NULL);
	t->stopped = true;
}

void
iothread_destroy(struct iothread *t)
{
	if (t == NULL)
		return;
	iothread_stop(t);
	mevent_loop_destroy(t->loop);
	free(t);
}
