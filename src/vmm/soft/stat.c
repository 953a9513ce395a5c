/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters, and where the time goes; docs/performance.md explains them.
 *
 * Time is taken only if the VM was created for it (vm_config.stats): then the
 * thunks of the vcpus are those of entry.S that call the functions here, and
 * the host's TSC is read at each change between kinds of work. The vcpu's
 * thread writes; who asks may see numbers that are a little old. A light
 * file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"
#include "vmm/soft/state.h"

static const char *const time_names[SOFT_TIMES] = {
	[TIME_CODE] = "soft_time_code",
	[TIME_TRANSLATE] = "soft_time_translate",
	[TIME_LOOKUP] = "soft_time_lookup",
	[TIME_MEMORY] = "soft_time_memory",
	[TIME_STRING] = "soft_time_string",
	[TIME_FPU] = "soft_time_fpu",
	[TIME_SYSCALL] = "soft_time_syscall",
	[TIME_PAGING] = "soft_time_paging",
	[TIME_IO] = "soft_time_io",
	[TIME_HELPER] = "soft_time_helper",
	[TIME_EVENT] = "soft_time_event",
	[TIME_WORLD] = "soft_time_world",
	[TIME_WAIT] = "soft_time_wait",
};

unsigned
soft_clock_start(struct soft_cpu *cpu, unsigned kind)
{
	uint64_t now = __builtin_ia32_rdtsc();
	unsigned old = cpu->time.kind;

	if (cpu->time.since != 0)
		cpu->time.spent[old] += now - cpu->time.since;
	cpu->time.since = now;
	cpu->time.kind = kind;
	return (old);
}

static unsigned
kind_of(soft_helper *fn)
{
	if (fn == soft_h_string)
		return (TIME_STRING);
	if (fn == soft_h_xsave || fn == soft_h_xrstor || fn == soft_h_fxsave ||
	    fn == soft_h_fxrstor || fn == soft_h_fenv)
		return (TIME_FPU);
	if (fn == soft_h_syscall || fn == soft_h_sysret ||
	    fn == soft_h_sysenter || fn == soft_h_sysexit ||
	    fn == soft_h_iret || fn == soft_h_int)
		return (TIME_SYSCALL);
	if (fn == soft_h_mov_to_cr || fn == soft_h_invlpg ||
	    fn == soft_h_invpcid)
		return (TIME_PAGING);
	if (fn == soft_h_in || fn == soft_h_out)
		return (TIME_IO);
	return (TIME_HELPER);
}

void
soft_timed_helper(
    struct soft_cpu *cpu, uint64_t t0, uint64_t t1, soft_helper *fn)
{
	soft_clock_start(cpu, kind_of(fn));
	cpu->stat.helpers++;
	fn(cpu, t0, t1);
	soft_clock_start(cpu, TIME_CODE);
}

void
soft_timed_mem(struct soft_cpu *cpu, uint64_t va, uint32_t what)
{
	soft_clock_start(cpu, TIME_MEMORY);
	soft_mem_slow(cpu, va, what);
	soft_clock_start(cpu, TIME_CODE);
}

void
soft_timed_writeback(struct soft_cpu *cpu, uint64_t va, uint32_t what)
{
	soft_clock_start(cpu, TIME_MEMORY);
	soft_writeback(cpu, va, what);
	soft_clock_start(cpu, TIME_CODE);
}

void
soft_timed_fpu_enter(struct soft_cpu *cpu)
{
	soft_clock_start(cpu, TIME_FPU);
	soft_fpu_enter(cpu);
	soft_clock_start(cpu, TIME_CODE);
}

const void *
soft_timed_lookup(struct soft_cpu *cpu)
{
	const void *code;

	soft_clock_start(cpu, TIME_LOOKUP);
	code = soft_lookup(cpu);
	soft_clock_start(cpu, TIME_CODE);
	return (code);
}

const void *
soft_timed_miss(struct soft_cpu *cpu)
{
	const void *code;

	soft_clock_start(cpu, TIME_LOOKUP);
	code = soft_miss(cpu);
	soft_clock_start(cpu, TIME_CODE);
	return (code);
}

const void *
soft_timed_link(struct soft_cpu *cpu, struct link *l)
{
	const void *code;

	soft_clock_start(cpu, TIME_LOOKUP);
	code = soft_link(cpu, l);
	soft_clock_start(cpu, TIME_CODE);
	return (code);
}

/* What the host's TSC counts in a millisecond, measured between the machine's
 * start and now; 0: not known yet. */
static uint64_t
ticks_per_ms(const struct soft_vm *vm)
{
	uint64_t ms = (vclock_now(vm->vclock) - vm->start_ns) / 1000000;
	uint64_t ticks = __builtin_ia32_rdtsc() - vm->start_tsc;

	return (ms == 0 ? 0 : ticks / ms);
}

static uint64_t
milliseconds(const struct soft_vm *vm, uint64_t tsc)
{
	uint64_t ticks = ticks_per_ms(vm);

	return (ticks == 0 ? 0 : tsc / ticks);
}

/* Guest bytes that all vcpus have translated for each millisecond of
 * translation. */
static uint64_t
translation_speed(const struct soft_vm *vm)
{
	uint64_t bytes = 0, spent = 0;

	for (unsigned i = 0; i < vm->ncpus; i++) {
		bytes += vm->cpus[i]->stat.bytes;
		spent += vm->cpus[i]->time.spent[TIME_TRANSLATE];
	}
	return (spent == 0 ? 0 : bytes * ticks_per_ms(vm) / spent);
}

unsigned
soft_stats(void *priv, unsigned id, struct vmm_stat *s, unsigned max)
{
	struct soft_vm *vm = priv;
	const struct soft_cpu *cpu = vm->cpus[id];
	bool first = id == 0; /* what is of the whole machine */
	const struct vmm_stat all[] = {
		{ "soft_blocks", cpu->stat.translated },
		{ "soft_insns", cpu->stat.insns },
		{ "soft_bytes", cpu->stat.bytes },
		{ "soft_evicted", first ? vm->evicted : 0 },
		{ "soft_evictions", first ? (uint64_t)vm->flushes : 0 },
		{ "soft_invalidated", first ? (uint64_t)vm->invalidated : 0 },
		{ "soft_late", cpu->stat.late },
		{ "soft_lookups", cpu->stat.lookups },
		{ "soft_jc2_hits", cpu->stat.jc2_hits },
		{ "soft_tlb_fills", cpu->stat.tlb_fills },
		{ "soft_tlb_flushes", cpu->stat.tlb_flushes },
		{ "soft_pcid_kept", cpu->stat.pcid_kept },
		{ "soft_slow_loads", cpu->stat.slow_loads },
		{ "soft_slow_stores", cpu->stat.slow_stores },
		{ "soft_helpers", cpu->stat.helpers },
		{ "soft_io", cpu->stat.io },
		{ "soft_exceptions", cpu->stat.exceptions },
		{ "soft_interrupts", cpu->stat.interrupts },
		{ "soft_fpu_saves", cpu->stat.fpu_saves },
		{ "soft_halts", cpu->stat.halts },
		{ "soft_worlds", cpu->stat.worlds },
	};
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]) && n < max; i++)
		s[n++] = all[i];
	for (unsigned i = 0; vm->timed && i < SOFT_TIMES && n < max; i++)
		s[n++] = (struct vmm_stat){ time_names[i],
			milliseconds(vm, cpu->time.spent[i]) };
	if (vm->timed && n < max)
		s[n++] = (struct vmm_stat){ "soft_translate_kb_s",
			first ? translation_speed(vm) : 0 };
	return (n);
}
