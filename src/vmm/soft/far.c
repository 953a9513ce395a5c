/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far transfers and fast system calls. Intel SDM volume 2, the pages of the
 * instructions. A light file, see soft.h.
 *
 * Far calls, jumps and returns: within one privilege level, or outwards.
 * gate.c and task.c have what goes through a system descriptor.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

static void
flat(struct soft_cpu *cpu, unsigned seg, uint16_t sel, uint32_t access)
{
	cpu->seg[seg] = (struct vm_seg){ .sel = sel, .limit = 0xffffffff,
		.access = access };
}

#define CODE 0x9bu
#define DATA 0x93u

/* SYSCALL of AMD's processors outside long mode: from any privilege level
 * to STAR's low half, with FMASK left alone (APM volume 3). */
static void
syscall_legacy(struct soft_cpu *cpu, uint64_t next)
{
	uint16_t cs = (uint16_t)(cpu->star >> 32) & 0xfffc;

	if (cpu->flags & BF_REAL)
		soft_raise(cpu, EXC_UD);
	cpu->gpr[R_CX] = (uint32_t)next;
	cpu->rip = (uint32_t)cpu->star;
	soft_set_rflags(
	    cpu, soft_get_rflags(cpu) & ~(FL_VM | FL_IF | FL_RF));
	flat(cpu, VM_SEG_CS, cs, CODE | VM_SEG_DB | VM_SEG_G);
	flat(cpu, VM_SEG_SS, (uint16_t)(cs + 8), DATA | VM_SEG_DB | VM_SEG_G);
	cpu->cpl = 0;
	cpu->tf_step = (cpu->rflags & FL_TF) != 0;
	soft_update_mode(cpu);
}

/* Intel's processors have SYSCALL in 64-bit mode alone, AMD's in the other
 * protected modes too (SDM volume 2, APM volume 3: SYSCALL). */
void
soft_h_syscall(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint16_t cs = (uint16_t)(cpu->star >> 32) & 0xfffc;
	bool code64 = (cpu->flags & BF_CODE64) != 0;

	(void)t0;
	if (!(cpu->efer & EFER_SCE) || (!code64 && cpu->vm->intel))
		soft_raise(cpu, EXC_UD);
	if (!(cpu->efer & EFER_LMA)) {
		syscall_legacy(cpu, next);
		return;
	}
	cpu->gpr[R_CX] = next;
	cpu->gpr[11] = soft_get_rflags(cpu) & ~FL_RF;
	cpu->rip = code64 ? cpu->lstar : cpu->cstar;
	soft_set_rflags(
	    cpu, soft_get_rflags(cpu) & ~(cpu->sfmask | FL_RF));
	flat(cpu, VM_SEG_CS, cs, CODE | VM_SEG_L | VM_SEG_G);
	flat(cpu, VM_SEG_SS, (uint16_t)(cs + 8), DATA | VM_SEG_DB | VM_SEG_G);
	cpu->cpl = 0;
	cpu->tf_step = (cpu->rflags & FL_TF) != 0;
	soft_update_mode(cpu);
}

/* t0 of SYSRET and SYSEXIT: whether REX.W makes the operand 64 bits wide. */
void
soft_h_sysret(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint16_t base = (uint16_t)(cpu->star >> 48);
	bool code64 = (cpu->flags & BF_CODE64) != 0, to64 = t0 != 0;

	(void)next;
	if (!(cpu->efer & EFER_SCE) || (!code64 && cpu->vm->intel))
		soft_raise(cpu, EXC_UD);
	soft_need_cpl0(cpu);
	/* AMD's processors let the fetch at CPL 3 find out. */
	if (to64 && cpu->vm->intel && !soft_canonical(cpu, cpu->gpr[R_CX]))
		soft_raise_err(cpu, EXC_GP, 0);
	if (cpu->efer & EFER_LMA)
		soft_set_rflags(cpu, (cpu->gpr[11] & 0x3c7fd7) | 2);
	else
		soft_set_rflags(cpu, soft_get_rflags(cpu) | FL_IF);
	if (to64) {
		cpu->rip = cpu->gpr[R_CX];
		flat(cpu, VM_SEG_CS, (uint16_t)((base + 16) | 3),
		    CODE | 0x60 | VM_SEG_L | VM_SEG_G);
	} else {
		cpu->rip = (uint32_t)cpu->gpr[R_CX];
		flat(cpu, VM_SEG_CS, (uint16_t)(base | 3),
		    CODE | 0x60 | VM_SEG_DB | VM_SEG_G);
	}
	flat(cpu, VM_SEG_SS, (uint16_t)((base + 8) | 3),
	    DATA | 0x60 | VM_SEG_DB | VM_SEG_G);
	cpu->cpl = 3;
	/* As if SYSCALL had been stepped over. */
	cpu->tf_step = (cpu->rflags & FL_TF) != 0;
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
}

