/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection of virtio-vsock and its socket on the host. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/virtio/vsock.h"

#define IOV_AT_ONCE 64u
/* Ports of the host's connections, away from those that services have. */
#define PORT_BASE 0x40000000u

static unsigned
hash_of(uint32_t host_port, uint32_t guest_port)
{
	return ((host_port * 31u + guest_port) % VSOCK_HASH);
}

struct vsock_conn *
vsock_conn_find(struct vsock *vs, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c = vs->hash[hash_of(host_port, guest_port)];

	while (c != NULL &&
	       (c->host_port != host_port || c->guest_port != guest_port))
		c = c->next_hash;
	return (c);
}

void
vsock_conn_bind(struct vsock_conn *c, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn **bucket =
	    &c->vs->hash[hash_of(host_port, guest_port)];

	c->host_port = host_port;
	c->guest_port = guest_port;
	c->next_hash = *bucket;
	*bucket = c;
}

static void
close_socket(struct vsock_conn *c)
{
	mevent_remove(c->ev);
	c->ev = NULL;
	c->watched = 0;
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	free(c->buf);
	c->buf = NULL;
	c->kept = 0;
}

void
vsock_conn_free(struct vsock_conn *c)
{
	struct vsock_conn **p =
	    &c->vs->hash[hash_of(c->host_port, c->guest_port)];

	close_socket(c);
	if (c->state != VSOCK_LINE) {
		while (*p != c)
			p = &(*p)->next_hash;
		*p = c->next_hash;
	}
	*c->prevp = c->next;
	if (c->next != NULL)
		c->next->prevp = c->prevp;
	c->vs->nconns--;
	free(c);
}

void
vsock_conn_reset(struct vsock_conn *c)
{
	if (c->state == VSOCK_LINE) {
		vsock_conn_free(c);
		return;
	}
	close_socket(c);
	c->state = VSOCK_DEAD;
	c->say = 1u << VSOCK_OP_RST;
}

void
vsock_conn_watch(struct vsock_conn *c)
{
	unsigned events = 0;

	if (c->ev == NULL)
		return;
	if (c->state == VSOCK_LINE ||
	    (c->state == VSOCK_OPEN && vsock_credit(c) != 0 &&
		(c->host_shut & VSOCK_NO_SEND) == 0 &&
		(c->guest_shut & VSOCK_NO_RECV) == 0 && virtq_avail(c->vs->rx)))
		events |= MEVENT_READ;
	if (c->kept != 0)
		events |= MEVENT_WRITE;
	if (events == c->watched)
		return;
	c->watched = events;
	(void)mevent_modify(c->ev, events);
}

/* ---- from the guest ---- */

/* Tells the guest what room it has, before it has used up all of it. */
static void
forwarded(struct vsock_conn *c, uint32_t n)
{
	c->fwd += n;
	if (c->fwd - c->fwd_told >= VSOCK_CREDIT / 2)
		c->say |= 1u << VSOCK_OP_CREDIT_UPDATE;
}

/* Writes to the socket. How much it took; -EAGAIN; or another -errno. */
static ssize_t
send_some(struct vsock_conn *c, struct iovec *iov, unsigned niov)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = niov};
	ssize_t n;

	do
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return (-errno);
	forwarded(c, (uint32_t)n);
	return (n);
}

/* The guest sends no more, and all of it is out; or it wants no more of
 * anything (VIRTIO 5.10.6.6). */
static void
check_end(struct vsock_conn *c)
{
	if (c->kept != 0 || c->fd < 0)
		return;
	if (c->guest_shut == (VSOCK_NO_RECV | VSOCK_NO_SEND))
		vsock_conn_reset(c);
	else if ((c->guest_shut & VSOCK_NO_SEND) != 0)
		(void)shutdown(c->fd, SHUT_WR);
}

