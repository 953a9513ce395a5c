/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults, traps and aborts: vector, error code, RIP; double faults. */
#include "kernel.h"

static void
plain(void)
{
	check("SDM 3A 6.15 #DE: DIV by zero");
	U("xor ecx, ecx\nnop\ndiv ecx\n");
	faults(V_DE, 0, 3);
	check("SDM 3A 6.15 #DE: a quotient too large, registers kept");
	U("div ecx\n");
	c.rax = 5;
	c.rdx = 7;
	c.rcx = 7;
	faults(V_DE, 0, 0);
	IS(c.rax, 5);
	IS(c.rdx, 7);
	check("SDM 3A 6.15 #DE: IDIV of the smallest number by -1");
	U("mov rax, 0x8000000000000000\ncqo\nmov rcx, -1\nidiv rcx\n");
	faults(V_DE, 0, 19);
	check("SDM 3A 6.15 #DE: DIV of a byte");
	U("mov eax, 0x200\nmov cl, 2\ndiv cl\n");
	faults(V_DE, 0, 7);
	check("SDM 3A 6.15 #BP: RIP behind INT3");
	U("nop\nint3\n");
	faults(V_BP, 0, 2);
	check("SDM 3A 6.15 #BP: INT 3 with two bytes");
	U(".byte 0xcd, 3\n");
	faults(V_BP, 0, 2);
	check("SDM 2 INT n: to a gate of DPL 0 at CPL 3 is #GP");
	U("int 0x21\n");
	faults(V_GP, 0x21 * 8 + 2, 0);
	check("SDM 2 INT n: at CPL 0 it works");
	K("int 0x21\n");
	faults(0x21, 0, 2);
	check("SDM 2 INT1: #DB whatever DPL the gate has");
	U(".byte 0xf1\n");
	GO(V_DB);
	IS(c.rip, A_UCODE + 1);
	check("SDM 3A 6.15 #UD: UD2");
	U("ud2\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #UD: UD1");
	U(".byte 0x0f, 0xb9, 0xc0\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #UD: UD0");
	U(".byte 0x0f, 0xff, 0xc0\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #NM: x87 with CR0.TS");
	U("fld1\n");
	set_cr0(CR0_DEFAULT | CR0_TS);
	faults(V_NM, 0, 0);
	check("SDM 3A 6.15 #NM: x87 with CR0.EM");
	U("fld1\n");
	set_cr0(CR0_DEFAULT | CR0_EM);
	faults(V_NM, 0, 0);
	check("SDM 3A 6.15 #NM: SSE with CR0.TS");
	U("movaps xmm0, xmm1\n");
	set_cr0(CR0_DEFAULT | CR0_TS);
	faults(V_NM, 0, 0);
}

static void
not_available(void)
{
	check("SDM 3A 6.15 #NM: FWAIT with TS and MP");
	U("fwait\n");
	set_cr0(CR0_DEFAULT | CR0_TS);
	faults(V_NM, 0, 0);
	check("SDM 3A 2.5 FWAIT with TS, without MP");
	U("fwait\n");
	set_cr0((CR0_DEFAULT | CR0_TS) & ~CR0_MP);
	GO(V_STOP);
	check("SDM 3A 6.15 #UD: SSE with CR0.EM");
	U("movaps xmm0, xmm1\n");
	set_cr0(CR0_DEFAULT | CR0_EM);
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #UD: SSE without CR4.OSFXSR");
	U("movaps xmm0, xmm1\n");
	set_cr4(CR4_DEFAULT & ~CR4_OSFXSR);
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #UD: MMX with CR0.EM");
	U("paddb mm0, mm1\n");
	set_cr0(CR0_DEFAULT | CR0_EM);
	faults(V_UD, 0, 0);
	check("SDM 3A 6.15 #NM: MMX with CR0.TS");
	U("paddb mm0, mm1\n");
	set_cr0(CR0_DEFAULT | CR0_TS);
	faults(V_NM, 0, 0);
	check("SDM 3A 6.15 #GP: MOVAPS of a misaligned operand");
	U("movaps xmm0, [rsi + 1]\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 6.15 #GP: an instruction of more than 15 bytes");
	U(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66\n"
	  ".byte 0x66,0x66,0x66,0x90\n");
	faults(V_GP, 0, 0);
	check("SDM 2 2.3.11 one of 15 bytes is fine");
	U(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66\n"
	  ".byte 0x66,0x66,0x90\n");
	GO(V_STOP);
	check("SDM 3A 6.15 #UD: LOCK with a register");
	U(".byte 0xf0, 0x01, 0xc0\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 6.5 a fault in code pushes RF set");
	U("ud2\n");
	GO(V_UD);
	IS(c.rflags & FL_RF, FL_RF);
	check("SDM 3A 17.3.1.1 a trap pushes RF clear");
	U("int3\n");
	GO(V_BP);
	IS(c.rflags & FL_RF, 0);
	check("SDM 3A 6.12.1.2 a trap gate keeps IF");
	K("sti\nnop\nint 0x41\n");
	gate(0x41, A_CODE + 0x40, 1, 0, 15);
	put(A_CODE + 0x40, CODE("pushfq\npop rax\n" STOP));
	GO(V_STOP);
	IS(c.rax & FL_IF, FL_IF);
	check("SDM 3A 6.12.1.2 an interrupt gate clears IF");
	K("sti\nnop\nint 0x41\n");
	gate(0x41, A_CODE + 0x40, 1, 0, 14);
	put(A_CODE + 0x40, CODE("pushfq\npop rax\n" STOP));
	GO(V_STOP);
	IS(c.rax & FL_IF, 0);
}

