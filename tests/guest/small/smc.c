/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that changes: SDM volume 3A, 11.6 ("Self-Modifying Code") and 8.1.3;
 * pages that change under it: 4.10.
 */
#include "small.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gmem/gmem.h"

/* Runs code that must end with RAX. */
static void
gives(struct t *t, const char *name, struct code c, uint64_t rax)
{
	check(t, "SDM 3A 11.6: %s", name);
	kernel(t, c);
	set(t, VM_REG_RBX, T_HAND);
	set(t, VM_REG_RSI, T_DATA);
	set(t, VM_REG_R8, 0x700000); /* alias of T_CODE */
	set(t, VM_REG_R9, 0x701000); /* alias of T_HAND */
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), rax);
}

static void
stores(struct t *t)
{
	gvm_map(t->g, 0x700000, T_CODE, PTE_P | PTE_W);
	gvm_map(t->g, 0x701000, T_HAND, PTE_P | PTE_W);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	gives(t, "a store to the next instruction",
	    CODE("mov byte ptr [rip + 1f + 1], 7\n1:mov eax, 1\n" STOP), 7);
	gives(t, "a store further ahead in the block",
	    CODE("mov byte ptr [rip + 1f + 1], 7\nnop\nadd ecx, 5\n"
		 "mov edx, ecx\n1:mov eax, 1\n" STOP), 7);
	gives(t, "a store to the next block",
	    CODE("mov byte ptr [rip + 1f + 1], 7\njmp 1f\nnop\n"
		 "1:mov eax, 1\n" STOP), 7);
	gives(t, "a store to what ran before, in a loop",
	    CODE("xor ecx, ecx\nxor edx, edx\n1:mov eax, 1\nadd edx, eax\n"
		 "inc byte ptr [rip + 1b + 1]\ninc ecx\ncmp ecx, 100\njb 1b\n"
		 "mov eax, edx\n" STOP), 5050);
	gives(t, "a read-modify-write of the next instruction",
	    CODE("lock add byte ptr [rip + 1f + 1], 6\n1:mov eax, 1\n" STOP),
	    7);
	gives(t, "XCHG with the next instruction",
	    CODE("mov cl, 9\nxchg byte ptr [rip + 1f + 1], cl\n"
		 "1:mov eax, 1\n" STOP), 9);
	gives(t, "CMPXCHG of the next instruction",
	    CODE("mov eax, 1\nmov cl, 9\n"
		 "cmpxchg byte ptr [rip + 1f + 1], cl\n"
		 "1:mov eax, 1\n" STOP), 9);
	gives(t, "a vector store over the instructions ahead",
	    CODE("movups xmm0, [rip + 2f]\nmovups [rip + 1f], xmm0\n"
		 "1:mov eax, 1\n.fill 11, 1, 0x90\n" STOP
		 "2:mov eax, 8\n.fill 11, 1, 0x90\n"), 8);
	gives(t, "a store to another page that ran",
	    CODE("call rbx\nmov byte ptr [rbx + 1], 7\ncall rbx\n" STOP), 7);
	gives(t, "a store through an alias to this page",
	    CODE("lea rcx, [rip + 1f + 1]\nsub rcx, 0x80000\n"
		 "mov byte ptr [rcx + r8], 7\n1:mov eax, 1\n" STOP), 7);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	gives(t, "a store through an alias to another page",
	    CODE("call rbx\nmov byte ptr [r9 + 1], 7\ncall rbx\n" STOP), 7);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	gives(t, "REP STOSB over code",
	    CODE("call rbx\nlea rdi, [rbx + 2]\nmov al, 1\nmov ecx, 3\n"
		 "rep stosb\ncall rbx\n" STOP), 0x01010101);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	set_mem(t, T_DATA, 8, 0xc300000002b8); /* mov eax, 2; ret */
	gives(t, "REP MOVSB over code",
	    CODE("call rbx\nmov rdi, rbx\nmov ecx, 6\nrep movsb\ncall rbx\n"
		 STOP), 2);
	gives(t, "MOVSQ over the instructions ahead",
	    CODE("lea rdi, [rip + 1f]\nlea rsi, [rip + 2f]\nmovsq\n"
		 "1:mov eax, 1\nnop\nnop\nnop\n" STOP
		 "2:mov eax, 3\nnop\nnop\nnop\n"), 3);
	gives(t, "REP STOSB that runs over itself",
	    CODE("lea rdi, [rip + 1f]\nmov al, 0x90\nmov ecx, 12\n"
		 "1:rep stosb\nmov eax, 1\nmov eax, 2\nmov eax, 3\n" STOP), 3);
	gives(t, "PUSH onto code",
	    CODE("lea rsp, [rip + 1f + 8]\nmov rcx, [rip + 2f]\npush rcx\n"
		 "jmp 1f\n1:mov eax, 1\nnop\nnop\nnop\n" STOP
		 "2:mov eax, 4\nnop\nnop\nnop\n"), 4);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	gives(t, "CALL that pushes onto code that ran",
	    CODE("call rbx\nmov rdi, rsp\nlea rsp, [rbx + 9]\ncall 1f\n"
		 "1:mov rsp, rdi\nmov eax, [rbx + 1]\n"
		 "lea rcx, [rip + 1b]\nsub rax, rcx\nmovzx eax, al\n" STOP), 0);
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	gives(t, "data beside code on one page",
	    CODE("mov ecx, 1000\n1:inc dword ptr [rbx + 0x100]\n"
		 "call rbx\nloop 1b\nmov eax, [rbx + 0x100]\n" STOP), 1000);
}

