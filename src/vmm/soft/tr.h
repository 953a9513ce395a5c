/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_TR_H
#define LHYVE_SOFT_TR_H

#include <Zydis/Zydis.h>

#include "vmm/soft/mem.h"
#include "vmm/soft/soft.h"

/*
 * Translation of one block: the state of it and the small assembler. Code is
 * written through `p` (writable view); what it will be at is p + rx_off.
 */

/* Host registers by number; see layout.h for the roles. */
enum { H_AX, H_CX, H_DX, H_BX, H_SP, H_BP, H_SI, H_DI, H_R8, H_R9, H_R10,
	H_R11, H_R12, H_R13, H_R14, H_R15 };
#define T0 H_R14
#define T1 H_R15
#define T2 H_CX
#define H_ENV H_R13

/* Where a guest register lives: a host register, or -1: in struct soft_cpu. */
extern const int8_t tr_host_of[2][16]; /* [1]: stack code */

#define ENV(off) ((int32_t)(off) - ENV_BIAS)

enum ool_kind {
	OOL_MEM,  /* slow path of a memory access */
	OOL_MIRROR, /* the same of one that went to the mirror */
	OOL_STRING, /* a string instruction, in C; patch is NULL where the
		     * mirror does not have what it accesses */
	OOL_SP,	  /* rSP becomes what this code is not for */
	OOL_FPU,  /* the guest's FPU state is not in the registers */
	OOL_STUB, /* what a link jumps to until it is resolved */
	OOL_GOTO  /* a conditional jump's way out */
};

/*
 * In code for mirrors: what T0 or T1 is from one instruction to the next.
 * Each instruction ends it but those that call tr_keep(). See slot.c.
 */
enum slot_kind {
	SLOT_NONE,
	/* What leads to the mirror of addresses near `base`, which may move. */
	SLOT_OFF,
	/* The same with `base` (-1: none) added: near base + index << scale if
	 * there is an index, which may move; base may not. */
	SLOT_PTR,
	/* The same with `anchor` added. */
	SLOT_CONST,
	/* Of an access only: by host rsp, in stack code. */
	SLOT_STACK
};
#define SLOT_LOW 16 /* a base: all addresses below 4 GiB */
struct slot {
	enum slot_kind kind;
	int base, index; /* guest registers, -1: none */
	int scale;
	uint32_t drift; /* how far it may have moved since the look-up */
	uint32_t used;
	uint64_t anchor;
};
#define TR_SLOTS 2
/* Displacements of accesses by way of a slot are not larger. */
#define FAR_DISP (1 << 30)

/* Code to be put behind the block, away from the fast path. */
struct ool {
	enum ool_kind kind;
	uint8_t insn;	/* index into map */
	bool fpu;	/* FPU state must be in on return */
	uint8_t *patch; /* rel32 that leads here */
	uint8_t *hit, *end;
	uint32_t what;
	uint64_t pc;
	struct link *link;
	/* OOL_MIRROR: the register with the slot, what it stands for, where
	 * from there, and what T0 and T1 have to be afterwards. */
	int reg;
	unsigned fixup; /* its index */
	struct slot want, slot[TR_SLOTS];
	int index, scale, moved;
	int32_t disp;
	/* OOL_STRING: see soft_h_string(); where it goes on. `pc`: next. */
	uint64_t arg;
	uint8_t *back;
};

#define TR_MAX_OOL (BLOCK_MAX_INSNS * 4)
#define TR_MAX_LINKS (BLOCK_MAX_INSNS * 2)

