/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_OVERLAY_MAP_H
#define LHYVE_BACKEND_BLOCK_OVERLAY_MAP_H

#include "backend/block/block_priv.h"

/*
 * The file of an overlay (docs/overlay.md): a header, a bitmap with one bit
 * for each cluster of the disk, and the clusters, each at its own place in a
 * sparse file. A bit says that the cluster is here and not in the base.
 *
 *	0	header, 4096 bytes; numbers are little-endian
 *	4096	bitmap, 4096-byte blocks
 *	data	a multiple of 1 MiB
 *
 * A bit goes to the disk only after its cluster is there (fdatasync), and
 * never from 1 to 0: whatever part of a block of the bitmap is written when
 * the power fails, each bit in it is true.
 */
#define OVERLAY_BLOCK 4096u

struct overlay_map {
	uint64_t size;  /* of the disk, bytes */
	unsigned shift; /* of a cluster */
	uint64_t clusters;
	uint64_t data; /* where cluster 0 is in the file */
	uint64_t file_size;
	uint32_t blocks; /* of the bitmap */
	uint32_t ndirty;
	uint8_t *bits;
	uint8_t *dirty; /* one for each block: has bits that are not on disk */
};

/* Opens the file, or makes one of an empty file, for a base of `size` bytes.
 * It trusts nothing in it. The file's locks are the caller's affair. 0, or
 * -errno and *err says why. fini is for it in any state. */
int overlay_map_open(struct overlay_map *map, int fd, uint64_t size,
    const char *name, bool readonly, struct block_error *err);
/* A map that no file has. 0, -EFBIG or -ENOMEM. */
int overlay_map_scratch(struct overlay_map *map, uint64_t size);
void overlay_map_fini(struct overlay_map *map);

static inline bool
overlay_map_get(const struct overlay_map *map, uint64_t cluster)
{
	return ((map->bits[cluster / 8] >> (cluster % 8) & 1) != 0);
}
/* Clusters [first, end) are here. */
void overlay_map_set(struct overlay_map *map, uint64_t first, uint64_t end);
/* How many bytes from `off` on, at most `len`, are all here or all in the
 * base: *here says which. */
uint64_t overlay_map_run(
    const struct overlay_map *map, uint64_t off, uint64_t len, bool *here);

#endif
