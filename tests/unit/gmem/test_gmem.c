/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "gmem/gmem.h"

#define MIB (1ull << 20)

struct seen {
	unsigned calls;
	uint64_t gpa[4], len[4];
	uint8_t first; /* content at the first call */
	struct gmem *gm;
};

static void
observe(void *arg, uint64_t gpa, uint64_t len)
{
	struct seen *s = arg;

	if (s->calls < 4) {
		s->gpa[s->calls] = gpa;
		s->len[s->calls] = len;
	}
	if (s->calls == 0)
		s->first = *(uint8_t *)gmem_map(s->gm, gpa, 1);
	s->calls++;
}

static void
test_sizes(void **state)
{
	struct gmem *gm;

	(void)state;
	assert_int_equal(gmem_create(&gm, 0), -EINVAL);
	assert_null(gm);
	assert_int_equal(gmem_create(&gm, 4097), -EINVAL);
	assert_int_equal(gmem_create(&gm, 100ull << 40), -ENOMEM);
	assert_int_equal(gmem_create(&gm, ~0xfffull), -ENOMEM);

	assert_int_equal(gmem_create(&gm, 8192), 0);
	assert_int_equal(gmem_lowmem(gm), 8192);
	assert_int_equal(gmem_highmem(gm), 0);
	gmem_destroy(gm);
	gmem_destroy(NULL);
}

static void
test_bounds(void **state)
{
	struct gmem *gm;
	uint8_t b[16] = { 1 };

	(void)state;
	assert_int_equal(gmem_create(&gm, MIB), 0);
	assert_ptr_equal(gmem_map(gm, 0, MIB), gmem_base(gm));
	assert_ptr_equal(gmem_map(gm, MIB - 1, 1), gmem_base(gm) + MIB - 1);
	assert_null(gmem_map(gm, 0, MIB + 1));
	assert_null(gmem_map(gm, MIB - 1, 2));
	assert_null(gmem_map(gm, MIB, 1));
	assert_null(gmem_map(gm, 1, UINT64_MAX));
	assert_null(gmem_map(gm, UINT64_MAX, 2));
	assert_null(gmem_map(gm, GMEM_HIGHMEM_BASE, 1));
	assert_int_equal(gmem_write(gm, MIB - 8, b, 16), -EFAULT);
	assert_int_equal(*(uint8_t *)gmem_map(gm, MIB - 8, 1), 0);
	assert_int_equal(gmem_read(gm, MIB - 8, b, 16), -EFAULT);
	assert_int_equal(b[0], 1);
	assert_int_equal(gmem_set(gm, MIB - 8, 0xff, 9), -EFAULT);
	gmem_destroy(gm);
}

static void
test_copy(void **state)
{
	struct gmem *gm;
	uint8_t src[32], dst[32];
	size_t off, len;

	(void)state;
	for (len = 0; len < sizeof(src); len++)
		src[len] = (uint8_t)(0x80 + len);
	assert_int_equal(gmem_create(&gm, MIB), 0);
	for (off = 0; off < 9; off++) {
		for (len = 0; len <= sizeof(src); len++) {
			gmem_set(gm, 4096, 0, 64);
			assert_int_equal(
			    gmem_write(gm, 4096 + off, src, len), 0);
			memset(dst, 0, sizeof(dst));
			assert_int_equal(
			    gmem_read(gm, 4096 + off, dst, len), 0);
			assert_memory_equal(src, dst, len);
			assert_int_equal(gmem_base(gm)[4096 + off + len], 0);
		}
	}
	gmem_destroy(gm);
}

/* The same with less below. */
static void
test_split_lower(void **state)
{
	struct gmem *gm;
	uint64_t v;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t bad[] = {0, 4097, GMEM_LOWMEM_LIMIT + 4096};

		assert_int_equal(
		    gmem_create_as(&gm, MIB, bad[i], GMEM_PAGES_AUTO), -EINVAL);
	}
	assert_int_equal(
	    gmem_create_as(&gm, 3 * MIB, 2 * MIB, GMEM_PAGES_AUTO), 0);
	assert_int_equal(gmem_lowmem(gm), 2 * MIB);
	assert_int_equal(gmem_highmem(gm), MIB);
	assert_null(gmem_map(gm, 2 * MIB, 1));
	assert_int_equal(gmem_read(gm, 2 * MIB - 8, &v, 8), 0);
	assert_int_equal(gmem_read(gm, 2 * MIB - 7, &v, 8), -EFAULT);
	assert_int_equal(gmem_read(gm, GMEM_HIGHMEM_BASE, &v, 8), 0);
	gmem_destroy(gm);
	assert_int_equal(gmem_create_as(&gm, MIB, 2 * MIB, GMEM_PAGES_AUTO), 0);
	assert_int_equal(gmem_lowmem(gm), MIB);
	assert_int_equal(gmem_highmem(gm), 0);
	gmem_destroy(gm);
}

