/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data over a network, both ways, checked: in the guest, and as the peer on
 * the host. The data are a function of their position, so that what is lost,
 * doubled or changed is found.
 *
 *	netio sink PORT [N]         takes N connections (1), one after the other
 *	netio source HOST PORT SIZE makes one and sends SIZE bytes
 *	netio many HOST PORT N      N connections of 100 bytes, echoed
 *	netio echo PORT [N]         what `many` talks to
 *	netio udp-echo PORT         sends datagrams back; prints "ready"
 *	netio udp HOST PORT N       N datagrams of all sizes, echoed
 *	netio flood HOST PORT N     N datagrams of 1400 bytes, to nobody
 *
 * With -n the data are not looked at, for measurements. HOST is an address of
 * IPv4 or IPv6. Each prints one line, "ok ..." in the end.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536u

static int blind; /* -n */
static uint8_t buf[CHUNK], want[CHUNK];

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* The data at a position that is a multiple of 8, up to n bytes. */
static void
fill(uint8_t *p, uint64_t pos, size_t n)
{
	uint64_t z;

	for (size_t i = 0; i < n; i += 8) {
		z = (pos + i) / 8 * 0x9e3779b97f4a7c15ull;
		z ^= z >> 29;
		memcpy(p + i, &z, n - i < 8 ? n - i : 8);
	}
}

static int
listener(const char *port, int type)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	int fd, one = 1, zero = 0;

	fd = socket(AF_INET6, type, 0);
	if (fd < 0)
		die("socket");
	sin6.sin6_port = htons((uint16_t)atoi(port));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) != 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 64) != 0)
		die("listen");
	printf("ready\n");
	fflush(stdout);
	return (fd);
}

static int
dial(const char *host, const char *port, int type)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	struct sockaddr *sa = (struct sockaddr *)&sin;
	socklen_t len = sizeof(sin);
	int fd;

	sin.sin_port = sin6.sin6_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1) {
		if (inet_pton(AF_INET6, host, &sin6.sin6_addr) != 1) {
			fprintf(stderr, "%s: no address\n", host);
			exit(1);
		}
		sa = (struct sockaddr *)&sin6;
		len = sizeof(sin6);
	}
	fd = socket(sa->sa_family, type, 0);
	if (fd < 0 || connect(fd, sa, len) != 0)
		die("connect");
	return (fd);
}

static int
sink(const char *port, int count)
{
	int l = listener(port, SOCK_STREAM), fd;
	uint64_t pos, total = 0;
	double start = 0;
	ssize_t n;

	for (int i = 0; i < count; i++) {
		fd = accept(l, NULL, NULL);
		if (fd < 0)
			die("accept");
		if (i == 0)
			start = now();
		pos = 0;
		for (;;) {
			size_t off = pos % 8;

			n = read(fd, buf, CHUNK - 8);
			if (n < 0)
				die("read");
			if (n == 0)
				break;
			if (!blind) {
				fill(want, pos - off, (size_t)n + off);
				if (memcmp(buf, want + off, (size_t)n) != 0) {
					printf("wrong near byte %llu\n",
					    (unsigned long long)pos);
					return (1);
				}
			}
			pos += (uint64_t)n;
		}
		total += pos;
		close(fd);
	}
	printf("ok %llu bytes %.3f s %.1f MB/s\n", (unsigned long long)total,
	    now() - start, (double)total / 1e6 / (now() - start));
	return (0);
}

static int
source(const char *host, const char *port, const char *size)
{
	int fd = dial(host, port, SOCK_STREAM);
	uint64_t pos = 0, total = strtoull(size, NULL, 0);
	double start = now();
	ssize_t n;

	while (pos < total) {
		size_t k = total - pos < CHUNK - 8 ? total - pos : CHUNK - 8;
		size_t off = pos % 8;

		if (!blind)
			fill(buf, pos - off, k + off);
		n = write(fd, buf + off, k);
		if (n <= 0)
			die("write");
		pos += (uint64_t)n;
	}
	/* Until the peer has all of it. */
	shutdown(fd, SHUT_WR);
	while (read(fd, buf, CHUNK) > 0)
		continue;
	printf("ok %llu bytes %.3f s %.1f MB/s\n", (unsigned long long)total,
	    now() - start, (double)total / 1e6 / (now() - start));
	return (0);
}

