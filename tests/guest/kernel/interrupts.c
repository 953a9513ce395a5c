/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts: the shadows of STI and MOV SS, HLT, NMIs, IRET. */
#include "kernel.h"

#define APIC 0xfee00000ull
#define VEC 0x51

static void
apic_on(void)
{
	*(volatile uint32_t *)(APIC + 0xf0) = 0x1ff;
	*(volatile uint32_t *)(APIC + 0x80) = 0;
}

static void
self_ipi(unsigned vec)
{
	*(volatile uint32_t *)(APIC + 0x300) = 0x40000 | vec;
}

static void
eoi(void)
{
	*(volatile uint32_t *)(APIC + 0xb0) = 0;
}

static void
nmi(struct code code)
{
	uint32_t id = *(volatile uint32_t *)(APIC + 0x20);

	kernel(code);
	apic_on();
	*(volatile uint32_t *)(APIC + 0x310) = id;
	c.r15 = APIC;
}

static void
shadows(void)
{
	check("SDM 3A 6.8.1 IF = 0 holds an interrupt back");
	K("mov eax, 1\n");
	apic_on();
	self_ipi(VEC);
	GO(V_STOP);
	check("SDM 3A 6.8.1 IF = 1 lets it in");
	K("nop\n");
	c.rflags |= FL_IF;
	GO(VEC);
	IS(c.rip, A_CODE);
	eoi();
	check("SDM 2 STI: one more instruction first");
	K("sti\nmov eax, 1\nmov eax, 2\nmov eax, 3\n");
	self_ipi(VEC);
	GO(VEC);
	IS(c.rax, 1);
	IS(c.rip, A_CODE + 6);
	IS(c.rflags & FL_IF, FL_IF);
	eoi();
	check("SDM 2 STI: followed by CLI lets nothing in");
	K("sti\ncli\nmov eax, 2\n");
	self_ipi(VEC);
	GO(V_STOP);
	K("sti\nnop\n");
	GO(VEC);
	eoi();
	check("SDM 2 STI: no shadow if IF was 1");
	K("mov eax, 1\nsti\nmov eax, 2\n");
	c.rflags |= FL_IF;
	self_ipi(VEC);
	GO(VEC);
	IS(c.rip, A_CODE);
	eoi();
	check("SDM 2 MOV: SS delays interrupts by one instruction");
	K("mov r8d, 0x40051\nmov ebx, ss\nmov [r15 + 0x300], r8d\n"
	  "mov ss, ebx\nmov eax, 1\nmov eax, 2\n");
	put(A_CODE, CODE("mov ebx, ss\npushfq\nor dword ptr [rsp], 0x200\n"
			 "mov ss, ebx\npopfq\nmov eax, 1\nmov eax, 2\n" STOP));
	self_ipi(VEC);
	GO(VEC);
	IS(c.rax & 3, 0);
	eoi();
	check("SDM 2 POP: SS in 32-bit code, the same");
	K32("push ss\nsti\npop ss\nmov eax, 1\nmov eax, 2\n");
	c.rax = 0;
	self_ipi(VEC);
	GO(VEC);
	IS(c.rax <= 1, 1);
	eoi();
	check("SDM 2 HLT: woken by an interrupt, RIP behind it");
	K("sti\nhlt\n");
	self_ipi(VEC);
	GO(VEC);
	IS(c.rip, A_CODE + 2);
	eoi();
	check("SDM 2 HLT: at CPL 3 is #GP");
	U("hlt\n");
	faults(V_GP, 0, 0);
	check("SDM 2 CLI: at CPL 3 with IOPL 0 is #GP");
	U("cli\n");
	faults(V_GP, 0, 0);
	check("SDM 2 CLI: at CPL 3 with IOPL 3");
	U("cli\n");
	c.rflags |= FL_IOPL3;
	GO(V_STOP);
	check("SDM 3A 6.9 an interrupt precedes the next fault");
	K("ud2\n");
	c.rflags |= FL_IF;
	self_ipi(VEC);
	GO(VEC);
	IS(c.rip, A_CODE);
	eoi();
	check("SDM 3A 6.12.1 an interrupt at CPL 3");
	U("nop\n");
	c.rflags |= FL_IF;
	self_ipi(VEC);
	GO(VEC);
	IS(c.cs, S_UCODE64);
	IS(c.rsp, A_USTACK);
	eoi();
	check("SDM 3A 6.12.1 an interrupt in compatibility mode");
	U32("nop\n");
	c.rflags |= FL_IF;
	self_ipi(VEC);
	GO(VEC);
	IS(c.cs, S_UCODE32);
	eoi();
}

