/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches. Intel SDM volume 3, chapter 7 ("Task Management"). A light
 * file, see soft.h.
 *
 * What is wrong with the switch itself is the old task's fault; what is wrong
 * with the state that it brings in, the new task's (SDM volume 3, 7.3).
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

/* A TSS of 32 or 16 bits: SDM volume 3, figures 7-2 and 7-10. */
struct layout {
	unsigned width, ip, nsegs, min_limit;
};
#define L_FLAGS(l) ((l)->ip + (l)->width)
#define L_REG(l, n) ((l)->ip + (2 + (n)) * (l)->width)
#define L_SEG(l, n) ((l)->ip + (10 + (n)) * (l)->width)
#define L_LDT(l) L_SEG(l, (l)->nsegs)
#define TSS_CR3 28
#define TSS_TRAP 100

static const struct layout tss16 = { 2, 14, 4, 43 };
static const struct layout tss32 = { 4, 32, 6, 103 };

static const struct layout *
layout_of(uint32_t access)
{
	return (access & 8 ? &tss32 : &tss16);
}

static uint64_t
field(const uint8_t *tss, unsigned off, unsigned size)
{
	uint64_t v = 0;

	soft_copy(&v, tss + off, size);
	return (v);
}

/* Sets or clears the busy bit of a TSS descriptor in the GDT; whether it was
 * set. */
static bool
set_busy(struct soft_cpu *cpu, uint16_t sel, bool busy)
{
	uint64_t addr = cpu->seg[VM_SEG_GDTR].base + (sel & ~7u) + 5;

	return ((soft_rmw8(cpu, addr, busy ? TSS_BUSY : 0,
		     busy ? 0 : TSS_BUSY) & TSS_BUSY) != 0);
}

/* SDM volume 3, table 7-1, rows 1 to 5. */
static struct vm_seg
new_tss(struct soft_cpu *cpu, uint16_t sel, enum task_how how, uint32_t ext)
{
	unsigned vector = how == TASK_IRET ? EXC_TS : EXC_GP;
	unsigned busy = how == TASK_IRET ? 2 : 0;
	struct vm_seg s;
	uint64_t desc, hi;

	if (sel & 4)
		soft_raise_err(cpu, vector, (sel & ~3u) | ext);
	desc = soft_read_desc_ext(cpu, sel, vector, ext, &hi);
	/* A TSS of either size, available or busy. */
	if (((desc >> 40) & 0x17) != (1 | busy))
		soft_raise_err(cpu, vector, (sel & ~3u) | ext);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, (sel & ~3u) | ext);
	s = soft_desc_seg(sel, desc);
	if (s.limit < layout_of(s.access)->min_limit)
		soft_raise_err(cpu, EXC_TS, (sel & ~3u) | ext);
	s.access |= 2;
	return (s);
}

static void
save_state(struct soft_cpu *cpu, const struct layout *l, enum task_how how,
    uint64_t next)
{
	uint64_t base = cpu->seg[VM_SEG_TR].base, fl = soft_get_rflags(cpu);

	if (how == TASK_IRET)
		fl &= ~FL_NT;
	soft_st(cpu, base + l->ip, l->width, MMU_KERNEL, next);
	soft_st(cpu, base + L_FLAGS(l), l->width, MMU_KERNEL, fl);
	for (unsigned i = 0; i < 8; i++)
		soft_st(cpu, base + L_REG(l, i), l->width, MMU_KERNEL,
		    cpu->gpr[i]);
	for (unsigned i = 0; i < l->nsegs; i++)
		soft_st(cpu, base + L_SEG(l, i), 2, MMU_KERNEL,
		    cpu->seg[i].sel);
}

