/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_LINE_H
#define LHYVE_BACKEND_LINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "backend/chardev/chardev.h"

/* What a serial line is on the host. Descriptors are taken over, also by a
 * failure; -1: none. All of them are non-blocking. */
struct line_config {
	struct mevent_loop *loop;
	int fd;	       /* the peer; -1: whoever connects to: */
	int listen_fd;
	int keep_fd;   /* open as long as the line is */
	bool patient;  /* a wire with a speed: it is always waited for */
	bool restore;  /* fd is a terminal that term_raw() made raw */
	const char *unlink; /* to be removed at the end, if it is still */
	dev_t dev;	    /* the same file; copied */
	ino_t ino;
};
/* line.c. 0 or -errno. */
int line_create(struct chardev **out, const struct line_config *cfg);

#endif