static void
nmis(void)
{
	check("SDM 3A 6.7 an NMI comes with IF = 0");
	nmi(CODE("mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov ecx, 100000\n1: loop 1b\n" STOP));
	GO(V_NMI);
	check("SDM 3A 6.7.1 an NMI is held until IRET");
	nmi(CODE("mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov ecx, 100000\n1: loop 1b\n" STOP));
	gate(V_NMI, A_CODE + 0x80, 1, 0, 14);
	put(A_CODE + 0x80,
	    CODE("inc rax\ncmp rax, 1\njne 2f\n"
		 "mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov edx, 100000\n1: dec edx\njnz 1b\n"
		 "mov rbx, rax\n2: iretq\n"));
	c.rax = 0;
	GO(V_STOP);
	IS(c.rbx, 1); /* nothing inside the handler */
	IS(c.rax, 2); /* and the second after it */
	check("SDM 3A 6.7.1 a second NMI is latched, a third is lost");
	nmi(CODE("mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov ecx, 100000\n1: loop 1b\n" STOP));
	gate(V_NMI, A_CODE + 0x80, 1, 0, 14);
	put(A_CODE + 0x80,
	    CODE("inc rax\ncmp rax, 1\njne 2f\n"
		 "mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov edx, 100000\n1: dec edx\njnz 1b\n2: iretq\n"));
	c.rax = 0;
	GO(V_STOP);
	IS(c.rax, 2);
	check("SDM 3A 6.7.1 a fault in an NMI handler: its IRET unblocks");
	nmi(CODE("mov dword ptr [r15 + 0x300], 0x4400\n"
		 "mov ecx, 100000\n1: loop 1b\n" STOP));
	gate(V_NMI, A_CODE + 0x80, 1, 0, 14);
	put(A_CODE + 0x80,
	    CODE("inc rax\ncmp rax, 1\njne 2f\n"
		 "mov dword ptr [r15 + 0x300], 0x4400\n"
		 "int3\nmov edx, 100000\n1: dec edx\njnz 1b\nmov rbx, rax\n"
		 "2: iretq\n"));
	gate(V_BP, A_CODE + 0x100, 2, 0, 14);
	put(A_CODE + 0x100, CODE("iretq\n"));
	/* The NMI inside uses another stack: IST1 is in use. */
	c.rax = 0;
	gate(V_NMI, A_CODE + 0x80, 0, 0, 14);
	GO(V_STOP);
	IS(c.rbx, 2);
	check("SDM 3A 6.7 an NMI ends HLT");
	nmi(CODE("mov dword ptr [r15 + 0x300], 0x4400\nhlt\njmp .-1\n"));
	GO(V_NMI);
}

/* 64-bit IRET of a frame. */
static void
iret(uint64_t cs, uint64_t rflags, uint64_t rsp, uint64_t ss, uint64_t rip)
{
	K("");
	put(A_CODE, CODE("iretq\n"));
	c.rsp = A_STACK - 40;
	poke(A_STACK - 40, 8, rip);
	poke(A_STACK - 32, 8, cs);
	poke(A_STACK - 24, 8, rflags);
	poke(A_STACK - 16, 8, rsp);
	poke(A_STACK - 8, 8, ss);
	put(A_CODE + 0x40, CODE(STOP));
	put(A_UCODE, CODE(STOP));
}

