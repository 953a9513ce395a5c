/* SPDX-License-Identifier: BSD-2-Clause */
/* Single instructions of the system: privilege, #UD, operands. */
#include "small.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define NOWHERE 0x100000ull /* not mapped */

static unsigned
at0(struct t *t, struct code c)
{
	kernel(t, c);
	set(t, VM_REG_RAX, 7);
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_RBX, T_DATA);
	set(t, VM_REG_RDI, NOWHERE);
	return ((unsigned)go(t));
}

static unsigned
at3(struct t *t, struct code c)
{
	user(t, c);
	set(t, VM_REG_RAX, 7);
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_RDX, 0);
	set(t, VM_REG_RBX, T_UDATA);
	set(t, VM_REG_RDI, NOWHERE);
	return ((unsigned)go(t));
}

#define AT0(name, insn, want)                                                  \
	do {                                                                   \
		check(t, "SDM 2 " name ": CPL 0");                             \
		IS(at0(t, CODE(insn "\n" STOP)), want);                        \
	} while (0)
#define AT3(name, insn, want)                                                  \
	do {                                                                   \
		check(t, "SDM 2 " name ": CPL 3");                             \
		IS(at3(t, CODE(insn "\n" USTOP)), want);                       \
	} while (0)
#define UD(name, insn)                                                         \
	AT0(name, insn, V_UD);                                                 \
	AT3(name, insn, V_UD)

/* Not announced: #UD, whatever the host would do with it. */
static void
not_there(struct t *t)
{
	check(t, "SDM 2 CPUID: MONITOR is not there");
	IS(has(t, 1, 2, 3), 0);
	UD("MONITOR", "monitor");
	UD("MWAIT", "mwait");
	UD("MONITORX", ".byte 0x0f, 0x01, 0xfa");
	UD("RDPKRU", ".byte 0x0f, 0x01, 0xee");
	UD("WRPKRU", ".byte 0x0f, 0x01, 0xef");
	UD("RDPRU", ".byte 0x0f, 0x01, 0xfd");
	UD("UMONITOR", ".byte 0xf3, 0x0f, 0xae, 0xf3");
	UD("MOVDIRI", ".byte 0x0f, 0x38, 0xf9, 0x03");
	UD("SERIALIZE", ".byte 0x0f, 0x01, 0xe8");
	UD("PTWRITE", ".byte 0xf3, 0x0f, 0xae, 0x23");
	UD("VMCALL", ".byte 0x0f, 0x01, 0xc1");
	UD("VMMCALL", ".byte 0x0f, 0x01, 0xd9");
	UD("INCSSPD", ".byte 0xf3, 0x0f, 0xae, 0xe8");
	UD("WRSSD, before the operand's fault", ".byte 0x0f, 0x38, 0xf6, 0x07");
	UD("RSTORSSP, before the operand's fault",
	    ".byte 0xf3, 0x0f, 0x01, 0x2f");
	UD("SETSSBSY", ".byte 0xf3, 0x0f, 0x01, 0xe8");
	AT3("RDSSPQ is a NOP without CET", ".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8",
	    U_STOPPED);
	IS(get(t, VM_REG_RAX), 7);
	AT3("BNDMK is a NOP without MPX", ".byte 0xf3, 0x0f, 0x1b, 0x07",
	    U_STOPPED);
}

static void
caches(struct t *t)
{
	AT0("WBINVD", "wbinvd", GO_STOP);
	AT0("INVD", "invd", GO_STOP);
	AT0("WBNOINVD is WBINVD without it", ".byte 0xf3, 0x0f, 0x09", GO_STOP);
	AT3("WBNOINVD", ".byte 0xf3, 0x0f, 0x09", V_GP);
	AT3("CLFLUSH", "clflush [rbx]", U_STOPPED);
	AT3("CLFLUSH of what is not there (#PF)", "clflush [rdi]", V_PF);
	IS(t->f.error, 4);
	AT3("PREFETCHW never faults", "prefetchw [rdi]", U_STOPPED);
	AT3("PREFETCHT0 never faults", "prefetcht0 [rdi]", U_STOPPED);
	AT3("PREFETCHNTA, not canonical", "bts rdi, 63\nprefetchnta [rdi]",
	    U_STOPPED);
	UD("LOCK CLFLUSH", ".byte 0xf0, 0x0f, 0xae, 0x3b");
	if (!has(t, 0x80000008, 1, 0)) {
		UD("CLZERO", ".byte 0x0f, 0x01, 0xfc");
		return;
	}
	check(t, "APM 3 CLZERO: the line that rAX is in");
	for (unsigned i = 0; i < 24; i++)
		set_mem(t, upage(t, T_UDATA) + 8 * i, 8, ~0ull);
	user(t, CODE(".byte 0x0f, 0x01, 0xfc\n" USTOP));
	set(t, VM_REG_RAX, T_UDATA + 0x55);
	GO(U_STOPPED);
	for (unsigned i = 0; i < 24; i++)
		IS(mem(t, upage(t, T_UDATA) + 8 * i, 8),
		    i >= 8 && i < 16 ? 0 : ~0ull);
	check(t, "APM 3 CLZERO (#PF): a write");
	user(t, CODE(".byte 0x0f, 0x01, 0xfc\n" USTOP));
	set(t, VM_REG_RAX, NOWHERE + 0x55);
	GO(V_PF);
	IS(t->f.error, 6);
	check(t, "APM 3 CLZERO (#PF): the supervisor's memory");
	user(t, CODE(".byte 0x0f, 0x01, 0xfc\n" USTOP));
	set(t, VM_REG_RAX, T_DATA);
	GO(V_PF);
	IS(t->f.error, 7);
}

