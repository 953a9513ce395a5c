/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions whose operand is an area: FXSAVE, XSAVE, FNSTENV and those
 * that load what they store.
 */
#include <string.h>

#include "diff.h"

enum area { NONE, FX_SAVE, FX_LOAD, X_SAVE, X_LOAD, ENV_SAVE, ENV_LOAD };

static enum area
kind(const struct insn *i)
{
	switch (i->d.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		return (FX_SAVE);
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return (FX_LOAD);
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XSAVEC64:
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
		return (X_SAVE);
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return (X_LOAD);
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
		return (ENV_SAVE);
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR:
		return (ENV_LOAD);
	default:
		return (NONE);
	}
}

bool
gen_is_area(const struct insn *i)
{
	return (kind(i) != NONE);
}

static uint32_t
area_size(const struct gen *g, const struct insn *i, unsigned n)
{
	return (kind(i) == X_SAVE || kind(i) == X_LOAD ? g->lay->total :
							 i->op[n].size / 8);
}

/* EDX:EAX say which components. */
void
gen_area_components(struct gen *g, const struct insn *i)
{
	struct rng *r = &g->r;

	if (kind(i) != X_SAVE && kind(i) != X_LOAD)
		return;
	g->t->st.gpr[G_RDX] = rng_chance(r, 80) ? 0 : rng_next(r);
	g->t->st.gpr[G_RAX] = rng_chance(r, 40) ? 0xe7 :
	    rng_chance(r, 50)			? rng_below(r, 256) :
						  rng_next(r);
	g->assigned |= 1u << G_RDX | 1u << G_RAX;
}

/* Mostly aligned and in memory that can be written. */
uint64_t
gen_area_target(struct gen *g, const struct insn *i, unsigned n)
{
	uint32_t size = area_size(g, i, n), rw = DIFF_DATA_RW * 4096;
	uint32_t align = 1, off = rng_below(&g->r, rw - size);

	g->t->max_access = size > 128 ? size : 128;
	switch (kind(i)) {
	case FX_SAVE:
	case FX_LOAD:
		align = 16;
		break;
	case X_SAVE:
	case X_LOAD:
		align = 64;
		break;
	default:
		break;
	}
	if (rng_chance(&g->r, 6))
		off = rw + (rng_chance(&g->r, 50) ? 4096 : 0) -
		    rng_below(&g->r, size);
	if (!rng_chance(&g->r, 4))
		off &= ~(align - 1);
	return (DIFF_DATA + off);
}

/* SDM volume 1, 13.4.2: the header says what is there. */
static void
xsave_header(struct gen *g, uint8_t *image)
{
	struct rng *r = &g->r;
	uint64_t h[8] = { 0 }, v;

	h[0] = rng_next(r) & (rng_chance(r, 90) ? g->lay->mask : ~0ull);
	if (rng_chance(r, 45))
		h[1] = 1ull << 63 | h[0] | (rng_next(r) & g->lay->mask);
	else if (rng_chance(r, 10))
		h[1] = rng_next(r);
	if (rng_chance(r, 5)) {
		v = rng_next(r);
		h[2 + (v & 7) % 6] = v >> (v & 63);
	}
	memcpy(image + 512, h, sizeof(h));
}

void
gen_area_memory(
    struct gen *g, const struct insn *i, unsigned n, uint64_t target)
{
	struct diff_test *t = g->t;
	struct rng *r = &g->r;
	uint32_t size = area_size(g, i, n);
	uint32_t off = (uint32_t)(target - DIFF_DATA);
	uint8_t *p = t->mem + off;
	bool small = i->op[n].size / 8 == 14 || i->op[n].size / 8 == 94;

	if (target - DIFF_DATA > DIFF_MEM - size)
		return;
	switch (kind(i)) {
	case FX_SAVE:
	case X_SAVE:
		/* FOP, FIP and FDP (docs/quirks.md). */
		t->skip_off = off + 6;
		t->skip_len = 18;
		break;
	case ENV_SAVE:
		t->skip_off = off + (small ? 6 : 12);
		t->skip_len = small ? 8 : 14;
		break;
	case X_LOAD:
		xsave_header(g, p);
		/* FALLTHROUGH */
	case FX_LOAD:
		if (rng_chance(r, 85)) {
			p[26] = p[27] = 0;
			p[25] &= 0xff;
		}
		if (rng_chance(r, 50)) {
			p[0] = 0x7f;
			p[1] = 3;
		}
		break;
	case ENV_LOAD:
		if (rng_chance(r, 70))
			p[0] |= 0x3f;
		break;
	default:
		break;
	}
}
