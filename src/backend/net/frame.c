/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "backend/net/frame.h"

#define ETHERTYPE_IP   0x0800u
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88a8u
#define ETHERTYPE_IPV6 0x86ddu
/* Extension headers of IPv6 that come before what is carried (RFC 8200). */
#define IP6_HOPOPTS  0u
#define IP6_ROUTING  43u
#define IP6_FRAGMENT 44u
#define IP6_DSTOPTS  60u
#define IP6_EXT_MAX  8 /* of them in a packet */

#define IP_HLEN	 20u
#define IP6_HLEN 40u
#define TCP_HLEN 20u
#define UDP_HLEN 8u
#define IP_MF	 0x2000u
#define IP_OFFSET 0x1fffu /* in units of 8 bytes */

#define TH_FIN 0x01u
#define TH_SYN 0x02u
#define TH_PSH 0x08u
#define TH_CWR 0x80u

/* Headers of a frame that can be segmented, at most: Ethernet with tags,
 * IPv6 with extensions, TCP with options. */
#define HEADERS_MAX 512u

static uint16_t
get16(const uint8_t *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)get16(p) << 16 | get16(p + 2));
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

uint64_t
frame_sum(const uint8_t *p, size_t len, uint64_t sum)
{
	uint64_t a = 0, b = 0, w[4];
	uint32_t v = 0;

	/* Words of 32 bits in 64: no carry is lost below 2^32 of them. */
	for (; len >= 32; len -= 32, p += 32) {
		memcpy(w, p, 32);
		a += (w[0] & UINT32_MAX) + (w[0] >> 32);
		b += (w[1] & UINT32_MAX) + (w[1] >> 32);
		a += (w[2] & UINT32_MAX) + (w[2] >> 32);
		b += (w[3] & UINT32_MAX) + (w[3] >> 32);
	}
	for (; len >= 4; len -= 4, p += 4) {
		memcpy(&v, p, 4);
		a += v;
	}
	v = 0;
	memcpy(&v, p, len);
	a += v;
	/* Folded to 33 bits, so that sums can be added up. */
	a = (a & UINT32_MAX) + (a >> 32);
	b = (b & UINT32_MAX) + (b >> 32);
	return (sum + a + b);
}

uint16_t
frame_fold(uint64_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ((uint16_t)sum);
}

/* Stores the complement of a sum in memory order. */
static void
put_csum(uint8_t *p, uint64_t sum)
{
	uint16_t v = (uint16_t)~frame_fold(sum);

	memcpy(p, &v, 2);
}

static void
parse_ip(const uint8_t *p, size_t len, struct frame *f)
{
	const uint8_t *ip = p + f->l3;
	unsigned hlen, total;

	if (len - f->l3 < IP_HLEN || ip[0] >> 4 != 4)
		return;
	hlen = (ip[0] & 0xfu) * 4;
	total = get16(ip + 2);
	if (hlen < IP_HLEN || total < hlen || total > len - f->l3)
		return;
	f->version = 4;
	f->proto = ip[9];
	f->end = f->l3 + total;
	if ((get16(ip + 6) & (IP_MF | IP_OFFSET)) == 0)
		f->l4 = f->l3 + hlen;
}

static void
parse_ip6(const uint8_t *p, size_t len, struct frame *f)
{
	const uint8_t *ip = p + f->l3;
	unsigned off, size, i;
	uint8_t next;

	if (len - f->l3 < IP6_HLEN || ip[0] >> 4 != 6 ||
	    get16(ip + 4) > len - f->l3 - IP6_HLEN)
		return;
	f->version = 6;
	f->end = f->l3 + IP6_HLEN + get16(ip + 4);
	off = f->l3 + IP6_HLEN;
	next = ip[6];
	for (i = 0; i < IP6_EXT_MAX; i++) {
		if (next != IP6_HOPOPTS && next != IP6_ROUTING &&
		    next != IP6_DSTOPTS)
			break;
		if (f->end - off < 8)
			return;
		size = (p[off + 1] + 1u) * 8;
		if (size > f->end - off)
			return;
		next = p[off];
		off += size;
	}
	f->proto = next;
	if (next == FRAME_TCP || next == FRAME_UDP)
		f->l4 = off;
}

void
frame_parse(const uint8_t *p, size_t len, struct frame *f)
{
	unsigned type, tags, hlen;

	memset(f, 0, sizeof(*f));
	if (len < NET_ETH_HLEN)
		return;
	f->l3 = NET_ETH_HLEN;
	type = get16(p + 12);
	for (tags = 0; tags < 2 &&
	     (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ);
	     tags++) {
		if (len < f->l3 + 4)
			return;
		type = get16(p + f->l3 + 2);
		f->l3 += 4;
	}
	if (type == ETHERTYPE_IP)
		parse_ip(p, len, f);
	else if (type == ETHERTYPE_IPV6)
		parse_ip6(p, len, f);
	if (f->l4 == 0)
		return;
	hlen = 0;
	if (f->proto == FRAME_TCP && f->end - f->l4 >= TCP_HLEN)
		hlen = (p[f->l4 + 12] >> 4) * 4u;
	else if (f->proto == FRAME_UDP && f->end - f->l4 >= UDP_HLEN)
		hlen = UDP_HLEN;
	if (hlen < UDP_HLEN || (f->proto == FRAME_TCP && hlen < TCP_HLEN) ||
	    hlen > f->end - f->l4) {
		f->l4 = 0;
		return;
	}
	f->payload = f->l4 + hlen;
}

