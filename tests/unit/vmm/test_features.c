/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of features, models, and that both engines make the same of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"
#include "vmm/features.h"
#include "vmm/vmm.h"

enum { EAX, EBX, ECX, EDX };

/* ---- processors ---- */

struct fake {
	const char *vendor;
	uint32_t features;
	bool limit;
	uint32_t max_basic; /* 0: 0x20 */
};

static void
leaf(void *arg, uint32_t n, uint32_t sub, uint32_t r[4])
{
	const struct fake *f = arg;

	memset(r, 0, 16);
	switch (n) {
	case 0:
	case 0x80000000:
		r[EAX] = n != 0 ? 0x80000021 :
		    f->max_basic != 0 ? f->max_basic : 0x20;
		memcpy(&r[EBX], f->vendor, 4);
		memcpy(&r[EDX], f->vendor + 4, 4);
		memcpy(&r[ECX], f->vendor + 8, 4);
		break;
	case 0xd:
		r[EAX] = sub == 0 ? 0xe7 : sub == 1 ? f->features : 64;
		if (sub >= 2)
			r[EBX] = 512 + 64 * sub;
		break;
	case 0x80000008:
		r[EAX] = 48 << 8 | 48;
		r[EBX] = f->features;
		break;
	default:
		for (unsigned i = 0; i < 4; i++)
			r[i] = f->features;
		if (n == 1)
			r[ECX] |= 3u << 26; /* XSAVE, OSXSAVE */
		break;
	}
}

static int
choose(struct cpuid_policy *p, struct fake *f, const char *model,
    const char *list, struct vm_error *err)
{
	const struct cpuid_topology t = { 1, 2, 1 };
	struct cpuid_source src = {
		.leaf = leaf, .arg = f, .xcr0 = 0xe7, .limit = f->limit };
	struct cpuid_choice c;
	int error;

	memset(err, 0, sizeof(*err));
	error = cpuid_choice_parse(&c, model, list, err);
	if (error != 0)
		return (error);
	return (cpuid_policy_choose(p, &t, &src, &c, err));
}

static uint32_t
reg(const struct cpuid_policy *p, uint32_t eax, uint32_t ecx, unsigned r)
{
	const struct cpuid_dynamic dyn = { .xcr0 = 1 };
	uint32_t out[4];

	cpuid_query(p, &dyn, eax, ecx, out);
	return (out[r]);
}

/* ---- tests ---- */

static void
test_parse(void **state)
{
	static const struct {
		const char *model, *list, *error;
	} bad[] = {
		{ "x86-64-v1", NULL, "no such model" },
		{ "x86-64-v5", NULL, "no such model" },
		{ "x86-64-v22", NULL, "no such model" },
		{ "", NULL, "no such model" },
		{ "host", "avx", "not +NAME" },
		{ "host", "+", "not +NAME" },
		{ "host", "+avx,,-sse", "not +NAME" },
		{ "host", "+avx9", "no such feature" },
		{ "host", "+av", "no such feature" },
		{ "host", "-avx2 ", "no such feature" },
	};
	struct cpuid_choice c;
	struct vm_error err;
	char list[1024] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(cpuid_choice_parse(&c, bad[i].model,
				     bad[i].list, &err), -EINVAL);
		assert_non_null(strstr(err.msg, bad[i].error));
	}
	assert_int_equal(cpuid_choice_parse(&c, NULL, NULL, &err), 0);
	assert_int_equal(c.level, 0);
	assert_int_equal(
	    cpuid_choice_parse(&c, "x86-64-v3", "+smep,-avx2", &err), 0);
	assert_int_equal(c.level, 3);
	assert_int_equal(c.nchanges, 2);
	for (unsigned i = 0; i < CPUID_CHANGES_MAX; i++)
		strcat(list, ",+avx");
	assert_int_equal(cpuid_choice_parse(&c, "host", list, &err), 0);
	strcat(list, ",+avx");
	assert_int_equal(cpuid_choice_parse(&c, "host", list, &err), -EINVAL);
}

