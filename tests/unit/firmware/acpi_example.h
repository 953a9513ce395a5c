/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_ACPI_EXAMPLE_H
#define TESTS_ACPI_EXAMPLE_H

#include "firmware/acpi.h"

/* Machines whose tables are looked at: small, full, many processors. */
static const struct acpi_prt example_prt[] = {{3, 0, 16}, {3, 1, 17}};

static const struct acpi_root example_small[] = {
    {.io_limit = 0x10000, .mem32_base = 0xc0000000, .mem32_limit = 0xe0000000},
};
static const struct acpi_root example_full[] = {
    {
	.io_limit = 0x2020,
	.mem32_base = 0xc0000000,
	.mem32_limit = 0xc0100000,
	.mem64_base = 0x800000000,
	.mem64_limit = 0x820000000,
	.prt = example_prt,
	.nprt = 2,
    },
    {
	.bus = 1,
	.io_base = 0x2020,
	.io_limit = 0x2020,
	.mem32_base = 0xc0100000,
	.mem32_limit = 0xc0200000,
    },
    {
	.bus = 0xab,
	.io_base = 0x2020,
	.io_limit = 0x10000,
	.mem32_base = 0xc0200000,
	.mem32_limit = 0xe0000000,
	.mem64_base = 0x820000000,
	.mem64_limit = 0x1000000000,
	.prt = example_prt,
	.nprt = 1,
    },
};
/* Routes, and no router: the PIC gets nothing. */
static const struct acpi_root example_noisa[] = {
    {.io_limit = 0x10000, .prt = example_prt, .nprt = 2},
};

static const uint8_t example_domains[64] = {
    [2] = 1, [3] = 1, [4] = 2, [5] = 2, [6] = 2, [7] = 2};
static const struct acpi_memory example_memory[] = {
    {0, 0, 0x40000000},
    {1, 0x40000000, 0x80000000},
    {1, 0x100000000, 0x40000000},
    {2, 0x140000000, 0x1000},
};

/* As a machine of packages with three cores has them: every fourth id is
 * missing, and the last ones need more than 8 bits. */
static inline uint32_t
example_apic_id(const void *arg, unsigned cpu)
{
	(void)arg;
	return (cpu / 3 * 16 + cpu % 3);
}

static const struct acpi_config acpi_examples[] = {
    {
	.ncpus = 1,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.roots = example_small,
	.nroots = 1,
    },
    {
	.ncpus = 1,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.gpe0 = true,
	.ecam_base = 0xe0000000,
	.hpet_base = 0xfed00000,
	.hpet_id = 0x80868701,
	.isa = true,
	.isa_slot = 31,
	.i8042 = true,
	.com = {true, true, true, true},
	.pirq_irqs = 0xdef8,
	.roots = example_full,
	.nroots = 3,
    },
    {
	.ncpus = 2,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.roots = example_noisa,
	.nroots = 1,
    },
    {
	.ncpus = 8,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.gpe0 = true,
	.vmgenid = ACPI_VMGENID,
	.isa = true,
	.isa_slot = 31,
	.roots = example_small,
	.nroots = 1,
	.ndomains = 3,
	.cpu_domain = example_domains,
	.memory = example_memory,
	.nmemory = 4,
    },
    {
	.ncpus = 2,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.gpe0 = true,
	.vmgenid = ACPI_VMGENID,
	.roots = example_small,
	.nroots = 1,
    },
    {
	.ncpus = 64,
	.apic_id = example_apic_id,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.roots = example_small,
	.nroots = 1,
	.ndomains = 3,
	.cpu_domain = example_domains,
	.memory = example_memory,
	.nmemory = 4,
    },
    {
	.ncpus = 300,
	.ioapic_base = 0xfec00000,
	.sci_irq = 9,
	.isa = true,
	.isa_slot = 1,
	.com = {true},
	.roots = example_small,
	.nroots = 1,
    },
};
#define ACPI_EXAMPLES (sizeof(acpi_examples) / sizeof(acpi_examples[0]))

#endif
