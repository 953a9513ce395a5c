/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/pm.h"

static void
test_timer(void **state)
{
	(void)state;
	assert_int_equal(pm_timer(0), 0);
	assert_int_equal(pm_timer(1000000000), 3579545);
	assert_int_equal(pm_timer(279), 0);
	assert_int_equal(pm_timer(280), 1);
	/* Wraps at 32 bits, after 1199.86 s; exact after ten years. */
	assert_true(pm_timer(1199864031882ull) == 0);
	assert_true(pm_timer(1199864031881ull) == UINT32_MAX);
	assert_true(pm_timer(315360000000000000ull) ==
		    (uint32_t)(315360000ull * 3579545));
}

static void
test_pm1(void **state)
{
	struct pm pm;

	(void)state;
	memset(&pm, 0, sizeof(pm));
	pm_reset(&pm);
	assert_false(pm_power_button(&pm)); /* no ACPI yet */
	assert_int_equal(pm_read(&pm, PM1_STATUS + 1), 0);
	pm_smi_command(&pm, PM_ACPI_ENABLE);
	assert_int_equal(pm_read(&pm, PM1_CONTROL), 0x01);
	/* The OS cannot change SCI_EN; S5 is type 5 with SLP_EN. */
	assert_false(pm_write(&pm, PM1_CONTROL, 0x00));
	assert_int_equal(pm_read(&pm, PM1_CONTROL), 0x01);
	assert_false(pm_write(&pm, PM1_CONTROL + 1, 0x14));
	assert_false(pm_write(&pm, PM1_CONTROL + 1, 0x20)); /* type 0 */
	assert_true(pm_write(&pm, PM1_CONTROL + 1, 0x34));
	assert_int_equal(pm_read(&pm, PM1_CONTROL + 1), 0x14);
	/* RTC, sleep and power button, GBL, the timer can be enabled. */
	pm_write(&pm, PM1_ENABLE, 0xff);
	pm_write(&pm, PM1_ENABLE + 1, 0xff);
	assert_int_equal(pm_read(&pm, PM1_ENABLE), 0x21);
	assert_int_equal(pm_read(&pm, PM1_ENABLE + 1), 0x07);
	assert_false(pm_sci(&pm));
	assert_true(pm_power_button(&pm));
	assert_true(pm_sci(&pm));
	pm_write(&pm, PM1_STATUS + 1, 0x01);
	assert_false(pm_sci(&pm));
	pm_gpe(&pm, 0);
	assert_false(pm_sci(&pm));
	pm_write(&pm, PM_GPE0_ENABLE, 0x01);
	assert_true(pm_sci(&pm));
	pm_smi_command(&pm, PM_ACPI_DISABLE);
	assert_false(pm_sci(&pm));
	pm_smi_command(&pm, PM_ACPI_ENABLE);
	pm_write(&pm, PM_GPE0_STATUS, 0x01);
	assert_false(pm_sci(&pm));
}

/* The timer's interrupt: its top bit changes every 599.93 s. */
static void
test_timer_status(void **state)
{
	const uint64_t half = 599932015941ull;
	struct pm pm;

	(void)state;
	memset(&pm, 0, sizeof(pm));
	pm_reset(&pm);
	pm_smi_command(&pm, PM_ACPI_ENABLE);
	assert_true(pm_next(&pm, 0) == PM_NEVER);
	pm_write(&pm, PM1_ENABLE, 0x01);
	assert_true(pm_next(&pm, 5) == half);
	pm_update(&pm, half - 1);
	assert_int_equal(pm_read(&pm, PM1_STATUS), 0);
	assert_false(pm_sci(&pm));
	pm_update(&pm, half);
	assert_int_equal(pm_read(&pm, PM1_STATUS), 1);
	assert_true(pm_sci(&pm));
	assert_true(pm_next(&pm, half) == PM_NEVER);
	pm_write(&pm, PM1_STATUS, 0x01);
	assert_false(pm_sci(&pm));
	assert_true(pm_next(&pm, half) == 1199864031882ull);
	/* Set without being enabled, too. */
	pm_write(&pm, PM1_ENABLE, 0);
	pm_update(&pm, 1199864031882ull);
	assert_int_equal(pm_read(&pm, PM1_STATUS), 1);
	assert_false(pm_sci(&pm));
	pm_reset(&pm);
	pm_update(&pm, 1199864031882ull);
	assert_int_equal(pm_read(&pm, PM1_STATUS), 0);
}

/* The clock's alarm (ACPI 6.4, 4.8.3.1.1). */
static void
test_rtc(void **state)
{
	struct pm pm;

	(void)state;
	pm_reset(&pm);
	pm_rtc(&pm);
	assert_int_equal(pm_read(&pm, PM1_STATUS + 1), 0x04);
	assert_false(pm_sci(&pm));
	pm_smi_command(&pm, 0xa0);
	pm_write(&pm, PM1_ENABLE + 1, 0x04);
	assert_true(pm_sci(&pm));
	pm_write(&pm, PM1_STATUS + 1, 0x04);
	assert_false(pm_sci(&pm));
}

/* QEMU's ICH9 has 0 where our tables have 5. */
static void
test_q35(void **state)
{
	struct pm pm;

	(void)state;
	pm_reset(&pm);
	assert_false(pm_write(&pm, PM1_CONTROL + 1, 0x20));
	assert_true(pm_write_q35(&pm, PM1_CONTROL + 1, 0x20));
	assert_true(pm_write_q35(&pm, PM1_CONTROL + 1, 0x34));
	assert_false(pm_write_q35(&pm, PM1_CONTROL + 1, 0x24)); /* type 1 */
	assert_false(pm_write_q35(&pm, PM1_CONTROL + 1, 0x00));
	assert_false(pm_write_q35(&pm, PM1_CONTROL, 0x20));
	assert_false(pm_write_q35(&pm, PM1_ENABLE + 1, 0x20));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_timer),
	    cmocka_unit_test(test_pm1),
	    cmocka_unit_test(test_timer_status),
	    cmocka_unit_test(test_q35),
	    cmocka_unit_test(test_rtc),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
