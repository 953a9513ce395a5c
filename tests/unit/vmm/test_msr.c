/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"
#include "vmm/msr.h"

struct ctx {
	struct cpuid_policy p;
	struct vmm_msrs m;
};

static int
setup(void **state)
{
	struct ctx *c = calloc(1, sizeof(*c));

	cpuid_policy_init(&c->p,
	    &(struct cpuid_topology){ 1, 2, 1 });
	vmm_msrs_reset(&c->m);
	*state = c;
	return (0);
}

/* The same machine, made by another manufacturer. */
static void
become(struct ctx *c, const char *vendor)
{
	struct cpuid_leaf *l;

	for (unsigned i = 0; i < c->p.nleaves; i++) {
		l = &c->p.leaf[i];
		if (l->leaf != 0)
			continue;
		memcpy(&l->ebx, vendor, 4);
		memcpy(&l->edx, vendor + 4, 4);
		memcpy(&l->ecx, vendor + 8, 4);
	}
}

static int
teardown(void **state)
{
	free(*state);
	return (0);
}

static uint64_t
rd(struct ctx *c, uint32_t msr)
{
	uint64_t v = 0xdead;

	assert_int_equal(vmm_msr_read(&c->m, &c->p, msr, &v), 0);
	return (v);
}

static int
wr(struct ctx *c, uint32_t msr, uint64_t v)
{
	return (vmm_msr_write(&c->m, &c->p, msr, v));
}

static void
test_pat(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(rd(c, 0x277), 0x0007040600070406);
	assert_int_equal(wr(c, 0x277, 0x0407050600070106), 0);
	assert_int_equal(rd(c, 0x277), 0x0407050600070106);
	assert_int_equal(wr(c, 0x277, 0x0007040600070402), -EPERM);
	assert_int_equal(wr(c, 0x277, 0x0307040600070406), -EPERM);
	assert_int_equal(wr(c, 0x277, 0x0807040600070406), -EPERM);
	assert_int_equal(rd(c, 0x277), 0x0407050600070106);
}

static void
test_mtrr(void **state)
{
	struct ctx *c = *state;
	const uint32_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
		0x26b, 0x26c, 0x26d, 0x26e, 0x26f };
	uint64_t top = 1ull << c->p.maxphyaddr;

	assert_int_equal(rd(c, 0xfe), 0x508);
	assert_int_equal(wr(c, 0xfe, 0), -EPERM);
	assert_int_equal(rd(c, 0x2ff), 0);
	assert_int_equal(wr(c, 0x2ff, 0xc06), 0);
	assert_int_equal(rd(c, 0x2ff), 0xc06);
	assert_int_equal(wr(c, 0x2ff, 0xc02), -EPERM);
	assert_int_equal(wr(c, 0x2ff, 0x1c06), -EPERM);
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(
		    wr(c, fixed[i], 0x0606060606060600 + (i & 1)), 0);
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(
		    rd(c, fixed[i]), 0x0606060606060600 + (i & 1));
	assert_int_equal(wr(c, 0x250, 0x0706060606060606), -EPERM);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x251, &top), -ENOENT);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(wr(c, 0x200 + 2 * i, 0xc0000000 + i % 2), 0);
		assert_int_equal(wr(c, 0x201 + 2 * i, 0xc0000800), 0);
	}
	assert_int_equal(rd(c, 0x20e), 0xc0000001);
	top = 1ull << c->p.maxphyaddr;
	assert_int_equal(wr(c, 0x200, top), -EPERM);
	assert_int_equal(wr(c, 0x200, 0x106), -EPERM);
	assert_int_equal(wr(c, 0x200, 0x3), -EPERM);
	assert_int_equal(wr(c, 0x201, top | 0x800), -EPERM);
	assert_int_equal(wr(c, 0x201, 0x801), -EPERM);
	assert_int_equal(wr(c, 0x210, 0), -ENOENT);
}

static void
test_constants(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	become(c, "GenuineIntel");
	assert_int_equal(rd(c, 0x3a), 1);
	assert_int_equal(wr(c, 0x3a, 5), -EPERM); /* locked */
	assert_int_equal(rd(c, 0x179) & 0xff, 0);
	assert_int_equal(rd(c, 0x8b) >> 32, 1);
	assert_int_equal(wr(c, 0x8b, 0), 0);
	assert_int_equal(rd(c, 0x8b) >> 32, 1);
	assert_int_equal(wr(c, 0x79, 0x1234), 0);
	assert_int_equal(rd(c, 0x606), 0x000a1003);
	assert_int_equal(rd(c, 0xce) >> 8 & 0xff, 10); /* 1000 MHz */
	assert_int_equal(wr(c, 0x140, 0), 0);
	assert_int_equal(wr(c, 0x140, 1), -EPERM);
	assert_int_equal(rd(c, 0xc1), 0);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x12345, &v), -ENOENT);
	assert_int_equal(wr(c, 0x12345, 0), -ENOENT);
	/* MISC_ENABLE: BTS and PEBS unavailable stay. */
	assert_int_equal(wr(c, 0x1a0, 0), 0);
	assert_int_equal(rd(c, 0x1a0), 0x1800);
	assert_int_equal(wr(c, 0x1a0, ~0ull), 0);
	assert_int_equal(rd(c, 0x1a0), 0x1801);
}

