/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel does for its programs: system calls, processes, mappings,
 * signals, files. Files are made below the directory $BENCH_TMP, a tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096

/* ---- calls ---- */

static uint64_t
getppid_(void)
{
	uint64_t n = 0;

	bench_begin();
	for (int i = 0; i < 500000; i++)
		n += syscall(SYS_getppid) > 0;
	bench_end();
	return (n);
}

/* Answered by the vDSO, from the TSC or whatever clock the guest trusts. */
static uint64_t
clock_gettime_(void)
{
	struct timespec a = { 0, 0 }, b;
	uint64_t n = 0;

	bench_begin();
	for (int i = 0; i < 1000000; i++) {
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		n += b.tv_sec > a.tv_sec ||
		    (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec);
		a = b;
	}
	bench_end();
	return (n);
}

static volatile sig_atomic_t signals;

static void
on_signal(int sig)
{
	(void)sig;
	signals++;
}

static uint64_t
signal_(void)
{
	pid_t pid = getpid();

	bench_need(signal(SIGUSR1, on_signal) != SIG_ERR, "signal");
	bench_begin();
	for (int i = 0; i < 100000; i++)
		(void)kill(pid, SIGUSR1);
	bench_end();
	return ((uint64_t)signals);
}

/* ---- processes and threads ---- */

static uint64_t
pipe_pingpong(void)
{
	int to[2], from[2], n = 20000;
	uint64_t sum = 0;
	uint8_t c = 0;
	pid_t pid;

	bench_need(pipe(to) == 0 && pipe(from) == 0, "pipe");
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		(void)close(to[1]);
		while (read(to[0], &c, 1) == 1) {
			c++;
			if (write(from[1], &c, 1) != 1)
				break;
		}
		_exit(0);
	}
	bench_begin();
	for (int i = 0; i < n; i++) {
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			break;
		sum += c;
	}
	bench_end();
	(void)close(to[1]);
	(void)waitpid(pid, NULL, 0);
	return (sum);
}

static uint64_t
children(int n, char *const argv[])
{
	uint64_t sum = 0;
	int status;
	pid_t pid;

	bench_begin();
	for (int i = 0; i < n; i++) {
		pid = fork();
		if (pid == 0) {
			if (argv != NULL)
				(void)execv("/proc/self/exe", argv);
			_exit(argv != NULL ? 255 : i & 0x7f);
		}
		bench_need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
		sum += (uint64_t)WEXITSTATUS(status);
	}
	bench_end();
	return (sum);
}

static uint64_t
fork_wait(void)
{
	return (children(1500, NULL));
}

/* A process with 32 MiB of its own: page tables to copy and to tear down. */
static uint64_t
fork_wait_32m(void)
{
	volatile uint8_t *p = bench_alloc(32u << 20);
	uint64_t sum = 0;

	(void)madvise((void *)p, 32u << 20, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 32u << 20; i += PAGE)
		p[i] = 1;
	sum = children(100, NULL);
	return (sum + p[PAGE]);
}

static uint64_t
fork_exec(void)
{
	char *const argv[] = { "system", "--true", NULL };

	return (children(500, argv));
}

static uint64_t
yield(void)
{
	int n = 50000, status = 0;
	cpu_set_t set;
	pid_t pid;

	/* Two processes on one processor change places at each yield. */
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		for (int i = 0; i < n; i++)
			(void)sched_yield();
		_exit(7);
	}
	bench_begin();
	for (int i = 0; i < n; i++)
		(void)sched_yield();
	(void)waitpid(pid, &status, 0);
	bench_end();
	return ((uint64_t)WEXITSTATUS(status));
}

static _Atomic uint32_t turn;
#define TURNS 30000

