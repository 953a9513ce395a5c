/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/walk.h"

#include <errno.h>
#include <stdbool.h>

#include "gmem/gmem.h"

#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)
#define PTE_P 1ull
#define PTE_PS 0x80ull
#define PTE_ADDR 0xffffffffff000ull

/* 4.3: entries of 4 bytes; a large page's have address bits 39:32 in 20:13. */
static int
walk32(const struct vmm_walk *w, const struct gmem *gm, uint32_t addr,
    uint64_t *gpa)
{
	uint32_t e;

	if (gmem_read(gm, (w->cr3 & 0xfffff000) + (addr >> 22) * 4, &e, 4) !=
		0 ||
	    (e & PTE_P) == 0)
		return (-EFAULT);
	if ((e & PTE_PS) != 0 && (w->cr4 & CR4_PSE) != 0) {
		*gpa = (uint64_t)(e >> 13 & 0xff) << 32 | (e & 0xffc00000) |
		    (addr & 0x3fffff);
		return (0);
	}
	if (gmem_read(gm, (e & 0xfffff000) + (addr >> 12 & 0x3ff) * 4, &e,
		4) != 0 ||
	    (e & PTE_P) == 0)
		return (-EFAULT);
	*gpa = (e & 0xfffff000) | (addr & 0xfff);
	return (0);
}

int
vmm_walk(const struct vmm_walk *w, const struct gmem *gm, uint64_t addr,
    uint64_t *gpa)
{
	bool lma = (w->efer & EFER_LMA) != 0;
	unsigned levels = !lma ? 3 : (w->cr4 & CR4_LA57) != 0 ? 5 : 4;
	unsigned bits = levels * 9 + 12;
	uint64_t table = w->cr3 & PTE_ADDR, e;

	if (!lma)
		addr = (uint32_t)addr;
	if ((w->cr0 & CR0_PG) == 0) {
		*gpa = addr;
		return (0);
	}
	if (!lma && (w->cr4 & CR4_PAE) == 0)
		return (walk32(w, gm, (uint32_t)addr, gpa));
	if (!lma)
		table = w->cr3 & 0xffffffe0;
	else if ((uint64_t)((int64_t)(addr << (64 - bits)) >> (64 - bits)) !=
	    addr)
		return (-EFAULT); /* not canonical */
	for (unsigned level = levels; level-- > 0;) {
		unsigned shift = 12 + 9 * level;
		uint64_t mask = (1ull << shift) - 1;

		if (gmem_read(gm, table + (addr >> shift & 0x1ff) * 8, &e,
			8) != 0 ||
		    (e & PTE_P) == 0)
			return (-EFAULT);
		table = e & PTE_ADDR;
		/* 1 GiB pages are long mode's; PDPTEs of PAE have no PS. */
		if (level == 0 || ((e & PTE_PS) != 0 &&
				      (level == 1 || (level == 2 && lma)))) {
			*gpa = (table & ~mask) | (addr & mask);
			return (0);
		}
	}
	return (-EFAULT);
}
