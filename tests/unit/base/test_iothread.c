/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/iothread.h"
#include "base/mevent.h"

struct seen {
	struct mevent_loop *loop;
	int fd;
	atomic_int calls, inside;
	pthread_t thread;
};

static void
on_event(void *arg, unsigned ready)
{
	struct seen *s = arg;
	uint64_t n;

	(void)ready;
	if (read(s->fd, &n, sizeof(n)) != sizeof(n))
		return;
	s->thread = pthread_self();
	atomic_fetch_add(&s->inside, mevent_in_loop(s->loop));
	atomic_fetch_add(&s->calls, 1);
}

static void
poke(struct seen *s)
{
	uint64_t one = 1;

	assert_int_equal(write(s->fd, &one, sizeof(one)), sizeof(one));
}

/* Handlers run in its thread, until it is stopped. */
static void
test_thread(void **state)
{
	time_t end = time(NULL) + 60;
	struct seen s = {.fd = eventfd(0, EFD_NONBLOCK)};
	struct mevent *ev;
	struct iothread *t;

	(void)state;
	assert_int_equal(iothread_create(&t, "a name that is too long"), 0);
	s.loop = iothread_loop(t);
	assert_int_equal(
	    mevent_add(s.loop, s.fd, MEVENT_READ, on_event, &s, &ev), 0);
	poke(&s);
	while (atomic_load(&s.calls) == 0 && time(NULL) < end)
		(void)sched_yield();
	assert_int_equal(atomic_load(&s.inside), 1);
	assert_false(pthread_equal(s.thread, pthread_self()));
	iothread_stop(t);
	iothread_stop(t);
	poke(&s);
	assert_int_equal(atomic_load(&s.calls), 1);
	mevent_remove(ev);
	iothread_destroy(t);
	iothread_stop(NULL);
	iothread_destroy(NULL);
	(void)close(s.fd);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_thread),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
