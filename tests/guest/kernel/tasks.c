/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits and types of segments, call gates, task switches. */
#include "kernel.h"

#define F0 0x60u
#define F1 0x68u
#define F2 0x70u
#define F3 0x78u
/* 32-bit data at P_DATA, so many bytes, with an access byte. */
#define BYTES(limit, access)                                                   \
	(0x0040000000000000ull | (uint64_t)(access) << 40 | P_DATA << 16 |     \
	    (limit))

/* DS is a segment of 4 KiB of this type; ESI and EDI are offsets. */
static void
small_ds(uint64_t desc)
{
	set_gdt(F0, desc);
	c.ds = F0 | (c.cs & 3);
	c.rsi = 0;
}

static void
limits(void)
{
	check("SDM 3A 5.3 the last byte within the limit");
	P("mov al, [0xfff]\n");
	small_ds(BYTES(0xfff, 0x93));
	GO(V_STOP);
	check("SDM 3A 5.3 the first byte beyond the limit is #GP");
	P("mov al, [0x1000]\n");
	small_ds(BYTES(0xfff, 0x93));
	faults(V_GP, 0, 0);
	check("SDM 3A 5.3 a doubleword over the limit is #GP");
	P("mov eax, [0xffd]\n");
	small_ds(BYTES(0xfff, 0x93));
	faults(V_GP, 0, 0);
	check("SDM 3A 5.3 an offset that wraps is #GP");
	P("mov eax, [0xfffffffe]\n");
	small_ds(BYTES(0xfff, 0x93));
	faults(V_GP, 0, 0);
	check("SDM 3A 5.3 a write beyond the limit changes nothing");
	P("mov [0xffe], eax\n");
	small_ds(BYTES(0xfff, 0x93));
	c.rax = ~0ull;
	poke(P_DATA + 0xffe, 2, 0);
	faults(V_GP, 0, 0);
	IS(peek(P_DATA + 0xffe, 2), 0);
	check("SDM 3A 5.3 expand-down: above the limit");
	P("mov al, [0x1000]\n");
	small_ds(BYTES(0xfff, 0x97));
	GO(V_STOP);
	check("SDM 3A 5.3 expand-down: up to the limit is #GP");
	P("mov al, [0xfff]\n");
	small_ds(BYTES(0xfff, 0x97));
	faults(V_GP, 0, 0);
	check("SDM 3A 5.3 by SS beyond the limit is #SS");
	P("mov eax, ss:[0x1000]\n");
	set_gdt(F0, BYTES(0xfff, 0x93));
	c.ss = F0;
	c.rsp = 0x800;
	GO(V_SS);
	IS(c.err, 0);
	check("SDM 3A 5.3 granularity 1: the low 12 bits are not tested");
	P("mov al, [0x1fff]\n");
	small_ds(BYTES(1, 0x93) | 0x0080000000000000);
	GO(V_STOP);
	check("SDM 3A 5.4 a write to a read-only segment is #GP");
	P("mov [0], al\n");
	small_ds(BYTES(0xfff, 0x91));
	faults(V_GP, 0, 0);
	check("SDM 3A 5.4 a read of an execute-only CS is #GP");
	P("mov al, cs:[0x40000]\n");
	set_gdt(F0, 0x00cf99000000ffff);
	c.cs = F0;
	faults(V_GP, 0, 0);
	check("SDM 3A 5.4 a write to CS is #GP");
	P("mov cs:[0x50000], al\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 5.4.1 a null DS is #GP");
	P("xor eax, eax\nmov ds, ax\nmov al, [0]\n");
	faults(V_GP, 0, 4);
	check("SDM 3A 5.3 a jump beyond the limit of CS is #GP");
	P("jmp .+0x2000\n");
	set_gdt(F0, 0x00409b0000000000 | P_CODE << 16 | 0xfff);
	c.cs = F0;
	c.rip = 0;
	GO(V_GP);
	check("SDM 3A 5.3 string instructions stop at the limit");
	P("mov ecx, 10\nmov edi, 0xffb\nxor eax, eax\npush ds\npop es\n"
	  "rep stosb\n");
	small_ds(BYTES(0xfff, 0x93));
	GO(V_GP);
	IS(c.rcx, 5);
	IS(c.rdi, 0x1000);
}

