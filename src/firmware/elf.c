/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels: the PVH entry point (Xen, docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h), else the 64-bit entry point of Linux.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "firmware/boot_priv.h"
#include "firmware/e820.h"
#include "firmware/le.h"

/* ELF note of the physical 32-bit entry point (Xen, public/elfnote.h). */
#define XEN_ELFNOTE_PHYS32_ENTRY 18
/* Linux' COMMAND_LINE_SIZE on x86 is 2048 with the NUL. */
#define ELF_CMDLINE_MAX 2047
#define ELF_INITRD_MAX  0x7fffffffu

bool
boot_is_elf(const uint8_t head[BOOT_HEAD])
{
	return (memcmp(head, ELFMAG, SELFMAG) == 0);
}

static void
phdr_decode(struct elf_phdr *p, const uint8_t *raw, bool elf64)
{
	Elf64_Phdr p64;
	Elf32_Phdr p32;

	if (elf64) {
		memcpy(&p64, raw, sizeof(p64));
		*p = (struct elf_phdr){p64.p_type, p64.p_offset, p64.p_vaddr,
		    p64.p_paddr, p64.p_filesz, p64.p_memsz, p64.p_align};
	} else {
		memcpy(&p32, raw, sizeof(p32));
		*p = (struct elf_phdr){p32.p_type, p32.p_offset, p32.p_vaddr,
		    p32.p_paddr, p32.p_filesz, p32.p_memsz, p32.p_align};
	}
}

int
elf_read(const struct boot *b, struct elf_image *im)
{
	const struct fw_file *f = &b->kernel;
	uint8_t ident[EI_NIDENT], raw[ELF_PHDRS_MAX * sizeof(Elf64_Phdr)];
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;
	uint64_t phoff;
	unsigned type, machine, phentsize, i;
	size_t want;
	int error;

	error = fw_file_read(f, 0, ident, sizeof(ident), "ELF header");
	if (error != 0)
		return (error);
	im->elf64 = ident[EI_CLASS] == ELFCLASS64;
	if ((!im->elf64 && ident[EI_CLASS] != ELFCLASS32) ||
	    ident[EI_DATA] != ELFDATA2LSB)
		return (fw_file_fail(f, -ENOEXEC,
		    "not a little-endian ELF file; give an x86 kernel"));
	if (im->elf64) {
		error = fw_file_read(f, 0, &e64, sizeof(e64), "ELF header");
		type = e64.e_type;
		machine = e64.e_machine;
		im->entry = e64.e_entry;
		phoff = e64.e_phoff;
		phentsize = e64.e_phentsize;
		im->nphdrs = e64.e_phnum;
		want = sizeof(Elf64_Phdr);
	} else {
		error = fw_file_read(f, 0, &e32, sizeof(e32), "ELF header");
		type = e32.e_type;
		machine = e32.e_machine;
		im->entry = e32.e_entry;
		phoff = e32.e_phoff;
		phentsize = e32.e_phentsize;
		im->nphdrs = e32.e_phnum;
		want = sizeof(Elf32_Phdr);
	}
	if (error != 0)
		return (error);
	if (type != ET_EXEC || machine != (im->elf64 ? EM_X86_64 : EM_386))
		return (fw_file_fail(
		    f, -ENOEXEC, "not an executable for x86; give a kernel"));
	if (im->nphdrs == 0 || im->nphdrs > ELF_PHDRS_MAX || phentsize != want)
		return (fw_file_fail(f, -ENOEXEC,
		    "%u program headers of %u bytes; give a kernel with 1 to "
		    "%u of %zu",
		    im->nphdrs, phentsize, ELF_PHDRS_MAX, want));
	error =
	    fw_file_read(f, phoff, raw, im->nphdrs * want, "program headers");
	if (error != 0)
		return (error);
	for (i = 0; i < im->nphdrs; i++)
		phdr_decode(&im->phdr[i], raw + i * want, im->elf64);
	return (0);
}

