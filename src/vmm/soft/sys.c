/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions: control registers, MSRs, flags, ports. Intel SDM
 * volumes 2 and 3, the pages of the instructions. A light file, see soft.h.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"
#include "vmm/tsc.h"

void
soft_need_cpl0(struct soft_cpu *cpu)
{
	if (cpu->cpl != 0)
		soft_raise_err(cpu, EXC_GP, 0);
}

/* ---- CPUID, time ---- */

void
soft_h_cpuid(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	struct cpuid_dynamic dyn = { .apicid = cpu->lapic.id,
		.xcr0 = cpu->xcr0, .cr4 = cpu->cr4,
		.apic_enabled = lapic_enabled(&cpu->lapic) };
	uint32_t out[4];

	(void)t0;
	(void)t1;
	cpuid_query(&cpu->vm->cpuid, &dyn, (uint32_t)cpu->gpr[R_AX],
	    (uint32_t)cpu->gpr[R_CX], out);
	cpu->gpr[R_AX] = out[0];
	cpu->gpr[R_BX] = out[1];
	cpu->gpr[R_CX] = out[2];
	cpu->gpr[R_DX] = out[3];
}

uint64_t
soft_tsc(struct soft_cpu *cpu)
{
	soft_fpu_leave(cpu);
	return (tsc_from_ns(vclock_now(cpu->vm->vclock),
		    cpu->vm->cpuid.tsc_khz) +
	    cpu->tsc_offset);
}

static void
rdtsc(struct soft_cpu *cpu)
{
	uint64_t v;

	if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	v = soft_tsc(cpu);
	cpu->gpr[R_AX] = (uint32_t)v;
	cpu->gpr[R_DX] = v >> 32;
}

void
soft_h_rdtsc(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	(void)t0;
	(void)t1;
	rdtsc(cpu);
}

void
soft_h_rdtscp(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	(void)t0;
	(void)t1;
	rdtsc(cpu);
	cpu->gpr[R_CX] = (uint32_t)cpu->tsc_aux;
}

void
soft_h_rdpmc(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	uint32_t n = (uint32_t)cpu->gpr[R_CX];

	(void)t0;
	(void)t1;
	/* Intel's have no counters: CPUID leaf 0xa. AMD's always have four;
	 * they stand still (msr.c). */
	if ((cpu->cpl != 0 && !(cpu->cr4 & CR4_PCE)) || cpu->vm->intel ||
	    n > 3)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->gpr[R_AX] = cpu->gpr[R_DX] = 0;
}

void
soft_h_rdpid(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	(void)t1;
	cpu->gpr[t0 & 15] = (uint32_t)cpu->tsc_aux;
}

/* ---- control registers ---- */

static int
set_cr0(struct soft_cpu *cpu, uint64_t v)
{
	uint64_t old = cpu->cr0;
	bool lma;

	if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) ||
	    ((v & CR0_NW) && !(v & CR0_CD)))
		return (-EPERM);
	v |= CR0_ET;
	if ((v & CR0_PG) && !(old & CR0_PG) && (cpu->efer & EFER_LME)) {
		if (!(cpu->cr4 & CR4_PAE) ||
		    (cpu->seg[VM_SEG_CS].access & VM_SEG_L))
			return (-EPERM);
	}
	if (!(v & CR0_PG) && (cpu->cr4 & CR4_PCIDE))
		return (-EPERM);
	lma = (v & CR0_PG) && (cpu->efer & EFER_LME);
	if (!lma && (cpu->efer & EFER_LMA) && (cpu->flags & BF_CODE64))
		return (-EPERM);
	if (((old ^ v) & (CR0_PG | CR0_CD | CR0_NW)) &&
	    !soft_load_pdptes(cpu, v, cpu->cr3, cpu->cr4, true))
		return (-EPERM);
	cpu->cr0 = v;
	if (!(v & CR0_PE))
		cpu->cpl = 0;
	cpu->efer = (cpu->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
	if ((old ^ v) & (CR0_PG | CR0_WP | CR0_PE))
		soft_tlb_flush(cpu, true);
	return (0);
}

static int
set_cr4(struct soft_cpu *cpu, uint64_t v)
{
	uint64_t old = cpu->cr4;

	if ((v & ~cpu->vm->cpuid.cr4) ||
	    ((cpu->efer & EFER_LMA) &&
		(!(v & CR4_PAE) || ((old ^ v) & CR4_LA57))) ||
	    ((v & ~old & CR4_PCIDE) &&
		(!(cpu->efer & EFER_LMA) || (cpu->cr3 & 0xfff))) ||
	    (((old ^ v) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
		!soft_load_pdptes(cpu, cpu->cr0, cpu->cr3, v, true)))
		return (-EPERM);
	cpu->cr4 = v;
	if ((old ^ v) & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_LA57 | CR4_SMEP |
			    CR4_SMAP | CR4_PCIDE))
		soft_tlb_flush(cpu, true);
	return (0);
}

