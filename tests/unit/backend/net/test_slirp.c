/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network inside the process, spoken to by hand: addresses, names, the
 * host's sockets, ports that lead back. All of it stays on the loopback
 * interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static uint8_t gateway[6];
static uint8_t buf[NET_FRAME_MAX];

static struct guest *
slirp(const char *hostfwd, bool open)
{
	struct net_config cfg = {
	    .backend = "slirp", .mtu = 1500, .hostfwd = hostfwd, .open = open};
	char err[256];
	struct guest *g;

	g = guest_new(&cfg, err);
	if (g == NULL)
		fprintf(stderr, "%s\n", err);
	assert_non_null(g);
	assert_true(g->up);
	return (g);
}

/* Runs until a frame comes that looks so; its index. */
static unsigned
wait_frame(struct guest *g, unsigned from, unsigned type, unsigned proto)
{
	for (unsigned i = from;; i++) {
		const uint8_t *p;

		if (i >= g->nframes)
			guest_wait(g, i + 1, 0, 0);
		g->bufs = GUEST_BUFS;
		p = g->frames[i].p;
		if (guest_get16(p + 12) == type &&
		    (type != 0x800 || p[23] == proto))
			return (i);
	}
}

/* Who is 10.0.2.2? */
static void
arp(struct guest *g)
{
	static const uint8_t head[] = {
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34,
	    0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0x00, 0x12, 0x34,
	    0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};
	unsigned i, from = g->nframes;

	assert_int_equal(guest_send(g, head, sizeof(head)), 0);
	i = wait_frame(g, from, 0x806, 0);
	assert_int_equal(g->frames[i].p[21], 2); /* a reply */
	memcpy(gateway, g->frames[i].p + 22, 6);
}

/* A packet of IPv4 from 10.0.2.15, whose payload is in buf + 34. */
static size_t
ip(unsigned proto, uint32_t to, unsigned payload)
{
	uint8_t *p = buf + 14;

	memcpy(buf, gateway, 6);
	memcpy(buf + 6, mac, 6);
	guest_put16(buf + 12, 0x800);
	memset(p, 0, 20);
	p[0] = 0x45;
	guest_put16(p + 2, 20 + payload);
	p[8] = 64;
	p[9] = (uint8_t)proto;
	memcpy(p + 12, "\x0a\x00\x02\x0f", 4);
	guest_put16(p + 16, to >> 16);
	guest_put16(p + 18, to & 0xffff);
	guest_put16(p + 10, guest_naive_csum(p, 20, 0));
	return (34 + payload);
}

static size_t
udp(uint32_t to, unsigned port, const void *data, unsigned len)
{
	uint8_t *u = buf + 34;

	guest_put16(u, 4000);
	guest_put16(u + 2, port);
	guest_put16(u + 4, 8 + len);
	guest_put16(u + 6, 0);
	memcpy(u + 8, data, len);
	return (ip(17, to, 8 + len));
}

static size_t
tcp(uint32_t to, unsigned sport, unsigned port, uint32_t seq, uint32_t ack,
    unsigned flags, const void *opts, unsigned optlen)
{
	uint8_t *t = buf + 34;
	size_t len;

	memset(t, 0, 20);
	guest_put16(t, sport);
	guest_put16(t + 2, port);
	guest_put16(t + 4, seq >> 16);
	guest_put16(t + 6, seq & 0xffff);
	guest_put16(t + 8, ack >> 16);
	guest_put16(t + 10, ack & 0xffff);
	t[12] = (uint8_t)((20 + optlen) / 4 << 4);
	t[13] = (uint8_t)flags;
	guest_put16(t + 14, 0xffff);
	memcpy(t + 20, opts, optlen);
	len = ip(6, to, 20 + optlen);
	guest_put16(t + 16, guest_naive_csum(t, 20 + optlen,
	    guest_pseudo(buf + 14, 6, 20 + optlen)));
	return (len);
}

/* A socket on the host's loopback. */
static int
host_socket(int type, unsigned *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, type, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	*port = ntohs(sin.sin_port);
	return (fd);
}

