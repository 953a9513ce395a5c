/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

/* What a function writes to stderr. */
static size_t
capture(void (*fn)(void), char *buf, size_t size)
{
	int p[2], saved = dup(2);
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	dup2(p[1], 2);
	close(p[1]);
	fn();
	dup2(saved, 2);
	close(saved);
	n = read(p[0], buf, size - 1);
	close(p[0]);
	assert_true(n >= 0);
	buf[n] = '\0';
	return ((size_t)n);
}

static void
say_levels(void)
{
	log_error("bad %d", 7);
	log_warn("odd");
	log_info("not shown");
}

static void
say_raw(void)
{
	log_set_raw(true);
	log_error("x");
	log_set_raw(false);
}

static void
say_often(void)
{
	struct log_rate rate = {0};
	int i;

	for (i = 0; i < 1000; i++)
		log_guest(&rate, "n");
}

static void
say_long(void)
{
	char big[4000];

	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
}

static void
test_lines(void **state)
{
	char buf[8192], *p;
	unsigned lines = 0;
	size_t n;

	(void)state;
	capture(say_levels, buf, sizeof(buf));
	assert_string_equal(buf, "lhyve: bad 7\nlhyve: warning: odd\n");
	capture(say_raw, buf, sizeof(buf));
	assert_string_equal(buf, "lhyve: x\r\n");
	capture(say_often, buf, sizeof(buf));
	for (p = buf; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, LOG_RATE_BURST + 1);
	n = capture(say_long, buf, sizeof(buf));
	assert_true(n <= 1024);
	assert_int_equal(buf[n - 1], '\n');
}

static void
test_trace(void **state)
{
	(void)state;
	assert_int_equal(trace_enable("nonsense"), -EINVAL);
	assert_int_equal(trace_enable("intr,"), -EINVAL);
	assert_false(trace_on(TRACE_intr));
	assert_int_equal(trace_enable("intr,io"), 0);
	assert_true(trace_on(TRACE_intr));
	assert_true(trace_on(TRACE_io));
	assert_false(trace_on(TRACE_soft));
	assert_int_equal(trace_enable("all"), 0);
	assert_true(trace_on(TRACE_soft));
	trace_enabled = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_trace),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
