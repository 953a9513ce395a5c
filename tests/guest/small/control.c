/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfers of control, privilege and the state of a processor. */
#include "small.h"

#define NONCANON 0x8000000000000000ull
#define SEL_KCODE32 0x40
#define SEL_CONF 0x48
#define SEL_LDT 0x50

static unsigned
sel(struct t *t, enum vm_segreg s)
{
	struct vm_seg v;

	(void)vcpu_get_seg(t->g->cpu, s, &v);
	return (v.sel);
}

static void
set_msr(struct t *t, uint32_t msr, uint64_t v)
{
	IS(vcpu_set_msr(t->g->cpu, msr, v), 0);
}

/* STAR for the GDT of gvm.h: SYSCALL 0x08, 0x10; SYSRET 0x1b, 0x23, 0x2b. */
static void
set_star(struct t *t)
{
	set_msr(t, 0xc0000081, 0x001b000800000000ull);
	set_msr(t, 0xc0000082, T_HAND);
	set_msr(t, 0xc0000084, 0x40700);
}

static void
syscall_64(struct t *t)
{
	set_star(t);
	check(t, "SDM 2 SYSCALL: RCX, R11, RFLAGS, CS, SS, RSP");
	put(t, T_HAND, CODE(STOP));
	user(t, CODE("stc\nsyscall\n"));
	GO(GO_STOP);
	IS(t->stop, T_HAND);
	IS(get(t, VM_REG_RCX), T_UCODE + 3);
	IS(get(t, VM_REG_R11), 0x203);
	IS(get(t, VM_REG_RFLAGS), 3);
	IS(get(t, VM_REG_RSP), T_USTACK);
	IS(sel(t, VM_SEG_CS), GVM_KCODE);
	IS(sel(t, VM_SEG_SS), GVM_KDATA);
	check(t, "SDM 2 SYSRET: back to 64-bit code");
	put(t, T_HAND, CODE("mov rdx, r11\nsysretq\n"));
	user(t, CODE("std\nsyscall\n" USTOP));
	GO(U_STOPPED);
	IS(t->f.rip, T_UCODE + 5);
	IS(t->f.rflags, 0x602);
	IS(t->f.cs, GVM_UCODE);
	IS(t->f.ss, GVM_UDATA);
	check(t, "SDM 2 SYSRET: RFLAGS from R11, RF and VM cleared");
	put(t, T_HAND, CODE("mov r11d, 0xffffffff\nbtr r11d, 8\nsysretq\n"));
	user(t, CODE("syscall\n" USTOP));
	GO(U_STOPPED);
	IS(t->f.rflags, 0x3c7ed7);
	if (intel(t)) {
		check(t, "SDM 2 SYSRET: non-canonical RCX is #GP at CPL 0");
		kernel(t, CODE("mov rcx, rbx\nsysretq\n"));
		set(t, VM_REG_RBX, NONCANON);
		GO(V_GP);
		IS(t->f.cs, GVM_KCODE);
		IS(t->f.rip, T_CODE + 3);
	} else {
		check(t, "APM 3 SYSRET: non-canonical RCX is #GP at CPL 3");
		kernel(t, CODE("mov rcx, rbx\nsysretq\n"));
		set(t, VM_REG_RBX, NONCANON);
		GO(V_GP);
		IS(t->f.cs, GVM_UCODE);
		IS(t->f.rip, NONCANON);
	}
	check(t, "SDM 2 SYSCALL: #UD without EFER.SCE");
	user(t, CODE("syscall\n"));
	set(t, VM_REG_EFER, get(t, VM_REG_EFER) & ~1ull);
	GO(V_UD);
	IS(t->f.rip, T_UCODE);
	check(t, "SDM 2 SYSRET: to compatibility mode");
	put(t, upage(t, T_UCODE), CODE("syscall\n.code32\ninc eax\n"
				       "mov ecx, cs\n"
				      "int 0x80\n.code64\n"));
	put(t, T_HAND, CODE("mov eax, -1\nsysretd\n"));
	gvm_start_user(t->g, T_UCODE, T_USTACK);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 0); /* 0x40 would be REX in 64-bit mode */
	IS(get(t, VM_REG_RCX), GVM_UCODE32);
	IS(t->f.cs, GVM_UCODE32);
}

/* SYSCALL as AMD's processors have it in compatibility mode, and what they
 * do not have in long mode. */
static void
amd_long(struct t *t)
{
	set_star(t);
	set_msr(t, 0xc0000083, T_HAND + 0x40);
	check(t, "APM 3 SYSCALL: to CSTAR from compatibility mode");
	put(t, upage(t, T_UCODE), CODE("syscall\nsyscall\n"));
	put(t, T_HAND, CODE("sysretd\n"));
	put(t, T_HAND + 0x40, CODE(STOP));
	gvm_start_user(t->g, T_UCODE, T_USTACK);
	GO(GO_STOP);
	IS(t->stop, T_HAND + 0x40);
	IS(get(t, VM_REG_RCX), T_UCODE + 4);
	IS(get(t, VM_REG_R11), 0x202);
	IS(get(t, VM_REG_RFLAGS), 2);
	IS(sel(t, VM_SEG_CS), GVM_KCODE);
	IS(sel(t, VM_SEG_SS), GVM_KDATA);
	set_msr(t, 0x174, 0x40);
	check(t, "APM 3 SYSENTER: #UD in long mode");
	user(t, CODE("sysenter\n"));
	GO(V_UD);
	IS(t->f.rip, T_UCODE);
	check(t, "APM 3 SYSEXIT: #UD in long mode");
	kernel(t, CODE(".byte 0x0f, 0x35\n"));
	GO(V_UD);
	IS(t->f.rip, T_CODE);
	check(t, "APM 3 PREFETCH: #UD with a register");
	user(t, CODE(".byte 0x0f, 0x0d, 0xc8\n"));
	GO(V_UD);
	IS(t->f.rip, T_UCODE);
	check(t, "APM 3 JMP, Jcc, LOOP: 16 bits of RIP with a prefix");
	user(t, CODE(".byte 0x66, 0xe9, 0x10, 0\n"));
	GO(V_PF);
	IS(t->f.rip, 0x14);
	user(t, CODE("stc\n.byte 0x66, 0x72, 0x10\n"));
	GO(V_PF);
	IS(t->f.rip, 0x14);
	user(t, CODE("mov ecx, 2\n.byte 0x66, 0xe2, 0x10\n"));
	GO(V_PF);
	IS(t->f.rip, 0x18);
	check(t, "APM 3 CALL, RET: 16 bits on the stack with a prefix");
	user(t, CODE("mov eax, 0x12345678\n.byte 0x66, 0xff, 0xd0\n"));
	GO(V_PF);
	IS(t->f.rip, 0x5678);
	IS(t->f.rsp, T_USTACK - 2);
	user(t, CODE("push 0x1234\n.byte 0x66, 0xc3\n"));
	GO(V_PF);
	IS(t->f.rip, 0x1234);
	IS(t->f.rsp, T_USTACK - 6);
	check(t, "APM 3 XCHG: F3 90 with REX.B is not PAUSE");
	user(t, CODE("xor eax, eax\nmov r8d, 7\n.byte 0xf3, 0x41, 0x90\n"
		     USTOP));
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 7);
	IS(get(t, VM_REG_R8), 0);
}

