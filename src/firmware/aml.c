/* SPDX-License-Identifier: BSD-2-Clause */
#include "firmware/aml.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/le.h"

/* ACPI 6.4, section 20.3. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_DECREMENT = 0x76,
	OP_SHIFT_LEFT = 0x79,
	OP_SHIFT_RIGHT = 0x7a,
	OP_AND = 0x7b,
	OP_FIND_SET_RIGHT = 0x82,
	OP_CREATE_WORD = 0x8b,
	OP_NOTIFY = 0x86,
	OP_LEQUAL = 0x93,
	OP_IF = 0xa0,
	OP_ELSE = 0xa1,
	OP_RETURN = 0xa4,
};

enum { OPEN_PACKAGE, OPEN_RESOURCES };

void
aml_init(struct aml *a)
{
	memset(a, 0, sizeof(*a));
}

void
aml_fini(struct aml *a)
{
	free(a->buf);
	memset(a, 0, sizeof(*a));
}

int
aml_error(const struct aml *a)
{
	if (a->error != 0)
		return (a->error);
	return (a->depth == 0 ? 0 : -EINVAL);
}

static void
fail(struct aml *a, int error)
{
	if (a->error == 0)
		a->error = error;
}

static bool
reserve(struct aml *a, size_t len)
{
	size_t room;
	uint8_t *p;

	if (a->error != 0)
		return (false);
	if (len <= a->room - a->len)
		return (true);
	room = a->room != 0 ? a->room * 2 : 1024;
	while (room - a->len < len)
		room *= 2;
	p = realloc(a->buf, room);
	if (p == NULL) {
		fail(a, -ENOMEM);
		return (false);
	}
	a->buf = p;
	a->room = room;
	return (true);
}

void
aml_bytes(struct aml *a, const void *p, size_t len)
{
	if (len == 0 || !reserve(a, len))
		return;
	memcpy(a->buf + a->len, p, len);
	a->len += len;
}

static void
byte(struct aml *a, unsigned val)
{
	uint8_t b = (uint8_t)val;

	aml_bytes(a, &b, 1);
}

static void
open_term(struct aml *a, uint8_t kind)
{
	if (a->depth == AML_DEPTH) {
		fail(a, -EINVAL);
		return;
	}
	a->open[a->depth].start = a->len;
	a->open[a->depth].kind = kind;
	a->depth++;
}

/*
 * PkgLength (20.2.4): the length counts its own bytes. One byte holds 6
 * bits; more have 4 bits in the first and 8 in each of up to three others.
 */
static size_t
encode_pkg_length(uint8_t out[4], size_t body)
{
	size_t n, len;

	if (body + 1 < 0x40) {
		out[0] = (uint8_t)(body + 1);
		return (1);
	}
	n = body + 2 < 1u << 12 ? 2 : body + 3 < 1u << 20 ? 3 : 4;
	len = body + n;
	if (len >= 1u << 28)
		return (0);
	out[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
	out[1] = (uint8_t)(len >> 4);
	out[2] = (uint8_t)(len >> 12);
	out[3] = (uint8_t)(len >> 20);
	return (n);
}

/* Puts bytes before what was written since `at`. */
static void
insert(struct aml *a, size_t at, const void *p, size_t len)
{
	if (!reserve(a, len))
		return;
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, p, len);
	a->len += len;
}

static void
close_term(struct aml *a)
{
	uint8_t pkg[4];
	size_t start, n;

	start = a->open[--a->depth].start;
	n = encode_pkg_length(pkg, a->len - start);
	if (n == 0)
		fail(a, -EINVAL);
	else
		insert(a, start, pkg, n);
}

