/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tap interface in a network namespace of the test's own. The host's end
 * is a packet socket on the interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"

#define OURS 0x88b5 /* an EtherType for experiments */

static uint8_t buf[NET_FRAME_MAX], got[NET_FRAME_MAX];

static struct guest *
tap(const char *name, unsigned queues)
{
	struct net_config cfg = {
	    .backend = name, .mtu = 1500, .queues = queues};
	char err[256];
	struct guest *g;

	g = guest_new(&cfg, err);
	if (g == NULL)
		fprintf(stderr, "%s\n", err);
	assert_non_null(g);
	assert_true(g->up);
	return (g);
}

/* The host's end, for frames of one type; non-blocking. */
static int
host(const char *name, unsigned type)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET};
	int fd;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons((uint16_t)type));
	assert_true(fd >= 0);
	ll.sll_protocol = htons((uint16_t)type);
	ll.sll_ifindex = (int)if_nametoindex(name);
	assert_int_not_equal(ll.sll_ifindex, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return (fd);
}

static void
frame(uint8_t *p, size_t len, uint8_t fill)
{
	memset(p, fill, len);
	memset(p, 0xff, 6);
	memcpy(p + 6, "\x52\x54\x00\x12\x34\x56", 6);
	guest_put16(p + 12, OURS);
}

/* The next frame of ours that the guest got, from index `from`. */
static unsigned
ours(struct guest *g, unsigned from)
{
	for (;; from++) {
		if (from >= g->nframes)
			guest_wait(g, from + 1, 0, 0);
		if (guest_get16(g->frames[from].p + 12) == OURS)
			return (from);
	}
}

static void
test_both_ways(void **state)
{
	struct guest *g;
	unsigned i, at = 0;
	ssize_t n;
	int fd;

	(void)state;
	g = tap("tap0", 1);
	assert_int_equal(net_queues(g->net), 1);
	fd = host("tap0", OURS);
	for (i = 0; i < 20; i++) {
		frame(buf, 60 + i * 70, (uint8_t)i);
		assert_int_equal(guest_send(g, buf, 60 + i * 70), 0);
		n = read(fd, got, sizeof(got));
		assert_int_equal(n, 60 + i * 70);
		assert_memory_equal(got, buf, (size_t)n);
	}
	for (i = 0; i < 20; i++) {
		frame(buf, 60 + i * 70, (uint8_t)i);
		assert_int_equal(write(fd, buf, 60 + i * 70), 60 + i * 70);
		at = ours(g, at);
		assert_int_equal(g->frames[at].len, 60 + i * 70);
		assert_memory_equal(g->frames[at].p, buf, 60 + i * 70);
		at++;
		g->bufs = GUEST_BUFS;
	}
	close(fd);
	guest_free(g);
}

/* A segment of 60000 bytes goes out as it is: the kernel checks what the
 * header says, and has it in one piece. */
static void
test_tso(void **state)
{
	const struct packet k = {.version = 4, .proto = 6, .payload = 60000};
	struct net_hdr h = {.flags = NET_HDR_NEEDS_CSUM, .csum_start = 34,
	    .csum_offset = 16, .gso_type = NET_GSO_TCPV4, .gso_size = 1460,
	    .hdr_len = 54};
	struct iovec iov[2];
	struct guest *g;
	size_t len;
	int fd;

	(void)state;
	g = tap("tap0", 1);
	assert_int_equal(net_tx_offloads(g->net), NET_OFF_ALL);
	fd = host("tap0", 0x800);
	len = packet_make(buf, &k);
	iov[0].iov_base = buf;
	iov[0].iov_len = 1000;
	iov[1].iov_base = buf + 1000;
	iov[1].iov_len = len - 1000;
	assert_int_equal(net_send(g->net, 0, &h, iov, 2), 0);
	assert_int_equal(read(fd, got, sizeof(got)), len);
	assert_memory_equal(got + 54, buf + 54, 60000);
	close(fd);
	guest_free(g);
}

/* Frames that do not fit in what the guest has now: they wait, once. */
static void
test_room(void **state)
{
	struct net_stats st;
	struct guest *g;
	unsigned at;
	int fd;

	(void)state;
	g = tap("tap0", 1);
	fd = host("tap0", OURS);
	guest_pump(g); /* what the kernel says of itself */
	g->buf_size = 256;
	g->bufs = 2;
	at = g->nframes;
	frame(buf, 1500, 7);
	assert_int_equal(write(fd, buf, 1500), 1500);
	while (g->bufs == 2 && g->nframes == at) {
		guest_pump(g);
		net_get_stats(g->net, &st);
		if (g->nframes == at)
			break;
	}
	assert_int_equal(g->nframes, at);
	g->bufs = GUEST_BUFS;
	net_rx_resume(g->net, 0);
	at = ours(g, at);
	assert_int_equal(g->frames[at].len, 1500);
	assert_memory_equal(g->frames[at].p, buf, 1500);
	/* Never enough: it is lost, and the next one comes. */
	guest_pump(g);
	net_rx_resume(g->net, 0);
	g->bufs = 2;
	frame(buf, 1500, 8);
	assert_int_equal(write(fd, buf, 1500), 1500);
	guest_pump(g);
	net_rx_resume(g->net, 0);
	g->bufs = GUEST_BUFS;
	net_rx_resume(g->net, 0);
	frame(buf, 100, 9);
	assert_int_equal(write(fd, buf, 100), 100);
	do
		at = ours(g, at + 1);
	while (g->frames[at].p[99] != 9);
	net_get_stats(g->net, &st);
	assert_int_equal(st.rx_dropped, 1);
	close(fd);
	guest_free(g);
}

