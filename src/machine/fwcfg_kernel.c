/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel for the firmware to start, in the items of fw_cfg that QEMU has for
 * it: UEFI builds the image from its two parts, an option ROM of QEMU's puts
 * them where the addresses say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chipset/fwcfg.h"
#include "firmware/boot.h"
#include "firmware/le.h"
#include "machine/machine_priv.h"

/* Where a BIOS has memory for them (Documentation/x86/boot.rst, "The Real-Mode
 * Kernel"), and what it keeps at the end of the memory below 4 GiB. */
#define REAL_ADDR    0x10000u
#define CMDLINE_ADDR 0x20000u
#define CMDLINE_MAX  0x8000u
#define KERNEL_ADDR  0x100000u
#define BIOS_HIGH    (1u << 20)

static int
add_u32(struct fwcfg *f, uint16_t key, uint32_t val)
{
	uint8_t b[4];

	le32_put(b, val);
	return (fwcfg_add(f, key, b, sizeof(b)));
}

static int
add_part(struct fwcfg *f, uint16_t addr_key, uint32_t addr, uint16_t size_key,
    uint16_t data_key, const void *data, size_t len)
{
	int error;

	error = add_u32(f, addr_key, addr);
	if (error == 0)
		error = add_u32(f, size_key, (uint32_t)len);
	if (error == 0)
		error = fwcfg_add(f, data_key, data, len);
	return (error);
}

/* The whole file; *buf is the caller's. */
static int
read_file(struct fw_file *f, uint8_t **buf)
{
	*buf = NULL;
	if (f->size > FWCFG_DATA_MAX)
		return (fw_file_fail(f, -EFBIG,
		    "more than the %u MiB that fw_cfg takes; give less",
		    FWCFG_DATA_MAX >> 20));
	*buf = malloc(f->size);
	if (*buf == NULL)
		return (fw_file_fail(f, -ENOMEM, "out of memory"));
	return (fw_file_read(f, 0, *buf, f->size, "content"));
}

static int
add_initrd(struct machine *m, uint32_t max, uint32_t *at, uint32_t *len,
    struct fw_error *fe)
{
	const char *path = config_get(m->cfg, "initrd");
	uint64_t top = gmem_lowmem(m->gmem) - BIOS_HIGH;
	uint8_t *buf = NULL;
	struct fw_file f;
	int error;

	*at = *len = 0;
	if (path == NULL)
		return (0);
	error = fw_file_open(&f, "initrd", path, fe);
	if (error != 0)
		return (error);
	error = read_file(&f, &buf);
	if (top > max)
		top = (uint64_t)max + 1;
	if (error == 0 && (top < KERNEL_ADDR || f.size > top - KERNEL_ADDR))
		error = fw_file_fail(
		    &f, -ENOSPC, "does not fit into the memory; give more "
				 "with -m");
	if (error == 0) {
		*len = (uint32_t)f.size;
		*at = (uint32_t)(top - f.size) & ~(GMEM_PAGE_SIZE - 1);
		error = add_part(m->fwcfg, FWCFG_INITRD_ADDR, *at,
		    FWCFG_INITRD_SIZE, FWCFG_INITRD_DATA, buf, f.size);
	}
	free(buf);
	fw_file_close(&f);
	return (error);
}

static int
add_cmdline(struct machine *m, uint32_t max, struct config_error *err)
{
	const char *text = config_get(m->cfg, "cmdline");

	if (text == NULL)
		text = "";
	if (max > CMDLINE_MAX - 1)
		max = CMDLINE_MAX - 1;
	if (strlen(text) > max)
		return (config_fail(err,
		    "-o cmdline=%.40s...: longer than the %u bytes that the "
		    "kernel takes; shorten it",
		    text, max));
	return (add_part(m->fwcfg, FWCFG_CMDLINE_ADDR, CMDLINE_ADDR,
	    FWCFG_CMDLINE_SIZE, FWCFG_CMDLINE_DATA, text, strlen(text) + 1));
}

int
machine_fwcfg_kernel(struct machine *m, struct config_error *err)
{
	struct boot_linux_parts parts;
	struct fw_error fe = {""};
	uint32_t initrd, initrd_len;
	uint8_t *buf = NULL;
	struct fw_file f;
	int error;

	error = fw_file_open(&f, "kernel", config_get(m->cfg, "kernel"), &fe);
	if (error == 0) {
		error = boot_linux_split(&f, &parts);
		if (error == 0)
			error = read_file(&f, &buf);
		fw_file_close(&f);
	}
	if (error == 0)
		error = add_cmdline(m, parts.cmdline_max, err);
	if (error == 0)
		error =
		    add_initrd(m, parts.initrd_max, &initrd, &initrd_len, &fe);
	if (error == 0) {
		boot_linux_fill(
		    buf, REAL_ADDR, CMDLINE_ADDR, initrd, initrd_len);
		error = add_part(m->fwcfg, FWCFG_SETUP_ADDR, REAL_ADDR,
		    FWCFG_SETUP_SIZE, FWCFG_SETUP_DATA, buf, parts.setup_len);
	}
	if (error == 0)
		error = add_part(m->fwcfg, FWCFG_KERNEL_ADDR, KERNEL_ADDR,
		    FWCFG_KERNEL_SIZE, FWCFG_KERNEL_DATA,
		    buf + parts.setup_len, f.size - parts.setup_len);
	free(buf);
	if (error != 0 && fe.msg[0] != '\0')
		(void)config_fail(err, "%s", fe.msg);
	return (error);
}
