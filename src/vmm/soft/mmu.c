/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest page tables and the TLB. Intel SDM volume 3, chapter 4 ("Paging").
 * A light file, see soft.h.
 */
#include "gmem/gmem.h"
#include "vmm/soft/mem.h"
#include "vmm/soft/mirror.h"
#include "vmm/soft/soft.h"

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX 0x8000000000000000ull

#define PF_P 0x1u
#define PF_W 0x2u
#define PF_U 0x4u
#define PF_RSVD 0x8u
#define PF_I 0x10u

/* For an access; to know whether it would fault; and that without I/O, which
 * tables may be in: they then count as not there. */
enum walk_how { WALK_REAL, WALK_CHECK, WALK_QUIET };

struct walk {
	uint64_t gpa;
	bool writable, user, nx, accessed, dirty, global, large;
};

/* An index for which no address can match; see TLB layout in layout.h: a
 * tag of 0 serves all but the two indices next to address 0. */
static uint64_t
tlb_invalid(unsigned idx)
{
	return (idx == 0 || idx == TLB_SIZE - 1 ? 0x08000000ull : 0);
}

static void
tlb_clear(struct soft_cpu *cpu, unsigned m, unsigned idx)
{
	struct tlb_entry *e = &soft_tlb(cpu, m)[idx];

	e->ntag[ACC_R] = e->ntag[ACC_W] = e->ntag[ACC_X] = tlb_invalid(idx);
}

/* ---- entries that may be written through, by page ---- */

/* The page of RAM that the entry may be written through to; NULL: none. */
static uint8_t *
wr_page(struct soft_cpu *cpu, uint32_t f)
{
	struct tlb_entry *e = &soft_tlb(cpu, f >> 16 & 3)[f & 0xffff];

	if (e->ntag[ACC_W] == tlb_invalid(f & 0xffff))
		return (NULL);
	return ((uint8_t *)(uintptr_t)(0 - e->ntag[ACC_W] + e->addend));
}

static uint32_t *
wr_slot(struct soft_cpu *cpu, const uint8_t *page)
{
	return (&cpu->tlb_wr[(uint64_t)(page - cpu->vm->ram) >> 12 &
	    (TLB_WR_SIZE - 1)]);
}

static void
wr_note(struct soft_cpu *cpu, uint32_t f)
{
	uint32_t *slot = wr_slot(cpu, wr_page(cpu, f));

	f |= TLB_WR_ONE;
	*slot = *slot == 0 || *slot == f ? f : TLB_WR_MANY;
}

/* The entry goes; `all`: and every other one. */
static void
wr_forget(struct soft_cpu *cpu, uint32_t f, bool all)
{
	uint8_t *page = wr_page(cpu, f);
	uint32_t *slot;

	if (page == NULL)
		return;
	slot = wr_slot(cpu, page);
	if (all || *slot == (f | TLB_WR_ONE))
		*slot = 0;
}

static void
wr_take(struct soft_cpu *cpu, uint32_t f)
{
	soft_tlb(cpu, f >> 16 & 3)[f & 0xffff].ntag[ACC_W] =
	    tlb_invalid(f & 0xffff);
}

void
soft_tlb_protect(struct soft_cpu *cpu, uint64_t gpa)
{
	uint8_t *page = cpu->vm->ram + (gpa & ~0xfffull), *p;
	uint32_t *slot = wr_slot(cpu, page), one = *slot & ~TLB_WR_ONE, f;
	bool others = false;

	soft_mirror_protect(cpu, gpa);
	if (*slot != TLB_WR_MANY) {
		/* Another page has the same slot if it is not this one. */
		if (*slot != 0 && wr_page(cpu, one) == page) {
			wr_take(cpu, one);
			*slot = 0;
		}
		return;
	}
	for (unsigned g = 0; g < 2; g++)
		for (unsigned n = 0; n < cpu->tlb_nfill[g]; n++) {
			f = cpu->tlb_fill[g][n];
			p = wr_page(cpu, f);
			if (p == page)
				wr_take(cpu, f);
			else
				others |= p != NULL && wr_slot(cpu, p) == slot;
		}
	if (!others)
		*slot = 0;
}

