/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Socket device (VIRTIO 5.10), its host's side Unix sockets, so that no kernel
 * module is needed. The convention is Firecracker's: who connects to the path
 * says "CONNECT PORT\n" and reads "OK HOSTPORT\n"; what the guest connects to
 * is at path_PORT.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/iothread.h"
#include "device/virtio/vsock.h"

enum { Q_RX, Q_TX, Q_EVENT, Q_MAX };
#define CONFIG_BYTES 8u /* le64 guest_cid */
#define CID_MIN      3u
#define PATH_ROOM    12u /* "_4294967295" and NUL */

static const struct state_field vsock_fields[] = {
    STATE_FIELD(struct vsock, cid, 1),
    STATE_FIELD(struct vsock, nconns, 1),
    STATE_FIELD(struct vsock, next_port, 1),
    STATE_FIELD(struct vsock, norphans, 1),
    STATE_END,
};
static const struct state_table vsock_state = {"virtio-vsock", 1, vsock_fields};

struct vsock_hdr
vsock_hdr(struct vsock_conn *c, uint16_t op, uint32_t flags, uint32_t len)
{
	/* Every packet says what room there is (VIRTIO 5.10.6.3). */
	c->fwd_told = c->fwd;
	c->say &= ~(1u << VSOCK_OP_CREDIT_UPDATE);
	return ((struct vsock_hdr){
	    .src_cid = VSOCK_HOST_CID,
	    .dst_cid = c->vs->cid,
	    .src_port = c->host_port,
	    .dst_port = c->guest_port,
	    .len = len,
	    .type = VSOCK_TYPE_STREAM,
	    .op = op,
	    .flags = flags,
	    .buf_alloc = VSOCK_CREDIT,
	    .fwd_cnt = c->fwd,
	});
}

/* ---- to the guest ---- */

/* Sends a packet without data; false: there is no buffer. */
static bool
put(struct vsock *vs, const struct vsock_hdr *hdr)
{
	struct virtq_chain *chain;

	while ((chain = virtq_pop(vs->rx)) != NULL) {
		if (virtq_write(chain, hdr, sizeof(*hdr))) {
			virtq_push(chain, sizeof(*hdr));
			return (true);
		}
		virtq_push(chain, 0); /* of no use */
	}
	return (false);
}

/* All that a connection has to say; false: there is no buffer. */
static bool
say(struct vsock_conn *c)
{
	/* What begins it first, what ends it last. */
	static const uint16_t order[] = {VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE,
	    VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_SHUTDOWN,
	    VSOCK_OP_RST};
	struct vsock_hdr hdr;
	unsigned i;

	for (i = 0; c->say != 0 && i < sizeof(order) / sizeof(order[0]); i++) {
		if ((c->say >> order[i] & 1) == 0)
			continue;
		hdr = vsock_hdr(c, order[i],
		    order[i] == VSOCK_OP_SHUTDOWN ? c->host_shut : 0, 0);
		if (!put(c->vs, &hdr)) {
			c->say |= 1u << order[i];
			return (false);
		}
		c->say &= ~(1u << order[i]);
	}
	return (true);
}

void
vsock_flush(struct vsock *vs)
{
	struct vsock_conn *c, *next;
	bool room = true;
	unsigned n;

	for (n = 0; n < vs->norphans && room; n++)
		room = put(vs, &vs->orphan[n]);
	if (!room)
		n--;
	if (n != 0) {
		vs->norphans -= n;
		memmove(vs->orphan, vs->orphan + n,
		    vs->norphans * sizeof(vs->orphan[0]));
	}
	for (c = vs->all; c != NULL; c = next) {
		next = c->next;
		if (room && c->say != 0)
			room = say(c);
		if (c->state == VSOCK_DEAD && c->say == 0)
			vsock_conn_free(c);
		else
			vsock_conn_watch(c);
	}
	virtq_flush(vs->rx);
}

