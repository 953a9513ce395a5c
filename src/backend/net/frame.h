/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_NET_FRAME_H
#define LHYVE_BACKEND_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backend/net/net.h"

/*
 * Ethernet frames of hostile origin: where their headers are, checksums (RFC
 * 1071, 1624), and segmentation, which VIRTIO 1.2, 5.1.6.2 leaves to the
 * device. All functions are pure.
 */

/* Offsets from the frame's first byte. */
struct frame {
	unsigned l3, l4;  /* l4 0: not a packet of TCP or UDP, or a fragment */
	unsigned payload; /* after TCP's options, UDP's header */
	unsigned end;	  /* of the IP packet; what follows is padding */
	uint8_t version;  /* of IP: 4, 6; 0: something else */
	uint8_t proto;	  /* 6 TCP, 17 UDP, or another */
};
#define FRAME_TCP 6u
#define FRAME_UDP 17u

/* Looks at one or two VLAN tags, IP, IPv6 with extension headers, TCP, UDP.
 * f is filled as far as the frame makes sense, and within its length. */
void frame_parse(const uint8_t *p, size_t len, struct frame *f);

/* The Internet checksum's sum of bytes, not folded, added to `sum`. Pieces
 * but the last have even lengths. */
uint64_t frame_sum(const uint8_t *p, size_t len, uint64_t sum);
/* Folds it to 16 bits, in the order of the bytes in memory. */
uint16_t frame_fold(uint64_t sum);

/* Is this a header that a frame of len bytes may have, if the sender was
 * allowed `offloads`? */
bool frame_hdr_ok(const struct net_hdr *h, size_t len, uint32_t offloads);
/* Does what NEEDS_CSUM left to do; h was checked. */
void frame_finish(uint8_t *p, size_t len, const struct net_hdr *h);

/*
 * A frame of more than mtu bytes of IP that came without a header: fills h so
 * that it is TCP to be segmented or UDP to be fragmented, and prepares the
 * checksum for that. False if it is neither: h then has no GSO.
 */
bool frame_make_gso(uint8_t *p, size_t len, unsigned mtu, struct net_hdr *h);

/*
 * Takes a frame with GSO apart: calls emit for each piece, as headers and
 * payload, all checksums done. The payload is within p; p's headers are not
 * changed. False: the frame is not what h says, nothing was emitted. emit
 * returns false to stop.
 */
bool frame_segment(const uint8_t *p, size_t len, const struct net_hdr *h,
    bool (*emit)(void *arg, const struct iovec iov[2]), void *arg);

/* Raises the segment size that a SYN announces to mss, checksum included. */
void frame_raise_mss(uint8_t *p, size_t len, uint16_t mss);

#endif
