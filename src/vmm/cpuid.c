/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID says. Bits are those of the Intel SDM, volume 2A, CPUID, and of
 * the AMD APM, volume 3, appendix E. A bit that is not named below is off:
 * a feature that nobody has looked at is not offered.
 */
#include "vmm/cpuid.h"

#include <cpuid.h>
#include <string.h>

#include "vmm/tsc.h"

#define BIT(n) (1u << (n))

#define MAXPHYADDR_LIMIT 46
#define APIC_KHZ 1000000u /* its timer, on every engine */

#define XCR0_X87_SSE 3u
#define XCR0_AVX 4u
#define XCR0_AVX512 0xe0u

/* Leaf 1 ECX: SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES
 * XSAVE AVX F16C RDRAND. */
#define L1_ECX_HOST                                                            \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) |    \
	    BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) |        \
	    BIT(30))
/* PCID, x2APIC, TSC deadline, hypervisor. */
#define L1_ECX_ON (BIT(17) | BIT(21) | BIT(24) | BIT(31))
#define L1_ECX_PCID BIT(17)
#define L1_ECX_OSXSAVE BIT(27)
/* Leaf 1 EDX: FPU DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX
 * FXSR SSE SSE2 SS. */
#define L1_EDX_HOST                                                            \
	(BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) |        \
	    BIT(11) | BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(19) |        \
	    BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
/* VME; MCE, MTRR, MCA: ours (msr.c), MCA with no banks. */
#define L1_EDX_ON (BIT(1) | BIT(7) | BIT(12) | BIT(14))
#define L1_EDX_APIC BIT(9)
#define L1_EDX_HTT BIT(28)

/* Leaf 7.0 EBX: FSGSBASE BMI1 AVX2 FDP_EXCPTN_ONLY BMI2 ERMS FCS/FDS
 * AVX512F DQ RDSEED ADX IFMA CLFLUSHOPT CLWB PF ER CD SHA BW VL. */
#define L7_EBX_HOST                                                            \
	(BIT(0) | BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) |       \
	    BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(21) | BIT(23) |        \
	    BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30) |        \
	    BIT(31))
/* TSC_ADJUST SMEP INVPCID SMAP: the engine's own work. */
#define L7_EBX_ON (BIT(1) | BIT(7) | BIT(10) | BIT(20))
/* Leaf 7.0 ECX: PREFETCHWT1 VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG
 * VPOPCNTDQ. */
#define L7_ECX_HOST                                                            \
	(BIT(0) | BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) |      \
	    BIT(12) | BIT(14))
#define L7_ECX_ON (BIT(2) | BIT(16) | BIT(22)) /* UMIP LA57 RDPID */
/* Leaf 7.0 EDX: 4VNNIW 4FMAPS FSRM VP2INTERSECT AVX512_FP16 STIBP L1D_FLUSH
 * SSBD. */
#define L7_EDX_HOST                                                            \
	(BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(23) | BIT(27) | BIT(28) |     \
	    BIT(31))
/*
 * SPEC_CTRL and ARCH_CAPABILITIES: the MSRs are ours (msr.c). With IBRS_ALL
 * there a guest uses neither retpolines nor IBRS writes, both of which cost
 * a translator much and give nothing: its indirect branches are not the
 * guest's.
 */
#define L7_EDX_ON (BIT(26) | BIT(29))
/* Leaf 7.1 EAX: AVX_VNNI AVX512_BF16 FZLRM FSRS FSRCS. */
#define L71_EAX_HOST (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12))

/* Leaf 7.2 EDX: MCDT_NO. */
#define L72_EDX_HOST BIT(5)
/*
 * BHI_CTRL: SPEC_CTRL.BHI_DIS_S, kept by msr.c. Without it Linux clears the
 * branch history in a loop at every system call, BHI_NO or not.
 */
#define L72_EDX_ON BIT(4)

/* 0x80000001 ECX: LAHF LZCNT SSE4A 3DNOWPREFETCH FMA4. Not XOP, TBM and
 * 3DNow!, which no processor has any more; not LOCK MOV CR0 (CR8_LEGACY) and
 * MXCSR.MM (MISALIGNSSE), which nobody misses. */