/* RAM above 3 GiB goes to 4 GiB; nothing is between. */
static void
test_split(void **state)
{
	struct gmem *gm;
	uint64_t v = 0x1122334455667788ull, r;

	(void)state;
	if (gmem_create(&gm, GMEM_LOWMEM_LIMIT + MIB) == -ENOMEM)
		skip();
	assert_int_equal(gmem_lowmem(gm), GMEM_LOWMEM_LIMIT);
	assert_int_equal(gmem_highmem(gm), MIB);
	assert_null(gmem_map(gm, GMEM_LOWMEM_LIMIT, 1));
	assert_null(gmem_map(gm, GMEM_HIGHMEM_BASE - 1, 1));
	assert_null(gmem_map(gm, GMEM_LOWMEM_LIMIT - 1, 2));
	assert_int_equal(gmem_write(gm, GMEM_HIGHMEM_BASE, &v, 8), 0);
	assert_int_equal(gmem_write(gm, GMEM_LOWMEM_LIMIT - 8, &v, 8), 0);
	assert_int_equal(gmem_read(gm, GMEM_HIGHMEM_BASE, &r, 8), 0);
	assert_int_equal(r, v);
	assert_ptr_equal(gmem_map(gm, GMEM_HIGHMEM_BASE, MIB),
	    gmem_base(gm) + GMEM_HIGHMEM_BASE);
	assert_null(gmem_map(gm, GMEM_HIGHMEM_BASE, MIB + 1));
	gmem_destroy(gm);
}

static void
test_watch(void **state)
{
	struct gmem *gm;
	struct seen s = { 0 };
	uint8_t b[64];

	(void)state;
	memset(b, 0xab, sizeof(b));
	assert_int_equal(gmem_create(&gm, 4 * MIB), 0);
	s.gm = gm;
	gmem_set_observer(gm, observe, &s);
	assert_false(gmem_watched(gm, 0x1000));
	gmem_write(gm, 0x1000, b, 8);
	assert_int_equal(s.calls, 0);

	gmem_watch(gm, 0x1234, true);
	assert_true(gmem_watched(gm, 0x1fff));
	assert_false(gmem_watched(gm, 0x2000));
	assert_false(gmem_watched(gm, 0xfff));
	gmem_write(gm, 0xfe0, b, 64);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.gpa[0], 0x1000);
	assert_int_equal(s.len[0], 0x20);
	assert_int_equal(s.first, 0xab); /* after the bytes changed */

	/* Two watched pages far apart, one long write. */
	gmem_watch(gm, 0x200000, true);
	s.calls = 0;
	gmem_set(gm, 0x1800, 0, 0x300000);
	assert_int_equal(s.calls, 2);
	assert_int_equal(s.gpa[0], 0x1800);
	assert_int_equal(s.len[0], 0x800);
	assert_int_equal(s.gpa[1], 0x200000);
	assert_int_equal(s.len[1], 0x1000);

	gmem_watch(gm, 0x1000, false);
	s.calls = 0;
	gmem_wrote(gm, 0x1000, 1);
	assert_int_equal(s.calls, 0);
	gmem_wrote(gm, 0x200fff, 1);
	assert_int_equal(s.calls, 1);

	/* Not RAM: ignored. */
	gmem_watch(gm, 4 * MIB, true);
	assert_false(gmem_watched(gm, 4 * MIB));
	gmem_watch(gm, UINT64_MAX, true);
	gmem_wrote(gm, UINT64_MAX, 8);
	gmem_destroy(gm);
}

static void
test_rom(void **state)
{
	const uint64_t top = GMEM_HIGHMEM_BASE;
	struct gmem *gm;
	uint8_t b[4];
	void *host;

	(void)state;
	assert_int_equal(gmem_create(&gm, MIB), 0);
	assert_int_equal(gmem_rom(gm), 0);
	assert_int_equal(gmem_read(gm, top - 4, b, 4), -EFAULT);
	assert_int_equal(gmem_add_rom(gm, 0, &host), -EINVAL);
	assert_int_equal(gmem_add_rom(gm, 4095, &host), -EINVAL);
	assert_int_equal(
	    gmem_add_rom(gm, GMEM_ROM_MAX + 4096, &host), -EINVAL);
	assert_int_equal(gmem_add_rom(gm, 8192, &host), 0);
	assert_int_equal(gmem_add_rom(gm, 8192, &host), -EEXIST);
	assert_int_equal(gmem_rom(gm), 8192);
	memcpy((uint8_t *)host + 8188, "tail", 4);
	gmem_seal_rom(gm);

	assert_int_equal(gmem_read(gm, top - 4, b, 4), 0);
	assert_memory_equal(b, "tail", 4);
	assert_int_equal(gmem_read(gm, top - 8192, b, 1), 0);
	assert_int_equal(gmem_read(gm, top - 8193, b, 1), -EFAULT);
	assert_int_equal(gmem_read(gm, top - 3, b, 4), -EFAULT);
	assert_null(gmem_map(gm, top - 4, 4));
	assert_int_equal(gmem_write(gm, top - 4, b, 4), -EFAULT);
	assert_int_equal(gmem_set(gm, top - 4, 0, 4), -EFAULT);
	gmem_watch(gm, top - 4, true);
	assert_false(gmem_watched(gm, top - 4));
	assert_memory_equal((uint8_t *)host + 8188, "tail", 4);
	gmem_destroy(gm);
}

