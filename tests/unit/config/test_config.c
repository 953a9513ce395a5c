/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static void
test_set_get(void **state)
{
	struct config *cfg;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	assert_null(config_get(cfg, "a"));
	assert_int_equal(config_set(cfg, "a.b.c", "1", 'o'), 0);
	assert_string_equal(config_get(cfg, "a.b.c"), "1");
	assert_int_equal(config_origin(cfg, "a.b.c"), 'o');
	assert_null(config_get(cfg, "a.b"));
	assert_null(config_get(cfg, "a.b.cc"));
	assert_null(config_get(cfg, "a.b.c.d"));
	assert_int_equal(config_set(cfg, "a.b.c", "2", 'm'), 0);
	assert_string_equal(config_get(cfg, "a.b.c"), "2");
	assert_int_equal(config_set(cfg, "a.b", "x", 'o'), -EEXIST);
	assert_int_equal(config_set(cfg, "a.b.c.d", "x", 'o'), -EEXIST);
	config_destroy(cfg);
}

static void
test_bad_paths(void **state)
{
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b"};
	char path[CONFIG_PATH_MAX + 1];
	struct config *cfg;
	size_t i;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(config_set(cfg, bad[i], "", 0), -EINVAL);
	memset(path, 'a', sizeof(path));
	path[CONFIG_PATH_MAX] = '\0';
	assert_int_equal(config_set(cfg, path, "", 0), -EINVAL);
	path[CONFIG_PATH_MAX - 1] = '\0';
	assert_int_equal(config_set(cfg, path, "", 0), 0);
	config_destroy(cfg);
}

static char *
dump(const struct config *cfg)
{
	char *buf = NULL;
	size_t len;
	FILE *f;

	f = open_memstream(&buf, &len);
	assert_non_null(f);
	config_dump(cfg, f);
	(void)fclose(f);
	return (buf);
}

static void
test_order(void **state)
{
	static const char *const paths[] = {"pci.0.31.0.device", "name",
	    "pci.0.3.0.device", "cpus", "pci.0.4.0.device", "pcix",
	    "pci.10.0.0.device"};
	struct config *cfg;
	size_t i;
	char *s;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(config_set(cfg, paths[i], "v", 0), 0);
	s = dump(cfg);
	assert_string_equal(s,
	    "cpus=v\nname=v\npci.0.3.0.device=v\npci.0.4.0.device=v\n"
	    "pci.0.31.0.device=v\npci.10.0.0.device=v\npcix=v\n");
	free(s);
	config_destroy(cfg);
}

static void
test_expand(void **state)
{
	struct config_error err;
	struct config *cfg;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	assert_int_equal(config_set(cfg, "z", "%(a.b)/%(a.c)", 'o'), 0);
	assert_int_equal(config_set(cfg, "a.b", "100%%", 0), 0);
	assert_int_equal(config_set(cfg, "a.c", "<%(a.b)>", 0), 0);
	assert_int_equal(config_expand(cfg, &err), 0);
	assert_string_equal(config_get(cfg, "z"), "100%/<100%>");
	assert_int_equal(config_origin(cfg, "z"), 'o');
	config_destroy(cfg);
}

static void
test_expand_bad(void **state)
{
	static const char *const bad[] = {
	    "%", "%x", "%(z", "%(nope)", "%(z)", "%()"};
	struct config_error err;
	struct config *cfg;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(config_create(&cfg), 0);
		assert_int_equal(config_set(cfg, "z", bad[i], 0), 0);
		assert_int_equal(config_expand(cfg, &err), -EINVAL);
		assert_true(err.msg[0] != '\0');
		assert_string_equal(config_get(cfg, "z"), bad[i]);
		config_destroy(cfg);
	}
}

/* Each level doubles: the size is bounded, not only the depth. */
static void
test_expand_bomb(void **state)
{
	static const char *const name[] = {
	    "a", "b", "c", "d", "e", "f", "g", "h"};
	char val[1024], ref[32];
	struct config_error err;
	struct config *cfg;
	size_t i, j;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	for (i = 0; i < 8; i++) {
		val[0] = '\0';
		(void)snprintf(
		    ref, sizeof(ref), "%%(%s)", i < 7 ? name[i + 1] : "x");
		for (j = 0; j < 100; j++)
			strcat(val, ref);
		assert_int_equal(config_set(cfg, name[i], val, 0), 0);
	}
	assert_int_equal(config_set(cfg, "x", "y", 0), 0);
	assert_int_equal(config_expand(cfg, &err), -EINVAL);
	config_destroy(cfg);
}

static void
test_bool(void **state)
{
	bool b;

	(void)state;
	assert_int_equal(config_parse_bool("TRUE", &b), 0);
	assert_true(b);
	assert_int_equal(config_parse_bool("off", &b), 0);
	assert_false(b);
	assert_int_equal(config_parse_bool("2", &b), -EINVAL);
	assert_int_equal(config_parse_bool("", &b), -EINVAL);
}

static void
test_size(void **state)
{
	static const struct {
		const char *s;
		int error;
		uint64_t val;
	} t[] = {
	    {"0", 0, 0},
	    {"1", 0, 1 << 20},
	    {"512", 0, 512 << 20},
	    {"1048575", 0, UINT64_C(1048575) << 20},
	    {"1048576", 0, 1048576},
	    {"1073741824", 0, 1073741824},
	    {"0x200", 0, 512 << 20},
	    {"0100", 0, 64 << 20},
	    {"512M", 0, 512 << 20},
	    {"512m", 0, 512 << 20},
	    {"64k", 0, 65536},
	    {"8G", 0, UINT64_C(8) << 30},
	    {"100T", 0, UINT64_C(100) << 40},
	    {"0x10g", 0, UINT64_C(16) << 30},
	    {"", -EINVAL, 0},
	    {"M", -EINVAL, 0},
	    {"-1", -EINVAL, 0},
	    {"+1", -EINVAL, 0},
	    {" 1", -EINVAL, 0},
	    {"1 M", -EINVAL, 0},
	    {"1MB", -EINVAL, 0},
	    {"1.5G", -EINVAL, 0},
	    {"08", -EINVAL, 0},
	    {"0x", -EINVAL, 0},
	    {"512x", -EINVAL, 0},
	    {"18446744073709551616", -ERANGE, 0},
	    {"16777216T", -ERANGE, 0},
	    {"16E", -ERANGE, 0},
	};
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		v = 0;
		assert_int_equal(config_parse_size(t[i].s, &v), t[i].error);
		if (t[i].error == 0)
			assert_true(v == t[i].val);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_set_get),
	    cmocka_unit_test(test_bad_paths),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_expand),
	    cmocka_unit_test(test_expand_bad),
	    cmocka_unit_test(test_expand_bomb),
	    cmocka_unit_test(test_bool),
	    cmocka_unit_test(test_size),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
