/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/irq.h"

struct sink {
	unsigned rises, falls, pin;
	bool level;
};

static void
sink(void *arg, unsigned pin, bool level)
{
	struct sink *s = arg;

	/* Never the same level twice. */
	if (level == s->level)
		s->rises += 1000;
	s->level = level;
	s->pin = pin;
	if (level)
		s->rises++;
	else
		s->falls++;
}

static void
test_count(void **state)
{
	struct sink a = {0}, b = {0};
	struct irq_lines *il;

	(void)state;
	assert_int_equal(irq_lines_create(&il), 0);
	assert_int_equal(irq_connect(il, 9, sink, &a, 9), 0);
	assert_int_equal(irq_connect(il, 9, sink, &b, 20), 0);
	assert_int_equal(irq_connect(il, 9, sink, &b, 20), -ENOSPC);
	assert_int_equal(irq_connect(il, IRQ_LINES, sink, &b, 0), -EINVAL);
	irq_set(il, 9, 1);
	irq_set(il, 9, 1);
	irq_set(il, 9, -1);
	assert_true(irq_level(il, 9));
	assert_int_equal(a.rises, 1);
	assert_int_equal(a.falls, 0);
	assert_int_equal(b.pin, 20);
	irq_set(il, 9, -1);
	irq_set(il, 9, -1); /* one too many: no harm */
	assert_int_equal(a.falls, 1);
	assert_false(irq_level(il, 9));
	irq_pulse(il, 9);
	assert_int_equal(a.rises, 2);
	assert_int_equal(b.falls, 2);
	irq_set(il, 99, 1);
	irq_lines_destroy(il);
}

static void
test_source(void **state)
{
	struct sink a = {0}, b = {0};
	struct irq_source s1, s2;
	struct irq_lines *il;

	(void)state;
	assert_int_equal(irq_lines_create(&il), 0);
	irq_connect(il, 3, sink, &a, 3);
	irq_connect(il, 20, sink, &b, 20);
	irq_source_init(&s1, il, 3);
	irq_source_init(&s2, il, 3);
	irq_want(&s1, true);
	irq_sync(&s1);
	irq_sync(&s1);
	irq_want(&s2, true);
	irq_sync(&s2);
	irq_want(&s1, false);
	irq_sync(&s1);
	assert_true(irq_level(il, 3));
	assert_int_equal(a.rises, 1);
	/* To another line, with its level, and to none. */
	irq_source_move(&s2, 20);
	assert_false(irq_level(il, 3));
	assert_true(irq_level(il, 20));
	irq_source_move(&s2, (unsigned)-1);
	assert_false(irq_level(il, 20));
	irq_lines_destroy(il);
}

/* A thread lets the line fall, and before it has shown that, another one
 * raises it again. The PIC must see the edge. */
static void
test_low_between(void **state)
{
	struct sink a = {0};
	struct irq_source src;
	struct irq_lines *il;

	(void)state;
	assert_int_equal(irq_lines_create(&il), 0);
	irq_connect(il, 8, sink, &a, 8);
	irq_source_init(&src, il, 8);
	irq_want(&src, true);
	irq_sync(&src);
	assert_int_equal(a.rises, 1);
	irq_want(&src, false);
	irq_want(&src, true);
	irq_sync(&src);
	irq_sync(&src);
	assert_true(irq_level(il, 8));
	assert_int_equal(a.rises, 2);
	/* High while it was low already, or low twice, is no edge more. */
	irq_want(&src, false);
	irq_want(&src, false);
	irq_sync(&src);
	assert_false(irq_level(il, 8));
	irq_want(&src, true);
	irq_want(&src, false);
	irq_sync(&src);
	assert_int_equal(a.rises, 2);
	irq_lines_destroy(il);
}

struct racer {
	pthread_mutex_t lock;
	struct irq_source *src;
	bool level;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	int i;

	for (i = 0; i < 20000; i++) {
		pthread_mutex_lock(&r->lock);
		r->level = !r->level;
		irq_want(r->src, r->level);
		pthread_mutex_unlock(&r->lock);
		irq_sync(r->src);
	}
	return (NULL);
}

/* However two threads interleave, the line ends at the level that was
 * wanted last. */
static void
test_race(void **state)
{
	struct sink a = {0};
	struct irq_source src;
	struct irq_lines *il;
	struct racer r = {PTHREAD_MUTEX_INITIALIZER, &src, false};
	pthread_t t[2];

	(void)state;
	assert_int_equal(irq_lines_create(&il), 0);
	irq_connect(il, 5, sink, &a, 5);
	irq_source_init(&src, il, 5);
	pthread_create(&t[0], NULL, race, &r);
	pthread_create(&t[1], NULL, race, &r);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	assert_int_equal(irq_level(il, 5), r.level);
	assert_int_equal(a.rises - a.falls, r.level);
	irq_lines_destroy(il);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_count),
	    cmocka_unit_test(test_source),
	    cmocka_unit_test(test_low_between),
	    cmocka_unit_test(test_race),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
