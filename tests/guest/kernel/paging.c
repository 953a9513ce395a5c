/* SPDX-License-Identifier: BSD-2-Clause */
/* 4-level paging: rights, accessed and dirty bits, the TLB. */
#include "kernel.h"

#define FREE A_FREE
extern uint64_t pdpt[512], pd_arena[512];

/* Accesses to a page at FREE, with RAX for the data. */
enum { RD, WR, EX };
static const char *const access_names[] = { "read", "write", "fetch" };

static void
prepare(unsigned ring, unsigned acc)
{
	if (ring != 0) {
		switch (acc) {
		case RD:
			user(CODE("mov rax, [rdi]\n" STOP));
			break;
		case WR:
			user(CODE("mov [rdi], rax\n" STOP));
			break;
		default:
			user(CODE("jmp rdi\n"));
			break;
		}
	} else {
		switch (acc) {
		case RD:
			kernel(CODE("mov rax, [rdi]\n" STOP));
			break;
		case WR:
			kernel(CODE("mov [rdi], rax\n" STOP));
			break;
		default:
			kernel(CODE("jmp rdi\n"));
			break;
		}
	}
	c.rdi = FREE;
	map(FREE, 32, PTE_P | PTE_W | PTE_U);
	put(FREE, CODE(STOP));
}

/* Every right of a page, for both rings and all accesses. */
static void
rights(void)
{
	static const struct {
		const char *name;
		uint64_t flags;
		/* Error codes for ring 0 R W X, ring 3 R W X; 0xff: none. */
		uint8_t err[6];
	} pages[] = {
#define NO 0xff
		{ "not present", 0, { 0, 2, 0x10, 4, 6, 0x14 } },
		{ "supervisor", 1, { NO, 3, NO, 5, 7, 0x15 } },
		{ "supervisor, writable", 3, { NO, NO, NO, 5, 7, 0x15 } },
		{ "user", 5, { NO, 3, NO, NO, 7, NO } },
		{ "user, writable", 7, { NO, NO, NO, NO, NO, NO } },
		{ "user, XD", 5 | PTE_NX, { NO, 3, 0x11, NO, 7, 0x15 } },
		{ "supervisor, XD", 1 | PTE_NX,
		    { NO, 3, 0x11, 5, 7, 0x15 } },
	};

	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		for (unsigned j = 0; j < 6; j++) {
			check("SDM 3A 4.6.1 a page %s: %s at CPL %u",
			    pages[i].name, access_names[j % 3],
			    j < 3 ? 0 : 3);
			prepare(j < 3 ? 0 : 3, j % 3);
			map(FREE, 32, pages[i].flags);
			if (pages[i].err[j] == NO)
				GO(V_STOP);
			else
				pagefault(pages[i].err[j], FREE);
		}
}

