/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_FUZZ_SOFTVM_PRIV_H
#define LHYVE_TESTS_FUZZ_SOFTVM_PRIV_H

/* What softvm.c (running and watching) and svstate.c (the state to begin
 * with) share. */
#include <pthread.h>

#include "gmem/gmem.h"
#include "softvm.h"
#include "vmm/vmm.h"

#define RAM 0x200000u
#define ROM_SIZE 0x10000u
#define ROM (GMEM_HIGHMEM_BASE - ROM_SIZE)
#define GDT 0x1000u
#define IDT 0x2000u
#define TSS 0x3000u   /* with an I/O bitmap up to 0x5066 */
#define TASKS 0x6000u /* two more TSSs and an LDT */
#define LDT 0x6800u
#define STUBS 0x8000u /* 16 bytes a vector */
#define PARK 0x9000u  /* where a second processor comes from */
#define STACK 0xf000u
#define TABLES 0x10000u
#define DATA 0x30000u
#define LIN_IO 0x40000000u   /* memory of devices, 1 GiB */
#define LIN_APIC 0x80000000u /* where the local APIC is */
#define LIN_ROM 0x803f0000u
#define LIN_ALIAS 0x200000u /* the first 2 MiB again, some of it odd */

#define P 1ull
#define W 2ull
#define U 4ull
#define PS 0x80ull
#define NX (1ull << 63)

/* Mode */
#define M_USER 0x10
#define M_TWO 0x20 /* a second processor in the same program */
/* Options */
#define O_NO_LINK 1
#define O_NO_TLB 2
#define O_ONE_INSN 4
#define O_MIRROR (O_NO_TLB | O_ONE_INSN) /* both: neither, but mirrors */
#define O_HALT_EXIT 8
#define O_PAUSE_EXIT 0x10
#define O_X2APIC 0x20
#define O_MSR_GP 0x40
#define O_ROM 0x80
/* Wild */
#define W_GPR 1
#define W_SEG 2
#define W_PAGES 4
#define W_CR 8
#define W_IDT 16
#define W_GDT 32
#define W_FPU 64
#define W_TSS 128
/* Events */
#define E_MSI 1
#define E_NMI 2
#define E_EXTINT 4
#define E_EXCEPTION 8
#define E_DMA 16
#define E_SUSPEND 32

struct sv {
	struct gmem *gm;
	struct vm *vm;
	const struct sv_head *h;
	uint8_t *rom; /* its content, if there is one */
	unsigned ncpus;
	struct sv_cpu {
		struct vcpu *v;
		pthread_t thread;
		uint64_t rng; /* the vcpu's thread */
		unsigned nio;
		/* Under the lock: the kicker's. */
		uint64_t kicked_cpu, kicked_wall; /* 0: not yet */
		bool running;
	} c[2];
	uint64_t krng;
};

/* The vcpu that this thread runs or makes ready. */
extern _Thread_local unsigned sv_me;

static inline struct vcpu *
sv_vcpu(struct sv *s)
{
	return (s->c[sv_me].v);
}

/* The thread's random numbers. */
static inline uint64_t
sv_rnd(struct sv *s)
{
	return (fuzz_rand(&s->c[sv_me].rng));
}

static inline bool
sv_chance(struct sv *s, unsigned percent)
{
	return (sv_rnd(s) % 100 < percent);
}

/* Descriptor tables, page tables, the program and its data. */
void sv_memory(struct sv *s, const uint8_t code[SV_CODE_SIZE]);
/* The ROM's content. */
void sv_rom(struct sv *s, const uint8_t code[SV_CODE_SIZE]);
/* Registers of the vcpu. */
void sv_registers(struct sv *s);

#endif
