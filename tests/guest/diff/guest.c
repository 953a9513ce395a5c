/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs tests in a virtual machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "gvm.h"

struct guest {
	struct gvm *g;
	const struct diff_layout *lay;
	uint64_t data[DIFF_DATA_PAGES], code[DIFF_CODE_SIZE / 4096];
};

int
guest_create(struct guest **out, const struct diff_layout *lay,
    unsigned options)
{
	struct guest *n = calloc(1, sizeof(*n));
	int error;

	if (n == NULL)
		return (-ENOMEM);
	n->lay = lay;
	error = gvm_create(&n->g, 1, options);
	if (error != 0) {
		free(n);
		return (error);
	}
	/* Neighbours in linear address are none in physical address. */
	for (unsigned i = DIFF_DATA_PAGES; i-- > 0;) {
		n->data[i] = gvm_alloc(n->g, 2);
		gvm_map(n->g, DIFF_DATA + i * 4096, n->data[i],
		    PTE_P | PTE_NX | (i < DIFF_DATA_RW ? PTE_W : 0));
	}
	for (unsigned i = DIFF_CODE_SIZE / 4096; i-- > 0;) {
		n->code[i] = gvm_alloc(n->g, 2);
		gvm_map(n->g, DIFF_CODE + i * 4096, n->code[i],
		    PTE_P | PTE_W);
	}
	gvm_start(n->g, DIFF_CODE);
	gvm_set(n->g, VM_REG_XCR0, lay->mask);
	*out = n;
	return (0);
}

void
guest_destroy(struct guest *n)
{
	gvm_destroy(n->g);
	free(n);
}

static void
write_code(struct guest *n, uint32_t off, const uint8_t *p, uint32_t len)
{
	uint32_t part;

	for (; len > 0; off += part, p += part, len -= part) {
		part = 4096 - off % 4096;
		if (part > len)
			part = len;
		gvm_write(n->g, n->code[off / 4096] + off % 4096, p, part);
	}
}

/* 32-bit or 16-bit segments of ring 0; the gates lead back to 64-bit code. */
static void
compat_segments(struct guest *n, bool small)
{
	struct vm_seg s = { .limit = 0xffffffff, .access = 0xc09b,
		.sel = GVM_KCODE };

	if (small)
		s = (struct vm_seg){ .base = DIFF_CODE,
			.limit = DIFF_CODE_SIZE - 1, .access = 0x9b,
			.sel = GVM_KCODE };
	(void)vcpu_set_seg(n->g->cpu, VM_SEG_CS, &s);
	s.access = 0xc093;
	s.sel = GVM_KDATA;
	if (small)
		s = (struct vm_seg){ .base = DIFF_DATA, .limit = DIFF_MEM - 1,
			.access = 0x93, .sel = GVM_KDATA };
	(void)vcpu_set_seg(n->g->cpu, VM_SEG_SS, &s);
	(void)vcpu_set_seg(n->g->cpu, VM_SEG_DS, &s);
	if (small) {
		s.base = DIFF_ES;
		s.limit -= 0x1000;
	}
	(void)vcpu_set_seg(n->g->cpu, VM_SEG_ES, &s);
}

static void
load_test(struct guest *n, const struct diff_test *t)
{
	if (t->mode != 64)
		compat_segments(n, t->mode == 16);
	for (unsigned i = 0; i < DIFF_DATA_PAGES; i++)
		gvm_write(n->g, n->data[i], t->mem + i * 4096, 4096);
	write_code(n, t->code_off, t->code, t->code_len + GVM_STOP_LEN);
	for (unsigned i = 0; i < 16; i++)
		gvm_set(n->g, (enum vm_reg)(VM_REG_RAX + i), t->st.gpr[i]);
	gvm_set(n->g, VM_REG_RIP, t->st.rip);
	gvm_set(n->g, VM_REG_RFLAGS, t->st.rflags);
	gvm_set(n->g, VM_REG_INTR_SHADOW, 0);
	gvm_set_seg_base(n->g, VM_SEG_FS, t->st.fsbase);
	gvm_set_seg_base(n->g, VM_SEG_GS, t->st.gsbase);
	(void)vcpu_set_xsave(n->g->cpu, t->st.xsave, n->lay->total);
}

static int
save_result(struct guest *n, const struct diff_test *t,
    uint64_t stop, struct diff_result *res)
{
	struct gvm_frame f;
	uint32_t len = DIFF_XSAVE_SIZE;
	int vector = gvm_stub(stop);

	for (unsigned i = 0; i < 16; i++)
		res->st.gpr[i] = gvm_get(n->g, (enum vm_reg)(VM_REG_RAX + i));
	res->st.rip = stop;
	res->st.rflags = gvm_get(n->g, VM_REG_RFLAGS);
	res->vector = DIFF_NO_VECTOR;
	res->error = 0;
	if (vector >= 0) {
		gvm_frame(n->g, (unsigned)vector, &f);
		res->vector = (uint32_t)vector;
		res->error = (uint32_t)f.error;
		res->cr2 = gvm_get(n->g, VM_REG_CR2);
		res->st.rip = f.rip;
		res->st.rflags = f.rflags;
		res->st.gpr[G_RSP] = f.rsp;
	} else if (stop != t->st.rip + t->code_len) {
		snprintf(res->why, sizeof(res->why), "stopped at %#llx",
		    (unsigned long long)stop);
		res->died = true;
	}
	for (unsigned i = 0; i < DIFF_DATA_PAGES; i++)
		(void)gmem_read(
		    n->g->gm, n->data[i], res->mem + i * 4096, 4096);
	return (vcpu_get_xsave(n->g->cpu, res->st.xsave, &len));
}

/* The segments and control registers were left by an exception's delivery
 * or a failed test. */
static void
recover(struct guest *n)
{
	(void)vm_reset(n->g->vm);
	(void)vcpu_set_cap(n->g->cpu, VM_CAP_HALT_EXIT, true);
	gvm_start(n->g, DIFF_CODE);
	gvm_set(n->g, VM_REG_XCR0, n->lay->mask);
}

int
guest_run(struct guest *n, const struct diff_test *t, struct diff_result *res)
{
	struct vm_exit e;
	uint64_t stop;
	int error;

	res->died = false;
	load_test(n, t);
	error = gvm_run(n->g, &e, &stop);
	if (error == 0 && stop != 0)
		return (save_result(n, t, stop, res));
	res->died = true;
	if (error != 0)
		snprintf(res->why, sizeof(res->why), "vcpu_run: %s",
		    strerror(-error));
	else
		snprintf(res->why, sizeof(res->why),
		    "exit %d at %#llx: %.90s", (int)e.exitcode,
		    (unsigned long long)e.rip,
		    e.exitcode == VM_EXITCODE_ENGINE ? e.u.engine.reason : "");
	recover(n);
	return (0);
}
