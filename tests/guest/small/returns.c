/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Returns that do not go where their calls came from, and calls whose code is
 * another when they return: SDM volume 1, 6.2 and 6.3 ("Procedure Stack",
 * "Calling Procedures Using CALL and RET"), volume 3A, 4.10 and 11.6.
 */
#include "prot.h"

#define NONCANON 0x8000000000000000ull
#define PAGE_LIN 0x700000ull /* what it shows changes */

/* Everything that the tests count in begins with 0. */
static void
start(struct t *t, struct code c)
{
	kernel(t, c);
	for (unsigned r = VM_REG_RAX; r <= VM_REG_RDI; r++)
		if (r != VM_REG_RSP)
			set(t, r, 0);
}

static void
depth(struct t *t)
{
	check(t, "SDM 1 6.3: 7000 calls in each other");
	start(t, CODE("mov rsp, rbx\nmov ecx, 7000\ncall 1f\n"
		      "mov edx, eax\nmov ecx, 20\ncall 1f\nsub rsp, rbx\n" STOP
		      "1:dec ecx\njz 2f\ncall 1b\n2:inc eax\nret\n"));
	set(t, VM_REG_RBX, T_DATA + 0xfff0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 7000);
	IS(get(t, VM_REG_RAX), 7020);
	IS(get(t, VM_REG_RSP), 0);
	check(t, "SDM 1 6.3: the same by a register, from other pages");
	put(t, T_HAND, CODE("dec ecx\njz 1f\ncall rdx\n1:inc eax\nret\n"));
	start(t, CODE("mov rsp, rbx\nmov ecx, 7000\ncall rdx\n"
		      "mov ecx, 3000\ncall rdx\nsub rsp, rbx\n" STOP));
	set(t, VM_REG_RBX, T_DATA + 0xfff0);
	set(t, VM_REG_RDX, T_HAND);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 10000);
	IS(get(t, VM_REG_RSP), 0);
}

