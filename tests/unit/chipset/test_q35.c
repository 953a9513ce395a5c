/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers by which firmware for QEMU's Q35 board finds its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mevent.h"
#include "base/vclock.h"
#include "chipset/chipset.h"
#include "chipset/fwcfg.h"
#include "gmem/gmem.h"

#define ECAM 0xe0000000ull

static struct mevent_loop *loop;
static struct vclock *vc;
static struct bus_space *ports, *mmio;
static struct irq_lines *irqs;
static struct gmem *gm;
static struct chipset *cs;
static struct pci_bus *bus;
static unsigned poweroffs;

static void
on_poweroff(void *arg)
{
	(void)arg;
	poweroffs++;
}

static void
nothing(void *arg)
{
	(void)arg;
}

/* With fw_cfg or without, and a host bridge of that device id. */
static void
make(bool fwcfg, int device)
{
	struct hostbridge_config hc = {
	    .vendor = 0x8086,
	    .device = device,
	    .revid = -1,
	    .subvendor = -1,
	    .subdevice = -1,
	};
	struct chipset_config cfg = {
	    .lowmem = 1 << 20, .reset = nothing, .poweroff = on_poweroff};
	struct pci_config pc = {
	    .ecam_base = ECAM,
	    .mem32_base = 0xc0000000,
	    .mem32_limit = 0xe0000000,
	};

	assert_int_equal(mevent_loop_create(&loop), 0);
	assert_int_equal(vclock_create(&vc, loop), 0);
	assert_int_equal(bus_space_create(&ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&mmio, "mem", 1ull << 52), 0);
	assert_int_equal(irq_lines_create(&irqs), 0);
	assert_int_equal(gmem_create(&gm, 1 << 20), 0);
	if (fwcfg)
		assert_int_equal(fwcfg_create(&cfg.fwcfg), 0);
	cfg.vclock = vc;
	cfg.ports = pc.ports = ports;
	cfg.mmio = pc.mmio = mmio;
	cfg.irqs = pc.irqs = irqs;
	cfg.gmem = gm;
	assert_int_equal(chipset_create(&cs, &cfg), 0);
	assert_int_equal(pci_bus_create(&bus, &pc), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 0, 0), &pci_hostbridge, &hc, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 31, 0), &pci_lpc, cs, NULL), 0);
	poweroffs = 0;
}

static void
unmake(void)
{
	pci_bus_destroy(bus);
	chipset_destroy(cs);
	gmem_destroy(gm);
	irq_lines_destroy(irqs);
	bus_space_destroy(mmio);
	bus_space_destroy(ports);
	vclock_destroy(vc);
	mevent_loop_destroy(loop);
}

static void
put(unsigned slot, unsigned off, unsigned size, uint32_t val)
{
	assert_int_equal(
	    bus_write(mmio, ECAM + slot * 0x8000 + off, size, val), 0);
}

static uint32_t
get(uint64_t ecam, unsigned slot, unsigned off)
{
	uint64_t val;

	bus_read(mmio, ecam + slot * 0x8000 + off, 4, &val);
	return ((uint32_t)val);
}

static uint64_t
in(uint16_t port, unsigned size)
{
	uint64_t val;

	bus_read(ports, port, size, &val);
	return (val);
}

