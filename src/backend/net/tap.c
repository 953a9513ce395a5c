/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tap interface of the kernel (Documentation/networking/tuntap): frames go
 * in and out by readv() and writev(), straight from and to the guest's
 * buffers, with the header of virtio in front, so that segments of 64 KiB
 * and checksums that are not done pass as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/backend.h"

/* Frames of one queue before others get their turn. */
#define BURST 64u
/* The most that a guest without TSO expects. */
#define SMALL_FRAME 2048u

struct tap_queue {
	struct tap *tap;
	unsigned num;
	int fd;
	struct mevent *ev;
	bool enabled;
	bool blocked; /* the guest has no room */
	/* A frame that did not fit in what the guest had. */
	struct net_hdr held_hdr;
	size_t held;
};

struct tap {
	struct net net; /* first */
	bool vnet;	/* headers pass; else frames are bare */
	struct tap_queue q[NET_QUEUES_MAX];
	uint8_t *spill; /* NET_FRAME_MAX bytes, behind the guest's room */
	uint8_t *bounce[NET_QUEUES_MAX];
};

static void
tap_watch(struct tap_queue *q)
{
	if (q->ev != NULL)
		(void)mevent_modify(
		    q->ev, q->enabled && !q->blocked ? MEVENT_READ : 0);
}

/* One frame from the kernel to the guest; false: no more for now. */
static bool
tap_input(struct tap_queue *q)
{
	struct tap *t = q->tap;
	struct net *n = &t->net;
	struct iovec iov[NET_IOV_MAX + 2];
	struct net_hdr h = {0};
	size_t room, len, want, k;
	unsigned i, first = t->vnet ? 1 : 0;
	uint8_t *p;
	ssize_t rc;

	want = (n->rx_offloads & ~NET_OFF_CSUM) != 0 ? NET_FRAME_MAX
						     : SMALL_FRAME;
	room = net_rx_room(n, q->num, want);
	if (room == 0) {
		q->blocked = true;
		return (false);
	}
	iov[0].iov_base = &h;
	iov[0].iov_len = NET_HDR_SIZE;
	memcpy(iov + first, n->room, n->nroom * sizeof(*iov));
	iov[first + n->nroom].iov_base = t->spill;
	iov[first + n->nroom].iov_len = NET_FRAME_MAX;
	do
		rc = readv(q->fd, iov, (int)(first + n->nroom + 1));
	while (rc < 0 && errno == EINTR);
	if (rc < (ssize_t)((t->vnet ? NET_HDR_SIZE : 0) + NET_FRAME_MIN))
		return (false);
	len = (size_t)rc - (t->vnet ? NET_HDR_SIZE : 0);
	if (len <= room) {
		net_rx_done(n, q->num, &h, len);
		return (true);
	}
	/* It does not fit: together in one piece, and once more. */
	p = t->bounce[q->num];
	if (len > NET_FRAME_MAX) {
		n->stats.rx_dropped++;
		return (true);
	}
	for (i = 0, k = 0; i < n->nroom; k += n->room[i++].iov_len)
		memcpy(p + k, n->room[i].iov_base, n->room[i].iov_len);
	memcpy(p + k, t->spill, len - k);
	if (net_deliver(n, q->num, &h, p, len))
		return (true);
	q->held = len;
	q->held_hdr = h;
	q->blocked = true;
	return (false);
}

static void
tap_readable(void *arg, unsigned ready)
{
	struct tap_queue *q = arg;
	unsigned i;

	(void)ready;
	if (q->blocked || !q->enabled)
		return;
	for (i = 0; i < BURST && tap_input(q); i++)
		continue;
	net_rx_end(&q->tap->net, q->num);
	if (q->blocked)
		tap_watch(q);
}

static void
tap_rx_resume(struct net *n, unsigned queue)
{
	struct tap *t = (struct tap *)n;
	struct tap_queue *q = &t->q[queue];

	if (!q->blocked)
		return;
	q->blocked = false;
	if (q->held != 0) {
		/* Now or never: the guest may have no more than this. */
		if (!net_deliver(n, queue, &q->held_hdr, t->bounce[queue],
			q->held))
			n->stats.rx_dropped++;
		q->held = 0;
		net_rx_end(n, queue);
	}
	tap_watch(q);
}

