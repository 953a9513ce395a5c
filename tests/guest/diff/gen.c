/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test of one instruction: picks the registers' values so that its memory
 * operands lie where we want them.
 */
#include <string.h>

#include "diff.h"

static void
assign(struct gen *g, int reg, uint64_t v)
{
	g->t->st.gpr[reg] = v;
	g->assigned |= 1u << reg;
}

static bool
is_assigned(const struct gen *g, int reg)
{
	return (reg < 0 || ((g->assigned >> reg) & 1) != 0);
}

static void
patch(struct insn *i, unsigned off, unsigned bits, uint64_t v)
{
	memcpy(i->bytes + off, &v, bits / 8);
}

static uint64_t
seg_base(const struct gen *g, const ZydisDecodedOperand *op)
{
	if (op->mem.segment == ZYDIS_REGISTER_FS)
		return (g->t->st.fsbase);
	if (op->mem.segment == ZYDIS_REGISTER_GS)
		return (g->t->st.gsbase);
	if (g->fs->mode != 16)
		return (0);
	return (op->mem.segment == ZYDIS_REGISTER_CS ? DIFF_CODE :
		op->mem.segment == ZYDIS_REGISTER_ES ? DIFF_ES :
						       DIFF_DATA);
}

/* The inverse of an odd number modulo 2^64 (Newton). */
static uint64_t
inverse(uint64_t a)
{
	uint64_t x = a;

	for (unsigned i = 0; i < 6; i++)
		x *= 2 - a * x;
	return (x);
}

/* Puts v in the address register; above a narrow address goes junk, which
 * the address calculation has to drop. */
static void
assign_address(struct gen *g, int reg, uint64_t v, uint64_t amask)
{
	assign(g, reg, (v & amask) | (rng_next(&g->r) & ~amask));
}

/* base + index * scale + disp = ea with base or index free to choose. */
static bool
solve_registers(struct gen *g, const ZydisDecodedOperand *op, uint64_t ea,
    uint64_t amask, bool vsib)
{
	int base = gen_gpr(op->mem.base);
	int index = vsib ? -1 : gen_gpr(op->mem.index);
	uint64_t disp = op->mem.disp.has_displacement ?
	    (uint64_t)op->mem.disp.value : 0;
	uint64_t scale = op->mem.scale, *gpr = g->t->st.gpr, rest;

	rest = ea - disp;
	if (base >= 0 && base == index) {
		if (is_assigned(g, base))
			return (false);
		if (scale == 1 && (rest & 1) != 0)
			return (false);
		if (scale == 1)
			assign_address(g, base, rest / 2, amask);
		else
			assign_address(
			    g, base, rest * inverse(1 + scale), amask);
		return (true);
	}
	if (base >= 0 && !is_assigned(g, base)) {
		if (index >= 0) {
			rest -= gpr[index] * scale;
			g->assigned |= 1u << index;
		}
		assign_address(g, base, rest, amask);
		return (true);
	}
	if (index >= 0 && !is_assigned(g, index)) {
		rest -= base >= 0 ? gpr[base] : 0;
		assign_address(g, index, rest / scale, amask);
		return (true);
	}
	return (base >= 0 || index >= 0 || vsib);
}

/* The offset that a patched displacement may have to stay within. */
static bool
in_data(uint64_t addr, uint32_t size)
{
	return (addr - DIFF_DATA < DIFF_MEM - size);
}

/*
 * Only the displacement can be chosen: absolute, RIP-relative, or all
 * registers have their value already.
 */
static bool
solve_disp(struct gen *g, struct insn *i, const ZydisDecodedOperand *op,
    uint64_t ea, uint64_t rip_next, uint64_t amask, bool vsib)
{
	uint64_t have = 0, disp;
	int base = gen_gpr(op->mem.base);
	int index = vsib ? -1 : gen_gpr(op->mem.index);

	if (i->d.raw.disp.size == 0)
		return (false);
	if (op->mem.base == ZYDIS_REGISTER_RIP ||
	    op->mem.base == ZYDIS_REGISTER_EIP)
		have = rip_next;
	if (base >= 0)
		have = g->t->st.gpr[base];
	if (index >= 0)
		have += g->t->st.gpr[index] * op->mem.scale;
	disp = ea - have;
	if (amask == 0xffffffff)
		disp = (uint64_t)(int64_t)(int32_t)disp;
	if (i->d.raw.disp.size == 32 && (int64_t)disp != (int32_t)disp)
		return (false);
	if (i->d.raw.disp.size < 32 &&
	    (amask != 0xffff || i->d.raw.disp.size != 16))
		return (false);
	patch(i, i->d.raw.disp.offset, i->d.raw.disp.size, disp);
	return (true);
}