struct tr {
	struct soft_cpu *cpu;
	struct soft_vm *vm;
	struct block *b;
	uint8_t *p, *start;
	ptrdiff_t rx_off;
	uint64_t pc, next;
	uint64_t *need, gpa2; /* see soft_translate() */
	uint32_t flags;
	unsigned m; /* MMU_* */
	unsigned max; /* instructions of the block */
	uint64_t cs_limit; /* no code behind it */
	bool code64;
	bool fpu_in;	/* FPU state is known to be in registers here */
	bool end;	/* the block is complete */
	bool again;	/* to compare it (late.c): raises nothing */
	uint32_t masked; /* ACCESS_* of an operand under a mask, for tr_ea() */
	bool clipped;	/* bytes end at the limit of CS */
	bool last_next; /* end after one more instruction (STI, MOV SS) */
	struct slot slot[TR_SLOTS];
	uint32_t slot_clock;
	bool keep;	/* this instruction has seen to the slots */
	/* Stack code (rsp.c). Near: an access or a look-up was at most
	 * sp_drift bytes away; otherwise they are the way since the block's
	 * begin. */
	bool stack, sp_near, sp_new;
	uint32_t sp_drift;
	const int8_t *host_of;
	uint16_t small; /* 1 << register: of at most 32 bits, or minus that */

	ZydisDecoder dec;
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t bytes[16];

	struct ool ool[TR_MAX_OOL];
	unsigned nool;
	struct insn_map map[BLOCK_MAX_INSNS + TR_MAX_OOL + 2];
	unsigned nmap, ninsns;
	unsigned rounds; /* of a looping block, behind the first */
	struct link links[TR_MAX_LINKS];
	unsigned nlinks;
	struct fixup fixups[BLOCK_MAX_INSNS * 2];
	unsigned nfixups;
};

/* ---- a block (translate.c) ---- */

#define CODE_MARGIN 0x10000 /* more than any block can need */

/* Begins to translate the block b, of which pc, gpa, flags, cs_limit are set,
 * to p. For gpa2 and need see soft_translate(). */
void tr_begin(struct tr *t, struct soft_cpu *cpu, struct block *b, uint8_t *p,
    uint64_t gpa2, uint64_t *need);
/* All of it but what is behind it. False: *need is set. */
bool tr_body(struct tr *t);
/* Where in the cache t->p is: late.c makes the same code elsewhere. */
static inline uint32_t
tr_offset(const struct tr *t)
{
	return ((uint32_t)(t->b->code - t->vm->code_rx + (t->p - t->start)));
}
/* A row of the side table, for what t->p is at. */
static inline struct insn_map
tr_row(const struct tr *t, unsigned guest, unsigned len)
{
	return ((struct insn_map){ .host = (uint16_t)(t->p - t->start),
		.guest = guest & 0xfff, .len = len & 15 });
}
static inline struct fixup
tr_fixup(const struct tr *t, const uint8_t *start, const uint8_t *end)
{
	return ((struct fixup){ (uint16_t)(start - t->start),
		(uint16_t)(end - t->start), 0 });
}
/* From the arena of the part that is being filled. */
void *tr_arena(struct soft_vm *vm, size_t size);

/* ---- assembler ---- */

static inline void
e1(struct tr *t, unsigned b)
{
	*t->p++ = (uint8_t)b;
}
static inline void
e4(struct tr *t, uint32_t v)
{
	__builtin_memcpy(t->p, &v, 4);
	t->p += 4;
}
static inline void
e8(struct tr *t, uint64_t v)
{
	__builtin_memcpy(t->p, &v, 8);
	t->p += 8;
}

static inline void
e_rex(struct tr *t, int w, int reg, int index, int base)
{
	unsigned rex = 0x40u | (w ? 8u : 0) | (reg >= 8 ? 4u : 0) |
	    (index >= 8 ? 2u : 0) | (base >= 8 ? 1u : 0);

	if (rex != 0x40)
		e1(t, rex);
}
/* ModRM and SIB for [base + index * (1 << scale) + disp]; -1: none. */
void e_mem(struct tr *t, int reg, int base, int index, int scale,
    int32_t disp);
