/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String instructions. Intel SDM volume 1, 7.3.9 ("String Operations").
 * With REP whole runs within a page are done by the host's own string
 * instructions. Registers are updated as the guest would see them if an
 * interrupt came in between, and one may. A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/mirror.h"
#include "vmm/soft/soft.h"

enum { K_MOVS, K_STOS, K_LODS, K_CMPS, K_SCAS, K_INS, K_OUTS };

struct str {
	struct soft_cpu *cpu;
	unsigned kind, size, rep, seg, aw, m;
	uint64_t amask;
	int64_t step;
	uint64_t invalidated; /* blocks, when the instruction began */
	/* Flags so far: a fault in the middle leaves those from before the
	 * instruction (SDM volume 2, REP); on AMD's processors, those of the
	 * last iteration. */
	uint32_t fl;
};

static uint64_t
reg(const struct str *s, unsigned r)
{
	return (s->cpu->gpr[r] & s->amask);
}

static void
set_reg(const struct str *s, unsigned r, uint64_t v)
{
	if (s->aw == 16)
		s->cpu->gpr[r] =
		    (s->cpu->gpr[r] & ~0xffffull) | (v & 0xffff);
	else
		s->cpu->gpr[r] = v & s->amask;
}

static uint64_t
linear(const struct str *s, unsigned r, bool write)
{
	return (soft_linear(s->cpu, r == R_DI ? (unsigned)VM_SEG_ES : s->seg,
	    reg(s, r), s->size, write));
}

/* Elements from where r points that its segment allows for sure. */
static uint64_t
allowed(const struct str *s, unsigned r, bool write)
{
	unsigned seg = r == R_DI ? (unsigned)VM_SEG_ES : s->seg;
	int64_t room;

	if ((s->cpu->flags & BF_CODE64) || !(s->cpu->flags & BF_CHECK(seg)))
		return (UINT64_MAX);
	room = s->cpu->seg_lim[seg][write] - (int64_t)reg(s, r) + 1;
	if (room < (int64_t)s->size)
		return (0);
	return (s->step < 0 ? UINT64_MAX : (uint64_t)room / s->size);
}

/* Elements from va to the end of its page in the direction of travel. */
static uint64_t
run(const struct str *s, uint64_t va)
{
	uint64_t off = va & 0xfff;

	if (off + s->size > 0x1000)
		return (0);
	return (s->step > 0 ? (0x1000 - off) / s->size : off / s->size + 1);
}

static void
host_movs(void *dst, const void *src, uint64_t n, unsigned size, bool down)
{
	if (down)
		__asm__ volatile("std" ::: "cc");
	switch (size) {
	case 1:
		__asm__ volatile("rep movsb"
		    : "+D"(dst), "+S"(src), "+c"(n)
		    :
		    : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsw"
		    : "+D"(dst), "+S"(src), "+c"(n)
		    :
		    : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsl"
		    : "+D"(dst), "+S"(src), "+c"(n)
		    :
		    : "memory");
		break;
	default:
		__asm__ volatile("rep movsq"
		    : "+D"(dst), "+S"(src), "+c"(n)
		    :
		    : "memory");
		break;
	}
	if (down)
		__asm__ volatile("cld" ::: "cc");
}

static void
host_stos(void *dst, uint64_t v, uint64_t n, unsigned size, bool down)
{
	if (down)
		__asm__ volatile("std" ::: "cc");
	switch (size) {
	case 1:
		__asm__ volatile("rep stosb"
		    : "+D"(dst), "+c"(n)
		    : "a"(v)
		    : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw"
		    : "+D"(dst), "+c"(n)
		    : "a"(v)
		    : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl"
		    : "+D"(dst), "+c"(n)
		    : "a"(v)
		    : "memory");
		break;
	default:
		__asm__ volatile("rep stosq"
		    : "+D"(dst), "+c"(n)
		    : "a"(v)
		    : "memory");
		break;
	}
	if (down)
		__asm__ volatile("cld" ::: "cc");
}

/* Tells the code cache of n elements written at gpa (travelling). */
static void
wrote(struct str *s, uint64_t gpa, uint64_t n)
{
	uint64_t len = n * s->size;

	if (s->step < 0)
		gpa -= len - s->size;
	if (soft_page_hit(s->cpu->vm, gpa, (unsigned)len))
		soft_invalidate(s->cpu->vm, gpa, len);
}

/* Elements until the register wraps at the address size. */
static uint64_t
until_wrap(const struct str *s, unsigned r)
{
	uint64_t off = reg(s, r);

	if (s->aw == 64)
		return (UINT64_MAX);
	if (s->step < 0)
		return (off / s->size + 1);
	return ((s->amask - off + 1) / s->size);
}

