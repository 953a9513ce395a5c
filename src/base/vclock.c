/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mevent.h"
#include "base/vclock.h"

#define NS_PER_S     1000000000ull
#define VCLOCK_BATCH 64

struct vclock {
	/*
	 * The time, by a sequence lock: odd while it is being changed. While
	 * running, virtual time = CLOCK_MONOTONIC - offset; while paused it
	 * is `frozen`.
	 */
	atomic_uint seq;
	_Atomic uint64_t offset;
	_Atomic uint64_t frozen; /* VCLOCK_NEVER: running */

	struct mevent_loop *loop;
	struct mevent *ev;
	int tfd;
	pthread_mutex_t lock; /* everything below and the armed timers */
	pthread_cond_t idle;  /* `current` has changed */
	struct vtimer *head;  /* armed, earliest first */
	struct vtimer *current;
	uint64_t programmed; /* deadline in the timerfd */
};

static uint64_t
host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec);
}

uint64_t
vclock_now(const struct vclock *cvc)
{
	struct vclock *vc = (struct vclock *)(uintptr_t)cvc;
	uint64_t now, frozen;
	unsigned seq;

	for (;;) {
		seq = atomic_load(&vc->seq);
		frozen = atomic_load(&vc->frozen);
		now = frozen != VCLOCK_NEVER
			  ? frozen
			  : host_now() - atomic_load(&vc->offset);
		if ((seq & 1) == 0 && atomic_load(&vc->seq) == seq)
			return (now);
	}
}

