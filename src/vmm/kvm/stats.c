/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of a vcpu: what came to us, how messages went, and what the kernel
 * did by itself (KVM_GET_STATS_FD, api.rst 4.133), which no exit tells of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm/kvm.h"

#define DESCS_MAX 1024u /* of the kernel's; it has some 50 */
#define NAME_MAX_LEN 256u

/* The kernel's that are shown, under which name. */
static const struct {
	const char *kernel, *ours;
} shown[] = {
	{ "exits", "kvm_exits" },
	{ "halt_exits", "kvm_halt" },
	{ "io_exits", "kvm_io" },
	{ "mmio_exits", "kvm_mmio" },
	{ "irq_exits", "kvm_irq" },
	{ "signal_exits", "kvm_signal" },
	{ "irq_injections", "kvm_injected" },
	{ "insn_emulation", "kvm_emulated" },
};
enum { SHOWN = sizeof(shown) / sizeof(shown[0]) };

/* The fd can be had only while the vcpu does not run: its ioctl would wait
 * for it. Reading it does not. */
void
kvm_stats_open(struct kvm_cpu *cpu)
{
	int fd = -1;

	if (kvm_check(cpu->kvm->fd, KVM_CAP_BINARY_STATS_FD) != 0)
		fd = kvm_ioctl(cpu->fd, KVM_GET_STATS_FD, NULL);
	cpu->stats_fd = fd < 0 ? -1 : fd;
}

void
kvm_stats_close(struct kvm_cpu *cpu)
{
	if (cpu->stats_fd >= 0)
		(void)close(cpu->stats_fd);
	cpu->stats_fd = -1;
}

static bool
read_all(int fd, void *buf, size_t len, uint64_t off)
{
	return (pread(fd, buf, len, (off_t)off) == (ssize_t)len);
}

/* The values of `shown`; what is not there stays 0. */
static void
read_kernel(const struct kvm_cpu *cpu, uint64_t val[SHOWN])
{
	struct kvm_stats_header h;
	struct {
		struct kvm_stats_desc d;
		char name[NAME_MAX_LEN];
	} e;
	size_t size;

	memset(val, 0, SHOWN * sizeof(val[0]));
	if (cpu->stats_fd < 0 ||
	    !read_all(cpu->stats_fd, &h, sizeof(h), 0) ||
	    h.name_size == 0 || h.name_size > NAME_MAX_LEN ||
	    h.num_desc > DESCS_MAX)
		return;
	size = sizeof(e.d) + h.name_size;
	for (uint32_t i = 0; i < h.num_desc; i++) {
		if (!read_all(cpu->stats_fd, &e, size,
			h.desc_offset + (uint64_t)i * size))
			return;
		e.name[h.name_size - 1] = '\0';
		for (unsigned k = 0; k < SHOWN; k++)
			if (strcmp(e.name, shown[k].kernel) == 0)
				(void)read_all(cpu->stats_fd, &val[k],
				    sizeof(val[k]),
				    h.data_offset + (uint64_t)e.d.offset);
	}
}

static unsigned
add(struct vmm_stat *s, unsigned n, unsigned max, const char *name,
    uint64_t value)
{
	if (n < max)
		s[n++] = (struct vmm_stat){ .name = name, .value = value };
	return (n);
}

unsigned
kvm_stats(void *priv, unsigned id, struct vmm_stat *s, unsigned max)
{
	struct kvm_vm *kvm = priv;
	struct kvm_cpu *cpu = &kvm->cpus[id];
	uint64_t val[SHOWN];
	unsigned n = 0;

	n = add(s, n, max, "run_exits", atomic_load(&cpu->exits));
	n = add(s, n, max, "run_signals", atomic_load(&cpu->signals));
	n = add(s, n, max, "ring_full", atomic_load(&cpu->ring_full));
	n = add(s, n, max, "msi_ioctl",
	    id == 0 ? atomic_load(&kvm->by_ioctl) : 0);
	n = add(s, n, max, "msi_irqfd",
	    id == 0 ? atomic_load(&kvm->by_irqfd) : 0);
	if (!kvm->stats)
		return (n);
	read_kernel(cpu, val);
	for (unsigned k = 0; k < SHOWN; k++)
		n = add(s, n, max, shown[k].ours, val[k]);
	return (n);
}
