/* SPDX-License-Identifier: BSD-2-Clause */
/* System description tables: ACPI 6.4, chapter 5. */
#include "firmware/acpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/acpi_priv.h"
#include "firmware/aml.h"
#include "firmware/le.h"
#include "gmem/gmem.h"

#define FACS_SIZE 64u
/* bhyve's is revision 5, 268 bytes; iasl of 2020 takes that for cut off, and
 * revision 6 only adds a name. */
#define FADT_SIZE  276u
#define HPET_SIZE  56u
#define MCFG_SIZE  60u
#define LAPIC_BASE 0xfee00000u

struct tables {
	const struct acpi_config *cfg;
	uint64_t base;
	uint8_t *buf;
	size_t len;
	uint64_t dsdt, facs;
	uint64_t list[8]; /* what XSDT and RSDT name */
	unsigned nlist;
	int error;
	struct acpi_fixups *fix; /* or NULL */
};

static uint8_t
checksum(const uint8_t *p, size_t len)
{
	unsigned sum = 0;

	while (len-- > 0)
		sum += *p++;
	return ((uint8_t)(0u - sum));
}

/* Room for a table, aligned to 64 bytes (which FACS must be). */
static uint8_t *
table_room(struct tables *t, size_t len, uint64_t *gpa)
{
	size_t at = (t->len + 63) & ~(size_t)63;

	if (at > ACPI_SIZE || len > ACPI_SIZE - at) {
		t->error = -ENOSPC;
		return (NULL);
	}
	t->len = at + len;
	*gpa = t->base + at;
	return (t->buf + at);
}

static uint8_t *
table_new(struct tables *t, const char *sig, uint8_t rev, const char *id,
    size_t len, uint64_t *gpa)
{
	uint8_t *p;

	p = table_room(t, len, gpa);
	if (p == NULL)
		return (NULL);
	memcpy(p, sig, 4);
	le32_put(p + 4, (uint32_t)len);
	p[8] = rev;
	memcpy(p + 10, "BHYVE ", 6);
	memcpy(p + 16, id, 8);
	le32_put(p + 24, 1);
	memcpy(p + 28, "LHYV", 4);
	le32_put(p + 32, 1);
	return (p);
}

static void
table_done(struct tables *t, uint8_t *p)
{
	struct acpi_fixups *fix = t->fix;

	p[9] = 0;
	p[9] = checksum(p, le32_get(p + 4));
	if (fix == NULL)
		return;
	if (fix->nsums == sizeof(fix->sum) / sizeof(fix->sum[0])) {
		t->error = -ENOSPC;
		return;
	}
	fix->sum[fix->nsums++] = (struct acpi_sum){
	    (uint32_t)(p - t->buf), le32_get(p + 4)};
}

static void
note_pointer(struct tables *t, const uint8_t *p, uint8_t size, bool vmgenid)
{
	struct acpi_fixups *fix = t->fix;

	if (fix == NULL)
		return;
	if (fix->npointers == sizeof(fix->pointer) / sizeof(fix->pointer[0])) {
		t->error = -ENOSPC;
		return;
	}
	fix->pointer[fix->npointers++] = (struct acpi_pointer){
	    (uint32_t)(p - t->buf), size, vmgenid};
}

/* The address of another table. */
static void
point32(struct tables *t, uint8_t *p, uint64_t gpa)
{
	le32_put(p, (uint32_t)gpa);
	note_pointer(t, p, 4, false);
}

static void
point64(struct tables *t, uint8_t *p, uint64_t gpa)
{
	le64_put(p, gpa);
	note_pointer(t, p, 8, false);
}

static void
list_add(struct tables *t, uint64_t gpa)
{
	t->list[t->nlist++] = gpa;
}

/* Generic address structure (5.2.3.2). */
static void
gas(uint8_t *p, uint8_t space, unsigned bytes, uint8_t access, uint64_t addr)
{
	p[0] = space; /* 0: memory, 1: I/O */
	p[1] = (uint8_t)(bytes * 8);
	p[2] = 0;
	p[3] = access; /* 1: byte, 2: word, 3: dword, 4: qword */
	le64_put(p + 4, addr);
}

/* Where generation() of dsdt.c has the low half of the address: Package (2)
 * {DWordConst, ...} under the name ADDR. */
static void
note_vmgenid(struct tables *t, const uint8_t *body, size_t len)
{
	size_t i;

	for (i = 0; i + 12 <= len; i++)
		if (memcmp(body + i, "\x08" "ADDR\x12", 6) == 0 &&
		    body[i + 7] == 2 && body[i + 8] == 0x0c) {
			note_pointer(t, body + i + 9, 4, true);
			return;
		}
	t->error = -EINVAL;
}

