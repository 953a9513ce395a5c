/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtqueues: chains of buffers out of rings of either format. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/virtio/impl.h"

#define CHAIN_SEGS_MIN 8u
#define CHAIN_BYTES    (1ull << 32) /* VIRTIO 2.7.4.2, 2.8.9: at most */

static const struct state_field virtq_fields[] = {
    STATE_FIELD(struct virtq, size, 1),
    STATE_FIELD(struct virtq, vector, 1),
    STATE_FIELD(struct virtq, enabled, 1),
    STATE_FIELD(struct virtq, resetting, 1),
    STATE_FIELD(struct virtq, desc_gpa, 1),
    STATE_FIELD(struct virtq, driver_gpa, 1),
    STATE_FIELD(struct virtq, device_gpa, 1),
    STATE_FIELD(struct virtq, next_avail, 1),
    STATE_FIELD(struct virtq, next_used, 1),
    STATE_FIELD(struct virtq, flushed, 1),
    STATE_FIELD(struct virtq, avail_wrap, 1),
    STATE_FIELD(struct virtq, used_wrap, 1),
    STATE_FIELD(struct virtq, notify_off, 1),
    STATE_END,
};
const struct state_table virtq_state = {"virtq", 1, virtq_fields};

int
virtq_init(struct virtq *q, struct virtio_dev *vd, unsigned n)
{
	q->vd = vd;
	q->index = n;
	q->kickfd = -1;
	pthread_mutex_init(&q->lock, NULL);
	q->max = vd->ops->queue_size != NULL ? vd->ops->queue_size(vd, n)
					     : vd->ops->size;
	virtio_queue_defaults(q);
	if (q->max == 0 || q->max > VIRTIO_QUEUE_SIZE_MAX ||
	    (q->max & (q->max - 1)) != 0)
		return (-EINVAL);
	return (0);
}

static void
elem_free(struct virtq_elem *e)
{
	free(e->iov);
	free(e->gpa);
	free(e);
}

void
virtq_trim(struct virtq *q)
{
	struct virtq_elem *e;

	pthread_mutex_lock(&q->lock);
	while ((e = q->free) != NULL) {
		q->free = e->next;
		if (e->prev_all != NULL)
			e->prev_all->next_all = e->next_all;
		else
			q->all = e->next_all;
		if (e->next_all != NULL)
			e->next_all->prev_all = e->prev_all;
		elem_free(e);
	}
	pthread_mutex_unlock(&q->lock);
}

void
virtq_fini(struct virtq *q)
{
	struct virtq_elem *e;

	while ((e = q->all) != NULL) {
		q->all = e->next_all;
		elem_free(e);
	}
	if (q->kickfd >= 0)
		close(q->kickfd);
	pthread_mutex_destroy(&q->lock);
}

void
virtq_start(struct virtq *q)
{
	uint64_t features = atomic_load(&q->vd->features);

	pthread_mutex_lock(&q->lock);
	q->packed = (features & VIRTIO_F_RING_PACKED) != 0;
	q->event_idx = (features & VIRTIO_F_EVENT_IDX) != 0;
	q->indirect = (features & VIRTIO_F_INDIRECT_DESC) != 0;
	q->entries = q->size;
	q->gpa[0] = q->desc_gpa;
	q->gpa[1] = q->driver_gpa;
	q->gpa[2] = q->device_gpa;
	q->mapped = false;
	q->next_avail = q->avail_seen = q->next_used = q->flushed = 0;
	q->avail_wrap = q->used_wrap = 1;
	q->notify_off = false;
	q->staged = 0;
	atomic_store(&q->run, true);
	pthread_mutex_unlock(&q->lock);
}

unsigned
virtq_stop(struct virtq *q)
{
	unsigned n;

	pthread_mutex_lock(&q->lock);
	atomic_store(&q->run, false);
	n = q->inflight;
	pthread_mutex_unlock(&q->lock);
	return (n);
}

unsigned
virtq_inflight(struct virtq *q)
{
	unsigned n;

	pthread_mutex_lock(&q->lock);
	n = q->inflight;
	pthread_mutex_unlock(&q->lock);
	return (n);
}

/*
 * What the device writes to the ring may be watched for code like any other
 * memory: the third part, and in a packed one the descriptors. Noted with the
 * lock held, announced without.
 */
struct ring_wrote {
	uint64_t gpa[2], len[2];
};

static void
ring_note(struct virtq *q, struct ring_wrote *w, bool descs)
{
	uint64_t len[3];

	if (q->packed)
		packed_sizes(q->entries, len);
	else
		split_sizes(q->entries, len);
	w->gpa[0] = q->gpa[2];
	w->len[0] = len[2];
	w->gpa[1] = q->gpa[0];
	w->len[1] = descs && q->packed ? len[0] : 0;
}

