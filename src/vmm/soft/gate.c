/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Call gates, and the stacks of more privileged levels. Intel SDM volume 3,
 * 5.8 ("Privilege Level Checking When Transferring Program Control"), and
 * volume 2, CALL and JMP. A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

enum { SYS_TSS16 = 1, SYS_CALL16 = 4, SYS_TASK = 5, SYS_TSS32 = 9,
	SYS_CALL32 = 12 };

/* ---- stacks ---- */

void
soft_stack_init(const struct soft_cpu *cpu, struct soft_stack *s, uint64_t sp,
    unsigned cpl, uint32_t error)
{
	s->sp = sp;
	if (cpu->efer & EFER_LMA)
		s->mask = ~0ull;
	else
		s->mask = s->seg.access & VM_SEG_DB ? 0xffffffff : 0xffff;
	s->error = error;
	s->m = cpl == 3 ? MMU_USER : MMU_KERNEL;
}

void
soft_push(struct soft_cpu *cpu, struct soft_stack *s, unsigned size, uint64_t v)
{
	uint64_t sp = (s->sp - size) & s->mask;

	if (s->mask != ~0ull) {
		if (!soft_seg_fits(cpu, &s->seg, sp, size, true))
			soft_raise_err(cpu, EXC_SS, s->error);
		soft_st(cpu, (uint32_t)(sp + s->seg.base), size, s->m, v);
	} else
		soft_st(cpu, sp, size, s->m, v);
	s->sp = (s->sp & ~s->mask) | sp;
}

/* The fields of the TSS: SDM volume 3, 7.2.1, 7.6 and 7.7. */
void
soft_inner_stack(struct soft_cpu *cpu, struct soft_stack *s, unsigned cpl,
    unsigned ist, uint32_t ext)
{
	const struct vm_seg *tr = &cpu->seg[VM_SEG_TR];
	bool lma = (cpu->efer & EFER_LMA) != 0;
	unsigned size = lma ? 8 : tr->access & 8 ? 4 : 2;
	unsigned off = lma && ist ? 36 + 8 * (ist - 1) :
	    size == 2		  ? 2 + 4 * cpl :
				    4 + 8 * cpl;
	uint64_t sp, hi;
	uint16_t sel;

	if (off + (lma ? 7 : size + 1) > tr->limit)
		soft_raise_err(cpu, EXC_TS, (tr->sel & ~3u) | ext);
	sp = soft_ld(cpu, tr->base + off, size, MMU_KERNEL);
	if (lma) {
		s->seg = (struct vm_seg){ .sel = (uint16_t)cpl,
			.access = VM_SEG_UNUSABLE | cpl << 5 };
		s->desc = 0;
		soft_stack_init(cpu, s, sp, cpl, ext);
		return;
	}
	sel = (uint16_t)soft_ld(cpu, tr->base + off + size, 2, MMU_KERNEL);
	if ((sel & ~3u) == 0)
		soft_raise_err(cpu, EXC_TS, ext);
	s->desc = soft_read_desc_ext(cpu, sel, EXC_TS, ext, &hi);
	s->seg = soft_desc_seg(sel, s->desc);
	if ((sel & 3u) != cpl || VM_SEG_DPL(s->seg.access) != cpl ||
	    (s->seg.access & 0x1a) != 0x12)
		soft_raise_err(cpu, EXC_TS, (sel & ~3u) | ext);
	if (!(s->seg.access & VM_SEG_P))
		soft_raise_err(cpu, EXC_SS, (sel & ~3u) | ext);
	/* As IRET does, it loads what the new stack has of rSP. */
	if (!(s->seg.access & VM_SEG_DB))
		sp = (cpu->gpr[R_SP] & ~0xffffull) | (sp & 0xffff);
	soft_stack_init(cpu, s, sp, cpl, (sel & ~3u) | ext);
}

void
soft_enter_stack(
    struct soft_cpu *cpu, const struct soft_stack *s, unsigned cpl)
{
	if (!(cpu->efer & EFER_LMA))
		soft_set_accessed(cpu, s->seg.sel, s->desc);
	/* With an IST and no change of level SS stays. */
	if (!(cpu->efer & EFER_LMA) || cpl < cpu->cpl)
		cpu->seg[VM_SEG_SS] = s->seg;
	cpu->gpr[R_SP] = s->sp;
}

/* ---- call gates ---- */

