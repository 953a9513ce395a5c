/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX state. It lives in the host's registers while the guest
 * uses it and moves to cpu->xsave when C code that may use them runs: see
 * docs/soft-engine.md. Intel SDM volume 1, chapter 13 ("Managing State Using
 * the XSAVE Feature Set"). A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

#define X87 1ull
#define SSE 2ull
#define AVX 4ull

#define LEGACY_SIZE 512
#define HEADER_SIZE 64

void
soft_fpu_leave(struct soft_cpu *cpu)
{
	uint64_t m = cpu->xsave_mask;
	uint32_t mxcsr = 0x1f80;

	if (cpu->fpu_out)
		return;
	cpu->fpu_out = 1;
	cpu->stat.fpu_saves++;
	__asm__ volatile("xsave64 %0"
			 : "+m"(cpu->xsave)
			 : "a"((uint32_t)m), "d"((uint32_t)(m >> 32)));
	/* What the C ABI expects. */
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	if (m & AVX)
		__asm__ volatile("vzeroupper");
}

void
soft_fpu_enter(struct soft_cpu *cpu)
{
	uint64_t m = cpu->xsave_mask;

	if (!cpu->fpu_out)
		return;
	cpu->fpu_out = 0;
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(cpu->xsave), "a"((uint32_t)m),
			 "d"((uint32_t)(m >> 32)));
}

void
soft_fpu_init(struct soft_cpu *cpu)
{
	uint32_t mxcsr = 0x1f80;

	for (unsigned i = 0; i < sizeof(cpu->xsave); i++)
		cpu->xsave[i] = 0;
	soft_copy(cpu->xsave + 24, &mxcsr, 4);
	cpu->fpu_out = 1;
}

uint32_t
soft_mxcsr_mask(void)
{
	_Alignas(16) uint8_t image[512];
	uint32_t mask;

	__asm__ volatile("fxsave64 %0" : "=m"(image));
	soft_copy(&mask, image + 28, 4);
	return (mask != 0 ? mask : 0xffbf); /* SDM volume 1, 11.6.6 */
}

/* ---- XCR0 ---- */

void
soft_h_xgetbv(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	uint32_t ecx = (uint32_t)cpu->gpr[R_CX], lo, hi;
	uint64_t v;

	(void)t0;
	(void)t1;
	if (!(cpu->cr4 & CR4_OSXSAVE))
		soft_raise(cpu, EXC_UD);
	if (ecx == 0)
		v = cpu->xcr0;
	else if (ecx == 1) {
		soft_fpu_enter(cpu);
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
		v = ((uint64_t)hi << 32 | lo) & cpu->xcr0;
	} else
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->gpr[R_AX] = (uint32_t)v;
	cpu->gpr[R_DX] = v >> 32;
}

void
soft_h_xsetbv(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint64_t v = (uint32_t)cpu->gpr[R_AX] | cpu->gpr[R_DX] << 32;

	(void)t0;
	if (!(cpu->cr4 & CR4_OSXSAVE))
		soft_raise(cpu, EXC_UD);
	soft_need_cpl0(cpu);
	/* Components come in groups (SDM 13.3). */
	if ((uint32_t)cpu->gpr[R_CX] != 0 || !(v & X87) ||
	    (v & ~cpu->vm->cpuid.xcr0) || ((v & AVX) && !(v & SSE)) ||
	    ((v & 0xe0) != 0 && ((v & 0xe0) != 0xe0 || !(v & AVX))))
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->xcr0 = v;
	cpu->rip = next;
	soft_update_mode(cpu);
}

/* ---- FXSAVE, XSAVE ---- */

static void
check_usable(struct soft_cpu *cpu, bool xsave)
{
	if (xsave && !(cpu->cr4 & CR4_OSXSAVE))
		soft_raise(cpu, EXC_UD);
	if (cpu->cr0 & (CR0_TS | (xsave ? 0 : CR0_EM)))
		soft_raise(cpu, EXC_NM);
}

/* FOP, FIP and FDP in an image are the host's: not for the guest. */
static void
hide_pointers(uint8_t *image)
{
	for (unsigned i = 6; i < 24; i++)
		image[i] = 0;
}

/* Where #AC is on, what is not even a multiple of 4 may have that instead of
 * #GP (SDM volume 2, FXSAVE). */
static void
check_fxsave_align(struct soft_cpu *cpu, uint64_t addr)
{
	if (cpu->flags & BF_AC)
		soft_check_align(cpu, addr, 4);
	if (addr & 15)
		soft_raise_err(cpu, EXC_GP, 0);
}

