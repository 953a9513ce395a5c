/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts into the vcpus. Messages go to the kernel's APICs at once, from
 * any thread. The PIC's interrupt and NMIs are the vcpu's thread's to inject.
 *
 * Of a level-triggered interrupt the board wants to know the EOI, and the
 * kernel tells of those vectors that its table of routes has as such
 * (KVM_CAP_SPLIT_IRQCHIP, api.rst 7.5). The messages of an IOAPIC are known
 * when it first sends them: they are entered then, before they are sent.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vmm/kvm/kvm.h"

#define MSI_BASE 0xfee00000ull
#define MSI_LEVEL 0x8000u
#define MSI_MODE(data) (((data) >> 8) & 7)

int
kvm_routes_write(struct kvm_vm *kvm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[KVM_EOI_ROUTES];
	} t;
	struct kvm_irq_routing_entry *e;
	int error;

	memset(&t, 0, sizeof(t));
	for (unsigned i = 0; i < KVM_EOI_ROUTES; i++) {
		if (!kvm->eoi[i].used)
			continue;
		e = &t.entry[t.head.nr++];
		e->gsi = i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)kvm->eoi[i].addr;
		e->u.msi.data = kvm->eoi[i].data;
	}
	error = kvm_ioctl(kvm->fd, KVM_SET_GSI_ROUTING, &t);
	return (error < 0 ? error : 0);
}

/* The oldest makes room: an IOAPIC has fewer pins than there is room, so that
 * it sends that message no more. */
static int
want_eoi(struct kvm_vm *kvm, uint64_t addr, uint32_t data)
{
	struct kvm_route *r;
	unsigned i;
	int error = 0;

	pthread_mutex_lock(&kvm->route_lock);
	for (i = 0; i < KVM_EOI_ROUTES; i++) {
		r = &kvm->eoi[i];
		if (r->used && r->addr == addr && r->data == data)
			break;
	}
	if (i == KVM_EOI_ROUTES) {
		r = &kvm->eoi[kvm->eoi_next];
		kvm->eoi_next = (kvm->eoi_next + 1) % KVM_EOI_ROUTES;
		*r = (struct kvm_route){ addr, data, true };
		error = kvm_routes_write(kvm);
	}
	pthread_mutex_unlock(&kvm->route_lock);
	return (error);
}

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
		error = want_eoi(kvm, addr, data);
	memset(&msi, 0, sizeof(msi));
	msi.address_lo = (uint32_t)addr;
	msi.data = data;
	if (error == 0)
		error = kvm_ioctl(kvm->fd, KVM_SIGNAL_MSI, &msi);
	/* 0: no APIC took it, as it may be on any board. */
	return (error < 0 ? error : 0);
}

/* LINT0 of all; which of them listens, the kernel knows. */
void
kvm_extint(void *priv, bool level)
{
	struct kvm_vm *kvm = priv;

	if (atomic_exchange(&kvm->extint, level) == level || !level)
		return;
	for (unsigned i = 0; i < kvm->ncpus; i++)
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

	if (atomic_exchange(&cpu->nmi_req, false))
		error = kvm_ioctl(cpu->fd, KVM_NMI, NULL);
	if (error < 0)
		return (error);
	cpu->run->request_interrupt_window = 0;
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
