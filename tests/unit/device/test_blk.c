/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-blk (VIRTIO 5.2): every kind of request, and every kind of wrong
 * one; the driver is the rig's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/virtio/blk.h"
#include "vrig.h"

extern const struct device_desc device_virtio_blk;

#define SIZE    (1u << 20)
#define SECTORS (SIZE / 512)

#define F_CORE                                                                 \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC |  \
	    VIRTIO_F_EVENT_IDX)

struct rig {
	struct vrig r; /* first */
	char path[64], opts[160];
	uint64_t hdr, data, status; /* gpa */
};

/* Byte i of the image. */
static uint8_t
byte(uint64_t i)
{
	return ((uint8_t)(i / 512 * 3 + i));
}

static void
setup(struct rig *g, const char *more)
{
	uint8_t *buf = malloc(SIZE);
	int fd;

	memset(g, 0, sizeof(*g));
	(void)snprintf(g->path, sizeof(g->path), "/var/tmp/lhyve-vblk-XXXXXX");
	fd = mkstemp(g->path);
	assert_true(fd >= 0);
	assert_non_null(buf);
	for (unsigned i = 0; i < SIZE; i++)
		buf[i] = byte(i);
	assert_int_equal(write(fd, buf, SIZE), SIZE);
	close(fd);
	free(buf);
	(void)snprintf(g->opts, sizeof(g->opts), "path=%s%s", g->path, more);
	if (vrig_create(&g->r, &device_virtio_blk, g->opts, true) != 0)
		fail_msg("%s", g->r.err.msg);
	g->hdr = vrig_alloc(&g->r, 4096);
	g->data = vrig_alloc(&g->r, 65536);
	g->status = vrig_alloc(&g->r, 4096);
}

static void
teardown(struct rig *g)
{
	vrig_destroy(&g->r);
	unlink(g->path);
}

/* One request there and back: its status. */
static unsigned
request(struct rig *g, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
	struct virtio_blk_hdr h = {type, 0, sector};
	struct vrig_buf b[3] = {{g->hdr, sizeof(h), false}, {g->data, len, in},
	    {g->status, 1, true}};
	uint8_t *st = vrig_ptr(&g->r, g->status);

	memcpy(vrig_ptr(&g->r, g->hdr), &h, sizeof(h));
	*st = 0xee;
	if (len == 0)
		b[1] = b[2];
	(void)vrig_do(&g->r, 0, b, len == 0 ? 2 : 3);
	return (*st);
}

static void
test_config(void **state)
{
	struct rig g;
	uint64_t f;

	(void)state;
	setup(&g, ",sectorsize=512/4096,queues=3");
	f = vrig_offered(&g.r);
	assert_true((f & VIRTIO_BLK_F_FLUSH) != 0);
	assert_true((f & VIRTIO_BLK_F_DISCARD) != 0);
	assert_true((f & VIRTIO_BLK_F_WRITE_ZEROES) != 0);
	assert_true((f & VIRTIO_BLK_F_RO) == 0);
	vrig_start(&g.r, ~0ull, 3);
	assert_int_equal(vrig_config(&g.r, 0, 4), SECTORS);
	assert_int_equal(vrig_config(&g.r, 4, 4), 0);
	assert_int_equal(vrig_config(&g.r, 12, 4), VBLK_SEGS);
	assert_int_equal(vrig_config(&g.r, 20, 4), 512);
	assert_int_equal(vrig_config(&g.r, 24, 1), 3);
	assert_int_equal(vrig_config(&g.r, 32, 1), 1);
	assert_int_equal(vrig_config(&g.r, 34, 2), 3);
	assert_int_equal(vrig_config(&g.r, 40, 4), VBLK_RANGES);
	teardown(&g);

	setup(&g, ",ro=1,nodelete=1");
	f = vrig_offered(&g.r);
	assert_true((f & VIRTIO_BLK_F_RO) != 0);
	assert_true(
	    (f & (VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES)) == 0);
	vrig_start(&g.r, ~0ull, 1);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	teardown(&g);
}