static void
sysenter(struct t *t)
{
	if (!intel(t)) {
		amd_long(t);
		return;
	}
	/* SYSENTER wants code, data, ucode32, udata32, ucode, udata in row. */
	set_gdt(t, 0x40, 0x00af9b000000ffff);
	set_gdt(t, 0x48, 0x00cf93000000ffff);
	set_gdt(t, 0x50, 0x00cffb000000ffff);
	set_gdt(t, 0x58, 0x00cff3000000ffff);
	set_gdt(t, 0x60, 0x00affb000000ffff);
	set_gdt(t, 0x68, 0x00cff3000000ffff);
	set_msr(t, 0x174, 0x40);
	set_msr(t, 0x175, T_DATA + 0x1000);
	set_msr(t, 0x176, T_HAND);
	check(t, "SDM 2 SYSENTER: CS, RIP, SS, RSP, IF");
	put(t, T_HAND, CODE(STOP));
	user(t, CODE("sysenter\n"));
	GO(GO_STOP);
	IS(t->stop, T_HAND);
	IS(get(t, VM_REG_RSP), T_DATA + 0x1000);
	IS(get(t, VM_REG_RFLAGS), 2);
	IS(sel(t, VM_SEG_CS), 0x40);
	IS(sel(t, VM_SEG_SS), 0x48);
	check(t, "SDM 2 SYSEXIT: to 64-bit code with REX.W");
	put(t, T_HAND, CODE("mov edx, 0x400100\nmov ecx, 0x504000\n"
			    ".byte 0x48, 0x0f, 0x35\n"));
	put(t, upage(t, T_UCODE) + 0x100, CODE(USTOP));
	gvm_start_user(t->g, T_UCODE, T_USTACK);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	GO(U_STOPPED);
	is_frame(t, 0, T_UCODE + 0x102, 0x63, 2, T_USTACK, 0x6b);
	check(t, "SDM 2 SYSEXIT: to compatibility mode without");
	put(t, T_HAND, CODE("mov edx, 0x400100\nmov ecx, 0x504000\n"
			    "xor eax, eax\n"
			    ".byte 0x0f, 0x35\n"));
	put(t, upage(t, T_UCODE) + 0x100, CODE(".code32\ninc eax\n.code64\n"
					      USTOP));
	gvm_start_user(t->g, T_UCODE, T_USTACK);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 1);
	is_frame(t, 0, T_UCODE + 0x103, 0x53, 2, T_USTACK, 0x5b);
	check(t, "SDM 2 SYSENTER: #GP with a null SYSENTER_CS");
	set_msr(t, 0x174, 0);
	user(t, CODE("sysenter\n"));
	GO(V_GP);
	IS(t->f.rip, T_UCODE);
}

/* IRETQ with this frame from ring 0. */
static void
iret_to(struct t *t, uint64_t rip, uint64_t cs, uint64_t fl, uint64_t rsp,
    uint64_t ss)
{
	uint64_t frame[5] = { rip, cs, fl, rsp, ss };

	kernel(t, CODE("iretq\n"));
	gvm_write(t->g, GVM_STACK_TOP - 40, frame, sizeof(frame));
	set(t, VM_REG_RSP, GVM_STACK_TOP - 40);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
}

/* DS that stays in ring 3. */
static void
user_ds(struct t *t)
{
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_DS,
	    &(struct vm_seg){ .limit = 0xffffffff, .access = 0xc0f3,
		.sel = GVM_UDATA });
}

static void
iret_good(struct t *t)
{
	check(t, "SDM 2 IRET: to ring 0, RSP and SS are popped");
	put(t, T_CODE + 0x100, CODE("int 0x55\n"));
	iret_to(t, T_CODE + 0x100, GVM_KCODE, 0x3247, T_DATA + 0x101,
	    GVM_KDATA);
	GO(0x55);
	is_frame(t, 0, T_CODE + 0x102, GVM_KCODE, 0x3247, T_DATA + 0x101,
	    GVM_KDATA);
	check(t, "SDM 2 IRET: a null SS is allowed in 64-bit ring 0");
	iret_to(t, T_CODE + 0x100, GVM_KCODE, 2, T_DATA, 0);
	GO(0x55);
	IS(t->f.ss, 0);
	for (unsigned r = 1; r < 4; r++) {
		check(t, "SDM 2 IRET: to ring %u", r);
		set_gdt(t, 0x40, 0x00af9b000000ffff | (uint64_t)r << 45);
		set_gdt(t, 0x48, 0x00cf93000000ffff | (uint64_t)r << 45);
		put(t, r == 3 ? upage(t, T_UCODE) : T_CODE + 0x100,
		    CODE("int 0x55\n"));
		iret_to(t, r == 3 ? T_UCODE : T_CODE + 0x100, 0x40 | r, 0x202,
		    T_USTACK, 0x48 | r);
		GO(0x55);
		is_frame(t, 0, (r == 3 ? T_UCODE : T_CODE + 0x100) + 2,
		    0x40 | r, 0x202, T_USTACK, 0x48 | r);
	}
	check(t, "SDM 2 IRET: to compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\ninc eax\nint 0x55\n"
				       ".code64\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	set(t, VM_REG_RAX, 7);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 8);
	IS(t->f.rip, T_UCODE + 3);
	check(t, "SDM 2 IRET: outwards, data segments of ring 0 become null");
	put(t, upage(t, T_UCODE), CODE("mov eax, ds\nmov ecx, es\nint 0x55\n"));
	iret_to(t, T_UCODE, GVM_UCODE, 0x202, T_USTACK, GVM_UDATA);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 0);
	IS(get(t, VM_REG_RCX), 0);
}

