/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "firmware/boot.h"
#include "firmware/le.h"
#include "gmem/gmem.h"

#define MEM (UINT64_C(64) << 20)

/* A file in memory, named through /proc so that it can be opened. */
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

/* Loads `data` as a kernel into fresh memory, which is returned. */
static struct gmem *
load(const void *data, size_t len, uint64_t mem, const char *initrd,
    const char *cmdline, struct boot_regs *regs, struct fw_error *err,
    int *error)
{
	struct boot_config cfg = {
	    .initrd = initrd, .cmdline = cmdline, .rsdp = 0xf2400};
	struct gmem *gm;
	struct file f;

	file_make(&f, data, len);
	cfg.kernel = f.path;
	err->msg[0] = '\0';
	assert_int_equal(gmem_create(&gm, mem), 0);
	*error = boot_load(gm, &cfg, regs, err);
	if (*error != 0) {
		assert_true(err->msg[0] != '\0');
		assert_null(strchr(err->msg, '\n'));
	}
	(void)close(f.fd);
	return (gm);
}

static int
try(const void *data, size_t len, uint64_t mem, struct fw_error *err)
{
	struct boot_regs regs;
	int error;

	gmem_destroy(load(data, len, mem, NULL, NULL, &regs, err, &error));
	return (error);
}

#define BZ_PAYLOAD 2048
#define BZ_SIZE    (1024 + BZ_PAYLOAD) /* one setup sector */

/* A bzImage of protocol 2.15 that says it wants 1 MiB at 16 MiB. */
static void
make_bzimage(uint8_t bz[BZ_SIZE])
{
	size_t i;

	memset(bz, 0, BZ_SIZE);
	bz[0x1f1] = 1;
	le32_put(bz + 0x1f4, BZ_PAYLOAD / 16);
	le16_put(bz + 0x1fe, 0xaa55);
	bz[0x201] = 0x6a; /* up to 0x26c */
	memcpy(bz + 0x202, "HdrS", 4);
	le16_put(bz + 0x206, 0x20f);
	bz[0x211] = 1;
	le32_put(bz + 0x22c, 0x7fffffff);
	le32_put(bz + 0x230, 0x200000);
	bz[0x234] = 1;
	le16_put(bz + 0x236, 1);
	le32_put(bz + 0x238, 100);
	le32_put(bz + 0x24c, BZ_PAYLOAD / 2); /* packed payload */
	le64_put(bz + 0x258, 0x1000000);
	le32_put(bz + 0x260, 0x100000);
	bz[0x26b] = 0x77; /* the header's last byte */
	for (i = 0; i < BZ_PAYLOAD; i++)
		bz[1024 + i] = (uint8_t)(i * 7 + 1);
}

