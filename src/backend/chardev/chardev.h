/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_CHARDEV_H
#define LHYVE_BACKEND_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mevent_loop;

/*
 * A character backend: the host's end of a serial line. Output is taken as
 * it comes; input is fetched by the device (chardev_read) when it has room,
 * and is announced by the ready handler.
 */
struct chardev;

struct chardev_ops {
	const char *name;
	size_t (*write)(struct chardev *cd, const uint8_t *buf, size_t len);
	size_t (*read)(struct chardev *cd, uint8_t *buf, size_t len);
	void (*start)(struct chardev *cd);  /* may be NULL */
	void (*hangup)(struct chardev *cd); /* may be NULL */
	void (*destroy)(struct chardev *cd);
};

/* The part of every backend that the front knows; comes first in it. */
struct chardev {
	const struct chardev_ops *ops;
	void (*ready)(void *arg);
	void *arg;
	/* Where it is on the host, for the user: "/dev/pts/3". */
	char where[128];
};

/* Sends bytes; returns how many were taken. May wait for a slow receiver,
 * never for one that is gone (bytes are dropped then). A socket or a
 * pseudo-terminal is waited for at most half of the time, and 0.5 s in one
 * piece; for a terminal, 0.25 s. What then has no room is dropped, until
 * half of what waits has been taken. Any thread, with no
 * lock held that the event loop takes. */
size_t chardev_write(struct chardev *cd, const void *buf, size_t len);
/* Fetches what has arrived, at most len bytes; 0: nothing now. Never waits.
 * Any thread. */
size_t chardev_read(struct chardev *cd, void *buf, size_t len);
/* Sets who hears of input, and starts it. `ready` is called in the event
 * loop's thread with no lock held, when there is input after there was
 * none, or again at any time. Call once, before the machine runs. */
void chardev_start(struct chardev *cd, void (*ready)(void *arg), void *arg);
/* From now on output is dropped; a chardev_write() that waits for a slow
 * receiver returns within 0.1 s. For the end of the machine. Any thread. */
void chardev_hangup(struct chardev *cd);
/* The event loop does not run any more, or never again calls `ready`. A line
 * that was not hung up gives its peer 0.5 s to read what is left. */
void chardev_destroy(struct chardev *cd);

/* Swallows output, has no input. 0 or -errno. */
int chardev_null_create(struct chardev **out);

struct chardev_stdio_config {
	struct mevent_loop *loop;
	int in_fd, out_fd; /* not owned; usually 0 and 1; in_fd -1: no input */
	/* Interpret Ctrl-A (x: leave, h: help, a or Ctrl-A: itself). */
	bool escape;
	/* Ctrl-A x, in the event loop's thread, or where chardev_read() is
	 * called if the input is a file. NULL: it does nothing. */
	void (*quit)(void *arg);
	void *arg;
};
/* The terminal (or pipe, or file, ...) of the process. If in_fd is a
 * terminal it becomes raw until destroy, exit or chardev_stdio_restore().
 * One at a time: -EBUSY. 0 or -errno. */
int chardev_stdio_create(
    struct chardev **out, const struct chardev_stdio_config *cfg);
/*
 * A serial line to the host. Each keeps what the receiver has not taken yet
 * (CHARDEV_LINE_BUF bytes). 0 or -errno.
 */
#define CHARDEV_LINE_BUF 262144u
/* A terminal device; raw until the end. -ENOTTY: it is none. */
int chardev_tty_create(
    struct chardev **out, struct mevent_loop *loop, const char *path);
/* A new pseudo-terminal; `where` is its other end's name. */
int chardev_pty_create(struct chardev **out, struct mevent_loop *loop);
/* Listens at "ip:port" or "[ip6]:port"; one peer at a time, others are
 * turned away. -EINVAL: no such address. */
int chardev_tcp_create(
    struct chardev **out, struct mevent_loop *loop, const char *addr);
/* The same at a path. The socket is removed by destroy, and one that nobody
 * listens to is replaced. -EADDRINUSE, -ENAMETOOLONG and so on. */
int chardev_unix_create(
    struct chardev **out, struct mevent_loop *loop, const char *path);

/* Puts all terminals back as they were. Async-signal-safe, may be called at any
 * time and more than once; also done by atexit. */
void chardev_stdio_restore(void);

#endif