#define X1_ECX_HOST (BIT(0) | BIT(5) | BIT(6) | BIT(8) | BIT(16))
#define X1_ECX_CMP_LEGACY BIT(1)
#define X1_ECX_TOPOEXT BIT(22)
/* 0x80000001 EDX: MMXEXT. */
#define X1_EDX_HOST BIT(22)
/* SYSCALL, NX, 1 GiB pages, RDTSCP, long mode: the engine's own work. */
#define X1_EDX_ON (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
/*
 * AMD's faults that do not reach a guest, as in msr.c's ARCH_CAPABILITIES:
 * BTC_NO (0x80000008 EBX), SRSO_NO (0x80000021 EAX), TSA_SQ_NO and TSA_L1_NO
 * (its ECX). The first two are about RET, and a guest's is none of the host's;
 * the remedy for the others is microcode and the host's.
 */
#define X8_EBX_HOST                                                            \
	(BIT(0) | BIT(2) | BIT(12) | BIT(15) | BIT(24) | BIT(26))
#define X8_EBX_ON BIT(29)
#define X21_EAX_ON BIT(29)
#define X21_ECX_ON (BIT(1) | BIT(2))
/* On AMD this register repeats leaf 1 EDX in these bits. */
#define X1_EDX_AMD_COMMON 0x0183f3ffu

/* Hypervisor: whatever the engine. */
#define L1_ECX_ALWAYS BIT(31)

struct host {
	const struct cpuid_source *src;
	uint32_t max_basic, max_ext;
	bool amd, intel;
};

static void
host_leaf(
    const struct host *h, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	h->src->leaf(h->src->arg, leaf, subleaf, r);
}

/* This processor. */
static void
native_leaf(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	(void)arg;
	__cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
}

static const struct cpuid_source native = { .leaf = native_leaf };

static bool
vendor_is(const uint32_t r[4], const char *name)
{
	return (memcmp(&r[1], name, 4) == 0 &&
	    memcmp(&r[3], name + 4, 4) == 0 &&
	    memcmp(&r[2], name + 8, 4) == 0);
}

static void
host_init(struct host *h, const struct cpuid_source *src)
{
	uint32_t r[4];

	h->src = src;
	host_leaf(h, 0, 0, r);
	h->max_basic = r[0];
	h->intel = vendor_is(r, "GenuineIntel");
	h->amd = vendor_is(r, "AuthenticAMD") || vendor_is(r, "HygonGenuine");
	host_leaf(h, 0x80000000, 0, r);
	h->max_ext = r[0];
}

/* Zero where the host has no such leaf. */
static void
host_read(
    const struct host *h, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(r[0]));
	if (leaf <= h->max_basic ||
	    (leaf >= 0x80000000 && leaf <= h->max_ext))
		host_leaf(h, leaf, subleaf, r);
}

/*
 * Features of a register: the host's that need nothing of us, and the
 * engine's own work. An engine that tells what it can has both in its leaf.
 */
static uint32_t
offer(const struct host *h, uint32_t val, uint32_t host, uint32_t own)
{
	return (h->src->limit ? val & (host | own) : (val & host) | own);
}

static void
add(struct cpuid_policy *p, uint32_t leaf, int subleaf, const uint32_t r[4])
{
	struct cpuid_leaf *l;

	if (p->nleaves == CPUID_MAX_LEAVES)
		return;
	l = &p->leaf[p->nleaves++];
	l->leaf = leaf;
	l->indexed = subleaf >= 0;
	l->subleaf = subleaf >= 0 ? (uint32_t)subleaf : 0;
	l->eax = r[0];
	l->ebx = r[1];
	l->ecx = r[2];
	l->edx = r[3];
}

static const struct cpuid_leaf *
find(const struct cpuid_policy *p, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < p->nleaves; i++)
		if (p->leaf[i].leaf == leaf &&
		    (!p->leaf[i].indexed || p->leaf[i].subleaf == subleaf))
			return (&p->leaf[i]);
	return (NULL);
}

static unsigned
log2_up(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return (bits);
}

