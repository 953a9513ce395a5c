/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vbreak DEVICE: gives a virtio device without a driver (0000:00:03.0) a ring
 * where no memory is, and tells whether it wants a reset: prints its status.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint8_t *regs;

static void
put32(unsigned off, uint32_t val)
{
	*(volatile uint32_t *)(regs + off) = val;
}

static void
put16(unsigned off, uint16_t val)
{
	*(volatile uint16_t *)(regs + off) = val;
}

int
main(int argc, char *argv[])
{
	char path[100];
	int fd;

	if (argc != 2)
		return (2);
	/* Memory and bus mastering: without, it would not look at the ring. */
	(void)snprintf(
	    path, sizeof(path), "/sys/bus/pci/devices/%s/config", argv[1]);
	fd = open(path, O_RDWR);
	if (fd < 0 || pwrite(fd, "\7", 1, 4) != 1) {
		perror(path);
		return (1);
	}
	(void)snprintf(
	    path, sizeof(path), "/sys/bus/pci/devices/%s/resource4", argv[1]);
	fd = open(path, O_RDWR);
	regs = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || regs == MAP_FAILED) {
		perror(path);
		return (1);
	}
	/* Common configuration (VIRTIO 4.1.4.3), as lhyve places it. */
	regs[0x14] = 0;
	regs[0x14] = 3;
	put32(0x08, 1);
	put32(0x0c, 1); /* VIRTIO_F_VERSION_1 */
	regs[0x14] = 11;
	put16(0x16, 0);
	put32(0x20, 0xfffffff0u);
	put32(0x24, 0xffffffffu);
	put32(0x28, 0xd0000000u);
	put32(0x30, 0x1000);
	put16(0x1c, 1);
	regs[0x14] = 15;
	put16(0x3000, 0); /* a notification */
	(void)printf("status %02x\n", regs[0x14]);
	return (0);
}
