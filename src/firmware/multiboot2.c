/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections are those of the Multiboot2 Specification, version 2.0. */
#include <errno.h>
#include <inttypes.h>

#include "firmware/le.h"
#include "firmware/multiboot.h"

#define SEARCH       32768u
#define HEADER_SIZE  16u
#define TAG_OPTIONAL 0x1u

/* 3.1.3 on: tags of the header. */
enum {
	HTAG_END = 0,
	HTAG_REQUEST = 1,
	HTAG_ADDRESS = 2,
	HTAG_ENTRY = 3,
	HTAG_CONSOLE = 4,
	HTAG_FRAMEBUFFER = 5,
	HTAG_ALIGN = 6,
	HTAG_EFI_BOOT = 7,
	HTAG_EFI32_ENTRY = 8,
	HTAG_EFI64_ENTRY = 9,
	HTAG_RELOCATABLE = 10,
};
#define CONSOLE_REQUIRED 0x1u

/* 3.6: tags of the information. */
enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_NAME = 2,
	TAG_MODULE = 3,
	TAG_MEMORY = 4,
	TAG_MMAP = 6,
	TAG_RSDP1 = 14,
	TAG_RSDP2 = 15,
	TAG_LOAD_BASE = 21,
};
#define MMAP_SIZE  24u
#define RSDP1_SIZE 20u
#define RSDP2_SIZE 36u

long
mb2_find(const uint8_t *head, size_t len)
{
	size_t i;

	for (i = 0; i + HEADER_SIZE <= len && i + HEADER_SIZE <= SEARCH; i += 8)
		if (le32_get(head + i) == MB2_HEADER_MAGIC &&
		    MB2_HEADER_MAGIC + le32_get(head + i + 4) +
			    le32_get(head + i + 8) + le32_get(head + i + 12) ==
			0)
			return ((long)i);
	return (-1);
}

/* 3.1.4: what it must be told. */
static int
check_request(const struct fw_file *f, const uint8_t *p, size_t n)
{
	uint32_t type;

	for (; n >= 4; p += 4, n -= 4) {
		type = le32_get(p);
		if (type > TAG_MEMORY && type != TAG_MMAP &&
		    type != TAG_RSDP1 && type != TAG_RSDP2 &&
		    type != TAG_LOAD_BASE)
			return (fw_file_fail(f, -ENOEXEC,
			    "its Multiboot2 header requests information of "
			    "type %" PRIu32 ", which is not there; give "
			    "another image",
			    type));
	}
	return (0);
}

static int
header_tag(const struct fw_file *f, const uint8_t *p, uint32_t size,
    struct mb_header *h)
{
	const bool optional = (le16_get(p + 2) & TAG_OPTIONAL) != 0;
	const unsigned type = le16_get(p);

	switch (type) {
	case HTAG_REQUEST:
		return (optional ? 0 : check_request(f, p + 8, size - 8));
	case HTAG_ADDRESS:
		if (size < 24)
			break;
		h->addresses = true;
		h->header_addr = le32_get(p + 8);
		h->load_addr = le32_get(p + 12);
		h->load_end = le32_get(p + 16);
		h->bss_end = le32_get(p + 20);
		return (0);
	case HTAG_ENTRY:
		if (size < 12)
			break;
		h->has_entry = true;
		h->entry = le32_get(p + 8);
		return (0);
	case HTAG_CONSOLE:
		if (size < 12)
			break;
		if (!optional && (le32_get(p + 8) & CONSOLE_REQUIRED) != 0)
			return (fw_file_fail(f, -ENOEXEC,
			    "its Multiboot2 header wants a display, and there "
			    "is none; give an image for a serial console"));
		return (0);
	case HTAG_RELOCATABLE:
		/* It may be moved; where it was linked to is as good. */
		h->relocatable = true;
		return (0);
	case HTAG_FRAMEBUFFER: /* a preference */
	case HTAG_ALIGN:       /* always so */
	case HTAG_EFI_BOOT:    /* no EFI here */
	case HTAG_EFI32_ENTRY:
	case HTAG_EFI64_ENTRY:
		return (0);
	default:
		if (optional)
			return (0);
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot2 header has an unknown tag of type %u; "
		    "give another image",
		    type));
	}
	return (fw_file_fail(f, -ENOEXEC,
	    "its Multiboot2 header has a tag of type %u with %" PRIu32
	    " bytes; the file is damaged",
	    type, size));
}

int
mb2_header(const struct fw_file *f, const uint8_t *head, size_t len,
    struct mb_header *h)
{
	long at = mb2_find(head, len);
	uint32_t pos, size, end;
	int error = 0;

