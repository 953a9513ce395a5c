/* SPDX-License-Identifier: BSD-2-Clause */
/* Paging: SDM volume 3A, chapter 4. */
#include "small.h"

#include <stdio.h>
#include <string.h>

#include "gmem/gmem.h"

#define LEAF_LIN 0x8000000000ull /* a PML4 entry of its own */
#define LEAF_OFF 0x1000000ull	 /* RAM that nothing else uses */

enum kind { K_READ, K_WRITE, K_FETCH };
static const char *const kinds[] = { "read", "write", "fetch" };
static const char *const sizes[] = { "4 KiB", "2 MiB", "1 GiB" };

/* PML4E, PDPTE, PDE, PTE as far as `level` (0: the leaf is a PTE, 1: a PDE,
 * 2: a PDPTE) of LEAF_LIN + LEAF_OFF; returns the leaf. */
static uint64_t *
leaf(struct t *t, unsigned level)
{
	uint64_t lin = LEAF_LIN + LEAF_OFF, *table, *e = NULL;

	(void)gvm_pte(t->g, lin);
	table = gvm_ptr(t->g, GVM_TABLES);
	for (unsigned l = 3; l + 1 > level; l--) {
		e = &table[(lin >> (12 + 9 * l)) & 511];
		if (l == level)
			break;
		table = gvm_ptr(t->g, *e & 0xffffffffff000ull);
	}
	return (e);
}

static uint64_t
leaf_value(unsigned level)
{
	return (level == 2 ? PTE_PS : LEAF_OFF | (level ? PTE_PS : 0));
}

struct access {
	enum kind kind;
	bool user, wp, smep, smap, ac;
};

static void
start_access(struct t *t, const struct access *a)
{
	static const char nothing[] = "";
	struct code c = { (const uint8_t *)nothing, 0 };

	switch (a->kind) {
	case K_READ:
		c = CODE("mov al, [rbx]\n" USTOP);
		break;
	case K_WRITE:
		c = CODE("mov [rbx], cl\n" USTOP);
		break;
	case K_FETCH:
		c = CODE("jmp rbx\n");
		break;
	}
	if (a->user)
		user(t, c);
	else
		kernel(t, c);
	set(t, VM_REG_RBX, LEAF_LIN + LEAF_OFF);
	set(t, VM_REG_RCX, 0xcd); /* what is there already */
	if (!a->wp)
		set(t, VM_REG_CR0, get(t, VM_REG_CR0) & ~CR0_WP);
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | (a->smep ? CR4_SMEP : 0) |
	    (a->smap ? CR4_SMAP : 0));
	if (a->ac)
		set(t, VM_REG_RFLAGS, get(t, VM_REG_RFLAGS) | FL_AC);
}

/* SDM 3A 4.6.1: whether the access is allowed. */
static bool
allowed(const struct access *a, uint64_t pte)
{
	bool u = (pte & PTE_U) != 0, w = (pte & PTE_W) != 0;

	if (!(pte & PTE_P))
		return (false);
	if (a->kind == K_FETCH && (pte & PTE_NX))
		return (false);
	if (a->user)
		return (u && (w || a->kind != K_WRITE));
	if (u && a->kind == K_FETCH)
		return (!a->smep);
	if (u && a->smap && !a->ac && a->kind != K_FETCH)
		return (false);
	return (a->kind != K_WRITE || w || !a->wp);
}