/* Many queues, the first of which is used until there is more. */
static void
test_queues(void **state)
{
	struct net_hdr none = {0};
	struct iovec iov = {buf, 60};
	struct guest *g;
	int fd;

	(void)state;
	g = tap("tap7", 4);
	assert_int_equal(net_queues(g->net), 4);
	assert_int_equal(net_set_queues(g->net, 0), -EINVAL);
	assert_int_equal(net_set_queues(g->net, 5), -EINVAL);
	assert_int_equal(net_set_queues(g->net, 4), 0);
	fd = host("tap7", OURS);
	frame(buf, 60, 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(net_send(g->net, i, &none, &iov, 1), 0);
		assert_int_equal(read(fd, got, sizeof(got)), 60);
	}
	assert_int_equal(net_set_queues(g->net, 2), 0);
	assert_int_equal(net_set_queues(g->net, 1), 0);
	assert_int_equal(net_send(g->net, 0, &none, &iov, 1), 0);
	assert_int_equal(read(fd, got, sizeof(got)), 60);
	close(fd);
	guest_free(g);
}

/* An interface of the old kind, as a descriptor: frames without a header. */
static void
test_fd(void **state)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	struct net_config cfg = {.backend = "tap", .mtu = 1500};
	const struct packet k = {.version = 4, .proto = 6, .payload = 3000};
	struct net_hdr h = {.flags = NET_HDR_NEEDS_CSUM, .csum_start = 34,
	    .csum_offset = 16, .gso_type = NET_GSO_TCPV4, .gso_size = 1000};
	char err[256], num[16];
	struct iovec iov = {buf, 0};
	struct guest *g;
	struct net *n;
	int fd, tun;

	(void)state;
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(tun >= 0);
	strcpy(ifr.ifr_name, "old0");
	assert_int_equal(ioctl(tun, TUNSETIFF, &ifr), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ifr.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
	(void)snprintf(num, sizeof(num), "%d", tun);
	cfg.fd = num;
	g = guest_new(&cfg, err);
	assert_non_null(g);
	assert_int_equal(net_tx_offloads(g->net), NET_OFF_ALL & ~NET_OFF_UFO);
	fd = host("old0", 0x800);
	iov.iov_len = packet_make(buf, &k);
	assert_int_equal(net_send(g->net, 0, &h, &iov, 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(read(fd, got, sizeof(got)), 1054);
		assert_int_equal(guest_naive_csum(got + 34, 1020,
		    guest_pseudo(got + 14, 6, 1020)), 0);
	}
	close(fd);
	guest_free(g);
	/* Something else. */
	fd = dup(2);
	(void)snprintf(num, sizeof(num), "%d", fd);
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "is not a tap device"));
	close(fd);
}

/* An interface that another program has used before. */
static void
test_used_before(void **state)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct guest *g;
	int fd, tun, size = 12;

	(void)state;
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(tun >= 0);
	strcpy(ifr.ifr_name, "tap5");
	assert_int_equal(ioctl(tun, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(tun, TUNSETVNETHDRSZ, &size), 0);
	assert_int_equal(ioctl(tun, TUNSETPERSIST, 1), 0);
	close(tun);
	g = tap("tap5", 1);
	fd = host("tap5", OURS);
	frame(buf, 200, 9);
	assert_int_equal(guest_send(g, buf, 200), 0);
	assert_int_equal(read(fd, got, sizeof(got)), 200);
	assert_memory_equal(got, buf, 200);
	close(fd);
	guest_free(g);
}

/* One that was made for many queues, or for one: whatever is asked for. */
static void
test_queue_kinds(void **state)
{
	struct ifreq ifr;
	struct guest *g;
	int fd, tun;

	(void)state;
	for (unsigned many = 0; many < 2; many++) {
		memset(&ifr, 0, sizeof(ifr));
		ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI |
		    (many ? IFF_MULTI_QUEUE : 0));
		tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		assert_true(tun >= 0);
		strcpy(ifr.ifr_name, many ? "tapm" : "taps");
		assert_int_equal(ioctl(tun, TUNSETIFF, &ifr), 0);
		assert_int_equal(ioctl(tun, TUNSETPERSIST, 1), 0);
		close(tun);
		g = tap(ifr.ifr_name, many ? 1 : 2);
		assert_int_equal(net_queues(g->net), 1);
		fd = host(ifr.ifr_name, OURS);
		frame(buf, 100, 9);
		assert_int_equal(guest_send(g, buf, 100), 0);
		assert_int_equal(read(fd, got, sizeof(got)), 100);
		close(fd);
		guest_free(g);
	}
}

static void
test_errors(void **state)
{
	struct net_config cfg = {.backend = "tap", .mtu = 1500};
	char err[256];
	struct guest *g;
	struct net *n;

	(void)state;
	cfg.ifname = "a-name-that-is-too-long";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	cfg.ifname = "tap%d";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	g = tap("tap3", 1);
	cfg.ifname = "tap3";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "open of tap device tap3 failed"));
	guest_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_tso),
	    cmocka_unit_test(test_room),
	    cmocka_unit_test(test_queues),
	    cmocka_unit_test(test_fd),
	    cmocka_unit_test(test_used_before),
	    cmocka_unit_test(test_queue_kinds),
	    cmocka_unit_test(test_errors),
	};

	/* As root, or as a user who may have namespaces. */
	if (unshare(CLONE_NEWNET) != 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
		perror("no network namespace");
		return (77);
	}
	if (access("/dev/net/tun", R_OK | W_OK) != 0) {
		perror("/dev/net/tun");
		return (77);
	}
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