static void
iret_bad(struct t *t)
{
	static const struct {
		const char *what;
		uint64_t rip, cs, ss;
		unsigned vector, error;
	} c[] = { { "null CS", T_CODE, 0, GVM_KDATA, V_GP, 0 },
		{ "CS beyond the GDT", T_CODE, 0x2008, GVM_KDATA, V_GP,
		    0x2008 },
		{ "data in CS", T_CODE, 0x10, GVM_KDATA, V_GP, 0x10 },
		{ "CS.RPL and DPL differ", T_CODE, 0x0b, GVM_KDATA, V_GP, 8 },
		{ "code in SS", T_CODE, 8, 8, V_GP, 8 },
		{ "SS.RPL", T_CODE, 8, 0x13, V_GP, 0x10 },
		{ "null SS at ring 3", T_UCODE, GVM_UCODE, 3, V_GP, 0 },
		{ "null SS in compatibility mode", T_UCODE, GVM_UCODE32, 3,
		    V_GP, 0 },
		{ "RIP not canonical", NONCANON, 8, GVM_KDATA, V_GP, 0 },
		{ "SS not present", T_CODE, 8, 0x40, V_SS, 0x40 },
		{ "CS not present", T_CODE, 0x48, GVM_KDATA, V_NP, 0x48 } };

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		check(t, "SDM 2 IRET: %s", c[i].what);
		set_gdt(t, 0x40, 0x00cf13000000ffff);
		set_gdt(t, 0x48, 0x00af1b000000ffff);
		iret_to(t, c[i].rip, c[i].cs, 2, T_DATA, c[i].ss);
		GO(c[i].vector);
		is_frame(t, c[i].error, T_CODE, GVM_KCODE, 0x10002,
		    GVM_STACK_TOP - 40, GVM_KDATA);
	}
	check(t, "SDM 2 IRET: NT in long mode is #GP");
	iret_to(t, T_CODE, 8, 2, T_DATA, GVM_KDATA);
	set(t, VM_REG_RFLAGS, 0x4002);
	GO(V_GP);
	IS(t->f.error, 0);
}

