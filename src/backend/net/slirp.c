/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network inside the process, by libslirp: the guest's connections become
 * sockets of this process, which needs no privileges.
 *
 * libslirp wants to be asked before and after each poll(); so the event loop
 * of the device sleeps here (slirp_wait), and everything is one thread
 * without locks. Segments of TCP pass in one piece of up to JUMBO_MTU: the
 * guest's are not taken apart, and libslirp makes large ones because the
 * SYNs of a guest that takes them are changed to say so. Its window is 64
 * KiB in each direction, as it does not scale it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/net/backend.h"
#include "backend/net/frame.h"
#include "backend/net/hostfwd.h"
#include "backend/net/slirp_api.h"

/* Two of them and a bit fill the window. */
#define JUMBO_MTU 31856u
#define JUMBO_MSS 65495u
/* What waits for a guest without buffers. */
#define WAITING_MAX   1024u
#define WAITING_BYTES (4u << 20)
#define NS_PER_MS     INT64_C(1000000)
#define TIMERS_MAX    4

/* A frame that the guest had no room for. */
struct waiting {
	struct waiting *next;
	struct net_hdr hdr;
	size_t len;
	uint8_t p[];
};

struct slirp_timer {
	bool used;
	SlirpTimerId id;
	void *arg;
	int64_t at; /* ms; INT64_MAX: not armed */
};

struct slirp_net {
	struct net net; /* first */
	struct slirp_api api;
	Slirp *slirp;
	struct slirp_timer timers[TIMERS_MAX];
	struct pollfd *fds;
	unsigned nfds, maxfds;
	struct waiting *head, **tail;
	unsigned nwaiting;
	size_t bytes;
	bool delivered; /* since net_rx_end() */
};

static int64_t
slirp_now(void *arg)
{
	struct timespec ts;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec);
}

/* Keeps it for later, or drops it. */
static void
slirp_keep(struct slirp_net *s, const struct net_hdr *h, const uint8_t *p,
    size_t len)
{
	struct waiting *w = NULL;

	if (s->nwaiting < WAITING_MAX && s->bytes + len <= WAITING_BYTES)
		w = malloc(sizeof(*w) + len);
	if (w == NULL) {
		s->net.stats.rx_dropped++;
		return;
	}
	w->next = NULL;
	w->hdr = *h;
	w->len = len;
	memcpy(w->p, p, len);
	*s->tail = w;
	s->tail = &w->next;
	s->nwaiting++;
	s->bytes += len;
}

static void
slirp_drop_first(struct slirp_net *s)
{
	struct waiting *w = s->head;

	s->head = w->next;
	if (s->head == NULL)
		s->tail = &s->head;
	s->nwaiting--;
	s->bytes -= w->len;
	free(w);
}

/* libslirp has a frame for the guest. It is done with the buffer after. */
static ssize_t
slirp_packet(const void *buf, size_t len, void *arg)
{
	struct slirp_net *s = arg;
	uint8_t *p = (uint8_t *)(uintptr_t)buf;
	struct net_hdr h;
	struct frame f;

	/* Before start nobody is there to take it. */
	if (s->net.user == NULL || len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return ((ssize_t)len);
	if (len <= s->net.mtu + NET_ETH_HLEN ||
	    !frame_make_gso(p, len, s->net.mtu, &h)) {
		/* It comes from this process: its checksums are right. */
		memset(&h, 0, sizeof(h));
		frame_parse(p, len, &f);
		if (f.l4 != 0)
			h.flags = NET_HDR_DATA_VALID;
	}
	s->delivered = true;
	if (s->head != NULL || !net_deliver(&s->net, 0, &h, p, len))
		slirp_keep(s, &h, p, len);
	return ((ssize_t)len);
}

static void
slirp_error(const char *msg, void *arg)
{
	struct slirp_net *s = arg;

	log_guest(&s->net.rate, "%s: slirp: %.200s", s->net.label, msg);
}

static void *
slirp_timer_add(SlirpTimerId id, void *cb_arg, void *arg)
{
	struct slirp_net *s = arg;

	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		struct slirp_timer *t = &s->timers[i];

		if (t->used)
			continue;
		t->used = true;
		t->id = id;
		t->arg = cb_arg;
		t->at = INT64_MAX;
		return (t);
	}
	return (NULL);
}

static void
slirp_timer_free(void *timer, void *arg)
{
	struct slirp_timer *t = timer;

	(void)arg;
	if (t != NULL)
		t->used = false;
}

static void
slirp_timer_mod(void *timer, int64_t ms, void *arg)
{
	struct slirp_timer *t = timer;

	(void)arg;
	if (t != NULL)
		t->at = ms;
}

