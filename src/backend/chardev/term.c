/* SPDX-License-Identifier: BSD-2-Clause */
/* Terminals in raw mode, and the way back for every way to end. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "backend/chardev/term.h"
#include "base/log.h"

/* stdio and four serial ports. */
#define TERMS 5

#define TERM_FREE   (-1)
#define TERM_MAKING (-2)

/*
 * What a signal handler or exit() needs to give terminals back: a handler
 * has no argument.
 */
static struct {
	atomic_int fd;
	struct termios saved;
} terms[TERMS] = {
    {.fd = TERM_FREE},
    {.fd = TERM_FREE},
    {.fd = TERM_FREE},
    {.fd = TERM_FREE},
    {.fd = TERM_FREE},
};

/* Without stopping a process in the background. Async-signal-safe. */
static int
term_set(int fd, const struct termios *t)
{
	sigset_t set, old;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	rc = tcsetattr(fd, TCSANOW, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (rc);
}

int
term_raw(int fd)
{
	struct termios raw;
	unsigned i;
	int none, error;

	for (i = 0; i < TERMS; i++) {
		none = TERM_FREE;
		if (atomic_compare_exchange_strong(
			&terms[i].fd, &none, TERM_MAKING))
			break;
	}
	if (i == TERMS)
		return (-EBUSY);
	if (tcgetattr(fd, &terms[i].saved) != 0) {
		error = -errno;
		atomic_store(&terms[i].fd, TERM_FREE);
		return (error);
	}
	raw = terms[i].saved;
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	/* First the way back, then the change. */
	(void)atexit(chardev_stdio_restore);
	atomic_store(&terms[i].fd, fd);
	if (term_set(fd, &raw) != 0) {
		error = -errno;
		atomic_store(&terms[i].fd, TERM_FREE);
		return (error);
	}
	return (0);
}

void
term_restore(int fd)
{
	unsigned i;
	int want;

	for (i = 0; i < TERMS; i++) {
		want = fd;
		if (fd >= 0 && atomic_compare_exchange_strong(&terms[i].fd,
				   &want, TERM_MAKING)) {
			term_set(fd, &terms[i].saved);
			atomic_store(&terms[i].fd, TERM_FREE);
		}
	}
}

void
chardev_stdio_restore(void)
{
	int saved = errno, fd;
	unsigned i;

	for (i = 0; i < TERMS; i++) {
		fd = atomic_load(&terms[i].fd);
		if (fd >= 0)
			term_restore(fd);
	}
	log_set_raw(false);
	errno = saved;
}
