/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions whose operands are out of the ordinary: addresses that are not
 * accessed, bit strings, implicit pointers, vectors of addresses.
 */
#include "vmm/soft/tr.h"

/* LEA of general registers as it stands, with at most one of those that it
 * reads not at home. */
static bool
lea_plain(struct tr *t, unsigned g, unsigned size)
{
	const ZydisDecodedOperand *op = &t->op[1];
	bool high;
	int b = tr_gpr(op->mem.base, &high), i = tr_gpr(op->mem.index, &high);
	int64_t disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	int hb, hi, dst = t->host_of[g] < 0 ? T2 : t->host_of[g];

	if (size < 4 || t->in.address_width != size * 8 || b < 0 ||
	    tr_no_base(t) ||
	    (t->host_of[b] < 0 && i >= 0 && i != b && t->host_of[i] < 0))
		return (false);
	hb = tr_get(t, (unsigned)b, T2);
	hi = i < 0 ? -1 : i == b ? hb : tr_get(t, (unsigned)i, T2);
	e_lea(t, size == 8, dst, hb, hi,
	    i < 0 ? 0 : __builtin_ctz(op->mem.scale | 8u), (int32_t)disp);
	tr_put(t, g, dst);
	tr_keep(t);
	if (b == (int)g && i < 0 && size == 8)
		tr_moved(t, g, disp);
	else
		tr_written(t, g);
	return (true);
}

static bool
lea(struct tr *t)
{
	unsigned size = t->op[0].size / 8u, g;
	bool high;
	int h;

	g = (unsigned)tr_gpr(t->op[0].reg.value, &high);
	if (lea_plain(t, g, size))
		return (true);
	tr_ea(t, &t->op[1], EA_OFFSET, 0);
	if (size == 2) {
		h = tr_get(t, g, T1);
		e1(t, 0x66);
		e_mov(t, 0, h, T0);
		tr_put(t, g, h);
		return (true);
	}
	if (size == 4)
		e_mov(t, 0, T0, T0);
	tr_put(t, g, T0);
	return (true);
}

/* movzx T0, T0w: an address of 16 bits. */
static void
wrap16(struct tr *t)
{
	e1(t, 0x45);
	e1(t, 0x0f);
	e1(t, 0xb7);
	e1(t, 0xf6);
}

/* BMI2 shift: op 1: SHLX, 2: SARX, 3: SHRX; 64 bits, rcx by T1 into rcx */
static void
shift_cx_by_t1(struct tr *t, unsigned pp)
{
	e1(t, 0xc4);
	e1(t, 0xe2);
	e1(t, 0x80u | ((~(unsigned)T1 & 15) << 3) | pp);
	e1(t, 0xf7);
	e1(t, 0xc9);
}

/*
 * BT and its kin with a bit offset in a register reach beyond their operand
 * in memory (SDM volume 2, BT). The operand that holds the bit is addressed,
 * and the offset reduced, with shifts that leave the flags alone.
 */
