/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slow paths of accesses to a mirror that are made when they are needed. Most
 * never are: an access that finds its page in the mirror each time needs none,
 * and they would be half of all code.
 *
 * What has to be known for one is what the translator knew when it was there.
 * So the block is translated once more, to nowhere: the same bytes give the
 * same code. Should the bytes have changed (the one who did has yet to say
 * so), the code is not the same, and the block goes.
 */
#include <errno.h>
#include <string.h>

#include "vmm/soft/tr.h"

/* More than a slow path needs. */
#define LATE_MAX 0x400

/* Is what was made at `again` what is at `code`? What is filled in later, the
 * targets of jumps to behind the block and to others, does not count. */
static bool
same(const struct tr *t, uint8_t *again, const uint8_t *code)
{
	for (unsigned i = 0; i < t->nool; i++) {
		uint8_t *rel = t->ool[i].patch;

		if (rel != NULL)
			memcpy(rel, code + (rel - again), 4);
	}
	return (memcmp(again, code, t->b->hot_len) == 0);
}

static const struct ool *
find(const struct tr *t, unsigned fixup)
{
	for (unsigned i = 0; i < t->nool; i++)
		if (t->ool[i].kind == OOL_MIRROR && t->ool[i].fixup == fixup)
			return (&t->ool[i]);
	return (NULL);
}

/* The slow path at p, in the arena as a block of its own. */
static struct block *
emit(struct tr *t, const struct ool *o, uint8_t *p, const struct block *of)
{
	struct soft_vm *vm = t->vm;
	struct block *b = tr_arena(vm, sizeof(*b));

	t->p = t->start = p;
	tr_ool_mirror(t, o);
	*b = *of;
	b->dead = true;
	b->late_of = of;
	b->code = p + t->rx_off;
	b->code_len = b->hot_len = (uint32_t)(t->p - p);
	b->nlinks = b->nfixups = 0;
	b->nmap = 1;
	b->map = tr_arena(vm, sizeof(*b->map));
	*b->map = (struct insn_map){ 0, t->map[o->insn].guest,
		t->map[o->insn].len };
	vm->code_used = ((size_t)(t->p - vm->code_rw) + 15) & ~(size_t)15;
	soft_cache_note(vm, b);
	return (b);
}

int
soft_translate_late(
    struct soft_cpu *cpu, struct block *b, uint64_t host, const void **slow)
{
	struct soft_vm *vm = cpu->vm;
	uint32_t at = (uint32_t)(host - (uint64_t)(uintptr_t)b->code);
	uint8_t *code = vm->code_rw + (b->code - vm->code_rx), *again, *p;
	uint64_t need = GPA_NONE;
	struct block copy = *b, *late;
	const struct ool *found;
	unsigned n;
	struct ool o;
	struct tr t;

	for (n = 0; n < b->nfixups; n++)
		if (at >= b->fixups[n].start && at < b->fixups[n].end)
			break;
	if (b->dead || n == b->nfixups)
		return (-ESTALE);
	if (b->fixups[n].slow != 0) { /* another vcpu was here */
		*slow = b->code + b->fixups[n].slow;
		return (0);
	}
	if (vm->code_used + LATE_MAX + 2 * CODE_MARGIN > vm->code_end ||
	    vm->arena_used + ARENA_MARGIN > vm->arena_end ||
	    vm->nblocks[vm->part] == BLOCKS_PER_PART)
		return (-ENOSPC);
	soft_code_need(vm, vm->code_used + LATE_MAX + 2 * CODE_MARGIN);
	/* As jumps that are patched are aligned, so must be the copy. */
	p = vm->code_rw + vm->code_used;
	again = p + LATE_MAX;
	again += ((uintptr_t)code - (uintptr_t)again) & 63;
	copy.len = 0;
	tr_begin(&t, cpu, &copy, again, b->gpa2, &need);
	t.again = true;
	if (!tr_body(&t) || copy.hot_len != b->hot_len ||
	    !same(&t, again, code))
		return (-ESTALE);
	found = find(&t, n);
	if (found == NULL)
		return (-ESTALE);
	o = *found;
	o.hit = code + (o.hit - again);
	o.end = code + (o.end - again);
	late = emit(&t, &o, p, b);
	*slow = late->code;
	atomic_store_explicit(&b->fixups[n].slow,
	    (int32_t)(late->code - b->code), memory_order_release);
	cpu->stat.late++;
	return (0);
}
