/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_FUZZ_FUZZ_H
#define LHYVE_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A target is one file with LLVMFuzzerTestOneInput(). It takes any bytes,
 * leaves nothing behind, and ends the process where a property is broken.
 * It is linked with libFuzzer or with driver.c.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(cond)                                                       \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__,       \
			    __LINE__, #cond);                                  \
			abort();                                               \
		}                                                              \
	} while (0)

/* The input, taken piece by piece; behind its end there are zeroes. */
struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

static inline uint64_t
fuzz_take(struct fuzz_in *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->p++ << (8 * i);
	return (v);
}
static inline uint8_t
fuzz_u8(struct fuzz_in *in)
{
	return ((uint8_t)fuzz_take(in, 1));
}
static inline uint32_t
fuzz_u32(struct fuzz_in *in)
{
	return ((uint32_t)fuzz_take(in, 4));
}
static inline uint64_t
fuzz_u64(struct fuzz_in *in)
{
	return (fuzz_take(in, 8));
}

/* Lets time pass: from nothing to days, in one byte. It never comes near
 * the end of 64 bits, as virtual time does not (292 years). */
static inline void
fuzz_pass(struct fuzz_in *in, uint64_t *now)
{
	uint8_t b = fuzz_u8(in);

	*now += (uint64_t)(b & 7) << (b >> 3) * 3 / 2;
}

/* A stream of random numbers (splitmix64). */
static inline uint64_t
fuzz_rand(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31));
}

#endif
