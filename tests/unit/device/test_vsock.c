/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-vsock: connections both ways, credit, ends, and what is no packet. */
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
#include <unistd.h>

#include <cmocka.h>

#include "backend/unixsock.h"
#include "device/virtio/vsock.h"
#include "vrig.h"

extern const struct device_desc device_virtio_vsock;

#define CID    42u
#define HDR    sizeof(struct vsock_hdr)
#define RX_LEN 4096u
#define NRX    16u
#define BIG    (1u << 20)

static char dir[] = "/tmp/lhyve-vsock-XXXXXX";
static char path[64];
static uint64_t rx_buf[256]; /* by id */

static struct vrig *
rig(void)
{
	struct vrig *r = malloc(sizeof(*r));
	static unsigned count;
	char opts[100];

	/* One that failed left its socket. */
	(void)snprintf(path, sizeof(path), "%s/v%u", dir, count++);
	assert_non_null(r);
	(void)snprintf(opts, sizeof(opts), "path=%s,cid=%u", path, CID);
	if (vrig_create(r, &device_virtio_vsock, opts, true) != 0)
		fail_msg("%s", r->err.msg);
	return (r);
}

static void
feed(struct vrig *r, unsigned count, uint32_t len)
{
	struct vrig_buf b = {0, len, true};

	while (count-- != 0) {
		b.gpa = vrig_alloc(r, len);
		rx_buf[vrig_add(r, 0, &b, 1, false)] = b.gpa;
	}
	vrig_kick(r, 0);
}

static struct vrig *
started(unsigned buffers)
{
	struct vrig *r = rig();

	vrig_start(r, 0, 3);
	feed(r, buffers, RX_LEN);
	return (r);
}

static void
unrig(struct vrig *r)
{
	assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
	vrig_destroy(r);
	free(r);
}

/* A packet of the guest's; `data` may be longer than its header says. */
static void
say_hdr(struct vrig *r, const struct vsock_hdr *h, const void *data, size_t len)
{
	struct vrig_buf b[2] = {{vrig_alloc(r, HDR), HDR, false}};

	memcpy(vrig_ptr(r, b[0].gpa), h, HDR);
	if (len != 0) {
		b[1].gpa = vrig_alloc(r, len);
		b[1].len = (uint32_t)len;
		memcpy(vrig_ptr(r, b[1].gpa), data, len);
	}
	(void)vrig_do(r, 1, b, len != 0 ? 2 : 1);
}

static struct vsock_hdr
hdr(uint32_t port, uint32_t host_port, uint16_t op)
{
	return ((struct vsock_hdr){.src_cid = CID,
	    .dst_cid = 2,
	    .src_port = port,
	    .dst_port = host_port,
	    .type = 1,
	    .op = op,
	    .buf_alloc = 65536});
}

static void
say(struct vrig *r, uint32_t port, uint32_t host_port, uint16_t op,
    uint32_t flags)
{
	struct vsock_hdr h = hdr(port, host_port, op);

	h.flags = flags;
	say_hdr(r, &h, NULL, 0);
}

/* The next packet to the guest, and its data. */
static struct vsock_hdr
next_packet(struct vrig *r, void *data)
{
	struct vsock_hdr h;
	uint32_t len;
	uint16_t id = vrig_wait(r, 0, &len);

	assert_true(len >= HDR);
	memcpy(&h, vrig_ptr(r, rx_buf[id]), HDR);
	assert_int_equal(h.src_cid, 2);
	assert_int_equal(h.dst_cid, CID);
	assert_int_equal(h.type, 1);
	assert_int_equal(h.len, len - HDR);
	if (data != NULL)
		memcpy(data, vrig_ptr(r, rx_buf[id] + HDR), h.len);
	feed(r, 1, RX_LEN);
	return (h);
}

/* It is this one. */
static struct vsock_hdr
expect(struct vrig *r, uint32_t port, uint16_t op, void *data)
{
	struct vsock_hdr h = next_packet(r, data);

	assert_int_equal(h.op, op);
	assert_int_equal(h.dst_port, port);
	return (h);
}

