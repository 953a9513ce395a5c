/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soft engine on programs of valid instructions: four bytes of input
 * choose one of the forms that the comparison with the processor knows, or
 * one of those below, and its operands.
 */
#include <string.h>

#include "diff.h"
#include "softvm.h"

/* What the forms leave out: system instructions and control flow. `modrm`
 * says whether an operand follows, and which /digit (8: any). */
static const struct sys {
	uint8_t len, bytes[4], modrm, imm;
} sys[] = {
	/* CR, DR, XCR, MSR */
	{ 2, { 0x0f, 0x20 }, 8, 0 }, { 2, { 0x0f, 0x22 }, 8, 0 },
	{ 2, { 0x0f, 0x21 }, 8, 0 }, { 2, { 0x0f, 0x23 }, 8, 0 },
	{ 3, { 0x44, 0x0f, 0x22 }, 8, 0 }, { 3, { 0x44, 0x0f, 0x20 }, 8, 0 },
	{ 3, { 0x0f, 0x01, 0xd0 }, 0, 0 }, { 3, { 0x0f, 0x01, 0xd1 }, 0, 0 },
	{ 2, { 0x0f, 0x30 }, 0, 0 }, { 2, { 0x0f, 0x32 }, 0, 0 },
	{ 2, { 0x0f, 0x06 }, 0, 0 }, { 2, { 0x0f, 0x33 }, 0, 0 },
	/* tables and segments: groups 6 and 7, loads, LAR, LSL */
	{ 2, { 0x0f, 0x00 }, 8, 0 }, { 2, { 0x0f, 0x01 }, 8, 0 },
	{ 1, { 0x8e }, 8, 0 }, { 1, { 0x8c }, 8, 0 },
	{ 2, { 0x0f, 0x02 }, 8, 0 }, { 2, { 0x0f, 0x03 }, 8, 0 },
	{ 2, { 0x0f, 0xb2 }, 8, 0 }, { 2, { 0x0f, 0xb4 }, 8, 0 },
	{ 2, { 0x0f, 0xb5 }, 8, 0 }, { 2, { 0x0f, 0xa0 }, 0, 0 },
	{ 2, { 0x0f, 0xa1 }, 0, 0 }, { 2, { 0x0f, 0xa9 }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xf8 }, 0, 0 }, { 3, { 0xf3, 0x0f, 0xae }, 8, 0 },
	/* TLB and caches */
	{ 2, { 0x0f, 0x01 }, 7, 0 }, { 4, { 0x66, 0x0f, 0x38, 0x82 }, 8, 0 },
	{ 2, { 0x0f, 0x09 }, 0, 0 }, { 2, { 0x0f, 0x08 }, 0, 0 },
	{ 2, { 0x0f, 0xae }, 8, 0 }, { 3, { 0x48, 0x0f, 0xae }, 8, 0 },
	{ 2, { 0x0f, 0xc7 }, 8, 0 }, { 3, { 0x48, 0x0f, 0xc7 }, 8, 0 },
	{ 2, { 0x0f, 0x18 }, 8, 0 }, { 3, { 0x66, 0x0f, 0xae }, 8, 0 },
	/* transfers */
	{ 1, { 0xcf }, 0, 0 }, { 2, { 0x48, 0xcf }, 0, 0 },
	{ 1, { 0xc3 }, 0, 0 }, { 1, { 0xc2 }, 0, 2 }, { 1, { 0xcb }, 0, 0 },
	{ 1, { 0xca }, 0, 2 }, { 2, { 0x48, 0xcb }, 0, 0 },
	{ 1, { 0xcd }, 0, 1 }, { 1, { 0xcc }, 0, 0 }, { 1, { 0xf1 }, 0, 0 },
	{ 2, { 0x0f, 0x05 }, 0, 0 }, { 3, { 0x48, 0x0f, 0x07 }, 0, 0 },
	{ 2, { 0x0f, 0x07 }, 0, 0 }, { 2, { 0x0f, 0x34 }, 0, 0 },
	{ 2, { 0x0f, 0x35 }, 0, 0 }, { 3, { 0x48, 0x0f, 0x35 }, 0, 0 },
	{ 1, { 0xff }, 2, 0 }, { 1, { 0xff }, 3, 0 }, { 1, { 0xff }, 4, 0 },
	{ 1, { 0xff }, 5, 0 }, { 2, { 0x48, 0xff }, 3, 0 },
	{ 2, { 0x48, 0xff }, 5, 0 }, { 1, { 0x9a }, 0, 6 },
	{ 1, { 0xea }, 0, 6 }, { 1, { 0xff }, 6, 0 }, { 1, { 0x8f }, 0, 0 },
	{ 2, { 0x66, 0xff }, 8, 0 }, { 2, { 0x66, 0xc3 }, 0, 0 },
	/* stack and flags */
	{ 1, { 0x9c }, 0, 0 }, { 1, { 0x9d }, 0, 0 }, { 1, { 0xc9 }, 0, 0 },
	{ 1, { 0xc8 }, 0, 3 }, { 1, { 0x60 }, 0, 0 }, { 1, { 0x61 }, 0, 0 },
	{ 1, { 0x16 }, 0, 0 }, { 1, { 0x17 }, 0, 0 }, { 1, { 0x1f }, 0, 0 },
	{ 1, { 0xfa }, 0, 0 }, { 1, { 0xfb }, 0, 0 }, { 1, { 0xfd }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xca }, 0, 0 }, { 3, { 0x0f, 0x01, 0xcb }, 0, 0 },
	/* I/O and strings */
	{ 1, { 0xe4 }, 0, 1 }, { 1, { 0xe6 }, 0, 1 }, { 1, { 0xed }, 0, 0 },
	{ 1, { 0xef }, 0, 0 }, { 1, { 0x6c }, 0, 0 }, { 1, { 0x6d }, 0, 0 },
	{ 1, { 0x6e }, 0, 0 }, { 1, { 0x6f }, 0, 0 },
	{ 2, { 0xf3, 0x6d }, 0, 0 }, { 2, { 0xf3, 0x6e }, 0, 0 },
	{ 2, { 0xf3, 0xa4 }, 0, 0 }, { 3, { 0xf3, 0x48, 0xa5 }, 0, 0 },
	{ 2, { 0xf3, 0xaa }, 0, 0 }, { 3, { 0xf3, 0x48, 0xab }, 0, 0 },
	{ 2, { 0xf3, 0xa6 }, 0, 0 }, { 2, { 0xf2, 0xae }, 0, 0 },
	{ 3, { 0x67, 0xf3, 0xa4 }, 0, 0 }, { 3, { 0x67, 0xf3, 0xab }, 0, 0 },
	{ 2, { 0x64, 0xac }, 0, 0 }, { 2, { 0xf3, 0xad }, 0, 0 },
	{ 1, { 0xa1 }, 0, 8 }, { 1, { 0xa2 }, 0, 8 }, { 1, { 0xd7 }, 0, 0 },
	/* the rest */
	{ 1, { 0xf4 }, 0, 0 }, { 2, { 0xf3, 0x90 }, 0, 0 },
	{ 2, { 0x0f, 0xa2 }, 0, 0 }, { 2, { 0x0f, 0x31 }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xf9 }, 0, 0 }, { 3, { 0x0f, 0x01, 0xc8 }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xc9 }, 0, 0 }, { 2, { 0x0f, 0x0b }, 0, 0 },
	{ 2, { 0x0f, 0xff }, 8, 0 }, { 3, { 0x0f, 0x01, 0xef }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xee }, 0, 0 }, { 2, { 0xc6, 0xf8 }, 0, 1 },
	{ 2, { 0xc7, 0xf8 }, 0, 4 }, { 2, { 0x0f, 0xaa }, 0, 0 },
	{ 3, { 0x0f, 0x01, 0xc1 }, 0, 0 }, { 3, { 0x0f, 0x01, 0xd9 }, 0, 0 },
};
#define NSYS (sizeof(sys) / sizeof(sys[0]))

