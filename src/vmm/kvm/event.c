/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel does for devices without a way through the vcpu's thread:
 * its table of routes, irqfds and ioeventfds (api.rst 4.52, 4.75, 4.59).
 *
 * Of a level-triggered interrupt the board wants to know the EOI, and the
 * kernel tells of those vectors that its table has as such
 * (KVM_CAP_SPLIT_IRQCHIP, 7.5). The messages of an IOAPIC are known when it
 * first sends them: they are entered then, before they are sent.
 *
 * A message that was sent some times is a queue's and will be sent again: it
 * gets a route and an eventfd of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/kvm/kvm.h"

#define SENT_OFTEN 8u
#define BELLS_MAX 4096u

/* Lock held, or nobody runs. */
static int
routes_write(struct kvm_vm *kvm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[KVM_ROUTES];
	} t;
	struct kvm_irq_routing_entry *e;
	const struct kvm_route *r;
	int error;

	memset(&t, 0, sizeof(t));
	for (unsigned i = 0; i < KVM_ROUTES; i++) {
		r = &kvm->route[i];
		if (!r->used || (i >= KVM_EOI_ROUTES && r->fd < 0))
			continue;
		e = &t.entry[t.head.nr++];
		e->gsi = i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)r->addr;
		e->u.msi.data = r->data;
	}
	error = kvm_ioctl(kvm->fd, KVM_SET_GSI_ROUTING, &t);
	return (error < 0 ? error : 0);
}

void
kvm_event_init(struct kvm_vm *kvm)
{
	pthread_mutex_init(&kvm->route_lock, NULL);
	for (unsigned i = 0; i < KVM_ROUTES; i++)
		kvm->route[i].fd = -1;
}

void
kvm_event_reset(struct kvm_vm *kvm)
{
	pthread_mutex_lock(&kvm->route_lock);
	for (unsigned i = 0; i < KVM_ROUTES; i++) {
		if (kvm->route[i].fd >= 0)
			(void)close(kvm->route[i].fd);
		kvm->route[i] = (struct kvm_route){ .fd = -1 };
	}
	kvm->eoi_next = 0;
	for (unsigned i = 0; i < 4; i++) {
		atomic_store(&kvm->edge_eoi[i], 0);
		atomic_store(&kvm->level_eoi[i], 0);
	}
	pthread_mutex_unlock(&kvm->route_lock);
}

void
kvm_event_fini(struct kvm_vm *kvm)
{
	kvm_event_reset(kvm);
	free(kvm->bells);
	pthread_mutex_destroy(&kvm->route_lock);
}

static struct kvm_route *
find(struct kvm_vm *kvm, unsigned first, unsigned n, uint64_t addr,
    uint32_t data)
{
	for (unsigned i = first; i < first + n; i++)
		if (kvm->route[i].used && kvm->route[i].addr == addr &&
		    kvm->route[i].data == data)
			return (&kvm->route[i]);
	return (NULL);
}

/* The oldest makes room: an IOAPIC has fewer pins than there is room, so that
 * it sends that message no more. */
static int
want(struct kvm_vm *kvm, uint64_t addr, uint32_t data)
{
	int error = 0;

	pthread_mutex_lock(&kvm->route_lock);
	if (find(kvm, 0, KVM_EOI_ROUTES, addr, data) == NULL) {
		kvm->route[kvm->eoi_next] = (struct kvm_route){
			.addr = addr, .data = data, .used = true, .fd = -1 };
		kvm->eoi_next = (kvm->eoi_next + 1) % KVM_EOI_ROUTES;
		error = routes_write(kvm);
	}
	pthread_mutex_unlock(&kvm->route_lock);
	return (error);
}

static void
note(_Atomic uint64_t vectors[4], uint8_t vector)
{
	atomic_fetch_or(&vectors[vector / 64], 1ull << vector % 64);
}

static bool
noted(_Atomic uint64_t vectors[4], uint8_t vector)
{
	return (atomic_load(&vectors[vector / 64]) >> vector % 64 & 1);
}

int
kvm_want_eoi(struct kvm_vm *kvm, uint64_t addr, uint32_t data)
{
	note(kvm->level_eoi, data & 0xff);
	return (want(kvm, addr, data));
}

/*
 * The kernel looks at the vector of an EOI alone: it tells of a message that is
 * sent as an edge if its table has a level-triggered one with that vector. (An
 * APIC that AMD's processor runs by itself, AVIC, does not tell even so.)
 */
void
kvm_want_edge(void *priv, uint64_t addr, uint32_t data)
{
	struct kvm_vm *kvm = priv;

	/* Fixed or lowest priority: others have no vector. */
	if ((data >> 8 & 7) > 1)
		return;
	note(kvm->edge_eoi, data & 0xff);
	(void)want(kvm, addr, data | MSI_LEVEL);
}

void
kvm_eoi_exit(struct kvm_cpu *cpu)
{
	struct kvm_vm *kvm = cpu->kvm;
	uint8_t vector = cpu->run->eoi.vector;

	if (kvm->ops->eoi == NULL)
		return;
	/* Which of two kinds it was is not told. Pins of the one do not mind
	 * the other's. */
	if (noted(kvm->edge_eoi, vector))
		kvm->ops->eoi(kvm->ops_arg, cpu->vcpu, vector, false);
	if (noted(kvm->level_eoi, vector))
		kvm->ops->eoi(kvm->ops_arg, cpu->vcpu, vector, true);
}

