/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage: Documentation/x86/boot.rst, the 32-bit and 64-bit boot
 * protocols.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "firmware/boot_priv.h"
#include "firmware/e820.h"
#include "firmware/le.h"

/* The setup header, by offset in the file. */
enum {
	SH_SETUP_SECTS = 0x1f1,
	SH_SYSSIZE = 0x1f4,
	SH_BOOT_FLAG = 0x1fe,
	SH_JUMP_LEN = 0x201,
	SH_MAGIC = 0x202,
	SH_VERSION = 0x206,
	SH_TYPE_OF_LOADER = 0x210,
	SH_LOADFLAGS = 0x211,
	SH_CODE32_START = 0x214,
	SH_RAMDISK_IMAGE = 0x218,
	SH_RAMDISK_SIZE = 0x21c,
	SH_HEAP_END_PTR = 0x224,
	SH_CMD_LINE_PTR = 0x228,
	SH_INITRD_ADDR_MAX = 0x22c,
	SH_KERNEL_ALIGNMENT = 0x230,
	SH_RELOCATABLE = 0x234,
	SH_XLOADFLAGS = 0x236,
	SH_CMDLINE_SIZE = 0x238,
	SH_PAYLOAD_LENGTH = 0x24c,
	SH_PREF_ADDRESS = 0x258,
	SH_INIT_SIZE = 0x260,
	SH_END = 0x264, /* of what version 2.10 has */
};
#define LOADED_HIGH   0x01u
#define CAN_USE_HEAP  0x80u
#define LOADER_UNKNOWN 0xffu
#define XLF_KERNEL_64 0x0001u
#define ENTRY_64      0x200u
/* The first with init_size: without it nobody can say what memory the
 * kernel needs while it unpacks itself. Linux 2.6.31. */
#define VERSION_MIN        0x20au
#define VERSION_XLOADFLAGS 0x20cu

struct linux_image {
	uint8_t head[BOOT_HEAD];
	size_t head_len; /* bytes of the file in head */
	uint64_t payload_off, payload_len;
	uint64_t load, init_size;
	bool entry64;
};

bool
boot_is_linux(const uint8_t head[BOOT_HEAD])
{
	return (memcmp(head + SH_MAGIC, "HdrS", 4) == 0);
}

static int
check_header(const struct fw_file *f, struct linux_image *im)
{
	const uint8_t *h = im->head;
	unsigned version = le16_get(h + SH_VERSION);
	uint64_t syssize, slack;
	unsigned sects;

	if (im->head_len < SH_END)
		return (fw_file_fail(f, -ENODATA,
		    "truncated in its setup header; copy it again"));
	if (le16_get(h + SH_BOOT_FLAG) != 0xaa55)
		return (fw_file_fail(f, -ENOEXEC,
		    "wrong boot flag 0x%04x, not 0xaa55; give a bzImage",
		    le16_get(h + SH_BOOT_FLAG)));
	if (version < VERSION_MIN)
		return (fw_file_fail(f, -ENOEXEC,
		    "boot protocol %u.%02u is older than 2.10; give Linux "
		    "2.6.31 or later",
		    version >> 8, version & 0xff));
	if ((h[SH_LOADFLAGS] & LOADED_HIGH) == 0)
		return (fw_file_fail(f, -ENOEXEC,
		    "a zImage, which is loaded low; give a bzImage"));

	/* 0 stands for 4, from before the field was there. */
	sects = h[SH_SETUP_SECTS] != 0 ? h[SH_SETUP_SECTS] : 4;
	im->payload_off = (uint64_t)(sects + 1) * 512;
	if (im->payload_off >= f->size)
		return (fw_file_fail(f, -ENODATA,
		    "truncated: the kernel begins at %" PRIu64
		    ", the file ends at %" PRIu64 "; copy it again",
		    im->payload_off, f->size));
	im->payload_len = f->size - im->payload_off;
	/* In units of 16 bytes. Linux' build fills the last one up, so that
	 * with its packed payload every byte has to be there; programs that
	 * only borrow the protocol may end in the middle of it. */
	syssize = (uint64_t)le32_get(h + SH_SYSSIZE) * 16;
	slack = le32_get(h + SH_PAYLOAD_LENGTH) == 0 ? 15 : 0;
	if (syssize > im->payload_len + slack)
		return (fw_file_fail(f, -ENODATA,
		    "truncated: the kernel has %" PRIu64 " bytes, %" PRIu64
		    " are there; copy it again",
		    syssize, im->payload_len));
	im->entry64 = version >= VERSION_XLOADFLAGS &&
		      (le16_get(h + SH_XLOADFLAGS) & XLF_KERNEL_64) != 0;
	if (im->entry64 && im->payload_len <= ENTRY_64)
		return (fw_file_fail(f, -ENODATA,
		    "truncated before its 64-bit entry point; copy it "
		    "again"));
	return (0);
}

