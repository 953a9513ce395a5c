/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soft engine as libvmm sees it: registers, events from outside, dumps.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"
#include "vmm/soft/state.h"

/* ---- registers ---- */

static uint64_t *
plain_reg(struct soft_cpu *cpu, enum vm_reg reg)
{
	if (reg <= VM_REG_R15)
		return (&cpu->gpr[reg]);
	switch (reg) {
	case VM_REG_RIP:
		return (&cpu->rip);
	case VM_REG_CR2:
		return (&cpu->cr2);
	case VM_REG_XCR0:
		return (&cpu->xcr0);
	case VM_REG_DR0:
	case VM_REG_DR1:
	case VM_REG_DR2:
	case VM_REG_DR3:
		return (&cpu->dr[reg - VM_REG_DR0]);
	case VM_REG_DR6:
		return (&cpu->dr6);
	case VM_REG_DR7:
		return (&cpu->dr7);
	case VM_REG_CR0:
		return (&cpu->cr0);
	case VM_REG_CR3:
		return (&cpu->cr3);
	case VM_REG_CR4:
		return (&cpu->cr4);
	case VM_REG_EFER:
		return (&cpu->efer);
	default:
		return (NULL);
	}
}

/* RIP is known by the host's return address while an upcall is made from
 * translated code, which goes on there: soft_sync_rip() would forget it. */
static uint64_t
get_rip(struct soft_cpu *cpu)
{
	struct block *b = NULL;

	if (cpu->host_ret != 0)
		b = soft_block_at(cpu->vm, cpu->host_ret - 1);
	if (b == NULL)
		return (cpu->rip);
	return (b->pc + soft_insn_at(b, cpu->host_ret - 1)->guest);
}

int
soft_get_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t *val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];
	uint64_t *p = plain_reg(cpu, reg);

	if (reg == VM_REG_RIP)
		*val = get_rip(cpu);
	else if (p != NULL)
		*val = *p;
	else if (reg == VM_REG_RFLAGS)
		*val = soft_get_rflags(cpu);
	else if (reg == VM_REG_CR8)
		*val = lapic_get_cr8(&cpu->lapic);
	else if (reg == VM_REG_INTR_SHADOW)
		*val = cpu->shadow;
	else
		return (-EINVAL);
	return (0);
}

/* Registers are set raw: who restores a machine sets them in any order. */
int
soft_set_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];
	uint64_t *p = plain_reg(cpu, reg);

	if (p != NULL)
		*p = val;
	else if (reg == VM_REG_RFLAGS)
		soft_set_rflags(cpu, val);
	else if (reg == VM_REG_CR8)
		lapic_set_cr8(&cpu->lapic, val);
	else if (reg == VM_REG_INTR_SHADOW)
		cpu->shadow = val != 0;
	else
		return (-EINVAL);
	if (reg == VM_REG_RIP)
		cpu->halted = false;
	if (reg == VM_REG_CR0 || reg == VM_REG_CR3 || reg == VM_REG_CR4 ||
	    reg == VM_REG_EFER) {
		/* LMA is what PG and LME make it. */
		if ((cpu->cr0 & CR0_PG) && (cpu->efer & EFER_LME))
			cpu->efer |= EFER_LMA;
		else
			cpu->efer &= ~EFER_LMA;
		(void)soft_load_pdptes(
		    cpu, cpu->cr0, cpu->cr3, cpu->cr4, false);
		soft_tlb_flush(cpu, true);
	}
	soft_update_mode(cpu);
	return (0);
}

int
soft_get_seg(void *priv, unsigned id, enum vm_segreg seg, struct vm_seg *val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (seg >= VM_SEG_MAX)
		return (-EINVAL);
	*val = cpu->seg[seg];
	return (0);
}

int
soft_set_seg(
    void *priv, unsigned id, enum vm_segreg seg, const struct vm_seg *val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (seg >= VM_SEG_MAX)
		return (-EINVAL);
	cpu->seg[seg] = *val;
	/* The level is that of SS (SDM volume 3, 24.4.1 keeps it there). */
	if (seg == VM_SEG_SS)
		cpu->cpl = VM_SEG_DPL(val->access);
	soft_update_mode(cpu);
	return (0);
}

