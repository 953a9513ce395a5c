/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors: a guest's address space, mapped as it is into the host's, so that
 * translated code leaves the look-up to the host's processor.
 *
 * 47 bits of guest addresses do not fit beside ourselves into 47 bits of the
 * host's. So the guest's are cut into windows of 4 GiB, and a table says for
 * each window what is to be added (MIRROR_OFFSET; bits 47:32 of the address
 * are the index). Where a window is mirrored, that leads into a reservation
 * of 84 GiB: 4 GiB in which pages are mapped one by one, when they are first
 * used, between 40 GiB on either side in which nothing ever is. Code may
 * therefore look up a base register and then access anything within 40 GiB of
 * it without another look. Where it is not mirrored, it leads to addresses
 * that are not canonical. Whatever is not mapped faults, and the fault's
 * handler (signal.c) sends the access to its slow path, which is that of the
 * TLB: a walk of the guest's tables, with all rights checked and A and D set.
 * An address that is not canonical differs from one that is in bits 63:48,
 * and so does the sum: that faults as well.
 *
 * What is mapped here is what the TLB may hold, with the same rights, and it
 * goes when the TLB goes. So nothing new has to be known about paging.
 *
 * A page costs some 10 us to map (fault, mmap, the host's own fault), much
 * more than a TLB miss. It pays only for code that stays: user code that has
 * run in one address space for a while (MIRROR_WARM), and only so much of its
 * time may be spent on it (MIRROR_FAULT); pages that lie side by side in both
 * address spaces come together. Who exceeds that, because it maps
 * and unmaps, or stores beside code, goes on without until there is credit
 * again; what is mapped stays meanwhile. The two kinds of code differ by
 * BF_MIRROR, as modes of the processor do.
 *
 * A light file, see soft.h.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gmem/gmem.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/mirror.h"
#include "vmm/soft/soft.h"

#define WINDOW (4ull << 30)
/* What code may add to an address that it has looked up: displacements, moves
 * of the register, and eight times an index of 32 bits (slot.c). */
#define GUARD (40ull << 30)
#define RESERVATION (WINDOW + 2 * GUARD + GMEM_LARGE)

/* In nanoseconds of this thread: how long an address space must have been
 * there, and what time earns one fault. A fault with its mapping takes some
 * 10 us, so that at most a quarter of the time goes into them. */
#define MIRROR_WARM 4000000u
#define MIRROR_FAULT 40000u
/* A fault that maps nothing will come again. */
#define MIRROR_USELESS 8u
/* To begin again there should be credit for so many. */
#define MIRROR_AGAIN 64u
/* A mirror that was not kept is not made again for so many times as long as
 * it took to make, if that was long. */
#define MIRROR_REST 16u
#define MIRROR_LARGE 512u
/* Pages that go on like the one that was asked for, at most. */
#define MIRROR_AROUND 64u
#define LARGE_PAGES (GMEM_LARGE >> 12)

/* Sums with this are not canonical, wherever in the window, give or take the
 * 40 GiB that code may add. */
#define NOWHERE (3ull << 46)

static void *
map(void *addr, size_t len, int prot, int flags, int fd, uint64_t off)
{
	/* Not mmap(): it may be somebody's with vector registers. */
	long r = syscall(SYS_mmap, addr, len, prot, flags, fd, off);

	return (r == -1 ? NULL : (void *)r);
}

static bool
unmap(uint8_t *host, size_t len)
{
	return (map(host, len, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		    -1, 0) != NULL);
}

static uint64_t
thread_time(void)
{
	struct timespec ts = { 0 };

	syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

static uint64_t
window_va(uint32_t index)
{
	return ((uint64_t)(int64_t)(int16_t)index << 32);
}

static void
point_nowhere(struct soft_cpu *cpu, unsigned m, uint32_t index)
{
	soft_mirror(cpu, m)[index] = NOWHERE - window_va(index);
}

void
soft_mirror_init(struct soft_cpu *cpu)
{
	bool all = cpu->vm->mirror == SOFT_MIRROR_EAGER;

	if (cpu->vm->mirror == SOFT_MIRROR_OFF)
		return;
	for (unsigned m = 0; m < MMU_MODES; m++)
		if (all || m == MMU_USER)
			for (uint32_t i = 0; i < MIRROR_ENTRIES; i++)
				point_nowhere(cpu, m, i);
}

void
soft_mirror_fini(struct soft_cpu *cpu)
{
	struct mirror *mi = &cpu->mirror;

	for (unsigned i = 0; i < MIRROR_WINDOWS; i++)
		if (mi->window[i].host != NULL)
			munmap(mi->window[i].reserved, RESERVATION);
}

void
soft_mirror_drop(struct soft_cpu *cpu)
{
	struct mirror *mi = &cpu->mirror;

	if (mi->nruns >= MIRROR_LARGE)
		mi->rest = thread_time() +
		    mi->faults * (MIRROR_FAULT / 4) * MIRROR_REST;
	mi->on = false;
	mi->faults = 0;
	mi->epoch = 0;
	/* A kernel's would soon be odd again. */
	cpu->stack_odd[MMU_USER] = false;
	if (mi->nruns == 0)
		return;
	cpu->stat.mirror_drops++;
	for (unsigned i = 0; i < mi->nwindows; i++) {
		point_nowhere(cpu, mi->window[i].m, mi->window[i].index);
		if (!unmap(mi->window[i].host, WINDOW))
			/* Nothing leads there any more; nor will it. */
			mi->broken = true;
	}
	mi->nwindows = 0;
	mi->nruns = 0;
	for (unsigned i = 0; i < 1024; i++)
		mi->by_va[i] = mi->by_gpa[i] = 0;
}

void
soft_stack_odd(struct soft_cpu *cpu)
{
	cpu->stack_odd[cpu->flags & BF_MMU] = true;
	soft_update_mode(cpu);
}

/* T0 becomes rSP, and the guest goes on at `next`. */
void
soft_h_stack_odd(struct soft_cpu *cpu, uint64_t t0, uint64_t next)
{
	cpu->gpr[R_SP] = t0;
	cpu->rip = next;
	soft_stack_odd(cpu);
}

static uint64_t *
bit_of(uint64_t *set, uint64_t addr, uint64_t *bit)
{
	*bit = 1ull << ((addr >> 12) & 63);
	return (&set[(addr >> 18) & 1023]);
}

static uint8_t *
host_of(struct soft_cpu *cpu, uint64_t va, unsigned m)
{
	struct mirror *mi = &cpu->mirror;

	for (unsigned i = 0; i < mi->nwindows; i++)
		if (mi->window[i].m == m &&
		    window_va(mi->window[i].index) == (va & ~(WINDOW - 1)))
			return (mi->window[i].host + (va & (WINDOW - 1)));
	return (NULL);
}

/* The page of one mode. If the host cannot, all goes. */
static void
drop_one(struct soft_cpu *cpu, uint64_t va, unsigned m)
{
	uint8_t *host = host_of(cpu, va & ~0xfffull, m);

	if (host != NULL && !unmap(host, 0x1000))
		soft_mirror_drop(cpu);
}

void
soft_mirror_drop_page(struct soft_cpu *cpu, uint64_t va)
{
	uint64_t bit, *word = bit_of(cpu->mirror.by_va, va, &bit);

	if (!(*word & bit))
		return;
	for (unsigned m = 0; m < MMU_MODES; m++)
		drop_one(cpu, va, m);
}

void
soft_mirror_protect(struct soft_cpu *cpu, uint64_t gpa)
{
	struct mirror *mi = &cpu->mirror;
	uint64_t bit, *word = bit_of(mi->by_gpa, gpa, &bit);

	gpa &= ~0xfffull;
	if (!(*word & bit))
		return;
	/* Some runs are history; an unmapped page comes back by itself. */
	for (unsigned i = 0; i < mi->nruns; i++) {
		const struct mirror_run *r = &mi->run[i];

		if (gpa - r->gpa < (uint64_t)r->npages << 12)
			drop_one(cpu, r->va + (gpa - r->gpa), r->m);
	}
}

bool
soft_mirror_had(struct soft_cpu *cpu, uint64_t va)
{
	uint64_t bit, *word = bit_of(cpu->mirror.by_va, va, &bit);

	return ((*word & bit) != 0);
}

/* The window of va; NULL if there is no room for it. */
static uint8_t *
get_window(struct soft_cpu *cpu, uint64_t va, unsigned m)
{
	struct mirror *mi = &cpu->mirror;
	uint8_t *host = host_of(cpu, va, m), *p;
	uint32_t index = (uint32_t)(va >> 32) & 0xffff;
	unsigned n = mi->nwindows;

	if (host != NULL || n == MIRROR_WINDOWS)
		return (host);
	if (mi->window[n].host == NULL) {
		/* Large pages of the host want the alignment. */
		p = map(NULL, RESERVATION, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == NULL) {
			mi->broken = true;
			return (NULL);
		}
		mi->window[n].reserved = p;
		mi->window[n].host =
		    p + GUARD + (-(uintptr_t)p & (GMEM_LARGE - 1));
	}
	mi->window[n].index = index;
	mi->window[n].m = m;
	mi->nwindows++;
	soft_mirror(cpu, m)[index] =
	    (uint64_t)(uintptr_t)mi->window[n].host - window_va(index);
	return (mi->window[n].host + (va & (WINDOW - 1)));
}

/* Is that page there, with just these rights? It has been used so before. */
static bool
same(struct soft_cpu *cpu, uint64_t va, uint64_t gpa, unsigned m, bool w)
{
	uint64_t at;
	bool write;

	return (soft_is_ram(cpu->vm, gpa) &&
	    soft_peek(cpu, va, m, &at, &write) && at == gpa && write == w);
}

/*
 * The pages from *va and *gpa on that may be mapped together. If all of 2 MiB
 * may, it is these, from their beginning, and the host is asked for a large
 * page: one fault, one entry of its processor's TLB.
 */
static unsigned
alike(struct soft_cpu *cpu, uint64_t *va, uint64_t *gpa, unsigned m, bool w)
{
	uint64_t in = *va & (GMEM_LARGE - 1), v = *va - in, g = *gpa - in;
	unsigned n = 0;

	if (g % GMEM_LARGE == 0 && (v != 0 || cpu->stack_odd[m]))
		while (n < LARGE_PAGES &&
		    same(cpu, v + ((uint64_t)n << 12), g + ((uint64_t)n << 12),
			m, w))
			n++;
	if (n == LARGE_PAGES) {
		soft_make_large(cpu, g);
		*va = v;
		*gpa = g;
		return (n);
	}
	/* Within one table: the walk to va has set A in all above it. */
	for (n = 1; n < MIRROR_AROUND; n++)
		if (((*va + ((uint64_t)n << 12)) & (GMEM_LARGE - 1)) == 0 ||
		    !same(cpu, *va + ((uint64_t)n << 12),
			*gpa + ((uint64_t)n << 12), m, w))
			break;
	return (n);
}

void
soft_mirror_fill(struct soft_cpu *cpu, uint64_t va, int acc, unsigned m)
{
	struct mirror *mi = &cpu->mirror;
	uint64_t gpa, bit, *word;
	uint8_t *host;
	unsigned n;
	bool w;

	va &= ~0xfffull;
	/* The windows are of 48 bits; with LA57 there are more addresses. */
	if (((va + (1ull << 47)) >> 48) != 0)
		return;
	/* The ROM is in no file; nobody marks pages for a dirty log here. */
	if (va < STACK_NO_PAGE && !cpu->stack_odd[m]) {
		if (cpu->flags & BF_STACK)
			return;
		cpu->stack_odd[m] = true;
	}
	if (mi->broken || cpu->vm->dirty != NULL ||
	    !soft_peek(cpu, va, m, &gpa, &w) ||
	    !soft_is_ram(cpu->vm, gpa) || (acc == ACC_W && !w))
		return; /* nor does it help a store beside code */
	if (mi->nruns == MIRROR_RUNS) {
		soft_mirror_drop(cpu);
		return;
	}
	n = alike(cpu, &va, &gpa, m, w);
	host = get_window(cpu, va, m);
	if (host == NULL)
		return;
	if (map(host, (size_t)n << 12, w ? PROT_READ | PROT_WRITE : PROT_READ,
		MAP_SHARED | MAP_FIXED | MAP_NORESERVE | MAP_POPULATE,
		gmem_fd(cpu->vm->gmem), gpa) == NULL) {
		soft_mirror_drop(cpu);
		mi->broken = true;
		return;
	}
	/* A core file of lhyve is about lhyve. */
	(void)syscall(SYS_madvise, host, (size_t)n << 12, MADV_DONTDUMP);
	cpu->stat.mirror_maps++;
	/* It was worth its fault. */
	mi->faults -= MIRROR_USELESS - 1;
	mi->run[mi->nruns++] = (struct mirror_run){ va, gpa, n, m };
	for (unsigned i = 0; i < n; i++) {
		word = bit_of(mi->by_va, va + ((uint64_t)i << 12), &bit);
		*word |= bit;
		word = bit_of(mi->by_gpa, gpa + ((uint64_t)i << 12), &bit);
		*word |= bit;
	}
}

/* Faults that may still be taken. */
static int64_t
credit(const struct mirror *mi, uint64_t now)
{
	return ((int64_t)((now - mi->epoch) / MIRROR_FAULT) -
	    (int64_t)mi->faults);
}

void
soft_mirror_fault(struct soft_cpu *cpu)
{
	struct mirror *mi = &cpu->mirror;

	cpu->stat.mirror_faults++;
	if ((cpu->flags & STACK_FLAGS) == BF_STACK && soft_sp_odd(cpu)) {
		soft_stack_odd(cpu);
		soft_break(cpu);
	}
	mi->faults += MIRROR_USELESS;
	if (cpu->vm->mirror == SOFT_MIRROR_EAGER ||
	    (mi->on && !mi->broken && credit(mi, thread_time()) > 0))
		return;
	mi->on = false;
	soft_update_mode(cpu);
	soft_break(cpu);
}

void
soft_mirror_tick(struct soft_cpu *cpu)
{
	struct mirror *mi = &cpu->mirror;
	uint64_t now;

	if (mi->on || mi->broken || cpu->vm->mirror != SOFT_MIRROR_ON ||
	    cpu->vm->dirty != NULL)
		return;
	now = thread_time();
	if (mi->epoch == 0)
		mi->epoch = now;
	mi->on = now - mi->epoch >= MIRROR_WARM && now >= mi->rest &&
	    credit(mi, now) >= (int64_t)MIRROR_AGAIN;
}
