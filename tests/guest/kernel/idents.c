/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs and CPUID: what is kept, what is refused, what agrees. */
#include "kernel.h"

static void
keeps(const char *name, uint32_t msr, uint64_t v)
{
	uint64_t old, got = 0;

	check("SDM 4 2.1 %s keeps what is written", name);
	IS(try_rdmsr(msr, &old), V_STOP);
	IS(try_wrmsr(msr, v), V_STOP);
	IS(try_rdmsr(msr, &got), V_STOP);
	IS(got, v);
	(void)try_wrmsr(msr, old);
}

static void
refuses(const char *what, uint32_t msr, uint64_t v)
{
	check("SDM 4 2.1 %s is #GP", what);
	IS(try_wrmsr(msr, v), V_GP);
}

static void
msrs(void)
{
	uint64_t v, w;

	keeps("IA32_SYSENTER_CS", 0x174, 0x60);
	keeps("IA32_SYSENTER_ESP", 0x175, 0xffff800012345678);
	keeps("IA32_SYSENTER_EIP", 0x176, 0xffff800012345678);
	keeps("IA32_PAT", 0x277, 0x0105040600070106);
	keeps("IA32_STAR", 0xc0000081, 0x0023000800000000);
	keeps("IA32_LSTAR", 0xc0000082, 0xffff800000001000);
	keeps("IA32_CSTAR", 0xc0000083, 0xffff800000002000);
	keeps("IA32_FMASK", 0xc0000084, 0x47700);
	keeps("IA32_KERNEL_GS_BASE", 0xc0000102, 0xffff888000000000);
	keeps("IA32_TSC_AUX", 0xc0000103, 0x80000001);
	keeps("IA32_MTRR_PHYSBASE0", 0x200, 0xc0000000);
	keeps("IA32_MTRR_PHYSMASK0", 0x201, 0xfc0000800);
	keeps("IA32_MTRR_FIX64K_00000", 0x250, 0x0606060606060606);
	keeps("IA32_MTRR_FIX16K_80000", 0x258, 0x0604060406040604);
	keeps("IA32_MTRR_FIX4K_F8000", 0x26f, 0x0505050505050505);
	keeps("IA32_MTRR_DEF_TYPE", 0x2ff, 0xc06);
	refuses("a non-canonical IA32_LSTAR", 0xc0000082, 0x100000000000000);
	refuses("a non-canonical IA32_CSTAR", 0xc0000083, 0x100000000000000);
	refuses("a non-canonical IA32_FS_BASE", 0xc0000100, 0x100000000000000);
	refuses("a non-canonical IA32_GS_BASE", 0xc0000101, 0x100000000000000);
	refuses("a non-canonical IA32_KERNEL_GS_BASE", 0xc0000102, 1ull << 63);
	refuses("a non-canonical IA32_SYSENTER_EIP", 0x176, 0x100000000000000);
	refuses("a type 2 in IA32_PAT", 0x277, 0x02);
	refuses("a type 2 in IA32_MTRR_DEF_TYPE", 0x2ff, 2);
	refuses("a reserved bit of IA32_MTRR_DEF_TYPE", 0x2ff, 0x100);
	refuses("a type 7 in IA32_MTRR_FIX64K_00000", 0x250, 7);
	refuses("a reserved bit of IA32_MTRR_PHYSMASK0", 0x201, 1);
	refuses("a write to IA32_MTRRCAP", 0xfe, 0x508);
	refuses("an IA32_TSC_AUX of more than 32 bits", 0xc0000103,
	    1ull << 32);
	refuses("an MSR that nobody has", 0x4b564dff, 0);
	check("SDM 3A 11.11.1 MTRRCAP: 8 ranges, fixed, write combining");
	IS(rdmsr(0xfe) & 0x5ff, 0x508);
	check("SDM 3A 17.17.3 TSC_ADJUST moves the TSC");
	if (has(7, 1, 1)) {
		v = rdmsr(0x10);
		wrmsr(0x3b, rdmsr(0x3b) + 0x100000000000);
		w = rdmsr(0x10);
		IS(w - v >= 0x100000000000, 1);
		check("SDM 3A 17.17.3 a write to the TSC moves TSC_ADJUST");
		v = rdmsr(0x3b);
		wrmsr(0x10, rdmsr(0x10) + 0x100000000000);
		IS((int64_t)(rdmsr(0x3b) - v) >= 0x100000000000 - 0x100000000 &&
			(int64_t)(rdmsr(0x3b) - v) <= 0x100000000000, 1);
		wrmsr(0x3b, 0);
	}
	check("SDM 3A 9.11.7 the microcode's revision: 0x8b, by CPUID");
	wrmsr(0x8b, 0);
	IS(try_rdmsr(0x8b, &v), V_STOP);
	check("SDM 3B 15.3.1.1 MCG_CAP: its banks exist");
	IS(try_rdmsr(0x179, &v), V_STOP);
	for (unsigned i = 0; i < (v & 0xff); i++)
		IS(try_rdmsr(0x401 + i * 4, &w), V_STOP);
	check("SDM 4 2.1 IA32_MISC_ENABLE can be read");
	IS(try_rdmsr(0x1a0, &v), V_STOP);
	check("SDM 3A 10.4.4 IA32_APIC_BASE has BSP");
	IS(rdmsr(0x1b) & 0x100, 0x100);
}

