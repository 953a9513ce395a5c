/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stack of programs in 64-bit mode, wherever it lies: rSP is the host's
 * own in code for mirrors (docs/soft-engine.md, "The stack").
 */
#include "small.h"

#define APIC 0xfee00000ull
#define VEC 0x60
#define GIB4 (1ull << 32)

/* Two pages for ring 3; where the second begins. */
static uint64_t
stack_at(struct t *t, uint64_t lin, uint64_t pa[2])
{
	for (unsigned i = 0; i < 2; i++) {
		pa[i] = gvm_alloc(t->g, 1);
		gvm_map(t->g, lin - 0x1000 + 0x1000 * i, pa[i],
		    PTE_P | PTE_W | PTE_U);
	}
	return (lin);
}

/* In the middle of nowhere, over the end of a window, below 64 KiB, and where
 * kernels are. */
static const uint64_t places[] = { 0x700000, 2 * GIB4, 0xf000,
	0xffff900000001000ull, 0x7ffffffff000ull };
#define NPLACES (sizeof(places) / sizeof(places[0]))

static void
pushes(struct t *t)
{
	for (unsigned i = 0; i < NPLACES; i++) {
		uint64_t pa[2], top = stack_at(t, places[i], pa) + 16;

		user(t,
		    CODE("mov r14, 14\nmov r15, 15\nmov rbx, 3\n"
			 "push rbx\npush r14\npush r15\npush 0x1234\npush -2\n"
			 "push rsp\npush qword ptr [rsp + 16]\n"
			 "push word ptr 0x5678\npush r14w\npush fs\n"
			 "mov rax, [rsp]\nmov cx, [rsp + 8]\n"
			 "mov dx, [rsp + 10]\nadd rsp, 12\n"
			 "pop rsi\npop rdi\npop r8\npop r9\n"
			 "mov r10, r14\npop r14\npop r11\n"
			 "mov rbp, rsp\npop qword ptr [rsp - 24]\n"
			 "mov r12, [rsp - 24]\n" USTOP));
		set(t, VM_REG_RSP, top);
		check(t, "SDM 2 PUSH, POP at %lx", places[i]);
		GO(U_STOPPED);
		IS(get(t, VM_REG_RAX), get(t, VM_REG_RAX) & 0xffff);
		IS(get(t, VM_REG_RCX) & 0xffff, 14);
		IS(get(t, VM_REG_RDX) & 0xffff, 0x5678);
		IS(get(t, VM_REG_RSI), 0x1234); /* [rsp + 16] */
		IS(get(t, VM_REG_RDI), top - 40);
		IS(get(t, VM_REG_R8), -2);
		IS(get(t, VM_REG_R9), 0x1234);
		IS(get(t, VM_REG_R10), 14);
		IS(get(t, VM_REG_R14), 15);
		IS(get(t, VM_REG_R11), 14);
		IS(get(t, VM_REG_R12), 3);
		IS(get(t, VM_REG_RBP), top - 8);
		IS(t->f.rsp, top);
	}
}

static void
frames(struct t *t)
{
	for (unsigned i = 0; i < NPLACES; i++) {
		uint64_t pa[2], top = stack_at(t, places[i], pa) + 0x100;

		user(t,
		    CODE("mov rbp, 0x77\nenter 0x20, 0\nmov r8, rsp\n"
			 "mov r9, rbp\npush rax\npush rcx\nleave\n"
			 "mov r10, rsp\nmov r11, rbp\n"
			 "lea rbp, [rsp - 8]\nenter 0x10, 2\nmov r12, rsp\n"
			 "leave\nmov r13, rsp\n"
			 "jmp 1f\n2: mov rax, [rsp]\nret 0x30\n"
			 "1: mov rcx, rsp\ncall 2b\n3: sub rcx, rsp\n"
			 "lea rdx, 3b[rip]\nsub rdx, rax\n"
			 "lea rbx, 4f[rip]\ncall rbx\n5: jmp 6f\n"
			 "4: pop rsi\npush rsi\nret\n"
			 "6: lea rdi, 5b[rip]\nsub rdi, rsi\n" USTOP));
		set(t, VM_REG_RSP, top);
		check(t, "SDM 1 6.5 ENTER, LEAVE, CALL at %lx", places[i]);
		GO(U_STOPPED);
		IS(get(t, VM_REG_R8), top - 0x28);
		IS(get(t, VM_REG_R9), top - 8);
		IS(get(t, VM_REG_R10), top);
		IS(get(t, VM_REG_R11), 0x77);
		IS(get(t, VM_REG_R12), top - 8 - 16 - 16);
		IS(get(t, VM_REG_R13), top);
		IS(get(t, VM_REG_RCX), -0x30);
		IS(get(t, VM_REG_RDX), 0);
		IS(get(t, VM_REG_RDI), 0);
		IS(t->f.rsp, top + 0x30);
	}
}

