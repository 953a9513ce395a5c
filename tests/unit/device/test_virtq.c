/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtqueues of both formats: chains in and out, and every broken ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "vrig.h"

/* Each test runs with each of these. */
static const uint64_t ways[] = {
    0,
    VIRTIO_F_EVENT_IDX,
    VIRTIO_F_INDIRECT_DESC,
    VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_IN_ORDER,
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX,
    VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC,
    VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
};
#define NWAYS (sizeof(ways) / sizeof(ways[0]))

static struct vrig *
rig(const char *opts, uint64_t features)
{
	struct vrig *r = malloc(sizeof(*r));

	assert_non_null(r);
	assert_int_equal(vrig_create(r, &device_fake, opts, true), 0);
	vrig_start(r, features, FAKE_QUEUES);
	assert_int_equal(r->features & ~VIRTIO_F_VERSION_1, features);
	return (r);
}

static void
unrig(struct vrig *r)
{
	vrig_destroy(r);
	free(r);
}

static struct fake *
fake(struct vrig *r)
{
	return (virtio_priv(r->vd));
}

/* n readable buffers, then n writable ones, of `len` bytes each. */
static unsigned
make_bufs(struct vrig *r, struct vrig_buf *b, unsigned n, uint32_t len)
{
	unsigned i, j;

	for (i = 0; i < 2 * n; i++) {
		b[i] = (struct vrig_buf){vrig_alloc(r, len), len, i >= n};
		for (j = 0; j < len && i < n; j++)
			((uint8_t *)vrig_ptr(r, b[i].gpa))[j] =
			    (uint8_t)(i * 31 + j + 1);
	}
	return (2 * n);
}

static void
check_echo(struct vrig *r, const struct vrig_buf *b, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		assert_memory_equal(
		    vrig_ptr(r, b[n + i].gpa), vrig_ptr(r, b[i].gpa), b[i].len);
}

/* The driver asks for an interrupt when so many more are used. */
static void
set_used_event(struct vrig *r, unsigned n, unsigned ahead)
{
	struct vrig_queue *q = &r->q[n];
	uint16_t *at = vrig_ptr(r, q->driver);
	unsigned pos = q->used + ahead;
	bool wrap = q->used_wrap;

	if ((r->features & VIRTIO_F_RING_PACKED) == 0) {
		at[2 + q->size] = (uint16_t)pos;
		return;
	}
	if (pos >= q->size) {
		pos -= q->size;
		wrap = !wrap;
	}
	at[0] = (uint16_t)(pos | (wrap ? 0x8000u : 0));
	at[1] = 2;
}

/* Chains of all lengths, through several turns of the ring. */
static void
test_there_and_back(void **state)
{
	struct vrig_buf b[16];
	bool indirect;
	unsigned w, i, n;
	uint32_t len;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);

		indirect = (ways[w] & VIRTIO_F_INDIRECT_DESC) != 0;
		for (i = 0; i < 100; i++) {
			n = make_bufs(r, b, i % 8 + 1, 16 + i);
			(void)vrig_add(
			    r, i % FAKE_QUEUES, b, n, indirect && i % 3 != 0);
			if ((ways[w] & VIRTIO_F_EVENT_IDX) != 0)
				set_used_event(r, i % FAKE_QUEUES, 0);
			vrig_kick(r, i % FAKE_QUEUES);
			(void)vrig_wait(r, i % FAKE_QUEUES, &len);
			assert_int_equal(len, n / 2 * (16 + i));
			check_echo(r, b, n / 2);
			assert_int_equal(
			    vrig_interrupts(r, i % FAKE_QUEUES), 1);
		}
		assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
		unrig(r);
	}
}

