/* SPDX-License-Identifier: BSD-2-Clause */
/* The board as the machine sees it: ports in, interrupts out. */
#include <pthread.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/chardev/chardev.h"
#include "base/mevent.h"
#include "base/vclock.h"
#include "chipset/chipset.h"

#define IOAPIC 0xfec00000ull
#define HPET   0xfed00000ull

struct board {
	struct mevent_loop *loop;
	struct vclock *vc;
	struct bus_space *ports, *mmio;
	struct irq_lines *irqs;
	struct chardev *com;
	struct chipset *cs;
	pthread_t thread;
	atomic_bool extint;
	atomic_uint msis, resets, poweroffs, wanted;
	atomic_int a20; /* as told last; -1: never */
	_Atomic uint64_t msi_addr;
	atomic_uint msi_data;
};

static void
on_extint(void *arg, bool level)
{
	atomic_store(&((struct board *)arg)->extint, level);
}

static void
on_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct board *b = arg;

	b->msi_addr = addr;
	b->msi_data = data;
	atomic_fetch_add(&b->msis, 1);
}

static void
on_want_eoi(void *arg, uint64_t addr, uint32_t data)
{
	struct board *b = arg;

	if (addr == 0xfee00000 && (data & 0xff) == 0x30)
		atomic_fetch_add(&b->wanted, 1);
}

static void
on_reset(void *arg)
{
	atomic_fetch_add(&((struct board *)arg)->resets, 1);
}

static void
on_a20(void *arg, bool open)
{
	atomic_store(&((struct board *)arg)->a20, open);
}

static void
on_poweroff(void *arg)
{
	atomic_fetch_add(&((struct board *)arg)->poweroffs, 1);
}

static void *
run(void *arg)
{
	return ((void *)(intptr_t)mevent_run(arg));
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct chipset_config cfg = {.wall_time = 1700000000,
	    .lowmem = 64 << 20,
	    .arg = b,
	    .extint = on_extint,
	    .msi = on_msi,
	    .want_eoi = on_want_eoi,
	    .a20 = on_a20,
	    .reset = on_reset,
	    .poweroff = on_poweroff};

	assert_int_equal(mevent_loop_create(&b->loop), 0);
	assert_int_equal(vclock_create(&b->vc, b->loop), 0);
	assert_int_equal(bus_space_create(&b->ports, "io", 0x10000), 0);
	assert_int_equal(bus_space_create(&b->mmio, "mem", 1ull << 52), 0);
	assert_int_equal(irq_lines_create(&b->irqs), 0);
	assert_int_equal(chardev_null_create(&b->com), 0);
	cfg.vclock = b->vc;
	cfg.ports = b->ports;
	cfg.mmio = b->mmio;
	cfg.irqs = b->irqs;
	cfg.com[0] = b->com;
	assert_int_equal(chipset_create(&b->cs, &cfg), 0);
	pthread_create(&b->thread, NULL, run, b->loop);
	*state = b;
	return (0);
}

static int
teardown(void **state)
{
	struct board *b = *state;

	mevent_stop(b->loop);
	pthread_join(b->thread, NULL);
	chipset_destroy(b->cs);
	chardev_destroy(b->com);
	irq_lines_destroy(b->irqs);
	bus_space_destroy(b->ports);
	bus_space_destroy(b->mmio);
	vclock_destroy(b->vc);
	mevent_loop_destroy(b->loop);
	free(b);
	return (0);
}

static void
out(struct board *b, uint16_t port, unsigned val)
{
	assert_int_equal(bus_write(b->ports, port, 1, val), 0);
}

static unsigned
in(struct board *b, uint16_t port)
{
	uint64_t val;

	assert_int_equal(bus_read(b->ports, port, 1, &val), 0);
	return ((unsigned)val);
}

static void
init_pic(struct board *b)
{
	static const uint16_t base[] = {0x20, 0xa0};
	unsigned i;

	for (i = 0; i < 2; i++) {
		out(b, base[i], 0x11);
		out(b, (uint16_t)(base[i] + 1), 0x20 + i * 8);
		out(b, (uint16_t)(base[i] + 1), i ? 2 : 4);
		out(b, (uint16_t)(base[i] + 1), 1);
	}
}

static void
wait_extint(struct board *b)
{
	int i;

	for (i = 0; i < 20000 && !b->extint; i++)
		usleep(100);
	assert_true(b->extint);
}

