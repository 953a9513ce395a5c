/* SPDX-License-Identifier: BSD-2-Clause */
/* Serial lines on terminals and sockets, with peers of every kind. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
	atomic_uint readies;
	char dir[32], path[64];
};

static void
on_ready(void *arg)
{
	struct fixture *f = arg;

	atomic_fetch_add(&f->readies, 1);
}

static void *
run(void *arg)
{
	assert_int_equal(mevent_run(arg), 0);
	return (NULL);
}

static void
setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/lhyve-line-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	assert_int_equal(mevent_loop_create(&f->loop), 0);
}

static void
go(struct fixture *f)
{
	chardev_start(f->cd, on_ready, f);
	pthread_create(&f->thread, NULL, run, f->loop);
}

static void
stop(struct fixture *f)
{
	mevent_stop(f->loop);
	pthread_join(f->thread, NULL);
	chardev_destroy(f->cd);
}

static void
teardown(struct fixture *f)
{
	mevent_loop_destroy(f->loop);
	assert_int_equal(rmdir(f->dir), 0);
}

/* A connection, or -1 after two seconds. */
static int
dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return (fd);
}

/* Reads as a device does, until n bytes are there, or two seconds. */
static size_t
fetch(struct fixture *f, char *buf, size_t n)
{
	size_t got = 0;
	int i;

	for (i = 0; i < 2000 && got < n; i++) {
		got += chardev_read(f->cd, buf + got, n - got);
		if (got < n)
			usleep(1000);
	}
	return (got);
}

/* Writes until the peer gets it: it may not be accepted yet. */
static void
greet(struct fixture *f, int fd)
{
	char c = 0;
	int i;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 2000 && read(fd, &c, 1) != 1; i++) {
		assert_int_equal(chardev_write(f->cd, "!", 1), 1);
		usleep(1000);
	}
	assert_int_equal(c, '!');
	usleep(20000);
	while (read(fd, &c, 1) == 1)
		;
	fcntl(fd, F_SETFL, 0);
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* Both directions, one peer after the other, one at a time. */
static void
test_peers(void **state)
{
	struct fixture f;
	struct stat st;
	char buf[64];
	unsigned before;
	int a, b, i;

	(void)state;
	setup(&f);
	assert_int_equal(chardev_unix_create(&f.cd, f.loop, f.path), 0);
	assert_string_equal(f.cd->where, f.path);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	go(&f);
	/* Nobody is there. */
	assert_int_equal(chardev_write(f.cd, "lost", 4), 4);
	assert_int_equal(chardev_read(f.cd, buf, 4), 0);
	a = dial(f.path);
	greet(&f, a);
	assert_int_equal(write(a, "hello", 5), 5);
	for (i = 0; i < 2000 && atomic_load(&f.readies) == 0; i++)
		usleep(1000);
	assert_true(atomic_load(&f.readies) > 0);
	assert_int_equal(fetch(&f, buf, 5), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(chardev_write(f.cd, "world", 5), 5);
	assert_int_equal(recv(a, buf, 5, MSG_WAITALL), 5);
	assert_memory_equal(buf, "world", 5);
	/* Another is turned away. */
	b = dial(f.path);
	assert_int_equal(read(b, buf, 1), 0);
	close(b);
	assert_int_equal(chardev_write(f.cd, "x", 1), 1);
	assert_int_equal(read(a, buf, 1), 1);
	/* It leaves; what the device reads tells. */
	close(a);
	assert_int_equal(fetch(&f, buf, 0), 0);
	usleep(20000);
	assert_int_equal(chardev_read(f.cd, buf, 1), 0);
	usleep(20000);
	before = atomic_load(&f.readies);
	usleep(50000);
	assert_int_equal(atomic_load(&f.readies), before); /* no spinning */
	a = dial(f.path);
	greet(&f, a);
	/* It sends and leaves, and the device has no time to read. */
	assert_int_equal(write(a, "unread", 6), 6);
	close(a);
	b = dial(f.path);
	greet(&f, b);
	assert_int_equal(write(b, "new", 3), 3);
	assert_int_equal(fetch(&f, buf, 3), 3);
	assert_memory_equal(buf, "new", 3);
	stop(&f);
	assert_int_equal(read(b, buf, 1), 0);
	close(b);
	assert_int_equal(access(f.path, F_OK), -1);
	teardown(&f);
}

/* A peer that does not read holds up nobody for long. */
static void
test_deaf_peer(void **state)
{
	static char big[1 << 20];
	struct fixture f;
	double begin;
	size_t got = 0;
	ssize_t n;
	char buf[4096];
	int a, i;

	(void)state;
	setup(&f);
	assert_int_equal(chardev_unix_create(&f.cd, f.loop, f.path), 0);
	go(&f);
	a = dial(f.path);
	greet(&f, a);
	begin = seconds();
	for (i = 0; i < 8; i++)
		assert_int_equal(
		    chardev_write(f.cd, big, sizeof(big)), sizeof(big));
	assert_true(seconds() - begin < 3);
	/* When it reads again it gets what was kept, then what is new. */
	fcntl(a, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 100; i++) {
		while ((n = read(a, buf, sizeof(buf))) > 0)
			got += (size_t)n;
		usleep(1000);
	}
	assert_true(got >= CHARDEV_LINE_BUF && got < sizeof(big));
	assert_int_equal(chardev_write(f.cd, "again", 5), 5);
	for (i = 0; i < 2000 && (n = read(a, buf, 5)) <= 0; i++)
		usleep(1000);
	assert_memory_equal(buf, "again", 5);
	/* It leaves while the line is full. */
	for (i = 0; i < 2; i++)
		chardev_write(f.cd, big, sizeof(big));
	close(a);
	begin = seconds();
	chardev_write(f.cd, big, sizeof(big));
	assert_true(seconds() - begin < 2);
	a = dial(f.path);
	greet(&f, a);
	stop(&f);
	close(a);
	teardown(&f);
}

static void *
slow_reader(void *arg)
{
	int fd = *(int *)arg;
	char buf[8192];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		sum += (size_t)n;
		usleep(200);
	}
	return ((void *)sum);
}

