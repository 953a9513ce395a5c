/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults of the host inside translated code are the guest's: a division by
 * zero, an unmasked floating-point exception, a misaligned vector access, an
 * instruction that this processor does not have. The handler brings the
 * guest's registers into struct soft_cpu and makes the thread go on in
 * soft_leave().
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "vmm/soft/signal.h"

/* The vcpu that this thread runs; the handler has no other way to know. */
static _Thread_local struct soft_cpu *current;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction old_action[64];
static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

/* The host's vector is the guest's: #DE, #MF or #XM. */
static unsigned
fpe_vector(const ucontext_t *uc)
{
	return ((unsigned)uc->uc_mcontext.gregs[REG_TRAPNO] & 31);
}

static void
take_registers(struct soft_cpu *cpu, const ucontext_t *uc)
{
	const greg_t *r = uc->uc_mcontext.gregs;
	uint64_t fl = (uint64_t)r[REG_EFL];

	cpu->gpr[R_AX] = (uint64_t)r[REG_RAX];
	cpu->gpr[R_CX] = (uint64_t)r[REG_R9];
	cpu->gpr[R_DX] = (uint64_t)r[REG_RDX];
	cpu->gpr[R_BX] = (uint64_t)r[REG_RBX];
	if (cpu->kind != 0) { /* stack code */
		cpu->gpr[STACK_GPR] = (uint64_t)r[REG_R10];
		cpu->gpr[R_SP] = cpu->neg +
		    (cpu->sp_keep != 0 ? cpu->sp_keep : (uint64_t)r[REG_RSP]);
		cpu->sp_keep = 0;
	} else
		cpu->gpr[R_SP] = (uint64_t)r[REG_R10];
	cpu->gpr[R_BP] = (uint64_t)r[REG_RBP];
	cpu->gpr[R_SI] = (uint64_t)r[REG_RSI];
	cpu->gpr[R_DI] = (uint64_t)r[REG_RDI];
	cpu->gpr[8] = (uint64_t)r[REG_R8];
	cpu->gpr[12] = (uint64_t)r[REG_R12];
	cpu->gpr[13] = (uint64_t)r[REG_R11];
	cpu->fl = (uint32_t)((fl & 0xd5) << 8 | ((fl >> 11) & 1));
}

static void
pass_on(int sig, siginfo_t *info, void *ctx)
{
	const struct sigaction *old = &old_action[sig];

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, ctx);
		return;
	}
	if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
		return;
	}
	/* A fault of our own: die of it on return. */
	signal(sig, SIG_DFL);
}

/*
 * Where the slow path of the access at pc is, if it went to the mirror, which
 * does not have it: 0 if it did not. The registers stay as they are; nothing
 * has happened yet.
 */
static uint64_t
slow_path(const struct block *b, uint64_t pc)
{
	uint64_t code = (uint64_t)(uintptr_t)b->code;

	for (unsigned i = 0; i < b->nfixups; i++) {
		const struct fixup *f = &b->fixups[i];

		int32_t slow;

		if (pc < code + f->start || pc >= code + f->end)
			continue;
		slow = atomic_load_explicit(&f->slow, memory_order_acquire);
		return (slow != 0 ?
			code + (uint64_t)(int64_t)slow :
			(uint64_t)(uintptr_t)soft_thunk_late);
	}
	return (0);
}

static void
handler(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	struct soft_cpu *cpu = current;
	uint64_t pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	const struct insn_map *im;
	uint64_t slow;
	struct block *b;

	b = cpu != NULL && info->si_code > 0 ? soft_block_at(cpu->vm, pc) :
					       NULL;
	if (b == NULL ||
	    (uint64_t)uc->uc_mcontext.gregs[REG_R13] !=
		(uint64_t)(uintptr_t)cpu + ENV_BIAS) {
		pass_on(sig, info, ctx);
		return;
	}
	/* SIGBUS: #SS, of an address by way of rBP. */
	slow = sig == SIGSEGV || sig == SIGBUS ? slow_path(b, pc) : 0;
	if (slow != 0) {
		cpu->late_pc = pc;
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)slow;
		return;
	}
	take_registers(cpu, uc);
	im = soft_insn_at(b, pc);
	cpu->rip = b->pc + im->guest;
	cpu->host_ret = 0;
	cpu->exc.pending = true;
	cpu->exc.has_error = false;
	cpu->exc.error = 0;
	switch (sig) {
	case SIGFPE:
		cpu->exc.vector = (uint8_t)fpe_vector(uc);
		if (cpu->exc.vector == EXC_XM &&
		    !(cpu->cr4 & CR4_OSXMMEXCPT))
			cpu->exc.vector = EXC_UD; /* SDM volume 3, 2.5 */
		break;
	case SIGILL:
		cpu->exc.vector = EXC_UD;
		break;
	default:
		/* The look-up has vetted the address: what is left is a
		 * misaligned operand. */
		cpu->exc.vector = EXC_GP;
		cpu->exc.has_error = true;
		break;
	}
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)soft_leave;
}

static void
install(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&sa.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, &old_action[signals[i]]);
}

void
soft_signal_init(void)
{
	pthread_once(&once, install);
}

/* Handlers with AVX-512 state saved need more than MINSIGSTKSZ. */
#define ALT_STACK_SIZE (64u << 10)

int
soft_signal_enter(struct soft_cpu *cpu, struct soft_signal *s)
{
	static const int leave[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
		SIGABRT, SIGSYS };
	sigset_t all;
	stack_t ss;

	s->stack = mmap(NULL, ALT_STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->stack == MAP_FAILED)
		return (-errno);
	memset(&ss, 0, sizeof(ss));
	ss.ss_sp = s->stack;
	ss.ss_size = ALT_STACK_SIZE;
	if (sigaltstack(&ss, &s->old) != 0) {
		munmap(s->stack, ALT_STACK_SIZE);
		return (-errno);
	}
	/* Stack code has its rsp in the guest's memory: no handler may run
	 * there. Those that are left have SA_ONSTACK. */
	sigfillset(&all);
	for (unsigned i = 0; i < sizeof(leave) / sizeof(leave[0]); i++)
		sigdelset(&all, leave[i]);
	pthread_sigmask(SIG_BLOCK, &all, &s->mask);
	s->outer = current;
	current = cpu;
	return (0);
}

void
soft_signal_leave(struct soft_signal *s)
{
	current = s->outer;
	pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
	sigaltstack(&s->old, NULL);
	munmap(s->stack, ALT_STACK_SIZE);
}
