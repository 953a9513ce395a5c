/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation: from guest code to a block in the code cache. How it works is
 * told in docs/soft-engine.md.
 */
#include <string.h>

#include "base/log.h"
#include "vmm/soft/tr.h"

/* ---- registers and addresses ---- */

int
tr_get(struct tr *t, unsigned guest, int scratch)
{
	int h = t->host_of[guest];

	if (h >= 0)
		return (h);
	if (t->stack && guest == R_SP) {
		tr_sp_value(t, scratch, scratch, 0);
		return (scratch);
	}
	e_ld_env(t, 1, scratch, CPU_GPR + guest * 8);
	return (scratch);
}

void
tr_put(struct tr *t, unsigned guest, int host)
{
	int h = t->host_of[guest];

	if (t->stack && guest == R_SP)
		tr_sp_put(t, host);
	else if (h < 0)
		e_st_env(t, 1, CPU_GPR + guest * 8, host);
	else if (h != host)
		e_mov(t, 1, h, host);
}

int
tr_gpr(ZydisRegister reg, bool *high)
{
	*high = false;
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
		return (reg - ZYDIS_REGISTER_AL);
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
		*high = true;
		return (reg - ZYDIS_REGISTER_AH);
	}
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (reg - ZYDIS_REGISTER_SPL + 4);
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return (reg - ZYDIS_REGISTER_AX);
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return (reg - ZYDIS_REGISTER_EAX);
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return (reg - ZYDIS_REGISTER_RAX);
	return (-1);
}

/* #GP(0) or #SS(0) unless the segment has the bytes at offset T0. Flags stay:
 * what jrcxz looks at are high bits of limit - offset - (bytes - 1). */
static void
seg_check(struct tr *t, unsigned seg, uint32_t use, unsigned aw)
{
	unsigned size = use & 0xffff;
	bool write = (use & EA_WRITE) != 0;
	uint8_t *over = NULL;

	if (seg == VM_SEG_CS && write && !(t->flags & BF_REAL))
		; /* always wrong */
	else if (size == 0 || !(t->flags & BF_CHECK(seg)))
		return;
	else if ((t->flags & BF_SEG64K) && aw == 16) {
		if (size == 1)
			return;
		e_lea(t, 0, T2, T0, -1, 0, (int)size - 1);
		e_rorx(t, 0, T2, T2, 16);
	} else {
		tr_lose(t, T1);
		e_mov(t, 1, T1, T0);
		e_rex(t, 1, 0, 0, T1); /* not r15 */
		e1(t, 0xf7);
		e1(t, 0xd0u | (T1 & 7));
		e_ld_env(t, 1, T2,
		    (unsigned)offsetof(struct soft_cpu, seg_lim) + 16 * seg +
			8 * write);
		e_lea(t, 1, T2, T2, T1, 0, 2 - (int)size);
		e_rorx(t, 1, T2, T2, 48);
	}
	if (seg != VM_SEG_CS || !write || (t->flags & BF_REAL)) {
		e1(t, 0x0f); /* movzx ecx, cx */
		e1(t, 0xb7);
		e1(t, 0xc9);
		e_jrcxz(t, 0);
		over = t->p;
	}
	tr_lose_all(t);
	e_mov_imm(t, T1,
	    seg | (write ? 0x100u : 0) | (uint64_t)size << 16 |
		(uint64_t)t->masked << 32);
	tr_call(t, soft_h_seg_check); /* T0 stays */
	if (over != NULL)
		over[-1] = (uint8_t)(t->p - over);
}

