/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soft engine as libvmm sees it: creation, the vcpu's main loop,
 * registers, events.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "gmem/gmem.h"
#include "vmm/engine.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/mirror.h"
#include "vmm/soft/one.h"
#include "vmm/soft/signal.h"
#include "vmm/soft/state.h"

/* ---- life ---- */

static const void *
thunk(void (*fn)(void))
{
	return ((const void *)(uintptr_t)fn);
}

/* What RESET and INIT have in common (SDM volume 3, table 10-1). */
static void
reset_core(struct soft_cpu *cpu)
{
	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->gpr[R_DX] = 0x600;
	cpu->rip = 0xfff0;
	soft_set_rflags(cpu, 2);
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr6 = 0xffff0ff0;
	cpu->dr7 = 0x400;
	for (unsigned i = 0; i < VM_SEG_MAX; i++)
		cpu->seg[i] =
		    (struct vm_seg){ .limit = 0xffff, .access = 0x93 };
	cpu->seg[VM_SEG_CS].sel = 0xf000;
	cpu->seg[VM_SEG_CS].base = 0xffff0000;
	cpu->seg[VM_SEG_CS].access = 0x9b;
	cpu->seg[VM_SEG_LDTR].access = 0x82;
	cpu->seg[VM_SEG_TR].access = 0x8b;
	cpu->cpl = 0;
	memset(&cpu->exc, 0, sizeof(cpu->exc));
	cpu->delivering = -1;
	cpu->nmi_blocked = cpu->halted = cpu->shadow = false;
	cpu->irq_waiting = cpu->tf_step = cpu->shadow_ss = false;
	cpu->db_hits = 0;
	cpu->debugctl = 0;
	cpu->msr_wait = 0;
	cpu->host_ret = 0;
	/* Application processors wait for a SIPI (SDM volume 3, 9.4). */
	cpu->wait_sipi = cpu->id != 0;
	cpu->want_world = false;
}

void
soft_reset_cpu(struct soft_cpu *cpu)
{
	reset_core(cpu);
	cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
	cpu->xcr0 = 1;
	cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = 0;
	cpu->kernel_gs_base = cpu->tsc_aux = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	atomic_store(&cpu->irq_req, 0);
	atomic_store(&cpu->kick_req, 0);
	atomic_store(&cpu->init_req, 0);
	atomic_store(&cpu->sipi_req, 0);
	atomic_store(&cpu->a20_req, 0);
	soft_fpu_init(cpu);
	vmm_msrs_reset(&cpu->msrs);
	vtimer_arm(&cpu->lapic_timer, VCLOCK_NEVER);
	lapic_reset(&cpu->lapic,
	    cpuid_apicid(&cpu->vm->cpuid.topology, cpu->id), cpu->id == 0,
	    cpu->vm->x2apic);
	cpu->lapic.tsc_khz = cpu->vm->cpuid.tsc_khz;
	soft_tlb_flush(cpu, true);
	soft_update_mode(cpu);
}

void
soft_init_cpu(struct soft_cpu *cpu)
{
	/* FPU state, XCR0, MSRs and the bits CD and NW stay. */
	reset_core(cpu);
	cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	soft_lock(&cpu->lapic_lock);
	lapic_init_ipi(&cpu->lapic);
	soft_unlock(&cpu->lapic_lock);
	vtimer_arm(&cpu->lapic_timer, VCLOCK_NEVER);
	soft_tlb_flush(cpu, true);
	soft_update_mode(cpu);
}

