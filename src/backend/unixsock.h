/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_UNIXSOCK_H
#define LHYVE_BACKEND_UNIXSOCK_H

#include <sys/types.h>

/*
 * Unix stream sockets at a path (unix(7)). All descriptors do not block, and
 * are closed on exec.
 */
struct unix_listener {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
	char path[108];
};

/* Listens; for this user alone. A socket that nobody listens to any more is
 * replaced. 0; -EADDRINUSE, -ENAMETOOLONG and so on; *l can be closed in
 * either case. */
int unix_listen(struct unix_listener *l, const char *path);
/* Stops, and removes the path if it still is this socket. */
void unix_unlisten(struct unix_listener *l);
/* The next who has connected, or -errno; -EAGAIN: nobody now. */
int unix_accept(const struct unix_listener *l);
/* Connects to who listens at a path, or -errno: -ECONNREFUSED and -ENOENT:
 * nobody; -EAGAIN: too many wait there already. */
int unix_connect(const char *path);

#endif
