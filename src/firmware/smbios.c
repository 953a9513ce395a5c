/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SMBIOS structures. Sections are those of DMTF DSP0134, version 3.0.
 */
#include "firmware/smbios.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/md5.h"
#include "firmware/le.h"
#include "gmem/gmem.h"

#define ENTRY3_SIZE 0x18u

#define NO_HANDLE 0xfffeu

struct builder {
	const struct smbios_config *cfg;
	uint8_t *buf;
	size_t len;
	uint8_t *s; /* the structure that is being made */
	unsigned nstrings;
	uint16_t count, max; /* structures; the largest one's bytes */
	uint16_t array; /* handle of the memory array */
	int error;
};

static uint8_t
checksum(const uint8_t *p, size_t len)
{
	unsigned sum = 0;

	while (len-- > 0)
		sum += *p++;
	return ((uint8_t)(0u - sum));
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c = (char)tolower((unsigned char)c);
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

int
smbios_parse_uuid(const char *s, uint8_t uuid[16])
{
	unsigned i, n = 0;
	int hi, lo;

	for (i = 0; i < 36; i += 2) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			if (s[i++] != '-')
				return (-EINVAL);
		hi = hex_digit(s[i]);
		lo = hi >= 0 ? hex_digit(s[i + 1]) : -1;
		if (lo < 0)
			return (-EINVAL);
		uuid[n++] = (uint8_t)(hi << 4 | lo);
	}
	return (s[36] == '\0' ? 0 : -EINVAL);
}

void
smbios_derive_uuid(const char *name, const char *hostname, uint8_t uuid[16])
{
	char field[256] = {0};
	struct md5 m;

	/* FreeBSD's MAXHOSTNAMELEN, filled up with zeroes. */
	memcpy(field, hostname, strnlen(hostname, sizeof(field) - 1));
	md5_init(&m);
	md5_update(&m, name, strlen(name));
	md5_update(&m, field, sizeof(field));
	md5_final(&m, uuid);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x30);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* Begins a structure (6.1.2); its handle, or 0 if there is no room. */
static uint16_t
begin(struct builder *b, uint8_t type, uint8_t len)
{
	if (b->error != 0 || len > SMBIOS_SIZE - b->len) {
		b->error = -ENOSPC;
		return (0);
	}
	b->s = b->buf + b->len;
	b->len += len;
	b->nstrings = 0;
	b->s[0] = type;
	b->s[1] = len;
	le16_put(b->s + 2, ++b->count);
	return (b->count);
}

/* Adds a string (6.1.3) and gives its number to the field at `off`. */
static void
string(struct builder *b, unsigned off, const char *s)
{
	size_t n = s != NULL ? strlen(s) : 0;

	if (b->error != 0 || n == 0)
		return;
	if (n + 1 > SMBIOS_SIZE - b->len) {
		b->error = -ENOSPC;
		return;
	}
	memcpy(b->buf + b->len, s, n + 1);
	b->len += n + 1;
	b->s[off] = (uint8_t)++b->nstrings;
}

static void
text(struct builder *b, unsigned off, enum smbios_text t)
{
	string(b, off, b->cfg->text[t]);
}

/* Ends the set of strings, by two NULs if it is empty. */
static void
end(struct builder *b)
{
	size_t n = b->nstrings != 0 ? 1 : 2;

	if (b->error != 0 || n > SMBIOS_SIZE - b->len) {
		b->error = -ENOSPC;
		return;
	}
	b->len += n;
	n = (size_t)(b->buf + b->len - b->s);
	if (n > b->max)
		b->max = (uint16_t)n;
}

/* 7.1: BIOS information. */
static void
add_bios(struct builder *b)
{
	if (begin(b, 0, 0x18) == 0)
		return;
	text(b, 0x04, SMBIOS_BIOS_VENDOR);
	text(b, 0x05, SMBIOS_BIOS_VERSION);
	le16_put(b->s + 0x06, 0xf000);
	text(b, 0x08, SMBIOS_BIOS_DATE);
	/* ISA, PCI, shadowing, boot from CD, EDD. */
	le64_put(b->s + 0x0a,
	    1u << 4 | 1u << 7 | 1u << 12 | 1u << 15 | 1u << 19);
	b->s[0x12] = 0x01; /* ACPI */
	b->s[0x13] = 0x11; /* boot specification, a virtual machine */
	b->s[0x14] = b->s[0x15] = 0xff; /* no release numbers */
	b->s[0x16] = b->s[0x17] = 0xff;
	end(b);
}