int
soft_get_xsave(void *priv, unsigned id, void *buf, uint32_t *len)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (*len < sizeof(cpu->xsave))
		return (-ENOSPC);
	soft_fpu_leave(cpu);
	memcpy(buf, cpu->xsave, sizeof(cpu->xsave));
	/* FOP, FIP and FDP are the host's. */
	memset((uint8_t *)buf + 6, 0, 18);
	*len = sizeof(cpu->xsave);
	return (0);
}

int
soft_set_xsave(void *priv, unsigned id, const void *buf, uint32_t len)
{
	struct soft_vm *vm = priv;
	struct soft_cpu *cpu = vm->cpus[id];
	uint64_t bv;
	uint32_t mxcsr;

	if (len < 576 || len > sizeof(cpu->xsave))
		return (-EINVAL);
	memcpy(&bv, (const uint8_t *)buf + 512, 8);
	memcpy(&mxcsr, (const uint8_t *)buf + 24, 4);
	/* XRSTOR must not fault on it later. */
	if ((bv & ~cpu->xsave_mask) || (mxcsr & ~vm->mxcsr_mask))
		return (-EINVAL);
	soft_fpu_leave(cpu);
	memset(cpu->xsave, 0, sizeof(cpu->xsave));
	memcpy(cpu->xsave, buf, len);
	memset(cpu->xsave + 520, 0, 56);
	return (0);
}

int
soft_get_msr(void *priv, unsigned id, uint32_t msr, uint64_t *val)
{
	return (
	    soft_msr_read(((struct soft_vm *)priv)->cpus[id], msr, val));
}

int
soft_set_msr(void *priv, unsigned id, uint32_t msr, uint64_t val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];
	int error = soft_msr_write(cpu, msr, val);

	soft_update_mode(cpu);
	return (error);
}

int
soft_set_apic(void *priv, unsigned id, unsigned offset, uint32_t val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if ((offset & 0xf) != 0 || offset > 0xff0)
		return (-EINVAL);
	if (!lapic_enabled(&cpu->lapic))
		return (-ENODEV);
	if (lapic_is_x2apic(&cpu->lapic))
		return (soft_msr_write(cpu, 0x800 + (offset >> 4), val));
	soft_lapic_mmio_write(cpu, offset, val);
	return (0);
}

/* ---- injection ---- */

int
soft_inject_exception(void *priv, unsigned id, uint8_t vector, bool has_error,
    uint32_t error)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (cpu->exc.pending)
		return (-EBUSY);
	cpu->exc.pending = true;
	cpu->exc.vector = vector;
	cpu->exc.has_error = has_error;
	cpu->exc.error = error;
	cpu->exc.cr2 = cpu->cr2;
	return (0);
}

int
soft_complete_msr(void *priv, unsigned id, bool gp, uint64_t val)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (cpu->msr_wait == 0)
		return (-EINVAL);
	if (gp)
		soft_inject_exception(priv, id, EXC_GP, true, 0);
	else {
		if (cpu->msr_wait == 1) {
			cpu->gpr[R_AX] = (uint32_t)val;
			cpu->gpr[R_DX] = val >> 32;
		}
		cpu->rip = cpu->msr_next;
	}
	cpu->msr_wait = 0;
	return (0);
}

int
soft_set_cap(void *priv, unsigned id, enum vm_cap cap, bool on)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	if (cap == VM_CAP_HALT_EXIT)
		cpu->halt_exit = on;
	else if (cap == VM_CAP_PAUSE_EXIT)
		cpu->pause_exit = on;
	else
		return (-EINVAL);
	return (0);
}

int
soft_msi(void *priv, uint64_t addr, uint32_t data)
{
	struct soft_vm *vm = priv;
	uint32_t dest = (uint32_t)(addr >> 12) & 0xff;
	bool logical = (addr & 4) != 0, level = (data >> 15) & 1;
	unsigned mode = (data >> 8) & 7, first;

	/* SDM volume 3, 10.11: 0xfee in 31:20. */
	if ((addr & ~0xfffffull) != 0xfee00000)
		return (-EINVAL);
	first = mode == 1 ? atomic_fetch_add(&vm->turn, 1) : 0;
	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct soft_cpu *cpu = vm->cpus[(first + i) % vm->ncpus];

		if (!lapic_matches(&cpu->lapic, dest, logical))
			continue;
		if (mode == 7) { /* ExtINT: the PIC has the vector */
			soft_request(cpu);
			continue;
		}
		soft_lock(&cpu->lapic_lock);
		if (mode == 4)
			cpu->lapic.nmi_pending = 1;
		else if (mode <= 1) /* no SMI; INIT is the processors' own */
			lapic_accept(&cpu->lapic, (uint8_t)data, level);
		soft_unlock(&cpu->lapic_lock);
		soft_request(cpu);
		if (mode == 1)
			break;
	}
	return (0);
}