void
soft_h_fxsave(struct soft_cpu *cpu, uint64_t addr, uint64_t w)
{
	unsigned len = cpu->flags & BF_CODE64 ? 416 : 288;

	(void)w;
	check_usable(cpu, false);
	check_fxsave_align(cpu, addr);
	soft_probe_write(cpu, addr, 512, cpu->flags & BF_MMU);
	soft_fpu_enter(cpu);
	__asm__ volatile("fxsave64 %0" : "=m"(cpu->xbuf));
	hide_pointers(cpu->xbuf);
	soft_write_va(cpu, addr, cpu->xbuf, len, cpu->flags & BF_MMU);
}

static void
check_mxcsr(struct soft_cpu *cpu, const uint8_t *image)
{
	uint32_t mxcsr;

	soft_copy(&mxcsr, image + 24, 4);
	if (mxcsr & ~cpu->vm->mxcsr_mask)
		soft_raise_err(cpu, EXC_GP, 0);
}

/* Where MXCSR is not loaded, it is not looked at: not by us, nor may the
 * host. */
static void
tame_mxcsr(struct soft_cpu *cpu, uint8_t *image)
{
	uint32_t mxcsr;

	soft_copy(&mxcsr, image + 24, 4);
	mxcsr &= cpu->vm->mxcsr_mask;
	soft_copy(image + 24, &mxcsr, 4);
}

void
soft_h_fxrstor(struct soft_cpu *cpu, uint64_t addr, uint64_t w)
{
	uint8_t image[512];

	(void)w;
	check_usable(cpu, false);
	check_fxsave_align(cpu, addr);
	soft_fpu_enter(cpu);
	if (!(cpu->flags & BF_CODE64)) /* XMM8-15 stay (SDM vol. 2) */
		__asm__ volatile("fxsave64 %0" : "=m"(cpu->xbuf));
	soft_read_va(cpu, addr, image, sizeof(image), cpu->flags & BF_MMU);
	soft_copy(cpu->xbuf, image, cpu->flags & BF_CODE64 ? 512 : 288);
	check_mxcsr(cpu, cpu->xbuf);
	soft_fpu_enter(cpu);
	__asm__ volatile("fxrstor64 %0" : : "m"(cpu->xbuf));
}

/* Offset and size of component n in the standard format; size 0: none. */
static void
component(struct soft_cpu *cpu, unsigned n, uint32_t *off, uint32_t *size,
    bool *aligned)
{
	const struct cpuid_policy *p = &cpu->vm->cpuid;

	*off = *size = 0;
	*aligned = false;
	for (unsigned i = 0; i < p->nleaves; i++)
		if (p->leaf[i].leaf == 0xd && p->leaf[i].subleaf == n) {
			*size = p->leaf[i].eax;
			*off = p->leaf[i].ebx;
			*aligned = (p->leaf[i].ecx & 2) != 0;
		}
}

/* Bytes that an image with these components takes. */
static unsigned
image_size(struct soft_cpu *cpu, uint64_t comps, bool compact)
{
	unsigned end = LEGACY_SIZE + HEADER_SIZE;
	uint32_t off, size;
	bool aligned;

	for (unsigned n = 2; n < 63; n++) {
		if (!((comps >> n) & 1))
			continue;
		component(cpu, n, &off, &size, &aligned);
		if (compact) {
			if (aligned)
				end = (end + 63) & ~63u;
			end += size;
		} else if (off + size > end)
			end = off + size;
	}
	return (end);
}

/*
 * Outside 64-bit mode XSAVE and XRSTOR leave the registers alone that 64-bit
 * mode adds (SDM volume 1, 13.5): XMM8 and on, in every component that has a
 * part of them. Which bytes these are, of an image with `comps`.
 */
struct added {
	unsigned n;
	struct {
		unsigned off, len, comp;
	} part[4];
};

static void
find_added(
    struct soft_cpu *cpu, uint64_t comps, bool compact, struct added *a)
{
	unsigned end = LEGACY_SIZE + HEADER_SIZE, skip;
	uint32_t off, size;
	bool aligned;

	a->n = 0;
	if (comps & SSE) {
		a->part[a->n].off = 288;
		a->part[a->n].len = 128;
		a->part[a->n++].comp = 1;
	}
	for (unsigned n = 2; n < 63; n++) {
		if (!((comps >> n) & 1))
			continue;
		component(cpu, n, &off, &size, &aligned);
		if (compact) {
			if (aligned)
				end = (end + 63) & ~63u;
			off = end;
			end += size;
		}
		if (n != 2 && n != 6 && n != 7)
			continue;
		skip = n == 7 ? 0 : size / 2;
		a->part[a->n].off = off + skip;
		a->part[a->n].len = size - skip;
		a->part[a->n++].comp = n;
	}
}

