/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/rom.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gmem/gmem.h"

int
rom_load(struct gmem *gm, const char *path, struct fw_error *err)
{
	struct fw_file f;
	void *host;
	int error;

	error = fw_file_open(&f, "lpc.bootrom", path, err);
	if (error != 0)
		return (error);
	if (f.size % GMEM_PAGE_SIZE != 0)
		error = fw_file_fail(&f, -EINVAL,
		    "%" PRIu64 " bytes are not a multiple of %u; give the "
		    "whole ROM",
		    f.size, GMEM_PAGE_SIZE);
	else if (f.size > GMEM_ROM_MAX)
		error = fw_file_fail(&f, -EINVAL,
		    "%" PRIu64 " bytes are more than the %llu MiB that a "
		    "ROM has; give another",
		    f.size, GMEM_ROM_MAX >> 20);
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
