/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's connections: to its timer, to other local APICs, to the
 * vcpu. The APIC itself is vmm/lapic.c. A light file, see soft.h.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/soft/soft.h"

/* Makes translated code leave at the next block, at the latest. */
void
soft_break(struct soft_cpu *cpu)
{
	/* Pairs with rearm(): poll first, then the jump caches. */
	atomic_store(&cpu->poll, 1);
	atomic_store(&cpu->go, 0);
	soft_jc_use(cpu, false);
}

/* Any thread: makes the vcpu look at what is asked of it. */
void
soft_request(struct soft_cpu *cpu)
{
	atomic_store(&cpu->irq_req, 1);
	soft_break(cpu);
	/* Either it sees what is asked before it sleeps, or we see that it
	 * may sleep: all are sequentially consistent. */
	if (!atomic_load(&cpu->sleeping))
		return;
	atomic_fetch_add(&cpu->wake, 1);
	syscall(SYS_futex, &cpu->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool
soft_is_lapic(struct soft_cpu *cpu, uint64_t gpa)
{
	return (lapic_enabled(&cpu->lapic) && !lapic_is_x2apic(&cpu->lapic) &&
	    ((gpa ^ cpu->lapic.apicbase) & 0x000ffffffffff000ull) == 0);
}

uint64_t
soft_lapic_mmio_read(struct soft_cpu *cpu, uint64_t gpa)
{
	uint64_t now = vclock_now(cpu->vm->vclock), v;

	soft_lock(&cpu->lapic_lock);
	v = lapic_mmio_read(&cpu->lapic, (uint32_t)(gpa & 0xfff), now);
	soft_unlock(&cpu->lapic_lock);
	return (v);
}

void
soft_lapic_mmio_write(struct soft_cpu *cpu, uint64_t gpa, uint32_t val)
{
	uint64_t now = vclock_now(cpu->vm->vclock);
	struct lapic_action act = { 0 };

	soft_lock(&cpu->lapic_lock);
	lapic_mmio_write(
	    &cpu->lapic, (uint32_t)(gpa & 0xfff), val, now, &act);
	soft_unlock(&cpu->lapic_lock);
	soft_lapic_do(cpu, &act);
}

static void
ipi_to(struct soft_cpu *to, const struct lapic_action *act)
{
	/* An INIT level de-assert does nothing in any APIC of this kind (SDM
	 * volume 3, 11.6.1). */
	if (act->ipi_mode == 5) {
		if (!act->ipi_assert && act->ipi_level)
			return;
		soft_lock(&to->lapic_lock);
		atomic_store(&to->sipi_req, 0);
		atomic_store(&to->init_req, 1);
		soft_unlock(&to->lapic_lock);
		soft_request(to);
		return;
	}
	if (act->ipi_mode == 6) {
		soft_lock(&to->lapic_lock);
		atomic_store(&to->sipi_req, act->ipi_vector | 0x100u);
		soft_unlock(&to->lapic_lock);
		soft_request(to);
		return;
	}
	soft_lock(&to->lapic_lock);
	switch (act->ipi_mode) {
	case 0: /* fixed */
	case 1: /* lowest priority */
		lapic_accept(&to->lapic, act->ipi_vector, false);
		break;
	case 4:
		to->lapic.nmi_pending = 1;
		break;
	default: /* SMI: there is no such mode; the rest is reserved */
		break;
	}
	soft_unlock(&to->lapic_lock);
	soft_request(to);
}

static void
ipi(struct soft_cpu *cpu, const struct lapic_action *act)
{
	struct soft_vm *vm = cpu->vm;

	unsigned first = 0;

	if (act->ipi_mode == 1) /* lowest priority: each in turn */
		first = atomic_fetch_add(&vm->turn, 1);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct soft_cpu *to = vm->cpus[(first + i) % vm->ncpus];
		bool hit;

		switch (act->ipi_shorthand) {
		case 1:
			hit = to == cpu;
			break;
		case 2:
			hit = true;
			break;
		case 3:
			hit = to != cpu;
			break;
		default:
			hit = lapic_matches(
			    &to->lapic, act->ipi_dest, act->ipi_logical);
			break;
		}
		if (!hit)
			continue;
		ipi_to(to, act);
		if (act->ipi_mode == 1)
			return;
	}
}

/* What a register access asked for; the FPU state is out. */
void
soft_lapic_do(struct soft_cpu *cpu, const struct lapic_action *act)
{
	if (act->timer)
		vtimer_arm(&cpu->lapic_timer, cpu->lapic.timer_deadline);
	if ((act->eoi_broadcast || act->eoi_edge) &&
	    cpu->vm->ops->eoi != NULL)
		cpu->vm->ops->eoi(cpu->vm->ops_arg, cpu->vcpu, act->vector,
		    act->eoi_broadcast);
	if (act->ipi)
		ipi(cpu, act);
	if (act->check)
		soft_request(cpu);
}

/* In the event loop's thread. */
void
soft_lapic_timer(void *arg)
{
	struct soft_cpu *cpu = arg;
	uint64_t now = vclock_now(cpu->vm->vclock), deadline;
	bool fired;

	soft_lock(&cpu->lapic_lock);
	fired = lapic_timer_expire(&cpu->lapic, now);
	deadline = cpu->lapic.timer_deadline;
	soft_unlock(&cpu->lapic_lock);
	if (deadline != UINT64_MAX)
		vtimer_arm(&cpu->lapic_timer, deadline);
	trace(TRACE_timer, "lapic timer at %lu: %s", now,
	    fired ? "fired" : "early");
	if (fired)
		soft_request(cpu);
}
