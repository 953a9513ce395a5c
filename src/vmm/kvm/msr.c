/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs. What the processor or the kernel's APIC works with is the kernel's;
 * the rest of the table in vmm/msr.h is kept there, for both engines alike:
 * the filter (KVM_X86_SET_MSR_FILTER, api.rst 4.97) sends it here, and
 * KVM_CAP_X86_USER_SPACE_MSR (7.21) what the kernel does not know.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/kvm.h"

/* In vmm/msr.h, but the kernel's here: they have an effect. */
static bool
is_kernels(uint32_t msr)
{
	switch (msr) {
	case 0x48:  /* SPEC_CTRL */
	case 0x49:  /* PRED_CMD */
	case 0x10a: /* ARCH_CAPABILITIES: what this processor has */
	case 0x10b: /* FLUSH_CMD */
	case 0x1d9: /* DEBUGCTL and what it records */
	case 0x1db:
	case 0x1dc:
	case 0x1dd:
	case 0x1de:
	case 0x277: /* PAT */
		return (true);
	default:
		return (false);
	}
}

/* `m` is any that was reset. */
static bool
in_table(const struct kvm_vm *kvm, struct vmm_msrs *m, uint32_t msr)
{
	uint64_t val;

	if (is_kernels(msr) || (msr >= 0x800 && msr < 0x900))
		return (false);
	return (vmm_msr_read(m, &kvm->cpuid, msr, &val) != -ENOENT);
}

static bool
is_ours(const struct kvm_vm *kvm, uint32_t msr)
{
	struct vmm_msrs m;

	vmm_msrs_reset(&m);
	return (in_table(kvm, &m, msr));
}

#define FILTER_BYTES 0x200u

int
kvm_msr_filter(struct kvm_vm *kvm)
{
	/* Where the table has any, eight MSRs to a byte. */
	static const struct {
		uint32_t base, n;
	} areas[] = { { 0, 0xd10 }, { 0xc0010000, 0x300 },
		{ 0xc0011000, 0x40 } };
	enum { AREAS = sizeof(areas) / sizeof(areas[0]) };
	uint8_t bits[AREAS][FILTER_BYTES];
	struct kvm_msr_filter f;
	struct vmm_msrs m;
	int error;

	vmm_msrs_reset(&m);
	memset(&f, 0, sizeof(f));
	f.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
	memset(bits, 0, sizeof(bits));
	for (unsigned a = 0; a < AREAS; a++) {
		for (uint32_t i = 0; i < areas[a].n; i++)
			if (!in_table(kvm, &m, areas[a].base + i))
				bits[a][i / 8] |= (uint8_t)(1u << (i % 8));
		f.ranges[a].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
		f.ranges[a].base = areas[a].base;
		f.ranges[a].nmsrs = areas[a].n;
		f.ranges[a].bitmap = bits[a];
	}
	error = kvm_ioctl(kvm->fd, KVM_X86_SET_MSR_FILTER, &f);
	return (error < 0 ? error : 0);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int
kvm_get_msr(void *priv, unsigned id, uint32_t msr, uint64_t *val)
{
	struct kvm_vm *kvm = priv;
	struct kvm_cpu *cpu = &kvm->cpus[id];
	struct one_msr m = { .head.nmsrs = 1, .entry.index = msr };
	int error;

	if (is_ours(kvm, msr))
		return (vmm_msr_read(&cpu->msrs, &kvm->cpuid, msr, val));
	/* Registers that were set and are not in the kernel yet. */
	if (cpu->sregs_dirty) {
		error = kvm_state_flush(cpu);
		if (error != 0)
			return (error);
	}
	error = kvm_ioctl(cpu->fd, KVM_GET_MSRS, &m);
	if (error == 0)
		return (-ENOENT);
	*val = m.entry.data;
	return (error < 0 ? error : 0);
}

int
kvm_set_msr(void *priv, unsigned id, uint32_t msr, uint64_t val)
{
	struct kvm_vm *kvm = priv;
	struct kvm_cpu *cpu = &kvm->cpus[id];
	struct one_msr m = { .head.nmsrs = 1,
		.entry.index = msr,
		.entry.data = val };
	int error = 0;

	if (is_ours(kvm, msr))
		return (vmm_msr_write(&cpu->msrs, &kvm->cpuid, msr, val));
	/* EFER, the bases and the APIC's are among the special registers:
	 * those go first and are read anew. */
	if (cpu->sregs_dirty)
		error = kvm_state_flush(cpu);
	cpu->sregs_valid = false;
	if (error == 0)
		error = kvm_ioctl(cpu->fd, KVM_SET_MSRS, &m);
	if (error == 0) {
		/* Not there, or not with this value. */
		error = kvm_ioctl(cpu->fd, KVM_GET_MSRS, &m);
		return (error == 0 ? -ENOENT : error < 0 ? error : -EPERM);
	}
	return (error < 0 ? error : 0);
}

bool
kvm_msr_exit(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	struct kvm_run *run = cpu->run;
	bool write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	uint32_t msr = run->msr.index;
	uint64_t val = 0;
	int error = -ENOENT;

	if (!is_kernels(msr))
		error = write ? vmm_msr_write(&cpu->msrs, &cpu->kvm->cpuid,
				    msr, run->msr.data) :
				vmm_msr_read(&cpu->msrs, &cpu->kvm->cpuid,
				    msr, &val);
	if (error == -ENOENT) {
		exit->exitcode =
		    write ? VM_EXITCODE_WRMSR : VM_EXITCODE_RDMSR;
		exit->u.msr.code = msr;
		exit->u.msr.wval = write ? run->msr.data : 0;
		exit->rip = run->s.regs.regs.rip;
		cpu->msr_wait = true;
		return (true);
	}
	run->msr.error = error != 0;
	if (!write)
		run->msr.data = val;
	return (false);
}

int
kvm_complete_msr(void *priv, unsigned id, bool gp, uint64_t val)
{
	struct kvm_cpu *cpu = &((struct kvm_vm *)priv)->cpus[id];

	if (!cpu->msr_wait)
		return (-EINVAL);
	cpu->msr_wait = false;
	cpu->run->msr.error = gp;
	if (cpu->run->exit_reason == KVM_EXIT_X86_RDMSR)
		cpu->run->msr.data = val;
	return (0);
}
