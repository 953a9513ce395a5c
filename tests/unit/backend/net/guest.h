/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_NET_GUEST_H
#define LHYVE_TESTS_NET_GUEST_H

/*
 * A device in front of a backend, for tests: it has buffers of one size,
 * keeps what arrives, and runs the loop until what is awaited is there.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/net/net.h"
#include "base/mevent.h"

#define GUEST_FRAMES 4096

struct guest_frame {
	struct net_hdr hdr;
	size_t len;
	uint8_t *p;
};

struct guest {
	struct mevent_loop *loop;
	struct net *net;
	size_t buf_size;
	unsigned bufs; /* that are free; each frame takes what it needs */
	uint8_t *mem;
	struct guest_frame frames[GUEST_FRAMES];
	unsigned nframes, ends, readies, links;
	bool up, waiting;
	unsigned await_frames, await_readies, await_links;
};

#define GUEST_BUFS 128u

static inline void
guest_check(struct guest *g)
{
	if (g->waiting && g->nframes >= g->await_frames &&
	    g->readies >= g->await_readies &&
	    g->links >= g->await_links) {
		g->waiting = false;
		mevent_stop(g->loop);
	}
}

static inline size_t
guest_room(
    void *arg, unsigned queue, struct iovec *iov, unsigned *n, size_t want)
{
	struct guest *g = arg;
	unsigned i;

	(void)queue;
	for (i = 0; i < g->bufs && i < *n && i * g->buf_size < want; i++) {
		iov[i].iov_base = g->mem + i * g->buf_size;
		iov[i].iov_len = g->buf_size;
	}
	*n = i;
	return (i * g->buf_size);
}

static inline void
guest_done(void *arg, unsigned queue, const struct net_hdr *hdr, size_t len)
{
	struct guest *g = arg;
	struct guest_frame *f = &g->frames[g->nframes % GUEST_FRAMES];

	(void)queue;
	free(f->p);
	f->hdr = *hdr;
	f->len = len;
	f->p = malloc(len + 1);
	memcpy(f->p, g->mem, len);
	g->bufs -= (unsigned)((len + g->buf_size - 1) / g->buf_size);
	g->nframes++;
	guest_check(g);
}

static inline void
guest_end(void *arg, unsigned queue)
{
	struct guest *g = arg;

	(void)queue;
	g->ends++;
}

static inline void
guest_ready(void *arg, unsigned queue)
{
	struct guest *g = arg;

	(void)queue;
	g->readies++;
	guest_check(g);
}

static inline void
guest_link(void *arg, bool up)
{
	struct guest *g = arg;

	g->up = up;
	g->links++;
	guest_check(g);
}

static const struct net_user guest_user = {
    .rx_room = guest_room,
    .rx_done = guest_done,
    .rx_end = guest_end,
    .tx_ready = guest_ready,
    .link = guest_link,
};

/* Runs the loop until so much has happened in all. The test's alarm() ends
 * what never does. */
static inline void
guest_wait(struct guest *g, unsigned frames, unsigned readies, unsigned links)
{
	g->await_frames = frames;
	g->await_readies = readies;
	g->await_links = links;
	g->waiting = true;
	guest_check(g);
	(void)net_run(g->net);
}

static inline void
guest_pumped(void *arg, unsigned ready)
{
	(void)ready;
	mevent_stop(arg);
}

/* Does what is ready, once. */
static inline void
guest_pump(struct guest *g)
{
	int fd = eventfd(1, EFD_CLOEXEC);
	struct mevent *ev;

	if (mevent_add(g->loop, fd, MEVENT_READ, guest_pumped, g->loop, &ev) ==
	    0) {
		(void)net_run(g->net);
		mevent_remove(ev);
	}
	(void)close(fd);
}

static inline void
guest_free(struct guest *g)
{
	alarm(0);
	net_destroy(g->net);
	mevent_loop_destroy(g->loop);
	for (unsigned i = 0; i < GUEST_FRAMES; i++)
		free(g->frames[i].p);
	free(g->mem);
	free(g);
}