static void
test_bzimage64(void **state)
{
	uint8_t bz[BZ_SIZE], got[BZ_PAYLOAD], zp[4096], gdt[32];
	char initrd_data[5000], cmdline[8];
	struct boot_regs r;
	struct fw_error err;
	struct file initrd;
	struct gmem *gm;
	uint64_t pte;
	int error;

	(void)state;
	make_bzimage(bz);
	memset(initrd_data, 'i', sizeof(initrd_data));
	file_make(&initrd, initrd_data, sizeof(initrd_data));
	gm =
	    load(bz, sizeof(bz), MEM, initrd.path, "foo=bar", &r, &err, &error);
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x1000200);
	assert_int_equal(gmem_read(gm, 0x1000000, got, sizeof(got)), 0);
	assert_memory_equal(got, bz + 1024, sizeof(got));

	assert_int_equal(gmem_read(gm, r.rsi, zp, sizeof(zp)), 0);
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(zp[0x26b], 0x77);
	assert_int_equal(zp[0x26c], 0);
	assert_int_equal(zp[0x1ef], 0); /* sentinel */
	assert_int_equal(le64_get(zp + 0x70), 0xf2400);
	assert_true(zp[0x1e8] >= 3);
	assert_int_equal(gmem_read(gm, le32_get(zp + 0x228), cmdline, 8), 0);
	assert_string_equal(cmdline, "foo=bar");
	assert_int_equal(le32_get(zp + 0x21c), sizeof(initrd_data));
	assert_int_equal(le32_get(zp + 0x218), MEM - 0x2000);
	assert_int_equal(gmem_read(gm, MEM - 0x2000, got, 1), 0);
	assert_int_equal(got[0], 'i');

	/* Long mode, its segments, an identity map. */
	assert_int_equal(r.efer, 0x500);
	assert_int_equal(r.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(r.cr4 & 0x20, 0x20);
	assert_int_equal(r.rflags, 2);
	assert_int_equal(r.cs.sel, 0x10);
	assert_int_equal(r.data.sel, 0x18);
	assert_int_equal(gmem_read(gm, r.gdtr.base, gdt, sizeof(gdt)), 0);
	assert_true(le64_get(gdt + 16) == 0x00af9b000000ffff);
	assert_true(le64_get(gdt + 24) == 0x00cf93000000ffff);
	assert_int_equal(gmem_read(gm, r.cr3, &pte, 8), 0);
	assert_int_equal(gmem_read(gm, pte & ~0xfffull, &pte, 8), 0);
	assert_int_equal(gmem_read(gm, (pte & ~0xfffull) + 8 * 8, &pte, 8), 0);
	assert_int_equal(pte, 0x1000083);
	gmem_destroy(gm);
	(void)close(initrd.fd);
}

static void
test_bzimage32(void **state)
{
	uint8_t bz[BZ_SIZE];
	struct boot_regs r;
	struct fw_error err;
	int error;

	(void)state;
	make_bzimage(bz);
	le16_put(bz + 0x236, 0);
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, NULL, &r, &err, &error));
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x1000000);
	assert_int_equal(r.cr0 & 0x80000001, 1);
	assert_int_equal(r.efer, 0);
	assert_int_equal(r.cs.access, 0xc09b);
	/* Where xloadflags did not exist its bytes mean nothing. */
	make_bzimage(bz);
	le16_put(bz + 0x206, 0x20b);
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, NULL, &r, &err, &error));
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x1000000);
}

/* It goes where it prefers to be or, if it can be moved, a bit higher. */
static void
test_bzimage_place(void **state)
{
	uint8_t bz[BZ_SIZE];
	struct boot_regs r;
	struct fw_error err;
	int error;

	(void)state;
	make_bzimage(bz);
	assert_int_equal(try(bz, sizeof(bz), 17 << 20, &err), 0);
	assert_int_equal(try(bz, sizeof(bz), (17 << 20) - 4096, &err), -ENOSPC);
	le32_put(bz + 0x260, 0xffffffff);
	assert_int_equal(try(bz, sizeof(bz), MEM, &err), -ENOSPC);
	make_bzimage(bz);
	le64_put(bz + 0x258, 0x1100000); /* not aligned to 2 MiB */
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, NULL, &r, &err, &error));
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x1200200);
	bz[0x234] = 0;
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, NULL, &r, &err, &error));
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x1100200);
}

struct bad {
	size_t off, len;
	uint64_t val;
	int error;
};

