/* SPDX-License-Identifier: BSD-2-Clause */
/* A debugger's hold on a vcpu: vcpu_set_debug() and vcpu_translate(). What the
 * guest has of its own of all that stays what it was. */
#include <errno.h>

#include "small.h"

#define BS 0x4000ull
#define DR6_RESET 0xffff0ff0ull
#define DR7_RESET 0x400ull
#define D (T_DATA + 0x100)
#define DEBUG GO_EXIT(VM_EXITCODE_DEBUG)
#define BPT GO_EXIT(VM_EXITCODE_BPT)

static void
hold(struct t *t, struct vm_debug d)
{
	IS(vcpu_set_debug(t->g->cpu, &d), 0);
}

#define HOLD(...) hold(t, (struct vm_debug){ __VA_ARGS__ })

static void
begin(struct t *t, struct code c)
{
	kernel(t, c);
	set(t, VM_REG_DR6, DR6_RESET);
	set(t, VM_REG_DR7, DR7_RESET);
	set(t, VM_REG_RBX, D);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RCX, 0);
}

/* One step, to `off` bytes from the code's begin. */
static void
step(struct t *t, uint64_t off)
{
	GO(DEBUG);
	IS(t->exit.u.debug.step, 1);
	IS(t->exit.rip, T_CODE + off);
	IS(get(t, VM_REG_RIP), T_CODE + off);
	IS(get(t, VM_REG_RFLAGS) & FL_TF, 0);
}

static void
stopped_at(struct t *t, uint64_t off, unsigned hits)
{
	GO(DEBUG);
	IS(t->exit.u.debug.step, 0);
	IS(t->exit.u.debug.hits, hits);
	IS(t->exit.rip, T_CODE + off);
}

static void
bpt(struct t *t)
{
	uint8_t nop = 0x90;

	check(t, "vmm.h: INT3 is the guest's without a debugger");
	begin(t, CODE("nop\nint3\n" STOP));
	GO(V_BP);
	IS(t->f.rip, T_CODE + 2);
	check(t, "vmm.h: bpt, INT3 leaves before it is executed");
	begin(t, CODE("nop\nint3\ninc eax\n" STOP));
	HOLD(.bpt = true);
	GO(BPT);
	IS(t->exit.rip, T_CODE + 1);
	IS(get(t, VM_REG_RIP), T_CODE + 1);
	check(t, "vmm.h: bpt, and again where it is");
	GO(BPT);
	IS(t->exit.rip, T_CODE + 1);
	check(t, "vmm.h: bpt, another byte in its place");
	gvm_write(t->g, T_CODE + 1, &nop, 1);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 1);
	check(t, "vmm.h: pass, it is the guest's, once");
	begin(t, CODE("nop\nint3\nint3\n" STOP));
	GO(BPT);
	HOLD(.bpt = true, .pass = true);
	GO(V_BP);
	IS(t->f.rip, T_CODE + 2);
	IS(t->f.cs, GVM_KCODE);
	gvm_start(t->g, T_CODE + 2);
	GO(BPT);
	IS(t->exit.rip, T_CODE + 2);
	check(t, "vmm.h: INT 3 of two bytes is the guest's");
	begin(t, CODE(".byte 0xcd, 3\n" STOP));
	HOLD(.bpt = true);
	GO(V_BP);
	IS(t->f.rip, T_CODE + 2);
	check(t, "vmm.h: bpt in ring 3");
	user(t, CODE("nop\nint3\n" USTOP));
	GO(BPT);
	IS(t->exit.rip, T_UCODE + 1);
	HOLD(.bpt = false);
	GO(V_BP);
	IS(t->f.rip, T_UCODE + 2);
}

static void
steps(struct t *t)
{
	check(t, "vmm.h: step, one instruction at a time");
	begin(t, CODE("inc eax\nmov [rbx], eax\njmp 1f\nud2\n"
		      "1:nop\ninc eax\n" STOP));
	set_mem(t, D, 4, 0);
	HOLD(.step = true);
	step(t, 2);
	IS(get(t, VM_REG_RAX), 1);
	step(t, 4);
	IS(mem(t, D, 4), 1);
	step(t, 8);
	step(t, 9);
	check(t, "vmm.h: no step any more");
	HOLD(.step = false);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 2);
	IS(get(t, VM_REG_DR6), DR6_RESET);
	check(t, "vmm.h: step from a RIP that was set");
	begin(t, CODE("nop\nnop\nnop\nnop\n" STOP));
	HOLD(.step = true);
	step(t, 1);
	set(t, VM_REG_RIP, T_CODE + 2);
	step(t, 3);
	check(t, "vmm.h: step, CPUID, IN, I/O memory, RDMSR");
	begin(t, CODE("cpuid\nin al, 0x70\nmov eax, [rdi]\nmov ecx, 0x1b\n"
		      "rdmsr\nnop\n" STOP));
	gvm_map(t->g, GVM_MMIO, GVM_MMIO, PTE_P | PTE_W);
	set(t, VM_REG_RDI, GVM_MMIO);
	step(t, 2);
	step(t, 4);
	step(t, 6);
	step(t, 11);
	step(t, 13);
	check(t, "vmm.h: step, one round of a repeated instruction");
	begin(t, CODE("rep stosb\nnop\n" STOP));
	set(t, VM_REG_RDI, D);
	set(t, VM_REG_RCX, 2);
	step(t, 0);
	IS(get(t, VM_REG_RCX), 1);
	step(t, 2);
	IS(get(t, VM_REG_RCX), 0);
	HOLD(.step = false);
}