/* Counters: nothing is counted, and a driver may clear and stop them. */
static void
test_counters(void **state)
{
	struct ctx *c = *state;
	static const struct {
		uint32_t first, last;
		bool amd;
	} r[] = { { 0xc1, 0xc8, false }, { 0x186, 0x18d, false },
		{ 0x309, 0x30b, false }, { 0x38d, 0x390, false },
		{ 0x3f1, 0x3f1, false }, { 0xc0010000, 0xc0010007, true },
		{ 0xc0010200, 0xc001020b, true } };
	uint64_t v;

	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		for (uint32_t m = r[i].first; m <= r[i].last; m++) {
			become(c, r[i].amd ? "AuthenticAMD" : "GenuineIntel");
			assert_int_equal(rd(c, m), 0);
			assert_int_equal(wr(c, m, 0), 0);
			assert_int_equal(rd(c, m), 0);
			/* And not at all in the other's processors. */
			become(c, r[i].amd ? "GenuineIntel" : "AuthenticAMD");
			assert_int_equal(
			    vmm_msr_read(&c->m, &c->p, m, &v), -ENOENT);
			assert_int_equal(wr(c, m, 0), -ENOENT);
		}
}

static void
test_intel(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	become(c, "GenuineIntel");
	assert_int_equal(rd(c, 0x17), 0);
	assert_int_equal(wr(c, 0x17, 0), -EPERM);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x79, &v), -EPERM);
	assert_int_equal(rd(c, 0x34), 0);
	assert_int_equal(wr(c, 0x34, 0), -EPERM);
	/* Two processors in one package, a thread to a core. */
	assert_int_equal(rd(c, 0x35), 2 << 16 | 2);
	assert_int_equal(wr(c, 0x35, 0), -EPERM);
	assert_int_equal(rd(c, 0x611), 0);
	assert_int_equal(wr(c, 0x611, 0), -EPERM);
	/* No machine check banks: none of their registers either. */
	assert_int_equal(rd(c, 0x179), 0);
	assert_int_equal(rd(c, 0x17a), 0);
	assert_int_equal(wr(c, 0x17a, 0), 0);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x17b, &v), -ENOENT);
	for (uint32_t m = 0x400; m < 0x480; m++)
		assert_int_equal(vmm_msr_read(&c->m, &c->p, m, &v), -ENOENT);
	/* VMX, processor trace, SMRR. */
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x480, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x570, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x1f2, &v), -ENOENT);
	for (uint32_t m = 0xc0010000; m < 0xc0012000; m++)
		assert_int_equal(vmm_msr_read(&c->m, &c->p, m, &v), -ENOENT);
}

