/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net: both directions, headers of every kind, the control queue. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/net/netdev.h"
#include "device/virtio/net.h"
#include "vrig.h"

extern const struct device_desc device_virtio_net;

#define BASIC  (VNET_F_MAC | VNET_F_STATUS | VNET_F_CTRL_VQ)
#define CTL    (VNET_F_CTRL_RX | VNET_F_CTRL_RX_EXTRA | VNET_F_CTRL_VLAN |     \
		   VNET_F_CTRL_MAC_ADDR | VNET_F_GUEST_ANNOUNCE)
#define ALL_TX (VNET_F_CSUM | VNET_F_HOST_TSO4 | VNET_F_HOST_TSO6)
#define NEEDS_RESET 0x40u

/* A card whose cable ends in peer. */
static struct vrig *
rig(int *peer, const char *more)
{
	struct vrig *r = malloc(sizeof(*r));
	struct timeval tv = {.tv_sec = 60};
	char opts[128];
	int sv[2];

	assert_non_null(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &tv,
	    sizeof(tv)), 0);
	(void)snprintf(opts, sizeof(opts), "backend=socket,fd=%d%s", sv[0],
	    more);
	if (vrig_create(r, &device_virtio_net, opts, true) != 0)
		fail_msg("%s", r->err.msg);
	*peer = sv[1];
	return (r);
}

static void
unrig(struct vrig *r, int peer)
{
	vrig_destroy(r);
	free(r);
	(void)close(peer);
}

static void
put_frame(int fd, const void *p, size_t len)
{
	uint32_t be = htonl((uint32_t)len);

	assert_int_equal(send(fd, &be, 4, MSG_NOSIGNAL), 4);
	assert_int_equal(send(fd, p, len, MSG_NOSIGNAL), (ssize_t)len);
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

/* A frame for everybody, of an experimental EtherType. */
static void
frame(uint8_t *p, size_t len, uint8_t fill)
{
	memset(p, fill, len);
	memset(p, 0xff, 6);
	memcpy(p + 6, "\x52\x54\x00\x12\x34\x56\x88\xb5", 8);
}

/* Sends what is at gpa, header first, cut into pieces of so many bytes. */
static void
send_cut(struct vrig *r, uint64_t gpa, unsigned len, unsigned piece)
{
	struct vrig_buf b[16];
	unsigned n = 0, off;

	for (off = 0; off < len; off += piece, n++)
		b[n] = (struct vrig_buf){gpa + off,
		    len - off < piece ? len - off : piece, false};
	assert_true(n <= 16);
	assert_int_equal(vrig_do(r, 1, b, n), 0);
}

static void
test_send(void **state)
{
	static const uint64_t kinds[] = {VIRTIO_F_VERSION_1,
	    VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX};
	uint8_t want[1514], got[NET_FRAME_MAX];
	struct vrig *r;
	uint64_t gpa;
	int peer;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		r = rig(&peer, "");
		vrig_start(r, kinds[i] | BASIC, 3);
		gpa = vrig_alloc(r, 4096);
		/* The header alone, in pieces, with the frame. */
		for (unsigned piece = 5; piece < 2000; piece = piece * 3 / 2) {
			unsigned len = piece < 200 ? 60 : 1514;

			frame(want, len, (uint8_t)piece);
			memcpy(vrig_ptr(r, gpa + 12), want, len);
			if ((len + 12) / piece >= 16)
				continue;
			send_cut(r, gpa, len + 12, piece);
			assert_int_equal(get_frame(peer, got), len);
			assert_memory_equal(got, want, len);
		}
		unrig(r, peer);
	}
}

