/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A serial line over a descriptor. Output that the peer has not taken is
 * kept, up to a limit; input stays in the kernel until the device asks.
 *
 * The event loop's thread alone opens and closes connections: whoever else
 * finds that the peer has gone says so, and watches for input, which a
 * connection that has ended always has. The line's lock comes before the
 * event loop's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/chardev/line.h"
#include "backend/chardev/term.h"
#include "base/log.h"
#include "base/mevent.h"

#define NS_PER_MS UINT64_C(1000000)
/* How long a vcpu waits for a wire, and for a peer at most at once. */
#define WAIT_PATIENT (250 * NS_PER_MS)
#define WAIT_CREDIT  (500 * NS_PER_MS)
/* How long the end of the machine does. */
#define WAIT_DRAIN (500 * NS_PER_MS)

struct line {
	struct chardev cd; /* first */
	struct line_config cfg;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t moved; /* there is room, or nobody */
	struct mevent *listen_ev, *ev;
	unsigned watch; /* what ev watches */
	bool gone;      /* the peer has left: the loop's thread closes */
	bool dropping;  /* it does not read */
	bool dead;      /* hung up */
	uint64_t credit, since; /* ns that may be waited, known when */
	unsigned head, count;
	uint8_t *buf;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec);
}

/* Lock held. */
static void
line_watch(struct line *l, unsigned events)
{
	if (l->ev == NULL || l->watch == events)
		return;
	l->watch = events;
	(void)mevent_modify(l->ev, events);
}

/* The peer has left; lock held, any thread. */
static void
line_gone(struct line *l)
{
	l->gone = true;
	l->count = 0;
	(void)pthread_cond_broadcast(&l->moved);
	line_watch(l, l->watch | MEVENT_READ);
}

/* Sends what waits; lock held. */
static void
line_flush(struct line *l)
{
	unsigned n;
	ssize_t rc;

	while (l->count > 0 && !l->gone) {
		n = CHARDEV_LINE_BUF - l->head;
		if (n > l->count)
			n = l->count;
		rc = write(l->cfg.fd, l->buf + l->head, n);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0 && errno == EAGAIN)
			break;
		if (rc <= 0) {
			line_gone(l);
			return;
		}
		l->head = (l->head + (unsigned)rc) % CHARDEV_LINE_BUF;
		l->count -= (unsigned)rc;
	}
	if (l->count <= CHARDEV_LINE_BUF / 2)
		l->dropping = false;
	if (l->count < CHARDEV_LINE_BUF)
		(void)pthread_cond_broadcast(&l->moved);
}

/*
 * Waits for room, with the lock, as long as a guest may be held up: half of
 * the time in the long run, unless the peer is a wire.
 */
static void
line_wait(struct line *l)
{
	uint64_t start = now_ns(), most, now = start;
	struct timespec until;

	if (mevent_in_loop(l->cfg.loop))
		return;
	l->credit += (start - l->since) / 2;
	if (l->credit > WAIT_CREDIT)
		l->credit = WAIT_CREDIT;
	most = start + (l->cfg.patient ? WAIT_PATIENT : l->credit);
	until.tv_sec = (time_t)(most / (1000 * NS_PER_MS));
	until.tv_nsec = (long)(most % (1000 * NS_PER_MS));
	while (l->count == CHARDEV_LINE_BUF && !l->gone && !l->dead &&
	    now < most) {
		(void)pthread_cond_timedwait(&l->moved, &l->lock, &until);
		now = now_ns();
	}
	l->credit -= now - start < l->credit ? now - start : l->credit;
	l->since = now;
}

static size_t
line_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
	struct line *l = (struct line *)cd;
	size_t i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; i < len; i++) {
		if (l->count == CHARDEV_LINE_BUF && !l->dropping) {
			line_wait(l);
			l->dropping = l->count == CHARDEV_LINE_BUF;
		}
		if (l->cfg.fd < 0 || l->gone || l->dead || l->dropping)
			break;
		l->buf[(l->head + l->count) % CHARDEV_LINE_BUF] = buf[i];
		l->count++;
		/* Who waits for room must be woken by it. */
		if (l->count == CHARDEV_LINE_BUF)
			line_watch(l, l->watch | MEVENT_WRITE);
	}
	if ((l->watch & MEVENT_WRITE) == 0)
		line_flush(l);
	if (l->count > 0)
		line_watch(l, l->watch | MEVENT_WRITE);
	pthread_mutex_unlock(&l->lock);
	return (len);
}

