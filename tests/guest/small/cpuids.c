/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of its processor: every leaf of CPUID, and the registers
 * that take no more than it says.
 *
 * usage: small-cpuids [MODEL [FEATURES]]: prints a line for each leaf, with
 * XCR0 as after RESET and with all of it. On the soft engine the answers are
 * compared with the policy (vmm/cpuid.h); two engines are compared by who
 * runs this on both (tests/rig/test_engine.py). Status 1: they differ.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gvm.h"
#include "vmm/cpuid.h"

#define CODE_AT 0x80000ull
#define CR4_BASE 0x6a8ull /* DE PAE PGE OSFXSR OSXMMEXCPT: any model's */
#define CR4_OSXSAVE (1ull << 18)
#define L1_ECX_XSAVE (1u << 26)

struct range {
	uint32_t first, last, subleaves;
};
static const struct range ranges[] = { { 0, 3, 1 }, { 4, 4, 6 }, { 5, 6, 1 },
	{ 7, 7, 4 }, { 8, 0xa, 1 }, { 0xb, 0xb, 3 }, { 0xd, 0xd, 20 },
	{ 0xe, 0x1e, 1 }, { 0x1f, 0x1f, 3 }, { 0x20, 0x21, 1 },
	{ 0x40000000, 0x40000011, 1 }, { 0x40000100, 0x40000101, 1 },
	{ 0x80000000, 0x8000001c, 1 }, { 0x8000001d, 0x8000001d, 6 },
	{ 0x8000001e, 0x80000022, 1 } };

/* 0 or -errno. */
static int
ask(struct gvm *g, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	static const enum vm_reg regs[4] = { VM_REG_RAX, VM_REG_RBX,
		VM_REG_RCX, VM_REG_RDX };
	struct vm_exit e;
	uint64_t stop;
	int error;

	gvm_set(g, VM_REG_RIP, CODE_AT);
	gvm_set(g, VM_REG_RAX, leaf);
	gvm_set(g, VM_REG_RCX, subleaf);
	error = gvm_run(g, &e, &stop);
	if (error != 0 || stop == 0)
		return (error != 0 ? error : -EIO);
	for (unsigned i = 0; i < 4; i++)
		r[i] = (uint32_t)gvm_get(g, regs[i]);
	return (0);
}

/* Prints all leaves; counts those that are not the policy's, if there is one.
 * -errno: the guest did not run. */
static int
dump(struct gvm *g, const struct cpuid_policy *p, uint64_t xcr0)
{
	const struct cpuid_dynamic dyn = { .xcr0 = xcr0,
		.cr4 = gvm_get(g, VM_REG_CR4), .apic_enabled = true };
	uint32_t r[4], want[4];
	int error, wrong = 0;

	if (xcr0 != 1)
		gvm_set(g, VM_REG_XCR0, xcr0);
	printf("xcr0 %llx\n", (unsigned long long)xcr0);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		for (uint32_t n = 0; n < (ranges[i].last - ranges[i].first +
		    1) * ranges[i].subleaves; n++) {
			uint32_t leaf = ranges[i].first +
			    n / ranges[i].subleaves;
			uint32_t sub = n % ranges[i].subleaves;

			error = ask(g, leaf, sub, r);
			if (error != 0)
				return (error);
			printf("%08x.%02x %08x %08x %08x %08x\n", leaf, sub,
			    r[0], r[1], r[2], r[3]);
			if (p == NULL)
				continue;
			cpuid_query(p, &dyn, leaf, sub, want);
			if (memcmp(r, want, sizeof(r)) != 0) {
				printf("FAIL: not the policy's\n");
				wrong++;
			}
		}
	return (wrong);
}

int
main(int argc, char **argv)
{
	static const char code[] = "\x0f\xa2" GVM_STOP_CODE; /* CPUID */
	const struct cpuid_topology topology = { 1, 1, 1 };
	struct cpuid_policy policy;
	struct cpuid_choice choice;
	struct vm_error err = { "" };
	struct gvm *g = NULL;
	uint64_t all = 1;
	uint32_t r[4];
	int error, wrong = 0;

	error = cpuid_choice_parse(&choice, argc > 1 ? argv[1] : "host",
	    argc > 2 && argv[2][0] != '\0' ? argv[2] : NULL, &err);
	if (error == 0 && argc > 3)
		choice.tsc_khz = (uint32_t)strtoul(argv[3], NULL, 10);
	if (error == 0)
		error = cpuid_policy_choose(
		    &policy, &topology, NULL, &choice, &err);
	if (error == 0)
		error = gvm_create_cpu(&g, 1, 0, &choice);
	if (error != 0) {
		fprintf(stderr, "small-cpuids: %s %s\n", strerror(-error),
		    err.msg);
		return (2);
	}
	gvm_write(g, CODE_AT, code, sizeof(code) - 1);
	gvm_start(g, CODE_AT);
	gvm_set(g, VM_REG_CR4, CR4_BASE);
	error = ask(g, 1, 0, r);
	if (error == 0 && (r[2] & L1_ECX_XSAVE) != 0) {
		gvm_set(g, VM_REG_CR4, CR4_BASE | CR4_OSXSAVE);
		error = ask(g, 0xd, 0, r);
		all = r[0];
	}
	for (unsigned i = 0; i < 2 && error == 0; i++) {
		error = dump(g, gvm_on_kvm() ? NULL : &policy,
		    i == 0 ? 1 : all);
		wrong += error > 0 ? error : 0;
		error = error > 0 ? 0 : error;
	}
	gvm_destroy(g);
	if (error != 0) {
		fprintf(stderr, "small-cpuids: %s\n", strerror(-error));
		return (2);
	}
	return (wrong != 0);
}