static void
load_ldt(struct soft_cpu *cpu, uint16_t sel, uint32_t ext)
{
	uint64_t desc, hi;

	cpu->seg[VM_SEG_LDTR] = (struct vm_seg){ .sel = sel,
		.access = VM_SEG_UNUSABLE };
	if ((sel & ~3u) == 0)
		return;
	if (sel & 4)
		soft_raise_err(cpu, EXC_TS, (sel & ~3u) | ext);
	desc = soft_read_desc_ext(cpu, sel, EXC_TS, ext, &hi);
	if (((desc >> 40) & 0x9f) != 0x82)
		soft_raise_err(cpu, EXC_TS, (sel & ~3u) | ext);
	soft_set_seg_raw(cpu, VM_SEG_LDTR, sel, desc);
}

/* One segment register of the new task; table 7-1, rows 8 to 19. */
static void
load_seg(struct soft_cpu *cpu, unsigned seg, uint32_t ext)
{
	uint16_t sel = cpu->seg[seg].sel;
	unsigned rpl = sel & 3, dpl, type, np = EXC_NP;
	uint32_t error = (sel & ~3u) | ext;
	uint64_t desc, hi;
	bool bad;

	if ((sel & ~3u) == 0) {
		if (seg == VM_SEG_CS || seg == VM_SEG_SS)
			soft_raise_err(cpu, EXC_TS, error);
		return;
	}
	desc = soft_read_desc_ext(cpu, sel, EXC_TS, ext, &hi);
	dpl = (desc >> 45) & 3;
	type = (desc >> 40) & 0x1f;
	if (seg == VM_SEG_CS)
		bad = (type & 0x18) != 0x18 ||
		    (type & 4 ? dpl > rpl : dpl != rpl);
	else if (seg == VM_SEG_SS) {
		np = EXC_SS;
		bad = (type & 0x1a) != 0x12 || dpl != cpu->cpl ||
		    rpl != cpu->cpl;
	} else
		bad = !(type & 0x10) || (type & 0xa) == 8 ||
		    ((type & 0xc) != 0xc && (dpl < rpl || dpl < cpu->cpl));
	if (bad)
		soft_raise_err(cpu, EXC_TS, error);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, np, error);
	soft_set_accessed(cpu, sel, desc);
	soft_set_seg_raw(cpu, seg, sel, desc);
}

static void
load_segs(struct soft_cpu *cpu, uint32_t ext)
{
	static const uint8_t order[] = { VM_SEG_CS, VM_SEG_SS, VM_SEG_ES,
		VM_SEG_DS, VM_SEG_FS, VM_SEG_GS };

	for (unsigned i = 0; i < sizeof(order); i++)
		if (cpu->rflags & FL_VM)
			soft_load_v86_seg(
			    cpu, order[i], cpu->seg[order[i]].sel);
		else
			load_seg(cpu, order[i], ext);
}

/* Registers from the image; segments as selectors, nothing in them yet. */
static void
load_regs(struct soft_cpu *cpu, const struct layout *l, const uint8_t *tss,
    enum task_how how)
{
	uint64_t fl = field(tss, L_FLAGS(l), l->width);

	fl &= l->width == 4 ? 0x3f7fd5 : 0x7fd5;
	if (how == TASK_CALL || how == TASK_INT)
		fl |= FL_NT;
	soft_set_rflags(cpu, fl);
	cpu->rip = field(tss, l->ip, l->width);
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = field(tss, L_REG(l, i), l->width) |
		    (l->width == 2 ? 0xffff0000 : 0);
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++)
		cpu->seg[i] = (struct vm_seg){ .access = VM_SEG_UNUSABLE,
			.sel = i < l->nsegs ?
			    (uint16_t)field(tss, L_SEG(l, i), 2) :
			    0 };
	cpu->cpl = fl & FL_VM ? 3 : cpu->seg[VM_SEG_CS].sel & 3;
	cpu->cr0 |= CR0_TS;
	/* Breakpoints of one task only (SDM volume 3, 17.2.4). */
	cpu->dr7 &= ~0x155ull;
}