static uint64_t
effective(const struct gen *g, const ZydisDecodedOperand *op, uint64_t rip_next,
    uint64_t amask, bool vsib)
{
	int base = gen_gpr(op->mem.base);
	int index = vsib ? -1 : gen_gpr(op->mem.index);
	uint64_t ea = op->mem.disp.has_displacement ?
	    (uint64_t)op->mem.disp.value : 0;

	if (op->mem.base == ZYDIS_REGISTER_RIP ||
	    op->mem.base == ZYDIS_REGISTER_EIP)
		ea += rip_next;
	if (base >= 0)
		ea += g->t->st.gpr[base];
	if (index >= 0)
		ea += g->t->st.gpr[index] * op->mem.scale;
	ea = (ea & amask) + seg_base(g, op);
	return (g->fs->mode == 64 ? ea : ea & 0xffffffff);
}

static bool
solve_operand(struct gen *g, struct insn *i, unsigned n, uint64_t target,
    uint64_t rip_next)
{
	ZydisDecodedOperand *op = &i->op[n];
	/* The stack's width is its own. */
	unsigned aw = op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT ||
		gen_gpr(op->mem.base) != G_RSP ?
	    i->d.address_width :
	    g->fs->mode;
	uint64_t amask = aw == 64 ? ~0ull : (1ull << aw) - 1;
	bool vsib = op->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
	uint64_t ea = target - seg_base(g, op);
	bool outside = (ea & ~amask) != 0;

	/* With segments' limits what is below is beyond. */
	if (outside && g->fs->mode != 16)
		return (false);
	ea &= amask;
	if (!solve_registers(g, op, ea, amask, vsib) &&
	    !solve_disp(g, i, op, ea, rip_next, amask, vsib))
		return (false);
	if (!forms_decode(g->fs, i))
		return (false);
	op = &i->op[n];
	if (effective(g, op, rip_next, amask, vsib) == target)
		return (true);
	if (solve_disp(g, i, op, ea, rip_next, amask, vsib) &&
	    forms_decode(g->fs, i) &&
	    effective(g, op, rip_next, amask, vsib) == target)
		return (true);
	/* Somewhere else in the data will do. */
	return (outside ||
	    in_data(effective(g, op, rip_next, amask, vsib), 64));
}

/* Small indices for gathers and scatters: all elements in the data. */
static void
set_indices(struct gen *g, const struct insn *i, const ZydisDecodedOperand *op)
{
	const char *name = ZydisMnemonicGetString(i->d.mnemonic);
	unsigned id = (unsigned)ZydisRegisterGetId(op->mem.index);
	bool qword = strstr(name, "erq") != NULL;
	uint8_t *x = g->t->st.xsave;
	uint64_t v;

	for (unsigned b = 0; b < 64; b += 8) {
		if (qword) {
			v = (uint64_t)(int64_t)((int)rng_below(&g->r, 500) -
			    250);
		} else {
			v = (uint32_t)((int)rng_below(&g->r, 500) - 250);
			v |= (uint64_t)(uint32_t)(
				 (int)rng_below(&g->r, 500) - 250)
			    << 32;
		}
		if (id >= 16) {
			if (g->lay->size[7] != 0)
				memcpy(x + g->lay->off[7] + (id - 16) * 64 + b,
				    &v, 8);
		} else if (b < 16) {
			memcpy(x + 160 + id * 16 + b, &v, 8);
		} else if (b < 32) {
			if (g->lay->size[2] != 0)
				memcpy(x + g->lay->off[2] + id * 16 + b - 16,
				    &v, 8);
		} else if (g->lay->size[6] != 0) {
			memcpy(x + g->lay->off[6] + id * 32 + b - 32, &v, 8);
		}
	}
}