static int
set_cr3(struct soft_cpu *cpu, uint64_t v)
{
	bool lma = (cpu->efer & EFER_LMA) != 0, keep = false;
	uint64_t old;

	if (cpu->cr4 & CR4_PCIDE) {
		keep = v >> 63; /* what the new PCID has */
		v &= ~(1ull << 63);
	}
	if (lma && (v >> cpu->vm->cpuid.maxphyaddr) != 0)
		return (-EPERM);
	if (!soft_load_pdptes(cpu, cpu->cr0, v, cpu->cr4, true))
		return (-EPERM);
	old = cpu->cr3;
	cpu->cr3 = v;
	if ((cpu->cr4 & CR4_PCIDE) && ((v ^ old) & 0xfff))
		soft_tlb_switch(cpu, old & 0xfff, v & 0xfff, keep);
	else if (!keep)
		soft_tlb_flush(cpu, false);
	return (0);
}

int
soft_set_cr(struct soft_cpu *cpu, unsigned cr, uint64_t v)
{
	switch (cr) {
	case 0:
		return (set_cr0(cpu, v));
	case 2:
		cpu->cr2 = v;
		return (0);
	case 3:
		return (set_cr3(cpu, v));
	case 4:
		return (set_cr4(cpu, v));
	case 8:
		if (v > 15)
			return (-EPERM);
		soft_lock(&cpu->lapic_lock);
		lapic_set_cr8(&cpu->lapic, v);
		soft_unlock(&cpu->lapic_lock);
		soft_request(cpu);
		return (0);
	default:
		return (-ENOENT);
	}
}

