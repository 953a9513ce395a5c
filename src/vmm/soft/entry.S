/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doors between C and translated code. See layout.h for who is in which
 * register. Nothing here may touch the FPU: the guest's state may be in it.
 */
#include "layout.h"

#define E(off) ((off) - ENV_BIAS)(%r13)
#define G(n) E(CPU_GPR + (n) * 8)

	.macro save_guest
	movq %rax, G(0)
	movq %rdx, G(2)
	movq %rbx, G(3)
	movq %rbp, G(5)
	movq %rsi, G(6)
	movq %rdi, G(7)
	movq %r8, G(8)
	movq %r12, G(12)
	movq %r9, G(1)
	movq %r10, G(4)
	movq %r11, G(13)
	/* lahf/seto rather than pushf: no serialization. */
	lahf
	seto %al
	movl %eax, E(CPU_FL)
	movq E(CPU_NEG), %rax /* r10 was the mirror's in stack code */
	addq %rax, G(4)
	.endm

	.macro load_guest
	movq G(4), %r10
	cmpl $0, E(CPU_KIND)
	je .Lno_stack\@
	call find_stack
	movq %rcx, %rsp
.Lno_stack\@:
	movl E(CPU_FL), %eax
	addb $0x7f, %al /* OF back from 0 or 1 */
	sahf
	movq G(0), %rax
	movq G(2), %rdx
	movq G(3), %rbx
	movq G(5), %rbp
	movq G(6), %rsi
	movq G(7), %rdi
	movq G(8), %r8
	movq G(12), %r12
	movq G(1), %r9
	movq G(13), %r11
	.endm

	/* What C goes to is what cpu->flags say. */
	.macro set_kind
	movl E(CPU_FLAGS), %ecx
	andl $BF_STACK, %ecx
	movl %ecx, E(CPU_KIND)
	movq $0, E(CPU_NEG)
	.endm

	.macro call_c fn
	leaq -ENV_BIAS(%r13), %rdi
	call \fn
	.endm

	.text

/* rcx := the mirror of the guest's rsp, which is in r10, where its register
 * comes instead. rax is lost. */
find_stack:
	movl E(CPU_FLAGS), %eax
	andl $3, %eax /* MMU_* */
	shll $16, %eax
	movq %r10, %rcx
	shrq $32, %rcx
	movzwl %cx, %ecx
	addl %eax, %ecx
	movq (MIRROR_OFFSET(0) - ENV_BIAS)(%r13, %rcx, 8), %rax
	leaq (%r10, %rax), %rcx
	negq %rax
	movq %rax, E(CPU_NEG)
	movq G(STACK_GPR), %r10
	ret

/* void soft_enter(struct soft_cpu *cpu, const void *code) */
	.globl soft_enter
	.type soft_enter, @function
soft_enter:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	leaq ENV_BIAS(%rdi), %r13
	movq %rsp, E(CPU_HOST_RSP)
	movq %rsi, %r14
	set_kind
	load_guest
	jmp *%r14
	.size soft_enter, . - soft_enter

/* Code jumps here with the pc to leave with in T0. */
	.globl soft_thunk_exit
soft_thunk_exit:
	movq %r14, E(CPU_RIP)
	save_guest
/* Guest registers are in struct soft_cpu already. */
	.globl soft_leave
soft_leave:
	movq E(CPU_HOST_RSP), %rsp
	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/*
 * Thunks are called (or jumped to) from code, with the host's stack; stack
 * code has put its rsp into r10, and what was there into its place. The
 * host's rsp is 16 byte aligned then, so that after the call and ours C sees
 * the ABI's alignment.
 */
	.macro helper_thunk name, fpu, timed=0
	.globl \name
\name:
	popq E(CPU_HOST_RET)
	save_guest
	.if \fpu
	movl E(CPU_FPU_OUT), %ebx
	.endif
	leaq -ENV_BIAS(%r13), %rdi
	movq %r14, %rsi
	movq %r15, %rdx
	.if \timed
	call soft_timed_helper /* rcx is its fourth argument */
	.else
	call *%rcx
	.endif
	.if \fpu
	cmpl %ebx, E(CPU_FPU_OUT)
	je 1f
	call_c soft_fpu_enter
1:
	.endif
	load_guest
	jmp *E(CPU_HOST_RET)
	.endm

	helper_thunk soft_thunk_helper, 0
	helper_thunk soft_thunk_helper_fpu, 1
	helper_thunk soft_timed_thunk_helper, 0, 1
	helper_thunk soft_timed_thunk_helper_fpu, 1, 1

