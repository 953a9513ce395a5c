/* SPDX-License-Identifier: BSD-2-Clause */
/* The dirty log (vm_dirty_log()): which pages were written, by whom. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "small.h"

#define LIN 0x1000000ull
#define PAGE(gpa) ((gpa) >> 12)

static uint64_t *
ask(struct t *t)
{
	size_t words = gmem_dirty_words(t->g->gm);
	uint64_t *bits = calloc(words, sizeof(*bits));

	if (bits == NULL)
		abort();
	IS(vm_dirty_get(t->g->vm, bits, words), 0);
	return (bits);
}

/* Whether the page is marked, asked for once. */
static bool
marked(struct t *t, uint64_t gpa)
{
	uint64_t *bits = ask(t);
	bool is = (bits[PAGE(gpa) / 64] >> (PAGE(gpa) % 64)) & 1;

	free(bits);
	return (is);
}

static void
stores(struct t *t)
{
	size_t words = gmem_dirty_words(t->g->gm);
	uint64_t *bits = calloc(words, sizeof(*bits));

	if (bits == NULL)
		abort();
	check(t, "vmm.h: vm_dirty_get() without a log");
	IS(vm_dirty_get(t->g->vm, bits, words), -22);
	IS(vm_dirty_log(t->g->vm, true), 0);
	IS(vm_dirty_get(t->g->vm, bits, words - 1), -22);
	free(bits);

	/* The kernel maps a page that is read for writing too, at first. */
	check(t, "vmm.h: a store marks its page, a load none");
	kernel(t, CODE("mov eax, [rbx + 0x1000]\nmov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, T_DATA);
	(void)marked(t, 0);
	GO(GO_STOP);
	bits = ask(t);
	IS((bits[PAGE(T_DATA) / 64] >> (PAGE(T_DATA) % 64)) &
		(gvm_on_kvm() ? 1 : 3), 1);
	free(bits);

	check(t, "vmm.h: a mark is told once");
	IS(marked(t, T_DATA), false);

	check(t, "vmm.h: a page that was written before is marked again");
	kernel(t, CODE("mov [rbx], eax\n" STOP "inc dword ptr [rbx]\n" STOP));
	GO(GO_STOP);
	IS(marked(t, T_DATA), true);
	set(t, VM_REG_RIP, T_CODE + 2 + GVM_STOP_LEN);
	GO(GO_STOP);
	IS(marked(t, T_DATA), true);

	check(t, "vmm.h: both pages of a store across two");
	kernel(t, CODE("mov [rbx + 0xffe], eax\n" STOP));
	GO(GO_STOP);
	bits = ask(t);
	IS((bits[PAGE(T_DATA) / 64] >> (PAGE(T_DATA) % 64)) & 3, 3);
	free(bits);

	check(t, "vmm.h: the end of a log, and a new one");
	kernel(t, CODE("mov [rbx], eax\n" STOP));
	IS(vm_dirty_log(t->g->vm, false), 0);
	GO(GO_STOP);
	IS(vm_dirty_log(t->g->vm, true), 0);
	IS(marked(t, T_DATA), false);
	set(t, VM_REG_RIP, T_CODE);
	GO(GO_STOP);
	IS(marked(t, T_DATA), true);
}

static void
others(struct t *t)
{
	uint64_t lin = 0x700000, gpa = gvm_alloc(t->g, 1), table;
	uint32_t v = 1;

	check(t, "vmm.h: A and D bits mark the page table");
	gvm_map(t->g, lin, gpa, PTE_P | PTE_W);
	table = gpa_of(t, gvm_pte(t->g, lin));
	IS(vm_dirty_log(t->g->vm, true), 0);
	kernel(t, CODE("mov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, lin);
	(void)marked(t, 0);
	GO(GO_STOP);
	{
		uint64_t *bits = ask(t);

		IS((bits[PAGE(gpa) / 64] >> (PAGE(gpa) % 64)) & 1, 1);
		IS((bits[PAGE(table) / 64] >> (PAGE(table) % 64)) & 1, 1);
		free(bits);
	}
	check(t, "vmm.h: so does who writes past the processor");
	IS(gmem_write(t->g->gm, T_DATA + 0x2000, &v, sizeof(v)), 0);
	IS(marked(t, T_DATA + 0x2000), true);
	memset(gmem_map(t->g->gm, T_DATA, 4096), 1, 4096);
	gmem_wrote(t->g->gm, T_DATA, 4096);
	IS(marked(t, T_DATA), true);

	check(t, "vmm.h: a store beside code, and into it");
	/* The page of the code itself is data from 0x100 on. */
	kernel(t, CODE("mov [rbx + 0x100], eax\n" STOP
		       "mov byte ptr [rbx], 0x90\n" STOP));
	set(t, VM_REG_RBX, T_CODE);
	(void)marked(t, 0);
	GO(GO_STOP);
	IS(marked(t, T_CODE), true);
	IS(marked(t, T_CODE), false);
	set(t, VM_REG_RIP, t->stop + GVM_STOP_LEN);
	GO(GO_STOP);
	IS(marked(t, T_CODE), true);

	check(t, "vmm.h: what an exception pushes");
	handler(t, V_UD, CODE(STOP));
	kernel(t, CODE("ud2\n"));
	set(t, VM_REG_RSP, T_DATA + 0x5000);
	(void)marked(t, 0);
	GO(GO_STOP);
	IS(marked(t, T_DATA + 0x4000), true);

	check(t, "vmm.h: the log goes on through vm_reset()");
	kernel(t, CODE("mov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, T_DATA + 0x6000);
	GO(GO_STOP);
	IS(vm_reset(t->g->vm), 0);
	IS(marked(t, T_DATA + 0x6000), true);
	kernel(t, CODE("mov [rbx], eax\n" STOP));
	set(t, VM_REG_RBX, T_DATA + 0x7000);
	GO(GO_STOP);
	IS(marked(t, T_DATA + 0x7000), true);
}

/* ---- more pages than a ring has entries ---- */

#define FLOOD 6144u /* three of four are written: 4608 */

static void
map(struct t *t, uint64_t gpa, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		gvm_map(t->g, LIN + i * 4096ull, gpa + i * 4096ull,
		    PTE_P | PTE_W);
}

static uint64_t
rings_full(struct t *t)
{
	struct vmm_stat s[VMM_STATS_MAX];
	unsigned n = vcpu_stats(t->g->cpu, s, VMM_STATS_MAX);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(s[i].name, "ring_full") == 0)
			return (s[i].value);
	return (0);
}

/* How many pages have a mark that were not written, or none. Counted from the
 * end, those whose number has a bit of `mask` were. */
static unsigned
wrong(struct t *t, uint64_t gpa, unsigned mask)
{
	uint64_t *bits = ask(t), p;
	unsigned n = 0;

	for (unsigned i = 0; i < FLOOD; i++) {
		p = PAGE(gpa) + i;
		n += ((bits[p / 64] >> (p % 64)) & 1) !=
		    (((FLOOD - i) & mask) != 0);
	}
	free(bits);
	return (n);
}

static void
flood(struct t *t)
{
	uint64_t gpa = gvm_alloc(t->g, FLOOD), full;

	map(t, gpa, FLOOD);
	t->g->patience = 120;
	IS(vm_dirty_log(t->g->vm, true), 0);
	/* The first time a page may be marked that is only read. */
	kernel(t, CODE("mov ecx, r8d\n1: mov eax, [rbx]\n"
		       "add rbx, 0x1000\ndec ecx\njnz 1b\n" STOP));
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_R8, FLOOD);
	GO(GO_STOP);
	(void)marked(t, 0);

	check(t, "vmm.h: just the pages, more than the kernel keeps at once");
	kernel(t, CODE("mov ecx, r8d\n1: mov eax, [rbx]\n"
		       "test ecx, r9d\njz 2f\nmov [rbx], ecx\n"
		       "2: add rbx, 0x1000\ndec ecx\njnz 1b\n" STOP));
	for (unsigned mask = 3; mask > 0; mask /= 2) {
		full = rings_full(t);
		set(t, VM_REG_RIP, T_CODE);
		set(t, VM_REG_RBX, LIN);
		set(t, VM_REG_R9, mask);
		GO(GO_STOP);
		IS(wrong(t, gpa, mask), 0);
		/* Half of the pages are not too many. */
		IS(rings_full(t) > full, mask == 3 && gvm_has_rings());
	}
	check(t, "vmm.h: what a full one had is not for the next log");
	set(t, VM_REG_RIP, T_CODE);
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_R9, 3);
	GO(GO_STOP);
	IS(vm_dirty_log(t->g->vm, false), 0);
	IS(vm_dirty_log(t->g->vm, true), 0);
	IS(wrong(t, gpa, 0), 0);
}

/* ---- while the guest runs ---- */

/* Until so many pages were copied, but no longer than this. */
#define COPIES_NS 60000000000ull

static void *
runner(void *arg)
{
	struct t *t = arg;

	t->stop = (uint64_t)go(t);
	return (NULL);
}

/* A copy that follows the marks is what the memory is in the end: no store
 * is lost however the question and the stores meet. */
static void
follow(struct t *t, unsigned pages, unsigned copies)
{
	uint64_t gpa = gvm_alloc(t->g, pages), n = 0, *bits;
	size_t len = pages * 4096ull;
	uint8_t *copy = malloc(len), *now = gvm_ptr(t->g, gpa);
	uint64_t end = vclock_now(t->g->vc) + COPIES_NS;
	pthread_t thread;

	if (copy == NULL)
		abort();
	map(t, gpa, pages);
	t->g->patience = 120;
	check(t, "vmm.h: a copy by the marks of a guest that runs");
	IS(vm_dirty_log(t->g->vm, true), 0);
	memcpy(copy, now, len);
	/* Each page in turn, a quick and a slow way, until the byte at RSI. */
	kernel(t, CODE("1: mov rdi, rbx\nmov ecx, r8d\n"
		       "2: inc qword ptr [rdi + 8]\nadd edx, 1\n"
		       "mov [rdi + 0x7fc], rdx\nadd rdi, 0x1000\n"
		       "dec ecx\njnz 2b\n"
		       "cmp byte ptr [rsi], 0\nje 1b\n" STOP));
	set(t, VM_REG_RBX, LIN);
	set(t, VM_REG_R8, pages);
	set(t, VM_REG_RSI, T_DATA);
	IS(pthread_create(&thread, NULL, runner, t), 0);
	for (bool last = false; !last;) {
		if (n > copies || vclock_now(t->g->vc) > end) {
			last = true;
			__atomic_store_n((uint8_t *)gvm_ptr(t->g, T_DATA), 1,
			    __ATOMIC_SEQ_CST);
			(void)pthread_join(thread, NULL);
		}
		bits = ask(t);
		for (unsigned i = 0; i < pages; i++) {
			uint64_t p = PAGE(gpa) + i;

			if (((bits[p / 64] >> (p % 64)) & 1) == 0)
				continue;
			memcpy(copy + i * 4096ull, now + i * 4096ull, 4096);
			n++;
		}
		free(bits);
	}
	IS(t->stop, GO_STOP);
	IS(memcmp(copy, now, len), 0);
	IS(n > copies, 1);
	free(copy);
}

static void
copying(struct t *t)
{
	follow(t, 64, 512);
}

static void
copying_much(struct t *t)
{
	follow(t, 4608, 3 * 4608);
}

const struct group_fn group[] = { { "stores", stores }, { "others", others },
	{ "flood", flood }, { "copying", copying },
	{ "copying_much", copying_much }, { NULL, NULL } };
