/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio core with a device that copies or keeps chains, as a hostile
 * driver uses it: rings that are almost right, registers of both interfaces,
 * resets at any moment.
 *
 * Byte 0 says how it starts: packed, indirect, event index, legacy, without
 * MSI-X, in the machine's loop. Then operations, one after the other.
 */
#include <string.h>

#include "base/log.h"
#include "fuzz.h"
#include "../unit/device/fake.h"
#include "../unit/device/vrig.h"

#define DATA  0x4000u /* memory that chains use, below vrig_alloc()'s */
#define CHAIN 4u

static struct fake *
fake(struct vrig *r)
{
	return (virtio_priv(r->vd));
}

/* All chains back, and whatever waits for that done. */
static void
settle(struct vrig *r)
{
	while (fake(r)->nheld != 0)
		fake_back(r->vd, 1);
	fake(r)->late_back = false;
	vrig_run_loop(r);
}

static void
start(struct vrig *r, uint8_t how)
{
	uint64_t f = VIRTIO_F_RING_RESET;

	settle(r);
	r->next = 0x10000;
	if (how & 1)
		f |= VIRTIO_F_RING_PACKED;
	if (how & 2)
		f |= VIRTIO_F_INDIRECT_DESC;
	if (how & 4)
		f |= VIRTIO_F_EVENT_IDX;
	/* A BAR that was moved away is not found here. */
	vrig_set_conf(r, PCIR_COMMAND, 2, 7);
	if (how & 8)
		vrig_start_legacy(r, (uint32_t)f, 2);
	else
		vrig_start(r, f, 2);
}

/* An address that is memory, mostly. */
static uint64_t
address(struct fuzz_in *in)
{
	uint8_t b = fuzz_u8(in);

	if (b < 0xe0)
		return (DATA + b * 16u);
	if (b < 0xf0)
		return (VRIG_MEMORY - (b & 15));
	return (fuzz_u64(in));
}

static void
put_desc(struct vrig *r, struct vrig_queue *q, uint64_t at, struct fuzz_in *in)
{
	uint8_t *p = vrig_ptr(r, at), how = fuzz_u8(in);
	uint64_t addr = address(in);
	uint32_t len = how & 0x80 ? fuzz_u32(in) : fuzz_u8(in) & 0xf0u;
	uint16_t flags = how & 7;
	uint16_t next = (uint16_t)(fuzz_u8(in) % (q->size + 1u));

	if ((r->features & VIRTIO_F_RING_PACKED) != 0) {
		/* Available in this turn, or in the other. */
		flags |= q->avail_wrap == ((how & 0x40) == 0) ? VIRTQ_DESC_AVAIL
							      : VIRTQ_DESC_USED;
		memcpy(p + 12, &next, 2);
		memcpy(p + 14, &flags, 2);
	} else {
		memcpy(p + 12, &flags, 2);
		memcpy(p + 14, &next, 2);
	}
	memcpy(p, &addr, 8);
	memcpy(p + 8, &len, 4);
}

/* A chain that is in order. */
static void
good_chain(struct vrig *r, unsigned n, uint8_t op, struct fuzz_in *in)
{
	struct vrig_queue *q = &r->q[n];
	struct vrig_buf b[CHAIN];
	unsigned i, nbufs = 1 + (op >> 5 & 3), reads = fuzz_u8(in) % CHAIN;
	bool indirect =
	    (op & 0x80) != 0 && (r->features & VIRTIO_F_INDIRECT_DESC) != 0;

	if (q->size == 0)
		return;
	for (i = 0; i < nbufs; i++)
		b[i] = (struct vrig_buf){
		    DATA + fuzz_u8(in) * 16u, fuzz_u8(in), i >= reads};
	if (q->left < (indirect ? 1 : nbufs) || r->next > VRIG_MEMORY / 2)
		return;
	/* Of a ring that nobody has broken. */
	for (i = 0; i < q->size; i++)
		if (!q->busy[i])
			break;
	if (i == q->size)
		return;
	(void)vrig_add(r, n, b, nbufs, indirect);
	vrig_kick(r, n);
}

