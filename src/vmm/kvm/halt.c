/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve ends a machine when every processor executes HLT with interrupts off,
 * since nothing will wake any of them. KVM keeps HLT in the kernel, which
 * waits then forever. So twice a second the first vcpu is asked where it is,
 * and each next one only if all before it are dead: waiting with interrupts
 * off, or for an INIT or SIPI. When all of them are, at the same places as
 * the last time, nothing can happen any more.
 */
#include "vmm/kvm/kvm.h"

#define RFLAGS_IF (1u << 9)

static bool
waits_for_ever(struct kvm_cpu *cpu)
{
	struct kvm_vcpu_events ev;
	struct kvm_mp_state mp;

	if (atomic_load(&cpu->nmi_req) ||
	    kvm_ioctl(cpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return (false);
	if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
	    mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return (true);
	if (mp.mp_state != KVM_MP_STATE_HALTED ||
	    (cpu->run->s.regs.regs.rflags & RFLAGS_IF) != 0)
		return (false);
	return (kvm_ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &ev) >= 0 &&
	    !ev.nmi.pending && !ev.nmi.injected);
}

void
kvm_halt_answer(struct kvm_cpu *cpu)
{
	const struct kvm_regs *r = &cpu->run->s.regs.regs;
	int same = atomic_exchange(&cpu->check_req, 0);
	struct kvm_vm *kvm = cpu->kvm;

	if (!waits_for_ever(cpu)) {
		cpu->dead_rip = 0;
		return;
	}
	/* RIP is behind an HLT, or what INIT made it: never 0. */
	if (r->rip != cpu->dead_rip || r->rsp != cpu->dead_rsp)
		same = KVM_CHECK_FIRST;
	cpu->dead_rip = r->rip;
	cpu->dead_rsp = r->rsp;
	if (cpu->id + 1 < kvm->ncpus) {
		atomic_store(&kvm->cpus[cpu->id + 1].check_req, same);
		kvm_poke(&kvm->cpus[cpu->id + 1]);
	} else if (same == KVM_CHECK_SAME)
		(void)vm_suspend(kvm->vm, VM_SUSPEND_HALT);
}

void
kvm_halt_check(void *arg)
{
	struct kvm_vm *kvm = arg;

	atomic_store(&kvm->cpus[0].check_req, KVM_CHECK_SAME);
	kvm_poke(&kvm->cpus[0]);
	vtimer_arm(&kvm->halt_check, vclock_now(kvm->vclock) + KVM_CHECK_NS);
}
