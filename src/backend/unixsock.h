/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_UNIXSOCK_H
#define LHYVE_BACKEND_UNIXSOCK_H

#include <sys/types.h>

/* Unix sockets of SOCK_STREAM at a path, non-blocking, closed by exec. */

/* A socket that listens, which only its owner can reach. It remembers what
 * file it made. */
struct unixsock {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
	char path[108];
};
/* One that nobody listens to is replaced. 0; -EINVAL: no path;
 * -ENAMETOOLONG; -EADDRINUSE and so on. */
int unixsock_listen(struct unixsock *u, const char *path);
/* Closes it and removes the file, if it is still the same. */
void unixsock_close(struct unixsock *u);
/* A connection, or -errno: -EAGAIN if too many others wait for one. */
int unixsock_connect(const char *path);

#endif
