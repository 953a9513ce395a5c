/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chips together, and a PCI bus, as a guest reaches them: through ports
 * and memory, any address and size, with the EOIs and interrupt cycles that
 * a processor adds.
 */
#include <string.h>

#include "backend/chardev/chardev.h"
#include "base/mevent.h"
#include "base/vclock.h"
#include "chipset/chipset.h"
#include "fuzz.h"

#define ECAM 0xe0000000ull

static struct mevent_loop *loop;
static struct vclock *vc;

struct board {
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct chardev *com;
	struct chipset *cs;
	struct pci_bus *pci;
};

static void
on_extint(void *arg, bool level)
{
	(void)arg;
	(void)level;
}

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)addr;
	(void)data;
}

static void
on_end(void *arg)
{
	(void)arg;
}

/* A device with a BAR of each kind. */
static int
scratch_init(struct pci_dev *dev, void *conf)
{
	(void)conf;
	FUZZ_CHECK(pci_bar_add(dev, 0, PCI_BAR_IO, 8) == 0);
	FUZZ_CHECK(pci_bar_add(dev, 1, PCI_BAR_MEM32, 4096) == 0);
	FUZZ_CHECK(pci_bar_add(dev, 2, PCI_BAR_MEM64, 1ull << 30) == 0);
	FUZZ_CHECK(pci_intx_add(dev) == 0);
	FUZZ_CHECK(pci_msi_add(dev, 4, true) == 0);
	FUZZ_CHECK(pci_msix_add(dev, 70, 1, 0x400, 0xf00) == 0);
	FUZZ_CHECK(pci_pcie_add(dev, PCIE_INTEGRATED) > 0);
	return (0);
}

static void
scratch_read(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t *val)
{
	FUZZ_CHECK(bar < PCI_BARS);
	FUZZ_CHECK(off < pci_bar_size(dev, bar));
	FUZZ_CHECK(size <= pci_bar_size(dev, bar) - off);
	*val = off;
}

static void
scratch_write(struct pci_dev *dev, unsigned bar, uint64_t off, unsigned size,
    uint64_t val)
{
	uint64_t x;

	scratch_read(dev, bar, off, size, &x);
	pci_intx_set(dev, val & 1);
	pci_msi_raise(dev, (unsigned)val >> 1);
	pci_msix_raise(dev, (unsigned)val >> 1);
	(void)pci_dma_write(dev, val, &val, sizeof(val));
}

static const struct pci_device_ops scratch = {
    .name = "scratch",
    .vendor = 0x10dd,
    .device = 0xeeee,
    .class = 0xff,
    .init = scratch_init,
    .bar_read = scratch_read,
    .bar_write = scratch_write,
};

static void
add_func(struct board *b, uint16_t bdf, const struct pci_device_ops *ops)
{
	FUZZ_CHECK(pci_add(b->pci, bdf, ops, b->cs, NULL) == 0);
}

static void
setup(struct board *b)
{
	struct chipset_config cfg = {.wall_time = 1700000000,
	    .lowmem = 64 << 20,
	    .extint = on_extint,
	    .msi = on_msi,
	    .reset = on_end,
	    .poweroff = on_end};
	struct pci_config pc = {.ecam_base = ECAM,
	    .mem32_base = 0xc0000000u,
	    .mem32_limit = 0xe0000000u,
	    .mem64_base = 1ull << 40,
	    .mem64_limit = 1ull << 41};

	/* Nobody runs the loop: timers are armed and do not fire. */
	if (loop == NULL)
		FUZZ_CHECK(mevent_loop_create(&loop) == 0 &&
		    vclock_create(&vc, loop) == 0);
	FUZZ_CHECK(bus_space_create(&b->ports, "io", 0x10000) == 0);
	FUZZ_CHECK(bus_space_create(&b->mmio, "mem", 1ull << 52) == 0);
	FUZZ_CHECK(irq_lines_create(&b->irqs) == 0);
	FUZZ_CHECK(chardev_null_create(&b->com) == 0);
	cfg.vclock = vc;
	pc.ports = cfg.ports = b->ports;
	pc.mmio = cfg.mmio = b->mmio;
	pc.irqs = cfg.irqs = b->irqs;
	cfg.com[0] = b->com;
	FUZZ_CHECK(chipset_create(&b->cs, &cfg) == 0);
	pc.intx_irq = chipset_intx_irq;
	pc.arg = b->cs;
	FUZZ_CHECK(pci_bus_create(&b->pci, &pc) == 0);
	FUZZ_CHECK(pci_add(b->pci, 0, &pci_hostbridge, NULL, NULL) == 0);
	add_func(b, PCI_BDF(0, 31, 0), &pci_lpc);
	add_func(b, PCI_BDF(0, 3, 0), &scratch);
	add_func(b, PCI_BDF(0, 3, 1), &scratch);
}