static size_t
line_read(struct chardev *cd, uint8_t *buf, size_t len)
{
	struct line *l = (struct line *)cd;
	ssize_t n = 0;

	pthread_mutex_lock(&l->lock);
	if (l->cfg.fd >= 0 && !l->gone && len > 0) {
		n = read(l->cfg.fd, buf, len);
		/* Who has sent all may want to read the rest, until another
		 * comes; its end would be readable all the time. */
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			line_watch(l, l->watch | MEVENT_READ);
		else if (n < 0 || (n == 0 && l->cfg.listen_fd < 0))
			line_gone(l);
	}
	pthread_mutex_unlock(&l->lock);
	return (n > 0 ? (size_t)n : 0);
}

/* Lock held; the loop's thread, or nobody else is there. */
static void
line_close(struct line *l)
{
	mevent_remove(l->ev);
	l->ev = NULL;
	l->watch = 0;
	if (l->cfg.fd >= 0) {
		if (l->cfg.restore)
			term_restore(l->cfg.fd);
		(void)close(l->cfg.fd);
	}
	l->cfg.fd = -1;
	l->gone = l->dropping = false;
	l->head = l->count = 0;
	(void)pthread_cond_broadcast(&l->moved);
	if (l->listen_ev != NULL)
		(void)mevent_modify(l->listen_ev, MEVENT_READ);
}