/* Writes what was kept. */
static void
drain(struct vsock_conn *c)
{
	struct iovec iov[2];
	uint32_t first;
	ssize_t n;

	while (c->kept != 0) {
		first = VSOCK_CREDIT - c->head;
		if (first > c->kept)
			first = c->kept;
		iov[0] = (struct iovec){c->buf + c->head, first};
		iov[1] = (struct iovec){c->buf, c->kept - first};
		n = send_some(c, iov, 2);
		if (n == -EAGAIN)
			return;
		if (n < 0) {
			vsock_conn_reset(c);
			return;
		}
		c->head = (c->head + (uint32_t)n) % VSOCK_CREDIT;
		c->kept -= (uint32_t)n;
	}
	free(c->buf);
	c->buf = NULL;
	c->head = 0;
	check_end(c);
}

/* Keeps the next `len` bytes of a chain; there is room. */
static void
keep(struct vsock_conn *c, struct virtq_chain *chain, uint32_t len)
{
	uint32_t at, n;

	if (c->buf == NULL)
		c->buf = malloc(VSOCK_CREDIT);
	if (c->buf == NULL) {
		vsock_conn_reset(c);
		return;
	}
	for (; len != 0; len -= n) {
		at = (c->head + c->kept) % VSOCK_CREDIT;
		n = VSOCK_CREDIT - at < len ? VSOCK_CREDIT - at : len;
		(void)virtq_read(chain, c->buf + at, n);
		c->kept += n;
	}
}

void
vsock_conn_data(struct vsock_conn *c, struct virtq_chain *chain, uint32_t len)
{
	struct iovec iov[IOV_AT_ONCE];
	uint64_t want;
	unsigned n, i;
	ssize_t done;

	/* More than it had credit for, or than there is in the packet. */
	if (len > chain->rd_len || c->got - c->fwd > VSOCK_CREDIT ||
	    len > VSOCK_CREDIT - (c->got - c->fwd)) {
		vsock_conn_reset(c);
		return;
	}
	c->got += len;
	while (len != 0 && c->kept == 0) {
		n = chain->nrd < IOV_AT_ONCE ? chain->nrd : IOV_AT_ONCE;
		for (i = 0, want = 0; i < n && want < len; i++) {
			iov[i] = chain->rd[i];
			if (iov[i].iov_len > len - want)
				iov[i].iov_len = (size_t)(len - want);
			want += iov[i].iov_len;
		}
		done = send_some(c, iov, i);
		if (done == -EAGAIN)
			break;
		if (done < 0) {
			vsock_conn_reset(c);
			return;
		}
		(void)virtq_read(chain, NULL, (size_t)done);
		len -= (uint32_t)done;
	}
	if (len != 0)
		keep(c, chain, len);
}

void
vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & (VSOCK_NO_RECV | VSOCK_NO_SEND);
	if ((c->guest_shut & VSOCK_NO_RECV) != 0)
		(void)shutdown(c->fd, SHUT_RD);
	check_end(c);
}

/* ---- from the host ---- */

/* "CONNECT PORT\n": the port, or -1. */
static int64_t
parse_line(const char *line)
{
	static const char word[] = "CONNECT ";
	unsigned long long port;
	char *end;

	if (strncmp(line, word, sizeof(word) - 1) != 0 ||
	    line[sizeof(word) - 1] < '0' || line[sizeof(word) - 1] > '9')
		return (-1);
	port = strtoull(line + sizeof(word) - 1, &end, 10);
	return (*end == '\n' && port < UINT32_MAX ? (int64_t)port : -1);
}

/* A port that no connection to the guest's has. */
static uint32_t
host_port(struct vsock *vs, uint32_t guest_port)
{
	do
		vs->next_port =
		    PORT_BASE | ((vs->next_port + 1) & (PORT_BASE - 1));
	while (vsock_conn_find(vs, vs->next_port, guest_port) != NULL);
	return (vs->next_port);
}

