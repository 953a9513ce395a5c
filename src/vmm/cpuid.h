/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_CPUID_H
#define LHYVE_VMM_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/features.h"

/*
 * CPUID policy shared by all engines: the host's leaves less what is not
 * virtualized, every leaf consistent with every other.
 */
struct cpuid_leaf {
	uint32_t leaf, subleaf;
	bool indexed; /* subleaf matters */
	uint32_t eax, ebx, ecx, edx;
};

/* Packages of the machine, cores of a package, threads of a core: each at
 * least 1. */
struct cpuid_topology {
	unsigned sockets, cores, threads;
};

/* Where leaves come from: the host, an engine, or a test. xcr0 is what XGETBV
 * says. */
struct cpuid_source {
	void (*leaf)(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t r[4]);
	void *arg;
	uint64_t xcr0;
	/* These are an engine's leaves: what is not in them, a guest does not
	 * get. Otherwise they are the processor's, and the soft engine adds
	 * what it does by itself. */
	bool limit;
	uint32_t tsc_khz; /* 0: the soft engine's, 1 GHz */
};

#define CPUID_MAX_LEAVES 96
struct cpuid_policy {
	struct cpuid_leaf leaf[CPUID_MAX_LEAVES];
	unsigned nleaves;
	uint32_t max_basic, max_ext;
	uint64_t xcr0; /* components a guest may enable */
	uint64_t cr4;  /* CR4 bits a guest may set */
	uint64_t efer; /* EFER bits a guest may set */
	uint8_t maxphyaddr;
	uint32_t tsc_khz; /* as the leaves say */
	bool xsaves; /* XSAVES and XRSTORS are there */
	struct cpuid_features features;
	struct cpuid_topology topology;
};

/* What CPUID's result depends on at run time. */
struct cpuid_dynamic {
	uint32_t apicid;
	uint64_t xcr0, cr4;
	bool apic_enabled;
};

/* Reads the host's CPUID and makes the policy for such a machine. */
void cpuid_policy_init(
    struct cpuid_policy *p, const struct cpuid_topology *t);
/* The same of another host than this one. */
void cpuid_policy_from(struct cpuid_policy *p, const struct cpuid_topology *t,
    const struct cpuid_source *src);
/* The same of a processor that the user chose; src NULL: this host, choice
 * NULL: the whole of it. 0, or -ENOTSUP with the names of features that are
 * not there in *err. */
int cpuid_policy_choose(struct cpuid_policy *p,
    const struct cpuid_topology *t, const struct cpuid_source *src,
    const struct cpuid_choice *choice, struct vm_error *err);
/* APIC id of a processor: thread, core and package each in bits of their own
 * (SDM volume 3, 9.9.1), so with gaps where a number is no power of two. */
uint32_t cpuid_apicid(const struct cpuid_topology *t, unsigned cpu);
/* Bits of a guest's physical address, whatever the engine. */
unsigned cpuid_phys_bits(void);
void cpuid_query(const struct cpuid_policy *p, const struct cpuid_dynamic *dyn,
    uint32_t eax, uint32_t ecx, uint32_t out[4]);

#endif
