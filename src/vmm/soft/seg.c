/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments and descriptor tables. Intel SDM volume 3, chapter 3 ("Protected-
 * Mode Memory Management") and 5 ("Protection"). A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

static const struct vm_seg *
table_of(struct soft_cpu *cpu, uint16_t sel)
{
	return (&cpu->seg[sel & 4 ? VM_SEG_LDTR : VM_SEG_GDTR]);
}

uint64_t
soft_read_desc(
    struct soft_cpu *cpu, uint16_t sel, unsigned vector, uint64_t *hi)
{
	return (soft_read_desc_ext(cpu, sel, vector, 0, hi));
}

uint64_t
soft_read_desc_ext(struct soft_cpu *cpu, uint16_t sel, unsigned vector,
    uint32_t ext, uint64_t *hi)
{
	const struct vm_seg *t = table_of(cpu, sel);
	unsigned off = sel & ~7u;
	uint64_t desc;
	bool lma = (cpu->efer & EFER_LMA) != 0;

	if (off + 7 > t->limit || (t->access & VM_SEG_UNUSABLE))
		soft_raise_err(cpu, vector, (sel & ~3u) | ext);
	desc = soft_ld(cpu, t->base + off, 8, MMU_KERNEL);
	*hi = 0;
	/* System descriptors are twice as long in IA-32e mode. */
	if (lma && !((desc >> 44) & 1)) {
		if (off + 15 > t->limit)
			soft_raise_err(cpu, vector, (sel & ~3u) | ext);
		*hi = soft_ld(cpu, t->base + off + 8, 8, MMU_KERNEL);
	}
	return (desc);
}

void
soft_set_accessed(struct soft_cpu *cpu, uint16_t sel, uint64_t desc)
{
	const struct vm_seg *t = table_of(cpu, sel);
	uint64_t addr = t->base + (sel & ~7u) + 5;

	if ((desc >> 40) & 1)
		return;
	(void)soft_rmw8(cpu, addr, 1, 0);
}

struct vm_seg
soft_desc_seg(uint16_t sel, uint64_t desc)
{
	uint32_t limit = (uint32_t)((desc & 0xffff) | ((desc >> 32) & 0xf0000));
	struct vm_seg s = { .sel = sel };

	s.base = ((desc >> 16) & 0xffffff) | ((desc >> 32) & 0xff000000);
	s.access = (uint32_t)((desc >> 40) & 0xff) |
	    (uint32_t)((desc >> 52) & 0xf) << 12;
	/* What a loaded code or data segment always is: accessed. */
	if (s.access & VM_SEG_S)
		s.access |= 1;
	s.limit = s.access & VM_SEG_G ? limit << 12 | 0xfff : limit;
	return (s);
}

void
soft_set_seg_raw(
    struct soft_cpu *cpu, unsigned seg, uint16_t sel, uint64_t desc)
{
	cpu->seg[seg] = soft_desc_seg(sel, desc);
}

bool
soft_seg_fits(const struct soft_cpu *cpu, const struct vm_seg *s,
    uint64_t off, unsigned size, bool write)
{
	/* Real mode looks at limits only. */
	bool real = !(cpu->cr0 & CR0_PE) || (cpu->rflags & FL_VM);
	bool code = (s->access & 8) != 0;
	uint64_t end = off + size - 1;

	if (s->access & VM_SEG_UNUSABLE)
		return (false);
	if (!real &&
	    (write ? code || !(s->access & 2) : code && !(s->access & 2)))
		return (false);
	if (!code && (s->access & 4)) /* expands down */
		return (off > s->limit &&
		    end <= (s->access & VM_SEG_DB ? 0xffffffff : 0xffff));
	/* Whether 4 GiB wrap is left to the processor: they do. */
	return (end <= s->limit || s->limit == 0xffffffff);
}

uint64_t
soft_linear(struct soft_cpu *cpu, unsigned seg, uint64_t off, unsigned size,
    bool write)
{
	const struct vm_seg *s = &cpu->seg[seg];

	if (cpu->flags & BF_CODE64)
		return (seg >= VM_SEG_FS ? off + s->base : off);
	if ((cpu->flags & BF_CHECK(seg)) || seg == VM_SEG_CS)
		soft_h_seg_check(cpu, off,
		    seg | (write ? 0x100u : 0) | (uint64_t)size << 16);
	return ((uint32_t)(off + s->base));
}

/* T0: offset. T1: segment | write << 8 | bytes << 16 | ACCESS_* << 32 with a
 * mask in it: only what it selects must be there. */
void
soft_h_seg_check(struct soft_cpu *cpu, uint64_t off, uint64_t t1)
{
	unsigned seg = t1 & 0xff, size = (t1 >> 16) & 0xffff;
	uint64_t mask;

	if (t1 >> 32 != 0) {
		mask = soft_byte_mask((uint32_t)(t1 >> 32));
		if (mask == 0)
			return;
		size = 64 - (unsigned)__builtin_clzll(mask) -
		    (unsigned)__builtin_ctzll(mask);
		off = (uint32_t)(off + (unsigned)__builtin_ctzll(mask));
	}
	if (!soft_seg_fits(
		cpu, &cpu->seg[seg], off, size, (t1 & 0x100) != 0))
		soft_raise_err(cpu, seg == VM_SEG_SS ? EXC_SS : EXC_GP, 0);
}

uint32_t
soft_seg_flags(struct soft_cpu *cpu, uint32_t f)
{
	bool real = (f & BF_REAL) != 0;

	f |= BF_SEG64K;
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++) {
		const struct vm_seg *s = &cpu->seg[i];
		bool code = (s->access & 8) != 0, rw = (s->access & 2) != 0;
		int64_t *lim = cpu->seg_lim[i];

		if (s->base != 0 && i <= VM_SEG_DS)
			f |= BF_SEGMENTED;
		lim[0] = lim[1] = -1;
		if (!(s->access & VM_SEG_UNUSABLE) &&
		    (code || !(s->access & 4))) {
			if (real || !code || rw)
				lim[0] = s->limit;
			if (real || (!code && rw))
				lim[1] = s->limit;
		}
		/* Who writes to CS knows: tr_add_seg(). */
		if (i == VM_SEG_CS)
			lim[1] = real ? s->limit : lim[0];
		if (lim[0] != 0xffffffff || lim[1] != 0xffffffff)
			f |= BF_CHECK(i);
		if (lim[0] < 0xffff || lim[1] < 0xffff)
			f &= ~BF_SEG64K;
	}
	return (f);
}

