/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_GUEST_KERNEL_KERNEL_H
#define LHYVE_TESTS_GUEST_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

/*
 * A kernel that checks the processor it runs on, without anything else in
 * the machine but a UART, the two PICs and the reset port.
 *
 * A check fills in the context `c`, go() enters it, and the first interrupt
 * or exception brings it back with the state found there: `int 0x80` is how
 * a check's code ends. Each check has the section of the manual as its
 * name: "SDM" is the Intel 64 and IA-32 Architectures Software Developer's
 * Manual, "APM" AMD's.
 */
struct ctx {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, cs, rflags, ss, ds, es, fs, gs;
	uint64_t vec, err, cr2;
	uint64_t cr0, cr3, cr4; /* for go_legacy() */
	uint64_t mode;		/* M_* */
	uint64_t pad;
};
_Static_assert(offsetof(struct ctx, mode) == C_MODE, "layout.h");
_Static_assert(sizeof(struct ctx) == C_SIZE, "layout.h");
extern struct ctx c;

/* Where a check's code, data and stacks are: pages of 4 KiB of their own,
 * 4 of each; all that is not mapped up to A_END is free. */
#define A_BASE 0x40000000ull
#define A_CODE 0x40000000ull
#define A_UCODE 0x40004000ull
#define A_DATA 0x40008000ull
#define A_UDATA 0x4000c000ull
#define A_STACK 0x40014000ull /* tops */
#define A_USTACK 0x40018000ull
#define A_FREE 0x40020000ull
#define A_END 0x40200000ull
#define NPAGES 64 /* of memory; A_FREE begins at page 32 of it */

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)

#define CR0_MP 2ull
#define CR0_EM 4ull
#define CR0_TS 8ull
#define CR0_NE 0x20ull
#define CR0_WP 0x10000ull
#define CR0_AM 0x40000ull
#define CR0_PG 0x80000000ull
#define CR4_VME 1ull
#define CR4_TSD 4ull
#define CR4_DE 8ull
#define CR4_PSE 0x10ull
#define CR4_PAE 0x20ull
#define CR4_PGE 0x80ull
#define CR4_PCE 0x100ull
#define CR4_OSFXSR 0x200ull
#define CR4_UMIP 0x800ull
#define CR4_FSGSBASE 0x10000ull
#define CR4_PCIDE 0x20000ull
#define CR4_OSXSAVE 0x40000ull
#define CR4_SMEP 0x100000ull
#define CR4_SMAP 0x200000ull
#define CR4_DEFAULT 0x620ull
#define CR0_DEFAULT 0x80010033ull

#define FL_CF 1ull
#define FL_ZF 0x40ull
#define FL_TF 0x100ull
#define FL_IF 0x200ull
#define FL_DF 0x400ull
#define FL_OF 0x800ull
#define FL_IOPL3 0x3000ull
#define FL_NT 0x4000ull
#define FL_RF 0x10000ull
#define FL_VM 0x20000ull
#define FL_AC 0x40000ull

#define EFER 0xc0000080u
#define EFER_SCE 1ull
#define EFER_NXE 0x800ull

enum { V_DE, V_DB, V_NMI, V_BP, V_OF, V_BR, V_UD, V_NM, V_DF, V_TS = 10,
	V_NP, V_SS, V_GP, V_PF, V_MF = 16, V_AC, V_MC, V_XM, V_STOP = 0x80 };
#define STOP "int 0x80\n"

struct code {
	const uint8_t *p;
	size_t len;
};
/* Assembly, Intel syntax, for 64 bits unless it says .code32; its bytes. */
#define CODE(text)                                                             \
	__extension__({                                                        \
		const uint8_t *p_, *e_;                                        \
		__asm__ volatile(".pushsection .rodata\n"                      \
				 ".intel_syntax noprefix\n"                    \
				 ".balign 256\n77770:\n"                     \
				 text "\n77771:\n"                           \
				 ".code64\n"                                   \
				 ".att_syntax prefix\n.popsection\n"           \
				 "movq $77770b, %0\n"                          \
				 "movq $77771b, %1\n"                          \
				 : "=r"(p_), "=r"(e_));                        \
		(struct code){ p_, (size_t)(e_ - p_) };                        \
	})

