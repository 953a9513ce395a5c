/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "chipset/pic.h"
#include "chipset/pirq.h"

/*
 * The lock is held while the PIC is told: that keeps the levels in order. A
 * line calls this, this calls the PIC, and never the other way round.
 */
struct pirq_dev {
	pthread_mutex_t lock;
	struct pirq pirq;
	struct pic_dev *pic;
};

static void
pirq_dev_unlock(struct pirq_dev *d)
{
	pic_dev_set_pirqs(d->pic, pirq_irqs(&d->pirq));
	pthread_mutex_unlock(&d->lock);
}

int
pirq_dev_create(struct pirq_dev **out, struct pic_dev *pic)
{
	struct pirq_dev *d;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->pic = pic;
	pirq_init(&d->pirq);
	*out = d;
	return (0);
}

void
pirq_dev_destroy(struct pirq_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
pirq_dev_reset(struct pirq_dev *d)
{
	pthread_mutex_lock(&d->lock);
	pirq_reset(&d->pirq);
	pirq_dev_unlock(d);
}

void
pirq_dev_reserve(struct pirq_dev *d, unsigned irq)
{
	pthread_mutex_lock(&d->lock);
	pirq_reserve(&d->pirq, irq);
	pthread_mutex_unlock(&d->lock);
}

uint8_t
pirq_dev_assign(struct pirq_dev *d, unsigned n)
{
	uint8_t irq;

	pthread_mutex_lock(&d->lock);
	irq = pirq_assign(&d->pirq, n);
	pirq_dev_unlock(d);
	if (irq != PIRQ_NONE)
		pic_dev_level(d->pic, irq);
	return (irq);
}

uint8_t
pirq_dev_read(struct pirq_dev *d, unsigned n)
{
	uint8_t val;

	pthread_mutex_lock(&d->lock);
	val = pirq_read(&d->pirq, n);
	pthread_mutex_unlock(&d->lock);
	return (val);
}

void
pirq_dev_write(struct pirq_dev *d, unsigned n, uint8_t val)
{
	trace(TRACE_intr, "PIRQ%c %02x", 'A' + (char)(n & 7), val);
	pthread_mutex_lock(&d->lock);
	pirq_write(&d->pirq, n, val);
	pirq_dev_unlock(d);
}

void
pirq_dev_set_line(void *arg, unsigned pin, bool level)
{
	struct pirq_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	pirq_set_line(&d->pirq, pin, level);
	pirq_dev_unlock(d);
}

void
pirq_dev_dump(struct pirq_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &pirq_state, &d->pirq);
	pthread_mutex_unlock(&d->lock);
}
