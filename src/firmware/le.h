/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_FIRMWARE_LE_H
#define LHYVE_FIRMWARE_LE_H

#include <stdint.h>
#include <string.h>

/*
 * Little-endian fields of the structures that firmware and guest share, at
 * any alignment. lhyve runs on x86 only, where the host's order is theirs.
 */
static inline uint16_t
le16_get(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline uint32_t
le32_get(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline uint64_t
le64_get(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline void
le16_put(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
le32_put(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
le64_put(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif
