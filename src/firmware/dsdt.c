/* SPDX-License-Identifier: BSD-2-Clause */
/* The DSDT: what is on the board and does not say so itself. */
#include <stdio.h>

#include "firmware/acpi_priv.h"
#include "firmware/aml.h"

/* A device behind the ISA bridge with ports and, perhaps, an interrupt. */
struct isa_device {
	const char *name, *hid;
	int uid; /* -1: none */
	int irq; /* -1: none */
	struct {
		uint16_t base;
		uint8_t len;
	} io[2];
};

static const struct isa_device coms[ACPI_COMS] = {
    {"COM1", "PNP0501", 1, 4, {{0x3f8, 8}}},
    {"COM2", "PNP0501", 2, 3, {{0x2f8, 8}}},
    {"COM3", "PNP0501", 3, 4, {{0x3e8, 8}}},
    {"COM4", "PNP0501", 4, 3, {{0x2e8, 8}}},
};

static const struct isa_device chips[] = {
    {"RTC", "PNP0B00", -1, 8, {{0x70, 2}}},
    {"PIC", "PNP0000", -1, 2, {{0x20, 2}, {0xa0, 2}}},
    {"TIMR", "PNP0100", -1, 0, {{0x40, 4}}},
};

static const struct isa_device keyboard[] = {
    {"KBD", "PNP0303", -1, 1, {{0x60, 1}, {0x64, 1}}},
    /* The keyboard's ports are the mouse's, too, and claimed there. */
    {"MOU", "PNP0F13", -1, 12, {{0, 0}}},
};

static void
isa_device(struct aml *a, const struct isa_device *d)
{
	unsigned i;

	aml_device(a, d->name);
	aml_name_eisaid(a, "_HID", d->hid);
	if (d->uid >= 0)
		aml_name_int(a, "_UID", (unsigned)d->uid);
	aml_name(a, "_CRS");
	aml_resources(a);
	for (i = 0; i < 2; i++)
		if (d->io[i].len != 0)
			aml_res_io(a, d->io[i].base, d->io[i].len);
	if (d->irq >= 0)
		aml_res_irq(a, (unsigned)d->irq);
	aml_end(a);
	aml_end(a);
}

/* What is taken without a device of its own. */
static void
reserved(struct aml *a, const struct acpi_config *cfg)
{
	aml_device(a, "SIO");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_io(a, 0x4d0, 2); /* ELCR */
	aml_res_io(a, 0x61, 1);
	aml_res_io(a, 0x92, 1);
	aml_res_io(a, ACPI_SMI_CMD, 1);
	aml_res_io(a, ACPI_PM1_EVT, 4);
	aml_res_io(a, ACPI_PM1_CNT, 2);
	aml_res_io(a, ACPI_PM_TIMER, 4);
	if (cfg->gpe0)
		aml_res_io(a, ACPI_GPE0, 2);
	/* PCI Firmware Specification 3.0, 4.1.2: below _SB, not the bridge. */
	if (cfg->ecam_base != 0)
		aml_res_mem32(a, cfg->ecam_base, 256u << 20, true);
	aml_end(a);
	aml_end(a);
}

static void
isa_bridge(struct aml *a, const struct acpi_config *cfg)
{
	unsigned i;

	aml_device(a, "ISA");
	aml_name_int(a, "_ADR", (uint32_t)cfg->isa_slot << 16 | cfg->isa_func);
	acpi_links(a, cfg);
	for (i = 0; i < ACPI_COMS; i++)
		if (cfg->com[i])
			isa_device(a, &coms[i]);
	for (i = 0; i < sizeof(chips) / sizeof(chips[0]); i++)
		isa_device(a, &chips[i]);
	if (cfg->i8042)
		for (i = 0; i < 2; i++)
			isa_device(a, &keyboard[i]);
	aml_end(a);
}

static void
hpet(struct aml *a, const struct acpi_config *cfg)
{
	aml_device(a, "HPET");
	aml_name_eisaid(a, "_HID", "PNP0103");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_mem32(a, cfg->hpet_base, 0x400, true);
	aml_end(a);
	aml_end(a);
}

