/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segment limits and types outside 64-bit mode: SDM volume 3, 5.3 to 5.5, and
 * 20.1 for real mode.
 */
#include "prot.h"

#include <string.h>

#define D_BASE 0xa0000u
#define FLAT 0xc0f3u
#define RW 0x40f3u
#define RO 0x40f1u
#define DOWN 0x40f7u /* up to 4 GiB */
#define DOWN16 0xf7u /* up to 64 KiB */
#define DOWN_RO 0x40f5u
#define XR 0x40fbu /* code */
#define XO 0x40f9u
#define NULL_SEG 0x10000u
#define ARITH 0x8d5ull

/* Ring 3, flat but for what the test loads; handlers in ring 0. */
static void
ring3(struct t *t, struct code c)
{
	prot(t, c);
	put(t, T_CODE + c.len, CODE32(STOP));
	set_gdt(t, 0x90, 0x00cffb000000ffff);
	set_gdt(t, 0xa0, 0x0040fb0a00000fff); /* code at D_BASE */
	load(t, VM_SEG_CS, 0x93, 0, 0xffffffff, 0xc0fb);
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++)
		if (i != VM_SEG_CS)
			load(t, (enum vm_segreg)i, 0x9b, 0, 0xffffffff, FLAT);
	set(t, VM_REG_RSP, 0xb000);
	set(t, VM_REG_RFLAGS, 0x3002 | ARITH);
}

/* The vector, an error code of 0, and nothing changed. */
static void
fault(struct t *t, int vector, uint32_t eip, uint32_t esp)
{
	GO(vector);
	IS(mem(t, P_ESP0 - 24, 4), 0);
	IS(mem(t, P_ESP0 - 20, 4), eip);
	IS(mem(t, P_ESP0 - 12, 4) & ARITH, ARITH);
	IS(mem(t, P_ESP0 - 8, 4), esp);
}

/* An instruction with a segment and EBX. want: GO_STOP or a vector. */
static void
x(struct t *t, const char *insn, struct code c, enum vm_segreg s,
    uint32_t access, uint32_t limit, uint32_t off, int want)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS",
		"GS" };

	check(t, "SDM 3 5.3: %s, %s access %#x limit %#x, EBX %#x", insn,
	    names[s], access, limit, off);
	ring3(t, c);
	load(t, s, 0xa3, D_BASE, limit, access);
	if (s == VM_SEG_SS)
		set(t, VM_REG_RSP, off);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RBX, off);
	set(t, VM_REG_RSI, off);
	set(t, VM_REG_RBP, off);
	memset(gvm_ptr(t->g, D_BASE + (off & 0xfffff) - 64), 0, 256);
	if (want == GO_STOP) {
		GO(want);
		IS(get(t, VM_REG_RFLAGS) & ARITH, ARITH);
		return;
	}
	fault(t, want, T_CODE, s == VM_SEG_SS ? off : 0xb000);
	IS(get(t, VM_REG_RBX), off);
}

