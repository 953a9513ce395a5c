/* SPDX-License-Identifier: BSD-2-Clause */
/* Segment registers, descriptors, privilege, far transfers. */
#include "kernel.h"

#define F0 0x60u /* the first of the free selectors */
#define F1 0x68u
#define F2 0x70u
/* Base 0, 4 GiB, 32 bits, and the access byte. */
#define FLAT(access) (0x00cf00000000ffffull | (uint64_t)(access) << 40)

/* A load of DS or SS that has to be refused. */
static void
refused(const char *what, unsigned ring, bool ss, uint64_t desc,
    uint64_t sel, unsigned vec)
{
	check("SDM 3A 5.%s", what);
	for (unsigned bits = 32; bits <= 64; bits += 32) {
		if (bits == 64)
			user(ss ? CODE("mov ss, eax\n") :
				  CODE("mov ds, eax\n"));
		else if (ss)
			prot(CODE(".code32\nmov ss, ax\n"), ring);
		else
			prot(CODE(".code32\nmov ds, ax\n"), ring);
		if (bits == 64 && ring == 0) {
			put(A_CODE, ss ? CODE("mov ss, eax\n") :
					 CODE("mov ds, eax\n"));
			c.rip = A_CODE;
			c.cs = S_CODE64;
			c.ss = S_DATA;
			c.rsp = A_STACK;
		}
		set_gdt(F0, desc);
		c.rax = sel;
		faults(vec, sel & 0xfffc, 0);
	}
}

static void
loads(void)
{
	refused("5: DS with an execute-only segment is #GP", 0, false,
	    FLAT(0x98), F0, V_GP);
	refused("5: DS with a system segment is #GP", 0, false, FLAT(0x82), F0,
	    V_GP);
	refused("6: DS with DPL < RPL is #GP", 0, false, FLAT(0x92), F0 | 3,
	    V_GP);
	refused("6: DS with DPL < CPL is #GP", 3, false, FLAT(0x92), F0, V_GP);
	refused("4: DS that is not present is #NP", 0, false, FLAT(0x12), F0,
	    V_NP);
	refused("6: SS with RPL other than CPL is #GP", 0, true, FLAT(0x92),
	    F0 | 3, V_GP);
	refused("6: SS with DPL other than CPL is #GP", 0, true, FLAT(0xf2),
	    F0, V_GP);
	refused("5: SS that is read-only is #GP", 0, true, FLAT(0x90), F0,
	    V_GP);
	refused("5: SS that is code is #GP", 0, true, FLAT(0x9a), F0, V_GP);
	refused("4: SS that is not present is #SS", 0, true, FLAT(0x12), F0,
	    V_SS);
	refused("1: a selector beyond the GDT is #GP", 0, false, 0, 0x1000,
	    V_GP);
	refused("1: a selector of a null LDT is #GP", 0, false, 0, 0x0c, V_GP);
	check("SDM 3A 5.6.1 a conforming segment is readable at any CPL");
	P3("mov ds, ax\nmov eax, [esi]\n");
	set_gdt(F0, FLAT(0x9e));
	c.rax = F0;
	poke(P_DATA, 4, 0x77);
	GO(V_STOP);
	IS(c.rax, 0x77);
	check("SDM 3A 5.5.1 loading a segment sets its accessed bit");
	P("mov ds, ax\n");
	set_gdt(F0, FLAT(0x92));
	c.rax = F0;
	GO(V_STOP);
	IS(get_gdt(F0), FLAT(0x93));
	check("SDM 3A 3.4.5 the base of DS is added");
	P("mov ds, ax\nmov eax, [0x10]\n");
	set_gdt(F0, 0x00cf92050000ffff);
	c.rax = F0;
	poke(P_DATA + 0x10, 4, 0x4321);
	GO(V_STOP);
	IS(c.rax, 0x4321);
	check("SDM 3A 3.4.2 null selectors may be loaded into DS");
	P("xor eax, eax\nmov ds, ax\nmov eax, 3\nmov es, ax\nmov ebx, es\n");
	GO(V_STOP);
	IS(c.rbx & 0xffff, 3);
	check("SDM 3A 5.4.1 SS null in protected mode is #GP");
	P("xor eax, eax\nmov ss, ax\n");
	faults(V_GP, 0, 2);
	check("SDM 3A 5.4.1.1 SS null at CPL 0 in 64-bit mode");
	K("xor eax, eax\nmov ss, eax\nmov rax, [rsp - 8]\n");
	GO(V_STOP);
	IS(c.ss, 0);
	check("SDM 3A 5.4.1.1 SS null at CPL 3 in 64-bit mode is #GP");
	U("mov eax, 3\nmov ss, eax\n");
	faults(V_GP, 0, 5);
}