static bool
bit_string(struct tr *t)
{
	unsigned size = t->op[0].size / 8u, g;
	unsigned lg = size == 8 ? 6 : size == 4 ? 5 : 4;
	uint32_t what = size | ACCESS_READ | tr_stack(&t->op[0]);
	struct access a;
	bool high;
	int h;

	if (t->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    t->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (false);
	g = (unsigned)tr_gpr(t->op[1].reg.value, &high);
	if (t->in.mnemonic != ZYDIS_MNEMONIC_BT)
		what |= ACCESS_WRITE | tr_locked(t);
	tr_ea(t, &t->op[0], EA_OFFSET, 0);
	h = tr_get(t, g, T2);
	if (size == 8) {
		if (h != T2)
			e_mov(t, 1, T2, h);
	} else if (size == 4) { /* movsxd rcx, h */
		e_rex(t, 1, T2, 0, h);
		e1(t, 0x63);
		e1(t, 0xc8u | (unsigned)(h & 7));
	} else { /* movsx rcx, h16 */
		e_rex(t, 1, T2, 0, h);
		e1(t, 0x0f);
		e1(t, 0xbf);
		e1(t, 0xc8u | (unsigned)(h & 7));
	}
	e_mov_imm(t, T1, lg);
	shift_cx_by_t1(t, 2);
	/* The offset is part of the effective address, and wraps with it. */
	e_lea(t, t->in.address_width == 64, T0, T0, T2,
	    size == 8	    ? 3 :
		size == 4 ? 2 :
			    1,
	    0);
	if (t->in.address_width == 16)
		wrap16(t);
	tr_add_seg(t, (unsigned)(t->op[0].mem.segment - ZYDIS_REGISTER_ES),
	    EA_SEG | size | (what & ACCESS_WRITE ? EA_WRITE : 0),
	    t->in.address_width);
	tr_access(t, what, &a);
	e_lea(t, 1, T0, T0, T1, 0, 0);
	h = tr_get(t, g, T2);
	if (h != T2)
		e_mov(t, 1, T2, h);
	e_mov_imm(t, T1, 64 - lg);
	shift_cx_by_t1(t, 1);
	shift_cx_by_t1(t, 3);
	if (t->in.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		e1(t, 0xf0);
	if (size == 2)
		e1(t, 0x66);
	e_rex(t, size == 8, T2, 0, T0);
	e1(t, 0x0f);
	e1(t, t->in.opcode);
	e_mem(t, T2, T0, -1, 0, 0);
	tr_access_end(t, &a);
	return (true);
}

static bool
xlat(struct tr *t)
{
	bool w = t->in.address_width == 64;
	struct access a;

	e1(t, 0x44); /* movzx r14d, al */
	e1(t, 0x0f);
	e1(t, 0xb6);
	e1(t, 0xf0);
	e_lea(t, w, T0, H_BX, T0, 0, 0);
	if (t->in.address_width == 16)
		wrap16(t);
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			ZydisRegister s = t->op[i].mem.segment;

			tr_add_seg(t,
			    s == ZYDIS_REGISTER_NONE ?
				VM_SEG_DS :
				(unsigned)(s - ZYDIS_REGISTER_ES),
			    EA_R(1), t->in.address_width);
		}
	tr_access(t, 1 | ACCESS_READ, &a);
	e_op_mem(t, 0, 0x8a, H_AX, T0, T1, 0, 0);
	tr_access_end(t, &a);
	return (true);
}

/* dst -= reg, which is lost. */
static void
take_away(struct tr *t, int dst, int reg)
{
	e_rex(t, 1, 0, 0, reg); /* not reg */
	e1(t, 0xf7);
	e1(t, 0xd0u | (reg & 7));
	e_lea(t, t->code64, dst, dst, reg, 0, 1);
}

/* The registers, while they lead to the mirror, become the guest's again. */
static void
string_out(struct tr *t, bool movs, bool rep)
{
	if (movs)
		take_away(t, H_SI, T1);
	take_away(t, H_DI, T0);
	if (rep)
		e_mov(t, t->code64, H_R9, H_CX);
}

/* jmp to C that does it all, unless rcx is 0. */
static struct ool *
string_unless(struct tr *t, uint64_t arg)
{
	struct ool *o;

	e_jrcxz(t, 5);
	o = tr_ool(t, OOL_STRING, e_jmp(t));
	o->pc = t->next;
	o->arg = arg;
	return (o);
}

/*
 * MOVS and STOS by the host's own, in the mirror. In C: with DF set, and when
 * REP takes so many rounds that an interrupt would have to wait. Where the
 * mirror has nothing, some elements are done in C, and it begins anew.
 */
#define STRING_SHORT 16 /* log2 of the elements */
static bool
string_mirror(struct tr *t, uint64_t arg, unsigned seg)
{
	bool movs = (arg & 0xff) == 0, rep = (arg >> 16 & 0xff) != 0;
	unsigned size = arg >> 8 & 0xff;
	const unsigned checks = BF_CHECK(VM_SEG_ES) | BF_CHECK(seg);
	struct ool *slow[2] = { NULL, NULL }, *o;
	uint8_t *start = t->p;

	if (!tr_mirror(t) || (arg & 0xff) > 1 || seg == VM_SEG_FS ||
	    seg == VM_SEG_GS ||
	    t->in.address_width != (t->code64 ? 64 : 32) ||
	    (!t->code64 && (t->flags & (BF_SEGMENTED | BF_REAL | checks))) ||
	    (t->vm->off & SOFT_OFF_STRING))
		return (false);
	e_ld_env(t, 0, T2, (unsigned)offsetof(struct soft_cpu, rflags));
	e_mov_imm(t, T1, FL_DF);
	e1(t, 0xc4); /* pext ecx, ecx, T1d */
	e1(t, 0xc2);
	e1(t, 0x72);
	e1(t, 0xf5);
	e1(t, 0xc0u | T2 << 3 | (T1 & 7));
	slow[0] = string_unless(t, arg);
	if (rep) {
		e_mov(t, t->code64, T2, H_R9);
		e_mov_imm(t, T1, STRING_SHORT);
		shift_cx_by_t1(t, 3);
		slow[1] = string_unless(t, arg);
	}
	if (!t->code64) {
		e_mov(t, 0, H_DI, H_DI);
		if (movs)
			e_mov(t, 0, H_SI, H_SI);
	}
	tr_find_mirror(t, H_DI, T0);
	if (movs)
		tr_find_mirror(t, H_SI, T1);
	e_lea(t, 1, H_DI, H_DI, T0, 0, 0);
	if (movs)
		e_lea(t, 1, H_SI, H_SI, T1, 0, 0);
	if (rep)
		e_mov(t, t->code64, H_CX, H_R9);
	o = tr_ool(t, OOL_STRING, NULL);
	o->hit = t->p;
	if (size == 2)
		e1(t, 0x66);
	if (rep)
		e1(t, 0xf3);
	e_rex(t, size == 8, 0, 0, 0);
	e1(t, (movs ? 0xa4u : 0xaau) | (size > 1));
	o->end = t->p;
	string_out(t, movs, rep);
	o->pc = t->next;
	o->arg = arg | 1ull << 40;
	o->back = rep ? start : t->p;
	slow[0]->back = t->p;
	if (rep)
		slow[1]->back = t->p;
	return (true);
}

void
tr_ool_string(struct tr *t, const struct ool *o)
{
	uint32_t here = (uint32_t)(t->p - t->start);

	if (o->patch == NULL) {
		t->fixups[t->nfixups] = tr_fixup(t, o->hit, o->end);
		t->fixups[t->nfixups++].slow = (int32_t)here;
		string_out(t, (o->arg & 0xff) == 0, (o->arg >> 16 & 0xff) != 0);
	}
	e_mov_imm(t, T0, o->arg);
	e_mov_imm(t, T1, o->pc);
	e_mov_imm(t, T2, (uint64_t)(uintptr_t)soft_h_string);
	e_call_thunk(t, o->fpu ? THUNK_HELPER_FPU : THUNK_HELPER);
	e_patch(e_jmp(t), o->back);
}

/* String instructions: see soft_h_string() for what T0 says. */
static bool
string(struct tr *t)
{
	static const struct {
		uint16_t mnemonic;
		uint8_t kind, size;
	} ops[] = {
		{ ZYDIS_MNEMONIC_MOVSB, 0, 1 }, { ZYDIS_MNEMONIC_MOVSW, 0, 2 },
		{ ZYDIS_MNEMONIC_MOVSD, 0, 4 }, { ZYDIS_MNEMONIC_MOVSQ, 0, 8 },
		{ ZYDIS_MNEMONIC_STOSB, 1, 1 }, { ZYDIS_MNEMONIC_STOSW, 1, 2 },
		{ ZYDIS_MNEMONIC_STOSD, 1, 4 }, { ZYDIS_MNEMONIC_STOSQ, 1, 8 },
		{ ZYDIS_MNEMONIC_LODSB, 2, 1 }, { ZYDIS_MNEMONIC_LODSW, 2, 2 },
		{ ZYDIS_MNEMONIC_LODSD, 2, 4 }, { ZYDIS_MNEMONIC_LODSQ, 2, 8 },
		{ ZYDIS_MNEMONIC_CMPSB, 3, 1 }, { ZYDIS_MNEMONIC_CMPSW, 3, 2 },
		{ ZYDIS_MNEMONIC_CMPSD, 3, 4 }, { ZYDIS_MNEMONIC_CMPSQ, 3, 8 },
		{ ZYDIS_MNEMONIC_SCASB, 4, 1 }, { ZYDIS_MNEMONIC_SCASW, 4, 2 },
		{ ZYDIS_MNEMONIC_SCASD, 4, 4 }, { ZYDIS_MNEMONIC_SCASQ, 4, 8 },
		{ ZYDIS_MNEMONIC_INSB, 5, 1 }, { ZYDIS_MNEMONIC_INSW, 5, 2 },
		{ ZYDIS_MNEMONIC_INSD, 5, 4 }, { ZYDIS_MNEMONIC_OUTSB, 6, 1 },
		{ ZYDIS_MNEMONIC_OUTSW, 6, 2 }, { ZYDIS_MNEMONIC_OUTSD, 6, 4 },
	};
	unsigned seg = VM_SEG_DS, rep = 0;
	uint64_t arg;

	/* SSE has a MOVSD and a CMPSD too. */
	if (t->in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return (false);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].mnemonic != t->in.mnemonic)
			continue;
		if (t->in.attributes & ZYDIS_ATTRIB_HAS_REPNE)
			rep = 2;
		else if (t->in.attributes &
		    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
			rep = 1;
		if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
			seg = VM_SEG_FS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
			seg = VM_SEG_GS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
			seg = VM_SEG_ES;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS)
			seg = VM_SEG_CS;
		else if (t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
			seg = VM_SEG_SS;
		arg = ops[i].kind | (uint64_t)ops[i].size << 8 |
		    (uint64_t)rep << 16 | (uint64_t)seg << 24 |
		    (uint64_t)t->in.address_width << 32;
		if (string_mirror(t, arg, seg))
			return (true);
		e_mov_imm(t, T0, arg);
		e_mov_imm(t, T1, t->next);
		tr_call(t, soft_h_string);
		return (true);
	}
	return (false);
}

