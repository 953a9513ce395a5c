/* SPDX-License-Identifier: BSD-2-Clause */
#include "softvm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/mevent.h"
#include "base/vclock.h"
#include "gmem/gmem.h"
#include "vmm/vmm.h"

#define RAM 0x200000u
#define GDT 0x1000u
#define IDT 0x2000u
#define TSS 0x3000u
#define STUBS 0x8000u /* 16 bytes a vector */
#define STACK 0xf000u
#define TABLES 0x10000u
#define DATA 0x30000u
#define LIN_IO 0x40000000u   /* memory of devices, 1 GiB */
#define LIN_APIC 0x80000000u /* where the local APIC is */
#define LIN_ALIAS 0x200000u  /* the first 2 MiB again, some of it odd */

#define P 1ull
#define W 2ull
#define U 4ull
#define PS 0x80ull
#define NX (1ull << 63)

/* Options */
#define O_NO_LINK 1
#define O_NO_TLB 2
#define O_ONE_INSN 4
#define O_HALT_EXIT 8
#define O_PAUSE_EXIT 0x10
#define O_X2APIC 0x20
#define O_MSR_GP 0x40
/* Wild */
#define W_GPR 1
#define W_SEG 2
#define W_PAGES 4
#define W_CR 8
#define W_IDT 16
#define W_GDT 32
#define W_FPU 64
#define W_TSS 128
/* Events */
#define E_MSI 1
#define E_NMI 2
#define E_EXTINT 4
#define E_EXCEPTION 8
#define E_DMA 16
#define E_SUSPEND 32

#define KICK_US 150
#define HANG_NS 2000000000ull	  /* of the processor's time, after a kick */
#define STARVED_NS 60000000000ull /* of the clock's */

struct sv {
	struct gmem *gm;
	struct vm *vm;
	struct vcpu *cpu;
	const struct sv_head *h;
	uint64_t rng;  /* the vcpu's thread */
	unsigned nio;
	/* Under the lock: the kicker's. */
	uint64_t krng;
	uint64_t kicked_cpu, kicked_wall; /* 0: not yet */
	bool running;
};

/* For all inputs: the clock's loop and the kicker's thread. */
static struct mevent_loop *loop;
static struct vclock *vc;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct sv *now_running;
static pthread_t runner;
static _Thread_local bool inside; /* vcpu_run() */
static struct sigaction engine_action;

void
sv_head_take(struct sv_head *h, struct fuzz_in *in)
{
	h->mode = fuzz_u8(in);
	h->options = fuzz_u8(in);
	h->wild = fuzz_u8(in);
	h->events = fuzz_u8(in);
	h->runs = fuzz_u8(in);
	h->off = fuzz_u8(in);
	h->seed = fuzz_u64(in);
}

unsigned
sv_mode(const struct sv_head *h)
{
	/* Long mode has most of what can go wrong. */
	static const uint8_t modes[16] = { SV_LONG, SV_LONG, SV_LONG, SV_LONG,
		SV_LONG, SV_LONG, SV_COMPAT, SV_COMPAT, SV_COMPAT, SV_PROT32,
		SV_PROT32, SV_PROT32, SV_PROT32, SV_PROT16, SV_REAL, SV_V86 };

	return (modes[h->mode & 15]);
}

static bool
sv_user(const struct sv_head *h)
{
	return (sv_mode(h) == SV_V86 ||
	    ((h->mode & 0x10) != 0 && sv_mode(h) != SV_REAL));
}

unsigned
sv_start(const struct sv_head *h)
{
	/* Some just before the end of the first page. */
	return (h->off & 0x80 ? 4096u - (h->off & 15) : h->off & 0x7f);
}

static uint64_t
cpu_time(pthread_t t)
{
	struct timespec ts;
	clockid_t id;

	if (pthread_getcpuclockid(t, &id) != 0 || clock_gettime(id, &ts) != 0)
		return (0);
	return ((uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec);
}

static uint64_t
wall_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec);
}

/* ---- what comes in from another thread ---- */

static void
event(struct sv *s)
{
	uint64_t r = fuzz_rand(&s->krng), r2 = fuzz_rand(&s->krng);
	uint8_t e = s->h->events;

	if ((e & E_MSI) != 0 && (r & 1) != 0)
		(void)vm_msi(s->vm, 0xfee00000u | (r >> 8 & 0xffffc),
		    (uint32_t)(r2 & (r2 >> 40 & 1 ? 0xc7ff : 0xff)));
	if ((e & E_NMI) != 0 && (r & 0x70) == 0)
		vm_nmi(s->vm, 0);
	if ((e & E_EXTINT) != 0)
		vm_extint(s->vm, r & 2);
	if ((e & E_SUSPEND) != 0 && (r2 >> 56 & 15) == 0)
		(void)vm_suspend(s->vm, (enum vm_suspend_how)(r >> 60 & 3));
}

