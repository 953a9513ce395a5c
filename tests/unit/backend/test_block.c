/* SPDX-License-Identifier: BSD-2-Clause */
/* Files as disks: both ways to the kernel, O_DIRECT, holes, locks, sizes,
 * faults. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/block/block_priv.h"
#include "backend/block/file_priv.h"
#include "base/mevent.h"
#include "block_util.h"

#define SIZE ((1u << 20) + 7 * 512)
/* A file system with blocks, where holes and O_DIRECT are possible. */
#define DISK_DIR "/var/tmp"

static uint8_t *
shadow_of(uint64_t seed)
{
	uint8_t *s = malloc(SIZE);

	assert_non_null(s);
	for (uint64_t i = 0; i < SIZE; i++)
		s[i] = disk_byte(seed, i);
	return (s);
}

static void
model(enum block_aio aio, bool nocache, bool sync)
{
	struct disk d;
	uint8_t *shadow = shadow_of(1);

	disk_setup(&d, DISK_DIR);
	disk_make(d.base, SIZE, 1);
	d.cfg.aio = aio;
	d.cfg.nocache = nocache;
	d.cfg.sync = sync;
	disk_open(&d);
	assert_int_equal(block_info(d.blk)->size, SIZE);
	disk_model(&d, shadow, 42, sync ? 4 : 40);
	assert_true(d.batches > 0);
	/* And it is in the file. */
	disk_close(&d);
	d.cfg.readonly = true;
	disk_open(&d);
	disk_compare(&d, shadow);
	free(shadow);
	disk_teardown(&d);
}

static void
test_model(void **state)
{
	(void)state;
	model(BLOCK_AIO_URING, false, false);
	model(BLOCK_AIO_THREADS, false, false);
}

static void
test_model_nocache(void **state)
{
	(void)state;
	model(BLOCK_AIO_URING, true, false);
	model(BLOCK_AIO_THREADS, true, false);
}

static void
test_model_sync(void **state)
{
	(void)state;
	model(BLOCK_AIO_AUTO, false, true);
	model(BLOCK_AIO_AUTO, true, true);
}