void
tr_add_seg(struct tr *t, unsigned seg, uint32_t use, unsigned aw)
{
	if (!t->code64)
		seg_check(t, seg, use, aw);
	if (seg != VM_SEG_FS && seg != VM_SEG_GS &&
	    !(t->flags & BF_SEGMENTED))
		return;
	if (t->code64 && seg != VM_SEG_FS && seg != VM_SEG_GS)
		return;
	tr_lose(t, T1);
	e_ld_env(t, 1, T1,
	    (unsigned)(offsetof(struct soft_cpu, seg) +
		seg * sizeof(struct vm_seg) + offsetof(struct vm_seg, base)));
	/* Outside 64-bit mode linear addresses have 32 bits. */
	e_lea(t, t->code64, T0, T0, T1, 0, 0);
}

static unsigned
seg_of(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_ES:
		return (VM_SEG_ES);
	case ZYDIS_REGISTER_CS:
		return (VM_SEG_CS);
	case ZYDIS_REGISTER_SS:
		return (VM_SEG_SS);
	case ZYDIS_REGISTER_FS:
		return (VM_SEG_FS);
	case ZYDIS_REGISTER_GS:
		return (VM_SEG_GS);
	default:
		return (VM_SEG_DS);
	}
}

/* Zydis 4.0.0 names a base where mod 0 with SIB.base 5 has none but a disp32,
 * if REX.B is set and the address size is 32 bits. */
bool
tr_no_base(const struct tr *t)
{
	return ((t->in.attributes & ZYDIS_ATTRIB_HAS_MODRM) &&
	    t->in.raw.modrm.mod == 0 && t->in.raw.modrm.rm == 4 &&
	    t->in.raw.sib.base == 5 && t->in.address_width != 16);
}

uint32_t
tr_stack(const ZydisDecodedOperand *op)
{
	return (op->mem.segment == ZYDIS_REGISTER_SS ? ACCESS_STACK : 0);
}

uint32_t
tr_locked(const struct tr *t)
{
	return ((t->in.attributes & ZYDIS_ATTRIB_HAS_LOCK) ||
		    t->in.mnemonic == ZYDIS_MNEMONIC_XCHG ?
		ACCESS_LOCKED :
		0);
}

void
tr_ea(struct tr *t, const ZydisDecodedOperand *op, uint32_t use,
    int rsp_adjust)
{
	unsigned aw = t->in.address_width;
	int64_t disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	int base = -1, index = -1, scale = 0, gb, gi;
	bool high, w = aw == 64;

	tr_lose(t, T0);
	if (op->mem.base == ZYDIS_REGISTER_RIP ||
	    op->mem.base == ZYDIS_REGISTER_EIP) {
		uint64_t va = t->next + (uint64_t)disp;

		e_mov_imm(t, T0, w ? va : (uint32_t)va);
		goto seg;
	}
	gb = tr_gpr(op->mem.base, &high);
	if (gb >= 0 && tr_no_base(t)) {
		gb = -1;
		disp = t->in.raw.disp.value;
	}
	gi = tr_gpr(op->mem.index, &high);
	if (gb == R_SP)
		disp += rsp_adjust;
	if (gb >= 0)
		base = tr_get(t, (unsigned)gb, T0);
	if (gi >= 0) {
		if (t->host_of[gi] < 0)
			tr_lose(t, T1);
		index = tr_get(t, (unsigned)gi, T1);
		scale = op->mem.scale == 8 ? 3 :
		    op->mem.scale == 4	   ? 2 :
		    op->mem.scale == 2	   ? 1 :
					     0;
	}
	if (base < 0 && index < 0)
		e_mov_imm(t, T0,
		    w	     ? (uint64_t)disp :
		    aw == 32 ? (uint32_t)disp :
			       (uint16_t)disp);
	else if (index < 0 && disp == 0 && aw != 16)
		e_mov(t, w, T0, base);
	else
		e_lea(t, w, T0, base, index, scale, (int32_t)disp);
	if (aw == 16) { /* movzx T0, T0w */
		e1(t, 0x45);
		e1(t, 0x0f);
		e1(t, 0xb7);
		e1(t, 0xf6);
	}
seg:
	if (use != EA_OFFSET)
		tr_add_seg(t, seg_of(op->mem.segment), use, aw);
}

