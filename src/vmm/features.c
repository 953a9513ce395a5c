/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of features, and the models: the levels of the x86-64 psABI ("Low
 * Level System Information", micro-architecture levels) over what every
 * operating system of 64 bits needs. A model has nothing else, so that it is
 * the same processor on every engine and every host that has it.
 */
#include "vmm/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/vmm.h"

struct feature {
	uint8_t word, bit;
	const char *name;
};

#define W(word, bit, name) { CPUID_##word, bit, name }
static const struct feature features[] = {
	W(1_ECX, 0, "pni"), W(1_ECX, 1, "pclmulqdq"), W(1_ECX, 9, "ssse3"),
	W(1_ECX, 12, "fma"), W(1_ECX, 13, "cx16"), W(1_ECX, 17, "pcid"),
	W(1_ECX, 19, "sse4_1"), W(1_ECX, 20, "sse4_2"),
	W(1_ECX, 21, "x2apic"), W(1_ECX, 22, "movbe"), W(1_ECX, 23, "popcnt"),
	W(1_ECX, 24, "tsc_deadline_timer"), W(1_ECX, 25, "aes"),
	W(1_ECX, 26, "xsave"), W(1_ECX, 28, "avx"), W(1_ECX, 29, "f16c"),
	W(1_ECX, 30, "rdrand"), W(1_ECX, 31, "hypervisor"),
	W(1_EDX, 0, "fpu"), W(1_EDX, 1, "vme"), W(1_EDX, 2, "de"),
	W(1_EDX, 3, "pse"), W(1_EDX, 4, "tsc"), W(1_EDX, 5, "msr"),
	W(1_EDX, 6, "pae"), W(1_EDX, 7, "mce"), W(1_EDX, 8, "cx8"),
	W(1_EDX, 11, "sep"), W(1_EDX, 12, "mtrr"), W(1_EDX, 13, "pge"),
	W(1_EDX, 14, "mca"), W(1_EDX, 15, "cmov"), W(1_EDX, 16, "pat"),
	W(1_EDX, 17, "pse36"), W(1_EDX, 19, "clflush"), W(1_EDX, 23, "mmx"),
	W(1_EDX, 24, "fxsr"), W(1_EDX, 25, "sse"), W(1_EDX, 26, "sse2"),
	W(1_EDX, 27, "ss"),
	W(7_EBX, 0, "fsgsbase"), W(7_EBX, 1, "tsc_adjust"),
	W(7_EBX, 3, "bmi1"), W(7_EBX, 5, "avx2"),
	W(7_EBX, 6, "fdp_excptn_only"), W(7_EBX, 7, "smep"),
	W(7_EBX, 8, "bmi2"), W(7_EBX, 9, "erms"), W(7_EBX, 10, "invpcid"),
	W(7_EBX, 13, "zero_fcs_fds"), W(7_EBX, 16, "avx512f"),
	W(7_EBX, 17, "avx512dq"), W(7_EBX, 18, "rdseed"), W(7_EBX, 19, "adx"),
	W(7_EBX, 20, "smap"), W(7_EBX, 21, "avx512ifma"),
	W(7_EBX, 23, "clflushopt"), W(7_EBX, 24, "clwb"),
	W(7_EBX, 26, "avx512pf"), W(7_EBX, 27, "avx512er"),
	W(7_EBX, 28, "avx512cd"), W(7_EBX, 29, "sha_ni"),
	W(7_EBX, 30, "avx512bw"), W(7_EBX, 31, "avx512vl"),
	W(7_ECX, 0, "prefetchwt1"), W(7_ECX, 1, "avx512vbmi"),
	W(7_ECX, 2, "umip"), W(7_ECX, 6, "avx512_vbmi2"),
	W(7_ECX, 8, "gfni"), W(7_ECX, 9, "vaes"), W(7_ECX, 10, "vpclmulqdq"),
	W(7_ECX, 11, "avx512_vnni"), W(7_ECX, 12, "avx512_bitalg"),
	W(7_ECX, 14, "avx512_vpopcntdq"), W(7_ECX, 16, "la57"),
	W(7_ECX, 22, "rdpid"),
	W(7_EDX, 2, "avx512_4vnniw"), W(7_EDX, 3, "avx512_4fmaps"),
	W(7_EDX, 4, "fsrm"), W(7_EDX, 8, "avx512_vp2intersect"),
	W(7_EDX, 23, "avx512_fp16"), W(7_EDX, 26, "spec_ctrl"),
	W(7_EDX, 27, "intel_stibp"), W(7_EDX, 28, "flush_l1d"),
	W(7_EDX, 29, "arch_capabilities"), W(7_EDX, 31, "spec_ctrl_ssbd"),
	W(71_EAX, 4, "avx_vnni"), W(71_EAX, 5, "avx512_bf16"),
	W(71_EAX, 10, "fzrm"), W(71_EAX, 11, "fsrs"), W(71_EAX, 12, "fsrc"),
	W(72_EDX, 4, "bhi_ctrl"), W(72_EDX, 5, "mcdt_no"),
	W(D1_EAX, 0, "xsaveopt"), W(D1_EAX, 1, "xsavec"),
	W(D1_EAX, 2, "xgetbv1"), W(D1_EAX, 3, "xsaves"),
	W(X1_ECX, 0, "lahf_lm"), W(X1_ECX, 5, "abm"), W(X1_ECX, 6, "sse4a"),
	W(X1_ECX, 8, "3dnowprefetch"), W(X1_ECX, 16, "fma4"),
	W(X1_EDX, 11, "syscall"), W(X1_EDX, 20, "nx"),
	W(X1_EDX, 22, "mmxext"), W(X1_EDX, 26, "pdpe1gb"),
	W(X1_EDX, 27, "rdtscp"), W(X1_EDX, 29, "lm"),
	W(X8_EBX, 0, "clzero"), W(X8_EBX, 2, "xsaveerptr"),
	W(X8_EBX, 12, "amd_ibpb"), W(X8_EBX, 14, "amd_ibrs"),
	W(X8_EBX, 15, "amd_stibp"), W(X8_EBX, 24, "amd_ssbd"),
	W(X8_EBX, 26, "amd_ssb_no"), W(X8_EBX, 29, "btc_no"),
	W(X21_EAX, 2, "lfence_rdtsc"), W(X21_EAX, 6, "null_sel_clr_base"),
	W(X21_EAX, 29, "srso_no"), W(X21_ECX, 1, "tsa_sq_no"),
	W(X21_ECX, 2, "tsa_l1_no"),
};
#undef W
#define NFEATURES (sizeof(features) / sizeof(features[0]))
_Static_assert(NFEATURES < 256, "cpuid_choice has a byte for each");

/* Each with the names of the one below. */
static const char *const levels[] = {
	"fpu vme de pse tsc msr pae mce cx8 sep mtrr pge mca cmov pat pse36 "
	"clflush mmx fxsr sse sse2 x2apic tsc_deadline_timer hypervisor "
	"syscall nx lm",
	"pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm",
	"xsave avx avx2 f16c fma movbe bmi1 bmi2 abm",
	"avx512f avx512dq avx512cd avx512bw avx512vl",
};

/* What cannot be without the first; a line comes after those that it hangs
 * from. */
static const struct {
	const char *name, *needed_by;
} needs[] = {
	{ "xsave", "avx xsaveopt xsavec xgetbv1 xsaves" },
	{ "avx", "avx2 fma f16c fma4 vaes vpclmulqdq avx_vnni" },
	{ "avx2", "avx512f" },
	{ "avx512f",
	    "avx512dq avx512ifma avx512pf avx512er avx512cd avx512bw "
	    "avx512vl avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg "
	    "avx512_vpopcntdq avx512_4vnniw avx512_4fmaps "
	    "avx512_vp2intersect avx512_fp16 avx512_bf16" },
};

static int
find(const char *name, size_t len)
{
	for (size_t i = 0; i < NFEATURES; i++)
		if (strncmp(features[i].name, name, len) == 0 &&
		    features[i].name[len] == '\0')
			return ((int)i);
	return (-1);
}

static bool
test(const struct cpuid_features *f, unsigned i)
{
	return ((f->word[features[i].word] >> features[i].bit & 1) != 0);
}

static void
put(struct cpuid_features *f, unsigned i, bool on)
{
	uint32_t bit = UINT32_C(1) << features[i].bit;

	if (on)
		f->word[features[i].word] |= bit;
	else
		f->word[features[i].word] &= ~bit;
}

/* The next of a list of names: its index; -1: no more. */
static int
next(const char **list)
{
	size_t len;
	int i;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	if (len == 0)
		return (-1);
	i = find(*list, len);
	*list += len;
	return (i);
}

const char *
cpuid_feature_name(unsigned i)
{
	return (i < NFEATURES ? features[i].name : NULL);
}

bool
cpuid_has(const struct cpuid_features *f, const char *name)
{
	int i = find(name, strlen(name));

	return (i >= 0 && test(f, (unsigned)i));
}

void
cpuid_features_close(struct cpuid_features *f)
{
	const char *list;
	int i;

	for (size_t n = 0; n < sizeof(needs) / sizeof(needs[0]); n++) {
		if (cpuid_has(f, needs[n].name))
			continue;
		list = needs[n].needed_by;
		while ((i = next(&list)) >= 0)
			put(f, (unsigned)i, false);
	}
}

/* A feature, and what it needs. */
static void
switch_on(struct cpuid_features *f, unsigned feature)
{
	const char *list;
	int i, parent;

	put(f, feature, true);
	for (size_t n = sizeof(needs) / sizeof(needs[0]); n-- > 0;) {
		list = needs[n].needed_by;
		while ((i = next(&list)) >= 0) {
			if (!test(f, (unsigned)i))
				continue;
			parent = find(needs[n].name, strlen(needs[n].name));
			put(f, (unsigned)parent, true);
		}
	}
}

int
cpuid_choose(struct cpuid_features *out, const struct cpuid_features *have,
    const struct cpuid_choice *c, struct vm_error *err)
{
	struct cpuid_features want = { { 0 } };
	const char *list;
	size_t len = 0;
	int i, error = 0;

	if (c == NULL || c->level == 0)
		want = *have;
	for (unsigned l = 0; c != NULL && c->level != 0 && l < c->level; l++) {
		list = levels[l];
		while ((i = next(&list)) >= 0)
			put(&want, (unsigned)i, true);
	}
	for (unsigned n = 0; c != NULL && n < c->nchanges; n++) {
		if (c->change[n].on) {
			switch_on(&want, c->change[n].feature);
			continue;
		}
		put(&want, c->change[n].feature, false);
		cpuid_features_close(&want);
	}
	*out = want;
	for (unsigned f = 0; f < NFEATURES; f++) {
		if (!test(&want, f) || test(have, f))
			continue;
		if (err != NULL && len < sizeof(err->msg))
			len += (size_t)snprintf(err->msg + len,
			    sizeof(err->msg) - len, "%s%s",
			    len == 0 ? "this processor has no " : " ",
			    features[f].name);
		put(out, f, false);
		error = -ENOTSUP;
	}
	return (error);
}

static int
wrong(struct vm_error *err, const char *what, size_t len, const char *why)
{
	(void)snprintf(err->msg, sizeof(err->msg), "%.*s: %s",
	    (int)(len < 40 ? len : 40), what, why);
	return (-EINVAL);
}

int
cpuid_choice_parse(struct cpuid_choice *c, const char *model,
    const char *list, struct vm_error *err)
{
	size_t len;
	int i;

	memset(c, 0, sizeof(*c));
	if (model != NULL && strcmp(model, "host") != 0) {
		if (strncmp(model, "x86-64-v", 8) != 0 || model[8] < '2' ||
		    model[8] > '4' || model[9] != '\0')
			return (wrong(err, model, strlen(model),
			    "no such model; use host or x86-64-v2 to v4"));
		c->level = (unsigned)(model[8] - '0');
	}
	for (; list != NULL && *list != '\0'; list += len) {
		list += *list == ',';
		len = strcspn(list, ",");
		if (len < 2 || (*list != '+' && *list != '-'))
			return (wrong(err, list, len, "not +NAME or -NAME"));
		i = find(list + 1, len - 1);
		if (i < 0)
			return (wrong(err, list + 1, len - 1,
			    "no such feature; names are those of "
			    "/proc/cpuinfo"));
		if (c->nchanges == CPUID_CHANGES_MAX)
			return (wrong(err, list, len, "too many features"));
		c->change[c->nchanges].feature = (uint8_t)i;
		c->change[c->nchanges++].on = *list == '+';
	}
	return (0);
}
