/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"

#define BATCH 64

struct options {
	uint64_t seed, count, only;
	unsigned seconds, engine, max_print, mode;
	bool chain, self, has_only, list, stop, strict;
	const char *name;
};

struct session {
	struct options opt;
	struct forms fs;
	struct diff_layout lay;
	struct native *native;
	struct guest *guest;
	struct diff_test *tests;
	struct diff_result *want, *got;
	uint32_t *order; /* forms, as --name selects them */
	uint32_t norder;
	uint32_t *failed; /* per form */
	uint64_t nrun, nfailed, nexceptions, ntolerated;
};

static void
usage(void)
{
	fprintf(stderr,
	    "usage: diff [--seed N] [--count N] [--seconds N] [--chain]\n"
	    "            [--only N] [--name MNEMONIC] [--forms] [--self]\n"
	    "            [--max-print N] [--stop] [--mode 64|32|16]\n"
	    "            [--strict] [--no-link] [--no-tlb] [--one-insn]\n"
	    "            [--mirror]\n"
	    "  --only N: test number N of the seed alone\n"
	    "  --mode 32: code in compatibility mode; 16: with segments\n"
	    "  --self: the processor against itself, no engine\n"
	    "  --strict: also what diff_tolerable() lets pass, and flags\n"
	    "            that are undefined\n");
	exit(2);
}

static int
parse(struct options *o, int argc, char **argv)
{
	static const struct {
		const char *name;
		int id;
		bool arg;
	} opts[] = { { "--seed", 's', true }, { "--count", 'c', true },
		{ "--seconds", 't', true }, { "--chain", 'C', false },
		{ "--only", 'o', true }, { "--name", 'n', true },
		{ "--forms", 'f', false }, { "--self", 'S', false },
		{ "--max-print", 'm', true }, { "--stop", 'x', false },
		{ "--no-link", 1, false }, { "--no-tlb", 2, false },
		{ "--one-insn", 4, false }, { "--mirror", 8, false },
		{ "--strict", 'T', false }, { "--mode", 'M', true } };
	const char *arg;
	unsigned k;

	for (int i = 1; i < argc; i++) {
		for (k = 0; k < sizeof(opts) / sizeof(opts[0]); k++)
			if (strcmp(argv[i], opts[k].name) == 0)
				break;
		if (k == sizeof(opts) / sizeof(opts[0]) ||
		    (opts[k].arg && i + 1 == argc))
			return (-EINVAL);
		arg = opts[k].arg ? argv[++i] : NULL;
		switch (opts[k].id) {
		case 's':
			o->seed = strtoull(arg, NULL, 0);
			break;
		case 'c':
			o->count = strtoull(arg, NULL, 0);
			break;
		case 't':
			o->seconds = (unsigned)strtoul(arg, NULL, 0);
			break;
		case 'o':
			o->only = strtoull(arg, NULL, 0);
			o->has_only = true;
			break;
		case 'm':
			o->max_print = (unsigned)strtoul(arg, NULL, 0);
			break;
		case 'n':
			o->name = arg;
			break;
		case 'C':
			o->chain = true;
			break;
		case 'S':
			o->self = true;
			break;
		case 'f':
			o->list = true;
			break;
		case 'T':
			o->strict = true;
			break;
		case 'x':
			o->stop = true;
			break;
		case 'M':
			o->mode = (unsigned)strtoul(arg, NULL, 0);
			if (o->mode != 64 && o->mode != 32 && o->mode != 16)
				return (-EINVAL);
			break;
		default:
			o->engine |= (unsigned)opts[k].id;
			break;
		}
	}
	return (0);
}

static void *
shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

static int
session_init(struct session *s)
{
	int error;

	if (s->opt.chain && s->opt.mode == 16)
		return (-EOPNOTSUPP);
	error = forms_init(&s->fs, s->opt.mode);
	if (error != 0)
		return (error);
	diff_layout_init(&s->lay);
	s->tests = shared(BATCH * sizeof(*s->tests));
	s->want = shared(BATCH * sizeof(*s->want));
	s->got = shared(BATCH * sizeof(*s->got));
	s->order = calloc(s->fs.n, sizeof(*s->order));
	s->failed = calloc(s->fs.n, sizeof(*s->failed));
	if (s->tests == NULL || s->want == NULL || s->got == NULL ||
	    s->order == NULL || s->failed == NULL)
		return (-ENOMEM);
	for (uint32_t i = 0; i < s->fs.n; i++)
		if (s->opt.name == NULL ||
		    strcmp(ZydisMnemonicGetString(
			       (ZydisMnemonic)s->fs.f[i].mnemonic),
			s->opt.name) == 0)
			s->order[s->norder++] = i;
	if (s->norder == 0)
		return (-ENOENT);
	error = native_create(
	    &s->native, &s->lay, s->tests, s->want, BATCH);
	if (error == 0 && !s->opt.self && !s->opt.list)
		error = guest_create(&s->guest, &s->lay, s->opt.engine);
	return (error);
}

