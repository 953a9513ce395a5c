/* SPDX-License-Identifier: BSD-2-Clause */
/* What all network backends have in common, in front of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/backend.h"
#include "backend/net/frame.h"

static const struct net_kind {
	const char *name;
	bool prefix; /* a number or a name follows: tap0 */
	int (*create)(struct net **out, const struct net_config *cfg,
	    char *err, size_t errlen);
} kinds[] = {
    {"slirp", false, net_slirp_create},
    {"tap", true, net_tap_create},
    {"vmnet", true, net_tap_create}, /* bhyve's other name for it */
    {"socket", false, net_socket_create},
    {"passt", false, net_passt_create},
};

static const struct net_kind *
find_kind(const char *name)
{
	size_t len;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		len = strlen(kinds[i].name);
		if (strncmp(name, kinds[i].name, len) == 0 &&
		    (kinds[i].prefix || name[len] == '\0'))
			return (&kinds[i]);
	}
	return (NULL);
}

bool
net_known(const char *name)
{
	return (find_kind(name) != NULL);
}

const char *
net_names(void)
{
	return ("slirp, tap, socket or passt");
}

int
net_fail(char *err, size_t errlen, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return (error);
}

int
net_parse_fds(const char *s, int fds[NET_QUEUES_MAX])
{
	char *end;
	long v;
	int n = 0;

	for (;;) {
		if (*s < '0' || *s > '9' || n == (int)NET_QUEUES_MAX)
			return (-EINVAL);
		v = strtol(s, &end, 10);
		if (v > INT32_MAX || (*end != ':' && *end != '\0'))
			return (-EINVAL);
		/* 0 to 2 are the process's own. */
		if (v <= 2 || fcntl((int)v, F_GETFD) < 0)
			return (-EBADF);
		fds[n++] = (int)v;
		if (*end == '\0')
			return (n);
		s = end + 1;
	}
}

int
net_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen)
{
	struct net_config c = *cfg;
	const struct net_kind *kind;
	struct net *n = NULL;
	int error;

	if (c.backend == NULL) {
		c.backend = "slirp";
		c.open = true;
	}
	kind = find_kind(c.backend);
	if (kind == NULL)
		return (net_fail(err, errlen, -EINVAL,
		    "%.40s: no such network backend; use %s", c.backend,
		    net_names()));
	error = kind->create(&n, &c, err, errlen);
	if (error != 0)
		return (error);
	n->mtu = c.mtu;
	(void)snprintf(
	    n->label, sizeof(n->label), "%s", c.label ? c.label : "net");
	if (n->queues == 0)
		n->queues = 1;
	if (n->raw) {
		n->scratch = malloc(NET_FRAME_MAX);
		error = n->scratch == NULL ? -ENOMEM : 0;
	}
	if (error == 0 && c.pcap != NULL)
		error = pcap_create(&n->pcap, c.pcap);
	if (error != 0) {
		(void)net_fail(err, errlen, error,
		    "pcap=%.120s: cannot be written: %s; use another file",
		    c.pcap != NULL ? c.pcap : "", strerror(-error));
		net_destroy(n);
		return (error);
	}
	*out = n;
	return (0);
}

void
net_destroy(struct net *n)
{
	if (n == NULL)
		return;
	pcap_destroy(n->pcap);
	free(n->scratch);
	n->ops->destroy(n);
}

int
net_start(struct net *n, struct mevent_loop *loop, const struct net_user *user,
    void *arg)
{
	n->loop = loop;
	n->user = user;
	n->arg = arg;
	return (n->ops->start(n));
}

int
net_run(struct net *n)
{
	return (mevent_run_with(n->loop, n->ops->wait, n));
}

uint32_t
net_tx_offloads(const struct net *n)
{
	return (n->tx_offloads);
}

void
net_set_offloads(struct net *n, uint32_t offloads)
{
	n->rx_offloads = offloads;
	if (n->ops->offloads != NULL)
		n->ops->offloads(n);
}

