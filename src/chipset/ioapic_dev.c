/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "chipset/ioapic.h"

struct ioapic_dev {
	pthread_mutex_t lock;
	struct ioapic io;
	/* Of ioapic_open(), to be read without the lock: most EOIs are of
	 * messages that no pin sent. */
	atomic_uint open;
	atomic_uint vectors[8];
	struct msi_sink msi;
};

/* After the entries have changed. Lock held. */
static void
ioapic_dev_note(struct ioapic_dev *d)
{
	uint32_t vectors[8];
	unsigned i;

	atomic_store(&d->open, ioapic_open(&d->io, vectors));
	for (i = 0; i < 8; i++)
		atomic_store(&d->vectors[i], vectors[i]);
}

/* Pins of edges that are counted: IRQ0's, the PIT's or an HPET's. Who has
 * ticks on another pin gets those that are late merged where an engine does not
 * tell of all EOIs. */
#define PINS_COUNTED (1u << 2)

/* Collects the messages, unlocks and sends them. */
static void
ioapic_dev_unlock(struct ioapic_dev *d, uint32_t pins)
{
	uint64_t addr[IOAPIC_PINS];
	uint32_t data[IOAPIC_PINS], counted = 0;
	unsigned i, n = 0;

	for (; pins != 0; pins &= pins - 1, n++) {
		if (PINS_COUNTED >> __builtin_ctz(pins) & 1)
			counted |= 1u << n;
		ioapic_message(
		    &d->io, (unsigned)__builtin_ctz(pins), &addr[n], &data[n]);
	}
	pthread_mutex_unlock(&d->lock);
	for (i = 0; i < n; i++) {
		trace(TRACE_intr, "ioapic %" PRIx64 " %x", addr[i], data[i]);
		if (counted >> i & 1)
			msi_want_eoi(&d->msi, addr[i], data[i]);
		msi_send(&d->msi, addr[i], data[i]);
	}
}

static void
ioapic_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct ioapic_dev *d = arg;

	(void)size;
	pthread_mutex_lock(&d->lock);
	*val = ioapic_read(&d->io, (uint32_t)off);
	pthread_mutex_unlock(&d->lock);
}

static void
ioapic_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic_dev *d = arg;
	uint32_t pins;

	(void)size;
	pthread_mutex_lock(&d->lock);
	pins = ioapic_write(&d->io, (uint32_t)off, (uint32_t)val);
	ioapic_dev_note(d);
	ioapic_dev_unlock(d, pins);
}

static const struct bus_ops ioapic_ops = {
    4, false, ioapic_dev_read, ioapic_dev_write};

int
ioapic_dev_create(struct ioapic_dev **out, struct bus_space *mmio,
    uint64_t base, const struct msi_sink *msi)
{
	struct ioapic_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->msi = *msi;
	ioapic_reset(&d->io);
	ioapic_dev_note(d);
	error = bus_add(mmio, "ioapic", base, 0x1000, &ioapic_ops, d);
	if (error != 0) {
		ioapic_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
ioapic_dev_destroy(struct ioapic_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
ioapic_dev_reset(struct ioapic_dev *d)
{
	pthread_mutex_lock(&d->lock);
	ioapic_reset(&d->io);
	ioapic_dev_note(d);
	pthread_mutex_unlock(&d->lock);
}

void
ioapic_dev_set_pin(void *arg, unsigned pin, bool level)
{
	struct ioapic_dev *d = arg;
	uint32_t pins;

	pthread_mutex_lock(&d->lock);
	pins = ioapic_set_pin(&d->io, pin, level);
	ioapic_dev_unlock(d, pins);
}

uint32_t
ioapic_dev_eoi(struct ioapic_dev *d, uint8_t vector, bool level)
{
	uint32_t pins = 0, edges = 0;

	if (!(atomic_load(&d->vectors[vector / 32]) >> vector % 32 & 1))
		return (0);
	pthread_mutex_lock(&d->lock);
	if (level)
		pins = ioapic_eoi(&d->io, vector);
	else
		edges = ioapic_edges(&d->io, vector);
	ioapic_dev_unlock(d, pins);
	return (edges);
}

bool
ioapic_dev_hears(struct ioapic_dev *d, unsigned pin)
{
	return (pin < IOAPIC_PINS && (atomic_load(&d->open) >> pin & 1));
}

void
ioapic_dev_dump(struct ioapic_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &ioapic_state, &d->io);
	pthread_mutex_unlock(&d->lock);
}
