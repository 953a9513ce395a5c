/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a translator may fall off at: code that changes, code beside data,
 * code that comes and goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define PAGE 4096
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

typedef uint32_t fn(uint32_t);

static uint8_t *
pages(size_t size, int prot)
{
	uint8_t *p =
	    mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_skip("no memory that is writable and executable");
	return (p);
}

/* lea eax, [rdi + imm]; ret */
static size_t
emit_add(uint8_t *p, uint32_t imm)
{
	p[0] = 0x8d;
	p[1] = 0x87;
	memcpy(p + 2, &imm, 4);
	p[6] = 0xc3;
	return (7);
}

/* A counter in a page that is also executed; distance from the code. */
static uint64_t
data_at(size_t distance, int rounds)
{
	uint8_t *p = pages(PAGE, RWX);
	volatile uint32_t *data = (volatile uint32_t *)(void *)(p + distance);
	fn *f = (fn *)(void *)p;
	uint32_t x = 0;

	(void)emit_add(p, 3);
	bench_begin();
	for (int i = 0; i < rounds; i++) {
		*data += 1;
		x = f(x);
	}
	bench_end();
	return ((uint64_t)*data << 32 | x);
}

static uint64_t
data_in_line(void)
{
	return (data_at(32, 200000));
}

static uint64_t
data_in_page(void)
{
	return (data_at(2048, 2000000));
}

/* The page's own code counts: mov eax, edi; inc dword [rip + n]; ret */
static uint64_t
data_self(void)
{
	uint8_t *p = pages(PAGE, RWX);
	fn *f = (fn *)(void *)p;
	int32_t rel = 1024 - 8;
	uint32_t x = 0;

	memcpy(p, "\x89\xf8\xff\x05\0\0\0\0\xc3", 9);
	memcpy(p + 4, &rel, 4);
	bench_begin();
	for (uint32_t i = 0; i < 2000000; i++)
		x += f(i);
	bench_end();
	return ((uint64_t)p[1024] << 32 | x);
}

/* A constant in the code changes before each call. */
static uint64_t
smc_patch(void)
{
	uint8_t *p = pages(PAGE, RWX);
	fn *f = (fn *)(void *)p;
	uint32_t x = 0;

	(void)emit_add(p, 0);
	bench_begin();
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(p + 2, &i, 4);
		x = f(x);
	}
	bench_end();
	return (x);
}

/*
 * A store beside code about to run, from code beside it, as the boot code of
 * kernels and old programs have it: one straight piece that stores into the
 * line that it runs from.
 *   mov [rip + n], edi; lea eax, [rdi + 1]; ret; nop...; n: dword
 */
static uint64_t
smc_beside(void)
{
	uint8_t *p = pages(PAGE, RWX);
	fn *f = (fn *)(void *)p;
	int32_t rel = 32 - 6;
	uint32_t x = 0;

	memcpy(p, "\x89\x3d\0\0\0\0\x8d\x47\x01\xc3", 10);
	memcpy(p + 2, &rel, 4);
	bench_begin();
	for (int i = 0; i < 100000; i++)
		x = f(x);
	bench_end();
	return (x);
}

/* A function of 40 instructions, written where the last one was. */
static uint64_t
jit_rewrite(void)
{
	uint8_t *p = pages(PAGE, RWX), *q;
	fn *f = (fn *)(void *)p;
	uint32_t x = 1;

	bench_begin();
	for (uint32_t i = 0; i < 20000; i++) {
		q = p;
		*q++ = 0x89; /* mov eax, edi */
		*q++ = 0xf8;
		for (uint32_t k = 0; k < 40; k++) {
			uint32_t imm = i * 41 + k;

			*q++ = k & 1 ? 0x05 : 0x35; /* add, xor eax, imm */
			memcpy(q, &imm, 4);
			q += 4;
		}
		*q = 0xc3;
		for (int k = 0; k < 10; k++)
			x = f(x);
	}
	bench_end();
	return (x);
}

