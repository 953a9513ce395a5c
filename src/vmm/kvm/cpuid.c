/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the vcpus show: the policy of vmm/cpuid.h, made from what this KVM
 * supports (KVM_GET_SUPPORTED_CPUID, api.rst 4.46) instead of the processor.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/kvm.h"

#define MAX_ENTRIES 256u
#define L1_ECX_TSC_DEADLINE (1u << 24)
#define L1_ECX_OSXSAVE (1u << 27)

/* What only describes the processor: KVM does not tell all of it. */
static bool
is_description(uint32_t leaf)
{
	return (leaf == 2 || leaf == 4 ||
	    (leaf >= 0x80000002 && leaf <= 0x80000006) ||
	    leaf == 0x80000019 || leaf == 0x8000001a || leaf == 0x8000001d);
}

static void
supported_leaf(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	const struct kvm_vm *kvm = arg;
	const struct kvm_cpuid_entry2 *e;

	memset(r, 0, 4 * sizeof(r[0]));
	if (is_description(leaf)) {
		__cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
		return;
	}
	for (uint32_t i = 0; i < kvm->supported->nent; i++) {
		e = &kvm->supported->entries[i];
		if (e->function != leaf ||
		    ((e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0 &&
			e->index != subleaf))
			continue;
		r[0] = e->eax;
		r[1] = e->ebx;
		r[2] = e->ecx;
		r[3] = e->edx;
		break;
	}
	/* What follows CR4 is not among what is supported. */
	if (leaf == 1)
		r[2] |= L1_ECX_OSXSAVE;
	/* It is told as a capability. */
	if (leaf == 1 &&
	    kvm_check(kvm->sys, KVM_CAP_TSC_DEADLINE_TIMER) != 0)
		r[2] |= L1_ECX_TSC_DEADLINE;
}

/*
 * A TSC of another frequency than the host's (api.rst 4.55). Without scaling in
 * the processor the kernel would let it run on and correct it at each exit: no
 * clock. What differs by no more than the drift that the kernel allows
 * (tsc_tolerance_ppm) is taken as it is.
 */
#define TSC_TOLERANCE_PPM 250u

static int
choose_tsc(struct kvm_vm *kvm, const struct vm_config *cfg, uint32_t host)
{
	uint32_t want = cfg->cpu != NULL ? cfg->cpu->tsc_khz : 0;
	uint64_t diff = want > host ? want - host : host - want;

	kvm->tsc_khz = 0;
	if (want == 0 || diff * 1000000 <= (uint64_t)host * TSC_TOLERANCE_PPM)
		return (0);
	if (kvm_check(kvm->sys, KVM_CAP_TSC_CONTROL) == 0)
		return (vm_fail(cfg, -ENODEV,
		    "cpu.tsc_khz=%u: the host's TSC counts %u kHz and cannot "
		    "be scaled", want, host));
	kvm->tsc_khz = want;
	return (0);
}

int
kvm_cpuid_init(struct kvm_vm *kvm, const struct vm_config *cfg)
{
	const struct cpuid_topology topology = kvm->cpuid.topology;
	struct cpuid_source src = {
		.leaf = supported_leaf, .arg = kvm, .limit = true };
	uint32_t r[4];
	int error, khz;

	kvm->supported = calloc(1, sizeof(*kvm->supported) +
	    MAX_ENTRIES * sizeof(kvm->supported->entries[0]));
	if (kvm->supported == NULL)
		return (-ENOMEM);
	kvm->supported->nent = MAX_ENTRIES;
	error = kvm_ioctl(kvm->sys, KVM_GET_SUPPORTED_CPUID, kvm->supported);
	if (error < 0)
		return (error);
	supported_leaf(kvm, 0xd, 0, r);
	src.xcr0 = r[0] | (uint64_t)r[3] << 32;
	khz = kvm_ioctl_arg(kvm->cpus[0].fd, KVM_GET_TSC_KHZ, 0);
	src.tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	error = choose_tsc(kvm, cfg, src.tsc_khz);
	if (error != 0)
		return (error);
	return (cpuid_policy_choose(
	    &kvm->cpuid, &topology, &src, cfg->cpu, cfg->err));
}

static int
set_tsc(struct kvm_cpu *cpu)
{
	int error;

	if (cpu->kvm->tsc_khz == 0)
		return (0);
	error =
	    kvm_ioctl_arg(cpu->fd, KVM_SET_TSC_KHZ, cpu->kvm->tsc_khz);
	return (error < 0 ? error : 0);
}

/*
 * The kernel fills in what depends on XCR0 and CR4, and answers leaves that
 * are not there as the processor's vendor does.
 */
int
kvm_cpuid_set(struct kvm_cpu *cpu)
{
	const struct cpuid_policy *p = &cpu->kvm->cpuid;
	const struct cpuid_dynamic dyn = {
		.apicid = cpuid_apicid(&p->topology, cpu->id),
		.xcr0 = 1,
		.apic_enabled = true,
	};
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[CPUID_MAX_LEAVES];
	} t;
	struct kvm_cpuid_entry2 *e;
	uint32_t r[4];
	int error;

	memset(&t, 0, sizeof(t));
	t.head.nent = p->nleaves;
	for (unsigned i = 0; i < p->nleaves; i++) {
		e = &t.entry[i];
		e->function = p->leaf[i].leaf;
		e->index = p->leaf[i].subleaf;
		if (p->leaf[i].indexed)
			e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid_query(p, &dyn, e->function, e->index, r);
		e->eax = r[0];
		e->ebx = r[1];
		e->ecx = r[2];
		e->edx = r[3];
	}
	error = kvm_ioctl(cpu->fd, KVM_SET_CPUID2, &t);
	return (error < 0 ? error : set_tsc(cpu));
}
