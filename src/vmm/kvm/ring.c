/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log by rings (KVM_CAP_DIRTY_LOG_RING, api.rst 8.29): one for each
 * vcpu, which the kernel fills with the pages that it writes. Who asks takes
 * what is there to gmem's marks, in order (an entry's flags say whose it is),
 * and tells the kernel (KVM_RESET_DIRTY_RINGS), which will then notice the
 * next write to those pages. With rings the kernel keeps no bitmaps.
 *
 * A page that was taken and not yet told of is written unnoticed. So taking,
 * telling and gmem's marks are one step, under dirty_lock: otherwise somebody
 * could be given a mark and read the page before that.
 *
 * A processor may keep pages to itself until the vcpu comes out (VT-x: PML).
 * So every vcpu comes out before a ring is looked at.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"

/*
 * Entries, a power of two; 16 bytes each of the kernel's memory for each vcpu,
 * whether a log is on or not. The kernel keeps 64 in reserve, and 512 where
 * there is PML. With the rest a vcpu comes out once in at least 3520 pages,
 * each of which was an exit in the kernel: that costs nothing that one sees.
 */
#define RING_ENTRIES 4096u
#define RING_SIZE (RING_ENTRIES * sizeof(struct kvm_dirty_gfn))
/* Tries without success, of what the kernel may leave half done for a
 * signal. */
#define RESET_TRIES 100u

static bool
enable(struct kvm_vm *kvm, uint32_t cap)
{
	struct kvm_enable_cap c;

	memset(&c, 0, sizeof(c));
	c.cap = cap;
	c.args[0] = RING_SIZE;
	return (kvm_ioctl(kvm->fd, KVM_ENABLE_CAP, &c) >= 0);
}

/* Trying is asking. The names differ in how the flags are to be read, which is
 * the same on x86; all kernels with rings have had the first one there. */
void
kvm_ring_enable(struct kvm_vm *kvm)
{
	kvm->ring_taken = 0;
	kvm->ring = !kvm->no_ring &&
	    (enable(kvm, KVM_CAP_DIRTY_LOG_RING) ||
		enable(kvm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
}

int
kvm_ring_open(struct kvm_vm *kvm)
{
	void *p;

	for (unsigned i = 0; kvm->ring && i < kvm->ncpus; i++) {
		if (kvm->cpus[i].ring != NULL)
			continue;
		p = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    kvm->cpus[i].fd, KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
		if (p == MAP_FAILED)
			return (-errno);
		kvm->cpus[i].ring = p;
	}
	return (0);
}

void
kvm_ring_close(struct kvm_cpu *cpu)
{
	if (cpu->ring != NULL)
		(void)munmap(cpu->ring, RING_SIZE);
	cpu->ring = NULL;
	/* The next vcpu's begins at its first entry. */
	cpu->ring_next = 0;
}

static void
mark(struct kvm_vm *kvm, uint32_t slot, uint64_t offset)
{
	uint64_t page;

	if (kvm_slot_page(kvm, slot, offset, &page))
		atomic_fetch_or(&gmem_dirty_bits(kvm->gmem)[page / 64],
		    1ull << (page % 64));
}

/* How many there were. What this has taken stays the kernel's to clear, so
 * that it never takes more than there are. */
static uint32_t
take(struct kvm_cpu *cpu)
{
	struct kvm_dirty_gfn *e;
	uint32_t n;

	for (n = 0; cpu->ring != NULL && n < RING_ENTRIES; n++) {
		e = &cpu->ring[cpu->ring_next % RING_ENTRIES];
		/* Pairs with the kernel's barrier before it sets them. */
		if ((__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) &
			KVM_DIRTY_GFN_F_MASK) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		mark(cpu->kvm, e->slot, e->offset);
		/* It may be overwritten once the kernel sees this. */
		__atomic_store_n(
		    &e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		cpu->ring_next++;
	}
	return (n);
}

/* The kernel tells how many it has cleared, of all rings. */
static int
reset(struct kvm_vm *kvm, uint64_t n)
{
	unsigned tries = 0;
	int r;

	kvm->ring_taken += n;
	while (kvm->ring_taken > 0) {
		r = kvm_ioctl_arg(kvm->fd, KVM_RESET_DIRTY_RINGS, 0);
		if (r < 0 && r != -EINTR)
			return (r);
		if (r <= 0 && ++tries == RESET_TRIES)
			return (-EIO);
		if (r > 0)
			kvm->ring_taken -= (uint64_t)r < kvm->ring_taken ?
			    (uint64_t)r :
			    kvm->ring_taken;
	}
	return (0);
}

/*
 * Until each vcpu has been out of the kernel since. As in run.c: it stores
 * that it is out before it looks whether somebody waits; so either we see
 * that, or it sees us.
 */
static void
call_out(struct kvm_vm *kvm)
{
	struct kvm_cpu *cpu;

	for (unsigned i = 0; i < kvm->ncpus; i++) {
		cpu = &kvm->cpus[i];
		atomic_store(&cpu->out_req, true);
		if (atomic_load(&cpu->inside))
			kvm_poke(cpu);
		else
			atomic_store(&cpu->out_req, false);
	}
	for (unsigned i = 0; i < kvm->ncpus; i++)
		while (atomic_load(&kvm->cpus[i].out_req))
			pthread_cond_wait(&kvm->out_cond, &kvm->dirty_lock);
}

void
kvm_ring_out(struct kvm_cpu *cpu)
{
	if (!atomic_load(&cpu->out_req))
		return;
	pthread_mutex_lock(&cpu->kvm->dirty_lock);
	atomic_store(&cpu->out_req, false);
	pthread_cond_broadcast(&cpu->kvm->out_cond);
	pthread_mutex_unlock(&cpu->kvm->dirty_lock);
}

int
kvm_ring_fetch(struct kvm_vm *kvm)
{
	uint64_t n = 0;

	call_out(kvm);
	for (unsigned i = 0; i < kvm->ncpus; i++)
		n += take(&kvm->cpus[i]);
	return (reset(kvm, n));
}

int
kvm_ring_full(struct kvm_cpu *cpu)
{
	int error;

	pthread_mutex_lock(&cpu->kvm->dirty_lock);
	error = reset(cpu->kvm, take(cpu));
	pthread_mutex_unlock(&cpu->kvm->dirty_lock);
	return (error);
}
