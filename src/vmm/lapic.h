/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_LAPIC_H
#define LHYVE_VMM_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/state.h"

/*
 * Local APIC core after the Intel SDM, volume 3, chapter 11 ("Advanced
 * Programmable Interrupt Controller"). Pure: no clock, lock or thread; the
 * time is an argument (ns of virtual time) and what has to happen outside
 * is returned as actions. The engine holds the lapic's lock around calls.
 */
struct lapic {
	uint64_t apicbase; /* IA32_APIC_BASE, BSP bit included */
	uint64_t tsc_deadline; /* ticks of a TSC that began with the time */
	uint64_t timer_start;	 /* ns when CCR was last loaded */
	uint64_t timer_deadline; /* ns of next expiry, UINT64_MAX: none */
	uint64_t timer_burst;	 /* ns, ticks_burst() of timer_owed */
	uint32_t id;		 /* x2APIC id; xAPIC id in 7:0 */
	uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t icr_lo, icr_hi;
	uint32_t lvt[7]; /* in the order of enum lapic_lvt */
	uint32_t timer_icr, timer_dcr;
	uint32_t timer_owed;  /* periods without an interrupt yet */
	uint32_t extint;      /* level of LINT0 */
	uint32_t lint1;	      /* and of LINT1 */
	uint32_t nmi_pending; /* NMIs by LVT, ICR or MSI, not yet taken */
	uint32_t tsc_khz;     /* the owner's to set after RESET: tsc.h */
};
extern const struct state_table lapic_state;

enum lapic_lvt {
	LAPIC_LVT_CMCI, LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0, LAPIC_LVT_LINT1, LAPIC_LVT_ERROR
};

/* What a register access asks of the engine. */
struct lapic_action {
	bool eoi_broadcast; /* level-triggered vector finished: `vector` */
	bool eoi_edge;	    /* an edge-triggered one */
	bool timer;	    /* timer_deadline changed: arm it again */
	bool ipi;	    /* an ICR command: use the fields below */
	bool check;	    /* deliverable interrupts may have changed */
	uint8_t vector;
	uint8_t ipi_mode;      /* delivery mode, ICR[10:8] */
	uint8_t ipi_vector;
	uint8_t ipi_shorthand; /* ICR[19:18] */
	bool ipi_logical, ipi_level, ipi_assert;
	uint32_t ipi_dest;     /* 8 bits in xAPIC, 32 in x2APIC mode */
};

#define LAPIC_TIMER_HZ 1000000000ull /* bus clock of the APIC timer */

/* State after RESET; bsp sets IA32_APIC_BASE.BSP. x2apic: enabled so. */
void lapic_reset(struct lapic *l, uint32_t id, bool bsp, bool x2apic);
/* INIT: as RESET but keeps the id and IA32_APIC_BASE. */
void lapic_init_ipi(struct lapic *l);

static inline bool
lapic_enabled(const struct lapic *l)
{
	return ((l->apicbase & (1u << 11)) != 0);
}
static inline bool
lapic_is_x2apic(const struct lapic *l)
{
	return ((l->apicbase & (3u << 10)) == (3u << 10));
}

/* xAPIC page, offset 0..0xfff, 32-bit accesses at 16-byte offsets; others
 * read 0 and are ignored. */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset, uint64_t now);
void lapic_mmio_write(struct lapic *l, uint32_t offset, uint32_t val,
    uint64_t now, struct lapic_action *act);

/* MSRs 0x1b, 0x6e0, 0x800-0x8ff. 0; -EPERM: #GP; -ENOENT: not the APIC's. */
int lapic_msr_read(
    struct lapic *l, uint32_t msr, uint64_t *val, uint64_t now);
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val, uint64_t now,
    struct lapic_action *act);

/* CR8 is TPR[7:4]. */
uint64_t lapic_get_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint64_t cr8);

/* A fixed or lowest-priority interrupt message arrives. */
void lapic_accept(struct lapic *l, uint8_t vector, bool level);
/* The level of the wire at LINT0 (pin 0) or LINT1 (pin 1). True if an
 * interrupt or NMI may have become deliverable. */
bool lapic_lint(struct lapic *l, unsigned pin, bool level);
/* True if a message to this destination is for this APIC. */
bool lapic_matches(const struct lapic *l, uint32_t dest, bool logical);

/* The vector to deliver now considering PPR: 0..255; LAPIC_EXTINT when the
 * PIC has the say (LINT0 as ExtINT unmasked, or APIC disabled, and extint
 * high); -1: none. */
#define LAPIC_EXTINT 0x100
int lapic_pending(const struct lapic *l);
/* Moves a vector that lapic_pending() returned from IRR to ISR. A tick of the
 * timer that is owed may take its place in IRR (ticks_burst()). */
void lapic_take(struct lapic *l, uint8_t vector, uint64_t now);

/* To be called at or after timer_deadline: sets the timer's IRR bit if due,
 * and computes the next deadline. Periods that ended while the bit was set, or
 * since the deadline, are owed, a second's worth at most (base/ticks.h has
 * the reasons and the bounds). Returns true if something became pending.
 */
bool lapic_timer_expire(struct lapic *l, uint64_t now);

#endif
