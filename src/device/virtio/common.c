/* SPDX-License-Identifier: BSD-2-Clause */
/* The common configuration structure (VIRTIO 4.1.4.3). */
#include "device/virtio/impl.h"

/* A modern driver waits for the end of a reset by itself (VIRTIO 4.1.4.3.2),
 * but it sleeps meanwhile: most resets are over before that. */
#define RESET_MS 100u

enum {
	COMMON_DFSELECT = 0x00,
	COMMON_DF = 0x04,
	COMMON_GFSELECT = 0x08,
	COMMON_GF = 0x0c,
	COMMON_MSIX = 0x10,
	COMMON_NUMQ = 0x12,
	COMMON_STATUS = 0x14,
	COMMON_GENERATION = 0x15,
	COMMON_Q_SELECT = 0x16,
	COMMON_Q_SIZE = 0x18,
	COMMON_Q_MSIX = 0x1a,
	COMMON_Q_ENABLE = 0x1c,
	COMMON_Q_NOFF = 0x1e,
	COMMON_Q_DESC = 0x20,
	COMMON_Q_DRIVER = 0x28,
	COMMON_Q_DEVICE = 0x30,
	COMMON_Q_NDATA = 0x38,
	COMMON_Q_RESET = 0x3a,
	COMMON_SIZE = 0x3c,
};

/* Offset and size of each field; addresses are written by halves. */
static const struct {
	uint8_t off, size;
} fields[] = {
    {COMMON_DFSELECT, 4},
    {COMMON_DF, 4},
    {COMMON_GFSELECT, 4},
    {COMMON_GF, 4},
    {COMMON_MSIX, 2},
    {COMMON_NUMQ, 2},
    {COMMON_STATUS, 1},
    {COMMON_GENERATION, 1},
    {COMMON_Q_SELECT, 2},
    {COMMON_Q_SIZE, 2},
    {COMMON_Q_MSIX, 2},
    {COMMON_Q_ENABLE, 2},
    {COMMON_Q_NOFF, 2},
    {COMMON_Q_DESC, 4},
    {COMMON_Q_DESC + 4, 4},
    {COMMON_Q_DRIVER, 4},
    {COMMON_Q_DRIVER + 4, 4},
    {COMMON_Q_DEVICE, 4},
    {COMMON_Q_DEVICE + 4, 4},
    {COMMON_Q_NDATA, 2},
    {COMMON_Q_RESET, 2},
};

static uint32_t
half(uint64_t val, unsigned off)
{
	return ((uint32_t)(val >> (off & 4) * 8));
}

static void
set_half(uint64_t *reg, unsigned off, uint32_t val)
{
	*reg = (off & 4) != 0 ? (*reg & UINT32_MAX) | (uint64_t)val << 32
			      : (*reg >> 32 << 32) | val;
}

/* The selected queue, or NULL: there is none. Lock held. */
static struct virtq *
selected(struct virtio_dev *vd)
{
	return (
	    vd->queue_sel < vd->nqueues ? &vd->queues[vd->queue_sel] : NULL);
}

static uint32_t
queue_get(const struct virtq *q, unsigned off)
{
	switch (off) {
	case COMMON_Q_SIZE:
		return (q->size);
	case COMMON_Q_MSIX:
		return (atomic_load(&q->vector));
	case COMMON_Q_ENABLE:
		return (q->enabled && !q->resetting);
	case COMMON_Q_NOFF:
	case COMMON_Q_NDATA:
		return (q->index);
	case COMMON_Q_DESC:
	case COMMON_Q_DESC + 4:
		return (half(q->desc_gpa, off));
	case COMMON_Q_DRIVER:
	case COMMON_Q_DRIVER + 4:
		return (half(q->driver_gpa, off));
	case COMMON_Q_DEVICE:
	case COMMON_Q_DEVICE + 4:
		return (half(q->device_gpa, off));
	case COMMON_Q_RESET:
		return (q->resetting);
	default:
		return (0);
	}
}

static uint32_t
field_get(struct virtio_dev *vd, unsigned off)
{
	const struct virtq *q = selected(vd);

	switch (off) {
	case COMMON_DFSELECT:
		return (vd->feature_sel);
	case COMMON_DF:
		return (vd->feature_sel < 2
			    ? (uint32_t)(vd->offered >> vd->feature_sel * 32)
			    : 0);
	case COMMON_GFSELECT:
		return (vd->driver_sel);
	case COMMON_GF:
		return (vd->driver_sel < 2 ? (uint32_t)(vd->driver_features >>
							vd->driver_sel * 32)
					   : 0);
	case COMMON_MSIX:
		return (atomic_load(&vd->vector));
	case COMMON_NUMQ:
		return (vd->nqueues);
	case COMMON_STATUS:
		return (vd->status);
	case COMMON_GENERATION:
		return (vd->generation);
	case COMMON_Q_SELECT:
		return (vd->queue_sel);
	default:
		return (q != NULL ? queue_get(q, off) : 0);
	}
}

