/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts. Intel SDM volume 3, chapter 6 ("Interrupt and
 * Exception Handling"). A light file, see soft.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

void
soft_sync_rip(struct soft_cpu *cpu)
{
	struct block *b;

	if (cpu->host_ret == 0)
		return;
	/* A call returns behind itself: look one byte before. */
	b = soft_block_at(cpu->vm, cpu->host_ret - 1);
	if (b != NULL)
		cpu->rip = b->pc + soft_insn_at(b, cpu->host_ret - 1)->guest;
	cpu->host_ret = 0;
}

void
soft_unwind(struct soft_cpu *cpu)
{
	cpu->host_ret = 0;
#ifdef LHYVE_SANITIZE
	/* A sanitizer's longjmp() uses vector registers. */
	soft_fpu_leave(cpu);
#endif
	longjmp(cpu->unwind, 1);
}

void
soft_unwind_behind(struct soft_cpu *cpu)
{
	const struct block *b = soft_block_at(cpu->vm, cpu->host_ret - 1);
	const struct insn_map *im;

	if (b != NULL) {
		im = soft_insn_at(b, cpu->host_ret - 1);
		cpu->rip = b->pc + im->guest + im->len;
		if (!(b->flags & BF_CODE64))
			cpu->rip = (uint32_t)cpu->rip;
	}
	soft_unwind(cpu);
}

static _Noreturn void
raise_any(struct soft_cpu *cpu, unsigned vector, bool has_error,
    uint32_t error, uint64_t cr2)
{
	soft_sync_rip(cpu);
	cpu->exc.pending = true;
	cpu->exc.vector = (uint8_t)vector;
	cpu->exc.has_error = has_error;
	cpu->exc.error = error;
	cpu->exc.cr2 = cr2;
	soft_unwind(cpu);
}

void
soft_raise(struct soft_cpu *cpu, unsigned vector)
{
	raise_any(cpu, vector, false, 0, 0);
}

void
soft_raise_err(struct soft_cpu *cpu, unsigned vector, uint32_t error)
{
	raise_any(cpu, vector, true, error, 0);
}

void
soft_raise_pf(struct soft_cpu *cpu, uint64_t va, uint32_t error)
{
	raise_any(cpu, EXC_PF, true, error, va);
}

void
soft_engine_exit(struct soft_cpu *cpu, const char *fmt, ...)
{
	struct vm_exit *e = cpu->exit;
	va_list ap;

	soft_sync_rip(cpu);
	soft_fpu_leave(cpu);
	va_start(ap, fmt);
	vsnprintf(e->u.engine.reason, sizeof(e->u.engine.reason), fmt, ap);
	va_end(ap);
	e->u.engine.inst_len = 0;
	e->exitcode = VM_EXITCODE_ENGINE;
	cpu->exit_now = true;
	soft_unwind(cpu);
}

void
soft_h_exc(struct soft_cpu *cpu, uint64_t vector, uint64_t has_error)
{
	raise_any(cpu, (unsigned)vector, has_error != 0, 0, 0);
}

void
soft_h_unsupported(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	(void)next;
	soft_engine_exit(cpu, "instruction not supported by the soft engine");
}

void
soft_update_mode(struct soft_cpu *cpu)
{
	uint32_t f = 0;
	uint64_t cs_base = 0;
	unsigned m;
	bool lma = (cpu->efer & EFER_LMA) != 0;

	if (cpu->cpl == 3)
		m = MMU_USER;
	else if ((cpu->rflags & FL_AC) && (cpu->cr4 & CR4_SMAP))
		m = MMU_KERNEL_AC;
	else
		m = MMU_KERNEL;
	f |= m;
	if (lma && (cpu->seg[VM_SEG_CS].access & VM_SEG_L))
		f |= BF_CODE64;
	else if (cpu->seg[VM_SEG_CS].access & VM_SEG_DB)
		f |= BF_CODE32;
	/* 64-bit code has 64-bit stacks whatever SS says; system calls and
	 * interrupts leave different things there. */
	if (!(f & BF_CODE64) && (cpu->seg[VM_SEG_SS].access & VM_SEG_DB))
		f |= BF_STACK32;
	if (!(cpu->cr0 & CR0_PE) || (cpu->rflags & FL_VM))
		f |= BF_REAL;
	if (!(f & BF_CODE64)) {
		f = soft_seg_flags(cpu, f);
		cs_base = cpu->seg[VM_SEG_CS].base;
	}
	if (cpu->cpl == 0)
		f |= BF_CPL0;
	if (cpu->cr0 & CR0_TS)
		f |= BF_TS;
	if (cpu->cr0 & CR0_EM)
		f |= BF_EM;
	if (cpu->cr0 & CR0_MP)
		f |= BF_MP;
	if (cpu->cr4 & CR4_OSFXSR)
		f |= BF_OSFXSR;
	if ((cpu->cr4 & CR4_OSXSAVE) && (cpu->xcr0 & 6) == 6) {
		f |= BF_AVX;
		if ((cpu->xcr0 & 0xe0) == 0xe0)
			f |= BF_AVX512;
	}
	if (cpu->vm->one_insn)
		f |= BF_ONE;
	if ((cpu->rflags & FL_TF) || (cpu->dr7 & 0xff) || cpu->hold_on)
		f |= BF_STEP;
	if (m == MMU_USER && (cpu->rflags & FL_AC) && (cpu->cr0 & CR0_AM))
		f |= BF_AC;
	if (cpu->vm->mirror == SOFT_MIRROR_EAGER ||
	    (m == MMU_USER && cpu->mirror.on))
		f |= BF_MIRROR;
	if ((f & (BF_MIRROR | BF_CODE64 | BF_STEP | BF_AC)) ==
		(BF_MIRROR | BF_CODE64) &&
	    !cpu->vm->no_tlb && !(cpu->vm->off & SOFT_OFF_STACK))
		f |= BF_STACK | (cpu->stack_odd[m] ? BF_STACK_ODD : 0);
	/* Code of one kind must not jump to the other but by way of C. */
	if (((cpu->flags ^ f) & STACK_FLAGS) && (cpu->flags & BF_MMU) == m)
		soft_break(cpu);
	cpu->flags = f;
	if (cpu->jc_flags[m] != f || cpu->jc_cs_base[m] != cs_base ||
	    cpu->jc_cs_limit[m] != soft_cs_limit(cpu)) {
		soft_jc_flush(cpu, m);
		cpu->jc_flags[m] = f;
		cpu->jc_cs_base[m] = cs_base;
		cpu->jc_cs_limit[m] = soft_cs_limit(cpu);
	}
	/* Both jump caches are for 64-bit code, whose segments do not
	 * matter, and differ in nothing else. */
	cpu->ac_fast = (f & BF_CODE64) && (f & BF_CPL0) &&
	    (cpu->cr4 & CR4_SMAP) &&
	    cpu->jc_flags[MMU_KERNEL] == ((f & ~BF_MMU) | MMU_KERNEL) &&
	    cpu->jc_flags[MMU_KERNEL_AC] == ((f & ~BF_MMU) | MMU_KERNEL_AC);
}

void
soft_flags_changed(struct soft_cpu *cpu)
{
	if ((cpu->rflags & FL_IF) && cpu->irq_waiting)
		soft_break(cpu);
}

/* ---- delivery ---- */

/* SDM 6.15: which second exception makes a double fault of the first. */
static bool
contributory(unsigned v)
{
	return (v == EXC_DE || (v >= EXC_TS && v <= EXC_GP));
}

void
soft_deliver_exception(struct soft_cpu *cpu)
{
	unsigned v = cpu->exc.vector;
	bool has_error = cpu->exc.has_error, trap;
	uint32_t error = cpu->exc.error;

	cpu->exc.pending = false;
	cpu->stat.exceptions++;
	soft_trace(cpu, TRACE_soft,
	    "exception %u error %x cr2 %lx rip %lx cpl %u", v, error,
	    cpu->exc.cr2, cpu->rip, cpu->cpl);
	if (cpu->delivering >= 0) {
		unsigned first = (unsigned)cpu->delivering;

		if (first == EXC_DF) {
			cpu->delivering = -1;
			vm_suspend(cpu->vm->vm, VM_SUSPEND_TRIPLEFAULT);
			return;
		}
		if ((contributory(first) && contributory(v)) ||
		    (first == EXC_PF && (v == EXC_PF || contributory(v)))) {
			v = EXC_DF;
			has_error = true;
			error = 0;
		}
	}
	/* Also of a #PF that becomes a double fault. */
	if (cpu->exc.vector == EXC_PF)
		cpu->cr2 = cpu->exc.cr2;
	if (v == EXC_DB)
		soft_debug_taken(cpu);
	cpu->halted = false;
	cpu->delivering = (int)v;
	trap = v == EXC_DB || v == EXC_DF;
	/* RF in the image keeps an instruction breakpoint from firing again
	 * (SDM 17.3.1.1); faults set it. */
	if (!trap)
		cpu->rflags |= FL_RF;
	soft_interrupt(cpu, v, false, has_error, error, true, cpu->rip);
	cpu->delivering = -1;
}

static uint32_t
idt_error(unsigned vector, bool external)
{
	return (vector * 8 + 2 + external);
}

struct gate {
	uint16_t sel;
	unsigned type, dpl, ist;
	bool present;
	uint64_t offset;
};

static void
read_gate(struct soft_cpu *cpu, unsigned vector, bool external, struct gate *g)
{
	bool lma = (cpu->efer & EFER_LMA) != 0;
	unsigned size = lma ? 16 : 8;
	uint64_t lo, hi = 0, addr;

	if (vector * size + size - 1 > cpu->seg[VM_SEG_IDTR].limit)
		soft_raise_err(cpu, EXC_GP, idt_error(vector, external));
	addr = cpu->seg[VM_SEG_IDTR].base + vector * size;
	lo = soft_ld(cpu, addr, 8, MMU_KERNEL);
	if (lma)
		hi = soft_ld(cpu, addr + 8, 8, MMU_KERNEL);
	g->sel = (uint16_t)(lo >> 16);
	g->type = (lo >> 40) & 0x1f;
	g->dpl = (lo >> 45) & 3;
	g->present = (lo >> 47) & 1;
	g->ist = lma ? (lo >> 32) & 7 : 0;
	g->offset = (lo & 0xffff) | ((lo >> 32) & 0xffff0000) | hi << 32;
}

static void
drop_seg(struct vm_seg *s)
{
	*s = (struct vm_seg){ .access = VM_SEG_UNUSABLE };
}

/* Through the vector table of real mode (SDM volume 3, 20.1.4). */
static void
real_interrupt(struct soft_cpu *cpu, unsigned vector, uint64_t return_rip)
{
	const struct vm_seg *idtr = &cpu->seg[VM_SEG_IDTR];
	struct soft_stack st = { .seg = cpu->seg[VM_SEG_SS] };
	uint32_t entry;

	if (vector * 4 + 3 > idtr->limit)
		soft_raise(cpu, vector == EXC_GP ? EXC_DF : EXC_GP);
	entry = (uint32_t)soft_ld(
	    cpu, idtr->base + vector * 4, 4, MMU_KERNEL);
	soft_stack_init(cpu, &st, cpu->gpr[R_SP], 0, 0);
	soft_push(cpu, &st, 2, soft_get_rflags(cpu));
	soft_push(cpu, &st, 2, cpu->seg[VM_SEG_CS].sel);
	soft_push(cpu, &st, 2, return_rip);
	if ((entry & 0xffff) > cpu->seg[VM_SEG_CS].limit)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->gpr[R_SP] = st.sp;
	cpu->rflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
	cpu->seg[VM_SEG_CS].sel = (uint16_t)(entry >> 16);
	cpu->seg[VM_SEG_CS].base = entry >> 16 << 4;
	cpu->rip = entry & 0xffff;
	cpu->tf_step = false;
	soft_update_mode(cpu);
}

void
soft_interrupt(struct soft_cpu *cpu, unsigned vector, bool soft,
    bool has_error, uint32_t error, bool external, uint64_t return_rip)
{
	bool lma = (cpu->efer & EFER_LMA) != 0, ext = external && !soft;
	uint64_t desc, hi;
	unsigned cpl = cpu->cpl, new_cpl, type, size;
	struct gate g;
	struct soft_stack st = { .seg = cpu->seg[VM_SEG_SS] };
	bool stack_switch = false, v86 = (cpu->rflags & FL_VM) != 0;

	if (!(cpu->cr0 & CR0_PE)) {
		real_interrupt(cpu, vector, return_rip);
		return;
	}
	read_gate(cpu, vector, ext, &g);
	type = g.type & 0xf;
	if ((g.type & 0x10) || (lma ? (type & 0xe) != 0xe :
				      (type & 0x6) != 0x6 && type != 5))
		soft_raise_err(cpu, EXC_GP, idt_error(vector, ext));
	if (soft && g.dpl < cpl)
		soft_raise_err(cpu, EXC_GP, idt_error(vector, false));
	if (!g.present)
		soft_raise_err(cpu, EXC_NP, idt_error(vector, ext));
	if (soft) /* RF ends with the instruction (SDM 17.3.1.1) */
		cpu->rflags &= ~FL_RF;
	if (type == 5) { /* a task gate */
		soft_task_switch(cpu, g.sel, TASK_INT, ext, has_error, error,
		    return_rip);
		return;
	}
	if ((g.sel & ~3u) == 0)
		soft_raise_err(cpu, EXC_GP, ext);
	desc = soft_read_desc_ext(cpu, g.sel, EXC_GP, ext, &hi);
	/* A code segment, not of less privilege. */
	if (((desc >> 43) & 3) != 3 || ((desc >> 45) & 3) > cpl ||
	    (lma && ((desc >> 53) & 3) != 1))
		soft_raise_err(cpu, EXC_GP, (g.sel & ~3u) | ext);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, (g.sel & ~3u) | ext);
	new_cpl = (desc >> 42) & 1 ? cpl : (desc >> 45) & 3;
	if (v86 && new_cpl != 0)
		soft_raise_err(cpu, EXC_GP, (g.sel & ~3u) | ext);
	size = lma ? 8 : type & 8 ? 4 : 2;
	if (!lma && !(type & 8))
		g.offset &= 0xffff;
	if (new_cpl < cpl || g.ist) {
		stack_switch = true;
		soft_inner_stack(cpu, &st, new_cpl, g.ist, ext);
	} else
		soft_stack_init(cpu, &st, cpu->gpr[R_SP], new_cpl, ext);
	if (lma) {
		st.sp &= ~15ull;
		if (!soft_canonical(cpu, st.sp - 48) ||
		    !soft_canonical(cpu, st.sp - 1))
			soft_raise_err(cpu, EXC_SS, ext);
	}
	if (v86) {
		soft_push(cpu, &st, size, cpu->seg[VM_SEG_GS].sel);
		soft_push(cpu, &st, size, cpu->seg[VM_SEG_FS].sel);
		soft_push(cpu, &st, size, cpu->seg[VM_SEG_DS].sel);
		soft_push(cpu, &st, size, cpu->seg[VM_SEG_ES].sel);
	}
	if (lma || stack_switch) {
		soft_push(cpu, &st, size, cpu->seg[VM_SEG_SS].sel);
		soft_push(cpu, &st, size, cpu->gpr[R_SP]);
	}
	soft_push(cpu, &st, size, soft_get_rflags(cpu));
	soft_push(cpu, &st, size, cpu->seg[VM_SEG_CS].sel);
	soft_push(cpu, &st, size, return_rip);
	if (has_error)
		soft_push(cpu, &st, size, error);
	soft_check_target(cpu, g.offset, desc, ext);
	soft_set_accessed(cpu, g.sel, desc);
	if (stack_switch)
		soft_enter_stack(cpu, &st, new_cpl);
	else
		cpu->gpr[R_SP] = st.sp;
	/* Nothing faults from here on. */
	if (v86) {
		drop_seg(&cpu->seg[VM_SEG_ES]);
		drop_seg(&cpu->seg[VM_SEG_DS]);
		drop_seg(&cpu->seg[VM_SEG_FS]);
		drop_seg(&cpu->seg[VM_SEG_GS]);
	}
	soft_set_seg_raw(cpu, VM_SEG_CS,
	    (uint16_t)((g.sel & ~3u) | new_cpl), desc);
	cpu->cpl = new_cpl;
	cpu->rflags &= ~(FL_TF | FL_NT | FL_RF | FL_VM);
	if (!(type & 1))
		cpu->rflags &= ~FL_IF;
	cpu->rip = g.offset;
	cpu->tf_step = false;
	soft_update_mode(cpu);
}

