/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtio over PCI (VIRTIO 4.1): identity, BARs, capabilities. */
#include <errno.h>
#include <string.h>

#include "device/virtio/impl.h"

#define VENDOR           0x1af4u
#define DEVICE_MODERN    0x1040u /* and the type (VIRTIO 4.1.2) */
#define SUBDEVICE_MODERN 0x1100u

#define BAR_LEGACY 0u
#define BAR_MSIX   1u
#define BAR_MODERN 4u

/* Where the structures are in the modern BAR, a page for each: one that only
 * takes notifications can be given to an engine. */
#define AT_COMMON   0x0000u
#define AT_ISR      0x1000u
#define AT_DEVICE   0x2000u
#define AT_NOTIFY   0x3000u
#define MODERN_SIZE 0x4000u
#define NOTIFY_MULT 4u /* bytes between the queues' addresses */

/* Capabilities (VIRTIO 4.1.4). */
#define CAP_VENDOR 0x09u
enum {
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_ISR = 3,
	CAP_DEVICE = 4,
	CAP_PCI = 5,
};
#define CAP_SIZE   16u
#define CAP_BAR    4u /* offsets in one */
#define CAP_OFFSET 8u
#define CAP_LENGTH 12u
#define CAP_DATA   16u /* of CAP_PCI; NOTIFY_MULT of CAP_NOTIFY */

static struct virtio_dev *
dev_of(struct pci_dev *dev)
{
	struct virtio_dev **vd = pci_dev_priv(dev);

	return (*vd);
}

/* Types that have a device ID of their own from before 1.0 (VIRTIO 4.1.2.1);
 * 0: none. */
static uint16_t
transitional_id(uint16_t type)
{
	switch (type) {
	case VIRTIO_ID_NET:
		return (0x1000);
	case VIRTIO_ID_BLOCK:
		return (0x1001);
	case VIRTIO_ID_BALLOON:
		return (0x1002);
	case VIRTIO_ID_CONSOLE:
		return (0x1003);
	case VIRTIO_ID_SCSI:
		return (0x1004);
	case VIRTIO_ID_ENTROPY:
		return (0x1005);
	case VIRTIO_ID_9P:
		return (0x1009);
	default:
		return (0);
	}
}

static int
set_identity(struct virtio_dev *vd, const struct device_conf *conf)
{
	const char *want = device_opt(conf, "interface");
	uint16_t old = transitional_id(vd->ops->id), id = vd->ops->id;

	vd->legacy_only = want != NULL && strcmp(want, "legacy") == 0;
	vd->modern_only =
	    old == 0 || (want != NULL && strcmp(want, "modern") == 0);
	if (vd->legacy_only && old == 0)
		return (device_fail(conf,
		    "interface=legacy: the device has only the modern one; "
		    "leave it out"));
	pci_cfg_set(vd->pci, PCIR_VENDOR, 2, VENDOR);
	pci_cfg_set(vd->pci, PCIR_SUBVEND, 2, VENDOR);
	pci_cfg_set(vd->pci, PCIR_CLASS, 1, vd->ops->class);
	pci_cfg_set(vd->pci, PCIR_SUBCLASS, 1, vd->ops->subclass);
	if (vd->modern_only) {
		pci_cfg_set(vd->pci, PCIR_DEVICE, 2, DEVICE_MODERN + id);
		pci_cfg_set(vd->pci, PCIR_SUBDEV, 2, SUBDEVICE_MODERN);
		pci_cfg_set(vd->pci, PCIR_REVID, 1, 1);
	} else {
		pci_cfg_set(vd->pci, PCIR_DEVICE, 2, old);
		pci_cfg_set(vd->pci, PCIR_SUBDEV, 2, id);
	}
	return (0);
}

