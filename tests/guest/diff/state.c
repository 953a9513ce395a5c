/* SPDX-License-Identifier: BSD-2-Clause */
/* Random machine states and memory. */
#include <cpuid.h>
#include <string.h>

#include "diff.h"

#define FXSAVE_FCW 0
#define FXSAVE_FSW 2
#define FXSAVE_FTW 4
#define FXSAVE_MXCSR 24
#define FXSAVE_MXCSR_MASK 28
#define FXSAVE_ST 32
#define FXSAVE_XMM 160
#define XSAVE_BV 512

void
diff_layout_init(struct diff_layout *lay)
{
	uint32_t r[4], lo, hi;

	memset(lay, 0, sizeof(*lay));
	lay->total = 576;
	lay->mask = 3;
	__cpuid(1, r[0], r[1], r[2], r[3]);
	if ((r[2] & (1u << 27)) != 0) {
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		lay->mask = lo & 0xe7;
	}
	if ((lay->mask & 0xe0) != 0xe0)
		lay->mask &= 7;
	for (unsigned i = 2; i < 8; i++) {
		if (((lay->mask >> i) & 1) == 0)
			continue;
		__cpuid_count(0xd, i, r[0], r[1], r[2], r[3]);
		lay->size[i] = r[0];
		lay->off[i] = r[1];
		if (r[0] + r[1] > lay->total)
			lay->total = r[0] + r[1];
	}
	__cpuid_count(7, 0, r[0], r[1], r[2], r[3]);
	lay->fsgsbase = r[1] & 1;
}

/* Values at which arithmetic changes its mind, and plain random ones. */
uint64_t
gen_interesting(struct rng *r)
{
	static const uint64_t edge[] = { 0, 1, 2, 3, 7, 8, 0xf, 0x10, 0x1f,
		0x20, 0x3f, 0x40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000,
		0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffff80000000,
		0x5555555555555555, 0xaaaaaaaaaaaaaaaa };
	uint64_t v = rng_next(r);

	switch (rng_below(r, 8)) {
	case 0:
	case 1:
		return (edge[rng_below(r, sizeof(edge) / sizeof(edge[0]))]);
	case 2:
		return (1ull << (v & 63));
	case 3:
		return ((1ull << (v & 63)) - 1);
	case 4:
		return (v & 0xff);
	case 5:
		return ((uint64_t)(int64_t)(int32_t)v);
	default:
		return (v);
	}
}

static uint64_t
random_double(struct rng *r)
{
	static const uint64_t edge[] = { 0, 0x8000000000000000,
		0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
		0x0000000000000001, 0x000fffffffffffff, 0x7fefffffffffffff,
		0x43e0000000000000, 0xc3e0000000000000, 0x41e0000000000000,
		0x3fe0000000000000 };
	uint64_t v = rng_next(r);

	if (rng_chance(r, 35))
		return (edge[rng_below(r, sizeof(edge) / sizeof(edge[0]))]);
	/* Exponents near each other make for rounding and cancellation. */
	return ((v & 0x800fffffffffffff) |
	    (uint64_t)(0x3ff - 30 + rng_below(r, 60)) << 52);
}

static uint64_t
random_floats(struct rng *r)
{
	static const uint32_t edge[] = { 0, 0x80000000, 0x3f800000,
		0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 1,
		0x007fffff, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000 };
	uint64_t out = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t v = (uint32_t)rng_next(r);

		if (rng_chance(r, 35))
			v = edge[rng_below(r, sizeof(edge) / sizeof(edge[0]))];
		else
			v = (v & 0x807fffff) | (127 - 15 + rng_below(r, 30))
				<< 23;
		out |= (uint64_t)v << (32 * i);
	}
	return (out);
}

static uint64_t
random_halves(struct rng *r)
{
	static const uint16_t edge[] = { 0, 0x8000, 0x3c00, 0xbc00, 0x7c00,
		0xfc00, 0x7e00, 0x7c01, 1, 0x3ff, 0x7bff };
	uint64_t out = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t v = rng_next(r) & 0xffff;

		if (rng_chance(r, 30))
			v = edge[rng_below(r, sizeof(edge) / sizeof(edge[0]))];
		out |= v << (16 * i);
	}
	return (out);
}

