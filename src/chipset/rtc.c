/* SPDX-License-Identifier: BSD-2-Clause */
/* After the Motorola MC146818A datasheet. */
#include <string.h>

#include "chipset/rtc.h"

#define NS_PER_S 1000000000ull
#define RTC_XTAL 32768u
/* UIP rises 244 us before an update (datasheet, Update Cycle); the update
 * itself takes no time here. */
#define RTC_UIP_NS 244000u

enum {
	RTC_SEC,
	RTC_SEC_ALARM,
	RTC_MIN,
	RTC_MIN_ALARM,
	RTC_HOUR,
	RTC_HOUR_ALARM,
	RTC_DOW,
	RTC_DAY,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	RTC_CENTURY = 0x32,
};
#define RTC_A_UIP     0x80u
#define RTC_A_RATE    0x0fu
#define RTC_A_RESET   0x60u /* DV2 and DV1: divider held in reset */
#define RTC_B_SET     0x80u
#define RTC_B_PIE     0x40u
#define RTC_B_AIE     0x20u
#define RTC_B_UIE     0x10u
#define RTC_B_SQWE    0x08u
#define RTC_B_BINARY  0x04u
#define RTC_B_24H     0x02u
#define RTC_C_PF      0x40u
#define RTC_C_AF      0x20u
#define RTC_C_UF      0x10u
#define RTC_C_FLAGS   0x70u
#define RTC_C_IRQF    0x80u
#define RTC_D_VRT     0x80u
#define RTC_HOUR_PM   0x80u
#define RTC_ALARM_ANY 0xc0u

static const struct state_field rtc_fields[] = {
    STATE_FIELD(struct rtc, base_sec, 1),
    STATE_FIELD(struct rtc, base_ns, 1),
    STATE_FIELD(struct rtc, seen_ns, 1),
    STATE_ARRAY(struct rtc, ram, 1),
    STATE_FIELD(struct rtc, index, 1),
    STATE_FIELD(struct rtc, running, 1),
    STATE_FIELD(struct rtc, late.owed, 1),
    STATE_FIELD(struct rtc, late.since, 1),
    STATE_FIELD(struct rtc, late.burst, 1),
    STATE_FIELD(struct rtc, late.waiting, 1),
    STATE_FIELD(struct rtc, late.again, 1),
    STATE_END,
};
const struct state_table rtc_state = {"rtc", 1, rtc_fields};

static uint8_t
rtc_encode(const struct rtc *r, unsigned val)
{
	if (r->ram[RTC_B] & RTC_B_BINARY)
		return ((uint8_t)val);
	return ((uint8_t)(val / 10 << 4 | val % 10));
}

/* -1: not a number in the current mode. */
static int
rtc_decode(const struct rtc *r, uint8_t byte)
{
	if (r->ram[RTC_B] & RTC_B_BINARY)
		return (byte);
	if ((byte & 0xf) > 9 || byte >> 4 > 9)
		return (-1);
	return ((byte >> 4) * 10 + (byte & 0xf));
}

static uint8_t
rtc_encode_hour(const struct rtc *r, unsigned hour)
{
	unsigned h12 = hour % 12 ? hour % 12 : 12;

	if (r->ram[RTC_B] & RTC_B_24H)
		return (rtc_encode(r, hour));
	return ((uint8_t)(rtc_encode(r, h12) | (hour >= 12 ? RTC_HOUR_PM : 0)));
}

