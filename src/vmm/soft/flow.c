/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control flow and the stack. Intel SDM volume 1, chapter 6 ("Procedure
 * Calls") and volume 2, the pages of the instructions.
 *
 * A stack access comes first and the change of rSP after it, so that a fault
 * leaves the registers as they were.
 */
#include "vmm/soft/tr.h"

static unsigned
stack_width(const struct tr *t)
{
	return (t->code64 ? 64 : t->flags & BF_STACK32 ? 32 : 16);
}

/* Operand size of a push, pop, call or return, in bytes. */
static unsigned
stack_opsize(const struct tr *t)
{
	if (t->code64)
		return (t->in.operand_width == 16 ? 2 : 8);
	return (t->in.operand_width == 16 ? 2 : 4);
}

/*
 * The same for near jumps, calls and returns. In 64-bit mode Intel's
 * processors ignore an operand-size prefix; AMD's obey it, and RIP loses all
 * but 16 bits (APM volume 3, "Near Branches in 64-Bit Mode").
 */
static unsigned
near_opsize(const struct tr *t)
{
	if (t->code64 && !t->vm->intel && !t->in.raw.rex.W)
		for (unsigned i = 0; i < t->in.raw.prefix_count; i++)
			if (t->in.raw.prefixes[i].value == 0x66)
				return (2);
	return (stack_opsize(t));
}

/* dst := src + n, `w` bits wide; 16 bits merge and T1 is lost. */
static void
set_width(struct tr *t, unsigned w, int dst, int src, int n)
{
	if (w != 16) {
		e_lea(t, w == 64, dst, src, -1, 0, n);
		return;
	}
	tr_lose(t, T1);
	e_lea(t, 0, T1, src, -1, 0, n);
	e1(t, 0x66); /* mov dst16, r15w */
	e_mov(t, 0, dst, T1);
}

/* T0 := linear address of [rSP + disp], for what `use` says. */
static void
stack_ea(struct tr *t, int disp, uint32_t use)
{
	unsigned w = stack_width(t);

	tr_lose(t, T0);
	e_lea(t, w == 64, T0, H_R10, -1, 0, disp);
	if (w == 16)
		e_zx16(t, T0, T0);
	tr_add_seg(t, VM_SEG_SS, use, w);
}

/* rSP += n, in the stack's width, after the access. T1 and T2 are lost with 16
 * bits. */
static void
stack_move(struct tr *t, int n, struct access *a)
{
	if (t->stack) {
		e_lea(t, 1, H_SP, H_SP, -1, 0, n);
		tr_moved(t, R_SP, n);
		a->moved += n;
		return;
	}
	set_width(t, stack_width(t), H_R10, H_R10, n);
	if (stack_width(t) == 64)
		tr_moved(t, R_SP, n);
}

/* An access to [rSP + disp]. */
static void
stack_access(
    struct tr *t, int disp, unsigned size, uint32_t what, struct access *a)
{
	what |= size | ACCESS_STACK;
	if (t->code64)
		tr_access_reg(t, R_SP, disp, what, a);
	else {
		stack_ea(t, disp,
		    what & ACCESS_WRITE ? EA_W(size) : EA_R(size));
		tr_access_t0(t, what, a);
	}
}

/* Is the access to be made by the host's own PUSH or POP? */
static bool
by_host(const struct tr *t, unsigned size)
{
	return (t->stack && size == 8);
}

/* One of these of a guest register other than rSP. */
static void
host_push_pop(struct tr *t, bool push, unsigned guest, struct access *a)
{
	int h = t->host_of[guest];

	if (h >= 0) {
		e_rex(t, 0, 0, 0, h);
		e1(t, (push ? 0x50u : 0x58u) | (unsigned)(h & 7));
	} else {
		e_rex(t, 0, 0, 0, H_ENV);
		e1(t, push ? 0xff : 0x8f);
		e_mem(t, push ? 6 : 0, H_ENV, -1, 0, ENV(CPU_GPR + guest * 8));
	}
	a->moved += push ? -8 : 8;
	tr_moved(t, R_SP, push ? -8 : 8);
}

static void
host_push_tmp(struct tr *t, struct access *a)
{
	e_rex(t, 0, 0, 0, H_ENV);
	e1(t, 0xff);
	e_mem(t, 6, H_ENV, -1, 0, ENV(CPU_TMP));
	a->moved -= 8;
	tr_moved(t, R_SP, -8);
}

/* mov mem, reg */
static void
store(struct tr *t, unsigned size, int reg, const struct access *a)
{
	if (size == 2)
		e1(t, 0x66);
	e_op_access(t, size == 8, 0x89, reg, a);
}

/* mov reg, mem, zero-extended */
void
tr_load(struct tr *t, unsigned size, int reg, const struct access *a)
{
	if (size == 2) {
		e_rex(t, 0, reg, a->index, a->base);
		e1(t, 0x0f);
		e1(t, 0xb7);
		e_mem(t, reg, a->base, a->index, a->scale, a->disp);
	} else
		e_op_access(t, size == 8, 0x8b, reg, a);
}

/* The end of an instruction whose last access this was. */
static void
access_last(struct tr *t, const struct access *a)
{
	tr_access_end(t, a);
	if (a->want.kind == SLOT_STACK)
		tr_sp_near(t);
	tr_keep(t);
}

static void
push_reg(struct tr *t, unsigned guest, unsigned size)
{
	struct access a;
	int h;

	if (t->stack && guest == R_SP) /* as it is before */
		e_st_env(t, 1, CPU_TMP, tr_get(t, guest, T2));
	stack_access(t, -(int)size, size, ACCESS_WRITE, &a);
	if (by_host(t, size)) {
		if (guest == R_SP)
			host_push_tmp(t, &a);
		else
			host_push_pop(t, true, guest, &a);
		access_last(t, &a);
		return;
	}
	if (t->stack && guest == R_SP) {
		e_ld_env(t, 1, T2, CPU_TMP);
		h = T2;
	} else
		h = tr_get(t, guest, T2);
	store(t, size, h, &a);
	stack_move(t, -(int)size, &a);
	access_last(t, &a);
}

static void
push_imm(struct tr *t, uint64_t v, unsigned size, uint32_t extra)
{
	struct access a;

	stack_access(t, -(int)size, size, ACCESS_WRITE | extra, &a);
	if (by_host(t, size)) {
		if (v == (uint64_t)(int32_t)v) {
			e1(t, 0x68);
			e4(t, (uint32_t)v);
		} else {
			e_mov_imm(t, T2, v);
			e1(t, 0x50u | T2);
		}
		a.moved = -8;
		tr_moved(t, R_SP, -8);
		access_last(t, &a);
		return;
	}
	if (size != 8 || v == (uint64_t)(int32_t)v) {
		if (size == 2)
			e1(t, 0x66);
		e_op_access(t, size == 8, 0xc7, 0, &a);
		if (size == 2) {
			e1(t, (uint8_t)v);
			e1(t, (uint8_t)(v >> 8));
		} else
			e4(t, (uint32_t)v);
	} else {
		e_mov_imm(t, T2, v);
		store(t, size, T2, &a);
	}
	stack_move(t, -(int)size, &a);
	access_last(t, &a);
}

/* Pushes cpu->tmp. */
static void
push_tmp(struct tr *t, unsigned size, uint32_t extra)
{
	struct access a;

	stack_access(t, -(int)size, size, ACCESS_WRITE | extra, &a);
	if (by_host(t, size))
		host_push_tmp(t, &a);
	else {
		e_ld_env(t, 1, T2, CPU_TMP);
		store(t, size, T2, &a);
		stack_move(t, -(int)size, &a);
	}
	access_last(t, &a);
}

void
tr_push_tmp(struct tr *t, unsigned size)
{
	push_tmp(t, size, 0);
}

/* Loads a memory operand into cpu->tmp. */
static void
load_tmp(struct tr *t, const ZydisDecodedOperand *op, unsigned size)
{
	struct access a;

	tr_access_op(
	    t, op, EA_R(size), size | ACCESS_READ | tr_stack(op), &a);
	tr_load(t, size, T2, &a);
	e_st_env(t, 1, CPU_TMP, T2);
	tr_access_end(t, &a);
}

static bool
push(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];
	unsigned size = stack_opsize(t);
	bool high;

	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		push_imm(t, op->imm.value.u, size, 0);
		return (true);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		load_tmp(t, op, size);
		push_tmp(t, size, 0);
		return (true);
	default:
		break;
	}
	if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT) {
		unsigned seg = op->reg.value - ZYDIS_REGISTER_ES;

		e1(t, 0x41); /* movzx ecx, word [sel] */
		e1(t, 0x0f);
		e1(t, 0xb7);
		e_mem(t, T2, H_ENV, -1, 0,
		    ENV(offsetof(struct soft_cpu, seg) +
			seg * sizeof(struct vm_seg) +
			offsetof(struct vm_seg, sel)));
		e_st_env(t, 1, CPU_TMP, T2);
		push_tmp(t, size, 0);
		return (true);
	}
	push_reg(t, (unsigned)tr_gpr(op->reg.value, &high), size);
	return (true);
}

