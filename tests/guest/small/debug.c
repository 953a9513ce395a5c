/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug registers and single steps: SDM volume 3B, chapter 17. */
#include "small.h"

#define BS 0x4000ull
#define BD 0x2000ull
#define DR6_RESET 0xffff0ff0ull
#define D (T_DATA + 0x100)
/* R/W and LEN of breakpoint n in DR7, and its L bit. */
#define LEN(len) (((len) == 8 ? 2u : (len) - 1u) << 2)
#define BP(n, rw, len)                                                         \
	(1ull << 2 * (n) | (uint64_t)((rw) | LEN(len)) << (16 + 4 * (n)))
#define X 0
#define W 1
#define IO 2
#define RW 3

/* Starts kernel code with one breakpoint. */
static void
arm(struct t *t, struct code c, unsigned n, uint64_t addr, uint64_t dr7)
{
	kernel(t, c);
	set(t, VM_REG_DR6, DR6_RESET);
	set(t, (enum vm_reg)(VM_REG_DR0 + n), addr);
	set(t, VM_REG_DR7, dr7 | 0x400);
	set(t, VM_REG_RBX, D);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RCX, 0);
}

/* It ends in #DB with these DR6 bits, RIP `off` bytes on, and this RF. */
static void
is_db(struct t *t, uint64_t dr6, uint64_t off, uint64_t rf)
{
	GO(V_DB);
	IS(get(t, VM_REG_DR6), DR6_RESET | dr6);
	IS(t->f.rip, T_CODE + off);
	IS(t->f.rflags & FL_RF, rf);
}

static void
code(struct t *t)
{
	for (unsigned n = 0; n < 4; n++) {
		check(t, "SDM 3B 17.3.1.1: instruction breakpoint in DR%u, a "
			 "fault with RF 0", n);
		arm(t, CODE("inc eax\ninc eax\ninc eax\n" STOP), n, T_CODE + 2,
		    BP(n, X, 1));
		is_db(t, 1ull << n, 2, 0);
		IS(get(t, VM_REG_RAX), 1);
	}
	check(t, "SDM 3B 17.2.4: G0 enables as L0 does");
	arm(t, CODE("inc eax\ninc eax\n" STOP), 0, T_CODE + 2, 2);
	is_db(t, 1, 2, 0);
	check(t, "SDM 3B 17.2.4: without L0 and G0 nothing");
	arm(t, CODE("inc eax\ninc eax\n" STOP), 0, T_CODE + 2, 0x300);
	GO(GO_STOP);
	check(t, "SDM 3B 17.2.5: only the first byte of an instruction counts");
	arm(t, CODE("inc eax\ninc eax\n" STOP), 0, T_CODE + 1, 1);
	GO(GO_STOP);
	check(t, "SDM 3B 17.2.3: two conditions, both bits");
	arm(t, CODE("inc eax\ninc eax\n" STOP), 0, T_CODE + 2, 1 | BP(3, X, 1));
	set(t, VM_REG_DR3, T_CODE + 2);
	is_db(t, 9, 2, 0);
	check(t, "SDM 3B 17.3.1.1: RF in IRET's image lets it run, once");
	handler(t, V_DB, CODE("inc ecx\nor dword ptr [rsp + 16], 0x10000\n"
			      "iretq\n"));
	arm(t, CODE("mov edx, 3\n1:inc eax\ndec edx\njnz 1b\n" STOP), 0,
	    T_CODE + 5, 1);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 3);
	IS(get(t, VM_REG_RAX), 3);
	check(t, "SDM 3B 17.3.1.1: MOV SS keeps it off the next instruction");
	arm(t, CODE("mov edx, ss\nmov ss, edx\n1:inc eax\ninc eax\n" STOP), 0,
	    T_CODE + 4, 1);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0);
	check(t, "SDM 3A 6.9: a breakpoint comes before the instruction's #UD");
	gvm_gate(t->g, V_DB, GVM_STUBS + 16 * V_DB, 1, 3);
	arm(t, CODE("ud2\n"), 0, T_CODE, 1);
	is_db(t, 1, 0, 0);
	check(t, "SDM 3B 17.3.1.1: set by MOV DR7, it holds at once");
	arm(t, CODE("mov dr0, rdx\nmov eax, 1\nmov dr7, rax\n1:nop\n" STOP), 0,
	    0, 0);
	set(t, VM_REG_RDX, T_CODE + 11);
	is_db(t, 1, 11, 0);
	check(t, "SDM 3B 17.3.1.1: the fault of another kind has RF 1, and the "
		 "breakpoint does not hit again behind it");
	gvm_gate(t->g, V_UD, T_HAND, 0, 3);
	put(t, T_HAND, CODE("mov r8, [rsp + 16]\nmov word ptr [rsi], 0x9090\n"
			    "mov eax, 1\nmov dr7, rax\niretq\n"));
	arm(t, CODE("ud2\n" STOP), 0, T_CODE, 0);
	set(t, VM_REG_RSI, T_CODE);
	GO(GO_STOP);
	IS(get(t, VM_REG_R8) & FL_RF, FL_RF);
}

