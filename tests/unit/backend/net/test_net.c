/* SPDX-License-Identifier: BSD-2-Clause */
/* What is in front of every backend: names, rules, files, checks. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net/hostfwd.h"
#include "guest.h"

static void
test_names(void **state)
{
	char err[256];
	struct net *n;
	struct net_config cfg = {.backend = "netmap:em0"};

	(void)state;
	assert_true(net_known("slirp"));
	assert_true(net_known("tap0"));
	assert_true(net_known("vmnet3"));
	assert_true(net_known("passt"));
	assert_false(net_known("slirp2"));
	assert_false(net_known("ta"));
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "netmap:em0: no such network backend"));
}

static void
test_hostfwd(void **state)
{
	static const char *const wrong[] = {"", "tcp", "tcp:", "tcp::22",
	    "tcp::22-:", "tcp::22-22", "tcp::0-:22", "tcp::65536-:22",
	    "tcp::22222222222-:22", "sctp::22-:22", "tcp:1.2.3:22-:22",
	    "tcp::22-:22;", ";tcp::22-:22", "tcp:[::1]:22-:22",
	    "tcp:::1:22-[fec0::1]:22", "tcp:[::1:22-[fec0::1]:22",
	    "tcp::2 2-:22", "tcp::-22-:22", "tcp:host:22-:22"};
	struct hostfwd f[HOSTFWD_MAX];
	const struct sockaddr_in *sin;
	const struct sockaddr_in6 *sin6;
	char many[HOSTFWD_MAX * 16];
	const char *bad;

	(void)state;
	assert_int_equal(
	    hostfwd_parse("tcp:127.0.0.1:2222-10.0.2.15:22;udp::53-:5353;"
			  "tcp:[::1]:8080-[fec0::5]:80;::80-:80", f, &bad), 4);
	sin = (const struct sockaddr_in *)&f[0].host;
	assert_int_equal(sin->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(ntohs(sin->sin_port), 2222);
	assert_false(f[0].udp);
	sin = (const struct sockaddr_in *)&f[0].guest;
	assert_int_equal(sin->sin_addr.s_addr, htonl(0x0a00020f));
	assert_true(f[1].udp);
	sin = (const struct sockaddr_in *)&f[1].guest;
	assert_int_equal(sin->sin_addr.s_addr, 0);
	assert_int_equal(ntohs(sin->sin_port), 5353);
	sin6 = (const struct sockaddr_in6 *)&f[2].host;
	assert_int_equal(sin6->sin6_family, AF_INET6);
	assert_true(IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr));
	assert_false(f[3].udp);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(hostfwd_parse(wrong[i], f, &bad), -EINVAL);
	many[0] = '\0';
	for (unsigned i = 0; i < HOSTFWD_MAX; i++)
		strcat(many, i == 0 ? "tcp::1-:1" : ";tcp::1-:1");
	assert_int_equal(hostfwd_parse(many, f, &bad), HOSTFWD_MAX);
	strcat(many, ";tcp::1-:1");
	assert_int_equal(hostfwd_parse(many, f, &bad), -EINVAL);
}

/* A guest on one end of a socket, the test on the other. */
static struct guest *
pair(int *peer, const char *pcap)
{
	struct net_config cfg = {
	    .backend = "socket", .mtu = 1500, .pcap = pcap};
	char err[256], fd[16];
	struct guest *g;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	(void)snprintf(fd, sizeof(fd), "%d", sv[0]);
	cfg.fd = fd;
	g = guest_new(&cfg, err);
	assert_non_null(g);
	*peer = sv[1];
	return (g);
}

static void
put_frame(int fd, const uint8_t *p, size_t len)
{
	uint32_t be = htonl((uint32_t)len);

	assert_int_equal(write(fd, &be, 4), 4);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
}

