/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_LAPIC_PRIV_H
#define LHYVE_VMM_LAPIC_PRIV_H

#include "vmm/lapic.h"

/* What the files of the local APIC share; sections as in lapic.c. */
#define SVR_ENABLE 0x100u
#define SVR_NO_BROADCAST 0x1000u
#define SVR_VALID 0x13ffu
#define LVT_MASKED 0x10000u
#define LVT_LEVEL 0x8000u
#define LVT_REMOTE_IRR 0x4000u
#define LVT_ACTIVE_LOW 0x2000u
#define LVT_DM(v) (((v) >> 8) & 7)
#define LVT_TIMER_MODE(v) (((v) >> 17) & 3)
enum { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_DEADLINE };
enum {
	DM_FIXED, DM_LOWEST, DM_SMI, DM_NMI = 4, DM_INIT, DM_STARTUP, DM_EXTINT
};

/* 11.4.7.2 */
static inline bool
lapic_software_enabled(const struct lapic *l)
{
	return (lapic_enabled(l) && (l->svr & SVR_ENABLE) != 0);
}

/* ---- the timer (lapic_timer.c); times are ns of virtual time ---- */

/* A vector was taken, maybe the timer's; true: its next comes at once. */
bool lapic_timer_taken(struct lapic *l, uint8_t vector, uint64_t now);
/* The current count. */
uint32_t lapic_timer_current(const struct lapic *l, uint64_t now);
void lapic_timer_stop(struct lapic *l, struct lapic_action *act);
/* Writes of the initial count, divide configuration and IA32_TSC_DEADLINE. */
void lapic_timer_icr(struct lapic *l, uint32_t val, uint64_t now,
    struct lapic_action *act);
void lapic_timer_dcr(struct lapic *l, uint32_t val, uint64_t now,
    struct lapic_action *act);
void lapic_timer_tsc(
    struct lapic *l, uint64_t val, struct lapic_action *act);

#endif
