/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_STATE_H
#define LHYVE_SOFT_STATE_H

#include "vmm/engine.h"

/* Rows of the engine's table (vmm/engine.h) about what a vcpu holds and what
 * is put into it from outside, and of the dirty log (dirty.c) and the counters
 * (stat.c); soft.c has the others. */
int soft_get_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t *val);
int soft_set_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t val);
int soft_get_seg(void *priv, unsigned id, enum vm_segreg seg,
    struct vm_seg *val);
int soft_set_seg(void *priv, unsigned id, enum vm_segreg seg,
    const struct vm_seg *val);
int soft_get_xsave(void *priv, unsigned id, void *buf, uint32_t *len);
int soft_set_xsave(void *priv, unsigned id, const void *buf, uint32_t len);
int soft_get_msr(void *priv, unsigned id, uint32_t msr, uint64_t *val);
int soft_set_msr(void *priv, unsigned id, uint32_t msr, uint64_t val);
int soft_set_apic(void *priv, unsigned id, unsigned offset, uint32_t val);
int soft_inject_exception(void *priv, unsigned id, uint8_t vector,
    bool has_error, uint32_t error);
int soft_complete_msr(void *priv, unsigned id, bool gp, uint64_t val);
int soft_set_cap(void *priv, unsigned id, enum vm_cap cap, bool on);
int soft_msi(void *priv, uint64_t addr, uint32_t data);
void soft_extint(void *priv, bool level);
void soft_nmi(void *priv, unsigned id);
void soft_set_a20(void *priv, bool open);
unsigned soft_stats(
    void *priv, unsigned id, struct vmm_stat *s, unsigned max);
int soft_dirty_log(void *priv, bool on);
int soft_dirty_get(void *priv, uint64_t *bits);
void soft_dump(void *priv, unsigned id, FILE *out);

#endif