static void
root_windows(struct aml *a, const struct acpi_root *r)
{
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_bus_range(a, r->bus, r->bus);
	if (r->bus == 0) {
		aml_res_io(a, 0xcf8, 8);
		aml_res_io_window(a, 0x0000, 0x0cf7);
		if (r->io_limit > 0xd00)
			aml_res_io_window(
			    a, 0x0d00, (uint16_t)(r->io_limit - 1));
	} else if (r->io_limit > r->io_base) {
		aml_res_io_window(
		    a, (uint16_t)r->io_base, (uint16_t)(r->io_limit - 1));
	}
	if (r->mem32_limit > r->mem32_base)
		aml_res_mem32_window(a, r->mem32_base, r->mem32_limit - 1);
	if (r->mem64_limit > r->mem64_base)
		aml_res_mem64_window(a, r->mem64_base, r->mem64_limit - 1);
	aml_end(a);
}

/* A root for each bus, as there are no bridges between them. */
static void
root(struct aml *a, const struct acpi_config *cfg, const struct acpi_root *r)
{
	static const char hex[] = "0123456789ABCDEF";
	char name[] = "PC00";

	name[2] = hex[r->bus >> 4];
	name[3] = hex[r->bus & 15];
	aml_device(a, name);
	aml_name_eisaid(a, "_HID", "PNP0A03");
	aml_name_int(a, "_UID", r->bus);
	aml_name_int(a, "_BBN", r->bus);
	/* 6.2.15: as near to one domain as to another; this is the first. */
	if (cfg->ndomains != 0)
		aml_name_int(a, "_PXM", 0);
	root_windows(a, r);
	acpi_routing(a, cfg, r);
	if (cfg->isa && r->bus == 0)
		isa_bridge(a, cfg);
	aml_end(a);
}

/* 8.4: the MADT names the processors by their UIDs. */
static void
processors(struct aml *a, unsigned n)
{
	char name[8];
	unsigned i;

	/* Past that it will not fit whatever comes. */
	for (i = 0; i < n && a->len <= ACPI_SIZE; i++) {
		(void)snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_device(a, name);
		aml_name_string(a, "_HID", "ACPI0007");
		aml_name_int(a, "_UID", i);
		aml_end(a);
	}
}

/*
 * Microsoft, "Virtual Machine Generation ID", 2012. Guests go by the
 * compatible ids; the second is a later one, which keeps to the form that
 * ACPI has for them. bhyve's own id, "Bhyve_V_Gen_Counter_V1", does not.
 */
static void
generation(struct aml *a, uint64_t gpa)
{
	aml_device(a, "GENC");
	aml_name_string(a, "_HID", "BHYV0001");
	aml_name(a, "_CID");
	aml_package(a, 2);
	aml_string(a, "VM_Gen_Counter");
	aml_string(a, "VMGENCTR");
	aml_end(a);
	aml_name_string(a, "_DDN", "VM_Gen_Counter");
	aml_name(a, "ADDR");
	aml_package(a, 2);
	aml_dword(a, (uint32_t)gpa); /* acpi.c looks for it */
	aml_int(a, gpa >> 32);
	aml_end(a);
	aml_end(a);
}

/* 5.6.4.1.1: general-purpose event 0, edge-triggered. */
static void
events(struct aml *a)
{
	aml_scope(a, "\\_GPE");
	aml_method(a, "_E00", 0, false);
	aml_notify(a);
	aml_path(a, "\\_SB.GENC");
	aml_int(a, 0x80);
	aml_end(a);
	aml_end(a);
}

void
acpi_dsdt(struct aml *a, const struct acpi_config *cfg)
{
	size_t i;

	/* Soft off: SLP_TYP 5, as the PM1 control register wants it. */
	aml_name(a, "_S5");
	aml_package(a, 2);
	aml_int(a, 5);
	aml_int(a, 0);
	aml_end(a);
	/* _PIC(1): the guest uses the IOAPIC (5.8.1). */
	aml_name_int(a, "PICM", 0);
	aml_method(a, "_PIC", 1, false);
	aml_store(a);
	aml_arg(a, 0);
	aml_path(a, "PICM");
	aml_end(a);

	aml_scope(a, "\\_SB");
	for (i = 0; i < cfg->nroots; i++)
		root(a, cfg, &cfg->roots[i]);
	/* Not below PC00: its windows do not pass the chips' addresses. */
	if (cfg->hpet_base != 0)
		hpet(a, cfg);
	reserved(a, cfg);
	processors(a, cfg->ncpus);
	if (cfg->vmgenid != 0)
		generation(a, cfg->vmgenid);
	aml_end(a);
	if (cfg->vmgenid != 0)
		events(a);
}
