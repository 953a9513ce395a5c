/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/lapic.h"
#include "vmm/tsc.h"

static struct lapic_action act;

static void
enable(struct lapic *l, bool x2)
{
	lapic_reset(l, 3, true, x2);
	if (x2)
		assert_int_equal(lapic_msr_write(l, 0x80f, 0x1ff, 0, &act), 0);
	else
		lapic_mmio_write(l, 0xf0, 0x1ff, 0, &act);
}

static uint64_t
rd(struct lapic *l, uint32_t msr, uint64_t now)
{
	uint64_t v = 0xdead;

	assert_int_equal(lapic_msr_read(l, msr, &v, now), 0);
	return (v);
}

static int
wr(struct lapic *l, uint32_t msr, uint64_t v)
{
	return (lapic_msr_write(l, msr, v, 0, &act));
}

/* 11.4.7.1 */
static void
test_reset(void **state)
{
	struct lapic l;

	(void)state;
	memset(&l, 0xa5, sizeof(l));
	lapic_reset(&l, 3, true, false);
	assert_int_equal(rd(&l, 0x1b, 0), 0xfee00900);
	assert_true(lapic_enabled(&l));
	assert_false(lapic_is_x2apic(&l));
	assert_int_equal(lapic_mmio_read(&l, 0x20, 0), 3u << 24);
	assert_int_equal(lapic_mmio_read(&l, 0x30, 0), 0x1060014);
	assert_int_equal(lapic_mmio_read(&l, 0xe0, 0), 0xffffffff);
	assert_int_equal(lapic_mmio_read(&l, 0xf0, 0), 0xff);
	for (uint32_t r = 0x320; r <= 0x370; r += 0x10)
		assert_int_equal(lapic_mmio_read(&l, r, 0), 0x10000);
	assert_int_equal(lapic_mmio_read(&l, 0x2f0, 0), 0x10000);
	assert_int_equal(lapic_pending(&l), -1);
	assert_int_equal(l.timer_deadline, UINT64_MAX);
	lapic_mmio_write(&l, 0x20, 7u << 24, 0, &act); /* read-only */
	assert_int_equal(lapic_mmio_read(&l, 0x20, 0), 3u << 24);
	lapic_reset(&l, 1, false, true);
	assert_int_equal(rd(&l, 0x1b, 0), 0xfee00c00);
	assert_int_equal(rd(&l, 0x802, 0), 1);
}

/* 11.8.3 and 11.8.4: priorities, nesting, EOI. */
static void
test_priority(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_accept(&l, 0x31, false);
	lapic_accept(&l, 0x45, false);
	lapic_accept(&l, 0x42, true);
	assert_int_equal(lapic_pending(&l), 0x45);
	lapic_take(&l, 0x45, 0);
	assert_int_equal(lapic_pending(&l), -1); /* 0x42: same class */
	assert_int_equal(lapic_mmio_read(&l, 0xa0, 0), 0x40);
	lapic_accept(&l, 0x50, false);
	assert_int_equal(lapic_pending(&l), 0x50);
	lapic_take(&l, 0x50, 0);
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	assert_true(act.check);
	assert_false(act.eoi_broadcast);
	assert_int_equal(lapic_pending(&l), -1);
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	assert_int_equal(lapic_pending(&l), 0x42);
	lapic_take(&l, 0x42, 0);
	assert_int_equal(lapic_mmio_read(&l, 0x1a0, 0), 4); /* TMR 0x42 */
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	assert_true(act.eoi_broadcast);
	assert_int_equal(act.vector, 0x42);
	assert_int_equal(lapic_pending(&l), 0x31);
	/* TPR: class 3 is held back, class 4 passes. */
	lapic_mmio_write(&l, 0x80, 0x30, 0, &act);
	assert_true(act.check);
	assert_int_equal(lapic_pending(&l), -1);
	assert_int_equal(lapic_mmio_read(&l, 0xa0, 0), 0x30);
	lapic_accept(&l, 0x40, false);
	assert_int_equal(lapic_pending(&l), 0x40);
	lapic_set_cr8(&l, 2);
	assert_int_equal(lapic_mmio_read(&l, 0x80, 0), 0x20);
	assert_int_equal(lapic_get_cr8(&l), 2);
	/* An EOI with nothing in service does nothing. */
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	assert_false(act.eoi_broadcast);
}

