/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_IMPL_H
#define LHYVE_DEVICE_VIRTIO_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "device/virtio/virtio.h"

/*
 * What the files of the virtio core share.
 *
 * Lock order: a device (struct virtio_dev), then a queue, then PCI's locks.
 * Interrupts are raised and pages announced as written with neither held.
 */

/* Device status (VIRTIO 2.1). */
#define VIRTIO_S_ACKNOWLEDGE 0x01u
#define VIRTIO_S_DRIVER      0x02u
#define VIRTIO_S_DRIVER_OK   0x04u
#define VIRTIO_S_FEATURES_OK 0x08u
#define VIRTIO_S_NEEDS_RESET 0x40u
#define VIRTIO_S_FAILED      0x80u

/* ISR status (VIRTIO 4.1.4.5). */
#define VIRTIO_ISR_QUEUE  0x1u
#define VIRTIO_ISR_CONFIG 0x2u

#define VIRTIO_NO_VECTOR 0xffffu

/* Descriptors (VIRTIO 2.7.5, 2.8.13). */
#define VIRTQ_DESC_NEXT     0x0001u
#define VIRTQ_DESC_WRITE    0x0002u
#define VIRTQ_DESC_INDIRECT 0x0004u
#define VIRTQ_DESC_AVAIL    0x0080u /* packed */
#define VIRTQ_DESC_USED     0x8000u /* packed */
#define VIRTQ_DESC_SIZE     16u

/* A descriptor, copied out of the guest's memory. In a packed ring `next` is
 * the buffer ID. */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* A buffer as the guest gave it, for announcing what was written. */
struct virtq_range {
	uint64_t gpa;
	uint32_t len;
};

/* A chain and what the core keeps of it. */
struct virtq_elem {
	struct virtq_chain c;    /* first: the device's pointer is ours */
	struct virtq_elem *next; /* in the queue's list of free ones */
	struct virtq_elem *prev_all, *next_all;
	uint16_t id;             /* head, or buffer ID (packed) */
	uint16_t slots;          /* of a packed ring that it takes */
	unsigned n, nwr, max;    /* buffers; writable ones; there is room for */
	struct iovec *iov;       /* max of them */
	struct virtq_range *gpa; /* of the writable ones, from [0] */
};

struct virtq {
	struct virtio_dev *vd;
	unsigned index;
	uint16_t max; /* entries at most */

	/* What the driver says; by the device's lock. */
	uint16_t size;
	_Atomic uint16_t vector; /* read without it */
	uint16_t enabled, resetting;
	uint64_t desc_gpa, driver_gpa, device_gpa;

	/* Who hears of notifications; written in init. */
	struct mevent_loop *loop;
	struct mevent *ev;
	int kickfd;         /* an eventfd; -1: none */
	atomic_bool kicked; /* it is readable, or will be in a moment */

	pthread_mutex_t lock; /* of all that follows */
	atomic_bool run;      /* chains come and go; read without the lock */
	bool mapped;          /* desc, driver and device point at the ring */
	bool packed, event_idx, indirect;
	uint16_t entries; /* `size` when the queue began to run */
	uint64_t gpa[3];  /* of the three: where they were then */
	uint8_t *desc, *driver, *device;
	uint16_t next_avail; /* where the next chain is expected */
	uint16_t avail_seen; /* split: the guest's index when last read */
	uint16_t next_used;  /* where the next used element goes */
	uint16_t flushed;    /* next_used at the last virtq_flush() */
	uint8_t avail_wrap, used_wrap; /* packed: wrap counters */
	uint16_t notify_off;           /* the device wants no notifications */
	uint16_t staged;               /* slots not shown yet */
	uint16_t first_flags;          /* packed: of the first staged one */
	unsigned inflight;             /* chains that the device has */
	struct virtq_elem *free, *all;
};

/* What has to be done in the device's own context. */
#define VIRTIO_CTL_START   0x1u
#define VIRTIO_CTL_STOP    0x2u /* tell the device that queues were stopped */
#define VIRTIO_CTL_RESTART 0x4u
#define VIRTIO_CTL_CHECK   0x8u /* the last chain may be back */

struct virtio_dev {
	struct pci_dev *pci;
	const struct virtio_ops *ops;
	void *priv;
	char name[48];
	struct mevent_loop *machine_loop;
	struct mevent_loop *loop;
	struct mevent *ctl_ev;
	int ctlfd; /* an eventfd; -1: no loop */
	struct log_rate rate;
	bool msix, legacy_only, modern_only;
	bool no_wait; /* for tests: nobody else ends a reset meanwhile */
	bool initialized; /* ops->init was called */
	unsigned nqueues;
	struct virtq *queues; /* ops->queues of them */
	uint64_t offered;     /* features */
	unsigned pci_cap;     /* offset of the PCI configuration access one */

	_Atomic uint64_t features; /* negotiated; 0 before start */
	atomic_bool running;       /* started, not broken, not being reset */
	atomic_uint isr;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t done;  /* resetting has ended */
	uint8_t status;
	uint8_t generation; /* of the configuration */
	uint8_t resetting;
	uint8_t started;         /* ops->start was called */
	uint8_t busy;            /* a thread is in virtio_ctl() */
	_Atomic uint16_t vector; /* for changes of the configuration */
	uint16_t queue_sel;
	uint32_t feature_sel, driver_sel;
	uint64_t driver_features;
	uint32_t ctl;           /* VIRTIO_CTL_* */
	uint64_t stop, restart; /* queues to tell of, a bit each */
	uint8_t config[VIRTIO_CONFIG_MAX];
};

