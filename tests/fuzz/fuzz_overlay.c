/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay's file, made by anybody, and requests to the disk. The first
 * byte says what is right about the file to begin with, so that more than the
 * header's sum is reached; the disk is compared with memory afterwards.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/block/overlay_map.h"
#include "base/mevent.h"
#include "fuzz.h"

#define SIZE    (65536u + 512)
#define SECTORS (SIZE / 512)
#define REQS    4

struct one {
	struct block_req req; /* first */
	struct iovec iov;
	uint8_t buf[16 * 512];
	int error;
	bool busy;
};

static void
on_done(struct block_req *req, int error)
{
	struct one *o = (struct one *)req;

	FUZZ_CHECK(o->busy);
	o->busy = false;
	o->error = error;
}

/* One round of requests that do not overlap. */
static void
go(struct block *b, struct fuzz_in *in, uint8_t *shadow)
{
	struct one o[REQS];
	uint64_t at = fuzz_u8(in) % SECTORS;
	unsigned i, n;

	memset(o, 0, sizeof(o));
	for (n = 0; n < REQS && at < SECTORS; n++) {
		o[n].req.op = (enum block_op)(fuzz_u8(in) % 5);
		o[n].req.off = at * 512;
		o[n].req.len = (uint64_t)(fuzz_u8(in) % 16 + 1) * 512;
		o[n].req.fua = in->left % 2 != 0;
		o[n].req.iov = &o[n].iov;
		o[n].req.niov = 1;
		if (at * 512 + o[n].req.len > SIZE)
			o[n].req.len = SIZE - at * 512;
		if (o[n].req.op == BLOCK_DISCARD)
			o[n].req.op = BLOCK_ZEROES;
		o[n].iov.iov_base = o[n].buf;
		o[n].iov.iov_len = o[n].req.len;
		memset(o[n].buf, (int)fuzz_u8(in), sizeof(o[n].buf));
		o[n].req.done = on_done;
		o[n].busy = true;
		at += o[n].req.len / 512 + fuzz_u8(in) % 8;
		block_submit(b, &o[n].req);
	}
	block_drain(b);
	for (i = 0; i < n; i++) {
		FUZZ_CHECK(!o[i].busy && o[i].error == 0);
		if (o[i].req.op == BLOCK_READ)
			FUZZ_CHECK(memcmp(o[i].buf, shadow + o[i].req.off,
				       o[i].req.len) == 0);
		else if (o[i].req.op == BLOCK_WRITE)
			memcpy(shadow + o[i].req.off, o[i].buf, o[i].req.len);
		else if (o[i].req.op == BLOCK_ZEROES)
			memset(shadow + o[i].req.off, 0, o[i].req.len);
	}
}

static void
read_all(struct block *b, uint8_t *buf)
{
	struct one o = {.busy = true};

	o.iov.iov_base = buf;
	o.iov.iov_len = SIZE;
	o.req = (struct block_req){.op = BLOCK_READ,
	    .len = SIZE,
	    .iov = &o.iov,
	    .niov = 1,
	    .done = on_done};
	block_submit(b, &o.req);
	block_drain(b);
	FUZZ_CHECK(!o.busy && o.error == 0);
}

/* The file: its beginning is the input's, or was right before. */
static void
make(int fd, struct fuzz_in *in)
{
	struct overlay_map map;
	struct block_error err;
	uint8_t how = fuzz_u8(in), part[64];
	unsigned i, n;

	if ((how & 1) != 0) {
		FUZZ_CHECK(overlay_map_open(
			       &map, fd, SIZE, "overlay", false, &err) == 0);
		overlay_map_fini(&map);
	}
	if ((how & 2) != 0) {
		/* Bits, of clusters that are holes, and beyond the last. */
		for (i = 0; i < 8; i++)
			part[i] = fuzz_u8(in);
		FUZZ_CHECK(pwrite(fd, part, 8, OVERLAY_BLOCK) == 8);
	}
	if ((how & 4) != 0) {
		n = fuzz_u8(in) % sizeof(part);
		for (i = 0; i < n; i++)
			part[i] = fuzz_u8(in);
		FUZZ_CHECK(pwrite(fd, part, n, fuzz_u8(in)) == (ssize_t)n);
	}
	if ((how & 8) != 0)
		FUZZ_CHECK(ftruncate(fd, fuzz_take(in, 3)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t shadow[SIZE], now[SIZE];
	struct fuzz_in in = {data, size};
	struct block_error err;
	struct block_config cfg = {.aio = BLOCK_AIO_THREADS};
	char base_path[32], over_path[32];
	struct block *b;
	int base, over;

	base = memfd_create("base", MFD_CLOEXEC);
	over = memfd_create("overlay", MFD_CLOEXEC);
	FUZZ_CHECK(base >= 0 && over >= 0);
	memset(shadow, 0x5a, SIZE);
	FUZZ_CHECK(pwrite(base, shadow, SIZE, 0) == SIZE);
	FUZZ_CHECK(mevent_loop_create(&cfg.loop) == 0);
	make(over, &in);
	(void)snprintf(base_path, sizeof(base_path), "/proc/self/fd/%d", base);
	(void)snprintf(over_path, sizeof(over_path), "/proc/self/fd/%d", over);
	cfg.path = base_path;
	cfg.overlay = over_path;
	if (block_open(&b, &cfg, &err) == 0) {
		read_all(b, shadow);
		while (in.left > 0)
			go(b, &in, shadow);
		block_close(b);
		/* It is there again. */
		FUZZ_CHECK(block_open(&b, &cfg, &err) == 0);
		read_all(b, now);
		FUZZ_CHECK(memcmp(now, shadow, SIZE) == 0);
		block_close(b);
	} else {
		FUZZ_CHECK(memchr(err.text, '\0', sizeof(err.text)) != NULL &&
			   err.text[0] != '\0');
	}
	mevent_loop_destroy(cfg.loop);
	close(base);
	close(over);
	return (0);
}
