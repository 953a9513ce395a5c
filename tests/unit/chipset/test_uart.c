/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/uart.h"

static struct uart u;

static void
test_probe(void **state)
{
	(void)state;
	uart_reset(&u);
	assert_int_equal(uart_read(&u, UART_LSR), 0x60);
	assert_int_equal(uart_read(&u, UART_MSR), 0xb0);
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0x01);
	/* The steps by which Linux finds a 16550A: scratch, IER's bits,
	 * loopback, FIFO bits of IIR, no EFR, no 64-byte FIFO. */
	uart_write(&u, UART_SCR, 0xa5);
	assert_int_equal(uart_read(&u, UART_SCR), 0xa5);
	uart_write(&u, UART_IER, 0xff);
	assert_int_equal(uart_read(&u, UART_IER), 0x0f);
	uart_write(&u, UART_IER, 0);
	uart_write(&u, UART_MCR, 0x1a);
	assert_int_equal(uart_read(&u, UART_MSR) & 0xf0, 0x90);
	uart_write(&u, UART_MCR, 0);
	uart_write(&u, UART_IIR_FCR, 0x01);
	assert_int_equal(uart_read(&u, UART_IIR_FCR) >> 6, 3);
	uart_write(&u, UART_LCR, 0x80);
	uart_write(&u, UART_IIR_FCR, 0x21);
	assert_int_equal(uart_read(&u, UART_IIR_FCR) >> 5, 6);
	uart_write(&u, UART_DATA, 1);
	uart_write(&u, UART_IER, 2);
	assert_int_equal(uart_read(&u, UART_DATA), 1);
	assert_int_equal(uart_read(&u, UART_IER), 2);
	uart_write(&u, UART_LCR, 0x03);
	assert_int_equal(uart_read(&u, UART_IER), 0);
	assert_int_equal(uart_read(&u, 8), 0xff);
}

static void
test_transmit(void **state)
{
	(void)state;
	uart_reset(&u);
	assert_int_equal(uart_write(&u, UART_DATA, 'x'), 'x');
	assert_false(uart_irq(&u));
	/* Enabling raises THRE; reading IIR clears it. */
	uart_write(&u, UART_IER, 0x02);
	assert_true(uart_irq(&u));
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0x02);
	assert_false(uart_irq(&u));
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0x01);
	uart_write(&u, UART_DATA, 'y');
	assert_true(uart_irq(&u));
	(void)uart_read(&u, UART_IIR_FCR);
	/* Off and on again: Linux tests a bug of old chips that way. */
	uart_write(&u, UART_IER, 0);
	uart_write(&u, UART_IER, 0x02);
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0x02);
}

static void
test_receive(void **state)
{
	int i;

	(void)state;
	uart_reset(&u);
	/* Without FIFO: one byte, the newest wins. */
	assert_int_equal(uart_rx_room(&u), 1);
	uart_rx(&u, 'a');
	assert_int_equal(uart_rx_room(&u), 0);
	uart_rx(&u, 'b');
	assert_int_equal(uart_read(&u, UART_LSR), 0x63);
	assert_int_equal(uart_read(&u, UART_LSR), 0x61); /* OE read once */
	assert_int_equal(uart_read(&u, UART_DATA), 'b');
	assert_int_equal(uart_read(&u, UART_LSR), 0x60);
	/* FIFO, trigger at 8. */
	uart_write(&u, UART_IIR_FCR, 0x81);
	uart_write(&u, UART_IER, 0x05);
	assert_int_equal(uart_rx_room(&u), 16);
	uart_rx(&u, '0');
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0xcc); /* timeout */
	for (i = 1; i < 8; i++)
		uart_rx(&u, (uint8_t)('0' + i));
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0xc4);
	for (; i < 16; i++)
		uart_rx(&u, (uint8_t)('0' + i));
	assert_int_equal(uart_rx_room(&u), 0);
	/* The seventeenth is lost, the line status comes first. */
	uart_rx(&u, 'z');
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0xc6);
	assert_int_equal(uart_read(&u, UART_LSR), 0x63);
	for (i = 0; i < 16; i++)
		assert_int_equal(uart_read(&u, UART_DATA), '0' + i);
	assert_int_equal(uart_read(&u, UART_DATA), 0xff);
	assert_false(uart_irq(&u));
	/* Reset of the receive FIFO. */
	uart_rx(&u, 'a');
	uart_write(&u, UART_IIR_FCR, 0x83);
	assert_int_equal(uart_read(&u, UART_LSR), 0x60);
}

static void
test_loopback(void **state)
{
	(void)state;
	uart_reset(&u);
	uart_write(&u, UART_MCR, 0x10);
	/* All lines fell, RI has no edge yet. */
	assert_int_equal(uart_read(&u, UART_MSR), 0x0b);
	assert_int_equal(uart_read(&u, UART_MSR), 0x00);
	uart_write(&u, UART_MCR, 0x1f);
	assert_int_equal(uart_read(&u, UART_MSR), 0xfb);
	uart_write(&u, UART_IER, 0x08);
	uart_write(&u, UART_MCR, 0x1b); /* OUT1 falls: trailing edge */
	assert_true(uart_irq(&u));
	assert_int_equal(uart_read(&u, UART_IIR_FCR), 0x00);
	assert_int_equal(uart_read(&u, UART_MSR), 0xb4);
	assert_false(uart_irq(&u));
	/* Bytes come back, the line's are shut out. */
	assert_int_equal(uart_write(&u, UART_DATA, 'q'), -1);
	assert_int_equal(uart_rx_room(&u), 0);
	uart_rx(&u, 'x');
	assert_int_equal(uart_read(&u, UART_DATA), 'q');
	assert_int_equal(uart_read(&u, UART_LSR), 0x60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_transmit),
	    cmocka_unit_test(test_receive),
	    cmocka_unit_test(test_loopback),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
