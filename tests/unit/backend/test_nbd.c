/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks at NBD servers: nbdkit, with its filters for faults, and qemu-nbd. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/block/nbd_priv.h"
#include "block_util.h"

#define SIZE ((1u << 20) + 7 * 512)

struct server {
	struct disk d;
	char sock[96], path[128];
	pid_t pid;
};

static void
nap(void)
{
	const struct timespec ms = {0, 10000000};

	nanosleep(&ms, NULL);
}

static bool
listens(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	assert_true(fd >= 0);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	yes = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
	close(fd);
	return (yes);
}

/* Starts a server on d.base, and waits until it listens. */
static void
start(struct server *s, const char *const argv[])
{
	unsigned i;

	disk_setup(&s->d, "/tmp");
	disk_make(s->d.base, SIZE, 1);
	(void)snprintf(s->sock, sizeof(s->sock), "%s/sock", s->d.dir);
	(void)snprintf(s->path, sizeof(s->path), "nbd:unix:%s", s->sock);
	s->d.cfg.path = s->path;
	s->pid = fork();
	if (s->pid == 0) {
		char *args[16], file[128];
		unsigned n;

		(void)snprintf(file, sizeof(file), "%s", s->d.base);
		for (n = 0; argv[n] != NULL && n < 15; n++)
			args[n] = strcmp(argv[n], "BASE") == 0 ? file
				  : strcmp(argv[n], "SOCK") == 0
				      ? s->sock
				      : (char *)(uintptr_t)argv[n];
		args[n] = NULL;
		/* Not longer than this process. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(args[0], args);
		_exit(127);
	}
	for (i = 0; i < 3000 && !listens(s->sock); i++)
		nap();
	assert_true(listens(s->sock));
}

static void
stop(struct server *s)
{
	disk_close(&s->d);
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
	}
	unlink(s->sock);
	disk_teardown(&s->d);
}

static void
model(const char *const argv[])
{
	uint8_t *shadow = malloc(SIZE);
	struct server s;

	assert_non_null(shadow);
	for (uint64_t i = 0; i < SIZE; i++)
		shadow[i] = disk_byte(1, i);
	start(&s, argv);
	/* qemu-nbd makes its socket before it answers. */
	disk_open(&s.d);
	assert_int_equal(block_info(s.d.blk)->size, SIZE);
	disk_model(&s.d, shadow, 5, 20);
	free(shadow);
	stop(&s);
}

static void
test_nbdkit(void **state)
{
	static const char *const argv[] = {
	    "nbdkit", "-f", "-U", "SOCK", "file", "BASE", NULL};

	(void)state;
	model(argv);
}

/* Zeroes are written where the server has no command for them. */
static void
test_nbdkit_plain(void **state)
{
	static const char *const argv[] = {"nbdkit", "-f", "-U", "SOCK",
	    "--filter=nozero", "file", "BASE", NULL};

	(void)state;
	model(argv);
}

static void
test_qemu_nbd(void **state)
{
	static const char *const argv[] = {
	    "qemu-nbd", "-k", "SOCK", "-f", "raw", "-t", "BASE", NULL};

	(void)state;
	model(argv);
}

/* As the base of an overlay. */
static void
test_base(void **state)
{
	static const char *const argv[] = {
	    "nbdkit", "-f", "-r", "-U", "SOCK", "file", "BASE", NULL};
	uint8_t *shadow = malloc(SIZE);
	struct server s;

	(void)state;
	assert_non_null(shadow);
	for (uint64_t i = 0; i < SIZE; i++)
		shadow[i] = disk_byte(1, i);
	start(&s, argv);
	s.d.cfg.overlay = s.d.over;
	disk_open(&s.d);
	disk_model(&s.d, shadow, 6, 10);
	disk_close(&s.d);
	disk_open(&s.d);
	disk_compare(&s.d, shadow);
	free(shadow);
	stop(&s);
}

static void
test_readonly(void **state)
{
	static const char *const argv[] = {
	    "nbdkit", "-f", "-r", "-U", "SOCK", "file", "BASE", NULL};
	uint8_t buf[512];
	struct server s;

	(void)state;
	start(&s, argv);
	disk_open(&s.d);
	assert_true(block_info(s.d.blk)->readonly);
	assert_int_equal(disk_io(&s.d, BLOCK_WRITE, 0, buf, 512), -EROFS);
	stop(&s);
}

/* The server's errors are the request's. */
static void
test_errors(void **state)
{
	static const char *const argv[] = {"nbdkit", "-f", "-U", "SOCK",
	    "--filter=error", "file", "BASE", "error-pread=EIO",
	    "error-pread-rate=100%", "error-pwrite=ENOSPC",
	    "error-pwrite-rate=100%", NULL};
	uint8_t buf[512] = {0};
	struct server s;

	(void)state;
	start(&s, argv);
	disk_open(&s.d);
	assert_int_equal(disk_io(&s.d, BLOCK_READ, 0, buf, 512), -EIO);
	assert_int_equal(disk_io(&s.d, BLOCK_WRITE, 0, buf, 512), -ENOSPC);
	assert_int_equal(disk_io(&s.d, BLOCK_FLUSH, 0, NULL, 0), 0);
	stop(&s);
}

static void
set(struct block_req *req, int error)
{
	*(int *)(uintptr_t)req->iov->iov_base = error;
	req->done = NULL;
}

/* A server that takes its time is given up, and what it sends
 * later is nobody's. */
static void
test_slow(void **state)
{
	static const char *const argv[] = {"nbdkit", "-f", "-U", "SOCK",
	    "--filter=delay", "file", "BASE", "rdelay=3600", NULL};
	int buf[1024] = {1};
	struct iovec iov = {buf, sizeof(buf)};
	struct block_req req = {.op = BLOCK_READ,
	    .len = sizeof(buf),
	    .iov = &iov,
	    .niov = 1,
	    .done = set};
	struct server s;

	(void)state;
	start(&s, argv);
	disk_open(&s.d);
	block_submit(s.d.blk, &req);
	block_kick(s.d.blk);
	assert_int_equal(buf[0], 1);
	block_cancel(s.d.blk);
	assert_int_equal(buf[0], -ECANCELED);
	assert_null(req.done);
	stop(&s);
}

/* The server dies with a request under way. */
static void
test_gone(void **state)
{
	static const char *const argv[] = {"nbdkit", "-f", "-U", "SOCK",
	    "--filter=delay", "file", "BASE", "rdelay=3600", NULL};
	uint8_t data[512] = {0};
	int buf[1024] = {1};
	struct iovec iov = {buf, sizeof(buf)};
	struct block_req req = {.op = BLOCK_READ,
	    .len = sizeof(buf),
	    .iov = &iov,
	    .niov = 1,
	    .done = set};
	struct server s;
	unsigned i;

	(void)state;
	start(&s, argv);
	disk_open(&s.d);
	block_submit(s.d.blk, &req);
	block_kick(s.d.blk);
	kill(s.pid, SIGKILL);
	(void)waitpid(s.pid, NULL, 0);
	s.pid = 0;
	for (i = 0; i < 3000 && req.done != NULL; i++) {
		s.d.blk->ops->wait(s.d.blk);
		block_kick(s.d.blk);
	}
	assert_int_equal(buf[0], -EIO);
	/* And from now on everything fails, at once. */
	assert_int_equal(disk_io(&s.d, BLOCK_WRITE, 0, data, 512), -EIO);
	assert_int_equal(disk_io(&s.d, BLOCK_READ, 0, data, 512), -EIO);
	stop(&s);
}

static void
test_no_server(void **state)
{
	struct disk d;

	(void)state;
	disk_setup(&d, "/tmp");
	d.cfg.path = "nbd:unix:/nonexistent/socket";
	assert_true(disk_try(&d) < 0);
	assert_non_null(strstr(d.err.text, "/nonexistent/socket"));
	d.cfg.path = "nbd:what";
	assert_int_equal(disk_try(&d), -EINVAL);
	disk_teardown(&d);
}

static void
test_parse(void **state)
{
	static const char *const bad[] = {"nbd:", "nbd://",
	    "nbd:unix:", "nbd://:10", "nbd://[::1", "nbd://h:", "nbd://h:x/e",
	    "nbd://[::1]5"};
	struct nbd_place at;

	(void)state;
	assert_int_equal(nbd_parse("nbd:unix:/a b/c", &at), 0);
	assert_string_equal(at.unix_path, "/a b/c");
	assert_string_equal(at.export_name, "");
	assert_int_equal(nbd_parse("nbd:unix:/a:exportname=x/y", &at), 0);
	assert_string_equal(at.unix_path, "/a");
	assert_string_equal(at.export_name, "x/y");
	assert_int_equal(nbd_parse("nbd://h", &at), 0);
	assert_string_equal(at.host, "h");
	assert_string_equal(at.port, "10809");
	assert_string_equal(at.export_name, "");
	assert_int_equal(nbd_parse("nbd://h:1/e/f", &at), 0);
	assert_string_equal(at.port, "1");
	assert_string_equal(at.export_name, "e/f");
	assert_int_equal(nbd_parse("nbd://[::1]:7/", &at), 0);
	assert_string_equal(at.host, "::1");
	assert_string_equal(at.port, "7");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nbd_parse(bad[i], &at), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_no_server),
	    cmocka_unit_test(test_nbdkit),
	    cmocka_unit_test(test_nbdkit_plain),
	    cmocka_unit_test(test_qemu_nbd),
	    cmocka_unit_test(test_base),
	    cmocka_unit_test(test_readonly),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_slow),
	    cmocka_unit_test(test_gone),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
