/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_VCLOCK_H
#define LHYVE_BASE_VCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct mevent_loop;

/*
 * The virtual clock: nanoseconds of virtual time since the machine was
 * created. It is the only source of time for chips and engines. It stands
 * still while paused.
 */
struct vclock;

#define VCLOCK_NEVER UINT64_MAX

/* Creates a running clock at 0; timers fire from the loop's thread.
 * 0 or -errno. */
int vclock_create(struct vclock **out, struct mevent_loop *loop);
void vclock_destroy(struct vclock *vc);
/* Current virtual time in ns. Any thread; takes no lock. */
uint64_t vclock_now(const struct vclock *vc);
void vclock_pause(struct vclock *vc);
void vclock_resume(struct vclock *vc);

/*
 * A one-shot timer. The callback runs in the event loop's thread with no
 * lock held, once the virtual time is at or after the deadline; it may arm
 * its timer again. The caller owns the storage.
 */
struct vtimer {
	struct vclock *vc;
	void (*fn)(void *arg);
	void *arg;
	uint64_t deadline; /* ns of virtual time; VCLOCK_NEVER: not armed */
	struct vtimer *next;
};
void vtimer_init(
    struct vtimer *t, struct vclock *vc, void (*fn)(void *), void *arg);
/* Arms or moves the timer; VCLOCK_NEVER disarms. Any thread. A deadline in
 * the past fires as soon as the loop runs. */
void vtimer_arm(struct vtimer *t, uint64_t deadline_ns);
/* Disarms; on return the callback is neither pending nor running, unless
 * called from the loop's own thread. */
void vtimer_cancel(struct vtimer *t);

#endif
