/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net (VIRTIO 1.2, 5.1): the device, its thread and its transmit
 * queues. All of it but the configuration of a legacy driver happens on one
 * thread, whose event loop the backend shares: a frame is never handed from
 * one thread to another.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mevent.h"
#include "device/virtio/net.h"

/* Frames of a transmit queue before others get their turn. */
#define TX_BURST 256u
/* And before the guest gets buffers back. */
#define TX_FLUSH 64u

static const struct state_field vnet_fields[] = {
    STATE_FIELD(struct vnet, active, 1),
    STATE_FIELD(struct vnet, hdr_size, 1),
    STATE_FIELD(struct vnet, mergeable, 1),
    STATE_FIELD(struct vnet, guest_offloads, 1),
    STATE_FIELD(struct vnet, status, 1),
    STATE_ARRAY(struct vnet, filter.mac, 1),
    STATE_FIELD(struct vnet, filter.promisc, 1),
    STATE_FIELD(struct vnet, filter.allmulti, 1),
    STATE_FIELD(struct vnet, filter.alluni, 1),
    STATE_FIELD(struct vnet, filter.nomulti, 1),
    STATE_FIELD(struct vnet, filter.nouni, 1),
    STATE_FIELD(struct vnet, filter.nobcast, 1),
    STATE_FIELD(struct vnet, filter.uni_overflow, 1),
    STATE_FIELD(struct vnet, filter.multi_overflow, 1),
    STATE_FIELD(struct vnet, filter.nuni, 1),
    STATE_FIELD(struct vnet, filter.nmulti, 1),
    {"filter.uni", offsetof(struct vnet, filter.uni), 1,
	FILTER_MACS *ETHER_ADDR_LEN, 1},
    {"filter.multi", offsetof(struct vnet, filter.multi), 1,
	FILTER_MACS *ETHER_ADDR_LEN, 1},
    STATE_FIELD(struct vnet, filter.vlan, 1),
    STATE_ARRAY(struct vnet, filter.vlans, 1),
    STATE_END,
};
static const struct state_table vnet_state = {"virtio-net", 1, vnet_fields};

/* Features that need others (5.1.3.1). */
static const struct {
	uint64_t bit, needs, or_needs;
} vnet_needs[] = {
    {VNET_F_GUEST_TSO4, VNET_F_GUEST_CSUM, 0},
    {VNET_F_GUEST_TSO6, VNET_F_GUEST_CSUM, 0},
    {VNET_F_GUEST_ECN, VNET_F_GUEST_TSO4, VNET_F_GUEST_TSO6},
    {VNET_F_GUEST_UFO, VNET_F_GUEST_CSUM, 0},
    {VNET_F_HOST_TSO4, VNET_F_CSUM, 0},
    {VNET_F_HOST_TSO6, VNET_F_CSUM, 0},
    {VNET_F_HOST_ECN, VNET_F_HOST_TSO4, VNET_F_HOST_TSO6},
    {VNET_F_HOST_UFO, VNET_F_CSUM, 0},
    {VNET_F_CTRL_RX, VNET_F_CTRL_VQ, 0},
    {VNET_F_CTRL_VLAN, VNET_F_CTRL_VQ, 0},
    {VNET_F_CTRL_RX_EXTRA, VNET_F_CTRL_VQ, 0},
    {VNET_F_GUEST_ANNOUNCE, VNET_F_CTRL_VQ, 0},
    {VNET_F_MQ, VNET_F_CTRL_VQ, 0},
    {VNET_F_CTRL_MAC_ADDR, VNET_F_CTRL_VQ, 0},
    {VNET_F_CTRL_GUEST_OFFLOADS, VNET_F_CTRL_VQ, 0},
};

static bool
vnet_features_ok(struct virtio_dev *vd, uint64_t features)
{
	unsigned i;

	(void)vd;
	for (i = 0; i < sizeof(vnet_needs) / sizeof(vnet_needs[0]); i++)
		if ((features & vnet_needs[i].bit) != 0 &&
		    (features & (vnet_needs[i].needs |
				    vnet_needs[i].or_needs)) == 0)
			return (false);
	return (true);
}

