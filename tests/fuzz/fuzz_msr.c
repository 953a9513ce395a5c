/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared tables of MSRs and CPUID leaves. */
#include <errno.h>

#include "fuzz.h"
#include "vmm/cpuid.h"
#include "vmm/msr.h"

/* Most MSRs are nowhere: go near those that are somewhere. */
static uint32_t
any_msr(struct fuzz_in *in, uint8_t op)
{
	switch (op >> 4 & 3) {
	case 0:
		return ((uint32_t)fuzz_take(in, 2) & 0xfff);
	case 1:
		return (0x200u + (fuzz_u8(in) & 0x7f));
	case 2:
		return (0xc0010000u + ((uint32_t)fuzz_take(in, 2) & 0x1fff));
	default:
		return (fuzz_u32(in));
	}
}

static void
access_msr(struct fuzz_in *in, uint8_t op, struct vmm_msrs *m,
    const struct cpuid_policy *p)
{
	uint32_t msr = any_msr(in, op);
	uint64_t val = 0, wrote;
	int error;

	if (op & 1) {
		wrote = op & 0x40 ? fuzz_u64(in) :
				    fuzz_u8(in) * 0x0101010101010101ull;
		error = vmm_msr_write(m, p, msr, wrote);
	} else
		error = vmm_msr_read(m, p, msr, &val);
	FUZZ_CHECK(error == 0 || error == -EPERM || error == -ENOENT);
	if (error != 0)
		return;
	/* What a guest reads it can write back, where it can write. */
	if (vmm_msr_read(m, p, msr, &val) == 0 && (op & 1) != 0)
		FUZZ_CHECK(vmm_msr_write(m, p, msr, val) == 0);
}

static void
query(struct fuzz_in *in, uint8_t op, const struct cpuid_policy *p)
{
	struct cpuid_dynamic dyn = {
		.apicid = op >> 4,
		.xcr0 = fuzz_u8(in) & p->xcr0,
		.cr4 = fuzz_u32(in) & p->cr4,
		.apic_enabled = op & 1,
	};
	uint32_t leaf, r[4];

	leaf = op & 0x80 ? fuzz_u32(in) : fuzz_u8(in);
	if (op & 0x40)
		leaf = (leaf & 0xff) | (op & 0x20 ? 0x80000000u : 0x40000000u);
	cpuid_query(p, &dyn, leaf, fuzz_u8(in), r);
	/* OSXSAVE follows CR4 (SDM volume 2, CPUID). */
	if (leaf == 1)
		FUZZ_CHECK((r[2] >> 27 & 1) == (dyn.cr4 >> 18 & 1));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	static struct cpuid_policy policy;
	struct vmm_msrs m;
	uint8_t op;

	if (policy.nleaves == 0)
		cpuid_policy_init(&policy,
	    &(struct cpuid_topology){ 1, 1, 1 });
	vmm_msrs_reset(&m);
	while (in.left > 0) {
		op = fuzz_u8(&in);
		if (op & 2)
			query(&in, op, &policy);
		else
			access_msr(&in, op, &m, &policy);
	}
	return (0);
}
