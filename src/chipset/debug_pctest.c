/* SPDX-License-Identifier: BSD-2-Clause */
/* pc-testdev and the exit port. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/state.h"
#include "chipset/debug.h"

struct exit_dev {
	void (*end)(void *arg, int status);
	void *arg;
};

struct pctest_dev {
	pthread_mutex_t lock;
	uint8_t scratch[4];
	uint64_t mem[PCTEST_MEM_SIZE / 8]; /* bytes; a state array is short */
	struct irq_source line[IRQ_LINES];
	struct exit_dev *exit;
};

static const struct state_field pctest_fields[] = {
    STATE_ARRAY(struct pctest_dev, scratch, 1),
    STATE_ARRAY(struct pctest_dev, mem, 1),
    STATE_END,
};
static const struct state_table pctest_state = {"pc-testdev", 1, pctest_fields};

static void
exit_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	(void)arg;
	(void)off;
	(void)size;
	*val = 0;
}

static void
exit_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct exit_dev *d = arg;

	(void)off;
	(void)size;
	log_info("exit port: %u", (unsigned)val);
	if (d->end != NULL)
		d->end(d->arg, (int)((val << 1 | 1) & 0xff));
}

static const struct bus_ops exit_ops = {
    1 | 2 | 4, false, exit_read, exit_write};

int
exit_dev_create(struct exit_dev **out, struct bus_space *ports, uint16_t port,
    void (*end)(void *arg, int status), void *arg)
{
	struct exit_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	d->end = end;
	d->arg = arg;
	error = bus_add(ports, "exit port", port, 4, &exit_ops, d);
	if (error != 0) {
		free(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
exit_dev_destroy(struct exit_dev *d)
{
	free(d);
}

/* An access that does not end beyond the bytes there are. */
static void
bytes_read(struct pctest_dev *d, const uint8_t *p, unsigned size, uint64_t *val)
{
	*val = 0;
	pthread_mutex_lock(&d->lock);
	memcpy(val, p, size);
	pthread_mutex_unlock(&d->lock);
}

static void
bytes_write(struct pctest_dev *d, uint8_t *p, unsigned size, uint64_t val)
{
	pthread_mutex_lock(&d->lock);
	memcpy(p, &val, size);
	pthread_mutex_unlock(&d->lock);
}

static void
scratch_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pctest_dev *d = arg;

	bytes_read(d, &d->scratch[off], size, val);
}

static void
scratch_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pctest_dev *d = arg;

	bytes_write(d, &d->scratch[off], size, val);
}

static void
mem_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct pctest_dev *d = arg;

	bytes_read(d, (uint8_t *)d->mem + off, size, val);
}

static void
mem_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pctest_dev *d = arg;

	bytes_write(d, (uint8_t *)d->mem + off, size, val);
}

static void
irq_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct pctest_dev *d = arg;

	(void)size;
	irq_want(&d->line[off], (val & 0xff) != 0);
	irq_sync(&d->line[off]);
}

/* The bus keeps accesses inside the ranges. */
static const struct bus_ops scratch_ops = {
    1 | 2 | 4, false, scratch_read, scratch_write};
static const struct bus_ops mem_ops = {
    1 | 2 | 4 | 8, false, mem_read, mem_write};
static const struct bus_ops irq_ops = {1, false, exit_read, irq_write};

int
pctest_dev_create(struct pctest_dev **out, struct bus_space *ports,
    struct bus_space *mmio, struct irq_lines *irqs,
    void (*end)(void *arg, int status), void *arg)
{
	struct pctest_dev *d;
	unsigned i;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	for (i = 0; i < IRQ_LINES; i++)
		irq_source_init(&d->line[i], irqs, i);
	error = exit_dev_create(&d->exit, ports, PCTEST_EXIT_PORT, end, arg);
	if (error == 0)
		error = bus_add(ports, "pc-testdev scratch",
		    PCTEST_SCRATCH_PORT, 4, &scratch_ops, d);
	if (error == 0)
		error = bus_add(ports, "pc-testdev irqs", PCTEST_IRQ_PORT,
		    IRQ_LINES, &irq_ops, d);
	if (error == 0)
		error = bus_add(mmio, "pc-testdev memory", PCTEST_MEM,
		    PCTEST_MEM_SIZE, &mem_ops, d);
	if (error != 0) {
		pctest_dev_destroy(d);
		return (error);
	}
	*out = d;
	return (0);
}

void
pctest_dev_destroy(struct pctest_dev *d)
{
	if (d == NULL)
		return;
	exit_dev_destroy(d->exit);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
pctest_dev_reset(struct pctest_dev *d)
{
	unsigned i;

	pthread_mutex_lock(&d->lock);
	memset(d->scratch, 0, sizeof(d->scratch));
	memset(d->mem, 0, sizeof(d->mem));
	pthread_mutex_unlock(&d->lock);
	for (i = 0; i < IRQ_LINES; i++) {
		irq_want(&d->line[i], false);
		irq_sync(&d->line[i]);
	}
}

void
pctest_dev_dump(struct pctest_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &pctest_state, d);
	pthread_mutex_unlock(&d->lock);
}