/* An operand of `size` bytes: both sides of every edge. */
static void
edges(struct t *t, const char *insn, struct code c, enum vm_segreg s,
    uint32_t size, bool write)
{
	int f = s == VM_SEG_SS ? V_SS : V_GP, w = write ? f : GO_STOP;

	x(t, insn, c, s, RW, 0xfff, 0x1000 - size, GO_STOP);
	x(t, insn, c, s, RW, 0xfff, 0x1001 - size, f);
	x(t, insn, c, s, RW, 0xfff, 0x1000, f);
	x(t, insn, c, s, RW, 0xfff, 0 - size, f);
	x(t, insn, c, s, RW, 0xffff, 0x10000 - size, GO_STOP);
	x(t, insn, c, s, RW, 0xffff, 0x10001 - size, f);
	x(t, insn, c, s, RW, 0, 1, f);
	x(t, insn, c, s, FLAT, 0xffffffff, 0x12345, GO_STOP);
	x(t, insn, c, s, FLAT, 0xfffff, 0x100000 - size, GO_STOP);
	x(t, insn, c, s, FLAT, 0xfffff, 0x100001 - size, f);
	x(t, insn, c, s, DOWN, 0xfff, 0x1000, GO_STOP);
	x(t, insn, c, s, DOWN, 0xfff, 0xfff, f);
	x(t, insn, c, s, DOWN, 0xfff, 0, f);
	x(t, insn, c, s, DOWN, 0xfff, 0x80000, GO_STOP);
	if (s == VM_SEG_SS) /* its B bit would be that of SP, too */
		return;
	x(t, insn, c, s, NULL_SEG, 0xffffffff, 0x1000, f);
	x(t, insn, c, s, DOWN16, 0xfff, 0x1000, GO_STOP);
	x(t, insn, c, s, DOWN16, 0xfff, 0xfff, f);
	x(t, insn, c, s, DOWN16, 0xfff, 0x10000 - size, GO_STOP);
	x(t, insn, c, s, DOWN16, 0xfff, 0x10001 - size, f);
	x(t, insn, c, s, RO, 0xfff, 0x1000 - size, w);
	x(t, insn, c, s, RO, 0xfff, 0x1001 - size, f);
	x(t, insn, c, s, RO | 0x8000, 0xffffffff, 0x1000, w);
	x(t, insn, c, s, DOWN_RO, 0xfff, 0x1000, w);
	x(t, insn, c, s, XR, 0xfff, 0x1000 - size, w);
	x(t, insn, c, s, XR, 0xfff, 0x1001 - size, f);
	x(t, insn, c, s, XR | 0x8000, 0xffffffff, 0x1000, w);
}
#define R(insn, seg, size) edges(t, insn, CODE32(insn "\n"), seg, size, false)
#define W(insn, seg, size) edges(t, insn, CODE32(insn "\n"), seg, size, true)

static void
data(struct t *t)
{
	R("mov al, [ebx]", VM_SEG_DS, 1);
	W("mov es:[ebx], al", VM_SEG_ES, 1);
	R("mov ax, fs:[ebx]", VM_SEG_FS, 2);
	W("mov gs:[ebx], eax", VM_SEG_GS, 4);
	W("xchg [ebx], eax", VM_SEG_DS, 4);
	R("movups xmm0, [ebx]", VM_SEG_DS, 16);
	W("movlps [ebx], xmm0", VM_SEG_DS, 8);
	R("fld tbyte ptr [ebx]", VM_SEG_DS, 10);
	W("fnstenv [ebx]", VM_SEG_DS, 28);
	W("fnsave [ebx]", VM_SEG_DS, 108);
	W("sgdt [ebx]", VM_SEG_DS, 6);
	W("str [ebx]", VM_SEG_DS, 2);
	W("mov [ebx], ds", VM_SEG_DS, 2);
	R("les ecx, fs:[ebx]", VM_SEG_FS, 6);
	R("bound eax, [ebx]", VM_SEG_DS, 8);
	R("push dword ptr [ebx]", VM_SEG_DS, 4);
	W("pop dword ptr [ebx]", VM_SEG_DS, 4);
	R("verr [ebx]\nor esp, esp\nstc\npushd 0x3ad7\npopfd", VM_SEG_DS, 2);
	R("clflush [ebx]", VM_SEG_DS, 1);
	R("lodsd", VM_SEG_DS, 4);
}

