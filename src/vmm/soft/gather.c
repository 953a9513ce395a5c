/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gathers and scatters: as many addresses as elements, each of which may
 * fault with the elements before it done. Done one by one on the state in
 * memory. Intel SDM volume 2, VPGATHERDD and VPSCATTERDD. A light file, see
 * soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

struct gather {
	struct soft_cpu *cpu;
	unsigned reg, index, mask, elem, ielem, n, vl, base, scale, aw, seg;
	bool evex, scatter;
	int32_t disp;
};

/* Where component c of the standard XSAVE format lies. */
static uint8_t *
comp(struct soft_cpu *cpu, unsigned c)
{
	const struct cpuid_policy *p = &cpu->vm->cpuid;

	for (unsigned i = 0; i < p->nleaves; i++)
		if (p->leaf[i].leaf == 0xd && p->leaf[i].subleaf == c)
			return (cpu->xsave + p->leaf[i].ebx);
	return (cpu->xsave);
}

/* Makes a component real: zeroes if it is in its initial configuration. */
static void
touch(struct soft_cpu *cpu, unsigned c, unsigned size)
{
	uint64_t *bv = (uint64_t *)(void *)(cpu->xsave + 512);
	uint8_t *p = c == 1 ? cpu->xsave + 160 : comp(cpu, c);

	if ((*bv >> c) & 1)
		return;
	for (unsigned i = 0; i < size; i++)
		p[i] = 0;
	*bv |= 1ull << c;
}

/* Byte i of vector register r. */
static uint8_t *
vbyte(struct soft_cpu *cpu, unsigned r, unsigned i)
{
	if (r >= 16)
		return (comp(cpu, 7) + (r - 16) * 64 + i);
	if (i < 16)
		return (cpu->xsave + 160 + r * 16 + i);
	if (i < 32)
		return (comp(cpu, 2) + r * 16 + (i - 16));
	return (comp(cpu, 6) + r * 32 + (i - 32));
}

static uint64_t
vget(struct soft_cpu *cpu, unsigned r, unsigned n, unsigned size)
{
	uint64_t v = 0;

	soft_copy(&v, vbyte(cpu, r, n * size), size);
	return (v);
}

static void
vput(struct soft_cpu *cpu, unsigned r, unsigned n, unsigned size, uint64_t v)
{
	soft_copy(vbyte(cpu, r, n * size), &v, size);
}

static bool
selected(const struct gather *g, unsigned i)
{
	uint64_t k;

	if (!g->evex)
		return (vget(g->cpu, g->mask, i, g->elem) >>
			(g->elem * 8 - 1) & 1);
	soft_copy(&k, comp(g->cpu, 5) + g->mask * 8, 8);
	return ((k >> i) & 1);
}

static void
deselect(const struct gather *g, unsigned i)
{
	uint64_t k;

	if (!g->evex) {
		vput(g->cpu, g->mask, i, g->elem, 0);
		return;
	}
	soft_copy(&k, comp(g->cpu, 5) + g->mask * 8, 8);
	k &= ~(1ull << i);
	soft_copy(comp(g->cpu, 5) + g->mask * 8, &k, 8);
}

static uint64_t
address(const struct gather *g, unsigned i, bool write)
{
	struct soft_cpu *cpu = g->cpu;
	uint64_t ix = vget(cpu, g->index, i, g->ielem), va;

	if (g->ielem == 4)
		ix = (uint64_t)(int32_t)ix;
	va = ix * g->scale + (uint64_t)(int64_t)g->disp;
	if (g->base < 16)
		va += cpu->gpr[g->base];
	if (g->aw == 32)
		va = (uint32_t)va;
	if (!(cpu->flags & BF_CODE64))
		va = (uint32_t)va;
	return (soft_linear(cpu, g->seg, va, g->elem, write));
}

/* Zeroes bytes from..63 of a register, as every VEX and EVEX write does. */
static void
zero_above(struct soft_cpu *cpu, unsigned r, unsigned from)
{
	unsigned end = cpu->vm->cpuid.xcr0 & 0x40 ? 64 : 32;

	for (; from < end; from++)
		*vbyte(cpu, r, from) = 0;
}

/*
 * T0: register 4:0, index 9:5, mask 14:10, element size 18:15, index size
 * 22:19, elements 27:23, vector bytes 35:29, base 40:36, scale 44:41, segment
 * 47:45, address width 32 48, EVEX 49, scatter 50. T1: displacement.
 */
void
soft_h_gather(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	struct gather g = { .cpu = cpu, .reg = t0 & 31,
		.index = (t0 >> 5) & 31, .mask = (t0 >> 10) & 31,
		.elem = (t0 >> 15) & 15, .ielem = (t0 >> 19) & 15,
		.n = (t0 >> 23) & 31, .vl = (t0 >> 29) & 127,
		.base = (t0 >> 36) & 31, .scale = (t0 >> 41) & 15,
		.seg = (t0 >> 45) & 7, .aw = (t0 >> 48) & 1 ? 32 : 64,
		.evex = (t0 >> 49) & 1, .scatter = (t0 >> 50) & 1,
		.disp = (int32_t)t1 };
	unsigned m = cpu->flags & BF_MMU;
	uint64_t v;

	soft_fpu_enter(cpu);
	soft_fpu_leave(cpu);
	touch(cpu, 1, 256);
	touch(cpu, 2, 256);
	if (cpu->vm->cpuid.xcr0 & 0x40) {
		touch(cpu, 5, 64);
		touch(cpu, 6, 512);
		touch(cpu, 7, 1024);
	}
	if (!g.evex && cpu->vm->intel) {
		/* Only the sign of a mask element counts. Where a fault shows
		 * the mask, Intel's processors have made it ones and zeroes;
		 * AMD's have cleared what is done and left the rest. */
		for (unsigned i = 0; i < g.n; i++)
			vput(cpu, g.mask, i, g.elem,
			    selected(&g, i) ? ~0ull : 0);
		zero_above(cpu, g.mask, g.n * g.elem < 16 ? 16 : g.n * g.elem);
	}
	for (unsigned i = 0; i < g.n; i++) {
		if (!selected(&g, i)) {
			deselect(&g, i);
			continue;
		}
		if (g.scatter) {
			v = vget(cpu, g.reg, i, g.elem);
			/* Never #AC (SDM volume 2), unlike soft_st(). */
			soft_write_va(
			    cpu, address(&g, i, true), &v, g.elem, m);
		} else {
			v = 0;
			soft_read_va(
			    cpu, address(&g, i, false), &v, g.elem, m);
			vput(cpu, g.reg, i, g.elem, v);
		}
		deselect(&g, i);
	}
	if (!g.scatter)
		zero_above(cpu, g.reg, g.n * g.elem);
	if (g.evex) {
		v = 0;
		soft_copy(comp(cpu, 5) + g.mask * 8, &v, 8);
	} else
		zero_above(cpu, g.mask, 0);
}
