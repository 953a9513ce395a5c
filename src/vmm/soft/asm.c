/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the translator emits instructions with, as far as it is not in line in
 * tr.h. SDM volume 2, chapter 2 ("Instruction Format").
 */
#include "vmm/soft/tr.h"

void
e_mem(struct tr *t, int reg, int base, int index, int scale, int32_t disp)
{
	unsigned r = (unsigned)(reg & 7) << 3;
	unsigned b = (unsigned)(base & 7);
	unsigned mod;

	if (base < 0) { /* disp32, with or without an index */
		e1(t, r | 4);
		e1(t, (unsigned)scale << 6 |
			(index < 0 ? 4u : (unsigned)(index & 7)) << 3 | 5);
		e4(t, (uint32_t)disp);
		return;
	}
	mod = disp == 0 && b != 5 ? 0 : disp == (int8_t)disp ? 0x40 : 0x80;
	if (index >= 0 || b == 4) {
		e1(t, mod | r | 4);
		e1(t, (unsigned)scale << 6 |
			(index < 0 ? 4u : (unsigned)(index & 7)) << 3 | b);
	} else
		e1(t, mod | r | b);
	if (mod == 0x40)
		e1(t, (uint8_t)disp);
	else if (mod == 0x80)
		e4(t, (uint32_t)disp);
}

void
e_mov_imm(struct tr *t, int dst, uint64_t v)
{
	if (v == (uint32_t)v) {
		e_rex(t, 0, 0, 0, dst);
		e1(t, 0xb8u + (unsigned)(dst & 7));
		e4(t, (uint32_t)v);
	} else if (v == (uint64_t)(int32_t)v) {
		e_rex(t, 1, 0, 0, dst);
		e1(t, 0xc7);
		e1(t, 0xc0u | (unsigned)(dst & 7));
		e4(t, (uint32_t)v);
	} else {
		e_rex(t, 1, 0, 0, dst);
		e1(t, 0xb8u + (unsigned)(dst & 7));
		e8(t, v);
	}
}

void
e_rorx(struct tr *t, int w, int dst, int src, unsigned n)
{
	/* VEX.LZ.F2.0F3A F0 /r ib */
	e1(t, 0xc4);
	e1(t, (dst >= 8 ? 0 : 0x80u) | 0x40 | (src >= 8 ? 0 : 0x20u) | 3);
	e1(t, (w ? 0x80u : 0) | 0x7b);
	e1(t, 0xf0);
	e1(t, 0xc0u | (unsigned)(dst & 7) << 3 | (unsigned)(src & 7));
	e1(t, n);
}