static void
test_legacy(void **state)
{
	uint8_t want[100], got[NET_FRAME_MAX];
	struct vrig_buf b[2];
	struct vrig *r;
	uint32_t len;
	uint64_t gpa;
	int peer;

	(void)state;
	r = rig(&peer, "");
	vrig_start_legacy(r, (uint32_t)BASIC, 2);
	gpa = vrig_alloc(r, 4096);
	frame(want, 100, 1);
	memcpy(vrig_ptr(r, gpa + 10), want, 100);
	send_cut(r, gpa, 110, 10);
	assert_int_equal(get_frame(peer, got), 100);
	assert_memory_equal(got, want, 100);
	b[0] = (struct vrig_buf){gpa, 10, true};
	b[1] = (struct vrig_buf){gpa + 1024, 1514, true};
	(void)vrig_add(r, 0, b, 2, false);
	vrig_kick(r, 0);
	put_frame(peer, want, 99);
	(void)vrig_wait(r, 0, &len);
	assert_int_equal(len, 109);
	assert_memory_equal(vrig_ptr(r, gpa + 1024), want, 99);
	unrig(r, peer);
}

/* What is no frame is dropped; the next one goes. */
static void
test_send_wrong(void **state)
{
	static const struct {
		struct net_hdr h;
		unsigned len; /* with the header */
	} wrong[] = {
	    {{0}, 0},
	    {{0}, 5},
	    {{0}, 12},
	    {{0}, 25},
	    {{.flags = 1, .csum_start = 99, .csum_offset = 0}, 112},
	    {{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 112},
	    {{.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16},
		112},
	    {{.gso_type = 1, .gso_size = 100}, 112},
	    {{.flags = 1, .gso_type = 3, .gso_size = 8, .csum_start = 34,
		 .csum_offset = 6}, 112},
	    {{.flags = 1, .gso_type = 4, .gso_size = 1, .csum_start = 34,
		 .csum_offset = 16}, 112},
	    {{.flags = 0xff, .gso_type = 0xff, .gso_size = 0xffff}, 112},
	};
	uint8_t want[60], got[NET_FRAME_MAX];
	struct vrig_buf b;
	struct vrig *r;
	uint64_t gpa;
	int peer;

	(void)state;
	r = rig(&peer, "");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | ALL_TX, 3);
	gpa = vrig_alloc(r, 4096);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(vrig_ptr(r, gpa), &wrong[i].h, sizeof(wrong[i].h));
		frame(vrig_ptr(r, gpa + 12), 100, 1);
		b = (struct vrig_buf){gpa, wrong[i].len, false};
		if (wrong[i].len != 0)
			assert_int_equal(vrig_do(r, 1, &b, 1), 0);
		/* A chain that has nothing to send. */
		b = (struct vrig_buf){gpa + 2048, 64, true};
		assert_int_equal(vrig_do(r, 1, &b, 1), 0);
	}
	assert_int_equal(vrig_status(r) & NEEDS_RESET, 0);
	memset(vrig_ptr(r, gpa), 0, 12);
	frame(want, 60, 9);
	memcpy(vrig_ptr(r, gpa + 12), want, 60);
	send_cut(r, gpa, 72, 72);
	assert_int_equal(get_frame(peer, got), 60);
	assert_memory_equal(got, want, 60);
	unrig(r, peer);
}

/* n buffers for receiving, one after the other at gpa. */
static void
feed(struct vrig *r, uint64_t gpa, unsigned n, uint32_t size)
{
	struct vrig_buf b = {gpa, size, true};

	for (; n > 0; n--, b.gpa += size)
		(void)vrig_add(r, 0, &b, 1, false);
	vrig_kick(r, 0);
}