static int
echo(const char *port, int count)
{
	int l = listener(port, SOCK_STREAM), fd;
	ssize_t n;

	for (int i = 0; i < count; i++) {
		fd = accept(l, NULL, NULL);
		if (fd < 0)
			die("accept");
		while ((n = read(fd, buf, CHUNK)) > 0)
			if (write(fd, buf, (size_t)n) != n)
				break;
		close(fd);
	}
	printf("ok %d connections\n", count);
	return (0);
}

static int
many(const char *host, const char *port, int count)
{
	double start = now();

	for (int i = 0; i < count; i++) {
		int fd = dial(host, port, SOCK_STREAM);
		size_t have = 0;
		ssize_t n;

		fill(want, (uint64_t)i * 8, 100);
		if (write(fd, want, 100) != 100)
			die("write");
		while (have < 100) {
			n = read(fd, buf + have, 100 - have);
			if (n <= 0)
				die("read");
			have += (size_t)n;
		}
		if (memcmp(buf, want, 100) != 0) {
			printf("wrong in connection %d\n", i);
			return (1);
		}
		close(fd);
	}
	printf("ok %d connections %.3f s\n", count, now() - start);
	return (0);
}

static void
udp_echo(const char *port)
{
	int fd = listener(port, SOCK_DGRAM);
	struct sockaddr_storage ss;
	socklen_t len;
	ssize_t n;

	for (;;) {
		len = sizeof(ss);
		n = recvfrom(fd, buf, CHUNK, 0, (struct sockaddr *)&ss, &len);
		if (n < 0)
			die("recvfrom");
		(void)sendto(
		    fd, buf, (size_t)n, 0, (struct sockaddr *)&ss, len);
	}
}

/* Datagrams may be lost: each is sent until it comes back. */
static int
udp(const char *host, const char *port, int count)
{
	int fd = dial(host, port, SOCK_DGRAM), tries, lost = 0;
	struct timeval tv = {.tv_sec = 2};
	size_t size;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (int i = 0; i < count; i++) {
		size = count > 1 ? 8 + (size_t)i * 8992 / (size_t)(count - 1)
				 : 1000;
		fill(want, (uint64_t)i * 8, size);
		for (tries = 0; tries < 20; tries++) {
			if (send(fd, want, size, 0) < 0)
				die("send");
			n = recv(fd, buf, CHUNK, 0);
			if (n == (ssize_t)size && memcmp(buf, want, size) == 0)
				break;
			lost++;
		}
		if (tries == 20) {
			printf("no answer of %zu bytes\n", size);
			return (1);
		}
	}
	printf("ok %d datagrams, %d lost\n", count, lost);
	return (0);
}

static int
flood(const char *host, const char *port, int count)
{
	int fd = dial(host, port, SOCK_DGRAM), refused = 0;

	for (int i = 0; i < count; i++)
		if (send(fd, buf, 1400, 0) < 0)
			refused++;
	printf("ok %d datagrams, %d refused\n", count, refused);
	return (0);
}

int
main(int argc, char **argv)
{
	const char *cmd;
	int n;

	if (argc > 1 && strcmp(argv[1], "-n") == 0) {
		blind = 1;
		argc--;
		argv++;
	}
	cmd = argc > 1 ? argv[1] : "";
	n = argc > 3 ? atoi(argv[3]) : 1;
	if (strcmp(cmd, "sink") == 0 && argc > 2)
		return (sink(argv[2], n));
	if (strcmp(cmd, "echo") == 0 && argc > 2)
		return (echo(argv[2], n));
	if (strcmp(cmd, "udp-echo") == 0 && argc > 2)
		udp_echo(argv[2]);
	if (strcmp(cmd, "source") == 0 && argc > 4)
		return (source(argv[2], argv[3], argv[4]));
	if (strcmp(cmd, "many") == 0 && argc > 4)
		return (many(argv[2], argv[3], atoi(argv[4])));
	if (strcmp(cmd, "udp") == 0 && argc > 4)
		return (udp(argv[2], argv[3], atoi(argv[4])));
	if (strcmp(cmd, "flood") == 0 && argc > 4)
		return (flood(argv[2], argv[3], atoi(argv[4])));
	fprintf(stderr, "usage: netio [-n] sink|source|echo|many|udp...\n");
	return (2);
}
