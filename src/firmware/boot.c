/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "firmware/boot_priv.h"
#include "firmware/e820.h"
#include "firmware/le.h"

/* boot_params: Documentation/x86/zero-page.rst. */
enum {
	ZP_ACPI_RSDP_ADDR = 0x070,
	ZP_ALT_MEM_K = 0x1e0,
	ZP_E820_ENTRIES = 0x1e8,
	ZP_E820_TABLE = 0x2d0,
	ZP_E820_SIZE = 20,
	/* The setup header, boot.rst. */
	ZP_BOOT_FLAG = 0x1fe,
	ZP_MAGIC = 0x202,
	ZP_VERSION = 0x206,
	ZP_TYPE_OF_LOADER = 0x210,
	ZP_VID_MODE = 0x1fa,
	ZP_RAMDISK_IMAGE = 0x218,
	ZP_RAMDISK_SIZE = 0x21c,
	ZP_CMD_LINE_PTR = 0x228,
	ZP_SIZE = 4096,
};

#define CR0_PE   0x00000001u
#define CR0_ET   0x00000010u
#define CR0_NE   0x00000020u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

int
boot_file(struct boot *b, const char *var, const char *path, uint64_t *gpa,
    uint64_t *size)
{
	struct fw_file f;
	uint64_t top, at;
	int error;

	error = fw_file_open(&f, var, path, b->err);
	if (error != 0)
		return (error);
	/* As high as may be: the kernel unpacks itself upwards. */
	top = gmem_lowmem(b->gm);
	if (b->initrd_max < top)
		top = b->initrd_max + 1;
	at = f.size <= top ? (top - f.size) & ~UINT64_C(0xfff) : 0;
	if (at < b->kernel_end || at < E820_EXTENDED_BASE) {
		error = fw_file_fail(&f, -ENOSPC,
		    "%" PRIu64 " KiB do not fit above the kernel, below "
		    "0x%" PRIx64 "; give more memory with -m",
		    f.size >> 10, top);
		goto out;
	}
	error = fw_file_load(&f, 0, f.size, b->gm, at, "content");
	if (error == 0) {
		*gpa = at;
		*size = f.size;
		b->initrd_max = at - 1;
	}
out:
	fw_file_close(&f);
	return (error);
}

int
boot_extras(struct boot *b)
{
	const char *cmdline = b->cfg->cmdline != NULL ? b->cfg->cmdline : "";
	size_t len = strlen(cmdline);

	if (len > b->cmdline_max || len >= BOOT_CMDLINE_MAX) {
		(void)snprintf(b->err->msg, sizeof(b->err->msg),
		    "-o cmdline=%.40s...: %zu bytes; this kernel takes at "
		    "most %" PRIu64 "; shorten it",
		    cmdline, len, b->cmdline_max);
		return (-E2BIG);
	}
	if (gmem_write(b->gm, BOOT_CMDLINE, cmdline, len + 1) != 0)
		return (fw_file_fail(&b->kernel, -EFAULT,
		    "no memory below 1 MiB; give more with -m"));
	if (b->cfg->nmodules != 0)
		return (fw_file_fail(&b->kernel, -EINVAL,
		    "this kind of kernel takes no modules; leave -o %s out",
		    b->cfg->modules[0].var));
	if (b->cfg->initrd == NULL)
		return (0);
	return (boot_file(
	    b, "initrd", b->cfg->initrd, &b->initrd, &b->initrd_size));
}

