/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport over PCI, resets, and what else is not the rings'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake.h"
#include "vrig.h"

static struct vrig *
rig(const char *opts, bool msix)
{
	struct vrig *r = malloc(sizeof(*r));

	assert_non_null(r);
	assert_int_equal(vrig_create(r, &device_fake, opts, msix), 0);
	return (r);
}

static void
unrig(struct vrig *r)
{
	vrig_destroy(r);
	free(r);
}

static struct fake *
fake(struct vrig *r)
{
	return (virtio_priv(r->vd));
}

/* An echo of 16 bytes through queue n. */
static void
check_works(struct vrig *r, unsigned n)
{
	struct vrig_buf b[2] = {
	    {vrig_alloc(r, 16), 16, false}, {vrig_alloc(r, 16), 16, true}};

	memcpy(vrig_ptr(r, b[0].gpa), "sixteen bytes...", 16);
	assert_int_equal(vrig_do(r, n, b, 2), 16);
	assert_memory_equal(vrig_ptr(r, b[1].gpa), "sixteen bytes...", 16);
}

/* ---- what the guest finds ---- */

static void
test_identity(void **state)
{
	static const struct {
		const char *opts;
		uint16_t device, subdevice, revid;
		bool legacy, modern;
	} ids[] = {
	    {NULL, 0x1001, 2, 0, true, true},
	    {"interface=both", 0x1001, 2, 0, true, true},
	    {"interface=legacy", 0x1001, 2, 0, true, false},
	    {"interface=modern", 0x1042, 0x1100, 1, false, true},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct vrig *r = rig(ids[i].opts, true);

		assert_int_equal(vrig_conf(r, 0, 2), 0x1af4);
		assert_int_equal(vrig_conf(r, 2, 2), ids[i].device);
		assert_int_equal(vrig_conf(r, 0x2c, 2), 0x1af4);
		assert_int_equal(vrig_conf(r, 0x2e, 2), ids[i].subdevice);
		assert_int_equal(vrig_conf(r, 8, 1), ids[i].revid);
		assert_int_equal(vrig_conf(r, 0xb, 1), 1);
		assert_int_equal(r->legacy != 0, ids[i].legacy);
		assert_int_equal(r->modern != 0, ids[i].modern);
		unrig(r);
	}
}

/* VIRTIO 4.1.4: where the structures are. */
static void
test_capabilities(void **state)
{
	struct vrig *r = rig("queues=3", true);
	uint32_t len[6] = {0}, off[6] = {0}, type;
	unsigned cap;

	(void)state;
	for (cap = vrig_conf(r, PCIR_CAPPTR, 1); cap != 0;
	     cap = vrig_conf(r, cap + 1, 1)) {
		if (vrig_conf(r, cap, 1) != 9)
			continue;
		type = vrig_conf(r, cap + 3, 1);
		assert_in_range(type, 1, 5);
		assert_int_equal(
		    vrig_conf(r, cap + 2, 1), type == 2 || type == 5 ? 20 : 16);
		off[type] = vrig_conf(r, cap + 8, 4);
		len[type] = vrig_conf(r, cap + 12, 4);
		if (type != 5)
			assert_int_equal(vrig_conf(r, cap + 4, 1), 4);
		if (type == 2)
			assert_int_equal(vrig_conf(r, cap + 16, 4), 4);
	}
	assert_int_equal(len[1], 0x3c);
	assert_int_equal(len[2], 12);
	assert_int_equal(len[3], 1);
	assert_int_equal(len[4], FAKE_CONFIG);
	assert_int_equal(off[2], 0x3000);
	assert_int_equal(off[4], 0x2000);
	/* A vector for each queue and one for the configuration. */
	cap = pci_cap_find(r->dev, PCI_CAP_MSIX);
	assert_int_equal(vrig_conf(r, cap + 2, 2) & 0x7ff, 3);
	assert_int_equal(vrig_read(r, 0x12, 2), 3);
	unrig(r);
}

static void
test_init_fails(void **state)
{
	struct vrig *r = malloc(sizeof(*r));

	(void)state;
	assert_int_not_equal(
	    vrig_create(r, &device_fake, "fail=true", true), 0);
	assert_string_equal(r->err.msg,
	    "pci slot 0:3:0: fake: fail=true: as asked; leave it out");
	unrig(r);
}

