/* SPDX-License-Identifier: BSD-2-Clause */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"
#include "vmm/vmm.h"

static const unsigned cpus[] = { 1, 2, 3, 4, 7, 8, 16, 64, 200 };
#define NCPUS (sizeof(cpus) / sizeof(cpus[0]))

static void
q(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	struct cpuid_dynamic dyn = { .apicid = 5, .xcr0 = p->xcr0,
		.cr4 = 1u << 18, .apic_enabled = true };

	cpuid_query(p, &dyn, leaf, sub, r);
}

static void
test_off(void **state)
{
	struct cpuid_policy p;
	uint32_t r[4];

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 4, 1 });
	q(&p, 1, 0, r);
	/* DTES64 MONITOR DS_CPL VMX SMX EST TM2 PDCM */
	assert_int_equal(r[2] & 0x81fc & ~(1u << 9), 0);
	/* DS ACPI TM PBE */
	assert_int_equal(r[3] & 0xa0600000u & ~(1u << 30), 0);
	assert_int_equal(r[2] & 0x81200000u, 0x81200000u);
	q(&p, 7, 0, r);
	/* SGX HLE RTM MPX PT */
	assert_int_equal(r[1] & 0x02004814, 0);
	/* PKU OSPKE WAITPKG CET KL CLDEMOTE MOVDIR ENQCMD PKS; RDPID */
	assert_int_equal(r[2] & 0xfbc000b8u, 1u << 22);
	/* UINTR SERIALIZE TSXLDTRK PCONFIG LBR IBT AMX */
	assert_int_equal(r[3] & 0x035d4020, 0);
	q(&p, 0xa, 0, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	q(&p, 5, 0, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	q(&p, 6, 0, r);
	assert_int_equal(r[0], 4);
	q(&p, 0x80000001, 0, r);
	assert_int_equal(r[2] & 4, 0); /* SVM */
	/* NX, 1 GiB pages, RDTSCP, LM */
	assert_int_equal(r[3] & 0x2c100000, 0x2c100000);
}

static void
test_time(void **state)
{
	struct cpuid_policy p;
	uint32_t r[4];
	uint64_t khz;

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 1, 1 });
	assert_true(p.max_basic >= 0x16);
	q(&p, 0x15, 0, r);
	/* Linux, native_calibrate_tsc(): kHz of the crystal first. */
	khz = r[2] / 1000ull * r[1] / r[0];
	assert_int_equal(khz, 1000000);
	assert_int_equal(r[2], 1000000000); /* APIC timer */
	q(&p, 0x16, 0, r);
	assert_int_equal(r[0], 1000);
	q(&p, 0x80000007, 0, r);
	assert_int_equal(r[3], 0x100);
	q(&p, 0x40000000, 0, r);
	assert_true(r[0] >= 0x40000010);
	assert_memory_equal(&r[1], "bhyve bhyve ", 12);
	q(&p, 0x40000010, 0, r);
	assert_int_equal(r[0], 1000000);
	assert_int_equal(r[1], 1000000);
	q(&p, 0x40000100, 0, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
}

/* A TSC of the user's choice; its ratio to the APIC timer is exact. */
static void
test_tsc(void **state)
{
	static const uint32_t khz[] = { 2445432, 999983, 100000, 10000000 };
	struct cpuid_choice choice;
	struct cpuid_policy p;
	struct vm_error err;
	uint32_t r[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(
		    cpuid_choice_parse(&choice, "host", NULL, &err), 0);
		choice.tsc_khz = khz[i];
		assert_int_equal(cpuid_policy_choose(&p,
		    &(struct cpuid_topology){ 1, 1, 1 }, NULL, &choice, &err),
		    0);
		assert_int_equal(p.tsc_khz, khz[i]);
		q(&p, 0x15, 0, r);
		assert_int_equal(r[2] / 1000ull * r[1], 1ull * khz[i] * r[0]);
		q(&p, 0x16, 0, r);
		assert_int_equal(r[0], khz[i] / 1000);
		q(&p, 0x40000010, 0, r);
		assert_int_equal(r[0], khz[i]);
		assert_int_equal(r[1], 1000000);
	}
}