static void
test_dhcp(void **state)
{
	uint8_t d[300] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
	struct guest *g;
	const uint8_t *p;
	unsigned i;

	(void)state;
	g = slirp(NULL, false);
	memset(gateway, 0xff, 6);
	memcpy(d + 28, mac, 6);
	memcpy(d + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
	(void)udp(0xffffffff, 67, d, sizeof(d));
	guest_put16(buf + 34, 68);
	assert_int_equal(guest_send(g, buf, 42 + sizeof(d)), 0);
	i = wait_frame(g, 0, 0x800, 17);
	p = g->frames[i].p + 42;
	assert_int_equal(p[0], 2);
	assert_memory_equal(p + 4, "\x12\x34\x56\x78", 4);
	assert_memory_equal(p + 16, "\x0a\x00\x02\x0f", 4);
	guest_free(g);
}

static void
test_ping_and_udp(void **state)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct guest *g;
	unsigned port, i, n;
	uint8_t got[64], *q = buf + 34;
	int fd;

	(void)state;
	g = slirp(NULL, true);
	arp(g);
	memset(q, 0, 40);
	q[0] = 8;
	q[5] = 1;
	guest_put16(q + 2, guest_naive_csum(q, 40, 0));
	n = g->nframes;
	assert_int_equal(guest_send(g, buf, ip(1, 0x0a000202, 40)), 0);
	i = wait_frame(g, n, 0x800, 1);
	assert_int_equal(g->frames[i].p[34], 0); /* echo reply */
	/* 10.0.2.2 is the host. */
	fd = host_socket(SOCK_DGRAM, &port);
	n = g->nframes;
	assert_int_equal(
	    guest_send(g, buf, udp(0x0a000202, port, "hello", 5)), 0);
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0,
	    (struct sockaddr *)&from, &len), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(sendto(fd, "world!", 6, 0,
	    (struct sockaddr *)&from, len), 6);
	i = wait_frame(g, n, 0x800, 17);
	assert_int_equal(g->frames[i].len, 42 + 6);
	assert_memory_equal(g->frames[i].p + 42, "world!", 6);
	close(fd);
	guest_free(g);
}

/* A large datagram comes in fragments for a guest without UFO. */
static void
test_fragments(void **state)
{
	static uint8_t big[8000], whole[8100];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct guest *g;
	unsigned port, i, n, have = 0;
	uint8_t got[64];
	int fd;

	(void)state;
	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 13 + i / 256);
	g = slirp(NULL, true);
	arp(g);
	fd = host_socket(SOCK_DGRAM, &port);
	n = g->nframes;
	(void)guest_send(g, buf, udp(0x0a000202, port, "x", 1));
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0,
	    (struct sockaddr *)&from, &len), 1);
	assert_int_equal(sendto(fd, big, sizeof(big), 0,
	    (struct sockaddr *)&from, len), sizeof(big));
	while (have < 8008) {
		const uint8_t *p;
		unsigned at, size;

		i = wait_frame(g, n, 0x800, 17);
		n = i + 1;
		p = g->frames[i].p;
		at = (guest_get16(p + 20) & 0x1fff) * 8;
		size = guest_get16(p + 16) - 20;
		assert_true(g->frames[i].len <= 1514 && at + size <= 8008);
		memcpy(whole + at, p + 34, size);
		have += size;
	}
	assert_memory_equal(whole + 8, big, sizeof(big));
	/* Whole for a guest that takes it so. */
	net_set_offloads(g->net, NET_OFF_CSUM | NET_OFF_UFO);
	assert_int_equal(sendto(fd, big, sizeof(big), 0,
	    (struct sockaddr *)&from, len), sizeof(big));
	i = wait_frame(g, n, 0x800, 17);
	assert_int_equal(g->frames[i].len, 42 + sizeof(big));
	assert_int_equal(g->frames[i].hdr.gso_type, NET_GSO_UDP);
	close(fd);
	guest_free(g);
}

/* A connection to the host; returns the host's end. */
static int
connect_out(struct guest *g, int l, unsigned port, uint32_t *ack)
{
	const uint8_t *p;
	unsigned i, n = g->nframes;
	int fd;

	(void)guest_send(g, buf, tcp(0x0a000202, 5000, port, 1000, 0, 2,
	    "\2\4\5\xb4", 4));
	i = wait_frame(g, n, 0x800, 6);
	p = g->frames[i].p;
	assert_int_equal(p[34 + 13], 0x12); /* SYN, ACK */
	*ack = (guest_get16(p + 38) << 16 | guest_get16(p + 40)) + 1;
	(void)guest_send(g, buf, tcp(0x0a000202, 5000, port, 1001, *ack, 0x10,
	    "", 0));
	fd = accept(l, NULL, NULL);
	assert_true(fd >= 0);
	return (fd);
}

/* Data from the host come as segments of the MTU, or as large ones for who
 * takes them. */