static void
one_access(struct t *t, const struct access *a, uint64_t *e, uint64_t pte,
    uint64_t sum)
{
	uint64_t error, rip = a->user ? T_UCODE : T_CODE;
	bool ok;

	*e = pte;
	start_access(t, a);
	/* `sum` has the rights of the whole path in it. */
	ok = allowed(a, sum);
	if (ok) {
		GO(U_STOPPED);
		is(t, "A and D", *e & (PTE_A | PTE_D),
		    PTE_A | (a->kind == K_WRITE ? PTE_D : 0));
	} else {
		error = ((sum & PTE_P) ? 1 : 0) | (a->kind == K_WRITE ? 2 : 0) |
		    (a->user ? 4 : 0) | (a->kind == K_FETCH ? 16 : 0);
		GO(V_PF);
		IS(get(t, VM_REG_CR2), LEAF_LIN + LEAF_OFF);
		is_frame(t, error,
		    a->kind == K_FETCH ? LEAF_LIN + LEAF_OFF : rip,
		    a->user ? GVM_UCODE : GVM_KCODE,
		    (a->user ? 0x10202u : 0x10002u) | (a->ac ? FL_AC : 0),
		    a->user ? T_USTACK : GVM_STACK_TOP,
		    a->user ? GVM_UDATA : GVM_KDATA);
		is(t, "D after a fault", *e & PTE_D, 0);
	}
	if (t->failed)
		printf("\t... PTE %#llx wp %d smep %d smap %d ac %d\n",
		    (unsigned long long)pte, a->wp, a->smep, a->smap, a->ac);
}

static void
rights_of_leaf(struct t *t, unsigned level)
{
	uint64_t *e = leaf(t, level);

	put(t, LEAF_OFF, CODE(USTOP));
	for (unsigned n = 0; n < 6; n++) {
		struct access a = { .kind = (enum kind)(n % 3),
			.user = n >= 3 };

		for (unsigned c = 0; c < 16; c++) {
			a.wp = c & 1;
			a.smep = c & 2;
			a.smap = c & 4;
			a.ac = c & 8;
			check(t,
			    "SDM 3A 4.6.1, 4.7: %s %s, %s page, WP %d SMEP %d "
			    "SMAP %d AC %d", a.user ? "user" : "supervisor",
			    kinds[a.kind], sizes[level], a.wp, a.smep, a.smap,
			    a.ac);
			for (unsigned r = 0; r < 16; r++) {
				uint64_t pte = leaf_value(level) |
				    (r & 1 ? PTE_P : 0) | (r & 2 ? PTE_W : 0) |
				    (r & 4 ? PTE_U : 0) | (r & 8 ? PTE_NX : 0);

				one_access(t, &a, e, pte, pte);
			}
		}
	}
}

static void
rights_4k(struct t *t)
{
	rights_of_leaf(t, 0);
}

static void
rights_2m(struct t *t)
{
	rights_of_leaf(t, 1);
}

static void
rights_1g(struct t *t)
{
	rights_of_leaf(t, 2);
}

/* A right that any level takes away is gone. */
static void
rights_of_path(struct t *t)
{
	static const uint64_t bits[] = { PTE_P, PTE_W, PTE_U, PTE_NX };
	static const char *const names[] = { "P", "R/W", "U/S", "XD" };
	uint64_t *e[4], all = PTE_P | PTE_W | PTE_U, keep;

	put(t, LEAF_OFF, CODE(USTOP));
	for (unsigned l = 0; l < 4; l++)
		e[l] = leaf(t, l);
	*e[0] = LEAF_OFF | all;
	for (unsigned l = 1; l < 4; l++)
		for (unsigned b = 0; b < 4; b++) {
			check(t, "SDM 3A 4.6.1: %s of the entry at level %u",
			    names[b], l + 1);
			keep = *e[l];
			*e[l] ^= bits[b];
			for (unsigned n = 0; n < 6; n++) {
				struct access a = { .wp = true,
					.kind = (enum kind)(n % 3),
					.user = n >= 3 };

				one_access(t, &a, e[0], LEAF_OFF | all,
				    all ^ bits[b]);
			}
			*e[l] = keep;
		}
}

