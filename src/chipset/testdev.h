/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_TESTDEV_H
#define LHYVE_CHIPSET_TESTDEV_H

/*
 * pci-testdev, for tests of guests and of the PCI core: a function with every
 * kind of BAR and interrupt, and an engine that copies memory.
 *
 * BAR 0, I/O, 16 bytes: the registers up to 0x0f.
 * BAR 1, 32-bit memory, 4 KiB: registers, and from 0x100 to 0x1ff bytes that
 *        keep what is written. The rest reads 0.
 * BAR 2, 64-bit memory, 64 MiB, prefetchable: at 0 the MSI-X table, at 0x1000
 *        its pending bits; elsewhere a dword reads its offset.
 *
 * Registers are dwords; narrower accesses read 0 and write nothing.
 */
enum {
	TESTDEV_ID = 0x00,   /* TESTDEV_MAGIC */
	TESTDEV_INTX = 0x04, /* bit 0: the level of the pin */
	TESTDEV_MSI = 0x08,  /* write: sends that message; read: how many */
	TESTDEV_MSIX = 0x0c, /* write: sends that vector; read: 1 if enabled */
	TESTDEV_SRC = 0x10,  /* of the copy, 64 bits */
	TESTDEV_DST = 0x18,
	TESTDEV_LEN = 0x20, /* bytes, up to TESTDEV_LEN_MAX */
	/* Write: bit 0 copies now; bit 1 then interrupts: MSI-X vector 0, or
	 * message 0, or the pin. Read: enum testdev_status. */
	TESTDEV_COPY = 0x24,
	TESTDEV_SCRATCH = 0x100, /* to 0x1ff */
};

enum testdev_status {
	TESTDEV_OK = 0,
	TESTDEV_NO_MASTER = 1, /* Bus Master Enable is clear */
	TESTDEV_NO_MEMORY = 2, /* source or destination is not memory */
	TESTDEV_TOO_LONG = 3,
};

#define TESTDEV_VENDOR    0xfb5d /* bhyve's */
#define TESTDEV_DEVICE    0x7e57
#define TESTDEV_MAGIC     0x5659484cu /* "LHYV" */
#define TESTDEV_LEN_MAX   (1u << 20)
#define TESTDEV_MESSAGES  4u
#define TESTDEV_VECTORS   8u
#define TESTDEV_MSIX_PBA  0x1000u
#define TESTDEV_BAR2_SIZE (64u << 20)

#endif