static void *
kicker(void *arg)
{
	struct timespec ts = { 0, KICK_US * 1000 };
	struct sv *s;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (now_running == NULL || !now_running->running)
			pthread_cond_wait(&cond, &lock);
		s = now_running;
		event(s);
		if (s->kicked_wall == 0) {
			s->kicked_wall = wall_time();
			s->kicked_cpu = cpu_time(runner);
		} else if (cpu_time(runner) - s->kicked_cpu > HANG_NS ||
		    wall_time() - s->kicked_wall > STARVED_NS) {
			fprintf(stderr, "broken: vcpu_run() went on for 2 s "
					"after a kick\n");
			abort();
		}
		vcpu_kick(s->cpu);
		pthread_mutex_unlock(&lock);
		nanosleep(&ts, NULL);
	}
	return (NULL);
}

/* Runs the loop, for the local APIC's timer. */
static void *
looper(void *arg)
{
	(void)mevent_run(arg);
	return (NULL);
}

/* ---- the guest must not touch what is not its own ---- */

/*
 * The engine turns a fault of translated code into one of the guest's, as a
 * misaligned operand is. That has no address; a fault with one is an access
 * to what the look-up should have kept the guest from.
 */
static void
on_fault(int sig, siginfo_t *info, void *ctx)
{
	const ucontext_t *uc = ctx;
	char line[120];
	int n;

	if (!inside || (info->si_code != SEGV_MAPERR &&
			   info->si_code != SEGV_ACCERR)) {
		engine_action.sa_sigaction(sig, info, ctx);
		return;
	}
	n = snprintf(line, sizeof(line),
	    "broken: access to %p outside the guest's memory, by %llx\n",
	    info->si_addr,
	    (unsigned long long)uc->uc_mcontext.gregs[REG_RIP]);
	if (write(2, line, (size_t)n) < 0)
		_exit(2);
	abort();
}

static void
guard(void)
{
	struct sigaction sa;

	/* Once there was a VM, so that the engine has its own. */
	if (engine_action.sa_sigaction != NULL)
		return;
	sigaction(SIGSEGV, NULL, &engine_action);
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_fault;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGSEGV, &sa, NULL);
}

/* ---- upcalls ---- */

/* Now and then a device does something to the machine. */
static void
upcall(struct sv *s)
{
	uint64_t r = fuzz_rand(&s->rng), v;

	/* A guest that does nothing but I/O is not the point. */
	if (++s->nio % 64 == 0)
		vcpu_kick(s->cpu);
	if ((r & 7) != 0)
		return;
	if ((s->h->events & E_DMA) != 0) {
		v = fuzz_rand(&s->rng);
		(void)gmem_write(s->gm, SV_CODE + (r >> 8 & 0x1fff), &v,
		    1 + (r >> 32 & 7));
		(void)gmem_write(s->gm, TABLES + (r >> 40 & 0x7ff8), &v, 8);
	}
	if ((s->h->events & E_EXTINT) != 0)
		vm_extint(s->vm, r & 8);
	if ((s->h->events & E_MSI) != 0)
		(void)vm_msi(s->vm, 0xfee00000u, 0x20 + (r >> 16 & 0xdf));
}

static int
port_read(void *arg, struct vcpu *vcpu, uint16_t port, unsigned size,
    uint32_t *val)
{
	struct sv *s = arg;

	(void)vcpu;
	FUZZ_CHECK(size == 1 || size == 2 || size == 4);
	upcall(s);
	*val = (uint32_t)fuzz_rand(&s->rng);
	if (size < 4)
		*val &= (1u << (8 * size)) - 1;
	return (port & 4 ? -ENOENT : 0);
}

static int
port_write(void *arg, struct vcpu *vcpu, uint16_t port, unsigned size,
    uint32_t val)
{
	(void)vcpu;
	FUZZ_CHECK(size == 1 || size == 2 || size == 4);
	FUZZ_CHECK(size == 4 || val >> (8 * size) == 0);
	upcall(arg);
	return (port & 4 ? -ENOENT : 0);
}

static void
check_mem(const struct sv *s, uint64_t gpa, unsigned size)
{
	FUZZ_CHECK(size == 1 || size == 2 || size == 4 || size == 8);
	FUZZ_CHECK(gmem_map(s->gm, gpa, 1) == NULL);
}