static void
check_cache(const struct cpuid_policy *p, uint32_t leaf, unsigned n)
{
	uint32_t r[4], host[4];

	for (uint32_t i = 0; i < 6; i++) {
		q(p, leaf, i, r);
		if ((r[0] & 0x1f) == 0)
			break;
		__cpuid_count(leaf, i, host[0], host[1], host[2], host[3]);
		assert_int_equal(r[1], host[1]);
		assert_int_equal(r[2], host[2]);
		if ((r[0] >> 5 & 7) < 3)
			assert_int_equal(r[0] >> 14 & 0xfff, 0);
		else
			assert_true((r[0] >> 14 & 0xfff) + 1 >= n);
	}
}

/* All that tells of cores tells the same. */
static void
test_topology(void **state)
{
	struct cpuid_policy p;
	uint32_t r[4], width;

	(void)state;
	for (unsigned i = 0; i < NCPUS; i++) {
		unsigned n = cpus[i];

		cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, n, 1 });
		assert_true(p.nleaves < CPUID_MAX_LEAVES);
		q(&p, 0xb, 0, r);
		assert_int_equal(r[0], 0);
		assert_int_equal(r[1], 1);
		assert_int_equal(r[2], 0x100);
		assert_int_equal(r[3], 5);
		q(&p, 0xb, 1, r);
		width = r[0];
		assert_true((1u << width) >= n);
		assert_true(width == 0 || (1u << (width - 1)) < n);
		assert_int_equal(r[1], n);
		assert_int_equal(r[2], 0x201);
		q(&p, 0xb, 2, r);
		assert_int_equal(r[0] | r[1], 0);
		assert_int_equal(r[2], 2);
		assert_int_equal(r[3], 5);
		q(&p, 1, 0, r);
		assert_int_equal(r[1] >> 24, 5);
		assert_true((r[1] >> 16 & 0xff) >= (n > 255 ? 255 : n));
		assert_int_equal(r[3] >> 28 & 1, n > 1);
		check_cache(&p, 4, n);
		if (p.max_basic >= 0x1f) {
			uint32_t s[4];

			q(&p, 0xb, 1, r);
			q(&p, 0x1f, 1, s);
			assert_memory_equal(r, s, sizeof(r));
		}
		q(&p, 0x80000008, 0, r);
		if (r[2] != 0)
			assert_int_equal(r[2] & 0xff, n - 1);
	}
}

static void
test_xsave(void **state)
{
	struct cpuid_policy p;
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4], l1[4], l7[4], max;

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 1, 1 });
	q(&p, 1, 0, l1);
	q(&p, 7, 0, l7);
	assert_int_equal(l1[2] >> 26 & 1, p.xcr0 != 0);
	assert_int_equal(p.cr4 >> 18 & 1, p.xcr0 != 0);
	if (p.xcr0 == 0)
		skip();
	assert_int_equal(p.xcr0 & 3, 3);
	assert_int_equal(p.xcr0 & ~0xe7ull, 0);
	/* AVX in leaf 1 exactly if its component can be enabled. */
	if (l1[2] >> 28 & 1)
		assert_true(p.xcr0 & 4);
	if (l7[1] >> 16 & 1)
		assert_int_equal(p.xcr0 & 0xe4, 0xe4);
	else
		assert_int_equal(l7[1] & 0xdc230000 & ~0x00000000u &
		    (1u << 17 | 1u << 30 | 1u << 31), 0);

	q(&p, 0xd, 0, r);
	assert_int_equal(r[0], (uint32_t)p.xcr0);
	assert_int_equal(r[3], 0);
	assert_int_equal(r[1], r[2]); /* all enabled */
	max = 576;
	for (uint32_t i = 2; i < 63; i++) {
		uint32_t c[4];

		q(&p, 0xd, i, c);
		if ((p.xcr0 >> i & 1) == 0) {
			assert_int_equal(c[0] | c[1] | c[2] | c[3], 0);
			continue;
		}
		if (c[0] + c[1] > max)
			max = c[0] + c[1];
		assert_int_equal(c[2] & ~2u, 0);
	}
	assert_int_equal(r[2], max);
	q(&p, 0xd, 1, r);
	assert_int_equal(r[0] & ~15u, 0);
	assert_int_equal(r[0] >> 3 & 1, p.xsaves);
	assert_int_equal(r[2] | r[3], 0);
	dyn.xcr0 = 3;
	cpuid_query(&p, &dyn, 0xd, 0, r);
	assert_int_equal(r[1], 576);
	assert_int_equal(r[2], max);
	if ((p.xcr0 & 4) != 0) {
		dyn.xcr0 = 7;
		cpuid_query(&p, &dyn, 0xd, 0, r);
		assert_int_equal(r[1], 576 + 256);
		cpuid_query(&p, &dyn, 0xd, 1, r);
		assert_int_equal(r[1], 576 + 256);
	}
}