static void
reserved_bits(struct t *t)
{
	static const struct {
		unsigned level;
		uint64_t bit;
		const char *what;
	} r[] = { { 0, 1ull << 51, "PTE bit 51" },
		{ 1, 1ull << 51, "PDE bit 51" },
		{ 2, 1ull << 51, "PDPTE bit 51" },
		{ 3, 1ull << 51, "PML4E bit 51" },
		{ 3, PTE_PS, "PML4E bit 7" },
		{ 1, PTE_PS | 1ull << 13, "2 MiB PDE bit 13" },
		{ 1, PTE_PS | 1ull << 20, "2 MiB PDE bit 20" },
		{ 2, PTE_PS | 1ull << 13, "1 GiB PDPTE bit 13" },
		{ 2, PTE_PS | 1ull << 29, "1 GiB PDPTE bit 29" } };
	uint64_t keep, *e;

	for (unsigned i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		for (unsigned n = 0; n < 6; n++) {
			struct access a = { .kind = (enum kind)(n % 3),
				.wp = true, .user = n >= 3 };

			check(t, "SDM 3A 4.7: reserved %s, %s %s", r[i].what,
			    a.user ? "user" : "supervisor", kinds[a.kind]);
			*leaf(t, 0) = LEAF_OFF | PTE_P | PTE_W | PTE_U;
			e = leaf(t, r[i].level);
			keep = *e;
			*e = (r[i].bit & PTE_PS && r[i].level < 3 ?
				leaf_value(r[i].level) |
				PTE_P | PTE_W | PTE_U : keep) | r[i].bit;
			start_access(t, &a);
			GO(V_PF);
			IS(t->f.error, 9u | (a.kind == K_WRITE ? 2u : 0) |
				(a.user ? 4u : 0) |
				(a.kind == K_FETCH ? 16u : 0));
			IS(get(t, VM_REG_CR2), LEAF_LIN + LEAF_OFF);
			*e = keep;
		}
	check(t, "SDM 3A 4.7: XD is reserved when EFER.NXE is 0");
	*leaf(t, 0) = LEAF_OFF | PTE_P | PTE_W | PTE_U | PTE_NX;
	kernel(t, CODE("mov al, [rbx]\n" USTOP));
	set(t, VM_REG_RBX, LEAF_LIN + LEAF_OFF);
	set(t, VM_REG_EFER, get(t, VM_REG_EFER) & ~0x800ull);
	GO(V_PF);
	IS(t->f.error, 9);
	check(t, "SDM 3A 4.7: no I/D bit without NXE and SMEP");
	*leaf(t, 0) = 0;
	kernel(t, CODE("jmp rbx\n"));
	set(t, VM_REG_RBX, LEAF_LIN + LEAF_OFF);
	set(t, VM_REG_EFER, get(t, VM_REG_EFER) & ~0x800ull);
	GO(V_PF);
	IS(t->f.error, 0);
}

/* SDM 3A 4.8: accessed and dirty flags. */
static void
accessed_dirty(struct t *t)
{
	uint64_t *e[4], lin = LEAF_LIN + LEAF_OFF;

	for (unsigned l = 0; l < 4; l++)
		e[l] = leaf(t, l);
	for (unsigned w = 0; w < 2; w++) {
		check(t, "SDM 3A 4.8: A at every level, D at the leaf, on a %s",
		    w ? "write" : "read");
		*e[0] = LEAF_OFF | PTE_P | PTE_W;
		for (unsigned l = 1; l < 4; l++)
			*e[l] &= ~(PTE_A | PTE_D);
		kernel(t, w ? CODE("mov [rbx], al\n" STOP) :
			      CODE("mov al, [rbx]\n" STOP));
		set(t, VM_REG_RBX, lin);
		GO(GO_STOP);
		for (unsigned l = 0; l < 4; l++)
			IS(*e[l] & (PTE_A | PTE_D),
			    PTE_A | (w && l == 0 ? PTE_D : 0));
	}
	check(t, "SDM 3A 4.8: D by a write after a read filled the TLB");
	*e[0] = LEAF_OFF | PTE_P | PTE_W;
	kernel(t, CODE("mov al, [rbx]\nmov rdx, [rcx]\n"
		       "mov [rbx], al\nmov rsi, [rcx]\n" STOP));
	set(t, VM_REG_RBX, lin);
	set(t, VM_REG_RCX, gpa_of(t, e[0]));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX) & (PTE_A | PTE_D), PTE_A);
	IS(get(t, VM_REG_RSI) & (PTE_A | PTE_D), PTE_A | PTE_D);

	check(t, "SDM 3A 4.8: CMPXCHG that fails still writes: D is set");
	*e[0] = LEAF_OFF | PTE_P | PTE_W;
	kernel(t, CODE("mov eax, 1\nlock cmpxchg [rbx], edx\n" STOP));
	set(t, VM_REG_RBX, lin);
	GO(GO_STOP);
	IS(*e[0] & PTE_D, PTE_D);

	check(t, "SDM 3A 4.8: A by an instruction fetch");
	*e[0] = LEAF_OFF | PTE_P;
	put(t, LEAF_OFF, CODE(STOP));
	kernel(t, CODE("jmp rbx\n"));
	set(t, VM_REG_RBX, lin);
	GO(GO_STOP);
	IS(*e[0] & (PTE_A | PTE_D), PTE_A);

	check(t, "SDM 3A 4.10.4.2: cleared D is set again after INVLPG");
	*e[0] = LEAF_OFF | PTE_P | PTE_W;
	kernel(t, CODE("mov [rbx], al\nand qword ptr [rcx], ~0x60\n"
		       "invlpg [rbx]\nmov [rbx], al\n" STOP));
	set(t, VM_REG_RBX, lin);
	set(t, VM_REG_RCX, gpa_of(t, e[0]));
	GO(GO_STOP);
	IS(*e[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
}

/* Accesses over a page's end: the second page faults, nothing is done. */
static void
straddle(struct t *t)
{
	uint64_t a = 0x700000, g = 0x1800000;
	static const char *const what[] = { "load", "store", "add", "push",
		"16-byte store", "xchg", "rep movsb", "call" };

	gvm_map(t->g, a, g, PTE_P | PTE_W);
	gvm_map(t->g, a + 0x1000, 0, 0);
	for (unsigned i = 0; i < 8; i++) {
		struct code c = { NULL, 0 };

		check(t, "SDM 3A 4.7, 6.15 (#PF): %s over the end of a page",
		    what[i]);
		set_mem(t, g + 0xff8, 8, 0x1122334455667788);
		switch (i) {
		case 0:
			c = CODE("mov rax, [rbx]\n" STOP);
			break;
		case 1:
			c = CODE("mov [rbx], rax\n" STOP);
			break;
		case 2:
			c = CODE("add [rbx], rax\n" STOP);
			break;
		case 3:
			c = CODE("push rax\n" STOP);
			break;
		case 4:
			c = CODE("movups [rbx], xmm0\n" STOP);
			break;
		case 5:
			c = CODE("xchg [rbx], rax\n" STOP);
			break;
		case 6:
			c = CODE("rep movsb\n" STOP);
			break;
		default:
			c = CODE("call rdx\n" STOP);
			break;
		}
		kernel(t, c);
		set(t, VM_REG_RBX, a + 0xffc);
		set(t, VM_REG_RAX, 0xabcdef);
		set(t, VM_REG_RDI, a + 0xffc);
		set(t, VM_REG_RSI, T_DATA);
		set(t, VM_REG_RCX, 16);
		set(t, VM_REG_RDX, T_CODE + 0x100);
		if (i == 3 || i == 7)
			set(t, VM_REG_RSP, a + 0x1004);
		GO(V_PF);
		IS(get(t, VM_REG_CR2), a + 0x1000);
		IS(t->f.error, i == 0 ? 0 : 2);
		IS(t->f.rip, T_CODE);
		IS(t->f.rsp, i == 3 || i == 7 ? a + 0x1004 : GVM_STACK_TOP);
		if (i == 6) { /* four bytes were moved */
			IS(get(t, VM_REG_RCX), 12);
			IS(get(t, VM_REG_RDI), a + 0x1000);
			IS(get(t, VM_REG_RSI), T_DATA + 4);
			continue;
		}
		IS(mem(t, g + 0xff8, 8), 0x1122334455667788);
		IS(get(t, VM_REG_RAX), 0xabcdef);
	}
	check(t, "SDM 3A 4.7: both pages missing, CR2 is the first byte");
	gvm_map(t->g, a, 0, 0);
	kernel(t, CODE("mov rax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, a + 0xffc);
	GO(V_PF);
	IS(get(t, VM_REG_CR2), a + 0xffc);
	check(t, "SDM 1 7.3.1.1: pages that are not neighbours join");
	gvm_map(t->g, a, g, PTE_P | PTE_W);
	gvm_map(t->g, a + 0x1000, g + 0x5000, PTE_P | PTE_W);
	set_mem(t, g + 0xffc, 4, 0x11111111);
	set_mem(t, g + 0x5000, 4, 0x22222222);
	kernel(t, CODE("mov rax, [rbx]\nadd [rbx], rax\n" STOP));
	set(t, VM_REG_RBX, a + 0xffc);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x2222222211111111);
	IS(mem(t, g + 0xffc, 4), 0x22222222);
	IS(mem(t, g + 0x5000, 4), 0x44444444);
}

/* SDM 3A 4.8: D says that there was a write; one that faults is none. */
static void
straddle_dirty(struct t *t)
{
	uint64_t a = 0x700000, g = 0x1800000;
	static const char *const what[] = { "MOV", "ADD", "MOVUPS", "FXSAVE",
		"REP STOSQ", "PUSHF" };

	for (unsigned i = 0; i < 6; i++) {
		struct code c = CODE("mov [rbx], rax\n");

		check(t, "SDM 3A 4.8: %s over a page's end that faults leaves "
			 "D of the first page", what[i]);
		gvm_map(t->g, a, g, PTE_P | PTE_W);
		gvm_map(t->g, a + 0x1000, g, PTE_P);
		if (i == 1)
			c = CODE("lock add [rbx], rax\n");
		if (i == 2)
			c = CODE("movups [rbx], xmm0\n");
		if (i == 3)
			c = CODE("fxsave [rdx]\n");
		if (i == 4)
			c = CODE("rep stosq\n");
		if (i == 5)
			c = CODE("pushfq\n");
		kernel(t, c);
		set(t, VM_REG_RBX, a + 0xffc);
		set(t, VM_REG_RDI, a + 0xffc);
		set(t, VM_REG_RDX, a + 0xff0);
		set(t, VM_REG_RCX, 1);
		if (i == 5)
			set(t, VM_REG_RSP, a + 0x1004);
		GO(V_PF);
		IS(get(t, VM_REG_CR2), a + 0x1000);
		IS(t->f.error, 3);
		IS(*gvm_pte(t->g, a) & PTE_D, 0);
	}
}

/* Reads [rbx], changes [rcx] to rdx, does something, reads again. */
static void
remap(struct t *t, struct code how, uint64_t lin, uint64_t *e, uint64_t to)
{
	uint64_t rip = T_CODE;
	struct code c;

	kernel(t, CODE("nop\n"));
	c = CODE("mov eax, [rbx]\nmov [rcx], rdx\n");
	put(t, rip, c);
	rip += c.len;
	put(t, rip, how);
	rip += how.len;
	put(t, rip, CODE("mov esi, [rbx]\n" STOP));
	set(t, VM_REG_RBX, lin);
	set(t, VM_REG_RCX, gpa_of(t, e));
	set(t, VM_REG_RDX, to);
	GO(GO_STOP);
}

static void
invalidation(struct t *t)
{
	uint64_t a = 0x700000, g1 = 0x1800000, g2 = 0x1900000, *e;
	const uint64_t rw = PTE_P | PTE_W;

	e = gvm_pte(t->g, a);
	set_mem(t, g1, 4, 1);
	set_mem(t, g2, 4, 2);
	check(t, "SDM 3A 4.10.4.1: INVLPG makes a changed PTE seen");
	*e = g1 | rw;
	remap(t, CODE("invlpg [rbx]\n"), a, e, g2 | rw);
	IS(get(t, VM_REG_RAX), 1);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "SDM 3A 4.10.4.1: INVLPG of any byte of the page");
	*e = g1 | rw;
	remap(t, CODE("invlpg [rbx + 0xfff]\n"), a, e, g2 | rw);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "SDM 3A 4.10.4.1: INVLPG drops a global page");
	*e = g1 | rw | PTE_G;
	remap(t, CODE("invlpg [rbx]\n"), a, e, g2 | rw | PTE_G);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "SDM 3A 4.10.4.1: MOV to CR3 drops pages");
	*e = g1 | rw;
	remap(t, CODE("mov rax, cr3\nmov cr3, rax\n"), a, e, g2 | rw);
	IS(get(t, VM_REG_RSI), 2);
	/* Keeping them is allowed, not asked for; the kernels count on it
	 * only for speed. What must not be: neither of the two. */
	check(t, "SDM 3A 4.10.2.4: global page over MOV to CR3");
	*e = g1 | rw | PTE_G;
	remap(t, CODE("mov rax, cr3\nmov cr3, rax\n"), a, e, g2 | rw | PTE_G);
	IS(get(t, VM_REG_RSI) == 1 || get(t, VM_REG_RSI) == 2, 1);
	check(t, "SDM 3A 4.10.4.1: changing CR4.PGE drops global pages");
	*e = g1 | rw | PTE_G;
	remap(t, CODE("mov rax, cr4\nbtr rax, 7\nmov cr4, rax\n"
		      "bts rax, 7\nmov cr4, rax\n"), a, e, g2 | rw | PTE_G);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "SDM 3A 4.10.4.1: changing CR0.WP, then a write");
	*e = g1 | PTE_P;
	kernel(t, CODE("mov rax, cr0\nbtr rax, 16\nmov cr0, rax\n"
		       "mov dword ptr [rbx], 7\nbts rax, 16\nmov cr0, rax\n"
		       "mov dword ptr [rbx], 8\n" STOP));
	set(t, VM_REG_RBX, a);
	GO(V_PF);
	IS(t->f.error, 3);
	IS(mem(t, g1, 4), 7);
	check(t, "SDM 3A 4.10.4.3: fewer rights after INVLPG");
	*e = g1 | rw;
	kernel(t, CODE("mov [rbx], eax\nand qword ptr [rcx], -3\n"
		       "invlpg [rbx]\n1:mov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, a);
	set(t, VM_REG_RCX, gpa_of(t, e));
	GO(V_PF);
	IS(t->f.error, 3);
	check(t, "SDM 3A 4.10.4.3: a page made present needs no INVLPG");
	*e = 0;
	handler(t, V_PF, CODE("mov [rcx], rdx\nadd rsp, 8\niretq\n"));
	kernel(t, CODE("mov eax, [rbx]\n" STOP));
	set(t, VM_REG_RBX, a);
	set(t, VM_REG_RCX, gpa_of(t, e));
	set(t, VM_REG_RDX, g2 | rw);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 2);
	check(t, "SDM 3A 4.10.4.3: more rights need no INVLPG");
	*e = g2 | PTE_P;
	kernel(t, CODE("mov eax, [rbx]\nmov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, a);
	set(t, VM_REG_RCX, gpa_of(t, e));
	set(t, VM_REG_RDX, g2 | rw);
	GO(GO_STOP);
}

/* SDM 3A 4.10.4.1: INVLPG of any address in a large page drops all of it. */
static void
invalidate_large(struct t *t)
{
	uint64_t *e, lin = LEAF_LIN + LEAF_OFF;

	for (unsigned level = 1; level < 3; level++)
		for (unsigned g = 0; g < 2; g++) {
			uint64_t v = leaf_value(level) | PTE_P | PTE_W |
			    (g ? PTE_G : 0);

			check(t, "SDM 3A 4.10.4.1: INVLPG of a%s %s page",
			    g ? " global" : "", sizes[level]);
			e = leaf(t, level);
			*e = v;
			kernel(t, CODE("mov eax, [rbx]\nmov eax, [rbx+0x5000]\n"
				       "and qword ptr [rcx], -3\n"
				       "invlpg [rbx+0x9000]\n"
				       "mov [rbx+0x5000], eax\n" STOP));
			set(t, VM_REG_RBX, lin);
			set(t, VM_REG_RCX, gpa_of(t, e));
			GO(V_PF);
			IS(get(t, VM_REG_CR2), lin + 0x5000);
			IS(t->f.error, 3);
		}
}

static void
smap_ac(struct t *t)
{
	check(t, "SDM 2 STAC, 3A 4.6: STAC opens user pages");
	kernel(t, CODE("stac\nmov eax, [rbx]\nclac\nmov ecx, [rbx]\n" STOP));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_SMAP);
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_RAX, 1);
	GO(V_PF);
	IS(get(t, VM_REG_RAX), 0);
	IS(t->f.error, 1);
	IS(t->f.rip, T_CODE + 8);
	check(t, "SDM 3A 6.12.1: a handler's AC is what it was");
	IS(get(t, VM_REG_RFLAGS) & FL_AC, 0);
	check(t, "SDM 3A 4.6: implicit supervisor access, AC does not help");
	/* The GDT on a user page, reached by MOV to a segment register. */
	*gvm_pte(t->g, T_UDATA) = GVM_GDT | PTE_P | PTE_W | PTE_U;
	kernel(t, CODE("stac\nmov ax, 0x10\nmov fs, ax\n" STOP));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_SMAP);
	{
		struct vm_seg gdtr = { .base = T_UDATA, .limit = 63 };

		(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR, &gdtr);
	}
	/* So neither can a gate's segment be read: triple fault. */
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_TRIPLEFAULT);
}