/* Returns its offset, or -ENOSPC. */
static int
add_cap(struct virtio_dev *vd, unsigned type, uint32_t at, uint32_t len,
    unsigned size)
{
	uint8_t body[CAP_DATA + 4] = {0};
	int off;

	body[2] = (uint8_t)size;
	body[3] = (uint8_t)type;
	off = pci_cap_add(vd->pci, CAP_VENDOR, body, size);
	if (off < 0 || type == CAP_PCI)
		return (off);
	pci_cfg_set(vd->pci, (unsigned)off + CAP_BAR, 1, BAR_MODERN);
	pci_cfg_set(vd->pci, (unsigned)off + CAP_OFFSET, 4, at);
	pci_cfg_set(vd->pci, (unsigned)off + CAP_LENGTH, 4, len);
	if (type == CAP_NOTIFY)
		pci_cfg_set(vd->pci, (unsigned)off + CAP_DATA, 4, NOTIFY_MULT);
	return (off);
}

static int
add_modern(struct virtio_dev *vd)
{
	int off;

	if (vd->legacy_only)
		return (0);
	off = pci_bar_add(vd->pci, BAR_MODERN, PCI_BAR_MEM64, MODERN_SIZE);
	if (off == 0)
		off = add_cap(vd, CAP_COMMON, AT_COMMON, 0x3c, CAP_SIZE);
	if (off >= 0)
		off = add_cap(vd, CAP_ISR, AT_ISR, 1, CAP_SIZE);
	if (off >= 0 && vd->ops->config_size != 0)
		off = add_cap(
		    vd, CAP_DEVICE, AT_DEVICE, vd->ops->config_size, CAP_SIZE);
	if (off >= 0)
		off = add_cap(vd, CAP_NOTIFY, AT_NOTIFY,
		    vd->nqueues * NOTIFY_MULT, CAP_DATA + 4);
	if (off >= 0)
		off = add_cap(vd, CAP_PCI, 0, 0, CAP_DATA + 4);
	if (off < 0)
		return (off);
	vd->pci_cap = (unsigned)off;
	pci_cfg_writable(vd->pci, vd->pci_cap + CAP_BAR, 1, 0xff);
	pci_cfg_writable(vd->pci, vd->pci_cap + CAP_OFFSET, 4, UINT32_MAX);
	pci_cfg_writable(vd->pci, vd->pci_cap + CAP_LENGTH, 4, UINT32_MAX);
	return (0);
}

/* Queues that another thread serves hear of a notification by an eventfd,
 * which an engine may signal without a way through here. */
static int
add_doorbells(struct virtio_dev *vd)
{
	unsigned i;
	int error = 0;

	for (i = 0; i < vd->nqueues && error == 0; i++) {
		const struct virtq *q = &vd->queues[i];

		if (q->kickfd < 0)
			continue;
		if (!vd->legacy_only)
			error = pci_doorbell_add(vd->pci, BAR_MODERN,
			    AT_NOTIFY + i * NOTIFY_MULT, 2, -1, q->kickfd);
		if (error == 0 && !vd->modern_only)
			error = pci_doorbell_add(vd->pci, BAR_LEGACY,
			    VIRTIO_LEGACY_NOTIFY, 2, (int64_t)i, q->kickfd);
	}
	return (error);
}

/* As with bhyve: a pin and one message, and MSI-X unless -W says no. */
static int
add_interrupts(struct virtio_dev *vd)
{
	unsigned vectors = vd->nqueues + 1;
	uint32_t table = vectors * 16, pba = (table + 63) & ~63u;
	int error;

	error = pci_intx_add(vd->pci);
	if (error == 0)
		error = pci_msi_add(vd->pci, 1, false);
	if (error == 0 && vd->msix) {
		error = pci_bar_add(
		    vd->pci, BAR_MSIX, PCI_BAR_MEM32, pba + vectors / 8 + 8);
		if (error == 0)
			error =
			    pci_msix_add(vd->pci, vectors, BAR_MSIX, 0, pba);
	}
	return (error);
}

int
virtio_pci_init(struct pci_dev *dev, void *arg)
{
	struct virtio_dev **slot = pci_dev_priv(dev), *vd;
	const struct device_conf *conf = arg;
	int error;

	error = virtio_create(slot, dev, conf);
	vd = *slot;
	if (error == 0)
		error = set_identity(vd, conf);
	if (error == 0)
		error = virtio_start_device(vd, conf);
	if (error == 0 && !vd->modern_only)
		error = pci_bar_add(
		    dev, BAR_LEGACY, PCI_BAR_IO, virtio_legacy_size(vd));
	if (error == 0)
		error = add_interrupts(vd);
	if (error == 0)
		error = add_modern(vd);
	if (error == 0)
		error = add_doorbells(vd);
	return (error);
}