unsigned
net_queues(const struct net *n)
{
	return (n->queues);
}

int
net_set_queues(struct net *n, unsigned queues)
{
	if (queues == 0 || queues > n->queues)
		return (-EINVAL);
	return (n->ops->set_queues != NULL ? n->ops->set_queues(n, queues) : 0);
}

bool
net_link(const struct net *n)
{
	return (n->up);
}

void
net_set_link(struct net *n, bool up)
{
	if (n->up == up)
		return;
	n->up = up;
	if (n->user != NULL)
		n->user->link(n->arg, up);
}

void
net_get_stats(const struct net *n, struct net_stats *st)
{
	*st = n->stats;
}

struct sending {
	struct net *n;
	unsigned queue;
};

static bool
send_piece(void *arg, const struct iovec iov[2])
{
	static const struct net_hdr none;
	struct sending *s = arg;

	s->n->ops->send(s->n, s->queue, &none, iov,
	    iov[1].iov_len == 0 ? 1 : 2, iov[0].iov_len + iov[1].iov_len);
	return (true);
}

/* A frame for a peer that takes no header: what the guest left to do is done
 * in a copy. 0 or -EINVAL. */
static int
send_raw(struct net *n, unsigned queue, const struct net_hdr *h,
    const struct iovec *iov, unsigned niov, size_t len)
{
	struct sending s = {n, queue};
	uint8_t *p = n->scratch;
	struct iovec one[2];
	struct frame f;
	unsigned type = h->gso_type & ~NET_GSO_ECN;
	unsigned i;

	if (len > NET_FRAME_MAX)
		return (-EINVAL);
	for (i = 0; i < niov; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	p = n->scratch;
	if (h->gso_type != NET_GSO_NONE && !n->jumbo)
		return (frame_segment(p, len, h, send_piece, &s) ? 0 : -EINVAL);
	if (h->gso_type != NET_GSO_NONE) {
		frame_parse(p, len, &f);
		if (f.l4 == 0 || f.proto != FRAME_TCP ||
		    f.version != (type == NET_GSO_TCPV6 ? 6 : 4))
			return (-EINVAL);
	}
	frame_finish(p, len, h);
	if (n->jumbo_mss != 0 &&
	    (n->rx_offloads & (NET_OFF_TSO4 | NET_OFF_TSO6)) ==
		(NET_OFF_TSO4 | NET_OFF_TSO6))
		frame_raise_mss(p, len, n->jumbo_mss);
	one[0].iov_base = p;
	one[0].iov_len = len;
	one[1].iov_len = 0;
	(void)send_piece(&s, one);
	return (0);
}

int
net_send(struct net *n, unsigned queue, const struct net_hdr *hdr,
    const struct iovec *iov, unsigned niov)
{
	size_t len = 0;
	unsigned i;
	int error = 0;

	if (n->ops->tx_ready != NULL && !n->ops->tx_ready(n, queue))
		return (-EAGAIN);
	if (niov > NET_IOV_MAX)
		return (-EINVAL);
	for (i = 0; i < niov; i++)
		len += iov[i].iov_len;
	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX ||
	    !frame_hdr_ok(hdr, len, n->tx_offloads)) {
		n->stats.tx_dropped++;
		return (-EINVAL);
	}
	if (n->pcap != NULL)
		pcap_write(n->pcap, iov, niov, len);
	if (!n->up) {
		n->stats.tx_dropped++;
		return (0);
	}
	/* Most have nothing to do for a peer without headers. */
	if (!n->raw ||
	    (hdr->flags == 0 && hdr->gso_type == 0 && n->jumbo_mss == 0))
		n->ops->send(n, queue, hdr, iov, niov, len);
	else
		error = send_raw(n, queue, hdr, iov, niov, len);
	if (error == 0)
		n->stats.tx++;
	else
		n->stats.tx_dropped++;
	return (error);
}