static void
test_bzimage_bad(void **state)
{
	static const struct bad bad[] = {
	    {0x1fe, 2, 0x1234, -ENOEXEC},
	    {0x202, 4, 0, -ENOEXEC},
	    {0x206, 2, 0x209, -ENOEXEC},
	    {0x211, 1, 0, -ENOEXEC},
	    {0x230, 4, 0, -ENOEXEC},
	    {0x230, 4, 3, -ENOEXEC},
	    {0x1f1, 1, 200, -ENODATA},
	    {0x1f1, 1, 0, -ENODATA}, /* 4, and then it is cut */
	    {0x230, 4, 0x80000000, -ENOSPC},
	    {0x258, 8, UINT64_MAX, -ENOSPC},
	    {0x258, 8, UINT64_MAX - 0x80000, -ENOSPC},
	    {0x258, 8, MEM - 1, -ENOSPC},
	    {0x1f4, 4, 0xffffffff, -ENODATA},
	    {0x1f4, 4, BZ_PAYLOAD / 16 + 1, -ENODATA},
	};
	static const struct bad odd[] = {
	    /* These are strange, but can be loaded. */
	    {0x258, 8, 0, 0},
	    {0x260, 4, 0, 0},
	    {0x1f4, 4, 0, 0},
	    {0x201, 1, 0, 0},
	    {0x201, 1, 255, 0},
	};
	uint8_t bz[BZ_SIZE];
	struct fw_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_bzimage(bz);
		memcpy(bz + bad[i].off, &bad[i].val, bad[i].len);
		assert_int_equal(try(bz, sizeof(bz), MEM, &err), bad[i].error);
	}
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		make_bzimage(bz);
		memcpy(bz + odd[i].off, &odd[i].val, odd[i].len);
		assert_int_equal(try(bz, sizeof(bz), MEM, &err), 0);
	}
}

/* Cut at every length: an error and a line, never more. */
static void
test_bzimage_truncated(void **state)
{
	uint8_t bz[BZ_SIZE];
	struct fw_error err;
	size_t len;

	(void)state;
	make_bzimage(bz);
	for (len = 0; len < BZ_SIZE; len += len < 0x400 ? 1 : 61)
		assert_int_not_equal(try(bz, len, MEM, &err), 0);
	assert_int_equal(try(bz, BZ_SIZE - 1, MEM, &err), -ENODATA);
	assert_int_equal(try(bz, BZ_SIZE, MEM, &err), 0);
	/* memtest86+ and the like: no payload, the last 16 bytes not full. */
	le32_put(bz + 0x24c, 0);
	assert_int_equal(try(bz, BZ_SIZE - 15, MEM, &err), 0);
	assert_int_equal(try(bz, BZ_SIZE - 16, MEM, &err), -ENODATA);
}

static void
test_messages(void **state)
{
	uint8_t bz[BZ_SIZE];
	struct boot_config cfg = {.kernel = "/nonexistent"};
	struct boot_regs r;
	struct fw_error err;
	struct gmem *gm;
	char line[200];
	struct file initrd;
	void *big;
	int error;

	(void)state;
	assert_int_equal(gmem_create(&gm, MEM), 0);
	assert_int_equal(boot_load(gm, &cfg, &r, &err), -ENOENT);
	assert_string_equal(err.msg,
	    "-o kernel=/nonexistent: cannot be opened: No such file or "
	    "directory");
	cfg.kernel = "/dev";
	assert_int_equal(boot_load(gm, &cfg, &r, &err), -EINVAL);
	assert_string_equal(
	    err.msg, "-o kernel=/dev: not a regular file; copy it to one");
	cfg.kernel = "/dev/null";
	assert_int_equal(boot_load(gm, &cfg, &r, &err), -EINVAL);
	gmem_destroy(gm);

	make_bzimage(bz);
	memset(line, 'x', sizeof(line));
	line[101] = '\0';
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, line, &r, &err, &error));
	assert_int_equal(error, -E2BIG);
	assert_string_equal(err.msg,
	    "-o cmdline=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: 101 "
	    "bytes; this kernel takes at most 100; shorten it");
	line[100] = '\0';
	gmem_destroy(load(bz, sizeof(bz), MEM, NULL, line, &r, &err, &error));
	assert_int_equal(error, 0);

	/* An initrd that leaves no room for the kernel. */
	big = calloc(1, MEM - (17 << 20) + 1);
	assert_non_null(big);
	file_make(&initrd, big, MEM - (17 << 20) + 1);
	free(big);
	gmem_destroy(
	    load(bz, sizeof(bz), MEM, initrd.path, NULL, &r, &err, &error));
	assert_int_equal(error, -ENOSPC);
	assert_non_null(strstr(err.msg, "-o initrd="));
	(void)close(initrd.fd);
}