/* Guest register := T2, `size` bytes wide (16 bits merge). */
static void
put_sized(struct tr *t, unsigned guest, unsigned size)
{
	int h;

	if (size != 2) {
		if (size == 4)
			e_mov(t, 0, T2, T2);
		tr_put(t, guest, T2);
		tr_written(t, guest);
		return;
	}
	h = tr_get(t, guest, T1);
	if (h == T1)
		tr_lose(t, T1);
	tr_written(t, guest);
	e1(t, 0x66); /* mov r16, cx */
	e_mov(t, 0, h, T2);
	tr_put(t, guest, h);
}

/* POP SP in stack code: rSP + 2, of which 16 bits become T2. */
static void
pop_sp16(struct tr *t, struct access *a)
{
	e_st_env(t, 1, CPU_TMP, T2);
	access_last(t, a); /* behind it host rsp is what it should be */
	tr_lose(t, T1);
	tr_sp_value(t, T1, T1, 2);
	e_ld_env(t, 1, T2, CPU_TMP);
	e1(t, 0x66); /* mov r15w, cx */
	e_mov(t, 0, T1, T2);
	tr_sp_put(t, T1);
}

static bool
pop(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];
	unsigned size = stack_opsize(t);
	struct access a;
	bool high;
	int g = op->type == ZYDIS_OPERAND_TYPE_REGISTER ?
	    tr_gpr(op->reg.value, &high) :
	    -1;

	stack_access(t, 0, size, ACCESS_READ, &a);
	if (by_host(t, size) && g >= 0 && g != R_SP) {
		host_push_pop(t, false, (unsigned)g, &a);
		tr_written(t, (unsigned)g);
		access_last(t, &a);
		return (true);
	}
	tr_load(t, size, T2, &a);
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		e_st_env(t, 1, CPU_TMP, T2);
		tr_access_end(t, &a);
		/* An address with rSP is that of after the pop. */
		tr_ea(t, op, EA_W(size), (int)size);
		tr_access_t0(t, size | ACCESS_WRITE | tr_stack(op), &a);
		e_ld_env(t, 1, T2, CPU_TMP);
		store(t, size, T2, &a);
		stack_move(t, (int)size, &a);
		access_last(t, &a);
		return (true);
	}
	if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT) {
		e_st_env(t, 1, CPU_TMP, T2);
		tr_access_end(t, &a);
		e_mov_imm(t, T0,
		    (uint64_t)(op->reg.value - ZYDIS_REGISTER_ES) |
			(uint64_t)size << 8);
		e_mov_imm(t, T1, t->next);
		tr_call_end(t, soft_h_mov_to_seg);
		return (true);
	}
	if (!t->stack || g != R_SP)
		stack_move(t, (int)size, &a);
	else if (size == 2) { /* it is added to rSP, of which 16 bits go */
		pop_sp16(t, &a);
		return (true);
	}
	put_sized(t, (unsigned)g, size);
	access_last(t, &a);
	return (true);
}

