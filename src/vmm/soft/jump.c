/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The jump caches of a vcpu: from a pc to the code of a block, one for each
 * TLB. Translated code looks at the first, soft_lookup() at the second one
 * too. A light file, see soft.h.
 */
#include "vmm/soft/soft.h"

/* What no pc fits, with either key: 0, but where 0 would fit one. */
static uint64_t
jc_empty(unsigned idx)
{
	bool special = idx == soft_jc_index(0 - JC_KEY) ||
	    idx == soft_jc_index(0 - JC_KEY_KICK);

	return (special ? 1ull << 12 : 0);
}

void
soft_jc_init(struct soft_cpu *cpu)
{
	const unsigned idx[2] = { soft_jc_index(0 - JC_KEY),
		soft_jc_index(0 - JC_KEY_KICK) };

	for (unsigned m = 0; m < MMU_MODES; m++) {
		for (unsigned i = 0; i < 2; i++)
			soft_jc(cpu, m)[idx[i]].nkey = jc_empty(idx[i]);
		atomic_store(&cpu->jc_key[m], JC_KEY);
		cpu->jc2_gen[m] = 1;
	}
}

/* ---- the second jump cache ---- */

static struct jc2_entry *
jc2_set(struct soft_cpu *cpu, unsigned m, uint64_t pc)
{
	return (cpu->jc2[m][(pc * 0x9e3779b97f4a7c15ull) >> (64 - JC2_BITS)]);
}

static void
jc2_flush(struct soft_cpu *cpu, unsigned m)
{
	if (++cpu->jc2_gen[m] != 0)
		return;
	/* Once in four thousand million times. */
	for (unsigned i = 0; i < JC2_SETS; i++)
		for (unsigned w = 0; w < 2; w++)
			atomic_store(&cpu->jc2[m][i][w].gen, 0);
	cpu->jc2_gen[m] = 1;
}

/* With the code lock. */
static void
jc2_add(struct soft_cpu *cpu, const struct block *b)
{
	unsigned m = b->flags & BF_MMU;
	struct jc2_entry *e = jc2_set(cpu, m, b->pc);

	if (e->gen == cpu->jc2_gen[m] && e->pc != b->pc)
		e[1] = e[0];
	e->pc = b->pc;
	e->code = b->code;
	atomic_store_explicit(&e->gen, cpu->jc2_gen[m], memory_order_relaxed);
}

/* With the code lock, which the vcpu itself does not need: at worst it runs
 * a block that goes just now once more. */
static void
jc2_forget(struct soft_cpu *cpu, const struct block *b)
{
	struct jc2_entry *e = jc2_set(cpu, b->flags & BF_MMU, b->pc);

	for (unsigned w = 0; w < 2; w++)
		if (e[w].code == b->code)
			atomic_store(&e[w].gen, 0);
}

/*
 * The code at pc for the mode's jump cache, or NULL. Now and then it is not
 * found, so that what is used goes to the first cache again.
 */
const void *
soft_jc2_find(struct soft_cpu *cpu, unsigned m, uint64_t pc)
{
	const struct jc2_entry *e = jc2_set(cpu, m, pc);

	for (unsigned w = 0; w < 2; w++)
		if (e[w].gen == cpu->jc2_gen[m] && e[w].pc == pc) {
			if (++cpu->jc2_hits % 8 == 0)
				return (NULL);
			cpu->stat.jc2_hits++;
			return (e[w].code);
		}
	return (NULL);
}

/*
 * Entries are really emptied: a key that changes instead would let a jump to
 * an address that is not canonical find a stale one.
 */
void
soft_jc_flush(struct soft_cpu *cpu, unsigned m)
{
	struct jc_entry *jc = soft_jc(cpu, m);

	for (unsigned i = 0; i < cpu->jc_nfill[m]; i++)
		jc[cpu->jc_fill[m][i]].nkey = jc_empty(cpu->jc_fill[m][i]);
	cpu->jc_nfill[m] = 0;
	jc2_flush(cpu, m);
	cpu->jc_orphans[m] = false;
}

/* ---- jump caches of PCIDs ---- */

/* The youngest entries, each once: it is emptied. */
void
soft_jc_save(struct soft_cpu *cpu, struct pcid_set *set)
{
	struct jc_entry *jc = soft_jc(cpu, MMU_USER);
	unsigned n = 0;

	for (unsigned i = cpu->jc_nfill[MMU_USER]; i > 0 && n < PCID_JC; i--) {
		uint16_t idx = cpu->jc_fill[MMU_USER][i - 1];
		uint64_t key = jc[idx].nkey;

		/* Of a block that was dropped, or seen already. */
		if (key == jc_empty(idx))
			continue;
		set->jc[n].idx = idx;
		set->jc[n++].e = jc[idx];
		jc[idx].nkey = jc_empty(idx);
	}
	set->njc = n;
	set->jc_flags = cpu->jc_flags[MMU_USER];
	set->flushes = cpu->vm->flushes;
	set->invalidated = cpu->vm->invalidated;
}

/* The lock: no block goes between the question and the entries. */
void
soft_jc_restore(struct soft_cpu *cpu, const struct pcid_set *set)
{
	struct jc_entry *jc = soft_jc(cpu, MMU_USER);
	struct soft_vm *vm = cpu->vm;

	soft_code_lock(vm);
	if (set->flushes == vm->flushes &&
	    set->invalidated == vm->invalidated &&
	    set->jc_flags == cpu->jc_flags[MMU_USER] &&
	    (set->jc_flags & BF_CODE64)) {
		/* The TLB may not have all of their pages. */
		cpu->jc_orphans[MMU_USER] = true;
		for (unsigned i = set->njc; i > 0; i--) {
			uint16_t idx = set->jc[i - 1].idx;

			jc[idx] = set->jc[i - 1].e;
			cpu->jc_fill[MMU_USER][cpu->jc_nfill[MMU_USER]++] =
			    idx;
		}
	}
	soft_code_unlock(vm);
}

void
soft_jc_add(struct soft_cpu *cpu, const struct block *b)
{
	unsigned m = b->flags & BF_MMU, idx = soft_jc_index(b->pc);
	struct jc_entry *e = &soft_jc(cpu, m)[idx];

	if (e->nkey == jc_empty(idx)) {
		if (cpu->jc_nfill[m] == JC_FILL_MAX)
			soft_jc_flush(cpu, m);
		cpu->jc_fill[m][cpu->jc_nfill[m]++] = (uint16_t)idx;
	}
	e->nkey = 0 - (b->pc + JC_KEY);
	e->code = b->code;
	if (!(cpu->vm->off & SOFT_OFF_JC2))
		jc2_add(cpu, b);
}

void
soft_jc_forget(struct soft_cpu *cpu, const struct block *b)
{
	unsigned idx = soft_jc_index(b->pc);
	struct jc_entry *e = &soft_jc(cpu, b->flags & BF_MMU)[idx];

	if (e->code == b->code)
		e->nkey = jc_empty(idx);
	jc2_forget(cpu, b);
}
