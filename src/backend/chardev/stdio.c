/* SPDX-License-Identifier: BSD-2-Clause */
/* The process's own terminal, pipes or files as a character backend. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/chardev/term.h"
#include "base/log.h"
#include "base/mevent.h"

#define STDIO_BUF     65536u
#define STDIO_CHUNK   512 /* a pipe that is ready takes this much (PIPE_BUF) */
#define STDIO_POLL_MS 100
#define STDIO_ESCAPE  0x01 /* Ctrl-A */

struct stdio {
	struct chardev cd; /* first */
	struct chardev_stdio_config cfg;
	pthread_mutex_t lock; /* the input side below */
	struct mevent *ev;
	int kickfd; /* announces input that epoll cannot */
	uint8_t buf[STDIO_BUF];
	unsigned head, count;
	bool tty;
	bool direct; /* a regular file: read when asked */
	bool paused; /* buffer full */
	bool eof;
	bool escaped;     /* Ctrl-A was the last byte */
	atomic_bool dead; /* nobody will read the output */
};

/* A process has one. */
static atomic_flag term_used = ATOMIC_FLAG_INIT;

static size_t
stdio_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
	struct stdio *s = (struct stdio *)cd;
	struct pollfd pfd = {.fd = s->cfg.out_fd, .events = POLLOUT};
	size_t done = 0, n;
	ssize_t rc;

	while (done < len && !atomic_load(&s->dead)) {
		/* The descriptor may be blocking or not, as it was given to
		 * us; poll() serves both. */
		rc = poll(&pfd, 1, STDIO_POLL_MS);
		if (rc <= 0)
			continue;
		n = len - done < STDIO_CHUNK ? len - done : STDIO_CHUNK;
		rc = write(s->cfg.out_fd, buf + done, n);
		if (rc > 0)
			done += (size_t)rc;
		else if (rc < 0 && errno == ENOSPC)
			break; /* a full disk may get room again */
		else if (rc < 0 && errno != EAGAIN && errno != EINTR)
			atomic_store(&s->dead, true);
	}
	return (len); /* what nobody can read counts as sent */
}

/* Lock held. */
static void
stdio_push(struct stdio *s, uint8_t byte)
{
	if (s->count == STDIO_BUF)
		return; /* a terminal; see stdio_input() */
	s->buf[(s->head + s->count) % STDIO_BUF] = byte;
	s->count++;
}

enum stdio_command { STDIO_NONE, STDIO_QUIT, STDIO_HELP };

/* Takes a byte of input; lock held. */
static enum stdio_command
stdio_byte(struct stdio *s, uint8_t byte)
{
	if (!s->cfg.escape) {
		stdio_push(s, byte);
		return (STDIO_NONE);
	}
	if (!s->escaped) {
		if (byte == STDIO_ESCAPE)
			s->escaped = true;
		else
			stdio_push(s, byte);
		return (STDIO_NONE);
	}
	s->escaped = false;
	switch (byte) {
	case 'x':
	case 'X':
		return (STDIO_QUIT);
	case 'h':
	case '?':
		return (STDIO_HELP);
	case 'a':
	case STDIO_ESCAPE:
		stdio_push(s, STDIO_ESCAPE);
		return (STDIO_NONE);
	default: /* not for us */
		stdio_push(s, STDIO_ESCAPE);
		stdio_push(s, byte);
		return (STDIO_NONE);
	}
}

/* Does what was asked for, with no lock held. */
static void
stdio_command(struct stdio *s, enum stdio_command cmd)
{
	static const char help[] =
	    "\r\nlhyve: Ctrl-A x leave, Ctrl-A a send Ctrl-A, "
	    "Ctrl-A h this help\r\n";

	if (cmd == STDIO_QUIT && s->cfg.quit != NULL)
		s->cfg.quit(s->cfg.arg);
	else if (cmd == STDIO_HELP)
		stdio_write(&s->cd, (const uint8_t *)help, sizeof(help) - 1);
}

