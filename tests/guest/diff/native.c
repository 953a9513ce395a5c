/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs tests on the host's processor. A child process goes from test to test
 * inside signal handlers: the OUT behind each test's code faults, the handler
 * takes the state out of the signal frame, puts the next test's state there,
 * and sigreturn(2) loads all of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <asm/ldt.h>
#include <asm/prctl.h>

#include "diff.h"

enum { SEG_CODE, SEG_DATA, SEG_ES };
#define LDT_SEL(n) ((n) << 3 | 7)

#define FP_MAGIC1 0x46505853u
#define SW_RESERVED 464 /* magic1, size, xfeatures in the FXSAVE image */

/* Order of the general registers in the signal frame. */
static const int greg[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP,
	REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12,
	REG_R13, REG_R14, REG_R15 };

/* Lives in memory that parent and child share; the handler finds it at a
 * fixed address, since it cannot have an argument. */
struct native {
	const struct diff_layout *lay;
	struct diff_test *tests;
	struct diff_result *results;
	volatile unsigned next, count;
	uint64_t host_fs, host_gs;
	uint8_t *data_rw; /* the data pages once more, all writable */
	pid_t pid;
	int to_child[2], from_child[2];
};
#define NATIVE_AT 0x30000000ull

static inline struct native *
self(void)
{
	return (*(struct native **)NATIVE_AT);
}

static void
die(const char *what)
{
	perror(what);
	_exit(9);
}

static void
save_result(struct native *n, const ucontext_t *uc)
{
	struct diff_result *res = &n->results[n->next];
	const struct diff_test *t = &n->tests[n->next];
	const uint8_t *fp = (const uint8_t *)uc->uc_mcontext.fpregs;
	uint64_t bv;

	for (unsigned i = 0; i < 16; i++)
		res->st.gpr[i] = (uint64_t)uc->uc_mcontext.gregs[greg[i]];
	res->st.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	res->st.rflags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
	memcpy(res->st.xsave, fp, n->lay->total);
	memcpy(&bv, fp + 512, 8);
	bv &= n->lay->mask;
	memcpy(res->st.xsave + 512, &bv, 8);
	res->vector = (uint32_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	res->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
	res->cr2 = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];
	if (res->st.rip == t->st.rip + t->code_len && res->vector == 13)
		res->vector = DIFF_NO_VECTOR;
	memcpy(res->mem, n->data_rw, DIFF_MEM);
	res->died = false;
}

static void
load_test(struct native *n, ucontext_t *uc)
{
	const struct diff_test *t = &n->tests[n->next];
	uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
	uint32_t magic;

	for (unsigned i = 0; i < 16; i++)
		uc->uc_mcontext.gregs[greg[i]] = (greg_t)t->st.gpr[i];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)t->st.rip;
	uc->uc_mcontext.gregs[REG_EFL] = (greg_t)t->st.rflags;
	memcpy(&magic, fp + SW_RESERVED, 4);
	if (magic != FP_MAGIC1)
		_exit(8);
	/* Linux's 64-bit and 32-bit code segments for users, or our own. */
	uc->uc_mcontext.gregs[REG_CSGSFS] =
	    t->mode == 64 ? 0x2bll << 48 | 0x33 :
	    t->mode == 32 ? 0x2bll << 48 | 0x23 :
			    (long long)LDT_SEL(SEG_DATA) << 48 |
		    LDT_SEL(SEG_CODE);
	memcpy(fp, t->st.xsave, SW_RESERVED);
	memcpy(fp + 512, &n->lay->mask, 8);
	for (unsigned i = 2; i < 8; i++)
		memcpy(fp + n->lay->off[i], t->st.xsave + n->lay->off[i],
		    n->lay->size[i]);
	memcpy(n->data_rw, t->mem, DIFF_MEM);
	memcpy((uint8_t *)DIFF_CODE + t->code_off, t->code, t->code_len + 4);
	if (n->lay->fsgsbase) {
		__asm__ volatile("wrgsbase %0" ::"r"(t->st.gsbase));
		__asm__ volatile("wrfsbase %0" ::"r"(t->st.fsbase));
	}
}

/* Entered with the test's segment bases: nothing may touch thread-local
 * storage until the host's are back. */
__attribute__((optimize("no-stack-protector"))) static void
handler(int sig, siginfo_t *si, void *arg)
{
	struct native *n = self();
	ucontext_t *uc = arg;
	char c = 0;

	(void)si;
	if (n->lay->fsgsbase) {
		__asm__ volatile("wrfsbase %0" ::"r"(n->host_fs));
		__asm__ volatile("wrgsbase %0" ::"r"(n->host_gs));
	}
	if (sig != SIGUSR1) {
		save_result(n, uc);
		n->next++;
	}
	/* A byte from the parent for each batch, one back at its end. */
	if (sig == SIGUSR1 || n->next >= n->count) {
		if (sig != SIGUSR1 && write(n->from_child[1], &c, 1) != 1)
			_exit(0);
		if (read(n->to_child[0], &c, 1) != 1)
			_exit(0);
	}
	load_test(n, uc);
}

/* A segment of 16-bit code or data in the LDT. */
static void
make_segment(unsigned n, uint64_t base, uint32_t size, bool code)
{
	struct user_desc d = { .entry_number = n,
		.base_addr = (uint32_t)base, .limit = size - 1,
		.contents = code ? MODIFY_LDT_CONTENTS_CODE :
				   MODIFY_LDT_CONTENTS_DATA,
		.useable = 1 };

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) != 0)
		die("modify_ldt");
}