bool
frame_hdr_ok(const struct net_hdr *h, size_t len, uint32_t offloads)
{
	unsigned type = h->gso_type & ~NET_GSO_ECN;
	uint32_t need;

	if ((h->flags & NET_HDR_NEEDS_CSUM) != 0 &&
	    ((offloads & NET_OFF_CSUM) == 0 ||
		(size_t)h->csum_start + h->csum_offset + 2 > len))
		return (false);
	if (h->gso_type == NET_GSO_NONE)
		return (true);
	if (type == NET_GSO_TCPV4)
		need = NET_OFF_TSO4;
	else if (type == NET_GSO_TCPV6)
		need = NET_OFF_TSO6;
	else if (type == NET_GSO_UDP)
		need = NET_OFF_UFO;
	else
		return (false);
	if ((h->gso_type & NET_GSO_ECN) != 0)
		need |= NET_OFF_ECN;
	/* hdr_len is a hint, which nobody here takes. */
	return ((offloads & need) == need && h->gso_size != 0 &&
		(h->flags & NET_HDR_NEEDS_CSUM) != 0);
}

void
frame_finish(uint8_t *p, size_t len, const struct net_hdr *h)
{
	size_t start = h->csum_start, at = start + h->csum_offset;
	uint16_t v;

	if ((h->flags & NET_HDR_NEEDS_CSUM) == 0 || at + 2 > len)
		return;
	/* The field has the pseudo header's sum in it. */
	v = (uint16_t)~frame_fold(frame_sum(p + start, len - start, 0));
	/* UDP: 0 would mean that there is none. TCP: the same number. */
	if (v == 0)
		v = 0xffff;
	memcpy(p + at, &v, 2);
}

/* The sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint64_t
pseudo(const uint8_t *p, const struct frame *f, unsigned len)
{
	const uint8_t *ip = p + f->l3;
	uint8_t rest[8];

	put32(rest, len);
	put32(rest + 4, f->proto);
	return (frame_sum(rest, sizeof(rest),
	    f->version == 4 ? frame_sum(ip + 12, 8, 0)
			    : frame_sum(ip + 8, 32, 0)));
}

bool
frame_make_gso(uint8_t *p, size_t len, unsigned mtu, struct net_hdr *h)
{
	struct frame f;
	unsigned headers;
	uint16_t sum;

	memset(h, 0, sizeof(*h));
	frame_parse(p, len, &f);
	if (f.l4 == 0 || f.end - f.l3 <= mtu)
		return (false);
	headers = f.payload - f.l3;
	if (f.proto == FRAME_TCP) {
		/* What has SYN or nothing to carry is one segment. */
		if (mtu < headers + 8 || (p[f.l4 + 13] & TH_SYN) != 0)
			return (false);
		h->gso_type =
		    f.version == 4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
		h->gso_size = (uint16_t)(mtu - headers);
		h->csum_offset = 16;
	} else {
		if (f.version != 4 || mtu < f.l4 - f.l3 + 8)
			return (false);
		h->gso_type = NET_GSO_UDP;
		h->gso_size = (uint16_t)((mtu - (f.l4 - f.l3)) & ~7u);
		h->csum_offset = 6;
	}
	h->flags = NET_HDR_NEEDS_CSUM;
	h->hdr_len = (uint16_t)f.payload;
	h->csum_start = (uint16_t)f.l4;
	sum = frame_fold(pseudo(p, &f, f.end - f.l4));
	memcpy(p + f.l4 + h->csum_offset, &sum, 2);
	return (true);
}

struct segmenter {
	uint8_t head[HEADERS_MAX];
	struct frame f;
	const uint8_t *p;
	bool (*emit)(void *arg, const struct iovec iov[2]);
	void *arg;
};

/* One piece: the headers are right but for lengths and checksums. */
static bool
emit_ip(struct segmenter *s, unsigned hlen, unsigned off, unsigned n)
{
	struct iovec iov[2];
	uint8_t *ip = s->head + s->f.l3;

	if (s->f.version == 4) {
		put16(ip + 2, hlen - s->f.l3 + n);
		put16(ip + 10, 0);
		put_csum(ip + 10, frame_sum(ip, (ip[0] & 0xfu) * 4, 0));
	} else
		put16(ip + 4, hlen - s->f.l3 - IP6_HLEN + n);
	iov[0].iov_base = s->head;
	iov[0].iov_len = hlen;
	iov[1].iov_base = (void *)(uintptr_t)(s->p + off);
	iov[1].iov_len = n;
	return (s->emit(s->arg, iov));
}

