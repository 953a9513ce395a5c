/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_UNIT_BACKEND_BLOCK_UTIL_H
#define LHYVE_TESTS_UNIT_BACKEND_BLOCK_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/block/block.h"

/* A disk, opened or not, and a directory for its files. */
struct disk {
	struct mevent_loop *loop;
	struct block *blk;
	struct block_config cfg;
	struct block_error err;
	char dir[64], base[96], over[96];
	unsigned batches, resizes;
};

void disk_setup(struct disk *d, const char *in_dir);
void disk_make(const char *path, uint64_t size, uint64_t seed);
/* The byte of disk_make() at `off`. */
uint8_t disk_byte(uint64_t seed, uint64_t off);
void disk_open(struct disk *d);
int disk_try(struct disk *d);
void disk_close(struct disk *d);
void disk_teardown(struct disk *d);

/* One request, waited for; returns what done() heard. */
int disk_io(
    struct disk *d, enum block_op op, uint64_t off, void *buf, size_t len);
int disk_fua(struct disk *d, uint64_t off, void *buf, size_t len);
int disk_zero(struct disk *d, uint64_t off, uint64_t len, bool unmap);
/* Requests at random, many at once, compared with memory. */
void disk_model(
    struct disk *d, uint8_t *shadow, uint64_t seed, unsigned rounds);
/* All of the disk is as in memory. */
void disk_compare(struct disk *d, const uint8_t *shadow);

#endif
