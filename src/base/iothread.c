/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/iothread.h"
#include "base/log.h"
#include "base/mevent.h"

struct iothread {
	struct mevent_loop *loop;
	pthread_t thread;
	char name[16];
};

static void *
iothread_main(void *arg)
{
	struct iothread *t = arg;
	int error;

	error = mevent_run(t->loop);
	if (error != 0)
		log_error("thread %s cannot go on: %s", t->name,
		    strerror(-error));
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

void
iothread_destroy(struct iothread *t)
{
	if (t == NULL)
		return;
	mevent_stop(t->loop);
	(void)pthread_join(t->thread, NULL);
	mevent_loop_destroy(t->loop);
	free(t);
}
