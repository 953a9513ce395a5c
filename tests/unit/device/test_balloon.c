/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon: memory to the host and back, statistics, reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "device/virtio/balloon.h"
#include "vrig.h"

extern const struct device_desc device_virtio_balloon;

#define STATS     (1ull << 1)
#define POISON    (1ull << 4)
#define REPORTING (1ull << 5)
#define AT        0x1000000u /* memory that is given away */
#define PAGE      4096u

static struct vrig *
rig(const char *opts)
{
	struct vrig *r = malloc(sizeof(*r));

	assert_non_null(r);
	assert_int_equal(vrig_create(r, &device_virtio_balloon, opts, true), 0);
	return (r);
}

static void
unrig(struct vrig *r)
{
	vrig_destroy(r);
	free(r);
}

/* Memory that the host gives, in pages. */
static unsigned
used(struct vrig *r)
{
	struct stat st;

	assert_int_equal(fstat(gmem_fd(r->gmem), &st), 0);
	return ((unsigned)(st.st_blocks / (PAGE / 512)));
}

static void
test_target(void **state)
{
	struct vrig *r = rig("target=0x2000000");
	uint32_t actual = 0x1234;

	(void)state;
	vrig_start(r, UINT64_MAX & ~POISON, 3);
	assert_int_equal(vrig_config(r, 0, 4), 0x2000);
	assert_int_equal(vrig_config(r, 4, 4), 0);
	balloon_set_target(r->vd, 16 << 20);
	assert_int_equal(vrig_interrupts(r, ~0u), 1);
	assert_int_equal(vrig_config(r, 0, 4), 0x1000);
	/* No more than there is. */
	balloon_set_target(r->vd, UINT64_MAX);
	assert_int_equal(vrig_config(r, 0, 4), VRIG_MEMORY / PAGE);
	vrig_write(r, 0x2004, 4, actual);
	assert_int_equal(vrig_config(r, 4, 4), actual);
	assert_int_equal(balloon_actual(r->vd), (uint64_t)actual * PAGE);
	/* Not the driver's to write, or not so. */
	vrig_write(r, 0x2000, 4, 0);
	vrig_write(r, 0x2004, 2, 0);
	vrig_write(r, 0x2006, 4, 0);
	assert_int_equal(vrig_config(r, 0, 4), VRIG_MEMORY / PAGE);
	assert_int_equal(vrig_config(r, 4, 4), actual);
	/* The host's wish outlives a reset, the guest's number does not. */
	vrig_start(r, 0, 2);
	assert_int_equal(vrig_config(r, 0, 4), VRIG_MEMORY / PAGE);
	assert_int_equal(vrig_config(r, 4, 4), 0);
	unrig(r);
}

static void
test_wrong_target(void **state)
{
	static const char *const wrong[] = {
	    "target=x", "target=64M", "target=1T", "target=-1"};
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct vrig *r = malloc(sizeof(*r));

		assert_int_not_equal(
		    vrig_create(r, &device_virtio_balloon, wrong[i], true), 0);
		assert_non_null(strstr(r->err.msg, wrong[i]));
		unrig(r);
	}
}

static void
test_inflate(void **state)
{
	struct vrig *r = rig(NULL);
	uint32_t pfn[600], *list;
	struct vrig_buf b[2];
	unsigned before, i, n = 0;

	(void)state;
	vrig_start(r, 0, 2);
	assert_int_equal(gmem_set(r->gmem, AT, 0x55, 1024 * PAGE), 0);
	list = vrig_ptr(r, vrig_alloc(r, sizeof(pfn)));
	/* Upwards, downwards, alone, and what is no memory. */
	for (i = 0; i < 300; i++)
		pfn[n++] = AT / PAGE + i;
	for (i = 0; i < 200; i++)
		pfn[n++] = AT / PAGE + 999 - i;
	pfn[n++] = AT / PAGE + 500;
	pfn[n++] = AT / PAGE + 502;
	pfn[n++] = UINT32_MAX;
	pfn[n++] = (uint32_t)(VRIG_MEMORY / PAGE);
	pfn[n++] = 0xc0000;
	memcpy(list, pfn, n * 4);
	before = used(r);
	b[0].gpa = (uint64_t)((uint8_t *)list - gmem_base(r->gmem));
	b[0].write = false;

	b[0].len = 1002; /* in two buffers, cut within a number */
	b[1] = (struct vrig_buf){b[0].gpa + 1002, n * 4 - 1002, false};
	assert_int_equal(vrig_do(r, 0, b, 2), 0);
	assert_int_equal(before - used(r), 502);
	assert_int_equal(balloon_returned(r->vd), 502 * PAGE);
	assert_int_equal(*(uint8_t *)vrig_ptr(r, AT), 0);
	assert_int_equal(*(uint8_t *)vrig_ptr(r, AT + 300 * PAGE), 0x55);
	assert_int_equal(*(uint8_t *)vrig_ptr(r, AT + 799 * PAGE), 0x55);
	assert_int_equal(*(uint8_t *)vrig_ptr(r, AT + 800 * PAGE), 0);
	assert_int_equal(*(uint8_t *)vrig_ptr(r, AT + 501 * PAGE), 0x55);
	/* Back: nothing to do but to say so. */
	assert_int_equal(vrig_do(r, 1, b, 2), 0);
	/* A list that is no whole number of numbers, and one to be written. */
	b[0].len = 7;
	assert_int_equal(vrig_do(r, 0, b, 1), 0);
	b[0].write = true;
	assert_int_equal(vrig_do(r, 0, b, 1), 0);
	assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
	unrig(r);
}

