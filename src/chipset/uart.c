/* SPDX-License-Identifier: BSD-2-Clause */
/* After the National Semiconductor PC16550D datasheet. */
#include <string.h>

#include "chipset/uart.h"

#define IER_RX       0x01u
#define IER_THRE     0x02u
#define IER_LINE     0x04u
#define IER_MODEM    0x08u
#define IER_MASK     0x0fu
#define IIR_MODEM    0x00u
#define IIR_NONE     0x01u
#define IIR_THRE     0x02u
#define IIR_RX       0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFO     0xc0u
#define FCR_ENABLE   0x01u
#define FCR_RX_RESET 0x02u
#define LCR_DLAB     0x80u
#define LSR_DR       0x01u
#define LSR_OE       0x02u
#define LSR_THRE     0x20u
#define LSR_TEMT     0x40u
#define MCR_DTR      0x01u
#define MCR_RTS      0x02u
#define MCR_OUT1     0x04u
#define MCR_OUT2     0x08u
#define MCR_LOOP     0x10u
#define MCR_MASK     0x1fu
#define MSR_DCTS     0x01u
#define MSR_DDSR     0x02u
#define MSR_TERI     0x04u
#define MSR_DDCD     0x08u
#define MSR_DELTA    0x0fu
#define MSR_CTS      0x10u
#define MSR_DSR      0x20u
#define MSR_RI       0x40u
#define MSR_DCD      0x80u

static const struct state_field uart_fields[] = {
    STATE_FIELD(struct uart, ier, 1),
    STATE_FIELD(struct uart, lcr, 1),
    STATE_FIELD(struct uart, mcr, 1),
    STATE_FIELD(struct uart, msr, 1),
    STATE_FIELD(struct uart, scr, 1),
    STATE_FIELD(struct uart, dll, 1),
    STATE_FIELD(struct uart, dlm, 1),
    STATE_ARRAY(struct uart, fifo, 1),
    STATE_FIELD(struct uart, head, 1),
    STATE_FIELD(struct uart, count, 1),
    STATE_FIELD(struct uart, trigger, 1),
    STATE_FIELD(struct uart, fifo_on, 1),
    STATE_FIELD(struct uart, overrun, 1),
    STATE_FIELD(struct uart, thre, 1),
    STATE_END,
};
const struct state_table uart_state = {"uart", 1, uart_fields};

void
uart_reset(struct uart *u)
{
	memset(u, 0, sizeof(*u));
	u->dll = 12; /* 9600 baud */
	u->trigger = 1;
	u->msr = MSR_DCD | MSR_DSR | MSR_CTS;
}

/* The modem's lines, or in loopback the outputs folded back; with the
 * changes since MSR was read. */
static void
uart_modem(struct uart *u)
{
	uint8_t new = MSR_DCD | MSR_DSR | MSR_CTS, old = u->msr;
	uint8_t delta = old & MSR_DELTA;

	if (u->mcr & MCR_LOOP) {
		new = 0;
		if (u->mcr & MCR_RTS)
			new |= MSR_CTS;
		if (u->mcr & MCR_DTR)
			new |= MSR_DSR;
		if (u->mcr & MCR_OUT1)
			new |= MSR_RI;
		if (u->mcr & MCR_OUT2)
			new |= MSR_DCD;
	}
	if ((new ^ old) & MSR_CTS)
		delta |= MSR_DCTS;
	if ((new ^ old) & MSR_DSR)
		delta |= MSR_DDSR;
	if ((new ^ old) & MSR_DCD)
		delta |= MSR_DDCD;
	if ((old & MSR_RI) && !(new &MSR_RI)) /* the trailing edge */
		delta |= MSR_TERI;
	u->msr = new | delta;
}

/* The interrupt with the highest priority (table IV). */
static uint8_t
uart_pending(const struct uart *u)
{
	if ((u->ier & IER_LINE) && u->overrun)
		return (IIR_LINE);
	if ((u->ier & IER_RX) && u->count != 0)
		return (!u->fifo_on || u->count >= u->trigger ? IIR_RX
							      : IIR_TIMEOUT);
	if ((u->ier & IER_THRE) && u->thre)
		return (IIR_THRE);
	if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTA))
		return (IIR_MODEM);
	return (IIR_NONE);
}