/* ---- irqfds ---- */

static int
irqfd(struct kvm_vm *kvm, struct kvm_route *r, bool on)
{
	struct kvm_irqfd f;
	int error;

	memset(&f, 0, sizeof(f));
	f.fd = (uint32_t)r->fd;
	f.gsi = (uint32_t)(r - kvm->route);
	f.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN;
	error = kvm_ioctl(kvm->fd, KVM_IRQFD, &f);
	return (error < 0 ? error : 0);
}

static void
drop(struct kvm_vm *kvm, struct kvm_route *r)
{
	if (r->fd >= 0) {
		(void)irqfd(kvm, r, false);
		(void)close(r->fd);
	}
	*r = (struct kvm_route){ .fd = -1 };
}

/* A place for a message that has none: the one that was not used longest. */
static struct kvm_route *
make_room(struct kvm_vm *kvm)
{
	struct kvm_route *r, *oldest = &kvm->route[KVM_EOI_ROUTES];

	for (unsigned i = KVM_EOI_ROUTES; i < KVM_ROUTES; i++) {
		r = &kvm->route[i];
		if (!r->used)
			return (r);
		if (r->last < oldest->last)
			oldest = r;
	}
	drop(kvm, oldest);
	return (oldest);
}

static void
promote(struct kvm_vm *kvm, struct kvm_route *r)
{
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->fd < 0)
		return;
	if (routes_write(kvm) != 0 || irqfd(kvm, r, true) != 0) {
		/* It goes on without, and is not tried again soon. */
		(void)close(r->fd);
		r->fd = -1;
		r->sent = 0;
	}
}

bool
kvm_send_irqfd(struct kvm_vm *kvm, uint64_t addr, uint32_t data)
{
	const uint64_t one = 1;
	struct kvm_route *r;
	bool sent = false;

	pthread_mutex_lock(&kvm->route_lock);
	r = find(kvm, KVM_EOI_ROUTES, KVM_IRQFD_ROUTES, addr, data);
	if (r == NULL) {
		r = make_room(kvm);
		*r = (struct kvm_route){
			.addr = addr, .data = data, .used = true, .fd = -1 };
	}
	r->last = ++kvm->messages;
	if (r->fd < 0 && ++r->sent == SENT_OFTEN)
		promote(kvm, r);
	if (r->fd >= 0)
		sent = write(r->fd, &one, sizeof(one)) == sizeof(one);
	pthread_mutex_unlock(&kvm->route_lock);
	if (sent)
		atomic_fetch_add_explicit(
		    &kvm->by_irqfd, 1, memory_order_relaxed);
	return (sent);
}

/* ---- ioeventfds ---- */

static int
ioeventfd(struct kvm_vm *kvm, const struct kvm_doorbell *d, bool on)
{
	struct kvm_ioeventfd e;
	int error;

	memset(&e, 0, sizeof(e));
	e.addr = d->addr;
	e.len = d->size;
	e.fd = d->fd;
	e.flags = (d->port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
	    (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN);
	if (d->match >= 0) {
		e.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		e.datamatch = (uint64_t)d->match;
	} else if (!d->port &&
	    kvm_check(kvm->sys, KVM_CAP_IOEVENTFD_ANY_LENGTH) != 0)
		e.len = 0; /* the kernel need not decode the instruction */
	error = kvm_ioctl(kvm->fd, KVM_IOEVENTFD, &e);
	return (error < 0 ? error : 0);
}

/* Lock held. */
static int
bell_on(struct kvm_vm *kvm, const struct kvm_doorbell *d)
{
	struct kvm_doorbell *p;
	int error;

	if (kvm->nbells == BELLS_MAX)
		return (-ENOSPC);
	p = realloc(kvm->bells, (kvm->nbells + 1) * sizeof(*p));
	if (p == NULL)
		return (-ENOMEM);
	kvm->bells = p;
	error = ioeventfd(kvm, d, true);
	if (error == 0)
		p[kvm->nbells++] = *d;
	return (error);
}

static int
bell_off(struct kvm_vm *kvm, const struct kvm_doorbell *d)
{
	const struct kvm_doorbell *b;

	for (unsigned i = 0; i < kvm->nbells; i++) {
		b = &kvm->bells[i];
		if (b->port != d->port || b->addr != d->addr ||
		    b->match != d->match || b->fd != d->fd)
			continue;
		kvm->bells[i] = kvm->bells[--kvm->nbells];
		return (ioeventfd(kvm, d, false));
	}
	return (-ENOENT);
}

int
kvm_doorbell(void *priv, bool port, uint64_t addr, unsigned size,
    int64_t match, int fd, bool on)
{
	const struct kvm_doorbell d = { port, addr, size, match, fd };
	struct kvm_vm *kvm = priv;
	int error;

	pthread_mutex_lock(&kvm->route_lock);
	error = on ? bell_on(kvm, &d) : bell_off(kvm, &d);
	pthread_mutex_unlock(&kvm->route_lock);
	return (error);
}

int
kvm_doorbells_again(struct kvm_vm *kvm)
{
	int error = 0;

	for (unsigned i = 0; i < kvm->nbells && error == 0; i++)
		error = ioeventfd(kvm, &kvm->bells[i], true);
	return (error);
}
