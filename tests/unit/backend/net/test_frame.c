/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers, checksums and segmentation of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/net/frame.h"
#include "guest.h"

static uint8_t buf[NET_FRAME_MAX + 64];

/* The checksums of a frame are right; UDP's may be absent. */
static void
check_sums(const uint8_t *p, size_t len, const struct packet *k)
{
	unsigned l4 = packet_l4(k), l3 = l4 - (k->version == 4 ? 20 : 40);
	unsigned n = (unsigned)len - l4;

	if (k->version == 4)
		assert_int_equal(guest_naive_csum(p + l3, 20, 0), 0);
	assert_int_equal(guest_naive_csum(p + l4, n,
	    guest_pseudo(p + l3, k->proto, n)), 0);
}

static void
test_sum(void **state)
{
	uint8_t data[200];
	uint16_t want, got;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (unsigned off = 0; off < 9; off++) {
		for (unsigned n = 0; n < sizeof(data) - off; n++) {
			want = guest_naive_csum(data + off, n, 0);
			got = (uint16_t)~frame_fold(
			    frame_sum(data + off, n, 0));
			assert_int_equal((uint16_t)(got << 8 | got >> 8), want);
		}
	}
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(frame_fold(frame_sum(buf, 65536, 0)), 0xffff);
}

static void
test_parse(void **state)
{
	static const struct packet kinds[] = {
	    {.version = 4, .proto = 6, .payload = 100},
	    {.version = 6, .proto = 6, .payload = 100, .tcp_opts = 40},
	    {.version = 4, .proto = 17, .payload = 10},
	    {.version = 6, .proto = 17, .payload = 10, .vlan_tags = 2},
	};
	struct frame f;
	size_t len;
	uint8_t *copy;

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct packet *k = &kinds[i];

		len = packet_make(buf, k);
		frame_parse(buf, len, &f);
		assert_int_equal(f.version, k->version);
		assert_int_equal(f.l4, packet_l4(k));
		assert_int_equal(f.end, len);
		assert_int_equal(f.end - f.payload, k->payload);
		/* Padding is not the packet's. */
		frame_parse(buf, len + 20, &f);
		assert_int_equal(f.end, len);
		/* Cut anywhere it is nothing, and nothing beyond is read. */
		for (size_t n = 0; n < len; n++) {
			copy = malloc(n + 1);
			memcpy(copy, buf, n);
			frame_parse(copy, n, &f);
			assert_int_equal(f.l4, 0);
			free(copy);
		}
	}
	/* Fragments, lengths that lie, a header that is too short. */
	len = packet_make(buf, &kinds[0]);
	buf[20] = 0x20;
	frame_parse(buf, len, &f);
	assert_int_equal(f.version, 4);
	assert_int_equal(f.l4, 0);
	len = packet_make(buf, &kinds[0]);
	buf[14] = 0x44;
	frame_parse(buf, len, &f);
	assert_int_equal(f.version, 0);
	len = packet_make(buf, &kinds[0]);
	buf[34 + 12] = 0x40;
	frame_parse(buf, len, &f);
	assert_int_equal(f.l4, 0);
	buf[34 + 12] = 0xf0;
	frame_parse(buf, 34 + 50, &f);
	assert_int_equal(f.l4, 0);
}

/* IPv6 with a list of extension headers that never ends, or lies. */
static void
test_parse_extensions(void **state)
{
	const struct packet k = {.version = 6, .proto = 17, .payload = 200};
	struct frame f;
	size_t len;

	(void)state;
	len = packet_make(buf, &k);
	buf[14 + 6] = 0;
	memset(buf + 54, 0, 200);
	frame_parse(buf, len, &f);
	assert_int_equal(f.l4, 0);
	buf[54] = 17; /* one of 8 bytes, then UDP */
	frame_parse(buf, len, &f);
	assert_int_equal(f.l4, 62);
	buf[55] = 0xff; /* longer than the packet */
	frame_parse(buf, len, &f);
	assert_int_equal(f.l4, 0);
}

