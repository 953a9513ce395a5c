/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log on KVM by rings: what is taken from them, in which order, and
 * what a vcpu in KVM_RUN has to do with it. The kernel is a stub that keeps
 * its side of the protocol (api.rst 8.29).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "gmem/gmem.h"
#include "vmm/kvm/kvm.h"

#define NCPUS 2u
#define ENTRIES 4096u
#define LEN (ENTRIES * sizeof(struct kvm_dirty_gfn))
#define LOW 4096u /* pages of the slots, 0 and 1 */
#define HIGH 256u
#define HIGH_PAGE (GMEM_HIGHMEM_BASE / GMEM_PAGE_SIZE)

static struct {
	/* Of the kernel. */
	bool offers_acq_rel, offers_plain, log;
	uint64_t size; /* of a ring, when one was enabled */
	struct kvm_dirty_gfn *ring[NCPUS];
	uint32_t dirty[NCPUS], cleared[NCPUS];
	unsigned nreset, nbitmap, most; /* cleared by one call */
	int fail;
	pthread_mutex_t *lock;
	/* A vcpu that is inside: what it does when it is called out. */
	void (*poked)(struct kvm_cpu *cpu);
	unsigned npoked;
} k;

static void
push(unsigned cpu, uint32_t slot, uint64_t offset)
{
	struct kvm_dirty_gfn *e = &k.ring[cpu][k.dirty[cpu]++ % ENTRIES];

	/* It was cleared before. */
	assert_int_equal(e->flags, 0);
	e->slot = slot;
	e->offset = offset;
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
}

/*
 * Taking, clearing and giving out are one step: the lock is held in each. The
 * linker leads their calls here.
 */
static void
is_locked(void)
{
	assert_int_equal(pthread_mutex_trylock(k.lock), EBUSY);
}

bool __real_kvm_slot_page(
    const struct kvm_vm *kvm, uint32_t slot, uint64_t offset, uint64_t *page);
bool __wrap_kvm_slot_page(
    const struct kvm_vm *kvm, uint32_t slot, uint64_t offset, uint64_t *page);
void __real_gmem_dirty_take(struct gmem *gm, uint64_t *bits);
void __wrap_gmem_dirty_take(struct gmem *gm, uint64_t *bits);

bool
__wrap_kvm_slot_page(
    const struct kvm_vm *kvm, uint32_t slot, uint64_t offset, uint64_t *page)
{
	is_locked();
	return (__real_kvm_slot_page(kvm, slot, offset, page));
}

void
__wrap_gmem_dirty_take(struct gmem *gm, uint64_t *bits)
{
	is_locked();
	__real_gmem_dirty_take(gm, bits);
}

static int
reset_rings(void)
{
	struct kvm_dirty_gfn *e;
	unsigned n = 0;

	is_locked();
	k.nreset++;
	if (k.fail != 0)
		return (k.fail);
	for (unsigned i = 0; i < NCPUS; i++)
		for (; n < k.most; n++) {
			e = &k.ring[i][k.cleared[i] % ENTRIES];
			if ((__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) &
				KVM_DIRTY_GFN_F_RESET) == 0)
				break;
			/* None was left out. */
			assert_int_not_equal(k.cleared[i], k.dirty[i]);
			__atomic_store_n(&e->flags, 0, __ATOMIC_RELEASE);
			k.cleared[i]++;
		}
	return ((int)n);
}

int
kvm_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_userspace_memory_region *r = arg;
	const struct kvm_enable_cap *c = arg;

	(void)fd;
	switch (request) {
	case KVM_ENABLE_CAP:
		if (c->cap == KVM_CAP_DIRTY_LOG_RING_ACQ_REL ?
			!k.offers_acq_rel : !k.offers_plain)
			return (-EINVAL);
		assert_int_equal(k.size, 0);
		k.size = c->args[0];
		return (0);
	case KVM_SET_USER_MEMORY_REGION:
		k.log = (r->flags & KVM_MEM_LOG_DIRTY_PAGES) != 0;
		return (0);
	case KVM_GET_DIRTY_LOG:
		assert_int_equal(k.size, 0);
		k.nbitmap++;
		return (0);
	default:
		fail();
		return (-1);
	}
}