void
soft_extint(void *priv, bool level)
{
	struct soft_vm *vm = priv;

	atomic_store(&vm->extint, level);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct soft_cpu *cpu = vm->cpus[i];
		bool check;

		/* Each edge counts, if LINT0 is in Fixed mode. */
		soft_lock(&cpu->lapic_lock);
		check = lapic_lint(&cpu->lapic, 0, level);
		soft_unlock(&cpu->lapic_lock);
		if (level || check)
			soft_request(cpu);
	}
}

void
soft_nmi(void *priv, unsigned id)
{
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	soft_lock(&cpu->lapic_lock);
	cpu->lapic.nmi_pending = 1;
	soft_unlock(&cpu->lapic_lock);
	soft_request(cpu);
}

void
soft_set_a20(void *priv, bool open)
{
	struct soft_vm *vm = priv;
	uint64_t mask = open ? ~0ull : ~(1ull << 20);

	if (atomic_exchange(&vm->phys_mask, mask) == mask)
		return;
	/* Blocks are found by physical addresses: TLBs are all that is stale,
	 * and who runs code that is no longer there leaves it. */
	for (unsigned i = 0; i < vm->ncpus; i++) {
		atomic_store(&vm->cpus[i]->a20_req, 1);
		soft_request(vm->cpus[i]);
	}
}

void
soft_dump(void *priv, unsigned id, FILE *out)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx",
		"rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		"r13", "r14", "r15" };
	static const char *const segs[] = { "es", "cs", "ss", "ds", "fs", "gs",
		"ldtr", "tr", "gdtr", "idtr" };
	struct soft_cpu *cpu = ((struct soft_vm *)priv)->cpus[id];

	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "%-4s 0x%016lx%s", names[i], cpu->gpr[i],
		    i % 4 == 3 ? "\n" : "  ");
	fprintf(out, "rip  0x%016lx  rflags 0x%lx  cpl %u\n", cpu->rip,
	    soft_get_rflags(cpu), cpu->cpl);
	fprintf(out,
	    "cr0  0x%lx  cr2 0x%lx  cr3 0x%lx  cr4 0x%lx  efer 0x%lx\n",
	    cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer);
	for (unsigned i = 0; i < VM_SEG_MAX; i++)
		fprintf(out, "%-4s sel 0x%04x base 0x%016lx limit 0x%08x "
			     "access 0x%05x\n",
		    segs[i], cpu->seg[i].sel, cpu->seg[i].base,
		    cpu->seg[i].limit, cpu->seg[i].access);
	fprintf(out,
	    "blocks %lu  insns %lu  lookups %lu  tlb fills %lu flushes %lu  "
	    "slow loads %lu stores %lu  io %lu\n"
	    "exceptions %lu  interrupts %lu  invalidated %lu  fpu saves %lu  "
	    "cache flushes %lu  halts %lu  worlds stopped %lu\n"
	    "mirror faults %lu  maps %lu  drops %lu  late paths %lu\n",
	    cpu->stat.translated, cpu->stat.insns, cpu->stat.lookups,
	    cpu->stat.tlb_fills, cpu->stat.tlb_flushes, cpu->stat.slow_loads,
	    cpu->stat.slow_stores, cpu->stat.io, cpu->stat.exceptions,
	    cpu->stat.interrupts, (uint64_t)cpu->vm->invalidated,
	    cpu->stat.fpu_saves, (uint64_t)cpu->vm->flushes, cpu->stat.halts,
	    cpu->stat.worlds, cpu->stat.mirror_faults, cpu->stat.mirror_maps,
	    cpu->stat.mirror_drops, cpu->stat.late);
}
