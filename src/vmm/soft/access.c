/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory accesses of translated code: the look-up in the TLB, what leads to a
 * mirror, and the slow paths of both. docs/soft-engine.md tells how they work.
 */
#include <string.h>

#include "vmm/soft/tr.h"

/*
 * The inline TLB look-up, without touching the flags:
 *
 *	T1  = index of the entry, from address bits 27:12
 *	T2  = address - tag + size - 1 (+ 4096)
 *	T2 >>= 12		; 0 (1) if the tag fits and the page is not left
 *	T1  = addend
 *	jrcxz hit		; or: loop slow
 */
void
tr_access(struct tr *t, uint32_t what, struct access *a)
{
	unsigned size = what & ACCESS_SIZE;
	unsigned tag = what & ACCESS_WRITE ? TLB_W : TLB_R;
	int32_t tlb = ENV(TLB_OFFSET(t->m));
	bool by_loop = t->vm->by_loop;
	uint8_t *slow = NULL;

	*a = (struct access){ .what = what, .base = T0, .index = T1 };
	tr_lose_all(t);
	if (!t->vm->no_tlb && !(t->flags & (BF_STEP | BF_AC))) {
		if (by_loop)
			slow = e_nop_jmp(t);
		e_rorx(t, 1, T2, T0, 12);
		e1(t, 0x0f); /* movzx ecx, cx */
		e1(t, 0xb7);
		e1(t, 0xc9);
		e_lea(t, 0, T1, -1, T2, 2, 0);
		e_op_mem(t, 1, 0x8b, T2, H_ENV, T1, 3, tlb + (int32_t)tag);
		e_lea(t, 1, T2, T2, T0, 0,
		    (int32_t)size - 1 + (by_loop ? 0x1000 : 0));
		e1(t, 0xc4); /* shrx rcx, rcx, r13: see layout.h */
		e1(t, 0xe2);
		e1(t, 0x93);
		e1(t, 0xf7);
		e1(t, 0xc9);
		e_op_mem(t, 1, 0x8b, T1, H_ENV, T1, 3, tlb + TLB_ADDEND);
		if (by_loop) {
			e_loop(t, slow);
			a->patch = slow + 1;
			a->hit = t->p;
			return;
		}
		e_jrcxz(t, 5);
	}
	a->patch = e_jmp(t);
	a->hit = t->p;
}

void
tr_access_end(struct tr *t, const struct access *a)
{
	struct ool *o = tr_ool(t, a->mirror ? OOL_MIRROR : OOL_MEM, a->patch);

	o->hit = a->hit;
	o->end = t->p;
	o->what = a->what;
	o->reg = a->reg;
	o->want = a->want;
	for (unsigned i = 0; i < TR_SLOTS; i++)
		o->slot[i] = t->slot[i];
	o->index = a->index;
	o->scale = a->scale;
	o->disp = a->disp;
	o->moved = a->moved;
	if (!a->mirror)
		return;
	o->fixup = t->nfixups;
	t->fixups[t->nfixups++] = tr_fixup(t, a->hit, t->p);
}

/* ---- the same by the mirror ---- */

bool
tr_mirror(const struct tr *t)
{
	return ((t->flags & BF_MIRROR) && !t->vm->no_tlb &&
	    !(t->flags & (BF_STEP | BF_AC)));
}

void
tr_access_t0(struct tr *t, uint32_t what, struct access *a)
{
	struct slot low = { .kind = SLOT_OFF, .base = SLOT_LOW, .index = -1 };

	if (!tr_mirror(t)) {
		tr_access(t, what, a);
		return;
	}
	*a = (struct access){ .what = what, .base = T0, .index = T1,
		.mirror = true, .reg = T1 };
	tr_lose(t, T0);
	if (!t->code64) { /* linear addresses have 32 bits */
		(void)tr_slot(t, &low, &a->reg);
		a->hit = t->p;
		return;
	}
	tr_lose(t, T1);
	e_rorx(t, 1, T2, T0, 32);
	e_zx16(t, T2, T2);
	e_op_mem(t, 1, 0x8b, T1, H_ENV, T2, 3, ENV(MIRROR_OFFSET(t->m)));
	a->hit = t->p;
}

/* The access by way of a slot, `disp` from what it stands for. */
static void
slot_access(struct tr *t, const struct slot *want, int index, int scale,
    int32_t disp, uint32_t what, struct access *a)
{
	struct slot *s;

	*a = (struct access){ .what = what, .mirror = true, .want = *want };
	s = tr_slot(t, want, &a->reg);
	a->base = a->reg;
	a->index = index;
	a->scale = scale;
	a->disp = disp;
	if (s->kind == SLOT_OFF) {
		a->base = t->host_of[s->base];
		a->index = a->reg;
	} else if (s->kind == SLOT_CONST) {
		a->disp = disp + (int32_t)(want->anchor - s->anchor);
		a->want.anchor = s->anchor;
	}
	a->hit = t->p;
}

