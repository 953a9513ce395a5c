; SPDX-License-Identifier: BSD-2-Clause
; A boot ROM of 128 KiB: from the reset vector to its copy below 1 MiB, back
; to the top of 4 GiB in 32-bit code, and out by a reset. Says on COM1 what it
; has seen. If it has a page of variables, it shows and counts up the first.

	org	0			; offsets in the segments e000 and f000
	times	0x10000 - ($ - $$) db 0xff
	section .text2 vstart=0 follows=.text

HIGH	equ	0xffff0000		; where this half lies, too
VARS	equ	0xfffdf000		; a page below the ROM

%macro SAY 1				; BX or EBX: the text
%%more:	mov	al, [cs:bx]
	test	al, al
	jz	%%done
	mov	dx, 0x3f8
	out	dx, al
	inc	bx
	jmp	%%more
%%done:
%endmacro

	bits	16
start:
	mov	bx, in_real
	SAY	1
	; The copy is RAM.
	mov	ax, cs
	mov	ds, ax
	inc	byte [count]
	cmp	byte [count], 8
	jne	stop
	mov	bx, is_ram
	SAY	1
	o32 lgdt [gdtr]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	jmp	dword 8:HIGH + protected

	bits	32
protected:
	mov	ax, 16
	mov	ds, ax
	mov	ss, ax
	mov	esp, 0x8000
	mov	esi, HIGH + is_rom
	; The ROM is as it was, and stays so.
	cmp	byte [HIGH + count], 7
	jne	stop
	mov	dword [HIGH + count], 0
	cmp	byte [HIGH + count], 7
	jne	stop
	call	say
	mov	bl, [VARS]
	cmp	bl, 0xff		; nobody there
	je	.reset
	call	say
	mov	dx, 0x3f8
	mov	al, bl
	out	dx, al
	inc	bl
	mov	byte [VARS], 0x10	; program a byte
	mov	[VARS], bl
	cmp	[VARS], bl
	jne	stop
.reset:	mov	al, 6
	mov	dx, 0xcf9
	out	dx, al
stop:	cli
	hlt

say:	lodsb
	test	al, al
	jz	.done
	mov	dx, 0x3f8
	out	dx, al
	jmp	say
.done:	ret

count	db	7, 0, 0, 0
in_real	db	"real mode, ", 0
is_ram	db	"copy is RAM, ", 0
is_rom	db	"ROM is ROM", 13, 10, 0
	db	"variable ", 0

	align	8
gdt	dq	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr	dw	23
	dd	HIGH + gdt

	bits	16
	times	0xfff0 - ($ - $$) db 0xff
	jmp	0xf000:start
	times	0x10000 - ($ - $$) db 0xff