static void
protections(void)
{
	check("SDM 3A 4.6.1 WP = 0: ring 0 writes a read-only page");
	prepare(0, WR);
	map(FREE, 32, PTE_P);
	set_cr0(CR0_DEFAULT & ~CR0_WP);
	GO(V_STOP);
	check("SDM 3A 4.6.1 WP = 0: ring 3 does not");
	prepare(3, WR);
	map(FREE, 32, PTE_P | PTE_U);
	set_cr0(CR0_DEFAULT & ~CR0_WP);
	pagefault(7, FREE);
	check("SDM 3A 4.6.1 SMEP: ring 0 does not fetch from a user page");
	prepare(0, EX);
	set_cr4(CR4_DEFAULT | CR4_SMEP);
	pagefault(0x11, FREE);
	check("SDM 3A 4.6.1 SMEP: ring 3 does");
	prepare(3, EX);
	set_cr4(CR4_DEFAULT | CR4_SMEP);
	GO(V_STOP);
	check("SDM 3A 4.6.1 SMAP: ring 0 does not read a user page");
	prepare(0, RD);
	set_cr4(CR4_DEFAULT | CR4_SMAP);
	pagefault(1, FREE);
	check("SDM 3A 4.6.1 SMAP: ring 0 does not write a user page");
	prepare(0, WR);
	set_cr4(CR4_DEFAULT | CR4_SMAP);
	pagefault(3, FREE);
	check("SDM 3A 4.6.1 SMAP: with AC it reads");
	prepare(0, RD);
	set_cr4(CR4_DEFAULT | CR4_SMAP);
	c.rflags |= FL_AC;
	GO(V_STOP);
	check("SDM 3A 4.6.1 SMAP: STAC and CLAC");
	K("stac\nmov rax, [rdi]\nclac\nmov rax, [rdi]\n");
	c.rdi = FREE;
	map(FREE, 32, 7);
	set_cr4(CR4_DEFAULT | CR4_SMAP);
	pagefault(1, FREE);
	IS(c.rip, A_CODE + 9);
	check("SDM 3A 4.6.1 SMAP: implicit accesses do not mind AC");
	K("mov ds, eax\n");
	c.rax = 0x08 | 4; /* of an LDT in a user page */
	set_gdt(0x60, 0x00008200000000ffull | (FREE & 0xffffff) << 16 |
		(FREE >> 24) << 56);
	set_gdt(0x68, 0);
	map(FREE, 32, 7);
	poke(FREE + 8, 8, 0x00cf93000000ffff);
	__asm__ volatile("lldt %w0" ::"r"(0x60));
	set_cr4(CR4_DEFAULT | CR4_SMAP);
	c.rflags |= FL_AC;
	pagefault(1, FREE + 8);
	check("SDM 2 STAC: sets AC");
	K("stac\npushfq\npop rax\n");
	GO(V_STOP);
	IS(c.rax & FL_AC, FL_AC);
	check("SDM 2 CLAC: at CPL 3 is #UD");
	U("clac\n");
	faults(V_UD, 0, 0);
	check("SDM 3A 4.6.1 the U/S bit of a directory counts");
	prepare(3, RD);
	pd_arena[0] &= ~PTE_U;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax");
	GO(V_PF);
	IS(c.err, 0x15);
	IS(c.cr2, A_UCODE);
	pd_arena[0] |= PTE_U;
}

static void
structures(void)
{
	check("SDM 3A 4.6.1 the R/W bit of a directory counts");
	prepare(0, WR);
	pdpt[1] &= ~PTE_W;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax");
	pagefault(3, FREE);
	pdpt[1] |= PTE_W;
	check("SDM 3A 4.6.1 the XD bit of a directory counts");
	prepare(0, EX);
	pd_arena[1] = pd_arena[0] | PTE_NX;
	c.rdi = FREE + 0x200000;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax");
	pagefault(0x11, FREE + 0x200000);
	pd_arena[1] = 0;
	check("SDM 3A 4.7 a directory that is not present");
	prepare(0, RD);
	c.rdi = A_BASE + 0x200000;
	pagefault(0, A_BASE + 0x200000);
	check("SDM 3A 4.5.4 XD is reserved with NXE = 0");
	prepare(0, RD);
	wrmsr(EFER, 0x501);
	map(FREE, 32, 7 | PTE_NX);
	pagefault(9, FREE);
	check("SDM 3A 4.7 NXE = 0, SMEP = 0: no I/D flag");
	prepare(0, EX);
	wrmsr(EFER, 0x501);
	*pte(FREE) = 0;
	pagefault(0, FREE);
	check("SDM 3A 4.5.4 a bit above MAXPHYADDR is reserved");
	prepare(0, RD);
	map(FREE, 32, 7 | 1ull << 51);
	pagefault(9, FREE);
	check("SDM 3A 4.5.4 bits 62:52 are ignored");
	prepare(0, RD);
	map(FREE, 32, 7 | 0x7ffull << 52);
	*pte(FREE) &= ~(1ull << 63);
	GO(V_STOP);
	check("SDM 3A 4.5.4 PS in a PML4 entry is reserved");
	prepare(0, RD);
	{
		extern uint64_t pml4[512];

		pml4[1] = pml4[0] | PTE_PS;
		c.rdi = 1ull << 39 | FREE;
		pagefault(9, 1ull << 39 | FREE);
		pml4[1] = 0;
	}
	check("SDM 3A 4.5.4 low address bits of a 2 MiB page are reserved");
	prepare(0, RD);
	pd_arena[2] = 0x2000 | 0x83;
	c.rdi = A_BASE + 0x400000;
	pagefault(9, A_BASE + 0x400000);
	pd_arena[2] = 0;
	check("SDM 3A 4.5.4 a 1 GiB page");
	prepare(0, RD);
	pdpt[2] = 0x83;
	c.rdi = 0x80000000 + 0x100000;
	GO(V_STOP);
	IS(c.rax, *(uint64_t *)0x100000);
	pdpt[2] = 0;
}

