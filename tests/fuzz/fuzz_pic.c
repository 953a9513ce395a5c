/* SPDX-License-Identifier: BSD-2-Clause */
#include "chipset/pic.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct pic p;
	uint8_t op, val;
	bool out;
	int vec;

	pic_reset(&p);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		switch (op & 7) {
		case 0:
		case 1:
			pic_set_pin(&p, val & 15, (val & 0x80) != 0);
			break;
		case 2:
		case 3:
			pic_write(&p, op >> 3 & 1, op >> 4 & 1, val);
			break;
		case 4:
			(void)pic_read(&p, op >> 3 & 1, op >> 4 & 1);
			break;
		case 5:
			pic_elcr_write(&p, op >> 3 & 1, val);
			val = pic_elcr_read(&p, op >> 3 & 1);
			FUZZ_CHECK((val & (op >> 3 & 1 ? 0x21 : 0x07)) == 0);
			break;
		default:
			out = pic_output(&p);
			vec = pic_ack(&p);
			FUZZ_CHECK(vec >= -1 && vec <= 255);
			FUZZ_CHECK(out == (vec >= 0));
			break;
		}
	}
	return (0);
}