static void
strings(struct t *t)
{
	static const uint32_t acc[] = { RW, DOWN };

	for (unsigned down = 0; down < 2; down++) {
		check(t, "SDM 3 5.3: REP STOSD to the limit%s",
		    down ? ", expanding down" : "");
		ring3(t, CODE32("rep stosd\n"));
		load(t, VM_SEG_ES, 0xa3, D_BASE, down ? 0x7f : 0x83,
		    acc[down]);
		memset(gvm_ptr(t->g, D_BASE), 0, 0x100);
		set(t, VM_REG_RAX, 0x11111111);
		set(t, VM_REG_RCX, 8);
		set(t, VM_REG_RDI, down ? 0x88 : 0x7c);
		if (down)
			set(t, VM_REG_RFLAGS, 0x3402 | ARITH);
		fault(t, V_GP, T_CODE, 0xb000);
		IS(get(t, VM_REG_RCX), down ? 5 : 6);
		IS(get(t, VM_REG_RDI), down ? 0x7c : 0x84);
		IS(mem(t, D_BASE + 0x7c, 4), down ? 0 : 0x11111111);
		IS(mem(t, D_BASE + 0x80, 4), 0x11111111);
		IS(mem(t, D_BASE + 0x84, 4), down ? 0x11111111 : 0);
	}
	check(t, "SDM 3 5.3: REP MOVSB, the source ends first");
	ring3(t, CODE32("rep fs movsb\n"));
	load(t, VM_SEG_FS, 0xa3, D_BASE, 0x1004, RO);
	load(t, VM_SEG_ES, 0xa3, D_BASE, 0xffff, RW);
	set(t, VM_REG_RCX, 0x100);
	set(t, VM_REG_RSI, 0xffe);
	set(t, VM_REG_RDI, 0x2000);
	fault(t, V_GP, T_CODE, 0xb000);
	IS(get(t, VM_REG_RCX), 0xf9);
	IS(get(t, VM_REG_RSI), 0x1005);
	check(t, "SDM 3 5.4: MOVS to a segment that is read-only");
	ring3(t, CODE32("rep movsb\n"));
	load(t, VM_SEG_ES, 0xa3, D_BASE, 0xffff, RO);
	set(t, VM_REG_RCX, 0x100);
	set(t, VM_REG_RSI, 0x9000);
	set(t, VM_REG_RDI, 0x2000);
	fault(t, V_GP, T_CODE, 0xb000);
	IS(get(t, VM_REG_RCX), 0x100);
	check(t, "SDM 2 REP: no check if there is nothing to do");
	ring3(t, CODE32("rep movsb\nrep stosd\n"));
	load(t, VM_SEG_ES, 0, 0, 0, NULL_SEG);
	set(t, VM_REG_RCX, 0);
	GO(GO_STOP);
}

/* Elements that the mask does not select need not be there. */
static void
masked(struct t *t, const char *what, struct code c, bool avx, uint32_t off,
    int want)
{
	check(t, "SDM 2 %s, EDI %#x, limit fff", what, off);
	ring3(t, c);
	if (avx) {
		set(t, VM_REG_CR4, 0x40600);
		set(t, VM_REG_XCR0, 7);
	}
	load(t, VM_SEG_DS, 0xa3, D_BASE, 0xfff, RW);
	set(t, VM_REG_RDI, off);
	set(t, VM_REG_RAX, 0x80);
	if (want == GO_STOP)
		GO(want);
	else {
		GO(want);
		IS(mem(t, P_ESP0 - 24, 4), 0);
		IS(mem(t, P_ESP0 - 8, 4), 0xb000);
	}
}
#define M(insn, ...) masked(t, insn, CODE32(insn "\n"), __VA_ARGS__)

static void
masks(struct t *t)
{
	bool all = !intel(t); /* AMD's processors touch all of it */

	M("pxor xmm1, xmm1\nmaskmovdqu xmm0, xmm1", false, 0x2000,
	    all ? V_GP : GO_STOP);
	M("movd xmm1, eax\nmaskmovdqu xmm0, xmm1", false, 0xfff,
	    all ? V_GP : GO_STOP);
	M("movd xmm1, eax\nmaskmovdqu xmm0, xmm1", false, 0x1000, V_GP);
	M("movd xmm1, eax\nmaskmovdqu xmm0, xmm1", false, 0xff0, GO_STOP);
	if (!has(t, 1, 2, 28))
		return;
	M("vpxor xmm1, xmm1, xmm1\nvmaskmovps xmm0, xmm1, [edi]", true, 0x2000,
	    GO_STOP);
	M("mov eax, -1\nvmovd xmm1, eax\nvmaskmovps [edi], xmm1, xmm0", true,
	    0xffc, GO_STOP);
	M("mov eax, -1\nvmovd xmm1, eax\nvmaskmovps [edi], xmm1, xmm0", true,
	    0xffd, V_GP);
	M("mov eax, -1\nvmovd xmm1, eax\nvpslldq xmm1, xmm1, 4\n"
	  "vmaskmovps xmm0, xmm1, [edi]", true, 0xff8, GO_STOP);
	M("mov eax, -1\nvmovd xmm1, eax\nvpslldq xmm1, xmm1, 4\n"
	  "vmaskmovps xmm0, xmm1, [edi]", true, 0xffc, V_GP);
}