/* 11.5.4 */
static void
test_timer(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x3e0, 0xb, 0, &act); /* by 1 */
	lapic_mmio_write(&l, 0x320, 0x40, 0, &act);
	lapic_mmio_write(&l, 0x380, 1000, 5000, &act);
	assert_true(act.timer);
	assert_int_equal(l.timer_deadline, 6000);
	assert_int_equal(lapic_mmio_read(&l, 0x390, 5000), 1000);
	assert_int_equal(lapic_mmio_read(&l, 0x390, 5400), 600);
	assert_false(lapic_timer_expire(&l, 5999));
	assert_true(lapic_timer_expire(&l, 6001));
	assert_int_equal(lapic_pending(&l), 0x40);
	assert_int_equal(l.timer_deadline, UINT64_MAX);
	assert_int_equal(lapic_mmio_read(&l, 0x390, 6001), 0);
	lapic_take(&l, 0x40, 0);
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);

	/* Each divisor of figure 11-10. */
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t dcr = (i & 3) | (i & 4) << 1;
		uint64_t d = i == 7 ? 1 : 2u << i;

		lapic_mmio_write(&l, 0x380, 0, 0, &act);
		lapic_mmio_write(&l, 0x3e0, dcr, 0, &act);
		lapic_mmio_write(&l, 0x380, 0xffffffff, 100, &act);
		assert_int_equal(l.timer_deadline, 100 + d * 0xffffffff);
		assert_int_equal(
		    lapic_mmio_read(&l, 0x390, 100 + 10 * d), 0xfffffff5);
	}

	/* Periodic: late by 2.5 periods is one interrupt, in phase. */
	lapic_mmio_write(&l, 0x3e0, 0xb, 0, &act);
	lapic_mmio_write(&l, 0x320, 0x20041, 0, &act);
	lapic_mmio_write(&l, 0x380, 100000, 0, &act);
	assert_true(lapic_timer_expire(&l, 350000));
	assert_int_equal(lapic_pending(&l), 0x41);
	assert_int_equal(l.timer_deadline, 400000);
	assert_int_equal(lapic_mmio_read(&l, 0x390, 350000), 50000);
	/* A change of the divisor keeps the count. */
	lapic_mmio_write(&l, 0x3e0, 0, 350000, &act); /* by 2 */
	assert_true(act.timer);
	assert_int_equal(l.timer_deadline, 450000);
	assert_int_equal(lapic_mmio_read(&l, 0x390, 360000), 45000);
	/* Masked: goes on, no interrupt. */
	lapic_take(&l, 0x41, 0);
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	lapic_mmio_write(&l, 0x320, 0x30041, 0, &act);
	assert_false(lapic_timer_expire(&l, 450000));
	assert_int_equal(l.timer_deadline, 650000);
	assert_int_equal(lapic_pending(&l), -1);
	lapic_mmio_write(&l, 0x380, 0, 450001, &act);
	assert_int_equal(l.timer_deadline, UINT64_MAX);
}

/* Periods that nobody took in time follow each other. */
static void
test_timer_late(void **state)
{
	struct lapic l;
	unsigned i;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x3e0, 0xb, 0, &act);
	lapic_mmio_write(&l, 0x320, 0x20041, 0, &act);
	lapic_mmio_write(&l, 0x380, 1000000, 0, &act);
	/* Late by three, and one more before it is taken. */
	assert_true(lapic_timer_expire(&l, 3500000));
	assert_true(lapic_timer_expire(&l, 4000000));
	for (i = 0; i < 4; i++) {
		assert_int_equal(lapic_pending(&l), 0x41);
		lapic_take(&l, 0x41, 4000000);
		/* In service: it waits for the EOI. */
		assert_int_equal(lapic_pending(&l), -1);
		lapic_mmio_write(&l, 0xb0, 0, 0, &act);
		assert_true(act.eoi_edge);
		assert_int_equal(act.vector, 0x41);
	}
	assert_int_equal(lapic_pending(&l), -1);
	/* Other vectors are not the timer's. */
	assert_true(lapic_timer_expire(&l, 6000000));
	assert_int_equal(l.timer_owed, 1);
	lapic_accept(&l, 0x51, false);
	lapic_take(&l, 0x51, 0);
	assert_int_equal(l.timer_owed, 1);
	lapic_mmio_write(&l, 0xb0, 0, 0, &act);
	/* A new count, and another mode, owe nothing. */
	lapic_mmio_write(&l, 0x380, 1000000, 6000000, &act);
	assert_int_equal(l.timer_owed, 0);
	assert_true(lapic_timer_expire(&l, 9000000));
	assert_int_equal(l.timer_owed, 3);
	lapic_mmio_write(&l, 0x320, 0x41, 9000000, &act);
	assert_int_equal(l.timer_owed, 0);
	/* A second's worth is the most. */
	lapic_mmio_write(&l, 0x320, 0x20041, 9000000, &act);
	lapic_mmio_write(&l, 0x380, 1000000, 0, &act);
	assert_true(lapic_timer_expire(&l, 3600000000000ull));
	assert_int_equal(l.timer_owed, 1000);
	/* Too fast to catch up with. */
	lapic_mmio_write(&l, 0x380, 100000, 0, &act);
	assert_true(lapic_timer_expire(&l, 1000000));
	assert_int_equal(l.timer_owed, 0);
	/* Masked: nobody counts. */
	lapic_mmio_write(&l, 0x320, 0x30041, 0, &act);
	lapic_mmio_write(&l, 0x380, 1000000, 0, &act);
	assert_false(lapic_timer_expire(&l, 9000000));
	assert_int_equal(l.timer_owed, 0);
}

