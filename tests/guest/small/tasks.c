/* SPDX-License-Identifier: BSD-2-Clause */
/* Task switches: SDM volume 3, chapter 7. */
#include "prot.h"

#include <string.h>

/* Task A runs in P_TSS, task B is the other. */
#define B_TSS 0xd800ull
#define B_SEL 0x80
#define B_ESP 0xa000u
#define B_ESP0 0xa800u
#define K_GATE 0x88 /* a task gate to B */
#define K_CODE 0x90
#define K_DATA 0x98
#define K_LDT 0xa0
#define K_UCODE 0xa8
#define K_UDATA 0xb0
#define K_SS16 0xb8
#define FL_NT 0x4000u
#define ESP_A (P_ESP0 - 0x100)
#define GATE_TO(sel) ((uint64_t)(sel) << 16 | 0xe5ull << 40)
#define DESC(acc) (0x00cf00000000ffff | (uint64_t)(acc) << 40)

/* Fields of a TSS of 32 bits, and of 16 (SDM figures 7-2, 7-10). */
enum { F_IP, F_FLAGS, F_REGS, F_SEGS, F_LDT };
static const uint8_t offs[2][5] = { { 32, 36, 40, 72, 96 },
	{ 14, 16, 18, 34, 42 } };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

static bool a16, b16; /* TSSs of 16 bits */

static uint64_t
fld(struct t *t, bool b, unsigned f, unsigned n)
{
	bool w16 = b ? b16 : a16;

	return (mem(t, (b ? B_TSS : P_TSS) + offs[w16][f] + n * (w16 ? 2 : 4),
	    f >= F_SEGS || w16 ? 2 : 4));
}

static void
set_b(struct t *t, unsigned f, unsigned n, uint64_t v)
{
	set_mem(t, B_TSS + offs[b16][f] + n * (b16 ? 2 : 4), b16 ? 2 : 4, v);
}

/* Two tasks of ring 0, 32-bit code at T_CODE and T_HAND. */
static void
two(struct t *t, struct code a, struct code b)
{
	static const uint16_t segs[] = { K_DATA, K_CODE, K_DATA, K_DATA,
		K_DATA, 0 };

	prot(t, a);
	if (b16) /* within reach of IP */
		set_gdt(t, K_CODE, 0x00cf9b08f000ffff);
	else
		set_gdt(t, K_CODE, DESC(0x9b));
	put(t, T_HAND, b);
	set_gdt(t, K_DATA, DESC(0x93));
	set_gdt(t, K_SS16, 0x000093000000ffff);
	set_gdt(t, K_UCODE, DESC(0xfb));
	set_gdt(t, K_UDATA, DESC(0xf3));
	set_gdt(t, K_LDT, 0x0000820a80000017); /* at 0xa8000 */
	set_gdt(t, B_SEL, b16 ? 0x00008100d800002b : 0x00008900d8000067);
	set_gdt(t, K_GATE, GATE_TO(B_SEL));
	if (a16) {
		set_gdt(t, S_TSS, 0x00008300e000002b);
		load(t, VM_SEG_TR, S_TSS, P_TSS, 0x2b, 0x83);
	}
	memset(gvm_ptr(t->g, B_TSS), 0, 104);
	set_b(t, F_IP, 0, b16 ? 0x1000 : T_HAND);
	set_b(t, F_FLAGS, 0, 2 | 1);
	for (unsigned i = 0; i < 8; i++)
		set_b(t, F_REGS, i, 0xb0001100 + i);
	set_b(t, F_REGS, 4, B_ESP);
	for (unsigned i = 0; i < (b16 ? 4 : 6); i++)
		set_b(t, F_SEGS, i, segs[i]);
	if (b16) {
		set_b(t, F_SEGS, SEG_SS, K_SS16);
		set_mem(t, B_TSS + 2, 4, B_ESP0 | K_DATA << 16);
	} else {
		set_mem(t, B_TSS + 4, 4, B_ESP0);
		set_mem(t, B_TSS + 8, 4, K_DATA);
	}
	set(t, VM_REG_RSP, ESP_A);
}

static unsigned
type_of(struct t *t, unsigned s)
{
	return ((unsigned)mem(t, GVM_GDT + s + 5, 1) & 0xf);
}