static void
build_dsdt(struct tables *t)
{
	struct aml a;
	uint8_t *p;

	aml_init(&a);
	acpi_dsdt(&a, t->cfg);
	t->error = aml_error(&a);
	if (t->error == 0) {
		/* Revision 2: integers have 64 bits. */
		p = table_new(
		    t, "DSDT", 2, "BVDSDT  ", ACPI_HDR + a.len, &t->dsdt);
		if (p != NULL) {
			memcpy(p + ACPI_HDR, a.buf, a.len);
			if (t->cfg->vmgenid != 0)
				note_vmgenid(t, p + ACPI_HDR, a.len);
			table_done(t, p);
		}
	}
	aml_fini(&a);
}

/* 5.2.10 */
static void
build_facs(struct tables *t)
{
	uint8_t *p;

	p = table_room(t, FACS_SIZE, &t->facs);
	if (p == NULL)
		return;
	memcpy(p, "FACS", 4);
	le32_put(p + 4, FACS_SIZE);
	p[32] = 2; /* version */
}

/* 5.2.9 */
static void
build_fadt(struct tables *t)
{
	const struct acpi_config *cfg = t->cfg;
	uint64_t gpa;
	uint8_t *p;

	p = table_new(t, "FACP", 6, "BVFACP  ", FADT_SIZE, &gpa);
	if (p == NULL)
		return;
	point32(t, p + 36, t->facs);
	point32(t, p + 40, t->dsdt);
	p[44] = 1; /* reserved; "multiple APIC" in ACPI 1.0 */
	le16_put(p + 46, cfg->sci_irq);
	le32_put(p + 48, ACPI_SMI_CMD);
	p[52] = ACPI_SMI_ENABLE;
	p[53] = ACPI_SMI_DISABLE;
	le32_put(p + 56, ACPI_PM1_EVT);
	le32_put(p + 64, ACPI_PM1_CNT);
	le32_put(p + 76, ACPI_PM_TIMER);
	p[88] = 4; /* PM1_EVT_LEN */
	p[89] = 2; /* PM1_CNT_LEN */
	p[91] = 4; /* PM_TMR_LEN */
	if (cfg->gpe0) {
		le32_put(p + 80, ACPI_GPE0);
		p[92] = 2; /* GPE0_BLK_LEN */
		gas(p + 220, 1, 2, 1, ACPI_GPE0);
	}
	le16_put(p + 96, 101); /* latencies past these: no C2, C3 */
	le16_put(p + 98, 1001);
	p[108] = 0x32; /* century byte in the CMOS */
	/* No VGA, no ASPM; devices of the PC; its keyboard controller. */
	le16_put(p + 109, (uint16_t)(0x0014 | (cfg->isa ? 0x01 : 0) |
				     (cfg->i8042 ? 0x02 : 0)));
	/* WBINVD, C1, no sleep button, 32-bit PM timer, reset register,
	 * headless, physical APIC destinations. The power button is a fixed
	 * one. */
	le32_put(p + 112, 0x00081525);
	gas(p + 116, 1, 1, 1, ACPI_RESET_PORT);
	p[128] = ACPI_RESET_VALUE;
	point64(t, p + 132, t->facs);
	point64(t, p + 140, t->dsdt);
	gas(p + 148, 1, 4, 2, ACPI_PM1_EVT);
	gas(p + 172, 1, 2, 2, ACPI_PM1_CNT);
	gas(p + 208, 1, 4, 3, ACPI_PM_TIMER);
	memcpy(p + 268, "LHYVE", 5); /* hypervisor vendor identity */
	table_done(t, p);
	list_add(t, gpa);
}

/* Interrupt source override (5.2.12.5) of ISA interrupt irq. */
static uint8_t *
madt_override(uint8_t *p, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	p[0] = 2;
	p[1] = 10;
	p[3] = irq;
	le32_put(p + 4, gsi);
	le16_put(p + 8, flags);
	return (p + 10);
}

#define MPS_EDGE_HIGH 0x05u
#define MPS_LEVEL_LOW 0x0fu

static uint32_t
apic_id(const struct acpi_config *cfg, unsigned cpu)
{
	return (cfg->apic_id == NULL ? cpu :
				       cfg->apic_id(cfg->apic_id_arg, cpu));
}

/* Ids from here on need the structures of the x2APIC (5.2.12.12). */
#define X2APIC_IDS 255u

