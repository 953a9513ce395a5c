/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_SOFT_HELPERS_H
#define LHYVE_VMM_SOFT_HELPERS_H

/*
 * What the guest's system instructions are made of: functions after the
 * manual's pseudo-code, the helpers that translated code calls, and the doors
 * between the two. Part of soft.h, which includes it.
 */
#include "vmm/soft/soft.h"

/* ---- exceptions and interrupts (intr.c) ---- */

_Noreturn void soft_raise(struct soft_cpu *cpu, unsigned vector);
_Noreturn void soft_raise_err(
    struct soft_cpu *cpu, unsigned vector, uint32_t error);
_Noreturn void soft_raise_pf(
    struct soft_cpu *cpu, uint64_t va, uint32_t error);
/* Leaves helper code for the dispatcher at cpu->rip. */
_Noreturn void soft_unwind(struct soft_cpu *cpu);
/* The same behind the instruction that called out. */
_Noreturn void soft_unwind_behind(struct soft_cpu *cpu);
/* Delivers the pending exception. */
void soft_deliver_exception(struct soft_cpu *cpu);
/* Interrupts: hardware (soft false) or INT n. */
void soft_interrupt(struct soft_cpu *cpu, unsigned vector, bool soft,
    bool has_error, uint32_t error, bool external, uint64_t return_rip);
