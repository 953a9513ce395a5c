/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
	pci_cfg_w1c(dev, PCIR_STATUS, 2, 0x100);
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
setup(void **state)
{
	struct pci_config cfg = {.ecam_base = ECAM,
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
	assert_int_equal(pci_add(bus, 0, 0, &bridge, NULL, NULL), 0);
	assert_int_equal(pci_add(bus, 3, 0, &scratch, NULL, NULL), 0);
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
	assert_int_equal(pci_add(bus, 3, 0, &bridge, NULL, NULL), -EEXIST);
	assert_int_equal(pci_add(bus, 32, 0, &bridge, NULL, NULL), -EINVAL);
	assert_int_equal(pci_add(bus, 3, 1, &bridge, NULL, NULL), 0);
	assert_int_equal(conf(3, PCIR_HDRTYPE, 1), 0x80);
	assert_ptr_equal(pci_dev_ops(pci_at(bus, 3, 1)), &bridge);
}

static void
test_ecam(void **state)
{
	uint64_t val, dev = ECAM + (3 << 15);

	(void)state;
	bus_read(mmio, dev, 4, &val);
	assert_true(val == 0x000110dd);
	bus_read(mmio, dev + 0x100, 4, &val);
	assert_true(val == 0);
	bus_read(mmio, dev + 0x104, 4, &val);
	assert_true(val == 0xffffffff);
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
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