int
boot_zero_page(struct boot *b, const uint8_t *hdr, size_t len)
{
	struct e820_entry map[E820_MAX];
	uint8_t zp[ZP_SIZE] = {0}, *p;
	uint64_t alt_mem_k;
	size_t i, n;

	if (hdr != NULL) {
		memcpy(zp + BOOT_PARAMS_HDR, hdr, len);
	} else {
		le16_put(zp + ZP_BOOT_FLAG, 0xaa55);
		memcpy(zp + ZP_MAGIC, "HdrS", 4);
		le16_put(zp + ZP_VERSION, 0x20c);
	}
	le16_put(zp + ZP_VID_MODE, 0xffff); /* "normal" */
	zp[ZP_TYPE_OF_LOADER] = 0xff;       /* none that has a number */
	le32_put(zp + ZP_CMD_LINE_PTR, BOOT_CMDLINE);
	le32_put(zp + ZP_RAMDISK_IMAGE, (uint32_t)b->initrd);
	le32_put(zp + ZP_RAMDISK_SIZE, (uint32_t)b->initrd_size);
	le64_put(zp + ZP_ACPI_RSDP_ADDR, b->cfg->rsdp);
	alt_mem_k = (gmem_lowmem(b->gm) - E820_EXTENDED_BASE) >> 10;
	le32_put(zp + ZP_ALT_MEM_K, (uint32_t)alt_mem_k);

	n = e820_build(
	    map, gmem_lowmem(b->gm), gmem_highmem(b->gm), b->cfg->ecam);
	zp[ZP_E820_ENTRIES] = (uint8_t)n;
	for (i = 0; i < n; i++) {
		p = zp + ZP_E820_TABLE + i * ZP_E820_SIZE;
		le64_put(p, map[i].base);
		le64_put(p + 8, map[i].len);
		le32_put(p + 16, map[i].type);
	}
	return (gmem_write(b->gm, BOOT_ZERO_PAGE, zp, sizeof(zp)));
}

/* The descriptors that the segment registers were "loaded" from. */
static int
write_gdt(struct boot *b, bool long_mode)
{
	const uint64_t gdt[] = {
	    0, 0, long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
	    0x00cf93000000ffff,
	    0x00008b0000000067, /* TSS at 0, busy, limit 0x67 */
	    0,                  /* its upper half in long mode */
	};
	const uint64_t at = b->gdt != 0 ? b->gdt : BOOT_GDT;
	struct boot_regs *r = b->regs;

	_Static_assert(sizeof(gdt) == BOOT_GDT_SIZE, "room of the GDT");
	r->gdtr = (struct boot_seg){.base = at, .limit = sizeof(gdt) - 1};
	r->idtr = (struct boot_seg){.limit = 0};
	r->cs = (struct boot_seg){
	    .limit = 0xffffffff,
	    .access = long_mode ? 0xa09b : 0xc09b,
	    .sel = BOOT_CS,
	};
	r->data = (struct boot_seg){
	    .limit = 0xffffffff, .access = 0xc093, .sel = BOOT_DS};
	r->tr =
	    (struct boot_seg){.limit = 0x67, .access = 0x8b, .sel = BOOT_TR};
	r->ldtr = (struct boot_seg){.access = 0x10000}; /* unusable */
	return (gmem_write(b->gm, at, gdt, sizeof(gdt)));
}

/* Identity map of the first 4 GiB in pages of 2 MiB (SDM volume 3, 4.5). */
static int
write_page_tables(struct boot *b)
{
	uint64_t table[512];
	const uint64_t base = BOOT_PAGE_TABLES;
	unsigned i, j;
	int error;

	memset(table, 0, sizeof(table));
	table[0] = (base + 0x1000) | 0x3; /* writable, present */
	error = gmem_write(b->gm, base, table, sizeof(table));
	for (i = 0; i < 4; i++)
		table[i] = (base + 0x2000 + i * 0x1000) | 0x3;
	if (error == 0)
		error = gmem_write(b->gm, base + 0x1000, table, sizeof(table));
	for (i = 0; i < 4 && error == 0; i++) {
		for (j = 0; j < 512; j++)
			table[j] = ((uint64_t)i << 30 | (uint64_t)j << 21) |
				   0x83; /* a page, writable, present */
		error = gmem_write(
		    b->gm, base + 0x2000 + i * 0x1000, table, sizeof(table));
	}
	return (error);
}

int
boot_regs_long(struct boot *b, uint64_t entry)
{
	struct boot_regs *r = b->regs;
	int error;

	error = write_gdt(b, true);
	if (error == 0)
		error = write_page_tables(b);
	r->rip = entry;
	r->rsp = BOOT_STACK_TOP;
	r->rflags = 0x2;
	r->cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_PE;
	r->cr3 = BOOT_PAGE_TABLES;
	r->cr4 = CR4_PAE;
	r->efer = EFER_LME | EFER_LMA;
	return (error);
}

int
boot_regs_flat(struct boot *b, uint64_t entry)
{
	struct boot_regs *r = b->regs;

	r->rip = entry;
	r->rsp = BOOT_STACK_TOP;
	r->rflags = 0x2;
	r->cr0 = CR0_NE | CR0_ET | CR0_PE;
	return (write_gdt(b, false));
}

