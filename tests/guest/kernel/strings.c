/* SPDX-License-Identifier: BSD-2-Clause */
/* String instructions: address sizes, directions, faults in the middle. */
#include "kernel.h"

static void
moves(void)
{
	check("SDM 2 REP MOVS: forward, 64-bit addresses");
	U("rep movsb\n");
	c.rcx = 5;
	c.rdi = A_UDATA + 0x100;
	poke(A_UDATA, 8, 0x1122334455667788);
	GO(V_STOP);
	IS(c.rcx, 0);
	IS(c.rsi, A_UDATA + 5);
	IS(c.rdi, A_UDATA + 0x105);
	IS(peek(A_UDATA + 0x100, 5), 0x4455667788);
	check("SDM 2 REP MOVS: backward");
	U("std\nrep movsw\ncld\n");
	c.rcx = 2;
	c.rsi = A_UDATA + 2;
	c.rdi = A_UDATA + 0x202;
	GO(V_STOP);
	IS(peek(A_UDATA + 0x200, 4), 0x55667788);
	IS(c.rsi, A_UDATA - 2);
	check("SDM 2 REP MOVS: overlapping, byte after byte");
	U("rep movsb\n");
	c.rcx = 7;
	c.rdi = A_UDATA + 1;
	poke(A_UDATA, 8, 0xaa);
	GO(V_STOP);
	IS(peek(A_UDATA, 8), 0xaaaaaaaaaaaaaaaa);
	check("SDM 2 REP MOVS: 32-bit addresses clear the upper halves");
	U(".byte 0x67\nrep movsb\n");
	c.rcx = 0xffffffff00000002;
	c.rsi |= 0xffffffff00000000;
	GO(V_STOP);
	IS(c.rcx, 0);
	IS(c.rsi, A_UDATA + 2);
	check("SDM 2 REP MOVS: a count of 0 touches nothing");
	U("rep movsb\n");
	c.rcx = 0;
	c.rsi = A_FREE;
	GO(V_STOP);
	check("SDM 2 REP MOVS: a fault in the middle keeps what was done");
	U("rep movsb\n");
	c.rcx = 0x20;
	c.rdi = A_FREE + 0xff8;
	map(A_FREE, 32, 7);
	GO(V_PF);
	IS(c.cr2, A_FREE + 0x1000);
	IS(c.err, 6);
	IS(c.rcx, 0x18);
	IS(c.rdi, A_FREE + 0x1000);
	IS(c.rsi, A_UDATA + 8);
	IS(c.rip, A_UCODE);
	check("SDM 2 REP MOVS: and goes on after it");
	map(A_FREE + 0x1000, 33, 7);
	GO(V_STOP);
	IS(c.rcx, 0);
	check("SDM 2 REP MOVSQ: an element over two pages, the second missing");
	U("rep movsq\n");
	c.rcx = 2;
	c.rdi = A_FREE + 0xff4;
	map(A_FREE, 32, 7);
	poke(A_FREE + 0xffc, 4, 0);
	GO(V_PF);
	IS(c.rcx, 1);
	IS(c.cr2, A_FREE + 0x1000);
	IS(peek(A_FREE + 0xffc, 4), 0);
	check("SDM 2 REP STOS: of quadwords");
	U("rep stosq\n");
	c.rcx = 3;
	c.rax = 0x0102030405060708;
	GO(V_STOP);
	IS(peek(A_UDATA + 16, 8), 0x0102030405060708);
	IS(c.rdi, A_UDATA + 24);
	check("SDM 2 REPNE SCAS: finds");
	U("repne scasb\n");
	c.rcx = 100;
	c.rax = 5;
	poke(A_UDATA, 8, 0x0008070605040302);
	GO(V_STOP);
	IS(c.rcx, 96);
	IS(c.rflags & FL_ZF, FL_ZF);
}

static void
others(void)
{
	check("SDM 2 REPE CMPS: stops at the difference");
	U("repe cmpsb\n");
	c.rcx = 8;
	c.rdi = A_UDATA + 0x80;
	poke(A_UDATA + 0x80, 8, 0x0008070605ff0302);
	GO(V_STOP);
	IS(c.rcx, 5);
	IS(c.rflags & (FL_ZF | FL_CF), FL_CF);
	check("SDM 2 REPE CMPS: a count of 0 changes no flag");
	U("stc\nrepe cmpsb\n");
	c.rcx = 0;
	GO(V_STOP);
	IS(c.rflags & FL_CF, FL_CF);
	check("SDM 2 LODS: of a byte leaves the rest");
	U("lodsb\n");
	c.rax = 0x1111111111111111;
	poke(A_UDATA, 1, 0x22);
	GO(V_STOP);
	IS(c.rax, 0x1111111111111122);
	check("SDM 2 REP LODS: the last one stays");
	U("rep lodsd\n");
	c.rcx = 2;
	poke(A_UDATA + 4, 4, 0x99);
	GO(V_STOP);
	IS(c.rax, 0x99);
	check("SDM 2 MOVS: FS for the source");
	U("mov ecx, 0x60\nmov fs, ecx\nmov ecx, 1\nfs rep movsb\n");
	set_gdt(S_FREE, 0x00cff3000010ffff);
	c.rdi = A_UDATA + 0x40;
	poke(A_UDATA + 0x10, 1, 0x5a);
	GO(V_STOP);
	IS(peek(A_UDATA + 0x40, 1), 0x5a);
	check("SDM 2 REP MOVS: 16-bit addresses in 32-bit code");
	P("push ds\npop es\n.byte 0x67\nrep movsb\n");
	c.rcx = 0x70002;
	c.rsi = 0x7ffff; /* SI 0xffff, then 0 */
	c.rdi = 0x70500;
	poke(0xffff, 1, 0x31);
	poke(0x500, 2, 0);
	GO(V_STOP);
	IS(c.rcx, 0x70000);
	IS(c.rsi & 0xffff, 1);
	IS(c.rdi & 0xffff, 0x502);
	IS(peek(0x500, 1), 0x31);
	check("SDM 2 REP INS: a fault in the middle");
	K("rep insb\n");
	c.rdx = 0x21;
	c.rcx = 4;
	c.rdi = A_FREE + 0xffe;
	map(A_FREE, 32, 7);
	GO(V_PF);
	IS(c.rcx, 2);
	IS(peek(A_FREE + 0xffe, 2), 0xffff);
	check("SDM 2 REP OUTS: advances RSI");
	K("rep outsb\n");
	c.rdx = 0x80;
	c.rcx = 3;
	GO(V_STOP);
	IS(c.rsi, A_DATA + 3);
	check("SDM 2 REP MOVS: is interrupted and goes on");
	K("rep movsb\nmov ebx, 1\n");
	*(volatile uint32_t *)0xfee000f0 = 0x1ff;
	*(volatile uint32_t *)0xfee00300 = 0x40052;
	c.rflags |= FL_IF;
	c.rcx = 0x800;
	c.rdi = A_DATA + 0x1000;
	GO(0x52);
	*(volatile uint32_t *)0xfee000b0 = 0;
	IS(c.rip, A_CODE);
	GO(V_STOP);
	IS(c.rcx, 0);
	IS(c.rbx, 1);
}

void
strings(void)
{
	moves();
	others();
}