/* ---- stores to pages with code ---- */

/* Never 0, which means none: bit 2. */
static uint64_t
code_key(uint64_t va, unsigned m)
{
	return ((va & ~0xfffull) | m | 4);
}

static void
code_forget(struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < TLB_CODE_SIZE; i++)
		cpu->tlb_code[i].key = 0;
}

/* ---- flushes ---- */

void
soft_tlb_init(struct soft_cpu *cpu)
{
	for (unsigned m = 0; m < MMU_MODES; m++) {
		tlb_clear(cpu, m, 0);
		tlb_clear(cpu, m, TLB_SIZE - 1);
	}
	soft_jc_init(cpu);
	soft_mirror_init(cpu);
}

void
soft_tlb_flush(struct soft_cpu *cpu, bool global)
{
	cpu->stat.tlb_flushes++;
	soft_mirror_drop(cpu);
	code_forget(cpu);
	for (unsigned g = 0; g <= global; g++) {
		for (unsigned n = 0; n < cpu->tlb_nfill[g]; n++) {
			uint32_t f = cpu->tlb_fill[g][n];

			wr_forget(cpu, f, global);
			tlb_clear(cpu, f >> 16, f & 0xffff);
		}
		cpu->tlb_nfill[g] = 0;
	}
	if (global)
		soft_pcid_drop_all(cpu);
	soft_jc_flush(cpu, MMU_USER);
	if (global || cpu->jc_nonglobal) {
		soft_jc_flush(cpu, MMU_KERNEL);
		soft_jc_flush(cpu, MMU_KERNEL_AC);
		cpu->jc_nonglobal = false;
	}
	if (global)
		for (unsigned i = 0; i < 32; i++)
			cpu->tlb_large[i] = 0;
}

/* ---- PCIDs that are not the current one ---- */

static struct pcid_set *
pcid_set(struct soft_cpu *cpu, uint64_t pcid)
{
	return (&cpu->pcid[pcid % PCID_SETS]);
}

void
soft_pcid_drop(struct soft_cpu *cpu, uint64_t pcid)
{
	struct pcid_set *set = pcid_set(cpu, pcid);

	if (set->pcid == pcid)
		set->used = false;
}

void
soft_pcid_drop_all(struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < PCID_SETS; i++)
		cpu->pcid[i].used = false;
}

static bool
tlb_used(const struct tlb_entry *e, unsigned idx)
{
	uint64_t inv = tlb_invalid(idx);

	return (e->ntag[ACC_R] != inv || e->ntag[ACC_W] != inv ||
	    e->ntag[ACC_X] != inv);
}

/* The youngest entries, of which there may be several notes: the first takes
 * it away, so that the others find nothing. */
static void
pcid_save(struct soft_cpu *cpu, uint64_t pcid)
{
	struct pcid_set *set = pcid_set(cpu, pcid);
	unsigned n = 0;

	for (unsigned i = cpu->tlb_nfill[0]; i > 0 && n < PCID_TLB; i--) {
		uint32_t f = cpu->tlb_fill[0][i - 1];
		struct tlb_entry *e = &soft_tlb(cpu, f >> 16)[f & 0xffff];

		if (!tlb_used(e, f & 0xffff))
			continue;
		set->tlb[n].where = f;
		set->tlb[n++].e = *e;
		wr_forget(cpu, f, false);
		tlb_clear(cpu, f >> 16, f & 0xffff);
	}
	set->used = true;
	set->pcid = (uint16_t)pcid;
	set->ntlb = n;
	soft_jc_save(cpu, set);
}