/* 7.2: system information. */
static void
add_system(struct builder *b)
{
	const uint8_t *u = b->cfg->uuid;
	uint8_t *p;

	if (begin(b, 1, 0x1b) == 0)
		return;
	text(b, 0x04, SMBIOS_SYSTEM_MANUFACTURER);
	text(b, 0x05, SMBIOS_SYSTEM_PRODUCT);
	text(b, 0x06, SMBIOS_SYSTEM_VERSION);
	text(b, 0x07, SMBIOS_SYSTEM_SERIAL);
	/* 7.2.1: the first three fields are little-endian. */
	p = b->s + 0x08;
	memcpy(p, u, 16);
	p[0] = u[3];
	p[1] = u[2];
	p[2] = u[1];
	p[3] = u[0];
	p[4] = u[5];
	p[5] = u[4];
	p[6] = u[7];
	p[7] = u[6];
	b->s[0x18] = 6; /* woken up by the power switch */
	text(b, 0x19, SMBIOS_SYSTEM_SKU);
	text(b, 0x1a, SMBIOS_SYSTEM_FAMILY);
	end(b);
}

/* 7.3: the board; its chassis is the next structure. */
static void
add_board(struct builder *b)
{
	uint16_t handle = begin(b, 2, 0x0f);

	if (handle == 0)
		return;
	text(b, 0x04, SMBIOS_BOARD_MANUFACTURER);
	text(b, 0x05, SMBIOS_BOARD_PRODUCT);
	text(b, 0x06, SMBIOS_BOARD_VERSION);
	text(b, 0x07, SMBIOS_BOARD_SERIAL);
	text(b, 0x08, SMBIOS_BOARD_ASSET);
	b->s[0x09] = 0x01; /* hosting board */
	text(b, 0x0a, SMBIOS_BOARD_LOCATION);
	le16_put(b->s + 0x0b, (uint16_t)(handle + 1));
	b->s[0x0d] = 0x0a; /* motherboard */
	end(b);
}

/* 7.4: the chassis. */
static void
add_chassis(struct builder *b)
{
	if (begin(b, 3, 0x16) == 0)
		return;
	text(b, 0x04, SMBIOS_CHASSIS_MANUFACTURER);
	b->s[0x05] = 2; /* unknown */
	text(b, 0x06, SMBIOS_CHASSIS_VERSION);
	text(b, 0x07, SMBIOS_CHASSIS_SERIAL);
	text(b, 0x08, SMBIOS_CHASSIS_ASSET);
	b->s[0x09] = b->s[0x0a] = b->s[0x0b] = 3; /* safe */
	b->s[0x0c] = 3;				  /* security: none */
	text(b, 0x15, SMBIOS_CHASSIS_SKU);
	end(b);
}

static void
put_count(struct builder *b, unsigned off, unsigned off2, unsigned n)
{
	b->s[off] = n < 0xff ? (uint8_t)n : 0xff;
	le16_put(b->s + off2, (uint16_t)n);
}

/* 7.5: a package of processors. */
static void
add_cpu(struct builder *b, unsigned n)
{
	const struct smbios_config *cfg = b->cfg;
	char name[24];

	if (begin(b, 4, 0x30) == 0)
		return;
	(void)snprintf(name, sizeof(name), "CPU #%u", n);
	string(b, 0x04, name);
	b->s[0x05] = 3; /* a central processor */
	b->s[0x06] = 1; /* family: other */
	le64_put(b->s + 0x08, cfg->cpu_id);
	b->s[0x18] = 0x41; /* populated, enabled */
	b->s[0x19] = 6;	   /* no upgrade */
	le16_put(b->s + 0x1a, 0xffff); /* no structures for caches */
	le16_put(b->s + 0x1c, 0xffff);
	le16_put(b->s + 0x1e, 0xffff);
	put_count(b, 0x23, 0x2a, cfg->cores);
	put_count(b, 0x24, 0x2c, cfg->cores);
	put_count(b, 0x25, 0x2e, cfg->cores * cfg->threads);
	/* 64 bits, execute protection; more cores, more threads. */
	le16_put(b->s + 0x26,
	    (uint16_t)(0x24 | (cfg->cores > 1 ? 0x08 : 0) |
		       (cfg->threads > 1 ? 0x10 : 0)));
	le16_put(b->s + 0x28, 1);
	end(b);
}