static void
stack(struct t *t)
{
	R("pop eax", VM_SEG_SS, 4);
	R("mov eax, [esp]", VM_SEG_SS, 4);
	R("mov al, [ebp]", VM_SEG_SS, 1);
}

/* ESP, limit 0xfff: each of these needs `n` bytes below it. */
static void
push_edge(struct t *t, const char *insn, struct code c, uint32_t n)
{
	check(t, "SDM 3 5.3 (#SS): %s with room for it", insn);
	ring3(t, c);
	load(t, VM_SEG_SS, 0xa3, D_BASE, 0x1fff, DOWN & ~4u);
	load(t, VM_SEG_SS, 0xa3, D_BASE, 0xfff, DOWN);
	set(t, VM_REG_RSP, 0x1000 + n);
	set(t, VM_REG_RBP, 0x2000);
	GO(GO_STOP);
	check(t, "SDM 3 5.3 (#SS): %s without room for it", insn);
	ring3(t, c);
	load(t, VM_SEG_SS, 0xa3, D_BASE, 0xfff, DOWN);
	set(t, VM_REG_RSP, 0x1000 + n - 1);
	set(t, VM_REG_RBP, 0x2000);
	fault(t, V_SS, T_CODE, 0x1000 + n - 1);
}
#define PUSH(insn, n) push_edge(t, insn, CODE32(insn "\n"), n)

static void
pushes(struct t *t)
{
	PUSH("push eax", 4);
	PUSH("push 5", 4);
	PUSH("pushw 5", 2);
	PUSH("push ds", 4);
	PUSH("pushfd", 4);
	PUSH("pushad", 32);
	PUSH("call .+5", 4);
	PUSH("call far ptr 0x93:0x80007", 8);
	PUSH("enter 16, 0", 20);
	PUSH("enter 16, 2", 28);
	PUSH("push dword ptr [0x9000]", 4);
	check(t, "SDM 2 PUSHA: a 16-bit stack of which SP is 1");
	prot16(t, CODE16("push ax\n"));
	set(t, VM_REG_RSP, HI | 1);
	IS(go(t), GO_EXIT(VM_EXITCODE_SUSPENDED)); /* no stack to fault on */
}

/* ---- code ---- */

/* CS of ring 3 from D_BASE, limit 0xfff, code at its end. */
static void
code_end(struct t *t, struct code c, uint32_t at, uint32_t access)
{
	ring3(t, CODE32("nop\n"));
	memset(gvm_ptr(t->g, D_BASE), 0x90, 0x2000);
	put(t, D_BASE + at, c);
	put(t, D_BASE + 0x10, CODE32(STOP));
	put(t, D_BASE + 0x20, CODE32("mov al, 7\n" STOP));
	load(t, VM_SEG_CS, 0xa3, D_BASE, 0xfff, access);
	set(t, VM_REG_RIP, at);
}

#define NEAR(insn, ...)                                                        \
	do {                                                                   \
		check(t, "SDM 2 (#GP): %s, target behind CS's limit", insn);   \
		code_end(t, CODE32("nop\n" insn "\n" STOP), 0x800, XR);        \
		set(t, VM_REG_RAX, 0x1000);                                    \
		set(t, VM_REG_RBX, D_BASE + 0x1800);                           \
		set(t, VM_REG_RCX, 2);                                         \
		set_mem(t, D_BASE + 0x1800, 4, 0x1000);                        \
		set_mem(t, 0xb000, 8, 0xa300001000);                           \
		fault(t, V_GP, 0x801, 0xb000);                                 \
		IS(get(t, VM_REG_RCX), 2);                                     \
	} while (0)

