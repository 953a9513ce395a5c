/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_FWCFG_H
#define LHYVE_CHIPSET_FWCFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/space.h"

/*
 * The firmware configuration device: items of data that a firmware selects
 * by a key and reads, byte by byte or by DMA. QEMU's "Firmware Configuration
 * (fw_cfg) Device" (docs/specs/fw_cfg) describes it; bhyve has it too.
 *
 * The core has no bus and no memory. Items are added, and the device sealed,
 * before the guest runs; they do not change afterwards.
 */
#define FWCFG_SIGNATURE 0x00u
#define FWCFG_ID        0x01u
#define FWCFG_RAM_SIZE  0x03u
#define FWCFG_NB_CPUS   0x05u
/* A kernel to start: where its parts are to lie, their sizes, and they. */
#define FWCFG_KERNEL_ADDR  0x07u
#define FWCFG_KERNEL_SIZE  0x08u
#define FWCFG_INITRD_ADDR  0x0au
#define FWCFG_INITRD_SIZE  0x0bu
#define FWCFG_MAX_CPUS     0x0fu
#define FWCFG_KERNEL_DATA  0x11u
#define FWCFG_INITRD_DATA  0x12u
#define FWCFG_CMDLINE_ADDR 0x13u
#define FWCFG_CMDLINE_SIZE 0x14u
#define FWCFG_CMDLINE_DATA 0x15u
#define FWCFG_SETUP_ADDR   0x16u
#define FWCFG_SETUP_SIZE   0x17u
#define FWCFG_SETUP_DATA   0x18u
#define FWCFG_DIR       0x19u
#define FWCFG_FILE      0x20u  /* the first file */
#define FWCFG_KEY_MASK  0x3fffu
#define FWCFG_NONE      0xffffu
#define FWCFG_NAME_MAX  56u    /* with the NUL */
#define FWCFG_ITEMS_MAX 128u
#define FWCFG_DATA_MAX  (64u << 20) /* bytes of one item */

/* Bits of the control word of a DMA transfer. */
#define FWCFG_DMA_ERROR  0x01u
#define FWCFG_DMA_READ   0x02u
#define FWCFG_DMA_SKIP   0x04u
#define FWCFG_DMA_SELECT 0x08u
#define FWCFG_DMA_WRITE  0x10u

struct fwcfg_item {
	uint16_t key; /* files get theirs from fwcfg_seal() */
	char name[FWCFG_NAME_MAX]; /* empty: not a file */
	uint8_t *data;		   /* owned */
	uint32_t len;
};

struct fwcfg {
	struct fwcfg_item items[FWCFG_ITEMS_MAX];
	unsigned n;
	/* What changes. */
	uint16_t key;
	uint32_t offset;
	uint64_t dma; /* address register */
};
extern const struct state_table fwcfg_state;

/* With the signature and the id, and nothing selected. 0 or -ENOMEM. */
int fwcfg_create(struct fwcfg **out);
void fwcfg_destroy(struct fwcfg *f);
/* Adds an item; the bytes are copied. 0; -EEXIST: the key is taken; -ENOSPC:
 * too many items; -EFBIG; -ENOMEM. */
int fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, size_t len);
/* The same for a file; also -EINVAL: no name, or one that is too long. */
int fwcfg_add_file(
    struct fwcfg *f, const char *name, const void *data, size_t len);
/* After all files: sorts them by name, gives them keys and makes the
 * directory. 0, -ENOSPC or -ENOMEM. */
int fwcfg_seal(struct fwcfg *f);

void fwcfg_reset(struct fwcfg *f);
void fwcfg_select(struct fwcfg *f, uint16_t key);
/* The next bytes of the selected item; 0 behind its end. */
void fwcfg_read(struct fwcfg *f, void *buf, size_t len);
void fwcfg_skip(struct fwcfg *f, uint32_t len);
/* How many bytes of the selected item are left. */
uint32_t fwcfg_left(const struct fwcfg *f);

/* What a transfer stores: bytes of an item, then zeroes. */
struct fwcfg_out {
	const uint8_t *data; /* good for the life of the item */
	uint32_t len, zeroes;
};
/* One transfer of `len` bytes. Returns what becomes of the control word: 0,
 * or FWCFG_DMA_ERROR; then nothing is to be stored. */
uint32_t fwcfg_transfer(
    struct fwcfg *f, uint32_t control, uint32_t len, struct fwcfg_out *out);

struct gmem;
/* The adapter: ports 0x510, 0x511 and 0x514-0x51b. Takes f over, also when
 * it fails. */
struct fwcfg_dev;
int fwcfg_dev_create(struct fwcfg_dev **out, struct bus_space *ports,
    struct gmem *gm, struct fwcfg *f);
void fwcfg_dev_destroy(struct fwcfg_dev *d);
void fwcfg_dev_reset(struct fwcfg_dev *d);
void fwcfg_dev_dump(struct fwcfg_dev *d, FILE *out);

#endif