/* The components that the processor has and the host's kernel saves. */
static uint64_t
host_xcr0(const struct host *h)
{
	uint32_t r[4], lo, hi, want;

	host_read(h, 1, 0, r);
	if ((r[2] & BIT(26)) == 0 || (r[2] & L1_ECX_OSXSAVE) == 0)
		return (0);
	lo = (uint32_t)h->src->xcr0;
	if (h->src == &native)
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	host_read(h, 0xd, 0, r);
	want = lo & r[0] & (XCR0_X87_SSE | XCR0_AVX | XCR0_AVX512);
	if ((want & XCR0_AVX) == 0 || (want & XCR0_AVX512) != XCR0_AVX512)
		want &= ~XCR0_AVX512;
	return (want);
}

/* Bits of an APIC id below the core's and below the package's number. */
static unsigned
thread_bits(const struct cpuid_policy *p)
{
	return (log2_up(p->topology.threads));
}

static unsigned
package_bits(const struct cpuid_policy *p)
{
	return (thread_bits(p) + log2_up(p->topology.cores));
}

/* Logical processors of a package. */
static unsigned
package_size(const struct cpuid_policy *p)
{
	return (p->topology.cores * p->topology.threads);
}

uint32_t
cpuid_apicid(const struct cpuid_topology *t, unsigned cpu)
{
	unsigned thread = cpu % t->threads, core = cpu / t->threads % t->cores;
	unsigned package = cpu / t->threads / t->cores;
	unsigned bits = log2_up(t->threads);

	return (thread | core << bits |
	    package << (bits + log2_up(t->cores)));
}

/* What a guest could have: with this engine, if the leaves are an engine's. */
static void
offer_all(struct cpuid_features *f, const struct host *h, uint64_t xcr0)
{
	uint32_t r[4], *w = f->word;

	memset(f, 0, sizeof(*f));
	host_read(h, 1, 0, r);
	w[CPUID_1_ECX] =
	    offer(h, r[2], L1_ECX_HOST, L1_ECX_ON) | L1_ECX_ALWAYS;
	w[CPUID_1_EDX] = offer(h, r[3], L1_EDX_HOST, L1_EDX_ON);
	host_read(h, 7, 0, r);
	w[CPUID_7_EBX] = offer(h, r[1], L7_EBX_HOST, L7_EBX_ON);
	w[CPUID_7_ECX] = offer(h, r[2], L7_ECX_HOST, L7_ECX_ON);
	w[CPUID_7_EDX] = offer(h, r[3], L7_EDX_HOST, L7_EDX_ON);
	if (h->intel || r[0] >= 1) {
		host_read(h, 7, 1, r);
		w[CPUID_71_EAX] = r[0] & L71_EAX_HOST;
	}
	if (h->intel) {
		host_read(h, 7, 2, r);
		w[CPUID_72_EDX] = offer(h, r[3], L72_EDX_HOST, L72_EDX_ON);
	}
	host_read(h, 0xd, 1, r);
	/* XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES. */
	w[CPUID_D1_EAX] = r[0] & 15;
	host_read(h, 0x80000001, 0, r);
	w[CPUID_X1_ECX] = r[2] & X1_ECX_HOST;
	w[CPUID_X1_EDX] = offer(h, r[3], X1_EDX_HOST, X1_EDX_ON);
	if (h->amd) {
		host_read(h, 0x80000008, 0, r);
		w[CPUID_X8_EBX] = offer(h, r[1], X8_EBX_HOST, X8_EBX_ON);
		/* LFENCE serializes, null selector clears the base. */
		host_read(h, 0x80000021, 0, r);
		w[CPUID_X21_EAX] =
		    offer(h, r[0], BIT(2) | BIT(6), X21_EAX_ON);
		w[CPUID_X21_ECX] = offer(h, r[2], 0, X21_ECX_ON);
	}
	if (xcr0 == 0)
		w[CPUID_1_ECX] &= ~BIT(26);
	if ((xcr0 & XCR0_AVX) == 0)
		w[CPUID_1_ECX] &= ~BIT(28);
	if ((xcr0 & XCR0_AVX512) == 0)
		w[CPUID_7_EBX] &= ~BIT(16);
	cpuid_features_close(f);
}