static void
gates(void)
{
	extern uint64_t idt64[512];

	check("SDM 3A 6.15 #NP: a gate that is not present");
	K("int 0x41\n");
	idt64[0x41 * 2] &= ~(1ull << 47);
	faults(V_NP, 0x41 * 8 + 2, 0);
	check("SDM 3A 6.14.1 a gate of a type that is none is #GP");
	K("int 0x41\n");
	gate(0x41, A_CODE, 1, 0, 12);
	faults(V_GP, 0x41 * 8 + 2, 0);
	check("SDM 3A 6.14.1 a task gate in long mode is #GP");
	K("int 0x41\n");
	gate(0x41, A_CODE, 1, 0, 5);
	faults(V_GP, 0x41 * 8 + 2, 0);
	check("SDM 3A 6.14.1 a gate to a data segment is #GP");
	K("int 0x41\n");
	idt64[0x41 * 2] = (idt64[0x41 * 2] & ~0xffff0000ull) | S_DATA << 16;
	faults(V_GP, S_DATA, 0);
	check("SDM 3A 6.14.1 a gate to 32-bit code is #GP");
	K("int 0x41\n");
	idt64[0x41 * 2] = (idt64[0x41 * 2] & ~0xffff0000ull) | S_CODE32 << 16;
	faults(V_GP, S_CODE32, 0);
	check("SDM 3A 6.14.1 a gate with a null selector is #GP");
	K("int 0x41\n");
	idt64[0x41 * 2] &= ~0xffff0000ull;
	faults(V_GP, 0, 0);
	check("SDM 3A 6.14.1 a gate to code that is not present is #NP");
	K("int 0x41\n");
	set_gdt(S_FREE, 0x00af1b000000ffff);
	idt64[0x41 * 2] = (idt64[0x41 * 2] & ~0xffff0000ull) | S_FREE << 16;
	faults(V_NP, S_FREE, 0);
	check("SDM 3A 6.10 a vector beyond the IDT is #GP");
	K("lidt [rsi]\nint 0x41\n");
	poke(A_DATA, 2, 0x40f);
	poke(A_DATA + 2, 8, (uint64_t)idt64);
	GO(V_GP);
	IS(c.err, 0x41 * 8 + 2);
	__asm__ volatile("" ::: "memory");
	fresh();
	check("SDM 3A 6.14.1 a gate to a non-canonical offset is #GP");
	K("int 0x41\n");
	gate(0x41, 0x800000000000, 1, 0, 14);
	GO(V_GP);
	IS(c.err, 0);
	check("SDM 3A 6.14.2 the frame is 16-byte aligned, without an IST");
	K("mov rsp, 0x40013fed\nint 0x41\n");
	gate(0x41, A_CODE + 0x40, 0, 0, 14);
	put(A_CODE + 0x40, CODE("mov rax, rsp\nmov rbx, [rsp + 24]\n" STOP));
	GO(V_STOP);
	IS(c.rax, 0x40013fe0 - 40);
	IS(c.rbx, 0x40013fed);
	check("SDM 3A 6.14.5 an IST is used at the same CPL");
	K("int 0x41\n");
	set_ist(3, A_STACK - 0x1000);
	gate(0x41, A_CODE + 0x40, 3, 0, 14);
	put(A_CODE + 0x40, CODE("mov rax, rsp\n" STOP));
	GO(V_STOP);
	IS(c.rax, A_STACK - 0x1000 - 40);
	check("SDM 3A 6.14.5 an IST is used from CPL 3");
	U("int 0x41\n");
	set_ist(7, A_STACK - 0x1000);
	gate(0x41, A_CODE + 0x40, 7, 3, 14);
	put(A_CODE + 0x40, CODE("mov rax, rsp\n" STOP));
	GO(V_STOP);
	IS(c.rax, A_STACK - 0x1000 - 40);
	check("SDM 3A 6.14.4 from CPL 3 the stack is RSP0, SS null");
	U("int 0x41\n");
	set_rsp0(A_STACK - 0x1000);
	gate(0x41, A_CODE + 0x40, 0, 3, 14);
	put(A_CODE + 0x40,
	    CODE("mov rax, rsp\nmov ebx, ss\nmov rcx, [rsp + 32]\n" STOP));
	GO(V_STOP);
	IS(c.rax, A_STACK - 0x1000 - 40);
	IS(c.rbx, 0);
	IS(c.rcx, S_UDATA);
	check("SDM 3A 6.14.2 an error code is pushed below RIP");
	U("mov rax, [0]\nud2\n");
	put(A_UCODE, CODE("mov rax, [rdi]\n"));
	c.rdi = A_FREE;
	set_rsp0(A_STACK - 0x1000);
	gate(V_PF, A_CODE + 0x40, 0, 0, 14);
	put(A_CODE + 0x40,
	    CODE("mov rax, rsp\nmov rbx, [rsp]\nmov rcx, [rsp + 8]\n" STOP));
	GO(V_STOP);
	IS(c.rax, A_STACK - 0x1000 - 48);
	IS(c.rbx, 4);
	IS(c.rcx, A_UCODE);
}

