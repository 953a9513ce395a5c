/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small virtio devices, each fed by its driver with what it does not
 * expect: requests of any content and length, resets in between, peers of the
 * host that come, talk and go.
 *
 * Byte 0 chooses the device, byte 1 the features. The rings are in order:
 * broken ones are fuzz_virtio's.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/unixsock.h"
#include "base/log.h"
#include "device/virtio/vsock.h"
#include "fuzz.h"
#include "../unit/device/vrig.h"

extern const struct device_desc device_virtio_rnd, device_virtio_balloon,
    device_virtio_console, device_virtio_vsock;

#define DATA  0x4000u /* memory that chains use */
#define PEERS 4u

static const struct {
	const struct device_desc *desc;
	const char *opts; /* %s: a directory */
	unsigned queues;
} kinds[] = {
    {&device_virtio_rnd, NULL, 1},
    {&device_virtio_balloon, "stats=1", 4},
    {&device_virtio_console,
	"port.0.name=a,port.0.path=%s/a,port.1.name=b,port.1.path=%s/b", 6},
    {&device_virtio_vsock, "path=%s/v", 3},
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

struct rig {
	struct vrig r;
	unsigned kind;
	uint64_t features;
	int peer[PEERS];
	struct unix_listener listener; /* for vsock's guest: port 1 */
};

static char dir[] = "/tmp/lhyve-viodev-XXXXXX";

static void
remove_dir(void)
{
	(void)rmdir(dir);
}

static void
start(struct rig *g)
{
	g->r.next = 0x100000;
	vrig_start(&g->r, g->features, kinds[g->kind].queues);
}

/* What the driver of this kind would say, mostly. */
static void
content(struct rig *g, uint8_t *p, uint32_t len, struct fuzz_in *in)
{
	struct vsock_hdr h = {.src_cid = 3, .dst_cid = 2, .type = 1};
	uint8_t b = fuzz_u8(in);
	uint32_t i;

	for (i = 0; i < len && in->left != 0; i++)
		p[i] = fuzz_u8(in);
	/* A guest may give its rings away: from here on not. */
	for (i = 1; i < len && g->kind == 1; i += 4)
		p[i] |= 0x20;
	if (g->kind == 2 && len >= 8 && b < 0xe0) {
		/* A control message: port, event, value. */
		p[0] &= 3;
		p[1] = p[2] = p[3] = p[5] = p[7] = 0;
		p[4] &= 7;
	} else if (g->kind == 3 && len >= sizeof(h) && b < 0xf0) {
		h.src_port = p[0] & 3;
		h.dst_port = p[1] & 3;
		h.op = p[2] & 7;
		h.flags = p[3] & 3;
		h.buf_alloc = (uint32_t)p[4] << (p[5] & 15);
		h.fwd_cnt = p[6];
		h.len = b & 1 ? len - (uint32_t)sizeof(h) : p[7];
		memcpy(p, &h, sizeof(h));
	}
}

static void
chain(struct rig *g, uint8_t op, struct fuzz_in *in)
{
	unsigned n = (op >> 3 & 7) % kinds[g->kind].queues;
	struct vrig_queue *q = &g->r.q[n];
	uint32_t len = fuzz_u8(in), more = fuzz_u8(in);
	struct vrig_buf b[3] = {{DATA, len, (op & 0x40) != 0},
	    {DATA + 0x1000, more, (op & 0x40) != 0},
	    {DATA + 0x2000, more * 8, true}};

	if (q->left < 3)
		return;
	content(g, vrig_ptr(&g->r, DATA), len, in);
	(void)vrig_add(&g->r, n, b, 1 + (op >> 7) * 2u, false);
	vrig_kick(&g->r, n);
}

static void
host(struct rig *g, uint8_t op, struct fuzz_in *in)
{
	static const char *const names[NKINDS][2] = {
	    {NULL, NULL}, {NULL, NULL}, {"a", "b"}, {"v", "v"}};
	const char *name = names[g->kind][op >> 3 & 1];
	int *peer = &g->peer[op >> 4 & 3];
	char path[60], buf[64];
	ssize_t n;

	if (name == NULL)
		return;
	if (*peer < 0) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		*peer = op & 0x40 && g->kind == 3 ? unix_accept(&g->listener)
						  : unix_connect(path);
		if (*peer >= 0 && g->kind == 3 && (op & 0xc0) == 0)
			n = send(*peer, "CONNECT 2\n", 10, MSG_NOSIGNAL);
	} else if (op & 0x80) {
		(void)close(*peer);
		*peer = -1;
	} else {
		for (n = 0; n < 16; n++)
			buf[n] = (char)fuzz_u8(in);
		n = send(*peer, buf, (size_t)n, MSG_NOSIGNAL);
		n = recv(*peer, buf, sizeof(buf), MSG_DONTWAIT);
		(void)n;
	}
}

static void
step(struct rig *g, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	uint32_t len;
	uint16_t id;
	unsigned n;

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
	case 3:
		chain(g, op, in);
		break;
	case 4:
	case 5:
		host(g, op, in);
		break;
	case 6:
		n = fuzz_u8(in) & 15;
		vrig_write(
		    &g->r, 0x2000 + n, 1u << (op >> 6) % 3, fuzz_u32(in));
		break;
	default:
		if (op >= 0xf0)
			start(g);
		else if (op >= 0xe0) {
			pci_bus_reset(g->r.bus);
			start(g);
		}
		vrig_run_loop(&g->r);
		break;
	}
	/* What it does not have it cannot give back: vrig looks. */
	for (n = 0; n < kinds[g->kind].queues; n++)
		while (vrig_used(&g->r, n, &id, &len))
			;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct rig g;
	static bool made; /* the directory */
	char opts[200], at[60];
	uint8_t f;
	unsigned i;

	log_set_level(LOG_ERROR);
	if (!made) {
		made = true;
		FUZZ_CHECK(mkdtemp(dir) != NULL);
		(void)atexit(remove_dir);
	}
	memset(&g, 0, sizeof(g));
	g.listener.fd = -1;
	for (i = 0; i < PEERS; i++)
		g.peer[i] = -1;
	g.kind = fuzz_u8(&in) % NKINDS;
	f = fuzz_u8(&in);
	g.features = (f & 0x3f) | (f & 0x40 ? VIRTIO_F_RING_PACKED : 0) |
		     (f & 0x80 ? VIRTIO_F_EVENT_IDX : 0);
	if (kinds[g.kind].opts != NULL)
		(void)snprintf(
		    opts, sizeof(opts), kinds[g.kind].opts, dir, dir);
	(void)snprintf(at, sizeof(at), "%s/v_1", dir);
	if (g.kind == 3)
		FUZZ_CHECK(unix_listen(&g.listener, at) == 0);
	FUZZ_CHECK(vrig_create(&g.r, kinds[g.kind].desc,
		       kinds[g.kind].opts != NULL ? opts : NULL, true) == 0);
	start(&g);
	while (in.left > 0)
		step(&g, &in);
	FUZZ_CHECK((vrig_status(&g.r) & VIRTIO_S_NEEDS_RESET) == 0);
	vrig_destroy(&g.r);
	for (i = 0; i < PEERS; i++)
		if (g.peer[i] >= 0)
			(void)close(g.peer[i]);
	if (g.kind == 3)
		unix_unlisten(&g.listener);
	return (0);
}