/* MASKMOVQ and MASKMOVDQU store to [rDI]. */
static bool
maskmov(struct tr *t)
{
	bool w = t->in.address_width == 64,
	     mmx = t->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ,
	     vex = t->in.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
	uint32_t what;
	struct access a;

	if ((t->flags & (BF_TS | BF_EM)) || (!mmx && !(t->flags & BF_OSFXSR)) ||
	    (vex && !(t->flags & BF_AVX))) {
		tr_exception(t,
		    !(t->flags & BF_EM) && (t->flags & BF_TS) ? EXC_NM : EXC_UD,
		    false);
		return (true);
	}
	tr_need_fpu(t);
	if (mmx) /* #MF now: not while rDI is an address of the host */
		e1(t, 0x9b);
	e_mov(t, w, T0, H_DI);
	if (t->in.address_width == 16)
		wrap16(t);
	what = (mmx ? 8u : 16u) | ACCESS_READ | ACCESS_WRITE;
	/* A byte that is not selected faults with AMD's processors and not
	 * with Intel's; the manual allows both. */
	if (!mmx && t->vm->intel) {
		what |= ACCESS_VMASK |
		    (uint32_t)ZydisRegisterGetId(t->op[1].reg.value)
			<< ACCESS_K_SHIFT;
		t->masked = what;
	}
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			tr_add_seg(t,
			    (unsigned)(t->op[i].mem.segment -
				ZYDIS_REGISTER_ES),
			    EA_W(mmx ? 8u : 16u), t->in.address_width);
	t->masked = 0;
	what = (mmx ? 8u : 16u) | ACCESS_READ | ACCESS_WRITE;
	/* A byte that is not selected faults with AMD's processors and not
	 * with Intel's; the manual allows both. */
	if (!mmx && t->vm->intel)
		what |= ACCESS_VMASK |
		    (uint32_t)ZydisRegisterGetId(t->op[1].reg.value)
			<< ACCESS_K_SHIFT;
	else /* aligned by 8 is enough to #AC */
		what |= 3u << ACCESS_ELEM_SHIFT;
	tr_access(t, what, &a);
	e_mov(t, 1, T2, H_DI);
	e_lea(t, 1, H_DI, T0, T1, 0, 0);
	for (unsigned i = 0; i < t->in.length; i++) {
		uint8_t b = t->bytes[i];

		if (b == 0x67 || b == 0x64 || b == 0x65 || b == 0x2e ||
		    b == 0x36 || b == 0x3e || b == 0x26)
			continue;
		while (i < t->in.length)
			e1(t, t->bytes[i++]);
	}
	e_mov(t, 1, H_DI, T2);
	tr_access_end(t, &a);
	return (true);
}