static void
test_amd(void **state)
{
	struct ctx *c = *state;
	uint64_t v, top = 1ull << c->p.maxphyaddr;

	become(c, "AuthenticAMD");
	assert_int_equal(rd(c, 0x8b), 1); /* PATCH_LEVEL */
	assert_int_equal(wr(c, 0xc0010020, 0xffff888000000000), 0);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0xc0010020, &v), -EPERM);
	/* SYSCFG: the MTRRs' enables; no memory encryption (bit 23). */
	assert_int_equal(rd(c, 0xc0010010), 0);
	assert_int_equal(wr(c, 0xc0010010, ~0ull), 0);
	assert_int_equal(rd(c, 0xc0010010), 1 << 18 | 7 << 20);
	/* HWCR: the TSC has a constant rate, and that cannot be changed. */
	assert_int_equal(rd(c, 0xc0010015) >> 24 & 1, 1);
	assert_int_equal(wr(c, 0xc0010015, 1 << 18), 0);
	assert_int_equal(rd(c, 0xc0010015) >> 18 & 1, 1);
	assert_int_equal(rd(c, 0xc0010015) >> 24 & 1, 1);
	for (uint32_t m = 0xc001001a; m <= 0xc001001d; m += 3) {
		assert_int_equal(rd(c, m), 0);
		assert_int_equal(wr(c, m, 0xe0000000), 0);
		assert_int_equal(rd(c, m), 0xe0000000);
		assert_int_equal(wr(c, m, 0xe0000001), -EPERM);
		assert_int_equal(wr(c, m, top), -EPERM);
		assert_int_equal(rd(c, m), 0xe0000000);
	}
	assert_int_equal(wr(c, 0xc001001f, ~0ull), 0);
	assert_int_equal(rd(c, 0xc001001f), 1ull << 46 | 1ull << 54);
	assert_int_equal(rd(c, 0xc0010058) & 1, 0); /* no MMIO config */
	assert_int_equal(rd(c, 0xc0010114), 0x18);  /* no SVM, locked */
	assert_int_equal(wr(c, 0xc0010114, 0), 0);
	assert_int_equal(rd(c, 0xc0010114), 0x18);
	assert_int_equal(rd(c, 0xc0010140), 0); /* OSVW */
	assert_int_equal(rd(c, 0xc0010299), 0x000a1003);
	assert_int_equal(rd(c, 0xc0011029) & 2, 2); /* LFENCE serializes */
	/* No SVM: no TSC ratio, no host save area; no IBS. */
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0xc0000104, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0xc0010117, &v), -ENOENT);
	for (uint32_t m = 0xc0011030; m < 0xc001103d; m++)
		assert_int_equal(vmm_msr_read(&c->m, &c->p, m, &v), -ENOENT);
	/* Nor what only Intel's have. */
	for (uint32_t m = 0x17; m <= 0x3a; m++)
		assert_int_equal(vmm_msr_read(&c->m, &c->p, m, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0xce, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x140, &v), -ENOENT);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x606, &v), -ENOENT);
	vmm_msrs_reset(&c->m);
	assert_int_equal(rd(c, 0xc001001a), 0);
	assert_int_equal(rd(c, 0xc0010010), 0);
}

/* MSRs that exist only if CPUID says so. */
static void
test_by_cpuid(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	for (unsigned i = 0; i < c->p.nleaves; i++) {
		if (c->p.leaf[i].leaf == 7)
			c->p.leaf[i].edx = 0;
		if (c->p.leaf[i].leaf == 0x80000008)
			c->p.leaf[i].ebx = 0;
	}
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x48, &v), -EPERM);
	assert_int_equal(wr(c, 0x48, 0), -EPERM);
	assert_int_equal(wr(c, 0x49, 1), -EPERM);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x10a, &v), -EPERM);
	assert_int_equal(wr(c, 0x10b, 1), -EPERM);
}

static void
test_speculation(void **state)
{
	struct ctx *c = *state;
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];
	uint64_t v;

	cpuid_query(&c->p, &dyn, 7, 0, r);
	assert_true(r[3] >> 29 & 1);
	v = rd(c, 0x10a);
	assert_true(v & 1);	   /* RDCL_NO */
	assert_true(v >> 5 & 1);   /* MDS_NO */
	assert_true(v >> 62 & 1);  /* ITS_NO */
	assert_false(v >> 7 & 1);  /* no TSX_CTRL */
	assert_false(v >> 2 & 1);  /* no RSBA */
	/* IBRS_ALL promises SPEC_CTRL. */
	assert_int_equal(v >> 1 & 1, r[3] >> 26 & 1);
	assert_int_equal(wr(c, 0x10a, 0), -EPERM);
	assert_int_equal(wr(c, 0x48, 1), 0);
	assert_int_equal(rd(c, 0x48), 1);
	assert_int_equal(wr(c, 0x48, 1 << 3), -EPERM);
	/* BHI_DIS_S goes with BHI_CTRL, which is Intel's. */
	cpuid_query(&c->p, &dyn, 7, 2, r);
	assert_int_equal(
	    wr(c, 0x48, 1 << 10), r[3] >> 4 & 1 ? 0 : -EPERM);
	assert_int_equal(wr(c, 0x48, 1), 0);
	cpuid_query(&c->p, &dyn, 7, 0, r);
	assert_int_equal(wr(c, 0x49, 1), 0);
	assert_int_equal(wr(c, 0x49, 2), -EPERM);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x49, &v), -EPERM);
	assert_int_equal(vmm_msr_read(&c->m, &c->p, 0x10b, &v), -EPERM);
	assert_int_equal(wr(c, 0x10b, 1), r[3] >> 28 & 1 ? 0 : -EPERM);
}

/* The state table covers the struct, no field twice. */
static void
test_state(void **state)
{
	size_t sum = 0;

	(void)state;
	for (const struct state_field *f = vmm_msrs_state.fields;
	     f->name != NULL; f++) {
		assert_int_equal(f->offset, sum);
		sum += (size_t)f->size * f->count;
	}
	assert_int_equal(sum, sizeof(struct vmm_msrs));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_pat),
		T(test_mtrr),
		T(test_constants),
		T(test_counters),
		T(test_intel),
		T(test_amd),
		T(test_by_cpuid),
		T(test_speculation),
		T(test_state),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
