/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that compute for long, so that their address space is mirrored
 * (docs/soft-engine.md), while the kernel changes it.
 */
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APIC 0xfee00000ull
#define VEC 0x60

/* What the engine says of itself. */
static uint64_t
counter(struct t *t, const char *name)
{
	char *text = NULL, *at;
	size_t len = 0;
	uint64_t v = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return (0);
	vcpu_dump(t->g->cpu, f);
	fclose(f);
	at = strstr(text, name);
	if (at != NULL)
		v = strtoull(at + strlen(name), NULL, 10);
	free(text);
	return (v);
}

/*
 * Every tick another page is put at r14 + 0x1000, which has a number in it,
 * and the number is written to r14. The program must not see one without the
 * other. INVLPG makes the change known; in every other 16 million rounds a
 * load of CR3 does, which also ends the mirror.
 */
static void
remap(struct t *t)
{
	uint64_t a = upage(t, T_UDATA + 0x1000), b = gvm_alloc(t->g, 1);
	uint64_t rounds = t->options & GVM_NO_TLB ? 100000 : 40000000;

	t->g->patience = 120;
	set_mem(t, a, 4, 1);
	set_mem(t, b, 4, 2);
	handler(t, VEC,
	    CODE("inc ebp\nmov dword ptr [rbx + 0xb0], 0\n"
		 "xor [r12], r13\nxor dword ptr [r14], 3\n"
		 "test dword ptr [r14 + 16], 0x1000000\njz 1f\n"
		 "push rax\nmov rax, cr3\nmov cr3, rax\npop rax\niretq\n"
		 "1: invlpg [r14 + 0x1000]\niretq\n"));
	gvm_map(t->g, APIC, APIC, PTE_P | PTE_W);
	kernel(t,
	    CODE("mov dword ptr [rbx + 0xf0], 0x1ff\n"
		 "mov dword ptr [rbx + 0x3e0], 0xb\n"
		 "mov dword ptr [rbx + 0x320], 0x20060\n"
		 "mov dword ptr [rbx + 0x380], 1000000\n" STOP));
	set(t, VM_REG_RBX, APIC);
	check(t, "SDM 3A 10.5.4: the timer for it");
	GO(GO_STOP);
	user(t,
	    CODE("1: mov eax, [r14]\nmov ecx, [r14 + 0x1000]\n"
		 "mov edx, [r14]\ncmp eax, edx\njne 2f\ncmp eax, ecx\n"
		 "je 2f\ninc dword ptr [r14 + 8]\n"
		 "2: inc qword ptr [r14 + 16]\ncmp [r14 + 16], r15\njb 1b\n"
		 "cmp ebp, 20\njb 1b\n" USTOP));
	set(t, VM_REG_RFLAGS, 0x202);
	set(t, VM_REG_RBP, 0);
	set(t, VM_REG_RBX, APIC);
	set(t, VM_REG_R12, gpa_of(t, gvm_pte(t->g, T_UDATA + 0x1000)));
	set(t, VM_REG_R13, a ^ b);
	set(t, VM_REG_R14, T_UDATA);
	set(t, VM_REG_R15, rounds);
	set_mem(t, upage(t, T_UDATA), 4, 1);
	check(t, "SDM 3A 4.10.4.1: a page changes under a busy program");
	GO(U_STOPPED);
	IS(mem(t, upage(t, T_UDATA) + 8, 4), 0);
	check(t, "soft-engine.md: the program was mirrored");
	IS(counter(t, "mirror faults ") != 0, !(t->options & GVM_NO_TLB));
	IS(counter(t, "  maps ") != 0, !(t->options & GVM_NO_TLB));
}

/* Two user pages on either side of a multiple of 4 GiB, full of numbers. */
#define EDGE 0x200000000ull

static void
edge(struct t *t, uint64_t pa[2])
{
	for (unsigned i = 0; i < 2; i++) {
		pa[i] = gvm_alloc(t->g, 1);
		gvm_map(t->g, EDGE - 0x1000 + 0x1000 * i, pa[i],
		    PTE_P | PTE_W | PTE_U);
		for (unsigned j = 0; j < 0x1000; j += 4)
			set_mem(
			    t, pa[i] + j, 4, (i * 0x1000 + j) * 2654435761u);
	}
}

