/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of 4 KiB to a disk, past the guest's page cache, in every
 * combination of order, direction and queue depth:
 *
 *	io DISK SECONDS
 *
 * One line each: "io NAME REQUESTS-A-SECOND REQUESTS", after "io begin".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define DEPTH 32

static uint64_t blocks;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static uint64_t
next(int random)
{
	static uint64_t seq, s = 1;

	if (!random)
		return (seq++ % blocks);
	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (s % blocks);
}

static void
submit(aio_context_t ctx, struct iocb *cb, int random)
{
	cb->aio_offset = (int64_t)(next(random) * BLOCK);
	if (syscall(SYS_io_submit, ctx, 1, &cb) != 1) {
		perror("io_submit");
		exit(1);
	}
}

static void
run(int fd, int random, int write, unsigned depth, double seconds)
{
	static char buf[DEPTH][BLOCK] __attribute__((aligned(BLOCK)));
	struct io_event ev[DEPTH];
	struct iocb cb[DEPTH];
	aio_context_t ctx = 0;
	uint64_t done = 0;
	double start, end;
	long i, n;

	if (syscall(SYS_io_setup, DEPTH, &ctx) != 0) {
		perror("io_setup");
		exit(1);
	}
	start = now();
	memset(cb, 0, sizeof(cb));
	for (i = 0; i < (long)depth; i++) {
		cb[i].aio_fildes = (uint32_t)fd;
		cb[i].aio_lio_opcode =
		    write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		cb[i].aio_buf = (uint64_t)(uintptr_t)buf[i];
		cb[i].aio_nbytes = BLOCK;
		submit(ctx, &cb[i], random);
	}
	for (;;) {
		n = syscall(SYS_io_getevents, ctx, 1, depth, ev, NULL);
		for (i = 0; i < n; i++)
			if (ev[i].res != BLOCK) {
				printf("io error %lld\n", (long long)ev[i].res);
				exit(1);
			}
		done += (uint64_t)n;
		end = now();
		if (end - start >= seconds)
			break;
		for (i = 0; i < n; i++)
			submit(ctx, (struct iocb *)(uintptr_t)ev[i].obj,
			    random);
	}
	syscall(SYS_io_destroy, ctx);
	printf("io %s-%s-qd%u %.0f %llu\n", random ? "rand" : "seq",
	    write ? "write" : "read", depth, (double)done / (end - start),
	    (unsigned long long)done);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	uint64_t size;
	double seconds;
	unsigned i;
	int fd;

	if (argc != 3)
		return (2);
	seconds = atof(argv[2]);
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) != 0) {
		perror(argv[1]);
		return (1);
	}
	blocks = size / BLOCK;
	printf("io begin\n");
	fflush(stdout);
	for (i = 0; i < 8; i++)
		run(fd, i & 1, i >> 1 & 1, i >> 2 ? DEPTH : 1, seconds);
	return (0);
}
