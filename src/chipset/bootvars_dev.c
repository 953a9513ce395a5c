/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "chipset/bootvars.h"

struct bootvars_dev {
	pthread_mutex_t lock;
	struct bootvars vars;
	int fd;
	bool told; /* that the file cannot be written */
};

static void
dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct bootvars_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	*val = bootvars_read(&d->vars, off, size);
	pthread_mutex_unlock(&d->lock);
}

static void
dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct bootvars_dev *d = arg;

	pthread_mutex_lock(&d->lock);
	if (bootvars_write(&d->vars, off, size, val) && d->fd >= 0 &&
	    pwrite(d->fd, d->vars.data + off, size, (off_t)off) !=
		(ssize_t)size &&
	    !d->told) {
		d->told = true;
		log_warn("boot variables cannot be written to their file: %s; "
			 "they end with the machine",
		    strerror(errno));
	}
	pthread_mutex_unlock(&d->lock);
}

static const struct bus_ops bootvars_ops = {
    1 | 2 | 4 | 8, false, dev_read, dev_write};

int
bootvars_dev_create(struct bootvars_dev **out, struct bus_space *mmio,
    const struct bootvars_config *cfg)
{
	struct bootvars_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->fd = cfg->fd;
	d->vars.data = cfg->data;
	d->vars.size = cfg->size;
	bootvars_reset(&d->vars);
	error = bus_add(
	    mmio, "bootvars", cfg->base, cfg->size, &bootvars_ops, d);
	if (error != 0) {
		bootvars_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
bootvars_dev_destroy(struct bootvars_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
bootvars_dev_reset(struct bootvars_dev *d)
{
	pthread_mutex_lock(&d->lock);
	bootvars_reset(&d->vars);
	pthread_mutex_unlock(&d->lock);
}

void
bootvars_dev_dump(struct bootvars_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &bootvars_state, &d->vars);
	pthread_mutex_unlock(&d->lock);
}
