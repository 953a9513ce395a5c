/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_GUEST_GVM_H
#define LHYVE_TESTS_GUEST_GVM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mevent.h"
#include "base/vclock.h"
#include "gmem/gmem.h"
#include "vmm/vmm.h"

/*
 * A small virtual machine for tests, put straight into long mode: page
 * tables, GDT, IDT and TSS are there, the first MiB is mapped one to one for
 * the supervisor, every vector goes to a stop of its own on a stack of its
 * own (IST1), and ports and I/O memory are written down.
 *
 * A guest stops with GVM_STOP_CODE: a byte to port 0xf4 makes vcpu_run()
 * return, and the guest waits for it in a jump to itself.
 */
#define GVM_STOP_PORT 0xf4
#define GVM_A20_PORT 0x92 /* bit 1: the A20 gate is open */
#define GVM_STOP_CODE "\xe6\xf4\xeb\xfe"
#define GVM_STOP_LEN 4
#define GVM_GDT 0x1000ull
#define GVM_IDT 0x2000ull
#define GVM_TSS 0x3000ull
#define GVM_STUBS 0x4000ull	/* 16 bytes a vector: GVM_STOP_CODE */
#define GVM_IST1_TOP 0x8000ull
#define GVM_STACK_TOP 0xc000ull /* RSP0 and the first RSP */
#define GVM_TABLES 0x10000ull
#define GVM_PAGES 0x100000ull
#define GVM_RAM (32ull << 20)
#define GVM_ROM_SIZE 0x10000ull
#define GVM_ROM (0x100000000ull - GVM_ROM_SIZE)
#define GVM_MMIO 0xd0000000ull /* nothing there but the log */

#define GVM_KCODE 0x08
#define GVM_KDATA 0x10
#define GVM_UCODE32 0x1b
#define GVM_UDATA 0x23
#define GVM_UCODE 0x2b
#define GVM_TR 0x30

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)

#define GVM_NO_LINK 1u
#define GVM_NO_TLB 2u
#define GVM_ONE_INSN 4u
#define GVM_MIRROR 8u /* everywhere */
#define GVM_OFF(bits) ((unsigned)(bits) << 16) /* SOFT_OFF_* */

struct gvm_io {
	bool write, port;
	unsigned size;
	uint64_t addr, val;
};

struct gvm {
	struct gmem *gm;
	uint8_t *rom; /* the host may write here, the guest not */
	struct mevent_loop *loop;
	struct vclock *vc;
	struct vm *vm;
	struct vcpu *cpu;
	pthread_t thread;
	bool thread_on;
	uint64_t next_table, next_page;
	struct gvm_io io[64];
	unsigned nio;
	uint64_t io_when; /* ns of virtual time at the last */
	uint64_t io_answer; /* what reads give */
	void (*mem_hook)(struct gvm *g); /* NULL, or called by reads of I/O */
	unsigned neoi, nack;
	uint8_t eoi_vector; /* of the last */
	bool eoi_level;
	int ack_vector;	    /* what the INTA cycle gives */
	/* Watchdog: the run number that the last tick saw. */
	struct vtimer watchdog;
	volatile uint64_t run, seen;
	volatile bool running, hung;
	uint8_t *before; /* of LHYVE_DIRTY: memory at the last start */
	unsigned patience; /* ticks that a run may take, 0: one */
	unsigned ticks;
	bool stopped;
	/* For the next run: the watchdog's kick, or a power-off, in 20 ms. */
	bool kick_soon, suspend_soon;
	struct vtimer soon;
};

/* LHYVE_ENGINE=kvm: the machines are KVM's. */
bool gvm_on_kvm(void);
/* Its dirty log is by rings: KVM has them, and LHYVE_NO_RING is not there. */
bool gvm_has_rings(void);
int gvm_create(struct gvm **out, unsigned ncpus, unsigned options);
/* The same with a processor of the caller's choice; NULL: the host's. */
struct cpuid_choice;
int gvm_create_cpu(struct gvm **out, unsigned ncpus, unsigned options,
    const struct cpuid_choice *cpu);
void gvm_destroy(struct gvm *g);

/* RAM that nothing uses yet; its address. */
uint64_t gvm_alloc(struct gvm *g, unsigned pages);
/* Maps one page; intermediate levels get P, W and U. */
void gvm_map(struct gvm *g, uint64_t lin, uint64_t gpa, uint64_t flags);
/* The PTE in guest memory. */
uint64_t *gvm_pte(struct gvm *g, uint64_t lin);
void *gvm_ptr(struct gvm *g, uint64_t gpa);
void gvm_write(struct gvm *g, uint64_t gpa, const void *buf, size_t len);

/* IDT: type 14 interrupt gate to `rip`; ist 0..7, dpl 0 or 3. */
void gvm_gate(
    struct gvm *g, unsigned vector, uint64_t rip, unsigned ist, unsigned dpl);
/* Long mode, ring 0, RFLAGS 2, RSP at the top of the stack. */
void gvm_start(struct gvm *g, uint64_t rip);
/* The same in ring 3. */
void gvm_start_user(struct gvm *g, uint64_t rip, uint64_t rsp);
uint64_t gvm_get(struct gvm *g, enum vm_reg reg);
void gvm_set(struct gvm *g, enum vm_reg reg, uint64_t val);
void gvm_set_seg_base(struct gvm *g, enum vm_segreg seg, uint64_t base);

/* LHYVE_DIRTY=1: a run of a machine with one processor is done with a dirty
 * log, and -EIO if a page in use changed that has no mark. */
/* Runs until GVM_STOP_CODE (then *stop is its address) or an exit (*stop is
 * 0 and *e says which); 0 or -errno, -ETIMEDOUT after 1 to 2 s. */
int gvm_run(struct gvm *g, struct vm_exit *e, uint64_t *stop);

/* The frame that the last exception to a stub left on IST1. */
struct gvm_frame {
	uint64_t error, rip, cs, rflags, rsp, ss;
};
/* Vector whose stub the guest stopped in, or -1. */
int gvm_stub(uint64_t stop);
bool gvm_has_error(unsigned vector);
void gvm_frame(struct gvm *g, unsigned vector, struct gvm_frame *f);

#endif