int
kvm_ioctl_arg(int fd, unsigned long request, unsigned long arg)
{
	(void)fd;
	(void)arg;
	assert_int_equal(request, KVM_RESET_DIRTY_RINGS);
	return (reset_rings());
}

void
kvm_poke(struct kvm_cpu *cpu)
{
	k.npoked++;
	if (k.poked != NULL)
		k.poked(cpu);
}

/* Nobody needs it here. */
const struct vmm_engine soft_engine;

struct fixture {
	struct kvm_vm kvm;
	struct kvm_cpu cpu[NCPUS];
	uint64_t *bits;
	size_t words;
};

static void
init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	memset(&k, 0, sizeof(k));
	k.offers_acq_rel = k.offers_plain = true;
	k.most = UINT32_MAX;
	assert_int_equal(gmem_create_as(&f->kvm.gmem,
	    (LOW + HIGH) * (uint64_t)GMEM_PAGE_SIZE,
	    LOW * (uint64_t)GMEM_PAGE_SIZE, GMEM_PAGES_OFF), 0);
	f->words = gmem_dirty_words(f->kvm.gmem);
	f->bits = calloc(f->words, sizeof(*f->bits));
	assert_non_null(f->bits);
	f->kvm.cpus = f->cpu;
	f->kvm.ncpus = NCPUS;
	pthread_mutex_init(&f->kvm.dirty_lock, NULL);
	pthread_mutex_init(&f->kvm.soft_lock, NULL);
	pthread_cond_init(&f->kvm.out_cond, NULL);
	k.lock = &f->kvm.dirty_lock;
	for (unsigned i = 0; i < NCPUS; i++) {
		f->cpu[i].kvm = &f->kvm;
		f->cpu[i].id = i;
		f->cpu[i].fd = memfd_create("vcpu", MFD_CLOEXEC);
		assert_true(f->cpu[i].fd >= 0);
		assert_int_equal(ftruncate(f->cpu[i].fd,
		    KVM_DIRTY_LOG_PAGE_OFFSET * 4096 + LEN), 0);
		k.ring[i] = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
		    f->cpu[i].fd, KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
		assert_ptr_not_equal(k.ring[i], MAP_FAILED);
	}
}

static void
fini(struct fixture *f)
{
	for (unsigned i = 0; i < NCPUS; i++) {
		kvm_ring_close(&f->cpu[i]);
		assert_int_equal(munmap(k.ring[i], LEN), 0);
		(void)close(f->cpu[i].fd);
	}
	pthread_cond_destroy(&f->kvm.out_cond);
	pthread_mutex_destroy(&f->kvm.soft_lock);
	pthread_mutex_destroy(&f->kvm.dirty_lock);
	gmem_destroy(f->kvm.gmem);
	free(f->bits);
}

static void
start(struct fixture *f)
{
	init(f);
	kvm_ring_enable(&f->kvm);
	assert_true(f->kvm.ring);
	assert_int_equal(kvm_dirty_log(&f->kvm, true), 0);
	assert_true(k.log);
}

static void
get(struct fixture *f)
{
	assert_int_equal(kvm_dirty_get(&f->kvm, f->bits), 0);
}

static bool
has(const struct fixture *f, uint64_t page)
{
	return ((f->bits[page / 64] >> (page % 64)) & 1);
}

static unsigned
count(const struct fixture *f)
{
	unsigned n = 0;

	for (size_t i = 0; i < f->words; i++)
		n += (unsigned)__builtin_popcountll(f->bits[i]);
	return (n);
}

static void
test_offer(void **state)
{
	struct fixture f;

	(void)state;
	/* Nothing is mapped before there is a log. */
	init(&f);
	kvm_ring_enable(&f.kvm);
	assert_true(f.kvm.ring);
	assert_int_equal(k.size, LEN);
	assert_null(f.cpu[0].ring);
	fini(&f);
	/* By one name alone. */
	for (unsigned i = 0; i < 2; i++) {
		init(&f);
		k.offers_acq_rel = i == 0;
		k.offers_plain = i == 1;
		kvm_ring_enable(&f.kvm);
		assert_true(f.kvm.ring);
		assert_int_equal(k.size, LEN);
		fini(&f);
	}
	/* Neither, and not wanted: bitmaps. */
	for (unsigned i = 0; i < 2; i++) {
		init(&f);
		if (i == 0)
			k.offers_acq_rel = k.offers_plain = false;
		f.kvm.no_ring = i == 1;
		kvm_ring_enable(&f.kvm);
		assert_false(f.kvm.ring);
		assert_int_equal(k.size, 0);
		assert_int_equal(kvm_dirty_log(&f.kvm, true), 0);
		assert_null(f.cpu[0].ring);
		get(&f);
		assert_int_equal(k.nbitmap, 2);
		assert_int_equal(k.nreset + k.npoked, 0);
		fini(&f);
	}
}