/* The components whose instructions are there. */
static uint64_t
components(const struct cpuid_features *f)
{
	if (!cpuid_has(f, "xsave"))
		return (0);
	return (XCR0_X87_SSE | (cpuid_has(f, "avx") ? XCR0_AVX : 0) |
	    (cpuid_has(f, "avx512f") ? XCR0_AVX512 : 0));
}

static void
add_features(struct cpuid_policy *p, const struct host *h)
{
	const uint32_t *w = p->features.word;
	uint32_t r[4], logical;

	host_read(h, 1, 0, r);
	logical = 1u << package_bits(p);
	if (logical > 255)
		logical = 255;
	r[1] = (r[1] & 0xffff) | logical << 16;
	r[2] = w[CPUID_1_ECX];
	r[3] = w[CPUID_1_EDX];
	if (package_size(p) > 1)
		r[3] |= L1_EDX_HTT;
	add(p, 1, -1, r);

	host_read(h, 7, 0, r);
	r[0] = h->intel ? 2 : r[0] >= 1;
	r[1] = w[CPUID_7_EBX];
	r[2] = w[CPUID_7_ECX];
	r[3] = w[CPUID_7_EDX];
	add(p, 7, 0, r);
	if (r[0] == 0)
		return;
	memset(r, 0, sizeof(r));
	r[0] = w[CPUID_71_EAX];
	add(p, 7, 1, r);
	if (!h->intel)
		return;
	memset(r, 0, sizeof(r));
	r[3] = w[CPUID_72_EDX];
	add(p, 7, 2, r);
}

/* Leaves 4 and 0x8000001d: private caches to a core, the last level to the
 * package. The counts are of APIC ids, thus powers of two, less one. */
static void
add_caches(struct cpuid_policy *p, const struct host *h, uint32_t leaf)
{
	const uint32_t threads = (1u << thread_bits(p)) - 1;
	const uint32_t package = (1u << package_bits(p)) - 1;
	const uint32_t cores = package >> thread_bits(p);
	uint32_t r[4], sharing;

	for (unsigned i = 0; i < 8; i++) {
		host_read(h, leaf, i, r);
		if ((r[0] & 0x1f) == 0)
			break;
		sharing = ((r[0] >> 5) & 7) >= 3 ? package : threads;
		r[0] = (r[0] & 0x3fff) | (sharing & 0xfff) << 14;
		if (leaf == 4)
			r[0] |= (cores > 63 ? 63 : cores) << 26;
		add(p, leaf, (int)i, r);
	}
}

/* Leaves 0xb and 0x1f: EDX, the x2APIC id, is filled in by the query. */
static void
add_topology(struct cpuid_policy *p, uint32_t leaf)
{
	const uint32_t smt[4] = { thread_bits(p), p->topology.threads, 0x100,
		0 };
	const uint32_t core[4] = { package_bits(p), package_size(p), 0x201,
		0 };

	add(p, leaf, 0, smt);
	add(p, leaf, 1, core);
}

static uint32_t
xsave_size(const struct cpuid_policy *p, uint64_t xcr0, bool compacted)
{
	const struct cpuid_leaf *l;
	uint32_t size = 512 + 64;

	for (unsigned i = 2; i < 63; i++) {
		if (((xcr0 >> i) & 1) == 0)
			continue;
		l = find(p, 0xd, i);
		if (l == NULL)
			continue;
		if (!compacted) {
			if (l->ebx + l->eax > size)
				size = l->ebx + l->eax;
			continue;
		}
		if ((l->ecx & 2) != 0)
			size = (size + 63) & ~63u;
		size += l->eax;
	}
	return (size);
}

/* XSAVEC or XSAVES; without, nobody needs to know the compacted size and
 * subleaf 1 has 0 (SDM volume 2A, CPUID). */
static bool
compacts(const struct cpuid_policy *p)
{
	return ((p->features.word[CPUID_D1_EAX] & (BIT(1) | BIT(3))) != 0);
}

