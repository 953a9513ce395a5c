/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where PCI interrupts go: _PRT (ACPI 6.4, section 6.2.13), and for the PIC
 * the link devices of the PIRQ router (PNP0C0F, 6.2.13 and 6.2.16). All is
 * bhyve's: LNKA to LNKH below the ISA bridge.
 */
#include <stdio.h>

#include "firmware/acpi_priv.h"
#include "firmware/aml.h"

#define LINK_PRESENT  0x09u /* _STA: present, functioning, not enabled */
#define LINK_ENABLED  0x0bu
#define PIRQ_ROUT_OFF 0x80u

/* PIRV (value): is the router's register set to an IRQ it can have? */
static void
link_valid(struct aml *a, uint16_t irqs)
{
	aml_method(a, "PIRV", 1, false);
	aml_if(a);
	aml_and(a);
	aml_arg(a, 0);
	aml_int(a, PIRQ_ROUT_OFF);
	aml_no_target(a);
	aml_return(a);
	aml_int(a, 0);
	aml_end(a);
	aml_and(a);
	aml_arg(a, 0);
	aml_int(a, 0xf);
	aml_local(a, 0);
	aml_shift_right(a);
	aml_int(a, irqs);
	aml_local(a, 0);
	aml_local(a, 0);
	aml_return(a);
	aml_and(a);
	aml_local(a, 0);
	aml_int(a, 1);
	aml_no_target(a);
	aml_end(a);
}

/* The opening of If (PIRV (reg)). */
static void
if_valid(struct aml *a, const char *reg)
{
	aml_if(a);
	aml_path(a, "PIRV");
	aml_path(a, reg);
}

/* _CRS: the template with the IRQ of the register in it, or none. */
static void
link_crs(struct aml *a, const char *reg, const char *buf)
{
	aml_name(a, buf);
	aml_resources(a);
	aml_res_irqs(a, 0);
	aml_end(a);
	aml_method(a, "_CRS", 0, true);
	aml_create_word(a);
	aml_path(a, buf);
	aml_int(a, 1);
	aml_path(a, "CIRQ");
	if_valid(a, reg);
	aml_and(a);
	aml_path(a, reg);
	aml_int(a, 0xf);
	aml_local(a, 0);
	aml_shift_left(a);
	aml_int(a, 1);
	aml_local(a, 0);
	aml_path(a, "CIRQ");
	aml_end(a);
	aml_else(a);
	aml_store(a);
	aml_int(a, 0);
	aml_path(a, "CIRQ");
	aml_end(a);
	aml_return(a);
	aml_path(a, buf);
	aml_end(a);
}

static void
link_device(struct aml *a, unsigned n, uint16_t irqs)
{
	char name[] = "LNKA", reg[] = "PIRA", buf[] = "CRSA";

	name[3] = reg[3] = buf[3] = (char)('A' + n);
	aml_device(a, name);
	aml_name_eisaid(a, "_HID", "PNP0C0F");
	aml_name_int(a, "_UID", n + 1);
	aml_method(a, "_STA", 0, false);
	if_valid(a, reg);
	aml_return(a);
	aml_int(a, LINK_ENABLED);
	aml_end(a);
	aml_return(a);
	aml_int(a, LINK_PRESENT);
	aml_end(a);
	aml_name(a, "_PRS");
	aml_resources(a);
	aml_res_irqs(a, irqs);
	aml_end(a);
	link_crs(a, reg, buf);
	aml_method(a, "_DIS", 0, false);
	aml_store(a);
	aml_int(a, PIRQ_ROUT_OFF);
	aml_path(a, reg);
	aml_end(a);
	/* _SRS: the lowest IRQ of the template that is given. */
	aml_method(a, "_SRS", 1, true);
	aml_create_word(a);
	aml_arg(a, 0);
	aml_int(a, 1);
	aml_path(a, "SIRQ");
	aml_find_set_right(a);
	aml_path(a, "SIRQ");
	aml_local(a, 0);
	aml_if(a);
	aml_local(a, 0);
	aml_decrement(a);
	aml_local(a, 0);
	aml_store(a);
	aml_local(a, 0);
	aml_path(a, reg);
	aml_end(a);
	aml_end(a);
	aml_end(a);
}

void
acpi_links(struct aml *a, const struct acpi_config *cfg)
{
	char reg[] = "PIRA";
	unsigned n;

	if (cfg->pirq_irqs == 0)
		return;
	/* PIRQA-D_ROUT at 0x60, PIRQE-H_ROUT at 0x68. */
	aml_region(a, "LPCR", AML_PCI_CONFIG, 0, 0x100);
	aml_field(a, "LPCR");
	for (n = 0; n < ACPI_PIRQS; n++) {
		if (n % 4 == 0)
			aml_field_gap(a, (n == 0 ? 0x60u : 0x04u) * 8);
		reg[3] = (char)('A' + n);
		aml_field_unit(a, reg, 8);
	}
	aml_end(a);
	link_valid(a, cfg->pirq_irqs);
	for (n = 0; n < ACPI_PIRQS; n++)
		link_device(a, n, cfg->pirq_irqs);
}

/* A package of routes: to GSIs, or to link devices. */
static void
routes(struct aml *a, const char *name, const struct acpi_root *r, bool links)
{
	char link[] = "\\_SB.PC00.ISA.LNKA";
	size_t i;

	aml_name(a, name);
	aml_package(a, (unsigned)r->nprt);
	for (i = 0; i < r->nprt; i++) {
		aml_package(a, 4);
		aml_int(a, (uint32_t)r->prt[i].slot << 16 | 0xffff);
		aml_int(a, r->prt[i].pin);
		if (links) {
			link[sizeof(link) - 2] =
			    (char)('A' + (r->prt[i].gsi - ACPI_PIRQ_GSI) %
					     ACPI_PIRQS);
			aml_path(a, link);
			aml_int(a, 0);
		} else {
			aml_int(a, 0);
			aml_int(a, r->prt[i].gsi);
		}
		aml_end(a);
	}
	aml_end(a);
}

void
acpi_routing(
    struct aml *a, const struct acpi_config *cfg, const struct acpi_root *r)
{
	bool links = cfg->isa && cfg->pirq_irqs != 0;

	if (r->nprt == 0)
		return;
	if (links)
		routes(a, "PPRT", r, true);
	routes(a, "APRT", r, false);
	aml_method(a, "_PRT", 0, false);
	aml_if(a);
	aml_path(a, "PICM");
	aml_return(a);
	aml_path(a, "APRT");
	aml_end(a);
	aml_return(a);
	if (links) {
		aml_path(a, "PPRT");
	} else {
		aml_package(a, 0);
		aml_end(a);
	}
	aml_end(a);
}
