/* SPDX-License-Identifier: BSD-2-Clause */
/* From the start of a machine to its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "machine/machine_priv.h"

/* How long a processor may still write to the console at the end. */
#define GRACE_NS UINT64_C(1000000000)

void
machine_end(struct machine *m, int status)
{
	int none = -1;

	if (!atomic_compare_exchange_strong(&m->status, &none, status))
		return;
	/* Others have no counterpart among the guest's own reasons. */
	(void)vm_suspend(m->vm,
	    status > MACHINE_TRIPLE_FAULT ? VM_SUSPEND_POWEROFF
					  : (enum vm_suspend_how)status);
}

/*
 * The console's reader may be stuck, and the processor with it that writes
 * there. What is left to say goes nowhere then, so that the machine ends.
 */
void
machine_grace(void *arg)
{
	struct machine *m = arg;
	unsigned i;

	for (i = 0; i < CHIPSET_UARTS; i++)
		if (m->com[i] != NULL)
			chardev_hangup(m->com[i]);
	if (m->bvmcons != NULL)
		chardev_hangup(m->bvmcons);
	if (m->dbgport != NULL)
		chardev_hangup(m->dbgport);
}

void
machine_stop(struct machine *m)
{
	m->stopped = true;
	machine_end(m, MACHINE_POWEROFF);
	vtimer_arm(&m->grace, vclock_now(m->vclock) + GRACE_NS);
}

/*
 * SIGTERM asks the guest first, if it listens, as bhyve does. Whoever sends
 * a second one does not want to wait.
 */
static void
on_signal(void *arg, unsigned ready)
{
	struct machine *m = arg;
	struct signalfd_siginfo si;

	(void)ready;
	if (read(m->sigfd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGUSR1) {
		machine_stats(m);
		return;
	}
	if (si.ssi_signo == SIGTERM && !m->asked) {
		m->asked = true;
		if (chipset_power_button(m->chipset)) {
			log_info("SIGTERM: the power button is pressed");
			return;
		}
	}
	machine_stop(m);
}

static int
watch_signals(struct machine *m)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigaddset(&set, SIGUSR1);
	m->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->sigfd < 0)
		return (-errno);
	return (mevent_add(
	    m->loop, m->sigfd, MEVENT_READ, on_signal, m, &m->sigev));
}

/* Empties memory: the pages go back to the host. */
static int
clear_memory(struct machine *m)
{
	int fd = gmem_fd(m->gmem), error = 0;
	uint64_t high = gmem_highmem(m->gmem);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		(off_t)gmem_lowmem(m->gmem)) != 0)
		error = -errno;
	if (error == 0 && high != 0 &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)GMEM_HIGHMEM_BASE, (off_t)high) != 0)
		error = -errno;
	return (error);
}

/*
 * The machine as machine_create() left it, but for the clocks, which go on,
 * the contents of the CMOS, and who is connected. No vcpu runs, and this is
 * the event loop's thread, so that nobody calls into a chip meanwhile.
 */
static int
machine_reset(struct machine *m, struct config_error *err)
{
	int error;

	err->msg[0] = '\0';
	pci_bus_reset(m->pci);
	chipset_reset(m->chipset);
	error = vm_reset(m->vm);
	if (error == 0)
		error = clear_memory(m);
	/* The files may be others by now, as after a guest's upgrade. */
	if (error == 0)
		error = machine_reload(m, err);
	/* Whatever wrote there: code that was translated is old. */
	gmem_wrote(m->gmem, 0, gmem_lowmem(m->gmem));
	if (gmem_highmem(m->gmem) != 0)
		gmem_wrote(
		    m->gmem, GMEM_HIGHMEM_BASE, gmem_highmem(m->gmem));
	if (error == 0)
		error = machine_set_regs(m);
	if (error != 0)
		return (error);
	m->asked = false;
	atomic_store(&m->status, -1);
	log_info("the machine starts again");
	return (0);
}

/* Until all processors have ended. 0 or -errno. */
static int
run_once(struct machine *m)
{
	int error;

	error = machine_start_cpus(m);
	if (error == 0)
		error = mevent_run(m->loop);
	if (error != 0) {
		log_error("the machine cannot run: %s", strerror(-error));
		machine_end(m, MACHINE_ERROR);
	}
	machine_join_cpus(m);
	return (error);
}

int
machine_run(struct machine *m)
{
	bool again = strcmp(config_get(m->cfg, "reboot"), "internal") == 0;
	struct config_error err;
	int error;

	error = watch_signals(m);
	if (error != 0) {
		log_error("the machine cannot run: %s", strerror(-error));
		atomic_store(&m->status, MACHINE_ERROR);
	}
	while (error == 0) {
		error = run_once(m);
		if (error != 0 || !again ||
		    atomic_load(&m->status) != MACHINE_RESET)
			break;
		/* The guest was faster, but the user meant it. */
		if (m->stopped) {
			atomic_store(&m->status, MACHINE_POWEROFF);
			break;
		}
		error = machine_reset(m, &err);
		if (error != 0) {
			chardev_stdio_restore();
			log_error("the machine cannot start again: %s",
			    err.msg[0] != '\0' ? err.msg : strerror(-error));
			atomic_store(&m->status, MACHINE_ERROR);
		}
	}
	if (m->sigev != NULL)
		mevent_remove(m->sigev);
	m->sigev = NULL;
	chardev_stdio_restore();
	if (config_bool(m->cfg, "stats", false))
		machine_stats(m);
	return (atomic_load(&m->status));
}
