/* SPDX-License-Identifier: BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chipset/fwcfg.h"
#include "gmem/gmem.h"

static struct fwcfg *
make(void)
{
	struct fwcfg *f;

	assert_int_equal(fwcfg_create(&f), 0);
	assert_int_equal(fwcfg_add(f, FWCFG_NB_CPUS, "\x2\0", 2), 0);
	assert_int_equal(fwcfg_add_file(f, "opt/b", "bee", 4), 0);
	assert_int_equal(fwcfg_add_file(f, "etc/a", "0123456789", 10), 0);
	assert_int_equal(fwcfg_add_file(f, "opt/c", NULL, 0), 0);
	assert_int_equal(fwcfg_seal(f), 0);
	return (f);
}

static void
test_items(void **state)
{
	struct fwcfg *f = make();
	uint8_t b[16];

	(void)state;
	fwcfg_read(f, b, 4); /* nothing is selected */
	assert_memory_equal(b, "\0\0\0\0", 4);
	fwcfg_select(f, FWCFG_SIGNATURE);
	fwcfg_read(f, b, 6);
	assert_memory_equal(b, "QEMU\0\0", 6);
	fwcfg_read(f, b, 1);
	assert_int_equal(b[0], 0);
	fwcfg_select(f, FWCFG_SIGNATURE | 0x4000); /* asks for writing */
	fwcfg_skip(f, 2);
	assert_int_equal(fwcfg_left(f), 2);
	fwcfg_read(f, b, 1);
	assert_int_equal(b[0], 'M');
	fwcfg_skip(f, UINT32_MAX);
	assert_int_equal(fwcfg_left(f), 0);
	fwcfg_select(f, FWCFG_ID);
	fwcfg_read(f, b, 4);
	assert_memory_equal(b, "\3\0\0\0", 4);
	/* The architecture's own keys are others. */
	fwcfg_select(f, FWCFG_SIGNATURE | 0x8000);
	assert_int_equal(fwcfg_left(f), 0);
	fwcfg_select(f, FWCFG_NB_CPUS);
	fwcfg_reset(f);
	assert_int_equal(fwcfg_left(f), 0);
	fwcfg_destroy(f);
}

static void
test_directory(void **state)
{
	static const struct {
		const char *name;
		uint32_t size;
		const char *data;
	} want[] = {{"etc/a", 10, "0123456789"}, {"opt/b", 4, "bee"},
	    {"opt/c", 0, ""}};
	struct fwcfg *f = make();
	uint8_t b[64], expect[64];

	(void)state;
	fwcfg_select(f, FWCFG_DIR);
	assert_int_equal(fwcfg_left(f), 4 + 3 * 64);
	fwcfg_read(f, b, 4);
	assert_memory_equal(b, "\0\0\0\3", 4);
	for (unsigned i = 0; i < 3; i++) {
		fwcfg_select(f, FWCFG_DIR);
		fwcfg_skip(f, 4 + i * 64);
		fwcfg_read(f, b, 64);
		memset(expect, 0, sizeof(expect));
		expect[3] = (uint8_t)want[i].size;
		expect[5] = (uint8_t)(0x20 + i);
		strcpy((char *)expect + 8, want[i].name);
		assert_memory_equal(b, expect, 64);
		fwcfg_select(f, (uint16_t)(FWCFG_FILE + i));
		assert_int_equal(fwcfg_left(f), want[i].size);
		fwcfg_read(f, b, want[i].size);
		assert_memory_equal(b, want[i].data, want[i].size);
	}
	fwcfg_destroy(f);
}

