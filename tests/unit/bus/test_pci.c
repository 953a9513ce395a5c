/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus/pci.h"

#define ECAM 0xe0000000ull

static struct bus_space *ports, *mmio;
static struct pci_bus *bus;

static int
scratch_init(struct pci_dev *dev, void *conf)
{
	(void)conf;
	if (pci_bar_add(dev, 0, PCI_BAR_IO, 5) != 0 ||
	    pci_bar_add(dev, 1, PCI_BAR_MEM32, 0x1800) != 0 ||
	    pci_bar_add(dev, 2, PCI_BAR_MEM64, 1ull << 30) != 0)
		return (-ENOSPC);
	if (pci_bar_add(dev, 3, PCI_BAR_MEM32, 16) != -EBUSY ||
	    pci_bar_add(dev, 5, PCI_BAR_MEM64, 16) != -EINVAL)
		return (-EFAULT);
	if (pci_cap_add(dev, 9, "\0\0\x8", 3) != 0x40 ||
	    pci_cap_add(dev, 5, "\0\0\x1", 3) != 0x44)
		return (-EFAULT);
	pci_cfg_set(
	    dev, PCIR_STATUS, 2, pci_cfg_get(dev, PCIR_STATUS, 2) | 0x100);
	return (0);
}

static void
scratch_read(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t *val)
{
	uint32_t *mem = pci_dev_priv(dev);

	(void)size;
	*val = mem[bar] + (uint32_t)off;
}

static void
scratch_write(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t val)
{
	uint32_t *mem = pci_dev_priv(dev);

	(void)off;
	(void)size;
	mem[bar] = (uint32_t)val;
}

static const struct pci_device_ops scratch = {
    .name = "scratch",
    .vendor = 0x10dd,
    .device = 0x0001,
    .class = 2,
    .priv_size = 64,
    .init = scratch_init,
    .bar_read = scratch_read,
    .bar_write = scratch_write,
};
static const struct pci_device_ops bridge = {
    .name = "bridge",
    .vendor = 0x1275,
    .device = 0x1275,
    .class = 6,
};

static int
express_init(struct pci_dev *dev, void *conf)
{
	(void)conf;
	return (pci_pcie_add(dev, PCIE_INTEGRATED) == 0x40 ? 0 : -EFAULT);
}

static const struct pci_device_ops express = {
    .name = "express",
    .vendor = 0x10dd,
    .device = 0x0002,
    .init = express_init,
};

static struct {
	bool port;
	unsigned on, off; /* how often */
	uint64_t addr;
	int64_t match;
	int fd;
} bell;

static int
on_doorbell(void *arg, bool port, uint64_t addr, unsigned size, int64_t match,
    int fd, bool on)
{
	(void)arg;
	assert_int_equal(size, 2);
	bell.port = port;
	bell.addr = addr;
	bell.match = match;
	bell.fd = fd;
	if (on)
		bell.on++;
	else
		bell.off++;
	return (-EOPNOTSUPP);
}

static int
setup(void **state)
{
	struct pci_config cfg = {.doorbell = on_doorbell,
	    .ecam_base = ECAM,
	    .mem32_base = 0xc0000000,
	    .mem32_limit = 0xe0000000,
	    .mem64_base = 0xd000000000,
	    .mem64_limit = 0xfd00000000};

	(void)state;
	assert_int_equal(bus_space_create(&ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 52), 0);
	cfg.ports = ports;
	cfg.mmio = mmio;
	assert_int_equal(pci_bus_create(&bus, &cfg), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 0, 0), &bridge, NULL, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 3, 0), &scratch, NULL, NULL), 0);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	pci_bus_destroy(bus);
	bus_space_destroy(ports);
	bus_space_destroy(mmio);
	return (0);
}

