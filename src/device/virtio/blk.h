/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_BLK_H
#define LHYVE_DEVICE_VIRTIO_BLK_H

#include <stdatomic.h>

#include "backend/block/block.h"
#include "device/virtio/virtio.h"

/* VIRTIO 5.2.3 */
#define VIRTIO_BLK_F_SEG_MAX      (1ull << 2)
#define VIRTIO_BLK_F_RO           (1ull << 5)
#define VIRTIO_BLK_F_BLK_SIZE     (1ull << 6)
#define VIRTIO_BLK_F_FLUSH        (1ull << 9)
#define VIRTIO_BLK_F_TOPOLOGY     (1ull << 10)
#define VIRTIO_BLK_F_CONFIG_WCE   (1ull << 11)
#define VIRTIO_BLK_F_MQ           (1ull << 12)
#define VIRTIO_BLK_F_DISCARD      (1ull << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ull << 14)

/* VIRTIO 5.2.6; those of the legacy interface that drivers still send. */
#define VIRTIO_BLK_T_IN           0u
#define VIRTIO_BLK_T_OUT          1u
#define VIRTIO_BLK_T_FLUSH        4u
#define VIRTIO_BLK_T_FLUSH_OUT    5u
#define VIRTIO_BLK_T_GET_ID       8u
#define VIRTIO_BLK_T_DISCARD      11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u
#define VIRTIO_BLK_T_BARRIER      0x80000000u

#define VIRTIO_BLK_S_OK     0u
#define VIRTIO_BLK_S_IOERR  1u
#define VIRTIO_BLK_S_UNSUPP 2u

#define VIRTIO_BLK_ID_BYTES    20u
#define VIRTIO_BLK_RANGE_UNMAP 1u

struct virtio_blk_hdr {
	uint32_t type, reserved;
	uint64_t sector;
};

struct virtio_blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* VIRTIO 5.2.4; sectors of 512 bytes. */
struct virtio_blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct virtio_blk_config) == 60, "VIRTIO 5.2.4");
#define VIRTIO_BLK_C_WRITEBACK                                                 \
	((unsigned)offsetof(struct virtio_blk_config, writeback))

#define VBLK_QUEUES     16u
#define VBLK_QUEUE_SIZE 256u
#define VBLK_SEGS       254u /* of data, in a request */
#define VBLK_REQS       256u /* at once, of all queues */
/* How long requests are gathered: without a new one, and in all; how often
 * that is tried; what is several. */
#define VBLK_GATHER_NS        150000
#define VBLK_GATHER_ROUNDS    16u
#define VBLK_GATHER_EVERY_MIN 16u
#define VBLK_GATHER_EVERY_MAX 256u
#define VBLK_GATHER_SEVERAL   3u
#define VBLK_GATHER_DEEP_MAX  4u
#define VBLK_RANGES           16u
#define VBLK_RANGE_SECTORS    (1u << 21) /* 1 GiB */

struct vblk;

/* What one request is doing. */
struct vblk_req {
	struct block_req io; /* first */
	struct vblk *blk;
	struct virtq_chain *chain;
	uint8_t *status;
	uint32_t written;
	unsigned range, nranges; /* of a discard or zeroes: done, in all */
	struct virtio_blk_range ranges[VBLK_RANGES];
	struct vblk_req *next;
};

struct vblk {
	struct virtio_dev *vd;
	struct iothread *thread;
	struct block *disk;
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	_Atomic uint8_t writeback; /* as the driver sets it; any thread */
	uint8_t has_flush;         /* negotiated */
	/* Queues, a bit each. */
	uint64_t pending; /* to be looked at */
	uint64_t starved; /* wait for a free request */
	uint64_t dirty;   /* have chains that the guest does not see yet */
	bool working;
	/* See blk_tick(). */
	uint64_t gather; /* queues whose requests are gathered */
	struct vblk_gather {
		uint32_t taken;  /* requests since the last flush */
		uint32_t rounds; /* ticks since then */
		uint32_t depth;  /* how many there were at most */
		uint32_t full;   /* flushes that had these */
		uint32_t probe;  /* requests until it is tried */
		uint32_t every;  /* so many */
		uint32_t deep; /* times that there were several, less others */
	} g[VBLK_QUEUES];
	int timer_fd;
	struct mevent *timer_ev;
	bool ticking; /* it will be readable */
	struct vblk_req *free, reqs[VBLK_REQS];
};

/* blk_opts.c */
extern const struct config_var vblk_opts[];
/* Reads the device's options. 0 or -errno with conf->err. */
int vblk_options(struct vblk *b, const struct device_conf *conf,
    struct block_config *cfg, unsigned *queues);

#endif
