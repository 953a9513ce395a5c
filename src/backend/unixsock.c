/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/unixsock.h"

#define BACKLOG 16

static int
unix_address(struct sockaddr_un *sun, const char *path)
{
	if (path[0] == '\0')
		return (-EINVAL);
	if (strlen(path) >= sizeof(sun->sun_path))
		return (-ENAMETOOLONG);
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	strcpy(sun->sun_path, path);
	return (0);
}

int
unixsock_connect(const char *path)
{
	struct sockaddr_un sun;
	int error, fd;

	error = unix_address(&sun, path);
	if (error != 0)
		return (error);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (-errno);
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
	fd = unixsock_connect(path);
	if (fd == -ECONNREFUSED)
		(void)unlink(path);
	if (fd >= 0)
		(void)close(fd);
}

int
unixsock_listen(struct unixsock *u, const char *path)
{
	struct sockaddr_un sun;
	struct stat st;
	mode_t mask;
	int error;

	memset(u, 0, sizeof(*u));
	u->fd = -1;
	error = unix_address(&sun, path);
	if (error != 0)
		return (error);
	u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return (-errno);
	remove_stale(path);
	mask = umask(0177);
	if (bind(u->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		error = -errno;
	(void)umask(mask);
	if (error == 0 && lstat(path, &st) == 0) {
		u->dev = st.st_dev;
		u->ino = st.st_ino;
		strcpy(u->path, path);
	}
	if (error == 0 && listen(u->fd, BACKLOG) != 0)
		error = -errno;
	if (error != 0)
		unixsock_close(u);
	return (error);
}

void
unixsock_close(struct unixsock *u)
{
	struct stat st;

	if (u->fd < 0)
		return;
	if (u->path[0] != '\0' && lstat(u->path, &st) == 0 &&
	    st.st_dev == u->dev && st.st_ino == u->ino)
		(void)unlink(u->path);
	(void)close(u->fd);
	u->fd = -1;
}
