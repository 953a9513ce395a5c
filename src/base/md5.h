/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_MD5_H
#define LHYVE_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

/*
 * MD5 (RFC 1321): for names that must come out as bhyve's do (the UUID of a
 * machine), never for secrets.
 */
#define MD5_SIZE 16

struct md5 {
	uint32_t state[4];
	uint64_t len; /* bytes so far */
	uint8_t block[64];
};

void md5_init(struct md5 *m);
void md5_update(struct md5 *m, const void *data, size_t len);
/* The digest; *m is used up. */
void md5_final(struct md5 *m, uint8_t digest[MD5_SIZE]);

#endif
