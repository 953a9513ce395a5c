/* SPDX-License-Identifier: BSD-2-Clause */
/* The state that a fuzzed machine begins in, sound or not. */
#include "softvm_priv.h"

#include <string.h>

static bool
user(const struct sv *s)
{
	unsigned mode = sv_mode(s->h);

	return (mode == SV_V86 ||
	    ((s->h->mode & M_USER) != 0 && mode != SV_REAL));
}

static bool
wide(const struct sv *s)
{
	return (sv_mode(s->h) == SV_LONG || sv_mode(s->h) == SV_COMPAT);
}

static void
put(struct sv *s, uint64_t gpa, const void *p, size_t len)
{
	FUZZ_CHECK(gmem_write(s->gm, gpa, p, len) == 0);
}

static void
put64(struct sv *s, uint64_t gpa, uint64_t v)
{
	put(s, gpa, &v, 8);
}

/* An address, more or less likely to be good. */
static uint64_t
address(struct sv *s)
{
	uint64_t r = sv_rnd(s), low = r >> 32 & 0x3f;

	switch (r & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		return (DATA + (r >> 8 & 0xfff8));
	case 4:
	case 5: /* across a page or a line */
		return (DATA + (r >> 8 & 0xf000) + 0x1000 - low);
	case 6:
		return (DATA + (r >> 8 & 0xffc0) + 0x40 - (low & 15));
	case 7:
		return ((r & 0x30 ? SV_CODE : LIN_ROM) + (r >> 8 & 0x1fff));
	case 8:
		return (LIN_ALIAS + (r >> 8 & 0x3ffff));
	case 9:
		return (LIN_IO + (r >> 8 & 0x1ffffff));
	case 10:
		return (LIN_APIC + (r >> 8 & 0xff0));
	case 11:
		return (TABLES + (r >> 8 & 0x8fff));
	case 12:
		return (RAM - low);
	case 13:
		return ((r & 16 ? 0x800000000000ull : 0x100000000ull) - low);
	case 14:
		return (low - 32);
	default:
		return (sv_rnd(s));
	}
}

static uint64_t
number(struct sv *s)
{
	uint64_t r = sv_rnd(s);

	switch (r & 3) {
	case 0:
		return (r >> 8 & 0xff);
	case 1:
		return (1ull << (r >> 8 & 63));
	case 2:
		return (sv_rnd(s));
	default:
		return (address(s));
	}
}

/* An entry of a page table, sound or not. */
static uint64_t
entry(struct sv *s, uint64_t e)
{
	uint64_t r = sv_rnd(s);

	switch (r & 15) {
	case 0:
		return (e & ~P);
	case 1:
		return (e & ~W);
	case 2:
		return (e & ~U);
	case 3:
		return (e ^ PS);
	case 4:
		return (e | NX);
	case 5:
		return ((e & 0xfff) | TABLES | (r >> 8 & 0xf000));
	case 6: /* beyond memory, or what no address may be */
		return ((e & 0xfff) | (1ull << (20 + (r >> 8) % 44)));
	case 7:
		return ((e & 0xfff) | (r & 16 ? RAM - 0x1000 :
					       ROM + (r >> 8 & 0xf000)));
	case 8:
		return (sv_rnd(s));
	case 9:
		return (e | 0x1e0); /* A D PS G */
	case 10:
		return ((e & 0xfff) | SV_CODE);
	default:
		return (e ^ (1ull << (r >> 8 & 63)));
	}
}

/*
 * Every kind of paging over the same linear space: 4-level at TABLES, PAE
 * at +6000, 32-bit at +7000, 5-level at +a000.
 */
