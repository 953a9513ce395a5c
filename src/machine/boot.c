/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest finds when it starts: tables, kernel, registers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/acpi.h"
#include "firmware/rom.h"
#include "machine/machine_priv.h"
#include "vmm/cpuid.h"

/* Registers of the local APIC (SDM volume 3, table 11-1). */
#define APIC_SVR   0xf0u
#define APIC_LINT0 0x350u
#define APIC_LINT1 0x360u

#define MSR_MTRR_PHYS_BASE 0x200u
#define MSR_MTRR_PHYS_MASK 0x201u
#define MSR_MTRR_FIX64K    0x250u
#define MSR_MTRR_FIX16K    0x258u /* and 0x259 */
#define MSR_MTRR_FIX4K     0x268u /* to 0x26f */
#define MSR_MTRR_DEF_TYPE  0x2ffu
#define MTRR_WB_ALL        0x0606060606060606ull

/* Pins of a bus: four of each slot. */
#define ROOT_PRT (PCI_SLOTS * 4u)

/* The slot and function of the LPC bridge, if there is one. */
static int
find_lpc(void *arg, const char *path, const char *value, char origin)
{
	struct acpi_config *ac = arg;
	const char *leaf;
	unsigned bdf[3];

	(void)origin;
	if (config_pci_path(path, bdf, &leaf) && strcmp(leaf, "device") == 0 &&
	    strcmp(value, "lpc") == 0) {
		ac->isa = true;
		ac->isa_slot = (uint8_t)bdf[1];
		ac->isa_func = (uint8_t)bdf[2];
	}
	return (0);
}

static uint32_t
apic_id(const void *arg, unsigned cpu)
{
	const struct machine *m = arg;

	return (cpuid_apicid(
	    &(const struct cpuid_topology){ m->topology.sockets,
		m->topology.cores, m->topology.threads },
	    cpu));
}

/* The pins of a bus that somebody has. */
static size_t
find_pins(struct machine *m, unsigned bus, struct acpi_prt prt[ROOT_PRT])
{
	unsigned slot, func, pin, seen;
	const struct pci_dev *dev;
	size_t n = 0;

	for (slot = 0; slot < PCI_SLOTS; slot++) {
		seen = 0;
		for (func = 0; func < PCI_FUNCS; func++) {
			dev = pci_at(m->pci, PCI_BDF(bus, slot, func));
			pin =
			    dev != NULL ? pci_cfg_get(dev, PCIR_INTPIN, 1) : 0;
			if (pin == 0 || (seen >> pin & 1) != 0)
				continue;
			seen |= 1u << pin;
			prt[n].slot = (uint8_t)slot;
			prt[n].pin = (uint8_t)(pin - 1);
			prt[n++].gsi = pci_intx_line(slot, pin);
		}
	}
	return (n);
}

/* What the tables say of PCI. Each bus's routes are memory of their own. */
static int
find_roots(struct machine *m, struct acpi_root *roots, size_t *nroots)
{
	struct acpi_prt prt[ROOT_PRT], *copy;
	struct pci_windows w;
	unsigned bus;
	size_t n;

	for (bus = 0; bus < PCI_BUSES; bus++) {
		if (!pci_bus_windows(m->pci, bus, &w))
			continue;
		n = find_pins(m, bus, prt);
		copy = calloc(n != 0 ? n : 1, sizeof(*copy));
		if (copy == NULL)
			return (-ENOMEM);
		memcpy(copy, prt, n * sizeof(*copy));
		roots[(*nroots)++] = (struct acpi_root){
		    .bus = (uint8_t)bus,
		    .io_base = w.io_base,
		    .io_limit = w.io_limit,
		    .mem32_base = w.mem32_base,
		    .mem32_limit = w.mem32_limit,
		    .mem64_base = w.mem64_base,
		    .mem64_limit = w.mem64_limit,
		    .prt = copy,
		    .nprt = n,
		};
	}
	return (0);
}