static int
timeout(int fd)
{
	struct timeval tv = {.tv_sec = 60};

	assert_true(fd >= 0);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	/* The tests wait. */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return (fd);
}

static void
hear(int fd, const char *text)
{
	char buf[100] = "";

	assert_int_equal(
	    recv(fd, buf, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buf, text);
}

static void
hear_end(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 0);
}

/* A connection that the host began to port 52: its port. */
static uint32_t
host_connects(struct vrig *r, int *fd)
{
	struct vsock_hdr h;
	char line[40];

	*fd = timeout(unix_connect(path));
	assert_int_equal(send(*fd, "CONNECT 52\n", 11, 0), 11);
	h = expect(r, 52, VSOCK_OP_REQUEST, NULL);
	assert_int_equal(h.buf_alloc, VSOCK_CREDIT);
	say(r, 52, h.src_port, VSOCK_OP_RESPONSE, 0);
	(void)snprintf(line, sizeof(line), "OK %u\n", h.src_port);
	hear(*fd, line);
	return (h.src_port);
}

static void
test_host_connects(void **state)
{
	struct vrig *r = started(NRX);
	char data[RX_LEN];
	struct vsock_hdr h;
	uint32_t port, other;
	int fd, fd2;

	(void)state;
	assert_int_equal(vrig_conf(r, 2, 2), 0x1053);
	assert_int_equal(vrig_config(r, 0, 4), CID);
	assert_int_equal(vrig_config(r, 4, 4), 0);
	port = host_connects(r, &fd);
	other = host_connects(r, &fd2);
	assert_int_not_equal(port, other);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	h = expect(r, 52, VSOCK_OP_RW, data);
	assert_int_equal(h.src_port, port);
	assert_int_equal(h.len, 5);
	assert_memory_equal(data, "hello", 5);
	h = hdr(52, port, VSOCK_OP_RW);
	h.len = 3;
	say_hdr(r, &h, "abcdef", 6);
	hear(fd, "abc");
	/* The host says no more: the guest may. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	h = expect(r, 52, VSOCK_OP_SHUTDOWN, NULL);
	assert_int_equal(h.flags, VSOCK_NO_SEND);
	h = hdr(52, port, VSOCK_OP_RW);
	h.len = 4;
	say_hdr(r, &h, "last", 4);
	hear(fd, "last");
	say(r, 52, port, VSOCK_OP_SHUTDOWN, 3);
	(void)expect(r, 52, VSOCK_OP_RST, NULL);
	hear_end(fd);
	/* The other one goes on. */
	assert_int_equal(send(fd2, "x", 1, 0), 1);
	h = expect(r, 52, VSOCK_OP_RW, NULL);
	assert_int_equal(h.src_port, other);
	say(r, 52, other, VSOCK_OP_RST, 0);
	hear_end(fd2);
	(void)close(fd);
	(void)close(fd2);
	unrig(r);
}

/* First lines that are none, or come piece by piece. */
static void
test_first_line(void **state)
{
	static const char *const wrong[] = {"CONNECT\n", "CONNECT \n",
	    "CONNECT x\n", "CONNECT -1\n", "CONNECT 4294967295\n",
	    "CONNECT 5 5\n", "connect 5\n", "CONNECT 00000000000000000005\n",
	    "GET / HTTP/1.1\r\n", "\n"};
	struct vrig *r = started(NRX);
	struct vsock_hdr h;
	char line[40];
	unsigned i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fd = timeout(unix_connect(path));
		assert_int_equal(
		    send(fd, wrong[i], strlen(wrong[i]), 0), strlen(wrong[i]));
		/* With what it had not read there is an error instead. */
		assert_true(recv(fd, &h, 1, 0) <= 0);
		(void)close(fd);
	}
	fd = timeout(unix_connect(path));
	(void)close(fd);
	fd = timeout(unix_connect(path));
	for (i = 0; i < 10; i++) {
		assert_int_equal(send(fd, "CONNECT 77" + i, 1, 0), 1);
		(void)usleep(1000);
	}
	/* What follows the line is data already. */
	assert_int_equal(send(fd, "\nearly", 6, 0), 6);
	h = expect(r, 77, VSOCK_OP_REQUEST, NULL);
	say(r, 77, h.src_port, VSOCK_OP_RESPONSE, 0);
	h = expect(r, 77, VSOCK_OP_RW, NULL);
	assert_int_equal(h.len, 5);
	(void)snprintf(line, sizeof(line), "OK %u\n", h.src_port);
	hear(fd, line);
	(void)close(fd);
	/* The guest says no. */
	fd = timeout(unix_connect(path));
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	(void)expect(r, 77, VSOCK_OP_SHUTDOWN, NULL);
	h = expect(r, 9, VSOCK_OP_REQUEST, NULL);
	say(r, 9, h.src_port, VSOCK_OP_RST, 0);
	hear_end(fd);
	(void)close(fd);
	unrig(r);
}

