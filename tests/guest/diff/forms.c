/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the instruction forms by decoding the whole opcode space, and makes
 * random instructions of a form.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

#define HASH_SIZE 65536u

uint64_t
rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31));
}

/* Categories with instructions that are not ordinary: control flow, system,
 * or the host has them and the guest is not offered them. */
static bool
category_ok(ZydisInstructionCategory c)
{
	switch (c) {
	case ZYDIS_CATEGORY_AMX_TILE:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_CET:
	case ZYDIS_CATEGORY_CLZERO:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_ENQCMD:
	case ZYDIS_CATEGORY_HRESET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
	case ZYDIS_CATEGORY_KEYLOCKER:
	case ZYDIS_CATEGORY_KEYLOCKER_WIDE:
	case ZYDIS_CATEGORY_MOVDIR:
	case ZYDIS_CATEGORY_MPX:
	case ZYDIS_CATEGORY_PADLOCK:
	case ZYDIS_CATEGORY_PCONFIG:
	case ZYDIS_CATEGORY_PKU:
	case ZYDIS_CATEGORY_PT:
	case ZYDIS_CATEGORY_RDPID:
	case ZYDIS_CATEGORY_RDPRU:
	case ZYDIS_CATEGORY_RDRAND:
	case ZYDIS_CATEGORY_RDSEED:
	case ZYDIS_CATEGORY_RDWRFSGS:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SEGOP:
	case ZYDIS_CATEGORY_SERIALIZE:
	case ZYDIS_CATEGORY_SGX:
	case ZYDIS_CATEGORY_SMAP:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_TSX_LDTRK:
	case ZYDIS_CATEGORY_UINTR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_VTX:
	case ZYDIS_CATEGORY_WAITPKG:
		return (false);
	default:
		return (true);
	}
}

static bool
mnemonic_ok(ZydisMnemonic m)
{
	switch (m) {
	/* TSX is not offered. */
	case ZYDIS_MNEMONIC_XABORT:
	case ZYDIS_MNEMONIC_XBEGIN:
	case ZYDIS_MNEMONIC_XEND:
	case ZYDIS_MNEMONIC_XTEST:
	/* Time. */
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_CPUID:
	case ZYDIS_MNEMONIC_MONITOR:
	case ZYDIS_MNEMONIC_MWAIT:
	case ZYDIS_MNEMONIC_MONITORX:
	case ZYDIS_MNEMONIC_MWAITX:
	/* IF and what else a user's POPF leaves alone. */
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return (false);
	default:
		return (true);
	}
}

