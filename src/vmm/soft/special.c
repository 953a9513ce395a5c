/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that are neither ordinary nor control flow: system
 * instructions, string instructions, and a few with odd operands. Most call
 * a C function; T0 and T1 carry what the function's comment says.
 */
#include "vmm/soft/tr.h"

/* How the operands of a helper are passed. */
enum args {
	A_NONE,	  /* nothing */
	A_NEXT,	  /* T1: next pc */
	A_ADDR,	  /* T0: linear address of operand 0, T1: `arg` */
	A_RM16,	  /* T0: value of operand 0 (16 bits), T1: next pc */
	A_STORE,  /* operand 0 receives 16 bits: see store_rm() */
	A_CRTO,	  /* T0: cr << 8 | guest register, T1: next pc */
	A_CRFROM, /* the same */
	A_LAR,	  /* T0: value of operand 1, T1: operand size << 8 | register */
	A_BASE,	  /* T0: size << 8 | register, T1: arg */
};

enum how { H_BACK, H_END, H_SHADOW };

struct special {
	uint8_t args, how;
	uint16_t arg;
	soft_helper *fn;
};

#define S(mn, args, how, fn, arg)                                              \
	[ZYDIS_MNEMONIC_##mn] = { args, how, arg, fn }

/* XSAVE and friends: what soft_h_xsave() is told. */
#define X_SAVE 0
#define X_OPT 1
#define X_C 2
#define X_W 0x100

static const struct special specials[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	S(CPUID, A_NONE, H_BACK, soft_h_cpuid, 0),
	S(RDMSR, A_NEXT, H_END, soft_h_rdmsr, 0),
	S(WRMSR, A_NEXT, H_END, soft_h_wrmsr, 0),
	S(RDTSC, A_NONE, H_BACK, soft_h_rdtsc, 0),
	S(RDTSCP, A_NONE, H_BACK, soft_h_rdtscp, 0),
	S(RDPMC, A_NONE, H_BACK, soft_h_rdpmc, 0),
	S(LGDT, A_ADDR, H_BACK, soft_h_lgdt, 0),
	S(LIDT, A_ADDR, H_BACK, soft_h_lidt, 0),
	S(SGDT, A_ADDR, H_BACK, soft_h_sgdt, 0),
	S(SIDT, A_ADDR, H_BACK, soft_h_sidt, 0),
	S(LLDT, A_RM16, H_BACK, soft_h_lldt, 0),
	S(LTR, A_RM16, H_BACK, soft_h_ltr, 0),
	S(LMSW, A_RM16, H_END, soft_h_lmsw, 0),
	S(VERR, A_RM16, H_BACK, soft_h_verr, 0),
	S(VERW, A_RM16, H_BACK, soft_h_verw, 0),
	S(SLDT, A_STORE, H_BACK, soft_h_sldt, 0),
	S(STR, A_STORE, H_BACK, soft_h_str, 0),
	S(SMSW, A_STORE, H_BACK, soft_h_smsw, 0),
	S(LAR, A_LAR, H_BACK, soft_h_lar, 0),
	S(LSL, A_LAR, H_BACK, soft_h_lsl, 0),
	S(CLTS, A_NEXT, H_END, soft_h_clts, 0),
	S(INVLPG, A_ADDR, H_END, soft_h_invlpg, 0),
	S(WBINVD, A_NONE, H_BACK, soft_h_wbinvd, 0),
	S(INVD, A_NONE, H_BACK, soft_h_wbinvd, 0),
	S(HLT, A_NEXT, H_END, soft_h_hlt, 0),
	S(SYSCALL, A_NEXT, H_END, soft_h_syscall, 0),
	S(SYSRET, A_NEXT, H_END, soft_h_sysret, 0),
	S(SYSENTER, A_NEXT, H_END, soft_h_sysenter, 0),
	S(SYSEXIT, A_NEXT, H_END, soft_h_sysexit, 0),
	S(SWAPGS, A_NONE, H_BACK, soft_h_swapgs, 0),
	S(RDFSBASE, A_BASE, H_BACK, soft_h_rdbase, VM_SEG_FS),
	S(RDGSBASE, A_BASE, H_BACK, soft_h_rdbase, VM_SEG_GS),
	S(WRFSBASE, A_BASE, H_BACK, soft_h_wrbase, VM_SEG_FS),
	S(WRGSBASE, A_BASE, H_BACK, soft_h_wrbase, VM_SEG_GS),
	S(RDPID, A_BASE, H_BACK, soft_h_rdpid, 0),
	S(CLI, A_NONE, H_BACK, soft_h_cli, 0),
	S(STI, A_NONE, H_SHADOW, soft_h_sti, 0),
	S(STAC, A_NEXT, H_END, soft_h_stac, 0),
	S(CLAC, A_NEXT, H_END, soft_h_clac, 0),
	S(XGETBV, A_NONE, H_BACK, soft_h_xgetbv, 0),
	S(XSETBV, A_NEXT, H_END, soft_h_xsetbv, 0),
	S(XSAVE, A_ADDR, H_BACK, soft_h_xsave, X_SAVE),
	S(XSAVEOPT, A_ADDR, H_BACK, soft_h_xsave, X_OPT),
	S(XSAVEC, A_ADDR, H_BACK, soft_h_xsave, X_C),
	S(XRSTOR, A_ADDR, H_BACK, soft_h_xrstor, 0),
	S(XSAVE64, A_ADDR, H_BACK, soft_h_xsave, X_SAVE | X_W),
	S(XSAVEOPT64, A_ADDR, H_BACK, soft_h_xsave, X_OPT | X_W),
	S(XSAVEC64, A_ADDR, H_BACK, soft_h_xsave, X_C | X_W),
	S(XRSTOR64, A_ADDR, H_BACK, soft_h_xrstor, X_W),
	S(FXSAVE, A_ADDR, H_BACK, soft_h_fxsave, 0),
	S(FXSAVE64, A_ADDR, H_BACK, soft_h_fxsave, X_W),
	S(FXRSTOR, A_ADDR, H_BACK, soft_h_fxrstor, 0),
	S(FXRSTOR64, A_ADDR, H_BACK, soft_h_fxrstor, X_W),
};

/* T0 := 16-bit value of a register or memory operand. */
static void
load_rm16(struct tr *t, const ZydisDecodedOperand *op)
{
	struct access a;
	bool high, mem = op->type == ZYDIS_OPERAND_TYPE_MEMORY;
	int h;

	if (mem) {
		tr_ea(t, op, true, 0);
		tr_access(t, 2 | ACCESS_READ | tr_stack(op), &a);
		e1(t, 0x47); /* movzx r14d, word [T0 + T1] */
		e1(t, 0x0f);
		e1(t, 0xb7);
		e_mem(t, T0, T0, T1, 0, 0);
		tr_access_end(t, &a);
		return;
	}
	h = tr_get(t, (unsigned)tr_gpr(op->reg.value, &high), T0);
	e_rex(t, 0, T0, 0, h);
	e1(t, 0x0f); /* movzx r14d, h16 */
	e1(t, 0xb7);
	e1(t, 0xc0u | (T0 & 7) << 3 | (unsigned)(h & 7));
}

/* T0, T1 for a helper that stores 16 bits: an address and 1 << 16, or a
 * register number and the operand's size in bytes. */
static void
store_rm(struct tr *t, const ZydisDecodedOperand *op)
{
	bool high;

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		tr_ea(t, op, true, 0);
		e_mov_imm(t, T1, 1u << 16);
		return;
	}
	e_mov_imm(t, T0, (uint64_t)tr_gpr(op->reg.value, &high));
	e_mov_imm(t, T1, op->size / 8u);
}