/* Everything is in a table: transport, each queue, the device's own. */
static void
test_state(void **state)
{
	struct vrig *r = rig("queues=2", true);
	char *text = NULL;
	size_t len;
	FILE *out;

	(void)state;
	vrig_start(r, 0, 2);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	pci_dump(r->bus, out);
	(void)fclose(out);
	assert_non_null(strstr(text, "virtio.status = 0f"));
	assert_non_null(strstr(text, "virtq.size = 0010"));
	assert_non_null(strstr(text, "fake.starts = 00000001"));
	free(text);
	unrig(r);
}

/* ---- registers ---- */

static uint64_t
offered_with(const char *opts)
{
	struct vrig *r = rig(opts, true);
	uint64_t f = vrig_offered(r);

	unrig(r);
	return (f);
}

static void
test_offered(void **state)
{
	const uint64_t all = FAKE_F_ONE | FAKE_F_TWO | VIRTIO_F_ANY_LAYOUT |
			     VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
			     VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED |
			     VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET;

	(void)state;
	assert_true(offered_with(NULL) == all);
	assert_true(
	    offered_with("packed=false") == (all & ~VIRTIO_F_RING_PACKED));
	assert_true(
	    offered_with("indirect=false") == (all & ~VIRTIO_F_INDIRECT_DESC));
	assert_true(
	    offered_with("event_idx=off") == (all & ~VIRTIO_F_EVENT_IDX));
	assert_true(offered_with("interface=legacy") == (all & UINT32_MAX));
	/* VIRTIO_F_ACCESS_PLATFORM is not: memory is the guest's own. */
	assert_int_equal(offered_with(NULL) >> 33 & 1, 0);
}

static void
test_features(void **state)
{
	struct vrig *r = rig(NULL, true);

	(void)state;
	assert_true(vrig_negotiate(r, VIRTIO_F_VERSION_1 | FAKE_F_ONE));
	/* They count from the start. */
	assert_false(virtio_has(r->vd, FAKE_F_ONE));
	vrig_driver_ok(r);
	assert_true(virtio_has(r->vd, FAKE_F_ONE | VIRTIO_F_VERSION_1));
	assert_false(virtio_has(r->vd, FAKE_F_ONE | FAKE_F_TWO));
	assert_true(virtio_modern(r->vd));
	/* Settled: nothing changes any more. */
	vrig_write(r, 8, 4, 0);
	vrig_write(r, 0xc, 4, FAKE_F_TWO);
	assert_int_equal(vrig_read(r, 0xc, 4), FAKE_F_ONE);
	/* The modern interface needs VERSION_1; the device has its own rule. */
	assert_false(vrig_negotiate(r, FAKE_F_ONE));
	assert_false(
	    vrig_negotiate(r, VIRTIO_F_VERSION_1 | FAKE_F_ONE | FAKE_F_TWO));
	/* A bit that nobody offers. */
	assert_true(vrig_negotiate(r, VIRTIO_F_VERSION_1));
	vrig_write(r, 0x14, 1, 0);
	vrig_write(r, 0x14, 1, 3);
	vrig_write(r, 8, 4, 1);
	vrig_write(r, 0xc, 4, 1u | 1u << 20);
	vrig_write(r, 0x14, 1, 3 | VIRTIO_S_FEATURES_OK);
	assert_int_equal(vrig_status(r), 3);
	/* Selectors beyond the second word. */
	vrig_write(r, 0, 4, 2);
	assert_int_equal(vrig_read(r, 4, 4), 0);
	vrig_write(r, 0, 4, UINT32_MAX);
	assert_int_equal(vrig_read(r, 4, 4), 0);
	vrig_write(r, 8, 4, 7);
	vrig_write(r, 0xc, 4, 5);
	assert_int_equal(vrig_read(r, 0xc, 4), 0);
	unrig(r);
}

/* Without the features nothing begins. */
static void
test_no_features(void **state)
{
	struct vrig *r = rig("interface=modern", true);

	(void)state;
	vrig_write(r, 0x14, 1, 3);
	vrig_write(r, 0x14, 1, 7);
	assert_true((vrig_status(r) & VIRTIO_S_NEEDS_RESET) != 0);
	assert_int_equal(fake(r)->starts, 0);
	vrig_start(r, 0, 1);
	check_works(r, 0);
	unrig(r);
}