/* One that is a little slow gets every byte. */
static void
test_slow_peer(void **state)
{
	static char big[600000];
	struct fixture f;
	pthread_t t;
	void *sum;
	int a;

	(void)state;
	setup(&f);
	assert_int_equal(chardev_unix_create(&f.cd, f.loop, f.path), 0);
	go(&f);
	a = dial(f.path);
	greet(&f, a);
	pthread_create(&t, NULL, slow_reader, &a);
	assert_int_equal(chardev_write(f.cd, big, sizeof(big)), sizeof(big));
	usleep(500000);
	stop(&f);
	pthread_join(t, &sum);
	assert_int_equal((size_t)sum, sizeof(big));
	close(a);
	teardown(&f);
}

static void *
write_big(void *arg)
{
	static char buf[4 << 20];

	(void)chardev_write(arg, buf, sizeof(buf));
	return (NULL);
}

/* A hang-up ends the wait for a wire. */
static void
test_hangup(void **state)
{
	struct termios before, now;
	struct fixture f;
	pthread_t t;
	double begin;
	int master, slave;
	char name[64];

	(void)state;
	setup(&f);
	assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
	tcgetattr(slave, &before);
	assert_int_equal(chardev_tty_create(&f.cd, f.loop, name), 0);
	tcgetattr(slave, &now);
	assert_false(now.c_lflag & (ICANON | ECHO));
	go(&f);
	pthread_create(&t, NULL, write_big, f.cd);
	usleep(20000);
	begin = seconds();
	chardev_hangup(f.cd);
	pthread_join(t, NULL);
	assert_true(seconds() - begin < 1);
	/* And whatever happens the terminal is as it was. */
	chardev_stdio_restore();
	tcgetattr(slave, &now);
	assert_int_equal(now.c_lflag, before.c_lflag);
	stop(&f);
	/* The same by destroy. */
	assert_int_equal(chardev_tty_create(&f.cd, f.loop, name), 0);
	go(&f);
	stop(&f);
	tcgetattr(slave, &now);
	assert_int_equal(now.c_lflag, before.c_lflag);
	close(slave);
	/* A terminal that goes away. */
	assert_int_equal(chardev_tty_create(&f.cd, f.loop, name), 0);
	go(&f);
	close(master);
	usleep(50000);
	assert_int_equal(chardev_read(f.cd, name, 1), 0);
	assert_int_equal(chardev_write(f.cd, "x", 1), 1);
	stop(&f);
	assert_int_equal(chardev_tty_create(&f.cd, f.loop, "/dev/null"),
	    -ENOTTY);
	assert_int_equal(chardev_tty_create(&f.cd, f.loop, f.path), -ENOENT);
	teardown(&f);
}