/* Refuses what belongs to no connection. There is room. */
static void
refuse(struct vsock *vs, const struct vsock_hdr *h)
{
	if (h->op == VSOCK_OP_RST || vs->norphans == VSOCK_ORPHANS)
		return;
	vs->orphan[vs->norphans++] = (struct vsock_hdr){
	    .src_cid = h->dst_cid,
	    .dst_cid = vs->cid,
	    .src_port = h->dst_port,
	    .dst_port = h->src_port,
	    .type = h->type,
	    .op = VSOCK_OP_RST,
	};
}

/* ---- from the guest ---- */

static void
credit(struct vsock_conn *c, const struct vsock_hdr *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
}

static void
request(struct vsock *vs, const struct vsock_hdr *h)
{
	char path[sizeof(vs->path) + PATH_ROOM];
	struct vsock_conn *c = NULL;
	int fd;

	(void)snprintf(
	    path, sizeof(path), "%s_%" PRIu32, vs->path, (uint32_t)h->dst_port);
	fd = unix_connect(path);
	if (fd >= 0)
		c = vsock_conn_new(vs, fd, VSOCK_OPEN);
	if (c == NULL) {
		refuse(vs, h);
		return;
	}
	vsock_conn_bind(c, h->dst_port, h->src_port);
	credit(c, h);
	c->say |= 1u << VSOCK_OP_RESPONSE;
}

/* A packet of a connection that is there. */
static void
handle(
    struct vsock_conn *c, const struct vsock_hdr *h, struct virtq_chain *chain)
{
	credit(c, h);
	if (c->state == VSOCK_DEAD)
		return; /* it will hear of it */
	if (h->op == VSOCK_OP_RST) {
		vsock_conn_free(c);
		return;
	}
	if (c->state == VSOCK_REQUESTED) {
		if (h->op == VSOCK_OP_RESPONSE)
			vsock_conn_accepted(c);
		else
			vsock_conn_reset(c);
		return;
	}
	switch (h->op) {
	case VSOCK_OP_SHUTDOWN:
		vsock_conn_shutdown(c, h->flags);
		break;
	case VSOCK_OP_RW:
		if ((c->guest_shut & VSOCK_NO_SEND) != 0)
			vsock_conn_reset(c);
		else
			vsock_conn_data(c, chain, h->len);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		c->say |= 1u << VSOCK_OP_CREDIT_UPDATE;
		break;
	default:
		vsock_conn_reset(c);
		break;
	}
}

static void
packet(struct vsock *vs, struct virtq_chain *chain)
{
	struct vsock_conn *c;
	struct vsock_hdr h;

	/* VIRTIO 5.10.6.4.2: another's address, or nobody's. */
	if (!virtq_read(chain, &h, sizeof(h)) || h.src_cid != vs->cid)
		return;
	if (h.dst_cid != VSOCK_HOST_CID || h.type != VSOCK_TYPE_STREAM) {
		refuse(vs, &h);
		return;
	}
	c = vsock_conn_find(vs, h.dst_port, h.src_port);
	if (c != NULL)
		handle(c, &h, chain);
	else if (h.op == VSOCK_OP_REQUEST)
		request(vs, &h);
	else
		refuse(vs, &h);
}

/* As long as a refusal would have its place: a guest that takes nothing is
 * not listened to. */
static void
transmit(struct vsock *vs)
{
	struct virtq_chain *chain;

	do {
		while (vs->norphans < VSOCK_ORPHANS &&
		       (chain = virtq_pop(vs->tx)) != NULL) {
			packet(vs, chain);
			virtq_push(chain, 0);
		}
		virtq_flush(vs->tx);
		vsock_flush(vs);
	} while (vs->norphans < VSOCK_ORPHANS && virtq_avail(vs->tx));
}

static void
vsock_notify(struct virtio_dev *vd, unsigned n)
{
	struct vsock *vs = virtio_priv(vd);

	if (n == Q_RX)
		vsock_flush(vs);
	if (n != Q_EVENT)
		transmit(vs);
}

/* ---- the device ---- */

