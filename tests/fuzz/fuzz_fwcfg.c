/* SPDX-License-Identifier: BSD-2-Clause */
/* The fw_cfg device, through its ports and by DMA. */
#include <string.h>

#include "chipset/fwcfg.h"
#include "fuzz.h"
#include "gmem/gmem.h"

#define RAM 0x10000u

static void
files(struct fwcfg *f, struct fuzz_in *in)
{
	static const uint8_t data[4096];
	char name[FWCFG_NAME_MAX + 2];
	unsigned len;

	for (unsigned n = fuzz_u8(in) & 7; n > 0; n--) {
		len = fuzz_u8(in) % sizeof(name);
		memset(name, 'a' + (int)n, sizeof(name));
		name[len] = '\0';
		(void)fwcfg_add_file(f, name, data, fuzz_take(in, 2) & 4095);
	}
	FUZZ_CHECK(fwcfg_seal(f) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct bus_space *ports;
	struct fwcfg_dev *d;
	struct fwcfg *f;
	struct gmem *gm;
	uint64_t val;
	uint8_t op;

	FUZZ_CHECK(bus_space_create(&ports, "io", 0x10000) == 0);
	FUZZ_CHECK(gmem_create(&gm, RAM) == 0);
	FUZZ_CHECK(fwcfg_create(&f) == 0);
	files(f, &in);
	FUZZ_CHECK(fwcfg_dev_create(&d, ports, gm, f) == 0);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		switch (op & 3) {
		case 0:
			(void)bus_read(ports, 0x510 + (op >> 4), 1u << (op >> 2
			    & 3), &val);
			break;
		case 1:
			(void)bus_write(ports, 0x510 + (op >> 4),
			    1u << (op >> 2 & 3), fuzz_u32(&in));
			break;
		case 2:
			/* Words for a transfer, somewhere on a page. */
			val = fuzz_u64(&in);
			(void)gmem_write(gm, 8 * (op >> 2), &val, 8);
			break;
		default:
			(void)bus_write(ports, 0x510, 2,
			    op & 0x80 ? fuzz_take(&in, 2) : op >> 2 & 0x3f);
			break;
		}
		if (op == 0xff)
			fwcfg_dev_reset(d);
		FUZZ_CHECK(fwcfg_left(f) <= 4 + 8 * 64 || fwcfg_left(f) < 4096);
	}
	fwcfg_dev_destroy(d);
	gmem_destroy(gm);
	bus_space_destroy(ports);
	return (0);
}
