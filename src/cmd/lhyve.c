/* SPDX-License-Identifier: BSD-2-Clause */
/* lhyve: runs a virtual machine. See lhyve(8). */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/chardev/chardev.h"
#include "base/log.h"
#include "config/options.h"
#include "machine/machine.h"

/* A closed descriptor 0-2 would become the first file that is opened, and
 * messages or the guest's output would end up in it. */
static int
open_std_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return (-1);
	return (close(fd));
}

/* Dies of the signal, but not with the terminal in raw mode. */
static void
on_crash(int sig)
{
	chardev_stdio_restore();
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

/* Faults of our own. An engine that takes faults of the guest's passes on
 * what it does not know; a sanitizer's handler stays. */
static void
catch_crashes(void)
{
	static const int sigs[] = {
	    SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
	struct sigaction sa;
	size_t i;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		if (sigaction(sigs[i], NULL, &sa) != 0 ||
		    (sa.sa_flags & SA_SIGINFO) != 0 ||
		    sa.sa_handler != SIG_DFL)
			continue;
		sa.sa_handler = on_crash;
		sa.sa_flags = SA_ONSTACK;
		(void)sigemptyset(&sa.sa_mask);
		(void)sigaction(sigs[i], &sa, NULL);
	}
}

/* The machine's event loop takes these; threads inherit the mask. */
static void
block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGWINCH); /* a device's */
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	/* A pipe that nobody reads any more is an error of write(2). */
	(void)signal(SIGPIPE, SIG_IGN);
}

static int
run(int argc, char *argv[], struct config *cfg)
{
	struct machine_devices devs;
	struct config_error err;
	struct machine *m;
	int status;

	machine_devices_init(&devs);
	switch (options_parse(cfg, argc, argv, &devs.lists, stdout, &err)) {
	case 0:
		break;
	case 1:
		return (fflush(stdout) == 0 ? EXIT_SUCCESS : MACHINE_ERROR);
	default:
		log_error("%s", err.msg);
		return (MACHINE_ERROR);
	}
	if (config_bool(cfg, "config.dump", false)) {
		config_dump(cfg, stdout);
		return (1); /* as bhyve */
	}
	catch_crashes();
	block_signals();
	if (machine_create(&m, cfg, &err) != 0) {
		log_error("%s", err.msg);
		return (MACHINE_ERROR);
	}
	status = machine_run(m);
	machine_destroy(m);
	return (status);
}

int
main(int argc, char *argv[])
{
	struct config *cfg;
	int status;

	if (open_std_fds() != 0 || config_create(&cfg) != 0) {
		log_error("cannot start: no descriptors or memory");
		return (MACHINE_ERROR);
	}
	status = run(argc, argv, cfg);
	config_destroy(cfg);
	return (status);
}