static void
dma(struct t *t)
{
	check(t, "SDM 3A 11.6: gmem_write() over code that ran");
	put(t, T_HAND, CODE("mov eax, 1\nret\n"));
	kernel(t, CODE("call rbx\n1:jmp 2f\n2:" STOP));
	set(t, VM_REG_RBX, T_HAND);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 1);
	set_mem(t, T_HAND + 1, 1, 9);
	gvm_start(t->g, T_CODE);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 9);
	check(t, "SDM 3A 11.6: over code in a page of user code");
	user(t, CODE("mov eax, 1\n" USTOP));
	GO(U_STOPPED);
	set_mem(t, upage(t, T_UCODE) + 1, 1, 8);
	gvm_start_user(t->g, T_UCODE, T_USTACK);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), 8);
}

/* MOV EAX, imm32 over the end of a page. */
static void
straddling_code(struct t *t)
{
	uint64_t lin = 0x700000, a = gvm_alloc(t->g, 1), b = gvm_alloc(t->g, 1),
		 c = gvm_alloc(t->g, 1);
	const uint64_t rw = PTE_P | PTE_W;

	set_mem(t, a + 0xffd, 3, 0x11b8 | 0x22 << 16);
	set_mem(t, b, 3, 0xc30000 | 0x33);
	set_mem(t, c, 3, 0xc30000 | 0x44);
	gvm_map(t->g, lin, a, rw);
	gvm_map(t->g, lin + 0x1000, b, rw);
	check(t, "SDM 3A 4.10.4: an instruction over two pages");
	kernel(t, CODE("call rbx\nmov edx, eax\nmov [rcx], rsi\n"
		       "invlpg [rbx + 3]\ncall rbx\n" STOP));
	set(t, VM_REG_RBX, lin + 0xffd);
	set(t, VM_REG_RCX, gpa_of(t, gvm_pte(t->g, lin + 0x1000)));
	set(t, VM_REG_RSI, c | rw);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 0x332211);
	check(t, "SDM 3A 4.10.4: the second page remapped, INVLPG");
	IS(get(t, VM_REG_RAX), 0x442211);
	check(t, "SDM 3A 4.7: the second page gone: #PF there, RIP at it");
	gvm_start(t->g, T_CODE);
	set(t, VM_REG_RBX, lin + 0xffd);
	set(t, VM_REG_RSI, 0);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), lin + 0x1000);
	IS(t->f.rip, lin + 0xffd);
	IS(t->f.error, 0x10);
	check(t, "SDM 3A 11.6: a store to the part on the second page");
	gvm_map(t->g, lin + 0x1000, b, rw);
	kernel(t, CODE("call rbx\nmov byte ptr [rbx + 3], 0x55\n"
		       "call rbx\n" STOP));
	set(t, VM_REG_RBX, lin + 0xffd);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x552211);
	check(t, "SDM 3A 4.6.1: XD of the second page counts");
	gvm_map(t->g, lin + 0x1000, b, rw | PTE_NX);
	kernel(t, CODE("call rbx\n" STOP));
	set(t, VM_REG_RBX, lin + 0xffd);
	GO(V_PF);
	IS(t->f.error, 0x11);
	IS(get(t, VM_REG_CR2), lin + 0x1000);
	check(t, "SDM 3A 6.5: an instruction that ends at a page's end");
	gvm_map(t->g, lin + 0x1000, 0, 0);
	set_mem(t, a + 0xffa, 6, 0xc30000007bb8);
	kernel(t, CODE("call rbx\n" STOP));
	set(t, VM_REG_RBX, lin + 0xffa);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x7b);
	check(t, "SDM 2 2.3.11: more than 15 bytes are #GP(0)");
	kernel(t, CODE(".fill 14, 1, 0x66\nmov eax, 1\n"));
	GO(V_GP);
	IS(t->f.error, 0);
	IS(t->f.rip, T_CODE);
}

