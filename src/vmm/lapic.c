/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sections are those of the Intel SDM, volume 3A, chapter 11 (chapter 10 in
 * editions before 2023).
 */
#include "vmm/lapic.h"

#include <errno.h>

#include "vmm/cpuid.h"
#include "vmm/lapic_priv.h"

#define APICBASE_BSP (1ull << 8)
#define APICBASE_EXTD (1ull << 10)
#define APICBASE_EN (1ull << 11)
#define APICBASE_DEFAULT 0xfee00000ull
#define APICBASE_RESERVED (0x2ffull | ~0xfffffffffffffull)

/* 11.5.3, error status register. */
#define ESR_SEND_ILLEGAL_VECTOR (1u << 5)
#define ESR_RECV_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

/* 11.4.8: version 0x14, 7 LVT entries, EOI broadcasts can be suppressed. */
#define LAPIC_VERSION 0x01060014u

/* Registers are named by their x2APIC number: MMIO offset / 16, or MSR -
 * 0x800 (table 11-6). */
enum {
	R_ID = 0x02, R_VERSION = 0x03, R_TPR = 0x08, R_APR = 0x09,
	R_PPR = 0x0a, R_EOI = 0x0b, R_RRD = 0x0c, R_LDR = 0x0d,
	R_DFR = 0x0e, R_SVR = 0x0f, R_ISR = 0x10, R_TMR = 0x18,
	R_IRR = 0x20, R_ESR = 0x28, R_CMCI = 0x2f, R_ICR = 0x30,
	R_ICR_HI = 0x31, R_LVT_TIMER = 0x32, R_LVT_ERROR = 0x37,
	R_TIMER_ICR = 0x38, R_TIMER_CCR = 0x39, R_TIMER_DCR = 0x3e,
	R_SELF_IPI = 0x3f, R_COUNT = 0x40
};

/* Which register can be accessed how in which mode. */
#define X_R 1 /* xAPIC read, write */
#define X_W 2
#define M_R 4 /* x2APIC (MSR) read, write */
#define M_W 8
#define RW (X_R | X_W | M_R | M_W)
static const uint8_t reg_access[R_COUNT] = {
	[R_ID] = X_R | X_W | M_R,
	[R_VERSION] = X_R | M_R,
	[R_TPR] = RW,
	[R_APR] = X_R,
	[R_PPR] = X_R | M_R,
	[R_EOI] = X_R | X_W | M_W,
	[R_RRD] = X_R,
	[R_LDR] = X_R | X_W | M_R,
	[R_DFR] = X_R | X_W,
	[R_SVR] = RW,
	[R_ISR ... R_IRR + 7] = X_R | M_R,
	[R_ESR] = RW,
	[R_CMCI] = RW,
	[R_ICR] = RW,
	[R_ICR_HI] = X_R | X_W,
	[R_LVT_TIMER ... R_LVT_ERROR] = RW,
	[R_TIMER_ICR] = RW,
	[R_TIMER_CCR] = X_R | M_R,
	[R_TIMER_DCR] = RW,
	[R_SELF_IPI] = M_W,
};

/* Bits of each LVT that software sets (figure 11-8), and those that are
 * read-only but not reserved: delivery status, remote IRR. */
static const uint32_t lvt_writable[7] = {
	[LAPIC_LVT_CMCI] = 0x107ff,
	[LAPIC_LVT_TIMER] = 0x700ff,
	[LAPIC_LVT_THERMAL] = 0x107ff,
	[LAPIC_LVT_PERF] = 0x107ff,
	[LAPIC_LVT_LINT0] = 0x1a7ff,
	[LAPIC_LVT_LINT1] = 0x1a7ff,
	[LAPIC_LVT_ERROR] = 0x100ff,
};
#define LVT_READ_ONLY 0x5000u

