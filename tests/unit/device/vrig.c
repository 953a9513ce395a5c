/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vrig.h"

#define AT_NOTIFY 0x3000u
#define AT_DEVICE 0x2000u

#define WAIT_S 60

static void
fail(const char *what)
{
	(void)fprintf(stderr, "vrig: %s\n", what);
	abort();
}

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct vrig *r = arg;

	(void)addr;
	if (data < sizeof(r->sent) / sizeof(r->sent[0]))
		atomic_fetch_add(&r->sent[data], 1);
}

/* "name=value,..." below the slot's node. */
static int
set_opts(struct vrig *r, const char *opts)
{
	char path[CONFIG_PATH_MAX], item[256];
	size_t len;
	char *eq;
	int error = 0;

	for (; opts != NULL && *opts != '\0' && error == 0; opts += len) {
		len = strcspn(opts, ",");
		(void)snprintf(item, sizeof(item), "%.*s", (int)len, opts);
		eq = strchr(item, '=');
		if (eq == NULL)
			fail("an option without a value");
		*eq = '\0';
		(void)snprintf(path, sizeof(path), "pci.0.3.0.%.80s", item);
		error = config_set(r->cfg, path, eq + 1, 's');
		len += opts[len] == ',';
	}
	return (error);
}

int
vrig_create(
    struct vrig *r, const struct device_desc *desc, const char *opts, bool msix)
{
	struct pci_config pc = {.mem32_base = 0xc0000000,
	    .mem32_limit = 0xe0000000,
	    .mem64_base = 0x800000000,
	    .mem64_limit = 0x1000000000,
	    .msi = {on_msi, r, NULL}};
	struct device_conf conf = {.desc = desc,
	    .node = "pci.0.3.0",
	    .vm_name = "vm0",
	    .rundir = "/tmp",
	    .msix = msix};
	int error;

	memset(r, 0, sizeof(*r));
	r->next = 0x10000;
	if (config_create(&r->cfg) != 0 ||
	    bus_space_create(&r->ports, "ports", 0x10000) != 0 ||
	    bus_space_create(&r->mmio, "mmio", 1ull << 46) != 0 ||
	    irq_lines_create(&r->irqs) != 0 ||
	    gmem_create(&r->gmem, VRIG_MEMORY) != 0 ||
	    mevent_loop_create(&r->loop) != 0 ||
	    vclock_create(&r->vclock, r->loop) != 0)
		fail("out of memory");
	pc.ports = r->ports;
	pc.mmio = r->mmio;
	pc.irqs = r->irqs;
	pc.gmem = r->gmem;
	conf.cfg = r->cfg;
	conf.err = &r->err;
	conf.loop = r->loop;
	conf.vclock = r->vclock;
	conf.gmem = r->gmem;
	if (pci_bus_create(&r->bus, &pc) != 0)
		fail("no bus");
	error = set_opts(r, opts);
	if (error == 0)
		error = pci_add(r->bus, VRIG_SLOT, desc->pci, &conf, &r->dev);
	if (error != 0)
		return (error);
	r->vd = *(struct virtio_dev **)pci_dev_priv(r->dev);
	r->legacy = (uint16_t)pci_bar_addr(r->dev, 0);
	r->modern = pci_bar_addr(r->dev, 4);
	return (0);
}

void
vrig_destroy(struct vrig *r)
{
	pci_bus_destroy(r->bus);
	vclock_destroy(r->vclock);
	mevent_loop_destroy(r->loop);
	gmem_destroy(r->gmem);
	irq_lines_destroy(r->irqs);
	bus_space_destroy(r->mmio);
	bus_space_destroy(r->ports);
	config_destroy(r->cfg);
}

uint32_t
vrig_read(struct vrig *r, uint64_t off, unsigned size)
{
	uint64_t val;

	(void)bus_read(r->mmio, r->modern + off, size, &val);
	return ((uint32_t)val);
}

void
vrig_write(struct vrig *r, uint64_t off, unsigned size, uint32_t val)
{
	(void)bus_write(r->mmio, r->modern + off, size, val);
}