static void
remapped_code(struct t *t)
{
	uint64_t lin = 0x700000, a = gvm_alloc(t->g, 1), b = gvm_alloc(t->g, 1);
	const uint64_t rw = PTE_P | PTE_W;
	struct code how[4] = { CODE("invlpg [rbx]\n"),
		CODE("mov rax, cr3\nmov cr3, rax\n"),
		CODE("mov rax, cr4\nbtc rax, 7\nmov cr4, rax\n"),
		CODE("mov rax, cr0\nbtc rax, 16\nmov cr0, rax\n") };
	static const char *const what[] = { "INVLPG", "MOV to CR3",
		"MOV to CR4 (PGE)", "MOV to CR0 (WP)" };
	struct code c;

	put(t, a, CODE("mov eax, 1\njmp 1f\n1:add eax, 10\nret\n"));
	put(t, b, CODE("mov eax, 2\njmp 1f\n1:add eax, 20\nret\n"));
	for (unsigned g = 0; g < 2; g++)
		for (unsigned i = 0; i < 4; i++) {
			uint64_t f = rw | (g && i != 1 ? PTE_G : 0), pc;

			check(t, "SDM 3A 4.10.4.1: code's%s page remapped, %s",
			    g ? " global" : "", what[i]);
			gvm_map(t->g, lin, a, f);
			c = CODE("mov ebp, 50\n1:call rbx\ndec ebp\njnz 1b\n"
				 "mov edx, eax\nmov [rcx], rsi\n");
			kernel(t, c);
			pc = T_CODE + c.len;
			put(t, pc, how[i]);
			pc += how[i].len;
			put(t, pc, CODE("call rbx\n" STOP));
			set(t, VM_REG_RBX, lin);
			set(t, VM_REG_RCX, gpa_of(t, gvm_pte(t->g, lin)));
			set(t, VM_REG_RSI, b | f);
			/* The harness changed a PTE too, by no INVLPG. */
			set(t, VM_REG_CR4, get(t, VM_REG_CR4) ^ 0x80);
			set(t, VM_REG_CR4, get(t, VM_REG_CR4) ^ 0x80);
			GO(GO_STOP);
			IS(get(t, VM_REG_RDX), 11);
			IS(get(t, VM_REG_RAX), 22);
		}
	check(t, "SDM 3A 4.10.4: a page unmapped under linked code");
	gvm_map(t->g, lin, a, rw);
	kernel(t, CODE("mov ebp, 50\n1:call rbx\ndec ebp\njnz 1b\n"
		       "mov [rcx], rsi\ninvlpg [rbx]\ncall rbx\n"));
	set(t, VM_REG_RBX, lin);
	set(t, VM_REG_RCX, gpa_of(t, gvm_pte(t->g, lin)));
	set(t, VM_REG_RSI, 0);
	GO(V_PF);
	IS(t->f.rip, lin);
	IS(t->f.error, 0x10);
	check(t, "SDM 3A 4.10.4: two spaces with other code at one address");
	gvm_map(t->g, lin, a, rw);
	{
		uint64_t *e = gvm_ptr(t->g, GVM_TABLES);
		uint64_t pml4 = gvm_alloc(t->g, 1), pdpt = gvm_alloc(t->g, 1),
			 pd = gvm_alloc(t->g, 1), pt = gvm_alloc(t->g, 1);

		set_mem(t, pml4, 8, pdpt | rw);
		e = gvm_ptr(t->g, e[0] & 0xffffffffff000ull);
		set_mem(t, pdpt, 8, pd | rw);
		e = gvm_ptr(t->g, e[0] & 0xffffffffff000ull);
		set_mem(t, pd, 8, e[0]);
		set_mem(t, pd + 3 * 8, 8, pt | rw);
		set_mem(t, pt + 0x100 * 8, 8, b | rw);
		kernel(t, CODE("mov r8, cr3\nxor edi, edi\nmov ebp, 100\n"
			       "1:mov cr3, rdx\ncall rbx\nadd edi, eax\n"
			       "mov cr3, r8\ncall rbx\nshl eax, 16\n"
			       "add edi, eax\ndec ebp\njnz 1b\n" STOP));
		set(t, VM_REG_RBX, lin);
		set(t, VM_REG_RDX, pml4);
		GO(GO_STOP);
		IS(get(t, VM_REG_RDI), 2200 + (1100u << 16));
	}
}

