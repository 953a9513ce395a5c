/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_MACHINE_RUNDIR_H
#define LHYVE_MACHINE_RUNDIR_H

#include <stdbool.h>

struct config_error;

/*
 * The directory of a machine that runs: BASE/NAME. It holds "pid", locked by
 * flock(2) as long as the process lives, with the process's number, and
 * links to what the machine's devices are on the host ("com1").
 *
 * BASE is $LHYVE_RUNDIR if that is set; else /run/lhyve for root; else
 * $XDG_RUNTIME_DIR/lhyve, or /tmp/lhyve-UID, for that user alone.
 */
struct rundir;

/* Makes the directory, if it is not there, and locks it. 0, or -errno with
 * *err; -EBUSY: a machine of that name runs. */
int rundir_create(
    struct rundir **out, const char *name, struct config_error *err);
/* Unlocks it, and removes the links. `remove`: and the directory. NULL is
 * none. */
void rundir_destroy(struct rundir *rd, bool remove);
/* Was the directory made for this machine? */
bool rundir_is_new(const struct rundir *rd);
/* Where it is. */
const char *rundir_path(const struct rundir *rd);
/* Makes or replaces a link in it. 0 or -errno. */
int rundir_link(struct rundir *rd, const char *name, const char *target);

#endif