/* rSP as an operand like others. */
static void
operand(struct t *t)
{
	for (unsigned i = 0; i < NPLACES; i++) {
		uint64_t pa[2], at = stack_at(t, places[i], pa);

		user(t,
		    CODE("mov rbx, rsp\nmov [rsp - 8], rsp\n"
			 "mov qword ptr [rsp + 16], 5\nxadd [rsp + 16], rsp\n"
			 "mov rcx, rsp\nmov rsp, rbx\nmov rdx, [rsp + 16]\n"
			 "sub rdx, rsp\nmov rsi, [rsp - 8]\nsub rsi, rsp\n"
			 "mov rax, 16\nlea rsp, [rbx + rax * 2]\npush rax\n"
			 "mov rdi, rsp\nxchg rsp, rbx\nmov r8, rsp\n"
			 "mov [rsp], rbx\nmov rsp, [rsp]\nmov r9, rsp\n"
			 "lea rsp, [rsp - 24]\nmov r10, rsp\n"
			 "mov [rsp + 8], rsp\nadd rsp, 8\npop rsp\n"
			 "mov r11, rsp\nadd spl, 8\npush rax\nmov r12, rsp\n"
			 "mov sp, r8w\nmov r13, rsp\n"
			 "mov rsp, rbx\npush word ptr 0x40\npop sp\n"
			 "mov r14, rsp\nmov rsp, rbx\nsub rsp, rax\n"
			 "cmp rsp, rbx\nsetb r15b\nmovzx r15, r15b\n"
			 "mov rbp, rsp\nmov eax, 1\ncmp rsp, rsp\n"
			 "cmove rsp, r8\nmov esp, esp\n"
			 "mov rax, rsp\n" USTOP));
		set(t, VM_REG_RSP, at);
		check(t, "SDM 1 3.4.1 rSP as an operand at %lx", places[i]);
		GO(U_STOPPED);
		IS(get(t, VM_REG_RCX), 5);
		IS(get(t, VM_REG_RDX), 5);
		IS(get(t, VM_REG_RSI), 0);
		IS(get(t, VM_REG_RDI), at + 24);
		IS(get(t, VM_REG_R8), at);
		IS(get(t, VM_REG_R9), at + 24);
		IS(get(t, VM_REG_R10), at);
		IS(get(t, VM_REG_R11), at);
		IS(get(t, VM_REG_R12), at);
		IS(get(t, VM_REG_R13), at);
		IS(get(t, VM_REG_R14), (at & ~0xffffull) | 0x40);
		IS(get(t, VM_REG_R15), 1);
		IS(get(t, VM_REG_RBP), at + 8);
		IS(get(t, VM_REG_RAX), (uint32_t)at);
	}
}

/* The same by rSP and by rCX, from rBX on: what differs goes to r8. */
#define SAME(op, operands)                                                     \
	"mov rsp, rbx\n" op " rsp" operands "\nlahf\nseto al\n"                \
	"movzx esi, ax\nmov rdi, rsp\nmov rcx, rbx\n" op " rcx" operands       \
	"\nlahf\nseto al\nmovzx eax, ax\nxor eax, esi\nor r8, rax\n"           \
	"xor rcx, rdi\nor r8, rcx\n"

