/* SPDX-License-Identifier: BSD-2-Clause */
/* The kinds of serial lines: terminals and sockets. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "backend/chardev/line.h"
#include "backend/chardev/term.h"
#include "backend/unixsock.h"

/* Who comes while another is there is turned away, but at once. */
#define BACKLOG 16

static int
finish(struct chardev **out, const struct line_config *lc, const char *where)
{
	int error;

	error = line_create(out, lc);
	if (error == 0)
		(void)snprintf(
		    (*out)->where, sizeof((*out)->where), "%s", where);
	return (error);
}

int
chardev_tty_create(
    struct chardev **out, struct mevent_loop *loop, const char *path)
{
	struct line_config lc = {
	    .loop = loop,
	    .fd = -1,
	    .listen_fd = -1,
	    .keep_fd = -1,
	    .patient = true,
	    .restore = true,
	};
	int error;

	lc.fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (lc.fd < 0)
		return (-errno);
	error = isatty(lc.fd) ? term_raw(lc.fd) : -ENOTTY;
	if (error != 0) {
		(void)close(lc.fd);
		return (error);
	}
	return (finish(out, &lc, path));
}

int
chardev_pty_create(struct chardev **out, struct mevent_loop *loop)
{
	struct line_config lc = {.loop = loop, .listen_fd = -1, .keep_fd = -1};
	struct termios t;
	char name[64];
	int error;

	lc.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (lc.fd < 0)
		return (-errno);
	/* While our end of the other side is open there is no hang-up, and
	 * whoever opens it finds it raw. */
	if (grantpt(lc.fd) == 0 && unlockpt(lc.fd) == 0 &&
	    ptsname_r(lc.fd, name, sizeof(name)) == 0)
		lc.keep_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (lc.keep_fd >= 0 && tcgetattr(lc.keep_fd, &t) == 0) {
		cfmakeraw(&t);
		if (tcsetattr(lc.keep_fd, TCSANOW, &t) == 0)
			return (finish(out, &lc, name));
	}
	error = -errno;
	if (lc.keep_fd >= 0)
		(void)close(lc.keep_fd);
	(void)close(lc.fd);
	return (error);
}

/* "ip:port" or "[ip6]:port". */
static int
parse_address(const char *addr, struct addrinfo **ai)
{
	struct addrinfo hints = {
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	    .ai_socktype = SOCK_STREAM,
	};
	char host[64];
	const char *port;
	size_t len;

	port = strrchr(addr, ':');
	if (port == NULL || port == addr)
		return (-EINVAL);
	len = (size_t)(port++ - addr);
	if (addr[0] == '[' && addr[len - 1] == ']') {
		addr++;
		len -= 2;
	} else if (memchr(addr, ':', len) != NULL) {
		return (-EINVAL);
	}
	if (len == 0 || len >= sizeof(host) || port[0] == '\0' ||
	    strlen(port) > 5 || strspn(port, "0123456789") != strlen(port) ||
	    strtoul(port, NULL, 10) > 65535)
		return (-EINVAL);
	memcpy(host, addr, len);
	host[len] = '\0';
	return (getaddrinfo(host, port, &hints, ai) == 0 ? 0 : -EINVAL);
}

int
chardev_tcp_create(
    struct chardev **out, struct mevent_loop *loop, const char *addr)
{
	struct line_config lc = {.loop = loop, .fd = -1, .keep_fd = -1};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[64], port[8], where[80];
	struct addrinfo *ai;
	int error, one = 1;

	error = parse_address(addr, &ai);
	if (error != 0)
		return (error);
	lc.listen_fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (lc.listen_fd < 0 ||
	    setsockopt(lc.listen_fd, SOL_SOCKET, SO_REUSEADDR, &one,
		sizeof(one)) != 0 ||
	    bind(lc.listen_fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(lc.listen_fd, BACKLOG) != 0 ||
	    getsockname(lc.listen_fd, (struct sockaddr *)&ss, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port,
		sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		error = errno != 0 ? -errno : -EINVAL;
		if (lc.listen_fd >= 0)
			(void)close(lc.listen_fd);
		freeaddrinfo(ai);
		return (error);
	}
	freeaddrinfo(ai);
	(void)snprintf(where, sizeof(where),
	    strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
	return (finish(out, &lc, where));
}

int
chardev_unix_create(
    struct chardev **out, struct mevent_loop *loop, const char *path)
{
	struct line_config lc = {.loop = loop, .fd = -1, .keep_fd = -1};
	struct unix_listener l;
	int error;

	error = unix_listen(&l, path);
	if (error != 0) {
		unix_unlisten(&l);
		return (error);
	}
	lc.listen_fd = l.fd;
	if (l.path[0] != '\0') {
		lc.unlink = l.path;
		lc.dev = l.dev;
		lc.ino = l.ino;
	}
	return (finish(out, &lc, path));
}