/* For 64-bit mode and for the others. */
static struct forms forms[2];

/* An operand: mostly memory by a register, some registers, some beyond. */
static unsigned
put_modrm(struct rng *r, uint8_t *p, unsigned digit)
{
	unsigned reg = digit == 8 ? rng_below(r, 8) : digit;
	uint64_t v = rng_next(r);
	unsigned mod = rng_below(r, 4), rm = rng_below(r, 8), n = 1;

	p[0] = (uint8_t)(mod << 6 | reg << 3 | rm);
	if (mod != 3 && rm == 4)
		p[n++] = (uint8_t)(v >> 56);
	if (mod == 1)
		p[n++] = (uint8_t)v;
	else if (mod == 2 || (mod == 0 && rm == 5)) {
		v = v >> 40 & 1 ? v & 0xfff : v;
		memcpy(p + n, &v, 4);
		n += 4;
	}
	return (n);
}

static unsigned
put_sys(struct rng *r, uint8_t *p, unsigned which)
{
	const struct sys *y = &sys[which % NSYS];
	uint64_t v = rng_next(r);
	unsigned n = y->len;

	memcpy(p, y->bytes, n);
	if (y->modrm != 0)
		n += put_modrm(r, p + n, y->modrm);
	if (y->imm > 2 && (v >> 60 & 3) != 0)
		/* A far pointer or an address that leads somewhere. */
		v = (SV_CODE + (v & 0x1fff)) | (v >> 50 & 0x78) << 32;
	memcpy(p + n, &v, y->imm);
	return (n + y->imm);
}

