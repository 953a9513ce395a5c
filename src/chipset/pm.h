/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_PM_H
#define LHYVE_CHIPSET_PM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/irq.h"
#include "bus/space.h"

#define PM_TIMER_HZ 3579545u

#define PM_BASE         0x400u
#define PM_SMI_CMD      0xb2u
#define PM_ACPI_ENABLE  0xa0u
#define PM_ACPI_DISABLE 0xa1u

/* ACPI fixed hardware: PM1, PM timer, GPE0 (ACPI 6.4, section 4.8). Pure
 * core. */
struct pm {
	uint16_t status, enable, control;
	uint8_t gpe_status, gpe_enable;
	uint64_t halves; /* changes of the timer's top bit that were seen */
};
extern const struct state_table pm_state;

/* Offsets from PM_BASE. */
enum {
	PM1_STATUS = 0x0,
	PM1_ENABLE = 0x2,
	PM1_CONTROL = 0x4,
	PM_TIMER = 0x8,
	PM_GPE0_STATUS = 0xc,
	PM_GPE0_ENABLE = 0xd,
};

void pm_reset(struct pm *pm);
/* Registers by offset, byte by byte. A write that asks for S5 returns true.
 */
uint8_t pm_read(const struct pm *pm, unsigned offset);
bool pm_write(struct pm *pm, unsigned offset, uint8_t val);
/* The same where firmware for QEMU's boards writes, which has 0 for S5. */
bool pm_write_q35(struct pm *pm, unsigned offset, uint8_t val);
uint32_t pm_timer(uint64_t now);
/* Lets time pass: the timer's status follows its top bit. Before each of the
 * functions below. */
void pm_update(struct pm *pm, uint64_t now);
/* When an update will raise the SCI next. */
#define PM_NEVER UINT64_MAX
uint64_t pm_next(const struct pm *pm, uint64_t now);
/* Port 0xb2. */
void pm_smi_command(struct pm *pm, uint8_t val);
/* Presses the power button; false without ACPI. */
bool pm_power_button(struct pm *pm);
/* The clock's alarm: ACPI's fixed event. */
void pm_rtc(struct pm *pm);
/* Raises a general-purpose event, 0-7. */
void pm_gpe(struct pm *pm, unsigned gpe);
/* Level of the system control interrupt. */
bool pm_sci(const struct pm *pm);

struct vclock;
/* The adapter: ports 0x400-0x40d, 0xb2, SCI on line 9. */
struct pm_dev;
int pm_dev_create(struct pm_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, struct vclock *vc, void (*poweroff)(void *arg),
    void *arg);
void pm_dev_destroy(struct pm_dev *d);
void pm_dev_reset(struct pm_dev *d);
bool pm_dev_power_button(struct pm_dev *d);
void pm_dev_gpe(struct pm_dev *d, unsigned gpe);
void pm_dev_rtc(struct pm_dev *d);
/* PM1 and the timer at a second place as well, unless something is there. 0:
 * no more. Any thread. */
void pm_dev_place(struct pm_dev *d, uint16_t base);
void pm_dev_dump(struct pm_dev *d, FILE *out);

/* Reset control: ports 0xcf9 and 0x92, and POST codes at 0x80 and 0x84. */
struct reset_dev;
/* a20, with a20_arg: reset_dev_a20() may say something else now. */
int reset_dev_create(struct reset_dev **out, struct bus_space *ports,
    void (*reset)(void *arg), void *arg, void (*a20)(void *arg),
    void *a20_arg);
void reset_dev_destroy(struct reset_dev *d);
void reset_dev_reset(struct reset_dev *d);
/* Bit 1 of port 92: address line 20 is open. */
bool reset_dev_a20(struct reset_dev *d);
void reset_dev_dump(struct reset_dev *d, FILE *out);

#endif
