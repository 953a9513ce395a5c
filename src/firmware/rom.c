/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/rom.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gmem/gmem.h"

/* Whether a file fits into what the ROM has, less `taken` bytes. */
static int
check_size(const struct fw_file *f, uint64_t taken)
{
	if (f->size % GMEM_PAGE_SIZE != 0)
		return (fw_file_fail(f, -EINVAL,
		    "%" PRIu64 " bytes are not a multiple of %u; give the "
		    "whole ROM",
		    f->size, GMEM_PAGE_SIZE));
	if (f->size > GMEM_ROM_MAX - taken)
		return (fw_file_fail(f, -EINVAL,
		    "%" PRIu64 " bytes are more than what the ROM leaves of "
		    "%llu MiB; give another",
		    f->size, GMEM_ROM_MAX >> 20));
	return (0);
}

int
rom_load(struct gmem *gm, const char *path, struct fw_error *err)
{
	struct fw_file f;
	void *host;
	int error;

	error = fw_file_open(&f, "lpc.bootrom", path, err);
	if (error != 0)
		return (error);
	error = check_size(&f, 0);
	if (error == 0) {
		error = gmem_add_rom(gm, f.size, &host);
		if (error != 0)
			(void)fw_file_fail(&f, error,
			    "cannot be mapped: %s; give less with -m",
			    strerror(-error));
	}
	if (error == 0)
		error = fw_file_read(&f, 0, host, f.size, "content");
	gmem_seal_rom(gm);
	fw_file_close(&f);
	return (error);
}

int
rom_open_vars(struct gmem *gm, const char *path, struct fw_file *f,
    uint8_t **data, struct fw_error *err)
{
	int error;

	*data = NULL;
	error = fw_file_open_rw(f, "lpc.bootvars", path, err);
	if (error != 0)
		return (error);
	error = check_size(f, gmem_rom(gm));
	if (error == 0) {
		*data = malloc(f->size);
		if (*data == NULL)
			error = fw_file_fail(f, -ENOMEM, "out of memory");
	}
	if (error == 0)
		error = fw_file_read(f, 0, *data, f->size, "content");
	if (error != 0) {
		free(*data);
		*data = NULL;
		fw_file_close(f);
	}
	return (error);
}

int
rom_shadow(struct gmem *gm)
{
	uint64_t len = ROM_SHADOW_END - ROM_SHADOW_BASE;
	void *to;

	if (len > gmem_rom(gm))
		len = gmem_rom(gm);
	if (len == 0)
		return (0);
	to = gmem_map(gm, ROM_SHADOW_END - len, len);
	if (to == NULL)
		return (-EFAULT);
	return (gmem_read(gm, GMEM_HIGHMEM_BASE - len, to, len));
}