/* One side only, empty buffers, and lengths beyond what there is. */
static void
test_contents(void **state)
{
	struct virtq_chain *c;
	struct vrig_buf b[5];
	uint8_t buf[64];
	unsigned w;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);
		struct virtq *q = virtio_queue(r->vd, 0);

		fake(r)->hold = true;
		b[0] = (struct vrig_buf){vrig_alloc(r, 16), 10, false};
		b[1] = (struct vrig_buf){vrig_alloc(r, 16), 0, false};
		b[2] = (struct vrig_buf){vrig_alloc(r, 16), 6, false};
		b[3] = (struct vrig_buf){vrig_alloc(r, 16), 3, true};
		b[4] = (struct vrig_buf){vrig_alloc(r, 16), 1, true};
		memcpy(vrig_ptr(r, b[0].gpa), "0123456789", 10);
		memcpy(vrig_ptr(r, b[2].gpa), "abcdef", 6);
		(void)vrig_add(r, 0, b, 5, false);
		assert_true(virtq_avail(q));
		c = virtq_pop(q);
		assert_non_null(c);
		assert_false(virtq_avail(q));
		assert_ptr_equal(c->q, q);
		assert_int_equal(c->nrd, 2);
		assert_int_equal(c->nwr, 2);
		assert_int_equal(c->rd_len, 16);
		assert_int_equal(c->wr_len, 4);
		assert_false(virtq_read(c, buf, 17));
		assert_int_equal(c->rd_len, 16);
		assert_true(virtq_read(c, buf, 3));
		assert_true(virtq_read(c, NULL, 2));
		assert_true(virtq_read(c, buf + 3, 11));
		assert_memory_equal(buf, "01256789abcdef", 14);
		assert_int_equal(c->nrd, 0);
		assert_false(virtq_read(c, buf, 1));
		assert_ptr_equal(virtq_take_last(c), vrig_ptr(r, b[4].gpa));
		assert_int_equal(c->nwr, 1);
		assert_int_equal(c->wr_len, 3);
		assert_false(virtq_write(c, "abcd", 4));
		assert_true(virtq_write(c, "abc", 3));
		assert_null(virtq_take_last(c));
		assert_memory_equal(vrig_ptr(r, b[3].gpa), "abc", 3);
		virtq_done(c, 4);
		/* Nothing at all. */
		(void)vrig_add(r, 0, b + 1, 1, false);
		c = virtq_pop(q);
		assert_non_null(c);
		assert_int_equal(c->nrd + c->nwr, 0);
		assert_false(virtq_read(c, buf, 1));
		assert_true(virtq_read(c, buf, 0));
		assert_null(virtq_take_last(c));
		virtq_done(c, 0);
		unrig(r);
	}
}

/* Chains come back in another order than they went, and the ring turns. */
static void
test_out_of_order(void **state)
{
	struct virtq_chain *c[6];
	struct vrig_buf b[4];
	uint16_t id[6], got;
	unsigned w, i, k, turn;
	uint32_t len;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w] & ~VIRTIO_F_IN_ORDER);
		struct virtq *q = virtio_queue(r->vd, 1);

		for (turn = 0; turn < 40; turn++) {
			for (i = 0; i < 6; i++) {
				(void)make_bufs(r, b, 1, 16);
				id[i] = vrig_add(r, 1, b, 1 + i % 2, false);
			}
			for (i = 0; i < 6; i++) {
				c[i] = virtq_pop(q);
				assert_non_null(c[i]);
			}
			assert_null(virtq_pop(q));
			for (i = 0; i < 6; i++)
				virtq_push(c[(i * 5 + turn) % 6], 7 + i);
			/* Nothing is seen before the end of the batch. */
			assert_false(vrig_used(r, 1, &got, &len));
			virtq_flush(q);
			for (i = 0; i < 6; i++) {
				assert_true(vrig_used(r, 1, &got, &len));
				k = (i * 5 + turn) % 6;
				assert_int_equal(got, id[k]);
				assert_int_equal(len, 7 + i);
			}
			assert_false(vrig_used(r, 1, &got, &len));
		}
		unrig(r);
	}
}

/* What is taken back is there again. */
static void
test_unpop(void **state)
{
	struct virtq_chain *c[3];
	struct vrig_buf b[2];
	uint16_t id[3], got;
	unsigned w, i, turn;
	uint32_t len;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);
		struct virtq *q = virtio_queue(r->vd, 0);

		for (turn = 0; turn < 30; turn++) {
			for (i = 0; i < 3; i++) {
				(void)make_bufs(r, b, 1, 16 + i);
				id[i] = vrig_add(r, 0, b, 2, false);
			}
			for (i = 0; i < 3; i++)
				c[i] = virtq_pop(q);
			virtq_unpop(c[2]);
			virtq_unpop(c[1]);
			c[1] = virtq_pop(q);
			assert_int_equal(c[1]->rd_len, 17);
			c[2] = virtq_pop(q);
			assert_int_equal(c[2]->rd_len, 18);
			for (i = 0; i < 3; i++)
				virtq_push(c[i], i);
			virtq_flush(q);
			for (i = 0; i < 3; i++) {
				assert_true(vrig_used(r, 0, &got, &len));
				assert_int_equal(got, id[i]);
			}
		}
		unrig(r);
	}
}