/* A guest that needs most of a period for a tick has time for itself all the
 * same, and gets every one. */
static void
test_timer_slow_guest(void **state)
{
	uint64_t now = 100000000, own = 0, most = 0, waits = 0;
	unsigned taken = 0;
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x3e0, 0xb, 0, &act);
	lapic_mmio_write(&l, 0x320, 0x20041, 0, &act);
	lapic_mmio_write(&l, 0x380, 1000000, 0, &act);
	while (now < 2000000000) {
		(void)lapic_timer_expire(&l, now);
		if (lapic_pending(&l) != 0x41) {
			own += 10000;
			now += 10000;
			waits = 0;
			continue;
		}
		lapic_take(&l, 0x41, now);
		lapic_mmio_write(&l, 0xb0, 0, now, &act);
		taken++;
		now += 900000;
		waits += 900000;
		if (waits > most)
			most = waits;
	}
	assert_true(most <= 40000000);
	assert_true(own > 80000000);
	assert_in_range(taken, now / 1000000 - 1, now / 1000000);
}

/* 11.5.4.1 */
static void
test_tsc_deadline(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, true);
	assert_int_equal(wr(&l, 0x6e0, 777), 0); /* wrong mode: ignored */
	assert_int_equal(rd(&l, 0x6e0, 0), 0);
	assert_int_equal(wr(&l, 0x832, 0x20040), 0);
	assert_int_equal(wr(&l, 0x83e, 0xb), 0);
	assert_int_equal(wr(&l, 0x838, 1000), 0);
	assert_int_equal(l.timer_deadline, 1000);
	assert_int_equal(wr(&l, 0x832, 0x40040), 0);
	assert_true(act.timer);
	assert_int_equal(l.timer_deadline, UINT64_MAX);
	assert_int_equal(wr(&l, 0x838, 1000), 0); /* ignored */
	assert_int_equal(l.timer_deadline, UINT64_MAX);
	assert_int_equal(wr(&l, 0x6e0, 5000), 0);
	assert_true(act.timer);
	assert_int_equal(l.timer_deadline, 5000);
	assert_int_equal(rd(&l, 0x839, 100), 0);
	assert_int_equal(rd(&l, 0x6e0, 0), 5000);
	assert_true(lapic_timer_expire(&l, 5000));
	assert_int_equal(rd(&l, 0x6e0, 0), 0);
	assert_int_equal(lapic_pending(&l), 0x40);
	assert_int_equal(wr(&l, 0x6e0, 9000), 0);
	assert_int_equal(wr(&l, 0x6e0, 0), 0); /* disarms */
	assert_true(act.timer);
	assert_int_equal(l.timer_deadline, UINT64_MAX);
}

/* tsc.h: the deadline comes when the TSC has got there, not before. */
static void
test_tsc_rate(void **state)
{
	static const uint32_t khz[] = { 2445432, 999999, 100000, 10000000 };
	const uint64_t at = 123456789012345;
	struct lapic l;
	uint64_t ns;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		enable(&l, true);
		l.tsc_khz = khz[i];
		assert_int_equal(wr(&l, 0x832, 0x40040), 0);
		assert_int_equal(wr(&l, 0x6e0, at), 0);
		assert_int_equal(rd(&l, 0x6e0, 0), at);
		ns = l.timer_deadline;
		assert_true(tsc_from_ns(ns, khz[i]) >= at);
		assert_true(tsc_from_ns(ns - 1, khz[i]) < at);
		/* And it is about then. */
		assert_in_range(ns / 1000000000,
		    at / khz[i] / 1000 - 1, at / khz[i] / 1000 + 1);
		assert_false(lapic_timer_expire(&l, ns - 1));
		assert_true(lapic_timer_expire(&l, ns));
		/* Later than all time, and with no overflow. */
		assert_int_equal(wr(&l, 0x6e0, UINT64_MAX), 0);
		assert_true(l.timer_deadline >=
		    (khz[i] > 1000000 ? UINT64_MAX / 11 : UINT64_MAX));
	}
	assert_int_equal(tsc_from_ns(UINT64_MAX, 0), UINT64_MAX);
	assert_int_equal(tsc_to_ns(UINT64_MAX, TSC_KHZ), UINT64_MAX);
}

