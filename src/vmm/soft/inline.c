/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions that kernels execute all the time, in line rather than
 * by a helper: for 64-bit code of the supervisor, which needs no checks of
 * IOPL, VME or the stack's segment. Intel SDM volume 2, the pages of the
 * instructions.
 *
 * As everywhere, what is emitted leaves the flags alone: NOT does not change
 * them, nor do BMI2's shifts.
 */
#include "vmm/soft/tr.h"

#define OFF(field) ((unsigned)offsetof(struct soft_cpu, field))

/* shlx, or shrx, dst, src, count */
static void
shift(struct tr *t, bool left, int w, int dst, int src, int count)
{
	e1(t, 0xc4);
	e1(t, (dst >= 8 ? 0 : 0x80u) | 0x40 | (src >= 8 ? 0 : 0x20u) | 2);
	e1(t, (w ? 0x80u : 0) | (~(unsigned)count & 15) << 3 |
		(left ? 1u : 3u));
	e1(t, 0xf7);
	e1(t, 0xc0u | (unsigned)(dst & 7) << 3 | (unsigned)(src & 7));
}

/* SWAPGS exchanges the base of GS with the MSR. */
static void
swapgs(struct tr *t)
{
	const unsigned base = OFF(seg) + VM_SEG_GS * sizeof(struct vm_seg) +
	    offsetof(struct vm_seg, base);

	e_ld_env(t, 1, T0, base);
	e_ld_env(t, 1, T1, OFF(kernel_gs_base));
	e_st_env(t, 1, OFF(kernel_gs_base), T0);
	e_st_env(t, 1, base, T1);
}

/* CLI, CLD, STI: takes the bit away, by itself, from the rest of RFLAGS; for
 * STI it is there again. */
static void
change_flag(struct tr *t, unsigned bit, bool set)
{
	e_ld_env(t, 1, T0, OFF(rflags));
	e_mov_imm(t, T1, 31 - bit);
	shift(t, true, 0, T2, T0, T1); /* in 32 bits: it is the highest */
	e_mov_imm(t, T1, 31);
	shift(t, false, 0, T2, T2, T1);
	e_mov_imm(t, T1, bit);
	shift(t, true, 0, T2, T2, T1);
	e_rex(t, 1, 0, 0, T2); /* not rcx */
	e1(t, 0xf7);
	e1(t, 0xd0u | (T2 & 7));
	e_lea(t, 1, T0, T0, T2, 0, set ? 1 + (1 << bit) : 1);
	e_st_env(t, 1, OFF(rflags), T0);
}

/*
 * STI, unless something waits for it: then the dispatcher has to see that it
 * comes after exactly one instruction. What comes from now on spoils cpu->poll,
 * which is looked at after the next one.
 */
static void
sti(struct tr *t)
{
	uint8_t *fast, *done;

	e1(t, 0x41); /* movzx ecx, byte [irq_waiting] */
	e1(t, 0x0f);
	e1(t, 0xb6);
	e_mem(t, T2, H_ENV, -1, 0, ENV(OFF(irq_waiting)));
	e_ld_env(t, 0, T1, OFF(irq_req));
	e_lea(t, 1, T2, T2, T1, 0, 0);
	e_jrcxz(t, 0);
	fast = t->p;
	e_mov_imm(t, T1, t->next);
	tr_call(t, soft_h_sti);
	done = e_jmp(t);
	fast[-1] = (uint8_t)(t->p - fast);
	change_flag(t, 9, true);
	e_patch(done, t->p);
	t->last_next = true;
}

/* PUSHFQ. The bits of cpu->rflags and the arithmetic flags are disjoint, but
 * for bit 1, which is in both. RF is clear in code that runs. */
static void
pushf(struct tr *t)
{
	tr_lose_all(t);
	e_st_env(t, 1, CPU_T0, H_AX);
	e1(t, 0x9f); /* lahf */
	e1(t, 0x0f); /* seto al */
	e1(t, 0x90);
	e1(t, 0xc0);
	e1(t, 0x0f); /* movzx ecx, ah */
	e1(t, 0xb6);
	e1(t, 0xcc);
	e1(t, 0x44); /* movzx r14d, al */
	e1(t, 0x0f);
	e1(t, 0xb6);
	e1(t, 0xf0);
	e_ld_env(t, 1, H_AX, CPU_T0);
	e_rorx(t, 0, T0, T0, 32 - 11); /* OF */
	e_ld_env(t, 1, T1, OFF(rflags));
	e_lea(t, 1, T2, T2, T1, 0, -2);
	e_lea(t, 1, T2, T2, T0, 0, 0);
	e_st_env(t, 1, CPU_TMP, T2);
	tr_push_tmp(t, 8);
}

/*
 * STAC and CLAC, where they only change which of the supervisor's two TLBs is
 * used (cpu->ac_fast): the flags of the new mode, and on in it.
 */
static void
set_ac(struct tr *t, bool ac)
{
	unsigned to = ac ? MMU_KERNEL_AC : MMU_KERNEL, m = t->m;
	uint32_t flags = (t->flags & ~BF_MMU) | to;
	uint8_t *slow;

	/* As everywhere, what mostly happens is not a jump: see e_loop(). */
	e_ld_env(t, 0, T2, OFF(ac_fast));
	e_jrcxz(t, 0);
	slow = t->p;
	e_ld_env(t, 1, T0, OFF(rflags));
	e_lea(t, 1, T0, T0, -1, 0, ac ? (int)FL_AC : -(int)FL_AC);
	e_st_env(t, 1, OFF(rflags), T0);
	e_mov_imm(t, T0, flags);
	e_st_env(t, 0, OFF(flags), T0);
	t->m = to;
	tr_goto_far(t, t->next);
	t->m = m;
	slow[-1] = (uint8_t)(t->p - slow);
	e_mov_imm(t, T0, 0);
	e_mov_imm(t, T1, t->next);
	tr_call_end(t, ac ? soft_h_stac : soft_h_clac);
}

bool
tr_inline(struct tr *t)
{
	if ((t->vm->off & SOFT_OFF_INLINE) || !t->code64 ||
	    !(t->flags & BF_CPL0) || (t->flags & BF_STEP))
		return (false);
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_SWAPGS:
		swapgs(t);
		return (true);
	case ZYDIS_MNEMONIC_CLI:
		change_flag(t, 9, false);
		return (true);
	case ZYDIS_MNEMONIC_STI:
		sti(t);
		return (true);
	case ZYDIS_MNEMONIC_CLD:
		change_flag(t, 10, false);
		return (true);
	case ZYDIS_MNEMONIC_PUSHFQ:
		if (t->in.operand_width != 64)
			return (false);
		pushf(t);
		return (true);
	case ZYDIS_MNEMONIC_STAC:
		if (t->stack) /* whose mirror is another one there */
			return (false);
		/* In the other mode already it does nothing. */
		if (t->m == MMU_KERNEL)
			set_ac(t, true);
		return (t->m == MMU_KERNEL);
	case ZYDIS_MNEMONIC_CLAC:
		if (t->stack)
			return (false);
		if (t->m == MMU_KERNEL_AC)
			set_ac(t, false);
		return (t->m == MMU_KERNEL_AC);
	default:
		return (false);
	}
}
