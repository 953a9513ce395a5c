/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chipset/fwcfg.h"
#include "machine/machine_priv.h"
#include "machine/rundir.h"
#include "vmm/cpuid.h"

#define PORTS_LIMIT 0x10000u

/* What the chipset asks of the world outside. */
static void
on_extint(void *arg, bool level)
{
	struct machine *m = arg;

	vm_extint(m->vm, level);
}

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct machine *m = arg;

	(void)vm_msi(m->vm, addr, data);
}

static void
on_want_eoi(void *arg, uint64_t addr, uint32_t data)
{
	struct machine *m = arg;

	vm_want_eoi(m->vm, addr, data);
}

static void
on_a20(void *arg, bool open)
{
	struct machine *m = arg;

	vm_set_a20(m->vm, open);
}

static int
on_doorbell(void *arg, bool port, uint64_t addr, unsigned size, int64_t match,
    int fd, bool on)
{
	struct machine *m = arg;

	return (vm_doorbell(m->vm, port, addr, size, match, fd, on));
}

static void
on_reset(void *arg)
{
	machine_end(arg, MACHINE_RESET);
}

static void
on_poweroff(void *arg)
{
	machine_end(arg, MACHINE_POWEROFF);
}

static void
on_end(void *arg, int status)
{
	machine_end(arg, status);
}

/* The soft engine's fast paths that the user turns off. */
static unsigned
soft_off(const struct machine *m)
{
	static const struct {
		const char *name;
		unsigned bit;
	} paths[] = {
		{ "soft.forms", SOFT_OFF_FORMS },
		{ "soft.inline", SOFT_OFF_INLINE },
		{ "soft.pcid", SOFT_OFF_PCID },
		{ "soft.jc2", SOFT_OFF_JC2 },
		{ "soft.slots", SOFT_OFF_SLOTS },
		{ "soft.rounds", SOFT_OFF_ROUNDS },
		{ "soft.stack", SOFT_OFF_STACK },
		{ "soft.string", SOFT_OFF_STRING },
		{ "soft.loop", SOFT_OFF_LOOP },
		{ "soft.huge", SOFT_OFF_HUGE },
		{ "soft.late", SOFT_OFF_LATE },
	};
	unsigned off = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!config_bool(m->cfg, paths[i].name, true))
			off |= paths[i].bit;
	return (off);
}

static int
create_vm(struct machine *m, struct config_error *err)
{
	struct vm_error why = {""};
	struct cpuid_choice cpu;
	struct vm_config vc = {
	    .err = &why,
	    .ncpus = m->ncpus,
	    .cores = m->topology.cores,
	    .threads = m->topology.threads,
	    .gmem = m->gmem,
	    .vclock = m->vclock,
	    .ops = &machine_io_ops,
	    .ops_arg = m,
	    .x2apic = config_bool(m->cfg, "x86.x2apic", false),
	    .soft_no_link = !config_bool(m->cfg, "soft.link", true),
	    .soft_no_tlb = !config_bool(m->cfg, "soft.tlb", true),
	    .soft_one_insn = config_bool(m->cfg, "soft.oneinsn", false),
	    .soft_off = soft_off(m),
	    .kvm_no_ring = !config_bool(m->cfg, "kvm.dirty_ring", true),
	    .stats = config_bool(m->cfg, "stats", false),
	    .pause_exit =
		config_bool(m->cfg, "x86.vmexit_on_pause", false),
	};
	const char *engine = config_get(m->cfg, "engine");
	const char *mirror = config_get(m->cfg, "soft.mirror");
	const char *khz = config_get(m->cfg, "cpu.tsc_khz");
	uint64_t n;
	unsigned i;
	int error;

	vc.soft_mirror = strcmp(mirror, "off") == 0 ? SOFT_MIRROR_OFF :
	    strcmp(mirror, "eager") == 0	     ? SOFT_MIRROR_EAGER :
						       SOFT_MIRROR_ON;
	if (cpuid_choice_parse(&cpu, config_get(m->cfg, "cpu.model"),
		config_get(m->cfg, "cpu.features"), &why) != 0)
		return (config_fail(err, "-o cpu.features: %s", why.msg));
	if (khz != NULL && config_parse_uint(khz, &n) == 0)
		cpu.tsc_khz = (uint32_t)n;
	vc.cpu = &cpu;
	vc.engine = VM_ENGINE_AUTO;
	if (strcmp(engine, "soft") == 0)
		vc.engine = VM_ENGINE_SOFT;
	else if (strcmp(engine, "kvm") == 0)
		vc.engine = VM_ENGINE_KVM;
	error = vm_create(&m->vm, &vc);
	if (error != 0) {
		m->vm = NULL;
		if (error == -ENOTSUP)
			(void)config_fail(err,
			    "-o cpu=%s: %s; take another model, or features "
			    "away with -o cpu.features=-NAME",
			    config_get(m->cfg, "cpu.model"), why.msg);
		else
			(void)config_fail(err,
			    "-o engine=%s: cannot be used here (%s)%s", engine,
			    why.msg[0] != '\0' ? why.msg : strerror(-error),
			    vc.engine == VM_ENGINE_KVM ? "; use "
							 "-o engine=soft"
						       : "");
		return (error);
	}
	log_info("engine: %s, %s", vm_engine_name(m->vm),
	    vm_engine_why(m->vm));
	m->cpus = calloc(m->ncpus, sizeof(*m->cpus));
	if (m->cpus == NULL)
		return (-ENOMEM);
	for (i = 0; i < m->ncpus; i++) {
		m->cpus[i].m = m;
		m->cpus[i].vcpu = vm_vcpu(m->vm, i);
		if (config_bool(m->cfg, "x86.vmexit_on_hlt", false))
			error = vcpu_set_cap(
			    m->cpus[i].vcpu, VM_CAP_HALT_EXIT, true);
		if (error != 0)
			return (config_fail(err,
			    "-H: this engine cannot leave the guest on HLT; "
			    "leave it out"));
		if (config_bool(m->cfg, "x86.vmexit_on_pause", false))
			error = vcpu_set_cap(
			    m->cpus[i].vcpu, VM_CAP_PAUSE_EXIT, true);
		if (error != 0)
			return (config_fail(err,
			    "-P: this engine cannot leave the guest on "
			    "PAUSE; leave it out"));
	}
	return (0);
}