static void
test_mergeable(void **state)
{
	static uint8_t want[3000];
	struct vnet_hdr h;
	struct vrig *r;
	uint64_t gpa;
	uint32_t len;
	unsigned have = 0, n;
	int peer;

	(void)state;
	r = rig(&peer, "");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | VNET_F_MRG_RXBUF, 3);
	gpa = vrig_alloc(r, 65536);
	frame(want, sizeof(want), 3);
	for (unsigned i = 14; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 11 + i / 256);
	put_frame(peer, want, sizeof(want));
	/* It waits until there is room for all of it. */
	feed(r, gpa, 2, 1000);
	feed(r, gpa + 2000, 3, 1000);
	for (n = 0; have < 3012; n++) {
		(void)vrig_wait(r, 0, &len);
		assert_int_equal(len, n < 3 ? 1000 : 12);
		have += len;
	}
	memcpy(&h, vrig_ptr(r, gpa), sizeof(h));
	assert_int_equal(h.num_buffers, 4);
	assert_int_equal(h.h.flags, 0);
	assert_memory_equal(vrig_ptr(r, gpa + 12), want, 3000);
	/* The fifth is for the next. */
	put_frame(peer, want, 100);
	(void)vrig_wait(r, 0, &len);
	assert_int_equal(len, 112);
	memcpy(&h, vrig_ptr(r, gpa + 4000), sizeof(h));
	assert_int_equal(h.num_buffers, 1);
	unrig(r, peer);
}

static void
test_not_mergeable(void **state)
{
	static uint8_t want[3000];
	struct vnet_hdr h;
	struct vrig_buf b[3];
	struct vrig *r;
	uint64_t gpa;
	uint32_t len;
	int peer;

	(void)state;
	r = rig(&peer, "");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC, 3);
	gpa = vrig_alloc(r, 65536);
	/* A header in two buffers. */
	b[0] = (struct vrig_buf){gpa, 7, true};
	b[1] = (struct vrig_buf){gpa + 100, 500, true};
	b[2] = (struct vrig_buf){gpa + 1000, 1019, true};
	(void)vrig_add(r, 0, b, 3, false);
	vrig_kick(r, 0);
	frame(want, 1514, 5);
	memset(want + 495 + 14, 7, 100);
	put_frame(peer, want, 1514);
	(void)vrig_wait(r, 0, &len);
	assert_int_equal(len, 1526);
	memcpy(&h, vrig_ptr(r, gpa), 7);
	memcpy((uint8_t *)&h + 7, vrig_ptr(r, gpa + 100), 5);
	assert_int_equal(h.num_buffers, 1);
	assert_memory_equal(vrig_ptr(r, gpa + 105), want, 495);
	assert_memory_equal(vrig_ptr(r, gpa + 1000), want + 495, 1019);
	unrig(r, peer);
}

/* A buffer that not even a header fits into breaks the queue. */
static void
test_small_buffer(void **state)
{
	struct vrig *r;
	uint8_t p[60];
	int peer;

	(void)state;
	r = rig(&peer, "");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | VNET_F_MRG_RXBUF, 3);
	frame(p, 60, 0);
	put_frame(peer, p, 60);
	feed(r, vrig_alloc(r, 4096), 1, 12);
	for (int i = 0; (vrig_status(r) & NEEDS_RESET) == 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
	}
	/* And a reset mends it. */
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | VNET_F_MRG_RXBUF, 3);
	assert_int_equal(vrig_status(r) & NEEDS_RESET, 0);
	unrig(r, peer);
}

/* A command: class and number, then data. Its answer; -1: none was written. */
static int
ctl(struct vrig *r, unsigned queue, uint16_t cmd, const void *p, uint32_t len)
{
	uint64_t gpa = vrig_alloc(r, 4096 + 512);
	uint8_t *at = vrig_ptr(r, gpa);
	struct vrig_buf b[3] = {
	    {gpa, 2, false}, {gpa + 2, len, false}, {gpa + 4300, 1, true}};

	at[0] = (uint8_t)(cmd >> 8);
	at[1] = (uint8_t)cmd;
	memcpy(at + 2, p, len);
	at[4300] = 0xee;
	if (len == 0)
		b[1] = b[2];
	if (vrig_do(r, queue, b, len == 0 ? 2 : 3) != 1)
		return (-1);
	return (at[4300]);
}