static void
test_pit_pic(void **state)
{
	struct board *b = *state;
	int i;

	init_pic(b);
	out(b, 0x43, 0x34);
	out(b, 0x40, 0x9c); /* 11932: 100 Hz */
	out(b, 0x40, 0x2e);
	for (i = 0; i < 3; i++) {
		wait_extint(b);
		assert_int_equal(chipset_intr_ack(b->cs), 0x20);
		assert_false(b->extint);
		assert_int_equal(chipset_intr_ack(b->cs), -1);
		out(b, 0x20, 0x20);
	}
	/* A word to a byte port is two bytes; odd sizes hurt nobody. */
	assert_int_equal(bus_write(b->ports, 0x40, 4, 0), 0);
}

/* Late ticks, one for each acknowledgement, by either controller. */
static void
late_ticks(struct board *b, atomic_uint *given, void (*ack)(struct board *))
{
	unsigned i, n, extra;

	for (i = 0; i < 60000 && atomic_load(given) < 5; i++)
		usleep(1000);
	assert_true(atomic_load(given) >= 5);
	/* Let what is under way end, then nothing new comes. */
	vclock_pause(b->vc);
	usleep(20000);
	for (extra = 0; extra < 1000; extra++) {
		n = atomic_load(given);
		ack(b);
		if (atomic_load(given) == n)
			break;
		assert_int_equal(atomic_load(given), n + 1);
	}
	/* Each of the five and more but the one that was acknowledged first
	 * was owed. */
	assert_in_range(extra, 4, 999);
	ack(b);
	assert_int_equal(atomic_load(given), n);
	vclock_resume(b->vc);
}

static void
ack_ioapic(struct board *b)
{
	chipset_eoi(b->cs, 0x30, false);
}

static void
ack_other(struct board *b)
{
	chipset_eoi(b->cs, 0x31, false);
}

static void
test_late_pit(void **state)
{
	struct board *b = *state;
	unsigned n;

	bus_write(b->mmio, IOAPIC, 4, 0x14);
	bus_write(b->mmio, IOAPIC + 0x10, 4, 0x30);
	out(b, 0x43, 0x34);
	out(b, 0x40, 0xa9); /* 1193: 1 kHz */
	out(b, 0x40, 0x04);
	late_ticks(b, &b->msis, ack_ioapic);
	/* Another vector is nothing to it, a masked pin forgets. */
	for (n = 0; n < 60000 && b->msis < 1100; n++)
		usleep(1000);
	vclock_pause(b->vc);
	usleep(20000);
	n = b->msis;
	ack_other(b);
	assert_int_equal(b->msis, n);
	/* An engine that has to be asked for EOIs is, before each. */
	assert_int_equal(b->wanted, n);
}

/* The same by a timer of the HPET that sends messages. */
static void
test_late_hpet(void **state)
{
	struct board *b = *state;

	bus_write(b->mmio, HPET + 0x130, 4, 0x30);
	bus_write(b->mmio, HPET + 0x134, 4, 0xfee00000);
	bus_write(b->mmio, HPET + 0x120, 4, 0x404c);
	bus_write(b->mmio, HPET + 0x128, 4, 10000);
	bus_write(b->mmio, HPET + 0x128, 4, 10000); /* 1 kHz */
	bus_write(b->mmio, HPET + 0x10, 4, 1);
	late_ticks(b, &b->msis, ack_ioapic);
	assert_int_equal(b->wanted, b->msis);
}

/* And by the PIC: INTA is the acknowledgement. */
static void
test_late_pic(void **state)
{
	struct board *b = *state;
	unsigned i, n;

	init_pic(b);
	out(b, 0x43, 0x34);
	out(b, 0x40, 0xa9);
	out(b, 0x40, 0x04);
	wait_extint(b);
	usleep(20000);
	vclock_pause(b->vc);
	usleep(20000);
	for (n = 0; n < 1100 && b->extint; n++) {
		assert_int_equal(chipset_intr_ack(b->cs), 0x20);
		out(b, 0x20, 0x20);
	}
	assert_in_range(n, 15, 1001);
	/* Masked at both controllers: nobody counts. */
	out(b, 0x21, 0x01);
	vclock_resume(b->vc);
	usleep(400000);
	/* The chip looks at the clock, should the loop have been away. */
	out(b, 0x43, 0x00);
	vclock_pause(b->vc);
	usleep(20000);
	out(b, 0x21, 0x00);
	for (i = 0; i < 10 && b->extint; i++) {
		(void)chipset_intr_ack(b->cs);
		out(b, 0x20, 0x20);
	}
	assert_in_range(i, 1, 3); /* the latch, and what was under way */
	/* A poll of the PIC and a PIT without work are no trouble. */
	assert_int_equal(chipset_intr_ack(b->cs), -1);
}

