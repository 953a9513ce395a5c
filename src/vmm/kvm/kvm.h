/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_KVM_KVM_H
#define LHYVE_VMM_KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vclock.h"
#include "vmm/cpuid.h"
#include "vmm/engine.h"
#include "vmm/msr.h"

/*
 * The engine on Linux's KVM (Documentation/virt/kvm/api.rst, whose section is
 * named where it matters). The local APICs are the kernel's; PIC, IOAPIC and
 * everything else are the board's (KVM_CAP_SPLIT_IRQCHIP, 7.5).
 *
 * Threads: a struct kvm_cpu belongs to the thread in kvm_run(), but for the
 * members that are _Atomic. Of struct kvm_vm what is not _Atomic is constant
 * from kvm_create() or kvm_reset() on, or guarded as said.
 */

/* Lines of the kernel's table of routes (event.c): those of level-triggered
 * messages, whose EOI the kernel reports, then those of irqfds. */
#define KVM_EOI_ROUTES 64u
#define KVM_IRQFD_ROUTES 64u
#define KVM_ROUTES (KVM_EOI_ROUTES + KVM_IRQFD_ROUTES)

/* Is everybody dead: so far all at the same place as the last time, or not
 * (halt.c). */
enum { KVM_CHECK_FIRST = 1, KVM_CHECK_SAME };

/* Of a message's data (SDM volume 3, 11.11). */
#define MSI_LEVEL 0x8000u

struct kvm_vm;

struct kvm_cpu {
	struct kvm_vm *kvm;
	struct vcpu *vcpu;
	unsigned id;
	int fd;
	struct kvm_run *run; /* shared with the kernel; its registers are
				those of the vcpu, see state.c */
	_Atomic pthread_t thread; /* that runs it, or did last */
	_Atomic bool inside;	  /* in KVM_RUN, or about to be */
	_Atomic bool kick_req, nmi_req;
	_Atomic bool deaf;     /* its LINT0 is masked: intr.c */
	_Atomic int check_req; /* halt.c: KVM_CHECK_* */
	/* The last exit waits for its answer: KVM_RUN takes it first. */
	bool completion;
	bool msr_wait;	/* for vcpu_complete_msr() */
	/* debug.c: what a debugger wants, the kernel does not know it yet. */
	struct vm_debug debug;
	bool debug_dirty;
	bool stepping; /* the kernel has its TF in RFLAGS */
	/* Registers that are here and not in the kernel. */
	struct kvm_sregs sregs;
	bool sregs_valid, sregs_dirty;
	uint32_t edges; /* of the PIC's output, looked at */
	/* Where it waited with interrupts off at the last check (halt.c). */
	uint64_t dead_rip, dead_rsp;
	struct vmm_msrs msrs;
	/* KVM_RUN came back with an exit, or for a signal. */
	_Atomic uint64_t exits, signals;
	int stats_fd; /* stats.c; -1: none */
	/* ring.c: its ring, NULL until a log begins, and the next entry to
	 * take; guarded by dirty_lock. */
	struct kvm_dirty_gfn *ring;
	uint32_t ring_next;
	_Atomic bool out_req;	    /* somebody waits till it is out */
	_Atomic uint64_t ring_full; /* it came out for that */
};

struct kvm_route {
	uint64_t addr;
	uint32_t data;
	bool used;
	unsigned sent; /* so often, until it gets an irqfd */
	uint64_t last; /* when, in messages */
	int fd;	       /* the irqfd, -1: none */
};

/* An ioeventfd. */
struct kvm_doorbell {
	bool port;
	uint64_t addr;
	unsigned size;
	int64_t match;
	int fd;
};