static struct netdev_filter *
filter(struct vrig *r)
{
	return (&((struct vnet *)virtio_priv(r->vd))->filter);
}

static void
test_control(void **state)
{
	static uint8_t table[4096];
	const uint32_t two = 2, one = 1, lots = 65, lie = 0xffffffff;
	const uint16_t vid = 5, bad_vid = 4096;
	struct vrig_buf b;
	struct vrig *r;
	uint8_t on = 1, off = 0;
	int peer;

	(void)state;
	r = rig(&peer, ",mac=52:54:00:00:00:01");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | CTL, 3);
	assert_true(filter(r)->promisc);
	assert_int_equal(ctl(r, 2, 0x0000, &off, 1), 0);
	assert_false(filter(r)->promisc);
	for (unsigned i = 1; i < 6; i++)
		assert_int_equal(ctl(r, 2, (uint16_t)i, &on, 1), 0);
	assert_true(filter(r)->allmulti && filter(r)->alluni &&
		    filter(r)->nomulti && filter(r)->nouni &&
		    filter(r)->nobcast);
	assert_int_equal(ctl(r, 2, 0x0006, &on, 1), 1);
	assert_int_equal(ctl(r, 2, 0x0000, "", 0), 1);
	/* Addresses: 2 and 1; too many; more than come; half of one. */
	memcpy(table, &two, 4);
	memcpy(table + 4, "\x52\1\1\1\1\1\x52\2\2\2\2\2", 12);
	memcpy(table + 16, &one, 4);
	memcpy(table + 20, "\x33\1\1\1\1\1", 6);
	assert_int_equal(ctl(r, 2, 0x0100, table, 26), 0);
	assert_int_equal(filter(r)->nuni, 2);
	assert_int_equal(filter(r)->nmulti, 1);
	assert_memory_equal(filter(r)->uni[1], "\x52\2\2\2\2\2", 6);
	assert_int_equal(ctl(r, 2, 0x0100, table, 25), 1);
	assert_int_equal(ctl(r, 2, 0x0100, table, 3), 1);
	memcpy(table, &lie, 4);
	assert_int_equal(ctl(r, 2, 0x0100, table, 26), 1);
	assert_int_equal(filter(r)->nuni, 2);
	memcpy(table, &lots, 4);
	memset(table + 4, 0x42, 65 * 6);
	memset(table + 4 + 65 * 6, 0, 4);
	assert_int_equal(ctl(r, 2, 0x0100, table, 8 + 65 * 6), 0);
	assert_true(filter(r)->uni_overflow);
	assert_int_equal(filter(r)->nuni, 0);
	assert_int_equal(filter(r)->nmulti, 0);
	/* The address. */
	assert_int_equal(ctl(r, 2, 0x0101, "\x52\x54\0\0\0\x77", 6), 0);
	assert_int_equal(vrig_config(r, 5, 1), 0x77);
	assert_int_equal(ctl(r, 2, 0x0101, "\x52\x54\0\0\0", 5), 1);
	assert_int_equal(ctl(r, 2, 0x0102, table, 6), 1);
	/* VLANs. */
	assert_int_equal(ctl(r, 2, 0x0200, &vid, 2), 0);
	assert_int_equal(filter(r)->vlans[0], 1u << 5);
	assert_int_equal(ctl(r, 2, 0x0200, &bad_vid, 2), 1);
	assert_int_equal(ctl(r, 2, 0x0201, &vid, 2), 0);
	assert_int_equal(filter(r)->vlans[0], 0);
	/* Nothing was announced, there are no more queues, no offloads were
	 * negotiated, nobody knows class 9. */
	assert_int_equal(ctl(r, 2, 0x0300, "", 0), 1);
	assert_int_equal(ctl(r, 2, 0x0400, &vid, 2), 1);
	assert_int_equal(ctl(r, 2, 0x0500, table, 8), 1);
	assert_int_equal(ctl(r, 2, 0x0900, table, 8), 1);
	/* No command, no room for an answer. */
	b = (struct vrig_buf){vrig_alloc(r, 16), 1, true};
	assert_int_equal(vrig_do(r, 2, &b, 1), 1);
	b.write = false;
	assert_int_equal(vrig_do(r, 2, &b, 1), 0);
	/* A reset lets everything pass again. */
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | CTL, 3);
	assert_true(filter(r)->promisc && !filter(r)->nouni &&
		    !filter(r)->uni_overflow);
	unrig(r, peer);
}

