/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts into the vcpus. Messages go to the kernel's APICs at once, from
 * any thread. The PIC's interrupt and NMIs are the vcpu's thread's to inject.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vmm/kvm/kvm.h"

#define MSI_BASE 0xfee00000ull
#define APIC_SVR 0xf0u
#define APIC_LINT0 0x350u
#define SVR_ENABLE 0x100u
#define APIC_BASE_ENABLE 0x800u
#define LVT_MASKED 0x10000u
#define MSI_MODE(data) (((data) >> 8) & 7)

int
kvm_msi(void *priv, uint64_t addr, uint32_t data)
{
	struct kvm_vm *kvm = priv;
	struct kvm_msi msi;
	int error = 0;

	/* SDM volume 3, 11.11. */
	if ((addr & ~0xfffffull) != MSI_BASE)
		return (-EINVAL);
	if (MSI_MODE(data) == 7) {
		/* ExtINT: the PIC has the vector. */
		for (unsigned i = 0; i < kvm->ncpus; i++)
			kvm_poke(&kvm->cpus[i]);
		return (0);
	}
	/* No SMI here, and INIT is the processors' own. */
	if (MSI_MODE(data) > 1 && MSI_MODE(data) != 4)
		return (0);
	if ((data & MSI_LEVEL) != 0)
		error = kvm_want_eoi(kvm, addr, data);
	else if (kvm_send_irqfd(kvm, addr, data))
		return (0);
	atomic_fetch_add_explicit(&kvm->by_ioctl, 1, memory_order_relaxed);
	memset(&msi, 0, sizeof(msi));
	msi.address_lo = (uint32_t)addr;
	msi.data = data;
	if (error == 0)
		error = kvm_ioctl(kvm->fd, KVM_SIGNAL_MSI, &msi);
	/* 0: no APIC took it, as it may be on any board. */
	return (error < 0 ? error : 0);
}

/*
 * LINT0 of all; which of them listens, the kernel knows. A vcpu that had it
 * masked is not woken at each edge: it need not be, as the kernel tells when it
 * takes ExtINT again (kvm_inject_pending()); of other modes nobody tells, so
 * that it looks itself now and then.
 */
#define DEAF_EDGES 16u

void
kvm_extint(void *priv, bool level)
{
	struct kvm_vm *kvm = priv;
	bool all;

	if (atomic_exchange(&kvm->extint, level) == level || !level)
		return;
	all = atomic_fetch_add(&kvm->edges, 1) % DEAF_EDGES == 0;
	for (unsigned i = 0; i < kvm->ncpus; i++)
		if (all || !atomic_load(&kvm->cpus[i].deaf))
			kvm_poke(&kvm->cpus[i]);
}

void
kvm_nmi(void *priv, unsigned id)
{
	struct kvm_vm *kvm = priv;

	atomic_store(&kvm->cpus[id].nmi_req, true);
	kvm_poke(&kvm->cpus[id]);
}

/*
 * The PIC's output rose, and this APIC does not take it as ExtINT: perhaps as
 * something else (SDM volume 3, 11.5.1), which the kernel leaves to us. Only
 * the edge is done; an entry in level mode gets one interrupt by each.
 */
static int
lint0_edge(struct kvm_cpu *cpu)
{
	struct kvm_lapic_state l;
	uint32_t lvt, svr;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_LAPIC, &l);
	if (error < 0)
		return (error);
	memcpy(&lvt, l.regs + APIC_LINT0, sizeof(lvt));
	memcpy(&svr, l.regs + APIC_SVR, sizeof(svr));
	/* A disabled APIC has its registers, but does not act by them. */
	if ((cpu->run->apic_base & APIC_BASE_ENABLE) != 0)
		atomic_store(&cpu->deaf, (lvt & LVT_MASKED) != 0);
	if ((svr & SVR_ENABLE) == 0 || (lvt & LVT_MASKED) != 0)
		return (0);
	if (MSI_MODE(lvt) == 4)
		return (kvm_ioctl(cpu->fd, KVM_NMI, NULL));
	if (MSI_MODE(lvt) == 0)
		return (kvm_msi(cpu->kvm,
		    MSI_BASE |
			(uint64_t)cpuid_apicid(
			    &cpu->kvm->cpuid.topology, cpu->id)
			    << 12,
		    lvt & 0xff));
	return (0);
}

/*
 * The INTA cycle is run only when the vcpu takes the interrupt at once: a
 * vector that waits cannot be given back. Otherwise the kernel is asked to
 * return when it can be taken (KVM_EXIT_IRQ_WINDOW_OPEN).
 */
int
kvm_inject_pending(struct kvm_cpu *cpu)
{
	struct kvm_vm *kvm = cpu->kvm;
	struct kvm_interrupt irq;
	int v, error = 0;
	uint32_t edges;

	if (atomic_exchange(&cpu->nmi_req, false))
		error = kvm_ioctl(cpu->fd, KVM_NMI, NULL);
	if (error < 0)
		return (error);
	/* It takes ExtINT, deaf or not: it is so no more. Who is deaf has the
	 * window asked for, so that the kernel returns when that changes. */
	if (cpu->run->ready_for_interrupt_injection)
		atomic_store(&cpu->deaf, false);
	edges = atomic_load(&kvm->edges);
	if (edges != cpu->edges && !cpu->run->ready_for_interrupt_injection)
		error = lint0_edge(cpu);
	cpu->edges = edges;
	if (error < 0)
		return (error);
	cpu->run->request_interrupt_window = atomic_load(&cpu->deaf);
	if (!atomic_load(&kvm->extint))
		return (0);
	if (!cpu->run->ready_for_interrupt_injection) {
		cpu->run->request_interrupt_window = 1;
		return (0);
	}
	v = kvm->ops->intr_ack != NULL ? kvm->ops->intr_ack(kvm->ops_arg) : -1;
	trace(TRACE_intr, "vcpu %u: the pic's vector %d", cpu->id, v);
	if (v < 0)
		return (0);
	irq.irq = (uint32_t)v;
	error = kvm_ioctl(cpu->fd, KVM_INTERRUPT, &irq);
	/* There may be another one behind it, but not before this one. */
	cpu->run->ready_for_interrupt_injection = 0;
	cpu->run->request_interrupt_window = atomic_load(&kvm->extint);
	return (error == -EEXIST ? 0 : error < 0 ? error : 0);
}
