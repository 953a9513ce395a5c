/* SPDX-License-Identifier: BSD-2-Clause */
/* Call gates: SDM volume 3, 5.8, and volume 2, CALL, JMP and RET. */
#include "prot.h"

#include <string.h>

#define G_GATE 0x80 /* the gate; in IA-32e mode 16 bytes */
#define G_CODE 0x90 /* its target */
#define G_SS 0x98   /* SS0 of the TSS */
#define G_UCODE 0xa0
#define G_UDATA 0xa8
#define G_UDATA0 0xb0 /* data of ring 0 */
#define U_ESP 0xb000u
#define K_ESP 0xa000u

#define CALL32 0x8c
#define CALL16 0x84

static uint64_t
gate_desc(uint16_t to, uint32_t off, unsigned n, unsigned type)
{
	return ((off & 0xffff) | (uint64_t)to << 16 | (uint64_t)n << 32 |
	    (uint64_t)type << 40 | (uint64_t)(off >> 16) << 48);
}

/* Ring 0, G_GATE a gate of ring 3 to T_HAND in G_CODE. */
static void
kern(struct t *t, struct code c, struct code target)
{
	prot(t, c);
	put(t, T_HAND, target);
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0, CALL32 | 0x60));
	set_gdt(t, G_CODE, 0x00cf9b000000ffff);
	set_gdt(t, G_SS, 0x00cf93000000ffff);
	set_gdt(t, G_UCODE, 0x00cffb000000ffff);
	set_gdt(t, G_UDATA, 0x00cff3000000ffff);
	set_gdt(t, G_UDATA0, 0x00cf93000000ffff);
	set_mem(t, P_TSS + 4, 4, K_ESP);
	set_mem(t, P_TSS + 8, 2, G_SS);
	set(t, VM_REG_RSP, K_ESP - 0x100);
}

/* The same from ring 3. */
static void
usr(struct t *t, struct code c, struct code target)
{
	kern(t, c, target);
	load(t, VM_SEG_CS, G_UCODE | 3, 0, 0xffffffff, 0xc0fb);
	load(t, VM_SEG_SS, G_UDATA | 3, 0, 0xffffffff, 0xc0f3);
	load(t, VM_SEG_DS, G_UDATA | 3, 0, 0xffffffff, 0xc0f3);
	load(t, VM_SEG_ES, G_UDATA | 3, 0, 0xffffffff, 0xc0f3);
	set(t, VM_REG_RSP, U_ESP);
	set(t, VM_REG_RFLAGS, 0x3002);
}

/* lcall or ljmp to the gate, with an offset that means nothing */
#define LCALL(sel) ".byte 0x9a\n.long 0x12345678\n.word " #sel "\n"
#define LJMP(sel) ".byte 0xea\n.long 0x12345678\n.word " #sel "\n"

static void
same(struct t *t)
{
	check(t, "SDM 3 5.8.4: CALL through a 32-bit gate, same level");
	kern(t, CODE32("nop\n" LCALL(0x80) "mov edx, esp\n" STOP),
	    CODE32("mov eax, [esp]\nmov ebx, [esp + 4]\nmov ecx, cs\nretf\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), T_CODE + 8);
	IS(get(t, VM_REG_RBX) & 0xffff, S_CODE32);
	IS(get(t, VM_REG_RCX), G_CODE);
	IS(get(t, VM_REG_RDX), K_ESP - 0x100);
	check(t, "SDM 3 5.8.4: a parameter count without a switch is nothing");
	kern(t, CODE32(LCALL(0x80)), CODE32("mov eax, [esp]\n" STOP));
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 5, CALL32));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), T_CODE + 7);
	IS(get(t, VM_REG_RSP), K_ESP - 0x108);
	check(t, "SDM 3 5.8.4: JMP through a gate pushes nothing");
	kern(t, CODE32(LJMP(0x80)), CODE32("mov ecx, cs\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), G_CODE);
	IS(get(t, VM_REG_RSP), K_ESP - 0x100);
	check(t, "SDM 2 CALL: a 16-bit gate pushes 4 bytes, IP of 16 bits");
	kern(t, CODE32(LCALL(0x80)), CODE16(""));
	put(t, T_HAND + 0x40,
	    CODE16("mov eax, [esp]\nmov dx, sp\n" STOP));
	set_gdt(t, G_CODE, 0x00009b090000ffff);
	set_gdt(t, G_GATE, gate_desc(G_CODE, 0xabcd0040, 0, CALL16));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), S_CODE32 << 16 | 7);
	IS(get(t, VM_REG_RSP), K_ESP - 0x104);
	check(t, "SDM 3 5.8.4: the code's accessed bit is set");
	kern(t, CODE32(LCALL(0x80)), CODE32(STOP));
	set_gdt(t, G_CODE, 0x00cf9a000000ffff);
	GO(GO_STOP);
	IS(mem(t, GVM_GDT + G_CODE + 5, 1), 0x9b);
}

