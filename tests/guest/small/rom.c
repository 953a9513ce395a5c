/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot ROM: SDM volume 3, 10.1 (initialization); what a PC does with stores
 * to it. */
#include "small.h"

#include <errno.h>
#include <string.h>

#define LIN 0x8000000000ull /* where a test maps the ROM */
#define OFF 0x4000u	    /* of what it reads there */

static void
fill(struct t *t)
{
	for (unsigned i = 0; i < GVM_ROM_SIZE; i++)
		t->g->rom[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void
map(struct t *t, uint64_t flags)
{
	for (uint64_t o = 0; o < GVM_ROM_SIZE; o += 4096)
		gvm_map(t->g, LIN + o, GVM_ROM + o, PTE_P | flags);
}

static void
place(struct t *t, unsigned off, struct code c)
{
	memcpy(t->g->rom + off, c.p, c.len);
}

static void
first_instruction(struct t *t)
{
	struct vm_seg cs = { 0 };

	check(t, "SDM 3A 10.1.4 first instruction executed");
	place(t, 0xfff0, CODE(".code16\ncall 1f\n1: .code64\n" STOP));
	IS(vm_reset(t->g->vm), 0);
	(void)vcpu_get_seg(t->g->cpu, VM_SEG_CS, &cs);
	IS(cs.sel, 0xf000);
	IS(cs.base, 0xffff0000);
	IS(get(t, VM_REG_RIP), 0xfff0);
	set(t, VM_REG_RSP, 0x1000);
	GO(GO_STOP);
	IS(t->stop, 0xfff3);
	IS(mem(t, 0xffe, 2), 0xfff3);

}

/* What every BIOS begins with; the base of after RESET is gone then. */
static void
first_jump(struct t *t)
{
	struct vm_seg cs = { 0 };

	check(t, "SDM 3A 10.1.4 far jump to the copy below 1 MiB");
	place(t, 0xfff0, CODE(".code16\nljmp 0xf000:0xe05b\n.code64\n"));
	put(t, 0xfe05b, CODE(STOP));
	IS(vm_reset(t->g->vm), 0);
	GO(GO_STOP);
	(void)vcpu_get_seg(t->g->cpu, VM_SEG_CS, &cs);
	IS(cs.base, 0xf0000);
	IS(t->stop, 0xe05b);
}

static void
loads(struct t *t)
{
	uint64_t want;

	fill(t);
	map(t, PTE_W);
	for (unsigned o = 0xff8; o <= 0x1000; o++) {
		check(t, "load of 8 bytes at ROM offset %x", o);
		kernel(t, CODE("mov rax, [rbx]\n" STOP));
		set(t, VM_REG_RBX, LIN + o);
		GO(GO_STOP);
		memcpy(&want, t->g->rom + o, 8);
		IS(get(t, VM_REG_RAX), want);
	}
	check(t, "load across the end of the ROM");
	gvm_map(t->g, LIN + GVM_ROM_SIZE, T_DATA, PTE_P | PTE_W);
	set_mem(t, T_DATA, 4, 0x11223344);
	kernel(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, LIN + GVM_ROM_SIZE - 2);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX),
	    0x33440000u | t->g->rom[0xfffe] | t->g->rom[0xffff] << 8);

	check(t, "MOVS from ROM over two pages");
	kernel(t, CODE("rep movsb\n" STOP));
	set(t, VM_REG_RSI, LIN + 0xf00);
	set(t, VM_REG_RDI, T_DATA);
	set(t, VM_REG_RCX, 0x1200);
	GO(GO_STOP);
	IS(memcmp(gvm_ptr(t->g, T_DATA), t->g->rom + 0xf00, 0x1200), 0);
}

static void
dropped(struct t *t, const char *what, struct code c, uint64_t lin,
    uint64_t rax)
{
	static uint8_t before[GVM_ROM_SIZE];

	check(t, "ROM is not written: %s", what);
	memcpy(before, t->g->rom, sizeof(before));
	kernel(t, c);
	set(t, VM_REG_RBX, lin);
	set(t, VM_REG_RDI, lin);
	set(t, VM_REG_RAX, 1);
	set(t, VM_REG_RCX, 0x1234);
	GO(GO_STOP);
	IS(memcmp(before, t->g->rom, sizeof(before)), 0);
	IS(get(t, VM_REG_RAX), rax);
}