static struct soft_cpu *
cpu_create(struct soft_vm *vm, unsigned id)
{
	static void (*const thunks[2][NTHUNKS])(void) = { {
		[THUNK_MEM] = soft_thunk_mem,
		[THUNK_WRITEBACK] = soft_thunk_writeback,
		[THUNK_HELPER] = soft_thunk_helper,
		[THUNK_HELPER_END] = soft_thunk_helper_end,
		[THUNK_LINK] = soft_thunk_link,
		[THUNK_EXIT] = soft_thunk_exit,
		[THUNK_FPU] = soft_thunk_fpu,
		[THUNK_MEM_FPU] = soft_thunk_mem_fpu,
		[THUNK_WRITEBACK_FPU] = soft_thunk_writeback_fpu,
		[THUNK_HELPER_FPU] = soft_thunk_helper_fpu,
		[THUNK_MISS] = soft_thunk_miss,
	}, { /* with the time */
		[THUNK_MEM] = soft_timed_thunk_mem,
		[THUNK_WRITEBACK] = soft_timed_thunk_writeback,
		[THUNK_HELPER] = soft_timed_thunk_helper,
		[THUNK_HELPER_END] = soft_timed_thunk_helper_end,
		[THUNK_LINK] = soft_timed_thunk_link,
		[THUNK_EXIT] = soft_thunk_exit,
		[THUNK_FPU] = soft_timed_thunk_fpu,
		[THUNK_MEM_FPU] = soft_timed_thunk_mem_fpu,
		[THUNK_WRITEBACK_FPU] = soft_timed_thunk_writeback_fpu,
		[THUNK_HELPER_FPU] = soft_timed_thunk_helper_fpu,
		[THUNK_MISS] = soft_timed_thunk_miss,
	} };
	struct soft_cpu *cpu;

	cpu = mmap(NULL, CPU_MAPPING_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (cpu == MAP_FAILED)
		return (NULL);
	(void)madvise(cpu, CPU_MAPPING_SIZE, MADV_HUGEPAGE);
	cpu->vm = vm;
	cpu->vcpu = vm_vcpu(vm->vm, id);
	cpu->id = id;
	for (unsigned i = 0; i < NTHUNKS; i++)
		cpu->thunks[i] = thunk(thunks[vm->timed][i]);
	cpu->xsave_mask = vm->cpuid.xcr0;
	atomic_flag_clear(&cpu->lapic_lock);
	vtimer_init(&cpu->lapic_timer, vm->vclock, soft_lapic_timer, cpu);
	soft_tlb_init(cpu);
	return (cpu);
}

static bool
host_fits(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_BMI2))
		return (false);
	return (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE));
}

/* Is LOOP fast here? AMD's is like any other branch; Intel's takes seven
 * micro-operations, jrcxz two. */
static bool
fast_loop(void)
{
	unsigned a, b, c, d;

	return (__get_cpuid(0, &a, &b, &c, &d) &&
	    (b == signature_AMD_ebx || b == 0x6f677948 /* Hygon */));
}

static void
gmem_changed(void *arg, uint64_t gpa, uint64_t len)
{
	soft_invalidate(arg, gpa, len);
}

static void soft_destroy(void *priv);

static int
soft_create(struct vm *v, const struct vm_config *cfg, void **priv)
{
	const struct cpuid_topology topo = vm_topology(cfg);
	struct cpuid_dynamic dyn = { 0 };
	struct soft_vm *vm;
	uint32_t leaf[4];
	int error;

	if (!host_fits())
		return (vm_fail(cfg, -ENODEV,
		    "the soft engine needs a processor with BMI2 and XSAVE "
		    "(x86-64-v3)"));
	vm = calloc(1, sizeof(*vm));
	if (vm == NULL)
		return (-ENOMEM);
	vm->vm = v;
	vm->gmem = cfg->gmem;
	vm->ram = gmem_base(cfg->gmem);
	if (gmem_dirty_logged(cfg->gmem))
		vm->dirty = gmem_dirty_bits(cfg->gmem);
	vm->lowmem = gmem_lowmem(cfg->gmem);
	vm->highmem = gmem_highmem(cfg->gmem);
	vm->rom = GMEM_HIGHMEM_BASE - gmem_rom(cfg->gmem);
	vm->vclock = cfg->vclock;
	vm->ops = cfg->ops;
	vm->ops_arg = cfg->ops_arg;
	vm->no_link = cfg->soft_no_link;
	vm->no_tlb = cfg->soft_no_tlb;
	vm->off = cfg->soft_off;
	vm->by_loop = fast_loop() != ((vm->off & SOFT_OFF_LOOP) != 0);
	vm->timed = cfg->stats;
	vm->start_ns = vclock_now(vm->vclock);
	vm->start_tsc = __builtin_ia32_rdtsc();
	vm->one_insn = cfg->soft_one_insn;
	vm->mirror = vm->no_tlb ? SOFT_MIRROR_OFF : cfg->soft_mirror;
	vm->x2apic = cfg->x2apic;
	atomic_store(&vm->suspend, VM_SUSPEND_NONE);
	atomic_store(&vm->phys_mask, ~0ull);
	error = cpuid_policy_choose(
	    &vm->cpuid, &topo, NULL, cfg->cpu, cfg->err);
	if (error != 0)
		goto fail;
	cpuid_query(&vm->cpuid, &dyn, 0, 0, leaf);
	vm->intel = leaf[1] == signature_INTEL_ebx;
	vm->mxcsr_mask = soft_mxcsr_mask();
	tr_isa_init(vm);
	error = soft_cache_create(vm);
	if (error != 0)
		goto fail;
	error = soft_jc_create(vm,
	    thunk(vm->timed ? soft_timed_thunk_miss : soft_thunk_miss));
	if (error != 0)
		goto fail;
	vm->cpus = calloc(cfg->ncpus, sizeof(*vm->cpus));
	error = -ENOMEM;
	if (vm->cpus == NULL)
		goto fail;
	for (unsigned i = 0; i < cfg->ncpus; i++) {
		vm->cpus[i] = cpu_create(vm, i);
		if (vm->cpus[i] == NULL)
			goto fail;
		vm->ncpus++;
		soft_reset_cpu(vm->cpus[i]);
	}
	gmem_set_observer(vm->gmem, gmem_changed, vm);
	soft_signal_init();
	*priv = vm;
	return (0);
fail:
	soft_destroy(vm);
	return (error);
}