static void
ring_announce(struct virtq *q, const struct ring_wrote *w)
{
	pci_dma_wrote(q->vd->pci, w->gpa[0], w->len[0]);
	pci_dma_wrote(q->vd->pci, w->gpa[1], w->len[1]);
}

/*
 * The ring's three parts as host pointers, when they are needed first: a
 * function without Bus Master Enable cannot fetch them, which is no fault of
 * the ring. Lock held.
 */
static const char *
ring_map(struct virtq *q)
{
	/* Alignments: VIRTIO 2.7 and 2.8. */
	const unsigned align[3] = {16, q->packed ? 4 : 2, 4};
	uint64_t len[3];
	uint8_t *at[3];
	unsigned i;

	if (q->packed)
		packed_sizes(q->entries, len);
	else
		split_sizes(q->entries, len);
	for (i = 0; i < 3; i++) {
		if (q->gpa[i] % align[i] != 0)
			return ("its ring is not aligned");
		at[i] = pci_dma_map(q->vd->pci, q->gpa[i], len[i]);
		if (at[i] == NULL)
			return ("its ring is not in memory");
	}
	q->desc = at[0];
	q->driver = at[1];
	q->device = at[2];
	q->mapped = true;
	return (NULL);
}

/* Can the queue's ring be used now? Lock held; *why as of ring_map(). */
static bool
ring_usable(struct virtq *q, const char **why)
{
	*why = NULL;
	if (!atomic_load(&q->run) || !pci_dma_enabled(q->vd->pci))
		return (false);
	if (!q->mapped)
		*why = ring_map(q);
	return (*why == NULL);
}

static void
queue_broken(struct virtq *q, const char *why)
{
	virtio_broken(q->vd, "queue %u: %s", q->index, why);
}

