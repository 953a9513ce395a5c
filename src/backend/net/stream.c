/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames over a Unix socket, each behind its length in 4 bytes, big-endian:
 * another machine (socket; QEMU's "-netdev stream" speaks the same), or
 * passt.
 *
 * The peer is hostile: a length that no frame has ends the connection. One
 * that does not read has its frames dropped; one that is gone is a cable
 * without a link, and is connected to again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/net/backend.h"
#include "backend/net/frame.h"
#include "backend/unixsock.h"

#define LEN_SIZE 4u
/* Output: beyond OUT_LOW the guest waits; the rest is for the pieces of one
 * frame. */
#define OUT_LOW	 (128u << 10)
#define OUT_SIZE (512u << 10)
#define IN_SIZE	 (256u << 10)
#define RETRY_MS 1000

struct stream {
	struct net net; /* first */
	int fd, timerfd;
	struct unix_listener listener;
	char *path;   /* to connect to; NULL: none */
	bool trusted; /* its checksums are */
	struct mevent *ev, *listen_ev, *timer_ev;
	unsigned watch; /* what ev watches */
	bool blocked;	/* the guest has no room */
	bool waiting;	/* the guest waits for tx_ready */
	bool stalled;	/* the peer takes nothing */
	bool timing;	/* the stall's timer runs */
	bool moved;	/* something was taken since it does */
	size_t out_head, out_len, in_head, in_len;
	uint8_t *out, *in;
};

static void stream_ready(void *arg, unsigned ready);

static void
stream_timer(struct stream *s, unsigned ms)
{
	const struct itimerspec its = {
	    .it_value = {ms / 1000, (long)(ms % 1000) * 1000000},
	};

	(void)timerfd_settime(s->timerfd, 0, &its, NULL);
}

static void
stream_watch(struct stream *s)
{
	unsigned want = 0;

	if (s->ev == NULL)
		return;
	if (!s->blocked)
		want |= MEVENT_READ;
	if (s->out_len > 0)
		want |= MEVENT_WRITE;
	if (want != s->watch && mevent_modify(s->ev, want) == 0)
		s->watch = want;
}

/* The guest's frames that wait can go, or be dropped. */
static void
stream_wake(struct stream *s)
{
	if (!s->waiting)
		return;
	s->waiting = false;
	s->net.user->tx_ready(s->net.arg, 0);
}

static void
stream_gone(struct stream *s)
{
	if (s->fd < 0)
		return;
	mevent_remove(s->ev);
	s->ev = NULL;
	(void)close(s->fd);
	s->fd = -1;
	s->out_len = s->in_len = 0;
	s->stalled = s->timing = false;
	/* `blocked` stays: it is the guest's. */
	if (s->path != NULL)
		stream_timer(s, RETRY_MS);
	net_set_link(&s->net, false);
	stream_wake(s);
}

static int
stream_open(struct stream *s, int fd)
{
	int error;

	s->out_head = s->out_len = s->in_head = s->in_len = 0;
	s->watch = s->blocked ? 0 : MEVENT_READ;
	error = mevent_add(
	    s->net.loop, fd, s->watch, stream_ready, s, &s->ev);
	if (error != 0) {
		(void)close(fd);
		return (error);
	}
	s->fd = fd;
	net_set_link(&s->net, true);
	return (0);
}

static void
stream_connect(struct stream *s)
{
	int fd = unix_connect(s->path);

	if (fd < 0 || stream_open(s, fd) != 0)
		stream_timer(s, RETRY_MS);
}

static void
stream_accept(void *arg, unsigned ready)
{
	struct stream *s = arg;
	int fd;

	(void)ready;
	fd = unix_accept(&s->listener);
	if (fd < 0)
		return;
	/* One cable has two ends. */
	if (s->fd >= 0)
		(void)close(fd);
	else
		(void)stream_open(s, fd);
}

static void
stream_timeout(void *arg, unsigned ready)
{
	struct stream *s = arg;
	uint64_t n;

	(void)ready;
	if (read(s->timerfd, &n, sizeof(n)) != sizeof(n))
		return;
	if (s->fd < 0) {
		if (s->path != NULL)
			stream_connect(s);
		return;
	}
	s->timing = false;
	if (s->out_len == 0)
		return;
	if (s->moved) {
		s->moved = false;
		s->timing = true;
		stream_timer(s, NET_STALL_MS);
		return;
	}
	s->stalled = true;
	stream_wake(s);
}

/* Sends what waits. The connection is gone after, if it fails. */
static void
stream_flush(struct stream *s)
{
	ssize_t n;

	while (s->out_len > 0) {
		n = send(s->fd, s->out + s->out_head, s->out_len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			stream_gone(s);
			return;
		}
		s->out_head += (size_t)n;
		s->out_len -= (size_t)n;
		s->moved = true;
		s->stalled = false;
	}
	if (s->out_len == 0)
		s->out_head = 0;
	else if (!s->timing && !s->stalled) {
		s->timing = true;
		s->moved = false;
		stream_timer(s, NET_STALL_MS);
	}
	stream_watch(s);
}

static bool
stream_tx_ready(struct net *n, unsigned queue)
{
	struct stream *s = (struct stream *)n;

	(void)queue;
	if (s->fd < 0 || s->stalled || s->out_len < OUT_LOW)
		return (true);
	stream_flush(s);
	if (s->fd < 0 || s->stalled || s->out_len < OUT_LOW)
		return (true);
	s->waiting = true;
	return (false);
}

static void
stream_send(struct net *n, unsigned queue, const struct net_hdr *h,
    const struct iovec *iov, unsigned niov, size_t len)
{
	struct stream *s = (struct stream *)n;
	uint32_t be = htonl((uint32_t)len);
	uint8_t *p;
	unsigned i;

	(void)queue;
	(void)h;
	if (s->fd < 0 || s->stalled ||
	    s->out_len + LEN_SIZE + len > OUT_SIZE) {
		n->stats.tx_dropped++;
		return;
	}
	if (s->out_head + s->out_len + LEN_SIZE + len > OUT_SIZE) {
		memmove(s->out, s->out + s->out_head, s->out_len);
		s->out_head = 0;
	}
	p = s->out + s->out_head + s->out_len;
	memcpy(p, &be, LEN_SIZE);
	p += LEN_SIZE;
	for (i = 0; i < niov; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	s->out_len += LEN_SIZE + len;
}

static void
stream_send_end(struct net *n, unsigned queue)
{
	struct stream *s = (struct stream *)n;

	(void)queue;
	if (s->fd >= 0 && !s->stalled)
		stream_flush(s);
}

/* Hands over the frames that are complete. */
static void
stream_deliver(struct stream *s)
{
	struct net_hdr h;
	struct frame f;
	uint32_t len;
	uint8_t *p;
	bool some = false;

	while (s->in_len >= LEN_SIZE) {
		p = s->in + s->in_head;
		memcpy(&len, p, LEN_SIZE);
		len = ntohl(len);
		if (len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
			log_guest(&s->net.rate,
			    "%s: the peer sent a frame of %u bytes; its "
			    "connection ends", s->net.label, len);
			stream_gone(s);
			break;
		}
		if (s->in_len < LEN_SIZE + len)
			break;
		p += LEN_SIZE;
		if (len <= s->net.mtu + NET_ETH_HLEN ||
		    !frame_make_gso(p, len, s->net.mtu, &h)) {
			memset(&h, 0, sizeof(h));
			if (s->trusted) {
				frame_parse(p, len, &f);
				if (f.l4 != 0)
					h.flags = NET_HDR_DATA_VALID;
			}
		}
		if (!net_deliver(&s->net, 0, &h, p, len)) {
			s->blocked = true;
			break;
		}
		some = true;
		s->in_head += LEN_SIZE + len;
		s->in_len -= LEN_SIZE + len;
	}
	if (some)
		net_rx_end(&s->net, 0);
}

static void
stream_input(struct stream *s)
{
	ssize_t n;

	if (s->in_head != 0) {
		memmove(s->in, s->in + s->in_head, s->in_len);
		s->in_head = 0;
	}
	n = recv(s->fd, s->in + s->in_len, IN_SIZE - s->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		stream_gone(s);
		return;
	}
	s->in_len += (size_t)n;
	stream_deliver(s);
}

static void
stream_ready(void *arg, unsigned ready)
{
	struct stream *s = arg;

	if ((ready & MEVENT_WRITE) != 0) {
		stream_flush(s);
		if (s->fd >= 0 && s->out_len < OUT_LOW)
			stream_wake(s);
	}
	if ((ready & MEVENT_READ) != 0 && s->fd >= 0 && !s->blocked)
		stream_input(s);
	stream_watch(s);
}

static void
stream_rx_resume(struct net *n, unsigned queue)
{
	struct stream *s = (struct stream *)n;

	(void)queue;
	if (!s->blocked)
		return;
	s->blocked = false;
	if (s->fd >= 0)
		stream_deliver(s);
	stream_watch(s);
}

static int
stream_start(struct net *n)
{
	struct stream *s = (struct stream *)n;
	int error = 0, fd = s->fd;

	error = mevent_add(n->loop, s->timerfd, MEVENT_READ, stream_timeout, s,
	    &s->timer_ev);
	if (error == 0 && s->listener.fd >= 0)
		error = mevent_add(n->loop, s->listener.fd, MEVENT_READ,
		    stream_accept, s, &s->listen_ev);
	if (error != 0)
		return (error);
	s->fd = -1;
	if (fd >= 0)
		return (stream_open(s, fd));
	if (s->path != NULL)
		stream_connect(s);
	return (0);
}

static void
stream_destroy(struct net *n)
{
	struct stream *s = (struct stream *)n;

	mevent_remove(s->ev);
	mevent_remove(s->listen_ev);
	mevent_remove(s->timer_ev);
	unix_unlisten(&s->listener);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->timerfd >= 0)
		(void)close(s->timerfd);
	free(s->path);
	free(s->out);
	free(s->in);
	free(s);
}

static const struct net_ops stream_ops = {
    .start = stream_start,
    .destroy = stream_destroy,
    .tx_ready = stream_tx_ready,
    .send = stream_send,
    .send_end = stream_send_end,
    .rx_resume = stream_rx_resume,
};

static int
stream_create(struct stream **out, const struct net_config *cfg, char *err,
    size_t errlen)
{
	int fds[NET_QUEUES_MAX], n, error = -ENOMEM;
	struct stream *s;

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return (-ENOMEM);
	s->net.ops = &stream_ops;
	s->net.tx_offloads =
	    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6 | NET_OFF_ECN;
	s->net.raw = true;
	s->fd = s->listener.fd = -1;
	s->timerfd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	s->out = malloc(OUT_SIZE);
	s->in = malloc(IN_SIZE);
	if (s->timerfd < 0 || s->out == NULL || s->in == NULL) {
		(void)net_fail(err, errlen, error, "%s: no memory",
		    cfg->backend);
		goto fail;
	}
	if (cfg->fd != NULL) {
		n = net_parse_fds(cfg->fd, fds);
		error = n == 1 ? 0 : n < 0 ? n : -EINVAL;
		if (error == 0 && fcntl(fds[0], F_SETFL,
				      fcntl(fds[0], F_GETFL) | O_NONBLOCK) != 0)
			error = -errno;
		if (error != 0) {
			(void)net_fail(err, errlen, error,
			    "fd=%.40s: not the number of an open socket",
			    cfg->fd);
			goto fail;
		}
		(void)fcntl(fds[0], F_SETFD, FD_CLOEXEC);
		s->fd = fds[0];
	} else if (cfg->path == NULL) {
		error = net_fail(err, errlen, -EINVAL,
		    "%s: no peer; add path=SOCKET", cfg->backend);
		goto fail;
	} else if (cfg->listen) {
		error = unix_listen(&s->listener, cfg->path);
		if (error != 0) {
			(void)net_fail(err, errlen, error,
			    "path=%.120s: cannot listen there: %s; use another",
			    cfg->path, strerror(-error));
			goto fail;
		}
	} else {
		s->path = strdup(cfg->path);
		error = s->path == NULL ? -ENOMEM : 0;
		if (error != 0)
			goto fail;
	}
	*out = s;
	return (0);
fail:
	stream_destroy(&s->net);
	return (error);
}

/* The other end may start later: then there is no link yet. */
int
net_socket_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen)
{
	struct stream *s;
	int error;

	error = stream_create(&s, cfg, err, errlen);
	if (error == 0)
		*out = &s->net;
	return (error);
}

/* passt is there, or the user has forgotten it. Large segments go both ways
 * as they are, as with libslirp: its MTU is 65520. */
int
net_passt_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen)
{
	struct net_config c = *cfg;
	struct stream *s;
	int error;

	c.listen = false;
	error = stream_create(&s, &c, err, errlen);
	if (error != 0)
		return (error);
	s->net.jumbo = true;
	s->net.jumbo_mss = 65495;
	s->trusted = true;
	if (s->path != NULL) {
		s->fd = unix_connect(s->path);
		if (s->fd < 0) {
			error = s->fd;
			(void)net_fail(err, errlen, error,
			    "path=%.120s: no passt there: %s; start it first, "
			    "with --socket", cfg->path, strerror(-error));
			stream_destroy(&s->net);
			return (error);
		}
	}
	*out = &s->net;
	return (0);
}