static void
trap_flag(struct t *t)
{
	check(t, "vmm.h: step, PUSHF pushes the guest's TF");
	begin(t, CODE("pushfq\npop rax\nnop\n" STOP));
	HOLD(.step = true);
	step(t, 1);
	step(t, 2);
	IS(get(t, VM_REG_RAX) & FL_TF, 0);
	check(t, "vmm.h: step, INT's frame has the guest's TF");
	begin(t, CODE("int 0x40\n" STOP));
	handler(t, 0x40, CODE("mov rax, [rsp + 16]\nnop\n" STOP));
	GO(DEBUG);
	IS(get(t, VM_REG_RIP), T_HAND + 256 * 0x40);
	GO(DEBUG);
	IS(get(t, VM_REG_RAX) & FL_TF, 0);
	check(t, "vmm.h: step, the guest's own TF traps in the guest");
	begin(t, CODE("inc eax\ninc eax\n" STOP));
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	handler(t, V_DB, CODE("mov rdx, [rsp]\nmov rcx, [rsp + 16]\n"
			      "mov rsi, dr6\n" STOP));
	GO(DEBUG);
	IS(get(t, VM_REG_RIP), T_HAND + 256 * V_DB);
	HOLD(.step = false);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 2);
	IS(get(t, VM_REG_RCX) & FL_TF, FL_TF);
	IS(get(t, VM_REG_RSI), DR6_RESET | BS);
	check(t, "vmm.h: step, POPF sets the guest's TF");
	begin(t, CODE("push 0x102\npopfq\nnop\nnop\n" STOP));
	HOLD(.step = true);
	step(t, 5);
	GO(DEBUG);
	IS(get(t, VM_REG_RIP), T_CODE + 6);
	IS(get(t, VM_REG_RFLAGS) & FL_TF, FL_TF);
	HOLD(.step = false);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 7);
}

static void
breakpoints(struct t *t)
{
	struct vm_debug bad = { .bp[0] = { VM_BP_WRITE, 4, D + 1 } };

	for (unsigned i = 0; i < VM_DEBUG_BPS; i++) {
		struct vm_debug d = { .step = false };

		check(t, "vmm.h: EXEC in bp[%u], before the instruction", i);
		begin(t, CODE("inc eax\ninc eax\ninc eax\n" STOP));
		d.bp[i].kind = VM_BP_EXEC;
		d.bp[i].len = 1;
		d.bp[i].addr = T_CODE + 2;
		hold(t, d);
		stopped_at(t, 2, 1u << i);
		IS(get(t, VM_REG_RAX), 1);
		stopped_at(t, 2, 1u << i);
		HOLD(.step = false);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 3);
	}
	check(t, "vmm.h: WRITE, behind the instruction");
	begin(t, CODE("mov eax, [rbx]\nmov [rbx + 2], ax\nnop\n" STOP));
	HOLD(.bp[1] = { VM_BP_WRITE, 4, D });
	stopped_at(t, 6, 2);
	GO(GO_STOP);
	check(t, "vmm.h: ACCESS, behind the instruction");
	begin(t, CODE("mov eax, [rbx]\nmov [rbx + 2], ax\nnop\n" STOP));
	HOLD(.bp[3] = { VM_BP_ACCESS, 4, D });
	stopped_at(t, 2, 8);
	stopped_at(t, 6, 8);
	GO(GO_STOP);
	check(t, "vmm.h: beside it nothing");
	begin(t, CODE("mov [rbx], eax\nmov [rbx + 5], al\nnop\n" STOP));
	HOLD(.bp[0] = { VM_BP_WRITE, 1, D + 4 });
	GO(GO_STOP);
	check(t, "vmm.h: WRITE in a string instruction, and a step");
	begin(t, CODE("rep stosb\nnop\n" STOP));
	set(t, VM_REG_RDI, D);
	set(t, VM_REG_RCX, 8);
	HOLD(.bp[0] = { VM_BP_WRITE, 1, D + 3 });
	GO(DEBUG);
	IS(t->exit.u.debug.hits, 1);
	IS(get(t, VM_REG_RDI), D + 4);
	check(t, "vmm.h: a breakpoint that cannot be");
	IS(vcpu_set_debug(t->g->cpu, &bad), -EINVAL);
	HOLD(.step = false);
}