/* Lock held. */
static struct virtq_elem *
elem_get(struct virtq *q)
{
	struct virtq_elem *e = q->free;

	if (e != NULL) {
		q->free = e->next;
		return (e);
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return (NULL);
	e->c.q = q;
	e->next_all = q->all;
	if (q->all != NULL)
		q->all->prev_all = e;
	q->all = e;
	return (e);
}

/* Lock held. */
static void
elem_put(struct virtq *q, struct virtq_elem *e)
{
	e->next = q->free;
	q->free = e;
}

static bool
elem_grow(struct virtq_elem *e, unsigned limit)
{
	unsigned max = e->max != 0 ? e->max * 2 : CHAIN_SEGS_MIN;
	struct virtq_range *gpa;
	struct iovec *iov;

	if (max > limit)
		max = limit;
	iov = realloc(e->iov, max * sizeof(*iov));
	if (iov != NULL)
		e->iov = iov;
	gpa = realloc(e->gpa, max * sizeof(*gpa));
	if (gpa != NULL)
		e->gpa = gpa;
	if (iov == NULL || gpa == NULL)
		return (false);
	e->max = max;
	return (true);
}

const char *
virtq_add(struct virtq *q, struct virtq_elem *e, const struct virtq_desc *d)
{
	bool write = (d->flags & VIRTQ_DESC_WRITE) != 0;
	unsigned limit = q->vd->ops->max_segs;
	void *p;

	/* VIRTIO 2.7.4.2: what the device reads comes first. */
	if (!write && e->nwr != 0)
		return ("a readable buffer follows a writable one");
	if (d->len == 0)
		return (NULL);
	if (limit == 0)
		limit = VIRTIO_QUEUE_SIZE_MAX;
	if (e->n >= limit)
		return ("a chain has too many buffers");
	if (e->n >= e->max && !elem_grow(e, limit))
		return ("no memory for a chain");
	p = pci_dma_map(q->vd->pci, d->addr, d->len);
	if (p == NULL)
		return ("a buffer is not in memory");
	if (write)
		e->c.wr_len += d->len;
	else
		e->c.rd_len += d->len;
	if (e->c.wr_len + e->c.rd_len > CHAIN_BYTES)
		return ("a chain is longer than 4 GiB");
	e->iov[e->n] = (struct iovec){p, d->len};
	e->n++;
	if (write)
		e->gpa[e->nwr++] = (struct virtq_range){d->addr, d->len};
	return (NULL);
}

/* A table need not be aligned. */
typedef uint64_t __attribute__((aligned(1), may_alias)) any_u64;

void
virtq_get_desc(const struct virtq *q, const uint8_t *at, struct virtq_desc *d)
{
	/* Each word once: the guest may be changing them. */
	uint64_t addr = *(const volatile any_u64 *)at;
	uint64_t rest = *(const volatile any_u64 *)(at + 8);

	d->addr = addr;
	d->len = (uint32_t)rest;
	d->flags = (uint16_t)(rest >> (q->packed ? 48 : 32));
	d->next = (uint16_t)(rest >> (q->packed ? 32 : 48));
}

/*
 * A table of descriptors (VIRTIO 2.7.5.3, 2.8.8): in a split ring chained by
 * `next` from its first entry, in a packed one all of them in their order.
 */
const char *
virtq_add_table(
    struct virtq *q, struct virtq_elem *e, const struct virtq_desc *d)
{
	unsigned n = d->len / VIRTQ_DESC_SIZE, i, left;
	struct virtq_desc in;
	const char *why;
	uint8_t *table;

	if (!q->indirect)
		return ("an indirect descriptor was not negotiated");
	if (n == 0 || d->len % VIRTQ_DESC_SIZE != 0)
		return ("a table of descriptors has no whole number of them");
	if (n > VIRTIO_QUEUE_SIZE_MAX * 2)
		return ("a table of descriptors is too long");
	table = pci_dma_map(q->vd->pci, d->addr, d->len);
	if (table == NULL)
		return ("a table of descriptors is not in memory");
	for (i = 0, left = n; left != 0; left--) {
		virtq_get_desc(q, table + i * VIRTQ_DESC_SIZE, &in);
		if (q->packed) {
			/* Only WRITE means anything here. */
			i++;
			in.flags &= VIRTQ_DESC_WRITE;
			if (left > 1)
				in.flags |= VIRTQ_DESC_NEXT;
		} else {
			i = in.next;
		}
		if ((in.flags & VIRTQ_DESC_INDIRECT) != 0)
			return ("a table of descriptors is in another one");
		why = virtq_add(q, e, &in);
		if (why != NULL)
			return (why);
		if ((in.flags & VIRTQ_DESC_NEXT) == 0)
			return (NULL);
		if (i >= n)
			return ("a descriptor's next is outside of its table");
	}
	return ("the descriptors of a table form a loop");
}

struct virtq_chain *
virtq_pop(struct virtq *q)
{
	struct virtq_elem *e = NULL;
	const char *why;

	pthread_mutex_lock(&q->lock);
	if (!ring_usable(q, &why))
		goto out;
	e = elem_get(q);
	if (e == NULL)
		goto out; /* the guest's next notification may do better */
	e->n = e->nwr = 0;
	e->c.rd_len = e->c.wr_len = 0;
	why = q->packed ? packed_pop(q, e) : split_pop(q, e);
	if (why == NULL && e->slots != 0 && q->inflight >= q->entries)
		why = "it has more chains than entries";
	if (why != NULL || e->slots == 0) {
		elem_put(q, e);
		e = NULL;
		goto out;
	}
	q->inflight++;
	e->c.rd = e->iov;
	e->c.nrd = e->n - e->nwr;
	e->c.wr = e->iov != NULL ? e->iov + e->c.nrd : NULL;
	e->c.nwr = e->nwr;
	e->c.user = NULL;
	e->c.link = NULL;
out:
	pthread_mutex_unlock(&q->lock);
	if (why != NULL)
		queue_broken(q, why);
	return (e != NULL ? &e->c : NULL);
}

/* One chain less is out; unlocks. */
static void
chain_back(struct virtq *q, struct virtq_elem *e)
{
	bool last;

	elem_put(q, e);
	q->inflight--;
	last = q->inflight == 0 && !atomic_load(&q->run);
	pthread_mutex_unlock(&q->lock);
	if (last)
		virtio_chains_back(q->vd);
}

void
virtq_unpop(struct virtq_chain *c)
{
	struct virtq_elem *e = (struct virtq_elem *)c;
	struct virtq *q = c->q;

	pthread_mutex_lock(&q->lock);
	if (atomic_load(&q->run)) {
		if (q->packed)
			packed_unpop(q, e);
		else
			split_unpop(q, e);
	}
	chain_back(q, e);
}

void
virtq_push(struct virtq_chain *c, uint32_t written)
{
	struct virtq_elem *e = (struct virtq_elem *)c;
	struct virtq *q = c->q;
	unsigned i;

	/* All of them: what a backend wrote before it failed counts too. */
	for (i = 0; i < e->nwr; i++)
		pci_dma_wrote(q->vd->pci, e->gpa[i].gpa, e->gpa[i].len);
	pthread_mutex_lock(&q->lock);
	if (atomic_load(&q->run) && q->mapped && pci_dma_enabled(q->vd->pci)) {
		if (q->packed)
			packed_push(q, e, written);
		else
			split_push(q, e, written);
	}
	chain_back(q, e);
}

void
virtq_flush(struct virtq *q)
{
	bool wrote = false, raise = false;
	struct ring_wrote w;

	pthread_mutex_lock(&q->lock);
	if (atomic_load(&q->run) && q->mapped && q->staged != 0 &&
	    pci_dma_enabled(q->vd->pci)) {
		raise = q->packed ? packed_flush(q) : split_flush(q);
		ring_note(q, &w, true);
		wrote = true;
	}
	pthread_mutex_unlock(&q->lock);
	if (wrote)
		ring_announce(q, &w);
	if (raise)
		virtio_interrupt(
		    q->vd, VIRTIO_ISR_QUEUE, atomic_load(&q->vector));
}

/* Sets whether the device wants notifications; lock held. */
static void
notify_set(struct virtq *q, bool on)
{
	q->notify_off = !on;
	if (q->packed)
		packed_notify(q, on);
	else
		split_notify(q, on);
}

void
virtq_notify_off(struct virtq *q)
{
	struct ring_wrote w;
	const char *why;
	bool wrote = false;

	pthread_mutex_lock(&q->lock);
	if (ring_usable(q, &why) && !q->notify_off) {
		notify_set(q, false);
		ring_note(q, &w, false);
		wrote = true;
	}
	pthread_mutex_unlock(&q->lock);
	if (wrote)
		ring_announce(q, &w);
	if (why != NULL)
		queue_broken(q, why);
}

bool
virtq_notify_on(struct virtq *q)
{
	bool usable, more = false;
	struct ring_wrote w;
	const char *why;

	pthread_mutex_lock(&q->lock);
	usable = ring_usable(q, &why);
	if (usable) {
		notify_set(q, true);
		/*
		 * What we want is out before the ring is looked at; the driver
		 * makes a chain available, and then looks whether we want to
		 * hear of it (VIRTIO 2.7.13.4.1): one sees the other's write.
		 */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		more = q->packed ? packed_avail(q) : split_avail(q);
		ring_note(q, &w, false);
	}
	pthread_mutex_unlock(&q->lock);
	if (usable)
		ring_announce(q, &w);
	if (why != NULL)
		queue_broken(q, why);
	return (more);
}

bool
virtq_avail(struct virtq *q)
{
	const char *why;
	bool more = false;

	pthread_mutex_lock(&q->lock);
	if (ring_usable(q, &why))
		more = q->packed ? packed_avail(q) : split_avail(q);
	pthread_mutex_unlock(&q->lock);
	if (why != NULL)
		queue_broken(q, why);
	return (more);
}

bool
virtq_ready(const struct virtq *q)
{
	return (atomic_load(&q->run));
}

unsigned
virtq_index(const struct virtq *q)
{
	return (q->index);
}

struct virtio_dev *
virtq_dev(const struct virtq *q)
{
	return (q->vd);
}

unsigned
virtq_size(const struct virtq *q)
{
	return (q->entries);
}

/* ---- contents of a chain ---- */

/* Moves len bytes between the front of a list of buffers and buf, and takes
 * them off the list. There are enough. */
static void
iov_front(struct iovec **iov, unsigned *niov, void *buf, size_t len, bool in)
{
	uint8_t *p = buf;
	size_t n;

	while (len != 0) {
		n = (*iov)->iov_len < len ? (*iov)->iov_len : len;
		if (p != NULL && in)
			memcpy(p, (*iov)->iov_base, n);
		else if (p != NULL)
			memcpy((*iov)->iov_base, p, n);
		if (p != NULL)
			p += n;
		len -= n;
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
		if ((*iov)->iov_len == 0) {
			(*iov)++;
			(*niov)--;
		}
	}
}

bool
virtq_read(struct virtq_chain *c, void *buf, size_t len)
{
	if (len > c->rd_len)
		return (false);
	iov_front(&c->rd, &c->nrd, buf, len, true);
	c->rd_len -= len;
	return (true);
}

bool
virtq_write(struct virtq_chain *c, const void *buf, size_t len)
{
	if (len > c->wr_len)
		return (false);
	iov_front(&c->wr, &c->nwr, (void *)(uintptr_t)buf, len, false);
	c->wr_len -= len;
	return (true);
}

uint8_t *
virtq_take_last(struct virtq_chain *c)
{
	struct iovec *last;

	if (c->nwr == 0)
		return (NULL);
	last = &c->wr[c->nwr - 1];
	last->iov_len--;
	c->wr_len--;
	if (last->iov_len == 0)
		c->nwr--;
	return ((uint8_t *)last->iov_base + last->iov_len);
}