extern const struct state_table virtio_state, virtq_state;

/* Queue Notify of the legacy interface. */
#define VIRTIO_LEGACY_NOTIFY 16u

/* virtio.c */
/* Creates it, for virtio_destroy() also where it fails; then its device. */
int virtio_create(struct virtio_dev **out, struct pci_dev *dev,
    const struct device_conf *conf);
int virtio_start_device(struct virtio_dev *vd, const struct device_conf *conf);
void virtio_destroy(struct virtio_dev *vd);
uint8_t virtio_isr_take(struct virtio_dev *vd);
/* Raises an interrupt. No lock held. */
void virtio_interrupt(struct virtio_dev *vd, unsigned isr, uint16_t vector);
/* A vector that exists, or none. */
uint16_t virtio_vector(const struct virtio_dev *vd, uint32_t val);
/* Device-specific configuration, for both interfaces. */
uint32_t virtio_config_read(struct virtio_dev *vd, unsigned off, unsigned size);
void virtio_config_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val);

/* ctl.c */
void virtio_ctl_init(struct virtio_dev *vd);
void virtio_ctl_end(struct virtio_dev *vd);
/* Handlers of eventfds: the device's, a queue's. */
void virtio_ctl_ready(void *arg, unsigned ready);
void virtio_kick_ready(void *arg, unsigned ready);
/* The guest's writes. No lock held. */
void virtio_set_status(struct virtio_dev *vd, uint8_t status);
void virtio_queue_reset(struct virtio_dev *vd, struct virtq *q);
void virtio_queue_enable(struct virtio_dev *vd, struct virtq *q);
void virtio_kick(struct virtio_dev *vd, unsigned n);
/* Waits until a reset has ended, at most so long. */
void virtio_wait_reset(struct virtio_dev *vd, unsigned ms);
/* As after power-on, now. Not in a vcpu's thread. */
void virtio_reset_now(struct virtio_dev *vd);
/* The last chain of a stopped queue came back. No lock held. */
void virtio_chains_back(struct virtio_dev *vd);
/* A queue's registers as after power-on. The device's lock held. */
void virtio_queue_defaults(struct virtq *q);

/* virtq.c */
int virtq_init(struct virtq *q, struct virtio_dev *vd, unsigned n);
void virtq_fini(struct virtq *q);
/* Begins to run with what the driver has said; the device's lock held. */
void virtq_start(struct virtq *q);
/* No more chains; returns how many are out. Takes the queue's lock. */
unsigned virtq_stop(struct virtq *q);
unsigned virtq_inflight(struct virtq *q);
/* Frees what chains took. None is out. */
void virtq_trim(struct virtq *q);

/*
 * split.c, packed.c: a ring's format. The queue's lock held, the ring mapped.
 * A string says what is broken; NULL: all is well.
 */
/* How many bytes its three parts have. */
void split_sizes(unsigned entries, uint64_t len[3]);
void packed_sizes(unsigned entries, uint64_t len[3]);
/* Takes the next chain, with e->n 0 if there is none. */
const char *split_pop(struct virtq *q, struct virtq_elem *e);
const char *packed_pop(struct virtq *q, struct virtq_elem *e);
void split_unpop(struct virtq *q, const struct virtq_elem *e);
void packed_unpop(struct virtq *q, const struct virtq_elem *e);
void split_push(struct virtq *q, const struct virtq_elem *e, uint32_t len);
void packed_push(struct virtq *q, const struct virtq_elem *e, uint32_t len);
/* Shows what was pushed; true: the guest wants an interrupt. */
bool split_flush(struct virtq *q);
bool packed_flush(struct virtq *q);
void split_notify(struct virtq *q, bool on);
void packed_notify(struct virtq *q, bool on);
bool split_avail(struct virtq *q);
bool packed_avail(struct virtq *q);

/* For those two: a descriptor's buffer is added to the chain, or all of the
 * table that it points at. */
const char *virtq_add(
    struct virtq *q, struct virtq_elem *e, const struct virtq_desc *d);
const char *virtq_add_table(
    struct virtq *q, struct virtq_elem *e, const struct virtq_desc *d);
void virtq_get_desc(
    const struct virtq *q, const uint8_t *at, struct virtq_desc *d);

/* A word of a ring, which the guest may be changing: read or written once. */
static inline uint16_t
load16(const uint8_t *at)
{
	return (__atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED));
}

static inline void
store16(uint8_t *at, uint16_t val)
{
	__atomic_store_n((uint16_t *)at, val, __ATOMIC_RELAXED);
}

/* Is `event` among the positions from `old` up to but not with `new`? Modulo
 * 65536 (VIRTIO 2.7.7.2). */
static inline bool
virtq_crossed(uint16_t event, uint16_t new, uint16_t old)
{
	return ((uint16_t)(event - old) < (uint16_t)(new - old));
}

/* legacy.c: I/O BAR 0. */
unsigned virtio_legacy_size(const struct virtio_dev *vd);
uint32_t virtio_legacy_read(struct virtio_dev *vd, unsigned off, unsigned size);
void virtio_legacy_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val);

/* common.c: the modern interface's registers. */
uint32_t virtio_common_read(struct virtio_dev *vd, unsigned off, unsigned size);
void virtio_common_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val);

#endif
