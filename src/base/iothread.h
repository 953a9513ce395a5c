/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_IOTHREAD_H
#define LHYVE_BASE_IOTHREAD_H

struct mevent_loop;

/*
 * A thread that does nothing but run an event loop of its own: for a device
 * or a backend whose work must not wait for others, nor they for it. It has
 * all signals blocked that its creator has.
 */
struct iothread;

/* Starts one; `name` (at most 15 bytes) is what ps(1) shows. 0 or -errno. */
int iothread_create(struct iothread **out, const char *name);
/* Its loop. The handlers of mevent_add() are called in the thread. */
struct mevent_loop *iothread_loop(struct iothread *t);
/* Calls fn in the thread and waits for its end. 0, or -errno: not called. Not
 * from the thread itself. */
int iothread_call(struct iothread *t, void (*fn)(void *arg), void *arg);
/* Stops the loop and waits for the thread: no handler is called from now on.
 * What is still in the loop can be removed. Not from the thread itself; once
 * or more; NULL is none. */
void iothread_stop(struct iothread *t);
/* The same, and destroys both. What was added to the loop was removed before.
 * NULL is none. */
void iothread_destroy(struct iothread *t);

#endif
