/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_PIT_H
#define LHYVE_CHIPSET_PIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "base/ticks.h"
#include "bus/space.h"

#define PIT_HZ    1193182u
#define PIT_NEVER UINT64_MAX

/*
 * The 8254 timer and port 0x61 around its channel 2. Pure core: `now` is
 * virtual time in ns and does not run backwards. Arrays are by channel.
 */
struct pit {
	uint64_t start[3];   /* ns when the count was loaded or triggered */
	uint64_t held[3];    /* ns counted before the gate fell */
	uint32_t reload[3];  /* 1 ... 65536 */
	uint32_t next[3];    /* count to come in modes 2 and 3; 0: none */
	uint64_t next_at[3]; /* ns when it is loaded */
	bool next_low[3];    /* then OUT falls: half of a period of mode 3 */
	uint16_t latch[3];   /* latched count */
	uint8_t latched[3];  /* its bytes still to be read */
	uint8_t status[3];   /* latched status */
	bool status_latched[3];
	uint8_t mode[3];      /* 0-5 */
	uint8_t access[3];    /* 1 LSB, 2 MSB, 3 both */
	uint8_t write_lsb[3]; /* first byte of two */
	bool write_msb_next[3];
	bool read_msb_next[3];
	bool bcd[3];
	bool null_count[3];
	bool armed[3]; /* counting, or has counted */
	bool gate[3];
	uint8_t port61; /* bits 3-0 as written */
	/* Interrupts of channel 0. */
	uint64_t edge;	   /* its next one, ns */
	struct ticks late; /* those before it that are owed */
};
extern const struct state_table pit_state;

void pit_reset(struct pit *p, uint64_t now);
/* Ports 0x40-0x43. */
uint8_t pit_read(struct pit *p, unsigned reg, uint64_t now);
void pit_write(struct pit *p, unsigned reg, uint8_t val, uint64_t now);
uint8_t pit_port61_read(struct pit *p, uint64_t now);
void pit_port61_write(struct pit *p, uint8_t val, uint64_t now);
void pit_set_gate(struct pit *p, unsigned ch, bool level, uint64_t now);
bool pit_out(struct pit *p, unsigned ch, uint64_t now);
/* The first time after `now` at which the output of the channel rises. */
uint64_t pit_next_edge(struct pit *p, unsigned ch, uint64_t now);

/* Whether IRQ0 has to be pulsed for the edges of channel 0 up to now; before
 * each write, and at `edge`. `heard`: somebody would see it. */
bool pit_tick(struct pit *p, bool heard, uint64_t now);
/* The interrupt of channel 0 was acknowledged; true: another is owed. */
bool pit_ack(struct pit *p, uint64_t now);

struct vclock;
/* The adapter: ports 0x40-0x43, 0x61; irq0 is called for each rising edge
 * of channel 0, with no lock held; heard asks whether that would reach a
 * processor, and takes no lock. */
struct pit_dev;
int pit_dev_create(struct pit_dev **out, struct bus_space *ports,
    struct vclock *vc, void (*irq0)(void *arg), bool (*heard)(void *arg),
    void *arg);
/* IRQ0 was acknowledged. Any thread; may call irq0. */
void pit_dev_ack(struct pit_dev *d);
void pit_dev_destroy(struct pit_dev *d);
void pit_dev_reset(struct pit_dev *d);
void pit_dev_dump(struct pit_dev *d, FILE *out);

#endif
