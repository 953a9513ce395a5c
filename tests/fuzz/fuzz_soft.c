/* SPDX-License-Identifier: BSD-2-Clause */
/* The soft engine on the input's bytes as they are. */
#include <string.h>

#include "softvm.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t code[SV_CODE_SIZE];
	struct fuzz_in in = { data, size };
	struct sv_head h;
	unsigned at;

	sv_head_take(&h, &in);
	at = sv_start(&h);
	memset(code, 0, sizeof(code));
	if (in.left > sizeof(code) - at)
		in.left = sizeof(code) - at;
	if (in.left > 0)
		memcpy(code + at, in.p, in.left);
	sv_run(&h, code);
	return (0);
}