/* A 32-bit call gate at F1 to P_CODE + 0x100. */
static void
call_gate(unsigned sel, unsigned dpl, unsigned count, unsigned type)
{
	uint64_t to = P_CODE + 0x100;

	set_gdt(F1, (to & 0xffff) | sel << 16 | (uint64_t)count << 32 |
		(uint64_t)(0x80 | dpl << 5 | type) << 40 | (to >> 16) << 48);
	set_rsp0(P_STACK - 0x800);
}

#define CALL_GATE ".byte 0x9a\n.long 0\n.word 0x6b\n"

static void
call_gates(void)
{
	check("SDM 3A 5.8.4 call gate: from ring 3 to ring 0");
	P3(CALL_GATE "mov edx, 1\n");
	call_gate(S_CODE32, 3, 0, 0xc);
	put(P_CODE + 0x100, CODE(".code32\nmov eax, cs\nmov ebx, ss\n"
				 "mov ecx, esp\nretf\n"));
	GO(V_STOP);
	IS(c.rax & 0xffff, S_CODE32);
	IS(c.rbx & 0xffff, S_DATA);
	IS(c.rcx, P_STACK - 0x800 - 16);
	IS(c.rdx, 1);
	IS(c.rsp, P_STACK);
	IS(c.cs, S_UCODE32);
	check("SDM 3A 5.8.5 call gate: copies parameters");
	P3("push 11\npush 22\n" CALL_GATE "mov edx, 1\n");
	call_gate(S_CODE32, 3, 2, 0xc);
	put(P_CODE + 0x100, CODE(".code32\nmov eax, [esp + 8]\n"
				 "mov ebx, [esp + 12]\nretf 8\n"));
	GO(V_STOP);
	IS(c.rax, 22);
	IS(c.rbx, 11);
	IS(c.rsp, P_STACK);
	check("SDM 3A 5.8.4 call gate: DPL below CPL is #GP");
	P3(CALL_GATE);
	call_gate(S_CODE32, 0, 0, 0xc);
	faults(V_GP, F1, 0);
	check("SDM 3A 5.8.3 call gate: not present is #NP");
	P3(CALL_GATE);
	call_gate(S_CODE32, 3, 0, 0xc);
	set_gdt(F1, get_gdt(F1) & ~(1ull << 47));
	faults(V_NP, F1, 0);
	check("SDM 3A 5.8.4 call gate: to a data segment is #GP");
	P3(CALL_GATE);
	call_gate(S_DATA, 3, 0, 0xc);
	faults(V_GP, S_DATA, 0);
	check("SDM 3A 5.8.4 call gate: within ring 0 no stack switch");
	P(".byte 0x9a\n.long 0\n.word 0x68\nmov edx, 1\n");
	call_gate(S_CODE32, 0, 0, 0xc);
	put(P_CODE + 0x100, CODE(".code32\nmov ecx, esp\nretf\n"));
	GO(V_STOP);
	IS(c.rcx, P_STACK - 8);
	check("SDM 3A 5.8.4 call gate: JMP does not change the ring");
	P3(".byte 0xea\n.long 0\n.word 0x6b\n");
	call_gate(S_CODE32, 3, 0, 0xc);
	faults(V_GP, S_CODE32, 0);
	check("SDM 3A 5.8.3.1 64-bit call gate");
	U("mov dword ptr [rsi + 4], 0x6b\ncall fword ptr [rsi]\nmov edx, 1\n");
	set_gdt(F1, (A_CODE & 0xffff) | S_CODE64 << 16 |
		0xecull << 40 | (A_CODE >> 16 & 0xffff) << 48);
	set_gdt(F2, A_CODE >> 32);
	set_rsp0(A_STACK - 0x800);
	put(A_CODE, CODE("mov eax, cs\nmov ebx, ss\nmov rcx, rsp\nretfq\n"));
	GO(V_STOP);
	IS(c.rax, S_CODE64);
	IS(c.rbx, 0);
	IS(c.rcx, A_STACK - 0x800 - 32);
	IS(c.rdx, 1);
	check("SDM 3A 5.8.3.1 64-bit call gate: its upper type must be 0");
	U("mov dword ptr [rsi + 4], 0x6b\ncall fword ptr [rsi]\n");
	set_gdt(F1, (A_CODE & 0xffff) | S_CODE64 << 16 |
		0xecull << 40 | (A_CODE >> 16 & 0xffff) << 48);
	set_gdt(F2, 0x0000090000000000);
	faults(V_GP, F1, 7);
}

