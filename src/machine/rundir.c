/* SPDX-License-Identifier: BSD-2-Clause */
/* The name of a machine, for as long as it runs. */
#include "machine/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define RUNDIR_LINKS 4
#define RUNDIR_TRIES 100 /* others come and go */

struct rundir {
	int dirfd; /* of BASE/NAME; -1: none */
	int pidfd; /* locked; -1: none */
	bool made; /* the directory was not there */
	char *links[RUNDIR_LINKS];
	char path[1]; /* BASE/NAME */
};

/* A directory that is this user's alone, made if it is not there. */
static int
own_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return (-errno);
	if (lstat(path, &st) != 0)
		return (-errno);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 022) != 0)
		return (-EPERM);
	return (0);
}

/* XDG Base Directory Specification: set, absolute, and the user's own. What
 * su(1) left of another user's is none. */
static const char *
xdg_dir(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (dir == NULL || dir[0] != '/' || stat(dir, &st) != 0 ||
	    !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return (NULL);
	return (dir);
}

/* The directory of all machines of this user. The result is the caller's. */
static char *
base_dir(struct config_error *err)
{
	const char *dir = getenv("LHYVE_RUNDIR");
	char *base = NULL;
	int error = 0, n;

	if (dir != NULL && dir[0] != '\0') {
		base = strdup(dir);
		n = base == NULL ? -1 : 0;
		if (base != NULL && mkdir(base, 0755) != 0 && errno != EEXIST)
			error = -errno;
	} else if (geteuid() == 0) {
		base = strdup("/run/lhyve");
		n = base == NULL ? -1 : 0;
		if (base != NULL && mkdir(base, 0755) != 0 && errno != EEXIST)
			error = -errno;
	} else {
		dir = xdg_dir();
		n = dir != NULL
			? asprintf(&base, "%s/lhyve", dir)
			: asprintf(&base, "/tmp/lhyve-%u", (unsigned)geteuid());
		if (n >= 0)
			error = own_dir(base);
	}
	if (n < 0) {
		(void)config_fail(err, "out of memory");
		return (NULL);
	}
	if (error != 0) {
		(void)config_fail(err,
		    "%.160s: cannot hold the machine's directory: %s; set "
		    "LHYVE_RUNDIR to one that can",
		    base, strerror(-error));
		free(base);
		return (NULL);
	}
	return (base);
}

/*
 * Opens and locks the file. Who had it before may remove file and directory
 * just now: -EAGAIN then.
 */
static int
lock_pid(struct rundir *rd)
{
	struct stat a, b;
	int error = 0;

	rd->made = mkdir(rd->path, 0755) == 0;
	if (!rd->made && errno != EEXIST)
		return (-errno);
	rd->dirfd = open(
	    rd->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rd->dirfd < 0)
		return (errno == ENOENT ? -EAGAIN : -errno);
	rd->pidfd = openat(
	    rd->dirfd, "pid", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (rd->pidfd < 0)
		return (errno == ENOENT ? -EAGAIN : -errno);
	if (flock(rd->pidfd, LOCK_EX | LOCK_NB) != 0)
		return (errno == EWOULDBLOCK ? -EBUSY : -errno);
	if (fstat(rd->pidfd, &a) != 0)
		return (-errno);
	if (fstatat(rd->dirfd, "pid", &b, AT_SYMLINK_NOFOLLOW) != 0 ||
	    a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		error = -EAGAIN;
	return (error);
}

static void
close_all(struct rundir *rd)
{
	if (rd->pidfd >= 0)
		(void)close(rd->pidfd);
	if (rd->dirfd >= 0)
		(void)close(rd->dirfd);
	rd->pidfd = rd->dirfd = -1;
}

static int
fail(const struct rundir *rd, const char *name, int error,
    struct config_error *err)
{
	char pid[16] = "";
	ssize_t n;

	if (error != -EBUSY)
		return (config_fail(err,
		    "name \"%.80s\": cannot make %.120s: %s; see FILES in "
		    "lhyve(8)",
		    name, rd->path, strerror(-error)));
	n = pread(rd->pidfd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	return (config_fail(err,
	    "name \"%.80s\": this machine runs already, as process %s; give "
	    "another name, or stop it",
	    name, pid[0] != '\0' ? pid : "unknown"));
}

int
rundir_create(struct rundir **out, const char *name, struct config_error *err)
{
	struct rundir *rd;
	char *base, pid[16];
	int error = -EAGAIN, tries, len;
	size_t size;

	base = base_dir(err);
	if (base == NULL)
		return (-EINVAL);
	size = strlen(base) + strlen(name) + 2;
	rd = calloc(1, sizeof(*rd) + size);
	if (rd == NULL) {
		free(base);
		return (config_fail(err, "out of memory"));
	}
	(void)snprintf(rd->path, size, "%s/%s", base, name);
	free(base);
	rd->dirfd = rd->pidfd = -1;
	for (tries = 0; tries < RUNDIR_TRIES && error == -EAGAIN; tries++) {
		close_all(rd);
		error = lock_pid(rd);
	}
	if (error == 0) {
		len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(rd->pidfd, 0) != 0 ||
		    pwrite(rd->pidfd, pid, (size_t)len, 0) != len)
			error = errno != 0 ? -errno : -EIO;
	}
	if (error != 0) {
		(void)fail(rd, name, error, err);
		close_all(rd);
		free(rd);
		return (error);
	}
	*out = rd;
	return (0);
}

bool
rundir_is_new(const struct rundir *rd)
{
	return (rd != NULL && rd->made);
}

const char *
rundir_path(const struct rundir *rd)
{
	return (rd->path);
}

int
rundir_link(struct rundir *rd, const char *name, const char *target)
{
	unsigned i;

	for (i = 0; i < RUNDIR_LINKS && rd->links[i] != NULL; i++)
		if (strcmp(rd->links[i], name) == 0)
			break;
	if (i == RUNDIR_LINKS)
		return (-ENOSPC);
	if (rd->links[i] == NULL)
		rd->links[i] = strdup(name);
	if (rd->links[i] == NULL)
		return (-ENOMEM);
	/* One of a machine that crashed may be there. */
	(void)unlinkat(rd->dirfd, name, 0);
	return (symlinkat(target, rd->dirfd, name) == 0 ? 0 : -errno);
}

void
rundir_destroy(struct rundir *rd, bool remove)
{
	unsigned i;

	if (rd == NULL)
		return;
	for (i = 0; i < RUNDIR_LINKS && rd->links[i] != NULL; i++) {
		(void)unlinkat(rd->dirfd, rd->links[i], 0);
		free(rd->links[i]);
	}
	/* While it is locked. What somebody else put there stays. */
	(void)ftruncate(rd->pidfd, 0);
	if (remove) {
		(void)unlinkat(rd->dirfd, "pid", 0);
		(void)rmdir(rd->path);
	}
	close_all(rd);
	free(rd);
}
