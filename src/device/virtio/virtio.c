/* SPDX-License-Identifier: BSD-2-Clause */
/* What every virtio device is: features, configuration, messages. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mevent.h"
#include "device/virtio/impl.h"

static const struct state_field virtio_fields[] = {
    STATE_FIELD(struct virtio_dev, features, 1),
    STATE_FIELD(struct virtio_dev, isr, 1),
    STATE_FIELD(struct virtio_dev, status, 1),
    STATE_FIELD(struct virtio_dev, generation, 1),
    STATE_FIELD(struct virtio_dev, resetting, 1),
    STATE_FIELD(struct virtio_dev, started, 1),
    STATE_FIELD(struct virtio_dev, vector, 1),
    STATE_FIELD(struct virtio_dev, queue_sel, 1),
    STATE_FIELD(struct virtio_dev, feature_sel, 1),
    STATE_FIELD(struct virtio_dev, driver_sel, 1),
    STATE_FIELD(struct virtio_dev, driver_features, 1),
    STATE_ARRAY(struct virtio_dev, config, 1),
    STATE_END,
};
const struct state_table virtio_state = {"virtio", 1, virtio_fields};

void *
virtio_priv(struct virtio_dev *vd)
{
	return (vd->priv);
}

const char *
virtio_name(const struct virtio_dev *vd)
{
	return (vd->name);
}

bool
virtio_has(const struct virtio_dev *vd, uint64_t features)
{
	return ((atomic_load(&vd->features) & features) == features);
}

bool
virtio_modern(const struct virtio_dev *vd)
{
	return (virtio_has(vd, VIRTIO_F_VERSION_1));
}

bool
virtio_running(const struct virtio_dev *vd)
{
	return (atomic_load(&vd->running));
}

struct virtq *
virtio_queue(struct virtio_dev *vd, unsigned n)
{
	return (n < vd->ops->queues ? &vd->queues[n] : NULL);
}

void
virtio_set_loop(struct virtio_dev *vd, struct mevent_loop *loop)
{
	unsigned i;

	vd->loop = loop;
	for (i = 0; i < vd->ops->queues; i++)
		vd->queues[i].loop = loop;
}

void
virtq_set_loop(struct virtq *q, struct mevent_loop *loop)
{
	q->loop = loop;
}

void
virtio_set_queues(struct virtio_dev *vd, unsigned n)
{
	if (n >= 1 && n <= vd->ops->queues)
		vd->nqueues = n;
}

void
virtio_offer(struct virtio_dev *vd, uint64_t features)
{
	vd->offered |= features;
}

static void
say(struct virtio_dev *vd, const char *fmt, va_list ap, const char *after)
{
	char msg[200];

	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	log_guest(&vd->rate, "%s: %s%s", vd->name, msg, after);
}

void
virtio_warn(struct virtio_dev *vd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(vd, fmt, ap, "");
	va_end(ap);
}

void
virtio_broken(struct virtio_dev *vd, const char *fmt, ...)
{
	bool tell = false, first = false;
	va_list ap;
	unsigned i;

	pthread_mutex_lock(&vd->lock);
	if ((vd->status & VIRTIO_S_NEEDS_RESET) == 0 && !vd->resetting) {
		first = true;
		vd->status |= VIRTIO_S_NEEDS_RESET;
		atomic_store(&vd->running, false);
		for (i = 0; i < vd->ops->queues; i++)
			(void)virtq_stop(&vd->queues[i]);
		tell = (vd->status & VIRTIO_S_DRIVER_OK) != 0;
	}
	pthread_mutex_unlock(&vd->lock);
	if (!first)
		return;
	va_start(ap, fmt);
	say(vd, fmt, ap, "; the device needs a reset");
	va_end(ap);
	/* VIRTIO 2.1.2: the driver is told. */
	if (tell)
		virtio_interrupt(
		    vd, VIRTIO_ISR_CONFIG, atomic_load(&vd->vector));
}

