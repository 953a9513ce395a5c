/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions, and what else is neither ordinary nor control flow.
 * Most call a C function; T0 and T1 carry what the function's comment says.
 */
#include "vmm/soft/tr.h"

/* How the operands of a helper are passed. */
enum args {
	A_NONE,	  /* nothing */
	A_NEXT,	  /* T1: next pc */
	A_ADDR,	  /* T0: linear address of operand 0, T1: `arg`; for XSAVE
		   * and its kin T0: offset, T1: `arg` | segment << 16 */
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
#define X_S 3
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
	S(STI, A_NEXT, H_SHADOW, soft_h_sti, 0),
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
	S(XSAVES, A_ADDR, H_BACK, soft_h_xsave, X_S),
	S(XSAVES64, A_ADDR, H_BACK, soft_h_xsave, X_S | X_W),
	S(XRSTORS, A_ADDR, H_BACK, soft_h_xrstor, X_S),
	S(XRSTORS64, A_ADDR, H_BACK, soft_h_xrstor, X_S | X_W),
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
		tr_ea(t, op, EA_R(2), 0);
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
		tr_ea(t, op, EA_W(2), 0);
		e_mov_imm(t, T1, 1u << 16);
		return;
	}
	e_mov_imm(t, T0, (uint64_t)tr_gpr(op->reg.value, &high));
	e_mov_imm(t, T1, op->size / 8u);
}

/* What an A_ADDR instruction does at its address. */
static uint32_t
special_use(const struct special *s)
{
	if (s->fn == soft_h_lgdt || s->fn == soft_h_lidt)
		return (EA_R(6));
	if (s->fn == soft_h_sgdt || s->fn == soft_h_sidt)
		return (EA_W(6));
	if (s->fn == soft_h_fxsave)
		return (EA_W(512));
	if (s->fn == soft_h_fxrstor)
		return (EA_R(512));
	if (s->fn == soft_h_xsave || s->fn == soft_h_xrstor)
		return (EA_OFFSET); /* how much is in registers and memory */
	return (EA_SEG); /* INVLPG */
}