/* Pages that go back read zeroes, and who caches them hears of it. */
static uint64_t discarded;

static void
on_discard(void *arg, uint64_t gpa, uint64_t len)
{
	(void)arg;
	discarded = gpa + len;
}

static void
test_discard(void **state)
{
	struct gmem *gm;
	struct stat st;
	blkcnt_t before;
	uint8_t b;

	(void)state;
	assert_int_equal(gmem_create(&gm, 16 << 20), 0);
	assert_int_equal(gmem_set(gm, 1 << 20, 0xaa, 4 << 20), 0);
	assert_int_equal(fstat(gmem_fd(gm), &st), 0);
	before = st.st_blocks;
	gmem_set_observer(gm, on_discard, NULL);
	gmem_watch(gm, (2 << 20) + 4096, true);
	assert_int_equal(gmem_discard(gm, 2 << 20, 2 << 20), 0);
	assert_int_equal(discarded, (2 << 20) + 8192);
	assert_int_equal(fstat(gmem_fd(gm), &st), 0);
	assert_int_equal(before - st.st_blocks, (2 << 20) / 512);
	assert_int_equal(gmem_read(gm, 2 << 20, &b, 1), 0);
	assert_int_equal(b, 0);
	assert_int_equal(gmem_read(gm, (2 << 20) - 1, &b, 1), 0);
	assert_int_equal(b, 0xaa);
	assert_int_equal(gmem_read(gm, 4 << 20, &b, 1), 0);
	assert_int_equal(b, 0xaa);
	assert_int_equal(gmem_discard(gm, 100, 4096), -EINVAL);
	assert_int_equal(gmem_discard(gm, 4096, 100), -EINVAL);
	assert_int_equal(gmem_discard(gm, 4096, 0), -EINVAL);
	assert_int_equal(gmem_discard(gm, 16 << 20, 4096), -EFAULT);
	assert_int_equal(gmem_discard(gm, (16 << 20) - 4096, 8192), -EFAULT);
	assert_int_equal(gmem_discard(gm, 0xc0000000, 4096), -EFAULT);
	gmem_destroy(gm);
}

/* Pages of the pool: all or nothing, and no size that they do not divide. */
static void
test_pages(void **state)
{
	struct gmem *gm;
	int error;

	(void)state;
	assert_int_equal(
	    gmem_create_as(
		&gm, MIB, GMEM_LOWMEM_LIMIT, GMEM_PAGES_2M), -EINVAL);
	assert_null(gm);
	error = gmem_create_as(
		&gm, 4 * MIB, GMEM_LOWMEM_LIMIT, GMEM_PAGES_2M);
	if (error == 0) {
		assert_int_equal((uintptr_t)gmem_base(gm) % (2 * MIB), 0);
		memset(gmem_map(gm, 0, 4 * MIB), 1, 4 * MIB);
		gmem_destroy(gm);
	} else
		assert_int_equal(error, -ENOMEM);
	for (int p = GMEM_PAGES_AUTO; p <= GMEM_PAGES_OFF; p++) {
		assert_int_equal(
		    gmem_create_as(
		&gm, MIB, GMEM_LOWMEM_LIMIT, (enum gmem_pages)p), 0);
		assert_int_equal((uintptr_t)gmem_base(gm) % (2 * MIB), 0);
		gmem_destroy(gm);
	}
}

/* Bytes of guests' memory in large pages. */
static uint64_t
large_bytes(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long kib, sum = 0;
	char line[512];
	int ours = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strstr(line, " /") != NULL)
			ours = strstr(line, "lhyve-ram") != NULL;
		if (ours && sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			sum += kib;
	}
	(void)fclose(f);
	return ((uint64_t)sum << 10);
}