static void
page_tables(struct sv *s)
{
	const uint64_t t = TABLES;
	uint32_t e32;
	uint64_t e;

	put64(s, t, (t + 0x1000) | P | W | U);
	put64(s, t + 8 * 511, t | P | W); /* to itself */
	for (unsigned i = 0; i < 3; i++)
		put64(s, t + 0x1000 + 8 * i, (t + 0x2000 + 0x1000 * i) | P |
			W | U);
	put64(s, t + 0x2000, (t + 0x5000) | P | W | U);
	put64(s, t + 0x2008, (t + 0x8000) | P | W | U);
	for (unsigned i = 0; i < 16; i++)
		put64(s, t + 0x3000 + 8 * i, (0xd0000000u + i * 0x200000u) |
			P | W | U | PS);
	put64(s, t + 0x4000, 0xfee00000u | P | W | U | PS);
	put64(s, t + 0x4008, (ROM & ~0x1fffffull) | P | W | U | PS);
	put64(s, t + 0xa000, t | P | W | U);
	put64(s, t + 0xa000 + 8 * 511, (t + 0xa000) | P | W);
	for (unsigned i = 0; i < 512; i++) {
		put64(s, t + 0x5000 + 8 * i, i * 4096ull | P | W | U);
		e = i * 4096ull | P | W | U;
		put64(s, t + 0x8000 + 8 * i,
		    sv_chance(s, 30) ? entry(s, e) : e);
	}
	for (unsigned i = 0; i < 3; i++)
		put64(s, t + 0x6000 + 8 * i, (t + 0x2000 + 0x1000 * i) | P);
	/* 4 MiB by small pages, then large ones. */
	for (unsigned i = 0; i < 1024; i++) {
		e32 = i << 12 | (uint32_t)(P | W | U);
		put(s, t + 0x9000 + 4 * i, &e32, 4);
		e32 = i << 22 | (uint32_t)(P | W | U | PS);
		if (i == 0)
			e32 = (uint32_t)(t + 0x9000) | (uint32_t)(P | W | U);
		put(s, t + 0x7000 + 4 * i, &e32, 4);
	}
	if ((s->h->wild & W_PAGES) == 0)
		return;
	for (uint64_t n = 1 + sv_rnd(s) % 24; n > 0; n--) {
		uint64_t at = t + sv_rnd(s) % 11 * 0x1000 + (sv_chance(s, 60) ?
			8 * (sv_rnd(s) & 63) : sv_rnd(s) & 0xff8);

		FUZZ_CHECK(gmem_read(s->gm, at, &e, 8) == 0);
		put64(s, at, entry(s, e));
	}
	if (sv_chance(s, 90))
		return;
	/* Or a whole table of anything. */
	e = t + sv_rnd(s) % 11 * 0x1000;
	for (unsigned i = 0; i < 4096; i += 8)
		put64(s, e + i, sv_chance(s, 50) ? sv_rnd(s) :
			entry(s, (t + (sv_rnd(s) & 0xf000)) | P | W | U));
}

