/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory slots, and the dirty log: by rings (ring.c), or, where the kernel has
 * none, by its bitmaps of the slots (KVM_GET_DIRTY_LOG, api.rst 4.8), which a
 * call reads and clears. What was written past the kernel, by devices and by
 * the soft engine for an instruction (complete.c), is in gmem's, where all
 * comes together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"

/* RAM from 0 and from 4 GiB, and the ROM. */
enum { SLOT_LOW, SLOT_HIGH, SLOT_ROM };

/* Slots never overlap; one that has no bytes is none (api.rst 4.35). */
static int
set_slot(struct kvm_vm *kvm, uint32_t slot, uint64_t gpa, uint64_t len,
    uint32_t flags)
{
	struct kvm_userspace_memory_region r;
	int error;

	if (len == 0)
		return (0);
	memset(&r, 0, sizeof(r));
	r.slot = slot;
	r.flags = flags;
	r.guest_phys_addr = gpa;
	r.memory_size = len;
	r.userspace_addr = (uintptr_t)gmem_base(kvm->gmem) + gpa;
	error = kvm_ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &r);
	return (error < 0 ? error : 0);
}

static int
set_ram(struct kvm_vm *kvm, bool log)
{
	uint32_t flags = log ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	int error;

	error = set_slot(kvm, SLOT_LOW, 0, gmem_lowmem(kvm->gmem), flags);
	if (error == 0)
		error = set_slot(kvm, SLOT_HIGH, GMEM_HIGHMEM_BASE,
		    gmem_highmem(kvm->gmem), flags);
	return (error);
}

int
kvm_set_memory(struct kvm_vm *kvm)
{
	uint64_t rom = gmem_rom(kvm->gmem);
	int error;

	error = set_ram(kvm, gmem_dirty_logged(kvm->gmem));
	if (error == 0)
		error = set_slot(kvm, SLOT_ROM, GMEM_HIGHMEM_BASE - rom, rom,
		    KVM_MEM_READONLY);
	return (error);
}

/* A slot's number has the address space above its 16 bits: that of SMM has no
 * slots. */
bool
kvm_slot_page(
    const struct kvm_vm *kvm, uint32_t slot, uint64_t offset, uint64_t *page)
{
	uint64_t first, len;

	switch (slot) {
	case SLOT_LOW:
		first = 0;
		len = gmem_lowmem(kvm->gmem);
		break;
	case SLOT_HIGH:
		first = GMEM_HIGHMEM_BASE;
		len = gmem_highmem(kvm->gmem);
		break;
	default:
		return (false);
	}
	if (offset >= len / GMEM_PAGE_SIZE)
		return (false);
	*page = first / GMEM_PAGE_SIZE + offset;
	return (true);
}

/* From the kernel's bitmap to gmem's. A slot begins at a whole word. */
static int
fetch(struct kvm_vm *kvm, uint32_t slot, uint64_t gpa, uint64_t len)
{
	_Atomic uint64_t *bits =
	    gmem_dirty_bits(kvm->gmem) + gpa / GMEM_PAGE_SIZE / 64;
	size_t words = (len / GMEM_PAGE_SIZE + 63) / 64;
	struct kvm_dirty_log log;
	uint64_t *buf;
	int error;

	if (len == 0)
		return (0);
	buf = calloc(words, sizeof(*buf));
	if (buf == NULL)
		return (-ENOMEM);
	memset(&log, 0, sizeof(log));
	log.slot = slot;
	log.dirty_bitmap = buf;
	error = kvm_ioctl(kvm->fd, KVM_GET_DIRTY_LOG, &log);
	for (size_t i = 0; error >= 0 && i < words; i++)
		if (buf[i] != 0)
			atomic_fetch_or(&bits[i], buf[i]);
	free(buf);
	return (error < 0 ? error : 0);
}

int
kvm_dirty_fetch(struct kvm_vm *kvm)
{
	int error;

	if (kvm->ring)
		return (kvm_ring_fetch(kvm));
	error = fetch(kvm, SLOT_LOW, 0, gmem_lowmem(kvm->gmem));
	if (error == 0)
		error = fetch(kvm, SLOT_HIGH, GMEM_HIGHMEM_BASE,
		    gmem_highmem(kvm->gmem));
	return (error);
}

int
kvm_dirty_log(void *priv, bool on)
{
	struct kvm_vm *kvm = priv;
	int error = 0;

	pthread_mutex_lock(&kvm->dirty_lock);
	if (on)
		error = kvm_ring_open(kvm);
	if (error != 0)
		goto out;
	/* Marks that come before the kernel's begin are not needed, but do no
	 * harm. */
	pthread_mutex_lock(&kvm->soft_lock);
	if (kvm->soft != NULL)
		error = soft_engine.dirty_log(kvm->soft, on);
	else
		gmem_dirty_log(kvm->gmem, on);
	pthread_mutex_unlock(&kvm->soft_lock);
	if (error == 0)
		error = set_ram(kvm, on);
	/* Nothing comes now. What is there is not for the next log. */
	if (error == 0 && !on && kvm->ring)
		error = kvm_ring_fetch(kvm);
out:
	pthread_mutex_unlock(&kvm->dirty_lock);
	return (error);
}

int
kvm_dirty_get(void *priv, uint64_t *bits)
{
	struct kvm_vm *kvm = priv;
	int error;

	pthread_mutex_lock(&kvm->dirty_lock);
	error = kvm_dirty_fetch(kvm);
	if (error != 0)
		goto out;
	pthread_mutex_lock(&kvm->soft_lock);
	if (kvm->soft != NULL)
		error = soft_engine.dirty_get(kvm->soft, bits);
	else
		gmem_dirty_take(kvm->gmem, bits);
	pthread_mutex_unlock(&kvm->soft_lock);
out:
	pthread_mutex_unlock(&kvm->dirty_lock);
	return (error);
}
