/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BENCH_H
#define LHYVE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A case does a fixed amount of work between bench_begin() and bench_end()
 * and returns a checksum, which must not depend on the machine. Each runs in
 * a process of its own, so that one that fails does not take the others along.
 */
struct bench_case {
	const char *name;
	uint64_t (*run)(void);
};

void bench_begin(void);
void bench_end(void);
/* Ends the case: it cannot be run here. */
_Noreturn void bench_skip(const char *why);
/* Ends the case, which has failed, with errno's text, unless `ok`. */
void bench_need(bool ok, const char *what);
/* Depth first, a stat of everything below a directory on its file system;
 * removes it if asked. How many there were. */
uint64_t bench_walk(const char *top, bool remove_it);
/* Zeroed pages; ends the case if there are none. */
void *bench_alloc(size_t size);
/* xorshift64: the same numbers everywhere. */
uint64_t bench_random(uint64_t *state);
/* FNV-1a, in steps of a byte. */
uint64_t bench_hash(uint64_t hash, const void *data, size_t len);
#define BENCH_HASH 0xcbf29ce484222325ull

/* Prints "name seconds checksum" for each case that an argument names, or
 * for all; "name failed|skipped reason" for one that did not end well. */
int bench_main(int argc, char *argv[], const char *prefix,
    const struct bench_case *cases, size_t ncases);

#endif
