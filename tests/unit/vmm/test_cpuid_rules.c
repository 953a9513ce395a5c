/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every rule by which one leaf of CPUID has to agree with another, on this
 * host and on others: made-up processors of Intel and AMD, with everything
 * and with little. Sections: SDM volume 2A, CPUID; APM volume 3, appendix E.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"

enum { EAX, EBX, ECX, EDX };

/* ---- hosts ---- */

struct fake {
	const char *vendor;
	bool amd;
	uint32_t features; /* what feature registers have */
	uint64_t xcr0;
};

static void
fake_cache(uint32_t sub, uint32_t r[4])
{
	static const uint32_t level[4] = { 0x21, 0x22, 0x43, 0x63 };

	if (sub > 3)
		return;
	r[EAX] = level[sub] | 1 << 8 | 7 << 14 | 15u << 26;
	r[EBX] = 63 | 7 << 22;
	r[ECX] = 63;
}

static void
fake_leaf(void *arg, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	const struct fake *f = arg;

	memset(r, 0, 16);
	switch (leaf) {
	case 0:
	case 0x80000000:
		r[EAX] = leaf == 0 ? 0x20 : f->amd ? 0x80000028 : 0x80000008;
		if (leaf != 0 && !f->amd)
			break;
		memcpy(&r[EBX], f->vendor, 4);
		memcpy(&r[EDX], f->vendor + 4, 4);
		memcpy(&r[ECX], f->vendor + 8, 4);
		break;
	case 1:
		r[EAX] = 0x000806f8;
		r[EBX] = 0x12100800;
		r[ECX] = r[EDX] = f->features;
		/* Baseline of any processor with long mode; XSAVE. */
		r[ECX] |= 1 << 26 | 1 << 27 | 1;
		r[EDX] |= 0x0783fbff;
		break;
	case 4:
	case 0x8000001d:
		fake_cache(sub, r);
		break;
	case 7:
		r[EAX] = sub == 0 ? 2 : f->features;
		r[EBX] = r[ECX] = r[EDX] = f->features;
		break;
	case 0xd:
		if (sub == 0) {
			r[EAX] = (uint32_t)f->xcr0;
			r[EBX] = r[ECX] = 2696;
		} else if (sub == 1) {
			r[EAX] = f->features;
		} else if (sub == 2) {
			r[EAX] = 256;
			r[EBX] = 576;
		} else if (sub == 5) {
			r[EAX] = 64;
			r[EBX] = 1088;
		} else if (sub == 6) {
			r[EAX] = 512;
			r[EBX] = 1152;
		} else if (sub == 7) {
			r[EAX] = 1024;
			r[EBX] = 1664;
		}
		break;
	case 0x80000008:
		r[EAX] = 57 << 8 | 52;
		r[EBX] = r[ECX] = r[EDX] = f->features;
		break;
	default: /* what is not to be passed on, above all */
		r[EAX] = r[EBX] = r[ECX] = r[EDX] = f->features;
		break;
	}
}

static struct fake fakes[] = {
	{ "GenuineIntel", false, 0xffffffff, 0xffffffff },
	{ "GenuineIntel", false, 0, 3 },
	{ "GenuineIntel", false, 0xffffffff, 7 },
	{ "GenuineIntel", false, 0xffffffff, 0x27 }, /* half of AVX-512 */
	{ "AuthenticAMD", true, 0xffffffff, 0xffffffff },
	{ "AuthenticAMD", true, 0, 3 },
	{ "AuthenticAMD", true, 0xffffffff, 7 },
	{ "HygonGenuine", true, 0xffffffff, 7 },
	{ "CentaurHauls", false, 0xffffffff, 7 },
};
#define NFAKES (sizeof(fakes) / sizeof(fakes[0]))

static const struct cpuid_topology topologies[] = { { 1, 1, 1 }, { 1, 2, 1 },
	{ 2, 1, 1 }, { 1, 1, 2 }, { 1, 4, 2 }, { 2, 3, 1 }, { 3, 5, 2 },
	{ 1, 6, 4 }, { 4, 16, 2 }, { 1, 64, 1 }, { 2, 100, 1 },
	{ 16, 1, 1 } };
