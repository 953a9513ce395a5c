/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes records to a file or disk, flushes, and says on its output what the
 * flush has acknowledged, until it is killed with its machine.
 *
 *	acks FILE SLOTS		writes; "ack FILE N" when all up to N are there
 *	acks FILE SLOTS N	exit status 0 if all up to N are there
 *
 * Record n goes to slot (n * 7919) % SLOTS; a slot has 4096 bytes, all of
 * them made from n. A later record in the same slot is as good.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT 4096
#define BATCH 8

static void
fill(uint64_t *p, uint64_t n)
{
	for (unsigned i = 0; i < SLOT / 8; i++)
		p[i] = n * 0x9e3779b97f4a7c15ull + i;
	p[0] = n;
}

static int
check(int fd, uint64_t slots, uint64_t last)
{
	static uint64_t got[SLOT / 8], want[SLOT / 8];
	uint64_t from = last > slots ? last - slots : 0, n;
	off_t at;

	/* Of each slot, the last record that it must have. */
	for (n = from + 1; n <= last; n++) {
		at = (off_t)(n * 7919 % slots * SLOT);
		if (pread(fd, got, SLOT, at) != SLOT) {
			printf("record %llu: cannot be read\n",
			    (unsigned long long)n);
			return (1);
		}
		fill(want, got[0]);
		if (got[0] < n || got[0] * 7919 % slots != n * 7919 % slots ||
		    memcmp(got, want, SLOT) != 0) {
			printf("record %llu is lost: %llu\n",
			    (unsigned long long)n, (unsigned long long)got[0]);
			return (1);
		}
	}
	printf("all there: %llu\n", (unsigned long long)last);
	return (0);
}

int
main(int argc, char **argv)
{
	static uint64_t buf[SLOT / 8] __attribute__((aligned(SLOT)));
	uint64_t slots, n = 0;
	int fd;

	if (argc < 3)
		return (2);
	slots = strtoull(argv[2], NULL, 0);
	fd = open(argv[1], argc > 3 ? O_RDONLY : O_RDWR | O_CREAT, 0600);
	if (fd < 0 || slots == 0)
		return (2);
	if (argc > 3)
		return (check(fd, slots, strtoull(argv[3], NULL, 0)));
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		do {
			fill(buf, ++n);
			if (pwrite(fd, buf, SLOT,
				(off_t)(n * 7919 % slots * SLOT)) != SLOT)
				return (3);
		} while (n % BATCH != 0);
		if (fdatasync(fd) != 0)
			return (3);
		printf("ack %s %llu\n", argv[1], (unsigned long long)n);
	}
}