uint32_t
virtio_common_read(struct virtio_dev *vd, unsigned off, unsigned size)
{
	uint32_t val = 0, byte;
	unsigned i, n;

	/* Narrow and crossing reads get the bytes of the fields. */
	pthread_mutex_lock(&vd->lock);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (n = 0; n < fields[i].size; n++) {
			unsigned at = fields[i].off + n;

			if (at < off || at - off >= size)
				continue;
			byte = field_get(vd, fields[i].off) >> n * 8 & 0xff;
			val |= byte << (at - off) * 8;
		}
	}
	pthread_mutex_unlock(&vd->lock);
	return (val);
}

/* Of the queue that is selected, while it is not in use (VIRTIO 4.1.4.3.2).
 * Lock held. */
static void
queue_set(struct virtio_dev *vd, struct virtq *q, unsigned off, uint32_t val)
{
	bool packed = (vd->driver_features & VIRTIO_F_RING_PACKED) != 0;

	if (off == COMMON_Q_MSIX) {
		atomic_store(&q->vector, virtio_vector(vd, val));
		return;
	}
	if (q->enabled || q->resetting)
		return;
	switch (off) {
	case COMMON_Q_SIZE:
		/* A split ring's is a power of two (VIRTIO 2.7). */
		if (val != 0 && val <= q->max &&
		    (packed || (val & (val - 1)) == 0))
			q->size = (uint16_t)val;
		break;
	case COMMON_Q_DESC:
	case COMMON_Q_DESC + 4:
		set_half(&q->desc_gpa, off, val);
		break;
	case COMMON_Q_DRIVER:
	case COMMON_Q_DRIVER + 4:
		set_half(&q->driver_gpa, off, val);
		break;
	case COMMON_Q_DEVICE:
	case COMMON_Q_DEVICE + 4:
		set_half(&q->device_gpa, off, val);
		break;
	default:
		break;
	}
}

/* Writes that are not only kept. No lock held. True: it was one. */
static bool
field_act(struct virtio_dev *vd, unsigned off, uint32_t val)
{
	struct virtq *q;

	if (off == COMMON_STATUS) {
		virtio_set_status(vd, (uint8_t)val);
		if (val == 0)
			virtio_wait_reset(vd, RESET_MS);
		return (true);
	}
	if (off != COMMON_Q_ENABLE && off != COMMON_Q_RESET)
		return (false);
	pthread_mutex_lock(&vd->lock);
	q = selected(vd);
	pthread_mutex_unlock(&vd->lock);
	if (q == NULL || val != 1)
		return (true);
	if (off == COMMON_Q_ENABLE) {
		virtio_queue_enable(vd, q);
	} else if (virtio_has(vd, VIRTIO_F_RING_RESET)) {
		virtio_queue_reset(vd, q);
		virtio_wait_reset(vd, RESET_MS);
	}
	return (true);
}

/* Lock held. */
static void
field_set(struct virtio_dev *vd, unsigned off, uint32_t val)
{
	struct virtq *q = selected(vd);

	switch (off) {
	case COMMON_DFSELECT:
		vd->feature_sel = val;
		break;
	case COMMON_GFSELECT:
		vd->driver_sel = val;
		break;
	case COMMON_GF:
		/* VIRTIO 3.1.1: settled with FEATURES_OK. */
		if (vd->driver_sel < 2 &&
		    (vd->status & VIRTIO_S_FEATURES_OK) == 0)
			set_half(&vd->driver_features, vd->driver_sel * 4, val);
		break;
	case COMMON_MSIX:
		atomic_store(&vd->vector, virtio_vector(vd, val));
		break;
	case COMMON_Q_SELECT:
		vd->queue_sel = (uint16_t)val;
		break;
	default:
		if (q != NULL)
			queue_set(vd, q, off, val);
		break;
	}
}

void
virtio_common_write(
    struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	unsigned i;

	/* VIRTIO 4.1.3.1: a driver writes fields whole. */
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].off == off && fields[i].size == size)
			break;
	if (i == sizeof(fields) / sizeof(fields[0]))
		return;
	if (field_act(vd, off, val))
		return;
	pthread_mutex_lock(&vd->lock);
	if (!vd->resetting)
		field_set(vd, off, val);
	pthread_mutex_unlock(&vd->lock);
}
