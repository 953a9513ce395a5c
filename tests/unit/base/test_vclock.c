/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mevent.h"
#include "base/vclock.h"

#define MS 1000000ull

struct fixture {
	struct mevent_loop *loop;
	struct vclock *vc;
	pthread_t thread;
	struct vtimer t[3];
	atomic_int order[8];
	atomic_int fired;
	_Atomic uint64_t when;
};

static void *
run(void *arg)
{
	return ((void *)(intptr_t)mevent_run(arg));
}

static int
setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	assert_int_equal(mevent_loop_create(&f.loop), 0);
	assert_int_equal(vclock_create(&f.vc, f.loop), 0);
	pthread_create(&f.thread, NULL, run, f.loop);
	*state = &f;
	return (0);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	mevent_stop(f->loop);
	pthread_join(f->thread, NULL);
	vclock_destroy(f->vc);
	mevent_loop_destroy(f->loop);
	return (0);
}

static struct fixture *current;

static void
fire(void *arg)
{
	struct fixture *f = current;
	int n = atomic_load(&f->fired);

	if (n < 8)
		f->order[n] = (int)(intptr_t)arg;
	f->when = vclock_now(f->vc);
	atomic_store(&f->fired, n + 1);
}

static void
again(void *arg)
{
	struct vtimer *t = arg;

	atomic_fetch_add(&current->fired, 1);
	vtimer_arm(t, 0); /* always in the past */
}

static void
wait_fired(struct fixture *f, int n)
{
	int i;

	for (i = 0; i < 20000 && f->fired < n; i++)
		usleep(100);
	assert_true(f->fired >= n);
}

static void
test_now(void **state)
{
	struct fixture *f = *state;
	uint64_t a = vclock_now(f->vc), b;

	assert_true(a < 1000 * MS);
	usleep(2000);
	b = vclock_now(f->vc);
	assert_true(b - a >= 2 * MS);
	vclock_pause(f->vc);
	a = vclock_now(f->vc);
	assert_true(a >= b);
	usleep(50000);
	assert_true(vclock_now(f->vc) == a);
	vclock_resume(f->vc);
	b = vclock_now(f->vc);
	assert_true(b >= a && b - a < 40 * MS);
}

static void
test_order(void **state)
{
	struct fixture *f = current = *state;
	uint64_t now = vclock_now(f->vc);
	intptr_t i;

	for (i = 0; i < 3; i++)
		vtimer_init(&f->t[i], f->vc, fire, (void *)i);
	vtimer_arm(&f->t[0], now + 30 * MS);
	vtimer_arm(&f->t[1], now + 10 * MS);
	vtimer_arm(&f->t[2], now + 1000000 * MS);
	vtimer_arm(&f->t[2], now + 20 * MS); /* moved */
	wait_fired(f, 3);
	assert_int_equal(f->order[0], 1);
	assert_int_equal(f->order[1], 2);
	assert_int_equal(f->order[2], 0);
	assert_true(f->when >= now + 30 * MS);
	/* In the past: at once. */
	vtimer_arm(&f->t[0], 1);
	wait_fired(f, 4);
	/* Cancelled: never. */
	vtimer_arm(&f->t[0], vclock_now(f->vc) + 5 * MS);
	vtimer_cancel(&f->t[0]);
	usleep(15000);
	assert_int_equal(f->fired, 4);
}

static void
test_pause(void **state)
{
	struct fixture *f = current = *state;
	uint64_t now = vclock_now(f->vc);

	vtimer_init(&f->t[0], f->vc, fire, NULL);
	vtimer_arm(&f->t[0], now + 10 * MS);
	vclock_pause(f->vc);
	usleep(30000);
	assert_int_equal(f->fired, 0);
	vclock_resume(f->vc);
	wait_fired(f, 1);
	assert_true(f->when >= now + 10 * MS);
}

/* A timer that always arms itself in the past does not starve the others,
 * nor the cancelling thread. */
static void
test_greedy(void **state)
{
	struct fixture *f = current = *state;

	vtimer_init(&f->t[0], f->vc, again, &f->t[0]);
	vtimer_arm(&f->t[0], 1);
	wait_fired(f, 100);
	vtimer_cancel(&f->t[0]);
	f->fired = 0;
	usleep(5000);
	assert_int_equal(f->fired, 0);
	vtimer_init(&f->t[1], f->vc, fire, NULL);
	vtimer_arm(&f->t[1], 1);
	wait_fired(f, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_now, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_greedy, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