static void
inner(struct t *t)
{
	check(t, "SDM 3 5.8.5, figure 5-13: CALL to an inner level, 2 dwords");
	usr(t, CODE32("push 0x1111\npush 0x2222\n" LCALL(0x83)
		      "mov edx, esp\nmov edi, ds\nmov esi, es\n" STOP),
	    CODE32("mov eax, [esp]\nmov ebx, [esp + 12]\nmov ecx, [esp + 8]\n"
		   "mov ebp, esp\nmov edi, ss\nmov [0xa0000], edi\n"
		   "mov edi, cs\nmov [0xa0004], edi\n"
		   "mov di, 0xb0\nmov es, di\nretf 8\n"));
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 2, CALL32 | 0x60));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), T_CODE + 17);
	IS(get(t, VM_REG_RCX), 0x2222);
	IS(get(t, VM_REG_RBX), 0x1111);
	IS(get(t, VM_REG_RBP), K_ESP - 24);
	IS(mem(t, K_ESP - 4, 2), G_UDATA | 3);
	IS(mem(t, K_ESP - 8, 4), U_ESP - 8);
	IS(mem(t, K_ESP - 20, 2), G_UCODE | 3);
	IS(mem(t, T_DATA, 4), G_SS);
	IS(mem(t, T_DATA + 4, 4), G_CODE);
	check(t, "SDM 2 RET: outwards releases both stacks' parameters");
	IS(get(t, VM_REG_RDX), U_ESP);
	IS(sel(t, VM_SEG_CS), G_UCODE | 3);
	IS(sel(t, VM_SEG_SS), G_UDATA | 3);
	check(t, "SDM 2 RET: data segments of inner levels become null");
	IS(get(t, VM_REG_RDI), G_UDATA | 3);
	IS(get(t, VM_REG_RSI), 0);
	check(t, "SDM 2 CALL: a 16-bit gate copies words");
	usr(t, CODE32("push 0x22221111\n" LCALL(0x80)),
	    CODE32("mov eax, [esp]\nmov ebx, [esp + 4]\nmov ecx, [esp + 8]\n"
		   STOP));
	set_mem(t, 0x10, 4, 0);
	put(t, 0x9000, CODE32("mov eax, [esp]\nmov ebx, [esp + 4]\n"
			      "mov ecx, [esp + 8]\n" STOP));
	set_gdt(t, G_GATE, gate_desc(G_CODE, 0x9000, 2, CALL16 | 0x60));
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), K_ESP - 12);
	IS(get(t, VM_REG_RAX), (G_UCODE | 3) << 16 | 12);
	IS(get(t, VM_REG_RBX), 0x22221111);
	IS(get(t, VM_REG_RCX), (G_UDATA | 3) << 16 | (U_ESP - 4));
	check(t, "SDM 3 7.6: the stack from a 16-bit TSS");
	usr(t, CODE32(LCALL(0x80)), CODE32(STOP));
	load(t, VM_SEG_TR, S_TSS, P_TSS, 0x2b, 0x83);
	set_mem(t, P_TSS + 2, 2, K_ESP);
	set_mem(t, P_TSS + 4, 2, G_SS);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), K_ESP - 16);
	check(t, "SDM 3 5.8.5: the stack wraps at 64 KiB if it is of 16 bits");
	usr(t, CODE32(LCALL(0x80)), CODE32(STOP));
	set_gdt(t, G_SS, 0x000093070000ffff);
	set_mem(t, P_TSS + 4, 4, 0x55550008);
	set(t, VM_REG_RSP, 0x12000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), 0x1fff8);
	IS(mem(t, 0x70004, 2), G_UDATA | 3);
	IS(mem(t, 0x7fffc, 2), G_UCODE | 3);
	check(t, "SDM 3 5.8.3: conforming code keeps the level");
	usr(t, CODE32(LCALL(0x80)), CODE32("mov ecx, cs\n" STOP));
	set_gdt(t, G_CODE, 0x00cf9f000000ffff);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), G_CODE | 3);
	IS(get(t, VM_REG_RSP), U_ESP - 8);
	usr(t, CODE32(LJMP(0x80)), CODE32("mov ecx, cs\n" STOP));
	set_gdt(t, G_CODE, 0x00cf9f000000ffff);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), G_CODE | 3);
}

