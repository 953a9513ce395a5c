/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot images, of either version: loading and starting them. */
#include "firmware/multiboot.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/le.h"

/* Information lies from here on, where the image leaves room. Kernels put
 * what they need below 1 MiB near its end, and start processors below. */
#define INFO_LOWEST 0x1000u
#define INFO_MAX    0x40000u
#define STACK_SIZE  0x1000u

size_t
mb_room(struct mb_blob *o, size_t n, size_t align)
{
	size_t at = (o->len + align - 1) & ~(align - 1);

	o->len = at + n;
	return (at);
}

static void
put(struct mb_blob *o, size_t at, const void *p, size_t n)
{
	if (at <= o->room && n <= o->room - at)
		memcpy(o->p + at, p, n);
}

void
mb_put32(struct mb_blob *o, size_t at, uint32_t v)
{
	put(o, at, &v, sizeof(v));
}

void
mb_put64(struct mb_blob *o, size_t at, uint64_t v)
{
	put(o, at, &v, sizeof(v));
}

size_t
mb_string(struct mb_blob *o, const char *path, const char *cmdline)
{
	const char *name = strrchr(path, '/');
	size_t at, n;

	name = name != NULL ? name + 1 : path;
	n = strcspn(name, " ");
	at = mb_room(o, n, 1);
	put(o, at, name, n);
	if (cmdline != NULL && cmdline[0] != '\0') {
		put(o, mb_room(o, 1, 1), " ", 1);
		n = strlen(cmdline);
		put(o, mb_room(o, n, 1), cmdline, n);
	}
	put(o, mb_room(o, 1, 1), "", 1);
	return (at);
}

bool
boot_is_multiboot(const uint8_t *head, size_t len)
{
	return (mb2_find(head, len) >= 0 || mb1_find(head, len) >= 0);
}

static void
use(struct mb_image *im, uint64_t base, uint64_t size)
{
	im->used[im->nused++] = (struct mb_extent){base, base + size};
}

/* An image whose header says where it goes: sections 3.1.3 of version 1 and
 * 3.1.5 of version 2. */
static int
load_by_header(struct boot *b, struct mb_image *im)
{
	const struct mb_header *h = &im->hdr;
	const struct fw_file *f = &b->kernel;
	uint64_t off, len, size, base = h->load_addr;
	uint64_t lowmem = gmem_lowmem(b->gm);

	/* Version 2: -1 is the beginning of the file. */
	if (h->version == 2 && h->load_addr == UINT32_MAX)
		base = (uint64_t)h->header_addr - h->off;
	off = base + h->off - h->header_addr;
	if (base > h->header_addr || off > h->off || off >= f->size)
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot header says that it lies at 0x%" PRIx32
		    ", the image at 0x%" PRIx32 "; the file is damaged",
		    h->header_addr, h->load_addr));
	len = h->load_end != 0 ? h->load_end - base : f->size - off;
	size = h->bss_end > base + len ? h->bss_end - base : len;
	if ((h->load_end != 0 && h->load_end <= base) || len > f->size - off)
		return (fw_file_fail(f, -ENOEXEC,
		    "its Multiboot header wants 0x%" PRIx32 " to 0x%" PRIx32
		    " loaded, which is not in the file; copy it again",
		    h->load_addr, h->load_end));
	if (base < BOOT_LOW ||
	    (base < E820_EXTENDED_BASE ?
		    base + size > E820_CONVENTIONAL_END :
		    base + size > lowmem))
		return (fw_file_fail(f, -ENOSPC,
		    "%" PRIu64 " KiB at 0x%" PRIx64
		    " are not in memory; give more with -m",
		    size >> 10, base));
	b->kernel_end = base + size;
	im->entry = h->entry;
	use(im, base, size);
	return (fw_file_load(f, off, len, b->gm, base, "image"));
}

static int
load_elf(struct boot *b, struct mb_image *im)
{
	const struct elf_phdr *p;
	struct elf_image elf = {0};
	uint8_t ident[BOOT_HEAD] = {0};
	bool found = im->hdr.has_entry;
	unsigned i;
	int error;

	error = fw_file_read(&b->kernel, 0, ident, SELFMAG, "header");
	if (error == 0 && !boot_is_elf(ident))
		error = fw_file_fail(&b->kernel, -ENOEXEC,
		    "its Multiboot header has no addresses, and it is no ELF "
		    "file; give an image with either");
	if (error == 0)
		error = elf_read(b, &elf);
	if (error == 0)
		error = elf_load(b, &elf, BOOT_LOW);
	if (error != 0)
		return (error);
	im->entry = im->hdr.entry;
	for (i = 0; i < elf.nphdrs; i++) {
		p = &elf.phdr[i];
		if (p->type != PT_LOAD || p->memsz == 0)
			continue;
		use(im, p->paddr, p->memsz);
		/* The file's entry point is as linked, not as loaded. */
		if (!found && elf.entry >= p->vaddr &&
		    elf.entry - p->vaddr < p->memsz) {
			im->entry = elf.entry - p->vaddr + p->paddr;
			found = true;
		}
	}
	if (!found)
		return (fw_file_fail(&b->kernel, -ENOEXEC,
		    "its entry point 0x%" PRIx64 " is not in a segment; give "
		    "a kernel",
		    elf.entry));
	return (0);
}