/* 64-bit mode is content with null selectors, compatibility mode is not.
 * The bases of FS and GS are written behind the selectors' back. */
static void
load_data_segments(const struct native *n)
{
	const uint32_t flat = 0x2b;
	uint32_t ds = flat, es = flat;

	if (n->tests[0].mode == 16) {
		make_segment(SEG_CODE, DIFF_CODE, DIFF_CODE_SIZE, true);
		make_segment(SEG_DATA, DIFF_DATA, DIFF_MEM, false);
		make_segment(SEG_ES, DIFF_ES, DIFF_MEM - 0x1000, false);
		ds = LDT_SEL(SEG_DATA);
		es = LDT_SEL(SEG_ES);
	}
	__asm__ volatile("mov %0, %%ds\n\tmov %1, %%es" ::"r"(ds), "r"(es));
	if (!n->lay->fsgsbase)
		return;
	__asm__ volatile("mov %0, %%fs\n\twrfsbase %1\n\t"
			 "mov %0, %%gs\n\twrgsbase %2" ::"r"(flat),
	    "r"(n->host_fs), "r"(n->host_gs));
}

static void
child_main(struct native *n, int memfd)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP,
		SIGUSR1 };
	struct sigaction sa;
	stack_t ss;
	void *p;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = mmap((void *)DIFF_DATA, DIFF_DATA_RW * 4096,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, memfd,
	    0);
	if (p == MAP_FAILED)
		die("data");
	/* Populated: a first write there has to find it present. */
	p = mmap((void *)(DIFF_DATA + DIFF_DATA_RW * 4096), 4096, PROT_READ,
	    MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, memfd,
	    DIFF_DATA_RW * 4096);
	if (p == MAP_FAILED)
		die("data");
	p = mmap((void *)DIFF_CODE, DIFF_CODE_SIZE,
	    PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		die("code");
	*(volatile uint8_t *)(DIFF_DATA + DIFF_DATA_RW * 4096);
	p = mmap((void *)NATIVE_AT, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		die("self");
	*(struct native **)NATIVE_AT = n;

	ss.ss_size = 256 << 10;
	ss.ss_flags = 0;
	ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, NULL) != 0)
		die("sigaltstack");
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		if (sigaction(sigs[i], &sa, NULL) != 0)
			die("sigaction");
	(void)syscall(SYS_arch_prctl, ARCH_GET_FS, &n->host_fs);
	(void)syscall(SYS_arch_prctl, ARCH_GET_GS, &n->host_gs);
	load_data_segments(n);
	raise(SIGUSR1);
	_exit(7);
}

static int
start_child(struct native *n)
{
	int memfd, error;
	pid_t pid;

	memfd = memfd_create("diff", MFD_CLOEXEC);
	if (memfd < 0)
		return (-errno);
	error = -ENOMEM;
	if (ftruncate(memfd, DIFF_MEM) != 0)
		goto out;
	if (n->data_rw != NULL)
		munmap(n->data_rw, DIFF_MEM);
	n->data_rw = mmap(
	    NULL, DIFF_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (n->data_rw == MAP_FAILED)
		goto out;
	if (pipe(n->to_child) != 0 || pipe(n->from_child) != 0) {
		error = -errno;
		goto out;
	}
	/* n is shared: the child's 0 must not become ours. */
	pid = fork();
	if (pid == 0) {
		close(n->to_child[1]);
		close(n->from_child[0]);
		child_main(n, memfd);
	}
	error = pid < 0 ? -errno : 0;
	n->pid = pid > 0 ? pid : 0;
	close(n->to_child[0]);
	close(n->from_child[1]);
out:
	close(memfd);
	return (error);
}

static void
stop_child(struct native *n)
{
	if (n->pid <= 0)
		return;
	close(n->to_child[1]);
	close(n->from_child[0]);
	kill(n->pid, SIGKILL);
	(void)waitpid(n->pid, NULL, 0);
	n->pid = 0;
}

int
native_create(struct native **out, const struct diff_layout *lay,
    struct diff_test *tests, struct diff_result *results, unsigned max)
{
	struct native *n;

	(void)max;
	n = mmap(NULL, sizeof(*n), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n == MAP_FAILED)
		return (-errno);
	n->lay = lay;
	n->tests = tests;
	n->results = results;
	signal(SIGPIPE, SIG_IGN);
	*out = n;
	return (0);
}

void
native_destroy(struct native *n)
{
	stop_child(n);
	munmap(n, sizeof(*n));
}

/* 1: the batch is done; 0: the child is dead or hangs. */
static bool
wait_child(struct native *n)
{
	struct timeval tv = { .tv_sec = 5 };
	fd_set fds;
	char c;

	FD_ZERO(&fds);
	FD_SET(n->from_child[0], &fds);
	if (select(n->from_child[0] + 1, &fds, NULL, NULL, &tv) != 1)
		return (false);
	return (read(n->from_child[0], &c, 1) == 1);
}

int
native_run(struct native *n, unsigned count)
{
	struct diff_result *res;
	char c = 0;
	int error;

	n->next = 0;
	while (n->next < count) {
		n->count = 0;
		if (n->pid == 0) {
			error = start_child(n);
			if (error != 0)
				return (error);
		}
		n->count = count;
		if (write(n->to_child[1], &c, 1) == 1 && wait_child(n))
			continue;
		/* It did not come back from the test that it had begun. */
		res = &n->results[n->next];
		res->died = true;
		snprintf(res->why, sizeof(res->why),
		    "the native child did not survive");
		stop_child(n);
		n->next++;
	}
	return (0);
}