static int
mem_read(void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size,
    uint64_t *val)
{
	struct sv *s = arg;

	(void)vcpu;
	check_mem(s, gpa, size);
	upcall(s);
	*val = fuzz_rand(&s->rng);
	if (size < 8)
		*val &= (1ull << (8 * size)) - 1;
	return (gpa & 0x1000 ? -ENOENT : 0);
}

static int
mem_write(void *arg, struct vcpu *vcpu, uint64_t gpa, unsigned size,
    uint64_t val)
{
	(void)vcpu;
	check_mem(arg, gpa, size);
	FUZZ_CHECK(size == 8 || val >> (8 * size) == 0);
	upcall(arg);
	return (gpa & 0x1000 ? -ENOENT : 0);
}

static void
eoi(void *arg, struct vcpu *vcpu, uint8_t vector)
{
	(void)arg;
	(void)vcpu;
	(void)vector;
}

static int
intr_ack(void *arg)
{
	struct sv *s = arg;
	uint64_t r = fuzz_rand(&s->rng);

	return (r & 3 ? (int)(r >> 8 & 0xff) : -1);
}

static const struct vmm_io_ops ops = { port_read, port_write, mem_read,
	mem_write, eoi, intr_ack };

/* ---- the state to begin with ---- */

static uint64_t
rnd(struct sv *s)
{
	return (fuzz_rand(&s->rng));
}

static bool
chance(struct sv *s, unsigned percent)
{
	return (rnd(s) % 100 < percent);
}

static void
put(struct sv *s, uint64_t gpa, const void *p, size_t len)
{
	FUZZ_CHECK(gmem_write(s->gm, gpa, p, len) == 0);
}

static void
put64(struct sv *s, uint64_t gpa, uint64_t v)
{
	put(s, gpa, &v, 8);
}

/* An address, more or less likely to be good. */
static uint64_t
address(struct sv *s)
{
	uint64_t r = rnd(s), low = r >> 32 & 0x3f;

	switch (r & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		return (DATA + (r >> 8 & 0xfff8));
	case 4:
	case 5: /* across a page or a line */
		return (DATA + (r >> 8 & 0xf000) + 0x1000 - low);
	case 6:
		return (DATA + (r >> 8 & 0xffc0) + 0x40 - (low & 15));
	case 7:
		return (SV_CODE + (r >> 8 & 0x1fff));
	case 8:
		return (LIN_ALIAS + (r >> 8 & 0x3ffff));
	case 9:
		return (LIN_IO + (r >> 8 & 0x1ffffff));
	case 10:
		return (LIN_APIC + (r >> 8 & 0xff0));
	case 11:
		return (TABLES + (r >> 8 & 0x8fff));
	case 12:
		return (RAM - low);
	case 13:
		return ((r & 16 ? 0x800000000000ull : 0x100000000ull) - low);
	case 14:
		return (low - 32);
	default:
		return (rnd(s));
	}
}

static uint64_t
number(struct sv *s)
{
	uint64_t r = rnd(s);

	switch (r & 3) {
	case 0:
		return (r >> 8 & 0xff);
	case 1:
		return (1ull << (r >> 8 & 63));
	case 2:
		return (rnd(s));
	default:
		return (address(s));
	}
}

/* An entry of a page table, sound or not. */
static uint64_t
entry(struct sv *s, uint64_t e)
{
	uint64_t r = rnd(s);

	switch (r & 15) {
	case 0:
		return (e & ~P);
	case 1:
		return (e & ~W);
	case 2:
		return (e & ~U);
	case 3:
		return (e ^ PS);
	case 4:
		return (e | NX);
	case 5:
		return ((e & 0xfff) | TABLES | (r >> 8 & 0xf000));
	case 6: /* beyond memory, or what no address may be */
		return ((e & 0xfff) | (1ull << (20 + (r >> 8) % 44)));
	case 7:
		return ((e & 0xfff) | (RAM - 0x1000));
	case 8:
		return (rnd(s));
	case 9:
		return (e | 0x1e0); /* A D PS G */
	case 10:
		return ((e & 0xfff) | SV_CODE);
	default:
		return (e ^ (1ull << (r >> 8 & 63)));
	}
}

/*
 * Every kind of paging over the same linear space: 4-level at TABLES, PAE
 * at +6000, 32-bit at +7000, 5-level at +a000.
 */
