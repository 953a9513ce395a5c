/* SPDX-License-Identifier: BSD-2-Clause */
/* Overlays: copy on write, what is on the disk when, and bad files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/block/overlay_map.h"
#include "block_util.h"

/* Neither whole clusters nor a whole block of the bitmap. */
#define SIZE ((1u << 20) + 7 * 512)

static uint8_t *
slurp(const char *path, size_t *len)
{
	struct stat st;
	uint8_t *buf;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	buf = malloc(*len);
	assert_non_null(buf);
	assert_int_equal(read(fd, buf, *len), *len);
	close(fd);
	return (buf);
}

static void
spit(const char *path, const void *buf, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	close(fd);
}

static void
base_untouched(const struct disk *d)
{
	size_t len;
	uint8_t *buf = slurp(d->base, &len);

	assert_int_equal(len, SIZE);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != disk_byte(1, i))
			fail_msg("byte %zu of the base has changed", i);
	free(buf);
}

static uint8_t *
shadow_of(void)
{
	uint8_t *s = malloc(SIZE);

	assert_non_null(s);
	for (uint64_t i = 0; i < SIZE; i++)
		s[i] = disk_byte(1, i);
	return (s);
}

static void
setup(struct disk *d)
{
	disk_setup(d, "/var/tmp");
	disk_make(d->base, SIZE, 1);
	d->cfg.overlay = d->over;
}

static void
test_model(void **state)
{
	static const enum block_aio ways[] = {
	    BLOCK_AIO_URING, BLOCK_AIO_THREADS};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *shadow = shadow_of();
		struct disk d;

		setup(&d);
		d.cfg.aio = ways[i % 2];
		d.cfg.nocache = i / 2 != 0;
		disk_open(&d);
		/* Few rounds at a time: more is in the base. */
		for (unsigned k = 0; k < 8; k++) {
			disk_model(&d, shadow, 7 + k, 3);
			disk_close(&d);
			disk_open(&d);
			disk_compare(&d, shadow);
		}
		base_untouched(&d);
		free(shadow);
		disk_teardown(&d);
	}
}

static void
test_snapshot(void **state)
{
	uint8_t *shadow = shadow_of();
	struct disk d;

	(void)state;
	setup(&d);
	d.cfg.overlay = NULL;
	d.cfg.snapshot = true;
	disk_open(&d);
	disk_model(&d, shadow, 3, 20);
	disk_close(&d);
	base_untouched(&d);
	assert_int_equal(access(d.over, F_OK), -1);
	/* On top of an overlay that has something. */
	d.cfg.overlay = d.over;
	d.cfg.snapshot = false;
	disk_open(&d);
	free(shadow);
	shadow = shadow_of();
	disk_model(&d, shadow, 4, 5);
	disk_close(&d);
	d.cfg.snapshot = true;
	disk_open(&d);
	disk_compare(&d, shadow);
	assert_int_equal(disk_zero(&d, 0, SIZE, true), 0);
	disk_close(&d);
	d.cfg.snapshot = false;
	disk_open(&d);
	disk_compare(&d, shadow);
	free(shadow);
	disk_teardown(&d);
}

/* From now on this process's file systems know no O_TMPFILE, as overlayfs
 * before Linux 6.3. */
static bool
no_tmpfile(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY,
		    0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 &&
		open("/var/tmp", O_TMPFILE | O_RDWR, 0600) == -1 &&
		errno == EOPNOTSUPP);
}

static unsigned
files_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		(void)closedir(dir);
	return (n);
}

/* A snapshot's file has no name then either. */
static void
test_no_tmpfile(void **state)
{
	uint8_t *shadow = shadow_of();
	struct disk d;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!no_tmpfile())
			_exit(2);
		setup(&d);
		d.cfg.overlay = NULL;
		d.cfg.snapshot = true;
		(void)setenv("TMPDIR", d.dir, 1);
		disk_open(&d);
		/* Itself, its parent and the base. */
		if (files_in(d.dir) != 3)
			_exit(3);
		disk_model(&d, shadow, 3, 5);
		disk_compare(&d, shadow);
		base_untouched(&d);
		disk_teardown(&d);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	free(shadow);
}

/*
 * The power goes: what the file is then, as the bitmap was when the last
 * flush was done. Bits of clusters that no flush has seen are not there.
 */
