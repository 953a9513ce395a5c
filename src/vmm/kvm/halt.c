/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve ends a machine when every processor executes HLT with interrupts off,
 * since nothing will wake any of them. KVM keeps HLT in the kernel, which
 * waits then forever and tells nobody. So the first vcpu is asked where it is,
 * and each next one only if all before it are dead: waiting with interrupts
 * off, or for an INIT or SIPI. When all of them are, nothing can happen any
 * more. They are asked one after another, and one may wake another meanwhile:
 * two or more have to be at the same places twice.
 *
 * When: a guest that goes dead has mostly done something before for which it
 * came out (its last words on a console). It is asked when it has not come out
 * for KVM_QUIET_NS; and every KVM_CHECK_NS, since it need not. While it comes
 * out more often than that it is alive, and nobody disturbs it.
 */
#include "vmm/kvm/kvm.h"

#define RFLAGS_IF (1u << 9)
#define KVM_QUIET_NS 50000000ull
#define KVM_CHECK_NS 250000000ull

static void
arm(struct kvm_vm *kvm, uint64_t ns)
{
	vtimer_arm(&kvm->halt_check, vclock_now(kvm->vclock) + ns);
	atomic_store(&kvm->patient, ns == KVM_CHECK_NS);
}

static bool
waits_for_ever(struct kvm_cpu *cpu)
{
	struct kvm_vcpu_events ev;
	struct kvm_mp_state mp;

	/* An edge may be an NMI (intr.c). */
	if (atomic_load(&cpu->nmi_req) ||
	    atomic_load(&cpu->kvm->edges) != cpu->edges ||
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
	} else if (same == KVM_CHECK_SAME || kvm->ncpus == 1)
		(void)vm_suspend(kvm->vm, VM_SUSPEND_HALT);
	else
		arm(kvm, KVM_QUIET_NS);
}

void
kvm_halt_check(void *arg)
{
	struct kvm_vm *kvm = arg;

	if (atomic_exchange(&kvm->active, false)) {
		arm(kvm, KVM_QUIET_NS);
		return;
	}
	arm(kvm, KVM_CHECK_NS);
	atomic_store(&kvm->cpus[0].check_req, KVM_CHECK_SAME);
	kvm_poke(&kvm->cpus[0]);
}

/* Two threads may arm it at once: one that goes off late is no harm. */
void
kvm_halt_active(struct kvm_vm *kvm)
{
	if (atomic_load_explicit(&kvm->active, memory_order_relaxed))
		return;
	atomic_store(&kvm->active, true);
	if (atomic_exchange(&kvm->patient, false))
		arm(kvm, KVM_QUIET_NS);
}

void
kvm_halt_start(struct kvm_vm *kvm)
{
	atomic_store(&kvm->active, false);
	arm(kvm, KVM_CHECK_NS);
}