static void
stores(struct t *t)
{
	uint64_t at = LIN + OFF, page = LIN + 0x5000 - 4, v;

	fill(t);
	map(t, PTE_W);
	memcpy(&v, t->g->rom + OFF, 8);
	dropped(t, "MOV", CODE("mov [rbx], rcx\nmov rax, [rbx]\n" STOP), at, v);
	/* After a load has put the page into the TLB. */
	dropped(t, "MOV after a load",
	    CODE("mov rax, [rbx]\nmov [rbx], rcx\nmov rax, [rbx]\n" STOP), at,
	    v);
	dropped(t, "ADD", CODE("add [rbx], rcx\nmov rax, [rbx]\n" STOP), at, v);
	dropped(t, "LOCK XADD gives the old value",
	    CODE("lock xadd [rbx], rax\n" STOP), at, v);
	dropped(t, "XCHG", CODE("xchg [rbx], rax\n" STOP), at, v);
	dropped(t, "STOS", CODE("rep stosb\n" STOP), LIN + 0x800, 1);
	dropped(t, "vector store",
	    CODE("pcmpeqd xmm0, xmm0\nmovdqu [rbx], xmm0\n" STOP), at, 1);
	dropped(t, "PUSH", CODE("mov rsp, rbx\npush rcx\n" STOP), at, 1);
	memcpy(&v, t->g->rom + 0x4ffc, 8);
	dropped(t, "across pages",
	    CODE("mov [rbx], rcx\nmov rax, [rbx]\n" STOP), page, v);

	check(t, "the RAM half of a store across the ROM's end is written");
	gvm_map(t->g, LIN + GVM_ROM_SIZE, T_DATA, PTE_P | PTE_W);
	set_mem(t, T_DATA, 8, 0);
	kernel(t, CODE("mov [rbx], rax\n" STOP));
	set(t, VM_REG_RBX, LIN + GVM_ROM_SIZE - 4);
	set(t, VM_REG_RAX, 0x1122334455667788);
	GO(GO_STOP);
	IS(mem(t, T_DATA, 8), 0x11223344);

	check(t, "SDM 3A 4.6 rights are checked before a store is dropped");
	map(t, 0);
	kernel(t, CODE("mov [rbx], rcx\n" STOP));
	set(t, VM_REG_CR0, get(t, VM_REG_CR0) | CR0_WP);
	set(t, VM_REG_RBX, at);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), at);
}

static void
code(struct t *t)
{
	map(t, PTE_W);
	check(t, "code in ROM, over a page's end, in a loop");
	place(t, 0x1ff8, CODE("1: mov rdx, 0x123456789abcdef\n"
			      "mov [rbx], ecx\ninc rax\n"
			      "cmp rax, 1000\njne 1b\n" STOP));
	kernel(t, CODE("jmp rbx\n"));
	set(t, VM_REG_RBX, LIN + 0x1ff8);
	set(t, VM_REG_RAX, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 1000);
	IS(get(t, VM_REG_RDX), 0x123456789abcdef);

	check(t, "code from RAM, then ROM, at one linear address");
	for (unsigned i = 0; i < 2; i++) {
		put(t, T_DATA, CODE("mov eax, 1\n" STOP));
		place(t, 0, CODE("mov eax, 2\n" STOP));
		gvm_map(t->g, LIN, i ? GVM_ROM : T_DATA, PTE_P | PTE_W);
		kernel(t, CODE("mov rax, cr3\nmov cr3, rax\njmp rbx\n"));
		set(t, VM_REG_RBX, LIN);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), i + 1);
	}

	check(t, "code below the ROM ends the machine");
	gvm_map(t->g, LIN, GVM_ROM - 4096, PTE_P | PTE_W);
	kernel(t, CODE("jmp rbx\n"));
	set(t, VM_REG_RBX, LIN);
	GO(GO_EXIT(VM_EXITCODE_ENGINE));
}

/* A PTE, and the accessed bits that nobody can set. */
static void
tables(struct t *t)
{
	uint64_t pte = T_DATA | PTE_P | PTE_W, *pde;

	check(t, "SDM 3A 4.8 page table in ROM");
	memset(t->g->rom, 0, GVM_ROM_SIZE);
	memcpy(t->g->rom, &pte, 8);
	(void)gvm_pte(t->g, LIN);
	pde = gvm_ptr(t->g, GVM_TABLES);
	for (unsigned shift = 39; shift > 21; shift -= 9)
		pde = gvm_ptr(t->g,
		    pde[(LIN >> shift) & 511] & 0xffffffffff000ull);
	pde[(LIN >> 21) & 511] = GVM_ROM | PTE_P | PTE_W;
	set_mem(t, T_DATA, 8, 0x55);
	kernel(t, CODE("mov rax, [rbx]\nmov [rbx], rcx\n" STOP));
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_RCX, 0x66);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x55);
	IS(mem(t, T_DATA, 8), 0x66);
	IS(memcmp(t->g->rom, &pte, 8), 0);
	IS(pde[(LIN >> 21) & 511] & PTE_A, PTE_A);
}

const struct group_fn group[] = {
	{ "first instruction", first_instruction },
	{ "first jump", first_jump },
	{ "loads", loads },
	{ "stores", stores },
	{ "code", code },
	{ "tables", tables },
	{ NULL, NULL },
};