/* What edge() put at lin, and the sum of that from the first byte to lin. */
static uint32_t
at_edge(uint64_t lin)
{
	return ((uint32_t)(lin - (EDGE - 0x1000)) * 2654435761u);
}

static uint32_t
sum_edge(uint64_t to)
{
	uint32_t v = 0;

	for (uint64_t a = EDGE - 0x1000; a < to; a += 4)
		v += at_edge(a);
	return (v);
}

/* A loop's registers: from the first page to the end of the second. */
static void
run_loop(struct t *t, const char *what, struct code c)
{
	user(t, c);
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RBX, EDGE - 0x1000);
	set(t, VM_REG_RCX, EDGE - 0x1000);
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_RDI, EDGE + 0x1000);
	set(t, VM_REG_RSI, EDGE - 0x1000);
	set(t, VM_REG_R8, T_UDATA);
	set(t, VM_REG_R9, EDGE - 0x1000);
	check(t, "soft-engine.md: a loop across windows, %s", what);
	GO(U_STOPPED);
	IS((uint32_t)get(t, VM_REG_RAX), sum_edge(EDGE + 0x1000));
}

static void
loops(struct t *t)
{
	uint64_t pa[2];
	uint32_t v;

	edge(t, pa);
	run_loop(t, "a pointer",
	    CODE("1: add eax, [rsi]\nadd rsi, 4\ncmp rsi, rdi\n"
		 "jne 1b\n" USTOP));
	run_loop(t, "a pointer, downwards",
	    CODE("1: sub rdi, 4\nadd eax, [rdi]\ncmp rdi, rsi\n"
		 "jne 1b\n" USTOP));
	run_loop(t, "a pointer that is not at home",
	    CODE("1: add eax, [r9]\nadd r9, 4\ncmp r9, rdi\njne 1b\n" USTOP));
	run_loop(t, "an index",
	    CODE("1: add eax, [rbx + rdx * 4]\ninc rdx\ncmp rdx, 2048\n"
		 "jne 1b\n" USTOP));
	run_loop(t, "an index of 32 bits",
	    CODE("1: add eax, [rbx + rdx * 4]\ninc edx\ncmp edx, 2048\n"
		 "jne 1b\n" USTOP));
	run_loop(t, "an index and a base not at home",
	    CODE("1: add eax, [r9 + rdx * 4]\nlea rdx, [rdx + 1]\n"
		 "cmp rdx, 2048\njne 1b\n" USTOP));
	run_loop(t, "three pointers",
	    CODE("1: add eax, [rsi]\nsub eax, [rbx]\nadd rbx, 4\n"
		 "add eax, [rcx]\nadd rcx, 4\nadd rsi, 4\ncmp rsi, rdi\n"
		 "jne 1b\n" USTOP));
	run_loop(t, "and a call",
	    CODE("jmp 1f\n2: add eax, [rsi]\nret\n"
		 "1: call 2b\nadd rsi, 4\ncmp rsi, rdi\njne 1b\n" USTOP));
	run_loop(t, "and a way out in the middle",
	    CODE("1: add eax, [rsi]\nadd rsi, 4\ncmp rsi, rdi\nje 2f\n"
		 "inc dword ptr [r8]\ntest eax, eax\njne 1b\njmp 1b\n"
		 "2:" USTOP));

	/* Stores, and the fault behind the last page. */
	run_loop(t, "with a fault",
	    CODE("1: add eax, [rsi]\nmov [rbx + rdx * 4], eax\ninc rdx\n"
		 "add rsi, 4\ncmp rsi, rdi\njne 1b\n" USTOP));
	v = 0;
	for (uint64_t a = EDGE - 0x1000; a < EDGE + 0x1000; a += 4) {
		v += at_edge(a);
		IS(mem(t, pa[a >= EDGE] + (a & 0xfff), 4), v);
	}
	edge(t, pa);
	user(t, CODE("1: add eax, [rsi]\nadd rsi, 4\ncmp rsi, rdi\njne 1b\n"));
	set(t, VM_REG_RAX, 0);
	set(t, VM_REG_RSI, EDGE - 0x1000);
	set(t, VM_REG_RDI, 0);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), EDGE + 0x1000);
	IS(get(t, VM_REG_RSI), EDGE + 0x1000);
	IS((uint32_t)get(t, VM_REG_RAX), sum_edge(EDGE + 0x1000));
	IS(t->f.rip, T_UCODE);
}