static void
soft_destroy(void *priv)
{
	struct soft_vm *vm = priv;

	gmem_set_observer(vm->gmem, NULL, NULL);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		vtimer_cancel(&vm->cpus[i]->lapic_timer);
		soft_mirror_fini(vm->cpus[i]);
		munmap(vm->cpus[i], CPU_MAPPING_SIZE);
	}
	free(vm->cpus);
	soft_cache_destroy(vm);
	soft_jc_destroy(vm);
	free(vm);
}

static int
soft_reset(void *priv)
{
	struct soft_vm *vm = priv;

	atomic_store(&vm->suspend, VM_SUSPEND_NONE);
	atomic_store(&vm->phys_mask, ~0ull);
	for (unsigned i = 0; i < vm->ncpus; i++)
		soft_reset_cpu(vm->cpus[i]);
	return (0);
}

/* ---- events ---- */

static bool
something_to_do(struct soft_cpu *cpu)
{
	return (atomic_load(&cpu->irq_req) || atomic_load(&cpu->kick_req) ||
	    atomic_load(&cpu->init_req) || atomic_load(&cpu->sipi_req) ||
	    atomic_load(&cpu->a20_req) || atomic_load(&cpu->flush_req) ||
	    atomic_load(&cpu->vm->suspend) != VM_SUSPEND_NONE);
}

/*
 * `dead`: only another vcpu can wake this one. When that is true of all,
 * nothing ever will: bhyve's halt detection.
 */
static void
sleep_for_event(struct soft_cpu *cpu, bool dead)
{
	struct soft_vm *vm = cpu->vm;
	bool all;
	uint32_t w;

	if (dead) {
		all = atomic_fetch_add(&vm->ndead, 1) + 1 == vm->ncpus;
		for (unsigned i = 0; i < vm->ncpus; i++)
			all = all && !something_to_do(vm->cpus[i]);
		if (all)
			vm_suspend(vm->vm, VM_SUSPEND_HALT);
	}
	/* Pairs with soft_request(). */
	atomic_store(&cpu->sleeping, 1);
	for (;;) {
		w = atomic_load(&cpu->wake);
		if (something_to_do(cpu))
			break;
		syscall(SYS_futex, &cpu->wake, FUTEX_WAIT_PRIVATE, w, NULL,
		    NULL, 0);
	}
	atomic_store(&cpu->sleeping, 0);
	if (dead)
		atomic_fetch_sub(&vm->ndead, 1);
}

static bool
is_dead(struct soft_cpu *cpu)
{
	return (cpu->wait_sipi ||
	    (!(cpu->rflags & FL_IF) && !cpu->lapic.nmi_pending));
}

/*
 * Looks at NMI and interrupts. Returns true if one was delivered. Leaves
 * irq_waiting set if there is one that IF holds back.
 */