static void
far_64(struct t *t)
{
	set_gdt(t, SEL_KCODE32, 0x00cf9b000000ffff);
	check(t, "SDM 2 JMP: far through memory to compatibility mode");
	put(t, T_HAND, CODE(".code32\ninc eax\nmov edx, cs\nint 0x55\n"
			    ".code64\n"));
	kernel(t, CODE("mov dword ptr [rbx], 0x90000\n"
		       "mov word ptr [rbx + 4], 0x40\n"
		       "xor eax, eax\njmp fword ptr [rbx]\n"));
	set(t, VM_REG_RBX, T_DATA);
	set_gdt(t, SEL_KCODE32, 0x00cf9b000000ffff);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 1);
	IS(get(t, VM_REG_RDX), SEL_KCODE32);
	check(t, "SDM 2 CALL, RET: far, 64-bit offsets");
	put(t, T_HAND, CODE("mov rax, [rsp]\nmov rdx, [rsp + 8]\n"
			    ".byte 0x48, 0xcb\n")); /* RETFQ */
	kernel(t, CODE("mov qword ptr [rbx], 0x90000\n"
		       "mov word ptr [rbx + 8], 8\n"
		       ".byte 0x48, 0xff, 0x1b\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), t->stop);
	IS(get(t, VM_REG_RDX), GVM_KCODE);
	IS(get(t, VM_REG_RSP), GVM_STACK_TOP);
	check(t, "SDM 2 RET: far to ring 3, with SS:RSP");
	put(t, upage(t, T_UCODE), CODE("int 0x55\n"));
	kernel(t, CODE("push 0x23\npush 0x504000\npush 0x2b\npush 0x400000\n"
		       ".byte 0x48, 0xcb\n"));
	GO(0x55);
	is_frame(t, 0, T_UCODE + 2, GVM_UCODE, 2, T_USTACK, GVM_UDATA);
	check(t, "SDM 2 JMP: far to a null selector is #GP(0)");
	kernel(t, CODE("mov qword ptr [rbx], 0x90000\n"
		       "mov dword ptr [rbx + 4], 0\njmp fword ptr [rbx]\n"));
	set(t, VM_REG_RBX, T_DATA);
	GO(V_GP);
	IS(t->f.error, 0);
	check(t, "SDM 2 JMP: far to data is #GP(selector)");
	kernel(t, CODE("mov qword ptr [rbx], 0x90000\n"
		       "mov word ptr [rbx + 4], 0x10\njmp fword ptr [rbx]\n"));
	GO(V_GP);
	IS(t->f.error, 0x10);
	check(t, "SDM 2 JMP: far to more privilege is #GP(selector)");
	user(t, CODE("mov qword ptr [rbx], 0x90000\n"
		     "mov word ptr [rbx + 4], 8\njmp fword ptr [rbx]\n"));
	set(t, VM_REG_RBX, T_UDATA);
	GO(V_GP);
	IS(t->f.error, 8);
	check(t, "SDM 3A 5.8.1.1: far jump to a conforming segment keeps CPL");
	put(t, upage(t, T_UCODE) + 0x100, CODE("mov eax, cs\nint 0x55\n"));
	user(t, CODE("mov qword ptr [rbx], 0x400100\n"
		     "mov word ptr [rbx + 4], 0x48\njmp fword ptr [rbx]\n"));
	set_gdt(t, SEL_CONF, 0x00af9f000000ffff);
	GO(0x55);
	IS(get(t, VM_REG_RAX), SEL_CONF | 3);
}

static void
compat(struct t *t)
{
	static const struct {
		uint64_t insn;
		unsigned size;
		uint16_t ss;
		uint64_t rsp;
	} irets[] = { { 0xcf66, 2, GVM_UDATA, 0x8000 },
		{ 0xcf, 4, GVM_UDATA, 0x11228000 },
		{ 0xcf48, 8, GVM_UDATA, 0x11228000 },
		{ 0xcf66, 2, 0x4b, T_DATA + 0x8000 },
		{ 0xcf, 4, 0x4b, T_DATA + 0x8000 },
		{ 0xcf48, 8, 0x4b, T_DATA + 0x8000 } };

	for (unsigned i = 0; i < sizeof(irets) / sizeof(irets[0]); i++) {
		const uint64_t v[5] = { 0x10, 0x43, 0x202, 0x11228000,
			irets[i].ss };

		check(t, "SDM 2 IRET: %u bytes, SP for SS %#x",
		    irets[i].size, irets[i].ss);
		kernel(t, CODE("nop\n"));
		set_mem(t, T_CODE, 8, irets[i].insn);
		set_gdt(t, 0x40, 0x0040fb400000ffff); /* code at T_UCODE */
		set_gdt(t, 0x48, 0x0000f3000000ffff);
		put(t, upage(t, T_UCODE) + 0x10, CODE("int 0x55\n"));
		for (unsigned n = 0; n < 5; n++)
			set_mem(t, T_DATA + 0x100 + n * irets[i].size,
			    irets[i].size, v[n]);
		set(t, VM_REG_RSP, T_DATA + 0x100);
		GO(0x55);
		IS(t->f.rsp, irets[i].rsp);
		IS(t->f.ss, irets[i].ss);
	}
	check(t, "SDM 2 JMP, CALL, RET: far in compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\n"
		"call 0x1b:0x400020\nmov edx, 5\nint 0x55\n"
		".code64\n"));
	put(t, upage(t, T_UCODE) + 0x20, CODE(".code32\nmov eax, [esp]\n"
		"mov ecx, [esp + 4]\nretf\n.code64\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	GO(0x55);
	IS(get(t, VM_REG_RAX), T_UCODE + 7);
	IS(get(t, VM_REG_RCX), GVM_UCODE32);
	IS(get(t, VM_REG_RDX), 5);
	IS(t->f.rsp, T_USTACK);
	check(t, "SDM 2 JMP: far from compatibility to 64-bit mode");
	put(t, upage(t, T_UCODE), CODE(".code32\njmp 0x2b:0x400020\n"
				       ".code64\n"));
	put(t, upage(t, T_UCODE) + 0x20, CODE("mov rax, -1\nint 0x55\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	GO(0x55);
	IS(get(t, VM_REG_RAX), ~0ull);
	IS(t->f.cs, GVM_UCODE);
	check(t, "SDM 1 3.3.7: addresses wrap at 4 GiB in compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\nmov eax, [ebx + 0x10]\n"
		"int 0x55\n.code64\n"));
	set_mem(t, upage(t, T_UDATA), 4, 0x12345678);
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	user_ds(t);
	set(t, VM_REG_RBX, 0xfffffff0ull + T_UDATA);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 0x12345678);
	if (intel(t)) {
		check(t, "SDM 2 SYSCALL: #UD in compatibility mode on Intel");
		put(t, upage(t, T_UCODE), CODE(".code32\n.byte 0x0f, 5\n"
			".code64\n"));
		iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
		GO(V_UD);
		IS(t->f.rip, T_UCODE);
	}
}

/* Instructions that 64-bit mode does not have. */
static void
compat_only(struct t *t)
{
	check(t, "SDM 2 INTO: #OF in compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\ninto\nnop\n.code64\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0xa02, T_USTACK, GVM_UDATA);
	GO(V_OF);
	is_frame(t, 0, T_UCODE + 1, GVM_UCODE32, 0xa02, T_USTACK, GVM_UDATA);
	check(t, "SDM 2 BOUND: #BR in compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\nbound eax, [ebx]\n.code64\n"));
	set_mem(t, upage(t, T_UDATA), 8, 0x0000000500000002);
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	user_ds(t);
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_RAX, 6);
	GO(V_BR);
	IS(t->f.rip, T_UCODE);
	check(t, "SDM 2 PUSHA, POPA in compatibility mode");
	put(t, upage(t, T_UCODE), CODE(".code32\npushad\n"
		"mov eax, 9\npopad\nint 0x55\n.code64\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	set(t, VM_REG_RAX, 6);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 6);
	/* ESP as it was before the first push. */
	IS(mem(t, upage(t, T_USTACK - 20), 4), T_USTACK);
	IS(t->f.rsp, T_USTACK);
	check(t, "SDM 2 POPA: all but ESP, in 16 bits too");
	put(t, upage(t, T_UCODE), CODE(".code32\npusha\npopa\npushaw\n"
		"mov dword ptr [esp + 6], 0\nmov word ptr [esp + 14], 0x77\n"
		"popaw\nint 0x55\n.code64\n"));
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK, GVM_UDATA);
	set(t, VM_REG_RAX, 0x12345678);
	set(t, VM_REG_RBX, 0x9abcdef0);
	GO(0x55);
	IS(get(t, VM_REG_RAX), 0x12340077);
	IS(get(t, VM_REG_RBX), 0x9abc0000);
	IS(t->f.rsp, T_USTACK);
	check(t, "SDM 2 PUSHA: one by one, ESP last: a page fault amidst");
	put(t, upage(t, T_UCODE), CODE(".code32\npushad\n.code64\n"));
	set_mem(t, upage(t, T_USTACK - 0x4000), 8, 0x5a5a);
	iret_to(t, T_UCODE, GVM_UCODE32, 0x202, T_USTACK - 0x4000 + 16,
	    GVM_UDATA);
	set(t, VM_REG_RBX, 0x11111111);
	set(t, VM_REG_RDX, 0x22222222);
	GO(V_PF);
	IS(t->f.rsp, T_USTACK - 0x4000 + 16);
	IS(mem(t, upage(t, T_USTACK - 0x4000), 8), 0x2222222211111111);
}

static void
descriptors(struct t *t)
{
	set_gdt(t, 0x40, 0x00cffb000000ffff); /* code, execute and read */
	set_gdt(t, 0x48, 0x00cff9000000ffff); /* code, execute only */
	set_gdt(t, 0x50, 0x00cf91000000ffff); /* data, read only, DPL 0 */
	kernel(t, CODE(
		"mov edi, 0x40\nverr di\nsetz al\nverw di\nsetz ah\n"
		"mov edi, 0x48\nverr di\nsetz bl\nmov edi, 0x50\nverr di\n"
		"setz bh\nverw di\nsetz cl\nmov edi, 0x10\nverw di\nsetz ch\n"
		"mov edi, 0x50\nlar edx, di\nsetz r8b\nlsl esi, di\nsetz r9b\n"
		"mov edi, 0x7000\nlar r10d, di\nsetz r11b\nxor edi, edi\n"
		"lsl r10d, di\nsetz r12b\nmov edi, 0x30\nlar r13d, di\n"
		"lsl r14d, di\n" STOP));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	set(t, VM_REG_R10, 0x77);
	check(t, "SDM 2 VERR, VERW: code segments");
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0xffff, 1);
	IS(get(t, VM_REG_RBX) & 0xff, 0);
	check(t, "SDM 2 VERR, VERW: data segments");
	IS(get(t, VM_REG_RBX) >> 8 & 0xff, 1);
	IS(get(t, VM_REG_RCX) & 0xffff, 0x100);
	check(t, "SDM 2 LAR: the access rights, ZF");
	IS(get(t, VM_REG_RDX), 0x00cf9100);
	IS(get(t, VM_REG_R8) & 0xff, 1);
	check(t, "SDM 2 LSL: the limit in bytes, ZF");
	IS(get(t, VM_REG_RSI), 0xffffffff);
	IS(get(t, VM_REG_R9) & 0xff, 1);
	check(t, "SDM 2 LAR, LSL: ZF 0 and no change if not valid");
	IS(get(t, VM_REG_R10), 0x77);
	IS(get(t, VM_REG_R11) & 0xff, 0);
	IS(get(t, VM_REG_R12) & 0xff, 0);
	check(t, "SDM 2 LAR, LSL: of a TSS");
	IS(get(t, VM_REG_R13), 0x8b00);
	IS(get(t, VM_REG_R14), 0x67);
	check(t, "SDM 2 LAR, LSL, VERR: no rights at CPL 3: ZF 0");
	user(t, CODE("mov edi, 0x10\nlar eax, di\nsetz bl\nlsl ecx, di\n"
		     "setz bh\n"
		     "verr di\nsetz dl\n" USTOP));
	set(t, VM_REG_RBX, 0x101);
	set(t, VM_REG_RDX, 1);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RBX), 0);
	IS(get(t, VM_REG_RDX), 0);
	check(t, "SDM 3A 3.4.5.1: loading a segment sets its A bit");
	set_gdt(t, 0x58, 0x00cf92000000ffff);
	kernel(t, CODE("mov eax, 0x58\nmov es, ax\nmov eax, es\n" STOP));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x58);
	IS(mem(t, GVM_GDT + 0x58, 8), 0x00cf93000000ffff);
	check(t, "SDM 2 LTR: marks the TSS busy");
	set_mem(t, GVM_GDT + 0x35, 1, 0x89);
	kernel(t, CODE("mov eax, 0x30\nltr ax\nstr ecx\n" STOP));
	GO(GO_STOP);
	IS(mem(t, GVM_GDT + 0x35, 1), 0x8b);
	IS(get(t, VM_REG_RCX), 0x30);
	check(t, "SDM 2 LLDT, SLDT: a local table, and a selector in it");
	set_gdt(t, SEL_LDT, 0x00008200000000ff | T_DATA << 16);
	set_gdt(t, SEL_LDT + 8, 0);
	set_mem(t, T_DATA + 8, 8, 0x00cf93000000ffff);
	kernel(t, CODE("mov eax, 0x50\nlldt ax\nsldt ecx\nmov eax, 0xc\n"
		       "mov fs, ax\nmov edx, fs\n" STOP));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x50);
	IS(get(t, VM_REG_RDX), 0xc);
	check(t, "SDM 2 LGDT, SGDT, LIDT, SIDT: 10 bytes");
	kernel(t, CODE("sgdt [rbx]\nsidt [rbx + 16]\nlgdt [rbx]\n"
		       "lidt [rbx + 16]\n"
		       "sidt [rbx + 32]\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
	IS(mem(t, T_DATA, 2), 63);
	IS(mem(t, T_DATA + 2, 8), GVM_GDT);
	IS(mem(t, T_DATA + 32, 2), 4095);
	IS(mem(t, T_DATA + 34, 8), GVM_IDT);
}

/* SDM 2 MOV: what a segment register does not take. */
static void
segment_faults(struct t *t)
{
	static const struct {
		const char *what;
		uint64_t desc;
		unsigned user, ss, vector;
	} c[] = { { "DS not present", 0x00cf13000000ffff, 0, 0, V_NP },
		{ "SS not present", 0x00cf13000000ffff, 0, 1, V_SS },
		{ "SS read-only", 0x00cf91000000ffff, 0, 1, V_GP },
		{ "SS of another DPL", 0x00cff3000000ffff, 0, 1, V_GP },
		{ "DS execute-only code", 0x00cf99000000ffff, 0, 0, V_GP },
		{ "DS of more privilege", 0x00cf93000000ffff, 1, 0, V_GP },
		{ "SS of more privilege", 0x00cf93000000ffff, 1, 1, V_GP } };

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct code code = c[i].ss ? CODE("mov ss, ax\n") :
					     CODE("mov ds, ax\n");

		check(t, "SDM 2 MOV: %s", c[i].what);
		if (c[i].user)
			user(t, code);
		else
			kernel(t, code);
		set_gdt(t, 0x40, c[i].desc);
		set(t, VM_REG_RAX, c[i].user ? 0x43 : 0x40);
		GO(c[i].vector);
		IS(t->f.error, 0x40);
		IS(t->f.rip, c[i].user ? T_UCODE : T_CODE);
	}
	check(t, "SDM 3A 3.4.2: a null DS loads, and in 64-bit mode serves");
	kernel(t, CODE("xor eax, eax\nmov ds, ax\nmov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
}

static void
bases(struct t *t)
{
	check(t, "SDM 2 SWAPGS: GS.base and KERNEL_GS_BASE");
	set_msr(t, 0xc0000102, T_DATA + 0x100);
	set_mem(t, T_DATA + 0x108, 8, 42);
	kernel(t, CODE("mov ax, 0x10\nmov gs, ax\nswapgs\nmov rax, gs:[8]\n"
		       "rdgsbase rcx\nswapgs\nrdgsbase rdx\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 42);
	IS(get(t, VM_REG_RCX), T_DATA + 0x100);
	IS(get(t, VM_REG_RDX), 0);
	check(t, "SDM 2 WRFSBASE, RDFSBASE at CPL 3");
	set_mem(t, upage(t, T_UDATA) + 0x48, 8, 43);
	user(t, CODE("wrfsbase rbx\nmov rax, fs:[8]\nrdfsbase rcx\n"
		     "wrgsbase ebx\nrdgsbase edx\n" USTOP));
	set(t, VM_REG_RBX, T_UDATA + 0x40);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 43);
	IS(get(t, VM_REG_RCX), T_UDATA + 0x40);
	IS(get(t, VM_REG_RDX), T_UDATA + 0x40);
	check(t, "SDM 2 WRFSBASE: non-canonical is #GP(0)");
	user(t, CODE("wrfsbase rbx\n"));
	set(t, VM_REG_RBX, NONCANON);
	GO(V_GP);
	IS(t->f.error, 0);
	check(t, "SDM 2 RDFSBASE: #UD without CR4.FSGSBASE");
	user(t, CODE("rdfsbase rax\n"));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~0x10000ull);
	GO(V_UD);
	check(t, "SDM 2 RDMSR: FS.base and GS.base are the segments'");
	kernel(t, CODE("wrfsbase rbx\nmov ecx, 0xc0000100\nrdmsr\n"
		       "shl rdx, 32\nor rax, rdx\n" STOP));
	set(t, VM_REG_RBX, 0xffff812345678000);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xffff812345678000);
}

static void
io_bitmap(struct t *t)
{
	static const struct {
		uint16_t port;
		uint8_t size;
		bool ok;
	} c[] = { { 0x60, 1, true }, { 0x61, 1, false }, { 0x60, 2, false },
		{ 0x5f, 1, true }, { 0x5e, 2, true }, { 0x5e, 4, false },
		{ 0x68, 4, true }, { 0xfff8, 1, true }, { 0xffff, 1, false } };
	struct vm_seg tr = { .base = T_DATA, .limit = 0x68 + 8192,
		.access = 0x8b, .sel = GVM_TR };

	for (unsigned i = 0; i < 104; i += 8)
		set_mem(t, T_DATA + i, 8, mem(t, GVM_TSS + i, 8));
	set_mem(t, T_DATA + 102, 2, 0x68);
	set_mem(t, T_DATA + 0x68 + 0x60 / 8, 1, 2);	 /* port 0x61 */
	set_mem(t, T_DATA + 0x68 + 0xffff / 8, 1, 0x80); /* port 0xffff */
	set_mem(t, T_DATA + 0x68 + 8192, 1, 0xff);
	for (unsigned out = 0; out < 2; out++)
		for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
			check(t, "SDM 1 19.5.2: %s, port %#x, size %u",
			    out ? "OUT" : "IN", c[i].port, c[i].size);
			user(t, c[i].size == 1 ?
				(out ? CODE("out dx, al\n" USTOP) :
				       CODE("in al, dx\n" USTOP)) :
			    c[i].size == 2 ?
				(out ? CODE("out dx, ax\n" USTOP) :
				       CODE("in ax, dx\n" USTOP)) :
				(out ? CODE("out dx, eax\n" USTOP) :
				       CODE("in eax, dx\n" USTOP)));
			(void)vcpu_set_seg(t->g->cpu, VM_SEG_TR, &tr);
			set(t, VM_REG_RDX, c[i].port);
			GO(c[i].ok ? U_STOPPED : V_GP);
			IS(t->g->nio, c[i].ok ? 1 : 0);
		}
	check(t, "SDM 1 19.5.2: no bit map beyond the TSS's limit");
	user(t, CODE("in al, dx\n"));
	tr.limit = 0x68;
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_TR, &tr);
	set(t, VM_REG_RDX, 0x60);
	GO(V_GP);
	check(t, "SDM 1 19.5.1: IOPL 3 needs no bit map");
	user(t, CODE("in al, dx\n" USTOP));
	set(t, VM_REG_RFLAGS, FL_IOPL3 | 2);
	GO(U_STOPPED);
}

