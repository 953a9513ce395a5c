/* SPDX-License-Identifier: BSD-2-Clause */
/* x87, SSE, FXSAVE and the XSAVE family. */
#include "kernel.h"

#define XS (CR4_DEFAULT | CR4_OSXSAVE)

static void
x87(void)
{
	check("SDM 1 8.1 FNINIT: control, status and tag words");
	U("fninit\nfnstenv [rsi]\n");
	GO(V_STOP);
	IS(peek(A_UDATA, 2), 0x37f);
	IS(peek(A_UDATA + 4, 2), 0);
	IS(peek(A_UDATA + 8, 2), 0xffff);
	check("SDM 1 8.5.3 x87: a masked division by zero");
	U("fninit\nfld1\nfldz\nfdivp\nfnstsw ax\nfstp tbyte ptr [rsi]\n");
	GO(V_STOP);
	IS(c.rax & 0x3f, 4);
	IS(peek(A_UDATA + 8, 2), 0x7fff);
	IS(peek(A_UDATA, 8), 0x8000000000000000);
	check("SDM 3A 6.15 #MF: at the next waiting instruction");
	U("fninit\nmov word ptr [rsi], 0x37b\nfldcw [rsi]\nfld1\nfldz\n"
	  "fdivp\nnop\nfld1\n");
	GO(V_MF);
	IS(c.rip, A_UCODE + 16);
	check("SDM 3A 6.15 #MF: not at FNSTSW, and FNCLEX clears");
	U("fninit\nmov word ptr [rsi], 0x37b\nfldcw [rsi]\nfld1\nfldz\n"
	  "fdivp\nfnstsw ax\nfnclex\nfld1\n");
	GO(V_STOP);
	IS(c.rax & 0x80bf, 0x8084);
	check("SDM 3A 6.15 #MF: at FWAIT");
	U("fninit\nmov word ptr [rsi], 0x37b\nfldcw [rsi]\nfld1\nfldz\n"
	  "fdivp\nfwait\n");
	GO(V_MF);
	IS(c.rip, A_UCODE + 15);
	check("SDM 1 8.5.1.1 x87: stack overflow");
	U("fninit\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\n"
	  "fnstsw ax\n");
	GO(V_STOP);
	IS(c.rax & 0x241, 0x241);
	check("SDM 1 8.5.1.1 x87: stack underflow");
	U("fninit\nfstp dword ptr [rsi]\nfnstsw ax\n");
	GO(V_STOP);
	IS(c.rax & 0x241, 0x41);
	IS(peek(A_UDATA, 4), 0xffc00000);
	check("SDM 2 FSIN: C2 for an operand out of range");
	U("fninit\nmov rax, 0x43f0000000000000\nmov [rsi], rax\n"
	  "fld qword ptr [rsi]\nfsin\nfnstsw ax\n");
	GO(V_STOP);
	IS(c.rax & 0x400, 0x400);
	check("SDM 2 FXSAVE: and FXRSTOR");
	U("fninit\nfld1\nmov eax, 0x1234\nmovd xmm3, eax\nfxsave [rsi]\n"
	  "fninit\nxorps xmm3, xmm3\nfxrstor [rsi]\nmovd ebx, xmm3\n"
	  "fstp qword ptr [rsi + 0x200]\n");
	GO(V_STOP);
	IS(c.rbx, 0x1234);
	IS(peek(A_UDATA + 0x200, 8), 0x3ff0000000000000);
	check("SDM 2 FXSAVE: misaligned is #GP");
	U("fxsave [rsi + 8]\n");
	faults(V_GP, 0, 0);
	check("SDM 2 FXRSTOR: a reserved MXCSR bit is #GP");
	U("fxsave [rsi]\nor dword ptr [rsi + 24], 0x10000\nfxrstor [rsi]\n");
	GO(V_GP);
	check("SDM 1 8.3.3 MMX: sets the tags, EMMS clears them");
	U("fninit\nmov eax, 5\nmovd mm0, eax\nfnstenv [rsi]\nemms\n"
	  "fnstenv [rsi + 32]\n");
	GO(V_STOP);
	/* The tag of an MMX value depends on it: of MM0 alone. */
	IS(peek(A_UDATA + 8, 2) & 3, 2);
	IS(peek(A_UDATA + 40, 2), 0xffff);
	check("SDM 2 FNSAVE: initializes");
	U("fninit\nfld1\nfnsave [rsi]\nfnstenv [rsi + 128]\n");
	GO(V_STOP);
	IS(peek(A_UDATA + 136, 2), 0xffff);
	IS(peek(A_UDATA + 8, 2), 0x3fff);
	check("SDM 1 8.1.5.3 x87: precision control");
	U("fninit\nmov word ptr [rsi], 0x7f\nfldcw [rsi]\nfld1\n"
	  "mov dword ptr [rsi], 3\nfidiv dword ptr [rsi]\n"
	  "fstp qword ptr [rsi + 8]\nfninit\n");
	GO(V_STOP);
	IS(peek(A_UDATA + 8, 8), 0x3fd5555560000000);
}