static void
flags(struct t *t)
{
	static const uint64_t from[] = { 0, 8, 24, 0xfff, 0x1000, 0xfff0,
		0x10000, 0x1fff8, 0x20000, 0x20018, 0x700000, GIB4 - 8, GIB4,
		GIB4 + 8, 0x7ffffffffff8, 0x7fffffffffff, 1ull << 47,
		(1ull << 48) - 8, 1ull << 48, (1ull << 63) - 8, 1ull << 63,
		0xffff800000000000, -4096ull, -24ull, -8ull, -1ull };

	for (unsigned i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		user(t,
		    CODE("xor r8d, r8d\nmov rdx, 0x123456789\n" /* */
			SAME("sub", ", 8") SAME("sub", ", 24")
			SAME("add", ", 24") SAME("add", ", 8")
			SAME("sub", ", -128") SAME("add", ", 0x1000")
			SAME("sub", ", 0x1000") SAME("sub", ", 0x1008")
			SAME("add", ", 0x7fffffff") USTOP));
		set(t, VM_REG_RBX, from[i]);
		check(t, "SDM 2 SUB, ADD of rSP: flags at %lx", from[i]);
		GO(U_STOPPED);
		IS(get(t, VM_REG_R8), 0);
		user(t,
		    CODE("xor r8d, r8d\nmov rdx, 0x123456789\n" /* */
			SAME("and", ", -16") SAME("and", ", -64")
			SAME("and", ", -4096") SAME("and", ", -8192")
			SAME("and", ", 0x7f0") SAME("add", ", rdx")
			SAME("sub", ", rdx") SAME("inc", "")
			SAME("dec", "") USTOP));
		set(t, VM_REG_RBX, from[i]);
		check(t, "SDM 2 AND, INC of rSP: flags at %lx", from[i]);
		GO(U_STOPPED);
		IS(get(t, VM_REG_R8) & ~0x1000ull, 0); /* AND: any AF */
	}
}

/* rSP moves in small steps and without an access as far as one likes. */
static void
drift(struct t *t)
{
	bool slow = (t->options & (GVM_NO_TLB | GVM_ONE_INSN)) != 0;
	uint64_t n = slow ? 1000 : 12 << 20, pa[2], at;

	at = stack_at(t, 0x300000000000, pa);
	set_mem(t, pa[1], 8, 0x1122334455667788);
	user(t,
	    CODE("1: sub rsp, 4096\ndec rcx\njnz 1b\nmov rax, [rsp]\n" USTOP));
	set(t, VM_REG_RSP, at + n * 4096);
	set(t, VM_REG_RCX, n);
	check(t, "soft-engine.md: rSP goes down 48 GiB");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 0x1122334455667788);
	user(t,
	    CODE("1: lea rsp, [rsp + 4096]\ndec rcx\njnz 1b\npop rax\n" USTOP));
	set(t, VM_REG_RSP, at - n * 4096);
	set(t, VM_REG_RCX, n);
	check(t, "soft-engine.md: and up");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 0x1122334455667788);
	user(t, CODE("push rax\n1: sub rsp, 4096\nprefetcht0 [rsp]\n"
		     "nop dword ptr [rsp]\n"
		     "dec rcx\njnz 1b\npush rax\n"));
	set(t, VM_REG_RSP, at);
	set(t, VM_REG_RCX, n);
	check(t, "soft-engine.md: away from all memory");
	GO(V_PF);
	IS(get(t, VM_REG_CR2), at - n * 4096 - 16);
	/* So far that what the host has for another window might be there. */
	n = slow ? 1000 : (84ull << 18) + 512;
	(void)stack_at(t, 0x310000000000, pa);
	user(t,
	    CODE("mov rax, [rsp]\nmov rbx, [rdi]\n"
		 "1: sub rsp, 4096\ndec rcx\njnz 1b\nmov rax, [rsp]\n"));
	set(t, VM_REG_RSP, at);
	set(t, VM_REG_RDI, 0x310000000000);
	set(t, VM_REG_RCX, n);
	check(t, "soft-engine.md: and further");
	GO(V_PF);
	IS(get(t, VM_REG_CR2), at - n * 4096);
	user(t, CODE(".rept 60\nsub rsp, 4096\n.endr\nmov rax, [rsp + 32]\n"
		     ".rept 60\nadd rsp, 4096\n.endr\nmov rcx, [rsp]\n"));
	set(t, VM_REG_RSP, at);
	check(t, "soft-engine.md: in one block");
	GO(V_PF);
	IS(get(t, VM_REG_CR2), at - 60 * 4096 + 32);
	IS(t->f.rsp, at - 60 * 4096);
}

