/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordinary instructions, emitted again on the host: the same prefixes, opcode
 * and immediate, with the general registers renamed and the memory operand
 * replaced by [T0 + T1]. What the instruction computes, flags, rounding and
 * NaNs included, is the host processor's own doing. Encodings: Intel SDM
 * volume 2, chapter 2 ("Instruction Format").
 */
#include <string.h>

#include "vmm/soft/tr.h"

/* What the fields of the encoding become; -1: stays as it is. */
struct fields {
	int reg, rm, vvvv, opc; /* host registers */
	bool mem;
	int mem_base, mem_index, mem_scale;
	int32_t mem_disp;
	bool integer; /* not x87, MMX or SSE: operand size means something */
};

static void
modrm(struct tr *t, const struct fields *f)
{
	const struct ZydisDecodedInstructionModRm_ *m = &t->in.raw.modrm;
	unsigned reg = f->reg >= 0 ? (unsigned)f->reg & 7 : m->reg;

	if (f->mem) {
		e_mem(t, (int)reg, f->mem_base, f->mem_index, f->mem_scale,
		    f->mem_disp);
		return;
	}
	e1(t, 0xc0u | reg << 3 |
		(f->rm >= 0 ? (unsigned)f->rm & 7 : (unsigned)m->rm));
}

/* Immediates, and whatever else lies behind ModRM, SIB and displacement. */
static void
trailer(struct tr *t)
{
	unsigned off = t->in.length, high = 0;

	for (unsigned i = 0; i < 2; i++)
		if (t->in.raw.imm[i].size != 0 && t->in.raw.imm[i].offset < off)
			off = t->in.raw.imm[i].offset;
	/* A register in imm8[7:4] is an immediate without being called so. */
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].encoding == ZYDIS_OPERAND_ENCODING_IS4) {
			if (off == t->in.length)
				off = t->in.length - 1u;
			high = t->code64 ? 0 : 0x80; /* ignored there */
		}
	for (; off < t->in.length; off++)
		e1(t, t->bytes[off] & ~high);
}

/* VZEROUPPER and VZEROALL outside 64-bit mode know eight registers: VMOVAPS
 * xmm, xmm and VPXOR xmm, xmm, xmm for each. */
static bool
zero_eight(struct tr *t)
{
	ZydisMnemonic mn = t->in.mnemonic;

	if (t->code64 ||
	    (mn != ZYDIS_MNEMONIC_VZEROUPPER && mn != ZYDIS_MNEMONIC_VZEROALL))
		return (false);
	for (unsigned r = 0; r < 8; r++) {
		e1(t, 0xc5);
		if (mn == ZYDIS_MNEMONIC_VZEROUPPER) {
			e1(t, 0xf8);
			e1(t, 0x28);
		} else {
			e1(t, 0x81u | (~r & 15) << 3);
			e1(t, 0xef);
		}
		e1(t, 0xc0u | r << 3 | r);
	}
	return (true);
}

static void
emit_vex(struct tr *t, const struct fields *f)
{
	const uint8_t *v = t->bytes + t->in.raw.vex.offset;
	unsigned b1, b2;

	if (v[0] == 0xc5) { /* two bytes hold only R: make it three */
		b1 = (v[1] & 0x80u) | 0x61;
		b2 = v[1] & 0x7fu;
	} else {
		b1 = v[1];
		b2 = v[2];
	}
	if (!t->code64) { /* these bits do not exist there (SDM 2.3.5.6) */
		b1 |= 0xe0;
		b2 |= 0x40;
	}
	if (f->reg >= 0)
		b1 = (b1 & ~0x80u) | (f->reg >= 8 ? 0 : 0x80u);
	if (f->mem)
		b1 = (b1 & ~0x60u) | (f->mem_index >= 8 ? 0 : 0x40u) |
		    (f->mem_base >= 8 ? 0 : 0x20u);
	else if (f->rm >= 0)
		b1 = (b1 & ~0x20u) | (f->rm >= 8 ? 0 : 0x20u) | 0x40;
	if (f->vvvv >= 0)
		b2 = (b2 & ~0x78u) | ((~(unsigned)f->vvvv & 15) << 3);
	e1(t, 0xc4);
	e1(t, b1);
	e1(t, b2);
	e1(t, t->in.opcode);
	if (t->in.attributes & ZYDIS_ATTRIB_HAS_MODRM) /* not VZEROUPPER */
		modrm(t, f);
	trailer(t);
}