/* ---- state of the processor that a check may change ---- */

/* Everything as it was at the start: tables, control registers, `c`. */
void fresh(void);
/* Puts code somewhere; fresh(), and code as what go() enters. */
void put(uint64_t lin, struct code code);
void kernel(struct code code);	 /* ring 0, 64 bits, at A_CODE */
void user(struct code code);	 /* ring 3, 64 bits, at A_UCODE */
void user32(struct code code);	 /* ring 3, compatibility mode */
void kernel32(struct code code); /* ring 0, compatibility mode */
#define K(text) kernel(CODE(text STOP))
#define U(text) user(CODE(text STOP))
#define U32(text) user32(CODE(".code32\n" text STOP))
#define K32(text) kernel32(CODE(".code32\n" text STOP))
/* Legacy protected mode without paging, flat, ring 0 or 3; code at
 * P_CODE, data at P_DATA, stack top P_STACK. */
#define P_CODE 0x40000ull
#define P_DATA 0x50000ull
#define P_STACK 0x5f000ull
void prot(struct code code, unsigned ring);
#define P(text) prot(CODE(".code32\n" text STOP), 0)
#define P3(text) prot(CODE(".code32\n" text STOP), 3)
/* Real and virtual-8086 mode: CS is R_CS, DS, ES, FS, GS R_DS, SS R_SS. */
#define R_CS 0x1000u
#define R_DS 0x2000u
#define R_SS 0x3000u
void real(struct code code);
void v86(struct code code);
#define R(text) real(CODE(".code16\n" text STOP))
#define V(text) v86(CODE(".code16\n" text STOP))

/* Enters c; the vector that came of it. */
int go(void);

uint64_t *pte(uint64_t lin);	/* of A_BASE to A_END */
uint64_t page(unsigned n);	/* physical address of memory page n */
void map(uint64_t lin, unsigned n, uint64_t flags);
uint64_t peek(uint64_t lin, unsigned size);
void poke(uint64_t lin, unsigned size, uint64_t v);
/* Where the processor reads c's memory from when the PTE is odd. */
void *alias(uint64_t lin);
/* Gate of the 64-bit IDT: IST, DPL, type 14 interrupt or 15 trap. */
void gate(unsigned vec, uint64_t to, unsigned ist, unsigned dpl,
    unsigned type);
uint64_t stub(unsigned vec);
/* Descriptors at S_FREE and on. */
void set_gdt(unsigned sel, uint64_t desc);
uint64_t get_gdt(unsigned sel);
void set_rsp0(uint64_t rsp);
void set_ist(unsigned n, uint64_t rsp);

void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* A bit of EAX to EDX (0 to 3) of a leaf. */
bool has(uint32_t leaf, unsigned reg, unsigned bit);
bool is_amd(void);
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t v);
/* The same, in a context; the vector. */
int try_rdmsr(uint32_t msr, uint64_t *v);
int try_wrmsr(uint32_t msr, uint64_t v);
uint64_t get_cr4(void);
void set_cr0(uint64_t v);
void set_cr4(uint64_t v);
uint8_t inb(uint16_t port);
void outb(uint16_t port, uint8_t v);
void copy(void *to, const void *from, size_t len);
void zero(void *to, size_t len);

/* ---- checks ---- */

/* Begins a check; what it is called. */
void check(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void is(const char *what, uint64_t got, uint64_t want);
#define IS(got, want) is(#got, (uint64_t)(got), (uint64_t)(want))
#define GO(want) is("vector", (uint64_t)go(), (uint64_t)(want))
/* go(), which has to fault so, with RIP `off` bytes into the code. */
void faults(unsigned vec, uint64_t err, uint64_t off);
void pagefault(uint64_t err, uint64_t cr2);
/* QEMU's TCG would hang or end here: fails there without being run. */
bool loses_tcg(void);
void take_cmdline(const uint32_t *info);

void modes(void);
void segments(void);
void tasks(void);
void paging(void);
void exceptions(void);
void interrupts(void);
void system_calls(void);
void fpu(void);
void instructions(void);
void strings(void);
void selfmod(void);
void apic(void);
void idents(void);
void debug(void);

#endif
