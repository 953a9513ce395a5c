/* SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PRINT 60

unsigned group_ncpus __attribute__((weak)) = 1;

void
put(struct t *t, uint64_t gpa, struct code c)
{
	gvm_write(t->g, gpa, c.p, c.len);
}

uint64_t
get(struct t *t, enum vm_reg reg)
{
	return (gvm_get(t->g, reg));
}

void
set(struct t *t, enum vm_reg reg, uint64_t v)
{
	gvm_set(t->g, reg, v);
}

uint64_t
mem(struct t *t, uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, gvm_ptr(t->g, gpa), size);
	return (v);
}

void
set_mem(struct t *t, uint64_t gpa, unsigned size, uint64_t v)
{
	gvm_write(t->g, gpa, &v, size);
}

uint64_t
gpa_of(struct t *t, const void *p)
{
	return ((uint64_t)((const uint8_t *)p -
	    (const uint8_t *)gvm_ptr(t->g, 0)));
}

uint64_t
upage(struct t *t, uint64_t lin)
{
	return ((*gvm_pte(t->g, lin) & 0xffffffffff000ull) | (lin & 0xfff));
}

void
set_gdt(struct t *t, unsigned sel, uint64_t desc)
{
	struct vm_seg gdtr = { .base = GVM_GDT, .limit = 0xfff };

	set_mem(t, GVM_GDT + (sel & ~7u), 8, desc);
	(void)vcpu_set_seg(t->g->cpu, VM_SEG_GDTR, &gdtr);
}

bool
has(struct t *t, uint32_t leaf, unsigned reg, unsigned bit)
{
	static const enum vm_reg regs[4] = { VM_REG_RAX, VM_REG_RBX,
		VM_REG_RCX, VM_REG_RDX };

	kernel(t, CODE("cpuid\n" STOP));
	set(t, VM_REG_RAX, leaf);
	set(t, VM_REG_RCX, 0);
	(void)go(t);
	return ((get(t, regs[reg]) >> bit) & 1);
}

bool
intel(struct t *t)
{
	kernel(t, CODE("xor eax, eax\ncpuid\n" STOP));
	(void)go(t);
	return (get(t, VM_REG_RBX) == 0x756e6547);
}

void
kernel(struct t *t, struct code c)
{
	put(t, T_CODE, c);
	gvm_start(t->g, T_CODE);
}

void
user(struct t *t, struct code c)
{
	put(t, upage(t, T_UCODE), c);
	gvm_start_user(t->g, T_UCODE, T_USTACK);
}

void
handler(struct t *t, unsigned vector, struct code c)
{
	put(t, T_HAND + 256 * vector, c);
	gvm_gate(t->g, vector, T_HAND + 256 * vector, 0, 3);
}

int
go(struct t *t)
{
	int error, stub;

	error = gvm_run(t->g, &t->exit, &t->stop);
	if (error != 0)
		return (error);
	if (t->stop == 0)
		return (GO_EXIT(t->exit.exitcode));
	stub = gvm_stub(t->stop);
	if (stub < 0)
		return (GO_STOP);
	gvm_frame(t->g, (unsigned)stub, &t->f);
	return (stub);
}

void
check(struct t *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->name, sizeof(t->name), fmt, ap);
	va_end(ap);
	t->failed = false;
	t->nchecks++;
}

void
is(struct t *t, const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return;
	if (!t->failed)
		t->nfailed++;
	t->failed = true;
	if (t->nfailed <= MAX_PRINT)
		printf("FAIL [%s] %s\n\t%s is %#llx, not %#llx\n", t->setting,
		    t->name, what, (unsigned long long)got,
		    (unsigned long long)want);
}

void
is_frame(struct t *t, uint64_t error, uint64_t rip, uint64_t cs,
    uint64_t rflags, uint64_t rsp, uint64_t ss)
{
	is(t, "pushed error code", t->f.error, error);
	is(t, "pushed RIP", t->f.rip, rip);
	is(t, "pushed CS", t->f.cs, cs);
	is(t, "pushed RFLAGS", t->f.rflags, rflags);
	is(t, "pushed RSP", t->f.rsp, rsp);
	is(t, "pushed SS", t->f.ss, ss);
}

static void
map_user(struct gvm *g, uint64_t lin)
{
	for (unsigned i = 0; i < T_UPAGES; i++)
		gvm_map(g, lin + i * 4096ull, gvm_alloc(g, 1),
		    PTE_P | PTE_W | PTE_U);
}

static int
one(struct t *t, const struct group_fn *f)
{
	int error = gvm_create(&t->g, group_ncpus, t->options);

	if (error != 0) {
		fprintf(stderr, "%s: %s\n", f->name, strerror(-error));
		return (error);
	}
	map_user(t->g, T_UCODE);
	map_user(t->g, T_USTACK - T_UPAGES * 4096ull);
	map_user(t->g, T_UDATA);
	snprintf(t->name, sizeof(t->name), "%s", f->name);
	t->failed = false;
	f->fn(t);
	gvm_destroy(t->g);
	return (0);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned options;
	} settings[] = { { "default", 0 }, { "no-link", GVM_NO_LINK },
		{ "no-tlb", GVM_NO_TLB }, { "one-insn", GVM_ONE_INSN },
		{ "mirror", GVM_MIRROR },
		{ "no-slots", GVM_MIRROR | GVM_OFF(SOFT_OFF_SLOTS) },
		{ "no-rounds", GVM_MIRROR | GVM_OFF(SOFT_OFF_ROUNDS) },
		{ "no-stack", GVM_MIRROR | GVM_OFF(SOFT_OFF_STACK) },
		{ "no-string", GVM_MIRROR | GVM_OFF(SOFT_OFF_STRING) },
		{ "no-late", GVM_MIRROR | GVM_OFF(SOFT_OFF_LATE) },
		{ "no-forms", GVM_OFF(SOFT_OFF_FORMS) },
		{ "no-inline", GVM_OFF(SOFT_OFF_INLINE) },
		{ "no-pcid", GVM_OFF(SOFT_OFF_PCID) },
		{ "no-jc2", GVM_OFF(SOFT_OFF_JC2) },
		{ "no-loop", GVM_OFF(SOFT_OFF_LOOP) },
		{ "no-huge", GVM_OFF(SOFT_OFF_HUGE) } };
	/* KVM has but one. */
	const unsigned nsettings =
	    gvm_on_kvm() ? 1 : sizeof(settings) / sizeof(settings[0]);
	struct t t = { 0 };
	unsigned nfns = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned s = 0; s < nsettings; s++) {
		/* With a dirty log nothing is mirrored: all would fault. */
		if (getenv("LHYVE_DIRTY") != NULL &&
		    (settings[s].options & GVM_MIRROR) != 0)
			continue;
		for (const struct group_fn *f = group; f->name != NULL; f++) {
			/* One function alone, by its name. */
			if (argc > 1 && strcmp(argv[1], f->name) != 0)
				continue;
			t.setting = settings[s].name;
			t.options = settings[s].options;
			nfns++;
			if (one(&t, f) != 0)
				return (2);
		}
	}
	printf("%u checks, %u failed\n", t.nchecks, t.nfailed);
	return (t.nfailed != 0 || nfns == 0);
}
