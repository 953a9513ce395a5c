/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames over Unix sockets, with peers of every kind. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"

static uint8_t buf[NET_FRAME_MAX + 8], got[NET_FRAME_MAX + 8];

static struct guest *
pair(int *peer, const char *backend)
{
	struct net_config cfg = {.backend = backend, .mtu = 1500};
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
put(int fd, const void *p, size_t len)
{
	assert_int_equal(send(fd, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void
put_frame(int fd, const uint8_t *p, size_t len)
{
	uint32_t be = htonl((uint32_t)len);

	put(fd, &be, 4);
	put(fd, p, len);
}

static size_t
get_frame(int fd, uint8_t *p)
{
	uint32_t be;

	assert_int_equal(recv(fd, &be, 4, MSG_WAITALL), 4);
	be = ntohl(be);
	assert_true(be <= NET_FRAME_MAX);
	assert_int_equal(recv(fd, p, be, MSG_WAITALL), be);
	return (be);
}

static void
test_both_ways(void **state)
{
	const struct packet k = {.version = 4, .proto = 17, .payload = 700};
	struct guest *g;
	size_t len;
	int peer;

	(void)state;
	g = pair(&peer, "socket");
	assert_true(g->up);
	len = packet_make(buf, &k);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(guest_send(g, buf, len - i), 0);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(get_frame(peer, got), len - i);
		assert_memory_equal(got, buf, len - i);
	}
	for (unsigned i = 0; i < 50; i++)
		put_frame(peer, buf, len - i);
	guest_wait(g, 50, 0, 0);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(g->frames[i].len, len - i);
		assert_memory_equal(g->frames[i].p, buf, len - i);
		assert_int_equal(g->frames[i].hdr.flags, 0);
	}
	assert_true(g->ends >= 1);
	guest_free(g);
	close(peer);
}

/* The smallest and the largest; in pieces of one byte. */
static void
test_framing(void **state)
{
	const struct packet k = {.version = 6, .proto = 17, .payload = 65000};
	struct guest *g;
	uint32_t be;
	size_t len;
	int peer;

	(void)state;
	g = pair(&peer, "socket");
	g->buf_size = 65536;
	put_frame(peer, buf, NET_FRAME_MIN);
	guest_wait(g, 1, 0, 0);
	assert_int_equal(g->frames[0].len, NET_FRAME_MIN);
	len = packet_make(buf, &k);
	put_frame(peer, buf, len);
	guest_wait(g, 2, 0, 0);
	assert_int_equal(g->frames[1].len, len);
	assert_memory_equal(g->frames[1].p, buf, len);
	be = htonl(100);
	for (unsigned i = 0; i < 104; i++)
		put(peer, i < 4 ? (uint8_t *)&be + i : buf + i - 4, 1);
	guest_wait(g, 3, 0, 0);
	assert_memory_equal(g->frames[2].p, buf, 100);
	guest_free(g);
	close(peer);
}

/* Segments are made for a peer that knows no header; checksums too. */
static void
test_offloads(void **state)
{
	const struct packet k = {.version = 4, .proto = 6, .payload = 60000};
	struct net_hdr h = {.flags = NET_HDR_NEEDS_CSUM, .csum_start = 34,
	    .csum_offset = 16, .gso_type = NET_GSO_TCPV4, .gso_size = 1460};
	struct iovec iov[2];
	struct guest *g;
	size_t len, sum = 0;
	int peer, size = 1 << 20;
	unsigned n;

	(void)state;
	g = pair(&peer, "socket");
	assert_int_equal(net_tx_offloads(g->net),
	    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6 | NET_OFF_ECN);
	(void)setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	len = packet_make(buf, &k);
	iov[0].iov_base = buf;
	iov[0].iov_len = 60;
	iov[1].iov_base = buf + 60;
	iov[1].iov_len = len - 60;
	assert_int_equal(net_send(g->net, 0, &h, iov, 2), 0);
	net_send_end(g->net, 0);
	for (n = 0; sum < k.payload; n++) {
		len = get_frame(peer, got);
		assert_true(len <= 1514);
		assert_int_equal(guest_naive_csum(got + 34, len - 34,
		    guest_pseudo(got + 14, 6, (unsigned)len - 34)), 0);
		assert_memory_equal(got + 54, buf + 54 + sum, len - 54);
		sum += len - 54;
	}
	assert_int_equal(n, (60000 + 1459) / 1460);
	/* passt takes them whole, with the checksum that is left to do. */
	guest_put16(buf + 50, (uint16_t)~guest_naive_csum(buf, 0,
	    guest_pseudo(buf + 14, 6, 60020)));
	guest_free(g);
	close(peer);
	g = pair(&peer, "passt");
	assert_int_equal(net_send(g->net, 0, &h, iov, 2), 0);
	net_send_end(g->net, 0);
	assert_int_equal(get_frame(peer, got), 60054);
	assert_int_equal(guest_naive_csum(got + 34, 60020,
	    guest_pseudo(got + 14, 6, 60020)), 0);
	guest_free(g);
	close(peer);
}

/* Large segments come in: whole for who takes them, else in pieces. */
static void
test_jumbo_in(void **state)
{
	const struct packet k = {.version = 4, .proto = 6, .payload = 30000};
	struct guest *g;
	size_t len, sum = 0;
	int peer;

	(void)state;
	len = packet_make(buf, &k);
	g = pair(&peer, "passt");
	net_set_offloads(g->net, NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6);
	put_frame(peer, buf, len);
	guest_wait(g, 1, 0, 0);
	assert_int_equal(g->frames[0].len, len);
	assert_int_equal(g->frames[0].hdr.gso_type, NET_GSO_TCPV4);
	assert_int_equal(g->frames[0].hdr.gso_size, 1460);
	assert_int_equal(g->frames[0].hdr.flags, NET_HDR_NEEDS_CSUM);
	net_set_offloads(g->net, 0);
	g->bufs = GUEST_BUFS;
	put_frame(peer, buf, len);
	guest_wait(g, 22, 0, 0);
	for (unsigned i = 1; i < 22; i++) {
		uint8_t *p = g->frames[i].p;

		assert_int_equal(g->frames[i].hdr.flags, 0);
		assert_int_equal(guest_naive_csum(p + 34,
		    g->frames[i].len - 34, guest_pseudo(p + 14, 6,
			(unsigned)g->frames[i].len - 34)), 0);
		assert_memory_equal(
		    p + 54, buf + 54 + sum, g->frames[i].len - 54);
		sum += g->frames[i].len - 54;
	}
	assert_int_equal(sum, 30000);
	guest_free(g);
	close(peer);
}

/* No room: frames wait in the socket, and are there later. */
static void
test_blocked(void **state)
{
	const struct packet k = {.version = 4, .proto = 17, .payload = 900};
	struct guest *g;
	size_t len;
	int peer;

	(void)state;
	g = pair(&peer, "socket");
	g->bufs = 2;
	len = packet_make(buf, &k);
	for (unsigned i = 0; i < 10; i++) {
		buf[50] = (uint8_t)i;
		put_frame(peer, buf, len);
	}
	guest_wait(g, 2, 0, 0);
	for (unsigned i = 2; i < 10; i++) {
		g->bufs = 1;
		net_rx_resume(g->net, 0);
		guest_wait(g, i + 1, 0, 0);
		assert_int_equal(g->nframes, i + 1);
		assert_int_equal(g->frames[i].p[50], i);
	}
	guest_free(g);
	close(peer);
}

static void
test_wrong_length(void **state)
{
	static const uint32_t wrong[] = {
	    0, 13, NET_FRAME_MAX + 1, 0x80000000u, 0xffffffffu};
	struct guest *g;
	uint32_t be;
	int peer;
	char c;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		g = pair(&peer, "socket");
		be = htonl(wrong[i]);
		put(peer, &be, 4);
		guest_wait(g, 0, 0, 2);
		assert_false(g->up);
		assert_int_equal(recv(peer, &c, 1, 0), 0);
		/* A cable without a link. */
		assert_int_equal(guest_send(g, buf, 60), 0);
		guest_free(g);
		close(peer);
	}
}

/* A frame that never ends, because the peer does. */
static void
test_truncated(void **state)
{
	struct guest *g;
	uint32_t be = htonl(1000);
	int peer;

	(void)state;
	g = pair(&peer, "socket");
	put(peer, &be, 4);
	put(peer, buf, 999);
	close(peer);
	guest_wait(g, 0, 0, 2);
	assert_false(g->up);
	assert_int_equal(g->nframes, 0);
	guest_free(g);
}

/* A peer that never reads: the guest waits a moment, then its frames are
 * lost; when the peer reads again, whole frames come. */
static void
test_never_reads(void **state)
{
	const struct packet k = {.version = 4, .proto = 17, .payload = 1400};
	struct net_stats st;
	struct guest *g;
	size_t len;
	int peer, error, waits = 0;
	unsigned sent = 0, n, lost;

	(void)state;
	g = pair(&peer, "socket");
	len = packet_make(buf, &k);
	for (n = 0; n < 5000; n++) {
		error = guest_send(g, buf, len);
		if (error == -EAGAIN) {
			waits++;
			guest_wait(g, 0, g->readies + 1, 0);
			continue;
		}
		assert_int_equal(error, 0);
		sent++;
	}
	/* Once the peer was found asleep nobody waits any more. */
	assert_true(waits == 1 || waits == 2);
	net_get_stats(g->net, &st);
	assert_true(st.tx_dropped > 4000);
	lost = (unsigned)st.tx_dropped;
	assert_true(g->up);
	/* It wakes up: what was on its way is whole. */
	fcntl(peer, F_SETFL, O_NONBLOCK);
	for (n = 0; n < sent - lost; n++) {
		uint32_t be;
		size_t have = 0, want = 4;
		ssize_t rc;

		while (have < want) {
			rc = read(peer, got + have, want - have);
			if (rc < 0) {
				guest_pump(g);
				continue;
			}
			assert_true(rc > 0);
			have += (size_t)rc;
			if (have == 4 && want == 4) {
				memcpy(&be, got, 4);
				want = 4 + ntohl(be);
				assert_int_equal(want, 4 + len);
			}
		}
		assert_memory_equal(got + 4, buf, len);
	}
	/* Now it is awake for new ones. */
	assert_int_equal(guest_send(g, buf, 77), 0);
	fcntl(peer, F_SETFL, 0);
	assert_int_equal(get_frame(peer, got), 77);
	guest_free(g);
	close(peer);
}

static int
dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return (fd);
}

