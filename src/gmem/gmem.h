/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_GMEM_GMEM_H
#define LHYVE_GMEM_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Guest physical memory: RAM at [0, lowmem) and [4 GiB, 4 GiB + highmem),
 * backed by one memfd, mapped into one reservation in which the offset is
 * the guest physical address, with inaccessible guards around it.
 *
 * A boot ROM lies below 4 GiB, in the same reservation; the guest and the
 * host can only read it.
 *
 * Everything above the engines reaches guest memory through gpa and length.
 */
struct gmem;

#define GMEM_PAGE_SIZE 4096u
#define GMEM_PAGE_SHIFT 12
#define GMEM_LOWMEM_LIMIT 0xc0000000ull /* bhyve: 3 GiB */
#define GMEM_HIGHMEM_BASE 0x100000000ull
#define GMEM_ROM_MAX (16ull << 20) /* bhyve: from 0xff000000 */

/* Creates RAM of `size` bytes (a multiple of the page size, not 0), split at
 * GMEM_LOWMEM_LIMIT. 0 or -errno (-ENOMEM when the host cannot reserve it). */
int gmem_create(struct gmem **out, uint64_t size);
/*
 * The same with what is above `limit`, at most GMEM_LOWMEM_LIMIT, beyond 4 GiB,
 * and with pages of another size than the usual: what memory.hugepages says.
 * AUTO asks for transparent ones, OFF for none; ON takes those of the host's
 * default size, the last two of that size, all from its pool: -EINVAL if `size`
 * is no multiple, -ENOMEM if the pool has not enough.
 */
enum gmem_pages {
	GMEM_PAGES_AUTO, GMEM_PAGES_OFF, GMEM_PAGES_ON, GMEM_PAGES_2M,
	GMEM_PAGES_1G
};
int gmem_create_as(
    struct gmem **out, uint64_t size, uint64_t limit, enum gmem_pages pages);
/*
 * Places [gpa, gpa+len), RAM that nobody has touched, on nodes of the host:
 * `mode` is one of mbind(2)'s, `nodes` has a bit for each. 0, -EFAULT if it
 * is not RAM, or what mbind says.
 */
int gmem_bind(
    struct gmem *gm, uint64_t gpa, uint64_t len, int mode, uint64_t nodes);
/*
 * Makes one page of the host's of the 2 MiB around gpa, holes included, even
 * where shared memory gets none by itself (madvise(2), MADV_COLLAPSE). Any
 * thread, beside accesses. 0; -EFAULT: not all of it is RAM; -EINVAL: pages
 * are not transparent ones, or the host cannot; or what madvise says.
 */
int gmem_make_large(struct gmem *gm, uint64_t gpa);
#define GMEM_LARGE (2ull << 20)
void gmem_destroy(struct gmem *gm);

uint64_t gmem_lowmem(const struct gmem *gm);  /* bytes below 4 GiB */
uint64_t gmem_highmem(const struct gmem *gm); /* bytes from 4 GiB */
/* Host address of gpa 0. For engines only: they mmap and translate. */
uint8_t *gmem_base(const struct gmem *gm);
int gmem_fd(const struct gmem *gm);

/*
 * Adds a ROM of `size` bytes (a multiple of the page size, at most
 * GMEM_ROM_MAX) that ends at 4 GiB; once, before an engine is created. *host
 * is its memory, zeroes, for the caller to fill before gmem_seal_rom() makes
 * it read-only. 0; -EINVAL: wrong size; -EEXIST; -ENOMEM.
 */
int gmem_add_rom(struct gmem *gm, uint64_t size, void **host);
void gmem_seal_rom(struct gmem *gm);
uint64_t gmem_rom(const struct gmem *gm); /* bytes below 4 GiB; 0: none */

/* Host address of [gpa, gpa+len) if all of it is RAM of one range, else
 * NULL. The pointer is good for the life of gm. Who writes through it calls
 * gmem_wrote() afterwards. */
void *gmem_map(const struct gmem *gm, uint64_t gpa, uint64_t len);
/* Copies; 0, or -EFAULT if any byte is not RAM (nothing is copied then).
 * Reading takes ROM as well. */
int gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, size_t len);
int gmem_write(struct gmem *gm, uint64_t gpa, const void *buf, size_t len);
int gmem_set(struct gmem *gm, uint64_t gpa, int byte, size_t len);

/* Gives whole pages of RAM back to the host: they read zeroes, and take
 * memory again when they are written. Any thread. 0; -EFAULT: not all of it
 * is RAM; -EINVAL: not aligned; or what fallocate(2) says. */
int gmem_discard(struct gmem *gm, uint64_t gpa, uint64_t len);

/*
 * Pages whose content somebody has cached (translated code). A write by
 * gmem_write() or announced by gmem_wrote() to a watched page calls the
 * observer after the bytes have changed, in the writer's thread.
 */
void gmem_set_observer(struct gmem *gm,
    void (*fn)(void *arg, uint64_t gpa, uint64_t len), void *arg);
void gmem_watch(struct gmem *gm, uint64_t gpa, bool on);
bool gmem_watched(const struct gmem *gm, uint64_t gpa);
void gmem_wrote(struct gmem *gm, uint64_t gpa, uint64_t len);

/*
 * The dirty log: pages of RAM that were written, a bit for each by its frame
 * number, 64 to a word. gmem_wrote() marks pages, and so do gmem_write() and
 * gmem_set(); the processors' stores are the engine's to mark: who wants to
 * know of both asks for vm_dirty_log(). Any thread.
 */
size_t gmem_dirty_words(const struct gmem *gm);
/* Begins with no page marked, or ends. */
void gmem_dirty_log(struct gmem *gm, bool on);
bool gmem_dirty_logged(const struct gmem *gm);
/* The words, for engines to set bits in; they live as long as gm. */
_Atomic uint64_t *gmem_dirty_bits(struct gmem *gm);
/* Takes what is marked to gmem_dirty_words() words, and unmarks it. */
void gmem_dirty_take(struct gmem *gm, uint64_t *bits);

#endif