/* bhyve's default: the guest's clock shows the host's local time. */
static int64_t
wall_time(const struct machine *m)
{
	time_t now = time(NULL);
	struct tm tm;

	if (!config_bool(m->cfg, "rtc.use_localtime", true) ||
	    localtime_r(&now, &tm) == NULL)
		return (now);
	return (now + tm.tm_gmtoff);
}

static int
create_chipset(struct machine *m, struct config_error *err)
{
	struct chipset_config cc = {
	    .ports = m->ports,
	    .mmio = m->mmio,
	    .irqs = m->irqs,
	    .vclock = m->vclock,
	    .wall_time = wall_time(m),
	    .lowmem = gmem_lowmem(m->gmem),
	    .highmem = gmem_highmem(m->gmem),
	    .gmem = m->gmem,
	    .vars = {.data = m->vars, .fd = m->vars_file.fd},
	    .arg = m,
	    .extint = on_extint,
	    .a20 = on_a20,
	    .msi = on_msi,
	    .want_eoi = on_want_eoi,
	    .reset = on_reset,
	    .poweroff = on_poweroff,
	    .end = on_end,
	    .bvmcons = m->bvmcons,
	    .dbgport = m->dbgport,
	    .pc_testdev = config_bool(m->cfg, "lpc.pc-testdev", false),
	};
	struct pci_config pc = {
	    .ports = m->ports,
	    .mmio = m->mmio,
	    .irqs = m->irqs,
	    .msi = {on_msi, m, NULL},
	    .doorbell = on_doorbell,
	    .doorbell_arg = m,
	    .gmem = m->gmem,
	    .intx_irq = chipset_intx_irq,
	    .ecam_base = MACHINE_ECAM_BASE,
	    .mem32_base = m->mem32_base,
	    .mem32_limit = m->mem32_limit,
	    .mem64_base = m->mem64_base,
	    .mem64_limit = m->mem64_limit,
	};
	uint64_t port;
	unsigned i;
	int error;

	for (i = 0; i < CHIPSET_UARTS; i++)
		cc.com[i] = m->com[i];
	if (config_get(m->cfg, "lpc.isa-debug-exit") != NULL &&
	    config_parse_uint(
		config_get(m->cfg, "lpc.isa-debug-exit"), &port) == 0)
		cc.debug_exit = (uint16_t)port;
	/* The test device has the ports from 0x2000 on. */
	if (cc.pc_testdev)
		pc.io_base = 0x2000 + IRQ_LINES;
	if (m->vars != NULL) {
		cc.vars.size = m->vars_file.size;
		cc.vars.base = GMEM_HIGHMEM_BASE - gmem_rom(m->gmem) -
		    m->vars_file.size;
	}
	error = machine_create_fwcfg(m, &cc.fwcfg, err);
	if (error == 0)
		error = chipset_create(&m->chipset, &cc);
	if (error == 0)
		m->fwcfg = cc.fwcfg;
	pc.arg = m->chipset;
	if (error == 0)
		error = pci_bus_create(&m->pci, &pc);
	return (error);
}

/* Before anything that could have something to tell. */
static int
set_log(struct machine *m, struct config_error *err)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
	    {"error", LOG_ERROR},
	    {"warn", LOG_WARN},
	    {"info", LOG_INFO},
	    {"debug", LOG_DEBUG},
	};
	static const char groups[] =