static void
tables(void)
{
	check("SDM 2 MOV: to CS is #UD");
	U("nop\nnop\n");
	poke(A_UCODE, 2, 0xc88e);
	faults(V_UD, 0, 0);
	check("SDM 2 MOV: to a segment register 6 is #UD");
	U("nop\nnop\n");
	poke(A_UCODE, 2, 0xf08e);
	faults(V_UD, 0, 0);
	check("SDM 2 MOV: a selector's store to memory has 16 bits");
	U("mov qword ptr [rsi], -1\n.byte 0x48, 0x8c, 0x1e\n");
	GO(V_STOP);
	IS(peek(A_UDATA, 8), 0xffffffffffff0000 | S_UDATA);
	check("SDM 2 MOV: to a 64-bit register it is zero-extended");
	U("mov rax, -1\nmov rax, ds\n");
	GO(V_STOP);
	IS(c.rax, S_UDATA);
	check("SDM 3A 3.5.1 the LDT");
	K("mov ds, eax\nmov ebx, ds\n");
	set_gdt(F1, 0x0000820000000000ull | 0x1f | (A_DATA & 0xffffff) << 16 |
		(A_DATA >> 24) << 56);
	set_gdt(F1 + 8, 0);
	poke(A_DATA + 8, 8, FLAT(0xf2));
	__asm__ volatile("lldt %w0" ::"r"(F1));
	c.rax = 0x0f;
	GO(V_STOP);
	IS(c.rbx, 0x0f);
	IS(peek(A_DATA + 8, 8), FLAT(0xf3));
	check("SDM 2 LLDT: of a data segment is #GP");
	K("lldt ax\n");
	set_gdt(F0, FLAT(0x92));
	c.rax = F0;
	faults(V_GP, F0, 0);
	check("SDM 2 LLDT: not present is #NP");
	K("lldt ax\n");
	set_gdt(F0, 0x0000020000000000);
	c.rax = F0;
	faults(V_NP, F0, 0);
	check("SDM 2 LTR: makes the TSS busy");
	K("str ebx\nltr ax\n");
	set_gdt(F0, get_gdt(S_TSS64) & ~0x20000000000ull);
	set_gdt(F1, 0);
	c.rax = F0;
	GO(V_STOP);
	IS(c.rbx, S_TSS64);
	IS(get_gdt(F0) >> 40 & 0xff, 0x8b);
	check("SDM 2 LTR: of a busy TSS is #GP");
	K("ltr ax\n");
	c.rax = S_TSS64;
	faults(V_GP, S_TSS64, 0);
	check("SDM 2 LTR: null is #GP");
	K("xor eax, eax\nltr ax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 2);
	check("SDM 2 LTR: at CPL 3 is #GP");
	U("ltr ax\n");
	faults(V_GP, 0, 0);
}

static void
queries(void)
{
	check("SDM 2 LAR: access rights of a data segment");
	U("lar eax, ebx\n");
	c.rbx = S_UDATA;
	GO(V_STOP);
	IS(c.rax & 0xf0ff00, 0xc0f300);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 LAR: of a segment that CPL cannot see");
	U("mov eax, 0x99\nlar eax, ebx\n");
	c.rbx = S_DATA;
	GO(V_STOP);
	IS(c.rax, 0x99);
	IS(c.rflags & FL_ZF, 0);
	check("SDM 2 LAR: of a null selector");
	U("xor ebx, ebx\nlar eax, ebx\n");
	GO(V_STOP);
	IS(c.rflags & FL_ZF, 0);
	check("SDM 2 LAR: an interrupt gate has no rights");
	K("lar eax, ebx\n");
	set_gdt(F0, 0x00008e0000000000);
	c.rbx = F0;
	GO(V_STOP);
	IS(c.rflags & FL_ZF, 0);
	check("SDM 2 LSL: with granularity");
	U("lsl eax, ebx\n");
	c.rbx = S_UDATA;
	GO(V_STOP);
	IS(c.rax, 0xffffffff);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 LSL: in bytes");
	K("lsl eax, ebx\n");
	c.rbx = S_TSS64;
	GO(V_STOP);
	IS(c.rax, 103);
	check("SDM 2 VERR: of an execute-only segment");
	U("verr ax\n");
	set_gdt(F0, FLAT(0xf8));
	c.rax = F0;
	GO(V_STOP);
	IS(c.rflags & FL_ZF, 0);
	check("SDM 2 VERR: of a readable code segment");
	U("verr ax\n");
	c.rax = S_UCODE64;
	GO(V_STOP);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 VERW: of a read-only segment");
	U("verw ax\n");
	set_gdt(F0, FLAT(0xf0));
	c.rax = F0;
	GO(V_STOP);
	IS(c.rflags & FL_ZF, 0);
}

static void
table_registers(void)
{
	check("SDM 2 VERW: of a writable segment");
	U("verw ax\n");
	c.rax = S_UDATA;
	GO(V_STOP);
	IS(c.rflags & FL_ZF, FL_ZF);
	check("SDM 2 SGDT: limit and 64-bit base");
	K("sgdt [rsi]\n");
	GO(V_STOP);
	IS(peek(A_DATA, 2), 0x1ff);
	check("SDM 2 SIDT: limit and 64-bit base");
	K("sidt [rsi]\n");
	GO(V_STOP);
	IS(peek(A_DATA, 2), 0xfff);
	check("SDM 2 LGDT: at CPL 3 is #GP");
	U("lgdt [rsi]\n");
	faults(V_GP, 0, 0);
	check("SDM 2 LGDT: a base that is not canonical is #GP");
	K("lgdt [rsi]\n");
	poke(A_DATA, 8, 0xff);
	poke(A_DATA + 2, 8, 0x0100000000000000);
	if (!loses_tcg())
		faults(V_GP, 0, 0);
	check("SDM 2 SMSW: the low half of CR0 and more");
	U("xor eax, eax\nsmsw eax\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, CR0_DEFAULT & 0xffff);
	check("SDM 2 LMSW: cannot clear PE");
	K("smsw ax\nand al, 0xfe\nlmsw ax\nmov rbx, cr0\n");
	GO(V_STOP);
	IS(c.rbx & 1, 1);
	check("SDM 2 CLTS: clears TS");
	K("clts\nmov rbx, cr0\n");
	set_cr0(CR0_DEFAULT | CR0_TS);
	GO(V_STOP);
	IS(c.rbx, CR0_DEFAULT);
	check("SDM 2 CLTS: at CPL 3 is #GP");
	U("clts\n");
	faults(V_GP, 0, 0);
	static const char *const umip[] = { "SGDT", "SIDT", "SLDT", "STR",
		"SMSW" };
	for (unsigned i = 0; has(7, 2, 2) && i < 5; i++) {
		check("SDM 3A 2.5 CR4.UMIP: %s at CPL 3 is #GP", umip[i]);
		user(i == 0 ? CODE("sgdt [rsi]\n") :
			i == 1 ? CODE("sidt [rsi]\n") :
			i == 2 ? CODE("sldt eax\n") :
			i == 3 ? CODE("str eax\n") :
				 CODE("smsw eax\n"));
		set_cr4(CR4_DEFAULT | CR4_UMIP);
		faults(V_GP, 0, 0);
	}
}

static void
far_transfers(void)
{
	check("SDM 2 CALL far: through memory, and RET far");
	K("lea rax, [rip + 1f]\nmov [rsi], eax\nmov word ptr [rsi + 4], 8\n"
	  "mov eax, 1\ncall fword ptr [rsi]\nadd eax, 4\njmp 2f\n"
	  "1: add eax, 2\nmov rbx, rsp\nretf\n2:\n");
	GO(V_STOP);
	IS(c.rax, 7);
	IS(c.rbx, A_STACK - 8);
	check("SDM 2 JMP far: to a data segment is #GP");
	K("mov qword ptr [rsi], 0x10\njmp fword ptr [rsi - 4]\n");
	c.rsi = A_DATA + 4;
	faults(V_GP, S_DATA, 7);
	check("SDM 2 JMP far: to a null selector is #GP");
	K("mov qword ptr [rsi], 0\njmp fword ptr [rsi]\n");
	faults(V_GP, 0, 7);
	check("SDM 2 JMP far: to code of another DPL is #GP");
	U("mov dword ptr [rsi + 4], 8\njmp fword ptr [rsi]\n");
	faults(V_GP, S_CODE64, 7);
	check("SDM 2 JMP far: not present is #NP");
	K("mov dword ptr [rsi + 4], 0x60\njmp fword ptr [rsi]\n");
	set_gdt(F0, 0x00af1b000000ffff);
	faults(V_NP, F0, 7);
	check("SDM 2 JMP far: L and D together is #GP");
	K("mov dword ptr [rsi + 4], 0x60\njmp fword ptr [rsi]\n");
	set_gdt(F0, 0x00ef9b000000ffff);
	/* TCG takes it, and refuses it in the next VMRUN. */
	if (!loses_tcg())
		faults(V_GP, F0, 7);
	check("SDM 2 JMP far: to conforming code keeps CPL");
	U("lea rax, [rip + 1f]\nmov [rsi], eax\nmov word ptr [rsi + 4], 0x60\n"
	  "jmp fword ptr [rsi]\n1: mov eax, cs\n");
	set_gdt(F0, 0x00af9e000000ffff);
	GO(V_STOP);
	IS(c.rax, F0 | 3);
	check("SDM 2 RET far: to an outer ring");
	K("mov eax, 0x2b\npush rax\nmov rax, 0x40018000\npush rax\npush 0x33\n"
	  "mov rax, 0x40004000\npush rax\nretfq\n");
	put(A_UCODE, CODE("mov ebx, ss\n" STOP));
	GO(V_STOP);
	IS(c.cs, S_UCODE64);
	IS(c.rbx, S_UDATA);
	IS(c.rsp, A_USTACK);
	check("SDM 2 RET far: to an inner ring is #GP");
	U("push 0x10\nlea rax, [rip + 1f]\npush rax\n"
	  "mov qword ptr [rsp + 8], 8\n"
	  "retfq\n1:\n");
	GO(V_GP);
	IS(c.err, S_CODE64);
	check("SDM 2 RET far: n bytes released");
	K("push 1\npush 2\npush 8\nlea rax, [rip + 1f]\npush rax\n"
	  ".byte 0x48, 0xca, 8, 0\n1: pop rbx\n");
	GO(V_STOP);
	IS(c.rbx, 1);
	IS(c.rsp, A_STACK);
	check("SDM 3A 5.8.5.1 an outer ring clears DS it may not use");
	P("push 0x2b\npush 0x5f000\npush 0x23\npush offset 0x40040\nretf\n"
	  ".balign 64\nmov eax, ds\n");
	GO(V_STOP);
	IS(c.rax & 0xffff, 0);
	IS(c.cs, S_UCODE32);
}

static void
bases(void)
{
	check("SDM 2 IRET: to a non-canonical RIP is #GP");
	K("push 0x10\npush rsp\npush 2\npush 8\nmov rax, 0x800000000000\n"
	  "push rax\niretq\n");
	GO(V_GP);
	IS(c.err, 0);
	check("SDM 2 JMP: to a non-canonical address is #GP");
	K("mov rax, 0x800000000000\njmp rax\n");
	GO(V_GP);
	IS(c.err, 0);
	check("SDM 3A 3.3.7.1 a read at a non-canonical address is #GP");
	K("mov rax, 0x800000000000\nmov rbx, [rax]\n");
	faults(V_GP, 0, 10);
	check("SDM 3A 3.3.7.1 by RSP it is #SS");
	K("mov rsp, 0x800000000008\npop rax\n");
	faults(V_SS, 0, 10);
	check("SDM 3A 3.3.7.1 by RBP it is #SS");
	K("mov rbp, 0x800000000000\nmov rax, [rbp]\n");
	faults(V_SS, 0, 10);
	check("SDM 2 WRFSBASE and RDFSBASE");
	K("mov rax, 0xffff800012345678\nwrfsbase rax\nrdfsbase rbx\n");
	if (has(7, 1, 0)) {
		set_cr4(CR4_DEFAULT | CR4_FSGSBASE);
		GO(V_STOP);
		IS(c.rbx, 0xffff800012345678);
	}
	check("SDM 2 WRFSBASE: #UD without CR4.FSGSBASE");
	K("wrfsbase rax\n");
	faults(V_UD, 0, 0);
	check("SDM 2 WRGSBASE: a non-canonical base is #GP");
	K("mov rax, 0x100000000000000\nwrgsbase rax\n");
	if (has(7, 1, 0)) {
		set_cr4(CR4_DEFAULT | CR4_FSGSBASE);
		faults(V_GP, 0, 10);
	}
	check("SDM 2 SWAPGS: exchanges with KERNEL_GS_BASE");
	K("swapgs\nmov rax, gs:[0x10]\nswapgs\n");
	wrmsr(0xc0000102, A_DATA);
	wrmsr(0xc0000101, 0x1000);
	poke(A_DATA + 0x10, 8, 0x13579);
	/* go() loads GS and with it its base. */
	put(A_CODE, CODE("mov ecx, 0xc0000101\nmov eax, 0x1000\nxor edx, edx\n"
			 "wrmsr\nswapgs\nmov rax, gs:[0x10]\nmov rbx, rax\n"
			 "mov ecx, 0xc0000102\nrdmsr\n" STOP));
	GO(V_STOP);
	IS(c.rbx, 0x13579);
	IS(c.rax, 0x1000);
	check("SDM 2 SWAPGS: at CPL 3 is #GP");
	U("swapgs\n");
	faults(V_GP, 0, 0);
	check("SDM 3A 3.4.4 in 64-bit mode MOV to FS loads 32 bits of base");
	K("mov eax, 0x60\nmov fs, eax\nmov ecx, 0xc0000100\nrdmsr\n");
	set_gdt(F0, 0x12cf93345678ffff);
	GO(V_STOP);
	IS(c.rax | c.rdx << 32, 0x12345678);
}

void
segments(void)
{
	loads();
	tables();
	queries();
	table_registers();
	far_transfers();
	bases();
}
