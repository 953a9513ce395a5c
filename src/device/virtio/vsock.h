/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_VSOCK_H
#define LHYVE_DEVICE_VIRTIO_VSOCK_H

#include "backend/unixsock.h"
#include "base/mevent.h"
#include "device/virtio/virtio.h"

/*
 * What the files of virtio-vsock share (VIRTIO 5.10). All of it is for the
 * device's own thread.
 *
 * Packets to the guest are not queued: each connection has bits for what it
 * has to say, and data stays in the host's socket until there is a buffer and
 * credit for it. Data from the guest that the host's socket has no room for is
 * kept, up to the credit that the guest was given.
 */
#define VSOCK_HOST_CID 2u
#define VSOCK_CONNS    512u    /* at once */
#define VSOCK_CREDIT   131072u /* bytes that a connection may keep */
#define VSOCK_HASH     256u
#define VSOCK_ORPHANS  64u /* refusals that wait for a buffer */
#define VSOCK_CHUNK    65536u
#define VSOCK_LINE_MAX 20u /* "CONNECT 4294967294\n" has 19 */

/* A packet's header; little-endian, as the host is. */
struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

#define VSOCK_TYPE_STREAM 1u
enum {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
	VSOCK_OPS
};
/* Of SHUTDOWN: who sends it will not receive, not send any more. */
#define VSOCK_NO_RECV 1u
#define VSOCK_NO_SEND 2u

enum vsock_state {
	VSOCK_LINE,      /* a peer of the host has not said CONNECT yet */
	VSOCK_REQUESTED, /* the guest has not answered yet */
	VSOCK_OPEN,
	VSOCK_DEAD, /* the host's side is gone; RST is to be sent */
};

struct vsock_conn {
	struct vsock *vs;
	struct vsock_conn *next_hash; /* not in the hash while VSOCK_LINE */
	struct vsock_conn **prevp, *next;
	enum vsock_state state;
	int fd;
	struct mevent *ev;
	unsigned watched; /* MEVENT_* */
	uint32_t host_port, guest_port;
	unsigned say;        /* packets to send: a bit for each VSOCK_OP_* */
	unsigned host_shut;  /* VSOCK_NO_*: what we have told */
	unsigned guest_shut; /* what the guest has told */
	uint32_t peer_alloc, peer_fwd; /* the guest's credit */
	uint32_t sent;                 /* bytes to the guest */
	uint32_t got, fwd, fwd_told;   /* from it; to the host's socket */
	uint8_t *buf;                  /* a ring of VSOCK_CREDIT bytes */
	uint32_t head, kept;
	char line[VSOCK_LINE_MAX + 1]; /* while VSOCK_LINE */
	unsigned line_len;
};

struct vsock {
	struct virtio_dev *vd;
	struct iothread *thread;
	struct mevent_loop *loop;
	uint64_t cid;
	char path[100];
	struct unix_listener listener;
	struct mevent *listen_ev;
	struct virtq *rx, *tx;
	uint32_t nconns;
	uint32_t next_port;
	struct vsock_conn *hash[VSOCK_HASH], *all;
	struct vsock_hdr orphan[VSOCK_ORPHANS];
	unsigned norphans;
	uint8_t chunk[VSOCK_CHUNK];
};

/* vsock_conn.c */
/* A connection for a socket, which it owns; NULL: there are too many, and the
 * socket is closed. */
struct vsock_conn *vsock_conn_new(
    struct vsock *vs, int fd, enum vsock_state state);
struct vsock_conn *vsock_conn_find(
    struct vsock *vs, uint32_t host_port, uint32_t guest_port);
/* Gives it its ports. */
void vsock_conn_bind(
    struct vsock_conn *c, uint32_t host_port, uint32_t guest_port);
void vsock_conn_free(struct vsock_conn *c);
/* Ends it by RST; freed once that is sent. */
void vsock_conn_reset(struct vsock_conn *c);
/* What the guest sent, in a chain of `len` bytes. */
void vsock_conn_data(
    struct vsock_conn *c, struct virtq_chain *chain, uint32_t len);
void vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags);
/* The guest took a connection of the host's. */
void vsock_conn_accepted(struct vsock_conn *c);
/* Watches the socket for what would be of use now. */
void vsock_conn_watch(struct vsock_conn *c);

/* vsock.c: */
/* Sends what connections have to say, as far as there are buffers. May free
 * those that have ended. */
void vsock_flush(struct vsock *vs);
/* The header of a packet of a connection. */
struct vsock_hdr vsock_hdr(
    struct vsock_conn *c, uint16_t op, uint32_t flags, uint32_t len);
/* Bytes that may be sent to the guest. */
static inline uint32_t
vsock_credit(const struct vsock_conn *c)
{
	uint32_t out = c->sent - c->peer_fwd;

	return (out < c->peer_alloc ? c->peer_alloc - out : 0);
}

#endif
