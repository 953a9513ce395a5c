/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the PVH entry point (Xen, docs/misc/pvh.pandoc) to long mode; the
 * way into a check's code in long mode, and back from wherever it stops.
 */
#include "layout.h"

	.intel_syntax noprefix

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.text
	.code32
	.globl start32
start32:
	cli
	cld
	mov	esp, offset stack_top
	mov	esi, offset low_image
	mov	edi, offset low_start
	mov	ecx, offset low_end
	sub	ecx, edi
	rep movsb
	lgdt	[gdtr]
	mov	eax, 0x620		/* PAE OSFXSR OSXMMEXCPT */
	mov	cr4, eax
	mov	eax, offset pml4
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x901		/* SCE LME NXE */
	wrmsr
	mov	eax, 0x80010033		/* PG WP NE ET MP PE */
	mov	cr0, eax
	.byte	0xea			/* ljmp */
	.long	start64
	.word	S_CODE64
	.code64
start64:
	mov	eax, S_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	rsp, offset stack_top
	mov	edi, ebx		/* the start info */
	call	kmain
1:	hlt
	jmp	1b

/* void go64(struct ctx *) */
	.globl go64
go64:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[saved_rsp], rsp
	mov	[cur], rdi
	mov	rax, rdi
	mov	ds, [rax + C_DS]
	mov	es, [rax + C_ES]
	mov	fs, [rax + C_FS]
	mov	gs, [rax + C_GS]
	push	[rax + C_SS]
	push	[rax + C_RSP]
	push	[rax + C_RFLAGS]
	push	[rax + C_CS]
	push	[rax + C_RIP]
	mov	rbx, [rax + C_RBX]
	mov	rcx, [rax + C_RCX]
	mov	rdx, [rax + C_RDX]
	mov	rsi, [rax + C_RSI]
	mov	rdi, [rax + C_RDI]
	mov	rbp, [rax + C_RBP]
	mov	r8, [rax + C_R8]
	mov	r9, [rax + C_R8 + 8]
	mov	r10, [rax + C_R8 + 16]
	mov	r11, [rax + C_R8 + 24]
	mov	r12, [rax + C_R8 + 32]
	mov	r13, [rax + C_R8 + 40]
	mov	r14, [rax + C_R8 + 48]
	mov	r15, [rax + C_R8 + 56]
	mov	rax, [rax + C_RAX]
	iretq

	.balign 16
	.globl stubs64
stubs64:
	.set	vec, 0
	.rept	256
	.balign	16
	.if	(vec != 8) && (vec != 10) && (vec != 11) && (vec != 12) && \
		(vec != 13) && (vec != 14) && (vec != 17) && (vec != 21)
	push	0
	.endif
	push	vec
	.byte	0xe9			/* jmp, always of this size */
	.long	common64 - . - 4
	.set	vec, vec + 1
	.endr

common64:
	push	rax
	mov	rax, [cur]
	test	rax, rax
	jz	lost
	mov	[rax + C_RBX], rbx
	mov	[rax + C_RCX], rcx
	mov	[rax + C_RDX], rdx
	mov	[rax + C_RSI], rsi
	mov	[rax + C_RDI], rdi
	mov	[rax + C_RBP], rbp
	mov	[rax + C_R8], r8
	mov	[rax + C_R8 + 8], r9
	mov	[rax + C_R8 + 16], r10
	mov	[rax + C_R8 + 24], r11
	mov	[rax + C_R8 + 32], r12
	mov	[rax + C_R8 + 40], r13
	mov	[rax + C_R8 + 48], r14
	mov	[rax + C_R8 + 56], r15
	pop	[rax + C_RAX]
	pop	rbx
	movzx	ebx, bl
	mov	[rax + C_VEC], rbx
	pop	[rax + C_ERR]
	pop	[rax + C_RIP]
	pop	[rax + C_CS]
	pop	[rax + C_RFLAGS]
	pop	[rax + C_RSP]
	pop	[rax + C_SS]
	mov	rbx, cr2
	mov	[rax + C_CR2], rbx
	mov	ebx, ds
	mov	[rax + C_DS], rbx
	mov	ebx, es
	mov	[rax + C_ES], rbx
	mov	ebx, fs
	mov	[rax + C_FS], rbx
	mov	ebx, gs
	mov	[rax + C_GS], rbx
	.globl back64
back64:
	xor	ebx, ebx
	mov	[cur], rbx
	mov	rsp, [saved_rsp]
	/* By IRET: it ends the blocking of NMIs. */
	mov	rax, rsp
	push	S_DATA
	push	rax
	push	2
	push	S_CODE64
	lea	rbx, [1f]
	push	rbx
	iretq
1:	mov	eax, S_DATA
	mov	ds, eax
	mov	es, eax
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

/* An exception of the kernel itself. */
lost:
	pop	rax
	pop	rdi
	movzx	edi, dil
	pop	rsi
	pop	rdx
	mov	rcx, cr2
	and	rsp, -16
	call	klost

/* void go_legacy(struct ctx *) */
	.globl go_legacy
go_legacy:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[saved_rsp], rsp
	mov	[cur], rdi
	mov	rax, cr4
	mov	[saved_cr4], rax
	mov	rax, cr0
	mov	[saved_cr0], rax
	push	S_CODE32
	push	offset low32
	retfq

/* Back in long mode, with its segments and tables to load. */
	.globl legacy_back
legacy_back:
	mov	eax, S_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	lgdt	[gdtr]
	lidt	[idtr64]
	and	byte ptr [gdt + S_TSS64 + 5], 0xfd
	mov	eax, S_TSS64
	ltr	ax
	jmp	back64

	.data
	.globl gdtr, idtr64, idtr32
gdtr:	.word	0x1ff
	.quad	gdt
idtr64:	.word	0xfff
	.quad	idt64
idtr32:	.word	0x7ff
	.quad	idt32
	.balign	16
	.globl gdt
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* S_CODE64 */
	.quad	0x00cf93000000ffff	/* S_DATA */
	.quad	0x00cf9b000000ffff	/* S_CODE32 */
	.quad	0x00cffb000000ffff	/* S_UCODE32 */
	.quad	0x00cff3000000ffff	/* S_UDATA */
	.quad	0x00affb000000ffff	/* S_UCODE64 */
	.quad	0x00009b000000ffff	/* S_CODE16 */
	.quad	0x000093000000ffff	/* S_DATA16 */
	.fill	64 - 9, 8, 0

	.balign	4096
	.globl pml4, pdpt, pd0
pml4:	.quad	pdpt + 7
	.fill	511, 8, 0
pdpt:	.quad	pd0 + 7, pd_arena + 7, 0, pd_apic + 7
	.fill	508, 8, 0
pd0:	.set	i, 0
	.rept	512
	.quad	(i << 21) + 0x83
	.set	i, i + 1
	.endr
	.globl pd_arena
pd_arena: .quad	arena_pt + 7
	.fill	511, 8, 0
pd_apic: .fill	0x1f7, 8, 0
	.quad	0xfee0009b		/* PCD PWT */
	.fill	512 - 0x1f8, 8, 0

	.bss
	.balign	16
	.globl cur, saved_rsp, saved_cr4, saved_cr0
cur:	.skip	8
saved_rsp: .skip 8
saved_cr4: .skip 8
saved_cr0: .skip 8
	.balign	16
	.skip	65536
stack_top:
	.section .note.GNU-stack, "", @progbits