static const struct state_field lapic_fields[] = {
	STATE_FIELD(struct lapic, apicbase, 1),
	STATE_FIELD(struct lapic, tsc_deadline, 1),
	STATE_FIELD(struct lapic, timer_start, 1),
	STATE_FIELD(struct lapic, timer_deadline, 1),
	STATE_FIELD(struct lapic, id, 1),
	STATE_FIELD(struct lapic, tpr, 1),
	STATE_FIELD(struct lapic, ldr, 1),
	STATE_FIELD(struct lapic, dfr, 1),
	STATE_FIELD(struct lapic, svr, 1),
	STATE_FIELD(struct lapic, esr, 1),
	STATE_FIELD(struct lapic, esr_pending, 1),
	STATE_ARRAY(struct lapic, irr, 1),
	STATE_ARRAY(struct lapic, isr, 1),
	STATE_ARRAY(struct lapic, tmr, 1),
	STATE_FIELD(struct lapic, icr_lo, 1),
	STATE_FIELD(struct lapic, icr_hi, 1),
	STATE_ARRAY(struct lapic, lvt, 1),
	STATE_FIELD(struct lapic, timer_icr, 1),
	STATE_FIELD(struct lapic, timer_dcr, 1),
	STATE_FIELD(struct lapic, timer_owed, 1),
	STATE_FIELD(struct lapic, timer_burst, 1),
	STATE_FIELD(struct lapic, extint, 1),
	STATE_FIELD(struct lapic, lint1, 1),
	STATE_FIELD(struct lapic, nmi_pending, 1),
	STATE_END,
};
const struct state_table lapic_state = { "lapic", 1, lapic_fields };

static void
bit_set(uint32_t *set, uint8_t n)
{
	set[n / 32] |= 1u << (n % 32);
}

static void
bit_clear(uint32_t *set, uint8_t n)
{
	set[n / 32] &= ~(1u << (n % 32));
}

static bool
bit_get(const uint32_t *set, uint8_t n)
{
	return ((set[n / 32] >> (n % 32)) & 1);
}

static int
bit_highest(const uint32_t *set)
{
	for (int i = 7; i >= 0; i--)
		if (set[i] != 0)
			return (i * 32 + 31 - __builtin_clz(set[i]));
	return (-1);
}

/* State of 11.4.7.1 and 11.4.7.3; id, IA32_APIC_BASE and the levels of the
 * wires at LINT0 and LINT1 stay. */
static void
power_up(struct lapic *l)
{
	for (unsigned i = 0; i < 8; i++)
		l->irr[i] = l->isr[i] = l->tmr[i] = 0;
	l->tsc_deadline = l->timer_start = 0;
	l->tpr = l->ldr = l->esr = l->esr_pending = 0;
	l->icr_lo = l->icr_hi = 0;
	l->timer_icr = l->timer_dcr = l->timer_owed = 0;
	l->timer_burst = 0;
	l->nmi_pending = 0;
	l->timer_deadline = UINT64_MAX;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	for (unsigned i = 0; i < 7; i++)
		l->lvt[i] = LVT_MASKED;
}

void
lapic_reset(struct lapic *l, uint32_t id, bool bsp, bool x2apic)
{
	l->id = id;
	l->extint = l->lint1 = 0;
	l->tsc_khz = 0;
	l->apicbase = APICBASE_DEFAULT | APICBASE_EN |
	    (bsp ? APICBASE_BSP : 0) | (x2apic ? APICBASE_EXTD : 0);
	power_up(l);
}

void
lapic_init_ipi(struct lapic *l)
{
	power_up(l);
}

static void
report_error(struct lapic *l, uint32_t bit)
{
	uint32_t lvt = l->lvt[LAPIC_LVT_ERROR];

	l->esr_pending |= bit;
	/* An illegal vector here would report itself for ever. */
	if (lapic_software_enabled(l) && (lvt & LVT_MASKED) == 0 &&
	    (lvt & 0xff) >= 16) {
		bit_set(l->irr, (uint8_t)lvt);
		bit_clear(l->tmr, (uint8_t)lvt);
	}
}

void
lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	/* 11.4.7.2: a software-disabled APIC answers INIT, NMI, SMI, SIPI. */
	if (!lapic_software_enabled(l))
		return;
	if (vector < 16) {
		report_error(l, ESR_RECV_ILLEGAL_VECTOR);
		return;
	}
	bit_set(l->irr, vector);
	if (level)
		bit_set(l->tmr, vector);
	else
		bit_clear(l->tmr, vector);
}

static bool
lint_asserted(const struct lapic *l, unsigned idx)
{
	uint32_t level = idx == LAPIC_LVT_LINT0 ? l->extint : l->lint1;

	return ((level != 0) != ((l->lvt[idx] & LVT_ACTIVE_LOW) != 0));
}

