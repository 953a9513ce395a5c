/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "backend/chardev/chardev.h"

size_t
chardev_write(struct chardev *cd, const void *buf, size_t len)
{
	return (cd->ops->write(cd, buf, len));
}

size_t
chardev_read(struct chardev *cd, void *buf, size_t len)
{
	return (cd->ops->read(cd, buf, len));
}

void
chardev_start(struct chardev *cd, void (*ready)(void *arg), void *arg)
{
	cd->ready = ready;
	cd->arg = arg;
	if (cd->ops->start != NULL)
		cd->ops->start(cd);
}

void
chardev_hangup(struct chardev *cd)
{
	if (cd->ops->hangup != NULL)
		cd->ops->hangup(cd);
}

void
chardev_destroy(struct chardev *cd)
{
	if (cd != NULL)
		cd->ops->destroy(cd);
}

static size_t
null_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
	(void)cd;
	(void)buf;
	return (len);
}

static size_t
null_read(struct chardev *cd, uint8_t *buf, size_t len)
{
	(void)cd;
	(void)buf;
	(void)len;
	return (0);
}

static void
null_destroy(struct chardev *cd)
{
	free(cd);
}

static const struct chardev_ops null_ops = {
    .name = "null",
    .write = null_write,
    .read = null_read,
    .destroy = null_destroy,
};

int
chardev_null_create(struct chardev **out)
{
	struct chardev *cd;

	cd = calloc(1, sizeof(*cd));
	if (cd == NULL)
		return (-ENOMEM);
	cd->ops = &null_ops;
	*out = cd;
	return (0);
}
