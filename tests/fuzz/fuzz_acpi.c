/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of any machine that a configuration can make, and more: they
 * must fit, point to each other, and sum up to zero.
 */
#include <string.h>

#include "firmware/acpi.h"
#include "firmware/e820.h"
#include "firmware/le.h"
#include "fuzz.h"

#define PRT_MAX 64
#define ROOTS_MAX 8
#define CANARY 64

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

static void
check_tables(const uint8_t *buf, size_t len)
{
	uint64_t xsdt, at;
	uint32_t n, tlen;

	FUZZ_CHECK(memcmp(buf, "RSD PTR ", 8) == 0);
	FUZZ_CHECK(sum(buf, 20) == 0 && sum(buf, 36) == 0);
	xsdt = le64_get(buf + 24) - ACPI_BASE;
	FUZZ_CHECK(xsdt <= len - 36);
	n = le32_get(buf + xsdt + 4);
	FUZZ_CHECK(n >= 36 && n <= len - xsdt && (n - 36) % 8 == 0);
	FUZZ_CHECK(sum(buf + xsdt, n) == 0);
	for (uint32_t i = 36; i < n; i += 8) {
		at = le64_get(buf + xsdt + i) - ACPI_BASE;
		FUZZ_CHECK(at <= len - 36);
		tlen = le32_get(buf + at + 4);
		FUZZ_CHECK(tlen >= 36 && tlen <= len - at);
		FUZZ_CHECK(sum(buf + at, tlen) == 0);
	}
}

static void
check_map(struct fuzz_in *in)
{
	struct e820_entry map[E820_MAX];
	uint64_t low, high, ecam, end = 0;
	size_t n;

	low = (1ull << 20) + 4096 * (1 + fuzz_take(in, 3) % 0xbfeff);
	high = 4096 * (uint64_t)fuzz_u32(in);
	ecam = fuzz_u8(in) & 1 ? 0xe0000000u : 0;
	n = e820_build(map, low, high, ecam);
	FUZZ_CHECK(n >= 2 && n <= E820_MAX);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(map[i].len > 0 && map[i].base >= end);
		end = map[i].base + map[i].len;
		FUZZ_CHECK(end > map[i].base);
		FUZZ_CHECK(map[i].type != E820_RAM || end <= low ||
		    (map[i].base >= 1ull << 32 && end <= (1ull << 32) + high));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct acpi_config cfg = {0};
	struct acpi_root roots[ROOTS_MAX];
	struct acpi_prt prt[PRT_MAX];
	uint8_t *buf, flags;
	int len;

	check_map(&in);
	flags = fuzz_u8(&in);
	cfg.ncpus = (unsigned)fuzz_take(&in, 2);
	cfg.x2apic = flags & 1;
	cfg.gpe0 = flags & 2;
	cfg.isa = flags & 4;
	cfg.i8042 = flags & 8;
	for (unsigned i = 0; i < ACPI_COMS; i++)
		cfg.com[i] = flags & (16u << i);
	cfg.ioapic_base = fuzz_u32(&in);
	cfg.sci_irq = fuzz_u8(&in);
	cfg.hpet_base = fuzz_u32(&in);
	cfg.hpet_id = fuzz_u32(&in);
	cfg.ecam_base = fuzz_u32(&in) & 0xf0000000u;
	cfg.isa_slot = fuzz_u8(&in) & 31;
	cfg.isa_func = fuzz_u8(&in) & 7;
	cfg.pirq_irqs = (uint16_t)fuzz_take(&in, 2);
	cfg.nroots = 1 + fuzz_u8(&in) % ROOTS_MAX;
	memset(roots, 0, sizeof(roots));
	for (size_t i = 0; i < cfg.nroots; i++) {
		roots[i].bus = (uint8_t)(i * fuzz_u8(&in));
		roots[i].io_base = (uint32_t)fuzz_take(&in, 2);
		roots[i].io_limit = (uint32_t)fuzz_take(&in, 2);
		roots[i].mem32_base = fuzz_u32(&in) & ~0xfffu;
		roots[i].mem32_limit = fuzz_u32(&in) & ~0xfffu;
		roots[i].mem64_base = fuzz_u64(&in) & ~0xfffull;
		roots[i].mem64_limit = fuzz_u64(&in) & ~0xfffull;
		roots[i].prt = prt;
		roots[i].nprt = fuzz_u8(&in) % PRT_MAX;
	}
	for (unsigned i = 0; i < PRT_MAX; i++) {
		prt[i].slot = fuzz_u8(&in) & 31;
		prt[i].pin = fuzz_u8(&in) & 3;
		prt[i].gsi = fuzz_u8(&in);
	}
	cfg.roots = roots;
	buf = malloc(ACPI_SIZE + CANARY);
	if (buf == NULL)
		abort();
	memset(buf, 0xa5, ACPI_SIZE + CANARY);
	len = acpi_build(&cfg, ACPI_BASE, buf);
	FUZZ_CHECK(len <= (int)ACPI_SIZE);
	for (unsigned i = 0; i < CANARY; i++)
		FUZZ_CHECK(buf[ACPI_SIZE + i] == 0xa5);
	if (len > 0)
		check_tables(buf, (size_t)len);
	free(buf);
	return (0);
}
