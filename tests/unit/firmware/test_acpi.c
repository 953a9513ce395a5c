/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "acpi_example.h"
#include "firmware/le.h"
#include "gmem/gmem.h"

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

/* The table at gpa, whole and with the right checksum. */
static const uint8_t *
table(const uint8_t *buf, int size, uint64_t gpa)
{
	uint64_t off = gpa - ACPI_BASE;
	uint32_t len;

	assert_true(off < (uint64_t)size && (uint64_t)size - off >= 36);
	len = le32_get(buf + off + 4);
	assert_true(len >= 36 && len <= (uint64_t)size - off);
	if (memcmp(buf + off, "FACS", 4) != 0)
		assert_int_equal(sum(buf + off, len), 0);
	return (buf + off);
}

static const uint8_t *
find(const uint8_t *buf, int size, const char *sig)
{
	const uint8_t *xsdt, *t;
	uint32_t i;

	xsdt = table(buf, size, le64_get(buf + 24));
	assert_memory_equal(xsdt, "XSDT", 4);
	for (i = 36; i < le32_get(xsdt + 4); i += 8) {
		t = table(buf, size, le64_get(xsdt + i));
		if (memcmp(t, sig, 4) == 0)
			return (t);
	}
	return (NULL);
}

static void
test_tables(void **state)
{
	static uint8_t buf[ACPI_SIZE];
	const uint8_t *rsdt, *xsdt, *fadt;
	size_t e, i, n;
	int size;

	(void)state;
	for (e = 0; e < ACPI_EXAMPLES; e++) {
		size = acpi_build(&acpi_examples[e], ACPI_BASE, buf);
		assert_true(size > 0);
		assert_memory_equal(buf, "RSD PTR ", 8);
		assert_int_equal(sum(buf, 20), 0);
		assert_int_equal(sum(buf, 36), 0);
		assert_int_equal(buf[15], 2);
		rsdt = table(buf, size, le32_get(buf + 16));
		xsdt = table(buf, size, le64_get(buf + 24));
		assert_memory_equal(rsdt, "RSDT", 4);
		n = (le32_get(rsdt + 4) - 36) / 4;
		assert_int_equal(le32_get(xsdt + 4), 36 + 8 * n);
		for (i = 0; i < n; i++)
			assert_true(le32_get(rsdt + 36 + 4 * i) ==
				    le64_get(xsdt + 36 + 8 * i));
		assert_int_equal(find(buf, size, "HPET") != NULL,
		    acpi_examples[e].hpet_base != 0);
		assert_int_equal(find(buf, size, "MCFG") != NULL,
		    acpi_examples[e].ecam_base != 0);
		assert_non_null(find(buf, size, "APIC"));
		fadt = find(buf, size, "FACP");
		assert_non_null(fadt);
		assert_memory_equal(
		    table(buf, size, le64_get(fadt + 140)), "DSDT", 4);
		assert_memory_equal(
		    table(buf, size, le64_get(fadt + 132)), "FACS", 4);
		assert_int_equal(le64_get(fadt + 132) % 64, 0);
		assert_int_equal(fadt[128], 6);
		assert_int_equal(le64_get(fadt + 120), 0xcf9);
	}
}

/* Where old systems look for it: on a multiple of 16 below 1 MiB. */
static void
test_install(void **state)
{
	struct gmem *gm;
	uint8_t sig[8];
	uint64_t rsdp;

	(void)state;
	assert_int_equal(gmem_create(&gm, 16 << 20), 0);
	assert_int_equal(acpi_install(gm, &acpi_examples[0], &rsdp), 0);
	assert_true(rsdp >= 0xe0000 && rsdp < 0x100000 && rsdp % 16 == 0);
	assert_int_equal(gmem_read(gm, rsdp, sig, sizeof(sig)), 0);
	assert_memory_equal(sig, "RSD PTR ", 8);
	gmem_destroy(gm);
}

static uint32_t
sparse_id(const void *arg, unsigned cpu)
{
	return (cpu * *(const unsigned *)arg + 1);
}

/* The table "APIC" in what was built. */
static const uint8_t *
find_madt(const uint8_t *buf)
{
	for (size_t i = 0; i + 44 < ACPI_SIZE; i += 4)
		if (memcmp(buf + i, "APIC", 4) == 0 &&
		    memcmp(buf + i + 10, "BHYVE ", 6) == 0)
			return (buf + i);
	fail_msg("no MADT");
	return (NULL);
}