/* ---- interrupts ---- */

/*
 * The pin shows whether ISR status has anything. Two threads may pass each
 * other between the register and the pin; who comes last sees that it is
 * not as the register has it.
 */
static void
intx_sync(struct virtio_dev *vd)
{
	bool level;

	do {
		level = atomic_load(&vd->isr) != 0;
		pci_intx_set(vd->pci, level);
	} while ((atomic_load(&vd->isr) != 0) != level);
}

void
virtio_interrupt(struct virtio_dev *vd, unsigned isr, uint16_t vector)
{
	if (vd->msix && pci_msix_enabled(vd->pci)) {
		if (vector != VIRTIO_NO_VECTOR)
			pci_msix_raise(vd->pci, vector);
		return;
	}
	atomic_fetch_or(&vd->isr, isr);
	if (pci_msi_count(vd->pci) != 0)
		pci_msi_raise(vd->pci, 0);
	intx_sync(vd);
}

/* ISR status is read, which clears it (VIRTIO 4.1.4.5.1). */
uint8_t
virtio_isr_take(struct virtio_dev *vd)
{
	unsigned isr = atomic_exchange(&vd->isr, 0);

	if (isr != 0)
		intx_sync(vd);
	return ((uint8_t)isr);
}

uint16_t
virtio_vector(const struct virtio_dev *vd, uint32_t val)
{
	return (
	    vd->msix && val <= vd->nqueues ? (uint16_t)val : VIRTIO_NO_VECTOR);
}

/* ---- configuration ---- */

void
virtio_config_set(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	if (off > vd->ops->config_size || len > vd->ops->config_size - off)
		return;
	pthread_mutex_lock(&vd->lock);
	if (memcmp(vd->config + off, bytes, len) != 0) {
		memcpy(vd->config + off, bytes, len);
		vd->generation++;
	}
	pthread_mutex_unlock(&vd->lock);
}

void
virtio_config_get(
    struct virtio_dev *vd, unsigned off, void *bytes, unsigned len)
{
	memset(bytes, 0, len);
	if (off > vd->ops->config_size || len > vd->ops->config_size - off)
		return;
	pthread_mutex_lock(&vd->lock);
	memcpy(bytes, vd->config + off, len);
	pthread_mutex_unlock(&vd->lock);
}

void
virtio_config_changed(struct virtio_dev *vd)
{
	bool tell;

	pthread_mutex_lock(&vd->lock);
	tell = (vd->status & VIRTIO_S_DRIVER_OK) != 0 && !vd->resetting;
	pthread_mutex_unlock(&vd->lock);
	if (tell)
		virtio_interrupt(
		    vd, VIRTIO_ISR_CONFIG, atomic_load(&vd->vector));
}

uint32_t
virtio_config_read(struct virtio_dev *vd, unsigned off, unsigned size)
{
	uint32_t val = UINT32_MAX;

	if (off < vd->ops->config_size && size <= vd->ops->config_size - off) {
		val = 0;
		virtio_config_get(vd, off, &val, size);
	}
	return (val);
}

void
virtio_config_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	if (off < vd->ops->config_size && size <= vd->ops->config_size - off &&
	    vd->ops->config_write != NULL)
		vd->ops->config_write(vd, off, &val, size);
}

/* ---- life ---- */

static bool
opt_on(const struct device_conf *conf, const char *name)
{
	return (device_opt(conf, name) == NULL || device_opt_bool(conf, name));
}

/* What the core itself can do, as far as the options want it. */
static uint64_t
core_features(const struct virtio_dev *vd, const struct device_conf *conf)
{
	uint64_t f = VIRTIO_F_ANY_LAYOUT;

	if (opt_on(conf, "indirect"))
		f |= VIRTIO_F_INDIRECT_DESC;
	if (opt_on(conf, "event_idx"))
		f |= VIRTIO_F_EVENT_IDX;
	if (vd->legacy_only)
		return (f);
	f |= VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET;
	if (opt_on(conf, "packed"))
		f |= VIRTIO_F_RING_PACKED;
	if (vd->ops->in_order)
		f |= VIRTIO_F_IN_ORDER;
	return (f);
}

