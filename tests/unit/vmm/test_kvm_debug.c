/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vcpu_set_debug() tells the kernel, and what its exits become. The
 * kernel is a stub: the rig's processor arms no breakpoints in a guest, and
 * does not leave it on INT3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/kvm/kvm.h"

static struct {
	struct kvm_guest_debug debug; /* the last */
	unsigned ndebug, nregs;
	bool regs_first; /* registers came before the last of them */
	struct kvm_regs regs;
	uint64_t dr6;
	uint8_t code[15];
	unsigned ncompleted;
} k;

int
kvm_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_debugregs *d = arg;

	(void)fd;
	switch (request) {
	case KVM_SET_GUEST_DEBUG:
		memcpy(&k.debug, arg, sizeof(k.debug));
		k.ndebug++;
		k.regs_first = k.nregs != 0;
		return (0);
	case KVM_SET_REGS:
		memcpy(&k.regs, arg, sizeof(k.regs));
		k.nregs++;
		return (0);
	case KVM_GET_DEBUGREGS:
		memset(d, 0, sizeof(*d));
		d->dr6 = k.dr6;
		return (0);
	case KVM_SET_DEBUGREGS:
		k.dr6 = d->dr6;
		return (0);
	default:
		fail();
		return (-1);
	}
}

int
kvm_state_flush(struct kvm_cpu *cpu)
{
	cpu->sregs_dirty = cpu->sregs_valid = false;
	return (0);
}

unsigned
kvm_insn_bytes(struct kvm_cpu *cpu, uint8_t bytes[15])
{
	(void)cpu;
	memcpy(bytes, k.code, 15);
	return (15);
}

int
kvm_complete_insn(struct kvm_cpu *cpu)
{
	(void)cpu;
	k.ncompleted++;
	return (0);
}

struct fixture {
	struct kvm_vm kvm;
	struct kvm_cpu cpu;
	struct kvm_run run;
	struct vm_exit exit;
};

static struct fixture *
make(void)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	memset(&k, 0, sizeof(k));
	memset(k.code, 0x90, sizeof(k.code));
	f.kvm.cpus = &f.cpu;
	f.kvm.debug_caps = KVM_GUESTDBG_BLOCKIRQ;
	f.cpu.kvm = &f.kvm;
	f.cpu.run = &f.run;
	return (&f);
}

static void
set(struct fixture *f, struct vm_debug d)
{
	assert_int_equal(kvm_set_debug(&f->kvm, 0, &d), 0);
}

static void
test_nothing(void **state)
{
	struct fixture *f = make();

	(void)state;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.ndebug, 0);
}

static void
test_breakpoints(void **state)
{
	struct fixture *f = make();

	(void)state;
	set(f, (struct vm_debug){ .bp[0] = { VM_BP_EXEC, 1, 0x1000 },
		   .bp[1] = { VM_BP_WRITE, 4, 0x2000 },
		   .bp[3] = { VM_BP_ACCESS, 8, 0x3000 } });
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control,
	    KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
	assert_int_equal(k.debug.arch.debugreg[0], 0x1000);
	assert_int_equal(k.debug.arch.debugreg[1], 0x2000);
	assert_int_equal(k.debug.arch.debugreg[3], 0x3000);
	/* SDM volume 3, 17.2.4: G0, G1, G3; W of 4 bytes; RW of 8. */
	assert_int_equal(k.debug.arch.debugreg[7],
	    0x400 | 2 | 8 | 0x80 | 0xdu << 20 | 0xbull << 28);
	/* Once is enough. */
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.ndebug, 1);
	/* A hit. */
	f->run.debug.arch.exception = 1;
	f->run.debug.arch.dr6 = 0xffff0ff0 | 8;
	assert_true(kvm_debug_exit(&f->cpu, &f->exit));
	assert_int_equal(f->exit.exitcode, VM_EXITCODE_DEBUG);
	assert_int_equal(f->exit.u.debug.hits, 8);
	assert_false(f->exit.u.debug.step);
	/* A new vcpu of the kernel's hears of it, too. */
	kvm_debug_again(&f->cpu);
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.ndebug, 2);
	/* And of its end. */
	set(f, (struct vm_debug){ .step = false });
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control, 0);
}

