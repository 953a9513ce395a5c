/* SPDX-License-Identifier: BSD-2-Clause */
/* Split virtqueues (VIRTIO 2.7). */
#include "device/virtio/impl.h"

/* Available and used ring: flags, idx, then elements and an event index. */
#define RING_FLAGS 0u
#define RING_IDX   2u
#define RING_ELEM  4u
#define USED_SIZE  8u /* of an element: id, len */

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY     1u

void
split_sizes(unsigned entries, uint64_t len[3])
{
	len[0] = (uint64_t)entries * VIRTQ_DESC_SIZE;
	len[1] = RING_ELEM + entries * 2ull + 2;
	len[2] = RING_ELEM + entries * (uint64_t)USED_SIZE + 2;
}

/* The driver's event index follows the available ring, ours the used one. */
static uint8_t *
used_event(struct virtq *q)
{
	return (q->driver + RING_ELEM + q->entries * 2u);
}

static uint8_t *
avail_event(struct virtq *q)
{
	return (q->device + RING_ELEM + q->entries * USED_SIZE);
}

/* Reads the driver's index anew: it is read once for all decisions. */
static bool
look(struct virtq *q)
{
	q->avail_seen = load16(q->driver + RING_IDX);
	return (q->avail_seen != q->next_avail);
}

bool
split_avail(struct virtq *q)
{
	return (q->avail_seen != q->next_avail || look(q));
}

const char *
split_pop(struct virtq *q, struct virtq_elem *e)
{
	unsigned mask = q->entries - 1u, left = q->entries;
	struct virtq_desc d;
	const char *why;
	uint16_t i;

	e->slots = 0;
	if (!split_avail(q)) {
		/* Before it counts as empty, the event index is out that the
		 * last chain has moved: as in virtq_notify_on(). */
		if (!q->event_idx || q->notify_off)
			return (NULL);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!look(q))
			return (NULL);
	}
	if ((uint16_t)(q->avail_seen - q->next_avail) > q->entries)
		return ("its available index is too far ahead");
	/* The index before what it says is there: pairs with the driver's
	 * barrier before it moves the index (VIRTIO 2.7.13.3.1). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	i = load16(q->driver + RING_ELEM + (q->next_avail & mask) * 2u);
	e->id = i;
	for (;;) {
		if (i >= q->entries)
			return ("a descriptor's index is too large");
		if (left-- == 0)
			return ("its descriptors form a loop");
		virtq_get_desc(q, q->desc + i * VIRTQ_DESC_SIZE, &d);
		if ((d.flags & VIRTQ_DESC_INDIRECT) != 0) {
			/* VIRTIO 2.7.5.3.1: not both. */
			if ((d.flags & VIRTQ_DESC_NEXT) != 0)
				return ("a table of descriptors has a next");
			why = virtq_add_table(q, e, &d);
		} else {
			why = virtq_add(q, e, &d);
		}
		if (why != NULL)
			return (why);
		if ((d.flags & VIRTQ_DESC_NEXT) == 0)
			break;
		i = d.next;
	}
	q->next_avail++;
	e->slots = 1;
	/* VIRTIO 2.7.10: the driver notifies of the one after it. While we do
	 * not want that, the old index stays behind. */
	if (q->event_idx && !q->notify_off)
		store16(avail_event(q), q->next_avail);
	return (NULL);
}

void
split_unpop(struct virtq *q, const struct virtq_elem *e)
{
	(void)e;
	q->next_avail--;
}

void
split_push(struct virtq *q, const struct virtq_elem *e, uint32_t len)
{
	uint8_t *at = q->device + RING_ELEM +
		      (q->next_used & (q->entries - 1u)) * USED_SIZE;

	__atomic_store_n((uint32_t *)at, (uint32_t)e->id, __ATOMIC_RELAXED);
	__atomic_store_n((uint32_t *)(at + 4), len, __ATOMIC_RELAXED);
	q->next_used++;
	q->staged++;
}

bool
split_flush(struct virtq *q)
{
	uint16_t old = q->flushed;

	/* Elements and data before the index: pairs with the driver's barrier
	 * after it has read that (VIRTIO 2.7.14). */
	__atomic_store_n(
	    (uint16_t *)(q->device + RING_IDX), q->next_used, __ATOMIC_RELEASE);
	q->flushed = q->next_used;
	q->staged = 0;
	/* The index is out before we look whether the driver wants to hear of
	 * it; it asks for interrupts and then reads the index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx)
		return (virtq_crossed(load16(used_event(q)), q->flushed, old));
	return ((load16(q->driver + RING_FLAGS) & AVAIL_NO_INTERRUPT) == 0);
}

void
split_notify(struct virtq *q, bool on)
{
	if (q->event_idx) {
		/* Off: an index that was passed is not passed again soon. */
		if (on)
			store16(avail_event(q), q->next_avail);
	} else {
		store16(q->device + RING_FLAGS,
		    (uint16_t)(on ? 0 : USED_NO_NOTIFY));
	}
}