struct one {
	const char *what;
	uint64_t bp, addr, dr6;
};

static void
data(struct t *t)
{
	/* The instructions access 4 bytes at D + 4. */
	static const struct one writes[] = {
		{ "4 bytes", BP(0, W, 4), D + 4, 1 },
		{ "low bits of the address ignored", BP(0, W, 4), D + 7, 1 },
		{ "8 bytes around it", BP(0, W, 8), D, 1 },
		{ "its last byte", BP(0, W, 1), D + 7, 1 },
		{ "2 bytes within", BP(0, W, 2), D + 6, 1 },
		{ "the byte before", BP(0, W, 1), D + 3, 0 },
		{ "the byte behind", BP(0, W, 1), D + 8, 0 },
		{ "read or write", BP(0, RW, 4), D + 4, 1 },
		{ "execution", BP(0, X, 1), D + 4, 0 },
		{ "not enabled", BP(0, W, 4) & ~1ull, D + 4, 0 } };

	for (unsigned i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		const struct one *o = &writes[i];

		check(t, "SDM 3B 17.2.5, 17.3.1.2: store, breakpoint on %s",
		    o->what);
		set_mem(t, D + 4, 4, 0);
		arm(t, CODE("mov dword ptr [rbx + 4], 5\nnop\n" STOP), 0,
		    o->addr, o->bp);
		if (o->dr6)
			is_db(t, o->dr6, 7, 0);
		else
			GO(GO_STOP);
		IS(mem(t, D + 4, 4), 5);
		check(t, "SDM 3B 17.2.5, 17.3.1.2: load, breakpoint on %s",
		    o->what);
		arm(t, CODE("mov eax, [rbx + 4]\nnop\n" STOP), 0, o->addr,
		    o->bp);
		if (o->dr6 && (o->bp >> 16 & 3) == RW)
			is_db(t, o->dr6, 3, 0);
		else
			GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 5);
	}
}

