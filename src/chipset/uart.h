/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_UART_H
#define LHYVE_CHIPSET_UART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/irq.h"
#include "bus/space.h"

#define UART_FIFO 16

/* The 16550A. Pure core. The transmitter takes no time: a byte written is
 * gone at once. Nor does the receiver's character timeout: bytes below the
 * trigger level report it right away. */
struct uart {
	uint8_t ier, lcr, mcr, msr, scr, dll, dlm;
	uint8_t fifo[UART_FIFO];
	uint8_t head, count;
	uint8_t trigger; /* bytes */
	bool fifo_on;
	bool overrun;
	bool thre; /* transmitter-empty interrupt pending */
};
extern const struct state_table uart_state;

/* Register offsets. */
enum {
	UART_DATA,
	UART_IER,
	UART_IIR_FCR,
	UART_LCR,
	UART_MCR,
	UART_LSR,
	UART_MSR,
	UART_SCR,
};

void uart_reset(struct uart *u);
uint8_t uart_read(struct uart *u, unsigned reg);
/* Returns the byte to transmit, or -1. */
int uart_write(struct uart *u, unsigned reg, uint8_t val);
/* How many bytes the line may bring now. */
unsigned uart_rx_room(const struct uart *u);
/* A byte arrives; without room it is an overrun. */
void uart_rx(struct uart *u, uint8_t byte);
/* Level of the interrupt output. Not gated by OUT2: as bhyve. */
bool uart_irq(const struct uart *u);

struct chardev;
/* The adapter: 8 ports at base, an interrupt line, a backend (not owned). */
struct uart_dev;
int uart_dev_create(struct uart_dev **out, const char *name,
    struct bus_space *ports, uint16_t base, struct irq_lines *irqs,
    unsigned line, struct chardev *cd);
void uart_dev_destroy(struct uart_dev *d);
void uart_dev_reset(struct uart_dev *d);
void uart_dev_dump(struct uart_dev *d, FILE *out);

#endif
