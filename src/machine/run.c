/* SPDX-License-Identifier: BSD-2-Clause */
/* From the start of a machine to its end. */
#include <errno.h>
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
	m->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->sigfd < 0)
		return (-errno);
	return (mevent_add(
	    m->loop, m->sigfd, MEVENT_READ, on_signal, m, &m->sigev));
}

int
machine_run(struct machine *m)
{
	int error;

	error = watch_signals(m);
	if (error == 0)
		error = machine_start_cpus(m);
	if (error == 0)
		error = mevent_run(m->loop);
	if (error != 0) {
		log_error("the machine cannot run: %s", strerror(-error));
		machine_end(m, MACHINE_ERROR);
	}
	machine_join_cpus(m);
	if (m->sigev != NULL)
		mevent_remove(m->sigev);
	m->sigev = NULL;
	chardev_stdio_restore();
	return (atomic_load(&m->status));
}