static void
data_forms(struct t *t)
{
	check(t, "SDM 3B 17.3.1.2: push");
	arm(t, CODE("push rax\nnop\n" STOP), 1, GVM_STACK_TOP - 8,
	    BP(1, W, 8));
	is_db(t, 2, 1, 0);
	check(t, "SDM 3B 17.3.1.2: ADD to memory, a write");
	arm(t, CODE("add [rbx], rax\nnop\n" STOP), 2, D, BP(2, W, 8));
	is_db(t, 4, 3, 0);
	check(t, "SDM 3B 17.3.1.2: MOVUPS over a page's end");
	arm(t, CODE("movups [rbx + 0xef8], xmm0\nnop\n" STOP), 2,
	    D + 0xf00, BP(2, W, 1));
	is_db(t, 4, 7, 0);
	check(t, "SDM 3B 17.3.1.2: REP MOVSB stops behind the byte, RF 1");
	arm(t, CODE("rep movsb\nnop\n" STOP), 3, D + 5, BP(3, W, 1));
	set(t, VM_REG_RCX, 10);
	set(t, VM_REG_RSI, T_DATA + 0x800);
	set(t, VM_REG_RDI, D);
	is_db(t, 8, 0, FL_RF);
	IS(get(t, VM_REG_RCX), 4);
	check(t, "SDM 3B 17.3.1.2: its last byte: a plain trap");
	arm(t, CODE("rep stosb\nnop\n" STOP), 3, D + 5, BP(3, W, 1));
	set(t, VM_REG_RCX, 6);
	set(t, VM_REG_RDI, D);
	is_db(t, 8, 2, 0);
	check(t, "SDM 3B 17.3.1.2: FXSAVE's image");
	arm(t, CODE("fxsave [rbx]\nnop\n" STOP), 0, D + 24, BP(0, W, 4));
	is_db(t, 1, 3, 0);
	check(t, "SDM 3B 17.3.1.2: no trap by an instruction that faults");
	arm(t, CODE("mov r8, 0x8000000000000000\npush [r8]\n"), 0, D,
	    BP(0, RW, 8));
	GO(V_GP);
	IS(get(t, VM_REG_DR6), DR6_RESET);
	check(t, "SDM 3A 6.8.3: MOV SS from a watched word, trap one later");
	set_mem(t, D, 2, GVM_KDATA);
	arm(t, CODE("mov ss, [rbx]\nnop\nnop\n" STOP), 0, D, BP(0, RW, 2));
	is_db(t, 1, 3, 0);
	check(t, "SDM 3B 17.3.1.2: a handler's frame, trap at its start");
	gvm_gate(t->g, V_UD, GVM_STUBS + 16 * V_UD, 0, 3);
	arm(t, CODE("ud2\n"), 0, GVM_STACK_TOP - 8, BP(0, W, 8));
	GO(V_DB);
	IS(t->f.rip, GVM_STUBS + 16 * V_UD);
	IS(get(t, VM_REG_DR6), DR6_RESET | 1);
	check(t, "SDM 3B 17.3.1.2: user code's store");
	user(t, CODE("mov [rbx], al\nnop\n" USTOP));
	set(t, VM_REG_DR6, DR6_RESET);
	set(t, VM_REG_DR0, T_UDATA);
	set(t, VM_REG_DR7, 0x400 | BP(0, W, 1));
	set(t, VM_REG_RBX, T_UDATA);
	GO(V_DB);
	IS(t->f.rip, T_UCODE + 2);
	check(t, "SDM 3B 17.2.3: both a step and a breakpoint");
	arm(t, CODE("mov [rbx], al\nnop\n" STOP), 0, D, BP(0, W, 1));
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	is_db(t, BS | 1, 2, 0);
}

static void
ports(struct t *t)
{
	check(t, "SDM 3B 17.3.1.2: OUT to a watched port, a trap");
	arm(t, CODE("out 0x45, al\nnop\n" STOP), 0, 0x45, BP(0, IO, 1));
	is_db(t, 1, 2, 0);
	check(t, "SDM 3B 17.3.1.2: IN of four ports, the last is watched");
	arm(t, CODE("mov edx, 0x300\nin eax, dx\nnop\n" STOP), 0, 0x303,
	    BP(0, IO, 1));
	is_db(t, 1, 6, 0);
	check(t, "SDM 3B 17.2.4: with CR4.DE clear no I/O breakpoints");
	arm(t, CODE("out 0x45, al\nnop\n" STOP), 0, 0x45, BP(0, IO, 1));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~8ull);
	GO(GO_STOP);
	check(t, "SDM 3B 17.2.4: a port's breakpoint is not one of memory");
	arm(t, CODE("mov [rbx], al\nnop\n" STOP), 0, D, BP(0, IO, 1));
	GO(GO_STOP);
	check(t, "SDM 3B 17.3.1.2: REP OUTSB, each iteration");
	arm(t, CODE("mov edx, 0x45\nrep outsb\nnop\n" STOP), 0, 0x45,
	    BP(0, IO, 1));
	set(t, VM_REG_RCX, 3);
	set(t, VM_REG_RSI, D);
	is_db(t, 1, 5, FL_RF);
	IS(get(t, VM_REG_RCX), 2);
}