/* EBX of subleaves 0 and 1 depends on XCR0: the query fills it in. */
static void
add_xsave(struct cpuid_policy *p, const struct host *h)
{
	uint32_t r[4], sub0[4] = { 0 };

	if (p->xcr0 == 0)
		return;
	for (unsigned i = 2; i < 32; i++) {
		if (((p->xcr0 >> i) & 1) == 0)
			continue;
		host_read(h, 0xd, i, r);
		r[2] &= 2; /* a user component; alignment */
		r[3] = 0;
		add(p, 0xd, (int)i, r);
	}
	sub0[0] = (uint32_t)p->xcr0;
	sub0[1] = xsave_size(p, XCR0_X87_SSE, false);
	sub0[2] = xsave_size(p, p->xcr0, false);
	sub0[3] = (uint32_t)(p->xcr0 >> 32);
	add(p, 0xd, 0, sub0);
	r[0] = p->features.word[CPUID_D1_EAX];
	p->xsaves = (r[0] & 8) != 0;
	r[1] = compacts(p) ? xsave_size(p, XCR0_X87_SSE, true) : 0;
	r[2] = r[3] = 0;
	add(p, 0xd, 1, r);
}

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	uint32_t t;

	for (; b != 0; b = t) {
		t = a % b;
		a = b;
	}
	return (a);
}

static void
add_basic(struct cpuid_policy *p, const struct host *h)
{
	/* ARAT: the APIC timer never stops. */
	const uint32_t power[4] = { BIT(2), 0, 0, 0 };
	const uint32_t khz = p->tsc_khz;
	const uint32_t common = gcd(khz, APIC_KHZ);
	/* TSC = crystal * EBX / EAX; the APIC timer counts the crystal. */
	const uint32_t tsc[4] = { APIC_KHZ / common, khz / common,
		APIC_KHZ * 1000, 0 };
	const uint32_t freq[4] = { khz / 1000, khz / 1000, 100, 0 };
	uint32_t r[4];

	/* 0x15 and 0x16 have to be in range, whatever the host has. */
	p->max_basic = h->max_basic >= 0x1f ? 0x1f : 0x16;
	host_read(h, 0, 0, r);
	r[0] = p->max_basic;
	add(p, 0, -1, r);
	if (h->intel) {
		host_read(h, 2, 0, r);
		add(p, 2, -1, r);
		add_caches(p, h, 4);
	}
	add(p, 6, -1, power);
	add_topology(p, 0xb);
	add_xsave(p, h);
	add(p, 0x15, -1, tsc);
	add(p, 0x16, -1, freq);
	if (p->max_basic >= 0x1f)
		add_topology(p, 0x1f);
}

static void
add_hypervisor(struct cpuid_policy *p)
{
	uint32_t r[4] = { 0x40000010 };
	/* TSC and APIC timer frequencies in kHz, as VMware defined it and
	 * FreeBSD reads it under any hypervisor. */
	const uint32_t timing[4] = { p->tsc_khz, APIC_KHZ, 0, 0 };

	memcpy(&r[1], "bhyve bhyve ", 12);
	add(p, 0x40000000, -1, r);
	add(p, 0x40000010, -1, timing);
}

static unsigned
phys_bits(const struct host *h)
{
	uint32_t r[4];
	unsigned bits;

	host_read(h, 0x80000008, 0, r);
	bits = r[0] & 0xff;
	if (bits == 0)
		bits = 36;
	return (bits < MAXPHYADDR_LIMIT ? bits : MAXPHYADDR_LIMIT);
}

unsigned
cpuid_phys_bits(void)
{
	struct host h;

	host_init(&h, &native);
	return (phys_bits(&h));
}