static void
bits(void)
{
	check("SDM 3A 4.8 a read sets A, not D");
	prepare(0, RD);
	GO(V_STOP);
	IS(*pte(FREE) & 0xfff, 7 | PTE_A);
	check("SDM 3A 4.8 a write sets A and D");
	prepare(0, WR);
	GO(V_STOP);
	IS(*pte(FREE) & 0xfff, 7 | PTE_A | PTE_D);
	check("SDM 3A 4.8 a write after a read sets D");
	K("mov rax, [rdi]\nmov [rdi], rax\n");
	c.rdi = FREE;
	map(FREE, 32, 7);
	GO(V_STOP);
	IS(*pte(FREE) & 0xfff, 7 | PTE_A | PTE_D);
	check("SDM 3A 4.8 a fetch sets A");
	prepare(0, EX);
	GO(V_STOP);
	IS(*pte(FREE) & 0xfff, 7 | PTE_A);
	check("SDM 3A 4.8 a write that faults sets no D");
	prepare(0, WR);
	map(FREE, 32, PTE_P);
	pagefault(3, FREE);
	IS(*pte(FREE) & PTE_D, 0);
	check("SDM 3A 4.8 CMPXCHG that fails writes all the same");
	K("mov eax, 1\ncmpxchg [rdi], ebx\n");
	c.rdi = FREE;
	map(FREE, 32, 7);
	poke(FREE, 8, 0x99);
	GO(V_STOP);
	IS(*pte(FREE) & PTE_D, PTE_D);
	IS(c.rax, 0x99);
	check("SDM 3A 4.8 directories get A when they are walked");
	pd_arena[0] &= ~PTE_A;
	prepare(0, RD);
	GO(V_STOP);
	IS(pd_arena[0] & PTE_A, PTE_A);
	check("SDM 3A 4.7 a write over two pages: CR2 is the second");
	K("mov [rdi], rax\n");
	c.rdi = FREE + 0xffc;
	map(FREE, 32, 7);
	pagefault(2, FREE + 0x1000);
	check("SDM 3A 4.7 and nothing of it is written");
	IS(peek(FREE + 0xffc, 4), 0);
	check("SDM 3A 4.7 a read over two pages");
	K("mov rax, [rdi]\n");
	c.rdi = FREE + 0xffc;
	map(FREE, 32, 7);
	map(FREE + 0x1000, 40, 7);
	poke(FREE + 0xffc, 8, 0x1122334455667788);
	GO(V_STOP);
	IS(c.rax, 0x1122334455667788);
	check("SDM 3A 4.7 PUSH to a page that is not there keeps RSP");
	K("push rax\n");
	c.rsp = FREE + 0x1000;
	pagefault(2, FREE + 0xff8);
	IS(c.rsp, FREE + 0x1000);
	check("SDM 3A 4.7 CALL to a stack that is not there keeps RIP");
	K("call .+0x20\n");
	c.rsp = FREE + 0x1000;
	pagefault(2, FREE + 0xff8);
	IS(c.rip, A_CODE);
	check("SDM 3A 4.7 POP to memory that is not there keeps RSP");
	K("pop qword ptr [rdi]\n");
	c.rdi = FREE;
	pagefault(2, FREE);
	IS(c.rsp, A_STACK);
}

