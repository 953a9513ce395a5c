/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What several processors of one machine must agree on, from a program's
 * side: `threads N` runs every check with N threads and prints a line each.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_THREADS 64
#define ROUNDS 20000

static unsigned nthreads;
static pthread_barrier_t barrier;

static void
all(void *(*fn)(void *))
{
	pthread_t t[MAX_THREADS];
	cpu_set_t set;

	pthread_barrier_init(&barrier, NULL, nthreads);
	for (uintptr_t i = 0; i < nthreads; i++) {
		if (pthread_create(&t[i], NULL, fn, (void *)i) != 0)
			exit(2);
		CPU_ZERO(&set);
		CPU_SET(i, &set);
		(void)pthread_setaffinity_np(t[i], sizeof(set), &set);
	}
	for (unsigned i = 0; i < nthreads; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&barrier);
}

static void
say(const char *name, int good)
{
	printf("%s %s\n", name, good ? "ok" : "WRONG");
}

/* ---- counters: within a line, over two lines, over two pages ---- */

static uint8_t *counters;

static void *
count(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < ROUNDS; i++) {
		__asm__ volatile("lock incq %0" : "+m"(counters[0]));
		__asm__ volatile("lock incl %0" : "+m"(counters[0x7e]));
		if (i % 16 == 0)
			__asm__ volatile("lock incq %0"
			    : "+m"(counters[0xffc]));
	}
	return (NULL);
}

static void
locked(void)
{
	uint64_t a, c;
	uint32_t b;

	counters = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	all(count);
	memcpy(&a, counters, 8);
	memcpy(&b, counters + 0x7e, 4);
	memcpy(&c, counters + 0xffc, 8);
	say("locked", a == (uint64_t)ROUNDS * nthreads &&
	    b == ROUNDS * nthreads && c == ROUNDS / 16 * nthreads);
}

/* ---- store buffers: x86 may let a load pass a store, and no more ---- */

static _Atomic uint32_t flag[2];
static _Atomic uint32_t both_zero, turn_done, looked;
static uint32_t seen[2];

static void *
dekker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	pthread_barrier_wait(&barrier);
	if (me > 1)
		return (NULL);
	for (uint32_t i = 1; i <= 5000; i++) {
		atomic_store_explicit(&flag[me], i, memory_order_relaxed);
		__asm__ volatile("mfence" ::: "memory");
		seen[me] = atomic_load_explicit(
		    &flag[!me], memory_order_relaxed);
		atomic_fetch_add(&turn_done, 1);
		while (atomic_load(&turn_done) < 2 * i)
			sched_yield();
		if (me == 0 && seen[0] < i && seen[1] < i)
			atomic_fetch_add(&both_zero, 1);
		/* Both have looked at seen[] before it changes. */
		atomic_fetch_add(&looked, 1);
		while (atomic_load(&looked) < 2 * i)
			sched_yield();
	}
	return (NULL);
}

/* ---- code that one thread writes and all run ---- */

static uint8_t *jit;
static _Atomic uint32_t wrong;

static void *
jitter(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (uint32_t i = 1; i <= 300; i++) {
		uint8_t *f = jit + (i % 32) * 4096;
		uint32_t leaf = 0;

		pthread_barrier_wait(&barrier);
		if (me == i % nthreads) {
			f[0] = 0xb8; /* mov eax, i; ret */
			memcpy(f + 1, &i, 4);
			f[5] = 0xc3;
		}
		pthread_barrier_wait(&barrier);
		__asm__ volatile("cpuid"
		    : "+a"(leaf)
		    :
		    : "rbx", "rcx", "rdx", "memory");
		if (((uint32_t(*)(void))(uintptr_t)f)() != i)
			atomic_fetch_add(&wrong, 1);
		/* Data beside the code, from everybody. */
		__asm__ volatile("lock incl %0" : "+m"(f[2048]));
	}
	return (NULL);
}

/* ---- mappings that come and go: TLB shootdowns ---- */

static uint8_t *_Atomic shared;
static _Atomic unsigned mapping_errors;

static void *
mapper(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (uint32_t i = 1; i <= 300; i++) {
		if (me == 0) {
			uint8_t *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			memset(p, (int)(i & 0xff), 65536);
			shared = p;
		}
		pthread_barrier_wait(&barrier);
		for (unsigned o = me * 64; o < 65536; o += 4096)
			if (shared[o] != (i & 0xff))
				mapping_errors++;
		pthread_barrier_wait(&barrier);
		if (me == 0) {
			/* The next one must not see this one's pages. */
			madvise(shared, 65536, MADV_DONTNEED);
			munmap(shared, 65536);
		}
		pthread_barrier_wait(&barrier);
	}
	return (NULL);
}

static void *
forker(void *arg)
{
	int status;

	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit((int)(i & 0x7f));
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    WEXITSTATUS(status) != (i & 0x7f))
			mapping_errors++;
	}
	return (NULL);
}

int
main(int argc, char *argv[])
{
	nthreads = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
	if (nthreads < 2 || nthreads > MAX_THREADS)
		return (2);
	setvbuf(stdout, NULL, _IOLBF, 0);
	locked();
	all(dekker);
	say("order", both_zero == 0);
	jit = mmap(NULL, 32 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	all(jitter);
	say("code", wrong == 0);
	all(mapper);
	say("mappings", mapping_errors == 0);
	all(forker);
	say("processes", mapping_errors == 0);
	return (0);
}
