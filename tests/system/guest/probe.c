/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program may ask of a processor and a kernel, and what shells do not
 * ask: floating point across signals and switches, faults that are handled,
 * code that writes code, threads. Built statically; run natively and in the
 * guest, where it has to say the same.
 *
 * Each check prints "name: ok", or what was wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static int failures;

static void
result(const char *name, bool ok)
{
	printf("%s: %s\n", name, ok ? "ok" : "FAILED");
	failures += !ok;
}

/* Faults: which signal came, with which code and address. */

static sigjmp_buf fault_env;
static volatile int fault_sig, fault_code;
static void *volatile fault_addr;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	fault_sig = sig;
	fault_code = si->si_code;
	fault_addr = si->si_addr;
	siglongjmp(fault_env, 1);
}

/* Runs `stmt`; true if it ended in this signal, code and address. */
#define FAULTS(stmt, sig, code, addr)                                          \
	(fault_sig = 0, sigsetjmp(fault_env, 1) == 0 ? (void)(stmt) : (void)0, \
	    fault_sig == (sig) && fault_code == (code) &&                      \
		((addr) == NULL || fault_addr == (addr)))

static void
divide(void)
{
	__asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax;"
			 "div %%ecx" ::
			     : "eax", "ecx", "edx", "cc");
}

static void
noncanonical(void)
{
	__asm__ volatile("movb $0, (%0)" ::"r"(0x8000000000000000ull)
			 : "memory");
}

static void
check_faults(void)
{
	static const int sigs[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
	struct sigaction sa = {
	    .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	volatile uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
	munmap((void *)(p + 4096), 4096);
	p[0] = 0xc3; /* ret */
	result("unmapped", FAULTS(p[4096] = 1, SIGSEGV, SEGV_MAPERR,
			       (void *)(p + 4096)));
	result("no-execute", FAULTS(((void (*)(void))(uintptr_t)p)(), SIGSEGV,
				 SEGV_ACCERR, (void *)p));
	mprotect((void *)p, 4096, PROT_READ);
	result("read-only",
	    FAULTS(p[9] = 1, SIGSEGV, SEGV_ACCERR, (void *)(p + 9)));
	/* The last 4 of 8 bytes are beyond the mapping. */
	result("straddle", FAULTS(*(volatile uint64_t *)(p + 4092), SIGSEGV,
			       SEGV_MAPERR, (void *)(p + 4096)));
	mprotect((void *)p, 4096, PROT_NONE);
	result(
	    "no access", FAULTS(p[7], SIGSEGV, SEGV_ACCERR, (void *)(p + 7)));
	result("kernel", FAULTS(*(volatile char *)0xffffffff81000000ull,
			     SIGSEGV, SEGV_MAPERR, NULL));
	result("non-canonical",
	    FAULTS(noncanonical(), SIGSEGV, SI_KERNEL, NULL));
	result("privileged",
	    FAULTS(({ __asm__ volatile("hlt"); }), SIGSEGV, SI_KERNEL, NULL));
	result("port", FAULTS(({ __asm__ volatile("outb %%al, $0x80" ::
							  : "memory"); }),
			   SIGSEGV, SI_KERNEL, NULL));
	result("divide", FAULTS(divide(), SIGFPE, FPE_INTDIV, NULL));
	result("undefined", FAULTS(({ __asm__ volatile("ud2"); }), SIGILL,
				ILL_ILLOPN, NULL));
	result("int3", FAULTS(({ __asm__ volatile("int3"); }), SIGTRAP,
			   SI_KERNEL, NULL));
	munmap((void *)p, 4096);
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		signal(sigs[i], SIG_DFL);
}

/* Single step: TF traps after each instruction. */

static volatile int steps;

static void
on_step(int sig)
{
	(void)sig;
	steps++;
}

static void
check_single_step(void)
{
	signal(SIGTRAP, on_step);
	steps = 0;
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq;"
			 "nop; nop; mov %%rax, %%rax; xor %%ecx, %%ecx;"
			 "pushfq; andq $~0x100, (%%rsp); popfq" ::
			     : "rcx", "cc", "memory");
	/* The instruction after the first popfq up to the last popfq. */
	result("single step", steps == 7);
	signal(SIGTRAP, SIG_DFL);
}

/* Code that is written, run, changed and run again. */

static void
check_code(void)
{
	uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int (*fn)(void) = (int (*)(void))(uintptr_t)p;
	long sum = 0;
	bool ok = true;

	for (int i = 0; i < 2000; i++) {
		p[0] = 0xb8; /* mov $i, %eax; ret */
		memcpy(p + 1, &i, 4);
		p[5] = 0xc3;
		sum += fn();
	}
	ok = sum == 1999l * 2000 / 2;
	result("written code", ok);

	/* An instruction that changes the next one: a processor does what
	 * was written, in the same block even.
	 *   movb $42, 1f+1(%rip); 1: mov $7, %eax; ret */
	static const uint8_t self[] = {0xc6, 0x05, 1, 0, 0, 0, 42, 0xb8, 7, 0,
	    0, 0, 0xc3};
	memcpy(p, self, sizeof(self));
	result("self-modifying code", fn() == 42);
	munmap(p, 4096);
}

/* Floating point: values, and that nobody else disturbs them. */

static volatile sig_atomic_t ticks;

static void
on_tick(int sig)
{
	(void)sig;
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7;"
			 "pxor %%xmm15, %%xmm15; fninit" ::
			     : "xmm0", "xmm7", "xmm15");
	ticks = ticks + 1;
}

