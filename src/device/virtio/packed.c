/* SPDX-License-Identifier: BSD-2-Clause */
/* Packed virtqueues (VIRTIO 2.8). */
#include "device/virtio/impl.h"

#define DESC_LEN   8u
#define DESC_ID    12u
#define DESC_FLAGS 14u

/* Event suppression structures (VIRTIO 2.8.14): offset and wrap counter, then
 * flags. */
#define EVENT_OFF     0u
#define EVENT_FLAGS   2u
#define EVENT_SIZE    4u
#define EVENT_ENABLE  0u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u /* only with VIRTIO_F_EVENT_IDX */
#define EVENT_WRAP    0x8000u

void
packed_sizes(unsigned entries, uint64_t len[3])
{
	len[0] = (uint64_t)entries * VIRTQ_DESC_SIZE;
	len[1] = len[2] = EVENT_SIZE;
}

/* Moves a position on by n slots (up to the ring's size); its wrap counter
 * flips at the end of the ring (VIRTIO 2.8.1). */
static void
advance(const struct virtq *q, uint16_t *pos, uint8_t *wrap, unsigned n)
{
	unsigned next = *pos + n;

	if (next >= q->entries) {
		next -= q->entries;
		*wrap ^= 1;
	}
	*pos = (uint16_t)next;
}

bool
packed_avail(struct virtq *q)
{
	uint16_t flags =
	    load16(q->desc + q->next_avail * VIRTQ_DESC_SIZE + DESC_FLAGS);
	bool avail = (flags & VIRTQ_DESC_AVAIL) != 0;
	bool used = (flags & VIRTQ_DESC_USED) != 0;

	return (avail != used && avail == q->avail_wrap);
}

const char *
packed_pop(struct virtq *q, struct virtq_elem *e)
{
	unsigned i = q->next_avail, n = 0;
	struct virtq_desc d;
	const char *why;

	e->slots = 0;
	if (!packed_avail(q)) {
		/* As in split_pop(). */
		if (!q->event_idx || q->notify_off)
			return (NULL);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!packed_avail(q))
			return (NULL);
	}
	/* The first descriptor's flags before all else of the chain: pairs
	 * with the driver's barrier before it writes them (VIRTIO 2.8.21.1). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	do {
		if (n >= q->entries)
			return ("its descriptors form a loop");
		virtq_get_desc(q, q->desc + i * VIRTQ_DESC_SIZE, &d);
		n++;
		if (++i == q->entries)
			i = 0;
		if ((d.flags & VIRTQ_DESC_INDIRECT) == 0)
			why = virtq_add(q, e, &d);
		else if (n == 1 && (d.flags & VIRTQ_DESC_NEXT) == 0)
			why = virtq_add_table(q, e, &d);
		else /* VIRTIO 2.8.8.1 */
			why = "a table of descriptors is part of a chain";
		if (why != NULL)
			return (why);
	} while ((d.flags & VIRTQ_DESC_NEXT) != 0);
	e->id = d.next; /* of the last (VIRTIO 2.8.6) */
	e->slots = (uint16_t)n;
	advance(q, &q->next_avail, &q->avail_wrap, n);
	if (q->event_idx && !q->notify_off)
		packed_notify(q, true);
	return (NULL);
}

void
packed_unpop(struct virtq *q, const struct virtq_elem *e)
{
	if (q->next_avail < e->slots) {
		q->next_avail = (uint16_t)(q->next_avail + q->entries);
		q->avail_wrap ^= 1;
	}
	q->next_avail = (uint16_t)(q->next_avail - e->slots);
}

void
packed_push(struct virtq *q, const struct virtq_elem *e, uint32_t len)
{
	uint8_t *at = q->desc + q->next_used * VIRTQ_DESC_SIZE;
	uint16_t flags = q->used_wrap ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0;

	/* VIRTIO 2.8.14: set if any of it was written. */
	if (len != 0)
		flags |= VIRTQ_DESC_WRITE;
	__atomic_store_n((uint32_t *)(at + DESC_LEN), len, __ATOMIC_RELAXED);
	store16(at + DESC_ID, e->id);
	/* The driver takes used descriptors in their order: while it does not
	 * see the first one of a batch it sees none. */
	if (q->staged == 0) {
		q->flushed = q->next_used;
		q->first_flags = flags;
	} else {
		/* The flags after what they announce. */
		__atomic_store_n(
		    (uint16_t *)(at + DESC_FLAGS), flags, __ATOMIC_RELEASE);
	}
	q->staged = (uint16_t)(q->staged + e->slots);
	advance(q, &q->next_used, &q->used_wrap, e->slots);
}

bool
packed_flush(struct virtq *q)
{
	uint16_t off, flags, n = q->staged;
	unsigned event;

	/* Pairs with the driver's barrier after it has read the flags. */
	__atomic_store_n(
	    (uint16_t *)(q->desc + q->flushed * VIRTQ_DESC_SIZE + DESC_FLAGS),
	    q->first_flags, __ATOMIC_RELEASE);
	q->staged = 0;
	/* As in split_flush(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = load16(q->driver + EVENT_FLAGS);
	if (flags != EVENT_DESC || !q->event_idx)
		return (flags != EVENT_DISABLE);
	off = load16(q->driver + EVENT_OFF);
	/* The position in question, counted like next_used in this turn of the
	 * ring: an event of the turn before is one ring back. */
	event = off & ~EVENT_WRAP;
	if (((off & EVENT_WRAP) != 0) != q->used_wrap)
		event -= q->entries;
	return (virtq_crossed(
	    (uint16_t)event, q->next_used, (uint16_t)(q->next_used - n)));
}

void
packed_notify(struct virtq *q, bool on)
{
	uint16_t flags = EVENT_DISABLE;

	if (on && q->event_idx) {
		store16(q->device + EVENT_OFF,
		    (uint16_t)(q->next_avail |
			       (q->avail_wrap ? EVENT_WRAP : 0)));
		flags = EVENT_DESC;
	} else if (on) {
		flags = EVENT_ENABLE;
	}
	/* The offset before the flags that say it counts. */
	__atomic_store_n(
	    (uint16_t *)(q->device + EVENT_FLAGS), flags, __ATOMIC_RELEASE);
}