int
elf_load(struct boot *b, const struct elf_image *im, uint64_t lowest)
{
	const struct fw_file *f = &b->kernel;
	const struct elf_phdr *p;
	uint64_t lowmem = gmem_lowmem(b->gm);
	unsigned i;
	int error;

	for (i = 0; i < im->nphdrs; i++) {
		p = &im->phdr[i];
		if (p->type != PT_LOAD || p->memsz == 0)
			continue;
		if (p->filesz > p->memsz)
			return (fw_file_fail(f, -ENOEXEC,
			    "segment %u is larger in the file than in "
			    "memory; the file is damaged",
			    i));
		/* Below 1 MiB there is memory as far as the EBDA. */
		if (p->paddr < lowest ||
		    (p->paddr < E820_EXTENDED_BASE &&
			(p->paddr >= E820_CONVENTIONAL_END ||
			    p->memsz > E820_CONVENTIONAL_END - p->paddr)))
			return (fw_file_fail(f, -ENOEXEC,
			    "segment %u lies at 0x%" PRIx64
			    ", below 1 MiB; link the kernel higher",
			    i, p->paddr));
		if (p->paddr >= lowmem || p->memsz > lowmem - p->paddr)
			return (fw_file_fail(f, -ENOSPC,
			    "segment %u, %" PRIu64 " KiB at 0x%" PRIx64
			    ", is not in memory; give more with -m",
			    i, p->memsz >> 10, p->paddr));
		/* The rest of memsz is zero: the memory is fresh. */
		if (p->filesz != 0) {
			error = fw_file_load(f, p->offset, p->filesz, b->gm,
			    p->paddr, "segment");
			if (error != 0)
				return (error);
		}
		if (p->paddr + p->memsz > b->kernel_end)
			b->kernel_end = p->paddr + p->memsz;
	}
	if (b->kernel_end == 0)
		return (fw_file_fail(
		    f, -ENOEXEC, "nothing in it to load; give a kernel"));
	return (0);
}

/* Looks through one block of notes. */
static void
find_pvh(struct elf_image *im, const uint8_t *p, size_t len, uint64_t align)
{
	const size_t mask = align == 8 ? 7 : 3;
	size_t namesz, descsz, name, desc;
	uint32_t type;

	while (len >= 12) {
		namesz = le32_get(p);
		descsz = le32_get(p + 4);
		type = le32_get(p + 8);
		/* 32-bit sizes: the sums cannot overflow a size_t. */
		name = 12;
		desc = (name + namesz + mask) & ~mask;
		if (desc > len || descsz > len - desc)
			return;
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && namesz == 4 &&
		    memcmp(p + name, "Xen", 4) == 0 &&
		    (descsz == 4 || descsz == 8)) {
			im->pvh = true;
			im->pvh_entry = descsz == 4 ? le32_get(p + desc)
						    : le64_get(p + desc);
			return;
		}
		descsz = (desc + descsz + mask) & ~mask;
		if (descsz > len)
			return;
		p += descsz;
		len -= descsz;
	}
}

static int
read_notes(const struct boot *b, struct elf_image *im)
{
	const struct fw_file *f = &b->kernel;
	uint8_t buf[4096];
	const struct elf_phdr *p;
	unsigned i;
	int error;

	for (i = 0; i < im->nphdrs && !im->pvh; i++) {
		p = &im->phdr[i];
		if (p->type != PT_NOTE || p->filesz == 0)
			continue;
		/* A kernel has a few hundred bytes of notes. */
		error = fw_file_read(f, p->offset, buf,
		    p->filesz < sizeof(buf) ? p->filesz : sizeof(buf), "note");
		if (error != 0)
			return (error);
		find_pvh(im, buf,
		    p->filesz < sizeof(buf) ? p->filesz : sizeof(buf),
		    p->align);
	}
	return (0);
}

