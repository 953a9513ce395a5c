/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chipset/pm.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t now = 0;
	struct pm pm;
	uint8_t op, val;

	memset(&pm, 0, sizeof(pm));
	pm_reset(&pm);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		switch (op & 7) {
		case 0:
			(void)pm_read(&pm, val);
			break;
		case 1:
			pm_smi_command(&pm, val);
			break;
		case 2:
			if (pm_power_button(&pm))
				FUZZ_CHECK(pm.control & 1);
			break;
		case 3:
			pm_gpe(&pm, val & 7);
			break;
		case 4:
			fuzz_pass(&in, &now);
			pm_update(&pm, now);
			(void)pm_timer(now);
			FUZZ_CHECK(pm_next(&pm, now) > now);
			break;
		default:
			(void)pm_write(&pm, op >> 3, val);
			break;
		}
		(void)pm_sci(&pm);
	}
	return (0);
}