int
machine_load_tables(struct machine *m, struct config_error *err)
{
	struct acpi_memory memory[ACPI_DOMAINS_MAX + 1];
	struct acpi_config ac = {
	    .ncpus = m->ncpus,
	    .apic_id = apic_id,
	    .apic_id_arg = m,
	    .ioapic_base = CHIPSET_IOAPIC_BASE,
	    .sci_irq = CHIPSET_SCI_IRQ,
	    .hpet_base = CHIPSET_HPET_BASE,
	    .hpet_id = CHIPSET_HPET_ID,
	    .gpe0 = true,
	    .ecam_base = MACHINE_ECAM_BASE,
	    .vmgenid = ACPI_VMGENID,
	    .ndomains = m->numa.ndomains,
	    .cpu_domain = m->numa.cpu_domain,
	    .memory = memory,
	    .i8042 = true,
	    .pirq_irqs = CHIPSET_PIRQ_IRQS,
	};
	struct acpi_root roots[PCI_BUSES];
	char path[] = "lpc.com1.path";
	size_t n = 0;
	unsigned i;
	int error;

	(void)config_walk(m->cfg, find_lpc, &ac);
	for (i = 0; i < ACPI_COMS; i++) {
		path[7] = (char)('1' + i);
		ac.com[i] = config_get(m->cfg, path) != NULL;
	}
	error = find_roots(m, roots, &n);
	ac.roots = roots;
	ac.nroots = n;
	if (error == 0)
		error = machine_add_mptable(m, &ac);
	if (error == 0)
		error = machine_add_smbios(m, err);
	machine_domains(m, memory, &ac.nmemory);
	if (error == 0)
		error = machine_add_acpi(m, &ac, err);
	while (n > 0)
		free((void *)(uintptr_t)roots[--n].prt);
	return (error);
}

int
machine_load_rom(struct machine *m, struct config_error *err)
{
	const char *path = config_get(m->cfg, "lpc.bootrom");
	const char *vars = config_get(m->cfg, "lpc.bootvars");
	struct fw_error fe = {""};
	int error;

	if (path == NULL && vars != NULL)
		return (config_fail(err,
		    "-o lpc.bootvars=%.120s: there is no ROM to use them; give "
		    "one with -l bootrom,FILE",
		    vars));
	if (path == NULL)
		return (0);
	if (config_get(m->cfg, "kernel") != NULL &&
	    config_get(m->cfg, "lpc.fwcfg") == NULL)
		return (config_fail(err,
		    "-o kernel=%.120s: a machine with a boot ROM starts what "
		    "the ROM finds; leave one of them out, or use "
		    "-l fwcfg,qemu",
		    config_get(m->cfg, "kernel")));
	error = rom_load(m->gmem, path, &fe);
	if (error == 0)
		error = rom_shadow(m->gmem);
	if (error == 0 && vars != NULL) {
		error = rom_open_vars(
		    m->gmem, vars, &m->vars_file, &m->vars, &fe);
		m->vars_file.err = NULL; /* ours ends here */
	}
	if (error != 0 && fe.msg[0] != '\0')
		(void)config_fail(err, "%s", fe.msg);
	return (error);
}

struct modules {
	const struct config *cfg;
	struct config_error *err;
	struct boot_module mod[BOOT_MODULES_MAX];
	char var[BOOT_MODULES_MAX][24];
	unsigned n;
};

