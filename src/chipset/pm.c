/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "chipset/pm.h"

#define PM1_TMR    0x0001u
#define PM1_PWRBTN 0x0100u
#define PM1_RTC    0x0400u
/* Status bits that a one clears: WAK, RTC, SLPBTN, PWRBTN, BM, TMR. */
#define PM1_STATUS_W1C 0x8711u
/* Enable bits that stick: RTC, SLPBTN, PWRBTN, GBL, TMR. bhyve has PWRBTN and
 * GBL only; ACPICA then logs an error when Linux tries the RTC's, by which it
 * takes alarms where there is an HPET. Nothing sets the status bits of SLPBTN
 * and GBL. */
#define PM1_ENABLE_MASK  0x0721u
#define PM_TIMER_TOP     31
#define PM1_SCI_EN       0x0001u
#define PM1_SLP_EN       0x2000u
#define PM1_SLP_TYP(c)   ((c) >> 10 & 7u)
#define PM1_CONTROL_MASK 0x1ffcu /* without SCI_EN, BM_RLD, SLP_EN */
#define PM1_S5           5u      /* \_S5 in the DSDT */

static const struct state_field pm_fields[] = {
    STATE_FIELD(struct pm, status, 1),
    STATE_FIELD(struct pm, enable, 1),
    STATE_FIELD(struct pm, control, 1),
    STATE_FIELD(struct pm, gpe_status, 1),
    STATE_FIELD(struct pm, gpe_enable, 1),
    STATE_FIELD(struct pm, halves, 1),
    STATE_END,
};
const struct state_table pm_state = {"pm", 1, pm_fields};

void
pm_reset(struct pm *pm)
{
	uint64_t halves = pm->halves;

	/* The timer goes on. */
	memset(pm, 0, sizeof(*pm));
	pm->halves = halves;
}

bool
pm_sci(const struct pm *pm)
{
	return ((pm->control & PM1_SCI_EN) != 0 &&
		((pm->status & pm->enable) != 0 ||
		    (pm->gpe_status & pm->gpe_enable) != 0));
}

static uint64_t
pm_ticks(uint64_t now)
{
	return ((uint64_t)((unsigned __int128)now * PM_TIMER_HZ / 1000000000u));
}

uint32_t
pm_timer(uint64_t now)
{
	return ((uint32_t)pm_ticks(now));
}

/* TMR_STS is set whenever the top bit changes (ACPI 6.4, 4.8.3.1.1). */
void
pm_update(struct pm *pm, uint64_t now)
{
	uint64_t halves = pm_ticks(now) >> PM_TIMER_TOP;

	if (halves != pm->halves)
		pm->status |= PM1_TMR;
	pm->halves = halves;
}

uint64_t
pm_next(const struct pm *pm, uint64_t now)
{
	unsigned __int128 ticks;

	if (!(pm->enable & PM1_TMR) || (pm->status & PM1_TMR))
		return (PM_NEVER);
	ticks = ((pm_ticks(now) >> PM_TIMER_TOP) + 1) << PM_TIMER_TOP;
	return (
	    (uint64_t)((ticks * 1000000000u + PM_TIMER_HZ - 1) / PM_TIMER_HZ));
}

uint8_t
pm_read(const struct pm *pm, unsigned offset)
{
	unsigned shift = (offset & 1) * 8;

	switch (offset) {
	case PM1_STATUS:
	case PM1_STATUS + 1:
		return ((uint8_t)(pm->status >> shift));
	case PM1_ENABLE:
	case PM1_ENABLE + 1:
		return ((uint8_t)(pm->enable >> shift));
	case PM1_CONTROL:
	case PM1_CONTROL + 1:
		return ((uint8_t)(pm->control >> shift));
	case PM_GPE0_STATUS:
		return (pm->gpe_status);
	case PM_GPE0_ENABLE:
		return (pm->gpe_enable);
	default:
		return (0xff);
	}
}

/* One byte of a 16-bit register, as far as the mask lets it. */
static uint16_t
pm_merge(uint16_t old, unsigned shift, uint8_t val, uint16_t mask)
{
	mask &= (uint16_t)(0xffu << shift);
	return ((uint16_t)((old & ~mask) | ((unsigned)val << shift & mask)));
}

bool
pm_write(struct pm *pm, unsigned offset, uint8_t val)
{
	unsigned shift = (offset & 1) * 8;

	switch (offset) {
	case PM1_STATUS:
	case PM1_STATUS + 1:
		pm->status &=
		    (uint16_t) ~((unsigned)val << shift & PM1_STATUS_W1C);
		break;
	case PM1_ENABLE:
	case PM1_ENABLE + 1:
		pm->enable = pm_merge(pm->enable, shift, val, PM1_ENABLE_MASK);
		break;
	case PM1_CONTROL:
	case PM1_CONTROL + 1:
		pm->control =
		    pm_merge(pm->control, shift, val, PM1_CONTROL_MASK);
		/* SLP_EN is write-only. */
		return (((unsigned)val << shift & PM1_SLP_EN) != 0 &&
			PM1_SLP_TYP(pm->control) == PM1_S5);
	case PM_GPE0_STATUS:
		pm->gpe_status &= (uint8_t)~val;
		break;
	case PM_GPE0_ENABLE:
		pm->gpe_enable = val;
		break;
	default:
		break;
	}
	return (false);
}

bool
pm_write_q35(struct pm *pm, unsigned offset, uint8_t val)
{
	if (pm_write(pm, offset, val))
		return (true);
	return (offset == PM1_CONTROL + 1 &&
		((unsigned)val << 8 & PM1_SLP_EN) != 0 &&
		PM1_SLP_TYP(pm->control) == 0);
}

void
pm_smi_command(struct pm *pm, uint8_t val)
{
	if (val == PM_ACPI_ENABLE)
		pm->control |= PM1_SCI_EN;
	else if (val == PM_ACPI_DISABLE)
		pm->control &= (uint16_t)~PM1_SCI_EN;
}

bool
pm_power_button(struct pm *pm)
{
	if (!(pm->control & PM1_SCI_EN))
		return (false);
	pm->status |= PM1_PWRBTN;
	return (true);
}

void
pm_rtc(struct pm *pm)
{
	pm->status |= PM1_RTC;
}

void
pm_gpe(struct pm *pm, unsigned gpe)
{
	pm->gpe_status |= (uint8_t)(1u << (gpe & 7));
}
