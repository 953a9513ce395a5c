/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vcpu's loop around KVM_RUN (api.rst 4.10, and section 5 for struct
 * kvm_run).
 *
 * Who wants something of a vcpu stores what, then calls kvm_poke(). The vcpu
 * says that it is inside before it looks at what is asked of it; so either it
 * sees that, or the other sees that it is inside and sends the signal. That
 * is blocked but for KVM_RUN (KVM_SET_SIGNAL_MASK, 4.14), which then returns
 * at once: no handler runs, and no call of a device is interrupted.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "vmm/kvm/kvm.h"

void
kvm_poke(struct kvm_cpu *cpu)
{
	pthread_t thread;

	if (!atomic_load(&cpu->inside))
		return;
	thread = atomic_load(&cpu->thread);
	/* Itself: it looks before it enters. */
	if (!pthread_equal(thread, pthread_self()))
		(void)pthread_kill(thread, KVM_KICK_SIGNAL);
}

void
kvm_kick(void *priv, unsigned id)
{
	struct kvm_vm *kvm = priv;

	atomic_store(&kvm->cpus[id].kick_req, true);
	kvm_poke(&kvm->cpus[id]);
}

/* The signal that ended KVM_RUN, if one did, has done its work. */
static void
take_signal(void)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, KVM_KICK_SIGNAL);
	(void)sigtimedwait(&set, NULL, &now);
}

/* This thread runs the vcpu from now on. */
static int
adopt(struct kvm_cpu *cpu)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t bits;
	} m;
	sigset_t set, old;
	int error;

	if (pthread_equal(atomic_load(&cpu->thread), pthread_self()))
		return (0);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, KVM_KICK_SIGNAL);
	error = pthread_sigmask(SIG_BLOCK, &set, &old);
	if (error != 0)
		return (-error);
	(void)sigdelset(&old, KVM_KICK_SIGNAL);
	m.head.len = sizeof(m.bits);
	memcpy(m.head.sigset, &old, sizeof(m.bits));
	error = kvm_ioctl(cpu->fd, KVM_SET_SIGNAL_MASK, &m);
	if (error < 0)
		return (error);
	atomic_store(&cpu->thread, pthread_self());
	return (0);
}

/* Its own thread's; others only read it. */
static void
count(_Atomic uint64_t *n)
{
	atomic_store_explicit(n,
	    atomic_load_explicit(n, memory_order_relaxed) + 1,
	    memory_order_relaxed);
}

static bool
engine_exit(struct kvm_cpu *cpu, struct vm_exit *exit, const char *fmt,
    unsigned long long a, unsigned long long b)
{
	exit->exitcode = VM_EXITCODE_ENGINE;
	(void)snprintf(
	    exit->u.engine.reason, sizeof(exit->u.engine.reason), fmt, a, b);
	exit->u.engine.inst_len =
	    (uint8_t)kvm_insn_bytes(cpu, exit->u.engine.inst);
	return (true);
}

/* An instruction that the kernel cannot execute, or an event it cannot
 * deliver. */
static bool
internal_error(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	const struct kvm_run *run = cpu->run;
	int error;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		error = kvm_complete_insn(cpu);
		if (error == 0)
			return (false);
		return (engine_exit(cpu, exit,
		    "KVM cannot execute this instruction, and neither can we "
		    "(%llu)", (unsigned long long)-error, 0));
	}
	return (engine_exit(cpu, exit,
	    "KVM stopped with internal error %llu (0x%llx)",
	    run->internal.suberror,
	    run->internal.ndata > 0 ? run->internal.data[0] : 0));
}

