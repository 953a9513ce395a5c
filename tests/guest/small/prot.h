/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_GUEST_PROT_H
#define LHYVE_TESTS_GUEST_PROT_H

#include "small.h"

/* Small guests in protected mode without IA-32e mode. */
#define CODE16(text) CODE(".code16\n" text "\n.code64\n")
#define CODE32(text) CODE(".code32\n" text "\n.code64\n")
#define P_IDT 0xd000ull /* 32-bit gates to gvm.c's stops */
#define P_TSS 0xe000ull
#define P_SS 0x70000ull /* base of the 16-bit stack */
#define P_ESP0 0xc000ull
/* Selectors. */
#define S_CODE32 0x40
#define S_DATA32 0x48
#define S_CODE16 0x50 /* base T_CODE */
#define S_DATA16 0x58 /* base T_DATA */
#define S_STACK16 0x60
#define S_TSS 0x68
#define HI 0xdead0000ull /* in the high halves */
#define FL_VM 0x20000u

void load(struct t *t, enum vm_segreg s, uint16_t sel, uint64_t base,
    uint32_t limit, uint32_t access);
/* IDT gate v of DPL 3 and `type` to 32-bit code. */
void gate(struct t *t, unsigned v, uint32_t to, unsigned type);
/* Ring 0 of 32-bit protected mode without paging, flat, at T_CODE. Every
 * vector has its stop; ESP is P_ESP0, and so is ESP0. */
void prot(struct t *t, struct code c);
/* The same with 16-bit code, data and stack. */
void prot16(struct t *t, struct code c);
uint16_t sel(struct t *t, enum vm_segreg s);
uint64_t base(struct t *t, enum vm_segreg s);

#endif