/* The driver's side of suppression: flags, or an event index. */
static void
want_interrupts(struct vrig *r, unsigned n, bool on)
{
	struct vrig_queue *q = &r->q[n];
	uint16_t *at = vrig_ptr(r, q->driver);

	if ((r->features & VIRTIO_F_RING_PACKED) != 0)
		at[1] = on ? 0 : 1;
	else
		at[0] = on ? 0 : 1;
}

static void
test_interrupts_off(void **state)
{
	static const uint64_t some[] = {0, VIRTIO_F_RING_PACKED};
	struct vrig_buf b[2];
	unsigned w;

	(void)state;
	for (w = 0; w < 2; w++) {
		struct vrig *r = rig(NULL, some[w]);

		(void)make_bufs(r, b, 1, 16);
		want_interrupts(r, 2, false);
		assert_int_equal(vrig_do(r, 2, b, 2), 16);
		assert_int_equal(vrig_interrupts(r, 2), 0);
		want_interrupts(r, 2, true);
		assert_int_equal(vrig_do(r, 2, b, 2), 16);
		assert_int_equal(vrig_interrupts(r, 2), 1);
		unrig(r);
	}
}

static void
test_used_event(void **state)
{
	static const uint64_t some[] = {
	    VIRTIO_F_EVENT_IDX, VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED};
	struct vrig_buf b[1];
	unsigned w, turn, i;

	(void)state;
	for (w = 0; w < 2; w++) {
		struct vrig *r = rig(NULL, some[w]);

		b[0] = (struct vrig_buf){vrig_alloc(r, 16), 16, true};
		for (turn = 0; turn < 50; turn++) {
			set_used_event(r, 0, turn % 7);
			for (i = 0; i < 7; i++) {
				(void)vrig_do(r, 0, b, 1);
				assert_int_equal(
				    vrig_interrupts(r, 0), i == turn % 7);
			}
		}
		unrig(r);
	}
}

/* ---- what the device wants to hear of ---- */

/* Would the driver notify of the chain that it has added last? */
static bool
wanted(struct vrig *r, unsigned n)
{
	struct vrig_queue *q = &r->q[n];
	const uint16_t *at = vrig_ptr(r, q->device);
	unsigned pos;
	bool wrap;

	if ((r->features & VIRTIO_F_RING_PACKED) == 0) {
		if ((r->features & VIRTIO_F_EVENT_IDX) == 0)
			return ((at[0] & 1) == 0);
		return (at[2 + q->size * 4] == (uint16_t)(q->avail - 1));
	}
	if (at[1] != 2)
		return (at[1] == 0);
	pos = q->avail == 0 ? q->size - 1u : q->avail - 1u;
	wrap = q->avail == 0 ? !q->avail_wrap : q->avail_wrap;
	return (at[0] == (pos | (wrap ? 0x8000u : 0)));
}

static void
test_notifications(void **state)
{
	struct virtq_chain *c[3];
	struct vrig_buf b[1];
	uint16_t id;
	unsigned w, turn, i;
	uint32_t len;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);
		struct virtq *q = virtio_queue(r->vd, 0);

		b[0] = (struct vrig_buf){vrig_alloc(r, 16), 16, true};
		assert_false(virtq_notify_on(q));
		for (turn = 0; turn < 50; turn++) {
			(void)vrig_add(r, 0, b, 1, false);
			assert_true(wanted(r, 0));
			virtq_notify_off(q);
			c[0] = virtq_pop(q);
			(void)vrig_add(r, 0, b, 1, false);
			assert_false(wanted(r, 0));
			c[1] = virtq_pop(q);
			/* One that nobody has told us of. */
			(void)vrig_add(r, 0, b, 1, false);
			assert_false(wanted(r, 0));
			assert_true(virtq_notify_on(q));
			virtq_notify_off(q);
			c[2] = virtq_pop(q);
			assert_non_null(c[2]);
			assert_null(virtq_pop(q));
			assert_false(virtq_notify_on(q));
			for (i = 0; i < 3; i++)
				virtq_push(c[i], 0);
			virtq_flush(q);
			for (i = 0; i < 3; i++)
				assert_true(vrig_used(r, 0, &id, &len));
		}
		unrig(r);
	}
}

