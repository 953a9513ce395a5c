/* SPDX-License-Identifier: BSD-2-Clause */
#include "softvm_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/mevent.h"
#include "base/vclock.h"

#define KICK_US 150
#define HANG_NS 2000000000ull	  /* of the processor's time, after a kick */
#define STARVED_NS 300000000000ull /* of the clock's */

/* For all inputs: the clock's loop, the kicker's thread, and the one that a
 * second vcpu runs in. */
static struct mevent_loop *loop;
static struct vclock *vc;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct sv *now_running, *second_wanted;
_Thread_local unsigned sv_me;
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
		vm_nmi(s->vm, (unsigned)(r >> 7) & (s->ncpus - 1));
	if ((e & E_EXTINT) != 0)
		vm_extint(s->vm, r & 2);
	if ((e & E_SUSPEND) != 0 && (r2 >> 56 & 15) == 0)
		(void)vm_suspend(s->vm, (enum vm_suspend_how)(r >> 60 & 3));
}

static void
kick(struct sv_cpu *c)
{
	if (c->kicked_wall == 0) {
		c->kicked_wall = wall_time();
		c->kicked_cpu = cpu_time(c->thread);
	} else if (cpu_time(c->thread) - c->kicked_cpu > HANG_NS ||
	    wall_time() - c->kicked_wall > STARVED_NS) {
		fprintf(stderr, "broken: vcpu_run() went on for 2 s after a "
				"kick\n");
		abort();
	}
	vcpu_kick(c->v);
}

