/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_GUEST_SMALL_H
#define LHYVE_TESTS_GUEST_SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gvm.h"

/*
 * Small guests. A group is a program: a table of functions, each of which
 * gets a fresh machine (gvm.h), puts assembly into it, runs it and compares
 * what came of it with what the manual says. Every function runs once in
 * each engine setting.
 *
 * "SDM" is the Intel 64 and IA-32 Architectures Software Developer's
 * Manual, "APM" AMD's.
 */
#define T_CODE 0x80000ull  /* ring 0 code */
#define T_HAND 0x90000ull  /* handlers */
#define T_DATA 0xa0000ull  /* ring 0 data, 64 KiB */
#define T_UCODE 0x400000ull /* ring 3: 4 pages of each */
#define T_USTACK 0x504000ull /* its top */
#define T_UDATA 0x600000ull
#define T_UPAGES 4

#define CR0_WP (1ull << 16)
#define CR0_TS 8ull
#define CR0_EM 4ull
#define CR0_MP 2ull
#define CR0_AM (1ull << 18)
#define CR4_UMIP (1ull << 11)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define FL_TF 0x100ull
#define FL_IF 0x200ull
#define FL_IOPL3 0x3000ull
#define FL_RF 0x10000ull
#define FL_AC 0x40000ull
#define PTE_G 0x100ull

enum { V_DE, V_DB, V_NMI, V_BP, V_OF, V_BR, V_UD, V_NM, V_DF, V_TS = 10,
	V_NP, V_SS, V_GP, V_PF, V_MF = 16, V_AC, V_MC, V_XM };

struct t {
	struct gvm *g;
	unsigned options;
	const char *setting;
	char name[160];
	bool failed;
	unsigned nchecks, nfailed;
	/* Of the last go(). */
	uint64_t stop;
	struct vm_exit exit;
	struct gvm_frame f;
};

struct group_fn {
	const char *name;
	void (*fn)(struct t *);
};
/* The group; ends with a NULL. */
extern const struct group_fn group[];
/* Its machines' processors; 1 where a group does not say. */
extern unsigned group_ncpus;

/* ---- guest code ---- */

struct code {
	const uint8_t *p;
	size_t len;
};
/* Assembly, Intel syntax; its bytes. */
#define CODE(text)                                                             \
	__extension__({                                                        \
		const uint8_t *p_, *e_;                                        \
		__asm__ volatile(".pushsection .rodata\n"                      \
				 ".intel_syntax noprefix\n"                    \
				 ".balign 64\n77770:\n" text "\n77771:\n"     \
				 ".att_syntax prefix\n.popsection\n"           \
				 "leaq 77770b(%%rip), %0\n"                    \
				 "leaq 77771b(%%rip), %1\n"                    \
				 : "=r"(p_), "=r"(e_));                        \
		(struct code){ p_, (size_t)(e_ - p_) };                        \
	})
/* Ends a guest in ring 0, or in ring 3 with IOPL 3. */
#define STOP "out 0xf4, al\njmp .\n"
/* Ends it in any ring: stops in the stub of vector 0x80. */
#define USTOP "int 0x80\n"
#define U_STOPPED 0x80

/* What go() returns: the vector whose stub stopped, or one of these. */
#define GO_STOP 0x100
#define GO_EXIT(code) (0x200 + (int)(code))

void put(struct t *t, uint64_t gpa, struct code c);
/* Loads and enters code in ring 0 at T_CODE or ring 3 at T_UCODE. */
void kernel(struct t *t, struct code c);
void user(struct t *t, struct code c);
int go(struct t *t);
/* Handler of a vector, at T_HAND + 256 * vector, on the current stack. */
void handler(struct t *t, unsigned vector, struct code c);

uint64_t get(struct t *t, enum vm_reg reg);
void set(struct t *t, enum vm_reg reg, uint64_t v);
uint64_t mem(struct t *t, uint64_t gpa, unsigned size);
void set_mem(struct t *t, uint64_t gpa, unsigned size, uint64_t v);
/* Guest address of what gvm_pte() points to. */
uint64_t gpa_of(struct t *t, const void *p);
/* Guest address of a user page's memory. */
uint64_t upage(struct t *t, uint64_t lin);
void set_gdt(struct t *t, unsigned sel, uint64_t desc);
/* True if CPUID offers it. */
bool has(struct t *t, uint32_t leaf, unsigned reg, unsigned bit);
/* True if CPUID says GenuineIntel: vendors differ here and there. */
bool intel(struct t *t);

/* ---- checks ---- */

/* Names the next check: volume and section, then what it is about. */
void check(struct t *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void is(struct t *t, const char *what, uint64_t got, uint64_t want);
#define IS(got, want) is(t, #got, (uint64_t)(got), (uint64_t)(want))
/* go() and the vector it has to end with. */
#define GO(want) IS(go(t), want)
/* The frame that the last exception left on IST1. */
void is_frame(struct t *t, uint64_t error, uint64_t rip, uint64_t cs,
    uint64_t rflags, uint64_t rsp, uint64_t ss);

#endif