static void
test_uart_irq(void **state)
{
	struct board *b = *state;
	uint64_t val;

	init_pic(b);
	out(b, 0x3f9, 0x02); /* THRE */
	assert_true(b->extint);
	assert_int_equal(chipset_intr_ack(b->cs), 0x24);
	assert_int_equal(in(b, 0x3fa), 0x02);
	out(b, 0x20, 0x20);
	assert_false(b->extint);
	assert_int_equal(bus_read(b->ports, 0x2f8, 1, &val), -2);
}

static void
test_ioapic_hpet(void **state)
{
	struct board *b = *state;
	uint64_t val;
	int i;

	/* Legacy replacement: HPET timer 0 on pin 2, and the PIT silent. */
	bus_write(b->mmio, IOAPIC, 4, 0x14);
	bus_write(b->mmio, IOAPIC + 0x10, 4, 0x30);
	out(b, 0x43, 0x34);
	bus_write(b->mmio, HPET + 0x10, 8, 3);
	out(b, 0x40, 0x10);
	out(b, 0x40, 0x10);
	usleep(20000);
	assert_int_equal(b->msis, 0);
	bus_write(b->mmio, HPET + 0x100, 8, 0x4);
	bus_read(b->mmio, HPET + 0xf0, 4, &val);
	bus_write(b->mmio, HPET + 0x108, 4, val + 10000); /* 1 ms */
	for (i = 0; i < 20000 && b->msis == 0; i++)
		usleep(100);
	assert_int_equal(b->msis, 1);
	assert_int_equal(b->wanted, 1);
	assert_true(b->msi_addr == 0xfee00000);
	assert_int_equal(b->msi_data, 0x4030);
	bus_read(b->mmio, HPET, 8, &val);
	assert_true(val == 0x05f5e10080868701ull);
}

static void
cmos(struct board *b, unsigned reg, unsigned val)
{
	out(b, 0x70, reg);
	out(b, 0x71, val);
}

/* An alarm is ACPI's fixed event, too, whoever has IRQ8. */
static void
test_alarm(void **state)
{
	struct board *b = *state;
	uint64_t val;
	int i;

	bus_write(b->mmio, HPET + 0x10, 8, 3); /* legacy replacement */
	out(b, 0xb2, 0xa0);
	bus_write(b->ports, 0x402, 2, 0x400);
	bus_write(b->mmio, IOAPIC, 4, 0x22);
	bus_write(b->mmio, IOAPIC + 0x10, 4, 0x8049);
	for (i = 1; i <= 5; i += 2)
		cmos(b, (unsigned)i, 0xff); /* each second */
	cmos(b, 0x0b, 0x22);
	for (i = 0; i < 60000 && b->msis == 0; i++)
		usleep(1000);
	assert_int_equal(b->msis, 1);
	assert_int_equal(b->msi_data, 0xc049);
	bus_read(b->ports, 0x400, 2, &val);
	assert_int_equal(val & 0x400, 0x400);
	assert_false(irq_level(b->irqs, 8));
	/* Once an alarm. */
	bus_write(b->ports, 0x400, 2, 0x400);
	assert_false(irq_level(b->irqs, 9));
	usleep(20000);
	assert_false(irq_level(b->irqs, 9));
}

static void
test_power(void **state)
{
	struct board *b = *state;
	uint64_t val;

	assert_false(chipset_power_button(b->cs));
	out(b, 0xb2, 0xa0);
	bus_write(b->ports, 0x402, 2, 0x100);
	/* SCI: pin 9, level. */
	bus_write(b->mmio, IOAPIC, 4, 0x22);
	bus_write(b->mmio, IOAPIC + 0x10, 4, 0x8049);
	assert_true(chipset_power_button(b->cs));
	assert_int_equal(b->msis, 1);
	assert_int_equal(b->msi_data, 0xc049);
	assert_int_equal(b->wanted, 0);
	/* An edge of the same vector is none of it. */
	chipset_eoi(b->cs, 0x49, false);
	assert_int_equal(b->msis, 1);
	chipset_eoi(b->cs, 0x49, true);
	assert_int_equal(b->msis, 2); /* still asserted */
	bus_write(b->ports, 0x400, 2, 0x100);
	chipset_eoi(b->cs, 0x49, true);
	assert_int_equal(b->msis, 2);
	bus_write(b->ports, 0x404, 2, 0x3401);
	assert_int_equal(b->poweroffs, 1);
	/* The three ways to reset. */
	out(b, 0xcf9, 0x02);
	assert_int_equal(b->resets, 0);
	out(b, 0xcf9, 0x06);
	assert_int_equal(in(b, 0xcf9), 0x06);
	out(b, 0x64, 0xfe);
	out(b, 0x92, 0x03);
	assert_int_equal(b->resets, 3);
	assert_int_equal(in(b, 0x84), 0xff);
	out(b, 0x80, 0x42);
	assert_int_equal(bus_read(b->ports, 0x408, 4, &val), 0);
	assert_true(val < 3579545u * 60u);
}