/* INT3. */
void
soft_h_int3(struct soft_cpu *cpu, uint64_t vector, uint64_t next)
{
	soft_sync_rip(cpu);
	if (vector == EXC_BP && cpu->hold.bpt)
		soft_hold_int3(cpu);
	soft_interrupt(cpu, (unsigned)vector, true, false, 0, false, next);
}

void
soft_h_int(struct soft_cpu *cpu, uint64_t vector, uint64_t next)
{
	/* INT n is IOPL-sensitive in virtual-8086 mode, unlike INT3 and INTO
	 * (SDM volume 3, 20.2.7). */
	if ((cpu->rflags & FL_VM) &&
	    soft_v86_int(cpu, (unsigned)vector, next))
		return;
	soft_sync_rip(cpu);
	soft_interrupt(cpu, (unsigned)vector, true, false, 0, false, next);
}

/* INT1 does not check the gate's DPL (SDM volume 2, INT n). */
void
soft_h_int1(struct soft_cpu *cpu, uint64_t vector, uint64_t next)
{
	soft_sync_rip(cpu);
	soft_debug_taken(cpu);
	soft_interrupt(cpu, (unsigned)vector, false, false, 0, false, next);
}

void
soft_h_into(struct soft_cpu *cpu, uint64_t vector, uint64_t next)
{
	if (soft_get_rflags(cpu) & FL_OF)
		soft_h_int3(cpu, vector, next);
	else
		cpu->rip = next;
}