/* Reads once from the descriptor into the buffer; lock held. */
static enum stdio_command
stdio_fill(struct stdio *s)
{
	enum stdio_command cmd = STDIO_NONE, c;
	uint8_t tmp[256];
	size_t room = STDIO_BUF - s->count, i;
	ssize_t n;

	/* An escaped byte may become two. Somebody at a terminal must always
	 * be able to leave, so there the excess is dropped instead. */
	room /= 2;
	if (s->tty || room > sizeof(tmp))
		room = sizeof(tmp);
	if (room == 0) {
		s->paused = true;
		if (s->ev != NULL && !s->direct)
			(void)mevent_modify(s->ev, 0);
		return (STDIO_NONE);
	}
	n = read(s->cfg.in_fd, tmp, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return (STDIO_NONE);
	if (n <= 0) {
		/* The end stays readable: do not watch it any more. */
		s->eof = true;
		if (s->ev != NULL && !s->direct)
			(void)mevent_modify(s->ev, 0);
		return (STDIO_NONE);
	}
	for (i = 0; i < (size_t)n; i++) {
		c = stdio_byte(s, tmp[i]);
		/* Whoever wants to leave does, whatever comes with it. */
		if (c != STDIO_NONE && cmd != STDIO_QUIT)
			cmd = c;
	}
	return (cmd);
}

static void
stdio_input(void *arg, unsigned ready)
{
	struct stdio *s = arg;
	struct pollfd pfd = {.fd = s->cfg.in_fd, .events = POLLIN};
	enum stdio_command cmd = STDIO_NONE;
	bool any;

	(void)ready;
	pthread_mutex_lock(&s->lock);
	/* Somebody else with the same terminal may have been faster, and the
	 * read would block. */
	if (!s->eof && poll(&pfd, 1, 0) > 0)
		cmd = stdio_fill(s);
	any = s->count != 0;
	pthread_mutex_unlock(&s->lock);
	stdio_command(s, cmd);
	if (any && s->cd.ready != NULL)
		s->cd.ready(s->cd.arg);
}

/* A regular file is always readable and nothing epoll takes: say once that
 * there is input, and read it when asked. */
static void
stdio_kick(void *arg, unsigned ready)
{
	struct stdio *s = arg;
	uint64_t count;

	(void)ready;
	if (read(s->kickfd, &count, sizeof(count)) > 0 && s->cd.ready != NULL)
		s->cd.ready(s->cd.arg);
}

static void
stdio_start(struct chardev *cd)
{
	struct stdio *s = (struct stdio *)cd;
	uint64_t one = 1;
	int error;

	if (s->cfg.in_fd < 0) {
		s->eof = true;
		return;
	}
	error = mevent_add(
	    s->cfg.loop, s->cfg.in_fd, MEVENT_READ, stdio_input, s, &s->ev);
	if (error != -EPERM) {
		s->eof = error != 0;
		return;
	}
	s->direct = true;
	s->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->kickfd < 0 ||
	    mevent_add(s->cfg.loop, s->kickfd, MEVENT_READ, stdio_kick, s,
		&s->ev) != 0 ||
	    write(s->kickfd, &one, sizeof(one)) < 0)
		s->eof = true;
}

static size_t
stdio_read(struct chardev *cd, uint8_t *buf, size_t len)
{
	struct stdio *s = (struct stdio *)cd;
	enum stdio_command cmd = STDIO_NONE;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (s->direct && !s->eof && s->count == 0)
		cmd = stdio_fill(s);
	while (n < len && s->count > 0) {
		buf[n++] = s->buf[s->head];
		s->head = (s->head + 1) % STDIO_BUF;
		s->count--;
	}
	if (s->paused && s->count <= STDIO_BUF / 2) {
		s->paused = false;
		if (s->ev != NULL && !s->direct)
			(void)mevent_modify(s->ev, MEVENT_READ);
	}
	pthread_mutex_unlock(&s->lock);
	stdio_command(s, cmd);
	return (n);
}

static void
stdio_hangup(struct chardev *cd)
{
	atomic_store(&((struct stdio *)cd)->dead, true);
}

static void
stdio_destroy(struct chardev *cd)
{
	struct stdio *s = (struct stdio *)cd;

	mevent_remove(s->ev);
	if (s->kickfd >= 0)
		close(s->kickfd);
	if (s->tty) {
		term_restore(s->cfg.in_fd);
		log_set_raw(false);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
	atomic_flag_clear(&term_used);
}

static const struct chardev_ops stdio_ops = {
    .name = "stdio",
    .write = stdio_write,
    .read = stdio_read,
    .start = stdio_start,
    .hangup = stdio_hangup,
    .destroy = stdio_destroy,
};

int
chardev_stdio_create(
    struct chardev **out, const struct chardev_stdio_config *cfg)
{
	struct stdio *s;

	if (atomic_flag_test_and_set(&term_used))
		return (-EBUSY);
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		atomic_flag_clear(&term_used);
		return (-ENOMEM);
	}
	s->cd.ops = &stdio_ops;
	s->cfg = *cfg;
	s->kickfd = -1;
	pthread_mutex_init(&s->lock, NULL);
	/* A reader that went away is an error of write(), not our end. */
	signal(SIGPIPE, SIG_IGN);
	s->tty = cfg->in_fd >= 0 && isatty(cfg->in_fd);
	if (s->tty) {
		if (term_raw(cfg->in_fd) == 0)
			log_set_raw(isatty(STDERR_FILENO));
	}
	*out = &s->cd;
	return (0);
}
