/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paging outside 4-level paging: 32-bit and PAE (SDM volume 3A, 4.3, 4.4),
 * five levels (4.5), PCIDs (4.10.1), tables in odd places.
 */
#include "small.h"

#include <stdio.h>

#define CODE32(text) CODE(".code32\n" text "\n.code64\n")
#define TABLES 0x1000000ull /* RAM that nothing else uses */
#define PAGE 0x1800000ull
#define LIN 0x40000000ull /* what the tests map: entry 256 of 1024, PDPTE 1 */
#define RWP (PTE_P | PTE_W)
#define CR4_PSE 0x10ull
#define CR4_PAE 0x20ull
#define CR4_LA57 0x1000ull
#define CR4_PCIDE 0x20000ull

enum { P32, PAE };

static void
seg32(struct t *t, enum vm_segreg s, uint16_t sel, uint32_t access)
{
	struct vm_seg v = { .limit = 0xffffffff, .access = access,
		.sel = sel };

	(void)vcpu_set_seg(t->g->cpu, s, &v);
}

/* Protected mode at CPL 0 with 32-bit gates to the stubs. */
static void
prot(struct t *t, struct code c, unsigned kind, uint64_t cr4)
{
	struct vm_seg idtr = { .base = GVM_IDT, .limit = 0x7ff };

	put(t, T_CODE, c);
	gvm_start(t->g, T_CODE);
	for (unsigned i = 0; i < 256; i++) {
		uint64_t rip = GVM_STUBS + 16 * i;

		set_mem(t, GVM_IDT + 8 * i, 8, (rip & 0xffff) | 8 << 16 |
			0x8e0000000000ull | rip >> 16 << 48);
	}
	set_gdt(t, 8, 0x00cf9b000000ffff);
	set(t, VM_REG_CR0, 0x10033);
	set(t, VM_REG_EFER, kind == PAE ? 0x800 : 0);
	set(t, VM_REG_CR4, 0x600 | cr4 | (kind == PAE ? CR4_PAE : 0));
	set(t, VM_REG_CR3, TABLES);
	seg32(t, VM_SEG_CS, 8, 0xc09b);
	seg32(t, VM_SEG_SS, 0x10, 0xc093);
	seg32(t, VM_SEG_DS, 0x10, 0xc093);
	seg32(t, VM_SEG_ES, 0x10, 0xc093);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_IDTR, &idtr);
	set(t, VM_REG_CR0, 0x80010033);
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_RSP, GVM_STACK_TOP);
}

/* The first 4 MiB one to one, and nothing else. */
static void
tables(struct t *t, unsigned kind)
{
	for (unsigned i = 0; i < 4 * 4096; i += 8)
		set_mem(t, TABLES + i, 8, 0);
	if (kind == P32) {
		set_mem(t, TABLES, 4, (TABLES + 0x1000) | RWP);
		for (unsigned i = 0; i < 1024; i++)
			set_mem(t, TABLES + 0x1000 + 4 * i, 4,
			    i * 4096u | RWP);
		/* LIN: a table at 0x2000. */
		set_mem(t, TABLES + 0x400, 4, (TABLES + 0x2000) | RWP);
		return;
	}
	set_mem(t, TABLES, 8, (TABLES + 0x1000) | PTE_P);
	set_mem(t, TABLES + 8, 8, (TABLES + 0x2000) | PTE_P);
	set_mem(t, TABLES + 0x1000, 8, RWP | PTE_PS);
	set_mem(t, TABLES + 0x2000, 8, (TABLES + 0x3000) | RWP);
}

static void
is_pf(struct t *t, uint64_t error, uint64_t cr2)
{
	GO(V_PF);
	/* A 32-bit frame on the current stack. */
	IS(mem(t, (uint32_t)get(t, VM_REG_RSP), 4), error);
	IS(get(t, VM_REG_CR2), cr2);
}

#define READ CODE32("mov eax, [ebx]\n" STOP)
#define WRITE CODE32("mov [ebx], eax\n" STOP)