static void
call_special(struct tr *t, const struct special *s)
{
	bool high;

	switch ((enum args)s->args) {
	case A_NONE:
		break;
	case A_NEXT:
		e_mov_imm(t, T1, t->next);
		break;
	case A_ADDR:
		tr_ea(t, &t->op[0], true, 0);
		e_mov_imm(t, T1, s->how == H_END ? t->next : (uint64_t)s->arg);
		break;
	case A_RM16:
		load_rm16(t, &t->op[0]);
		e_mov_imm(t, T1, t->next);
		break;
	case A_STORE:
		store_rm(t, &t->op[0]);
		break;
	case A_LAR:
		load_rm16(t, &t->op[1]);
		e_mov_imm(t, T1,
		    (uint64_t)t->op[0].size / 8 << 8 |
			(uint64_t)tr_gpr(t->op[0].reg.value, &high));
		break;
	case A_BASE:
		e_mov_imm(t, T0,
		    (uint64_t)t->op[0].size / 8 << 8 |
			(uint64_t)tr_gpr(t->op[0].reg.value, &high));
		e_mov_imm(t, T1, s->arg);
		break;
	default:
		break;
	}
	if (s->how == H_END) {
		tr_call_end(t, s->fn);
		return;
	}
	tr_call(t, s->fn);
	if (s->how == H_SHADOW)
		t->last_next = true;
}