void
soft_check_target(
    struct soft_cpu *cpu, uint64_t rip, uint64_t desc, uint32_t error)
{
	bool l = (desc >> 53) & 1 && (cpu->efer & EFER_LMA);

	if (l ? !soft_canonical(cpu, rip) : rip > soft_desc_seg(0, desc).limit)
		soft_raise_err(cpu, EXC_GP, error);
}

void
soft_load_seg(struct soft_cpu *cpu, unsigned seg, uint16_t sel)
{
	struct vm_seg *s = &cpu->seg[seg];
	uint64_t desc, hi;
	unsigned dpl, type, rpl = sel & 3;

	if (cpu->flags & BF_REAL) {
		s->sel = sel;
		s->base = (uint64_t)sel << 4;
		/* Real mode keeps limit and rights ("unreal mode"), if there
		 * are any. */
		if (cpu->rflags & FL_VM) {
			s->limit = 0xffff;
			s->access = 0xf3;
		} else if (s->access & VM_SEG_UNUSABLE) {
			s->limit = 0xffff;
			s->access = 0x93;
		}
		return;
	}
	if ((sel & ~3u) == 0) {
		/* A null SS is for 64-bit kernels only (SDM volume 2, MOV). */
		if (seg == VM_SEG_SS &&
		    (!(cpu->flags & BF_CODE64) || cpu->cpl == 3 ||
			rpl != cpu->cpl))
			soft_raise_err(cpu, EXC_GP, 0);
		s->sel = sel;
		s->base = 0;
		s->limit = 0;
		s->access = VM_SEG_UNUSABLE |
		    (seg == VM_SEG_SS ? (uint32_t)cpu->cpl << 5 : 0);
		return;
	}
	desc = soft_read_desc(cpu, sel, EXC_GP, &hi);
	dpl = (desc >> 45) & 3;
	type = (desc >> 40) & 0x1f;
	if (seg == VM_SEG_SS) {
		if (rpl != cpu->cpl || dpl != cpu->cpl ||
		    (type & 0x1a) != 0x12)
			soft_raise_err(cpu, EXC_GP, sel & ~3u);
		if (!((desc >> 47) & 1))
			soft_raise_err(cpu, EXC_SS, sel & ~3u);
	} else {
		/* Data or readable code; privilege but for conforming code. */
		if (!(type & 0x10) || (type & 0x1a) == 0x18 ||
		    ((type & 0x1c) != 0x1c && (dpl < rpl || dpl < cpu->cpl)))
			soft_raise_err(cpu, EXC_GP, sel & ~3u);
		if (!((desc >> 47) & 1))
			soft_raise_err(cpu, EXC_NP, sel & ~3u);
	}
	soft_set_accessed(cpu, sel, desc);
	soft_set_seg_raw(cpu, seg, sel, desc);
}

