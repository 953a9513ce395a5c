/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory balloon (VIRTIO 5.5): memory that the guest does not need goes back
 * to the host, when it is asked for it (inflating) or by itself (reports of
 * free pages).
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/iothread.h"
#include "base/log.h"
#include "base/vclock.h"
#include "device/virtio/balloon.h"
#include "device/virtio/virtio.h"
#include "gmem/gmem.h"

#define F_STATS_VQ       (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_PAGE_POISON    (1ull << 4)
#define F_REPORTING      (1ull << 5)

enum { Q_INFLATE, Q_DEFLATE, Q_MORE, Q_MAX = 4 };

/* Configuration (VIRTIO 5.5.4). */
#define CONFIG_TARGET 0u
#define CONFIG_ACTUAL 4u
#define CONFIG_POISON 12u
#define CONFIG_BYTES  16u
#define STAT_SIZE     10u  /* le16 tag, le64 value */
#define PFNS          256u /* page numbers that are read at once */
#define STATS_MAX     1000u
#define NS            UINT64_C(1000000000)

struct balloon {
	struct virtio_dev *vd;
	struct gmem *gmem;
	struct iothread *thread;
	struct vtimer timer;
	struct vclock *vclock;
	uint64_t period;       /* of statistics, in ns; 0: none */
	bool wired;            /* memory stays the machine's */
	int stats_q, report_q; /* numbers; -1: the driver has none */

	pthread_mutex_t lock;     /* of what follows */
	struct virtq_chain *held; /* the statistics' buffer */
	uint32_t target, actual;  /* pages */
	uint32_t poison;
	uint64_t returned; /* bytes */
	uint64_t stats[BALLOON_NSTATS];
};

static const struct state_field balloon_fields[] = {
    STATE_FIELD(struct balloon, target, 1),
    STATE_FIELD(struct balloon, actual, 1),
    STATE_FIELD(struct balloon, poison, 1),
    STATE_FIELD(struct balloon, returned, 1),
    STATE_ARRAY(struct balloon, stats, 1),
    STATE_END,
};
static const struct state_table balloon_state = {
    "virtio-balloon", 1, balloon_fields};

/* A part of the guest's memory to the host; it reads zeroes from now on. What
 * is not memory stays as it is. */
static void
give_back(struct balloon *b, uint64_t gpa, uint64_t len)
{
	if (len == 0 || b->wired || gmem_discard(b->gmem, gpa, len) != 0)
		return;
	pthread_mutex_lock(&b->lock);
	b->returned += len;
	pthread_mutex_unlock(&b->lock);
}

/* Numbers of pages, each 32 bits; runs of neighbours go in one piece. */
static void
inflate(struct balloon *b, struct virtq_chain *c)
{
	uint64_t start = 0, end = 0;
	uint32_t pfn[PFNS];
	size_t n, i;

	while (c->rd_len >= sizeof(pfn[0])) {
		n = c->rd_len < sizeof(pfn) ? (size_t)c->rd_len / sizeof(pfn[0])
					    : PFNS;
		if (!virtq_read(c, pfn, n * sizeof(pfn[0])))
			return;
		for (i = 0; i < n; i++) {
			uint64_t gpa = (uint64_t)pfn[i] * BALLOON_PAGE;

			if (gpa == end) {
				end += BALLOON_PAGE;
			} else if (gpa + BALLOON_PAGE == start) {
				start = gpa;
			} else {
				give_back(b, start, end - start);
				start = gpa;
				end = gpa + BALLOON_PAGE;
			}
		}
	}
	give_back(b, start, end - start);
}

/* Free pages are the buffers themselves (VIRTIO 5.5.6.7). A guest that has
 * written a pattern into free pages wants to find it there. */
static void
report(struct balloon *b, const struct virtq_chain *c)
{
	const uint8_t *base = gmem_base(b->gmem);
	uint64_t gpa, end;
	bool keep;
	unsigned i;

	pthread_mutex_lock(&b->lock);
	keep = virtio_has(b->vd, F_PAGE_POISON) && b->poison != 0;
	pthread_mutex_unlock(&b->lock);
	for (i = 0; i < c->nwr && !keep; i++) {
		gpa = (uint64_t)((const uint8_t *)c->wr[i].iov_base - base);
		end = (gpa + c->wr[i].iov_len) & ~(BALLOON_PAGE - 1ull);
		gpa = (gpa + BALLOON_PAGE - 1) & ~(BALLOON_PAGE - 1ull);
		if (end > gpa)
			give_back(b, gpa, end - gpa);
	}
}

