/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The code cache: where translated blocks are kept, found, linked and
 * dropped. Intel SDM volume 3, 9.1.3 ("Handling Self- and Cross-Modifying
 * Code") says what a guest may expect.
 *
 * codemem.c has the memory that they are in.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "gmem/gmem.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

/* Pages with code that are known at once: 256 MiB of them. */
#define PAGE_POOL (1u << 16)
#define NFILLS(vm) (((vm)->npages >> 9) + 1)

static unsigned
block_hash(uint64_t pc, uint64_t gpa, uint32_t flags)
{
	uint64_t h = (pc ^ (gpa << 7) ^ ((uint64_t)flags << 40)) *
	    0x9e3779b97f4a7c15ull;

	return ((unsigned)(h >> (64 - BLOCK_HASH_BITS)));
}

static void *
map_anon(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

static void
begin_part(struct soft_vm *vm, unsigned part)
{
	vm->part = part;
	vm->code_used = (size_t)part * CODE_PART_SIZE;
	vm->code_end = vm->code_used + CODE_PART_SIZE;
	vm->arena_used = (size_t)part * ARENA_PART_SIZE;
	vm->arena_end = vm->arena_used + ARENA_PART_SIZE;
	atomic_store(&vm->nblocks[part], 0);
}

int
soft_cache_create(struct soft_vm *vm)
{
	int error = soft_code_map(vm);

	if (error != 0)
		goto fail;
	error = -ENOMEM;
	vm->npages = (vm->highmem || vm->rom != 0x100000000ull ?
			     0x100000000ull + vm->highmem :
			     vm->lowmem) >> 12;
	vm->arena = map_anon(ARENA_SIZE);
	vm->blocks = map_anon(
	    CODE_PARTS * BLOCKS_PER_PART * sizeof(*vm->blocks));
	vm->page_pool = map_anon(PAGE_POOL * sizeof(*vm->page_pool));
	if (!(vm->off & SOFT_OFF_FORMS))
		vm->forms = map_anon(tr_forms_size());
	vm->pages = map_anon(vm->npages * sizeof(*vm->pages));
	vm->fills = map_anon(NFILLS(vm));
	if (vm->arena == NULL || vm->blocks == NULL ||
	    vm->page_pool == NULL || vm->pages == NULL || vm->fills == NULL)
		goto fail;
	begin_part(vm, 0);
	return (0);
fail:
	soft_cache_destroy(vm);
	return (error);
}

void
soft_cache_destroy(struct soft_vm *vm)
{
	soft_code_unmap(vm);
	if (vm->forms != NULL)
		munmap(vm->forms, tr_forms_size());
	vm->forms = NULL;
	if (vm->arena != NULL)
		munmap(vm->arena, ARENA_SIZE);
	if (vm->blocks != NULL)
		munmap(vm->blocks,
		    CODE_PARTS * BLOCKS_PER_PART * sizeof(*vm->blocks));
	if (vm->page_pool != NULL)
		munmap(vm->page_pool, PAGE_POOL * sizeof(*vm->page_pool));
	if (vm->pages != NULL)
		munmap(vm->pages, vm->npages * sizeof(*vm->pages));
	vm->arena = NULL;
	if (vm->fills != NULL)
		munmap(vm->fills, NFILLS(vm));
	vm->fills = NULL;
	vm->blocks = NULL;
	vm->page_pool = NULL;
	vm->pages = NULL;
}

bool
soft_page_watched(struct soft_vm *vm, uint64_t gpa)
{
	return (vm->pages[gpa >> 12] != NULL);
}

/* The page is an ordinary one again. Who looks at *cp just now without the
 * lock sees that no code is hit, or asks again with it. */
static void
page_free(struct soft_vm *vm, struct code_page *cp)
{
	vm->pages[cp->gpa >> 12] = NULL;
	gmem_watch(vm->gmem, cp->gpa, false);
	cp->gpa = GPA_NONE;
	cp->next = vm->free_pages;
	vm->free_pages = cp;
	vm->nfree++;
}

/*
 * A page whose blocks are gone stays a page with code for a while: code that
 * is written anew comes back at once, and to take the write permission from
 * every TLB entry again costs more than some slow stores. After
 * CODE_PAGE_IDLE of them it is data.
 */
#define CODE_PAGE_IDLE 64

bool
soft_page_idle(struct soft_vm *vm, uint64_t gpa)
{
	struct code_page *cp = vm->pages[gpa >> 12];
	bool idle = false;

	/* Without the lock only a guess, which may be wrong for once. */
	if (cp == NULL || *(struct block *volatile *)&cp->blocks != NULL)
		return (false);
	soft_code_lock(vm);
	cp = vm->pages[gpa >> 12];
	if (cp != NULL && cp->blocks == NULL && ++cp->idle >= CODE_PAGE_IDLE) {
		page_free(vm, cp);
		idle = true;
	}
	soft_code_unlock(vm);
	return (idle);
}

static uint64_t
lines(unsigned first, unsigned len)
{
	uint64_t map = 0;

	for (unsigned i = first >> 6; i <= (first + len - 1) >> 6 && i < 64;
	     i++)
		map |= 1ull << i;
	return (map);
}

/* A page may follow itself: then a block over its end is in one page. */
static bool
in_two_pages(const struct block *b)
{
	return (b->gpa2 != GPA_NONE && (b->gpa >> 12) != (b->gpa2 >> 12));
}

/* The lines of a page that a block has bytes in. */
static uint64_t
block_lines(const struct block *b, uint64_t page)
{
	unsigned off = b->gpa & 0xfff;
	uint64_t map = 0;

	if ((b->gpa >> 12) == page)
		map |= lines(off, b->len);
	if (b->gpa2 != GPA_NONE && (b->gpa2 >> 12) == page)
		map |= lines(0, off + b->len - 0x1000);
	return (map);
}

void
soft_page_mark(struct soft_vm *vm, uint64_t gpa, unsigned len)
{
	struct code_page *cp = vm->pages[gpa >> 12];
	uint64_t bits = lines(gpa & 0xfff, len);

	/* Sequentially consistent: the marks are seen before the bytes are
	 * read. Pairs with the fence in soft_page_hit(). */
	if ((cp->map & bits) != bits)
		atomic_fetch_or(&cp->map, bits);
}

bool
soft_page_hit(struct soft_vm *vm, uint64_t gpa, unsigned len)
{
	struct code_page *cp;

	/* The store is out before the marks are read: either we see them, or
	 * who sets them sees the bytes. Alone, nobody sets them meanwhile. */
	if (vm->ncpus > 1)
		atomic_thread_fence(memory_order_seq_cst);
	cp = vm->pages[gpa >> 12];
	return (cp != NULL && (cp->map & lines(gpa & 0xfff, len)) != 0);
}

void
soft_cache_add(struct soft_vm *vm, struct block *b)
{
	unsigned h = block_hash(b->pc, b->gpa, b->flags);
	struct code_page *cp = vm->pages[b->gpa >> 12];

	b->hash_next = vm->hash[h];
	vm->hash[h] = b;
	cp->idle = 0;
	atomic_fetch_or(&cp->map, block_lines(b, b->gpa >> 12));
	b->page_next[0] = cp->blocks;
	cp->blocks = b;
	if (in_two_pages(b)) {
		cp = vm->pages[b->gpa2 >> 12];
		cp->idle = 0;
		atomic_fetch_or(&cp->map, block_lines(b, b->gpa2 >> 12));
		b->page_next[1] = cp->blocks;
		cp->blocks = b;
	}
	soft_cache_note(vm, b);
}

void
soft_cache_note(struct soft_vm *vm, struct block *b)
{
	unsigned n;

	/* A signal handler may be searching. */
	n = vm->nblocks[vm->part];
	vm->blocks[vm->part * BLOCKS_PER_PART + n] = b;
	atomic_store_explicit(
	    &vm->nblocks[vm->part], n + 1, memory_order_release);
}

static void
unlink_in(struct block *b)
{
	for (struct link *l = b->incoming; l != NULL; l = l->next_in) {
		int32_t rel = (int32_t)(l->stub - (l->patch + 4));

		__atomic_store_n(
		    (int32_t *)(void *)l->patch, rel, __ATOMIC_RELEASE);
		l->to = NULL;
	}
	b->incoming = NULL;
}

static void
unlink_out(struct block *b)
{
	for (unsigned i = 0; i < b->nlinks; i++) {
		struct link *l = &b->links[i], **pp;

		if (l->to == NULL)
			continue;
		for (pp = &l->to->incoming; *pp != l; pp = &(*pp)->next_in)
			;
		*pp = l->next_in;
		l->to = NULL;
	}
}

/* Nothing leads to the block any more but the lists of its pages. */
static void
block_kill(struct soft_vm *vm, struct block *b)
{
	struct block **pp;

	b->dead = true;
	for (pp = &vm->hash[block_hash(b->pc, b->gpa, b->flags)]; *pp != b;
	     pp = &(*pp)->hash_next)
		;
	*pp = b->hash_next;
	unlink_in(b);
	unlink_out(b);
	for (unsigned i = 0; i < vm->ncpus; i++)
		soft_jc_forget(vm->cpus[i], b);
}

static void
page_forget(struct code_page *cp, uint64_t page, struct block *b)
{
	struct block **pp = &cp->blocks;

	while (*pp != b)
		pp = &(*pp)->page_next[((*pp)->gpa >> 12) != page];
	*pp = b->page_next[(b->gpa >> 12) != page];
}

/* Drops the blocks of one page that overlap [first, end] within it. */
static void
invalidate_page(struct soft_vm *vm, uint64_t gpa, unsigned first, unsigned end)
{
	uint64_t page = gpa >> 12;
	struct code_page *cp = vm->pages[page];
	struct block *b, *next;
	uint64_t map = 0;

	for (b = cp->blocks; b != NULL; b = next) {
		unsigned which = (b->gpa >> 12) != page, s, e;

		next = b->page_next[which];
		s = which ? 0 : (unsigned)(b->gpa & 0xfff);
		e = which ? (unsigned)((b->gpa & 0xfff) + b->len - 0x1001) :
			    s + b->len - 1;
		/* Of a page that follows itself: be it hit or not. */
		if ((e < first || s > end) &&
		    (b->gpa2 == GPA_NONE || in_two_pages(b)))
			continue;
		block_kill(vm, b);
		vm->invalidated++;
		page_forget(cp, page, b);
		if (in_two_pages(b)) {
			uint64_t other = (which ? b->gpa : b->gpa2) >> 12;

			page_forget(vm->pages[other], other, b);
		}
	}
	for (b = cp->blocks; b != NULL;
	     b = b->page_next[(b->gpa >> 12) != page])
		map |= block_lines(b, page);
	atomic_store(&cp->map, map);
}

/* ---- eviction ---- */

/* Dead blocks leave the list of a page. */
static void
page_sweep(struct code_page *cp)
{
	uint64_t page = cp->gpa >> 12, map = 0;
	struct block *b, **pp = &cp->blocks;

	while ((b = *pp) != NULL) {
		struct block **next = &b->page_next[(b->gpa >> 12) != page];

		if (b->dead)
			*pp = *next;
		else {
			map |= block_lines(b, page);
			pp = next;
		}
	}
	atomic_store(&cp->map, map);
	cp->stale = false;
}

/* Links within the part need no care: both ends go. */
static void
evict_part(struct soft_vm *vm, unsigned part)
{
	struct block **blocks = &vm->blocks[part * BLOCKS_PER_PART];
	unsigned n = vm->nblocks[part];

	trace(TRACE_soft, "part %u of the code cache: %u blocks", part, n);
	for (unsigned i = 0; i < n; i++) {
		struct block *b = blocks[i];

		if (b->dead) { /* and known to nobody */
			blocks[i] = NULL;
			continue;
		}
		block_kill(vm, b);
		vm->evicted++;
		vm->pages[b->gpa >> 12]->stale = true;
		if (in_two_pages(b))
			vm->pages[b->gpa2 >> 12]->stale = true;
	}
	for (unsigned i = 0; i < n; i++) {
		struct block *b = blocks[i];

		if (b == NULL)
			continue;
		if (vm->pages[b->gpa >> 12]->stale)
			page_sweep(vm->pages[b->gpa >> 12]);
		if (in_two_pages(b) && vm->pages[b->gpa2 >> 12]->stale)
			page_sweep(vm->pages[b->gpa2 >> 12]);
	}
	begin_part(vm, part);
	if (n != 0)
		vm->flushes++;
}

void
soft_cache_evict(struct soft_vm *vm)
{
	evict_part(vm, (vm->part + 1) % CODE_PARTS);
}

/* Pages without blocks become ordinary ones. */
static void
free_idle_pages(struct soft_vm *vm)
{
	for (unsigned i = 0; i < vm->npool; i++) {
		struct code_page *cp = &vm->page_pool[i];

		if (cp->gpa != GPA_NONE && cp->blocks == NULL)
			page_free(vm, cp);
	}
}

void
soft_cache_flush(struct soft_vm *vm)
{
	for (unsigned i = 0; i < CODE_PARTS; i++)
		soft_cache_evict(vm);
	free_idle_pages(vm);
}

static struct code_page *
page_new(struct soft_vm *vm)
{
	bool idle = vm->free_pages == NULL;
	struct code_page *cp;

	if (vm->free_pages == NULL && vm->npool < PAGE_POOL)
		return (&vm->page_pool[vm->npool++]);
	if (vm->free_pages == NULL)
		free_idle_pages(vm);
	/* One that is about to get its first block may have gone with them:
	 * there must be enough for it to come back. */
	while (vm->free_pages == NULL || (idle && vm->nfree < 16)) {
		soft_cache_evict(vm);
		free_idle_pages(vm);
	}
	vm->nfree--;
	cp = vm->free_pages;
	vm->free_pages = cp->next;
	return (cp);
}

void
soft_page_watch(struct soft_vm *vm, uint64_t gpa)
{
	struct code_page *cp;

	if (vm->pages[gpa >> 12] != NULL)
		return;
	cp = page_new(vm);
	*cp = (struct code_page){ .gpa = gpa & ~0xfffull };
	vm->pages[gpa >> 12] = cp;
	gmem_watch(vm->gmem, gpa, true);
	for (unsigned i = 0; i < vm->ncpus; i++)
		soft_tlb_protect(vm->cpus[i], gpa);
}

/* ---- finding ---- */

void
soft_invalidate(struct soft_vm *vm, uint64_t gpa, uint64_t len)
{
	soft_code_lock(vm);
	while (len > 0) {
		uint64_t n = 0x1000 - (gpa & 0xfff);

		if (n > len)
			n = len;
		if ((gpa >> 12) < vm->npages && vm->pages[gpa >> 12] != NULL)
			invalidate_page(vm, gpa,
			    (unsigned)(gpa & 0xfff),
			    (unsigned)((gpa & 0xfff) + n - 1));
		gpa += n;
		len -= n;
	}
	soft_code_unlock(vm);
}

struct block *
soft_block_at(struct soft_vm *vm, uint64_t host)
{
	uint64_t base = (uint64_t)(uintptr_t)vm->code_rx;
	unsigned lo = 0, hi, mid, part;
	struct block **blocks;

	if (host < base || host >= base + CODE_CACHE_SIZE)
		return (NULL);
	part = (unsigned)((host - base) / CODE_PART_SIZE);
	blocks = &vm->blocks[part * BLOCKS_PER_PART];
	hi = atomic_load_explicit(&vm->nblocks[part], memory_order_acquire);
	if (hi == 0)
		return (NULL);
	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if ((uint64_t)(uintptr_t)blocks[mid]->code <= host)
			lo = mid;
		else
			hi = mid;
	}
	return (blocks[lo]);
}

const struct insn_map *
soft_insn_at(const struct block *b, uint64_t host)
{
	uint32_t off = (uint32_t)(host - (uint64_t)(uintptr_t)b->code);
	unsigned lo = 0, hi = b->nmap, mid;

	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if (b->map[mid].host <= off)
			lo = mid;
		else
			hi = mid;
	}
	return (&b->map[lo]);
}

