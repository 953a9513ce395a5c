/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "backend/chardev/chardev.h"
#include "chipset/uart.h"

struct uart_dev {
	pthread_mutex_t lock;
	struct uart uart;
	/* Keeps input in order when the loop's thread and a vcpu both fetch;
	 * taken before `lock`, and held around chardev_read(). */
	pthread_mutex_t rx_lock;
	struct irq_source irq;
	struct chardev *cd;
};

static void
uart_dev_unlock(struct uart_dev *d)
{
	irq_want(&d->irq, uart_irq(&d->uart));
	pthread_mutex_unlock(&d->lock);
	irq_sync(&d->irq);
}

/* Fetches what there is room for. No lock held. */
static void
uart_dev_pull(void *arg)
{
	struct uart_dev *d = arg;
	uint8_t buf[UART_FIFO];
	size_t i, n, room;

	if (d->cd == NULL)
		return;
	pthread_mutex_lock(&d->rx_lock);
	for (;;) {
		pthread_mutex_lock(&d->lock);
		room = uart_rx_room(&d->uart);
		pthread_mutex_unlock(&d->lock);
		if (room == 0)
			break;
		n = chardev_read(d->cd, buf, room);
		if (n == 0)
			break;
		pthread_mutex_lock(&d->lock);
		for (i = 0; i < n; i++)
			uart_rx(&d->uart, buf[i]);
		uart_dev_unlock(d);
	}
	pthread_mutex_unlock(&d->rx_lock);
}

static void
uart_dev_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct uart_dev *d = arg;
	bool took;

	(void)size;
	pthread_mutex_lock(&d->lock);
	took = d->uart.count;
	*val = uart_read(&d->uart, (unsigned)off);
	took = took && d->uart.count == 0;
	uart_dev_unlock(d);
	if (took)
		uart_dev_pull(d);
}

static void
uart_dev_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct uart_dev *d = arg;
	uint8_t byte;
	int tx;

	(void)size;
	pthread_mutex_lock(&d->lock);
	tx = uart_write(&d->uart, (unsigned)off, (uint8_t)val);
	pthread_mutex_unlock(&d->lock);
	if (tx >= 0 && d->cd != NULL) {
		byte = (uint8_t)tx;
		chardev_write(d->cd, &byte, 1);
	}
	/* The interrupt after the byte: "empty" means that it has gone. */
	pthread_mutex_lock(&d->lock);
	uart_dev_unlock(d);
	/* FIFO on, interrupts on or loopback off: there may be room now. */
	if (off == UART_IER || off == UART_IIR_FCR || off == UART_MCR)
		uart_dev_pull(d);
}

static const struct bus_ops uart_ops = {
    1, false, uart_dev_read, uart_dev_write};

int
uart_dev_create(struct uart_dev **out, const char *name,
    struct bus_space *ports, uint16_t base, struct irq_lines *irqs,
    unsigned line, struct chardev *cd)
{
	struct uart_dev *d;
	int error;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->rx_lock, NULL);
	d->cd = cd;
	irq_source_init(&d->irq, irqs, line);
	uart_reset(&d->uart);
	error = bus_add(ports, name, base, 8, &uart_ops, d);
	if (error != 0) {
		uart_dev_destroy(d);
		return (error);
	}
	if (cd != NULL)
		chardev_start(cd, uart_dev_pull, d);
	*out = d;
	return (0);
}

void
uart_dev_destroy(struct uart_dev *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->rx_lock);
	free(d);
}

void
uart_dev_reset(struct uart_dev *d)
{
	pthread_mutex_lock(&d->lock);
	uart_reset(&d->uart);
	uart_dev_unlock(d);
	uart_dev_pull(d);
}

void
uart_dev_dump(struct uart_dev *d, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	state_dump(out, &uart_state, &d->uart);
	pthread_mutex_unlock(&d->lock);
}
