/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_SOFT_H
#define LHYVE_SOFT_SOFT_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vclock.h"
#include "vmm/cpuid.h"
#include "vmm/lapic.h"
#include "vmm/msr.h"
#include "vmm/soft/arch.h"
#include "vmm/soft/layout.h"
#include "vmm/vmm.h"

/*
 * The soft engine. docs/soft-engine.md tells how it works.
 *
 * "Light" files (those of vmm_light in meson.build) are compiled without use
 * of vector and x87 registers and call nothing outside the engine without
 * soft_fpu_leave() before: the guest's FPU state may be live in the host's
 * registers while they run.
 */
struct block;
struct link;
struct soft_form;
struct soft_vm;

/* Properties of the processor that a block is translated for. */
#define BF_MMU 0x3u	  /* MMU_KERNEL ... */
#define BF_CODE64 0x4u
#define BF_CODE32 0x8u	  /* neither: 16-bit */
#define BF_STACK32 0x10u
#define BF_SEGMENTED 0x20u /* some base is not 0 */
#define BF_REAL 0x40u	  /* no protection: real or virtual-8086 mode */
#define BF_TS 0x80u
#define BF_EM 0x100u
#define BF_MP 0x200u
#define BF_OSFXSR 0x400u
#define BF_AVX 0x800u	  /* OSXSAVE and XCR0 AVX */
#define BF_AVX512 0x1000u
#define BF_ONE 0x2000u	  /* one instruction a block, as asked for */
#define BF_STEP 0x4000u	  /* the same, left after it: see debug.c */
#define BF_AC 0x8000u	  /* alignment is checked */
#define BF_MIRROR 0x10000u /* accesses go to the mirror: see mirror.c */
#define BF_CPL0 0x20000u
/* BF_STACK (layout.h): host rsp is the mirror of the guest's, see stack in
 * translate.c; BF_STACK_ODD: and that may differ in sign, or be near 0. */
#define BF_STACK_ODD 0x80000u
#define STACK_FLAGS (BF_STACK | BF_STACK_ODD)
#define STACK_LOW 0x20000u /* below it, or negative, rSP is odd */
#define STACK_NO_PAGE 0x10000u /* of pages below, code that is not has none */
/* Outside 64-bit mode: accesses through a segment may fail by its limit or
 * type; of CS, reads of data and jumps. */
#define BF_CHECK(seg) (0x1000000u << (seg))
#define BF_SEG64K 0x40000000u /* but only if they end behind 0xffff */

struct tlb_entry {
	uint64_t ntag[3]; /* minus the page's address, for R, W, X */
	uint64_t addend;  /* host address minus guest address */
};

#define JC_FILL_MAX 32768
#define JC2_BITS 12
#define JC2_SETS (1 << JC2_BITS)

#define TLB_FILL_MAX 8192
#define TLB_CODE_SIZE 32
#define TLB_WR_SIZE (1u << 15)
#define TLB_WR_ONE 0x40000000u
#define TLB_WR_MANY 0x80000000u

/* What a vcpu's time goes into; docs/performance.md. */
enum soft_time { TIME_CODE, TIME_TRANSLATE, TIME_LOOKUP, TIME_MEMORY,
	TIME_STRING, TIME_FPU, TIME_SYSCALL, TIME_PAGING, TIME_IO, TIME_HELPER,
	TIME_EVENT, TIME_WORLD, TIME_WAIT, SOFT_TIMES };

/* What a slow store left to do, see soft_writeback(). */
enum wb_kind { WB_NONE, WB_NOTIFY, WB_BOUNCE };
struct writeback {
	enum wb_kind kind;
	uint32_t size;
	uint8_t *data;
	uint8_t *host[2];	/* RAM of the parts, NULL: I/O */
	uint64_t gpa[2];
	uint32_t len[2];
	uint64_t mask; /* bytes that are really stored */
};