/* T0: cr << 8 | register. */
void
soft_h_mov_to_cr(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint64_t v = cpu->gpr[t0 & 15];
	int error;

	soft_need_cpl0(cpu);
	if (!(cpu->flags & BF_CODE64))
		v = (uint32_t)v;
	error = soft_set_cr(cpu, (t0 >> 8) & 15, v);
	if (error == -ENOENT)
		soft_raise(cpu, EXC_UD);
	if (error != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->rip = next;
	soft_update_mode(cpu);
}

void
soft_h_mov_from_cr(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	uint64_t v;

	(void)t1;
	soft_need_cpl0(cpu);
	switch ((t0 >> 8) & 15) {
	case 0:
		v = cpu->cr0;
		break;
	case 2:
		v = cpu->cr2;
		break;
	case 3:
		v = cpu->cr3;
		break;
	case 4:
		v = cpu->cr4;
		break;
	case 8:
		v = lapic_get_cr8(&cpu->lapic);
		break;
	default:
		soft_raise(cpu, EXC_UD);
	}
	cpu->gpr[t0 & 15] = cpu->flags & BF_CODE64 ? v : (uint32_t)v;
}

void
soft_h_lmsw(struct soft_cpu *cpu, uint64_t v, uint64_t next)
{
	soft_need_cpl0(cpu);
	/* PE can be set, not cleared. */
	if (set_cr0(cpu, (cpu->cr0 & ~0xeull) | (v & 0xf)) != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->rip = next;
	soft_update_mode(cpu);
}

void
soft_h_clts(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	soft_need_cpl0(cpu);
	cpu->cr0 &= ~CR0_TS;
	cpu->rip = next;
	soft_update_mode(cpu);
}

void
soft_h_invlpg(struct soft_cpu *cpu, uint64_t addr, uint64_t next)
{
	soft_need_cpl0(cpu);
	if (soft_canonical(cpu, addr))
		soft_tlb_flush_page(cpu, addr);
	cpu->rip = next;
}

/* T0: address of the descriptor, T1: register with the type. */
void
soft_h_invpcid(struct soft_cpu *cpu, uint64_t addr, uint64_t r)
{
	unsigned m = cpu->flags & BF_MMU;
	uint64_t type, pcid, va;

	soft_need_cpl0(cpu);
	type = cpu->gpr[r];
	if (!(cpu->flags & BF_CODE64))
		type = (uint32_t)type;
	pcid = soft_ld(cpu, addr, 8, m);
	va = soft_ld(cpu, addr + 8, 8, m);
	if (type > 3 || pcid >> 12 ||
	    (type < 2 && pcid != 0 && !(cpu->cr4 & CR4_PCIDE)) ||
	    (type == 0 && !soft_canonical(cpu, va)))
		soft_raise_err(cpu, EXC_GP, 0);
	/* Without PCIDE the current one is 0. */
	if (type < 2 && pcid != (cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0))
		soft_pcid_drop(cpu, pcid);
	else if (type == 0)
		soft_tlb_flush_page(cpu, va);
	else
		soft_tlb_flush(cpu, type == 2);
	if (type == 3)
		soft_pcid_drop_all(cpu);
}

void
soft_h_wbinvd(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	(void)t0;
	(void)t1;
	soft_need_cpl0(cpu);
}

void
soft_h_hlt(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	soft_need_cpl0(cpu);
	cpu->stat.halts++;
	cpu->rip = next;
	cpu->halted = true;
	soft_unwind(cpu);
}

/* A vcpu that waits for another gives up its core now and then: the other
 * one may have none. */
#define PAUSES_TO_YIELD 64

void
soft_h_pause(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	if (!cpu->pause_exit) {
		if (++cpu->npauses % PAUSES_TO_YIELD == 0)
			syscall(SYS_sched_yield);
		return;
	}
	cpu->rip = next;
	cpu->exit->exitcode = VM_EXITCODE_PAUSE;
	cpu->exit_now = true;
	soft_unwind(cpu);
}

/* ---- flags ---- */

static void
need_iopl(struct soft_cpu *cpu)
{
	if (cpu->cpl > ((cpu->rflags >> 12) & 3))
		soft_raise_err(cpu, EXC_GP, 0);
}

void
soft_h_cli(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	(void)t0;
	(void)t1;
	if (soft_virtual_if(cpu)) {
		cpu->rflags &= ~FL_VIF;
		return;
	}
	need_iopl(cpu);
	cpu->rflags &= ~FL_IF;
}

/* The translator ends the block after the next instruction, so that what comes
 * meanwhile is seen there. What waits already is the dispatcher's business: it
 * has to come after exactly one instruction, whatever that is. */
void
soft_h_sti(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	if (soft_virtual_if(cpu)) {
		if (cpu->rflags & FL_VIP)
			soft_raise_err(cpu, EXC_GP, 0);
		cpu->rflags |= FL_VIF;
		return;
	}
	need_iopl(cpu);
	if (cpu->rflags & FL_IF)
		return;
	cpu->rflags |= FL_IF;
	if (cpu->flags & BF_STEP)
		cpu->shadow = true;
	else if (cpu->irq_waiting || atomic_load(&cpu->irq_req))
		soft_h_shadow(cpu, 0, next);
}

/* Goes on at `next` in an interrupt shadow. */
void
soft_h_shadow(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	cpu->rip = next;
	cpu->shadow = true;
	soft_unwind(cpu);
}

void
soft_h_set_df(struct soft_cpu *cpu, uint64_t df, uint64_t t1)
{
	(void)t1;
	cpu->rflags = (cpu->rflags & ~FL_DF) | (df ? FL_DF : 0);
}

static void
set_ac(struct soft_cpu *cpu, bool ac, uint64_t next)
{
	if (cpu->cpl != 0)
		soft_raise(cpu, EXC_UD);
	cpu->rflags = (cpu->rflags & ~FL_AC) | (ac ? FL_AC : 0);
	cpu->rip = next;
	soft_update_mode(cpu);
}

void
soft_h_stac(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	set_ac(cpu, true, next);
}

void
soft_h_clac(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	(void)t0;
	set_ac(cpu, false, next);
}

/* ---- ports ---- */

void
soft_io_check(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	const struct vm_seg *tr = &cpu->seg[VM_SEG_TR];
	uint64_t map, bits;

	/* Virtual-8086 mode asks the map whatever IOPL is. */
	if (!(cpu->cr0 & CR0_PE) ||
	    (!(cpu->rflags & FL_VM) &&
		cpu->cpl <= ((cpu->rflags >> 12) & 3)))
		return;
	/* SDM volume 1, 19.5.2: I/O permission bit map. */
	if (tr->limit < 103 || !(tr->access & 8)) /* one of 16 bits has none */
		soft_raise_err(cpu, EXC_GP, 0);
	map = soft_ld(cpu, tr->base + 102, 2, MMU_KERNEL) + port / 8;
	if (map + 1 > tr->limit)
		soft_raise_err(cpu, EXC_GP, 0);
	bits = soft_ld(cpu, tr->base + map, 2, MMU_KERNEL) >> (port & 7);
	if (bits & ((1u << size) - 1))
		soft_raise_err(cpu, EXC_GP, 0);
}

uint32_t
soft_port_in(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	struct soft_vm *vm = cpu->vm;
	uint32_t v = 0xffffffff;

	cpu->stat.io++;
	if (cpu->flags & BF_STEP)
		soft_watch_port(cpu, port, size);
	soft_fpu_leave(cpu);
	if (vm->ops->port_read == NULL ||
	    vm->ops->port_read(vm->ops_arg, cpu->vcpu, port, size, &v) != 0)
		v = 0xffffffff;
	return (size == 4 ? v : v & ((1u << size * 8) - 1));
}

void
soft_port_out(struct soft_cpu *cpu, uint16_t port, unsigned size, uint32_t v)
{
	struct soft_vm *vm = cpu->vm;

	cpu->stat.io++;
	if (cpu->flags & BF_STEP)
		soft_watch_port(cpu, port, size);
	soft_fpu_leave(cpu);
	if (size < 4)
		v &= (1u << size * 8) - 1;
	if (vm->ops->port_write != NULL)
		(void)vm->ops->port_write(
		    vm->ops_arg, cpu->vcpu, port, size, v);
	if (atomic_load_explicit(&cpu->a20_req, memory_order_relaxed) != 0)
		soft_tlb_flush(cpu, true);
}

/* T0: port, or 0x10000 for DX; T1: size. */
void
soft_h_in(struct soft_cpu *cpu, uint64_t t0, uint64_t size)
{
	uint16_t port = (uint16_t)(t0 & 0x10000 ? cpu->gpr[R_DX] : t0);
	uint32_t v;

	soft_io_check(cpu, port, (unsigned)size);
	v = soft_port_in(cpu, port, (unsigned)size);
	if (size == 4)
		cpu->gpr[R_AX] = v;
	else if (size == 2)
		cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~0xffffull) | v;
	else
		cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~0xffull) | v;
}