static void
sse(void)
{
	check("SDM 3A 6.15 #XM: an unmasked division by zero");
	U("mov dword ptr [rsi], 0x1d80\nldmxcsr [rsi]\nmov eax, 0x3f800000\n"
	  "movd xmm0, eax\nxorps xmm1, xmm1\ndivss xmm0, xmm1\n");
	GO(V_XM);
	IS(c.rip, A_UCODE + 21);
	check("SDM 3A 6.15 #XM: MXCSR has the flag, the register is kept");
	U("stmxcsr [rsi]\nmovd eax, xmm0\nmov dword ptr [rsi + 4], 0x1f80\n"
	  "ldmxcsr [rsi + 4]\n");
	GO(V_STOP);
	IS(peek(A_UDATA, 4), 0x1d84);
	IS(c.rax, 0x3f800000);
	check("SDM 3A 6.15 #XM: #UD without CR4.OSXMMEXCPT");
	U("mov dword ptr [rsi], 0x1d80\nldmxcsr [rsi]\nmov eax, 0x3f800000\n"
	  "movd xmm0, eax\nxorps xmm1, xmm1\ndivss xmm0, xmm1\n");
	set_cr4(CR4_DEFAULT & ~0x400ull);
	GO(V_UD);
	check("SDM 1 11.5.2 SSE: masked, the flags collect");
	U("mov dword ptr [rsi], 0x1f80\nldmxcsr [rsi]\nmov eax, 0x3f800000\n"
	  "movd xmm0, eax\nxorps xmm1, xmm1\ndivss xmm0, xmm1\n"
	  "xorps xmm2, xmm2\ndivss xmm2, xmm2\nstmxcsr [rsi]\n"
	  "movd eax, xmm0\nmovd ebx, xmm2\n");
	GO(V_STOP);
	IS(peek(A_UDATA, 4), 0x1f85);
	IS(c.rax, 0x7f800000);
	IS(c.rbx, 0xffc00000);
	check("SDM 2 LDMXCSR: a reserved bit is #GP");
	U("mov dword ptr [rsi], 0x10000\nldmxcsr [rsi]\n");
	faults(V_GP, 0, 6);
	check("SDM 1 11.5.2.4 SSE: flush to zero");
	U("mov dword ptr [rsi], 0x9f80\nldmxcsr [rsi]\nmov eax, 0x00800000\n"
	  "movd xmm0, eax\nmov eax, 0x3f000000\nmovd xmm1, eax\n"
	  "mulss xmm0, xmm1\nmovd eax, xmm0\nmov dword ptr [rsi], 0x1f80\n"
	  "ldmxcsr [rsi]\n");
	GO(V_STOP);
	IS(c.rax, 0);
	check("SDM 1 11.5.2.3 SSE: rounding upwards");
	U("mov dword ptr [rsi], 0x5f80\nldmxcsr [rsi]\nmov eax, 0x3f800000\n"
	  "movd xmm0, eax\nmov eax, 0x40400000\nmovd xmm1, eax\n"
	  "divss xmm0, xmm1\nmovd eax, xmm0\nmov dword ptr [rsi], 0x1f80\n"
	  "ldmxcsr [rsi]\n");
	GO(V_STOP);
	IS(c.rax, 0x3eaaaaab);
	check("SDM 2 MASKMOVDQU: writes what the mask selects");
	U("pcmpeqb xmm0, xmm0\nmov eax, 0x00800080\nmovd xmm1, eax\n"
	  "maskmovdqu xmm0, xmm1\n");
	poke(A_UDATA, 8, 0);
	GO(V_STOP);
	IS(peek(A_UDATA, 8), 0xff00ff);
	check("SDM 2 MOVNTI and SFENCE");
	U("mov eax, 0x4711\nmovnti [rsi], eax\nsfence\nlfence\nmfence\n");
	GO(V_STOP);
	IS(peek(A_UDATA, 4), 0x4711);
	check("SDM 2 CVTTSD2SI: out of range is the integer indefinite");
	U("mov rax, 0x43e0000000000000\nmovq xmm0, rax\n"
	  "cvttsd2si rax, xmm0\nstmxcsr [rsi]\n");
	GO(V_STOP);
	IS(c.rax, 0x8000000000000000);
}

