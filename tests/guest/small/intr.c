/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts: SDM volume 3A, chapters 6 and 10 (local APIC). */
#include "small.h"

#include <string.h>

#include <time.h>

#define APIC 0xfee00000ull
#define A_TPR "0x80"
#define A_EOI "0xb0"
#define VEC 0x60

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* Enters ring 0 code with RBX at the local APIC, enabled, and RBP 0. */
static void
start(struct t *t, struct code c)
{
	struct gvm *g = t->g;

	gvm_map(g, APIC, APIC, PTE_P | PTE_W);
	kernel(t, CODE("mov dword ptr [rbx + 0xf0], 0x1ff\n" STOP));
	set(t, VM_REG_RBX, APIC);
	GO(GO_STOP);
	kernel(t, c);
	set(t, VM_REG_RBP, 0);
	set(t, VM_REG_RBX, APIC);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_CR8, 0);
}

static void
send(struct t *t, uint8_t vector)
{
	IS(vm_msi(t->g->vm, APIC, vector), 0);
}

#define COUNT_AND_EOI                                                          \
	CODE("inc ebp\nmov dword ptr [rbx + 0xb0], 0\niretq\n")

static void
timer(struct t *t)
{
	handler(t, VEC, COUNT_AND_EOI);
	check(t, "SDM 3A 10.5.4: one-shot, once");
	start(t, CODE("mov dword ptr [rbx + 0x3e0], 0xb\n"
		      "mov dword ptr [rbx + 0x320], 0x60\n"
		      "mov dword ptr [rbx + 0x380], 1000000\nsti\n"
		      "1:pause\ntest ebp, ebp\njz 1b\nmov ecx, 20000000\n"
		      "2:loop 2b\nmov edx, [rbx + 0x390]\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(get(t, VM_REG_RDX), 0);
	check(t, "SDM 3A 10.5.4: periodic");
	start(t, CODE("mov dword ptr [rbx + 0x3e0], 0xb\n"
		      "mov dword ptr [rbx + 0x320], 0x20060\n"
		      "mov dword ptr [rbx + 0x380], 500000\nsti\n"
		      "1:pause\ncmp ebp, 5\njb 1b\n"
		      "mov dword ptr [rbx + 0x380], 0\n"
		      "mov ecx, 1000\n2:loop 2b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP) >= 5, 1); /* a late host may add one */
	check(t, "SDM 3A 10.5.4: the count goes down");
	start(t, CODE("mov dword ptr [rbx + 0x320], 0x10060\n"
		      "mov dword ptr [rbx + 0x380], 0x7fffffff\n"
		      "mov ecx, [rbx + 0x390]\n1:mov edx, [rbx + 0x390]\n"
		      "cmp edx, ecx\nje 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX) < get(t, VM_REG_RCX), 1);
	IS(get(t, VM_REG_RCX) <= 0x7fffffff, 1);
	check(t, "SDM 3A 10.5.4: masked, none comes");
	start(t, CODE("mov dword ptr [rbx + 0x320], 0x10060\n"
		      "mov dword ptr [rbx + 0x380], 1000\nsti\n"
		      "mov ecx, 5000000\n1:loop 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 0);
	check(t, "SDM 3A 10.5.4.1: TSC deadline");
	start(t, CODE("mov dword ptr [rbx + 0x320], 0x40060\nrdtsc\n"
		      "add eax, 2000000\nadc edx, 0\nmov esi, eax\n"
		      "mov edi, edx\n"
		      "mov ecx, 0x6e0\nwrmsr\nsti\n1:pause\ntest ebp, ebp\n"
		      "jz 1b\n"
		      "rdmsr\nmov r8d, eax\nor r8d, edx\nrdtsc\nsub eax, esi\n"
		      "sbb edx, edi\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(get(t, VM_REG_RDX), 0); /* not before its time */
	IS(get(t, VM_REG_R8), 0);  /* disarmed */
	check(t, "SDM 3A 10.5.4.1: a deadline in the past is due at once");
	start(t, CODE("mov dword ptr [rbx + 0x320], 0x40060\nmov eax, 1\n"
		      "xor edx, edx\nmov ecx, 0x6e0\nwrmsr\nsti\n"
		      "1:pause\ntest ebp, ebp\njz 1b\n" STOP));
	GO(GO_STOP);
	check(t, "SDM 3A 10.5.4.1: writing 0 disarms");
	start(t, CODE("mov dword ptr [rbx + 0x320], 0x40060\nrdtsc\n"
		      "add eax, 100000000\nadc edx, 0\nmov ecx, 0x6e0\nwrmsr\n"
		      "mov esi, eax\nmov edi, edx\nxor eax, eax\n"
		      "xor edx, edx\nwrmsr\nsti\n"
		      "1:rdtsc\nsub eax, esi\nsbb edx, edi\njs 1b\n"
		      "mov ecx, 1000000\n2:loop 2b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 0);
}

static void
interrupt_flag(struct t *t)
{
	handler(t, VEC, COUNT_AND_EOI);
	check(t, "SDM 3A 6.8.1: held back while IF is 0");
	start(t, CODE("mov ecx, 1000\n1:loop 1b\nmov esi, [rbx + 0x230]\n"
		      "mov edx, ebp\nsti\nnop\nnop\ncli\n" STOP));
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 0);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "SDM 3A 10.8.4: waits in IRR");
	IS(get(t, VM_REG_RSI), 1); /* vector 0x60: bit 0 of IRR 3 */
	check(t, "SDM 2 STI: none between STI and the next instruction");
	handler(t, VEC, CODE("mov rdx, [rsp]\nmov dword ptr [rbx + 0xb0], 0\n"
			     "iretq\n"));
	start(t, CODE("sti\nnop\nnop\nnop\n" STOP));
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 2);
	check(t, "SDM 2 STI: STI; CLI lets none in");
	start(t, CODE("sti\ncli\nnop\nsti\ncli\nnop\n" STOP));
	set(t, VM_REG_RDX, 0);
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 0);
	check(t, "SDM 2 STI: with IF already 1 there is no shadow");
	start(t, CODE("sti\nnop\nsti\nsti\nsti\nnop\n" STOP));
	GO(GO_STOP);
	check(t, "SDM 3A 6.8.3: MOV SS holds interrupts for an instruction");
	start(t, CODE("mov ax, 0x10\nmov cx, 0x302\npush 0x202\npopfq\n"
		      "mov ss, ax\nnop\nnop\n" STOP));
	send(t, VEC);
	GO(GO_STOP);
	/* Either before MOV SS or behind the NOP, never between. */
	IS(get(t, VM_REG_RDX) != T_CODE + 8 + 6 + 2, 1);
	check(t, "SDM 3A 6.8.3: POPF that sets IF lets it in at once");
	start(t, CODE("push 0x202\npopfq\nnop\nnop\n" STOP));
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 6);
	check(t, "SDM 2 IRET: that sets IF lets it in at once");
	start(t, CODE("mov rax, rsp\npush 0x10\npush rax\npush 0x202\npush 8\n"
		      "lea rax, [rip + 1f]\npush rax\niretq\n"
		      ".balign 64, 0x90\n1:nop\nnop\n" STOP));
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 64);
}

#define AGAIN                                                                  \
	"cli\ndec r12d\njs 9f\nmov dword ptr [rbx + 0x300], 0x40060\n"         \
	"jmp 0b\n9:" STOP

/* Behind STI, MOV SS and POP SS an interrupt that waits comes after exactly
 * one instruction, also if that is a jump or lies in another page. */
static void
shadow(struct t *t)
{
	static const char *const what[] = { "JMP", "a taken Jcc", "CALL",
		"a loop", "an instruction in the next page" };

	handler(t, VEC, CODE("mov rdx, [rsp]\nmov dword ptr [rbx + 0xb0], 0\n"
			     "iretq\n"));
	for (unsigned i = 0; i < 5; i++) {
		/* Twice: the first time nothing waits, and code is linked. */
		struct code c = CODE("0:sti\njmp 1f\n.balign 64, 0x90\n1:nop\n"
				     "nop\nnop\n" AGAIN);
		uint64_t want = T_CODE + 64;

		if (i == 1)
			c = CODE("0:cmp eax, eax\nsti\nje 1f\n"
				 ".balign 64, 0x90\n1:nop\nnop\nnop\n"
				 AGAIN);
		else if (i == 2)
			c = CODE("0:sti\ncall 1f\n.balign 64, 0x90\n"
				 "1:nop\nnop\nnop\n" AGAIN);
		else if (i == 3)
			c = CODE("0:mov ecx, 2\njmp 2f\n.balign 64, 0x90\n"
				 "1:nop\nnop\nnop\n" AGAIN
				 "2:sti\nloop 1b\n");
		else if (i == 4) {
			c = CODE("0:jmp 1f\n.org 77770b + 0xfff, 0x90\n1:sti\n"
				 "nop\nnop\nnop\n" AGAIN);
			want = T_CODE + 0x1001;
		}
		check(t, "SDM 2 STI: one that waits comes behind %s", what[i]);
		start(t, c);
		set(t, VM_REG_R12, 0);
		send(t, VEC);
		GO(GO_STOP);
		IS(get(t, VM_REG_RDX), want);
		check(t, "SDM 2 STI: the same in code that is linked: %s",
		    what[i]);
		start(t, c);
		set(t, VM_REG_R12, 1);
		GO(GO_STOP);
		IS(get(t, VM_REG_RDX), want);
	}
	check(t, "SDM 3A 6.8.3: in the shadow of MOV SS, behind JMP");
	start(t, CODE("jmp 1f\n.balign 64, 0x90\n1:nop\nnop\nnop\n" STOP));
	set(t, VM_REG_RFLAGS, FL_IF | 2);
	set(t, VM_REG_INTR_SHADOW, 1);
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 64);
	check(t, "SDM 3A 6.8.3: MOV SS: at it or behind one more");
	start(t, CODE("mov eax, 0x10\nmov dword ptr [rbx + 0x300], 0x40060\n"
		      "mov ss, eax\njmp 1f\n.balign 64, 0x90\n1:nop\nnop\n"
		      "nop\n" STOP));
	set(t, VM_REG_RFLAGS, FL_IF | 2);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX) == T_CODE + 15 ||
		get(t, VM_REG_RDX) == T_CODE + 64, 1);
	check(t, "SDM 3A 6.8.3: a fault in the shadow, then the interrupt");
	handler(t, V_UD, CODE("mov r8, rdx\nadd qword ptr [rsp], 2\niretq\n"));
	start(t, CODE("sti\nud2\nnop\n" STOP));
	set(t, VM_REG_RDX, 0);
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_R8), 0);
	IS(get(t, VM_REG_RDX), T_CODE + 3);
}

static void
halt(struct t *t)
{
	handler(t, VEC, CODE("mov rdx, [rsp]\ninc ebp\n"
			     "mov dword ptr [rbx + 0xb0], 0\niretq\n"));
	check(t, "SDM 2 STI, HLT: STI; HLT is woken, RIP behind HLT");
	start(t, CODE("sti\nhlt\n" STOP));
	(void)vcpu_set_cap(t->g->cpu, VM_CAP_HALT_EXIT, false);
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 2);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "SDM 3A 10.5.4, 2 HLT: the timer wakes a sleeper");
	start(t, CODE("mov dword ptr [rbx + 0x3e0], 0xb\n"
		      "mov dword ptr [rbx + 0x320], 0x60\n"
		      "mov dword ptr [rbx + 0x380], 3000000\nsti\nhlt\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "vmm.h: HLT exits, with RIP behind it and RFLAGS");
	start(t, CODE("sti\nhlt\n" STOP));
	(void)vcpu_set_cap(t->g->cpu, VM_CAP_HALT_EXIT, true);
	GO(GO_EXIT(VM_EXITCODE_HLT));
	IS(t->exit.rip, T_CODE + 2);
	IS(t->exit.u.hlt.rflags & FL_IF, FL_IF);
	check(t, "vmm.h: after a HLT exit an interrupt goes on");
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), T_CODE + 2);
	check(t, "vmm.h: HLT with IF 0 and one processor ends the machine");
	start(t, CODE("hlt\n"));
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_HALT);
}