void
aml_end(struct aml *a)
{
	size_t start, size;
	uint8_t num[3];

	if (a->depth == 0)
		fail(a, -EINVAL);
	if (a->error != 0)
		return;
	if (a->open[a->depth - 1].kind == OPEN_PACKAGE) {
		close_term(a);
		return;
	}
	/* End tag, checksum 0: "treated as correct" (6.4.2.9). */
	byte(a, 0x79);
	byte(a, 0);
	if (a->error != 0)
		return;
	/* Buffer := BufferOp PkgLength BufferSize ByteList */
	start = a->open[a->depth - 1].start;
	size = a->len - start;
	if (size < 0x100) {
		num[0] = OP_BYTE;
		num[1] = (uint8_t)size;
		insert(a, start, num, 2);
	} else if (size < 0x10000) {
		num[0] = OP_WORD;
		le16_put(num + 1, (uint16_t)size);
		insert(a, start, num, 3);
	} else {
		fail(a, -EINVAL);
	}
	close_term(a);
}

/* The length of the segment at s; its characters are checked (20.2.2). */
static size_t
segment(struct aml *a, const char *s)
{
	size_t n;

	for (n = 0; s[n] != '\0' && s[n] != '.'; n++)
		if (!(isupper((unsigned char)s[n]) || s[n] == '_' ||
			(n > 0 && isdigit((unsigned char)s[n]))))
			fail(a, -EINVAL);
	if (n == 0 || n > 4)
		fail(a, -EINVAL);
	return (n);
}

void
aml_path(struct aml *a, const char *path)
{
	unsigned nseg = 1;
	const char *p;
	char seg[4];
	size_t n;

	if (*path == '\\')
		byte(a, (unsigned char)*path++);
	else
		while (*path == '^')
			byte(a, (unsigned char)*path++);
	if (*path == '\0') {
		byte(a, 0); /* the root itself */
		return;
	}
	for (p = path; *p != '\0'; p++)
		nseg += *p == '.';
	if (nseg == 2) {
		byte(a, OP_DUAL_NAME);
	} else if (nseg > 2) {
		byte(a, OP_MULTI_NAME);
		byte(a, nseg);
	}
	for (p = path; a->error == 0; p += n + 1) {
		n = segment(a, p);
		if (a->error != 0)
			return;
		memset(seg, '_', sizeof(seg));
		memcpy(seg, p, n);
		aml_bytes(a, seg, sizeof(seg));
		if (p[n] == '\0')
			return;
	}
}

void
aml_scope(struct aml *a, const char *path)
{
	byte(a, OP_SCOPE);
	open_term(a, OPEN_PACKAGE);
	aml_path(a, path);
}

void
aml_device(struct aml *a, const char *path)
{
	byte(a, OP_EXT);
	byte(a, OP_EXT_DEVICE);
	open_term(a, OPEN_PACKAGE);
	aml_path(a, path);
}

void
aml_method(struct aml *a, const char *path, unsigned nargs, bool serialized)
{
	if (nargs > 7)
		fail(a, -EINVAL);
	byte(a, OP_METHOD);
	open_term(a, OPEN_PACKAGE);
	aml_path(a, path);
	byte(a, nargs | (serialized ? 0x08 : 0));
}

void
aml_package(struct aml *a, unsigned nelements)
{
	if (nelements > 255)
		fail(a, -EINVAL);
	byte(a, OP_PACKAGE);
	open_term(a, OPEN_PACKAGE);
	byte(a, nelements);
}

void
aml_if(struct aml *a)
{
	byte(a, OP_IF);
	open_term(a, OPEN_PACKAGE);
}

void
aml_else(struct aml *a)
{
	byte(a, OP_ELSE);
	open_term(a, OPEN_PACKAGE);
}

void
aml_resources(struct aml *a)
{
	byte(a, OP_BUFFER);
	open_term(a, OPEN_RESOURCES);
}

void
aml_name(struct aml *a, const char *path)
{
	byte(a, OP_NAME);
	aml_path(a, path);
}

void
aml_name_int(struct aml *a, const char *path, uint64_t val)
{
	aml_name(a, path);
	aml_int(a, val);
}

void
aml_name_string(struct aml *a, const char *path, const char *s)
{
	aml_name(a, path);
	aml_string(a, s);
}

/*
 * Three letters of 5 bits and four hexadecimal digits, big-endian (19.6.37,
 * after the EISA specification).
 */