static void
tap_send(struct net *n, unsigned queue, const struct net_hdr *h,
    const struct iovec *iov, unsigned niov, size_t len)
{
	struct tap *t = (struct tap *)n;
	struct iovec all[NET_IOV_MAX + 1];
	unsigned first = t->vnet ? 1 : 0;
	struct net_hdr hdr = *h;
	ssize_t rc;

	/* What the kernel expects from us, and nothing else. */
	hdr.flags &= NET_HDR_NEEDS_CSUM;
	all[0].iov_base = &hdr;
	all[0].iov_len = NET_HDR_SIZE;
	memcpy(all + first, iov, niov * sizeof(*iov));
	do
		rc = writev(t->q[queue].fd, all, (int)(first + niov));
	while (rc < 0 && errno == EINTR);
	/* Full, down or not to its liking: the frame is lost. */
	if (rc < (ssize_t)len)
		n->stats.tx_dropped++;
}

static void
tap_offloads(struct net *n)
{
	struct tap *t = (struct tap *)n;
	unsigned long f = 0;

	if (!t->vnet)
		return;
	if ((n->rx_offloads & NET_OFF_CSUM) != 0)
		f |= TUN_F_CSUM;
	if ((n->rx_offloads & NET_OFF_TSO4) != 0)
		f |= TUN_F_TSO4;
	if ((n->rx_offloads & NET_OFF_TSO6) != 0)
		f |= TUN_F_TSO6;
	if ((n->rx_offloads & NET_OFF_ECN) != 0 &&
	    (f & (TUN_F_TSO4 | TUN_F_TSO6)) != 0)
		f |= TUN_F_TSO_ECN;
	if ((n->rx_offloads & NET_OFF_UFO) != 0)
		f |= TUN_F_UFO;
	/* Of the interface, not of the queue. A kernel without UFO says no
	 * to all. */
	if (ioctl(t->q[0].fd, TUNSETOFFLOAD, f) != 0)
		(void)ioctl(t->q[0].fd, TUNSETOFFLOAD, f & ~TUN_F_UFO);
}

/* The kernel spreads frames over the queues that are attached. */
static int
tap_set_queues(struct net *n, unsigned queues)
{
	struct tap *t = (struct tap *)n;
	struct ifreq ifr;
	unsigned i;
	bool want;

	for (i = 0; n->queues > 1 && i < n->queues; i++) {
		want = i < queues;
		if (t->q[i].enabled == want)
			continue;
		memset(&ifr, 0, sizeof(ifr));
		ifr.ifr_flags = want ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
		if (ioctl(t->q[i].fd, TUNSETQUEUE, &ifr) != 0)
			return (-errno);
		t->q[i].enabled = want;
		tap_watch(&t->q[i]);
	}
	return (0);
}

static int
tap_start(struct net *n)
{
	struct tap *t = (struct tap *)n;
	unsigned i;
	int error;

	for (i = 0; i < n->queues; i++) {
		t->q[i].enabled = true;
		error = mevent_add(n->loop, t->q[i].fd, MEVENT_READ,
		    tap_readable, &t->q[i], &t->q[i].ev);
		if (error != 0)
			return (error);
	}
	/* Only the first queue is in use until the guest says more. */
	error = tap_set_queues(n, 1);
	if (error != 0)
		return (error);
	tap_offloads(n);
	net_set_link(n, true);
	return (0);
}

static void
tap_destroy(struct net *n)
{
	struct tap *t = (struct tap *)n;
	unsigned i;

	for (i = 0; i < NET_QUEUES_MAX; i++) {
		mevent_remove(t->q[i].ev);
		if (t->q[i].fd >= 0)
			(void)close(t->q[i].fd);
		free(t->bounce[i]);
	}
	free(t->spill);
	free(t);
}

static const struct net_ops tap_ops = {
    .start = tap_start,
    .destroy = tap_destroy,
    .send = tap_send,
    .rx_resume = tap_rx_resume,
    .offloads = tap_offloads,
    .set_queues = tap_set_queues,
};

/* As bhyve does: the interface goes up with the machine. */
static void
tap_up(const char *name)
{
	struct ifreq ifr;
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 &&
	    (ifr.ifr_flags & IFF_UP) == 0) {
		ifr.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &ifr) != 0)
			log_warn("%s: cannot be set up: %s; use 'ip link set "
				 "%s up'", name, strerror(errno), name);
	}
	(void)close(fd);
}

static int
tap_open_queue(struct tap *t, const char *name, short extra)
{
	struct ifreq ifr;
	int error, fd, size = NET_HDR_SIZE;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return (-errno);
	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | extra);
	/* An interface that stays keeps the size its last user has set. */
	if (ioctl(fd, TUNSETIFF, &ifr) != 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) {
		error = -errno;
		(void)close(fd);
		return (error);
	}
	t->q[t->net.queues].fd = fd;
	t->net.queues++;
	return (0);
}

