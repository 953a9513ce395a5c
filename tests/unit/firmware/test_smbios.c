/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firmware/le.h"
#include "firmware/smbios.h"
#include "gmem/gmem.h"
#include "smbios_example.h"

static uint8_t
sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

/* A structure's end, behind its strings. */
static const uint8_t *
next(const uint8_t *s)
{
	s += s[1];
	while (s[0] != 0 || s[1] != 0)
		s++;
	return (s + 2);
}

static const char *
string(const uint8_t *s, uint8_t n)
{
	const char *p = (const char *)s + s[1];

	if (n == 0)
		return ("");
	while (--n > 0)
		p += strlen(p) + 1;
	return (p);
}

/* The nth structure of a type, or NULL. */
static const uint8_t *
find(const uint8_t *buf, uint8_t type, unsigned n)
{
	const uint8_t *s = buf + (le64_get(buf + 0x10) - SMBIOS_BASE);

	for (;; s = next(s)) {
		if (s[0] == type && n-- == 0)
			return (s);
		if (s[0] == 127)
			return (NULL);
	}
}

static void
test_entries(void **state)
{
	uint8_t buf[SMBIOS_SIZE];
	const uint8_t *e = buf + 0x20, *s;
	size_t i, len, max;
	unsigned n;
	int size;

	(void)state;
	for (i = 0; i < SMBIOS_EXAMPLES; i++) {
		size = smbios_build(&smbios_examples[i], buf);
		assert_true(size > 0 && size <= (int)SMBIOS_SIZE);
		assert_memory_equal(buf, "_SM3_", 5);
		assert_int_equal(sum(buf, 0x18), 0);
		assert_memory_equal(e, "_SM_", 4);
		assert_int_equal(sum(e, 0x1f), 0);
		assert_memory_equal(e + 0x10, "_DMI_", 5);
		assert_int_equal(sum(e + 0x10, 0x0f), 0);
		/* Both name the same structures, each with its own handle. */
		assert_true(le32_get(e + 0x18) == le64_get(buf + 0x10));
		assert_int_equal(le16_get(e + 0x16), le32_get(buf + 0x0c));
		s = buf + (le64_get(buf + 0x10) - SMBIOS_BASE);
		for (n = 0, len = max = 0; len < le16_get(e + 0x16); n++) {
			assert_int_equal(le16_get(s + 2), n + 1);
			if ((size_t)(next(s) - s) > max)
				max = (size_t)(next(s) - s);
			len += (size_t)(next(s) - s);
			s = next(s);
		}
		assert_int_equal(len, le16_get(e + 0x16));
		assert_int_equal(n, le16_get(e + 0x1c));
		assert_int_equal(max, le16_get(e + 0x08));
		assert_int_equal(s - buf, size);
	}
}

static void
test_texts_and_uuid(void **state)
{
	static const uint8_t raw[16] = {0x03, 0x02, 0x01, 0x00, 0x05, 0x04,
	    0x07, 0x06, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
	uint8_t buf[SMBIOS_SIZE];
	const uint8_t *s;

	(void)state;
	assert_true(smbios_build(&smbios_examples[1], buf) > 0);
	s = find(buf, 0, 0);
	assert_string_equal(string(s, s[4]), "vendor");
	assert_string_equal(string(s, s[5]), "version");
	assert_string_equal(string(s, s[8]), "01/02/2003");
	s = find(buf, 1, 0);
	assert_memory_equal(s + 8, raw, 16);
	assert_string_equal(string(s, s[0x1a]), "family");
	assert_string_equal(string(s, s[7]), "");
	assert_int_equal(s[7], 0);
	s = find(buf, 2, 0);
	assert_string_equal(string(s, s[0x0a]), "place");
	assert_int_equal(le16_get(s + 0x0b), le16_get(find(buf, 3, 0) + 2));
	s = find(buf, 3, 0);
	assert_string_equal(string(s, s[0x15]), "chassis sku");
}

static void
test_processors(void **state)
{
	uint8_t buf[SMBIOS_SIZE];
	const uint8_t *s;

	(void)state;
	assert_true(smbios_build(&smbios_examples[1], buf) > 0);
	assert_null(find(buf, 4, 2));
	s = find(buf, 4, 1);
	assert_string_equal(string(s, s[4]), "CPU #1");
	assert_int_equal(s[0x23], 4);
	assert_int_equal(s[0x25], 8);
	assert_int_equal(le16_get(s + 0x2e), 8);
	assert_int_equal(le16_get(s + 0x26), 0x3c);
	assert_true(le64_get(s + 8) == 0x1783fbff00800f12);
	assert_true(smbios_build(&smbios_examples[2], buf) > 0);
	assert_non_null(find(buf, 4, 63));
	assert_null(find(buf, 4, 64));
}

static void
test_memory(void **state)
{
	static const struct {
		uint64_t low, high;
		uint16_t size;
		uint32_t ext, start, end;
	} cases[] = {
	    {16 << 20, 0, 0xc000, 0, 0, 0x3fff},
	    {64 << 20, 0, 64, 0, 0, 0xffff},
	    {0xc0000000, 0, 3072, 0, 0, 0x2fffff},
	    {0xc0000000, UINT64_C(5) << 30, 8192, 0, 0x400000, 0x8fffff},
	    {0xc0000000, UINT64_C(61) << 30, 0x7fff, 65536, 0x400000,
		0x40fffff},
	};
	struct smbios_config cfg = smbios_examples[0];
	uint8_t buf[SMBIOS_SIZE];
	const uint8_t *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cfg.lowmem = cases[i].low;
		cfg.highmem = cases[i].high;
		assert_true(smbios_build(&cfg, buf) > 0);
		s = find(buf, 16, 0);
		assert_true(
		    le64_get(s + 0x0f) == cases[i].low + cases[i].high);
		s = find(buf, 17, 0);
		assert_int_equal(
		    le16_get(s + 4), le16_get(find(buf, 16, 0) + 2));
		assert_int_equal(le16_get(s + 0x0c), cases[i].size);
		assert_int_equal(le32_get(s + 0x1c), cases[i].ext);
		s = find(buf, 19, cases[i].high != 0);
		assert_non_null(s);
		assert_null(find(buf, 19, 1 + (cases[i].high != 0)));
		assert_int_equal(le32_get(s + 4), cases[i].start);
		assert_int_equal(le32_get(s + 8), cases[i].end);
	}
}