static void
test_queue_registers(void **state)
{
	struct vrig *r = rig("queues=3", true);
	unsigned i;

	(void)state;
	assert_true(vrig_negotiate(r, VIRTIO_F_VERSION_1));
	for (i = 0; i < 3; i++) {
		vrig_write(r, 0x16, 2, i);
		assert_int_equal(vrig_read(r, 0x18, 2), FAKE_SIZE);
		assert_int_equal(vrig_read(r, 0x1a, 2), 0xffff);
		assert_int_equal(vrig_read(r, 0x1c, 2), 0);
		assert_int_equal(vrig_read(r, 0x1e, 2), i);
	}
	vrig_write(r, 0x16, 2, 1);
	/* No power of two, none, too many. */
	vrig_write(r, 0x18, 2, 12);
	vrig_write(r, 0x18, 2, 0);
	vrig_write(r, 0x18, 2, FAKE_SIZE * 2);
	assert_int_equal(vrig_read(r, 0x18, 2), FAKE_SIZE);
	vrig_write(r, 0x18, 2, 8);
	assert_int_equal(vrig_read(r, 0x18, 2), 8);
	/* Vectors that do not exist. */
	vrig_write(r, 0x1a, 2, 3);
	assert_int_equal(vrig_read(r, 0x1a, 2), 3);
	vrig_write(r, 0x1a, 2, 4);
	assert_int_equal(vrig_read(r, 0x1a, 2), 0xffff);
	vrig_write(r, 0x10, 2, 4);
	assert_int_equal(vrig_read(r, 0x10, 2), 0xffff);
	vrig_write(r, 0x20, 4, 0x12345670);
	vrig_write(r, 0x24, 4, 0x9abcdef0);
	assert_int_equal(vrig_read(r, 0x20, 4), 0x12345670);
	assert_int_equal(vrig_read(r, 0x24, 4), 0x9abcdef0);
	/* Bytes of a field can be read, fields are written whole. */
	assert_int_equal(vrig_read(r, 0x25, 1), 0xde);
	assert_int_equal(vrig_read(r, 0x22, 4), 0xdef01234);
	vrig_write(r, 0x20, 1, 0);
	vrig_write(r, 0x20, 2, 0);
	vrig_write(r, 0x1e, 4, 0);
	assert_int_equal(vrig_read(r, 0x20, 4), 0x12345670);
	/* Enabled: as it is. Not by anything but 1. */
	vrig_write(r, 0x1c, 2, 2);
	assert_int_equal(vrig_read(r, 0x1c, 2), 0);
	vrig_write(r, 0x1c, 2, 1);
	vrig_write(r, 0x1c, 2, 0);
	assert_int_equal(vrig_read(r, 0x1c, 2), 1);
	vrig_write(r, 0x18, 2, 4);
	vrig_write(r, 0x20, 4, 0);
	assert_int_equal(vrig_read(r, 0x18, 2), 8);
	assert_int_equal(vrig_read(r, 0x20, 4), 0x12345670);
	/* Queues that there are not. */
	for (i = 3; i <= 0xffff; i = i * 3 + 1) {
		vrig_write(r, 0x16, 2, i);
		assert_int_equal(vrig_read(r, 0x18, 2), 0);
		vrig_write(r, 0x18, 2, 8);
		vrig_write(r, 0x1c, 2, 1);
		vrig_write(r, 0x3a, 2, 1);
		assert_int_equal(vrig_read(r, 0x1c, 2), 0);
	}
	unrig(r);
}

/* All sizes at all offsets of both BARs, and notifications of nothing. */
static void
test_every_offset(void **state)
{
	static const char *const opts[] = {NULL, "loop=true"};
	unsigned i, size, off;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vrig *r = rig(opts[i], true);

		vrig_start(r, 0, FAKE_QUEUES);
		for (size = 1; size <= 4; size *= 2) {
			for (off = 0; off < 0x4000; off++) {
				(void)vrig_read(r, off, size);
				/* Not the status and not the queues' use. */
				if (off >= 0x40)
					vrig_write(r, off, size, 0xa5a5a5a5);
			}
			for (off = 0; off < pci_bar_size(r->dev, 0); off++) {
				(void)vrig_in(r, off, size);
				if (off == 10 || off >= 20)
					vrig_out(r, off, size, 0xa5a5a5a5);
			}
		}
		vrig_run_loop(r);
		check_works(r, 3);
		unrig(r);
	}
}

