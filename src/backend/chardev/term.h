/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_TERM_H
#define LHYVE_BACKEND_TERM_H

#include "backend/chardev/chardev.h"

/* Makes a terminal raw, until term_restore(), chardev_stdio_restore() or
 * exit. 0; -ENOTTY and so on; -EBUSY: too many. */
int term_raw(int fd);
/* As it was before; nothing if it is not ours. Async-signal-safe. */
void term_restore(int fd);

#endif
