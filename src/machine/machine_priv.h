/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_MACHINE_MACHINE_PRIV_H
#define LHYVE_MACHINE_MACHINE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/chardev/chardev.h"
#include "base/log.h"
#include "base/mevent.h"
#include "base/vclock.h"
#include "bus/irq.h"
#include "bus/pci.h"
#include "bus/space.h"
#include "chipset/chipset.h"
#include "config/options.h"
#include "firmware/boot.h"
#include "gmem/gmem.h"
#include "machine/machine.h"
#include "vmm/vmm.h"

/* bhyve's place for the PCI configuration space, 256 MiB. */
#define MACHINE_ECAM_BASE 0xe0000000u

/* Upcalls that are counted. */
enum machine_io {
	IO_IN,
	IO_OUT,
	IO_IN_NOBODY,
	IO_OUT_NOBODY,
	IO_READ,
	IO_WRITE,
	IO_READ_NOBODY,
	IO_WRITE_NOBODY,
	IO_EOI,
	IO_NOTIFY, /* GUEST_NIO_PORT */
	IO_MAX
};

/* A virtual processor's thread. */
struct machine_cpu {
	struct machine *m;
	struct vcpu *vcpu;
	pthread_t thread;
	bool started;
	/* Written by the thread only, read by any. */
	_Atomic uint64_t exits[VM_EXITCODE_MAX];
	_Atomic uint64_t io[IO_MAX];
};

struct rundir;

struct machine {
	const struct config *cfg;
	struct mevent_loop *loop;
	struct vclock *vclock;
	struct gmem *gmem;
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct vm *vm;
	struct chardev *com[CHIPSET_UARTS]; /* owned */
	struct chardev *bvmcons, *dbgport; /* owned; NULL: none */
	struct chipset *chipset;
	struct fwcfg *fwcfg; /* the chipset's; NULL: none */
	struct pci_bus *pci;
	struct fw_file vars_file; /* of the boot ROM; open if vars is set */
	uint8_t *vars;		  /* its content; owned */
	struct boot_regs regs; /* of the first processor */
	uint64_t rsdp;	       /* gpa of the ACPI tables' root, 0: none */
	uint32_t mem32_base, mem32_limit;
	uint64_t mem64_base, mem64_limit;

	struct machine_cpu *cpus;
	struct config_topology topology;
	struct config_numa numa;
	unsigned ncpus;
	atomic_uint running; /* vcpu threads */
	atomic_int status;   /* -1: not ended yet; the first reason wins */
	bool strictio, strictmsr, verbosemsr; /* x86.* */
	struct log_rate msr_rate;
	struct rundir *rundir;

	struct vtimer grace;
	int sigfd;
	bool asked;   /* the power button was pressed */
	bool stopped; /* machine_stop() */
	struct mevent *sigev;
};

struct acpi_config;

/* Ends the machine; any thread. The first status wins. It is one of enum
 * machine_status, or what an exit port was told. */
void machine_end(struct machine *m, int status);

/* The same on the user's behalf, in the event loop's thread. */
void machine_stop(struct machine *m);
void machine_grace(void *arg); /* the timer's */

/* devices.c: COM ports, bvmcons, dbgport and PCI slots as configured. */
int machine_add_coms(struct machine *m, struct config_error *err);
int machine_add_pci(struct machine *m, struct config_error *err);
/* memory.c: the memory and the windows for BARs above it. */
int machine_create_memory(struct machine *m, struct config_error *err);
/* boot.c: ROM, tables and kernel into memory, and the registers to begin
 * with. The ROM comes before the engine. */
int machine_load_rom(struct machine *m, struct config_error *err);
int machine_load(struct machine *m, struct config_error *err);
/* With the PCI devices there. */
int machine_load_tables(struct machine *m, struct config_error *err);
int machine_set_regs(struct machine *m);
/* The same for a machine that starts again, with its memory empty. */
int machine_reload(struct machine *m, struct config_error *err);
/* tables.c: SMBIOS, ACPI, and the MP table with the interrupts that ACPI
 * tells; to memory or, where a firmware finds a place for them, fw_cfg. */
int machine_add_smbios(struct machine *m, struct config_error *err);
int machine_add_acpi(
    struct machine *m, const struct acpi_config *ac, struct config_error *err);
int machine_add_mptable(struct machine *m, const struct acpi_config *ac);
/* The domains' memory as it lies in the guest; *n is set. */
struct acpi_memory;
void machine_domains(
    const struct machine *m, struct acpi_memory *mem, size_t *n);
/* A fresh generation identifier, and one at ACPI_VMGENID. */
int machine_new_generation(uint8_t guid[16]);
int machine_add_vmgenid(struct machine *m);
/* fwcfg.c: the device's items; *out is NULL if it is not configured. */
int machine_create_fwcfg(
    struct machine *m, struct fwcfg **out, struct config_error *err);
/* The tables as its files, for a firmware to place: ACPI, and what
 * smbios_build() made. */
int machine_fwcfg_tables(
    struct machine *m, const struct acpi_config *ac, struct config_error *err);
int machine_fwcfg_smbios(struct machine *m, const uint8_t *buf, size_t len,
    struct config_error *err);
/* fwcfg_kernel.c: -o kernel, initrd and cmdline for the firmware to start. */
int machine_fwcfg_kernel(struct machine *m, struct config_error *err);
/* io.c: the engine's upcalls. */
extern const struct vmm_io_ops machine_io_ops;
/* vcpu.c: one thread a processor; join waits for all of them. */
int machine_start_cpus(struct machine *m);
void machine_join_cpus(struct machine *m);
/* Are the host's processors there that -p names? */
int machine_check_pins(struct machine *m, struct config_error *err);
/* stats.c: the counters, to stderr. Any thread. */
void machine_stats(struct machine *m);

#endif