static void
emit_evex(struct tr *t, const struct fields *f)
{
	const uint8_t *v = t->bytes + t->in.raw.evex.offset;
	unsigned p0 = v[1], p1 = v[2];

	if (!t->code64) {
		p0 |= 0xf0;
		p1 |= 0x40;
	}
	if (f->reg >= 0)
		p0 = (p0 & ~0x80u) | (f->reg >= 8 ? 0 : 0x80u) | 0x10;
	if (f->mem)
		p0 = (p0 & ~0x60u) | (f->mem_index >= 8 ? 0 : 0x40u) |
		    (f->mem_base >= 8 ? 0 : 0x20u);
	else if (f->rm >= 0)
		p0 = (p0 & ~0x20u) | (f->rm >= 8 ? 0 : 0x20u) | 0x40;
	if (f->vvvv >= 0)
		p1 = (p1 & ~0x78u) | ((~(unsigned)f->vvvv & 15) << 3);
	e1(t, 0x62);
	e1(t, p0);
	e1(t, p1);
	e1(t, v[3]);
	e1(t, t->in.opcode);
	modrm(t, f);
	trailer(t);
}

static void
emit_legacy(struct tr *t, const struct fields *f)
{
	bool has_rex = t->code64 && (t->in.attributes & ZYDIS_ATTRIB_HAS_REX);
	unsigned rex = 0, opcode = t->in.opcode;
	bool has_modrm = (t->in.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
	bool code16 = !t->code64 && !(t->flags & BF_CODE32);

	if (code16 && f->integer && t->in.operand_width == 16 &&
	    t->in.operand_count > 0)
		e1(t, 0x66);
	for (unsigned i = 0; i < t->in.raw.prefix_count; i++) {
		unsigned p = t->in.raw.prefixes[i].value;

		switch (p) {
		case 0x66:
			/* In 16-bit code it makes a size the host has without
			 * it, unless it is part of the opcode. */
			if (!code16 ||
			    t->in.raw.prefixes[i].type ==
				ZYDIS_PREFIX_TYPE_MANDATORY)
				e1(t, p);
			break;
		case 0xf2:
		case 0xf3:
		case 0xf0:
			e1(t, p);
			break;
		default: /* segments, address size, REX: not here */
			break;
		}
	}
	if (has_rex)
		rex = 0x40u | t->in.raw.rex.W << 3 | t->in.raw.rex.R << 2 |
		    t->in.raw.rex.X << 1 | t->in.raw.rex.B;
	if (f->reg >= 0)
		rex = (rex & ~4u) | (f->reg >= 8 ? 0x44u : 0);
	if (f->mem)
		rex = (rex & ~3u) | (f->mem_index >= 8 ? 0x42u : 0) |
		    (f->mem_base >= 8 ? 0x41u : 0);
	else if (f->rm >= 0)
		rex = (rex & ~3u) | (f->rm >= 8 ? 0x41u : 0);
	if (f->opc >= 0) {
		rex = (rex & ~1u) | (f->opc >= 8 ? 0x41u : 0);
		opcode = (opcode & ~7u) | ((unsigned)f->opc & 7);
	}
	if (rex != 0 || has_rex)
		e1(t, rex | 0x40);
	switch (t->in.opcode_map) {
	case ZYDIS_OPCODE_MAP_0F:
		e1(t, 0x0f);
		break;
	case ZYDIS_OPCODE_MAP_0F38:
		e1(t, 0x0f);
		e1(t, 0x38);
		break;
	case ZYDIS_OPCODE_MAP_0F3A:
		e1(t, 0x0f);
		e1(t, 0x3a);
		break;
	default:
		break;
	}
	e1(t, opcode);
	if (has_modrm)
		modrm(t, f);
	trailer(t);
}

/* Forms whose encoding means something else in 64-bit mode. */
static bool
respell(struct tr *t, struct fields *f)
{
	unsigned op = t->in.opcode;

	if (t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    t->in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return (false);
	if (op >= 0x40 && op <= 0x4f) { /* INC, DEC r32: FF /0, /1 */
		t->in.opcode = 0xff;
		t->in.raw.modrm.reg = (op >> 3) & 1;
		t->in.attributes |= ZYDIS_ATTRIB_HAS_MODRM;
		f->rm = f->opc;
		f->opc = -1;
		return (true);
	}
	if (op >= 0xa0 && op <= 0xa3) { /* MOV moffs: 8A/8B, 88/89 with rAX */
		t->in.opcode = (uint8_t)((op & 1) | (op & 2 ? 0x88 : 0x8a));
		t->in.raw.modrm.reg = 0;
		t->in.raw.rex.R = 0;
		t->in.attributes |= ZYDIS_ATTRIB_HAS_MODRM;
		t->in.raw.imm[0].size = 0;
		return (true);
	}
	if (op == 0x82) /* group 1 again */
		t->in.opcode = 0x80;
	return (false);
}

/* A general register that is an explicit operand, and what it becomes. */
struct greg {
	const ZydisDecodedOperand *op;
	int guest, host;
	bool high;
};

static int *
field_of(struct fields *f, const ZydisDecodedOperand *op)
{
	switch (op->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG:
		return (&f->reg);
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:
		return (&f->rm);
	case ZYDIS_OPERAND_ENCODING_NDSNDD:
		return (&f->vvvv);
	case ZYDIS_OPERAND_ENCODING_OPCODE:
		return (&f->opc);
	default:
		return (NULL);
	}
}

/* Implicit uses of rCX: as a count, or as part of a wider operand. */
static void
implicit_rcx(struct tr *t, bool *reads, bool *writes)
{
	bool high;

	*reads = *writes = false;
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    op->encoding != ZYDIS_OPERAND_ENCODING_NONE ||
		    tr_gpr(op->reg.value, &high) != R_CX)
			continue;
		*reads |= (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
		*writes |= (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
	}
}

/* Classes of exceptions that promise faults only for elements that the mask
 * selects (SDM volume 2, 2.8): those without NF. */
static bool
suppresses_faults(const struct tr *t)
{
	switch (t->in.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_E1:
	case ZYDIS_EXCEPTION_CLASS_E2:
	case ZYDIS_EXCEPTION_CLASS_E3:
	case ZYDIS_EXCEPTION_CLASS_E4:
	case ZYDIS_EXCEPTION_CLASS_E5:
	case ZYDIS_EXCEPTION_CLASS_E6:
	case ZYDIS_EXCEPTION_CLASS_E10:
	case ZYDIS_EXCEPTION_CLASS_E11:
		return (true);
	default:
		return (false);
	}
}

/* An AVX-512 access under a mask whose bits are those of its elements. */
static uint32_t
masked(struct tr *t, const ZydisDecodedOperand *op)
{
	static const uint8_t to[] = { [ZYDIS_BROADCAST_MODE_1_TO_2] = 2,
		[ZYDIS_BROADCAST_MODE_1_TO_4] = 4,
		[ZYDIS_BROADCAST_MODE_1_TO_8] = 8,
		[ZYDIS_BROADCAST_MODE_1_TO_16] = 16,
		[ZYDIS_BROADCAST_MODE_1_TO_32] = 32,
		[ZYDIS_BROADCAST_MODE_1_TO_64] = 64,
		[ZYDIS_BROADCAST_MODE_2_TO_4] = 4,
		[ZYDIS_BROADCAST_MODE_2_TO_8] = 8,
		[ZYDIS_BROADCAST_MODE_2_TO_16] = 16,
		[ZYDIS_BROADCAST_MODE_4_TO_8] = 8,
		[ZYDIS_BROADCAST_MODE_4_TO_16] = 16,
		[ZYDIS_BROADCAST_MODE_8_TO_16] = 16 };
	const ZydisDecodedOperand *dst = &t->op[0];
	uint32_t what;
	bool to_mask;
	unsigned n;

	if (t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	    t->in.avx.mask.mode < ZYDIS_MASK_MODE_MERGING ||
	    t->in.avx.mask.reg <= ZYDIS_REGISTER_K0 ||
	    t->in.avx.mask.reg > ZYDIS_REGISTER_K7 || !suppresses_faults(t) ||
	    /* These do not go element by element. */
	    t->in.mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEQB ||
	    t->in.mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB ||
	    t->in.mnemonic == ZYDIS_MNEMONIC_VCVTNE2PS2BF16)
		return (0);
	what = ACCESS_MASKED |
	    (uint32_t)(t->in.avx.mask.reg - ZYDIS_REGISTER_K0)
		<< ACCESS_K_SHIFT |
	    (uint32_t)__builtin_ctz(op->element_size / 8u | 8u)
		<< ACCESS_ELEM_SHIFT;
	to_mask = dst->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(dst->reg.value) == ZYDIS_REGCLASS_MASK;
	n = to_mask ? t->in.avx.vector_length / op->element_size :
		      dst->element_count;
	if (t->in.avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID)
		/* One access for all: none if no element wants it. */
		return (what | ACCESS_BCAST |
		    (uint32_t)to[t->in.avx.broadcast.mode]
			<< ACCESS_COUNT_SHIFT);
	if (op->element_count == 1)
		return (what); /* scalar: bit 0 */
	/* A conversion to narrower elements has more room than results. */
	return (n >= op->element_count ? what : 0);
}

/* Must the operand be aligned? (SDM volume 2, 2.4 and 2.8.) */
static bool
needs_alignment(const struct tr *t, const ZydisDecodedOperand *op)
{
	switch (t->in.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_AVX1:
	case ZYDIS_EXCEPTION_CLASS_E1:
	case ZYDIS_EXCEPTION_CLASS_E1NF:
	case ZYDIS_EXCEPTION_CLASS_SSE1:
		return (true);
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE4:
		break;
	default:
		return (t->in.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B);
	}
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return (false);
	default:
		return (op->size == 128);
	}
}

static uint32_t
access_kind(struct tr *t, const ZydisDecodedOperand *op, enum unit unit)
{
	uint32_t what = op->size / 8u | tr_stack(op) | tr_locked(t);

	/* With a 16-bit operand it is MOV: Intel's processors read no more,
	 * AMD's do. */
	if (t->in.mnemonic == ZYDIS_MNEMONIC_MOVSXD &&
	    t->in.operand_width == 16 && t->vm->intel)
		what = 2 | tr_stack(op);
	if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		what |= ACCESS_READ;
	if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		what |= ACCESS_WRITE;
	/* A store that may not happen, or not to every byte. */
	if ((what & ACCESS_WRITE) &&
	    (unit == UNIT_X87 || t->in.avx.mask.reg > ZYDIS_REGISTER_K0))
		what |= ACCESS_READ;
	if (needs_alignment(t, op))
		what |= ACCESS_ALIGNED;
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_VPCOMPRESSB: /* as many elements as the mask has */
	case ZYDIS_MNEMONIC_VPCOMPRESSW: /* bits, from the first on */
	case ZYDIS_MNEMONIC_VPCOMPRESSD:
	case ZYDIS_MNEMONIC_VPCOMPRESSQ:
	case ZYDIS_MNEMONIC_VCOMPRESSPS:
	case ZYDIS_MNEMONIC_VCOMPRESSPD:
	case ZYDIS_MNEMONIC_VPEXPANDB:
	case ZYDIS_MNEMONIC_VPEXPANDW:
	case ZYDIS_MNEMONIC_VPEXPANDD:
	case ZYDIS_MNEMONIC_VPEXPANDQ:
	case ZYDIS_MNEMONIC_VEXPANDPS:
	case ZYDIS_MNEMONIC_VEXPANDPD:
		if (t->in.avx.mask.reg <= ZYDIS_REGISTER_K0)
			return (what);
		return (what | ACCESS_MASKED | ACCESS_PACKED |
		    (uint32_t)(t->in.avx.mask.reg - ZYDIS_REGISTER_K0)
			<< ACCESS_K_SHIFT |
		    (uint32_t)__builtin_ctz(op->element_size / 8u | 8u)
			<< ACCESS_ELEM_SHIFT);
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		/* The mask is the operand in the middle. */
		return (what | ACCESS_READ | ACCESS_VMASK |
		    (uint32_t)(ZydisRegisterGetId(t->op[1].reg.value) & 15)
			<< ACCESS_K_SHIFT |
		    (uint32_t)__builtin_ctz(op->element_size / 8u | 8u)
			<< ACCESS_ELEM_SHIFT);
	default:
		return (what | masked(t, op));
	}
}

