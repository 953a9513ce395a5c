/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes of the processor, and the ways between them. */
#include "kernel.h"

#define DATA16 (R_DS * 16ull)
#define TABLES 0x60000ull

static void
real_mode(void)
{
	check("SDM 3A 21.1.1 real mode: selector * 16 + offset");
	R("mov ax, [0x123]\n");
	poke(DATA16 + 0x123, 2, 0xbeef);
	GO(V_STOP);
	IS(c.rax & 0xffff, 0xbeef);
	check("SDM 3A 21.1.1 real mode: a load of DS moves its base");
	R("mov ax, 0x2100\nmov ds, ax\nmov bx, [0]\n");
	poke(0x21000, 2, 0x1234);
	GO(V_STOP);
	IS(c.rbx & 0xffff, 0x1234);
	check("SDM 3A 21.1.1 real mode: 0xffff:0x10 is above 1 MiB");
	R("mov ax, 0xffff\nmov ds, ax\nmov al, [0x10]\n");
	GO(V_STOP);
	IS(c.rax & 0xff, peek(0x100000, 1));
	check("SDM 3A 21.1.1 real mode: beyond 64 KiB is #GP");
	R("mov eax, 0x10000\nmov bl, [eax]\n");
	faults(V_GP, 0, 6);
	check("SDM 3A 21.1.1 real mode: a word at 0xffff is #GP");
	R("mov ax, [0xffff]\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 21.1.1 real mode: a word at SS:0xffff is #SS");
	R("mov ax, ss:[0xffff]\n");
	faults(V_SS, 0, 0);
	check("SDM 3A 21.1.3 real mode: 32-bit operands and addresses");
	R("mov eax, 0x12345678\nlea ebx, [eax + eax * 2]\n");
	GO(V_STOP);
	IS(c.rbx, 0x369d0368);
	check("SDM 3A 21.1.4 real mode: INT pushes FLAGS, CS, IP");
	R("int 0x21\n");
	faults(0x21, 0, 2);
	IS(c.cs, R_CS);
	IS(c.rsp, 0xf000);
	check("SDM 3A 21.1.4 real mode: INT through a vector of ours");
	R("mov ax, 1\nint 0x60\nadd ax, 4\njmp 1f\n"
	  ".balign 64\nadd ax, 2\niret\n1:\n");
	poke(0x60 * 4, 4, R_CS << 16 | 0x40);
	GO(V_STOP);
	IS(c.rax & 0xffff, 7);
	check("SDM 3A 21.1.4 real mode: INT clears IF and TF");
	R("pushf\npop ax\nor ax, 0x200\npush ax\npopf\nint 0x60\n"
	  ".balign 64\npushf\npop bx\n");
	poke(0x60 * 4, 4, R_CS << 16 | 0x40);
	GO(V_STOP);
	IS(c.rbx & 0x300, 0);
	check("SDM 3A 21.1.4 real mode: #DE is vector 0, no error code");
	R("xor cx, cx\ndiv cx\n");
	faults(V_DE, 0, 2);
	check("SDM 3A 21.1.4 real mode: #UD");
	R("ud2\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 21.1.5 real mode: LLDT is #UD");
	R("lldt ax\n");
	faults(V_UD, 0, 0);
}

