/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM volume 3, chapter 4: each form of paging. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gmem/gmem.h"
#include "vmm/walk.h"

#define PG (1ull << 31)
#define PSE (1ull << 4)
#define PAE (1ull << 5)
#define LA57 (1ull << 12)
#define LMA (1ull << 10)
#define P 1ull
#define PS 0x80ull

static struct gmem *gm;

static int
setup(void **state)
{
	(void)state;
	return (gmem_create(&gm, 16 << 20));
}

static int
teardown(void **state)
{
	(void)state;
	gmem_destroy(gm);
	return (0);
}

static void
put(uint64_t gpa, uint64_t v, unsigned size)
{
	assert_int_equal(gmem_write(gm, gpa, &v, size), 0);
}

#define IS(w, addr, want)                                                      \
	do {                                                                   \
		uint64_t gpa_ = 0;                                             \
		assert_int_equal(vmm_walk(&(w), gm, addr, &gpa_), 0);         \
		assert_int_equal(gpa_, want);                                  \
	} while (0)
#define NOWHERE(w, addr)                                                       \
	do {                                                                   \
		uint64_t gpa_ = 0;                                             \
		assert_int_equal(vmm_walk(&(w), gm, addr, &gpa_), -EFAULT);   \
	} while (0)

static void
test_none(void **state)
{
	struct vmm_walk w = { .cr0 = 1 };

	(void)state;
	IS(w, 0x12345, 0x12345);
	IS(w, 0x100012345, 0x12345);
}

static void
test_32bit(void **state)
{
	struct vmm_walk w = { .cr0 = PG | 1, .cr3 = 0x1018, .cr4 = PSE };

	(void)state;
	put(0x1000 + 4, 0x2000 | P, 4);
	put(0x2000 + 4 * 3, 0x5000 | P, 4);
	put(0x1000 + 8, 0x00c00000 | 0x2000 | PS | P, 4); /* bit 32 */
	IS(w, 0x00403abc, 0x5abc);
	IS(w, 0x00812345, 0x100c12345);
	NOWHERE(w, 0x00404000);
	NOWHERE(w, 0x00c00000);
	w.cr4 = 0; /* PS means nothing: a table beyond RAM */
	NOWHERE(w, 0x00812345);
}

static void
test_pae(void **state)
{
	struct vmm_walk w = { .cr0 = PG | 1, .cr3 = 0x1020, .cr4 = PAE };

	(void)state;
	put(0x1020 + 8 * 3, 0x3000 | P, 8);
	put(0x3000, 0x4000 | P, 8);
	put(0x3008, 0x600000 | PS | P, 8);
	put(0x4000 + 8, 0x7000 | P | 1ull << 63, 8);
	IS(w, 0xc0001123, 0x7123);
	IS(w, 0xc0234567, 0x634567);
	NOWHERE(w, 0xc0002000);
	NOWHERE(w, 0x1000);
}

static void
test_long(void **state)
{
	struct vmm_walk w = { .cr0 = PG | 1, .cr3 = 0x10000, .cr4 = PAE,
		.efer = LMA };
	struct vmm_walk w5 = { .cr0 = PG | 1, .cr3 = 0x15000,
		.cr4 = PAE | LA57, .efer = LMA };

	(void)state;
	put(0x10000 + 8 * 511, 0x11000 | P, 8);
	put(0x11000, 0x12000 | P, 8);
	put(0x11008, 0x40000000 | PS | P, 8);
	put(0x12000, 0x13000 | P, 8);
	put(0x12008, 0xa00000 | 0x1000 | PS | P, 8); /* PAT is no address */
	put(0x13000, 0xb000 | P | 7ull << 52, 8);
	put(0x15000 + 8 * 2, 0x10000 | P, 8);
	IS(w, 0xffffff8000000123, 0xb123);
	IS(w, 0xffffff80002abcde, 0xaabcde);
	IS(w, 0xffffff8040012345, 0x40012345);
	NOWHERE(w, 0xffffff8000001000);
	NOWHERE(w, 0x7f8000000123);
	NOWHERE(w, 0x00ffff8000000123);
	IS(w5, 0x0002ff8000000123, 0xb123);
	NOWHERE(w5, 0x0003ff8000000123);
	NOWHERE(w5, 0x0102ff8000000123);
	/* A table where there is no RAM. */
	w.cr3 = 0xfff000000;
	NOWHERE(w, 0xffffff8000000123);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_32bit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pae, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown) };

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