static bool
insn_ok(const struct insn *i)
{
	const ZydisDecodedOperand *op;

	if ((i->d.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0 ||
	    !category_ok(i->d.meta.category) || !mnemonic_ok(i->d.mnemonic))
		return (false);
	for (unsigned n = 0; n < i->d.operand_count; n++) {
		op = &i->op[n];
		if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
			return (false);
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch (ZydisRegisterGetClass(op->reg.value)) {
		case ZYDIS_REGCLASS_SEGMENT:
		case ZYDIS_REGCLASS_CONTROL:
		case ZYDIS_REGCLASS_DEBUG:
		case ZYDIS_REGCLASS_TEST:
		case ZYDIS_REGCLASS_TABLE:
		case ZYDIS_REGCLASS_TMM:
			return (false);
		default:
			break;
		}
	}
	return (true);
}

bool
forms_decode(const struct forms *fs, struct insn *i)
{
	return (ZYAN_SUCCESS(ZydisDecoderDecodeFull(
		    &fs->dec, i->bytes, 15, &i->d, i->op)) &&
	    insn_ok(i));
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	struct rng r = { h ^ (v * 0x100000001b3ull) };

	return (rng_next(&r));
}

/* What makes an instruction another form: its name, encoding, and the kinds
 * and sizes of its operands, not the registers they are in. */
static uint64_t
signature(const struct insn *i)
{
	uint64_t h = mix(i->d.mnemonic, i->d.encoding);
	const ZydisDecodedOperand *op;

	h = mix(h, i->d.operand_width);
	h = mix(h, (uint64_t)i->d.avx.vector_length << 8 |
		(uint64_t)(i->d.avx.broadcast.mode != 0) << 4 |
		(uint64_t)(i->d.avx.rounding.mode != 0) << 1 |
		i->d.avx.has_sae);
	for (unsigned n = 0; n < i->d.operand_count_visible; n++) {
		op = &i->op[n];
		h = mix(h, (uint64_t)op->type << 32 | op->size << 8 |
			op->encoding);
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
			h = mix(h, ZydisRegisterGetClass(op->reg.value));
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			h = mix(h, op->mem.type);
	}
	return (h);
}

struct fields {
	uint8_t reg, rm, mod; /* 3 bits, 3 bits, 2 bits */
	uint8_t rex;	      /* R X B in bits 2, 1, 0 */
	uint8_t rex_force;
	uint8_t vvvv, r2, v2, z, aaa;
	uint8_t sib;
	uint8_t c5; /* prefer the two-byte VEX prefix */
	uint8_t a32, seg, lock; /* prefix bytes or 0 */
};

static unsigned
put_legacy(uint8_t *b, const struct form *f, const struct fields *x)
{
	static const uint8_t pp[6][2] = { { 0, 0 }, { 0x66, 0 }, { 0xf3, 0 },
		{ 0xf2, 0 }, { 0x66, 0xf2 }, { 0x66, 0xf3 } };
	unsigned n = 0;
	uint8_t rex = (uint8_t)(0x40 | f->w << 3 | x->rex);

	for (unsigned i = 0; i < 2; i++)
		if (pp[f->pp][i] != 0)
			b[n++] = pp[f->pp][i];
	if (rex != 0x40 || x->rex_force)
		b[n++] = rex;
	if (f->map >= 1)
		b[n++] = 0x0f;
	if (f->map >= 2)
		b[n++] = f->map == 2 ? 0x38 : 0x3a;
	return (n);
}

static unsigned
put_vex(uint8_t *b, const struct form *f, const struct fields *x)
{
	uint8_t rex = (uint8_t)(~x->rex & 7);
	uint8_t last = (uint8_t)(x->vvvv << 3 | f->l << 2 | f->pp);

	if (x->c5 && f->map == 1 && f->w == 0 && (rex & 3) == 3) {
		b[0] = 0xc5;
		b[1] = (uint8_t)((rex & 4) << 5 | last);
		return (2);
	}
	b[0] = 0xc4;
	b[1] = (uint8_t)(rex << 5 | f->map);
	b[2] = (uint8_t)(f->w << 7 | last);
	return (3);
}

static unsigned
put_evex(uint8_t *b, const struct form *f, const struct fields *x)
{
	b[0] = 0x62;
	b[1] = (uint8_t)((~x->rex & 7) << 5 | (x->r2 ? 0 : 0x10) | f->map);
	b[2] = (uint8_t)(f->w << 7 | x->vvvv << 3 | 4 | f->pp);
	b[3] = (uint8_t)(x->z << 7 | f->l << 5 | f->b << 4 |
	    (x->v2 ? 0 : 8) | x->aaa);
	return (4);
}

/* The rest of bytes[] (displacement, immediate) stays as it is. */
static void
put(struct insn *i, const struct form *f, const struct fields *x)
{
	uint8_t *b = i->bytes;
	unsigned n = 0;
	uint8_t opcode = f->opcode;

	if (x->a32)
		b[n++] = x->a32;
	if (x->seg)
		b[n++] = x->seg;
	if (x->lock)
		b[n++] = x->lock;
	if (f->enc == ENC_LEGACY)
		n += put_legacy(b + n, f, x);
	else if (f->enc == ENC_VEX)
		n += put_vex(b + n, f, x);
	else
		n += put_evex(b + n, f, x);
	if (f->opcode_reg)
		opcode = (uint8_t)((opcode & ~7) | x->rm);
	b[n++] = opcode;
	b[n++] = (uint8_t)(x->mod << 6 | x->reg << 3 | x->rm);
	if (x->mod != 3 && x->rm == 4)
		b[n] = x->sib;
}

static int
add_form(struct forms *fs, const struct insn *i, struct form *f)
{
	uint32_t h;
	bool reg_is_operand = false, rm_is_operand = false;

	f->sig = signature(i);
	for (h = (uint32_t)f->sig % HASH_SIZE; fs->hash[h] != 0;
	     h = (h + 1) % HASH_SIZE)
		if (fs->f[fs->hash[h] - 1].sig == f->sig)
			return (0);
	for (unsigned n = 0; n < i->d.operand_count; n++) {
		ZydisOperandEncoding e = i->op[n].encoding;

		reg_is_operand |= e == ZYDIS_OPERAND_ENCODING_MODRM_REG;
		rm_is_operand |= e == ZYDIS_OPERAND_ENCODING_MODRM_RM;
		f->opcode_reg |= e == ZYDIS_OPERAND_ENCODING_OPCODE;
	}
	if ((i->d.attributes & ZYDIS_ATTRIB_HAS_MODRM) == 0 ||
	    reg_is_operand)
		f->reg = FREE;
	if (rm_is_operand || !f->mod3 ||
	    (i->d.attributes & ZYDIS_ATTRIB_HAS_MODRM) == 0)
		f->rm = FREE;
	f->mnemonic = (uint16_t)i->d.mnemonic;
	if (fs->n == fs->room) {
		struct form *p;

		fs->room = fs->room ? fs->room * 2 : 4096;
		p = realloc(fs->f, fs->room * sizeof(*p));
		if (p == NULL)
			return (-ENOMEM);
		fs->f = p;
	}
	fs->f[fs->n++] = *f;
	fs->hash[h] = fs->n;
	return (0);
}

/* One point of the opcode space: tries all that may decide the form. */
static int
try_opcode(struct forms *fs, struct form base)
{
	struct insn i;
	struct fields x = { 0 };
	struct form f;
	int error;

	for (unsigned modrm = 0; modrm < 128; modrm++) {
		/* Register forms with each rm, one memory form per reg. */
		if (modrm >= 64 && (modrm & 7) != 0)
			continue;
		if (base.enc != ENC_LEGACY && modrm < 64 && (modrm & 7) != 1)
			continue;
		for (unsigned k = 0; k < 3; k++) {
			/* 0: vvvv unused; 1: mask; 2: VSIB with a mask */
			if (k >= 1 && base.enc == ENC_LEGACY)
				break;
			memset(&i, 0, sizeof(i));
			memset(&x, 0, sizeof(x));
			f = base;
			f.mod3 = modrm < 64;
			f.reg = x.reg = (modrm >> 3) & 7;
			f.rm = x.rm = modrm & 7;
			x.mod = f.mod3 ? 3 : 0;
			x.vvvv = 15;
			if (k >= 1)
				x.aaa = 1;
			if (k == 2) {
				x.rm = 4;
				x.sib = 0x17; /* another register than reg */
				x.vvvv = base.enc == ENC_VEX ? 4 : 15;
				if (f.mod3)
					break;
			}
			f.mask = k >= 1;
			put(&i, &f, &x);
			if (!forms_decode(fs, &i))
				continue;
			error = add_form(fs, &i, &f);
			if (error != 0)
				return (error);
			break;
		}
	}
	return (0);
}

static int
scan(struct forms *fs, uint8_t enc, uint8_t map, uint8_t npp, uint8_t nl)
{
	int error = 0;
	unsigned nb = enc == ENC_EVEX ? 2 : 1;

	for (unsigned op = 0; op < 256; op++)
		for (unsigned pp = 0; pp < npp; pp++)
			for (unsigned w = 0; w < 2; w++)
				for (unsigned l = 0; l < nl; l++)
					for (unsigned b = 0; b < nb; b++) {
						struct form f = { .enc = enc,
							.map = map };

						f.opcode = (uint8_t)op;
						f.pp = (uint8_t)pp;
						f.w = (uint8_t)w;
						f.l = (uint8_t)l;
						f.b = (uint8_t)b;
						error = try_opcode(fs, f);
						if (error != 0)
							return (error);
					}
	return (0);
}

/* Prefixes and escapes are no opcodes. */
static bool
is_prefix(const struct form *f, unsigned mode)
{
	static const uint8_t bytes[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62,
		0x64, 0x65, 0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3 };

	if (f->enc != ENC_LEGACY)
		return (false);
	if (f->map == 1)
		return (f->opcode == 0x38 || f->opcode == 0x3a);
	if (f->map != 0)
		return (false);
	if (mode == 64 && (f->opcode & 0xf0) == 0x40)
		return (true);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		if (f->opcode == bytes[i])
			return (true);
	return (false);
}

ZydisMachineMode
forms_machine(unsigned mode)
{
	return (mode == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
		mode == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
			     ZYDIS_MACHINE_MODE_LONG_COMPAT_16);
}

int
forms_init(struct forms *fs, unsigned mode)
{
	int error = 0;
	uint32_t n = 0;

	memset(fs, 0, sizeof(*fs));
	fs->mode = mode;
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&fs->dec, forms_machine(mode),
		mode == 64     ? ZYDIS_STACK_WIDTH_64 :
		    mode == 32 ? ZYDIS_STACK_WIDTH_32 :
				 ZYDIS_STACK_WIDTH_16)))
		return (-EINVAL);
	fs->hash = calloc(HASH_SIZE, sizeof(*fs->hash));
	if (fs->hash == NULL)
		return (-ENOMEM);
	for (uint8_t map = 0; map < 4 && error == 0; map++)
		error = scan(fs, ENC_LEGACY, map, 6, 1);
	for (uint8_t map = 1; map < 4 && error == 0; map++)
		error = scan(fs, ENC_VEX, map, 4, 2);
	for (uint8_t map = 1; map < 7 && error == 0; map++)
		if (map != 4)
			error = scan(fs, ENC_EVEX, map, 4, 3);
	for (uint32_t i = 0; i < fs->n; i++)
		if (!is_prefix(&fs->f[i], mode))
			fs->f[n++] = fs->f[i];
	fs->n = n;
	return (error);
}

