/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a device's start to its reset: what the guest asks for in a vcpu's
 * thread, and what the device is told of it, in its own context.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "device/virtio/impl.h"

/* How often a machine that waits for a device says so. */
#define PATIENCE_MS 5000u

static void
poke(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	/* Full (EAGAIN) means that it is readable already. */
	n = write(fd, &one, sizeof(one));
	(void)n;
}

static void
unpoke(int fd)
{
	uint64_t count;
	ssize_t n;

	n = read(fd, &count, sizeof(count));
	(void)n;
}

void
virtio_ctl_init(struct virtio_dev *vd)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&vd->lock, NULL);
	pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vd->done, &attr);
	pthread_condattr_destroy(&attr);
}

void
virtio_queue_defaults(struct virtq *q)
{
	q->size = q->max;
	atomic_store(&q->vector, VIRTIO_NO_VECTOR);
	q->enabled = q->resetting = 0;
	q->desc_gpa = q->driver_gpa = q->device_gpa = 0;
}

/* ---- notifications ---- */

static void
notify(struct virtq *q)
{
	struct virtio_dev *vd = q->vd;

	if (atomic_load(&vd->running) && atomic_load(&q->run))
		vd->ops->notify(vd, q->index);
}

void
virtio_kick_ready(void *arg, unsigned ready)
{
	struct virtq *q = arg;

	(void)ready;
	unpoke(q->kickfd);
	/* Whoever finds it set counts on us to look at the ring after this:
	 * the exchange takes over what was written before theirs. */
	(void)atomic_exchange(&q->kicked, false);
	notify(q);
}

void
virtio_kick(struct virtio_dev *vd, unsigned n)
{
	struct virtq *q;

	if (n >= vd->nqueues)
		return;
	q = &vd->queues[n];
	if (q->kickfd < 0)
		notify(q);
	else if (!atomic_exchange(&q->kicked, true))
		poke(q->kickfd);
}

/* ---- in the device's context ---- */

/* All of its queues are at rest, or the one that is asked for. Lock held. */
static bool
chains_out(struct virtio_dev *vd)
{
	unsigned i;

	for (i = 0; i < vd->ops->queues; i++)
		if (virtq_inflight(&vd->queues[i]) != 0)
			return (true);
	return (false);
}

/* The registers as after power-on. Lock held. */
static void
registers_reset(struct virtio_dev *vd)
{
	unsigned i;

	for (i = 0; i < vd->ops->queues; i++)
		virtio_queue_defaults(&vd->queues[i]);
	vd->status = 0;
	vd->started = 0;
	atomic_store(&vd->vector, VIRTIO_NO_VECTOR);
	vd->queue_sel = 0;
	vd->feature_sel = vd->driver_sel = 0;
	vd->driver_features = 0;
	vd->stop = vd->restart = 0;
	atomic_store(&vd->features, 0);
	vd->resetting = 0;
	pthread_cond_broadcast(&vd->done);
}

/* What follows is called with the lock held and drops it meanwhile. */

static void
ctl_stop(struct virtio_dev *vd)
{
	uint64_t stop = vd->stop;
	unsigned i;

	vd->stop = 0;
	if (vd->ops->stop == NULL)
		return;
	pthread_mutex_unlock(&vd->lock);
	for (i = 0; i < vd->ops->queues; i++)
		if ((stop >> i & 1) != 0)
			vd->ops->stop(vd, i);
	pthread_mutex_lock(&vd->lock);
}

static void
ctl_check(struct virtio_dev *vd)
{
	struct virtq *q;
	unsigned i;

	if (vd->resetting) {
		if (chains_out(vd))
			return;
		pthread_mutex_unlock(&vd->lock);
		if (vd->ops->reset != NULL)
			vd->ops->reset(vd);
		for (i = 0; i < vd->ops->queues; i++)
			virtq_trim(&vd->queues[i]);
		atomic_store(&vd->isr, 0);
		pci_intx_set(vd->pci, false);
		pthread_mutex_lock(&vd->lock);
		registers_reset(vd);
		return;
	}
	for (i = 0; i < vd->ops->queues; i++) {
		q = &vd->queues[i];
		if (q->resetting && virtq_inflight(q) == 0) {
			virtio_queue_defaults(q);
			pthread_cond_broadcast(&vd->done);
		}
	}
}

