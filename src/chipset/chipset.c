/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "chipset/chipset.h"
#include "chipset/debug.h"
#include "chipset/fwcfg.h"
#include "chipset/hpet.h"
#include "chipset/i8042.h"
#include "chipset/ioapic.h"
#include "chipset/pic.h"
#include "chipset/pirq.h"
#include "chipset/pit.h"
#include "chipset/pm.h"
#include "chipset/rtc.h"
#include "chipset/uart.h"

struct chipset {
	struct chipset_config cfg;
	struct pic_dev *pic;
	struct pirq_dev *pirq;
	struct ioapic_dev *ioapic;
	struct pit_dev *pit;
	struct rtc_dev *rtc;
	struct hpet_dev *hpet;
	struct pm_dev *pm;
	struct reset_dev *reset;
	struct i8042_dev *i8042;
	struct uart_dev *uart[CHIPSET_UARTS];
	struct fwcfg_dev *fwcfg;
	struct bvm_dev *bvmcons, *dbgport;
	struct pctest_dev *pctest;
	struct exit_dev *debug_exit;
	struct bootvars_dev *vars;
	atomic_bool hpet_legacy; /* the HPET has IRQ0 and IRQ8 */
};

static void
chipset_irq0(void *arg)
{
	struct chipset *cs = arg;

	if (!atomic_load(&cs->hpet_legacy))
		irq_pulse(cs->cfg.irqs, 0);
}

static void
chipset_alarm(void *arg)
{
	struct chipset *cs = arg;

	/* None of the guest's before all chips are there. */
	if (cs->pm != NULL)
		pm_dev_rtc(cs->pm);
}

/* Whether an edge on a line would reach a processor now. */
static bool
chipset_heard(void *arg, unsigned line)
{
	struct chipset *cs = arg;

	return (pic_dev_hears(cs->pic, line) ||
		ioapic_dev_hears(cs->ioapic, line == 0 ? 2 : line));
}

static bool
chipset_irq0_heard(void *arg)
{
	struct chipset *cs = arg;

	return (!atomic_load(&cs->hpet_legacy) && chipset_heard(cs, 0));
}

/* Edges on these lines, or a message of that vector, were acknowledged. */
static void
chipset_acked(struct chipset *cs, uint32_t lines, int vector)
{
	if ((lines & 1) && !atomic_load(&cs->hpet_legacy))
		pit_dev_ack(cs->pit);
	hpet_dev_ack(cs->hpet, lines, vector);
}

static void
chipset_hpet_legacy(void *arg, bool on)
{
	struct chipset *cs = arg;

	atomic_store(&cs->hpet_legacy, on);
	rtc_dev_mute(cs->rtc, on);
}

/*
 * Address line 20 is open if either says so (Intel ICH9 datasheet, PORT92:
 * ALT_A20_GATE is ORed with A20GATE). Two processors may turn it at once: who
 * comes last looks again, so that the last state is told last.
 */
static void
chipset_a20(void *arg)
{
	struct chipset *cs = arg;
	bool open;

	if (cs->cfg.a20 == NULL)
		return;
	do {
		open = reset_dev_a20(cs->reset) || i8042_dev_a20(cs->i8042);
		cs->cfg.a20(cs->cfg.arg, open);
	} while (open !=
		 (reset_dev_a20(cs->reset) || i8042_dev_a20(cs->i8042)));
}

/* ISA interrupts reach both controllers, the others the IOAPIC, eight of them
 * the PIRQ router too; IRQ0 is the IOAPIC's pin 2, the PIC's cascade being
 * nobody's. */
static int
chipset_connect(struct chipset *cs)
{
	unsigned line;
	int error = 0;

	for (line = 0; line < IRQ_LINES && error == 0; line++) {
		if (line == 2)
			continue;
		if (line < 16)
			error = irq_connect(
			    cs->cfg.irqs, line, pic_dev_set_pin, cs->pic, line);
		if (line >= 16 && line < 16 + PIRQ_LINES)
			error = irq_connect(cs->cfg.irqs, line,
			    pirq_dev_set_line, cs->pirq, line - 16);
		if (error == 0)
			error =
			    irq_connect(cs->cfg.irqs, line, ioapic_dev_set_pin,
				cs->ioapic, line == 0 ? 2 : line);
	}
	return (error);
}

/* What a firmware does with the board's own interrupts. */
static void
chipset_route(struct chipset *cs)
{
	pic_dev_level(cs->pic, CHIPSET_SCI_IRQ);
	pirq_dev_reserve(cs->pirq, CHIPSET_SCI_IRQ);
	pirq_dev_reserve(cs->pirq, 12); /* mouse */
	if (cs->cfg.com[0] != NULL || cs->cfg.com[2] != NULL)
		pirq_dev_reserve(cs->pirq, 4);
	if (cs->cfg.com[1] != NULL || cs->cfg.com[3] != NULL)
		pirq_dev_reserve(cs->pirq, 3);
}