/* len is a multiple of 8. */
static void
random_data(struct rng *r, uint8_t *p, uint32_t len)
{
	unsigned kind = 0;

	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t v;

		if (i % 32 == 0)
			kind = rng_below(r, 8);
		switch (kind) {
		case 0:
		case 1:
			v = random_double(r);
			break;
		case 2:
		case 3:
			v = random_floats(r);
			break;
		case 4:
			v = random_halves(r);
			break;
		case 5:
			v = gen_interesting(r);
			break;
		default:
			v = rng_next(r);
			break;
		}
		memcpy(p + i, &v, 8);
	}
}

static void
random_st(struct rng *r, uint8_t *p)
{
	uint64_t mant = rng_next(r);
	uint16_t exp;

	switch (rng_below(r, 10)) {
	case 0: /* zero */
		mant = 0;
		exp = 0;
		break;
	case 1: /* infinity, NaN */
		mant = rng_chance(r, 50) ? 1ull << 63 : mant | 1ull << 63;
		exp = 0x7fff;
		break;
	case 2: /* denormal, pseudo-denormal */
		exp = 0;
		break;
	case 3: /* anything, also unnormals */
		exp = (uint16_t)(mant >> 17);
		break;
	case 4: /* integers */
		mant = 1ull << 63 | rng_next(r) << 40;
		exp = (uint16_t)(0x3fff + rng_below(r, 24));
		break;
	default:
		mant |= 1ull << 63;
		exp = (uint16_t)(0x3fff - 20 + rng_below(r, 40));
		break;
	}
	exp = (uint16_t)((exp & 0x7fff) | (rng_chance(r, 50) ? 0x8000 : 0));
	memcpy(p, &mant, 8);
	memcpy(p + 8, &exp, 2);
	memset(p + 10, 0, 6);
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void
gen_xsave(struct gen *g)
{
	struct rng *r = &g->r;
	uint8_t *x = g->t->st.xsave;
	uint32_t mxcsr = 0x1f80, fcw = 0x37f, fsw, ftw = 0xff;

	memset(x, 0, DIFF_XSAVE_SIZE);
	if (rng_chance(r, 50))
		fcw = 0x7f | rng_below(r, 4) << 10 | rng_below(r, 4) << 8;
	if (rng_chance(r, 10))
		fcw &= ~rng_below(r, 64); /* some exceptions unmasked */
	fcw |= 0x40;
	if (rng_chance(r, 50))
		ftw = rng_chance(r, 50) ? 0 : rng_below(r, 256);
	fsw = rng_below(r, 8) << 11 | (rng_below(r, 16) & 7) << 8 |
	    (rng_chance(r, 50) ? 1u << 14 : 0);
	if (rng_chance(r, 20))
		fsw |= rng_below(r, 64);
	if ((fsw & 0x3f & ~fcw) != 0)
		fsw |= 0x8080; /* ES and B follow */
	if (rng_chance(r, 50)) /* rounding, DAZ, FTZ, sticky flags */
		mxcsr |= rng_below(r, 4) << 13 | rng_below(r, 2) << 15 |
		    rng_below(r, 2) << 6 | rng_below(r, 64);
	if (rng_chance(r, 10))
		mxcsr &= ~(rng_below(r, 64) << 7);
	put16(x + FXSAVE_FCW, fcw);
	put16(x + FXSAVE_FSW, fsw);
	x[FXSAVE_FTW] = (uint8_t)ftw;
	put16(x + FXSAVE_MXCSR, mxcsr);
	put16(x + FXSAVE_MXCSR_MASK, 0xffff);
	for (unsigned i = 0; i < 8; i++)
		random_st(r, x + FXSAVE_ST + 16 * i);
	random_data(r, x + FXSAVE_XMM, 256);
	for (unsigned i = 2; i < 8; i++)
		if (g->lay->size[i] != 0)
			random_data(r, x + g->lay->off[i], g->lay->size[i]);
	memcpy(x + XSAVE_BV, &g->lay->mask, 8);
}

void
gen_state(struct gen *g)
{
	struct diff_test *t = g->t;
	struct rng *r = &g->r;

	for (unsigned i = 0; i < 16; i++)
		t->st.gpr[i] = gen_interesting(r);
	/* CF PF AF ZF SF DF OF; a user's IF is always set. */
	t->st.rflags = (rng_next(r) & 0x8d5) | 0x202;
	if (rng_chance(r, 25))
		t->st.rflags |= 0x400;
	t->st.fsbase = DIFF_DATA + rng_below(r, 0x3000);
	t->st.gsbase = DIFF_DATA - rng_below(r, 0x100000);
	gen_xsave(g);
	random_data(r, t->mem, DIFF_MEM);
	t->skip_len = 0;
	t->max_access = 128;
	g->assigned = 0;
}

void
gen_stop(struct diff_test *t)
{
	memcpy(t->code + t->code_len, "\xe6\xf4\xeb\xfe", 4);
}

/*
 * What is undefined comes from the processor in the guest as well, but for
 * instructions that 64-bit mode does not have and that therefore are
 * computed: AAA, AAS (OF SF ZF PF), DAA, DAS (OF), AAM, AAD (OF AF CF), SDM
 * volume 1, appendix A, table A-2.
 */
uint64_t
gen_undefined(const ZydisDecodedInstruction *d)
{
	switch (d->mnemonic) {
	case ZYDIS_MNEMONIC_AAA:
	case ZYDIS_MNEMONIC_AAD:
	case ZYDIS_MNEMONIC_AAM:
	case ZYDIS_MNEMONIC_AAS:
	case ZYDIS_MNEMONIC_DAA:
	case ZYDIS_MNEMONIC_DAS:
		return (d->cpu_flags != NULL ? d->cpu_flags->undefined : 0);
	default:
		return (0);
	}
}

uint64_t
gen_rip(const struct diff_test *t)
{
	return (t->code_off + (t->mode == 16 ? 0 : DIFF_CODE));
}

void
gen_narrow(struct diff_test *t)
{
	if (t->mode == 64)
		return;
	for (unsigned i = 0; i < 16; i++)
		t->st.gpr[i] &= i < 8 ? 0xffffffff : 0;
}

/*
 * A linear address for an access of `size` bytes. Mostly good; sometimes
 * across lines and pages, in the page that is read-only, or nowhere. safe:
 * good and far from every edge.
 */
uint64_t
gen_target(struct gen *g, uint32_t size, bool safe)
{
	struct rng *r = &g->r;
	uint32_t kind = rng_below(r, 1000), off;
	uint32_t rw = DIFF_DATA_RW * 4096;

	if (size == 0 || size > 64)
		size = 64;
	if (safe)
		return (DIFF_DATA + 0x2400 + (rng_below(r, 0x800) & ~63u));
	if (kind < 600)
		off = rng_below(r, rw - 64) / size * size;
	else if (kind < 760)
		off = rng_below(r, rw - 64);
	else if (kind < 850)
		off = (1 + rng_below(r, rw / 64 - 2)) * 64 - 1 -
		    rng_below(r, size);
	else if (kind < 960)
		off = (1 + rng_below(r, DIFF_DATA_RW - 1)) * 4096 - 1 -
		    rng_below(r, size);
	else if (kind < 970)
		off = rw + rng_below(r, 4096 - size);
	else if (kind < 980)
		off = rw - rng_below(r, size);
	else if (kind < 990)
		off = DIFF_MEM - rng_below(r, size);
	else
		off = 0u - 64 - rng_below(r, 4000);
	return (DIFF_DATA + (uint64_t)(int64_t)(int32_t)off);
}

int
gen_gpr(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
		return (reg - ZYDIS_REGISTER_AL);
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (reg - ZYDIS_REGISTER_AH);
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (reg - ZYDIS_REGISTER_SPL + 4);
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return (reg - ZYDIS_REGISTER_AX);
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return (reg - ZYDIS_REGISTER_EAX);
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return (reg - ZYDIS_REGISTER_RAX);
	return (-1);
}
