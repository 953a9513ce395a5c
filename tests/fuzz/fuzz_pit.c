/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/pit.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t now = 0, edge;
	struct pit p, q;
	uint8_t op, val;

	pit_reset(&p, now);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		if (op & 0x80)
			fuzz_pass(&in, &now);
		switch (op & 7) {
		case 0:
		case 1:
		case 2:
			pit_write(&p, op >> 3 & 3, val, now);
			break;
		case 3:
			(void)pit_read(&p, op >> 3 & 3, now);
			break;
		case 4:
			pit_port61_write(&p, val, now);
			val = pit_port61_read(&p, now);
			FUZZ_CHECK(((val & 0x20) != 0) == pit_out(&p, 2, now));
			break;
		case 5:
			pit_set_gate(&p, val % 3, op >> 3 & 1, now);
			break;
		case 6:
			edge = pit_tick(&p, val & 1, now);
			FUZZ_CHECK(p.edge > now);
			for (unsigned n = 0; edge && pit_ack(&p, now); n++)
				FUZZ_CHECK(n < TICKS_LATE_NS / TICKS_MIN_NS);
			break;
		default:
			val %= 3;
			edge = pit_next_edge(&p, val, now);
			FUZZ_CHECK(edge > now);
			if (edge == PIT_NEVER)
				break;
			/* Looking ahead is for a copy: time goes on. */
			q = p;
			FUZZ_CHECK(!pit_out(&q, val, edge - 1));
			FUZZ_CHECK(pit_out(&q, val, edge));
			if (op & 0x40)
				now = edge;
			break;
		}
		for (unsigned ch = 0; ch < 3; ch++) {
			FUZZ_CHECK(p.reload[ch] >= 1 &&
			    p.reload[ch] <= 65536);
			FUZZ_CHECK(p.mode[ch] <= 5);
		}
		if (now >> 62)
			break;
	}
	return (0);
}
