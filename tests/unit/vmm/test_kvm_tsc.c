/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frequency of a guest's TSC on KVM: what of cpu.tsc_khz the kernel is
 * asked for, and what CPUID says. The kernel is a stub (api.rst 4.55, 4.56).
 */
#include <cpuid.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/kvm/kvm.h"

#define HOST_KHZ 2445432u

static struct {
	bool scales;
	unsigned set; /* KVM_SET_TSC_KHZ: kHz of the last, how many */
	unsigned nset, ncpuid;
	int fail;
} k;

int
kvm_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_cpuid2 *c = arg;
	unsigned r[4];

	(void)fd;
	if (request == KVM_SET_CPUID2) {
		k.ncpuid++;
		return (0);
	}
	assert_int_equal(request, KVM_GET_SUPPORTED_CPUID);
	assert_true(c->nent >= 2);
	c->nent = 2;
	for (unsigned i = 0; i < 2; i++) {
		__cpuid(i, r[0], r[1], r[2], r[3]);
		c->entries[i] = (struct kvm_cpuid_entry2){ .function = i,
			.eax = r[0], .ebx = r[1], .ecx = r[2], .edx = r[3] };
	}
	return (0);
}

int
kvm_ioctl_arg(int fd, unsigned long request, unsigned long arg)
{
	(void)fd;
	if (request == KVM_GET_TSC_KHZ)
		return (HOST_KHZ);
	assert_int_equal(request, KVM_SET_TSC_KHZ);
	k.set = (unsigned)arg;
	k.nset++;
	return (k.fail);
}

int
kvm_check(int fd, int cap)
{
	(void)fd;
	return (cap == KVM_CAP_TSC_CONTROL ? k.scales : 1);
}

int
vm_fail(const struct vm_config *cfg, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cfg->err->msg, sizeof(cfg->err->msg), fmt, ap);
	va_end(ap);
	return (error);
}

/* The result of a machine that asks for khz; what its CPUID says. */
static int
try(uint32_t khz, uint32_t *says, struct vm_error *err)
{
	struct cpuid_choice choice = { .tsc_khz = khz };
	const struct vm_config cfg = { .cpu = &choice, .err = err };
	struct kvm_vm *kvm = calloc(1, sizeof(*kvm));
	struct kvm_cpu *cpu = calloc(1, sizeof(*cpu));
	int error;

	assert_non_null(kvm);
	assert_non_null(cpu);
	kvm->cpus = cpu;
	kvm->cpuid.topology = (struct cpuid_topology){ 1, 1, 1 };
	cpu->kvm = kvm;
	k.set = k.nset = k.ncpuid = 0;
	err->msg[0] = '\0';
	error = kvm_cpuid_init(kvm, &cfg);
	/* It is told to each vcpu, of a reset's new ones too. */
	for (unsigned i = 1; i <= 2 && error == 0; i++) {
		error = kvm_cpuid_set(cpu);
		assert_int_equal(k.ncpuid, i);
		assert_int_equal(k.nset, k.set != 0 ? i : 0);
	}
	*says = kvm->cpuid.tsc_khz;
	free(kvm->supported);
	free(cpu);
	free(kvm);
	return (error);
}

static void
test_hosts(void **state)
{
	static const uint32_t same[] = { HOST_KHZ, HOST_KHZ + 611,
		HOST_KHZ - 611 };
	struct vm_error err;
	uint32_t says;

	(void)state;
	for (unsigned scales = 0; scales < 2; scales++) {
		k.scales = scales != 0;
		assert_int_equal(try(0, &says, &err), 0);
		assert_int_equal(says, HOST_KHZ);
		assert_int_equal(k.nset, 0);
		/* As near as the kernel's tolerance: CPUID says what was
		 * asked for. */
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(try(same[i], &says, &err), 0);
			assert_int_equal(says, same[i]);
			assert_int_equal(k.nset, 0);
		}
	}
}

static void
test_others(void **state)
{
	static const uint32_t other[] = { HOST_KHZ + 612, HOST_KHZ - 612,
		100000, 1000000, 10000000 };
	struct vm_error err;
	uint32_t says;

	(void)state;
	for (unsigned i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		k.scales = true;
		assert_int_equal(try(other[i], &says, &err), 0);
		assert_int_equal(says, other[i]);
		assert_int_equal(k.set, other[i]);
		k.fail = -EINVAL;
		assert_int_equal(try(other[i], &says, &err), -EINVAL);
		k.fail = 0;
		k.scales = false;
		assert_int_equal(try(other[i], &says, &err), -ENODEV);
		assert_int_equal(k.nset, 0);
		assert_non_null(strstr(err.msg, "2445432 kHz"));
		assert_non_null(strstr(err.msg, "cpu.tsc_khz="));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_others),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