/* Not over entries that are there, which are global. */
static void
pcid_restore(struct soft_cpu *cpu, const struct pcid_set *set)
{
	struct soft_vm *vm = cpu->vm;

	for (unsigned i = set->ntlb; i > 0; i--) {
		uint32_t f = set->tlb[i - 1].where;
		struct tlb_entry *e = &soft_tlb(cpu, f >> 16)[f & 0xffff];
		uint8_t *page;

		if (tlb_used(e, f & 0xffff))
			continue;
		*e = set->tlb[i - 1].e;
		/* As in tlb_add(). */
		if (f >> 16 != MMU_USER &&
		    e->ntag[ACC_X] != tlb_invalid(f & 0xffff))
			cpu->jc_nonglobal = true;
		cpu->tlb_fill[0][cpu->tlb_nfill[0]++] = f;
		page = wr_page(cpu, f);
		if (page == NULL)
			continue;
		/* It may have become a page with code meanwhile. */
		if (vm->pages[(uint64_t)(page - vm->ram) >> 12] != NULL)
			wr_take(cpu, f);
		else
			wr_note(cpu, f);
	}
	soft_jc_restore(cpu, set);
}

void
soft_tlb_switch(struct soft_cpu *cpu, uint64_t from, uint64_t to, bool keep)
{
	struct pcid_set *set = pcid_set(cpu, to);
	bool on = !(cpu->vm->off & SOFT_OFF_PCID);

	/* Both may have the same place. */
	if (!keep || set->pcid != to)
		set->used = false;
	keep = on && keep && set->used;
	if (keep && set == pcid_set(cpu, from)) {
		soft_tlb_flush(cpu, false);
		pcid_restore(cpu, set);
		set->used = false;
		return;
	}
	if (on)
		pcid_save(cpu, from);
	soft_tlb_flush(cpu, false);
	if (!keep)
		return;
	pcid_restore(cpu, set);
	set->used = false;
	cpu->stat.pcid_kept++;
}

static uint64_t *
large_word(struct soft_cpu *cpu, uint64_t va, uint64_t *bit)
{
	/* The halves apart: a program low in memory must not share a bit with
	 * the kernel's direct map. */
	unsigned n = ((unsigned)(va >> 30) & 1023) | (unsigned)(va >> 63) << 10;

	*bit = 1ull << (n & 63);
	return (&cpu->tlb_large[n >> 6]);
}

void
soft_flush_asked(struct soft_cpu *cpu)
{
	if (atomic_load_explicit(&cpu->flush_req, memory_order_relaxed) == 0)
		return;
	atomic_store(&cpu->flush_req, 0);
	soft_tlb_flush(cpu, true);
}

void
soft_tlb_flush_page(struct soft_cpu *cpu, uint64_t va)
{
	unsigned idx = (va >> 12) & 0xffff;
	uint64_t bit, *word = large_word(cpu, va, &bit);

	if (*word & bit) {
		soft_tlb_flush(cpu, true);
		return;
	}
	soft_mirror_drop_page(cpu, va);
	cpu->tlb_code[(va >> 12) % TLB_CODE_SIZE].key = 0;
	for (unsigned m = 0; m < MMU_MODES; m++) {
		bool x = soft_tlb(cpu, m)[idx].ntag[ACC_X] !=
		    tlb_invalid(idx);

		wr_forget(cpu, m << 16 | idx, false);
		tlb_clear(cpu, m, idx);
		if (x || cpu->jc_orphans[m])
			soft_jc_flush(cpu, m);
	}
}

/* A paging-structure entry: in RAM, or wherever the guest has put it. */
struct pte {
	uint64_t gpa, val;
	uint64_t *ram; /* NULL: not in RAM */
};

static void
read_pte(struct soft_cpu *cpu, struct pte *p, uint64_t gpa, unsigned width)
{
	gpa = soft_phys(cpu, gpa);
	p->gpa = gpa;
	p->ram = NULL;
	if (soft_is_ram(cpu->vm, gpa)) {
		p->ram = (uint64_t *)(void *)(cpu->vm->ram + gpa);
		p->val = width == 8 ? *(volatile uint64_t *)p->ram :
				      *(volatile uint32_t *)(void *)p->ram;
	} else
		p->val = soft_phys_read(cpu, gpa, width);
}

