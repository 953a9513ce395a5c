/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual interrupts: CR4.VME in virtual-8086 mode and CR4.PVI in ring 3 of
 * protected mode, where VIF does what IF would do. Intel SDM volume 3, 20.3.2
 * to 20.4. A light file, see soft.h.
 */
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

/* The table's "IOPL < 3": IF is not the program's own. */
static bool
low_iopl(const struct soft_cpu *cpu)
{
	return ((cpu->rflags & FL_IOPL) != FL_IOPL);
}

bool
soft_vme(const struct soft_cpu *cpu)
{
	return ((cpu->rflags & FL_VM) && (cpu->cr4 & CR4_VME) &&
	    low_iopl(cpu));
}

bool
soft_virtual_if(const struct soft_cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || cpu->cpl != 3)
		return (false);
	if (cpu->rflags & FL_VM)
		return (soft_vme(cpu));
	return ((cpu->cr4 & CR4_PVI) && low_iopl(cpu));
}

uint16_t
soft_vme_flags(const struct soft_cpu *cpu)
{
	uint64_t fl = soft_get_rflags(cpu);

	fl = (fl & ~FL_IF) | FL_IOPL | (fl & FL_VIF ? FL_IF : 0);
	return ((uint16_t)fl);
}

void
soft_vme_check(struct soft_cpu *cpu, uint64_t fl)
{
	if ((fl & FL_TF) || ((fl & FL_IF) && (cpu->rflags & FL_VIP)))
		soft_raise_err(cpu, EXC_GP, 0);
}

void
soft_vme_set_flags(struct soft_cpu *cpu, uint64_t fl)
{
	uint64_t mask = soft_flags_mask(cpu, 2) & ~(FL_IF | FL_IOPL);

	soft_set_rflags(cpu,
	    (soft_get_rflags(cpu) & ~(mask | FL_VIF)) | (fl & mask) |
		(fl & FL_IF ? FL_VIF : 0));
}

void
soft_check_vip(struct soft_cpu *cpu)
{
	if ((cpu->rflags & (FL_VIF | FL_VIP)) == (FL_VIF | FL_VIP) &&
	    soft_virtual_if(cpu))
		soft_raise_err(cpu, EXC_GP, 0);
}

/* SDM 20.3.3: the redirection bitmap lies below the I/O bitmap. */
static bool
redirected(struct soft_cpu *cpu, unsigned vector)
{
	const struct vm_seg *tr = &cpu->seg[VM_SEG_TR];
	uint64_t map;

	if (tr->limit < 103 || !(tr->access & 8))
		soft_raise_err(cpu, EXC_GP, 0);
	map = soft_ld(cpu, tr->base + 102, 2, MMU_KERNEL);
	if (map < 32 || map - 32 + vector / 8 > tr->limit)
		soft_raise_err(cpu, EXC_GP, 0);
	map = soft_ld(cpu, tr->base + map - 32 + vector / 8, 1, MMU_KERNEL);
	return (!((map >> (vector & 7)) & 1));
}

bool
soft_v86_int(struct soft_cpu *cpu, unsigned vector, uint64_t next)
{
	struct soft_stack st = { .seg = cpu->seg[VM_SEG_SS] };
	bool vme = soft_vme(cpu);
	uint32_t entry;

	if (!(cpu->cr4 & CR4_VME) || !redirected(cpu, vector)) {
		if (low_iopl(cpu))
			soft_raise_err(cpu, EXC_GP, 0);
		return (false);
	}
	/* To the program's own handler, by the table at linear 0. */
	entry = (uint32_t)soft_ld(cpu, (uint64_t)vector * 4, 4, MMU_KERNEL);
	soft_stack_init(cpu, &st, cpu->gpr[R_SP], 3, 0);
	soft_push(cpu, &st, 2,
	    vme ? soft_vme_flags(cpu) : (uint16_t)soft_get_rflags(cpu));
	soft_push(cpu, &st, 2, cpu->seg[VM_SEG_CS].sel);
	soft_push(cpu, &st, 2, next);
	soft_sync_rip(cpu);
	cpu->gpr[R_SP] = st.sp;
	cpu->rflags &= ~(FL_TF | FL_RF | (vme ? FL_VIF : FL_IF));
	cpu->seg[VM_SEG_CS].sel = (uint16_t)(entry >> 16);
	cpu->seg[VM_SEG_CS].base = entry >> 16 << 4;
	cpu->rip = entry & 0xffff;
	cpu->tf_step = false;
	soft_update_mode(cpu);
	return (true);
}