/* A 32-bit TSS at P_DATA + 0x800, described at F3. */
#define TSS (P_DATA + 0x800)
static void
task(uint32_t eip, unsigned type)
{
	zero((void *)TSS, 104);
	poke(TSS + 32, 4, eip);
	poke(TSS + 36, 4, 2);
	poke(TSS + 56, 4, P_STACK - 0x400);
	poke(TSS + 72, 4, S_DATA);
	poke(TSS + 76, 4, S_CODE32);
	for (unsigned i = 80; i <= 92; i += 4)
		poke(TSS + i, 4, S_DATA);
	poke(TSS + 72, 4, S_DATA);
	poke(TSS + 102, 2, 104);
	poke(TSS + 40, 4, 0x1234); /* EAX */
	set_gdt(F3, 103 | (TSS & 0xffffff) << 16 |
		(uint64_t)type << 40);
}

static void
task_switches(void)
{
	check("SDM 3A 7.3 JMP to a TSS: registers, busy bits, TS");
	P(".byte 0xea\n.long 0\n.word 0x78\n");
	task(P_CODE + 0x100, 0x89);
	put(P_CODE + 0x100, CODE(".code32\nmov ebx, cr0\nstr ecx\n" STOP));
	GO(V_STOP);
	IS(c.rax, 0x1234);
	IS(c.rbx & CR0_TS, CR0_TS);
	IS(c.rcx & 0xffff, F3);
	IS(get_gdt(F3) >> 40 & 0xff, 0x8b);
	IS(get_gdt(S_TSS32) >> 40 & 0xff, 0x89);
	IS(c.rflags & FL_NT, 0);
	check("SDM 3A 7.4 CALL to a TSS: NT and the link, IRET back");
	P("mov ebx, 5\n.byte 0x9a\n.long 0\n.word 0x78\nmov edx, 6\n");
	task(P_CODE + 0x100, 0x89);
	put(P_CODE + 0x100, CODE(".code32\npushfd\npop [0x50000]\n"
				 "mov ebx, 99\niretd\n"));
	GO(V_STOP);
	IS(peek(P_DATA, 4) & FL_NT, FL_NT);
	IS(peek(TSS, 2), S_TSS32);
	IS(c.rbx, 5);
	IS(c.rdx, 6);
	IS(get_gdt(F3) >> 40 & 0xff, 0x89);
	check("SDM 3A 7.2.2 a busy TSS is #GP");
	P(".byte 0xea\n.long 0\n.word 0x78\n");
	task(P_CODE + 0x100, 0x8b);
	faults(V_GP, F3, 0);
	check("SDM 3A 7.2.2 a TSS that is not present is #NP");
	P(".byte 0xea\n.long 0\n.word 0x78\n");
	task(P_CODE + 0x100, 0x09);
	faults(V_NP, F3, 0);
	check("SDM 3A 7.2.2 a TSS that is too small is #TS");
	P(".byte 0xea\n.long 0\n.word 0x78\n");
	task(P_CODE + 0x100, 0x89);
	set_gdt(F3, get_gdt(F3) - 1);
	faults(V_TS, F3, 0);
	check("SDM 3A 7.2.5 a task gate");
	P3(".byte 0x9a\n.long 0\n.word 0x6b\nmov edx, 6\n");
	task(P_CODE + 0x100, 0x89);
	set_gdt(F1, (uint64_t)F3 << 16 | 0xe5ull << 40);
	put(P_CODE + 0x100, CODE(".code32\niretd\n"));
	GO(V_STOP);
	IS(c.rdx, 6);
	IS(c.cs, S_UCODE32);
	check("SDM 3A 6.12.2 an exception through a task gate");
	{
		extern uint64_t idt32[256];

		P("mov ebx, 7\nud2\n");
		task(P_CODE + 0x100, 0x89);
		idt32[V_UD] = (uint64_t)F3 << 16 | 0x85ull << 40;
		put(P_CODE + 0x100, CODE(".code32\nmov ebx, 8\n" STOP));
		GO(V_STOP);
		IS(c.rbx, 8);
		IS(c.rflags & FL_NT, FL_NT);
		IS(peek(TSS, 2), S_TSS32);
	}
}

void
tasks(void)
{
	limits();
	call_gates();
	task_switches();
}