static void
test_limits(void **state)
{
	struct fwcfg *f;
	char name[60];

	(void)state;
	assert_int_equal(fwcfg_create(&f), 0);
	assert_int_equal(fwcfg_add(f, FWCFG_ID, "", 0), -EEXIST);
	assert_int_equal(fwcfg_add_file(f, "", "", 0), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[56] = '\0';
	assert_int_equal(fwcfg_add_file(f, name, "", 0), -EINVAL);
	name[55] = '\0';
	assert_int_equal(fwcfg_add_file(f, name, "", 0), 0);
	assert_int_equal(fwcfg_add_file(f, name, "", 0), -EEXIST);
	assert_int_equal(
	    fwcfg_add_file(f, "big", NULL, FWCFG_DATA_MAX + 1), -EFBIG);
	while (f->n < FWCFG_ITEMS_MAX) {
		snprintf(name, sizeof(name), "%u", f->n);
		assert_int_equal(fwcfg_add_file(f, name, "", 0), 0);
	}
	assert_int_equal(fwcfg_add_file(f, "more", "", 0), -ENOSPC);
	assert_int_equal(fwcfg_seal(f), -ENOSPC);
	fwcfg_destroy(f);
}

/* The adapter. */
struct board {
	struct bus_space *ports;
	struct gmem *gm;
	struct fwcfg_dev *d;
};

static int
setup(void **state)
{
	static struct board b;

	assert_int_equal(bus_space_create(&b.ports, "io", 0x10000), 0);
	assert_int_equal(gmem_create(&b.gm, 1 << 20), 0);
	assert_int_equal(fwcfg_dev_create(&b.d, b.ports, b.gm, make()), 0);
	*state = &b;
	return (0);
}

static int
teardown(void **state)
{
	struct board *b = *state;

	fwcfg_dev_destroy(b->d);
	gmem_destroy(b->gm);
	bus_space_destroy(b->ports);
	return (0);
}

static uint64_t
in(struct board *b, uint16_t port, unsigned size)
{
	uint64_t v;

	(void)bus_read(b->ports, port, size, &v);
	return (v);
}

static void
test_ports(void **state)
{
	struct board *b = *state;

	(void)bus_write(b->ports, 0x510, 2, FWCFG_FILE);
	assert_int_equal(in(b, 0x511, 1), '0');
	assert_int_equal(in(b, 0x511, 1), '1');
	(void)bus_write(b->ports, 0x511, 1, 'x'); /* ignored */
	assert_int_equal(in(b, 0x511, 1), '2');
	fwcfg_dev_reset(b->d);
	assert_int_equal(in(b, 0x511, 1), 0);
	assert_int_equal(in(b, 0x514, 4), htobe32(0x51454d55)); /* QEMU */
	assert_int_equal(in(b, 0x518, 4), htobe32(0x20434647)); /* " CFG" */
}

static uint32_t
dma(struct board *b, uint64_t at, uint32_t control, uint32_t len, uint64_t to)
{
	struct {
		uint32_t control, len;
		uint64_t to;
	} a = {htobe32(control), htobe32(len), htobe64(to)};

	(void)gmem_write(b->gm, at, &a, sizeof(a));
	(void)bus_write(b->ports, 0x514, 4, htobe32((uint32_t)(at >> 32)));
	(void)bus_write(b->ports, 0x518, 4, htobe32((uint32_t)at));
	a.control = 0xaaaaaaaa;
	(void)gmem_read(b->gm, at, &a, sizeof(a));
	return (be32toh(a.control));
}

static void
test_dma(void **state)
{
	const uint32_t select = FWCFG_FILE << 16 | FWCFG_DMA_SELECT;
	struct board *b = *state;
	uint8_t *p = gmem_map(b->gm, 0x2000, 64);

	memset(p, 0xff, 64);
	assert_int_equal(
	    dma(b, 0x1000, select | FWCFG_DMA_READ, 4, 0x2000), 0);
	assert_memory_equal(p, "0123\xff", 5);
	assert_int_equal(dma(b, 0x1000, FWCFG_DMA_SKIP, 3, 0), 0);
	/* Behind the end there are zeroes. */
	assert_int_equal(dma(b, 0x1000, FWCFG_DMA_READ, 8, 0x2000), 0);
	assert_memory_equal(p, "789\0\0\0\0\0\xff", 9);
	assert_int_equal(
	    dma(b, 0x1000, select | FWCFG_DMA_WRITE, 4, 0x2000),
	    FWCFG_DMA_ERROR);
	/* Nothing to do, and read rather than skip. */
	assert_int_equal(dma(b, 0x1000, select, 4, 0x2000), 0);
	assert_int_equal(dma(b, 0x1000, FWCFG_DMA_READ | FWCFG_DMA_SKIP, 1,
	    0x2000), 0);
	assert_int_equal(p[0], '0');
	/* Targets outside memory. */
	assert_int_equal(dma(b, 0x1000, select | FWCFG_DMA_READ, 4,
	    (1 << 20) - 2), FWCFG_DMA_ERROR);
	assert_int_equal(dma(b, 0x1000, select | FWCFG_DMA_READ, 4,
	    UINT64_MAX), FWCFG_DMA_ERROR);
	assert_int_equal(dma(b, 0x1000, select | FWCFG_DMA_READ, UINT32_MAX,
	    0x2000), FWCFG_DMA_ERROR);
	/* The access itself: outside, or with a high half left over. */
	(void)dma(b, 1 << 20, select | FWCFG_DMA_READ, 4, 0x2000);
	(void)dma(b, 0x500001000, select | FWCFG_DMA_READ, 4, 0x2000);
	p[0] = 0xff;
	assert_int_equal(
	    dma(b, 0x1000, select | FWCFG_DMA_READ, 1, 0x2000), 0);
	assert_int_equal(p[0], '0');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_items),
	    cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
