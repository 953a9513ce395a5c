/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding with a memory. Programs use a few hundred kinds of instruction,
 * over and over: what Zydis makes of one depends on its prefixes, opcode,
 * ModRM and SIB bytes alone, but for the values of a displacement and an
 * immediate. So the result is kept by those bytes (the "form"), and for the
 * next instruction of the form only the two values are read. Intel SDM
 * volume 2, 2.1 and 2.2 ("Instruction Format").
 *
 * What is kept has been checked to be of that kind: the form and the two
 * fields are the whole instruction, and its operands have the fields' values.
 */
#include <string.h>

#include "vmm/soft/tr.h"

#define FORM_MAX 8 /* bytes */
#define FORM_OPS 5
#define FORMS_BITS 12

struct soft_form {
	uint64_t key; /* the bytes; 0: none (00 00 is never kept) */
	uint8_t len;  /* of the key */
	uint8_t mode;
	int8_t imm_op, disp_op; /* operands with the values, -1: none */
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[FORM_OPS];
};

size_t
tr_forms_size(void)
{
	return (sizeof(struct soft_form) << FORMS_BITS);
}

/* Opcodes of the one-byte map, and of 0F, that have a ModRM byte. Those that
 * are wrong here only lose by it: see keep(). */
static const uint32_t modrm_1[8] = { 0x0f0f0f0f, 0x0f0f0f0f, 0, 0x00000a0c,
	0x0000ffff, 0, 0xff0f00c3, 0xc0c00000 };
static const uint32_t modrm_0f[8] = { 0xffff200f, 0x0000ff0f, 0xffffffff,
	0xff7fffff, 0xffff0000, 0xfffff838, 0xffff00ff, 0xffffffff };

static bool
has_modrm(const uint32_t *map, unsigned opc)
{
	return ((map[opc >> 5] >> (opc & 31)) & 1);
}

/* Length of the form at p, 0 if it is not one that we keep. */
static unsigned
form_length(const uint8_t *p, unsigned n, bool code64, unsigned aw)
{
	const uint32_t *map = modrm_1;
	unsigned i = 0, aw_other = aw == 32 ? 16 : 32;

	if (n < FORM_MAX)
		return (0);
	for (;; i++) {
		switch (p[i]) {
		case 0x67:
			aw = aw_other;
			break;
		case 0x66:
		case 0xf2:
		case 0xf3:
		case 0x64:
		case 0x65:
		case 0x2e:
		case 0x3e:
		case 0x26:
		case 0x36:
		case 0xf0:
			break;
		default:
			goto opcode;
		}
		if (i == 3)
			return (0);
	}
opcode:
	if (code64 && (p[i] & 0xf0) == 0x40)
		i++;
	switch (p[i]) {
	case 0x0f:
		map = modrm_0f;
		i++;
		if (p[i] == 0x38 || p[i] == 0x3a) {
			i += 2;
			goto modrm;
		}
		if (p[i] == 0x0f)
			return (0);
		break;
	case 0xc5: /* VEX: vvvv is among the bytes of the form */
		if (!code64 || i != 0)
			return (0);
		i += 3;
		goto modrm;
	case 0xc4:
		if (!code64 || i != 0)
			return (0);
		i += 4;
		goto modrm;
	case 0x62:
	case 0x8f:
		return (0);
	default:
		break;
	}
	if (!has_modrm(map, p[i]))
		return (i + 1);
	i++;
modrm:
	if (i + 2 > FORM_MAX)
		return (0);
	/* mod 3 has no SIB, 16-bit addresses neither. */
	if (p[i] < 0xc0 && (p[i] & 7) == 4 && aw != 16)
		i++;
	return (i + 1);
}

static int64_t
little(const uint8_t *p, unsigned bits, bool is_signed)
{
	uint64_t v = 0;

	memcpy(&v, p, bits / 8);
	if (is_signed && bits < 64)
		return ((int64_t)(v << (64 - bits)) >> (64 - bits));
	return ((int64_t)v);
}