#define LJMP(sel) ".byte 0xea\n.long 0x12345678\n.word " #sel "\n"
#define LCALL(sel) ".byte 0x9a\n.long 0x12345678\n.word " #sel "\n"

/* A's state as the switch saves it. */
static void
saved(struct t *t, uint32_t ip, uint32_t fl)
{
	uint64_t mask = a16 ? 0xffff : 0xffffffff;

	IS(fld(t, false, F_IP, 0), ip & mask);
	IS(fld(t, false, F_FLAGS, 0) & ~FL_RF, fl);
	for (unsigned i = 0; i < 8; i++)
		is(t, "saved register", fld(t, false, F_REGS, i),
		    (i == 4 ? ESP_A : HI) & mask);
	for (unsigned i = 0; i < (a16 ? 4 : 6); i++)
		is(t, "saved selector", fld(t, false, F_SEGS, i),
		    i == SEG_CS ? S_CODE32 : S_DATA32);
}

static void
in_b(struct t *t)
{
	static const enum vm_reg regs[] = { VM_REG_RAX, VM_REG_RCX, VM_REG_RDX,
		VM_REG_RBX, VM_REG_RSP, VM_REG_RBP, VM_REG_RSI, VM_REG_RDI };
	uint64_t hi = b16 ? 0xffff0000 : 0;

	for (unsigned i = 0; i < 8; i++)
		is(t, "loaded register", get(t, regs[i]),
		    (i == 4 ? B_ESP : 0xb0001100 + i) | hi);
	IS(sel(t, VM_SEG_CS), K_CODE);
	IS(sel(t, VM_SEG_SS), b16 ? K_SS16 : K_DATA);
	IS(sel(t, VM_SEG_DS), K_DATA);
	IS(sel(t, VM_SEG_ES), K_DATA);
	IS(sel(t, VM_SEG_FS), b16 ? 0 : K_DATA);
	IS(sel(t, VM_SEG_GS), 0);
	IS(sel(t, VM_SEG_TR), B_SEL);
	IS(base(t, VM_SEG_TR), B_TSS);
	IS(get(t, VM_REG_CR0) & CR0_TS, CR0_TS);
	IS(type_of(t, B_SEL), b16 ? 3 : 11);
}

