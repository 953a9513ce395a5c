/* SPDX-License-Identifier: BSD-2-Clause */
/* Single instructions of the system: privilege, #UD, operands. */
#include "small.h"

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

const struct group_fn group[] = { { "not_there", not_there },
	{ "caches", caches }, { "counters", counters },
	{ "supervisor_state", supervisor_state }, { NULL, NULL } };
