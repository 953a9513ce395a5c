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
 *	T2  = address - tag + size - 1
 *	T2 >>= 12		; 0 if the tag fits and the page is not left
 *	T1  = addend
 *	jrcxz hit
 */
void
tr_access(struct tr *t, uint32_t what, struct access *a)
{
	unsigned size = what & ACCESS_SIZE;
	unsigned tag = what & ACCESS_WRITE ? TLB_W : TLB_R;
	int32_t tlb = ENV(TLB_OFFSET(t->m));

	*a = (struct access){ .what = what, .base = T0, .key = -1 };
	t->key = -1;
	if (!t->vm->no_tlb && !(t->flags & (BF_STEP | BF_AC))) {
		e_rorx(t, 1, T2, T0, 12);
		e1(t, 0x0f); /* movzx ecx, cx */
		e1(t, 0xb7);
		e1(t, 0xc9);
		e_lea(t, 0, T1, -1, T2, 2, 0);
		e_op_mem(t, 1, 0x8b, T2, H_ENV, T1, 3, tlb + (int32_t)tag);
		e_lea(t, 1, T2, T2, T0, 0, (int32_t)size - 1);
		e1(t, 0xc4); /* shrx rcx, rcx, r13: see layout.h */
		e1(t, 0xe2);
		e1(t, 0x93);
		e1(t, 0xf7);
		e1(t, 0xc9);
		e_op_mem(t, 1, 0x8b, T1, H_ENV, T1, 3, tlb + TLB_ADDEND);
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
	o->base = a->base;
	o->disp = a->disp;
	o->folded = a->folded;
	o->key = a->key;
}

/* ---- the same by the mirror ---- */

bool
tr_mirror(const struct tr *t)
{
	return ((t->flags & BF_MIRROR) && !t->vm->no_tlb &&
	    !(t->flags & (BF_STEP | BF_AC)));
}

/* How far from the address that was looked up code may go: the guard of a
 * window, with something to spare for a register that moves. */
#define FAR_DISP (1 << 30)
#define FAR_DRIFT (1u << 28)

/* T1 := what is to be added to addresses near the one in reg. T2 is lost. */
static void
mirror_lookup(struct tr *t, int reg)
{
	if (!t->code64) { /* linear addresses have 32 bits */
		e_ld_env(t, 1, T1, MIRROR_OFFSET(t->m));
		return;
	}
	e_rorx(t, 1, T2, reg, 32);
	e_zx16(t, T2, T2);
	e_op_mem(t, 1, 0x8b, T1, H_ENV, T2, 3, ENV(MIRROR_OFFSET(t->m)));
}

static void
mirror_access(struct tr *t, int base, int key, struct access *a)
{
	a->mirror = true;
	a->key = key;
	if (key < 0 || t->key != key) {
		mirror_lookup(t, base);
		t->drift = 0;
	}
	t->key = key;
	a->hit = t->p;
}

void
tr_access_t0(struct tr *t, uint32_t what, struct access *a)
{
	if (!tr_mirror(t)) {
		tr_access(t, what, a);
		return;
	}
	*a = (struct access){ .what = what, .base = T0 };
	mirror_access(t, T0, t->code64 ? -1 : KEY_LOW, a);
}

void
tr_access_reg(struct tr *t, unsigned guest, int32_t disp, uint32_t what,
    struct access *a)
{
	int h = tr_host_of[guest];

	if (!tr_mirror(t) || h < 0 || disp > FAR_DISP || disp < -FAR_DISP) {
		h = tr_get(t, guest, T0);
		if (disp != 0 || h != T0)
			e_lea(t, 1, T0, h, -1, 0, disp);
		tr_access_t0(t, what, a);
		return;
	}
	*a = (struct access){ .what = what, .base = h, .disp = disp,
		.folded = true };
	mirror_access(t, h, (int)guest, a);
}

/* An address that is known: of RIP and a displacement. */
static bool
constant(const ZydisDecodedOperand *op)
{
	return ((op->mem.base == ZYDIS_REGISTER_RIP ||
		    op->mem.base == ZYDIS_REGISTER_EIP) &&
	    op->mem.segment != ZYDIS_REGISTER_FS &&
	    op->mem.segment != ZYDIS_REGISTER_GS);
}

void
tr_access_op(struct tr *t, const ZydisDecodedOperand *op, uint32_t use,
    uint32_t what, struct access *a)
{
	bool high;
	int g = tr_gpr(op->mem.base, &high);

	/* EVEX has its own idea of short displacements. */
	if (tr_mirror(t) && t->code64 && t->in.address_width == 64 && g >= 0 &&
	    op->mem.index == ZYDIS_REGISTER_NONE && !tr_no_base(t) &&
	    op->mem.segment != ZYDIS_REGISTER_FS &&
	    op->mem.segment != ZYDIS_REGISTER_GS &&
	    t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX) {
		tr_access_reg(t, (unsigned)g,
		    op->mem.disp.has_displacement ?
			(int32_t)op->mem.disp.value :
			0,
		    what, a);
		return;
	}
	tr_ea(t, op, use, 0);
	if (tr_mirror(t) && t->code64 && constant(op)) {
		uint64_t va = t->in.address_width == 64 ?
		    t->next + (uint64_t)op->mem.disp.value :
		    (uint32_t)(t->next + (uint64_t)op->mem.disp.value);

		*a = (struct access){ .what = what, .base = T0,
			.mirror = true, .key = -1 };
		t->key = -1;
		e_ld_env(t, 1, T1,
		    (unsigned)(MIRROR_OFFSET(t->m) + (va >> 32 & 0xffff) * 8));
		a->hit = t->p;
		return;
	}
	tr_access_t0(t, what, a);
}

void
tr_keep_t1(struct tr *t)
{
	t->keep_t1 = true;
}

void
tr_moved(struct tr *t, unsigned guest, int64_t n)
{
	uint64_t d = (uint64_t)(n < 0 ? -n : n);

	if (t->key != (int)guest)
		return;
	if (d >= FAR_DRIFT || t->drift + d >= FAR_DRIFT)
		t->key = -1;
	else
		t->drift += (uint32_t)d;
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

/*
 * The slow path of an access to the mirror, where signal.c goes. It does not
 * go back to the access but has it once more, so that a fault there is a
 * fault. Its copy is at [base + T1 + disp], too: T1 is made to fit.
 */
void
tr_ool_mirror(struct tr *t, const struct ool *o)
{
	uint32_t here = (uint32_t)(t->p - t->start);
	uint8_t *other, *fin;

	t->fixups[t->nfixups++] =
	    (struct fixup){ (uint32_t)(o->hit - t->start),
		    (uint32_t)(o->end - t->start), here };
	if (o->folded)
		e_lea(t, 1, T0, o->base, -1, 0, o->disp);
	e1(t, 0xb9); /* mov ecx, what */
	e4(t, o->what);
	e_call_thunk(t, o->fpu ? THUNK_MEM_FPU : THUNK_MEM);
	if (o->folded) { /* T1 := T0 - base - disp */
		e_mov(t, 1, T1, o->base);
		e_rex(t, 1, 0, 0, T1); /* not r15 */
		e1(t, 0xf7);
		e1(t, 0xd0u | (T1 & 7));
		e_lea(t, 1, T1, T1, T0, 0, 1 - o->disp);
	}
	if (o->what & ACCESS_WRITE) {
		e_jrcxz(t, 5);
		other = e_jmp(t);
		memcpy(t->p, o->hit, (size_t)(o->end - o->hit));
		t->p += o->end - o->hit;
		fin = e_jmp(t);
		e_patch(other, t->p);
		memcpy(t->p, o->hit, (size_t)(o->end - o->hit));
		t->p += o->end - o->hit;
		e1(t, 0xb9);
		e4(t, o->what);
		e_call_thunk(t, o->fpu ? THUNK_WRITEBACK_FPU : THUNK_WRITEBACK);
		e_patch(fin, t->p);
	} else {
		memcpy(t->p, o->hit, (size_t)(o->end - o->hit));
		t->p += o->end - o->hit;
	}
	if (o->key == KEY_LOW)
		mirror_lookup(t, T0);
	else if (o->key >= 0)
		mirror_lookup(t, tr_host_of[o->key]);
	e_patch(e_jmp(t), o->end);
}
