/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections are those of the Multiboot Specification, version 0.6.96. */
#include <errno.h>
#include <inttypes.h>

#include "firmware/le.h"
#include "firmware/multiboot.h"

#define SEARCH 8192u

/* 3.1.2: flags of the header. */
#define HDR_VIDEO     0x00000004u
#define HDR_REQUIRED  0x0000ffffu
#define HDR_KNOWN     0x00000003u /* pages for modules, memory information */
#define HDR_ADDRESSES 0x00010000u

/* 3.3: flags of the information, and where its fields are. */
#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODS    0x008u
#define INFO_MMAP    0x040u
#define INFO_NAME    0x200u
enum {
	INFO_MEM_LOWER = 4,
	INFO_MEM_UPPER = 8,
	INFO_CMDLINE_PTR = 16,
	INFO_MODS_COUNT = 20,
	INFO_MODS_ADDR = 24,
	INFO_MMAP_LENGTH = 44,
	INFO_MMAP_ADDR = 48,
	INFO_NAME_PTR = 64,
	INFO_SIZE = 116,
	MOD_SIZE = 16,
	MMAP_SIZE = 24,
};

long
mb1_find(const uint8_t *head, size_t len)
{
	size_t i;

	for (i = 0; i + 12 <= len && i + 12 <= SEARCH; i += 4)
		if (le32_get(head + i) == MB1_HEADER_MAGIC &&
		    MB1_HEADER_MAGIC + le32_get(head + i + 4) +
			    le32_get(head + i + 8) ==
			0)
			return ((long)i);
	return (-1);
}

int
mb1_header(const struct fw_file *f, const uint8_t *head, size_t len,
    struct mb_header *h)
{
	long at = mb1_find(head, len);
	uint32_t flags;

	h->version = 0;
	if (at < 0)
		return (0);
	head += at;
	h->version = 1;
	h->off = (uint32_t)at;
	flags = le32_get(head + 4);
	if ((flags & HDR_VIDEO) != 0)
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot header wants a video mode, and there is no "
		    "display; give an image for a serial console"));
	if ((flags & HDR_REQUIRED & ~HDR_KNOWN) != 0)
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot header has unknown flags 0x%" PRIx32
		    "; give another image",
		    flags & HDR_REQUIRED & ~HDR_KNOWN));
	if ((flags & HDR_ADDRESSES) == 0)
		return (0);
	if ((size_t)at + 32 > len)
		return (fw_file_fail(f, -ENODATA,
		    "truncated in its Multiboot header; copy it again"));
	h->addresses = h->has_entry = true;
	h->header_addr = le32_get(head + 12);
	h->load_addr = le32_get(head + 16);
	h->load_end = le32_get(head + 20);
	h->bss_end = le32_get(head + 24);
	h->entry = le32_get(head + 28);
	return (0);
}

static void
modules(const struct mb_image *im, struct mb_blob *o, size_t info)
{
	const struct mb_module *m;
	size_t at = mb_room(o, im->nmods * MOD_SIZE, 4), s;
	unsigned i;

	mb_put32(o, info + INFO_MODS_COUNT, im->nmods);
	mb_put32(o, info + INFO_MODS_ADDR, o->base + (uint32_t)at);
	for (i = 0; i < im->nmods; i++, at += MOD_SIZE) {
		m = &im->mod[i];
		s = mb_string(o, m->path, m->cmdline);
		mb_put32(o, at, (uint32_t)m->gpa);
		mb_put32(o, at + 4, (uint32_t)(m->gpa + m->size));
		mb_put32(o, at + 8, o->base + (uint32_t)s);
	}
}

void
mb1_info(const struct boot *b, const struct mb_image *im, struct mb_blob *o)
{
	size_t info = mb_room(o, INFO_SIZE, 8), at, i;

	mb_put32(o, info,
	    INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_NAME);
	mb_put32(o, info + INFO_MEM_LOWER, E820_CONVENTIONAL_END >> 10);
	mb_put32(o, info + INFO_MEM_UPPER,
	    (uint32_t)((gmem_lowmem(b->gm) - E820_EXTENDED_BASE) >> 10));

	at = mb_room(o, im->nmap * MMAP_SIZE, 4);
	mb_put32(o, info + INFO_MMAP_LENGTH, (uint32_t)(im->nmap * MMAP_SIZE));
	mb_put32(o, info + INFO_MMAP_ADDR, o->base + (uint32_t)at);
	for (i = 0; i < im->nmap; i++, at += MMAP_SIZE) {
		/* The size does not count itself. */
		mb_put32(o, at, MMAP_SIZE - 4);
		mb_put64(o, at + 4, im->map[i].base);
		mb_put64(o, at + 12, im->map[i].len);
		mb_put32(o, at + 20, im->map[i].type);
	}

	at = mb_string(o, b->kernel.path, b->cfg->cmdline);
	mb_put32(o, info + INFO_CMDLINE_PTR, o->base + (uint32_t)at);
	at = mb_string(o, MB_LOADER_NAME, NULL);
	mb_put32(o, info + INFO_NAME_PTR, o->base + (uint32_t)at);
	modules(im, o, info);
}
