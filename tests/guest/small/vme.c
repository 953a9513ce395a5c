/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual interrupts: CR4.VME in virtual-8086 mode, CR4.PVI in ring 3 of
 * protected mode. SDM volume 3, 20.3.2 to 20.4.
 */
#include "prot.h"

#include <string.h>

#define FL_VIF 0x80000u
#define FL_VIP 0x100000u
#define FL_NT 0x4000u
#define VME 1u
#define PVI 2u
#define V_ESP 0x1000u
#define MAP 0x300u /* of the I/O bitmap in P_TSS: redirection is below */

/* 8000:0 in virtual-8086 mode with these flags; INT n is redirected unless
 * the test says otherwise. */
static void
v86(struct t *t, struct code c, uint32_t fl)
{
	const uint32_t f[9] = { 0, 0x8000, FL_VM | 2 | fl, V_ESP, 0x7000,
		0xb000, 0xa000, 0xc000, 0xd000 };

	prot(t, CODE32("iretd\n"));
	put(t, T_CODE, c);
	put(t, T_CODE + c.len, CODE16(STOP));
	put(t, T_HAND, CODE32("iretd\n"));
	set(t, VM_REG_RIP, T_HAND);
	gvm_write(t->g, 0xb000, f, sizeof(f));
	set(t, VM_REG_RSP, 0xb000);
	set(t, VM_REG_CR4, 0x600 | VME);
	set_mem(t, P_TSS + 102, 2, MAP);
	memset(gvm_ptr(t->g, P_TSS + MAP - 32), 0, 32 + 33);
	for (unsigned i = 0; i < 256; i++)
		set_mem(t, 4 * i, 4, 0x90000000 | 16 * i);
	put(t, T_HAND + 16 * 0x60, CODE16("mov bp, sp\n"
					  "mov eax, [bp]\nmov cx, [bp + 4]\n"
					  STOP));
}

/* #GP(0) in the monitor, at IP. */
static void
gp(struct t *t, uint32_t ip)
{
	GO(V_GP);
	IS(mem(t, P_ESP0 - 40, 4), 0);
	IS(mem(t, P_ESP0 - 36, 4), ip);
	IS(get(t, VM_REG_RFLAGS) & FL_VM, 0);
}

static void
flags(struct t *t)
{
	for (uint32_t iopl = 0; iopl < 3; iopl++) {
		uint32_t fl = iopl << 12;

		check(t, "SDM 3 20.3.2: CLI, STI change VIF, IOPL %u", iopl);
		v86(t, CODE16("sti\n"), fl);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIF | fl | 2);
		v86(t, CODE16("cli\n"), fl | FL_VIF | FL_IF);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_IF | fl | 2);
		v86(t, CODE16("cli\n"), fl | FL_VIP);
		GO(GO_STOP);
		check(t, "SDM 2 STI (#GP): with VIP, IOPL %u", iopl);
		v86(t, CODE16("nop\nsti\n"), fl | FL_VIP);
		gp(t, 1);
		check(t, "SDM 2 PUSHF: VIF as IF, IOPL 3, IOPL %u", iopl);
		v86(t, CODE16("pushf\npop ax\n"), fl | FL_VIF);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), HI | 0x3202);
		v86(t, CODE16("pushf\npop ax\n"), fl | FL_IF | 1);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), HI | 0x3003);
		check(t, "SDM 2 POPF: IF goes to VIF, IOPL %u", iopl);
		v86(t, CODE16("push 0x4ed7\npopf\n"), fl);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIF | fl | 0x4cd7);
		v86(t, CODE16("push 0x3002\npopf\n"), fl | FL_VIF | FL_IF);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_IF | fl | 2);
		v86(t, CODE16("push 2\npopf\n"), fl | FL_VIP);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIP | fl | 2);
		check(t, "SDM 2 POPF (#GP): IF with VIP; TF; IOPL %u", iopl);
		v86(t, CODE16("push 0x202\npopf\n"), fl | FL_VIP);
		gp(t, 3);
		IS(mem(t, P_ESP0 - 24, 4), V_ESP - 2);
		v86(t, CODE16("push 0x102\npopf\n"), fl);
		gp(t, 3);
		check(t, "SDM 2 IRET: IF goes to VIF, IOPL %u", iopl);
		v86(t, CODE16("push 0x4297\npush 0x9000\npush 0x600\niret\n"),
		    fl);
		GO(GO_STOP);
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIF | fl | 0x4097);
		check(t, "SDM 2 IRET (#GP): IF with VIP; TF; IOPL %u", iopl);
		v86(t, CODE16("push 0x202\npush 0x9000\npush 0x600\niret\n"),
		    fl | FL_VIP);
		gp(t, 9);
		v86(t, CODE16("push 0x102\npush 0x9000\npush 0x600\niret\n"),
		    fl);
		gp(t, 9);
		check(t, "SDM 3 20.3.2 (#GP): 32-bit forms, IOPL %u", iopl);
		v86(t, CODE16("nop\npushfd\n"), fl);
		gp(t, 1);
		v86(t, CODE16("nop\npopfd\n"), fl);
		gp(t, 1);
		v86(t, CODE16("nop\n.byte 0x66, 0xcf\n"), fl);
		gp(t, 1);
	}
	check(t, "SDM 3 20.3.2: with IOPL 3 it is IF");
	v86(t, CODE16("sti\npushf\npop ax\n"), 0x3000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), HI | 0x3202);
	IS(get(t, VM_REG_RFLAGS), FL_VM | 0x3202);
	v86(t, CODE16("push 0x3002\npopf\n"), 0x3000 | FL_VIF | FL_IF);
	GO(GO_STOP);
	IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIF | 0x3002);
	check(t, "SDM 3 20.3.2 (#GP): VIF and VIP on entry");
	v86(t, CODE16("nop\n"), FL_VIF | FL_VIP);
	gp(t, 0);
	check(t, "SDM 3 2.5 (#GP): without VME all is as before");
	v86(t, CODE16("nop\nsti\n"), 0);
	set(t, VM_REG_CR4, 0x600);
	gp(t, 1);
	v86(t, CODE16("nop\npushf\n"), 0);
	set(t, VM_REG_CR4, 0x600 | PVI);
	gp(t, 1);
}

