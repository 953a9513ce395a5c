/* SPDX-License-Identifier: BSD-2-Clause */
/* Code that changes: by stores, through other mappings, by tables; code
 * over two pages. */
#include "kernel.h"

static void
stores(void)
{
	check("SDM 3A 8.1.3 a store into the instruction that follows");
	K("mov byte ptr [rip + 1f + 1], 7\n1: mov eax, 5\n");
	GO(V_STOP);
	IS(c.rax, 7);
	check("SDM 3A 8.1.3 a store into code that has run");
	K("xor ebx, ebx\n1: mov eax, 5\nadd ebx, eax\n"
	  "cmp byte ptr [rip + 1b + 1], 9\nje 2f\n"
	  "mov byte ptr [rip + 1b + 1], 9\njmp 1b\n2:\n");
	GO(V_STOP);
	IS(c.rbx, 14);
	check("SDM 3A 8.1.3 a loop that changes itself a hundred times");
	K("xor ebx, ebx\nmov ecx, 100\n1: mov eax, 0\nadd ebx, eax\n"
	  "inc byte ptr [rip + 1b + 1]\ndec ecx\njnz 1b\n");
	GO(V_STOP);
	IS(c.rbx, 4950);
	check("SDM 3A 8.1.3 a store through another mapping");
	K("xor ebx, ebx\n1: mov eax, 5\nadd ebx, eax\n"
	  "cmp byte ptr [rdi], 9\nje 2f\nmov byte ptr [rdi], 9\njmp 1b\n2:\n");
	map(A_FREE, 0, PTE_P | PTE_W);
	c.rdi = A_FREE + 3;
	GO(V_STOP);
	IS(c.rbx, 14);
	check("SDM 3A 8.1.3 REP MOVS over code that has run");
	K("call 1f\nmov ebx, eax\nmov ecx, 6\nrep movsb\ncall 1f\njmp 2f\n"
	  ".balign 64\n1: mov eax, 5\nret\n2:\n");
	c.rdi = A_CODE + 0x40;
	poke(A_DATA, 6, 0xc300000009b8);
	GO(V_STOP);
	IS(c.rbx, 5);
	IS(c.rax, 9);
	check("SDM 3A 8.1.3 a data store beside code changes nothing");
	K("mov ecx, 1000\n1: mov [rip + 2f], ecx\nloop 1b\n"
	  "mov eax, [rip + 2f]\njmp 3f\n2: .long 0\n3:\n");
	GO(V_STOP);
	IS(c.rax, 1);
	check("SDM 3A 8.1.3 PUSH onto code");
	K("call 1f\nmov ebx, eax\nmov rsp, 0x40000048\n"
	  "mov rax, 0xc300000009b8\npush rax\nmov rsp, 0x40013000\n"
	  "call 1f\njmp 2f\n.balign 64\n1: mov eax, 5\nret\n.balign 64\n2:\n");
	GO(V_STOP);
	IS(c.rbx, 5);
	IS(c.rax, 9);
	check("SDM 3A 4.10 a page of code that is mapped elsewhere");
	K("call rdi\nmov ebx, eax\nmov rax, [rsi]\nmov [rdx], rax\n"
	  "invlpg [rdi]\ncall rdi\n");
	c.rdi = A_FREE;
	c.rdx = (uint64_t)pte(A_FREE);
	map(A_FREE, 33, 3);
	put(A_FREE, CODE("mov eax, 2\nret\n"));
	map(A_FREE, 32, 3);
	put(A_FREE, CODE("mov eax, 1\nret\n"));
	poke(A_DATA, 8, page(33) | 3);
	GO(V_STOP);
	IS(c.rbx, 1);
	IS(c.rax, 2);
}

static void
code_pages(void)
{
	check("SDM 3A 4.10 a page of code that loses its right to run");
	K("call rdi\nbts qword ptr [rdx], 63\ninvlpg [rdi]\ncall rdi\n");
	c.rdi = A_FREE;
	c.rdx = (uint64_t)pte(A_FREE);
	map(A_FREE, 32, 3);
	pagefault(0x11, A_FREE);
	check("SDM 3A 4.7 an instruction over two pages");
	K("jmp rdi\n");
	map(A_FREE, 32, 3);
	map(A_FREE + 0x1000, 40, 3);
	put(A_FREE + 0xffd, CODE("mov eax, 0x12345678\n" STOP));
	c.rdi = A_FREE + 0xffd;
	GO(V_STOP);
	IS(c.rax, 0x12345678);
	check("SDM 3A 4.7 an instruction whose second page is missing");
	K("jmp rdi\n");
	map(A_FREE, 32, 3);
	c.rdi = A_FREE + 0xffd;
	pagefault(0x10, A_FREE + 0x1000);
	IS(c.rip, A_FREE + 0xffd);
	check("SDM 3A 4.7 one that ends before it does not fault");
	K("jmp rdi\n");
	map(A_FREE, 32, 3);
	put(A_FREE + 0xffe, CODE(STOP));
	c.rdi = A_FREE + 0xffe;
	GO(V_STOP);
	check("SDM 3A 4.7 running on into a page that is missing");
	K("jmp rdi\n");
	map(A_FREE, 32, 3);
	poke(A_FREE + 0xffe, 2, 0x9090);
	c.rdi = A_FREE + 0xffe;
	pagefault(0x10, A_FREE + 0x1000);
	IS(c.rip, A_FREE + 0x1000);
	check("SDM 3A 8.1.3 the second page of an instruction is stored to");
	K("call rdi\nmov ebx, eax\nmov byte ptr [rdi + 4], 0x99\ncall rdi\n");
	map(A_FREE, 32, 3);
	map(A_FREE + 0x1000, 40, 3);
	put(A_FREE + 0xffd, CODE("mov eax, 0x12345678\nret\n"));
	c.rdi = A_FREE + 0xffd;
	GO(V_STOP);
	IS(c.rbx, 0x12345678);
	IS(c.rax, 0x99345678);
	check("SDM 3A 4.7 the second page is mapped elsewhere");
	K("call rdi\nmov ebx, eax\nmov rax, [rsi]\nmov [rdx], rax\n"
	  "invlpg [rdi + 3]\ncall rdi\n");
	map(A_FREE, 32, 3);
	map(A_FREE + 0x1000, 40, 3);
	put(A_FREE + 0xffd, CODE("mov eax, 0x12345678\nret\n"));
	map(A_FREE + 0x2000, 41, 3);
	put(A_FREE + 0x2000, CODE(".byte 0x88, 0x77\nret\n"));
	poke(A_DATA, 8, page(41) | 3);
	c.rdi = A_FREE + 0xffd;
	c.rdx = (uint64_t)pte(A_FREE + 0x1000);
	GO(V_STOP);
	IS(c.rbx, 0x12345678);
	IS(c.rax, 0x77885678);
	check("SDM 3A 8.1.3 real mode: a store into the next instruction");
	R("nop\n");
	put(R_CS * 16, CODE(".code16\nmov byte ptr cs:[9], 9\nnop\nnop\n"
			    "mov al, 5\n" STOP));
	GO(V_STOP);
	IS(c.rax & 0xff, 9);
}

void
selfmod(void)
{
	stores();
	code_pages();
}