	h->version = 0;
	if (at < 0)
		return (0);
	head += at;
	h->version = 2;
	h->off = (uint32_t)at;
	if (le32_get(head + 4) != 0)
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot2 header is for another architecture; give "
		    "an x86 image"));
	end = le32_get(head + 8);
	if (end < HEADER_SIZE || end > len - (size_t)at)
		return (fw_file_fail(f, -ENODATA,
		    "its Multiboot2 header of %" PRIu32 " bytes is not within "
		    "the first %u of the file; copy it again",
		    end, SEARCH));
	for (pos = HEADER_SIZE; pos + 8 <= end && error == 0;) {
		size = le32_get(head + pos + 4);
		if (size < 8 || size > end - pos)
			return (fw_file_fail(f, -ENOEXEC,
			    "its Multiboot2 header has a tag of %" PRIu32
			    " bytes; the file is damaged",
			    size));
		if (le16_get(head + pos) == HTAG_END)
			break;
		error = header_tag(f, head + pos, size, h);
		pos += (size + 7) & ~7u;
	}
	if (error == 0 && h->addresses && !h->has_entry)
		error = fw_file_fail(f, -ENOEXEC,
		    "its Multiboot2 header has addresses but no entry point; "
		    "give another image");
	return (error);
}

/* Begins a tag of `size` bytes, its head included. */
static size_t
tag(struct mb_blob *o, uint32_t type, size_t size)
{
	size_t at = mb_room(o, size, 8);

	mb_put32(o, at, type);
	mb_put32(o, at + 4, (uint32_t)size);
	return (at);
}

/* A tag that a string ends. */
static size_t
string_tag(struct mb_blob *o, uint32_t type, size_t size, const char *path,
    const char *cmdline)
{
	size_t at = tag(o, type, size);

	(void)mb_string(o, path, cmdline);
	mb_put32(o, at + 4, (uint32_t)(o->len - at));
	return (at);
}

/* 3.6.15 and 3.6.16: a copy of the root pointer, as ACPI 1.0 and 2.0 have
 * it. */
static void
rsdp_tags(const struct boot *b, struct mb_blob *o)
{
	uint8_t rsdp[RSDP2_SIZE];
	size_t at, i;

	if (b->cfg->rsdp == 0 ||
	    gmem_read(b->gm, b->cfg->rsdp, rsdp, sizeof(rsdp)) != 0)
		return;
	at = tag(o, TAG_RSDP1, 8 + RSDP1_SIZE);
	for (i = 0; i < RSDP1_SIZE; i += 4)
		mb_put32(o, at + 8 + i, le32_get(rsdp + i));
	at = tag(o, TAG_RSDP2, 8 + RSDP2_SIZE);
	for (i = 0; i < RSDP2_SIZE; i += 4)
		mb_put32(o, at + 8 + i, le32_get(rsdp + i));
}

static void
memory_tags(const struct boot *b, const struct mb_image *im, struct mb_blob *o)
{
	size_t at, i;

	at = tag(o, TAG_MEMORY, 16);
	mb_put32(o, at + 8, E820_CONVENTIONAL_END >> 10);
	mb_put32(o, at + 12,
	    (uint32_t)((gmem_lowmem(b->gm) - E820_EXTENDED_BASE) >> 10));
	at = tag(o, TAG_MMAP, 16 + im->nmap * MMAP_SIZE);
	mb_put32(o, at + 8, MMAP_SIZE);
	at += 16;
	for (i = 0; i < im->nmap; i++, at += MMAP_SIZE) {
		mb_put64(o, at, im->map[i].base);
		mb_put64(o, at + 8, im->map[i].len);
		mb_put32(o, at + 16, im->map[i].type);
	}
}

void
mb2_info(const struct boot *b, const struct mb_image *im, struct mb_blob *o)
{
	size_t info = mb_room(o, 8, 8), at;
	uint64_t base = UINT64_MAX;
	unsigned i;

	(void)string_tag(o, TAG_CMDLINE, 8, b->kernel.path, b->cfg->cmdline);
	(void)string_tag(o, TAG_NAME, 8, MB_LOADER_NAME, NULL);
	for (i = 0; i < im->nmods; i++) {
		at = string_tag(
		    o, TAG_MODULE, 16, im->mod[i].path, im->mod[i].cmdline);
		mb_put32(o, at + 8, (uint32_t)im->mod[i].gpa);
		mb_put32(o, at + 12,
		    (uint32_t)(im->mod[i].gpa + im->mod[i].size));
	}
	memory_tags(b, im, o);
	rsdp_tags(b, o);
	if (im->hdr.relocatable) {
		for (i = 0; i < im->nused; i++)
			if (im->used[i].base < base)
				base = im->used[i].base;
		at = tag(o, TAG_LOAD_BASE, 12);
		mb_put32(o, at + 8, (uint32_t)base);
	}
	(void)tag(o, TAG_END, 8);
	mb_put32(o, info, (uint32_t)o->len);
}