static void
ways(struct t *t)
{
	const char *w = a16 ? b16 ? "16 to 16" : "16 to 32" :
	    b16		    ? "32 to 16" :
			      "32 to 32";

	check(t, "SDM 3 7.3: JMP to a TSS, %s bits", w);
	two(t, CODE32(LJMP(0x80)), CODE32(STOP));
	GO(GO_STOP);
	saved(t, T_CODE + 7, 2);
	in_b(t);
	IS(get(t, VM_REG_RFLAGS), 2 | 1);
	IS(type_of(t, S_TSS), a16 ? 1 : 9);
	IS(mem(t, B_TSS, 2), 0);
	check(t, "SDM 3 7.3: JMP through a task gate, %s bits", w);
	two(t, CODE32("nop\n" LJMP(0x88)), CODE32(STOP));
	GO(GO_STOP);
	saved(t, T_CODE + 8, 2);
	in_b(t);
	IS(type_of(t, S_TSS), a16 ? 1 : 9);
	for (unsigned i = 0; i < 2; i++) {
		check(t, "SDM 3 7.4: CALL, %s bits, %s", w,
		    i ? "task gate" : "TSS");
		two(t, i ? CODE32(LCALL(0x88)) : CODE32(LCALL(0x80)),
		    CODE32(STOP));
		GO(GO_STOP);
		saved(t, T_CODE + 7, 2);
		in_b(t);
		IS(get(t, VM_REG_RFLAGS), 2 | 1 | FL_NT);
		IS(type_of(t, S_TSS), a16 ? 3 : 11);
		IS(mem(t, B_TSS, 2), S_TSS);
	}
	check(t, "SDM 3 7.3: INT n through a task gate, %s bits", w);
	two(t, CODE32("nop\nint 0x60\n"), CODE32(STOP));
	set_mem(t, P_IDT + 8 * 0x60, 8, GATE_TO(B_SEL));
	GO(GO_STOP);
	saved(t, T_CODE + 3, 2);
	in_b(t);
	IS(get(t, VM_REG_RFLAGS), 2 | 1 | FL_NT);
	IS(mem(t, B_TSS, 2), S_TSS);
	check(t, "SDM 3 7.4: IRET with NT goes back, %s bits", w);
	two(t, CODE32(LCALL(0x80) "mov eax, [0xd800]\n" STOP),
	    CODE32("mov ebx, 0x77\nclts\niretd\nnop\n"));
	if (a16) /* IP has 16 bits */
		set_gdt(t, S_CODE32, 0x00cf9b080000ffff);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0xffff, S_TSS);
	IS(get(t, VM_REG_RBX) & 0xffff, 0);
	IS(get(t, VM_REG_RSP) & 0xffff, ESP_A & 0xffff);
	IS(sel(t, VM_SEG_TR), S_TSS);
	IS(sel(t, VM_SEG_FS), a16 ? 0 : S_DATA32);
	IS(get(t, VM_REG_RFLAGS), 2);
	IS(get(t, VM_REG_CR0) & CR0_TS, CR0_TS);
	IS(type_of(t, S_TSS), a16 ? 3 : 11);
	IS(type_of(t, B_SEL), b16 ? 1 : 9);
	IS(fld(t, true, F_FLAGS, 0), 2 | 1); /* NT is clear */
	IS(fld(t, true, F_REGS, 3) & 0xff, 0x77);
	IS(fld(t, true, F_IP, 0), b16 ? 0x1008 : T_HAND + 8);
	check(t, "SDM 3 6.13: error codes on the new stack, %s bits", w);
	two(t, CODE32("nop\nmov ax, 0x1000\nmov ds, ax\n"), CODE32(STOP));
	set_mem(t, P_IDT + 8 * V_GP, 8, GATE_TO(B_SEL));
	GO(GO_STOP);
	IS(fld(t, false, F_IP, 0), (T_CODE + 5) & (a16 ? 0xffff : 0xffffff));
	if (!a16)
		IS(fld(t, false, F_FLAGS, 0), 2 | FL_RF);
	IS(get(t, VM_REG_RSP) & 0xffff, B_ESP - (b16 ? 2 : 4));
	IS(mem(t, B_ESP - (b16 ? 2 : 4), b16 ? 2 : 4), 0x1000);
	check(t, "SDM 3 7.3: an interrupt through a task gate, %s bits", w);
	two(t, CODE32("1:jmp 1b\n"), CODE32(STOP));
	set_mem(t, P_IDT + 8 * 0x61, 8, GATE_TO(B_SEL));
	set(t, VM_REG_RFLAGS, 0x202);
	(void)vcpu_set_apic(t->g->cpu, 0xf0, 0x1ff);
	IS(vm_msi(t->g->vm, 0xfee00000, 0x61), 0);
	GO(GO_STOP);
	saved(t, T_CODE, 0x202);
	in_b(t);
	IS(get(t, VM_REG_RFLAGS), 2 | 1 | FL_NT);
	(void)vcpu_set_apic(t->g->cpu, 0xb0, 0);
}

static void
switches(struct t *t)
{
	for (unsigned i = 0; i < 4; i++) {
		a16 = i & 1;
		b16 = i & 2;
		ways(t);
	}
	a16 = b16 = false;
}

/* ---- what comes with a task ---- */