/* The block at gpa. One that reaches into a second page is only it if that
 * is at *gpa2; GPA_NONE: not known, and set to anything else if it matters. */
static struct block *
search(struct soft_cpu *cpu, uint64_t gpa, uint64_t *gpa2)
{
	struct block *b;
	bool ask = false;

	for (b = cpu->vm->hash[block_hash(cpu->rip, gpa, cpu->flags)];
	     b != NULL; b = b->hash_next) {
		if (b->pc != cpu->rip || b->gpa != gpa ||
		    b->flags != cpu->flags ||
		    b->cs_limit != soft_cs_limit(cpu))
			continue;
		if (b->gpa2 == GPA_NONE || b->gpa2 == *gpa2)
			return (b);
		ask |= *gpa2 == GPA_NONE;
	}
	if (ask)
		*gpa2 = 0;
	return (NULL);
}

static void
code_lock(struct soft_cpu *cpu)
{
	soft_code_lock(cpu->vm);
	cpu->owns_code = true;
}

static void
code_unlock(struct soft_cpu *cpu)
{
	cpu->owns_code = false;
	soft_code_unlock(cpu->vm);
}

/* The world is stopped: a page becomes one with code, or (no need) the oldest
 * part of the cache is emptied. */
static void
make_room(struct soft_cpu *cpu, uint64_t need)
{
	bool mine = cpu->owns_world;

	soft_world_stop(cpu);
	soft_code_lock(cpu->vm);
	if (need != GPA_NONE)
		soft_page_watch(cpu->vm, need);
	else
		soft_cache_evict(cpu->vm);
	soft_code_unlock(cpu->vm);
	if (!mine)
		soft_world_go(cpu);
}