#define NTOPOLOGIES (sizeof(topologies) / sizeof(topologies[0]))

/* ---- the rules ---- */

static struct cpuid_policy policy;

static uint32_t
reg(uint32_t leaf, uint32_t sub, unsigned which)
{
	struct cpuid_dynamic dyn = { .xcr0 = policy.xcr0, .cr4 = 1u << 18,
		.apic_enabled = true };
	uint32_t r[4];

	cpuid_query(&policy, &dyn, leaf, sub, r);
	return (r[which]);
}

static bool
bit(uint32_t leaf, unsigned which, unsigned n)
{
	return (reg(leaf, 0, which) >> n & 1);
}

static bool
is_amd(void)
{
	uint32_t b = reg(0, 0, EBX);

	return (b == 0x68747541 || b == 0x6f677948);
}

static bool
is_intel(void)
{
	return (reg(0, 0, EBX) == 0x756e6547);
}

/* A feature that another one needs. */
static const struct {
	struct bit {
		uint32_t leaf;
		uint8_t which, n;
	} has, needs;
} implications[] = {
#define B(leaf, which, n) { leaf, which, n }
	{ B(1, EDX, 26), B(1, EDX, 25) },  /* SSE2: SSE */
	{ B(1, EDX, 25), B(1, EDX, 24) },  /* SSE: FXSR */
	{ B(1, ECX, 0), B(1, EDX, 26) },   /* SSE3: SSE2 */
	{ B(1, ECX, 28), B(1, ECX, 26) },  /* AVX: XSAVE */
	{ B(1, ECX, 12), B(1, ECX, 28) },  /* FMA: AVX */
	{ B(1, ECX, 29), B(1, ECX, 28) },  /* F16C: AVX */
	{ B(1, ECX, 24), B(1, EDX, 9) },   /* TSC deadline: APIC */
	{ B(1, ECX, 21), B(1, EDX, 9) },   /* x2APIC: APIC */
	{ B(1, ECX, 27), B(1, ECX, 26) },  /* OSXSAVE: XSAVE */
	{ B(1, EDX, 14), B(1, EDX, 7) },   /* MCA: MCE */
	{ B(1, EDX, 17), B(1, EDX, 6) },   /* PSE-36: PAE */
	{ B(7, EBX, 5), B(1, ECX, 28) },   /* AVX2: AVX */
	{ B(7, EBX, 16), B(7, EBX, 5) },   /* AVX512F: AVX2 */
	{ B(7, EBX, 17), B(7, EBX, 16) },  /* AVX512DQ .. */
	{ B(7, EBX, 21), B(7, EBX, 16) },
	{ B(7, EBX, 28), B(7, EBX, 16) },
	{ B(7, EBX, 30), B(7, EBX, 16) },
	{ B(7, EBX, 31), B(7, EBX, 16) },
	{ B(7, ECX, 1), B(7, EBX, 16) },
	{ B(7, ECX, 6), B(7, EBX, 16) },
	{ B(7, ECX, 11), B(7, EBX, 16) },
	{ B(7, ECX, 12), B(7, EBX, 16) },
	{ B(7, ECX, 14), B(7, EBX, 16) },
	{ B(7, EDX, 8), B(7, EBX, 16) },
	{ B(7, EDX, 23), B(7, EBX, 16) },  /* AVX512_FP16 */
	{ B(7, ECX, 9), B(1, ECX, 28) },   /* VAES, VPCLMULQDQ: AVX */
	{ B(7, ECX, 10), B(1, ECX, 28) },
	{ B(7, EBX, 10), B(0x80000001, EDX, 29) }, /* INVPCID: long mode */
	{ B(0x80000001, ECX, 16), B(1, ECX, 28) }, /* FMA4: AVX */
	{ B(0x80000001, EDX, 26), B(0x80000001, EDX, 29) },
	{ B(0x80000001, EDX, 29), B(1, EDX, 6) }, /* long mode: PAE */
	{ B(0x80000001, EDX, 27), B(1, EDX, 4) }, /* RDTSCP: TSC */
};