static void
session_fini(struct session *s)
{
	if (s->native != NULL)
		native_destroy(s->native);
	if (s->guest != NULL)
		guest_destroy(s->guest);
	forms_fini(&s->fs);
	free(s->order);
	free(s->failed);
}

static void
make_test(struct session *s, unsigned slot, uint64_t n)
{
	struct rng r = { s->opt.seed * 0x9e3779b97f4a7c15ull + n };
	uint64_t seed = rng_next(&r);

	if (s->opt.chain)
		gen_chain(&s->fs, &s->lay, &s->tests[slot], seed);
	else
		gen_single(&s->fs, &s->lay, &s->tests[slot],
		    s->order[n % s->norder], seed);
}

static void
print_code(const struct diff_test *t, uint32_t len)
{
	ZydisDisassembledInstruction d;
	uint32_t off = 0;

	while (off < len &&
	    ZYAN_SUCCESS(ZydisDisassembleIntel(forms_machine(t->mode),
		t->st.rip + off, t->code + off, len - off, &d))) {
		printf("    %06llx ",
		    (unsigned long long)(t->st.rip + off) & 0xffffff);
		for (unsigned i = 0; i < d.info.length; i++)
			printf("%02x", t->code[off + i]);
		printf("  %s\n", d.text);
		off += d.info.length;
	}
}

/* Finds the first instruction of a chain at which the worlds part: runs it
 * cut off behind each one. */
static void
narrow(struct session *s, const struct diff_test *whole)
{
	struct diff_test *t = &s->tests[0];
	ZydisDisassembledInstruction d;
	uint32_t off = 0;

	*t = *whole;
	while (off < whole->code_len &&
	    ZYAN_SUCCESS(ZydisDisassembleIntel(forms_machine(t->mode), 0,
		whole->code + off, whole->code_len - off, &d))) {
		off += d.info.length;
		/* Behind a jump comes its target first. */
		if (d.info.meta.category == ZYDIS_CATEGORY_COND_BR)
			continue;
		memcpy(t->code, whole->code, off);
		t->code_len = off;
		gen_stop(t);
		t->undef = gen_undefined(&d.info);
		if (native_run(s->native, 1) != 0)
			return;
		(void)guest_run(s->guest, t, &s->got[0]);
		if (diff_compare(
			&s->lay, t, &s->want[0], &s->got[0], NULL) == 0)
			continue;
		printf("  first seen behind: %s (code cut to %u bytes)\n",
		    d.text, off);
		diff_compare(&s->lay, t, &s->want[0], &s->got[0], stdout);
		return;
	}
	printf("  not seen in any shorter piece\n");
}

static void
report(struct session *s, unsigned slot, uint64_t n)
{
	struct diff_test *t = &s->tests[slot];

	s->nfailed++;
	if (!s->opt.chain)
		s->failed[t->form]++;
	if (s->nfailed > s->opt.max_print)
		return;
	printf("MISMATCH test %llu, at %#llx:\n", (unsigned long long)n,
	    (unsigned long long)t->st.rip);
	print_code(t, t->code_len);
	if (s->want[slot].vector != DIFF_NO_VECTOR)
		printf("  exception %u, error %#x, cr2 %#llx, rip %#llx\n",
		    s->want[slot].vector, s->want[slot].error,
		    (unsigned long long)s->want[slot].cr2,
		    (unsigned long long)s->want[slot].st.rip);
	diff_compare(&s->lay, t, &s->want[slot], &s->got[slot], stdout);
	printf("  again: diff%s%s%s%s --seed %#llx --only %llu",
	    s->opt.mode == 64     ? "" :
		s->opt.mode == 32 ? " --mode 32" :
				    " --mode 16",
	    s->opt.chain ? " --chain" : "", s->opt.name ? " --name " : "",
	    s->opt.name ? s->opt.name : "", (unsigned long long)s->opt.seed,
	    (unsigned long long)n);
	printf("%s%s%s%s\n", s->opt.engine & 1 ? " --no-link" : "",
	    s->opt.engine & 2 ? " --no-tlb" : "",
	    s->opt.engine & 4 ? " --one-insn" : "",
	    s->opt.engine & 8 ? " --mirror" : "");
	if (s->opt.has_only) {
		for (unsigned i = 0; i < 16; i++)
			printf("  in r%-2u %016llx%s", i,
			    (unsigned long long)t->st.gpr[i],
			    i % 4 == 3 ? "\n" : "");
		printf("  in rflags %llx fs %llx gs %llx\n",
		    (unsigned long long)t->st.rflags,
		    (unsigned long long)t->st.fsbase,
		    (unsigned long long)t->st.gsbase);
		if (s->opt.chain && !s->opt.self) {
			struct diff_test copy = *t;

			narrow(s, &copy);
		}
	}
	fflush(stdout);
}