/*
 * 11.5.1: what a pin's LVT entry makes of it. `edge`: it has just been
 * asserted. A level-triggered interrupt is accepted once; remote IRR holds
 * it back until its EOI. ExtINT is lapic_pending()'s; there is no SMI, and
 * INIT is not for a pin that devices share.
 */
static bool
lint_look(struct lapic *l, unsigned idx, bool edge)
{
	uint32_t *lvt = &l->lvt[idx];

	if (!lapic_software_enabled(l) || (*lvt & LVT_MASKED) != 0 ||
	    !lint_asserted(l, idx))
		return (false);
	switch (LVT_DM(*lvt)) {
	case DM_FIXED:
		if ((*lvt & LVT_LEVEL) == 0) {
			if (edge)
				lapic_accept(l, (uint8_t)*lvt, false);
			return (edge);
		}
		if ((*lvt & LVT_REMOTE_IRR) != 0)
			return (false);
		*lvt |= LVT_REMOTE_IRR;
		lapic_accept(l, (uint8_t)*lvt, true);
		return (true);
	case DM_NMI: /* always an edge */
		l->nmi_pending |= edge;
		return (edge);
	default:
		return (false);
	}
}

bool
lapic_lint(struct lapic *l, unsigned pin, bool level)
{
	unsigned idx = pin == 0 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1;
	uint32_t *wire = pin == 0 ? &l->extint : &l->lint1;
	bool changed = *wire != level;

	*wire = level;
	if (!changed)
		return (false);
	/* 11.4.3: without the APIC the pins are INTR and NMI. */
	if (!lapic_enabled(l)) {
		if (pin != 0 && level)
			l->nmi_pending = 1;
		return (level);
	}
	return (lint_look(l, idx, true));
}

/* 11.8.3.1 */
static uint32_t
ppr(const struct lapic *l)
{
	int isrv = bit_highest(l->isr);
	uint32_t isr = isrv < 0 ? 0 : (uint32_t)isrv;

	if ((l->tpr & 0xf0) >= (isr & 0xf0))
		return (l->tpr);
	return (isr & 0xf0);
}

int
lapic_pending(const struct lapic *l)
{
	uint32_t lint0 = l->lvt[LAPIC_LVT_LINT0];
	int irrv;

	if (!lapic_enabled(l))
		return (l->extint != 0 ? LAPIC_EXTINT : -1);
	/* ExtINT ignores the priorities (11.8.1); ahead of all else, as the
	 * PIC would otherwise starve behind an APIC timer. */
	if (l->extint != 0 && (lint0 & LVT_MASKED) == 0 &&
	    LVT_DM(lint0) == DM_EXTINT)
		return (LAPIC_EXTINT);
	irrv = bit_highest(l->irr);
	if (irrv < 0 || ((uint32_t)irrv & 0xf0) <= (ppr(l) & 0xf0))
		return (-1);
	return (irrv);
}

void
lapic_take(struct lapic *l, uint8_t vector, uint64_t now)
{
	bit_clear(l->irr, vector);
	bit_set(l->isr, vector);
	if (lapic_timer_taken(l, vector, now))
		bit_set(l->irr, vector);
}

static void
eoi(struct lapic *l, struct lapic_action *act)
{
	int v = bit_highest(l->isr);

	if (v < 0)
		return;
	bit_clear(l->isr, (uint8_t)v);
	act->check = true;
	for (unsigned i = LAPIC_LVT_LINT0; i <= LAPIC_LVT_LINT1; i++)
		if ((l->lvt[i] & LVT_REMOTE_IRR) != 0 &&
		    (l->lvt[i] & 0xff) == (uint32_t)v) {
			/* The pin's own: nothing to tell the IOAPIC. */
			l->lvt[i] &= ~LVT_REMOTE_IRR;
			(void)lint_look(l, i, false);
			return;
		}
	act->vector = (uint8_t)v;
	/* 11.8.5: the IOAPIC will be told by software. */
	if (!bit_get(l->tmr, (uint8_t)v))
		act->eoi_edge = true;
	else if ((l->svr & SVR_NO_BROADCAST) == 0)
		act->eoi_broadcast = true;
}

uint64_t
lapic_get_cr8(const struct lapic *l)
{
	return ((l->tpr >> 4) & 0xf);
}

