/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A debugger's hold on a vcpu (vcpu_set_debug()) by KVM_SET_GUEST_DEBUG
 * (api.rst 4.87).
 *
 * The kernel steps with the guest's own TF, which the guest can see: an
 * instruction that would read or write it is stepped by the other engine
 * (complete.c). #DB and INT3 of the guest come here as well, while a debugger
 * has anything of its own; they are given back.
 */
#include <errno.h>
#include <string.h>

#include "vmm/kvm/kvm.h"

#define FL_TF 0x100u
#define DR6_BS 0x4000u
#define DR7_FIXED 0x400u
#define EXC_BP 3

int
kvm_set_debug(void *priv, unsigned id, const struct vm_debug *debug)
{
	struct kvm_cpu *cpu = &((struct kvm_vm *)priv)->cpus[id];

	cpu->debug = *debug;
	cpu->debug_dirty = true;
	return (0);
}

/* Of the debugger's breakpoints, as DR7 has them (SDM volume 3, 17.2.4). */
static uint64_t
dr7(const struct vm_debug *d)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VM_DEBUG_BPS; i++) {
		unsigned len = d->bp[i].len, rw;

		if (d->bp[i].kind == VM_BP_NONE)
			continue;
		rw = d->bp[i].kind == VM_BP_EXEC  ? 0 :
		     d->bp[i].kind == VM_BP_WRITE ? 1 :
						    3;
		v |= 2ull << (2 * i) |
		    (uint64_t)(rw | (len == 8 ? 2 : len - 1) << 2)
			<< (16 + 4 * i);
	}
	return (v != 0 ? v | DR7_FIXED : 0);
}

void
kvm_debug_again(struct kvm_cpu *cpu)
{
	const struct vm_debug *d = &cpu->debug;

	cpu->debug_dirty = d->bpt || d->step || dr7(d) != 0;
	cpu->stepping = false;
}

/* Registers that were set have to be there: the kernel remembers where a step
 * began, and forgets an exception when it gets registers. While it steps it
 * takes TF for its own. */
static int
set_regs(struct kvm_cpu *cpu)
{
	struct kvm_guest_debug none;
	int error;

	error = kvm_state_flush(cpu);
	if (error == 0 && cpu->stepping) {
		memset(&none, 0, sizeof(none));
		error = kvm_ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &none);
		cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	}
	if (error < 0 ||
	    (cpu->run->kvm_dirty_regs & KVM_SYNC_X86_REGS) == 0)
		return (error);
	cpu->stepping = false;
	error = kvm_ioctl(cpu->fd, KVM_SET_REGS, &cpu->run->s.regs.regs);
	if (error < 0)
		return (error);
	cpu->run->kvm_dirty_regs &= ~(__u64)KVM_SYNC_X86_REGS;
	return (0);
}

static int
tell(struct kvm_cpu *cpu, uint32_t inject)
{
	const struct vm_debug *d = &cpu->debug;
	struct kvm_guest_debug g;
	int error;

	error = set_regs(cpu);
	if (error != 0)
		return (error);
	memset(&g, 0, sizeof(g));
	if (d->bpt)
		g.control |= KVM_GUESTDBG_USE_SW_BP;
	if (d->step)
		g.control |= KVM_GUESTDBG_SINGLESTEP |
		    (cpu->kvm->debug_caps & KVM_GUESTDBG_BLOCKIRQ);
	g.arch.debugreg[7] = dr7(d);
	if (g.arch.debugreg[7] != 0)
		g.control |= KVM_GUESTDBG_USE_HW_BP;
	for (unsigned i = 0; i < VM_DEBUG_BPS; i++)
		g.arch.debugreg[i] = d->bp[i].addr;
	g.control |= inject;
	if (g.control != 0)
		g.control |= KVM_GUESTDBG_ENABLE;
	error = kvm_ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &g);
	cpu->stepping = d->step && error >= 0;
	return (error < 0 ? error : 0);
}

/* The instruction at RIP reads or writes TF: PUSHF, POPF, IRET, INT3 to INTO,
 * INT1, SYSCALL, SYSRET, SYSENTER, SYSEXIT. */
static bool
knows_tf(struct kvm_cpu *cpu)
{
	uint8_t b[15];
	unsigned n = kvm_insn_bytes(cpu, b), i = 0;

	while (i < n && (memchr("\x66\x67\xf2\xf3\x2e\x36\x3e\x26\x64\x65",
			     b[i], 10) != NULL ||
			    (b[i] & 0xf0) == 0x40))
		i++;
	if (i >= n)
		return (false);
	if (b[i] == 0x0f)
		return (i + 1 < n &&
		    (b[i + 1] == 0x05 || b[i + 1] == 0x07 ||
			b[i + 1] == 0x34 || b[i + 1] == 0x35));
	return (b[i] == 0x9c || b[i] == 0x9d || b[i] == 0xf1 ||
	    (b[i] >= 0xcc && b[i] <= 0xcf));
}

int
kvm_debug_enter(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	bool pass = cpu->debug.pass, changed = cpu->debug_dirty;
	uint8_t bytes[15];
	int error;

	if (!changed && !cpu->debug.step)
		return (0);
	if (cpu->sregs_dirty) {
		error = kvm_state_flush(cpu);
		if (error != 0)
			return (error);
	}
	cpu->debug.pass = cpu->debug_dirty = false;
	if (cpu->debug.step && !cpu->completion &&
	    !(cpu->debug.bpt && !pass &&
		kvm_insn_bytes(cpu, bytes) > 0 && bytes[0] == 0xcc) &&
	    ((cpu->run->s.regs.regs.rflags & FL_TF) != 0 || knows_tf(cpu))) {
		error = kvm_complete_insn(cpu);
		if (error != 0)
			return (error);
		exit->exitcode = VM_EXITCODE_DEBUG;
		exit->u.debug.step = true;
		return (1);
	}
	return (tell(cpu, pass ? KVM_GUESTDBG_INJECT_BP : 0));
}

/* #DB is the guest's: these bits of DR6 with it. */
static int
give_back(struct kvm_cpu *cpu, uint64_t bits)
{
	struct kvm_debugregs d;
	int error;

	error = kvm_ioctl(cpu->fd, KVM_GET_DEBUGREGS, &d);
	if (error < 0)
		return (error);
	d.dr6 |= bits;
	d.flags = 0;
	error = kvm_ioctl(cpu->fd, KVM_SET_DEBUGREGS, &d);
	return (error < 0 ? error : tell(cpu, KVM_GUESTDBG_INJECT_DB));
}

bool
kvm_debug_exit(struct kvm_cpu *cpu, struct vm_exit *exit)
{
	const struct kvm_debug_exit_arch *e = &cpu->run->debug.arch;
	uint64_t hits = e->dr6 & 0xf, guests = 0;

	if (e->exception == EXC_BP) {
		exit->exitcode = VM_EXITCODE_BPT;
		return (true);
	}
	exit->u.debug.step = cpu->debug.step && (e->dr6 & DR6_BS) != 0;
	if (!cpu->debug.step)
		guests = e->dr6 & DR6_BS;
	if (dr7(&cpu->debug) == 0) {
		guests |= hits;
		hits = 0;
	}
	exit->u.debug.hits = (uint8_t)hits;
	if (guests != 0 && give_back(cpu, guests) != 0)
		return (false);
	if (!exit->u.debug.step && hits == 0)
		return (false);
	exit->exitcode = VM_EXITCODE_DEBUG;
	return (true);
}
