/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The jump caches of a vcpu: from a pc to the code of a block, one for each
 * TLB. Translated code looks at the first, soft_lookup() at the second one
 * too. A light file, see soft.h.
 */
#include <errno.h>
#include <sys/mman.h>

#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

static const uint8_t *
miss(const struct soft_cpu *cpu)
{
	return (cpu->thunks[THUNK_MISS]);
}

#define JC_BYTES (JC_SIZE * sizeof(const uint8_t *))

int
soft_jc_create(struct soft_vm *vm, const void *miss)
{
	void *p = mmap(NULL, JC_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return (-ENOMEM);
	vm->jc_kicked = p;
	for (unsigned i = 0; i < JC_SIZE; i++)
		vm->jc_kicked[i] = miss;
	return (mprotect(p, JC_BYTES, PROT_READ) != 0 ? -errno : 0);
}

void
soft_jc_destroy(struct soft_vm *vm)
{
	if (vm->jc_kicked != NULL)
		munmap(vm->jc_kicked, JC_BYTES);
	vm->jc_kicked = NULL;
}

void
soft_jc_use(struct soft_cpu *cpu, bool own)
{
	for (unsigned m = 0; m < MMU_MODES; m++)
		atomic_store(
		    &cpu->jc[m], own ? soft_jc(cpu, m) : cpu->vm->jc_kicked);
}

void
soft_jc_init(struct soft_cpu *cpu)
{
	for (unsigned m = 0; m < MMU_MODES; m++) {
		const uint8_t **jc = soft_jc(cpu, m);

		for (unsigned i = 0; i < JC_SIZE; i++)
			jc[i] = miss(cpu);
		cpu->jc2_gen[m] = 1;
	}
	soft_jc_use(cpu, true);
}

/* The code at pc, or NULL. What pc an entry is for is in its code, which
 * emit_front() in translate.c made. */
const void *
soft_jc_find(struct soft_cpu *cpu, unsigned m, uint64_t pc)
{
	const uint8_t *e = soft_jc(cpu, m)[soft_jc_index(pc)];
	bool by_loop = cpu->vm->by_loop;
	int32_t near;
	uint64_t neg;

	if (e == miss(cpu))
		return (NULL);
	if (e[0] == 0x48) { /* mov rcx, imm64 */
		__builtin_memcpy(&neg, e + 2, sizeof(neg));
		e += JC_FRONT_FAR;
	} else { /* lea rcx, [r14 + disp32] */
		__builtin_memcpy(&near, e + 3, sizeof(near));
		neg = (uint64_t)(int64_t)near;
		e += JC_FRONT;
	}
	return (neg + pc == by_loop ? e + (by_loop ? 2 : 6) : NULL);
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
	e->code = soft_block_entry(b);
	atomic_store_explicit(&e->gen, cpu->jc2_gen[m], memory_order_relaxed);
}

/* With the code lock, which the vcpu itself does not need: at worst it runs
 * a block that goes just now once more. */
static void
jc2_forget(struct soft_cpu *cpu, const struct block *b)
{
	struct jc2_entry *e = jc2_set(cpu, b->flags & BF_MMU, b->pc);

	for (unsigned w = 0; w < 2; w++)
		if (e[w].code == soft_block_entry(b))
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

void
soft_jc_flush(struct soft_cpu *cpu, unsigned m)
{
	const uint8_t **jc = soft_jc(cpu, m);

	for (unsigned i = 0; i < cpu->jc_nfill[m]; i++)
		jc[cpu->jc_fill[m][i]] = miss(cpu);
	cpu->jc_nfill[m] = 0;
	jc2_flush(cpu, m);
	cpu->jc_orphans[m] = false;
}

/* ---- jump caches of PCIDs ---- */

/* The youngest entries, each once: it is emptied. */
void
soft_jc_save(struct soft_cpu *cpu, struct pcid_set *set)
{
	const uint8_t **jc = soft_jc(cpu, MMU_USER);
	unsigned n = 0;

	for (unsigned i = cpu->jc_nfill[MMU_USER]; i > 0 && n < PCID_JC; i--) {
		uint16_t idx = cpu->jc_fill[MMU_USER][i - 1];

		/* Of a block that was dropped, or seen already. */
		if (jc[idx] == miss(cpu))
			continue;
		set->jc[n].idx = idx;
		set->jc[n++].entry = jc[idx];
		jc[idx] = miss(cpu);
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
	const uint8_t **jc = soft_jc(cpu, MMU_USER);
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

			jc[idx] = set->jc[i - 1].entry;
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
	const uint8_t **jc = soft_jc(cpu, m);

	if (jc[idx] == miss(cpu)) {
		if (cpu->jc_nfill[m] == JC_FILL_MAX)
			soft_jc_flush(cpu, m);
		cpu->jc_fill[m][cpu->jc_nfill[m]++] = (uint16_t)idx;
	}
	jc[idx] = soft_block_jc_entry(b);
	if (!(cpu->vm->off & SOFT_OFF_JC2))
		jc2_add(cpu, b);
}

void
soft_jc_forget(struct soft_cpu *cpu, const struct block *b)
{
	const uint8_t **e =
	    &soft_jc(cpu, b->flags & BF_MMU)[soft_jc_index(b->pc)];

	if (*e == soft_block_jc_entry(b))
		*e = miss(cpu);
	jc2_forget(cpu, b);
}