void
forms_fini(struct forms *fs)
{
	free(fs->f);
	free(fs->hash);
}

static void
random_prefixes(
    const struct form *f, struct rng *r, struct fields *x, unsigned mode)
{
	static const uint8_t segs[] = { 0x64, 0x65, 0x26, 0x2e, 0x36, 0x3e };

	if (rng_chance(r, 8))
		x->a32 = 0x67;
	if (rng_chance(r, 15))
		x->seg = segs[rng_chance(r, 80) ? rng_below(r, 2) :
						  rng_below(r, 6)];
	if (x->a32 != 0 && mode == 32)
		x->seg = 0x64; /* 16 bits reach what is near its base */
	if (f->enc != ENC_LEGACY)
		return;
	if (!f->mod3 && rng_chance(r, 30))
		x->lock = 0xf0;
	else if (f->map == 0 && (f->opcode & 0xf4) == 0xa4 &&
	    rng_chance(r, 60))
		x->lock = rng_chance(r, 50) ? 0xf2 : 0xf3;
	else if (rng_chance(r, 2))
		x->lock = rng_chance(r, 50) ? 0xf2 : 0xf3;
}

/* The further it has failed, the fewer liberties it takes. */
static void
random_fields(const struct form *f, struct rng *r, struct fields *x,
    unsigned mode, unsigned attempt)
{
	uint64_t v = rng_next(r);

	memset(x, 0, sizeof(*x));
	x->reg = f->reg != FREE ? f->reg : v & 7;
	x->rm = f->rm != FREE ? f->rm : v >> 3 & 7;
	x->mod = f->mod3 ? 3 : (uint8_t)rng_below(r, 3);
	x->rex = v >> 6 & 7;
	x->rex_force = v >> 9 & 1;
	x->sib = (uint8_t)(v >> 16);
	x->c5 = v >> 24 & 1;
	x->vvvv = v >> 25 & 15;
	x->r2 = v >> 29 & 1;
	x->v2 = v >> 30 & 1;
	x->aaa = v >> 31 & 7;
	x->z = x->aaa != 0 && (v >> 34 & 1);
	if (f->enc == ENC_LEGACY && attempt >= 40)
		x->rex = x->rex_force = 0;
	if (mode != 64)
		x->rex = x->rex_force = x->r2 = x->v2 = 0;
	if (mode != 64)
		x->vvvv |= 8;
	if (attempt < 20)
		random_prefixes(f, r, x, mode);
	if (attempt >= 10 && attempt % 2 == 0)
		x->z = x->aaa = 0;
	if (attempt >= 15 && (attempt / 2) % 2 == 0) {
		x->vvvv = 15;
		x->v2 = 0;
	}
	if (attempt >= 20 && attempt % 3 == 0)
		x->r2 = 0;
	if (f->mask == 1 && x->aaa == 0)
		x->aaa = 1;
	if (f->mask == 1 && !f->mod3 && attempt % 2 == 1)
		x->rm = 4; /* perhaps VSIB */
	if (attempt >= 60) {
		x->rex = 0;
		x->z = 0;
	}
}

bool
forms_make(
    const struct forms *fs, const struct form *f, struct rng *r, struct insn *i)
{
	struct fields x;

	for (unsigned attempt = 0; attempt < 120; attempt++) {
		for (unsigned n = 0; n < 16; n += 8) {
			uint64_t v = rng_next(r);

			memcpy(i->bytes + n, &v, 8);
		}
		random_fields(f, r, &x, fs->mode, attempt);
		put(i, f, &x);
		if (forms_decode(fs, i) && i->d.mnemonic == f->mnemonic)
			return (true);
	}
	return (false);
}
