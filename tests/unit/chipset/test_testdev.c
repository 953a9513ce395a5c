/* SPDX-License-Identifier: BSD-2-Clause */
/* pci-testdev, as its header tells it: guests' tests depend on that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/chipset.h"
#include "chipset/testdev.h"
#include "gmem/gmem.h"

static struct bus_space *ports, *mmio;
static struct irq_lines *irqs;
static struct gmem *gm;
static struct pci_bus *bus;
static struct pci_dev *dev;
static uint16_t io;
static uint64_t regs, big;
static unsigned nsent;
static uint32_t last;

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)addr;
	nsent++;
	last = data;
}

static int
setup(void **state)
{
	struct pci_config cfg = {.mem32_base = 0xc0000000,
	    .mem32_limit = 0xe0000000,
	    .mem64_base = 0x800000000,
	    .mem64_limit = 0x1000000000,
	    .msi = {on_msi, NULL, NULL}};

	(void)state;
	assert_int_equal(bus_space_create(&ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 52), 0);
	assert_int_equal(irq_lines_create(&irqs), 0);
	assert_int_equal(gmem_create(&gm, 4 << 20), 0);
	cfg.ports = ports;
	cfg.mmio = mmio;
	cfg.irqs = irqs;
	cfg.gmem = gm;
	nsent = 0;
	assert_int_equal(pci_bus_create(&bus, &cfg), 0);
	assert_ptr_equal(
	    pci_find(chipset_pci_devices, "pci-testdev"), &pci_testdev);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 5, 0), &pci_testdev, NULL, &dev), 0);
	io = (uint16_t)pci_bar_addr(dev, 0);
	regs = pci_bar_addr(dev, 1);
	big = pci_bar_addr(dev, 2);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	pci_bus_destroy(bus);
	gmem_destroy(gm);
	irq_lines_destroy(irqs);
	bus_space_destroy(ports);
	bus_space_destroy(mmio);
	return (0);
}

static void
set_conf(unsigned off, unsigned size, uint32_t val)
{
	bus_write(ports, 0xcf8, 4, 0x80000000u | 5u << 11 | (off & 0xfc));
	bus_write(ports, 0xcfc + (off & 3), size, val);
}

static uint64_t
rd(uint64_t addr, unsigned size)
{
	uint64_t val;

	assert_int_equal(bus_read(mmio, addr, size, &val), 0);
	return (val);
}

static void
wr(uint64_t addr, unsigned size, uint64_t val)
{
	assert_int_equal(bus_write(mmio, addr, size, val), 0);
}

static void
test_bars(void **state)
{
	uint64_t val;

	(void)state;
	assert_int_equal(pci_bar_size(dev, 0), 16);
	assert_int_equal(pci_bar_size(dev, 1), 4096);
	assert_int_equal(pci_bar_size(dev, 2), TESTDEV_BAR2_SIZE);
	assert_true(big == 0x800000000);
	assert_int_equal(pci_cfg_get(dev, 0x18, 4) & 0xf, 0xc);
	assert_int_equal(rd(regs, 4), TESTDEV_MAGIC);
	bus_read(ports, io, 4, &val);
	assert_int_equal(val, TESTDEV_MAGIC);
	assert_int_equal(rd(regs, 2), 0);
	wr(regs + 0x1fc, 4, 0x12345678);
	wr(regs + 0x100, 1, 0xab);
	assert_int_equal(rd(regs + 0x1fe, 2), 0x1234);
	assert_int_equal(rd(regs + 0x1ff, 1), 0x12);
	assert_int_equal(rd(regs + 0x100, 4), 0xab);
	/* Half in, half out. */
	wr(regs + 0x1fe, 4, ~0u);
	assert_int_equal(rd(regs + 0x1fe, 4), 0);
	assert_int_equal(rd(regs + 0x1fc, 4), 0x12345678);
	assert_int_equal(rd(regs + 0x200, 4), 0);
	assert_int_equal(rd(big + 0x3fffffc, 4), 0x3fffffc);
	wr(big + 0x3fffffc, 4, 1);
	assert_int_equal(rd(big + 0x3fffffc, 4), 0x3fffffc);
	pci_bus_reset(bus);
	assert_int_equal(rd(regs + 0x1fc, 4), 0);
}