static uint32_t
conf(unsigned slot, unsigned off, unsigned size)
{
	uint64_t val;

	bus_write(ports, 0xcf8, 4, 0x80000000u | slot << 11 | (off & ~3u));
	bus_read(ports, 0xcfc + (off & 3), size, &val);
	return ((uint32_t)val);
}

static void
set_conf(unsigned slot, unsigned off, unsigned size, uint32_t val)
{
	bus_write(ports, 0xcf8, 4, 0x80000000u | slot << 11 | (off & ~3u));
	bus_write(ports, 0xcfc + (off & 3), size, val);
}

static void
test_header(void **state)
{
	uint64_t val;

	(void)state;
	assert_int_equal(conf(0, 0, 4), 0x12751275);
	assert_int_equal(conf(0, PCIR_CLASS, 1), 6);
	assert_int_equal(conf(0, 2, 2), 0x1275);
	assert_int_equal(conf(1, 0, 4), 0xffffffff);
	assert_int_equal(conf(0, PCIR_COMMAND, 2), 7);
	/* Read-only: ids; writable: the command's bits. */
	set_conf(0, 0, 4, 0);
	assert_int_equal(conf(0, 0, 4), 0x12751275);
	set_conf(0, PCIR_COMMAND, 2, 0xffff);
	assert_int_equal(conf(0, PCIR_COMMAND, 2), 0x077f);
	set_conf(0, PCIR_INTLINE, 1, 11);
	assert_int_equal(conf(0, PCIR_INTLINE, 4), 11);
	/* Mechanism 1: the enable bit, other buses, its own read-back. */
	bus_write(ports, 0xcf8, 4, 0);
	bus_read(ports, 0xcfc, 4, &val);
	assert_true(val == 0xffffffff);
	bus_write(ports, 0xcf8, 4, 0x80010000);
	bus_read(ports, 0xcfc, 4, &val);
	assert_true(val == 0xffffffff);
	bus_read(ports, 0xcf8, 4, &val);
	assert_true(val == 0x80010000);
	bus_read(ports, 0xcf8, 1, &val);
	assert_true(val == 0xff);
}

static void
test_multifunction(void **state)
{
	(void)state;
	assert_int_equal(conf(3, PCIR_HDRTYPE, 1), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 3, 0), &bridge, NULL, NULL), -EEXIST);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 3, 1), &bridge, NULL, NULL), 0);
	assert_int_equal(conf(3, PCIR_HDRTYPE, 1), 0x80);
	assert_ptr_equal(pci_dev_ops(pci_at(bus, PCI_BDF(0, 3, 1))), &bridge);
}

static void
test_ecam(void **state)
{
	uint64_t val, dev = ECAM + (3 << 15);

	(void)state;
	bus_read(mmio, dev, 4, &val);
	assert_true(val == 0x000110dd);
	/* The extended space is there on PCI Express only. */
	bus_read(mmio, dev + 0x100, 4, &val);
	assert_true(val == 0xffffffff);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 4, 0), &express, NULL, NULL), 0);
	bus_read(mmio, ECAM + (4 << 15) + 0x100, 4, &val);
	assert_true(val == 0);
	bus_read(mmio, ECAM + (4 << 15) + 0xffc, 4, &val);
	assert_true(val == 0);
	bus_read(mmio, ECAM + (1 << 20), 4, &val);
	assert_true(val == 0xffffffff);
	bus_read(mmio, dev + 1, 4, &val); /* unaligned */
	assert_true(val == 0xffffffff);
	bus_write(mmio, dev + PCIR_INTLINE, 1, 5);
	assert_int_equal(conf(3, PCIR_INTLINE, 1), 5);
}

static void
test_caps(void **state)
{
	(void)state;
	assert_int_equal(conf(3, PCIR_STATUS, 2), 0x0110);
	assert_int_equal(conf(3, PCIR_CAPPTR, 1), 0x40);
	assert_int_equal(conf(3, 0x40, 4), 0x00084409);
	assert_int_equal(conf(3, 0x44, 4), 0x00010005);
	/* Cleared by writing ones, only that bit. */
	set_conf(3, PCIR_STATUS, 2, 0xffff);
	assert_int_equal(conf(3, PCIR_STATUS, 2), 0x0010);
}