/* ---- MOV to and from segment, control and debug registers ---- */

static bool
mov_system(struct tr *t)
{
	const ZydisDecodedOperand *d = &t->op[0], *s = &t->op[1];
	ZydisRegisterClass dc = d->type == ZYDIS_OPERAND_TYPE_REGISTER ?
	    ZydisRegisterGetClass(d->reg.value) :
	    ZYDIS_REGCLASS_INVALID;
	ZydisRegisterClass sc = s->type == ZYDIS_OPERAND_TYPE_REGISTER ?
	    ZydisRegisterGetClass(s->reg.value) :
	    ZYDIS_REGCLASS_INVALID;
	bool high;

	if (dc == ZYDIS_REGCLASS_SEGMENT) {
		load_rm16(t, s);
		e_st_env(t, 1, CPU_TMP, T0);
		e_mov_imm(t, T0, (uint64_t)(d->reg.value - ZYDIS_REGISTER_ES));
		e_mov_imm(t, T1, t->next);
		tr_call_end(t, soft_h_mov_to_seg);
		return (true);
	}
	if (sc == ZYDIS_REGCLASS_SEGMENT) {
		unsigned off = (unsigned)(offsetof(struct soft_cpu, seg) +
		    (unsigned)(s->reg.value - ZYDIS_REGISTER_ES) *
			sizeof(struct vm_seg) +
		    offsetof(struct vm_seg, sel));
		struct access a;

		if (d->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			tr_ea(t, d, true, 0);
			tr_access(t, 2 | ACCESS_WRITE | tr_stack(d), &a);
		}
		e1(t, 0x41); /* movzx ecx, word [sel] */
		e1(t, 0x0f);
		e1(t, 0xb7);
		e_mem(t, T2, H_ENV, -1, 0, ENV(off));
		if (d->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			e1(t, 0x66);
			e_op_mem(t, 0, 0x89, T2, T0, T1, 0, 0);
			tr_access_end(t, &a);
		} else if (d->size == 16) {
			unsigned g = (unsigned)tr_gpr(d->reg.value, &high);
			int h = tr_get(t, g, T1);

			e1(t, 0x66);
			e_mov(t, 0, h, T2);
			tr_put(t, g, h);
		} else
			tr_put(t, (unsigned)tr_gpr(d->reg.value, &high), T2);
		return (true);
	}
	if (dc == ZYDIS_REGCLASS_CONTROL || dc == ZYDIS_REGCLASS_DEBUG) {
		bool cr = dc == ZYDIS_REGCLASS_CONTROL;

		e_mov_imm(t, T0,
		    (uint64_t)(d->reg.value -
			(cr ? ZYDIS_REGISTER_CR0 : ZYDIS_REGISTER_DR0))
			    << 8 |
			(uint64_t)tr_gpr(s->reg.value, &high));
		e_mov_imm(t, T1, t->next);
		tr_call_end(t, cr ? soft_h_mov_to_cr : soft_h_mov_to_dr);
		return (true);
	}
	if (sc == ZYDIS_REGCLASS_CONTROL || sc == ZYDIS_REGCLASS_DEBUG) {
		bool cr = sc == ZYDIS_REGCLASS_CONTROL;

		e_mov_imm(t, T0,
		    (uint64_t)(s->reg.value -
			(cr ? ZYDIS_REGISTER_CR0 : ZYDIS_REGISTER_DR0))
			    << 8 |
			(uint64_t)tr_gpr(d->reg.value, &high));
		tr_call(t, cr ? soft_h_mov_from_cr : soft_h_mov_from_dr);
		return (true);
	}
	return (false);
}

/* ---- odd operands ---- */

