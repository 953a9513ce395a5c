/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections are those of the MultiProcessor Specification, version 1.4. */
#include "firmware/mptable.h"

#include <errno.h>
#include <string.h>

#include "firmware/le.h"
#include "gmem/gmem.h"

#define POINTER_SIZE 16u
#define HEADER_SIZE  44u
#define LAPIC_BASE   0xfee00000u
#define IOAPIC_VER   0x11u

/* Numbers of the buses, 4.3.2. */
enum { BUS_PCI = 0, BUS_ISA = 1 };
/* Kinds of entries, table 4-3. */
enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTR, ENTRY_LOCAL };
/* Kinds of interrupts, table 4-10, and their polarity and trigger. */
enum { INTR_INT = 0, INTR_NMI = 1, INTR_EXTINT = 3 };
#define MPS_CONFORMS  0x0u
#define MPS_LEVEL_LOW 0xfu

struct builder {
	uint8_t *buf;
	size_t len;
	uint16_t count;
	int error;
	uint8_t nowhere[20]; /* an entry that has no room */
};

static uint8_t
checksum(const uint8_t *p, size_t len)
{
	unsigned sum = 0;

	while (len-- > 0)
		sum += *p++;
	return ((uint8_t)(0u - sum));
}

static uint8_t *
entry(struct builder *b, uint8_t type)
{
	size_t len = type == ENTRY_CPU ? 20 : 8;
	uint8_t *p = b->buf + b->len;

	if (len > MPTABLE_SIZE - b->len) {
		b->error = -ENOSPC;
		return (b->nowhere);
	}
	b->len += len;
	b->count++;
	p[0] = type;
	return (p);
}

/* 4.3.4 and 4.3.5 have the same form. */
static void
interrupt(struct builder *b, uint8_t entry_type, uint8_t type, uint16_t flags,
    uint8_t bus, uint8_t irq, uint8_t apic, uint8_t pin)
{
	uint8_t *p = entry(b, entry_type);

	p[1] = type;
	le16_put(p + 2, flags);
	p[4] = bus;
	p[5] = irq;
	p[6] = apic;
	p[7] = pin;
}

/* 4.3.1 */
static void
add_cpus(struct builder *b, const struct mptable_config *cfg)
{
	uint32_t id;
	unsigned i;
	uint8_t *p;

	for (i = 0; i < cfg->ncpus && b->error == 0; i++) {
		id = cfg->apic_id != NULL ? cfg->apic_id(cfg->apic_id_arg, i) :
					    i;
		if (id >= 0xff)
			continue;
		p = entry(b, ENTRY_CPU);
		p[1] = (uint8_t)id;
		p[2] = (uint8_t)cfg->lapic_version;
		p[3] = i == 0 ? 0x03 : 0x01; /* enabled; the first one boots */
		le32_put(p + 4, cfg->cpu_signature);
		le32_put(p + 8, cfg->cpu_features);
	}
}

/* 4.3.2 to 4.3.5. The IOAPIC has the number 0, as in the ACPI tables. */
static void
add_board(struct builder *b, const struct mptable_config *cfg)
{
	uint8_t *p;
	uint8_t irq;
	size_t i;

	p = entry(b, ENTRY_BUS);
	p[1] = BUS_PCI;
	memcpy(p + 2, "PCI   ", 6);
	p = entry(b, ENTRY_BUS);
	p[1] = BUS_ISA;
	memcpy(p + 2, "ISA   ", 6);
	p = entry(b, ENTRY_IOAPIC);
	p[2] = IOAPIC_VER;
	p[3] = 0x01; /* enabled */
	le32_put(p + 4, cfg->ioapic_base);

	/* The PIC on pin 0, the timer on pin 2, the others as on the PIC. */
	interrupt(b, ENTRY_INTR, INTR_EXTINT, MPS_CONFORMS, BUS_ISA, 0, 0, 0);
	for (irq = 0; irq < 16; irq++)
		if (irq != 2)
			interrupt(b, ENTRY_INTR, INTR_INT,
			    irq == cfg->sci_irq ? MPS_LEVEL_LOW : MPS_CONFORMS,
			    BUS_ISA, irq, 0, irq == 0 ? 2 : irq);
	/* Table 4-11, "source bus IRQ" of PCI: device and pin. */
	for (i = 0; i < cfg->nprt && b->error == 0; i++)
		interrupt(b, ENTRY_INTR, INTR_INT, MPS_CONFORMS, BUS_PCI,
		    (uint8_t)(cfg->prt[i].slot << 2 | cfg->prt[i].pin), 0,
		    (uint8_t)cfg->prt[i].gsi);
	/* LINT0 and LINT1 of all processors. */
	interrupt(
	    b, ENTRY_LOCAL, INTR_EXTINT, MPS_CONFORMS, BUS_ISA, 0, 0xff, 0);
	interrupt(b, ENTRY_LOCAL, INTR_NMI, MPS_CONFORMS, BUS_ISA, 0, 0xff, 1);
}

int
mptable_build(const struct mptable_config *cfg, uint8_t buf[MPTABLE_SIZE])
{
	struct builder b = {.buf = buf, .len = POINTER_SIZE + HEADER_SIZE};
	uint8_t *h = buf + POINTER_SIZE;

	memset(buf, 0, MPTABLE_SIZE);
	add_cpus(&b, cfg);
	add_board(&b, cfg);
	if (b.error != 0)
		return (b.error);

	/* 4.2 */
	memcpy(h, "PCMP", 4);
	le16_put(h + 4, (uint16_t)(b.len - POINTER_SIZE));
	h[6] = 4; /* 1.4 */
	memcpy(h + 8, "BHyVe   ", 8);
	memcpy(h + 16, "Hypervisor  ", 12);
	le16_put(h + 34, b.count);
	le32_put(h + 36, LAPIC_BASE);
	h[7] = checksum(h, b.len - POINTER_SIZE);

	/* 4.1; the mode at the start is virtual wire. */
	memcpy(buf, "_MP_", 4);
	le32_put(buf + 4, MPTABLE_BASE + POINTER_SIZE);
	buf[8] = 1; /* in units of 16 bytes */
	buf[9] = 4;
	buf[10] = checksum(buf, POINTER_SIZE);
	return ((int)b.len);
}

int
mptable_install(struct gmem *gm, const struct mptable_config *cfg)
{
	uint8_t buf[MPTABLE_SIZE];
	int n;

	n = mptable_build(cfg, buf);
	return (n < 0 ? n : gmem_write(gm, MPTABLE_BASE, buf, (size_t)n));
}
