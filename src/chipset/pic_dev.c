/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "chipset/pic.h"

struct pic_dev {
	pthread_mutex_t lock;
	struct pic pic;
	uint16_t isa, pirqs; /* what pulls each pin up */
	uint16_t boot_elcr;
	_Atomic uint16_t open; /* pic_open() */
	/* Keeps the calls of intr in the order of the levels; taken before
	 * `lock`, held around the call. */
	pthread_mutex_t out_lock;
	bool out;
	struct bus_space *ports;
	void (*intr)(void *arg, bool level);
	void *arg;
};

/* Brings the listener to the current level of INT. No lock held. */
static void
pic_dev_sync(struct pic_dev *d)
{
	bool level;

	pthread_mutex_lock(&d->out_lock);
	pthread_mutex_lock(&d->lock);
	level = pic_output(&d->pic);
	atomic_store(&d->open, pic_open(&d->pic));
	pthread_mutex_unlock(&d->lock);
	if (level != d->out) {
		d->out = level;
		trace(TRACE_intr, "pic INT %d", level);
		if (d->intr != NULL)
			d->intr(d->arg, level);
	}
	pthread_mutex_unlock(&d->out_lock);
}

static void
pic_port_read(struct pic_dev *d, unsigned chip, uint64_t off, uint64_t *val)
{
	pthread_mutex_lock(&d->lock);
	*val = pic_read(&d->pic, chip, off & 1);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d); /* a poll acknowledges */
}

static void
pic_port_write(struct pic_dev *d, unsigned chip, uint64_t off, uint64_t val)
{
	pthread_mutex_lock(&d->lock);
	pic_write(&d->pic, chip, off & 1, (uint8_t)val);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

static void
pic_master_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	(void)size;
	pic_port_read(arg, 0, off, val);
}

static void
pic_master_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	pic_port_write(arg, 0, off, val);
}

static void
pic_slave_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	(void)size;
	pic_port_read(arg, 1, off, val);
}

static void
pic_slave_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	pic_port_write(arg, 1, off, val);
}

static void
pic_elcr_port_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pic_dev *d = arg;

	(void)size;
	pthread_mutex_lock(&d->lock);
	*val = pic_elcr_read(&d->pic, off & 1);
	pthread_mutex_unlock(&d->lock);
}

static void
pic_elcr_port_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pic_dev *d = arg;

	(void)size;
	pthread_mutex_lock(&d->lock);
	pic_elcr_write(&d->pic, off & 1, (uint8_t)val);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

static const struct bus_ops pic_master_ops = {
    1, false, pic_master_read, pic_master_write};
static const struct bus_ops pic_slave_ops = {
    1, false, pic_slave_read, pic_slave_write};
static const struct bus_ops pic_elcr_ops = {
    1, false, pic_elcr_port_read, pic_elcr_port_write};

int
pic_dev_create(struct pic_dev **out, struct bus_space *ports,
    void (*intr)(void *arg, bool level), void *arg)
{
	struct pic_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->out_lock, NULL);
	d->ports = ports;
	d->intr = intr;
	d->arg = arg;
	pic_reset(&d->pic);
	error = bus_add(ports, "pic master", 0x20, 2, &pic_master_ops, d);
	if (error == 0)
		error = bus_add(ports, "pic slave", 0xa0, 2, &pic_slave_ops, d);
	if (error == 0)
		error = bus_add(ports, "elcr", 0x4d0, 2, &pic_elcr_ops, d);
	if (error != 0) {
		pic_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
pic_dev_destroy(struct pic_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->out_lock);
	free(d);
}

/* Lock held. */
static void
pic_dev_boot_elcr(struct pic_dev *d)
{
	pic_elcr_write(&d->pic, 0, (uint8_t)d->boot_elcr);
	pic_elcr_write(&d->pic, 1, (uint8_t)(d->boot_elcr >> 8));
}

void
pic_dev_reset(struct pic_dev *d)
{
	pthread_mutex_lock(&d->lock);
	pic_reset(&d->pic);
	pic_dev_boot_elcr(d);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

void
pic_dev_level(struct pic_dev *d, unsigned irq)
{
	pthread_mutex_lock(&d->lock);
	d->boot_elcr |= (uint16_t)(1u << (irq & 15));
	pic_elcr_write(&d->pic, irq >> 3 & 1,
	    (uint8_t)(pic_elcr_read(&d->pic, irq >> 3 & 1) | 1u << (irq & 7)));
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

void
pic_dev_set_pin(void *arg, unsigned irq, bool level)
{
	struct pic_dev *d = arg;
	uint16_t bit = (uint16_t)(1u << (irq & 15));

	pthread_mutex_lock(&d->lock);
	d->isa = (uint16_t)(level ? d->isa | bit : d->isa & ~bit);
	pic_set_pin(&d->pic, irq, ((d->isa | d->pirqs) & bit) != 0);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

void
pic_dev_set_pirqs(struct pic_dev *d, uint16_t irqs)
{
	unsigned irq;

	pthread_mutex_lock(&d->lock);
	d->pirqs = irqs;
	for (irq = 0; irq < 16; irq++)
		pic_set_pin(
		    &d->pic, irq, ((d->isa | d->pirqs) >> irq & 1) != 0);
	pthread_mutex_unlock(&d->lock);
	pic_dev_sync(d);
}

int
pic_dev_ack(struct pic_dev *d, unsigned *irq)
{
	int vector;

	pthread_mutex_lock(&d->lock);
	*irq = (unsigned)pic_next(&d->pic);
	vector = pic_ack(&d->pic);
	pthread_mutex_unlock(&d->lock);
	trace(TRACE_intr, "pic INTA %d", vector);
	pic_dev_sync(d);
	return (vector);
}

bool
pic_dev_hears(struct pic_dev *d, unsigned irq)
{
	return (irq < 16 && (atomic_load(&d->open) >> irq & 1));
}

void
pic_dev_dump(struct pic_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &pic_state, &d->pic);
	pthread_mutex_unlock(&d->lock);
}
