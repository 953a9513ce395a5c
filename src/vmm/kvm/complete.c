/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port and memory accesses that reach the board, and the instructions that
 * the kernel's emulator does not know (those with a VEX prefix, for example):
 * the soft engine executes such a one on the vcpu's state, one instruction in
 * a machine of one processor that shares the memory.
 */
#include <errno.h>
#include <string.h>

#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"

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

/* The largest naturally aligned piece that begins at gpa. */
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
		n = len - off;
		if ((n & (n - 1)) != 0 || n > 8)
			n = piece(gpa + off, n);
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

int
kvm_complete_insn(struct kvm_cpu *cpu)
{
	(void)cpu;
	return (-ENOSYS);
}

void
kvm_complete_fini(struct kvm_vm *kvm)
{
	if (kvm->soft != NULL)
		vm_destroy(kvm->soft);
	kvm->soft = NULL;
}