static void
code(struct t *t)
{
	for (uint32_t at = 0xff8; at <= 0x1000; at++) {
		/* MOV is of 5 bytes. */
		check(t, "SDM 3 5.3: an instruction at %#x, CS's limit fff",
		    at);
		code_end(t, CODE32("mov eax, 0x12345678\n"), at, XR);
		fault(t, V_GP, at <= 0xffb ? 0x1000 : at, 0xb000);
	}
	check(t, "SDM 3 5.3: a jump that ends at CS's limit");
	code_end(t, CODE32("jmp .-0xfee\n"), 0xffe - 3, XR);
	GO(GO_STOP);
	NEAR("jmp .+0x7ff");
	NEAR("call .+0x7ff");
	NEAR("jz .+0x7ff");
	NEAR("jmp eax");
	NEAR("call eax");
	NEAR("jmp [ebx]");
	NEAR("call [ebx]");
	NEAR("ret");
	NEAR("ret 4");
	NEAR("retf");
	NEAR("jmp far ptr 0xa3:0x1000");
	NEAR("call far ptr 0xa3:0x1000");
	check(t, "SDM 2 LOOP (#GP): ECX as it was");
	code_end(t, CODE32("loop .+0x10\n"), 0xff8, XR);
	set(t, VM_REG_RCX, 5);
	fault(t, V_GP, 0xff8, 0xb000);
	IS(get(t, VM_REG_RCX), 5);
	code_end(t, CODE32("loopz .+0x10\n"), 0xff8, XR);
	set(t, VM_REG_RCX, 5);
	fault(t, V_GP, 0xff8, 0xb000);
	IS(get(t, VM_REG_RCX), 5);
	check(t, "SDM 2 LOOP, JECXZ, Jcc: not taken, no fault");
	code_end(t, CODE32("loop .+0x50\njz 1f\n1:jecxz .+0x50\n"
			   "jnz .+0x40\njmp .-0xfc9\n"), 0xfd0, XR);
	set(t, VM_REG_RCX, 1);
	set(t, VM_REG_RAX, 0);
	fault(t, V_GP, 0xfd4, 0xb000); /* JECXZ */
	IS(get(t, VM_REG_RCX), 0);
	check(t, "SDM 3 5.3: limit 0xffe, then 0xfff, the same code");
	code_end(t, CODE32("nop\nint3\n"), 0xffe, XR);
	load(t, VM_SEG_CS, 0xa3, D_BASE, 0xffe, XR);
	fault(t, V_GP, 0xfff, 0xb000);
	set(t, VM_REG_RIP, 0xffe);
	load(t, VM_SEG_CS, 0xa3, D_BASE, 0xfff, XR);
	load(t, VM_SEG_SS, 0x9b, 0, 0xffffffff, FLAT);
	GO(V_BP);
	check(t, "SDM 3 5.4: CS read and written");
	code_end(t, CODE32("mov eax, cs:[0xffc]\nmov ecx, 1\n" STOP), 0x800,
	    XR);
	set_mem(t, D_BASE + 0xffc, 4, 0x1234);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	code_end(t, CODE32("mov eax, cs:[0xffd]\n"), 0x800, XR);
	fault(t, V_GP, 0x800, 0xb000);
	code_end(t, CODE32("mov eax, cs:[0xffc]\n"), 0x800, XO);
	fault(t, V_GP, 0x800, 0xb000);
	code_end(t, CODE32("mov cs:[0x10], eax\n"), 0x800, XR);
	fault(t, V_GP, 0x800, 0xb000);
	ring3(t, CODE32("mov eax, cs:[0x9000]\nmov cs:[0x9000], eax\n"));
	fault(t, V_GP, T_CODE + 6, 0xb000);
	ring3(t, CODE32("mov eax, cs:[0x9000]\n"));
	load(t, VM_SEG_CS, 0x93, 0, 0xffffffff, 0xc0f9);
	fault(t, V_GP, T_CODE, 0xb000);
}

