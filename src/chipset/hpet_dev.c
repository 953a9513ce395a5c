/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/vclock.h"
#include "chipset/hpet.h"

#define HPET_SIZE 0x400u

struct hpet_dev {
	pthread_mutex_t lock;
	struct hpet hpet;
	bool was_legacy;
	struct irq_source irq[HPET_TIMERS]; /* level-triggered ones */
	struct irq_lines *irqs;
	struct msi_sink msi;
	struct vclock *vc;
	struct vtimer timer;
	atomic_uint waiting; /* hpet_waiting() */
	void (*legacy)(void *arg, bool on);
	bool (*heard)(void *arg, unsigned line);
	void *arg;
};

/* Collects what has to happen outside, unlocks, and does it. `fired` are
 * timers with an edge to send. */
static void
hpet_dev_unlock(struct hpet_dev *d, uint32_t fired)
{
	uint64_t fsb[HPET_TIMERS];
	int line[HPET_TIMERS];
	uint32_t msi = 0, waiting = hpet_waiting(&d->hpet);
	bool legacy = hpet_legacy(&d->hpet), switched;
	unsigned t;

	for (t = 0; t < HPET_TIMERS; t++) {
		line[t] = hpet_line(&d->hpet, t);
		fsb[t] = d->hpet.fsb[t];
		if (hpet_fsb(&d->hpet, t))
			msi |= 1u << t;
		irq_want(&d->irq[t], hpet_level(&d->hpet, t));
	}
	switched = legacy != d->was_legacy;
	d->was_legacy = legacy;
	atomic_store(&d->waiting, waiting);
	vtimer_arm(&d->timer, hpet_next(&d->hpet));
	pthread_mutex_unlock(&d->lock);

	if (switched && d->legacy != NULL)
		d->legacy(d->arg, legacy);
	for (t = 0; t < HPET_TIMERS; t++) {
		/* -1 is a line that does not exist. */
		irq_source_move(&d->irq[t], (unsigned)line[t]);
		if (!(fired >> t & 1))
			continue;
		if (msi >> t & 1) { /* address in the high half */
			if (waiting >> t & 1)
				msi_want_eoi(
				    &d->msi, fsb[t] >> 32, (uint32_t)fsb[t]);
			msi_send(&d->msi, fsb[t] >> 32, (uint32_t)fsb[t]);
		} else
			irq_pulse(d->irqs, (unsigned)line[t]);
	}
}

static uint32_t
hpet_dev_expire(struct hpet_dev *d, uint64_t now)
{
	uint32_t heard = 0;
	unsigned t;
	int line;

	for (t = 0; t < HPET_TIMERS; t++) {
		line = hpet_line(&d->hpet, t);
		if (hpet_fsb(&d->hpet, t) ||
		    (line >= 0 && d->heard(d->arg, (unsigned)line)))
			heard |= 1u << t;
	}
	return (hpet_expire(&d->hpet, heard, now));
}

static void
hpet_dev_fire(void *arg)
{
	struct hpet_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	hpet_dev_unlock(d, hpet_dev_expire(d, vclock_now(d->vc)));
}

void
hpet_dev_ack(struct hpet_dev *d, uint32_t lines, int vector)
{
	uint32_t timers = 0, fired;
	uint64_t now;
	unsigned t;
	int line;

	if (atomic_load(&d->waiting) == 0)
		return;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	for (t = 0; t < HPET_TIMERS; t++) {
		/* Of a level-triggered one the status bit tells. */
		if (hpet_level(&d->hpet, t))
			continue;
		line = hpet_line(&d->hpet, t);
		if (hpet_fsb(&d->hpet, t)
			? vector == (int)(d->hpet.fsb[t] & 0xff)
			: line >= 0 && (lines >> line & 1))
			timers |= 1u << t;
	}
	fired = hpet_ack(&d->hpet, timers & hpet_waiting(&d->hpet), now);
	/* And what has come due: the event loop may be late itself. */
	hpet_dev_unlock(d, fired | hpet_dev_expire(d, now));
}

static void
hpet_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct hpet_dev *d = arg;
	uint32_t reg = (uint32_t)off;
	uint64_t now;

	*val = 0;
	if (off % size != 0)
		return;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	*val = hpet_read(&d->hpet, reg, now);
	if (size == 8)
		*val |= (uint64_t)hpet_read(&d->hpet, reg + 4, now) << 32;
	pthread_mutex_unlock(&d->lock);
}

static void
hpet_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct hpet_dev *d = arg;
	uint32_t fired, reg = (uint32_t)off;
	uint64_t now;

	if (off % size != 0)
		return;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	fired = hpet_dev_expire(d, now);
	hpet_write(&d->hpet, reg, (uint32_t)val, now);
	if (size == 8)
		hpet_write(&d->hpet, reg + 4, (uint32_t)(val >> 32), now);
	/* A match with the comparator just written is one too. */
	fired |= hpet_dev_expire(d, now);
	hpet_dev_unlock(d, fired);
}

static const struct bus_ops hpet_ops = {
    4 | 8, false, hpet_dev_read, hpet_dev_write};

int
hpet_dev_create(struct hpet_dev **out, struct bus_space *mmio, uint64_t base,
    struct irq_lines *irqs, const struct msi_sink *msi, struct vclock *vc,
    void (*legacy)(void *arg, bool on),
    bool (*heard)(void *arg, unsigned line), void *arg)
{
	struct hpet_dev *d;
	unsigned t;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->irqs = irqs;
	d->msi = *msi;
	d->vc = vc;
	d->legacy = legacy;
	d->heard = heard;
	d->arg = arg;
	for (t = 0; t < HPET_TIMERS; t++)
		irq_source_init(&d->irq[t], irqs, IRQ_LINES);
	vtimer_init(&d->timer, vc, hpet_dev_fire, d);
	hpet_reset(&d->hpet, vclock_now(vc));
	error = bus_add(mmio, "hpet", base, HPET_SIZE, &hpet_ops, d);
	if (error != 0) {
		hpet_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
hpet_dev_destroy(struct hpet_dev *d)
{
	if (d == NULL)
		return;
	vtimer_cancel(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
hpet_dev_reset(struct hpet_dev *d)
{
	pthread_mutex_lock(&d->lock);
	hpet_reset(&d->hpet, vclock_now(d->vc));
	hpet_dev_unlock(d, 0);
}

void
hpet_dev_dump(struct hpet_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &hpet_state, &d->hpet);
	pthread_mutex_unlock(&d->lock);
}