/* What a vcpu's mirrors are made of; mirror.c. */
#define MIRROR_WINDOWS 12
#define MIRROR_RUNS 12288
struct mirror {
	bool on;     /* user code may use it */
	bool broken; /* the host refused a mapping: not again */
	/* In time of this thread: when an interrupt first saw the address
	 * space (0: not yet), and before when there is no other mirror. */
	uint64_t epoch, rest;
	uint64_t faults; /* taken since then, as credit that is spent */
	unsigned nwindows;
	struct {
		uint8_t *reserved;
		uint8_t *host;	/* where its first byte is */
		uint32_t index; /* guest address bits 47:32 */
		unsigned m;
	} window[MIRROR_WINDOWS];
	/* Every page that may be mapped, in runs. */
	unsigned nruns;
	struct mirror_run {
		uint64_t va, gpa;
		uint32_t npages, m;
	} run[MIRROR_RUNS];
	/* Pages that may be mapped, by bits 27:12 of either address. */
	uint64_t by_va[1024], by_gpa[1024];
};

/*
 * What is kept of a PCID that is not the current one: the last entries of its
 * TLBs, none of them global, and of the user's jump cache. SDM volume 3,
 * 4.10.4.1: what may stay cached over MOV to CR3 with bit 63 set.
 */
#define PCID_SETS 8
#define PCID_TLB 192
#define PCID_JC 256
struct pcid_set {
	bool used;
	uint16_t pcid;
	unsigned ntlb, njc;
	struct {
		uint32_t where; /* mode << 16 | index */
		struct tlb_entry e;
	} tlb[PCID_TLB];
	struct {
		uint16_t idx;
		const uint8_t *entry;
	} jc[PCID_JC];
	uint32_t jc_flags;
	uint64_t flushes, invalidated; /* blocks went if vm's differ */
};

struct soft_cpu {
	/* Offsets known to translated code and entry.S; see layout.h. */
	uint64_t gpr[16];
	uint64_t rip;
	uint32_t fl, fl_pad;
	_Atomic uint32_t poll;
	uint32_t fpu_out;
	const uint8_t **_Atomic jc[MMU_MODES]; /* or vm->jc_kicked */
	uint64_t tmp;
	uint64_t t0, t1, t2;
	uint64_t host_rsp;
	uint64_t host_ret; /* 0: no translated code below us */
	_Atomic uint32_t go; /* !poll */
	uint32_t from;
	uint64_t neg;
	const void *thunks[NTHUNKS];
	uint32_t flags; /* BF_* of what runs now */
	uint32_t kind;
	uint64_t sp_keep, sp_new;

	struct vm_seg seg[VM_SEG_MAX];
	uint64_t rflags; /* all but ARITH_FLAGS */
	uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
	uint64_t pdpte[4]; /* of PAE paging: SDM volume 3, 4.4.1 */
	uint64_t dr[4], dr6, dr7, debugctl;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_adjust, tsc_offset;
	unsigned cpl;
	bool stack_odd[MMU_MODES]; /* BF_STACK_ODD wherever BF_STACK is */
	uint32_t ac_fast; /* STAC and CLAC only change BF_MMU; inline.c */
	uint32_t jc_flags[MMU_MODES];	/* BF_* the jump caches are for */

	struct soft_vm *vm;
	struct vcpu *vcpu;
	unsigned id;

	/* Largest offset to read and to write through ES to GS without more
	 * checks, -1: none. What the BF_CHECK bits are about. */
	int64_t seg_lim[6][2];
	/* CS that the jump caches are for. */
	uint64_t jc_cs_base[MMU_MODES];
	uint32_t jc_cs_limit[MMU_MODES];

	/* An exception on its way, and the one being delivered. */
	struct {
		bool pending, has_error;
		uint8_t vector;
		uint32_t error;
		uint64_t cr2;
	} exc;
	int delivering; /* vector, -1: none; for double faults */
	bool nmi_blocked;
	bool halted;
	bool tf_step; /* TF was set before the instruction that runs */
	bool shadow;  /* no interrupts before the next instruction */
	bool shadow_ss; /* nor debug exceptions */
	bool one_step; /* BF_STEP is for the instruction in the shadow only */
	/* DR6 bits for a trap after the instruction; who leaves code by
	 * soft_unwind() may add some, such as BT. */
	uint32_t db_hits;
	uint64_t step_next; /* rip behind it, unless it branches */
	uint32_t branched; /* 1: it has, wherever to */
	jmp_buf unwind;