static void
xsaves(void)
{
	uint32_t r[4];

	if (!has(1, 2, 26))
		return;
	check("SDM 2 XSETBV: without x87 is #GP");
	K("xor ecx, ecx\nxor edx, edx\nmov eax, 2\nxsetbv\n");
	set_cr4(XS);
	faults(V_GP, 0, 9);
	check("SDM 2 XSETBV: AVX without SSE is #GP");
	K("xor ecx, ecx\nxor edx, edx\nmov eax, 5\nxsetbv\n");
	set_cr4(XS);
	faults(V_GP, 0, 9);
	check("SDM 2 XSETBV: ECX other than 0 is #GP");
	K("mov ecx, 2\nxor edx, edx\nmov eax, 3\nxsetbv\n");
	set_cr4(XS);
	faults(V_GP, 0, 12);
	check("SDM 2 XSETBV: a component that is not there is #GP");
	K("xor ecx, ecx\nmov edx, 0x20000000\nmov eax, 3\nxsetbv\n");
	set_cr4(XS);
	faults(V_GP, 0, 12);
	check("SDM 2 XGETBV: what XSETBV set");
	K("xor ecx, ecx\nxor edx, edx\nmov eax, 3\nxsetbv\nxor eax, eax\n"
	  "xgetbv\n");
	set_cr4(XS);
	GO(V_STOP);
	IS(c.rax, 3);
	check("SDM 2 CPUID: leaf 0xd EBX follows XCR0");
	set_cr4(XS);
	cpuid(0xd, 0, r);
	IS(r[1], 576);
	check("SDM 1 14.2 AVX: #UD while XCR0 lacks it");
	U("vxorps ymm0, ymm0, ymm0\n");
	set_cr4(XS);
	faults(V_UD, 0, 0);
	check("SDM 1 14.2 AVX: runs with XCR0");
	K("xor ecx, ecx\nxor edx, edx\nmov eax, 7\nxsetbv\n"
	  "vpcmpeqb xmm1, xmm1, xmm1\nvmovq rbx, xmm1\nmov eax, 3\nxsetbv\n");
	set_cr4(XS);
	if (has(1, 2, 28)) {
		GO(V_STOP);
		IS(c.rbx, ~0ull);
	}
	check("SDM 2 XSAVE: the header has what was in use");
	K("fninit\nmov ebx, 9\nmovd xmm4, ebx\nmov eax, 3\nxor edx, edx\n"
	  "xsave [rsi]\nxorps xmm4, xmm4\nxrstor [rsi]\nmovd ebx, xmm4\n");
	set_cr4(XS);
	for (unsigned i = 0; i < 1024; i += 8)
		poke(A_DATA + i, 8, 0);
	GO(V_STOP);
	IS(c.rbx, 9);
	IS(peek(A_DATA + 512, 8) & 2, 2);
	check("SDM 2 XSAVE: misaligned is #GP");
	K("mov eax, 3\nxor edx, edx\nxsave [rsi + 16]\n");
	set_cr4(XS);
	GO(V_GP);
	check("SDM 2 XRSTOR: a reserved bit of the header is #GP");
	K("mov eax, 3\nxor edx, edx\nxsave [rsi]\n"
	  "bts qword ptr [rsi + 512], 9\n"
	  "xrstor [rsi]\n");
	set_cr4(XS);
	GO(V_GP);
	check("SDM 2 XRSTOR: a component not in the header is initialized");
	K("mov ebx, 9\nmovd xmm4, ebx\nmov eax, 3\nxor edx, edx\nxsave [rsi]\n"
	  "mov qword ptr [rsi + 512], 1\nxrstor [rsi]\nmovd ebx, xmm4\n");
	set_cr4(XS);
	GO(V_STOP);
	IS(c.rbx, 0);
	check("SDM 2 XSAVE: #UD without CR4.OSXSAVE");
	K("mov eax, 3\nxor edx, edx\nxsave [rsi]\n");
	GO(V_UD);
	check("SDM 2 XSAVE: #NM with CR0.TS");
	K("mov eax, 3\nxor edx, edx\nxsave [rsi]\n");
	set_cr4(XS);
	set_cr0(CR0_DEFAULT | CR0_TS);
	GO(V_NM);
	check("SDM 2 XSAVEOPT: runs where CPUID has it");
	K("mov eax, 3\nxor edx, edx\nxsaveopt [rsi]\n");
	set_cr4(XS);
	cpuid(0xd, 1, r);
	GO(r[0] & 1 ? V_STOP : V_UD);
	check("SDM 2 XSAVEC: the compacted form");
	K("mov eax, 3\nxor edx, edx\nxsavec [rsi]\n");
	set_cr4(XS);
	cpuid(0xd, 1, r);
	if (r[0] & 2) {
		GO(V_STOP);
		IS(peek(A_DATA + 520, 8), 1ull << 63 | 3);
	} else {
		GO(V_UD);
	}
	check("SDM 2 XSAVES: runs where CPUID has it");
	K("mov eax, 3\nxor edx, edx\nxsaves [rsi]\n");
	set_cr4(XS);
	GO(r[0] & 8 ? V_STOP : V_UD);
}

void
fpu(void)
{
	x87();
	sse();
	xsaves();
}