static void
test_bars(void **state)
{
	uint64_t val;

	(void)state;
	/* 5 ports are 8, 0x1800 bytes are 0x2000, naturally aligned. */
	assert_int_equal(conf(3, 0x10, 4), 0x2001);
	assert_int_equal(conf(3, 0x14, 4), 0xc0000000);
	assert_int_equal(conf(3, 0x18, 4), 0x0000000c);
	assert_int_equal(conf(3, 0x1c, 4), 0xd0);
	set_conf(3, 0x10, 4, 0xffffffff);
	assert_int_equal(conf(3, 0x10, 4), 0xfffffff9);
	set_conf(3, 0x14, 4, 0xffffffff);
	assert_int_equal(conf(3, 0x14, 4), 0xffffe000);
	set_conf(3, 0x18, 4, 0xffffffff);
	set_conf(3, 0x1c, 4, 0xffffffff);
	assert_int_equal(conf(3, 0x18, 4), 0xc000000c);
	assert_int_equal(conf(3, 0x1c, 4), 0xffffffff);
	/* Decoded where it is put, while it is enabled. */
	set_conf(3, 0x10, 4, 0x3000);
	set_conf(3, 0x14, 4, 0xc8000000);
	assert_int_equal(bus_read(ports, 0x2000, 4, &val), -ENOENT);
	assert_int_equal(bus_write(ports, 0x3000, 4, 0x100), 0);
	assert_int_equal(bus_read(ports, 0x3004, 4, &val), 0);
	assert_true(val == 0x104);
	assert_int_equal(bus_write(mmio, 0xc8000000, 4, 0x77), 0);
	assert_int_equal(bus_read(mmio, 0xc8001ff0, 4, &val), 0);
	assert_true(val == 0x77 + 0x1ff0);
	set_conf(3, PCIR_COMMAND, 2, PCI_CMD_MEM);
	assert_int_equal(bus_read(ports, 0x3004, 4, &val), -ENOENT);
	assert_int_equal(bus_read(mmio, 0xc8000000, 4, &val), 0);
	/* Onto something else: not decoded, nothing broken. */
	set_conf(3, PCIR_COMMAND, 2, PCI_CMD_IO);
	set_conf(3, 0x10, 4, 0x0cf8);
	assert_int_equal(conf(0, 0, 4), 0x12751275);
	pci_bus_reset(bus);
	assert_int_equal(conf(3, 0x10, 4), 0x2001);
	assert_int_equal(bus_read(ports, 0x2000, 4, &val), 0);
}

/* What the address of a function means, both ways in. */
static uint32_t
conf_bus(unsigned num, unsigned slot, unsigned off)
{
	uint64_t val, ecam;

	bus_write(ports, 0xcf8, 4, 0x80000000u | num << 16 | slot << 11 | off);
	bus_read(ports, 0xcfc, 4, &val);
	bus_read(mmio, ECAM + (num << 20) + (slot << 15) + off, 4, &ecam);
	assert_true(val == ecam);
	return ((uint32_t)val);
}