uint64_t
soft_flags_mask(const struct soft_cpu *cpu, unsigned size)
{
	uint64_t m = ARITH_FLAGS | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;

	if (cpu->cpl <= ((cpu->rflags >> 12) & 3))
		m |= FL_IF;
	if (cpu->cpl == 0)
		m |= FL_IOPL;
	return (size == 2 ? m & 0xffff : m);
}

/* ---- IRET ---- */

static uint64_t
stack_at(struct soft_cpu *cpu, unsigned n, unsigned size)
{
	uint64_t sp = cpu->gpr[R_SP] + (uint64_t)n * size;

	return (soft_ld(cpu, soft_stack_linear(cpu, sp, size, false), size,
	    cpu->flags & BF_MMU));
}

/* Returning outwards: data segments that the new level may not have. */
void
soft_drop_segs(struct soft_cpu *cpu)
{
	static const uint8_t segs[] = { VM_SEG_ES, VM_SEG_DS, VM_SEG_FS,
		VM_SEG_GS };

	for (unsigned i = 0; i < 4; i++) {
		struct vm_seg *s = &cpu->seg[segs[i]];

		/* Data or non-conforming code (SDM volume 2, IRET). */
		if ((s->access & VM_SEG_S) && !(s->access & VM_SEG_UNUSABLE) &&
		    (s->access & 0xc) != 0xc &&
		    VM_SEG_DPL(s->access) < cpu->cpl) {
			s->sel = 0;
			s->base = 0;
			s->limit = 0;
			s->access = VM_SEG_UNUSABLE;
		}
	}
}

