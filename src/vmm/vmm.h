/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_VMM_H
#define LHYVE_VMM_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * libvmm: virtual machines and their processors, whatever engine runs them.
 *
 * Threads: vm_create() and vm_destroy() are the owner's. A vcpu is run by
 * one thread at a time; its registers may be read and written only while
 * vcpu_run() is not executing it; RIP also by an upcall of its own, which gets
 * the instruction that accesses. vcpu_kick(), vm_suspend(), vm_msi(),
 * vm_extint(), vm_nmi() and vm_set_a20() may be called from any thread at any
 * time.
 * Functions return 0 or -errno unless they say otherwise.
 */
struct gmem;
struct vclock;
struct vm;
struct vcpu;

/* How a machine ends; the values are the exit statuses of bhyve(8). */
enum vm_suspend_how {
	VM_SUSPEND_RESET = 0,
	VM_SUSPEND_POWEROFF = 1,
	VM_SUSPEND_HALT = 2,
	VM_SUSPEND_TRIPLEFAULT = 3,
	VM_SUSPEND_NONE = -1
};

/*
 * The machine's side of port and memory accesses. Called in the vcpu's
 * thread with no engine lock held. Sizes are 1, 2 or 4 bytes for ports, 1,
 * 2, 4 or 8 for memory; values are in the low bits. A read or write that
 * nobody claims returns -ENOENT; the engine then completes the access as
 * hardware does (all ones, ignored).
 */
struct vmm_io_ops {
	int (*port_read)(void *arg, struct vcpu *vcpu, uint16_t port,
	    unsigned size, uint32_t *val);
	int (*port_write)(void *arg, struct vcpu *vcpu, uint16_t port,
	    unsigned size, uint32_t val);
	int (*mem_read)(void *arg, struct vcpu *vcpu, uint64_t gpa,
	    unsigned size, uint64_t *val);
	int (*mem_write)(void *arg, struct vcpu *vcpu, uint64_t gpa,
	    unsigned size, uint64_t val);
	/* A vector was completed: each level-triggered one (EOI broadcast),
	 * and edge-triggered ones as far as the engine sees them. Timers give
	 * out late ticks by those; without, they are merged. */
	void (*eoi)(
	    void *arg, struct vcpu *vcpu, uint8_t vector, bool level);
	/* INTA cycle of the PIC: its vector, or -1 if its line fell. */
	int (*intr_ack)(void *arg);
};

#define VM_MAX_CPUS 64

/* AUTO: KVM on a processor with VT-x or SVM whose /dev/kvm opens, else the
 * soft engine. KVM: also without VT-x and SVM, if the kernel has a /dev/kvm. */
enum vm_engine { VM_ENGINE_AUTO, VM_ENGINE_KVM, VM_ENGINE_SOFT };

/* Where code uses the host's own paging: where it pays, nowhere, everywhere
 * (for tests). */
enum soft_mirror { SOFT_MIRROR_ON, SOFT_MIRROR_OFF, SOFT_MIRROR_EAGER };

/* Why a machine could not be created, in words; "": nothing is known. */
struct vm_error {
	char msg[128];
};

struct vm_config {
	enum vm_engine engine;
	unsigned ncpus; /* 1 to VM_MAX_CPUS */
	/* Cores of a package and threads of a core, whose product divides
	 * ncpus; both 0: one package, with one thread to a core. */
	unsigned cores, threads;
	struct gmem *gmem;     /* outlives the VM */
	struct vclock *vclock; /* outlives the VM */
	const struct vmm_io_ops *ops;
	void *ops_arg;
	bool x2apic;	 /* start in x2APIC mode (-x) */
	struct vm_error *err; /* filled on failure; may be NULL */
	const struct cpuid_choice *cpu; /* features.h; NULL: the host's */
	/* Fast paths, on by default; each can be turned off to find faults. */
	bool soft_no_link;	/* no direct links between blocks */
	bool soft_no_tlb;	/* no inline TLB look-ups */
	bool soft_one_insn;	/* one instruction per block */
	enum soft_mirror soft_mirror; /* mirrors of address spaces */
	unsigned soft_off;	/* SOFT_OFF_* */
	bool kvm_no_ring;	/* the kernel's dirty log by bitmaps */
	bool stats;		/* take the time of what vcpus do */
	/* VM_CAP_PAUSE_EXIT will be asked for: an engine may have to know it
	 * before there are vcpus. */
	bool pause_exit;
};

