/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_MPTABLE_H
#define LHYVE_FIRMWARE_MPTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "firmware/acpi.h"

struct gmem;

/*
 * The table of the MultiProcessor Specification 1.4, for systems that do not
 * read ACPI's. At bhyve's place, the beginning of the BIOS area, where the
 * floating pointer is looked for.
 */
#define MPTABLE_BASE 0xf0000u
#define MPTABLE_SIZE 0xff0u

struct mptable_config {
	unsigned ncpus;
	/* APIC id of a processor; NULL: its number. */
	uint32_t (*apic_id)(const void *arg, unsigned cpu);
	const void *apic_id_arg;
	uint32_t lapic_version;	  /* of its version register, bits 0-7 */
	uint32_t cpu_signature;	  /* CPUID.1:EAX */
	uint32_t cpu_features;	  /* CPUID.1:EDX */
	uint32_t ioapic_base;
	uint8_t sci_irq;
	/* PCI interrupts of bus 0, with GSIs below 256. */
	const struct acpi_prt *prt;
	size_t nprt;
};

/* Builds it for MPTABLE_BASE; processors whose APIC ids do not fit into 8
 * bits are left out. Returns its size or -ENOSPC. */
int mptable_build(
    const struct mptable_config *cfg, uint8_t buf[MPTABLE_SIZE]);
/* Builds and puts it into guest memory. 0 or -errno. */
int mptable_install(struct gmem *gm, const struct mptable_config *cfg);

#endif
