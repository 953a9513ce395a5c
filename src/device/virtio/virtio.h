/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_H
#define LHYVE_DEVICE_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/state.h"
#include "device/device.h"

/*
 * Virtio devices after the Virtual I/O Device (VIRTIO) Specification 1.2
 * (below: VIRTIO), with its legacy interface, over PCI. The core has the
 * transport, the negotiation of features and the rings; a device has a
 * const struct virtio_ops, takes chains of buffers from its queues and puts
 * them back. It never sees an address of the guest, an index of a ring or a
 * descriptor: those are checked and copied once, before a chain is a chain.
 *
 * Threads. Each queue's `notify` is called
 *  - in the thread of an event loop, if virtio_set_loop() or virtq_set_loop()
 *    gave the device or the queue one, or
 *  - in the thread of the vcpu that notifies, else: it must not wait then.
 * A loop hears of it by an eventfd of the queue; an engine that can signal it
 * by itself will. `start`, `stop` and `reset` are called in the device's
 * loop, or in the vcpu's thread if it has none, so that a device which does
 * all its work in its loop needs no lock. All hooks are called with no lock
 * held.
 *
 * Each function below takes the lock it needs, for a moment: any thread may
 * call it, unless it says otherwise. Who completes chains of one queue from
 * several threads sees them published in the order of the calls.
 *
 * Reset. The guest may reset the device or one queue at any moment, also
 * while a backend works on chains. The queue is stopped then: virtq_pop()
 * has no more chains, and the device returns by virtq_push() those it still
 * has, which writes nothing to the rings any more. Not before the last one is
 * back does `reset` follow, does the guest see the end of the reset, and is
 * memory the guest's again. `stop` asks the device to hurry: to cancel what
 * its backend works on, and to give back chains that wait for something.
 */
struct virtio_dev; /* a device, and its transport */
struct virtq;      /* a virtqueue */

/* Device types (VIRTIO 5). */
enum {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_SCSI = 8,
	VIRTIO_ID_9P = 9,
	VIRTIO_ID_INPUT = 18,
	VIRTIO_ID_VSOCK = 19,
};

/* Feature bits that are not a device's own (VIRTIO 6, 6.3). */
#define VIRTIO_F_ANY_LAYOUT      (1ull << 27) /* legacy */
#define VIRTIO_F_INDIRECT_DESC   (1ull << 28)
#define VIRTIO_F_EVENT_IDX       (1ull << 29)
#define VIRTIO_F_VERSION_1       (1ull << 32)
#define VIRTIO_F_RING_PACKED     (1ull << 34)
#define VIRTIO_F_IN_ORDER        (1ull << 35)
#define VIRTIO_F_RING_RESET      (1ull << 40)

#define VIRTIO_QUEUES_MAX     64
#define VIRTIO_QUEUE_SIZE_MAX 1024u
#define VIRTIO_CONFIG_MAX     256u

/*
 * What a device is. Hooks may be NULL but for `init` and `notify`.
 */
struct virtio_ops {
	uint16_t id; /* VIRTIO_ID_* */
	uint8_t class, subclass; /* of the PCI function */
	/* Queues there are at most, 1 to VIRTIO_QUEUES_MAX; virtio_set_queues()
	 * in init can say fewer. */
	unsigned queues;
	/* Entries of a queue, a power of two up to VIRTIO_QUEUE_SIZE_MAX; the
	 * guest can choose fewer. NULL: `size` for all. */
	uint16_t size;
	uint16_t (*queue_size)(struct virtio_dev *vd, unsigned n);
	/* Buffers of a chain at most; a longer one is a broken ring. 0:
	 * VIRTIO_QUEUE_SIZE_MAX. */
	unsigned max_segs;
	unsigned config_size; /* bytes of device-specific configuration */
	/* Device-specific bits that are always offered; virtio_offer() adds
	 * others. */
	uint64_t features;
	/* Puts back chains in the order in which it took them, in every queue:
	 * VIRTIO_F_IN_ORDER is offered. */
	bool in_order;
	size_t priv_size;                /* bytes of virtio_priv(), zeroed */
	const struct state_table *state; /* of the private part */