/* 11.6.1, 11.12.9, 11.12.11 */
static void
test_icr(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x310, 0x02000000, 0, &act);
	assert_false(act.ipi);
	lapic_mmio_write(&l, 0x300, 0x48fd, 0, &act);
	assert_true(act.ipi);
	assert_int_equal(act.ipi_mode, 0);
	assert_int_equal(act.ipi_vector, 0xfd);
	assert_int_equal(act.ipi_dest, 2);
	assert_true(act.ipi_logical);
	assert_true(act.ipi_assert);
	assert_false(act.ipi_level);
	assert_int_equal(act.ipi_shorthand, 0);
	assert_int_equal(lapic_mmio_read(&l, 0x300, 0), 0x48fd);
	lapic_mmio_write(&l, 0x300, 0xc4500, 0, &act); /* INIT, all but me */
	assert_int_equal(act.ipi_mode, 5);
	assert_int_equal(act.ipi_shorthand, 3);
	lapic_mmio_write(&l, 0x300, 0x8500, 0, &act); /* INIT de-assert */
	assert_false(act.ipi);
	lapic_mmio_write(&l, 0x300, 0x44055, 0, &act); /* self */
	assert_false(act.ipi);
	assert_true(act.check);
	assert_int_equal(lapic_pending(&l), 0x55);
	lapic_mmio_write(&l, 0x300, 0x400f, 0, &act);
	assert_false(act.ipi);
	assert_int_equal(l.esr_pending, 0x20);

	enable(&l, true);
	assert_int_equal(wr(&l, 0x830, 0x12345678000046feull), 0);
	assert_true(act.ipi);
	assert_int_equal(act.ipi_mode, 6);
	assert_int_equal(act.ipi_dest, 0x12345678);
	assert_int_equal(rd(&l, 0x830, 0), 0x12345678000046feull);
	assert_int_equal(wr(&l, 0x830, 0x100000), -EPERM);
	assert_int_equal(wr(&l, 0x830, 0x2000), -EPERM);
	assert_int_equal(wr(&l, 0x83f, 0x66), 0);
	assert_true(act.check);
	assert_int_equal(lapic_pending(&l), 0x66);
	assert_int_equal(wr(&l, 0x83f, 0x100), -EPERM);
	assert_int_equal(wr(&l, 0x83f, 0x3), 0);
	assert_int_equal(l.esr_pending, 0x20);
}

/* 11.5.3 */
static void
test_errors(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x370, 0xfe, 0, &act);
	lapic_accept(&l, 15, false);
	assert_int_equal(lapic_pending(&l), 0xfe);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 0), 0); /* not latched */
	assert_int_equal(lapic_mmio_read(&l, 0x40, 0), 0);
	lapic_mmio_write(&l, 0x280, 0, 0, &act);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 0), 0xc0);
	lapic_mmio_write(&l, 0x280, 0, 0, &act);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 0), 0);
	/* An illegal vector in the error LVT does not recurse. */
	lapic_mmio_write(&l, 0x370, 0x01, 0, &act);
	lapic_accept(&l, 0, false);
	assert_int_equal(l.esr_pending, 0x40);
	/* Unaligned: zero, ignored. */
	assert_int_equal(lapic_mmio_read(&l, 0x84, 0), 0);
	lapic_mmio_write(&l, 0x84, 0xff, 0, &act);
	assert_int_equal(lapic_mmio_read(&l, 0x80, 0), 0);
}

/* 11.4.7.2 */
static void
test_software_disable(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	lapic_mmio_write(&l, 0x350, 0x700, 0, &act);
	lapic_accept(&l, 0x60, false);
	lapic_mmio_write(&l, 0xf0, 0xff, 0, &act);
	assert_int_equal(lapic_mmio_read(&l, 0x350, 0), 0x10700);
	lapic_mmio_write(&l, 0x350, 0x700, 0, &act);
	assert_int_equal(lapic_mmio_read(&l, 0x350, 0), 0x10700);
	/* What is there stays, nothing new comes. */
	lapic_accept(&l, 0x70, false);
	assert_int_equal(lapic_pending(&l), 0x60);
	assert_true(lapic_matches(&l, 3, false)); /* for INIT, NMI, SIPI */
}

static void
test_extint(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	l.extint = 1;
	assert_int_equal(lapic_pending(&l), -1);
	lapic_mmio_write(&l, 0x350, 0x700, 0, &act);
	assert_true(act.check);
	assert_int_equal(lapic_pending(&l), LAPIC_EXTINT);
	lapic_set_cr8(&l, 15); /* the TPR is not asked */
	assert_int_equal(lapic_pending(&l), LAPIC_EXTINT);
	lapic_mmio_write(&l, 0x350, 0x10700, 0, &act);
	assert_int_equal(lapic_pending(&l), -1);
	assert_int_equal(wr(&l, 0x1b, 0xfee00100), 0);
	assert_int_equal(lapic_pending(&l), LAPIC_EXTINT);
	l.extint = 0;
	assert_int_equal(lapic_pending(&l), -1);
	/* INIT keeps the wire, the id and the base. */
	l.extint = 1;
	lapic_init_ipi(&l);
	assert_int_equal(l.extint, 1);
	assert_int_equal(l.id, 3);
	assert_int_equal(l.apicbase, 0xfee00100);
}

#define LINT0 0x350
#define LINT1 0x360

