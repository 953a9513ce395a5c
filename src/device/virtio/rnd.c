/* SPDX-License-Identifier: BSD-2-Clause */
/* Entropy device (VIRTIO 5.4): the host's random numbers. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "device/virtio/virtio.h"

/*
 * A buffer gets at most so many bytes at once: getrandom(2) gives as many
 * without being interrupted, and a vcpu's thread is not kept for long. The
 * driver asks again for more.
 */
#define RND_MAX 256u

static int
rnd_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	uint8_t probe;

	(void)vd;
	if (getrandom(&probe, 1, GRND_NONBLOCK) != 1)
		return (device_fail(conf,
		    "the host has no random numbers yet: %s; start the machine "
		    "later",
		    strerror(errno)));
	return (0);
}

/* How many bytes a chain got. */
static uint32_t
rnd_fill(struct virtq_chain *c)
{
	uint8_t buf[RND_MAX];
	size_t len = c->wr_len < RND_MAX ? (size_t)c->wr_len : RND_MAX;
	ssize_t n;

	n = getrandom(buf, len, GRND_NONBLOCK);
	if (n <= 0 || !virtq_write(c, buf, (size_t)n))
		return (0);
	return ((uint32_t)n);
}

static void
rnd_notify(struct virtio_dev *vd, unsigned n)
{
	struct virtq *q = virtio_queue(vd, n);
	struct virtq_chain *c;

	while ((c = virtq_pop(q)) != NULL)
		virtq_done(c, rnd_fill(c));
}

static const struct config_var rnd_opts[] = {
    VIRTIO_OPTS,
    {.name = NULL},
};
static const struct state_field rnd_fields[] = {STATE_END};
static const struct state_table rnd_state = {"virtio-rnd", 1, rnd_fields};

static const struct virtio_ops rnd_ops = {
    .id = VIRTIO_ID_ENTROPY,
    .class = 0x10, /* encryption, as with bhyve */
    .queues = 1,
    .size = 64,
    .state = &rnd_state,
    .init = rnd_init,
    .notify = rnd_notify,
};

VIRTIO_DEVICE(virtio_rnd, "virtio-rnd", "random numbers of the host", rnd_ops,
    .opts = rnd_opts);