	/* While the machine is built: options, backend, configuration, loop.
	 * 0 or -errno with conf->err: fini is called too. */
	int (*init)(struct virtio_dev *vd, const struct device_conf *conf);
	/* The queues are stopped, no other hook runs or will. Ends what works
	 * on chains; those that were not put back are freed afterwards. */
	void (*fini)(struct virtio_dev *vd);
	/* May the driver have these features together? In the vcpu's thread;
	 * decides nothing yet. That they were offered has been checked. */
	bool (*features_ok)(struct virtio_dev *vd, uint64_t features);
	/* The driver is ready (DRIVER_OK): virtio_has() holds from now on, and
	 * virtq_ready() for the queues it uses. `notify` of each of them
	 * follows by itself. */
	void (*start)(struct virtio_dev *vd);
	/* The guest has put chains into queue n, maybe: what it notified of may
	 * have been taken already. */
	void (*notify)(struct virtio_dev *vd, unsigned n);
	/* Queue n was stopped: chains of it are wanted back soon. A device in
	 * the machine's loop gives them back before it returns, since that loop
	 * may stand still. */
	void (*stop)(struct virtio_dev *vd, unsigned n);
	/* Queue n, reset by itself (VIRTIO_F_RING_RESET), can be used again. */
	void (*restart)(struct virtio_dev *vd, unsigned n);
	/* All queues are stopped and all chains are back: as after power-on,
	 * but for what the host's side owns. Also without a start before. */
	void (*reset)(struct virtio_dev *vd);
	/* The guest wrote [off, off+len) of the configuration, within
	 * config_size; `bytes` are these. It sees what virtio_config_set()
	 * says, not what it wrote. In the vcpu's thread. NULL: all is
	 * read-only. */
	void (*config_write)(struct virtio_dev *vd, unsigned off,
	    const void *bytes, unsigned len);
};

/* Defines `const struct device_desc device_IDENT`, for devices.inc: name in
 * -s, help line, struct virtio_ops, and further members of device_desc. Its
 * options include VIRTIO_OPTS. */
#define VIRTIO_DEVICE(ident, name_, help_, ops_, ...)                          \
	static const struct pci_device_ops ident##_pci = {                     \
	    .name = name_, .help = help_, VIRTIO_PCI_HOOKS};                   \
	const struct device_desc device_##ident = {                            \
	    .pci = &ident##_pci, .virtio = &(ops_), __VA_ARGS__}

/* Options that each virtio device has. */
#define VIRTIO_OPTS                                                            \
	{.name = "interface",                                                  \
	    .type = CONFIG_WORD,                                               \
	    .words = "both modern legacy",                                     \
	    .dflt = "both",                                                    \
	    .help = "virtio interface: both, modern, legacy"},                 \
	    {.name = "packed",                                                 \
		.type = CONFIG_BOOL,                                           \
		.dflt = "true",                                                \
		.help = "offer packed virtqueues"},                            \
	    {.name = "indirect",                                               \
		.type = CONFIG_BOOL,                                           \
		.dflt = "true",                                                \
		.help = "offer indirect descriptors"},                         \
	{                                                                      \
		.name = "event_idx", .type = CONFIG_BOOL, .dflt = "true",      \
		.help = "offer notifications by event index"                   \
	}

/*
 * The device. These in init only:
 */
/* Where hooks are called: see above. The loop outlives the device, or is the
 * device's own and destroyed by its fini. */
void virtio_set_loop(struct virtio_dev *vd, struct mevent_loop *loop);
void virtq_set_loop(struct virtq *q, struct mevent_loop *loop);
/* Fewer queues than virtio_ops has. */
void virtio_set_queues(struct virtio_dev *vd, unsigned n);
/* Offers device-specific features. */
void virtio_offer(struct virtio_dev *vd, uint64_t features);

/* At any time: */
void *virtio_priv(struct virtio_dev *vd);
/* "virtio-blk at 0:3:0", for messages. */
const char *virtio_name(const struct virtio_dev *vd);
/* All of `features` have been negotiated. False before start. */
bool virtio_has(const struct virtio_dev *vd, uint64_t features);
/* VIRTIO_F_VERSION_1: not the legacy interface. */
bool virtio_modern(const struct virtio_dev *vd);
/* Between start and reset, and not broken. */
bool virtio_running(const struct virtio_dev *vd);
struct virtq *virtio_queue(struct virtio_dev *vd, unsigned n);

/* Sets bytes of the configuration space that the guest reads; little-endian,
 * in one piece for the guest, which reads a new generation if it reads part
 * of the old and part of the new. The guest is not told. */
void virtio_config_set(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len);
void virtio_config_get(
    struct virtio_dev *vd, unsigned off, void *bytes, unsigned len);