static void
read_write(struct rig *g)
{
	uint8_t *p = vrig_ptr(&g->r, g->data);

	memset(p, 0, 8192);
	assert_int_equal(
	    request(g, VIRTIO_BLK_T_IN, 7, 4096, true), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(p[i], byte(7 * 512 + i));
	assert_int_equal(p[4096], 0);
	memset(p, 0x5a, 4096);
	assert_int_equal(
	    request(g, VIRTIO_BLK_T_OUT, 100, 1024, false), VIRTIO_BLK_S_OK);
	/* The legacy interface's barrier changes nothing. */
	assert_int_equal(request(g, VIRTIO_BLK_T_OUT | VIRTIO_BLK_T_BARRIER,
			     102, 512, false),
	    VIRTIO_BLK_S_OK);
	assert_int_equal(
	    request(g, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	assert_int_equal(
	    request(g, VIRTIO_BLK_T_FLUSH_OUT, 0, 0, false), VIRTIO_BLK_S_OK);
	assert_int_equal(
	    request(g, VIRTIO_BLK_T_IN, 99, 2560, true), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 2560; i++)
		assert_int_equal(
		    p[i], i >= 512 && i < 2048 ? 0x5a : byte(99 * 512 + i));
}

static void
test_requests(void **state)
{
	static const uint64_t ways[] = {F_CORE | 0xffff,
	    VIRTIO_F_VERSION_1 | 0xffff,
	    (F_CORE & ~VIRTIO_F_RING_PACKED) | 0xffff};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct rig g;

		setup(&g, i == 1 ? ",aio=threads" : "");
		vrig_start(&g.r, ways[i], 1);
		read_write(&g);
		teardown(&g);
	}
}

static void
test_legacy(void **state)
{
	struct rig g;

	(void)state;
	setup(&g, "");
	vrig_start_legacy(&g.r, ~0u, 1);
	read_write(&g);
	teardown(&g);
}

static void
test_id(void **state)
{
	struct rig g;
	uint8_t *p;

	(void)state;
	setup(&g, ",ser=abc");
	vrig_start(&g.r, ~0ull, 1);
	p = vrig_ptr(&g.r, g.data);
	memset(p, 0xff, 32);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
	assert_memory_equal(p, "abc\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
	/* Less room, and more. */
	memset(p, 0xff, 32);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_GET_ID, 0, 2, true), VIRTIO_BLK_S_OK);
	assert_memory_equal(p, "ab\xff", 3);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_GET_ID, 0, 32, true), VIRTIO_BLK_S_OK);
	assert_memory_equal(p, "abc", 4);
	assert_int_equal(p[20], 0xff);
	teardown(&g);
}

static void
test_wrong(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		bool in;
		unsigned status;
	} bad[] = {
	    {VIRTIO_BLK_T_IN, SECTORS, 512, true, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_IN, SECTORS - 1, 1024, true, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_OUT, UINT64_MAX, 512, false, VIRTIO_BLK_S_IOERR},
	    /* These wrap as bytes. */
	    {VIRTIO_BLK_T_IN, 1ull << 55, 512, true, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512, false,
		VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_IN, 0, 511, true, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_IN, 0, 513, true, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_OUT, 0, 1, false, VIRTIO_BLK_S_IOERR},
	    {2, 0, 512, true, VIRTIO_BLK_S_UNSUPP},
	    {14, 0, 16, false, VIRTIO_BLK_S_UNSUPP},
	    {0x7fffffff, 0, 512, true, VIRTIO_BLK_S_UNSUPP},
	    {VIRTIO_BLK_T_DISCARD, 0, 0, false, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_DISCARD, 0, 15, false, VIRTIO_BLK_S_IOERR},
	    {VIRTIO_BLK_T_WRITE_ZEROES, 0, 16 * (VBLK_RANGES + 1), false,
		VIRTIO_BLK_S_IOERR},
	};
	struct rig g;

	(void)state;
	setup(&g, "");
	vrig_start(&g.r, ~0ull, 1);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(request(&g, bad[i].type, bad[i].sector,
				     bad[i].len, bad[i].in),
		    bad[i].status);
	/* The disk is as it was. */
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_IN, 0, 4096, true), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(
		    ((uint8_t *)vrig_ptr(&g.r, g.data))[i], byte(i));
	teardown(&g);
}