/* Fast paths of the soft engine around translated code: vm_config.soft_off. */
#define SOFT_OFF_FORMS 1u /* decoding remembers forms of instructions */
#define SOFT_OFF_INLINE 2u /* system instructions without a helper */
#define SOFT_OFF_PCID 4u /* PCIDs keep what they had */
#define SOFT_OFF_JC2 8u /* a second jump cache */
#define SOFT_OFF_HUGE 0x10u /* large pages for translations and RAM */
#define SOFT_OFF_LATE 0x20u /* slow paths of mirrors when they are needed */
#define SOFT_OFF_LOOP 0x40u /* of LOOP and JRCXZ the faster one */
#define SOFT_OFF_SLOTS 0x100u /* T0 and T1 kept for the next access */
#define SOFT_OFF_ROUNDS 0x200u /* several rounds of a loop in a block */
#define SOFT_OFF_STACK 0x1000u /* host rsp is the guest's, in mirrors */
#define SOFT_OFF_STRING 0x400u /* MOVS and STOS by the host's, in mirrors */

/* The kinds of exit, with the meaning and the order of bhyve's vm_exit. */
enum vm_exitcode {
	VM_EXITCODE_BOGUS,	 /* nothing to do; run again */
	VM_EXITCODE_RDMSR,
	VM_EXITCODE_WRMSR,
	VM_EXITCODE_HLT,
	VM_EXITCODE_MTRAP,
	VM_EXITCODE_PAUSE,
	VM_EXITCODE_SPINUP_AP,
	VM_EXITCODE_SUSPENDED,
	VM_EXITCODE_TASK_SWITCH,
	VM_EXITCODE_REQIDLE,
	VM_EXITCODE_DEBUG,
	VM_EXITCODE_BPT,
	VM_EXITCODE_ENGINE,	 /* the engine cannot go on; see u.engine */
	VM_EXITCODE_MAX
};

struct vm_exit {
	enum vm_exitcode exitcode;
	/* Of the instruction that exited; for HLT of the next. */
	uint64_t rip;
	union {
		struct {	   /* RDMSR, WRMSR */
			uint32_t code;
			uint64_t wval;
		} msr;
		struct {
			uint64_t rflags;
		} hlt;
		struct {
			enum vm_suspend_how how;
		} suspended;
		struct {
			unsigned vcpu;
			uint64_t rip;
		} spinup_ap;
		struct {	   /* DEBUG */
			bool step; /* an instruction was executed */
			uint8_t hits; /* of vm_debug.bp[], a bit each */
		} debug;
		struct {
			char reason[96];  /* one line for the user */
			uint8_t inst[15]; /* bytes at rip */
			uint8_t inst_len;
		} engine;
	} u;
};

enum vm_reg {
	VM_REG_RAX, VM_REG_RCX, VM_REG_RDX, VM_REG_RBX,
	VM_REG_RSP, VM_REG_RBP, VM_REG_RSI, VM_REG_RDI,
	VM_REG_R8, VM_REG_R9, VM_REG_R10, VM_REG_R11,
	VM_REG_R12, VM_REG_R13, VM_REG_R14, VM_REG_R15,
	VM_REG_RIP, VM_REG_RFLAGS,
	VM_REG_CR0, VM_REG_CR2, VM_REG_CR3, VM_REG_CR4, VM_REG_CR8,
	VM_REG_XCR0, VM_REG_EFER,
	VM_REG_DR0, VM_REG_DR1, VM_REG_DR2, VM_REG_DR3, VM_REG_DR6, VM_REG_DR7,
	VM_REG_INTR_SHADOW,
	VM_REG_MAX
};

enum vm_segreg {
	VM_SEG_ES, VM_SEG_CS, VM_SEG_SS, VM_SEG_DS, VM_SEG_FS, VM_SEG_GS,
	VM_SEG_LDTR, VM_SEG_TR, VM_SEG_GDTR, VM_SEG_IDTR,
	VM_SEG_MAX
};