static void
test_interrupts(void **state)
{
	unsigned msi = pci_cap_find(dev, PCI_CAP_MSI);
	unsigned msix = pci_cap_find(dev, PCI_CAP_MSIX);
	unsigned line = pci_intx_line(5, 1);
	uint64_t val;

	(void)state;
	wr(regs + TESTDEV_INTX, 4, 3);
	assert_true(irq_level(irqs, line));
	assert_int_equal(rd(regs + TESTDEV_INTX, 4), 1);
	bus_write(ports, io + TESTDEV_INTX, 4, 0);
	assert_false(irq_level(irqs, line));
	set_conf(msi + 0xc, 2, 0x40);
	set_conf(msi + 2, 2, 0x21);
	assert_int_equal(rd(regs + TESTDEV_MSI, 4), 4);
	wr(regs + TESTDEV_MSI, 4, 3);
	assert_int_equal(nsent, 1);
	assert_int_equal(last, 0x43);
	set_conf(msi + 2, 2, 0);
	assert_int_equal(rd(regs + TESTDEV_MSIX, 4), 0);
	set_conf(msix + 2, 2, 0x8000);
	bus_read(ports, io + TESTDEV_MSIX, 4, &val);
	assert_int_equal(val, 1);
	wr(big + 16 * 7 + 8, 8, 0x55);
	wr(regs + TESTDEV_MSIX, 4, 6);
	wr(regs + TESTDEV_MSIX, 4, TESTDEV_VECTORS);
	assert_int_equal(nsent, 1);
	assert_int_equal(rd(big + TESTDEV_MSIX_PBA, 8), 0x40);
	wr(regs + TESTDEV_MSIX, 4, 7);
	assert_int_equal(nsent, 2);
	assert_int_equal(last, 0x55);
}

static void
copy(uint64_t src, uint64_t dst, uint32_t len, uint32_t command)
{
	wr(regs + TESTDEV_SRC, 8, src);
	wr(regs + TESTDEV_DST, 8, dst);
	wr(regs + TESTDEV_LEN, 4, len);
	wr(regs + TESTDEV_COPY, 4, command);
}

static void
test_dma(void **state)
{
	unsigned msix = pci_cap_find(dev, PCI_CAP_MSIX);
	char *mem = gmem_map(gm, 0, 4 << 20), *want = malloc(1 << 20);
	unsigned i;

	(void)state;
	for (i = 0; i < 1 << 20; i++)
		want[i] = mem[i] = (char)(i * 7 + i / 4096);
	copy(0x10, 0x200003, 0x12345, 0);
	assert_int_equal(mem[0x200003], 0);
	copy(0x10, 0x200003, 0x12345, 1);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_OK);
	assert_memory_equal(mem + 0x200003, want + 0x10, 0x12345);
	assert_int_equal(mem[0x200003 + 0x12345], 0);
	assert_int_equal(mem[0x200002], 0);
	assert_true(rd(regs + TESTDEV_DST, 8) == 0x200003);
	assert_false(irq_level(irqs, pci_intx_line(5, 1)));
	/* The whole length, and one more. */
	copy(0, 0x200000, TESTDEV_LEN_MAX, 3);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_OK);
	assert_memory_equal(mem + 0x200000, want, TESTDEV_LEN_MAX);
	assert_true(irq_level(irqs, pci_intx_line(5, 1)));
	wr(regs + TESTDEV_INTX, 4, 0);
	copy(0, 0x200000, TESTDEV_LEN_MAX + 1, 1);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_TOO_LONG);
	copy(0, 0x3fffff, 2, 1);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_NO_MEMORY);
	copy(~0ull - 1, 0, 4, 1);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_NO_MEMORY);
	/* Ends with an interrupt of whatever kind is on. */
	set_conf(msix + 2, 2, 0x8000);
	wr(big + 8, 8, 0x66);
	copy(0, 0x200000, 1, 3);
	assert_int_equal(last, 0x66);
	set_conf(PCIR_COMMAND, 2, 3);
	copy(0x10, 0x300000, 16, 1);
	assert_int_equal(rd(regs + TESTDEV_COPY, 4), TESTDEV_NO_MASTER);
	assert_int_equal(mem[0x300001], 0);
	free(want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_bars, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
