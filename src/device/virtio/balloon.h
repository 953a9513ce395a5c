/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_BALLOON_H
#define LHYVE_DEVICE_VIRTIO_BALLOON_H

#include <stdint.h>

struct virtio_dev;

#define BALLOON_PAGE 4096u /* VIRTIO 5.5: whatever the guest's pages are */

/* What the guest tells of its memory (VIRTIO 5.5.6.3), by tag; bytes, or
 * counts since it started. ~0: it has not said. */
enum balloon_stat {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJFLT,
	BALLOON_MINFLT,
	BALLOON_MEMFREE,
	BALLOON_MEMTOT,
	BALLOON_AVAIL,
	BALLOON_CACHES,
	BALLOON_HTLB_ALLOC,
	BALLOON_HTLB_FAIL,
	BALLOON_NSTATS
};

/* How much memory the guest is asked to do without, in bytes (rounded down to
 * pages), for a device that device_virtio_balloon describes. Any thread. */
void balloon_set_target(struct virtio_dev *vd, uint64_t bytes);
/* How much it says that it has given up. Any thread. */
uint64_t balloon_actual(struct virtio_dev *vd);
void balloon_stats(struct virtio_dev *vd, uint64_t stats[BALLOON_NSTATS]);
/* Bytes that went back to the host, by inflating and by reports, so far. */
uint64_t balloon_returned(struct virtio_dev *vd);

#endif
