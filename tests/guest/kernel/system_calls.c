/* SPDX-License-Identifier: BSD-2-Clause */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT; RDTSC and RDPMC at CPL 3. */
#include "kernel.h"

#define ENTRY (A_CODE + 0x100)

static void
entry_msrs(void)
{
	wrmsr(0xc0000081, 0x0023000800000000); /* STAR */
	wrmsr(0xc0000082, ENTRY);
	wrmsr(0xc0000083, ENTRY);
	wrmsr(0xc0000084, FL_IF | FL_DF | FL_CF);
	wrmsr(0x174, S_CODE64);
	wrmsr(0x175, A_STACK - 0x100);
	wrmsr(0x176, ENTRY);
}

static void
syscalls(void)
{
	check("SDM 2 SYSCALL: RCX, R11, CS, SS, RIP");
	U("stc\nstd\nsyscall\n1: nop\n");
	entry_msrs();
	put(ENTRY, CODE("mov eax, cs\nmov ebx, ss\npushfq\npop rdx\ncld\n"
			STOP));
	c.rflags |= FL_IOPL3;
	GO(V_STOP);
	IS(c.rax, S_CODE64);
	IS(c.rbx, S_DATA);
	IS(c.rcx, A_UCODE + 4);
	IS(c.r11 & 0x3c01, 0x3401);
	IS(c.rdx & 0x3401, 0x3000);
	check("SDM 2 SYSCALL: RSP stays");
	U("syscall\n");
	entry_msrs();
	put(ENTRY, CODE("mov rax, rsp\n" STOP));
	GO(V_STOP);
	IS(c.rax, A_USTACK);
	check("SDM 2 SYSCALL: #UD without EFER.SCE");
	U("syscall\n");
	entry_msrs();
	wrmsr(EFER, 0xd00);
	faults(V_UD, 0, 0);
	check("SDM 2 SYSCALL: in compatibility mode only on AMD's");
	U32("syscall\n");
	entry_msrs();
	put(ENTRY, CODE("mov eax, 0x77\n" STOP));
	if (is_amd()) {
		GO(V_STOP);
		IS(c.rax, 0x77);
		IS(c.rcx, A_UCODE + 2);
	} else {
		faults(V_UD, 0, 0);
	}
	check("SDM 2 SYSRET: to 64-bit mode");
	K("mov ecx, 0x40004000\nmov r11d, 0x202\n"
	  ".byte 0x48, 0x0f, 0x07\n");
	entry_msrs();
	put(A_UCODE, CODE("mov eax, cs\nmov ebx, ss\npushfq\npop rdx\n" STOP));
	c.rsp = A_USTACK;
	GO(V_STOP);
	IS(c.rax, S_UCODE64);
	IS(c.rbx, S_UDATA);
	IS(c.rdx & FL_IF, FL_IF);
	check("SDM 2 SYSRET: to compatibility mode");
	K("mov ecx, 0x40004000\nmov r11d, 2\n.byte 0x0f, 0x07\n");
	entry_msrs();
	put(A_UCODE, CODE("mov eax, cs\n" STOP));
	c.rsp = A_USTACK;
	GO(V_STOP);
	IS(c.rax, S_UCODE32);
	check("SDM 2 SYSRET: at CPL 3 is #GP");
	U(".byte 0x0f, 0x07\n");
	entry_msrs();
	faults(V_GP, 0, 0);
	check("SDM 2 SYSRET: #UD without EFER.SCE");
	K(".byte 0x0f, 0x07\n");
	wrmsr(EFER, 0xd00);
	faults(V_UD, 0, 0);
	check("SDM 2 SYSRET: RCX not canonical is #GP, on Intel's at CPL 0");
	K("mov rcx, 0x800000000000\nmov r11d, 2\n"
	  ".byte 0x48, 0x0f, 0x07\n");
	entry_msrs();
	GO(V_GP);
	IS(c.cs, is_amd() ? S_UCODE64 : S_CODE64);
	check("SDM 2 SYSRET: clears RF, VM and reserved bits");
	K("mov ecx, 0x40004000\nmov r11, 0x30002\n"
	  ".byte 0x48, 0x0f, 0x07\n");
	entry_msrs();
	put(A_UCODE, CODE("pushfq\npop rax\n" STOP));
	c.rsp = A_USTACK;
	GO(V_STOP);
	IS(c.rflags & (FL_VM | FL_RF), 0);
	check("SDM 2 SYSCALL: a TF in FMASK stops the stepping");
	U("syscall\n");
	entry_msrs();
	wrmsr(0xc0000084, FL_TF);
	put(ENTRY, CODE(STOP));
	c.rflags |= FL_TF;
	GO(V_STOP);
}