/* ---- real and virtual-8086 mode ---- */

#define REAL_SP 0x1000u

/* Code at 8000:8000, stack 7000:1000, DS and ES a000. */
static void
real16(struct t *t, struct code c)
{
	static const uint16_t sels[] = { 0xa000, 0x8000, 0x7000, 0xa000,
		0xc000, 0xd000 };

	prot(t, c);
	put(t, T_CODE + 0x8000, c);
	put(t, T_CODE + 0x8000 + c.len, CODE16(STOP));
	set(t, VM_REG_CR0, 0x30);
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++)
		load(t, (enum vm_segreg)i, sels[i], sels[i] << 4, 0xffff,
		    i == VM_SEG_CS ? 0x9b : 0x93);
	for (unsigned i = 0; i < 256; i++)
		set_mem(t, 4 * i, 4, GVM_STUBS + 16 * i);
	load(t, VM_SEG_IDTR, 0, 0, 0x3ff, 0);
	set(t, VM_REG_RIP, 0x8000);
	set(t, VM_REG_RSP, HI | REAL_SP);
	set(t, VM_REG_RFLAGS, 2 | ARITH);
}

/* 6 bytes on the stack, no error code. */
static void
real_fault(struct t *t, int vector, uint16_t ip, uint16_t sp)
{
	GO(vector);
	IS(get(t, VM_REG_RSP), HI | (uint16_t)(sp - 6));
	IS(mem(t, P_SS + (uint16_t)(sp - 6), 2), ip);
	IS(mem(t, P_SS + (uint16_t)(sp - 4), 2), 0x8000);
	IS(mem(t, P_SS + (uint16_t)(sp - 2), 2) & ARITH, ARITH);
}

static void
r(struct t *t, const char *insn, struct code c, uint32_t ebx, uint16_t sp,
    int want)
{
	check(t, "SDM 3 20.1.1, 20.1.4: real mode, %s, EBX %#x, SP %#x", insn,
	    ebx, sp);
	real16(t, c);
	memset(gvm_ptr(t->g, T_DATA + 0xff00), 0, 0x200);
	set(t, VM_REG_RBX, ebx);
	set(t, VM_REG_RBP, ebx);
	set(t, VM_REG_RSI, ebx);
	set(t, VM_REG_RDI, ebx);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RSP, HI | sp);
	if (want == GO_STOP) {
		GO(want);
		IS(get(t, VM_REG_RFLAGS) & ARITH, ARITH);
	} else
		real_fault(t, want, 0x8000, sp);
}
#define E(insn, size, vector)                                                  \
	do {                                                                   \
		r(t, insn, CODE16(insn "\n"), HI | (0x10000 - (size)),         \
		    REAL_SP, GO_STOP);                                         \
		if ((size) > 1)                                                \
			r(t, insn, CODE16(insn "\n"), HI | (0x10001 - (size)), \
			    REAL_SP, vector);                                  \
	} while (0)
#define E32(insn, size, vector)                                                \
	do {                                                                   \
		r(t, insn, CODE16(insn "\n"), 0x10000 - (size), REAL_SP,       \
		    GO_STOP);                                                  \
		r(t, insn, CODE16(insn "\n"), 0x10001 - (size), REAL_SP,       \
		    vector);                                                   \
		r(t, insn, CODE16(insn "\n"), 0xfffffff0, REAL_SP, vector);    \
	} while (0)

