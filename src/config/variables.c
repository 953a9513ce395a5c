/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/options_priv.h"

/* The first half is bhyve_config(5)'s, the second our own. */
const struct config_var config_vars[] = {
    {.name = "name", .help = "the machine's name"},
    {.name = "cpus",
	.type = CONFIG_UINT,
	.min = 1,
	.max = CONFIG_TOPOLOGY_MAX,
	.help = "virtual processors (1 if nothing is said)"},
    {.name = "sockets",
	.type = CONFIG_UINT,
	.min = 1,
	.max = CONFIG_TOPOLOGY_MAX,
	.help = "processor packages"},
    {.name = "cores",
	.type = CONFIG_UINT,
	.min = 1,
	.max = CONFIG_TOPOLOGY_MAX,
	.help = "cores of a package"},
    {.name = "threads",
	.type = CONFIG_UINT,
	.min = 1,
	.max = CONFIG_TOPOLOGY_MAX,
	.help = "threads of a core"},
    {.name = "memory.size",
	.type = CONFIG_SIZE,
	.dflt = "256M",
	.help = "memory; below 1048576 in MiB, else bytes, or with "
		"suffix K, M, G, T"},
    {.name = "memory.wired",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "lock the guest's memory: none of it is swapped"},
    {.name = "memory.guest_in_core",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "have the guest's memory in core files"},
    {.name = "memory.hugepages",
	.type = CONFIG_WORD,
	.dflt = "auto",
	.words = "auto off on 2M 1G",
	.help = "pages: auto is transparent, on, 2M and 1G are the pool's"},
    {.name = "vcpu.#.cpuset",
	.type = CONFIG_CPUSET,
	.help = "processors of the host on which this one runs: 0-3,5"},
    {.name = "domains.#.size", .help = "memory of a NUMA domain, as by -n"},
    {.name = "domains.#.cpus", .help = "its processors, like 0-3 or 0,2"},
    {.name = "domains.#.domain_policy",
	.help = "where its memory lies on the host (not there yet)"},
    {.name = "acpi_tables",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "build the ACPI tables"},
    {.name = "bios.vendor",
	.type = CONFIG_TEXT,
	.dflt = "BHYVE",
	.help = "maker of the firmware, in SMBIOS"},
    {.name = "bios.version",
	.type = CONFIG_TEXT,
	.dflt = "14.0",
	.help = "its version"},
    {.name = "bios.release_date",
	.type = CONFIG_TEXT,
	.dflt = "10/17/2021",
	.help = "its date"},
    {.name = "system.family_name",
	.type = CONFIG_TEXT,
	.dflt = "Virtual Machine",
	.help = "family of the machine, in SMBIOS"},
    {.name = "system.manufacturer",
	.type = CONFIG_TEXT,
	.dflt = "FreeBSD",
	.help = "its maker"},
    {.name = "system.product_name",
	.type = CONFIG_TEXT,
	.dflt = "BHYVE",
	.help = "its name"},
    {.name = "system.serial_number",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its serial number"},
    {.name = "system.sku",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its stock keeping unit"},
    {.name = "system.version",
	.type = CONFIG_TEXT,
	.dflt = "1.0",
	.help = "its version"},
    {.name = "board.manufacturer",
	.type = CONFIG_TEXT,
	.dflt = "FreeBSD",
	.help = "maker of the board, in SMBIOS"},
    {.name = "board.product_name",
	.type = CONFIG_TEXT,
	.dflt = "BHYVE",
	.help = "its name"},
    {.name = "board.version",
	.type = CONFIG_TEXT,
	.dflt = "1.0",
	.help = "its version"},
    {.name = "board.serial_number",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its serial number"},
    {.name = "board.asset_tag",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its asset tag"},
    {.name = "board.location",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its place in the chassis"},
    {.name = "chassis.manufacturer",
	.type = CONFIG_TEXT,
	.dflt = "FreeBSD",
	.help = "maker of the chassis, in SMBIOS"},
    {.name = "chassis.version",
	.type = CONFIG_TEXT,
	.dflt = "1.0",
	.help = "its version"},
    {.name = "chassis.serial_number",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its serial number"},
    {.name = "chassis.asset_tag",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its asset tag"},
    {.name = "chassis.sku",
	.type = CONFIG_TEXT,
	.dflt = "None",
	.help = "its stock keeping unit"},
    {.name = "uuid",
	.type = CONFIG_UUID,
	.help = "UUID of the machine, in SMBIOS"},
    {.name = "virtio_msix",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "virtio devices interrupt by MSI-X; false: by one MSI message"},
    {.name = "x86.mptable",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "build the MP table"},
    {.name = "x86.vmexit_on_hlt",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "leave the guest when it executes HLT"},
    {.name = "x86.vmexit_on_pause",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "leave the guest when it executes PAUSE"},
    {.name = "x86.strictio",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "end with status 4 on access to a port that nobody has"},
    {.name = "x86.strictmsr",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "#GP in the guest for a model specific register not known; "
		"false: reads as zero"},
    {.name = "x86.verbosemsr",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "tell of registers not known, the first ten times"},
    {.name = "x86.x2apic",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "local APICs start in x2APIC mode"},
    {.name = "rtc.use_localtime",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "the guest's clock shows local time; false: UTC"},
    {.name = "destroy_on_poweroff",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "remove the machine's directory when the guest powers off"},
    {.name = "pci.#.#.#.device",
	.help = "the device of a PCI slot (bus, slot, function)"},
    {.name = "lpc.bootrom",
	.help = "boot ROM, a file of a multiple of 4096 bytes up to 16 MiB"},
    {.name = "lpc.bootvars",
	.help = "file with the boot ROM's variables, which it writes"},
    {.name = "lpc.fwcfg",
	.type = CONFIG_WORD,
	.words = "qemu",
	.help = "interface for firmware: qemu, that of QEMU's fw_cfg"},
    {.name = "lpc.isa-debug-exit",
	.type = CONFIG_UINT,
	.min = 1,
	.max = 0xfffc,
	.help = "first of four ports where a write of V ends lhyve with "
		"status 2V+1"},
    {.name = "lpc.pc-testdev",
	.type = CONFIG_BOOL,
	.help = "the test device of kvm-unit-tests; I/O BARs then begin at "
		"0x2020"},
    {.name = "bvmcons",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "bhyve's console at port 0x220, on stdio"},
    {.name = "dbgport",
	.type = CONFIG_UINT,
	.min = 1,
	.max = 65535,
	.help = "bhyve's debug port at 0x224, on this TCP port of 127.0.0.1"},
    {.name = "config.dump",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "print the variables and exit with status 1"},
    {.name = "engine",
	.type = CONFIG_WORD,
	.dflt = "auto",
	.words = "auto soft kvm",
	.help = "what runs the processors: auto, soft or kvm"},
    {.name = "cpu.model",
	.type = CONFIG_WORD,
	.dflt = "host",
	.words = "host x86-64-v2 x86-64-v3 x86-64-v4",
	.help = "also cpu: the guest's processor, host or a level of x86-64"},
    {.name = "cpu.features",
	.help = "+NAME,-NAME: features it has or has not beside that"},
    {.name = "cpu.tsc_khz",
	.type = CONFIG_UINT,
	.min = 100000,
	.max = 10000000,
	.help = "frequency of its TSC in kHz (1000000 with engine=soft, the "
		"host's with kvm; another one there needs a processor that "
		"scales it)"},
    {.name = "kernel",
	.help = "kernel to start: a Linux bzImage, an ELF file or a "
		"Multiboot image; with a boot ROM that has fw_cfg, what the "
		"ROM starts, a bzImage"},
    {.name = "initrd", .help = "initial RAM disk for the kernel"},
    {.name = "cmdline", .help = "the kernel's command line"},
    {.name = "module.#.path",
	.help = "module for a Multiboot kernel, after the initrd"},
    {.name = "module.#.cmdline", .help = "its command line"},
    {.name = "fwcfg.#.name", .help = "name of a file for fw_cfg, as by -f"},
    {.name = "fwcfg.#.string", .help = "its content, with a NUL"},
    {.name = "fwcfg.#.file", .help = "or a file with its content"},
    {.name = "reboot",
	.type = CONFIG_WORD,
	.dflt = "exit",
	.words = "exit internal",
	.help = "what a reset of the guest does: exit, with status 0, or "
		"internal: the machine starts again"},
    {.name = "stats",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "print counters of exits and of the engine at the end"},
    {.name = "log",
	.type = CONFIG_WORD,
	.dflt = "warn",
	.words = "error warn info debug",
	.help = "what is told on standard error: error, warn, info, debug"},
    {.name = "trace",
	.help = "trace groups to enable, or all; the log is info at least"},
    {.name = "kvm.dirty_ring",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "KVM: the dirty log by rings, where the kernel has them "
		"(off: by bitmaps)"},
    {.name = "soft.link",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: direct links between blocks"},
    {.name = "soft.tlb",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: look-ups of addresses in line"},
    {.name = "soft.forms",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: decoding remembers forms of instructions"},
    {.name = "soft.inline",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: frequent system instructions in line"},
    {.name = "soft.pcid",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: TLBs of other PCIDs are kept"},
    {.name = "soft.jc2",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: a second cache of jumps behind the first"},
    {.name = "soft.slots",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: what led to a mirror serves the next access"},
    {.name = "soft.rounds",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: several rounds of a loop in a block"},
    {.name = "soft.stack",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: the host's stack pointer is the guest's, in "
		"mirrors"},
    {.name = "soft.string",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: MOVS and STOS by the host's, in mirrors"},
    {.name = "soft.late",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: slow paths of mirrors when they are needed"},
    {.name = "soft.loop",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: of LOOP and JRCXZ the one that is faster here "
		"(off: the other)"},
    {.name = "soft.huge",
	.type = CONFIG_BOOL,
	.dflt = "true",
	.help = "soft engine: large pages of the host for translations "
		"and for what the guest uses much"},
    {.name = "soft.oneinsn",
	.type = CONFIG_BOOL,
	.dflt = "false",
	.help = "soft engine: one instruction a block"},
    {.name = "soft.mirror",
	.type = CONFIG_WORD,
	.dflt = "on",
	.words = "on off eager",
	.help = "soft engine: programs that compute use the host's paging"},
    {.name = NULL},
};

bool
config_var_match(const char *pattern, const char *path)
{
	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '#') {
			if (*path++ != *pattern)
				return (false);
			continue;
		}
		if (!isdigit((unsigned char)*path))
			return (false);
		while (isdigit((unsigned char)*path))
			path++;
	}
	return (*path == '\0');
}

const struct config_var *
config_var_find(const char *path)
{
	const struct config_var *v;

	for (v = config_vars; v->name != NULL; v++)
		if (config_var_match(v->name, path))
			return (v);
	return (NULL);
}

const struct config_device *
config_device_find(const struct config_device *list, const char *name)
{
	for (; list->name != NULL; list++)
		if (strcasecmp(list->name, name) == 0)
			return (list);
	return (NULL);
}

bool
config_pci_path(const char *path, unsigned bdf[3], const char **leaf)
{
	static const unsigned max[3] = {255, 31, 7};
	unsigned i, v;

	if (strncmp(path, "pci.", 4) != 0)
		return (false);
	path += 4;
	for (i = 0; i < 3; i++) {
		/* bhyve's names are unpadded: 0.3.0, not 00.03.0. */
		if (!isdigit((unsigned char)*path) ||
		    (path[0] == '0' && path[1] != '.'))
			return (false);
		for (v = 0; isdigit((unsigned char)*path); path++) {
			v = v * 10 + (unsigned)(*path - '0');
			if (v > max[i])
				return (false);
		}
		if (*path++ != '.')
			return (false);
		bdf[i] = v;
	}
	*leaf = path;
	return (*path != '\0');
}

/* Edit distance with swaps of neighbours; names are short. */
#define NAME_MAX_LEN 48
static unsigned
name_distance(const char *a, const char *b)
{
	unsigned row[3][NAME_MAX_LEN + 1], *prev2, *prev, *cur, best;
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return (NAME_MAX_LEN);
	for (j = 0; j <= lb; j++)
		row[0][j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		cur = row[i % 3];
		prev = row[(i + 2) % 3];
		prev2 = row[(i + 1) % 3];
		cur[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			best = prev[j - 1] + (a[i - 1] != b[j - 1]);
			if (prev[j] + 1 < best)
				best = prev[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && prev2[j - 2] + 1 < best)
				best = prev2[j - 2] + 1;
			cur[j] = best;
		}
	}
	return (row[la % 3][lb]);
}

struct nearest {
	const char *path;
	unsigned distance;
	char name[NAME_MAX_LEN + 1];
};

static void
nearest_try(struct nearest *n, const char *name)
{
	unsigned d = name_distance(n->path, name);

	if (d < n->distance) {
		n->distance = d;
		(void)snprintf(n->name, sizeof(n->name), "%s", name);
	}
}

static const char *
nearest_hint(char buf[100], const struct nearest *n, const char *otherwise)
{
	if (n->name[0] == '\0')
		(void)snprintf(buf, 100, "; %s", otherwise);
	else
		(void)snprintf(buf, 100, "; did you mean \"%s\"?", n->name);
	return (buf);
}

static void
nearest_init(struct nearest *n, const char *path)
{
	size_t len = strlen(path);

	/* Further away than this it is another word. */
	*n = (struct nearest){
	    .path = path,
	    .distance = len < 4 ? 2 : len < 8 ? 3 : 4,
	};
}

const char *
config_hint(char buf[100], const char *name, const struct config_var *vars,
    const char *otherwise)
{
	struct nearest n;

	nearest_init(&n, name);
	for (; vars != NULL && vars->name != NULL; vars++)
		nearest_try(&n, vars->name);
	return (nearest_hint(buf, &n, otherwise));
}

int
config_unknown_var(const char *where, const char *path,
    const struct config_devices *devs, struct config_error *err)
{
	struct nearest n;
	const struct config_device *d;
	const struct config_var *v;
	char name[NAME_MAX_LEN + 1], hint[100];

	if (strncmp(path, "pci.", 4) == 0)
		return (config_fail(err,
		    "%s: not a PCI slot; use pci.BUS.SLOT.FUNCTION.device",
		    where));
	nearest_init(&n, path);
	for (v = config_vars; v->name != NULL; v++)
		nearest_try(&n, v->name);
	for (d = devs->lpc; d->name != NULL; d++) {
		for (v = d->opts; v != NULL && v->name != NULL; v++) {
			(void)snprintf(
			    name, sizeof(name), "lpc.%s.%s", d->name, v->name);
			nearest_try(&n, name);
		}
	}
	return (config_fail(err, "%s: unknown variable%s", where,
	    nearest_hint(hint, &n, "lhyve -h lists them")));
}
