/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of a hostile origin. Byte 0 even: a frame with its header, as a
 * guest sends it to a backend, is checked, finished, segmented; odd: bytes of
 * a peer on a socket, in the pieces in which they come.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/backend/net/guest.h"
#include "backend/net/frame.h"
#include "base/log.h"
#include "fuzz.h"

struct pieces {
	const struct net_hdr *h;
	size_t payload, total;
	unsigned n;
};

static bool
piece(void *arg, const struct iovec iov[2])
{
	struct pieces *s = arg;

	FUZZ_CHECK(iov[0].iov_len >= NET_ETH_HLEN && iov[0].iov_len <= 512);
	/* Reads all of it. */
	for (unsigned i = 0; i < 2; i++)
		FUZZ_CHECK(frame_sum(iov[i].iov_base, iov[i].iov_len, 0) >> 60 ==
			   0);
	/* UDP's first fragment has 8 bytes of it among the headers. */
	FUZZ_CHECK(iov[1].iov_len <= s->h->gso_size);
	s->payload += iov[1].iov_len;
	s->n++;
	FUZZ_CHECK(s->payload <= s->total);
	return (s->n < 70000);
}

static void
frames(struct fuzz_in *in)
{
	size_t len = in->left > 16 ? in->left - 16 : 0;
	struct net_hdr h, made;
	struct pieces s = {.h = &h, .total = len};
	uint32_t offloads = fuzz_u8(in) & NET_OFF_ALL;
	unsigned mtu = 1 + (fuzz_u8(in) | (fuzz_u8(in) & 7u) << 8);
	struct frame f;
	uint8_t *p;

	memset(&h, 0, sizeof(h));
	h.flags = fuzz_u8(in);
	h.gso_type = fuzz_u8(in);
	h.gso_size = (uint16_t)fuzz_take(in, 2);
	h.csum_start = (uint16_t)fuzz_take(in, 2);
	h.csum_offset = (uint16_t)fuzz_take(in, 2);
	len = in->left;
	s.total = len;
	/* Of its own, so that what is read beyond is found. */
	p = malloc(len + 1);
	if (p == NULL)
		abort();
	memcpy(p, in->p, len);
	frame_parse(p, len, &f);
	FUZZ_CHECK(f.l4 == 0 || (f.l3 < f.l4 && f.l4 < f.payload &&
				    f.payload <= f.end && f.end <= len));
	if (frame_hdr_ok(&h, len, offloads)) {
		if (h.gso_type != NET_GSO_NONE)
			(void)frame_segment(p, len, &h, piece, &s);
		frame_finish(p, len, &h);
	}
	s.payload = s.n = 0;
	s.h = &made;
	if (frame_make_gso(p, len, mtu, &made)) {
		FUZZ_CHECK(frame_hdr_ok(&made, len, NET_OFF_ALL));
		FUZZ_CHECK(frame_segment(p, len, &made, piece, &s));
		FUZZ_CHECK(s.n > 1);
	}
	frame_raise_mss(p, len, (uint16_t)mtu);
	free(p);
}

static void
stream(struct fuzz_in *in, bool passt)
{
	struct net_config cfg = {
	    .backend = passt ? "passt" : "socket", .mtu = 1500};
	char err[256], fd[16];
	struct guest *g;
	size_t n;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		abort();
	(void)snprintf(fd, sizeof(fd), "%d", sv[0]);
	cfg.fd = fd;
	g = guest_new(&cfg, err);
	FUZZ_CHECK(g != NULL);
	g->buf_size = 1 + fuzz_u8(in) * 16u;
	net_set_offloads(g->net, fuzz_u8(in) & NET_OFF_ALL);
	while (in->left > 0 && g->up) {
		n = fuzz_u8(in);
		if (n == 0xff) {
			g->bufs = fuzz_u8(in) & 0x7f;
			net_rx_resume(g->net, 0);
			continue;
		}
		if (n > in->left)
			n = in->left;
		if (n > 0 &&
		    send(sv[1], in->p, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		in->p += n;
		in->left -= n;
		guest_pump(g);
		(void)guest_send(g, in->p, in->left);
	}
	for (unsigned i = 0; i < g->nframes && i < GUEST_FRAMES; i++)
		FUZZ_CHECK(g->frames[i].len >= NET_FRAME_MIN &&
			   g->frames[i].len <= NET_FRAME_MAX);
	guest_free(g);
	(void)close(sv[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t how = fuzz_u8(&in);

	log_set_level(LOG_ERROR);
	if ((how & 1) == 0)
		frames(&in);
	else
		stream(&in, (how & 2) != 0);
	return (0);
}
