/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine on KVM: from /dev/kvm to its vcpus, and the engine's table.
 */
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "gmem/gmem.h"

/*
 * Three pages for a processor without "unrestricted guest" (api.rst 4.36,
 * 4.41), where QEMU has them too: below the largest boot ROM, above the APICs.
 */
#define IDENTITY_MAP 0xfeffc000ull
#define TSS_ADDR 0xfeffd000ull

/* Without these there is no engine. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
	{ KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS" },
	{ KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR" },
	{ KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER" },
	{ KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
	{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS" },
	{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
	{ KVM_CAP_XCRS, "KVM_CAP_XCRS" },
};

int
kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return (r < 0 ? -errno : r);
}

int
kvm_ioctl_arg(int fd, unsigned long request, unsigned long arg)
{
	int r = ioctl(fd, request, arg);

	return (r < 0 ? -errno : r);
}

int
kvm_check(int fd, int cap)
{
	int r = kvm_ioctl_arg(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return (r < 0 ? 0 : r);
}

static int
enable(struct kvm_vm *kvm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c;
	int error;

	memset(&c, 0, sizeof(c));
	c.cap = cap;
	c.args[0] = arg;
	error = kvm_ioctl(kvm->fd, KVM_ENABLE_CAP, &c);
	return (error < 0 ? error : 0);
}

/* ---- vcpus ---- */

static void
close_cpu(struct kvm_cpu *cpu)
{
	kvm_stats_close(cpu);
	kvm_ring_close(cpu);
	if (cpu->run != NULL)
		(void)munmap(cpu->run, cpu->kvm->run_size);
	if (cpu->fd >= 0)
		(void)close(cpu->fd);
	cpu->run = NULL;
	cpu->fd = -1;
}

static int
open_cpu(struct kvm_cpu *cpu)
{
	struct kvm_vm *kvm = cpu->kvm;
	void *p;
	int error;

	/* Its number is its APIC's. */
	cpu->fd = kvm_ioctl_arg(kvm->fd, KVM_CREATE_VCPU,
	    cpuid_apicid(&kvm->cpuid.topology, cpu->id));
	if (cpu->fd < 0) {
		error = cpu->fd;
		cpu->fd = -1;
		return (error);
	}
	p = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    cpu->fd, 0);
	if (p == MAP_FAILED)
		return (-errno);
	cpu->run = p;
	if (kvm->stats)
		kvm_stats_open(cpu);
	return (0);
}

static int
init_cpu(struct kvm_cpu *cpu)
{
	int error;

	cpu->completion = cpu->msr_wait = false;
	kvm_debug_again(cpu);
	cpu->dead_rip = 0;
	cpu->edges = atomic_load(&cpu->kvm->edges);
	atomic_store(&cpu->thread, (pthread_t)0);
	atomic_store(&cpu->kick_req, false);
	atomic_store(&cpu->nmi_req, false);
	atomic_store(&cpu->deaf, false);
	atomic_store(&cpu->check_req, 0);
	error = kvm_cpuid_set(cpu);
	if (error == 0)
		error = kvm_state_init(cpu);
	return (error);
}

/* ---- the VM ---- */

static void
close_vm(struct kvm_vm *kvm)
{
	vtimer_cancel(&kvm->halt_check);
	for (unsigned i = 0; i < kvm->ncpus; i++)
		close_cpu(&kvm->cpus[i]);
	if (kvm->fd >= 0)
		(void)close(kvm->fd);
	kvm->fd = -1;
}

/* Everything as after RESET: a new VM of the kernel's, so that nothing of the
 * old one is forgotten. cfg is NULL the second time. */
