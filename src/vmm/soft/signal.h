/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_SIGNAL_H
#define LHYVE_SOFT_SIGNAL_H

#include <signal.h>

#include "vmm/soft/soft.h"

struct soft_signal {
	void *stack;
	stack_t old;
	sigset_t mask;
	struct soft_cpu *outer;
};

/* Installs the handlers, once for the process; other faults than those of
 * translated code go to whoever had them before. */
void soft_signal_init(void);
/* Around the time that a thread may execute translated code. 0 or -errno. */
int soft_signal_enter(struct soft_cpu *cpu, struct soft_signal *s);
void soft_signal_leave(struct soft_signal *s);

#endif
