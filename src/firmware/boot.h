/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_BOOT_H
#define LHYVE_FIRMWARE_BOOT_H

#include <stdint.h>

#include "firmware/file.h"

struct gmem;

/*
 * Starts a kernel without a boot ROM: loads it, what belongs to it and what
 * it wants to find into guest memory, and says with what registers the
 * first processor begins.
 */
struct boot_seg {
	uint64_t base;
	uint32_t limit;  /* in bytes */
	uint32_t access; /* as in struct vm_seg */
	uint16_t sel;
};

/* Registers that are not here are 0, in the state after RESET otherwise. */
struct boot_regs {
	uint64_t rip, rsp, rsi, rax, rbx, rflags;
	uint64_t cr0, cr3, cr4, efer;
	struct boot_seg cs, data; /* data: DS, ES, SS, FS, GS */
	struct boot_seg ldtr, tr, gdtr, idtr;
};

/* A file that goes with the kernel. */
struct boot_module {
	const char *var;     /* the variable that names it, for messages */
	const char *path;
	const char *cmdline; /* or NULL */
};
#define BOOT_MODULES_MAX 16

struct boot_config {
	const char *kernel;  /* path */
	const char *initrd;  /* path, or NULL */
	const char *cmdline; /* or NULL */
	/* What comes after the initrd; a Linux kernel takes none. */
	const struct boot_module *modules;
	unsigned nmodules; /* up to BOOT_MODULES_MAX */
	uint64_t rsdp;       /* gpa of the ACPI root pointer; 0: none */
	uint64_t ecam;       /* gpa of the PCI configuration space; 0: none */
};

/*
 * Takes a Linux bzImage (its 64-bit entry point if it has one, else the
 * 32-bit one), an image with a header of Multiboot 2 or 1, an ELF kernel with
 * a PVH entry point, or an ELF64 Linux kernel. The memory is fresh, all
 * zeroes. 0 with *regs filled, or -errno
 * with err filled.
 */
int boot_load(struct gmem *gm, const struct boot_config *cfg,
    struct boot_regs *regs, struct fw_error *err);

/*
 * For a firmware that starts a kernel itself, in the way of QEMU's loaders: a
 * bzImage's real-mode part is its first setup_len bytes.
 */
struct boot_linux_parts {
	size_t setup_len;
	uint32_t initrd_max;  /* the last address of the initrd */
	uint32_t cmdline_max; /* without the NUL */
};
/* 0, or -errno with f->err filled. */
int boot_linux_split(const struct fw_file *f, struct boot_linux_parts *out);
/* Fills in the setup header of that part: the real-mode part will lie at
 * `real`, the rest where it is said; the heap ends at the command line. */
void boot_linux_fill(uint8_t *setup, uint32_t real, uint32_t cmdline,
    uint32_t initrd, uint32_t initrd_len);

#endif