void
soft_h_out(struct soft_cpu *cpu, uint64_t t0, uint64_t size)
{
	uint16_t port = (uint16_t)(t0 & 0x10000 ? cpu->gpr[R_DX] : t0);

	soft_io_check(cpu, port, (unsigned)size);
	soft_port_out(cpu, port, (unsigned)size, (uint32_t)cpu->gpr[R_AX]);
	/* The code that follows may be other code now. */
	if (atomic_load_explicit(&cpu->a20_req, memory_order_relaxed) != 0)
		soft_unwind_behind(cpu);
}

/* ---- MSRs ---- */

/* The engine's own: plain storage with a check. */
static uint64_t *
msr_slot(struct soft_cpu *cpu, uint32_t msr, bool *canonical)
{
	*canonical = false;
	switch (msr) {
	case 0x174:
		return (&cpu->sysenter_cs);
	case 0x175:
		*canonical = true;
		return (&cpu->sysenter_esp);
	case 0x176:
		*canonical = true;
		return (&cpu->sysenter_eip);
	case 0xc0000081:
		return (&cpu->star);
	case 0xc0000082:
		*canonical = true;
		return (&cpu->lstar);
	case 0xc0000083:
		*canonical = true;
		return (&cpu->cstar);
	case 0xc0000084:
		return (&cpu->sfmask);
	case 0xc0000100:
		*canonical = true;
		return (&cpu->seg[VM_SEG_FS].base);
	case 0xc0000101:
		*canonical = true;
		return (&cpu->seg[VM_SEG_GS].base);
	case 0xc0000102:
		*canonical = true;
		return (&cpu->kernel_gs_base);
	case 0xc0000103:
		return (&cpu->tsc_aux);
	default:
		return (NULL);
	}
}

static bool
is_lapic_msr(uint32_t msr)
{
	return (msr == 0x1b || msr == 0x6e0 || (msr >= 0x800 && msr < 0x900));
}

int
soft_msr_read(struct soft_cpu *cpu, uint32_t msr, uint64_t *val)
{
	bool canonical;
	uint64_t *slot = msr_slot(cpu, msr, &canonical), now;
	int error;

	if (slot != NULL) {
		*val = *slot;
		return (0);
	}
	if (is_lapic_msr(msr)) {
		soft_fpu_leave(cpu);
		now = vclock_now(cpu->vm->vclock);
		soft_lock(&cpu->lapic_lock);
		error = lapic_msr_read(&cpu->lapic, msr, val, now);
		soft_unlock(&cpu->lapic_lock);
		if (msr == 0x6e0 && *val != 0)
			*val += cpu->tsc_offset;
		return (error);
	}
	switch (msr) {
	case 0x10:
		*val = soft_tsc(cpu);
		return (0);
	case 0x3b:
		*val = cpu->tsc_adjust;
		return (0);
	case 0xc0000080:
		*val = cpu->efer;
		return (0);
	case 0x1d9:
		*val = cpu->debugctl;
		return (0);
	case 0xda0: /* IA32_XSS: no supervisor components */
		*val = 0;
		return (cpu->vm->cpuid.xsaves ? 0 : -EPERM);
	default:
		return (vmm_msr_read(&cpu->msrs, &cpu->vm->cpuid, msr, val));
	}
}