/* Sets A (and D) as the processor does: atomically, and only if the entry
 * is still what was read (SDM 4.8). */
static bool
set_ad(struct soft_cpu *cpu, const struct pte *p, uint64_t bits,
    unsigned width)
{
	uint64_t old = p->val;
	bool done;

	if ((old & bits) == bits)
		return (true);
	if (p->ram == NULL) {
		soft_phys_write(cpu, p->gpa, width, old | bits);
		return (true);
	}
	if (width == 4) {
		uint32_t o = (uint32_t)old;

		done = atomic_compare_exchange_strong(
		    (_Atomic uint32_t *)(void *)p->ram, &o,
		    (uint32_t)(old | bits));
	} else
		done = atomic_compare_exchange_strong(
		    (_Atomic uint64_t *)p->ram, &old, old | bits);
	soft_dirty(cpu->vm, p->gpa);
	return (done);
}

/* Physical-address bits that no entry may have. */
static uint64_t
phys_reserved(const struct soft_cpu *cpu)
{
	return (~((1ull << cpu->vm->cpuid.maxphyaddr) - 1) &
	    0x000fffffffffffffull);
}

bool
soft_load_pdptes(struct soft_cpu *cpu, uint64_t cr0, uint64_t cr3,
    uint64_t cr4, bool check)
{
	struct pte p;
	uint64_t v[4];

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (cpu->efer & EFER_LME))
		return (true);
	for (unsigned i = 0; i < 4; i++) {
		read_pte(cpu, &p, (cr3 & 0xffffffe0ull) + i * 8, 8);
		v[i] = p.val;
		/* SDM table 4-8: bits 2:1, 8:5 and all from MAXPHYADDR on. */
		if (check && (v[i] & PTE_P) &&
		    (v[i] & (0xfff00000000001e6ull | phys_reserved(cpu))))
			return (false);
	}
	for (unsigned i = 0; i < 4; i++)
		cpu->pdpte[i] = v[i];
	return (true);
}

/* SDM tables 4-5 to 4-20: what is reserved in an entry of any level, ... */
static uint64_t
reserved_all(const struct soft_cpu *cpu, bool lma, unsigned width)
{
	if (width == 4)
		return (0);
	return (phys_reserved(cpu) |
	    (cpu->efer & EFER_NXE ? 0 : PTE_NX) |
	    (lma ? 0 : 0x7ff0000000000000ull));
}

/* ... and in those that are not a PTE, besides. */
static uint64_t
reserved_upper(
    const struct soft_cpu *cpu, unsigned l, bool leaf, unsigned width)
{
	unsigned m = cpu->vm->cpuid.maxphyaddr;

	if (l >= 4)
		return (PTE_PS);
	if (!leaf)
		return (0);
	if (width == 8) /* all but bit 12, PAT */
		return (((1ull << (12 + (l - 1) * 9)) - 1) & ~0x1fffull);
	/* PSE-36: address bits 39:32 are in bits 20:13. */
	return ((m < 40 ? ((1ull << 40) - (1ull << m)) >> 19 : 0) |
	    1ull << 21);
}

/*
 * Walks the tables. Returns true with *w, or false with *err (page fault
 * error code, SDM 4.7). WALK_REAL sets A, and D for writes, but not in
 * tables that lie in ROM.
 */