/* Writes of the device are told to who watches for code. */
static uint64_t seen_lo, seen_hi;

static void
on_wrote(void *arg, uint64_t gpa, uint64_t len)
{
	(void)arg;
	if (gpa < seen_lo)
		seen_lo = gpa;
	if (gpa + len > seen_hi)
		seen_hi = gpa + len;
}

static void
test_watched_pages(void **state)
{
	struct vrig_buf b[2];
	unsigned w;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);

		gmem_set_observer(r->gmem, on_wrote, NULL);
		b[0] = (struct vrig_buf){vrig_alloc(r, 8192), 5000, false};
		b[1] = (struct vrig_buf){vrig_alloc(r, 8192), 5000, true};
		seen_lo = UINT64_MAX;
		seen_hi = 0;
		gmem_watch(r->gmem, b[1].gpa + 4096, true);
		assert_int_equal(vrig_do(r, 0, b, 2), 5000);
		assert_int_equal(seen_lo, b[1].gpa + 4096);
		assert_int_equal(seen_hi, b[1].gpa + 5000);
		gmem_watch(r->gmem, b[1].gpa + 4096, false);
		seen_hi = 0;
		gmem_watch(r->gmem, r->q[0].device, true);
		assert_int_equal(vrig_do(r, 0, b, 2), 5000);
		assert_true(seen_hi != 0);
		gmem_watch(r->gmem, r->q[0].device, false);
		seen_hi = 0;
		gmem_watch(r->gmem, r->q[0].desc, true);
		assert_int_equal(vrig_do(r, 0, b, 2), 5000);
		assert_int_equal(seen_hi != 0,
		    (ways[w] & VIRTIO_F_RING_PACKED) != 0 ||
			r->q[0].desc / 4096 == r->q[0].device / 4096);
		gmem_set_observer(r->gmem, NULL, NULL);
		unrig(r);
	}
}

/* ---- broken rings ---- */

struct raw {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
#define N      VIRTQ_DESC_NEXT
#define W      VIRTQ_DESC_WRITE
#define I      VIRTQ_DESC_INDIRECT
#define OK_GPA 0x8000u /* below what vrig_alloc() gives */
#define END    VRIG_MEMORY

struct broken {
	const char *what;
	struct raw d[4];     /* in the ring, from its first */
	struct raw table[4]; /* at OK_GPA */
	uint16_t head;       /* split */
	bool direct;         /* indirect descriptors not negotiated */
};

static const struct broken split_cases[] = {
    {.what = "head outside", .head = FAKE_SIZE},
    {.what = "head far outside", .head = 0xffff},
    {.what = "next outside", .d = {{OK_GPA, 16, N, FAKE_SIZE}}},
    {.what = "next far outside", .d = {{OK_GPA, 16, N, 0xffff}}},
    {.what = "self loop", .d = {{OK_GPA, 16, N, 0}}},
    {.what = "loop", .d = {{OK_GPA, 16, N, 1}, {OK_GPA, 16, N, 0}}},
    {.what = "nothing in it, and a loop", .d = {{OK_GPA, 0, N, 0}}},
    {.what = "readable after writable",
	.d = {{OK_GPA, 16, W | N, 1}, {OK_GPA, 16, 0, 0}}},
    {.what = "beyond memory", .d = {{END, 1, 0, 0}}},
    {.what = "end beyond memory", .d = {{END - 15, 16, W, 0}}},
    {.what = "wraps", .d = {{UINT64_MAX - 15, 32, W, 0}}},
    {.what = "wraps to the end", .d = {{UINT64_MAX, 1, W, 0}}},
    {.what = "longest", .d = {{OK_GPA, UINT32_MAX, W, 0}}},
    {.what = "device memory", .d = {{0xc0000000, 16, W, 0}}},
    {.what = "no table wanted",
	.d = {{OK_GPA, 16, I, 0}},
	.table = {{OK_GPA, 16, 0, 0}},
	.direct = true},
    {.what = "empty table", .d = {{OK_GPA, 0, I, 0}}},
    {.what = "part of an entry", .d = {{OK_GPA, 24, I, 0}}},
    {.what = "less than an entry", .d = {{OK_GPA, 8, I, 0}}},
    {.what = "table beyond memory", .d = {{END - 16, 32, I, 0}}},
    {.what = "table wraps", .d = {{UINT64_MAX - 15, 32, I, 0}}},
    {.what = "huge table", .d = {{OK_GPA, 0xfffffff0u, I, 0}}},
    {.what = "table and next",
	.d = {{OK_GPA, 16, I | N, 1}, {OK_GPA, 16, 0, 0}},
	.table = {{OK_GPA, 16, 0, 0}}},
    {.what = "table in a table",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 32, I, 0}, {OK_GPA, 16, 0, 0}}},
    {.what = "table's next outside",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 16, N, 2}, {OK_GPA, 16, 0, 0}}},
    {.what = "table's next far outside",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 16, N, 0xffff}, {OK_GPA, 16, 0, 0}}},
    {.what = "table loops",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 16, N, 1}, {OK_GPA, 16, N, 0}}},
    {.what = "table loops on itself",
	.d = {{OK_GPA, 16, I, 0}},
	.table = {{OK_GPA, 16, N, 0}}},
    {.what = "table: readable after writable",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 16, N | W, 1}, {OK_GPA, 16, 0, 0}}},
    {.what = "table: beyond memory",
	.d = {{OK_GPA, 16, I, 0}},
	.table = {{END, 16, 0, 0}}},
};