void
tr_leave_stack(struct tr *t)
{
	if (!t->stack)
		return;
	e_st_env(t, 1, CPU_GPR + STACK_GPR * 8, H_R10);
	e_mov(t, 1, H_R10, H_SP);
	e_ld_env(t, 1, H_SP, CPU_HOST_RSP);
}

struct ool *
tr_ool(struct tr *t, enum ool_kind kind, uint8_t *patch)
{
	struct ool *o = &t->ool[t->nool++];

	memset(o, 0, sizeof(*o));
	o->kind = kind;
	o->insn = (uint8_t)(t->ninsns - 1);
	o->patch = patch;
	o->fpu = t->fpu_in;
	return (o);
}

/* ---- calls ---- */

void
tr_need_fpu(struct tr *t)
{
	uint8_t *over, *slow;

	if (t->fpu_in)
		return;
	if (t->vm->by_loop) {
		slow = e_nop_jmp(t);
		e_ld_env(t, 0, T2, CPU_FPU_OUT);
		e_lea(t, 0, T2, T2, -1, 0, 1);
		e_loop(t, slow);
		tr_ool(t, OOL_FPU, slow + 1)->hit = t->p;
		t->fpu_in = true;
		return;
	}
	e_ld_env(t, 0, T2, CPU_FPU_OUT);
	e_jrcxz(t, 0);
	over = t->p;
	e_call_thunk(t, THUNK_FPU);
	over[-1] = (uint8_t)(t->p - over);
	t->fpu_in = true;
}

void
tr_call(struct tr *t, soft_helper *fn)
{
	e_mov_imm(t, T2, (uint64_t)(uintptr_t)fn);
	e_call_thunk(t, t->fpu_in ? THUNK_HELPER_FPU : THUNK_HELPER);
}

void
tr_call_end(struct tr *t, soft_helper *fn)
{
	e_mov_imm(t, T2, (uint64_t)(uintptr_t)fn);
	e_call_thunk(t, THUNK_HELPER_END);
	t->end = true;
}

void
tr_exception(struct tr *t, unsigned vector, bool has_error)
{
	e_mov_imm(t, T0, vector);
	e_mov_imm(t, T1, has_error);
	tr_call_end(t, soft_h_exc);
}

/* ---- going elsewhere ---- */

/* In front of a block: to its code if T0 is its pc. See soft_jc_find(). */
static void
emit_front(struct tr *t)
{
	bool by_loop = t->vm->by_loop;
	uint64_t neg = (uint64_t)by_loop - t->pc;
	bool far = neg != (uint64_t)(int64_t)(int32_t)neg;
	unsigned n = far ? JC_FRONT_FAR : JC_FRONT;
	uint8_t *miss;

	/* The code begins on a boundary. */
	n += by_loop ? 2 : 6;
	while ((((uintptr_t)t->p + n + 4u * by_loop) & 15) != 0)
		e1(t, 0x90);
	miss = t->p;
	if (by_loop)
		e_jmp_thunk(t, THUNK_MISS);
	t->start = t->p;
	if (far) {
		e1(t, 0x48); /* mov rcx, imm64 */
		e1(t, 0xb9);
		e8(t, neg);
		e_lea(t, 1, T2, T2, T0, 0, 0);
	} else {
		e1(t, 0x49); /* lea rcx, [r14 + disp32] */
		e1(t, 0x8d);
		e1(t, 0x8e);
		e4(t, (uint32_t)neg);
	}
	if (by_loop)
		e_loop(t, miss);
	else {
		e_jrcxz(t, 4);
		e_jmp_thunk(t, THUNK_MISS);
	}
	t->b->front = (uint8_t)(t->p - t->start);
	t->start = t->p;
}

/*
 * T1 := the jump cache in use, whose entry T2 or `idx` is: each is code that
 * looks whether T0 is its pc. soft_request() exchanges the whole cache.
 */
