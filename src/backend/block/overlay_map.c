/* SPDX-License-Identifier: BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/overlay_map.h"

#define MAGIC       "lhyve overlay\n\0"
#define VERSION     1u
#define DATA_ALIGN  (UINT64_C(1) << 20)
#define SHIFT_SMALL 12u /* 4 KiB: what a guest's file systems write */
#define SHIFT_LARGE 16u
#define SMALL_MAX   (UINT64_C(1) << 40)
#define SIZE_LIMIT  (UINT64_C(1) << 46) /* 128 MiB of bitmap */

/* The first bytes of the file. */
struct header {
	char magic[16];
	uint32_t version;
	uint32_t shift;
	uint64_t size;
	uint32_t sum; /* Adler's, of the bytes before */
	uint8_t zero[OVERLAY_BLOCK - 36];
} __attribute__((packed));
_Static_assert(sizeof(struct header) == OVERLAY_BLOCK, "one block");

static uint32_t
adler32(const uint8_t *p, size_t n)
{
	uint32_t a = 1, b = 0;

	for (; n > 0; n--) {
		a = (a + *p++) % 65521;
		b = (b + a) % 65521;
	}
	return (b << 16 | a);
}

static int
map_layout(struct overlay_map *map, uint64_t size, unsigned shift)
{
	uint64_t bytes;

	map->size = size;
	map->shift = shift;
	map->clusters = (size + (UINT64_C(1) << shift) - 1) >> shift;
	bytes = (map->clusters + 7) / 8;
	map->blocks = (uint32_t)((bytes + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK);
	map->data = OVERLAY_BLOCK + (uint64_t)map->blocks * OVERLAY_BLOCK;
	map->data = (map->data + DATA_ALIGN - 1) & ~(DATA_ALIGN - 1);
	map->file_size = map->data + (map->clusters << shift);
	/* Not less than one byte, or NULL would be no error. */
	map->bits = calloc(map->blocks + 1, OVERLAY_BLOCK);
	map->dirty = calloc(map->blocks + 1, 1);
	return (map->bits == NULL || map->dirty == NULL ? -ENOMEM : 0);
}

int
overlay_map_scratch(struct overlay_map *map, uint64_t size)
{
	memset(map, 0, sizeof(*map));
	if (size > SIZE_LIMIT)
		return (-EFBIG);
	return (map_layout(
	    map, size, size <= SMALL_MAX ? SHIFT_SMALL : SHIFT_LARGE));
}

/* The header goes last: a file that has it is complete. */
static int
map_create(struct overlay_map *map, int fd, uint64_t size)
{
	struct header h = {.magic = MAGIC};
	unsigned shift = size <= SMALL_MAX ? SHIFT_SMALL : SHIFT_LARGE;
	int error;

	error = map_layout(map, size, shift);
	if (error != 0)
		return (error);
	h.version = htole32(VERSION);
	h.shift = htole32(shift);
	h.size = htole64(size);
	h.sum =
	    htole32(adler32((const uint8_t *)&h, offsetof(struct header, sum)));
	if (ftruncate(fd, (off_t)map->file_size) != 0 || fsync(fd) != 0)
		return (-errno);
	errno = EIO;
	if (pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) ||
	    fsync(fd) != 0)
		return (-errno);
	return (0);
}

