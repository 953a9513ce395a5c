/* SPDX-License-Identifier: BSD-2-Clause */
/* The legacy interface: registers in I/O BAR 0 (VIRTIO 4.1.4.8). */
#include "device/virtio/impl.h"

/* A legacy driver does not wait for the end of a reset, and takes its memory
 * back at once: so it waits in the write, if a backend lets it. */
#define RESET_MS 1000u

enum {
	LEGACY_HOST_FEATURES = 0,
	LEGACY_GUEST_FEATURES = 4,
	LEGACY_Q_PFN = 8,
	LEGACY_Q_SIZE = 12,
	LEGACY_Q_SELECT = 14,
	LEGACY_Q_NOTIFY = VIRTIO_LEGACY_NOTIFY,
	LEGACY_STATUS = 18,
	LEGACY_ISR = 19,
	LEGACY_MSIX = 20, /* these two while MSI-X is enabled */
	LEGACY_Q_MSIX = 22,
	LEGACY_CONFIG = 20, /* four more with MSI-X */
	LEGACY_MSIX_SIZE = 4,
};
#define LEGACY_PAGE 4096u /* unit of PFN, and alignment of the used ring */

unsigned
virtio_legacy_size(const struct virtio_dev *vd)
{
	return (LEGACY_CONFIG + LEGACY_MSIX_SIZE + vd->ops->config_size);
}

static bool
msix_on(struct virtio_dev *vd)
{
	return (vd->msix && pci_msix_enabled(vd->pci));
}

/* Lock held. */
static struct virtq *
selected(struct virtio_dev *vd)
{
	return (
	    vd->queue_sel < vd->nqueues ? &vd->queues[vd->queue_sel] : NULL);
}

static uint32_t
reg_get(struct virtio_dev *vd, unsigned off)
{
	const struct virtq *q = selected(vd);

	switch (off) {
	case LEGACY_HOST_FEATURES:
		return ((uint32_t)vd->offered);
	case LEGACY_GUEST_FEATURES:
		return ((uint32_t)vd->driver_features);
	case LEGACY_Q_PFN:
		return (q != NULL && q->enabled && !q->resetting
			    ? (uint32_t)(q->desc_gpa / LEGACY_PAGE)
			    : 0);
	case LEGACY_Q_SIZE:
		return (q != NULL ? q->max : 0);
	case LEGACY_Q_SELECT:
		return (vd->queue_sel);
	case LEGACY_STATUS:
		return (vd->status);
	case LEGACY_MSIX:
		return (atomic_load(&vd->vector));
	case LEGACY_Q_MSIX:
		return (q != NULL ? atomic_load(&q->vector) : VIRTIO_NO_VECTOR);
	default:
		return (0);
	}
}

/* How wide the register at an offset is; 0: none begins there. */
static unsigned
reg_size(unsigned off)
{
	switch (off) {
	case LEGACY_HOST_FEATURES:
	case LEGACY_GUEST_FEATURES:
	case LEGACY_Q_PFN:
		return (4);
	case LEGACY_Q_SIZE:
	case LEGACY_Q_SELECT:
	case LEGACY_Q_NOTIFY:
	case LEGACY_MSIX:
	case LEGACY_Q_MSIX:
		return (2);
	case LEGACY_STATUS:
	case LEGACY_ISR:
		return (1);
	default:
		return (0);
	}
}

uint32_t
virtio_legacy_read(struct virtio_dev *vd, unsigned off, unsigned size)
{
	unsigned config = LEGACY_CONFIG + (msix_on(vd) ? LEGACY_MSIX_SIZE : 0);
	uint32_t val;

	if (off >= config)
		return (virtio_config_read(vd, off - config, size));
	if (reg_size(off) != size)
		return ((uint32_t)bus_ones(size));
	if (off == LEGACY_ISR)
		return (virtio_isr_take(vd));
	pthread_mutex_lock(&vd->lock);
	val = reg_get(vd, off);
	pthread_mutex_unlock(&vd->lock);
	return (val);
}

/* The ring begins at a page; where its parts are follows (VIRTIO 2.7.2). */
static void
set_pfn(struct virtio_dev *vd, uint32_t pfn)
{
	struct virtq *q;
	bool enable = false;

	pthread_mutex_lock(&vd->lock);
	q = selected(vd);
	if (q != NULL && pfn != 0 && !q->enabled && !q->resetting &&
	    !vd->resetting) {
		uint64_t len[3];

		q->size = q->max;
		split_sizes(q->size, len);
		q->desc_gpa = (uint64_t)pfn * LEGACY_PAGE;
		q->driver_gpa = q->desc_gpa + len[0];
		q->device_gpa = (q->driver_gpa + len[1] + LEGACY_PAGE - 1) &
				~(uint64_t)(LEGACY_PAGE - 1);
		enable = true;
	}
	pthread_mutex_unlock(&vd->lock);
	if (enable) {
		virtio_queue_enable(vd, q);
	} else if (q != NULL && pfn == 0) {
		virtio_queue_reset(vd, q);
		virtio_wait_reset(vd, RESET_MS);
	}
}

/* Lock held. */
static void
reg_set(struct virtio_dev *vd, unsigned off, uint32_t val)
{
	struct virtq *q = selected(vd);

	switch (off) {
	case LEGACY_GUEST_FEATURES:
		if ((vd->status & VIRTIO_S_DRIVER_OK) == 0)
			vd->driver_features = val;
		break;
	case LEGACY_Q_SELECT:
		vd->queue_sel = (uint16_t)val;
		break;
	case LEGACY_MSIX:
		atomic_store(&vd->vector, virtio_vector(vd, val));
		break;
	case LEGACY_Q_MSIX:
		if (q != NULL)
			atomic_store(&q->vector, virtio_vector(vd, val));
		break;
	default:
		break;
	}
}

void
virtio_legacy_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	unsigned config = LEGACY_CONFIG + (msix_on(vd) ? LEGACY_MSIX_SIZE : 0);

	if (off >= config) {
		virtio_config_write(vd, off - config, size, val);
		return;
	}
	if (reg_size(off) != size)
		return;
	if (off == LEGACY_Q_NOTIFY) {
		virtio_kick(vd, val);
	} else if (off == LEGACY_STATUS) {
		virtio_set_status(vd, (uint8_t)val);
		if (val == 0)
			virtio_wait_reset(vd, RESET_MS);
	} else if (off == LEGACY_Q_PFN) {
		set_pfn(vd, val);
	} else {
		pthread_mutex_lock(&vd->lock);
		if (!vd->resetting)
			reg_set(vd, off, val);
		pthread_mutex_unlock(&vd->lock);
	}
}
