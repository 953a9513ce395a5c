/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libvmm: the part that is the same whatever engine runs the machine.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gmem/gmem.h"
#include "vmm/engine.h"
#include "vmm/walk.h"

struct vcpu {
	struct vm *vm;
	unsigned id;
};

struct vm {
	const struct vmm_engine *eng;
	char why[160];
	void *priv;
	struct gmem *gmem;
	unsigned ncpus;
	_Atomic int suspend; /* enum vm_suspend_how, VM_SUSPEND_NONE */
	struct vcpu vcpu[];
};

int
vm_fail(const struct vm_config *cfg, int error, const char *fmt, ...)
{
	va_list ap;

	if (cfg->err == NULL)
		return (error);
	va_start(ap, fmt);
	(void)vsnprintf(cfg->err->msg, sizeof(cfg->err->msg), fmt, ap);
	va_end(ap);
	return (error);
}

struct cpuid_topology
vm_topology(const struct vm_config *cfg)
{
	if (cfg->cores == 0)
		return ((struct cpuid_topology){ 1, cfg->ncpus, 1 });
	return ((struct cpuid_topology){
	    cfg->ncpus / (cfg->cores * cfg->threads), cfg->cores,
	    cfg->threads });
}

/* VT-x or SVM; NULL: neither (SDM volume 2A and APM volume 3, CPUID). */
static const char *
virtualization(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5) != 0)
		return ("VT-x");
	if (__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2) != 0)
		return ("SVM");
	return (NULL);
}

static int
try_engine(struct vm *vm, const struct vmm_engine *eng,
    const struct vm_config *cfg)
{
	vm->eng = eng;
	return (eng->create(vm, cfg, &vm->priv));
}

/*
 * A /dev/kvm without VT-x and SVM interprets what the guest's kernel does: it
 * has to be asked for.
 */
static int
choose_engine(struct vm *vm, const struct vm_config *cfg)
{
	struct vm_error why = { "" };
	struct vm_config kvm = *cfg;
	const char *virt;
	int error;

	if (cfg->engine != VM_ENGINE_AUTO) {
		(void)snprintf(vm->why, sizeof(vm->why), "as asked for");
		return (try_engine(vm,
		    cfg->engine == VM_ENGINE_KVM ? &kvm_engine : &soft_engine,
		    cfg));
	}
	virt = virtualization();
	if (virt != NULL) {
		kvm.err = &why;
		error = try_engine(vm, &kvm_engine, &kvm);
		if (error == 0) {
			(void)snprintf(vm->why, sizeof(vm->why),
			    "this processor has %s", virt);
			return (0);
		}
		/* The other engine would show another processor. */
		if (error == -ENOTSUP)
			return (vm_fail(cfg, error, "%s", why.msg));
	}
	(void)snprintf(vm->why, sizeof(vm->why), "%s",
	    virt == NULL	? "this processor has neither VT-x nor SVM" :
	    why.msg[0] != '\0' ? why.msg :
				 "KVM cannot be used");
	return (try_engine(vm, &soft_engine, cfg));
}

int
vm_create(struct vm **out, const struct vm_config *cfg)
{
	struct vm *vm;
	int error;

	if (cfg->err != NULL)
		cfg->err->msg[0] = '\0';
	if ((cfg->cores == 0) != (cfg->threads == 0) ||
	    (cfg->cores != 0 &&
		(cfg->cores > cfg->ncpus || cfg->threads > cfg->ncpus ||
		    cfg->ncpus % (cfg->cores * cfg->threads) != 0)))
		return (-EINVAL);
	if (cfg->ncpus == 0 || cfg->ncpus > VM_MAX_CPUS)
		return (-EINVAL);
	vm = calloc(1, sizeof(*vm) + cfg->ncpus * sizeof(vm->vcpu[0]));
	if (vm == NULL)
		return (-ENOMEM);
	vm->ncpus = cfg->ncpus;
	vm->gmem = cfg->gmem;
	atomic_store(&vm->suspend, VM_SUSPEND_NONE);
	for (unsigned i = 0; i < cfg->ncpus; i++)
		vm->vcpu[i] = (struct vcpu){ vm, i };
	error = choose_engine(vm, cfg);
	if (error != 0) {
		free(vm);
		return (error);
	}
	*out = vm;
	return (0);
}