void
soft_load_v86_seg(struct soft_cpu *cpu, unsigned seg, uint64_t sel)
{
	cpu->seg[seg] = (struct vm_seg){ .base = (sel & 0xffff) << 4,
		.limit = 0xffff, .access = 0xf3, .sel = (uint16_t)sel };
}

/* Into virtual-8086 mode (SDM volume 3, 20.2.5). */
static void
iret_to_v86(
    struct soft_cpu *cpu, uint64_t rip, uint16_t cs, uint64_t rflags)
{
	uint64_t v[6]; /* ESP, SS, ES, DS, FS, GS */

	for (unsigned i = 0; i < 6; i++)
		v[i] = stack_at(cpu, 3 + i, 4);
	soft_set_rflags(cpu,
	    (rflags & 0x3f7fd5) | (soft_get_rflags(cpu) & FL_RF));
	soft_load_v86_seg(cpu, VM_SEG_CS, cs);
	soft_load_v86_seg(cpu, VM_SEG_SS, v[1]);
	soft_load_v86_seg(cpu, VM_SEG_ES, v[2]);
	soft_load_v86_seg(cpu, VM_SEG_DS, v[3]);
	soft_load_v86_seg(cpu, VM_SEG_FS, v[4]);
	soft_load_v86_seg(cpu, VM_SEG_GS, v[5]);
	cpu->gpr[R_SP] = (uint32_t)v[0];
	cpu->rip = rip & 0xffff;
	cpu->cpl = 3;
	cpu->nmi_blocked = false;
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
	soft_check_vip(cpu);
}

