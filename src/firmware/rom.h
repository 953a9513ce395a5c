/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_ROM_H
#define LHYVE_FIRMWARE_ROM_H

#include <stdint.h>

#include "firmware/file.h"

struct gmem;

/* Where a PC has the end of its BIOS a second time, below 1 MiB. */
#define ROM_SHADOW_BASE 0xc0000u
#define ROM_SHADOW_END  0x100000u

/*
 * Loads a boot ROM from a file (a multiple of 4096 bytes, at most
 * GMEM_ROM_MAX), so that it ends at 4 GiB. Before an engine is created. 0, or
 * -errno with err filled.
 */
int rom_load(struct gmem *gm, const char *path, struct fw_error *err);
/*
 * Reads a file of variables (a multiple of 4096 bytes) for a flash chip that
 * lies below the ROM. *f stays open to be written; *data is malloc()ed and
 * has f->size bytes. 0, or -errno with err filled.
 */
int rom_open_vars(struct gmem *gm, const char *path, struct fw_file *f,
    uint8_t **data, struct fw_error *err);
/*
 * Puts a copy of the ROM's last 256 KiB below 1 MiB, into RAM, as a chipset
 * has it that shadows its BIOS: a BIOS jumps there from the reset vector, and
 * writes there. A chipset would begin with the last 64 or 128 KiB and let the
 * BIOS copy the rest. 0 or -errno.
 */
int rom_shadow(struct gmem *gm);

#endif