/* Bits of what is not virtualized, whatever the host has. */
static const struct {
	uint32_t leaf, sub, mask[4];
} off[] = {
	/* DTES64 MONITOR DS-CPL VMX SMX EIST TM2 SDBG xTPR PDCM DCA;
	 * PSN DS ACPI TM PBE. */
	{ 1, 0, { 0, 0, 0x4c9fc & ~(1u << 9), 0xa0640000 } },
	/* SGX HLE RDT RTM MPX RDT-A PT; PKU OSPKE WAITPKG CET_SS TME LA57's
	 * neighbours KL CLDEMOTE MOVDIR ENQCMD SGX_LC PKS; UINTR SERIALIZE
	 * HYBRID TSXLDTRK PCONFIG LBR CET_IBT AMX CORE_CAPABILITIES. */
	{ 7, 0, { 0, 0x0200d814, 0xfb8020b8, 0x4175e020 } },
	{ 6, 0, { ~4u, ~0u, ~0u, ~0u } },
	{ 0xa, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x12, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x14, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x18, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 5, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0xf, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x10, 0, { ~0u, ~0u, ~0u, ~0u } },
	/* XFD; components of XSS. */
	{ 0xd, 1, { ~0xfu, 0, ~0u, ~0u } },
	/* SVM SKINIT WDT LWP IBS perf extensions MONITORX XOP TBM; FFXSR,
	 * 3DNow!. */
	{ 0x80000001, 0, { 0, 0, 0x3f80bc04 & ~(1u << 22), 0xc2000000 } },
	{ 0x80000007, 0, { ~0u, ~0u, ~0u, ~0x100u } },
	{ 0x8000000a, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x8000001b, 0, { ~0u, ~0u, ~0u, ~0u } }, /* IBS */
	{ 0x8000001c, 0, { ~0u, ~0u, ~0u, ~0u } }, /* LWP */
	{ 0x8000001f, 0, { ~0u, ~0u, ~0u, ~0u } }, /* SEV */
};

static void
check_features(void)
{
	for (size_t i = 0; i < sizeof(implications) / sizeof(implications[0]);
	     i++) {
		const struct bit *h = &implications[i].has;
		const struct bit *n = &implications[i].needs;

		if (bit(h->leaf, h->which, h->n) &&
		    !bit(n->leaf, n->which, n->n))
			fail_msg("%#x.%u bit %u needs %#x.%u bit %u", h->leaf,
			    h->which, h->n, n->leaf, n->which, n->n);
	}
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		/* An Intel processor gives its highest leaf beyond it. */
		if (is_intel() && off[i].leaf > policy.max_basic)
			continue;
		for (unsigned w = 0; w < 4; w++)
			if ((reg(off[i].leaf, off[i].sub, w) &
				off[i].mask[w]) != 0)
				fail_msg("%#x.%u register %u: %#x has %#x",
				    off[i].leaf, off[i].sub, w,
				    reg(off[i].leaf, off[i].sub, w),
				    off[i].mask[w]);
	}
}