/* A segment register with its hidden part. */
struct vm_seg {
	uint64_t base;
	uint32_t limit;  /* in bytes, granularity applied */
	uint32_t access; /* as in VMX: type 3:0, S 4, DPL 6:5, P 7, AVL 12,
			    L 13, D/B 14, G 15, unusable 16 */
	uint16_t sel;
};
#define VM_SEG_P 0x80u
#define VM_SEG_S 0x10u
#define VM_SEG_L 0x2000u
#define VM_SEG_DB 0x4000u
#define VM_SEG_G 0x8000u
#define VM_SEG_UNUSABLE 0x10000u
#define VM_SEG_DPL(a) (((a) >> 5) & 3)

int vm_create(struct vm **out, const struct vm_config *cfg);
void vm_destroy(struct vm *vm);
unsigned vm_ncpus(const struct vm *vm);
struct vcpu *vm_vcpu(struct vm *vm, unsigned idx);
/* The engine that was chosen, and why, for the log. The text lives as long as
 * the VM. */
const char *vm_engine_name(const struct vm *vm);
const char *vm_engine_why(const struct vm *vm);
/* Puts every vcpu, local APIC and engine cache in the state after RESET;
 * memory is left alone. Only while no vcpu runs. */
int vm_reset(struct vm *vm);

unsigned vcpu_id(const struct vcpu *vcpu);
struct vm *vcpu_vm(const struct vcpu *vcpu);

/* Runs the vcpu until an exit that is not an upcall. Returns 0 with *exit
 * filled. A vcpu that waits (HLT) sleeps inside unless halt exits are on. */
int vcpu_run(struct vcpu *vcpu, struct vm_exit *exit);
/* Makes a running or sleeping vcpu_run() return BOGUS soon. */
void vcpu_kick(struct vcpu *vcpu);
/* Sleeps until an event for the vcpu (interrupt, NMI, suspend, kick) is
 * there; for callers that take HLT exits. */
void vcpu_wait(struct vcpu *vcpu);

int vcpu_get_reg(struct vcpu *vcpu, enum vm_reg reg, uint64_t *val);
int vcpu_set_reg(struct vcpu *vcpu, enum vm_reg reg, uint64_t val);
int vcpu_get_seg(struct vcpu *vcpu, enum vm_segreg seg, struct vm_seg *val);
int vcpu_set_seg(
    struct vcpu *vcpu, enum vm_segreg seg, const struct vm_seg *val);
/* x87, SSE and AVX state in the standard (non-compacted) XSAVE format. *len
 * is the room on entry and the size on return; -ENOSPC if too small. */
int vcpu_get_xsave(struct vcpu *vcpu, void *buf, uint32_t *len);
int vcpu_set_xsave(struct vcpu *vcpu, const void *buf, uint32_t len);
/* Any MSR the engine or the shared table knows; -ENOENT otherwise. */
int vcpu_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *val);
int vcpu_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t val);

/* Writes a register of the local APIC as the guest would, by its offset in
 * the xAPIC page, whatever mode it is in. */
int vcpu_set_apic(struct vcpu *vcpu, unsigned offset, uint32_t val);

