/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of any machine that a configuration can make, and more, ACPI's,
 * the MP table and SMBIOS: they must fit, point to each other, and sum up to
 * zero.
 */
#include <errno.h>
#include <string.h>

#include "firmware/acpi.h"
#include "firmware/e820.h"
#include "firmware/le.h"
#include "firmware/mptable.h"
#include "firmware/smbios.h"
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

static void
check_mptable(const struct acpi_config *cfg, const struct acpi_prt *prt,
    size_t nprt)
{
	struct mptable_config mc = {
	    .ncpus = cfg->ncpus,
	    .ioapic_base = cfg->ioapic_base,
	    .sci_irq = cfg->sci_irq,
	    .prt = prt,
	    .nprt = nprt,
	};
	uint8_t *buf = malloc(MPTABLE_SIZE); /* so that ASan sees its end */
	uint32_t len;
	int n;

	if (buf == NULL)
		abort();
	n = mptable_build(&mc, buf);
	FUZZ_CHECK(n == -ENOSPC || (n > 60 && n <= (int)MPTABLE_SIZE));
	if (n > 0) {
		len = le16_get(buf + 20);
		FUZZ_CHECK((int)len + 16 == n);
		FUZZ_CHECK(sum(buf, 16) == 0 && sum(buf + 16, len) == 0);
	}
	free(buf);
}

static void
check_smbios(struct fuzz_in *in)
{
	struct smbios_config sc = {0};
	char text[64];
	uint8_t *buf = malloc(SMBIOS_SIZE);
	size_t len;
	int n;

	if (buf == NULL)
		abort();
	sc.sockets = fuzz_u8(in);
	sc.cores = (unsigned)fuzz_take(in, 2);
	sc.threads = fuzz_u8(in);
	sc.lowmem = fuzz_u32(in) & ~0xfffu;
	sc.highmem = fuzz_take(in, 6) & ~0xfffull;
	len = fuzz_u8(in) % sizeof(text);
	memset(text, 't', sizeof(text));
	text[len] = '\0';
	for (unsigned i = 0; i < SMBIOS_TEXTS; i++)
		sc.text[i] = fuzz_u8(in) & 1 ? text : NULL;
	n = smbios_build(&sc, buf);
	FUZZ_CHECK(n == -ENOSPC || (n > 0x40 && n <= (int)SMBIOS_SIZE));
	if (n > 0) {
		FUZZ_CHECK(sum(buf, 0x18) == 0 && sum(buf + 0x20, 0x1f) == 0);
		FUZZ_CHECK((int)le32_get(buf + 0x0c) + 0x40 == n);
	}
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct acpi_config cfg = {0};
	struct acpi_root roots[ROOTS_MAX];
	struct acpi_memory memory[ACPI_DOMAINS_MAX];
	struct acpi_prt prt[PRT_MAX];
	uint8_t domains[64];
	uint8_t *buf, flags;
	int len;

	check_map(&in);
	flags = fuzz_u8(&in);
	cfg.ncpus = (unsigned)fuzz_take(&in, 2);
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
	check_mptable(&cfg, prt, fuzz_u8(&in) % PRT_MAX);
	check_smbios(&in);
	if (flags & 1) {
		for (size_t i = 0; i < sizeof(domains); i++)
			domains[i] = fuzz_u8(&in);
		for (unsigned i = 0; i < ACPI_DOMAINS_MAX; i++)
			memory[i] = (struct acpi_memory){
			    fuzz_u8(&in), fuzz_u64(&in), fuzz_u64(&in)};
		cfg.vmgenid = ACPI_VMGENID;
		cfg.ncpus %= sizeof(domains) + 1;
		cfg.ndomains = 1 + fuzz_u8(&in) % ACPI_DOMAINS_MAX;
		cfg.cpu_domain = domains;
		cfg.memory = memory;
		cfg.nmemory = fuzz_u8(&in) % (ACPI_DOMAINS_MAX + 1);
	}
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
