/* SPDX-License-Identifier: BSD-2-Clause */
#include "gmem/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* Inaccessible space on both sides of the reservation: a wrong gpa plus an
 * instruction's displacement faults instead of reaching our own memory. */
#define GMEM_GUARD (4ull << 20)
#define GMEM_ALIGN GMEM_LARGE
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif
/* The physical address space that CPUID offers at most is 46 bits wide; the
 * 64-bit PCI window needs its place above memory. */
#define GMEM_SIZE_LIMIT (1ull << 45)

struct gmem {
	uint8_t *reservation;
	size_t reserved; /* bytes, guards included */
	uint8_t *base;	 /* gpa 0 */
	uint64_t lowmem, highmem;
	uint64_t rom; /* bytes that end at 4 GiB, in no file */
	int fd; /* file offset = gpa, with a hole below 4 GiB */
	enum gmem_pages pages;
	/* One bit a page from gpa 0 to the end of memory. */
	_Atomic uint64_t *watch, *dirty;
	_Atomic bool log; /* dirty is in use */
	void (*observer)(void *arg, uint64_t gpa, uint64_t len);
	void *observer_arg;
};

/*
 * Refuses what the host could never back, as Linux does by itself for
 * mappings without MAP_NORESERVE (Documentation/mm/overcommit-accounting).
 */
static int
check_size(uint64_t size)
{
	struct sysinfo si;

	if (size == 0 || size % GMEM_PAGE_SIZE != 0)
		return (-EINVAL);
	if (size > GMEM_SIZE_LIMIT)
		return (-ENOMEM);
	if (sysinfo(&si) == 0 &&
	    size / si.mem_unit > (uint64_t)si.totalram + si.totalswap)
		return (-ENOMEM);
	return (0);
}

static bool
from_pool(const struct gmem *gm)
{
	return (gm->pages >= GMEM_PAGES_ON);
}

/* Bytes of a page of the pool's; ON: of the file that was made. */
static uint64_t
page_size(const struct gmem *gm)
{
	struct stat st;

	if (gm->pages == GMEM_PAGES_2M)
		return (2ull << 20);
	if (gm->pages == GMEM_PAGES_1G)
		return (1ull << 30);
	if (from_pool(gm) && fstat(gm->fd, &st) == 0 && st.st_blksize > 0)
		return ((uint64_t)st.st_blksize);
	return (GMEM_PAGE_SIZE);
}

static int
open_file(struct gmem *gm)
{
	static const unsigned flags[] = {
		[GMEM_PAGES_ON] = MFD_HUGETLB,
		[GMEM_PAGES_2M] = MFD_HUGETLB | MFD_HUGE_2MB,
		[GMEM_PAGES_1G] = MFD_HUGETLB | MFD_HUGE_1GB,
	};

	gm->fd = memfd_create("lhyve-ram", MFD_CLOEXEC | flags[gm->pages]);
	/* A size that the host does not have is not found. */
	if (gm->fd < 0)
		return (errno == ENODEV ? -EINVAL : -errno);
	if ((gm->lowmem + gm->highmem) % page_size(gm) != 0)
		return (-EINVAL);
	return (ftruncate(gm->fd,
		    (off_t)(gm->highmem != 0 ? GMEM_HIGHMEM_BASE + gm->highmem :
					       gm->lowmem)) != 0 ?
		-errno :
		0);
}

/* Pages of the pool are reserved here, so that none is missing later. */
static int
map_range(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	void *p;

	if (len == 0)
		return (0);
	p = mmap(gm->base + gpa, len, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED | (from_pool(gm) ? 0 : MAP_NORESERVE),
	    gm->fd, (off_t)gpa);
	if (p == MAP_FAILED)
		return (-errno);
	/* A kernel without transparent ones has others: no error. */
	if (!from_pool(gm))
		(void)madvise(p, len,
		    gm->pages == GMEM_PAGES_OFF ? MADV_NOHUGEPAGE :
						  MADV_HUGEPAGE);
	/* A core file of lhyve is about lhyve. */
	(void)madvise(p, len, MADV_DONTDUMP);
	return (0);
}