static void
test_config(void **state)
{
	struct vrig *r = rig(NULL, true);
	unsigned gen;
	uint8_t bytes[4];

	(void)state;
	vrig_start(r, 0, 1);
	assert_int_equal(vrig_config(r, 0, 4), 0x04030201);
	assert_int_equal(vrig_config(r, 10, 2), 0x0c0b);
	assert_int_equal(vrig_config(r, 11, 1), 12);
	/* What is beyond it reads ones, and does not reach the device. */
	assert_int_equal(vrig_config(r, 11, 2), 0xffff);
	assert_int_equal(vrig_config(r, 12, 1), 0xff);
	vrig_write(r, 0x2000 + 12, 1, 1);
	vrig_write(r, 0x2000 + 10, 4, 1);
	assert_int_equal(fake(r)->writes, 0);
	vrig_write(r, 0x2000 + 8, 4, 0x44332211);
	assert_int_equal(fake(r)->writes, 1);
	assert_int_equal(fake(r)->written_off, 8);
	assert_int_equal(fake(r)->written_len, 4);
	assert_memory_equal(fake(r)->written, "\x11\x22\x33\x44", 4);
	assert_int_equal(vrig_config(r, 8, 4), 0x0c0b0a09);
	gen = vrig_read(r, 0x15, 1);
	virtio_config_set(r->vd, 2, "\xaa\xbb", 2);
	assert_int_not_equal(vrig_read(r, 0x15, 1), gen);
	assert_int_equal(vrig_config(r, 0, 4), 0xbbaa0201);
	gen = vrig_read(r, 0x15, 1);
	virtio_config_set(r->vd, 2, "\xaa\xbb", 2);
	assert_int_equal(vrig_read(r, 0x15, 1), gen);
	/* The device's own mistakes do no harm. */
	virtio_config_set(r->vd, FAKE_CONFIG - 1, "\1\2", 2);
	virtio_config_get(r->vd, FAKE_CONFIG, bytes, 4);
	assert_memory_equal(bytes, "\0\0\0\0", 4);
	assert_int_equal(vrig_interrupts(r, ~0u), 0);
	virtio_config_changed(r->vd);
	assert_int_equal(vrig_interrupts(r, ~0u), 1);
	vrig_write(r, 0x14, 1, 0);
	virtio_config_changed(r->vd);
	assert_int_equal(vrig_interrupts(r, ~0u), 0);
	unrig(r);
}

/* VIRTIO 4.1.4.9: the window in configuration space. */
static void
test_window(void **state)
{
	struct vrig *r = rig(NULL, true);
	unsigned cap;

	(void)state;
	for (cap = vrig_conf(r, PCIR_CAPPTR, 1);
	     vrig_conf(r, cap, 1) != 9 || vrig_conf(r, cap + 3, 1) != 5;
	     cap = vrig_conf(r, cap + 1, 1))
		;
	/* Nothing is selected. */
	(void)vrig_conf(r, cap + 16, 4);
	vrig_set_conf(r, cap + 4, 1, 4);
	vrig_set_conf(r, cap + 8, 4, 0x14);
	vrig_set_conf(r, cap + 12, 4, 1);
	vrig_set_conf(r, cap + 16, 1, 3);
	assert_int_equal(vrig_status(r), 3);
	assert_int_equal(vrig_conf(r, cap + 16, 1), 3);
	vrig_set_conf(r, cap + 8, 4, 0x2004);
	vrig_set_conf(r, cap + 12, 4, 4);
	assert_int_equal(vrig_conf(r, cap + 16, 4), 0x08070605);
	assert_int_equal(vrig_conf(r, cap + 18, 2), 0x0807);
	/* Lengths, offsets and BARs that are none. */
	vrig_set_conf(r, cap + 12, 4, 3);
	(void)vrig_conf(r, cap + 16, 4);
	vrig_set_conf(r, cap + 12, 4, 8);
	(void)vrig_conf(r, cap + 16, 4);
	vrig_set_conf(r, cap + 12, 4, 4);
	vrig_set_conf(r, cap + 8, 4, 0x2001);
	assert_int_not_equal(vrig_conf(r, cap + 16, 4), 0x05040302);
	vrig_set_conf(r, cap + 8, 4, 0xfffffffc);
	vrig_set_conf(r, cap + 16, 4, 0);
	vrig_set_conf(r, cap + 8, 4, 0x14);
	vrig_set_conf(r, cap + 12, 4, 1);
	vrig_set_conf(r, cap + 4, 1, 0);
	vrig_set_conf(r, cap + 16, 1, 0);
	assert_int_equal(vrig_status(r), 3);
	unrig(r);
}

/* ---- interrupts ---- */