static uint64_t
descriptor(uint32_t base, uint32_t limit, unsigned access)
{
	return ((limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	    (uint64_t)(access & 0xf0ff) << 40 |
	    (uint64_t)(limit >> 16 & 15) << 48 |
	    (uint64_t)(base >> 24) << 56);
}

static void
gate(struct sv *s, unsigned vector)
{
	uint64_t rip = STUBS + 16 * vector, d[2] = { 0, 0 };
	unsigned type = sv_chance(s, 80) ? 14 : 15, sel = 8, dpl = 3;
	bool w = wide(s);

	if ((s->h->wild & W_IDT) != 0 && sv_chance(s, 20)) {
		type = (unsigned)sv_rnd(s) & 31;
		sel = (unsigned)sv_rnd(s) & 0x7f;
		dpl = (unsigned)sv_rnd(s) & 3;
		if (sv_chance(s, 10))
			rip = address(s);
	}
	if (!w && sv_chance(s, 5))
		type &= ~8u; /* a 16-bit gate */
	if (!w && sv_chance(s, 3)) {
		type = 5; /* a task gate */
		sel = sv_chance(s, 50) ? 0x48 : 0x50;
	}
	d[0] = (rip & 0xffff) | (uint64_t)sel << 16 |
	    (uint64_t)(0x80 | type | dpl << 5) << 40 |
	    (rip >> 16 & 0xffff) << 48;
	if (w) {
		d[0] |= (sv_chance(s, 30) ? sv_rnd(s) & 7 : 0) << 32;
		d[1] = rip >> 32;
	}
	put(s, IDT + (w ? 16 : 8) * vector, d, w ? 16 : 8);
}

/* A TSS to switch to, 32-bit at TASKS and 16-bit behind (SDM volume 3, 7.2). */
static void
tasks(struct sv *s)
{
	uint32_t t32[26] = { 0 };
	uint16_t t16[22] = { 0 };

	t32[1] = STACK;
	t32[2] = 0x10;
	t32[7] = sv_chance(s, 80) ? (uint32_t)(TABLES + 0x6000) :
				    (uint32_t)address(s);
	t32[8] = SV_CODE + (uint32_t)(sv_rnd(s) & 0x7f);
	t32[9] = 2 | ((uint32_t)sv_rnd(s) & (sv_chance(s, 80) ? 0x8d5 : ~0u));
	for (unsigned i = 10; i < 18; i++)
		t32[i] = (uint32_t)address(s);
	for (unsigned i = 18; i < 24; i++)
		t32[i] = sv_chance(s, 90) ? 0x10 : (uint16_t)sv_rnd(s) & 0x7f;
	t32[19] = 8;
	t32[24] = sv_chance(s, 50) ? 0x70 : 0; /* LDT */
	t32[25] = 104u << 16 | (uint32_t)sv_chance(s, 10);
	put(s, TASKS, t32, sizeof(t32));
	t16[1] = STACK;
	t16[2] = 0x10;
	t16[7] = (uint16_t)STUBS;
	t16[8] = 2 | ((uint16_t)sv_rnd(s) & 0x8d5);
	for (unsigned i = 9; i < 17; i++)
		t16[i] = (uint16_t)sv_rnd(s);
	for (unsigned i = 17; i < 21; i++)
		t16[i] = 0x10;
	t16[18] = 8;
	put(s, TASKS + 0x400, t16, sizeof(t16));
}

/* What else a GDT may have in it, of which the program has the selectors. */
static uint64_t
any_descriptor(struct sv *s)
{
	uint64_t r = sv_rnd(s);
	unsigned dpl = r >> 16 & 3;

	switch (r & 7) {
	case 0: /* call gates */
	case 1:
		return ((STUBS + (r >> 8 & 0xff0)) |
		    (r & 0x100000 ? 8ull : 0x40) << 16 |
		    (uint64_t)(0x80 | dpl << 5 | (r & 0x80000 ? 12 : 4)) << 40 |
		    (r >> 60 & 7) << 32);
	case 2: /* a task gate */
		return (0x48ull << 16 | (uint64_t)(0x85 | dpl << 5) << 40);
	case 3: /* code, conforming or not; data, expanding down or not */
		return (descriptor((uint32_t)address(s) & 0xfffff,
		    (uint32_t)(r >> 32) & 0xfffff,
		    0x90 | dpl << 5 | (r >> 56 & 15) |
			(sv_chance(s, 80) ? 0x4000 : 0) |
			(sv_chance(s, 50) ? 0x8000 : 0)));
	case 4: /* flat, any privilege */
		return (descriptor(
		    0, 0xfffff, 0xc093 | dpl << 5 | (r >> 56 & 12)));
	default:
		return (descriptor((uint32_t)address(s), (uint32_t)sv_rnd(s),
		    (unsigned)sv_rnd(s) & 0xf0ff));
	}
}

static void
gdt(struct sv *s)
{
	const unsigned code = wide(s) ? 0xa09b : 0xc09b;
	uint64_t d[32] = { 0, descriptor(0, 0xfffff, code),
		descriptor(0, 0xfffff, 0xc093),
		descriptor(0, 0xfffff, 0xc0fb),
		descriptor(0, 0xfffff, 0xc0f3),
		descriptor(0, 0xfffff, wide(s) ? 0xa0fb : 0xc0fb),
		descriptor(TSS, 0x2067, 0x8b), 0,
		descriptor(SV_CODE, 0xffff, 0x9b),
		descriptor(TASKS, 0x67, 0x89), /* 48 */
		descriptor(TASKS + 0x400, 0x2b, 0x81),
		descriptor(DATA, 0xffff, 0x93),
		STUBS | 8u << 16 | 0xecull << 40, 0,
		descriptor(LDT, 0xff, 0x82) /* 70 */, 0 };

	for (unsigned i = 16; i < 32; i++)
		d[i] = any_descriptor(s);
	if ((s->h->wild & W_GDT) != 0)
		for (uint64_t n = sv_rnd(s) % 8; n > 0; n--)
			d[sv_rnd(s) & 31] ^= 1ull << (sv_rnd(s) & 63);
	put(s, GDT, d, sizeof(d));
	for (unsigned i = 0; i < 32; i++)
		put64(s, LDT + 8 * i, any_descriptor(s));
}

static void
system_tables(struct sv *s)
{
	static const uint8_t stubs[8][8] = {
		{ 0x48, 0xcf }, { 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf },
		{ 0xcf }, { 0xf4, 0xeb, 0xfd }, { 0xeb, 0xfe },
		{ 0x58, 0x58, 0xc3 }, { 0x83, 0xc4, 0x04, 0xcf },
		{ 0x0f, 0x01, 0xf8, 0x48, 0xcf },
	};
	uint8_t tss[104] = { 0 };
	uint64_t v;
	uint32_t ivt;

	gdt(s);
	tasks(s);
	for (unsigned i = 0; i < 12; i++) {
		v = (s->h->wild & W_TSS) != 0 && sv_chance(s, 30) ? number(s) :
								     STACK;
		memcpy(tss + 4 + 8 * i, &v, 8);
	}
	if (!wide(s)) {
		/* ESP and SS of rings 0 to 2 in a 32-bit TSS. */
		for (unsigned i = 0; i < 3; i++) {
			v = STACK | (0x10ull | i) << 32;
			memcpy(tss + 4 + 8 * i, &v, 8);
		}
		v = sv_chance(s, 50) ? 0x48 : sv_rnd(s) & 0x7f;
		memcpy(tss, &v, 2); /* whom an IRET with NT goes back to */
	}
	v = 104;
	memcpy(tss + 102, &v, 2);
	put(s, TSS, tss, sizeof(tss));
	for (unsigned i = 0; i < 256; i++) {
		put(s, STUBS + 16 * i, stubs[sv_rnd(s) & 7], 8);
		gate(s, i);
		ivt = STUBS + 16 * i;
		/* A real-mode vector: where the 64-bit tables do not lie. */
		put(s, 4 * i, &ivt, 4);
	}
}

static void
set_seg(struct sv *s, enum vm_segreg seg, uint64_t base, uint32_t limit,
    uint32_t access, uint16_t sel)
{
	struct vm_seg v = { .base = base, .limit = limit, .access = access,
		.sel = sel };

	FUZZ_CHECK(vcpu_set_seg(sv_vcpu(s), seg, &v) == 0);
}

/* A data segment that a guest could have loaded. */
static void
wild_seg(struct sv *s, enum vm_segreg seg, unsigned dpl)
{
	uint32_t access = 0xc093 | dpl << 5, limit = 0xffffffff;
	uint64_t base = 0;

	if (sv_chance(s, 40))
		return;
	if (sv_chance(s, 30))
		base = (uint32_t)address(s);
	if ((seg == VM_SEG_FS || seg == VM_SEG_GS) && sv_chance(s, 30)) {
		base = address(s);
		base = (uint64_t)((int64_t)(base << 16) >> 16);
	}
	if (sv_chance(s, 30))
		limit = sv_chance(s, 50) ? (uint32_t)sv_rnd(s) & 0xfffff :
					(uint32_t)address(s) | 0xfff;
	if (sv_chance(s, 20))
		access |= 4; /* down */
	if (seg != VM_SEG_SS && sv_chance(s, 20))
		access &= ~2u; /* read-only */
	if (sv_chance(s, 20))
		access &= ~VM_SEG_DB;
	if (seg != VM_SEG_SS && sv_chance(s, 15))
		access = VM_SEG_UNUSABLE;
	set_seg(s, seg, base, limit, access, (uint16_t)(0x10 | dpl));
}

static void
segments(struct sv *s, unsigned mode)
{
	unsigned dpl = user(s) ? 3 : 0;
	uint32_t code = 0xc09b | dpl << 5, data = 0xc093 | dpl << 5;
	uint32_t limit = 0xffffffff;
	uint64_t base = 0;

	if (mode == SV_LONG)
		code = 0xa09b | dpl << 5;
	if (mode == SV_PROT16)
		code &= ~(VM_SEG_DB | VM_SEG_G);
	if (mode == SV_REAL || mode == SV_V86) {
		code = data = mode == SV_V86 ? 0xf3 : 0x93;
		limit = 0xffff;
		base = SV_CODE;
	}
	set_seg(s, VM_SEG_CS, base, mode == SV_PROT16 ? 0xfffff : limit, code,
	    (uint16_t)(base != 0 ? base >> 4 : dpl ? 0x2b : 8));
	for (unsigned i = 0; i < VM_SEG_LDTR; i++)
		if (i != VM_SEG_CS)
			set_seg(s, (enum vm_segreg)i, base, limit, data,
			    (uint16_t)(base != 0 ? base >> 4 :
				    dpl		 ? 0x23 :
						   0x10));
	if (sv_chance(s, 50))
		set_seg(s, VM_SEG_LDTR, 0, 0, VM_SEG_UNUSABLE, 0);
	else
		set_seg(s, VM_SEG_LDTR, LDT, 0xff, 0x82, 0x70);
	set_seg(s, VM_SEG_TR, TSS, 0x2067, 0x8b, 0x30);
	set_seg(s, VM_SEG_GDTR, GDT, 255, 0, 0);
	set_seg(s, VM_SEG_IDTR, mode == SV_REAL ? 0 : IDT,
	    mode == SV_REAL ? 1023 : 4095, 0, 0);
	if ((s->h->wild & W_SEG) == 0 || base != 0)
		return;
	for (unsigned i = 0; i < VM_SEG_LDTR; i++)
		if (i != VM_SEG_CS)
			wild_seg(s, (enum vm_segreg)i, dpl);
}

static void
set_reg(struct sv *s, enum vm_reg reg, uint64_t v)
{
	FUZZ_CHECK(vcpu_set_reg(sv_vcpu(s), reg, v) == 0);
}

/* Bits that the engine may have or not, and that need not go together. */
static void
wild_control(struct sv *s)
{
	static const struct {
		enum vm_reg reg;
		uint64_t bits;
	} c[] = {
		{ VM_REG_CR4, 0x1 }, { VM_REG_CR4, 0x2 }, /* VME PVI */
		{ VM_REG_CR4, 0x8 }, { VM_REG_CR4, 0x804 }, /* DE; UMIP TSD */
		{ VM_REG_CR4, 0x80 }, { VM_REG_CR4, 0x50600 },
		{ VM_REG_CR4, 0x100000 }, { VM_REG_CR4, 0x200000 },
		{ VM_REG_CR4, 0x20000 }, /* PCIDE */
		{ VM_REG_CR4, 0x400000 }, { VM_REG_CR4, 0x1000000 }, /* PKx */
		{ VM_REG_CR0, 0x10000 }, { VM_REG_CR0, 0x40000 }, /* WP AM */
		{ VM_REG_CR0, 2 }, { VM_REG_CR0, 4 }, { VM_REG_CR0, 8 },
		{ VM_REG_CR0, 0x20 }, { VM_REG_CR0, 0x40000000 },
		{ VM_REG_EFER, 1 }, { VM_REG_EFER, 0x800 },
	};
	uint64_t v;

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		if (!sv_chance(s, 15))
			continue;
		FUZZ_CHECK(vcpu_get_reg(sv_vcpu(s), c[i].reg, &v) == 0);
		(void)vcpu_set_reg(sv_vcpu(s), c[i].reg, v ^ c[i].bits);
	}
}