int
gmem_create(struct gmem **out, uint64_t size)
{
	return (gmem_create_as(
	    out, size, GMEM_LOWMEM_LIMIT, GMEM_PAGES_AUTO));
}

int
gmem_create_as(
    struct gmem **out, uint64_t size, uint64_t limit, enum gmem_pages pages)
{
	struct gmem *gm;
	uint64_t end, words, align;
	void *p;
	int error;

	*out = NULL;
	error = check_size(size);
	if (error == 0 && (limit == 0 || limit > GMEM_LOWMEM_LIMIT ||
			      limit % GMEM_PAGE_SIZE != 0))
		error = -EINVAL;
	if (error != 0)
		return (error);
	gm = calloc(1, sizeof(*gm));
	if (gm == NULL)
		return (-ENOMEM);
	gm->fd = -1;
	gm->pages = pages;
	gm->lowmem = size < limit ? size : limit;
	gm->highmem = size - gm->lowmem;
	end = GMEM_HIGHMEM_BASE + gm->highmem;

	/* Untouched pages of a large calloc() cost nothing. */
	words = (end >> GMEM_PAGE_SHIFT) / 64 + 1;
	gm->watch = calloc(words, sizeof(*gm->watch));
	gm->dirty = calloc(words, sizeof(*gm->dirty));
	if (gm->watch == NULL || gm->dirty == NULL) {
		error = -ENOMEM;
		goto fail;
	}
	error = open_file(gm);
	if (error != 0)
		goto fail;
	/* gpa 0 lies so that a large page of the guest's can be one of the
	 * host's. */
	align = page_size(gm) < GMEM_ALIGN ? GMEM_ALIGN : page_size(gm);
	gm->reserved = end + 2 * GMEM_GUARD + align;
	p = mmap(NULL, gm->reserved, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		error = -errno;
		goto fail;
	}
	gm->reservation = p;
	gm->base = gm->reservation + GMEM_GUARD;
	gm->base += (align - (uintptr_t)gm->base % align) % align;

	error = map_range(gm, 0, gm->lowmem);
	if (error == 0)
		error = map_range(gm, GMEM_HIGHMEM_BASE, gm->highmem);
	if (error != 0)
		goto fail;
	*out = gm;
	return (0);
fail:
	gmem_destroy(gm);
	return (error);
}

void
gmem_destroy(struct gmem *gm)
{
	if (gm == NULL)
		return;
	if (gm->reservation != NULL)
		munmap(gm->reservation, gm->reserved);
	if (gm->fd >= 0)
		close(gm->fd);
	free((void *)gm->watch);
	free((void *)gm->dirty);
	free(gm);
}

uint64_t
gmem_lowmem(const struct gmem *gm)
{
	return (gm->lowmem);
}

uint64_t
gmem_highmem(const struct gmem *gm)
{
	return (gm->highmem);
}

uint8_t *
gmem_base(const struct gmem *gm)
{
	return (gm->base);
}

int
gmem_fd(const struct gmem *gm)
{
	return (gm->fd);
}

int
gmem_bind(
    struct gmem *gm, uint64_t gpa, uint64_t len, int mode, uint64_t nodes)
{
	unsigned long mask[2] = { nodes, 0 };

	if (gmem_map(gm, gpa, len) == NULL)
		return (-EFAULT);
	/* mbind(2): maxnode counts one bit more than it looks at. */
	if (syscall(SYS_mbind, gm->base + gpa, len, mode,
		nodes != 0 ? mask : NULL, nodes != 0 ? 65ul : 0ul, 0u) != 0)
		return (-errno);
	return (0);
}

int
gmem_add_rom(struct gmem *gm, uint64_t size, void **host)
{
	void *p;

	if (size == 0 || size > GMEM_ROM_MAX || size % GMEM_PAGE_SIZE != 0)
		return (-EINVAL);
	if (gm->rom != 0)
		return (-EEXIST);
	p = mmap(gm->base + GMEM_HIGHMEM_BASE - size, size,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	    -1, 0);
	if (p == MAP_FAILED)
		return (-errno);
	(void)madvise(p, size, MADV_DONTDUMP);
	gm->rom = size;
	*host = p;
	return (0);
}