static int
set_efer(struct soft_cpu *cpu, uint64_t v)
{
	v = (v & ~EFER_LMA) | (cpu->efer & EFER_LMA);
	if ((v & ~(cpu->vm->cpuid.efer | EFER_LMA)) ||
	    (((v ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG)))
		return (-EPERM);
	if ((v ^ cpu->efer) & EFER_NXE)
		soft_tlb_flush(cpu, true);
	cpu->efer = v;
	return (0);
}

int
soft_msr_write(struct soft_cpu *cpu, uint32_t msr, uint64_t val)
{
	struct lapic_action act = { 0 };
	bool canonical;
	uint64_t *slot = msr_slot(cpu, msr, &canonical), now;
	int error;

	if (slot != NULL) {
		if (canonical && !soft_canonical_base(cpu, val))
			return (-EPERM);
		if (msr == 0xc0000103 && val >> 32)
			return (-EPERM);
		*slot = msr == 0xc0000084 || msr == 0x174 ? (uint32_t)val :
							     val;
		return (0);
	}
	if (is_lapic_msr(msr)) {
		/* The local APIC's timer counts virtual time. */
		if (msr == 0x6e0 && val != 0) {
			val -= cpu->tsc_offset;
			if (val == 0)
				val = 1;
		}
		soft_fpu_leave(cpu);
		now = vclock_now(cpu->vm->vclock);
		soft_lock(&cpu->lapic_lock);
		error = lapic_msr_write(&cpu->lapic, msr, val, now, &act);
		soft_unlock(&cpu->lapic_lock);
		if (error == 0)
			soft_lapic_do(cpu, &act);
		return (error);
	}
	switch (msr) {
	case 0x10:
		now = soft_tsc(cpu);
		cpu->tsc_offset += val - now;
		cpu->tsc_adjust += val - now;
		return (0);
	case 0x3b:
		cpu->tsc_offset += val - cpu->tsc_adjust;
		cpu->tsc_adjust = val;
		return (0);
	case 0xc0000080:
		return (set_efer(cpu, val));
	case 0x1d9: /* DEBUGCTL: BTF; there are no branch records */
		cpu->debugctl = val & 2;
		return (0);
	case 0xda0:
		return (cpu->vm->cpuid.xsaves && val == 0 ? 0 : -EPERM);
	default:
		return (vmm_msr_write(&cpu->msrs, &cpu->vm->cpuid, msr, val));
	}
}

static void
msr_exit(struct soft_cpu *cpu, bool write, uint32_t msr, uint64_t val,
    uint64_t next)
{
	soft_sync_rip(cpu);
	cpu->exit->exitcode =
	    write ? VM_EXITCODE_WRMSR : VM_EXITCODE_RDMSR;
	cpu->exit->u.msr.code = msr;
	cpu->exit->u.msr.wval = val;
	cpu->msr_wait = write ? 2 : 1;
	cpu->msr_next = next;
	cpu->exit_now = true;
	soft_unwind(cpu);
}

void
soft_h_rdmsr(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint32_t msr = (uint32_t)cpu->gpr[R_CX];
	uint64_t v = 0;
	int error;

	(void)t0;
	soft_need_cpl0(cpu);
	error = soft_msr_read(cpu, msr, &v);
	if (error == -ENOENT)
		msr_exit(cpu, false, msr, 0, next);
	if (error != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->gpr[R_AX] = (uint32_t)v;
	cpu->gpr[R_DX] = v >> 32;
	cpu->rip = next;
}

void
soft_h_wrmsr(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	uint32_t msr = (uint32_t)cpu->gpr[R_CX];
	uint64_t v = (uint32_t)cpu->gpr[R_AX] | cpu->gpr[R_DX] << 32;
	int error;

	(void)t0;
	soft_need_cpl0(cpu);
	error = soft_msr_write(cpu, msr, v);
	if (error == -ENOENT)
		msr_exit(cpu, true, msr, v, next);
	if (error != 0)
		soft_raise_err(cpu, EXC_GP, 0);
	cpu->rip = next;
	soft_update_mode(cpu);
}