/* T0: segment | size of a pop << 8; the selector is in cpu->tmp. */
void
soft_h_mov_to_seg(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	unsigned seg = t0 & 0xff, size = (t0 >> 8) & 0xff;

	if (seg == VM_SEG_CS)
		soft_raise(cpu, EXC_UD);
	soft_load_seg(cpu, seg, (uint16_t)cpu->tmp);
	if (size != 0) {
		if (cpu->flags & BF_CODE64)
			cpu->gpr[R_SP] += size;
		else if (cpu->flags & BF_STACK32)
			cpu->gpr[R_SP] = (uint32_t)(cpu->gpr[R_SP] + size);
		else
			cpu->gpr[R_SP] = (cpu->gpr[R_SP] & ~0xffffull) |
			    ((cpu->gpr[R_SP] + size) & 0xffff);
	}
	cpu->rip = next;
	if (seg == VM_SEG_SS)
		cpu->shadow = cpu->shadow_ss = true;
	soft_update_mode(cpu);
	/* The shadow is the dispatcher's business. */
	if (cpu->shadow)
		soft_unwind(cpu);
}

void
soft_set_zf(struct soft_cpu *cpu, bool zf)
{
	cpu->fl = (cpu->fl & ~((uint32_t)FL_ZF << 8)) |
	    (zf ? (uint32_t)FL_ZF << 8 : 0);
}

/* T0: address of a far pointer. T1: segment | register << 8 | size of the
 * offset << 16 | length of the instruction << 24. */
void
soft_h_lxs(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	unsigned seg = t1 & 0xff, reg = (t1 >> 8) & 0xff;
	unsigned size = (t1 >> 16) & 0xff, m = cpu->flags & BF_MMU;
	uint64_t off = soft_ld(cpu, addr, size, m);
	uint16_t sel = (uint16_t)soft_ld(cpu, addr + size, 2, m);

	soft_load_seg(cpu, seg, sel);
	if (size == 2)
		cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffffull) | off;
	else
		cpu->gpr[reg] = off;
	soft_sync_rip(cpu);
	cpu->rip += (t1 >> 24) & 0xff;
	soft_update_mode(cpu);
}

/* ARPL (SDM volume 2): T0 register, or address with bit 8 of T1. */
void
soft_h_arpl(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	unsigned m = cpu->flags & BF_MMU;
	uint64_t src = cpu->gpr[t1 & 15], dst;

	if (cpu->flags & BF_REAL)
		soft_raise(cpu, EXC_UD);
	dst = t1 & 0x100 ? soft_ld(cpu, t0, 2, m) : cpu->gpr[t0] & 0xffff;
	if ((dst & 3) >= (src & 3)) {
		soft_set_zf(cpu, false);
		return;
	}
	dst = (dst & ~3ull) | (src & 3);
	if (t1 & 0x100)
		soft_st(cpu, t0, 2, m, dst);
	else
		cpu->gpr[t0] = (cpu->gpr[t0] & ~0xffffull) | dst;
	soft_set_zf(cpu, true);
}

/* ---- LLDT, LTR ---- */

static void
load_system(struct soft_cpu *cpu, unsigned seg, uint16_t sel, unsigned types)
{
	uint64_t desc, hi;

	if (cpu->flags & BF_REAL)
		soft_raise(cpu, EXC_UD);
	soft_need_cpl0(cpu);
	if ((sel & ~3u) == 0) {
		if (seg == VM_SEG_TR)
			soft_raise_err(cpu, EXC_GP, 0);
		cpu->seg[seg] = (struct vm_seg){ .sel = sel,
			.access = VM_SEG_UNUSABLE };
		return;
	}
	if (sel & 4)
		soft_raise_err(cpu, EXC_GP, sel & ~3u);
	desc = soft_read_desc(cpu, sel, EXC_GP, &hi);
	if (!((types >> ((desc >> 40) & 0x1f)) & 1))
		soft_raise_err(cpu, EXC_GP, sel & ~3u);
	if (!((desc >> 47) & 1))
		soft_raise_err(cpu, EXC_NP, sel & ~3u);
	if (seg == VM_SEG_TR) {
		/* Another processor may have been faster. */
		if (soft_rmw8(cpu,
			cpu->seg[VM_SEG_GDTR].base + (sel & ~7u) + 5,
			TSS_BUSY, 0) & TSS_BUSY)
			soft_raise_err(cpu, EXC_GP, sel & ~3u);
		desc |= (uint64_t)TSS_BUSY << 40;
	}
	soft_set_seg_raw(cpu, seg, sel, desc);
	if (cpu->efer & EFER_LMA)
		cpu->seg[seg].base |= hi << 32;
}