struct kvm_vm {
	struct vm *vm;
	struct gmem *gmem;
	struct vclock *vclock;
	const struct vmm_io_ops *ops;
	void *ops_arg;
	bool x2apic;
	int sys; /* /dev/kvm */
	int fd;	 /* the VM; -1: none */
	size_t run_size;
	struct kvm_cpuid2 *supported; /* owned */
	uint32_t tsc_khz; /* that the kernel is to make of it; 0: the host's */
	uint32_t debug_caps; /* KVM_GUESTDBG_* that the kernel has */
	struct cpuid_policy cpuid;
	struct kvm_cpu *cpus;
	unsigned ncpus;
	_Atomic int suspend; /* enum vm_suspend_how */
	_Atomic bool extint;	/* level of the PIC's output */
	_Atomic uint32_t edges; /* how often it rose */
	struct vtimer halt_check;
	/* halt.c: a vcpu came out since the timer fired; it is long till the
	 * timer fires. */
	_Atomic bool active, patient;
	bool pause_exit; /* -P */
	bool stats;	 /* the kernel's counters are wanted */
	/* dirty.c, ring.c. Held from the kernel's marks to those that are
	 * given out; taken before soft_lock, by vcpus outside of KVM_RUN. */
	pthread_mutex_t dirty_lock;
	pthread_cond_t out_cond;
	bool no_ring;	     /* rings are not wanted */
	bool ring;	     /* the VM has rings, so no bitmaps */
	uint64_t ring_taken; /* entries that the kernel has not cleared;
				guarded by dirty_lock */
	/* The soft engine, for what KVM does not execute (complete.c); NULL
	 * until then. Guarded by soft_lock. */
	pthread_mutex_t soft_lock;
	void *soft;
	/* Guarded by route_lock. */
	pthread_mutex_t route_lock;
	struct kvm_route route[KVM_ROUTES];
	unsigned eoi_next;
	uint64_t messages;	    /* those that were edges */
	/* Vectors whose EOI was asked for, of each kind. Any thread. */
	_Atomic uint64_t edge_eoi[4], level_eoi[4];
	struct kvm_doorbell *bells; /* owned */
	unsigned nbells;
	_Atomic uint64_t by_ioctl, by_irqfd; /* messages */
};

/* An ioctl that is tried again when a signal came; 0 or more, or -errno. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_arg(int fd, unsigned long request, unsigned long arg);
/* KVM_CHECK_EXTENSION: 0 where it is not there. */
int kvm_check(int fd, int cap);

/* ---- cpuid.c ---- */
/* kvm->supported and the policy from it, when the first vcpu is open. */
int kvm_cpuid_init(struct kvm_vm *kvm, const struct vm_config *cfg);
/* Tells the kernel what a vcpu shows, and how fast its TSC is. */
int kvm_cpuid_set(struct kvm_cpu *cpu);

/* ---- msr.c ---- */
/* The MSRs of the table in msr.h come to user space. */
int kvm_msr_filter(struct kvm_vm *kvm);
int kvm_get_msr(void *priv, unsigned id, uint32_t msr, uint64_t *val);
int kvm_set_msr(void *priv, unsigned id, uint32_t msr, uint64_t val);
/* KVM_EXIT_X86_RDMSR and WRMSR. True: *exit is for the machine. */
bool kvm_msr_exit(struct kvm_cpu *cpu, struct vm_exit *exit);
int kvm_complete_msr(void *priv, unsigned id, bool gp, uint64_t val);

/* ---- state.c ---- */
/* The state after RESET, of a vcpu that was just created. */
int kvm_state_init(struct kvm_cpu *cpu);
/* Special registers from the kernel, and all that changed to it. */
int kvm_state_fetch(struct kvm_cpu *cpu);
int kvm_state_flush(struct kvm_cpu *cpu);
int kvm_get_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t *val);
int kvm_set_reg(void *priv, unsigned id, enum vm_reg reg, uint64_t val);
int kvm_get_seg(void *priv, unsigned id, enum vm_segreg seg,
    struct vm_seg *val);
int kvm_set_seg(void *priv, unsigned id, enum vm_segreg seg,
    const struct vm_seg *val);
int kvm_get_xsave(void *priv, unsigned id, void *buf, uint32_t *len);
int kvm_set_xsave(void *priv, unsigned id, const void *buf, uint32_t len);
int kvm_set_apic(void *priv, unsigned id, unsigned offset, uint32_t val);
int kvm_inject_exception(void *priv, unsigned id, uint8_t vector,
    bool has_error, uint32_t error);
void kvm_dump(void *priv, unsigned id, FILE *out);

/* ---- intr.c ---- */
int kvm_msi(void *priv, uint64_t addr, uint32_t data);
void kvm_extint(void *priv, bool level);
void kvm_nmi(void *priv, unsigned id);
/* On the vcpu's thread, before KVM_RUN: NMI and the PIC's interrupt. */
int kvm_inject_pending(struct kvm_cpu *cpu);