/* Leaves that only AMD's processors have. */
static void
add_amd(struct cpuid_policy *p, const struct host *h)
{
	uint32_t r[4];

	/* TLB sizes, performance hints. */
	for (uint32_t leaf = 0x80000019; leaf <= 0x8000001a; leaf++) {
		host_read(h, leaf, 0, r);
		add(p, leaf, -1, r);
	}
	if ((find(p, 0x80000001, 0)->ecx & X1_ECX_TOPOEXT) != 0) {
		add_caches(p, h, 0x8000001d);
		/* EAX and the core's id: by the query. One node. */
		memset(r, 0, sizeof(r));
		r[1] = (p->topology.threads - 1) << 8;
		add(p, 0x8000001e, -1, r);
	}
	memset(r, 0, sizeof(r));
	r[0] = p->features.word[CPUID_X21_EAX];
	r[2] = p->features.word[CPUID_X21_ECX];
	add(p, 0x80000021, -1, r);
}

static void
add_extended(struct cpuid_policy *p, const struct host *h)
{
	const struct cpuid_leaf *l1 = find(p, 1, 0);
	uint32_t r[4];
	bool topoext;

	/* What is there whatever the host has: add_amd(). */
	p->max_ext = h->amd ? 0x80000021 : 0x80000008;
	host_read(h, 0x80000000, 0, r);
	r[0] = p->max_ext;
	add(p, 0x80000000, -1, r);

	host_read(h, 0x80000001, 0, r);
	topoext = (r[2] & X1_ECX_TOPOEXT) != 0;
	r[2] = p->features.word[CPUID_X1_ECX];
	r[3] = p->features.word[CPUID_X1_EDX];
	if (h->amd) {
		r[3] |= l1->edx & X1_EDX_AMD_COMMON;
		if (package_size(p) > 1)
			r[2] |= X1_ECX_CMP_LEGACY;
		if (topoext && h->max_ext >= 0x8000001e)
			r[2] |= X1_ECX_TOPOEXT;
	}
	add(p, 0x80000001, -1, r);

	for (uint32_t leaf = 0x80000002; leaf <= 0x80000006; leaf++) {
		host_read(h, leaf, 0, r);
		add(p, leaf, -1, r);
	}
	memset(r, 0, sizeof(r));
	r[3] = BIT(8); /* invariant TSC */
	add(p, 0x80000007, -1, r);

	host_read(h, 0x80000008, 0, r);
	p->maxphyaddr = (uint8_t)phys_bits(h);
	r[0] = (cpuid_has(&p->features, "la57") ? 57u : 48u) << 8 |
	    p->maxphyaddr;
	/* AMD: CLZERO XSAVEERPTR IBPB STIBP SSBD SSB_NO; ids as in leaf 1. */
	r[1] = p->features.word[CPUID_X8_EBX];
	r[2] = h->amd ?
	    package_bits(p) << 12 | ((package_size(p) - 1) & 0xff) : 0;
	r[3] = 0;
	add(p, 0x80000008, -1, r);
	if (h->amd)
		add_amd(p, h);
}

/* Control register bits that go with what is offered. */
static void
set_controls(struct cpuid_policy *p)
{
	static const struct {
		const char *name;
		uint32_t bits;
	} cr4[] = { { "vme", 3 }, { "tsc", BIT(2) }, { "de", BIT(3) },
		{ "pse", BIT(4) }, { "pae", BIT(5) }, { "mce", BIT(6) },
		{ "pge", BIT(7) }, { "fxsr", BIT(9) }, { "sse", BIT(10) },
		{ "umip", BIT(11) }, { "la57", BIT(12) },
		{ "fsgsbase", BIT(16) }, { "pcid", BIT(17) },
		{ "xsave", BIT(18) }, { "smep", BIT(20) },
		{ "smap", BIT(21) } };
	static const struct {
		const char *name;
		uint32_t bits;
	} efer[] = { { "syscall", BIT(0) }, { "lm", BIT(8) | BIT(10) },
		{ "nx", BIT(11) } };

	p->cr4 = BIT(8); /* PCE: RDPMC, there or not */
	for (size_t i = 0; i < sizeof(cr4) / sizeof(cr4[0]); i++)
		if (cpuid_has(&p->features, cr4[i].name))
			p->cr4 |= cr4[i].bits;
	p->efer = 0;
	for (size_t i = 0; i < sizeof(efer) / sizeof(efer[0]); i++)
		if (cpuid_has(&p->features, efer[i].name))
			p->efer |= efer[i].bits;
}