static void
registers(struct vrig *r, uint8_t op, struct fuzz_in *in)
{
	unsigned size = 1u << (op >> 6) % 3;
	uint32_t off = fuzz_u8(in);

	switch (op >> 4 & 3) {
	case 0:
		off |= (fuzz_u8(in) & 3u) << 12;
		vrig_write(r, off, size, fuzz_u32(in));
		(void)vrig_read(r, off, size);
		break;
	case 1:
		vrig_write(r, off & 0x3f, size, fuzz_u8(in));
		break;
	case 2:
		vrig_out(r, off % 48, size, fuzz_u32(in));
		(void)vrig_in(r, off % 48, size);
		break;
	default:
		/* Not the BARs: they would not be found any more. */
		if (off >= 0x40 || off == PCIR_COMMAND) {
			vrig_set_conf(r, off & ~(size - 1), size, fuzz_u32(in));
			(void)vrig_conf(r, off & ~(size - 1), size);
		}
		break;
	}
}

static void
device_does(struct vrig *r, unsigned n, uint8_t op)
{
	struct virtq *q = virtio_queue(r->vd, n);
	struct virtq_chain *c;

	switch (op >> 5) {
	case 0:
		fake(r)->hold = !fake(r)->hold;
		break;
	case 1:
		fake(r)->suppress = !fake(r)->suppress;
		break;
	case 2:
		if (fake(r)->nheld != 0)
			fake_back(r->vd, op);
		break;
	case 3:
		fake(r)->late_back = !fake(r)->late_back;
		break;
	case 4:
		c = virtq_pop(q);
		if (c != NULL)
			virtq_unpop(c);
		break;
	case 5:
		(void)virtq_notify_on(q);
		break;
	case 6:
		virtio_config_changed(r->vd);
		break;
	default:
		settle(r);
		pci_bus_reset(r->bus);
		/* As after power-on. */
		FUZZ_CHECK(vrig_status(r) == 0);
		break;
	}
}

static void
step(struct vrig *r, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	unsigned n = op >> 3 & 1;
	struct vrig_queue *q = &r->q[n];
	uint16_t *ring;

	switch (op & 7) {
	case 0:
		good_chain(r, n, op, in);
		break;
	case 1:
		if (q->size != 0)
			put_desc(
			    r, q, q->desc + fuzz_u8(in) % q->size * 16ull, in);
		break;
	case 2: /* a table's */
		put_desc(r, q, DATA + (op >> 4) * 16u, in);
		break;
	case 3: /* the other two parts of a ring, mostly small numbers */
		ring = vrig_ptr(r, op & 0x10 ? q->device : q->driver);
		ring[fuzz_u8(in) % 20] =
		    (uint16_t)fuzz_take(in, op & 0x20 ? 2 : 1);
		break;
	case 4:
		vrig_kick(r, n);
		if (op & 0x80)
			vrig_run_loop(r);
		break;
	case 5:
		registers(r, op, in);
		break;
	case 6:
		device_does(r, n, op);
		break;
	default:
		if (op >= 0xe0)
			start(r, fuzz_u8(in));
		else
			vrig_run_loop(r);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t how = fuzz_u8(&in);
	struct vrig r;
	unsigned i;

	log_set_level(LOG_ERROR);
	FUZZ_CHECK(
	    vrig_create(&r, &device_fake, how & 0x20 ? "loop=true" : NULL,
		(how & 0x10) == 0) == 0);
	r.vd->no_wait = true;
	start(&r, how);
	while (in.left > 0)
		step(&r, &in);
	/* Whatever it was, after a reset all is well. */
	settle(&r);
	fake(&r)->hold = fake(&r)->suppress = false;
	pci_bus_reset(r.bus);
	FUZZ_CHECK(vrig_status(&r) == 0);
	for (i = 0; i < 2; i++) {
		struct vrig_buf b[2] = {
		    {DATA, 16, false}, {DATA + 16, 16, true}};

		start(&r, i != 0 ? how & 7 : how);
		memcpy(vrig_ptr(&r, DATA), "sixteen bytes...", 17);
		FUZZ_CHECK(vrig_do(&r, 1, b, 2) == 16);
		FUZZ_CHECK(memcmp(vrig_ptr(&r, DATA + 16), "sixteen bytes...",
			       16) == 0);
	}
	/* It may go with chains of the guest's. */
	vrig_destroy(&r);
	return (0);
}
