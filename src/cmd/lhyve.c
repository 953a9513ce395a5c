/* SPDX-License-Identifier: BSD-2-Clause */
/* lhyve: runs a virtual machine. See lhyve(8). */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/*
 * Where help goes: to standard output, from which one can page it. bhyve's
 * goes to standard error, and libvirt, which looks for features there, throws
 * the output away.
 */
static FILE *
help_stream(void)
{
	struct stat out, null;

	if (fstat(STDOUT_FILENO, &out) == 0 && stat("/dev/null", &null) == 0 &&
	    S_ISCHR(out.st_mode) && out.st_rdev == null.st_rdev)
		return (stderr);
	return (stdout);
}

/*
 * The title that bhyve's processes have, "bhyve: NAME", for those who look for
 * that (vm-bhyve does, by pgrep -fx): only where lhyve is called bhyve, as on
 * Linux the arguments are what one expects of ps. It takes their place. A
 * last byte that is not NUL has the kernel show what is there up to the first
 * NUL (fs/proc/base.c, get_mm_cmdline()).
 */
static void
set_title(int argc, char *argv[], const char *name)
{
	const char *prog = strrchr(argv[0], '/');
	char title[256];
	size_t room, len;
	int i, n;

	prog = prog != NULL ? prog + 1 : argv[0];
	if (strcmp(prog, "bhyve") != 0)
		return;
	n = snprintf(title, sizeof(title), "%s: %s", prog, name);
	len = (size_t)n;
	/* One string behind the other, as the kernel puts them. */
	for (i = 1; i < argc; i++)
		if (argv[i] != argv[i - 1] + strlen(argv[i - 1]) + 1)
			return;
	room = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
	if (n < 0 || len >= sizeof(title) || len + 2 > room)
		return;
	memset(argv[0], 0, room);
	memcpy(argv[0], title, len);
	argv[0][room - 1] = '.';
}

static int
run(int argc, char *argv[], struct config *cfg)
{
	struct machine_devices devs;
	struct config_error err;
	struct machine *m;
	FILE *out = help_stream();
	int status;

	machine_devices_init(&devs);
	switch (options_parse(cfg, argc, argv, &devs.lists, out, &err)) {
	case 0:
		break;
	case 1:
		return (fflush(out) == 0 ? EXIT_SUCCESS : MACHINE_ERROR);
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
	set_title(argc, argv, config_get(cfg, "name"));
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