int
cpuid_policy_choose(struct cpuid_policy *p, const struct cpuid_topology *t,
    const struct cpuid_source *src, const struct cpuid_choice *choice,
    struct vm_error *err)
{
	struct cpuid_features have;
	struct host h;
	int error;

	memset(p, 0, sizeof(*p));
	p->topology = *t;
	host_init(&h, src != NULL ? src : &native);
	p->tsc_khz = h.src->tsc_khz != 0 ? h.src->tsc_khz : TSC_KHZ;
	if (choice != NULL && choice->tsc_khz != 0)
		p->tsc_khz = choice->tsc_khz;
	offer_all(&have, &h, host_xcr0(&h));
	error = cpuid_choose(&p->features, &have, choice, err);
	p->xcr0 = components(&p->features);
	add_features(p, &h);
	add_basic(p, &h);
	add_hypervisor(p);
	add_extended(p, &h);
	set_controls(p);
	return (error);
}

void
cpuid_policy_from(struct cpuid_policy *p, const struct cpuid_topology *t,
    const struct cpuid_source *src)
{
	(void)cpuid_policy_choose(p, t, src, NULL, NULL);
}

void
cpuid_policy_init(struct cpuid_policy *p, const struct cpuid_topology *t)
{
	cpuid_policy_from(p, t, &native);
}

/*
 * Out of range: an Intel processor answers a basic or extended leaf above
 * the maximum with the highest basic leaf (SDM volume 2A, CPUID), others
 * with zero. Hypervisor leaves that are not there are zero, so that probes
 * at 0x40000100 and on find nobody.
 */
static uint32_t
clamp_leaf(const struct cpuid_policy *p, uint32_t eax)
{
	const struct cpuid_leaf *l0 = find(p, 0, 0);
	bool intel = l0->ebx == signature_INTEL_ebx;

	if (eax >= 0x40000000 && eax <= 0x4fffffff)
		return (eax);
	if (eax <= p->max_basic || (eax >= 0x80000000 && eax <= p->max_ext))
		return (eax);
	return (intel ? p->max_basic : eax);
}

void
cpuid_query(const struct cpuid_policy *p, const struct cpuid_dynamic *dyn,
    uint32_t eax, uint32_t ecx, uint32_t out[4])
{
	uint32_t leaf = clamp_leaf(p, eax);
	const struct cpuid_leaf *l = find(p, leaf, ecx);

	memset(out, 0, 4 * sizeof(out[0]));
	if (l != NULL) {
		out[0] = l->eax;
		out[1] = l->ebx;
		out[2] = l->ecx;
		out[3] = l->edx;
	}
	switch (leaf) {
	case 1:
		out[1] = (out[1] & 0xffffff) | dyn->apicid << 24;
		if ((dyn->cr4 & BIT(18)) != 0)
			out[2] |= L1_ECX_OSXSAVE;
		if (dyn->apic_enabled)
			out[3] |= L1_EDX_APIC;
		break;
	case 0xb:
	case 0x1f:
		/* ECX[7:0] and EDX are valid for every subleaf of a leaf that
		 * is there. */
		if (leaf > p->max_basic)
			break;
		out[2] = (out[2] & 0xff00) | (ecx & 0xff);
		out[3] = dyn->apicid;
		break;
	case 0xd:
		if (p->xcr0 == 0)
			break;
		if (ecx == 0 || (ecx == 1 && compacts(p)))
			out[1] = xsave_size(p, dyn->xcr0, ecx == 1);
		break;
	case 0x8000001e:
		if (l == NULL)
			break;
		out[0] = dyn->apicid;
		out[1] |= dyn->apicid >> thread_bits(p) &
		    ((1u << (package_bits(p) - thread_bits(p))) - 1) & 0xff;
		out[2] |= dyn->apicid >> package_bits(p) & 0xff;
		break;
	case 0x80000001:
		/* AMD: this register repeats the APIC bit too. */
		if (dyn->apic_enabled && (out[3] & BIT(8)) != 0)
			out[3] |= L1_EDX_APIC;
		break;
	default:
		break;
	}
}