static void
control(struct sv *s, unsigned mode)
{
	/* PG, WP, NE, ET, MP; DE PAE PGE OSFXSR OSXMMEXCPT FSGSBASE
	 * OSXSAVE. */
	uint64_t cr0 = 0x10033, cr4 = 0x50688, efer = 0x801, cr3 = TABLES;
	static const uint8_t xcr0[4] = { 1, 3, 7, 0xe7 };

	if (mode == SV_REAL)
		cr0 &= ~1ull;
	if (wide(s)) {
		efer |= 0x500;
		cr4 |= 0x20;
		cr0 |= 1ull << 31;
	} else if (mode != SV_REAL && sv_chance(s, 70)) {
		cr0 |= 1ull << 31;
		if (sv_chance(s, 50)) {
			cr4 |= 0x20;
			cr3 = TABLES + 0x6000;
		} else {
			cr4 |= 0x10;
			cr3 = TABLES + 0x7000;
		}
	}
	set_reg(s, VM_REG_EFER, efer);
	set_reg(s, VM_REG_CR4, cr4);
	/* Five levels, where they are offered. */
	if (wide(s) && sv_chance(s, 25) &&
	    vcpu_set_reg(sv_vcpu(s), VM_REG_CR4, cr4 | 0x1000) == 0)
		cr3 += 0xa000;
	set_reg(s, VM_REG_CR3, cr3);
	set_reg(s, VM_REG_CR0, cr0);
	(void)vcpu_set_reg(
	    sv_vcpu(s), VM_REG_XCR0, xcr0[sv_chance(s, 50) ? 3 :
		sv_rnd(s) & 3]);
	if ((s->h->wild & W_CR) != 0)
		wild_control(s);
}