static bool
lea(struct tr *t)
{
	unsigned size = t->op[0].size / 8u, g;
	bool high;
	int h;

	g = (unsigned)tr_gpr(t->op[0].reg.value, &high);
	tr_ea(t, &t->op[1], false, 0);
	if (size == 2) {
		h = tr_get(t, g, T1);
		e1(t, 0x66);
		e_mov(t, 0, h, T0);
		tr_put(t, g, h);
		return (true);
	}
	if (size == 4)
		e_mov(t, 0, T0, T0);
	tr_put(t, g, T0);
	return (true);
}

/* BMI2 shift: op 1: SHLX, 2: SARX, 3: SHRX; 64 bits, rcx by T1 into rcx */
static void
shift_cx_by_t1(struct tr *t, unsigned pp)
{
	e1(t, 0xc4);
	e1(t, 0xe2);
	e1(t, 0x80u | ((~(unsigned)T1 & 15) << 3) | pp);
	e1(t, 0xf7);
	e1(t, 0xc9);
}

/*
 * BT and its kin with a bit offset in a register reach beyond their operand
 * in memory (SDM volume 2, BT). The operand that holds the bit is addressed,
 * and the offset reduced, with shifts that leave the flags alone.
 */
static bool
bit_string(struct tr *t)
{
	unsigned size = t->op[0].size / 8u, g;
	unsigned lg = size == 8 ? 6 : size == 4 ? 5 : 4;
	uint32_t what = size | ACCESS_READ | tr_stack(&t->op[0]);
	struct access a;
	bool high;
	int h;

	if (t->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    t->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (false);
	g = (unsigned)tr_gpr(t->op[1].reg.value, &high);
	if (t->in.mnemonic != ZYDIS_MNEMONIC_BT)
		what |= ACCESS_WRITE;
	tr_ea(t, &t->op[0], true, 0);
	h = tr_get(t, g, T2);
	if (size == 8) {
		if (h != T2)
			e_mov(t, 1, T2, h);
	} else if (size == 4) { /* movsxd rcx, h */
		e_rex(t, 1, T2, 0, h);
		e1(t, 0x63);
		e1(t, 0xc8u | (unsigned)(h & 7));
	} else { /* movsx rcx, h16 */
		e_rex(t, 1, T2, 0, h);
		e1(t, 0x0f);
		e1(t, 0xbf);
		e1(t, 0xc8u | (unsigned)(h & 7));
	}
	e_mov_imm(t, T1, lg);
	shift_cx_by_t1(t, 2);
	e_lea(t, t->in.address_width == 64, T0, T0, T2,
	    size == 8	    ? 3 :
		size == 4 ? 2 :
			    1,
	    0);
	tr_access(t, what, &a);
	e_lea(t, 1, T0, T0, T1, 0, 0);
	h = tr_get(t, g, T2);
	if (h != T2)
		e_mov(t, 1, T2, h);
	e_mov_imm(t, T1, 64 - lg);
	shift_cx_by_t1(t, 1);
	shift_cx_by_t1(t, 3);
	if (t->in.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		e1(t, 0xf0);
	if (size == 2)
		e1(t, 0x66);
	e_rex(t, size == 8, T2, 0, T0);
	e1(t, 0x0f);
	e1(t, t->in.opcode);
	e_mem(t, T2, T0, -1, 0, 0);
	tr_access_end(t, &a);
	return (true);
}

static bool
xlat(struct tr *t)
{
	bool w = t->in.address_width == 64;
	struct access a;

	e1(t, 0x44); /* movzx r14d, al */
	e1(t, 0x0f);
	e1(t, 0xb6);
	e1(t, 0xf0);
	e_lea(t, w, T0, H_BX, T0, 0, 0);
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			ZydisRegister s = t->op[i].mem.segment;

			tr_add_seg(t,
			    s == ZYDIS_REGISTER_NONE ?
				VM_SEG_DS :
				(unsigned)(s - ZYDIS_REGISTER_ES));
		}
	tr_access(t, 1 | ACCESS_READ, &a);
	e_op_mem(t, 0, 0x8a, H_AX, T0, T1, 0, 0);
	tr_access_end(t, &a);
	return (true);
}

/* String instructions: see soft_h_string() for what T0 says. */
static bool
string(struct tr *t)
{
	static const struct {
		uint16_t mnemonic;
		uint8_t kind, size;
	} ops[] = {
		{ ZYDIS_MNEMONIC_MOVSB, 0, 1 }, { ZYDIS_MNEMONIC_MOVSW, 0, 2 },
		{ ZYDIS_MNEMONIC_MOVSD, 0, 4 }, { ZYDIS_MNEMONIC_MOVSQ, 0, 8 },
		{ ZYDIS_MNEMONIC_STOSB, 1, 1 }, { ZYDIS_MNEMONIC_STOSW, 1, 2 },
		{ ZYDIS_MNEMONIC_STOSD, 1, 4 }, { ZYDIS_MNEMONIC_STOSQ, 1, 8 },
		{ ZYDIS_MNEMONIC_LODSB, 2, 1 }, { ZYDIS_MNEMONIC_LODSW, 2, 2 },
		{ ZYDIS_MNEMONIC_LODSD, 2, 4 }, { ZYDIS_MNEMONIC_LODSQ, 2, 8 },
		{ ZYDIS_MNEMONIC_CMPSB, 3, 1 }, { ZYDIS_MNEMONIC_CMPSW, 3, 2 },
		{ ZYDIS_MNEMONIC_CMPSD, 3, 4 }, { ZYDIS_MNEMONIC_CMPSQ, 3, 8 },
		{ ZYDIS_MNEMONIC_SCASB, 4, 1 }, { ZYDIS_MNEMONIC_SCASW, 4, 2 },
		{ ZYDIS_MNEMONIC_SCASD, 4, 4 }, { ZYDIS_MNEMONIC_SCASQ, 4, 8 },
		{ ZYDIS_MNEMONIC_INSB, 5, 1 }, { ZYDIS_MNEMONIC_INSW, 5, 2 },
		{ ZYDIS_MNEMONIC_INSD, 5, 4 }, { ZYDIS_MNEMONIC_OUTSB, 6, 1 },
		{ ZYDIS_MNEMONIC_OUTSW, 6, 2 }, { ZYDIS_MNEMONIC_OUTSD, 6, 4 },
	};
	unsigned seg = VM_SEG_DS, rep = 0;
	uint64_t arg;

	/* SSE has a MOVSD and a CMPSD too. */
	if (t->in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return (false);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].mnemonic != t->in.mnemonic)
			continue;
		if (t->in.attributes & ZYDIS_ATTRIB_HAS_REPNE)
			rep = 2;
		else if (t->in.attributes &
		    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
			rep = 1;
		if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
			seg = VM_SEG_FS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
			seg = VM_SEG_GS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
			seg = VM_SEG_ES;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS)
			seg = VM_SEG_CS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
			seg = VM_SEG_SS;
		arg = ops[i].kind | (uint64_t)ops[i].size << 8 |
		    (uint64_t)rep << 16 | (uint64_t)seg << 24 |
		    (uint64_t)t->in.address_width << 32;
		e_mov_imm(t, T0, arg);
		e_mov_imm(t, T1, t->next);
		tr_call(t, soft_h_string);
		return (true);
	}
	return (false);
}

