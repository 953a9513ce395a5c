/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_ACPI_H
#define LHYVE_FIRMWARE_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gmem;

/* Where the tables lie, as in bhyve: the root pointer at the beginning, on
 * a multiple of 16 between 0xe0000 and 0xfffff, where it is looked for. */
#define ACPI_BASE 0xf2400u
#define ACPI_SIZE 0xbc00u
/* Behind them a page of its own for the generation identifier. */
#define ACPI_VMGENID 0xfe000u

#define ACPI_RSDP_SIZE 36u

#define ACPI_COMS 4

/* A PCI interrupt pin (0: INTA#) and the GSI that it is wired to: from 16 on,
 * where PIRQA# is 16. */
struct acpi_prt {
	uint8_t slot, pin;
	uint32_t gsi;
};
#define ACPI_PIRQ_GSI 16u
#define ACPI_PIRQS    8u

/* A PCI bus: its windows, [base, limit), equal: none; and its pins. */
struct acpi_root {
	uint8_t bus;
	uint32_t io_base, io_limit; /* those of bus 0 begin at 0 */
	uint32_t mem32_base, mem32_limit;
	uint64_t mem64_base, mem64_limit;
	const struct acpi_prt *prt;
	size_t nprt; /* at most 128 */
};

/* Memory of a domain, and how many domains there are at most. */
struct acpi_memory {
	unsigned domain;
	uint64_t base, len;
};
#define ACPI_DOMAINS_MAX 8

/* What the tables tell of the machine. */
struct acpi_config {
	unsigned ncpus;
	/* APIC id of a processor; NULL: its number. */
	uint32_t (*apic_id)(const void *arg, unsigned cpu);
	const void *apic_id_arg;
	uint32_t ioapic_base; /* its first GSI is 0 */
	uint8_t sci_irq;
	bool gpe0;          /* there are GPE0 registers */
	uint32_t hpet_base; /* 0: none */
	uint32_t hpet_id;   /* Event Timer Block ID */

	uint32_t ecam_base; /* of buses 0-255; 0: none */

	/* A page that begins with the generation identifier; 0: none. Needs
	 * GPE0, whose event 0 says that it changed. */
	uint64_t vmgenid;

	/* Non-uniform memory; ndomains 0: none. */
	unsigned ndomains;         /* up to ACPI_DOMAINS_MAX */
	const uint8_t *cpu_domain; /* of each processor */
	const struct acpi_memory *memory;
	size_t nmemory;

	/* The ISA bridge and what is behind it. */
	bool isa;
	uint8_t isa_slot, isa_func;
	bool i8042;
	bool com[ACPI_COMS];

	/* IRQs that the bridge's PIRQ router can have, as a mask. */
	uint16_t pirq_irqs;

	const struct acpi_root *roots; /* by rising number; bus 0 first */
	size_t nroots;
};

/*
 * Builds all tables for the address `base` into buf, which has ACPI_SIZE
 * bytes. Returns their size or -errno (-ENOSPC: more than ACPI_SIZE).
 */
int acpi_build(const struct acpi_config *cfg, uint64_t base, uint8_t *buf);
/*
 * The same for a firmware that finds a place for them itself: the files of
 * fw_cfg that it wants, and the script that says what to do with them, in the
 * language of QEMU's linker/loader. Here cfg->vmgenid is where the identifier
 * begins in its own file, and not 0 unless there is none.
 */
#define ACPI_FILE_TABLES  "etc/acpi/tables"
#define ACPI_FILE_RSDP    "etc/acpi/rsdp"
#define ACPI_FILE_VMGENID "etc/vmgenid_guid"
#define ACPI_FILE_LOADER  "etc/table-loader"
/* Away from where a firmware looks for the header of a table. */
#define ACPI_VMGENID_OFFSET 40u
#define ACPI_VMGENID_SIZE   4096u

struct acpi_files {
	uint8_t *tables; /* owned */
	size_t tables_len;
	uint8_t rsdp[ACPI_RSDP_SIZE];
	uint8_t *loader; /* owned */
	size_t loader_len;
};
/* 0 or -errno, as acpi_build(). */
int acpi_files_build(struct acpi_files *f, const struct acpi_config *cfg);
void acpi_files_fini(struct acpi_files *f);

/* Builds and puts them into guest memory; *rsdp is the address of the root
 * pointer. 0 or -errno. */
int acpi_install(
    struct gmem *gm, const struct acpi_config *cfg, uint64_t *rsdp);

#endif