/*
 * Where it goes: the preferred address. A relocatable kernel runs higher,
 * too, but moves itself up when it was loaded lower (boot.rst,
 * pref_address), so that a lower place would save nothing.
 */
static int
place(const struct boot *b, struct linux_image *im)
{
	const struct fw_file *f = &b->kernel;
	const uint8_t *h = im->head;
	uint64_t align = le32_get(h + SH_KERNEL_ALIGNMENT);
	uint64_t pref = le64_get(h + SH_PREF_ADDRESS);
	uint64_t lowmem = gmem_lowmem(b->gm);

	im->init_size = le32_get(h + SH_INIT_SIZE);
	if (im->init_size < im->payload_len)
		im->init_size = im->payload_len;
	if (pref < E820_EXTENDED_BASE)
		pref = E820_EXTENDED_BASE;
	if (h[SH_RELOCATABLE] != 0) {
		if (align == 0 || (align & (align - 1)) != 0)
			return (fw_file_fail(f, -ENOEXEC,
			    "kernel_alignment 0x%" PRIx64
			    " is no power of two; the file is damaged",
			    align));
		if (pref < lowmem)
			pref = (pref + align - 1) & ~(align - 1);
	}
	if (pref >= lowmem || im->init_size > lowmem - pref)
		return (fw_file_fail(f, -ENOSPC,
		    "needs %" PRIu64 " KiB of memory from 0x%" PRIx64
		    ", which is not there; give more with -m",
		    im->init_size >> 10, pref));
	im->load = pref;
	return (0);
}

int
boot_linux(struct boot *b)
{
	struct linux_image im = {.head_len = BOOT_HEAD};
	const struct fw_file *f = &b->kernel;
	size_t hdr_end;
	int error;

	if (f->size < im.head_len)
		im.head_len = f->size;
	error = fw_file_read(f, 0, im.head, im.head_len, "setup header");
	if (error == 0)
		error = check_header(f, &im);
	if (error == 0)
		error = place(b, &im);
	if (error == 0)
		error = fw_file_load(f, im.payload_off, im.payload_len, b->gm,
		    im.load, "kernel");
	if (error != 0)
		return (error);

	b->kernel_end = im.load + im.init_size;
	b->initrd_max = le32_get(im.head + SH_INITRD_ADDR_MAX);
	b->cmdline_max = le32_get(im.head + SH_CMDLINE_SIZE);
	error = boot_extras(b);
	if (error != 0)
		return (error);

	/* boot.rst: the header ends at 0x202 plus the byte at 0x201. */
	hdr_end = SH_MAGIC + (size_t)im.head[SH_JUMP_LEN];
	if (hdr_end < SH_END)
		hdr_end = SH_END;
	if (hdr_end > BOOT_PARAMS_HDR_END)
		hdr_end = BOOT_PARAMS_HDR_END;
	le32_put(im.head + SH_CODE32_START, (uint32_t)im.load);
	error = boot_zero_page(
	    b, im.head + BOOT_PARAMS_HDR, hdr_end - BOOT_PARAMS_HDR);
	if (error != 0)
		return (error);
	b->regs->rsi = BOOT_ZERO_PAGE;
	if (im.entry64)
		return (boot_regs_long(b, im.load + ENTRY_64));
	return (boot_regs_flat(b, im.load));
}

int
boot_linux_split(const struct fw_file *f, struct boot_linux_parts *out)
{
	struct linux_image im = {.head_len = BOOT_HEAD};
	int error;

	if (f->size < im.head_len)
		im.head_len = f->size;
	error = fw_file_read(f, 0, im.head, im.head_len, "setup header");
	if (error == 0 && (im.head_len < SH_END || !boot_is_linux(im.head)))
		error = fw_file_fail(f, -ENOEXEC,
		    "no Linux bzImage; a firmware starts no other kernel from "
		    "fw_cfg");
	if (error == 0)
		error = check_header(f, &im);
	if (error != 0)
		return (error);
	*out = (struct boot_linux_parts){
	    .setup_len = (size_t)im.payload_off,
	    .initrd_max = le32_get(im.head + SH_INITRD_ADDR_MAX),
	    .cmdline_max = le32_get(im.head + SH_CMDLINE_SIZE),
	};
	return (0);
}

void
boot_linux_fill(uint8_t *setup, uint32_t real, uint32_t cmdline,
    uint32_t initrd, uint32_t initrd_len)
{
	setup[SH_TYPE_OF_LOADER] = LOADER_UNKNOWN;
	setup[SH_LOADFLAGS] |= CAN_USE_HEAP;
	/* Relative to the setup's beginning, 0x200 less (boot.rst). */
	le16_put(setup + SH_HEAP_END_PTR, (uint16_t)(cmdline - real - 0x200));
	le32_put(setup + SH_CMD_LINE_PTR, cmdline);
	le32_put(setup + SH_RAMDISK_IMAGE, initrd_len != 0 ? initrd : 0);
	le32_put(setup + SH_RAMDISK_SIZE, initrd_len);
}