void
gmem_seal_rom(struct gmem *gm)
{
	if (gm->rom != 0)
		(void)mprotect(gm->base + GMEM_HIGHMEM_BASE - gm->rom,
		    gm->rom, PROT_READ);
}

uint64_t
gmem_rom(const struct gmem *gm)
{
	return (gm->rom);
}

static bool
in_rom(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
	return (gpa >= GMEM_HIGHMEM_BASE - gm->rom &&
	    gpa < GMEM_HIGHMEM_BASE && len <= GMEM_HIGHMEM_BASE - gpa);
}

/* The range holds no overflow: each comparison subtracts from a bound that
 * was checked before. */
void *
gmem_map(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
	if (gpa < gm->lowmem && len <= gm->lowmem - gpa)
		return (gm->base + gpa);
	if (gpa >= GMEM_HIGHMEM_BASE &&
	    gpa - GMEM_HIGHMEM_BASE < gm->highmem &&
	    len <= gm->highmem - (gpa - GMEM_HIGHMEM_BASE))
		return (gm->base + gpa);
	return (NULL);
}

/*
 * Aligned 2, 4 and 8 byte copies are one access: a ring index must not be
 * seen half written by a vcpu in another thread.
 */
static void
copy_in(void *dst, const void *src, size_t len)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	if ((uintptr_t)dst % 8 == 0 && len == 8) {
		memcpy(&v64, src, 8);
		__atomic_store_n((uint64_t *)dst, v64, __ATOMIC_RELEASE);
	} else if ((uintptr_t)dst % 4 == 0 && len == 4) {
		memcpy(&v32, src, 4);
		__atomic_store_n((uint32_t *)dst, v32, __ATOMIC_RELEASE);
	} else if ((uintptr_t)dst % 2 == 0 && len == 2) {
		memcpy(&v16, src, 2);
		__atomic_store_n((uint16_t *)dst, v16, __ATOMIC_RELEASE);
	} else {
		memcpy(dst, src, len);
	}
}

static void
copy_out(void *dst, const void *src, size_t len)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	if ((uintptr_t)src % 8 == 0 && len == 8) {
		v64 = __atomic_load_n((const uint64_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v64, 8);
	} else if ((uintptr_t)src % 4 == 0 && len == 4) {
		v32 = __atomic_load_n((const uint32_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v32, 4);
	} else if ((uintptr_t)src % 2 == 0 && len == 2) {
		v16 = __atomic_load_n((const uint16_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v16, 2);
	} else {
		memcpy(dst, src, len);
	}
}

int
gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, size_t len)
{
	const void *p = gmem_map(gm, gpa, len);

	if (p == NULL && in_rom(gm, gpa, len))
		p = gm->base + gpa;
	if (p == NULL)
		return (-EFAULT);
	copy_out(buf, p, len);
	return (0);
}

int
gmem_write(struct gmem *gm, uint64_t gpa, const void *buf, size_t len)
{
	void *p = gmem_map(gm, gpa, len);

	if (p == NULL)
		return (-EFAULT);
	copy_in(p, buf, len);
	gmem_wrote(gm, gpa, len);
	return (0);
}

int
gmem_set(struct gmem *gm, uint64_t gpa, int byte, size_t len)
{
	void *p = gmem_map(gm, gpa, len);

	if (p == NULL)
		return (-EFAULT);
	memset(p, byte, len);
	gmem_wrote(gm, gpa, len);
	return (0);
}

int
gmem_discard(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	if (gpa % GMEM_PAGE_SIZE != 0 || len % GMEM_PAGE_SIZE != 0 || len == 0)
		return (-EINVAL);
	if (gmem_map(gm, gpa, len) == NULL)
		return (-EFAULT);
	if (fallocate(gm->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)gpa, (off_t)len) != 0)
		return (-errno);
	gmem_wrote(gm, gpa, len);
	return (0);
}

int
gmem_make_large(struct gmem *gm, uint64_t gpa)
{
	const volatile uint8_t *p;

	gpa -= gpa % GMEM_LARGE;
	p = gmem_map(gm, gpa, GMEM_LARGE);
	if (p == NULL)
		return (-EFAULT);
	if (gm->pages != GMEM_PAGES_AUTO)
		return (-EINVAL);
	(void)*p; /* of nothing it makes nothing */
	return (madvise((void *)(uintptr_t)p, GMEM_LARGE, MADV_COLLAPSE) != 0 ?
		-errno :
		0);
}