/* Each name once, each bit once. */
static void
test_names(void **state)
{
	struct cpuid_features f = { { 0 } };
	const char *a, *b;
	unsigned n, bits = 0;

	(void)state;
	for (n = 0; (a = cpuid_feature_name(n)) != NULL; n++)
		for (unsigned k = 0; k < n; k++) {
			b = cpuid_feature_name(k);
			assert_string_not_equal(a, b);
		}
	for (unsigned w = 0; w < CPUID_WORDS; w++)
		for (unsigned bit = 0; bit < 32; bit++) {
			unsigned hits = 0;

			memset(&f, 0, sizeof(f));
			f.word[w] = 1u << bit;
			for (unsigned k = 0; k < n; k++)
				hits += cpuid_has(&f, cpuid_feature_name(k));
			assert_true(hits <= 1);
			bits += hits;
		}
	assert_int_equal(bits, n);
}

/* All that an engine offers has a name: it can be taken away. */
static void
test_all_named(void **state)
{
	struct fake f = { "AuthenticAMD", 0xffffffff, false, 0 };
	struct fake g = { "GenuineIntel", 0xffffffff, false, 0 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
		    choose(&p, i == 0 ? &f : &g, "host", NULL, &err), 0);
		for (unsigned n = 0; cpuid_feature_name(n) != NULL; n++)
			for (unsigned w = 0; w < CPUID_WORDS; w++) {
				struct cpuid_features one = { { 0 } };

				for (unsigned b = 0; b < 32; b++) {
					one.word[w] = 1u << b;
					if (cpuid_has(&one,
						cpuid_feature_name(n)))
						p.features.word[w] &=
						    ~(1u << b);
				}
			}
		for (unsigned w = 0; w < CPUID_WORDS; w++)
			assert_int_equal(p.features.word[w], 0);
	}
}