void
aml_name_eisaid(struct aml *a, const char *path, const char *id)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *digit;
	uint32_t val = 0;
	unsigned i;

	aml_name(a, path);
	if (strlen(id) != 7) {
		fail(a, -EINVAL);
		return;
	}
	for (i = 0; i < 7; i++) {
		if (i < 3) {
			if (!isupper((unsigned char)id[i]))
				fail(a, -EINVAL);
			val = val << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
		} else {
			digit = strchr(hex, id[i]);
			if (digit == NULL)
				fail(a, -EINVAL);
			val = val << 4 |
			      (uint32_t)(digit != NULL ? digit - hex : 0);
		}
	}
	aml_int(a, __builtin_bswap32(val));
}

void
aml_dword(struct aml *a, uint32_t val)
{
	uint8_t b[5] = {OP_DWORD};

	le32_put(b + 1, val);
	aml_bytes(a, b, sizeof(b));
}

void
aml_int(struct aml *a, uint64_t val)
{
	uint8_t raw[9];
	size_t n;

	if (val <= 1) {
		byte(a, val == 0 ? OP_ZERO : OP_ONE);
		return;
	}
	if (val <= UINT8_MAX) {
		raw[0] = OP_BYTE;
		n = 1;
	} else if (val <= UINT16_MAX) {
		raw[0] = OP_WORD;
		n = 2;
	} else if (val <= UINT32_MAX) {
		raw[0] = OP_DWORD;
		n = 4;
	} else {
		raw[0] = OP_QWORD;
		n = 8;
	}
	le64_put(raw + 1, val);
	aml_bytes(a, raw, n + 1);
}

void
aml_string(struct aml *a, const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p > 0x7f)
			fail(a, -EINVAL);
	byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

void
aml_local(struct aml *a, unsigned n)
{
	if (n > 7)
		fail(a, -EINVAL);
	byte(a, OP_LOCAL0 + n);
}

void
aml_arg(struct aml *a, unsigned n)
{
	if (n > 6)
		fail(a, -EINVAL);
	byte(a, OP_ARG0 + n);
}

void
aml_return(struct aml *a)
{
	byte(a, OP_RETURN);
}

void
aml_store(struct aml *a)
{
	byte(a, OP_STORE);
}

void
aml_lequal(struct aml *a)
{
	byte(a, OP_LEQUAL);
}

void
aml_decrement(struct aml *a)
{
	byte(a, OP_DECREMENT);
}

void
aml_shift_left(struct aml *a)
{
	byte(a, OP_SHIFT_LEFT);
}

void
aml_shift_right(struct aml *a)
{
	byte(a, OP_SHIFT_RIGHT);
}

void
aml_and(struct aml *a)
{
	byte(a, OP_AND);
}

void
aml_find_set_right(struct aml *a)
{
	byte(a, OP_FIND_SET_RIGHT);
}

void
aml_no_target(struct aml *a)
{
	byte(a, 0);
}

void
aml_create_word(struct aml *a)
{
	byte(a, OP_CREATE_WORD);
}

void
aml_region(struct aml *a, const char *path, enum aml_space space,
    uint64_t offset, uint64_t len)
{
	byte(a, OP_EXT);
	byte(a, OP_EXT_REGION);
	aml_path(a, path);
	byte(a, space);
	aml_int(a, offset);
	aml_int(a, len);
}

void
aml_field(struct aml *a, const char *region)
{
	byte(a, OP_EXT);
	byte(a, OP_EXT_FIELD);
	open_term(a, OPEN_PACKAGE);
	aml_path(a, region);
	byte(a, 0x01); /* ByteAcc, NoLock, Preserve */
}

/* A length in bits, written like a PkgLength that does not count itself. */
static void
bits(struct aml *a, unsigned n)
{
	if (n >= 1u << 12) {
		fail(a, -EINVAL);
	} else if (n < 0x40) {
		byte(a, n);
	} else {
		byte(a, 0x40 | (n & 0xf));
		byte(a, n >> 4);
	}
}

void
aml_field_gap(struct aml *a, unsigned n)
{
	byte(a, 0);
	bits(a, n);
}

void
aml_field_unit(struct aml *a, const char *name, unsigned n)
{
	aml_path(a, name);
	bits(a, n);
}

void
aml_notify(struct aml *a)
{
	byte(a, OP_NOTIFY);
}