/* module.N.path and module.N.cmdline; N gives the order. */
static int
add_module(void *arg, const char *path, const char *value, char origin)
{
	struct modules *mods = arg;
	char other[CONFIG_PATH_MAX];
	const char *leaf;
	size_t len;

	(void)origin;
	if (strncmp(path, "module.", 7) != 0)
		return (0);
	leaf = strrchr(path, '.') + 1;
	len = (size_t)(leaf - path);
	(void)snprintf(other, sizeof(other), "%.*s%s", (int)len, path,
	    strcmp(leaf, "path") == 0 ? "cmdline" : "path");
	if (strcmp(leaf, "path") != 0)
		return (config_get(mods->cfg, other) != NULL ?
			    0 :
			    config_fail(mods->err,
				"-o %.40s=%.80s: there is no such module; "
				"set %.40s",
				path, value, other));
	if (mods->n == BOOT_MODULES_MAX || len > 16)
		return (config_fail(mods->err,
		    "-o %.40s=%.80s: too many modules; use at most %d", path,
		    value, BOOT_MODULES_MAX));
	(void)snprintf(mods->var[mods->n], sizeof(mods->var[0]), "%s", path);
	mods->mod[mods->n] = (struct boot_module){
	    .var = mods->var[mods->n],
	    .path = value,
	    .cmdline = config_get(mods->cfg, other),
	};
	mods->n++;
	return (0);
}

int
machine_load(struct machine *m, struct config_error *err)
{
	struct modules mods = {.cfg = m->cfg, .err = err};
	struct boot_config bc = {
	    .kernel = config_get(m->cfg, "kernel"),
	    .initrd = config_get(m->cfg, "initrd"),
	    .cmdline = config_get(m->cfg, "cmdline"),
	    .ecam = MACHINE_ECAM_BASE,
	    .rsdp = m->rsdp,
	};
	struct fw_error fe = {""};
	int error;

	if (bc.kernel == NULL && gmem_rom(m->gmem) == 0)
		return (config_fail(err,
		    "virtual machine cannot be booted: give a boot ROM with "
		    "-l bootrom,FILE or a kernel with -o kernel=FILE"));
	error = config_walk(m->cfg, add_module, &mods);
	bc.modules = mods.mod;
	bc.nmodules = mods.n;
	if (error != 0 || bc.kernel == NULL)
		return (error);
	if (gmem_rom(m->gmem) != 0)
		return (mods.n == 0 ? machine_fwcfg_kernel(m, err) :
				      config_fail(err,
					  "-o %.40s=%.80s: a kernel that a "
					  "boot ROM starts takes no modules; "
					  "leave it out",
					  mods.var[0], mods.mod[0].path));
	error = boot_load(m->gmem, &bc, &m->regs, &fe);
	if (error != 0 && fe.msg[0] != '\0')
		(void)config_fail(err, "%s", fe.msg);
	return (error);
}

static int
set_seg(struct vcpu *vcpu, enum vm_segreg seg, const struct boot_seg *s)
{
	struct vm_seg v = {
	    .base = s->base,
	    .limit = s->limit,
	    .access = s->access,
	    .sel = s->sel,
	};

	return (vcpu_set_seg(vcpu, seg, &v));
}

/*
 * Virtual wire mode (MultiProcessor Specification 1.4, 3.6.2.2), in which a
 * BIOS leaves the first processor: the PIC's interrupts pass through LINT0.
 * An operating system that uses no APIC depends on it.
 */
static int
set_virtual_wire(struct vcpu *vcpu)
{
	int error;

	/* A disabled APIC keeps its lines masked: it comes first. */
	error = vcpu_set_apic(vcpu, APIC_SVR, 0x10f);
	if (error == 0)
		error = vcpu_set_apic(vcpu, APIC_LINT0, 0x700); /* ExtINT */
	if (error == 0)
		error = vcpu_set_apic(vcpu, APIC_LINT1, 0x400); /* NMI */
	return (error);
}

/*
 * Memory types as a BIOS leaves them: memory is write-back, the hole from
 * 3 to 4 GiB and the video memory are not cached. No engine of ours looks at
 * them; kernels do before they use the PAT.
 */