static void
test_guest_connects(void **state)
{
	struct vrig *r = started(NRX);
	struct unix_listener l;
	char at[80], data[RX_LEN];
	struct vsock_hdr h;
	int fd;

	(void)state;
	/* Nobody there. */
	say(r, 1000, 7, VSOCK_OP_REQUEST, 0);
	h = expect(r, 1000, VSOCK_OP_RST, NULL);
	assert_int_equal(h.src_port, 7);
	(void)snprintf(at, sizeof(at), "%s_7", path);
	assert_int_equal(unix_listen(&l, at), 0);
	say(r, 1000, 7, VSOCK_OP_REQUEST, 0);
	(void)expect(r, 1000, VSOCK_OP_RESPONSE, NULL);
	fd = timeout(unix_accept(&l));
	h = hdr(1000, 7, VSOCK_OP_RW);
	h.len = 5;
	say_hdr(r, &h, "hello", 5);
	hear(fd, "hello");
	assert_int_equal(send(fd, "you", 3, 0), 3);
	(void)expect(r, 1000, VSOCK_OP_RW, data);
	assert_memory_equal(data, "you", 3);
	/* Half a close. */
	say(r, 1000, 7, VSOCK_OP_SHUTDOWN, VSOCK_NO_SEND);
	hear_end(fd);
	assert_int_equal(send(fd, "more", 4, 0), 4);
	(void)expect(r, 1000, VSOCK_OP_RW, data);
	(void)close(fd);
	(void)expect(r, 1000, VSOCK_OP_SHUTDOWN, NULL);
	say(r, 1000, 7, VSOCK_OP_SHUTDOWN, 3);
	(void)expect(r, 1000, VSOCK_OP_RST, NULL);
	/* The same ports again; the host goes without a word. */
	say(r, 1000, 7, VSOCK_OP_REQUEST, 0);
	(void)expect(r, 1000, VSOCK_OP_RESPONSE, NULL);
	fd = timeout(unix_accept(&l));
	(void)close(fd);
	(void)expect(r, 1000, VSOCK_OP_SHUTDOWN, NULL);
	h.len = 5;
	say_hdr(r, &h, "hello", 5);
	(void)expect(r, 1000, VSOCK_OP_RST, NULL);
	unix_unlisten(&l);
	unrig(r);
}

/* To the guest no more than it has room for. */
static void
test_credit_of_guest(void **state)
{
	static uint8_t data[BIG], got[BIG];
	struct vrig *r = started(64);
	struct vsock_hdr h;
	uint32_t port, sum = 0, fwd = 0, i;
	unsigned asked = 0;
	int fd;

	(void)state;
	for (i = 0; i < BIG; i++)
		data[i] = (uint8_t)(i * 5 + (i >> 8));
	port = host_connects(r, &fd);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	i = 0;
	while (sum < BIG) {
		ssize_t n = send(fd, data + i, BIG - i, MSG_NOSIGNAL);

		i += n > 0 ? (uint32_t)n : 0;
		h = next_packet(r, got + sum);
		if (h.op == VSOCK_OP_CREDIT_REQUEST) {
			/* Used up. It gets some, in two pieces at first. */
			asked++;
			fwd = asked % 2 != 0 ? sum - 30000 : sum;
			h = hdr(52, port, VSOCK_OP_CREDIT_UPDATE);
			h.fwd_cnt = fwd;
			say_hdr(r, &h, NULL, 0);
			continue;
		}
		assert_int_equal(h.op, VSOCK_OP_RW);
		sum += h.len;
		assert_true(sum - fwd <= 65536);
	}
	assert_true(asked >= BIG / 65536 - 1);
	assert_memory_equal(got, data, BIG);
	(void)close(fd);
	unrig(r);
}

