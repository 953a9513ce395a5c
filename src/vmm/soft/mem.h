/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_MEM_H
#define LHYVE_SOFT_MEM_H

#include "vmm/soft/soft.h"

/* ---- memory (mmu.c, mem.c) ---- */

enum { ACC_R, ACC_W, ACC_X };

/* Host address of one byte's page for an access, filling the TLB; NULL for
 * an access that must go to I/O (*gpa says where). Raises #PF. */
uint8_t *soft_translate_va(
    struct soft_cpu *cpu, uint64_t va, int acc, unsigned m, uint64_t *gpa);
/* Raises what an access would, but sets neither A nor D: for what is done in
 * parts, of which the last may fault. */
void soft_check_va(struct soft_cpu *cpu, uint64_t va, int acc, unsigned m);
/* The page at va and whether it may be written to, if it may be read and all
 * has been done before that makes the processor set A and D. Changes nothing,
 * raises nothing. */
bool soft_peek(struct soft_cpu *cpu, uint64_t va, unsigned m, uint64_t *gpa,
    bool *write);
/* Asks the host for a large page under the 2 MiB around gpa, once. */
void soft_make_large(struct soft_cpu *cpu, uint64_t gpa);
void soft_tlb_flush(struct soft_cpu *cpu, bool global);
void soft_tlb_flush_page(struct soft_cpu *cpu, uint64_t va);
/* From PCID to PCID; keep: with what is still known of the new one. */
void soft_tlb_switch(
    struct soft_cpu *cpu, uint64_t from, uint64_t to, bool keep);
/* Forgets what is kept of a PCID that is not the current one. */
void soft_pcid_drop(struct soft_cpu *cpu, uint64_t pcid);
void soft_pcid_drop_all(struct soft_cpu *cpu);
/* Of the user's jump cache (jump.c). */
void soft_jc_save(struct soft_cpu *cpu, struct pcid_set *set);
void soft_jc_restore(struct soft_cpu *cpu, const struct pcid_set *set);
/* Takes the write permission from every TLB entry of a RAM page. */
void soft_tlb_protect(struct soft_cpu *cpu, uint64_t gpa);
void soft_tlb_init(struct soft_cpu *cpu);

/* Accesses by C on the guest's behalf at a linear address; any may raise. */
uint64_t soft_ld(struct soft_cpu *cpu, uint64_t va, unsigned size, unsigned m);
void soft_st(
    struct soft_cpu *cpu, uint64_t va, unsigned size, unsigned m, uint64_t v);
void soft_read_va(struct soft_cpu *cpu, uint64_t va, void *buf, unsigned len,
    unsigned m);
void soft_write_va(struct soft_cpu *cpu, uint64_t va, const void *buf,
    unsigned len, unsigned m);
/* The bits of a physical address that leave the processor: A20 may not. */
static inline uint64_t
soft_phys(const struct soft_cpu *cpu, uint64_t gpa)
{
	return (gpa &
	    atomic_load_explicit(&cpu->vm->phys_mask, memory_order_relaxed));
}
/* Sets and clears bits of a byte of the system's, as a locked access does;
 * returns what it was. */
uint8_t soft_rmw8(
    struct soft_cpu *cpu, uint64_t va, uint8_t set, uint8_t clear);
/* Raises unless all of [va, va+len) can be written. */
void soft_probe_write(
    struct soft_cpu *cpu, uint64_t va, unsigned len, unsigned m);
void soft_copy(void *dst, const void *src, size_t n);

uint64_t soft_phys_read(
    struct soft_cpu *cpu, uint64_t gpa, unsigned size); /* I/O or RAM */
void soft_phys_write(
    struct soft_cpu *cpu, uint64_t gpa, unsigned size, uint64_t v);

/* Slow path of translated accesses; ACCESS_* in `what`. */
#define ACCESS_SIZE 0x7fu	    /* bytes */
#define ACCESS_FLOW 0x80u	    /* part of a jump: never resume behind it */
#define ACCESS_READ 0x100u
#define ACCESS_WRITE 0x200u
#define ACCESS_STACK 0x400u	    /* by SS: #SS rather than #GP */
#define ACCESS_ALIGNED 0x800u	    /* #GP unless naturally aligned */
#define ACCESS_MASKED 0x100000u	    /* AVX-512: mask register K */
#define ACCESS_VMASK 0x200000u	    /* AVX: mask in vector register K */
#define ACCESS_BCAST 0x400000u	    /* elements for COUNT of them, in turn */
#define ACCESS_PACKED 0x800000u	    /* as many elements as K has bits set */
#define ACCESS_K_SHIFT 12	    /* 4 bits */
#define ACCESS_ELEM_SHIFT 16	    /* log2 of an element's bytes, 2 bits;
				     * without a mask 0: #AC by the size */
#define ACCESS_COUNT_SHIFT 24	    /* 7 bits */
#define ACCESS_LOCKED 0x80000000u   /* LOCK, or XCHG */
/* A linear address that the paging mode allows (48 or 57 bits), whatever the
 * code segment is (SDM volume 1, 3.3.7.1). */
static inline bool
soft_canonical(const struct soft_cpu *cpu, uint64_t va)
{
	unsigned n = cpu->cr4 & CR4_LA57 ? 7 : 16;

	return ((uint64_t)((int64_t)(va << n) >> n) == va);
}
/* The same for what MSRs and the bases of segments and tables may hold: as
 * wide as the processor could have it. */
static inline bool
soft_canonical_base(const struct soft_cpu *cpu, uint64_t va)
{
	unsigned n = cpu->vm->cpuid.cr4 & CR4_LA57 ? 7 : 16;

	return ((uint64_t)((int64_t)(va << n) >> n) == va);
}
/* The page behind the one that lin is in; outside 64-bit mode 0 comes after
 * 4 GiB. */
static inline uint64_t
soft_next_page(const struct soft_cpu *cpu, uint64_t lin)
{
	lin = (lin & ~0xfffull) + 0x1000;
	return (cpu->flags & BF_CODE64 ? lin : (uint32_t)lin);
}
/* Loads the PDPTEs if these registers mean PAE paging; false, and nothing is
 * loaded, if one has reserved bits set and `check` is. */
bool soft_load_pdptes(struct soft_cpu *cpu, uint64_t cr0, uint64_t cr3,
    uint64_t cr4, bool check);
/* #GP(0), or #SS(0) for the stack, unless [va, va+len) is canonical. */
void soft_check_canonical(
    struct soft_cpu *cpu, uint64_t va, unsigned len, bool stack);
void soft_mem_slow(struct soft_cpu *cpu, uint64_t va, uint32_t what);
/* The bytes that an access, perhaps under a mask, is really to. */
uint64_t soft_byte_mask(uint32_t what);
void soft_writeback(struct soft_cpu *cpu, uint64_t va, uint32_t what);

#endif