/* io_uring_setup() fails with the number from here on. */
static void
refuse_uring(int error)
{
	struct sock_filter code[] = {
	    BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(2);
}

/* A kernel without io_uring, or one that forbids it. In a child: it cannot be
 * taken back. */
static void
without_uring(int error)
{
	struct disk d;
	uint8_t buf[512];
	int status;
	pid_t pid;

	disk_setup(&d, "/tmp");
	disk_make(d.base, SIZE, 1);
	pid = fork();
	if (pid == 0) {
		refuse_uring(error);
		d.cfg.aio = BLOCK_AIO_URING;
		if (disk_try(&d) != -error)
			_exit(3);
		d.cfg.aio = BLOCK_AIO_AUTO;
		if (disk_try(&d) != 0)
			_exit(4);
		if (strcmp(((struct file *)d.blk)->aio->engine->name,
			"threads") != 0)
			_exit(5);
		if (disk_io(&d, BLOCK_READ, 512, buf, 512) != 0 ||
		    buf[3] != disk_byte(1, 515))
			_exit(6);
		block_close(d.blk);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	disk_teardown(&d);
}

static void
test_no_uring(void **state)
{
	(void)state;
	without_uring(EPERM);
	without_uring(ENOSYS);
}

static uint64_t
allocated(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return ((uint64_t)st.st_blocks * 512);
}

static void
test_holes(void **state)
{
	struct disk d;
	uint8_t *buf = calloc(1, 65536);
	uint64_t full;

	(void)state;
	disk_setup(&d, DISK_DIR);
	disk_make(d.base, 1 << 20, 1);
	disk_open(&d);
	assert_true(block_info(d.blk)->discard);
	assert_int_equal(disk_io(&d, BLOCK_FLUSH, 0, NULL, 0), 0);
	full = allocated(d.base);
	assert_int_equal(disk_io(&d, BLOCK_DISCARD, 65536, NULL, 262144), 0);
	assert_int_equal(disk_zero(&d, 524288, 262144, true), 0);
	assert_true(allocated(d.base) <= full - 524288 + 65536);
	/* Zeroes that stay: none is given back. */
	full = allocated(d.base);
	assert_int_equal(disk_zero(&d, 0, 65536, false), 0);
	assert_int_equal(disk_io(&d, BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_true(allocated(d.base) >= full);
	memset(buf, 1, 65536);
	assert_int_equal(disk_io(&d, BLOCK_READ, 0, buf, 65536), 0);
	for (unsigned i = 0; i < 65536; i++)
		assert_int_equal(buf[i], 0);
	/* What has a hole in it does not fill up by being read. */
	assert_int_equal(disk_io(&d, BLOCK_READ, 65536, buf, 65536), 0);
	disk_close(&d);

	d.cfg.nodelete = true;
	disk_open(&d);
	assert_false(block_info(d.blk)->discard);
	assert_int_equal(
	    disk_io(&d, BLOCK_DISCARD, 65536, NULL, 4096), -EOPNOTSUPP);
	free(buf);
	disk_teardown(&d);
}

/* Where the file system has no ZERO_RANGE, zeroes are written. */
static void
test_zeroes_by_hand(void **state)
{
	struct disk d;
	uint8_t *shadow = shadow_of(1);

	(void)state;
	disk_setup(&d, DISK_DIR);
	disk_make(d.base, SIZE, 1);
	disk_open(&d);
	((struct file *)d.blk)->no_zero = true;
	((struct file *)d.blk)->no_punch = true;
	memset(shadow + 1024, 0, 700 * 1024);
	assert_int_equal(disk_zero(&d, 1024, 700 * 1024, true), 0);
	disk_compare(&d, shadow);
	assert_int_equal(disk_io(&d, BLOCK_DISCARD, 0, NULL, 8192), 0);
	disk_compare(&d, shadow);
	free(shadow);
	disk_teardown(&d);
}

static void
test_checks(void **state)
{
	struct disk d;
	uint8_t buf[1024];

	(void)state;
	disk_setup(&d, "/tmp");
	disk_make(d.base, SIZE, 1);
	disk_open(&d);
	assert_int_equal(disk_io(&d, BLOCK_READ, SIZE, buf, 512), -EINVAL);
	assert_int_equal(
	    disk_io(&d, BLOCK_READ, SIZE - 512, buf, 1024), -EINVAL);
	assert_int_equal(
	    disk_io(&d, BLOCK_WRITE, UINT64_MAX - 511, buf, 512), -EINVAL);
	assert_int_equal(
	    disk_io(&d, BLOCK_READ, 0, buf, (size_t)1 << 40), -EINVAL);
	assert_int_equal(disk_zero(&d, 512, UINT64_MAX, true), -EINVAL);
	assert_int_equal(disk_io(&d, (enum block_op)9, 0, buf, 512), -EINVAL);
	assert_int_equal(disk_io(&d, BLOCK_READ, SIZE, buf, 0), 0);
	disk_close(&d);
	d.cfg.readonly = true;
	disk_open(&d);
	assert_true(block_info(d.blk)->readonly);
	assert_int_equal(disk_io(&d, BLOCK_WRITE, 0, buf, 512), -EROFS);
	assert_int_equal(disk_zero(&d, 0, 512, true), -EROFS);
	assert_int_equal(disk_io(&d, BLOCK_READ, 0, buf, 512), 0);
	disk_teardown(&d);
}

static void
test_sector_sizes(void **state)
{
	struct disk d;

	(void)state;
	disk_setup(&d, DISK_DIR);
	disk_make(d.base, SIZE, 1);
	disk_open(&d);
	assert_int_equal(block_info(d.blk)->logical, 512);
	assert_int_equal(block_info(d.blk)->physical, 4096);
	disk_close(&d);
	d.cfg.logical = 4096;
	disk_open(&d);
	assert_int_equal(block_info(d.blk)->logical, 4096);
	assert_int_equal(block_info(d.blk)->physical, 4096);
	/* Whole sectors only. */
	assert_int_equal(block_info(d.blk)->size, 1 << 20);
	disk_close(&d);
	d.cfg.logical = 512;
	d.cfg.physical = 8192;
	disk_open(&d);
	assert_int_equal(block_info(d.blk)->physical, 8192);
	disk_close(&d);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t bad[][2] = {
		    {256, 0}, {768, 0}, {4096, 512}, {512, 5000}};

		d.cfg.logical = bad[i][0];
		d.cfg.physical = bad[i][1];
		assert_int_equal(disk_try(&d), -EINVAL);
		assert_non_null(strstr(d.err.text, "sector sizes"));
	}
	disk_teardown(&d);
}

static void
test_locks(void **state)
{
	struct disk a, b;
	char who[40];

	(void)state;
	disk_setup(&a, "/tmp");
	disk_make(a.base, SIZE, 1);
	disk_setup(&b, "/tmp");
	b.cfg.path = a.base;
	disk_open(&a);
	assert_int_equal(disk_try(&b), -EBUSY);
	(void)snprintf(who, sizeof(who), "process %d (", (int)getpid());
	assert_non_null(strstr(b.err.text, who));
	b.cfg.readonly = true;
	assert_int_equal(disk_try(&b), -EBUSY);
	disk_close(&a);
	/* Any number of readers. */
	a.cfg.readonly = true;
	disk_open(&a);
	disk_open(&b);
	disk_close(&a);
	a.cfg.readonly = false;
	assert_int_equal(disk_try(&a), -EBUSY);
	disk_close(&b);
	disk_open(&a);
	/* The lock is there as long as the disk, also with O_DIRECT. */
	disk_teardown(&a);
	disk_teardown(&b);
}

static void
test_bad_paths(void **state)
{
	struct disk d;

	(void)state;
	disk_setup(&d, "/tmp");
	assert_int_equal(disk_try(&d), -ENOENT);
	assert_non_null(strstr(d.err.text, d.base));
	d.cfg.path = d.dir;
	assert_int_equal(disk_try(&d), -EINVAL);
	d.cfg.path = d.base;
	assert_int_equal(mkfifo(d.base, 0600), 0);
	assert_int_equal(disk_try(&d), -EINVAL);
	disk_teardown(&d);
}

/* The file becomes shorter, and longer, behind our back. */
static void
test_resize(void **state)
{
	struct disk d;
	uint8_t buf[512];

	(void)state;
	disk_setup(&d, "/tmp");
	disk_make(d.base, SIZE, 1);
	disk_open(&d);
	assert_int_equal(truncate(d.base, 65536), 0);
	assert_int_equal(disk_io(&d, BLOCK_READ, 65536, buf, 512), -EIO);
	/* The failed read has looked at the size. */
	assert_int_equal(d.resizes, 1);
	assert_int_equal(block_info(d.blk)->size, 65536);
	assert_int_equal(disk_io(&d, BLOCK_READ, 65536, buf, 512), -EINVAL);
	assert_int_equal(disk_io(&d, BLOCK_READ, 65024, buf, 512), 0);
	assert_int_equal(truncate(d.base, 1 << 21), 0);
	block_refresh(d.blk);
	assert_int_equal(d.resizes, 2);
	assert_int_equal(block_info(d.blk)->size, 1 << 21);
	assert_int_equal(disk_io(&d, BLOCK_READ, 1 << 20, buf, 512), 0);
	disk_teardown(&d);
}

/* No more room: an error, and the disk lives on. */
static void
test_full(void **state)
{
	struct disk d;
	int status;
	pid_t pid;

	(void)state;
	disk_setup(&d, "/tmp");
	disk_make(d.base, 65536, 1);
	assert_int_equal(truncate(d.base, SIZE), 0);
	pid = fork();
	if (pid == 0) {
		struct rlimit rl = {65536, 65536};
		uint8_t buf[512] = {0};

		/* Beyond this, write() fails with EFBIG; without more, a
		 * signal would end the process. */
		if (setrlimit(RLIMIT_FSIZE, &rl) != 0 || disk_try(&d) != 0)
			_exit(1);
		if (disk_io(&d, BLOCK_WRITE, 65536, buf, 512) != -EFBIG)
			_exit(2);
		if (disk_io(&d, BLOCK_WRITE, 65024, buf, 512) != 0)
			_exit(3);
		if (disk_io(&d, BLOCK_READ, 65536, buf, 512) != 0)
			_exit(4);
		block_close(d.blk);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	disk_teardown(&d);
}

/* In an event loop's thread, as a device does it. */
struct looped {
	struct block_req req; /* first */
	struct disk *d;
	uint8_t buf[4096];
	unsigned left;
	int error;
};

static void
looped_done(struct block_req *req, int error)
{
	struct looped *l = (struct looped *)req;

	if (error != 0)
		l->error = error;
	if (--l->left > 0)
		block_submit(l->d->blk, req);
	else
		mevent_stop(l->d->loop);
}

static void
test_loop(void **state)
{
	static const enum block_aio ways[] = {
	    BLOCK_AIO_URING, BLOCK_AIO_THREADS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct looped l = {.left = 50};
		struct iovec iov = {l.buf, sizeof(l.buf)};
		struct disk d;

		disk_setup(&d, DISK_DIR);
		disk_make(d.base, SIZE, 1);
		d.cfg.aio = ways[i];
		d.cfg.nocache = true;
		disk_open(&d);
		l.d = &d;
		l.req = (struct block_req){.op = BLOCK_READ,
		    .len = 4096,
		    .iov = &iov,
		    .niov = 1,
		    .done = looped_done};
		block_submit(d.blk, &l.req);
		block_kick(d.blk);
		if (l.left > 0)
			assert_int_equal(mevent_run(d.loop), 0);
		assert_int_equal(l.left, 0);
		assert_int_equal(l.error, 0);
		assert_int_equal(l.buf[5], disk_byte(1, 5));
		disk_teardown(&d);
	}
}

/* The loop sees by itself that the size has changed. */
static void
stop_on_resize(void *arg)
{
	struct disk *d = arg;

	d->resizes++;
	mevent_stop(d->loop);
}

static void
test_resize_watch(void **state)
{
	struct disk d;

	(void)state;
	disk_setup(&d, "/tmp");
	disk_make(d.base, SIZE, 1);
	d.cfg.resized = stop_on_resize;
	disk_open(&d);
	assert_int_equal(truncate(d.base, 1 << 21), 0);
	assert_int_equal(mevent_run(d.loop), 0);
	assert_int_equal(block_info(d.blk)->size, 1 << 21);
	disk_teardown(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_model_nocache),
	    cmocka_unit_test(test_model_sync),
	    cmocka_unit_test(test_no_uring),
	    cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_zeroes_by_hand),
	    cmocka_unit_test(test_checks),
	    cmocka_unit_test(test_sector_sizes),
	    cmocka_unit_test(test_locks),
	    cmocka_unit_test(test_bad_paths),
	    cmocka_unit_test(test_resize),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_loop),
	    cmocka_unit_test(test_resize_watch),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