/* op reg, [base + ...] with a one-byte opcode */
static inline void
e_op_mem(struct tr *t, int w, unsigned opc, int reg, int base, int index,
    int scale, int32_t disp)
{
	e_rex(t, w, reg, index, base);
	e1(t, opc);
	e_mem(t, reg, base, index, scale, disp);
}
static inline void
e_ld_env(struct tr *t, int w, int reg, unsigned off)
{
	e_op_mem(t, w, 0x8b, reg, H_ENV, -1, 0, ENV(off));
}
static inline void
e_st_env(struct tr *t, int w, unsigned off, int reg)
{
	e_op_mem(t, w, 0x89, reg, H_ENV, -1, 0, ENV(off));
}
static inline void
e_lea(struct tr *t, int w, int dst, int base, int index, int scale,
    int32_t disp)
{
	e_op_mem(t, w, 0x8d, dst, base, index, scale, disp);
}
static inline void
e_mov(struct tr *t, int w, int dst, int src)
{
	e_rex(t, w, src, 0, dst);
	e1(t, 0x89);
	e1(t, 0xc0u | (unsigned)(src & 7) << 3 | (unsigned)(dst & 7));
}
/* movzx dst, src16 */
static inline void
e_zx16(struct tr *t, int dst, int src)
{
	e_rex(t, 0, dst, 0, src);
	e1(t, 0x0f);
	e1(t, 0xb7);
	e1(t, 0xc0u | (unsigned)(dst & 7) << 3 | (unsigned)(src & 7));
}
void e_mov_imm(struct tr *t, int dst, uint64_t v);
/* rorx dst, src, n: a rotate, and a move, that leaves the flags alone */
void e_rorx(struct tr *t, int w, int dst, int src, unsigned n);
/* In stack code: what thunks want to find. */
void tr_leave_stack(struct tr *t);
static inline void
e_call_thunk(struct tr *t, unsigned thunk)
{
	tr_leave_stack(t);
	e1(t, 0x41);
	e1(t, 0xff);
	e_mem(t, 2, H_ENV, -1, 0, ENV(CPU_THUNKS + thunk * 8));
}
static inline void
e_jmp_thunk(struct tr *t, unsigned thunk)
{
	if (thunk != THUNK_MISS) /* which is for both */
		tr_leave_stack(t);
	e1(t, 0x41);
	e1(t, 0xff);
	e_mem(t, 4, H_ENV, -1, 0, ENV(CPU_THUNKS + thunk * 8));
}
/* jmp rel32 to be patched; returns where the rel32 is */
static inline uint8_t *
e_jmp(struct tr *t)
{
	e1(t, 0xe9);
	e4(t, 0);
	return (t->p - 4);
}
/* A jump that is patched while others run it: its displacement lies in one
 * cache line, so that they see the old or the new one. */
static inline void
e_align_rel32(struct tr *t)
{
	while ((((uintptr_t)t->p + 1) & 63) > 60)
		e1(t, 0x90);
}
static inline void
e_patch(uint8_t *rel, const uint8_t *to)
{
	int32_t d = (int32_t)(to - (rel + 4));

	__builtin_memcpy(rel, &d, 4);
}
/* loop: a jump unless rcx is 1, which becomes 0. Where the processor does that
 * fast (soft_vm.by_loop) it is better than jrcxz if it mostly falls through:
 * what never jumps takes no room in the tables for branches. */
static inline void
e_loop(struct tr *t, const uint8_t *to)
{
	e1(t, 0xe2);
	e1(t, (uint8_t)(to - t->p - 1));
}
/* A nop with a jmp rel32 in it, whose address it returns: where e_loop(),
 * which does not reach far, may go. */
static inline uint8_t *
e_nop_jmp(struct tr *t)
{
	e4(t, 0xe9841f0f); /* nop [rcx + rbp * 8 + disp32] */
	e4(t, 0);
	return (t->p - 5);
}
static inline void
e_put4(uint8_t *p, uint32_t v)
{
	__builtin_memcpy(p, &v, 4);
}
static inline void
e_jrcxz(struct tr *t, int rel)
{
	e1(t, 0xe3);
	e1(t, (unsigned)rel);
}

/* ---- decoding (decode.c) ---- */

/* Decodes the instruction in the first n of t->bytes into t->in and t->op, of
 * which as many are set as the instruction has, and one more. */
ZyanStatus tr_decode(struct tr *t, unsigned n);
/* Once more in real mode, which gave st. */
ZyanStatus tr_decode_sysenter(struct tr *t, unsigned n, ZyanStatus st);

/* ---- pieces (translate.c) ---- */

