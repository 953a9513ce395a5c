/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID, MSRs and their exits. */
#include "small.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/cpuid.h"

static void
leaves(struct t *t)
{
	static const uint32_t first[] = { 0, 0x40000000, 0x80000000 };
	static const uint32_t sub[] = { 0, 1, 2, 5, 62 };
	struct cpuid_policy *p = calloc(1, sizeof(*p));
	struct cpuid_dynamic dyn = { .apic_enabled = true };
	uint32_t want[4];

	if (p == NULL)
		return;
	cpuid_policy_init(p,
	    &(struct cpuid_topology){ 1, 1, 1 });
	kernel(t, CODE("cpuid\n" STOP));
	dyn.xcr0 = get(t, VM_REG_XCR0);
	dyn.cr4 = get(t, VM_REG_CR4);
	/* Each range, and a little beyond its end. */
	for (unsigned r = 0; r < 3; r++)
		for (uint32_t i = 0; i < 64; i++) {
			uint32_t leaf = first[r] + i;

			if (leaf > (r == 0 ? p->max_basic + 1 :
				       r == 1 ? first[1] + 4 : p->max_ext + 1))
				break;
			check(t, "SDM 2 CPUID: leaf %#x", leaf);
			for (unsigned s = 0; s < 5; s++) {
				gvm_start(t->g, T_CODE);
				set(t, VM_REG_RAX, 0x1234567800000000 | leaf);
				set(t, VM_REG_RCX, 0x8765432100000000 | sub[s]);
				set(t, VM_REG_RBX, ~0ull);
				set(t, VM_REG_RDX, ~0ull);
				GO(GO_STOP);
				cpuid_query(p, &dyn, leaf, sub[s], want);
				IS(get(t, VM_REG_RAX), want[0]);
				IS(get(t, VM_REG_RBX), want[1]);
				IS(get(t, VM_REG_RCX), want[2]);
				IS(get(t, VM_REG_RDX), want[3]);
			}
		}
	check(t, "SDM 2 CPUID: OSXSAVE follows CR4");
	dyn.cr4 &= ~0x40000ull;
	gvm_start(t->g, T_CODE);
	set(t, VM_REG_CR4, dyn.cr4);
	set(t, VM_REG_RAX, 1);
	GO(GO_STOP);
	cpuid_query(p, &dyn, 1, 0, want);
	IS(get(t, VM_REG_RCX), want[2]);
	IS(get(t, VM_REG_RCX) >> 27 & 1, 0);
	check(t, "SDM 2 CPUID: from CPL 3");
	user(t, CODE("cpuid\n" USTOP));
	set(t, VM_REG_RAX, 0);
	GO(U_STOPPED);
	IS(get(t, VM_REG_RAX), p->max_basic);
	free(p);
}

static void
unknown_msrs(struct t *t)
{
	const uint32_t msr = 0x4b564dff; /* nobody's */

	check(t, "vmm.h: RDMSR of an unknown MSR exits");
	kernel(t, CODE("mov ecx, 0x4b564dff\nrdmsr\nmov esi, 1\n" STOP));
	GO(GO_EXIT(VM_EXITCODE_RDMSR));
	IS(t->exit.u.msr.code, msr);
	IS(t->exit.rip, T_CODE + 5);
	check(t, "vmm.h: vcpu_complete_msr() gives the value");
	IS(vcpu_complete_msr(t->g->cpu, false, 0x1122334455667788), 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x55667788);
	IS(get(t, VM_REG_RDX), 0x11223344);
	IS(get(t, VM_REG_RSI), 1);
	check(t, "vmm.h: vcpu_complete_msr() can ask for #GP");
	gvm_start(t->g, T_CODE);
	GO(GO_EXIT(VM_EXITCODE_RDMSR));
	IS(vcpu_complete_msr(t->g->cpu, true, 0), 0);
	GO(V_GP);
	is_frame(t, 0, T_CODE + 5, GVM_KCODE, 0x10002, GVM_STACK_TOP,
	    GVM_KDATA);
	check(t, "vmm.h: WRMSR of an unknown MSR exits with the value");
	kernel(t, CODE("mov ecx, 0x4b564dff\nmov eax, 0x99\nmov edx, 0x77\n"
		       "wrmsr\nmov esi, 2\n" STOP));
	GO(GO_EXIT(VM_EXITCODE_WRMSR));
	IS(t->exit.u.msr.code, msr);
	IS(t->exit.u.msr.wval, 0x7700000099);
	IS(vcpu_complete_msr(t->g->cpu, false, 0), 0);
	GO(GO_STOP);
	IS(get(t, VM_REG_RSI), 2);
	check(t, "vmm.h: and its #GP");
	gvm_start(t->g, T_CODE);
	GO(GO_EXIT(VM_EXITCODE_WRMSR));
	IS(vcpu_complete_msr(t->g->cpu, true, 0), 0);
	GO(V_GP);
	IS(t->f.rip, T_CODE + 15);
	check(t, "SDM 2 RDMSR: at CPL 3 it is #GP, no exit");
	user(t, CODE("rdmsr\n"));
	set(t, VM_REG_RCX, msr);
	GO(V_GP);
}

