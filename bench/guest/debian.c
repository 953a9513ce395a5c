/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs of a Debian system on a disk image, which bench/guest/debian has
 * mounted at $BENCH_DEBIAN.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const char *
top(void)
{
	const char *dir = getenv("BENCH_DEBIAN");

	if (dir == NULL)
		bench_skip("no Debian image");
	return (dir);
}

/* The file system was mounted a moment ago: nothing of it is in memory. */
static uint64_t
find_disk(void)
{
	const char *dir = top();
	uint64_t n;

	bench_begin();
	n = bench_walk(dir, false);
	bench_end();
	return (n);
}

/* Runs it to its end, /tmp being the directory and /tmp/out its output. */
static void
command(char *const argv[])
{
	int status, fd;
	pid_t pid = fork();

	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		bench_need(chroot(top()) == 0, top());
		bench_need(chdir("/tmp") == 0, "/tmp");
		fd = open("out", O_CREAT | O_TRUNC | O_WRONLY, 0600);
		bench_need(fd >= 0 && dup2(fd, 1) == 1, "out");
		(void)execv(argv[0], argv);
		bench_need(0, argv[0]);
	}
	bench_need(waitpid(pid, &status, 0) == pid, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		_exit(1);
}

static uint64_t
hash_file(const char *name)
{
	char path[600];
	uint8_t buf[4096];
	uint64_t hash = BENCH_HASH;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/tmp/%s", top(), name);
	fd = open(path, O_RDONLY);
	bench_need(fd >= 0, path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		hash = bench_hash(hash, buf, (size_t)n);
	(void)close(fd);
	return (hash);
}

static char *const gcc[] = { "/usr/bin/gcc", "-O2", "-D_GNU_SOURCE", "-c",
	"kernels.c", "-o", "kernels.o", NULL };
static char *const luajit[] = { "/usr/bin/luajit", "bench.lua", NULL };
static char *const node[] = { "/usr/bin/node", "bench.js", NULL };

static uint64_t
timed(char *const argv[], const char *out)
{
	(void)top();
	bench_begin();
	command(argv);
	bench_end();
	return (hash_file(out));
}

/* From the disk. */
static uint64_t
gcc_first(void)
{
	return (timed(gcc, "kernels.o"));
}

static uint64_t
gcc_again(void)
{
	return (timed(gcc, "kernels.o"));
}

static uint64_t
luajit_(void)
{
	return (timed(luajit, "out"));
}

static uint64_t
node_(void)
{
	return (timed(node, "out"));
}

static const struct bench_case cases[] = {
	{ "find-disk", find_disk },
	{ "gcc-first", gcc_first },
	{ "gcc-again", gcc_again },
	{ "luajit", luajit_ },
	{ "node", node_ },
};

int
main(int argc, char *argv[])
{
	return (bench_main(argc, argv, "", cases,
	    sizeof(cases) / sizeof(cases[0])));
}