static void
test_too_long(void **state)
{
	static char text[SMBIOS_SIZE + 1];
	struct smbios_config cfg = smbios_examples[0];
	uint8_t buf[SMBIOS_SIZE + 16];
	size_t n;
	int i;

	(void)state;
	memset(text, 'x', SMBIOS_SIZE);
	/* Every length, so that every step meets the end of the room. */
	for (n = SMBIOS_SIZE; n > 0; n--) {
		text[n] = '\0';
		cfg.text[SMBIOS_SYSTEM_SERIAL] = text;
		memset(buf + SMBIOS_SIZE, 0xa5, 16);
		i = smbios_build(&cfg, buf);
		assert_true(i == -ENOSPC || (i > 0 && i <= (int)SMBIOS_SIZE));
		for (i = 0; i < 16; i++)
			assert_int_equal(buf[SMBIOS_SIZE + i], 0xa5);
	}
}

static void
test_parse_uuid(void **state)
{
	static const char *const bad[] = {"", "0",
	    "00010203-0405-0607-0809-0a0b0c0d0e0",
	    "00010203-0405-0607-0809-0a0b0c0d0e0f0",
	    "00010203x0405-0607-0809-0a0b0c0d0e0f",
	    "0001020304050607-0809-0a0b0c0d0e0f--",
	    "g0010203-0405-0607-0809-0a0b0c0d0e0f"};
	uint8_t uuid[16];
	size_t i;

	(void)state;
	assert_int_equal(
	    smbios_parse_uuid("00010203-0405-0607-0809-0A0b0c0d0e0f", uuid),
	    0);
	for (i = 0; i < 16; i++)
		assert_int_equal(uuid[i], i);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(smbios_parse_uuid(bad[i], uuid), -EINVAL);
}

/* MD5 of "vm0" and "host" in 256 bytes, with version and variant. */
static void
test_derived_uuid(void **state)
{
	static const uint8_t want[16] = {0xd6, 0x87, 0xcb, 0x5e, 0x80, 0x26,
	    0x3e, 0x7e, 0x8c, 0xb6, 0x77, 0x8e, 0x9c, 0x34, 0xa0, 0x04};
	uint8_t a[16], b[16];

	(void)state;
	smbios_derive_uuid("vm0", "host", a);
	assert_memory_equal(a, want, 16);
	smbios_derive_uuid("vm1", "host", b);
	assert_memory_not_equal(a, b, 16);
	smbios_derive_uuid("vm0", "host2", b);
	assert_memory_not_equal(a, b, 16);
}

static void
test_install(void **state)
{
	uint8_t buf[SMBIOS_SIZE], got[SMBIOS_SIZE];
	struct gmem *gm;
	int n;

	(void)state;
	assert_int_equal(gmem_create(&gm, 16 << 20), 0);
	assert_int_equal(smbios_install(gm, &smbios_examples[0]), 0);
	n = smbios_build(&smbios_examples[0], buf);
	assert_int_equal(gmem_read(gm, 0xf1000, got, (size_t)n), 0);
	assert_memory_equal(got, buf, (size_t)n);
	gmem_destroy(gm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_texts_and_uuid),
	    cmocka_unit_test(test_processors),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_parse_uuid),
	    cmocka_unit_test(test_derived_uuid),
	    cmocka_unit_test(test_install),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
