/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots: what translated code for mirrors keeps in T0 and T1 from one
 * instruction of a block to the next, so that an access does not begin with a
 * look-up. docs/soft-engine.md ("Mirrors") tells why that is safe; tr.h what
 * the kinds are.
 */
#include "vmm/soft/tr.h"

static const int reg_of[TR_SLOTS] = { T0, T1 };

/* How far a register may move after its look-up, and what a displacement may
 * be. Both, and eight times an index of 32 bits, are within MIRROR_GUARD. */
#define FAR_DRIFT (1u << 28)

/* ---- what ends them ---- */

void
tr_lose(struct tr *t, int reg)
{
	for (unsigned i = 0; i < TR_SLOTS; i++)
		if (reg_of[i] == reg)
			t->slot[i].kind = SLOT_NONE;
}

void
tr_lose_all(struct tr *t)
{
	for (unsigned i = 0; i < TR_SLOTS; i++)
		t->slot[i].kind = SLOT_NONE;
}

void
tr_written(struct tr *t, unsigned guest)
{
	for (unsigned i = 0; i < TR_SLOTS; i++) {
		struct slot *s = &t->slot[i];

		if (s->kind != SLOT_NONE &&
		    (s->base == (int)guest || s->index == (int)guest))
			s->kind = SLOT_NONE;
	}
}

void
tr_moved(struct tr *t, unsigned guest, int64_t n)
{
	uint64_t d = (uint64_t)(n < 0 ? -n : n);

	for (unsigned i = 0; i < TR_SLOTS; i++) {
		struct slot *s = &t->slot[i];
		uint64_t by = d;

		if (s->kind == SLOT_NONE ||
		    (s->base != (int)guest && s->index != (int)guest))
			continue;
		if (s->index == (int)guest)
			by <<= s->scale;
		if (s->base == (int)guest)
			by += d;
		if (d >= FAR_DRIFT || s->drift + by >= FAR_DRIFT) {
			s->kind = SLOT_NONE;
			continue;
		}
		s->drift += (uint32_t)by;
		if (s->kind == SLOT_PTR && s->base == (int)guest)
			e_lea(t, 1, reg_of[i], reg_of[i], -1, 0, (int32_t)n);
	}
}

/* ---- what makes them ---- */

/* T2 := what leads to the mirror of the address in host register h. */
static void
lookup(struct tr *t, int h, int into)
{
	e_rorx(t, 1, T2, h, 32);
	e_zx16(t, T2, T2);
	e_op_mem(
	    t, 1, 0x8b, into, H_ENV, T2, 3, ENV(MIRROR_OFFSET(t->m)));
}

void
tr_find_mirror(struct tr *t, int h, int reg)
{
	if (t->code64)
		lookup(t, h, reg);
	else
		e_ld_env(t, 1, reg, MIRROR_OFFSET(t->m));
}

static unsigned
window_of(uint64_t va)
{
	return ((unsigned)(va >> 32) & 0xffff);
}

/* Emits what the slot says, into reg. T2 is lost, nothing else. */
static void
make(struct tr *t, const struct slot *s, int reg)
{
	int h = -1;

	switch (s->kind) {
	case SLOT_NONE:
	case SLOT_STACK:
		break;
	case SLOT_OFF:
		if (s->base == SLOT_LOW)
			e_ld_env(t, 1, reg, MIRROR_OFFSET(t->m));
		else
			lookup(t, t->host_of[s->base], reg);
		break;
	case SLOT_PTR:
		if (s->base >= 0)
			h = tr_get(t, (unsigned)s->base, reg);
		if (s->index >= 0) {
			e_lea(t, 1, T2, h, t->host_of[s->index], s->scale, 0);
			lookup(t, T2, T2);
		} else
			lookup(t, h, T2);
		if (h >= 0)
			e_lea(t, 1, reg, h, T2, 0, 0);
		else
			e_mov(t, 1, reg, T2);
		break;
	case SLOT_CONST:
		e_ld_env(t, 1, T2,
		    MIRROR_OFFSET(t->m) + window_of(s->anchor) * 8);
		if (s->anchor == 0)
			e_mov(t, 1, reg, T2);
		else {
			e_mov_imm(t, reg, s->anchor);
			e_lea(t, 1, reg, reg, T2, 0, 0);
		}
		break;
	}
}