/* An instruction whose second half lies in the same page as its first, before
 * it: both linear pages are one physical page. */
static void
page_behind_itself(struct t *t)
{
	const uint64_t lin = 0x800000, at = T_HAND;
	static const uint8_t head[3] = { 0xb8, 1, 0 }; /* mov eax, 1 */

	gvm_map(t->g, lin, at, PTE_P | PTE_W);
	gvm_map(t->g, lin + 0x1000, at, PTE_P | PTE_W);
	gvm_write(t->g, at + 0xffd, head, sizeof(head));
	set_mem(t, at, 2, 0);
	put(t, at + 2, CODE(STOP));
	for (unsigned i = 0; i < 4; i++) {
		check(t, "SDM 3A 11.6: a page that follows itself, store %u",
		    i);
		/* Nothing, the upper half, the lower half, by DMA. */
		kernel(t, CODE("mov [rbx], cl\njmp rsi\n"));
		set(t, VM_REG_RBX, i == 1 ? at + 1 : i == 2 ? at + 0xffe :
							   T_DATA);
		set(t, VM_REG_RCX, 0x10 + i);
		set(t, VM_REG_RSI, lin + 0xffd);
		if (i == 3)
			gvm_write(t->g, at, "\x22", 1);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX),
		    (i >= 2 ? 0x12 : 1) | (i >= 1 ? 0x11000000 : 0) |
		    (i == 3 ? 0x220000 : 0));
	}
}

static uint64_t
counter(struct t *t, const char *name)
{
	char *text = NULL, *at;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	uint64_t v = 0;

	if (f == NULL)
		return (0);
	vcpu_dump(t->g->cpu, f);
	fclose(f);
	at = strstr(text, name);
	if (at != NULL)
		v = strtoull(at + strlen(name) + 1, NULL, 10);
	free(text);
	return (v);
}

#define FULL_PAGES 1024ull
#define FULL_LIN 0x40000000ull

/*
 * 4 MiB of code, mapped several times; each page adds up 64-bit words and
 * jumps to the next, unless ECX is 1. Returns what a page adds to RAX.
 */
static uint64_t
much_code(struct t *t, unsigned maps)
{
	const uint64_t pages = FULL_PAGES, lin = FULL_LIN;
	uint64_t base = gvm_alloc(t->g, (unsigned)pages), one = 0;
	uint8_t code[4096], *p = code;

	for (unsigned i = 0; i < 32; i++)
		set_mem(t, T_DATA + 8 * i, 8, 1000003ull * i + 1);
	for (unsigned i = 0; i < 500; i++) {
		static const uint8_t add[4] = { 0x48, 0x03, 0x43, 0 };

		memcpy(p, add, 4); /* add rax, [rbx + 8 * n] */
		p[3] = (uint8_t)(i * 7 % 16 * 8);
		p += 4;
		one += 1000003ull * (i * 7 % 16) + 1;
	}
	memset(p, 0x90, (size_t)(code + 4096 - p));
	memcpy(p, "\xff\xc9\x75\x01\xc3", 5); /* dec ecx; jnz +1; ret */
	p = code + 4091;
	*p++ = 0xe9; /* jmp to the next page's start */
	memset(p, 0, 4);
	for (uint64_t i = 0; i < pages; i++)
		gvm_write(t->g, base + i * 4096, code, 4096);
	for (uint64_t m = 0; m < maps; m++)
		for (uint64_t i = 0; i < pages; i++)
			gvm_map(t->g, lin + (m * pages + i) * 4096,
			    base + i * 4096, PTE_P);
	return (one);
}