static void *
kicker(void *arg)
{
	struct timespec ts = { 0, KICK_US * 1000 };
	struct sv *s;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (now_running == NULL)
			pthread_cond_wait(&cond, &lock);
		s = now_running;
		event(s);
		for (unsigned i = 0; i < s->ncpus; i++)
			if (s->c[i].running)
				kick(&s->c[i]);
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

/* Where the engine goes to with a fault (entry.S). */
void soft_leave(void);

/*
 * The engine turns a fault of translated code into one of the guest's, as a
 * misaligned operand is. That has no address; a fault with one is an access
 * to what the look-up should have kept the guest from.
 */
static void
on_fault(int sig, siginfo_t *info, void *ctx)
{
	const ucontext_t *uc = ctx;
	uint64_t at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	char line[120];
	int n;

	if (inside) { /* an access to a mirror goes on in its slow path */
		engine_action.sa_sigaction(sig, info, ctx);
		if ((uint64_t)uc->uc_mcontext.gregs[REG_RIP] !=
		    (uint64_t)(uintptr_t)soft_leave)
			return;
	}
	if (!inside || (info->si_code != SEGV_MAPERR &&
			   info->si_code != SEGV_ACCERR)) {
		if (!inside)
			engine_action.sa_sigaction(sig, info, ctx);
		return;
	}
	n = snprintf(line, sizeof(line),
	    "broken: access to %p outside the guest's memory, by %llx\n",
	    info->si_addr,
	    (unsigned long long)at);
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
	uint64_t r = sv_rnd(s), v;

	/* A guest that does nothing but I/O is not the point. */
	if (++s->c[sv_me].nio % 64 == 0)
		vcpu_kick(sv_vcpu(s));
	if ((r & 7) != 0)
		return;
	if ((s->h->events & E_DMA) != 0) {
		v = sv_rnd(s);
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
	*val = (uint32_t)sv_rnd(s);
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
	*val = sv_rnd(s);
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
eoi(void *arg, struct vcpu *vcpu, uint8_t vector, bool level)
{
	(void)arg;
	(void)vcpu;
	(void)vector;
	(void)level;
}

static int
intr_ack(void *arg)
{
	struct sv *s = arg;
	uint64_t r = sv_rnd(s);

	return (r & 3 ? (int)(r >> 8 & 0xff) : -1);
}

static const struct vmm_io_ops ops = { port_read, port_write, mem_read,
	mem_write, eoi, intr_ack };

/* ---- running ---- */

static void
inject(struct sv *s)
{
	static const uint32_t with_error = 1u << 8 | 0x1fu << 10 | 1u << 17;
	uint64_t r = sv_rnd(s);
	unsigned vector = r & 31;

	if (vector == 2 || vector > 19)
		vector = 13;
	(void)vcpu_inject_exception(sv_vcpu(s), (uint8_t)vector,
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
		FUZZ_CHECK(vcpu_get_reg(sv_vcpu(s), (enum vm_reg)i, &v) == 0);
	for (unsigned i = 0; i < VM_SEG_MAX; i++)
		FUZZ_CHECK(vcpu_get_seg(sv_vcpu(s), (enum vm_segreg)i,
			       &seg) == 0);
	(void)vcpu_get_reg(sv_vcpu(s), VM_REG_CR0, &cr0);
	(void)vcpu_get_reg(sv_vcpu(s), VM_REG_EFER, &efer);
	FUZZ_CHECK(((efer >> 10 & 1) != 0) ==
	    ((cr0 >> 31 & 1) != 0 && (efer >> 8 & 1) != 0));
	FUZZ_CHECK((cr0 >> 31 & 1) == 0 || (cr0 & 1) != 0);
	/* 1 is always set, 3, 5, 15 and 22 up never. */
	(void)vcpu_get_reg(sv_vcpu(s), VM_REG_RFLAGS, &v);
	FUZZ_CHECK((v & 0xffffffffffc0802aull) == 2);
	/* A machine that can run can be saved and restored. */
	FUZZ_CHECK(vcpu_get_xsave(sv_vcpu(s), buf, &len) == 0);
	FUZZ_CHECK(vcpu_set_xsave(sv_vcpu(s), buf, len) == 0);
	if (out != NULL)
		vcpu_dump(sv_vcpu(s), out);
}

/* False: the machine has ended. */
static bool
handle(struct sv *s, const struct vm_exit *e)
{
	uint64_t r = sv_rnd(s);

	FUZZ_CHECK((unsigned)e->exitcode < VM_EXITCODE_MAX);
	switch (e->exitcode) {
	case VM_EXITCODE_RDMSR:
	case VM_EXITCODE_WRMSR:
		FUZZ_CHECK(vcpu_complete_msr(sv_vcpu(s),
			       (s->h->options & O_MSR_GP) != 0 && (r & 1),
			       sv_rnd(s)) == 0);
		FUZZ_CHECK(vcpu_complete_msr(sv_vcpu(s), false, 0) == -EINVAL);
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
	struct sv_cpu *c = &s->c[sv_me];
	bool any = false;

	pthread_mutex_lock(&lock);
	c->running = on;
	c->kicked_wall = 0;
	for (unsigned i = 0; i < s->ncpus; i++)
		any |= s->c[i].running;
	now_running = any ? s : NULL;
	if (on)
		pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

static void
go(struct sv *s, FILE *out)
{
	unsigned runs = 1 + s->h->runs % 8;
	struct vm_exit e;
	bool more = true;

	while (runs-- > 0 && more) {
		if ((s->h->events & E_EXCEPTION) != 0 && sv_chance(s, 50))
			inject(s);
		/* Not BOGUS, nor anything else that is defined. */
		memset(&e, 0xee, sizeof(e));
		set_running(s, true);
		inside = true;
		FUZZ_CHECK(vcpu_run(sv_vcpu(s), &e) == 0);
		inside = false;
		set_running(s, false);
		more = handle(s, &e);
		check_state(s, runs == 0 ? out : NULL);
		if ((s->h->events & E_DMA) != 0)
			upcall(s);
	}
}

/* ---- a second processor ---- */

static void *
second(void *arg)
{
	struct sv *s;

	(void)arg;
	sv_me = 1;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (second_wanted == NULL)
			pthread_cond_wait(&cond, &lock);
		s = second_wanted;
		pthread_mutex_unlock(&lock);
		s->c[1].thread = pthread_self();
		go(s, NULL);
		pthread_mutex_lock(&lock);
		second_wanted = NULL;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
	}
	return (NULL);
}

/* Starts it at PARK, where it halts: from there it gets its registers. */
static void
start_second(struct sv *s)
{
	static const uint8_t park[] = { 0xf4, 0xeb, 0xfd };
	struct vm_exit e;

	FUZZ_CHECK(gmem_write(s->gm, PARK, park, sizeof(park)) == 0);
	FUZZ_CHECK(vcpu_set_apic(s->c[0].v, 0x310, 1u << 24) == 0);
	FUZZ_CHECK(vcpu_set_apic(s->c[0].v, 0x300, 0x4600 | PARK >> 12) == 0);
	sv_me = 1;
	(void)vcpu_set_cap(s->c[1].v, VM_CAP_HALT_EXIT, true);
	FUZZ_CHECK(vcpu_run(s->c[1].v, &e) == 0);
	FUZZ_CHECK(e.exitcode == VM_EXITCODE_HLT);
	sv_me = 0;
}

static void
go_both(struct sv *s, FILE *out)
{
	if (s->ncpus == 1) {
		go(s, out);
		return;
	}
	pthread_mutex_lock(&lock);
	second_wanted = s;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	go(s, out);
	pthread_mutex_lock(&lock);
	while (second_wanted != NULL)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
}

static void
once(void)
{
	pthread_t t;

	if (loop != NULL)
		return;
	FUZZ_CHECK(mevent_loop_create(&loop) == 0);
	FUZZ_CHECK(vclock_create(&vc, loop) == 0);
	FUZZ_CHECK(pthread_create(&t, NULL, looper, loop) == 0);
	pthread_detach(t);
	FUZZ_CHECK(pthread_create(&t, NULL, kicker, NULL) == 0);
	pthread_detach(t);
	FUZZ_CHECK(pthread_create(&t, NULL, second, NULL) == 0);
	pthread_detach(t);
}

static void
create(struct sv *s, const uint8_t code[SV_CODE_SIZE])
{
	struct vm_config cfg = { .engine = VM_ENGINE_SOFT, .ncpus = s->ncpus };
	uint8_t o = s->h->options;
	void *host;

	FUZZ_CHECK(gmem_create(&s->gm, RAM) == 0);
	if ((o & O_ROM) != 0) {
		FUZZ_CHECK(gmem_add_rom(s->gm, ROM_SIZE, &host) == 0);
		s->rom = malloc(ROM_SIZE);
		FUZZ_CHECK(s->rom != NULL);
		sv_rom(s, code);
		memcpy(host, s->rom, ROM_SIZE);
		gmem_seal_rom(s->gm);
	}
	cfg.gmem = s->gm;
	cfg.vclock = vc;
	cfg.ops = &ops;
	cfg.ops_arg = s;
	cfg.soft_no_link = (o & O_NO_LINK) != 0;
	if ((o & O_MIRROR) == O_MIRROR)
		cfg.soft_mirror = SOFT_MIRROR_EAGER;
	else {
		cfg.soft_no_tlb = (o & O_NO_TLB) != 0;
		cfg.soft_one_insn = (o & O_ONE_INSN) != 0;
		cfg.soft_mirror = SOFT_MIRROR_OFF;
	}
	FUZZ_CHECK(vm_create(&s->vm, &cfg) == 0);
	guard();
	for (unsigned i = 0; i < s->ncpus; i++)
		s->c[i].v = vm_vcpu(s->vm, i);
	if (s->ncpus == 2)
		start_second(s);
	for (unsigned i = 0; i < s->ncpus; i++) {
		(void)vcpu_set_cap(s->c[i].v, VM_CAP_HALT_EXIT,
		    (o & O_HALT_EXIT) != 0);
		(void)vcpu_set_cap(s->c[i].v, VM_CAP_PAUSE_EXIT,
		    (o & O_PAUSE_EXIT) != 0);
	}
}

void
sv_run(const struct sv_head *h, const uint8_t code[SV_CODE_SIZE])
{
	struct sv s = { .h = h, .krng = ~h->seed };
	uint8_t rom[4096];
	static FILE *null;

	once();
	if (null == NULL)
		null = fopen("/dev/null", "w");
	s.ncpus = (h->mode & M_TWO) != 0 ? 2 : 1;
	s.c[0].rng = h->seed;
	s.c[1].rng = h->seed ^ 0x5555;
	s.c[0].thread = pthread_self();
	create(&s, code);
	sv_memory(&s, code);
	if (s.ncpus == 2) {
		sv_me = 1;
		sv_registers(&s);
		sv_me = 0;
	}
	sv_registers(&s);
	go_both(&s, h->runs & 0x80 ? null : NULL);
	/* Nobody writes to a ROM. */
	for (unsigned i = 0; s.rom != NULL && i < ROM_SIZE; i += sizeof(rom)) {
		FUZZ_CHECK(gmem_read(s.gm, ROM + i, rom, sizeof(rom)) == 0);
		FUZZ_CHECK(memcmp(s.rom + i, rom, sizeof(rom)) == 0);
	}
	vm_destroy(s.vm);
	gmem_destroy(s.gm);
	free(s.rom);
}