static void
test_hdr(void **state)
{
	struct net_hdr h = {0};

	(void)state;
	assert_true(frame_hdr_ok(&h, 60, 0));
	h.flags = NET_HDR_NEEDS_CSUM;
	h.csum_start = 34;
	h.csum_offset = 16;
	assert_false(frame_hdr_ok(&h, 60, 0));
	assert_true(frame_hdr_ok(&h, 60, NET_OFF_CSUM));
	assert_true(frame_hdr_ok(&h, 52, NET_OFF_CSUM));
	assert_false(frame_hdr_ok(&h, 51, NET_OFF_CSUM));
	h.csum_start = 0xffff;
	h.csum_offset = 0xffff;
	assert_false(frame_hdr_ok(&h, 60, NET_OFF_CSUM));
	h.csum_start = 34;
	h.csum_offset = 16;
	h.gso_type = NET_GSO_TCPV4;
	h.gso_size = 1448;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_CSUM));
	assert_true(frame_hdr_ok(&h, 3000, NET_OFF_CSUM | NET_OFF_TSO4));
	h.gso_size = 0;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
	h.gso_size = 1448;
	h.flags = 0;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
	h.flags = NET_HDR_NEEDS_CSUM;
	h.gso_type = NET_GSO_TCPV6 | NET_GSO_ECN;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL & ~NET_OFF_ECN));
	assert_true(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
	h.gso_type = 2;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
	h.gso_type = 0x7f;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
	h.gso_type = NET_GSO_ECN;
	assert_false(frame_hdr_ok(&h, 3000, NET_OFF_ALL));
}

static void
test_finish(void **state)
{
	static const struct packet kinds[] = {
	    {.version = 4, .proto = 6, .payload = 101},
	    {.version = 6, .proto = 17, .payload = 10},
	};
	uint8_t want[400];
	struct net_hdr h = {.flags = NET_HDR_NEEDS_CSUM};
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct packet *k = &kinds[i];
		unsigned l4 = packet_l4(k), l3 = k->version == 4 ? 14 : 14;

		len = packet_make(buf, k);
		memcpy(want, buf, len);
		h.csum_start = (uint16_t)l4;
		h.csum_offset = k->proto == 6 ? 16 : 6;
		/* The guest leaves the pseudo header's sum there. */
		guest_put16(buf + l4 + h.csum_offset,
		    (uint16_t)~guest_naive_csum(buf, 0, guest_pseudo(buf + l3,
			k->proto, (unsigned)len - l4)));
		frame_finish(buf, len, &h);
		assert_memory_equal(buf, want, len);
	}
	/* Beyond the frame: nothing. */
	h.csum_start = 100;
	memset(buf, 1, 200);
	frame_finish(buf, 100, &h);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(buf[i], 1);
}

struct pieces {
	const struct packet *k;
	uint8_t data[70000];
	size_t len;
	unsigned n, stop_at;
	uint32_t seq;
	uint8_t flags[100];
};