static void
test_no_vector(void **state)
{
	struct vrig *r = rig(NULL, true);

	(void)state;
	vrig_start(r, 0, 2);
	vrig_write(r, 0x16, 2, 0);
	vrig_write(r, 0x1a, 2, 0xffff);
	check_works(r, 0);
	assert_int_equal(vrig_interrupts(r, 0), 0);
	check_works(r, 1);
	assert_int_equal(vrig_interrupts(r, 1), 1);
	/* The pin is quiet meanwhile, and ISR status has nothing. */
	assert_int_equal(vrig_read(r, 0x1000, 1), 0);
	unrig(r);
}

static unsigned
pin_line(struct vrig *r)
{
	return (pci_intx_line(3, vrig_conf(r, PCIR_INTPIN, 1)));
}

/* -W without MSI in the guest: the pin, until ISR status is read. */
static void
test_pin(void **state)
{
	static const bool msix[] = {false, true};
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vrig *r = rig(NULL, msix[i]);
		unsigned cap = pci_cap_find(r->dev, PCI_CAP_MSIX);

		assert_int_equal(cap != 0, msix[i]);
		vrig_start(r, 0, 1);
		if (cap != 0)
			vrig_set_conf(r, cap + 2, 2, 0);
		else
			assert_int_equal(vrig_read(r, 0x10, 2), 0xffff);
		assert_false(irq_level(r->irqs, pin_line(r)));
		check_works(r, 0);
		assert_true(irq_level(r->irqs, pin_line(r)));
		assert_int_equal(vrig_read(r, 0x1000, 1), 1);
		assert_false(irq_level(r->irqs, pin_line(r)));
		assert_int_equal(vrig_read(r, 0x1000, 1), 0);
		virtio_config_changed(r->vd);
		check_works(r, 0);
		assert_int_equal(vrig_in(r, 19, 1), 3);
		assert_false(irq_level(r->irqs, pin_line(r)));
		/* A reset lets go of the line. */
		check_works(r, 0);
		assert_true(irq_level(r->irqs, pin_line(r)));
		vrig_write(r, 0x14, 1, 0);
		assert_false(irq_level(r->irqs, pin_line(r)));
		unrig(r);
	}
}

static void
test_msi(void **state)
{
	struct vrig *r = rig(NULL, false);
	unsigned cap = pci_cap_find(r->dev, PCI_CAP_MSI);

	(void)state;
	assert_int_not_equal(cap, 0);
	vrig_start(r, 0, 2);
	vrig_set_conf(r, cap + 4, 4, 0xfee00000);
	vrig_set_conf(r, cap + 8, 4, 0);
	vrig_set_conf(r, cap + 12, 2, 5);
	vrig_set_conf(r, cap + 2, 2, 1);
	check_works(r, 0);
	check_works(r, 1);
	assert_int_equal(vrig_interrupts(r, 4), 2);
	assert_false(irq_level(r->irqs, pin_line(r)));
	assert_int_equal(vrig_read(r, 0x1000, 1), 1);
	unrig(r);
}

/* ---- the legacy interface ---- */

static void
test_legacy(void **state)
{
	static const char *const opts[] = {
	    NULL, "interface=legacy", "loop=true", "thread=true"};
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct vrig *r = rig(opts[i], i != 1);

		vrig_start_legacy(
		    r, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 3);
		check_works(r, 0);
		check_works(r, 2);
		assert_false(virtio_modern(r->vd));
		assert_true(virtio_has(r->vd, VIRTIO_F_EVENT_IDX));
		assert_int_equal(vrig_in(r, 12, 2), FAKE_SIZE);
		assert_int_equal(vrig_in(r, 8, 4), r->q[2].desc / 4096);
		/* The configuration moves when MSI-X is enabled. */
		if (i != 1) {
			assert_int_equal(vrig_in(r, 22, 2), 3);
			assert_int_equal(vrig_in(r, 24, 4), 0x04030201);
			vrig_out(r, 20, 2, 9);
			assert_int_equal(vrig_in(r, 20, 2), 0xffff);
		} else {
			assert_int_equal(vrig_in(r, 20, 4), 0x04030201);
		}
		vrig_out(r, 14, 2, 77);
		assert_int_equal(vrig_in(r, 12, 2), 0);
		assert_int_equal(vrig_in(r, 8, 4), 0);
		vrig_out(r, 8, 4, 5);
		/* A queue is taken away, and given anew. */
		vrig_out(r, 14, 2, 2);
		vrig_out(r, 8, 4, 0);
		vrig_run_loop(r);
		assert_int_equal(vrig_in(r, 8, 4), 0);
		assert_false(virtq_ready(virtio_queue(r->vd, 2)));
		r->q[2] = (struct vrig_queue){.size = FAKE_SIZE,
		    .left = FAKE_SIZE,
		    .desc = vrig_alloc(r, 65536)};
		r->q[2].driver = r->q[2].desc + FAKE_SIZE * 16;
		r->q[2].device = r->q[2].desc + 4096;
		vrig_out(r, 8, 4, (uint32_t)(r->q[2].desc / 4096));
		check_works(r, 2);
		check_works(r, 0);
		unrig(r);
	}
}

