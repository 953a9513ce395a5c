/* SPDX-License-Identifier: BSD-2-Clause */
/* Alignment checks: SDM volume 3A, 6.15 (#AC). */
#include "small.h"

/* Runs user code with AC and AM, RBX at `off` in its data. */
static void
start(struct t *t, struct code c)
{
	user(t, c);
	set(t, VM_REG_CR0, get(t, VM_REG_CR0) | CR0_AM);
	set(t, VM_REG_RFLAGS, 0x202 | FL_AC);
	set(t, VM_REG_RBX, T_UDATA);
}

static int
at(struct t *t, struct code c, unsigned off)
{
	start(t, c);
	set(t, VM_REG_RBX, T_UDATA + off);
	set(t, VM_REG_RSI, T_UDATA + off);
	set(t, VM_REG_RDI, T_UDATA + 0x1000 + off);
	set(t, VM_REG_RCX, 2);
	set(t, VM_REG_RBP, 0);
	return (go(t));
}

/* Faults unless aligned to `align`; other is what it is then. */
static void
needs(struct t *t, const char *name, struct code c, unsigned align)
{
	for (unsigned off = 0; off <= 64; off = off ? off * 2 : 1) {
		bool bad = off % align != 0;

		check(t, "SDM 3A table 6-7 (#AC): %s at %u", name, off);
		is(t, "vector", (unsigned)at(t, c, off),
		    bad ? V_AC : U_STOPPED);
		if (!bad)
			continue;
		is_frame(t, 0, T_UCODE, GVM_UCODE, 0x10202 | FL_AC, T_USTACK,
		    GVM_UDATA);
	}
}

#define N(insn, align) needs(t, insn, CODE(insn "\n" USTOP), align)

#define GO_AT(code, off, want) IS(at(t, code, off), want)

static void
widths(struct t *t)
{
	N("mov al, [rbx]", 1);
	N("mov ax, [rbx]", 2);
	N("mov [rbx], eax", 4);
	N("add [rbx], rax", 8);
	N("lock cmpxchg8b [rbx]", 8);
	N("push qword ptr [rbx]", 8);
	N("fld dword ptr [rbx]", 4);
	N("fld qword ptr [rbx]", 8);
	N("fld tbyte ptr [rbx]", 8);
	N("fnstcw [rbx]", 2);
	N("fnstenv [rbx]", 4);
	N("fnsave [rbx]", 4);
	N("movss xmm0, [rbx]", 4);
	N("movq xmm0, [rbx]", 8);
	N("movups xmm0, [rbx]", 16);
	N("movdqu [rbx], xmm0", 16);
	N("movsw", 2);
	N("rep movsq", 8);
	N("rep stosd", 4);
	N("rep movsb", 1);
	N("bts [rbx], rcx", 8);
}

static void
others(struct t *t)
{
	check(t, "SDM 2 MOVAPS: #GP, not #AC");
	GO_AT(CODE("movaps xmm0, [rbx]\n"), 1, V_GP);
	check(t, "SDM 2 CMPXCHG16B: #GP, not #AC");
	GO_AT(CODE("cmpxchg16b [rbx]\n"), 8, V_GP);
	check(t, "SDM 2 FXSAVE: #GP where a multiple of 4 is misaligned");
	GO_AT(CODE("fxsave [rbx]\n"), 4, V_GP);
	check(t, "SDM 2 FXSAVE: #AC may come for less");
	GO_AT(CODE("fxsave [rbx]\n"), 1, V_AC);
	check(t, "SDM 2 MASKMOVDQU: #AC unless a multiple of 8");
	GO_AT(CODE("pcmpeqd xmm1, xmm1\nmaskmovdqu xmm0, xmm1\n"), 4, V_AC);
	GO_AT(CODE("pcmpeqd xmm1, xmm1\nmaskmovdqu xmm0, xmm1\n" USTOP), 8,
	    U_STOPPED);
	check(t, "SDM 3A 6.9: #AC before #PF");
	GO_AT(CODE("mov eax, [rbx]\n"), 0x100001, V_AC);
	check(t, "SDM 3A 6.9: #GP of an address before #AC");
	start(t, CODE("mov eax, [rbx]\n"));
	set(t, VM_REG_RBX, 0x8000000000000001);
	GO(V_GP);
	check(t, "SDM 3A 6.15 (#AC): a misaligned stack");
	start(t, CODE("push rax\n"));
	set(t, VM_REG_RSP, T_USTACK - 4);
	GO(V_AC);
	IS(t->f.rsp, T_USTACK - 4);
	check(t, "SDM 3A 6.15 (#AC): POPF turns it on");
	start(t, CODE("push 0x40202\npopfq\nmov eax, [rbx + 1]\n"));
	set(t, VM_REG_RFLAGS, 0x202);
	GO(V_AC);
	IS(t->f.rip, T_UCODE + 6);
	check(t, "SDM 3A 6.15 (#AC): not with AC clear");
	start(t, CODE("mov eax, [rbx + 1]\n" USTOP));
	set(t, VM_REG_RFLAGS, 0x202);
	GO(U_STOPPED);
	check(t, "SDM 3A 6.15 (#AC): not with AM clear");
	start(t, CODE("mov eax, [rbx + 1]\n" USTOP));
	set(t, VM_REG_CR0, get(t, VM_REG_CR0) & ~CR0_AM);
	GO(U_STOPPED);
	check(t, "SDM 3A 6.15 (#AC): not at CPL 0");
	kernel(t, CODE("mov eax, [rbx + 1]\n" STOP));
	set(t, VM_REG_CR0, get(t, VM_REG_CR0) | CR0_AM);
	set(t, VM_REG_RFLAGS, 2 | FL_AC);
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
	if (!has(t, 7, 1, 5))
		return;
	check(t, "SDM 2 VMASKMOV, VGATHERDPS: no #AC");
	set(t, VM_REG_XCR0, 7);
	GO_AT(CODE("vpcmpeqd xmm1, xmm1, xmm1\nvpxor xmm2, xmm2, xmm2\n"
		   "vmaskmovps xmm0, xmm1, [rbx]\n"
		   "vgatherdps xmm0, [rbx + xmm2], xmm1\n" USTOP), 1,
	    U_STOPPED);
	check(t, "SDM 2 VADDPS: #AC");
	GO_AT(CODE("vaddps xmm0, xmm1, [rbx]\n"), 8, V_AC);
	check(t, "SDM 2 VMOVUPS: 32 bytes need 16");
	GO_AT(CODE("vmovups ymm0, [rbx]\n" USTOP), 16, U_STOPPED);
	GO_AT(CODE("vmovups [rbx], ymm0\n" USTOP), 8, V_AC);
}

const struct group_fn group[] = { { "widths", widths }, { "others", others },
	{ NULL, NULL } };
