/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "backend/chardev/chardev.h"
#include "chipset/debug.h"

/* Nothing to lock: the backend does that. */
struct bvm_dev {
	struct chardev *cd;
	uint16_t sig;
};

static void
bvm_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct bvm_dev *d = arg;
	uint8_t byte;

	if (off != 0)
		return;
	if (size == 2)
		*val = d->sig;
	else if (size == 4 && chardev_read(d->cd, &byte, 1) == 1)
		*val = byte;
}

static void
bvm_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct bvm_dev *d = arg;
	uint8_t byte = (uint8_t)val;

	if (off == 0 && size == 4)
		chardev_write(d->cd, &byte, 1);
}

static const struct bus_ops bvm_ops = {1 | 2 | 4, false, bvm_read, bvm_write};

/* The guest polls. */
static void
bvm_ready(void *arg)
{
	(void)arg;
}

int
bvm_dev_create(struct bvm_dev **out, const char *name, struct bus_space *ports,
    uint16_t port, uint16_t sig, struct chardev *cd)
{
	struct bvm_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	d->cd = cd;
	d->sig = sig;
	error = bus_add(ports, name, port, 4, &bvm_ops, d);
	if (error != 0) {
		free(d);
		return (error);
	}
	chardev_start(cd, bvm_ready, d);
	*out = d;
	return (0);
}

void
bvm_dev_destroy(struct bvm_dev *d)
{
	free(d);
}