/* Stores an image, without those parts where they are to be left alone. */
static void
write_image(struct soft_cpu *cpu, uint64_t addr, unsigned len, uint64_t comps,
    bool compact)
{
	unsigned m = cpu->flags & BF_MMU, at = 0;
	struct added a;

	a.n = 0;
	if (!(cpu->flags & BF_CODE64))
		find_added(cpu, comps, compact, &a);
	for (unsigned i = 0; i < a.n; i++) {
		soft_write_va(cpu, addr + at, cpu->xbuf + at,
		    a.part[i].off - at, m);
		at = a.part[i].off + a.part[i].len;
	}
	soft_write_va(cpu, addr + at, cpu->xbuf + at, len - at, m);
}

/* A component that is in its initial configuration becomes real: zeroes. */
static void
touch(struct soft_cpu *cpu, unsigned n)
{
	uint64_t *bv = (uint64_t *)(void *)(cpu->xsave + LEGACY_SIZE);
	uint32_t off = 160, size = 256;
	bool aligned;

	if ((*bv >> n) & 1)
		return;
	if (n != 1)
		component(cpu, n, &off, &size, &aligned);
	for (unsigned i = 0; i < size; i++)
		cpu->xsave[off + i] = 0;
	*bv |= 1ull << n;
}

/* Loads cpu->xbuf, but for those parts: these come through in memory. */
static void
load_image(struct soft_cpu *cpu, uint64_t rfbm)
{
	uint8_t keep[128 + 128 + 256 + 1024];
	unsigned at = 0;
	struct added a;

	a.n = 0;
	if (!(cpu->flags & BF_CODE64)) {
		soft_fpu_enter(cpu);
		soft_fpu_leave(cpu);
		find_added(cpu, rfbm & cpu->xsave_mask, false, &a);
	}
	for (unsigned i = 0; i < a.n; i++) {
		touch(cpu, a.part[i].comp);
		soft_copy(keep + at, cpu->xsave + a.part[i].off,
		    a.part[i].len);
		at += a.part[i].len;
	}
	soft_fpu_enter(cpu);
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(cpu->xbuf), "a"((uint32_t)rfbm),
			 "d"((uint32_t)(rfbm >> 32)));
	if (a.n == 0)
		return;
	soft_fpu_leave(cpu);
	at = 0;
	for (unsigned i = 0; i < a.n; i++) {
		touch(cpu, a.part[i].comp);
		soft_copy(cpu->xsave + a.part[i].off, keep + at,
		    a.part[i].len);
		at += a.part[i].len;
	}
}

/* The linear address of an image of len bytes at an offset: #GP(0) if it is
 * not aligned, or #GP(0) or #SS(0) if the segment has not got them all. */
static uint64_t
image_addr(struct soft_cpu *cpu, uint64_t off, uint64_t kind, unsigned len,
    bool write)
{
	unsigned seg = (kind >> 16) & 0xff;
	uint64_t base = cpu->seg[seg].base;

	if ((cpu->flags & BF_CODE64) && seg < VM_SEG_FS)
		base = 0;
	if ((off + base) & 63)
		soft_raise_err(cpu, EXC_GP, 0);
	return (soft_linear(cpu, seg, off, len, write));
}

/* kind: X_SAVE 0, X_OPT 1, X_C 2, X_S 3 of special.c, and the segment in bits
 * 23:16. IA32_XSS is 0, so that
 * XSAVES is XSAVEC for the supervisor. */
void
soft_h_xsave(struct soft_cpu *cpu, uint64_t off, uint64_t kind)
{
	uint64_t rfbm = ((uint32_t)cpu->gpr[R_AX] | cpu->gpr[R_DX] << 32) &
	    cpu->xcr0;
	unsigned m = cpu->flags & BF_MMU, len;
	bool compact = (kind & 0xff) >= 2;
	uint64_t addr;

	check_usable(cpu, true);
	if ((kind & 0xff) == 3)
		soft_need_cpl0(cpu);
	len = image_size(cpu, rfbm, compact);
	addr = image_addr(cpu, off, kind, len, true);
	soft_probe_write(cpu, addr, len, m);
	/* What the instruction leaves alone stays as it is in memory. */
	soft_read_va(cpu, addr, cpu->xbuf, len, m);
	soft_fpu_enter(cpu);
	/* The modified optimization knows addresses, and ours is not the
	 * guest's: XSAVEOPT saves all that is in use. */
	if (compact)
		__asm__ volatile("xsavec64 %0"
				 : "+m"(cpu->xbuf)
				 : "a"((uint32_t)rfbm),
				 "d"((uint32_t)(rfbm >> 32)));
	else
		__asm__ volatile("xsave64 %0"
				 : "+m"(cpu->xbuf)
				 : "a"((uint32_t)rfbm),
				 "d"((uint32_t)(rfbm >> 32)));
	if (rfbm & X87)
		hide_pointers(cpu->xbuf);
	write_image(cpu, addr, len, rfbm, compact);
}