static int
watch_loops(struct virtio_dev *vd)
{
	struct virtq *q;
	unsigned i;
	int error = 0;

	if (vd->loop != NULL) {
		vd->ctlfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (vd->ctlfd < 0)
			return (-errno);
		error = mevent_add(vd->loop, vd->ctlfd, MEVENT_READ,
		    virtio_ctl_ready, vd, &vd->ctl_ev);
	}
	for (i = 0; i < vd->nqueues && error == 0; i++) {
		q = &vd->queues[i];
		if (q->loop == NULL)
			continue;
		q->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kickfd < 0)
			return (-errno);
		error = mevent_add(q->loop, q->kickfd, MEVENT_READ,
		    virtio_kick_ready, q, &q->ev);
	}
	return (error);
}

int
virtio_create(struct virtio_dev **out, struct pci_dev *dev,
    const struct device_conf *conf)
{
	const struct virtio_ops *ops = conf->desc->virtio;
	uint16_t bdf = pci_dev_bdf(dev);
	struct virtio_dev *vd;
	unsigned i;
	int error;

	if (ops->queues == 0 || ops->queues > VIRTIO_QUEUES_MAX ||
	    ops->config_size > VIRTIO_CONFIG_MAX)
		return (-EINVAL);
	vd = calloc(1, sizeof(*vd));
	if (vd == NULL)
		return (-ENOMEM);
	vd->pci = dev;
	vd->ops = ops;
	vd->ctlfd = -1;
	vd->nqueues = ops->queues;
	vd->machine_loop = conf->loop;
	vd->msix = conf->msix;
	vd->offered = ops->features;
	atomic_store(&vd->vector, VIRTIO_NO_VECTOR);
	(void)snprintf(vd->name, sizeof(vd->name), "%s at %u:%u:%u",
	    conf->desc->pci->name, bdf >> 8u, bdf >> 3u & 0x1f, bdf & 7u);
	virtio_ctl_init(vd);
	*out = vd; /* destroyed by who called, whatever happens */
	vd->priv = calloc(1, ops->priv_size != 0 ? ops->priv_size : 1);
	vd->queues = calloc(ops->queues, sizeof(*vd->queues));
	if (vd->priv == NULL || vd->queues == NULL)
		return (-ENOMEM);
	for (i = 0; i < ops->queues; i++) {
		error = virtq_init(&vd->queues[i], vd, i);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
virtio_start_device(struct virtio_dev *vd, const struct device_conf *conf)
{
	int error;

	vd->initialized = true;
	error = vd->ops->init(vd, conf);
	if (error != 0)
		return (error);
	vd->offered |= core_features(vd, conf);
	if (vd->legacy_only)
		vd->offered &= UINT32_MAX;
	return (watch_loops(vd));
}

void
virtio_destroy(struct virtio_dev *vd)
{
	unsigned i;

	if (vd == NULL)
		return;
	virtio_ctl_end(vd);
	mevent_remove(vd->ctl_ev);
	for (i = 0; vd->queues != NULL && i < vd->ops->queues; i++)
		mevent_remove(vd->queues[i].ev);
	if (vd->initialized && vd->ops->fini != NULL)
		vd->ops->fini(vd);
	for (i = 0; vd->queues != NULL && i < vd->ops->queues; i++)
		if (vd->queues[i].vd != NULL)
			virtq_fini(&vd->queues[i]);
	if (vd->ctlfd >= 0)
		close(vd->ctlfd);
	pthread_cond_destroy(&vd->done);
	pthread_mutex_destroy(&vd->lock);
	free(vd->queues);
	free(vd->priv);
	free(vd);
}