/* Number of a vector register, 0 to 31. */
static unsigned
vreg(ZydisRegister r)
{
	return ((unsigned)ZydisRegisterGetId(r));
}

/* VSIB addressing: see soft_h_gather() for what T0 says. */
static bool
gather(struct tr *t)
{
	const ZydisDecodedOperand *mem = NULL, *vec = NULL, *vmask = NULL;
	bool evex = t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, scatter;
	unsigned mask, elem, ielem, n, ni;
	uint64_t a;
	int64_t disp;
	bool high;
	int base;

	if (t->in.meta.category != ZYDIS_CATEGORY_AVX2GATHER &&
	    t->in.meta.category != ZYDIS_CATEGORY_GATHER &&
	    t->in.meta.category != ZYDIS_CATEGORY_SCATTER)
		return (false);
	scatter = t->in.operand_count > 0 &&
	    t->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	for (unsigned i = 0; i < t->in.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			mem = op;
		else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(op->reg.value) !=
			ZYDIS_REGCLASS_MASK) {
			if (vec == NULL)
				vec = op;
			else
				vmask = op;
		}
	}
	if (mem == NULL || vec == NULL || (!evex && vmask == NULL))
		return (false);
	mask = evex ? vreg(t->in.avx.mask.reg) : vreg(vmask->reg.value);
	if ((t->flags & BF_TS) || !(t->flags & (evex ? BF_AVX512 : BF_AVX)) ||
	    (!scatter && vreg(vec->reg.value) == vreg(mem->mem.index)) ||
	    (evex ? mask == 0 :
		    mask == vreg(vec->reg.value) ||
				mask == vreg(mem->mem.index))) {
		tr_exception(t,
		    (t->flags & BF_TS) &&
			    (t->flags & (evex ? BF_AVX512 : BF_AVX)) ?
			EXC_NM :
			EXC_UD,
		    false);
		return (true);
	}
	elem = vec->element_size / 8u;
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPS:
	case ZYDIS_MNEMONIC_VGATHERDPD:
	case ZYDIS_MNEMONIC_VPSCATTERDD:
	case ZYDIS_MNEMONIC_VPSCATTERDQ:
	case ZYDIS_MNEMONIC_VSCATTERDPS:
	case ZYDIS_MNEMONIC_VSCATTERDPD:
		ielem = 4;
		break;
	default:
		ielem = 8;
		break;
	}
	/* As many elements as both the data and the indices have. */
	n = t->in.avx.vector_length / 8u / elem;
	ni = t->in.avx.vector_length / 8u / ielem;
	if (ni < n)
		n = ni;
	base = tr_gpr(mem->mem.base, &high);
	disp = mem->mem.disp.has_displacement ? mem->mem.disp.value : 0;
	if (base >= 0 && tr_no_base(t)) {
		base = -1;
		disp = t->in.raw.disp.value;
	}
	a = vreg(vec->reg.value) | (uint64_t)vreg(mem->mem.index) << 5 |
	    (uint64_t)mask << 10 | (uint64_t)elem << 15 |
	    (uint64_t)ielem << 19 | (uint64_t)n << 23 |
	    (uint64_t)(base < 0 ? 16 : base) << 36 |
	    (uint64_t)mem->mem.scale << 41 |
	    (uint64_t)(mem->mem.segment - ZYDIS_REGISTER_ES) << 45 |
	    (uint64_t)(t->in.address_width == 32) << 48 |
	    (uint64_t)evex << 49 | (uint64_t)scatter << 50;
	e_mov_imm(t, T0, a);
	e_mov_imm(t, T1, (uint64_t)disp);
	tr_call(t, soft_h_gather);
	return (true);
}