static void
test_power_fails(void **state)
{
	uint8_t a[8192], b[8192], got[8192];
	struct disk d, e;
	uint8_t *img;
	size_t len;

	(void)state;
	memset(a, 0xaa, sizeof(a));
	memset(b, 0xbb, sizeof(b));
	setup(&d);
	disk_open(&d);
	assert_int_equal(disk_io(&d, BLOCK_WRITE, 4096 + 512, a, 8192), 0);
	assert_int_equal(disk_io(&d, BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(disk_io(&d, BLOCK_WRITE, 65536, b, 8192), 0);
	img = slurp(d.over, &len);
	/* Clusters 1, 2 and 3. */
	assert_int_equal(img[OVERLAY_BLOCK], 0x0e);
	assert_int_equal(img[OVERLAY_BLOCK + 2], 0);

	disk_setup(&e, "/var/tmp");
	disk_make(e.base, SIZE, 1);
	e.cfg.overlay = e.over;
	spit(e.over, img, len);
	disk_open(&e);
	assert_int_equal(disk_io(&e, BLOCK_READ, 4096 + 512, got, 8192), 0);
	assert_memory_equal(got, a, 8192);
	assert_int_equal(disk_io(&e, BLOCK_READ, 65536, got, 8192), 0);
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(got[i], disk_byte(1, 65536 + i));
	/* The rest of the clusters came along. */
	assert_int_equal(disk_io(&e, BLOCK_READ, 4096, got, 512), 0);
	assert_int_equal(got[9], disk_byte(1, 4096 + 9));
	disk_teardown(&e);
	free(img);

	/* Written through: the bit is there when the write is done. */
	assert_int_equal(disk_fua(&d, 512 * 1024, b, 512), 0);
	img = slurp(d.over, &len);
	assert_int_equal(img[OVERLAY_BLOCK + 2], 3);
	assert_int_equal(img[OVERLAY_BLOCK + 16], 1);
	free(img);
	disk_teardown(&d);
}

/* A long way through the bitmap: runs, whole bytes, the last cluster. */
static void
test_runs(void **state)
{
	struct overlay_map map;
	uint64_t size = (UINT64_C(200) << 20) + 512, at, len;
	bool here;

	(void)state;
	assert_int_equal(overlay_map_scratch(&map, size), 0);
	assert_int_equal(map.clusters, 51201);
	assert_int_equal(map.blocks, 2);
	assert_int_equal(overlay_map_run(&map, 0, size, &here), size);
	assert_false(here);
	overlay_map_set(&map, 3, 40000);
	assert_int_equal(map.ndirty, 2);
	overlay_map_set(&map, 51200, 99999);
	for (at = 0; at < size; at += len) {
		len = overlay_map_run(&map, at, size - at, &here);
		assert_true(len > 0);
		if (at == 0)
			assert_int_equal(len, 3 * 4096);
		else if (at == 3 * 4096)
			assert_int_equal(len, 39997u * 4096);
		else if (at == 40000u * 4096)
			assert_int_equal(len, 11200u * 4096);
		else
			assert_int_equal(len, 512);
		assert_int_equal(here, at == 3 * 4096 || at == size - 512);
	}
	assert_int_equal(overlay_map_run(&map, 5 * 4096 + 7, 100, &here), 100);
	assert_true(here);
	overlay_map_fini(&map);
	assert_int_equal(overlay_map_scratch(&map, UINT64_C(1) << 47), -EFBIG);
	overlay_map_fini(&map);
}

static void
test_bad_files(void **state)
{
	struct disk d, other;
	uint8_t *img, *bad;
	size_t len;

	(void)state;
	setup(&d);
	disk_open(&d);
	/* Two machines, one overlay. */
	setup(&other);
	other.cfg.path = d.base;
	other.cfg.overlay = d.over;
	assert_int_equal(disk_try(&other), -EBUSY);
	disk_close(&d);
	disk_teardown(&other);
	img = slurp(d.over, &len);
	bad = malloc(len);
	assert_non_null(bad);
	/* Each byte that means something. */
	for (unsigned i = 0; i < 36; i++) {
		memcpy(bad, img, len);
		bad[i] ^= 0x10;
		spit(d.over, bad, len);
		assert_int_equal(disk_try(&d), -EINVAL);
		assert_non_null(strstr(d.err.text, d.over));
	}
	/* Cut off. */
	spit(d.over, img, len - 1);
	assert_int_equal(disk_try(&d), -EINVAL);
	assert_non_null(strstr(d.err.text, "cut off"));
	spit(d.over, img, 100);
	assert_int_equal(disk_try(&d), -EINVAL);
	/* Not its base. */
	spit(d.over, img, len);
	disk_make(d.base, SIZE + 512, 1);
	assert_int_equal(disk_try(&d), -EINVAL);
	assert_non_null(strstr(d.err.text, "made for a base of"));
	disk_make(d.base, SIZE, 1);
	disk_open(&d);
	disk_close(&d);
	/* Read-only there must be one. */
	unlink(d.over);
	d.cfg.readonly = true;
	assert_int_equal(disk_try(&d), -ENOENT);
	free(img);
	free(bad);
	disk_teardown(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_snapshot),
	    cmocka_unit_test(test_no_tmpfile),
	    cmocka_unit_test(test_power_fails),
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_bad_files),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