/* The same into fresh space, as a JIT does: 4 MiB, then from its start. */
static uint64_t
jit_append(void)
{
	size_t size = 4u << 20, at = 0;
	uint8_t *p = pages(size, RWX), *q;
	uint32_t x = 1;
	fn *f;

	bench_begin();
	for (uint32_t i = 0; i < 40000; i++) {
		if (at + 256 > size)
			at = 0;
		q = p + at;
		f = (fn *)(void *)q;
		*q++ = 0x89;
		*q++ = 0xf8;
		for (uint32_t k = 0; k < 40; k++) {
			uint32_t imm = i * 41 + k;

			*q++ = k & 1 ? 0x05 : 0x35;
			memcpy(q, &imm, 4);
			q += 4;
		}
		*q++ = 0xc3;
		at += 256;
		for (int k = 0; k < 10; k++)
			x = f(x);
	}
	bench_end();
	return (x);
}

/* A mapping that is written, made executable, called and removed. */
static uint64_t
mmap_exec(void)
{
	uint32_t x = 0;

	bench_begin();
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t *p = pages(PAGE, PROT_READ | PROT_WRITE);

		(void)emit_add(p, i);
		(void)mprotect(p, PAGE, PROT_READ | PROT_EXEC);
		for (int k = 0; k < 10; k++)
			x = ((fn *)(void *)p)(x);
		(void)munmap(p, PAGE);
	}
	bench_end();
	return (x);
}

/* Writable, executable and back, as JITs do that never have both. */
static uint64_t
mprotect_flip(void)
{
	uint8_t *p = pages(PAGE, PROT_READ | PROT_WRITE);
	uint32_t x = 0;

	bench_begin();
	for (uint32_t i = 0; i < 20000; i++) {
		(void)emit_add(p, i);
		(void)mprotect(p, PAGE, PROT_READ | PROT_EXEC);
		for (int k = 0; k < 10; k++)
			x = ((fn *)(void *)p)(x);
		(void)mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	}
	bench_end();
	return (x);
}

/* Data is mapped and unmapped while the same code runs. */
static uint64_t
map_unmap(void)
{
	uint64_t sum = 0;

	bench_begin();
	for (uint32_t i = 0; i < 60000; i++) {
		volatile uint8_t *p = pages(PAGE, PROT_READ | PROT_WRITE);

		p[i & 4095] = (uint8_t)i;
		sum += p[i & 4095];
		(void)munmap((void *)p, PAGE);
	}
	bench_end();
	return (sum);
}

/* More code than a cache of translations may like: 32 MiB, run in turn. */
static uint64_t
code_32m(void)
{
	size_t size = 32u << 20, step = 128;
	uint8_t *p = pages(size, RWX);
	uint32_t x = 0;

	for (size_t o = 0; o < size; o += step)
		for (size_t n = 0, at = o; n < 14; n++)
			at += emit_add(p + at, (uint32_t)(o + n)) - (n < 13);
	/* emit_add() returns in eax what it takes in edi. */
	for (size_t o = 0; o < size; o += step)
		for (size_t n = 1; n < 14; n++)
			p[o + n * 6 + 1] = 0x80; /* lea eax, [rax + imm] */
	bench_begin();
	for (int round = 0; round < 3; round++)
		for (size_t o = 0; o < size; o += step)
			x = ((fn *)(void *)(p + o))(x);
	bench_end();
	return (x);
}

static const struct bench_case cases[] = {
	{ "data-in-line", data_in_line },
	{ "data-in-page", data_in_page },
	{ "data-self", data_self },
	{ "smc-patch", smc_patch },
	{ "smc-beside", smc_beside },
	{ "jit-rewrite", jit_rewrite },
	{ "jit-append", jit_append },
	{ "mmap-exec", mmap_exec },
	{ "mprotect-flip", mprotect_flip },
	{ "map-unmap", map_unmap },
	{ "code-32m", code_32m },
};

int
main(int argc, char *argv[])
{
	return (bench_main(argc, argv, "", cases,
	    sizeof(cases) / sizeof(cases[0])));
}
