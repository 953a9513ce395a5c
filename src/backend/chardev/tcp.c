/* SPDX-License-Identifier: BSD-2-Clause */
/* A TCP port that one client at a time talks to. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/chardev/chardev.h"
#include "base/mevent.h"

#define TCP_POLL_MS 100

struct tcp {
	struct chardev cd; /* first */
	struct mevent_loop *loop;
	int listener;
	struct mevent *accept_ev;
	/* The client. Its descriptor is closed under the lock; the event is
	 * the loop's thread's alone. */
	pthread_mutex_t lock;
	int fd; /* -1: nobody */
	bool gone;
	struct mevent *client_ev;
	atomic_bool dead;
};

/* Takes up to len bytes; -1: the client has gone. */
static ssize_t
tcp_recv(int fd, uint8_t *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (n);
	return (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1);
}

static size_t
tcp_read(struct chardev *cd, uint8_t *buf, size_t len)
{
	struct tcp *t = (struct tcp *)cd;
	ssize_t n = 0;

	pthread_mutex_lock(&t->lock);
	if (t->fd >= 0 && !t->gone) {
		n = tcp_recv(t->fd, buf, len);
		if (n < 0)
			t->gone = true;
		/* Whatever comes next is announced again. */
		if (t->client_ev != NULL)
			(void)mevent_modify(t->client_ev, MEVENT_READ);
	}
	pthread_mutex_unlock(&t->lock);
	return (n > 0 ? (size_t)n : 0);
}

/* Without a client output is lost, as on a line that nobody listens to. The
 * lock is not held while a slow client is waited for. */
static size_t
tcp_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
	struct tcp *t = (struct tcp *)cd;
	size_t done = 0;
	ssize_t n;
	int fd;

	while (done < len && !atomic_load(&t->dead)) {
		struct pollfd pfd = {.events = POLLOUT};

		pthread_mutex_lock(&t->lock);
		fd = t->gone ? -1 : t->fd;
		n = fd < 0 ? -1
			   : send(fd, buf + done, len - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && fd >= 0 && errno != EAGAIN && errno != EINTR)
			t->gone = true;
		pfd.fd = fd >= 0 ? dup(fd) : -1;
		pthread_mutex_unlock(&t->lock);
		if (n > 0)
			done += (size_t)n;
		else if (pfd.fd >= 0)
			(void)poll(&pfd, 1, TCP_POLL_MS);
		if (pfd.fd >= 0)
			(void)close(pfd.fd);
		if (fd < 0)
			break;
	}
	return (len);
}

static void
tcp_drop(struct tcp *t)
{
	struct mevent *ev;

	pthread_mutex_lock(&t->lock);
	ev = t->client_ev;
	t->client_ev = NULL;
	pthread_mutex_unlock(&t->lock);
	if (ev != NULL)
		mevent_remove(ev);
	pthread_mutex_lock(&t->lock);
	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = -1;
	t->gone = false;
	pthread_mutex_unlock(&t->lock);
}

static void
tcp_on_client(void *arg, unsigned ready)
{
	struct tcp *t = arg;
	uint8_t byte;
	bool gone;

	(void)ready;
	pthread_mutex_lock(&t->lock);
	/* Silent until the device has read, or epoll would go on and on. */
	(void)mevent_modify(t->client_ev, 0);
	if (recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		t->gone = true;
	gone = t->gone;
	pthread_mutex_unlock(&t->lock);
	if (gone) {
		tcp_drop(t);
		(void)mevent_modify(t->accept_ev, MEVENT_READ);
	} else if (t->cd.ready != NULL) {
		t->cd.ready(t->cd.arg);
	}
}

static void
tcp_on_accept(void *arg, unsigned ready)
{
	struct tcp *t = arg;
	int fd, one = 1;

	(void)ready;
	fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pthread_mutex_lock(&t->lock);
	t->fd = fd;
	t->gone = false;
	if (mevent_add(t->loop, fd, MEVENT_READ, tcp_on_client, t,
		&t->client_ev) != 0) {
		t->client_ev = NULL;
		t->fd = -1;
		(void)close(fd);
	} else {
		/* The others wait until this one leaves. */
		(void)mevent_modify(t->accept_ev, 0);
	}
	pthread_mutex_unlock(&t->lock);
}

static void
tcp_hangup(struct chardev *cd)
{
	atomic_store(&((struct tcp *)cd)->dead, true);
}

static void
tcp_destroy(struct chardev *cd)
{
	struct tcp *t = (struct tcp *)cd;

	tcp_drop(t);
	if (t->accept_ev != NULL)
		mevent_remove(t->accept_ev);
	if (t->listener >= 0)
		(void)close(t->listener);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct chardev_ops tcp_ops = {
    .name = "tcp",
    .write = tcp_write,
    .read = tcp_read,
    .hangup = tcp_hangup,
    .destroy = tcp_destroy,
};

int
chardev_tcp_create(struct chardev **out, struct mevent_loop *loop,
    const char *address, uint16_t port)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_port = htons(port)};
	struct tcp *t;
	int error = 0, one = 1;

	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		return (-EINVAL);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return (-ENOMEM);
	t->cd.ops = &tcp_ops;
	t->loop = loop;
	t->fd = -1;
	pthread_mutex_init(&t->lock, NULL);
	t->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->listener < 0 ||
	    setsockopt(t->listener, SOL_SOCKET, SO_REUSEADDR, &one,
		sizeof(one)) != 0 ||
	    bind(t->listener, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    listen(t->listener, 1) != 0)
		error = -errno;
	if (error == 0)
		error = mevent_add(loop, t->listener, MEVENT_READ,
		    tcp_on_accept, t, &t->accept_ev);
	if (error != 0) {
		tcp_destroy(&t->cd);
		return (error);
	}
	*out = &t->cd;
	return (0);
}