/* From the guest no more than its credit, and the rest waits for the host. */
static void
test_credit_of_host(void **state)
{
	static uint8_t data[BIG], got[BIG];
	struct vrig *r = started(NRX);
	uint32_t port, sent = 0, fwd = 0, i, len;
	size_t heard = 0;
	struct vsock_hdr h;
	uint16_t id;
	ssize_t n;
	int fd;

	(void)state;
	for (i = 0; i < BIG; i++)
		data[i] = (uint8_t)(i * 3 + (i >> 8));
	port = host_connects(r, &fd);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	h = hdr(52, port, VSOCK_OP_RW);
	while (sent < BIG) {
		while (vrig_used(r, 0, &id, &len)) {
			struct vsock_hdr u;

			memcpy(&u, vrig_ptr(r, rx_buf[id]), HDR);
			assert_int_equal(u.op, VSOCK_OP_CREDIT_UPDATE);
			fwd = u.fwd_cnt;
			feed(r, 1, RX_LEN);
		}
		h.len = VSOCK_CREDIT - (sent - fwd);
		if (h.len > 3000)
			h.len = 3000;
		if (h.len > BIG - sent)
			h.len = BIG - sent;
		if (h.len != 0) {
			r->next =
			    r->next > VRIG_MEMORY / 2 ? 0x800000 : r->next;
			say_hdr(r, &h, data + sent, h.len);
			sent += h.len;
		} else {
			n = recv(fd, got + heard, sizeof(got) - heard, 0);
			heard += n > 0 ? (size_t)n : 0;
			vrig_run_loop(r);
		}
	}
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	n = recv(fd, got + heard, sizeof(got) - heard, MSG_WAITALL);
	assert_int_equal((size_t)n + heard, BIG);
	assert_memory_equal(got, data, BIG);
	(void)close(fd);
	unrig(r);
}

/* A guest that takes more than its credit loses the connection. */
static void
test_too_much(void **state)
{
	static uint8_t data[VSOCK_CREDIT + 1];
	struct vrig *r = started(NRX);
	struct vsock_hdr h;
	uint32_t port, len;
	uint16_t id;
	unsigned i;
	int fd;

	(void)state;
	port = host_connects(r, &fd);
	h = hdr(52, port, VSOCK_OP_RW);
	h.len = VSOCK_CREDIT + 1;
	say_hdr(r, &h, data, h.len);
	(void)expect(r, 52, VSOCK_OP_RST, NULL);
	(void)close(fd);
	/* A little too much, while the host does not read. */
	port = host_connects(r, &fd);
	h = hdr(52, port, VSOCK_OP_RW);
	h.len = VSOCK_CREDIT / 2;
	for (i = 0; i < 64; i++) {
		r->next = 0x800000;
		say_hdr(r, &h, data, h.len);
		while (vrig_used(r, 0, &id, &len)) {
			struct vsock_hdr u;

			memcpy(&u, vrig_ptr(r, rx_buf[id]), HDR);
			if (u.op == VSOCK_OP_RST)
				i = 1000;
			feed(r, 1, RX_LEN);
		}
	}
	assert_true(i >= 1000);
	/* More than there is in the packet. */
	(void)close(fd);
	port = host_connects(r, &fd);
	h = hdr(52, port, VSOCK_OP_RW);
	h.len = 100;
	say_hdr(r, &h, data, 99);
	(void)expect(r, 52, VSOCK_OP_RST, NULL);
	(void)close(fd);
	unrig(r);
}

