/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mevent.h"

struct fixture {
	struct mevent_loop *loop;
	struct mevent *ev;
	int p[2];
	atomic_int calls;
	atomic_uint ready;
	atomic_bool in_loop;
};

static void *
run(void *arg)
{
	return ((void *)(intptr_t)mevent_run(arg));
}

static void
read_once(void *arg, unsigned ready)
{
	struct fixture *f = arg;
	char c;

	f->ready = ready;
	f->in_loop = mevent_in_loop(f->loop);
	if (read(f->p[0], &c, 1) == 1)
		atomic_fetch_add(&f->calls, 1);
	if (c == 'q')
		mevent_stop(f->loop);
}

static void
count_only(void *arg, unsigned ready)
{
	struct fixture *f = arg;

	f->ready = ready;
	atomic_fetch_add(&f->calls, 1);
}

static void
setup(struct fixture *f)
{
	*f = (struct fixture){0};
	assert_int_equal(mevent_loop_create(&f->loop), 0);
	assert_int_equal(pipe(f->p), 0);
}

static void
teardown(struct fixture *f)
{
	mevent_remove(f->ev);
	mevent_loop_destroy(f->loop);
	close(f->p[0]);
	if (f->p[1] >= 0)
		close(f->p[1]);
}

static void
test_read(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(
	    mevent_add(f.loop, f.p[0], MEVENT_READ, read_once, &f, &f.ev), 0);
	assert_int_equal(write(f.p[1], "abq", 3), 3);
	assert_int_equal(mevent_run(f.loop), 0);
	assert_int_equal(f.calls, 3);
	assert_int_equal(f.ready, MEVENT_READ);
	assert_true(f.in_loop);
	assert_false(mevent_in_loop(f.loop));
	/* Stopped before it runs: returns at once, then works again. */
	mevent_stop(f.loop);
	assert_int_equal(mevent_run(f.loop), 0);
	assert_int_equal(write(f.p[1], "q", 1), 1);
	assert_int_equal(mevent_run(f.loop), 0);
	assert_int_equal(f.calls, 4);
	teardown(&f);
}

static void
sleep_elsewhere(void *arg, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(*(unsigned *)arg)++;
	assert_int_equal(poll(&p, 1, -1), 1);
}

/* The thread sleeps in a function of its own, once before each batch. */
static void
test_run_with(void **state)
{
	struct fixture f;
	unsigned sleeps = 0;

	(void)state;
	setup(&f);
	assert_int_equal(
	    mevent_add(f.loop, f.p[0], MEVENT_READ, read_once, &f, &f.ev), 0);
	assert_int_equal(write(f.p[1], "abq", 3), 3);
	assert_int_equal(
	    mevent_run_with(f.loop, sleep_elsewhere, &sleeps), 0);
	assert_int_equal(f.calls, 3);
	assert_int_equal(sleeps, 3);
	assert_true(f.in_loop);
	teardown(&f);
}

static void
test_regular_file(void **state)
{
	struct fixture f;
	char name[] = "/tmp/lhyve-mevent-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	setup(&f);
	unlink(name);
	assert_int_equal(
	    mevent_add(f.loop, fd, MEVENT_READ, count_only, &f, NULL), -EPERM);
	close(fd);
	assert_int_equal(
	    mevent_add(f.loop, fd, MEVENT_READ, count_only, &f, NULL), -EBADF);
	teardown(&f);
}

/* A silent event stays silent even after a hang-up, which epoll would
 * report whatever the mask. */
static void
test_silent(void **state)
{
	struct fixture f;
	pthread_t t;
	int seen;

	(void)state;
	setup(&f);
	assert_int_equal(
	    mevent_add(f.loop, f.p[0], MEVENT_READ, count_only, &f, &f.ev), 0);
	assert_int_equal(mevent_modify(f.ev, 0), 0);
	close(f.p[1]);
	f.p[1] = -1;
	pthread_create(&t, NULL, run, f.loop);
	usleep(20000);
	assert_int_equal(f.calls, 0);
	/* Watched again: the end of file is something to read. */
	assert_int_equal(mevent_modify(f.ev, MEVENT_READ), 0);
	while (f.calls == 0)
		usleep(100);
	assert_int_equal(f.ready, MEVENT_READ);
	mevent_remove(f.ev);
	f.ev = NULL;
	seen = f.calls;
	usleep(10000);
	assert_int_equal(f.calls, seen);
	mevent_stop(f.loop);
	pthread_join(t, NULL);
	teardown(&f);
}

static void
slow(void *arg, unsigned ready)
{
	struct fixture *f = arg;

	(void)ready;
	atomic_store(&f->calls, 1);
	usleep(30000);
	atomic_store(&f->calls, 2);
}

static void
test_remove_waits(void **state)
{
	struct fixture f;
	pthread_t t;

	(void)state;
	setup(&f);
	assert_int_equal(
	    mevent_add(f.loop, f.p[0], MEVENT_READ, slow, &f, &f.ev), 0);
	assert_int_equal(write(f.p[1], "x", 1), 1);
	pthread_create(&t, NULL, run, f.loop);
	while (f.calls == 0)
		usleep(100);
	mevent_remove(f.ev);
	f.ev = NULL;
	assert_int_equal(f.calls, 2);
	mevent_stop(f.loop);
	pthread_join(t, NULL);
	teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_run_with),
	    cmocka_unit_test(test_regular_file),
	    cmocka_unit_test(test_silent),
	    cmocka_unit_test(test_remove_waits),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