/* IRET in real mode, and in virtual-8086 mode with IOPL 3. */
static void
real_iret(struct soft_cpu *cpu, unsigned size)
{
	uint64_t rip, cs, fl;
	uint64_t mask = soft_flags_mask(cpu, size) | (size == 4 ? FL_RF : 0);

	if ((cpu->rflags & FL_VM) && (cpu->rflags & FL_IOPL) != FL_IOPL &&
	    (size != 2 || !soft_vme(cpu)))
		soft_raise_err(cpu, EXC_GP, 0);
	rip = stack_at(cpu, 0, size);
	cs = stack_at(cpu, 1, size) & 0xffff;
	fl = stack_at(cpu, 2, size);
	if (rip > cpu->seg[VM_SEG_CS].limit)
		soft_raise_err(cpu, EXC_GP, 0);
	if (soft_vme(cpu)) {
		soft_vme_check(cpu, fl);
		soft_vme_set_flags(cpu, fl);
	} else
		soft_set_rflags(
		    cpu, (soft_get_rflags(cpu) & ~mask) | (fl & mask));
	soft_set_sp(cpu, cpu->gpr[R_SP] + 3 * size);
	cpu->seg[VM_SEG_CS].sel = (uint16_t)cs;
	cpu->seg[VM_SEG_CS].base = cs << 4;
	cpu->rip = rip;
	cpu->nmi_blocked = false;
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
}