/* The guest's answer; its buffer is kept for the next question. */
static void
take_stats(struct balloon *b, struct virtq_chain *c)
{
	uint8_t stat[STAT_SIZE];
	struct virtq_chain *old;
	uint64_t val;
	uint16_t tag;

	pthread_mutex_lock(&b->lock);
	while (virtq_read(c, stat, sizeof(stat))) {
		memcpy(&tag, stat, sizeof(tag));
		memcpy(&val, stat + sizeof(tag), sizeof(val));
		if (tag < BALLOON_NSTATS)
			b->stats[tag] = val;
	}
	/* VIRTIO 5.5.6.3.1: there is one; a second gives the first back. */
	old = b->held;
	b->held = c;
	log_debug("%s: the guest has %" PRIu64 " KiB free of %" PRIu64,
	    virtio_name(b->vd), b->stats[BALLOON_MEMFREE] / 1024,
	    b->stats[BALLOON_MEMTOT] / 1024);
	pthread_mutex_unlock(&b->lock);
	if (old != NULL)
		virtq_done(old, 0);
}

static void
balloon_notify(struct virtio_dev *vd, unsigned n)
{
	struct virtq *q = virtio_queue(vd, n);
	struct balloon *b = virtio_priv(vd);
	struct virtq_chain *c;

	while ((c = virtq_pop(q)) != NULL) {
		if ((int)n == b->stats_q) {
			take_stats(b, c);
			continue;
		}
		if (n == Q_INFLATE)
			inflate(b, c);
		else if ((int)n == b->report_q)
			report(b, c);
		virtq_done(c, 0);
	}
}

/* Asks the guest for statistics: it gets its buffer back. */
static void
ask(struct balloon *b)
{
	struct virtq_chain *c;

	pthread_mutex_lock(&b->lock);
	c = b->held;
	b->held = NULL;
	pthread_mutex_unlock(&b->lock);
	if (c != NULL)
		virtq_done(c, 0);
}

static void
on_timer(void *arg)
{
	struct balloon *b = arg;

	ask(b);
	vtimer_arm(&b->timer, vclock_now(b->vclock) + b->period);
}

/* Queues that a driver does not want have no number (VIRTIO 5.5.2). */
static void
balloon_start(struct virtio_dev *vd)
{
	struct balloon *b = virtio_priv(vd);
	int next = Q_MORE;

	b->stats_q = virtio_has(vd, F_STATS_VQ) ? next++ : -1;
	b->report_q = virtio_has(vd, F_REPORTING) ? next++ : -1;
	if (b->period != 0 && b->stats_q >= 0)
		vtimer_arm(&b->timer, vclock_now(b->vclock) + b->period);
}

static void
balloon_stop(struct virtio_dev *vd, unsigned n)
{
	struct balloon *b = virtio_priv(vd);

	if ((int)n == b->stats_q)
		ask(b);
}

static void
balloon_reset(struct virtio_dev *vd)
{
	static const uint32_t zero;
	struct balloon *b = virtio_priv(vd);

	vtimer_arm(&b->timer, VCLOCK_NEVER);
	pthread_mutex_lock(&b->lock);
	b->actual = b->poison = 0;
	memset(b->stats, 0xff, sizeof(b->stats));
	pthread_mutex_unlock(&b->lock);
	virtio_config_set(vd, CONFIG_ACTUAL, &zero, sizeof(zero));
	virtio_config_set(vd, CONFIG_POISON, &zero, sizeof(zero));
}

static void
balloon_config_write(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	struct balloon *b = virtio_priv(vd);
	uint32_t val;

	if (len != sizeof(val) ||
	    (off != CONFIG_ACTUAL && off != CONFIG_POISON))
		return;
	memcpy(&val, bytes, sizeof(val));
	pthread_mutex_lock(&b->lock);
	if (off == CONFIG_ACTUAL)
		b->actual = val;
	else
		b->poison = val;
	pthread_mutex_unlock(&b->lock);
	virtio_config_set(vd, off, &val, sizeof(val));
}

void
balloon_set_target(struct virtio_dev *vd, uint64_t bytes)
{
	struct balloon *b = virtio_priv(vd);
	uint64_t all = gmem_lowmem(b->gmem) + gmem_highmem(b->gmem);
	uint32_t pages;

	if (bytes > all)
		bytes = all;
	pages = (uint32_t)(bytes / BALLOON_PAGE);
	pthread_mutex_lock(&b->lock);
	b->target = pages;
	pthread_mutex_unlock(&b->lock);
	virtio_config_set(vd, CONFIG_TARGET, &pages, sizeof(pages));
	virtio_config_changed(vd);
}

