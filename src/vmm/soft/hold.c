/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A debugger's hold on a vcpu (vcpu_set_debug()). It has breakpoints and steps
 * of its own beside the guest's debug registers and TF (debug.c), by the same
 * means: BF_STEP is set while there are any. A light file, see soft.h.
 */
#include "vmm/soft/soft.h"

#define NO_PASS (~0ull)

int
soft_set_debug(void *priv, unsigned id, const struct vm_debug *debug)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	cpu->hold = *debug;
	cpu->hold_on = debug->step;
	for (unsigned i = 0; i < VM_DEBUG_BPS; i++)
		if (debug->bp[i].kind != VM_BP_NONE)
			cpu->hold_on = true;
	cpu->hold_stepped = false;
	cpu->hold_hits = 0;
	cpu->hold_pass = debug->pass ? cpu->rip : NO_PASS;
	soft_update_mode(cpu);
	return (0);
}

void
soft_hold_watch(struct soft_cpu *cpu, uint64_t va, unsigned len, bool write)
{
	for (unsigned i = 0; i < VM_DEBUG_BPS; i++) {
		enum vm_bp_kind kind = cpu->hold.bp[i].kind;
		uint64_t at = cpu->hold.bp[i].addr;

		if ((kind == VM_BP_ACCESS || (kind == VM_BP_WRITE && write)) &&
		    (at - va < len || va - at < cpu->hold.bp[i].len))
			cpu->hold_hits |= (uint8_t)(1u << i);
	}
}

static bool
leave(struct soft_cpu *cpu, struct vm_exit *exit)
{
	exit->exitcode = VM_EXITCODE_DEBUG;
	exit->u.debug.step = cpu->hold_stepped;
	exit->u.debug.hits = cpu->hold_hits;
	cpu->hold_stepped = false;
	cpu->hold_hits = 0;
	return (true);
}

bool
soft_hold_before(struct soft_cpu *cpu, struct vm_exit *exit)
{
	uint64_t lin = cpu->rip;

	if (!(cpu->flags & BF_CODE64))
		lin = (uint32_t)(lin + cpu->seg[VM_SEG_CS].base);
	for (unsigned i = 0; i < VM_DEBUG_BPS; i++)
		if (cpu->hold.bp[i].kind == VM_BP_EXEC &&
		    cpu->hold.bp[i].addr == lin)
			cpu->hold_hits |= (uint8_t)(1u << i);
	if (cpu->hold_hits != 0)
		return (leave(cpu, exit));
	cpu->hold_stepped = cpu->hold.step;
	return (false);
}

bool
soft_hold_after(struct soft_cpu *cpu, struct vm_exit *exit)
{
	return ((cpu->hold_stepped || cpu->hold_hits != 0) &&
	    leave(cpu, exit));
}

void
soft_hold_int3(struct soft_cpu *cpu)
{
	soft_sync_rip(cpu);
	if (cpu->hold_pass == cpu->rip) {
		cpu->hold_pass = NO_PASS;
		return;
	}
	soft_fpu_leave(cpu);
	cpu->hold_stepped = false;
	cpu->exit->exitcode = VM_EXITCODE_BPT;
	cpu->exit_now = true;
	soft_unwind(cpu);
}
