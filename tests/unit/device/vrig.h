/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_VRIG_H
#define LHYVE_TESTS_VRIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mevent.h"
#include "base/vclock.h"
#include "device/device.h"
#include "device/virtio/impl.h"
#include "gmem/gmem.h"

/*
 * A virtio device on a PCI bus of its own, and the driver for it: what a guest
 * would do, by calls. For unit tests and fuzz targets of devices.
 *
 * The driver's part is for one thread. It aborts where a test asks for what
 * cannot be (a full ring); what the device does wrong is the test's to see.
 */
#define VRIG_MEMORY (64ull << 20)
#define VRIG_QUEUES 8u
#define VRIG_SLOT   PCI_BDF(0, 3, 0)

struct vrig_queue {
	uint16_t size;
	uint64_t desc, driver, device; /* gpa */
	uint16_t avail, used;          /* split: indices; packed: positions */
	bool avail_wrap, used_wrap;
	uint16_t next[VIRTIO_QUEUE_SIZE_MAX];  /* split: of descriptors */
	uint16_t slots[VIRTIO_QUEUE_SIZE_MAX]; /* of a chain, by its id */
	bool busy[VIRTIO_QUEUE_SIZE_MAX];      /* descriptors, or ids */
	unsigned left;                         /* slots that are free */
};

struct vrig {
	struct config *cfg;
	struct config_error err;
	struct mevent_loop *loop;
	struct vclock *vclock;
	struct gmem *gmem;
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct pci_bus *bus;
	struct pci_dev *dev;
	struct virtio_dev *vd;
	atomic_uint sent[VIRTIO_QUEUES_MAX + 2]; /* messages, by vector */
	uint64_t modern;                         /* BARs; 0: none */
	uint16_t legacy;
	uint64_t features; /* negotiated */
	uint64_t next;     /* memory that nobody has yet */
	struct vrig_queue q[VRIG_QUEUES];
};

struct vrig_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

/* Adds the device with options "name=value,...", or NULL. 0 or -errno: then
 * r->err may say why. vrig_destroy() in either case. */
int vrig_create(struct vrig *r, const struct device_desc *desc,
    const char *opts, bool msix);
void vrig_destroy(struct vrig *r);

/* The modern BAR, and the legacy one. */
uint32_t vrig_read(struct vrig *r, uint64_t off, unsigned size);
void vrig_write(struct vrig *r, uint64_t off, unsigned size, uint32_t val);
uint32_t vrig_in(struct vrig *r, unsigned off, unsigned size);
void vrig_out(struct vrig *r, unsigned off, unsigned size, uint32_t val);
/* Configuration space. */
uint32_t vrig_conf(struct vrig *r, unsigned off, unsigned size);
void vrig_set_conf(struct vrig *r, unsigned off, unsigned size, uint32_t val);
uint32_t vrig_status(struct vrig *r);
/* Device-specific configuration. */
uint32_t vrig_config(struct vrig *r, unsigned off, unsigned size);

/* Memory of the guest, zeroes, 4096-aligned if it is a page or more. */
uint64_t vrig_alloc(struct vrig *r, uint64_t len);
void *vrig_ptr(struct vrig *r, uint64_t gpa);

/* What a driver does: a reset, then the features that are offered and in
 * `features`; false: FEATURES_OK did not stay. MSI-X is enabled, vector 0 for
 * the configuration, n + 1 for queue n. */
uint64_t vrig_offered(struct vrig *r);
bool vrig_negotiate(struct vrig *r, uint64_t features);
/* Gives queue n a ring of so many entries; 0: as many as it can have. */
void vrig_queue(struct vrig *r, unsigned n, uint16_t size);
void vrig_driver_ok(struct vrig *r);
/* All of it, for the first `queues` queues. */
void vrig_start(struct vrig *r, uint64_t features, unsigned queues);
/* The same through the legacy interface. */
void vrig_start_legacy(struct vrig *r, uint32_t features, unsigned queues);

/* Makes a chain available, without a notification: its id. */
uint16_t vrig_add(struct vrig *r, unsigned n, const struct vrig_buf *bufs,
    unsigned nbufs, bool indirect);
/* By its address in the modern BAR, or the legacy register. */
void vrig_kick(struct vrig *r, unsigned n);
/* Takes a chain that the device has used; false: there is none. */
bool vrig_used(struct vrig *r, unsigned n, uint16_t *id, uint32_t *len);
/* One chain there and back, by notifications: its length. Waits for a device
 * with a loop of its own, and runs the machine's loop. */
uint32_t vrig_do(
    struct vrig *r, unsigned n, const struct vrig_buf *bufs, unsigned nbufs);
/* Waits for a chain that the device has used, as vrig_do(). Aborts after a
 * minute. */
uint16_t vrig_wait(struct vrig *r, unsigned n, uint32_t *len);
/* Messages of a queue since the last call; those of the configuration: ~0. */
unsigned vrig_interrupts(struct vrig *r, unsigned n);
/* Lets the machine's loop do what there is to do now. */
void vrig_run_loop(struct vrig *r);

#endif