/* NULL, and the line in err, if the backend does not open. */
static inline struct guest *
guest_new(const struct net_config *cfg, char err[256])
{
	struct guest *g = calloc(1, sizeof(*g));

	alarm(120);
	err[0] = '\0';
	g->buf_size = 1536;
	g->bufs = GUEST_BUFS;
	g->mem = malloc(GUEST_BUFS * 65536u);
	if (mevent_loop_create(&g->loop) != 0 ||
	    net_create(&g->net, cfg, err, 256) != 0 ||
	    net_start(g->net, g->loop, &guest_user, g) != 0) {
		guest_free(g);
		return (NULL);
	}
	return (g);
}

/* Sends one piece without a header. */
static inline int
guest_send(struct guest *g, const void *p, size_t len)
{
	static const struct net_hdr none;
	struct iovec iov = {(void *)(uintptr_t)p, len};
	int error = net_send(g->net, 0, &none, &iov, 1);

	net_send_end(g->net, 0);
	return (error);
}

/*
 * Frames to send: TCP or UDP over IP version 4 or 6 with a payload of bytes
 * that count up. Checksums are right. Returns the length.
 */
struct packet {
	unsigned version, proto, payload;
	uint8_t tcp_flags;
	uint32_t seq;
	unsigned tcp_opts;   /* bytes of options, zero */
	unsigned vlan_tags;
};

static inline uint16_t
guest_naive_csum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ((uint16_t)~sum);
}

static inline void
guest_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline unsigned
guest_get16(const uint8_t *p)
{
	return ((unsigned)p[0] << 8 | p[1]);
}

/* The sum of addresses, protocol and length. */
static inline uint32_t
guest_pseudo(const uint8_t *ip, unsigned proto, unsigned len)
{
	unsigned off = ip[0] >> 4 == 4 ? 12 : 8;
	unsigned n = ip[0] >> 4 == 4 ? 8 : 32;
	uint32_t sum = proto + len;

	for (unsigned i = 0; i < n; i += 2)
		sum += guest_get16(ip + off + i);
	return (sum);
}

/* Offset of the TCP or UDP header. */
static inline unsigned
packet_l4(const struct packet *k)
{
	return (14 + 4 * k->vlan_tags + (k->version == 4 ? 20 : 40));
}

static inline size_t
packet_make(uint8_t *p, const struct packet *k)
{
	unsigned l4 = packet_l4(k), l3 = l4 - (k->version == 4 ? 20 : 40);
	unsigned hlen = k->proto == 6 ? 20 + k->tcp_opts : 8;
	unsigned n = hlen + k->payload, off = k->proto == 6 ? 16 : 6;
	uint8_t *ip = p + l3, *t = p + l4;

	memset(p, 0, l4 + hlen);
	memcpy(p, "\x52\x55\x0a\x00\x02\x02\x52\x54\x00\x12\x34\x56", 12);
	for (unsigned i = 0; i < k->vlan_tags; i++)
		guest_put16(p + 12 + 4 * i, 0x8100);
	guest_put16(p + l3 - 2, k->version == 4 ? 0x0800 : 0x86dd);
	if (k->version == 4) {
		ip[0] = 0x45;
		guest_put16(ip + 2, 20 + n);
		guest_put16(ip + 4, 0xfffe);
		ip[8] = 64;
		ip[9] = (uint8_t)k->proto;
		memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
		guest_put16(ip + 10, guest_naive_csum(ip, 20, 0));
	} else {
		ip[0] = 0x60;
		guest_put16(ip + 4, n);
		ip[6] = (uint8_t)k->proto;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfe;
		ip[9] = ip[25] = 0x80;
		ip[23] = 1;
		ip[39] = 2;
	}
	guest_put16(t, 1025);
	guest_put16(t + 2, 7);
	if (k->proto == 6) {
		t[4] = (uint8_t)(k->seq >> 24);
		t[5] = (uint8_t)(k->seq >> 16);
		guest_put16(t + 6, k->seq & 0xffff);
		t[12] = (uint8_t)(hlen / 4 << 4);
		t[13] = k->tcp_flags;
		guest_put16(t + 14, 0xffff);
	} else
		guest_put16(t + 4, n);
	for (unsigned i = 0; i < k->payload; i++)
		t[hlen + i] = (uint8_t)(i * 7 + i / 256);
	guest_put16(t + off,
	    guest_naive_csum(t, n, guest_pseudo(ip, k->proto, n)));
	return (l4 + n);
}

#endif
