/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_ENGINE_H
#define LHYVE_VMM_ENGINE_H

#include "vmm/cpuid.h"
#include "vmm/vmm.h"

/*
 * What an engine is to libvmm: one table. The contract of each member is that
 * of the function of vmm.h that has its name; only those may be NULL of which
 * that is said.
 */
struct vmm_engine {
	const char *name;
	/* Creates the engine's machine and its vcpus; *priv is its own. */
	int (*create)(struct vm *vm, const struct vm_config *cfg, void **priv);
	void (*destroy)(void *priv);
	int (*reset)(void *priv);
	int (*run)(void *priv, unsigned vcpu, struct vm_exit *exit);
	void (*kick)(void *priv, unsigned vcpu);
	void (*wait)(void *priv, unsigned vcpu);
	int (*get_reg)(void *priv, unsigned vcpu, enum vm_reg, uint64_t *);
	int (*set_reg)(void *priv, unsigned vcpu, enum vm_reg, uint64_t);
	int (*get_seg)(
	    void *priv, unsigned vcpu, enum vm_segreg, struct vm_seg *);
	int (*set_seg)(
	    void *priv, unsigned vcpu, enum vm_segreg, const struct vm_seg *);
	int (*get_xsave)(void *priv, unsigned vcpu, void *buf, uint32_t *len);
	int (*set_xsave)(
	    void *priv, unsigned vcpu, const void *buf, uint32_t len);
	int (*get_msr)(void *priv, unsigned vcpu, uint32_t msr, uint64_t *val);
	int (*set_msr)(void *priv, unsigned vcpu, uint32_t msr, uint64_t val);
	int (*set_apic)(
	    void *priv, unsigned vcpu, unsigned offset, uint32_t val);
	int (*inject_exception)(void *priv, unsigned vcpu, uint8_t vector,
	    bool has_error, uint32_t error);
	int (*complete_msr)(void *priv, unsigned vcpu, bool gp, uint64_t val);
	int (*set_cap)(void *priv, unsigned vcpu, enum vm_cap cap, bool on);
	int (*set_debug)(
	    void *priv, unsigned vcpu, const struct vm_debug *debug);
	int (*msi)(void *priv, uint64_t addr, uint32_t data);
	/* NULL: every EOI is told. */
	void (*want_eoi)(void *priv, uint64_t addr, uint32_t data);
	void (*extint)(void *priv, bool level);
	void (*nmi)(void *priv, unsigned vcpu);
	void (*set_a20)(void *priv, bool open);
	/* NULL: an engine that cannot. */
	int (*doorbell)(void *priv, bool port, uint64_t addr, unsigned size,
	    int64_t match, int fd, bool on);
	int (*dirty_log)(void *priv, bool on);
	/* bits: gmem_dirty_words() of them. */
	int (*dirty_get)(void *priv, uint64_t *bits);
	/* Wakes every vcpu for a machine that is to end. */
	void (*suspend)(void *priv, enum vm_suspend_how how);
	void (*dump)(void *priv, unsigned vcpu, FILE *out);
	unsigned (*stats)(
	    void *priv, unsigned vcpu, struct vmm_stat *s, unsigned max);
};

extern const struct vmm_engine soft_engine;
extern const struct vmm_engine kvm_engine;

/* Says why a machine cannot be created; returns `error`. */
int vm_fail(const struct vm_config *cfg, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct cpuid_topology vm_topology(const struct vm_config *cfg);

#endif