/* In a packed ring `next` is the ID. */
static const struct broken packed_cases[] = {
    {.what = "never ends", .d = {{OK_GPA, 16, N, 0}}},
    {.what = "readable after writable",
	.d = {{OK_GPA, 16, W | N, 1}, {OK_GPA, 16, 0, 0}}},
    {.what = "beyond memory", .d = {{END, 1, 0, 0}}},
    {.what = "end beyond memory", .d = {{END - 15, 16, W, 0}}},
    {.what = "wraps", .d = {{UINT64_MAX - 15, 32, W, 0}}},
    {.what = "no table wanted",
	.d = {{OK_GPA, 16, I, 0}},
	.table = {{OK_GPA, 16, 0, 0}},
	.direct = true},
    {.what = "empty table", .d = {{OK_GPA, 0, I, 0}}},
    {.what = "part of an entry", .d = {{OK_GPA, 24, I, 0}}},
    {.what = "table beyond memory", .d = {{END - 16, 32, I, 0}}},
    {.what = "table and next",
	.d = {{OK_GPA, 16, I | N, 1}, {OK_GPA, 16, 0, 0}},
	.table = {{OK_GPA, 16, 0, 0}}},
    {.what = "table at the end",
	.d = {{OK_GPA, 16, N, 1}, {OK_GPA, 16, I, 0}},
	.table = {{OK_GPA, 16, 0, 0}}},
    {.what = "table: readable after writable",
	.d = {{OK_GPA, 32, I, 0}},
	.table = {{OK_GPA, 16, W, 1}, {OK_GPA, 16, 0, 0}}},
    {.what = "table: beyond memory",
	.d = {{OK_GPA, 16, I, 0}},
	.table = {{END, 16, 0, 0}}},
};

static void
put_raw(uint8_t *p, const struct raw *d, bool packed, uint16_t more)
{
	uint16_t flags = d->flags | more;

	memcpy(p, &d->addr, 8);
	memcpy(p + 8, &d->len, 4);
	memcpy(p + (packed ? 14 : 12), &flags, 2);
	memcpy(p + (packed ? 12 : 14), &d->next, 2);
}

/* The device wants a reset and says so once; after it all is well. */
static void
check_broken(struct vrig *r, const char *what)
{
	struct vrig_buf b[2];
	uint32_t len;
	uint16_t id;

	if ((vrig_status(r) & VIRTIO_S_NEEDS_RESET) == 0)
		fail_msg("%s: not seen", what);
	assert_int_equal(vrig_interrupts(r, ~0u), 1);
	assert_false(virtio_running(r->vd));
	assert_false(virtq_ready(virtio_queue(r->vd, 0)));
	assert_null(virtq_pop(virtio_queue(r->vd, 0)));
	/* Other queues stand still as well. */
	(void)make_bufs(r, b, 1, 16);
	(void)vrig_add(r, 1, b, 2, false);
	vrig_kick(r, 1);
	assert_false(vrig_used(r, 1, &id, &len));
	assert_int_equal(vrig_interrupts(r, ~0u), 0);
	vrig_start(r, r->features, FAKE_QUEUES);
	assert_int_equal(vrig_do(r, 0, b, 2), 16);
	assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
}