/* The guest closes while the host has not read yet: it still can. */
static void
test_close_with_data(void **state)
{
	static uint8_t data[VSOCK_CREDIT], got[8 * VSOCK_CREDIT];
	struct vrig *r = started(NRX);
	uint32_t port, sent = 0, fwd = 0, len;
	struct vsock_hdr h;
	uint16_t id;
	int fd;

	(void)state;
	port = host_connects(r, &fd);
	h = hdr(52, port, VSOCK_OP_RW);
	memset(data, 'x', sizeof(data));
	/* Until the socket is full, and all of the credit is used. */
	while (sent - fwd < VSOCK_CREDIT) {
		h.len = VSOCK_CREDIT - (sent - fwd);
		if (h.len > 4096)
			h.len = 4096;
		r->next = 0x800000;
		say_hdr(r, &h, data, h.len);
		sent += h.len;
		while (vrig_used(r, 0, &id, &len)) {
			struct vsock_hdr u;

			memcpy(&u, vrig_ptr(r, rx_buf[id]), HDR);
			fwd = u.fwd_cnt;
			feed(r, 1, RX_LEN);
		}
	}
	say(r, 52, port, VSOCK_OP_SHUTDOWN, 3);
	assert_true(sent < sizeof(got));
	assert_int_equal(recv(fd, got, sent, MSG_WAITALL), sent);
	hear_end(fd);
	do {
		(void)vrig_wait(r, 0, &len);
		memcpy(&h, vrig_ptr(r, rx_buf[0]), HDR);
		feed(r, 1, RX_LEN);
	} while (((struct vsock *)virtio_priv(r->vd))->nconns != 0);
	(void)close(fd);
	unrig(r);
}

/* Packets of nobody, to nobody, of no kind. */
static void
test_strange_packets(void **state)
{
	struct vrig *r = started(NRX);
	struct vrig_buf b = {vrig_alloc(r, 64), (uint32_t)HDR - 1, false};
	struct vsock_hdr h;
	uint32_t port, len;
	uint16_t id, op;
	int fd;

	(void)state;
	(void)vrig_do(r, 1, &b, 1);
	b.write = true;
	(void)vrig_do(r, 1, &b, 1);
	h = hdr(5, 6, VSOCK_OP_RW);
	h.src_cid = 1;
	say_hdr(r, &h, NULL, 0);
	h.src_cid = CID;
	h.op = VSOCK_OP_RST;
	say_hdr(r, &h, NULL, 0);
	assert_false(vrig_used(r, 0, &id, &len));
	/* Those are answered. */
	for (op = 0; op < 300; op++) {
		if (op == VSOCK_OP_REQUEST || op == VSOCK_OP_RST)
			continue;
		say(r, 5, 6, op, 0);
		(void)expect(r, 5, VSOCK_OP_RST, NULL);
	}
	h = hdr(5, 6, VSOCK_OP_REQUEST);
	h.type = 2;
	say_hdr(r, &h, NULL, 0);
	(void)vrig_wait(r, 0, &len);
	feed(r, 1, RX_LEN);
	h.type = 1;
	h.dst_cid = 77;
	say_hdr(r, &h, NULL, 0);
	(void)vrig_wait(r, 0, &len);
	feed(r, 1, RX_LEN);
	/* And in a connection they end it. */
	for (op = 0; op < 20; op++) {
		if (op >= VSOCK_OP_RST && op <= VSOCK_OP_CREDIT_REQUEST)
			continue;
		port = host_connects(r, &fd);
		say(r, 52, port, op, 0);
		(void)expect(r, 52, VSOCK_OP_RST, NULL);
		hear_end(fd);
		(void)close(fd);
	}
	port = host_connects(r, &fd);
	say(r, 52, port, VSOCK_OP_CREDIT_REQUEST, 0);
	(void)expect(r, 52, VSOCK_OP_CREDIT_UPDATE, NULL);
	(void)close(fd);
	unrig(r);
}

