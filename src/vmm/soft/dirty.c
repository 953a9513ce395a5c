/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log (vm_dirty_log()). A page is marked when an entry of a TLB is
 * made through which it can be written, which with a log only a write does;
 * whoever stores otherwise, to paging structures above all, marks the page
 * himself. Mirrors are not used meanwhile.
 *
 * Who asks takes the marks first and then the entries from every TLB, with
 * the world stopped. A store through an entry that is still there until then
 * is to a page whose mark was taken, and before the answer.
 */
#include "gmem/gmem.h"
#include "vmm/soft/helpers.h"
#include "vmm/soft/soft.h"
#include "vmm/soft/state.h"

/* World stopped. A vcpu's TLB is its own thread's to flush, before it does
 * anything else. */
static void
ask_flush(struct soft_vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++) {
		atomic_store(&vm->cpus[i]->flush_req, 1);
		soft_request(vm->cpus[i]);
	}
}

int
soft_dirty_log(void *priv, bool on)
{
	struct soft_vm *vm = priv;

	soft_world_stop_all(vm);
	gmem_dirty_log(vm->gmem, on);
	vm->dirty = on ? gmem_dirty_bits(vm->gmem) : NULL;
	ask_flush(vm);
	soft_world_go_all(vm);
	return (0);
}

int
soft_dirty_get(void *priv, uint64_t *bits)
{
	struct soft_vm *vm = priv;

	gmem_dirty_take(vm->gmem, bits);
	soft_world_stop_all(vm);
	ask_flush(vm);
	soft_world_go_all(vm);
	return (0);
}
