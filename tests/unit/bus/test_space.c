/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/space.h"

struct log {
	unsigned n;
	struct {
		uint64_t off, val;
		unsigned size;
	} a[16];
};

static void
log_read(void *arg, uint64_t off, unsigned size, uint64_t *val)
{
	struct log *l = arg;

	assert_true(*val == bus_ones(size)); /* pre-filled */
	l->a[l->n].off = off;
	l->a[l->n++].size = size;
	*val = 0x1111111111111111ull * (off + 1);
}

static void
log_write(void *arg, uint64_t off, unsigned size, uint64_t val)
{
	struct log *l = arg;

	l->a[l->n].off = off;
	l->a[l->n].val = val;
	l->a[l->n++].size = size;
}

static void
test_overlap(void **state)
{
	static const struct bus_ops ops = {1, false, log_read, log_write};
	struct bus_space *bs;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_space_create(&bs, "io", 0x10000), 0);
	assert_int_equal(bus_add(bs, "a", 0x100, 8, &ops, NULL), 0);
	assert_int_equal(bus_add(bs, "b", 0x107, 1, &ops, NULL), -EEXIST);
	assert_int_equal(bus_add(bs, "b", 0xff, 2, &ops, NULL), -EEXIST);
	assert_int_equal(bus_add(bs, "b", 0xf0, 0x100, &ops, NULL), -EEXIST);
	assert_int_equal(bus_add(bs, "b", 0xff, 1, &ops, NULL), 0);
	assert_int_equal(bus_add(bs, "c", 0x108, 1, &ops, NULL), 0);
	assert_int_equal(bus_add(bs, "d", 0xffff, 2, &ops, NULL), -EINVAL);
	assert_int_equal(bus_add(bs, "d", 0, 0, &ops, NULL), -EINVAL);
	assert_int_equal(bus_remove(bs, 0x101), -ENOENT);
	assert_int_equal(bus_remove(bs, 0x100), 0);
	assert_int_equal(bus_read(bs, 0x100, 4, &val), -ENOENT);
	assert_true(val == 0xffffffff);
	assert_int_equal(bus_write(bs, 0x100, 4, 0), -ENOENT);
	bus_space_destroy(bs);
}

static void
test_split(void **state)
{
	static const struct bus_ops bytes = {1, false, log_read, log_write};
	static const struct bus_ops wide = {
	    1 | 2 | 4, false, log_read, log_write};
	static const struct bus_ops dword = {4, true, log_read, log_write};
	struct log a = {0}, w = {0}, d = {0};
	struct bus_space *bs;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_space_create(&bs, "io", 0x10000), 0);
	bus_add(bs, "bytes", 0x70, 2, &bytes, &a);
	bus_add(bs, "wide", 0x200, 8, &wide, &w);
	bus_add(bs, "dword", 0xcf8, 1, &dword, &d);
	bus_add(bs, "byte", 0xcf9, 1, &bytes, &a);

	/* Bytes of a word, the rest of a dword unclaimed. */
	assert_int_equal(bus_write(bs, 0x70, 4, 0x44332211), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.a[0].val, 0x11);
	assert_int_equal(a.a[1].val, 0x22);
	a.n = 0;
	assert_int_equal(bus_read(bs, 0x70, 4, &val), 0);
	assert_true(val == 0xffff2211);
	/* As it comes, at any offset; 8 bytes as two dwords. */
	assert_int_equal(bus_read(bs, 0x201, 4, &val), 0);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.a[0].size, 4);
	assert_true(val == 0x22222222);
	w.n = 0;
	assert_int_equal(bus_write(bs, 0x200, 8, 0x0807060504030201ull), 0);
	assert_int_equal(w.n, 2);
	assert_true(w.a[0].val == 0x04030201 && w.a[1].val == 0x08070605);
	/* Over the end: the last word, then ones. */
	w.n = 0;
	assert_int_equal(bus_read(bs, 0x206, 4, &val), 0);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.a[0].size, 2);
	assert_true(val == 0xffff7777);
	/* 0xcf8: a dword is its own, narrower ones go elsewhere. */
	a.n = 0;
	assert_int_equal(bus_write(bs, 0xcf8, 4, 0x80000000), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(a.n, 0);
	assert_int_equal(bus_read(bs, 0xcf8, 1, &val), 0);
	assert_true(val == 0xff);
	assert_int_equal(bus_write(bs, 0xcf8, 2, 0x0600), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.a[0].val, 6);
	/* The last address: nothing beyond it wraps around. */
	assert_int_equal(bus_read(bs, UINT64_MAX, 4, &val), -ENOENT);
	bus_space_destroy(bs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_overlap),
	    cmocka_unit_test(test_split),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
