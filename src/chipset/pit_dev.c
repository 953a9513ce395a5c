/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/vclock.h"
#include "chipset/pit.h"

struct pit_dev {
	pthread_mutex_t lock;
	struct pit pit;
	struct vclock *vc;
	struct vtimer timer;
	void (*irq0)(void *arg);
	bool (*heard)(void *arg);
	void *arg;
};

/* Sets the timer for what channel 0 will do next, unlocks, and passes on an
 * edge. */
static void
pit_dev_unlock(struct pit_dev *d, bool edge)
{
	/* Under the lock, so that two writers cannot arm in the wrong order.
	 * vclock calls back with no lock held: no deadlock. */
	vtimer_arm(&d->timer, d->pit.edge);
	pthread_mutex_unlock(&d->lock);
	if (edge)
		d->irq0(d->arg);
}

static bool
pit_dev_tick(struct pit_dev *d, uint64_t now)
{
	return (pit_tick(&d->pit, d->heard(d->arg), now));
}

static void
pit_dev_fire(void *arg)
{
	struct pit_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	pit_dev_unlock(d, pit_dev_tick(d, vclock_now(d->vc)));
}

void
pit_dev_ack(struct pit_dev *d)
{
	uint64_t now;
	bool edge;

	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	edge = pit_ack(&d->pit, now);
	/* And what has come due: the event loop may be late itself. */
	edge |= pit_dev_tick(d, now);
	pit_dev_unlock(d, edge);
}

static void
pit_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pit_dev *d = arg;

	(void)size;
	pthread_mutex_lock(&d->lock);
	*val = pit_read(&d->pit, (unsigned)off & 3, vclock_now(d->vc));
	pthread_mutex_unlock(&d->lock);
}

static void
pit_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pit_dev *d = arg;
	uint64_t now;
	bool edge;

	(void)size;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	edge = pit_dev_tick(d, now);
	pit_write(&d->pit, (unsigned)off & 3, (uint8_t)val, now);
	pit_dev_unlock(d, edge);
}

static void
pit_dev_read61(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pit_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	*val = pit_port61_read(&d->pit, vclock_now(d->vc));
	pthread_mutex_unlock(&d->lock);
}

static void
pit_dev_write61(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pit_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	pit_port61_write(&d->pit, (uint8_t)val, vclock_now(d->vc));
	pthread_mutex_unlock(&d->lock);
}

static const struct bus_ops pit_ops = {1, false, pit_dev_read, pit_dev_write};
static const struct bus_ops pit_61_ops = {
    1, false, pit_dev_read61, pit_dev_write61};

int
pit_dev_create(struct pit_dev **out, struct bus_space *ports, struct vclock *vc,
    void (*irq0)(void *arg), bool (*heard)(void *arg), void *arg)
{
	struct pit_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->vc = vc;
	d->irq0 = irq0;
	d->heard = heard;
	d->arg = arg;
	vtimer_init(&d->timer, vc, pit_dev_fire, d);
	pit_reset(&d->pit, vclock_now(vc));
	error = bus_add(ports, "pit", 0x40, 4, &pit_ops, d);
	if (error == 0)
		error = bus_add(ports, "port 61", 0x61, 1, &pit_61_ops, d);
	if (error != 0) {
		pit_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
pit_dev_destroy(struct pit_dev *d)
{
	if (d == NULL)
		return;
	vtimer_cancel(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
pit_dev_reset(struct pit_dev *d)
{
	pthread_mutex_lock(&d->lock);
	pit_reset(&d->pit, vclock_now(d->vc));
	pit_dev_unlock(d, false);
}

void
pit_dev_dump(struct pit_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &pit_state, &d->pit);
	pthread_mutex_unlock(&d->lock);
}