/* Where the page behind lin is. The walk may read tables in I/O memory, and a
 * device may then write to code: not with the code lock. */
static void
next_page(struct soft_cpu *cpu, uint64_t lin, uint64_t *gpa2)
{
	if (soft_translate_va(cpu, soft_next_page(cpu, lin), ACC_X,
		cpu->flags & BF_MMU, gpa2) == NULL)
		*gpa2 = GPA_MMIO;
}

/* soft_find_block(), and the code lock is held if there is one. */
static struct block *
find_locked(struct soft_cpu *cpu)
{
	struct soft_vm *vm = cpu->vm;
	uint64_t gpa, gpa2 = GPA_NONE, lin, need;
	unsigned m = cpu->flags & BF_MMU, kind;
	struct block *b;

	cpu->stat.lookups++;
	if (cpu->rip > soft_cs_limit(cpu) && !(cpu->flags & BF_CODE64))
		soft_raise_err(cpu, EXC_GP, 0);
	lin = cpu->rip;
	if (!(cpu->flags & BF_CODE64))
		lin = (uint32_t)(lin + cpu->seg[VM_SEG_CS].base);
	for (;;) {
		if (soft_translate_va(cpu, lin, ACC_X, m, &gpa) == NULL) {
			snprintf(cpu->exit->u.engine.reason,
			    sizeof(cpu->exit->u.engine.reason),
			    "code outside memory at 0x%lx (physical 0x%lx)",
			    cpu->rip, gpa);
			cpu->exit->exitcode = VM_EXITCODE_ENGINE;
			cpu->exit_now = true;
			return (NULL);
		}
		code_lock(cpu);
		need = gpa2;
		b = search(cpu, gpa, &gpa2);
		if (b != NULL)
			return (b);
		if (gpa2 != need) { /* a straddler: is it the one? */
			code_unlock(cpu);
			next_page(cpu, lin, &gpa2);
			continue;
		}
		soft_fpu_leave(cpu);
		need = GPA_NONE;
		if (!soft_page_watched(vm, gpa))
			need = gpa;
		else {
			kind = soft_clock(cpu, TIME_TRANSLATE);
			b = soft_translate(cpu, gpa, gpa2, &need);
			(void)soft_clock(cpu, kind);
		}
		if (b != NULL)
			return (b);
		code_unlock(cpu);
		if (cpu->exit_now)
			return (NULL);
		if (need == GPA_NEXT_PAGE)
			next_page(cpu, lin, &gpa2);
		else
			make_room(cpu, need);
	}
}

