/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's memory as the options want it on the host. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/acpi.h"
#include "machine/machine_priv.h"
#include "vmm/cpuid.h"

/* bhyve's windows for BARs. */
#define MEM32_BASE  0xc0000000u
#define MEM32_LIMIT 0xe0000000u
#define MEM64_SIZE  (UINT64_C(32) << 30)

/* -S and -C, for both ranges of memory. */
static int
set_memory(struct machine *m, struct config_error *err)
{
	const struct {
		uint8_t *at;
		uint64_t len;
	} r[] = {
	    {gmem_base(m->gmem), gmem_lowmem(m->gmem)},
	    {gmem_base(m->gmem) + GMEM_HIGHMEM_BASE, gmem_highmem(m->gmem)},
	};
	size_t i;
	int error;

	for (i = 0; i < sizeof(r) / sizeof(r[0]) && r[i].len != 0; i++) {
		if (config_bool(m->cfg, "memory.guest_in_core", false) &&
		    madvise(r[i].at, r[i].len, MADV_DODUMP) != 0) {
			error = -errno;
			return (config_fail(err,
			    "-C: cannot have the guest's memory in core "
			    "files: %s; leave it out",
			    strerror(-error)));
		}
		if (config_bool(m->cfg, "memory.wired", false) &&
		    mlock(r[i].at, r[i].len) != 0) {
			error = -errno;
			return (config_fail(err,
			    "-S: cannot lock the guest's memory: %s; raise "
			    "the limit (ulimit -l), or leave it out",
			    strerror(-error)));
		}
	}
	return (0);
}

static enum gmem_pages
pages(const struct machine *m)
{
	static const char *const words[] = {
	    [GMEM_PAGES_AUTO] = "auto",
	    [GMEM_PAGES_OFF] = "off",
	    [GMEM_PAGES_ON] = "on",
	    [GMEM_PAGES_2M] = "2M",
	    [GMEM_PAGES_1G] = "1G",
	};
	const char *val = config_get(m->cfg, "memory.hugepages");
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(val, words[i]) == 0)
			return ((enum gmem_pages)i);
	return (GMEM_PAGES_AUTO);
}

/* Nodes on which this process may have memory. */
static uint64_t
host_nodes(void)
{
	unsigned long mask[16] = {0};

	/* The kernel wants room for as many as it could have. */
	if (syscall(SYS_get_mempolicy, NULL, mask, 1024ul, NULL,
		MPOL_F_MEMS_ALLOWED) != 0)
		return (0);
	return (mask[0]);
}

/* domain_policy of -n. */
static int
place_domains(struct machine *m, struct config_error *err)
{
	static const int modes[] = {
	    [CONFIG_POLICY_FIRST_TOUCH] = MPOL_DEFAULT,
	    [CONFIG_POLICY_ROUND_ROBIN] = MPOL_INTERLEAVE,
	    [CONFIG_POLICY_PREFER] = MPOL_PREFERRED,
	    [CONFIG_POLICY_BIND] = MPOL_BIND,
	};
	struct acpi_memory mem[ACPI_DOMAINS_MAX + 1];
	uint64_t nodes;
	size_t i, n;
	int error;

	machine_domains(m, mem, &n);
	for (i = 0; i < n; i++) {
		const unsigned id = mem[i].domain;

		if (m->numa.policy[id] == CONFIG_POLICY_NONE)
			continue;
		nodes = m->numa.nodes[id];
		if (nodes == 0 &&
		    m->numa.policy[id] == CONFIG_POLICY_ROUND_ROBIN)
			nodes = host_nodes();
		error = gmem_bind(m->gmem, mem[i].base, mem[i].len,
		    modes[m->numa.policy[id]], nodes);
		if (error != 0)
			return (config_fail(err,
			    "domains.%u.domain_policy: the host cannot place "
			    "memory so (%s); /sys/devices/system/node has its "
			    "nodes",
			    id, strerror(-error)));
	}
	return (0);
}

/* Firmware that takes the machine for QEMU's Q35 has its ECAM right above the
 * memory, at a place of its own. */
static uint64_t
lowmem_limit(const struct machine *m)
{
	const char *vendor = config_get(m->cfg, "pci.0.0.0.pcireg.vendor");
	const char *device = config_get(m->cfg, "pci.0.0.0.pcireg.device");
	uint64_t v, d;

	if (vendor != NULL && device != NULL &&
	    config_parse_uint(vendor, &v) == 0 &&
	    config_parse_uint(device, &d) == 0 && v == CHIPSET_Q35_VENDOR &&
	    d == CHIPSET_Q35_DEVICE)
		return (CHIPSET_Q35_LOWMEM);
	return (GMEM_LOWMEM_LIMIT);
}

int
machine_create_memory(struct machine *m, struct config_error *err)
{
	const char *arg = config_get(m->cfg, "memory.size");
	uint64_t size;
	int error;

	error = config_parse_size(arg, &size);
	if (error == 0)
		error = gmem_create_as(
		    &m->gmem, size, lowmem_limit(m), pages(m));
	if (error != 0 && pages(m) >= GMEM_PAGES_ON) {
		(void)config_fail(err,
		    error == -EINVAL ?
			"-o memory.hugepages=%s: -m %s is no multiple of such "
			"pages, or the host has none; give another size" :
			"-o memory.hugepages=%s: the host has not enough of "
			"them for -m %s; raise /proc/sys/vm/nr_hugepages",
		    config_get(m->cfg, "memory.hugepages"), arg);
		return (error);
	}
	if (error != 0) {
		(void)config_fail(err,
		    "-m %s: the host cannot reserve that much memory (%s); "
		    "give less",
		    arg, strerror(-error));
		return (error);
	}
	error = place_domains(m, err);
	if (error == 0)
		error = set_memory(m, err);
	if (error != 0)
		return (error);
	m->mem32_base = MEM32_BASE;
	m->mem32_limit = MEM32_LIMIT;
	/* bhyve: above memory, on a multiple of the window's size. */
	m->mem64_base =
	    (GMEM_HIGHMEM_BASE + gmem_highmem(m->gmem) + MEM64_SIZE - 1) &
	    ~(MEM64_SIZE - 1);
	m->mem64_limit = m->mem64_base + MEM64_SIZE;
	if (m->mem64_limit > UINT64_C(1) << cpuid_phys_bits())
		return (config_fail(err,
		    "-m %s: more than the %u bits of this processor's "
		    "physical addresses reach; give less",
		    arg, cpuid_phys_bits()));
	return (0);
}