/* 7.17 and 7.18: the memory, as one device. */
static void
add_memory(struct builder *b)
{
	uint64_t size = b->cfg->lowmem + b->cfg->highmem;

	b->array = begin(b, 16, 0x17);
	if (b->array == 0)
		return;
	b->s[0x04] = 3; /* on the board */
	b->s[0x05] = 3; /* system memory */
	b->s[0x06] = 3; /* no error correction */
	le32_put(b->s + 0x07, 0x80000000); /* see the extended field */
	le16_put(b->s + 0x0b, NO_HANDLE);
	le16_put(b->s + 0x0d, 1);
	le64_put(b->s + 0x0f, size);
	end(b);

	if (begin(b, 17, 0x28) == 0)
		return;
	le16_put(b->s + 0x04, b->array);
	le16_put(b->s + 0x06, NO_HANDLE);
	le16_put(b->s + 0x08, 64); /* bits, with and without ECC */
	le16_put(b->s + 0x0a, 64);
	if (size >> 10 <= 0x7fff)
		le16_put(b->s + 0x0c, (uint16_t)(0x8000 | size >> 10));
	else if (size >> 20 < 0x7fff)
		le16_put(b->s + 0x0c, (uint16_t)(size >> 20));
	else {
		le16_put(b->s + 0x0c, 0x7fff);
		le32_put(b->s + 0x1c, (uint32_t)(size >> 20));
	}
	b->s[0x0e] = 2; /* form and type: unknown */
	b->s[0x12] = 2;
	le16_put(b->s + 0x13, 0x04);
	string(b, 0x10, "DIMM 0");
	end(b);
}

/* 7.20: where it lies; in KiB, the last one included. */
static void
add_range(struct builder *b, uint64_t base, uint64_t len)
{
	if (len == 0 || begin(b, 19, 0x1f) == 0)
		return;
	le32_put(b->s + 0x04, (uint32_t)(base >> 10));
	le32_put(b->s + 0x08, (uint32_t)((base + len - 1) >> 10));
	le16_put(b->s + 0x0c, b->array);
	b->s[0x0e] = 1;
	/* From 4 TiB on the numbers stand in the extended fields, in bytes. */
	if ((base + len - 1) >> 10 >= UINT32_MAX) {
		le32_put(b->s + 0x04, UINT32_MAX);
		le32_put(b->s + 0x08, UINT32_MAX);
		le64_put(b->s + 0x0f, base);
		le64_put(b->s + 0x17, base + len - 1);
	}
	end(b);
}

/* 5.2.1 and 5.2.2: the entry points. */
static void
add_entries(struct builder *b)
{
	const uint32_t table = SMBIOS_BASE + SMBIOS_TABLE;
	const uint16_t len = (uint16_t)(b->len - SMBIOS_TABLE);
	uint8_t *p = b->buf;

	memcpy(p, "_SM3_", 5);
	p[0x06] = ENTRY3_SIZE;
	p[0x07] = 3; /* 3.0.0 */
	p[0x0a] = 1; /* revision of the entry point */
	le32_put(p + 0x0c, len);
	le64_put(p + 0x10, table);
	p[0x05] = checksum(p, ENTRY3_SIZE);

	p += SMBIOS_ENTRY;
	memcpy(p, "_SM_", 4);
	p[0x05] = SMBIOS_ENTRY_LEN;
	p[0x06] = 2; /* 2.8 */
	p[0x07] = 8;
	le16_put(p + 0x08, b->max);
	memcpy(p + 0x10, "_DMI_", 5);
	le16_put(p + 0x16, len);
	le32_put(p + 0x18, table);
	le16_put(p + 0x1c, b->count);
	p[0x1e] = 0x28;
	p[0x15] = checksum(p + 0x10, 0x0f);
	p[0x04] = checksum(p, SMBIOS_ENTRY_LEN);
}

int
smbios_build(const struct smbios_config *cfg, uint8_t buf[SMBIOS_SIZE])
{
	struct builder b = {.cfg = cfg, .buf = buf, .len = SMBIOS_TABLE};
	unsigned i;

	memset(buf, 0, SMBIOS_SIZE);
	add_bios(&b);
	add_system(&b);
	add_board(&b);
	add_chassis(&b);
	for (i = 0; i < cfg->sockets && b.error == 0; i++)
		add_cpu(&b, i);
	add_memory(&b);
	add_range(&b, 0, cfg->lowmem);
	add_range(&b, GMEM_HIGHMEM_BASE, cfg->highmem);
	if (begin(&b, 32, 0x0b) != 0) /* 7.33: no boot error */
		end(&b);
	if (begin(&b, 127, 4) != 0)
		end(&b);
	if (b.error != 0)
		return (b.error);
	add_entries(&b);
	return ((int)b.len);
}

int
smbios_install(struct gmem *gm, const struct smbios_config *cfg)
{
	uint8_t buf[SMBIOS_SIZE];
	int n;

	n = smbios_build(cfg, buf);
	return (n < 0 ? n : gmem_write(gm, SMBIOS_BASE, buf, (size_t)n));
}
