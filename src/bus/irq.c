/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "bus/irq.h"

#define IRQ_SINKS 2

struct irq_line {
	unsigned count;
	unsigned nsinks;
	struct {
		irq_sink_fn fn;
		void *arg;
		unsigned pin;
	} sink[IRQ_SINKS];
};

struct irq_lines {
	pthread_mutex_t lock;
	struct irq_line line[IRQ_LINES];
};

int
irq_lines_create(struct irq_lines **out)
{
	struct irq_lines *il;

	il = calloc(1, sizeof(*il));
	if (il == NULL)
		return (-ENOMEM);
	pthread_mutex_init(&il->lock, NULL);
	*out = il;
	return (0);
}

void
irq_lines_destroy(struct irq_lines *il)
{
	if (il == NULL)
		return;
	pthread_mutex_destroy(&il->lock);
	free(il);
}

int
irq_connect(struct irq_lines *il, unsigned line, irq_sink_fn fn, void *arg,
    unsigned pin)
{
	struct irq_line *l;

	if (line >= IRQ_LINES)
		return (-EINVAL);
	l = &il->line[line];
	if (l->nsinks == IRQ_SINKS)
		return (-ENOSPC);
	l->sink[l->nsinks].fn = fn;
	l->sink[l->nsinks].arg = arg;
	l->sink[l->nsinks].pin = pin;
	l->nsinks++;
	return (0);
}

/* Lock held, the sinks' included: that keeps levels in order. */
static void
irq_change(struct irq_lines *il, unsigned line, int delta)
{
	struct irq_line *l = &il->line[line];
	unsigned i, old = l->count;

	if (delta > 0)
		l->count++;
	else if (l->count > 0)
		l->count--;
	if ((old != 0) == (l->count != 0))
		return;
	trace(TRACE_intr, "line %u %s", line, l->count ? "high" : "low");
	for (i = 0; i < l->nsinks; i++)
		l->sink[i].fn(l->sink[i].arg, l->sink[i].pin, l->count != 0);
}

void
irq_set(struct irq_lines *il, unsigned line, int delta)
{
	if (line >= IRQ_LINES || delta == 0)
		return;
	pthread_mutex_lock(&il->lock);
	irq_change(il, line, delta);
	pthread_mutex_unlock(&il->lock);
}

void
irq_pulse(struct irq_lines *il, unsigned line)
{
	if (line >= IRQ_LINES)
		return;
	pthread_mutex_lock(&il->lock);
	irq_change(il, line, 1);
	irq_change(il, line, -1);
	pthread_mutex_unlock(&il->lock);
}

bool
irq_level(struct irq_lines *il, unsigned line)
{
	bool level;

	if (line >= IRQ_LINES)
		return (false);
	pthread_mutex_lock(&il->lock);
	level = il->line[line].count != 0;
	pthread_mutex_unlock(&il->lock);
	return (level);
}

void
irq_source_init(struct irq_source *src, struct irq_lines *il, unsigned line)
{
	src->il = il;
	src->line = line;
	atomic_init(&src->want, false);
	atomic_init(&src->fell, false);
	src->have = false;
}

/* Lock held. */
static void
irq_source_apply(struct irq_source *src, bool level)
{
	if (level == src->have)
		return;
	src->have = level;
	if (src->line < IRQ_LINES)
		irq_change(src->il, src->line, level ? 1 : -1);
}

void
irq_sync(struct irq_source *src)
{
	pthread_mutex_lock(&src->il->lock);
	/* In this order: who wants high after low sets `fell` first. */
	if (atomic_exchange(&src->fell, false))
		irq_source_apply(src, false);
	irq_source_apply(src, atomic_load(&src->want));
	pthread_mutex_unlock(&src->il->lock);
}

void
irq_source_move(struct irq_source *src, unsigned line)
{
	pthread_mutex_lock(&src->il->lock);
	if (line != src->line) {
		irq_source_apply(src, false);
		src->line = line;
	}
	irq_source_apply(src, atomic_load(&src->want));
	pthread_mutex_unlock(&src->il->lock);
}
