/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_MACHINE_MACHINE_H
#define LHYVE_MACHINE_MACHINE_H

#include "config/options.h"

/*
 * The virtual PC: puts it together from its configuration, runs it until it
 * ends, and takes it apart. The only room that knows all the others.
 *
 * One process may hold several; only one can have the terminal.
 */
struct machine;

/* The exit statuses of bhyve(8). */
enum machine_status {
	MACHINE_RESET = 0,
	MACHINE_POWEROFF = 1,
	MACHINE_HALT = 2,
	MACHINE_TRIPLE_FAULT = 3,
	MACHINE_ERROR = 4,
};

/* What -s and -l know, for the parser and the manual. */
#define MACHINE_DEVICES_MAX 32
struct machine_devices {
	struct config_device pci[MACHINE_DEVICES_MAX + 1];
	struct config_devices lists;
};
void machine_devices_init(struct machine_devices *md);

/* Builds the machine and loads what it boots. `cfg` was checked, and
 * outlives the machine. 0 or -errno with *err saying why. */
int machine_create(
    struct machine **out, const struct config *cfg, struct config_error *err);
/*
 * Runs the machine in the calling thread (the event loop) and one more for
 * each processor, until it ends. Call once. SIGINT, SIGHUP and SIGQUIT, which
 * the caller has blocked in all threads with SIGTERM, end it like power-off.
 * SIGTERM presses the power button, once, if the guest has enabled ACPI, and
 * is like the others otherwise. SIGUSR1, blocked too, prints the counters. A
 * failure is reported to stderr. With reboot=internal a reset is no end.
 * Returns the exit status: enum machine_status, or what the guest told an exit
 * port.
 */
int machine_run(struct machine *m);
/* Restores the terminal and gives up the machine's name; takes a half-built
 * machine, or NULL. */
void machine_destroy(struct machine *m);

#endif
