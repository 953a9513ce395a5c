/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_FILE_PRIV_H
#define LHYVE_BACKEND_BLOCK_FILE_PRIV_H

#include "backend/block/aio.h"
#include "backend/block/block_priv.h"

struct mevent;
struct file_op;

/* So many buffers of O_DIRECT are kept between requests. */
#define FILE_BOUNCES 8

struct file {
	struct block blk; /* first */
	int fd;
	int cached_fd; /* the same through the page cache; often fd itself */
	bool direct;   /* fd has O_DIRECT, which wants */
	uint32_t mem_align, off_align; /* these, powers of two */
	bool no_punch, no_zero;        /* forms of fallocate() that fail */
	struct aio *aio;
	struct file_op *ops, *free; /* AIO_DEPTH of them */
	struct block_req *waiting, **waiting_end;
	int timer_fd; /* to look at the size */
	struct mevent *timer_ev;
};

/* A struct file without any file. 0 or -ENOMEM. */
int file_create(struct file **out);
void file_destroy(struct block *b);
/* Bytes of a file or block device. 0 or -errno. */
int file_size(int fd, uint64_t *size);

#endif