static void
redirect(struct t *t)
{
	for (uint32_t iopl = 0; iopl < 4; iopl++) {
		uint32_t fl = iopl << 12;

		check(t, "SDM 3 table 20-2, methods 5, 6: IOPL %u", iopl);
		v86(t, CODE16("nop\nint 0x60\n"), fl | FL_IF | FL_NT | 1);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 0x80000003);
		IS(get(t, VM_REG_RSP), V_ESP - 6);
		IS(get(t, VM_REG_RCX),
		    HI | (iopl == 3 ? 0x7203 : 0x7003)); /* VIF is 0 */
		IS(get(t, VM_REG_RFLAGS), FL_VM | FL_NT | fl | 3 |
			(iopl == 3 ? 0 : FL_IF));
		v86(t, CODE16("int 0x60\n"), fl | FL_VIF);
		GO(GO_STOP);
		IS(get(t, VM_REG_RCX), HI | (iopl == 3 ? 0x3002 : 0x3202));
		IS(get(t, VM_REG_RFLAGS),
		    FL_VM | fl | 2 | (iopl == 3 ? FL_VIF : 0));
		check(t, "SDM 3 table 20-2, methods 3, 4: IOPL %u", iopl);
		v86(t, CODE16("nop\nint 0x60\n"), fl);
		set_mem(t, P_TSS + MAP - 32 + 0x60 / 8, 1, 1);
		if (iopl < 3)
			gp(t, 1);
		else {
			GO(0x60);
			IS(mem(t, P_ESP0 - 36, 4), 3);
		}
		set_mem(t, P_TSS + MAP - 32 + 0x60 / 8, 1, 0xfe);
		v86(t, CODE16("nop\nint 0x60\n"), fl);
		GO(GO_STOP);
	}
	check(t, "SDM 3 20.3.3: INT3, INTO and hardware are not redirected");
	v86(t, CODE16("int3\n"), 0);
	GO(V_BP);
	v86(t, CODE16("1:jmp 1b\n"), FL_IF);
	(void)vcpu_set_apic(t->g->cpu, 0xf0, 0x1ff);
	IS(vm_msi(t->g->vm, 0xfee00000, 0x61), 0);
	GO(0x61);
	(void)vcpu_set_apic(t->g->cpu, 0xb0, 0);
	check(t, "SDM 3 20.3.3: the handler's IRET comes back");
	v86(t, CODE16("sti\nint 0x70\nnop\n"), 0);
	put(t, T_HAND + 16 * 0x70, CODE16("pushf\npop bx\niret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), HI | 0x3002);
	IS(get(t, VM_REG_RFLAGS), FL_VM | FL_VIF | 2);
	IS(get(t, VM_REG_RSP), V_ESP);
	check(t, "SDM 3 20.3.3 (#GP): no bitmap");
	v86(t, CODE16("nop\nint 0x60\n"), 0);
	load(t, VM_SEG_TR, S_TSS, P_TSS, 0x2ff - 32, 0x8b);
	gp(t, 1);
	v86(t, CODE16("nop\nint 0x60\n"), 0);
	set_mem(t, P_TSS + 102, 2, 31);
	gp(t, 1);
}

/* ---- PVI ---- */

static void
pvi(struct t *t, struct code c, uint32_t fl)
{
	prot(t, c);
	put(t, T_CODE + c.len, CODE32("int 0x80\n"));
	load(t, VM_SEG_CS, 0x93, 0, 0xffffffff, 0xc0fb);
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++)
		if (i != VM_SEG_CS)
			load(t, (enum vm_segreg)i, 0x9b, 0, 0xffffffff,
			    0xc0f3);
	set(t, VM_REG_RSP, 0xb000);
	set(t, VM_REG_RFLAGS, 2 | fl);
	set(t, VM_REG_CR4, 0x600 | PVI);
}

