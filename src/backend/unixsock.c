/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/unixsock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int
make_socket(void)
{
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return (fd >= 0 ? fd : -errno);
}

static int
set_path(struct sockaddr_un *sun, const char *path)
{
	size_t len = strlen(path);

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (len == 0)
		return (-EINVAL);
	if (len >= sizeof(sun->sun_path))
		return (-ENAMETOOLONG);
	memcpy(sun->sun_path, path, len);
	return (0);
}

int
unix_connect(const char *path)
{
	struct sockaddr_un sun;
	int error, fd;

	error = set_path(&sun, path);
	if (error != 0)
		return (error);
	fd = make_socket();
	if (fd < 0)
		return (fd);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		error = -errno;
		(void)close(fd);
		return (error);
	}
	return (fd);
}

/* A socket that nobody listens to any more: whoever had it crashed. */
static void
remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = unix_connect(path);
	if (fd >= 0)
		(void)close(fd);
	else if (fd == -ECONNREFUSED)
		(void)unlink(path);
}

int
unix_listen(struct unix_listener *l, const char *path)
{
	struct sockaddr_un sun;
	struct stat st;
	mode_t mask;
	int error;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	error = set_path(&sun, path);
	if (error != 0)
		return (error);
	l->fd = make_socket();
	if (l->fd < 0)
		return (l->fd);
	remove_stale(path);
	/* Who may connect is in the machine's confidence. */
	mask = umask(0177);
	if (bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		error = -errno;
	(void)umask(mask);
	if (error != 0)
		return (error);
	if (lstat(path, &st) == 0) {
		memcpy(l->path, sun.sun_path, sizeof(l->path));
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	return (listen(l->fd, BACKLOG) == 0 ? 0 : -errno);
}

void
unix_unlisten(struct unix_listener *l)
{
	struct stat st;

	if (l->path[0] != '\0' && lstat(l->path, &st) == 0 &&
	    st.st_dev == l->dev && st.st_ino == l->ino)
		(void)unlink(l->path);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	l->path[0] = '\0';
}

int
unix_accept(const struct unix_listener *l)
{
	int fd;

	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return (fd >= 0 ? fd : -errno);
}