/* What a backend calls it, and what the driver does, in both directions. */
static const struct {
	uint32_t offload;
	uint64_t guest, host;
} vnet_offloads[] = {
    {NET_OFF_CSUM, VNET_F_GUEST_CSUM, VNET_F_CSUM},
    {NET_OFF_TSO4, VNET_F_GUEST_TSO4, VNET_F_HOST_TSO4},
    {NET_OFF_TSO6, VNET_F_GUEST_TSO6, VNET_F_HOST_TSO6},
    {NET_OFF_ECN, VNET_F_GUEST_ECN, VNET_F_HOST_ECN},
    {NET_OFF_UFO, VNET_F_GUEST_UFO, VNET_F_HOST_UFO},
};
#define NOFFLOADS (sizeof(vnet_offloads) / sizeof(vnet_offloads[0]))

void
vnet_set_offloads(struct vnet *v, uint64_t features)
{
	uint32_t off = 0;

	v->guest_offloads = features & VNET_GUEST_OFFLOADS;
	for (unsigned i = 0; i < NOFFLOADS; i++)
		if ((features & vnet_offloads[i].guest) != 0)
			off |= vnet_offloads[i].offload;
	net_set_offloads(v->net, off);
}

void
vnet_set_mac(struct vnet *v, const uint8_t mac[ETHER_ADDR_LEN])
{
	pthread_mutex_lock(&v->lock);
	memcpy(v->filter.mac, mac, ETHER_ADDR_LEN);
	pthread_mutex_unlock(&v->lock);
	virtio_config_set(v->vd, offsetof(struct vnet_config, mac), mac,
	    ETHER_ADDR_LEN);
}

void
vnet_set_status(struct vnet *v, uint16_t status)
{
	v->status = status;
	virtio_config_set(v->vd, offsetof(struct vnet_config, status), &status,
	    sizeof(status));
}

/* The backend's. A link that comes back leads somewhere else, maybe. */
static void
vnet_link(void *arg, bool up)
{
	struct vnet *v = arg;
	uint16_t status = up ? VNET_S_LINK_UP : 0;

	if (up && virtio_running(v->vd) &&
	    virtio_has(v->vd, VNET_F_GUEST_ANNOUNCE))
		status |= VNET_S_ANNOUNCE;
	vnet_set_status(v, status);
	virtio_config_changed(v->vd);
}

/* One frame of the guest. False: the backend wants it later. */
static bool
vnet_tx_one(struct vnet *v, unsigned pair, struct virtq_chain *c)
{
	struct vnet_hdr h;
	int error;

	if (c->rd_len < v->hdr_size + NET_FRAME_MIN ||
	    !virtq_read(c, &h, v->hdr_size)) {
		virtio_warn(v->vd, "a frame of %llu bytes with its header",
		    (unsigned long long)c->rd_len);
		virtq_push(c, 0);
		return (true);
	}
	error = net_send(v->net, pair, &h.h, c->rd, c->nrd);
	if (error == -EAGAIN) {
		virtq_unpop(c);
		return (false);
	}
	if (error != 0)
		virtio_warn(v->vd, "a frame that is none: %u+%llu bytes, flags "
		    "%#x, gso_type %#x, gso_size %u, checksum at %u+%u",
		    v->hdr_size, (unsigned long long)c->rd_len, h.h.flags,
		    h.h.gso_type, h.h.gso_size, h.h.csum_start,
		    h.h.csum_offset);
	virtq_push(c, 0);
	return (true);
}

static void
vnet_tx(struct vnet *v, unsigned pair)
{
	struct virtq *q = virtio_queue(v->vd, vnet_txq(pair));
	const uint64_t one = 1;
	struct virtq_chain *c;
	unsigned n = 0;

	if (v->tx_blocked[pair] || !virtq_ready(q))
		return;
	do {
		virtq_notify_off(q);
		while (n < TX_BURST && (c = virtq_pop(q)) != NULL) {
			if (!vnet_tx_one(v, pair, c)) {
				v->tx_blocked[pair] = true;
				break;
			}
			if (++n % TX_FLUSH == 0)
				virtq_flush(q);
		}
	} while (!v->tx_blocked[pair] && n < TX_BURST && virtq_notify_on(q));
	net_send_end(v->net, pair);
	virtq_flush(q);
	if (n == TX_BURST && !v->tx_blocked[pair]) {
		/* Who has more gets another turn; notifications are off. */
		v->tx_again[pair] = true;
		(void)!write(v->again_fd, &one, sizeof(one));
	}
}

