/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmem/gmem.h"

int
fw_file_fail(const struct fw_file *f, int error, const char *fmt, ...)
{
	const size_t size = sizeof(f->err->msg);
	va_list ap;
	int n;

	n = snprintf(f->err->msg, size, "-o %s=%.120s: ", f->var, f->path);
	va_start(ap, fmt);
	(void)vsnprintf(f->err->msg + n, size - (size_t)n, fmt, ap);
	va_end(ap);
	return (error);
}

static int
open_file(struct fw_file *f, const char *var, const char *path, int mode,
    struct fw_error *err)
{
	struct stat st;
	int error;

	*f = (struct fw_file){.fd = -1, .var = var, .path = path, .err = err};
	/* O_NONBLOCK: a FIFO that nobody writes must not hang us. */
	f->fd = open(path, mode | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0) {
		error = -errno;
		return (fw_file_fail(
		    f, error, "cannot be opened: %s", strerror(-error)));
	}
	if (fstat(f->fd, &st) != 0)
		error = fw_file_fail(
		    f, -errno, "cannot be examined: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		error = fw_file_fail(
		    f, -EINVAL, "not a regular file; copy it to one");
	else if (st.st_size <= 0)
		error =
		    fw_file_fail(f, -EINVAL, "the file is empty; give another");
	else {
		f->size = (uint64_t)st.st_size;
		return (0);
	}
	fw_file_close(f);
	return (error);
}

int
fw_file_open(
    struct fw_file *f, const char *var, const char *path, struct fw_error *err)
{
	return (open_file(f, var, path, O_RDONLY, err));
}

int
fw_file_open_rw(
    struct fw_file *f, const char *var, const char *path, struct fw_error *err)
{
	return (open_file(f, var, path, O_RDWR, err));
}

void
fw_file_close(struct fw_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

int
fw_file_read(const struct fw_file *f, uint64_t off, void *buf, size_t len,
    const char *what)
{
	uint8_t *p = buf;
	ssize_t n;

	/* Also keeps off within off_t. */
	if (off > f->size || len > f->size - off)
		return (fw_file_fail(f, -ENODATA,
		    "truncated: its %s ends at %" PRIu64
		    ", the file at %" PRIu64 "; copy it again",
		    what, off > UINT64_MAX - len ? UINT64_MAX : off + len,
		    f->size));
	while (len > 0) {
		n = pread(f->fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (fw_file_fail(
			    f, -errno, "cannot be read: %s", strerror(errno)));
		if (n == 0)
			return (fw_file_fail(f, -ENODATA,
			    "became shorter while its %s was read; try again",
			    what));
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return (0);
}

int
fw_file_load(const struct fw_file *f, uint64_t off, uint64_t len,
    struct gmem *gm, uint64_t gpa, const char *what)
{
	void *p;
	int error;

	p = gmem_map(gm, gpa, len);
	if (p == NULL)
		return (fw_file_fail(f, -EFAULT,
		    "its %s does not fit into memory at 0x%" PRIx64
		    "; give more with -m",
		    what, gpa));
	error = fw_file_read(f, off, p, len, what);
	gmem_wrote(gm, gpa, len);
	return (error);
}
