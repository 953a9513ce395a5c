/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "vmm/lapic.h"

static void
deliver(struct lapic *l, uint64_t now)
{
	int v = lapic_pending(l);

	FUZZ_CHECK(v >= -1 && v <= LAPIC_EXTINT);
	if (v >= 0 && v != LAPIC_EXTINT) {
		FUZZ_CHECK(v >= 16);
		FUZZ_CHECK(l->irr[v / 32] & 1u << v % 32);
		lapic_take(l, (uint8_t)v, now);
		FUZZ_CHECK(l->isr[v / 32] & 1u << v % 32);
		/* Never the same or a lower class on top of it. */
		FUZZ_CHECK(lapic_pending(l) == -1 ||
		    lapic_pending(l) == LAPIC_EXTINT ||
		    lapic_pending(l) / 16 > v / 16);
	}
}

static uint32_t
any_msr(struct fuzz_in *in, uint8_t op)
{
	static const uint32_t odd[] = { 0x1b, 0x6e0, 0x7ff, 0x900 };

	if (op & 0x20)
		return (odd[fuzz_u8(in) & 3]);
	return (0x800 + fuzz_u8(in));
}

static void
step(struct lapic *l, struct fuzz_in *in, uint64_t *now)
{
	uint8_t op = fuzz_u8(in), val;
	struct lapic_action act;
	uint64_t v = 0;
	int error;

	memset(&act, 0, sizeof(act));
	if (op & 0x80)
		fuzz_pass(in, now);
	val = op & 0x40 ? 0 : fuzz_u8(in);
	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		lapic_mmio_write(l, fuzz_u8(in) * 16u + (op & 0x20 ? val : 0),
		    op & 0x10 ? fuzz_u32(in) : val, *now, &act);
		break;
	case 3:
		(void)lapic_mmio_read(l, (uint32_t)fuzz_take(in, 2) & 0xfff,
		    *now);
		break;
	case 4:
	case 5:
	case 6:
		error = lapic_msr_write(l, any_msr(in, op),
		    op & 0x10 ? fuzz_u64(in) : val, *now, &act);
		FUZZ_CHECK(error == 0 || error == -EPERM || error == -ENOENT);
		break;
	case 7:
		error = lapic_msr_read(l, any_msr(in, op), &v, *now);
		FUZZ_CHECK(error == 0 || error == -EPERM || error == -ENOENT);
		break;
	case 8:
	case 9:
		lapic_accept(l, val, op & 0x10);
		break;
	case 10:
		lapic_set_cr8(l, fuzz_u64(in));
		FUZZ_CHECK(lapic_get_cr8(l) < 16);
		break;
	case 11:
		(void)lapic_matches(l, fuzz_u32(in), op & 0x10);
		break;
	case 12:
		(void)lapic_lint(l, val >> 1 & 1, val & 1);
		break;
	case 13:
		if (l->timer_deadline == UINT64_MAX)
			break;
		if (l->timer_deadline > *now && l->timer_deadline >> 62 == 0)
			*now = l->timer_deadline;
		(void)lapic_timer_expire(l, *now);
		FUZZ_CHECK(l->timer_deadline > *now);
		break;
	case 14:
		if (val == 0)
			lapic_init_ipi(l);
		break;
	default:
		deliver(l, *now);
		break;
	}
	if (act.ipi)
		FUZZ_CHECK(act.ipi_mode < 8 && act.ipi_shorthand < 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t how = fuzz_u8(&in);
	uint64_t now = 0;
	struct lapic l;

	lapic_reset(&l, how >> 2, how & 1, how & 2);
	while (in.left > 0 && now >> 62 == 0) {
		step(&l, &in, &now);
		/* There is no vector below 16 to be had (11.5.2). */
		FUZZ_CHECK((l.irr[0] & 0xffff) == 0);
		FUZZ_CHECK((l.isr[0] & 0xffff) == 0);
		FUZZ_CHECK(!(!lapic_enabled(&l) && lapic_is_x2apic(&l)));
		(void)lapic_pending(&l);
	}
	return (0);
}