static void
jmp_jc(struct tr *t, int index, int32_t disp)
{
	if (t->flags & BF_STEP) { /* one_round() is next */
		e_jmp_thunk(t, THUNK_MISS);
		return;
	}
	e_ld_env(t, 1, T1, CPU_JC + t->m * 8);
	e_rex(t, 0, 0, index < 0 ? 0 : index, T1);
	e1(t, 0xff);
	e_mem(t, 4, T1, index, 3, disp);
}

void
tr_goto_t0(struct tr *t, int moved)
{
	uint8_t *from;

	if (!t->code64) {
		e_rorx(t, 0, T2, T0, JC_SHIFT);
		e_zx16(t, T2, T2);
		jmp_jc(t, T2, 0);
		return;
	}
	/* For soft_miss(): where this is, and behind it `moved`. */
	e_rex(t, 0, 0, 0, H_ENV);
	e1(t, 0xc7); /* mov dword [env + ...], imm32 */
	e_mem(t, 0, H_ENV, -1, 0, ENV(CPU_FROM));
	from = t->p;
	e4(t, 0);
	e_rorx(t, 0, T2, T0, JC_SHIFT);
	e_zx16(t, T2, T2);
	jmp_jc(t, T2, 0);
	e_put4(from, tr_offset(t));
	e4(t, (uint32_t)moved);
}

/* The same for a constant: the entry is known. */
static void
goto_far(struct tr *t, uint64_t pc)
{
	e_mov_imm(t, T0, pc);
	jmp_jc(t, -1, (int32_t)soft_jc_index(pc) * 8);
}

bool
tr_links(const struct tr *t, uint64_t pc)
{
	return (!t->vm->no_link && !(t->flags & BF_STEP) &&
	    (pc >> 12) == (t->b->pc >> 12) && t->nlinks < TR_MAX_LINKS);
}

void
tr_link(struct tr *t, uint8_t *rel32, uint64_t pc)
{
	struct link *l = &t->links[t->nlinks++];

	*l = (struct link){ .pc = pc, .patch = rel32 };
	tr_ool(t, OOL_STUB, rel32)->link = l;
}

void
tr_goto_far(struct tr *t, uint64_t pc)
{
	goto_far(t, pc);
}

void
tr_goto(struct tr *t, uint64_t pc)
{
	uint8_t *leave = NULL;

	if (!tr_links(t, pc)) {
		goto_far(t, pc);
		return;
	}
	/* A circle of blocks has such a link: give interrupts a chance. */
	if (pc <= t->b->pc) {
		e_ld_env(t, 0, T2, CPU_GO);
		e_jrcxz(t, 0);
		leave = t->p;
	}
	e_align_rel32(t);
	tr_link(t, e_jmp(t), pc);
	if (leave != NULL) {
		leave[-1] = (uint8_t)(t->p - leave);
		e_mov_imm(t, T0, pc);
		e_jmp_thunk(t, THUNK_EXIT);
	}
}

void
tr_branch(struct tr *t)
{
	if (!(t->flags & BF_STEP))
		return;
	e_rex(t, 0, 0, 0, H_ENV);
	e1(t, 0xc7); /* mov dword [env + ...], 1 */
	e_mem(t, 0, H_ENV, -1, 0, ENV(offsetof(struct soft_cpu, branched)));
	e4(t, 1);
}