void
net_send_end(struct net *n, unsigned queue)
{
	if (n->ops->send_end != NULL)
		n->ops->send_end(n, queue);
}

void
net_rx_resume(struct net *n, unsigned queue)
{
	if (n->ops->rx_resume != NULL)
		n->ops->rx_resume(n, queue);
}

size_t
net_rx_room(struct net *n, unsigned queue, size_t want)
{
	n->nroom = NET_IOV_MAX;
	return (n->user->rx_room(n->arg, queue, n->room, &n->nroom, want));
}

void
net_rx_done(
    struct net *n, unsigned queue, const struct net_hdr *h, size_t len)
{
	if (n->pcap != NULL)
		pcap_write(n->pcap, n->room, n->nroom, len);
	n->stats.rx++;
	n->user->rx_done(n->arg, queue, h, len);
}

void
net_rx_end(struct net *n, unsigned queue)
{
	n->user->rx_end(n->arg, queue);
}

struct delivery {
	struct net *n;
	unsigned queue;
	unsigned done; /* pieces */
	bool full;
};

static bool
deliver_piece(void *arg, const struct iovec iov[2])
{
	static const struct net_hdr checked = {.flags = NET_HDR_DATA_VALID};
	static const struct net_hdr none;
	struct delivery *d = arg;
	struct net *n = d->n;
	size_t len = iov[0].iov_len + iov[1].iov_len;
	const uint8_t *from = iov[0].iov_base;
	size_t left = iov[0].iov_len, off = 0, k;
	unsigned i = 0, src = 0;

	if (net_rx_room(n, d->queue, len) < len) {
		d->full = true;
		return (false);
	}
	while (src < 2) {
		if (left == 0) {
			if (++src == 2)
				break;
			from = iov[1].iov_base;
			left = iov[1].iov_len;
			continue;
		}
		k = n->room[i].iov_len - off;
		if (k > left)
			k = left;
		memcpy((uint8_t *)n->room[i].iov_base + off, from, k);
		from += k;
		left -= k;
		off += k;
		if (off == n->room[i].iov_len) {
			i++;
			off = 0;
		}
	}
	net_rx_done(n, d->queue,
	    (n->rx_offloads & NET_OFF_CSUM) != 0 ? &checked : &none, len);
	d->done++;
	return (true);
}

/* One frame in one piece, with its header. */
static bool
deliver_whole(struct net *n, unsigned queue, const struct net_hdr *h,
    const uint8_t *p, size_t len)
{
	size_t done = 0, k;
	unsigned i;

	if (net_rx_room(n, queue, len) < len)
		return (false);
	for (i = 0; done < len; i++, done += k) {
		k = n->room[i].iov_len < len - done ? n->room[i].iov_len
						    : len - done;
		memcpy(n->room[i].iov_base, p + done, k);
	}
	net_rx_done(n, queue, h, len);
	return (true);
}

bool
net_deliver(struct net *n, unsigned queue, const struct net_hdr *h, uint8_t *p,
    size_t len)
{
	struct delivery d = {.n = n, .queue = queue};
	struct net_hdr hdr = *h;

	if (!frame_hdr_ok(h, len, NET_OFF_ALL)) {
		n->stats.rx_dropped++;
		return (true);
	}
	if (h->gso_type != NET_GSO_NONE &&
	    !frame_hdr_ok(h, len, n->rx_offloads)) {
		if (!frame_segment(p, len, h, deliver_piece, &d)) {
			n->stats.rx_dropped++;
			return (true);
		}
		if (!d.full)
			return (true);
		/* Half of it is there: the rest comes again by TCP. */
		n->stats.rx_dropped++;
		return (d.done != 0);
	}
	if ((n->rx_offloads & NET_OFF_CSUM) == 0) {
		frame_finish(p, len, h);
		memset(&hdr, 0, sizeof(hdr));
	}
	return (deliver_whole(n, queue, &hdr, p, len));
}
