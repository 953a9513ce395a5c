/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes what the examples put at 0xf0000 to DIR/N and, with the first entry
 * point left out, to DIR/N-2, as dmidecode --from-dump takes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/le.h"
#include "smbios_example.h"

static uint8_t
checksum(const uint8_t *p, size_t len)
{
	unsigned sum = 0;

	while (len-- > 0)
		sum += *p++;
	return ((uint8_t)(0u - sum));
}

static void
save(const char *dir, size_t n, const char *suffix, const uint8_t *p,
    size_t len)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%zu%s", dir, n, suffix);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(p, len, 1, f) != 1 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

int
main(int argc, char *argv[])
{
	static uint8_t buf[SMBIOS_SIZE];
	uint8_t *e;
	size_t i;
	int len;

	if (argc != 2)
		return (2);
	for (i = 0; i < SMBIOS_EXAMPLES; i++) {
		len = smbios_build(&smbios_examples[i], buf);
		if (len < 0)
			return (1);
		/* A dump has the entry point at 0; addresses are offsets. */
		le64_put(buf + 0x10, le64_get(buf + 0x10) - SMBIOS_BASE);
		buf[5] = 0;
		buf[5] = checksum(buf, 0x18);
		save(argv[1], i, "", buf, (size_t)len);
		e = buf + 0x20;
		le32_put(e + 0x18, le32_get(e + 0x18) - SMBIOS_BASE);
		e[0x15] = e[4] = 0;
		e[0x15] = checksum(e + 0x10, 0x0f);
		e[4] = checksum(e, 0x1f);
		memmove(buf, e, 0x20);
		save(argv[1], i, "-2", buf, (size_t)len);
	}
	return (0);
}