void
soft_h_lldt(struct soft_cpu *cpu, uint64_t sel, uint64_t next)
{
	(void)next;
	load_system(cpu, VM_SEG_LDTR, (uint16_t)sel, 1u << 2);
}

void
soft_h_ltr(struct soft_cpu *cpu, uint64_t sel, uint64_t next)
{
	(void)next;
	load_system(cpu, VM_SEG_TR, (uint16_t)sel,
	    cpu->efer & EFER_LMA ? 1u << 9 : 1u << 9 | 1u << 1);
}

/* ---- storing ---- */

static void
umip(struct soft_cpu *cpu)
{
	if (cpu->cpl > 0 && (cpu->cr4 & CR4_UMIP))
		soft_raise_err(cpu, EXC_GP, 0);
}

/* t0, t1 as store_rm() in special.c makes them. */
static void
store16(struct soft_cpu *cpu, uint64_t t0, uint64_t t1, uint64_t v)
{
	if (t1 & 0x10000)
		soft_st(cpu, t0, 2, cpu->flags & BF_MMU, v & 0xffff);
	else if (t1 == 2)
		cpu->gpr[t0] = (cpu->gpr[t0] & ~0xffffull) | (v & 0xffff);
	else
		cpu->gpr[t0] = t1 == 4 ? (uint32_t)v : v;
}

void
soft_h_sldt(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	umip(cpu);
	store16(cpu, t0, t1, cpu->seg[VM_SEG_LDTR].sel);
}

void
soft_h_str(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	umip(cpu);
	store16(cpu, t0, t1, cpu->seg[VM_SEG_TR].sel);
}

void
soft_h_smsw(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	umip(cpu);
	store16(cpu, t0, t1, cpu->cr0);
}

/* ---- GDTR, IDTR ---- */

static void
load_table(
    struct soft_cpu *cpu, unsigned seg, uint64_t addr, uint64_t width)
{
	unsigned m = cpu->flags & BF_MMU;
	uint64_t base;
	uint32_t limit;

	soft_need_cpl0(cpu);
	limit = (uint32_t)soft_ld(cpu, addr, 2, m);
	if (cpu->flags & BF_CODE64) {
		base = soft_ld(cpu, addr + 2, 8, m);
		if (!soft_canonical_base(cpu, base))
			soft_raise_err(cpu, EXC_GP, 0);
	} else {
		base = soft_ld(cpu, addr + 2, 4, m);
		if (width == 16) /* 24 bits (SDM volume 2, LGDT) */
			base &= 0xffffff;
	}
	cpu->seg[seg].base = base;
	cpu->seg[seg].limit = limit;
}

static void
store_table(struct soft_cpu *cpu, unsigned seg, uint64_t addr)
{
	unsigned size = cpu->flags & BF_CODE64 ? 8 : 4;
	uint8_t buf[10];
	uint16_t limit = (uint16_t)cpu->seg[seg].limit;

	umip(cpu);
	soft_copy(buf, &limit, 2);
	soft_copy(buf + 2, &cpu->seg[seg].base, 8);
	soft_write_va(cpu, addr, buf, 2 + size, cpu->flags & BF_MMU);
}

void
soft_h_lgdt(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	load_table(cpu, VM_SEG_GDTR, addr, t1);
}

void
soft_h_lidt(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	load_table(cpu, VM_SEG_IDTR, addr, t1);
}

void
soft_h_sgdt(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	(void)t1;
	store_table(cpu, VM_SEG_GDTR, addr);
}

void
soft_h_sidt(struct soft_cpu *cpu, uint64_t addr, uint64_t t1)
{
	(void)t1;
	store_table(cpu, VM_SEG_IDTR, addr);
}

/* ---- LAR, LSL, VERR, VERW ---- */