static void
check_limits(void)
{
	assert_int_equal(reg(0, 0, EAX), policy.max_basic);
	assert_int_equal(reg(0x80000000, 0, EAX), policy.max_ext);
	assert_true(policy.nleaves < CPUID_MAX_LEAVES);
	for (unsigned i = 0; i < policy.nleaves; i++) {
		uint32_t l = policy.leaf[i].leaf;

		assert_true(l <= policy.max_basic ||
		    (l >= 0x40000000 && l <= reg(0x40000000, 0, EAX)) ||
		    (l >= 0x80000000 && l <= policy.max_ext));
		/* No leaf twice. */
		for (unsigned j = 0; j < i; j++)
			assert_false(policy.leaf[j].leaf == l &&
			    policy.leaf[j].subleaf == policy.leaf[i].subleaf);
	}
	/* AMD repeats the vendor, the signature and leaf 1's features. */
	if (is_amd()) {
		for (unsigned w = EBX; w <= EDX; w++)
			assert_int_equal(reg(0x80000000, 0, w), reg(0, 0, w));
		assert_int_equal(reg(0x80000001, 0, EDX) & 0x0183f3ff,
		    reg(1, 0, EDX) & 0x0183f3ff);
	} else {
		assert_int_equal(reg(0x80000001, 0, EDX) & 0x0183f3ff, 0);
	}
	/* Intel answers beyond the end with the last leaf, others with 0. */
	for (unsigned w = 0; w < 4; w++) {
		uint32_t want = is_intel() ? reg(policy.max_basic, 0, w) : 0;

		assert_int_equal(reg(policy.max_basic + 1, 0, w), want);
		assert_int_equal(reg(0x3fffffff, 0, w), want);
		assert_int_equal(reg(policy.max_ext + 1, 0, w), want);
		assert_int_equal(reg(0x40000100, 0, w), 0);
		assert_int_equal(reg(0x4000ffff, 0, w), 0);
	}
	assert_int_equal(reg(0x80000008, 0, EAX) & 0xff, policy.maxphyaddr);
	assert_int_equal(reg(0x80000008, 0, EAX) >> 8 & 0xff,
	    bit(7, ECX, 16) ? 57 : 48);
	assert_true(policy.maxphyaddr >= 36 && policy.maxphyaddr <= 52);
}

/* What a control register takes is what CPUID offers. */
static void
check_controls(void)
{
	static const struct {
		uint32_t leaf;
		uint8_t which, n, cr4;
	} c[] = { { 1, EDX, 1, 0 }, { 1, EDX, 1, 1 }, { 1, EDX, 2, 3 },
		{ 1, EDX, 3, 4 }, { 1, EDX, 6, 5 },
		{ 1, EDX, 7, 6 }, { 1, EDX, 13, 7 }, { 1, EDX, 24, 9 },
		{ 1, EDX, 25, 10 }, { 7, ECX, 2, 11 }, { 7, ECX, 16, 12 },
		{ 1, ECX, 5, 13 }, { 1, ECX, 6, 14 }, { 7, EBX, 0, 16 },
		{ 1, ECX, 17, 17 }, { 1, ECX, 26, 18 }, { 7, EBX, 7, 20 },
		{ 7, EBX, 20, 21 }, { 7, ECX, 3, 22 }, { 7, ECX, 7, 23 },
		{ 7, ECX, 31, 24 } };

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		if (bit(c[i].leaf, c[i].which, c[i].n) !=
		    (policy.cr4 >> c[i].cr4 & 1))
			fail_msg("CR4 bit %u and %#x.%u bit %u", c[i].cr4,
			    c[i].leaf, c[i].which, c[i].n);
	assert_int_equal(policy.efer & 1, bit(0x80000001, EDX, 11));
	assert_int_equal(policy.efer >> 8 & 1, bit(0x80000001, EDX, 29));
	assert_int_equal(policy.efer >> 11 & 1, bit(0x80000001, EDX, 20));
	assert_int_equal(policy.efer >> 12 & 1, bit(0x80000001, ECX, 2));
	assert_int_equal(policy.efer >> 14 & 1, bit(0x80000001, EDX, 25));
}

static void
check_xsave(void)
{
	uint32_t max = 576, size;

	assert_int_equal(bit(1, ECX, 26), policy.xcr0 != 0);
	assert_int_equal(bit(1, ECX, 28), policy.xcr0 >> 2 & 1);
	assert_int_equal(bit(7, EBX, 16), (policy.xcr0 & 0xe0) == 0xe0);
	assert_true((policy.xcr0 & 0xe0) == 0xe0 ||
	    (policy.xcr0 & 0xe0) == 0);
	if (policy.xcr0 == 0)
		return;
	assert_int_equal(policy.xcr0 & 3, 3);
	assert_int_equal(reg(0xd, 0, EAX), (uint32_t)policy.xcr0);
	assert_int_equal(reg(0xd, 0, EDX), policy.xcr0 >> 32);
	for (uint32_t i = 2; i < 64; i++) {
		size = reg(0xd, i, EAX);
		assert_int_equal(size != 0, policy.xcr0 >> i & 1);
		if (size == 0)
			continue;
		assert_true(reg(0xd, i, EBX) >= 576);
		assert_int_equal(reg(0xd, i, ECX) & 1, 0); /* XCR0's */
		if (reg(0xd, i, EBX) + size > max)
			max = reg(0xd, i, EBX) + size;
	}
	assert_int_equal(reg(0xd, 1, EAX) >> 3 & 1, policy.xsaves);
	assert_int_equal(reg(0xd, 0, ECX), max);
	assert_int_equal(reg(0xd, 0, EBX), max); /* XCR0 has all */
}