void
vm_destroy(struct vm *vm)
{
	if (vm == NULL)
		return;
	vm->eng->destroy(vm->priv);
	free(vm);
}

unsigned
vm_ncpus(const struct vm *vm)
{
	return (vm->ncpus);
}

struct vcpu *
vm_vcpu(struct vm *vm, unsigned idx)
{
	return (idx < vm->ncpus ? &vm->vcpu[idx] : NULL);
}

const char *
vm_engine_name(const struct vm *vm)
{
	return (vm->eng->name);
}

const char *
vm_engine_why(const struct vm *vm)
{
	return (vm->why);
}

int
vm_reset(struct vm *vm)
{
	atomic_store(&vm->suspend, VM_SUSPEND_NONE);
	return (vm->eng->reset(vm->priv));
}

unsigned
vcpu_id(const struct vcpu *vcpu)
{
	return (vcpu->id);
}

struct vm *
vcpu_vm(const struct vcpu *vcpu)
{
	return (vcpu->vm);
}

int
vm_suspend(struct vm *vm, enum vm_suspend_how how)
{
	int none = VM_SUSPEND_NONE;

	if (!atomic_compare_exchange_strong(&vm->suspend, &none, how))
		return (-EALREADY);
	vm->eng->suspend(vm->priv, how);
	return (0);
}

int
vcpu_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	return (vcpu->vm->eng->run(vcpu->vm->priv, vcpu->id, exit));
}

void
vcpu_kick(struct vcpu *vcpu)
{
	vcpu->vm->eng->kick(vcpu->vm->priv, vcpu->id);
}

void
vcpu_wait(struct vcpu *vcpu)
{
	vcpu->vm->eng->wait(vcpu->vm->priv, vcpu->id);
}

int
vcpu_translate(struct vcpu *vcpu, uint64_t addr, uint64_t *gpa)
{
	struct vmm_walk w;
	int error;

	error = vcpu_get_reg(vcpu, VM_REG_CR0, &w.cr0);
	if (error == 0)
		error = vcpu_get_reg(vcpu, VM_REG_CR3, &w.cr3);
	if (error == 0)
		error = vcpu_get_reg(vcpu, VM_REG_CR4, &w.cr4);
	if (error == 0)
		error = vcpu_get_reg(vcpu, VM_REG_EFER, &w.efer);
	return (error != 0 ? error :
			     vmm_walk(&w, vcpu->vm->gmem, addr, gpa));
}

int
vcpu_get_reg(struct vcpu *vcpu, enum vm_reg reg, uint64_t *val)
{
	return (vcpu->vm->eng->get_reg(vcpu->vm->priv, vcpu->id, reg, val));
}

int
vcpu_set_reg(struct vcpu *vcpu, enum vm_reg reg, uint64_t val)
{
	return (vcpu->vm->eng->set_reg(vcpu->vm->priv, vcpu->id, reg, val));
}

int
vcpu_get_seg(struct vcpu *vcpu, enum vm_segreg seg, struct vm_seg *val)
{
	return (vcpu->vm->eng->get_seg(vcpu->vm->priv, vcpu->id, seg, val));
}

int
vcpu_set_seg(struct vcpu *vcpu, enum vm_segreg seg, const struct vm_seg *val)
{
	return (vcpu->vm->eng->set_seg(vcpu->vm->priv, vcpu->id, seg, val));
}

int
vcpu_get_xsave(struct vcpu *vcpu, void *buf, uint32_t *len)
{
	return (vcpu->vm->eng->get_xsave(vcpu->vm->priv, vcpu->id, buf, len));
}

