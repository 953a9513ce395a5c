/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_FUZZ_SOFTVM_H
#define LHYVE_TESTS_FUZZ_SOFTVM_H

#include "fuzz.h"

/*
 * A machine in a state that is made of an input's first bytes, with a
 * program in it that the target writes; run for a number of kicks while
 * interrupts come in, and watched.
 */
#define SV_CODE 0x20000u /* two pages, here and at the alias */
#define SV_CODE_SIZE 0x2000u

struct sv_head {
	uint8_t mode;	 /* what mode the processor is in */
	uint8_t options; /* fast paths off, exits on */
	uint8_t wild;	 /* what is random rather than sound */
	uint8_t events;	 /* what comes in from outside */
	uint8_t runs;	 /* how many times vcpu_run() is called */
	uint8_t off;	 /* where the program begins */
	uint64_t seed;
};
#define SV_HEAD 14

enum { SV_LONG, SV_COMPAT, SV_PROT32, SV_PROT16, SV_REAL, SV_V86, SV_MODES };

void sv_head_take(struct sv_head *h, struct fuzz_in *in);
unsigned sv_mode(const struct sv_head *h);
/* Where in the code pages the program begins. */
unsigned sv_start(const struct sv_head *h);
/* Runs `code`, all of the code pages. */
void sv_run(const struct sv_head *h, const uint8_t code[SV_CODE_SIZE]);

#endif
