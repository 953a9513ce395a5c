/* SPDX-License-Identifier: BSD-2-Clause */
/* The processors' threads, and what the machine does with their exits. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine/machine_priv.h"

enum verdict { VCPU_CONTINUE, VCPU_DONE };

static enum verdict
exit_bogus(struct machine_cpu *c, const struct vm_exit *ex)
{
	(void)c;
	(void)ex;
	return (VCPU_CONTINUE);
}

/* An MSR that nobody knows. bhyve's default, too: #GP. */
static enum verdict
exit_msr(struct machine_cpu *c, const struct vm_exit *ex)
{
	if (ex->exitcode == VM_EXITCODE_RDMSR)
		trace(TRACE_msr, "vcpu %u: rdmsr 0x%x at 0x%" PRIx64 ": #GP",
		    vcpu_id(c->vcpu), ex->u.msr.code, ex->rip);
	else
		trace(TRACE_msr,
		    "vcpu %u: wrmsr 0x%x <- 0x%" PRIx64 " at 0x%" PRIx64
		    ": #GP",
		    vcpu_id(c->vcpu), ex->u.msr.code, ex->u.msr.wval, ex->rip);
	if (vcpu_complete_msr(c->vcpu, true, 0) != 0) {
		machine_end(c->m, MACHINE_ERROR);
		return (VCPU_DONE);
	}
	return (VCPU_CONTINUE);
}

/* With -H. If all processors wait for each other, the engine ends the machine
 * (SUSPENDED comes next). */
static enum verdict
exit_hlt(struct machine_cpu *c, const struct vm_exit *ex)
{
	(void)ex;
	vcpu_wait(c->vcpu);
	return (VCPU_CONTINUE);
}

static enum verdict
exit_suspended(struct machine_cpu *c, const struct vm_exit *ex)
{
	/* Not all reasons come through machine_end(): a triple fault and the
	 * engine's own detection of HALT begin in the engine. */
	machine_end(c->m, ex->u.suspended.how >= VM_SUSPEND_RESET &&
				  ex->u.suspended.how <= VM_SUSPEND_TRIPLEFAULT
			      ? (enum machine_status)ex->u.suspended.how
			      : MACHINE_ERROR);
	return (VCPU_DONE);
}

/* The user learns what happened, and where, before anything else. */
static enum verdict
exit_engine(struct machine_cpu *c, const struct vm_exit *ex)
{
	char bytes[sizeof(ex->u.engine.inst) * 3 + 1] = "";
	unsigned i;

	for (i = 0; i < ex->u.engine.inst_len && i < sizeof(ex->u.engine.inst);
	     i++)
		(void)snprintf(bytes + i * 3, 4, "%s%02x", i == 0 ? "" : " ",
		    ex->u.engine.inst[i]);
	chardev_stdio_restore();
	log_error("vcpu %u: %.96s at 0x%" PRIx64 "%s%s; please report it",
	    vcpu_id(c->vcpu), ex->u.engine.reason, ex->rip,
	    bytes[0] != '\0' ? ", instruction " : "", bytes);
	vcpu_dump(c->vcpu, stderr);
	machine_end(c->m, MACHINE_ERROR);
	return (VCPU_DONE);
}

static enum verdict (*const handlers[VM_EXITCODE_MAX])(
    struct machine_cpu *, const struct vm_exit *) = {
    [VM_EXITCODE_BOGUS] = exit_bogus,
    [VM_EXITCODE_RDMSR] = exit_msr,
    [VM_EXITCODE_WRMSR] = exit_msr,
    [VM_EXITCODE_HLT] = exit_hlt,
    [VM_EXITCODE_PAUSE] = exit_bogus,
    [VM_EXITCODE_REQIDLE] = exit_bogus,
    [VM_EXITCODE_SUSPENDED] = exit_suspended,
    [VM_EXITCODE_ENGINE] = exit_engine,
};

static enum verdict
dispatch(struct machine_cpu *c, const struct vm_exit *ex)
{
	if ((unsigned)ex->exitcode < VM_EXITCODE_MAX) {
		c->exits[ex->exitcode]++;
		if (handlers[ex->exitcode] != NULL)
			return (handlers[ex->exitcode](c, ex));
	}
	chardev_stdio_restore();
	log_error("vcpu %u: unexpected exitcode 0x%x at 0x%" PRIx64,
	    vcpu_id(c->vcpu), (unsigned)ex->exitcode, ex->rip);
	vcpu_dump(c->vcpu, stderr);
	machine_end(c->m, MACHINE_ERROR);
	return (VCPU_DONE);
}

static void *
vcpu_main(void *arg)
{
	struct machine_cpu *c = arg;
	struct vm_exit ex;
	char name[16];
	int error;

	(void)snprintf(name, sizeof(name), "vcpu %u", vcpu_id(c->vcpu));
	(void)pthread_setname_np(pthread_self(), name);
	do {
		error = vcpu_run(c->vcpu, &ex);
		if (error != 0) {
			chardev_stdio_restore();
			log_error("vcpu %u: cannot run: %s", vcpu_id(c->vcpu),
			    strerror(-error));
			machine_end(c->m, MACHINE_ERROR);
			break;
		}
	} while (dispatch(c, &ex) == VCPU_CONTINUE);
	/* The last one turns off the light. */
	if (atomic_fetch_sub(&c->m->running, 1) == 1)
		mevent_stop(c->m->loop);
	return (NULL);
}

int
machine_start_cpus(struct machine *m)
{
	unsigned i;
	int error;

	atomic_store(&m->running, m->ncpus);
	for (i = 0; i < m->ncpus; i++) {
		error = pthread_create(
		    &m->cpus[i].thread, NULL, vcpu_main, &m->cpus[i]);
		if (error != 0) {
			/* Those that never began do not count. */
			atomic_fetch_sub(&m->running, m->ncpus - i);
			return (-error);
		}
		m->cpus[i].started = true;
	}
	return (0);
}

void
machine_join_cpus(struct machine *m)
{
	unsigned i;

	for (i = 0; i < m->ncpus; i++)
		if (m->cpus[i].started)
			(void)pthread_join(m->cpus[i].thread, NULL);
}