static void
test_bpt(void **state)
{
	struct fixture *f = make();

	(void)state;
	set(f, (struct vm_debug){ .bpt = true });
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control,
	    KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	f->run.debug.arch.exception = 3;
	assert_true(kvm_debug_exit(&f->cpu, &f->exit));
	assert_int_equal(f->exit.exitcode, VM_EXITCODE_BPT);
	/* The guest's, once. */
	set(f, (struct vm_debug){ .bpt = true, .pass = true });
	f->run.kvm_dirty_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control, KVM_GUESTDBG_ENABLE |
		KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP);
	/* Registers would make the kernel forget it. */
	assert_true(k.regs_first);
	assert_int_equal(f->run.kvm_dirty_regs, 0);
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.ndebug, 2);
	/* INT3 is not stepped but reported. */
	set(f, (struct vm_debug){ .bpt = true, .step = true });
	k.code[0] = 0xcc;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.ncompleted, 0);
}

static void
test_step(void **state)
{
	static const uint8_t tf[][3] = { { 0x9c }, { 0x66, 0x9d },
		{ 0x48, 0xcf }, { 0xcd, 0x80 }, { 0x0f, 0x05 },
		{ 0x48, 0x0f, 0x07 } };
	struct fixture *f = make();

	(void)state;
	set(f, (struct vm_debug){ .step = true });
	f->run.kvm_dirty_regs = KVM_SYNC_X86_REGS;
	f->run.s.regs.regs.rip = 0x1234;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control, KVM_GUESTDBG_ENABLE |
		KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ);
	/* The kernel remembers where it begins. */
	assert_true(k.regs_first);
	assert_int_equal(k.regs.rip, 0x1234);
	f->run.debug.arch.exception = 1;
	f->run.debug.arch.dr6 = 0xffff0ff0 | 0x4000;
	assert_true(kvm_debug_exit(&f->cpu, &f->exit));
	assert_true(f->exit.u.debug.step);
	assert_int_equal(f->exit.u.debug.hits, 0);
	/* At every one again. */
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.debug.control & KVM_GUESTDBG_SINGLESTEP,
	    KVM_GUESTDBG_SINGLESTEP);
	/* Those that know TF, and with the guest's TF. */
	for (unsigned i = 0; i < sizeof(tf) / sizeof(tf[0]); i++) {
		memcpy(k.code, tf[i], 3);
		assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 1);
		assert_int_equal(k.ncompleted, i + 1);
		assert_true(f->exit.u.debug.step);
	}
	memset(k.code, 0x90, sizeof(k.code));
	f->run.s.regs.regs.rflags = 0x102;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 1);
	/* The guest's TF is not the kernel's to take. */
	set(f, (struct vm_debug){ .step = false });
	k.nregs = 0;
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	assert_int_equal(k.nregs, 1);
	assert_int_equal(k.regs.rflags, 0x102);
	assert_int_equal(k.debug.control, 0);
}

/* A #DB that is the guest's own. */
static void
test_guests(void **state)
{
	struct fixture *f = make();

	(void)state;
	set(f, (struct vm_debug){ .bp[0] = { VM_BP_EXEC, 1, 0x1000 } });
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	f->run.debug.arch.exception = 1;
	f->run.debug.arch.dr6 = 0xffff0ff0 | 0x4000;
	k.dr6 = 0xffff0ff0;
	assert_false(kvm_debug_exit(&f->cpu, &f->exit));
	assert_int_equal(k.dr6, 0xffff4ff0);
	assert_int_equal(k.debug.control, KVM_GUESTDBG_ENABLE |
		KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB);
	/* With a step of the debugger's, and no breakpoints: the guest's. */
	set(f, (struct vm_debug){ .step = true });
	assert_int_equal(kvm_debug_enter(&f->cpu, &f->exit), 0);
	f->run.debug.arch.dr6 = 0xffff0ff0 | 0x4002;
	k.dr6 = 0xffff0ff0;
	assert_true(kvm_debug_exit(&f->cpu, &f->exit));
	assert_true(f->exit.u.debug.step);
	assert_int_equal(f->exit.u.debug.hits, 0);
	assert_int_equal(k.dr6, 0xffff0ff2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_breakpoints),
		cmocka_unit_test(test_bpt), cmocka_unit_test(test_step),
		cmocka_unit_test(test_guests) };

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