/* Everything that can fail in the old task fails before this returns. */
static void
prepare(struct soft_cpu *cpu, const struct vm_seg *tss, enum task_how how,
    uint32_t ext, uint8_t *image)
{
	const struct vm_seg *tr = &cpu->seg[VM_SEG_TR];
	const struct layout *nl = layout_of(tss->access);
	const struct layout *ol = layout_of(tr->access);
	uint64_t gdt = cpu->seg[VM_SEG_GDTR].base;

	if ((tr->access & VM_SEG_UNUSABLE) || tr->limit < ol->min_limit)
		soft_raise_err(cpu, EXC_TS, (tr->sel & ~3u) | ext);
	soft_read_va(cpu, tss->base, image, nl->min_limit + 1, MMU_KERNEL);
	soft_probe_write(
	    cpu, tr->base + ol->ip, L_LDT(ol) - ol->ip, MMU_KERNEL);
	if (how == TASK_CALL || how == TASK_INT)
		soft_probe_write(cpu, tss->base, 2, MMU_KERNEL);
	if (how != TASK_IRET)
		soft_probe_write(
		    cpu, gdt + (tss->sel & ~7u) + 5, 1, MMU_KERNEL);
	if (how == TASK_JMP || how == TASK_IRET)
		soft_probe_write(
		    cpu, gdt + (tr->sel & ~7u) + 5, 1, MMU_KERNEL);
}

void
soft_task_switch(struct soft_cpu *cpu, uint16_t sel, enum task_how how,
    uint32_t ext, bool has_error, uint32_t error, uint64_t next)
{
	struct vm_seg tss = new_tss(cpu, sel, how, ext);
	const struct layout *l = layout_of(tss.access);
	struct soft_stack st;
	uint8_t image[104];

	soft_sync_rip(cpu);
	prepare(cpu, &tss, how, ext, image);
	/* First of all, as another processor may be about to do the same. */
	if (how != TASK_IRET && set_busy(cpu, sel, true))
		soft_raise_err(cpu, EXC_GP, (sel & ~3u) | ext);
	save_state(cpu, layout_of(cpu->seg[VM_SEG_TR].access), how, next);
	if (how == TASK_JMP || how == TASK_IRET)
		(void)set_busy(cpu, cpu->seg[VM_SEG_TR].sel, false);
	if (how == TASK_CALL || how == TASK_INT)
		soft_st(cpu, tss.base, 2, MMU_KERNEL, cpu->seg[VM_SEG_TR].sel);
	/* From here on it is the new task. */
	cpu->seg[VM_SEG_TR] = tss;
	load_regs(cpu, l, image, how);
	cpu->tf_step = false;
	if (how == TASK_IRET && cpu->nmi_blocked) {
		cpu->nmi_blocked = false;
		soft_request(cpu);
	}
	if (l->width == 4 && (cpu->cr0 & CR0_PG) &&
	    soft_set_cr(cpu, 3, field(image, TSS_CR3, 4)) != 0)
		soft_raise_err(cpu, EXC_GP, ext);
	soft_update_mode(cpu);
	load_ldt(cpu, (uint16_t)field(image, L_LDT(l), 2), ext);
	load_segs(cpu, ext);
	soft_update_mode(cpu);
	soft_flags_changed(cpu);
	if (has_error) {
		st.seg = cpu->seg[VM_SEG_SS];
		soft_stack_init(cpu, &st, cpu->gpr[R_SP], cpu->cpl, ext);
		soft_push(cpu, &st, l->width, error);
		cpu->gpr[R_SP] = st.sp;
	}
	if (cpu->rip > cpu->seg[VM_SEG_CS].limit)
		soft_raise_err(cpu, EXC_GP, ext);
	cpu->delivering = -1; /* what comes now is the new task's own */
	soft_check_vip(cpu);
	if (l->width == 4 && (image[TSS_TRAP] & 1)) {
		/* SDM volume 3, 17.3.1.5: before the first instruction. */
		cpu->dr6 |= 0x8000;
		cpu->exc.pending = true;
		cpu->exc.vector = EXC_DB;
		cpu->exc.has_error = false;
		soft_unwind(cpu);
	}
}