/* Port 92 and the keyboard controller: open if either says so. */
static void
test_a20(void **state)
{
	struct board *b = *state;

	atomic_store(&b->a20, -1);
	assert_int_equal(in(b, 0x92) & 2, 2);
	out(b, 0x92, 0x02);
	assert_int_equal(b->a20, -1);
	out(b, 0x92, 0);
	assert_int_equal(b->a20, 1);
	out(b, 0x64, 0xd1);
	out(b, 0x60, 0xdd);
	assert_int_equal(b->a20, 0);
	out(b, 0x92, 2);
	assert_int_equal(b->a20, 1);
	out(b, 0x92, 0);
	assert_int_equal(b->a20, 0);
	out(b, 0x64, 0xdf);
	assert_int_equal(b->a20, 1);
	out(b, 0x64, 0xdd);
	assert_int_equal(b->a20, 0);
	chipset_reset(b->cs);
	assert_int_equal(b->a20, 1);
	assert_int_equal(in(b, 0x92) & 2, 2);
}

/* Random accesses, every size, every port and register: nothing may
 * happen but answers. */
static void
test_noise(void **state)
{
	struct board *b = *state;
	uint64_t x = 88172645463325252ull, val, addr;
	unsigned i, size;

	for (i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		size = 1u << (x >> 8 & 3);
		if (x & 1) {
			addr =
			    (x >> 16 & 1 ? HPET : IOAPIC) + (x >> 17 & 0x3ff);
			if (x & 2)
				bus_write(b->mmio, addr, size, x >> 32);
			else
				bus_read(b->mmio, addr, size, &val);
			continue;
		}
		addr = x >> 16 & 0x4ff;
		size = size > 4 ? 4 : size;
		if (x & 2)
			bus_write(b->ports, addr, size, x >> 32);
		else
			bus_read(b->ports, addr, size, &val);
		if (x & 4)
			chipset_eoi(
			    b->cs, (uint8_t)(x >> 40), (x & 16) != 0);
		if (x & 8)
			chipset_intr_ack(b->cs);
	}
	chipset_reset(b->cs);
	assert_false(b->extint);
}

/* A function with a pin. */
static int
pin_init(struct pci_dev *dev, void *conf)
{
	(void)conf;
	return (pci_intx_add(dev));
}

static const struct pci_device_ops pin_ops = {
    .name = "pin",
    .vendor = 0x10dd,
    .device = 0x0004,
    .init = pin_init,
};

static uint32_t
lpc_get(struct board *b, unsigned off)
{
	uint64_t val;

	bus_write(b->ports, 0xcf8, 4, 0x8000f800 | (off & 0xfc));
	bus_read(b->ports, 0xcfc + (off & 3), 1, &val);
	return ((uint32_t)val);
}

static void
lpc_put(struct board *b, unsigned off, unsigned size, uint32_t val)
{
	bus_write(b->ports, 0xcf8, 4, 0x8000f800 | (off & 0xfc));
	bus_write(b->ports, 0xcfc + (off & 3), size, val);
}

static uint64_t
port(struct board *b, uint16_t num)
{
	uint64_t val;

	bus_read(b->ports, num, 1, &val);
	return (val);
}

