/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Below 1 MiB: from long mode into protected, virtual-8086 and real mode,
 * and back from wherever a check's code stops there.
 */
#include "layout.h"

	.intel_syntax noprefix
	.section .low, "awx", @progbits
	.code32
	.globl low32
low32:
	mov	eax, S_DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	esp, offset low_stack
	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	mov	ecx, 0xc0000080
	rdmsr
	and	eax, ~0x100
	wrmsr
	mov	ebx, [cur]
	mov	eax, [ebx + C_CR4]
	mov	cr4, eax
	mov	eax, [ebx + C_CR3]
	mov	cr3, eax
	lidt	[idtr32]
	and	byte ptr [gdt + S_TSS32 + 5], 0xfd
	mov	eax, S_TSS32
	ltr	ax
	cmp	dword ptr [ebx + C_MODE], M_REAL
	jae	to_real
	mov	eax, [ebx + C_CR0]
	mov	cr0, eax
	jmp	1f
1:	test	dword ptr [ebx + C_RFLAGS], 0x20000
	jnz	to_v86
	test	byte ptr [ebx + C_CS], 3
	jnz	1f
	mov	ss, [ebx + C_SS]
	mov	esp, [ebx + C_RSP]
	jmp	2f
1:	push	dword ptr [ebx + C_SS]
	push	dword ptr [ebx + C_RSP]
2:	push	dword ptr [ebx + C_RFLAGS]
	push	dword ptr [ebx + C_CS]
	push	dword ptr [ebx + C_RIP]
	mov	es, [ebx + C_ES]
	mov	fs, [ebx + C_FS]
	mov	gs, [ebx + C_GS]
	push	dword ptr [ebx + C_DS]
	push	dword ptr [ebx + C_RBX]
	mov	eax, [ebx + C_RAX]
	mov	ecx, [ebx + C_RCX]
	mov	edx, [ebx + C_RDX]
	mov	esi, [ebx + C_RSI]
	mov	edi, [ebx + C_RDI]
	mov	ebp, [ebx + C_RBP]
	pop	ebx
	pop	ds
	iretd

to_v86:
	push	dword ptr [ebx + C_GS]
	push	dword ptr [ebx + C_FS]
	push	dword ptr [ebx + C_DS]
	push	dword ptr [ebx + C_ES]
	push	dword ptr [ebx + C_SS]
	push	dword ptr [ebx + C_RSP]
	push	dword ptr [ebx + C_RFLAGS]
	push	dword ptr [ebx + C_CS]
	push	dword ptr [ebx + C_RIP]
	mov	eax, [ebx + C_RAX]
	mov	ecx, [ebx + C_RCX]
	mov	edx, [ebx + C_RDX]
	mov	esi, [ebx + C_RSI]
	mov	edi, [ebx + C_RDI]
	mov	ebp, [ebx + C_RBP]
	mov	ebx, [ebx + C_RBX]
	iretd

	.balign 16
	.globl stubs32
stubs32:
	.set	vec, 0
	.rept	256
	.balign	16
	.if	(vec != 8) && (vec != 10) && (vec != 11) && (vec != 12) && \
		(vec != 13) && (vec != 14) && (vec != 17) && (vec != 21)
	push	0
	.endif
	push	vec
	.byte	0xe9
	.long	common32 - . - 4
	.set	vec, vec + 1
	.endr

common32:
	pushad
	push	ds
	push	es
	push	fs
	push	gs
	mov	eax, S_DATA
	mov	ds, ax
	mov	ebx, [cur]
	mov	eax, [esp + 16]
	mov	[ebx + C_RDI], eax
	mov	eax, [esp + 20]
	mov	[ebx + C_RSI], eax
	mov	eax, [esp + 24]
	mov	[ebx + C_RBP], eax
	mov	eax, [esp + 32]
	mov	[ebx + C_RBX], eax
	mov	[ebx + C_RDX], edx
	mov	[ebx + C_RCX], ecx
	mov	eax, [esp + 44]
	mov	[ebx + C_RAX], eax
	movzx	eax, byte ptr [esp + 48]
	mov	[ebx + C_VEC], eax
	mov	eax, [esp + 52]
	mov	[ebx + C_ERR], eax
	mov	eax, [esp + 56]
	mov	[ebx + C_RIP], eax
	movzx	ecx, word ptr [esp + 60]
	mov	[ebx + C_CS], ecx
	mov	edx, [esp + 64]
	mov	[ebx + C_RFLAGS], edx
	lea	esi, [esp + 68]
	mov	edi, ss
	test	edx, 0x20000
	jnz	1f
	movzx	eax, word ptr [esp]
	mov	[ebx + C_GS], eax
	movzx	eax, word ptr [esp + 4]
	mov	[ebx + C_FS], eax
	movzx	eax, word ptr [esp + 8]
	mov	[ebx + C_ES], eax
	movzx	eax, word ptr [esp + 12]
	mov	[ebx + C_DS], eax
	test	cl, 3
	jz	3f
	jmp	2f
