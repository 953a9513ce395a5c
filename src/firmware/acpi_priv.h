/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_ACPI_PRIV_H
#define LHYVE_FIRMWARE_ACPI_PRIV_H

#include "firmware/acpi.h"

struct aml;

/* bhyve's ports (see the memory and port map in docs). */
#define ACPI_PM1_EVT     0x400u
#define ACPI_PM1_CNT     0x404u
#define ACPI_PM_TIMER    0x408u
#define ACPI_GPE0        0x40cu
#define ACPI_SMI_CMD     0xb2u
#define ACPI_SMI_ENABLE  0xa0u
#define ACPI_SMI_DISABLE 0xa1u
#define ACPI_RESET_PORT  0xcf9u
#define ACPI_RESET_VALUE 0x06u

/* Length of the header that system tables begin with. */
#define ACPI_HDR 36u

/* What depends on where the tables lie, as offsets from their beginning. */
struct acpi_fixups {
	struct acpi_pointer {
		uint32_t at;
		uint8_t size; /* bytes; little-endian */
		bool vmgenid; /* to the generation identifier, not a table */
	} pointer[40];
	unsigned npointers;
	struct acpi_sum {
		uint32_t at, len; /* the table's; the byte is at + 9 */
	} sum[16];
	unsigned nsums;
};

/* acpi_build(), noting fixups if there is a place for them. */
int acpi_build_noting(const struct acpi_config *cfg, uint64_t base,
    uint8_t *buf, struct acpi_fixups *fix);

/* The body of the DSDT, without the header. */
void acpi_dsdt(struct aml *a, const struct acpi_config *cfg);

/* dsdt_irq.c: the PIRQ router, in the scope of the ISA bridge; and _PRT, in
 * that of a bus. */
void acpi_links(struct aml *a, const struct acpi_config *cfg);
void acpi_routing(
    struct aml *a, const struct acpi_config *cfg, const struct acpi_root *r);

#endif