static void
leaves(void)
{
	uint32_t r[4], s[4], max, bits;

	check("SDM 2 CPUID: in every ring");
	U("cpuid\n");
	c.rax = 0;
	GO(V_STOP);
	cpuid(0, 0, r);
	IS(c.rax, r[0]);
	max = r[0];
	check("SDM 2 CPUID: the upper halves are cleared");
	U("cpuid\n");
	c.rax = 0xffffffff00000000;
	c.rbx = c.rdx = ~0ull;
	GO(V_STOP);
	IS(c.rax >> 32 | c.rbx >> 32 | c.rcx >> 32 | c.rdx >> 32, 0);
	check("SDM 2 CPUID: OSXSAVE follows CR4");
	IS(has(1, 2, 27), 0);
	if (has(1, 2, 26)) {
		set_cr4(CR4_DEFAULT | CR4_OSXSAVE);
		IS(has(1, 2, 27), 1);
		set_cr4(CR4_DEFAULT);
	}
	check("SDM 2 CPUID: leaf 4 ends");
	for (bits = 0; max >= 4 && bits < 32; bits++) {
		cpuid(4, bits, r);
		if ((r[0] & 0x1f) == 0)
			break;
	}
	IS(bits < 32, 1);
	check("SDM 2 CPUID: leaf 0xb has our id in EDX");
	if (max >= 0xb) {
		cpuid(0xb, 0, r);
		cpuid(1, 0, s);
		IS(r[3], s[1] >> 24);
		check("SDM 2 CPUID: leaf 0xb, types 1 and 2, then none");
		IS(r[2] & 0xff00, 0x100);
		cpuid(0xb, 1, r);
		IS(r[2], 0x201);
		cpuid(0xb, 2, r);
		IS(r[2] & 0xff00, 0);
		IS(r[1], 0);
	}
	check("SDM 2 CPUID: leaf 0xd has room for what XCR0 may have");
	if (has(1, 2, 26)) {
		cpuid(0xd, 0, r);
		IS(r[1] <= r[2], 1);
		for (unsigned i = 2; i < 32; i++) {
			if ((r[0] >> i & 1) == 0)
				continue;
			cpuid(0xd, i, s);
			IS(s[0] != 0 && s[1] + s[0] <= r[2], 1);
		}
		check("SDM 2 CPUID: AVX and XCR0 agree");
		IS(has(1, 2, 28), r[0] >> 2 & 1);
		check("SDM 2 CPUID: AVX-512 and XCR0 agree");
		IS(has(7, 1, 16), (r[0] >> 5 & 7) == 7);
	}
	check("SDM 2 CPUID: 0x80000008 has 48 or 57 bits, and MAXPHYADDR");
	cpuid(0x80000008, 0, r);
	IS((r[0] >> 8 & 0xff) == (has(7, 2, 16) ? 57 : 48), 1);
	IS((r[0] & 0xff) >= 36 && (r[0] & 0xff) <= 52, 1);
	check("SDM 2 CPUID: long mode, NX and SYSCALL");
	cpuid(0x80000001, 0, r);
	IS(r[3] & 0x20100800, 0x20100800);
	check("APM 3 CPUID: 0x80000001 repeats leaf 1 on AMD's");
	cpuid(1, 0, s);
	IS(r[3] & 0x0183f3ff, is_amd() ? s[3] & 0x0183f3ff : 0);
	check("SDM 2 CPUID: a hypervisor says so");
	IS(has(1, 2, 31), 1);
	cpuid(0x40000000, 0, r);
	IS(r[0] >= 0x40000000 && r[0] < 0x50000000, 1);
	check("SDM 2 CPUID: FXSAVE area, MMX and SSE go together");
	IS(has(1, 3, 24) && has(1, 3, 25) && has(1, 3, 26), 1);
	check("SDM 2 CPUID: beyond the highest leaf");
	cpuid(max + 1, 0, r);
	cpuid(max, 0, s);
	if (is_amd())
		IS(r[0] | r[1] | r[2] | r[3], 0);
	else
		IS(r[0] == s[0] && r[1] == s[1], 1);
}

void
idents(void)
{
	fresh();
	msrs();
	fresh();
	leaves();
}