	struct writeback wb;
	_Alignas(64) uint8_t bounce[128];

	/*
	 * Every TLB entry that may be valid, as mode << 16 | index, so that a
	 * flush need not touch megabytes: [0] of pages that are not global,
	 * [1] of global ones. A full list is flushed.
	 */
	uint32_t tlb_fill[2][TLB_FILL_MAX];
	unsigned tlb_nfill[2];
	/*
	 * Pages with code may be stored to, but have no tag that says so: of
	 * those that were, by page number, minus the page's address, mode in
	 * the low bits, or 0; valid as long as the TLB.
	 */
	struct {
		uint64_t key;
		uint8_t *host;
	} tlb_code[TLB_CODE_SIZE];
	/* By page frame (hashed): the one entry that may be written through,
	 * as mode << 16 | index and TLB_WR_ONE, or TLB_WR_MANY; 0: none. */
	uint32_t tlb_wr[TLB_WR_SIZE];
	/* Per GiB of address (hashed): some entry comes of a large page, so
	 * that INVLPG cannot know which others go with it. */
	uint64_t tlb_large[32];
	struct pcid_set pcid[PCID_SETS]; /* by the low bits of the PCID */
	/* Every jump cache entry that may be valid, as for the TLB. */
	uint16_t jc_fill[MMU_MODES][JC_FILL_MAX];
	unsigned jc_nfill[MMU_MODES];
	/* What collides there: a second cache, looked at by soft_lookup(). */
	struct jc2_entry {
		uint64_t pc;
		const void *code;
		_Atomic uint32_t gen; /* that of the mode, or it is empty */
	} jc2[MMU_MODES][JC2_SETS][2];
	uint32_t jc2_gen[MMU_MODES], jc2_hits; /* never 0: jc2_gen */
	bool jc_nonglobal; /* kernel-mode code from pages that are not global */
	bool jc_orphans[MMU_MODES]; /* jump cache may know pages that the TLB
				       has evicted */

	uint64_t late_pc; /* see soft_late() */
	bool early; /* the next block gets its slow paths at once */
	struct mirror mirror;

	struct vmm_msrs msrs;
	struct lapic lapic;
	atomic_flag lapic_lock;
	struct vtimer lapic_timer;
	_Atomic uint32_t irq_req;  /* the local APIC may have something */
	_Atomic uint32_t init_req; /* an INIT arrived */
	_Atomic uint32_t sipi_req; /* a SIPI arrived: vector | 0x100 */
	_Atomic uint32_t kick_req; /* vcpu_kick() */
	_Atomic uint32_t a20_req;  /* the A20 gate has moved */
	/* The TLB has to go before anything runs (dirty.c). Set while the
	 * world is stopped. */
	_Atomic uint32_t flush_req;
	_Atomic uint32_t wake;	   /* futex: bumped for a sleeper */
	_Atomic uint32_t sleeping; /* it looks at that */
	bool halt_exit, pause_exit;
	bool wait_sipi; /* after INIT, until a SIPI */
	unsigned npauses;
	/* smp.c */
	_Atomic uint32_t running; /* futex */
	bool owns_world, want_world;
	bool one_done; /* soft_one() has had its instruction */
	bool owns_code; /* the code lock: soft_run() drops it on unwinding */
	struct vm_exit *exit;
	bool exit_now;
	/* hold.c: what a debugger wants; some of it makes BF_STEP. An
	 * instruction of a step has begun; breakpoints that were hit. */
	struct vm_debug hold;
	bool hold_on, hold_stepped;
	uint8_t hold_hits;
	uint64_t hold_pass; /* the INT3 that is the guest's; ~0: none */

