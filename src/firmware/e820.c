/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/e820.h"

static size_t
add(struct e820_entry *map, size_t n, uint64_t base, uint64_t end,
    enum e820_type type)
{
	if (end <= base)
		return (n);
	map[n].base = base;
	map[n].len = end - base;
	map[n].type = type;
	return (n + 1);
}

size_t
e820_build(struct e820_entry map[E820_MAX], uint64_t lowmem, uint64_t highmem,
    uint64_t ecam)
{
	const uint64_t high = UINT64_C(1) << 32;
	size_t n = 0;

	n = add(map, n, 0, E820_CONVENTIONAL_END, E820_RAM);
	n = add(map, n, E820_CONVENTIONAL_END, E820_VGA_BASE, E820_RESERVED);
	/* The tables lie here; RAM, but not for the guest to take. */
	n = add(map, n, E820_BIOS_BASE, E820_EXTENDED_BASE, E820_RESERVED);
	n = add(map, n, E820_EXTENDED_BASE, lowmem, E820_RAM);
	if (ecam != 0)
		n = add(map, n, ecam, ecam + E820_ECAM_SIZE, E820_RESERVED);
	n = add(map, n, high, high + highmem, E820_RAM);
	return (n);
}