static void
test_buses(void **state)
{
	struct pci_windows w;

	(void)state;
	assert_int_equal(
	    pci_add(bus, PCI_BDF(2, 3, 0), &scratch, NULL, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(255, 31, 7), &scratch, NULL, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(1, 0, 0), &scratch, NULL, NULL), -EINVAL);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(255, 31, 7), &bridge, NULL, NULL), -EEXIST);
	assert_int_equal(conf_bus(2, 3, 0), 0x000110dd);
	assert_int_equal(conf_bus(1, 3, 0), 0xffffffff);
	assert_int_equal(conf_bus(255, 3, 0), 0xffffffff);
	assert_non_null(pci_at(bus, PCI_BDF(255, 31, 7)));
	assert_int_equal(pci_dev_bdf(pci_at(bus, PCI_BDF(255, 31, 7))), 0xffff);
	/* Each bus has its own part; nothing of it is another's. */
	assert_true(pci_bus_windows(bus, 0, &w));
	assert_int_equal(w.io_base, 0x2000);
	assert_int_equal(w.io_limit, 0x2020);
	assert_int_equal(w.mem32_base, 0xc0000000);
	assert_int_equal(w.mem32_limit, 0xc0100000);
	assert_true(w.mem64_base == 0xd000000000);
	assert_true(w.mem64_limit == 0xd040000000);
	assert_true(pci_bus_windows(bus, 2, &w));
	assert_int_equal(conf_bus(2, 3, 0x10) & ~1u, w.io_base);
	assert_int_equal(conf_bus(2, 3, 0x14), w.mem32_base);
	assert_int_equal(w.io_base, 0x2020);
	assert_int_equal(w.mem32_limit, 0xc0200000);
	assert_false(pci_bus_windows(bus, 1, &w));
	assert_true(pci_bus_windows(bus, 255, &w));
	assert_int_equal(w.io_limit, 0x10000);
	assert_int_equal(w.mem32_limit, 0xe0000000);
	assert_true(w.mem64_limit == 0xfd00000000);
}

/* Two BARs at one place: the first has it until it goes. */
/* Only while its BAR is decoded, and where. */
static void
test_doorbell(void **state)
{
	struct pci_dev *dev = pci_at(bus, PCI_BDF(0, 3, 0));

	(void)state;
	assert_int_equal(pci_doorbell_add(dev, 0, 8, 2, 1, 9), -EINVAL);
	assert_int_equal(pci_doorbell_add(dev, 0, 1, 2, 1, 9), -EINVAL);
	assert_int_equal(pci_doorbell_add(dev, 0, 4, 1, 1, 9), -EINVAL);
	assert_int_equal(pci_doorbell_add(dev, 3, 0, 2, 1, 9), -EINVAL);
	memset(&bell, 0, sizeof(bell));
	assert_int_equal(pci_doorbell_add(dev, 0, 4, 2, 1, 9), 0);
	assert_int_equal(bell.on, 1);
	assert_true(bell.port);
	assert_int_equal(bell.addr, 0x2004);
	assert_int_equal(bell.match, 1);
	assert_int_equal(bell.fd, 9);
	set_conf(3, 0x10, 4, 0x3000);
	assert_int_equal(bell.off, 1);
	assert_int_equal(bell.on, 2);
	assert_int_equal(bell.addr, 0x3004);
	set_conf(3, PCIR_COMMAND, 2, PCI_CMD_MEM);
	assert_int_equal(bell.off, 2);
	/* Onto something else: it is not decoded. */
	set_conf(3, 0x10, 4, 0x0cf8);
	set_conf(3, PCIR_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM);
	assert_int_equal(bell.on, 2);
	assert_int_equal(bell.off, 2);
	pci_bus_reset(bus);
	assert_int_equal(bell.on, 3);
	assert_int_equal(bell.addr, 0x2004);
}

