/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port and memory accesses that reach the board, and the instructions that
 * the kernel's emulator does not know (those with a VEX prefix, for example):
 * the soft engine executes such a one on the vcpu's state, one instruction in
 * a machine of one processor that shares the memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"
#include "vmm/soft/one.h"

void
kvm_port_exit(struct kvm_cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	const struct vmm_io_ops *ops = cpu->kvm->ops;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;
	uint32_t val;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		val = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&val, data, size);
			(void)ops->port_write(cpu->kvm->ops_arg, cpu->vcpu,
			    run->io.port, size, val);
			continue;
		}
		if (ops->port_read(cpu->kvm->ops_arg, cpu->vcpu, run->io.port,
			size, &val) != 0)
			val = UINT32_MAX;
		memcpy(data, &val, size);
	}
}

/* The largest naturally aligned piece that begins at gpa: what a processor
 * makes of an access that is not aligned (SDM volume 3, 8.1.1). */
static unsigned
piece(uint64_t gpa, unsigned len)
{
	unsigned n = 8;

	while (n > len || (n > 1 && gpa % n != 0))
		n /= 2;
	return (n);
}

/* An access across a page comes as what lies on each side. */
void
kvm_mem_exit(struct kvm_cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	const struct vmm_io_ops *ops = cpu->kvm->ops;
	uint64_t gpa = run->mmio.phys_addr, val;
	unsigned len = run->mmio.len, off, n;

	for (off = 0; off < len && off < 8; off += n) {
		n = piece(gpa + off, len - off);
		val = 0;
		if (run->mmio.is_write) {
			memcpy(&val, run->mmio.data + off, n);
			(void)ops->mem_write(cpu->kvm->ops_arg, cpu->vcpu,
			    gpa + off, n, val);
			continue;
		}
		if (ops->mem_read(cpu->kvm->ops_arg, cpu->vcpu, gpa + off, n,
			&val) != 0)
			val = UINT64_MAX;
		memcpy(run->mmio.data + off, &val, n);
	}
}

unsigned
kvm_insn_bytes(struct kvm_cpu *cpu, uint8_t bytes[15])
{
	struct kvm_translation tr;
	unsigned n;

	if (kvm_state_fetch(cpu) != 0)
		return (0);
	for (n = 0; n < 15; n++) {
		memset(&tr, 0, sizeof(tr));
		tr.linear_address =
		    cpu->sregs.cs.base + cpu->run->s.regs.regs.rip + n;
		if (kvm_ioctl(cpu->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid ||
		    gmem_read(cpu->kvm->gmem, tr.physical_address, &bytes[n],
			1) != 0)
			break;
	}
	return (n);
}

/* ---- one instruction by the other engine ---- */

/* Registers that are in neither segments nor XSAVE: SYSENTER's, STAR to
 * SFMASK, KERNEL_GS_BASE, TSC_AUX. */
static const uint32_t moved_msrs[] = { 0x174, 0x175, 0x176, 0xc0000081,
	0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103 };

#define XSAVE_ROOM 16384u

/* EFER and CR4 first: CR0 and CR3 are looked at with them. */
static int
move(void *from, const struct vmm_engine *src, void *to,
    const struct vmm_engine *dst, unsigned id)
{
	uint32_t len = XSAVE_ROOM;
	struct vm_seg seg;
	uint64_t val;
	void *xsave;
	int error = 0;

	for (int r = VM_REG_MAX - 1; r >= 0 && error == 0; r--) {
		/* Each engine's APIC has its own. */
		if (r == VM_REG_INTR_SHADOW || r == VM_REG_CR8)
			continue;
		error = src->get_reg(from, id, (enum vm_reg)r, &val);
		if (error == 0)
			error = dst->set_reg(to, id, (enum vm_reg)r, val);
	}
	for (int s = 0; s < VM_SEG_MAX && error == 0; s++) {
		error = src->get_seg(from, id, (enum vm_segreg)s, &seg);
		if (error == 0)
			error = dst->set_seg(to, id, (enum vm_segreg)s, &seg);
	}
	for (unsigned i = 0;
	     i < sizeof(moved_msrs) / sizeof(moved_msrs[0]) && error == 0; i++)
		if (src->get_msr(from, id, moved_msrs[i], &val) == 0)
			(void)dst->set_msr(to, id, moved_msrs[i], val);
	if (error != 0)
		return (error);
	xsave = calloc(1, XSAVE_ROOM);
	if (xsave == NULL)
		return (-ENOMEM);
	error = src->get_xsave(from, id, xsave, &len);
	if (error == 0)
		error = dst->set_xsave(to, id, xsave, len);
	free(xsave);
	return (error);
}

/* The other engine's machine is made when it is first needed. */
static int
get_soft(struct kvm_vm *kvm, void **out)
{
	struct vm_config cfg = {
		.engine = VM_ENGINE_SOFT,
		.ncpus = kvm->ncpus,
		.gmem = kvm->gmem,
		.vclock = kvm->vclock,
		.ops = kvm->ops,
		.ops_arg = kvm->ops_arg,
		.soft_one_insn = true,
	};
	int error = 0;

	pthread_mutex_lock(&kvm->soft_lock);
	if (kvm->soft == NULL)
		error = soft_engine.create(kvm->vm, &cfg, &kvm->soft);
	*out = kvm->soft;
	pthread_mutex_unlock(&kvm->soft_lock);
	return (error);
}

/* What it has translated may have changed since: it does not see the guest
 * write. */
static void
forget_code(struct kvm_cpu *cpu)
{
	struct kvm_translation tr;
	uint64_t rip = cpu->sregs.cs.base + cpu->run->s.regs.regs.rip, page;

	for (unsigned i = 0; i < 2; i++) {
		memset(&tr, 0, sizeof(tr));
		tr.linear_address = rip + i * 14;
		if (kvm_ioctl(cpu->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
			continue;
		page = tr.physical_address & ~(uint64_t)(GMEM_PAGE_SIZE - 1);
		gmem_wrote(cpu->kvm->gmem, page, GMEM_PAGE_SIZE);
	}
}

int
kvm_complete_insn(struct kvm_cpu *cpu)
{
	struct kvm_vm *kvm = cpu->kvm;
	void *soft;
	int error;

	error = get_soft(kvm, &soft);
	if (error == 0)
		error = kvm_state_fetch(cpu);
	if (error != 0)
		return (error);
	forget_code(cpu);
	error = move(kvm, &kvm_engine, soft, &soft_engine, cpu->id);
	if (error == 0)
		error = soft_one(soft, cpu->id);
	if (error == 0)
		error = move(soft, &soft_engine, kvm, &kvm_engine, cpu->id);
	if (error == 0)
		error = kvm_set_reg(kvm, cpu->id, VM_REG_INTR_SHADOW, 0);
	trace(TRACE_soft, "vcpu %u: completed at 0x%llx: %d", cpu->id,
	    cpu->run->s.regs.regs.rip, error);
	return (error);
}

void
kvm_complete_fini(struct kvm_vm *kvm)
{
	if (kvm->soft != NULL)
		soft_engine.destroy(kvm->soft);
	kvm->soft = NULL;
}