/* Wrong sizes of registers; a ring at the end of everything. */
static void
test_legacy_wrong(void **state)
{
	struct vrig *r = rig(NULL, false);

	(void)state;
	vrig_start_legacy(r, 0, 1);
	assert_int_equal(vrig_in(r, 0, 1), 0xff);
	assert_int_equal(vrig_in(r, 18, 2), 0xffff);
	vrig_out(r, 18, 4, 0);
	vrig_out(r, 8, 2, 0);
	assert_int_equal(vrig_in(r, 18, 1), 7);
	vrig_out(r, 14, 2, 1);
	vrig_out(r, 8, 4, UINT32_MAX);
	vrig_out(r, 16, 2, 1);
	assert_true((vrig_status(r) & VIRTIO_S_NEEDS_RESET) != 0);
	vrig_start_legacy(r, 0, 1);
	check_works(r, 0);
	unrig(r);
}

/* ---- life ---- */

/* A driver that notifies before DRIVER_OK is heard after it. */
static void
test_early_kick(void **state)
{
	static const char *const opts[] = {NULL, "loop=true", "thread=true"};
	struct vrig_buf b[2];
	uint32_t len;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct vrig *r = rig(opts[i], true);

		assert_true(vrig_negotiate(r, VIRTIO_F_VERSION_1));
		vrig_queue(r, 0, 0);
		b[0] = (struct vrig_buf){vrig_alloc(r, 16), 16, false};
		b[1] = (struct vrig_buf){vrig_alloc(r, 16), 16, true};
		(void)vrig_add(r, 0, b, 2, false);
		vrig_kick(r, 0);
		vrig_run_loop(r);
		assert_int_equal(fake(r)->notifies, 0);
		assert_int_equal(
		    *(uint16_t *)vrig_ptr(r, r->q[0].device + 2), 0);
		vrig_driver_ok(r);
		(void)vrig_wait(r, 0, &len);
		assert_int_equal(len, 16);
		assert_int_equal(fake(r)->starts, 1);
		unrig(r);
	}
}

/* So many chains in queue n, which the device keeps. */
static void
hold_some(struct vrig *r, unsigned n, unsigned count)
{
	struct vrig_buf b[1] = {{vrig_alloc(r, 16), 16, true}};
	time_t end = time(NULL) + 60;
	unsigned i, before, now;

	fake(r)->hold = true;
	pthread_mutex_lock(&fake(r)->lock);
	before = fake(r)->nheld;
	pthread_mutex_unlock(&fake(r)->lock);
	for (i = 0; i < count; i++)
		(void)vrig_add(r, n, b, 1, false);
	vrig_kick(r, n);
	do {
		vrig_run_loop(r);
		pthread_mutex_lock(&fake(r)->lock);
		now = fake(r)->nheld;
		pthread_mutex_unlock(&fake(r)->lock);
		assert_true(time(NULL) < end);
	} while (now != before + count);
}