static void
elsewhere(struct t *t)
{
	check(t, "SDM 2 RET: to another address than the call's next");
	start(t, CODE("mov ecx, 50\n1:call 2f\n3:mov ebx, 1\n" STOP
		      "2:lea rdx, [rip + 4f]\nmov [rsp], rdx\nret\n"
		      "4:inc ebx\nloop 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), 50);
	check(t, "SDM 2 RET: back over ten calls, 500 times");
	start(t, CODE("mov edx, 500\n1:mov rdi, rsp\nmov ecx, 10\ncall 2f\n"
		      "mov ebx, -1\n" STOP "2:loop 3f\nmov rsp, rdi\njmp 4f\n"
		      "3:call 2b\nmov ebx, -1\n" STOP
		      "4:call 5f\nadd ebx, eax\ndec edx\njnz 1b\n" STOP
		      "5:mov eax, 3\nret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RBX), 1500);
	check(t, "SDM 2 RET: two stacks in turn");
	start(t, CODE("lea rdx, [rip + 2f]\nmov [rsi - 8], rdx\n"
		      "sub rsi, 8\nmov ecx, 1000\n"
		      "1:call 3f\ninc eax\nloop 1b\n" STOP
		      "2:call 3f\nadd ebx, 2\njmp 2b\n"
		      "3:call 4f\nret\n4:xchg rsp, rsi\nret\n"));
	set(t, VM_REG_RSI, T_DATA + 0x8000);
	set_mem(t, T_DATA + 0x7ff0, 8, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 1000);
	IS(get(t, VM_REG_RBX), 999 * 2);
	check(t, "SDM 2 RET: an address that is pushed");
	start(t, CODE("call 1f\ninc eax\n" STOP
		      "1:lea rdx, [rip + 2f]\npush rdx\nret\n"
		      "2:mov eax, 5\nret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 6);
	check(t, "SDM 2 RET: #GP at it if the address is not canonical");
	start(t, CODE("call 1f\n" STOP "1:mov [rsp], rbx\nnop\nret\n"));
	set(t, VM_REG_RBX, NONCANON);
	GO(V_GP);
	IS(t->f.rip, T_CODE + 5 + 4 + 4 + 1);
	IS(t->f.rsp, GVM_STACK_TOP - 8);
	IS(t->f.error, 0);
	check(t, "SDM 2 RET: the same from another page");
	put(t, T_HAND, CODE("mov [rsp], rbx\nret\n"));
	start(t, CODE("call rdx\n" STOP));
	set(t, VM_REG_RBX, NONCANON);
	set(t, VM_REG_RDX, T_HAND);
	GO(V_GP);
	IS(t->f.rip, T_HAND + 4);
	IS(t->f.rsp, GVM_STACK_TOP - 8);
}

/* Addresses that differ in high bits only, which a table of targets may not
 * look at. */
static void
alike(struct t *t)
{
	static const uint64_t far[] = {T_HAND + 0x80000, T_HAND + 0x800000,
	    0x100000000ull + T_HAND, 0x7f0000000000ull + T_HAND,
	    0xffffff0000000000ull | T_HAND};

	put(t, T_HAND, CODE("inc eax\nret\n"));
	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		uint64_t page = gvm_alloc(t->g, 1);

		check(t, "SDM 2 CALL: 0x%lx and 0x%lx in turn",
		    (uint64_t)T_HAND, far[i]);
		put(t, page, CODE("inc ebx\nret\n"));
		gvm_map(t->g, far[i], page, PTE_P | PTE_W);
		start(t, CODE("mov ecx, 100\n1:call rdx\ncall rsi\n"
			      "loop 1b\n" STOP));
		set(t, VM_REG_RDX, T_HAND);
		set(t, VM_REG_RSI, far[i]);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 100);
		IS(get(t, VM_REG_RBX), 100);
	}
	for (unsigned bit = 47; bit < 64; bit++) {
		check(t, "SDM 2 CALL, RET (#GP): bit %u of a target", bit);
		start(t,
		    CODE("mov ecx, 3\n1:call rdx\nloop 1b\ncall rsi\n" STOP));
		set(t, VM_REG_RDX, T_HAND);
		set(t, VM_REG_RSI, T_HAND ^ 1ull << bit);
		GO(V_GP);
		IS(t->f.rip, T_CODE + 5 + 2 + 2);
		IS(t->f.rsp, GVM_STACK_TOP);
		start(t, CODE("mov ecx, 3\n1:call rdx\nloop 1b\npush rsi\n"
			      "ret\n"));
		set(t, VM_REG_RDX, T_HAND);
		set(t, VM_REG_RSI, T_HAND ^ 1ull << bit);
		GO(V_GP);
		IS(t->f.rip, T_CODE + 5 + 2 + 2 + 1);
		IS(t->f.rsp, GVM_STACK_TOP - 8);
	}
}

/* The instruction behind a call changes while the call goes on; before, it
 * has run some times. */
static void
changes(struct t *t)
{
	check(t, "SDM 3A 11.6: a store behind a call in the page");
	start(t, CODE("mov ecx, 5\n1:call 3f\n2:mov eax, 1\ntest ecx, ecx\n"
		      "jnz 1b\n" STOP
		      "3:dec ecx\njnz 4f\nmov byte ptr [rip + 2b + 1], 7\n"
		      "4:ret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
	check(t, "SDM 3A 11.6: a store behind a call to another page");
	put(t, T_HAND,
	    CODE(".fill 5, 1, 0x90\ndec ecx\njnz 1f\n"
		 "mov byte ptr [rbx], 7\n1:ret\n"));
	start(t, CODE("mov ecx, 5\n1:call . + 0x10000\n"
		      "2:mov eax, 1\ntest ecx, ecx\njnz 1b\n" STOP));
	set(t, VM_REG_RBX, T_CODE + 11);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
	check(t, "SDM 3A 11.6: a store behind an indirect call");
	start(t, CODE("mov ecx, 5\nnop\nnop\nnop\n1:call rdx\n"
		      "2:mov eax, 1\ntest ecx, ecx\njnz 1b\n" STOP));
	set(t, VM_REG_RBX, T_CODE + 11);
	set(t, VM_REG_RDX, T_HAND);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
	check(t, "SDM 3A 11.6: a store behind the outer of two calls");
	start(t, CODE("mov ecx, 5\n1:call 3f\n2:mov eax, 1\ntest ecx, ecx\n"
		      "jnz 1b\n" STOP "3:call 4f\nret\n4:dec ecx\njnz 5f\n"
		      "mov byte ptr [rip + 2b + 1], 7\n5:ret\n"));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 7);
}

/* The page that a call came from is another when it returns. */
static void
remaps(struct t *t)
{
	static const char *const how[] = {
	    "INVLPG", "MOV to CR3", "MOV to CR4, a global page"};
	uint64_t a = gvm_alloc(t->g, 1), b = gvm_alloc(t->g, 1), flags;

	put(t, a,
	    CODE("1:call rdx\nmov eax, 1\ntest ecx, ecx\njnz 1b\n"
		 "jmp rsi\n"));
	put(t, b,
	    CODE("1:call rdx\nmov eax, 2\ntest ecx, ecx\njnz 1b\n"
		 "jmp rsi\n"));
	put(t, T_CODE + 0x800, CODE(STOP));
	for (unsigned i = 0; i < 3; i++) {
		check(t, "SDM 3A 4.10.4: another page behind a call, by %s",
		    how[i]);
		put(t, T_HAND,
		    i == 0   ? CODE("dec ecx\njnz 1f\nmov [rdi], r8\n"
				      "invlpg [rbx]\n1:ret\n")
		    : i == 1 ? CODE("dec ecx\njnz 1f\nmov [rdi], r8\n"
				    "mov rax, cr3\nmov cr3, rax\n1:ret\n")
			     : CODE("dec ecx\njnz 1f\nmov [rdi], r8\n"
				    "mov rax, cr4\nbtc rax, 7\nmov cr4, rax\n"
				    "1:ret\n"));
		flags = PTE_P | PTE_W | (i == 2 ? PTE_G : 0);
		gvm_map(t->g, PAGE_LIN, a, flags);
		start(t, CODE("mov ecx, 5\njmp rbx\n"));
		if (i == 2)
			set(t, VM_REG_CR4, get(t, VM_REG_CR4) | 0x80);
		set(t, VM_REG_RBX, PAGE_LIN);
		set(t, VM_REG_RDX, T_HAND);
		set(t, VM_REG_RSI, T_CODE + 0x800);
		set(t, VM_REG_RDI, gpa_of(t, gvm_pte(t->g, PAGE_LIN)));
		set(t, VM_REG_R8, b | flags);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX), 2);
	}
}

/* What a call of one privilege left is not what another's return finds. */
static void
rings(struct t *t)
{
	check(t, "SDM 1 6.3.6: a RET of ring 0 to where ring 3 called");
	handler(t, 0x81, CODE("push rsi\nret\n"));
	user(t, CODE("mov ecx, 3\n1:call 3f\ndec ecx\njnz 1b\n"
		     "lea rsi, [rip + 2f]\nmov edi, 1\ncall 3f\n"
		     "2:mov ebx, cs\n" USTOP
		     "3:test edi, edi\njz 4f\nint 0x81\n4:ret\n"));
	GO(U_STOPPED);
	IS(get(t, VM_REG_RBX), GVM_KCODE);
	IS(t->f.cs, GVM_KCODE);
	check(t, "SDM 1 6.3.6: a RET of ring 3 to where ring 0 called");
	put(t, upage(t, T_UCODE), CODE("push rdi\nret\n"));
	start(t, CODE("mov ecx, 3\n1:call 3f\ndec ecx\njnz 1b\n"
		      "lea rdi, [rip + 2f]\ncall 4f\n2:mov ebx, 1\n" STOP
		      "3:ret\n4:push 0x23\npush r8\npush 2\npush 0x2b\n"
		      "push r9\niretq\n"));
	set(t, VM_REG_R8, T_USTACK);
	set(t, VM_REG_R9, T_UCODE);
	GO(V_PF);
	IS(get(t, VM_REG_RBX), 0);
	IS(t->f.cs, GVM_UCODE);
	IS(t->f.rip, get(t, VM_REG_RDI));
	IS(t->f.rsp, T_USTACK);
	if (!has(t, 7, 1, 20))
		return;
	check(t, "SDM 3A 4.6: STAC and CLAC between a call and its RET");
	start(t, CODE("mov edi, 100\n1:call 2f\nmov al, [rbx]\ncall 3f\n"
		      "dec edi\njnz 1b\nmov al, [rbx]\n" STOP
		      "2:stac\nret\n3:clac\nret\n"));
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | CR4_SMAP);
	GO(V_PF);
	IS(get(t, VM_REG_RDI), 0);
}

/* What the translator knows of registers ends at a call. */
static void
registers(struct t *t)
{
	check(t, "SDM 1 6.3: a call changes what an address is made of");
	gvm_map(t->g, 0x100700000ull, T_DATA, PTE_P | PTE_W);
	start(t, CODE("mov ebx, esi\nmov ecx, 1\nmov eax, [rbx]\n"
		      "mov edx, [rbx + rcx * 4]\ncall 1f\n"
		      "mov eax, [rbx]\nmov edx, [rbx + rcx * 4]\n" STOP
		      "1:mov rbx, rdi\nmov rcx, r8\nret\n"));
	set(t, VM_REG_RSI, T_HAND);
	set(t, VM_REG_RDI, 0x100700000ull);
	set(t, VM_REG_R8, 0 - 0x20000000ull);
	gvm_map(t->g, 0x80700000ull, T_DATA + 0x1000, PTE_P | PTE_W);
	set_mem(t, T_DATA, 4, 5);
	set_mem(t, T_DATA + 0x1000, 4, 6);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 5);
	IS(get(t, VM_REG_RDX), 6);
}

static void
bits32(struct t *t)
{
	check(t, "SDM 2 RET n: 3000 calls in each other, 32-bit code");
	prot(t,
	    CODE32("mov esp, ebx\nmov ecx, 3000\npush 1\ncall 1f\n"
		   "sub esp, ebx\n" STOP "1:dec ecx\njz 2f\npush 2\ncall 1b\n"
		   "2:add eax, [esp + 4]\nret 4\n"));
	set(t, VM_REG_RBX, T_DATA + 0xfff0);
	set(t, VM_REG_RAX, 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 5999);
	IS(get(t, VM_REG_RSP), 0);
	check(t, "SDM 2 RET: elsewhere, 32-bit code");
	prot(t,
	    CODE32("mov ecx, 50\nxor edx, edx\n1:call 2f\n3:mov edx, -1\n" STOP
		   "2:add dword ptr [esp], 14\nret\n"
		   "inc edx\nloop 1b\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RDX), 50);
}

const struct group_fn group[] = {{"depth", depth}, {"elsewhere", elsewhere},
    {"alike", alike}, {"changes", changes}, {"remaps", remaps},
    {"rings", rings}, {"registers", registers}, {"bits32", bits32},
    {NULL, NULL}};
