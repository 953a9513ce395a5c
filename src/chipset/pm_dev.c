/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/vclock.h"
#include "chipset/pm.h"

#define PM_SCI_LINE 9

struct pm_dev {
	pthread_mutex_t lock;
	struct pm pm;
	struct bus_space *ports;
	pthread_mutex_t place_lock; /* taken alone */
	uint16_t place;		    /* the second one; 0: none */
	struct irq_source sci;
	struct vclock *vc;
	struct vtimer timer; /* the PM timer's interrupt */
	void (*poweroff)(void *arg);
	void *arg;
};

static void
pm_dev_lock(struct pm_dev *d)
{
	pthread_mutex_lock(&d->lock);
	pm_update(&d->pm, vclock_now(d->vc));
}

static void
pm_dev_unlock(struct pm_dev *d)
{
	irq_want(&d->sci, pm_sci(&d->pm));
	vtimer_arm(&d->timer, pm_next(&d->pm, vclock_now(d->vc)));
	pthread_mutex_unlock(&d->lock);
	irq_sync(&d->sci);
}

static void
pm_dev_fire(void *arg)
{
	struct pm_dev *d = arg;

	pm_dev_lock(d);
	pm_dev_unlock(d);
}

static void
pm_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pm_dev *d = arg;
	unsigned i;

	pm_dev_lock(d);
	*val = 0;
	for (i = 0; i < size; i++)
		*val |= (uint64_t)pm_read(&d->pm, (unsigned)off + i) << i * 8;
	pthread_mutex_unlock(&d->lock);
}

static void
pm_dev_put(struct pm_dev *d, uint64_t off, unsigned size, uint64_t val,
    bool (*put)(struct pm *pm, unsigned offset, uint8_t val))
{
	bool s5 = false;
	unsigned i;

	pm_dev_lock(d);
	for (i = 0; i < size; i++)
		s5 |= put(&d->pm, (unsigned)off + i, (uint8_t)(val >> i * 8));
	pm_dev_unlock(d);
	if (s5 && d->poweroff != NULL)
		d->poweroff(d->arg);
}

static void
pm_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	pm_dev_put(arg, off, size, val, pm_write);
}

static void
pm_dev_write_q35(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	pm_dev_put(arg, off, size, val, pm_write_q35);
}

static void
pm_gpe_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	pm_dev_read(arg, off + PM_GPE0_STATUS, size, val);
}

static void
pm_gpe_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	pm_dev_write(arg, off + PM_GPE0_STATUS, size, val);
}

/* The timer is read whole or in parts. */
static void
pm_timer_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pm_dev *d = arg;

	(void)size;
	*val = pm_timer(vclock_now(d->vc)) >> off * 8;
}

static void
pm_smi_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pm_dev *d = arg;

	(void)off;
	(void)size;
	pm_dev_lock(d);
	pm_smi_command(&d->pm, (uint8_t)val);
	pm_dev_unlock(d);
}

static const struct bus_ops pm1_ops = {
    1 | 2 | 4, false, pm_dev_read, pm_dev_write};
static const struct bus_ops pm1_q35_ops = {
    1 | 2 | 4, false, pm_dev_read, pm_dev_write_q35};
static const struct bus_ops pm_timer_ops = {
    1 | 2 | 4, false, pm_timer_read, NULL};
static const struct bus_ops pm_gpe_ops = {
    1 | 2, false, pm_gpe_read, pm_gpe_write};
static const struct bus_ops pm_smi_ops = {1, false, NULL, pm_smi_write};

int
pm_dev_create(struct pm_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, struct vclock *vc, void (*poweroff)(void *arg),
    void *arg)
{
	struct pm_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->place_lock, NULL);
	d->ports = ports;
	d->vc = vc;
	d->poweroff = poweroff;
	d->arg = arg;
	irq_source_init(&d->sci, irqs, PM_SCI_LINE);
	vtimer_init(&d->timer, vc, pm_dev_fire, d);
	pm_reset(&d->pm);
	error = bus_add(ports, "pm1", PM_BASE, 6, &pm1_ops, d);
	if (error == 0)
		error = bus_add(
		    ports, "pm timer", PM_BASE + PM_TIMER, 4, &pm_timer_ops, d);
	if (error == 0)
		error = bus_add(
		    ports, "gpe0", PM_BASE + PM_GPE0_STATUS, 2, &pm_gpe_ops, d);
	if (error == 0)
		error = bus_add(
		    ports, "smi command", PM_SMI_CMD, 1, &pm_smi_ops, d);
	if (error != 0) {
		pm_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
pm_dev_destroy(struct pm_dev *d)
{
	if (d == NULL)
		return;
	vtimer_cancel(&d->timer);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->place_lock);
	free(d);
}

void
pm_dev_reset(struct pm_dev *d)
{
	pm_dev_lock(d);
	pm_reset(&d->pm);
	pm_dev_unlock(d);
}

void
pm_dev_place(struct pm_dev *d, uint16_t base)
{
	pthread_mutex_lock(&d->place_lock);
	if (base != d->place) {
		if (d->place != 0) {
			bus_remove(d->ports, d->place);
			bus_remove(d->ports, d->place + PM_TIMER);
		}
		d->place = 0;
		if (base != 0 && bus_add(d->ports, "pm1", base, 6, &pm1_q35_ops,
				     d) == 0) {
			if (bus_add(d->ports, "pm timer", base + PM_TIMER, 4,
				&pm_timer_ops, d) == 0)
				d->place = base;
			else
				bus_remove(d->ports, base);
		}
	}
	pthread_mutex_unlock(&d->place_lock);
}

bool
pm_dev_power_button(struct pm_dev *d)
{
	bool heard;

	pm_dev_lock(d);
	heard = pm_power_button(&d->pm);
	pm_dev_unlock(d);
	return (heard);
}

void
pm_dev_gpe(struct pm_dev *d, unsigned gpe)
{
	pm_dev_lock(d);
	pm_gpe(&d->pm, gpe);
	pm_dev_unlock(d);
}

void
pm_dev_rtc(struct pm_dev *d)
{
	pm_dev_lock(d);
	pm_rtc(&d->pm);
	pm_dev_unlock(d);
}

void
pm_dev_dump(struct pm_dev *d, FILE *out)
{
	pm_dev_lock(d);
	state_dump(out, &pm_state, &d->pm);
	pthread_mutex_unlock(&d->lock);
}