static void
emit_insn(struct tr *t, const struct fields *f)
{
	switch (t->in.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		emit_vex(t, f);
		break;
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
		emit_evex(t, f);
		break;
	default:
		emit_legacy(t, f);
		break;
	}
}

/*
 * High-byte registers exist only without REX. If all operands are bytes in
 * registers, these are among the four that have them, all at home under their
 * own numbers but for rcx, which is brought there. With a memory operand,
 * whose address needs REX, or a wide register the high byte is rotated by 8
 * into scratch instead.
 */
static void
copy_high(
    struct tr *t, struct fields *f, struct greg *g, unsigned n, bool cx)
{
	bool wr = false;

	for (unsigned i = 0; i < n; i++) {
		int *field = field_of(f, g[i].op);

		*field = g[i].guest + (g[i].high ? 4 : 0);
		if (g[i].guest == R_CX) {
			cx = true;
			wr |= (g[i].op->actions &
				  ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
		}
	}
	if (cx)
		e_mov(t, 1, H_CX, H_R9);
	emit_insn(t, f);
	if (wr)
		e_mov(t, 1, H_R9, H_CX);
}

static bool
all_bytes(const struct greg *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (g[i].op->size != 8)
			return (false);
	return (true);
}

/* The operands of an ordinary instruction, taken apart. */
struct parts {
	const ZydisDecodedOperand *mem;
	struct greg g[4];
	unsigned ng;
	unsigned need; /* registers that want scratch */
	bool high;     /* AH, CH, DH or BH is among them */
	bool sp;       /* rSP is, which is not at home in stack code */
	/* The register that stays in struct soft_cpu. */
	const ZydisDecodedOperand *env;
};

/* False for what is not ordinary after all. */
static bool
take_apart(struct tr *t, struct fields *f, struct parts *p)
{
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];
		bool hi;
		int r;

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (p->mem != NULL ||
			    op->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
			    op->size == 0 || op->size > 512)
				return (false);
			p->mem = op;
			continue;
		}
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		r = tr_gpr(op->reg.value, &hi);
		if (r < 0) {
			switch (ZydisRegisterGetClass(op->reg.value)) {
			case ZYDIS_REGCLASS_SEGMENT:
			case ZYDIS_REGCLASS_CONTROL:
			case ZYDIS_REGCLASS_DEBUG:
			case ZYDIS_REGCLASS_TEST:
			case ZYDIS_REGCLASS_TABLE:
				return (false);
			default:
				continue;
			}
		}
		if (field_of(f, op) == NULL) {
			/* Implicit: at home but for rsp, and rcx. */
			if (r == R_SP || r >= 8)
				return (false);
			continue;
		}
		if (p->ng == 4)
			return (false);
		p->g[p->ng++] = (struct greg){ op, r, -1, hi };
		p->high |= hi;
		p->sp |= t->stack && r == R_SP;
		if (t->host_of[r] < 0 || hi)
			p->need++;
	}
	return (true);
}

