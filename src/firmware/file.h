/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_FILE_H
#define LHYVE_FIRMWARE_FILE_H

#include <stddef.h>
#include <stdint.h>

struct gmem;

/* One line for the user: the option, the value and the remedy. */
struct fw_error {
	char msg[320];
};

/* A file of the user's that goes into the guest. Its content is not
 * trusted. */
struct fw_file {
	int fd;
	uint64_t size;
	const char *var;  /* the variable that names it, for messages */
	const char *path; /* not copied */
	struct fw_error *err;
};

/* Opens a regular, non-empty file. 0 or -errno with err filled. */
int fw_file_open(
    struct fw_file *f, const char *var, const char *path, struct fw_error *err);
/* The same, to be written as well. */
int fw_file_open_rw(
    struct fw_file *f, const char *var, const char *path, struct fw_error *err);
void fw_file_close(struct fw_file *f);
/* Fills f->err->msg with "-o VAR=PATH: ..." and returns `error`. */
int fw_file_fail(const struct fw_file *f, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Reads exactly len bytes at off; 0, -ENODATA if the file is shorter, or
 * another -errno. The message says that `what` was read. */
int fw_file_read(const struct fw_file *f, uint64_t off, void *buf, size_t len,
    const char *what);
/* The same into guest memory; -EFAULT if [gpa, gpa+len) is not RAM. */
int fw_file_load(const struct fw_file *f, uint64_t off, uint64_t len,
    struct gmem *gm, uint64_t gpa, const char *what);

#endif
