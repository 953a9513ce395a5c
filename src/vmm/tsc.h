/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_VMM_TSC_H
#define LHYVE_VMM_TSC_H

#include <stdint.h>

/*
 * A TSC of `khz` kHz that counts virtual time, of which it has one tick a
 * nanosecond if nobody wants another (0 kHz is that, too).
 */
#define TSC_KHZ 1000000u

/* Ticks by then; modulo 2^64, as the counter is. */
static inline uint64_t
tsc_from_ns(uint64_t ns, uint32_t khz)
{
	if (khz == 0 || khz == TSC_KHZ)
		return (ns);
	return ((uint64_t)((unsigned __int128)ns * khz / TSC_KHZ));
}

/* The first ns by which there are so many; UINT64_MAX: later than all. */
static inline uint64_t
tsc_to_ns(uint64_t tsc, uint32_t khz)
{
	unsigned __int128 ns;

	if (khz == 0 || khz == TSC_KHZ)
		return (tsc);
	ns = ((unsigned __int128)tsc * TSC_KHZ + khz - 1) / khz;
	return (ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns);
}

#endif