/* The first line of a peer, and not a byte more of it. */
static void
read_line(struct vsock_conn *c)
{
	int64_t port = -1;
	ssize_t n;

	do {
		n = recv(c->fd, c->line + c->line_len, 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			c->line_len++;
	} while (n > 0 && c->line[c->line_len - 1] != '\n' &&
		 c->line_len < VSOCK_LINE_MAX);
	c->line[c->line_len] = '\0';
	if (n > 0)
		port = parse_line(c->line);
	if (port < 0 || !virtio_running(c->vs->vd)) {
		vsock_conn_free(c);
		return;
	}
	vsock_conn_bind(c, host_port(c->vs, (uint32_t)port), (uint32_t)port);
	c->state = VSOCK_REQUESTED;
	c->say |= 1u << VSOCK_OP_REQUEST;
}

void
vsock_conn_accepted(struct vsock_conn *c)
{
	char line[32];
	int len;

	c->state = VSOCK_OPEN;
	len = snprintf(line, sizeof(line), "OK %u\n", c->host_port);
	/* The first that is sent: there is room. */
	if (send(c->fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		vsock_conn_reset(c);
}

/* What the socket has, as far as there are credit and a buffer. */
static void
read_data(struct vsock_conn *c)
{
	struct vsock *vs = c->vs;
	struct virtq_chain *chain;
	struct vsock_hdr hdr;
	uint32_t max = vsock_credit(c);
	ssize_t n;

	chain = virtq_pop(vs->rx);
	if (chain == NULL)
		return;
	if (chain->wr_len <= sizeof(hdr)) {
		virtq_done(chain, 0); /* of no use */
		return;
	}
	if (max > chain->wr_len - sizeof(hdr))
		max = (uint32_t)(chain->wr_len - sizeof(hdr));
	if (max > VSOCK_CHUNK)
		max = VSOCK_CHUNK;
	n = recv(c->fd, vs->chunk, max, MSG_DONTWAIT);
	if (n <= 0) {
		virtq_unpop(chain);
		if (n == 0) {
			c->host_shut |= VSOCK_NO_SEND;
			c->say |= 1u << VSOCK_OP_SHUTDOWN;
		} else if (errno != EAGAIN && errno != EINTR) {
			vsock_conn_reset(c);
		}
		return;
	}
	hdr = vsock_hdr(c, VSOCK_OP_RW, 0, (uint32_t)n);
	(void)virtq_write(chain, &hdr, sizeof(hdr));
	(void)virtq_write(chain, vs->chunk, (size_t)n);
	virtq_done(chain, (uint32_t)(sizeof(hdr) + (size_t)n));
	c->sent += (uint32_t)n;
	/* The guest says by itself when it has room again, but it may do so
	 * late. */
	if (vsock_credit(c) == 0)
		c->say |= 1u << VSOCK_OP_CREDIT_REQUEST;
}

static void
on_socket(void *arg, unsigned ready)
{
	struct vsock_conn *c = arg;
	struct vsock *vs = c->vs;

	if ((ready & MEVENT_WRITE) != 0)
		drain(c);
	if ((ready & MEVENT_READ) != 0 && c->state == VSOCK_LINE)
		read_line(c); /* may free it */
	else if ((ready & MEVENT_READ) != 0 && c->state == VSOCK_OPEN &&
		 vsock_credit(c) != 0)
		read_data(c);
	vsock_flush(vs);
}

struct vsock_conn *
vsock_conn_new(struct vsock *vs, int fd, enum vsock_state state)
{
	struct vsock_conn *c = NULL;

	if (vs->nconns < VSOCK_CONNS)
		c = calloc(1, sizeof(*c));
	if (c == NULL ||
	    mevent_add(vs->loop, fd, 0, on_socket, c, &c->ev) != 0) {
		free(c);
		(void)close(fd);
		return (NULL);
	}
	c->vs = vs;
	c->fd = fd;
	c->state = state;
	c->next = vs->all;
	c->prevp = &vs->all;
	if (c->next != NULL)
		c->next->prevp = &c->next;
	vs->all = c;
	vs->nconns++;
	vsock_conn_watch(c);
	return (c);
}