void
soft_h_sysenter(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;
	bool lma = (cpu->efer & EFER_LMA) != 0;

	(void)t0;
	(void)next;
	/* AMD's processors have it in legacy mode alone (APM volume 3). */
	if (lma && !cpu->vm->intel)
		soft_raise(cpu, EXC_UD);
	if (!(cpu->cr0 & CR0_PE) || cs == 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->rflags &= ~(FL_VM | FL_IF);
	cpu->gpr[R_SP] = lma ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
	cpu->rip = lma ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
	flat(cpu, VM_SEG_CS, cs,
	    CODE | VM_SEG_G | (lma ? VM_SEG_L : VM_SEG_DB));
	flat(cpu, VM_SEG_SS, (uint16_t)(cs + 8), DATA | VM_SEG_DB | VM_SEG_G);
	cpu->cpl = 0;
	cpu->tf_step = (cpu->rflags & FL_TF) != 0;
	soft_update_mode(cpu);
}

void
soft_h_sysexit(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;
	bool to64 = t0 != 0;

	(void)next;
	if ((cpu->efer & EFER_LMA) && !cpu->vm->intel)
		soft_raise(cpu, EXC_UD);
	if (!(cpu->cr0 & CR0_PE) || cs == 0 || cpu->cpl != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cs = (uint16_t)(cs + (to64 ? 32 : 16));
	cpu->gpr[R_SP] = to64 ? cpu->gpr[R_CX] : (uint32_t)cpu->gpr[R_CX];
	cpu->rip = to64 ? cpu->gpr[R_DX] : (uint32_t)cpu->gpr[R_DX];
	flat(cpu, VM_SEG_CS, cs | 3,
	    CODE | 0x60 | VM_SEG_G | (to64 ? VM_SEG_L : VM_SEG_DB));
	flat(cpu, VM_SEG_SS, (uint16_t)(cs + 8) | 3,
	    DATA | 0x60 | VM_SEG_DB | VM_SEG_G);
	cpu->cpl = 3;
	soft_update_mode(cpu);
}

/* Checks the target of a far jump or call. False: it went through a system
 * descriptor, and all is done. */
static bool
code_desc(struct soft_cpu *cpu, uint16_t sel, bool call, uint64_t next,
    uint64_t *out)
{
	uint64_t desc, hi;
	unsigned dpl;

	if ((sel & ~3u) == 0)
		soft_raise_err(cpu, EXC_GP, 0);
	desc = soft_read_desc(cpu, sel, EXC_GP, &hi);
	dpl = (desc >> 45) & 3;
	if (!((desc >> 44) & 1)) {
		soft_far_system(cpu, sel, desc, hi, call, next);
		return (false);
	}
	/* In IA-32e mode L and D do not go together (SDM volume 2, JMP). */
	if (!((desc >> 43) & 1) ||
	    ((cpu->efer & EFER_LMA) && ((desc >> 53) & 3) == 3) ||
	    ((desc >> 42) & 1 ? dpl > cpu->cpl :
				dpl != cpu->cpl || (sel & 3u) > cpu->cpl))
		soft_raise_err(cpu, EXC_GP, sel & ~3u);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, sel & ~3u);
	*out = desc;
	return (true);
}

static void
enter_code(struct soft_cpu *cpu, uint16_t sel, uint64_t desc, uint64_t rip)
{
	soft_set_accessed(cpu, sel, desc);
	soft_set_seg_raw(cpu, VM_SEG_CS,
	    (uint16_t)((sel & ~3u) | cpu->cpl), desc);
	cpu->rip = rip;
	cpu->branched = 1;
	soft_update_mode(cpu);
}

/* A far transfer where a selector is a paragraph. */
static void
real_code(struct soft_cpu *cpu, uint16_t sel, uint64_t rip)
{
	cpu->seg[VM_SEG_CS].sel = sel;
	cpu->seg[VM_SEG_CS].base = (uint64_t)sel << 4;
	cpu->rip = rip;
	cpu->branched = 1;
	soft_update_mode(cpu);
}

static void
real_target(struct soft_cpu *cpu, uint64_t rip)
{
	if (rip > cpu->seg[VM_SEG_CS].limit)
		soft_raise_err(cpu, EXC_GP, 0);
}

/* T0: selector | operand size << 16; the offset is in cpu->tmp. */
void
soft_h_far_jmp(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint64_t desc;

	soft_sync_rip(cpu);
	if (cpu->flags & BF_REAL) {
		real_target(cpu, cpu->tmp);
		real_code(cpu, (uint16_t)t0, cpu->tmp);
		return;
	}
	if (!code_desc(cpu, (uint16_t)t0, false, next, &desc))
		return;
	soft_check_target(cpu, cpu->tmp, desc, 0);
	enter_code(cpu, (uint16_t)t0, desc, cpu->tmp);
}

void
soft_h_far_call(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	unsigned size = (t0 >> 16) & 0xff, m = cpu->flags & BF_MMU;
	uint64_t desc = 0, sp, at_ip;

	soft_sync_rip(cpu);
	if (cpu->flags & BF_REAL)
		real_target(cpu, cpu->tmp);
	else {
		if (!code_desc(cpu, (uint16_t)t0, true, next, &desc))
			return;
		soft_check_target(cpu, cpu->tmp, desc, 0);
	}
	sp = cpu->gpr[R_SP] - 2 * size;
	at_ip = soft_stack_linear(cpu, sp, size, true);
	soft_probe_write(cpu, at_ip, size, m);
	soft_st(cpu, soft_stack_linear(cpu, sp + size, size, true), size, m,
	    cpu->seg[VM_SEG_CS].sel);
	soft_st(cpu, at_ip, size, m, next);
	soft_set_sp(cpu, sp);
	if (cpu->flags & BF_REAL) {
		real_code(cpu, (uint16_t)t0, cpu->tmp);
		return;
	}
	enter_code(cpu, (uint16_t)t0, desc, cpu->tmp);
}

/* The n-th item on the stack above sp. */
static uint64_t
item(struct soft_cpu *cpu, uint64_t sp, unsigned n, unsigned size)
{
	return (soft_ld(cpu,
	    soft_stack_linear(cpu, sp + (uint64_t)n * size, size, false), size,
	    cpu->flags & BF_MMU));
}

/* T0: operand size; cpu->tmp: bytes to release. */
void
soft_h_far_ret(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	unsigned size = (unsigned)t0, rpl;
	uint64_t rip, desc, hi, ss_desc = 0, sp = cpu->gpr[R_SP], nsp;
	uint16_t cs, ss;
	bool l;

	(void)next;
	soft_sync_rip(cpu);
	rip = item(cpu, sp, 0, size);
	cs = (uint16_t)item(cpu, sp, 1, size);
	if (cpu->flags & BF_REAL) {
		real_target(cpu, rip);
		soft_set_sp(cpu, sp + 2 * size + cpu->tmp);
		real_code(cpu, cs, rip);
		return;
	}
	rpl = cs & 3u;
	if ((cs & ~3u) == 0)
		soft_raise_err(cpu, EXC_GP, 0);
	desc = soft_read_desc(cpu, cs, EXC_GP, &hi);
	if (((desc >> 43) & 3) != 3 || rpl < cpu->cpl ||
	    ((desc >> 42) & 1 ? ((desc >> 45) & 3) > rpl :
				((desc >> 45) & 3) != rpl))
		soft_raise_err(cpu, EXC_GP, cs & ~3u);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, cs & ~3u);
	soft_check_target(cpu, rip, desc, 0);
	sp += 2 * size + cpu->tmp;
	if (rpl == cpu->cpl) {
		soft_set_sp(cpu, sp);
		enter_code(cpu, cs, desc, rip);
		return;
	}
	nsp = item(cpu, sp, 0, size);
	ss = (uint16_t)item(cpu, sp, 1, size);
	l = (desc >> 53) & 1 && (cpu->efer & EFER_LMA);
	if ((ss & ~3u) != 0) {
		ss_desc = soft_read_desc(cpu, ss, EXC_GP, &hi);
		if ((ss & 3u) != rpl || ((ss_desc >> 45) & 3) != rpl ||
		    ((ss_desc >> 41) & 0xd) != 9)
			soft_raise_err(cpu, EXC_GP, ss & ~3u);
		if (!((ss_desc >> 47) & 1))
			soft_raise_err(cpu, EXC_SS, ss & ~3u);
		soft_set_accessed(cpu, cs, desc);
		soft_set_accessed(cpu, ss, ss_desc);
		soft_set_seg_raw(cpu, VM_SEG_SS, ss, ss_desc);
	} else {
		if (!l || rpl == 3)
			soft_raise_err(cpu, EXC_GP, 0);
		soft_set_accessed(cpu, cs, desc);
		cpu->seg[VM_SEG_SS] = (struct vm_seg){ .sel = ss,
			.access = VM_SEG_UNUSABLE | rpl << 5 };
	}
	cpu->cpl = rpl;
	soft_drop_segs(cpu);
	enter_code(cpu, cs, desc, rip);
	/* In the width of the new stack, whose mode is known now. */
	soft_set_sp(cpu, nsp + cpu->tmp);
}