/* Sets the timerfd for the first timer. Lock held. */
static void
vclock_program(struct vclock *vc)
{
	struct itimerspec its = {0};
	uint64_t at = VCLOCK_NEVER, offset;

	if (vc->head != NULL && atomic_load(&vc->frozen) == VCLOCK_NEVER)
		at = vc->head->deadline;
	if (at == vc->programmed)
		return;
	vc->programmed = at;
	if (at != VCLOCK_NEVER) {
		offset = atomic_load(&vc->offset);
		/* What does not fit is centuries away. */
		if (at > INT64_MAX - offset)
			at = INT64_MAX - offset;
		at += offset;
		its.it_value.tv_sec = (time_t)(at / NS_PER_S);
		its.it_value.tv_nsec = (long)(at % NS_PER_S);
	}
	timerfd_settime(vc->tfd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void
vclock_fire(void *arg, unsigned ready)
{
	struct vclock *vc = arg;
	struct vtimer *t;
	uint64_t count, now;
	ssize_t n;

	(void)ready;
	pthread_mutex_lock(&vc->lock);
	n = read(vc->tfd, &count, sizeof(count));
	(void)n; /* EAGAIN: moved meanwhile */
	vc->programmed = VCLOCK_NEVER;
	/* A timer that keeps arming itself in the past must not keep the
	 * loop from everybody else: some, then the timerfd again. */
	now = vclock_now(vc);
	for (n = 0; n < VCLOCK_BATCH; n++) {
		t = vc->head;
		if (t == NULL || t->deadline > now ||
		    atomic_load(&vc->frozen) != VCLOCK_NEVER)
			break;
		vc->head = t->next;
		t->next = NULL;
		trace(TRACE_timer, "%p due %llu late %llu", (void *)t,
		    (unsigned long long)t->deadline,
		    (unsigned long long)(now - t->deadline));
		t->deadline = VCLOCK_NEVER;
		vc->current = t;
		pthread_mutex_unlock(&vc->lock);
		t->fn(t->arg);
		pthread_mutex_lock(&vc->lock);
		vc->current = NULL;
		pthread_cond_broadcast(&vc->idle);
	}
	vclock_program(vc);
	pthread_mutex_unlock(&vc->lock);
}

int
vclock_create(struct vclock **out, struct mevent_loop *loop)
{
	struct vclock *vc;
	int error;

	vc = calloc(1, sizeof(*vc));
	if (vc == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&vc->lock, NULL);
	pthread_cond_init(&vc->idle, NULL);
	vc->loop = loop;
	vc->programmed = VCLOCK_NEVER;
	atomic_store(&vc->frozen, VCLOCK_NEVER);
	vc->tfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vc->tfd < 0) {
		error = -errno;
		goto fail;
	}
	error =
	    mevent_add(loop, vc->tfd, MEVENT_READ, vclock_fire, vc, &vc->ev);
	if (error != 0)
		goto fail;
	atomic_store(&vc->offset, host_now());
	*out = vc;
	return (0);
fail:
	vclock_destroy(vc);
	return (error);
}

void
vclock_destroy(struct vclock *vc)
{
	if (vc == NULL)
		return;
	mevent_remove(vc->ev);
	if (vc->tfd >= 0)
		close(vc->tfd);
	pthread_cond_destroy(&vc->idle);
	pthread_mutex_destroy(&vc->lock);
	free(vc);
}

void
vclock_pause(struct vclock *vc)
{
	pthread_mutex_lock(&vc->lock);
	if (atomic_load(&vc->frozen) == VCLOCK_NEVER) {
		atomic_fetch_add(&vc->seq, 1);
		atomic_store(
		    &vc->frozen, host_now() - atomic_load(&vc->offset));
		atomic_fetch_add(&vc->seq, 1);
		vclock_program(vc);
	}
	pthread_mutex_unlock(&vc->lock);
}

void
vclock_resume(struct vclock *vc)
{
	pthread_mutex_lock(&vc->lock);
	if (atomic_load(&vc->frozen) != VCLOCK_NEVER) {
		atomic_fetch_add(&vc->seq, 1);
		atomic_store(
		    &vc->offset, host_now() - atomic_load(&vc->frozen));
		atomic_store(&vc->frozen, VCLOCK_NEVER);
		atomic_fetch_add(&vc->seq, 1);
		vclock_program(vc);
	}
	pthread_mutex_unlock(&vc->lock);
}

void
vtimer_init(struct vtimer *t, struct vclock *vc, void (*fn)(void *), void *arg)
{
	t->vc = vc;
	t->fn = fn;
	t->arg = arg;
	t->deadline = VCLOCK_NEVER;
	t->next = NULL;
}

/* Takes the timer off the list if it is there. Lock held. */
static void
vtimer_unlink(struct vtimer *t)
{
	struct vtimer **pp;

	if (t->deadline == VCLOCK_NEVER)
		return;
	for (pp = &t->vc->head; *pp != NULL; pp = &(*pp)->next)
		if (*pp == t) {
			*pp = t->next;
			break;
		}
	t->next = NULL;
	t->deadline = VCLOCK_NEVER;
}

void
vtimer_arm(struct vtimer *t, uint64_t deadline_ns)
{
	struct vclock *vc = t->vc;
	struct vtimer **pp;

	pthread_mutex_lock(&vc->lock);
	if (t->deadline != deadline_ns) {
		vtimer_unlink(t);
		t->deadline = deadline_ns;
		if (deadline_ns != VCLOCK_NEVER) {
			/* Behind equal ones: first come, first served. */
			for (pp = &vc->head;
			     *pp != NULL && (*pp)->deadline <= deadline_ns;
			     pp = &(*pp)->next)
				;
			t->next = *pp;
			*pp = t;
		}
		/* Inside vclock_fire() this is done once, at its end. */
		if (vc->current == NULL)
			vclock_program(vc);
	}
	pthread_mutex_unlock(&vc->lock);
}

void
vtimer_cancel(struct vtimer *t)
{
	struct vclock *vc = t->vc;

	pthread_mutex_lock(&vc->lock);
	vtimer_unlink(t);
	if (!mevent_in_loop(vc->loop))
		while (vc->current == t) {
			pthread_cond_wait(&vc->idle, &vc->lock);
			/* The callback may have armed it again. */
			vtimer_unlink(t);
		}
	if (vc->current == NULL)
		vclock_program(vc);
	pthread_mutex_unlock(&vc->lock);
}