static void
test_features(void **state)
{
	static const uint64_t wrong[] = {VNET_F_GUEST_TSO4, VNET_F_GUEST_TSO6,
	    VNET_F_GUEST_UFO, VNET_F_HOST_TSO4, VNET_F_HOST_TSO6,
	    VNET_F_CTRL_RX, VNET_F_CTRL_VLAN, VNET_F_GUEST_ANNOUNCE,
	    VNET_F_CTRL_MAC_ADDR, VNET_F_CTRL_GUEST_OFFLOADS,
	    VNET_F_GUEST_CSUM | VNET_F_GUEST_ECN};
	struct vrig *r;
	uint64_t bits = VNET_F_GUEST_CSUM | VNET_F_GUEST_TSO4;
	int peer;

	(void)state;
	r = rig(&peer, ",mtu=9000");
	assert_int_equal(vrig_config(r, 10, 2), 9000);
	assert_true((vrig_offered(r) & VNET_F_MTU) != 0);
	assert_int_equal(vrig_offered(r) & (VNET_F_MQ | VNET_F_HOST_UFO), 0);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(
		    vrig_negotiate(r, VIRTIO_F_VERSION_1 | wrong[i]));
	/* Offloads that come and go. */
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | bits |
		   VNET_F_CTRL_GUEST_OFFLOADS, 3);
	assert_int_equal(ctl(r, 2, 0x0500, &bits, 8), 0);
	bits = 0;
	assert_int_equal(ctl(r, 2, 0x0500, &bits, 8), 0);
	bits = VNET_F_GUEST_UFO;
	assert_int_equal(ctl(r, 2, 0x0500, &bits, 8), 1);
	bits = 1ull << 63;
	assert_int_equal(ctl(r, 2, 0x0500, &bits, 8), 1);
	unrig(r, peer);
}

/* The peer goes: the link does, the guest is told. Frames are lost. */
static void
test_link(void **state)
{
	struct vrig *r;
	uint64_t gpa;
	int peer, i;

	(void)state;
	r = rig(&peer, "");
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | CTL, 3);
	assert_int_equal(vrig_config(r, 6, 2), VNET_S_LINK_UP);
	(void)vrig_interrupts(r, ~0u);
	(void)close(peer);
	for (i = 0; vrig_config(r, 6, 2) != 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
	}
	for (i = 0; vrig_interrupts(r, ~0u) == 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
	}
	gpa = vrig_alloc(r, 4096);
	frame(vrig_ptr(r, gpa + 12), 60, 0);
	send_cut(r, gpa, 72, 72);
	unrig(r, -1);
}

static void
wait_status(struct vrig *r, uint32_t status)
{
	for (int i = 0; vrig_config(r, 6, 2) != status; i++) {
		assert_true(i < 60000);
		usleep(1000);
	}
}

/* A link that comes back is announced, until the driver has done it. */
static void
test_announce(void **state)
{
	char dir[] = "/tmp/lhyve-net-XXXXXX", opts[128];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct vrig *r = malloc(sizeof(*r));
	int fd;

	(void)state;
	assert_non_null(r);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", dir);
	(void)snprintf(opts, sizeof(opts), "backend=socket,path=%s,listen=true",
	    sun.sun_path);
	assert_int_equal(
	    vrig_create(r, &device_virtio_net, opts, true), 0);
	vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | CTL, 3);
	assert_int_equal(vrig_config(r, 6, 2), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	wait_status(r, VNET_S_LINK_UP | VNET_S_ANNOUNCE);
	assert_int_equal(ctl(r, 2, 0x0300, "", 0), 0);
	assert_int_equal(vrig_config(r, 6, 2), VNET_S_LINK_UP);
	assert_int_equal(ctl(r, 2, 0x0300, "", 0), 1);
	(void)close(fd);
	wait_status(r, 0);
	vrig_destroy(r);
	free(r);
	assert_int_equal(rmdir(dir), 0);
}