static unsigned
count_x2apics(const struct acpi_config *cfg)
{
	unsigned i, n = 0;

	for (i = 0; i < cfg->ncpus; i++)
		n += apic_id(cfg, i) >= X2APIC_IDS;
	return (n);
}

/* 5.2.12.2 and 5.2.12.12. The UID is that of the DSDT's device. */
static uint8_t *
madt_cpus(const struct acpi_config *cfg, uint8_t *e)
{
	uint32_t id;
	unsigned i;

	for (i = 0; i < cfg->ncpus; i++) {
		id = apic_id(cfg, i);
		if (id >= X2APIC_IDS) {
			e[0] = 9;
			e[1] = 16;
			le32_put(e + 4, id);
			le32_put(e + 8, 1); /* enabled */
			le32_put(e + 12, i);
			e += 16;
		} else {
			e[1] = 8;
			e[2] = (uint8_t)i;
			e[3] = (uint8_t)id;
			le32_put(e + 4, 1);
			e += 8;
		}
	}
	return (e);
}

/* 5.2.12 */
static void
build_madt(struct tables *t)
{
	const struct acpi_config *cfg = t->cfg;
	const unsigned x2apics = count_x2apics(cfg);
	size_t len;
	uint64_t gpa;
	uint8_t *p, *e;

	len = ACPI_HDR + 8 + (size_t)(cfg->ncpus - x2apics) * 8 +
	      (size_t)x2apics * 16 + 12 + 10 + 10 + 6 +
	      (x2apics != 0 ? 12 : 0);
	p = table_new(t, "APIC", 3, "BVMADT  ", len, &gpa);
	if (p == NULL)
		return;
	le32_put(p + 36, LAPIC_BASE);
	le32_put(p + 40, 1); /* there are 8259s, too */
	e = madt_cpus(cfg, p + 44);
	e[0] = 1; /* IOAPIC 0, GSIs from 0 */
	e[1] = 12;
	le32_put(e + 4, cfg->ioapic_base);
	e += 12;
	e = madt_override(e, 0, 2, MPS_EDGE_HIGH);
	e = madt_override(e, cfg->sci_irq, cfg->sci_irq, MPS_LEVEL_LOW);
	/* NMI on LINT1 of every processor. */
	e[0] = 4;
	e[1] = 6;
	e[2] = 0xff;
	le16_put(e + 3, MPS_EDGE_HIGH);
	e[5] = 1;
	if (x2apics != 0) {
		e += 6;
		e[0] = 10;
		e[1] = 12;
		le16_put(e + 2, MPS_EDGE_HIGH);
		le32_put(e + 4, 0xffffffff);
		e[8] = 1;
	}
	table_done(t, p);
	list_add(t, gpa);
}

/* 5.2.16: which processors and what memory belong together. */
static void
build_srat(struct tables *t)
{
	const struct acpi_config *cfg = t->cfg;
	const unsigned x2apics = count_x2apics(cfg);
	uint8_t *p, *e;
	uint64_t gpa;
	uint32_t id;
	size_t i;

	p = table_new(t, "SRAT", 3, "BVSRAT  ",
	    ACPI_HDR + 12 + (size_t)(cfg->ncpus - x2apics) * 16 +
		(size_t)x2apics * 24 + cfg->nmemory * 40,
	    &gpa);
	if (p == NULL)
		return;
	le32_put(p + 36, 1); /* reserved, "must be 1" */
	e = p + 48;
	for (i = 0; i < cfg->ncpus; i++) {
		id = apic_id(cfg, (unsigned)i);
		if (id >= X2APIC_IDS) {
			e[0] = 2;
			e[1] = 24;
			le32_put(e + 4, cfg->cpu_domain[i]);
			le32_put(e + 8, id);
			le32_put(e + 12, 1); /* enabled */
			e += 24;
		} else {
			e[1] = 16;
			e[2] = cfg->cpu_domain[i];
			e[3] = (uint8_t)id;
			le32_put(e + 4, 1);
			e += 16;
		}
	}
	for (i = 0; i < cfg->nmemory; i++, e += 40) {
		e[0] = 1;
		e[1] = 40;
		le32_put(e + 2, cfg->memory[i].domain);
		le64_put(e + 8, cfg->memory[i].base);
		le64_put(e + 16, cfg->memory[i].len);
		le32_put(e + 28, 1);
	}
	table_done(t, p);
	list_add(t, gpa);
}

