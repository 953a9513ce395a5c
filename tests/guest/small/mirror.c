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
 * other. INVLPG makes the change known; in every other 4 million rounds a
 * load of CR3 does, which also ends the mirror.
 */
static void
remap(struct t *t)
{
	uint64_t a = upage(t, T_UDATA + 0x1000), b = gvm_alloc(t->g, 1);
	uint64_t rounds = t->options & GVM_NO_TLB ? 100000 : 10000000;

	t->g->patience = 120;
	set_mem(t, a, 4, 1);
	set_mem(t, b, 4, 2);
	handler(t, VEC,
	    CODE("inc ebp\nmov dword ptr [rbx + 0xb0], 0\n"
		 "xor [r12], r13\nxor dword ptr [r14], 3\n"
		 "test dword ptr [r14 + 16], 0x400000\njz 1f\n"
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

const struct group_fn group[] = { { "remap", remap }, { NULL, NULL } };