/* Every descriptor is named again by slirp_pollfds_fill(). */
static void
slirp_fd_changed(int fd, void *arg)
{
	(void)fd;
	(void)arg;
}

/* It runs on the only thread that calls it. */
static void
slirp_notify(void *arg)
{
	(void)arg;
}

static const SlirpCb slirp_cb = {
    .send_packet = slirp_packet,
    .guest_error = slirp_error,
    .clock_get_ns = slirp_now,
    .timer_free = slirp_timer_free,
    .timer_mod = slirp_timer_mod,
    .register_poll_fd = slirp_fd_changed,
    .unregister_poll_fd = slirp_fd_changed,
    .notify = slirp_notify,
    .timer_new_opaque = slirp_timer_add,
};

static int
slirp_add_poll(int fd, int events, void *arg)
{
	struct slirp_net *s = arg;
	struct pollfd *more;
	short ev = 0;

	if (s->nfds == s->maxfds) {
		more = realloc(s->fds, (s->maxfds * 2 + 16) * sizeof(*more));
		if (more == NULL)
			return (-1); /* not polled this time */
		s->fds = more;
		s->maxfds = s->maxfds * 2 + 16;
	}
	if (events & SLIRP_POLL_IN)
		ev |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		ev |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		ev |= POLLPRI;
	s->fds[s->nfds] = (struct pollfd){.fd = fd, .events = ev};
	return ((int)s->nfds++);
}

static int
slirp_revents(int idx, void *arg)
{
	struct slirp_net *s = arg;
	int ev = 0;
	short got;

	if (idx < 0 || (unsigned)idx >= s->nfds)
		return (0);
	got = s->fds[idx].revents;
	if (got & POLLIN)
		ev |= SLIRP_POLL_IN;
	if (got & POLLOUT)
		ev |= SLIRP_POLL_OUT;
	if (got & POLLPRI)
		ev |= SLIRP_POLL_PRI;
	if (got & POLLERR)
		ev |= SLIRP_POLL_ERR;
	if (got & POLLHUP)
		ev |= SLIRP_POLL_HUP;
	return (ev);
}

static void
slirp_rx_end(struct slirp_net *s)
{
	if (!s->delivered)
		return;
	s->delivered = false;
	net_rx_end(&s->net, 0);
}

/* The event loop sleeps: struct net_ops. */
static void
slirp_wait(void *arg, int fd)
{
	struct slirp_net *s = arg;
	uint32_t timeout = UINT32_MAX;
	int64_t now, left;
	unsigned i;
	int n;

	s->nfds = 0;
	if (slirp_add_poll(fd, SLIRP_POLL_IN, s) < 0)
		return;
	s->api.pollfds_fill(s->slirp, &timeout, slirp_add_poll, s);
	now = slirp_now(NULL) / NS_PER_MS;
	for (i = 0; i < TIMERS_MAX; i++) {
		if (!s->timers[i].used || s->timers[i].at == INT64_MAX)
			continue;
		left = s->timers[i].at > now ? s->timers[i].at - now : 0;
		if (left < (int64_t)timeout)
			timeout = (uint32_t)left;
	}
	n = poll(s->fds, s->nfds, timeout > INT32_MAX ? -1 : (int)timeout);
	s->api.pollfds_poll(s->slirp, n < 0, slirp_revents, s);
	now = slirp_now(NULL) / NS_PER_MS;
	for (i = 0; i < TIMERS_MAX; i++) {
		struct slirp_timer *t = &s->timers[i];

		if (!t->used || t->at > now)
			continue;
		t->at = INT64_MAX;
		s->api.handle_timer(s->slirp, t->id, t->arg);
	}
	slirp_rx_end(s);
}

static int
slirp_start(struct net *n)
{
	net_set_link(n, true);
	return (0);
}

static void
slirp_destroy(struct net *n)
{
	struct slirp_net *s = (struct slirp_net *)n;

	/* It may want to say goodbye to the guest. */
	n->user = NULL;
	if (s->slirp != NULL)
		s->api.cleanup(s->slirp);
	slirp_api_unload(&s->api);
	while (s->head != NULL)
		slirp_drop_first(s);
	free(s->fds);
	free(s);
}

static void
slirp_send(struct net *n, unsigned queue, const struct net_hdr *h,
    const struct iovec *iov, unsigned niov, size_t len)
{
	struct slirp_net *s = (struct slirp_net *)n;

	(void)queue;
	(void)h;
	/* net.c has made one piece of it (jumbo_mss). */
	if (niov == 1)
		s->api.input(s->slirp, iov[0].iov_base, (int)len);
}