static int
tap_open_name(struct tap *t, const struct net_config *cfg, char *err,
    size_t errlen)
{
	const char *name = cfg->ifname != NULL ? cfg->ifname : cfg->backend;
	const char *why;
	unsigned want = cfg->queues != 0 ? cfg->queues : 1, i;
	int error = 0;

	if (strlen(name) >= IFNAMSIZ || strchr(name, '/') != NULL ||
	    strchr(name, '%') != NULL)
		return (net_fail(err, errlen, -EINVAL,
		    "%.40s: not the name of an interface; use one as tap0",
		    name));
	for (i = 0; i < want && error == 0; i++)
		error = tap_open_queue(t, name,
		    want > 1 ? IFF_MULTI_QUEUE : 0);
	/* One that was made for a single queue, or for many: use it. */
	if (error == -EINVAL && t->net.queues == 0)
		error = tap_open_queue(t, name,
		    want > 1 ? 0 : IFF_MULTI_QUEUE);
	if (error != 0 && (t->net.queues == 0 || error != -EINVAL)) {
		why = error == -EBUSY ? "another program has it"
				      : strerror(-error);
		return (net_fail(err, errlen, error,
		    "open of tap device %.40s failed: %s; make it by 'ip "
		    "tuntap add dev %.40s mode tap user ...'%s", name, why,
		    name, error == -EPERM ? ", or use slirp" : ""));
	}
	t->vnet = true;
	tap_up(name);
	return (0);
}

static int
tap_open_fds(struct tap *t, const struct net_config *cfg, char *err,
    size_t errlen)
{
	int fds[NET_QUEUES_MAX], n, i, size = NET_HDR_SIZE;
	struct ifreq ifr;

	n = net_parse_fds(cfg->fd, fds);
	if (n < 0)
		return (net_fail(err, errlen, n,
		    "fd=%.40s: not numbers of open descriptors, as 3 or 3:4",
		    cfg->fd));
	for (i = 0; i < n; i++) {
		memset(&ifr, 0, sizeof(ifr));
		if (ioctl(fds[i], TUNGETIFF, &ifr) != 0 ||
		    (ifr.ifr_flags & IFF_TAP) == 0 ||
		    (ifr.ifr_flags & IFF_NO_PI) == 0)
			return (net_fail(err, errlen, -EINVAL,
			    "fd=%.40s: %d is not a tap device with IFF_NO_PI",
			    cfg->fd, fds[i]));
		if (i > 0 && t->vnet != ((ifr.ifr_flags & IFF_VNET_HDR) != 0))
			return (net_fail(err, errlen, -EINVAL,
			    "fd=%.40s: some have IFF_VNET_HDR, some not",
			    cfg->fd));
		t->vnet = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
		if (t->vnet)
			(void)ioctl(fds[i], TUNSETVNETHDRSZ, &size);
		(void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(
		    fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
		t->q[i].fd = fds[i];
	}
	t->net.queues = (unsigned)n;
	return (0);
}

int
net_tap_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen)
{
	struct tap *t;
	unsigned i;
	int error;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return (net_fail(err, errlen, -ENOMEM, "tap: no memory"));
	t->net.ops = &tap_ops;
	for (i = 0; i < NET_QUEUES_MAX; i++) {
		t->q[i].tap = t;
		t->q[i].num = i;
		t->q[i].fd = -1;
	}
	error = cfg->fd != NULL ? tap_open_fds(t, cfg, err, errlen)
				: tap_open_name(t, cfg, err, errlen);
	if (error != 0)
		goto fail;
	t->spill = malloc(NET_FRAME_MAX);
	for (i = 0; i < t->net.queues && t->spill != NULL; i++) {
		t->bounce[i] = malloc(NET_FRAME_MAX);
		if (t->bounce[i] == NULL)
			break;
	}
	if (i < t->net.queues) {
		error = net_fail(err, errlen, -ENOMEM, "tap: no memory");
		goto fail;
	}
	t->net.raw = !t->vnet;
	t->net.tx_offloads =
	    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6 | NET_OFF_ECN;
	if (t->vnet)
		t->net.tx_offloads |= NET_OFF_UFO;
	*out = &t->net;
	return (0);
fail:
	tap_destroy(&t->net);
	return (error);
}
