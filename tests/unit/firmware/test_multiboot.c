/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "firmware/boot.h"
#include "firmware/le.h"
#include "gmem/gmem.h"

#define MEM      (UINT64_C(64) << 20)
#define IMG_SIZE 4096u
#define HDR      64u /* where the images here have their header */

struct file {
	int fd;
	char path[64];
};

static void
file_make(struct file *f, const void *data, size_t len)
{
	f->fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(write(f->fd, data, len), (ssize_t)len);
	(void)snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

/* What a test looks at. */
struct result {
	struct gmem *gm;
	struct boot_regs r;
	struct fw_error err;
	int error;
};

static void
load(struct result *res, const uint8_t *img, size_t len, const char *cmdline,
    const struct boot_module *mods, unsigned nmods, const char *initrd)
{
	struct boot_config cfg = {.cmdline = cmdline,
	    .initrd = initrd,
	    .rsdp = 0xf2400,
	    .ecam = 0xe0000000,
	    .modules = mods,
	    .nmodules = nmods};
	uint8_t rsdp[36] = "RSD PTR ";
	struct file f;

	rsdp[35] = 0x5a;
	memset(res, 0, sizeof(*res));
	file_make(&f, img, len);
	cfg.kernel = f.path;
	assert_int_equal(gmem_create(&res->gm, MEM), 0);
	assert_int_equal(gmem_write(res->gm, 0xf2400, rsdp, 36), 0);
	res->error = boot_load(res->gm, &cfg, &res->r, &res->err);
	assert_int_equal(res->error != 0, res->err.msg[0] != '\0');
	assert_null(strchr(res->err.msg, '\n'));
	(void)close(f.fd);
}

/* Fails, with this in the message. */
static void
refused(const uint8_t *img, size_t len, const char *what)
{
	struct result res;

	load(&res, img, len, NULL, NULL, 0, NULL);
	assert_true(res.error < 0);
	if (strstr(res.err.msg, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, res.err.msg);
	gmem_destroy(res.gm);
}

static uint32_t
get32(struct gmem *gm, uint64_t gpa)
{
	uint32_t v = 0;

	assert_int_equal(gmem_read(gm, gpa, &v, 4), 0);
	return (v);
}

static const char *
get_string(struct gmem *gm, uint64_t gpa)
{
	static char buf[80];

	assert_int_equal(gmem_read(gm, gpa, buf, sizeof(buf) - 1), 0);
	return (buf);
}

static void
put_header1(uint8_t *h, uint32_t flags)
{
	le32_put(h, 0x1badb002);
	le32_put(h + 4, flags);
	le32_put(h + 8, 0u - 0x1badb002u - flags);
}

/* An image that its header places at 1 MiB, entered there. */
static void
make_raw(uint8_t img[IMG_SIZE])
{
	memset(img, 0xcc, IMG_SIZE);
	put_header1(img + HDR, 0x10003);
	le32_put(img + HDR + 12, 0x100000 + HDR);
	le32_put(img + HDR + 16, 0x100000);
	le32_put(img + HDR + 20, 0x100000 + 2048);
	le32_put(img + HDR + 24, 0x200000);
	le32_put(img + HDR + 28, 0x100010);
}

/* A 32-bit ELF file linked at 0xc0100000, loaded at paddr. */
static void
make_elf(uint8_t img[IMG_SIZE], uint32_t paddr)
{
	Elf32_Ehdr e = {
	    .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
	    .e_type = ET_EXEC,
	    .e_machine = EM_386,
	    .e_entry = 0xc0100020,
	    .e_phoff = 1024,
	    .e_phentsize = sizeof(Elf32_Phdr),
	    .e_phnum = 1,
	};
	Elf32_Phdr p = {
	    .p_type = PT_LOAD,
	    .p_offset = 2048,
	    .p_vaddr = 0xc0100000,
	    .p_paddr = paddr,
	    .p_filesz = 1024,
	    .p_memsz = 8192,
	};

	memset(img, 0, IMG_SIZE);
	memcpy(img, &e, sizeof(e));
	memcpy(img + 1024, &p, sizeof(p));
	memset(img + 2048, 0x90, 1024);
	put_header1(img + HDR, 0);
}

static void
check_state(const struct result *res)
{
	const struct boot_regs *r = &res->r;

	assert_int_equal(r->cr0 & 0x80000001, 1);
	assert_int_equal(r->efer, 0);
	assert_int_equal(r->rflags, 2);
	assert_int_equal(r->cs.access & 0xc09f, 0xc09b);
	assert_int_equal(r->data.access & 0xc09f, 0xc093);
	assert_true(r->cs.base == 0 && r->cs.limit == 0xffffffff);
	/* Nothing of the loader's lies in the image. */
	assert_true(r->gdtr.base >= 0x1000 && r->gdtr.base < 0x9fc00);
	assert_int_equal(get32(res->gm, r->gdtr.base + r->cs.sel), 0xffff);
}

static void
test_raw(void **state)
{
	uint8_t img[IMG_SIZE];
	struct result res;
	uint32_t info, at, n;

	(void)state;
	make_raw(img);
	load(&res, img, sizeof(img), "a=b c", NULL, 0, NULL);
	assert_int_equal(res.error, 0);
	check_state(&res);
	assert_int_equal(res.r.rip, 0x100010);
	assert_int_equal(res.r.rax, 0x2badb002);
	assert_int_equal(get32(res.gm, 0x100000), 0xcccccccc);
	/* load_end_addr */
	assert_int_equal(get32(res.gm, 0x100000 + 2048), 0);

	info = (uint32_t)res.r.rbx;
	assert_int_equal(get32(res.gm, info), 0x24d);
	assert_int_equal(get32(res.gm, info + 4), 639);
	assert_int_equal(get32(res.gm, info + 8), 63 << 10);
	/* The file's name is the first word. */
	assert_non_null(strstr(
	    get_string(res.gm, get32(res.gm, info + 16)), " a=b c"));
	assert_int_equal(get32(res.gm, info + 20), 0);
	assert_string_equal(
	    get_string(res.gm, get32(res.gm, info + 64)), "lhyve");
	/* The memory map: from 1 MiB to the end, and what is reserved. */
	at = get32(res.gm, info + 48);
	n = get32(res.gm, info + 44) / 24;
	assert_true(n >= 4);
	assert_int_equal(get32(res.gm, at), 20);
	assert_int_equal(get32(res.gm, at + 12), 0x9fc00);
	for (; n > 0 && get32(res.gm, at + 4) != 0x100000; n--)
		at += 24;
	assert_int_equal(get32(res.gm, at + 12), 63 << 20);
	assert_int_equal(get32(res.gm, at + 20), 1);
	gmem_destroy(res.gm);
}

static void
test_elf(void **state)
{
	uint8_t img[IMG_SIZE];
	struct result res;

	(void)state;
	make_elf(img, 0x100000);
	load(&res, img, sizeof(img), NULL, NULL, 0, NULL);
	assert_int_equal(res.error, 0);
	check_state(&res);
	/* By the segment: linked high, loaded low. */
	assert_int_equal(res.r.rip, 0x100020);
	assert_int_equal(get32(res.gm, 0x100000), 0x90909090);
	gmem_destroy(res.gm);
}

/* GRUB's images lie below 640 KiB; the loader makes way. */
static void
test_low(void **state)
{
	static const uint32_t places[] = {0x500, 0x1000, 0x7c00, 0x9000};
	uint8_t img[IMG_SIZE];
	struct result res;
	uint64_t lo, hi;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		make_elf(img, places[i]);
		load(&res, img, sizeof(img), NULL, NULL, 0, NULL);
		assert_int_equal(res.error, 0);
		check_state(&res);
		assert_int_equal(res.r.rip, places[i] + 0x20);
		lo = res.r.rbx;
		hi = res.r.rsp;
		assert_true(hi > res.r.gdtr.base && res.r.gdtr.base > lo);
		assert_true(hi <= places[i] || lo >= places[i] + 8192);
		assert_int_equal(get32(res.gm, places[i]), 0x90909090);
		assert_int_equal(get32(res.gm, places[i] + 8188), 0);
		gmem_destroy(res.gm);
	}
	make_elf(img, 0x400);
	refused(img, sizeof(img), "below 1 MiB");
	make_elf(img, 0x9f000);
	refused(img, sizeof(img), "below 1 MiB");
	make_elf(img, 0xff000);
	refused(img, sizeof(img), "below 1 MiB");
	make_elf(img, (uint32_t)MEM - 4096);
	refused(img, sizeof(img), "give more with -m");
}

static void
test_modules(void **state)
{
	struct boot_module mods[2] = {
	    {"module.0.path", NULL, "one two"}, {"module.1.path", NULL, NULL}};
	struct file a, b, c;
	uint8_t img[IMG_SIZE];
	struct result res;
	uint32_t info, at, i;

	(void)state;
	file_make(&a, "aaaa", 4);
	file_make(&b, "bbbbb", 5);
	file_make(&c, "cccccc", 6);
	mods[0].path = b.path;
	mods[1].path = c.path;
	make_raw(img);
	load(&res, img, sizeof(img), NULL, mods, 2, a.path);
	assert_int_equal(res.error, 0);
	info = (uint32_t)res.r.rbx;
	assert_int_equal(get32(res.gm, info + 20), 3);
	at = get32(res.gm, info + 24);
	for (i = 0; i < 3; i++, at += 16) {
		assert_int_equal(get32(res.gm, at) % 4096, 0);
		assert_true(get32(res.gm, at) >= 0x200000);
		assert_int_equal(
		    get32(res.gm, at + 4) - get32(res.gm, at), 4 + i);
		assert_int_equal(get32(res.gm, get32(res.gm, at)) & 0xff,
		    'a' + i);
	}
	assert_non_null(strstr(
	    get_string(res.gm, get32(res.gm, at - 32 + 8)), " one two"));
	gmem_destroy(res.gm);
	(void)close(a.fd);
	(void)close(b.fd);
	(void)close(c.fd);
}

/* A header of version 2 with the tags in `tags`, an end tag behind. */
static void
make_mb2(uint8_t img[IMG_SIZE], const void *tags, uint32_t len)
{
	uint8_t *h = img + HDR;
	uint32_t total = 16 + len + 8;

	make_elf(img, 0x100000);
	memset(h, 0, 12);
	le32_put(h, 0xe85250d6);
	le32_put(h + 8, total);
	le32_put(h + 12, 0u - 0xe85250d6u - total);
	memcpy(h + 16, tags, len);
	le32_put(h + 16 + len, 0);
	le32_put(h + 16 + len + 4, 8);
}

/* The tag of a type in the information; 0: none. */
static uint64_t
find_tag(struct gmem *gm, uint64_t info, uint32_t type)
{
	uint64_t at = info + 8, end = info + get32(gm, info);

	for (; at < end; at += (get32(gm, at + 4) + 7) & ~7u) {
		if (get32(gm, at) == type)
			return (at);
		assert_true(get32(gm, at) != 0);
		assert_true(get32(gm, at + 4) >= 8);
	}
	return (0);
}

static void
test_mb2(void **state)
{
	/* Wants a memory map; has preferences; may be moved. */
	static const uint32_t tags[] = {1, 16, 4, 6, 0x10005, 20, 80, 25, 0, 0,
	    10, 24, 0x100000, 0xffffffff, 0x1000, 0, 0x10063, 8};
	struct boot_module mod = {"module.0.path", NULL, "x y"};
	uint8_t img[IMG_SIZE], rsdp[36];
	struct result res;
	struct file f;
	uint64_t at;

	(void)state;
	file_make(&f, "12345", 5);
	mod.path = f.path;
	make_mb2(img, tags, sizeof(tags));
	load(&res, img, sizeof(img), "a=b", &mod, 1, NULL);
	assert_int_equal(res.error, 0);
	check_state(&res);
	assert_int_equal(res.r.rip, 0x100020);
	assert_int_equal(res.r.rax, 0x36d76289);
	assert_int_equal(res.r.rbx % 8, 0);

	at = find_tag(res.gm, res.r.rbx, 1);
	assert_non_null(strstr(get_string(res.gm, at + 8), " a=b"));
	assert_int_equal(get32(res.gm, at + 4),
	    8 + strlen(get_string(res.gm, at + 8)) + 1);
	at = find_tag(res.gm, res.r.rbx, 3);
	assert_int_equal(
	    get32(res.gm, at + 12) - get32(res.gm, at + 8), 5);
	assert_int_equal(get32(res.gm, get32(res.gm, at + 8)), 0x34333231);
	assert_non_null(strstr(get_string(res.gm, at + 16), " x y"));
	at = find_tag(res.gm, res.r.rbx, 4);
	assert_int_equal(get32(res.gm, at + 12), 63 << 10);
	at = find_tag(res.gm, res.r.rbx, 6);
	assert_int_equal(get32(res.gm, at + 8), 24);
	assert_true((get32(res.gm, at + 4) - 16) / 24 >= 4);
	assert_int_equal(get32(res.gm, at + 16 + 8), 0x9fc00);
	at = find_tag(res.gm, res.r.rbx, 15);
	assert_int_equal(get32(res.gm, at + 4), 44);
	assert_int_equal(gmem_read(res.gm, at + 8, rsdp, 36), 0);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(rsdp[35], 0x5a);
	assert_int_not_equal(find_tag(res.gm, res.r.rbx, 14), 0);
	at = find_tag(res.gm, res.r.rbx, 21);
	assert_int_equal(get32(res.gm, at + 8), 0x100000);
	gmem_destroy(res.gm);
	(void)close(f.fd);
}

/* Addresses and an entry point in the header, which win. */
static void
test_mb2_addresses(void **state)
{
	static const uint32_t tags[] = {
	    2, 24, 0x300000 + HDR, 0xffffffff, 0, 0, 3, 12, 0x300400, 0};
	uint8_t img[IMG_SIZE];
	struct result res;

	(void)state;
	make_mb2(img, tags, sizeof(tags));
	load(&res, img, sizeof(img), NULL, NULL, 0, NULL);
	assert_int_equal(res.error, 0);
	assert_int_equal(res.r.rip, 0x300400);
	assert_int_equal(get32(res.gm, 0x300000 + HDR), 0xe85250d6);
	gmem_destroy(res.gm);
	refused(img, HDR + 20, "is not within the first 32768");
}

/* Both headers: the second version. */
static void
test_both(void **state)
{
	uint8_t img[IMG_SIZE];
	struct result res;

	(void)state;
	make_mb2(img, "", 0);
	put_header1(img + 512, 0);
	load(&res, img, sizeof(img), NULL, NULL, 0, NULL);
	assert_int_equal(res.r.rax, 0x36d76289);
	gmem_destroy(res.gm);
	img[HDR]++;
	load(&res, img, sizeof(img), NULL, NULL, 0, NULL);
	assert_int_equal(res.r.rax, 0x2badb002);
	gmem_destroy(res.gm);
}

static void
test_refused(void **state)
{
	static const struct {
		uint32_t off, val;
		const char *what;
	} raw[] = {
	    {12, 0x10000, "the file is damaged"},
	    {12, 0x200000, "the file is damaged"},
	    {16, 0x200000, "the file is damaged"},
	    {20, 0x110000, "not in the file"},
	    {20, 0x100000, "not in the file"},
	    {24, 0xfffff000, "give more with -m"},
	    {28, 0x200000, "not in the image"},
	    {28, 0xfffff, "not in the image"},
	};
	static const struct {
		uint32_t tag[6];
		unsigned len;
		const char *what;
	} mb2[] = {
	    {{1, 12, 8}, 16, "information of type 8"},
	    {{4, 12, 1}, 16, "wants a display"},
	    {{77, 8}, 8, "unknown tag of type 77"},
	    {{2, 16, 0, 0}, 16, "tag of type 2 with 16 bytes"},
	    {{3, 8}, 8, "tag of type 3 with 8 bytes"},
	    {{3, 4}, 8, "a tag of 4 bytes"},
	    {{3, 400}, 8, "a tag of 400 bytes"},
	    {{2, 24, 0x100000 + HDR, 0x100000, 0, 0}, 24, "no entry point"},
	    {{3, 12, 0x80}, 16, "not in the image"},
	};
	uint8_t img[IMG_SIZE];
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		make_raw(img);
		le32_put(img + HDR + raw[i].off, raw[i].val);
		refused(img, sizeof(img), raw[i].what);
	}
	for (i = 0; i < sizeof(mb2) / sizeof(mb2[0]); i++) {
		make_mb2(img, mb2[i].tag, mb2[i].len);
		refused(img, sizeof(img), mb2[i].what);
	}
	make_raw(img);
	put_header1(img + HDR, 0x10004);
	refused(img, sizeof(img), "wants a video mode");
	put_header1(img + HDR, 0x10010);
	refused(img, sizeof(img), "unknown flags 0x10");
	put_header1(img + HDR, 3);
	refused(img, sizeof(img), "it is no ELF file");
	/* A header cut off in its addresses. */
	make_raw(img);
	refused(img, HDR + 16, "truncated in its Multiboot header");
	make_elf(img, 0x100000);
	le32_put(img + 24, 0xc0300000); /* e_entry */
	refused(img, sizeof(img), "not in a segment");
	make_mb2(img, "", 0);
	le32_put(img + HDR + 4, 4);
	le32_put(img + HDR + 12, 0u - 0xe85250d6u - 4u - 24u);
	refused(img, sizeof(img), "another architecture");

	/* A command line of 400 KiB finds no room. */
	{
		static char line[400 << 10];

		memset(line, 'c', sizeof(line) - 1);
		make_raw(img);
		load(&res, img, sizeof(img), line, NULL, 0, NULL);
		assert_int_equal(res.error, -E2BIG);
		gmem_destroy(res.gm);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_raw),
	    cmocka_unit_test(test_elf),
	    cmocka_unit_test(test_low),
	    cmocka_unit_test(test_modules),
	    cmocka_unit_test(test_mb2),
	    cmocka_unit_test(test_mb2_addresses),
	    cmocka_unit_test(test_both),
	    cmocka_unit_test(test_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