static void
page_tables(struct sv *s)
{
	const uint64_t t = TABLES;
	uint32_t e32;
	uint64_t e;

	put64(s, t, (t + 0x1000) | P | W | U);
	put64(s, t + 8 * 511, t | P | W); /* to itself */
	for (unsigned i = 0; i < 3; i++)
		put64(s, t + 0x1000 + 8 * i, (t + 0x2000 + 0x1000 * i) | P |
			W | U);
	put64(s, t + 0x2000, (t + 0x5000) | P | W | U);
	put64(s, t + 0x2008, (t + 0x8000) | P | W | U);
	for (unsigned i = 0; i < 16; i++)
		put64(s, t + 0x3000 + 8 * i, (0xd0000000u + i * 0x200000u) |
			P | W | U | PS);
	put64(s, t + 0x4000, 0xfee00000u | P | W | U | PS);
	for (unsigned i = 0; i < 512; i++) {
		put64(s, t + 0x5000 + 8 * i, i * 4096ull | P | W | U);
		e = i * 4096ull | P | W | U;
		put64(s, t + 0x8000 + 8 * i, chance(s, 30) ? entry(s, e) : e);
	}
	for (unsigned i = 0; i < 3; i++)
		put64(s, t + 0x6000 + 8 * i, (t + 0x2000 + 0x1000 * i) | P);
	/* Five levels: the same in both halves, and 2^48 up. */
	for (unsigned i = 0; i < 512; i += i == 1 ? 510 : 1)
		put64(s, t + 0xa000 + 8 * i, t | P | W | U);
	/* 4 MiB by small pages, then large ones. */
	for (unsigned i = 0; i < 1024; i++) {
		e32 = i << 12 | (uint32_t)(P | W | U);
		put(s, t + 0x9000 + 4 * i, &e32, 4);
		e32 = i << 22 | (uint32_t)(P | W | U | PS);
		if (i == 0)
			e32 = (uint32_t)(t + 0x9000) | (uint32_t)(P | W | U);
		put(s, t + 0x7000 + 4 * i, &e32, 4);
	}
	if ((s->h->wild & W_PAGES) == 0)
		return;
	for (uint64_t n = 1 + rnd(s) % 24; n > 0; n--) {
		uint64_t at = t + (rnd(s) & 0x9000) + (chance(s, 60) ?
			8 * (rnd(s) & 63) : rnd(s) & 0xff8);

		FUZZ_CHECK(gmem_read(s->gm, at, &e, 8) == 0);
		put64(s, at, entry(s, e));
	}
}

