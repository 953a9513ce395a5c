/* SPDX-License-Identifier: BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "chipset/fwcfg.h"
#include "gmem/gmem.h"

#define PORT_SELECT 0x510u
#define PORT_DATA   0x511u
#define PORT_DMA    0x514u

struct fwcfg_dev {
	pthread_mutex_t lock;
	struct fwcfg *f;
	struct gmem *gm;
};

/* What the guest puts into its memory for a transfer, big-endian. */
struct dma_access {
	uint32_t control, length;
	uint64_t address;
};

static void
data_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct fwcfg_dev *d = arg;
	uint8_t byte;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	fwcfg_read(d->f, &byte, 1);
	pthread_mutex_unlock(&d->lock);
	*val = byte;
}

static void
select_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct fwcfg_dev *d = arg;

	(void)off;
	(void)size;
	pthread_mutex_lock(&d->lock);
	fwcfg_select(d->f, (uint16_t)val);
	pthread_mutex_unlock(&d->lock);
}

/* No lock held around memory: who writes there may have to wait for other
 * processors. */
static void
transfer(struct fwcfg_dev *d, uint64_t gpa)
{
	struct dma_access a;
	struct fwcfg_out out;
	uint32_t control;
	uint64_t to;

	if (gmem_read(d->gm, gpa, &a, sizeof(a)) != 0)
		return; /* there is no place to tell of it */
	to = be64toh(a.address);
	pthread_mutex_lock(&d->lock);
	control = fwcfg_transfer(
	    d->f, be32toh(a.control), be32toh(a.length), &out);
	pthread_mutex_unlock(&d->lock);
	if ((out.len != 0 && gmem_write(d->gm, to, out.data, out.len) != 0) ||
	    (out.zeroes != 0 &&
		gmem_set(d->gm, to + out.len, 0, out.zeroes) != 0))
		control = FWCFG_DMA_ERROR;
	/* It is the first field; the guest waits for it to change. */
	control = htobe32(control);
	(void)gmem_write(d->gm, gpa, &control, sizeof(control));
}

/* Reads as "QEMU CFG", big-endian like what is written. */
static void
dma_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	static const uint8_t sig[8] = "QEMU CFG";
	unsigned i;

	(void)arg;
	*val = 0;
	for (i = 0; i < size; i++)
		*val |= (uint64_t)sig[off + i] << 8 * i;
}

static void
dma_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct fwcfg_dev *d = arg;
	uint32_t half = be32toh((uint32_t)val);
	uint64_t gpa;

	(void)size;
	pthread_mutex_lock(&d->lock);
	gpa = d->f->dma | half;
	d->f->dma = off == 0 ? (uint64_t)half << 32 : 0;
	pthread_mutex_unlock(&d->lock);
	if (off == 4)
		transfer(d, gpa);
}

/* A word at 0x510 covers 0x511 as well, which is another register. */
static const struct bus_ops select_ops = {2, true, NULL, select_write};
static const struct bus_ops data_ops = {1, false, data_read, NULL};
static const struct bus_ops dma_ops = {4, false, dma_read, dma_write};

int
fwcfg_dev_create(struct fwcfg_dev **out, struct bus_space *ports,
    struct gmem *gm, struct fwcfg *f)
{
	struct fwcfg_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		fwcfg_destroy(f);
		return (-ENOMEM);
	}
	pthread_mutex_init(&d->lock, NULL);
	d->f = f;
	d->gm = gm;
	error = bus_add(ports, "fw_cfg", PORT_SELECT, 1, &select_ops, d);
	if (error == 0)
		error = bus_add(ports, "fw_cfg", PORT_DATA, 1, &data_ops, d);
	if (error == 0)
		error = bus_add(ports, "fw_cfg", PORT_DMA, 8, &dma_ops, d);
	if (error != 0) {
		fwcfg_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
fwcfg_dev_destroy(struct fwcfg_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	fwcfg_destroy(d->f);
	free(d);
}

void
fwcfg_dev_reset(struct fwcfg_dev *d)
{
	pthread_mutex_lock(&d->lock);
	fwcfg_reset(d->f);
	pthread_mutex_unlock(&d->lock);
}

void
fwcfg_dev_dump(struct fwcfg_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &fwcfg_state, d->f);
	pthread_mutex_unlock(&d->lock);
}