static bool
take_tcp(void *arg, const struct iovec iov[2])
{
	struct pieces *s = arg;
	struct packet k = *s->k;
	uint8_t *p = malloc(iov[0].iov_len + iov[1].iov_len);
	unsigned l4 = packet_l4(&k);

	memcpy(p, iov[0].iov_base, iov[0].iov_len);
	memcpy(p + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
	check_sums(p, iov[0].iov_len + iov[1].iov_len, &k);
	assert_int_equal(guest_get16(p + l4 + 4) << 16 |
	    guest_get16(p + l4 + 6), (uint32_t)(k.seq + s->len));
	if (k.version == 4)
		assert_int_equal(guest_get16(p + l4 - 16),
		    (0xfffe + s->n) & 0xffff);
	memcpy(s->data + s->len, iov[1].iov_base, iov[1].iov_len);
	s->len += iov[1].iov_len;
	s->flags[s->n % 100] = p[l4 + 13];
	free(p);
	return (++s->n != s->stop_at);
}

static void
test_segment_tcp(void **state)
{
	static const struct packet kinds[] = {
	    {.version = 4, .proto = 6, .payload = 65000, .seq = 0xfffff000},
	    {.version = 6, .proto = 6, .payload = 60001, .tcp_opts = 12},
	    {.version = 4, .proto = 6, .payload = 3000, .vlan_tags = 1},
	    {.version = 4, .proto = 6, .payload = 0},
	};
	struct net_hdr h = {
	    .flags = NET_HDR_NEEDS_CSUM,
	    .gso_size = 1448,
	    .csum_offset = 16,
	};
	static struct pieces s;
	struct packet k;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		k = kinds[i];
		k.tcp_flags = 0x80 | 0x10 | 0x08 | 0x01; /* CWR ACK PSH FIN */
		len = packet_make(buf, &k);
		memset(&s, 0, sizeof(s));
		s.k = &k;
		h.gso_type = k.version == 4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
		h.csum_start = (uint16_t)packet_l4(&k);
		assert_true(frame_segment(buf, len, &h, take_tcp, &s));
		assert_int_equal(s.len, k.payload);
		assert_memory_equal(s.data, buf + len - k.payload, k.payload);
		assert_int_equal(
		    s.n, k.payload == 0 ? 1 : (k.payload + 1447) / 1448);
		if (s.n > 1) {
			assert_int_equal(s.flags[0], 0x90);
			assert_int_equal(s.flags[1], s.n > 2 ? 0x10 : 0x19);
			assert_int_equal(s.flags[s.n - 1], 0x19);
		}
		/* The receiver has had enough. */
		memset(&s, 0, sizeof(s));
		s.k = &k;
		s.stop_at = 1;
		assert_true(frame_segment(buf, len, &h, take_tcp, &s));
		assert_int_equal(s.n, 1);
		/* It is not what the header says. */
		h.gso_type = k.version == 4 ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		assert_false(frame_segment(buf, len, &h, take_tcp, &s));
		h.gso_type = NET_GSO_UDP;
		assert_false(frame_segment(buf, len, &h, take_tcp, &s));
		assert_false(frame_segment(buf, 40, &h, take_tcp, &s));
	}
}

static bool
take_fragment(void *arg, const struct iovec iov[2])
{
	struct pieces *s = arg;
	const uint8_t *head = iov[0].iov_base;
	size_t n = iov[0].iov_len - 34;
	unsigned frag = guest_get16(head + 20);

	assert_int_equal(guest_naive_csum(head + 14, 20, 0), 0);
	assert_int_equal(guest_get16(head + 16), 20 + n + iov[1].iov_len);
	assert_int_equal((frag & 0x1fff) * 8, s->len);
	assert_true(n + iov[1].iov_len <= 1480);
	memcpy(s->data + s->len, head + 34, n);
	memcpy(s->data + s->len + n, iov[1].iov_base, iov[1].iov_len);
	s->len += n + iov[1].iov_len;
	s->flags[s->n++ % 100] = (frag & 0x2000) != 0;
	return (true);
}

static void
test_fragment_udp(void **state)
{
	struct packet k = {.version = 4, .proto = 17, .payload = 9000};
	static struct pieces s;
	static uint8_t want[9100];
	struct net_hdr h;
	size_t len;

	(void)state;
	len = packet_make(buf, &k);
	memcpy(want, buf, len);
	assert_true(frame_make_gso(buf, len, 1500, &h));
	assert_int_equal(h.gso_type, NET_GSO_UDP);
	assert_int_equal(h.gso_size, 1480);
	memset(&s, 0, sizeof(s));
	assert_true(frame_segment(buf, len, &h, take_fragment, &s));
	assert_int_equal(s.n, 7);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(s.flags[i], i < 6);
	/* Put together it is the datagram, checksum and all. */
	assert_int_equal(s.len, len - 34);
	assert_memory_equal(s.data, want + 34, len - 34);
	h.gso_size = 7;
	assert_false(frame_segment(buf, len, &h, take_fragment, &s));
}