static void
emit_ool(struct tr *t, unsigned n)
{
	/* tr_goto() may add entries while we are at it. */
	struct ool o = t->ool[n];

	/* Most are never used: late.c. */
	if (o.kind == OOL_MIRROR && !(t->vm->off & SOFT_OFF_LATE) &&
	    !t->cpu->early)
		return;
	t->map[t->nmap++] =
	    tr_row(t, t->map[o.insn].guest, t->map[o.insn].len);
	if (o.patch != NULL)
		e_patch(o.patch, t->p);
	switch (o.kind) {
	case OOL_MEM:
		tr_ool_mem(t, &o);
		break;
	case OOL_MIRROR:
		t->fixups[o.fixup].slow = (int32_t)(t->p - t->start);
		tr_ool_mirror(t, &o);
		break;
	case OOL_STRING:
		tr_ool_string(t, &o);
		break;
	case OOL_SP:
		tr_ool_sp(t, &o);
		break;
	case OOL_FPU:
		e_call_thunk(t, THUNK_FPU);
		e_patch(e_jmp(t), o.hit);
		break;
	case OOL_STUB:
		o.link->stub = t->p;
		/* mov T0, &link: filled in when the block is placed */
		e1(t, 0x49);
		e1(t, 0xbe);
		e8(t, (uint64_t)(o.link - t->links));
		e_jmp_thunk(t, THUNK_LINK);
		break;
	case OOL_GOTO:
		t->pc = t->b->pc + t->map[o.insn].guest;
		tr_branch(t);
		tr_goto(t, o.pc);
		break;
	}
}

/* ---- the loop ---- */

/*
 * Fetches the instruction at t->pc: its bytes from one page, or, if it is
 * the block's first, from two. Returns the number of bytes, 0: end the block
 * before it.
 */
static unsigned
fetch(struct tr *t, const uint8_t *page, uint64_t gpa)
{
	unsigned off = (unsigned)((gpa + (t->pc - t->b->pc)) & 0xfff);
	unsigned n = 0x1000 - off < 15 ? 0x1000 - off : 15, max = 15;
	const uint8_t *p2;
	uint64_t gpa2;
	ZyanStatus st;

	if (t->pc != t->b->pc &&
	    (t->b->gpa & 0xfff) + (t->pc - t->b->pc) >= 0x1000)
		return (0);
	if (t->pc > t->cs_limit)
		return (0);
	t->clipped = t->cs_limit - t->pc < 14;
	if (t->clipped)
		max = (unsigned)(t->cs_limit - t->pc) + 1;
	if (n > max)
		n = max;
	if (t->vm->ncpus > 1)
		soft_page_mark(t->vm, (gpa & ~0xfffull) + off, n);
	memcpy(t->bytes, page + off, n);
	if (n == max)
		return (n);
	st = ZydisDecoderDecodeInstruction(
	    &t->dec, NULL, t->bytes, n, &t->in);
	if (st != ZYDIS_STATUS_NO_MORE_DATA)
		return (n);
	if (t->pc != t->b->pc)
		return (0);
	gpa2 = t->gpa2;
	if (gpa2 == GPA_NONE) {
		*t->need = GPA_NEXT_PAGE;
		return (0);
	}
	if (gpa2 == GPA_MMIO)
		return (n);
	p2 = t->vm->ram + gpa2;
	if (!soft_page_watched(t->vm, gpa2)) {
		*t->need = gpa2;
		return (0);
	}
	if (t->vm->ncpus > 1)
		soft_page_mark(t->vm, gpa2, max - n);
	memcpy(t->bytes + n, p2, max - n);
	t->b->gpa2 = gpa2;
	return (max);
}

/* The block's bytes reach to the end of an instruction of n bytes. */
static void
covers(struct tr *t, unsigned n)
{
	uint64_t len = t->pc - t->b->pc + n;

	if (len > t->b->len)
		t->b->len = (uint16_t)len;
}

