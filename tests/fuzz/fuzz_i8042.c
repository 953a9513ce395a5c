/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chipset/i8042.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t op, val, codes[8];
	struct i8042 k;
	unsigned did;

	memset(&k, 0, sizeof(k));
	i8042_reset(&k);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		val = fuzz_u8(&in);
		did = 0;
		switch (op & 7) {
		case 0:
			did = i8042_read_data(&k, &val);
			break;
		case 1:
			(void)i8042_read_status(&k);
			break;
		case 2:
		case 3:
			did = i8042_write_command(&k, val);
			break;
		case 4:
			for (unsigned i = 0; i < sizeof(codes); i++)
				codes[i] = fuzz_u8(&in);
			did = i8042_key(&k, codes, val % 9);
			break;
		case 5:
			did = i8042_mouse(&k, (int)fuzz_u32(&in),
			    (int8_t)val, op >> 3);
			break;
		default:
			did = i8042_write_data(&k, val);
			break;
		}
		FUZZ_CHECK(did < 8);
		FUZZ_CHECK(k.kbd.count <= PS2_QUEUE && k.kbd.head < PS2_QUEUE);
		FUZZ_CHECK(k.aux.count <= PS2_QUEUE && k.aux.head < PS2_QUEUE);
		FUZZ_CHECK(k.nreplies <= sizeof(k.reply));
	}
	return (0);
}