/* Is nothing left of the register's old value? BSF and BSR leave it alone
 * when there is no bit. */
static bool
overwrites(const struct tr *t, const struct parts *p, const struct greg *g)
{
	for (unsigned i = 0; i < p->ng; i++)
		if (&p->g[i] != g && p->g[i].guest == g->guest)
			return (false);
	return (g->op->actions == ZYDIS_OPERAND_ACTION_WRITE &&
	    g->op->size >= 32 && t->in.mnemonic != ZYDIS_MNEMONIC_BSF &&
	    t->in.mnemonic != ZYDIS_MNEMONIC_BSR);
}

/*
 * A register that is not at home can be the memory operand of many
 * instructions as it lies in struct soft_cpu, which saves loading and storing
 * it. Not where less than 64 bits are written: 32 clear the others, and a load
 * of all would have to wait for a store of some. And only where a register
 * and memory mean the same.
 */
static const ZydisDecodedOperand *
in_env(const struct tr *t, const struct parts *p)
{
	unsigned o = t->in.opcode;
	const struct greg *g = NULL;

	if (t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    p->mem != NULL || p->high)
		return (NULL);
	if (t->in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
		if (!(o < 0x40 || o == 0x63 || o == 0x69 || o == 0x6b ||
			(o >= 0x80 && o <= 0x85) || (o >= 0x88 && o <= 0x8b) ||
			o == 0xc0 || o == 0xc1 || o == 0xc6 || o == 0xc7 ||
			(o >= 0xd0 && o <= 0xd3) || o == 0xf6 || o == 0xf7 ||
			o == 0xfe || o == 0xff))
			return (NULL);
	} else if (t->in.opcode_map == ZYDIS_OPCODE_MAP_0F) {
		if (!((o >= 0x40 && o <= 0x4f) || (o >= 0x90 && o <= 0x9f) ||
			o == 0xaf || o == 0xb6 || o == 0xb7 || o == 0xbe ||
			o == 0xbf))
			return (NULL);
	} else
		return (NULL);
	for (unsigned i = 0; i < p->ng; i++)
		if (p->g[i].op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			g = &p->g[i];
	if (g == NULL || t->host_of[g->guest] >= 0 || g->guest == R_SP ||
	    ((g->op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		g->op->size != 64))
		return (NULL);
	/* Named twice, it is in scratch once. */
	for (unsigned i = 0; i < p->ng; i++)
		if (&p->g[i] != g && p->g[i].guest == g->guest &&
		    ((p->g[i].op->actions | g->op->actions) &
			ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return (NULL);
	return (g->op);
}

/* Gives every register operand its host register, loading what is not at
 * home into scratch. False if scratch does not suffice. */
static bool
bring_home(struct tr *t, struct fields *f, struct parts *p,
    const int *scratch, unsigned nscratch)
{
	for (unsigned i = 0; i < p->ng; i++) {
		struct greg *g = &p->g[i];

		if (g->op == p->env)
			continue;
		g->host = g->high ? -1 : t->host_of[g->guest];
		for (unsigned j = 0; j < i && g->host < 0; j++)
			if (p->g[j].op != p->env &&
			    p->g[j].guest == g->guest &&
			    p->g[j].high == g->high)
				g->host = p->g[j].host; /* named twice */
		if (g->host < 0) {
			if (nscratch == 0)
				return (false);
			g->host = scratch[--nscratch];
			tr_lose(t, g->host);
			if (g->high)
				e_rorx(t, 1, g->host, t->host_of[g->guest], 8);
			else if (!overwrites(t, p, g))
				(void)tr_get(
				    t, (unsigned)g->guest, g->host);
		}
		*field_of(f, g->op) = g->host;
	}
	return (true);
}

/* Stores what was written to scratch. */
static void
send_back(struct tr *t, const struct parts *p)
{
	for (unsigned i = 0; i < p->ng; i++) {
		const struct greg *g = &p->g[i];

		if (!(g->op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
		    g->op == p->env)
			continue;
		if (g->high)
			e_rorx(t, 1, t->host_of[g->guest], g->host, 56);
		else if (t->host_of[g->guest] < 0)
			tr_put(t, (unsigned)g->guest, g->host);
	}
}

/* Does it access its operand, whatever happens? Some of those that do. */
static bool
surely(const struct tr *t)
{
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_CMP:
		return (true);
	default:
		return (false);
	}
}

bool
tr_copy(struct tr *t)
{
	struct fields f = { -1, -1, -1, -1, false, T0, T1, 0, 0, false };
	struct parts p = { 0 };
	unsigned nscratch = 0;
	int scratch[3];
	bool cx_in, cx_out, high;
	struct access a;
	uint32_t what, use;
	enum unit unit = tr_unit(t);

	/* Not XOP, nor 3DNow!, whose opcode comes last. */
	if ((t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
		t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX &&
		t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX) ||
	    t->in.opcode_map == ZYDIS_OPCODE_MAP_0F0F)
		return (false);
	if (!take_apart(t, &f, &p))
		return (false);
	if (tr_unit_fault(t, unit))
		return (true);
	f.integer = unit == UNIT_INT;
	if (unit != UNIT_INT)
		tr_need_fpu(t);
	if (zero_eight(t))
		return (true);
	implicit_rcx(t, &cx_in, &cx_out);
	if (p.high && p.mem == NULL && all_bytes(p.g, p.ng)) {
		(void)respell(t, &f);
		copy_high(t, &f, p.g, p.ng, cx_in);
		return (true);
	}
	if (p.mem != NULL) {
		/* A pending x87 exception comes before a fault of the operand
		 * (SDM volume 1, 8.6); FN* instructions do not look. */
		if ((unit == UNIT_X87 || unit == UNIT_MMX) &&
		    !tr_x87_no_wait(t->in.mnemonic))
			e1(t, 0x9b);
		what = access_kind(t, p.mem, unit);
		t->masked = what & (ACCESS_MASKED | ACCESS_VMASK) ? what : 0;
		use = EA_SEG | (what & ACCESS_SIZE) |
		    (p.mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ?
			    EA_WRITE :
			    0);
		if (p.need > (cx_in || cx_out ? 0 : 1)) {
			tr_ea(t, p.mem, use, 0);
			tr_access(t, what, &a);
		} else if (p.sp) { /* by host rsp it could not be read */
			tr_ea(t, p.mem, use, 0);
			tr_access_t0(t, what, &a);
		} else
			tr_access_op(t, p.mem, use, what, &a);
		t->masked = 0;
		f.mem = true;
		f.mem_base = a.base;
		f.mem_index = a.index;
		f.mem_scale = a.scale;
		f.mem_disp = a.disp;
	} else {
		p.env = in_env(t, &p);
		if (p.env != NULL) {
			int r = tr_gpr(p.env->reg.value, &high);

			p.need--;
			f.mem = true;
			f.mem_base = H_ENV;
			f.mem_index = -1;
			f.mem_disp = ENV(CPU_GPR + (unsigned)r * 8);
		}
		/* One that holds nothing first, but T2 before all. */
		bool swap = t->slot[1].kind == SLOT_NONE;

		scratch[nscratch++] = swap ? T0 : T1;
		scratch[nscratch++] = swap ? T1 : T0;
	}
	if (!cx_in && !cx_out)
		scratch[nscratch++] = T2;
	if (p.mem != NULL && p.need > nscratch) {
		/* One register for the address, the other is free. */
		e_lea(t, 1, T0, T0, T1, 0, 0);
		f.mem_index = -1;
		scratch[nscratch++] = T1;
	}
	if (!bring_home(t, &f, &p, scratch, nscratch))
		return (false);
	if (cx_in || cx_out)
		e_mov(t, 1, H_CX, H_R9);
	(void)respell(t, &f);
	emit_insn(t, &f);
	send_back(t, &p);
	if (cx_out)
		e_mov(t, 1, H_R9, H_CX);
	if (p.mem != NULL) {
		tr_access_end(t, &a);
		if (surely(t) && a.want.kind == SLOT_STACK && a.index < 0 &&
		    a.disp >= -SP_NEAR && a.disp <= SP_NEAR)
			tr_sp_near(t);
	}
	tr_note_written(t);
	tr_keep(t);
	return (true);
}
