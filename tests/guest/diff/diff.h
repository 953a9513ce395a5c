/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_GUEST_DIFF_H
#define LHYVE_TESTS_GUEST_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

/*
 * The engine against the processor it runs on: a test is a machine state, a
 * piece of memory and one or a few instructions. It is run natively in a
 * child process (native.c) and in a virtual machine (guest.c), and all that
 * the instructions can have changed is compared (compare.c).
 */

/* Linear addresses, the same in both worlds. Below 2 GiB, so that absolute
 * addresses and the 32-bit address size can reach them. */
#define DIFF_DATA 0x10000000ull /* 5 pages read-write, 1 read-only, none */
#define DIFF_DATA_PAGES 6
#define DIFF_DATA_RW 5
#define DIFF_MEM (DIFF_DATA_PAGES * 4096)
#define DIFF_CODE 0x20000000ull
#define DIFF_CODE_SIZE 8192
#define DIFF_CODE_MAX 240

/* Segments of 16-bit code: CS is the code pages, DS and SS are the data, ES
 * is all of it but the first page. */
#define DIFF_ES (DIFF_DATA + 0x1000)

#define DIFF_XSAVE_SIZE 4096

enum { G_RAX, G_RCX, G_RDX, G_RBX, G_RSP, G_RBP, G_RSI, G_RDI };

struct diff_state {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	uint64_t fsbase, gsbase;
	_Alignas(64) uint8_t xsave[DIFF_XSAVE_SIZE];
};

#define DIFF_NO_VECTOR 0xffu
struct diff_result {
	struct diff_state st;
	uint32_t vector; /* exception, DIFF_NO_VECTOR: ran to its end */
	uint32_t error;
	uint64_t cr2;
	bool died; /* the child did not survive it, or the engine gave up */
	char why[160];
	uint8_t mem[DIFF_MEM];
};

struct diff_test {
	struct diff_state st;
	uint64_t seed;	     /* of this test alone */
	unsigned mode;	     /* of the code: 64, or 32, 16 (compatibility) */
	uint32_t form;	     /* which form it is about */
	uint32_t code_off;   /* in the code pages */
	uint32_t code_len;   /* without what gen_stop() adds */
	uint64_t undef;	     /* flags that are undefined at the end */
	uint32_t skip_off, skip_len; /* memory that is not compared */
	uint32_t max_access; /* bytes that an instruction may touch */
	uint8_t code[DIFF_CODE_MAX + 16];
	uint8_t mem[DIFF_MEM];
};

/* Where the extended components lie in a standard XSAVE image. */
struct diff_layout {
	uint64_t mask;	 /* components under test */
	uint32_t off[8]; /* 2: AVX, 5: k, 6: ZMM_Hi256, 7: Hi16_ZMM */
	uint32_t size[8];
	uint32_t total;
	bool fsgsbase;
};
void diff_layout_init(struct diff_layout *lay);

/* ---- random numbers ---- */
struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
static inline uint32_t
rng_below(struct rng *r, uint32_t n)
{
	return ((uint32_t)((rng_next(r) >> 32) * n >> 32));
}
static inline bool
rng_chance(struct rng *r, unsigned percent)
{
	return (rng_below(r, 100) < percent);
}

/* ---- instruction forms (forms.c) ---- */
enum { ENC_LEGACY, ENC_VEX, ENC_EVEX };
#define FREE 0xff
struct form {
	uint64_t sig;
	uint16_t mnemonic;
	uint8_t enc, map, pp, w, l, opcode, b;
	uint8_t mod3;	   /* register form */
	uint8_t reg, rm;   /* modrm fields, or FREE */
	uint8_t opcode_reg; /* low bits of the opcode are a register */
	uint8_t vvvv;	   /* 1: must be 1111b */
	uint8_t mask;	   /* 1: needs a mask register, 0xff: takes none */
};
struct insn {
	uint8_t bytes[16];
	ZydisDecodedInstruction d;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};
struct forms {
	unsigned mode; /* 64, 32, 16 */
	struct form *f;
	uint32_t n, room;
	uint32_t *hash;
	ZydisDecoder dec;
};
int forms_init(struct forms *fs, unsigned mode);
void forms_fini(struct forms *fs);
/* Random instruction of the form; false if no try made a valid one. */
bool forms_make(const struct forms *fs, const struct form *f, struct rng *r,
    struct insn *i);
bool forms_decode(const struct forms *fs, struct insn *i);
ZydisMachineMode forms_machine(unsigned mode);

/* ---- tests (gen.c, chain.c, state.c) ---- */
struct gen {
	const struct forms *fs;
	const struct diff_layout *lay;
	struct rng r;
	struct diff_test *t;
	uint32_t assigned; /* GPRs whose value matters to an address */
};
void gen_state(struct gen *g);
/* Ends the code: OUT, which is #GP to a user, and a jump to itself. */
void gen_stop(struct diff_test *t);
/* Flags that the engine may leave otherwise than the processor. */
uint64_t gen_undefined(const ZydisDecodedInstruction *d);
/* Where the code's first byte is, as RIP counts. */
uint64_t gen_rip(const struct diff_test *t);
/* Leaves in registers what a narrower mode has of them. */
void gen_narrow(struct diff_test *t);
void gen_single(const struct forms *fs, const struct diff_layout *lay,
    struct diff_test *t, uint32_t form, uint64_t seed);
void gen_chain(const struct forms *fs, const struct diff_layout *lay,
    struct diff_test *t, uint64_t seed);
/* Areas (area.c): is it one, where is operand n, what is in it. */
bool gen_is_area(const struct insn *i);
void gen_area_components(struct gen *g, const struct insn *i);
uint64_t gen_area_target(struct gen *g, const struct insn *i, unsigned n);
void gen_area_memory(
    struct gen *g, const struct insn *i, unsigned n, uint64_t target);
uint64_t gen_interesting(struct rng *r);
uint64_t gen_target(struct gen *g, uint32_t size, bool safe);
/* GPR number of a register of any width (AH: 0), or -1. */
int gen_gpr(ZydisRegister reg);

/* ---- runners ---- */
struct native;
int native_create(struct native **out, const struct diff_layout *lay,
    struct diff_test *tests, struct diff_result *results, unsigned max);
void native_destroy(struct native *n);
/* Runs tests [0, count). */
int native_run(struct native *n, unsigned count);

struct guest;
int guest_create(struct guest **out, const struct diff_layout *lay,
    unsigned options);
void guest_destroy(struct guest *g);
int guest_run(
    struct guest *g, const struct diff_test *t, struct diff_result *res);

/* ---- comparison ---- */
/* Number of differences; each is printed to `out` if not NULL. */
unsigned diff_compare(const struct diff_layout *lay,
    const struct diff_test *t, const struct diff_result *want,
    const struct diff_result *got, void *out);
bool diff_tolerable(const struct diff_layout *lay, const struct diff_test *t,
    const struct diff_result *want, const struct diff_result *got);

#endif