bool
uart_irq(const struct uart *u)
{
	return (uart_pending(u) != IIR_NONE);
}

static void
uart_put(struct uart *u, uint8_t byte)
{
	unsigned room = u->fifo_on ? UART_FIFO : 1;

	if (u->count >= room) {
		u->overrun = true;
		/* A FIFO keeps the old bytes, the single register the new. */
		if (!u->fifo_on)
			u->fifo[u->head] = byte;
		return;
	}
	u->fifo[(u->head + u->count) % UART_FIFO] = byte;
	u->count++;
}

unsigned
uart_rx_room(const struct uart *u)
{
	if (u->mcr & MCR_LOOP)
		return (0);
	/* A driver that starts empties the FIFO: until receive interrupts
	 * are on, risk one byte, not sixteen. */
	if (!u->fifo_on || !(u->ier & IER_RX))
		return (u->count == 0);
	return ((unsigned)(UART_FIFO - u->count));
}

void
uart_rx(struct uart *u, uint8_t byte)
{
	if (!(u->mcr & MCR_LOOP))
		uart_put(u, byte);
}

static uint8_t
uart_get(struct uart *u)
{
	uint8_t byte;

	if (u->count == 0)
		return (0xff);
	byte = u->fifo[u->head];
	u->head = (uint8_t)((u->head + 1) % UART_FIFO);
	u->count--;
	return (byte);
}

uint8_t
uart_read(struct uart *u, unsigned reg)
{
	uint8_t val;

	switch (reg) {
	case UART_DATA:
		return (u->lcr & LCR_DLAB ? u->dll : uart_get(u));
	case UART_IER:
		return (u->lcr & LCR_DLAB ? u->dlm : u->ier);
	case UART_IIR_FCR:
		val = uart_pending(u);
		if (val == IIR_THRE)
			u->thre = false;
		return ((uint8_t)(val | (u->fifo_on ? IIR_FIFO : 0)));
	case UART_LCR:
		return (u->lcr);
	case UART_MCR:
		return (u->mcr);
	case UART_LSR:
		val = LSR_THRE | LSR_TEMT;
		if (u->count != 0)
			val |= LSR_DR;
		if (u->overrun)
			val |= LSR_OE;
		u->overrun = false;
		return (val);
	case UART_MSR:
		val = u->msr;
		u->msr &= (uint8_t)~MSR_DELTA;
		return (val);
	case UART_SCR:
		return (u->scr);
	default:
		return (0xff);
	}
}

static void
uart_write_fcr(struct uart *u, uint8_t val)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};
	bool on = (val & FCR_ENABLE) != 0;

	/* Changing modes empties the FIFOs; the other bits count only with
	 * bit 0 set (FIFO Control Register). */
	if (on != u->fifo_on || (on && (val & FCR_RX_RESET)))
		u->head = u->count = 0;
	u->fifo_on = on;
	u->trigger = on ? triggers[val >> 6] : 1;
}

int
uart_write(struct uart *u, unsigned reg, uint8_t val)
{
	switch (reg) {
	case UART_DATA:
		if (u->lcr & LCR_DLAB) {
			u->dll = val;
			break;
		}
		u->thre = true; /* sent already */
		if (!(u->mcr & MCR_LOOP))
			return (val);
		uart_put(u, val);
		break;
	case UART_IER:
		if (u->lcr & LCR_DLAB) {
			u->dlm = val;
			break;
		}
		/* Enabling the interrupt with the transmitter empty raises
		 * it; drivers test for that. */
		if ((val & IER_THRE) && !(u->ier & IER_THRE))
			u->thre = true;
		u->ier = val & IER_MASK;
		break;
	case UART_IIR_FCR:
		uart_write_fcr(u, val);
		break;
	case UART_LCR:
		u->lcr = val;
		break;
	case UART_MCR:
		u->mcr = val & MCR_MASK;
		uart_modem(u);
		break;
	case UART_SCR:
		u->scr = val;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
	return (-1);
}