/* What a call through a gate to an inner level copies. */
static void
copy_params(struct soft_cpu *cpu, struct soft_stack *s, unsigned n,
    unsigned size)
{
	uint64_t sp = cpu->gpr[R_SP], v[31];

	for (unsigned i = 0; i < n; i++)
		v[i] = soft_ld(cpu,
		    soft_stack_linear(cpu, sp + i * size, size, false), size,
		    cpu->flags & BF_MMU);
	for (unsigned i = n; i > 0; i--)
		soft_push(cpu, s, size, v[i - 1]);
}

static void
call_gate(struct soft_cpu *cpu, uint16_t gsel, uint64_t gate, uint64_t hi,
    bool call, uint64_t next)
{
	bool lma = (cpu->efer & EFER_LMA) != 0, conforming, inner;
	unsigned size = lma ? 8 : (gate >> 43) & 1 ? 4 : 2;
	unsigned dpl = (gate >> 45) & 3, cpl = cpu->cpl;
	uint16_t sel = (uint16_t)(gate >> 16);
	struct soft_stack s = { .seg = cpu->seg[VM_SEG_SS] };
	uint64_t desc, rip, unused;

	if (dpl < cpl || dpl < (gsel & 3u) || (lma && (hi >> 40 & 0x1f)))
		soft_raise_err(cpu, EXC_GP, gsel & ~3u);
	if (!((gate >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, gsel & ~3u);
	rip = (gate & 0xffff) | ((gate >> 32) & 0xffff0000) | hi << 32;
	if (size == 2)
		rip &= 0xffff;
	if ((sel & ~3u) == 0)
		soft_raise_err(cpu, EXC_GP, 0);
	desc = soft_read_desc(cpu, sel, EXC_GP, &unused);
	dpl = (desc >> 45) & 3;
	conforming = (desc >> 42) & 1;
	inner = call && !conforming && dpl < cpl;
	if (((desc >> 43) & 3) != 3 || dpl > cpl ||
	    (!call && !conforming && dpl != cpl) ||
	    (lma && ((desc >> 53) & 3) != 1))
		soft_raise_err(cpu, EXC_GP, sel & ~3u);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, sel & ~3u);
	if (inner) {
		cpl = dpl;
		soft_inner_stack(cpu, &s, cpl, 0, 0);
		if (lma && (!soft_canonical(cpu, s.sp - 32) ||
				!soft_canonical(cpu, s.sp - 1)))
			soft_raise_err(cpu, EXC_SS, 0);
		soft_push(cpu, &s, size, cpu->seg[VM_SEG_SS].sel);
		soft_push(cpu, &s, size, cpu->gpr[R_SP]);
		if (!lma)
			copy_params(cpu, &s, (gate >> 32) & 31, size);
	} else
		soft_stack_init(cpu, &s, cpu->gpr[R_SP], cpl, 0);
	soft_check_target(cpu, rip, desc, 0);
	if (call) {
		soft_push(cpu, &s, size, cpu->seg[VM_SEG_CS].sel);
		soft_push(cpu, &s, size, next);
	}
	soft_set_accessed(cpu, sel, desc);
	if (inner)
		soft_enter_stack(cpu, &s, cpl);
	else if (call)
		cpu->gpr[R_SP] = s.sp;
	soft_set_seg_raw(
	    cpu, VM_SEG_CS, (uint16_t)((sel & ~3u) | cpl), desc);
	cpu->cpl = cpl;
	cpu->rip = rip;
	soft_update_mode(cpu);
}

void
soft_far_system(struct soft_cpu *cpu, uint16_t sel, uint64_t desc,
    uint64_t hi, bool call, uint64_t next)
{
	enum task_how how = call ? TASK_CALL : TASK_JMP;
	unsigned type = (desc >> 40) & 0xf, dpl = (desc >> 45) & 3;
	bool lma = (cpu->efer & EFER_LMA) != 0;

	if (type == SYS_CALL32 || (type == SYS_CALL16 && !lma)) {
		call_gate(cpu, sel, desc, hi, call, next);
		return;
	}
	if (lma ||
	    (type != SYS_TASK && type != SYS_TSS16 && type != SYS_TSS32) ||
	    dpl < cpu->cpl || dpl < (sel & 3u))
		soft_raise_err(cpu, EXC_GP, sel & ~3u);
	if (type == SYS_TASK) {
		if (!((desc >> 47) & 1))
			soft_raise_err(cpu, EXC_NP, sel & ~3u);
		sel = (uint16_t)(desc >> 16);
	}
	soft_task_switch(cpu, sel, how, 0, false, 0, next);
}