static void
real_data(struct t *t)
{
	E("mov al, [bx]", 1, V_GP);
	E("mov [bx], ax", 2, V_GP);
	E("mov eax, [si]", 4, V_GP);
	E("mov eax, fs:[di]", 4, V_GP);
	E("mov ax, [bp]", 2, V_SS);
	E("movups xmm0, [bx]", 16, V_GP);
	E("fnstenv [bx]", 14, V_GP);
	E("sgdt [bx]", 6, V_GP);
	E("les cx, [bx]", 4, V_GP);
	E("bound ax, [bx]", 4, V_GP);
	E("push word ptr [bx]", 2, V_GP);
	E("pop word ptr [bx]", 2, V_GP);
	E("lodsw", 2, V_GP);
	E("stosd", 4, V_GP);
	E("mov cs:[bx], al", 1, V_GP);
	E("mov ax, cs:[bx]", 2, V_GP);
	E("xchg [bx], ax", 2, V_GP);
	E32("mov al, [ebx]", 1, V_GP);
	E32("mov [ebx], eax", 4, V_GP);
	E32("mov ax, [ebp]", 2, V_SS);
	r(t, "pop ax", CODE16("pop ax\n"), 0, 0xfffe, GO_STOP);
	r(t, "pop ax", CODE16("pop ax\n"), 0, 0xffff, V_SS);
	r(t, "pop eax", CODE16("pop eax\n"), 0, 0xfffd, V_SS);
	r(t, "ret", CODE16("ret\n"), 0, 0xffff, V_SS);
	r(t, "popf", CODE16("popf\n"), 0, 0xffff, V_SS);
	r(t, "popad", CODE16("popad\n"), 0, 0xffe1, V_SS);
	r(t, "lea", CODE16("lea ax, [bx + 4]\nlea ecx, [ebx + 4]\n"), 0xfffe,
	    REAL_SP, GO_STOP);
	check(t, "SDM 3 5.3: REP MOVSW to the end of 64 KiB, real mode");
	real16(t, CODE16("rep movsw\n"));
	set(t, VM_REG_RCX, HI | 5);
	set(t, VM_REG_RSI, HI | 0xfffb);
	set(t, VM_REG_RDI, HI | 0x1000);
	real_fault(t, V_GP, 0x8000, REAL_SP);
	IS(get(t, VM_REG_RCX), HI | 3);
	IS(get(t, VM_REG_RSI), HI | 0xffff);
	check(t, "SDM 3 9.9.2: limits of protected mode stay (unreal mode)");
	real16(t, CODE16("mov ax, 0xa000\nmov ds, ax\n"
			 "mov dword ptr [ebx], 0x12345678\n"
			 "mov ax, [0xffff]\n"));
	load(t, VM_SEG_DS, 0, 0, 0xffffffff, 0xc093);
	set(t, VM_REG_RBX, 0x110000);
	set_mem(t, T_DATA + 0xffff, 2, 0x4242);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x110000, 4), 0x12345678);
	IS(get(t, VM_REG_RAX), HI | 0x4242);
	check(t, "SDM 3 9.9.2: a limit below 64 KiB stays, too");
	real16(t, CODE16("mov al, [0x10]\n"));
	load(t, VM_SEG_DS, 0, 0, 0xf, 0x93);
	real_fault(t, V_GP, 0x8000, REAL_SP);
	check(t, "SDM 3 20.2.2: limits in virtual-8086 mode");
	prot(t, CODE32("iretd\n"));
	{
		const uint32_t f[9] = { 0x10, 0x8000, FL_VM | 0x3002, 0x1000,
			0x7000, 0xb000, 0xa000, 0xc000, 0xd000 };

		put(t, T_CODE + 0x10, CODE16("mov al, [0xffff]\n"
					     "mov ax, [0xffff]\n"));
		gvm_write(t->g, 0xb000, f, sizeof(f));
		set(t, VM_REG_RSP, 0xb000);
	}
	GO(V_GP);
	IS(mem(t, P_ESP0 - 40, 4), 0);
	IS(mem(t, P_ESP0 - 36, 4), 0x13);
}