/* api.rst, KVM_EXIT_SYSTEM_EVENT. */
static void
system_event(struct kvm_cpu *cpu)
{
	switch (cpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		(void)vm_suspend(cpu->kvm->vm, VM_SUSPEND_POWEROFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		(void)vm_suspend(cpu->kvm->vm, VM_SUSPEND_RESET);
		break;
	default: /* CRASH: the guest tells; it goes on */
		break;
	}
}

/* Its ring is full, as far as the kernel lets it be. */
static bool
ring_full(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	int error = kvm_ring_full(cpu);

	count(&cpu->ring_full);
	return (error != 0 &&
	    engine_exit(cpu, exit, "KVM does not clear its dirty ring (%llu)",
		(unsigned long long)-error, 0));
}

/* What KVM_RUN returned for. True: *exit is for the caller. */
static bool
handle(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		cpu->completion = true;
		kvm_port_exit(cpu);
		return (false);
	case KVM_EXIT_MMIO:
		cpu->completion = true;
		kvm_mem_exit(cpu);
		return (false);
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		cpu->completion = true;
		return (kvm_msr_exit(cpu, exit));
	case KVM_EXIT_IOAPIC_EOI:
		kvm_eoi_exit(cpu);
		return (false);
	case KVM_EXIT_SHUTDOWN:
		(void)vm_suspend(cpu->kvm->vm, VM_SUSPEND_TRIPLEFAULT);
		return (false);
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(cpu);
		return (false);
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR:
		return (false);
	case KVM_EXIT_HLT: /* not with the APIC in the kernel */
		exit->exitcode = VM_EXITCODE_HLT;
		exit->u.hlt.rflags = run->s.regs.regs.rflags;
		return (true);
	case KVM_EXIT_DEBUG:
		return (kvm_debug_exit(cpu, exit));
	case KVM_EXIT_DIRTY_RING_FULL:
		return (ring_full(cpu, exit));
	case KVM_EXIT_INTERNAL_ERROR:
		return (internal_error(cpu, exit));
	case KVM_EXIT_FAIL_ENTRY:
		return (engine_exit(cpu, exit,
		    "the processor refused the vcpu's state (0x%llx)",
		    run->fail_entry.hardware_entry_failure_reason, 0));
	default:
		return (engine_exit(cpu, exit,
		    "KVM stopped for reason %llu (0x%llx)", run->exit_reason,
		    run->hw.hardware_exit_reason));
	}
}

/* Has the vcpu to come out? */
static bool
leaves(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	int how = atomic_load(&cpu->kvm->suspend);

	if (how != VM_SUSPEND_NONE) {
		exit->exitcode = VM_EXITCODE_SUSPENDED;
		exit->u.suspended.how = (enum vm_suspend_how)how;
		/* It will not run again. */
		cpu->completion = false;
		return (true);
	}
	if (atomic_load(&cpu->kick_req)) {
		exit->exitcode = VM_EXITCODE_BOGUS;
		return (true);
	}
	return (false);
}

static void
come_out(struct kvm_cpu *cpu)
{
	atomic_store(&cpu->inside, false);
	kvm_ring_out(cpu);
}

/*
 * One KVM_RUN. With immediate_exit it only takes the answer to the last exit
 * and returns -EINTR. False: out, with *exit.
 */
static bool
one_round(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	bool leave;
	int error;

	atomic_store(&cpu->inside, true);
	error = kvm_state_flush(cpu);
	if (error == 0)
		error = kvm_inject_pending(cpu);
	leave = leaves(cpu, exit);
	if (leave && !cpu->completion) {
		come_out(cpu);
		if (exit->exitcode == VM_EXITCODE_BOGUS)
			atomic_store(&cpu->kick_req, false);
		return (false);
	}
	cpu->run->immediate_exit = leave;
	if (error == 0)
		error = kvm_ioctl_arg(cpu->fd, KVM_RUN, 0);
	come_out(cpu);
	if (error >= 0) {
		cpu->completion = false;
		count(&cpu->exits);
		kvm_halt_active(cpu->kvm);
		return (!handle(cpu, exit));
	}
	if (error == -EINTR || error == -EAGAIN) {
		cpu->completion = false;
		count(&cpu->signals);
		if (!leave && error == -EINTR)
			take_signal();
		if (atomic_load(&cpu->check_req) != 0)
			kvm_halt_answer(cpu);
		return (true);
	}
	trace(TRACE_intr, "vcpu %u: KVM_RUN: %d", cpu->id, error);
	(void)engine_exit(cpu, exit,
	    error == -EINVAL ? "KVM refused the vcpu's registers (%llu)" :
	    error == -EFAULT ? "the host has no memory for the guest (%llu)" :
			       "KVM cannot run the vcpu (%llu)",
	    (unsigned long long)-error, 0);
	return (false);
}

int
kvm_run(void *priv, unsigned id, struct vm_exit *exit)
{
	struct kvm_vm *kvm = priv;
	struct kvm_cpu *cpu = &kvm->cpus[id];
	int error;

	memset(exit, 0, sizeof(*exit));
	error = adopt(cpu);
	if (error != 0)
		return (error);
	error = kvm_debug_enter(cpu, exit);
	if (error < 0)
		return (error);
	while (error == 0 && one_round(cpu, exit))
		;
	exit->rip = cpu->run->s.regs.regs.rip;
	return (0);
}