static uint32_t
mm(struct lapic *l, uint32_t reg)
{
	return (lapic_mmio_read(l, reg, 0));
}

static void
mw(struct lapic *l, uint32_t reg, uint32_t v)
{
	lapic_mmio_write(l, reg, v, 0, &act);
}

/* 11.5.1: Fixed, by the edge. */
static void
test_lint_edge(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	assert_false(lapic_lint(&l, 0, true)); /* masked */
	assert_false(lapic_lint(&l, 0, false));
	mw(&l, LINT0, 0x61);
	assert_int_equal(lapic_pending(&l), -1);
	assert_true(lapic_lint(&l, 0, true));
	assert_int_equal(lapic_pending(&l), 0x61);
	lapic_take(&l, 0x61, 0);
	mw(&l, 0xb0, 0);
	assert_false(act.eoi_broadcast);
	/* The level alone is nothing, nor is its end. */
	assert_int_equal(lapic_pending(&l), -1);
	assert_false(lapic_lint(&l, 0, true));
	assert_false(lapic_lint(&l, 0, false));
	assert_int_equal(lapic_pending(&l), -1);
	/* Unmasking while the wire is high is no edge. */
	mw(&l, LINT0, 0x10061);
	assert_false(lapic_lint(&l, 0, true));
	mw(&l, LINT0, 0x61);
	assert_int_equal(lapic_pending(&l), -1);
	/* Active low: asserted by the fall. */
	mw(&l, LINT0, 0x2062);
	assert_true(lapic_lint(&l, 0, false));
	assert_int_equal(lapic_pending(&l), 0x62);
}

/* 11.5.1: Fixed, by the level, with remote IRR. */
static void
test_lint_level(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	mw(&l, LINT0, 0x8063);
	assert_true(lapic_lint(&l, 0, true));
	assert_int_equal(mm(&l, LINT0), 0xc063);
	assert_int_equal(lapic_pending(&l), 0x63);
	lapic_take(&l, 0x63, 0);
	assert_int_equal(mm(&l, 0x180 + 0x30) >> 3 & 1, 1); /* TMR */
	/* A second rise before the EOI is not another one. */
	(void)lapic_lint(&l, 0, false);
	assert_false(lapic_lint(&l, 0, true));
	assert_int_equal(lapic_pending(&l), -1);
	/* The EOI: still high, so again; not the IOAPIC's business. */
	mw(&l, 0xb0, 0);
	assert_false(act.eoi_broadcast);
	assert_int_equal(lapic_pending(&l), 0x63);
	lapic_take(&l, 0x63, 0);
	(void)lapic_lint(&l, 0, false);
	mw(&l, 0xb0, 0);
	assert_int_equal(mm(&l, LINT0), 0x8063);
	assert_int_equal(lapic_pending(&l), -1);
	/* Unmasking finds the level. */
	mw(&l, LINT0, 0x18063);
	assert_false(lapic_lint(&l, 0, true));
	mw(&l, LINT0, 0x8063);
	assert_int_equal(lapic_pending(&l), 0x63);
	/* Remote IRR cannot be written, and goes with the mode. */
	assert_int_equal(mm(&l, LINT0), 0xc063);
	mw(&l, LINT0, 0x700);
	assert_int_equal(mm(&l, LINT0), 0x700);
	/* A vector that is none is an error. */
	(void)lapic_lint(&l, 0, false);
	mw(&l, LINT0, 0x8005);
	(void)lapic_lint(&l, 0, true);
	mw(&l, 0x280, 0);
	assert_int_equal(mm(&l, 0x280), 0x40);
}

/* 11.5.1 NMI, SMI, INIT; 11.4.3 without the APIC. */
static void
test_lint_others(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	mw(&l, LINT1, 0x400);
	assert_true(lapic_lint(&l, 1, true));
	assert_int_equal(l.nmi_pending, 1);
	l.nmi_pending = 0;
	assert_false(lapic_lint(&l, 1, true));
	assert_int_equal(l.nmi_pending, 0);
	(void)lapic_lint(&l, 1, false);
	mw(&l, LINT1, 0x10400);
	assert_false(lapic_lint(&l, 1, true));
	assert_int_equal(l.nmi_pending, 0);
	(void)lapic_lint(&l, 1, false);
	for (uint32_t mode = 0x200; mode <= 0x500; mode += 0x300) {
		mw(&l, LINT1, mode); /* SMI, INIT */
		assert_false(lapic_lint(&l, 1, true));
		assert_false(lapic_lint(&l, 1, false));
		assert_int_equal(lapic_pending(&l), -1);
		assert_int_equal(l.nmi_pending, 0);
	}
	/* Both pins can have one vector at different times. */
	mw(&l, LINT1, 0x71);
	assert_true(lapic_lint(&l, 1, true));
	assert_int_equal(lapic_pending(&l), 0x71);
	/* Disabled by software: masked, whatever it was. */
	mw(&l, 0xf0, 0xff);
	(void)lapic_lint(&l, 1, false);
	assert_false(lapic_lint(&l, 1, true));
	(void)lapic_lint(&l, 1, false);
	/* Disabled: LINT1 is the NMI pin. */
	assert_int_equal(wr(&l, 0x1b, 0xfee00100), 0);
	assert_true(lapic_lint(&l, 1, true));
	assert_int_equal(l.nmi_pending, 1);
	lapic_init_ipi(&l);
	assert_int_equal(l.lint1, 1);
	assert_int_equal(l.nmi_pending, 0);
}