/* Translates one instruction; false: the block ended before it. */
static bool
one(struct tr *t, const uint8_t *page, uint64_t gpa)
{
	unsigned n = fetch(t, page, gpa);
	ZyanStatus st;

	if (n == 0)
		return (false);
	st = tr_decode(t, n);
	if (st == ZYDIS_STATUS_NO_MORE_DATA && t->clipped) {
		/* It reaches behind the segment's limit. */
		if (t->pc == t->b->pc && !t->again)
			soft_raise_err(t->cpu, EXC_GP, 0);
		return (false);
	}
	if (!ZYAN_SUCCESS(st) && (t->flags & BF_REAL))
		st = tr_decode_sysenter(t, n, st);
	t->ninsns++;
	t->map[t->nmap++] = tr_row(t, (unsigned)(t->pc - t->b->pc), 0);
	if (!ZYAN_SUCCESS(st)) {
		/* 15 bytes are the limit of an instruction (SDM 2.3.11). */
		covers(t, n);
		tr_exception(t,
		    st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
			    st == ZYDIS_STATUS_NO_MORE_DATA ?
			EXC_GP :
			EXC_UD,
		    st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
			st == ZYDIS_STATUS_NO_MORE_DATA);
		return (true);
	}
	t->map[t->nmap - 1].len = t->in.length & 15u;
	t->next = t->pc + t->in.length;
	if (!t->code64)
		t->next = (uint32_t)t->next;
	covers(t, t->in.length);
	t->keep = false;
	if (!tr_flow(t) && !tr_sp_insn(t) && !tr_special(t) && !tr_copy(t)) {
		e_mov_imm(t, T1, t->next);
		tr_call_end(t, soft_h_unsupported);
	}
	tr_sp_end(t);
	if (t->keep && !(t->vm->off & SOFT_OFF_SLOTS))
		tr_note_small(t);
	else {
		tr_lose_all(t);
		t->small = 0;
	}
	return (true);
}

void *
tr_arena(struct soft_vm *vm, size_t size)
{
	void *p = vm->arena + vm->arena_used;

	vm->arena_used += (size + 7) & ~(size_t)7;
	return (p);
}

/* Moves links and side table to the arena and makes the addresses final. */
static void
place(struct tr *t)
{
	struct soft_vm *vm = t->vm;
	struct block *b = tr_arena(vm, sizeof(*b));

	*b = *t->b;
	t->b = b;
	b->nlinks = (uint16_t)t->nlinks;
	b->links = tr_arena(vm, t->nlinks * sizeof(*b->links));
	for (unsigned i = 0; i < t->nlinks; i++) {
		uint64_t addr = (uint64_t)(uintptr_t)&b->links[i];

		b->links[i] = t->links[i];
		b->links[i].from = b;
		b->links[i].to = NULL;
		b->links[i].next_in = NULL;
		memcpy(t->links[i].stub + 2, &addr, 8);
	}
	b->nmap = (uint16_t)t->nmap;
	b->map = tr_arena(vm, t->nmap * sizeof(*b->map));
	memcpy(b->map, t->map, t->nmap * sizeof(*b->map));
	b->nfixups = (uint16_t)t->nfixups;
	b->fixups = tr_arena(vm, t->nfixups * sizeof(*b->fixups));
	memcpy(b->fixups, t->fixups, t->nfixups * sizeof(*b->fixups));
	b->code_len = (uint16_t)(t->p - t->start);
	vm->code_used = ((size_t)(t->p - vm->code_rw) + 15) & ~(size_t)15;
	soft_cache_add(vm, b);
}