static void
test_level_needs(void **state)
{
	struct fake small = { "GenuineIntel", 0, false, 0 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	assert_int_equal(
	    choose(&p, &small, "x86-64-v3", NULL, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "this processor has no "));
	assert_non_null(strstr(err.msg, " sse4_2"));
}

static void
test_level_has(void **state)
{
	struct fake f = { "GenuineIntel", 0xffffffff, false, 0 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	assert_int_equal(choose(&p, &f, "x86-64-v2", NULL, &err), 0);
	assert_int_equal(reg(&p, 1, 0, ECX) & 1u << 20, 1u << 20);
	assert_int_equal(reg(&p, 1, 0, ECX) & 1u << 28, 0); /* AVX */
	assert_int_equal(reg(&p, 7, 0, EBX), 0);
	assert_int_equal(reg(&p, 0xd, 0, EAX), 0);
	assert_int_equal(p.xcr0, 0);
	assert_int_equal(p.cr4 & (1u << 18 | 1u << 20 | 1u << 16), 0);
	assert_int_equal(choose(&p, &f, "x86-64-v3", NULL, &err), 0);
	assert_int_equal(reg(&p, 7, 0, EBX), 1u << 3 | 1u << 5 | 1u << 8);
	assert_int_equal(p.xcr0, 7);
	assert_int_equal(reg(&p, 0xd, 1, EAX), 0);
	assert_false(p.xsaves);
	assert_int_equal(choose(&p, &f, "x86-64-v4", NULL, &err), 0);
	assert_int_equal(p.xcr0, 0xe7);
	assert_int_not_equal(reg(&p, 7, 0, EBX) & 1u << 31, 0);
}

static void
test_changes(void **state)
{
	struct fake f = { "GenuineIntel", 0xffffffff, false, 0 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	/* What hangs from it goes too. */
	assert_int_equal(choose(&p, &f, "host", "-avx", &err), 0);
	assert_false(cpuid_has(&p.features, "avx512bw"));
	assert_false(cpuid_has(&p.features, "fma"));
	assert_true(cpuid_has(&p.features, "xsave"));
	assert_int_equal(p.xcr0, 3);
	assert_int_equal(choose(&p, &f, "host", "-xsave", &err), 0);
	assert_int_equal(p.xcr0, 0);
	assert_int_equal(reg(&p, 0xd, 1, EAX), 0);
	/* And what it needs comes. */
	assert_int_equal(choose(&p, &f, "x86-64-v2", "+fma", &err), 0);
	assert_true(cpuid_has(&p.features, "avx"));
	assert_true(cpuid_has(&p.features, "xsave"));
	assert_false(cpuid_has(&p.features, "avx2"));
	/* The last word counts. */
	assert_int_equal(choose(&p, &f, "host", "-smap,+smap", &err), 0);
	assert_true(cpuid_has(&p.features, "smap"));
	assert_int_not_equal(p.cr4 & 1u << 21, 0);
	assert_int_equal(choose(&p, &f, "host", "-smap,-la57", &err), 0);
	assert_int_equal(p.cr4 & (1u << 21 | 1u << 12), 0);
	assert_int_equal(reg(&p, 0x80000008, 0, EAX) >> 8 & 0xff, 48);
}

/* An engine that has not all of it: no bit that it does not offer. */
static void
test_limit(void **state)
{
	struct fake none = { "AuthenticAMD", 0, true, 0 };
	struct fake f = { "AuthenticAMD", 0xffffffff, true, 0 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	assert_int_equal(choose(&p, &none, "host", NULL, &err), 0);
	assert_false(cpuid_has(&p.features, "smep"));
	assert_false(cpuid_has(&p.features, "la57"));
	assert_int_equal(
	    choose(&p, &none, "host", "+smep", &err), -ENOTSUP);
	assert_string_equal(err.msg, "this processor has no smep");
	assert_int_equal(choose(&p, &f, "host", NULL, &err), 0);
	assert_true(cpuid_has(&p.features, "smep"));
}

/* With a model, both engines show the same processor. */
static void
test_same(void **state)
{
	static const char *const vendors[] = { "GenuineIntel",
		"AuthenticAMD" };
	static const char *const models[] = { "x86-64-v2", "x86-64-v3",
		"x86-64-v4" };
	static const char *const lists[] = { NULL, "+smep,+smap,+pcid",
		"+aes,-sse4_2" };
	struct cpuid_policy soft, kvm;
	struct vm_error err;

	(void)state;
	for (unsigned v = 0; v < 2; v++)
		for (unsigned m = 0; m < 3; m++)
			for (unsigned l = 0; l < 3; l++) {
				struct fake f = { vendors[v], 0xffffffff,
					false, 0 };
				struct fake g = { vendors[v], 0xffffffff,
					true, 0 };

				assert_int_equal(choose(&soft, &f, models[m],
						     lists[l], &err), 0);
				assert_int_equal(choose(&kvm, &g, models[m],
						     lists[l], &err), 0);
				assert_memory_equal(&soft, &kvm, sizeof(kvm));
			}
}

/* Leaf 0xd.1 has the size of the compacted form where there is one. */
static void
test_compacted(void **state)
{
	static const struct {
		const char *list;
		bool there;
	} cases[] = { { NULL, true }, { "-xsaves", true }, { "-xsavec", true },
		{ "-xsavec,-xsaves", false } };
	const struct cpuid_dynamic dyn = { .xcr0 = 7 };
	struct fake f = { "AuthenticAMD", UINT32_MAX, false, 0 };
	struct cpuid_policy p;
	struct vm_error err;
	uint32_t r[4];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    choose(&p, &f, "host", cases[i].list, &err), 0);
		cpuid_query(&p, &dyn, 0xd, 1, r);
		assert_int_equal(r[EBX] != 0, cases[i].there);
	}
}

/* A topology leaf that is not there is zero in every subleaf. */
static void
test_no_topology(void **state)
{
	struct fake f = { "AuthenticAMD", 0, false, 0x16 };
	struct cpuid_policy p;
	struct vm_error err;

	(void)state;
	assert_int_equal(choose(&p, &f, "host", NULL, &err), 0);
	assert_int_equal(p.max_basic, 0x16);
	for (uint32_t sub = 0; sub < 4; sub++) {
		for (unsigned w = 0; w < 4; w++)
			assert_int_equal(reg(&p, 0x1f, sub, w), 0);
		assert_int_equal(reg(&p, 0xb, sub, ECX) & 0xff, sub);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_all_named),
		cmocka_unit_test(test_level_needs),
		cmocka_unit_test(test_level_has),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_compacted),
		cmocka_unit_test(test_no_topology),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