/* The guest sees its own debug registers, and they are as they were. */
static void
guests_own(struct t *t)
{
	check(t, "vmm.h: breakpoints, the guest's debug registers stay");
	begin(t, CODE("inc eax\nmov rcx, dr0\nmov rdx, dr6\nmov rsi, dr7\n"
		      "mov edi, 0x1234\nmov dr1, rdi\n"
		      "mov rbp, dr1\n" STOP));
	set(t, VM_REG_DR0, 0x5678);
	HOLD(.bp[0] = { VM_BP_EXEC, 1, T_CODE + 2 });
	stopped_at(t, 2, 1);
	IS(get(t, VM_REG_DR0), 0x5678);
	IS(get(t, VM_REG_DR6), DR6_RESET);
	IS(get(t, VM_REG_DR7), DR7_RESET);
	HOLD(.bp[0] = { VM_BP_WRITE, 8, D + 64 });
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x5678);
	IS(get(t, VM_REG_RDX), DR6_RESET);
	IS(get(t, VM_REG_RSI), DR7_RESET);
	IS(get(t, VM_REG_RBP), 0x1234);
	check(t, "vmm.h: breakpoints, the guest's own TF traps in the guest");
	begin(t, CODE("inc eax\ninc eax\n" STOP));
	set(t, VM_REG_RFLAGS, 2 | FL_TF);
	handler(t, V_DB, CODE("mov rdx, [rsp]\nmov rsi, dr6\n" STOP));
	HOLD(.bp[0] = { VM_BP_WRITE, 8, D + 64 });
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 2);
	IS(get(t, VM_REG_RSI) & BS, BS);
	HOLD(.step = false);
	check(t, "vmm.h: the guest's own breakpoint, once the debugger is "
		 "gone");
	HOLD(.step = false);
	gvm_gate(t->g, V_DB, GVM_STUBS + 16 * V_DB, 1, 3);
	begin(t, CODE("inc eax\ninc eax\n" STOP));
	set(t, VM_REG_DR0, T_CODE + 2);
	set(t, VM_REG_DR7, DR7_RESET | 1);
	GO(V_DB);
	IS(get(t, VM_REG_DR6), DR6_RESET | 1);
	IS(t->f.rip, T_CODE + 2);
	check(t, "vmm.h: the guest's own breakpoint, with INT3 held");
	begin(t, CODE("inc eax\ninc eax\n" STOP));
	set(t, VM_REG_DR7, DR7_RESET | 1);
	HOLD(.bpt = true);
	GO(V_DB);
	IS(get(t, VM_REG_DR6), DR6_RESET | 1);
	HOLD(.step = false);
	set(t, VM_REG_DR7, DR7_RESET);
}

/* An exception of the instruction goes to the guest; a page fault leaves no
 * hit. */
static void
faults(struct t *t)
{
	check(t, "vmm.h: a fault on the way is the guest's");
	begin(t, CODE("mov [rdi], eax\nnop\n" STOP));
	set(t, VM_REG_RDI, 0x700000);
	HOLD(.bp[0] = { VM_BP_WRITE, 4, 0x700000 });
	GO(V_PF);
	IS(t->f.rip, T_CODE);
	HOLD(.step = false);
}

static void
translate(struct t *t)
{
	uint64_t gpa = 0;

	check(t, "vmm.h: vcpu_translate()");
	begin(t, CODE(STOP));
	IS(vcpu_translate(t->g->cpu, T_CODE + 5, &gpa), 0);
	IS(gpa, T_CODE + 5);
	IS(vcpu_translate(t->g->cpu, T_UDATA + 0x1234, &gpa), 0);
	IS(gpa, upage(t, T_UDATA + 0x1234));
	IS(vcpu_translate(t->g->cpu, 0x700000, &gpa), -EFAULT);
	IS(vcpu_translate(t->g->cpu, 1ull << 60, &gpa), -EFAULT);
	/* The page that was not touched has no A bit now either. */
	IS(*gvm_pte(t->g, T_UDATA + 0x1000) & PTE_A, 0);
}

const struct group_fn group[] = { { "bpt", bpt }, { "steps", steps },
	{ "trap_flag", trap_flag }, { "breakpoints", breakpoints },
	{ "guests_own", guests_own }, { "faults", faults },
	{ "translate", translate }, { NULL, NULL } };
