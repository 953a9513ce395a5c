/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions on two buses, with every capability, as a hostile driver
 * uses them: configuration by both mechanisms, BARs wherever they may go,
 * the table of MSI-X, copies to and from anywhere.
 */
#include <string.h>

#include "bus/pci.h"
#include "chipset/chipset.h"
#include "chipset/testdev.h"
#include "fuzz.h"
#include "gmem/gmem.h"

#define ECAM  0xe0000000ull
#define MEM   (1u << 16)
#define FUNCS 4u

struct rig {
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct pci_bus *bus;
	struct pci_dev *dev[FUNCS];
};

static const uint16_t places[FUNCS] = {
    PCI_BDF(0, 3, 0), PCI_BDF(0, 3, 1), PCI_BDF(0, 31, 7), PCI_BDF(7, 0, 0)};
static struct gmem *gm;

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)data;
	FUZZ_CHECK((addr & 3) == 0);
}

static void
setup(struct rig *r)
{
	struct pci_config cfg = {.ecam_base = ECAM,
	    .mem32_base = 0xc0000000u,
	    .mem32_limit = 0xe0000000u,
	    .mem64_base = 1ull << 40,
	    .mem64_limit = 1ull << 41,
	    .msi = {on_msi, NULL, NULL}};

	if (gm == NULL)
		FUZZ_CHECK(gmem_create(&gm, MEM) == 0);
	FUZZ_CHECK(bus_space_create(&r->ports, "io", 0x10000) == 0);
	FUZZ_CHECK(bus_space_create(&r->mmio, "mem", 1ull << 46) == 0);
	FUZZ_CHECK(irq_lines_create(&r->irqs) == 0);
	cfg.ports = r->ports;
	cfg.mmio = r->mmio;
	cfg.irqs = r->irqs;
	cfg.gmem = gm;
	FUZZ_CHECK(pci_bus_create(&r->bus, &cfg) == 0);
	for (unsigned i = 0; i < FUNCS; i++)
		FUZZ_CHECK(pci_add(r->bus, places[i], &pci_testdev, NULL,
			       &r->dev[i]) == 0);
}

static void
teardown(struct rig *r)
{
	pci_bus_destroy(r->bus);
	/* Nobody leaves a line high. */
	for (unsigned i = 0; i < IRQ_LINES; i++)
		FUZZ_CHECK(!irq_level(r->irqs, i));
	irq_lines_destroy(r->irqs);
	bus_space_destroy(r->ports);
	bus_space_destroy(r->mmio);
}

/* A register of a header, both ways; what is read is the same. */
static void
config(struct rig *r, uint16_t bdf, uint8_t op, struct fuzz_in *in)
{
	unsigned size = 1u << (op >> 4 & 3) % 3;
	unsigned off = fuzz_u8(in) & ~(size - 1);
	uint64_t a, b;

	if (op & 0x80) {
		(void)bus_write(r->mmio, ECAM + ((uint64_t)bdf << 12) + off,
		    size, fuzz_u32(in));
		return;
	}
	(void)bus_write(
	    r->ports, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | off);
	if (op & 0x40)
		(void)bus_write(
		    r->ports, 0xcfc + (off & 3), size, fuzz_u32(in));
	(void)bus_read(r->ports, 0xcfc + (off & 3), size, &a);
	(void)bus_read(r->mmio, ECAM + ((uint64_t)bdf << 12) + off, size, &b);
	FUZZ_CHECK(a == b);
}

static void
step(struct rig *r, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	struct pci_dev *dev = r->dev[op >> 2 & 3];
	unsigned bar = fuzz_u8(in) % 3;
	uint64_t addr = pci_bar_addr(dev, bar), got = 0;
	unsigned size = 1u << (op >> 4 & 3);

	switch (op & 3) {
	case 0:
		config(r, pci_dev_bdf(dev), op, in);
		return;
	case 1:
		/* A copy that may be possible. */
		addr = pci_bar_addr(dev, 1);
		(void)bus_write(r->mmio, addr + TESTDEV_SRC, 8,
		    op & 0x10 ? fuzz_u64(in) : fuzz_take(in, 2));
		(void)bus_write(r->mmio, addr + TESTDEV_DST, 8,
		    op & 0x20 ? fuzz_u64(in) : fuzz_take(in, 2));
		(void)bus_write(r->mmio, addr + TESTDEV_LEN, 4,
		    fuzz_take(in, op & 0x40 ? 4 : 2));
		(void)bus_write(r->mmio, addr + TESTDEV_COPY, 4, op >> 6);
		return;
	case 2:
		addr += bar == 2 ? fuzz_take(in, 2) & 0x10ff : fuzz_u8(in);
		if (bar == 0)
			(void)bus_read(r->ports, addr, size % 8, &got);
		else
			(void)bus_read(r->mmio, addr, size, &got);
		FUZZ_CHECK(size == 8 || got >> (8 * size) == 0);
		return;
	default:
		addr += bar == 2 ? fuzz_take(in, 2) & 0x10ff : fuzz_u8(in);
		if (bar == 0)
			(void)bus_write(r->ports, addr, size % 8, fuzz_u32(in));
		else
			(void)bus_write(r->mmio, addr, size, fuzz_u64(in));
		if (op == 0xff)
			pci_bus_reset(r->bus);
		return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct rig r;
	FILE *f;

	memset(&r, 0, sizeof(r));
	setup(&r);
	while (in.left > 0)
		step(&r, &in);
	if (size > 0 && data[0] == 0x55) {
		f = fopen("/dev/null", "w");
		if (f != NULL) {
			pci_dump(r.bus, f);
			(void)fclose(f);
		}
	}
	teardown(&r);
	return (0);
}