static int
open_vm(struct kvm_vm *kvm, const struct vm_config *cfg)
{
	uint64_t identity = IDENTITY_MAP;
	int error;

	kvm->fd = kvm_ioctl_arg(kvm->sys, KVM_CREATE_VM, 0);
	if (kvm->fd < 0) {
		error = kvm->fd;
		kvm->fd = -1;
		return (error);
	}
	atomic_store(&kvm->suspend, VM_SUSPEND_NONE);
	atomic_store(&kvm->extint, false);
	kvm_event_reset(kvm);
	(void)kvm_ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	(void)kvm_ioctl_arg(kvm->fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	error = enable(kvm, KVM_CAP_SPLIT_IRQCHIP, KVM_EOI_ROUTES);
	/* Ids of 32 bits; an MSI's 8 bits of ones still mean all. */
	if (error == 0 && kvm_check(kvm->fd, KVM_CAP_X2APIC_API) != 0)
		error = enable(kvm, KVM_CAP_X2APIC_API,
		    KVM_X2APIC_API_USE_32BIT_IDS);
	if (error == 0)
		error = enable(kvm, KVM_CAP_X86_USER_SPACE_MSR,
		    KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER);
	/* Without -P a PAUSE is nobody's business but the processor's. */
	if (error == 0 && !kvm->pause_exit &&
	    (kvm_check(kvm->fd, KVM_CAP_X86_DISABLE_EXITS) &
		KVM_X86_DISABLE_EXITS_PAUSE) != 0)
		error = enable(kvm, KVM_CAP_X86_DISABLE_EXITS,
		    KVM_X86_DISABLE_EXITS_PAUSE);
	/* Otherwise user code would get #UD for what we can complete. */
	if (error == 0 &&
	    kvm_check(kvm->fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE) != 0)
		error = enable(kvm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	if (error == 0)
		error = kvm_set_memory(kvm);
	if (error == 0)
		kvm_ring_enable(kvm);
	for (unsigned i = 0; i < kvm->ncpus && error == 0; i++)
		error = open_cpu(&kvm->cpus[i]);
	if (error == 0 && gmem_dirty_logged(kvm->gmem))
		error = kvm_ring_open(kvm);
	if (error == 0)
		error = cfg != NULL ? kvm_cpuid_init(kvm, cfg) : 0;
	if (error == 0)
		error = kvm_msr_filter(kvm);
	for (unsigned i = 0; i < kvm->ncpus && error == 0; i++)
		error = init_cpu(&kvm->cpus[i]);
	if (error == 0)
		error = kvm_doorbells_again(kvm);
	if (error == 0)
		kvm_halt_start(kvm);
	return (error);
}

static void
kvm_destroy(void *priv)
{
	struct kvm_vm *kvm = priv;

	close_vm(kvm);
	kvm_complete_fini(kvm);
	if (kvm->sys >= 0)
		(void)close(kvm->sys);
	pthread_mutex_destroy(&kvm->soft_lock);
	pthread_mutex_destroy(&kvm->dirty_lock);
	pthread_cond_destroy(&kvm->out_cond);
	kvm_event_fini(kvm);
	free(kvm->supported);
	free(kvm->cpus);
	free(kvm);
}

static int
open_dev(struct kvm_vm *kvm, const struct vm_config *cfg)
{
	int size;

	kvm->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->sys < 0)
		return (vm_fail(cfg, -errno, "/dev/kvm: %s", strerror(errno)));
	if (kvm_ioctl_arg(kvm->sys, KVM_GET_API_VERSION, 0) !=
	    KVM_API_VERSION)
		return (vm_fail(cfg, -ENODEV, "/dev/kvm: another interface"));
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (kvm_check(kvm->sys, needed[i].cap) == 0)
			return (vm_fail(cfg, -ENODEV, "/dev/kvm: no %s",
			    needed[i].name));
	size = kvm_ioctl_arg(kvm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return (vm_fail(cfg, -ENODEV, "/dev/kvm: too small a page"));
	kvm->run_size = (size_t)size;
	kvm->debug_caps =
	    (uint32_t)kvm_check(kvm->sys, KVM_CAP_SET_GUEST_DEBUG2);
	return (0);
}

static int
kvm_create(struct vm *vm, const struct vm_config *cfg, void **priv)
{
	struct kvm_vm *kvm;
	int error;

	kvm = calloc(1, sizeof(*kvm));
	if (kvm == NULL)
		return (-ENOMEM);
	kvm->vm = vm;
	kvm->gmem = cfg->gmem;
	kvm->vclock = cfg->vclock;
	kvm->ops = cfg->ops;
	kvm->ops_arg = cfg->ops_arg;
	kvm->x2apic = cfg->x2apic;
	kvm->pause_exit = cfg->pause_exit;
	kvm->stats = cfg->stats;
	kvm->no_ring = cfg->kvm_no_ring;
	kvm->sys = kvm->fd = -1;
	pthread_mutex_init(&kvm->soft_lock, NULL);
	pthread_mutex_init(&kvm->dirty_lock, NULL);
	pthread_cond_init(&kvm->out_cond, NULL);
	kvm_event_init(kvm);
	vtimer_init(&kvm->halt_check, kvm->vclock, kvm_halt_check, kvm);
	error = open_dev(kvm, cfg);
	if (error != 0)
		goto fail;
	error = -ENOMEM;
	kvm->cpus = calloc(cfg->ncpus, sizeof(*kvm->cpus));
	if (kvm->cpus == NULL)
		goto fail;
	kvm->ncpus = cfg->ncpus;
	for (unsigned i = 0; i < kvm->ncpus; i++) {
		kvm->cpus[i].kvm = kvm;
		kvm->cpus[i].vcpu = vm_vcpu(vm, i);
		kvm->cpus[i].id = i;
		kvm->cpus[i].fd = kvm->cpus[i].stats_fd = -1;
	}
	kvm->cpuid.topology = vm_topology(cfg);
	error = open_vm(kvm, cfg);
	if (error != 0 && (cfg->err == NULL || cfg->err->msg[0] == '\0'))
		(void)vm_fail(cfg, error, "/dev/kvm: %s", strerror(-error));
	if (error != 0)
		goto fail;
	*priv = kvm;
	return (0);
fail:
	kvm_destroy(kvm);
	return (error);
}

static int
kvm_reset(void *priv)
{
	struct kvm_vm *kvm = priv;
	int error = 0;

	/* The kernel's marks go with its VM. */
	if (gmem_dirty_logged(kvm->gmem)) {
		pthread_mutex_lock(&kvm->dirty_lock);
		error = kvm_dirty_fetch(kvm);
		pthread_mutex_unlock(&kvm->dirty_lock);
	}
	close_vm(kvm);
	return (error != 0 ? error : open_vm(kvm, NULL));
}

/* ---- the rest of the table ---- */

/* HLT and PAUSE stay in the kernel, which gives the host's processor away
 * meanwhile: what -H and -P are for. PAUSE is decided with the VM. */
static int
kvm_set_cap(void *priv, unsigned id, enum vm_cap cap, bool on)
{
	(void)priv;
	(void)id;
	(void)on;
	return (cap == VM_CAP_HALT_EXIT || cap == VM_CAP_PAUSE_EXIT ?
		0 :
		-EINVAL);
}

/* vcpu_run() waits: there was no HLT exit. */
static void
kvm_wait(void *priv, unsigned id)
{
	(void)priv;
	(void)id;
}

/* The kernel knows no gate (vmm.h). */
static void
kvm_set_a20(void *priv, bool open)
{
	(void)priv;
	(void)open;
}

static void
kvm_suspend(void *priv, enum vm_suspend_how how)
{
	struct kvm_vm *kvm = priv;

	atomic_store(&kvm->suspend, how);
	for (unsigned i = 0; i < kvm->ncpus; i++)
		kvm_poke(&kvm->cpus[i]);
}

const struct vmm_engine kvm_engine = {
	.name = "kvm",
	.create = kvm_create,
	.destroy = kvm_destroy,
	.reset = kvm_reset,
	.run = kvm_run,
	.kick = kvm_kick,
	.wait = kvm_wait,
	.get_reg = kvm_get_reg,
	.set_reg = kvm_set_reg,
	.get_seg = kvm_get_seg,
	.set_seg = kvm_set_seg,
	.get_xsave = kvm_get_xsave,
	.set_xsave = kvm_set_xsave,
	.get_msr = kvm_get_msr,
	.set_msr = kvm_set_msr,
	.set_apic = kvm_set_apic,
	.inject_exception = kvm_inject_exception,
	.complete_msr = kvm_complete_msr,
	.set_cap = kvm_set_cap,
	.set_debug = kvm_set_debug,
	.msi = kvm_msi,
	.want_eoi = kvm_want_edge,
	.extint = kvm_extint,
	.nmi = kvm_nmi,
	.set_a20 = kvm_set_a20,
	.suspend = kvm_suspend,
	.dump = kvm_dump,
	.stats = kvm_stats,
	.doorbell = kvm_doorbell,
	.dirty_log = kvm_dirty_log,
	.dirty_get = kvm_dirty_get,
};