static void
test_pages(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	get(&f);
	assert_int_equal(count(&f), 0);
	/* Nothing taken, nothing to clear. */
	assert_int_equal(k.nreset, 0);
	push(0, 0, 0);
	push(0, 0, LOW - 1);
	push(0, 0, 0);
	push(1, 0, 63);
	push(1, 1, HIGH - 1);
	get(&f);
	assert_int_equal(k.nreset, 1);
	assert_int_equal(count(&f), 4);
	assert_true(has(&f, 0) && has(&f, LOW - 1) && has(&f, 63) &&
	    has(&f, HIGH_PAGE + HIGH - 1));
	assert_int_equal(k.cleared[0], 3);
	assert_int_equal(k.cleared[1], 2);
	get(&f);
	assert_int_equal(count(&f), 0);
	fini(&f);
}

/* What is no page of RAM is not marked, but given back. */
static void
test_nowhere(void **state)
{
	static const struct {
		uint32_t slot;
		uint64_t offset;
	} e[] = { { 0, LOW }, { 0, UINT64_MAX }, { 0, HIGH_PAGE }, { 1, HIGH },
		{ 1, UINT64_MAX - HIGH_PAGE + 1 }, { 2, 0 }, { 3, 0 },
		{ 0x10000, 0 }, { 0x10001, 0 }, { UINT32_MAX, 0 } };
	const unsigned n = sizeof(e) / sizeof(e[0]);
	struct fixture f;

	(void)state;
	start(&f);
	for (unsigned i = 0; i < n; i++)
		push(0, e[i].slot, e[i].offset);
	push(0, 0, 7);
	get(&f);
	assert_int_equal(count(&f), 1);
	assert_true(has(&f, 7));
	assert_int_equal(k.cleared[0], n + 1);
	fini(&f);
}

/* Flags that are not those of a new entry end what there is. */
static void
test_flags(void **state)
{
	static const uint32_t flags[] = { 0, KVM_DIRTY_GFN_F_RESET,
		KVM_DIRTY_GFN_F_RESET | KVM_DIRTY_GFN_F_DIRTY };
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		start(&f);
		k.most = 1;
		push(0, 0, 1);
		push(0, 0, 2);
		push(0, 0, 3);
		k.ring[0][1].flags = flags[i];
		get(&f);
		assert_int_equal(count(&f), 1);
		assert_true(has(&f, 1));
		assert_int_equal(k.cleared[0], 1);
		assert_int_equal(k.ring[0][2].flags, KVM_DIRTY_GFN_F_DIRTY);
		/* It was taken before: the next is the one behind it, in
		 * order. */
		k.ring[0][1].flags = KVM_DIRTY_GFN_F_DIRTY;
		k.most = UINT32_MAX;
		get(&f);
		assert_int_equal(count(&f), 2);
		assert_true(has(&f, 2) && has(&f, 3));
		fini(&f);
	}
}

static void
test_wrap(void **state)
{
	struct fixture f;
	unsigned total = 0;

	(void)state;
	start(&f);
	/* Numbers that do not divide the ring, several times around. */
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 1531; i++)
			push(1, 0, (total++ * 7) % LOW);
		get(&f);
		assert_int_equal(count(&f), 1531);
		assert_int_equal(k.cleared[1], total);
	}
	/* The number of the next entry may wrap, too. */
	for (unsigned i = total % ENTRIES; i < ENTRIES; i++)
		push(1, 0, 0);
	get(&f);
	f.cpu[1].ring_next = 0u - ENTRIES;
	for (unsigned i = 0; i < ENTRIES + 5; i++) {
		push(1, 0, i % LOW);
		if (i % 1000 == 999)
			get(&f);
	}
	get(&f);
	assert_int_equal(f.cpu[1].ring_next, 5);
	assert_int_equal(count(&f), (ENTRIES + 5) % 1000);
	/* All of it at once. */
	for (unsigned i = 0; i < ENTRIES; i++)
		push(1, 0, i);
	get(&f);
	assert_int_equal(count(&f), ENTRIES);
	fini(&f);
}