static bool
take_interrupt(struct soft_cpu *cpu)
{
	int v;

	atomic_store(&cpu->irq_req, 0);
	soft_lock(&cpu->lapic_lock);
	if (cpu->lapic.nmi_pending && !cpu->nmi_blocked) {
		cpu->lapic.nmi_pending = 0;
		soft_unlock(&cpu->lapic_lock);
		cpu->nmi_blocked = true;
		cpu->halted = false;
		soft_interrupt(
		    cpu, EXC_NMI, false, false, 0, true, cpu->rip);
		return (true);
	}
	(void)lapic_lint(&cpu->lapic, 0, atomic_load(&cpu->vm->extint));
	v = lapic_pending(&cpu->lapic);
	cpu->irq_waiting = v >= 0;
	soft_trace(cpu, TRACE_intr, "pending %d if %d", v,
	    (cpu->rflags & FL_IF) != 0);
	if (v < 0 || !(cpu->rflags & FL_IF)) {
		soft_unlock(&cpu->lapic_lock);
		return (false);
	}
	if (v != LAPIC_EXTINT)
		lapic_take(&cpu->lapic, (uint8_t)v,
		    vclock_now(cpu->vm->vclock));
	soft_unlock(&cpu->lapic_lock);
	if (v == LAPIC_EXTINT) {
		soft_fpu_leave(cpu);
		v = cpu->vm->ops->intr_ack != NULL ?
		    cpu->vm->ops->intr_ack(cpu->vm->ops_arg) :
		    -1;
		if (v < 0)
			return (false);
	}
	cpu->halted = false;
	cpu->stat.interrupts++;
	if (cpu->cpl == 3)
		soft_mirror_tick(cpu);
	soft_trace(cpu, TRACE_intr, "interrupt %d at rip %lx", v, cpu->rip);
	soft_interrupt(
	    cpu, (unsigned)v, false, false, 0, true, cpu->rip);
	/* There may be another one behind it. */
	atomic_store(&cpu->irq_req, 1);
	return (true);
}

/* HLT. True: go on in the guest; false: leave with *exit. */
static bool
halt(struct soft_cpu *cpu, struct vm_exit *exit)
{
	if (cpu->vm->ncpus == 1 && is_dead(cpu)) {
		/* Nothing will ever wake it: bhyve's halt detection. */
		vm_suspend(cpu->vm->vm, VM_SUSPEND_HALT);
		return (true);
	}
	if (cpu->halt_exit && !cpu->wait_sipi) {
		exit->exitcode = VM_EXITCODE_HLT;
		exit->u.hlt.rflags = soft_get_rflags(cpu);
		return (false);
	}
	soft_fpu_leave(cpu);
	soft_run_end(cpu);
	(void)soft_clock(cpu, TIME_WAIT);
	sleep_for_event(cpu, is_dead(cpu));
	(void)soft_clock(cpu, TIME_EVENT);
	soft_run_begin(cpu);
	return (true);
}

/* INIT, and what an application processor does until it is started. Returns
 * true if the vcpu waits. */
static bool
take_init(struct soft_cpu *cpu)
{
	uint32_t init, sipi;

	/* Both at once: a SIPI belongs to the INIT before it. */
	soft_lock(&cpu->lapic_lock);
	init = atomic_exchange(&cpu->init_req, 0);
	sipi = atomic_exchange(&cpu->sipi_req, 0);
	soft_unlock(&cpu->lapic_lock);
	if (init != 0) {
		soft_fpu_leave(cpu);
		soft_init_cpu(cpu);
	}
	/* A SIPI that comes to a processor at work is lost. */
	if (sipi != 0 && cpu->wait_sipi) {
		cpu->wait_sipi = false;
		cpu->rip = 0;
		cpu->seg[VM_SEG_CS].sel = (uint16_t)((sipi & 0xff) << 8);
		cpu->seg[VM_SEG_CS].base = (sipi & 0xff) << 12;
		soft_update_mode(cpu);
	}
	if (cpu->wait_sipi)
		atomic_store(&cpu->irq_req, 0);
	return (cpu->wait_sipi);
}

/* ---- the vcpu's loop ---- */

static void
rearm(struct soft_cpu *cpu)
{
	atomic_store(&cpu->poll, 0);
	atomic_store(&cpu->go, 1);
	soft_jc_use(cpu, true);
	/* A request between the two would be lost. */
	if (something_to_do(cpu) || atomic_load(&cpu->vm->world))
		soft_break(cpu);
}

static void
alone_end(struct soft_cpu *cpu)
{
	if (!cpu->owns_world)
		return;
	soft_update_mode(cpu);
	soft_world_go(cpu);
}

static void
one_step_end(struct soft_cpu *cpu)
{
	if (!cpu->one_step)
		return;
	cpu->one_step = false;
	soft_update_mode(cpu);
}