/* LEAVE: rSP := rBP, pop rBP. */
static bool
leave(struct tr *t)
{
	unsigned size = stack_opsize(t), w = stack_width(t);
	struct access a;

	if (t->code64)
		tr_access_reg(
		    t, R_BP, 0, size | ACCESS_READ | ACCESS_STACK, &a);
	else {
		e_mov(t, w == 64, T0, H_BP);
		if (w == 16)
			e_zx16(t, T0, T0);
		tr_add_seg(t, VM_SEG_SS, EA_R(size), w);
		tr_access_t0(t, size | ACCESS_READ | ACCESS_STACK, &a);
	}
	tr_load(t, size, T2, &a);
	if (t->stack) {
		e_lea(t, 1, H_BP, H_BP, -1, 0, (int)size);
		tr_sp_put(t, H_BP);
		if (size == 2)
			e_lea(t, 1, H_BP, H_BP, -1, 0, -(int)size);
	} else
		set_width(t, w, H_R10, H_BP, (int)size);
	tr_written(t, R_SP);
	put_sized(t, R_BP, size);
	access_last(t, &a);
	return (true);
}

/* ENTER n, 0: push rBP; rBP := rSP; rSP -= n. Nested frames are rare. */
static bool
enter(struct tr *t)
{
	unsigned size = stack_opsize(t), w = stack_width(t);
	int n = (int)(t->op[0].imm.value.u & 0xffff);
	struct access a;

	if (t->stack || (t->op[1].imm.value.u & 31) != 0) {
		e_mov_imm(t, T0,
		    size | (t->op[1].imm.value.u & 31) << 8 |
			(uint64_t)n << 16);
		e_mov_imm(t, T1, t->next);
		tr_call(t, soft_h_enter);
		if (t->stack) /* look at what it is now */
			tr_sp_put(t, tr_get(t, R_SP, T0));
		return (true);
	}
	if (t->flags & BF_CHECK(VM_SEG_SS)) /* rSP must end up in it */
		stack_ea(t, -(int)size - n, EA_W(1));
	stack_access(t, -(int)size, size, ACCESS_WRITE, &a);
	store(t, size, H_BP, &a);
	set_width(t, size == 2 ? 16 : w == 16 ? 32 : w, H_BP, H_R10,
	    -(int)size);
	set_width(t, w, H_R10, H_R10, -(int)size - n);
	tr_access_end(t, &a);
	return (true);
}