/* Reads the bitmap; what is a hole in it stays one in memory. */
static int
map_load(struct overlay_map *map, int fd)
{
	uint64_t end = OVERLAY_BLOCK + (uint64_t)map->blocks * OVERLAY_BLOCK;
	uint64_t off = OVERLAY_BLOCK;
	size_t part;
	ssize_t n;
	off_t next;

	while (off < end) {
		next = lseek(fd, (off_t)off, SEEK_DATA);
		if (next < 0 && errno == ENXIO)
			break;
		if (next > (off_t)off)
			off = (uint64_t)next;
		if (off >= end)
			break;
		part = end - off < 65536 ? (size_t)(end - off) : 65536;
		n = pread(
		    fd, map->bits + (off - OVERLAY_BLOCK), part, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (n < 0 ? -errno : -EIO);
		off += (uint64_t)n;
	}
	return (0);
}

static bool
header_ok(const struct header *h)
{
	return (memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 &&
		le32toh(h->sum) ==
		    adler32((const uint8_t *)h, offsetof(struct header, sum)));
}

int
overlay_map_open(struct overlay_map *map, int fd, uint64_t size,
    const char *name, bool readonly, struct block_error *err)
{
	struct header h;
	uint32_t shift;
	off_t have;
	ssize_t n;
	int error;

	memset(map, 0, sizeof(*map));
	if (size > SIZE_LIMIT)
		return (block_fail(err, -EFBIG,
		    "%s: the base is too large for an overlay", name));
	have = lseek(fd, 0, SEEK_END);
	if (have == 0 && !readonly) {
		error = map_create(map, fd, size);
		if (error != 0)
			return (block_fail(err, error,
			    "%s: cannot be made an overlay: %s", name,
			    strerror(-error)));
		return (0);
	}
	n = pread(fd, &h, sizeof(h), 0);
	if (n != (ssize_t)sizeof(h) || !header_ok(&h))
		return (block_fail(err, -EINVAL,
		    "%s: not an overlay; remove it, or use another file",
		    name));
	shift = le32toh(h.shift);
	if (le32toh(h.version) != VERSION ||
	    (shift != SHIFT_SMALL && shift != SHIFT_LARGE) ||
	    (shift == SHIFT_SMALL && size > SMALL_MAX))
		return (block_fail(err, -EINVAL,
		    "%s: an overlay of another version of lhyve", name));
	if (le64toh(h.size) != size)
		return (block_fail(err, -EINVAL,
		    "%s: made for a base of %llu bytes, and this one has %llu; "
		    "use its own base",
		    name, (unsigned long long)le64toh(h.size),
		    (unsigned long long)size));
	error = map_layout(map, size, shift);
	if (error == 0 && (uint64_t)have < map->file_size)
		return (block_fail(err, -EINVAL,
		    "%s: the overlay is cut off: %llu of %llu bytes", name,
		    (unsigned long long)have,
		    (unsigned long long)map->file_size));
	if (error == 0)
		error = map_load(map, fd);
	if (error != 0)
		return (block_fail(err, error, "%s: cannot be read: %s", name,
		    strerror(-error)));
	return (0);
}

void
overlay_map_fini(struct overlay_map *map)
{
	free(map->bits);
	free(map->dirty);
	map->bits = map->dirty = NULL;
}

void
overlay_map_set(struct overlay_map *map, uint64_t first, uint64_t end)
{
	uint64_t c, step;
	uint32_t block;
	uint8_t mask;

	if (end > map->clusters)
		end = map->clusters;
	for (c = first; c < end; c += step) {
		/* A byte at once where all of it is meant. */
		step = c % 8 == 0 && end - c >= 8 ? 8 : 1;
		mask = (uint8_t)(step == 8 ? 0xffu : 1u << (c % 8));
		if ((map->bits[c / 8] & mask) == mask)
			continue;
		map->bits[c / 8] = (uint8_t)(map->bits[c / 8] | mask);
		block = (uint32_t)(c / 8 / OVERLAY_BLOCK);
		if (map->dirty[block] == 0)
			map->ndirty++;
		map->dirty[block] = 1;
	}
}

uint64_t
overlay_map_run(
    const struct overlay_map *map, uint64_t off, uint64_t len, bool *here)
{
	uint64_t c = off >> map->shift, end = off + len;

	*here = overlay_map_get(map, c);
	while (((c + 1) << map->shift) < end &&
	       overlay_map_get(map, c + 1) == *here) {
		c++;
		/* Eight at once. */
		while (c % 8 == 7 && ((c + 9) << map->shift) < end &&
		       map->bits[(c + 1) / 8] == (*here ? 0xff : 0))
			c += 8;
	}
	c = (c + 1) << map->shift;
	return (c < end ? c - off : len);
}