static void
umip(struct t *t)
{
#define UMIP3(insn, v)                                                         \
	check(t, "SDM 3A 2.5: UMIP %d, " insn " at CPL 3", v == V_GP);         \
	user(t, CODE(insn "\n" USTOP));                                        \
	set(t, VM_REG_RBX, T_UDATA);                                           \
	if (v == V_GP)                                                         \
		set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_UMIP);             \
	GO(v)

	UMIP3("sgdt [rbx]", U_STOPPED);
	UMIP3("sidt [rbx]", U_STOPPED);
	UMIP3("sldt eax", U_STOPPED);
	UMIP3("str eax", U_STOPPED);
	UMIP3("smsw eax", U_STOPPED);
	kernel(t, CODE("nop\n"));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_UMIP);
	if (!(get(t, VM_REG_CR4) & CR4_UMIP))
		return;
	UMIP3("sgdt [rbx]", V_GP);
	UMIP3("sidt [rbx]", V_GP);
	UMIP3("sldt eax", V_GP);
	UMIP3("str eax", V_GP);
	UMIP3("smsw eax", V_GP);
}

static void
flags(struct t *t)
{
	check(t, "SDM 2 POPF: CPL 3, IOPL 0: IF and IOPL stay");
	user(t, CODE("push 0x3cd7\npopfq\npushfq\npop rax\npush 2\npopfq\n"
		     "pushfq\npop rcx\n" USTOP));
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 0xed7);
	IS(get(t, VM_REG_RCX), 0x202);
	check(t, "SDM 2 POPF: CPL 3, IOPL 3: IF changes, IOPL stays");
	user(t, CODE("push 2\npopfq\npushfq\npop rax\n" USTOP));
	set(t, VM_REG_RFLAGS, FL_IOPL3 | 0x202);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), FL_IOPL3 | 2);
	check(t, "SDM 2 POPF: CPL 0: all but VM, RF, VIF, VIP");
	kernel(t, CODE("mov eax, 0x3f7ed7\npush rax\npopfq\npushfq\npop rax\n"
		       "push 2\npopfq\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x247ed7);
	check(t, "SDM 2 POPF: 16 bits leave the rest");
	kernel(t, CODE("pushfq\nor dword ptr [rsp], 0x200000\npopfq\n"
		       "push 2\npopfw\nlea rsp, [rsp + 6]\npushfq\n"
		       "pop rax\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x200002);
	check(t, "SDM 2 CLI, STI: CPL 3 with IOPL 3");
	user(t, CODE("cli\npushfq\npop rax\nsti\nnop\npushfq\n"
		     "pop rcx\n" USTOP));
	set(t, VM_REG_RFLAGS, FL_IOPL3 | 0x202);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), FL_IOPL3 | 2);
	IS(get(t, VM_REG_RCX), FL_IOPL3 | 0x202);
	check(t, "SDM 2 IRET: CPL 3 cannot change IOPL or IF");
	user(t, CODE("mov rax, rsp\npush 0x23\npush rax\npush 0x3002\n"
		     "push 0x2b\n"
		     "lea rax, [rip + 1f]\npush rax\niretq\n1:" USTOP));
	GO(U_STOPPED);
	IS(t->f.rflags, 0x202);
	check(t, "SDM 2 CLI: NT, AC and ID from CPL 3");
	user(t, CODE("mov eax, 0x244202\npush rax\npopfq\n" USTOP));
	GO(U_STOPPED);
	IS(t->f.rflags, 0x244202);
}

static void
xstate(struct t *t)
{
	check(t, "SDM 2 XSETBV, XGETBV: round trip");
	kernel(t, CODE("xor ecx, ecx\nxor edx, edx\nmov eax, 7\nxsetbv\n"
		       "xor eax, eax\nxgetbv\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
	IS(get(t, VM_REG_RDX), 0);
	check(t, "SDM 2 XGETBV: #UD without OSXSAVE");
	kernel(t, CODE("xor ecx, ecx\nxgetbv\n"));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~0x40000ull);
	GO(V_UD);
	check(t, "SDM 2 XSAVE, XRSTOR: round trip of a YMM register");
	kernel(t, CODE("vpcmpeqd ymm1, ymm1, ymm1\nmov eax, -1\nmov edx, -1\n"
		       "xsave [rbx]\nvpxor ymm1, ymm1, ymm1\nxrstor [rbx]\n"
		       "vmovdqu [rdi], ymm1\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	set(t, VM_REG_RDI, T_DATA + 0x2000);
	GO(GO_STOP);
	for (unsigned i = 0; i < 32; i += 8)
		IS(mem(t, T_DATA + 0x2000 + i, 8), ~0ull);
	check(t, "SDM 1 13.4.2: XSTATE_BV of XSAVE");
	IS(mem(t, T_DATA + 512, 8) & ~7ull, 0);
	IS(mem(t, T_DATA + 512, 8) & 6, 6);
	IS(mem(t, T_DATA + 520, 8), 0);
	check(t, "SDM 1 13.8.1: a clear XSTATE_BV bit initializes");
	set_mem(t, T_DATA + 512, 8, 0);
	kernel(t, CODE("vpcmpeqd ymm1, ymm1, ymm1\nmov eax, -1\nmov edx, -1\n"
		       "xrstor [rbx]\nvmovdqu [rdi], ymm1\n" STOP));
	GO(GO_STOP);
	for (unsigned i = 0; i < 32; i += 8)
		IS(mem(t, T_DATA + 0x2000 + i, 8), 0);
	check(t, "SDM 2 FXSAVE, FXRSTOR: round trip");
	kernel(t, CODE("fninit\nfldpi\npcmpeqd xmm3, xmm3\nfxsave [rbx]\n"
		       "fninit\npxor xmm3, xmm3\nfxrstor [rbx]\n"
		       "movups [rdi], xmm3\nfnstsw ax\n" STOP));
	GO(GO_STOP);
	IS(mem(t, T_DATA + 0x2000, 8), ~0ull);
	IS(get(t, VM_REG_RAX) & 0x3800, 0x3800);
	IS(mem(t, T_DATA + 4, 1), 0x80); /* abridged tag: ST0 */
	IS(mem(t, T_DATA + 32, 8), 0xc90fdaa22168c235);
}

static void
xstate_bad(struct t *t)
{
	static const struct {
		const char *what;
		unsigned off;
		uint64_t v;
	} c[] = { { "XSTATE_BV beyond XCR0", 512, 1ull << 40 },
		{ "XCOMP_BV without bit 63", 520, 1 },
		{ "XCOMP_BV beyond XCR0", 520, 1ull << 63 | 1ull << 40 },
		{ "XSTATE_BV beyond XCOMP_BV", 520, 1ull << 63 },
		{ "reserved byte 16 of the header", 528, 1 },
		{ "MXCSR", 24, 0xffff0000 } };

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		check(t, "SDM 1 13.8: XRSTOR, %s is #GP", c[i].what);
		for (unsigned o = 0; o < 1024; o += 8)
			set_mem(t, T_DATA + o, 8, 0);
		set_mem(t, T_DATA + 512, 8, 3);
		set_mem(t, T_DATA + 24, 4, 0x1f80);
		set_mem(t, T_DATA + c[i].off, 8, c[i].v);
		kernel(t, CODE("xor ecx, ecx\nxor edx, edx\nmov eax, 7\n"
			       "xsetbv\n"
			       ".balign 32, 0x90\nxrstor [rbx]\n" STOP));
		set(t, VM_REG_RBX, T_DATA);
		GO(V_GP);
		IS(t->f.error, 0);
		IS(t->f.rip, T_CODE + 32);
	}
	check(t, "SDM 2 XSAVE: misaligned is #GP");
	kernel(t, CODE("xsave [rbx + 16]\n" STOP));
	GO(V_GP);
	check(t, "SDM 2 FXSAVE: misaligned is #GP");
	kernel(t, CODE("fxsave [rbx + 8]\n" STOP));
	GO(V_GP);
	check(t, "SDM 2 FXRSTOR: MXCSR's reserved bits are #GP");
	set_mem(t, T_DATA + 24, 4, 0xffff0000);
	kernel(t, CODE("fxrstor [rbx]\n" STOP));
	GO(V_GP);
	check(t, "SDM 2 LDMXCSR: reserved bits are #GP");
	kernel(t, CODE("ldmxcsr [rbx + 24]\n" STOP));
	GO(V_GP);
	check(t, "SDM 2 XSAVE: a page fault comes with nothing stored");
	set_mem(t, upage(t, T_UDATA) + 0x3fc0, 8, 0x5555);
	kernel(t, CODE("mov eax, 7\nxor edx, edx\nxsave [rbx]\n" STOP));
	set(t, VM_REG_RBX, T_UDATA + 0x3fc0);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), T_UDATA + 0x4000);
	IS(t->f.error, 2);
}

static void
msrs(struct t *t)
{
	check(t, "SDM 3A 2.8.4: LMSW sets PE, cannot clear it");
	kernel(t, CODE("mov ax, 8\nlmsw ax\nsmsw ecx\nclts\nsmsw edx\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX) & 0xf, 9);
	IS(get(t, VM_REG_RDX) & 0xf, 1);
	check(t, "SDM 3B 17.17: TSC_AUX by RDTSCP and RDPID");
	set_msr(t, 0xc0000103, 0x1234);
	kernel(t, CODE("rdtscp\nrdpid rsi\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x1234);
	IS(get(t, VM_REG_RSI), 0x1234);
	check(t, "SDM 2 RDTSC: CR4.TSD is #GP at CPL 3");
	user(t, CODE("rdtsc\n"));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | 4);
	GO(V_GP);
	check(t, "SDM 3B 17.17.3: TSC_ADJUST follows a write of the TSC");
	kernel(t, CODE("mov ecx, 0x3b\nxor eax, eax\nxor edx, edx\nwrmsr\n"
		       "rdtsc\nmov ebx, eax\nadd eax, 0x10000000\n"
		       "mov ecx, 0x10\n"
		       "wrmsr\nmov ecx, 0x3b\nrdmsr\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) > 0x0f000000 && get(t, VM_REG_RAX) <= 0x10000000,
	    1);
	check(t, "SDM 3A 2.5: CR2 and CR8 keep what is written");
	kernel(t, CODE("mov rax, 0x123456789abcdef0\nmov cr2, rax\n"
		       "mov rcx, cr2\n"
		       "mov eax, 5\nmov cr8, rax\nmov rdx, cr8\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x123456789abcdef0);
	IS(get(t, VM_REG_RDX), 5);
}

/* What remembers jumps must not take one address for another. */
static void
far_away(struct t *t)
{
	check(t, "SDM 1 3.3.7.1: 65535 addresses that differ in bits 63:48");
	kernel(t, CODE(""));
	put(t, T_CODE + 64, CODE("mov rax, rbx\njmp rax\n"));
	handler(t, V_GP, CODE("inc rcx\nmov rdx, 0x1000000000000\n"
			      "sub rbx, rdx\ncmp bx, [rsp]\n"
			      "add rsp, 8\ncmp rcx, 0xffff\nje 1f\n"
			      "mov qword ptr [rsp], 0x80040\niretq\n1:" STOP));
	for (unsigned i = 0; i < 2; i++) {
		set(t, VM_REG_RIP, T_CODE + 64);
		set(t, VM_REG_RSP, GVM_STACK_TOP);
		set(t, VM_REG_RCX, 0);
		/* An entry that is empty, and one that was filled. */
		set(t, VM_REG_RBX, i == 0 ? 0xffff000000000000 :
					    T_CODE + 64 + 0xffff000000000000);
		GO(GO_STOP);
		IS(get(t, VM_REG_RCX), 0xffff);
	}
}

const struct group_fn group[] = { { "far_away", far_away },
	{ "syscall_64", syscall_64 }, { "sysenter", sysenter },
	{ "iret_good", iret_good },
	{ "iret_bad", iret_bad }, { "far_64", far_64 }, { "compat", compat },
	{ "compat_only", compat_only },
	{ "descriptors", descriptors }, { "segment_faults", segment_faults },
	{ "bases", bases },
	{ "io_bitmap", io_bitmap }, { "umip", umip }, { "flags", flags },
	{ "xstate", xstate }, { "xstate_bad", xstate_bad }, { "msrs", msrs },
	{ NULL, NULL } };
