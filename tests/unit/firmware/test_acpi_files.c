/* SPDX-License-Identifier: BSD-2-Clause */
/* A firmware in small: it does what the script says and reads the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acpi_example.h"
#include "firmware/le.h"

struct blob {
	const char *name;
	const uint8_t *data;
	size_t len;
	uint64_t gpa; /* 0: not allocated yet */
	uint8_t *at;
};

static uint8_t memory[1 << 20];
static uint64_t base; /* of memory */
static size_t used;
static struct blob blobs[3];

static struct blob *
blob(const uint8_t *name)
{
	for (unsigned i = 0; i < 3; i++)
		if (strcmp((const char *)name, blobs[i].name) == 0)
			return (&blobs[i]);
	fail_msg("no file %.55s", (const char *)name);
	return (NULL);
}

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

static void
allocate(struct blob *b, uint32_t align)
{
	assert_true(b->gpa == 0);
	assert_true(align != 0 && (align & (align - 1)) == 0);
	used = (used + align - 1) & ~(size_t)(align - 1);
	assert_true(b->len <= sizeof(memory) - used);
	b->gpa = base + used;
	b->at = memory + used;
	memcpy(b->at, b->data, b->len);
	used += b->len;
}

static void
add(struct blob *dest, const struct blob *src, uint32_t off, uint8_t size)
{
	uint64_t val = 0;

	assert_true(dest->gpa != 0 && src->gpa != 0);
	assert_true(size == 4 || size == 8);
	assert_true(off <= dest->len && size <= dest->len - off);
	memcpy(&val, dest->at + off, size);
	/* What it points to is in the file. */
	assert_true(val < src->len);
	val += src->gpa;
	assert_true(size == 8 || val >> 32 == 0);
	memcpy(dest->at + off, &val, size);
}

static void
run(const uint8_t *p, size_t len)
{
	struct blob *b;
	uint32_t at, start, n;

	assert_int_equal(len % 128, 0);
	for (; len > 0; len -= 128, p += 128) {
		b = blob(p + 4);
		switch (le32_get(p)) {
		case 1:
			allocate(b, le32_get(p + 60));
			assert_int_equal(p[64],
			    strcmp(b->name, ACPI_FILE_RSDP) == 0 ? 2 : 1);
			break;
		case 2:
			add(b, blob(p + 60), le32_get(p + 116), p[120]);
			break;
		case 3:
			at = le32_get(p + 60);
			start = le32_get(p + 64);
			n = le32_get(p + 68);
			assert_true(start <= b->len && n <= b->len - start);
			assert_true(at >= start && at - start < n);
			/* Either way to do it has the same outcome. */
			assert_int_equal(b->at[at], 0);
			b->at[at] = (uint8_t)(0 - sum(b->at + start, n));
			break;
		default:
			fail_msg("command %u", le32_get(p));
		}
	}
}

static const uint8_t *
table(uint64_t gpa, const char *sig)
{
	const uint8_t *p = memory + (gpa - base);

	assert_true(gpa >= base && gpa - base < used);
	assert_int_equal(gpa % 64, 0);
	if (sig != NULL)
		assert_memory_equal(p, sig, 4);
	if (memcmp(p, "FACS", 4) != 0)
		assert_int_equal(sum(p, le32_get(p + 4)), 0);
	return (p);
}

/* The address of the identifier that the DSDT has; 0: none. */
static uint64_t
generation(const uint8_t *dsdt)
{
	for (uint32_t i = 36; i + 12 < le32_get(dsdt + 4); i++)
		if (memcmp(dsdt + i, "ADDR\x12", 5) == 0)
			return (le32_get(dsdt + i + 8));
	return (0);
}

static void
check(const struct acpi_config *cfg)
{
	static uint8_t guid[ACPI_VMGENID_SIZE];
	struct acpi_config c = *cfg;
	const uint8_t *rsdp, *xsdt, *rsdt, *t, *fadt = NULL;
	static uint8_t whole[ACPI_SIZE];
	struct acpi_files f;
	unsigned i, n;

	if (c.vmgenid != 0)
		c.vmgenid = ACPI_VMGENID_OFFSET;
	assert_int_equal(acpi_files_build(&f, &c), 0);
	blobs[0] = (struct blob){
	    ACPI_FILE_RSDP, f.rsdp, sizeof(f.rsdp), 0, NULL};
	blobs[1] = (struct blob){
	    ACPI_FILE_TABLES, f.tables, f.tables_len, 0, NULL};
	blobs[2] = (struct blob){
	    ACPI_FILE_VMGENID, guid, sizeof(guid), 0, NULL};
	used = 0;
	run(f.loader, f.loader_len);
	assert_true((blobs[2].gpa != 0) == (c.vmgenid != 0));

	rsdp = blobs[0].at;
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	xsdt = table(le64_get(rsdp + 24), "XSDT");
	rsdt = table(le32_get(rsdp + 16), "RSDT");
	n = (le32_get(xsdt + 4) - 36) / 8;
	assert_int_equal(n, (le32_get(rsdt + 4) - 36) / 4);
	for (i = 0; i < n; i++) {
		t = table(le64_get(xsdt + 36 + 8 * i), NULL);
		assert_true(le64_get(xsdt + 36 + 8 * i) ==
			    le32_get(rsdt + 36 + 4 * i));
		if (memcmp(t, "FACP", 4) == 0)
			fadt = t;
	}
	assert_non_null(fadt);
	table(le32_get(fadt + 36), "FACS");
	t = table(le32_get(fadt + 40), "DSDT");
	assert_true(le64_get(fadt + 132) == le32_get(fadt + 36));
	assert_true(le64_get(fadt + 140) == le32_get(fadt + 40));
	if (c.vmgenid != 0)
		assert_true(generation(t) == blobs[2].gpa + 40);
	else
		assert_true(generation(t) == 0);
	/* The same as if they had been made for there. */
	c.vmgenid = c.vmgenid != 0 ? blobs[2].gpa + 40 : 0;
	n = (unsigned)acpi_build(&c, blobs[1].gpa, whole);
	assert_int_equal(n, blobs[1].len);
	assert_memory_equal(whole + 36, blobs[1].at + 36, n - 36);
	acpi_files_fini(&f);
}

static void
test_script(void **state)
{
	static const uint64_t bases[] = {0x100000, 0x7ffe0000, 0xbff00000};
	size_t i, e;

	(void)state;
	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		base = bases[i];
		for (e = 0; e < ACPI_EXAMPLES; e++)
			check(&acpi_examples[e]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_script),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