static void
counters(struct t *t)
{
	bool amd;

	kernel(t, CODE("cpuid\n" STOP));
	set(t, VM_REG_RAX, 0);
	GO(GO_STOP);
	amd = get(t, VM_REG_RCX) == 0x444d4163; /* "cAMD" */
	check(t, "SDM 2 RDPMC: a counter, if the vendor always has some");
	IS(at0(t, CODE("rdpmc\n" STOP)), amd ? GO_STOP : V_GP);
	check(t, "SDM 2 RDPMC (#GP): CPL 3 without CR4.PCE");
	IS(at3(t, CODE("rdpmc\n" USTOP)), V_GP);
	check(t, "SDM 2 RDPMC: CPL 3 with CR4.PCE");
	user(t, CODE("rdpmc\n" USTOP));
	set(t, VM_REG_RCX, 0);
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) | 0x100);
	GO(amd ? U_STOPPED : V_GP);
}

static void
supervisor_state(struct t *t)
{
	kernel(t, CODE("cpuid\n" STOP));
	set(t, VM_REG_RAX, 13);
	set(t, VM_REG_RCX, 1);
	GO(GO_STOP);
	if (!((get(t, VM_REG_RAX) >> 3) & 1)) {
		UD("XSAVES", "xsaves [rbx]");
		return;
	}
	set(t, VM_REG_XCR0, 3);
	set_mem(t, T_DATA + 0x208, 8, 0);
	check(t, "SDM 2 XSAVES: compacted, XCOMP_BV says so");
	IS(at0(t, CODE("fld1\nxsaves64 [rbx]\nfninit\nxrstors64 [rbx]\n"
		       "fstp qword ptr [rbx + 0x800]\n" STOP)), GO_STOP);
	IS(mem(t, T_DATA + 0x208, 8), 1ull << 63 | 3);
	IS(mem(t, T_DATA + 0x800, 8), 0x3ff0000000000000);
	check(t, "SDM 2 XRSTORS (#GP): not compacted");
	set_mem(t, T_DATA + 0x208, 8, 0);
	IS(at0(t, CODE("xrstors [rbx]\n")), V_GP);
	check(t, "SDM 2 XSAVES (#GP): alignment");
	IS(at0(t, CODE("xsaves [rbx + 32]\n")), V_GP);
	AT3("XSAVES", "xsaves [rbx]", V_GP);
	AT3("XRSTORS", "xrstors [rbx]", V_GP);
	check(t, "SDM 4 IA32_XSS: 0, and nothing can be set");
	IS(at0(t, CODE("mov ecx, 0xda0\nrdmsr\nmov edx, 0\nwrmsr\n" STOP)),
	    GO_STOP);
	IS(get(t, VM_REG_RAX), 0);
	IS(at0(t, CODE("mov ecx, 0xda0\nmov eax, 0x800\nwrmsr\n")), V_GP);
	check(t, "SDM 2 XSAVES: #UD without OSXSAVE");
	kernel(t, CODE("xsaves [rbx]\n"));
	set(t, VM_REG_CR4, get(t, VM_REG_CR4) & ~(1ull << 18));
	GO(V_UD);
}

