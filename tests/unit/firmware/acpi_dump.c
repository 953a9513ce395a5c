/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes the tables of the examples to files, DIR/N-SIGNATURE.aml, for
 * iasl.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acpi_example.h"
#include "firmware/le.h"

static void
save(const char *dir, size_t e, const uint8_t *t)
{
	char path[4096];
	FILE *f;

	(void)snprintf(
	    path, sizeof(path), "%s/%zu-%.4s.aml", dir, e, (const char *)t);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(t, le32_get(t + 4), 1, f) != 1 ||
	    fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

int
main(int argc, char *argv[])
{
	static uint8_t buf[ACPI_SIZE];
	const uint8_t *xsdt, *t;
	size_t e;
	uint32_t i;

	if (argc != 2)
		return (2);
	for (e = 0; e < ACPI_EXAMPLES; e++) {
		if (acpi_build(&acpi_examples[e], ACPI_BASE, buf) < 0)
			return (1);
		save(argv[1], e, buf + (le32_get(buf + 16) - ACPI_BASE));
		xsdt = buf + (le64_get(buf + 24) - ACPI_BASE);
		save(argv[1], e, xsdt);
		for (i = 36; i < le32_get(xsdt + 4); i += 8) {
			t = buf + (le64_get(xsdt + i) - ACPI_BASE);
			save(argv[1], e, t);
			if (memcmp(t, "FACP", 4) != 0)
				continue;
			save(argv[1], e, buf + (le64_get(t + 132) - ACPI_BASE));
			save(argv[1], e, buf + (le64_get(t + 140) - ACPI_BASE));
		}
	}
	return (0);
}
