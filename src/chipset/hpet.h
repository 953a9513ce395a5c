/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_HPET_H
#define LHYVE_CHIPSET_HPET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "base/ticks.h"
#include "bus/irq.h"
#include "bus/space.h"

#define HPET_TIMERS  8
#define HPET_TICK_NS 100u /* 10 MHz */
#define HPET_NEVER   UINT64_MAX

/*
 * IA-PC HPET 1.0a with bhyve's numbers: 8 timers, a 32-bit counter of 10
 * MHz, every timer periodic and FSB capable, routes to lines 20-23, and the
 * legacy replacement route. Pure core; `now` in ns does not run backwards.
 */
struct hpet {
	uint64_t conf;       /* general configuration */
	uint32_t status;     /* general interrupt status */
	uint64_t base_count; /* counter at base_ns, not cut to 32 bits */
	uint64_t base_ns;
	uint32_t tconf[HPET_TIMERS]; /* writable bits */
	uint32_t cmp[HPET_TIMERS];
	uint32_t period[HPET_TIMERS];
	uint64_t fsb[HPET_TIMERS];
	uint64_t due[HPET_TIMERS]; /* next match, as base_count counts */
	struct ticks late[HPET_TIMERS]; /* of periodic timers */
};
extern const struct state_table hpet_state;

void hpet_reset(struct hpet *h, uint64_t now);
/* Dwords at aligned offsets. */
uint32_t hpet_read(const struct hpet *h, uint32_t offset, uint64_t now);
void hpet_write(struct hpet *h, uint32_t offset, uint32_t val, uint64_t now);
/* Works off the matches up to now; returns the timers that have an edge or
 * a message to send. Also before a write: it may change who was due. `heard`
 * are the timers whose interrupt would reach a processor. */
uint32_t hpet_expire(struct hpet *h, uint32_t heard, uint64_t now);
/* The interrupts of these timers were acknowledged; returns those that owe
 * another edge or message. */
uint32_t hpet_ack(struct hpet *h, uint32_t timers, uint64_t now);
/* Timers that wait for an acknowledgement. */
uint32_t hpet_waiting(const struct hpet *h);
/* Time of the next match that interrupts. */
uint64_t hpet_next(const struct hpet *h);
/* The line of a timer (0: IRQ0), or -1. */
int hpet_line(const struct hpet *h, unsigned timer);
/* Whether a level-triggered timer holds its line. */
bool hpet_level(const struct hpet *h, unsigned timer);
/* Whether the timer sends messages instead. */
bool hpet_fsb(const struct hpet *h, unsigned timer);
/* True while the timers 0 and 1 replace PIT and RTC. */
bool hpet_legacy(const struct hpet *h);

struct vclock;
/* The adapter: 1 KiB of MMIO. `legacy` hears when the legacy replacement is
 * switched; it must not call back. `heard` asks whether a line reaches a
 * processor, and takes no lock. */
struct hpet_dev;
int hpet_dev_create(struct hpet_dev **out, struct bus_space *mmio,
    uint64_t base, struct irq_lines *irqs, const struct msi_sink *msi,
    struct vclock *vc, void (*legacy)(void *arg, bool on),
    bool (*heard)(void *arg, unsigned line), void *arg);
/* Interrupts were acknowledged: edges on these lines (a mask), or a message
 * with that vector (-1: none). Any thread; may drive lines, send messages. */
void hpet_dev_ack(struct hpet_dev *d, uint32_t lines, int vector);
void hpet_dev_destroy(struct hpet_dev *d);
void hpet_dev_reset(struct hpet_dev *d);
void hpet_dev_dump(struct hpet_dev *d, FILE *out);

#endif