static int
load_modules(struct boot *b, struct mb_image *im)
{
	const struct boot_config *cfg = b->cfg;
	const struct boot_module first = {"initrd", cfg->initrd, NULL}, *m;
	struct mb_module *to;
	unsigned i;
	int error;

	b->initrd_max = UINT32_MAX;
	for (i = 0; i <= cfg->nmodules && i <= BOOT_MODULES_MAX; i++) {
		m = i == 0 ? &first : &cfg->modules[i - 1];
		if (m->path == NULL)
			continue;
		to = &im->mod[im->nmods];
		error = boot_file(b, m->var, m->path, &to->gpa, &to->size);
		if (error != 0)
			return (error);
		to->path = m->path;
		to->cmdline = m->cmdline;
		im->nmods++;
	}
	return (0);
}

/* The lowest page from which `size` bytes are free below 640 KiB; 0: none. */
static uint64_t
find_low(const struct mb_image *im, uint64_t size)
{
	uint64_t at = INFO_LOWEST;
	bool moved = true;
	unsigned i;

	while (moved) {
		moved = false;
		for (i = 0; i < im->nused; i++) {
			if (at >= im->used[i].end ||
			    at + size <= im->used[i].base)
				continue;
			at = (im->used[i].end + 0xfff) & ~UINT64_C(0xfff);
			moved = true;
		}
	}
	return (size <= E820_CONVENTIONAL_END &&
			at <= E820_CONVENTIONAL_END - size ?
		    at :
		    0);
}

/* Information, GDT and a stack, one after the other. */
static int
write_info(struct boot *b, const struct mb_image *im)
{
	void (*make)(const struct boot *, const struct mb_image *,
	    struct mb_blob *) = im->hdr.version == 2 ? mb2_info : mb1_info;
	struct mb_blob o = {0};
	uint64_t at, size;
	int error;

	make(b, im, &o); /* how much is it? */
	size = ((o.len + 15) & ~UINT64_C(15)) + BOOT_GDT_SIZE + STACK_SIZE;
	at = o.len <= INFO_MAX ? find_low(im, size) : 0;
	if (at == 0)
		return (fw_file_fail(&b->kernel, -E2BIG,
		    "no room below 640 KiB for the %zu bytes that a Multiboot "
		    "image is told; shorten -o cmdline",
		    o.len));
	o = (struct mb_blob){.room = o.len, .base = (uint32_t)at};
	o.p = calloc(1, o.room);
	if (o.p == NULL)
		return (-ENOMEM);
	make(b, im, &o);
	error = gmem_write(b->gm, at, o.p, o.len);
	free(o.p);
	b->gdt = at + size - STACK_SIZE - BOOT_GDT_SIZE;
	if (error == 0)
		error = boot_regs_flat(b, im->entry);
	b->regs->rsp = at + size;
	b->regs->rax = im->hdr.version == 2 ? MB2_MAGIC : MB1_MAGIC;
	b->regs->rbx = at;
	return (error);
}

int
boot_multiboot(struct boot *b, const uint8_t *head, size_t len)
{
	struct mb_image *im;
	bool found = false;
	unsigned i;
	int error;

	im = calloc(1, sizeof(*im));
	if (im == NULL)
		return (-ENOMEM);
	/* An image that has both headers can do more with the second. */
	error = mb2_header(&b->kernel, head, len, &im->hdr);
	if (error == 0 && im->hdr.version == 0)
		error = mb1_header(&b->kernel, head, len, &im->hdr);
	if (error == 0)
		error = im->hdr.addresses ? load_by_header(b, im) :
					    load_elf(b, im);
	if (error != 0)
		goto out;
	for (i = 0; i < im->nused; i++)
		if (im->entry >= im->used[i].base &&
		    im->entry < im->used[i].end)
			found = true;
	if (!found) {
		error = fw_file_fail(&b->kernel, -ENOEXEC,
		    "its entry point 0x%" PRIx64 " is not in the image; give "
		    "a kernel",
		    im->entry);
		goto out;
	}
	im->nmap = e820_build(im->map, gmem_lowmem(b->gm),
	    gmem_highmem(b->gm), b->cfg->ecam);
	error = load_modules(b, im);
	if (error == 0)
		error = write_info(b, im);
out:
	free(im);
	return (error);
}