uint64_t
balloon_actual(struct virtio_dev *vd)
{
	struct balloon *b = virtio_priv(vd);
	uint64_t pages;

	pthread_mutex_lock(&b->lock);
	pages = b->actual;
	pthread_mutex_unlock(&b->lock);
	return (pages * BALLOON_PAGE);
}

uint64_t
balloon_returned(struct virtio_dev *vd)
{
	struct balloon *b = virtio_priv(vd);
	uint64_t bytes;

	pthread_mutex_lock(&b->lock);
	bytes = b->returned;
	pthread_mutex_unlock(&b->lock);
	return (bytes);
}

void
balloon_stats(struct virtio_dev *vd, uint64_t stats[BALLOON_NSTATS])
{
	struct balloon *b = virtio_priv(vd);

	pthread_mutex_lock(&b->lock);
	memcpy(stats, b->stats, sizeof(b->stats));
	pthread_mutex_unlock(&b->lock);
}

static int
balloon_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	const char *target = device_opt(conf, "target");
	struct balloon *b = virtio_priv(vd);
	uint64_t bytes = 0;
	int error;

	b->vd = vd;
	b->gmem = conf->gmem;
	b->vclock = conf->vclock;
	b->stats_q = b->report_q = -1;
	b->period = device_opt_uint(conf, "stats") * NS;
	b->wired = config_bool(conf->cfg, "memory.wired", false);
	memset(b->stats, 0xff, sizeof(b->stats));
	pthread_mutex_init(&b->lock, NULL);
	vtimer_init(&b->timer, conf->vclock, on_timer, b);
	if (target != NULL &&
	    (config_parse_size(target, &bytes) != 0 ||
		bytes >= gmem_lowmem(conf->gmem) + gmem_highmem(conf->gmem)))
		return (device_fail(conf,
		    "target=%.40s: not less than the machine's memory; use a "
		    "number with suffix K, M or G",
		    target));
	balloon_set_target(vd, bytes);
	if (device_opt_bool(conf, "deflate_on_oom"))
		virtio_offer(vd, F_DEFLATE_ON_OOM);
	if (b->period != 0)
		virtio_offer(vd, F_STATS_VQ);
	if (device_opt_bool(conf, "reporting"))
		virtio_offer(vd, F_REPORTING | F_PAGE_POISON);
	/* Giving pages back takes the host's time, and not a vcpu's. */
	error = iothread_create(&b->thread, "balloon");
	if (error == 0)
		virtio_set_loop(vd, iothread_loop(b->thread));
	return (error);
}

static void
balloon_fini(struct virtio_dev *vd)
{
	struct balloon *b = virtio_priv(vd);

	iothread_destroy(b->thread);
	vtimer_cancel(&b->timer);
	pthread_mutex_destroy(&b->lock);
}

static const struct config_var balloon_opts[] = {
    {.name = "target",
	.help = "memory that the guest is asked to give up at first"},
    {.name = "deflate_on_oom",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "the guest may take memory back before it runs out of it"},
    {.name = "reporting",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "memory that the guest frees goes back to the host"},
    {.name = "stats",
	.type = CONFIG_UINT,
	.max = STATS_MAX,
	.dflt = "0",
	.help =
	    "seconds between questions for the guest's statistics; 0: none"},
    VIRTIO_OPTS,
    {.name = NULL},
};

static const struct virtio_ops balloon_ops = {
    .id = VIRTIO_ID_BALLOON,
    .class = 0xff,
    .queues = Q_MAX,
    .size = 128,
    .config_size = CONFIG_BYTES,
    .in_order = true,
    .priv_size = sizeof(struct balloon),
    .state = &balloon_state,
    .init = balloon_init,
    .fini = balloon_fini,
    .start = balloon_start,
    .notify = balloon_notify,
    .stop = balloon_stop,
    .reset = balloon_reset,
    .config_write = balloon_config_write,
};

VIRTIO_DEVICE(virtio_balloon, "virtio-balloon",
    "takes memory from the guest for the host, and back", balloon_ops,
    .opts = balloon_opts, .single = true,
    .man = "Memory that the guest frees goes back to the host by itself, if "
	   "its driver reports free pages.");
