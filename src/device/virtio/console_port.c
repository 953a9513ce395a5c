/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's side of virtio-console's ports. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/virtio/console.h"

#define IOV_AT_ONCE  64u
#define LINE_AT_ONCE 1024u

/* Watches the peer for what would be of use now. */
static void
watch(struct console_port *p, unsigned event, bool on)
{
	unsigned events = on ? p->watched | event : p->watched & ~event;

	if (p->ev == NULL || events == p->watched)
		return;
	p->watched = events;
	(void)mevent_modify(p->ev, events);
}

static void
set_open(struct console_port *p, bool open)
{
	p->host_open = open;
	p->con->tell[p->n] |= TELL_OPEN;
	console_tell(p->con);
}

static void
unsent_back(struct console_port *p)
{
	struct virtq_chain *c = p->unsent;

	p->unsent = NULL;
	if (c != NULL)
		virtq_done(c, 0);
}

/* The peer is gone; what it did not take is lost with it. */
static void
hang_up(struct console_port *p)
{
	mevent_remove(p->ev);
	p->ev = NULL;
	p->watched = 0;
	(void)close(p->fd);
	p->fd = -1;
	unsent_back(p);
	set_open(p, false);
	console_port_tx(p);
}

/* Sends the rest of a chain. 0; -EAGAIN: there is no room; or -errno. */
static int
send_chain(struct console_port *p, struct virtq_chain *c)
{
	struct msghdr msg = {0};
	ssize_t n;

	while (c->rd_len != 0) {
		msg.msg_iov = c->rd;
		msg.msg_iovlen = c->nrd < IOV_AT_ONCE ? c->nrd : IOV_AT_ONCE;
		n = sendmsg(p->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (-errno);
		(void)virtq_read(c, NULL, (size_t)n);
	}
	return (0);
}

/* To a line: it takes its time, and in the end drops. */
static void
write_chain(struct console_port *p, struct virtq_chain *c)
{
	uint8_t buf[LINE_AT_ONCE];
	size_t n;

	while (c->rd_len != 0) {
		n = c->rd_len < sizeof(buf) ? (size_t)c->rd_len : sizeof(buf);
		(void)virtq_read(c, buf, n);
		(void)chardev_write(p->line, buf, n);
	}
}

void
console_port_tx(struct console_port *p)
{
	struct virtq_chain *c;
	int error = 0;

	for (;;) {
		c = p->unsent != NULL ? p->unsent : virtq_pop(p->tx);
		p->unsent = NULL;
		if (c == NULL)
			break;
		if (p->line != NULL)
			write_chain(p, c);
		else if (p->fd >= 0)
			error = send_chain(p, c);
		if (error == -EAGAIN) {
			p->unsent = c;
			break;
		}
		virtq_done(c, 0);
		if (error != 0) {
			hang_up(p);
			return;
		}
	}
	watch(p, MEVENT_WRITE, p->unsent != NULL);
}

/* Fills a chain. How many bytes; 0: the end; or -errno. */
static ssize_t
fill_chain(struct console_port *p, struct virtq_chain *c)
{
	uint8_t buf[LINE_AT_ONCE];
	ssize_t n;

	if (p->line != NULL) {
		n = (ssize_t)chardev_read(p->line, buf,
		    c->wr_len < sizeof(buf) ? (size_t)c->wr_len : sizeof(buf));
		if (n > 0)
			(void)virtq_write(c, buf, (size_t)n);
		return (n > 0 ? n : -EAGAIN);
	}
	do
		n = readv(p->fd, c->wr,
		    (int)(c->nwr < IOV_AT_ONCE ? c->nwr : IOV_AT_ONCE));
	while (n < 0 && errno == EINTR);
	return (n >= 0 ? n : -errno);
}

void
console_port_rx(struct console_port *p)
{
	struct virtq_chain *c = NULL;
	bool open = p->con->guest_open[p->n] || !p->con->multiport;
	ssize_t n = -EAGAIN;

	while (open && (p->line != NULL || p->fd >= 0)) {
		c = virtq_pop(p->rx);
		if (c == NULL)
			break;
		if (c->wr_len == 0) {
			virtq_done(c, 0);
			continue;
		}
		n = fill_chain(p, c);
		if (n <= 0) {
			virtq_unpop(c);
			break;
		}
		virtq_done(c, (uint32_t)n);
	}
	if (p->fd < 0)
		return;
	if (c != NULL && n <= 0 && n != -EAGAIN)
		hang_up(p);
	else
		/* Without a buffer of the guest's nothing would be of use: it
		 * notifies when it has some. */
		watch(p, MEVENT_READ, c != NULL);
}

static void
on_peer(void *arg, unsigned ready)
{
	struct console_port *p = arg;

	if ((ready & MEVENT_WRITE) != 0)
		console_port_tx(p);
	if ((ready & MEVENT_READ) != 0 && p->fd >= 0)
		console_port_rx(p);
}

/* A peer that goes while it is not read is noticed when the next one comes:
 * an event that nobody can handle would come again and again. */
static bool
peer_gone(const struct console_port *p)
{
	struct pollfd pfd = {.fd = p->fd};

	return (
	    poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)) != 0);
}

static void
on_listener(void *arg, unsigned ready)
{
	struct console_port *p = arg;
	int fd;

	(void)ready;
	while ((fd = unix_accept(&p->listener)) >= 0) {
		if (p->fd >= 0 && peer_gone(p))
			hang_up(p);
		if (p->fd >= 0 || mevent_add(p->con->loop, fd, MEVENT_READ,
				      on_peer, p, &p->ev) != 0) {
			(void)close(fd);
			continue;
		}
		p->fd = fd;
		p->watched = MEVENT_READ;
		set_open(p, true);
		console_port_rx(p);
	}
}

int
console_port_listen(struct console_port *p, const char *path)
{
	int error;

	error = unix_listen(&p->listener, path);
	if (error != 0)
		return (error);
	return (mevent_add(p->con->loop, p->listener.fd, MEVENT_READ,
	    on_listener, p, &p->listen_ev));
}

/* In the machine's loop. */
static void
on_line(void *arg)
{
	struct console_port *p = arg;
	uint64_t one = 1;
	ssize_t n;

	n = write(p->linefd, &one, sizeof(one));
	(void)n;
}

static void
on_linefd(void *arg, unsigned ready)
{
	struct console_port *p = arg;
	uint64_t count;
	ssize_t n;

	(void)ready;
	n = read(p->linefd, &count, sizeof(count));
	(void)n;
	console_port_rx(p);
}

int
console_port_line(struct console_port *p, struct chardev *line)
{
	int error;

	p->line = line;
	p->host_open = true;
	p->linefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->linefd < 0)
		return (-errno);
	error = mevent_add(
	    p->con->loop, p->linefd, MEVENT_READ, on_linefd, p, &p->line_ev);
	if (error == 0)
		chardev_start(line, on_line, p);
	return (error);
}

void
console_port_stop(struct console_port *p)
{
	unsent_back(p);
	watch(p, MEVENT_WRITE, false);
}

void
console_port_fini(struct console_port *p)
{
	mevent_remove(p->listen_ev);
	mevent_remove(p->ev);
	mevent_remove(p->line_ev);
	if (p->line != NULL)
		chardev_destroy(p->line);
	if (p->linefd >= 0)
		(void)close(p->linefd);
	if (p->fd >= 0)
		(void)close(p->fd);
	unix_unlisten(&p->listener);
}