/* 5.2.17: distances; 10 is "here". */
static void
build_slit(struct tables *t)
{
	const unsigned n = t->cfg->ndomains;
	uint64_t gpa;
	unsigned i;
	uint8_t *p;

	p = table_new(
	    t, "SLIT", 1, "BVSLIT  ", ACPI_HDR + 8 + (size_t)n * n, &gpa);
	if (p == NULL)
		return;
	le64_put(p + 36, n);
	for (i = 0; i < n * n; i++)
		p[44 + i] = i % (n + 1) == 0 ? 10 : 20;
	table_done(t, p);
	list_add(t, gpa);
}

/* IA-PC HPET specification 1.0a, section 3.2.4 */
static void
build_hpet(struct tables *t)
{
	uint64_t gpa;
	uint8_t *p;

	if (t->cfg->hpet_base == 0)
		return;
	p = table_new(t, "HPET", 1, "BVHPET  ", HPET_SIZE, &gpa);
	if (p == NULL)
		return;
	le32_put(p + 36, t->cfg->hpet_id);
	gas(p + 40, 0, 0, 0, t->cfg->hpet_base);
	p[55] = 1; /* nothing else in its 4 KiB page */
	table_done(t, p);
	list_add(t, gpa);
}

/* PCI Firmware Specification 3.0, section 4.1.2 */
static void
build_mcfg(struct tables *t)
{
	uint64_t gpa;
	uint8_t *p;

	if (t->cfg->ecam_base == 0)
		return;
	p = table_new(t, "MCFG", 1, "BVMCFG  ", MCFG_SIZE, &gpa);
	if (p == NULL)
		return;
	le64_put(p + 44, t->cfg->ecam_base);
	p[55] = 255; /* buses 0-255 of segment 0 */
	table_done(t, p);
	list_add(t, gpa);
}

static void
build_root(struct tables *t)
{
	uint64_t xsdt, rsdt;
	uint8_t *p, *q, *r = t->buf;
	unsigned i;

	p = table_new(t, "XSDT", 1, "BVXSDT  ", ACPI_HDR + 8 * t->nlist, &xsdt);
	q = table_new(t, "RSDT", 1, "BVRSDT  ", ACPI_HDR + 4 * t->nlist, &rsdt);
	if (p == NULL || q == NULL)
		return;
	for (i = 0; i < t->nlist; i++) {
		point64(t, p + ACPI_HDR + i * 8, t->list[i]);
		point32(t, q + ACPI_HDR + i * 4, t->list[i]);
	}
	table_done(t, p);
	table_done(t, q);

	memcpy(r, "RSD PTR ", 8);
	memcpy(r + 9, "BHYVE ", 6);
	r[15] = 2;
	point32(t, r + 16, rsdt);
	le32_put(r + 20, ACPI_RSDP_SIZE);
	point64(t, r + 24, xsdt);
	r[8] = checksum(r, 20);
	r[32] = checksum(r, ACPI_RSDP_SIZE);
}

int
acpi_build(const struct acpi_config *cfg, uint64_t base, uint8_t *buf)
{
	return (acpi_build_noting(cfg, base, buf, NULL));
}

int
acpi_build_noting(const struct acpi_config *cfg, uint64_t base, uint8_t *buf,
    struct acpi_fixups *fix)
{
	struct tables t = {.cfg = cfg, .base = base, .buf = buf, .fix = fix};

	memset(buf, 0, ACPI_SIZE);
	t.len = ACPI_RSDP_SIZE;
	build_dsdt(&t);
	if (t.error == 0)
		build_facs(&t);
	if (t.error == 0)
		build_madt(&t);
	if (t.error == 0)
		build_fadt(&t);
	if (t.error == 0)
		build_hpet(&t);
	if (t.error == 0)
		build_mcfg(&t);
	if (t.error == 0 && cfg->ndomains != 0)
		build_srat(&t);
	if (t.error == 0 && cfg->ndomains != 0)
		build_slit(&t);
	if (t.error == 0)
		build_root(&t);
	return (t.error != 0 ? t.error : (int)t.len);
}

int
acpi_install(struct gmem *gm, const struct acpi_config *cfg, uint64_t *rsdp)
{
	uint8_t *buf;
	int n;

	buf = malloc(ACPI_SIZE);
	if (buf == NULL)
		return (-ENOMEM);
	n = acpi_build(cfg, ACPI_BASE, buf);
	if (n > 0)
		n = gmem_write(gm, ACPI_BASE, buf, (size_t)n);
	free(buf);
	if (n == 0)
		*rsdp = ACPI_BASE;
	return (n);
}