/* The same by host rsp. */
static void
stack_access(struct tr *t, int index, int scale, int32_t disp, uint32_t what,
    struct access *a)
{
	*a = (struct access){ .what = what, .mirror = true, .base = H_SP,
		.index = index, .scale = scale, .disp = disp, .hit = t->p,
		.want = { .kind = SLOT_STACK, .base = -1, .index = -1 } };
}

static bool
far(int64_t disp)
{
	return (disp > FAR_DISP || disp < -FAR_DISP);
}

void
tr_access_reg(struct tr *t, unsigned guest, int32_t disp, uint32_t what,
    struct access *a)
{
	int h = t->host_of[guest];
	struct slot want = { .kind = h >= 0 ? SLOT_OFF : SLOT_PTR,
		.base = (int)guest, .index = -1 };

	if (t->stack && guest == R_SP && !far(disp)) {
		stack_access(t, -1, 0, disp, what, a);
		return;
	}
	if (!tr_mirror(t) || far(disp)) {
		tr_lose(t, T0);
		h = tr_get(t, guest, T0);
		if (disp != 0 || h != T0)
			e_lea(t, 1, T0, h, -1, 0, disp);
		tr_access_t0(t, what, a);
		return;
	}
	slot_access(t, &want, -1, 0, disp, what, a);
}

/* An operand of 64-bit code whose address a slot can be used for. */
static bool
by_slot(struct tr *t, const ZydisDecodedOperand *op, uint32_t what,
    struct access *a)
{
	int64_t disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	bool high, is_const;
	int g = tr_gpr(op->mem.base, &high);
	int i = tr_gpr(op->mem.index, &high);
	int scale = i < 0 ? 0 : __builtin_ctz(op->mem.scale | 8u);
	struct slot want = { .kind = SLOT_PTR, .base = g, .index = -1 };

	is_const = op->mem.base == ZYDIS_REGISTER_RIP ||
	    (op->mem.base == ZYDIS_REGISTER_NONE && i < 0);
	/* EVEX has its own idea of short displacements. */
	if (!t->code64 || t->in.address_width != 64 || tr_no_base(t) ||
	    op->mem.segment == ZYDIS_REGISTER_FS ||
	    op->mem.segment == ZYDIS_REGISTER_GS ||
	    t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	    (i < 0 && op->mem.index != ZYDIS_REGISTER_NONE) ||
	    (i >= 0 && t->host_of[i] < 0) || (!is_const && far(disp)))
		return (false);
	if (is_const) {
		if (op->mem.base == ZYDIS_REGISTER_RIP)
			disp = (int64_t)(t->next + (uint64_t)disp);
		want = (struct slot){ .kind = SLOT_CONST, .base = -1,
			.index = -1 };
		if (disp >= 0 && disp <= FAR_DISP) {
			slot_access(t, &want, -1, 0, (int32_t)disp, what, a);
			return (true);
		}
		want.anchor = (uint64_t)disp;
		slot_access(t, &want, -1, 0, 0, what, a);
		return (true);
	}
	if (i < 0) {
		tr_access_reg(t, (unsigned)g, (int32_t)disp, what, a);
		return (true);
	}
	if (t->stack && g == R_SP && ((t->small >> i) & 1)) {
		stack_access(
		    t, t->host_of[i], scale, (int32_t)disp, what, a);
		return (true);
	}
	if (!((t->small >> i) & 1)) {
		want.index = i;
		want.scale = scale;
	} else if (g < 0)
		want = (struct slot){ .kind = SLOT_CONST, .base = -1,
			.index = -1 };
	slot_access(
	    t, &want, t->host_of[i], scale, (int32_t)disp, what, a);
	return (true);
}

void
tr_access_op(struct tr *t, const ZydisDecodedOperand *op, uint32_t use,
    uint32_t what, struct access *a)
{
	if (tr_mirror(t) && by_slot(t, op, what, a))
		return;
	tr_ea(t, op, use, 0);
	tr_access_t0(t, what, a);
}