static void
ctl_start(struct virtio_dev *vd)
{
	unsigned i;

	if (vd->resetting || vd->started ||
	    (vd->status & VIRTIO_S_NEEDS_RESET) != 0)
		return;
	vd->started = 1;
	for (i = 0; i < vd->nqueues; i++)
		if (vd->queues[i].enabled)
			virtq_start(&vd->queues[i]);
	pthread_mutex_unlock(&vd->lock);
	if (vd->ops->start != NULL)
		vd->ops->start(vd);
	pthread_mutex_lock(&vd->lock);
	if (vd->resetting || (vd->status & VIRTIO_S_NEEDS_RESET) != 0)
		return;
	atomic_store(&vd->running, true);
	pthread_mutex_unlock(&vd->lock);
	/* What was made available before counts too. */
	for (i = 0; i < vd->nqueues; i++)
		virtio_kick(vd, i);
	pthread_mutex_lock(&vd->lock);
}

static void
ctl_restart(struct virtio_dev *vd)
{
	uint64_t restart = vd->restart;
	unsigned i;

	vd->restart = 0;
	pthread_mutex_unlock(&vd->lock);
	for (i = 0; i < vd->nqueues; i++) {
		if ((restart >> i & 1) == 0)
			continue;
		if (vd->ops->restart != NULL)
			vd->ops->restart(vd, i);
		virtio_kick(vd, i);
	}
	pthread_mutex_lock(&vd->lock);
}

/*
 * Does what there is to do, in its order. One thread at a time: another one
 * leaves its part to who is here already.
 */
static void
virtio_ctl(struct virtio_dev *vd)
{
	uint32_t todo;

	pthread_mutex_lock(&vd->lock);
	if (vd->busy) {
		pthread_mutex_unlock(&vd->lock);
		return;
	}
	vd->busy = 1;
	while ((todo = vd->ctl) != 0) {
		if ((todo & VIRTIO_CTL_STOP) != 0) {
			vd->ctl &= ~VIRTIO_CTL_STOP;
			ctl_stop(vd);
		} else if ((todo & VIRTIO_CTL_CHECK) != 0) {
			vd->ctl &= ~VIRTIO_CTL_CHECK;
			ctl_check(vd);
		} else if ((todo & VIRTIO_CTL_START) != 0) {
			vd->ctl &= ~VIRTIO_CTL_START;
			ctl_start(vd);
		} else {
			vd->ctl &= ~VIRTIO_CTL_RESTART;
			ctl_restart(vd);
		}
	}
	vd->busy = 0;
	pthread_mutex_unlock(&vd->lock);
}

void
virtio_ctl_ready(void *arg, unsigned ready)
{
	struct virtio_dev *vd = arg;

	(void)ready;
	unpoke(vd->ctlfd);
	virtio_ctl(vd);
}

/* Has virtio_ctl() called where it belongs. No lock held. */
static void
ctl_call(struct virtio_dev *vd)
{
	if (vd->ctlfd >= 0)
		poke(vd->ctlfd);
	else
		virtio_ctl(vd);
}

void
virtio_chains_back(struct virtio_dev *vd)
{
	pthread_mutex_lock(&vd->lock);
	vd->ctl |= VIRTIO_CTL_CHECK;
	pthread_mutex_unlock(&vd->lock);
	ctl_call(vd);
}

/* ---- what the guest asks for ---- */

/* Lock held; ctl_call() follows. */
static void
reset_begin(struct virtio_dev *vd)
{
	unsigned i;

	vd->resetting = 1;
	atomic_store(&vd->running, false);
	for (i = 0; i < vd->ops->queues; i++)
		if (virtq_stop(&vd->queues[i]) != 0)
			vd->stop |= 1ull << i;
	vd->ctl &= ~(VIRTIO_CTL_START | VIRTIO_CTL_RESTART);
	vd->ctl |= VIRTIO_CTL_CHECK;
	if (vd->stop != 0)
		vd->ctl |= VIRTIO_CTL_STOP;
}

/* VIRTIO 2.2.2, 6.1, 6.2. */
static bool
features_ok(struct virtio_dev *vd, uint64_t features)
{
	if ((features & ~vd->offered) != 0 ||
	    (features & VIRTIO_F_VERSION_1) == 0)
		return (false);
	return (
	    vd->ops->features_ok == NULL || vd->ops->features_ok(vd, features));
}

/* The driver is ready with the features that count. Lock held. */
static bool
driver_ok(struct virtio_dev *vd)
{
	uint64_t features = vd->driver_features;

	if ((vd->status & VIRTIO_S_FEATURES_OK) == 0) {
		/* The legacy interface has no such step. */
		if (vd->modern_only)
			return (false);
		features &= vd->offered & UINT32_MAX;
	}
	atomic_store(&vd->features, features);
	vd->ctl |= VIRTIO_CTL_START;
	return (true);
}