/* Those that look up where to go on. */
	.macro goto_code
	testq %rax, %rax
	jz soft_leave
	movq %rax, %r14
	set_kind
	load_guest
	jmp *%r14
	.endm

	.macro lookup_thunks prefix, lookup, miss, link, timed
	.globl \prefix\()_helper_end
\prefix\()_helper_end:
	popq E(CPU_HOST_RET)
	save_guest
	leaq -ENV_BIAS(%r13), %rdi
	movq %r14, %rsi
	movq %r15, %rdx
	.if \timed
	call soft_timed_helper
	.else
	call *%rcx
	.endif
	movq $0, E(CPU_HOST_RET)
	call_c \lookup
	goto_code

	.globl \prefix\()_miss
\prefix\()_miss:
	movl E(CPU_KIND), %ecx /* the flags are the guest's */
	jrcxz .Lhost_stack\@
	movq %r10, G(STACK_GPR)
	movq %rsp, %r10
	movq E(CPU_HOST_RSP), %rsp
.Lhost_stack\@:
	movq %r14, E(CPU_RIP)
	save_guest
	movq $0, E(CPU_HOST_RET)
	call_c \miss
	goto_code

	.globl \prefix\()_link
\prefix\()_link:
	save_guest
	movq $0, E(CPU_HOST_RET)
	movq %r14, %rsi
	call_c \link
	goto_code
	.endm

	lookup_thunks soft_thunk, soft_lookup, soft_miss, soft_link, 0
	lookup_thunks soft_timed_thunk, soft_timed_lookup, soft_timed_miss, \
	    soft_timed_link, 1

/* Memory slow path: T0 address, ecx what access; returns T0, T1, T2. */
	.macro mem_thunk name, fn, fpu
	.globl \name
\name:
	popq E(CPU_HOST_RET)
	save_guest
	.if \fpu
	movl E(CPU_FPU_OUT), %ebx
	.endif
	leaq -ENV_BIAS(%r13), %rdi
	movq %r14, %rsi
	movl %ecx, %edx
	call \fn
	.if \fpu
	cmpl %ebx, E(CPU_FPU_OUT)
	je 1f
	call_c soft_fpu_enter
1:
	.endif
	load_guest
	movq E(CPU_T0), %r14
	movq E(CPU_T1), %r15
	movl E(CPU_T2), %ecx
	jmp *E(CPU_HOST_RET)
	.endm

	mem_thunk soft_thunk_mem, soft_mem_slow, 0
	mem_thunk soft_thunk_mem_fpu, soft_mem_slow, 1
	mem_thunk soft_thunk_writeback, soft_writeback, 0
	mem_thunk soft_thunk_writeback_fpu, soft_writeback, 1
	mem_thunk soft_timed_thunk_mem, soft_timed_mem, 0
	mem_thunk soft_timed_thunk_mem_fpu, soft_timed_mem, 1
	mem_thunk soft_timed_thunk_writeback, soft_timed_writeback, 0
	mem_thunk soft_timed_thunk_writeback_fpu, soft_timed_writeback, 1

	.macro fpu_thunk name, fn
	.globl \name
\name:
	popq E(CPU_HOST_RET)
	save_guest
	call_c \fn
	load_guest
	jmp *E(CPU_HOST_RET)
	.endm

	fpu_thunk soft_thunk_fpu, soft_fpu_enter
	fpu_thunk soft_timed_thunk_fpu, soft_timed_fpu_enter

/* signal.c sends an access here that is not in the mirror and has no slow path
 * yet: soft_late() makes one, which goes on with T0 and T1 as they are. */
	.globl soft_thunk_late
soft_thunk_late:
	movl E(CPU_KIND), %ecx /* the flags are the guest's */
	jrcxz 2f
	movq %r10, G(STACK_GPR)
	movq %rsp, %r10
	movq E(CPU_HOST_RSP), %rsp
2:
	movq %r14, E(CPU_T0)
	movq %r15, E(CPU_T1)
	save_guest
	movl E(CPU_FPU_OUT), %ebx
	call_c soft_late
	testq %rax, %rax
	jz soft_leave
	movq %rax, E(CPU_HOST_RET)
	cmpl %ebx, E(CPU_FPU_OUT)
	je 1f
	call_c soft_fpu_enter
1:
	load_guest
	movq E(CPU_T0), %r14
	movq E(CPU_T1), %r15
	jmp *E(CPU_HOST_RET)

	.section .note.GNU-stack, "", @progbits