/* Two guests, one of which listens; one comes late, goes, and comes back. */
static void
test_listen_and_connect(void **state)
{
	char dir[] = "/tmp/lhyve-net-XXXXXX", path[64], err[256];
	struct net_config cfg = {.backend = "socket", .mtu = 1500};
	struct guest *a, *b;
	struct stat st;
	int fd, second;
	char c;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	cfg.path = path;
	/* Nobody is there yet: no link, no error. */
	b = guest_new(&cfg, err);
	assert_non_null(b);
	assert_false(b->up);
	cfg.listen = true;
	a = guest_new(&cfg, err);
	assert_non_null(a);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	guest_wait(b, 0, 0, 1); /* it tries again */
	guest_wait(a, 0, 0, 1);
	assert_true(a->up && b->up);
	assert_int_equal(guest_send(b, buf, 99), 0);
	guest_wait(a, 1, 0, 0);
	assert_int_equal(guest_send(a, buf, 98), 0);
	guest_wait(b, 1, 0, 0);
	assert_int_equal(b->frames[0].len, 98);
	/* A third is turned away. */
	second = dial(path);
	assert_int_equal(guest_send(b, buf, 97), 0);
	guest_wait(a, 2, 0, 0);
	while (recv(second, &c, 1, MSG_DONTWAIT) < 0) {
		assert_int_equal(guest_send(b, buf, 97), 0);
		guest_wait(a, a->nframes + 1, 0, 0);
	}
	close(second);
	/* One end vanishes, another takes its place. */
	guest_free(b);
	guest_wait(a, 0, 0, 2);
	assert_false(a->up);
	fd = dial(path);
	guest_wait(a, 0, 0, 3);
	assert_true(a->up);
	close(fd);
	guest_free(a);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_errors(void **state)
{
	struct net_config cfg = {.backend = "passt", .mtu = 1500};
	char err[256];
	struct net *n;

	(void)state;
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "passt: no peer; add path="));
	cfg.path = "/nonexistent/passt";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "start it first"));
	cfg.backend = "socket";
	cfg.listen = true;
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -ENOENT);
	cfg.fd = "999";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EBADF);
	cfg.fd = "1";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EBADF);
	cfg.fd = "x";
	assert_int_equal(net_create(&n, &cfg, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "fd=x: not the number"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_framing),
	    cmocka_unit_test(test_offloads),
	    cmocka_unit_test(test_jumbo_in),
	    cmocka_unit_test(test_blocked),
	    cmocka_unit_test(test_wrong_length),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_never_reads),
	    cmocka_unit_test(test_listen_and_connect),
	    cmocka_unit_test(test_errors),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