static void
pvi_gp(struct t *t, uint32_t eip)
{
	GO(V_GP);
	IS(mem(t, P_ESP0 - 24, 4), 0);
	IS(mem(t, P_ESP0 - 20, 4), eip);
}

static void
protected(struct t *t)
{
	for (uint32_t iopl = 0; iopl < 3; iopl++) {
		uint32_t fl = iopl << 12;

		check(t, "SDM 3 20.4: CLI, STI change VIF in ring 3, IOPL %u",
		    iopl);
		pvi(t, CODE32("sti\npushfd\npop eax\n"), fl);
		GO(0x80);
		IS(mem(t, P_ESP0 - 12, 4), FL_VIF | fl | 2);
		IS(get(t, VM_REG_RAX), FL_VIF | fl | 2);
		pvi(t, CODE32("cli\n"), fl | FL_VIF | FL_IF);
		GO(0x80);
		IS(mem(t, P_ESP0 - 12, 4), FL_IF | fl | 2);
		check(t, "SDM 2 STI (#GP): with VIP, ring 3, IOPL %u", iopl);
		pvi(t, CODE32("nop\nsti\n"), fl | FL_VIP);
		pvi_gp(t, T_CODE + 1);
		check(t, "SDM 3 20.4: POPF changes neither IF nor VIF");
		pvi(t, CODE32("pushd 2\npopfd\npushw 0x202\npopfw\n"),
		    fl | FL_VIF | FL_IF);
		GO(0x80);
		IS(mem(t, P_ESP0 - 12, 4), FL_VIF | FL_IF | fl | 2);
		check(t, "SDM 2 CLI (#GP): VME does not make it so");
		pvi(t, CODE32("nop\ncli\n"), fl);
		set(t, VM_REG_CR4, 0x600 | VME);
		pvi_gp(t, T_CODE + 1);
	}
	check(t, "SDM 3 20.4: IOPL 3, and ring 0: it is IF");
	pvi(t, CODE32("sti\nnop\n"), 0x3000);
	GO(0x80);
	IS(mem(t, P_ESP0 - 12, 4), 0x3202);
	prot(t, CODE32("sti\nnop\n" STOP));
	set(t, VM_REG_CR4, 0x600 | PVI);
	GO(GO_STOP);
	IS(get(t, VM_REG_RFLAGS), 0x202);
	check(t, "SDM 2 IRET: ring 0 sets VIF and VIP");
	prot(t, CODE32("pushd 0x180002\npushd 0x40\npushd 0x80020\niretd\n"));
	put(t, T_CODE + 0x20, CODE32(STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RFLAGS), FL_VIF | FL_VIP | 2);
	check(t, "SDM 3 2.5: CPUID offers VME, CR4 takes it");
	IS(has(t, 1, 3, 1), 1);
	kernel(t, CODE("mov rax, cr4\nor eax, 3\nmov cr4, rax\n"
		       "mov rbx, cr4\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX) & 3, 3);
}

const struct group_fn group[] = { { "flags", flags },
	{ "redirect", redirect }, { "protected", protected },
	{ NULL, NULL } };
