/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables by which the guest knows the machine: SMBIOS and the MP table. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "firmware/mptable.h"
#include "firmware/smbios.h"
#include "machine/machine_priv.h"
#include "vmm/cpuid.h"

/* Of the local APIC's version register (SDM volume 3, 11.4.8). */
#define LAPIC_VERSION 0x14u

/* Variables of the texts, in their order. */
static const char *const text_vars[SMBIOS_TEXTS] = {
    [SMBIOS_BIOS_VENDOR] = "bios.vendor",
    [SMBIOS_BIOS_VERSION] = "bios.version",
    [SMBIOS_BIOS_DATE] = "bios.release_date",
    [SMBIOS_SYSTEM_MANUFACTURER] = "system.manufacturer",
    [SMBIOS_SYSTEM_PRODUCT] = "system.product_name",
    [SMBIOS_SYSTEM_VERSION] = "system.version",
    [SMBIOS_SYSTEM_SERIAL] = "system.serial_number",
    [SMBIOS_SYSTEM_SKU] = "system.sku",
    [SMBIOS_SYSTEM_FAMILY] = "system.family_name",
    [SMBIOS_BOARD_MANUFACTURER] = "board.manufacturer",
    [SMBIOS_BOARD_PRODUCT] = "board.product_name",
    [SMBIOS_BOARD_VERSION] = "board.version",
    [SMBIOS_BOARD_SERIAL] = "board.serial_number",
    [SMBIOS_BOARD_ASSET] = "board.asset_tag",
    [SMBIOS_BOARD_LOCATION] = "board.location",
    [SMBIOS_CHASSIS_MANUFACTURER] = "chassis.manufacturer",
    [SMBIOS_CHASSIS_VERSION] = "chassis.version",
    [SMBIOS_CHASSIS_SERIAL] = "chassis.serial_number",
    [SMBIOS_CHASSIS_ASSET] = "chassis.asset_tag",
    [SMBIOS_CHASSIS_SKU] = "chassis.sku",
};

/* CPUID.1 as the guest sees it: EAX, and EDX above. */
static uint64_t
cpu_id(const struct machine *m)
{
	struct cpuid_dynamic dyn = {.apic_enabled = true};
	struct cpuid_policy policy;
	uint32_t out[4];

	cpuid_policy_init(&policy,
	    &(const struct cpuid_topology){ m->topology.sockets,
		m->topology.cores, m->topology.threads });
	cpuid_query(&policy, &dyn, 1, 0, out);
	return (out[0] | (uint64_t)out[3] << 32);
}

/* Whether the firmware finds a place for the tables. */
static bool
to_firmware(const struct machine *m)
{
	return (gmem_rom(m->gmem) != 0 && m->fwcfg != NULL);
}

int
machine_add_smbios(struct machine *m, struct config_error *err)
{
	struct smbios_config sc = {
	    .sockets = m->topology.sockets,
	    .cores = m->topology.cores,
	    .threads = m->topology.threads,
	    .cpu_id = cpu_id(m),
	    .lowmem = gmem_lowmem(m->gmem),
	    .highmem = gmem_highmem(m->gmem),
	};
	const char *uuid = config_get(m->cfg, "uuid");
	const char *name = config_get(m->cfg, "name");
	uint8_t buf[SMBIOS_SIZE];
	char host[256] = "";
	unsigned i;
	int error, n;

	for (i = 0; i < SMBIOS_TEXTS; i++)
		sc.text[i] = config_get(m->cfg, text_vars[i]);
	if (uuid != NULL) {
		if (smbios_parse_uuid(uuid, sc.uuid) != 0)
			return (config_fail(err,
			    "-U %.80s: not a UUID; use 8-4-4-4-12 hexadecimal "
			    "digits",
			    uuid));
	} else {
		(void)gethostname(host, sizeof(host) - 1);
		smbios_derive_uuid(name != NULL ? name : "", host, sc.uuid);
	}
	n = smbios_build(&sc, buf);
	if (n < 0)
		error = n;
	else if (to_firmware(m))
		error = machine_fwcfg_smbios(m, buf, (size_t)n, err);
	else
		error = gmem_write(m->gmem, SMBIOS_BASE, buf, (size_t)n);
	if (error == -ENOSPC)
		(void)config_fail(err,
		    "-o system.*, bios.*, board.*, chassis.*: the texts do "
		    "not fit into the %u bytes that SMBIOS has; shorten them",
		    SMBIOS_SIZE);
	return (error);
}

int
machine_add_acpi(
    struct machine *m, const struct acpi_config *ac, struct config_error *err)
{
	int error;

	if (!config_bool(m->cfg, "acpi_tables", true))
		return (0);
	if (to_firmware(m))
		return (machine_fwcfg_tables(m, ac, err));
	error = machine_add_vmgenid(m);
	if (error == 0)
		error = acpi_install(m->gmem, ac, &m->rsdp);
	return (error);
}

int
machine_add_mptable(struct machine *m, const struct acpi_config *ac)
{
	uint64_t id = cpu_id(m);
	struct mptable_config mc = {
	    .ncpus = m->ncpus,
	    .apic_id = ac->apic_id,
	    .apic_id_arg = ac->apic_id_arg,
	    .lapic_version = LAPIC_VERSION,
	    .cpu_signature = (uint32_t)id,
	    .cpu_features = (uint32_t)(id >> 32),
	    .ioapic_base = ac->ioapic_base,
	    .sci_irq = ac->sci_irq,
	};

	/* The copy of a ROM has its entry points where the table would lie. */
	if (!config_bool(m->cfg, "x86.mptable", true) || gmem_rom(m->gmem) != 0)
		return (0);
	for (size_t i = 0; i < ac->nroots; i++)
		if (ac->roots[i].bus == 0) {
			mc.prt = ac->roots[i].prt;
			mc.nprt = ac->roots[i].nprt;
		}
	return (mptable_install(m->gmem, &mc));
}

/*
 * One domain after the other, below 4 GiB and then above; a domain that the
 * hole for devices divides has two pieces.
 */
void
machine_domains(const struct machine *m, struct acpi_memory *mem, size_t *n)
{
	uint64_t lowmem = gmem_lowmem(m->gmem), at = 0, left, len;
	unsigned i;

	*n = 0;
	for (i = 0; i < m->numa.ndomains; i++) {
		for (left = m->numa.size[i]; left > 0; left -= len) {
			if (at == lowmem)
				at = GMEM_HIGHMEM_BASE;
			len = at < lowmem && left > lowmem - at ? lowmem - at :
								  left;
			mem[(*n)++] = (struct acpi_memory){i, at, len};
			at += len;
		}
	}
}

/* A machine that starts is a new one to whoever has saved an older one. */
int
machine_new_generation(uint8_t guid[16])
{
	return (getrandom(guid, 16, 0) == 16 ? 0 : -EIO);
}

int
machine_add_vmgenid(struct machine *m)
{
	uint8_t guid[16];
	int error;

	error = machine_new_generation(guid);
	if (error == 0)
		error = gmem_write(m->gmem, ACPI_VMGENID, guid, sizeof(guid));
	return (error);
}