void
lapic_set_cr8(struct lapic *l, uint64_t cr8)
{
	l->tpr = (uint32_t)(cr8 & 0xf) << 4;
}

/* 11.12.10.2 */
static uint32_t
x2apic_ldr(const struct lapic *l)
{
	return (((l->id >> 4) << 16) | (1u << (l->id & 0xf)));
}

static bool
matches_logical(const struct lapic *l, uint32_t dest)
{
	uint32_t ldr;

	if (lapic_is_x2apic(l)) {
		ldr = x2apic_ldr(l);
		return ((ldr >> 16) == (dest >> 16) &&
		    (ldr & dest & 0xffff) != 0);
	}
	/* 11.6.2.2 */
	if (dest == 0xff)
		return (true);
	if (dest > 0xff)
		return (false);
	ldr = l->ldr >> 24;
	if ((l->dfr >> 28) == 0xf)
		return ((ldr & dest) != 0);
	if ((l->dfr >> 28) == 0)
		return (((dest >> 4) == 0xf || (dest >> 4) == (ldr >> 4)) &&
		    (ldr & dest & 0xf) != 0);
	return (false);
}

bool
lapic_matches(const struct lapic *l, uint32_t dest, bool logical)
{
	if (!lapic_enabled(l))
		return (false);
	if (dest == 0xffffffff)
		return (true);
	if (logical)
		return (matches_logical(l, dest));
	/* An MSI has only 8 bits to say "all"; the id 255 is not given out
	 * to anybody who could mind. */
	if (dest == 0xff)
		return (true);
	if (lapic_is_x2apic(l))
		return (dest == l->id);
	return (dest == (l->id & 0xff));
}

static void
write_lvt(struct lapic *l, unsigned idx, uint32_t val, struct lapic_action *act)
{
	uint32_t old = l->lvt[idx];

	val &= lvt_writable[idx];
	/* 11.4.7.2: masked for as long as software has the APIC disabled. */
	if ((l->svr & SVR_ENABLE) == 0)
		val |= LVT_MASKED;
	/* Remote IRR is of level-triggered Fixed interrupts alone. */
	if ((val & LVT_LEVEL) != 0 && LVT_DM(val) == DM_FIXED)
		val |= old & LVT_REMOTE_IRR;
	l->lvt[idx] = val;
	if (idx == LAPIC_LVT_TIMER && val != old)
		l->timer_owed = 0;
	if (idx == LAPIC_LVT_LINT0 || idx == LAPIC_LVT_LINT1)
		(void)lint_look(l, idx, false);
	/* 11.5.4.1: going to or from TSC-deadline mode disarms the timer. */
	if (idx == LAPIC_LVT_TIMER &&
	    (LVT_TIMER_MODE(val) >= TIMER_DEADLINE) !=
		(LVT_TIMER_MODE(old) >= TIMER_DEADLINE)) {
		l->timer_icr = 0;
		lapic_timer_stop(l, act);
	}
	act->check = true;
}

static void
write_svr(struct lapic *l, uint32_t val, struct lapic_action *act)
{
	l->svr = val & SVR_VALID;
	if ((val & SVR_ENABLE) == 0)
		for (unsigned i = 0; i < 7; i++)
			l->lvt[i] |= LVT_MASKED;
	act->check = true;
}