/* #GP(0) here, and on with what comes after it. */
static void
emit_gp(struct tr *t)
{
	tr_exception(t, EXC_GP, true);
	t->end = false;
}

/* #GP(0) if T0, an offset of `size` bytes, is behind the limit of CS. */
static void
limit_check(struct tr *t, unsigned size)
{
	uint8_t *over;

	if (t->cs_limit >= 0xffffffff || (size == 2 && t->cs_limit >= 0xffff))
		return;
	e_mov(t, 1, T2, T0);
	e_rex(t, 1, 0, 0, T2); /* not rcx */
	e1(t, 0xf7);
	e1(t, 0xd0u | (T2 & 7));
	e_mov_imm(t, T1, t->cs_limit + 1);
	e_lea(t, 1, T2, T2, T1, 0, 0); /* limit - T0 */
	e_rorx(t, 1, T2, T2, 48);
	e_zx16(t, T2, T2);
	e_jrcxz(t, 0);
	over = t->p;
	emit_gp(t);
	over[-1] = (uint8_t)(t->p - over);
}

/* T0 := operand of an indirect jump or call. */
static void
target(struct tr *t, const ZydisDecodedOperand *op, unsigned size)
{
	struct access a;
	bool high;
	int h;

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		tr_access_op(t, op, EA_R(size),
		    size | ACCESS_READ | tr_stack(op), &a);
		tr_load(t, size, T0, &a);
		tr_lose_all(t);
		tr_access_end(t, &a);
		limit_check(t, size);
		return;
	}
	tr_lose(t, T0);
	h = tr_get(t, (unsigned)tr_gpr(op->reg.value, &high), T0);
	if (size == 2)
		e_zx16(t, T0, h);
	else if (h != T0 || size == 4)
		e_mov(t, size == 8, T0, h);
	limit_check(t, size);
}