void
virtio_pci_fini(struct pci_dev *dev)
{
	struct virtio_dev **slot = pci_dev_priv(dev);

	virtio_destroy(*slot);
	*slot = NULL;
}

void
virtio_pci_reset(struct pci_dev *dev)
{
	virtio_reset_now(dev_of(dev));
}

void
virtio_pci_states(struct pci_dev *dev, pci_state_fn fn, void *arg)
{
	struct virtio_dev *vd = dev_of(dev);
	unsigned i;

	fn(arg, &virtio_state, vd);
	for (i = 0; i < vd->nqueues; i++)
		fn(arg, &virtq_state, &vd->queues[i]);
	if (vd->ops->state != NULL)
		fn(arg, vd->ops->state, vd->priv);
}

static uint32_t
modern_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	if (off < AT_ISR)
		return (virtio_common_read(vd, off, size));
	if (off == AT_ISR)
		return (virtio_isr_take(vd));
	if (off >= AT_DEVICE && off < AT_NOTIFY)
		return (virtio_config_read(vd, off - AT_DEVICE, size));
	return (off >= AT_NOTIFY ? 0 : (uint32_t)bus_ones(size));
}

static void
modern_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint32_t val)
{
	if (off >= AT_NOTIFY)
		/* By its address: what is written says it once more. */
		virtio_kick(vd, (off - AT_NOTIFY) / NOTIFY_MULT);
	else if (off < AT_ISR)
		virtio_common_write(vd, off, size, val);
	else if (off >= AT_DEVICE)
		virtio_config_write(vd, off - AT_DEVICE, size, val);
}

void
virtio_pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t *val)
{
	struct virtio_dev *vd = dev_of(dev);

	if (bar == BAR_MODERN)
		*val = modern_read(vd, (uint32_t)off, size);
	else if (bar == BAR_LEGACY)
		*val = virtio_legacy_read(vd, (unsigned)off, size);
}

void
virtio_pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t off,
    unsigned size, uint64_t val)
{
	struct virtio_dev *vd = dev_of(dev);

	if (bar == BAR_MODERN)
		modern_write(vd, (uint32_t)off, size, (uint32_t)val);
	else if (bar == BAR_LEGACY)
		virtio_legacy_write(vd, (unsigned)off, size, (uint32_t)val);
}

/*
 * The window in configuration space (VIRTIO 4.1.4.9): an access to its data is
 * one to the BAR. True if it goes there, and where.
 */
static bool
window(struct pci_dev *dev, unsigned off, uint32_t *at, unsigned *size)
{
	const struct virtio_dev *vd = dev_of(dev);
	uint32_t len;

	if (vd == NULL || vd->pci_cap == 0 || off < vd->pci_cap + CAP_DATA ||
	    off >= vd->pci_cap + CAP_DATA + 4 ||
	    pci_cfg_get(dev, vd->pci_cap + CAP_BAR, 1) != BAR_MODERN)
		return (false);
	*at = pci_cfg_get(dev, vd->pci_cap + CAP_OFFSET, 4);
	len = pci_cfg_get(dev, vd->pci_cap + CAP_LENGTH, 4);
	if ((len != 1 && len != 2 && len != 4) || *at % len != 0 ||
	    *at > MODERN_SIZE - len)
		return (false);
	*size = len;
	return (true);
}

void
virtio_pci_cfg_read(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t *val)
{
	struct virtio_dev *vd = dev_of(dev);
	unsigned len;
	uint32_t at;

	if (!window(dev, off, &at, &len))
		return;
	*val = modern_read(vd, at, len) >> (off - vd->pci_cap - CAP_DATA) * 8 &
	       (uint32_t)bus_ones(size);
}

void
virtio_pci_cfg_write(
    struct pci_dev *dev, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_dev *vd = dev_of(dev);
	unsigned len;
	uint32_t at;

	(void)size;
	if (window(dev, off, &at, &len) && off == vd->pci_cap + CAP_DATA)
		modern_write(vd, at, len, val & (uint32_t)bus_ones(len));
}