/* Guest register into a host register: its own, or loaded into scratch. */
int tr_get(struct tr *t, unsigned guest, int scratch);
/* Stores scratch into a guest register, wherever it lives. */
void tr_put(struct tr *t, unsigned guest, int host);
/* Guest register number of a Zydis GPR; *high for AH..BH. -1: not a GPR. */
int tr_gpr(ZydisRegister reg, bool *high);
/* What an address is used for: checks of limits and types outside 64-bit
 * mode. */
#define EA_OFFSET 0u	/* nothing: it is not made linear */
#define EA_SEG 0x10000u /* base only; or an access of some bytes: */
#define EA_WRITE 0x20000u
#define EA_R(bytes) (EA_SEG | (bytes))
#define EA_W(bytes) (EA_SEG | EA_WRITE | (bytes))
/* Linear address of a memory operand into T0. T1 and T2 are lost. */
void tr_ea(struct tr *t, const ZydisDecodedOperand *op, uint32_t use,
    int rsp_adjust);
/* T0, an offset of aw bits, becomes linear. */
void tr_add_seg(struct tr *t, unsigned seg, uint32_t use, unsigned aw);

/* SIB without a base, whatever the decoder says. */
bool tr_no_base(const struct tr *t);
/* ACCESS_STACK if the operand is addressed through SS. */
uint32_t tr_stack(const ZydisDecodedOperand *op);
uint32_t tr_locked(const struct tr *t); /* ACCESS_LOCKED or 0 */

/* The bytes are at [base + index << scale + disp]. */
struct access {
	uint8_t *patch, *hit;
	uint32_t what;
	int base, index, scale; /* host registers, index -1: none */
	int32_t disp;
	bool mirror; /* there is no look-up: a fault leads to the slow path */
	int moved; /* what it does to host rsp, in stack code */
	int reg;     /* of the slot, if mirror */
	struct slot want;
};
/* Look-up of T0; afterwards the bytes are at [T0 + T1], T2 is free. What is
 * emitted until tr_access_end() must be position-independent: for stores it
 * is copied to the slow path. */
void tr_access(struct tr *t, uint32_t what, struct access *a);
void tr_access_end(struct tr *t, const struct access *a);
/*
 * The two that may use the mirror. What is emitted until tr_access_end() must
 * leave the access's registers, T0 and T1 alone until the access is done: it
 * is the first thing that can fault. T2 is free.
 *
 * tr_access_t0: the address is in T0.
 * tr_access_reg: it is guest register + disp in 64-bit mode, flat.
 */
void tr_access_t0(struct tr *t, uint32_t what, struct access *a);
void tr_access_reg(struct tr *t, unsigned guest, int32_t disp, uint32_t what,
    struct access *a);
/* tr_ea() and one of them. */
void tr_access_op(struct tr *t, const ZydisDecodedOperand *op, uint32_t use,
    uint32_t what, struct access *a);
/* Does this code go to a mirror? */
bool tr_mirror(const struct tr *t);
/* op reg, [where the access is] */
static inline void
e_op_access(struct tr *t, int w, unsigned opc, int reg, const struct access *a)
{
	e_op_mem(t, w, opc, reg, a->base, a->index, a->scale, a->disp);
}

/* ---- slots (slot.c) ---- */

/* This instruction keeps them, but for those that it has named to the others:
 * a host register is lost, a guest register is written, or moves by n. */
static inline void
tr_keep(struct tr *t)
{
	t->keep = true;
}
void tr_lose(struct tr *t, int reg);
void tr_lose_all(struct tr *t);
void tr_written(struct tr *t, unsigned guest);
void tr_moved(struct tr *t, unsigned guest, int64_t n);
/* The slot that is `want`, made if need be, and its register. T2 is lost. */
struct slot *tr_slot(struct tr *t, const struct slot *want, int *reg);
/* reg := what leads to the mirror of the address in host register h, which
 * outside 64-bit mode has 32 bits. T2 is lost. */
void tr_find_mirror(struct tr *t, int h, int reg);
/* Makes all of them again. T2 is lost. */
void tr_slots_again(struct tr *t, const struct slot slot[TR_SLOTS]);
/* Notes what the instruction does to t->small; what becomes of the slots with
 * registers that it writes. */