static uint64_t
branch_target(const struct tr *t, const ZydisDecodedOperand *op)
{
	uint64_t pc = t->next + op->imm.value.u;

	if (near_opsize(t) == 2)
		return ((uint16_t)pc);
	return (t->code64 ? pc : (uint32_t)pc);
}

/* A constant target where a branch faults rather than goes. */
static bool
no_target(const struct tr *t, uint64_t to)
{
	return (t->code64 ? !soft_canonical(t->cpu, to) :
			    to > t->cs_limit);
}

static bool
jmp(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];

	tr_sp_settle(t, t->pc);
	tr_branch(t);
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		if (no_target(t, branch_target(t, op)))
			tr_exception(t, EXC_GP, true);
		else
			tr_goto(t, branch_target(t, op));
	} else {
		target(t, op, near_opsize(t));
		tr_goto_t0(t, 0);
	}
	t->end = true;
	return (true);
}

static bool
call(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];
	unsigned size = near_opsize(t);

	tr_branch(t);
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	    no_target(t, branch_target(t, op)))
		tr_exception(t, EXC_GP, true);
	else if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		push_imm(t, t->next, size, ACCESS_FLOW);
		tr_goto(t, branch_target(t, op));
	} else {
		target(t, op, size);
		e_st_env(t, 1, CPU_TMP, T0);
		push_imm(t, t->next, size, ACCESS_FLOW);
		e_ld_env(t, 1, T0, CPU_TMP);
		tr_goto_t0(t, -(int)size);
	}
	t->end = true;
	return (true);
}

