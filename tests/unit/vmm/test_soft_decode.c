/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soft engine's decoding with a memory: for whatever bytes, and whatever
 * it has seen before, it says what Zydis says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/soft/tr.h"

static uint64_t rng = 1;

static uint64_t
rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng);
}

static void
set_mode(struct tr *t, unsigned mode)
{
	static const struct {
		uint32_t flags;
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
		{ BF_CODE64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
		{ BF_CODE32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
		    ZYDIS_STACK_WIDTH_32 },
		{ BF_REAL, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16 },
		{ 0, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16 },
	};

	t->flags = modes[mode].flags;
	t->code64 = mode == 0;
	ZydisDecoderInit(&t->dec, modes[mode].mode, modes[mode].width);
	ZydisDecoderEnableMode(&t->dec, ZYDIS_DECODER_MODE_AMD_BRANCHES, true);
}

/* Bytes that are often an instruction: some prefixes, a common opcode. */
static void
make(uint8_t *b)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e,
		0x36, 0x64, 0x65, 0x48, 0x41, 0x4c, 0x4f, 0x44 };
	unsigned n = 0, want = (unsigned)rnd() % 8;
	uint64_t r = rnd();

	for (unsigned i = 0; i < 15; i += 8) {
		uint64_t v = rnd();

		memcpy(b + i, &v, i == 8 ? 7 : 8);
	}
	for (; want > 5; want--)
		b[n++] = prefixes[rnd() % sizeof(prefixes)];
	switch (r % 6) {
	case 0:
		b[n++] = 0x0f;
		break;
	case 1:
		b[n++] = 0x0f;
		b[n++] = r & 0x100 ? 0x38 : 0x3a;
		break;
	case 2:
		b[n++] = r & 0x100 ? 0xc5 : 0xc4;
		break;
	default:
		break;
	}
}

static void
same(const struct tr *t, const ZydisDecodedInstruction *in,
    const ZydisDecodedOperand *op)
{
	assert_memory_equal(&t->in, in, sizeof(*in));
	assert_memory_equal(t->op, op, in->operand_count * sizeof(*op));
	if (in->operand_count < ZYDIS_MAX_OPERAND_COUNT)
		assert_int_equal(t->op[in->operand_count].type,
		    ZYDIS_OPERAND_TYPE_UNUSED);
}

/* One instruction, and then its form with other values behind it. */
static void
compare(struct tr *t)
{
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	make(t->bytes);
	for (unsigned round = 0; round < 3; round++) {
		unsigned n = rnd() % 8 ? 15 : 1 + (unsigned)rnd() % 15, len;
		ZyanStatus want, got;

		memset(&in, 0, sizeof(in));
		memset(&t->in, 0, sizeof(t->in));
		want = ZydisDecoderDecodeFull(&t->dec, t->bytes, n, &in, op);
		got = tr_decode(t, n);
		assert_int_equal(got, want);
		if (!ZYAN_SUCCESS(want))
			return;
		same(t, &in, op);
		len = in.length;
		for (unsigned i = 0; i < 2; i++)
			if (in.raw.imm[i].size != 0 &&
			    in.raw.imm[i].offset < len)
				len = in.raw.imm[i].offset;
		if (in.raw.disp.size != 0 && in.raw.disp.offset < len)
			len = in.raw.disp.offset;
		while (len < 15)
			t->bytes[len++] = (uint8_t)rnd();
	}
}

static void
like_zydis(void **state)
{
	struct tr *t = calloc(1, sizeof(*t));
	struct soft_vm *vm = calloc(1, sizeof(*vm));

	(void)state;
	assert_non_null(t);
	assert_non_null(vm);
	t->vm = vm;
	vm->forms = calloc(1, tr_forms_size());
	assert_non_null(vm->forms);
	for (unsigned n = 0; n < 400000; n++) {
		set_mode(t, n & 3);
		compare(t);
	}
	free(vm->forms);
	free(vm);
	free(t);
}

/* It does remember: with Zydis' tables out of reach, a form is known. */
static void
remembers(void **state)
{
	static const uint8_t first[15] = { 0x48, 0x81, 0xc3, 1, 2, 3, 4 };
	static const uint8_t second[15] = { 0x48, 0x81, 0xc3, 0xff, 0xff, 0xff,
		0xff };
	struct tr *t = calloc(1, sizeof(*t));
	struct soft_vm *vm = calloc(1, sizeof(*vm));

	(void)state;
	assert_non_null(t);
	assert_non_null(vm);
	t->vm = vm;
	vm->forms = calloc(1, tr_forms_size());
	assert_non_null(vm->forms);
	set_mode(t, 0);
	memcpy(t->bytes, first, 15);
	assert_true(ZYAN_SUCCESS(tr_decode(t, 15)));
	assert_int_equal(t->op[1].imm.value.u, 0x04030201);
	memset(&t->dec, 0xff, sizeof(t->dec)); /* no machine mode at all */
	memcpy(t->bytes, second, 15);
	assert_true(ZYAN_SUCCESS(tr_decode(t, 15)));
	assert_int_equal(t->op[1].imm.value.s, -1);
	assert_int_equal(t->in.length, 7);
	/* Not enough bytes: not from memory. */
	assert_false(ZYAN_SUCCESS(tr_decode(t, 6)));
	free(vm->forms);
	free(vm);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_zydis),
		cmocka_unit_test(remembers),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
