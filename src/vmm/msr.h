/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_MSR_H
#define LHYVE_VMM_MSR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/state.h"

/*
 * The MSRs that are plain storage, constants or ignored, the same for every
 * engine (MTRRs, PAT, MISC_ENABLE, microcode, ...). What an engine runs on
 * (EFER, STAR.., FS/GS base, SYSENTER, TSC, APIC) is its own.
 */
struct cpuid_policy;

#define VMM_MSRS_KEPT 5

struct vmm_msrs {
	uint64_t pat;
	uint64_t mtrr_def_type;
	uint64_t mtrr_fix[11];
	uint64_t mtrr_var[16]; /* base, mask, base, mask, ... */
	uint64_t misc_enable;
	uint64_t spec_ctrl;
	uint64_t bios_sign; /* microcode revision, in the upper half */
	uint64_t kept[VMM_MSRS_KEPT]; /* AMD's SYSCFG, HWCR, ...: msr.c */
};
extern const struct state_table vmm_msrs_state;

void vmm_msrs_reset(struct vmm_msrs *m);
/* 0; -EPERM: #GP; -ENOENT: not in the table (an exit to the machine). */
int vmm_msr_read(struct vmm_msrs *m, const struct cpuid_policy *p,
    uint32_t msr, uint64_t *val);
int vmm_msr_write(struct vmm_msrs *m, const struct cpuid_policy *p,
    uint32_t msr, uint64_t val);

#endif
