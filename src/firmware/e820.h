/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_E820_H
#define LHYVE_FIRMWARE_E820_H

#include <stddef.h>
#include <stdint.h>

/* ACPI 6.4, section 15.1, table 15.1: address range types. */
enum e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3,
	E820_NVS = 4,
};

struct e820_entry {
	uint64_t base, len;
	uint32_t type;
};

/* Where the tables for the guest's firmware interfaces begin and where
 * conventional memory ends (the extended BIOS data area follows it). */
#define E820_CONVENTIONAL_END 0x9fc00u
#define E820_VGA_BASE         0xa0000u
#define E820_BIOS_BASE        0xf0000u
#define E820_EXTENDED_BASE    0x100000u
#define E820_ECAM_SIZE        (256u << 20)
#define E820_MAX              8

/*
 * Fills the memory map of a machine with `lowmem` bytes below and `highmem`
 * bytes from 4 GiB; lowmem is more than 1 MiB. `ecam` is where the PCI
 * configuration space lies, above lowmem, or 0: a guest believes its table
 * only if the map reserves it. Returns the number of entries, in ascending
 * order and without overlap.
 */
size_t e820_build(struct e820_entry map[E820_MAX], uint64_t lowmem,
    uint64_t highmem, uint64_t ecam);

#endif
