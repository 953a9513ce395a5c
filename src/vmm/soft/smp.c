/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several vcpus: the lock around the code cache, and stopping the world.
 *
 * A vcpu is "running" from when it enters soft_run() until it leaves it,
 * sleeps, or waits at the gate; only then may it be in translated code or
 * hold a host address of guest memory. Whoever needs that nobody does (to
 * take the write permission of a page from every TLB, to drop all code, to
 * run a locked access across two pages) asks for the world, which every
 * vcpu's loop notices like an interrupt.
 *
 * Order: the world, then the code lock, then a local APIC's lock. A vcpu
 * that waits for the world is not running, so that two may wait at once.
 * A light file, see soft.h.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/soft/soft.h"

static void
futex_wait(_Atomic uint32_t *f, uint32_t val)
{
	syscall(SYS_futex, f, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0);
}

static void
futex_wake(_Atomic uint32_t *f, int n)
{
	syscall(SYS_futex, f, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* ---- a mutex: 0 free, 1 taken, 2 taken and somebody may sleep ---- */

static void
mutex_lock(_Atomic uint32_t *m)
{
	uint32_t v = 0;

	if (atomic_compare_exchange_strong_explicit(m, &v, 1,
		memory_order_acquire, memory_order_relaxed))
		return;
	for (unsigned i = 0; i < 100 && v != 0; i++) {
		__builtin_ia32_pause();
		v = atomic_load_explicit(m, memory_order_relaxed);
	}
	while (atomic_exchange_explicit(m, 2, memory_order_acquire) != 0)
		futex_wait(m, 2);
}

static void
mutex_unlock(_Atomic uint32_t *m)
{
	if (atomic_exchange_explicit(m, 0, memory_order_release) == 2)
		futex_wake(m, 1);
}

void
soft_code_lock(struct soft_vm *vm)
{
	mutex_lock(&vm->code_lock);
}

void
soft_code_unlock(struct soft_vm *vm)
{
	mutex_unlock(&vm->code_lock);
}

void
soft_lock(atomic_flag *lock)
{
	unsigned n = 0;

	while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire))
		if (++n % 128 == 0)
			sched_yield(); /* the holder may not have a core */
		else
			__builtin_ia32_pause();
}

void
soft_unlock(atomic_flag *lock)
{
	atomic_flag_clear_explicit(lock, memory_order_release);
}

/* ---- the world ---- */

void
soft_run_begin(struct soft_cpu *cpu)
{
	struct soft_vm *vm = cpu->vm;

	for (;;) {
		/* Sequentially consistent: pairs with stop_others(). */
		atomic_store(&cpu->running, 1);
		if (atomic_load(&vm->world) == 0)
			return;
		soft_run_end(cpu);
		futex_wait(&vm->world, 1);
	}
}

void
soft_run_end(struct soft_cpu *cpu)
{
	atomic_store(&cpu->running, 0);
	if (atomic_load(&cpu->vm->world) != 0)
		futex_wake(&cpu->running, 1);
}

/* All but cpu, which may be NULL. */
static void
stop_others(struct soft_vm *vm, const struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->cpus[i] != cpu && atomic_load(&vm->cpus[i]->running))
			soft_break(vm->cpus[i]);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct soft_cpu *o = vm->cpus[i];

		if (o == cpu)
			continue;
		/* A block takes microseconds, unless its thread has lost its
		 * core. */
		for (unsigned n = 0; atomic_load(&o->running); n++)
			if (n < 1000)
				__builtin_ia32_pause();
			else
				futex_wait(&o->running, 1);
	}
}

void
soft_world_stop(struct soft_cpu *cpu)
{
	struct soft_vm *vm = cpu->vm;
	unsigned kind;

	if (vm->ncpus == 1 || cpu->owns_world)
		return;
	kind = soft_clock(cpu, TIME_WORLD);
	soft_run_end(cpu);
	mutex_lock(&vm->world_lock);
	atomic_store(&vm->world, 1);
	stop_others(vm, cpu);
	atomic_store(&cpu->running, 1);
	cpu->owns_world = true;
	/* The one before may have wanted it. Nobody who comes here has an
	 * address from the TLB. */
	soft_flush_asked(cpu);
	cpu->stat.worlds++;
	(void)soft_clock(cpu, kind);
}

void
soft_world_go(struct soft_cpu *cpu)
{
	struct soft_vm *vm = cpu->vm;

	if (!cpu->owns_world)
		return;
	cpu->owns_world = false;
	atomic_store(&vm->world, 0);
	futex_wake(&vm->world, INT_MAX);
	mutex_unlock(&vm->world_lock);
}

void
soft_world_stop_all(struct soft_vm *vm)
{
	mutex_lock(&vm->world_lock);
	atomic_store(&vm->world, 1);
	stop_others(vm, NULL);
}

void
soft_world_go_all(struct soft_vm *vm)
{
	atomic_store(&vm->world, 0);
	futex_wake(&vm->world, INT_MAX);
	mutex_unlock(&vm->world_lock);
}

void
soft_alone(struct soft_cpu *cpu)
{
	if (cpu->vm->ncpus == 1 || cpu->owns_world)
		return;
	soft_sync_rip(cpu);
	cpu->want_world = true;
	soft_unwind(cpu);
}