/* 11.8.5: broadcasts of EOIs, and software that does not want them. */
static void
test_eoi_broadcast(void **state)
{
	struct lapic l;

	(void)state;
	for (unsigned x2 = 0; x2 < 2; x2++) {
		enable(&l, x2);
		assert_int_equal(l.svr, 0x1ff);
		for (unsigned suppress = 0; suppress < 2; suppress++) {
			uint32_t svr = 0x1ff | suppress << 12;

			if (x2)
				assert_int_equal(wr(&l, 0x80f, svr), 0);
			else
				mw(&l, 0xf0, svr);
			assert_int_equal(l.svr, svr);
			lapic_accept(&l, 0x58, true);
			assert_int_equal(lapic_pending(&l), 0x58);
			lapic_take(&l, 0x58, 0);
			if (x2)
				assert_int_equal(wr(&l, 0x80b, 0), 0);
			else
				mw(&l, 0xb0, 0);
			assert_int_equal(act.eoi_broadcast, !suppress);
			assert_true(act.check);
			assert_int_equal(lapic_pending(&l), -1);
		}
	}
	assert_int_equal(wr(&l, 0x80f, 0x800), -EPERM);
	assert_int_equal(wr(&l, 0x80f, 0x2000), -EPERM);
	enable(&l, false);
	assert_int_equal(mm(&l, 0x30) >> 24 & 1, 1);
	mw(&l, 0xf0, 0xffffffff);
	assert_int_equal(mm(&l, 0xf0), 0x13ff);
}

/* Table 11-3: which delivery mode goes with which shorthand, and how. */
static void
test_icr_modes(void **state)
{
	/* Not sent: reserved, ExtINT. To oneself: only Fixed. */
	static const char sent[4][8] = { "11111110", "00000000", "11111110",
		"11111110" };
	struct lapic l;

	(void)state;
	for (unsigned x2 = 0; x2 < 2; x2++)
		for (uint32_t sh = 0; sh < 4; sh++)
			for (uint32_t mode = 0; mode < 8; mode++) {
				uint32_t lo = sh << 18 | mode << 8 | 0x4000 |
				    0x66;
				bool want = sent[sh][mode] == '1' && mode != 3;

				enable(&l, x2);
				if (x2) {
					assert_int_equal(wr(&l, 0x830,
					    5ull << 32 | 0x800 | lo), 0);
				} else {
					mw(&l, 0x310, 5u << 24);
					mw(&l, 0x300, 0x800 | lo);
				}
				assert_int_equal(act.ipi, want);
				assert_int_equal(lapic_pending(&l),
				    sh == 1 && mode == 0 ? 0x66 : -1);
				if (!want)
					continue;
				assert_int_equal(act.ipi_mode, mode);
				assert_int_equal(act.ipi_vector, 0x66);
				assert_int_equal(act.ipi_shorthand, sh);
				assert_int_equal(act.ipi_dest, 5);
				assert_true(act.ipi_logical);
				assert_true(act.ipi_assert);
				assert_false(act.ipi_level);
			}
	/* INIT level de-assert is for nobody. */
	enable(&l, false);
	mw(&l, 0x300, 0x8500);
	assert_false(act.ipi);
	mw(&l, 0x300, 0xc500);
	assert_true(act.ipi);
	assert_true(act.ipi_level);
}

