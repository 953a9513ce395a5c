/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to virtio-blk from a hostile driver: any header, any buffers, any
 * ranges. Each comes back, with a status that exists unless there was no room
 * for one, and the image keeps its size.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "device/virtio/blk.h"
#include "fuzz.h"
#include "../unit/device/vrig.h"

extern const struct device_desc device_virtio_blk;

#define SIZE 65536u
#define BUFS 6u

static void
one(struct vrig *r, struct fuzz_in *in, uint64_t mem)
{
	uint8_t how = fuzz_u8(in), *p = vrig_ptr(r, mem);
	uint32_t type = how & 0x40 ? fuzz_u32(in) : how & 15;
	uint64_t sector = how & 0x80 ? fuzz_u64(in) : fuzz_u8(in);
	struct vrig_buf b[BUFS];
	unsigned i, n = 1 + fuzz_u8(in) % BUFS, reads = fuzz_u8(in) % BUFS;
	uint64_t writable = 0;
	uint8_t last;
	uint32_t len;

	memset(p, 0xee, 8192);
	memcpy(p, &type, 4);
	memcpy(p + 8, &sector, 8);
	for (i = 0; i < 64; i++)
		p[64 + i] = fuzz_u8(in);
	for (i = 0; i < n; i++) {
		last = fuzz_u8(in);
		/* A good request has 16 bytes, then sectors or ranges, then
		 * one byte. */
		b[i].gpa = mem + (i == 0 ? 0 : i + 1 == n ? 8191 : 64);
		b[i].len = i == 0 ? 16 : i + 1 == n ? 1 : 512u * (last % 8);
		if ((last & 0x80) != 0)
			b[i].len = last & 0x7fu;
		else if ((last & 0x40) != 0)
			b[i].len = 16;
		b[i].write = i + 1 == n ? (how & 0x20) == 0 : i > reads;
		if (b[i].gpa + b[i].len > mem + 8192)
			b[i].gpa = mem + 8192 - b[i].len;
		if (i > 0 && b[i - 1].write)
			b[i].write = true;
		writable += b[i].write ? b[i].len : 0;
	}
	last = b[n - 1].len > 0 ? 1 : 0;
	(void)vrig_add(r, 0, b, n, false);
	vrig_kick(r, 0);
	if (writable == 0) {
		/* No request: the device has to say so. */
		for (i = 0; (vrig_status(r) & VIRTIO_S_NEEDS_RESET) == 0; i++) {
			FUZZ_CHECK(i < 600000);
			usleep(100);
		}
		return;
	}
	(void)vrig_wait(r, 0, &len);
	FUZZ_CHECK(len <= writable);
	if (last != 0 && b[n - 1].write)
		FUZZ_CHECK(*(uint8_t *)vrig_ptr(
			       r, b[n - 1].gpa + b[n - 1].len - 1) <= 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_blk_hdr h = {VIRTIO_BLK_T_IN, 0, 0};
	struct fuzz_in in = {data, size};
	uint8_t how = fuzz_u8(&in);
	struct vrig_buf b[3];
	char opts[80];
	struct vrig r;
	struct stat st;
	uint64_t mem;
	int fd;

	log_set_level(LOG_ERROR);
	fd = memfd_create("disk", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0);
	(void)snprintf(opts, sizeof(opts),
	    "path=/proc/self/fd/%d,aio=threads%s%s", fd,
	    how & 1 ? ",ro=true" : "", how & 2 ? ",snapshot=true" : "");
	FUZZ_CHECK(vrig_create(&r, &device_virtio_blk, opts, true) == 0);
	mem = vrig_alloc(&r, 8192);
	vrig_start(&r, how & 4 ? ~0ull : ~VIRTIO_F_RING_PACKED, 1);
	while (in.left > 0 && (vrig_status(&r) & VIRTIO_S_NEEDS_RESET) == 0 &&
	       r.next < VRIG_MEMORY / 2)
		one(&r, &in, mem);
	/* Whatever it was, after a reset all is well. */
	vrig_start(&r, ~0ull, 1);
	memcpy(vrig_ptr(&r, mem), &h, sizeof(h));
	b[0] = (struct vrig_buf){mem, sizeof(h), false};
	b[1] = (struct vrig_buf){mem + 512, 512, true};
	b[2] = (struct vrig_buf){mem + 1024, 1, true};
	FUZZ_CHECK(vrig_do(&r, 0, b, 3) == 513);
	FUZZ_CHECK(*(uint8_t *)vrig_ptr(&r, mem + 1024) == VIRTIO_BLK_S_OK);
	vrig_destroy(&r);
	FUZZ_CHECK(fstat(fd, &st) == 0 && st.st_size == SIZE);
	close(fd);
	return (0);
}