static void
smap_popf(struct t *t)
{
	check(t, "SDM 3A 4.6: POPF sets AC as STAC does");
	kernel(t, CODE("pushfq\nor dword ptr [rsp], 0x40000\npopfq\n"
		       "mov eax, [rbx]\npush 2\npopfq\nmov ecx, [rbx]\n" STOP));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_SMAP);
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_RAX, 1);
	GO(V_PF);
	IS(get(t, VM_REG_RAX), 0);
}

/* Compatibility mode: code around 4 GiB, tables where no address is. */
static void
compat(struct t *t)
{
	struct vm_seg cs = { .base = 0x1000, .limit = 0xffffffff,
		.access = 0xc09b, .sel = 0x40 };
	struct vm_seg gdtr = { .base = 0x00ff000000000000 + GVM_GDT,
		.limit = 0xfff };
	uint64_t top = gvm_alloc(t->g, 1);

	check(t, "SDM 3 3.3: linear addresses of compatibility mode wrap");
	gvm_map(t->g, 0xfffff000, top, PTE_P | PTE_W);
	put(t, top + 0xffe, CODE(".byte 0xb8, 0x78\n"));
	put(t, 0, CODE(".byte 0x56, 0x34, 0x12\n" STOP));
	for (unsigned i = 0; i < 2; i++) {
		kernel(t, CODE("nop\n"));
		(void)vcpu_set_seg(t->g->cpu, VM_SEG_CS, &cs);
		set(t, VM_REG_RIP, 0xffffeffe);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 0x12345678);
		IS(t->stop, 0xfffff003);
	}
	check(t, "SDM 1 3.3.7.1: a table that is not canonical is none");
	set_gdt(t, 0x40, 0x00cf93000000ffff);
	kernel(t, CODE("mov eax, 0x40\nmov es, eax\n" STOP));
	cs.base = 0;
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_CS, &cs);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR, &gdtr);
	/* #GP, whose gate leads there, too. */
	GO(GO_EXIT(VM_EXITCODE_SUSPENDED));
	IS(t->exit.u.suspended.how, VM_SUSPEND_TRIPLEFAULT);
}