static void
check_fp_in_signals(void)
{
	struct itimerval it = {{0, 5000}, {0, 5000}};
	uint64_t a[16], b[16];
	long double x;
	bool ok = true;

	for (int i = 0; i < 16; i++)
		a[i] = 0x0123456789abcdefull * (unsigned)(i + 1);
	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &it, NULL);
	while (ticks < 20) {
		memset(b, 0, sizeof(b));
		__asm__ volatile(
		    "fldpi; movups (%1), %%xmm0; movups 16(%1), %%xmm7;"
		    "movups 32(%1), %%xmm15; mov $200000, %%ecx;"
		    "1: dec %%ecx; jnz 1b;"
		    "movups %%xmm0, (%2); movups %%xmm7, 16(%2);"
		    "movups %%xmm15, 32(%2); fstpt %0"
		    : "=m"(x)
		    : "r"(a), "r"(b)
		    : "ecx", "xmm0", "xmm7", "xmm15", "memory", "cc");
		ok &= memcmp(a, b, 48) == 0;
		ok &= x == 3.14159265358979323851280895940618620443L;
	}
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	result("vectors and x87 across signals", ok);
}

/* The upper halves of the registers, where the processor has them. */
static void
check_avx(void)
{
	struct itimerval it = {{0, 5000}, {0, 5000}};
	uint64_t a[8], b[8];
	bool ok = true;

	for (int i = 0; i < 8; i++)
		a[i] = 0xfedcba9876543210ull * (unsigned)(i + 1);
	ticks = 0;
	setitimer(ITIMER_REAL, &it, NULL);
	while (__builtin_cpu_supports("avx") && ticks < 20) {
		memset(b, 0, sizeof(b));
		__asm__ volatile(
		    "vmovups (%0), %%ymm1; vmovups 32(%0), %%ymm14;"
		    "mov $200000, %%ecx; 1: dec %%ecx; jnz 1b;"
		    "vmovups %%ymm1, (%1); vmovups %%ymm14, 32(%1);"
		    "vzeroupper" ::"r"(a),
		    "r"(b)
		    : "ecx", "xmm1", "xmm14", "memory", "cc");
		ok &= memcmp(a, b, sizeof(a)) == 0;
	}
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	result("upper halves across signals", ok);
}

static void
print_fp(void)
{
	volatile double d = 0.1, zero = 0.0;
	volatile float f = 0.1f;
	volatile long double l = 0.1L;
	double sum = 0;

	printf("%a %a %La\n", d * 3, (double)(f * 3), l * 3);
	printf("%a %a %a\n", 1 / zero, -1 / zero, sqrt(d));
	printf("%d %d\n", (int)signbit(zero / zero), (int)isnan(zero / zero));
	/* The library takes another way where there is FMA. */
	printf("%.14g %.14g %.14g\n", sin(d), exp(d), pow(d, d));
	printf("%La %La %La\n", sinl(l), expl(l), atan2l(l, 3));
	for (int i = 1; i < 100000; i++)
		sum += 1.0 / ((double)i * i);
	printf("%a\n", sum);
	d = 1e-310; /* denormal */
	printf("%a %a\n", d / 3, d * 1e300);
	printf("%lld %d\n", (long long)(volatile double){-1.5e18},
	    (int)(volatile float){2.5f});
}

/* Threads, their own storage, and locked instructions. */

static _Thread_local long own;
static long shared, locked;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *
worker(void *arg)
{
	volatile double x = (double)(intptr_t)arg;

	for (int i = 0; i < 20000; i++) {
		own++;
		__atomic_fetch_add(&locked, 1, __ATOMIC_SEQ_CST);
		if (i % 16 == 0) {
			pthread_mutex_lock(&mutex);
			shared++;
			pthread_mutex_unlock(&mutex);
		}
		x += 0.5;
	}
	return ((void *)(intptr_t)(own == 20000 &&
	    x == (double)(intptr_t)arg + 10000));
}

static void
check_threads(void)
{
	pthread_t t[8];
	bool ok = true;
	void *ret;

	for (intptr_t i = 0; i < 8; i++)
		ok &= pthread_create(&t[i], NULL, worker, (void *)i) == 0;
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		ok &= ret != NULL;
	}
	result("threads", ok && shared == 8 * 1250 && locked == 8 * 20000);
}

/* Processes: memory that is copied when written. */

static void
check_fork(void)
{
	volatile char *p = malloc(1 << 20);
	bool ok = true;
	int status;

	memset((void *)p, 1, 1 << 20);
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int j = 0; j < 1 << 20; j += 4096)
				p[j] = (char)(i + 2);
			_exit(p[4096 * (i % 256)] == (char)(i + 2) ? 7 : 8);
		}
		ok &= waitpid(pid, &status, 0) == pid;
		ok &= WIFEXITED(status) && WEXITSTATUS(status) == 7;
		ok &= p[4096 * i] == 1;
	}
	result("fork", ok);
}

static void
check_time(void)
{
	struct timespec a, b, d = {0, 20000000};
	bool ok = true;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 100000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		ok &= b.tv_sec > a.tv_sec ||
		    (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec);
		a = b;
	}
	nanosleep(&d, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ok &= (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >=
	    20000000;
	result("time goes forward", ok);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_faults();
	check_single_step();
	check_code();
	print_fp();
	check_fp_in_signals();
	check_avx();
	check_threads();
	check_fork();
	check_time();
	printf("%d failed\n", failures);
	return (failures != 0);
}
