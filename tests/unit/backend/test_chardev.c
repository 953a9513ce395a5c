/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/chardev/chardev.h"
#include "base/mevent.h"

struct fixture {
	struct mevent_loop *loop;
	struct chardev *cd;
	pthread_t thread;
	atomic_uint readies, quits;
};

static void
on_ready(void *arg)
{
	atomic_fetch_add(&((struct fixture *)arg)->readies, 1);
}

static void
on_quit(void *arg)
{
	atomic_fetch_add(&((struct fixture *)arg)->quits, 1);
}

static void *
run(void *arg)
{
	return ((void *)(intptr_t)mevent_run(arg));
}

static void
start(struct fixture *f, int in, int out, bool escape)
{
	struct chardev_stdio_config cfg = {.in_fd = in,
	    .out_fd = out,
	    .escape = escape,
	    .quit = on_quit,
	    .arg = f};

	*f = (struct fixture){0};
	assert_int_equal(mevent_loop_create(&f->loop), 0);
	cfg.loop = f->loop;
	assert_int_equal(chardev_stdio_create(&f->cd, &cfg), 0);
	chardev_start(f->cd, on_ready, f);
	pthread_create(&f->thread, NULL, run, f->loop);
}

static void
stop(struct fixture *f)
{
	mevent_stop(f->loop);
	pthread_join(f->thread, NULL);
	chardev_destroy(f->cd);
	mevent_loop_destroy(f->loop);
}

/* Reads as a device does: until n bytes are there, or two seconds. */
static size_t
fetch(struct fixture *f, char *buf, size_t n)
{
	size_t got = 0;
	int i;

	for (i = 0; i < 20000 && got < n; i++) {
		got += chardev_read(f->cd, buf + got, n - got);
		if (got < n)
			usleep(100);
	}
	return (got);
}

static void
test_null(void **state)
{
	struct chardev *cd;
	char c;

	(void)state;
	assert_int_equal(chardev_null_create(&cd), 0);
	chardev_start(cd, NULL, NULL);
	assert_int_equal(chardev_write(cd, "abc", 3), 3);
	assert_int_equal(chardev_read(cd, &c, 1), 0);
	chardev_destroy(cd);
}

static void
test_pipe(void **state)
{
	struct chardev_stdio_config cfg = {0};
	struct chardev *other;
	struct fixture f;
	char *big, *back;
	int in[2], out[2];
	size_t size = 300000, got = 0;
	unsigned readies;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	start(&f, in[0], out[1], false);
	assert_int_equal(chardev_stdio_create(&other, &cfg), -EBUSY);
	/* More than the buffer: it waits in the pipe, nothing is lost. */
	big = malloc(size);
	back = malloc(size);
	for (got = 0; got < size; got++)
		big[got] = (char)(got * 7 + got / 251);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	for (got = 0, n = 0; got < size;) {
		n = write(in[1], big + got, size - got);
		if (n > 0)
			got += (size_t)n;
		else
			break;
	}
	assert_int_equal(fetch(&f, back, got), got);
	assert_memory_equal(big, back, got);
	assert_true(f.readies > 0);
	assert_int_equal(chardev_write(f.cd, "hello", 5), 5);
	assert_int_equal(read(out[0], back, 100), 5);
	/* The end of input does not spin. */
	close(in[1]);
	usleep(20000);
	readies = f.readies;
	usleep(20000);
	assert_int_equal(f.readies, readies);
	assert_int_equal(chardev_read(f.cd, back, 1), 0);
	/* Nobody reads any more: bytes are dropped, we live. */
	close(out[0]);
	assert_int_equal(chardev_write(f.cd, big, size), size);
	stop(&f);
	close(in[0]);
	close(out[1]);
	free(big);
	free(back);
}

static void *
slow_reader(void *arg)
{
	int fd = *(int *)arg;
	char buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		sum += (size_t)n;
		usleep(1000);
	}
	return ((void *)sum);
}

/* A non-blocking, slow receiver gets every byte. */
static void
test_slow_output(void **state)
{
	struct fixture f;
	pthread_t t;
	char buf[1000];
	void *sum;
	int out[2], i;

	(void)state;
	assert_int_equal(pipe(out), 0);
	fcntl(out[1], F_SETFL, O_NONBLOCK);
	start(&f, -1, out[1], false);
	pthread_create(&t, NULL, slow_reader, &out[0]);
	memset(buf, 'x', sizeof(buf));
	for (i = 0; i < 200; i++)
		assert_int_equal(chardev_write(f.cd, buf, sizeof(buf)), 1000);
	stop(&f);
	close(out[1]);
	pthread_join(t, &sum);
	assert_int_equal((size_t)sum, 200000);
	close(out[0]);
}