void
soft_h_xrstor(struct soft_cpu *cpu, uint64_t off, uint64_t kind)
{
	uint64_t rfbm = ((uint32_t)cpu->gpr[R_AX] | cpu->gpr[R_DX] << 32) &
	    cpu->xcr0;
	unsigned m = cpu->flags & BF_MMU, len;
	uint64_t bv, comp, hdr[8], addr;
	bool compact, supervisor = (kind & 0xff) == 3;

	check_usable(cpu, true);
	if (supervisor)
		soft_need_cpl0(cpu);
	addr = image_addr(cpu, off, kind, LEGACY_SIZE + HEADER_SIZE, false);
	soft_read_va(cpu, addr, cpu->xbuf, LEGACY_SIZE + HEADER_SIZE, m);
	soft_copy(hdr, cpu->xbuf + LEGACY_SIZE, sizeof(hdr));
	bv = hdr[0];
	comp = hdr[1];
	compact = (comp >> 63) != 0;
	/* SDM volume 1, 13.8: what the header may not say. */
	if (compact ? ((comp & ~(1ull << 63)) & ~cpu->xcr0) ||
		    (bv & ~comp) || hdr[2] || hdr[3] || hdr[4] || hdr[5] ||
		    hdr[6] || hdr[7] :
		      supervisor || comp != 0 || hdr[2] != 0 ||
		    (bv & ~cpu->xcr0))
		soft_raise_err(cpu, EXC_GP, 0);
	len = compact ? image_size(cpu, comp & ~(1ull << 63), true) :
			image_size(cpu, rfbm & bv, false);
	addr = image_addr(cpu, off, kind, len, false);
	soft_read_va(cpu, addr + 576, cpu->xbuf + 576, len - 576, m);
	if (compact ? (rfbm & bv & SSE) : (rfbm & (SSE | AVX)))
		check_mxcsr(cpu, cpu->xbuf);
	tame_mxcsr(cpu, cpu->xbuf);
	load_image(cpu, rfbm);
}

/*
 * FNSTENV, FNSAVE, FLDENV, FRSTOR: 0, 1, 2, 3; bit 4: 16-bit format. Format:
 * SDM volume 1, figures 8-9 to 8-12.
 */
void
soft_h_fenv(struct soft_cpu *cpu, uint64_t addr, uint64_t kind)
{
	bool small = (kind & 0x10) != 0;
	unsigned env = small ? 14 : 28, len, m = cpu->flags & BF_MMU;
	uint8_t *b = cpu->xbuf;

	kind &= 3;
	len = kind & 1 ? env + 80 : env;
	if (cpu->flags & BF_AC) /* SDM volume 3, table 6-7 */
		soft_check_align(cpu, addr, small ? 2 : 4);
	if (kind >= 2) {
		soft_read_va(cpu, addr, b, len, m);
		soft_fpu_enter(cpu);
		if (small && kind == 2)
			__asm__ volatile("data16 fldenv %0" : : "m"(cpu->xbuf));
		else if (small)
			__asm__ volatile("data16 frstor %0" : : "m"(cpu->xbuf));
		else if (kind == 2)
			__asm__ volatile("fldenv %0" : : "m"(cpu->xbuf));
		else
			__asm__ volatile("frstor %0" : : "m"(cpu->xbuf));
		return;
	}
	soft_probe_write(cpu, addr, len, m);
	soft_fpu_enter(cpu);
	if (small && kind == 0)
		__asm__ volatile("data16 fnstenv %0" : "=m"(cpu->xbuf));
	else if (small)
		__asm__ volatile("data16 fnsave %0" : "=m"(cpu->xbuf));
	else if (kind == 0)
		__asm__ volatile("fnstenv %0" : "=m"(cpu->xbuf));
	else
		__asm__ volatile("fnsave %0" : "=m"(cpu->xbuf));
	/* FIP, FCS and opcode, FDP, FDS; FDS's upper half is ones. */
	if (small)
		for (unsigned i = 6; i < 14; i++)
			b[i] = 0;
	else
		for (unsigned i = 12; i < 26; i++)
			b[i] = 0;
	soft_write_va(cpu, addr, b, len, m);
}