static void
check_time(void)
{
	uint64_t hz = (uint64_t)reg(0x15, 0, ECX) * reg(0x15, 0, EBX) /
	    reg(0x15, 0, EAX);

	assert_int_equal(hz, 1000000000);
	assert_int_equal(reg(0x16, 0, EAX), hz / 1000000);
	assert_int_equal(reg(0x40000010, 0, EAX), hz / 1000);
	assert_int_equal(reg(0x40000010, 0, EBX), reg(0x15, 0, ECX) / 1000);
	assert_true(bit(0x80000007, EDX, 8)); /* invariant */
	assert_true(bit(6, EAX, 2));	      /* ARAT */
}

/* The cache leaves: private ones to a core, the last to the package. */
static void
check_caches(uint32_t leaf, unsigned smt, unsigned package)
{
	uint32_t a, share;
	unsigned n = 0;

	for (uint32_t i = 0; i < 16; i++, n++) {
		a = reg(leaf, i, EAX);
		if ((a & 0x1f) == 0)
			break;
		share = (a >> 14 & 0xfff) + 1;
		assert_int_equal(share,
		    1u << ((a >> 5 & 7) >= 3 ? package : smt));
		if (leaf == 4)
			assert_int_equal(a >> 26,
			    (1u << (package - smt)) > 64 ?
				63 :
				(1u << (package - smt)) - 1);
	}
	assert_true(n < 16);
}

static void
check_topology(const struct cpuid_topology *t)
{
	unsigned per = t->cores * t->threads, smt, package;
	uint32_t logical = reg(1, 0, EBX) >> 16 & 0xff;

	smt = reg(0xb, 0, EAX);
	package = reg(0xb, 1, EAX);
	/* The widths hold the numbers, and no more. */
	assert_true(1u << smt >= t->threads && (1u << smt) / 2 < t->threads);
	assert_true(1u << (package - smt) >= t->cores &&
	    (1u << (package - smt)) / 2 < t->cores);
	assert_int_equal(reg(0xb, 0, EBX), t->threads);
	assert_int_equal(reg(0xb, 1, EBX), per);
	assert_int_equal(reg(0xb, 0, ECX), 0x100);
	assert_int_equal(reg(0xb, 1, ECX), 0x201);
	assert_int_equal(reg(0xb, 2, ECX) & 0xff00, 0);
	assert_int_equal(reg(0xb, 2, EBX), 0);
	if (policy.max_basic >= 0x1f)
		for (uint32_t i = 0; i < 3; i++)
			for (unsigned w = 0; w < 4; w++)
				assert_int_equal(
				    reg(0x1f, i, w), reg(0xb, i, w));
	assert_int_equal(logical, 1u << package > 255 ? 255 : 1u << package);
	assert_int_equal(bit(1, EDX, 28), per > 1);
	if (is_intel()) {
		check_caches(4, smt, package);
		assert_int_equal(bit(0x80000001, ECX, 1), 0);
		assert_int_equal(reg(0x80000008, 0, ECX), 0);
	}
	if (!is_amd())
		return;
	assert_int_equal(bit(0x80000001, ECX, 1), per > 1);
	assert_int_equal(reg(0x80000008, 0, ECX) & 0xff, per - 1);
	assert_int_equal(reg(0x80000008, 0, ECX) >> 12 & 0xf, package);
	if (!bit(0x80000001, ECX, 22)) {
		assert_int_equal(reg(0x8000001d, 0, EAX), 0);
		assert_int_equal(reg(0x8000001e, 0, EBX), 0);
		return;
	}
	check_caches(0x8000001d, smt, package);
	assert_int_equal(reg(0x8000001e, 0, EBX) >> 8 & 0xff, t->threads - 1);
	assert_int_equal(reg(0x8000001e, 0, ECX) >> 8 & 7, 0); /* one node */
}

