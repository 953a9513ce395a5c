/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware/le.h"
#include "firmware/mptable.h"
#include "gmem/gmem.h"

static const struct acpi_prt prt[] = {{3, 0, 16}, {3, 1, 17}, {31, 3, 23}};

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

/* The nth entry of a type, or NULL. */
static const uint8_t *
find(const uint8_t *buf, uint8_t type, unsigned n)
{
	const uint8_t *h = buf + (le32_get(buf + 4) - MPTABLE_BASE);
	const uint8_t *p = h + 44, *end = h + le16_get(h + 4);

	for (; p < end; p += p[0] == 0 ? 20 : 8)
		if (p[0] == type && n-- == 0)
			return (p);
	return (NULL);
}

static void
test_table(void **state)
{
	static const unsigned counts[] = {1, 2, 8, 64};
	struct mptable_config cfg = {
	    .lapic_version = 0x14,
	    .cpu_signature = 0x00800f12,
	    .cpu_features = 0x1783fbff,
	    .ioapic_base = 0xfec00000,
	    .sci_irq = 9,
	    .prt = prt,
	    .nprt = 3,
	};
	uint8_t buf[MPTABLE_SIZE];
	const uint8_t *h, *p;
	unsigned i, k, n;

	(void)state;
	for (i = 0; i < 4; i++) {
		cfg.ncpus = counts[i];
		assert_true(mptable_build(&cfg, buf) > 0);
		assert_memory_equal(buf, "_MP_", 4);
		assert_int_equal(sum(buf, 16), 0);
		assert_int_equal(buf[11], 0); /* a table, no default */
		h = buf + (le32_get(buf + 4) - MPTABLE_BASE);
		assert_memory_equal(h, "PCMP", 4);
		assert_int_equal(sum(h, le16_get(h + 4)), 0);
		assert_int_equal(le32_get(h + 36), 0xfee00000);
		for (k = 0, n = 0; k < 5; k++)
			for (unsigned j = 0; find(buf, (uint8_t)k, j); j++)
				n++;
		assert_int_equal(n, le16_get(h + 34));
		for (k = 0; k < cfg.ncpus; k++) {
			p = find(buf, 0, k);
			assert_int_equal(p[1], k);
			assert_int_equal(p[3], k == 0 ? 3 : 1);
			assert_int_equal(le32_get(p + 4), 0x00800f12);
		}
		assert_null(find(buf, 0, cfg.ncpus));
		assert_memory_equal(find(buf, 1, 0) + 1, "\0PCI   ", 7);
		assert_memory_equal(find(buf, 1, 1) + 1, "\1ISA   ", 7);
		assert_int_equal(le32_get(find(buf, 2, 0) + 4), 0xfec00000);
	}
}

static void
test_interrupts(void **state)
{
	const struct mptable_config cfg = {
	    .ncpus = 1, .sci_irq = 9, .prt = prt, .nprt = 3};
	uint8_t buf[MPTABLE_SIZE];
	const uint8_t *p;
	unsigned i;
	int pins[256];

	(void)state;
	memset(pins, -1, sizeof(pins));
	assert_true(mptable_build(&cfg, buf) > 0);
	assert_memory_equal(find(buf, 3, 0), "\3\3\0\0\1\0\0\0", 8);
	for (i = 1; i < 16; i++) {
		p = find(buf, 3, i);
		assert_int_equal(p[1], 0);
		assert_int_equal(p[4], 1); /* ISA */
		assert_int_equal(le16_get(p + 2), p[5] == 9 ? 15 : 0);
		pins[p[7]] = p[5];
	}
	for (i = 1; i < 16; i++)
		assert_int_equal(pins[i], i == 2 ? 0 : i);
	/* Slot 31, INTD# on pin 23. */
	assert_memory_equal(find(buf, 3, 18), "\3\0\0\0\0\x7f\0\x17", 8);
	assert_null(find(buf, 3, 19));
	assert_memory_equal(find(buf, 4, 0), "\4\3\0\0\1\0\xff\0", 8);
	assert_memory_equal(find(buf, 4, 1), "\4\1\0\0\1\0\xff\1", 8);
}

static uint32_t
large_id(const void *arg, unsigned cpu)
{
	const uint32_t *ids = arg;

	return (ids[cpu]);
}

/* Ids that 8 bits do not hold are for ACPI to tell. */
static void
test_large_ids(void **state)
{
	static const uint32_t ids[] = {0, 254, 255, 256};
	struct mptable_config cfg = {
	    .ncpus = 4, .apic_id = large_id, .apic_id_arg = ids};
	uint8_t buf[MPTABLE_SIZE];

	(void)state;
	assert_true(mptable_build(&cfg, buf) > 0);
	assert_int_equal(find(buf, 0, 1)[1], 254);
	assert_null(find(buf, 0, 2));
	cfg.apic_id = NULL;
	cfg.ncpus = 255;
	assert_int_equal(mptable_build(&cfg, buf), -ENOSPC);
}

static void
test_install(void **state)
{
	const struct mptable_config cfg = {.ncpus = 2};
	struct gmem *gm;
	char sig[4];

	(void)state;
	assert_int_equal(gmem_create(&gm, 16 << 20), 0);
	assert_int_equal(mptable_install(gm, &cfg), 0);
	assert_int_equal(gmem_read(gm, 0xf0000, sig, 4), 0);
	assert_memory_equal(sig, "_MP_", 4);
	gmem_destroy(gm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_interrupts),
	    cmocka_unit_test(test_large_ids),
	    cmocka_unit_test(test_install),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