/* Guests' memory in large pages of the host's, in KiB. */
static unsigned long
large_pages(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long kib, sum = 0;
	bool ours = false;
	char line[512];

	if (f == NULL)
		return (0);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strstr(line, " /") != NULL)
			ours = strstr(line, "lhyve-ram") != NULL;
		if (ours && sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			sum += kib;
	}
	(void)fclose(f);
	return (sum);
}

/* Not the manual's: what is used much is in large pages of the host's. */
static void
host_pages(struct t *t)
{
	const bool able = gmem_make_large(t->g->gm, 0) == 0;
	const unsigned long before = large_pages();
	const uint64_t at = 8ull << 20;
	bool off = (t->options & GVM_OFF(SOFT_OFF_HUGE)) || gvm_on_kvm();

	check(t, "large pages under the guest's memory");
	for (unsigned i = 0; i < 64; i++) {
		gvm_map(t->g, LEAF_LIN + i * 4096, at + i * 4096,
		    PTE_P | PTE_W);
		*(uint64_t *)gvm_ptr(t->g, at + i * 4096) = i;
	}
	kernel(t, CODE("xor eax, eax\nmov ecx, 64\n"
		       "1: add rax, [rbx]\nadd rbx, 4096\ndec ecx\njnz 1b\n"
		       STOP));
	set(t, VM_REG_RBX, LEAF_LIN);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 64 * 63 / 2);
	IS(large_pages() - before, able && !off ? 2048 : 0);
}

