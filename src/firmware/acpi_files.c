/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables for a firmware that places them itself. The language is that of
 * QEMU's bios-linker-loader (hw/acpi/bios-linker-loader.c describes it):
 * commands of 128 bytes that name files of fw_cfg.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/acpi.h"
#include "firmware/acpi_priv.h"
#include "firmware/le.h"

#define COMMAND_SIZE 128u
#define NAME_SIZE    56u
#define COMMANDS_MAX 80u

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

/* What acpi_build() aligns its tables to, FACS among them. */
#define TABLE_ALIGN 64u

struct script {
	uint8_t *buf;
	unsigned n;
};

static uint8_t *
command(struct script *s, uint32_t what, const char *file)
{
	uint8_t *p;

	if (s->n == COMMANDS_MAX)
		return (NULL);
	p = s->buf + s->n++ * COMMAND_SIZE;
	le32_put(p, what);
	memcpy(p + 4, file, strlen(file));
	return (p + 4 + NAME_SIZE);
}

/* Loads a file to an address that is a multiple of `align`. */
static int
allocate(struct script *s, const char *file, uint32_t align, uint8_t zone)
{
	uint8_t *p = command(s, ALLOCATE, file);

	if (p == NULL)
		return (-ENOSPC);
	le32_put(p, align);
	p[4] = zone;
	return (0);
}

/* Adds the address of `target` to the field of `file` at `at`. */
static int
add_pointer(struct script *s, const char *file, uint32_t at, uint8_t size,
    const char *target)
{
	uint8_t *p = command(s, ADD_POINTER, file);

	if (p == NULL)
		return (-ENOSPC);
	memcpy(p, target, strlen(target));
	le32_put(p + NAME_SIZE, at);
	p[NAME_SIZE + 4] = size;
	return (0);
}

/* Makes [start, start + len) of `file` sum up to 0 by its byte at `at`. */
static int
add_checksum(struct script *s, const char *file, uint32_t at, uint32_t start,
    uint32_t len)
{
	uint8_t *p = command(s, ADD_CHECKSUM, file);

	if (p == NULL)
		return (-ENOSPC);
	le32_put(p, at);
	le32_put(p + 4, start);
	le32_put(p + 8, len);
	return (0);
}

/* Those of the root pointer lie in a file of their own. */
static int
add_pointers(struct script *s, const struct acpi_fixups *fix)
{
	const struct acpi_pointer *p = fix->pointer;
	int error = 0;
	unsigned i;

	for (i = 0; i < fix->npointers && error == 0; i++, p++)
		error = add_pointer(s,
		    p->at < ACPI_RSDP_SIZE ? ACPI_FILE_RSDP : ACPI_FILE_TABLES,
		    p->at, p->size,
		    p->vmgenid ? ACPI_FILE_VMGENID : ACPI_FILE_TABLES);
	return (error);
}

static int
write_script(struct script *s, const struct acpi_config *cfg,
    const struct acpi_fixups *fix)
{
	int error;
	unsigned i;

	error = allocate(s, ACPI_FILE_RSDP, 16, ZONE_FSEG);
	if (error == 0)
		error = allocate(s, ACPI_FILE_TABLES, TABLE_ALIGN, ZONE_HIGH);
	if (error == 0 && cfg->vmgenid != 0)
		error = allocate(
		    s, ACPI_FILE_VMGENID, ACPI_VMGENID_SIZE, ZONE_HIGH);
	if (error == 0)
		error = add_pointers(s, fix);
	/* The sums come last: they cover the pointers. */
	for (i = 0; i < fix->nsums && error == 0; i++)
		error = add_checksum(s, ACPI_FILE_TABLES, fix->sum[i].at + 9,
		    fix->sum[i].at, fix->sum[i].len);
	if (error == 0)
		error = add_checksum(s, ACPI_FILE_RSDP, 8, 0, 20);
	if (error == 0)
		error = add_checksum(s, ACPI_FILE_RSDP, 32, 0, ACPI_RSDP_SIZE);
	return (error);
}

int
acpi_files_build(struct acpi_files *f, const struct acpi_config *cfg)
{
	struct acpi_fixups fix = {.npointers = 0};
	struct script s = {.n = 0};
	unsigned i;
	int n;

	memset(f, 0, sizeof(*f));
	f->tables = malloc(ACPI_SIZE);
	f->loader = s.buf = calloc(COMMANDS_MAX, COMMAND_SIZE);
	if (f->tables == NULL || f->loader == NULL) {
		acpi_files_fini(f);
		return (-ENOMEM);
	}
	n = acpi_build_noting(cfg, 0, f->tables, &fix);
	if (n < 0) {
		acpi_files_fini(f);
		return (n);
	}
	/* A firmware may store the sum without looking what was there. */
	for (i = 0; i < fix.nsums; i++)
		f->tables[fix.sum[i].at + 9] = 0;
	memcpy(f->rsdp, f->tables, ACPI_RSDP_SIZE);
	memset(f->tables, 0, ACPI_RSDP_SIZE);
	f->rsdp[8] = f->rsdp[32] = 0;
	f->tables_len = (size_t)n;
	n = write_script(&s, cfg, &fix);
	f->loader_len = s.n * COMMAND_SIZE;
	if (n != 0)
		acpi_files_fini(f);
	return (n);
}

void
acpi_files_fini(struct acpi_files *f)
{
	free(f->tables);
	free(f->loader);
	f->tables = f->loader = NULL;
}