static void
set_fpu(struct sv *s)
{
	static uint8_t buf[8192];
	uint32_t len = sizeof(buf), mxcsr;
	uint16_t fcw = (uint16_t)sv_rnd(s);

	FUZZ_CHECK(vcpu_get_xsave(sv_vcpu(s), buf, &len) == 0);
	for (unsigned i = 32; i < 416; i++)
		buf[i] = (uint8_t)sv_rnd(s);
	for (unsigned i = 576; i < len; i++)
		buf[i] = (uint8_t)sv_rnd(s);
	memcpy(buf, &fcw, 2);
	buf[2] = (uint8_t)sv_rnd(s);
	buf[3] = (uint8_t)sv_rnd(s);
	buf[4] = (uint8_t)sv_rnd(s);
	mxcsr = (uint32_t)sv_rnd(s) & 0xffff;
	memcpy(buf + 24, &mxcsr, 4);
	buf[512] = 3;
	/* The others, if the engine has them. */
	if (sv_chance(s, 50)) {
		buf[512] = (uint8_t)sv_rnd(s) & 0xe7;
		if (vcpu_set_xsave(sv_vcpu(s), buf, len) == 0)
			return;
		buf[512] = 3;
	}
	FUZZ_CHECK(vcpu_set_xsave(sv_vcpu(s), buf, len) == 0);
}