/* Addresses that leave the window of those before them. */
static void
wander(struct t *t)
{
	uint64_t pa[2], far = gvm_alloc(t->g, 1);

	edge(t, pa);
	gvm_map(t->g, EDGE + (4ull << 30), far, PTE_P | PTE_W | PTE_U);
	set_mem(t, far, 4, 0x1234567);
	user(t,
	    CODE("mov eax, [rsi]\nadd rsi, 0x40000000\nadd rsi, 0x40000000\n"
		 "sub rsi, -0x40000000\nadd rsi, 0x40000000\n"
		 "mov ecx, [rsi]\n"
		 "mov edi, [rbx + rdx * 8]\nadd rdx, 0x20000000\n"
		 "mov ebp, [rbx + rdx * 8]\n"
		 "mov r8d, [r9]\nlea r9, [r9 + 0x7fffffff]\n"
		 "add r9, 0x7fffffff\nadd r9, 2\nmov r10d, [r9]\n" USTOP));
	set(t, VM_REG_RSI, EDGE);
	set(t, VM_REG_RBX, EDGE - 0x1000);
	set(t, VM_REG_RDX, 0x200);
	set(t, VM_REG_R9, EDGE);
	check(t, "soft-engine.md: a register moves by 4 GiB");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), at_edge(EDGE));
	IS(get(t, VM_REG_RCX), 0x1234567);
	IS(get(t, VM_REG_RDI), at_edge(EDGE));
	IS(get(t, VM_REG_RBP), 0x1234567);
	IS(get(t, VM_REG_R8), at_edge(EDGE));
	IS(get(t, VM_REG_R10), 0x1234567);

	/* The base is 18 GiB below. */
	user(t,
	    CODE("mov edx, 0x90000000\nmov eax, [rbx + rdx * 8]\n"
		 "mov [rbx + rdx * 8 + 4], edx\nmovsxd rdx, edx\n"
		 "mov ecx, [rsi + rdx * 4]\nmov edi, 8\n"
		 "mov ebp, [rbx + rdi]\n" USTOP));
	set(t, VM_REG_RBX, EDGE - 0x90000000ull * 8);
	set(t, VM_REG_RSI, EDGE + 0x70000000ull * 4);
	check(t, "soft-engine.md: an index of 32 bits leads far away");
	GO(V_PF);
	IS(get(t, VM_REG_RAX), at_edge(EDGE));
	IS(mem(t, pa[1] + 4, 4), 0x90000000);
	IS(get(t, VM_REG_RCX), at_edge(EDGE));
	IS(get(t, VM_REG_CR2), EDGE - 0x90000000ull * 8 + 8);

	user(t,
	    CODE("mov edx, 0xffffffff\nmov eax, [rsi]\n"
		 "mov al, [rsi + rdx * 8 + 0x7fffffff]\n"));
	set(t, VM_REG_RSI, EDGE);
	check(t, "soft-engine.md: as far as it can be");
	GO(V_PF);
	IS(get(t, VM_REG_CR2), EDGE + 0xffffffffull * 8 + 0x7fffffff);

	user(t,
	    CODE("mov eax, [rsi]\nmov rdx, rbx\nmov eax, [rsi + rdx]\n" USTOP));
	set(t, VM_REG_RSI, EDGE);
	set(t, VM_REG_RBX, 1ull << 47);
	check(t, "SDM 1 3.3.7.1: a sum that is not canonical");
	GO(V_GP);

	user(t,
	    CODE("push rax\npush rcx\npush rdx\npop rdi\nmov ebp, [rsp + 8]\n"
		 "push qword ptr [rsp]\npop r9\npop r10\npop r11\n" USTOP));
	set(t, VM_REG_RAX, 11);
	set(t, VM_REG_RCX, 12);
	set(t, VM_REG_RDX, 13);
	set(t, VM_REG_RSP, EDGE + 8);
	check(t, "soft-engine.md: a stack across windows");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RDI), 13);
	IS(get(t, VM_REG_RBP), 11);
	IS(get(t, VM_REG_R9), 12);
	IS(get(t, VM_REG_R10), 12);
	IS(get(t, VM_REG_R11), 11);
	IS(t->f.rsp, EDGE + 8);
}