/* A vcpu takes its own; what it took is told to who asks. */
static void
test_full(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	for (unsigned i = 0; i < 4000; i++)
		push(0, 0, i);
	push(1, 0, 4001);
	assert_int_equal(kvm_ring_full(&f.cpu[0]), 0);
	assert_int_equal(k.cleared[0], 4000);
	assert_int_equal(k.cleared[1], 0);
	assert_int_equal(k.npoked, 0);
	for (unsigned i = 0; i < 100; i++)
		push(0, 1, i);
	get(&f);
	assert_int_equal(count(&f), 4101);
	fini(&f);
}

/* The kernel may stop short (for a signal), or fail. */
static void
test_reset(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	k.most = 3;
	for (unsigned i = 0; i < 10; i++)
		push(i % 2, 0, i);
	get(&f);
	assert_int_equal(count(&f), 10);
	assert_int_equal(k.cleared[0] + k.cleared[1], 10);
	assert_int_equal(k.nreset, 4);
	push(0, 0, 1);
	k.fail = -ENOMEM;
	assert_int_equal(kvm_dirty_get(&f.kvm, f.bits), -ENOMEM);
	k.fail = -EINTR;
	assert_int_equal(kvm_ring_full(&f.cpu[0]), -EIO);
	/* Nothing is lost by it. */
	k.fail = 0;
	push(0, 0, 2);
	get(&f);
	assert_int_equal(count(&f), 2);
	assert_int_equal(k.cleared[0], k.dirty[0]);
	fini(&f);
}

/* A log that ends, and a new one; a new VM's rings. */
static void
test_again(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	push(0, 0, 1);
	assert_int_equal(kvm_dirty_log(&f.kvm, false), 0);
	assert_false(k.log);
	assert_int_equal(k.cleared[0], 1);
	assert_int_equal(kvm_dirty_log(&f.kvm, true), 0);
	get(&f);
	assert_int_equal(count(&f), 0);
	push(0, 0, 2);
	get(&f);
	assert_int_equal(count(&f), 1);
	for (unsigned i = 0; i < NCPUS; i++) {
		kvm_ring_close(&f.cpu[i]);
		assert_null(f.cpu[i].ring);
		memset(k.ring[i], 0, LEN);
		k.dirty[i] = k.cleared[i] = 0;
	}
	k.size = 0;
	kvm_ring_enable(&f.kvm);
	assert_int_equal(kvm_ring_open(&f.kvm), 0);
	push(0, 0, 3);
	get(&f);
	assert_int_equal(count(&f), 1);
	assert_true(has(&f, 3));
	fini(&f);
}

/* ---- a vcpu that is inside ---- */

/* A processor that kept a page to itself gives it out with the exit, and the
 * ring is full by then. */
static void *
leave(void *arg)
{
	struct kvm_cpu *cpu = arg;

	push(cpu->id, 0, 5);
	atomic_store(&cpu->inside, false);
	kvm_ring_out(cpu);
	assert_int_equal(kvm_ring_full(cpu), 0);
	return (NULL);
}

static pthread_t leaver;

static void
come_out(struct kvm_cpu *cpu)
{
	assert_int_equal(pthread_create(&leaver, NULL, leave, cpu), 0);
}

static void
test_inside(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	atomic_store(&f.cpu[1].inside, true);
	k.poked = come_out;
	get(&f);
	assert_int_equal(pthread_join(leaver, NULL), 0);
	assert_int_equal(k.npoked, 1);
	assert_int_equal(count(&f), 1);
	assert_true(has(&f, 5));
	assert_false(atomic_load(&f.cpu[0].out_req));
	assert_false(atomic_load(&f.cpu[1].out_req));
	/* It is out: nobody waits for it. */
	get(&f);
	assert_int_equal(k.npoked, 1);
	assert_int_equal(count(&f), 0);
	fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_offer),
		cmocka_unit_test(test_pages), cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_flags), cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_full), cmocka_unit_test(test_reset),
		cmocka_unit_test(test_again), cmocka_unit_test(test_inside) };

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