1:	movzx	eax, word ptr [esp + 76]
	mov	[ebx + C_ES], eax
	movzx	eax, word ptr [esp + 80]
	mov	[ebx + C_DS], eax
	movzx	eax, word ptr [esp + 84]
	mov	[ebx + C_FS], eax
	movzx	eax, word ptr [esp + 88]
	mov	[ebx + C_GS], eax
2:	mov	esi, [esp + 68]
	movzx	edi, word ptr [esp + 72]
3:	mov	[ebx + C_RSP], esi
	mov	[ebx + C_SS], edi
	mov	eax, cr2
	mov	[ebx + C_CR2], eax
leave32:
	mov	eax, S_DATA
	mov	ss, ax
	mov	es, ax
	mov	esp, offset low_stack
	/* By IRET: it ends the blocking of NMIs. Not as a nested task. */
	push	2
	popfd
	push	2
	push	S_CODE32
	push	offset 1f
	iretd
1:	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	mov	eax, [saved_cr4]
	mov	cr4, eax
	mov	eax, offset pml4
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x100
	wrmsr
	mov	eax, [saved_cr0]
	mov	cr0, eax
	.byte	0xea
	.long	legacy_back
	.word	S_CODE64

to_real:
	mov	esi, ebx
	mov	edi, offset rm
	mov	ecx, C_SIZE / 4
	cld
	rep movsd
	mov	ecx, S_DATA16
	mov	ss, cx
	mov	fs, cx
	mov	gs, cx
	cmp	dword ptr [ebx + C_MODE], M_UNREAL
	jne	1f
	mov	ecx, S_DATA
1:	mov	es, cx
	lidt	[ivtr]
	mov	ds, cx
	.byte	0xea
	.long	real16
	.word	S_CODE16
	.code16
real16:
	mov	eax, cr0
	and	al, 0xfe
	mov	cr0, eax
	.byte	0xea
	.word	real0, 0
real0:
	xor	ax, ax
	mov	ds, ax
	mov	ss, [rm + C_SS]
	mov	sp, [rm + C_RSP]
	push	word ptr [rm + C_RFLAGS]
	push	word ptr [rm + C_CS]
	push	word ptr [rm + C_RIP]
	mov	es, [rm + C_ES]
	mov	fs, [rm + C_FS]
	mov	gs, [rm + C_GS]
	mov	eax, [rm + C_RAX]
	mov	ebx, [rm + C_RBX]
	mov	ecx, [rm + C_RCX]
	mov	edx, [rm + C_RDX]
	mov	esi, [rm + C_RSI]
	mov	edi, [rm + C_RDI]
	mov	ebp, [rm + C_RBP]
	mov	ds, [rm + C_DS]
	.byte	0xcf			/* IRET, 16 bits */

	.balign 8
	.globl stubs16
stubs16:
	.set	vec, 0
	.rept	256
	.balign	8
	.byte	0x68
	.word	vec
	.byte	0xe9
	.word	common16 - . - 2
	.set	vec, vec + 1
	.endr

common16:
	mov	cs:[rm + C_RAX], eax
	mov	cs:[rm + C_RBX], ebx
	mov	cs:[rm + C_RCX], ecx
	mov	cs:[rm + C_RDX], edx
	mov	cs:[rm + C_RSI], esi
	mov	cs:[rm + C_RDI], edi
	mov	cs:[rm + C_RBP], ebp
	mov	cs:[rm + C_DS], ds
	mov	cs:[rm + C_ES], es
	mov	cs:[rm + C_FS], fs
	mov	cs:[rm + C_GS], gs
	mov	cs:[rm + C_SS], ss
	pop	word ptr cs:[rm + C_VEC]
	pop	word ptr cs:[rm + C_RIP]
	pop	word ptr cs:[rm + C_CS]
	pop	word ptr cs:[rm + C_RFLAGS]
	movzx	esp, sp
	mov	cs:[rm + C_RSP], esp
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	.byte	0x66, 0xea
	.long	real_back
	.word	S_CODE32
	.code32
real_back:
	mov	eax, S_DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	esp, offset low_stack
	lidt	[idtr32]
	mov	dword ptr [rm + C_ERR], 0
	mov	esi, offset rm
	mov	edi, [cur]
	mov	ecx, C_SIZE / 4
	cld
	rep movsd
	jmp	leave32

	.balign	16
ivtr:	.word	0x3ff
	.long	0
	.balign	16
rm:	.skip	C_SIZE
	.skip	1024
low_stack:
	.section .note.GNU-stack, "", @progbits