static void
test_pciexbar(void **state)
{
	(void)state;
	make(true, 0x29c0);
	assert_int_equal(get(0xb0000000, 0, 0), 0xffffffff);
	/* Base, then enabled; other bits are not there. */
	put(0, 0x64, 4, 0xfffffff0);
	assert_int_equal(get(ECAM, 0, 0x64), 0);
	put(0, 0x60, 4, 0xbffffffe);
	assert_int_equal(get(ECAM, 0, 0x60), 0xb0000000);
	assert_int_equal(get(0xb0000000, 0, 0), 0xffffffff);
	put(0, 0x60, 1, 1);
	assert_int_equal(get(0xb0000000, 0, 0), 0x29c08086);
	assert_int_equal(get(0xb0000000, 31, 0), 0x70008086);
	assert_int_equal(get(ECAM, 0, 0), 0x29c08086);
	/* It moves, through itself; nothing stays behind. */
	bus_write(mmio, 0xb0000060, 4, 0x80000001);
	assert_int_equal(get(0xb0000000, 0, 0), 0xffffffff);
	assert_int_equal(get(0x80000000, 0, 0), 0x29c08086);
	put(0, 0x64, 4, 0xf);
	assert_int_equal(get(0x80000000, 0, 0), 0xffffffff);
	assert_int_equal(get(0xf80000000, 0, 0), 0x29c08086);
	/* Over the first one, or over a chip: there is no second one. */
	put(0, 0x64, 4, 0);
	put(0, 0x60, 4, 0xe0000001);
	assert_int_equal(get(0xf80000000, 0, 0), 0xffffffff);
	assert_int_equal(get(ECAM, 0, 0), 0x29c08086);
	put(0, 0x60, 4, 0xf0000001); /* IOAPIC and HPET */
	assert_int_equal(get(0xf0000000, 0, 0), 0xffffffff);
	put(0, 0x60, 4, 0xb0000001);
	assert_int_equal(get(0xb0000000, 0, 0), 0x29c08086);
	pci_bus_reset(bus);
	assert_int_equal(get(ECAM, 0, 0x60), 0);
	assert_int_equal(get(0xb0000000, 0, 0), 0xffffffff);
	put(0, 0x60, 4, 0xb0000001);
	unmake();

	/* Other bridges have no such register. */
	make(true, 0x1237);
	put(0, 0x60, 4, 0xb0000001);
	assert_int_equal(get(ECAM, 0, 0x60), 0);
	assert_int_equal(get(0xb0000000, 0, 0), 0xffffffff);
	unmake();
}

static void
test_pmbase(void **state)
{
	uint64_t a, b;

	(void)state;
	make(true, 0x29c0);
	assert_int_equal(get(ECAM, 31, 0x40), 1);
	put(31, 0x40, 4, 0xffff0600);
	assert_int_equal(get(ECAM, 31, 0x40), 0x601);
	assert_int_equal(in(0x608, 4), 0xffffffff);
	put(31, 0x44, 1, 0xff);
	assert_int_equal(get(ECAM, 31, 0x44), 0x80);
	a = in(0x408, 4);
	b = in(0x608, 4);
	assert_true(b - a < 0x7fffffff);
	/* One and the same block. */
	bus_write(ports, 0x602, 2, 0x100);
	assert_int_equal(in(0x402, 2), 0x100);
	assert_int_equal(in(0x606, 2), 0xffff);
	bus_write(ports, 0x604, 2, 0x2000);
	assert_int_equal(poweroffs, 1);
	bus_write(ports, 0x404, 2, 0x2000);
	assert_int_equal(poweroffs, 1);
	/* It moves, not onto something else, and goes. */
	put(31, 0x40, 2, 0x0700);
	assert_int_equal(in(0x602, 2), 0xffff);
	assert_int_equal(in(0x702, 2), 0x100);
	put(31, 0x40, 2, 0x0400);
	assert_int_equal(in(0x702, 2), 0xffff);
	assert_int_equal(in(0x402, 2), 0x100);
	put(31, 0x40, 2, 0x0600);
	assert_int_equal(in(0x602, 2), 0x100);
	pci_bus_reset(bus);
	assert_int_equal(in(0x602, 2), 0xffff);
	put(31, 0x44, 1, 0x80); /* address 0 is none */
	assert_int_equal(in(0x002, 2), 0xffff);
	unmake();

	/* bhyve's own firmware has no need of it. */
	make(false, 0x29c0);
	put(31, 0x40, 4, 0x600);
	put(31, 0x44, 1, 0x80);
	assert_int_equal(get(ECAM, 31, 0x40), 0);
	assert_int_equal(in(0x608, 4), 0xffffffff);
	unmake();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pciexbar),
	    cmocka_unit_test(test_pmbase),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