static void
double_faults(void)
{
	extern uint64_t idt64[512];

	check("SDM 3A 6.15 #DF: a page fault in the delivery of a page fault");
	K("mov rax, [rdi]\n");
	c.rdi = A_FREE;
	gate(V_PF, A_CODE, 2, 0, 14);
	set_ist(2, A_FREE + 0x1000);
	GO(V_DF);
	IS(c.err, 0);
	IS(c.rip, A_CODE);
	IS(c.cr2, A_FREE + 0xff8);
	check("SDM 3A 6.15 #DF: #NP in the delivery of #GP");
	K("mov ds, eax\n");
	c.rax = 0x1000;
	idt64[V_GP * 2] &= ~(1ull << 47);
	GO(V_DF);
	IS(c.err, 0);
	IS(c.rip, A_CODE);
	check("SDM 3A 6.15 #DF: #GP in the delivery of #DE");
	K("div ecx\n");
	c.rcx = 0;
	gate(V_DE, A_CODE, 1, 0, 12);
	GO(V_DF);
	check("SDM 3A 6.15 #DF: #NP in the delivery of #UD is #NP");
	K("ud2\n");
	idt64[V_UD * 2] &= ~(1ull << 47);
	GO(V_NP);
	IS(c.err, V_UD * 8 + 3); /* EXT: an earlier exception */
	IS(c.rip, A_CODE);
	check("SDM 3A 6.15 #DF: a page fault in the delivery of #GP is #PF");
	K("mov ds, eax\n");
	c.rax = 0x1000;
	gate(V_GP, A_CODE, 2, 0, 14);
	set_ist(2, A_FREE + 0x1000);
	GO(V_PF);
	IS(c.err, 2);
	IS(c.cr2, A_FREE + 0xff8);
	check("SDM 3A 6.15 #DF: #GP in the delivery of a page fault");
	K("mov rax, [rdi]\n");
	c.rdi = A_FREE;
	gate(V_PF, A_CODE, 1, 0, 12);
	GO(V_DF);
	check("SDM 3A 6.15 #DF: #SS for an IST that is not canonical");
	K("ud2\n");
	gate(V_UD, stub(V_UD), 2, 0, 14);
	set_ist(2, 0x900000000000);
	GO(V_SS);
	check("SDM 3A 6.7.1 an NMI's gate that is not present is #NP");
	K("int 2\n");
	idt64[V_NMI * 2] &= ~(1ull << 47);
	faults(V_NP, V_NMI * 8 + 2, 0);
}

