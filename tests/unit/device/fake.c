/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/iothread.h"
#include "fake.h"

static int
fake_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	static const uint8_t config[FAKE_CONFIG] = {
	    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	struct fake *f = virtio_priv(vd);
	int error;

	pthread_mutex_init(&f->lock, NULL);
	virtio_config_set(vd, 0, config, sizeof(config));
	if (device_opt_bool(conf, "fail"))
		return (device_fail(conf, "fail=true: as asked; leave it out"));
	if (device_opt_bool(conf, "loop"))
		virtio_set_loop(vd, conf->loop);
	if (device_opt_bool(conf, "thread")) {
		error = iothread_create(&f->thread, "fake");
		if (error != 0)
			return (error);
		virtio_set_loop(vd, iothread_loop(f->thread));
	}
	if (device_opt_uint(conf, "queues") != 0)
		virtio_set_queues(
		    vd, (unsigned)device_opt_uint(conf, "queues"));
	virtio_offer(vd, FAKE_F_TWO);
	return (0);
}

static struct virtq_chain *
take(struct fake *f)
{
	struct virtq_chain *c;

	pthread_mutex_lock(&f->lock);
	c = f->held;
	if (c != NULL) {
		f->held = c->link;
		f->nheld--;
	}
	pthread_mutex_unlock(&f->lock);
	return (c);
}

void
fake_back(struct virtio_dev *vd, uint32_t len)
{
	struct virtq_chain *c = take(virtio_priv(vd));
	struct virtq *q;

	if (c == NULL)
		abort();
	q = c->q;
	virtq_push(c, len);
	virtq_flush(q);
}

static void
fake_fini(struct virtio_dev *vd)
{
	struct fake *f = virtio_priv(vd);

	iothread_destroy(f->thread);
	pthread_mutex_destroy(&f->lock);
}

static bool
fake_features_ok(struct virtio_dev *vd, uint64_t features)
{
	(void)vd;
	return ((features & (FAKE_F_ONE | FAKE_F_TWO)) !=
		(FAKE_F_ONE | FAKE_F_TWO));
}

static void
fake_start(struct virtio_dev *vd)
{
	((struct fake *)virtio_priv(vd))->starts++;
}

static void
hold(struct fake *f, struct virtq_chain *c)
{
	pthread_mutex_lock(&f->lock);
	c->link = NULL;
	if (f->held == NULL)
		f->held = c;
	else
		f->last->link = c;
	f->last = c;
	f->nheld++;
	pthread_mutex_unlock(&f->lock);
}

static uint32_t
echo(struct virtq_chain *c)
{
	uint32_t done = 0;
	uint8_t buf[64];
	size_t n;

	while (c->rd_len != 0 && c->wr_len != 0) {
		n = c->rd_len < sizeof(buf) ? (size_t)c->rd_len : sizeof(buf);
		if (n > c->wr_len)
			n = (size_t)c->wr_len;
		(void)virtq_read(c, buf, n);
		(void)virtq_write(c, buf, n);
		done += (uint32_t)n;
	}
	return (done);
}

static void
fake_notify(struct virtio_dev *vd, unsigned n)
{
	struct fake *f = virtio_priv(vd);
	struct virtq *q = virtio_queue(vd, n);
	struct virtq_chain *c;

	f->notifies++;
	do {
		if (f->suppress)
			virtq_notify_off(q);
		while ((c = virtq_pop(q)) != NULL) {
			if (f->hold)
				hold(f, c);
			else
				virtq_push(c, echo(c));
		}
		if (!f->no_flush)
			virtq_flush(q);
	} while (f->suppress && virtq_notify_on(q));
}

static void
fake_stop(struct virtio_dev *vd, unsigned n)
{
	struct fake *f = virtio_priv(vd);
	struct virtq_chain *c, *keep = NULL;

	f->stops++;
	if (f->late_back)
		return;
	while ((c = take(f)) != NULL) {
		if (virtq_index(c->q) == n) {
			virtq_push(c, 0);
		} else {
			c->link = keep;
			keep = c;
		}
	}
	while ((c = keep) != NULL) {
		keep = c->link;
		hold(f, c);
	}
}

static void
fake_restart(struct virtio_dev *vd, unsigned n)
{
	(void)n;
	((struct fake *)virtio_priv(vd))->restarts++;
}

static void
fake_reset(struct virtio_dev *vd)
{
	struct fake *f = virtio_priv(vd);

	f->resets++;
	f->reset_with += f->nheld;
}

static void
fake_config_write(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	struct fake *f = virtio_priv(vd);

	f->writes++;
	f->written_off = off;
	f->written_len = len;
	memcpy(f->written, bytes, len);
}

static const struct config_var fake_opts[] = {
    VIRTIO_OPTS,
    {.name = "loop", .type = CONFIG_BOOL},
    {.name = "thread", .type = CONFIG_BOOL},
    {.name = "fail", .type = CONFIG_BOOL},
    {.name = "queues", .type = CONFIG_UINT},
    {.name = NULL},
};
static const struct state_field fake_fields[] = {
    STATE_FIELD(struct fake, starts, 1),
    STATE_END,
};
static const struct state_table fake_state = {"fake", 1, fake_fields};

static const struct virtio_ops fake_ops = {
    .id = VIRTIO_ID_BLOCK,
    .class = 1,
    .queues = FAKE_QUEUES,
    .size = FAKE_SIZE,
    .config_size = FAKE_CONFIG,
    .features = FAKE_F_ONE,
    .in_order = true,
    .priv_size = sizeof(struct fake),
    .state = &fake_state,
    .init = fake_init,
    .fini = fake_fini,
    .features_ok = fake_features_ok,
    .start = fake_start,
    .notify = fake_notify,
    .stop = fake_stop,
    .restart = fake_restart,
    .reset = fake_reset,
    .config_write = fake_config_write,
};

VIRTIO_DEVICE(fake, "fake", "for tests", fake_ops, .opts = fake_opts);