void
tr_begin(struct tr *t, struct soft_cpu *cpu, struct block *b, uint8_t *p,
    uint64_t gpa2, uint64_t *need)
{
	struct soft_vm *vm = cpu->vm;

	t->cpu = cpu;
	t->vm = vm;
	t->b = b;
	t->need = need;
	t->gpa2 = gpa2;
	t->nool = t->nmap = t->ninsns = t->nlinks = t->nfixups = 0;
	t->rounds = 0;
	tr_lose_all(t);
	t->slot_clock = 0;
	t->small = 0;
	t->masked = 0;
	t->fpu_in = t->end = t->last_next = t->again = false;
	t->flags = b->flags;
	t->max = t->flags & (BF_ONE | BF_STEP) ? 1 : BLOCK_MAX_INSNS;
	t->m = t->flags & BF_MMU;
	t->code64 = (t->flags & BF_CODE64) != 0;
	t->stack = (t->flags & BF_STACK) != 0;
	t->sp_near = t->sp_new = false;
	t->sp_drift = 0;
	t->host_of = tr_host_of[t->stack];
	t->pc = b->pc;
	t->cs_limit = t->code64 ? UINT64_MAX : b->cs_limit;
	t->p = t->start = p;
	t->rx_off = vm->code_rx - vm->code_rw;
	ZydisDecoderInit(&t->dec,
	    t->code64 ? ZYDIS_MACHINE_MODE_LONG_64 :
	    t->flags & BF_CODE32 ?
			ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
	    t->flags & BF_REAL ?
			ZYDIS_MACHINE_MODE_REAL_16 :
			ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
	    t->code64		 ? ZYDIS_STACK_WIDTH_64 :
	    t->flags & BF_CODE32 ? ZYDIS_STACK_WIDTH_32 :
				   ZYDIS_STACK_WIDTH_16);
	ZydisDecoderEnableMode(
	    &t->dec, ZYDIS_DECODER_MODE_AMD_BRANCHES, !vm->intel);
}

bool
tr_body(struct tr *t)
{
	const uint8_t *page = t->vm->ram + (t->b->gpa & ~0xfffull);

	while (!t->end) {
		bool last = t->last_next;
		uint8_t *over;

		if (t->ninsns == t->max || !one(t, page, t->b->gpa)) {
			if (*t->need != GPA_NONE)
				return (false);
			if (last) { /* its shadow goes on elsewhere */
				e_mov_imm(t, T1, t->pc);
				tr_call_end(t, soft_h_shadow);
			} else {
				tr_sp_settle(t, t->pc);
				tr_goto(t, t->pc);
			}
			break;
		}
		if (t->end)
			break;
		if (last) { /* after an interrupt shadow: look for them */
			tr_sp_settle(t, t->next);
			e_ld_env(t, 0, T2, CPU_GO);
			e_jrcxz(t, 0);
			over = t->p;
			tr_goto(t, t->next);
			over[-1] = (uint8_t)(t->p - over);
			e_mov_imm(t, T0, t->next);
			e_jmp_thunk(t, THUNK_EXIT);
			break;
		}
		t->pc = t->next;
		if (t->last_next && t->ninsns == t->max)
			t->max++;
	}
	t->b->hot_len = (uint16_t)(t->p - t->start);
	return (true);
}

struct block *
soft_translate(
    struct soft_cpu *cpu, uint64_t gpa, uint64_t gpa2, uint64_t *need)
{
	struct soft_vm *vm = cpu->vm;
	/* Only what comes to its end takes room for good. */
	struct block b = { .pc = cpu->rip, .gpa = gpa, .gpa2 = GPA_NONE,
		.flags = cpu->flags, .cs_limit = soft_cs_limit(cpu) };
	struct tr t;

	if (vm->code_used + CODE_MARGIN > vm->code_end ||
	    vm->arena_used + ARENA_MARGIN > vm->arena_end ||
	    vm->nblocks[vm->part] == BLOCKS_PER_PART)
		return (NULL);
	soft_code_need(vm, vm->code_used + CODE_MARGIN);
	tr_begin(&t, cpu, &b, vm->code_rw + vm->code_used, gpa2, need);
	emit_front(&t);
	b.code = t.start + t.rx_off;
	if (!tr_body(&t))
		return (NULL);
	for (unsigned i = 0; i < t.nool; i++)
		emit_ool(&t, i);
	cpu->early = false;
	cpu->stat.translated++;
	cpu->stat.insns += t.ninsns;
	cpu->stat.bytes += t.b->len;
	place(&t);
	trace(TRACE_soft,
	    "block pc %lx gpa %lx flags %x: %u insns, %u bytes at %p",
	    t.b->pc, gpa, t.flags, t.ninsns, t.b->code_len,
	    (const void *)t.b->code);
	return (t.b);
}