/* More translations than the code cache takes. */
static void
full_cache(struct t *t)
{
	const uint64_t pages = FULL_PAGES, lin = FULL_LIN;
	unsigned maps = t->options & GVM_ONE_INSN ? 1 : 3;
	unsigned passes = t->options == 0 ? 2 : 1;
	uint64_t one;
	int v = 0;

	check(t, "soft engine: a full code cache is flushed");
	one = much_code(t, maps);
	kernel(t, CODE("xor eax, eax\n1:mov ecx, edx\ncall rsi\n"
		       "dec ebp\njnz 1b\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	set(t, VM_REG_RBP, passes);
	set(t, VM_REG_RDX, maps * pages);
	set(t, VM_REG_RSI, lin);
	/* Longer than the watchdog likes. */
	for (unsigned i = 0; i < 20 && (v = go(t)) == -ETIMEDOUT; i++)
		continue;
	IS(v, GO_STOP);
	IS(get(t, VM_REG_RAX), passes * maps * pages * one);
	IS(counter(t, "cache flushes") > 0, 1);
}

static void
write_code(struct gvm *g)
{
	uint8_t nop = 0x90;

	(void)gmem_write(g->gm, T_CODE + 0x800, &nop, 1);
}

/* An upcall has no lock of the engine's against it (vmm.h), whatever made it:
 * here the fetch of an instruction whose second page has its PTE in a device
 * that answers by DMA into a page with code. */
static void
table_in_a_device(struct t *t)
{
	uint64_t lin = 0x8000000000, first, second, *pd;

	first = gvm_alloc(t->g, 1);
	second = gvm_alloc(t->g, 1);
	check(t, "vmm.h: DMA by a device whose memory is a page table");
	gvm_map(t->g, lin + 0x1ff000, first, PTE_P | PTE_W);
	pd = gvm_ptr(t->g, GVM_TABLES);
	for (unsigned shift = 39; shift > 21; shift -= 9)
		pd = gvm_ptr(
		    t->g, pd[(lin >> shift) & 511] & 0xffffffffff000ull);
	pd[((lin >> 21) & 511) + 1] = GVM_MMIO | PTE_P | PTE_W;
	put(t, first + 0xffe, CODE(".byte 0xb8, 0x78\n"));
	put(t, second, CODE(".byte 0x56, 0x34, 0x12\n" STOP));
	kernel(t, CODE("jmp rbx\n.balign 4096, 0x90\n"));
	set(t, VM_REG_RBX, lin + 0x1ffffe);
	t->g->io_answer = second | PTE_P | PTE_W;
	t->g->mem_hook = write_code;
	GO(GO_STOP);
	t->g->mem_hook = NULL;
	t->g->io_answer = 0;
	IS(get(t, VM_REG_RAX), 0x12345678);
}

/* Runs n pages from the first on. */
static void
run_pages(struct t *t, uint64_t first, uint64_t n)
{
	int v = 0;

	kernel(t, CODE("xor eax, eax\ncall rsi\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	set(t, VM_REG_RCX, n);
	set(t, VM_REG_RSI, FULL_LIN + first * 4096);
	for (unsigned i = 0; i < 20 && (v = go(t)) == -ETIMEDOUT; i++)
		continue;
	IS(v, GO_STOP);
}

/* Only the oldest part of a full cache goes: what ran last is still there. */
static void
full_cache_part(struct t *t)
{
	const uint64_t step = 8, last = 8 * step;
	const unsigned maps = 3;
	uint64_t blocks, at = 0, one;

	if (t->options & GVM_ONE_INSN)
		return; /* a page is too much for it */
	check(t, "soft engine: a full code cache loses a part");
	one = much_code(t, maps);
	while (counter(t, "cache flushes") == 0 && at < maps * FULL_PAGES) {
		run_pages(t, at, step + 1); /* and leave that one early */
		at += step;
	}
	IS(counter(t, "cache flushes"), 1);
	IS(at > last, 1);
	blocks = counter(t, "blocks");
	run_pages(t, at - last, last);
	IS(get(t, VM_REG_RAX), last * one);
	/* The code that calls them is written, and translated, anew. */
	IS(counter(t, "blocks") - blocks < 8, 1);
	IS(counter(t, "cache flushes"), 1);
}

const struct group_fn group[] = { { "stores", stores }, { "dma", dma },
	{ "straddling_code", straddling_code },
	{ "page_behind_itself", page_behind_itself },
	{ "remapped_code", remapped_code }, { "full_cache", full_cache },
	{ "table_in_a_device", table_in_a_device },
	{ "full_cache_part", full_cache_part },
	{ NULL, NULL } };
