/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of the code cache: one memfd mapped twice, writable here and
 * executable there.
 *
 * A kernel goes through megabytes of translations for each system call, more
 * than the host's processor has entries in its TLBs for. So the cache is made
 * of pages of 2 MiB. That they are not enabled for shared memory (as is
 * usual) does not keep a program from asking for them one by one:
 * madvise(2), MADV_COLLAPSE, since Linux 6.1. A host without it has small
 * ones.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/soft/soft.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE ((size_t)2 << 20)
_Static_assert(CODE_CACHE_SIZE % HUGE == 0, "whole pages");

/* On a boundary of large pages, or NULL. */
static uint8_t *
map_view(int fd, int prot)
{
	uint8_t *p, *at;
	size_t before;

	p = mmap(NULL, CODE_CACHE_SIZE + HUGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return (NULL);
	before = (HUGE - (uintptr_t)p % HUGE) % HUGE;
	at = p + before;
	if (before != 0)
		munmap(p, before);
	munmap(at + CODE_CACHE_SIZE, HUGE - before);
	if (mmap(at, CODE_CACHE_SIZE, prot, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED) {
		munmap(at, CODE_CACHE_SIZE);
		return (NULL);
	}
	return (at);
}

int
soft_code_map(struct soft_vm *vm)
{
	int fd, error = 0;

	fd = memfd_create("lhyve-code", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, CODE_CACHE_SIZE) != 0) {
		error = -errno;
		goto out;
	}
	vm->code_rw = map_view(fd, PROT_READ | PROT_WRITE);
	vm->code_rx = map_view(fd, PROT_READ | PROT_EXEC);
	if (vm->code_rw == NULL || vm->code_rx == NULL)
		error = -ENOMEM;
out:
	if (fd >= 0)
		close(fd);
	return (error);
}

void
soft_code_unmap(struct soft_vm *vm)
{
	if (vm->code_rw != NULL)
		munmap(vm->code_rw, CODE_CACHE_SIZE);
	if (vm->code_rx != NULL)
		munmap(vm->code_rx, CODE_CACHE_SIZE);
	vm->code_rw = vm->code_rx = NULL;
}

void
soft_code_need(struct soft_vm *vm, size_t end)
{
	/* The first byte makes it a page that there is something to make a
	 * large one of. */
	for (; vm->code_huge < end && vm->code_huge < CODE_CACHE_SIZE;
	     vm->code_huge += HUGE) {
		if (vm->off & SOFT_OFF_HUGE)
			continue;
		vm->code_rw[vm->code_huge] = 0;
		(void)madvise(vm->code_rw + vm->code_huge, HUGE, MADV_COLLAPSE);
		(void)madvise(vm->code_rx + vm->code_huge, HUGE, MADV_COLLAPSE);
	}
}