/* The ids: each its own, and all leaves tell the same of each. */
static void
check_ids(const struct cpuid_topology *t)
{
	unsigned n = t->sockets * t->cores * t->threads;
	unsigned smt = reg(0xb, 0, EAX), package = reg(0xb, 1, EAX);
	uint32_t last = 0, r[4];

	for (unsigned i = 0; i < n; i++) {
		uint32_t id = cpuid_apicid(t, i);
		struct cpuid_dynamic dyn = { .apicid = id };

		assert_true(i == 0 ? id == 0 : id > last);
		last = id;
		assert_int_equal(id & ((1u << smt) - 1), i % t->threads);
		assert_int_equal(id >> package, i / (t->cores * t->threads));
		cpuid_query(&policy, &dyn, 0xb, 0, r);
		assert_int_equal(r[EDX], id);
		cpuid_query(&policy, &dyn, 1, 0, r);
		assert_int_equal(r[EBX] >> 24, id & 0xff);
		if (!bit(0x80000001, ECX, 22) || !is_amd())
			continue;
		cpuid_query(&policy, &dyn, 0x8000001e, 0, r);
		assert_int_equal(r[EAX], id);
		assert_int_equal(
		    r[EBX] & 0xff, i / t->threads % t->cores);
		assert_int_equal(r[ECX] & 0xff, id >> package);
	}
}

static void
check_all(const struct cpuid_topology *t)
{
	check_features();
	check_limits();
	check_controls();
	check_xsave();
	check_time();
	check_topology(t);
	check_ids(t);
}

static void
test_this_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < NTOPOLOGIES; i++) {
		cpuid_policy_init(&policy, &topologies[i]);
		check_all(&topologies[i]);
	}
}

static void
test_other_hosts(void **state)
{
	struct cpuid_source src = { .leaf = fake_leaf };

	(void)state;
	for (size_t f = 0; f < NFAKES; f++)
		for (size_t i = 0; i < NTOPOLOGIES; i++) {
			src.arg = &fakes[f];
			src.xcr0 = fakes[f].xcr0;
			cpuid_policy_from(&policy, &topologies[i], &src);
			check_all(&topologies[i]);
		}
}

/* Bits that nobody has looked at do not come through. */
static void
test_vendors(void **state)
{
	struct cpuid_source src = { .leaf = fake_leaf };

	(void)state;
	for (size_t f = 0; f < NFAKES; f++) {
		src.arg = &fakes[f];
		src.xcr0 = fakes[f].xcr0;
		cpuid_policy_from(&policy, &topologies[4], &src);
		assert_int_equal(is_amd(), fakes[f].amd);
		/* Leaves 2 and 4 are Intel's, 0x8000001d AMD's. */
		if (!is_intel())
			assert_int_equal(reg(2, 0, EAX) | reg(4, 0, EAX), 0);
		if (is_intel())
			assert_int_equal(policy.max_ext, 0x80000008);
		/* AMD's speculation bits, and Intel's leaf 7.2. */
		if (!is_amd()) {
			assert_int_equal(reg(0x80000008, 0, EBX), 0);
			continue;
		}
		assert_int_equal(reg(7, 2, EDX), 0);
		/* BTC_NO, SRSO_NO, TSA_SQ_NO and TSA_L1_NO, whatever the
		 * host's microcode knows of. */
		assert_int_equal(policy.max_ext, 0x80000021);
		assert_int_equal(bit(0x80000008, EBX, 29), 1);
		assert_int_equal(bit(0x80000021, EAX, 29), 1);
		assert_int_equal(reg(0x80000021, 0, ECX), 6);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_host),
		cmocka_unit_test(test_other_hosts),
		cmocka_unit_test(test_vendors),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