static void
sysenters(void)
{
	check("SDM 2 SYSENTER: from 32-bit code without paging");
	P3("sysenter\n");
	wrmsr(0x174, S_CODE64);
	wrmsr(0x175, P_STACK - 0x100);
	wrmsr(0x176, P_CODE + 0x100);
	put(P_CODE + 0x100, CODE(".code32\nmov eax, cs\nmov ebx, esp\n"
				 "mov ecx, ss\n" STOP));
	c.rflags |= FL_IF;
	GO(V_STOP);
	IS(c.rax & 0xffff, S_CODE64);
	IS(c.rbx, P_STACK - 0x100);
	IS(c.rcx & 0xffff, S_DATA);
	IS(c.rflags & FL_IF, 0);
	check("SDM 2 SYSENTER: #GP with a null SYSENTER_CS");
	P3("sysenter\n");
	wrmsr(0x174, 0);
	faults(V_GP, 0, 0);
	check("SDM 2 SYSEXIT: from 32-bit code without paging");
	P("mov edx, offset 0x40040\nmov ecx, 0x5f000\n.byte 0x0f, 0x35\n"
	  ".balign 64\nmov eax, cs\nmov ebx, ss\n");
	wrmsr(0x174, S_CODE64);
	GO(V_STOP);
	IS(c.rax & 0xffff, (S_CODE64 + 16) | 3);
	IS(c.rbx & 0xffff, (S_CODE64 + 24) | 3);
	IS(c.rsp, P_STACK);
	check("SDM 2 SYSEXIT: at CPL 3 is #GP");
	P3(".byte 0x0f, 0x35\n");
	wrmsr(0x174, S_CODE64);
	faults(V_GP, 0, 0);
	check("SDM 2 SYSENTER: in real mode is #GP");
	R("sysenter\n");
	faults(V_GP, 0, 0);
	check("APM 3 SYSENTER: in long mode only on Intel's");
	U("sysenter\n");
	entry_msrs();
	put(ENTRY, CODE("mov eax, cs\nmov rbx, rsp\n" STOP));
	if (is_amd()) {
		faults(V_UD, 0, 0);
	} else {
		GO(V_STOP);
		IS(c.rax, S_CODE64);
		IS(c.rbx, A_STACK - 0x100);
	}
	check("APM 3 SYSEXIT: in long mode only on Intel's");
	K("mov edx, 0x40004000\nmov ecx, 0x40018000\n"
	  ".byte 0x48, 0x0f, 0x35\n");
	entry_msrs();
	put(A_UCODE, CODE("mov eax, cs\n" STOP));
	if (is_amd()) {
		GO(V_UD);
	} else {
		GO(V_STOP);
		IS(c.rax, (S_CODE64 + 32) | 3);
	}
}