static void
line_event(void *arg, unsigned ready)
{
	struct line *l = arg;
	bool input = false;

	pthread_mutex_lock(&l->lock);
	if (!l->gone && (ready & MEVENT_WRITE) != 0) {
		line_flush(l);
		if (l->count == 0)
			line_watch(l, l->watch & ~MEVENT_WRITE);
	}
	if (l->gone) {
		line_close(l);
	} else if ((ready & MEVENT_READ) != 0) {
		/* Once; line_read() asks for more when it has all. */
		line_watch(l, l->watch & ~MEVENT_READ);
		input = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (input && l->cd.ready != NULL)
		l->cd.ready(l->cd.arg);
}

/* Has the peer closed its end? */
static bool
has_left(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};

	return (poll(&pfd, 1, 0) > 0 &&
		(pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

/* A peer that is cut off is noticed after a minute. */
static void
set_socket(int fd)
{
	static const struct {
		int level, name, val;
	} opts[] = {
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 30},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 10},
	    {IPPROTO_TCP, TCP_KEEPCNT, 3},
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	};
	size_t i;

	/* The last four fail for a Unix socket. */
	for (i = 0; i < sizeof(opts) / sizeof(opts[0]); i++)
		(void)setsockopt(fd, opts[i].level, opts[i].name, &opts[i].val,
		    sizeof(opts[i].val));
}

static void
line_accept(void *arg, unsigned ready)
{
	struct line *l = arg;
	int fd;

	(void)ready;
	fd = accept4(
	    l->cfg.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	pthread_mutex_lock(&l->lock);
	if (fd < 0) {
		/* Out of descriptors: until one is closed here, it would
		 * fail again and again. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			(void)mevent_modify(l->listen_ev, 0);
		goto out;
	}
	if (l->cfg.fd >= 0 && (l->gone || has_left(l->cfg.fd)))
		line_close(l);
	if (l->cfg.fd >= 0) {
		(void)close(fd);
		goto out;
	}
	set_socket(fd);
	l->cfg.fd = fd;
	l->watch = MEVENT_READ;
	if (mevent_add(l->cfg.loop, fd, MEVENT_READ, line_event, l, &l->ev) !=
	    0)
		line_close(l);
out:
	pthread_mutex_unlock(&l->lock);
}

static void
line_start(struct chardev *cd)
{
	struct line *l = (struct line *)cd;
	int error = 0;

	pthread_mutex_lock(&l->lock);
	if (l->cfg.fd >= 0) {
		l->watch = MEVENT_READ;
		error = mevent_add(l->cfg.loop, l->cfg.fd, MEVENT_READ,
		    line_event, l, &l->ev);
		if (error != 0)
			line_close(l);
	} else if (l->cfg.listen_fd >= 0) {
		error = mevent_add(l->cfg.loop, l->cfg.listen_fd, MEVENT_READ,
		    line_accept, l, &l->listen_ev);
	}
	pthread_mutex_unlock(&l->lock);
	if (error != 0)
		log_warn("%s: cannot be watched: %s", cd->where,
		    strerror(-error));
}

static void
line_hangup(struct chardev *cd)
{
	struct line *l = (struct line *)cd;

	pthread_mutex_lock(&l->lock);
	l->dead = true;
	(void)pthread_cond_broadcast(&l->moved);
	pthread_mutex_unlock(&l->lock);
}

static void
close_fds(const struct line_config *cfg)
{
	struct stat st;

	if (cfg->fd >= 0 && cfg->restore)
		term_restore(cfg->fd);
	if (cfg->fd >= 0)
		(void)close(cfg->fd);
	if (cfg->listen_fd >= 0)
		(void)close(cfg->listen_fd);
	if (cfg->keep_fd >= 0)
		(void)close(cfg->keep_fd);
	if (cfg->unlink != NULL && lstat(cfg->unlink, &st) == 0 &&
	    st.st_dev == cfg->dev && st.st_ino == cfg->ino)
		(void)unlink(cfg->unlink);
}

/* The last words, for a peer that reads them; the event loop has ended. What
 * a pseudo-terminal's other side has not read goes when this side is closed.
 * Lock held. */
static void
line_drain(struct line *l)
{
	struct pollfd pfd = {.fd = l->cfg.fd, .events = POLLOUT};
	uint64_t end = now_ns() + WAIT_DRAIN;
	unsigned quiet = 0;
	int unread;

	line_flush(l);
	while (l->count > 0 && !l->gone && now_ns() < end)
		if (poll(&pfd, 1, 10) > 0)
			line_flush(l);
	/* A worker of the kernel moves it to where it is counted: nothing is
	 * there only if nothing comes for a while. */
	while (l->cfg.keep_fd >= 0 && quiet < 10 && now_ns() < end) {
		if (ioctl(l->cfg.keep_fd, FIONREAD, &unread) != 0)
			break;
		quiet = unread > 0 ? 0 : quiet + 1;
		(void)poll(NULL, 0, 10);
	}
}

static void
line_destroy(struct chardev *cd)
{
	struct line *l = (struct line *)cd;

	mevent_remove(l->listen_ev);
	l->listen_ev = NULL;
	pthread_mutex_lock(&l->lock);
	if (l->cfg.fd >= 0 && !l->gone && !l->dead)
		line_drain(l);
	line_close(l);
	pthread_mutex_unlock(&l->lock);
	close_fds(&l->cfg);
	pthread_cond_destroy(&l->moved);
	pthread_mutex_destroy(&l->lock);
	free((char *)(uintptr_t)l->cfg.unlink);
	free(l->buf);
	free(l);
}

static const struct chardev_ops line_ops = {
    .name = "line",
    .write = line_write,
    .read = line_read,
    .start = line_start,
    .hangup = line_hangup,
    .destroy = line_destroy,
};

int
line_create(struct chardev **out, const struct line_config *cfg)
{
	pthread_condattr_t attr;
	struct line *l;
	char *name = NULL;

	l = calloc(1, sizeof(*l));
	if (l != NULL)
		l->buf = malloc(CHARDEV_LINE_BUF);
	if (cfg->unlink != NULL)
		name = strdup(cfg->unlink);
	if (l == NULL || l->buf == NULL ||
	    (cfg->unlink != NULL && name == NULL)) {
		close_fds(cfg);
		if (l != NULL)
			free(l->buf);
		free(l);
		free(name);
		return (-ENOMEM);
	}
	/* A peer that has left is an error of write(), not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	l->cd.ops = &line_ops;
	l->cfg = *cfg;
	l->cfg.unlink = name;
	l->credit = WAIT_CREDIT;
	l->since = now_ns();
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->moved, &attr);
	pthread_condattr_destroy(&attr);
	*out = &l->cd;
	return (0);
}
