/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug registers, single steps, alignment checks: Intel SDM volume 3,
 * chapter 17 ("Debug"), and 6.15 (#DB, #AC). A light file, see soft.h.
 *
 * While TF or a breakpoint is set, BF_STEP is: blocks have one instruction,
 * come back to one_round() after it and make every access in C. What an
 * instruction hit is gathered in db_hits and becomes a trap behind it, so
 * that a fault in its middle can forget it.
 */
#include "vmm/soft/soft.h"

#define DR7_GD 0x2000ull
#define DR6_BD 0x2000ull
#define DR6_BS 0x4000ull
#define DEBUGCTL_BTF 2ull

/* R/W fields of DR7 (SDM 17.2.4). */
enum { RW_CODE, RW_WRITE, RW_IO, RW_DATA };

static bool
armed(const struct soft_cpu *cpu, unsigned n, unsigned kinds)
{
	return (((cpu->dr7 >> 2 * n) & 3) != 0 &&
	    ((kinds >> ((cpu->dr7 >> (16 + 4 * n)) & 3)) & 1) != 0);
}

/* A breakpoint's bytes: DRn less the bits that LEN covers (SDM 17.2.5). */
static void
match(struct soft_cpu *cpu, uint64_t addr, unsigned len, unsigned kinds)
{
	static const uint8_t lens[4] = { 1, 2, 8, 4 };

	for (unsigned n = 0; n < 4; n++) {
		unsigned l = lens[(cpu->dr7 >> (18 + 4 * n)) & 3];
		uint64_t base = cpu->dr[n] & ~(uint64_t)(l - 1);

		if (armed(cpu, n, kinds) &&
		    (base - addr < len || addr - base < l))
			cpu->db_hits |= 1u << n;
	}
}

void
soft_watch(struct soft_cpu *cpu, uint64_t va, unsigned len, bool write)
{
	match(cpu, va, len, 1u << RW_DATA | (write ? 1u << RW_WRITE : 0));
	if (cpu->hold_on)
		soft_hold_watch(cpu, va, len, write);
}

void
soft_watch_port(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	if (cpu->cr4 & CR4_DE)
		match(cpu, port, size, 1u << RW_IO);
}

void
soft_check_align(struct soft_cpu *cpu, uint64_t va, unsigned size)
{
	/* The largest power of two in the size, up to 16: SDM table 6-7, and
	 * for more than 16 bytes as AMD's processors have it. */
	unsigned need = size > 16 ? 16 : 1u << (31 - __builtin_clz(size));

	if (va & (need - 1))
		soft_raise_err(cpu, EXC_AC, 0);
}

static void
pend_db(struct soft_cpu *cpu, uint64_t bits)
{
	cpu->dr6 |= bits;
	cpu->exc.pending = true;
	cpu->exc.vector = EXC_DB;
	cpu->exc.has_error = false;
	cpu->exc.error = 0;
}

bool
soft_debug_code(struct soft_cpu *cpu)
{
	uint64_t lin = cpu->rip, hits = 0;

	if (!(cpu->flags & BF_CODE64))
		lin = (uint32_t)(lin + cpu->seg[VM_SEG_CS].base);
	/* MOV SS keeps them off as RF does (SDM 17.3.1.1). */
	if ((cpu->rflags & FL_RF) || cpu->shadow_ss)
		return (false);
	for (unsigned n = 0; n < 4; n++)
		if (armed(cpu, n, 1u << RW_CODE) && cpu->dr[n] == lin &&
		    ((cpu->dr7 >> (18 + 4 * n)) & 3) == 0)
			hits |= 1u << n;
	if (hits == 0)
		return (false);
	pend_db(cpu, hits);
	return (true);
}

void
soft_debug_step(struct soft_cpu *cpu, uint64_t next)
{
	cpu->tf_step = (cpu->rflags & FL_TF) != 0;
	cpu->branched = 0;
	cpu->step_next = cpu->flags & BF_CODE64 ? next : (uint32_t)next;
	soft_break(cpu);
}

void
soft_debug_after(struct soft_cpu *cpu)
{
	uint64_t hits = cpu->db_hits;

	if (cpu->exc.pending) {
		/* A fault: what it did before did not happen. */
		cpu->tf_step = false;
		cpu->db_hits = 0;
		cpu->hold_hits = 0;
		return;
	}
	/* With BTF only branches count; a string instruction that is not
	 * through (RF) is none (SDM 17.4.3). */
	if (cpu->tf_step &&
	    (!(cpu->debugctl & DEBUGCTL_BTF) || cpu->branched ||
		(cpu->rip != cpu->step_next && !(cpu->rflags & FL_RF))))
		hits |= DR6_BS;
	cpu->tf_step = false;
	cpu->db_hits = (uint32_t)hits;
	/* Behind a load of SS they wait (SDM 6.8.3). */
	if (hits == 0 || cpu->shadow_ss)
		return;
	cpu->db_hits = 0;
	pend_db(cpu, hits);
}

void
soft_debug_taken(struct soft_cpu *cpu)
{
	cpu->dr7 &= ~DR7_GD;
	cpu->debugctl &= ~DEBUGCTL_BTF;
}

/* ---- MOV DR ---- */

static unsigned
dr_number(struct soft_cpu *cpu, uint64_t t0)
{
	unsigned n = (t0 >> 8) & 15;

	if (n >= 8)
		soft_raise(cpu, EXC_UD);
	soft_need_cpl0(cpu);
	if (n == 4 || n == 5) {
		if (cpu->cr4 & CR4_DE)
			soft_raise(cpu, EXC_UD);
		n += 2;
	}
	if (cpu->dr7 & DR7_GD) {
		/* A fault as others: RF is set in its image. */
		cpu->dr6 |= DR6_BD;
		cpu->rflags |= FL_RF;
		soft_raise(cpu, EXC_DB);
	}
	return (n);
}

void
soft_h_mov_to_dr(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	unsigned n = dr_number(cpu, t0);
	uint64_t v = cpu->gpr[t0 & 15];

	if (!(cpu->flags & BF_CODE64))
		v = (uint32_t)v;
	if (n >= 6 && v >> 32)
		soft_raise_err(cpu, EXC_GP, 0);
	if (n < 4)
		cpu->dr[n] = v;
	else if (n == 6)
		cpu->dr6 = (v & 0xe00f) | 0xffff0ff0;
	else
		cpu->dr7 = (v & 0xffff23ff) | 0x400;
	cpu->rip = next;
	soft_update_mode(cpu);
}

void
soft_h_mov_from_dr(struct soft_cpu *cpu, uint64_t t0, uint64_t t1)
{
	unsigned n = dr_number(cpu, t0);
	uint64_t v = n < 4 ? cpu->dr[n] : n == 6 ? cpu->dr6 : cpu->dr7;

	(void)t1;
	cpu->gpr[t0 & 15] = cpu->flags & BF_CODE64 ? v : (uint32_t)v;
}