static int
run_guest(struct session *s, unsigned n)
{
	int error = 0;

	if (s->opt.self) {
		for (unsigned i = 0; i < n; i++)
			s->got[i] = s->want[i];
		return (native_run(s->native, n));
	}
	for (unsigned i = 0; i < n && error == 0; i++)
		error = guest_run(s->guest, &s->tests[i], &s->got[i]);
	return (error);
}

static int
run_batch(struct session *s, uint64_t first, unsigned n)
{
	int error;

	for (unsigned i = 0; i < n; i++) {
		make_test(s, i, first + i);
		if (s->opt.strict)
			s->tests[i].undef = 0;
	}
	error = native_run(s->native, n);
	if (error == 0)
		error = run_guest(s, n);
	if (error != 0)
		return (error);
	for (unsigned i = 0; i < n; i++) {
		s->nrun++;
		if (s->want[i].died) {
			printf("test %llu: %s\n",
			    (unsigned long long)(first + i), s->want[i].why);
			continue;
		}
		s->nexceptions += s->want[i].vector != DIFF_NO_VECTOR;
		if (diff_compare(&s->lay, &s->tests[i], &s->want[i],
			&s->got[i], NULL) == 0)
			continue;
		if (!s->opt.strict && diff_tolerable(&s->lay, &s->tests[i],
			&s->want[i], &s->got[i]))
			s->ntolerated++;
		else
			report(s, i, first + i);
	}
	return (0);
}

static void
summary(struct session *s)
{
	unsigned column = 0;

	printf("%llu tests (%llu end in an exception), %llu failed, "
	       "%llu tolerated\n",
	    (unsigned long long)s->nrun, (unsigned long long)s->nexceptions,
	    (unsigned long long)s->nfailed,
	    (unsigned long long)s->ntolerated);
	if (s->nfailed <= s->opt.max_print)
		return;
	for (uint32_t i = 0; i < s->fs.n; i++) {
		uint32_t n = 0;

		/* Once for each mnemonic, at its first failing form. */
		for (uint32_t k = 0; k < s->fs.n; k++) {
			if (s->fs.f[k].mnemonic != s->fs.f[i].mnemonic ||
			    s->failed[k] == 0)
				continue;
			if (k < i)
				break;
			n += s->failed[k];
		}
		if (s->failed[i] != 0 && n != 0)
			printf("  %s %u%s",
			    ZydisMnemonicGetString(
				(ZydisMnemonic)s->fs.f[i].mnemonic), n,
			    ++column % 8 == 0 ? "\n" : "");
	}
	printf("\n");
}

static int
run(struct session *s)
{
	struct timespec now, start;
	uint64_t n = 0;
	int error = 0;

	printf("seed %#llx, %u forms%s\n", (unsigned long long)s->opt.seed,
	    s->norder, s->opt.self ? ", processor against itself" : "");
	if (s->opt.has_only)
		return (run_batch(s, s->opt.only, 1));
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (error == 0 && n < s->opt.count) {
		unsigned part = s->opt.count - n < BATCH ?
		    (unsigned)(s->opt.count - n) : BATCH;

		error = run_batch(s, n, part);
		n += part;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (s->opt.seconds != 0 &&
		    now.tv_sec - start.tv_sec >= (time_t)s->opt.seconds)
			break;
		if (s->opt.stop && s->nfailed != 0)
			break;
	}
	return (error);
}

static void
list_forms(const struct session *s)
{
	struct rng r = { 1 };
	ZydisDisassembledInstruction d;
	struct insn i;

	for (uint32_t k = 0; k < s->norder; k++)
		if (forms_make(&s->fs, &s->fs.f[s->order[k]], &r, &i) &&
		    ZYAN_SUCCESS(ZydisDisassembleIntel(
			forms_machine(s->opt.mode), 0, i.bytes, i.d.length,
			&d)))
			printf("%s\n", d.text);
	printf("%u forms\n", s->norder);
}

int
main(int argc, char **argv)
{
	struct session s = { .opt = { .count = UINT64_MAX, .max_print = 10,
				     .mode = 64 } };
	struct timespec now;
	int error;

	clock_gettime(CLOCK_REALTIME, &now);
	s.opt.seed = (uint64_t)now.tv_nsec & 0xffffff;
	if (parse(&s.opt, argc, argv) != 0)
		usage();
	error = session_init(&s);
	if (error == 0 && s.opt.list)
		list_forms(&s);
	else if (error == 0)
		error = run(&s);
	if (error != 0)
		fprintf(stderr, "diff: %s\n", strerror(-error));
	if (!s.opt.list && error == 0)
		summary(&s);
	session_fini(&s);
	return (error != 0 ? 2 : s.nfailed != 0);
}