/* CLFLUSH and its kin: caches are the host's, what remains is the check that
 * a byte can be read (SDM volume 2, CLFLUSH). */
static bool
flush_line(struct tr *t)
{
	struct access a;

	tr_ea(t, &t->op[0], EA_R(1), 0);
	tr_access(t, 1 | ACCESS_READ | tr_stack(&t->op[0]), &a);
	tr_access_end(t, &a);
	return (true);
}

/* CLZERO: the line that rAX is in. Its operand is not one to the decoder. */
static bool
clzero(struct tr *t)
{
	unsigned aw = t->in.address_width;
	unsigned seg = t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS ?
	    VM_SEG_FS :
	    t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? VM_SEG_GS :
	    t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES ? VM_SEG_ES :
	    t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS ? VM_SEG_SS :
	    t->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS ? VM_SEG_CS :
							     VM_SEG_DS;

	if (aw == 16) {
		e1(t, 0x44); /* movzx r14d, ax */
		e1(t, 0x0f);
		e1(t, 0xb7);
		e1(t, 0xf0);
	} else
		e_mov(t, aw == 64, T0, H_AX);
	tr_add_seg(t, seg, EA_W(1), aw);
	e_mov_imm(t, T1, t->next);
	tr_call_end(t, soft_h_clzero);
	return (true);
}

bool
tr_odd(struct tr *t)
{
	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_LEA:
		return (lea(t));
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		return (flush_line(t));
	case ZYDIS_MNEMONIC_CLZERO:
		return (clzero(t));
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return (bit_string(t));
	case ZYDIS_MNEMONIC_XLAT:
		return (xlat(t));
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return (maskmov(t));
	default:
		return (gather(t) || string(t));
	}
}