/* A locked access across pages: the instruction, with the world stopped. */
static bool
run_alone(struct soft_cpu *cpu)
{
	struct block *b;

	cpu->want_world = false;
	cpu->shadow = cpu->shadow_ss = false;
	cpu->rflags &= ~FL_RF;
	soft_fpu_leave(cpu);
	soft_world_stop(cpu);
	/* A block of one instruction. */
	cpu->flags = (cpu->flags | BF_STEP) & ~STACK_FLAGS;
	b = soft_find_block(cpu);
	if (b != NULL) {
		soft_debug_step(cpu, b->pc + b->len);
		(void)soft_clock(cpu, TIME_CODE);
		soft_enter(cpu, soft_block_entry(b));
	}
	alone_end(cpu);
	return (!cpu->exit_now);
}

/* One round: events, then translated code until it leaves. False: exit. */
static bool
one_round(struct soft_cpu *cpu, struct vm_exit *exit)
{
	struct block *b;
	int how;

	if (cpu->exit_now)
		return (false);
	if (atomic_load(&cpu->vm->world) != 0) {
		soft_fpu_leave(cpu);
		soft_run_end(cpu);
		soft_run_begin(cpu);
	}
	if (atomic_load_explicit(&cpu->a20_req, memory_order_relaxed) != 0) {
		atomic_store(&cpu->a20_req, 0);
		soft_tlb_flush(cpu, true);
	}
	soft_flush_asked(cpu);
	how = atomic_load(&cpu->vm->suspend);
	if (how != VM_SUSPEND_NONE) {
		exit->exitcode = VM_EXITCODE_SUSPENDED;
		exit->u.suspended.how = (enum vm_suspend_how)how;
		return (false);
	}
	if (atomic_exchange(&cpu->kick_req, 0)) {
		exit->exitcode = VM_EXITCODE_BOGUS;
		return (false);
	}
	if ((atomic_load(&cpu->init_req) || atomic_load(&cpu->sipi_req) ||
		cpu->wait_sipi) &&
	    take_init(cpu))
		return (halt(cpu, exit));
	if (cpu->want_world)
		return (run_alone(cpu));
	soft_debug_after(cpu);
	if (cpu->exc.pending) {
		soft_deliver_exception(cpu);
		return (true);
	}
	if (cpu->hold_on && soft_hold_after(cpu, exit))
		return (false);
	if (!cpu->shadow && (!cpu->hold.step || cpu->halted) &&
	    (atomic_load(&cpu->irq_req) ||
		(cpu->irq_waiting && (cpu->rflags & FL_IF))) &&
	    take_interrupt(cpu))
		return (true);
	if (cpu->halted)
		return (halt(cpu, exit));
	if (cpu->hold_on && soft_hold_before(cpu, exit))
		return (false);
	if ((cpu->flags & BF_STEP) && soft_debug_code(cpu))
		return (true);
	rearm(cpu);
	/* What waits behind a shadow comes after one instruction. */
	if (cpu->shadow && !(cpu->flags & BF_STEP) &&
	    (cpu->irq_waiting || atomic_load(&cpu->irq_req))) {
		cpu->one_step = true;
		cpu->flags = (cpu->flags | BF_STEP) & ~STACK_FLAGS;
	}
	cpu->shadow = cpu->shadow_ss = false;
	soft_stack_check(cpu);
	b = soft_find_block(cpu);
	if (b != NULL) {
		if (cpu->flags & BF_STEP)
			soft_debug_step(cpu, b->pc + b->len);
		cpu->rflags &= ~FL_RF; /* for one instruction only */
		(void)soft_clock(cpu, TIME_CODE);
		soft_enter(cpu, soft_block_entry(b));
	}
	one_step_end(cpu);
	return (!cpu->exit_now);
}

static int
soft_run(void *priv, unsigned id, struct vm_exit *exit)
{
	struct soft_vm *vm = priv;
	struct soft_cpu *cpu = vm->cpus[id];
	struct soft_signal sig;
	int error;

	memset(exit, 0, sizeof(*exit));
	error = soft_signal_enter(cpu, &sig);
	if (error != 0)
		return (error);
	cpu->exit = exit;
	cpu->exit_now = false;
	cpu->host_ret = 0;
	/* Exceptions raised by helpers and by delivery itself come back
	 * here, with the guest's state in *cpu. */
	soft_run_begin(cpu);
	if (_setjmp(cpu->unwind) != 0) {
		if (cpu->owns_code) {
			cpu->owns_code = false;
			soft_code_unlock(vm);
		}
		alone_end(cpu);
		one_step_end(cpu);
	}
	do
		(void)soft_clock(cpu, TIME_EVENT);
	while (one_round(cpu, exit));
	soft_fpu_leave(cpu);
	soft_run_end(cpu);
	cpu->host_ret = 0;
	exit->rip = cpu->rip;
	soft_signal_leave(&sig);
	return (0);
}

