/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_NET_H
#define LHYVE_DEVICE_VIRTIO_NET_H

#include <pthread.h>

#include "backend/net/net.h"
#include "device/net/netdev.h"
#include "device/virtio/virtio.h"

/* virtio-net (VIRTIO 1.2, 5.1): the inside of net.c, net_rx.c, net_ctl.c. */

#define VNET_F_CSUM	       (1ull << 0)
#define VNET_F_GUEST_CSUM      (1ull << 1)
#define VNET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define VNET_F_MTU	       (1ull << 3)
#define VNET_F_MAC	       (1ull << 5)
#define VNET_F_GUEST_TSO4      (1ull << 7)
#define VNET_F_GUEST_TSO6      (1ull << 8)
#define VNET_F_GUEST_ECN       (1ull << 9)
#define VNET_F_GUEST_UFO       (1ull << 10)
#define VNET_F_HOST_TSO4       (1ull << 11)
#define VNET_F_HOST_TSO6       (1ull << 12)
#define VNET_F_HOST_ECN	       (1ull << 13)
#define VNET_F_HOST_UFO	       (1ull << 14)
#define VNET_F_MRG_RXBUF       (1ull << 15)
#define VNET_F_STATUS	       (1ull << 16)
#define VNET_F_CTRL_VQ	       (1ull << 17)
#define VNET_F_CTRL_RX	       (1ull << 18)
#define VNET_F_CTRL_VLAN       (1ull << 19)
#define VNET_F_CTRL_RX_EXTRA   (1ull << 20)
#define VNET_F_GUEST_ANNOUNCE  (1ull << 21)
#define VNET_F_MQ	       (1ull << 22)
#define VNET_F_CTRL_MAC_ADDR   (1ull << 23)

/* The device-specific configuration (5.1.4); little-endian. */
struct vnet_config {
	uint8_t mac[ETHER_ADDR_LEN];
	uint16_t status; /* VNET_S_* */
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
#define VNET_S_LINK_UP	1u
#define VNET_S_ANNOUNCE 2u

/* The header before each frame (5.1.6); the legacy interface without
 * MRG_RXBUF has no num_buffers. */
struct vnet_hdr {
	struct net_hdr h;
	uint16_t num_buffers;
};
#define VNET_HDR_SIZE	     12u
#define VNET_HDR_SIZE_LEGACY 10u

/* Entries of a queue, as bhyve has. */
#define VNET_QUEUE_SIZE 1024u

/* Buffers taken from a receive queue, for frames to come. */
struct vnet_rx {
	struct virtq_chain *chains[NET_IOV_MAX];
	unsigned head, count;
	bool starved; /* the backend waits for more: notifications are on */
};

struct vnet {
	struct virtio_dev *vd;
	struct net *net;
	struct mevent_loop *loop; /* of the thread */
	pthread_t thread;
	bool running; /* the thread */
	/* All below belongs to the thread. */
	unsigned pairs, active; /* of queues */
	uint32_t hdr_size;
	bool mergeable;
	uint64_t guest_offloads; /* GUEST_* in force */
	uint16_t status;
	struct vnet_rx rx[NET_QUEUES_MAX];
	bool tx_blocked[NET_QUEUES_MAX]; /* until tx_ready */
	bool tx_again[NET_QUEUES_MAX];	 /* more than one turn's */
	int again_fd;			 /* eventfd: some tx_again is set */
	struct mevent *again;
	pthread_mutex_t lock; /* filter.mac, which a legacy driver writes */
	struct netdev_filter filter;
};

/* Queue numbers: a pair's two, and the control queue's, which depends on
 * what was negotiated (5.1.2). */
static inline unsigned
vnet_rxq(unsigned pair)
{
	return (pair * 2);
}
static inline unsigned
vnet_txq(unsigned pair)
{
	return (pair * 2 + 1);
}
static inline unsigned
vnet_ctlq(const struct vnet *v)
{
	return (virtio_has(v->vd, VNET_F_MQ) ? v->pairs * 2 : 2);
}

/* net_rx.c: struct net_user's, and what the queues' hooks do. */
size_t vnet_rx_room(void *arg, unsigned pair, struct iovec *iov, unsigned *n,
    size_t want);
void vnet_rx_done(
    void *arg, unsigned pair, const struct net_hdr *hdr, size_t len);
void vnet_rx_end(void *arg, unsigned pair);
void vnet_rx_notify(struct vnet *v, unsigned pair);
/* Gives back what was taken: the queue stops. */
void vnet_rx_stop(struct vnet *v, unsigned pair);

/* net.c */
/* Tells the backend what the guest takes: GUEST_* of `features`. */
void vnet_set_offloads(struct vnet *v, uint64_t features);
void vnet_set_mac(struct vnet *v, const uint8_t mac[ETHER_ADDR_LEN]);
void vnet_set_status(struct vnet *v, uint16_t status);

/* net_ctl.c: works off the control queue. */
void vnet_ctl_notify(struct vnet *v);

#define VNET_GUEST_OFFLOADS                                                    \
	(VNET_F_GUEST_CSUM | VNET_F_GUEST_TSO4 | VNET_F_GUEST_TSO6 |           \
	    VNET_F_GUEST_ECN | VNET_F_GUEST_UFO)

#endif