static void
state(struct t *t)
{
	check(t, "SDM 3 7.2.1: LDT of the new task");
	two(t, CODE32(LJMP(0x80)), CODE32("mov cx, 0x0c\nmov gs, cx\n"
					  "mov cx, gs:[4]\n" STOP));
	set_b(t, F_LDT, 0, K_LDT);
	set_mem(t, 0xa8008, 8, 0x0000930a0000ffff);
	set_mem(t, T_DATA + 4, 2, 0x4242);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX) & 0xffff, 0x4242);
	IS(sel(t, VM_SEG_LDTR), K_LDT);
	check(t, "SDM 3 7.2.1: CR3 of the new task, with paging");
	two(t, CODE32("mov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\n"
		      "mov ebx, [0xa0000]\n" LCALL(0x80)
		      "mov ebx, [0xa0000]\n" STOP),
	    CODE32("mov ecx, [0xa0000]\nmov edx, cr3\nmov [0x9000], ecx\n"
		   "mov [0x9004], edx\niretd\n"));
	{
		uint64_t pd[2], pt[2];

		for (unsigned i = 0; i < 2; i++) {
			pd[i] = gvm_alloc(t->g, 2);
			pt[i] = pd[i] + 4096;
			memset(gvm_ptr(t->g, pd[i]), 0, 4096);
			set_mem(t, pd[i], 4, pt[i] | 3);
			for (uint64_t n = 0; n < 1024; n++)
				set_mem(t, pt[i] + 4 * n, 4, n << 12 | 3);
		}
		set_mem(t, pt[1] + 4 * 0xa0, 4, 0xa1003);
		set(t, VM_REG_CR4, 0x600);
		set(t, VM_REG_CR3, pd[0]);
		set_mem(t, P_TSS + 28, 4, pd[0]);
		set_mem(t, B_TSS + 28, 4, pd[1]);
		set_mem(t, T_DATA, 4, 0x1111);
		set_mem(t, T_DATA + 4096, 4, 0x2222);
		GO(GO_STOP);
		IS(mem(t, 0x9000, 4), 0x2222);
		IS(mem(t, 0x9004, 4), pd[1]);
		IS(get(t, VM_REG_CR3), pd[0]);
		IS(get(t, VM_REG_RBX), 0x1111);
	}
	check(t, "SDM 3 7.2.1: CR3 is not loaded without paging");
	two(t, CODE32(LJMP(0x80)), CODE32(STOP));
	set_mem(t, B_TSS + 28, 4, 0x5000);
	set(t, VM_REG_CR3, 0x7000);
	GO(GO_STOP);
	IS(get(t, VM_REG_CR3), 0x7000);
	check(t, "SDM 3 17.3.1.5: the T bit, #DB before the first instruction");
	two(t, CODE32(LJMP(0x80)), CODE32(STOP));
	set_mem(t, B_TSS + 100, 2, 1);
	set(t, VM_REG_DR6, 0xffff0ff0);
	GO(V_DB);
	IS(get(t, VM_REG_DR6) & 0xe00f, 0x8000);
	IS(mem(t, B_ESP - 12, 4), T_HAND);
	IS(mem(t, B_ESP - 4, 4), 2 | 1);
	check(t, "SDM 3 17.2.4: local breakpoints end with the task");
	two(t, CODE32(LJMP(0x80)), CODE32("mov eax, dr7\n" STOP));
	set(t, VM_REG_DR7, 0x7ff);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x6aa);
	check(t, "SDM 3 20.2.5: a virtual-8086 task");
	two(t, CODE32(LJMP(0x80)), CODE16(""));
	put(t, T_HAND, CODE16("mov ax, ds\nmov bx, [0x10]\nmov cx, gs\n"
			      STOP));
	set_b(t, F_IP, 0, 0);
	set_b(t, F_FLAGS, 0, FL_VM | 0x3002);
	set_b(t, F_SEGS, SEG_CS, 0x9000);
	set_b(t, F_SEGS, SEG_DS, 0xa000);
	set_b(t, F_SEGS, SEG_GS, 0x1234);
	set_mem(t, T_DATA + 0x10, 2, 0x5555);
	set_mem(t, B_TSS + 102, 2, 104);
	set_gdt(t, B_SEL, 0x00008900d8000000 + 104 + 32);
	memset(gvm_ptr(t->g, B_TSS + 104), 0, 33);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0xffff, 0xa000);
	IS(get(t, VM_REG_RBX) & 0xffff, 0x5555);
	IS(get(t, VM_REG_RCX) & 0xffff, 0x1234);
	IS(base(t, VM_SEG_CS), 0x90000);
	check(t, "SDM 3 7.3: a task of ring 3");
	two(t, CODE32(LJMP(0x80)), CODE32("mov ax, cs\nint3\n"));
	set_b(t, F_SEGS, SEG_CS, K_UCODE | 3);
	set_b(t, F_SEGS, SEG_SS, K_UDATA | 3);
	set_b(t, F_SEGS, SEG_DS, K_UDATA | 3);
	set_b(t, F_SEGS, SEG_ES, 0);
	set_b(t, F_SEGS, SEG_FS, 0);
	GO(V_BP);
	IS(get(t, VM_REG_RAX) & 0xffff, K_UCODE | 3);
	IS(mem(t, B_ESP0 - 8, 4), B_ESP);
	IS(mem(t, B_ESP0 - 4, 2), K_UDATA | 3);
	check(t, "SDM 3 6.15: a double fault has a task");
	two(t, CODE32("xor eax, eax\nmov ss, ax\n"), CODE32("pop eax\n" STOP));
	set_mem(t, P_IDT + 8 * V_DF, 8, GATE_TO(B_SEL));
	set_mem(t, P_IDT + 8 * V_GP, 8, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0);
	IS(get(t, VM_REG_RSP), B_ESP);
	IS(fld(t, false, F_IP, 0), T_CODE + 2);
	check(t, "SDM 3 6.15: a double fault of a stack that is full");
	two(t, CODE32("ud2\n"), CODE32("pop eax\n" STOP));
	set_mem(t, P_IDT + 8 * V_DF, 8, GATE_TO(B_SEL));
	load(t, VM_SEG_SS, S_DATA32, 0, 0xfff, 0x4093);
	set(t, VM_REG_RSP, 0x1800);
	GO(GO_STOP);
	IS(fld(t, false, F_IP, 0), T_CODE);
	two(t, CODE32("nop\nmov ax, 0x1000\nmov ds, ax\n"),
	    CODE32("pop eax\n" STOP));
	set_mem(t, P_IDT + 8 * V_DF, 8, GATE_TO(B_SEL));
	load(t, VM_SEG_SS, S_DATA32, 0, 0xfff, 0x4093);
	set(t, VM_REG_RSP, 0x1800);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0);
	IS(fld(t, false, F_IP, 0), T_CODE + 5);
	IS(fld(t, false, F_REGS, 4), 0x1800);
	check(t, "SDM 1 19.5.2: a TSS of 16 bits has no I/O bitmap");
	two(t, CODE32("nop\nin al, 0x60\n"), CODE32(""));
	set_gdt(t, K_CODE, DESC(0xfb));
	load(t, VM_SEG_CS, K_CODE | 3, 0, 0xffffffff, 0xc0fb);
	load(t, VM_SEG_SS, K_UDATA | 3, 0, 0xffffffff, 0xc0f3);
	set(t, VM_REG_RFLAGS, 2);
	memset(gvm_ptr(t->g, P_TSS + 104), 0, 33);
	load(t, VM_SEG_TR, S_TSS, P_TSS, 0x2087, 0x83);
	set_mem(t, P_TSS + 2, 4, P_ESP0 | S_DATA32 << 16);
	GO(V_GP);
	IS(mem(t, P_ESP0 - 20, 4), T_CODE + 1);
}