/* Nor this: a large page of the guest's is one in its mirror. */
static void
host_pages_mirror(struct t *t)
{
	const bool able = gmem_make_large(t->g->gm, 0) == 0 &&
	    (t->options & GVM_MIRROR);
	const unsigned long before = large_pages();
	const uint64_t at = LEAF_OFF;

	check(t, "large pages under a mirror");
	*(uint64_t *)gvm_ptr(t->g, at + 0x5008) = 77;
	*leaf(t, 1) = at | PTE_PS | PTE_A | PTE_D | PTE_W | PTE_P;
	kernel(t, CODE("mov rax, [rbx]\nmov [rbx + 0x1f0000], rax\n"
		       "invlpg [rbx]\nmov [rbx + 0x8000], rax\n" STOP));
	set(t, VM_REG_RBX, LEAF_LIN + LEAF_OFF + 0x5008);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 77);
	IS(*(uint64_t *)gvm_ptr(t->g, at + 0x1f5008), 77);
	IS(*(uint64_t *)gvm_ptr(t->g, at + 0xd008), 77);
	/* The guest's memory itself, and its mirror. */
	IS(large_pages() - before, able ? 4096 : 0);
}

const struct group_fn group[] = { { "rights_4k", rights_4k },
	{ "rights_2m", rights_2m }, { "rights_1g", rights_1g },
	{ "rights_of_path", rights_of_path },
	{ "reserved_bits", reserved_bits },
	{ "accessed_dirty", accessed_dirty }, { "straddle", straddle },
	{ "straddle_dirty", straddle_dirty },
	{ "invalidation", invalidation },
	{ "invalidate_large", invalidate_large }, { "smap_ac", smap_ac },
	{ "smap_popf", smap_popf }, { "compat", compat },
	{ "host_pages", host_pages },
	{ "host_pages_mirror", host_pages_mirror },
	{ NULL, NULL } };