void
tr_ool_mem(struct tr *t, const struct ool *o)
{
	uint8_t *direct;

	e1(t, 0xb9); /* mov ecx, what */
	e4(t, o->what);
	e_call_thunk(t, o->fpu ? THUNK_MEM_FPU : THUNK_MEM);
	if (!(o->what & ACCESS_WRITE)) {
		e_patch(e_jmp(t), o->hit);
		return;
	}
	e_jrcxz(t, 5);
	direct = e_jmp(t);
	e_patch(e_jmp(t), o->hit);
	e_patch(direct, t->p);
	memcpy(t->p, o->hit, (size_t)(o->end - o->hit));
	t->p += o->end - o->hit;
	e1(t, 0xb9);
	e4(t, o->what);
	e_call_thunk(t, o->fpu ? THUNK_WRITEBACK_FPU : THUNK_WRITEBACK);
	e_patch(e_jmp(t), o->end);
}

/* T0 := the guest's address, of an access by way of a slot. */
static void
address(struct tr *t, const struct ool *o)
{
	const struct slot *w = &o->want;
	int h = -1;

	switch (w->kind) {
	case SLOT_NONE:
		return; /* it is there */
	case SLOT_CONST:
		e_mov_imm(t, T0, w->anchor);
		e_lea(t, 1, T0, T0, o->index, o->scale, o->disp);
		return;
	case SLOT_STACK:
		tr_sp_value(t, T0, T0, 0);
		e_lea(t, 1, T0, T0, o->index, o->scale, o->disp);
		return;
	case SLOT_OFF:
		e_lea(t, 1, T0, t->host_of[w->base], -1, 0, o->disp);
		return;
	case SLOT_PTR:
		if (w->base >= 0)
			h = tr_get(t, (unsigned)w->base, T0);
		e_lea(t, 1, T0, h, o->index, o->scale, o->disp);
		return;
	}
}

/* The slot's register such that the copy of the access is to T0, where the
 * bytes are now. T1 is lost. */
static void
aim(struct tr *t, const struct ool *o)
{
	const struct slot *w = &o->want;
	int32_t disp = o->disp;
	int reg = w->kind == SLOT_STACK ? H_SP : o->reg;

	if (w->kind == SLOT_NONE)
		return; /* [T0 + T1], and T1 is 0 */
	if (w->kind == SLOT_STACK)
		e_st_env(t, 1, CPU_SP_KEEP, H_SP);
	if (w->kind == SLOT_OFF)
		e_mov(t, 1, T1, t->host_of[w->base]);
	else if (o->index >= 0)
		e_lea(t, 1, T1, -1, o->index, o->scale, 0);
	else {
		e_lea(t, 1, reg, T0, -1, 0, -disp);
		return;
	}
	e_rex(t, 1, 0, 0, T1); /* not r15 */
	e1(t, 0xf7);
	e1(t, 0xd0u | (T1 & 7));
	e_lea(t, 1, reg, T1, T0, 0, 1 - disp);
}

/* The copy of the access; host rsp is the guest's mirror again after it. */
static void
copy_of(struct tr *t, const struct ool *o)
{
	memcpy(t->p, o->hit, (size_t)(o->end - o->hit));
	t->p += o->end - o->hit;
	if (o->want.kind != SLOT_STACK)
		return;
	e_ld_env(t, 1, H_SP, CPU_SP_KEEP);
	if (o->moved != 0)
		e_lea(t, 1, H_SP, H_SP, -1, 0, o->moved);
	e_rex(t, 1, 0, 0, H_ENV);
	e1(t, 0xc7); /* mov qword [env + ...], 0 */
	e_mem(t, 0, H_ENV, -1, 0, ENV(CPU_SP_KEEP));
	e4(t, 0);
}

/*
 * The slow path of an access to the mirror, where signal.c goes. It does not
 * go back to the access but has it once more, so that a fault there is a
 * fault.
 */
void
tr_ool_mirror(struct tr *t, const struct ool *o)
{
	uint8_t *other, *fin;

	address(t, o);
	e1(t, 0xb9); /* mov ecx, what */
	e4(t, o->what);
	e_call_thunk(t, o->fpu ? THUNK_MEM_FPU : THUNK_MEM);
	aim(t, o);
	if (o->what & ACCESS_WRITE) {
		e_jrcxz(t, 5);
		other = e_jmp(t);
		copy_of(t, o);
		fin = e_jmp(t);
		e_patch(other, t->p);
		copy_of(t, o);
		e1(t, 0xb9);
		e4(t, o->what);
		e_call_thunk(t, o->fpu ? THUNK_WRITEBACK_FPU : THUNK_WRITEBACK);
		e_patch(fin, t->p);
	} else
		copy_of(t, o);
	tr_slots_again(t, o->slot);
	e_patch(e_jmp(t), o->end);
}
