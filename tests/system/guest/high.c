/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory at addresses that only a fifth level of page tables reaches, as a
 * Linux program asks for it (Documentation/x86/x86_64/5level-paging.rst).
 * Prints where the kernel put it, after it was used by two processes.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (4u << 20)

int
main(void)
{
	uint8_t *p = mmap((void *)(1ul << 55), SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned bad = 0;
	int status;
	size_t i;

	if (p == MAP_FAILED) {
		perror("mmap");
		return (1);
	}
	for (i = 0; i < SIZE; i += 512)
		p[i] = (uint8_t)(i >> 9);
	if (fork() == 0) {
		for (i = 0; i < SIZE; i += 512)
			p[i] ^= 0xff;
		_exit(0);
	}
	if (wait(&status) < 0 || status != 0)
		return (1);
	for (i = 0; i < SIZE; i += 512)
		bad += p[i] != (uint8_t)~(i >> 9);
	printf("%#lx %u\n", (unsigned long)(uintptr_t)p, bad);
	return (bad != 0);
}