/* Chains that are no requests. */
static void
test_chains(void **state)
{
	struct virtio_blk_hdr h = {VIRTIO_BLK_T_IN, 0, 0};
	struct vrig_buf b[24];
	struct rig g;
	uint8_t *st, *p;
	unsigned i;

	(void)state;
	setup(&g, "");
	vrig_start(&g.r, ~0ull, 1);
	st = vrig_ptr(&g.r, g.status);
	p = vrig_ptr(&g.r, g.data);
	/* A header that is too short, or not there. */
	b[0] = (struct vrig_buf){g.hdr, 15, false};
	b[1] = (struct vrig_buf){g.status, 1, true};
	*st = 0xee;
	(void)vrig_do(&g.r, 0, b, 2);
	assert_int_equal(*st, VIRTIO_BLK_S_IOERR);
	*st = 0xee;
	(void)vrig_do(&g.r, 0, &b[1], 1);
	assert_int_equal(*st, VIRTIO_BLK_S_IOERR);
	/* Any layout: a header in bytes, data and status in one buffer. */
	memcpy(vrig_ptr(&g.r, g.hdr), &h, sizeof(h));
	for (i = 0; i < 16; i++)
		b[i] = (struct vrig_buf){g.hdr + i, 1, false};
	b[16] = (struct vrig_buf){g.data, 1, true};
	b[17] = (struct vrig_buf){g.data + 1, 512, true};
	memset(p, 0xee, 600);
	assert_int_equal(vrig_do(&g.r, 0, b, 18), 513);
	assert_int_equal(p[512], VIRTIO_BLK_S_OK);
	assert_int_equal(p[513], 0xee);
	for (i = 0; i < 512; i++)
		assert_int_equal(p[i], byte(i));
	/* No room for a status: the driver is broken, nobody else. */
	b[0] = (struct vrig_buf){g.hdr, 16, false};
	(void)vrig_add(&g.r, 0, b, 1, false);
	vrig_kick(&g.r, 0);
	for (i = 0; i < 6000 && (vrig_status(&g.r) & VIRTIO_S_NEEDS_RESET) == 0;
	     i++)
		usleep(10000);
	assert_true((vrig_status(&g.r) & VIRTIO_S_NEEDS_RESET) != 0);
	vrig_start(&g.r, ~0ull, 1);
	read_write(&g);
	teardown(&g);
}

static void
test_ranges(void **state)
{
	struct virtio_blk_range d[3] = {{8, 8, 0}, {32, 16, 0}, {64, 1, 0}};
	struct rig g;
	uint8_t *p;

	(void)state;
	setup(&g, "");
	vrig_start(&g.r, ~0ull, 1);
	p = vrig_ptr(&g.r, g.data);
	memcpy(p, d, sizeof(d));
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(d), false),
	    VIRTIO_BLK_S_OK);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_IN, 0, 65536, true), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 65536; i++) {
		unsigned s = i / 512;

		assert_int_equal(
		    p[i], (s >= 8 && s < 16) || (s >= 32 && s < 48) || s == 64
			      ? 0
			      : byte(i));
	}
	/* Flags that are not known; unmap is known for zeroes only. */
	d[1].flags = 2;
	memcpy(p, d, sizeof(d));
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(d), false),
	    VIRTIO_BLK_S_UNSUPP);
	d[1].flags = VIRTIO_BLK_RANGE_UNMAP;
	memcpy(p, d, sizeof(d));
	assert_int_equal(request(&g, VIRTIO_BLK_T_DISCARD, 0, sizeof(d), false),
	    VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(d), false),
	    VIRTIO_BLK_S_OK);
	/* One of them is not on the disk: none is done. */
	d[0] = (struct virtio_blk_range){200, 8, 0};
	d[1] = (struct virtio_blk_range){SECTORS - 1, 2, 0};
	memcpy(p, d, sizeof(d));
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(d), false),
	    VIRTIO_BLK_S_IOERR);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_IN, 200, 512, true), VIRTIO_BLK_S_OK);
	assert_int_equal(p[1], byte(200 * 512 + 1));
	teardown(&g);
}

