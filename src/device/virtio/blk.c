/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block device (VIRTIO 5.2). A thread of its own takes requests from all
 * queues, gives them to the backend and puts them back, so that a vcpu is
 * never held up by a disk; only that thread touches struct vblk, but for
 * `writeback`.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/iothread.h"
#include "base/mevent.h"
#include "device/virtio/blk.h"

#define SECTOR 512u

/* One of them is free: blk_pump() has looked. */
static struct vblk_req *
req_get(struct vblk *b)
{
	struct vblk_req *r = b->free;

	b->free = r->next;
	return (r);
}

/* Puts the request back; the guest learns of it with the batch. */
static void
req_end(struct vblk_req *r, unsigned status)
{
	struct vblk *b = r->blk;
	struct virtq_chain *c = r->chain;

	*r->status = (uint8_t)status;
	b->dirty |= 1ull << virtq_index(c->q);
	r->next = b->free;
	b->free = r;
	virtq_push(c, r->written);
}

/* A backend's error, as the guest sees it. */
static unsigned
status_of(int error)
{
	if (error == 0)
		return (VIRTIO_BLK_S_OK);
	return (
	    error == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
}

static void req_range(struct vblk_req *r);

static void
req_done(struct block_req *req, int error)
{
	struct vblk_req *r = (struct vblk_req *)req;

	if (error == 0 && r->range < r->nranges)
		req_range(r);
	else
		req_end(r, status_of(error));
}

/* The backend checks it against the disk's size once more, in bytes; here a
 * sector's number must not wrap. */
static bool
in_disk(const struct vblk *b, uint64_t sector, uint64_t sectors)
{
	uint64_t size = block_info(b->disk)->size / SECTOR;

	return (sector <= size && sectors <= size - sector);
}

static bool
writethrough(const struct vblk *b)
{
	return (!b->has_flush || !atomic_load(&b->writeback));
}

/* The next range of a discard or of zeroes, which were all checked. */
static void
req_range(struct vblk_req *r)
{
	const struct virtio_blk_range *d = &r->ranges[r->range++];

	r->io.off = d->sector * SECTOR;
	r->io.len = (uint64_t)d->sectors * SECTOR;
	r->io.unmap = (d->flags & VIRTIO_BLK_RANGE_UNMAP) != 0;
	block_submit(r->blk->disk, &r->io);
}

static void
req_ranges(struct vblk_req *r, bool zeroes)
{
	struct vblk *b = r->blk;
	struct virtio_blk_range *d = r->ranges;
	uint64_t len = r->chain->rd_len;
	uint32_t known = zeroes ? VIRTIO_BLK_RANGE_UNMAP : 0;
	unsigned i, n = (unsigned)(len / sizeof(*d));

	if (len == 0 || len % sizeof(*d) != 0 || n > VBLK_RANGES ||
	    !virtq_read(r->chain, d, len)) {
		req_end(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	for (i = 0; i < n; i++) {
		/* VIRTIO 5.2.6.2: flags that are not known. */
		if ((d[i].flags & ~known) != 0) {
			req_end(r, VIRTIO_BLK_S_UNSUPP);
			return;
		}
		if (!in_disk(b, d[i].sector, d[i].sectors) ||
		    d[i].sectors > VBLK_RANGE_SECTORS) {
			req_end(r, VIRTIO_BLK_S_IOERR);
			return;
		}
	}
	r->nranges = n;
	r->io.op = zeroes ? BLOCK_ZEROES : BLOCK_DISCARD;
	r->io.fua = zeroes && writethrough(b);
	req_range(r);
}

/* VIRTIO 5.2.6: 20 bytes, with zeroes behind a shorter name. */
static void
req_id(struct vblk_req *r)
{
	struct virtq_chain *c = r->chain;
	size_t len = c->wr_len < VIRTIO_BLK_ID_BYTES ? (size_t)c->wr_len
						     : VIRTIO_BLK_ID_BYTES;

	req_end(r, virtq_write(c, r->blk->serial, len) ? VIRTIO_BLK_S_OK
						       : VIRTIO_BLK_S_IOERR);
}

static void
req_rw(struct vblk_req *r, bool write, uint64_t sector)
{
	struct virtq_chain *c = r->chain;
	uint64_t len = write ? c->rd_len : c->wr_len;

	if (len % SECTOR != 0 || len > BLOCK_LEN_MAX ||
	    !in_disk(r->blk, sector, len / SECTOR)) {
		req_end(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->io.op = write ? BLOCK_WRITE : BLOCK_READ;
	r->io.fua = write && writethrough(r->blk);
	r->io.off = sector * SECTOR;
	r->io.len = len;
	r->io.iov = write ? c->rd : c->wr;
	r->io.niov = write ? c->nrd : c->nwr;
	block_submit(r->blk->disk, &r->io);
}

static void
req_begin(struct vblk_req *r)
{
	struct virtio_blk_hdr h;

	if (!virtq_read(r->chain, &h, sizeof(h))) {
		req_end(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (h.type & ~VIRTIO_BLK_T_BARRIER) {
	case VIRTIO_BLK_T_IN:
		req_rw(r, false, h.sector);
		break;
	case VIRTIO_BLK_T_OUT:
		req_rw(r, true, h.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_FLUSH_OUT:
		r->io.op = BLOCK_FLUSH;
		block_submit(r->blk->disk, &r->io);
		break;
	case VIRTIO_BLK_T_GET_ID:
		req_id(r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		req_ranges(r, false);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		req_ranges(r, true);
		break;
	default:
		req_end(r, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

/* Takes one chain as a request. */
static void
blk_take(struct vblk *b, unsigned n, struct virtq_chain *c)
{
	uint64_t written = c->wr_len;
	struct vblk_req *r;
	uint8_t *status;

	status = virtq_take_last(c);
	if (status == NULL) {
		virtio_broken(b->vd, "queue %u: a request without a status", n);
		virtq_push(c, 0);
		return;
	}
	b->g[n].taken++;
	r = req_get(b);
	memset(&r->io, 0, sizeof(r->io));
	r->io.done = req_done;
	r->chain = c;
	r->status = status;
	r->written = written > UINT32_MAX ? UINT32_MAX : (uint32_t)written;
	r->range = r->nranges = 0;
	req_begin(r);
}

/* Is it time to gather this queue's requests? They begin with this one. */
static bool
blk_gathers(struct vblk *b, unsigned n)
{
	struct vblk_gather *g = &b->g[n];

	if (g->deep == 0 && g->probe++ < g->every)
		return (false);
	g->taken = g->rounds = g->probe = 0;
	return (true);
}

/* Takes what is in a queue, as far as there are requests free. */
static void
blk_pump(struct vblk *b, unsigned n)
{
	struct virtq *q = virtio_queue(b->vd, n);
	uint64_t bit = 1ull << n;
	struct virtq_chain *c;

	do {
		virtq_notify_off(q);
		while (b->free != NULL && (c = virtq_pop(q)) != NULL) {
			if ((b->gather & bit) == 0 && blk_gathers(b, n))
				b->gather |= bit;
			blk_take(b, n, c);
		}
		if (b->free == NULL) {
			/* Without notifications until some are back. */
			b->starved |= bit;
			return;
		}
		/* So too while they are gathered. */
	} while ((b->gather & bit) == 0 && virtq_notify_on(q));
}

/* Shows the guest what has ended in these queues. */
static void
blk_flush(struct vblk *b, uint64_t which)
{
	uint64_t dirty = b->dirty & which;
	unsigned n;

	b->dirty &= ~dirty;
	for (n = 0; dirty != 0; n++, dirty >>= 1)
		if ((dirty & 1) != 0)
			virtq_flush(virtio_queue(b->vd, n));
}

static void
blk_work(struct vblk *b)
{
	const struct itimerspec t = {.it_value.tv_nsec = VBLK_GATHER_NS};
	uint64_t todo;
	unsigned n;

	if (b->working)
		return;
	b->working = true;
	do {
		todo = b->pending;
		b->pending = 0;
		for (n = 0; todo != 0; n++, todo >>= 1)
			if ((todo & 1) != 0)
				blk_pump(b, n);
		block_kick(b->disk);
		blk_flush(b, ~b->gather);
	} while (b->pending != 0);
	if (b->gather != 0 && !b->ticking &&
	    timerfd_settime(b->timer_fd, 0, &t, NULL) == 0)
		b->ticking = true;
	b->working = false;
}

/* The backend has called req_done() for some. */
static void
blk_batch(void *arg)
{
	struct vblk *b = arg;

	if (b->starved != 0) {
		b->pending |= b->starved;
		b->starved = 0;
		blk_work(b);
	}
	blk_flush(b, ~b->gather);
}

/* Does the queue's gathering go on? `had` is what it had before this tick. */
static bool
blk_gather_on(struct vblk *b, unsigned n, unsigned had)
{
	struct vblk_gather *g = &b->g[n];

	if (g->taken == had) {
		/* That was all that the guest had to say. */
		g->depth = g->taken;
		return (false);
	}
	if (++g->rounds >= VBLK_GATHER_ROUNDS)
		return (false);
	/* As many as the last time; now and then, see whether more come. */
	return (g->depth == 0 || g->taken < g->depth || ++g->full % 16 == 0);
}

/*
 * A guest that keeps several requests under way spends most of its time on
 * notifications and interrupts if each request has its own: the disk is done
 * with one before the guest has the next one ready. Such a guest's queue is
 * looked at in intervals, without notifications, and it is shown what has
 * ended when no new request has come in one of them.
 *
 * A guest that waits for each request loses that interval. Neither can be
 * known but by trying, with one request in many; in fewer and fewer as long as
 * that shows nothing.
 */
static void
blk_tick(void *arg, unsigned ready)
{
	struct vblk *b = arg;
	struct vblk_gather *g;
	uint64_t count, bit, ended = 0;
	unsigned n, had;

	(void)ready;
	(void)!read(b->timer_fd, &count, sizeof(count));
	b->ticking = false;
	for (n = 0; n < VBLK_QUEUES; n++) {
		bit = 1ull << n;
		if ((b->gather & bit) == 0)
			continue;
		g = &b->g[n];
		had = g->taken;
		blk_pump(b, n);
		if (blk_gather_on(b, n, had))
			continue;
		if (g->taken >= VBLK_GATHER_SEVERAL) {
			/* A host that is busy may pause such a guest. */
			if (g->deep < VBLK_GATHER_DEEP_MAX)
				g->deep++;
			g->every = VBLK_GATHER_EVERY_MIN;
		} else if (g->deep > 0) {
			g->deep--;
		} else if (g->every < VBLK_GATHER_EVERY_MAX) {
			g->every *= 2;
		}
		b->gather &= ~bit;
		ended |= bit;
	}
	block_kick(b->disk);
	blk_flush(b, ended);
	/* With notifications again. */
	b->pending |= ended;
	blk_work(b);
}

static void
blk_gather_reset(struct vblk *b)
{
	unsigned n;

	memset(b->g, 0, sizeof(b->g));
	for (n = 0; n < VBLK_QUEUES; n++)
		b->g[n].every = VBLK_GATHER_EVERY_MIN;
	b->gather = 0;
}

static void
blk_notify(struct virtio_dev *vd, unsigned n)
{
	struct vblk *b = virtio_priv(vd);

	b->pending |= 1ull << n;
	blk_work(b);
}

static void
blk_stop(struct virtio_dev *vd, unsigned n)
{
	struct vblk *b = virtio_priv(vd);

	(void)n;
	block_cancel(b->disk);
	blk_flush(b, ~0ull);
}

static void
blk_start(struct virtio_dev *vd)
{
	struct vblk *b = virtio_priv(vd);

	b->has_flush = virtio_has(vd, VIRTIO_BLK_F_FLUSH);
}

static void
blk_reset(struct virtio_dev *vd)
{
	struct vblk *b = virtio_priv(vd);
	const uint8_t on = 1;

	b->pending = b->starved = b->dirty = 0;
	blk_gather_reset(b);
	b->has_flush = 0;
	atomic_store(&b->writeback, on);
	virtio_config_set(vd, VIRTIO_BLK_C_WRITEBACK, &on, 1);
}

static void
blk_config_write(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	struct vblk *b = virtio_priv(vd);
	uint8_t on;

	if (off > VIRTIO_BLK_C_WRITEBACK || off + len <= VIRTIO_BLK_C_WRITEBACK)
		return;
	on = ((const uint8_t *)bytes)[VIRTIO_BLK_C_WRITEBACK - off] & 1;
	atomic_store(&b->writeback, on);
	virtio_config_set(vd, VIRTIO_BLK_C_WRITEBACK, &on, 1);
}

static void
blk_set_capacity(struct vblk *b)
{
	uint64_t sectors = block_info(b->disk)->size / SECTOR;

	virtio_config_set(b->vd, 0, &sectors, sizeof(sectors));
}

static void
blk_resized(void *arg)
{
	struct vblk *b = arg;

	blk_set_capacity(b);
	virtio_config_changed(b->vd);
}

static unsigned
log2_of(uint32_t n)
{
	return (31u - (unsigned)__builtin_clz(n));
}

/* VIRTIO 5.2.4. */
static void
blk_config(struct vblk *b, unsigned queues)
{
	const struct block_info *info = block_info(b->disk);
	struct virtio_blk_config c = {
	    .seg_max = VBLK_SEGS,
	    .blk_size = info->logical,
	    .physical_block_exp =
		(uint8_t)log2_of(info->physical / info->logical),
	    .alignment_offset = (uint8_t)(info->offset / info->logical),
	    .min_io_size = (uint16_t)(info->physical / info->logical),
	    .writeback = 1,
	    .num_queues = (uint16_t)queues,
	    .max_discard_sectors = VBLK_RANGE_SECTORS,
	    .max_discard_seg = VBLK_RANGES,
	    .discard_sector_alignment = info->discard_granularity / SECTOR,
	    .max_write_zeroes_sectors = VBLK_RANGE_SECTORS,
	    .max_write_zeroes_seg = VBLK_RANGES,
	    .write_zeroes_may_unmap = 1,
	};

	virtio_config_set(b->vd, 0, &c, sizeof(c));
	blk_set_capacity(b);
	if (info->readonly) {
		virtio_offer(b->vd, VIRTIO_BLK_F_RO);
		return;
	}
	virtio_offer(b->vd, VIRTIO_BLK_F_WRITE_ZEROES);
	if (info->discard)
		virtio_offer(b->vd, VIRTIO_BLK_F_DISCARD);
}

struct blk_open {
	struct vblk *b;
	struct block_config cfg;
	struct block_error err;
	int error;
};

/* In the device's thread, to which the disk belongs. */
static void
open_disk(void *arg)
{
	struct blk_open *o = arg;

	struct vblk *b = o->b;

	b->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	o->error = b->timer_fd < 0
		       ? -errno
		       : mevent_add(o->cfg.loop, b->timer_fd, MEVENT_READ,
			     blk_tick, b, &b->timer_ev);
	if (o->error == 0)
		o->error = block_open(&b->disk, &o->cfg, &o->err);
}

static void
close_disk(void *arg)
{
	struct vblk *b = arg;

	block_close(b->disk);
	b->disk = NULL;
	mevent_remove(b->timer_ev);
	if (b->timer_fd >= 0)
		(void)close(b->timer_fd);
}

static int
blk_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	struct vblk *b = virtio_priv(vd);
	struct blk_open o = {.b = b};
	unsigned i, queues;
	char name[16];
	int error;

	b->vd = vd;
	b->timer_fd = -1;
	blk_gather_reset(b);
	atomic_store(&b->writeback, 1);
	for (i = VBLK_REQS; i-- > 0;) {
		b->reqs[i].blk = b;
		b->reqs[i].next = b->free;
		b->free = &b->reqs[i];
	}
	error = vblk_options(b, conf, &o.cfg, &queues);
	if (error != 0)
		return (error);
	(void)snprintf(name, sizeof(name), "blk %.11s", conf->node + 4);
	error = iothread_create(&b->thread, name);
	if (error != 0)
		return (device_fail(
		    conf, "no thread for it: %s", strerror(-error)));
	o.cfg.loop = iothread_loop(b->thread);
	o.cfg.batch = blk_batch;
	o.cfg.resized = blk_resized;
	o.cfg.arg = b;
	error = iothread_call(b->thread, open_disk, &o);
	if (error == 0)
		error = o.error;
	if (error != 0)
		return (device_fail(conf, "%s",
		    o.err.text[0] != '\0' ? o.err.text : strerror(-error)));
	virtio_set_loop(vd, iothread_loop(b->thread));
	virtio_set_queues(vd, queues);
	blk_config(b, queues);
	return (0);
}

static void
blk_fini(struct virtio_dev *vd)
{
	struct vblk *b = virtio_priv(vd);

	if (b->thread != NULL)
		(void)iothread_call(b->thread, close_disk, b);
	iothread_destroy(b->thread);
	b->thread = NULL;
}

static const struct state_field blk_fields[] = {
    STATE_FIELD(struct vblk, writeback, 1),
    STATE_FIELD(struct vblk, has_flush, 1),
    STATE_END,
};
static const struct state_table blk_state = {"virtio-blk", 1, blk_fields};

static const struct virtio_ops blk_ops = {
    .id = VIRTIO_ID_BLOCK,
    .class = 0x01, /* mass storage, SCSI: as with bhyve */
    .queues = VBLK_QUEUES,
    .size = VBLK_QUEUE_SIZE,
    .max_segs = VBLK_SEGS + 2,
    .config_size = sizeof(struct virtio_blk_config),
    .features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE |
		VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_TOPOLOGY |
		VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_MQ,
    .priv_size = sizeof(struct vblk),
    .state = &blk_state,
    .init = blk_init,
    .fini = blk_fini,
    .start = blk_start,
    .notify = blk_notify,
    .stop = blk_stop,
    .reset = blk_reset,
    .config_write = blk_config_write,
};

VIRTIO_DEVICE(virtio_blk, "virtio-blk", "disk: a file, a device, nbd:...",
    blk_ops, .opts = vblk_opts, .needs_conf = true, .man = "See\n.Sx DISKS .");