/* REP over both pages and further, where the mirror has them and where not. */
static void
strings(struct t *t)
{
	uint64_t pa[2], far = gvm_alloc(t->g, 1);

	edge(t, pa);
	gvm_map(t->g, EDGE + (4ull << 30), far, PTE_P | PTE_W | PTE_U);
	user(t,
	    CODE("mov ebp, 3\n1: mov rdi, rbx\nlea rsi, [rbx + 0x1000]\n"
		 "mov ecx, 0x400\nrep movsd\n"
		 "mov rdi, r8\nmov rsi, rbx\nmov ecx, 0x1000\nrep movsb\n"
		 "mov rdi, r9\nmov eax, 0x5a5a5a5a\nmov ecx, 0x100\n"
		 "rep stosq\nmovsb\nmov ecx, 0\nrep stosb\nstosw\n"
		 "mov ecx, 0xc0\nadd rdi, rcx\nmov rsi, rdi\nstd\n"
		 "rep movsb\ncld\ndec ebp\njnz 1b\n" USTOP));
	set(t, VM_REG_RBX, EDGE - 0x1000);
	set(t, VM_REG_R8, EDGE + (4ull << 30));
	set(t, VM_REG_R9, T_UDATA);
	check(t, "SDM 1 7.3.9.3: strings in several windows");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RCX), 0);
	IS(get(t, VM_REG_RDI), T_UDATA + 0x800 + 1 + 2);
	IS(get(t, VM_REG_RSI), T_UDATA + 0x800 + 1 + 2);
	for (unsigned j = 0; j < 0x1000; j += 4) {
		IS(mem(t, pa[0] + j, 4), at_edge(EDGE + j));
		IS(mem(t, far + j, 4), at_edge(EDGE + j));
	}
	for (unsigned j = 0; j < 0x800; j += 4)
		IS(mem(t, upage(t, T_UDATA) + j, 4),
		    j & 4 ? 0 : 0x5a5a5a5a);
	IS(mem(t, upage(t, T_UDATA) + 0x801, 2), 0x5a5a);

	/* Twice, so that the pages are there the second time. */
	for (unsigned i = 0; i < 2; i++) {
		user(t, CODE("rep stosb\n" USTOP));
		set(t, VM_REG_RAX, 7 + i);
		set(t, VM_REG_RDI, EDGE - 0x800);
		set(t, VM_REG_RCX, 0x3000);
		check(t, "SDM 2 REP: a fault in the middle");
		GO(V_PF);
		IS(get(t, VM_REG_CR2), EDGE + 0x1000);
		IS(get(t, VM_REG_RDI), EDGE + 0x1000);
		IS(get(t, VM_REG_RCX), 0x3000 - 0x1800);
		IS(t->f.rip, T_UCODE);
		IS(mem(t, pa[0] + 0x800, 1), 7 + i);
		IS(mem(t, pa[1] + 0xfff, 1), 7 + i);
	}
	user(t, CODE("mov ecx, 5\nrep movsb\n" USTOP));
	set(t, VM_REG_RDI, EDGE);
	set(t, VM_REG_RSI, EDGE + 0xffe);
	check(t, "SDM 2 REP: the source faults");
	GO(V_PF);
	IS(get(t, VM_REG_CR2), EDGE + 0x1000);
	IS(get(t, VM_REG_RDI), EDGE + 2);
	IS(get(t, VM_REG_RCX), 3);

	user(t, CODE("mov ecx, 5\nrep movsb\n" USTOP));
	set(t, VM_REG_RDI, 1ull << 47);
	set(t, VM_REG_RSI, EDGE);
	check(t, "SDM 1 3.3.7.1: to an address that is not canonical");
	GO(V_GP);
	IS(get(t, VM_REG_RCX), 5);
}