/* An ELF64 kernel: one segment at 2 MiB, and notes. */
struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint32_t note1[5]; /* of somebody else, 5 bytes padded to 8 */
	char pad[4];
	uint32_t note2[3];
	char xen[4];
	uint32_t entry;
	uint8_t text[64];
};

static void
make_elf(struct elf *e)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->eh.e_ident, ELFMAG, SELFMAG);
	e->eh.e_ident[EI_CLASS] = ELFCLASS64;
	e->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e->eh.e_type = ET_EXEC;
	e->eh.e_machine = EM_X86_64;
	e->eh.e_entry = 0x200010;
	e->eh.e_phoff = offsetof(struct elf, ph);
	e->eh.e_phentsize = sizeof(Elf64_Phdr);
	e->eh.e_phnum = 2;
	e->ph[0].p_type = PT_LOAD;
	e->ph[0].p_offset = offsetof(struct elf, text);
	e->ph[0].p_paddr = 0x200000;
	e->ph[0].p_vaddr = 0xffffffff80200000;
	e->ph[0].p_filesz = sizeof(e->text);
	e->ph[0].p_memsz = 0x10000;
	e->ph[1].p_type = PT_NOTE;
	e->ph[1].p_offset = offsetof(struct elf, note1);
	e->ph[1].p_filesz =
	    offsetof(struct elf, text) - offsetof(struct elf, note1);
	e->ph[1].p_align = 4;
	e->note1[0] = 4;
	e->note1[1] = 5;
	e->note1[2] = 18;
	memcpy(&e->note1[3], "ABC", 4);
	e->note2[0] = 4;
	e->note2[1] = 4;
	e->note2[2] = 18;
	memcpy(e->xen, "Xen", 4);
	e->entry = 0x200020;
	memset(e->text, 0x90, sizeof(e->text));
}

static void
test_elf_pvh(void **state)
{
	uint8_t si[56], mod[16], text[64];
	char initrd_data[100] = "initrd";
	struct boot_regs r;
	struct fw_error err;
	struct file initrd;
	struct gmem *gm;
	struct elf e;
	int error;

	(void)state;
	make_elf(&e);
	file_make(&initrd, initrd_data, sizeof(initrd_data));
	gm = load(&e, sizeof(e), MEM, initrd.path, "x", &r, &err, &error);
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x200020);
	assert_int_equal(r.cr0 & 0x80000001, 1);
	assert_int_equal(r.cr4, 0);
	assert_int_equal(gmem_read(gm, 0x200000, text, sizeof(text)), 0);
	assert_memory_equal(text, e.text, sizeof(text));
	assert_int_equal(gmem_read(gm, r.rbx, si, sizeof(si)), 0);
	assert_int_equal(le32_get(si), 0x336ec578);
	assert_int_equal(le32_get(si + 4), 1);
	assert_int_equal(le32_get(si + 12), 1);
	assert_int_equal(le64_get(si + 32), 0xf2400);
	assert_true(le32_get(si + 48) >= 3);
	assert_int_equal(gmem_read(gm, le64_get(si + 16), mod, 16), 0);
	assert_int_equal(le64_get(mod), MEM - 0x1000);
	assert_int_equal(le64_get(mod + 8), 100);
	gmem_destroy(gm);
	(void)close(initrd.fd);
}

static void
test_elf_linux(void **state)
{
	struct boot_regs r;
	struct fw_error err;
	struct gmem *gm;
	uint8_t zp[4096];
	struct elf e;
	int error;

	(void)state;
	make_elf(&e);
	e.note2[2] = 17; /* another note */
	gm = load(&e, sizeof(e), MEM, NULL, "x", &r, &err, &error);
	assert_int_equal(error, 0);
	assert_int_equal(r.rip, 0x200010);
	assert_int_equal(r.efer, 0x500);
	assert_int_equal(gmem_read(gm, r.rsi, zp, sizeof(zp)), 0);
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_int_equal(le32_get(zp + 0x228), 0x20000);
	gmem_destroy(gm);
	/* Linked where programs are: a static one. */
	e.ph[0].p_vaddr = e.ph[0].p_paddr;
	assert_int_equal(try(&e, sizeof(e), MEM, &err), -ENOEXEC);
}