static void
slirp_send_end(struct net *n, unsigned queue)
{
	(void)queue;
	/* What it answered at once. */
	slirp_rx_end((struct slirp_net *)n);
}

static void
slirp_rx_resume(struct net *n, unsigned queue)
{
	struct slirp_net *s = (struct slirp_net *)n;
	struct waiting *w;

	(void)queue;
	while ((w = s->head) != NULL) {
		s->delivered = true;
		if (!net_deliver(n, 0, &w->hdr, w->p, w->len))
			break;
		slirp_drop_first(s);
	}
	slirp_rx_end(s);
}

static const struct net_ops slirp_ops = {
    .start = slirp_start,
    .destroy = slirp_destroy,
    .wait = slirp_wait,
    .send = slirp_send,
    .send_end = slirp_send_end,
    .rx_resume = slirp_rx_resume,
};

static int
slirp_forward(
    struct slirp_net *s, const char *rules, char *err, size_t errlen)
{
	struct hostfwd *fwd;
	const char *bad = rules;
	int i, n, error = 0;

	fwd = calloc(HOSTFWD_MAX, sizeof(*fwd));
	if (fwd == NULL)
		return (net_fail(err, errlen, -ENOMEM, "slirp: no memory"));
	n = hostfwd_parse(rules, fwd, &bad);
	if (n < 0)
		error = net_fail(err, errlen, -EINVAL,
		    "hostfwd=%.80s: not PROTO:HADDR:HPORT-GADDR:GPORT, as in "
		    "tcp:127.0.0.1:2222-:22", bad);
	for (i = 0; i < n && error == 0; i++) {
		if (s->api.add_hostxfwd(s->slirp,
			(struct sockaddr *)&fwd[i].host, fwd[i].host_len,
			(struct sockaddr *)&fwd[i].guest, fwd[i].guest_len,
			(fwd[i].udp ? SLIRP_HOSTFWD_UDP : 0) |
			    (fwd[i].host.ss_family == AF_INET6
				    ? SLIRP_HOSTFWD_V6ONLY : 0)) == 0)
			continue;
		error = errno != 0 ? -errno : -EINVAL;
		(void)net_fail(err, errlen, error,
		    "hostfwd=%.80s: rule %d: cannot listen: %s; use another "
		    "port or address", rules, i + 1, strerror(-error));
	}
	free(fwd);
	return (error);
}

int
net_slirp_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen)
{
	SlirpConfig sc = {
	    .version = 4,
	    .restricted = !cfg->open,
	    .in_enabled = true,
	    .in6_enabled = true,
	    .vprefix_len = 64,
	    .if_mtu = JUMBO_MTU,
	    .if_mru = JUMBO_MTU,
	};
	struct slirp_net *s;
	int error;

	/* The addresses that every user of libslirp knows. */
	(void)inet_pton(AF_INET, "10.0.2.0", &sc.vnetwork);
	(void)inet_pton(AF_INET, "255.255.255.0", &sc.vnetmask);
	(void)inet_pton(AF_INET, "10.0.2.2", &sc.vhost);
	(void)inet_pton(AF_INET, "10.0.2.3", &sc.vnameserver);
	(void)inet_pton(AF_INET, "10.0.2.15", &sc.vdhcp_start);
	(void)inet_pton(AF_INET6, "fec0::", &sc.vprefix_addr6);
	(void)inet_pton(AF_INET6, "fec0::2", &sc.vhost6);
	(void)inet_pton(AF_INET6, "fec0::3", &sc.vnameserver6);

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return (net_fail(err, errlen, -ENOMEM, "slirp: no memory"));
	s->net.ops = &slirp_ops;
	s->net.tx_offloads =
	    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6 | NET_OFF_ECN;
	s->net.raw = true;
	s->net.jumbo = true;
	s->net.jumbo_mss = JUMBO_MSS;
	s->tail = &s->head;
	error = slirp_api_load(&s->api);
	if (error == 0) {
		s->slirp = s->api.new(&sc, &slirp_cb, s);
		error = s->slirp == NULL ? -EINVAL : 0;
	}
	if (error != 0) {
		slirp_destroy(&s->net);
		return (net_fail(err, errlen, error,
		    error == -ENOENT
			? "slirp: there is no libslirp.so.0; install libslirp0"
			: "slirp: libslirp does not start; install 4.7"));
	}
	if (cfg->hostfwd != NULL) {
		error = slirp_forward(s, cfg->hostfwd, err, errlen);
		if (error != 0) {
			slirp_destroy(&s->net);
			return (error);
		}
	}
	*out = &s->net;
	return (0);
}