/*
 * What a BIOS leaves in memory. The data area: where conventional memory
 * ends, so that nobody who looks (Linux, reserve_bios_regions) takes the
 * zeroes for an answer. The vectors of real mode: hypervisors and loaders ask
 * the BIOS for what a better protocol has told them already, and must be told
 * that there is no such function (AH 86h, carry), as INT 15h does. And the
 * address at which processors used to begin, where programs jump to reset the
 * machine.
 */
static int
write_bios_area(struct boot *b)
{
	static const uint8_t stub[] = {
	    0x55,		    /* push bp */
	    0x89, 0xe5,		    /* mov bp, sp */
	    0x83, 0x4e, 0x06, 0x01, /* or word [bp + 6], 1 (flags) */
	    0x5d,		    /* pop bp */
	    0xb4, 0x86,		    /* mov ah, 86h */
	    0xcf,		    /* iret */
	};
	static const uint8_t reset[] = {
	    0xba, 0xf9, 0x0c, /* mov dx, 0cf9h: the reset control register */
	    0xb0, 0x06,	      /* mov al, 6 */
	    0xee,	      /* out dx, al */
	    0xf4,	      /* hlt */
	    0xeb, 0xfd,	      /* jmp to it */
	};
	uint8_t ebda[2], base_kib[2], ivt[BOOT_IVT_SIZE];
	size_t i;
	int error;

	for (i = 0; i < sizeof(ivt); i += 4) {
		le16_put(ivt + i, BOOT_BIOS_STUB & 0xffff);
		le16_put(ivt + i + 2, BOOT_BIOS_STUB >> 16 << 12);
	}
	le16_put(ebda, E820_CONVENTIONAL_END >> 4);
	le16_put(base_kib, E820_CONVENTIONAL_END >> 10);
	error = gmem_write(b->gm, 0, ivt, sizeof(ivt));
	if (error == 0)
		error = gmem_write(b->gm, BOOT_BIOS_STUB, stub, sizeof(stub));
	if (error == 0)
		error = gmem_write(
		    b->gm, BOOT_BIOS_RESET, reset, sizeof(reset));
	if (error == 0)
		error = gmem_write(b->gm, 0x40e, ebda, sizeof(ebda));
	if (error == 0)
		error = gmem_write(b->gm, 0x413, base_kib, sizeof(base_kib));
	return (error);
}

int
boot_load(struct gmem *gm, const struct boot_config *cfg,
    struct boot_regs *regs, struct fw_error *err)
{
	struct boot b = {.gm = gm, .cfg = cfg, .regs = regs, .err = err};
	uint8_t head[BOOT_MB_HEAD] = {0};
	size_t len;
	int error;

	memset(regs, 0, sizeof(*regs));
	error = fw_file_open(&b.kernel, "kernel", cfg->kernel, err);
	if (error != 0)
		return (error);
	len = b.kernel.size < sizeof(head) ? b.kernel.size : sizeof(head);
	error = fw_file_read(&b.kernel, 0, head, len, "header");
	if (error != 0)
		goto out;
	if (gmem_lowmem(gm) <= E820_EXTENDED_BASE)
		error = fw_file_fail(&b.kernel, -ENOSPC,
		    "no memory from 1 MiB on; give more with -m");
	else if (boot_is_linux(head) && !boot_is_elf(head))
		error = boot_linux(&b);
	else if (boot_is_multiboot(head, len))
		error = boot_multiboot(&b, head, len);
	else if (boot_is_elf(head))
		error = boot_elf(&b);
	else
		error = fw_file_fail(&b.kernel, -ENOEXEC,
		    "neither a Linux bzImage nor an ELF file nor a Multiboot "
		    "image; give a kernel");
	if (error == 0)
		error = write_bios_area(&b);
	if (error == 0)
		trace(TRACE_loader,
		    "kernel %s: entry 0x%" PRIx64 ", ends 0x%" PRIx64
		    ", initrd 0x%" PRIx64 " + 0x%" PRIx64,
		    cfg->kernel, regs->rip, b.kernel_end, b.initrd,
		    b.initrd_size);
	else if (err->msg[0] == '\0')
		(void)fw_file_fail(
		    &b.kernel, error, "cannot be loaded: %s", strerror(-error));
out:
	fw_file_close(&b.kernel);
	return (error);
}