struct block *
soft_find_block(struct soft_cpu *cpu)
{
	struct block *b = find_locked(cpu);

	if (b != NULL)
		code_unlock(cpu);
	return (b);
}

const void *
soft_lookup(struct soft_cpu *cpu)
{
	const void *code;
	struct block *b;
	unsigned m = cpu->flags & BF_MMU;

	if (atomic_load_explicit(&cpu->poll, memory_order_relaxed) ||
	    cpu->exit_now || (cpu->flags & BF_STEP))
		return (NULL);
	cpu->rflags &= ~FL_RF; /* for one instruction only */
	soft_stack_check(cpu);
	if (cpu->jc_flags[m] == cpu->flags &&
	    ((code = soft_jc_find(cpu, m, cpu->rip)) != NULL ||
		(code = soft_jc2_find(cpu, m, cpu->rip)) != NULL))
		return (code);
	b = find_locked(cpu);
	if (b == NULL)
		return (NULL);
	soft_jc_add(cpu, b);
	code_unlock(cpu);
	return (soft_block_entry(b));
}

const void *
soft_miss(struct soft_cpu *cpu)
{
	if ((cpu->flags & BF_CODE64) && !soft_canonical(cpu, cpu->rip)) {
		/* Constants are canonical: it is tr_goto_t0()'s, which says
		 * where it is and, there, what rSP has been moved up by. */
		int32_t moved;

		memcpy(&moved, cpu->vm->code_rw + cpu->from, sizeof(moved));
		cpu->gpr[R_SP] -= (uint64_t)(int64_t)moved;
		cpu->host_ret =
		    (uint64_t)(uintptr_t)cpu->vm->code_rx + cpu->from;
		soft_raise_err(cpu, EXC_GP, 0);
	}
	return (soft_lookup(cpu));
}

