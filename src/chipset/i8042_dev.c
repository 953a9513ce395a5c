/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "chipset/i8042.h"

struct i8042_dev {
	pthread_mutex_t lock;
	struct i8042 k;
	struct irq_lines *irqs;
	void (*reset)(void *arg);
	void *arg;
	void (*a20)(void *arg);
	void *a20_arg;
	bool a20_was; /* as told last */
};

static void
i8042_dev_unlock(struct i8042_dev *d, unsigned events)
{
	bool moved = i8042_a20(&d->k) != d->a20_was;

	d->a20_was = i8042_a20(&d->k);
	pthread_mutex_unlock(&d->lock);
	if (moved && d->a20 != NULL)
		d->a20(d->a20_arg);
	if (events & I8042_IRQ_KBD)
		irq_pulse(d->irqs, 1);
	if (events & I8042_IRQ_AUX)
		irq_pulse(d->irqs, 12);
	if ((events & I8042_RESET) && d->reset != NULL)
		d->reset(d->arg);
}

static void
i8042_data_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct i8042_dev *d = arg;
	unsigned events;
	uint8_t byte;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	events = i8042_read_data(&d->k, &byte);
	i8042_dev_unlock(d, events);
	*val = byte;
}

static void
i8042_data_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	i8042_dev_unlock(d, i8042_write_data(&d->k, (uint8_t)val));
}

static void
i8042_status_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct i8042_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	*val = i8042_read_status(&d->k);
	pthread_mutex_unlock(&d->lock);
}

static void
i8042_command_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	i8042_dev_unlock(d, i8042_write_command(&d->k, (uint8_t)val));
}

static const struct bus_ops i8042_data_ops = {
    1, false, i8042_data_read, i8042_data_write};
static const struct bus_ops i8042_command_ops = {
    1, false, i8042_status_read, i8042_command_write};

int
i8042_dev_create(struct i8042_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, void (*reset)(void *arg), void *arg,
    void (*a20)(void *arg), void *a20_arg)
{
	struct i8042_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->irqs = irqs;
	d->reset = reset;
	d->arg = arg;
	d->a20 = a20;
	d->a20_arg = a20_arg;
	i8042_reset(&d->k);
	d->a20_was = i8042_a20(&d->k);
	error = bus_add(ports, "i8042 data", 0x60, 1, &i8042_data_ops, d);
	if (error == 0)
		error = bus_add(
		    ports, "i8042 command", 0x64, 1, &i8042_command_ops, d);
	if (error != 0) {
		i8042_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
i8042_dev_destroy(struct i8042_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
i8042_dev_reset(struct i8042_dev *d)
{
	pthread_mutex_lock(&d->lock);
	i8042_reset(&d->k);
	i8042_dev_unlock(d, 0);
}

bool
i8042_dev_a20(struct i8042_dev *d)
{
	bool open;

	pthread_mutex_lock(&d->lock);
	open = i8042_a20(&d->k);
	pthread_mutex_unlock(&d->lock);
	return (open);
}

void
i8042_dev_key(struct i8042_dev *d, const uint8_t *codes, unsigned n)
{
	pthread_mutex_lock(&d->lock);
	i8042_dev_unlock(d, i8042_key(&d->k, codes, n));
}

void
i8042_dev_mouse(struct i8042_dev *d, int dx, int dy, unsigned buttons)
{
	pthread_mutex_lock(&d->lock);
	i8042_dev_unlock(d, i8042_mouse(&d->k, dx, dy, buttons));
}

void
i8042_dev_dump(struct i8042_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &i8042_state, &d->k);
	pthread_mutex_unlock(&d->lock);
}
