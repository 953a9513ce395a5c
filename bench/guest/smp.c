/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread and two: each of them does the same work, so that two take as
 * long as one where the machine's processors do not hinder each other.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define MEMORY (32u << 20)

struct worker {
	pthread_t thread;
	void (*work)(struct worker *w);
	uint64_t seed, sum, *memory;
	pthread_barrier_t *start;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared[64];
static _Atomic uint64_t counter;

/* Registers, branches, and a table in the first-level cache. */
static void
compute(struct worker *w)
{
	uint64_t table[256], state = w->seed, sum = 0;

	for (unsigned i = 0; i < 256; i++)
		table[i] = bench_random(&state);
	for (unsigned i = 0; i < 60000000; i++) {
		sum = table[(sum ^ i) & 255] ^ (sum >> 8);
		if (sum & 1)
			sum += i;
	}
	w->sum = sum;
}

/* Memory that no cache of one processor holds, read and written, in order and
 * at random. */
static void
memory(struct worker *w)
{
	size_t n = MEMORY / sizeof(w->memory[0]);
	uint64_t state = w->seed, sum = 0;

	for (unsigned round = 0; round < 6; round++) {
		for (size_t i = 0; i < n; i++)
			w->memory[i] += i ^ round;
		for (size_t i = 0; i < n / 8; i++) {
			uint64_t *p = &w->memory[bench_random(&state) % n];

			sum += *p;
			*p = sum;
		}
	}
	w->sum = sum;
}

/* Some work of one's own, then some under a mutex that the other wants too. */
static void
locks(struct worker *w)
{
	uint64_t state = w->seed, sum = 0;

	for (unsigned i = 0; i < 200000; i++) {
		for (unsigned k = 0; k < 400; k++)
			sum += bench_random(&state) >> 60;
		(void)pthread_mutex_lock(&mutex);
		for (unsigned k = 0; k < 64; k++)
			shared[k] += k;
		(void)pthread_mutex_unlock(&mutex);
	}
	w->sum = sum;
}

/* Locked instructions on one line. */
static void
atomics(struct worker *w)
{
	uint64_t state = w->seed, sum = 0;

	for (unsigned i = 0; i < 1000000; i++) {
		for (unsigned k = 0; k < 60; k++)
			sum += bench_random(&state) >> 60;
		atomic_fetch_add(&counter, 1);
	}
	w->sum = sum;
}

static void *
worker(void *arg)
{
	struct worker *w = arg;

	(void)pthread_barrier_wait(w->start);
	w->work(w);
	return (NULL);
}

static uint64_t
run(void (*work)(struct worker *), unsigned n)
{
	pthread_barrier_t start;
	struct worker w[2];
	uint64_t sum = 0;

	if (pthread_barrier_init(&start, NULL, n + 1) != 0)
		abort();
	for (unsigned i = 0; i < n; i++) {
		w[i] = (struct worker){ .work = work, .start = &start,
			.seed = 12345 + i };
		w[i].memory = bench_alloc(MEMORY);
		if (pthread_create(&w[i].thread, NULL, worker, &w[i]) != 0)
			bench_skip("no thread");
	}
	bench_begin();
	(void)pthread_barrier_wait(&start);
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(w[i].thread, NULL);
		sum = bench_hash(sum, &w[i].sum, sizeof(w[i].sum));
	}
	bench_end();
	return (bench_hash(sum, shared, sizeof(shared)) + counter);
}

#define PAIR(name)                                                             \
	static uint64_t name##_1(void) { return (run(name, 1)); }              \
	static uint64_t name##_2(void) { return (run(name, 2)); }

PAIR(compute)
PAIR(memory)
PAIR(locks)
PAIR(atomics)

static const struct bench_case cases[] = {
	{ "compute-1t", compute_1 },
	{ "compute-2t", compute_2 },
	{ "memory-1t", memory_1 },
	{ "memory-2t", memory_2 },
	{ "locks-1t", locks_1 },
	{ "locks-2t", locks_2 },
	{ "atomics-1t", atomics_1 },
	{ "atomics-2t", atomics_2 },
};

int
main(int argc, char *argv[])
{
	return (bench_main(argc, argv, "", cases,
	    sizeof(cases) / sizeof(cases[0])));
}
