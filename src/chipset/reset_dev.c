/* SPDX-License-Identifier: BSD-2-Clause */
/* Reset control register, fast A20 and reset, POST codes: a byte each, so
 * the atomics are all the state machine there is. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "chipset/pm.h"

#define RESET_CPU  0x04u /* 0xcf9: any reset, hard or soft */
#define FAST_RESET 0x01u
#define FAST_A20   0x02u

struct reset_dev {
	atomic_uchar control; /* 0xcf9, as written last */
	atomic_uchar fast;    /* 0x92 */
	void (*reset)(void *arg);
	void *arg;
	void (*a20)(void *arg);
	void *a20_arg;
};

static const struct state_field reset_fields[] = {
    STATE_FIELD(struct reset_dev, control, 1),
    STATE_FIELD(struct reset_dev, fast, 1),
    STATE_END,
};
static const struct state_table reset_state = {"reset", 1, reset_fields};

static void
reset_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct reset_dev *d = arg;

	(void)off;
	(void)size;
	*val = atomic_load(&d->control);
}

static void
reset_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct reset_dev *d = arg;

	(void)off;
	(void)size;
	atomic_store(&d->control, (unsigned char)val);
	if ((val & RESET_CPU) && d->reset != NULL)
		d->reset(d->arg);
}

static void
fast_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct reset_dev *d = arg;

	(void)off;
	(void)size;
	*val = atomic_load(&d->fast);
}

static void
fast_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct reset_dev *d = arg;
	unsigned char old;

	(void)off;
	(void)size;
	old = atomic_exchange(&d->fast, (unsigned char)val);
	if (((val ^ old) & FAST_A20) && d->a20 != NULL)
		d->a20(d->a20_arg);
	/* PS/2: a rising edge of bit 0 pulses RESET. */
	if ((val & FAST_RESET) && !(old & FAST_RESET) && d->reset != NULL)
		d->reset(d->arg);
}

static void
post_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	(void)arg;
	(void)off;
	(void)size;
	trace(TRACE_io, "POST %02x", (unsigned)val);
}

static const struct bus_ops reset_ops = {1, false, reset_read, reset_write};
static const struct bus_ops fast_ops = {1, false, fast_read, fast_write};
static const struct bus_ops post_ops = {1, false, NULL, post_write};

int
reset_dev_create(struct reset_dev **out, struct bus_space *ports,
    void (*reset)(void *arg), void *arg, void (*a20)(void *arg),
    void *a20_arg)
{
	struct reset_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	d->reset = reset;
	d->arg = arg;
	d->a20 = a20;
	d->a20_arg = a20_arg;
	atomic_init(&d->fast, FAST_A20);
	error = bus_add(ports, "reset control", 0xcf9, 1, &reset_ops, d);
	if (error == 0)
		error = bus_add(ports, "port 92", 0x92, 1, &fast_ops, d);
	if (error == 0)
		error = bus_add(ports, "post", 0x80, 1, &post_ops, d);
	if (error == 0)
		error = bus_add(ports, "post", 0x84, 1, &post_ops, d);
	if (error != 0) {
		reset_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
reset_dev_destroy(struct reset_dev *d)
{
	free(d);
}

void
reset_dev_reset(struct reset_dev *d)
{
	atomic_store(&d->control, 0);
	atomic_store(&d->fast, FAST_A20);
	if (d->a20 != NULL)
		d->a20(d->a20_arg);
}

bool
reset_dev_a20(struct reset_dev *d)
{
	return ((atomic_load(&d->fast) & FAST_A20) != 0);
}

void
reset_dev_dump(struct reset_dev *d, FILE *out)
{
	state_dump(out, &reset_state, d);
}