/* Event to deliver before the next instruction. */
int vcpu_inject_exception(
    struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
/* Completes a RDMSR/WRMSR exit: value for RDMSR, or #GP. */
int vcpu_complete_msr(struct vcpu *vcpu, bool gp, uint64_t val);

enum vm_cap { VM_CAP_HALT_EXIT, VM_CAP_PAUSE_EXIT };
int vcpu_set_cap(struct vcpu *vcpu, enum vm_cap cap, bool on);

/*
 * A debugger's hold on a vcpu, beside the guest's own: its debug registers,
 * RFLAGS.TF and INT3 stay what they were for the guest.
 *
 * `bpt`: INT3 (0xcc) makes a BPT exit before it is executed. Whose it is, is
 * the caller's to know: with `pass` the one at RIP is the guest's, once.
 * `step`: a DEBUG exit behind one instruction, or one round of a repeated one,
 * or behind what it raised; the vcpu takes no interrupt for it, unless it is
 * in HLT. As often as vcpu_run() is called.
 * `bp`: a DEBUG exit before the instruction at a linear address (EXEC, `len`
 * 1), or behind one that has written there or accessed it (`len` 1, 2, 4 or 8,
 * `addr` a multiple). An EXEC one at RIP hits again: take it away for a step.
 * On KVM, while there are any, the guest's own breakpoints sleep.
 */
#define VM_DEBUG_BPS 4
enum vm_bp_kind { VM_BP_NONE, VM_BP_EXEC, VM_BP_WRITE, VM_BP_ACCESS };
struct vm_debug {
	bool bpt, pass, step;
	struct {
		enum vm_bp_kind kind;
		unsigned len;
		uint64_t addr;
	} bp[VM_DEBUG_BPS];
};
/* Until it is changed, through vm_reset() too; all zero: none. While the vcpu
 * does not run. -EINVAL: no such breakpoint. */
int vcpu_set_debug(struct vcpu *vcpu, const struct vm_debug *debug);
/* Where a linear address is now, as a debugger wants to know it: whoever may
 * access it, and no A or D bit is set. While the vcpu does not run. -EFAULT:
 * nowhere. */
int vcpu_translate(struct vcpu *vcpu, uint64_t addr, uint64_t *gpa);

/* An MSI as the chipset would decode it (address 0xfeexxxxx). */
int vm_msi(struct vm *vm, uint64_t addr, uint32_t data);
/* The EOI of this edge-triggered message matters: vmm_io_ops.eoi is called for
 * it from now on, as long as some dozens of others are not wanted after it.
 * Before each time that it is sent; costs the guest an exit. An engine may tell
 * of all EOIs anyway. Any thread. */
void vm_want_eoi(struct vm *vm, uint64_t addr, uint32_t data);
/* Level of the PIC's INTR output, wired to LINT0 of every local APIC. */
void vm_extint(struct vm *vm, bool level);
void vm_nmi(struct vm *vm, unsigned vcpu);
/* The A20 gate, open after vm_create() and vm_reset(). While it is shut, bit 20
 * of every physical address that a processor uses is 0 (SDM volume 3,
 * 8.7.13.4: A20M#). A vcpu in whose upcall this is called finds it so at its
 * next instruction, others soon. KVM has no such pin: no effect there. */
void vm_set_a20(struct vm *vm, bool open);

/*
 * Makes a guest's write of `size` bytes at a port or an address signal the
 * eventfd `fd` instead of making an upcall, or ends that; `match` is the value
 * that does, -1 any. Any thread. 0, or -EOPNOTSUPP: this engine makes the
 * upcall, which comes to the same.
 */
int vm_doorbell(struct vm *vm, bool port, uint64_t addr, unsigned size,
    int64_t match, int fd, bool on);

/*
 * The dirty log: pages of RAM that were written since it began or was last
 * asked, by processors and, as far as they announce it (gmem_wrote()), by
 * everybody else. A bit for each by its frame number, 64 to a word,
 * gmem_dirty_words() words. What is written before vm_dirty_get() is called is
 * in `bits`, and there when it returns; so may be what is written meanwhile.
 * Everything else is in the next. A page may be told of without need. Any
 * thread, but not in an upcall; vcpus may run.
 * Costs the guest some; ask for it only while it is needed. vm_dirty_get():
 * -EINVAL without a log, or if `words` is another number.
 */
int vm_dirty_log(struct vm *vm, bool on);
int vm_dirty_get(struct vm *vm, uint64_t *bits, size_t words);

/* Ends the machine: every vcpu_run() returns SUSPENDED. The first reason
 * wins; 0, or -EALREADY. */
int vm_suspend(struct vm *vm, enum vm_suspend_how how);

/* Registers, segments and, for the soft engine, counters; for fatal exits. */
void vcpu_dump(struct vcpu *vcpu, FILE *out);

/* A counter of the engine: a number, or milliseconds if it is named so. */
struct vmm_stat {
	const char *name; /* static */
	uint64_t value;
};
#define VMM_STATS_MAX 64
/* The engine's counters for a vcpu, at most max; the same names in the same
 * order for each of a VM. What belongs to the whole VM is in vcpu 0's. Any
 * thread. Returns how many. */
unsigned vcpu_stats(struct vcpu *vcpu, struct vmm_stat *s, unsigned max);

#endif
