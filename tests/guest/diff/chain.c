/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test of several instructions in one block: what one leaves in registers
 * and flags, the next ones use. Two registers and RSP are kept as pointers;
 * all memory operands go through them or are RIP-relative.
 */
#include <string.h>

#include "diff.h"

struct chain {
	struct gen g;
	int ptr[2];
	uint32_t len;
};

static bool
reserved(const struct chain *c, int reg)
{
	return (reg == G_RSP || reg == c->ptr[0] || reg == c->ptr[1]);
}

/* Extensions that few processors have: #UD would end the chain. */
static bool
rare(const struct insn *i)
{
	const char *name = ZydisMnemonicGetString(i->d.mnemonic);

	switch (i->d.meta.isa_ext) {
	case ZYDIS_ISA_EXT_AMD3DNOW:
	case ZYDIS_ISA_EXT_FMA4:
	case ZYDIS_ISA_EXT_KNC:
	case ZYDIS_ISA_EXT_KNCE:
	case ZYDIS_ISA_EXT_KNCV:
	case ZYDIS_ISA_EXT_MCOMMIT:
	case ZYDIS_ISA_EXT_SSE4A:
	case ZYDIS_ISA_EXT_TBM:
	case ZYDIS_ISA_EXT_XOP:
		return (true);
	default:
		/* AVX512ER, AVX512PF, VP2INTERSECT, 4FMAPS */
		return (strstr(name, "28") != NULL ||
		    strstr(name, "pf") != NULL ||
		    strncmp(name, "vp2", 3) == 0 ||
		    strncmp(name, "v4", 2) == 0 ||
		    strncmp(name, "vp4", 3) == 0);
	}
}

/* Instructions whose addresses depend on what ran before. */
static bool
suitable(const struct insn *i)
{
	/* EVEX.X is nothing to a general register, but some AMD processors
	 * then read an RSP that knows nothing of the last PUSH. */
	if (i->d.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX &&
	    i->d.raw.evex.X == 0)
		for (unsigned n = 0; n < i->d.operand_count; n++)
			if (i->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			    gen_gpr(i->op[n].reg.value) == G_RSP)
				return (false);
	switch (i->d.mnemonic) {
	/* With REX.B it is XCHG for some. */
	case ZYDIS_MNEMONIC_PAUSE:
		return (i->d.raw.rex.B == 0);
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return (i->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    i->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER);
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_XLAT:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	/* Unmasks exceptions: the chain would end there too often. */
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_FLDCW:
		return (false);
	default:
		return (i->d.meta.category != ZYDIS_CATEGORY_STRINGOP &&
		    i->d.mnemonic != ZYDIS_MNEMONIC_XGETBV &&
		    !gen_is_area(i) && !rare(i));
	}
}

static bool
writes_pointer(const struct chain *c, const struct insn *i)
{
	const ZydisDecodedOperand *op;
	int reg;

	for (unsigned n = 0; n < i->d.operand_count; n++) {
		op = &i->op[n];
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0)
			continue;
		reg = gen_gpr(op->reg.value);
		/* The stack pointer may move by PUSH and POP. */
		if (reg == G_RSP &&
		    op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		if (reg >= 0 && reserved(c, reg))
			return (true);
	}
	return (false);
}

/* Rewrites the ModRM byte of a memory operand to [pointer + disp] or
 * [RIP + disp], and keeps the displacement small. */
