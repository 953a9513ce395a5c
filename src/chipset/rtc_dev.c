/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/vclock.h"
#include "chipset/rtc.h"

#define RTC_IRQ 8

struct rtc_dev {
	pthread_mutex_t lock;
	struct rtc rtc;
	bool mute;
	bool alarmed; /* rtc_alarm(), as was told */
	void (*alarm)(void *arg);
	void *arg;
	struct irq_source irq;
	struct vclock *vc;
	struct vtimer timer;
};

/* After every change: level, next event, unlock, then the line. */
static void
rtc_dev_unlock(struct rtc_dev *d, uint64_t now)
{
	bool level = rtc_update(&d->rtc, now), pending, tell;

	pending = rtc_alarm(&d->rtc);
	tell = pending && !d->alarmed;
	d->alarmed = pending;

	irq_want(&d->irq, level && !d->mute);
	vtimer_arm(&d->timer, rtc_next(&d->rtc, now));
	pthread_mutex_unlock(&d->lock);
	irq_sync(&d->irq);
	if (tell)
		d->alarm(d->arg);
}

static void
rtc_dev_fire(void *arg)
{
	struct rtc_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	rtc_dev_unlock(d, vclock_now(d->vc));
}

static void
rtc_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct rtc_dev *d = arg;
	uint64_t now;

	(void)size;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	*val = rtc_read(&d->rtc, off & 1, now);
	/* Another may follow at once: the line is low in between. */
	if ((off & 1) && rtc_clears(&d->rtc))
		irq_want(&d->irq, false);
	rtc_dev_unlock(d, now);
}

static void
rtc_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct rtc_dev *d = arg;
	uint64_t now;

	(void)size;
	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	rtc_write(&d->rtc, off & 1, (uint8_t)val, now);
	rtc_dev_unlock(d, now);
}

static const struct bus_ops rtc_ops = {1, false, rtc_dev_read, rtc_dev_write};

int
rtc_dev_create(struct rtc_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, struct vclock *vc, int64_t wall_time,
    uint64_t lowmem, uint64_t highmem, void (*alarm)(void *arg), void *arg)
{
	struct rtc_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->vc = vc;
	d->alarm = alarm;
	d->arg = arg;
	irq_source_init(&d->irq, irqs, RTC_IRQ);
	vtimer_init(&d->timer, vc, rtc_dev_fire, d);
	rtc_init(&d->rtc, wall_time, 0);
	rtc_set_memory(&d->rtc, lowmem, highmem);
	error = bus_add(ports, "rtc", 0x70, 2, &rtc_ops, d);
	if (error != 0) {
		rtc_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
rtc_dev_destroy(struct rtc_dev *d)
{
	if (d == NULL)
		return;
	vtimer_cancel(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
rtc_dev_reset(struct rtc_dev *d)
{
	uint64_t now;

	pthread_mutex_lock(&d->lock);
	now = vclock_now(d->vc);
	rtc_reset(&d->rtc, now);
	rtc_dev_unlock(d, now);
}

void
rtc_dev_mute(struct rtc_dev *d, bool mute)
{
	pthread_mutex_lock(&d->lock);
	d->mute = mute;
	rtc_dev_unlock(d, vclock_now(d->vc));
}

void
rtc_dev_dump(struct rtc_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &rtc_state, &d->rtc);
	pthread_mutex_unlock(&d->lock);
}