static void
test_bar_overlap(void **state)
{
	uint64_t val;

	(void)state;
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 5, 0), &scratch, NULL, NULL), 0);
	set_conf(3, 0x14, 4, 0xc8000000);
	set_conf(5, 0x14, 4, 0xc8000000);
	bus_write(mmio, 0xc8000000, 4, 3);
	assert_int_equal(
	    *(uint32_t *)((char *)pci_dev_priv(pci_at(bus, PCI_BDF(0, 3, 0))) +
			  4),
	    3);
	set_conf(3, 0x14, 4, 0xc9000000);
	bus_write(mmio, 0xc8000000, 4, 5);
	assert_int_equal(
	    *(uint32_t *)((char *)pci_dev_priv(pci_at(bus, PCI_BDF(0, 5, 0))) +
			  4),
	    5);
	bus_read(mmio, 0xc9000000, 4, &val);
	assert_true(val == 3);
	/* The same with decoding turned off; and a part of the other. */
	set_conf(5, 0x14, 4, 0xc9000000 - 0x2000);
	set_conf(5, 0x10, 4, conf(3, 0x10, 4));
	assert_int_equal(bus_read(mmio, 0xc8ffe000, 4, &val), 0);
	set_conf(3, PCIR_COMMAND, 2, 0);
	assert_int_equal(bus_read(mmio, 0xc9000000, 4, &val), -ENOENT);
	assert_int_equal(bus_write(ports, 0x2000, 4, 9), 0);
	assert_int_equal(
	    *(uint32_t *)pci_dev_priv(pci_at(bus, PCI_BDF(0, 5, 0))), 9);
	/* Places that are none. */
	set_conf(5, 0x14, 4, 0);
	assert_int_equal(bus_read(mmio, 0, 4, &val), -ENOENT);
	set_conf(5, 0x14, 4, 0xffffe000);
	assert_int_equal(bus_read(mmio, 0xffffe000, 4, &val), -ENOENT);
	set_conf(5, 0x10, 4, 0xfff8);
	assert_int_equal(bus_read(ports, 0xfff8, 4, &val), 0);
}

/* A 64-bit BAR goes wherever its width reaches. */
static void
test_bar_64(void **state)
{
	uint64_t val;

	(void)state;
	set_conf(3, 0x1c, 4, 0x12);
	set_conf(3, 0x18, 4, 0x40000000);
	assert_int_equal(conf(3, 0x18, 4), 0x4000000c);
	assert_int_equal(bus_read(mmio, 0x123fffffffull, 1, &val), -ENOENT);
	assert_int_equal(bus_write(mmio, 0x1240000000ull, 4, 8), 0);
	assert_int_equal(bus_read(mmio, 0x127ffffff8ull, 4, &val), 0);
	assert_true(val == 8 + 0x3ffffff8);
	/* Beyond what the processor addresses: nowhere, and back again. */
	set_conf(3, 0x1c, 4, 0xffffffff);
	assert_int_equal(
	    bus_read(mmio, 0xffffffff40000000ull, 4, &val), -ENOENT);
	set_conf(3, 0x1c, 4, 0);
	assert_int_equal(bus_read(mmio, 0x40000000, 4, &val), 0);
}

static void
test_pcie(void **state)
{
	struct pci_dev *dev;

	(void)state;
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 4, 0), &express, NULL, &dev), 0);
	assert_int_equal(pci_cap_find(dev, PCI_CAP_PCIE), 0x40);
	assert_int_equal(pci_cap_find(dev, 1), 0);
	assert_int_equal(conf(4, 0x40, 4), 0x00920010);
	assert_int_equal(conf(4, 0x44, 4), 0x00008000);
	/* Read-only: capabilities, the header, the link that is not there. */
	set_conf(4, 0x40, 4, 0xffffffff);
	set_conf(4, 0x44, 4, 0);
	set_conf(4, 0x50, 4, 0xffffffff);
	assert_int_equal(conf(4, 0x40, 4), 0x00920010);
	assert_int_equal(conf(4, 0x44, 4), 0x00008000);
	assert_int_equal(conf(4, 0x50, 4), 0);
	set_conf(4, 0x48, 2, 0xffff);
	assert_int_equal(conf(4, 0x48, 4), 0x78ff);
	/* Of any width. */
	set_conf(4, 0x49, 1, 0x12);
	assert_int_equal(conf(4, 0x48, 2), 0x10ff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_multifunction, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ecam, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bars, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_buses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_doorbell, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bar_overlap, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bar_64, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pcie, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