/* REP STOSB over the code that is behind it, and over itself. */
static void
strings_smc(struct t *t)
{
	for (unsigned i = 0; i < 3; i++) {
		user(t,
		    CODE("mov edx, 1\n" /* 5 bytes */
			 "rep stosb\n"  /* 2 */
			 "mov edx, 2\nmov edx, 3\n" USTOP));
		set(t, VM_REG_RAX, 0x90);
		set(t, VM_REG_RDI, T_UCODE + (i == 2 ? 5 : 7));
		set(t, VM_REG_RCX, i == 0 ? 5 : i == 1 ? 10 : 7);
		check(t, "SDM 3A 8.1.3: a string onto code, %u", i);
		GO(U_STOPPED);
		IS(get(t, VM_REG_RDX), i == 1 ? 1 : 3);
		/* The instruction is gone when it has stored once. */
		if (i < 2)
			IS(get(t, VM_REG_RCX), 0);
	}
}

/* One access to one page after another, in a mirror: each of them faults, the
 * slow path is made at the first. What it does is done in the fault's place,
 * by a register that is in memory, one with an index, one that is a stack. */
static void
late(struct t *t)
{
	bool lazy = (t->options & GVM_MIRROR) &&
	    !(t->options & GVM_OFF(SOFT_OFF_LATE));
	uint64_t pa[4], before;

	for (unsigned i = 0; i < 4; i++) {
		pa[i] = gvm_alloc(t->g, 1);
		gvm_map(t->g, EDGE + 0x1000 * i, pa[i], PTE_P | PTE_W | PTE_U);
		set_mem(t, pa[i] + 0x10, 8, 0x100 + i);
	}
	user(t,
	    CODE("1: mov rax, [r14 + 0x10]\nadd rdx, rax\n"
		 "mov [rdi + rsi * 8], rdx\n"
		 "lea rsp, [r14 + 0x800]\npush rdx\npop rbx\n"
		 "lea r14, [r14 + 0x1000]\nadd rdi, 0x1000\n"
		 "dec ecx\njnz 1b\n" USTOP));
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_R14, EDGE);
	set(t, VM_REG_RDI, EDGE + 0x20);
	set(t, VM_REG_RSI, 5);
	set(t, VM_REG_RCX, 4);
	before = counter(t, "late paths ");
	check(t, "soft-engine.md: slow paths that are made late");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RDX), 0x406);
	for (unsigned i = 0, sum = 0; i < 4; i++) {
		sum += 0x100 + i;
		IS(mem(t, pa[i] + 0x48, 8), sum);
		IS(mem(t, pa[i] + 0x7f8, 8), sum);
	}
	before = counter(t, "late paths ") - before;
	check(t, "soft-engine.md: none without a fault, one for each access");
	IS(before != 0, lazy);
	IS(before <= 8, true);
}

/* rSP moves by constants, without an access, to another window: what it finds
 * there is in the mirror all times but the first. */
static void
stack_moves(struct t *t)
{
	bool slow = (t->options & (GVM_NO_TLB | GVM_ONE_INSN)) != 0;
	uint64_t n = slow ? 1000 : 1 << 20, pa[2], before;

	edge(t, pa);
	user(t,
	    CODE("2: mov rsp, rbx\nmov rcx, rdi\n"
		 "1: sub rsp, 4096\ndec rcx\njnz 1b\nmov eax, [rsp]\n"
		 "dec rdx\njnz 2b\n" USTOP));
	set(t, VM_REG_RBX, EDGE + n * 4096);
	set(t, VM_REG_RDI, n);
	set(t, VM_REG_RDX, 50);
	before = counter(t, "mirror faults ");
	check(t, "soft-engine.md: a stack pointer goes far in small steps");
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), at_edge(EDGE));
	if (t->options & GVM_MIRROR)
		IS(counter(t, "mirror faults ") - before < 25, true);
}

const struct group_fn group[] = { { "late", late }, { "remap", remap },
	{ "loops", loops },
	{ "wander", wander }, { "strings", strings },
	{ "strings_smc", strings_smc }, { "stack_moves", stack_moves },
	{ NULL, NULL } };