/* The fault is at the instruction, in ring 3, its stack as it was. */
static void
fault(struct t *t, unsigned vector, uint32_t error)
{
	GO((int)vector);
	IS(mem(t, K_ESP - 24, 4), error);
	IS(mem(t, K_ESP - 20, 4), T_CODE);
	IS(mem(t, K_ESP - 16, 2), G_UCODE | 3);
	IS(mem(t, K_ESP - 8, 4), U_ESP);
}

#define T(text) check(t, "SDM 2 CALL: " text); \
	usr(t, CODE32(LCALL(0x80)), CODE32(STOP))
#define CODE_DESC(acc) (0x00cf00000000ffff | (uint64_t)(acc) << 40)

static void
faults(struct t *t)
{
	T("gate's DPL below CPL");
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0, CALL32 | 0x40));
	fault(t, V_GP, G_GATE);
	check(t, "SDM 2 CALL: gate's DPL below RPL");
	kern(t, CODE32(LCALL(0x83)), CODE32(STOP));
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0, CALL32 | 0x40));
	GO(V_GP);
	IS(mem(t, K_ESP - 0x110, 4), G_GATE);
	T("gate not present");
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0, 0x6c));
	fault(t, V_NP, G_GATE);
	T("null code selector");
	set_gdt(t, G_GATE, gate_desc(3, T_HAND, 0, CALL32 | 0x60));
	fault(t, V_GP, 0);
	T("code selector out of the table");
	set_gdt(t, G_GATE, gate_desc(0x1003, T_HAND, 0, CALL32 | 0x60));
	fault(t, V_GP, 0x1000);
	T("not code");
	set_gdt(t, G_CODE, CODE_DESC(0x93));
	fault(t, V_GP, G_CODE);
	T("code of less privilege");
	set(t, VM_REG_RFLAGS, 2);
	set_gdt(t, G_GATE, gate_desc(G_UCODE, T_HAND, 0, CALL32 | 0x60));
	load(t, VM_SEG_CS, S_CODE32, 0, 0xffffffff, 0xc09b);
	load(t, VM_SEG_SS, S_DATA32, 0, 0xffffffff, 0xc093);
	GO(V_GP);
	IS(mem(t, U_ESP - 16, 4), G_UCODE);
	T("code not present");
	set_gdt(t, G_CODE, CODE_DESC(0x1b));
	fault(t, V_NP, G_CODE);
	T("system descriptors that are not for it");
	for (unsigned type = 0; type < 16; type++)
		if (((1u << type) & 0x1232) == 0) {
			usr(t, CODE32(LCALL(0x80)), CODE32(STOP));
			set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0,
			    0xe0 | type));
			fault(t, V_GP, G_GATE);
		}
	T("target behind the code segment");
	set_gdt(t, G_CODE, 0x00409b000000ffff); /* 64 KiB */
	fault(t, V_GP, 0);
	/* What else lies on the stack is what was pushed before. */
	check(t, "SDM 2 JMP: a gate does not lead to an inner level");
	usr(t, CODE32(LJMP(0x80)), CODE32(STOP));
	fault(t, V_GP, G_CODE);
}