static bool
ret(struct tr *t)
{
	unsigned size = near_opsize(t);
	int n = (int)size;
	struct access a;

	tr_branch(t);
	if (t->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	    t->op[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
		n += (int)(t->op[0].imm.value.u & 0xffff);
	stack_access(t, 0, size, ACCESS_READ, &a);
	tr_lose_all(t);
	if (by_host(t, size)) {
		e_rex(t, 0, 0, 0, T0);
		e1(t, 0x58u | (T0 & 7));
		a.moved = 8;
		if (n != 8)
			stack_move(t, n - 8, &a);
	} else {
		tr_load(t, size, T0, &a);
		limit_check(t, size);
		stack_move(t, n, &a);
	}
	access_last(t, &a);
	tr_goto_t0(t, n);
	t->end = true;
	return (true);
}

/* More of them would gain little. */
#define MAX_ROUNDS 7

/*
 * A block that loops has several rounds of the loop, in code for mirrors: what
 * a round begins with, and the look for interrupts at its end, are there once
 * then. The rounds are whole: the block ends where it began, and what leaves
 * it goes to behind it, so that no circle of links is without that look.
 */
static bool
again(const struct tr *t, uint64_t to)
{
	unsigned body = t->ninsns / (t->rounds + 1u);

	return (tr_mirror(t) && !(t->flags & BF_ONE) &&
	    !(t->vm->off & SOFT_OFF_ROUNDS) && to == t->b->pc &&
	    t->next > to && tr_links(t, to) && tr_links(t, t->next) &&
	    t->rounds < MAX_ROUNDS &&
	    t->ninsns + body <= BLOCK_MAX_INSNS);
}

static bool
jcc(struct tr *t)
{
	uint64_t to = branch_target(t, &t->op[0]);
	uint8_t *over;
	struct ool *o;
	bool direct;

	tr_sp_settle(t, t->pc);
	if (no_target(t, to)) {
		e1(t, 0x70u | ((t->in.opcode & 15u) ^ 1)); /* the opposite */
		e1(t, 0);
		over = t->p;
		emit_gp(t);
		over[-1] = (uint8_t)(t->p - over);
		return (true);
	}
	if (again(t, to)) {
		/* Another round: what leaves is the jump. */
		while (((uintptr_t)t->p + 2) % 64 > 60)
			e1(t, 0x90); /* see e_align_rel32() */
		e1(t, 0x0f);
		e1(t, 0x80u | ((t->in.opcode & 15u) ^ 1));
		e4(t, 0);
		tr_link(t, t->p - 4, t->next);
		t->next = to;
		t->rounds++;
		tr_keep(t);
		return (true);
	}
	if (to <= t->pc && tr_links(t, to)) {
		/* A loop: the way back is the straight one. */
		e1(t, 0x70u | ((t->in.opcode & 15u) ^ 1));
		e1(t, 0);
		over = t->p;
		tr_goto(t, to);
		over[-1] = (uint8_t)(t->p - over);
		tr_keep(t);
		return (true);
	}
	direct = to > t->pc && tr_links(t, to);
	while (direct && (((uintptr_t)t->p + 2) & 63) > 60)
		e1(t, 0x90); /* see e_align_rel32() */
	e1(t, 0x0f);
	e1(t, 0x80u | (t->in.opcode & 15u));
	e4(t, 0);
	if (direct) {
		tr_link(t, t->p - 4, to);
		tr_keep(t);
		return (true);
	}
	o = &t->ool[t->nool++];
	*o = (struct ool){ .kind = OOL_GOTO, .insn = (uint8_t)(t->ninsns - 1),
		.patch = t->p - 4, .pc = to };
	tr_keep(t);
	return (true);
}

/* LOOPcc and JrCXZ: rCX is at hand in T2, where jrcxz wants it. */
static bool
loop(struct tr *t)
{
	uint64_t to = branch_target(t, &t->op[0]);
	unsigned aw = t->in.address_width;
	uint8_t *over, *not = NULL;
	ZydisMnemonic mn = t->in.mnemonic;
	struct ool *o;

	tr_sp_settle(t, t->pc);
	if (mn == ZYDIS_MNEMONIC_JRCXZ || mn == ZYDIS_MNEMONIC_JECXZ ||
	    mn == ZYDIS_MNEMONIC_JCXZ) {
		if (aw == 16)
			e_zx16(t, T2, H_R9);
		else
			e_mov(t, aw == 64, T2, H_R9);
		e_jrcxz(t, 2);
		e1(t, 0xeb); /* jmp over the jump */
		e1(t, 0);
		over = t->p;
	} else {
		set_width(t, aw, H_R9, H_R9, -1);
		if (aw == 16)
			e_zx16(t, T2, H_R9);
		else
			e_mov(t, aw == 64, T2, H_R9);
		e_jrcxz(t, 0); /* 0: not taken */
		over = t->p;
		if (mn != ZYDIS_MNEMONIC_LOOP) {
			/* LOOPE goes on with ZF, LOOPNE without. */
			e1(t, mn == ZYDIS_MNEMONIC_LOOPE ? 0x75 : 0x74);
			e1(t, 0);
			not = t->p;
		}
	}
	if (no_target(t, to)) {
		if (not != NULL || mn == ZYDIS_MNEMONIC_LOOP)
			set_width(t, aw, H_R9, H_R9, 1); /* as it was */
		emit_gp(t);
	} else {
		o = &t->ool[t->nool++];
		*o = (struct ool){ .kind = OOL_GOTO,
			.insn = (uint8_t)(t->ninsns - 1), .patch = e_jmp(t),
			.pc = to };
	}
	over[-1] = (uint8_t)(t->p - over);
	if (not != NULL)
		not[-1] = (uint8_t)(t->p - not);
	return (true);
}

bool
tr_flow(struct tr *t)
{
	bool far = t->in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return (push(t));
	case ZYDIS_MNEMONIC_POP:
		return (pop(t));
	case ZYDIS_MNEMONIC_LEAVE:
		return (leave(t));
	case ZYDIS_MNEMONIC_ENTER:
		return (enter(t));
	case ZYDIS_MNEMONIC_JMP:
		return (far ? tr_far_flow(t, soft_h_far_jmp) : jmp(t));
	case ZYDIS_MNEMONIC_CALL:
		return (far ? tr_far_flow(t, soft_h_far_call) : call(t));
	case ZYDIS_MNEMONIC_RET:
		return (far ? tr_far_flow(t, soft_h_far_ret) : ret(t));
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		return (tr_far_flow(t, soft_h_iret));
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
		return (loop(t));
	case ZYDIS_MNEMONIC_XBEGIN: /* counts as a conditional branch */
		return (false);
	default:
		break;
	}
	if (t->in.meta.category == ZYDIS_CATEGORY_COND_BR)
		return (jcc(t));
	return (false);
}
