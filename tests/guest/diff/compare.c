/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "diff.h"

/* What one mismatch may print. */
#define MAX_LINES 10

struct report {
	FILE *out;
	unsigned n;
};

static void
differ(struct report *rep, const char *what, unsigned idx, uint64_t want,
    uint64_t got)
{
	if (rep->n++ < MAX_LINES && rep->out != NULL)
		fprintf(rep->out, "  %s%u: want %#llx got %#llx\n", what, idx,
		    (unsigned long long)want, (unsigned long long)got);
}

static void
check(struct report *rep, const char *what, unsigned idx, uint64_t want,
    uint64_t got)
{
	if (want != got)
		differ(rep, what, idx, want, got);
}

static void
check_bytes(struct report *rep, const char *what, unsigned idx,
    const uint8_t *want, const uint8_t *got, size_t len)
{
	if (memcmp(want, got, len) == 0)
		return;
	if (rep->n++ >= MAX_LINES || rep->out == NULL)
		return;
	fprintf(rep->out, "  %s%u: want ", what, idx);
	for (size_t i = len; i-- > 0;)
		fprintf(rep->out, "%02x", want[i]);
	fprintf(rep->out, "\n  %*s  got ", (int)strlen(what), "");
	for (size_t i = len; i-- > 0;)
		fprintf(rep->out, "%02x", got[i]);
	fprintf(rep->out, "\n");
}

/* Fills components that are in their initial state and therefore were not
 * written (SDM volume 1, 13.6). */
static void
normalize(const struct diff_layout *lay, uint8_t *x)
{
	uint64_t bv;

	memcpy(&bv, x + 512, 8);
	if ((bv & 1) == 0) {
		memset(x, 0, 24);
		x[0] = 0x7f;
		x[1] = 0x03;
		memset(x + 32, 0, 128);
	}
	if ((bv & 2) == 0)
		memset(x + 160, 0, 256);
	for (unsigned i = 2; i < 8; i++)
		if (((bv >> i) & 1) == 0)
			memset(x + lay->off[i], 0, lay->size[i]);
}

static uint32_t
get(const uint8_t *p, unsigned bytes)
{
	uint32_t v = 0;

	memcpy(&v, p, bytes);
	return (v);
}

static void
compare_fpu(struct report *rep, const struct diff_layout *lay,
    const uint8_t *want_raw, const uint8_t *got_raw)
{
	static uint8_t const pieces[8] = { 0, 0, 16, 0, 0, 8, 32, 64 };
	static const char *const names[8] = { "", "", "ymmh", "", "", "k",
		"zmmh", "zmm16+" };
	uint8_t want[DIFF_XSAVE_SIZE], got[DIFF_XSAVE_SIZE];

	memcpy(want, want_raw, lay->total);
	memcpy(got, got_raw, lay->total);
	normalize(lay, want);
	normalize(lay, got);
	check(rep, "fcw", 0, get(want, 2), get(got, 2));
	check(rep, "fsw", 0, get(want + 2, 2), get(got + 2, 2));
	check(rep, "ftw", 0, want[4], got[4]);
	/* FOP, FIP, FDP at 6 to 23: not kept. */
	check(rep, "mxcsr", 0, get(want + 24, 4), get(got + 24, 4));
	for (unsigned i = 0; i < 8; i++)
		check_bytes(rep, "st", i, want + 32 + 16 * i, got + 32 + 16 * i,
		    10);
	for (unsigned i = 0; i < 16; i++)
		check_bytes(rep, "xmm", i, want + 160 + 16 * i,
		    got + 160 + 16 * i, 16);
	for (unsigned c = 2; c < 8; c++)
		for (unsigned i = 0; pieces[c] != 0 &&
		     i < lay->size[c] / pieces[c]; i++)
			check_bytes(rep, names[c], i,
			    want + lay->off[c] + pieces[c] * i,
			    got + lay->off[c] + pieces[c] * i, pieces[c]);
}

static void
compare_memory(struct report *rep, const struct diff_test *t,
    const uint8_t *want, const uint8_t *got)
{
	for (unsigned i = 0; i < DIFF_MEM; i += 8) {
		uint8_t w[8];

		if (memcmp(want + i, got + i, 8) == 0)
			continue;
		memcpy(w, want + i, 8);
		for (unsigned k = 0; k < 8; k++)
			if (i + k - t->skip_off < t->skip_len)
				w[k] = got[i + k];
		check_bytes(rep, "mem at ", i, w, got + i, 8);
	}
}