static void
test_reports(void **state)
{
	struct vrig_buf b[3] = {{AT, 64 * PAGE, true},
	    {AT + 128 * PAGE + 100, 3 * PAGE, true},
	    {AT + 200 * PAGE, 8, true}};
	unsigned before, i;

	(void)state;
	/* Its queue's number depends on who else has one. */
	for (i = 0; i < 2; i++) {
		struct vrig *r = rig(i == 0 ? NULL : "stats=5");

		vrig_start(r, REPORTING | STATS, 3 + i);
		assert_int_equal(gmem_set(r->gmem, AT, 0x55, 256 * PAGE), 0);
		before = used(r);
		(void)vrig_do(r, 2 + i, b, 3);
		assert_int_equal(before - used(r), 66);
		assert_int_equal(*(uint8_t *)vrig_ptr(r, AT), 0);
		assert_int_equal(*(uint8_t *)vrig_ptr(r, AT + 64 * PAGE), 0x55);
		assert_int_equal(
		    *(uint8_t *)vrig_ptr(r, AT + 128 * PAGE + 100), 0x55);
		assert_int_equal(
		    *(uint8_t *)vrig_ptr(r, AT + 200 * PAGE), 0x55);
		/* A guest that finds its pattern there keeps its pages. */
		vrig_start(r, REPORTING | STATS | POISON, 3 + i);
		vrig_write(r, 0x200c, 4, 0xaaaaaaaa);
		assert_int_equal(gmem_set(r->gmem, AT, 0xaa, 256 * PAGE), 0);
		before = used(r);
		(void)vrig_do(r, 2 + i, b, 3);
		assert_int_equal(before - used(r), 0);
		vrig_write(r, 0x200c, 4, 0);
		(void)vrig_do(r, 2 + i, b, 3);
		assert_int_equal(before - used(r), 66);
		unrig(r);
	}
}

static void
test_off(void **state)
{
	struct vrig *r = rig("reporting=false,deflate_on_oom=off");

	(void)state;
	assert_int_equal(vrig_offered(r) & 0x3f, 0);
	unrig(r);
	r = rig("stats=1");
	assert_int_equal(vrig_offered(r) & 0x3f, 0x36);
	unrig(r);
}

static void
test_statistics(void **state)
{
	struct vrig *r = rig("stats=1");
	uint64_t stats[BALLOON_NSTATS], val = 0x123456789;
	struct vrig_buf b[1] = {{vrig_alloc(r, 64), 25, false}};
	uint8_t *p = vrig_ptr(r, b[0].gpa);
	unsigned turn;
	uint16_t tag;
	uint32_t len;

	(void)state;
	vrig_start(r, STATS, 3);
	tag = BALLOON_MEMFREE;
	memcpy(p, &tag, 2);
	memcpy(p + 2, &val, 8);
	tag = 999; /* of a later specification */
	memcpy(p + 10, &tag, 2);
	balloon_stats(r->vd, stats);
	assert_true(stats[BALLOON_MEMFREE] == UINT64_MAX);
	for (turn = 0; turn < 2; turn++) {
		(void)vrig_add(r, 2, b, 1, false);
		vrig_kick(r, 2);
		/* It comes back when it is wanted anew: a second later. */
		(void)vrig_wait(r, 2, &len);
		balloon_stats(r->vd, stats);
		assert_true(stats[BALLOON_MEMFREE] == val);
		assert_true(stats[BALLOON_MEMTOT] == UINT64_MAX);
		val++;
		memcpy(p + 2, &val, 8);
	}
	/* One too many, and a reset with one kept. */
	(void)vrig_add(r, 2, b, 1, false);
	(void)vrig_add(r, 2, b, 1, false);
	vrig_kick(r, 2);
	(void)vrig_wait(r, 2, &len);
	vrig_start(r, STATS, 3);
	balloon_stats(r->vd, stats);
	assert_true(stats[BALLOON_MEMFREE] == UINT64_MAX);
	unrig(r);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_target),
	    cmocka_unit_test(test_wrong_target),
	    cmocka_unit_test(test_inflate),
	    cmocka_unit_test(test_reports),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_statistics),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