static bool
walk(struct soft_cpu *cpu, uint64_t va, int acc, unsigned m, struct walk *w,
    uint32_t *err, enum walk_how how)
{
	bool peek = how != WALK_REAL;
	bool pae = (cpu->cr4 & CR4_PAE) != 0, lma = (cpu->efer & EFER_LMA) != 0;
	bool user = m == MMU_USER, nxe = (cpu->efer & EFER_NXE) != 0;
	bool la57 = (cpu->cr4 & CR4_LA57) != 0;
	unsigned levels = lma ? 4 + la57 : pae ? 3 : 2, width = pae ? 8 : 4;
	unsigned bits = pae ? 9 : 10, shift, l;
	uint64_t table, idx, pte, want, rsvd;
	struct pte p;

	*err = (acc == ACC_W ? PF_W : 0) | (user ? PF_U : 0) |
	    (acc == ACC_X &&
			((nxe && pae) || (cpu->cr4 & CR4_SMEP) != 0) ?
		    PF_I :
		    0);
	if (!(cpu->cr0 & CR0_PG)) {
		/* Nobody's page: SMEP and SMAP mean nothing here. */
		*w = (struct walk){ .gpa = soft_phys(cpu, va & 0xffffffff),
			.writable = true, .user = user, .accessed = true,
			.dirty = true };
		return (true);
	}
	rsvd = reserved_all(cpu, lma, width);
again:
	*w = (struct walk){ .writable = true, .user = true };
	table = cpu->cr3 & (pae ? 0x000ffffffffff000ull : 0xfffff000ull);
	l = levels;
	if (pae && !lma) {
		/* PDPTEs are in registers and have no rights (SDM 4.4.1). */
		pte = cpu->pdpte[(va >> 30) & 3];
		if (!(pte & PTE_P))
			return (false);
		table = pte & 0x000ffffffffff000ull;
		l--;
	}
	for (; l > 0; l--) {
		bool leaf;

		shift = 12 + (l - 1) * bits;
		idx = (va >> shift) & ((1u << bits) - 1);
		if (how == WALK_QUIET &&
		    !soft_is_ram(cpu->vm, soft_phys(cpu, table + idx * width)))
			return (false);
		read_pte(cpu, &p, table + idx * width, width);
		pte = p.val;
		if (!(pte & PTE_P))
			return (false);
		leaf = l == 1 ||
		    ((pte & PTE_PS) &&
			(l == 2 ? (pae || (cpu->cr4 & CR4_PSE)) : l == 3));
		if ((pte & rsvd) ||
		    (l > 1 && (pte & reserved_upper(cpu, l, leaf, width)))) {
			*err |= PF_P | PF_RSVD;
			return (false);
		}
		w->writable &= (pte & PTE_W) != 0;
		w->user &= (pte & PTE_U) != 0;
		w->nx |= (pte & PTE_NX) != 0 && width == 8;
		if (!leaf) {
			if (!peek && !set_ad(cpu, &p, PTE_A, width))
				goto again;
			table = pte & (width == 8 ? 0x000ffffffffff000ull :
						    0xfffff000ull);
			continue;
		}
		/* Permissions are those of the whole path (SDM 4.6.1). */
		*err |= PF_P;
		if (user && !w->user)
			return (false);
		if (!user && w->user &&
		    ((acc == ACC_X && (cpu->cr4 & CR4_SMEP)) ||
			(acc != ACC_X && (cpu->cr4 & CR4_SMAP) &&
			    m != MMU_KERNEL_AC)))
			return (false);
		if (acc == ACC_X && w->nx)
			return (false);
		if (acc == ACC_W && !w->writable &&
		    (user || (cpu->cr0 & CR0_WP)))
			return (false);
		want = PTE_A | (acc == ACC_W ? PTE_D : 0);
		if (!peek && !set_ad(cpu, &p, want, width))
			goto again;
		w->large = l > 1;
		w->accessed = (pte & PTE_A) != 0;
		w->dirty = ((pte | want) & PTE_D) != 0;
		w->global = (pte & PTE_G) && (cpu->cr4 & CR4_PGE);
		w->gpa = pte &
		    (width == 8 ? 0x000ffffffffff000ull : 0xfffff000ull);
		w->gpa &= ~((1ull << shift) - 1);
		if (width == 4 && l == 2) /* PSE-36: bits 39:32 in 20:13 */
			w->gpa |= ((pte >> 13) & 0xff) << 32;
		w->gpa = soft_phys(cpu, w->gpa | (va & ((1ull << shift) - 1)));
		return (true);
	}
	return (false);
}

