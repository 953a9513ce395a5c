/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of exits and upcalls: bhyve's bhyvestats, and more. */
#include <inttypes.h>
#include <stdio.h>

#include "machine/machine_priv.h"

static const char *const exit_names[VM_EXITCODE_MAX] = {
    [VM_EXITCODE_BOGUS] = "vmexit_bogus",
    [VM_EXITCODE_RDMSR] = "vmexit_rdmsr",
    [VM_EXITCODE_WRMSR] = "vmexit_wrmsr",
    [VM_EXITCODE_HLT] = "vmexit_hlt",
    [VM_EXITCODE_MTRAP] = "vmexit_mtrap",
    [VM_EXITCODE_PAUSE] = "vmexit_pause",
    [VM_EXITCODE_SPINUP_AP] = "vmexit_spinup_ap",
    [VM_EXITCODE_SUSPENDED] = "vmexit_suspended",
    [VM_EXITCODE_TASK_SWITCH] = "vmexit_task_switch",
    [VM_EXITCODE_REQIDLE] = "vmexit_reqidle",
    [VM_EXITCODE_DEBUG] = "vmexit_debug",
    [VM_EXITCODE_BPT] = "vmexit_bpt",
    [VM_EXITCODE_ENGINE] = "vmexit_engine",
};

static const char *const io_names[IO_MAX] = {
    [IO_IN] = "port_in",
    [IO_OUT] = "port_out",
    [IO_IN_NOBODY] = "port_in_nobody",
    [IO_OUT_NOBODY] = "port_out_nobody",
    [IO_READ] = "mem_read",
    [IO_WRITE] = "mem_write",
    [IO_READ_NOBODY] = "mem_read_nobody",
    [IO_WRITE_NOBODY] = "mem_write_nobody",
    [IO_EOI] = "eoi",
    [IO_NOTIFY] = "guest_notify",
};

/* A counter: its sum, then each vcpu. A line of the log, so that it looks
 * right on a raw terminal too. */
static void
print(const struct machine *m, const char *name, const uint64_t *val)
{
	char line[32 + 21 * (CONFIG_MAX_CPUS + 1)];
	uint64_t sum = 0;
	size_t len = 0;
	unsigned i;

	for (i = 0; i < m->ncpus; i++) {
		sum += val[i];
		len += (size_t)snprintf(
		    line + len, sizeof(line) - len, " %10" PRIu64, val[i]);
	}
	log_error("%-18s %10" PRIu64 "%s", name, sum,
	    m->ncpus > 1 ? line : "");
}

static void
print_own(const struct machine *m, const char *name, unsigned n, bool io)
{
	uint64_t val[CONFIG_MAX_CPUS];
	unsigned i;

	for (i = 0; i < m->ncpus; i++)
		val[i] = atomic_load_explicit(io ? &m->cpus[i].io[n] :
						   &m->cpus[i].exits[n],
		    memory_order_relaxed);
	print(m, name, val);
}

/* Those of the engine. */
static void
print_engine(const struct machine *m)
{
	struct vmm_stat s[VMM_STATS_MAX];
	uint64_t val[VMM_STATS_MAX][CONFIG_MAX_CPUS];
	unsigned i, j, n = 0;

	for (i = 0; i < m->ncpus; i++) {
		n = vcpu_stats(vm_vcpu(m->vm, i), s, VMM_STATS_MAX);
		for (j = 0; j < n; j++)
			val[j][i] = s[j].value;
	}
	for (j = 0; j < n; j++)
		print(m, s[j].name, val[j]);
}

void
machine_stats(struct machine *m)
{
	unsigned i;

	log_error("%-18s %10s%s", "counters", "all",
	    m->ncpus > 1 ? ", then each vcpu" : "");
	for (i = 0; i < VM_EXITCODE_MAX; i++)
		print_own(m, exit_names[i], i, false);
	for (i = 0; i < IO_MAX; i++)
		print_own(m, io_names[i], i, true);
	print_engine(m);
}