static void
registers(struct t *t)
{
	check(t, "SDM 3B 17.2.4, 17.3.1.3: GD, #DB before MOV DR");
	arm(t, CODE("nop\nmov rax, dr0\n" STOP), 0, 0x1234, 0x2000);
	is_db(t, BD, 1, FL_RF);
	IS(get(t, VM_REG_RAX), 0);
	check(t, "SDM 3B 17.2.4: GD is cleared for the handler");
	IS(get(t, VM_REG_DR7), 0x400);
	check(t, "SDM 2 MOV DR: CPL 3 is #GP(0), GD or not");
	user(t, CODE("mov rax, dr0\n"));
	set(t, VM_REG_DR7, 0x2400);
	GO(V_GP);
	IS(t->f.error, 0);
	set(t, VM_REG_DR7, 0x400);
	check(t, "SDM 3B 17.2.2: DR4 and DR5 are DR6 and DR7 without CR4.DE");
	kernel(t, CODE(".byte 0x0f, 0x21, 0xe0\n" /* mov rax, dr4 */
		       "mov ecx, 0xf0\n"
		       ".byte 0x0f, 0x23, 0xe9\n" STOP)); /* mov dr5, rcx */
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~8ull);
	set(t, VM_REG_DR6, DR6_RESET);
	set(t, VM_REG_DR0, ~0ull);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), DR6_RESET);
	set(t, VM_REG_DR7, 0x400);
	check(t, "SDM 3B 17.2: bits that are fixed in DR6 and DR7");
	kernel(t, CODE("mov eax, 0xffff1ff5\nmov dr6, rax\nmov rcx, dr6\n"
		       "mov eax, 0xdc00\nmov dr7, rax\nmov rdx, dr7\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0xffff0ff5);
	IS(get(t, VM_REG_RDX), 0x400);
	check(t, "SDM 2 MOV DR (#GP): DR6 bit 32");
	kernel(t, CODE("bts rax, 32\nmov dr6, rax\n"));
	set(t, VM_REG_RAX, 0);
	GO(V_GP);
	check(t, "SDM 2 MOV DR (#UD): DR8");
	kernel(t, CODE(".byte 0x44, 0x0f, 0x23, 0xc0\n"));
	GO(V_UD);
	check(t, "SDM 2 INT1: #DB that leaves DR6 alone, RIP behind it");
	arm(t, CODE(".byte 0xf1\n"), 0, 0, 0x2000);
	is_db(t, 0, 1, 0);
	IS(get(t, VM_REG_DR7), 0x400);
	check(t, "SDM 2 INT1: the gate's DPL does not matter");
	gvm_gate(t->g, V_DB, GVM_STUBS + 16 * V_DB, 1, 0);
	user(t, CODE(".byte 0xf1\n"));
	GO(V_DB);
	IS(t->f.rip, T_UCODE + 1);
}

static void
steps(struct t *t)
{
	check(t, "SDM 3B 17.3.1.4: STI does not hide a step");
	arm(t, CODE("sti\nnop\n" STOP), 0, 0, 0);
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	is_db(t, BS, 1, 0);
	check(t, "SDM 3A 6.8.3: MOV SS holds the step back by one");
	arm(t, CODE("mov ss, edx\nnop\nnop\n" STOP), 0, 0, 0);
	set(t, VM_REG_RDX, GVM_KDATA);
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	is_db(t, BS, 3, 0);
	check(t, "SDM 3B 17.3.1.4: a step over HLT wakes it");
	arm(t, CODE("hlt\nnop\n" STOP), 0, 0, 0);
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	is_db(t, BS, 1, 0);
	check(t, "SDM 3B 17.4.3: DEBUGCTL.BTF, traps at branches only");
	arm(t, CODE("mov ecx, 0x1d9\nmov eax, 2\nxor edx, edx\nwrmsr\n"
		    "push 0x102\npopfq\nnop\nrep stosb\njz 1f\n"
		    "1:jmp 2f\nnop\n2:nop\n" STOP), 0, 0, 0);
	set(t, VM_REG_RDI, D);
	GO(V_DB);
	IS(get(t, VM_REG_DR6), DR6_RESET | BS);
	/* The STOSB has 0x1d9 to do: without BTF it would trap at once. */
	IS(get(t, VM_REG_RCX), 0);
	IS(t->f.rip, T_CODE + 28);
	check(t, "SDM 3B 17.4.3: the trap clears BTF");
	kernel(t, CODE("mov ecx, 0x1d9\nrdmsr\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0);
}

/* Branches to the next instruction are branches. */
static void
next_door(struct t *t)
{
	static const char *const what[] = { "JMP", "JZ", "JMP RAX", "CALL",
		"RET", "LOOP", "IRETQ", "JMP FAR" };

	for (unsigned i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		struct code c = CODE("jmp 1f\n1:nop\nud2\n");

		if (i == 1)
			c = CODE("jz 1f\n1:nop\nud2\n");
		else if (i == 2)
			c = CODE("jmp rax\nnop\nud2\n");
		else if (i == 3)
			c = CODE("call 1f\n1:nop\nud2\n");
		else if (i == 4)
			c = CODE("ret\nnop\nud2\n");
		else if (i == 5)
			c = CODE("loop 1f\n1:nop\nud2\n");
		else if (i == 6)
			c = CODE("iretq\nnop\nud2\n");
		else if (i == 7)
			c = CODE("jmp fword ptr [rsp]\nnop\nud2\n");
		check(t, "SDM 3B 17.4.3: BTF, %s to the next instruction",
		    what[i]);
		arm(t, c, 0, 0, 0);
		IS(vcpu_set_msr(t->g->cpu, 0x1d9, 2), 0);
		set(t, VM_REG_RFLAGS, 2 | FL_TF | (i == 1 ? 0x40 : 0));
		set(t, VM_REG_RCX, 5);
		set(t, VM_REG_RAX, T_CODE + 2);
		set(t, VM_REG_RSP, D + 0x100);
		set_mem(t, D + 0x100, 8, T_CODE + (i == 4 ? 1 : 2));
		set_mem(t, D + 0x108, 8, 8);
		if (i == 7) {
			set_mem(t, D + 0x100, 4, T_CODE + 3);
			set_mem(t, D + 0x104, 4, 8);
		}
		set_mem(t, D + 0x110, 8, 2 | FL_TF);
		set_mem(t, D + 0x118, 8, D + 0x200);
		set_mem(t, D + 0x120, 8, 0x10);
		GO(V_DB);
		IS(t->f.rip,
		    T_CODE + (i == 3 ? 5 : i == 4 ? 1 : i == 7 ? 3 : 2));
		IS(vcpu_set_msr(t->g->cpu, 0x1d9, 0), 0);
	}
	check(t, "SDM 3B 17.4.3: BTF, a branch that is not taken is none");
	arm(t, CODE("jz 1f\nnop\n1:jrcxz 2f\nnop\n2:ud2\n"), 0, 0, 0);
	IS(vcpu_set_msr(t->g->cpu, 0x1d9, 2), 0);
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	set(t, VM_REG_RCX, 5);
	GO(V_UD);
	IS(vcpu_set_msr(t->g->cpu, 0x1d9, 0), 0);
}

#define CODE16(text) CODE(".code16\n" text "\n.code64\n")

/* Real mode: code at 8000:0, stack 7000:1000, data a000:0. */
static void
real(struct t *t, struct code c, uint64_t addr, uint64_t dr7)
{
	static const struct {
		enum vm_segreg seg;
		uint16_t sel;
	} segs[] = { { VM_SEG_CS, 0x8000 }, { VM_SEG_SS, 0x7000 },
		{ VM_SEG_DS, 0xa000 }, { VM_SEG_ES, 0xa000 } };
	struct vm_seg idtr = { .base = 0, .limit = 0x3ff };

	arm(t, c, 0, addr, dr7);
	for (unsigned i = 0; i < 32; i++)
		set_mem(t, 4 * i, 4, GVM_STUBS + 16 * i);
	set(t, VM_REG_CR0, 0x30);
	set(t, VM_REG_EFER, 0);
	set(t, VM_REG_CR4, 8);
	for (unsigned i = 0; i < 4; i++) {
		struct vm_seg v = { .base = (uint64_t)segs[i].sel << 4,
			.limit = 0xffff, .sel = segs[i].sel,
			.access = i ? 0x93 : 0x9b };

		(void)vcpu_set_seg(t->g->cpu, segs[i].seg, &v);
	}
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_IDTR, &idtr);
	set(t, VM_REG_RIP, 0);
	set(t, VM_REG_RSP, 0x1000);
	set(t, VM_REG_RBX, 0x100);
}

static void
is_real_db(struct t *t, uint64_t dr6, uint64_t ip)
{
	GO(V_DB);
	IS(get(t, VM_REG_DR6), DR6_RESET | dr6);
	IS(mem(t, 0x70ffa, 2), ip);
	IS(mem(t, 0x70ffc, 2), 0x8000);
}

static void
real_mode(struct t *t)
{
	check(t, "SDM 3B 17.2.1: in real mode too, linear addresses");
	real(t, CODE16("inc ax\ninc ax\n" STOP), T_CODE + 1, 1);
	is_real_db(t, 1, 1);
	check(t, "SDM 3B 17.2.1: a data breakpoint in real mode");
	real(t, CODE16("mov [bx], al\ninc ax\n" STOP), D, BP(0, W, 1));
	is_real_db(t, 1, 2);
	check(t, "SDM 2 MOV DR: 32 bits outside 64-bit mode");
	real(t, CODE16("mov dr1, eax\nmov dr6, eax\nmov ecx, dr1\n" STOP), 0,
	    0);
	set(t, VM_REG_RAX, ~0ull);
	set(t, VM_REG_RCX, ~0ull);
	GO(GO_STOP);
	IS(get(t, VM_REG_DR1), 0xffffffff);
	IS(get(t, VM_REG_RCX), 0xffffffff);
	IS(get(t, VM_REG_DR6), 0xffffefff);
	check(t, "SDM 3B 17.3.1.1: RF by a 32-bit IRET in real mode");
	real(t, CODE16("inc cx\ninc cx\n" STOP), T_CODE, 1);
	/* The handler makes a frame of 32 bits with RF set. */
	put(t, T_HAND, CODE16("inc dx\npop ax\npop si\npop di\n"
			      "push 1\npush di\npush 0\npush si\npush 0\n"
			      "push ax\niretd\n"));
	set_mem(t, 4 * V_DB, 4, T_HAND / 16 << 16);
	set(t, VM_REG_RDX, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 1);
	IS(get(t, VM_REG_RCX), 2);
}

const struct group_fn group[] = { { "code", code }, { "data", data },
	{ "data_forms", data_forms }, { "ports", ports },
	{ "registers", registers }, { "steps", steps },
	{ "next_door", next_door }, { "real_mode", real_mode },
	{ NULL, NULL } };