/* ---- faults of the old task ---- */

static void
old_fault(struct t *t, unsigned vector, uint32_t error)
{
	GO((int)vector);
	IS(mem(t, ESP_A - 16, 4), error);
	IS(mem(t, ESP_A - 12, 4), T_CODE);
	IS(sel(t, VM_SEG_TR), S_TSS);
	IS(get(t, VM_REG_CR0) & CR0_TS, 0);
	IS(type_of(t, S_TSS), 11);
}
#define T(text, code)                                                          \
	check(t, "SDM 3 table 7-1: " text);                                    \
	two(t, CODE32(code), CODE32(STOP))

static void
old(struct t *t)
{
	T("JMP to a TSS, RPL above its DPL", LJMP(0x83));
	old_fault(t, V_GP, B_SEL);
	T("CALL of a task gate, RPL above its DPL", LCALL(0x8b));
	set_gdt(t, K_GATE, GATE_TO(B_SEL) & ~(3ull << 45));
	old_fault(t, V_GP, K_GATE);
	T("a task gate's DPL is what counts", LCALL(0x8b));
	GO(GO_STOP);
	T("task gate not present", LCALL(0x88));
	set_gdt(t, K_GATE, GATE_TO(B_SEL) & ~(1ull << 47));
	old_fault(t, V_NP, K_GATE);
	T("task gate to the LDT", LCALL(0x88));
	set_gdt(t, K_GATE, GATE_TO(B_SEL | 4));
	old_fault(t, V_GP, B_SEL | 4);
	T("task gate out of the GDT", LCALL(0x88));
	set_gdt(t, K_GATE, GATE_TO(0x1000));
	old_fault(t, V_GP, 0x1000);
	T("task gate to what is no TSS", LCALL(0x88));
	set_gdt(t, K_GATE, GATE_TO(K_DATA));
	old_fault(t, V_GP, K_DATA);
	T("busy TSS", LJMP(0x80));
	set_gdt(t, B_SEL, 0x00008b00d8000067);
	old_fault(t, V_GP, B_SEL);
	T("CALL of the task itself", LCALL(0x68));
	old_fault(t, V_GP, S_TSS);
	T("TSS not present", LJMP(0x80));
	set_gdt(t, B_SEL, 0x00000900d8000067);
	old_fault(t, V_NP, B_SEL);
	T("TSS too short", LCALL(0x88));
	set_gdt(t, B_SEL, 0x00008900d8000066);
	old_fault(t, V_TS, B_SEL);
	T("TSS of 16 bits too short", LCALL(0x88));
	set_gdt(t, B_SEL, 0x00008100d800002a);
	old_fault(t, V_TS, B_SEL);
	T("IRET to a TSS that is not busy", "iretd\n");
	set(t, VM_REG_RFLAGS, 2 | FL_NT);
	set_mem(t, P_TSS, 2, B_SEL);
	old_fault(t, V_TS, B_SEL);
	T("IRET to the LDT", "iretd\n");
	set(t, VM_REG_RFLAGS, 2 | FL_NT);
	set_mem(t, P_TSS, 2, B_SEL | 4);
	old_fault(t, V_TS, B_SEL | 4);
	T("IRET out of the GDT", "iretd\n");
	set(t, VM_REG_RFLAGS, 2 | FL_NT);
	set_mem(t, P_TSS, 2, 0x1000);
	old_fault(t, V_TS, 0x1000);
	T("IRET to a TSS that is not present", "iretd\n");
	set(t, VM_REG_RFLAGS, 2 | FL_NT);
	set_mem(t, P_TSS, 2, B_SEL);
	set_gdt(t, B_SEL, 0x00000b00d8000067);
	old_fault(t, V_NP, B_SEL);
	T("INT n, gate of DPL 0 from ring 0, bad TSS", "int 0x60\n");
	set_mem(t, P_IDT + 8 * 0x60, 8, GATE_TO(0x1000) & ~(3ull << 45));
	old_fault(t, V_GP, 0x1000);
	T("an exception's EXT bit", "ud2\n");
	set_mem(t, P_IDT + 8 * V_UD, 8, GATE_TO(0x1000));
	old_fault(t, V_GP, 0x1001);
	T("an exception's task gate that is not present", "ud2\n");
	set_mem(t, P_IDT + 8 * V_UD, 8, GATE_TO(B_SEL) & ~(1ull << 47));
	old_fault(t, V_NP, V_UD * 8 + 3);
	check(t, "SDM 2 IRET (#GP): NT in IA-32e mode");
	kernel(t, CODE("nop\niretq\n"));
	set(t, VM_REG_RFLAGS, 2 | FL_NT);
	GO(V_GP);
	IS(t->f.rip, T_CODE + 1);
}