static void
model_registers(struct sv *s)
{
	static const struct {
		uint32_t msr;
		uint64_t v;
	} m[] = {
		{ 0xc0000081, 0x001b000800000000 }, /* STAR */
		{ 0xc0000082, STUBS + 16 * 0x80 },  /* LSTAR */
		{ 0xc0000083, STUBS + 16 * 0x82 },  /* CSTAR */
		{ 0xc0000084, 0x200 },		    /* FMASK */
		{ 0x174, 8 }, { 0x175, STACK }, { 0x176, STUBS + 16 * 0x81 },
	};
	struct vcpu *v = sv_vcpu(s);

	for (unsigned i = 0; i < sizeof(m) / sizeof(m[0]); i++)
		(void)vcpu_set_msr(v, m[i].msr, m[i].v);
	if (sv_chance(s, 5))
		(void)vcpu_set_msr(v, 0x1d9, sv_rnd(s) & 3); /* DEBUGCTL */
	if ((s->h->options & O_X2APIC) == 0)
		return;
	(void)vcpu_set_msr(v, 0x1b, sv_me == 0 ? 0xfee00d00 : 0xfee00c00);
	(void)vcpu_set_msr(v, 0x80f, 0x1ff);
	if (sv_chance(s, 50)) {
		(void)vcpu_set_msr(v, 0x832, 0x20040);
		(void)vcpu_set_msr(v, 0x838, 20000);
	}
}