/* Processors have the ids that the machine gave their local APICs. */
static void
test_apic_ids(void **state)
{
	static uint8_t buf[ACPI_SIZE];
	struct acpi_config cfg = acpi_examples[0];
	unsigned step = 4;
	const uint8_t *e;

	(void)state;
	cfg.ncpus = 3;
	cfg.apic_id = sparse_id;
	cfg.apic_id_arg = &step;
	memset(buf, 0, sizeof(buf));
	assert_true(acpi_build(&cfg, ACPI_BASE, buf) > 0);
	e = find_madt(buf) + 44;
	for (unsigned i = 0; i < 3; i++, e += 8) {
		assert_int_equal(e[0], 0);
		assert_int_equal(e[2], i);
		assert_int_equal(e[3], i * 4 + 1);
	}
	/* Ids of 255 and more are x2APIC entries, and they alone. */
	step = 127;
	memset(buf, 0, sizeof(buf));
	assert_true(acpi_build(&cfg, ACPI_BASE, buf) > 0);
	e = find_madt(buf) + 44;
	for (unsigned i = 0; i < 2; i++, e += 8) {
		assert_int_equal(e[0], 0);
		assert_int_equal(e[2], i);
		assert_int_equal(e[3], i * 127 + 1);
	}
	assert_int_equal(e[0], 9);
	assert_int_equal(le32_get(e + 4), 255);
	assert_int_equal(le32_get(e + 12), 2);
	/* The NMI pin of either kind. */
	e = find_madt(buf);
	e += le32_get(e + 4) - 12;
	assert_int_equal(e[0], 10);
	assert_int_equal(e[-6], 4);
}

/* Processors by the ids that the MADT has, memory as it was divided. */
static void
test_domains(void **state)
{
	static uint8_t buf[ACPI_SIZE];
	const struct acpi_config *cfg;
	const uint8_t *srat, *slit, *madt, *e, *m;
	unsigned i, n;
	size_t k;
	int size;

	(void)state;
	for (k = 0; k < ACPI_EXAMPLES; k++) {
		cfg = &acpi_examples[k];
		size = acpi_build(cfg, ACPI_BASE, buf);
		srat = find(buf, size, "SRAT");
		slit = find(buf, size, "SLIT");
		assert_int_equal(srat != NULL, cfg->ndomains != 0);
		assert_int_equal(slit != NULL, cfg->ndomains != 0);
		if (srat == NULL)
			continue;
		n = cfg->ndomains;
		assert_int_equal(le64_get(slit + 36), n);
		assert_int_equal(le32_get(slit + 4), 44 + n * n);
		for (i = 0; i < n * n; i++)
			assert_int_equal(
			    slit[44 + i], i / n == i % n ? 10 : 20);
		madt = find(buf, size, "APIC");
		e = srat + 48;
		m = madt + 44;
		for (i = 0; i < cfg->ncpus; i++, e += e[1], m += m[1]) {
			assert_int_equal(e[0], m[0] == 0 ? 0 : 2);
			if (m[0] == 0) {
				assert_int_equal(e[3], m[3]);
				assert_int_equal(e[2], cfg->cpu_domain[i]);
				assert_int_equal(le32_get(e + 4), 1);
			} else {
				assert_true(
				    le32_get(e + 8) == le32_get(m + 4));
				assert_int_equal(
				    le32_get(e + 4), cfg->cpu_domain[i]);
				assert_int_equal(le32_get(e + 12), 1);
			}
		}
		for (i = 0; i < cfg->nmemory; i++, e += 40) {
			assert_int_equal(e[0], 1);
			assert_int_equal(
			    le32_get(e + 2), cfg->memory[i].domain);
			assert_true(
			    le64_get(e + 8) == cfg->memory[i].base &&
			    le64_get(e + 16) == cfg->memory[i].len);
			assert_int_equal(le32_get(e + 28), 1);
		}
		assert_ptr_equal(e, srat + le32_get(srat + 4));
	}
}

static void
test_too_big(void **state)
{
	static uint8_t buf[ACPI_SIZE];
	struct acpi_config cfg = acpi_examples[0];

	(void)state;
	cfg.ncpus = 65535;
	assert_int_equal(acpi_build(&cfg, ACPI_BASE, buf), -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_install),
	    cmocka_unit_test(test_apic_ids),
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_too_big),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