	/* MSR exit waiting for vcpu_complete_msr(). */
	int msr_wait; /* 0 none, 1 read, 2 write */
	uint64_t msr_next; /* rip after it */
	bool irq_waiting; /* something to deliver once IF allows */

	uint64_t xsave_mask;
	uint32_t xsave_len;
	_Alignas(64) uint8_t xsave[4096];
	_Alignas(64) uint8_t xbuf[4096]; /* for XSAVE and friends */

	struct {
		uint64_t translated, insns, bytes, lookups;
		uint64_t tlb_fills, tlb_flushes,
		    slow_loads, slow_stores, io, exceptions, interrupts,
		    fpu_saves, halts, worlds, helpers, pcid_kept,
		    jc2_hits, mirror_faults, mirror_maps, mirror_drops, late;
	} stat;
	struct { /* stat.c: ticks of the host's TSC */
		uint64_t since, spent[SOFT_TIMES];
		unsigned kind;
	} time;
};

#define ASSERT_AT(field, off)                                                  \
	_Static_assert(offsetof(struct soft_cpu, field) == (off), #field)
ASSERT_AT(gpr, CPU_GPR);
ASSERT_AT(rip, CPU_RIP);
ASSERT_AT(fl, CPU_FL);
ASSERT_AT(poll, CPU_POLL);
ASSERT_AT(fpu_out, CPU_FPU_OUT);
ASSERT_AT(jc, CPU_JC);
ASSERT_AT(tmp, CPU_TMP);
ASSERT_AT(t0, CPU_T0);
ASSERT_AT(t2, CPU_T2);
ASSERT_AT(host_rsp, CPU_HOST_RSP);
ASSERT_AT(host_ret, CPU_HOST_RET);
ASSERT_AT(go, CPU_GO);
ASSERT_AT(from, CPU_FROM);
ASSERT_AT(flags, CPU_FLAGS);
ASSERT_AT(neg, CPU_NEG);
ASSERT_AT(kind, CPU_KIND);
ASSERT_AT(sp_keep, CPU_SP_KEEP);
ASSERT_AT(sp_new, CPU_SP_NEW);
ASSERT_AT(thunks, CPU_THUNKS);
_Static_assert((ENV_BIAS & 63) == 12, "r13 is also the page shift");
_Static_assert(sizeof(struct soft_cpu) <= TLB_OFFSET(0), "TLB overlaps");

static inline struct tlb_entry *
soft_tlb(struct soft_cpu *cpu, unsigned m)
{
	return ((struct tlb_entry *)((uint8_t *)cpu + TLB_OFFSET(m)));
}
/* What is added to an address in [i << 32, (i + 1) << 32). */
static inline uint64_t *
soft_mirror(struct soft_cpu *cpu, unsigned m)
{
	return ((uint64_t *)((uint8_t *)cpu + MIRROR_OFFSET(m)));
}
static inline const uint8_t **
soft_jc(struct soft_cpu *cpu, unsigned m)
{
	return ((const uint8_t **)(void *)((uint8_t *)cpu + JC_OFFSET(m)));
}

/* The flags register as the guest sees it, put together and taken apart. */
static inline uint64_t
soft_get_rflags(const struct soft_cpu *cpu)
{
	return (cpu->rflags | 2 | ((cpu->fl >> 8) & 0xd5) |
	    ((cpu->fl & 1) << 11));
}
static inline void
soft_set_rflags(struct soft_cpu *cpu, uint64_t fl)
{
	cpu->rflags = (fl & ~(uint64_t)ARITH_FLAGS) | 2;
	cpu->fl = (uint32_t)((fl & 0xd5) << 8 | ((fl >> 11) & 1));
}

/* ---- code cache (cache.c) ---- */

/* With this, the arena and a vcpu's TLBs the engine stays under 96 MiB: 90 when
 * all of it is in use. That the cache is mapped twice makes it no larger. */
#define CODE_CACHE_SIZE (40u << 20)
/* It is filled, and emptied when it is full, a part at a time. */
#define CODE_PARTS 10
#define CODE_PART_SIZE (CODE_CACHE_SIZE / CODE_PARTS)
#define BLOCK_MAX_INSNS 48

/* A jump out of a block to a constant pc in the same page. */
struct link {
	struct block *from, *to;
	uint8_t *patch; /* the rel32, in the writable view */
	uint8_t *stub;	/* where it points while not linked */
	uint64_t pc;
	bool never; /* its target is not one that links may lead to */
	struct link *next_in; /* of to->incoming */
};

/* One row of the side table: from this host offset on, code belongs to the
 * instruction at this guest offset. Blocks are short enough for the bits. */
struct insn_map {
	uint16_t host;
	uint16_t guest : 12, len : 4;
};

/* A host fault in [start, end) is an access that the mirror does not have
 * (yet): its slow path begins at `slow`; 0: it is made when it is needed
 * (late.c). Offsets as in insn_map. */
struct fixup {
	uint16_t start, end;
	_Atomic int32_t slow;
};

#define GPA_NONE UINT64_MAX
#define GPA_MMIO (UINT64_MAX - 1) /* like no other either */
/* What soft_translate() needs: the walk for the next page, without a lock. */
#define GPA_NEXT_PAGE (UINT64_MAX - 2)

/* As small as it can be: of tables for blocks there is as much as of code. */
struct block {
	uint64_t pc;
	uint64_t gpa;  /* of its first byte */
	uint64_t gpa2; /* of the second page's first byte, or GPA_NONE */
	uint32_t flags;
	uint32_t cs_limit; /* 0xffffffff in 64-bit mode */
	uint16_t len;  /* guest bytes */
	uint16_t code_len, hot_len; /* all of it; without slow paths */
	uint16_t nmap, nfixups, nlinks;
	bool dead;
	uint8_t front; /* bytes before `code`: soft_block_jc_entry() */
	const uint8_t *code; /* executable view; see soft_block_entry() */
	/* It is but a late slow path of that block, "dead" all the time. */
	const struct block *late_of;
	struct insn_map *map;
	struct fixup *fixups; /* in order */
	struct link *links; /* in the cache's arena */
	struct link *incoming;
	struct block *hash_next;
	struct block *page_next[2];
};

/* A guest page that holds translated code. */
struct code_page {
	struct block *blocks; /* linked by page_next[which page it is] */
	_Atomic uint64_t map; /* bit n: code in bytes 64n..64n+63 */
	uint64_t gpa;
	uint32_t idle; /* stores since it had a block */
	bool stale;    /* some of its blocks are being evicted */
	struct code_page *next; /* of those that are free */
};

/*
 * Where a block is entered. What a jump cache has is in front of the code:
 * it goes there if T0 is the block's pc, else to THUNK_MISS. Links lead to
 * `code` itself, and C enters there.
 */
static inline const uint8_t *
soft_block_entry(const struct block *b)
{
	return (b->code);
}
static inline const uint8_t *
soft_block_jc_entry(const struct block *b)
{
	return (b->code - b->front);
}

#define BLOCK_HASH_BITS 16
/* What the guest uses so often gets a large page of the host's. */
#define LARGE_FILLS 32u

struct soft_vm {
	struct vm *vm;
	struct gmem *gmem;
	uint8_t *ram; /* host address of gpa 0 */
	/* The dirty log's words; NULL: there is none (dirty.c). Changes while
	 * the world is stopped. */
	_Atomic uint64_t *dirty;
	uint64_t lowmem, highmem;
	uint64_t rom; /* first address of the boot ROM; it ends at 4 GiB */
	struct vclock *vclock;
	const struct vmm_io_ops *ops;
	void *ops_arg;
	struct cpuid_policy cpuid;
	bool no_link, no_tlb, one_insn;
	bool by_loop; /* see e_loop() */
	enum soft_mirror mirror;
	unsigned off; /* SOFT_OFF_* */
	bool timed;   /* vm_config.stats */
	uint64_t start_ns, start_tsc;
	bool x2apic; /* local APICs start in x2APIC mode */
	bool intel; /* vendor: they differ in a few instructions */
	uint32_t mxcsr_mask;
	bool isa_off[192]; /* ZYDIS_ISA_SET_*: not announced, see isa.c */
	unsigned ncpus;
	struct soft_cpu **cpus;
	_Atomic int suspend; /* enum vm_suspend_how, -1: none */
	_Atomic uint32_t world;	     /* futex, 1: somebody has stopped it */
	_Atomic uint32_t world_lock; /* who may stop it */
	_Atomic uint32_t code_lock;  /* all of the code cache's lists */
	_Atomic uint32_t ndead;	     /* vcpus that only INIT or NMI wakes */
	_Atomic uint32_t turn;	     /* for lowest-priority interrupts */
	_Atomic bool extint;
	/* Bits that physical addresses of processors have: all, or all but
	 * A20. */
	_Atomic uint64_t phys_mask;

	/* A jump cache that misses always, for a vcpu that is to leave. */
	const uint8_t **jc_kicked;
	uint8_t *code_rw, *code_rx;
	/* Code and arena (blocks, links, side tables) have parts that go
	 * together; `part` is the one being filled. */
	unsigned part;
	size_t code_used, code_end;
	size_t code_huge; /* up to here it has large pages: codemem.c */
	uint8_t *arena;
	size_t arena_used, arena_end;
	struct soft_form *forms; /* decode.c; NULL: off */
	struct block **blocks; /* of each part, by code address */
	_Atomic unsigned nblocks[CODE_PARTS];
	struct block *hash[1 << BLOCK_HASH_BITS];
	struct code_page **pages; /* by page frame number */
	/* TLB entries made for each 2 MiB of memory, up to LARGE_FILLS. */
	_Atomic uint8_t *fills;
	struct code_page *page_pool, *free_pages;
	unsigned npool, nfree;
	uint64_t npages;
	/* By the code lock; read without it as signs that something went. */
	_Atomic uint64_t flushes, invalidated;
	uint64_t evicted; /* blocks */
};
#define ARENA_PART_SIZE (3276u << 10)
#define ARENA_SIZE (ARENA_PART_SIZE * CODE_PARTS)
#define ARENA_MARGIN 0x8000 /* more than any block takes */
#define BLOCKS_PER_PART (1u << 16)

static inline bool
soft_is_ram(const struct soft_vm *vm, uint64_t gpa)
{
	return (gpa < vm->lowmem ||
	    (gpa >= 0x100000000ull && gpa - 0x100000000ull < vm->highmem));
}

static inline bool
soft_is_rom(const struct soft_vm *vm, uint64_t gpa)
{
	return (gpa >= vm->rom && gpa < 0x100000000ull);
}

static inline bool
soft_sp_odd(const struct soft_cpu *cpu)
{
	return ((cpu->gpr[R_SP] - STACK_LOW) >> 48 != 0);
}
/* rSP is too odd for the code that is about to run, or runs; mirror.c. */
void soft_stack_odd(struct soft_cpu *cpu);
/* Before code is chosen by cpu->flags. */
static inline void
soft_stack_check(struct soft_cpu *cpu)
{
	if ((cpu->flags & STACK_FLAGS) == BF_STACK && soft_sp_odd(cpu))
		soft_stack_odd(cpu);
}

/* Memory that can be read and executed: at vm->ram + gpa. */
static inline bool
soft_is_memory(const struct soft_vm *vm, uint64_t gpa)
{
	return (soft_is_ram(vm, gpa) || soft_is_rom(vm, gpa));
}

/* ---- its memory (codemem.c) ---- */

/* Sets vm->code_rw and vm->code_rx; -errno: some of them may be set. */
int soft_code_map(struct soft_vm *vm);
void soft_code_unmap(struct soft_vm *vm);
/* The cache is about to be written to up to this offset. */
void soft_code_need(struct soft_vm *vm, size_t end);

int soft_cache_create(struct soft_vm *vm);
void soft_cache_destroy(struct soft_vm *vm);
/* Forgets every translation. With the world stopped and the code lock: no
 * vcpu may be inside translated code that it would go back to. */
void soft_cache_flush(struct soft_vm *vm);
/* The same for the oldest part, which is the one to be filled then. */
void soft_cache_evict(struct soft_vm *vm);
/* Finds or makes the block at cpu->rip for cpu->flags. Raises #PF and so on
 * if it cannot be fetched. NULL: the engine cannot run it (cpu->exit set).
 * May let others stop the world: only from where no code is returned to. */
struct block *soft_find_block(struct soft_cpu *cpu);
/* The following by the code lock. Makes a page one with code (the world
 * stopped), says whether it is. */
void soft_page_watch(struct soft_vm *vm, uint64_t gpa);
bool soft_page_watched(struct soft_vm *vm, uint64_t gpa);
/* Bytes that are about to be translated. */
void soft_page_mark(struct soft_vm *vm, uint64_t gpa, unsigned len);
void soft_cache_add(struct soft_vm *vm, struct block *b);
/* soft_block_at() finds it from now on; the last step of the above. */
void soft_cache_note(struct soft_vm *vm, struct block *b);
/* Bytes [gpa, gpa+len) changed: drops what was translated from them. Any
 * thread; takes the code lock. */
void soft_invalidate(struct soft_vm *vm, uint64_t gpa, uint64_t len);
/* Is there code in the 64-byte lines that [gpa, gpa+len), in one page,
 * touches? No lock. */
bool soft_page_hit(struct soft_vm *vm, uint64_t gpa, unsigned len);
/* A store to a page with code that hits none: true if the page, without any
 * block for long enough, is an ordinary one from now on. Takes the lock. */
bool soft_page_idle(struct soft_vm *vm, uint64_t gpa);
/* The block that the executable address lies in, or NULL. */
struct block *soft_block_at(struct soft_vm *vm, uint64_t host);
/* Has the block that code runs in, a slow path of it included, been dropped? */
static inline bool
soft_block_gone(const struct block *b)
{
	return (b->late_of != NULL ? b->late_of->dead : b->dead);
}
const struct insn_map *soft_insn_at(const struct block *b, uint64_t host);
/* Called by translated code. */
const void *soft_link(struct soft_cpu *cpu, struct link *l);
/* The access at cpu->late_pc is not in the mirror: its slow path. */
const void *soft_late(struct soft_cpu *cpu);
const void *soft_lookup(struct soft_cpu *cpu);
/* The same where the jump cache has not led; in 64-bit code the pc may be one
 * that is not canonical: #GP(0) at the branch then. */
const void *soft_miss(struct soft_cpu *cpu);
/* ---- jump caches (jump.c) ---- */

static inline unsigned
soft_jc_index(uint64_t pc)
{
	return ((unsigned)(pc >> JC_SHIFT) & (JC_SIZE - 1));
}
/* Makes vm->jc_kicked, of the vcpus' THUNK_MISS; -errno. */
int soft_jc_create(struct soft_vm *vm, const void *miss);
void soft_jc_destroy(struct soft_vm *vm);
/* Whether jumps go by the vcpu's own jump caches, or leave. Any thread. */
void soft_jc_use(struct soft_cpu *cpu, bool own);
/* Drops all of a jump cache. */
void soft_jc_flush(struct soft_cpu *cpu, unsigned m);
void soft_jc_init(struct soft_cpu *cpu);
/* With the code lock: a block that is dropped leaves the caches, too. */
void soft_jc_add(struct soft_cpu *cpu, const struct block *b);
void soft_jc_forget(struct soft_cpu *cpu, const struct block *b);
/* The code at pc in the first jump cache, or the second one, or NULL. */
const void *soft_jc_find(struct soft_cpu *cpu, unsigned m, uint64_t pc);
const void *soft_jc2_find(struct soft_cpu *cpu, unsigned m, uint64_t pc);

/* ---- translation (translate.c, isa.c) ---- */

/* Bytes of vm->forms. */
size_t tr_forms_size(void);
/* Fills vm->isa_off by vm->cpuid. */
void tr_isa_init(struct soft_vm *vm);

/* Translates the code at cpu->rip, whose first byte is at gpa. NULL when the
 * cache is full (nothing was added), or when *need is set to the address of
 * a page that must be watched first, or to GPA_NEXT_PAGE: gpa2 must say where
 * the next page is, or GPA_MMIO if it is no memory; GPA_NONE: not known. With
 * the code lock; may raise, but walks no tables. */
struct block *soft_translate(
    struct soft_cpu *cpu, uint64_t gpa, uint64_t gpa2, uint64_t *need);

/* Makes the slow path of the access to the mirror at that host address of the
 * block. With the code lock; raises nothing. -ENOSPC: the part of the cache
 * is full; -ESTALE: the block is not what is in memory any more. */
int soft_translate_late(struct soft_cpu *cpu, struct block *b, uint64_t host,
    const void **slow);

/* ---- several vcpus (smp.c) ---- */

void soft_lock(atomic_flag *lock); /* a spin lock, for a few instructions */
void soft_unlock(atomic_flag *lock);
void soft_code_lock(struct soft_vm *vm);
void soft_code_unlock(struct soft_vm *vm);
/* The vcpu may hold host addresses from here; waits while the world is
 * stopped ... */
void soft_run_begin(struct soft_cpu *cpu);
/* ... and holds none from here. */
void soft_run_end(struct soft_cpu *cpu);
/* Waits until no other vcpu is running, and keeps it so. Not with the code
 * lock held, nor where translated code will be returned to. */
void soft_world_stop(struct soft_cpu *cpu);
void soft_world_go(struct soft_cpu *cpu);
/* The same for a thread that runs no vcpu. */
void soft_world_stop_all(struct soft_vm *vm);
void soft_world_go_all(struct soft_vm *vm);
/* Does what somebody asked for with flush_req. */
void soft_flush_asked(struct soft_cpu *cpu);
/* For a helper that must not run beside other vcpus: leaves, and has the
 * instruction run again with the world stopped. */
void soft_alone(struct soft_cpu *cpu);

/* ---- a debugger's hold on a vcpu (hold.c) ---- */

int soft_set_debug(void *priv, unsigned id, const struct vm_debug *debug);
/* An access of an instruction, with BF_STEP. */
void soft_hold_watch(
    struct soft_cpu *cpu, uint64_t va, unsigned len, bool write);
/* True: the vcpu leaves, as exit says. Before an instruction is executed, and
 * behind one and what it raised. */
bool soft_hold_before(struct soft_cpu *cpu, struct vm_exit *exit);
bool soft_hold_after(struct soft_cpu *cpu, struct vm_exit *exit);
/* INT3 at RIP: leaves if it may be the debugger's. */
void soft_hold_int3(struct soft_cpu *cpu);

/* ---- the dirty log (dirty.c) ---- */

/* A page of RAM that may be written from now on, or was. Before the entry of
 * a TLB is used, after any other store: who takes the bit finds the bytes. */
static inline void
soft_dirty(struct soft_vm *vm, uint64_t gpa)
{
	if (vm->dirty != NULL)
		atomic_fetch_or(
		    &vm->dirty[gpa >> 18], 1ull << (gpa >> 12 & 63));
}

/* ---- counters and time (stat.c) ---- */

/* What the vcpu does is of that kind from now on; returns what it was. */
unsigned soft_clock_start(struct soft_cpu *cpu, unsigned kind);
static inline unsigned
soft_clock(struct soft_cpu *cpu, unsigned kind)
{
	return (cpu->vm->timed ? soft_clock_start(cpu, kind) : 0);
}

#include "vmm/soft/helpers.h"

#endif