/* MASKMOVQ and MASKMOVDQU store to [rDI]. */
static bool
maskmov(struct tr *t)
{
	bool w = t->in.address_width == 64,
	     mmx = t->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ,
	     vex = t->in.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
	struct access a;

	if ((t->flags & (BF_TS | BF_EM)) || (!mmx && !(t->flags & BF_OSFXSR)) ||
	    (vex && !(t->flags & BF_AVX))) {
		tr_exception(t,
		    !(t->flags & BF_EM) && (t->flags & BF_TS) ? EXC_NM : EXC_UD,
		    false);
		return (true);
	}
	tr_need_fpu(t);
	if (mmx) /* #MF now: not while rDI is an address of the host */
		e1(t, 0x9b);
	e_mov(t, w, T0, H_DI);
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			tr_add_seg(t,
			    (unsigned)(t->op[i].mem.segment -
				ZYDIS_REGISTER_ES));
	tr_access(t, (mmx ? 8 : 16) | ACCESS_READ | ACCESS_WRITE, &a);
	e_mov(t, 1, T2, H_DI);
	e_lea(t, 1, H_DI, T0, T1, 0, 0);
	for (unsigned i = 0; i < t->in.length; i++) {
		uint8_t b = t->bytes[i];

		if (b == 0x67 || b == 0x64 || b == 0x65 || b == 0x2e ||
		    b == 0x36 || b == 0x3e || b == 0x26)
			continue;
		while (i < t->in.length)
			e1(t, t->bytes[i++]);
	}
	e_mov(t, 1, H_DI, T2);
	tr_access_end(t, &a);
	return (true);
}

