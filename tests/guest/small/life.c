/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines come and go, and leave nothing. */
#include "small.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static unsigned
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return (n);
}

/* Pages of this process: all, and those in memory. */
static void
pages(unsigned long *all, unsigned long *resident)
{
	FILE *f = fopen("/proc/self/statm", "re");

	*all = *resident = 0;
	if (f != NULL) {
		if (fscanf(f, "%lu %lu", all, resident) != 2)
			*all = 0;
		fclose(f);
	}
}

/* A machine that runs some instructions. */
static void
one_life(struct t *t)
{
	struct gvm *g = t->g;

	IS(gvm_create(&t->g, 2, t->options), 0);
	kernel(t, CODE("mov eax, 42\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 42);
	gvm_destroy(t->g);
	t->g = g;
}

static void
cycles(struct t *t)
{
	unsigned long all, resident, all2, resident2;
	unsigned fds;

	check(t, "vmm.h: two hundred machines leave no descriptor, no memory");
	/* What the first ones bring is not lost: caches of malloc() and so. */
	for (unsigned i = 0; i < 20; i++)
		one_life(t);
	fds = descriptors();
	pages(&all, &resident);
	for (unsigned i = 0; i < (gvm_on_kvm() ? 200 : 40); i++)
		one_life(t);
	pages(&all2, &resident2);
	IS(descriptors(), fds);
	IS(all2 > all + 16, false);
	IS(resident2 > resident + 64, false);
}

/* What a reset does to registers, and that the machine runs after it. */
static void
reset(struct t *t)
{
	struct vm_seg cs;
	uint64_t val;

	check(t, "vmm.h: vm_reset()");
	for (unsigned i = 0; i < 3; i++) {
		kernel(t, CODE("mov eax, 42\nmov cr2, rax\n" STOP));
		GO(GO_STOP);
		IS(vm_reset(t->g->vm), 0);
		IS(get(t, VM_REG_RIP), 0xfff0);
		IS(get(t, VM_REG_RAX), 0);
		IS(get(t, VM_REG_CR2), 0);
		IS(get(t, VM_REG_CR0), 0x60000010);
		IS(get(t, VM_REG_EFER), 0);
		IS(get(t, VM_REG_RFLAGS), 2);
		IS(get(t, VM_REG_DR7), 0x400);
		IS(get(t, VM_REG_XCR0), 1);
		IS(vcpu_get_seg(t->g->cpu, VM_SEG_CS, &cs), 0);
		IS(cs.base, 0xffff0000);
		IS(cs.sel, 0xf000);
		IS(vcpu_get_msr(t->g->cpu, 0x2ff, &val), 0);
		IS(val, 0);
		IS(vcpu_get_msr(t->g->cpu, 0x277, &val), 0);
		IS(val, 0x0007040600070406);
		IS(vcpu_get_msr(t->g->cpu, 0x1b, &val), 0);
		IS(val, 0xfee00900);
	}
}

/* All that vmm.h can set reads back, while nothing runs. */
static void
registers(struct t *t)
{
	static const enum vm_reg plain[] = { VM_REG_RAX, VM_REG_RSP,
		VM_REG_R15, VM_REG_CR2, VM_REG_DR0, VM_REG_DR3 };
	struct vm_seg seg, got;
	uint8_t x[4096], y[4096];
	uint32_t len = sizeof(x), len2 = sizeof(y);
	uint64_t val;

	kernel(t, CODE("nop\n" STOP));
	check(t, "vmm.h: registers read as they were set");
	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		set(t, plain[i], 0x12345678 + i);
		IS(get(t, plain[i]), 0x12345678 + i);
	}
	set(t, VM_REG_INTR_SHADOW, 1);
	IS(get(t, VM_REG_INTR_SHADOW), 1);
	set(t, VM_REG_INTR_SHADOW, 0);
	IS(get(t, VM_REG_INTR_SHADOW), 0);
	set(t, VM_REG_CR8, 5);
	IS(get(t, VM_REG_CR8), 5);
	set(t, VM_REG_CR8, 0);
	IS(vcpu_set_msr(t->g->cpu, 0xc0000082, 0xffff800000001234), 0);
	IS(vcpu_get_msr(t->g->cpu, 0xc0000082, &val), 0);
	IS(val, 0xffff800000001234);
	IS(vcpu_set_msr(t->g->cpu, 0x250, 0x0606060606060606), 0);
	IS(vcpu_get_msr(t->g->cpu, 0x250, &val), 0);
	IS(val, 0x0606060606060606);
	IS(vcpu_get_msr(t->g->cpu, 0x12345, &val), -ENOENT);
	check(t, "vmm.h: segments read as they were set");
	seg = (struct vm_seg){ .base = 0x123000, .limit = 0xfffff,
		.access = 0x4093, .sel = 0x58 };
	IS(vcpu_set_seg(t->g->cpu, VM_SEG_FS, &seg), 0);
	IS(vcpu_get_seg(t->g->cpu, VM_SEG_FS, &got), 0);
	IS(got.base, seg.base);
	IS(got.limit, seg.limit);
	IS(got.access, seg.access);
	IS(got.sel, seg.sel);
	check(t, "vmm.h: XSAVE's state goes out and in");
	set(t, VM_REG_XCR0, 3);
	kernel(t, CODE("mov eax, 0x3f800000\nmovd xmm3, eax\nfld1\n" STOP));
	set(t, VM_REG_XCR0, 3);
	GO(GO_STOP);
	IS(vcpu_get_xsave(t->g->cpu, x, &len), 0);
	IS(len >= 576, true);
	IS(x[160 + 3 * 16 + 3], 0x3f);
	IS(x[512] & 3, 3);
	x[160 + 3 * 16 + 3] = 0x40;
	IS(vcpu_set_xsave(t->g->cpu, x, len), 0);
	IS(vcpu_get_xsave(t->g->cpu, y, &len2), 0);
	IS(len2, len);
	IS(y[160 + 3 * 16 + 3], 0x40);
	kernel(t, CODE("movd eax, xmm3\n" STOP));
	GO(GO_STOP);
	IS(get(t, VM_REG_RAX), 0x40800000);
	x[512] = 0xff; /* components that are none */
	x[513] = 0xff;
	IS(vcpu_set_xsave(t->g->cpu, x, len), -EINVAL);
	len = 100;
	IS(vcpu_get_xsave(t->g->cpu, x, &len), -ENOSPC);
}

const struct group_fn group[] = { { "cycles", cycles }, { "reset", reset },
	{ "registers", registers }, { NULL, NULL } };