static bool
fits(const struct slot *s, const struct slot *want)
{
	uint64_t d = want->anchor - s->anchor;

	return (s->kind == want->kind && s->base == want->base &&
	    s->index == want->index &&
	    (s->index < 0 || s->scale == want->scale) &&
	    (s->kind != SLOT_CONST || d + FAR_DISP / 2 <= FAR_DISP));
}

struct slot *
tr_slot(struct tr *t, const struct slot *want, int *reg)
{
	unsigned n = 0;

	t->slot_clock++;
	for (unsigned i = 0; i < TR_SLOTS; i++)
		if (fits(&t->slot[i], want)) {
			t->slot[i].used = t->slot_clock;
			*reg = reg_of[i];
			return (&t->slot[i]);
		}
	/* An address in T0 leaves but T1. */
	if (want->base == SLOT_LOW)
		n = 1;
	else
		for (unsigned i = 1; i < TR_SLOTS; i++)
			if (t->slot[n].kind != SLOT_NONE &&
			    (t->slot[i].kind == SLOT_NONE ||
				t->slot[i].used < t->slot[n].used))
				n = i;
	t->slot[n] = *want;
	t->slot[n].drift = 0;
	t->slot[n].used = t->slot_clock;
	*reg = reg_of[n];
	make(t, &t->slot[n], *reg);
	return (&t->slot[n]);
}

void
tr_slots_again(struct tr *t, const struct slot slot[TR_SLOTS])
{
	for (unsigned i = 0; i < TR_SLOTS; i++)
		make(t, &slot[i], reg_of[i]);
}

/* ---- which registers are known to be small ---- */

/* Instructions that always write the whole of a destination of 32 bits, and
 * clear what is above it. */
static bool
writes_32(const struct tr *t)
{
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_LEA:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
	case ZYDIS_MNEMONIC_BSWAP:
	case ZYDIS_MNEMONIC_SHRX:
	case ZYDIS_MNEMONIC_SHLX:
	case ZYDIS_MNEMONIC_SARX:
	case ZYDIS_MNEMONIC_RORX:
	case ZYDIS_MNEMONIC_BZHI:
		return (true);
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
		/* By nothing they may write nothing. */
		return (t->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		    (t->op[1].imm.value.u & 31) != 0);
	default:
		return (false);
	}
}

/* The same of 64 bits: is what it writes within 32 bits, or minus that? */
static bool
writes_small(const struct tr *t)
{
	const ZydisDecodedOperand *src = &t->op[1];
	bool imm = src->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return (src->size <= 32);
	case ZYDIS_MNEMONIC_AND:
		return (imm && src->imm.value.s >= 0 &&
		    src->imm.value.s <= INT32_MAX);
	case ZYDIS_MNEMONIC_SHR:
		return (imm && (src->imm.value.u & 63) >= 32);
	default:
		return (false);
	}
}

/* The guest's general register that operand `i` writes, or -1. */
static int
written_gpr(const struct tr *t, unsigned i)
{
	const ZydisDecodedOperand *op = &t->op[i];
	bool high;

	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return (-1);
	return (tr_gpr(op->reg.value, &high));
}

void
tr_note_small(struct tr *t)
{
	if (!tr_mirror(t))
		return;
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];
		int g = written_gpr(t, i);
		bool was, small;

		if (g < 0)
			continue;
		was = (t->small >> g) & 1;
		if (op->size < 32) /* the rest stays */
			small = was;
		else if (i != 0 || op->encoding == ZYDIS_OPERAND_ENCODING_NONE)
			small = false;
		else if (op->size == 32)
			small = writes_32(t);
		else
			small = writes_small(t);
		t->small = (uint16_t)((t->small & ~(1u << g)) |
		    (unsigned)small << g);
	}
}

/* By how much an instruction that only adds moves its first operand. */
static bool
moves(const struct tr *t, int64_t *by)
{
	bool imm = t->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		*by = imm ? t->op[1].imm.value.s : 0;
		return (imm);
	case ZYDIS_MNEMONIC_SUB:
		*by = imm ? -t->op[1].imm.value.s : 0;
		return (imm);
	case ZYDIS_MNEMONIC_INC:
		*by = 1;
		return (true);
	case ZYDIS_MNEMONIC_DEC:
		*by = -1;
		return (true);
	default:
		return (false);
	}
}

void
tr_note_written(struct tr *t)
{
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		int g = written_gpr(t, i);
		int64_t by;

		if (g < 0)
			continue;
		if (i == 0 && t->op[0].size == 64 && moves(t, &by))
			tr_moved(t, (unsigned)g, by);
		else
			tr_written(t, (unsigned)g);
	}
}
