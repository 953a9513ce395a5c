/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_FEATURES_H
#define LHYVE_VMM_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

struct vm_error;

/*
 * The features of a processor by the names that Linux prints in /proc/cpuinfo,
 * and what a user may say of them. A set has one bit for each, where the
 * register of the CPUID leaf has it: SDM volume 2A, CPUID; APM volume 3,
 * appendix E.
 */
enum cpuid_word {
	CPUID_1_ECX, CPUID_1_EDX, CPUID_7_EBX, CPUID_7_ECX, CPUID_7_EDX,
	CPUID_71_EAX, CPUID_72_EDX, CPUID_D1_EAX, CPUID_X1_ECX, CPUID_X1_EDX,
	CPUID_X8_EBX, CPUID_X21_EAX, CPUID_X21_ECX, CPUID_WORDS
};

struct cpuid_features {
	uint32_t word[CPUID_WORDS];
};

/* A named model, or the host's processor; then features more or less. */
#define CPUID_CHANGES_MAX 64
struct cpuid_choice {
	unsigned level; /* x86-64-v2 to v4 of the psABI; 0: the host */
	uint32_t tsc_khz; /* of its TSC; 0: what the engine has by itself */
	unsigned nchanges;
	struct {
		uint8_t feature; /* index of the table */
		bool on;
	} change[CPUID_CHANGES_MAX];
};

/*
 * `model` is host, x86-64-v2, -v3 or -v4, NULL is host; `features` is a list
 * "+name,-name", or NULL. 0, or -EINVAL with what is wrong in *err.
 */
int cpuid_choice_parse(struct cpuid_choice *c, const char *model,
    const char *features, struct vm_error *err);

/*
 * What a guest gets of `have`, which an engine can offer. 0, or -ENOTSUP with
 * the names of those features that were chosen and are not there.
 */
int cpuid_choose(struct cpuid_features *out, const struct cpuid_features *have,
    const struct cpuid_choice *c, struct vm_error *err);

/* Takes away what cannot be without something that is not there. */
void cpuid_features_close(struct cpuid_features *f);

bool cpuid_has(const struct cpuid_features *f, const char *name);
/* The name of the i-th feature; NULL: there are no more. */
const char *cpuid_feature_name(unsigned i);

#endif