static int
chipset_create_uarts(struct chipset *cs)
{
	static const struct {
		const char *name;
		uint16_t base;
		uint8_t irq;
	} com[CHIPSET_UARTS] = {
	    {"com1", 0x3f8, 4},
	    {"com2", 0x2f8, 3},
	    {"com3", 0x3e8, 4},
	    {"com4", 0x2e8, 3},
	};
	unsigned i;
	int error = 0;

	for (i = 0; i < CHIPSET_UARTS && error == 0; i++)
		if (cs->cfg.com[i] != NULL)
			error = uart_dev_create(&cs->uart[i], com[i].name,
			    cs->cfg.ports, com[i].base, cs->cfg.irqs,
			    com[i].irq, cs->cfg.com[i]);
	return (error);
}

static int
chipset_create_debug(struct chipset *cs)
{
	const struct chipset_config *cfg = &cs->cfg;
	int error = 0;

	if (cfg->bvmcons != NULL)
		error = bvm_dev_create(&cs->bvmcons, "bvmcons", cfg->ports,
		    BVMCONS_PORT, BVMCONS_SIG, cfg->bvmcons);
	if (error == 0 && cfg->dbgport != NULL)
		error = bvm_dev_create(&cs->dbgport, "dbgport", cfg->ports,
		    DBGPORT_PORT, DBGPORT_SIG, cfg->dbgport);
	if (error == 0 && cfg->pc_testdev)
		error = pctest_dev_create(&cs->pctest, cfg->ports, cfg->mmio,
		    cfg->irqs, cfg->end, cfg->arg);
	if (error == 0 && cfg->debug_exit != 0)
		error = exit_dev_create(&cs->debug_exit, cfg->ports,
		    cfg->debug_exit, cfg->end, cfg->arg);
	return (error);
}

int
chipset_create(struct chipset **out, const struct chipset_config *cfg)
{
	struct msi_sink msi = {cfg->msi, cfg->arg, cfg->want_eoi};
	struct chipset *cs;
	int error;

	cs = calloc(1, sizeof(*cs));
	if (cs == NULL) {
		fwcfg_destroy(cfg->fwcfg);
		return (-ENOMEM);
	}
	cs->cfg = *cfg;
	error = cfg->fwcfg == NULL
		    ? 0
		    : fwcfg_dev_create(
			  &cs->fwcfg, cfg->ports, cfg->gmem, cfg->fwcfg);
	if (error == 0 && cfg->vars.size != 0)
		error = bootvars_dev_create(&cs->vars, cfg->mmio, &cfg->vars);
	if (error == 0)
		error =
		    pic_dev_create(&cs->pic, cfg->ports, cfg->extint, cfg->arg);
	if (error == 0)
		error = ioapic_dev_create(
		    &cs->ioapic, cfg->mmio, CHIPSET_IOAPIC_BASE, &msi);
	if (error == 0)
		error = pirq_dev_create(&cs->pirq, cs->pic);
	if (error == 0)
		error = chipset_connect(cs);
	if (error == 0)
		chipset_route(cs);
	if (error == 0)
		error = pit_dev_create(
		    &cs->pit, cfg->ports, cfg->vclock, chipset_irq0,
		    chipset_irq0_heard, cs);
	if (error == 0)
		error = rtc_dev_create(&cs->rtc, cfg->ports, cfg->irqs,
		    cfg->vclock, cfg->wall_time, cfg->lowmem, cfg->highmem,
		    chipset_alarm, cs);
	if (error == 0)
		error = hpet_dev_create(&cs->hpet, cfg->mmio, CHIPSET_HPET_BASE,
		    cfg->irqs, &msi, cfg->vclock, chipset_hpet_legacy,
		    chipset_heard, cs);
	if (error == 0)
		error = pm_dev_create(&cs->pm, cfg->ports, cfg->irqs,
		    cfg->vclock, cfg->poweroff, cfg->arg);
	if (error == 0)
		error = reset_dev_create(
		    &cs->reset, cfg->ports, cfg->reset, cfg->arg,
		    chipset_a20, cs);
	if (error == 0)
		error = i8042_dev_create(
		    &cs->i8042, cfg->ports, cfg->irqs, cfg->reset, cfg->arg,
		    chipset_a20, cs);
	if (error == 0)
		error = chipset_create_uarts(cs);
	if (error == 0)
		error = chipset_create_debug(cs);
	if (error != 0) {
		chipset_destroy(cs);
		return (error);
	}
	*out = cs;
	return (0);
}