static void
faults(struct t *t)
{
	uint64_t pa[2], at = stack_at(t, 0x700000, pa);
	static const struct {
		uint64_t sp;
		int v;
		uint64_t cr2, error;
	} bad[] = { { 0x800000, V_PF, 0x7ffff8, 6 },
		{ 0x6ff004, V_PF, 0x6feffc, 6 }, /* across pages */
		{ 1ull << 63, V_SS, 0, 0 },
		{ 0x800000000000 + 8, V_SS, 0, 0 },
		{ 0x400, V_PF, 0x3f8, 7 } };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		user(t, CODE("mov rdx, rsp\nmov r14, 9\npush rax\n"));
		set(t, VM_REG_RSP, bad[i].sp);
		check(t, "SDM 2 PUSH: faults at %lx", bad[i].sp);
		GO(bad[i].v);
		IS(t->f.rsp, bad[i].sp);
		IS(t->f.error, bad[i].error);
		IS(get(t, VM_REG_R14), 9);
		IS(t->f.rip, T_UCODE + 10);
		if (bad[i].v == V_PF)
			IS(get(t, VM_REG_CR2), bad[i].cr2);
		user(t, CODE("call 1f\n1:"));
		set(t, VM_REG_RSP, bad[i].sp);
		check(t, "SDM 2 CALL: faults at %lx", bad[i].sp);
		GO(bad[i].v);
		IS(t->f.rsp, bad[i].sp);
		IS(t->f.rip, T_UCODE);
		user(t, CODE("lea rsp, [rsp - 8]\npop r14\n"));
		set(t, VM_REG_RSP, bad[i].sp);
		set(t, VM_REG_R14, 4);
		check(t, "SDM 2 POP: faults below %lx", bad[i].sp);
		GO(bad[i].v);
		IS(t->f.rsp, bad[i].sp - 8);
		IS(get(t, VM_REG_R14), 4);
	}
	gvm_map(t->g, at, pa[1], PTE_P | PTE_U);
	user(t, CODE("pop rax\npush rcx\npush rcx\n"));
	set(t, VM_REG_RSP, at);
	check(t, "SDM 2 PUSH: a page that is read-only");
	GO(V_PF);
	IS(t->f.error, 7);
	IS(t->f.rsp, at + 8);

	/* Faults that are not of the stack. */
	user(t, CODE("mov r14, 0x14\npush r14\nsub rsp, 40\nxor ecx, ecx\n"
		     "mov rax, 5\ndiv rcx\n"));
	set(t, VM_REG_RSP, at);
	check(t, "SDM 3A 6.5: #DE behind pushes");
	GO(V_DE);
	IS(t->f.rsp, at - 48);
	IS(get(t, VM_REG_R14), 0x14);
	user(t, CODE("push rax\nmovaps xmm0, [rsp]\n"));
	set(t, VM_REG_RSP, at);
	check(t, "SDM 2 MOVAPS: a stack that is not aligned");
	GO(V_GP);
	IS(t->f.rsp, at - 8);
	/* The same while the page is not mirrored yet. */
	gvm_map(t->g, at + 0x5000, gvm_alloc(t->g, 1), PTE_P | PTE_W | PTE_U);
	user(t, CODE("mov r14, 3\nmovaps xmm0, [rsp + 8]\n"));
	set(t, VM_REG_RSP, at + 0x5000);
	check(t, "SDM 2 MOVAPS: nor is its page known");
	GO(V_GP);
	IS(t->f.rsp, at + 0x5000);
	IS(get(t, VM_REG_R14), 3);
	gvm_map(t->g, at + 0x7000, gvm_alloc(t->g, 1), PTE_P | PTE_W | PTE_U);
	user(t, CODE("mov r14, 3\nmov eax, 1\ndiv dword ptr [rsp + 8]\n"));
	set(t, VM_REG_RSP, at + 0x7000);
	check(t, "SDM 2 DIV: by the stack, whose page is not known");
	GO(V_DE);
	IS(t->f.rsp, at + 0x7000);
	IS(get(t, VM_REG_R14), 3);
}