static void
counters(void)
{
	check("SDM 2 RDTSC: goes forward");
	U("rdtsc\nmov ebx, eax\nmov ecx, 1000\n1: loop 1b\nrdtsc\n"
	  "sub eax, ebx\n");
	GO(V_STOP);
	IS((int32_t)c.rax > 0, 1);
	check("SDM 2 RDTSC: at CPL 3 with CR4.TSD is #GP");
	U("rdtsc\n");
	set_cr4(CR4_DEFAULT | CR4_TSD);
	faults(V_GP, 0, 0);
	check("SDM 2 RDTSC: at CPL 0 with CR4.TSD");
	K("rdtsc\n");
	set_cr4(CR4_DEFAULT | CR4_TSD);
	GO(V_STOP);
	check("SDM 2 RDTSCP: gives TSC_AUX");
	U("rdtscp\n");
	wrmsr(0xc0000103, 0x12345);
	GO(V_STOP);
	IS(c.rcx, 0x12345);
	check("SDM 2 RDPID: gives TSC_AUX");
	U(".byte 0xf3, 0x0f, 0xc7, 0xf9\n"); /* RDPID RCX */
	if (has(7, 2, 22)) {
		GO(V_STOP);
		IS(c.rcx, 0x12345);
	} else {
		GO(V_UD);
	}
	check("SDM 2 RDPMC: at CPL 3 without CR4.PCE is #GP");
	U("xor ecx, ecx\nrdpmc\n");
	faults(V_GP, 0, 2);
	check("SDM 2 RDMSR: at CPL 3 is #GP");
	U("rdmsr\n");
	c.rcx = 0x10;
	faults(V_GP, 0, 0);
	check("SDM 2 WRMSR: at CPL 3 is #GP");
	U("wrmsr\n");
	c.rcx = 0x10;
	faults(V_GP, 0, 0);
	check("SDM 2 XGETBV: #UD without CR4.OSXSAVE");
	U("xgetbv\n");
	faults(V_UD, 0, 0);
	check("SDM 2 XSETBV: at CPL 3 is #GP");
	U("xsetbv\n");
	set_cr4(CR4_DEFAULT | (has(1, 2, 26) ? CR4_OSXSAVE : 0));
	faults(has(1, 2, 26) ? V_GP : V_UD, 0, 0);
	check("SDM 2 IN: at CPL 3 without a bitmap is #GP");
	U("in al, 0x21\n");
	faults(V_GP, 0, 0);
	check("SDM 2 IN: at CPL 3 with IOPL 3");
	U("in al, 0x21\n");
	c.rflags |= FL_IOPL3;
	GO(V_STOP);
	IS(c.rax & 0xff, 0xff);
	check("SDM 2 INVD: at CPL 3 is #GP");
	U("invd\n");
	faults(V_GP, 0, 0);
	check("SDM 2 WBINVD: at CPL 3 is #GP");
	U("wbinvd\n");
	faults(V_GP, 0, 0);
	check("SDM 2 MOV to DR: at CPL 3 is #GP");
	U("mov dr0, rax\n");
	faults(V_GP, 0, 0);
	check("SDM 2 MOV to DR7: bits 63:32 are #GP");
	K("mov rax, 0x100000400\nmov dr7, rax\n");
	faults(V_GP, 0, 10);
	check("SDM 3B 17.2.2 DR4 with CR4.DE is #UD");
	K(".byte 0x0f, 0x21, 0xe0\n");
	set_cr4(CR4_DEFAULT | CR4_DE);
	faults(V_UD, 0, 0);
	check("SDM 3B 17.2.2 DR4 without CR4.DE is DR6");
	K(".byte 0x0f, 0x21, 0xe0\nmov rbx, dr6\n");
	GO(V_STOP);
	IS(c.rax, c.rbx);
	check("SDM 2 MOV to CR: CR1 is #UD");
	K(".byte 0x0f, 0x20, 0xc8\n");
	faults(V_UD, 0, 0);
	check("SDM 2 MOV to CR: NW without CD is #GP");
	K("mov rax, cr0\nbts rax, 29\nmov cr0, rax\n");
	faults(V_GP, 0, 8);
	check("SDM 2 MOV to CR: bits 63:32 of CR0 are #GP");
	K("mov rax, cr0\nbts rax, 40\nmov cr0, rax\n");
	faults(V_GP, 0, 8);
	check("SDM 2 MOV to CR: a reserved bit of CR4 is #GP");
	K("mov rax, cr4\nbts rax, 31\nmov cr4, rax\n");
	if (!loses_tcg())
		faults(V_GP, 0, 8);
	check("SDM 2 MOV to CR: CR8 of more than 4 bits is #GP");
	K("mov eax, 0x10\nmov cr8, rax\n");
	faults(V_GP, 0, 5);
	check("SDM 3A 2.2.1 EFER: a reserved bit is #GP");
	IS(try_wrmsr(EFER, 0xd03), V_GP);
	check("SDM 3A 2.5 CR0.ET is always set");
	K("mov rax, cr0\nbtr rax, 4\nmov cr0, rax\nmov rbx, cr0\n");
	GO(V_STOP);
	IS(c.rbx & 0x10, 0x10);
}

void
system_calls(void)
{
	syscalls();
	sysenters();
	counters();
}