/* Tells it: a configuration change interrupt. Nothing before DRIVER_OK. */
void virtio_config_changed(struct virtio_dev *vd);

/* The driver has done what no driver may: DEVICE_NEEDS_RESET, a rate-limited
 * line on stderr, all queues stopped until the guest resets the device. */
void virtio_broken(struct virtio_dev *vd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A rate-limited line about something a guest or a host can cause, the
 * device's name in front. */
void virtio_warn(struct virtio_dev *vd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * A chain: the buffers of one request, checked, as host pointers into the
 * guest's memory. The guest can change what they point at at any time: what
 * is checked is copied first.
 *
 * The device may change rd, nrd, wr, nwr and what they point at, as the
 * functions below do; the core keeps what it needs elsewhere. `user` and
 * `link` are the device's.
 */
struct virtq_chain {
	struct virtq *q;
	struct iovec *rd; /* device-readable buffers, before all others */
	struct iovec *wr; /* device-writable */
	unsigned nrd, nwr;
	uint64_t rd_len, wr_len; /* bytes in them */
	void *user;
	struct virtq_chain *link;
};

/* The next chain, or NULL: none, or the queue is stopped. A broken ring is
 * none as well, and virtio_broken(). At most as many are out as the queue has
 * entries. */
struct virtq_chain *virtq_pop(struct virtq *q);
/* Puts the chain taken last back as if it had not been taken. Only by who
 * alone takes chains of the queue, and none of it was written. */
void virtq_unpop(struct virtq_chain *c);
/* Puts it back as used; the guest learns that the first `written` bytes of
 * its writable buffers are set, and of all together at virtq_flush(). The
 * pages of all of its writable buffers count as written. */
void virtq_push(struct virtq_chain *c, uint32_t written);
/* Shows the guest what was pushed, and interrupts it unless it does not want
 * that now. After each batch. */
void virtq_flush(struct virtq *q);
static inline void
virtq_done(struct virtq_chain *c, uint32_t written)
{
	struct virtq *q = c->q;

	virtq_push(c, written);
	virtq_flush(q);
}

/*
 * Who works off a queue does not need notifications meanwhile:
 *
 *	do {
 *		virtq_notify_off(q);
 *		while ((c = virtq_pop(q)) != NULL)
 *			...
 *	} while (virtq_notify_on(q));
 *
 * virtq_notify_on() returns true if there is a chain by now: then there may
 * be no notification for it. Notifications are on after start.
 */
void virtq_notify_off(struct virtq *q);
bool virtq_notify_on(struct virtq *q);

/* The driver uses it, and it is not stopped. */
bool virtq_ready(const struct virtq *q);
/* A chain waits; more exact than virtq_ready() and less than virtq_pop(). */
bool virtq_avail(struct virtq *q);
unsigned virtq_index(const struct virtq *q);
struct virtio_dev *virtq_dev(const struct virtq *q);
/* Entries that the driver has chosen. */
unsigned virtq_size(const struct virtq *q);

/* Copies the first len readable bytes, and takes them off rd, however they
 * lie in buffers. False, and nothing happens: there are fewer. NULL: they are
 * taken off only. */
bool virtq_read(struct virtq_chain *c, void *buf, size_t len);
/* The same into the first writable bytes. */
bool virtq_write(struct virtq_chain *c, const void *buf, size_t len);
/* Takes the last writable byte off wr: where it is, or NULL: there is none.
 * For a status that follows the data. */
uint8_t *virtq_take_last(struct virtq_chain *c);

/* What VIRTIO_DEVICE() puts into its pci_device_ops. */
int virtio_pci_init(struct pci_dev *dev, void *conf);
void virtio_pci_fini(struct pci_dev *dev);
void virtio_pci_reset(struct pci_dev *dev);
void virtio_pci_states(struct pci_dev *dev, pci_state_fn fn, void *arg);
void virtio_pci_cfg_read(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t *val);
void virtio_pci_cfg_write(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t val);
void virtio_pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t *val);
void virtio_pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t val);
#define VIRTIO_PCI_HOOKS                                                       \
	.priv_size = sizeof(struct virtio_dev *), .init = virtio_pci_init,     \
	.fini = virtio_pci_fini, .reset = virtio_pci_reset,                    \
	.states = virtio_pci_states,                                           \
	.cfg_read = virtio_pci_cfg_read, .cfg_write = virtio_pci_cfg_write,    \
	.bar_read = virtio_pci_bar_read, .bar_write = virtio_pci_bar_write

#endif
