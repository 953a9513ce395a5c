/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions: SDM volume 3A, chapter 6, and what each instruction says. */
#include "small.h"

#include <string.h>

#define NONCANON 0x8000000000000000ull

/* One instruction at CPL 0 whose fault must leave this frame. */
static void
fault0(struct t *t, const char *name, struct code c, unsigned vector,
    uint64_t error, unsigned off)
{
	check(t, "%s", name);
	kernel(t, c);
	set(t, VM_REG_RAX, 5);
	set(t, VM_REG_RBX, NONCANON);
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_RDX, 0);
	GO(vector);
	/* SDM 3A 6.8.3: RF is set in the image of a fault. */
	t->f.rflags &= ~0x8d5ull; /* what comes before may set them */
	is_frame(t, error, T_CODE + off, GVM_KCODE, 0x10002, GVM_STACK_TOP,
	    GVM_KDATA);
}

/* The same at CPL 3. */
static void
fault3(struct t *t, const char *name, struct code c, unsigned vector,
    uint64_t error)
{
	check(t, "%s at CPL 3", name);
	user(t, c);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_RDX, 0);
	GO(vector);
	is_frame(t, error, T_UCODE, GVM_UCODE, 0x10202, T_USTACK, GVM_UDATA);
	IS(get(t, VM_REG_RSP), GVM_IST1_TOP -
		(gvm_has_error(vector) ? 48 : 40));
}