/* What soft_one() has left to do. False: nothing. */
static bool
rest_of_one(struct soft_cpu *cpu)
{
	struct block *b;

	if (cpu->exit_now ||
	    atomic_load(&cpu->vm->suspend) != VM_SUSPEND_NONE)
		return (false);
	if (cpu->want_world)
		return (run_alone(cpu));
	if (cpu->one_done)
		soft_debug_after(cpu);
	if (cpu->exc.pending) {
		soft_deliver_exception(cpu);
		return (true);
	}
	if (cpu->one_done)
		return (false);
	cpu->one_done = true;
	rearm(cpu);
	cpu->shadow = cpu->shadow_ss = false;
	cpu->flags = (cpu->flags | BF_STEP) & ~STACK_FLAGS;
	b = soft_find_block(cpu);
	if (b == NULL)
		return (!cpu->exit_now);
	soft_debug_step(cpu, b->pc + b->len);
	cpu->rflags &= ~FL_RF;
	soft_enter(cpu, soft_block_entry(b));
	return (true);
}

int
soft_one(void *priv, unsigned id)
{
	struct soft_vm *vm = priv;
	struct soft_cpu *cpu = vm->cpus[id];
	struct soft_signal sig;
	struct vm_exit exit;
	int error;

	memset(&exit, 0, sizeof(exit));
	error = soft_signal_enter(cpu, &sig);
	if (error != 0)
		return (error);
	cpu->exit = &exit;
	cpu->exit_now = cpu->one_done = cpu->halted = false;
	cpu->host_ret = 0;
	soft_run_begin(cpu);
	soft_flush_asked(cpu);
	if (_setjmp(cpu->unwind) != 0) {
		if (cpu->owns_code) {
			cpu->owns_code = false;
			soft_code_unlock(vm);
		}
		alone_end(cpu);
	}
	while (rest_of_one(cpu))
		;
	soft_fpu_leave(cpu);
	soft_run_end(cpu);
	cpu->host_ret = 0;
	soft_update_mode(cpu);
	soft_signal_leave(&sig);
	/* Nothing that leaves to the machine is executed this way. */
	return (cpu->exit_now ? -EOPNOTSUPP : 0);
}

static void
soft_kick(void *priv, unsigned id)
{
	struct soft_vm *vm = priv;

	atomic_store(&vm->cpus[id]->kick_req, 1);
	soft_request(vm->cpus[id]);
}

static void
soft_wait(void *priv, unsigned id)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	sleep_for_event(cpu, is_dead(cpu));
}

static void
soft_suspend(void *priv, enum vm_suspend_how how)
{
	struct soft_vm *vm = priv;

	atomic_store(&vm->suspend, how);
	for (unsigned i = 0; i < vm->ncpus; i++)
		soft_request(vm->cpus[i]);
}

const struct vmm_engine soft_engine = {
	.name = "soft",
	.create = soft_create,
	.destroy = soft_destroy,
	.reset = soft_reset,
	.run = soft_run,
	.kick = soft_kick,
	.wait = soft_wait,
	.get_reg = soft_get_reg,
	.set_reg = soft_set_reg,
	.get_seg = soft_get_seg,
	.set_seg = soft_set_seg,
	.get_xsave = soft_get_xsave,
	.set_xsave = soft_set_xsave,
	.get_msr = soft_get_msr,
	.set_msr = soft_set_msr,
	.set_apic = soft_set_apic,
	.inject_exception = soft_inject_exception,
	.complete_msr = soft_complete_msr,
	.set_cap = soft_set_cap,
	.set_debug = soft_set_debug,
	.msi = soft_msi,
	.extint = soft_extint,
	.nmi = soft_nmi,
	.set_a20 = soft_set_a20,
	.dirty_log = soft_dirty_log,
	.dirty_get = soft_dirty_get,
	.suspend = soft_suspend,
	.dump = soft_dump,
	.stats = soft_stats,
};