/* Number of a vector register, 0 to 31. */
static unsigned
vreg(ZydisRegister r)
{
	return ((unsigned)ZydisRegisterGetId(r));
}

/* VSIB addressing: see soft_h_gather() for what T0 says. */
static bool
gather(struct tr *t)
{
	const ZydisDecodedOperand *mem = NULL, *vec = NULL, *vmask = NULL;
	bool evex = t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, scatter;
	unsigned mask, elem, ielem, n, ni;
	uint64_t a;
	int64_t disp;
	bool high;
	int base;

	if (t->in.meta.category != ZYDIS_CATEGORY_AVX2GATHER &&
	    t->in.meta.category != ZYDIS_CATEGORY_GATHER &&
	    t->in.meta.category != ZYDIS_CATEGORY_SCATTER)
		return (false);
	scatter = t->in.operand_count > 0 &&
	    t->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			mem = op;
		else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(op->reg.value) !=
			ZYDIS_REGCLASS_MASK) {
			if (vec == NULL)
				vec = op;
			else
				vmask = op;
		}
	}
	if (mem == NULL || vec == NULL || (!evex && vmask == NULL))
		return (false);
	mask = evex ? vreg(t->in.avx.mask.reg) : vreg(vmask->reg.value);
	if ((t->flags & BF_TS) || !(t->flags & (evex ? BF_AVX512 : BF_AVX)) ||
	    (!scatter && vreg(vec->reg.value) == vreg(mem->mem.index)) ||
	    (evex ? mask == 0 :
		    mask == vreg(vec->reg.value) ||
				mask == vreg(mem->mem.index))) {
		tr_exception(t,
		    (t->flags & BF_TS) &&
			    (t->flags & (evex ? BF_AVX512 : BF_AVX)) ?
			EXC_NM :
			EXC_UD,
		    false);
		return (true);
	}
	elem = vec->element_size / 8u;
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPS:
	case ZYDIS_MNEMONIC_VGATHERDPD:
	case ZYDIS_MNEMONIC_VPSCATTERDD:
	case ZYDIS_MNEMONIC_VPSCATTERDQ:
	case ZYDIS_MNEMONIC_VSCATTERDPS:
	case ZYDIS_MNEMONIC_VSCATTERDPD:
		ielem = 4;
		break;
	default:
		ielem = 8;
		break;
	}
	/* As many elements as both the data and the indices have. */
	n = t->in.avx.vector_length / 8u / elem;
	ni = t->in.avx.vector_length / 8u / ielem;
	if (ni < n)
		n = ni;
	base = tr_gpr(mem->mem.base, &high);
	disp = mem->mem.disp.has_displacement ? mem->mem.disp.value : 0;
	if (base >= 0 && tr_no_base(t)) {
		base = -1;
		disp = t->in.raw.disp.value;
	}
	a = vreg(vec->reg.value) | (uint64_t)vreg(mem->mem.index) << 5 |
	    (uint64_t)mask << 10 | (uint64_t)elem << 15 |
	    (uint64_t)ielem << 19 | (uint64_t)n << 23 |
	    (uint64_t)(base < 0 ? 16 : base) << 36 |
	    (uint64_t)mem->mem.scale << 41 |
	    (uint64_t)(mem->mem.segment - ZYDIS_REGISTER_ES) << 45 |
	    (uint64_t)(t->in.address_width == 32) << 48 |
	    (uint64_t)evex << 49 | (uint64_t)scatter << 50;
	e_mov_imm(t, T0, a);
	e_mov_imm(t, T1, (uint64_t)disp);
	tr_call(t, soft_h_gather);
	return (true);
}

static bool
in_out(struct tr *t, soft_helper *fn, unsigned port_op, unsigned val_op)
{
	const ZydisDecodedOperand *port = &t->op[port_op];

	e_mov_imm(t, T0,
	    port->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ?
		port->imm.value.u & 0xff :
		0x10000);
	e_mov_imm(t, T1, t->op[val_op].size / 8u);
	tr_call(t, fn);
	return (true);
}