static void
real_mode_more(void)
{
	check("SDM 3A 21.1.5 real mode: ARPL is #UD");
	R("arpl ax, bx\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 21.1.5 real mode: LAR is #UD");
	R("lar ax, bx\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 21.1.5 real mode: SMSW has PE clear");
	R("smsw ax\n");
	GO(V_STOP);
	IS(c.rax & 1, 0);
	check("SDM 3A 21.1.2 real mode: far call and return");
	R("mov ax, 1\n.byte 0x9a\n.word 0x40, 0x1000\nadd ax, 4\njmp 1f\n"
	  ".balign 64\nadd ax, 2\nretf\n1:\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, 7);
	IS(c.rsp, 0xf000);
	check("SDM 3A 21.1.2 real mode: LDS");
	R("lds bx, [0x10]\n");
	poke(DATA16 + 0x10, 4, 0x22334455);
	GO(V_STOP);
	IS(c.rbx & 0xffff, 0x4455);
	IS(c.ds, 0x2233);
	check("SDM 1 3.3.4 real mode: SP wraps at 64 KiB");
	R("xor sp, sp\npush 0x1234\nmov bx, sp\npop ax\nmov cx, sp\n"
	  "mov sp, 0x8000\n");
	GO(V_STOP);
	IS(c.rbx & 0xffff, 0xfffe);
	IS(c.rax & 0xffff, 0x1234);
	IS(c.rcx & 0xffff, 0);
	IS(peek(R_SS * 16 + 0xfffe, 2), 0x1234);
	check("SDM 3A 10.9.1 unreal mode: the limit survives PE = 0");
	R("mov eax, 0x2000000\nmov ebx, [eax]\n");
	c.mode = M_UNREAL;
	poke(0x2000000 + DATA16, 4, 0x31415926);
	GO(V_STOP);
	IS(c.rbx, 0x31415926);
	check("SDM 2 MOV to CR: PG without PE is #GP");
	R("mov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 9);
	check("SDM 3A 21.1.1 real mode: string instructions use SI and DI");
	R("cld\nmov cx, 3\nmov si, 0x10\nmov di, 0xfffe\nrep movsb\n");
	c.es = R_DS;
	poke(DATA16 + 0x10, 4, 0x44332211);
	GO(V_STOP);
	IS(c.rdi & 0xffff, 1);
	IS(peek(DATA16 + 0xfffe, 2), 0x2211);
	IS(peek(DATA16, 1), 0x33);
	check("SDM 2 LOOP: CX or ECX by the address size");
	R("mov ecx, 0x10002\nxor ax, ax\n1: inc ax\nloop 1b\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, 2);
	IS(c.rcx, 0x10000);
}

static void
v86_mode(void)
{
	check("SDM 3A 21.2.1 virtual-8086: addresses as in real mode");
	V("mov ax, [0x123]\nmov bx, cs\n");
	poke(DATA16 + 0x123, 2, 0xbeef);
	GO(V_STOP);
	IS(c.rax & 0xffff, 0xbeef);
	IS(c.rbx & 0xffff, R_CS);
	check("SDM 3A 21.2.3 virtual-8086: the frame has VM and segments");
	V("");
	c.es = 0x2345;
	c.fs = 0x3456;
	c.gs = 0x4567;
	GO(V_STOP);
	IS(c.rflags & FL_VM, FL_VM);
	IS(c.cs, R_CS);
	IS(c.ss, R_SS);
	IS(c.ds, R_DS);
	IS(c.es, 0x2345);
	IS(c.fs, 0x3456);
	IS(c.gs, 0x4567);
	check("SDM 3A 21.2.2 virtual-8086: CPL is 3");
	V("mov eax, cr0\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: CLI with IOPL < 3 is #GP");
	V("cli\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: STI with IOPL < 3 is #GP");
	V("nop\nsti\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 1);
	check("SDM 3A 21.2.7 virtual-8086: PUSHF with IOPL < 3 is #GP");
	V("pushf\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: POPF with IOPL < 3 is #GP");
	V("popf\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: IRET with IOPL < 3 is #GP");
	V("iret\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: INT n with IOPL < 3 is #GP");
	V("");
	c.rflags &= ~FL_IOPL3;
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.7 virtual-8086: INT3 does not ask for IOPL");
	V("int3\n");
	c.rflags &= ~FL_IOPL3;
	faults(V_BP, 0, 1);
	check("SDM 3A 21.3.1 virtual-8086: INT n to a gate of DPL 0 is #GP");
	V("int 0x21\n");
	faults(V_GP, 0x21 * 8 + 2, 0);
	check("SDM 3A 21.2.7 virtual-8086: with IOPL 3 CLI works");
	V("cli\npushf\npop ax\n");
	c.rflags |= FL_IF;
	GO(V_STOP);
	IS(c.rax & FL_IF, 0);
	check("SDM 3A 21.2.7 virtual-8086: PUSHF shows IOPL, not VM");
	V("pushfd\npop eax\n");
	GO(V_STOP);
	IS(c.rax & (FL_IOPL3 | FL_VM | FL_RF), FL_IOPL3);
	check("SDM 3A 21.2.8.1 virtual-8086: IN asks the I/O bitmap");
	V("in al, 0x21\n");
	c.rflags &= ~FL_IOPL3;
	GO(V_GP); /* of INT 0x80: IN was allowed */
	IS(c.rip, 2);
	check("SDM 3A 21.2.2 virtual-8086: LLDT is #UD");
	V("lldt ax\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 21.2.2 virtual-8086: HLT is #GP");
	V("hlt\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.1 virtual-8086: a word at 0xffff is #GP");
	V("mov ax, [0xffff]\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 21.2.1 virtual-8086: a word at SS:0xffff is #SS");
	V("mov ax, ss:[0xffff]\n");
	faults(V_SS, 0, 0);
	check("SDM 3A 21.2.1 virtual-8086: far jump in units of 16 bytes");
	V(".byte 0xea\n.word 0x10, 0x1010\n.balign 256\n.skip 16\n"
	  "mov ax, cs\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, 0x1010);
}

static void
prot_mode(void)
{
	check("SDM 3A 3.2.1 protected mode without paging: flat");
	P("mov eax, [esi]\nadd eax, 1\nmov [esi + 4], eax\n");
	poke(P_DATA, 4, 0xfffffffe);
	GO(V_STOP);
	IS(peek(P_DATA + 4, 4), 0xffffffff);
	check("SDM 3A 3.2.1 protected mode: EIP and ESP have 32 bits");
	P("call 1f\n1: pop eax\nmov ebx, esp\n");
	GO(V_STOP);
	IS(c.rax, P_CODE + 5);
	IS(c.rbx, P_STACK);
	check("SDM 3A 6.12 protected mode: no stack switch within ring 0");
	P("ud2\n");
	faults(V_UD, 0, 0);
	IS(c.rsp, P_STACK);
	IS(c.cs, S_CODE32);
	check("SDM 3A 6.12 protected mode: from ring 3 to SS0:ESP0");
	P3("mov eax, cs\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, S_UCODE32);
	IS(c.cs, S_UCODE32);
	IS(c.ss, S_UDATA);
	IS(c.rsp, P_STACK);
	check("SDM 3A 5.9 protected mode: privileged at CPL 3 is #GP");
	P3("mov eax, cr0\n");
	faults(V_GP, 0, 0);
	check("SDM 1 20.5.2 protected mode: IN asks the I/O bitmap");
	P3("in al, 0x21\n");
	GO(V_STOP);
	check("SDM 2 INC: one byte in 32-bit code");
	P("mov eax, 7\n.byte 0x40\n");
	GO(V_STOP);
	IS(c.rax, 8);
	check("SDM 2 DAA");
	P("mov eax, 0x79\nadd al, 0x35\ndaa\n");
	GO(V_STOP);
	IS(c.rax, 0x14);
	IS(c.rflags & FL_CF, FL_CF);
	check("SDM 2 AAM: by 0 is #DE");
	P("mov eax, 0x79\n.byte 0xd4, 0\n");
	faults(V_DE, 0, 5);
	check("SDM 2 BOUND: in range");
	P("mov eax, 5\nbound eax, [esi]\n");
	poke(P_DATA, 8, 0x900000001);
	GO(V_STOP);
	check("SDM 2 BOUND: out of range is #BR");
	P("mov eax, 10\nbound eax, [esi]\n");
	poke(P_DATA, 8, 0x900000001);
	faults(V_BR, 0, 5);
	check("SDM 2 INTO: with OF is #OF, a trap");
	P("mov al, 0x7f\ninc al\ninto\n");
	faults(V_OF, 0, 5);
	check("SDM 2 INTO: without OF goes on");
	P("xor eax, eax\ninto\n");
	GO(V_STOP);
	check("SDM 2 PUSHA and POPA");
	P("mov eax, 1\nmov ecx, 2\nmov edx, 3\nmov ebx, 4\nmov ebp, 5\n"
	  "pusha\nxor eax, eax\nmov edx, 9\npopa\n");
	GO(V_STOP);
	IS(c.rax, 1);
	IS(c.rdx, 3);
	IS(c.rsp, P_STACK);
	check("SDM 2 ARPL: raises the RPL");
	P("mov eax, 0x10\nmov ecx, 3\narpl ax, cx\n");
	GO(V_STOP);
	IS(c.rax, 0x13);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 SALC: undocumented, in every processor");
	P("stc\n.byte 0xd6\n");
	GO(V_STOP);
	IS(c.rax & 0xff, 0xff);
	check("SDM 3A 10.9.1 to real mode and back");
	P("mov eax, cr0\nand al, 0xfe\nmov cr0, eax\nor al, 1\n"
	  "mov cr0, eax\nmov edx, 77\n");
	GO(V_STOP);
	IS(c.rdx, 77);
}

/* 32-bit paging: the first 8 MiB, one to one but for one page. */
static void
tables32(bool pse)
{
	uint64_t dir = TABLES, tab = TABLES + 0x1000;

	zero((void *)dir, 0x3000);
	for (unsigned i = 0; i < 1024; i++) {
		poke(tab + i * 4, 4, i << 12 | 7);
		poke(tab + 0x1000 + i * 4, 4, (i + 1024) << 12 | 7);
	}
	poke(dir, 4, tab | 7);
	poke(dir + 4, 4, (tab + 0x1000) | 7);
	if (pse)
		poke(dir + 8, 4, 0x87); /* 8 MiB: memory at 0 again */
	poke(tab + 0x5c * 4, 4, 0x50000 | 7);
	c.cr3 = dir;
	c.cr4 = pse ? CR4_PSE : 0;
	c.cr0 = 0x80000033;
}

static void
paging32(void)
{
	uint64_t tab = TABLES + 0x1000;

	check("SDM 3A 4.3 32-bit paging: a page elsewhere");
	P("mov eax, [0x5c010]\nmov [0x5c014], eax\n");
	tables32(false);
	poke(P_DATA + 0x10, 4, 0x5a5a1234);
	GO(V_STOP);
	IS(peek(P_DATA + 0x14, 4), 0x5a5a1234);
	check("SDM 3A 4.8 32-bit paging: accessed and dirty bits");
	IS(peek(tab + 0x5c * 4, 4), 0x50000 | 0x67);
	IS(peek(TABLES, 4) & 0x20, 0x20);
	check("SDM 3A 4.8 32-bit paging: a read does not set the dirty bit");
	P("mov eax, [0x5c010]\n");
	tables32(false);
	GO(V_STOP);
	IS(peek(tab + 0x5c * 4, 4), 0x50000 | 0x27);
	check("SDM 3A 4.7 32-bit paging: not present");
	P("mov eax, [0x5c010]\n");
	tables32(false);
	poke(tab + 0x5c * 4, 4, 0);
	pagefault(0, 0x5c010);
	check("SDM 3A 4.7 32-bit paging: a write at CPL 3 to a read-only page");
	P3("mov [0x5c010], eax\n");
	tables32(false);
	poke(tab + 0x5c * 4, 4, 0x50005);
	pagefault(7, 0x5c010);
	check("SDM 3A 4.6.1 32-bit paging: ring 0 writes it with WP = 0");
	P("mov [0x5c010], eax\n");
	tables32(false);
	poke(tab + 0x5c * 4, 4, 0x50005);
	GO(V_STOP);
	check("SDM 3A 4.6.1 32-bit paging: and not with WP = 1");
	P("mov [0x5c010], eax\n");
	tables32(false);
	c.cr0 |= CR0_WP;
	poke(tab + 0x5c * 4, 4, 0x50005);
	pagefault(3, 0x5c010);
	check("SDM 3A 4.7 32-bit paging: ring 3 on a supervisor page");
	P3("mov eax, [0x5c010]\n");
	tables32(false);
	poke(tab + 0x5c * 4, 4, 0x50003);
	pagefault(5, 0x5c010);
	check("SDM 3A 4.3 32-bit paging: a 4 MiB page with CR4.PSE");
	P("mov eax, [0x850010]\n");
	tables32(true);
	poke(P_DATA + 0x10, 4, 0x600df00d);
	GO(V_STOP);
	IS(c.rax, 0x600df00d);
	check("SDM 3A 4.3 32-bit paging: PS is ignored without CR4.PSE");
	P("mov eax, [0x5c010]\n");
	tables32(false);
	poke(TABLES, 4, tab | 0x87);
	poke(P_DATA + 0x10, 4, 0x1001);
	GO(V_STOP);
	IS(c.rax, 0x1001);
	check("SDM 3A 4.3 32-bit paging: a reserved bit of a 4 MiB page");
	P("mov eax, [0x850010]\n");
	tables32(true);
	poke(TABLES + 8, 4, 0x200087);
	pagefault(9, 0x850010);
	check("SDM 3A 4.3 32-bit paging: an access over two pages");
	P("mov eax, [0x5bffe]\n");
	tables32(false);
	poke(0x5bffe, 2, 0x1122);
	poke(P_DATA, 2, 0x3344);
	GO(V_STOP);
	IS(c.rax, 0x33441122);
	check("SDM 3A 4.7 virtual-8086: its accesses are the user's");
	V("mov ax, [0]\n");
	tables32(false);
	poke(tab + 0x20 * 4, 4, 0x20003);
	pagefault(5, DATA16);
	check("SDM 3A 21.2.5 virtual-8086: paged");
	V("mov ax, [0]\n");
	tables32(false);
	poke(tab + 0x20 * 4, 4, 0x50007);
	poke(P_DATA, 2, 0x9876);
	GO(V_STOP);
	IS(c.rax & 0xffff, 0x9876);
}

/* PAE paging: the first 4 MiB in pages, then a large page. */
static void
tables_pae(void)
{
	uint64_t pdpt = TABLES, dir = TABLES + 0x1000, tab = TABLES + 0x2000;

	zero((void *)pdpt, 0x4000);
	poke(pdpt, 8, dir | 1);
	for (unsigned i = 0; i < 1024; i++)
		poke(tab + i * 8, 8, i << 12 | 7);
	poke(dir, 8, tab | 7);
	poke(dir + 8, 8, (tab + 0x1000) | 7);
	poke(dir + 16, 8, 0x87);
	poke(tab + 0x5c * 8, 8, 0x50000 | 7);
	c.cr3 = pdpt;
	c.cr4 = CR4_PAE;
	c.cr0 = 0x80010033;
}

static void
paging_pae(void)
{
	uint64_t dir = TABLES + 0x1000, tab = TABLES + 0x2000;

	check("SDM 3A 4.4.2 PAE paging: a page elsewhere, its A and D bits");
	P("mov eax, [0x5c010]\nmov [0x5c014], eax\n");
	tables_pae();
	poke(P_DATA + 0x10, 4, 0x5a5a1234);
	GO(V_STOP);
	IS(peek(P_DATA + 0x14, 4), 0x5a5a1234);
	IS(peek(tab + 0x5c * 8, 8), 0x50067);
	IS(peek(TABLES, 8), dir | 1); /* PDPTEs have no A bit */
	check("SDM 3A 4.4.2 PAE paging: a 2 MiB page");
	P("mov eax, [0x450010]\n");
	tables_pae();
	poke(P_DATA + 0x10, 4, 0x600df00d);
	GO(V_STOP);
	IS(c.rax, 0x600df00d);
	check("SDM 3A 4.4.2 PAE paging: execute-disable");
	P("mov eax, 0x5c000\ncall eax\n");
	tables_pae();
	poke(tab + 0x5c * 8, 8, 0x50003 | PTE_NX);
	pagefault(0x11, 0x5c000);
	check("SDM 3A 4.4.2 PAE paging: XD is reserved with NXE = 0");
	P("mov ecx, 0xc0000080\nrdmsr\nand ah, 0xf7\nwrmsr\n"
	  "mov eax, [0x5c010]\n");
	tables_pae();
	poke(tab + 0x5c * 8, 8, 0x50003 | PTE_NX);
	pagefault(9, 0x5c010);
	check("SDM 3A 4.4.2 PAE paging: bits above MAXPHYADDR are reserved");
	P("mov eax, [0x5c010]\n");
	tables_pae();
	poke(tab + 0x5c * 8, 8, 0x50003 | 1ull << 61);
	pagefault(9, 0x5c010);
	check("SDM 3A 4.4.1 PAE paging: MOV CR3 with a reserved PDPTE bit");
	P("mov eax, 0x63000\nmov cr3, eax\n");
	tables_pae();
	poke(TABLES + 0x3000 + 0, 8, dir | 1 | 6);
	/* AMD's may read them in the walk instead (APM 2 5.3.2). */
	if (go() == V_PF && is_amd())
		c.vec = V_GP;
	IS(c.vec, V_GP);
	check("SDM 3A 4.7 PAE paging: PDPTE not present");
	P("mov eax, [0x40000010]\n");
	tables_pae();
	pagefault(0, 0x40000010);
	check("SDM 3A 4.7 PAE paging: SMEP");
	P("mov eax, 0x5c000\ncall eax\n");
	tables_pae();
	if (has(7, 1, 7))
		c.cr4 |= CR4_SMEP;
	for (unsigned i = 0; i < 1024; i++)
		poke(tab + i * 8, 8, i << 12 | 3);
	poke(tab + 0x5c * 8, 8, 0x50007);
	poke(P_DATA, 1, 0xc3);
	pagefault(0x11, 0x5c000);
}

static void
compat(void)
{
	check("SDM 3A 10.8.5.3 compatibility mode: 32-bit code at CPL 3");
	U32("call 1f\n1: pop eax\n.byte 0x40\n"); /* INC EAX, not REX */
	GO(V_STOP);
	IS(c.rax, A_UCODE + 6);
	IS(c.cs, S_UCODE32);
	check("SDM 3A 10.8.5.3 compatibility mode: addresses wrap at 4 GiB");
	U32("mov ebx, 0xfffffff0\nmov eax, [ebx + 0x4000c020]\n");
	poke(A_UDATA + 0x10, 4, 0x11223344);
	GO(V_STOP);
	IS(c.rax, 0x11223344);
	check("SDM 3A 10.8.5.3 compatibility mode: at CPL 0");
	K32("mov eax, cr0\nmov ebx, 1\n");
	GO(V_STOP);
	IS(c.rax, CR0_DEFAULT);
	IS(c.cs, S_CODE32);
	check("SDM 3A 10.8.5.3 compatibility mode: upper halves do not count");
	U32("mov eax, [esi]\n");
	c.rsi |= 0x1234567800000000;
	poke(A_UDATA, 4, 0x55);
	GO(V_STOP);
	IS(c.rax, 0x55);
	check("SDM 2 JMP far: from compatibility to 64-bit mode");
	U32(".byte 0xea\n.long 0x40004010\n.word 0x33\n.balign 16\n.code64\n"
	    "mov rax, 0x1122334455667788\n");
	GO(V_STOP);
	IS(c.rax, 0x1122334455667788);
	IS(c.cs, S_UCODE64);
	check("SDM 2 RET far: from 64-bit to compatibility mode");
	U("push 0x23\nlea rax, [rip + 1f]\npush rax\nretfq\n"
	  "1:\n.code32\nmov eax, 0xffffffff\n.byte 0x40\n");
	GO(V_STOP);
	IS(c.rax, 0);
	IS(c.cs, S_UCODE32);
	check("SDM 2 PUSH: 64-bit operands in 64-bit mode");
	U("push -2\nmov rax, rsp\npop rbx\n");
	GO(V_STOP);
	IS(c.rax, A_USTACK - 8);
	IS(c.rbx, ~1ull);
	check("SDM 1 3.4.1.1 64-bit mode: a 32-bit result clears the rest");
	U("mov rax, -1\nmov eax, eax\nmov rbx, -1\nmov bx, 1\n");
	GO(V_STOP);
	IS(c.rax, 0xffffffff);
	IS(c.rbx, 0xffffffffffff0001);
	check("SDM 1 3.7.2.1 64-bit mode: bases of DS, ES and SS are 0");
	U("mov eax, 0x60\nmov ds, eax\nmov rax, [rsi]\n");
	set_gdt(S_FREE, 0x12cff3345678ffff);
	poke(A_UDATA, 8, 0x77);
	GO(V_STOP);
	IS(c.rax, 0x77);
	check("SDM 3A 10.8.5 leaving long mode with CS.L = 1 is #GP");
	K("mov rax, cr0\nbtr rax, 31\nmov cr0, rax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 8);
	check("SDM 3A 10.8.5 clearing CR4.PAE in long mode is #GP");
	K("mov rax, cr4\nbtr rax, 5\nmov cr4, rax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 8);
	check("SDM 3A 10.8.5 changing EFER.LME with paging on is #GP");
	K("mov ecx, 0xc0000080\nrdmsr\nbtr eax, 8\nwrmsr\n");
	faults(V_GP, 0, 11);
	static const char *const gone[] = { "AAA", "AAS", "DAA", "DAS",
		"PUSH CS", "PUSH ES", "PUSHA", "POPA", "INTO", "SALC", "AAM",
		"AAD", "BOUND", "CALL far direct", "JMP far direct", "LES" };
	static const uint8_t op[] = { 0x37, 0x3f, 0x27, 0x2f, 0x0e, 0x06,
		0x60, 0x61, 0xce, 0xd6, 0xd4, 0xd5, 0x62, 0x9a, 0xea, 0xc4 };
	for (unsigned i = 0; i < sizeof(op); i++) {
		check("SDM 2 %s: #UD in 64-bit mode", gone[i]);
		U("nop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\n");
		poke(A_UCODE, 1, op[i]);
		poke(A_UCODE + 1, 1, 0);
		faults(V_UD, 0, 0);
	}
}

void
modes(void)
{
	real_mode();
	real_mode_more();
	v86_mode();
	prot_mode();
	paging32();
	paging_pae();
	compat();
}