/* MOVS and STOS of up to `max` elements in one page; 0: do one by hand. */
static uint64_t
bulk(struct str *s, uint64_t max)
{
	struct soft_cpu *cpu = s->cpu;
	uint64_t d, src = 0, n = allowed(s, R_DI, true), gpa;
	uint8_t *dp, *sp = NULL;

	if (s->kind == K_MOVS && n > allowed(s, R_SI, false))
		n = allowed(s, R_SI, false);
	if (n == 0)
		return (0);
	d = linear(s, R_DI, true);
	if (n > run(s, d))
		n = run(s, d);
	if (n > max)
		n = max;
	if (n > until_wrap(s, R_DI))
		n = until_wrap(s, R_DI);
	if (s->kind == K_MOVS && n > until_wrap(s, R_SI))
		n = until_wrap(s, R_SI);
	if (s->kind == K_MOVS) {
		src = linear(s, R_SI, false);
		if (run(s, src) < n)
			n = run(s, src);
		if (n == 0)
			return (0);
		/* The source is read first: its fault comes first. */
		sp = soft_translate_va(cpu, src, ACC_R, s->m, NULL);
		if (sp == NULL)
			return (0);
	}
	if (n == 0)
		return (0);
	dp = soft_translate_va(cpu, d, ACC_W, s->m, &gpa);
	if (dp == NULL)
		return (0);
	if (s->kind == K_MOVS)
		host_movs(dp, sp, n, s->size, s->step < 0);
	else
		host_stos(dp, cpu->gpr[R_AX], n, s->size, s->step < 0);
	wrote(s, gpa, n);
	return (n);
}

/* SUB a, b: the six flags, by the host. */
static uint32_t
compare(uint64_t a, uint64_t b, unsigned size)
{
	uint64_t fl;

	a <<= 64 - size * 8;
	b <<= 64 - size * 8;
	__asm__("cmpq %2, %1; pushfq; popq %0"
		: "=r"(fl)
		: "r"(a), "r"(b)
		: "cc");
	/* AF and PF are those of the low byte: compare unshifted for them. */
	a >>= 64 - size * 8;
	b >>= 64 - size * 8;
	{
		uint64_t fl8;

		__asm__("cmpb %b2, %b1; pushfq; popq %0"
			: "=r"(fl8)
			: "q"(a), "q"(b)
			: "cc");
		fl = (fl & ~(FL_AF | FL_PF)) | (fl8 & (FL_AF | FL_PF));
	}
	return ((uint32_t)((fl & 0xd5) << 8 | ((fl >> 11) & 1)));
}

static void
one(struct str *s)
{
	struct soft_cpu *cpu = s->cpu;
	uint64_t mask = s->size == 8 ? ~0ull : (1ull << s->size * 8) - 1, v;
	uint64_t di;
	uint16_t port = (uint16_t)cpu->gpr[R_DX];

	switch (s->kind) {
	case K_MOVS:
		v = soft_ld(cpu, linear(s, R_SI, false), s->size, s->m);
		soft_st(cpu, linear(s, R_DI, true), s->size, s->m, v);
		break;
	case K_STOS:
		soft_st(cpu, linear(s, R_DI, true), s->size, s->m,
		    cpu->gpr[R_AX]);
		break;
	case K_LODS:
		v = soft_ld(cpu, linear(s, R_SI, false), s->size, s->m);
		if (s->size == 8)
			cpu->gpr[R_AX] = v;
		else if (s->size == 4)
			cpu->gpr[R_AX] = (uint32_t)v;
		else
			cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~mask) | v;
		break;
	case K_CMPS:
		v = soft_ld(cpu, linear(s, R_SI, false), s->size, s->m);
		di = linear(s, R_DI, false);
		s->fl = compare(v, soft_ld(cpu, di, s->size, s->m), s->size);
		break;
	case K_SCAS:
		v = soft_ld(cpu, linear(s, R_DI, false), s->size, s->m);
		s->fl = compare(cpu->gpr[R_AX] & mask, v, s->size);
		break;
	case K_INS:
		soft_io_check(cpu, port, s->size);
		di = linear(s, R_DI, true);
		soft_probe_write(cpu, di, s->size, s->m);
		soft_st(cpu, di, s->size, s->m,
		    soft_port_in(cpu, port, s->size));
		break;
	case K_OUTS:
		soft_io_check(cpu, port, s->size);
		v = soft_ld(cpu, linear(s, R_SI, false), s->size, s->m);
		soft_port_out(cpu, port, s->size, (uint32_t)v);
		break;
	}
}

static void
advance(struct str *s, uint64_t n)
{
	int64_t d = s->step * (int64_t)n;

	if (s->kind == K_MOVS || s->kind == K_LODS || s->kind == K_CMPS ||
	    s->kind == K_OUTS)
		set_reg(s, R_SI, reg(s, R_SI) + (uint64_t)d);
	if (s->kind == K_MOVS || s->kind == K_STOS || s->kind == K_CMPS ||
	    s->kind == K_SCAS || s->kind == K_INS)
		set_reg(s, R_DI, reg(s, R_DI) + (uint64_t)d);
	if (s->rep)
		set_reg(s, R_CX, reg(s, R_CX) - n);
}