static void
segment_tcp(struct segmenter *s, unsigned mss)
{
	unsigned off = s->f.payload, hlen = off, n, i = 0;
	uint8_t *tcp = s->head + s->f.l4;
	uint8_t *ip = s->head + s->f.l3;
	uint32_t seq = get32(tcp + 4);
	uint8_t flags = tcp[13];
	unsigned id = get16(ip + 4);
	uint64_t sum;

	do {
		n = s->f.end - off < mss ? s->f.end - off : mss;
		put32(tcp + 4, seq);
		/* The first has CWR, the last FIN and PSH (RFC 3168, 6.1.2;
		 * as hardware does it). */
		tcp[13] = flags;
		if (i != 0)
			tcp[13] &= (uint8_t)~TH_CWR;
		if (off + n < s->f.end)
			tcp[13] &= (uint8_t) ~(TH_FIN | TH_PSH);
		if (s->f.version == 4)
			put16(ip + 4, (id + i) & 0xffff);
		put16(tcp + 16, 0);
		sum = pseudo(s->head, &s->f, hlen - s->f.l4 + n);
		sum = frame_sum(tcp, hlen - s->f.l4, sum);
		put_csum(tcp + 16, frame_sum(s->p + off, n, sum));
		if (!emit_ip(s, hlen, off, n))
			return;
		off += n;
		seq += n;
		i++;
	} while (off < s->f.end);
}

/* UDP in fragments of IPv4 (RFC 791). Its checksum is over all. */
static void
fragment_udp(struct segmenter *s, unsigned size)
{
	uint8_t *ip = s->head + s->f.l3, *udp = s->head + s->f.l4;
	unsigned off, n, hlen, end = s->f.end;
	unsigned frag = get16(ip + 6) & ~(IP_MF | IP_OFFSET | 0x4000u);
	uint64_t sum;

	put16(udp + 6, 0);
	sum = pseudo(s->head, &s->f, end - s->f.l4);
	sum = frame_sum(udp, UDP_HLEN, sum);
	sum = frame_sum(s->p + s->f.payload, end - s->f.payload, sum);
	put_csum(udp + 6, sum);
	if (udp[6] == 0 && udp[7] == 0)
		put16(udp + 6, 0xffff);
	for (off = s->f.l4; off < end; off += n) {
		n = end - off < size ? end - off : size;
		put16(ip + 6,
		    frag | (off - s->f.l4) / 8 | (off + n < end ? IP_MF : 0));
		/* The first has the UDP header, changed, among the headers. */
		hlen = off == s->f.l4 ? s->f.payload : s->f.l4;
		if (!emit_ip(s, hlen, off + hlen - s->f.l4,
			n - (hlen - s->f.l4)))
			return;
	}
}

bool
frame_segment(const uint8_t *p, size_t len, const struct net_hdr *h,
    bool (*emit)(void *arg, const struct iovec iov[2]), void *arg)
{
	unsigned type = h->gso_type & ~NET_GSO_ECN;
	struct segmenter s;

	frame_parse(p, len, &s.f);
	if (s.f.l4 == 0 || s.f.payload > HEADERS_MAX || h->gso_size == 0 ||
	    s.f.proto != (type == NET_GSO_UDP ? FRAME_UDP : FRAME_TCP) ||
	    s.f.version != (type == NET_GSO_TCPV6 ? 6 : 4))
		return (false);
	memcpy(s.head, p, s.f.payload);
	s.p = p;
	s.emit = emit;
	s.arg = arg;
	if (type != NET_GSO_UDP)
		segment_tcp(&s, h->gso_size);
	else if (h->gso_size >= 8)
		fragment_udp(&s, h->gso_size & ~7u);
	else
		return (false);
	return (true);
}

void
frame_raise_mss(uint8_t *p, size_t len, uint16_t mss)
{
	struct frame f;
	uint8_t *opt, *end;
	uint64_t sum;
	uint16_t was, old;
	unsigned size;

	frame_parse(p, len, &f);
	if (f.l4 == 0 || f.proto != FRAME_TCP || (p[f.l4 + 13] & TH_SYN) == 0)
		return;
	opt = p + f.l4 + TCP_HLEN;
	end = p + f.payload;
	/* Kinds: 0 ends the list, 1 is padding, 2 the segment size. */
	while (opt < end && *opt != 0) {
		size = *opt == 1 ? 1 : end - opt >= 2 ? opt[1] : 0;
		if (size == 0 || size > (size_t)(end - opt))
			return;
		if (opt[0] == 2 && size == 4)
			break;
		opt += size;
	}
	if (opt >= end || *opt == 0 || get16(opt + 2) >= mss)
		return;
	/* RFC 1624: a wrong checksum stays wrong. */
	size = f.payload - f.l4;
	old = frame_fold(frame_sum(p + f.l4, size, 0));
	put16(opt + 2, mss);
	sum = frame_sum(p + f.l4, size, 0);
	memcpy(&was, p + f.l4 + 16, 2);
	sum += (uint64_t)(uint16_t)~was + (uint16_t)~old;
	put_csum(p + f.l4 + 16, sum);
}
