/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_MIRROR_H
#define LHYVE_SOFT_MIRROR_H

#include "vmm/soft/soft.h"

/* Mirrors of address spaces (mirror.c). By the vcpu's thread, but for
 * soft_mirror_protect(). */

/* The address space changes: nothing of it stays mapped. */
void soft_mirror_drop(struct soft_cpu *cpu);
/* One page may mean something else, in any mode. */
void soft_mirror_drop_page(struct soft_cpu *cpu, uint64_t va);
/* A page of RAM must not be written to without notice from now on. Any
 * vcpu's, with the world stopped. */
void soft_mirror_protect(struct soft_cpu *cpu, uint64_t gpa);
/* Was there a page at va, as far as one can tell? */
bool soft_mirror_had(struct soft_cpu *cpu, uint64_t va);
/* Maps the page, which translation has just succeeded for, if it is memory. */
void soft_mirror_fill(
    struct soft_cpu *cpu, uint64_t va, int acc, unsigned m);
/* Translated code needed the slow path: is the mirror worth it? */
void soft_mirror_fault(struct soft_cpu *cpu);
/* An interrupt of user code: is it time to begin? */
void soft_mirror_tick(struct soft_cpu *cpu);
void soft_mirror_init(struct soft_cpu *cpu);
void soft_mirror_fini(struct soft_cpu *cpu);

#endif