unsigned
diff_compare(const struct diff_layout *lay, const struct diff_test *t,
    const struct diff_result *want, const struct diff_result *got, void *out)
{
	static const char *const regs[16] = { "rax", "rcx", "rdx", "rbx",
		"rsp", "rbp", "rsi", "rdi", "r8 ", "r9 ", "r10 ", "r11 ",
		"r12 ", "r13 ", "r14 ", "r15 " };
	struct report rep = { out, 0 };
	uint64_t flags = 0xcd5 & ~t->undef;
	uint64_t mask = t->mode == 64 ? ~0ull : 0xffffffff;

	if (got->died) {
		if (out != NULL)
			fprintf(out, "  %s\n", got->why);
		return (1);
	}
	if (want->vector != got->vector) {
		differ(&rep, "vector", 0, want->vector, got->vector);
	} else if (want->vector != DIFF_NO_VECTOR) {
		/* The child is a user, the guest a kernel: U differs. */
		check(&rep, "error", 0, want->error & ~4u, got->error & ~4u);
		if (want->vector == 14)
			check(&rep, "cr2", 0, want->cr2, got->cr2);
	}
	check(&rep, "rip", 0, want->st.rip, got->st.rip);
	/* Outside 64-bit mode the rest is undefined (SDM volume 1, 3.4.1.1). */
	for (unsigned i = 0; i < (t->mode == 64 ? 16u : 8u); i++)
		check(&rep, regs[i], 0, want->st.gpr[i] & mask,
		    got->st.gpr[i] & mask);
	check(&rep, "rflags", 0, want->st.rflags & flags,
	    got->st.rflags & flags);
	compare_fpu(&rep, lay, want->st.xsave, got->st.xsave);
	compare_memory(&rep, t, want->mem, got->mem);
	return (rep.n);
}

/* An escape opcode behind at most four prefixes. */
static bool
is_x87(const struct diff_test *t)
{
	for (unsigned i = 0; i < 5; i++)
		if ((t->code[i] & 0xf8) == 0xd8)
			return (true);
	return (false);
}

/* Is a within n bytes of b? */
static bool
within(uint64_t a, uint64_t b, uint64_t n)
{
	return (a - b + n <= 2 * n);
}

/*
 * Four differences that manuals leave open and that no guest can build upon:
 * which of several exceptions of one instruction comes first (SDM volume 3,
 * table 6-2, orders classes, not checks within an access), what has happened
 * to the x87 stack when an MMX instruction faults, whether a conversion whose
 * store faults (VCVTPS2PH) has set the sticky flags of MXCSR, and whether an
 * x87 store that an unmasked exception suppresses still faults.
 */
bool
diff_tolerable(const struct diff_layout *lay, const struct diff_test *t,
    const struct diff_result *want, const struct diff_result *got)
{
	struct diff_result w = *want;

	if (!want->died && !got->died && want->vector == DIFF_NO_VECTOR &&
	    (got->vector == 14 || got->vector == 12 || got->vector == 13) &&
	    (want->st.xsave[2] & 0x80) != 0 && is_x87(t))
		return (true);
	/* Zen 3 looks at the last byte of FXSAVE's and XSAVE's operands first,
	 * whose 16-bit address it wraps at 64 KiB: that may fault alone. */
	if (!want->died && !got->died && t->mode == 16 &&
	    t->max_access >= 512 && want->vector == 14 &&
	    got->vector == DIFF_NO_VECTOR)
		return (true);
	if (want->died || got->died || want->vector == DIFF_NO_VECTOR ||
	    got->vector == DIFF_NO_VECTOR)
		return (false);
	/* A segment's limit does come before the page, unless the processor
	 * takes the access apart: at a page's end, or because it is wide. */
	if (t->mode == 16 && want->vector != got->vector &&
	    (want->vector == 14 || got->vector == 14)) {
		uint64_t cr2 = want->vector == 14 ? want->cr2 : got->cr2;

		if ((cr2 & 0xfff) + t->max_access < 0x1000 &&
		    t->max_access <= 8)
			return (false);
	}
	w.vector = got->vector;
	w.error = got->error;
	/* The address within the access that did not come through. */
	if (want->vector != got->vector ||
	    within(want->cr2, got->cr2, t->max_access) ||
	    (t->mode == 16 && t->max_access >= 512 &&
		within(want->cr2 + 0x10000, got->cr2, t->max_access)))
		w.cr2 = got->cr2;
	/* Of two pages that both fault, either may be reported. */
	if (diff_compare(lay, t, &w, got, NULL) == 0)
		return (want->vector != got->vector ||
		    want->error == got->error || want->cr2 >> 12 !=
			got->cr2 >> 12 ||
		    ((want->error ^ got->error) & ~4u) == 0);
	if (got->vector == 14) {
		memcpy(w.st.xsave + 24, got->st.xsave + 24, 4);
		if (((want->st.xsave[24] ^ got->st.xsave[24]) & ~0x3f) == 0 &&
		    (want->vector == 14 || want->vector == 19) &&
		    diff_compare(lay, t, &w, got, NULL) == 0)
			return (true);
	}
	/* An 80-bit store may have stored what lies before the fault. */
	if (want->vector == 14 && got->vector == 14 && is_x87(t)) {
		memcpy(w.mem, got->mem, sizeof(w.mem));
		if (diff_compare(lay, t, &w, got, NULL) == 0)
			return (true);
	}
	/* TOP as an MMX instruction sets it. */
	if ((want->st.xsave[3] & 0x38) == 0) {
		memcpy(w.st.xsave, got->st.xsave, 160);
		return (diff_compare(lay, t, &w, got, NULL) == 0);
	}
	return (false);
}