static void
test_pcap(void **state)
{
	const struct packet k = {.version = 4, .proto = 17, .payload = 50};
	char path[] = "/tmp/lhyve-pcap-XXXXXX";
	uint32_t head[6], rec[4];
	uint8_t p[200], q[200];
	struct guest *g;
	size_t len;
	int fd, peer;

	(void)state;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	g = pair(&peer, path);
	len = packet_make(p, &k);
	assert_int_equal(guest_send(g, p, len), 0);
	put_frame(peer, p, len - 1);
	guest_wait(g, 1, 0, 0);
	assert_int_equal(read(fd, head, 24), 24);
	assert_int_equal(head[0], 0xa1b23c4d);
	assert_int_equal(head[1], 2 | 4 << 16);
	assert_int_equal(head[5], 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(read(fd, rec, 16), 16);
		assert_int_equal(rec[2], len - i);
		assert_int_equal(rec[3], len - i);
		assert_int_equal(read(fd, q, len - i), len - i);
		assert_memory_equal(p, q, len - i);
	}
	assert_int_equal(read(fd, q, 1), 0);
	guest_free(g);
	close(peer);
	close(fd);
	unlink(path);
}

static void
test_pcap_errors(void **state)
{
	struct net_config cfg = {.backend = "slirp", .mtu = 1500,
	    .pcap = "/nonexistent/file"};
	const struct packet k = {.version = 4, .proto = 17, .payload = 50};
	uint8_t p[200];
	char err[256];
	struct guest *g;
	struct net *n;
	int peer;

	(void)state;
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "pcap=/nonexistent/file: cannot be"));
	/* A full disk ends the file, not the machine. */
	cfg.pcap = "/dev/full";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -ENOSPC);
	g = pair(&peer, NULL);
	assert_int_equal(guest_send(g, p, packet_make(p, &k)), 0);
	guest_free(g);
	close(peer);
}

/* What no backend gets to see. */
static void
test_wrong_frames(void **state)
{
	struct net_hdr h = {.flags = NET_HDR_NEEDS_CSUM, .csum_start = 34,
	    .csum_offset = 16, .gso_type = NET_GSO_TCPV4, .gso_size = 1000};
	const struct packet k = {.version = 4, .proto = 6, .payload = 5000};
	static uint8_t p[NET_FRAME_MAX + 1];
	struct iovec iov = {p, 0}, many[NET_IOV_MAX + 1];
	struct net_stats st;
	struct guest *g;
	uint8_t got[64];
	int peer;

	(void)state;
	g = pair(&peer, NULL);
	assert_int_equal(guest_send(g, p, 0), -EINVAL);
	assert_int_equal(guest_send(g, p, 13), -EINVAL);
	assert_int_equal(guest_send(g, p, NET_FRAME_MAX + 1), -EINVAL);
	for (unsigned i = 0; i < NET_IOV_MAX + 1; i++) {
		many[i].iov_base = p;
		many[i].iov_len = 1;
	}
	assert_int_equal(
	    net_send(g->net, 0, &h, many, NET_IOV_MAX + 1), -EINVAL);
	iov.iov_len = packet_make(p, &k);
	h.gso_size = 0;
	assert_int_equal(net_send(g->net, 0, &h, &iov, 1), -EINVAL);
	h.gso_size = 1000;
	h.csum_start = 0xfff0;
	assert_int_equal(net_send(g->net, 0, &h, &iov, 1), -EINVAL);
	h.csum_start = 34;
	h.gso_type = NET_GSO_UDP;
	assert_int_equal(net_send(g->net, 0, &h, &iov, 1), -EINVAL);
	h.gso_type = NET_GSO_TCPV6;
	assert_int_equal(net_send(g->net, 0, &h, &iov, 1), -EINVAL);
	net_get_stats(g->net, &st);
	assert_int_equal(st.tx, 0);
	assert_true(st.tx_dropped >= 7);
	net_send_end(g->net, 0);
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), -1);
	guest_free(g);
	close(peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_hostfwd),
	    cmocka_unit_test(test_pcap),
	    cmocka_unit_test(test_pcap_errors),
	    cmocka_unit_test(test_wrong_frames),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