static void
test_dynamic(void **state)
{
	struct cpuid_policy p;
	struct cpuid_dynamic dyn = { .apicid = 0x123 };
	uint32_t r[4];

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 2, 1 });
	cpuid_query(&p, &dyn, 1, 0, r);
	assert_int_equal(r[2] >> 27 & 1, 0);
	assert_int_equal(r[3] >> 9 & 1, 0);
	assert_int_equal(r[1] >> 24, 0x23);
	cpuid_query(&p, &dyn, 0xb, 0, r);
	assert_int_equal(r[3], 0x123);
	dyn.cr4 = 1u << 18;
	dyn.apic_enabled = true;
	cpuid_query(&p, &dyn, 1, 0, r);
	assert_int_equal(r[2] >> 27 & 1, 1);
	assert_int_equal(r[3] >> 9 & 1, 1);
}

static void
test_limits(void **state)
{
	struct cpuid_policy p;
	uint32_t r[4], s[4], host[4];

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 2, 1 });
	q(&p, 0, 0, r);
	__cpuid(0, host[0], host[1], host[2], host[3]);
	assert_int_equal(r[0], p.max_basic);
	assert_memory_equal(&r[1], &host[1], 12);
	q(&p, 0x80000000, 0, r);
	assert_int_equal(r[0], p.max_ext);
	q(&p, 0x80000008, 0, r);
	assert_int_equal(r[0] & 0xff, p.maxphyaddr);
	assert_true(p.maxphyaddr >= 36 && p.maxphyaddr <= 46);
	assert_int_equal(r[0] >> 8 & 0xff, 57);
	/* Beyond the end: the highest basic leaf on Intel, else zero. */
	q(&p, 0x20000000, 1, r);
	q(&p, p.max_ext + 1, 1, s);
	assert_memory_equal(r, s, sizeof(r));
	q(&p, p.max_basic, 1, s);
	if (host[1] == signature_INTEL_ebx)
		assert_memory_equal(r, s, sizeof(r));
	else
		assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	/* Control register bits go with the flags. */
	q(&p, 7, 0, r);
	assert_int_equal(p.cr4 >> 20 & 1, r[1] >> 7 & 1);  /* SMEP */
	assert_int_equal(p.cr4 >> 21 & 1, r[1] >> 20 & 1); /* SMAP */
	assert_int_equal(p.cr4 >> 11 & 1, r[2] >> 2 & 1);  /* UMIP */
	assert_int_equal(p.cr4 >> 16 & 1, r[1] & 1);	   /* FSGSBASE */
	assert_int_equal(p.cr4 >> 12 & 1, r[2] >> 16 & 1); /* LA57 */
	q(&p, 0x80000008, 0, r);
	/* As many linear-address bits as LA57 gives. */
	assert_int_equal(r[0] >> 8 & 0xff, p.cr4 >> 12 & 1 ? 57 : 48);
	assert_int_equal(p.efer, 0xd01);
	q(&p, 1, 0, r);
	assert_int_equal(p.cr4 >> 17 & 1, r[2] >> 17 & 1); /* PCID */
}

/* A feature is never offered that the host lacks and nobody emulates. */
static void
test_subset(void **state)
{
	struct cpuid_policy p;
	uint32_t r[4], h[4];

	(void)state;
	cpuid_policy_init(&p,
	    &(struct cpuid_topology){ 1, 2, 1 });
	q(&p, 1, 0, r);
	__cpuid(1, h[0], h[1], h[2], h[3]);
	assert_int_equal(r[2] & ~h[2] & ~0x81220000u, 0);
	assert_int_equal(r[3] & ~h[3] & ~0x10005280u, 0);
	if (__get_cpuid_max(0, NULL) < 7)
		skip();
	q(&p, 7, 0, r);
	__cpuid_count(7, 0, h[0], h[1], h[2], h[3]);
	assert_int_equal(r[1] & ~h[1] & ~0x00100482u, 0);
	assert_int_equal(r[2] & ~h[2] & ~0x00010004u, 0);
	assert_int_equal(r[3] & ~h[3] & ~0x24000000u, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_tsc),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_xsave),
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_subset),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
