/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BUS_IRQ_H
#define LHYVE_BUS_IRQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Interrupt lines. A line is high while anybody asserts it (a count), so
 * that level-triggered lines can be shared. Lines 0-15 are the ISA IRQs,
 * 16 and up are IOAPIC pins only.
 *
 * Locking: a sink is called with the lines' own lock held, which keeps the
 * levels in order. A sink therefore never calls back into the lines. Who
 * drives a line holds no lock of its own. Order: lines -> PIC, IOAPIC ->
 * local APIC.
 */
#define IRQ_LINES 32

struct irq_lines;

typedef void (*irq_sink_fn)(void *arg, unsigned pin, bool level);

int irq_lines_create(struct irq_lines **out); /* 0 or -errno */
void irq_lines_destroy(struct irq_lines *il);
/* Connects a line to a controller's pin; at most two sinks a line. Only
 * while no device runs. 0, -EINVAL or -ENOSPC. */
int irq_connect(struct irq_lines *il, unsigned line, irq_sink_fn fn, void *arg,
    unsigned pin);

/* Asserts (+1) or releases (-1) a line once. Any thread. A line that does
 * not exist is ignored; releasing a line that is low too. */
void irq_set(struct irq_lines *il, unsigned line, int delta);
/* Assert and release: an edge, whatever else the line does. */
void irq_pulse(struct irq_lines *il, unsigned line);
bool irq_level(struct irq_lines *il, unsigned line);

/*
 * One device's hold on a line. The device stores what it wants under its
 * own lock (irq_want), unlocks, and calls irq_sync(): whichever thread comes
 * last brings the line to the level that was wanted last, so that two
 * threads cannot leave it wrong by overtaking each other. A level that was
 * low in between is seen as low: an input that waits for edges would wait
 * for ever otherwise.
 */
struct irq_source {
	struct irq_lines *il;
	unsigned line;
	atomic_bool want;
	atomic_bool fell; /* low was wanted, and has not been shown yet */
	bool have; /* by the lines' lock */
};
void irq_source_init(
    struct irq_source *src, struct irq_lines *il, unsigned line);
static inline void
irq_want(struct irq_source *src, bool level)
{
	if (!level)
		atomic_store(&src->fell, true);
	atomic_store(&src->want, level);
}
void irq_sync(struct irq_source *src);
/* Moves the source to another line, taking its level along. */
void irq_source_move(struct irq_source *src, unsigned line);

/* Where message-signalled interrupts go; machine points it at vm_msi() and
 * vm_want_eoi(). The latter may be NULL. */
struct msi_sink {
	void (*send)(void *arg, uint64_t addr, uint32_t data);
	void *arg;
	void (*want_eoi)(void *arg, uint64_t addr, uint32_t data);
};
static inline void
msi_send(const struct msi_sink *sink, uint64_t addr, uint32_t data)
{
	if (sink->send)
		sink->send(sink->arg, addr, data);
}
static inline void
msi_want_eoi(const struct msi_sink *sink, uint64_t addr, uint32_t data)
{
	if (sink->want_eoi)
		sink->want_eoi(sink->arg, addr, data);
}

#endif