void
gmem_set_observer(struct gmem *gm,
    void (*fn)(void *arg, uint64_t gpa, uint64_t len), void *arg)
{
	gm->observer_arg = arg;
	gm->observer = fn;
}

void
gmem_watch(struct gmem *gm, uint64_t gpa, bool on)
{
	uint64_t page = gpa >> GMEM_PAGE_SHIFT;
	uint64_t bit = 1ull << (page % 64);

	if (gmem_map(gm, gpa, 1) == NULL)
		return;
	/* Sequentially consistent: pairs with the fence in gmem_wrote(). Who
	 * watches sets the bit, then reads the bytes. */
	if (on)
		atomic_fetch_or(&gm->watch[page / 64], bit);
	else
		atomic_fetch_and(&gm->watch[page / 64], ~bit);
}

bool
gmem_watched(const struct gmem *gm, uint64_t gpa)
{
	uint64_t page = gpa >> GMEM_PAGE_SHIFT;

	if (gmem_map(gm, gpa, 1) == NULL)
		return (false);
	return ((atomic_load_explicit(&gm->watch[page / 64],
		     memory_order_acquire) >> (page % 64)) & 1);
}

/* ---- the dirty log ---- */

size_t
gmem_dirty_words(const struct gmem *gm)
{
	return ((GMEM_HIGHMEM_BASE + gm->highmem) / GMEM_PAGE_SIZE / 64 + 1);
}

_Atomic uint64_t *
gmem_dirty_bits(struct gmem *gm)
{
	return (gm->dirty);
}

bool
gmem_dirty_logged(const struct gmem *gm)
{
	return (atomic_load_explicit(&gm->log, memory_order_relaxed));
}

void
gmem_dirty_log(struct gmem *gm, bool on)
{
	if (on)
		for (size_t i = 0; i < gmem_dirty_words(gm); i++)
			if (atomic_load(&gm->dirty[i]) != 0)
				atomic_store(&gm->dirty[i], 0);
	atomic_store(&gm->log, on);
}

void
gmem_dirty_take(struct gmem *gm, uint64_t *bits)
{
	for (size_t i = 0; i < gmem_dirty_words(gm); i++)
		bits[i] = atomic_load(&gm->dirty[i]) == 0 ?
		    0 : atomic_exchange(&gm->dirty[i], 0);
}

/* After the bytes: who takes the bit sees them. */
static void
mark_dirty(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	uint64_t last = (gpa + len - 1) >> GMEM_PAGE_SHIFT;

	for (uint64_t p = gpa >> GMEM_PAGE_SHIFT; p <= last; p++)
		atomic_fetch_or(&gm->dirty[p / 64], 1ull << (p % 64));
}

void
gmem_wrote(struct gmem *gm, uint64_t gpa, uint64_t len)
{
	uint64_t page, last, word, start, end;

	if (len == 0 || gmem_map(gm, gpa, len) == NULL)
		return;
	if (gmem_dirty_logged(gm))
		mark_dirty(gm, gpa, len);
	if (gm->observer == NULL)
		return;
	/* The bytes are out before the bit is read: either we see the bit, or
	 * who sets it sees the bytes. Pairs with gmem_watch(). */
	atomic_thread_fence(memory_order_seq_cst);
	last = (gpa + len - 1) >> GMEM_PAGE_SHIFT;
	for (page = gpa >> GMEM_PAGE_SHIFT; page <= last; page++) {
		word = atomic_load_explicit(
		    &gm->watch[page / 64], memory_order_relaxed);
		if (word == 0) {
			page |= 63; /* none in this word */
			continue;
		}
		if (((word >> (page % 64)) & 1) == 0)
			continue;
		start = page << GMEM_PAGE_SHIFT;
		end = start + GMEM_PAGE_SIZE;
		if (start < gpa)
			start = gpa;
		if (end > gpa + len)
			end = gpa + len;
		gm->observer(gm->observer_arg, start, end - start);
	}
}