static int
set_mtrrs(struct vcpu *vcpu)
{
	uint64_t phys = (UINT64_C(1) << cpuid_phys_bits()) - 1;
	const struct {
		uint32_t msr;
		uint64_t val;
	} regs[] = {
	    {MSR_MTRR_FIX64K, MTRR_WB_ALL},
	    {MSR_MTRR_FIX16K, MTRR_WB_ALL},
	    {MSR_MTRR_FIX16K + 1, 0}, /* 0xa0000-0xbffff */
	    {MSR_MTRR_PHYS_BASE, GMEM_LOWMEM_LIMIT},
	    {MSR_MTRR_PHYS_MASK, (phys & ~(UINT64_C(0x3fffffff))) | 0x800},
	    /* Enabled, the fixed ranges too; WB. */
	    {MSR_MTRR_DEF_TYPE, 0xc06},
	};
	unsigned i;
	int error = 0;

	for (i = 0; i < 8 && error == 0; i++)
		error = vcpu_set_msr(vcpu, MSR_MTRR_FIX4K + i, MTRR_WB_ALL);
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]) && error == 0; i++)
		error = vcpu_set_msr(vcpu, regs[i].msr, regs[i].val);
	return (error);
}

int
machine_reload(struct machine *m, struct config_error *err)
{
	int error = 0;

	if (gmem_rom(m->gmem) != 0)
		error = rom_shadow(m->gmem);
	memset(&m->regs, 0, sizeof(m->regs));
	/* What fw_cfg has stays. */
	if (gmem_rom(m->gmem) != 0 && m->fwcfg != NULL)
		return (error);
	if (error == 0)
		error = machine_load_tables(m, err);
	if (error == 0)
		error = machine_load(m, err);
	return (error);
}

int
machine_set_regs(struct machine *m)
{
	const struct boot_regs *r = &m->regs;
	/* EFER before CR0 and CR4 before CR0: paging comes last. */
	const struct {
		enum vm_reg reg;
		uint64_t val;
	} regs[] = {
	    {VM_REG_EFER, r->efer},
	    {VM_REG_CR4, r->cr4},
	    {VM_REG_CR3, r->cr3},
	    {VM_REG_CR0, r->cr0},
	    {VM_REG_RIP, r->rip},
	    {VM_REG_RSP, r->rsp},
	    {VM_REG_RSI, r->rsi},
	    {VM_REG_RAX, r->rax},
	    {VM_REG_RBX, r->rbx},
	    {VM_REG_RFLAGS, r->rflags},
	};
	const struct {
		enum vm_segreg seg;
		const struct boot_seg *val;
	} segs[] = {
	    {VM_SEG_CS, &r->cs},
	    {VM_SEG_DS, &r->data},
	    {VM_SEG_ES, &r->data},
	    {VM_SEG_SS, &r->data},
	    {VM_SEG_FS, &r->data},
	    {VM_SEG_GS, &r->data},
	    {VM_SEG_LDTR, &r->ldtr},
	    {VM_SEG_TR, &r->tr},
	    {VM_SEG_GDTR, &r->gdtr},
	    {VM_SEG_IDTR, &r->idtr},
	};
	struct vcpu *vcpu = m->cpus[0].vcpu;
	size_t i;
	int error = 0;

	/* The state after RESET begins in the ROM: F000:FFF0, with a base of
	 * FFFF0000 (SDM volume 3, 10.1.4, "First Instruction Executed"). */
	if (gmem_rom(m->gmem) != 0)
		return (0);
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]) && error == 0; i++)
		error = vcpu_set_reg(vcpu, regs[i].reg, regs[i].val);
	for (i = 0; i < sizeof(segs) / sizeof(segs[0]) && error == 0; i++)
		error = set_seg(vcpu, segs[i].seg, segs[i].val);
	if (error == 0)
		error = set_virtual_wire(vcpu);
	/* A BIOS gives all processors the same memory types. */
	for (i = 0; i < m->ncpus && error == 0; i++)
		error = set_mtrrs(m->cpus[i].vcpu);
	return (error);
}