/* A bit offset in a register moves the address: keep it near. */
static bool
limit_bit_offset(struct gen *g, const struct insn *i)
{
	int reg;

	switch (i->d.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		break;
	default:
		return (true);
	}
	if (i->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    i->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (true);
	reg = gen_gpr(i->op[1].reg.value);
	if (is_assigned(g, reg))
		return (false);
	assign(g, reg, (uint64_t)(int64_t)((int)rng_below(&g->r, 40000) -
	    20000));
	if (i->op[1].size < 64 && rng_chance(&g->r, 50))
		g->t->st.gpr[reg] ^= rng_next(&g->r) << 32;
	return (true);
}

static bool
far_reaching(const struct insn *i)
{
	switch (i->d.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return (i->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER);
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_LEAVE:
		return (true);
	default:
		return (i->d.meta.category == ZYDIS_CATEGORY_GATHER ||
		    i->d.meta.category == ZYDIS_CATEGORY_AVX2GATHER ||
		    i->d.meta.category == ZYDIS_CATEGORY_SCATTER);
	}
}

/* For a stack pointer: as gen_target(), but counted in SS. */
static uint64_t
stack_target(struct gen *g, uint32_t size)
{
	uint64_t v = gen_target(g, size, true);

	if (g->fs->mode == 16)
		v = (v - DIFF_DATA) | rng_next(&g->r) << 16;
	return (v);
}

/* Operands that are registers with a meaning. */
static bool
set_special(struct gen *g, struct insn *i)
{
	struct rng *r = &g->r;

	switch (i->d.mnemonic) {
	case ZYDIS_MNEMONIC_ENTER:
		/* imm16 of locals, imm8 of nesting: small. */
		patch(i, i->d.raw.imm[0].offset, 16, rng_below(r, 256));
		patch(i, i->d.raw.imm[1].offset, 8, rng_below(r, 40));
		assign(g, G_RSP, stack_target(g, 64));
		assign(g, G_RBP, stack_target(g, 64));
		return (forms_decode(g->fs, i));
	case ZYDIS_MNEMONIC_LEAVE:
		assign(g, G_RBP, stack_target(g, 64));
		return (true);
	case ZYDIS_MNEMONIC_XGETBV:
		/* Not what 1 says: processors differ in what they track. */
		g->t->st.gpr[G_RCX] = rng_chance(r, 70) ? 0 : 2 + rng_next(r);
		return (true);
	case ZYDIS_MNEMONIC_XLAT:
		assign(g, G_RAX, gen_interesting(r));
		assign(g, G_RBX, stack_target(g, 1) -
		    (g->t->st.gpr[G_RAX] & 0xff));
		return (i->d.address_width == g->fs->mode &&
		    i->op[0].type != ZYDIS_OPERAND_TYPE_UNUSED &&
		    (i->d.attributes & ZYDIS_ATTRIB_HAS_SEGMENT) == 0);
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		assign(g, G_RSP, stack_target(g, 8));
		return (true);
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_VPCMPESTRI:
	case ZYDIS_MNEMONIC_VPCMPESTRM:
		if (!is_assigned(g, G_RAX) && rng_chance(r, 70))
			g->t->st.gpr[G_RAX] = (uint64_t)(int64_t)(
			    (int)rng_below(r, 40) - 20);
		if (!is_assigned(g, G_RDX) && rng_chance(r, 70))
			g->t->st.gpr[G_RDX] = rng_below(r, 20);
		return (true);
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		if (!is_assigned(g, G_RDX) && rng_chance(r, 80))
			g->t->st.gpr[G_RDX] = rng_chance(r, 70) ?
			    0 : ~0ull;
		return (true);
	default:
		gen_area_components(g, i);
		return (true);
	}
}

/* Half of the compares should find what they look for. */
static void
set_compare(struct gen *g, const struct insn *i, uint64_t target)
{
	uint64_t lo, hi;

	if (!in_data(target, 16) || rng_chance(&g->r, 50))
		return;
	memcpy(&lo, g->t->mem + (target - DIFF_DATA), 8);
	memcpy(&hi, g->t->mem + (target - DIFF_DATA) + 8, 8);
	if (i->d.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B) {
		hi = lo >> 32;
		lo &= 0xffffffff;
	} else if (i->d.mnemonic == ZYDIS_MNEMONIC_CMPXCHG) {
		if (!is_assigned(g, G_RAX))
			g->t->st.gpr[G_RAX] = lo;
		return;
	} else if (i->d.mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B) {
		return;
	}
	if (!is_assigned(g, G_RAX))
		g->t->st.gpr[G_RAX] = lo;
	if (!is_assigned(g, G_RDX))
		g->t->st.gpr[G_RDX] = hi;
}

/* What the stack or an operand in memory must not be random for. */
static void
set_memory(struct gen *g, const struct insn *i, uint64_t target)
{
	uint8_t *p;
	uint64_t v;

	if (!in_data(target, 16))
		return;
	p = g->t->mem + (target - DIFF_DATA);
	switch (i->d.mnemonic) {
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		/* No TF, AC, NT; IF as it is. */
		v = (rng_next(&g->r) & 0xcd5) | 0x202;
		memcpy(p, &v, 8);
		break;
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		if (rng_chance(&g->r, 80))
			p[2] = p[3] = 0; /* no reserved bits */
		break;
	default:
		break;
	}
}

/* All memory operands, those with fixed registers first. */
static bool
place_operands(struct gen *g, struct insn *i, uint64_t pc)
{
	uint64_t target, rip_next = pc + i->d.length;
	bool safe = far_reaching(i), string;

	string = i->d.meta.category == ZYDIS_CATEGORY_STRINGOP;
	if (!set_special(g, i))
		return (false);
	if ((i->d.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
		ZYDIS_ATTRIB_HAS_REPNE)) != 0 && string)
		assign(g, G_RCX, rng_below(&g->r, 48) |
			(i->d.address_width < 64 ?
				rng_next(&g->r) << i->d.address_width : 0));
	if (i->d.mnemonic == ZYDIS_MNEMONIC_XLAT)
		return (true);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned n = 0; n < i->d.operand_count; n++) {
			ZydisDecodedOperand *op = &i->op[n];
			bool hidden = op->visibility !=
			    ZYDIS_OPERAND_VISIBILITY_EXPLICIT;

			if (op->type != ZYDIS_OPERAND_TYPE_MEMORY ||
			    op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
			    hidden != (pass == 0))
				continue;
			if (op->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
				set_indices(g, i, op);
			target = gen_is_area(i) ? gen_area_target(g, i, n) :
				gen_target(g, op->size / 8, safe ||
					op->mem.type == ZYDIS_MEMOP_TYPE_VSIB);
			if (gen_gpr(op->mem.base) == G_RSP && hidden &&
			    is_assigned(g, G_RSP))
				target = g->fs->mode == 16 ?
				    DIFF_DATA + (uint16_t)g->t->st.gpr[G_RSP] :
				    g->t->st.gpr[G_RSP];
			else if (!solve_operand(g, i, n, target, rip_next))
				return (false);
			set_compare(g, i, target);
			set_memory(g, i, target);
			if (gen_is_area(i))
				gen_area_memory(g, i, n, target);
		}
	}
	return (limit_bit_offset(g, i));
}