static uint64_t
descriptor(uint32_t base, uint32_t limit, unsigned access)
{
	return ((limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	    (uint64_t)(access & 0xf0ff) << 40 |
	    (uint64_t)(limit >> 16 & 15) << 48 |
	    (uint64_t)(base >> 24) << 56);
}

static void
gate(struct sv *s, unsigned vector, bool wide)
{
	uint64_t rip = STUBS + 16 * vector, d[2] = { 0, 0 };
	unsigned type = chance(s, 80) ? 14 : 15, sel = 8, dpl = 3;

	if ((s->h->wild & W_IDT) != 0 && chance(s, 20)) {
		type = (unsigned)rnd(s) & 31;
		sel = (unsigned)rnd(s) & 0x7f;
		dpl = (unsigned)rnd(s) & 3;
		if (chance(s, 10))
			rip = address(s);
	}
	if (!wide && chance(s, 10))
		type &= ~8u; /* a 16-bit gate, or a task gate */
	d[0] = (rip & 0xffff) | (uint64_t)sel << 16 |
	    (uint64_t)(0x80 | type | dpl << 5) << 40 |
	    (rip >> 16 & 0xffff) << 48;
	if (wide) {
		d[0] |= (chance(s, 30) ? rnd(s) & 7 : 0) << 32;
		d[1] = rip >> 32;
	}
	put(s, IDT + (wide ? 16 : 8) * vector, d, wide ? 16 : 8);
}

static void
system_tables(struct sv *s, bool wide)
{
	static const uint8_t stubs[8][8] = {
		{ 0x48, 0xcf }, { 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf },
		{ 0xcf }, { 0xf4, 0xeb, 0xfd }, { 0xeb, 0xfe },
		{ 0x58, 0x58, 0xc3 }, { 0x83, 0xc4, 0x04, 0xcf },
		{ 0x0f, 0x01, 0xf8, 0x48, 0xcf },
	};
	const unsigned code = wide ? 0xa09b : 0xc09b;
	uint64_t gdt[32] = { 0, descriptor(0, 0xfffff, code),
		descriptor(0, 0xfffff, 0xc093),
		descriptor(0, 0xfffff, 0xc0fb),
		descriptor(0, 0xfffff, 0xc0f3),
		descriptor(0, 0xfffff, wide ? 0xa0fb : 0xc0fb),
		descriptor(TSS, 0x2067, 0x8b), 0,
		descriptor(SV_CODE, 0xffff, 0x9b),
		descriptor(DATA, 0xffff, 0x93),
		descriptor(DATA, 0xff, 0x82), 0,
		STUBS | 8u << 16 | 0xecull << 40, 0 };
	uint8_t tss[104] = { 0 };
	uint64_t v;
	uint32_t ivt;

	for (unsigned i = 14; i < 32; i++)
		gdt[i] = descriptor((uint32_t)address(s), (uint32_t)rnd(s),
		    (unsigned)rnd(s) & 0xf0ff);
	if ((s->h->wild & W_GDT) != 0)
		for (uint64_t n = rnd(s) % 8; n > 0; n--)
			gdt[rnd(s) & 31] ^= 1ull << (rnd(s) & 63);
	put(s, GDT, gdt, sizeof(gdt));
	for (unsigned i = 0; i < 12; i++) {
		v = (s->h->wild & W_TSS) != 0 && chance(s, 30) ? number(s) :
								  STACK;
		memcpy(tss + 4 + 8 * i, &v, 8);
	}
	if (!wide) {
		/* ESP0, SS0 of a 32-bit TSS. */
		v = STACK | 0x10ull << 32;
		memcpy(tss + 4, &v, 8);
	}
	v = 104;
	memcpy(tss + 102, &v, 2);
	put(s, TSS, tss, sizeof(tss));
	for (unsigned i = 0; i < 256; i++) {
		put(s, STUBS + 16 * i, stubs[rnd(s) & 7], 8);
		gate(s, i, wide);
		ivt = STUBS + 16 * i;
		/* A real-mode vector: where the 64-bit tables do not lie. */
		put(s, 4 * i, &ivt, 4);
	}
}

static void
set_seg(struct sv *s, enum vm_segreg seg, uint64_t base, uint32_t limit,
    uint32_t access, uint16_t sel)
{
	struct vm_seg v = { .base = base, .limit = limit, .access = access,
		.sel = sel };

	FUZZ_CHECK(vcpu_set_seg(s->cpu, seg, &v) == 0);
}

/* A data segment that a guest could have loaded. */
static void
wild_seg(struct sv *s, enum vm_segreg seg, unsigned dpl)
{
	uint32_t access = 0xc093 | dpl << 5, limit = 0xffffffff;
	uint64_t base = 0;

	if (chance(s, 40))
		return;
	if (chance(s, 30))
		base = (uint32_t)address(s);
	if ((seg == VM_SEG_FS || seg == VM_SEG_GS) && chance(s, 30)) {
		base = address(s);
		base = (uint64_t)((int64_t)(base << 16) >> 16);
	}
	if (chance(s, 30))
		limit = chance(s, 50) ? (uint32_t)rnd(s) & 0xfffff :
					(uint32_t)address(s) | 0xfff;
	if (chance(s, 20))
		access |= 4; /* down */
	if (seg != VM_SEG_SS && chance(s, 20))
		access &= ~2u; /* read-only */
	if (chance(s, 20))
		access &= ~VM_SEG_DB;
	if (seg != VM_SEG_SS && chance(s, 15))
		access = VM_SEG_UNUSABLE;
	set_seg(s, seg, base, limit, access, (uint16_t)(0x10 | dpl));
}

static void
segments(struct sv *s, unsigned mode)
{
	unsigned dpl = sv_user(s->h) ? 3 : 0;
	uint32_t code = 0xc09b | dpl << 5, data = 0xc093 | dpl << 5;
	uint32_t limit = 0xffffffff;
	uint64_t base = 0;

	if (mode == SV_LONG)
		code = 0xa09b | dpl << 5;
	if (mode == SV_PROT16)
		code &= ~(VM_SEG_DB | VM_SEG_G);
	if (mode == SV_REAL || mode == SV_V86) {
		code = data = mode == SV_V86 ? 0xf3 : 0x93;
		limit = 0xffff;
		base = SV_CODE;
	}
	set_seg(s, VM_SEG_CS, base, mode == SV_PROT16 ? 0xfffff : limit, code,
	    (uint16_t)(base != 0 ? base >> 4 : dpl ? 0x2b : 8));
	for (unsigned i = 0; i < VM_SEG_LDTR; i++)
		if (i != VM_SEG_CS)
			set_seg(s, (enum vm_segreg)i, base, limit, data,
			    (uint16_t)(base != 0 ? base >> 4 :
				    dpl		 ? 0x23 :
						   0x10));
	set_seg(s, VM_SEG_LDTR, 0, 0, VM_SEG_UNUSABLE, 0);
	set_seg(s, VM_SEG_TR, TSS, 0x2067, 0x8b, 0x30);
	set_seg(s, VM_SEG_GDTR, GDT, 255, 0, 0);
	set_seg(s, VM_SEG_IDTR, mode == SV_REAL ? 0 : IDT,
	    mode == SV_REAL ? 1023 : 4095, 0, 0);
	if ((s->h->wild & W_SEG) == 0 || base != 0)
		return;
	for (unsigned i = 0; i < VM_SEG_LDTR; i++)
		if (i != VM_SEG_CS)
			wild_seg(s, (enum vm_segreg)i, dpl);
}

static void
set_reg(struct sv *s, enum vm_reg reg, uint64_t v)
{
	FUZZ_CHECK(vcpu_set_reg(s->cpu, reg, v) == 0);
}

static void
control(struct sv *s, unsigned mode)
{
	/* PG, WP, NE, ET, MP; DE PAE PGE OSFXSR OSXMMEXCPT FSGSBASE
	 * OSXSAVE. */
	uint64_t cr0 = 0x10033, cr4 = 0x50688, efer = 0x801, cr3 = TABLES;
	bool wide = mode == SV_LONG || mode == SV_COMPAT;

	if (mode == SV_REAL)
		cr0 &= ~1ull;
	if (wide) {
		efer |= 0x500;
		cr4 |= 0x20;
		cr0 |= 1ull << 31;
	} else if (mode != SV_REAL && chance(s, 70)) {
		cr0 |= 1ull << 31;
		if (chance(s, 50)) {
			cr4 |= 0x20;
			cr3 = TABLES + 0x6000;
		} else {
			cr4 |= 0x10;
			cr3 = TABLES + 0x7000;
		}
	}
	if ((s->h->wild & W_CR) != 0) {
		if (chance(s, 30))
			cr0 ^= 0x10000;
		if (chance(s, 20))
			cr0 ^= 2ull << (rnd(s) % 3); /* MP EM TS */
		if (chance(s, 20))
			cr4 ^= 0x50600;
		if (chance(s, 20))
			cr4 |= 0x300000; /* SMEP SMAP */
		if (chance(s, 20))
			cr4 |= 0x804; /* UMIP TSD */
		if (chance(s, 20))
			cr0 |= 0x40000; /* AM */
		if (wide && chance(s, 20))
			cr4 |= 0x20000; /* PCIDE */
		if (wide && chance(s, 20)) {
			cr4 |= 0x1000; /* LA57 */
			cr3 = TABLES + 0xa000;
		}
	}
	set_reg(s, VM_REG_EFER, efer);
	set_reg(s, VM_REG_CR4, cr4);
	set_reg(s, VM_REG_CR3, cr3);
	set_reg(s, VM_REG_CR0, cr0);
	if ((cr4 & 0x40000) != 0)
		set_reg(s, VM_REG_XCR0, chance(s, 80) ? 7 : 1);
}

static void
set_fpu(struct sv *s)
{
	static uint8_t buf[8192];
	uint32_t len = sizeof(buf), mxcsr;
	uint16_t fcw = (uint16_t)rnd(s);

	FUZZ_CHECK(vcpu_get_xsave(s->cpu, buf, &len) == 0);
	for (unsigned i = 32; i < 416; i++)
		buf[i] = (uint8_t)rnd(s);
	memcpy(buf, &fcw, 2);
	buf[2] = (uint8_t)rnd(s);
	buf[3] = (uint8_t)rnd(s);
	buf[4] = (uint8_t)rnd(s);
	mxcsr = (uint32_t)rnd(s) & 0xffff;
	memcpy(buf + 24, &mxcsr, 4);
	buf[512] = 3;
	FUZZ_CHECK(vcpu_set_xsave(s->cpu, buf, len) == 0);
}

static void
registers(struct sv *s, unsigned mode)
{
	uint64_t fl = 2, rip = SV_CODE + sv_start(s->h);

	if (mode == SV_REAL || mode == SV_V86)
		rip -= SV_CODE;
	for (unsigned i = VM_REG_RAX; i <= VM_REG_R15; i++)
		set_reg(s, (enum vm_reg)i,
		    (s->h->wild & W_GPR) != 0 ? number(s) : address(s));
	if ((s->h->wild & W_GPR) == 0 || chance(s, 70))
		set_reg(s, VM_REG_RSP, STACK - 0x800);
	/* REP is for a while, not for ever. */
	if (chance(s, 90))
		set_reg(s, VM_REG_RCX, rnd(s) & 0xff);
	fl |= rnd(s) & 0x8d5;
	fl |= chance(s, 70) ? 0x200 : 0;
	if (chance(s, 20))
		fl |= rnd(s) & 0x244500; /* ID AC NT DF TF */
	if (chance(s, 20))
		fl |= 0x3000;
	if (mode == SV_V86)
		fl |= 0x20000;
	set_reg(s, VM_REG_RFLAGS, fl);
	set_reg(s, VM_REG_RIP, rip);
	for (unsigned i = 0; i < 4; i++)
		set_reg(s, (enum vm_reg)(VM_REG_DR0 + i), address(s));
	if (chance(s, 10))
		set_reg(s, VM_REG_DR7, (rnd(s) & 0xffff03ff) | 0x400);
	(void)vcpu_set_msr(s->cpu, 0xc0000081, 0x001b000800000000ull); /*STAR*/
	(void)vcpu_set_msr(s->cpu, 0xc0000082, STUBS + 16 * 0x80); /* LSTAR */
	(void)vcpu_set_msr(s->cpu, 0xc0000084, 0x200);
	(void)vcpu_set_msr(s->cpu, 0x174, 8);
	(void)vcpu_set_msr(s->cpu, 0x175, STACK);
	(void)vcpu_set_msr(s->cpu, 0x176, STUBS + 16 * 0x81);
	if ((s->h->options & O_X2APIC) != 0) {
		(void)vcpu_set_msr(s->cpu, 0x1b, 0xfee00d00);
		(void)vcpu_set_msr(s->cpu, 0x80f, 0x1ff);
		if (chance(s, 50)) {
			(void)vcpu_set_msr(s->cpu, 0x832, 0x20040);
			(void)vcpu_set_msr(s->cpu, 0x838, 20000);
		}
	}
	if ((s->h->wild & W_FPU) != 0)
		set_fpu(s);
}

/* ---- running ---- */

static void
inject(struct sv *s)
{
	static const uint32_t with_error = 1u << 8 | 0x1fu << 10 | 1u << 17;
	uint64_t r = rnd(s);
	unsigned vector = r & 31;

	if (vector == 2 || vector > 19)
		vector = 13;
	(void)vcpu_inject_exception(s->cpu, (uint8_t)vector,
	    with_error >> vector & 1, (uint32_t)(r >> 32 & 0xffff));
}

static void
check_state(struct sv *s, FILE *out)
{
	static uint8_t buf[8192];
	uint32_t len = sizeof(buf);
	uint64_t v, cr0, efer;
	struct vm_seg seg;

	for (unsigned i = 0; i < VM_REG_MAX; i++)
		FUZZ_CHECK(vcpu_get_reg(s->cpu, (enum vm_reg)i, &v) == 0);
	for (unsigned i = 0; i < VM_SEG_MAX; i++)
		FUZZ_CHECK(vcpu_get_seg(s->cpu, (enum vm_segreg)i, &seg) == 0);
	(void)vcpu_get_reg(s->cpu, VM_REG_CR0, &cr0);
	(void)vcpu_get_reg(s->cpu, VM_REG_EFER, &efer);
	FUZZ_CHECK(((efer >> 10 & 1) != 0) ==
	    ((cr0 >> 31 & 1) != 0 && (efer >> 8 & 1) != 0));
	FUZZ_CHECK((cr0 >> 31 & 1) == 0 || (cr0 & 1) != 0);
	/* 1 is always set, 3, 5, 15 and 22 up never. */
	(void)vcpu_get_reg(s->cpu, VM_REG_RFLAGS, &v);
	FUZZ_CHECK((v & 0xffffffffffc0802aull) == 2);
	/* A machine that can run can be saved and restored. */
	FUZZ_CHECK(vcpu_get_xsave(s->cpu, buf, &len) == 0);
	FUZZ_CHECK(vcpu_set_xsave(s->cpu, buf, len) == 0);
	if (out != NULL)
		vcpu_dump(s->cpu, out);
}

/* False: the machine has ended. */
static bool
handle(struct sv *s, const struct vm_exit *e)
{
	uint64_t r = rnd(s);

	FUZZ_CHECK((unsigned)e->exitcode < VM_EXITCODE_MAX);
	switch (e->exitcode) {
	case VM_EXITCODE_RDMSR:
	case VM_EXITCODE_WRMSR:
		FUZZ_CHECK(vcpu_complete_msr(s->cpu,
			       (s->h->options & O_MSR_GP) != 0 && (r & 1),
			       rnd(s)) == 0);
		FUZZ_CHECK(vcpu_complete_msr(s->cpu, false, 0) == -EINVAL);
		break;
	case VM_EXITCODE_HLT:
		FUZZ_CHECK((s->h->options & O_HALT_EXIT) != 0);
		break;
	case VM_EXITCODE_PAUSE:
		FUZZ_CHECK((s->h->options & O_PAUSE_EXIT) != 0);
		break;
	case VM_EXITCODE_SUSPENDED:
		FUZZ_CHECK((unsigned)e->u.suspended.how <=
		    VM_SUSPEND_TRIPLEFAULT);
		return (false);
	case VM_EXITCODE_ENGINE:
		FUZZ_CHECK(e->u.engine.reason[0] != '\0');
		FUZZ_CHECK(memchr(e->u.engine.reason, '\0',
			       sizeof(e->u.engine.reason)) != NULL);
		FUZZ_CHECK(e->u.engine.inst_len <= 15);
		return (false);
	default:
		break;
	}
	return (true);
}

static void
set_running(struct sv *s, bool on)
{
	pthread_mutex_lock(&lock);
	s->running = on;
	s->kicked_wall = 0;
	now_running = on ? s : NULL;
	if (on)
		pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
}

static void
go(struct sv *s, FILE *out)
{
	unsigned runs = 1 + s->h->runs % 8;
	struct vm_exit e;
	bool more = true;

	while (runs-- > 0 && more) {
		if ((s->h->events & E_EXCEPTION) != 0 && chance(s, 50))
			inject(s);
		/* Not BOGUS, nor anything else that is defined. */
		memset(&e, 0xee, sizeof(e));
		set_running(s, true);
		inside = true;
		FUZZ_CHECK(vcpu_run(s->cpu, &e) == 0);
		inside = false;
		set_running(s, false);
		more = handle(s, &e);
		check_state(s, runs == 0 ? out : NULL);
		if ((s->h->events & E_DMA) != 0)
			upcall(s);
	}
}

static void
once(void)
{
	pthread_t t;

	if (loop != NULL)
		return;
	runner = pthread_self();
	FUZZ_CHECK(mevent_loop_create(&loop) == 0);
	FUZZ_CHECK(vclock_create(&vc, loop) == 0);
	FUZZ_CHECK(pthread_create(&t, NULL, looper, loop) == 0);
	pthread_detach(t);
	FUZZ_CHECK(pthread_create(&t, NULL, kicker, NULL) == 0);
	pthread_detach(t);
}

void
sv_run(const struct sv_head *h, const uint8_t code[SV_CODE_SIZE])
{
	struct vm_config cfg = { .engine = VM_ENGINE_SOFT, .ncpus = 1 };
	struct sv s = { .h = h, .rng = h->seed, .krng = ~h->seed };
	unsigned mode = sv_mode(h);
	bool wide = mode == SV_LONG || mode == SV_COMPAT;
	static FILE *null;

	once();
	if (null == NULL)
		null = fopen("/dev/null", "w");
	FUZZ_CHECK(gmem_create(&s.gm, RAM) == 0);
	cfg.gmem = s.gm;
	cfg.vclock = vc;
	cfg.ops = &ops;
	cfg.ops_arg = &s;
	cfg.soft_no_link = (h->options & O_NO_LINK) != 0;
	cfg.soft_no_tlb = (h->options & O_NO_TLB) != 0;
	cfg.soft_one_insn = (h->options & O_ONE_INSN) != 0;
	FUZZ_CHECK(vm_create(&s.vm, &cfg) == 0);
	guard();
	s.cpu = vm_vcpu(s.vm, 0);
	(void)vcpu_set_cap(s.cpu, VM_CAP_HALT_EXIT,
	    (h->options & O_HALT_EXIT) != 0);
	(void)vcpu_set_cap(s.cpu, VM_CAP_PAUSE_EXIT,
	    (h->options & O_PAUSE_EXIT) != 0);
	system_tables(&s, wide);
	page_tables(&s);
	put(&s, SV_CODE, code, SV_CODE_SIZE);
	for (unsigned i = 0; i < 0x10000; i += 256)
		put64(&s, DATA + i, number(&s));
	control(&s, mode);
	segments(&s, mode);
	registers(&s, mode);
	go(&s, h->runs & 0x80 ? null : NULL);
	vm_destroy(s.vm);
	gmem_destroy(s.gm);
}