void
soft_h_iret(struct soft_cpu *cpu, uint64_t size64, uint64_t next)
{
	unsigned size = (unsigned)size64, cpl = cpu->cpl, rpl, n = 3;
	uint64_t rip, rflags, sp = 0, desc, hi, mask, ss_desc = 0;
	uint16_t cs, ss = 0;
	bool code64 = (cpu->flags & BF_CODE64) != 0, outer, l;

	/* To know our own rip takes a search; who raises does it. */
	if (!code64)
		soft_sync_rip(cpu);
	cpu->branched = 1;
	if (cpu->flags & BF_REAL) {
		real_iret(cpu, size);
		return;
	}
	if (cpu->rflags & FL_NT) {
		if (cpu->efer & EFER_LMA)
			soft_raise_err(cpu, EXC_GP, 0);
		soft_task_switch(cpu,
		    (uint16_t)soft_ld(
			cpu, cpu->seg[VM_SEG_TR].base, 2, MMU_KERNEL),
		    TASK_IRET, 0, false, 0, next);
		return;
	}
	rip = stack_at(cpu, 0, size);
	cs = (uint16_t)stack_at(cpu, 1, size);
	rflags = stack_at(cpu, 2, size);
	if ((rflags & FL_VM) && cpl == 0 && size == 4 &&
	    !(cpu->efer & EFER_LMA)) {
		iret_to_v86(cpu, rip, cs, rflags);
		return;
	}
	if ((cs & ~3u) == 0)
		soft_raise_err(cpu, EXC_GP, 0);
	rpl = cs & 3;
	desc = soft_read_desc(cpu, cs, EXC_GP, &hi);
	if (((desc >> 43) & 3) != 3 || rpl < cpl ||
	    ((desc >> 42) & 1 ? ((desc >> 45) & 3) > rpl :
				((desc >> 45) & 3) != rpl))
		soft_raise_err(cpu, EXC_GP, cs & ~3u);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, cs & ~3u);
	outer = rpl > cpl;
	l = (desc >> 53) & 1 && (cpu->efer & EFER_LMA);
	if (outer || code64) {
		sp = stack_at(cpu, 3, size);
		ss = (uint16_t)stack_at(cpu, 4, size);
		n = 5;
		if ((ss & ~3u) == 0) {
			if (!l || rpl == 3)
				soft_raise_err(cpu, EXC_GP, 0);
		} else {
			ss_desc = soft_read_desc(cpu, ss, EXC_GP, &hi);
			if ((ss & 3u) != rpl || ((ss_desc >> 45) & 3) != rpl ||
			    ((ss_desc >> 41) & 0xd) != 9)
				soft_raise_err(cpu, EXC_GP, ss & ~3u);
			if (!((ss_desc >> 47) & 1))
				soft_raise_err(cpu, EXC_SS, ss & ~3u);
		}
	}
	soft_check_target(cpu, rip, desc, 0);
	mask = soft_flags_mask(cpu, size) | (size == 2 ? 0 : FL_RF) |
	    (size != 2 && cpl == 0 ? FL_VIF | FL_VIP : 0);
	soft_set_accessed(cpu, cs, desc);
	soft_set_seg_raw(cpu, VM_SEG_CS, cs, desc);
	if (n == 5) {
		if ((ss & ~3u) == 0) {
			cpu->seg[VM_SEG_SS] = (struct vm_seg){ .sel = ss,
				.access = VM_SEG_UNUSABLE |
				    (uint32_t)rpl << 5 };
		} else {
			soft_set_accessed(cpu, ss, ss_desc);
			soft_set_seg_raw(cpu, VM_SEG_SS, ss, ss_desc);
		}
		/* What of rSP is loaded is for the new stack to say: Linux
		 * has its espfix for this. */
		if (l)
			cpu->gpr[R_SP] = sp;
		else if (cpu->seg[VM_SEG_SS].access & VM_SEG_DB)
			cpu->gpr[R_SP] = (uint32_t)sp;
		else
			cpu->gpr[R_SP] = (cpu->gpr[R_SP] & ~0xffffull) |
			    (sp & 0xffff);
	} else if (cpu->flags & BF_STACK32)
		cpu->gpr[R_SP] = (uint32_t)(cpu->gpr[R_SP] + 3 * size);
	else
		cpu->gpr[R_SP] = (cpu->gpr[R_SP] & ~0xffffull) |
		    ((cpu->gpr[R_SP] + 3 * size) & 0xffff);
	soft_set_rflags(
	    cpu, (soft_get_rflags(cpu) & ~mask) | (rflags & mask));
	cpu->cpl = rpl;
	if (outer)
		soft_drop_segs(cpu);
	cpu->rip = rip;
	cpu->host_ret = 0; /* what is raised from here on is there */
	if (cpu->nmi_blocked) {
		cpu->nmi_blocked = false;
		soft_request(cpu); /* one may have come meanwhile */
	}
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
	soft_check_vip(cpu);
}
