/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/uart.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct uart u;
	uint8_t op, val;
	int tx;

	uart_reset(&u);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		switch (op & 3) {
		case 0:
			tx = uart_write(&u, op >> 2 & 7, val);
			FUZZ_CHECK(tx >= -1 && tx <= 255);
			break;
		case 1:
			(void)uart_read(&u, op >> 2 & 7);
			break;
		case 2:
			for (unsigned n = op >> 2; n > 0; n--)
				uart_rx(&u, val);
			break;
		default: /* as the adapter does */
			for (unsigned n = uart_rx_room(&u); n > 0; n--)
				uart_rx(&u, val);
			FUZZ_CHECK(uart_rx_room(&u) == 0);
			break;
		}
		FUZZ_CHECK(u.count <= UART_FIFO && u.head < UART_FIFO);
		FUZZ_CHECK(uart_rx_room(&u) <= UART_FIFO);
		(void)uart_irq(&u);
	}
	return (0);
}
