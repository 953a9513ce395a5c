/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_LAYOUT_H
#define LHYVE_SOFT_LAYOUT_H

/*
 * What translated code, entry.S and C agree on. Included by the assembler
 * too: numbers only. soft.h checks the offsets at compile time.
 *
 * Host registers while translated code runs:
 *
 *   rax rdx rbx rbp rsi rdi r8 r12   the guest's registers of the same name
 *   r9                               guest rcx
 *   r10                              guest rsp; "stack" code: guest r14
 *   r11                              guest r13
 *   rcx r14 r15                      scratch ("T2", "T0", "T1")
 *   r13                              "env": struct soft_cpu + ENV_BIAS
 *   rsp                              the host's stack; "stack" code: the
 *                                    mirror of the guest's
 *   RFLAGS (OF SF ZF AF PF CF)       the guest's
 *
 * Guest r9, r10, r11, r14 and r15 live in struct soft_cpu. Host rcx is kept
 * free because jrcxz is the one branch that does not need the flags.
 *
 * ENV_BIAS puts the hot fields within reach of an 8-bit displacement, and
 * leaves 12 in the low six bits of r13: the page shift. "shrx rcx, rcx, r13"
 * thus divides by the page size without touching the flags and without a
 * register of its own.
 */
#define ENV_BIAS 140

#define CPU_GPR 0
#define CPU_RIP 128
#define CPU_FL 136	/* arithmetic flags while in C */
#define CPU_POLL 144	/* u32: leave the translated code soon */
#define CPU_FPU_OUT 148 /* u32: guest FPU state is in memory */
#define CPU_JC 152	/* pointers: the jump caches in use, MMU_MODES */
#define CPU_TMP 176	/* u64: a value across a second memory access */
#define CPU_T0 184	/* u64: what thunks pass between C and code */
#define CPU_T1 192
#define CPU_T2 200
#define CPU_HOST_RSP 208
#define CPU_HOST_RET 216 /* where translated code called out from */
#define CPU_GO 224	 /* u32: 0 if poll is set, for jrcxz not to jump */
#define CPU_FROM 228	 /* u32: see tr_goto_t0() */
#define CPU_NEG 232	 /* u64: guest rsp - host rsp in stack code, else 0 */
#define CPU_THUNKS 240	 /* pointers, see below */
#define CPU_FLAGS (CPU_THUNKS + NTHUNKS * 8) /* u32: BF_*, of what C goes to */
#define CPU_KIND (CPU_FLAGS + 4) /* u32: BF_STACK if such code runs */
#define CPU_SP_KEEP (CPU_FLAGS + 8) /* u64: host rsp while borrowed, or 0 */
#define CPU_SP_NEW (CPU_FLAGS + 16) /* u64: what the guest's becomes */

/* Stack code: see docs/soft-engine.md. r10 has the guest register. */
#define BF_STACK 0x40000
#define STACK_GPR 14

#define THUNK_MEM 0	   /* memory access slow path */
#define THUNK_WRITEBACK 1  /* completes a slow store */
#define THUNK_HELPER 2	   /* C function in T2, arguments T0, T1 */
#define THUNK_MISS 3	   /* T0: guest pc; the jump cache does not have it */
#define THUNK_LINK 4	   /* T0: struct link to resolve */
#define THUNK_HELPER_END 5 /* as HELPER, then goes to cpu->rip */
#define THUNK_EXIT 6	   /* T0: guest pc to leave with */
#define THUNK_FPU 7	   /* brings the guest FPU state in */
/* The same with the promise that FPU state is in on return if it was. */
#define THUNK_MEM_FPU 8
#define THUNK_WRITEBACK_FPU 9
#define THUNK_HELPER_FPU 10
#define NTHUNKS 11

/* struct soft_cpu lies at the start of a mapping that goes on so: */
#define TLB_ENTRY_SHIFT 5
#define TLB_INDEX_BITS 16
#define TLB_SIZE (1 << TLB_INDEX_BITS)
#define TLB_OFFSET(m) (0x200000 + (m) * 0x200000)
#define TLB_R 0
#define TLB_W 8
#define TLB_X 16
#define TLB_ADDEND 24
#define JC_SHIFT 3 /* guest pc bits below do not index */
#define JC_SIZE (1 << 16)
/* Bytes of what is in front of a block, up to its jump: emit_front() in
 * translate.c. */
#define JC_FRONT 7
#define JC_FRONT_FAR 14
#define JC_OFFSET(m) (0x800000 + (m) * 0x80000)
/* For each 4 GiB of addresses what leads to their mirror: see mirror.c. */
#define MIRROR_OFFSET(m) (0x980000 + (m) * 0x80000)
#define MIRROR_ENTRIES (1 << 16)
#define CPU_MAPPING_SIZE 0xb00000

/* Sets of translations: the TLB and the jump cache exist once for each. */
#define MMU_KERNEL 0
#define MMU_USER 1
#define MMU_KERNEL_AC 2 /* supervisor that may touch user pages: AC set */
#define MMU_MODES 3

#define ARITH_FLAGS 0x8d5 /* OF SF ZF AF PF CF */

#endif