static void
irets(void)
{
	check("SDM 2 IRET: to the same ring pops SS and RSP in 64-bit mode");
	iret(S_CODE64, 2, A_STACK - 0x200, S_DATA, A_CODE + 0x40);
	GO(V_STOP);
	IS(c.rsp, A_STACK - 0x200);
	check("SDM 2 IRET: to ring 3");
	iret(S_UCODE64, FL_IOPL3 | 2, A_USTACK, S_UDATA, A_UCODE);
	GO(V_STOP);
	IS(c.cs, S_UCODE64);
	IS(c.rflags & FL_IOPL3, FL_IOPL3);
	check("SDM 2 IRET: to compatibility mode");
	iret(S_UCODE32, 2, A_USTACK, S_UDATA, A_UCODE);
	GO(V_STOP);
	IS(c.cs, S_UCODE32);
	check("SDM 2 IRET: with NT in long mode is #GP");
	iret(S_CODE64, 2, A_STACK, S_DATA, A_CODE + 0x40);
	c.rflags |= FL_NT;
	faults(V_GP, 0, 0);
	check("SDM 2 IRET: to CS null is #GP");
	iret(0, 2, A_STACK, S_DATA, A_CODE + 0x40);
	faults(V_GP, 0, 0);
	check("SDM 2 IRET: to a data segment is #GP");
	iret(S_DATA, 2, A_STACK, S_DATA, A_CODE + 0x40);
	faults(V_GP, S_DATA, 0);
	check("SDM 2 IRET: to an SS of another RPL is #GP");
	iret(S_UCODE64, 2, A_USTACK, S_DATA, A_UCODE);
	faults(V_GP, S_DATA, 0);
	check("SDM 2 IRET: to CS of DPL other than RPL is #GP");
	iret(S_CODE64 | 3, 2, A_USTACK, S_UDATA, A_UCODE);
	faults(V_GP, S_CODE64, 0);
	check("SDM 2 IRET: to CS that is not present is #NP");
	iret(S_FREE, 2, A_STACK, S_DATA, A_CODE + 0x40);
	set_gdt(S_FREE, 0x00af1b000000ffff);
	faults(V_NP, S_FREE, 0);
	check("SDM 2 IRET: to SS that is not present is #SS");
	iret(S_UCODE64, 2, A_USTACK, S_FREE | 3, A_UCODE);
	set_gdt(S_FREE, 0x00cf73000000ffff);
	faults(V_SS, S_FREE, 0);
	check("SDM 2 IRET: SS null for ring 0 in 64-bit mode");
	iret(S_CODE64, 2, A_STACK - 0x200, 0, A_CODE + 0x40);
	GO(V_STOP);
	IS(c.ss, 0);
	check("SDM 2 IRET: SS null for compatibility mode is #GP");
	iret(S_CODE32, 2, A_STACK, 0, A_CODE + 0x40);
	faults(V_GP, 0, 0);
	check("SDM 2 IRET: sets TF, a trap after the next instruction");
	iret(S_UCODE64, FL_TF | 2, A_USTACK, S_UDATA, A_UCODE);
	put(A_UCODE, CODE("nop\nnop\n" STOP));
	GO(V_DB);
	IS(c.rip, A_UCODE + 1);
	check("SDM 2 IRET: at CPL 3 cannot change IF and IOPL");
	U("mov rax, rsp\npush 0x2b\npush rax\npush 0x3202\npush 0x33\n"
	  "lea rax, [rip + 1f]\npush rax\niretq\n1: pushfq\npop rax\n");
	GO(V_STOP);
	IS(c.rax & 0x3200, 0);
	check("SDM 2 IRET: with 32-bit operands");
	K("mov edx, ss\nmov rax, rsp\nsub rsp, 20\nmov [rsp + 16], edx\n"
	  "mov [rsp + 12], eax\nmov dword ptr [rsp + 8], 2\n"
	  "mov dword ptr [rsp + 4], 8\nlea rax, [rip + 1f]\nmov [rsp], eax\n"
	  ".byte 0xcf\n1: mov ebx, 5\n");
	GO(V_STOP);
	IS(c.rbx, 5);
	IS(c.rsp, A_STACK);
	check("SDM 2 IRETD: in protected mode within a ring");
	P("pushfd\npush cs\npush offset 0x40040\niretd\n"
	  ".balign 64\nmov ebx, 5\n");
	GO(V_STOP);
	IS(c.rbx, 5);
	IS(c.rsp, P_STACK);
	check("SDM 2 IRETD: to virtual-8086 mode");
	P("push 0x4000\npush 0x4000\npush 0x4000\npush 0x4000\n"
	  "push 0x3000\npush 0xf000\npush 0x23002\npush 0x4000\npush 0x40\n"
	  "iretd\n.balign 64\n.code16\nmov ax, ds\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, 0x4000);
	IS(c.rflags & FL_VM, FL_VM);
	IS(c.cs, 0x4000);
	check("SDM 2 IRETD: VM in the frame does nothing at CPL 3");
	P3("push 0x20002\npush 0x23\npush offset 0x40040\niretd\n"
	   ".balign 64\nmov ebx, 5\n");
	GO(V_STOP);
	IS(c.rbx, 5);
	IS(c.rflags & FL_VM, 0);
}

void
interrupts(void)
{
	shadows();
	nmis();
	irets();
}