static void
test_pci(void **state)
{
	struct board *b = *state;
	struct pci_config cfg = {.ports = b->ports,
	    .mmio = b->mmio,
	    .irqs = b->irqs,
	    .intx_irq = chipset_intx_irq,
	    .arg = b->cs};
	struct pci_dev *dev;
	struct pci_bus *bus;
	uint64_t val;

	assert_int_equal(pci_bus_create(&bus, &cfg), 0);
	assert_ptr_equal(
	    pci_find(chipset_pci_devices, "hostbridge"), &pci_hostbridge);
	assert_null(pci_find(chipset_pci_devices, "host"));
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 0, 0), &pci_hostbridge, NULL, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 31, 0), &pci_lpc, NULL, NULL), -EINVAL);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 31, 0), &pci_lpc, b->cs, NULL), 0);
	bus_write(b->ports, 0xcf8, 4, 0x8000f808);
	bus_read(b->ports, 0xcfc, 4, &val);
	assert_true(val == 0x06010000);
	/* Nothing routed until somebody has a pin; then its IRQ is level. */
	assert_int_equal(lpc_get(b, 0x60), 0x80);
	assert_int_equal(lpc_get(b, 0x6b), 0x80);
	assert_int_equal(port(b, 0x4d0), 0);
	assert_int_equal(port(b, 0x4d1), 2); /* the SCI */
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 3, 0), &pin_ops, NULL, &dev), 0);
	/* Slot 3, INTA#: PIRQA#; the first IRQ that nobody has is 3, COM2
	 * not being there. */
	assert_int_equal(pci_cfg_get(dev, PCIR_INTLINE, 2), 0x0103);
	assert_int_equal(lpc_get(b, 0x60), 3);
	assert_int_equal(port(b, 0x4d0), 8);
	lpc_put(b, 0x60, 4, 0x0b7b8080);
	assert_int_equal(lpc_get(b, 0x60), 0x80);
	assert_int_equal(lpc_get(b, 0x62), 0x0b);
	assert_int_equal(lpc_get(b, 0x63), 0x0b);
	lpc_put(b, 0x68, 1, 0xff);
	assert_int_equal(lpc_get(b, 0x68), 0x8f);
	/* The registers around them are nothing. */
	lpc_put(b, 0x64, 4, 0xffffffff);
	assert_int_equal(lpc_get(b, 0x64), 0);
	chipset_reset(b->cs);
	assert_int_equal(lpc_get(b, 0x60), 3);
	assert_int_equal(lpc_get(b, 0x62), 0x80);
	assert_int_equal(port(b, 0x4d0), 8);
	pci_bus_destroy(bus);
}

/* From a pin through PIRQA# to the PIC, and past it to the IOAPIC. */
static void
test_intx(void **state)
{
	struct board *b = *state;
	struct pci_config cfg = {.ports = b->ports,
	    .mmio = b->mmio,
	    .irqs = b->irqs,
	    .intx_irq = chipset_intx_irq,
	    .arg = b->cs};
	struct pci_dev *dev;
	struct pci_bus *bus;

	assert_int_equal(pci_bus_create(&bus, &cfg), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 31, 0), &pci_lpc, b->cs, NULL), 0);
	assert_int_equal(
	    pci_add(bus, PCI_BDF(0, 3, 0), &pin_ops, NULL, &dev), 0);
	lpc_put(b, 0x60, 1, 5);
	bus_write(b->ports, 0x4d0, 1, 0x20);
	pci_intx_set(dev, true);
	bus_write(b->ports, 0x20, 1, 0x0a);
	assert_int_equal(port(b, 0x20), 0x20);
	/* ISA's own IRQ5 shares the input. */
	irq_set(b->irqs, 5, 1);
	pci_intx_set(dev, false);
	assert_int_equal(port(b, 0x20), 0x20);
	irq_set(b->irqs, 5, -1);
	assert_int_equal(port(b, 0x20), 0);
	/* Rerouted while it is high, and off; IRQ8 is not for it. */
	pci_intx_set(dev, true);
	bus_write(b->ports, 0x4d1, 1, 0x0e);
	lpc_put(b, 0x60, 1, 0x0a);
	assert_int_equal(port(b, 0x20), 0);
	bus_write(b->ports, 0xa0, 1, 0x0a);
	assert_int_equal(port(b, 0xa0), 4);
	lpc_put(b, 0x60, 1, 0x08);
	assert_int_equal(port(b, 0xa0), 0);
	lpc_put(b, 0x60, 1, 0x8a);
	assert_int_equal(port(b, 0xa0), 0);
	/* The IOAPIC's pin 16 has it all the time; ISA pins do not. */
	assert_true(irq_level(b->irqs, 16));
	lpc_put(b, 0x60, 1, 0x0a);
	assert_false(irq_level(b->irqs, 10));
	pci_bus_destroy(bus);
	assert_int_equal(port(b, 0xa0), 0);
}

static void
test_dump(void **state)
{
	struct board *b = *state;
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	chipset_dump(b->cs, f);
	fclose(f);
	assert_non_null(strstr(buf, "pic.imr = 0000\n"));
	assert_non_null(strstr(buf, "uart.dll = 0c\n"));
	free(buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	    TEST(test_pit_pic),
	    TEST(test_uart_irq),
	    TEST(test_ioapic_hpet),
	    TEST(test_late_pit),
	    TEST(test_late_hpet),
	    TEST(test_late_pic),
	    TEST(test_alarm),
	    TEST(test_power),
	    TEST(test_a20),
	    TEST(test_noise),
	    TEST(test_pci),
	    TEST(test_intx),
	    TEST(test_dump),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
