/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The A20 gate: while it is shut, bit 20 of physical addresses is 0, of data,
 * code and paging structures alike (SDM volume 3, 8.7.13.4 and 20.1.1: A20M#).
 */
#include "prot.h"

#define SHUT "xor eax, eax\nout 0x92, al\n"
#define OPEN "mov al, 2\nout 0x92, al\n"
#define LIN 0x40000000ull
#define ODD 0x100000ull /* bit 20 */

/* 32-bit code without paging: 0xa0000 and 0x1a0000. */
static void
flat(struct t *t)
{
	check(t, "SDM 3 8.7.13.4: open, then shut, then open");
	prot(t, CODE32("mov ebx, 0xa0000\nmov byte ptr [ebx], 1\n"
		       "mov byte ptr [ebx + 0x100000], 2\n"
		       "mov cl, [ebx + 0x100000]\n" SHUT
		       "mov ch, [ebx + 0x100000]\n"
		       "mov byte ptr [ebx + 0x100000], 3\n"
		       "mov dl, [ebx]\n" OPEN "mov dh, [ebx + 0x100000]\n"
		       "mov al, [ebx]\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX) & 0xffff, 0x0102);
	IS(get(t, VM_REG_RDX) & 0xffff, 0x0203);
	IS(get(t, VM_REG_RAX) & 0xff, 3);
	check(t, "SDM 3 8.7.13.4: a store over the edge of an odd MiB");
	prot(t, CODE32(SHUT "mov dword ptr [0xffffe], 0x44332211\n" OPEN STOP));
	set_mem(t, 0x100000, 2, 0xeeee);
	set_mem(t, 0, 2, 0xeeee);
	GO(GO_STOP);
	IS(mem(t, 0xffffe, 2), 0x2211);
	IS(mem(t, 0, 2), 0x4433);
	IS(mem(t, 0x100000, 2), 0xeeee);
	check(t, "SDM 3 8.7.13.4: REP MOVSB to an odd MiB");
	prot(t, CODE32(SHUT "mov esi, 0xa0000\nmov edi, 0x1b0000\n"
		       "mov ecx, 64\nrep movsb\n" OPEN STOP));
	for (unsigned i = 0; i < 64; i += 4) {
		set_mem(t, T_DATA + i, 4, 0x01010101u * i);
		set_mem(t, 0xb0000 + i, 4, 0xffffffff);
		set_mem(t, 0x1b0000 + i, 4, 0xffffffff);
	}
	GO(GO_STOP);
	IS(mem(t, 0xb003c, 4), 0x3c3c3c3c);
	IS(mem(t, 0x1b003c, 4), 0xffffffff);
}

static void
paging(struct t *t)
{
	uint64_t odd = gvm_alloc(t->g, 1), table, even, *pde;

	IS(odd & ODD, ODD);
	even = odd & ~ODD;
	(void)gvm_pte(t->g, LIN);
	gvm_map(t->g, LIN, odd, PTE_P | PTE_W);
	check(t, "SDM 3 8.7.13.4: what is in the TLB goes");
	kernel(t, CODE("mov ecx, [rbx]\n" SHUT "mov edx, [rbx]\n" OPEN
		       "mov esi, [rbx]\n" STOP));
	set(t, VM_REG_RBX, LIN);
	set_mem(t, odd, 4, 0x111);
	/* The even twin may be somebody's: read it only. */
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x111);
	IS(get(t, VM_REG_RDX), mem(t, even, 4));
	IS(get(t, VM_REG_RSI), 0x111);
	check(t, "SDM 3 8.7.13.4: paging structures, too");
	/* The PDE points to the odd table; its even twin is empty memory made
	 * a table. */
	pde = gvm_ptr(t->g, GVM_TABLES);
	pde = gvm_ptr(t->g, pde[0] & ~0xfffull);
	pde = gvm_ptr(t->g, pde[LIN >> 30] & ~0xfffull);
	table = T_DATA + 0x8000 + ODD;
	IS(table & ODD, ODD);
	set_mem(t, table, 8, T_DATA | PTE_P | PTE_W);
	set_mem(t, table - ODD, 8, (T_DATA + 0x1000) | PTE_P | PTE_W);
	set_mem(t, T_DATA, 4, 0x222);
	set_mem(t, T_DATA + 0x1000, 4, 0x333);
	kernel(t, CODE("mov ecx, [rbx]\n" SHUT "mov edx, [rbx]\n" OPEN
		       "mov esi, [rbx]\n" STOP));
	pde[0] = table | PTE_P | PTE_W;
	set(t, VM_REG_RBX, LIN);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 0x222);
	IS(get(t, VM_REG_RDX), 0x333);
	IS(get(t, VM_REG_RSI), 0x222);
	IS(mem(t, table - ODD, 8) & (PTE_A | PTE_D), PTE_A);
}

static void
code(struct t *t)
{
	check(t, "SDM 3 8.7.13.4: code that is called");
	prot(t, CODE32("mov ebx, 0x1a8000\ncall ebx\nmov edx, ecx\n" SHUT
		       "call ebx\nmov esi, ecx\n" OPEN
		       "call ebx\nmov edi, ecx\n" STOP));
	put(t, 0x0a8000, CODE32("mov ecx, 1\nret\n"));
	put(t, 0x1a8000, CODE32("mov ecx, 2\nret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 2);
	IS(get(t, VM_REG_RSI), 1);
	IS(get(t, VM_REG_RDI), 2);
	check(t, "SDM 3 8.7.13.4: the code behind the OUT");
	prot(t, CODE32("mov ecx, 0x1a9000\njmp ecx\n"));
	put(t, 0x0a9000, CODE32(SHUT "mov edx, 1\n" OPEN "mov esi, 1\n" STOP));
	put(t, 0x1a9000, CODE32(SHUT "mov edx, 2\n" OPEN "mov esi, 2\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 1);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "SDM 3 8.7.13.4: behind OUTSB");
	prot(t, CODE32("mov esi, 0xa0000\nmov edx, 0x92\n"
		       "mov ebx, [0x1a0010]\noutsb\nmov ecx, [0x1a0010]\n"
		       OPEN STOP));
	set_mem(t, T_DATA, 1, 0);
	set_mem(t, 0xa0010, 4, 7);
	set_mem(t, 0x1a0010, 4, 8);
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), 8);
	IS(get(t, VM_REG_RCX), 7);
}

static void
reset(struct t *t)
{
	check(t, "vmm.h: vm_reset() opens the gate");
	prot(t, CODE32(SHUT STOP));
	GO(GO_STOP);
	IS(vm_reset(t->g->vm), 0);
	prot(t, CODE32("mov ecx, [0x1a0000]\n" STOP));
	set_mem(t, 0xa0000, 4, 5);
	set_mem(t, 0x1a0000, 4, 6);
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), 6);
}

const struct group_fn group[] = { { "flat", flat }, { "paging", paging },
	{ "code", code }, { "reset", reset }, { NULL, NULL } };