static void
registers(struct sv *s, unsigned mode)
{
	uint64_t fl = 2, rip = SV_CODE + sv_start(s->h);

	if (mode == SV_REAL || mode == SV_V86)
		rip -= SV_CODE;
	for (unsigned i = VM_REG_RAX; i <= VM_REG_R15; i++)
		set_reg(s, (enum vm_reg)i,
		    (s->h->wild & W_GPR) != 0 ? number(s) : address(s));
	if ((s->h->wild & W_GPR) == 0 || sv_chance(s, 70))
		set_reg(s, VM_REG_RSP, STACK - 0x800);
	/* REP is for a while, not for ever. */
	if (sv_chance(s, 90))
		set_reg(s, VM_REG_RCX, sv_rnd(s) & 0xff);
	fl |= sv_rnd(s) & 0x8d5;
	fl |= sv_chance(s, 70) ? 0x200 : 0;
	if (sv_chance(s, 20))
		fl |= sv_rnd(s) & 0x244500; /* ID AC NT DF TF */
	if (sv_chance(s, 20))
		fl |= 0x3000;
	if (mode == SV_V86)
		fl |= 0x20000;
	set_reg(s, VM_REG_RFLAGS, fl);
	set_reg(s, VM_REG_RIP, rip);
	for (unsigned i = 0; i < 4; i++)
		set_reg(s, (enum vm_reg)(VM_REG_DR0 + i), sv_chance(s, 40) ?
			SV_CODE + sv_start(s->h) + (sv_rnd(s) & 31) :
			address(s));
	if (sv_chance(s, 20))
		set_reg(s, VM_REG_DR7, (sv_rnd(s) & 0xffff03ff) | 0x400);
	if (sv_chance(s, 5))
		(void)vcpu_set_reg(sv_vcpu(s), VM_REG_INTR_SHADOW, 1);
	model_registers(s);
	if ((s->h->wild & W_FPU) != 0)
		set_fpu(s);
}

/* ---- all of it ---- */

void
sv_rom(struct sv *s, const uint8_t code[SV_CODE_SIZE])
{
	uint64_t v;

	/* The program once more, and what may be page tables. */
	memcpy(s->rom, code, SV_CODE_SIZE);
	for (unsigned i = SV_CODE_SIZE; i < ROM_SIZE; i += 8) {
		v = (TABLES + (sv_rnd(s) & 0xf000)) | P | W | U;
		if (sv_chance(s, 30))
			v = entry(s, v);
		memcpy(s->rom + i, &v, 8);
	}
}

void
sv_memory(struct sv *s, const uint8_t code[SV_CODE_SIZE])
{
	system_tables(s);
	page_tables(s);
	put(s, SV_CODE, code, SV_CODE_SIZE);
	for (unsigned i = 0; i < 0x10000; i += 256)
		put64(s, DATA + i, number(s));
}

void
sv_registers(struct sv *s)
{
	unsigned mode = sv_mode(s->h);

	control(s, mode);
	segments(s, mode);
	registers(s, mode);
}