uint32_t
vrig_in(struct vrig *r, unsigned off, unsigned size)
{
	uint64_t val;

	(void)bus_read(r->ports, r->legacy + off, size, &val);
	return ((uint32_t)val);
}

void
vrig_out(struct vrig *r, unsigned off, unsigned size, uint32_t val)
{
	(void)bus_write(r->ports, r->legacy + off, size, val);
}

static void
select_conf(struct vrig *r, unsigned off)
{
	(void)bus_write(r->ports, 0xcf8, 4,
	    0x80000000u | (uint32_t)VRIG_SLOT << 8 | (off & 0xfc));
}

uint32_t
vrig_conf(struct vrig *r, unsigned off, unsigned size)
{
	uint64_t val;

	select_conf(r, off);
	(void)bus_read(r->ports, 0xcfc + (off & 3), size, &val);
	return ((uint32_t)val);
}

void
vrig_set_conf(struct vrig *r, unsigned off, unsigned size, uint32_t val)
{
	select_conf(r, off);
	(void)bus_write(r->ports, 0xcfc + (off & 3), size, val);
}

uint32_t
vrig_status(struct vrig *r)
{
	return (r->modern != 0 ? vrig_read(r, 0x14, 1) : vrig_in(r, 18, 1));
}

uint32_t
vrig_config(struct vrig *r, unsigned off, unsigned size)
{
	return (vrig_read(r, AT_DEVICE + off, size));
}

uint64_t
vrig_alloc(struct vrig *r, uint64_t len)
{
	uint64_t align = len >= GMEM_PAGE_SIZE ? GMEM_PAGE_SIZE : 16, gpa;

	gpa = (r->next + align - 1) & ~(align - 1);
	r->next = gpa + len;
	if (r->next > VRIG_MEMORY)
		fail("no more memory");
	memset(vrig_ptr(r, gpa), 0, len);
	return (gpa);
}

void *
vrig_ptr(struct vrig *r, uint64_t gpa)
{
	return (gmem_base(r->gmem) + gpa);
}

uint64_t
vrig_offered(struct vrig *r)
{
	uint64_t val;

	if (r->modern == 0)
		return (vrig_in(r, 0, 4));
	vrig_write(r, 0, 4, 1);
	val = (uint64_t)vrig_read(r, 4, 4) << 32;
	vrig_write(r, 0, 4, 0);
	return (val | vrig_read(r, 4, 4));
}

/* Every vector sends its own number. */
static void
enable_msix(struct vrig *r)
{
	unsigned cap = pci_cap_find(r->dev, PCI_CAP_MSIX), i, n;
	uint64_t table = pci_bar_addr(r->dev, 1);

	if (cap == 0)
		return;
	n = (vrig_conf(r, cap + 2, 2) & 0x7ff) + 1;
	for (i = 0; i < n; i++) {
		(void)bus_write(r->mmio, table + i * 16, 4, 0xfee00000);
		(void)bus_write(r->mmio, table + i * 16 + 4, 4, 0);
		(void)bus_write(r->mmio, table + i * 16 + 8, 4, i);
		(void)bus_write(r->mmio, table + i * 16 + 12, 4, 0);
	}
	vrig_set_conf(r, cap + 2, 2, 0x8000);
}

static void
wait_zero(struct vrig *r)
{
	time_t end = time(NULL) + WAIT_S;

	while (vrig_status(r) != 0) {
		vrig_run_loop(r);
		if (time(NULL) > end)
			fail("the device does not end its reset");
	}
}