/* As many bytes as the components take that are asked for. */
static void
xsave(struct t *t)
{
	static const struct {
		const char *name;
		uint32_t rfbm, len;
	} c[] = { { "x87, SSE", 3, 576 }, { "AVX as well", 7, 832 },
		{ "x87 only", 1, 576 } };

	for (unsigned i = 0; i < 3; i++)
		for (uint32_t over = 0; over < 2; over++) {
			uint32_t limit = 0x40 + c[i].len - 1 - over;

			check(t, "SDM 1 13.7, 3 5.3: XSAVE of %s, limit %#x",
			    c[i].name, limit);
			prot(t, CODE32("mov ecx, 0\nmov edx, 0\nmov eax, 7\n"
				       "xsetbv\nmov eax, ebx\n"
				       "xsave [0x40]\n" STOP));
			set(t, VM_REG_CR4, 0x40600);
			set(t, VM_REG_RBX, c[i].rfbm);
			load(t, VM_SEG_DS, 0xa3, T_DATA, limit, 0x93);
			GO(over ? V_GP : GO_STOP);
			check(t, "SDM 1 13.8, 3 5.3: XRSTOR of %s, limit %#x",
			    c[i].name, limit);
			prot(t, CODE32("mov eax, ebx\nxor edx, edx\n"
				       "xrstor fs:[0x40]\n" STOP));
			set(t, VM_REG_CR4, 0x40600);
			set(t, VM_REG_RBX, c[i].rfbm);
			memset(gvm_ptr(t->g, T_DATA + 0x40), 0, 832);
			set_mem(t, T_DATA + 0x40 + 24, 4, 0x1f80);
			set_mem(t, T_DATA + 0x40 + 512, 8, 7);
			load(t, VM_SEG_FS, 0xa3, T_DATA, limit, 0x93);
			GO(over ? V_GP : GO_STOP);
		}
}

static void
at(struct t *t, struct code c, uint16_t ip)
{
	real16(t, CODE16("nop\n"));
	memset(gvm_ptr(t->g, T_CODE), 0x90, 0x10000);
	put(t, T_CODE, CODE16("nop\nnop\n" STOP));
	put(t, T_CODE + ip, c);
	set(t, VM_REG_RIP, ip);
}

static void
real_code(struct t *t)
{
	check(t, "SDM 3 5.3: real mode, an instruction across 64 KiB");
	at(t, CODE16("mov ax, 0x1234\n"), 0xfffe);
	real_fault(t, V_GP, 0xfffe, REAL_SP);
	at(t, CODE16("mov ax, 0x1234\n"), 0xfffd);
	real_fault(t, V_GP, 0, REAL_SP); /* 0x10000 */
	IS(get(t, VM_REG_RAX), HI | 0x1234);
	check(t, "SDM 2 JMP: IP of a 16-bit jump wraps");
	at(t, CODE16("jmp .+0x10\n"), 0xfff0);
	GO(GO_STOP);
	at(t, CODE16("jz .+0x200\n"), 0xfe00);
	GO(GO_STOP);
	at(t, CODE16("call .+0x200\n"), 0xfe00);
	GO(GO_STOP);
	check(t, "SDM 2 JMP (#GP): a 32-bit jump does not");
	at(t, CODE16(".byte 0x66, 0xe9\n.long 0x1fa\n"), 0xfe00);
	real_fault(t, V_GP, 0xfe00, REAL_SP);
	at(t, CODE16("jmp eax\n"), 0xfe00);
	real_fault(t, V_GP, 0xfe00, REAL_SP);
	at(t, CODE16("call eax\n"), 0xfe00);
	real_fault(t, V_GP, 0xfe00, REAL_SP);
	at(t, CODE16(".byte 0x66, 0x0f, 0x84\n.long 0x1f9\n"), 0xfe00);
	real_fault(t, V_GP, 0xfe00, REAL_SP);
	at(t, CODE16(".byte 0x66, 0xea\n.long 0x10000\n.word 0x8000\n"),
	    0xfe00);
	real_fault(t, V_GP, 0xfe00, REAL_SP);
	at(t, CODE16("pushd 0x10000\n.byte 0x66, 0xc3\n"), 0xfe00);
	real_fault(t, V_GP, 0xfe06, REAL_SP - 4);
}

const struct group_fn group[] = { { "data", data }, { "strings", strings },
	{ "masks", masks }, { "stack", stack }, { "pushes", pushes },
	{ "code", code },
	{ "real_data", real_data }, { "real_code", real_code },
	{ "xsave", xsave },
	{ NULL, NULL } };