static void
test_tcp(void **state)
{
	static uint8_t data[32000];
	uint32_t ack;
	struct guest *g;
	unsigned port, i, n;
	int fd, l;

	(void)state;
	for (int large = 0; large < 2; large++) {
		g = slirp(NULL, true);
		if (large)
			net_set_offloads(g->net,
			    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6);
		arp(g);
		l = host_socket(SOCK_STREAM, &port);
		fd = connect_out(g, l, port, &ack);
		n = g->nframes;
		assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
		i = wait_frame(g, n, 0x800, 6);
		if (large) {
			assert_true(g->frames[i].len > 30000);
			assert_int_equal(
			    g->frames[i].hdr.gso_type, NET_GSO_TCPV4);
			assert_int_equal(g->frames[i].hdr.gso_size, 1460);
			assert_int_equal(
			    g->frames[i].hdr.flags, NET_HDR_NEEDS_CSUM);
		} else {
			assert_int_equal(g->frames[i].len, 1514);
			assert_int_equal(g->frames[i].hdr.flags, 0);
		}
		close(fd);
		close(l);
		guest_free(g);
	}
}

/* Without buffers frames wait, so many and no more. */
static void
test_no_buffers(void **state)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct net_stats st;
	struct guest *g;
	unsigned port, n;
	uint8_t got[64];
	int fd;

	(void)state;
	g = slirp(NULL, true);
	arp(g);
	fd = host_socket(SOCK_DGRAM, &port);
	(void)guest_send(g, buf, udp(0x0a000202, port, "x", 1));
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0,
	    (struct sockaddr *)&from, &len), 1);
	g->bufs = 0;
	n = g->nframes;
	do {
		for (unsigned i = 0; i < 100; i++)
			(void)sendto(fd, "y", 1, 0, (struct sockaddr *)&from,
			    len);
		guest_pump(g);
		net_get_stats(g->net, &st);
	} while (st.rx_dropped < 100);
	assert_int_equal(g->nframes, n);
	/* They come when there is room, the oldest first. */
	while (g->nframes < n + 1024) {
		g->bufs = GUEST_BUFS;
		net_rx_resume(g->net, 0);
	}
	assert_int_equal(g->frames[n].len, 43);
	close(fd);
	guest_free(g);
}

/* A port that is free a moment ago. */
static unsigned
free_port(void)
{
	unsigned port;

	close(host_socket(SOCK_STREAM, &port));
	return (port);
}

static void
test_hostfwd(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	unsigned port = free_port(), i, n;
	struct net_config cfg = {.backend = "slirp", .mtu = 1500};
	char rule[64], err[256];
	const uint8_t *p;
	struct guest *g;
	struct net *second;
	int fd;

	(void)state;
	(void)snprintf(rule, sizeof(rule), "tcp:127.0.0.1:%u-:22", port);
	g = slirp(rule, false);
	arp(g);
	/* Somebody has the port. */
	cfg.hostfwd = rule;
	assert_int_equal(
	    net_create(&second, &cfg, err, sizeof(err)), -EADDRINUSE);
	assert_non_null(strstr(err, "rule 1: cannot listen"));
	cfg.hostfwd = "tcp:22";
	assert_int_equal(net_create(&second, &cfg, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "hostfwd=tcp:22: not PROTO:"));
	n = g->nframes;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)port);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	i = wait_frame(g, n, 0x800, 6);
	p = g->frames[i].p;
	assert_memory_equal(p + 30, "\x0a\x00\x02\x0f", 4);
	assert_int_equal(guest_get16(p + 36), 22);
	assert_int_equal(p[47], 2); /* SYN */
	close(fd);
	guest_free(g);
}

/* Without `open` nothing gets out. */
static void
test_restricted(void **state)
{
	struct guest *g;
	unsigned port, i, n;
	uint8_t c;
	int l, u;

	(void)state;
	g = slirp(NULL, false);
	arp(g);
	l = host_socket(SOCK_STREAM, &port);
	n = g->nframes;
	(void)guest_send(g, buf, tcp(0x0a000202, 5000, port, 1000, 0, 2, "",
	    0));
	i = wait_frame(g, n, 0x800, 6);
	assert_true((g->frames[i].p[47] & 4) != 0); /* RST */
	u = host_socket(SOCK_DGRAM, &port);
	(void)guest_send(g, buf, udp(0x0a000202, port, "hello", 5));
	guest_pump(g);
	assert_int_equal(recv(u, &c, 1, MSG_DONTWAIT), -1);
	close(u);
	close(l);
	guest_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dhcp),
	    cmocka_unit_test(test_ping_and_udp),
	    cmocka_unit_test(test_fragments),
	    cmocka_unit_test(test_tcp),
	    cmocka_unit_test(test_no_buffers),
	    cmocka_unit_test(test_hostfwd),
	    cmocka_unit_test(test_restricted),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