static void
test_make_large(void **state)
{
	struct gmem *gm;
	uint8_t *p;
	int error;

	(void)state;
	assert_int_equal(gmem_create(&gm, 7 * MIB), 0);
	p = gmem_map(gm, 2 * MIB, 2 * MIB);
	p[0x1234] = 0x56;
	/* There are hosts that cannot: then nothing is different. */
	error = gmem_make_large(gm, 3 * MIB);
	assert_int_equal(large_bytes(), error == 0 ? 2 * MIB : 0);
	error = gmem_make_large(gm, 4 * MIB); /* untouched */
	assert_int_equal(large_bytes(), error == 0 ? 4 * MIB : 0);
	assert_int_equal(p[0x1234], 0x56);
	assert_int_equal(p[0x1235], 0);
	assert_int_equal(gmem_make_large(gm, 6 * MIB), -EFAULT);
	assert_int_equal(gmem_make_large(gm, UINT64_MAX), -EFAULT);
	gmem_destroy(gm);
	assert_int_equal(gmem_create_as(&gm, 2 * MIB, GMEM_LOWMEM_LIMIT,
			     GMEM_PAGES_OFF), 0);
	assert_int_equal(gmem_make_large(gm, 0), -EINVAL);
	assert_int_equal(large_bytes(), 0);
	gmem_destroy(gm);
}

static void
test_bind(void **state)
{
	unsigned long mask[16];
	struct gmem *gm;
	int mode;

	(void)state;
	assert_int_equal(gmem_create(&gm, MIB), 0);
	assert_int_equal(
	    gmem_bind(gm, MIB / 2, MIB, MPOL_BIND, 1), -EFAULT);
	assert_int_equal(gmem_bind(gm, 0, MIB, 99, 1), -EINVAL);
	assert_int_equal(gmem_bind(gm, 0, MIB / 2, MPOL_BIND, 1), 0);
	assert_int_equal(gmem_bind(gm, MIB / 2, MIB / 2, MPOL_DEFAULT, 0), 0);
	memset(mask, 0, sizeof(mask));
	assert_int_equal(syscall(SYS_get_mempolicy, &mode, mask, 1024ul,
			     gmem_base(gm), MPOL_F_ADDR), 0);
	assert_int_equal(mode, MPOL_BIND);
	assert_int_equal(mask[0], 1);
	assert_int_equal(syscall(SYS_get_mempolicy, &mode, NULL, 0ul,
			     gmem_base(gm) + MIB / 2, MPOL_F_ADDR), 0);
	assert_int_equal(mode, MPOL_DEFAULT);
	gmem_destroy(gm);
}

/* Each writer marks what it wrote, on both sides of the hole; a mark is taken
 * once. */
static void
test_dirty(void **state)
{
	const uint64_t high = GMEM_HIGHMEM_BASE / GMEM_PAGE_SIZE;
	uint64_t *bits, v = 1;
	struct gmem *gm;
	size_t words;

	(void)state;
	assert_int_equal(
	    gmem_create_as(&gm, 2 * MIB, MIB, GMEM_PAGES_AUTO), 0);
	words = gmem_dirty_words(gm);
	assert_true(words * 64 >= high + MIB / GMEM_PAGE_SIZE);
	bits = calloc(words, sizeof(*bits));
	assert_non_null(bits);
	/* Nothing without a log, nor anything from before. */
	assert_int_equal(gmem_write(gm, 0, &v, 8), 0);
	assert_false(gmem_dirty_logged(gm));
	gmem_dirty_log(gm, true);
	assert_true(gmem_dirty_logged(gm));
	gmem_dirty_take(gm, bits);
	for (size_t i = 0; i < words; i++)
		assert_int_equal(bits[i], 0);
	/* 63, 64 and 65; the first and the last of the high ones. */
	assert_int_equal(
	    gmem_set(gm, 64 * GMEM_PAGE_SIZE - 1, 0, GMEM_PAGE_SIZE + 2), 0);
	assert_int_equal(gmem_write(gm, GMEM_HIGHMEM_BASE, &v, 8), 0);
	gmem_wrote(gm, GMEM_HIGHMEM_BASE + MIB - 1, 1);
	gmem_wrote(gm, GMEM_HIGHMEM_BASE + MIB, 1); /* not RAM */
	gmem_wrote(gm, 0, 0);
	gmem_dirty_take(gm, bits);
	assert_int_equal(bits[0], 1ull << 63);
	assert_int_equal(bits[1], 3);
	assert_int_equal(bits[high / 64], 1);
	assert_int_equal(bits[high / 64 + 3], 1ull << 63);
	assert_int_equal(bits[high / 64 + 4], 0);
	gmem_dirty_take(gm, bits);
	for (size_t i = 0; i < words; i++)
		assert_int_equal(bits[i], 0);
	/* Off and on again: what is in between is not told. */
	gmem_set(gm, 0, 0, 1);
	gmem_dirty_log(gm, false);
	gmem_dirty_log(gm, true);
	gmem_dirty_take(gm, bits);
	assert_int_equal(bits[0], 0);
	free(bits);
	gmem_destroy(gm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_rom),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_lower),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_make_large),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_dirty),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