/* A store may have hit the block that called: its rest is stale then, and of
 * an instruction that was done in part what is left of it. */
static void
leave_if_dead(struct str *s, uint64_t next, bool part)
{
	struct soft_cpu *cpu = s->cpu;
	struct block *b;

	if (cpu->vm->invalidated == s->invalidated)
		return;
	b = soft_block_at(cpu->vm, cpu->host_ret);
	if (b != NULL && soft_block_gone(b)) {
		soft_sync_rip(cpu);
		if (!part || !s->rep || reg(s, R_CX) == 0)
			cpu->rip = next;
		soft_unwind(cpu);
	}
}

/* Maps to the mirror what the instruction was about to access at d and src;
 * what is there already, as far as one can tell, only if all is. */
static void
fill_mirror(const struct str *s, uint64_t d, uint64_t src)
{
	struct soft_cpu *cpu = s->cpu;
	bool has_d = soft_mirror_had(cpu, d);
	bool has_src = s->kind != K_MOVS || soft_mirror_had(cpu, src);

	if (!has_d || has_src)
		soft_mirror_fill(cpu, d, ACC_W, s->m);
	if (s->kind == K_MOVS && (!has_src || has_d))
		soft_mirror_fill(cpu, src, ACC_R, s->m);
}

/* T0: kind | element size << 8 | (1 REP/REPE, 2 REPNE) << 16 | segment << 24
 * | address width << 32 | the mirror does not have it << 40: then MOVS or
 * STOS, of which some elements are enough. T1: next pc. */
void
soft_h_string(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	bool part = (t0 >> 40) & 1;
	uint64_t d = 0, src = 0;
	struct str s = { .cpu = cpu, .kind = t0 & 0xff,
		.size = (t0 >> 8) & 0xff, .rep = (t0 >> 16) & 0xff,
		.seg = (t0 >> 24) & 0xff, .aw = (t0 >> 32) & 0xff,
		.m = cpu->flags & BF_MMU, .fl = cpu->fl,
		.invalidated = cpu->vm->invalidated };
	unsigned spins = 0;
	uint64_t n;

	s.amask = s.aw == 64 ? ~0ull : (1ull << s.aw) - 1;
	s.step = cpu->rflags & FL_DF ? -(int64_t)s.size : s.size;
	if (part) {
		soft_mirror_fault(cpu);
		part = (cpu->flags & BF_MIRROR) != 0;
		d = reg(&s, R_DI); /* flat */
		src = reg(&s, R_SI);
	}
	if (!s.rep) {
		one(&s);
		if (part)
			fill_mirror(&s, d, src);
		advance(&s, 1);
		cpu->fl = s.fl;
		leave_if_dead(&s, next, part);
		return;
	}
	/* Intel's processors write 32-bit registers before they do anything,
	 * AMD's with the first element. */
	if (cpu->vm->intel && s.aw == 32)
		set_reg(&s, R_CX, reg(&s, R_CX)); /* even if that is all */
	if (cpu->vm->intel && s.aw == 32 && reg(&s, R_CX) != 0 &&
	    (s.kind == K_MOVS || s.kind == K_STOS))
		advance(&s, 0); /* as fast strings do, before any fault */
	while ((n = reg(&s, R_CX)) != 0) {
		uint64_t done = 0;

		if ((s.kind == K_MOVS || s.kind == K_STOS) &&
		    !(cpu->flags & (BF_STEP | BF_AC)))
			done = bulk(&s, n);
		if (done == 0) {
			one(&s);
			done = 1;
		}
		advance(&s, done);
		if (part) {
			fill_mirror(&s, d, src);
			break;
		}
		if (s.kind == K_CMPS || s.kind == K_SCAS) {
			bool zf = (s.fl >> 8) & FL_ZF;

			if (!cpu->vm->intel)
				cpu->fl = s.fl;
			if (zf != (s.rep == 1))
				break;
		}
		if ((done > 1 || ++spins % 64 == 0 ||
			(cpu->flags & BF_STEP)) &&
		    reg(&s, R_CX) != 0 && atomic_load(&cpu->poll)) {
			soft_sync_rip(cpu);
			/* SDM volume 3, 17.3.1.1: not the last iteration. */
			cpu->rflags |= FL_RF;
			soft_unwind(cpu);
		}
	}
	cpu->fl = s.fl;
	leave_if_dead(&s, next, part);
}

/* CLZERO (AMD APM volume 3): T0: an address in the line, T1: next pc. */
void
soft_h_clzero(struct soft_cpu *cpu, uint64_t addr, uint64_t next)
{
	static const uint8_t zero[64];

	addr &= ~63ull;
	soft_check_canonical(cpu, addr, 64, false);
	soft_write_va(cpu, addr, zero, 64, cpu->flags & BF_MMU);
	soft_sync_rip(cpu);
	cpu->rip = next;
}
