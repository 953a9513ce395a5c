/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_MEVENT_H
#define LHYVE_BASE_MEVENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An event loop over epoll. One thread runs it (mevent_run); handlers are
 * called from that thread only. Handlers may be added and removed from any
 * thread.
 */
struct mevent_loop;
struct mevent;

int mevent_loop_create(struct mevent_loop **out); /* 0 or -errno */
void mevent_loop_destroy(struct mevent_loop *loop);
/* Runs until mevent_stop(); 0 or -errno. */
int mevent_run(struct mevent_loop *loop);
/*
 * The same for a thread that has more to wait for than the loop knows:
 * instead of sleeping, the loop calls wait(arg, fd), which returns when fd is
 * readable, or earlier. It is called in the loop's thread with no lock held.
 */
int mevent_run_with(
    struct mevent_loop *loop, void (*wait)(void *arg, int fd), void *arg);
/* Makes mevent_run() return. Any thread, also a signal handler. */
void mevent_stop(struct mevent_loop *loop);
/* True in the thread that is inside mevent_run(). */
bool mevent_in_loop(const struct mevent_loop *loop);

#define MEVENT_READ 1u
#define MEVENT_WRITE 2u
/* Watches fd (not owned); fn gets the ready bits. 0 or -errno (-EPERM for
 * a regular file). */
int mevent_add(struct mevent_loop *loop, int fd, unsigned events,
    void (*fn)(void *arg, unsigned ready), void *arg, struct mevent **out);
/* Changes what is watched; 0 events: registered but silent. */
int mevent_modify(struct mevent *ev, unsigned events);
/* Removes and frees; on return fn is not running unless called from it. */
void mevent_remove(struct mevent *ev);

#endif
