; SPDX-License-Identifier: BSD-2-Clause
; A boot ROM of 4 KiB that does one thing and ends: nasm -DNAME says which.

	bits	16
	org	0xf000
	cpu	x64

%macro PUT 1				; a byte to COM1
	mov	al, %1
	mov	dx, 0x3f8
	out	dx, al
%endmacro
%macro RESET 0
	mov	al, 6
	mov	dx, 0xcf9
	out	dx, al
	jmp	$
%endmacro
%macro POWEROFF 0
	mov	ax, 5 << 10 | 1 << 13
	mov	dx, 0x404
	out	dx, ax
	jmp	$
%endmacro

start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7000
	PUT	'>'
%ifdef DO_RESET
	RESET
%elifdef DO_POWEROFF
	POWEROFF
%elifdef DO_HALT
	hlt
%elifdef DO_TRIPLE
	o32 lidt [cs:zero]
	int3
zero	dd	0, 0
%elifdef DO_SLEEP
	sti
.more:	hlt
	jmp	.more
%elifdef DO_PAUSE			; DO_PAUSE times
	mov	ecx, DO_PAUSE
.more:	pause
	dec	ecx
	jnz	.more
	RESET
%elifdef DO_HLTS			; ten HLTs, that the PIT ends
	mov	word [8 * 4], .tick
	mov	word [8 * 4 + 2], 0xf000
	mov	ecx, 0x1b		; without the APIC INTR is the PIC's
	rdmsr
	and	ah, ~8
	wrmsr
	mov	al, 0x11		; the PIC: vector 8, only IRQ0
	out	0x20, al
	mov	al, 8
	out	0x21, al
	mov	al, 4
	out	0x21, al
	mov	al, 1
	out	0x21, al
	mov	al, 0xfe
	out	0x21, al
	mov	al, 0x34		; a tick is 10 ms
	out	0x43, al
	mov	al, 0x9c
	out	0x40, al
	mov	al, 0x2e
	out	0x40, al
	mov	cx, 10
	sti
.wait:	hlt
	dec	cx
	jnz	.wait
	RESET
.tick:	mov	al, 0x20
	out	0x20, al
	iret
%elifdef DO_PORT			; the access is DO_PORT
	mov	dx, 0x5550
access:	DO_PORT
	RESET
%elifdef DO_NOTIFY
	mov	dx, 0x488
	out	dx, al
	out	dx, ax
	out	dx, eax
	RESET
%elifdef DO_MSR				; #GP prints G, a zero Z
	mov	word [13 * 4], gp
	mov	word [13 * 4 + 2], 0xf000
	mov	ecx, 0x12345
	mov	eax, 1
	mov	edx, eax
	rdmsr
	or	eax, edx
	jnz	out
	PUT	'Z'
	mov	ecx, 0x12345
	wrmsr
	PUT	'W'
	jmp	out
gp:	PUT	'G'
out:	RESET
%elifdef DO_APIC			; prints X in x2APIC mode, else x
	mov	ecx, 0x1b
	rdmsr
	mov	bl, 'x'
	test	ah, 4
	jz	.old
	mov	bl, 'X'
	mov	ecx, 0x803
	rdmsr
.old:	PUT	bl
	RESET
%elifdef DO_CLOCK			; minutes of the day, as hh (BCD)
	mov	al, 4
	out	0x70, al
	in	al, 0x71
	mov	bl, al
	shr	al, 4
	add	al, '0'
	mov	dx, 0x3f8
	out	dx, al
	mov	al, bl
	and	al, 15
	add	al, '0'
	out	dx, al
	RESET
%elifdef DO_COUNT			; five resets, then off; memory is empty
	cmp	word [0x500], 0
	jne	.dirty
	mov	word [0x500], 0x1234
	mov	al, 0x40		; CMOS is not
	out	0x70, al
	in	al, 0x71
	mov	bl, al
	add	al, '0'
	mov	dx, 0x3f8
	out	dx, al
	cmp	bl, 5
	je	.end
	mov	al, 0x40
	out	0x70, al
	mov	al, bl
	inc	al
	out	0x71, al
	RESET
.dirty:	PUT	'!'
.end:	POWEROFF
%elifdef DO_A20			; o: es:0x510 is its own memory, c: 0x500
%macro PROBE 0
	mov	word [0x500], 1
	mov	word [es:0x510], 2
	mov	bl, 'c'
	cmp	word [0x500], 2
	je	%%out
	mov	bl, 'o'
%%out:	PUT	bl
%endmacro
%macro FAST 1
	mov	al, %1
	out	0x92, al
	PROBE
%endmacro
%macro OUTPORT 1			; of the keyboard controller
	mov	al, 0xd1
	out	0x64, al
	mov	al, %1
	out	0x60, al
	PROBE
%endmacro
	mov	ax, 0xffff
	mov	es, ax
	PROBE
	FAST	0
	OUTPORT	0xdd
	FAST	2
	FAST	0
	OUTPORT	0xdf
	RESET
%elifdef DO_ECHO			; what COM1 gets, until q
	mov	dx, 0x3fd
.wait:	in	al, dx
	test	al, 1
	jz	.wait
	mov	dx, 0x3f8
	in	al, dx
	cmp	al, 'q'
	je	.end
	out	dx, al
	mov	dx, 0x3fd
	jmp	.wait
.end:	POWEROFF
%elifdef DO_FLOOD			; DO_FLOOD KiB to COM1, then off
	mov	ecx, DO_FLOOD * 1024
	mov	dx, 0x3f8
	mov	al, 'f'
.more:	out	dx, al
	dec	ecx
	jnz	.more
	POWEROFF
%endif

	times	0xff0 - ($ - $$) db 0xff
%ifdef DO_NOWHERE			; below the ROM, where nothing is
	jmp	0x1000
%else
	jmp	0xf000:start
%endif
	times	0x1000 - ($ - $$) db 0xff