static void
test_make_gso(void **state)
{
	struct packet k = {.version = 6, .proto = 6, .payload = 30000};
	static uint8_t want[31000];
	struct net_hdr h;
	size_t len;

	(void)state;
	len = packet_make(buf, &k);
	memcpy(want, buf, len);
	assert_true(frame_make_gso(buf, len, 1500, &h));
	assert_int_equal(h.gso_type, NET_GSO_TCPV6);
	assert_int_equal(h.gso_size, 1440);
	assert_true(frame_hdr_ok(&h, len, NET_OFF_ALL));
	/* Its checksum can be finished, also if it is made again. */
	assert_true(frame_make_gso(buf, len, 1500, &h));
	frame_finish(buf, len, &h);
	assert_memory_equal(buf, want, len);
	/* Small, a SYN, UDP over IPv6, something else. */
	assert_false(frame_make_gso(buf, len, 40000, &h));
	assert_int_equal(h.gso_type | h.flags, 0);
	k.tcp_flags = 2;
	len = packet_make(buf, &k);
	assert_false(frame_make_gso(buf, len, 1500, &h));
	k.proto = 17;
	len = packet_make(buf, &k);
	assert_false(frame_make_gso(buf, len, 1500, &h));
	memset(buf, 0, 3000);
	assert_false(frame_make_gso(buf, 3000, 1500, &h));
	/* An MTU that nobody has. */
	k = (struct packet){.version = 4, .proto = 17, .payload = 300};
	len = packet_make(buf, &k);
	assert_false(frame_make_gso(buf, len, 20, &h));
}

static void
test_raise_mss(void **state)
{
	struct packet k = {
	    .version = 4, .proto = 6, .tcp_flags = 2, .tcp_opts = 12};
	unsigned l4 = packet_l4(&k), n;
	size_t len;

	(void)state;
	/* At every place, odd ones too. */
	for (unsigned pad = 0; pad <= 8; pad++) {
		len = packet_make(buf, &k);
		memset(buf + l4 + 20, 1, 12);
		memcpy(buf + l4 + 20 + pad, "\2\4\5\xb4", 4);
		n = (unsigned)len - l4;
		guest_put16(buf + l4 + 16, 0);
		guest_put16(buf + l4 + 16, guest_naive_csum(buf + l4, n,
		    guest_pseudo(buf + 14, 6, n)));
		frame_raise_mss(buf, len, 1000);
		assert_int_equal(guest_get16(buf + l4 + 22 + pad), 1460);
		frame_raise_mss(buf, len, 65495);
		assert_int_equal(guest_get16(buf + l4 + 22 + pad), 65495);
		check_sums(buf, len, &k);
		/* What was wrong stays wrong. */
		buf[l4 + 16] ^= 0x10;
		memcpy(buf + l4 + 20 + pad, "\2\4\5\xb4", 4);
		frame_raise_mss(buf, len, 65495);
		assert_int_not_equal(guest_naive_csum(buf + l4, n,
		    guest_pseudo(buf + 14, 6, n)), 0);
	}
	/* No SYN, or options that lie. */
	k.tcp_flags = 0x10;
	len = packet_make(buf, &k);
	memcpy(buf + l4 + 20, "\2\4\5\xb4", 4);
	frame_raise_mss(buf, len, 65495);
	assert_int_equal(guest_get16(buf + l4 + 22), 1460);
	k.tcp_flags = 2;
	len = packet_make(buf, &k);
	memcpy(buf + l4 + 20, "\3\0\2\4\5\xb4", 6);
	frame_raise_mss(buf, len, 65495);
	memcpy(buf + l4 + 20, "\1\1\1\1\1\1\1\1\1\1\2\4", 12);
	frame_raise_mss(buf, len, 65495);
	memcpy(buf + l4 + 20, "\1\1\1\1\1\1\1\1\1\1\1\2", 12);
	frame_raise_mss(buf, len, 65495);
	assert_int_equal(buf[l4 + 31], 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sum),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_parse_extensions),
	    cmocka_unit_test(test_hdr),
	    cmocka_unit_test(test_finish),
	    cmocka_unit_test(test_segment_tcp),
	    cmocka_unit_test(test_fragment_udp),
	    cmocka_unit_test(test_make_gso),
	    cmocka_unit_test(test_raise_mss),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
