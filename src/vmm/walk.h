/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_WALK_H
#define LHYVE_VMM_WALK_H

#include <stdint.h>

struct gmem;

/* What the translation of a linear address depends on (SDM volume 3, 4.1). */
struct vmm_walk {
	uint64_t cr0, cr3, cr4, efer;
};

/*
 * A linear address to a physical one, by the guest's tables (SDM volume 3,
 * 4.3 to 4.5), for a debugger: no access rights, no reserved bits, no A or D
 * bits, no TLB. 0, or -EFAULT: not present, or a table is not in RAM.
 */
int vmm_walk(const struct vmm_walk *w, const struct gmem *gm, uint64_t addr,
    uint64_t *gpa);

#endif