void
virtio_set_status(struct virtio_dev *vd, uint8_t status)
{
	uint64_t features;
	bool ok, start;

	pthread_mutex_lock(&vd->lock);
	if (vd->resetting) {
		pthread_mutex_unlock(&vd->lock);
		return;
	}
	if (status == 0) {
		/* One that was not started knows nothing of all this. */
		start = vd->started || (vd->ctl & VIRTIO_CTL_START) != 0;
		if (start)
			reset_begin(vd);
		else
			registers_reset(vd);
		pthread_mutex_unlock(&vd->lock);
		if (start)
			ctl_call(vd);
		return;
	}
	status &= (uint8_t)~VIRTIO_S_NEEDS_RESET;
	/* VIRTIO 2.1.1: a driver clears no bit. */
	status |= vd->status;
	if ((status & ~vd->status & VIRTIO_S_FEATURES_OK) != 0) {
		features = vd->driver_features;
		pthread_mutex_unlock(&vd->lock);
		ok = features_ok(vd, features);
		pthread_mutex_lock(&vd->lock);
		if (!ok || features != vd->driver_features)
			status &= (uint8_t)~VIRTIO_S_FEATURES_OK;
	}
	ok = true;
	if (!vd->resetting) {
		start = (status & ~vd->status & VIRTIO_S_DRIVER_OK) != 0;
		vd->status |= status;
		if (start)
			ok = driver_ok(vd);
	}
	pthread_mutex_unlock(&vd->lock);
	if (ok)
		ctl_call(vd);
	else
		virtio_broken(vd, "the driver negotiated no features");
}

void
virtio_queue_enable(struct virtio_dev *vd, struct virtq *q)
{
	bool call = false;

	pthread_mutex_lock(&vd->lock);
	if (!q->enabled && !q->resetting && !vd->resetting) {
		q->enabled = 1;
		if (vd->started && (vd->status & VIRTIO_S_NEEDS_RESET) == 0) {
			virtq_start(q);
			vd->restart |= 1ull << q->index;
			vd->ctl |= VIRTIO_CTL_RESTART;
			call = true;
		}
	}
	pthread_mutex_unlock(&vd->lock);
	if (call)
		ctl_call(vd);
}

void
virtio_queue_reset(struct virtio_dev *vd, struct virtq *q)
{
	pthread_mutex_lock(&vd->lock);
	if (!q->enabled || q->resetting || vd->resetting) {
		pthread_mutex_unlock(&vd->lock);
		return;
	}
	q->resetting = 1;
	vd->restart &= ~(1ull << q->index);
	if (virtq_stop(q) != 0) {
		vd->stop |= 1ull << q->index;
		vd->ctl |= VIRTIO_CTL_STOP;
	}
	vd->ctl |= VIRTIO_CTL_CHECK;
	pthread_mutex_unlock(&vd->lock);
	ctl_call(vd);
}

/* Is any reset going on? Lock held. */
static bool
reset_pending(const struct virtio_dev *vd)
{
	unsigned i;

	for (i = 0; i < vd->ops->queues; i++)
		if (vd->queues[i].resetting)
			return (true);
	return (vd->resetting);
}

void
virtio_wait_reset(struct virtio_dev *vd, unsigned ms)
{
	struct timespec at;
	int error = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	pthread_mutex_lock(&vd->lock);
	while (reset_pending(vd) && error == 0 && !vd->no_wait)
		error = pthread_cond_timedwait(&vd->done, &vd->lock, &at);
	pthread_mutex_unlock(&vd->lock);
}

/*
 * The machine's reset: nobody runs but the devices' own threads, and the
 * machine's loop stands still, so that this thread is as good as the loop's.
 */
void
virtio_reset_now(struct virtio_dev *vd)
{
	bool over;

	pthread_mutex_lock(&vd->lock);
	if (!vd->resetting)
		reset_begin(vd);
	pthread_mutex_unlock(&vd->lock);
	if (vd->loop == vd->machine_loop)
		virtio_ctl(vd);
	else
		ctl_call(vd);
	for (;;) {
		virtio_wait_reset(vd, PATIENCE_MS);
		pthread_mutex_lock(&vd->lock);
		over = !vd->resetting;
		pthread_mutex_unlock(&vd->lock);
		if (over)
			break;
		virtio_warn(vd, "the host has not ended its work yet; waiting");
	}
}

/* The end: the device hears nothing any more. */
void
virtio_ctl_end(struct virtio_dev *vd)
{
	unsigned i;

	pthread_mutex_lock(&vd->lock);
	atomic_store(&vd->running, false);
	for (i = 0; vd->queues != NULL && i < vd->ops->queues; i++)
		if (vd->queues[i].vd != NULL)
			(void)virtq_stop(&vd->queues[i]);
	vd->resetting = 0;
	vd->ctl = 0;
	pthread_mutex_unlock(&vd->lock);
}