static void
vnet_again(void *arg, unsigned ready)
{
	struct vnet *v = arg;
	uint64_t n;

	(void)ready;
	(void)!read(v->again_fd, &n, sizeof(n));
	for (unsigned i = 0; i < v->pairs; i++) {
		if (!v->tx_again[i])
			continue;
		v->tx_again[i] = false;
		vnet_tx(v, i);
	}
}

static void
vnet_tx_ready(void *arg, unsigned pair)
{
	struct vnet *v = arg;

	v->tx_blocked[pair] = false;
	vnet_tx(v, pair);
}

static const struct net_user vnet_user = {
    .rx_room = vnet_rx_room,
    .rx_done = vnet_rx_done,
    .rx_end = vnet_rx_end,
    .tx_ready = vnet_tx_ready,
    .link = vnet_link,
};

static void
vnet_notify(struct virtio_dev *vd, unsigned n)
{
	struct vnet *v = virtio_priv(vd);

	if (virtio_has(vd, VNET_F_CTRL_VQ) && n == vnet_ctlq(v))
		vnet_ctl_notify(v);
	else if (n >= v->pairs * 2)
		return;
	else if (n % 2 == 0)
		vnet_rx_notify(v, n / 2);
	else
		vnet_tx(v, n / 2);
}

static void
vnet_start(struct virtio_dev *vd)
{
	struct vnet *v = virtio_priv(vd);
	uint64_t features = 0;

	v->mergeable = virtio_has(vd, VNET_F_MRG_RXBUF);
	v->hdr_size = virtio_modern(vd) || v->mergeable
			  ? VNET_HDR_SIZE
			  : VNET_HDR_SIZE_LEGACY;
	/* Without the means to say which VLANs, all of them. */
	v->filter.vlan = virtio_has(vd, VNET_F_CTRL_VLAN);
	for (unsigned i = 0; i < NOFFLOADS; i++)
		if (virtio_has(vd, vnet_offloads[i].guest))
			features |= vnet_offloads[i].guest;
	vnet_set_offloads(v, features);
}

static void
vnet_stop(struct virtio_dev *vd, unsigned n)
{
	struct vnet *v = virtio_priv(vd);

	/* What waits in a transmit queue was not taken. */
	if (n < v->pairs * 2 && n % 2 == 0)
		vnet_rx_stop(v, n / 2);
}

static void
vnet_reset(struct virtio_dev *vd)
{
	struct vnet *v = virtio_priv(vd);

	if (v->net == NULL)
		return;
	v->active = 1;
	memset(v->tx_blocked, 0, sizeof(v->tx_blocked));
	memset(v->tx_again, 0, sizeof(v->tx_again));
	netdev_filter_reset(&v->filter);
	vnet_set_status(v, net_link(v->net) ? VNET_S_LINK_UP : 0);
	vnet_set_offloads(v, 0);
	(void)net_set_queues(v->net, 1);
}

/* A legacy driver sets its address this way (5.1.4.3). */
static void
vnet_config_write(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	struct vnet *v = virtio_priv(vd);
	uint8_t mac[ETHER_ADDR_LEN];

	if (virtio_modern(vd) || off >= ETHER_ADDR_LEN ||
	    len > ETHER_ADDR_LEN - off)
		return;
	pthread_mutex_lock(&v->lock);
	memcpy(v->filter.mac + off, bytes, len);
	memcpy(mac, v->filter.mac, sizeof(mac));
	pthread_mutex_unlock(&v->lock);
	virtio_config_set(vd, 0, mac, sizeof(mac));
}

static void *
vnet_thread(void *arg)
{
	struct vnet *v = arg;

	(void)net_run(v->net);
	return (NULL);
}

