/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net's receive queues. The backend writes frames straight into the
 * guest's buffers: it asks for room, fills it, and says how much that was.
 * Buffers that were taken and not filled stay for the next frame.
 */
#include <string.h>

#include "device/virtio/net.h"

static struct virtq_chain *
held(const struct vnet_rx *rx, unsigned i)
{
	return (rx->chains[(rx->head + i) % NET_IOV_MAX]);
}

/* Takes one more chain; false: there is none. */
static bool
take_chain(struct vnet *v, struct vnet_rx *rx, struct virtq *q)
{
	struct virtq_chain *c;

	if (rx->count == (v->mergeable ? NET_IOV_MAX : 1))
		return (false);
	c = virtq_pop(q);
	if (c == NULL)
		return (false);
	if (c->wr_len <= v->hdr_size) {
		/* Given back before the others it would be out of order. */
		virtio_broken(v->vd, "a receive buffer of %llu bytes",
		    (unsigned long long)c->wr_len);
		virtq_push(c, 0);
		return (false);
	}
	rx->chains[(rx->head + rx->count++) % NET_IOV_MAX] = c;
	return (true);
}

/* Adds a chain's buffers but for the first `skip` bytes. */
static size_t
add_buffers(const struct virtq_chain *c, size_t skip, struct iovec *iov,
    unsigned *n, unsigned max)
{
	size_t sum = 0;
	unsigned i;

	for (i = 0; i < c->nwr && *n < max; i++) {
		if (c->wr[i].iov_len <= skip) {
			skip -= c->wr[i].iov_len;
			continue;
		}
		iov[*n].iov_base = (uint8_t *)c->wr[i].iov_base + skip;
		iov[*n].iov_len = c->wr[i].iov_len - skip;
		sum += iov[*n].iov_len;
		skip = 0;
		(*n)++;
	}
	return (sum);
}

size_t
vnet_rx_room(void *arg, unsigned pair, struct iovec *iov, unsigned *n,
    size_t want)
{
	struct vnet *v = arg;
	struct vnet_rx *rx = &v->rx[pair];
	struct virtq *q = virtio_queue(v->vd, vnet_rxq(pair));
	unsigned max = *n, i = 0;
	size_t sum = 0;

	*n = 0;
	if (!virtio_running(v->vd) || pair >= v->active || !virtq_ready(q))
		return (0);
	for (;;) {
		for (; i < rx->count && sum < want; i++)
			sum += add_buffers(held(rx, i),
			    i == 0 ? v->hdr_size : 0, iov, n, max);
		if (sum >= want || *n == max)
			break;
		if (take_chain(v, rx, q))
			continue;
		/* A driver that makes no use of mergeable buffers gives what
		 * it has in one. */
		if (rx->count == (v->mergeable ? NET_IOV_MAX : 1))
			break;
		rx->starved = true;
		if (!virtq_notify_on(q))
			break;
	}
	return (sum);
}

/* Do the addresses of the frame, which is in the buffers, pass? */
static bool
passes(struct vnet *v, const struct vnet_rx *rx, size_t len)
{
	uint8_t head[FILTER_HEAD] = {0};
	struct iovec iov[FILTER_HEAD];
	unsigned n = 0, i, chain;
	size_t got = 0, k;
	bool pass;

	for (chain = 0; chain < rx->count && n < FILTER_HEAD; chain++)
		(void)add_buffers(held(rx, chain),
		    chain == 0 ? v->hdr_size : 0, iov, &n, FILTER_HEAD);
	if (len > FILTER_HEAD)
		len = FILTER_HEAD;
	for (i = 0; i < n && got < len; i++, got += k) {
		k = iov[i].iov_len < len - got ? iov[i].iov_len : len - got;
		memcpy(head + got, iov[i].iov_base, k);
	}
	pthread_mutex_lock(&v->lock);
	pass = netdev_filter_pass(&v->filter, head);
	pthread_mutex_unlock(&v->lock);
	return (pass);
}

void
vnet_rx_done(
    void *arg, unsigned pair, const struct net_hdr *hdr, size_t len)
{
	struct vnet *v = arg;
	struct vnet_rx *rx = &v->rx[pair];
	struct virtq_chain *c;
	struct vnet_hdr h = {.h = *hdr};
	uint64_t room = 0;
	size_t left = len, k;
	unsigned n;

	if (!v->filter.promisc && !passes(v, rx, len))
		return;
	/* How many of the chains it fills. */
	for (n = 0; n < rx->count && room < len + v->hdr_size; n++)
		room += held(rx, n)->wr_len;
	if (room < len + v->hdr_size || n == 0)
		return;
	h.h.flags &= (v->guest_offloads & VNET_F_GUEST_CSUM) != 0
			 ? NET_HDR_NEEDS_CSUM | NET_HDR_DATA_VALID
			 : 0;
	/* 5.1.6.4.1: 1 without MRG_RXBUF. */
	h.num_buffers = (uint16_t)n;
	for (unsigned i = 0; i < n; i++) {
		c = held(rx, 0);
		rx->head = (rx->head + 1) % NET_IOV_MAX;
		rx->count--;
		k = c->wr_len;
		if (i == 0) {
			(void)virtq_write(c, &h, v->hdr_size);
			k -= v->hdr_size;
		}
		if (k > left)
			k = left;
		left -= k;
		virtq_push(c, (uint32_t)(k + (i == 0 ? v->hdr_size : 0)));
	}
}

void
vnet_rx_end(void *arg, unsigned pair)
{
	struct vnet *v = arg;

	virtq_flush(virtio_queue(v->vd, vnet_rxq(pair)));
}

void
vnet_rx_notify(struct vnet *v, unsigned pair)
{
	struct vnet_rx *rx = &v->rx[pair];

	virtq_notify_off(virtio_queue(v->vd, vnet_rxq(pair)));
	rx->starved = false;
	net_rx_resume(v->net, pair);
}

void
vnet_rx_stop(struct vnet *v, unsigned pair)
{
	struct vnet_rx *rx = &v->rx[pair];

	for (; rx->count > 0; rx->count--) {
		virtq_push(held(rx, 0), 0);
		rx->head = (rx->head + 1) % NET_IOV_MAX;
	}
	rx->head = 0;
	rx->starved = false;
}