void
chipset_destroy(struct chipset *cs)
{
	unsigned i;

	if (cs == NULL)
		return;
	/* Whoever drives lines before whoever listens to them. */
	for (i = 0; i < CHIPSET_UARTS; i++)
		uart_dev_destroy(cs->uart[i]);
	exit_dev_destroy(cs->debug_exit);
	pctest_dev_destroy(cs->pctest);
	bvm_dev_destroy(cs->dbgport);
	bvm_dev_destroy(cs->bvmcons);
	fwcfg_dev_destroy(cs->fwcfg);
	bootvars_dev_destroy(cs->vars);
	i8042_dev_destroy(cs->i8042);
	reset_dev_destroy(cs->reset);
	hpet_dev_destroy(cs->hpet);
	rtc_dev_destroy(cs->rtc);
	pm_dev_destroy(cs->pm);
	pit_dev_destroy(cs->pit);
	ioapic_dev_destroy(cs->ioapic);
	pirq_dev_destroy(cs->pirq);
	pic_dev_destroy(cs->pic);
	free(cs);
}

void
chipset_reset(struct chipset *cs)
{
	unsigned i;

	for (i = 0; i < CHIPSET_UARTS; i++)
		if (cs->uart[i] != NULL)
			uart_dev_reset(cs->uart[i]);
	if (cs->fwcfg != NULL)
		fwcfg_dev_reset(cs->fwcfg);
	if (cs->pctest != NULL)
		pctest_dev_reset(cs->pctest);
	if (cs->vars != NULL)
		bootvars_dev_reset(cs->vars);
	i8042_dev_reset(cs->i8042);
	reset_dev_reset(cs->reset);
	pm_dev_reset(cs->pm);
	hpet_dev_reset(cs->hpet);
	rtc_dev_reset(cs->rtc);
	pit_dev_reset(cs->pit);
	ioapic_dev_reset(cs->ioapic);
	pirq_dev_reset(cs->pirq);
	pic_dev_reset(cs->pic);
}

int
chipset_intr_ack(struct chipset *cs)
{
	unsigned irq;
	int vector = pic_dev_ack(cs->pic, &irq);

	if (vector >= 0)
		chipset_acked(cs, 1u << (irq & 15), -1);
	return (vector);
}

void
chipset_eoi(struct chipset *cs, uint8_t vector, bool level)
{
	uint32_t pins = ioapic_dev_eoi(cs->ioapic, vector, level), lines;

	/* IRQ0 is pin 2. */
	lines = (pins & ~5u) | (pins >> 2 & 1);
	chipset_acked(cs, lines, vector);
}

bool
chipset_power_button(struct chipset *cs)
{
	return (pm_dev_power_button(cs->pm));
}

uint8_t
chipset_intx_irq(void *arg, unsigned line)
{
	struct chipset *cs = arg;

	return (line >= 16 ? pirq_dev_assign(cs->pirq, line - 16) : PIRQ_NONE);
}

uint8_t
chipset_pirq_read(struct chipset *cs, unsigned n)
{
	return (pirq_dev_read(cs->pirq, n));
}

void
chipset_pirq_write(struct chipset *cs, unsigned n, uint8_t val)
{
	pirq_dev_write(cs->pirq, n, val);
}

bool
chipset_has_fwcfg(const struct chipset *cs)
{
	return (cs->fwcfg != NULL);
}

void
chipset_place_pm(struct chipset *cs, uint16_t base)
{
	pm_dev_place(cs->pm, base);
}

void
chipset_dump(struct chipset *cs, FILE *out)
{
	unsigned i;

	pic_dev_dump(cs->pic, out);
	pirq_dev_dump(cs->pirq, out);
	ioapic_dev_dump(cs->ioapic, out);
	pit_dev_dump(cs->pit, out);
	rtc_dev_dump(cs->rtc, out);
	hpet_dev_dump(cs->hpet, out);
	pm_dev_dump(cs->pm, out);
	reset_dev_dump(cs->reset, out);
	i8042_dev_dump(cs->i8042, out);
	if (cs->fwcfg != NULL)
		fwcfg_dev_dump(cs->fwcfg, out);
	if (cs->pctest != NULL)
		pctest_dev_dump(cs->pctest, out);
	if (cs->vars != NULL)
		bootvars_dev_dump(cs->vars, out);
	for (i = 0; i < CHIPSET_UARTS; i++)
		if (cs->uart[i] != NULL)
			uart_dev_dump(cs->uart[i], out);
}