static void *
write_big(void *arg)
{
	char *buf = calloc(1, 1 << 20);
	size_t n = chardev_write(arg, buf, 1 << 20);

	free(buf);
	return ((void *)n);
}

/* A receiver that never reads does not hold up the end. */
static void
test_hangup(void **state)
{
	struct fixture f;
	pthread_t t;
	int out[2];

	(void)state;
	assert_int_equal(pipe(out), 0);
	start(&f, -1, out[1], false);
	pthread_create(&t, NULL, write_big, f.cd);
	usleep(10000);
	chardev_hangup(f.cd);
	pthread_join(t, NULL);
	stop(&f);
	close(out[0]);
	close(out[1]);
}

static void
test_regular_file(void **state)
{
	char name[] = "/tmp/lhyve-chardev-XXXXXX", back[64];
	struct fixture f;
	int fd = mkstemp(name), null = open("/dev/null", O_RDWR), i;

	(void)state;
	unlink(name);
	assert_int_equal(write(fd, "one\ntwo\n", 8), 8);
	lseek(fd, 0, SEEK_SET);
	start(&f, fd, null, false);
	for (i = 0; i < 20000 && f.readies == 0; i++)
		usleep(100);
	assert_true(f.readies > 0);
	assert_int_equal(fetch(&f, back, 8), 8);
	assert_memory_equal(back, "one\ntwo\n", 8);
	assert_int_equal(chardev_read(f.cd, back, 8), 0);
	stop(&f);
	close(fd);
	/* /dev/null, and no input at all. */
	start(&f, null, null, false);
	usleep(5000);
	assert_int_equal(chardev_read(f.cd, back, 8), 0);
	stop(&f);
	close(null);
	start(&f, null, null, false); /* closed */
	assert_int_equal(chardev_read(f.cd, back, 8), 0);
	assert_int_equal(chardev_write(f.cd, "x", 1), 1);
	stop(&f);
}

/* Ctrl-A x is not forgotten for what is read together with it. */
static void
test_quit_and_more(void **state)
{
	struct fixture f;
	int in[2], null = open("/dev/null", O_RDWR), i;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "\001x\001hrest", 8), 8);
	start(&f, in[0], null, true);
	for (i = 0; i < 20000 && f.quits == 0; i++)
		usleep(100);
	assert_int_equal(f.quits, 1);
	stop(&f);
	close(in[0]);
	close(in[1]);
	close(null);
}

static void
test_terminal(void **state)
{
	struct termios before, t;
	struct fixture f;
	char back[256];
	int master, slave, i;
	ssize_t n;

	(void)state;
	if (openpty(&master, &slave, NULL, NULL, NULL) != 0)
		skip();
	assert_int_equal(tcgetattr(slave, &before), 0);
	assert_true(before.c_lflag & ICANON);
	start(&f, slave, slave, true);
	tcgetattr(slave, &t);
	assert_false(t.c_lflag & (ICANON | ECHO | ISIG));
	assert_false(t.c_oflag & OPOST);
	/* Ctrl-C is the guest's; Ctrl-A twice or with a is one; with
	 * anything else it is passed on. */
	assert_int_equal(write(master, "a\003\001\001\001a\001zb", 9), 9);
	assert_int_equal(fetch(&f, back, 7), 7);
	assert_memory_equal(back, "a\003\001\001\001zb", 7);
	assert_int_equal(f.quits, 0);
	assert_int_equal(write(master, "\001h", 2), 2);
	n = read(master, back, sizeof(back) - 1);
	assert_true(n > 0);
	back[n] = '\0';
	assert_non_null(strstr(back, "Ctrl-A x"));
	assert_int_equal(write(master, "\001", 1), 1);
	assert_int_equal(write(master, "x", 1), 1);
	for (i = 0; i < 20000 && f.quits == 0; i++)
		usleep(100);
	assert_int_equal(f.quits, 1);
	/* Any number of times, from anywhere. */
	chardev_stdio_restore();
	tcgetattr(slave, &t);
	assert_int_equal(t.c_lflag, before.c_lflag);
	assert_int_equal(t.c_oflag, before.c_oflag);
	chardev_stdio_restore();
	stop(&f);
	/* And by destroy. */
	start(&f, slave, slave, true);
	stop(&f);
	tcgetattr(slave, &t);
	assert_int_equal(t.c_lflag, before.c_lflag);
	close(master);
	close(slave);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_null),
	    cmocka_unit_test(test_pipe),
	    cmocka_unit_test(test_slow_output),
	    cmocka_unit_test(test_hangup),
	    cmocka_unit_test(test_regular_file),
	    cmocka_unit_test(test_quit_and_more),
	    cmocka_unit_test(test_terminal),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