/* 11.5.4: each divisor, one shot and periodic, and the count on the way. */
static void
test_divisors(void **state)
{
	static const struct {
		uint32_t dcr, by;
	} d[] = { { 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };
	struct lapic l;

	(void)state;
	for (size_t i = 0; i < sizeof(d) / sizeof(d[0]); i++)
		for (uint32_t periodic = 0; periodic < 2; periodic++) {
			uint64_t t0 = 1000, period = 100000ull * d[i].by;

			enable(&l, false);
			mw(&l, 0x320, periodic << 17 | 0x50);
			mw(&l, 0x3e0, d[i].dcr);
			lapic_mmio_write(&l, 0x380, 100000, t0, &act);
			assert_true(act.timer);
			assert_int_equal(l.timer_deadline, t0 + period);
			assert_int_equal(
			    lapic_mmio_read(&l, 0x390, t0 + period / 4),
			    75000);
			assert_false(lapic_timer_expire(&l, t0 + period - 1));
			assert_true(lapic_timer_expire(&l, t0 + period));
			assert_int_equal(lapic_pending(&l), 0x50);
			if (periodic) {
				assert_int_equal(
				    l.timer_deadline, t0 + 2 * period);
				assert_int_equal(lapic_mmio_read(&l, 0x390,
				    t0 + period + period / 2), 50000);
			} else {
				assert_int_equal(
				    l.timer_deadline, UINT64_MAX);
				assert_int_equal(lapic_mmio_read(
				    &l, 0x390, t0 + period), 0);
			}
		}
}

/* 11.12.5, figure 11-27: every pair of states. */
static void
test_transitions(void **state)
{
	static const uint64_t base[4] = { 0xfee00100, 0xfee00500, 0xfee00900,
		0xfee00d00 };
	/* From disabled, (invalid), xAPIC, x2APIC. */
	static const bool legal[4][4] = { { true, false, true, false },
		{ false, false, false, false }, { true, false, true, true },
		{ true, false, false, true } };
	struct lapic l;

	(void)state;
	for (unsigned from = 0; from < 4; from++)
		for (unsigned to = 0; from != 1 && to < 4; to++) {
			enable(&l, from == 3);
			if (from == 0)
				assert_int_equal(wr(&l, 0x1b, base[0]), 0);
			assert_int_equal(rd(&l, 0x1b, 0), base[from]);
			assert_int_equal(wr(&l, 0x1b, base[to]),
			    legal[from][to] ? 0 : -EPERM);
			assert_int_equal(rd(&l, 0x1b, 0),
			    base[legal[from][to] ? to : from]);
		}
	enable(&l, false);
	assert_int_equal(wr(&l, 0x1b, 0xfee00900 | 1ull << 52), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfee00900 | 1ull << 51), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfee00901), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfee00b00), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfed00900), 0); /* it moves */
}

/* 11.6.2 and 11.12.10 */
static void
test_destination(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	assert_true(lapic_matches(&l, 3, false));
	assert_false(lapic_matches(&l, 2, false));
	assert_true(lapic_matches(&l, 0xff, false));
	assert_false(lapic_matches(&l, 0x103, false));
	lapic_mmio_write(&l, 0xd0, 0x24000000, 0, &act);
	assert_true(lapic_matches(&l, 0x04, true)); /* flat */
	assert_true(lapic_matches(&l, 0x21, true));
	assert_false(lapic_matches(&l, 0x9b, true));
	lapic_mmio_write(&l, 0xe0, 0x0fffffff, 0, &act); /* cluster */
	assert_int_equal(lapic_mmio_read(&l, 0xe0, 0), 0x0fffffff);
	assert_true(lapic_matches(&l, 0x24, true));
	assert_true(lapic_matches(&l, 0xf4, true));
	assert_false(lapic_matches(&l, 0x14, true));
	assert_false(lapic_matches(&l, 0x23, true));
	assert_true(lapic_matches(&l, 0xff, true));

	lapic_reset(&l, 0x25, false, true);
	assert_int_equal(rd(&l, 0x80d, 0), 0x20020);
	assert_true(lapic_matches(&l, 0x20021, true));
	assert_false(lapic_matches(&l, 0x10020, true));
	assert_false(lapic_matches(&l, 0x2001f & ~0x20u, true));
	assert_true(lapic_matches(&l, 0xffffffff, true));
	assert_true(lapic_matches(&l, 0x25, false));
	assert_true(lapic_matches(&l, 0xffffffff, false));
	assert_false(lapic_matches(&l, 0x125, false));
}

/* 11.6.2.2: every destination and every LDR, in words of the manual. */
static void
test_logical(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	for (uint32_t ldr = 0; ldr < 256; ldr++)
		for (uint32_t dest = 0; dest < 256; dest++) {
			bool flat = (ldr & dest) != 0 || dest == 0xff;
			bool cluster = dest == 0xff ||
			    ((dest / 16 == ldr / 16 || dest / 16 == 15) &&
				(dest % 16 & ldr % 16) != 0);

			mw(&l, 0xd0, ldr << 24);
			mw(&l, 0xe0, 0xffffffff);
			assert_int_equal(lapic_matches(&l, dest, true), flat);
			mw(&l, 0xe0, 0x0fffffff);
			assert_int_equal(
			    lapic_matches(&l, dest, true), cluster);
			mw(&l, 0xe0, 0x5fffffff); /* no such model */
			assert_int_equal(
			    lapic_matches(&l, dest, true), dest == 0xff);
		}
	/* x2APIC: 16 ids to a cluster, a bit each. */
	for (uint32_t id = 0; id < 300; id++) {
		lapic_reset(&l, id, false, true);
		for (uint32_t other = 0; other < 300; other++) {
			uint32_t dest = other / 16 << 16 | 1u << other % 16;

			assert_int_equal(
			    lapic_matches(&l, dest, true), id == other);
			assert_int_equal(lapic_matches(&l,
			    other / 16 << 16 | 0xffff, true),
			    id / 16 == other / 16);
		}
	}
	/* Nobody is behind an APIC that is off. */
	lapic_reset(&l, 3, false, false);
	assert_int_equal(wr(&l, 0x1b, 0xfee00000), 0);
	assert_false(lapic_matches(&l, 3, false));
	assert_false(lapic_matches(&l, 0xffffffff, false));
}