static void
take_turns(uint32_t me)
{
	uint32_t t;

	for (int i = 0; i < TURNS; i++) {
		while (((t = atomic_load(&turn)) & 1) != me)
			(void)syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, t,
			    NULL, NULL, 0);
		atomic_store(&turn, t + 1);
		(void)syscall(
		    SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *
other_thread(void *arg)
{
	(void)arg;
	take_turns(1);
	return (NULL);
}

static uint64_t
futex_pingpong(void)
{
	pthread_t thread;

	bench_need(pthread_create(&thread, NULL, other_thread, NULL) == 0,
	    "pthread_create");
	bench_begin();
	take_turns(0);
	(void)pthread_join(thread, NULL);
	bench_end();
	return (turn);
}

static void *
no_thread(void *arg)
{
	return (arg);
}

static uint64_t
thread_create(void)
{
	pthread_t thread;
	uint64_t n = 0;

	bench_begin();
	for (int i = 0; i < 5000; i++)
		if (pthread_create(&thread, NULL, no_thread, NULL) == 0)
			n += pthread_join(thread, NULL) == 0;
	bench_end();
	return (n);
}

/* ---- mappings ---- */

static uint64_t
mmap_touch(void)
{
	size_t size = 64 * PAGE;
	uint64_t sum = 0;

	bench_begin();
	for (int i = 0; i < 2000; i++) {
		volatile uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		bench_need(p != MAP_FAILED, "mmap");
		for (size_t o = 0; o < size; o += PAGE)
			p[o] = (uint8_t)o + 1;
		sum += p[PAGE];
		(void)munmap((void *)p, size);
	}
	bench_end();
	return (sum);
}

/* Faults on one large mapping: in order, small pages. */
static uint64_t
page_fault(void)
{
	size_t size = 64u << 20;
	volatile uint8_t *p;
	uint64_t sum = 0;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_need(p != MAP_FAILED, "mmap");
	(void)madvise((void *)p, size, MADV_NOHUGEPAGE);
	bench_begin();
	for (int i = 0; i < 4; i++) {
		for (size_t o = 0; o < size; o += PAGE)
			p[o] = 1;
		sum += p[size - PAGE];
		(void)madvise((void *)p, size, MADV_DONTNEED);
	}
	bench_end();
	return (sum);
}

static volatile uint8_t *protected_page;

static void
on_fault(int sig)
{
	(void)sig;
	(void)mprotect((void *)protected_page, PAGE, PROT_READ | PROT_WRITE);
}

/* Faults that the program handles itself, as garbage collectors do. */
static uint64_t
fault_signal(void)
{
	uint64_t sum = 0;

	protected_page = bench_alloc(PAGE);
	bench_need(signal(SIGSEGV, on_fault) != SIG_ERR, "signal");
	bench_begin();
	for (int i = 0; i < 30000; i++) {
		(void)mprotect((void *)protected_page, PAGE, PROT_READ);
		protected_page[0] = (uint8_t)i;
		sum += protected_page[0];
	}
	bench_end();
	return (sum);
}

/* ---- files ---- */

static char dir[512];

static void
make_dir(void)
{
	const char *tmp = getenv("BENCH_TMP");

	(void)snprintf(dir, sizeof(dir), "%s/lhyve-bench-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	bench_need(mkdtemp(dir) != NULL, dir);
}

static uint64_t
file_create(void)
{
	char path[600];
	uint64_t sum = 0;
	int fd;

	make_dir();
	bench_begin();
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(path, sizeof(path), "%s/f%d", dir, i & 63);
		fd = open(path, O_CREAT | O_RDWR | O_EXCL, 0600);
		bench_need(fd >= 0, path);
		sum += write(fd, path, 100) == 100;
		(void)close(fd);
		sum += unlink(path) == 0;
	}
	bench_end();
	(void)rmdir(dir);
	return (sum);
}

static uint64_t
file_read(void)
{
	size_t size = 4u << 20, n = 0;
	static uint8_t buf[16384];
	char path[600];
	int fd;

	make_dir();
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	bench_need(fd >= 0, path);
	for (size_t i = 0; i < size; i += sizeof(buf))
		bench_need(write(fd, buf, sizeof(buf)) == sizeof(buf), "write");
	bench_begin();
	for (int round = 0; round < 100; round++)
		for (size_t i = 0; i < size; i += sizeof(buf))
			n += pread(fd, buf, sizeof(buf), (off_t)i) ==
			    sizeof(buf);
	bench_end();
	(void)close(fd);
	(void)unlink(path);
	(void)rmdir(dir);
	return (n);
}

static uint64_t
find(void)
{
	char path[600];
	uint64_t n = 0;
	int fd;

	make_dir();
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(path, sizeof(path), "%s/d%d", dir, i / 30);
		if (i % 30 == 0)
			bench_need(mkdir(path, 0700) == 0, path);
		(void)snprintf(path, sizeof(path), "%s/d%d/file%d", dir, i / 30,
		    i);
		fd = open(path, O_CREAT | O_RDWR, 0600);
		bench_need(fd >= 0, path);
		(void)close(fd);
	}
	bench_begin();
	for (int i = 0; i < 20; i++)
		n += bench_walk(dir, false);
	bench_end();
	(void)bench_walk(dir, true);
	(void)rmdir(dir);
	return (n);
}

static const struct bench_case cases[] = {
	{ "getppid", getppid_ },
	{ "clock_gettime", clock_gettime_ },
	{ "pipe-pingpong", pipe_pingpong },
	{ "fork-wait", fork_wait },
	{ "fork-wait-32m", fork_wait_32m },
	{ "fork-exec", fork_exec },
	{ "thread-create", thread_create },
	{ "sched-yield", yield },
	{ "futex-pingpong", futex_pingpong },
	{ "signal", signal_ },
	{ "mmap-touch", mmap_touch },
	{ "page-fault", page_fault },
	{ "fault-signal", fault_signal },
	{ "file-create", file_create },
	{ "file-read", file_read },
	{ "find", find },
};

int
main(int argc, char *argv[])
{
	if (argc == 2 && strcmp(argv[1], "--true") == 0)
		return (0);
	return (bench_main(argc, argv, "", cases,
	    sizeof(cases) / sizeof(cases[0])));
}
