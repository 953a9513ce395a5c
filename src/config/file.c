/* SPDX-License-Identifier: BSD-2-Clause */
/* -k: variables from a file, in the format of bhyve_config(5). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/options_priv.h"

#define FILE_SIZE_MAX (1 << 20)

/* The whole file with a NUL behind it, or NULL with the error. */
static char *
read_file(const char *name, size_t *len, struct config_error *err)
{
	struct stat st;
	char *buf = NULL;
	ssize_t n = 0;
	int fd;

	/* Opening a pipe or a tape must not hang. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)config_fail(err, "-k %.120s: cannot be opened: %s", name,
		    strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		(void)config_fail(err,
		    "-k %.120s: not a regular file; give one with "
		    "variable=value lines",
		    name);
	} else if (st.st_size > FILE_SIZE_MAX) {
		(void)config_fail(
		    err, "-k %.120s: more than 1 MiB; make it shorter", name);
	} else {
		buf = malloc((size_t)st.st_size + 1);
		if (buf != NULL)
			n = pread(fd, buf, (size_t)st.st_size, 0);
		if (buf == NULL || n < 0) {
			(void)config_fail(err, "-k %.120s: cannot be read: %s",
			    name, strerror(buf == NULL ? ENOMEM : errno));
			free(buf);
			buf = NULL;
		} else {
			buf[n] = '\0';
			*len = (size_t)n;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return (buf);
}

/* "variable=value"; blanks in front, empty lines and those that begin with
 * a hash do not count. */
static int
file_line(struct options *o, const char *name, unsigned n, char *line)
{
	char where[300];
	char *eq;

	while (isspace((unsigned char)*line))
		line++;
	if (*line == '#' || *line == '\0')
		return (0);
	eq = strchr(line, '=');
	if (eq == NULL || eq == line)
		return (config_fail(o->err,
		    "-k %.120s: line %u: \"%.80s\": %s; write "
		    "variable=value",
		    name, n, line,
		    eq == NULL ? "there is no =" : "there is no name"));
	(void)snprintf(
	    where, sizeof(where), "-k %.120s: line %u: %.120s", name, n, line);
	*eq = '\0';
	return (options_assign(o, line, eq + 1, where));
}

int
options_file(struct options *o, const char *arg)
{
	char *buf, *line, *end;
	unsigned n = 0;
	size_t len;
	int error = 0;

	buf = read_file(arg, &len, o->err);
	if (buf == NULL)
		return (-EINVAL);
	if (strlen(buf) != len)
		error = config_fail(o->err,
		    "-k %.120s: a NUL in it: this is no text", arg);
	for (line = buf; error == 0 && line < buf + len; line = end + 1) {
		end = strchrnul(line, '\n');
		*end = '\0';
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		error = file_line(o, arg, ++n, line);
	}
	free(buf);
	return (error);
}