/* 11.12.1: which register numbers exist in x2APIC mode. */
static void
test_x2apic_map(void **state)
{
	static const uint8_t readable[] = { 0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f,
		0x10, 0x17, 0x18, 0x1f, 0x20, 0x27, 0x28, 0x2f, 0x30, 0x32,
		0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e };
	static const uint8_t faults[] = { 0x00, 0x01, 0x04, 0x07, 0x09, 0x0b,
		0x0c, 0x0e, 0x29, 0x2e, 0x31, 0x3a, 0x3d, 0x3f, 0x40, 0xff };
	static const uint8_t read_only[] = { 0x02, 0x03, 0x0a, 0x0d, 0x0e, 0x10,
		0x18, 0x20, 0x31, 0x39, 0x40, 0xff };
	struct lapic l;
	uint64_t v;

	(void)state;
	enable(&l, true);
	for (unsigned i = 0; i < sizeof(readable); i++)
		(void)rd(&l, 0x800u + readable[i], 0);
	for (unsigned i = 0; i < sizeof(faults); i++)
		assert_int_equal(
		    lapic_msr_read(&l, 0x800u + faults[i], &v, 0), -EPERM);
	for (unsigned i = 0; i < sizeof(read_only); i++)
		assert_int_equal(wr(&l, 0x800u + read_only[i], 0), -EPERM);
	assert_int_equal(wr(&l, 0x80b, 0), 0);
	assert_int_equal(wr(&l, 0x80b, 1), -EPERM);
	assert_int_equal(wr(&l, 0x828, 0), 0);
	assert_int_equal(wr(&l, 0x828, 1), -EPERM);
	assert_int_equal(wr(&l, 0x808, 0x100), -EPERM);
	assert_int_equal(wr(&l, 0x808, 1ull << 32), -EPERM);
	assert_int_equal(wr(&l, 0x832, 0x80000), -EPERM);
	assert_int_equal(wr(&l, 0x837, 0x100), -EPERM);
	assert_int_equal(wr(&l, 0x83e, 4), -EPERM);
	assert_int_equal(wr(&l, 0x7ff, 0), -ENOENT);
	assert_int_equal(wr(&l, 0x900, 0), -ENOENT);
	assert_int_equal(lapic_msr_read(&l, 0x10, &v, 0), -ENOENT);
	assert_int_equal(lapic_mmio_read(&l, 0x30, 0), 0xffffffff);
	enable(&l, false);
	assert_int_equal(lapic_msr_read(&l, 0x803, &v, 0), -EPERM);
	assert_int_equal(wr(&l, 0x80f, 0x1ff), -EPERM);
}

/* Figure 11-27 */
static void
test_apicbase(void **state)
{
	struct lapic l;

	(void)state;
	enable(&l, false);
	assert_int_equal(wr(&l, 0x1b, 0xfee00500), -EPERM); /* EXTD alone */
	assert_int_equal(wr(&l, 0x1b, 0xfee00901), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 1ull << 52 | 0x900), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfee00d00), 0);
	assert_true(lapic_is_x2apic(&l));
	assert_int_equal(rd(&l, 0x80f, 0), 0x1ff); /* kept */
	assert_int_equal(wr(&l, 0x1b, 0xfee00900), -EPERM); /* not back */
	assert_int_equal(wr(&l, 0x1b, 0xfee00100), 0);
	assert_false(lapic_enabled(&l));
	assert_true(act.timer);
	assert_int_equal(wr(&l, 0x1b, 0xfee00d00), -EPERM);
	assert_int_equal(wr(&l, 0x1b, 0xfee00900), 0);
	assert_int_equal(lapic_mmio_read(&l, 0xf0, 0), 0xff); /* as reset */
	assert_int_equal(lapic_mmio_read(&l, 0x20, 0), 3u << 24);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_timer_late),
	    cmocka_unit_test(test_timer_slow_guest),
		cmocka_unit_test(test_tsc_deadline),
		cmocka_unit_test(test_tsc_rate),
		cmocka_unit_test(test_icr),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_software_disable),
		cmocka_unit_test(test_extint),
		cmocka_unit_test(test_lint_edge),
		cmocka_unit_test(test_lint_level),
		cmocka_unit_test(test_lint_others),
		cmocka_unit_test(test_eoi_broadcast),
		cmocka_unit_test(test_icr_modes),
		cmocka_unit_test(test_divisors),
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_destination),
		cmocka_unit_test(test_logical),
		cmocka_unit_test(test_x2apic_map),
		cmocka_unit_test(test_apicbase),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