static void
legacy(struct t *t)
{
	tables(t, P32);
	set_mem(t, PAGE, 4, 0x1234);
	check(t, "SDM 3A 4.3: a 4 KiB page, A but not D");
	set_mem(t, TABLES + 0x2000, 4, PAGE | RWP);
	prot(t, READ, P32, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	IS(mem(t, TABLES + 0x2000, 4), PAGE | RWP | PTE_A);
	IS(mem(t, TABLES + 0x400, 4) & 0xff, RWP | PTE_A);
	check(t, "SDM 3A 4.3, 4.8: D by a write");
	prot(t, WRITE, P32, 0);
	GO(GO_STOP);
	IS(mem(t, TABLES + 0x2000, 4), PAGE | RWP | PTE_A | PTE_D);
	check(t, "SDM 3A 4.7: not present");
	set_mem(t, TABLES + 0x2000, 4, 0);
	prot(t, WRITE, P32, 0);
	is_pf(t, 2, LIN);
	check(t, "SDM 3A 4.3: CR4.PSE clear, PS is ignored");
	set_mem(t, TABLES + 0x400, 4, (TABLES + 0x2000) | RWP | PTE_PS);
	set_mem(t, TABLES + 0x2000, 4, PAGE | RWP);
	prot(t, READ, P32, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	check(t, "SDM 3A 4.3: a 4 MiB page");
	set_mem(t, TABLES + 0x400, 4, 0x1800000 | RWP | PTE_PS);
	prot(t, CODE32("mov eax, [ebx + 0x301000]\n" STOP), P32, CR4_PSE);
	set_mem(t, PAGE + 0x301000, 4, 0x5678);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x5678);
	IS(mem(t, TABLES + 0x400, 4), 0x1800000 | RWP | PTE_PS | PTE_A);
	check(t, "SDM 3A table 4-4: bit 21 of a 4 MiB page is reserved");
	set_mem(t, TABLES + 0x400, 4, 0x1a00000 | RWP | PTE_PS);
	prot(t, READ, P32, CR4_PSE);
	is_pf(t, 9, LIN);
	check(t, "SDM 3A table 4-4: PSE-36, bits 20:13 are address bits 39:32");
	set_mem(t, TABLES + 0x400, 4, 0xd0000000 | RWP | PTE_PS | 1 << 13);
	prot(t, READ, P32, CR4_PSE);
	t->g->nio = 0;
	GO(GO_STOP);
	is(t, "reads of what would be without", t->g->nio, 0);
	set_mem(t, TABLES + 0x400, 4, 0xd0000000 | RWP | PTE_PS);
	prot(t, READ, P32, CR4_PSE);
	GO(GO_STOP);
	is(t, "reads below 4 GiB", t->g->nio, 1);
	check(t, "SDM 3A table 4-4: PAT of a 4 MiB page is not reserved");
	set_mem(t, TABLES + 0x400, 4, 0x1800000 | RWP | PTE_PS | 1 << 12);
	prot(t, READ, P32, CR4_PSE);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	check(t, "SDM 3A 4.7: no I/D without PAE, NXE or not");
	set_mem(t, TABLES + 0x400, 4, 0);
	prot(t, CODE32("jmp ebx\n"), P32, 0);
	set(t, VM_REG_EFER, 0x800);
	is_pf(t, 0, LIN);
}

static void
pae(struct t *t)
{
	static const uint64_t bad[] = { 2, 4, 0x20, 0x40, 0x80, 0x100,
		1ull << 51, 1ull << 52, 1ull << 63 };
	uint64_t pte = TABLES + 0x3000;

	tables(t, PAE);
	set_mem(t, PAGE, 4, 0x1234);
	set_mem(t, pte, 8, PAGE | RWP);
	check(t, "SDM 3A 4.4.2: a 4 KiB page; PDPTEs have no A");
	prot(t, READ, PAE, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	IS(mem(t, pte, 8), PAGE | RWP | PTE_A);
	IS(mem(t, TABLES + 8, 8) & 0xfff, PTE_P);
	check(t, "SDM 3A 4.4.1: a PDPTE changed in memory is not seen, INVLPG "
		 "or not");
	prot(t, CODE32("mov dword ptr [edi], 0\ninvlpg [ebx]\n"
		       "mov eax, [ebx]\n" STOP), PAE, 0);
	/* Its memory is seen through the second page. */
	set_mem(t, pte + 8, 8, TABLES | RWP);
	set(t, VM_REG_RDI, LIN + 0x1008);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	IS(mem(t, TABLES + 8, 4), 0);
	check(t, "SDM 3A 4.4.1: MOV to CR3 loads it; not present: #PF");
	set_mem(t, TABLES + 8, 8, (TABLES + 0x2000) | PTE_P);
	prot(t, CODE32("mov dword ptr [edi], 0\nmov eax, cr3\nmov cr3, eax\n"
		       "mov eax, [ebx]\n" STOP), PAE, 0);
	set(t, VM_REG_RDI, LIN + 0x1008);
	is_pf(t, 0, LIN);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check(t, "SDM 3A 4.4.1 (#GP): MOV to CR3, PDPTE with %#llx",
		    (unsigned long long)bad[i]);
		prot(t, CODE32("mov eax, cr3\nmov cr3, eax\n"), PAE, 0);
		set_mem(t, TABLES + 24, 8, PTE_P | bad[i]);
		GO(V_GP);
		IS(mem(t, (uint32_t)get(t, VM_REG_RSP) + 4, 4), T_CODE + 3);
		set_mem(t, TABLES + 24, 8, bad[i] & ~1ull);
		check(t, "SDM 3A 4.4.1: not if it is not present");
		prot(t, CODE32("mov eax, cr3\nmov cr3, eax\n" STOP), PAE, 0);
		GO(GO_STOP);
	}
	check(t, "SDM 3A 4.4.1 (#GP): MOV to CR4 that changes PGE");
	prot(t, CODE32("mov eax, cr4\nxor eax, 0x80\nmov cr4, eax\n"), PAE, 0);
	set_mem(t, TABLES + 24, 8, 3);
	GO(V_GP);
	set_mem(t, TABLES + 24, 8, 0);
	set_mem(t, TABLES + 8, 8, (TABLES + 0x2000) | PTE_P);
	for (unsigned b = 52; b < 63; b += 5) {
		check(t, "SDM 3A table 4-11: bit %u of a PTE is reserved", b);
		set_mem(t, pte, 8, PAGE | RWP | 1ull << b);
		prot(t, READ, PAE, 0);
		is_pf(t, 9, LIN);
	}
	check(t, "SDM 3A table 4-11: XD keeps from execution");
	set_mem(t, pte, 8, PAGE | RWP | PTE_NX);
	prot(t, CODE32("jmp ebx\n"), PAE, 0);
	is_pf(t, 0x11, LIN);
	check(t, "SDM 3A table 4-11: XD is reserved without NXE");
	prot(t, READ, PAE, 0);
	set(t, VM_REG_EFER, 0);
	is_pf(t, 9, LIN);
	check(t, "SDM 3A table 4-9: a 2 MiB page, PS without CR4.PSE");
	set_mem(t, TABLES + 0x2000, 8, PAGE | RWP | PTE_PS);
	prot(t, READ, PAE, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	check(t, "SDM 3A table 4-9: its bit 13 is reserved, bit 12 PAT");
	set_mem(t, TABLES + 0x2000, 8, PAGE | RWP | PTE_PS | 0x3000);
	prot(t, READ, PAE, 0);
	is_pf(t, 9, LIN);
}

static void
wrap(struct t *t)
{
	check(t, "SDM 3A 3.3.5: an access around 4 GiB goes on at 0");
	kernel(t, CODE("push 0x23\npop rax\n" STOP));
	tables(t, PAE);
	set_mem(t, TABLES + 24, 8, (TABLES + 0x2000) | PTE_P);
	set_mem(t, TABLES + 0x2ff8, 8, (TABLES + 0x3000) | RWP);
	set_mem(t, TABLES + 0x3ff8, 8, PAGE | RWP);
	set_mem(t, PAGE + 0xffe, 2, 0x3412);
	set_mem(t, 0, 2, 0x7856);
	prot(t, READ, PAE, 0);
	set(t, VM_REG_RBX, 0xfffffffe);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x78563412);
}

/* Entries that are not in RAM read as what is there. */
static void
odd_tables(struct t *t)
{
	uint64_t *e, lin = 0x700000, gpa = 0x1800000;

	check(t, "SDM 3A 4.5: a table where nothing is reads as ones, whose "
		 "reserved bits fault");
	e = gvm_pte(t->g, lin);
	(void)e;
	kernel(t, CODE("mov al, [rbx]\n"));
	set_mem(t, GVM_TABLES + 8 * 9, 8, 0xc0000000 | RWP);
	set(t, VM_REG_RBX, 9ull << 39);
	GO(V_PF);
	IS(t->f.error, 9);
	check(t, "SDM 3A 4.5: a PTE in I/O memory");
	*gvm_pte(t->g, lin) = gpa | RWP;
	set_mem(t, gpa, 4, 0x4711);
	e = gvm_pte(t->g, lin);
	e = (uint64_t *)gvm_ptr(t->g, GVM_TABLES);
	e = (uint64_t *)gvm_ptr(t->g, *e & 0xffffffffff000ull);
	e = (uint64_t *)gvm_ptr(t->g, *e & 0xffffffffff000ull);
	/* A new 2 MiB range whose PTEs are in the device at GVM_MMIO. */
	e[8] = GVM_MMIO | RWP;
	t->g->io_answer = gpa | RWP;
	t->g->nio = 0;
	kernel(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, 8ull << 21);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x4711);
	IS(t->g->nio, 2);
	IS(t->g->io[1].write, true);
	IS(t->g->io[1].val, gpa | RWP | PTE_A);
	e[8] = 0;
}

