/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/md5.h"

static void
hex(const uint8_t digest[MD5_SIZE], char out[33])
{
	int i;

	for (i = 0; i < MD5_SIZE; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* RFC 1321, A.5, whole and byte by byte. */
static void
test_suite(void **state)
{
	static const struct {
		const char *text, *digest;
	} cases[] = {
	    {"", "d41d8cd98f00b204e9800998ecf8427e"},
	    {"a", "0cc175b9c0f1b6a831c399e269772661"},
	    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
	    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	    {"abcdefghijklmnopqrstuvwxyz",
		"c3fcd3d76192e4007dfb496cca67e13b"},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"d174ab98d277d9f5a5611c2c9f419d9f"},
	    {"12345678901234567890123456789012345678901234567890123456789012"
	     "345678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a"},
	};
	uint8_t digest[MD5_SIZE];
	char text[33];
	struct md5 m;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		md5_init(&m);
		md5_update(&m, cases[i].text, strlen(cases[i].text));
		md5_final(&m, digest);
		hex(digest, text);
		assert_string_equal(text, cases[i].digest);
		md5_init(&m);
		for (j = 0; cases[i].text[j] != '\0'; j++)
			md5_update(&m, &cases[i].text[j], 1);
		md5_final(&m, digest);
		hex(digest, text);
		assert_string_equal(text, cases[i].digest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