/* A short or near jump to anywhere in the program. */
static unsigned
put_jump(struct rng *r, uint8_t *p, unsigned at, unsigned start, unsigned cc)
{
	int32_t to = (int32_t)(start + rng_below(r, 512)), rel;

	if (rng_chance(r, 40)) {
		p[0] = rng_chance(r, 80) ? (uint8_t)(0x70 | (cc & 15)) :
					   (uint8_t)(0xe0 | (cc & 3));
		p[1] = (uint8_t)(int8_t)(rng_below(r, 64) - 40);
		return (2);
	}
	if (rng_chance(r, 30)) {
		p[0] = cc & 1 ? 0xe8 : 0xe9;
		rel = to - (int32_t)(at + 5);
		memcpy(p + 1, &rel, 4);
		return (5);
	}
	p[0] = 0x0f;
	p[1] = (uint8_t)(0x80 | (cc & 15));
	rel = to - (int32_t)(at + 6);
	memcpy(p + 2, &rel, 4);
	return (6);
}

static unsigned
put_insn(struct fuzz_in *in, const struct forms *fs, uint8_t *p, unsigned at,
    unsigned start)
{
	uint32_t v = fuzz_u32(in), which = v >> 8 & 0xffff;
	struct rng r = { v };
	struct insn i;

	switch (v & 15) {
	case 0:
	case 1:
	case 2:
		return (put_sys(&r, p, which));
	case 3:
		return (put_jump(&r, p, at, start, which));
	case 4: /* a store to the code itself: mov [rip+d], r */
		p[0] = 0x88;
		p[1] = (uint8_t)(0x05 | (which & 7) << 3);
		v = rng_below(&r, 64) - 32;
		memcpy(p + 2, &v, 4);
		return (6);
	case 5: /* prefixes that say nothing, or too much */
		for (v = 0; v < 1 + which % 4; v++)
			p[v] = (uint8_t)("\x66\x67\xf0\xf2\xf3\x2e\x64\x65"
			    [rng_below(&r, 8)]);
		return (v);
	default:
		if (!forms_make(fs, &fs->f[which % fs->n], &r, &i))
			return (0);
		memcpy(p, i.bytes, i.d.length);
		return (i.d.length);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t code[SV_CODE_SIZE + 32];
	struct fuzz_in in = { data, size };
	unsigned at, start;
	struct forms *fs;
	struct sv_head h;
	int32_t rel;

	sv_head_take(&h, &in);
	fs = &forms[sv_mode(&h) != SV_LONG];
	if (fs->n == 0)
		FUZZ_CHECK(forms_init(fs, fs == forms ? 64 : 32) == 0);
	at = start = sv_start(&h);
	memset(code, 0, sizeof(code));
	while (in.left > 0 && at < SV_CODE_SIZE - 16)
		at += put_insn(&in, fs, code + at, at, start);
	/* And again. */
	code[at] = 0xe9;
	rel = (int32_t)(start - (at + 5));
	memcpy(code + at + 1, &rel, 4);
	sv_run(&h, code);
	return (0);
}
