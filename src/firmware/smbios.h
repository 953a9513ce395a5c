/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_SMBIOS_H
#define LHYVE_FIRMWARE_SMBIOS_H

#include <stddef.h>
#include <stdint.h>

struct gmem;

/*
 * System Management BIOS (DMTF DSP0134, 3.0): what the machine says it is.
 * Both entry points, 2.8 and 3.0, name the same structures. Their place is
 * bhyve's, between the MP table and the ACPI tables.
 */
#define SMBIOS_BASE 0xf1000u
#define SMBIOS_SIZE 0x1400u
/* What smbios_build() has where: the entry point 2.8 and the structures. */
#define SMBIOS_ENTRY     0x20u
#define SMBIOS_ENTRY_LEN 0x1fu
#define SMBIOS_TABLE     0x40u

/* The longest string that is taken. */
#define SMBIOS_STRING_MAX 1024

/* Texts of structures 0 to 3, in the order of the structures' strings. */
enum smbios_text {
	SMBIOS_BIOS_VENDOR,
	SMBIOS_BIOS_VERSION,
	SMBIOS_BIOS_DATE,
	SMBIOS_SYSTEM_MANUFACTURER,
	SMBIOS_SYSTEM_PRODUCT,
	SMBIOS_SYSTEM_VERSION,
	SMBIOS_SYSTEM_SERIAL,
	SMBIOS_SYSTEM_SKU,
	SMBIOS_SYSTEM_FAMILY,
	SMBIOS_BOARD_MANUFACTURER,
	SMBIOS_BOARD_PRODUCT,
	SMBIOS_BOARD_VERSION,
	SMBIOS_BOARD_SERIAL,
	SMBIOS_BOARD_ASSET,
	SMBIOS_BOARD_LOCATION,
	SMBIOS_CHASSIS_MANUFACTURER,
	SMBIOS_CHASSIS_VERSION,
	SMBIOS_CHASSIS_SERIAL,
	SMBIOS_CHASSIS_ASSET,
	SMBIOS_CHASSIS_SKU,
	SMBIOS_TEXTS
};

struct smbios_config {
	/* NULL or empty: not specified. No control characters. */
	const char *text[SMBIOS_TEXTS];
	uint8_t uuid[16]; /* in the order in which it is written */
	unsigned sockets, cores, threads; /* each of the one before */
	uint64_t cpu_id; /* CPUID.1: EAX, and EDX above */
	uint64_t lowmem, highmem; /* bytes from 0 and from 4 GiB */
};

/* Reads "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". 0 or -EINVAL. */
int smbios_parse_uuid(const char *s, uint8_t uuid[16]);
/* The UUID that bhyve gives a machine of this name on this host (RFC 4122,
 * version 3, of the name and the host name in a field of 256 bytes). */
void smbios_derive_uuid(
    const char *name, const char *hostname, uint8_t uuid[16]);

/*
 * Builds entry points and structures for SMBIOS_BASE into buf. Returns
 * their size or -ENOSPC: the texts are too long.
 */
int smbios_build(
    const struct smbios_config *cfg, uint8_t buf[SMBIOS_SIZE]);
/* Builds and puts them into guest memory. 0 or -errno. */
int smbios_install(struct gmem *gm, const struct smbios_config *cfg);

#endif