static void
on_listener(void *arg, unsigned ready)
{
	struct vsock *vs = arg;
	int fd;

	(void)ready;
	while ((fd = unix_accept(&vs->listener)) >= 0)
		(void)vsock_conn_new(vs, fd, VSOCK_LINE);
}

/* The guest that they were with is gone. */
static void
drop_all(struct vsock *vs)
{
	while (vs->all != NULL)
		vsock_conn_free(vs->all);
	vs->norphans = 0;
}

static void
vsock_reset(struct virtio_dev *vd)
{
	drop_all(virtio_priv(vd));
}

static int
vsock_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	const char *path = device_opt(conf, "path");
	struct vsock *vs = virtio_priv(vd);
	uint64_t cid = device_opt_uint(conf, "cid");
	int error;

	vs->vd = vd;
	vs->listener.fd = -1;
	vs->cid = cid;
	vs->rx = virtio_queue(vd, Q_RX);
	vs->tx = virtio_queue(vd, Q_TX);
	virtio_config_set(vd, 0, &cid, sizeof(cid));
	if (path == NULL || path[0] == '\0')
		return (device_fail(
		    conf, "it needs a path for its socket; give path=PATH"));
	/* The longest name that is made of it is a socket's too. */
	if (strlen(path) + PATH_ROOM > sizeof(vs->listener.path))
		return (device_fail(conf,
		    "path=%.80s: too long for a socket; use less than %zu "
		    "bytes",
		    path, sizeof(vs->listener.path) - PATH_ROOM + 1));
	(void)snprintf(vs->path, sizeof(vs->path), "%s", path);
	error = unix_listen(&vs->listener, path);
	if (error != 0)
		return (device_fail(conf,
		    "path=%.80s: cannot listen there: %s; use another path",
		    path, strerror(-error)));
	error = iothread_create(&vs->thread, "vsock");
	if (error != 0)
		return (error);
	vs->loop = iothread_loop(vs->thread);
	virtio_set_loop(vd, vs->loop);
	return (mevent_add(vs->loop, vs->listener.fd, MEVENT_READ, on_listener,
	    vs, &vs->listen_ev));
}

static void
vsock_fini(struct virtio_dev *vd)
{
	struct vsock *vs = virtio_priv(vd);

	iothread_stop(vs->thread);
	mevent_remove(vs->listen_ev);
	drop_all(vs);
	iothread_destroy(vs->thread);
	unix_unlisten(&vs->listener);
}

static const struct config_var vsock_opts[] = {
    {.name = "path",
	.help = "socket for who connects to the guest; the guest connects to "
		"path_PORT"},
    {.name = "cid",
	.type = CONFIG_UINT,
	.min = CID_MIN,
	.max = UINT32_MAX - 1,
	.dflt = "3",
	.help = "the guest's context identifier"},
    VIRTIO_OPTS,
    {.name = NULL},
};

static const struct virtio_ops vsock_ops = {
    .id = VIRTIO_ID_VSOCK,
    .class = 0x07,
    .subclass = 0x80, /* other communication controller */
    .queues = Q_MAX,
    .size = 256,
    .config_size = CONFIG_BYTES,
    .in_order = true,
    .priv_size = sizeof(struct vsock),
    .state = &vsock_state,
    .init = vsock_init,
    .fini = vsock_fini,
    .notify = vsock_notify,
    .reset = vsock_reset,
};

VIRTIO_DEVICE(virtio_vsock, "virtio-vsock",
    "sockets between guest and host, on Unix sockets: path=PATH", vsock_ops,
    .opts = vsock_opts, .needs_conf = true, .single = true,
    .man = "Who connects to\n.Ar path\non the host, and writes\n"
	   ".Dq CONNECT Ar port ,\nreads\n.Dq OK Ar hostport\nonce the guest "
	   "has accepted.\nWhat the guest connects to at port\n.Ar port\nof "
	   "the host (context identifier 2) is a socket at\n"
	   ".Ar path Ns _ Ns Ar port .");