/* A guest that takes no packets is not listened to for ever. */
static void
test_no_buffers(void **state)
{
	struct vrig *r = started(0);
	struct vrig_buf b = {vrig_alloc(r, HDR), HDR, false};
	struct vsock_hdr h = hdr(5, 6, VSOCK_OP_RW);
	unsigned i;
	uint16_t id;
	uint32_t len;

	(void)state;
	memcpy(vrig_ptr(r, b.gpa), &h, HDR);
	for (i = 0; i < 200; i++)
		(void)vrig_add(r, 1, &b, 1, false);
	vrig_kick(r, 1);
	for (i = 0; i < VSOCK_ORPHANS; i++)
		(void)vrig_wait(r, 1, &len);
	for (i = 0; i < 100; i++)
		vrig_run_loop(r);
	assert_false(vrig_used(r, 1, &id, &len));
	/* Small buffers are of no use. */
	feed(r, 1, (uint32_t)HDR - 1);
	(void)vrig_wait(r, 0, &len);
	assert_int_equal(len, 0);
	for (i = 0; i < 200; i++) {
		feed(r, 1, HDR);
		(void)expect(r, 5, VSOCK_OP_RST, NULL);
		/* expect() fed one more. */
		if (++i < 200)
			(void)expect(r, 5, VSOCK_OP_RST, NULL);
	}
	for (i = VSOCK_ORPHANS; i < 200; i++)
		(void)vrig_wait(r, 1, &len);
	unrig(r);
}

/* A reset ends all connections, whatever they wait for. */
static void
test_reset(void **state)
{
	struct vrig *r = started(NRX);
	int fd, fd2, fd3;

	(void)state;
	(void)host_connects(r, &fd);
	fd2 = timeout(unix_connect(path));
	assert_int_equal(send(fd2, "CONNECT 53\n", 11, 0), 11);
	(void)expect(r, 53, VSOCK_OP_REQUEST, NULL);
	fd3 = timeout(unix_connect(path));
	assert_int_equal(send(fd3, "CON", 3, 0), 3);
	vrig_start(r, 0, 3);
	hear_end(fd);
	hear_end(fd2);
	(void)close(fd);
	(void)close(fd2);
	(void)close(fd3);
	feed(r, NRX, RX_LEN);
	(void)host_connects(r, &fd);
	(void)close(fd);
	unrig(r);
}

static void
test_wrong(void **state)
{
	struct vrig *r = malloc(sizeof(*r));
	char opts[200];

	(void)state;
	assert_int_not_equal(
	    vrig_create(r, &device_virtio_vsock, NULL, true), 0);
	assert_non_null(strstr(r->err.msg, "it needs a path"));
	vrig_destroy(r);
	(void)snprintf(opts, sizeof(opts), "path=/%0100d", 0);
	assert_int_not_equal(
	    vrig_create(r, &device_virtio_vsock, opts, true), 0);
	assert_non_null(strstr(r->err.msg, "too long"));
	vrig_destroy(r);
	assert_int_not_equal(
	    vrig_create(r, &device_virtio_vsock, "path=/no/such/place", true),
	    0);
	assert_non_null(strstr(r->err.msg, "cannot listen there"));
	vrig_destroy(r);
	(void)snprintf(opts, sizeof(opts), "path=%s,interface=legacy", path);
	assert_int_not_equal(
	    vrig_create(r, &device_virtio_vsock, opts, true), 0);
	assert_non_null(strstr(r->err.msg, "only the modern one"));
	vrig_destroy(r);
	free(r);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_host_connects),
	    cmocka_unit_test(test_first_line),
	    cmocka_unit_test(test_guest_connects),
	    cmocka_unit_test(test_credit_of_guest),
	    cmocka_unit_test(test_credit_of_host),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_close_with_data),
	    cmocka_unit_test(test_strange_packets),
	    cmocka_unit_test(test_no_buffers),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_wrong),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return (1);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return (failed);
}