#define TRACE_GROUP(name) " " #name
#include "base/trace_groups.inc"
#undef TRACE_GROUP
	    ;
	const char *list = config_get(m->cfg, "trace");
	const char *name = config_get(m->cfg, "log");
	enum log_level level = LOG_WARN;
	size_t i;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(name, levels[i].name) == 0)
			level = levels[i].level;
	if (list != NULL && level < LOG_INFO)
		level = LOG_INFO;
	log_set_level(level);
	if (list == NULL || trace_enable(list) == 0)
		return (0);
	return (config_fail(err,
	    "-o trace=%.80s: unknown trace group; use all or some of:%s", list,
	    groups));
}

int
machine_create(
    struct machine **out, const struct config *cfg, struct config_error *err)
{
	struct machine *m;
	int error;

	err->msg[0] = '\0';
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return (config_fail(err, "out of memory"));
	m->cfg = cfg;
	m->sigfd = -1;
	atomic_store(&m->status, -1);
	m->strictio = config_bool(cfg, "x86.strictio", false);
	m->strictmsr = config_bool(cfg, "x86.strictmsr", true);
	m->verbosemsr = config_bool(cfg, "x86.verbosemsr", false);

	error = set_log(m, err);
	if (error == 0)
		error = config_topology(cfg, &m->topology, err);
	m->ncpus = m->topology.cpus;
	if (error == 0)
		error = machine_check_pins(m, err);
	if (error == 0)
		error = config_numa(cfg, m->ncpus, &m->numa, err);
	if (error == 0)
		error = rundir_create(
		    &m->rundir, config_get(cfg, "name"), err);
	if (error == 0)
		error = machine_create_memory(m, err);
	if (error == 0)
		error = mevent_loop_create(&m->loop);
	if (error == 0)
		error = vclock_create(&m->vclock, m->loop);
	if (error == 0) {
		vtimer_init(&m->grace, m->vclock, machine_grace, m);
		error = bus_space_create(&m->ports, "ports", PORTS_LIMIT);
	}
	if (error == 0)
		error = bus_space_create(
		    &m->mmio, "mmio", UINT64_C(1) << cpuid_phys_bits());
	if (error == 0)
		error = irq_lines_create(&m->irqs);
	if (error == 0)
		error = machine_load_rom(m, err);
	if (error == 0)
		error = create_vm(m, err);
	if (error == 0)
		error = machine_add_coms(m, err);
	if (error == 0)
		error = create_chipset(m, err);
	if (error == 0)
		error = machine_add_pci(m, err);
	if (error == 0)
		error = machine_load_tables(m, err);
	if (error == 0)
		error = machine_load(m, err);
	if (error == 0 && m->fwcfg != NULL)
		error = fwcfg_seal(m->fwcfg);
	if (error == 0)
		error = machine_set_regs(m);
	if (error != 0) {
		if (err->msg[0] == '\0')
			(void)config_fail(err,
			    "the machine cannot be built: %s; see -o trace",
			    strerror(-error));
		machine_destroy(m);
		return (error);
	}
	*out = m;
	return (0);
}

void
machine_destroy(struct machine *m)
{
	unsigned i;
	int status;

	if (m == NULL)
		return;
	status = atomic_load(&m->status);
	if (m->pci != NULL)
		pci_bus_destroy(m->pci);
	if (m->chipset != NULL)
		chipset_destroy(m->chipset);
	for (i = 0; i < CHIPSET_UARTS; i++)
		if (m->com[i] != NULL)
			chardev_destroy(m->com[i]);
	if (m->bvmcons != NULL)
		chardev_destroy(m->bvmcons);
	if (m->dbgport != NULL)
		chardev_destroy(m->dbgport);
	if (m->vm != NULL)
		vm_destroy(m->vm);
	if (m->irqs != NULL)
		irq_lines_destroy(m->irqs);
	if (m->mmio != NULL)
		bus_space_destroy(m->mmio);
	if (m->ports != NULL)
		bus_space_destroy(m->ports);
	if (m->vclock != NULL) {
		vtimer_cancel(&m->grace);
		vclock_destroy(m->vclock);
	}
	if (m->loop != NULL)
		mevent_loop_destroy(m->loop);
	if (m->gmem != NULL)
		gmem_destroy(m->gmem);
	if (m->sigfd >= 0)
		(void)close(m->sigfd);
	if (m->vars != NULL)
		fw_file_close(&m->vars_file);
	free(m->vars);
	/* -D: whoever powers off; a machine that never ran leaves nothing. */
	rundir_destroy(m->rundir,
	    status < 0 ? rundir_is_new(m->rundir) :
			 status == MACHINE_POWEROFF &&
		    config_bool(m->cfg, "destroy_on_poweroff", false));
	free(m->cpus);
	free(m);
}