/* Resets at any moment, with frames on their way in both directions. */
static void
test_reset(void **state)
{
	struct vrig *r;
	uint8_t p[200];
	uint64_t gpa;
	uint32_t len;
	int peer;

	(void)state;
	r = rig(&peer, "");
	frame(p, sizeof(p), 0);
	for (unsigned i = 0; i < 50; i++) {
		vrig_start(r, VIRTIO_F_VERSION_1 | BASIC | VNET_F_MRG_RXBUF |
			   (i & 1 ? VIRTIO_F_RING_PACKED : 0), 3);
		gpa = vrig_alloc(r, 8192);
		put_frame(peer, p, sizeof(p));
		feed(r, gpa, 3, 128);
		if (i % 3 == 0) {
			(void)vrig_wait(r, 0, &len);
			assert_int_equal(len, 128);
		}
	}
	unrig(r, peer);
}

static void
test_filter(void **state)
{
	static const uint8_t bcast[FILTER_HEAD] = {
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t own[FILTER_HEAD] = {0x52, 1, 2, 3, 4, 5};
	uint8_t other[FILTER_HEAD] = {0x52, 1, 2, 3, 4, 6};
	uint8_t group[FILTER_HEAD] = {0x33, 0x33, 0, 0, 0, 1};
	struct netdev_filter f;

	(void)state;
	memset(&f, 0xff, sizeof(f));
	memcpy(f.mac, own, 6);
	netdev_filter_reset(&f);
	assert_memory_equal(f.mac, own, 6);
	assert_true(netdev_filter_pass(&f, other));
	f.promisc = false;
	assert_true(netdev_filter_pass(&f, own));
	assert_true(netdev_filter_pass(&f, bcast));
	assert_false(netdev_filter_pass(&f, other));
	assert_false(netdev_filter_pass(&f, group));
	memcpy(f.multi[0], group, 6);
	f.nmulti = 1;
	assert_true(netdev_filter_pass(&f, group));
	f.nomulti = true;
	assert_false(netdev_filter_pass(&f, group));
	assert_true(netdev_filter_pass(&f, bcast));
	f.nobcast = true;
	assert_false(netdev_filter_pass(&f, bcast));
	memcpy(f.uni[FILTER_MACS - 1], other, 6);
	f.nuni = FILTER_MACS;
	assert_true(netdev_filter_pass(&f, other));
	f.nouni = true;
	assert_false(netdev_filter_pass(&f, own));
	/* VLAN 4095, and priority without one. */
	f.nouni = false;
	f.vlan = true;
	memcpy(own + 12, "\x81\0\xff\xff", 4);
	assert_false(netdev_filter_pass(&f, own));
	f.vlans[63] = 1ull << 63;
	assert_true(netdev_filter_pass(&f, own));
	memcpy(own + 12, "\x81\0\xe0\0", 4);
	assert_true(netdev_filter_pass(&f, own));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_send),
	    cmocka_unit_test(test_legacy),
	    cmocka_unit_test(test_send_wrong),
	    cmocka_unit_test(test_mergeable),
	    cmocka_unit_test(test_not_mergeable),
	    cmocka_unit_test(test_small_buffer),
	    cmocka_unit_test(test_control),
	    cmocka_unit_test(test_features),
	    cmocka_unit_test(test_link),
	    cmocka_unit_test(test_announce),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_filter),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