static bool
try_single(struct gen *g, const struct form *f)
{
	struct diff_test *t = g->t;
	struct insn i;
	uint64_t pc;

	gen_state(g);
	if (!forms_make(g->fs, f, &g->r, &i))
		return (false);
	t->code_off = rng_below(&g->r, 0xf00);
	if (rng_chance(&g->r, 8)) /* across the page's end */
		t->code_off = 4096 - rng_below(&g->r, i.d.length + 1u);
	pc = gen_rip(t);
	if (!place_operands(g, &i, pc) || i.d.mnemonic != f->mnemonic)
		return (false);
	t->st.rip = pc;
	t->code_len = i.d.length;
	memcpy(t->code, i.bytes, i.d.length);
	gen_stop(t);
	t->undef = gen_undefined(&i.d);
	gen_narrow(t);
	return (true);
}

void
gen_single(const struct forms *fs, const struct diff_layout *lay,
    struct diff_test *t, uint32_t form, uint64_t seed)
{
	struct gen g = { .fs = fs, .lay = lay, .r = { seed }, .t = t };

	t->mode = fs->mode;
	t->seed = seed;
	t->form = form;
	for (unsigned attempt = 0; attempt < 30; attempt++)
		if (try_single(&g, &fs->f[form]))
			return;
	/* A form that cannot be placed: a NOP stands for it. */
	t->code_off = 0;
	t->st.rip = gen_rip(t);
	t->code[0] = 0x90;
	t->code_len = 1;
	gen_stop(t);
	t->undef = 0;
}