#define ELF_OFF(m) offsetof(struct elf, m), sizeof(((struct elf *)0)->m)

static void
test_elf_bad(void **state)
{
	static const struct bad bad[] = {
	    {ELF_OFF(eh.e_ident[EI_CLASS]), 3, -ENOEXEC},
	    {ELF_OFF(eh.e_ident[EI_CLASS]), ELFCLASS32, -ENOEXEC},
	    {ELF_OFF(eh.e_ident[EI_DATA]), ELFDATA2MSB, -ENOEXEC},
	    {ELF_OFF(eh.e_type), ET_DYN, -ENOEXEC},
	    {ELF_OFF(eh.e_machine), EM_AARCH64, -ENOEXEC},
	    {ELF_OFF(eh.e_phnum), 0, -ENOEXEC},
	    {ELF_OFF(eh.e_phnum), 65535, -ENOEXEC},
	    {ELF_OFF(eh.e_phnum), 64, -ENODATA},
	    {ELF_OFF(eh.e_phentsize), 32, -ENOEXEC},
	    {ELF_OFF(eh.e_phoff), UINT64_MAX, -ENODATA},
	    {ELF_OFF(eh.e_phoff), UINT64_MAX - 20, -ENODATA},
	    {ELF_OFF(ph[0].p_type), PT_NULL, -ENOEXEC},
	    {ELF_OFF(ph[0].p_memsz), 1, -ENOEXEC},
	    {ELF_OFF(ph[0].p_memsz), UINT64_MAX, -ENOSPC},
	    {ELF_OFF(ph[0].p_memsz), MEM, -ENOSPC},
	    {ELF_OFF(ph[0].p_offset), UINT64_MAX, -ENODATA},
	    {ELF_OFF(ph[0].p_filesz), UINT64_MAX, -ENOEXEC},
	    {ELF_OFF(ph[0].p_paddr), 0, -ENOEXEC},
	    {ELF_OFF(ph[0].p_paddr), UINT64_MAX, -ENOEXEC},
	    {ELF_OFF(ph[0].p_paddr), UINT64_C(1) << 32, -ENOEXEC},
	    {ELF_OFF(ph[1].p_offset), UINT64_MAX, -ENODATA},
	    {ELF_OFF(ph[1].p_filesz), UINT64_MAX, -ENODATA},
	    {ELF_OFF(entry), 0x1fffff, -ENOEXEC},
	    {ELF_OFF(entry), 0x200040, -ENOEXEC},
	};
	struct fw_error err;
	struct elf e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_elf(&e);
		memcpy((char *)&e + bad[i].off, &bad[i].val, bad[i].len);
		if (try(&e, sizeof(e), MEM, &err) != bad[i].error)
			fail_msg("%zu: %s", i, err.msg);
	}
	/* Notes whose sizes run past the end: as if there were none. */
	for (i = 0; i < 2; i++) {
		make_elf(&e);
		e.note1[i] = 0xffffffff;
		assert_int_equal(try(&e, sizeof(e), MEM, &err), 0);
	}
}

static void
test_elf_truncated(void **state)
{
	struct fw_error err;
	struct elf e;
	size_t len;

	(void)state;
	make_elf(&e);
	for (len = 0; len < offsetof(struct elf, text) + 64; len++)
		assert_int_not_equal(try(&e, len, MEM, &err), 0);
	assert_int_equal(try(&e, sizeof(e), MEM, &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bzimage64),
	    cmocka_unit_test(test_bzimage32),
	    cmocka_unit_test(test_bzimage_place),
	    cmocka_unit_test(test_bzimage_bad),
	    cmocka_unit_test(test_bzimage_truncated),
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_elf_pvh),
	    cmocka_unit_test(test_elf_linux),
	    cmocka_unit_test(test_elf_bad),
	    cmocka_unit_test(test_elf_truncated),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