static int
rtc_decode_hour(const struct rtc *r, uint8_t byte)
{
	int h;

	if (r->ram[RTC_B] & RTC_B_24H)
		return (rtc_decode(r, byte));
	h = rtc_decode(r, byte & 0x7f);
	if (h < 1 || h > 12)
		return (-1);
	return (h % 12 + (byte & RTC_HOUR_PM ? 12 : 0));
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, counting years
 * from March so that the leap day is the last. */
static int64_t
rtc_days(int64_t year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, era, yoe;
	int doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	return (era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468);
}

int64_t
rtc_time(const struct rtc *r, uint64_t now)
{
	if (!r->running)
		return (r->base_sec);
	return (r->base_sec + (int64_t)((now - r->base_ns) / NS_PER_S));
}

/* Fills the time bytes from seconds. */
static void
rtc_to_ram(struct rtc *r, int64_t sec)
{
	int64_t days = sec / 86400, z, era, doe, yoe, doy, mp, year;
	int64_t tod = sec % 86400;

	if (tod < 0) {
		tod += 86400;
		days--;
	}
	z = days + 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	year = yoe + era * 400 + (mp >= 10);
	if (year < 0 || year > 9999)
		year = 0;
	r->ram[RTC_SEC] = rtc_encode(r, (unsigned)(tod % 60));
	r->ram[RTC_MIN] = rtc_encode(r, (unsigned)(tod / 60 % 60));
	r->ram[RTC_HOUR] = rtc_encode_hour(r, (unsigned)(tod / 3600));
	r->ram[RTC_DOW] =
	    rtc_encode(r, (unsigned)(((days + 4) % 7 + 7) % 7 + 1));
	r->ram[RTC_DAY] =
	    rtc_encode(r, (unsigned)(doy - (153 * mp + 2) / 5 + 1));
	r->ram[RTC_MONTH] =
	    rtc_encode(r, (unsigned)(mp < 10 ? mp + 3 : mp - 9));
	r->ram[RTC_YEAR] = rtc_encode(r, (unsigned)(year % 100));
	r->ram[RTC_CENTURY] = rtc_encode(r, (unsigned)(year / 100));
}

/* Seconds from the time bytes; false if they are no date. The day of the
 * week is not looked at: guests write nonsense there. */
static bool
rtc_from_ram(const struct rtc *r, int64_t *out)
{
	static const uint8_t mdays[] = {
	    31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int s = rtc_decode(r, r->ram[RTC_SEC] & 0x7f);
	int m = rtc_decode(r, r->ram[RTC_MIN]);
	int h = rtc_decode_hour(r, r->ram[RTC_HOUR]);
	int day = rtc_decode(r, r->ram[RTC_DAY]);
	int mon = rtc_decode(r, r->ram[RTC_MONTH]);
	int year = rtc_decode(r, r->ram[RTC_YEAR]);
	int cent = rtc_decode(r, r->ram[RTC_CENTURY]);

	if (s < 0 || s > 59 || m < 0 || m > 59 || h < 0 || h > 23 || mon < 1 ||
	    mon > 12 || day < 1 || day > mdays[mon - 1] || year < 0 ||
	    year > 99 || cent < 0 || cent > 99)
		return (false);
	*out = rtc_days(cent * 100 + year, mon, day) * 86400 + h * 3600 +
	       m * 60 + s;
	return (true);
}

/* Whether the time of day that ends with second `sec` meets the alarm. */
static bool
rtc_alarm_at(const struct rtc *r, int64_t sec)
{
	unsigned tod = (unsigned)((sec % 86400 + 86400) % 86400);
	const uint8_t *ram = r->ram;

	if (ram[RTC_SEC_ALARM] < RTC_ALARM_ANY &&
	    ram[RTC_SEC_ALARM] != rtc_encode(r, tod % 60))
		return (false);
	if (ram[RTC_MIN_ALARM] < RTC_ALARM_ANY &&
	    ram[RTC_MIN_ALARM] != rtc_encode(r, tod / 60 % 60))
		return (false);
	return (ram[RTC_HOUR_ALARM] >= RTC_ALARM_ANY ||
		ram[RTC_HOUR_ALARM] == rtc_encode_hour(r, tod / 3600));
}

/* Crystal ticks in a period of the periodic interrupt (table 5); 0: none. */
static uint32_t
rtc_period(const struct rtc *r)
{
	unsigned rate = r->ram[RTC_A] & RTC_A_RATE;

	if (rate == 0 || (r->ram[RTC_A] & RTC_A_RESET) == RTC_A_RESET)
		return (0);
	return (1u << (rate < 3 ? rate + 6 : rate - 1));
}

static uint64_t
rtc_xtal(uint64_t ns)
{
	return ((uint64_t)((unsigned __int128)ns * RTC_XTAL / NS_PER_S));
}

/* Periods that ended after seen_ns, up to now: the flag of the first, and what
 * is owed while it waits for the guest. */
static uint8_t
rtc_periods(struct rtc *r, uint64_t now)
{
	uint32_t period = rtc_period(r);
	uint64_t n;

	if (period == 0 || now <= r->seen_ns)
		return (0);
	n = rtc_xtal(now) / period - rtc_xtal(r->seen_ns) / period;
	if (n == 0)
		return (0);
	(void)ticks_come(&r->late, n, period * NS_PER_S / RTC_XTAL,
	    (r->ram[RTC_B] & RTC_B_PIE) != 0, now);
	return (RTC_C_PF);
}

bool
rtc_update(struct rtc *r, uint64_t now)
{
	int64_t from, to;
	uint8_t flags = rtc_periods(r, now);

	if (r->running && now > r->seen_ns) {
		from = rtc_time(r, r->seen_ns);
		to = rtc_time(r, now);
		if (to > from)
			flags |= RTC_C_UF;
		/* A day holds every time of day. */
		if (to - from > 86400)
			from = to - 86400;
		while (!(flags & RTC_C_AF) && from < to)
			if (rtc_alarm_at(r, ++from))
				flags |= RTC_C_AF;
	}
	if (now > r->seen_ns)
		r->seen_ns = now;
	r->ram[RTC_C] |= flags;
	if (r->ram[RTC_C] & r->ram[RTC_B] & RTC_C_FLAGS)
		r->ram[RTC_C] |= RTC_C_IRQF;
	else
		r->ram[RTC_C] &= (uint8_t)~RTC_C_IRQF;
	return ((r->ram[RTC_C] & RTC_C_IRQF) != 0);
}

uint64_t
rtc_next(const struct rtc *r, uint64_t now)
{
	uint64_t next = RTC_NEVER, at, tick;
	uint32_t period = rtc_period(r);

	/* While IRQ is high nothing new can happen before C is read. */
	if (r->ram[RTC_C] & RTC_C_IRQF)
		return (RTC_NEVER);
	if ((r->ram[RTC_B] & RTC_B_PIE) && period != 0) {
		tick = (rtc_xtal(now) / period + 1) * period;
		next = (uint64_t)(((unsigned __int128)tick * NS_PER_S +
				      RTC_XTAL - 1) /
				  RTC_XTAL);
	}
	if ((r->ram[RTC_B] & (RTC_B_UIE | RTC_B_AIE)) && r->running) {
		at = now + NS_PER_S - (now - r->base_ns) % NS_PER_S;
		if (at < next)
			next = at;
	}
	return (next);
}

/* Starts or stops the clock as registers A and B say. */
static void
rtc_run(struct rtc *r, uint64_t now, uint64_t head_start)
{
	bool run = !(r->ram[RTC_B] & RTC_B_SET) &&
		   (r->ram[RTC_A] & RTC_A_RESET) != RTC_A_RESET;
	int64_t sec;

	if (run == r->running)
		return;
	if (!run) {
		r->base_sec = rtc_time(r, now);
		rtc_to_ram(r, r->base_sec);
		r->running = false;
	} else if (rtc_from_ram(r, &sec)) {
		r->base_sec = sec;
		/* May lie before virtual time 0: the difference counts. */
		r->base_ns = now - head_start;
		r->running = true;
	}
}

static void
rtc_write_date(struct rtc *r, uint8_t index, uint8_t val, uint64_t now)
{
	int64_t sec;

	if (!r->running) {
		r->ram[index] = val;
		rtc_run(r, now, 0);
		return;
	}
	/* Takes effect at once; the fraction of the second goes on. */
	rtc_to_ram(r, rtc_time(r, now));
	r->ram[index] = val;
	if (rtc_from_ram(r, &sec)) {
		r->base_ns = now - (now - r->base_ns) % NS_PER_S;
		r->base_sec = sec;
	} else
		r->running = false;
}

static void
rtc_write_b(struct rtc *r, uint8_t val, uint64_t now)
{
	uint8_t old = r->ram[RTC_B];

	if (!(val & old & RTC_B_PIE))
		ticks_reset(&r->late);
	/* SET going high clears UIE (datasheet, Register B). */
	if ((val & RTC_B_SET) && !(old & RTC_B_SET))
		val &= (uint8_t)~RTC_B_UIE;
	r->ram[RTC_B] = val;
	/* A clock that goes on shows the time in the new format; one that
	 * stands has the bytes that were written. */
	rtc_run(r, now, 0);
}

void
rtc_write(struct rtc *r, unsigned reg, uint8_t val, uint64_t now)
{
	uint8_t old;

	if (reg == 0) {
		r->index = val & 0x7f; /* bit 7 masks NMI on a PC */
		return;
	}
	rtc_update(r, now);
	switch (r->index) {
	case RTC_SEC:
		val &= 0x7f;
		/* FALLTHROUGH */
	case RTC_MIN:
	case RTC_HOUR:
	case RTC_DOW:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		rtc_write_date(r, r->index, val, now);
		break;
	case RTC_A:
		ticks_reset(&r->late);
		old = r->ram[RTC_A];
		r->ram[RTC_A] = val & (uint8_t)~RTC_A_UIP;
		/* The first update comes half a second after the divider's
		 * reset ends (datasheet, Divider Control). */
		rtc_run(r, now,
		    (old & RTC_A_RESET) == RTC_A_RESET ? NS_PER_S / 2 : 0);
		break;
	case RTC_B:
		rtc_write_b(r, val, now);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		r->ram[r->index] = val;
		break;
	}
	rtc_update(r, now);
}

uint8_t
rtc_read(struct rtc *r, unsigned reg, uint64_t now)
{
	uint8_t val;

	if (reg == 0)
		return (0xff); /* write-only */
	rtc_update(r, now);
	switch (r->index) {
	case RTC_SEC:
	case RTC_MIN:
	case RTC_HOUR:
	case RTC_DOW:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		if (r->running)
			rtc_to_ram(r, rtc_time(r, now));
		return (r->ram[r->index]);
	case RTC_A:
		val = r->ram[RTC_A];
		if (r->running &&
		    (now - r->base_ns) % NS_PER_S >= NS_PER_S - RTC_UIP_NS)
			val |= RTC_A_UIP;
		return (val);
	case RTC_C:
		val = r->ram[RTC_C];
		r->ram[RTC_C] = 0;
		if ((val & RTC_C_PF) && ticks_ack(&r->late, now))
			r->ram[RTC_C] = RTC_C_PF;
		return (val);
	default:
		return (r->ram[r->index]);
	}
}

bool
rtc_alarm(const struct rtc *r)
{
	return ((r->ram[RTC_C] & r->ram[RTC_B] & RTC_C_AF) != 0);
}

bool
rtc_clears(const struct rtc *r)
{
	return (r->index == RTC_C);
}

void
rtc_init(struct rtc *r, int64_t sec, uint64_t now)
{
	memset(r, 0, sizeof(*r));
	r->ram[RTC_A] = 0x20;
	r->ram[RTC_B] = RTC_B_24H;
	r->ram[RTC_D] = RTC_D_VRT;
	r->index = RTC_D;
	r->base_sec = sec;
	r->base_ns = now;
	r->seen_ns = now;
	r->running = true;
	rtc_to_ram(r, sec);
}

void
rtc_reset(struct rtc *r, uint64_t now)
{
	rtc_update(r, now);
	r->ram[RTC_B] &=
	    (uint8_t) ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
	r->ram[RTC_C] = 0;
	ticks_reset(&r->late);
}

void
rtc_set_memory(struct rtc *r, uint64_t lowmem, uint64_t highmem)
{
	uint64_t m16 = 16ull << 20, n;

	n = lowmem > m16 ? (lowmem - m16) >> 16 : 0;
	r->ram[0x34] = (uint8_t)n;
	r->ram[0x35] = (uint8_t)(n >> 8);
	n = highmem >> 16;
	r->ram[0x5b] = (uint8_t)n;
	r->ram[0x5c] = (uint8_t)(n >> 8);
	r->ram[0x5d] = (uint8_t)(n >> 16);
}