static void
test_pty(void **state)
{
	struct fixture f;
	char buf[16];
	double begin;
	int fd;

	(void)state;
	setup(&f);
	assert_int_equal(chardev_pty_create(&f.cd, f.loop), 0);
	assert_memory_equal(f.cd->where, "/dev/pts/", 9);
	go(&f);
	/* Nobody is there yet; the first words are kept, and are raw. */
	assert_int_equal(chardev_write(f.cd, "boot\n", 5), 5);
	fd = open(f.cd->where, O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, buf, 5), 5);
	assert_memory_equal(buf, "boot\n", 5);
	assert_int_equal(write(fd, "a\rb", 3), 3);
	assert_int_equal(fetch(&f, buf, 3), 3);
	assert_memory_equal(buf, "a\rb", 3);
	/* It may come and go. */
	close(fd);
	begin = seconds();
	write_big(f.cd);
	assert_true(seconds() - begin < 2);
	fd = open(f.cd->where, O_RDWR | O_NOCTTY);
	assert_int_equal(write(fd, "c", 1), 1);
	assert_int_equal(fetch(&f, buf, 1), 1);
	close(fd);
	stop(&f);
	teardown(&f);
}

static void
test_tcp(void **state)
{
	static const char *const bad[] = {
	    "", ":", "127.0.0.1", "127.0.0.1:", ":5000", "127.0.0.1:x",
	    "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 1", "::1:5000",
	    "[::1]", "[]:5000", "localhost:5000", "1.2.3.4.5:5000",
	    "127.0.0.1:000001"};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct chardev *other;
	struct fixture f;
	char buf[16];
	size_t i;
	int fd;

	(void)state;
	setup(&f);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    chardev_tcp_create(&f.cd, f.loop, bad[i]), -EINVAL);
	assert_int_equal(
	    chardev_tcp_create(&f.cd, f.loop, "127.0.0.1:0"), 0);
	assert_memory_equal(f.cd->where, "127.0.0.1:", 10);
	assert_int_equal(chardev_tcp_create(&other, f.loop, f.cd->where),
	    -EADDRINUSE);
	go(&f);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)atoi(f.cd->where + 10));
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	greet(&f, fd);
	assert_int_equal(write(fd, "in", 2), 2);
	assert_int_equal(fetch(&f, buf, 2), 2);
	stop(&f);
	close(fd);
	teardown(&f);
}

/* What is at a socket's path. */
static void
test_unix_path(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct chardev *other;
	struct fixture f;
	char longer[200];
	int fd;

	(void)state;
	setup(&f);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(chardev_unix_create(&f.cd, f.loop, ""), -EINVAL);
	assert_int_equal(
	    chardev_unix_create(&f.cd, f.loop, longer), -ENAMETOOLONG);
	assert_int_equal(
	    chardev_unix_create(&f.cd, f.loop, "/nonexistent/s"), -ENOENT);
	/* A file of another kind stays. */
	close(open(f.path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(
	    chardev_unix_create(&f.cd, f.loop, f.path), -EADDRINUSE);
	assert_int_equal(unlink(f.path), 0);
	/* One that a crash has left is replaced, one in use is not. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sun.sun_path, f.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	assert_int_equal(chardev_unix_create(&f.cd, f.loop, f.path), 0);
	assert_int_equal(
	    chardev_unix_create(&other, f.loop, f.path), -EADDRINUSE);
	/* Another's in its place is not removed. */
	assert_int_equal(unlink(f.path), 0);
	close(open(f.path, O_CREAT | O_WRONLY, 0600));
	chardev_destroy(f.cd);
	assert_int_equal(unlink(f.path), 0);
	teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_peers),
	    cmocka_unit_test(test_deaf_peer),
	    cmocka_unit_test(test_slow_peer),
	    cmocka_unit_test(test_hangup),
	    cmocka_unit_test(test_pty),
	    cmocka_unit_test(test_tcp),
	    cmocka_unit_test(test_unix_path),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