/* FNSTENV and its kin: the addresses in the image are the host's. */
static bool
fenv(struct tr *t, unsigned kind)
{
	if (t->flags & (BF_TS | BF_EM)) {
		tr_exception(t, EXC_NM, false);
		return (true);
	}
	tr_ea(t, &t->op[0], true, 0);
	e_mov_imm(t, T1,
	    kind | (t->in.operand_width == 16 ? 0x10u : 0));
	tr_call(t, soft_h_fenv);
	return (true);
}

/* pushf/popf: T0 is the operand's size. */
static bool
flags(struct tr *t, bool pop)
{
	unsigned size = t->in.operand_width / 8u;

	e_mov_imm(t, T0, size);
	e_mov_imm(t, T1, t->next);
	if (pop)
		tr_call_end(t, soft_h_popf);
	else
		tr_call(t, soft_h_pushf);
	return (true);
}

static bool
invpcid(struct tr *t)
{
	bool high;

	tr_ea(t, &t->op[1], true, 0);
	e_mov_imm(t, T1, (uint64_t)tr_gpr(t->op[0].reg.value, &high));
	tr_call(t, soft_h_invpcid);
	tr_goto(t, t->next);
	t->end = true;
	return (true);
}

static bool
interrupt(struct tr *t, soft_helper *fn, uint64_t vector)
{
	e_mov_imm(t, T0, vector);
	e_mov_imm(t, T1, t->next);
	tr_call_end(t, fn);
	return (true);
}

/* Instructions whose feature CPUID does not announce. */
static bool
not_offered(const struct tr *t)
{
	switch (t->in.meta.isa_ext) {
	case ZYDIS_ISA_EXT_VTX:
	case ZYDIS_ISA_EXT_SVM:
	case ZYDIS_ISA_EXT_RTM:
	case ZYDIS_ISA_EXT_MONITOR:
	case ZYDIS_ISA_EXT_MONITORX:
	case ZYDIS_ISA_EXT_PKU:
	case ZYDIS_ISA_EXT_SMX:
	case ZYDIS_ISA_EXT_SGX:
	case ZYDIS_ISA_EXT_SGX_ENCLV:
	case ZYDIS_ISA_EXT_WAITPKG:
	case ZYDIS_ISA_EXT_ENQCMD:
	case ZYDIS_ISA_EXT_MOVDIR:
	case ZYDIS_ISA_EXT_PCONFIG:
	case ZYDIS_ISA_EXT_AMX_BF16:
	case ZYDIS_ISA_EXT_AMX_INT8:
	case ZYDIS_ISA_EXT_AMX_TILE:
	case ZYDIS_ISA_EXT_UINTR:
	case ZYDIS_ISA_EXT_KEYLOCKER:
	case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
	case ZYDIS_ISA_EXT_HRESET:
	case ZYDIS_ISA_EXT_XSAVES:
	case ZYDIS_ISA_EXT_SERIALIZE:
	case ZYDIS_ISA_EXT_TDX:
	case ZYDIS_ISA_EXT_SNP:
	case ZYDIS_ISA_EXT_TSX_LDTRK:
	case ZYDIS_ISA_EXT_PT:
	case ZYDIS_ISA_EXT_RDPRU:
	case ZYDIS_ISA_EXT_MCOMMIT:
	case ZYDIS_ISA_EXT_AMD_INVLPGB:
	case ZYDIS_ISA_EXT_KNC:
	case ZYDIS_ISA_EXT_KNCE:
	case ZYDIS_ISA_EXT_KNCV:
	case ZYDIS_ISA_EXT_PADLOCK:
	case ZYDIS_ISA_EXT_VMFUNC:
		return (true);
	case ZYDIS_ISA_EXT_AVX512EVEX:
		switch (t->in.meta.isa_set) {
		case ZYDIS_ISA_SET_AVX512ER_512:
		case ZYDIS_ISA_SET_AVX512ER_SCALAR:
		case ZYDIS_ISA_SET_AVX512PF_512:
		case ZYDIS_ISA_SET_AVX512_4FMAPS_512:
		case ZYDIS_ISA_SET_AVX512_4FMAPS_SCALAR:
		case ZYDIS_ISA_SET_AVX512_4VNNIW_512:
		case ZYDIS_ISA_SET_AVX512_VP2INTERSECT_128:
		case ZYDIS_ISA_SET_AVX512_VP2INTERSECT_256:
		case ZYDIS_ISA_SET_AVX512_VP2INTERSECT_512:
			return (true);
		default:
			return (false);
		}
	case ZYDIS_ISA_EXT_SSE4A:
	case ZYDIS_ISA_EXT_XOP:
	case ZYDIS_ISA_EXT_FMA4:
	case ZYDIS_ISA_EXT_TBM:
	case ZYDIS_ISA_EXT_AMD3DNOW:
	case ZYDIS_ISA_EXT_CLZERO:
		/* The host's #UD would do, but it comes after a fault of the
		 * memory operand. */
		return (t->vm->intel);
	default:
		return (false);
	}
}