static int
vnet_run(struct vnet *v)
{
	sigset_t all, old;
	int error;

	/* Signals are the main thread's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	error = -pthread_create(&v->thread, NULL, vnet_thread, v);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	v->running = error == 0;
	if (error == 0)
		(void)pthread_setname_np(v->thread, "virtio-net");
	return (error);
}

static void
vnet_offer(struct vnet *v, bool mtu)
{
	uint64_t offer = VNET_F_GUEST_CSUM | VNET_F_GUEST_TSO4 |
			 VNET_F_GUEST_TSO6 | VNET_F_GUEST_ECN |
			 VNET_F_GUEST_UFO;
	uint32_t tx = net_tx_offloads(v->net);

	for (unsigned i = 0; i < NOFFLOADS; i++)
		if ((tx & vnet_offloads[i].offload) != 0)
			offer |= vnet_offloads[i].host;
	if (mtu)
		offer |= VNET_F_MTU;
	if (v->pairs > 1)
		offer |= VNET_F_MQ;
	virtio_offer(v->vd, offer);
}

static int
vnet_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	struct vnet *v = virtio_priv(vd);
	struct vnet_config config = {0};
	unsigned mtu = (unsigned)device_opt_uint(conf, "mtu");
	int error;

	v->vd = vd;
	v->again_fd = -1;
	v->active = 1;
	v->hdr_size = VNET_HDR_SIZE;
	pthread_mutex_init(&v->lock, NULL);
	error = netdev_mac(conf, v->filter.mac);
	if (error != 0)
		return (error);
	netdev_filter_reset(&v->filter);
	error = mevent_loop_create(&v->loop);
	if (error != 0)
		return (device_fail(conf, "no event loop: %s",
		    strerror(-error)));
	virtio_set_loop(vd, v->loop);
	error = netdev_open(conf, &v->net,
	    (unsigned)device_opt_uint(conf, "queues"),
	    mtu != 0 ? mtu : NETDEV_MTU);
	if (error != 0)
		return (error);
	v->pairs = net_queues(v->net);
	virtio_set_queues(vd, v->pairs * 2 + 1);
	vnet_offer(v, mtu != 0);
	memcpy(config.mac, v->filter.mac, sizeof(config.mac));
	config.max_virtqueue_pairs = (uint16_t)v->pairs;
	config.mtu = (uint16_t)(mtu != 0 ? mtu : NETDEV_MTU);
	virtio_config_set(vd, 0, &config, sizeof(config));

	v->again_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	error = v->again_fd < 0 ? -errno
				: mevent_add(v->loop, v->again_fd, MEVENT_READ,
				      vnet_again, v, &v->again);
	if (error == 0)
		error = net_start(v->net, v->loop, &vnet_user, v);
	if (error == 0)
		error = vnet_run(v);
	if (error != 0)
		return (device_fail(conf, "the network does not start: %s",
		    strerror(-error)));
	return (0);
}

static void
vnet_fini(struct virtio_dev *vd)
{
	struct vnet *v = virtio_priv(vd);

	if (v->running) {
		mevent_stop(v->loop);
		(void)pthread_join(v->thread, NULL);
	}
	net_destroy(v->net);
	mevent_remove(v->again);
	if (v->again_fd >= 0)
		(void)close(v->again_fd);
	mevent_loop_destroy(v->loop);
	pthread_mutex_destroy(&v->lock);
}

static const struct virtio_ops vnet_ops = {
    .id = VIRTIO_ID_NET,
    .class = 0x02,
    .queues = NET_QUEUES_MAX * 2 + 1,
    .size = VNET_QUEUE_SIZE,
    /* A frame's buffers and its header's, which may have two of its own. */
    .max_segs = NET_IOV_MAX + 2,
    .config_size = sizeof(struct vnet_config),
    .features = VNET_F_MAC | VNET_F_MRG_RXBUF | VNET_F_STATUS |
		VNET_F_CTRL_VQ | VNET_F_CTRL_RX | VNET_F_CTRL_VLAN |
		VNET_F_CTRL_RX_EXTRA | VNET_F_GUEST_ANNOUNCE |
		VNET_F_CTRL_MAC_ADDR | VNET_F_CTRL_GUEST_OFFLOADS,
    .in_order = true,
    .priv_size = sizeof(struct vnet),
    .state = &vnet_state,
    .init = vnet_init,
    .fini = vnet_fini,
    .features_ok = vnet_features_ok,
    .start = vnet_start,
    .notify = vnet_notify,
    .stop = vnet_stop,
    .reset = vnet_reset,
    .config_write = vnet_config_write,
};

static const struct config_var vnet_opts[] = {
    NETDEV_OPTS,
    {.name = "mtu",
	.type = CONFIG_UINT,
	.min = NETDEV_MTU_MIN,
	.max = 65535,
	.help = "largest packet, told to the guest"},
    {.name = "queues",
	.type = CONFIG_UINT,
	.min = 1,
	.max = NET_QUEUES_MAX,
	.dflt = "1",
	.help = "pairs of queues, where the backend has them (tap)"},
    VIRTIO_OPTS,
    {.name = NULL},
};

VIRTIO_DEVICE(virtio_net, "virtio-net",
    "network card: slirp, tapN, socket, passt", vnet_ops,
    .opts = vnet_opts, .man = "See\n.Sx NETWORKS .");
