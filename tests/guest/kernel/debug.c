/* SPDX-License-Identifier: BSD-2-Clause */
/* Breakpoints and alignment checks: SDM volume 3B, chapter 17, 3A, 6.15. */
#include "kernel.h"

#define D (A_DATA + 0x100)
#define LEN(len) (((len) == 8 ? 2u : (len) - 1u) << 2)
/* L0 with these R/W and LEN fields. */
#define BP(rw, len) (1ull | (uint64_t)((rw) | LEN(len)) << 16)
enum { X, W, IO, RW };

static void
arm(uint64_t addr, uint64_t dr7)
{
	__asm__ volatile("mov %0, %%dr7\n\tmov %1, %%dr0\n\tmov %2, %%dr6"
	    : : "r"(0x400ull), "r"(addr), "r"(0xffff0ff0ull));
	__asm__ volatile("mov %0, %%dr7" : : "r"(dr7 | 0x400));
	c.rbx = D;
}

/* It ends in #DB with these bits of DR6, `off` bytes into the code. */
static void
hit(uint64_t want, uint64_t off, uint64_t rf)
{
	uint64_t dr6;

	GO(V_DB);
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	arm(0, 0);
	IS(dr6 & 0xe00f, want);
	IS(c.rip, A_CODE + off);
	IS(c.rflags & FL_RF, rf);
}

static void
missed(void)
{
	GO(V_STOP);
	arm(0, 0);
}

void
debug(void)
{
	check("SDM 3B 17.3.1.1: an instruction breakpoint, a fault with RF 0");
	K("inc eax\ninc eax\n");
	c.rax = 0;
	arm(A_CODE + 2, 1);
	hit(1, 2, 0);
	IS(c.rax, 1);
	check("SDM 3B 17.3.1.1: RF in IRET's image lets it run");
	K("inc eax\ninc eax\n");
	c.rflags |= FL_RF;
	arm(A_CODE, 1);
	missed();
	check("SDM 3B 17.2.5: only the first byte of an instruction counts");
	K("inc eax\ninc eax\n");
	arm(A_CODE + 1, 1);
	missed();
	check("SDM 3A 6.9: a breakpoint comes before the instruction's #UD");
	K("ud2\n");
	arm(A_CODE, 1);
	hit(1, 0, 0);
	check("SDM 3B 17.3.1.2: a store, a trap");
	K("mov dword ptr [rbx + 4], 5\nnop\n");
	arm(D + 4, BP(W, 4));
	hit(1, 7, 0);
	IS(peek(D + 4, 4), 5);
	check("SDM 3B 17.2.5: LEN 8 covers it");
	K("mov dword ptr [rbx + 4], 5\nnop\n");
	arm(D, BP(W, 8));
	hit(1, 7, 0);
	check("SDM 3B 17.2.5: the byte behind does not count");
	K("mov dword ptr [rbx + 4], 5\nnop\n");
	arm(D + 8, BP(W, 1));
	missed();
	check("SDM 3B 17.2.4: a load and a breakpoint on writes");
	K("mov eax, [rbx + 4]\nnop\n");
	arm(D + 4, BP(W, 4));
	missed();
	check("SDM 3B 17.2.4: a load and a breakpoint on both");
	K("mov eax, [rbx + 4]\nnop\n");
	arm(D + 4, BP(RW, 4));
	hit(1, 3, 0);
	check("SDM 3B 17.3.1.2: REP STOSB stops behind the byte, RF 1");
	K("rep stosb\nnop\n");
	c.rcx = 10;
	c.rdi = D;
	arm(D + 5, BP(W, 1));
	hit(1, 0, FL_RF);
	IS(c.rcx, 4);
	check("SDM 3B 17.3.1.2: an I/O breakpoint");
	K("out 0x80, al\nnop\n");
	set_cr4(get_cr4() | CR4_DE);
	arm(0x80, BP(IO, 1));
	hit(1, 2, 0);
	set_cr4(get_cr4() & ~CR4_DE);
	check("SDM 3A 6.8.3: MOV SS from a watched word, the trap one later");
	K("mov ss, [rbx]\nnop\nnop\n");
	poke(D, 2, c.ss);
	arm(D, BP(RW, 2));
	hit(1, 3, 0);
	check("SDM 3B 17.2.4: GD, #DB before MOV DR");
	K("nop\nmov rax, dr0\n");
	arm(0, 0x2000);
	hit(0x2000, 1, FL_RF);
	check("SDM 2 MOV DR: a bit above 31 of DR7 is #GP");
	K("bts rax, 32\nmov dr7, rax\n");
	c.rax = 0x400;
	faults(V_GP, 0, 5);
	check("SDM 3A 6.15 #AC: a misaligned load at CPL 3");
	U("mov eax, [rbx + 1]\n");
	set_cr0(CR0_DEFAULT | CR0_AM);
	c.rbx = A_UDATA;
	c.rflags |= FL_AC;
	GO(V_AC);
	IS(c.err, 0);
	IS(c.rip, A_UCODE);
	check("SDM 3A 6.15 #AC: an aligned one");
	U("mov eax, [rbx + 4]\n");
	set_cr0(CR0_DEFAULT | CR0_AM);
	c.rbx = A_UDATA;
	c.rflags |= FL_AC;
	GO(V_STOP);
	check("SDM 2 JMP: a target that is not canonical faults at the jump");
	K("nop\njmp rbx\n");
	c.rbx = 1ull << 63;
	faults(V_GP, 0, 1);
	check("SDM 2 RET: a target that is not canonical, RSP as before");
	K("nop\nret\n");
	c.rsp -= 8;
	poke(c.rsp, 8, 1ull << 63);
	faults(V_GP, 0, 1);
	IS(c.rsp, A_STACK - 8);
	fresh();
}
