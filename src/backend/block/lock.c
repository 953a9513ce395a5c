/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open file description locks (fcntl(2)) over the whole file: they go with
 * the descriptor, however the process ends, and other programs that lock disk
 * images, by whatever bytes, meet them.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/block/block_priv.h"

/* Does a descriptor of the process hold a lock on the file? The numbers that
 * the kernel prints with a lock are not those of stat() everywhere (overlayfs,
 * btrfs). */
static bool
holds(const char *pid, const struct stat *file)
{
	char path[320], line[256];
	struct dirent *de;
	bool found = false;
	struct stat st;
	FILE *f;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/fdinfo", pid);
	d = opendir(path);
	if (d == NULL)
		return (false);
	while (!found && (de = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/%.16s/fdinfo/%.16s",
		    pid, de->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		while (!found && fgets(line, sizeof(line), f) != NULL)
			found = strncmp(line, "lock:", 5) == 0;
		(void)fclose(f);
		(void)snprintf(path, sizeof(path), "/proc/%.16s/fd/%.16s",
		    pid, de->d_name);
		found = found && stat(path, &st) == 0 &&
			st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	}
	(void)closedir(d);
	return (found);
}

/* The process that has a lock on the file, for a message. */
static void
find_owner(int fd, char *who, size_t len)
{
	char path[64], name[32] = "";
	struct dirent *de;
	struct stat st;
	FILE *f;
	DIR *d;

	(void)snprintf(who, len, "another process");
	d = opendir("/proc");
	if (d == NULL || fstat(fd, &st) != 0)
		goto out;
	while ((de = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)de->d_name[0]) ||
		    !holds(de->d_name, &st))
			continue;
		(void)snprintf(
		    path, sizeof(path), "/proc/%.16s/comm", de->d_name);
		f = fopen(path, "re");
		if (f != NULL) {
			if (fgets(name, sizeof(name), f) != NULL)
				name[strcspn(name, "\n")] = '\0';
			(void)fclose(f);
		}
		(void)snprintf(
		    who, len, "process %.16s (%s)", de->d_name, name);
		break;
	}
out:
	if (d != NULL)
		(void)closedir(d);
}

int
block_lock(int fd, const char *path, bool readonly, struct block_error *err)
{
	struct flock fl = {
	    .l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	char who[96];

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return (0);
	/* A file system without locks cannot protect anybody. */
	if (errno != EAGAIN && errno != EACCES)
		return (0);
	find_owner(fd, who, sizeof(who));
	return (block_fail(err, -EBUSY, "%s: %s uses it%s; end that first",
	    path, who, readonly ? " for writing" : ""));
}
