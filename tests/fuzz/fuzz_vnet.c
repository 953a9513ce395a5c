/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net with a hostile driver and a hostile peer: headers of frames,
 * commands, buffers of any size, resets. Byte 0 says which features; then
 * operations. In the end, after a reset, a frame passes in each direction.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/device/vrig.h"
#include "backend/net/net.h"
#include "base/log.h"
#include "fuzz.h"

extern const struct device_desc device_virtio_net;

#define DATA	    0x4000u
#define DATA_LEN    0x4000u
#define MRG_RXBUF   (1ull << 15)
#define CTRL_VQ	    (1ull << 17)
#define NEEDS_RESET 0x40u

static void
start(struct vrig *r, uint8_t how)
{
	/* Offloads of both directions, everything of the control queue. */
	uint64_t f = VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET | 0x3fe7ull;

	r->next = 0x10000;
	if (how & 1)
		f |= VIRTIO_F_RING_PACKED;
	if (how & 2)
		f |= MRG_RXBUF;
	if (how & 4)
		f |= CTRL_VQ | 0xfc0000ull;
	else
		f &= ~4ull;
	f &= vrig_offered(r) | VIRTIO_F_VERSION_1;
	vrig_start(r, f, 3);
}

/* A chain with the next bytes of the input in it. */
static void
chain(struct vrig *r, unsigned n, struct fuzz_in *in)
{
	uint8_t cut = fuzz_u8(in), writable = fuzz_u8(in);
	uint32_t len = fuzz_u8(in), i, part;
	uint8_t *p = vrig_ptr(r, DATA);
	struct vrig_buf b[4];
	unsigned nb = 0;

	/* Long ones repeat what they have. */
	if (cut & 0x80)
		len *= 60;
	for (i = 0; i < len; i++)
		p[i] = i < 64 && in->left > 0 ? fuzz_u8(in)
					      : p[i >= 64 ? i - 64 : 0];
	for (i = 0; i < len && nb < 3; i += part) {
		part = nb < 2 ? 1 + (cut & 0x3fu) : len - i;
		if (part > len - i)
			part = len - i;
		b[nb++] = (struct vrig_buf){DATA + i, part, false};
	}
	if (n == 0)
		for (i = 0; i < nb; i++)
			b[i].write = true;
	else if (writable & 1)
		b[nb++] = (struct vrig_buf){DATA + DATA_LEN, 1, true};
	if (nb == 0 || r->q[n].left < nb)
		return;
	(void)vrig_add(r, n, b, nb, false);
	vrig_kick(r, n);
}

static void
drain(struct vrig *r, int peer)
{
	uint8_t buf[4096];
	uint32_t len;
	uint16_t id;

	for (unsigned n = 0; n < 3; n++)
		while (vrig_used(r, n, &id, &len))
			continue;
	while (recv(peer, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		continue;
}

/* Returns false when the peer's connection is over. */
static bool
step(struct vrig *r, int peer, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	uint8_t p[260];
	uint32_t be;
	size_t i, n;

	switch (op % 7) {
	case 0:
	case 1:
	case 2:
		if ((vrig_status(r) & NEEDS_RESET) == 0)
			chain(r, op % 7, in);
		break;
	case 3: /* a frame of the peer */
		n = 14 + fuzz_u8(in) % 240;
		for (i = 0; i < n; i++)
			p[4 + i] = in->left > 0 ? fuzz_u8(in) : 0xff;
		be = htonl((uint32_t)n);
		memcpy(p, &be, 4);
		return (send(peer, p, n + 4, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
	case 4:
		drain(r, peer);
		break;
	case 5: /* one queue's reset */
		vrig_write(r, 0x16, 2, op / 7 % 3);
		vrig_write(r, 0x3a, 2, 1);
		break;
	default:
		start(r, op / 7);
		break;
	}
	return (true);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t how = fuzz_u8(&in), got[200];
	struct vrig_buf b = {DATA, 112, false};
	char opts[64];
	struct vrig r;
	uint32_t len;
	int sv[2];

	log_set_level(LOG_ERROR);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		abort();
	(void)snprintf(opts, sizeof(opts), "backend=socket,fd=%d", sv[0]);
	FUZZ_CHECK(vrig_create(&r, &device_virtio_net, opts, true) == 0);
	start(&r, how);
	while (in.left > 0 && step(&r, sv[1], &in))
		continue;
	/* The driver has come to its senses. */
	start(&r, how);
	drain(&r, sv[1]);
	memset(vrig_ptr(&r, DATA), 0, 112);
	memset(vrig_ptr(&r, DATA + 12), 0xff, 100);
	FUZZ_CHECK(vrig_do(&r, 1, &b, 1) == 0);
	/* What was sent before may still come: it is the last one. */
	do
		FUZZ_CHECK(recv(sv[1], got, 1, MSG_WAITALL) == 1);
	while (got[0] != 0xff);
	b = (struct vrig_buf){DATA, 4096, true};
	(void)vrig_add(&r, 0, &b, 1, false);
	vrig_kick(&r, 0);
	memset(got, 0xff, sizeof(got));
	memcpy(got, "\0\0\0\x64", 4);
	(void)send(sv[1], got, 104, MSG_NOSIGNAL);
	(void)vrig_wait(&r, 0, &len);
	FUZZ_CHECK(len >= 12 + NET_FRAME_MIN);
	vrig_destroy(&r);
	(void)close(sv[1]);
	return (0);
}