/* May stores go to the page without a look at it? */
static bool
can_write(const struct soft_cpu *cpu, unsigned m, const struct walk *w)
{
	return ((w->writable || (m != MMU_USER && !(cpu->cr0 & CR0_WP))) &&
	    w->dirty && soft_is_ram(cpu->vm, w->gpa) &&
	    cpu->vm->pages[w->gpa >> 12] == NULL);
}

/* The host's processor walks tables, too: two of them in a virtual machine. A
 * guest that has large pages under it misses its TLB less, and its memory
 * comes with fewer faults. */
static void
count_fill(struct soft_cpu *cpu, uint64_t gpa)
{
	_Atomic uint8_t *n = &cpu->vm->fills[gpa >> 21];

	if (atomic_load_explicit(n, memory_order_relaxed) >= LARGE_FILLS ||
	    (cpu->vm->off & SOFT_OFF_HUGE) ||
	    atomic_fetch_add(n, 1) + 1u < LARGE_FILLS)
		return;
	atomic_fetch_sub(n, 1);
	soft_make_large(cpu, gpa);
}

void
soft_make_large(struct soft_cpu *cpu, uint64_t gpa)
{
	_Atomic uint8_t *n = &cpu->vm->fills[gpa >> 21];

	if ((cpu->vm->off & SOFT_OFF_HUGE) ||
	    atomic_exchange(n, LARGE_FILLS) >= LARGE_FILLS)
		return;
	soft_fpu_leave(cpu);
	(void)gmem_make_large(cpu->vm->gmem, gpa);
}

static void
tlb_add(struct soft_cpu *cpu, uint64_t va, int acc, unsigned m,
    const struct walk *w)
{
	unsigned idx = (va >> 12) & 0xffff;
	struct tlb_entry *e = &soft_tlb(cpu, m)[idx];
	uint64_t page = va & ~0xfffull, gpa = w->gpa & ~0xfffull;
	uint64_t inv = tlb_invalid(idx), ntag = 0 - page;
	struct soft_vm *vm = cpu->vm;
	bool user = m == MMU_USER, writes = can_write(cpu, m, w);

	cpu->stat.tlb_fills++;
	count_fill(cpu, gpa);
	if (e->ntag[ACC_R] != ntag && e->ntag[ACC_X] != ntag) {
		if (e->ntag[ACC_X] != inv)
			cpu->jc_orphans[m] = true;
		if (cpu->tlb_nfill[w->global] == TLB_FILL_MAX)
			soft_tlb_flush(cpu, true);
		wr_forget(cpu, idx | m << 16, false);
		tlb_clear(cpu, m, idx);
		cpu->tlb_fill[w->global][cpu->tlb_nfill[w->global]++] =
		    idx | m << 16;
		if (w->large) {
			uint64_t bit, *word = large_word(cpu, va, &bit);

			*word |= bit;
		}
	}
	/* With a dirty log who reads does not get what is for who writes. */
	if (acc == ACC_W)
		soft_dirty(vm, gpa);
	else if (vm->dirty != NULL)
		writes = false;
	wr_forget(cpu, idx | m << 16, false);
	e->ntag[ACC_W] = inv;
	e->addend = (uint64_t)(uintptr_t)(vm->ram + gpa) - page;
	/* What a later look-up of another kind may do without a walk. */
	if (user || !w->user || !(cpu->cr4 & CR4_SMAP) || m == MMU_KERNEL_AC) {
		e->ntag[ACC_R] = ntag;
		if (writes) {
			e->ntag[ACC_W] = ntag;
			wr_note(cpu, idx | m << 16);
		} else if (acc == ACC_W) {
			cpu->tlb_code[(va >> 12) % TLB_CODE_SIZE].key =
			    code_key(va, m);
			cpu->tlb_code[(va >> 12) % TLB_CODE_SIZE].host =
			    vm->ram + gpa;
		}
	}
	if (!w->nx && (user || !w->user || !(cpu->cr4 & CR4_SMEP)))
		e->ntag[ACC_X] = ntag;
	if (acc == ACC_X && !user && !w->global)
		cpu->jc_nonglobal = true;
}

