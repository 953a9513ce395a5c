/* SPDX-License-Identifier: BSD-2-Clause */
/* The processors' threads, and what the machine does with their exits. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
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

/* An MSR that nobody knows. bhyve's default, too: #GP. With -w it reads as
 * zero and takes no value. */
static enum verdict
exit_msr(struct machine_cpu *c, const struct vm_exit *ex)
{
	struct machine *m = c->m;
	const char *end = m->strictmsr ? "#GP" : "ignored";
	char what[64];

	if (ex->exitcode == VM_EXITCODE_RDMSR)
		(void)snprintf(
		    what, sizeof(what), "rdmsr 0x%x", ex->u.msr.code);
	else
		(void)snprintf(what, sizeof(what),
		    "wrmsr 0x%x <- 0x%" PRIx64, ex->u.msr.code,
		    ex->u.msr.wval);
	trace(TRACE_msr, "vcpu %u: %s at 0x%" PRIx64 ": %s",
	    vcpu_id(c->vcpu), what, ex->rip, end);
	if (m->verbosemsr)
		log_guest(&m->msr_rate, "vcpu %u: %s at 0x%" PRIx64 ": %s",
		    vcpu_id(c->vcpu), what, ex->rip, end);
	if (vcpu_complete_msr(c->vcpu, m->strictmsr, 0) != 0) {
		machine_end(m, MACHINE_ERROR);
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

/* The user learns what happened, and where, before anything else: in bhyve's
 * form, with the registers. */
static enum verdict
fatal(struct machine_cpu *c, const struct vm_exit *ex, const char *reason)
{
	char bytes[sizeof(ex->u.engine.inst) * 3 + 1] = "";
	const struct machine *m = c->m;
	unsigned i, len = 0;

	if (ex->exitcode == VM_EXITCODE_ENGINE)
		len = ex->u.engine.inst_len;
	for (i = 0; i < len && i < sizeof(ex->u.engine.inst); i++)
		(void)snprintf(bytes + i * 3, 4, "%s%02x", i == 0 ? "" : " ",
		    ex->u.engine.inst[i]);
	chardev_stdio_restore();
	log_error("vcpu %u: %.96s at 0x%" PRIx64 "%s%s; please report it",
	    vcpu_id(c->vcpu), reason, ex->rip,
	    bytes[0] != '\0' ? ", instruction " : "", bytes);
	(void)fprintf(stderr,
	    "vm exit[%u]\n"
	    "\treason\t\t%s\n"
	    "\trip\t\t0x%016" PRIx64 "\n"
	    "\tinst_length\t%u\n"
	    "\texitcode\t%u\n",
	    vcpu_id(c->vcpu), vm_engine_name(m->vm), ex->rip, len,
	    (unsigned)ex->exitcode);
	vcpu_dump(c->vcpu, stderr);
	machine_end(c->m, MACHINE_ERROR);
	return (VCPU_DONE);
}

static enum verdict
exit_engine(struct machine_cpu *c, const struct vm_exit *ex)
{
	return (fatal(c, ex, ex->u.engine.reason));
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
		atomic_fetch_add_explicit(
		    &c->exits[ex->exitcode], 1, memory_order_relaxed);
		if (handlers[ex->exitcode] != NULL)
			return (handlers[ex->exitcode](c, ex));
	}
	return (fatal(c, ex, "an exit that nobody expects"));
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

/* The processors of the host that a vcpu may use. False: any. */
static bool
get_pins(const struct machine *m, unsigned vcpu, cpu_set_t *out)
{
	uint64_t set[CONFIG_HOST_CPUS / 64];
	char path[32];
	const char *val;
	unsigned i;

	(void)snprintf(path, sizeof(path), "vcpu.%u.cpuset", vcpu);
	val = config_get(m->cfg, path);
	if (val == NULL || config_parse_cpuset(val, set) != 0)
		return (false);
	CPU_ZERO(out);
	for (i = 0; i < CONFIG_HOST_CPUS && i < CPU_SETSIZE; i++)
		if ((set[i / 64] >> (i % 64)) & 1)
			CPU_SET(i, out);
	return (true);
}

int
machine_check_pins(struct machine *m, struct config_error *err)
{
	cpu_set_t have, want;
	unsigned i, k;

	if (sched_getaffinity(0, sizeof(have), &have) != 0)
		return (0); /* more than we can name; threads will tell */
	for (i = 0; i < m->ncpus; i++) {
		if (!get_pins(m, i, &want))
			continue;
		for (k = 0; k < CPU_SETSIZE; k++)
			if (CPU_ISSET(k, &want) && !CPU_ISSET(k, &have))
				return (config_fail(err,
				    "-p %u:%u: the host has no processor %u, "
				    "or lhyve may not use it; taskset -p $$ "
				    "lists those it may",
				    i, k, k));
	}
	return (0);
}

static int
start_cpu(struct machine_cpu *c)
{
	pthread_attr_t attr;
	cpu_set_t pins;
	int error;

	error = pthread_attr_init(&attr);
	if (error != 0)
		return (-error);
	if (get_pins(c->m, vcpu_id(c->vcpu), &pins))
		error = pthread_attr_setaffinity_np(
		    &attr, sizeof(pins), &pins);
	if (error == 0)
		error = pthread_create(&c->thread, &attr, vcpu_main, c);
	(void)pthread_attr_destroy(&attr);
	c->started = error == 0;
	return (-error);
}

int
machine_start_cpus(struct machine *m)
{
	unsigned i;
	int error;

	atomic_store(&m->running, m->ncpus);
	for (i = 0; i < m->ncpus; i++) {
		error = start_cpu(&m->cpus[i]);
		if (error != 0) {
			/* Those that never began do not count. */
			atomic_fetch_sub(&m->running, m->ncpus - i);
			return (error);
		}
	}
	return (0);
}

void
machine_join_cpus(struct machine *m)
{
	unsigned i;

	for (i = 0; i < m->ncpus; i++) {
		if (m->cpus[i].started)
			(void)pthread_join(m->cpus[i].thread, NULL);
		m->cpus[i].started = false;
	}
}