int
vcpu_set_xsave(struct vcpu *vcpu, const void *buf, uint32_t len)
{
	return (vcpu->vm->eng->set_xsave(vcpu->vm->priv, vcpu->id, buf, len));
}

int
vcpu_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	return (vcpu->vm->eng->get_msr(vcpu->vm->priv, vcpu->id, msr, val));
}

int
vcpu_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	return (vcpu->vm->eng->set_msr(vcpu->vm->priv, vcpu->id, msr, val));
}

int
vcpu_set_apic(struct vcpu *vcpu, unsigned offset, uint32_t val)
{
	return (
	    vcpu->vm->eng->set_apic(vcpu->vm->priv, vcpu->id, offset, val));
}

int
vcpu_inject_exception(
    struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	return (vcpu->vm->eng->inject_exception(
	    vcpu->vm->priv, vcpu->id, vector, has_error, error));
}

int
vcpu_complete_msr(struct vcpu *vcpu, bool gp, uint64_t val)
{
	return (
	    vcpu->vm->eng->complete_msr(vcpu->vm->priv, vcpu->id, gp, val));
}

int
vcpu_set_cap(struct vcpu *vcpu, enum vm_cap cap, bool on)
{
	return (vcpu->vm->eng->set_cap(vcpu->vm->priv, vcpu->id, cap, on));
}

int
vcpu_set_debug(struct vcpu *vcpu, const struct vm_debug *debug)
{
	for (unsigned i = 0; i < VM_DEBUG_BPS; i++) {
		unsigned len = debug->bp[i].len;

		if (debug->bp[i].kind == VM_BP_NONE)
			continue;
		if (debug->bp[i].kind > VM_BP_ACCESS ||
		    (len != 1 && len != 2 && len != 4 && len != 8) ||
		    (debug->bp[i].addr & (len - 1)) != 0 ||
		    (debug->bp[i].kind == VM_BP_EXEC && len != 1))
			return (-EINVAL);
	}
	return (
	    vcpu->vm->eng->set_debug(vcpu->vm->priv, vcpu->id, debug));
}

int
vm_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
	return (vm->eng->msi(vm->priv, addr, data));
}

void
vm_want_eoi(struct vm *vm, uint64_t addr, uint32_t data)
{
	if (vm->eng->want_eoi != NULL)
		vm->eng->want_eoi(vm->priv, addr, data);
}

void
vm_extint(struct vm *vm, bool level)
{
	vm->eng->extint(vm->priv, level);
}

void
vm_nmi(struct vm *vm, unsigned vcpu)
{
	if (vcpu < vm->ncpus)
		vm->eng->nmi(vm->priv, vcpu);
}

int
vm_doorbell(struct vm *vm, bool port, uint64_t addr, unsigned size,
    int64_t match, int fd, bool on)
{
	if (vm->eng->doorbell == NULL)
		return (-EOPNOTSUPP);
	return (vm->eng->doorbell(
	    vm->priv, port, addr, size, match, fd, on));
}

int
vm_dirty_log(struct vm *vm, bool on)
{
	if (gmem_dirty_logged(vm->gmem) == on)
		return (0);
	return (vm->eng->dirty_log(vm->priv, on));
}

int
vm_dirty_get(struct vm *vm, uint64_t *bits, size_t words)
{
	if (!gmem_dirty_logged(vm->gmem) ||
	    words != gmem_dirty_words(vm->gmem))
		return (-EINVAL);
	return (vm->eng->dirty_get(vm->priv, bits));
}

void
vm_set_a20(struct vm *vm, bool open)
{
	vm->eng->set_a20(vm->priv, open);
}

void
vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	vcpu->vm->eng->dump(vcpu->vm->priv, vcpu->id, out);
}

unsigned
vcpu_stats(struct vcpu *vcpu, struct vmm_stat *s, unsigned max)
{
	return (vcpu->vm->eng->stats(vcpu->vm->priv, vcpu->id, s, max));
}