/* A stack fault of the gate is not one of the handler's stack: that comes
 * from ring 0, too. So the handlers are conforming: they run in ring 3. */
static void
stack_fault(struct t *t, unsigned vector, uint32_t error)
{
	set_gdt(t, S_CODE32, 0x00cf9f000000ffff);
	GO((int)vector);
	IS(mem(t, U_ESP - 16, 4), error);
	IS(mem(t, U_ESP - 12, 4), T_CODE);
	IS(get(t, VM_REG_RSP), U_ESP - 16);
}

static void
stacks(struct t *t)
{
	T("the TSS is too short (#TS)");
	load(t, VM_SEG_TR, S_TSS, P_TSS, 8, 0x8b);
	stack_fault(t, V_TS, S_TSS);
	T("null stack selector (#TS)");
	set_mem(t, P_TSS + 8, 2, 0);
	stack_fault(t, V_TS, 0);
	T("stack selector out of the table (#TS)");
	set_mem(t, P_TSS + 8, 2, 0x1000);
	stack_fault(t, V_TS, 0x1000);
	T("stack selector's RPL (#TS)");
	set_mem(t, P_TSS + 8, 2, G_SS | 1);
	stack_fault(t, V_TS, G_SS);
	T("stack's DPL (#TS)");
	set_gdt(t, G_SS, CODE_DESC(0xb3));
	stack_fault(t, V_TS, G_SS);
	T("stack not writable (#TS)");
	set_gdt(t, G_SS, CODE_DESC(0x91));
	stack_fault(t, V_TS, G_SS);
	T("stack not data (#TS)");
	set_gdt(t, G_SS, CODE_DESC(0x9b));
	stack_fault(t, V_TS, G_SS);
	T("stack not present (#SS)");
	set_gdt(t, G_SS, CODE_DESC(0x13));
	stack_fault(t, V_SS, G_SS);
	T("no room on the stack (#SS)");
	set_gdt(t, G_SS, 0x0040930000000fff);
	stack_fault(t, V_SS, G_SS);
	T("no room on a stack that expands down (#SS)");
	set_gdt(t, G_SS, 0x004097000000ffff - 0xffff + K_ESP - 13);
	stack_fault(t, V_SS, G_SS);
	check(t, "SDM 3 5.3: just enough of it");
	usr(t, CODE32(LCALL(0x80)), CODE32(STOP));
	set_gdt(t, G_SS, 0x004097000000ffff - 0xffff + K_ESP - 17);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSP), K_ESP - 16);
}

/* ---- IA-32e mode ---- */

static void
long_usr(struct t *t, struct code c, struct code target)
{
	user(t, c);
	put(t, T_HAND, target);
	set_gdt(t, G_GATE, gate_desc(GVM_KCODE, T_HAND, 0, CALL32 | 0x60));
	set_mem(t, GVM_GDT + G_GATE + 8, 8, 0);
	/* m16:64 at the start of the user's data */
	set_mem(t, upage(t, T_UDATA), 8, 0x12345678);
	set_mem(t, upage(t, T_UDATA + 8), 2, G_GATE | 3);
	set(t, VM_REG_RBX, T_UDATA);
}
#define LCALL64 ".byte 0x48, 0xff, 0x1b\n"