/* ---- event.c ---- */
void kvm_event_init(struct kvm_vm *kvm);
/* Closes the irqfds; a new VM has none. */
void kvm_event_reset(struct kvm_vm *kvm);
void kvm_event_fini(struct kvm_vm *kvm);
/* The kernel will report the EOI of this message's vector. 0 or -errno. */
int kvm_want_eoi(struct kvm_vm *kvm, uint64_t addr, uint32_t data);
/* The same of an edge-triggered message. */
void kvm_want_edge(void *priv, uint64_t addr, uint32_t data);
/* KVM_EXIT_IOAPIC_EOI. */
void kvm_eoi_exit(struct kvm_cpu *cpu);
/* Sends a message that is often sent by its irqfd. False: it has none. */
bool kvm_send_irqfd(struct kvm_vm *kvm, uint64_t addr, uint32_t data);
int kvm_doorbell(void *priv, bool port, uint64_t addr, unsigned size,
    int64_t match, int fd, bool on);
/* All of them once more, in a new VM. */
int kvm_doorbells_again(struct kvm_vm *kvm);

/* ---- dirty.c ---- */
/* Tells a new VM of its memory. */
int kvm_set_memory(struct kvm_vm *kvm);
/* Takes the kernel's marks to gmem's. With dirty_lock held. */
int kvm_dirty_fetch(struct kvm_vm *kvm);
/* The page by its frame number; false: no such page of RAM. */
bool kvm_slot_page(
    const struct kvm_vm *kvm, uint32_t slot, uint64_t offset, uint64_t *page);
int kvm_dirty_log(void *priv, bool on);
int kvm_dirty_get(void *priv, uint64_t *bits);

/* ---- ring.c ---- */
/* Asks a new VM for rings, before its vcpus are created. */
void kvm_ring_enable(struct kvm_vm *kvm);
/* Maps them, for a log; those that are mapped stay so. With dirty_lock held,
 * or before vcpus run. */
int kvm_ring_open(struct kvm_vm *kvm);
void kvm_ring_close(struct kvm_cpu *cpu);
/* All that is in the rings, to gmem's marks; vcpus come out of KVM_RUN for it.
 * With dirty_lock held. */
int kvm_ring_fetch(struct kvm_vm *kvm);
/* KVM_EXIT_DIRTY_RING_FULL. 0 or -errno. */
int kvm_ring_full(struct kvm_cpu *cpu);
/* A vcpu's, after it has said that it is not inside. */
void kvm_ring_out(struct kvm_cpu *cpu);

/* ---- stats.c ---- */
/* The kernel's counters of a vcpu that was just created, where it has them. */
void kvm_stats_open(struct kvm_cpu *cpu);
void kvm_stats_close(struct kvm_cpu *cpu);
unsigned kvm_stats(
    void *priv, unsigned id, struct vmm_stat *s, unsigned max);

/* ---- debug.c ---- */
int kvm_set_debug(void *priv, unsigned id, const struct vm_debug *debug);
/* A new vcpu of the kernel's knows nothing of it. */
void kvm_debug_again(struct kvm_cpu *cpu);
/* Before the first KVM_RUN of a kvm_run(): tells the kernel. 1: the step has
 * been done, as *exit says; 0 or -errno. */
int kvm_debug_enter(struct kvm_cpu *cpu, struct vm_exit *exit);
/* KVM_EXIT_DEBUG. True: *exit is for the caller. */
bool kvm_debug_exit(struct kvm_cpu *cpu, struct vm_exit *exit);

/* ---- run.c ---- */
/* The signal that makes KVM_RUN return; blocked everywhere else. */
#define KVM_KICK_SIGNAL SIGRTMIN
int kvm_run(void *priv, unsigned id, struct vm_exit *exit);
void kvm_kick(void *priv, unsigned id);
/* Makes a vcpu look at what is asked of it. Any thread. */
void kvm_poke(struct kvm_cpu *cpu);

/* ---- halt.c ---- */
/* Of a new VM, before its vcpus run. */
void kvm_halt_start(struct kvm_vm *kvm);
/* A timer's: do all processors wait with interrupts off? */
void kvm_halt_check(void *arg);
/* A vcpu did something that it came out for. */
void kvm_halt_active(struct kvm_vm *kvm);
/* The vcpu's own answer. */
void kvm_halt_answer(struct kvm_cpu *cpu);

/* ---- complete.c ---- */
/* Executes the instruction at RIP, which the kernel would not. 0, or -errno:
 * nobody can. */
int kvm_complete_insn(struct kvm_cpu *cpu);
void kvm_complete_fini(struct kvm_vm *kvm);
/* A KVM_EXIT_IO or MMIO. */
void kvm_port_exit(struct kvm_cpu *cpu);
void kvm_mem_exit(struct kvm_cpu *cpu);
/* Bytes at RIP; their number, 0 if they cannot be read. */
unsigned kvm_insn_bytes(struct kvm_cpu *cpu, uint8_t bytes[15]);

#endif