/* CLFLUSH and its kin: caches are the host's, what remains is the check that
 * a byte can be read (SDM volume 2, CLFLUSH). */
static bool
flush_line(struct tr *t)
{
	struct access a;

	tr_ea(t, &t->op[0], true, 0);
	tr_access(t, 1 | ACCESS_READ | tr_stack(&t->op[0]), &a);
	tr_access_end(t, &a);
	return (true);
}

bool
tr_special(struct tr *t)
{
	uint16_t mn = (uint16_t)t->in.mnemonic;

	if (not_offered(t)) {
		tr_exception(t, EXC_UD, false);
		return (true);
	}
	switch (mn) {
	case ZYDIS_MNEMONIC_MOV:
		return (mov_system(t));
	case ZYDIS_MNEMONIC_LEA:
		return (lea(t));
	case ZYDIS_MNEMONIC_PAUSE:
		e1(t, 0xf3);
		e1(t, 0x90);
		if (t->cpu->pause_exit)
			tr_call(t, soft_h_pause);
		return (true);
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
		return (true);
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		return (flush_line(t));
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_RSM:
		tr_exception(t, EXC_UD, false);
		return (true);
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return (bit_string(t));
	case ZYDIS_MNEMONIC_XLAT:
		return (xlat(t));
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return (maskmov(t));
	case ZYDIS_MNEMONIC_CLD:
		e_mov_imm(t, T0, 0);
		tr_call(t, soft_h_set_df);
		return (true);
	case ZYDIS_MNEMONIC_STD:
		e_mov_imm(t, T0, 1);
		tr_call(t, soft_h_set_df);
		return (true);
	case ZYDIS_MNEMONIC_IN:
		return (in_out(t, soft_h_in, 1, 0));
	case ZYDIS_MNEMONIC_OUT:
		return (in_out(t, soft_h_out, 0, 1));
	case ZYDIS_MNEMONIC_INT:
		return (interrupt(t, soft_h_int, t->op[0].imm.value.u & 0xff));
	case ZYDIS_MNEMONIC_INT3:
		return (interrupt(t, soft_h_int, EXC_BP));
	case ZYDIS_MNEMONIC_INT1:
		return (interrupt(t, soft_h_int1, EXC_DB));
	case ZYDIS_MNEMONIC_INTO:
		return (interrupt(t, soft_h_into, EXC_OF));
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return (flags(t, false));
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return (flags(t, true));
	case ZYDIS_MNEMONIC_FNSTENV:
		return (fenv(t, 0));
	case ZYDIS_MNEMONIC_FNSAVE:
		return (fenv(t, 1));
	case ZYDIS_MNEMONIC_FLDENV:
		return (fenv(t, 2));
	case ZYDIS_MNEMONIC_FRSTOR:
		return (fenv(t, 3));
	case ZYDIS_MNEMONIC_INVPCID:
		return (invpcid(t));
	default:
		break;
	}
	/* CET and MPX took encodings that are NOPs without them. */
	if (t->in.meta.isa_ext == ZYDIS_ISA_EXT_MPX ||
	    t->in.meta.isa_ext == ZYDIS_ISA_EXT_CET ||
	    mn == ZYDIS_MNEMONIC_CLDEMOTE ||
	    (t->in.meta.category == ZYDIS_CATEGORY_PREFETCH &&
		t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY) ||
	    t->in.meta.category == ZYDIS_CATEGORY_NOP ||
	    t->in.meta.category == ZYDIS_CATEGORY_WIDENOP)
		return (true);
	if (specials[mn].fn != NULL) {
		call_special(t, &specials[mn]);
		return (true);
	}
	return (gather(t) || string(t));
}