/* A reset while the device has chains: not before they are back. */
static void
test_reset(void **state)
{
	static const char *const opts[] = {NULL, "loop=true", "thread=true"};
	uint8_t before[4096];
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) {
		struct vrig *r = rig(opts[i % 3], true);

		vrig_start(r, i < 3 ? 0 : VIRTIO_F_RING_PACKED, 2);
		check_works(r, 0);
		hold_some(r, 0, 3);
		hold_some(r, 1, 2);
		fake(r)->late_back = true;
		memcpy(before, vrig_ptr(r, r->q[0].desc), 512);
		vrig_write(r, 0x14, 1, 0);
		vrig_run_loop(r);
		assert_int_not_equal(vrig_status(r), 0);
		assert_int_equal(fake(r)->resets, 0);
		/* Until then the driver's writes go nowhere. */
		vrig_write(r, 0x14, 1, 1);
		vrig_write(r, 0x16, 2, 1);
		vrig_write(r, 0x18, 2, 4);
		assert_int_not_equal(vrig_read(r, 0x18, 2), 4);
		while (fake(r)->nheld > 1) {
			fake_back(r->vd, 16);
			vrig_run_loop(r);
		}
		assert_int_not_equal(vrig_status(r), 0);
		assert_int_equal(fake(r)->resets, 0);
		fake_back(r->vd, 16);
		while (vrig_status(r) != 0)
			vrig_run_loop(r);
		assert_int_equal(fake(r)->resets, 1);
		assert_int_equal(fake(r)->reset_with, 0);
		assert_int_equal(fake(r)->stops, 2);
		/* What came back late is not in the rings. */
		assert_memory_equal(before, vrig_ptr(r, r->q[0].desc), 512);
		assert_int_equal(*(uint16_t *)vrig_ptr(r, r->q[0].device + 2),
		    i < 3 ? 1 : *(uint16_t *)vrig_ptr(r, r->q[0].device + 2));
		assert_int_equal(vrig_read(r, 0x16, 2), 0);
		assert_int_equal(vrig_read(r, 0x1c, 2), 0);
		assert_int_equal(vrig_read(r, 0x18, 2), FAKE_SIZE);
		fake(r)->late_back = fake(r)->hold = false;
		vrig_start(r, 0, 2);
		check_works(r, 1);
		assert_int_equal(fake(r)->starts, 2);
		unrig(r);
	}
}

/* A device that gives them back when it is asked makes no one wait. */
static void
test_reset_stop(void **state)
{
	static const char *const opts[] = {NULL, "loop=true", "thread=true"};
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct vrig *r = rig(opts[i], true);

		vrig_start(r, 0, 2);
		hold_some(r, 0, 5);
		hold_some(r, 1, 1);
		vrig_write(r, 0x14, 1, 0);
		while (vrig_status(r) != 0)
			vrig_run_loop(r);
		assert_int_equal(fake(r)->nheld, 0);
		assert_int_equal(fake(r)->resets, 1);
		/* The machine's reset, with the loop standing still. */
		vrig_start(r, 0, 2);
		hold_some(r, 0, 5);
		pci_bus_reset(r->bus);
		assert_int_equal(vrig_status(r), 0);
		assert_int_equal(fake(r)->resets, 2);
		fake(r)->hold = false;
		vrig_start(r, 0, 2);
		check_works(r, 0);
		/* Gone with chains of the guest's. */
		hold_some(r, 0, 5);
		unrig(r);
	}
}

/* VIRTIO 2.6.1: one queue anew, the others go on. */
static void
test_queue_reset(void **state)
{
	static const char *const opts[] = {NULL, "loop=true", "thread=true"};
	unsigned i, turn;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct vrig *r = rig(opts[i], true);

		vrig_start(r, VIRTIO_F_RING_RESET, 2);
		for (turn = 1; turn < 5; turn++) {
			fake(r)->late_back = turn % 2 != 0;
			hold_some(r, 1, 2);
			vrig_write(r, 0x16, 2, 1);
			vrig_write(r, 0x3a, 2, 1);
			vrig_run_loop(r);
			if (fake(r)->late_back) {
				assert_int_equal(vrig_read(r, 0x3a, 2), 1);
				/* Not yet. */
				vrig_write(r, 0x1c, 2, 1);
				assert_int_equal(vrig_read(r, 0x1c, 2), 0);
				fake_back(r->vd, 0);
				fake_back(r->vd, 0);
			}
			while (vrig_read(r, 0x3a, 2) != 0)
				vrig_run_loop(r);
			assert_int_equal(fake(r)->nheld, 0);
			assert_int_equal(vrig_read(r, 0x1c, 2), 0);
			assert_int_equal(vrig_read(r, 0x20, 4), 0);
			fake(r)->hold = false;
			check_works(r, 0);
			assert_false(virtq_ready(virtio_queue(r->vd, 1)));
			vrig_queue(r, 1, turn % 2 != 0 ? 8 : 4);
			check_works(r, 1);
			check_works(r, 0);
			assert_int_equal(fake(r)->restarts, turn);
			assert_int_equal(virtq_size(virtio_queue(r->vd, 1)),
			    turn % 2 != 0 ? 8 : 4);
		}
		assert_int_equal(fake(r)->resets, 0);
		unrig(r);
	}
}

/* Not negotiated: the register does nothing. */
static void
test_no_queue_reset(void **state)
{
	struct vrig *r = rig(NULL, true);

	(void)state;
	vrig_start(r, 0, 1);
	vrig_write(r, 0x16, 2, 0);
	vrig_write(r, 0x3a, 2, 1);
	assert_int_equal(vrig_read(r, 0x3a, 2), 0);
	assert_int_equal(vrig_read(r, 0x1c, 2), 1);
	check_works(r, 0);
	unrig(r);
}