static void
try_broken(const struct broken *k, bool packed)
{
	uint64_t f = (packed ? VIRTIO_F_RING_PACKED : 0) |
		     (k->direct ? 0 : VIRTIO_F_INDIRECT_DESC);
	struct vrig *r = rig(NULL, f);
	uint8_t *desc = vrig_ptr(r, r->q[0].desc);
	uint16_t *avail = vrig_ptr(r, r->q[0].driver);
	unsigned i;

	for (i = 0; i < 4; i++)
		put_raw((uint8_t *)vrig_ptr(r, OK_GPA) + i * 16, &k->table[i],
		    packed, 0);
	/* The whole ring: a chain may go on and on. */
	for (i = 0; i < FAKE_SIZE; i++)
		put_raw(desc + i * 16, &k->d[i < 4 && k->d[i].addr ? i : 0],
		    packed, packed ? VIRTQ_DESC_AVAIL : 0);
	if (!packed) {
		avail[2] = k->head;
		avail[1] = 1;
	}
	vrig_kick(r, 0);
	check_broken(r, k->what);
	assert_int_equal(fake(r)->nheld, 0);
	unrig(r);
}

static void
test_broken_split(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(split_cases) / sizeof(split_cases[0]); i++)
		try_broken(&split_cases[i], false);
}

static void
test_broken_packed(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(packed_cases) / sizeof(packed_cases[0]); i++)
		try_broken(&packed_cases[i], true);
}

/* The index of the available ring is more than a ring ahead. */
static void
test_broken_index(void **state)
{
	static const uint16_t idx[] = {FAKE_SIZE + 1, 0x8000, 0xffff};
	uint16_t *avail;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct vrig *r = rig(NULL, 0);

		avail = vrig_ptr(r, r->q[0].driver);
		avail[1] = idx[i];
		vrig_kick(r, 0);
		check_broken(r, "index");
		unrig(r);
	}
}

/* Rings that are nowhere, or not aligned. */
static void
test_broken_place(void **state)
{
	static const struct {
		unsigned reg;
		uint32_t lo, hi;
	} places[] = {
	    {0x20, 0x10008, 0},
	    {0x20, (uint32_t)VRIG_MEMORY - 16, 0},
	    {0x20, 0, 0x10},
	    {0x20, 0xfffffff0u, 0xffffffffu},
	    {0x28, 0x10001, 0},
	    {0x28, (uint32_t)VRIG_MEMORY - 2, 0},
	    {0x28, 0xffffff00u, 0xffffffffu},
	    {0x30, 0x10002, 0},
	    {0x30, 0xc0000000u, 0},
	};
	struct vrig_buf b[2];
	uint32_t len;
	uint16_t id;
	unsigned w;
	size_t i;

	(void)state;
	for (w = 0; w < NWAYS; w += 4) {
		for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			struct vrig *r = rig(NULL, ways[w]);

			(void)vrig_negotiate(r, r->features);
			vrig_queue(r, 0, 0);
			vrig_queue(r, 1, 0);
			/* As vrig_queue(), but enabled later. */
			vrig_write(r, 0x16, 2, 2);
			vrig_write(r, 0x20, 4, 0x20000);
			vrig_write(r, 0x28, 4, 0x21000);
			vrig_write(r, 0x30, 4, 0x22000);
			vrig_write(r, places[i].reg, 4, places[i].lo);
			vrig_write(r, places[i].reg + 4, 4, places[i].hi);
			vrig_write(r, 0x1c, 2, 1);
			vrig_driver_ok(r);
			/* Seen when the queue is looked at, at the latest. */
			vrig_kick(r, 2);
			assert_true(
			    (vrig_status(r) & VIRTIO_S_NEEDS_RESET) != 0);
			(void)make_bufs(r, b, 1, 16);
			(void)vrig_add(r, 0, b, 2, false);
			vrig_kick(r, 0);
			assert_false(vrig_used(r, 0, &id, &len));
			unrig(r);
		}
	}
}

