/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/hpet.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t now = 0, next;
	uint32_t off, fired;
	struct hpet h;
	uint8_t op;
	int line;

	hpet_reset(&h, now);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		/* Registers that are there, or any dword of the page. */
		off = fuzz_u8(&in) * 4u;
		if (op & 0x40)
			off = op & 0x20 ? 0x100 + (off & 0xfc) : off & 0x3c;
		if (op & 0x80)
			fuzz_pass(&in, &now);
		fired = hpet_expire(&h, op & 4 ? 0xff : op, now);
		FUZZ_CHECK(fired < 1u << HPET_TIMERS);
		FUZZ_CHECK((hpet_ack(&h, off, now) & ~off) == 0);
		FUZZ_CHECK(hpet_waiting(&h) < 1u << HPET_TIMERS);
		switch (op & 3) {
		case 0:
			(void)hpet_read(&h, off, now);
			break;
		case 1:
			next = hpet_next(&h);
			if (next == HPET_NEVER)
				break;
			FUZZ_CHECK(next > now);
			if (op & 0x10)
				now = next;
			break;
		default:
			hpet_write(&h, off,
			    op & 8 ? fuzz_u32(&in) : fuzz_u8(&in), now);
			break;
		}
		for (unsigned t = 0; t < HPET_TIMERS; t++) {
			line = hpet_line(&h, t);
			FUZZ_CHECK(line >= -1 && line < 32);
			(void)hpet_level(&h, t);
		}
		if (now >> 60)
			break;
	}
	return (0);
}
