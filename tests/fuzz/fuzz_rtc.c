/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/rtc.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t now = 0, next;
	struct rtc r;
	uint8_t op, val;

	rtc_init(&r, (int64_t)fuzz_take(&in, 5), now);
	rtc_set_memory(&r, fuzz_take(&in, 4), fuzz_take(&in, 5));
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		if (op & 0x80)
			fuzz_pass(&in, &now);
		switch (op & 7) {
		case 0:
		case 1: /* the registers, rather than the memory */
			rtc_write(&r, 0, op & 8 ? val & 15 : val, now);
			break;
		case 2:
		case 3:
			rtc_write(&r, 1, val, now);
			break;
		case 4:
			(void)rtc_read(&r, val & 1, now);
			break;
		case 5:
			rtc_reset(&r, now);
			break;
		default:
			(void)rtc_update(&r, now);
			next = rtc_next(&r, now);
			FUZZ_CHECK(next > now);
			if (next != RTC_NEVER && (op & 0x40))
				now = next;
			break;
		}
		(void)rtc_time(&r, now);
		if (now >> 62)
			break;
	}
	return (0);
}