/* Ends vcpu_run() with VM_EXITCODE_ENGINE; printf-like reason. */
_Noreturn void soft_engine_exit(struct soft_cpu *cpu, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Computes cpu->flags after a change of mode. */
void soft_update_mode(struct soft_cpu *cpu);
/* rip of the instruction that called out; sets cpu->rip. */
void soft_sync_rip(struct soft_cpu *cpu);

/* ---- debugging (debug.c) ---- */

/* With BF_STEP: a data access, or one to a port, that may be watched. */
void soft_watch(struct soft_cpu *cpu, uint64_t va, unsigned len, bool write);
void soft_watch_port(struct soft_cpu *cpu, uint16_t port, unsigned size);
/* #AC(0) if misaligned; to be asked with BF_AC for user accesses. */
void soft_check_align(struct soft_cpu *cpu, uint64_t va, unsigned size);
/* Before an instruction: true if a breakpoint is on it; #DB is pending. */
bool soft_debug_code(struct soft_cpu *cpu);
/* One instruction is about to run whose end is at `next`. */
void soft_debug_step(struct soft_cpu *cpu, uint64_t next);
/* After it: makes a #DB trap of what it did, if it did. */
void soft_debug_after(struct soft_cpu *cpu);
/* #DB is being delivered. */
void soft_debug_taken(struct soft_cpu *cpu);

/* ---- segments (seg.c) ---- */
#define TSS_BUSY 2u /* in the type of a TSS descriptor */
void soft_load_seg(struct soft_cpu *cpu, unsigned seg, uint16_t sel);
void soft_set_seg_raw(
    struct soft_cpu *cpu, unsigned seg, uint16_t sel, uint64_t desc);
/* Reads a GDT/LDT descriptor; raises #GP(sel) (or vector) if out of limit. */
uint64_t soft_read_desc(struct soft_cpu *cpu, uint16_t sel, unsigned vector,
    uint64_t *hi);
/* The same with bit 0 (EXT) of the error code. */
uint64_t soft_read_desc_ext(struct soft_cpu *cpu, uint16_t sel,
    unsigned vector, uint32_t ext, uint64_t *hi);
void soft_set_accessed(struct soft_cpu *cpu, uint16_t sel, uint64_t desc);
/* A segment register in virtual-8086 mode. */
void soft_load_v86_seg(struct soft_cpu *cpu, unsigned seg, uint64_t sel);
/* The hidden part that a descriptor gives, accessed. */
struct vm_seg soft_desc_seg(uint16_t sel, uint64_t desc);
/* Puts the BF_* bits about segments into f, and cpu->seg_lim. */
uint32_t soft_seg_flags(struct soft_cpu *cpu, uint32_t f);
/* The limit that the code fetched now has. */
static inline uint32_t
soft_cs_limit(const struct soft_cpu *cpu)
{
	return (cpu->flags & BF_CODE64 ? 0xffffffff :
					 cpu->seg[VM_SEG_CS].limit);
}
/* SDM volume 3, 5.3 to 5.5: whether all of [off, off+size) may be read, or
 * written, through the segment. Not for 64-bit mode, which does not ask. */
bool soft_seg_fits(const struct soft_cpu *cpu, const struct vm_seg *s,
    uint64_t off, unsigned size, bool write);
/* Linear address for an access by the code that runs now; #GP(0), or #SS(0)
 * for SS, if its segment does not allow it. */
uint64_t soft_linear(struct soft_cpu *cpu, unsigned seg, uint64_t off,
    unsigned size, bool write);
/* #GP(error) unless a segment made of desc has code at rip. */
void soft_check_target(
    struct soft_cpu *cpu, uint64_t rip, uint64_t desc, uint32_t error);

/* ---- stacks of other levels, call gates (gate.c) ---- */

/* A stack to push to before it is the current one. */
struct soft_stack {
	uint64_t sp, mask; /* which bits of rSP count */
	struct vm_seg seg;
	uint64_t desc;	/* of seg, not in IA-32e mode */
	uint32_t error; /* of #SS when it is full */
	unsigned m;	/* MMU_* of the accesses */
};
void soft_stack_init(const struct soft_cpu *cpu, struct soft_stack *s,
    uint64_t sp, unsigned cpl, uint32_t error);
/* The stack for level cpl from the TSS (ist: or from there), checked. ext is
 * bit 0 of error codes. */
void soft_inner_stack(struct soft_cpu *cpu, struct soft_stack *s,
    unsigned cpl, unsigned ist, uint32_t ext);
void soft_push(
    struct soft_cpu *cpu, struct soft_stack *s, unsigned size, uint64_t v);
/* SS and rSP become those of s, for level cpl. */
void soft_enter_stack(
    struct soft_cpu *cpu, const struct soft_stack *s, unsigned cpl);
/* A far CALL or JMP whose selector is that of a system descriptor. */
void soft_far_system(struct soft_cpu *cpu, uint16_t sel, uint64_t desc,
    uint64_t hi, bool call, uint64_t next);

/* ---- virtual interrupts (vme.c) ---- */

/* Virtual-8086 mode where VIF stands for IF: VME and IOPL below 3. */
bool soft_vme(const struct soft_cpu *cpu);
/* CLI and STI are about VIF: the same, and its like in protected mode. */
bool soft_virtual_if(const struct soft_cpu *cpu);
/* FLAGS as PUSHF shows them in soft_vme(). */
uint16_t soft_vme_flags(const struct soft_cpu *cpu);
/* #GP(0) if POPF or IRET must not load fl; then what they do. */
void soft_vme_check(struct soft_cpu *cpu, uint64_t fl);
void soft_vme_set_flags(struct soft_cpu *cpu, uint64_t fl);
/* #GP(0) at cpu->rip if an interrupt waits that may come. */
void soft_check_vip(struct soft_cpu *cpu);
/* INT n in virtual-8086 mode: true if the program's own handler has it. */
bool soft_v86_int(struct soft_cpu *cpu, unsigned vector, uint64_t next);

/* ---- task switches (task.c) ---- */
enum task_how { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/* Reads and checks a TSS descriptor for a switch (SDM volume 3, table 7-1);
 * goes there. */
void soft_task_switch(struct soft_cpu *cpu, uint16_t sel, enum task_how how,
    uint32_t ext, bool has_error, uint32_t error, uint64_t next);

/* ---- FPU (fpu.c) ---- */
void soft_fpu_enter(struct soft_cpu *cpu); /* memory -> registers */
void soft_fpu_leave(struct soft_cpu *cpu); /* registers -> memory, if in */
void soft_fpu_init(struct soft_cpu *cpu);

/* Bits that MXCSR may have on this host. */
uint32_t soft_mxcsr_mask(void);
/* trace() from where the guest's FPU state may be in the registers, which
 * printing would change. */
#define soft_trace(cpu, group, ...)                                            \
	do {                                                                   \
		if (__builtin_expect(trace_on(group), 0)) {                    \
			soft_fpu_leave(cpu);                                   \
			trace_msg((group), __VA_ARGS__);                       \
		}                                                              \
	} while (0)

/* ---- local APIC and MSRs (apic.c, sys.c) ---- */
void soft_lapic_do(struct soft_cpu *cpu, const struct lapic_action *act);
bool soft_is_lapic(struct soft_cpu *cpu, uint64_t gpa);
uint64_t soft_lapic_mmio_read(struct soft_cpu *cpu, uint64_t gpa);
void soft_lapic_mmio_write(struct soft_cpu *cpu, uint64_t gpa, uint32_t val);
void soft_lapic_timer(void *arg);
void soft_break(struct soft_cpu *cpu);
void soft_request(struct soft_cpu *cpu); /* look at interrupts, any thread */
/* INIT as the manual has it; an application processor then waits. */
void soft_init_cpu(struct soft_cpu *cpu);
/* 0, -EPERM (#GP), -ENOENT (unknown) */
int soft_msr_read(struct soft_cpu *cpu, uint32_t msr, uint64_t *val);
int soft_msr_write(struct soft_cpu *cpu, uint32_t msr, uint64_t val);
int soft_set_cr(struct soft_cpu *cpu, unsigned cr, uint64_t val);
uint64_t soft_tsc(struct soft_cpu *cpu);
void soft_reset_cpu(struct soft_cpu *cpu);

/* ---- helpers: void f(struct soft_cpu *, uint64_t t0, uint64_t t1) ---- */
typedef void soft_helper(struct soft_cpu *, uint64_t, uint64_t);
/* intr.c */
soft_helper soft_h_exc, soft_h_int, soft_h_int3, soft_h_int1, soft_h_into,
    soft_h_iret,
    soft_h_unsupported;
/* far.c */
soft_helper soft_h_syscall, soft_h_sysret, soft_h_sysenter, soft_h_sysexit,
    soft_h_far_jmp, soft_h_far_call, soft_h_far_ret;
/* seg.c */
soft_helper soft_h_mov_to_seg, soft_h_lldt, soft_h_ltr, soft_h_sldt,
    soft_h_str, soft_h_lar, soft_h_lsl, soft_h_verr, soft_h_verw,
    soft_h_swapgs, soft_h_rdbase, soft_h_wrbase, soft_h_lgdt, soft_h_lidt,
    soft_h_sgdt, soft_h_sidt, soft_h_lxs, soft_h_arpl, soft_h_seg_check;
/* debug.c */
soft_helper soft_h_mov_to_dr, soft_h_mov_from_dr;
/* bcd.c */
soft_helper soft_h_bcd;
/* stack.c */
soft_helper soft_h_enter;
/* sys.c */
soft_helper soft_h_cpuid, soft_h_rdmsr, soft_h_wrmsr, soft_h_rdtsc,
    soft_h_rdtscp, soft_h_rdpmc, soft_h_rdpid, soft_h_mov_to_cr,
    soft_h_mov_from_cr, soft_h_smsw,
    soft_h_lmsw, soft_h_clts, soft_h_invlpg, soft_h_invpcid, soft_h_wbinvd,
    soft_h_hlt, soft_h_in, soft_h_out, soft_h_cli, soft_h_sti, soft_h_shadow,
    soft_h_pushf,
    soft_h_pusha, soft_h_popa, soft_h_bound,
    soft_h_popf, soft_h_stac, soft_h_clac, soft_h_pause, soft_h_set_df;
/* string.c */
soft_helper soft_h_string, soft_h_clzero;
soft_helper soft_h_stack_odd;
/* gather.c */
soft_helper soft_h_gather;
/* fpu.c */
soft_helper soft_h_xgetbv, soft_h_xsetbv, soft_h_xsave, soft_h_xrstor,
    soft_h_fxsave, soft_h_fxrstor, soft_h_fenv;

/* The flags that POPF and IRET may change at this privilege. */
uint64_t soft_flags_mask(const struct soft_cpu *cpu, unsigned size);
/* After a change of IF: an interrupt that waited is looked at soon. */
void soft_flags_changed(struct soft_cpu *cpu);
/* Returning outwards: unloads data segments that the new CPL may not have. */
void soft_drop_segs(struct soft_cpu *cpu);
/* #GP(0) unless CPL is 0. */
void soft_need_cpl0(struct soft_cpu *cpu);
/* Checks IOPL and the TSS's bitmap; #GP(0) if the port is not allowed. */
void soft_io_check(struct soft_cpu *cpu, uint16_t port, unsigned size);
uint32_t soft_port_in(struct soft_cpu *cpu, uint16_t port, unsigned size);
void soft_port_out(
    struct soft_cpu *cpu, uint16_t port, unsigned size, uint32_t v);
void soft_set_zf(struct soft_cpu *cpu, bool zf);
/* The stack of code outside 64-bit mode as well as inside. */
uint64_t soft_stack_linear(
    struct soft_cpu *cpu, uint64_t sp, unsigned size, bool write);
void soft_set_sp(struct soft_cpu *cpu, uint64_t sp);

/* ---- entry.S ---- */
void soft_enter(struct soft_cpu *cpu, const void *code);
void soft_leave(void);
void soft_thunk_late(void);
void soft_thunk_mem(void);
void soft_thunk_mem_fpu(void);
void soft_thunk_writeback(void);
void soft_thunk_writeback_fpu(void);
void soft_thunk_helper(void);
void soft_thunk_helper_fpu(void);
void soft_thunk_helper_end(void);
void soft_thunk_link(void);
void soft_thunk_miss(void);
void soft_thunk_exit(void);
void soft_thunk_fpu(void);
/* The same with the time. */
void soft_timed_thunk_mem(void);
void soft_timed_thunk_mem_fpu(void);
void soft_timed_thunk_writeback(void);
void soft_timed_thunk_writeback_fpu(void);
void soft_timed_thunk_helper(void);
void soft_timed_thunk_helper_fpu(void);
void soft_timed_thunk_helper_end(void);
void soft_timed_thunk_link(void);
void soft_timed_thunk_miss(void);
void soft_timed_thunk_fpu(void);

/* The functions that entry.S calls for translated code, with the time. */
void soft_timed_mem(struct soft_cpu *cpu, uint64_t va, uint32_t what);
void soft_timed_writeback(struct soft_cpu *cpu, uint64_t va, uint32_t what);
void soft_timed_fpu_enter(struct soft_cpu *cpu);
const void *soft_timed_lookup(struct soft_cpu *cpu);
const void *soft_timed_miss(struct soft_cpu *cpu);
const void *soft_timed_link(struct soft_cpu *cpu, struct link *l);
void soft_timed_helper(struct soft_cpu *cpu, uint64_t t0, uint64_t t1,
    void (*fn)(struct soft_cpu *, uint64_t, uint64_t));

#endif
