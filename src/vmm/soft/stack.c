/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack instructions that are too long for inline code: PUSHF, POPF, PUSHA,
 * POPA, ENTER with levels. Intel SDM volume 2, the pages of the instructions.
 * A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

uint64_t
soft_stack_linear(struct soft_cpu *cpu, uint64_t sp, unsigned size, bool write)
{
	if (cpu->flags & BF_CODE64)
		return (sp);
	sp = cpu->flags & BF_STACK32 ? (uint32_t)sp : sp & 0xffff;
	return (soft_linear(cpu, VM_SEG_SS, sp, size, write));
}

void
soft_set_sp(struct soft_cpu *cpu, uint64_t sp)
{
	if (cpu->flags & BF_CODE64)
		cpu->gpr[R_SP] = sp;
	else if (cpu->flags & BF_STACK32)
		cpu->gpr[R_SP] = (uint32_t)sp;
	else
		cpu->gpr[R_SP] =
		    (cpu->gpr[R_SP] & ~0xffffull) | (sp & 0xffff);
}

/* PUSHF and POPF are IOPL-sensitive there (SDM volume 3, 20.2.7). */
static void
v86_flags(struct soft_cpu *cpu, unsigned size)
{
	if ((cpu->rflags & FL_VM) && (cpu->rflags & FL_IOPL) != FL_IOPL &&
	    (size != 2 || !soft_vme(cpu)))
		soft_raise_err(cpu, EXC_GP, 0);
}

void
soft_h_pushf(struct soft_cpu *cpu, uint64_t size, uint64_t next)
{
	uint64_t sp = cpu->gpr[R_SP] - size, lin;
	unsigned n = (unsigned)size;

	(void)next;
	v86_flags(cpu, n);
	lin = soft_stack_linear(cpu, sp, n, true);
	soft_check_canonical(cpu, lin, n, true);
	soft_st(cpu, lin, n, cpu->flags & BF_MMU,
	    soft_vme(cpu) ? soft_vme_flags(cpu) :
			    soft_get_rflags(cpu) & ~(FL_RF | FL_VM));
	soft_set_sp(cpu, sp);
}

void
soft_h_popf(struct soft_cpu *cpu, uint64_t size, uint64_t next)
{
	uint64_t sp = cpu->gpr[R_SP], lin;
	unsigned n = (unsigned)size;
	uint64_t mask = soft_flags_mask(cpu, n), v;

	v86_flags(cpu, n);
	lin = soft_stack_linear(cpu, sp, n, false);
	soft_check_canonical(cpu, lin, n, true);
	v = soft_ld(cpu, lin, n, cpu->flags & BF_MMU);
	if (soft_vme(cpu)) {
		soft_vme_check(cpu, v);
		soft_vme_set_flags(cpu, v);
		cpu->rflags &= ~FL_RF;
	} else
		soft_set_rflags(cpu,
		    ((soft_get_rflags(cpu) & ~mask) | (v & mask)) & ~FL_RF);
	soft_set_sp(cpu, sp + size);
	cpu->rip = next;
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
}

/* PUSHA, POPA; not in 64-bit mode. */
void
soft_h_pusha(struct soft_cpu *cpu, uint64_t size, uint64_t t1)
{
	uint64_t sp = cpu->gpr[R_SP];
	unsigned m = cpu->flags & BF_MMU, n = (unsigned)size;

	(void)t1;
	/* One by one, here and below, as the manual has it: a fault leaves
	 * what came before. */
	for (unsigned i = 0; i < 8; i++)
		soft_st(cpu,
		    soft_stack_linear(cpu, sp - (i + 1) * size, n, true), n, m,
		    cpu->gpr[i]);
	soft_set_sp(cpu, sp - 8 * size);
}

void
soft_h_popa(struct soft_cpu *cpu, uint64_t size, uint64_t t1)
{
	uint64_t sp = cpu->gpr[R_SP], v;
	unsigned m = cpu->flags & BF_MMU, n = (unsigned)size;

	(void)t1;
	for (unsigned i = 8; i-- > 0;) {
		if (i == R_SP)
			continue;
		v = soft_ld(cpu,
		    soft_stack_linear(cpu, sp + (7 - i) * size, n, false), n,
		    m);
		cpu->gpr[i] = size == 4 ? v : (cpu->gpr[i] & ~0xffffull) | v;
	}
	soft_set_sp(cpu, sp + 8 * size);
}

/* T0: address of the bounds, T1: operand size << 8 | register. */
void
soft_h_bound(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	unsigned size = (unsigned)(t1 >> 8), m = cpu->flags & BF_MMU;
	uint64_t v = cpu->gpr[t1 & 7];
	uint64_t lo = soft_ld(cpu, (uint32_t)addr, size, m);
	uint64_t hi = soft_ld(cpu, (uint32_t)(addr + size), size, m);
	int32_t i = (int32_t)v, l = (int32_t)lo, h = (int32_t)hi;

	if (size == 2) {
		i = (int16_t)v;
		l = (int16_t)lo;
		h = (int16_t)hi;
	}
	if (i < l || i > h)
		soft_raise(cpu, EXC_BR);
}

/* ENTER: T0 is operand size | level << 8 | bytes << 16. SDM
 * volume 2, ENTER. */
void
soft_h_enter(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	unsigned size = t0 & 0xff, level = (t0 >> 8) & 31;
	unsigned m = cpu->flags & BF_MMU;
	uint64_t sp = cpu->gpr[R_SP] - size, bp = cpu->gpr[R_BP], frame = sp, v;

	(void)next;
	soft_st(cpu, soft_stack_linear(cpu, sp, size, true), size, m, bp);
	for (unsigned i = 1; i < level; i++) {
		bp -= size;
		v = soft_ld(
		    cpu, soft_stack_linear(cpu, bp, size, false), size, m);
		sp -= size;
		soft_st(
		    cpu, soft_stack_linear(cpu, sp, size, true), size, m, v);
	}
	if (level != 0) {
		sp -= size;
		soft_st(cpu, soft_stack_linear(cpu, sp, size, true), size, m,
		    frame);
	}
	/* The new rSP must lie in the segment. */
	sp -= t0 >> 16;
	(void)soft_stack_linear(cpu, sp, 1, true);
	soft_set_sp(cpu, sp);
	if (size == 2)
		cpu->gpr[R_BP] =
		    (cpu->gpr[R_BP] & ~0xffffull) | (frame & 0xffff);
	else
		cpu->gpr[R_BP] = size == 4 ? (uint32_t)frame : frame;
}
