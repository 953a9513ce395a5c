/* SPDX-License-Identifier: BSD-2-Clause */
/* What a firmware finds in the fw_cfg device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chipset/fwcfg.h"
#include "firmware/acpi.h"
#include "firmware/e820.h"
#include "firmware/file.h"
#include "firmware/le.h"
#include "firmware/smbios.h"
#include "machine/machine_priv.h"

#define E820_RECORD 20u /* base, length, type */

/* All RAM, the first MiB whole: the firmware says what it keeps of it. */
static int
add_e820(struct machine *m, struct fwcfg *f)
{
	const struct e820_entry map[] = {
	    {0, gmem_lowmem(m->gmem), E820_RAM},
	    {MACHINE_ECAM_BASE, E820_ECAM_SIZE, E820_RESERVED},
	    {GMEM_HIGHMEM_BASE, gmem_highmem(m->gmem), E820_RAM},
	};
	const size_t max = sizeof(map) / sizeof(map[0]);
	uint8_t buf[sizeof(map) / sizeof(map[0]) * E820_RECORD], *p = buf;
	size_t i;

	for (i = 0; i < max; i++) {
		if (map[i].len == 0)
			continue;
		le64_put(p, map[i].base);
		le64_put(p + 8, map[i].len);
		le32_put(p + 16, map[i].type);
		p += E820_RECORD;
	}
	return (fwcfg_add_file(f, "etc/e820", buf, (size_t)(p - buf)));
}

static int
add_numbers(struct machine *m, struct fwcfg *f)
{
	uint8_t size[8], cpus[2];
	int error;

	le64_put(size, gmem_lowmem(m->gmem) + gmem_highmem(m->gmem));
	le16_put(cpus, (uint16_t)m->ncpus);
	error = fwcfg_add(f, FWCFG_RAM_SIZE, size, sizeof(size));
	if (error == 0)
		error = fwcfg_add(f, FWCFG_NB_CPUS, cpus, sizeof(cpus));
	if (error == 0)
		error = fwcfg_add(f, FWCFG_MAX_CPUS, cpus, sizeof(cpus));
	return (error);
}

/* -f: a file of the user's, by its number. */
struct user_files {
	struct machine *m;
	struct fwcfg *f;
	struct config_error *err;
};

static int
add_data(struct user_files *u, const char *name, const void *data, size_t len)
{
	int error = fwcfg_add_file(u->f, name, data, len);

	if (error == 0)
		return (0);
	return (config_fail(u->err, "-f %.80s: %s", name,
	    error == -EEXIST	? "this name is taken; give another" :
		error == -EINVAL ? "a name has 1 to 55 characters" :
		error == -EFBIG	 ? "more than 64 MiB; give less" :
		error == -ENOSPC ? "too many files; leave it out" :
				   "out of memory"));
}

static int
add_content(struct user_files *u, const char *var, const char *name,
    const char *path)
{
	struct fw_error fe = {""};
	struct fw_file file;
	uint8_t *buf = NULL;
	int error;

	error = fw_file_open(&file, var, path, &fe);
	if (error != 0)
		return (config_fail(u->err, "%s", fe.msg));
	if (file.size > FWCFG_DATA_MAX)
		error = fw_file_fail(&file, -EFBIG, "more than 64 MiB");
	if (error == 0) {
		buf = malloc(file.size);
		if (buf == NULL)
			error = fw_file_fail(&file, -ENOMEM, "out of memory");
	}
	if (error == 0)
		error = fw_file_read(&file, 0, buf, file.size, "content");
	fw_file_close(&file);
	if (error != 0)
		(void)config_fail(u->err, "%s", fe.msg);
	else
		error = add_data(u, name, buf, file.size);
	free(buf);
	return (error);
}

static int
add_user_file(void *arg, const char *path, const char *value, char origin)
{
	struct user_files *u = arg;
	char var[CONFIG_PATH_MAX];
	const char *data;
	int len = 0;

	(void)origin;
	(void)sscanf(path, "fwcfg.%*u.name%n", &len);
	if (len == 0 || path[len] != '\0')
		return (0);
	len -= (int)strlen("name");
	(void)snprintf(var, sizeof(var), "%.*sstring", len, path);
	data = config_get(u->m->cfg, var);
	if (data != NULL) /* bhyve: with its NUL */
		return (add_data(u, value, data, strlen(data) + 1));
	(void)snprintf(var, sizeof(var), "%.*sfile", len, path);
	data = config_get(u->m->cfg, var);
	if (data != NULL)
		return (add_content(u, var, value, data));
	return (config_fail(u->err,
	    "-f %.80s: has no content; use -f %.80s,string=TEXT or "
	    "-f %.80s,file=FILE",
	    value, value, value));
}

int
machine_create_fwcfg(
    struct machine *m, struct fwcfg **out, struct config_error *err)
{
	struct user_files u = {.m = m, .err = err};
	struct fwcfg *f;
	int error;

	*out = NULL;
	if (config_get(m->cfg, "lpc.fwcfg") == NULL)
		return (0);
	error = fwcfg_create(&f);
	if (error != 0)
		return (error);
	u.f = f;
	error = add_numbers(m, f);
	if (error == 0)
		error = add_e820(m, f);
	if (error == 0)
		error = config_walk(m->cfg, add_user_file, &u);
	if (error != 0) {
		fwcfg_destroy(f);
		return (error);
	}
	*out = f;
	return (0);
}

/* A file of our own; -f may have taken its name. */
static int
add_own(struct machine *m, const char *name, const void *data, size_t len,
    struct config_error *err)
{
	struct user_files u = {.m = m, .f = m->fwcfg, .err = err};

	return (add_data(&u, name, data, len));
}

int
machine_fwcfg_tables(
    struct machine *m, const struct acpi_config *ac, struct config_error *err)
{
	static const uint8_t zeroes[ACPI_VMGENID_SIZE];
	struct acpi_config cfg = *ac;
	uint8_t guid[ACPI_VMGENID_SIZE], extra[8];
	struct acpi_files files;
	int error;

	cfg.vmgenid = ACPI_VMGENID_OFFSET;
	memcpy(guid, zeroes, sizeof(guid));
	error = machine_new_generation(guid + ACPI_VMGENID_OFFSET);
	if (error == 0)
		error = acpi_files_build(&files, &cfg);
	if (error != 0)
		return (error);
	error = add_own(
	    m, ACPI_FILE_TABLES, files.tables, files.tables_len, err);
	if (error == 0)
		error = add_own(m, ACPI_FILE_RSDP, files.rsdp,
		    sizeof(files.rsdp), err);
	if (error == 0)
		error =
		    add_own(m, ACPI_FILE_VMGENID, guid, sizeof(guid), err);
	if (error == 0)
		error = add_own(m, ACPI_FILE_LOADER, files.loader,
		    files.loader_len, err);
	acpi_files_fini(&files);
	/* Buses besides the first that are roots; found by trying. */
	if (error == 0 && ac->nroots > 1) {
		le64_put(extra, ac->nroots - 1);
		error = add_own(m, "etc/extra-pci-roots", extra,
		    sizeof(extra), err);
	}
	return (error);
}

int
machine_fwcfg_smbios(struct machine *m, const uint8_t *buf, size_t len,
    struct config_error *err)
{
	int error;

	error = add_own(m, "etc/smbios/smbios-anchor", buf + SMBIOS_ENTRY,
	    SMBIOS_ENTRY_LEN, err);
	if (error == 0)
		error = add_own(m, "etc/smbios/smbios-tables",
		    buf + SMBIOS_TABLE, len - SMBIOS_TABLE, err);
	return (error);
}
