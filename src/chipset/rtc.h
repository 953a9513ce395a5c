/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_RTC_H
#define LHYVE_CHIPSET_RTC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "base/ticks.h"
#include "bus/irq.h"
#include "bus/space.h"

#define RTC_NEVER UINT64_MAX

/*
 * The MC146818 clock with 128 bytes of CMOS memory. Pure core: `now` is
 * virtual time in ns and does not run backwards. The time of day is not
 * counted but computed: base_sec at base_ns. While the clock stands (SET,
 * divider in reset, impossible date) the bytes in ram are the time.
 */
struct rtc {
	int64_t base_sec; /* seconds since 1970 as shown */
	uint64_t base_ns;
	uint64_t seen_ns; /* flags in register C are right up to here */
	uint8_t ram[128];
	uint8_t index;
	bool running;
	struct ticks late; /* periodic interrupts that are owed */
};
extern const struct state_table rtc_state;

/* Power-on with the time to show now. */
void rtc_init(struct rtc *r, int64_t sec, uint64_t now);
/* RESET pin: interrupts off, time and memory stay. */
void rtc_reset(struct rtc *r, uint64_t now);
/* Memory sizes where bhyve's firmware looks: 0x34-0x35, 0x5b-0x5d. */
void rtc_set_memory(struct rtc *r, uint64_t lowmem, uint64_t highmem);
/* reg 0: port 0x70, 1: port 0x71. */
uint8_t rtc_read(struct rtc *r, unsigned reg, uint64_t now);
/* Whether reading port 0x71 clears the flags, and with them IRQ. */
bool rtc_clears(const struct rtc *r);
void rtc_write(struct rtc *r, unsigned reg, uint8_t val, uint64_t now);
/* Brings the flags up to now; returns the level of IRQ. */
bool rtc_update(struct rtc *r, uint64_t now);
/* Whether an alarm that was asked for is pending. */
bool rtc_alarm(const struct rtc *r);
/* When IRQ may rise next. */
uint64_t rtc_next(const struct rtc *r, uint64_t now);
/* Seconds since 1970 that the clock shows. */
int64_t rtc_time(const struct rtc *r, uint64_t now);

struct vclock;
/* The adapter: ports 0x70-0x71, IRQ8. wall_time is that of vclock 0. `alarm`
 * hears of each alarm, with no lock held. */
struct rtc_dev;
int rtc_dev_create(struct rtc_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, struct vclock *vc, int64_t wall_time,
    uint64_t lowmem, uint64_t highmem, void (*alarm)(void *arg), void *arg);
void rtc_dev_destroy(struct rtc_dev *d);
void rtc_dev_reset(struct rtc_dev *d);
/* Takes IRQ8 from the clock (HPET legacy replacement). */
void rtc_dev_mute(struct rtc_dev *d, bool mute);
void rtc_dev_dump(struct rtc_dev *d, FILE *out);

#endif
