/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "backend/block/block_priv.h"

unsigned
block_iov_slice(struct iovec *out, const struct iovec *iov, unsigned n,
    uint64_t off, uint64_t len)
{
	unsigned i, k = 0;
	size_t part;

	for (i = 0; i < n && len > 0; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - (size_t)off;
		if (part > len)
			part = (size_t)len;
		out[k].iov_base = (char *)iov[i].iov_base + off;
		out[k++].iov_len = part;
		len -= part;
		off = 0;
	}
	return (k);
}

static void
copy(const struct iovec *iov, unsigned n, uint64_t off, char *buf, size_t len,
    bool to_iov)
{
	unsigned i;
	size_t part;
	char *p;

	for (i = 0; i < n && len > 0; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - (size_t)off;
		if (part > len)
			part = len;
		p = (char *)iov[i].iov_base + off;
		if (to_iov)
			memcpy(p, buf, part);
		else
			memcpy(buf, p, part);
		buf += part;
		len -= part;
		off = 0;
	}
}

void
block_iov_read(
    void *buf, const struct iovec *iov, unsigned n, uint64_t off, size_t len)
{
	copy(iov, n, off, buf, len, false);
}

void
block_iov_write(const struct iovec *iov, unsigned n, uint64_t off,
    const void *buf, size_t len)
{
	copy(iov, n, off, (char *)(uintptr_t)buf, len, true);
}