/* MSRs that a kernel writes and reads back. */
static void
known_msrs(struct t *t)
{
	static const struct {
		uint32_t msr;
		uint64_t v;
		const char *name;
	} c[] = { { 0x174, 0x40, "IA32_SYSENTER_CS" },
		{ 0x175, 0xffff800012345678, "IA32_SYSENTER_ESP" },
		{ 0x176, 0xffff800012345678, "IA32_SYSENTER_EIP" },
		{ 0x277, 0x0407050600070106, "IA32_PAT" },
		{ 0x2ff, 0xc06, "IA32_MTRR_DEF_TYPE" },
		{ 0x250, 0x0606060606060606, "IA32_MTRR_FIX64K_00000" },
		{ 0x200, 0xc0000000, "IA32_MTRR_PHYSBASE0" },
		{ 0xc0000081, 0x0023001000000000, "IA32_STAR" },
		{ 0xc0000082, 0xffffffff81000000, "IA32_LSTAR" },
		{ 0xc0000083, 0xffffffff81000000, "IA32_CSTAR" },
		{ 0xc0000084, 0x47700, "IA32_FMASK" },
		{ 0xc0000100, 0x00007f0012345678, "IA32_FS_BASE" },
		{ 0xc0000102, 0xffff800012345678, "IA32_KERNEL_GS_BASE" },
		{ 0xc0000103, 0x7, "IA32_TSC_AUX" } };
	uint64_t v;

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		check(t, "SDM 4 2.1: %s keeps what is written", c[i].name);
		kernel(t, CODE("wrmsr\nxor eax, eax\nxor edx, edx\n"
			       "rdmsr\n" STOP));
		set(t, VM_REG_RCX, c[i].msr);
		set(t, VM_REG_RAX, c[i].v & 0xffffffff);
		set(t, VM_REG_RDX, c[i].v >> 32);
		GO(GO_STOP);
		IS(get(t, VM_REG_RAX) | get(t, VM_REG_RDX) << 32, c[i].v);
		IS(vcpu_get_msr(t->g->cpu, c[i].msr, &v), 0);
		IS(v, c[i].v);
	}
	check(t, "SDM 3A 11.12.4: a reserved type in IA32_PAT is #GP");
	kernel(t, CODE("wrmsr\n"));
	set(t, VM_REG_RCX, 0x277);
	set(t, VM_REG_RAX, 0x02);
	set(t, VM_REG_RDX, 0);
	GO(V_GP);
	check(t, "SDM 3A 11.11.2.1: a reserved type in MTRR_DEF_TYPE is #GP");
	kernel(t, CODE("wrmsr\n"));
	set(t, VM_REG_RCX, 0x2ff);
	GO(V_GP);
	check(t, "SDM 3A 10.4.4: IA32_APIC_BASE: BSP, enabled, 0xfee00000");
	kernel(t, CODE("mov ecx, 0x1b\nrdmsr\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0xfee00900);
	check(t, "SDM 3A 10.12.1: x2APIC without xAPIC is #GP");
	kernel(t, CODE("mov ecx, 0x1b\nmov eax, 0xfee00500\nxor edx, edx\n"
		       "wrmsr\n"));
	GO(V_GP);
	check(t, "vmm.h: vcpu_get_msr() of an unknown MSR");
	IS(vcpu_get_msr(t->g->cpu, 0x4b564dff, &v), -ENOENT);
}

const struct group_fn group[] = { { "leaves", leaves },
	{ "unknown_msrs", unknown_msrs }, { "known_msrs", known_msrs },
	{ NULL, NULL } };
