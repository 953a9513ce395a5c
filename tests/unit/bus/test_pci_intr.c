/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins, MSI, MSI-X and DMA of a PCI function, as a driver uses them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/pci.h"
#include "gmem/gmem.h"

#define ECAM    0xe0000000ull
#define VECTORS 67u
#define TABLE   0x800u
#define PBA     0x1800u

/* Where the capabilities of the device under test are. */
#define MSI  0x40u
#define MSIX 0x58u

static struct bus_space *ports, *mmio;
static struct irq_lines *irqs;
static struct gmem *gm;
static struct pci_bus *bus;
static struct pci_dev *dev;
static uint64_t base; /* of the BAR with the table */
static struct {
	uint64_t addr;
	uint32_t data;
} sent[128];
static unsigned nsent;

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	assert_true(nsent < 128);
	sent[nsent].addr = addr;
	sent[nsent++].data = data;
}

static uint8_t
intx_irq(void *arg, unsigned line)
{
	assert_ptr_equal(arg, &nsent);
	return (line == 16 ? 0xff : (uint8_t)(line - 10));
}

static int
full_init(struct pci_dev *d, void *conf)
{
	(void)conf;
	assert_int_equal(pci_bar_add(d, 0, PCI_BAR_IO, 16), 0);
	assert_int_equal(pci_bar_add(d, 2, PCI_BAR_MEM64, 0x4000), 0);
	assert_int_equal(pci_msi_add(d, 3, true), -EINVAL);
	assert_int_equal(pci_msi_add(d, 0, true), -EINVAL);
	assert_int_equal(pci_msi_add(d, 64, true), -EINVAL);
	assert_int_equal(pci_msi_add(d, 8, true), 0);
	assert_int_equal(pci_msi_add(d, 8, true), -EBUSY);
	/* A table in no BAR, in one of ports, too large, on its own bits. */
	assert_int_equal(pci_msix_add(d, 2, 1, 0, 0x100), -EINVAL);
	assert_int_equal(pci_msix_add(d, 1, 0, 0, 8), -EINVAL);
	assert_int_equal(pci_msix_add(d, 2049, 2, 0, 0x3000), -EINVAL);
	assert_int_equal(pci_msix_add(d, 0, 2, 0, 0x3000), -EINVAL);
	assert_int_equal(pci_msix_add(d, 1024, 2, 0x1000, 0), -EINVAL);
	assert_int_equal(pci_msix_add(d, 2, 2, 0, 24), -EINVAL);
	assert_int_equal(pci_msix_add(d, 2, 2, 0, 0x4000), -EINVAL);
	assert_int_equal(pci_msix_add(d, 2, 2, 4, 0x3000), -EINVAL);
	assert_int_equal(pci_msix_add(d, VECTORS, 2, TABLE, PBA), 0);
	assert_int_equal(pci_msix_add(d, VECTORS, 2, TABLE, PBA), -EBUSY);
	assert_int_equal(pci_intx_add(d), 0);
	assert_int_equal(pci_intx_add(d), -EBUSY);
	return (0);
}

/* Outside the table the device sees its offsets, in dwords. */
static void
full_read(
    struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t *val)
{
	(void)d;
	assert_int_equal(bar, 2);
	assert_true(size <= 4);
	assert_true(off < TABLE || off >= TABLE + VECTORS * 16);
	assert_true(off < PBA || off >= PBA + 16);
	*val = off;
}

static void
full_write(
    struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	uint64_t x;

	full_read(d, bar, off, size, &x);
	assert_true(val == off);
}

static const struct pci_device_ops full = {
    .name = "full",
    .vendor = 0x10dd,
    .device = 0x0003,
    .init = full_init,
    .bar_read = full_read,
    .bar_write = full_write,
};