/* Longer than a chain may be: in buffers, and in bytes. */
static void
test_broken_length(void **state)
{
	static struct vrig_buf b[VIRTIO_QUEUE_SIZE_MAX + 1];
	unsigned w, i, n;

	(void)state;
	for (w = 2; w < NWAYS; w += 4) {
		for (i = 0; i < 2; i++) {
			struct vrig *r = rig(NULL, ways[w]);
			uint32_t len = i == 0 ? 1 : 32u << 20;

			n = i == 0 ? VIRTIO_QUEUE_SIZE_MAX + 1 : 129;
			while (n-- != 0)
				b[n] = (struct vrig_buf){OK_GPA, len, true};
			n = i == 0 ? VIRTIO_QUEUE_SIZE_MAX : 128;
			/* As long as it may be. */
			fake(r)->hold = true;
			(void)vrig_add(r, 0, b, n, true);
			vrig_kick(r, 0);
			assert_int_equal(fake(r)->nheld, 1);
			assert_int_equal(fake(r)->held->nwr, n);
			fake_back(r->vd, 0);
			assert_int_equal(
			    vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
			fake(r)->hold = false;
			(void)vrig_add(r, 0, b, n + 1, true);
			vrig_kick(r, 0);
			check_broken(r, "length");
			unrig(r);
		}
	}
}

/* The same chains again, though the device still has them. */
static void
test_broken_again(void **state)
{
	static const uint64_t some[] = {0, VIRTIO_F_RING_PACKED};
	struct vrig_buf b[1];
	unsigned w, i;

	(void)state;
	for (w = 0; w < 2; w++) {
		struct vrig *r = rig(NULL, some[w]);
		uint8_t *desc = vrig_ptr(r, r->q[0].desc);
		uint16_t *avail = vrig_ptr(r, r->q[0].driver);

		fake(r)->hold = true;
		b[0] = (struct vrig_buf){vrig_alloc(r, 16), 16, true};
		for (i = 0; i < FAKE_SIZE; i++)
			(void)vrig_add(r, 0, b, 1, false);
		vrig_kick(r, 0);
		assert_int_equal(fake(r)->nheld, FAKE_SIZE);
		if (w == 0)
			avail[1]++;
		else
			desc[15] = 0x80; /* used, of the second turn */
		if (w == 1)
			desc[14] = 0;
		vrig_kick(r, 0);
		assert_int_equal(fake(r)->nheld, FAKE_SIZE);
		fake(r)->hold = false;
		check_broken(r, "again");
		assert_int_equal(fake(r)->reset_with, 0);
		unrig(r);
	}
}

/* Without Bus Master Enable nothing is read and nothing written. */
static void
test_no_master(void **state)
{
	struct vrig_buf b[2];
	uint32_t len, cmd;
	uint16_t id;
	unsigned w;

	(void)state;
	for (w = 0; w < NWAYS; w++) {
		struct vrig *r = rig(NULL, ways[w]);

		(void)make_bufs(r, b, 1, 16);
		cmd = vrig_conf(r, PCIR_COMMAND, 2);
		vrig_set_conf(r, PCIR_COMMAND, 2, cmd & ~PCI_CMD_MASTER);
		(void)vrig_add(r, 0, b, 2, false);
		vrig_kick(r, 0);
		assert_false(vrig_used(r, 0, &id, &len));
		vrig_set_conf(r, PCIR_COMMAND, 2, cmd);
		vrig_kick(r, 0);
		assert_true(vrig_used(r, 0, &id, &len));
		check_echo(r, b, 1);
		assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
		unrig(r);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_contents),
	    cmocka_unit_test(test_out_of_order),
	    cmocka_unit_test(test_unpop),
	    cmocka_unit_test(test_interrupts_off),
	    cmocka_unit_test(test_used_event),
	    cmocka_unit_test(test_notifications),
	    cmocka_unit_test(test_watched_pages),
	    cmocka_unit_test(test_broken_split),
	    cmocka_unit_test(test_broken_packed),
	    cmocka_unit_test(test_broken_index),
	    cmocka_unit_test(test_broken_place),
	    cmocka_unit_test(test_broken_length),
	    cmocka_unit_test(test_broken_again),
	    cmocka_unit_test(test_no_master),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