/* Keeps what Zydis said, if the form says all but two values. */
static void
keep(struct soft_form *f, const struct tr *t, uint64_t key, unsigned len,
    unsigned mode)
{
	unsigned imm = t->in.raw.imm[0].size, disp = t->in.raw.disp.size;
	int imm_op = -1, disp_op = -1;

	if (key == 0 || t->in.operand_count > FORM_OPS ||
	    t->in.raw.imm[1].size != 0 ||
	    len + imm / 8 + disp / 8 != t->in.length ||
	    (imm != 0 && t->in.raw.imm[0].offset < len) ||
	    (disp != 0 && t->in.raw.disp.offset < len) ||
	    /* A register may be in the immediate. */
	    (imm != 0 &&
		t->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY))
		return;
	for (int i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
			return;
		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && imm != 0) {
			if (imm_op >= 0 ||
			    op->imm.value.u != t->in.raw.imm[0].value.u)
				return;
			imm_op = i;
		}
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    op->mem.disp.has_displacement) {
			if (disp_op >= 0 || disp == 0 ||
			    op->mem.disp.value != t->in.raw.disp.value)
				return;
			disp_op = i;
		}
	}
	if ((imm != 0 && imm_op < 0) || (disp != 0 && disp_op < 0))
		return;
	f->key = key;
	f->len = (uint8_t)len;
	f->mode = (uint8_t)mode;
	f->imm_op = (int8_t)imm_op;
	f->disp_op = (int8_t)disp_op;
	f->in = t->in;
	memcpy(f->op, t->op, t->in.operand_count * sizeof(t->op[0]));
}

/* Structs of some hundred bytes, a multiple of 8: faster than what the
 * compiler makes of an assignment, or libc of a length that it has to ask. */
static inline void
copy(void *to, const void *from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	for (; n >= 16; n -= 16, d += 16, s += 16)
		__builtin_memcpy(d, s, 16);
	if (n != 0)
		__builtin_memcpy(d, s, 8);
}
_Static_assert(sizeof(ZydisDecodedInstruction) % 8 == 0 &&
	sizeof(ZydisDecodedOperand) % 8 == 0, "copy()");

/* t->in and t->op := an instruction of the form. */
static void
recall(struct tr *t, const struct soft_form *f)
{
	unsigned n = f->in.operand_count;

	copy(&t->in, &f->in, sizeof(t->in));
	copy(t->op, f->op, n * sizeof(t->op[0]));
	t->op[n].type = ZYDIS_OPERAND_TYPE_UNUSED;
	if (f->disp_op >= 0) {
		int64_t v = little(t->bytes + f->in.raw.disp.offset,
		    f->in.raw.disp.size, true);

		t->in.raw.disp.value = v;
		t->op[f->disp_op].mem.disp.value = v;
	}
	if (f->imm_op >= 0) {
		int64_t v = little(t->bytes + f->in.raw.imm[0].offset,
		    f->in.raw.imm[0].size, f->in.raw.imm[0].is_signed);

		t->in.raw.imm[0].value.s = v;
		t->op[f->imm_op].imm.value.s = v;
	}
}

ZyanStatus
tr_decode(struct tr *t, unsigned n)
{
	unsigned mode = t->code64 ? 0 : t->flags & BF_CODE32 ? 1 :
	    t->flags & BF_REAL				     ? 2 :
							       3;
	struct soft_form *f = NULL;
	uint64_t key = 0;
	unsigned len = 0;
	ZyanStatus st;

	if (t->vm->forms != NULL)
		len = form_length(t->bytes, n, t->code64,
		    t->code64		     ? 64 :
			t->flags & BF_CODE32 ? 32 :
					       16);
	if (len != 0 && len <= FORM_MAX) {
		memcpy(&key, t->bytes, 8);
		key &= ~0ull >> (64 - 8 * len);
		f = &t->vm->forms[((key ^ mode ^ (uint64_t)len << 60) *
				      0x9e3779b97f4a7c15ull) >>
		    (64 - FORMS_BITS)];
		if (f->key == key && f->len == len && f->mode == mode &&
		    f->in.length <= n) {
			recall(t, f);
			return (ZYAN_STATUS_SUCCESS);
		}
	}
	st = ZydisDecoderDecodeFull(&t->dec, t->bytes, n, &t->in, t->op);
	if (f != NULL && ZYAN_SUCCESS(st))
		keep(f, t, key, len, mode);
	return (st);
}

/* SYSENTER and SYSEXIT are not known to the decoder in real mode. They are
 * instructions there, too: #GP (SDM volume 2), and in virtual-8086 mode
 * SYSENTER does what it does elsewhere. */
ZyanStatus
tr_decode_sysenter(struct tr *t, unsigned n, ZyanStatus st)
{
	ZydisDecoder dec;

	ZydisDecoderInit(&dec,
	    t->flags & BF_CODE32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
				   ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
	    t->flags & BF_CODE32 ? ZYDIS_STACK_WIDTH_32 :
				   ZYDIS_STACK_WIDTH_16);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(
		&dec, t->bytes, n, &t->in, t->op)) ||
	    (t->in.mnemonic != ZYDIS_MNEMONIC_SYSENTER &&
		t->in.mnemonic != ZYDIS_MNEMONIC_SYSEXIT))
		return (st);
	return (ZYAN_STATUS_SUCCESS);
}
