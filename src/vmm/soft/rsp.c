/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack code: 64-bit code for mirrors in which host rsp is the mirror of the
 * guest's rSP, so that pushes, pops and what is addressed by rSP are the
 * guest's own instructions. docs/soft-engine.md ("The stack") tells why it
 * cannot leave the mirror, and why the flags are right.
 */
#include "vmm/soft/tr.h"

const int8_t tr_host_of[2][16] = {
	{ H_AX, H_R9, H_DX, H_BX, H_R10, H_BP, H_SI, H_DI, H_R8, -1, -1, -1,
	    H_R12, H_R11, -1, -1 },
	{ H_AX, H_R9, H_DX, H_BX, -1, H_BP, H_SI, H_DI, H_R8,
	    STACK_GPR == 9 ? H_R10 : -1, STACK_GPR == 10 ? H_R10 : -1,
	    STACK_GPR == 11 ? H_R10 : -1, H_R12, H_R11,
	    STACK_GPR == 14 ? H_R10 : -1, STACK_GPR == 15 ? H_R10 : -1 },
};

/* What rSP may be moved by without an access to the stack or a look-up. */
#define MOVE_MAX 4096
#define DRIFT_MAX 16384u

void
tr_sp_value(struct tr *t, int dst, int scratch, int32_t disp)
{
	e_ld_env(t, 1, scratch, CPU_NEG);
	e_lea(t, 1, dst, H_SP, scratch, 0, disp);
}

/* What T0 has becomes rSP. Where that is too odd for this code, T0 goes to C,
 * and the guest on at `resume`. */
static void
set(struct tr *t, uint64_t resume)
{
	struct ool *o;

	if (!(t->flags & BF_STACK_ODD)) {
		e_lea(t, 1, T2, T0, -1, 0, -(int32_t)STACK_LOW);
		e_rorx(t, 1, T2, T2, 48);
		e_zx16(t, T2, T2);
		e_jrcxz(t, 5);
		o = tr_ool(t, OOL_SP, e_jmp(t));
		o->pc = resume;
	}
	tr_find_mirror(t, T0, T2);
	e_lea(t, 1, H_SP, T0, T2, 0, 0);
	e_rex(t, 1, 0, 0, T2); /* not rcx */
	e1(t, 0xf7);
	e1(t, 0xd0u | (T2 & 7));
	e_lea(t, 1, T2, T2, -1, 0, 1);
	e_st_env(t, 1, CPU_NEG, T2);
	t->sp_near = true;
	t->sp_drift = 0;
}

void
tr_ool_sp(struct tr *t, const struct ool *o)
{
	bool end = t->end;

	e_mov_imm(t, T1, o->pc);
	tr_call_end(t, soft_h_stack_odd);
	t->end = end;
}

void
tr_sp_put(struct tr *t, int host)
{
	e_st_env(t, 1, CPU_SP_NEW, host);
	t->sp_new = true;
}

void
tr_sp_end(struct tr *t)
{
	if (!t->sp_new)
		return;
	t->sp_new = false;
	tr_lose(t, T0);
	tr_written(t, R_SP);
	e_ld_env(t, 1, T0, CPU_SP_NEW);
	set(t, t->next);
}

void
tr_sp_settle(struct tr *t, uint64_t pc)
{
	if (!t->stack || t->sp_near || t->sp_drift == 0)
		return;
	tr_lose(t, T0);
	tr_sp_value(t, T0, T0, 0);
	set(t, pc);
}

void
tr_sp_near(struct tr *t)
{
	t->sp_near = true;
	t->sp_drift = 0;
}

/* rSP has moved by a constant of at most MOVE_MAX, with no access. */
static void
moved(struct tr *t, uint32_t n)
{
	if (t->sp_near && t->sp_drift + n > DRIFT_MAX) {
		t->sp_near = false;
		t->sp_drift = 0;
	}
	t->sp_drift += n;
	if (t->sp_drift > DRIFT_MAX)
		tr_sp_settle(t, t->next);
}

bool
tr_sp_move(struct tr *t, int64_t n)
{
	if (n > MOVE_MAX || n < -MOVE_MAX)
		return (false);
	e_lea(t, 1, H_SP, H_SP, -1, 0, (int32_t)n);
	tr_moved(t, R_SP, n);
	moved(t, (uint32_t)(n < 0 ? -n : n));
	return (true);
}

/* Group 1 with an immediate. */
static void
group1(struct tr *t, unsigned op, int reg, int64_t imm)
{
	e_rex(t, 1, 0, 0, reg);
	e1(t, imm == (int8_t)imm ? 0x83 : 0x81);
	e1(t, 0xc0u | op << 3 | (unsigned)(reg & 7));
	if (imm == (int8_t)imm)
		e1(t, (uint8_t)imm);
	else
		e4(t, (uint32_t)imm);
}

/* ADD, SUB and AND of rSP and a constant. */
static bool
arithmetic(struct tr *t)
{
	bool add = t->in.mnemonic == ZYDIS_MNEMONIC_ADD;
	bool and = t->in.mnemonic == ZYDIS_MNEMONIC_AND;
	int64_t imm, n;

	if (t->op[0].reg.value != ZYDIS_REGISTER_RSP ||
	    t->op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return (false);
	imm = t->op[1].imm.value.s;
	if (imm > MOVE_MAX || imm < -MOVE_MAX)
		return (false);
	if (and) {
		/* Windows of both begin at multiples of 4 KiB. */
		if (imm >= 0 || (t->flags & BF_STACK_ODD))
			return (false);
		group1(t, 4, H_SP, imm);
		tr_written(t, R_SP);
		moved(t, (uint32_t)-imm);
		tr_keep(t);
		return (true);
	}
	n = add ? imm : -imm;
	if (t->flags & BF_STACK_ODD) {
		tr_sp_value(t, T2, T2, 0);
		group1(t, add ? 0 : 5, T2, imm);
		(void)tr_sp_move(t, n);
	} else {
		group1(t, add ? 0 : 5, H_SP, imm);
		tr_moved(t, R_SP, n);
		moved(t, (uint32_t)(n < 0 ? -n : n));
	}
	tr_keep(t);
	return (true);
}

bool
tr_sp_insn(struct tr *t)
{
	bool high;
	int g;

	if (!t->stack || t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    t->in.operand_count < 2 ||
	    t->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    t->op[0].size != 64)
		return (false);
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_AND:
		return (arithmetic(t));
	case ZYDIS_MNEMONIC_MOV:
		g = tr_gpr(t->op[0].reg.value, &high);
		if (t->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    t->op[1].reg.value != ZYDIS_REGISTER_RSP || g < 0 ||
		    t->host_of[g] < 0)
			return (false);
		tr_sp_value(t, t->host_of[g], T2, 0);
		tr_written(t, (unsigned)g);
		tr_keep(t);
		return (true);
	default:
		return (false);
	}
}