void tr_note_small(struct tr *t);
void tr_note_written(struct tr *t);

/* ---- rSP in stack code (rsp.c) ---- */

/* dst := rSP + disp; scratch is lost. */
void tr_sp_value(struct tr *t, int dst, int scratch, int32_t disp);
/* rSP becomes what the host register has, when the instruction is done:
 * tr_sp_end() does it. */
void tr_sp_put(struct tr *t, int host);
void tr_sp_end(struct tr *t);
/* An access has been made that near to rSP. */
#define SP_NEAR 4096
void tr_sp_near(struct tr *t);
/* rSP += n, without flags; false if that is too much for it. */
bool tr_sp_move(struct tr *t, int64_t n);
/* Before control leaves the block: a look-up, if rSP has moved without an
 * access. The guest is about to do what is at pc. */
void tr_sp_settle(struct tr *t, uint64_t pc);
/* Instructions on rSP: true if it was one. */
bool tr_sp_insn(struct tr *t);
void tr_ool_sp(struct tr *t, const struct ool *o);

/* Something to be put behind the block, for the instruction at hand. */
struct ool *tr_ool(struct tr *t, enum ool_kind kind, uint8_t *patch);
void tr_ool_mem(struct tr *t, const struct ool *o);
void tr_ool_mirror(struct tr *t, const struct ool *o);
void tr_ool_string(struct tr *t, const struct ool *o);

/* Makes sure that the guest's FPU state is in the host's registers. */
void tr_need_fpu(struct tr *t);
/* Calls a helper that comes back; T0 and T1 are its arguments. */
void tr_call(struct tr *t, soft_helper *fn);
/* Calls a helper that sets cpu->rip, and ends the block. */
void tr_call_end(struct tr *t, soft_helper *fn);
/* Raises an exception at this instruction and ends the block. */
void tr_exception(struct tr *t, unsigned vector, bool has_error);
/* A branch is taken, for DEBUGCTL.BTF. */
void tr_branch(struct tr *t);
/* Goes to a constant pc; ends what is emitted, not the block. */
void tr_goto(struct tr *t, uint64_t pc);
/* Makes a link of the rel32 of a jump, which e_align_rel32() was for. */
void tr_link(struct tr *t, uint8_t *rel32, uint64_t pc);
/* Will that be a jump to another block in this page? */
bool tr_links(const struct tr *t, uint64_t pc);
/* Goes to the pc in T0; rSP has been moved up by so much for it. */
void tr_goto_t0(struct tr *t, int moved);

enum unit { UNIT_INT, UNIT_X87, UNIT_MMX, UNIT_SSE, UNIT_AVX, UNIT_AVX512 };
/* Which state the instruction uses, for CR0.EM/TS, OSFXSR and XCR0. */
enum unit tr_unit(const struct tr *t);
/* The exceptions of SDM volume 3, table 2-2 and 2.6, 13.5. True: raised, and
 * the block ends. */
bool tr_unit_fault(struct tr *t, enum unit u);
/* Of those x87 instructions that do not wait for an exception before them. */
bool tr_x87_no_wait(ZydisMnemonic mn);

/* An ordinary instruction, emitted again (copy.c). false: not possible. */
bool tr_copy(struct tr *t);
/* System instructions without a helper (inline.c): true if it was one. */
bool tr_inline(struct tr *t);
/* Pushes cpu->tmp. */
void tr_push_tmp(struct tr *t, unsigned size);
/* Goes to a constant pc by way of the jump cache of t->m. */
void tr_goto_far(struct tr *t, uint64_t pc);
/* Everything that is not ordinary (special.c): true if it was one. */
bool tr_special(struct tr *t);
/* Odd operands (odd.c): true if it was one. Called by tr_special(). */
bool tr_odd(struct tr *t);
/* Control flow and the stack (flow.c): true if it was one. */
bool tr_flow(struct tr *t);
bool tr_far_flow(struct tr *t, soft_helper *fn);
/* reg := what the access is to, zero-extended to 64 bits; size 2, 4 or 8. */
void tr_load(
    struct tr *t, unsigned size, int reg, const struct access *a);

#endif