/* Stacks in I/O memory and on code. */
static void
elsewhere(struct t *t)
{
	gvm_map(t->g, 0x900000, GVM_MMIO, PTE_P | PTE_W | PTE_U);
	user(t, CODE("push rbx\npush 0x55\nmov rdx, rsp\npop rcx\n"
		     "mov rsi, rsp\nadd qword ptr [rsp], 0\n" USTOP));
	set(t, VM_REG_RBX, 0x1234567890);
	set(t, VM_REG_RSP, 0x900800);
	check(t, "soft-engine.md: a stack in I/O memory");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RDX), 0x9007f0);
	IS(get(t, VM_REG_RSI), 0x9007f8);
	IS(t->f.rsp, 0x9007f8);

	for (unsigned i = 0; i < 3; i++) {
		user(t,
		    CODE("mov edx, 1\nlea rsp, 1f[rip + 8]\njmp 2f\n2:"
			 "push rbx\n1: mov edx, 2\nnop\nnop\nnop\n"
			 "mov rsi, rsp\nmov rdi, 5\n" USTOP));
		set(t, VM_REG_RBX, 0x9090909090909090);
		check(t, "SDM 3A 8.1.3: PUSH onto code");
		GO(U_STOPPED);
		IS(get(t, VM_REG_RDX), 1);
		IS(get(t, VM_REG_RDI), 5);
		IS(get(t, VM_REG_RSI), t->f.rsp);
	}
}

/* Interrupts come while a program uses its stack, and what is below rSP. */
static void
red_zone(struct t *t)
{
	uint64_t pa[2], at = stack_at(t, 0x700000, pa);

	t->g->patience = 120;
	handler(t, VEC,
	    CODE("inc rbp\nmov dword ptr [rbx + 0xb0], 0\niretq\n"));
	gvm_map(t->g, APIC, APIC, PTE_P | PTE_W);
	kernel(t,
	    CODE("mov dword ptr [rbx + 0xf0], 0x1ff\n"
		 "mov dword ptr [rbx + 0x3e0], 0xb\n"
		 "mov dword ptr [rbx + 0x320], 0x20060\n"
		 "mov dword ptr [rbx + 0x380], 200000\n" STOP));
	set(t, VM_REG_RBX, APIC);
	check(t, "SDM 3A 10.5.4: the timer for it");
	GO(GO_STOP);
	user(t,
	    CODE("mov r12, rsp\njmp 1f\n"
		 "3: mov [rsp - 8], rax\nmov [rsp - 128], r14\n"
		 "push r14\nsub rsp, 24\nmov [rsp - 16], rcx\n"
		 "mov [rsp + 8], rax\nadd rsp, 24\npop r15\n"
		 "cmp [rsp - 48], rcx\njne 2f\n"
		 "cmp [rsp - 24], rax\njne 2f\n"
		 "cmp [rsp - 128], r14\njne 2f\ncmp r15, r14\njne 2f\nret\n"
		 "1: inc rax\ninc r14\nmov rcx, rax\ncall 3b\n"
		 "cmp rsp, r12\njne 2f\ncmp rbp, 50\njb 1b\n"
		 "xor edx, edx\n2: " USTOP));
	set(t, VM_REG_RFLAGS, 0x202);
	set(t, VM_REG_RBP, 0);
	set(t, VM_REG_RBX, APIC);
	set(t, VM_REG_RDX, 1);
	set(t, VM_REG_RSP, at + 0x800);
	check(t, "soft-engine.md: interrupts leave the red zone alone");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RDX), 0);
	IS(t->f.rsp, at + 0x800);
}

const struct group_fn group[] = { { "pushes", pushes }, { "frames", frames },
	{ "operand", operand }, { "flags", flags }, { "drift", drift },
	{ "faults", faults }, { "elsewhere", elsewhere },
	{ "red_zone", red_zone }, { NULL, NULL } };