static bool
redirect(struct chain *c, struct insn *i, unsigned n)
{
	ZydisDecodedOperand *op = &i->op[n];
	struct rng *r = &c->g.r;
	int64_t disp;
	uint64_t pc = DIFF_CODE + c->g.t->code_off + c->len;
	int base = gen_gpr(op->mem.base);

	if (op->mem.type == ZYDIS_MEMOP_TYPE_VSIB ||
	    i->d.address_width != c->g.fs->mode ||
	    op->mem.index != ZYDIS_REGISTER_NONE ||
	    op->mem.segment == ZYDIS_REGISTER_FS ||
	    op->mem.segment == ZYDIS_REGISTER_GS)
		return (false);
	if (op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
		return (base == G_RSP);
	if (i->d.raw.disp.size == 32) {
		disp = (int64_t)rng_below(r, 2000) - 1000;
		if (op->size >= 128 && rng_chance(r, 70))
			disp &= ~(int64_t)(op->size / 8 - 1);
		if (op->mem.base == ZYDIS_REGISTER_RIP)
			disp += (int64_t)(DIFF_DATA + 0x2800 - pc -
			    i->d.length);
		else if (base < 0)
			disp += (int64_t)(DIFF_DATA + 0x2800);
		memcpy(i->bytes + i->d.raw.disp.offset, &disp, 4);
	}
	if (op->mem.base == ZYDIS_REGISTER_RIP || base < 0)
		return (i->d.raw.disp.size == 32);
	if (base == G_RSP)
		return (true);
	/* rm (and REX.B, inverted in VEX and EVEX) name the base. */
	return (base == c->ptr[0] || base == c->ptr[1]);
}

static bool
add_insn(struct chain *c)
{
	struct diff_test *t = c->g.t;
	struct insn i;
	const struct form *f;

	f = &c->g.fs->f[rng_below(&c->g.r, c->g.fs->n)];
	/* Half integer, so that registers and flags are in the game. */
	if (f->enc != ENC_LEGACY && rng_chance(&c->g.r, 60))
		return (false);
	if (!forms_make(c->g.fs, f, &c->g.r, &i) || !suitable(&i) ||
	    writes_pointer(c, &i))
		return (false);
	for (unsigned n = 0; n < i.d.operand_count; n++)
		if (i.op[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    i.op[n].mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
		    !redirect(c, &i, n))
			return (false);
	if (!forms_decode(c->g.fs, &i) || writes_pointer(c, &i) ||
	    c->len + i.d.length > DIFF_CODE_MAX - 8)
		return (false);
	memcpy(t->code + c->len, i.bytes, i.d.length);
	c->len += i.d.length;
	/* CMP defines every flag that the last one left undefined. */
	if (gen_undefined(&i.d) != 0) {
		t->code[c->len++] = 0x83;
		t->code[c->len++] =
		    (uint8_t)(0xf8 | rng_below(&c->g.r, 8));
		t->code[c->len++] = (uint8_t)rng_next(&c->g.r);
	}
	return (true);
}

/* Jcc over the next instruction. */
static void
add_jump(struct chain *c)
{
	struct diff_test *t = c->g.t;
	uint32_t at = c->len, before;

	t->code[c->len++] = (uint8_t)(0x70 | rng_below(&c->g.r, 16));
	t->code[c->len++] = 0;
	before = c->len;
	for (unsigned n = 0; n < 100 && c->len == before; n++)
		(void)add_insn(c);
	t->code[at + 1] = (uint8_t)(c->len - before);
}

void
gen_chain(const struct forms *fs, const struct diff_layout *lay,
    struct diff_test *t, uint64_t seed)
{
	struct chain c = { .g = { .fs = fs, .lay = lay, .r = { seed },
			       .t = t } };
	struct rng *r = &c.g.r;
	unsigned want, nregs = fs->mode == 64 ? 16 : 8;

	t->mode = fs->mode;
	t->seed = seed;
	t->form = 0;
	t->undef = 0;
	gen_state(&c.g);
	t->code_off = rng_below(r, 0xf00);
	if (rng_chance(r, 8))
		t->code_off = 4096 - rng_below(r, 64);
	t->st.rip = DIFF_CODE + t->code_off;
	/* Not the registers that most instructions need. */
	c.ptr[0] = rng_chance(r, 30) ? (int)rng_below(r, nregs) : G_RSI;
	c.ptr[1] = rng_chance(r, 50) ? (int)rng_below(r, nregs) :
	    nregs > 8		     ? 13 :
				       G_RBX;
	for (unsigned i = 0; i < 2; i++)
		t->st.gpr[c.ptr[i]] = DIFF_DATA + 0x2000 + 64 +
		    (rng_below(r, 0x1000) & (rng_chance(r, 60) ? ~63u : ~0u));
	t->st.gpr[G_RSP] = DIFF_DATA + 0x2800 + (rng_below(r, 0x400) & ~7u);
	want = 3 + rng_below(r, 10);
	for (unsigned n = 0, tries = 0; n < want && tries < 4000; tries++) {
		if (rng_chance(r, 1) && c.len < DIFF_CODE_MAX - 32) {
			add_jump(&c);
			n++;
		} else if (add_insn(&c)) {
			n++;
		}
	}
	t->code_len = c.len;
	gen_stop(t);
	gen_narrow(t);
}
