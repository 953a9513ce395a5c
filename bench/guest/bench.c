/* SPDX-License-Identifier: BSD-2-Clause */
/* What the measured programs share. */
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static struct timespec begin, end;
static const char *case_prefix, *case_name;

void
bench_begin(void)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
}

void
bench_end(void)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
}

void
bench_skip(const char *why)
{
	printf("%s%s skipped %s\n", case_prefix, case_name, why);
	(void)fflush(stdout);
	_exit(0);
}

void
bench_need(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		_exit(1);
	}
}

static uint64_t
walk(const char *dir, dev_t dev, bool remove_it)
{
	char path[4096];
	struct dirent *e;
	struct stat st;
	uint64_t n = 0;
	DIR *d = opendir(dir);

	bench_need(d != NULL, dir);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		bench_need(lstat(path, &st) == 0, path);
		n++;
		if (S_ISDIR(st.st_mode) && st.st_dev == dev) {
			n += walk(path, dev, remove_it);
			if (remove_it)
				(void)rmdir(path);
		} else if (remove_it)
			(void)unlink(path);
	}
	(void)closedir(d);
	return (n);
}

uint64_t
bench_walk(const char *top, bool remove_it)
{
	struct stat st;

	bench_need(stat(top, &st) == 0, top);
	return (walk(top, st.st_dev, remove_it));
}

void *
bench_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		bench_skip("no memory");
	return (p);
}

uint64_t
bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state);
}

uint64_t
bench_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len-- > 0)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return (hash);
}

static bool
wanted(const char *name, int argc, char *argv[])
{
	char full[64];

	if (argc < 2)
		return (true);
	(void)snprintf(full, sizeof(full), "%s%s", case_prefix, name);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], full) == 0)
			return (true);
	return (false);
}

static void
run(const struct bench_case *c)
{
	int64_t ns;
	uint64_t sum;

	sum = c->run();
	ns = (int64_t)(end.tv_sec - begin.tv_sec) * 1000000000 +
	    (end.tv_nsec - begin.tv_nsec);
	printf("%s%s %" PRId64 ".%09" PRId64 " %016" PRIx64 "\n", case_prefix,
	    c->name, ns / 1000000000, ns % 1000000000, sum);
	(void)fflush(stdout);
}

int
bench_main(int argc, char *argv[], const char *prefix,
    const struct bench_case *cases, size_t ncases)
{
	int status;
	pid_t pid;

	case_prefix = prefix;
	for (size_t i = 0; i < ncases; i++) {
		if (!wanted(cases[i].name, argc, argv))
			continue;
		case_name = cases[i].name;
		pid = fork();
		if (pid == 0) {
			run(&cases[i]);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			perror("fork");
			return (1);
		}
		if (WIFSIGNALED(status))
			printf("%s%s failed signal %d\n", prefix, case_name,
			    WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			printf("%s%s failed status %d\n", prefix, case_name,
			    WEXITSTATUS(status));
		(void)fflush(stdout);
	}
	return (0);
}
