/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_BOOT_PRIV_H
#define LHYVE_FIRMWARE_BOOT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/boot.h"
#include "gmem/gmem.h"

/*
 * Guest memory below 640 KiB at the start. A kernel keeps away from here
 * until it has read what it wants (boot.rst, "Memory layout").
 */
#define BOOT_IVT_SIZE    0x400u /* at 0: vectors of real mode */
#define BOOT_BIOS_STUB   0xf0ff0u /* where they lead to, behind the MP table */
#define BOOT_BIOS_RESET  0xffff0u
#define BOOT_LOW         0x500u /* below: vectors, the BIOS data area */
#define BOOT_GDT         0x500u
#define BOOT_GDT_SIZE    0x30u
#define BOOT_STACK_TOP   0x2000u
#define BOOT_PVH_INFO    0x2000u /* start info, module list, memory map */
#define BOOT_ZERO_PAGE   0x7000u
#define BOOT_PAGE_TABLES 0x9000u /* 6 pages */
#define BOOT_CMDLINE     0x20000u
#define BOOT_CMDLINE_MAX 0x10000u /* with the NUL */

#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TR 0x20u

/* What is being started. */
struct boot {
	struct gmem *gm;
	const struct boot_config *cfg;
	struct boot_regs *regs;
	struct fw_file kernel;
	struct fw_error *err;
	uint64_t kernel_end;  /* first byte the kernel does not need */
	uint64_t initrd_max;  /* last byte an initrd may use */
	uint64_t cmdline_max; /* longest command line, without the NUL */
	uint64_t initrd;      /* gpa; 0: none */
	uint64_t initrd_size;
	uint64_t gdt; /* gpa; 0: BOOT_GDT */
};

/* Kinds of kernels. Each loads the kernel, then calls boot_extras(), then
 * makes what the kernel reads, then sets the registers. */
int boot_linux(struct boot *b);
int boot_elf(struct boot *b);
int boot_multiboot(struct boot *b, const uint8_t *head, size_t len);
/* Is it one? `head` is the first BOOT_HEAD bytes, zeroes past the end. The
 * last takes `len` bytes of the file, up to BOOT_MB_HEAD. */
#define BOOT_HEAD    0x400u
#define BOOT_MB_HEAD 0x8000u
bool boot_is_linux(const uint8_t head[BOOT_HEAD]);
bool boot_is_elf(const uint8_t head[BOOT_HEAD]);
bool boot_is_multiboot(const uint8_t *head, size_t len);

/* An ELF file's headers, of either class. */
#define ELF_PHDRS_MAX 64
struct elf_phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
struct elf_image {
	bool elf64;
	uint64_t entry;
	unsigned nphdrs;
	struct elf_phdr phdr[ELF_PHDRS_MAX];
	bool pvh;
	uint64_t pvh_entry;
};
int elf_read(const struct boot *b, struct elf_image *im);
/* Loads the segments, none of them below `lowest`, and none where the tables
 * lie; kernel_end is then behind the last one. */
int elf_load(struct boot *b, const struct elf_image *im, uint64_t lowest);

/* Loads the initrd and copies the command line. */
int boot_extras(struct boot *b);
/* Loads a file to the highest page below initrd_max, above the kernel, and
 * moves initrd_max below it. */
int boot_file(struct boot *b, const char *var, const char *path,
    uint64_t *gpa, uint64_t *size);
/* Writes boot_params; hdr (0x1f1..) comes from the kernel's file or is
 * NULL, len its length. */
#define BOOT_PARAMS_HDR     0x1f1u
#define BOOT_PARAMS_HDR_END 0x290u
int boot_zero_page(struct boot *b, const uint8_t *hdr, size_t len);
/* Registers: long mode over an identity map of 4 GiB, or flat protected
 * mode without paging. */
int boot_regs_long(struct boot *b, uint64_t entry);
int boot_regs_flat(struct boot *b, uint64_t entry);

#endif