const void *
soft_link(struct soft_cpu *cpu, struct link *l)
{
	struct block *from = l->from, *b;
	struct soft_vm *vm = cpu->vm;
	uint64_t flushes = vm->flushes;

	cpu->rip = l->pc;
	if (l->never)
		return (soft_lookup(cpu));
	if (atomic_load_explicit(&cpu->poll, memory_order_relaxed))
		return (NULL);
	b = find_locked(cpu);
	if (b == NULL)
		return (NULL);
	/*
	 * A link stays good as long as its block's page stays mapped: both
	 * ends lie in that page. Not so for a target that reaches into the
	 * next one.
	 */
	if (flushes == vm->flushes && !from->dead &&
	    l->to == NULL && b->gpa2 == GPA_NONE && b->flags == from->flags &&
	    b->cs_limit == from->cs_limit &&
	    (b->gpa >> 12) == (from->gpa >> 12)) {
		l->to = b;
		l->next_in = b->incoming;
		b->incoming = l;
		__atomic_store_n((int32_t *)(void *)l->patch,
		    (int32_t)(b->code - (vm->code_rx +
					    (l->patch + 4 - vm->code_rw))),
		    __ATOMIC_RELEASE);
	} else {
		if (flushes == vm->flushes && b->gpa2 != GPA_NONE)
			l->never = true;
		soft_jc_add(cpu, b);
	}
	code_unlock(cpu);
	return (soft_block_entry(b));
}

const void *
soft_late(struct soft_cpu *cpu)
{
	struct soft_vm *vm = cpu->vm;
	struct block *b = soft_block_at(vm, cpu->late_pc);
	const void *slow;
	unsigned kind;
	int error;

	cpu->host_ret = cpu->late_pc + 1;
	soft_sync_rip(cpu);
	soft_fpu_leave(cpu);
	kind = soft_clock(cpu, TIME_TRANSLATE);
	code_lock(cpu);
	error = soft_translate_late(cpu, b, cpu->late_pc, &slow);
	code_unlock(cpu);
	if (error == -ENOSPC)
		make_room(cpu, GPA_NONE);
	else if (error != 0) {
		soft_invalidate(vm, b->gpa, 1);
		cpu->early = true;
	}
	(void)soft_clock(cpu, kind);
	if (error == 0)
		return (slow);
	/* Nothing of the instruction has been done: it begins anew, in what
	 * code the flags say. */
	slow = soft_lookup(cpu);
	cpu->kind = cpu->flags & BF_STACK;
	cpu->neg = 0;
	return (slow);
}