/*
 * What is kept of a PCID while another one is current, and when it must go:
 * SDM 3A 4.10.4.1. [RBX] is read with PCID 1, which fills the TLB; then its
 * PTE goes, PCID 2 comes, `between` runs, and PCID 1 comes back, with bit 63
 * of CR3 if `keep` is set. RAX: what is read then, or #PF.
 */
static int
pcid_back(struct t *t, struct code between, bool keep)
{
	uint64_t a = 0x700000, g1 = 0x1800000, *e = gvm_pte(t->g, a);
	uint64_t cr3 = GVM_TABLES;

	*e = g1 | RWP;
	set_mem(t, g1, 8, 0x1234);
	kernel(t, CODE("mov rax, cr4\nbts rax, 17\nmov cr4, rax\n"
		       "mov cr3, r8\nmov rax, [rbx]\n"
		       "mov qword ptr [rsi], 0\nmov cr3, r9\n"
		       "jmp r11\n"));
	put(t, T_CODE + 0x800, between);
	put(t, T_CODE + 0xc00, CODE("mov cr3, r10\nmov rax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, a);
	set(t, VM_REG_RSI, gpa_of(t, e));
	set(t, VM_REG_R8, cr3 | 1);
	set(t, VM_REG_R9, cr3 | 2);
	set(t, VM_REG_R10, cr3 | 1 | (uint64_t)keep << 63);
	set(t, VM_REG_R11, T_CODE + 0x800);
	set(t, VM_REG_RDI, T_DATA);
	return (go(t));
}

#define GO_KEPT(code, keep, kept)                                              \
	IS(pcid_back(t, code, keep), (kept) ? GO_STOP : V_PF)
#define BACK "mov rdx, 0x80c00\njmp rdx\n"

static void
pcid_kept(struct t *t)
{
	static const struct {
		uint64_t type, pcid;
		bool goes;
	} inv[] = { { 0, 1, true }, { 1, 1, true }, { 1, 2, false },
		{ 1, 9, false }, { 2, 0, true }, { 3, 0, true } };
	/* Hardware may keep it; the engine does, if told to. */
	bool keeps = !(t->options & GVM_OFF(SOFT_OFF_PCID));

	if (!has(t, 1, 2, 17))
		return;
	check(t, "SDM 3A 4.10.4.1: bit 63 keeps what a PCID had");
	GO_KEPT(CODE(BACK), true, keeps);
	if (keeps)
		IS(get(t, VM_REG_RAX), 0x1234);
	check(t, "SDM 3A 4.10.4.1: without it nothing is kept");
	GO_KEPT(CODE(BACK), false, false);
	check(t, "SDM 3A 4.10.4.1: a change of CR4.PGE takes all PCIDs'");
	GO_KEPT(CODE("mov rax, cr4\nbtc rax, 7\nmov cr4, rax\n"
		     "btc rax, 7\nmov cr4, rax\n" BACK), true, false);
	check(t, "SDM 3A 4.10.4.1: INVLPG is of the current PCID");
	GO_KEPT(CODE("invlpg [rbx]\n" BACK), true, keeps);
	if (!has(t, 7, 1, 10))
		return;
	for (unsigned i = 0; i < sizeof(inv) / sizeof(inv[0]); i++) {
		check(t, "SDM 2 INVPCID: type %u, PCID %u, of one kept",
		    (unsigned)inv[i].type, (unsigned)inv[i].pcid);
		set_mem(t, T_DATA, 8, inv[i].pcid);
		set_mem(t, T_DATA + 8, 8, 0x700000);
		set_mem(t, T_DATA + 16, 8, inv[i].type);
		GO_KEPT(CODE("mov r12, [rdi + 16]\ninvpcid r12, [rdi]\n"
			     BACK), true, keeps && !inv[i].goes);
	}
}

static void
pcid(struct t *t)
{
	uint64_t a = 0x700000, g1 = 0x1800000, *e = gvm_pte(t->g, a);

	if (!has(t, 1, 2, 17)) {
		printf("no PCID\n");
		return;
	}
	check(t, "SDM 3A 4.10.1 (#GP): CR4.PCIDE outside IA-32e mode");
	tables(t, PAE);
	prot(t, CODE32("mov eax, cr4\nbts eax, 17\nmov cr4, eax\n"), PAE, 0);
	GO(V_GP);
	gvm_destroy(t->g);
	(void)gvm_create(&t->g, 1, t->options);
	e = gvm_pte(t->g, a);
	check(t, "SDM 3A 4.10.1: PCIDE, CR3 with a PCID, bit 63 reads as 0");
	*e = g1 | RWP;
	kernel(t, CODE("mov rax, cr4\nbts rax, 17\nmov cr4, rax\n"
		       "mov rax, cr3\nor rax, 0x123\nbts rax, 63\n"
		       "mov cr3, rax\nmov rcx, cr3\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RCX), GVM_TABLES | 0x123);
	check(t, "SDM 3A 4.10.4.1: another PCID does not see this one's pages");
	kernel(t, CODE("mov rax, cr4\nbts rax, 17\nmov cr4, rax\n"
		       "mov eax, [rbx]\nmov qword ptr [rsi], 0\n"
		       "mov rax, cr3\nor rax, 1\nbts rax, 63\nmov cr3, rax\n"
		       "1:mov eax, [rbx]\n"));
	set(t, VM_REG_RBX, a);
	set(t, VM_REG_RSI, gpa_of(t, e));
	GO(V_PF);
	*e = g1 | RWP;
	check(t, "SDM 2 MOV CR (#GP): PG off with PCIDE");
	kernel(t, CODE("mov rax, cr4\nbts rax, 17\nmov cr4, rax\n"
		       "mov rax, cr0\nbtr rax, 31\nmov cr0, rax\n"));
	GO(V_GP);
	check(t, "SDM 2 MOV CR (#GP): CR3 bit 63 without PCIDE");
	kernel(t, CODE("mov rax, cr3\nbts rax, 63\nmov cr3, rax\n"));
	GO(V_GP);
	for (unsigned type = 0; type < 5; type++) {
		check(t, "SDM 2 INVPCID: type %u", type);
		kernel(t, CODE("mov eax, [rbx]\nmov qword ptr [rsi], 0\n"
			       "invpcid rdx, [rdi]\nmov eax, [rbx]\n" STOP));
		*e = g1 | RWP | PTE_G;
		if (type == 1 || type == 3)
			*e &= ~PTE_G;
		set(t, VM_REG_RBX, a);
		set(t, VM_REG_RSI, gpa_of(t, e));
		set(t, VM_REG_RDX, type);
		set(t, VM_REG_RDI, T_DATA);
		set_mem(t, T_DATA, 8, 0);
		set_mem(t, T_DATA + 8, 8, a);
		/* An individual address: not global, strictly. */
		if (type == 0)
			*e &= ~PTE_G;
		GO(type < 4 ? V_PF : V_GP);
		check(t, "SDM 2 INVPCID (#GP): type %u, reserved bits", type);
		kernel(t, CODE("invpcid rdx, [rdi]\n" STOP));
		set_mem(t, T_DATA, 8, 0x1000);
		GO(V_GP);
		check(t, "SDM 2 INVPCID: type %u, a PCID without PCIDE", type);
		kernel(t, CODE("invpcid rdx, [rdi]\n" STOP));
		set_mem(t, T_DATA, 8, 1);
		GO(type < 2 || type > 3 ? V_GP : GO_STOP);
		check(t, "SDM 2 INVPCID: type %u, address not canonical", type);
		kernel(t, CODE("invpcid rdx, [rdi]\n" STOP));
		set_mem(t, T_DATA, 8, 0);
		set_mem(t, T_DATA + 8, 8, 1ull << 63);
		GO(type == 0 || type > 3 ? V_GP : GO_STOP);
	}
}

/* A PML5 above gvm.c's tables; its entry 0 is theirs. */
static void
start57(struct t *t, struct code c)
{
	for (unsigned i = 0; i < 4096; i += 8)
		set_mem(t, TABLES + i, 8, 0);
	set_mem(t, TABLES, 8, GVM_TABLES | RWP | PTE_U);
	/* The last entry and entry 3 as well. */
	set_mem(t, TABLES + 8 * 3, 8, GVM_TABLES | RWP | PTE_U);
	set_mem(t, TABLES + 8 * 511, 8, GVM_TABLES | RWP | PTE_U);
	kernel(t, c);
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_LA57);
	set(t, VM_REG_CR3, TABLES);
	set(t, VM_REG_RSI, T_DATA);
}

static void
five(struct t *t)
{
	uint64_t far = 3ull << 48;

	if (!has(t, 7, 2, 16)) {
		printf("no LA57\n");
		return;
	}
	set_mem(t, T_DATA, 4, 0x1234);
	check(t, "SDM 3A 4.5: five levels, an address of 57 bits");
	start57(t, CODE("mov eax, [rbx]\nmov [rbx + 4], eax\n" STOP));
	set(t, VM_REG_RBX, far + T_DATA);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	IS(mem(t, T_DATA + 4, 4), 0x1234);
	IS(mem(t, TABLES + 24, 8) & 0xfff, RWP | PTE_U | PTE_A);
	check(t, "SDM 3A 4.5: in the upper half");
	start57(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, 0xffff000000000000 + T_DATA);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x1234);
	check(t, "SDM 3A 4.7: entry not present, CR2 has 57 bits");
	start57(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, 5ull << 48);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), 5ull << 48);
	check(t, "SDM 3A table 4-14: PS of a PML5E is reserved");
	start57(t, CODE("mov eax, [rbx]\n" STOP));
	set_mem(t, TABLES + 24, 8, GVM_TABLES | RWP | PTE_PS);
	set(t, VM_REG_RBX, far + T_DATA);
	GO(V_PF);
	IS(t->f.error, 9);
	check(t, "SDM 1 3.3.7.1 (#GP): bit 56 decides");
	start57(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, 1ull << 56);
	GO(V_GP);
	check(t, "SDM 1 3.3.7.1: jump, call and return to 57 bits");
	start57(t, CODE("jmp rbx\n1:mov eax, 7\nlea rdx, [rip + 1f]\n"
			"call rdx\nmov edx, 8\n" STOP "1:mov ecx, 9\nret\n"));
	set(t, VM_REG_RBX, far + T_CODE + 2);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
	IS(get(t, VM_REG_RDX), 8);
	IS(get(t, VM_REG_RCX), 9);
	check(t, "SDM 3A 4.5: addresses 2^48 apart are different code");
	for (unsigned i = 0; i < 3; i++) {
		start57(t, CODE("mov ecx, 4\n1:mov rdx, cr3\nmov cr3, rdx\n"
				"jmp rbx\n2:add rbx, rsi\ndec ecx\njnz 1b\n"
				STOP));
		set_mem(t, TABLES + 8, 8, GVM_TABLES | RWP);
		set_mem(t, TABLES + 16, 8, GVM_TABLES | RWP);
		set(t, VM_REG_RBX, T_CODE + 13);
		set(t, VM_REG_RSI, 1ull << 48);
		/* The fifth place is not mapped: four jumps succeed. */
		GO(GO_STOP);
		IS(get(t, VM_REG_RCX), 0);
		set_mem(t, TABLES + 16, 8, 0);
		start57(t, CODE("mov ecx, 4\n1:mov rdx, cr3\nmov cr3, rdx\n"
				"jmp rbx\n2:add rbx, rsi\ndec ecx\njnz 1b\n"
				STOP));
		set_mem(t, TABLES + 8, 8, GVM_TABLES | RWP);
		set(t, VM_REG_RBX, T_CODE + 13);
		set(t, VM_REG_RSI, 1ull << 48);
		GO(V_PF);
		IS(t->f.rip, (2ull << 48) + T_CODE + 13);
	}
	check(t, "SDM 3A 4.5: addresses 2^48 apart are different data");
	start57(t, CODE("mov ecx, 1000\n1:mov eax, [rbx + rsi]\n"
			"mov edx, [rbx]\nmov edi, [rbx + rsi]\ninc edx\n"
			"mov [rbx], edx\ndec ecx\njnz 1b\n" STOP));
	gvm_map(t->g, LIN, PAGE, RWP);
	for (unsigned i = 1; i < 5; i++) {
		uint64_t table = TABLES + 0x1000 * i;

		for (unsigned n = 0; n < 4096; n += 8)
			set_mem(t, table + n, 8, 0);
		set_mem(t, i == 1 ? TABLES + 8 :
				    table - 0x1000 + (i == 3 ? 8 : 0),
		    8, table | RWP);
	}
	set_mem(t, TABLES + 0x4000, 8, (PAGE + 0x1000) | RWP);
	set_mem(t, PAGE, 4, 0);
	set_mem(t, PAGE + 0x1000, 4, 0x57);
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_RSI, 1ull << 48);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x57);
	IS(get(t, VM_REG_RDI), 0x57);
	IS(get(t, VM_REG_RDX), 1000);
	IS(mem(t, PAGE, 4), 1000);
	check(t, "SDM 3A 2.5 (#GP): LA57 changed in long mode");
	start57(t, CODE("mov rax, cr4\nbtr rax, 12\nmov cr4, rax\n"));
	GO(V_GP);
	check(t, "SDM 2 WRMSR: bases of 57 bits, LA57 or not");
	kernel(t, CODE("mov ecx, 0xc0000102\nxor eax, eax\n"
		       "mov edx, 0x800000\nwrmsr\nrdmsr\n" STOP));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~CR4_LA57);
	set(t, VM_REG_CR3, GVM_TABLES);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 0x800000);
}

