/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/ioapic.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t addr;
	uint32_t sent, msg, off;
	struct ioapic io;
	uint8_t op, val;

	ioapic_reset(&io);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		sent = 0;
		/* The two registers that are there, or any. */
		off = op & 0x80 ? val : op & 0x40 ? 0x10 : 0;
		switch (op & 3) {
		case 0:
			sent = ioapic_set_pin(&io, val & 31, val >> 7);
			break;
		case 1:
			sent = ioapic_write(&io, off,
			    op & 0x20 ? fuzz_u32(&in) : val);
			break;
		case 2:
			(void)ioapic_read(&io, off);
			break;
		default:
			sent = ioapic_eoi(&io, val);
			break;
		}
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
			if ((sent >> pin & 1) == 0)
				continue;
			ioapic_message(&io, pin, &addr, &msg);
			FUZZ_CHECK(addr >> 20 == 0xfee);
			FUZZ_CHECK((io.rte[pin] & 1u << 16) == 0);
		}
	}
	return (0);
}