static void
send_self(struct lapic *l, uint8_t vector, struct lapic_action *act)
{
	if (vector < 16) {
		report_error(l, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	lapic_accept(l, vector, false);
	act->check = true;
}

/* 11.6.1; which modes go with which shorthand is table 11-3. */
static void
send_ipi(struct lapic *l, uint32_t dest, struct lapic_action *act)
{
	uint32_t lo = l->icr_lo;
	unsigned mode = LVT_DM(lo), shorthand = (lo >> 18) & 3;

	if (mode == 3 || mode == DM_EXTINT)
		return;
	if ((mode == DM_FIXED || mode == DM_LOWEST) && (lo & 0xff) < 16) {
		report_error(l, ESR_SEND_ILLEGAL_VECTOR);
		act->check = true;
		return;
	}
	if (shorthand == 1) {
		if (mode == DM_FIXED)
			send_self(l, (uint8_t)lo, act);
		return;
	}
	/* INIT level de-assert only concerned the 82489DX and Pentium. */
	if (mode == DM_INIT && (lo & 0xc000) == 0x8000)
		return;
	act->ipi = true;
	act->ipi_mode = (uint8_t)mode;
	act->ipi_vector = (uint8_t)lo;
	act->ipi_shorthand = (uint8_t)shorthand;
	act->ipi_logical = (lo & 0x800) != 0;
	act->ipi_assert = (lo & 0x4000) != 0;
	act->ipi_level = (lo & 0x8000) != 0;
	act->ipi_dest = dest;
}

static uint32_t
reg_read(const struct lapic *l, unsigned reg, uint64_t now)
{
	switch (reg) {
	case R_ID:
		return (lapic_is_x2apic(l) ? l->id : l->id << 24);
	case R_VERSION:
		return (LAPIC_VERSION);
	case R_TPR:
		return (l->tpr);
	case R_PPR:
		return (ppr(l));
	case R_LDR:
		return (lapic_is_x2apic(l) ? x2apic_ldr(l) : l->ldr);
	case R_DFR:
		return (l->dfr);
	case R_SVR:
		return (l->svr);
	case R_ISR ... R_ISR + 7:
		return (l->isr[reg - R_ISR]);
	case R_TMR ... R_TMR + 7:
		return (l->tmr[reg - R_TMR]);
	case R_IRR ... R_IRR + 7:
		return (l->irr[reg - R_IRR]);
	case R_ESR:
		return (l->esr);
	case R_ICR:
		return (l->icr_lo);
	case R_ICR_HI:
		return (l->icr_hi);
	case R_CMCI:
		return (l->lvt[LAPIC_LVT_CMCI]);
	case R_LVT_TIMER ... R_LVT_ERROR:
		return (l->lvt[reg - R_LVT_TIMER + LAPIC_LVT_TIMER]);
	case R_TIMER_ICR:
		return (l->timer_icr);
	case R_TIMER_CCR:
		return (lapic_timer_current(l, now));
	case R_TIMER_DCR:
		return (l->timer_dcr);
	default: /* EOI, APR and RRD: not in processors since P6 */
		return (0);
	}
}

static void
reg_write(struct lapic *l, unsigned reg, uint32_t val, uint64_t now,
    struct lapic_action *act)
{
	switch (reg) {
	case R_TPR:
		l->tpr = val & 0xff;
		act->check = true;
		break;
	case R_EOI:
		eoi(l, act);
		break;
	case R_LDR:
		l->ldr = val & 0xff000000;
		break;
	case R_DFR:
		l->dfr = val | 0x0fffffff;
		break;
	case R_SVR:
		write_svr(l, val, act);
		break;
	case R_ESR:
		/* The write latches what was found since the last one. */
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case R_ICR:
		l->icr_lo = val & 0xccfff; /* delivery status: idle */
		send_ipi(l, l->icr_hi >> 24, act);
		break;
	case R_ICR_HI:
		l->icr_hi = val & 0xff000000;
		break;
	case R_CMCI:
		write_lvt(l, LAPIC_LVT_CMCI, val, act);
		break;
	case R_LVT_TIMER ... R_LVT_ERROR:
		write_lvt(l, reg - R_LVT_TIMER + LAPIC_LVT_TIMER, val, act);
		break;
	case R_TIMER_ICR:
		lapic_timer_icr(l, val, now, act);
		break;
	case R_TIMER_DCR:
		lapic_timer_dcr(l, val, now, act);
		break;
	case R_SELF_IPI:
		send_self(l, (uint8_t)val, act);
		break;
	default: /* the id is read-only since Nehalem */
		break;
	}
}

uint32_t
lapic_mmio_read(struct lapic *l, uint32_t offset, uint64_t now)
{
	unsigned reg = (offset >> 4) & 0xff;

	/* 11.12.2: no page there in x2APIC mode; the bus answers. */
	if (!lapic_enabled(l) || lapic_is_x2apic(l))
		return (0xffffffff);
	if ((offset & 0xf) != 0)
		return (0);
	if (reg >= R_COUNT || (reg_access[reg] & X_R) == 0) {
		report_error(l, ESR_ILLEGAL_REGISTER);
		return (0);
	}
	return (reg_read(l, reg, now));
}

void
lapic_mmio_write(struct lapic *l, uint32_t offset, uint32_t val, uint64_t now,
    struct lapic_action *act)
{
	unsigned reg = (offset >> 4) & 0xff;

	*act = (struct lapic_action){ 0 };
	if (!lapic_enabled(l) || lapic_is_x2apic(l) || (offset & 0xf) != 0)
		return;
	if (reg >= R_COUNT || (reg_access[reg] & (X_R | X_W)) == 0) {
		report_error(l, ESR_ILLEGAL_REGISTER);
		act->check = true;
		return;
	}
	if ((reg_access[reg] & X_W) != 0)
		reg_write(l, reg, val, now, act);
}

/* Legal transitions of IA32_APIC_BASE: 11.12.5, figure 11-27. */
static int
write_apicbase(struct lapic *l, uint64_t val, struct lapic_action *act)
{
	uint64_t mode = val & (APICBASE_EN | APICBASE_EXTD);
	uint64_t old = l->apicbase & (APICBASE_EN | APICBASE_EXTD);

	if ((val & APICBASE_RESERVED) != 0 || mode == APICBASE_EXTD ||
	    val >> cpuid_phys_bits() != 0)
		return (-EPERM);
	if (old == (APICBASE_EN | APICBASE_EXTD) && mode == APICBASE_EN)
		return (-EPERM);
	if (old == 0 && mode == (APICBASE_EN | APICBASE_EXTD))
		return (-EPERM);
	l->apicbase = val;
	if (mode == 0 && old != 0) {
		power_up(l);
		act->timer = true;
	}
	/* 11.12.9: entering x2APIC mode clears the other half of the ICR. */
	if (mode != old)
		l->icr_hi = 0;
	act->check = true;
	return (0);
}

int
lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val, uint64_t now)
{
	unsigned reg = msr - 0x800;

	if (msr == 0x1b) {
		*val = l->apicbase;
		return (0);
	}
	if (msr == 0x6e0) {
		*val = l->tsc_deadline;
		return (0);
	}
	if (reg > 0xff)
		return (-ENOENT);
	if (!lapic_is_x2apic(l) || reg >= R_COUNT ||
	    (reg_access[reg] & M_R) == 0)
		return (-EPERM);
	*val = reg_read(l, reg, now);
	if (reg == R_ICR)
		*val |= (uint64_t)l->icr_hi << 32;
	return (0);
}

/* Reserved bits of the 32-bit registers in x2APIC mode (11.12.1.3). */
static uint32_t
reserved_bits(unsigned reg)
{
	switch (reg) {
	case R_TPR:
	case R_SELF_IPI:
		return (~0xffu);
	case R_EOI:
	case R_ESR:
		return (~0u);
	case R_SVR:
		return (~SVR_VALID);
	case R_CMCI:
		return (~(lvt_writable[LAPIC_LVT_CMCI] | LVT_READ_ONLY));
	case R_LVT_TIMER ... R_LVT_ERROR:
		return (~(lvt_writable[reg - R_LVT_TIMER + LAPIC_LVT_TIMER] |
		    LVT_READ_ONLY));
	case R_TIMER_DCR:
		return (~0xbu);
	default:
		return (0);
	}
}

int
lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val, uint64_t now,
    struct lapic_action *act)
{
	unsigned reg = msr - 0x800;

	*act = (struct lapic_action){ 0 };
	if (msr == 0x1b)
		return (write_apicbase(l, val, act));
	if (msr == 0x6e0) {
		lapic_timer_tsc(l, val, act);
		return (0);
	}
	if (reg > 0xff)
		return (-ENOENT);
	if (!lapic_is_x2apic(l) || reg >= R_COUNT ||
	    (reg_access[reg] & M_W) == 0)
		return (-EPERM);
	if (reg == R_ICR) {
		/* 11.12.9; bit 12, once delivery status, is ignored. */
		if ((val & 0xfff32000u) != 0)
			return (-EPERM);
		l->icr_lo = (uint32_t)val & 0xccfff;
		l->icr_hi = (uint32_t)(val >> 32);
		send_ipi(l, l->icr_hi, act);
		return (0);
	}
	if ((val >> 32) != 0 || ((uint32_t)val & reserved_bits(reg)) != 0)
		return (-EPERM);
	reg_write(l, reg, (uint32_t)val, now, act);
	return (0);
}