static void
long_mode(struct t *t)
{
	check(t, "SDM 3 5.8.3.1, 5.8.5: CALL through a 64-bit gate");
	long_usr(t, CODE(LCALL64 USTOP),
	    CODE("mov rax, [rsp]\nmov rcx, [rsp + 8]\nmov rdx, [rsp + 16]\n"
		 "mov rsi, [rsp + 24]\nmov rbp, rsp\nmov r8d, ss\n"
		 "mov r9d, cs\n.byte 0x48, 0xcb\n"));
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), T_UCODE + 3);
	IS(get(t, VM_REG_RCX), GVM_UCODE);
	IS(get(t, VM_REG_RDX), T_USTACK);
	IS(get(t, VM_REG_RSI), GVM_UDATA);
	IS(get(t, VM_REG_RBP), GVM_STACK_TOP - 32);
	IS(get(t, VM_REG_R8), 0);
	IS(get(t, VM_REG_R9), GVM_KCODE);
	IS(t->f.rsp, T_USTACK);
	IS(t->f.cs, GVM_UCODE);
	IS(t->f.ss, GVM_UDATA);
	check(t, "SDM 3 5.8.3.1: from compatibility mode");
	long_usr(t, CODE32(".byte 0x9a\n.long 0\n.word 0x80\nint 0x80\n"),
	    CODE("mov rax, [rsp]\nmov rcx, [rsp + 8]\n.byte 0x48, 0xcb\n"));
	load(t, VM_SEG_CS, GVM_UCODE32, 0, 0xffffffff, 0xc0fb);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), T_UCODE + 7);
	IS(get(t, VM_REG_RCX), GVM_UCODE32);
	IS(t->f.rsp, T_USTACK);
	IS(t->f.cs, GVM_UCODE32);
	check(t, "SDM 2 CALL (#GP): a gate to code that is not of 64 bits");
	long_usr(t, CODE("nop\n" LCALL64), CODE(STOP));
	set_gdt(t, G_CODE, CODE_DESC(0x9b));
	set_gdt(t, G_GATE, gate_desc(G_CODE, T_HAND, 0, CALL32 | 0x60));
	set_mem(t, GVM_GDT + G_GATE + 8, 8, 0);
	GO(V_GP);
	IS(t->f.error, G_CODE);
	IS(t->f.rip, T_UCODE + 1);
	check(t, "SDM 2 CALL (#GP): 16-bit gates, task gates and TSSs");
	for (unsigned type = 0; type < 16; type++) {
		if (type == 12)
			continue;
		long_usr(t, CODE("nop\n" LCALL64), CODE(STOP));
		set_gdt(t, G_GATE,
		    gate_desc(GVM_KCODE, T_HAND, 0, 0xe0 | type));
		GO(V_GP);
		IS(t->f.error, G_GATE);
	}
	check(t, "SDM 3 5.8.3.1 (#GP): the upper half must have type 0");
	long_usr(t, CODE("nop\n" LCALL64), CODE(STOP));
	set_mem(t, GVM_GDT + G_GATE + 8, 8, 0x10000000000);
	GO(V_GP);
	IS(t->f.error, G_GATE);
	check(t, "SDM 2 CALL (#GP): a target that is not canonical");
	long_usr(t, CODE("nop\n" LCALL64), CODE(STOP));
	set_mem(t, GVM_GDT + G_GATE + 8, 8, 0x8000);
	GO(V_GP);
	IS(t->f.error, 0);
	IS(t->f.rip, T_UCODE + 1);
	check(t, "SDM 2 CALL (#SS): RSP0 that is not canonical");
	long_usr(t, CODE("nop\n" LCALL64), CODE(STOP));
	set_mem(t, GVM_TSS + 4, 8, 0x800000000010);
	GO(V_SS);
	IS(t->f.error, 0);
	set_mem(t, GVM_TSS + 4, 8, GVM_STACK_TOP);
}

const struct group_fn group[] = { { "same", same }, { "inner", inner },
	{ "faults", faults }, { "stacks", stacks },
	{ "long_mode", long_mode }, { NULL, NULL } };