/* ---- faults of the new task ---- */

/* B is of ring 3, so that the handler has a stack for sure. */
static void
bad(struct t *t, const char *what, unsigned f, unsigned n, uint64_t v)
{
	check(t, "SDM 3 table 7-1, in the new task: %s", what);
	two(t, CODE32(LJMP(0x80)), CODE32(STOP));
	set_b(t, F_SEGS, SEG_CS, K_UCODE | 3);
	set_b(t, F_SEGS, SEG_SS, K_UDATA | 3);
	for (unsigned i = 0; i < 6; i++)
		if (i != SEG_CS && i != SEG_SS)
			set_b(t, F_SEGS, i, K_UDATA | 3);
	set_b(t, f, n, v);
}

static void
new_fault(struct t *t, unsigned vector, uint32_t error)
{
	GO((int)vector);
	IS(mem(t, B_ESP0 - 24, 4), error);
	IS(mem(t, B_ESP0 - 20, 4), fld(t, true, F_IP, 0));
	IS(mem(t, B_ESP0 - 16, 2), fld(t, true, F_SEGS, SEG_CS));
	IS(mem(t, B_ESP0 - 8, 4), B_ESP);
	IS(mem(t, B_ESP0 - 4, 2), fld(t, true, F_SEGS, SEG_SS));
	IS(sel(t, VM_SEG_TR), B_SEL);
	IS(get(t, VM_REG_CR0) & CR0_TS, CR0_TS);
	IS(type_of(t, S_TSS), 9);
	IS(type_of(t, B_SEL), 11);
}