static void
call_special(struct tr *t, const struct special *s)
{
	bool high;

	switch ((enum args)s->args) {
	case A_NONE:
		break;
	case A_NEXT:
		e_mov_imm(t, T0, t->code64 && t->in.raw.rex.W);
		e_mov_imm(t, T1, t->next);
		break;
	case A_ADDR:
		tr_ea(t, &t->op[0], special_use(s), 0);
		if (s->fn == soft_h_lgdt || s->fn == soft_h_lidt)
			e_mov_imm(t, T1, t->in.operand_width);
		else if (special_use(s) == EA_OFFSET)
			e_mov_imm(t, T1,
			    s->arg |
				(uint64_t)(t->op[0].mem.segment -
				    ZYDIS_REGISTER_ES)
				    << 16);
		else
			e_mov_imm(t, T1,
			    s->how == H_END ? t->next : (uint64_t)s->arg);
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
	if (s->how == H_SHADOW && !(t->flags & BF_STEP))
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
			tr_ea(t, d, EA_W(2), 0);
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
	unsigned size;

	if (t->flags & (BF_TS | BF_EM)) {
		tr_exception(t, EXC_NM, false);
		return (true);
	}
	if (kind >= 2) {
		/* Loading waits: a pending exception is the guest's, so it
		 * must not come in the helper. */
		tr_need_fpu(t);
		e1(t, 0x9b);
	}
	size = kind & 1 ? 108 : 28;
	if (t->in.operand_width == 16)
		size -= 14;
	tr_ea(t, &t->op[0], kind >= 2 ? EA_R(size) : EA_W(size), 0);
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

	tr_ea(t, &t->op[1], EA_R(16), 0);
	e_mov_imm(t, T1, (uint64_t)tr_gpr(t->op[0].reg.value, &high));
	tr_call(t, soft_h_invpcid);
	tr_goto(t, t->next);
	t->end = true;
	return (true);
}

/* BCD instructions: a kind, and the base of AAM and AAD. */
static bool
bcd(struct tr *t, uint64_t kind)
{
	e_mov_imm(t, T0, kind);
	e_mov_imm(t, T1,
	    t->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ?
		t->op[0].imm.value.u & 0xff :
		10);
	tr_call(t, soft_h_bcd);
	return (true);
}

/* LES and its kin. T1: see soft_h_lxs(). */
static bool
load_far(struct tr *t, unsigned seg)
{
	bool high;

	tr_ea(t, &t->op[1], EA_R(t->op[0].size / 8u + 2), 0);
	e_mov_imm(t, T1,
	    seg | (uint64_t)tr_gpr(t->op[0].reg.value, &high) << 8 |
		(uint64_t)t->op[0].size / 8 << 16 |
		(uint64_t)t->in.length << 24);
	tr_call_end(t, soft_h_lxs);
	return (true);
}

/* ARPL: T0 a register, or an address with bit 8 of T1; T1: the other. */
static bool
arpl(struct tr *t)
{
	bool high, mem = t->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;

	if (mem)
		tr_ea(t, &t->op[0], EA_R(2), 0);
	else
		e_mov_imm(t, T0, (uint64_t)tr_gpr(t->op[0].reg.value, &high));
	e_mov_imm(t, T1,
	    (uint64_t)tr_gpr(t->op[1].reg.value, &high) | (mem ? 0x100u : 0));
	tr_call(t, soft_h_arpl);
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
	if (t->vm->isa_off[t->in.meta.isa_set] ||
	    t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP)
		return (true);
	switch (t->in.meta.isa_ext) {
	case ZYDIS_ISA_EXT_CET: /* but for what is a NOP without it */
		return (t->in.mnemonic != ZYDIS_MNEMONIC_ENDBR32 &&
		    t->in.mnemonic != ZYDIS_MNEMONIC_ENDBR64 &&
		    t->in.mnemonic != ZYDIS_MNEMONIC_RDSSPD &&
		    t->in.mnemonic != ZYDIS_MNEMONIC_RDSSPQ);
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
	case ZYDIS_ISA_EXT_AMD3DNOW: /* not known to emit_insn(), as XOP */
		return (true);
	case ZYDIS_ISA_EXT_XSAVES:
		return (!t->vm->cpuid.xsaves);
	case ZYDIS_ISA_EXT_AVX512EVEX:
		switch (t->in.meta.isa_set) {
		case ZYDIS_ISA_SET_AVX512ER_512:
		case ZYDIS_ISA_SET_AVX512ER_SCALAR:
		case ZYDIS_ISA_SET_AVX512PF_512:
		case ZYDIS_ISA_SET_AVX512_4FMAPS_512:
		case ZYDIS_ISA_SET_AVX512_4FMAPS_SCALAR:
		case ZYDIS_ISA_SET_AVX512_4VNNIW_512:
			return (true);
		default:
			return (false);
		}
	default:
		return (false);
	}
}

/*
 * Two encodings of which vendors think differently go to the host as they
 * are; it is of the vendor that CPUID names. PAUSE with REX.B: on AMD's
 * processors XCHG R8, rAX, which are at home. 0F 0D with a register: a NOP,
 * on AMD's #UD (APM volume 3, PREFETCH); which register is all the same.
 */
static void
as_host(struct tr *t, unsigned nprefetch)
{
	if (nprefetch != 0) {
		e1(t, 0x0f);
		e1(t, 0x0d);
		e1(t, 0xc0u | t->in.raw.modrm.reg << 3);
		return;
	}
	for (unsigned i = 0; i < t->in.raw.prefix_count; i++)
		if (t->in.raw.prefixes[i].value == 0x66)
			e1(t, 0x66);
	e1(t, 0xf3);
	e1(t, 0x40u | t->in.raw.rex.W << 3 | 1u);
	e1(t, 0x90);
}

bool
tr_special(struct tr *t)
{
	uint16_t mn = (uint16_t)t->in.mnemonic;

	if (not_offered(t)) {
		tr_exception(t, EXC_UD, false);
		return (true);
	}
	if (tr_inline(t))
		return (true);
	switch (mn) {
	case ZYDIS_MNEMONIC_MOV:
		return (mov_system(t));
	case ZYDIS_MNEMONIC_PAUSE:
		if (t->code64 && t->in.raw.rex.B) {
			as_host(t, 0);
			return (true);
		}
		e1(t, 0xf3);
		e1(t, 0x90);
		if (t->cpu->pause_exit || t->vm->ncpus > 1) {
			e_mov_imm(t, T1, t->next);
			tr_call(t, soft_h_pause);
		}
		return (true);
	case ZYDIS_MNEMONIC_NOP:
		if (t->in.opcode_map == ZYDIS_OPCODE_MAP_0F &&
		    t->in.opcode == 0x0d && t->in.raw.modrm.mod == 3)
			as_host(t, 1);
		else
			tr_keep(t);
		return (true);
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_RDSSPD:
	case ZYDIS_MNEMONIC_RDSSPQ:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
		tr_keep(t);
		return (true);
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_RSM:
		tr_exception(t, EXC_UD, false);
		return (true);
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
		return (interrupt(t, soft_h_int3, EXC_BP));
	case ZYDIS_MNEMONIC_INT1:
		return (interrupt(t, soft_h_int1, EXC_DB));
	case ZYDIS_MNEMONIC_INTO:
		return (interrupt(t, soft_h_into, EXC_OF));
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		e_mov_imm(t, T0, t->in.operand_width / 8u);
		tr_call(t,
		    mn == ZYDIS_MNEMONIC_PUSHA || mn == ZYDIS_MNEMONIC_PUSHAD ?
			soft_h_pusha :
			soft_h_popa);
		return (true);
	case ZYDIS_MNEMONIC_BOUND:
		tr_ea(t, &t->op[1], EA_R(t->op[0].size / 4u), 0);
		e_mov_imm(t, T1,
		    (uint64_t)t->op[0].size / 8 << 8 |
			(uint64_t)ZydisRegisterGetId(t->op[0].reg.value));
		tr_call(t, soft_h_bound);
		return (true);
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
	case ZYDIS_MNEMONIC_AAA:
		return (bcd(t, 0));
	case ZYDIS_MNEMONIC_AAS:
		return (bcd(t, 1));
	case ZYDIS_MNEMONIC_DAA:
		return (bcd(t, 2));
	case ZYDIS_MNEMONIC_DAS:
		return (bcd(t, 3));
	case ZYDIS_MNEMONIC_AAM:
		return (bcd(t, 4));
	case ZYDIS_MNEMONIC_AAD:
		return (bcd(t, 5));
	case ZYDIS_MNEMONIC_SALC:
		return (bcd(t, 6));
	case ZYDIS_MNEMONIC_LES:
		return (load_far(t, VM_SEG_ES));
	case ZYDIS_MNEMONIC_LDS:
		return (load_far(t, VM_SEG_DS));
	case ZYDIS_MNEMONIC_LSS:
		return (load_far(t, VM_SEG_SS));
	case ZYDIS_MNEMONIC_LFS:
		return (load_far(t, VM_SEG_FS));
	case ZYDIS_MNEMONIC_LGS:
		return (load_far(t, VM_SEG_GS));
	case ZYDIS_MNEMONIC_ARPL:
		return (arpl(t));
	case ZYDIS_MNEMONIC_INVPCID:
		return (invpcid(t));
	default:
		break;
	}
	/* MPX took encodings that are NOPs without it. */
	if (t->in.meta.isa_ext == ZYDIS_ISA_EXT_MPX ||
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
	return (tr_odd(t));
}

/* Far jumps, calls and returns, IRET: the helper finds size and selector in T0
 * (for returns: the size), the offset or what RET n says in cpu->tmp. */
bool
tr_far_flow(struct tr *t, soft_helper *fn)
{
	const ZydisDecodedOperand *op = &t->op[0];
	unsigned size = t->in.operand_width / 8u;
	struct access a;

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		/* Offset into tmp, selector into T0. */
		tr_ea(t, op, EA_R(size + 2), 0);
		tr_access(t, (size + 2) | ACCESS_READ, &a);
		tr_load(t, size, T2, &a);
		e_st_env(t, 1, CPU_TMP, T2);
		e1(t, 0x47); /* movzx r14d, word [T0 + T1 + size] */
		e1(t, 0x0f);
		e1(t, 0xb7);
		e_mem(t, T0, T0, T1, 0, (int)size);
		e_lea(t, 0, T0, T0, -1, 0, (int)(size << 16));
		tr_access_end(t, &a);
	} else if (op->type == ZYDIS_OPERAND_TYPE_POINTER) {
		e_mov_imm(t, T2, op->ptr.offset);
		e_st_env(t, 1, CPU_TMP, T2);
		e_mov_imm(t, T0, op->ptr.segment | (uint64_t)size << 16);
	} else { /* RETF, IRET */
		e_mov_imm(t, T0,
		    op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ?
			op->imm.value.u & 0xffff :
			0);
		e_st_env(t, 1, CPU_TMP, T0);
		e_mov_imm(t, T0, size);
	}
	e_mov_imm(t, T1, t->next);
	tr_call_end(t, fn);
	return (true);
}