/* A jump cache must not take a stale place for it. */
static void
far_targets(struct t *t)
{
	for (uint64_t n = 1; n < 4; n++)
		for (unsigned sign = 0; sign < 2; sign++) {
			uint64_t d = sign ? 0 - (n << 48) : n << 48;

			check(t, "SDM 1 3.3.7.1 (#GP): jump to a known "
				 "address %s 2^48 * %llu after a flush",
			    sign ? "-" : "+", (unsigned long long)n);
			kernel(t, CODE("jmp rbx\n1:add rbx, rdx\nmov rcx, cr3\n"
				       "2:mov cr3, rcx\ndec esi\njnz 2b\n"
				       "jmp rbx\n"));
			set(t, VM_REG_RBX, T_CODE + 2);
			set(t, VM_REG_RDX, d);
			set(t, VM_REG_RSI, n);
			GO(V_GP);
			IS(get(t, VM_REG_RSI), 0);
		}
}

/* CR4.SMEP and SMAP are about pages: without paging nothing. */
static void
unpaged(struct t *t)
{
	static const uint64_t cr4[] = { 0, CR4_SMEP, CR4_SMAP,
		CR4_SMEP | CR4_SMAP };

	for (unsigned i = 0; i < 4; i++) {
		check(t, "SDM 3A 4.6: without paging, CR4 %#lx", cr4[i]);
		prot(t, CODE32("mov ebx, 0xa0000\nmov edx, 0x81ffd\n"
			       "jmp edx\n"), P32, cr4[i]);
		set(t, VM_REG_CR0, 0x10033);
		/* Code and data over a page's end. */
		put(t, T_CODE + 0x1ffd,
		    CODE32("mov eax, 0x12345678\n"
			   "mov [ebx + 0xffe], eax\n"
			   "mov ecx, [ebx + 0xffd]\n" STOP));
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 0x12345678);
		IS(mem(t, 0xa0ffe, 4), 0x12345678);
		IS(get(t, VM_REG_RCX) >> 8, 0x345678);
	}
}

const struct group_fn group[] = { { "legacy", legacy }, { "pae", pae },
	{ "wrap", wrap }, { "odd_tables", odd_tables }, { "pcid", pcid },
	{ "pcid_kept", pcid_kept }, { "five", five },
	{ "far_targets", far_targets }, { "unpaged", unpaged },
	{ NULL, NULL } };