static void
simple(struct t *t)
{
	fault0(t, "SDM 3A 6.15 (#DE): DIV by zero", CODE("div ecx\n"), V_DE,
	    0, 0);
	fault0(t, "SDM 3A 6.15 (#DE): IDIV, quotient too large",
	    CODE("idiv cl\n"), V_DE, 0, 0);
	fault0(t, "SDM 3A 6.15 (#UD): UD2", CODE("ud2\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 LOCK: LOCK on a register is #UD",
	    CODE(".byte 0xf0, 0x01, 0xc0\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 LOCK: LOCK MOV is #UD",
	    CODE(".byte 0xf0, 0x89, 0x03\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 PUSH: PUSH ES in 64-bit mode is #UD",
	    CODE(".byte 0x06\n"), V_UD, 0, 0);
	fault0(t, "APM 3 PFACC: #UD, 3DNow! is not offered",
	    CODE(".byte 0x0f, 0x0f, 0xf6, 0xae\n"), V_UD, 0, 0);
	fault0(t, "APM 3 BLCFILL: #UD, XOP and TBM are not offered",
	    CODE(".byte 0x8f, 0xe9, 0x78, 0x01, 0xcb\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 INCSSPQ: #UD without CR4.CET",
	    CODE(".byte 0xf3, 0x48, 0x0f, 0xae, 0xe8\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 WRSSD: #UD without CR4.CET",
	    CODE(".byte 0x0f, 0x38, 0xf6, 0x03\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 AAA: #UD in 64-bit mode", CODE(".byte 0x37\n"), V_UD,
	    0, 0);
	fault0(t, "SDM 2 INTO: #UD in 64-bit mode", CODE(".byte 0xce\n"), V_UD,
	    0, 0);
	fault0(t, "SDM 2 JMP: far jump to an immediate is #UD in 64-bit mode",
	    CODE(".byte 0xea, 0, 0, 0, 0, 8, 0\n"), V_UD, 0, 0);
	fault0(t, "SDM 2 MOV: MOV to CS is #UD", CODE(".byte 0x8e, 0xc8\n"),
	    V_UD, 0, 0);
	fault0(t, "SDM 2 MOV: CR1 is #UD", CODE(".byte 0x0f, 0x22, 0xc8\n"),
	    V_UD, 0, 0);
	fault0(t, "SDM 2 MOV: DR4 with CR4.DE is #UD",
	    CODE(".byte 0x0f, 0x23, 0xe0\n"), V_UD, 0, 0);
	fault0(t, "SDM 1 3.3.7.1 (#GP): load, non-canonical",
	    CODE("mov al, [rbx]\n"), V_GP, 0, 0);
	fault0(t, "SDM 1 3.3.7.1 (#GP): store, non-canonical",
	    CODE("nop\nmov [rbx], al\n"), V_GP, 0, 1);
	fault0(t, "SDM 1 3.3.7.1 (#SS): RBP, non-canonical",
	    CODE("mov rbp, rbx\nmov al, [rbp]\n"), V_SS, 0, 3);
	fault0(t, "SDM 2 MOVAPS (#GP): misaligned",
	    CODE("movaps xmm0, [rsp - 0x21]\n"), V_GP, 0, 0);
	fault0(t, "SDM 2 CMPXCHG16B (#GP): misaligned",
	    CODE("cmpxchg16b [rsp - 0x28]\n"), V_GP, 0, 0);
	fault0(t, "SDM 2 MOV (#GP): segment index beyond the GDT",
	    CODE("mov ax, 0x1234\nmov ds, ax\n"), V_GP, 0x1234, 4);
	fault0(t, "SDM 2 MOV (#GP): selector in no LDT",
	    CODE("mov ax, 0xc\nmov es, ax\n"), V_GP, 0xc, 4);
	fault0(t, "SDM 2 MOV (#GP): null SS at CPL 3 RPL",
	    CODE("mov ax, 3\nmov ss, ax\n"), V_GP, 0, 4);
	fault0(t, "SDM 2 MOV (#GP): SS of code", CODE("mov ax, 8\n"
						      "mov ss, ax\n"),
	    V_GP, 8, 4);
	fault0(t, "SDM 2 MOV (#GP): DS of a system segment",
	    CODE("mov ax, 0x30\nmov ds, ax\n"), V_GP, 0x30, 4);
	fault0(t, "SDM 2 LTR (#GP): busy TSS", CODE("mov ax, 0x30\nltr ax\n"),
	    V_GP, 0x30, 4);
	fault0(t, "SDM 2 LLDT (#GP): not an LDT", CODE("mov ax, 8\nlldt ax\n"),
	    V_GP, 8, 4);
	fault0(t, "SDM 2 WRMSR (#GP): EFER's reserved bits",
	    CODE("mov ecx, 0xc0000080\nmov eax, 0xd03\nwrmsr\n"), V_GP, 0, 10);
	fault0(t, "SDM 2 WRMSR (#GP): EFER.LME under paging",
	    CODE("mov ecx, 0xc0000080\nmov eax, 0xc01\nwrmsr\n"), V_GP, 0, 10);
	fault0(t, "SDM 2 WRMSR (#GP): FS.base not canonical",
	    CODE("mov ecx, 0xc0000100\nmov edx, 0x80000000\nwrmsr\n"), V_GP, 0,
	    10);
	fault0(t, "SDM 2 WRMSR (#GP): LSTAR not canonical",
	    CODE("mov ecx, 0xc0000082\nmov edx, 0x80000000\nwrmsr\n"), V_GP, 0,
	    10);
	fault0(t, "SDM 2 XSETBV (#GP): x87 off",
	    CODE("xor eax, eax\nxsetbv\n"), V_GP, 0, 2);
	fault0(t, "SDM 2 XSETBV (#GP): AVX without SSE", CODE("xsetbv\n"),
	    V_GP, 0, 0);
	fault0(t, "SDM 2 XGETBV (#GP): register 2",
	    CODE("mov ecx, 2\nxgetbv\n"), V_GP, 0, 5);
	fault0(t, "SDM 2 RDPMC (#GP): no counters",
	    CODE("mov ecx, 0x12345\nrdpmc\n"), V_GP, 0, 5);
}

/* The branch faults, not the fetch behind it: RIP is its own, RSP as before. */
static void
near_targets(struct t *t)
{
	static const char *const what[] = { "JMP", "JMP by memory", "CALL",
		"CALL by memory", "RET", "RET n" };
	struct code c = { NULL, 0 };

	for (unsigned i = 0; i < 6; i++)
		for (unsigned tf = 0; tf < 2; tf++) {
			check(t, "SDM 2 %s (#GP): non-canonical target%s",
			    what[i], tf ? ", TF" : "");
			switch (i) {
			case 0:
				c = CODE("nop\njmp rbx\n");
				break;
			case 1:
				c = CODE("nop\njmp [rsp]\n");
				break;
			case 2:
				c = CODE("nop\ncall rbx\n");
				break;
			case 3:
				c = CODE("nop\ncall [rsp]\n");
				break;
			case 4:
				c = CODE("nop\nret\n");
				break;
			default:
				c = CODE("nop\nret 0x18\n");
				break;
			}
			kernel(t, c);
			if (tf) {
				handler(t, V_DB, CODE("iretq\n"));
				set(t, VM_REG_RFLAGS, 2 | FL_TF);
			}
			set(t, VM_REG_RBX, NONCANON);
			set(t, VM_REG_RSP, T_DATA + 0x800);
			set_mem(t, T_DATA + 0x800, 8, NONCANON);
			GO(V_GP);
			is_frame(t, 0, T_CODE + 1, GVM_KCODE,
			    0x10002u | (tf ? FL_TF : 0), T_DATA + 0x800,
			    GVM_KDATA);
		}
}

/* A direct branch over the end of the lower half, `at` bytes on. */
static void
near_target(struct t *t, const char *what, struct code c, unsigned at)
{
	static const uint64_t last = 0x7ffffffff000;

	check(t, "SDM 2 %s (#GP): target not canonical", what);
	gvm_map(t->g, last, 0x9f000, PTE_P | PTE_W);
	kernel(t, CODE("nop\n"));
	put(t, 0x9f000 + 0xf00, c);
	set(t, VM_REG_RIP, last + 0xf00);
	set(t, VM_REG_RSP, GVM_STACK_TOP - 64);
	GO(V_GP);
	IS(t->f.error, 0);
	IS(t->f.rip, last + 0xf00 + at);
	IS(t->f.rsp, GVM_STACK_TOP - 64);
}
#define NEAR(insn, ...)                                                        \
	near_target(t, insn, CODE("nop\n" insn "\n"), __VA_ARGS__)

static void
near_direct(struct t *t)
{
	NEAR("jmp .+0xfff", 1);
	NEAR("call .+0xfff", 1);
	NEAR("test eax, eax\njns .+0xfff", 3);
	NEAR("mov ecx, 2\n.skip 200, 0x90\nloop .+0x7f", 206);
}

static void
control_regs(struct t *t)
{
	fault0(t, "SDM 2 MOV CR (#GP): CR0.PG without PE",
	    CODE("mov rax, cr0\nand al, 0xfe\nmov cr0, rax\n"), V_GP, 0, 5);
	fault0(t, "SDM 2 MOV CR (#GP): CR0.NW without CD",
	    CODE("mov rax, cr0\nbts rax, 29\nmov cr0, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR0 bit 32",
	    CODE("mov rax, cr0\nbts rax, 32\nmov cr0, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR0.PG off in 64-bit mode",
	    CODE("mov rax, cr0\nbtr rax, 31\nmov cr0, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR4.PAE off in long mode",
	    CODE("mov rax, cr4\nbtr rax, 5\nmov cr4, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR4 bit 63",
	    CODE("mov rax, cr4\nbts rax, 63\nmov cr4, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR4 bit 15 is reserved",
	    CODE("mov rax, cr4\nbts rax, 15\nmov cr4, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR4.LA57 changed in long mode",
	    CODE("mov rax, cr4\nbts rax, 12\nmov cr4, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR4.PCIDE with CR3[11:0] not 0",
	    CODE("mov rax, cr3\nor al, 0x18\nmov cr3, rax\nmov rax, cr4\n"
		 "bts rax, 17\nmov cr4, rax\n"), V_GP, 0, 16);
	fault0(t, "SDM 2 MOV CR (#GP): CR3 beyond MAXPHYADDR",
	    CODE("mov rax, cr3\nbts rax, 60\nmov cr3, rax\n"), V_GP, 0, 8);
	fault0(t, "SDM 2 MOV CR (#GP): CR8 of 16",
	    CODE("mov eax, 16\nmov cr8, rax\n"), V_GP, 0, 5);
	fault0(t, "SDM 2 MOV DR (#GP): DR7 bit 32",
	    CODE("bts rax, 32\nmov dr7, rax\n"), V_GP, 0, 5);
	check(t, "SDM 3A 2.5: a faulting MOV to CR changes nothing");
	IS(get(t, VM_REG_DR7), 0x400);
}

static void
privileged(struct t *t)
{
#define GP3(insn) fault3(t, "SDM 2, 3A 5.9 (#GP): " insn, \
	CODE(insn "\n"), V_GP, 0)
	GP3("hlt");
	GP3("cli");
	GP3("sti");
	GP3("clts");
	GP3("invd");
	GP3("wbinvd");
	GP3("mov rax, cr0");
	GP3("mov cr0, rax");
	GP3("mov rax, cr2");
	GP3("mov cr3, rax");
	GP3("mov rax, cr8");
	GP3("mov rax, dr7");
	GP3("mov dr0, rax");
	GP3("rdmsr");
	GP3("wrmsr");
	GP3("lgdt [rbx]");
	GP3("lidt [rbx]");
	GP3("lldt ax");
	GP3("ltr ax");
	GP3("lmsw ax");
	GP3("invlpg [rbx]");
	GP3("swapgs");
	GP3("xsetbv");
	GP3("in al, dx");
	GP3("out dx, eax");
	GP3("insb");
	GP3("outsd");
	GP3(".byte 0x48, 0x0f, 0x07"); /* SYSRET */
	if (intel(t)) /* AMD: #UD, see control.c */
		GP3(".byte 0x0f, 0x35"); /* SYSEXIT */
	fault3(t, "SDM 2 STAC (#UD)", CODE("stac\n"), V_UD, 0);
	gvm_gate(t->g, 0x42, GVM_STUBS + 16 * 0x42, 1, 0);
	fault3(t, "SDM 2 INT n (#GP): gate of DPL 0", CODE("int 0x42\n"), V_GP,
	    0x42 * 8 + 2);
}

static void
device_not_available(struct t *t)
{
	static const struct {
		const char *name;
		unsigned insn; /* 0 x87, 1 SSE, 2 WAIT, 3 MMX, 4 AVX */
		uint64_t cr0, cr4_off;
		int vector;
	} c[] = { { "FLD with TS", 0, CR0_TS, 0, V_NM },
		{ "FLD with EM", 0, CR0_EM, 0, V_NM },
		{ "SSE with TS", 1, CR0_TS, 0, V_NM },
		{ "SSE with EM", 1, CR0_EM, 0, V_UD },
		{ "SSE without OSFXSR", 1, 0, 0x200, V_UD },
		{ "WAIT with TS, MP 0", 2, CR0_TS, 0, GO_STOP },
		{ "WAIT with TS and MP", 2, CR0_TS | CR0_MP, 0, V_NM },
		{ "WAIT with MP", 2, CR0_MP, 0, GO_STOP },
		{ "MMX with TS", 3, CR0_TS, 0, V_NM },
		{ "MMX with EM", 3, CR0_EM, 0, V_UD },
		{ "AVX with TS", 4, CR0_TS, 0, V_NM },
		{ "AVX with EM", 4, CR0_EM, 0, GO_STOP },
		{ "AVX without OSXSAVE", 4, CR0_TS, 0x40000, V_UD } };
	struct code code;

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		code = CODE("fld1\n" STOP);
		if (c[i].insn == 1)
			code = CODE("movaps xmm0, xmm1\n" STOP);
		else if (c[i].insn == 2)
			code = CODE("fwait\n" STOP);
		else if (c[i].insn == 3)
			code = CODE("paddb mm0, mm1\n" STOP);
		else if (c[i].insn == 4)
			code = CODE("vpand xmm0, xmm1, xmm2\n" STOP);
		check(t, "SDM 3A 2.5, table 9-3, 13-1: %s", c[i].name);
		kernel(t, CODE("mov ecx, 0\nmov edx, 0\nmov eax, 7\nxsetbv\n"
			       STOP));
		GO(GO_STOP);
		kernel(t, code);
		set(t, VM_REG_CR0,
		    (get(t, VM_REG_CR0) & ~(uint64_t)CR0_MP) | c[i].cr0);
		set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~c[i].cr4_off);
		GO(c[i].vector);
		if (c[i].vector != GO_STOP)
			IS(t->f.rip, T_CODE);
	}
}

static void
traps(struct t *t)
{
	check(t, "SDM 3A 6.15 (#BP): INT3, RIP behind, no RF");
	kernel(t, CODE("nop\nint3\n" STOP));
	GO(V_BP);
	is_frame(t, 0, T_CODE + 2, GVM_KCODE, 2, GVM_STACK_TOP, GVM_KDATA);
	check(t, "SDM 3A 6.15 (#BP): INT3 from CPL 3");
	user(t, CODE("nop\nint3\n"));
	GO(V_BP);
	is_frame(t, 0, T_UCODE + 2, GVM_UCODE, 0x202, T_USTACK, GVM_UDATA);
	check(t, "SDM 2 INT3: gate of DPL 0 is #GP at CPL 3");
	gvm_gate(t->g, V_BP, GVM_STUBS + 16 * V_BP, 1, 0);
	user(t, CODE("nop\nint3\n"));
	GO(V_GP);
	is_frame(t, V_BP * 8 + 2, T_UCODE + 1, GVM_UCODE, 0x10202, T_USTACK,
	    GVM_UDATA);
	check(t, "SDM 2 INT1: goes through a gate of DPL 0");
	gvm_gate(t->g, V_DB, GVM_STUBS + 16 * V_DB, 1, 0);
	user(t, CODE("nop\n.byte 0xf1\n"));
	GO(V_DB);
	is_frame(t, 0, T_UCODE + 2, GVM_UCODE, 0x202, T_USTACK, GVM_UDATA);
	check(t, "SDM 2 INT n: RIP behind, no error code, IF cleared");
	user(t, CODE("int 0x55\n"));
	GO(0x55);
	is_frame(t, 0, T_UCODE + 2, GVM_UCODE, 0x202, T_USTACK, GVM_UDATA);
	IS(get(t, VM_REG_RFLAGS) & FL_IF, 0);
	check(t, "SDM 3A 6.15 (#AC): not at CPL 0, whatever AM and AC");
	kernel(t, CODE("mov eax, [rsp - 0x21]\n" STOP));
	set(t, VM_REG_CR0, get(t, VM_REG_CR0) | CR0_AM);
	set(t, VM_REG_RFLAGS, FL_AC | 2);
	GO(GO_STOP);
}

static void
frames(struct t *t)
{
	check(t, "SDM 3A 6.14.2: RSP aligned to 16 before the push");
	gvm_gate(t->g, V_UD, GVM_STUBS + 16 * V_UD, 0, 0);
	kernel(t, CODE("sub rsp, 9\nud2\n"));
	GO(V_UD);
	IS(get(t, VM_REG_RSP), ((GVM_STACK_TOP - 9) & ~15ull) - 40);
	IS(mem(t, get(t, VM_REG_RSP) + 24, 8), GVM_STACK_TOP - 9);
	check(t, "SDM 3A 6.14.4: RSP0 on a change of privilege, SS null");
	user(t, CODE("ud2\n"));
	GO(V_UD);
	IS(get(t, VM_REG_RSP), GVM_STACK_TOP - 40);
	IS(mem(t, GVM_STACK_TOP - 8, 8), GVM_UDATA);
	IS(mem(t, GVM_STACK_TOP - 16, 8), T_USTACK);
	IS(mem(t, GVM_STACK_TOP - 24, 8), 0x10202);
	IS(mem(t, GVM_STACK_TOP - 32, 8), GVM_UCODE);
	IS(mem(t, GVM_STACK_TOP - 40, 8), T_UCODE);
	{
		struct vm_seg s;

		(void)vcpu_get_seg(t->g->cpu, VM_SEG_SS, &s);
		IS(s.sel, 0);
		(void)vcpu_get_seg(t->g->cpu, VM_SEG_CS, &s);
		IS(s.sel, GVM_KCODE);
	}
	check(t, "SDM 3A 6.14.5: IST switches at the same privilege");
	set_mem(t, GVM_TSS + 36 + 8 * 6, 8, T_DATA + 0x1008);
	gvm_gate(t->g, V_UD, GVM_STUBS + 16 * V_UD, 7, 0);
	kernel(t, CODE("ud2\n"));
	GO(V_UD);
	IS(get(t, VM_REG_RSP), T_DATA + 0x1000 - 40);
	IS(mem(t, T_DATA + 0x1000 - 8, 8), GVM_KDATA);
	check(t, "SDM 3A 6.12.1.3: a trap gate leaves IF");
	set_mem(t, GVM_IDT + 16 * 0x55 + 5, 1, 0xef);
	user(t, CODE("int 0x55\n"));
	GO(0x55);
	IS(get(t, VM_REG_RFLAGS) & FL_IF, FL_IF);
	check(t, "SDM 3A 6.12.1.3: TF, NT and RF cleared");
	kernel(t, CODE("ud2\n"));
	set(t, VM_REG_RFLAGS, 0x4002);
	GO(V_UD);
	IS(get(t, VM_REG_RFLAGS) & 0x14100, 0);
	IS(mem(t, T_DATA + 0x1000 - 24, 8), 0x14002);
}

static void
gates(struct t *t)
{
	uint64_t g55 = GVM_IDT + 16 * 0x55;

	check(t, "SDM 2 INT n (#NP): gate not present");
	set_mem(t, g55 + 5, 1, 0x6e);
	kernel(t, CODE("int 0x55\n"));
	GO(V_NP);
	is_frame(t, 0x55 * 8 + 2, T_CODE, GVM_KCODE, 0x10002, GVM_STACK_TOP,
	    GVM_KDATA);
	check(t, "SDM 2 INT n (#GP): not a gate's type");
	set_mem(t, g55 + 5, 1, 0xe5);
	kernel(t, CODE("int 0x55\n"));
	GO(V_GP);
	IS(t->f.error, 0x55 * 8 + 2);
	check(t, "SDM 2 INT n (#GP): null selector in the gate");
	set_mem(t, g55 + 5, 1, 0xee);
	set_mem(t, g55 + 2, 2, 0);
	kernel(t, CODE("int 0x55\n"));
	GO(V_GP);
	IS(t->f.error, 0);
	check(t, "SDM 2 INT n (#GP): data segment in the gate");
	set_mem(t, g55 + 2, 2, GVM_KDATA);
	kernel(t, CODE("int 0x55\n"));
	GO(V_GP);
	IS(t->f.error, GVM_KDATA);
	check(t, "SDM 2 INT n (#GP): compatibility segment in the gate");
	set_mem(t, g55 + 2, 2, GVM_UCODE32);
	user(t, CODE("int 0x55\n"));
	GO(V_GP);
	IS(t->f.error, GVM_UCODE32 & ~3);
	check(t, "SDM 2 INT n (#NP): code segment not present");
	set_gdt(t, 0x40, 0x00af1b000000ffff);
	set_mem(t, g55 + 2, 2, 0x40);
	kernel(t, CODE("int 0x55\n"));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR,
	    &(struct vm_seg){ .base = GVM_GDT, .limit = 0xfff });
	GO(V_NP);
	IS(t->f.error, 0x40);
	check(t, "SDM 2 INT n (#GP): vector beyond the IDT's limit");
	kernel(t, CODE("int 0xff\n"));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_IDTR,
	    &(struct vm_seg){ .base = GVM_IDT, .limit = 0xffe });
	GO(V_GP);
	IS(t->f.error, 0xff * 8 + 2);
	check(t, "SDM 2 INT n (#SS): RSP0 not canonical");
	set_mem(t, GVM_TSS + 4, 8, NONCANON);
	gvm_gate(t->g, 0x56, GVM_STUBS, 0, 3);
	user(t, CODE("int 0x56\n"));
	GO(V_SS);
	IS(t->f.error, 0);
	IS(t->f.rip, T_UCODE);
}

static void
double_fault(struct t *t)
{
	check(t, "SDM 3A 6.15 (#DF): #GP whose gate is not present");
	set_mem(t, GVM_IDT + 16 * V_GP + 5, 1, 0);
	kernel(t, CODE("mov al, [rbx]\n"));
	set(t, VM_REG_RBX, NONCANON);
	GO(V_DF);
	IS(t->f.error, 0);
	IS(t->f.rip, T_CODE);
	IS(t->f.cs, GVM_KCODE);
	check(t, "SDM 3A 6.15 (#DF): #PF during #PF");
	gvm_gate(t->g, V_PF, GVM_STUBS + 16 * V_PF, 2, 0);
	set_mem(t, GVM_TSS + 44, 8, 0x7ff000); /* IST2, not mapped */
	kernel(t, CODE("mov al, [rbx]\n"));
	set(t, VM_REG_RBX, 0x7fe000);
	GO(V_DF);
	IS(get(t, VM_REG_CR2), 0x7feff8);
	check(t, "SDM 3A table 6-5: #UD, then #PF: the #PF is delivered");
	gvm_gate(t->g, V_PF, GVM_STUBS + 16 * V_PF, 1, 0);
	gvm_gate(t->g, V_UD, GVM_STUBS + 16 * V_UD, 2, 0);
	kernel(t, CODE("ud2\n"));
	GO(V_PF);
	IS(t->f.error, 2);
	IS(t->f.rip, T_CODE);
	check(t, "SDM 3A table 6-5: #PF, then #NP: double fault");
	set_mem(t, GVM_IDT + 16 * V_PF + 5, 1, 0);
	kernel(t, CODE("mov al, [rbx]\n"));
	set(t, VM_REG_RBX, 0x7fe000);
	GO(V_DF);
	check(t, "SDM 3A 6.15 (#DF): a third fault shuts down");
	set_mem(t, GVM_IDT + 16 * V_DF + 5, 1, 0);
	kernel(t, CODE("mov al, [rbx]\n"));
	set(t, VM_REG_RBX, NONCANON);
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_TRIPLEFAULT);
}

static void
no_idt(struct t *t)
{
	check(t, "SDM 3A 6.15 (#DF): no IDT at all: shutdown by INT3");
	kernel(t, CODE("int3\n"));
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_IDTR, &(struct vm_seg){ 0 });
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_TRIPLEFAULT);
}

static void
numeric(struct t *t)
{
	check(t, "SDM 1 11.5.2.2, 3A 6.15 (#XM): unmasked division by zero");
	kernel(t, CODE("push 0x1d80\nldmxcsr [rsp]\nxorps xmm0, xmm0\n"
		       "mov eax, 1\ncvtsi2ss xmm1, eax\n.balign 32, 0x90\n"
		       "divss xmm1, xmm0\n" STOP));
	GO(V_XM);
	IS(t->f.rip, T_CODE + 32);
	check(t, "SDM 3A 2.5: without OSXMMEXCPT it is #UD");
	kernel(t, CODE("push 0x1d80\nldmxcsr [rsp]\nxorps xmm0, xmm0\n"
		       "mov eax, 1\ncvtsi2ss xmm1, eax\n.balign 32, 0x90\n"
		       "divss xmm1, xmm0\n" STOP));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~0x400ull);
	GO(V_UD);
	check(t, "SDM 1 8.7, 3A 6.15 (#MF): at the next waiting instruction");
	kernel(t, CODE("fninit\npush 0x37b\nfldcw [rsp]\nfld1\nfldz\n"
		       ".balign 32, 0x90\nfdivp\nmov ecx, 7\nfwait\n" STOP));
	GO(V_MF);
	IS(get(t, VM_REG_RCX), 7);
	IS(t->f.rip, T_CODE + 32 + 7);
	check(t, "SDM 1 8.6: no-wait instructions do not");
	kernel(t, CODE("fninit\npush 0x37b\nfldcw [rsp]\nfld1\nfldz\n"
		       "fdivp\nfnstsw ax\nfnclex\nfld1\nfwait\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX) & 0x84, 0x84);
	check(t, "SDM 1 8.7: MMX takes the pending #MF");
	kernel(t, CODE("fninit\npush 0x37b\nfldcw [rsp]\nfld1\nfldz\n"
		       ".balign 32, 0x90\nfdivp\npaddb mm0, mm1\n" STOP));
	GO(V_MF);
	IS(t->f.rip, T_CODE + 34);
}

static void
single_step(struct t *t)
{
	check(t, "SDM 3B 17.3.1.4 (#DB): after the instruction behind POPF");
	kernel(t, CODE("push 0x102\npopfq\nnop\nmov eax, 1\n" STOP));
	GO(V_DB);
	is_frame(t, 0, T_CODE + 7, GVM_KCODE, 0x102, GVM_STACK_TOP, GVM_KDATA);
	check(t, "SDM 3B 17.2.3: DR6.BS");
	IS(get(t, VM_REG_DR6) & 0x4000, 0x4000);
	check(t, "SDM 3B 17.3.1.4: after each iteration of REP");
	kernel(t, CODE("rep stosb\n" STOP));
	set(t, VM_REG_RFLAGS, 0x102);
	set(t, VM_REG_RCX, 3);
	set(t, VM_REG_RDI, T_DATA);
	GO(V_DB);
	IS(t->f.rip, T_CODE);
	IS(get(t, VM_REG_RCX), 2);
	check(t, "SDM 3B 17.3.1.4: after the last iteration, behind it");
	kernel(t, CODE("rep stosb\n" STOP));
	set(t, VM_REG_RFLAGS, 0x102);
	set(t, VM_REG_RCX, 1);
	set(t, VM_REG_RDI, T_DATA);
	GO(V_DB);
	IS(t->f.rip, T_CODE + 2);
	check(t, "SDM 3B 17.3.1.4: after a jump, at its target");
	kernel(t, CODE("jmp 1f\nud2\n1:nop\n" STOP));
	set(t, VM_REG_RFLAGS, 0x102);
	GO(V_DB);
	IS(t->f.rip, T_CODE + 4);
	check(t, "SDM 3B 17.3.1.4: a fault comes before the step");
	kernel(t, CODE("ud2\n"));
	set(t, VM_REG_RFLAGS, 0x102);
	GO(V_UD);
	IS(t->f.rflags, 0x10102);
	check(t, "SDM 3B 17.3.1.4: INT n clears TF, no step in the handler");
	kernel(t, CODE("int 0x55\n"));
	set(t, VM_REG_RFLAGS, 0x102);
	GO(0x55);
	IS(t->f.rflags, 0x102);
	check(t, "SDM 3B 17.3.1.4: IRET with TF steps one instruction");
	handler(t, V_DB, CODE("inc rbp\niretq\n"));
	kernel(t, CODE("mov rax, rsp\npush 0x10\npush rax\npush 0x102\npush 8\n"
		       "lea rcx, [rip + 1f]\npush rcx\niretq\n"
		       "1:nop\nnop\npush 2\npopfq\nnop\n" STOP));
	set(t, VM_REG_RBP, 0);
	GO(GO_STOP);
	/* nop, nop, push, popfq: the last one began with TF. */
	IS(get(t, VM_REG_RBP), 4);
	check(t, "SDM 2 SYSCALL: FMASK takes TF; SYSRET gives it back");
	kernel(t, CODE("mov ecx, 0xc0000081\nmov edx, 0x180008\nxor eax, eax\n"
		       "wrmsr\nmov ecx, 0xc0000082\nxor edx, edx\n"
		       "mov eax, 0x90000\nwrmsr\nmov ecx, 0xc0000084\n"
		       "mov eax, 0x300\nwrmsr\n" STOP));
	GO(GO_STOP);
	gvm_gate(t->g, V_DB, GVM_STUBS + 16 * V_DB, 1, 0);
	put(t, T_HAND, CODE("sysretq\n"));
	user(t, CODE("syscall\nnop\nnop\n"));
	set(t, VM_REG_RFLAGS, 0x302);
	GO(V_DB);
	/* TF counts as soon as SYSRET is done, as if SYSCALL had been
	 * stepped over. */
	IS(t->f.rip, T_UCODE + 2);
	IS(t->f.cs, GVM_UCODE);
}

static void
rf_flag(struct t *t)
{
	check(t, "SDM 3B 17.3.1.1: IRET loads RF, the instruction clears it");
	kernel(t, CODE("mov rax, rsp\npush 0x10\npush rax\npush 0x10002\n"
		       "push 8\n"
		       "lea rcx, [rip + 1f]\npush rcx\niretq\n"
		       "1:nop\nint 0x55\n" STOP));
	GO(0x55);
	IS(t->f.rflags, 2);
	check(t, "SDM 2 PUSHF: RF and VM read as 0");
	kernel(t, CODE("pushfq\npop rax\n" STOP));
	set(t, VM_REG_RFLAGS, 0x10002);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 2);
	check(t, "SDM 2 POPF: cannot set RF or VM");
	kernel(t, CODE("push 0x30002\npopfq\npushfq\npop rax\nint 0x55\n"));
	GO(0x55);
	IS(t->f.rflags, 2);
}

const struct group_fn group[] = { { "simple", simple },
	{ "near_targets", near_targets }, { "near_direct", near_direct },
	{ "control_regs", control_regs }, { "privileged", privileged },
	{ "device_not_available", device_not_available }, { "traps", traps },
	{ "frames", frames }, { "gates", gates },
	{ "double_fault", double_fault }, { "no_idt", no_idt },
	{ "numeric", numeric }, { "single_step", single_step },
	{ "rf_flag", rf_flag }, { NULL, NULL } };
