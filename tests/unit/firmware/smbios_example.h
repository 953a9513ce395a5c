/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_SMBIOS_EXAMPLE_H
#define TESTS_SMBIOS_EXAMPLE_H

#include "firmware/smbios.h"

/* Machines whose SMBIOS is looked at: small, full, many packages. */
static const struct smbios_config smbios_examples[] = {
    {
	.sockets = 1,
	.cores = 1,
	.threads = 1,
	.lowmem = 64 << 20,
    },
    {
	.text = {
	    [SMBIOS_BIOS_VENDOR] = "vendor",
	    [SMBIOS_BIOS_VERSION] = "version",
	    [SMBIOS_BIOS_DATE] = "01/02/2003",
	    [SMBIOS_SYSTEM_MANUFACTURER] = "manufacturer",
	    [SMBIOS_SYSTEM_PRODUCT] = "product",
	    [SMBIOS_SYSTEM_SERIAL] = "",
	    [SMBIOS_SYSTEM_SKU] = "sku",
	    [SMBIOS_SYSTEM_FAMILY] = "family",
	    [SMBIOS_BOARD_PRODUCT] = "board product",
	    [SMBIOS_BOARD_LOCATION] = "place",
	    [SMBIOS_CHASSIS_MANUFACTURER] = "chassis manufacturer",
	    [SMBIOS_CHASSIS_SKU] = "chassis sku",
	},
	.uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	.sockets = 2,
	.cores = 4,
	.threads = 2,
	.cpu_id = 0x1783fbff00800f12,
	.lowmem = 0xc0000000,
	.highmem = UINT64_C(5) << 30,
    },
    {
	.sockets = 64,
	.cores = 1,
	.threads = 1,
	.lowmem = 0xc0000000,
	.highmem = UINT64_C(61) << 30,
    },
};
#define SMBIOS_EXAMPLES (sizeof(smbios_examples) / sizeof(smbios_examples[0]))

#endif