static void
teardown(struct board *b)
{
	pci_bus_destroy(b->pci);
	chipset_destroy(b->cs);
	chardev_destroy(b->com);
	irq_lines_destroy(b->irqs);
	bus_space_destroy(b->ports);
	bus_space_destroy(b->mmio);
}

static uint64_t
any_mem(struct fuzz_in *in, uint8_t op)
{
	uint64_t off = fuzz_take(in, 2);

	switch (op >> 4 & 7) {
	case 0:
	case 1:
		return (CHIPSET_HPET_BASE + (off & 0x3ff));
	case 2:
		return (CHIPSET_IOAPIC_BASE + (off & 0x1f));
	case 3:
		return (ECAM + (3u << 15) + (off & 0x1fff));
	case 4:
		return (ECAM + fuzz_u32(in) % (256u << 20));
	case 5:
		return (0xc0000000u + off);
	case 6:
		return (off * 0x10000001u);
	default:
		return (fuzz_u64(in));
	}
}

static uint64_t
any_port(struct fuzz_in *in, uint8_t op)
{
	static const uint16_t bases[] = { 0x20, 0xa0, 0x40, 0x60, 0x70, 0x3f8,
		0x400, 0xcf8, 0xcfc, 0x4d0, 0x92, 0xb2, 0x80, 0xfffc };

	if (op & 0x10)
		return (fuzz_take(in, 2));
	return (bases[(op >> 4) % 14] + (fuzz_u8(in) & 7));
}

static void
step(struct board *b, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	unsigned size = 1u << (op >> 2 & 3);
	uint64_t addr, val = 0, got;
	int vec;

	switch (op & 3) {
	case 0:
		if (size == 8) {
			/* What happens between accesses. */
			vec = chipset_intr_ack(b->cs);
			FUZZ_CHECK(vec >= -1 && vec <= 255);
			chipset_eoi(b->cs, fuzz_u8(in), vec & 1);
			if (op == 0xfc)
				chipset_reset(b->cs);
			if (op == 0xec)
				pci_bus_reset(b->pci);
			if (op == 0xdc)
				(void)chipset_power_button(b->cs);
			break;
		}
		/* A configuration address that names somebody. */
		if (op & 0x80)
			(void)bus_write(b->ports, 0xcf8, 4,
			    0x80000000u | (op & 0x40 ? 3u << 11 : 0) |
				(uint32_t)fuzz_u8(in));
		else
			(void)bus_read(b->ports, any_port(in, op), size, &val);
		break;
	case 1:
		if (size == 8)
			size = 4;
		(void)bus_write(b->ports, any_port(in, op), size, fuzz_u32(in));
		break;
	case 2:
		addr = any_mem(in, op);
		got = 0;
		(void)bus_read(b->mmio, addr, size, &got);
		FUZZ_CHECK(size == 8 || got >> (8 * size) == 0);
		break;
	default:
		addr = any_mem(in, op);
		(void)bus_write(b->mmio, addr, size,
		    size == 8 ? fuzz_u64(in) : fuzz_u32(in));
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct board b;
	FILE *f;

	memset(&b, 0, sizeof(b));
	setup(&b);
	while (in.left > 0)
		step(&b, &in);
	if (size > 0 && data[0] == 0x55) {
		f = fopen("/dev/null", "w");
		if (f != NULL) {
			chipset_dump(b.cs, f);
			pci_dump(b.pci, f);
			bus_dump(b.mmio, f);
			(void)fclose(f);
		}
	}
	teardown(&b);
	return (0);
}