/* More requests than can be under way, in several queues, and a reset in the
 * middle of them. */
static void
test_many(void **state)
{
	struct virtio_blk_hdr h = {VIRTIO_BLK_T_IN, 0, 0};
	struct vrig_buf b[3];
	struct rig g;
	uint16_t id;
	uint32_t len;
	unsigned n, i;

	(void)state;
	setup(&g, ",queues=4,indirect=true");
	b[0] = (struct vrig_buf){g.hdr, 16, false};
	b[1] = (struct vrig_buf){g.data, 4096, true};
	b[2] = (struct vrig_buf){g.status, 1, true};
	for (unsigned round = 0; round < 3; round++) {
		vrig_start(&g.r, ~0ull, 4);
		memcpy(vrig_ptr(&g.r, g.hdr), &h, sizeof(h));
		for (n = 0; n < 4; n++) {
			for (i = 0; i < VBLK_QUEUE_SIZE; i++)
				(void)vrig_add(&g.r, n, b, 3, true);
			vrig_kick(&g.r, n);
		}
		if (round < 2)
			continue; /* vrig_start() resets */
		for (n = 0; n < 4; n++) {
			for (i = 0; i < VBLK_QUEUE_SIZE; i++) {
				(void)vrig_wait(&g.r, n, &len);
				assert_int_equal(len, 4097);
			}
			assert_false(vrig_used(&g.r, n, &id, &len));
		}
	}
	teardown(&g);
}

/* Without FLUSH, or with a write cache that the driver turned off, a write is
 * on the disk when it is done. */
static void
test_writethrough(void **state)
{
	struct rig g;
	struct vblk *b;

	(void)state;
	setup(&g, "");
	vrig_start(&g.r, ~0ull, 1);
	b = virtio_priv(g.r.vd);
	/* The device's thread has started it when a request is done. */
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_IN, 100, 1024, true), VIRTIO_BLK_S_OK);
	assert_true(b->has_flush && atomic_load(&b->writeback) == 1);
	vrig_write(&g.r, 0x2000 + 32, 1, 0);
	assert_int_equal(vrig_config(&g.r, 32, 1), 0);
	assert_int_equal(atomic_load(&b->writeback), 0);
	read_write(&g);
	vrig_start(&g.r, ~(VIRTIO_BLK_F_FLUSH), 1);
	assert_int_equal(vrig_config(&g.r, 32, 1), 1);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_OUT, 100, 1024, false), VIRTIO_BLK_S_OK);
	assert_false(b->has_flush);
	teardown(&g);
}

static void
test_resize(void **state)
{
	struct rig g;
	unsigned i;

	(void)state;
	setup(&g, "");
	vrig_start(&g.r, ~0ull, 1);
	(void)vrig_interrupts(&g.r, ~0u);
	assert_int_equal(truncate(g.path, 2 * SIZE), 0);
	for (i = 0; i < 6000 && vrig_config(&g.r, 0, 4) != 2 * SECTORS; i++)
		usleep(10000);
	assert_int_equal(vrig_config(&g.r, 0, 4), 2 * SECTORS);
	for (i = 0; i < 6000 && vrig_interrupts(&g.r, ~0u) == 0; i++)
		usleep(10000);
	assert_true(i < 6000);
	assert_int_equal(
	    request(&g, VIRTIO_BLK_T_OUT, 2 * SECTORS - 1, 512, false),
	    VIRTIO_BLK_S_OK);
	teardown(&g);
}

static void
test_options(void **state)
{
	struct vrig r;

	(void)state;
	assert_true(vrig_create(&r, &device_virtio_blk,
			"path=/nonexistent/disk", true) < 0);
	assert_non_null(strstr(r.err.msg, "/nonexistent/disk"));
	vrig_destroy(&r);
	assert_true(vrig_create(&r, &device_virtio_blk, "ser=x", true) < 0);
	vrig_destroy(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_config),
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_legacy),
	    cmocka_unit_test(test_id),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_chains),
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_writethrough),
	    cmocka_unit_test(test_resize),
	    cmocka_unit_test(test_options),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