static int
setup(void **state)
{
	struct pci_config cfg = {.ecam_base = ECAM,
	    .mem32_base = 0xc0000000,
	    .mem32_limit = 0xe0000000,
	    .msi = {on_msi, NULL, NULL},
	    .intx_irq = intx_irq,
	    .arg = &nsent};

	(void)state;
	assert_int_equal(bus_space_create(&ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 52), 0);
	assert_int_equal(irq_lines_create(&irqs), 0);
	assert_int_equal(gmem_create(&gm, 1 << 20), 0);
	cfg.ports = ports;
	cfg.mmio = mmio;
	cfg.irqs = irqs;
	cfg.gmem = gm;
	nsent = 0;
	assert_int_equal(pci_bus_create(&bus, &cfg), 0);
	assert_int_equal(pci_add(bus, PCI_BDF(0, 2, 0), &full, NULL, &dev), 0);
	base = pci_bar_addr(dev, 2);
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

static uint32_t
conf(unsigned off, unsigned size)
{
	uint64_t val;

	bus_read(mmio, ECAM + (2 << 15) + off, size, &val);
	return ((uint32_t)val);
}

static void
set_conf(unsigned off, unsigned size, uint32_t val)
{
	bus_write(mmio, ECAM + (2 << 15) + off, size, val);
}

static uint64_t
mem(uint64_t off, unsigned size)
{
	uint64_t val;

	assert_int_equal(bus_read(mmio, base + off, size, &val), 0);
	return (val);
}

static void
set_mem(uint64_t off, unsigned size, uint64_t val)
{
	assert_int_equal(bus_write(mmio, base + off, size, val), 0);
}

static void
test_intx(void **state)
{
	(void)state;
	/* Slot 2, INTA#: line 16 + (4 + 2 + 1) % 8. */
	assert_int_equal(conf(PCIR_INTLINE, 2), 0x0100 + 23 - 10);
	pci_intx_set(dev, true);
	assert_true(irq_level(irqs, 23));
	assert_int_equal(conf(PCIR_STATUS, 2) & PCI_STATUS_INTX, 8);
	/* Disabled: the line is quiet, the status is not. */
	set_conf(PCIR_COMMAND, 2, 7 | PCI_CMD_INTXDIS);
	assert_false(irq_level(irqs, 23));
	assert_int_equal(conf(PCIR_STATUS, 2) & PCI_STATUS_INTX, 8);
	set_conf(PCIR_STATUS, 2, 0xffff);
	assert_int_equal(conf(PCIR_STATUS, 2) & PCI_STATUS_INTX, 8);
	set_conf(PCIR_COMMAND, 2, 7);
	assert_true(irq_level(irqs, 23));
	/* The same while messages are enabled. */
	set_conf(MSI + 2, 2, 1);
	assert_false(irq_level(irqs, 23));
	set_conf(MSI + 2, 2, 0);
	assert_true(irq_level(irqs, 23));
	set_conf(MSIX + 2, 2, 0x8000);
	assert_false(irq_level(irqs, 23));
	set_conf(MSIX + 2, 2, 0);
	pci_intx_set(dev, false);
	assert_false(irq_level(irqs, 23));
	assert_int_equal(conf(PCIR_STATUS, 2) & PCI_STATUS_INTX, 0);
	/* The register is the guest's, the pin is not. */
	set_conf(PCIR_INTLINE, 2, 0xff05);
	assert_int_equal(conf(PCIR_INTLINE, 2), 0x0105);
	pci_intx_set(dev, true);
	pci_bus_reset(bus);
	assert_false(irq_level(irqs, 23));
}

/* The functions of a slot spread over its pins, slots over the lines. */
static void
test_intx_pins(void **state)
{
	struct pci_dev *d;
	unsigned i;

	(void)state;
	for (i = 1; i < 6; i++) {
		assert_int_equal(
		    pci_add(bus, PCI_BDF(0, 2, i), &full, NULL, &d), 0);
		assert_int_equal(pci_cfg_get(d, PCIR_INTPIN, 1), 1 + i % 4);
	}
	assert_int_equal(
	    pci_cfg_get(pci_at(bus, PCI_BDF(0, 2, 1)), PCIR_INTLINE, 1), 0xff);
	assert_int_equal(pci_intx_line(3, 1), 16);
	assert_int_equal(pci_intx_line(31, 4), 16 + 39 % 8);
	/* Two on one line: it is high while one of them is. */
	pci_intx_set(dev, true);
	pci_intx_set(pci_at(bus, PCI_BDF(0, 2, 4)), true);
	pci_intx_set(dev, false);
	assert_true(irq_level(irqs, 23));
	pci_intx_set(pci_at(bus, PCI_BDF(0, 2, 4)), false);
	assert_false(irq_level(irqs, 23));
}

static void
test_msi(void **state)
{
	(void)state;
	/* 8 messages, 64 bits, mask bits; the counts are read-only. */
	assert_int_equal(conf(MSI, 4), 0x01860000u | MSIX << 8 | 5);
	set_conf(MSI + 2, 2, 0xfffe);
	assert_int_equal(conf(MSI + 2, 2), 0x01f6);
	set_conf(MSI + 4, 4, 0xfee01fff);
	set_conf(MSI + 8, 4, 0x1);
	set_conf(MSI + 0xc, 4, 0xffff4047);
	assert_int_equal(conf(MSI + 4, 4), 0xfee01ffc);
	assert_int_equal(conf(MSI + 0xc, 4), 0x4047);
	pci_msi_raise(dev, 0);
	assert_int_equal(nsent, 0); /* off */
	assert_int_equal(pci_msi_count(dev), 0);
	/* More than there are: all of them. */
	set_conf(MSI + 2, 2, 0x0071);
	assert_int_equal(pci_msi_count(dev), 8);
	pci_msi_raise(dev, 5);
	assert_int_equal(nsent, 1);
	assert_true(sent[0].addr == 0x1fee01ffc);
	assert_int_equal(sent[0].data, 0x4045);
	/* Fewer: a message stands for others. */
	set_conf(MSI + 2, 2, 0x0011);
	assert_int_equal(pci_msi_count(dev), 2);
	pci_msi_raise(dev, 7);
	assert_int_equal(sent[1].data, 0x4047);
	pci_msi_raise(dev, 2);
	assert_int_equal(sent[2].data, 0x4046);
}

static void
test_msi_mask(void **state)
{
	(void)state;
	set_conf(MSI + 4, 4, 0xfee00000);
	set_conf(MSI + 0xc, 2, 0x30);
	set_conf(MSI + 0x10, 4, 0xffffffff);
	assert_int_equal(conf(MSI + 0x10, 4), 0xff);
	set_conf(MSI + 2, 2, 0x0031);
	pci_msi_raise(dev, 3);
	pci_msi_raise(dev, 3);
	pci_msi_raise(dev, 6);
	assert_int_equal(nsent, 0);
	assert_int_equal(conf(MSI + 0x14, 4), 0x48);
	set_conf(MSI + 0x14, 4, 0); /* read-only */
	assert_int_equal(conf(MSI + 0x14, 4), 0x48);
	/* Sent when unmasked, once. */
	set_conf(MSI + 0x10, 4, 0xf7);
	assert_int_equal(nsent, 1);
	assert_int_equal(sent[0].data, 0x33);
	assert_int_equal(conf(MSI + 0x14, 4), 0x40);
	/* A message is a write of a master. */
	set_conf(PCIR_COMMAND, 2, 3);
	pci_msi_raise(dev, 3);
	assert_int_equal(nsent, 1);
	set_conf(PCIR_COMMAND, 2, 7);
	assert_int_equal(nsent, 2);
	/* What was not sent when MSI goes off is forgotten. */
	set_conf(MSI + 2, 2, 0);
	set_conf(MSI + 0x10, 4, 0);
	set_conf(MSI + 2, 2, 0x0031);
	assert_int_equal(nsent, 2);
}

static void
test_msix_table(void **state)
{
	(void)state;
	assert_int_equal(conf(MSIX, 4), (VECTORS - 1) << 16 | 0x11);
	assert_int_equal(conf(MSIX + 4, 4), TABLE | 2);
	assert_int_equal(conf(MSIX + 8, 4), PBA | 2);
	set_conf(MSIX + 2, 2, 0x3fff);
	set_conf(MSIX + 4, 4, 0);
	assert_int_equal(conf(MSIX + 2, 2), VECTORS - 1);
	assert_int_equal(conf(MSIX + 4, 4), TABLE | 2);
	/* All masked to begin with. Dwords and quadwords. */
	assert_true(mem(TABLE, 8) == 0);
	assert_true(mem(TABLE + 8, 8) == 1ull << 32);
	assert_true(mem(TABLE + 16 * (VECTORS - 1) + 12, 4) == 1);
	set_mem(TABLE + 16, 8, 0x12345678fee01003);
	set_mem(TABLE + 24, 8, 0xfffffffe00004041);
	assert_true(mem(TABLE + 16, 8) == 0x12345678fee01000);
	assert_true(mem(TABLE + 24, 8) == 0x4041);
	set_mem(TABLE + 16, 4, 0xfee02000);
	set_mem(TABLE + 20, 4, 0);
	set_mem(TABLE + 28, 4, 1);
	assert_true(mem(TABLE + 16, 8) == 0xfee02000);
	assert_true(mem(TABLE + 24, 8) == 0x100004041);
	/* Narrower and crooked: reads of bytes, no writes. */
	assert_int_equal(mem(TABLE + 17, 1), 0x20);
	assert_int_equal(mem(TABLE + 18, 2), 0xfee0);
	set_mem(TABLE + 16, 1, 0xff);
	set_mem(TABLE + 16, 2, 0xffff);
	set_mem(TABLE + 20, 8, ~0ull);
	assert_true(mem(TABLE + 16, 8) == 0xfee02000);
	/* The device has the rest. */
	assert_true(mem(TABLE - 8, 8) == ((TABLE - 4ull) << 32 | (TABLE - 8)));
	set_mem(TABLE - 8, 8, (TABLE - 4ull) << 32 | (TABLE - 8));
	assert_int_equal(mem(TABLE + 16 * VECTORS, 4), TABLE + 16 * VECTORS);
}

static void
test_msix(void **state)
{
	(void)state;
	set_mem(TABLE + 16 * 66, 8, 0xfee03000);
	set_mem(TABLE + 16 * 66 + 8, 8, 0x4051); /* not masked */
	set_mem(TABLE + 16 * 2, 8, 0xfee04000);
	set_mem(TABLE + 16 * 2 + 8, 4, 0x4052);
	pci_msix_raise(dev, 66);
	assert_int_equal(nsent, 0); /* off */
	assert_false(pci_msix_enabled(dev));
	set_conf(MSIX + 2, 2, 0x8000);
	assert_true(pci_msix_enabled(dev));
	assert_int_equal(nsent, 0);
	pci_msix_raise(dev, VECTORS); /* not there */
	pci_msix_raise(dev, 66);
	assert_int_equal(nsent, 1);
	assert_true(sent[0].addr == 0xfee03000);
	assert_int_equal(sent[0].data, 0x4051);
	/* Masked: pending; sent by the write that unmasks. */
	pci_msix_raise(dev, 2);
	assert_int_equal(nsent, 1);
	assert_true(mem(PBA, 8) == 4);
	set_mem(PBA, 8, 0);
	assert_int_equal(mem(PBA, 4), 4);
	set_mem(TABLE + 16 * 2 + 12, 4, 0);
	assert_int_equal(nsent, 2);
	assert_int_equal(sent[1].data, 0x4052);
	assert_true(mem(PBA, 8) == 0);
	/* The whole function. */
	set_conf(MSIX + 2, 2, 0xc000);
	pci_msix_raise(dev, 2);
	pci_msix_raise(dev, 66);
	pci_msix_raise(dev, 66);
	assert_int_equal(nsent, 2);
	assert_true(mem(PBA, 8) == 4);
	assert_true(mem(PBA + 8, 8) == 4);
	assert_int_equal(mem(PBA + 8, 1), 4);
	set_conf(MSIX + 2, 2, 0x8000);
	assert_int_equal(nsent, 4);
	assert_true(mem(PBA + 8, 8) == 0);
	/* Off, or reset: nothing is left. */
	set_conf(MSIX + 2, 2, 0xc000);
	pci_msix_raise(dev, 2);
	set_conf(MSIX + 2, 2, 0);
	set_conf(MSIX + 2, 2, 0x8000);
	assert_int_equal(nsent, 4);
	pci_bus_reset(bus);
	assert_true(mem(TABLE + 16 * 2 + 8, 8) == 1ull << 32);
}

static void
test_dma(void **state)
{
	char buf[8] = "";

	(void)state;
	assert_int_equal(pci_dma_write(dev, 0x1000, "lhyve", 6), 0);
	assert_int_equal(pci_dma_read(dev, 0x1000, buf, 6), 0);
	assert_string_equal(buf, "lhyve");
	assert_ptr_equal(pci_dma_map(dev, 0x1000, 6), gmem_map(gm, 0x1000, 6));
	assert_int_equal(conf(PCIR_STATUS, 2) & 0xff00, 0);
	/* Nobody there. */
	assert_int_equal(pci_dma_read(dev, 0xffffe, buf, 4), -EFAULT);
	assert_int_equal(conf(PCIR_STATUS, 2) & 0xff00, PCI_STATUS_RMA);
	set_conf(PCIR_STATUS, 2, PCI_STATUS_RMA);
	assert_int_equal(conf(PCIR_STATUS, 2) & 0xff00, 0);
	/* Not a master. */
	set_conf(PCIR_COMMAND, 2, 3);
	assert_int_equal(pci_dma_read(dev, 0x1000, buf, 6), -EPERM);
	assert_int_equal(pci_dma_write(dev, 0x1000, "xxxxx", 6), -EPERM);
	assert_null(pci_dma_map(dev, 0x1000, 6));
	assert_int_equal(conf(PCIR_STATUS, 2) & 0xff00, 0);
	assert_int_equal(gmem_read(gm, 0x1000, buf, 6), 0);
	assert_string_equal(buf, "lhyve");
}

static void
on_wrote(void *arg, uint64_t gpa, uint64_t len)
{
	uint64_t *seen = arg;

	seen[0] = gpa;
	seen[1] = len;
}

/* Translated code hears of DMA, however it was done. */
static void
test_dma_wrote(void **state)
{
	uint64_t seen[2] = {0, 0};
	char *p;

	(void)state;
	gmem_set_observer(gm, on_wrote, seen);
	gmem_watch(gm, 0x2000, true);
	assert_int_equal(pci_dma_write(dev, 0x2010, "x", 1), 0);
	assert_true(seen[0] <= 0x2010 && seen[0] + seen[1] > 0x2010);
	seen[1] = 0;
	p = pci_dma_map(dev, 0x2020, 1);
	*p = 1;
	pci_dma_wrote(dev, 0x2020, 1);
	assert_true(seen[0] <= 0x2020 && seen[0] + seen[1] > 0x2020);
}

static void
test_dump(void **state)
{
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	(void)state;
	pci_dump(bus, f);
	fclose(f);
	assert_non_null(strstr(buf, "pci.0.2.0.device = full\n"));
	assert_non_null(strstr(buf, "pci.msix.ctrl = 01\n"));
	free(buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	    TEST(test_intx),
	    TEST(test_intx_pins),
	    TEST(test_msi),
	    TEST(test_msi_mask),
	    TEST(test_msix_table),
	    TEST(test_msix),
	    TEST(test_dma),
	    TEST(test_dma_wrote),
	    TEST(test_dump),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