static void
tlb(void)
{
	check("SDM 3A 4.10.4.1 INVLPG drops a translation");
	K("mov rax, [rdi]\nmov rcx, [rsi]\nmov [rdx], rcx\ninvlpg [rdi]\n"
	  "mov rbx, [rdi]\n");
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	map(FREE, 32, 7);
	poke(FREE, 8, 1);
	*(uint64_t *)page(33) = 2;
	poke(A_DATA, 8, page(33) | 7);
	GO(V_STOP);
	IS(c.rax, 1);
	IS(c.rbx, 2);
	check("SDM 3A 4.10.4.1 MOV to CR3 drops translations");
	K("mov rax, [rdi]\nmov rcx, [rsi]\nmov [rdx], rcx\nmov r8, cr3\n"
	  "mov cr3, r8\nmov rbx, [rdi]\n");
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	map(FREE, 32, 7);
	poke(A_DATA, 8, page(33) | 7);
	GO(V_STOP);
	IS(c.rax, 1);
	IS(c.rbx, 2);
	check("SDM 3A 4.10.2.4 clearing CR4.PGE drops global ones");
	K("mov rax, [rdi]\nmov rcx, [rsi]\nmov [rdx], rcx\nmov r8, cr4\n"
	  "btr r8, 7\nmov cr4, r8\nmov rbx, [rdi]\n");
	set_cr4(CR4_DEFAULT | CR4_PGE);
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	map(FREE, 32, 7 | PTE_G);
	poke(A_DATA, 8, page(33) | 7);
	GO(V_STOP);
	IS(c.rax, 1);
	IS(c.rbx, 2);
	check("SDM 3A 4.10.4.2 more rights need no flush");
	K("mov rax, [rdi]\nor qword ptr [rdx], 2\nmov [rdi], rcx\n");
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	c.rcx = 0x4711;
	map(FREE, 32, PTE_P);
	if (go() == V_PF) {
		/* One fault is allowed; it drops the translation. */
		IS(c.err, 3);
		GO(V_STOP);
	}
	IS(peek(FREE, 4), 0x4711);
	check("SDM 3A 4.10.4.3 a page that becomes present needs no flush");
	K("mov rcx, [rsi]\nmov [rdx], rcx\nmov rbx, [rdi]\n");
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	poke(A_DATA, 8, page(33) | 7);
	GO(V_STOP);
	IS(c.rbx, 2);
	check("SDM 2 INVLPG: at CPL 3 is #GP");
	U("invlpg [rdi]\n");
	faults(V_GP, 0, 0);
	check("SDM 2 INVLPG: a non-canonical address does nothing");
	K("mov rax, 0x800000000000\ninvlpg [rax]\n");
	GO(V_STOP);
	check("SDM 2 INVPCID: type 2 drops all");
	K("mov rax, [rdi]\nmov rcx, [rsi]\nmov [rdx], rcx\nmov r8d, 2\n"
	  "invpcid r8, [rsi + 16]\nmov rbx, [rdi]\n");
	poke(A_DATA + 16, 8, 0);
	c.rdi = FREE;
	c.rdx = (uint64_t)pte(FREE);
	map(FREE, 32, 7);
	poke(FREE, 8, 1);
	poke(A_DATA, 8, page(33) | 7);
	if (has(7, 1, 10)) {
		GO(V_STOP);
		IS(c.rbx, 2);
	} else {
		GO(V_UD);
	}
	check("SDM 2 INVPCID: type 4 is #GP");
	K("mov r8d, 4\ninvpcid r8, [rsi]\n");
	GO(has(7, 1, 10) ? V_GP : V_UD);
	check("SDM 2 INVPCID: reserved bits of the descriptor are #GP");
	K("mov r8d, 2\ninvpcid r8, [rsi]\n");
	poke(A_DATA, 8, 0x10000);
	GO(has(7, 1, 10) ? V_GP : V_UD);
	poke(A_DATA, 8, 0);
	check("SDM 3A 4.10.1 CR4.PCIDE only if CPUID has PCID");
	K("mov rax, cr4\nbts rax, 17\nmov cr4, rax\nmov rbx, cr4\n"
	  "btr rbx, 17\nmov cr4, rbx\n");
	GO(has(1, 2, 17) ? V_STOP : V_GP);
	check("SDM 3A 4.10.1 CR4.PCIDE with CR3[11:0] not 0 is #GP");
	K("mov rax, cr3\nor rax, 8\nmov cr3, rax\nmov rax, cr4\nbts rax, 17\n"
	  "mov cr4, rax\n");
	GO(V_GP);
	check("SDM 2 MOV to CR3: bits above MAXPHYADDR are #GP");
	K("mov rax, 0x0008000000000000\nmov cr3, rax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 10);
}

void
paging(void)
{
	rights();
	protections();
	structures();
	bits();
	tlb();
}
