/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/unixsock.h"

static char dir[] = "/tmp/lhyve-unix-XXXXXX";
static char path[64];

static void
test_listen(void **state)
{
	struct unix_listener l, other;
	struct stat st;
	int a, b;

	(void)state;
	assert_int_equal(unix_connect(path), -ENOENT);
	assert_int_equal(unix_listen(&l, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unix_accept(&l), -EAGAIN);
	a = unix_connect(path);
	assert_true(a >= 0);
	b = unix_accept(&l);
	assert_true(b >= 0);
	assert_true((fcntl(b, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(b, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(a, "x", 1), 1);
	(void)close(a);
	(void)close(b);
	/* Whoever listens keeps it. */
	assert_int_equal(unix_listen(&other, path), -EADDRINUSE);
	unix_unlisten(&other);
	assert_int_equal(stat(path, &st), 0);
	unix_unlisten(&l);
	unix_unlisten(&l);
	assert_int_not_equal(stat(path, &st), 0);
}

/* A crashed machine's socket is replaced; another file stays. */
static void
test_left_over(void **state)
{
	struct unix_listener l, old;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(unix_listen(&old, path), 0);
	(void)close(old.fd);
	assert_int_equal(unix_connect(path), -ECONNREFUSED);
	assert_int_equal(unix_listen(&l, path), 0);
	unix_unlisten(&l);
	assert_int_not_equal(stat(path, &st), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(unix_listen(&l, path), -EADDRINUSE);
	unix_unlisten(&l);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
}

static void
test_names(void **state)
{
	char name[200];
	struct unix_listener l;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(unix_listen(&l, name), -ENAMETOOLONG);
	unix_unlisten(&l);
	assert_int_equal(unix_connect(name), -ENAMETOOLONG);
	assert_int_equal(unix_listen(&l, ""), -EINVAL);
	unix_unlisten(&l);
	assert_int_equal(unix_connect(""), -EINVAL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_left_over),
	    cmocka_unit_test(test_names),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return (1);
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return (failed);
}