/* -o trace: what it prints with is not the guest's vector registers. */
static void
traces(struct t *t)
{
	int err = dup(2), p[2];

	check(t, "log.h: traces leave the guest's registers alone");
	IS(pipe(p), 0); /* nobody reads: a pipe takes a few lines */
	IS(dup2(p[1], 2), 2);
	(void)trace_enable("soft,intr");
	handler(t, V_BP, CODE("iretq\n"));
	kernel(t, CODE("mov rax, 0x1122334455667788\nmovq xmm0, rax\n"
		       "pshufd xmm0, xmm0, 0x44\nmovaps xmm1, xmm0\n"
		       "movaps xmm2, xmm0\nmovaps xmm3, xmm0\n"
		       "movaps xmm4, xmm0\nmovaps xmm5, xmm0\n"
		       "movaps xmm15, xmm0\nsti\nud2\n"
		       "pand xmm0, xmm1\npand xmm2, xmm3\npand xmm4, xmm5\n"
		       "pand xmm0, xmm2\npand xmm0, xmm4\npand xmm0, xmm15\n"
		       "movq rcx, xmm0\npsrldq xmm0, 8\nmovq rdx, xmm0\n"
		       STOP));
	handler(t, V_UD, CODE("add qword ptr [rsp], 2\niretq\n"));
	vm_nmi(t->g->vm, 0);
	handler(t, V_NMI, CODE("iretq\n"));
	IS(vm_msi(t->g->vm, 0xfee00000, 0x60), 0);
	handler(t, 0x60, CODE("iretq\n"));
	GO(GO_STOP);
	trace_enabled = 0;
	(void)dup2(err, 2);
	close(err);
	close(p[0]);
	close(p[1]);
	IS(get(t, VM_REG_RCX), 0x1122334455667788);
	IS(get(t, VM_REG_RDX), 0x1122334455667788);
}

/* MXCSR and its mask in images that somebody else has made. */
static void
images(struct t *t)
{
	uint8_t image[4096];
	uint32_t len = sizeof(image), mask, mxcsr;

	check(t, "SDM 1 11.6.6: the mask is the processor's");
	kernel(t, CODE("fxsave [rbx]\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
	mask = (uint32_t)mem(t, T_DATA + 28, 4);
	IS(mask & 0xffff, 0xffff);
	check(t, "vmm.h: vcpu_set_xsave() takes what the mask has");
	IS(vcpu_get_xsave(t->g->cpu, image, &len), 0);
	mxcsr = (mask & 0x20000) | 0x1f80;
	memcpy(image + 24, &mxcsr, 4);
	image[512] |= 2;
	IS(vcpu_set_xsave(t->g->cpu, image, len), 0);
	check(t, "vmm.h: vcpu_set_xsave() refuses other bits");
	mxcsr = ~mask | 0x1f80;
	memcpy(image + 24, &mxcsr, 4);
	IS(vcpu_set_xsave(t->g->cpu, image, len), -22);
	check(t, "SDM 2 FXRSTOR (#GP): whatever mask an image came with");
	mxcsr = 0x1f80;
	memcpy(image + 24, &mxcsr, 4);
	memset(image + 28, 0xff, 4);
	kernel(t, CODE("fxrstor [rbx]\n" STOP));
	IS(vcpu_set_xsave(t->g->cpu, image, len), 0);
	set(t, VM_REG_RBX, T_DATA);
	set_mem(t, T_DATA + 24, 4, 0x80001f80);
	GO(V_GP);
	check(t, "SDM 1 13.8.2: compacted, MXCSR counts if SSE is loaded");
	for (unsigned bv = 0; bv < 8; bv++)
		for (unsigned rfbm = 0; rfbm < 8; rfbm++) {
			memset(gvm_ptr(t->g, T_DATA), 0, 1024);
			set_mem(t, T_DATA + 24, 4, 0x80001f80);
			set_mem(t, T_DATA + 512, 8, bv);
			set_mem(t, T_DATA + 520, 8, 1ull << 63 | 7);
			kernel(t, CODE("xor ecx, ecx\nxor edx, edx\n"
				       "mov eax, 7\nxsetbv\nmov eax, esi\n"
				       "xrstor [rbx]\n" STOP));
			set(t, VM_REG_RBX, T_DATA);
			set(t, VM_REG_RSI, rfbm);
			GO(bv & rfbm & 2 ? V_GP : GO_STOP);
		}
	check(t, "SDM 2 FXSAVE: no addresses of the host in the image");
	kernel(t, CODE("fninit\nfld1\nfxsave [rbx]\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	GO(GO_STOP);
	IS(mem(t, T_DATA + 6, 2), 0);
	IS(mem(t, T_DATA + 8, 8), 0);
	IS(mem(t, T_DATA + 16, 8), 0);
}

const struct group_fn group[] = { { "not_there", not_there },
	{ "traces", traces }, { "images", images },
	{ "caches", caches }, { "counters", counters },
	{ "supervisor_state", supervisor_state }, { NULL, NULL } };