/* The device itself gives up; it says so once. */
static void
test_broken(void **state)
{
	static const char *const opts[] = {NULL, "thread=true"};
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vrig *r = rig(opts[i], true);

		vrig_start(r, 0, 2);
		hold_some(r, 0, 2);
		virtio_broken(r->vd, "as asked");
		virtio_broken(r->vd, "as asked");
		assert_int_equal(vrig_interrupts(r, ~0u), 1);
		assert_int_equal(vrig_status(r), 0x4f);
		/* The driver cannot take the bit back but by a reset. */
		vrig_write(r, 0x14, 1, 0x0f);
		assert_int_equal(vrig_status(r), 0x4f);
		fake(r)->late_back = true;
		vrig_write(r, 0x14, 1, 0);
		assert_int_not_equal(vrig_status(r), 0);
		fake_back(r->vd, 1);
		fake_back(r->vd, 1);
		fake(r)->hold = fake(r)->late_back = false;
		vrig_start(r, 0, 2);
		check_works(r, 0);
		unrig(r);
	}
}

/* ---- two vcpus and a ring ---- */

struct racer {
	struct vrig *r;
	atomic_bool *stop;
	unsigned seed;
};

static void *
race(void *arg)
{
	struct racer *me = arg;
	struct vrig *r = me->r;
	uint8_t *ring[3] = {vrig_ptr(r, r->q[0].desc),
	    vrig_ptr(r, r->q[0].driver), vrig_ptr(r, r->q[0].device)};
	unsigned n = 0, at, s = me->seed;

	while (!atomic_load(me->stop)) {
		s = s * 1103515245u + 12345u;
		at = s >> 16;
		if (n++ % 4 != 0)
			__atomic_store_n((uint16_t *)(ring[0] + at % 128 * 2),
			    (uint16_t)(s >> 8), __ATOMIC_RELAXED);
		else
			__atomic_store_n(
			    (uint16_t *)(ring[n / 4 % 2 + 1] + at % 16 * 2),
			    (uint16_t)(s >> 12 & 0x1f), __ATOMIC_RELAXED);
		if (n % 64 == 0)
			vrig_kick(r, 0);
	}
	return (NULL);
}

/* Both change everything in it while both have it worked off. */
static void
test_race(void **state)
{
	static const uint64_t some[] = {
	    VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC,
	    VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC};
	pthread_t thread[2];
	struct racer racers[2];
	atomic_bool stop;
	unsigned w, i, turn;

	(void)state;
	for (w = 0; w < 4; w++) {
		struct vrig *r = rig(w < 2 ? NULL : "thread=true", true);

		for (turn = 0; turn < 10; turn++) {
			vrig_start(r, some[w % 2], 2);
			fake(r)->suppress = turn % 2 != 0;
			atomic_store(&stop, false);
			for (i = 0; i < 2; i++) {
				racers[i] = (struct racer){
				    r, &stop, turn * 7919 + i + 1};
				assert_int_equal(pthread_create(&thread[i],
						     NULL, race, &racers[i]),
				    0);
			}
			/* Until it breaks, or for a while. */
			for (i = 0; i < 1000 && virtio_running(r->vd); i++)
				sched_yield();
			atomic_store(&stop, true);
			for (i = 0; i < 2; i++)
				pthread_join(thread[i], NULL);
		}
		vrig_start(r, 0, 2);
		check_works(r, 0);
		unrig(r);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_identity),
	    cmocka_unit_test(test_capabilities),
	    cmocka_unit_test(test_init_fails),
	    cmocka_unit_test(test_state),
	    cmocka_unit_test(test_offered),
	    cmocka_unit_test(test_features),
	    cmocka_unit_test(test_no_features),
	    cmocka_unit_test(test_queue_registers),
	    cmocka_unit_test(test_every_offset),
	    cmocka_unit_test(test_config),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_no_vector),
	    cmocka_unit_test(test_pin),
	    cmocka_unit_test(test_msi),
	    cmocka_unit_test(test_legacy),
	    cmocka_unit_test(test_legacy_wrong),
	    cmocka_unit_test(test_early_kick),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_reset_stop),
	    cmocka_unit_test(test_queue_reset),
	    cmocka_unit_test(test_no_queue_reset),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_race),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