static bool
canonical(const struct soft_cpu *cpu, uint64_t va)
{
	/* Compatibility mode makes no others, but its tables are anywhere. */
	return (!(cpu->efer & EFER_LMA) || soft_canonical(cpu, va));
}

void
soft_check_canonical(
    struct soft_cpu *cpu, uint64_t va, unsigned len, bool stack)
{
	if (!canonical(cpu, va) || !canonical(cpu, va + len - 1))
		soft_raise_err(cpu, stack ? EXC_SS : EXC_GP, 0);
}

uint8_t *
soft_translate_va(
    struct soft_cpu *cpu, uint64_t va, int acc, unsigned m, uint64_t *gpa)
{
	struct tlb_entry *e = &soft_tlb(cpu, m)[(va >> 12) & 0xffff];
	struct walk w;
	uint64_t gfn;
	uint32_t err;

	if (e->ntag[acc] == 0 - (va & ~0xfffull)) {
		uint8_t *host = (uint8_t *)(uintptr_t)(va + e->addend);

		if (gpa != NULL)
			*gpa = (uint64_t)(host - cpu->vm->ram);
		return (host);
	}
	if (acc == ACC_W &&
	    cpu->tlb_code[(va >> 12) % TLB_CODE_SIZE].key == code_key(va, m)) {
		uint8_t *host =
		    cpu->tlb_code[(va >> 12) % TLB_CODE_SIZE].host;

		gfn = (uint64_t)(host - cpu->vm->ram) >> 12;
		if (gpa != NULL)
			*gpa = gfn << 12 | (va & 0xfff);
		/* Not a page with code any more: an entry for it below. */
		if (cpu->vm->pages[gfn] != NULL)
			return (host + (va & 0xfff));
	}
	if (!canonical(cpu, va))
		soft_raise_err(cpu, EXC_GP, 0);
	if (!walk(cpu, va, acc, m, &w, &err, WALK_REAL))
		soft_raise_pf(cpu, va, err);
	if (gpa != NULL)
		*gpa = w.gpa;
	if (!soft_is_memory(cpu->vm, w.gpa) ||
	    (acc == ACC_W && soft_is_rom(cpu->vm, w.gpa)))
		return (NULL);
	tlb_add(cpu, va, acc, m, &w);
	return (cpu->vm->ram + w.gpa);
}

bool
soft_peek(struct soft_cpu *cpu, uint64_t va, unsigned m, uint64_t *gpa,
    bool *write)
{
	const struct tlb_entry *e = &soft_tlb(cpu, m)[(va >> 12) & 0xffff];
	uint64_t ntag = 0 - (va & ~0xfffull);
	struct walk w;
	uint32_t err;

	if (e->ntag[ACC_R] == ntag) {
		*gpa = va + e->addend - (uint64_t)(uintptr_t)cpu->vm->ram;
		*write = e->ntag[ACC_W] == ntag;
		return (true);
	}
	if (!canonical(cpu, va) ||
	    !walk(cpu, va, ACC_R, m, &w, &err, WALK_QUIET) || !w.accessed)
		return (false);
	*gpa = w.gpa;
	*write = can_write(cpu, m, &w);
	return (true);
}

void
soft_check_va(struct soft_cpu *cpu, uint64_t va, int acc, unsigned m)
{
	struct walk w;
	uint32_t err;

	if (soft_tlb(cpu, m)[(va >> 12) & 0xffff].ntag[acc] ==
	    0 - (va & ~0xfffull))
		return;
	if (!canonical(cpu, va))
		soft_raise_err(cpu, EXC_GP, 0);
	if (!walk(cpu, va, acc, m, &w, &err, WALK_CHECK))
		soft_raise_pf(cpu, va, err);
}