static void
new(struct t *t)
{
	bad(t, "LDT selector in the LDT", F_LDT, 0, K_LDT | 4);
	new_fault(t, V_TS, K_LDT | 4);
	bad(t, "LDT out of the GDT", F_LDT, 0, 0x1000);
	new_fault(t, V_TS, 0x1000);
	bad(t, "LDT that is none", F_LDT, 0, K_DATA);
	new_fault(t, V_TS, K_DATA);
	bad(t, "LDT not present", F_LDT, 0, K_LDT);
	set_gdt(t, K_LDT, 0x0000020a80000017);
	new_fault(t, V_TS, K_LDT);
	bad(t, "null CS", F_SEGS, SEG_CS, 3);
	new_fault(t, V_TS, 0);
	bad(t, "CS out of the GDT", F_SEGS, SEG_CS, 0x1003);
	new_fault(t, V_TS, 0x1000);
	bad(t, "CS is data", F_SEGS, SEG_CS, K_UDATA | 3);
	new_fault(t, V_TS, K_UDATA);
	bad(t, "CS's DPL", F_SEGS, SEG_CS, K_CODE | 3);
	new_fault(t, V_TS, K_CODE);
	bad(t, "CS not present", F_SEGS, SEG_CS, K_UCODE | 3);
	set_gdt(t, K_UCODE, DESC(0x7b));
	new_fault(t, V_NP, K_UCODE);
	bad(t, "null SS", F_SEGS, SEG_SS, 3);
	new_fault(t, V_TS, 0);
	bad(t, "SS out of the GDT", F_SEGS, SEG_SS, 0x1003);
	new_fault(t, V_TS, 0x1000);
	bad(t, "SS is code", F_SEGS, SEG_SS, K_UCODE | 3);
	new_fault(t, V_TS, K_UCODE);
	bad(t, "SS not writable", F_SEGS, SEG_SS, K_UDATA | 3);
	set_gdt(t, K_UDATA, DESC(0xf1));
	new_fault(t, V_TS, K_UDATA);
	bad(t, "SS's DPL", F_SEGS, SEG_SS, K_DATA | 3);
	new_fault(t, V_TS, K_DATA);
	bad(t, "SS's RPL", F_SEGS, SEG_SS, K_UDATA | 2);
	new_fault(t, V_TS, K_UDATA);
	bad(t, "SS not present", F_SEGS, SEG_SS, K_UDATA | 3);
	set_gdt(t, K_UDATA, DESC(0x73));
	new_fault(t, V_SS, K_UDATA);
	for (unsigned i = 0; i < 6; i++) {
		if (i == SEG_CS || i == SEG_SS)
			continue;
		bad(t, "data selector out of the GDT", F_SEGS, i, 0x1003);
		new_fault(t, V_TS, 0x1000);
		bad(t, "data segment of ring 0", F_SEGS, i, K_DATA);
		new_fault(t, V_TS, K_DATA);
		bad(t, "data selector of a TSS", F_SEGS, i, B_SEL);
		new_fault(t, V_TS, B_SEL);
		bad(t, "execute-only code as data", F_SEGS, i, S_CODE16);
		set_gdt(t, S_CODE16, DESC(0xf9));
		new_fault(t, V_TS, S_CODE16);
		bad(t, "data segment not present", F_SEGS, i, S_DATA16);
		set_gdt(t, S_DATA16, DESC(0x73));
		new_fault(t, V_NP, S_DATA16);
	}
	bad(t, "EIP behind CS's limit (#GP)", F_IP, 0, 0x10000);
	set_gdt(t, K_UCODE, 0x0040fb000000ffff);
	new_fault(t, V_GP, 0);
}

const struct group_fn group[] = { { "switches", switches },
	{ "state", state }, { "old", old }, { "new", new }, { NULL, NULL } };