/* Reads a descriptor without raising; false if there is none. */
static bool
peek_desc(struct soft_cpu *cpu, uint16_t sel, uint64_t *desc)
{
	const struct vm_seg *t = table_of(cpu, sel);

	if (cpu->flags & BF_REAL)
		soft_raise(cpu, EXC_UD);
	if ((sel & ~3u) == 0 || (sel & ~7u) + 7 > t->limit ||
	    (t->access & VM_SEG_UNUSABLE))
		return (false);
	*desc = soft_ld(cpu, t->base + (sel & ~7u), 8, MMU_KERNEL);
	return (true);
}

/* Conforming code may be looked at by anyone, all else by privilege. */
static bool
visible(struct soft_cpu *cpu, uint16_t sel, uint64_t desc)
{
	unsigned type = (desc >> 40) & 0x1f, dpl = (desc >> 45) & 3;

	return ((type & 0x1c) == 0x1c ||
	    (dpl >= cpu->cpl && dpl >= (sel & 3u)));
}

static void
lar_lsl(struct soft_cpu *cpu, uint16_t sel, uint64_t t1, bool lsl)
{
	/* Types that LAR and LSL accept (SDM volume 2), system ones low. */
	bool lma = (cpu->efer & EFER_LMA) != 0;
	uint32_t types = lsl ? (lma ? 0xa04u : 0x0a0eu) :
			       (lma ? 0x1a04u : 0x1a3eu);
	uint64_t desc, v;
	unsigned size = (t1 >> 8) & 0xff, reg = t1 & 0xff;

	if (!peek_desc(cpu, sel, &desc) || !visible(cpu, sel, desc) ||
	    (!((desc >> 44) & 1) && !((types >> ((desc >> 40) & 0xf)) & 1))) {
		soft_set_zf(cpu, false);
		return;
	}
	soft_set_zf(cpu, true);
	if (lsl) {
		v = (desc & 0xffff) | ((desc >> 32) & 0xf0000);
		if ((desc >> 55) & 1)
			v = v << 12 | 0xfff;
	} else
		v = (desc >> 32) & 0x00ffff00;
	if (size == 2)
		cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffffull) | (v & 0xffff);
	else
		cpu->gpr[reg] = v;
}

void
soft_h_lar(struct soft_cpu *cpu, uint64_t sel, uint64_t t1)
{
	lar_lsl(cpu, (uint16_t)sel, t1, false);
}

void
soft_h_lsl(struct soft_cpu *cpu, uint64_t sel, uint64_t t1)
{
	lar_lsl(cpu, (uint16_t)sel, t1, true);
}

void
soft_h_verr(struct soft_cpu *cpu, uint64_t sel, uint64_t next)
{
	uint64_t desc;

	(void)next;
	/* Data, or readable code. */
	soft_set_zf(cpu,
	    peek_desc(cpu, (uint16_t)sel, &desc) && ((desc >> 44) & 1) &&
		((desc >> 40) & 0xa) != 8 &&
		visible(cpu, (uint16_t)sel, desc));
}

void
soft_h_verw(struct soft_cpu *cpu, uint64_t sel, uint64_t next)
{
	uint64_t desc;

	(void)next;
	soft_set_zf(cpu,
	    peek_desc(cpu, (uint16_t)sel, &desc) && ((desc >> 44) & 1) &&
		((desc >> 40) & 0xa) == 2 &&
		visible(cpu, (uint16_t)sel, desc));
}

/* ---- FS and GS bases ---- */

void
soft_h_swapgs(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	uint64_t v = cpu->seg[VM_SEG_GS].base;

	(void)t0;
	(void)t1;
	if (!(cpu->flags & BF_CODE64))
		soft_raise(cpu, EXC_UD);
	soft_need_cpl0(cpu);
	cpu->seg[VM_SEG_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = v;
}

/* T0: size << 8 | register, T1: segment. */
void
soft_h_rdbase(struct soft_cpu *cpu, uint64_t t0, uint64_t seg)
{
	if (!(cpu->cr4 & CR4_FSGSBASE) || !(cpu->flags & BF_CODE64))
		soft_raise(cpu, EXC_UD);
	cpu->gpr[t0 & 15] = t0 >> 8 == 4 ? (uint32_t)cpu->seg[seg].base :
					    cpu->seg[seg].base;
}

void
soft_h_wrbase(struct soft_cpu *cpu, uint64_t t0, uint64_t seg)
{
	uint64_t v = cpu->gpr[t0 & 15];

	if (!(cpu->cr4 & CR4_FSGSBASE) || !(cpu->flags & BF_CODE64))
		soft_raise(cpu, EXC_UD);
	if (t0 >> 8 == 4)
		v = (uint32_t)v;
	if (!soft_canonical_base(cpu, v))
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->seg[seg].base = v;
}