bool
vrig_negotiate(struct vrig *r, uint64_t features)
{
	vrig_write(r, 0x14, 1, 0);
	wait_zero(r);
	memset(r->q, 0, sizeof(r->q));
	enable_msix(r);
	vrig_write(r, 0x14, 1, VIRTIO_S_ACKNOWLEDGE);
	vrig_write(r, 0x14, 1, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
	r->features = features & vrig_offered(r);
	vrig_write(r, 8, 4, 0);
	vrig_write(r, 0xc, 4, (uint32_t)r->features);
	vrig_write(r, 8, 4, 1);
	vrig_write(r, 0xc, 4, (uint32_t)(r->features >> 32));
	vrig_write(r, 0x10, 2, 0);
	vrig_write(r, 0x14, 1,
	    VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_FEATURES_OK);
	return ((vrig_status(r) & VIRTIO_S_FEATURES_OK) != 0);
}

static bool
is_packed(const struct vrig *r)
{
	return ((r->features & VIRTIO_F_RING_PACKED) != 0);
}

static void
write64(struct vrig *r, uint64_t off, uint64_t val)
{
	vrig_write(r, off, 4, (uint32_t)val);
	vrig_write(r, off + 4, 4, (uint32_t)(val >> 32));
}

void
vrig_queue(struct vrig *r, unsigned n, uint16_t size)
{
	struct vrig_queue *q = &r->q[n];
	uint64_t len[3];

	vrig_write(r, 0x16, 2, n);
	memset(q, 0, sizeof(*q));
	q->size = size != 0 ? size : (uint16_t)vrig_read(r, 0x18, 2);
	q->left = q->size;
	q->avail_wrap = q->used_wrap = true;
	if (is_packed(r))
		packed_sizes(q->size, len);
	else
		split_sizes(q->size, len);
	q->desc = vrig_alloc(r, len[0]);
	q->driver = vrig_alloc(r, len[1]);
	q->device = vrig_alloc(r, len[2]);
	vrig_write(r, 0x18, 2, q->size);
	vrig_write(r, 0x1a, 2, n + 1);
	write64(r, 0x20, q->desc);
	write64(r, 0x28, q->driver);
	write64(r, 0x30, q->device);
	vrig_write(r, 0x1c, 2, 1);
}

void
vrig_driver_ok(struct vrig *r)
{
	vrig_write(r, 0x14, 1, vrig_status(r) | VIRTIO_S_DRIVER_OK);
	vrig_run_loop(r);
}

void
vrig_start(struct vrig *r, uint64_t features, unsigned queues)
{
	unsigned i;

	if (!vrig_negotiate(r, features | VIRTIO_F_VERSION_1))
		fail("the features are not accepted");
	for (i = 0; i < queues; i++)
		vrig_queue(r, i, 0);
	vrig_driver_ok(r);
}

void
vrig_start_legacy(struct vrig *r, uint32_t features, unsigned queues)
{
	unsigned i, size;
	uint64_t len[3];

	vrig_out(r, 18, 1, 0);
	while (vrig_in(r, 18, 1) != 0)
		vrig_run_loop(r);
	memset(r->q, 0, sizeof(r->q));
	enable_msix(r);
	vrig_out(r, 18, 1, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
	r->features = features & vrig_in(r, 0, 4);
	vrig_out(r, 4, 4, (uint32_t)r->features);
	for (i = 0; i < queues; i++) {
		vrig_out(r, 14, 2, i);
		size = vrig_in(r, 12, 2);
		split_sizes(size, len);
		r->q[i].size = (uint16_t)size;
		r->q[i].left = size;
		r->q[i].desc = vrig_alloc(r, 4096 * 16);
		r->q[i].driver = r->q[i].desc + len[0];
		r->q[i].device = (r->q[i].driver + len[1] + 4095) & ~4095ull;
		vrig_out(r, 8, 4, (uint32_t)(r->q[i].desc / 4096));
		if (pci_msix_enabled(r->dev))
			vrig_out(r, 22, 2, i + 1);
	}
	vrig_out(r, 18, 1,
	    VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_DRIVER_OK);
	vrig_run_loop(r);
}

/* ---- rings ---- */

static void
put16(struct vrig *r, uint64_t gpa, uint16_t val)
{
	__atomic_store_n((uint16_t *)vrig_ptr(r, gpa), val, __ATOMIC_SEQ_CST);
}

static uint16_t
get16(struct vrig *r, uint64_t gpa)
{
	return (
	    __atomic_load_n((uint16_t *)vrig_ptr(r, gpa), __ATOMIC_SEQ_CST));
}

static void
put_desc(struct vrig *r, uint64_t at, const struct vrig_buf *b, uint16_t third,
    uint16_t fourth)
{
	uint8_t *p = vrig_ptr(r, at);

	memcpy(p, &b->gpa, 8);
	memcpy(p + 8, &b->len, 4);
	memcpy(p + 12, &third, 2);
	memcpy(p + 14, &fourth, 2);
}

/* A table of descriptors; the descriptor for it. */
static struct vrig_buf
make_table(
    struct vrig *r, const struct vrig_buf *bufs, unsigned n, uint16_t *flags)
{
	struct vrig_buf t = {vrig_alloc(r, n * 16ull), n * 16, false};
	uint16_t f;
	unsigned i;

	for (i = 0; i < n; i++) {
		f = bufs[i].write ? VIRTQ_DESC_WRITE : 0;
		if (is_packed(r))
			put_desc(r, t.gpa + i * 16, &bufs[i], 0, f);
		else
			put_desc(r, t.gpa + i * 16, &bufs[i],
			    (uint16_t)(f | (i + 1 < n ? VIRTQ_DESC_NEXT : 0)),
			    (uint16_t)(i + 1 < n ? i + 1 : 0));
	}
	*flags = VIRTQ_DESC_INDIRECT;
	return (t);
}

static uint16_t
take_free(struct vrig_queue *q)
{
	uint16_t i;

	for (i = 0; i < q->size; i++)
		if (!q->busy[i])
			break;
	if (i == q->size)
		fail("the ring is full");
	q->busy[i] = true;
	return (i);
}

static uint16_t
add_split(struct vrig *r, struct vrig_queue *q, const struct vrig_buf *bufs,
    unsigned n, uint16_t more)
{
	uint16_t at[VIRTIO_QUEUE_SIZE_MAX], f;
	unsigned i;

	for (i = 0; i < n; i++)
		at[i] = take_free(q);
	for (i = 0; i < n; i++) {
		f = more | (bufs[i].write ? VIRTQ_DESC_WRITE : 0);
		q->next[at[i]] = i + 1 < n ? at[i + 1] : 0;
		put_desc(r, q->desc + at[i] * 16ull, &bufs[i],
		    (uint16_t)(f | (i + 1 < n ? VIRTQ_DESC_NEXT : 0)),
		    q->next[at[i]]);
	}
	put16(r, q->driver + 4 + q->avail % q->size * 2ull, at[0]);
	put16(r, q->driver + 2, ++q->avail);
	return (at[0]);
}

static uint16_t
add_packed(struct vrig *r, struct vrig_queue *q, const struct vrig_buf *bufs,
    unsigned n, uint16_t more)
{
	uint16_t id = take_free(q), first = 0, f;
	uint64_t at, first_at = q->desc + q->avail * 16ull;
	unsigned i;

	for (i = 0; i < n; i++) {
		at = q->desc + q->avail * 16ull;
		f = more | (bufs[i].write ? VIRTQ_DESC_WRITE : 0) |
		    (i + 1 < n ? VIRTQ_DESC_NEXT : 0) |
		    (q->avail_wrap ? VIRTQ_DESC_AVAIL : VIRTQ_DESC_USED);
		if (i == 0) {
			/* What was used in the turn before, until all of the
			 * chain is there. */
			first = f;
			f = get16(r, at + 14);
		}
		put_desc(r, at, &bufs[i], id, f);
		if (++q->avail == q->size) {
			q->avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	put16(r, first_at + 14, first);
	return (id);
}

uint16_t
vrig_add(struct vrig *r, unsigned n, const struct vrig_buf *bufs,
    unsigned nbufs, bool indirect)
{
	struct vrig_queue *q = &r->q[n];
	struct vrig_buf table;
	uint16_t more = 0, id;

	if (indirect) {
		table = make_table(r, bufs, nbufs, &more);
		bufs = &table;
		nbufs = 1;
	}
	if (nbufs > q->left)
		fail("the ring is full");
	q->left -= nbufs;
	id = is_packed(r) ? add_packed(r, q, bufs, nbufs, more)
			  : add_split(r, q, bufs, nbufs, more);
	q->slots[id] = (uint16_t)nbufs;
	return (id);
}

void
vrig_kick(struct vrig *r, unsigned n)
{
	if ((r->features & VIRTIO_F_VERSION_1) != 0)
		vrig_write(r, AT_NOTIFY + n * 4ull, 2, n);
	else
		vrig_out(r, 16, 2, n);
}

static bool
used_split(struct vrig *r, struct vrig_queue *q, uint16_t *id, uint32_t *len)
{
	uint64_t at = q->device + 4 + q->used % q->size * 8ull;
	uint32_t elem[2];
	unsigned i;
	uint16_t d;

	if (get16(r, q->device + 2) == q->used)
		return (false);
	memcpy(elem, vrig_ptr(r, at), 8);
	if (elem[0] >= q->size || q->slots[elem[0]] == 0)
		fail("a chain is used that the device did not have");
	*id = (uint16_t)elem[0];
	*len = elem[1];
	q->used++;
	for (i = 0, d = *id; i < q->slots[*id]; i++, d = q->next[d])
		q->busy[d] = false;
	return (true);
}

static bool
used_packed(struct vrig *r, struct vrig_queue *q, uint16_t *id, uint32_t *len)
{
	uint64_t at = q->desc + q->used * 16ull;
	uint16_t f = get16(r, at + 14);
	bool avail = (f & VIRTQ_DESC_AVAIL) != 0;
	bool used = (f & VIRTQ_DESC_USED) != 0;

	if (avail != used || used != q->used_wrap)
		return (false);
	memcpy(len, vrig_ptr(r, at + 8), 4);
	*id = get16(r, at + 12);
	if (*id >= q->size || q->slots[*id] == 0)
		fail("a chain is used that the device did not have");
	q->used = (uint16_t)(q->used + q->slots[*id]);
	if (q->used >= q->size) {
		q->used = (uint16_t)(q->used - q->size);
		q->used_wrap = !q->used_wrap;
	}
	q->busy[*id] = false;
	return (true);
}

bool
vrig_used(struct vrig *r, unsigned n, uint16_t *id, uint32_t *len)
{
	struct vrig_queue *q = &r->q[n];

	if (!(is_packed(r) ? used_packed(r, q, id, len)
			   : used_split(r, q, id, len)))
		return (false);
	q->left += q->slots[*id];
	q->slots[*id] = 0;
	return (true);
}

uint16_t
vrig_wait(struct vrig *r, unsigned n, uint32_t *len)
{
	time_t end = time(NULL) + WAIT_S;
	uint16_t id;

	while (!vrig_used(r, n, &id, len)) {
		vrig_run_loop(r);
		if (time(NULL) > end)
			fail("the device does not use a chain");
	}
	return (id);
}

uint32_t
vrig_do(struct vrig *r, unsigned n, const struct vrig_buf *bufs, unsigned nbufs)
{
	uint32_t len;

	(void)vrig_add(r, n, bufs, nbufs, false);
	vrig_kick(r, n);
	(void)vrig_wait(r, n, &len);
	return (len);
}

unsigned
vrig_interrupts(struct vrig *r, unsigned n)
{
	return (atomic_exchange(&r->sent[n + 1], 0));
}

static void
on_last(void *arg, unsigned ready)
{
	(void)ready;
	mevent_stop(arg);
}

void
vrig_run_loop(struct vrig *r)
{
	struct mevent *ev = NULL;
	int fd;

	/* Ready at once: the loop comes to it after what was ready before. */
	fd = eventfd(1, EFD_CLOEXEC);
	if (fd < 0 ||
	    mevent_add(r->loop, fd, MEVENT_READ, on_last, r->loop, &ev) != 0)
		fail("out of descriptors");
	(void)mevent_run(r->loop);
	mevent_remove(ev);
	close(fd);
	(void)sched_yield(); /* to other threads' loops */
}
