/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_MULTIBOOT_H
#define LHYVE_FIRMWARE_MULTIBOOT_H

#include "firmware/boot_priv.h"
#include "firmware/e820.h"

/*
 * The Multiboot Specification 0.6.96 and the Multiboot2 Specification 2.0:
 * what both versions share.
 */
#define MB1_HEADER_MAGIC 0x1badb002u
#define MB1_MAGIC        0x2badb002u /* in EAX */
#define MB2_HEADER_MAGIC 0xe85250d6u
#define MB2_MAGIC        0x36d76289u
#define MB_LOADER_NAME   "lhyve"

/* What a header asks for. */
struct mb_header {
	unsigned version; /* 1 or 2; 0: none */
	uint32_t off;     /* in the file */
	bool addresses;   /* else it is an ELF file */
	uint32_t header_addr, load_addr, load_end, bss_end;
	bool has_entry;
	uint32_t entry;
	bool relocatable; /* version 2: wants to know where it lies */
};

struct mb_module {
	uint64_t gpa, size;
	const char *path, *cmdline;
};

struct mb_extent {
	uint64_t base, end;
};

struct mb_image {
	struct mb_header hdr;
	uint64_t entry;
	struct mb_extent used[ELF_PHDRS_MAX]; /* memory that it takes */
	unsigned nused;
	struct mb_module mod[1 + BOOT_MODULES_MAX];
	unsigned nmods;
	struct e820_entry map[E820_MAX];
	size_t nmap;
};

/* Information for the image, made for the address `base`. What does not fit
 * is counted, not written. */
struct mb_blob {
	uint8_t *p;
	size_t len, room;
	uint32_t base;
};
/* Room for n bytes of zeroes on a multiple of `align`; its offset. */
size_t mb_room(struct mb_blob *o, size_t n, size_t align);
void mb_put32(struct mb_blob *o, size_t at, uint32_t v);
void mb_put64(struct mb_blob *o, size_t at, uint64_t v);
/* Writes "NAME CMDLINE" with its NUL, NAME being the last part of the path;
 * its offset. The first word is what loaders put there and kernels skip. */
size_t mb_string(struct mb_blob *o, const char *path, const char *cmdline);

/* Looks for a header in the first `len` bytes of the file and reads it; a
 * message and -errno if it wants what is not here. version is 0 if there is
 * none. */
int mb1_header(const struct fw_file *f, const uint8_t *head, size_t len,
    struct mb_header *h);
int mb2_header(const struct fw_file *f, const uint8_t *head, size_t len,
    struct mb_header *h);
/* Offset of the header, or -1. */
long mb1_find(const uint8_t *head, size_t len);
long mb2_find(const uint8_t *head, size_t len);
/* Writes the information. */
void mb1_info(
    const struct boot *b, const struct mb_image *im, struct mb_blob *o);
void mb2_info(
    const struct boot *b, const struct mb_image *im, struct mb_blob *o);

#endif