static void
priorities(struct t *t)
{
	/* Handlers write their vector to [RDI] and go on, without EOI. */
	handler(t, 0x51, CODE("mov al, 0x51\nstosb\niretq\n"));
	handler(t, 0x52, CODE("mov al, 0x52\nstosb\niretq\n"));
	handler(t, 0x61, CODE("mov al, 0x61\nstosb\nsti\nnop\nnop\n"
			      "mov dword ptr [rbx + 0xb0], 0\nnop\nnop\n"
			      "iretq\n"));
	handler(t, 0x71, CODE("mov al, 0x71\nstosb\n"
			      "mov dword ptr [rbx + 0xb0], 0\niretq\n"));
	check(t, "SDM 3A 10.8.3: the highest vector first, one at a time");
	set_mem(t, T_DATA, 8, 0);
	start(t, CODE("sti\nnop\nnop\nnop\nnop\ncli\n" STOP));
	set(t, VM_REG_RDI, T_DATA);
	send(t, 0x51);
	send(t, 0x52);
	send(t, 0x71);
	send(t, 0x61);
	GO(GO_STOP);
	/* 0x51 is in 0x52's class, which is in service. */
	IS(mem(t, T_DATA, 8), 0x526171);
	check(t, "SDM 3A 10.8.3.1: PPR is the class in service");
	start(t, CODE("mov ecx, [rbx + 0xa0]\nmov edx, [rbx + 0x120]\n"
		      "mov dword ptr [rbx + 0xb0], 0\nsti\nnop\nnop\ncli\n"
		      "mov dword ptr [rbx + 0xb0], 0\n"
		      "mov esi, [rbx + 0xa0]\n" STOP));
	set(t, VM_REG_RDI, T_DATA);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x50);
	IS(mem(t, T_DATA, 1), 0x51);
	IS(get(t, VM_REG_RSI), 0);
	check(t, "SDM 3A 10.8.6: CR8 is TPR[7:4]");
	start(t, CODE("mov eax, 6\nmov cr8, rax\nmov ecx, [rbx + 0x80]\n"
		      "mov dword ptr [rbx + 0x80], 0x95\nmov rdx, cr8\n"
		      "mov esi, [rbx + 0xa0]\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x60);
	IS(get(t, VM_REG_RDX), 9);
	IS(get(t, VM_REG_RSI), 0x95);
	check(t, "SDM 3A 10.8.3.1: TPR holds its class and those below");
	set_mem(t, T_DATA, 8, 0);
	start(t, CODE("mov eax, 6\nmov cr8, rax\nsti\nnop\nnop\n"
		      "mov al, 1\nstosb\nxor eax, eax\nmov cr8, rax\nnop\nnop\n"
		      "cli\n"
		      STOP));
	set(t, VM_REG_RDI, T_DATA);
	send(t, 0x61);
	send(t, 0x71);
	GO(GO_STOP);
	IS(mem(t, T_DATA, 8), 0x610171);
}

static void
ipis(struct t *t)
{
	handler(t, VEC, COUNT_AND_EOI);
	check(t, "SDM 3A 10.6.1: self IPI by shorthand");
	start(t, CODE("sti\nmov dword ptr [rbx + 0x300], 0x40060\nnop\nnop\n"
		      "1:test ebp, ebp\njz 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "SDM 3A 10.6.1: IPI to its own id");
	start(t, CODE("sti\nmov dword ptr [rbx + 0x310], 0\n"
		      "mov dword ptr [rbx + 0x300], 0x60\n"
		      "1:test ebp, ebp\njz 1b\n" STOP));
	GO(GO_STOP);
	check(t, "SDM 3A 10.6.1: all excluding self reaches nobody");
	start(t, CODE("sti\nmov dword ptr [rbx + 0x300], 0xc0060\n"
		      "mov ecx, 100000\n1:loop 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 0);
	check(t, "SDM 3A 10.5.2, 10.5.3: a vector below 16 is an error");
	start(t, CODE("mov dword ptr [rbx + 0x280], 0\n"
		      "mov dword ptr [rbx + 0x300], 0x40005\n"
		      "mov dword ptr [rbx + 0x280], 0\nmov ecx, [rbx + 0x280]\n"
		      STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX) & 0x60, 0x20);
	check(t, "SDM 3A 10.12.1: x2APIC mode, SELF IPI, EOI by MSR");
	handler(t, VEC, CODE("inc ebp\nmov ecx, 0x80b\nxor eax, eax\n"
			     "xor edx, edx\nwrmsr\niretq\n"));
	start(t, CODE("mov ecx, 0x1b\nrdmsr\nor eax, 0xc00\nwrmsr\nsti\n"
		      "mov ecx, 0x83f\nmov eax, 0x60\nxor edx, edx\nwrmsr\n"
		      "nop\nnop\n1:test ebp, ebp\njz 1b\nmov ecx, 0x802\n"
		      "rdmsr\nmov esi, eax\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RSI), 0);
	check(t, "SDM 3A 10.12.1.3: WRMSR of a read-only register is #GP");
	kernel(t, CODE("mov ecx, 0x802\nxor eax, eax\nxor edx, edx\nwrmsr\n"));
	GO(V_GP);
	check(t, "SDM 3A 10.12.1.2: RDMSR of a reserved register is #GP");
	kernel(t, CODE("mov ecx, 0x840\nrdmsr\n"));
	GO(V_GP);
}

static void
nmi(struct t *t)
{
	check(t, "SDM 3A 6.7: NMI comes with IF 0");
	handler(t, V_NMI, CODE("inc ebp\nmov rdx, [rsp]\niretq\n"));
	start(t, CODE("nop\nnop\nnop\n" STOP));
	vm_nmi(t->g->vm, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "SDM 3A 6.7.1: a second NMI waits for IRET");
	start(t, CODE("nop\nnop\nnop\n" STOP));
	set(t, VM_REG_R8, 0);
	vm_nmi(t->g->vm, 0);
	/* Each asks for the next one; the third does not. */
	handler(t, V_NMI, CODE(
	    "inc ebp\ncmp ebp, 2\nja 2f\nmov dword ptr [rbx + 0x310], 0\n"
	    "mov dword ptr [rbx + 0x300], 0x400\nmov ecx, 1000\n1:loop 1b\n"
	    "cmp ebp, 1\njne 2f\nmov r8d, ebp\n2:iretq\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 3);
	IS(get(t, VM_REG_R8), 1);
	check(t, "SDM 3A 6.7.1: an IRET of an exception in it unblocks");
	handler(t, V_BP, CODE("iretq\n"));
	handler(t, V_NMI, CODE("inc ebp\ncmp ebp, 1\njne 2f\n"
			       "mov dword ptr [rbx + 0x310], 0\n"
			       "mov dword ptr [rbx + 0x300], 0x400\n"
			       "mov ecx, 1000\n1:loop 1b\nmov r8d, ebp\nint3\n"
			       "nop\nmov r9d, ebp\n2:iretq\n"));
	start(t, CODE("nop\nnop\nnop\n" STOP));
	vm_nmi(t->g->vm, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_R8), 1);
	IS(get(t, VM_REG_R9), 2);
}

static void
extint(struct t *t)
{
	handler(t, 0x31, CODE("inc ebp\niretq\n"));
	check(t, "SDM 3A 10.5.1: ExtINT on LINT0 asks the PIC");
	start(t, CODE("mov dword ptr [rbx + 0x350], 0x700\nsti\nnop\nnop\nnop\n"
		      "cli\n" STOP));
	t->g->ack_vector = 0x31;
	t->g->nack = 0;
	vm_extint(t->g->vm, true);
	GO(GO_STOP);
	IS(t->g->nack, 1);
	IS(get(t, VM_REG_RBP), 1);
	check(t, "SDM 3A 10.5.1: masked LINT0, none comes");
	start(t, CODE("mov dword ptr [rbx + 0x350], 0x10700\nsti\nnop\nnop\n"
		      "nop\ncli\n" STOP));
	t->g->nack = 0;
	vm_extint(t->g->vm, true);
	GO(GO_STOP);
	IS(t->g->nack, 0);
	IS(get(t, VM_REG_RBP), 0);
	check(t, "vmm.h: intr_ack says -1: no interrupt");
	start(t, CODE("mov dword ptr [rbx + 0x350], 0x700\nsti\nnop\nnop\n"
		      "nop\ncli\n" STOP));
	t->g->ack_vector = -1;
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 0);
	vm_extint(t->g->vm, false);
}

static void
level(struct t *t)
{
	handler(t, VEC, COUNT_AND_EOI);
	check(t, "SDM 3A 10.8.5: EOI of a level-triggered vector is told");
	start(t, CODE("sti\nnop\nnop\ncli\n" STOP));
	t->g->neoi = 0;
	IS(vm_msi(t->g->vm, APIC, 0xc000 | VEC), 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(t->g->neoi, 1);
	IS(t->g->eoi_vector, VEC);
	IS(t->g->eoi_level, true);
	check(t, "SDM 3A 10.8.5: EOI of an edge-triggered one is no broadcast");
	start(t, CODE("sti\nnop\nnop\ncli\n" STOP));
	t->g->neoi = 0;
	send(t, VEC);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(t->g->neoi != 0 && t->g->eoi_level, false);
	check(t, "vmm.h: EOI of an edge-triggered one, if it is wanted");
	handler(t, VEC + 1, COUNT_AND_EOI);
	start(t, CODE("sti\nnop\nnop\ncli\n" STOP));
	t->g->neoi = 0;
	vm_want_eoi(t->g->vm, APIC, VEC + 1);
	send(t, VEC + 1);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(t->g->neoi, 1);
	IS(t->g->eoi_vector, VEC + 1);
	IS(t->g->eoi_level, false);
	check(t, "SDM 3A 10.8.4: TMR");
	handler(t, VEC, CODE("mov ebp, [rbx + 0x1b0]\nmov ecx, [rbx + 0x130]\n"
			     "mov dword ptr [rbx + 0xb0], 0\niretq\n"));
	start(t, CODE("sti\nnop\nnop\ncli\n" STOP));
	IS(vm_msi(t->g->vm, APIC, 0xc000 | VEC), 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBP), 1);
	IS(get(t, VM_REG_RCX), 1);
}

/* A message that is sent often has another way in, if the engine has one;
 * each of them comes, and after another took its place too. */
static void
messages(struct t *t)
{
	struct vmm_stat s[VMM_STATS_MAX];
	unsigned n;

	check(t, "vmm.h: a message that is sent again and again");
	handler(t, VEC, COUNT_AND_EOI);
	start(t, CODE("1: sti\nnop\nnop\ncli\n" STOP));
	for (unsigned i = 1; i <= 40; i++) {
		send(t, VEC);
		set(t, VM_REG_RIP, T_CODE);
		GO(GO_STOP);
		IS(get(t, VM_REG_RBP), i);
		/* Nobody's: the vector is masked by no table of its own. */
		for (unsigned v = 0; i == 20 && v < 100; v++)
			IS(vm_msi(t->g->vm, APIC | 0x7f000, 0x30 + v), 0);
	}
	n = vcpu_stats(vm_vcpu(t->g->vm, 0), s, VMM_STATS_MAX);
	for (unsigned i = 0; gvm_on_kvm() && i < n; i++) {
		if (strcmp(s[i].name, "msi_irqfd") == 0)
			IS(s[i].value > 20, true);
		if (strcmp(s[i].name, "msi_ioctl") == 0)
			IS(s[i].value < 40 + 100, true);
	}
}

/* SDM 2 REP: interrupts come between iterations, registers up to date. */
static void
string(struct t *t)
{
	uint64_t src = 0x10000000, dst = 0x20000000, n = 4096 * 4096;
	uint64_t a = gvm_alloc(t->g, 1), b = gvm_alloc(t->g, 1);

	for (uint64_t o = 0; o < n; o += 4096) {
		gvm_map(t->g, src + o, a, PTE_P | PTE_W);
		gvm_map(t->g, dst + o, b, PTE_P | PTE_W);
	}
	check(t, "SDM 2 REP: interrupted MOVSB: RIP at it, RF set");
	/* One that comes elsewhere does not count. */
	handler(t, VEC, CODE("mov rdx, [rsp]\nmov rax, [rsp + 16]\n"
			     "mov r8, rcx\nmov r9, rsi\nmov r10, rdi\n"
			     "cmp rdx, 0x80040\nsete bpl\n"
			     "mov dword ptr [rbx + 0xb0], 0\niretq\n"));
	start(t, CODE("mov dword ptr [rbx + 0x3e0], 0xb\n"
		      "mov dword ptr [rbx + 0x320], 0x60\n"
		      "1:mov esi, 0x10000000\nmov edi, 0x20000000\n"
		      "mov ecx, 0x1000000\n"
		      "mov dword ptr [rbx + 0x380], 100000\nsti\n"
		      ".balign 64, 0x90\nrep movsb\ncli\n"
		      "test ebp, ebp\njz 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0);
	IS(get(t, VM_REG_RSI), src + n);
	IS(get(t, VM_REG_RDI), dst + n);
	IS(get(t, VM_REG_RDX), T_CODE + 64);
	IS(get(t, VM_REG_R9) - src, n - get(t, VM_REG_R8));
	IS(get(t, VM_REG_R10) - dst, n - get(t, VM_REG_R8));
	IS(get(t, VM_REG_RAX) & FL_RF,
	    get(t, VM_REG_R8) == n ? 0 : FL_RF);
}

/* vmm.h: vcpu_kick() makes any loop return soon. gvm's watchdog kicks. */
static void
kicks(struct t *t)
{
	static const char *const what[] = { "JMP $", "LOOP", "indirect calls",
		"indirect jumps over pages", "REP STOSB", "REP SCASB", "INT",
		"page faults", "port writes", "REP LODSB", "RET" };
	uint64_t start_ms;

	handler(t, 0x55, CODE("iretq\n"));
	handler(t, V_PF, CODE("add rsp, 8\niretq\n"));
	for (unsigned i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		struct code c = CODE("jmp .\n");

		if (i == 1)
			c = CODE("1:mov rcx, -1\n2:loop 2b\njmp 1b\n");
		else if (i == 2)
			c = CODE("lea rax, [rip + 2f]\n1:call rax\njmp 1b\n"
				 "2:ret\n");
		else if (i == 3)
			c = CODE("lea rax, [rip + 2f]\nlea rdx, [rip + 1f]\n"
				 "1:jmp rax\n.balign 4096, 0x90\n2:jmp rdx\n");
		else if (i == 4)
			c = CODE("1:mov rdi, rsi\nmov ecx, 0xffff\nrep stosb\n"
				 "jmp 1b\n");
		else if (i == 5)
			c = CODE("1:mov rdi, rsi\nmov ecx, 0xffff\n"
				 "mov al, 0x99\n"
				 "repne scasb\njmp 1b\n");
		else if (i == 6)
			c = CODE("1:int 0x55\njmp 1b\n");
		else if (i == 7)
			c = CODE("mov al, [r8]\n");
		else if (i == 8)
			c = CODE("1:out 0x80, al\njmp 1b\n");
		else if (i == 9)
			c = CODE("1:mov ecx, 0xffff\nrep lodsb\n"
				 "sub rsi, 0xffff\njmp 1b\n");
		else if (i == 10)
			c = CODE("lea rax, [rip + 1f]\n1:push rax\nret\n");
		check(t, "vmm.h: vcpu_kick() ends a loop of %s", what[i]);
		kernel(t, c);
		set(t, VM_REG_RSI, T_DATA);
		set(t, VM_REG_R8, 0x7ffff000);
		if (i == 10)
			set(t, VM_REG_RSP, T_DATA + 0x8000);
		t->g->kick_soon = true;
		start_ms = now_ms();
		GO(-110); /* ETIMEDOUT: the watchdog's kick */
		is(t, "in time", now_ms() - start_ms < 900, 1);
	}
	check(t, "vmm.h: vm_suspend() ends a loop");
	kernel(t, CODE("jmp .\n"));
	t->g->suspend_soon = true;
	start_ms = now_ms();
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_POWEROFF);
	is(t, "in time", now_ms() - start_ms < 900, 1);
	check(t, "vmm.h: the first reason wins");
	IS(vm_suspend(t->g->vm, VM_SUSPEND_RESET), -114); /* EALREADY */
}

static void
sleeper(struct t *t)
{
	check(t, "vmm.h: vcpu_kick() wakes a sleeping vcpu_run()");
	kernel(t, CODE("sti\nhlt\n" STOP));
	(void)vcpu_set_cap(t->g->cpu, VM_CAP_HALT_EXIT, false);
	t->g->kick_soon = true;
	GO(-110);
	check(t, "vmm.h: vm_suspend() wakes a sleeping vcpu_run()");
	kernel(t, CODE("sti\nhlt\n" STOP));
	t->g->suspend_soon = true;
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
}

const struct group_fn group[] = { { "timer", timer },
	{ "interrupt_flag", interrupt_flag }, { "shadow", shadow },
	{ "halt", halt },
	{ "priorities", priorities }, { "ipis", ipis }, { "nmi", nmi },
	{ "extint", extint }, { "level", level }, { "string", string },
	{ "messages", messages },
	{ "kicks", kicks }, { "sleeper", sleeper }, { NULL, NULL } };