/* The segment that has the entry point, by its physical address. */
static const struct elf_phdr *
entry_segment(const struct elf_image *im, uint64_t entry)
{
	const struct elf_phdr *p;
	unsigned i;

	for (i = 0; i < im->nphdrs; i++) {
		p = &im->phdr[i];
		if (p->type == PT_LOAD && entry >= p->paddr &&
		    entry - p->paddr < p->filesz)
			return (p);
	}
	return (NULL);
}

static int
check_entry(const struct boot *b, const struct elf_image *im)
{
	uint64_t entry = im->pvh ? im->pvh_entry : im->entry;
	const struct fw_file *f = &b->kernel;
	const struct elf_phdr *p;

	if (!im->pvh && !im->elf64)
		return (fw_file_fail(f, -ENOEXEC,
		    "a 32-bit ELF file without a PVH entry point; give a "
		    "kernel with one"));
	p = entry_segment(im, entry);
	if (p == NULL)
		return (fw_file_fail(f, -ENOEXEC,
		    "its entry point 0x%" PRIx64 " is not in a segment; give "
		    "a kernel",
		    entry));
	/* Linux is linked into the upper half of the address space and
	 * entered by its physical address; a static program is neither. */
	if (!im->pvh && p->vaddr >> 63 == 0)
		return (fw_file_fail(f, -ENOEXEC,
		    "a program, not a kernel: it has no PVH entry point and "
		    "is not linked as Linux is; give a kernel"));
	return (0);
}

/* struct hvm_start_info, version 1, with a module list and a memory map. */
enum {
	SI_MAGIC = 0x336ec578,
	SI_SIZE = 56,
	SI_MODULE_SIZE = 32,
	SI_MAP_SIZE = 24,
};

static int
write_start_info(struct boot *b)
{
	struct e820_entry map[E820_MAX];
	uint8_t buf[SI_SIZE + SI_MODULE_SIZE + SI_MAP_SIZE * E820_MAX] = {0};
	uint8_t *mod = buf + SI_SIZE, *mem = mod + SI_MODULE_SIZE;
	size_t i, n;

	n = e820_build(
	    map, gmem_lowmem(b->gm), gmem_highmem(b->gm), b->cfg->ecam);
	le32_put(buf, SI_MAGIC);
	le32_put(buf + 4, 1); /* version */
	if (b->initrd != 0) {
		le32_put(buf + 12, 1);
		le64_put(buf + 16, BOOT_PVH_INFO + SI_SIZE);
		le64_put(mod, b->initrd);
		le64_put(mod + 8, b->initrd_size);
	}
	le64_put(buf + 24, BOOT_CMDLINE);
	le64_put(buf + 32, b->cfg->rsdp);
	le64_put(buf + 40, BOOT_PVH_INFO + SI_SIZE + SI_MODULE_SIZE);
	le32_put(buf + 48, (uint32_t)n);
	for (i = 0; i < n; i++, mem += SI_MAP_SIZE) {
		le64_put(mem, map[i].base);
		le64_put(mem + 8, map[i].len);
		le32_put(mem + 16, map[i].type);
	}
	return (gmem_write(b->gm, BOOT_PVH_INFO, buf, sizeof(buf)));
}

int
boot_elf(struct boot *b)
{
	struct elf_image im = {0};
	int error;

	error = elf_read(b, &im);
	if (error == 0)
		error = read_notes(b, &im);
	if (error == 0)
		error = check_entry(b, &im);
	if (error == 0)
		error = elf_load(b, &im, E820_EXTENDED_BASE);
	if (error != 0)
		return (error);
	b->initrd_max = ELF_INITRD_MAX;
	b->cmdline_max = ELF_CMDLINE_MAX;
	error = boot_extras(b);
	if (error != 0)
		return (error);
	if (im.pvh) {
		error = write_start_info(b);
		b->regs->rbx = BOOT_PVH_INFO;
		return (error != 0 ? error : boot_regs_flat(b, im.pvh_entry));
	}
	error = boot_zero_page(b, NULL, 0);
	b->regs->rsi = BOOT_ZERO_PAGE;
	return (error != 0 ? error : boot_regs_long(b, im.entry));
}