static void
stepping(void)
{
	static uint64_t dr6;

	check("SDM 3B 17.3.2 TF: a trap after one instruction");
	U("nop\nnop\n");
	c.rflags |= FL_TF;
	GO(V_DB);
	IS(c.rip, A_UCODE + 1);
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	check("SDM 3B 17.2.3 DR6: BS is set");
	IS(dr6 & 0x400f, 0x4000);
	check("SDM 3B 17.3.2 TF: the frame has it set, the handler does not");
	U("nop\nnop\n");
	gate(V_DB, A_CODE, 1, 0, 14);
	put(A_CODE, CODE("pushfq\npop rax\nmov rbx, [rsp + 16]\n" STOP));
	c.rflags |= FL_TF;
	GO(V_STOP);
	IS(c.rax & FL_TF, 0);
	IS(c.rbx & FL_TF, FL_TF);
	check("SDM 3B 17.3.2 TF: set by POPF, after the next instruction");
	U("pushfq\nor dword ptr [rsp], 0x100\npopfq\nnop\nnop\n");
	GO(V_DB);
	IS(c.rip, A_UCODE + 10);
	check("SDM 3B 17.3.2 TF: cleared by POPF still traps once");
	U("push 2\npopfq\nnop\nnop\n");
	poke(A_USTACK - 8, 8, 2);
	put(A_UCODE, CODE("popfq\nnop\nnop\n" STOP));
	c.rsp = A_USTACK - 8;
	c.rflags |= FL_TF;
	GO(V_DB);
	IS(c.rip, A_UCODE + 1);
	IS(c.rflags & FL_TF, 0);
	check("SDM 3B 17.3.2 TF: a branch, at its target");
	U("jmp 1f\nnop\nnop\n1: nop\n");
	c.rflags |= FL_TF;
	GO(V_DB);
	IS(c.rip, A_UCODE + 4);
	check("SDM 3B 17.3.2 TF: REP stops after each iteration");
	U("rep stosb\n");
	c.rcx = 3;
	c.rflags |= FL_TF;
	GO(V_DB);
	IS(c.rip, A_UCODE);
	IS(c.rcx, 2);
	check("SDM 3B 17.3.2 TF: INT n clears it");
	U("int 0x80\nnop\n");
	c.rflags |= FL_TF;
	GO(V_STOP);
	check("SDM 3A 6.8.3 TF: none after MOV SS");
	U("mov ss, eax\nnop\nnop\n");
	c.rax = S_UDATA;
	c.rflags |= FL_TF;
	GO(V_DB);
	IS(c.rip, A_UCODE + 3);
	check("SDM 3B 17.3.2 TF: a fault comes first");
	U("ud2\n");
	c.rflags |= FL_TF;
	faults(V_UD, 0, 0);
	check("SDM 2 PUSHF: does not show RF");
	U("pushfq\npop rax\n");
	c.rflags |= FL_RF;
	GO(V_STOP);
	IS(c.rax & FL_RF, 0);
	check("SDM 2 POPF: CPL 3 cannot change IF or IOPL");
	U("push 0x3202\npopfq\npushfq\npop rax\n");
	GO(V_STOP);
	IS(c.rax & 0x3200, 0);
	check("SDM 2 POPF: IOPL 3 may change IF, not IOPL");
	U("push 0x0202\npopfq\npushfq\npop rax\ncli\n");
	c.rflags |= FL_IOPL3;
	GO(V_STOP);
	IS(c.rax & 0x3200, 0x3200);
	check("SDM 2 POPF: reserved bits");
	U("mov rax, -1\nmov ebx, 0xffc38028\npush rbx\nmov rbx, [rsp]\n"
	  "popfq\npushfq\npop rax\n");
	GO(V_STOP);
	IS(c.rax, 2);
	check("SDM 1 3.4.3 the ID flag can be changed");
	U("push 0x200002\npopfq\npushfq\npop rax\npush 2\npopfq\n");
	GO(V_STOP);
	IS(c.rax & 0x200000, 0x200000);
}

void
exceptions(void)
{
	plain();
	not_available();
	gates();
	double_faults();
	stepping();
}
