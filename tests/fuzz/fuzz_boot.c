/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel's file, bzImage, ELF or Multiboot image. The first four bytes say
 * how much memory there is, how long the command line is, and whether there
 * is an initrd or a module; the rest is the file.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/boot.h"
#include "fuzz.h"
#include "gmem/gmem.h"

struct file {
	int fd;
	char path[40];
};

static void
file_make(struct file *f, const void *data, size_t len)
{
	f->fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (f->fd < 0 || write(f->fd, data, len) != (ssize_t)len)
		abort();
	(void)snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char cmdline[70000];
	struct fuzz_in in = { data, size };
	uint8_t mem = fuzz_u8(&in), flags = fuzz_u8(&in);
	uint64_t len = fuzz_take(&in, 2);
	struct boot_config cfg = {.rsdp = 0xf2400};
	struct boot_module module = {"module.0.path", NULL, "m"};
	struct fw_error err = {""};
	struct boot_regs regs;
	struct file kernel, initrd;
	struct gmem *gm;
	int error;

	memset(cmdline, 'c', sizeof(cmdline));
	cmdline[flags & 1 ? len + 4000 : len % 100] = '\0';
	file_make(&kernel, in.p, in.left);
	file_make(&initrd, data, flags & 4 ? size : 0);
	if (gmem_create(&gm, (2 + mem) * 0x100000ull) != 0)
		abort();
	cfg.kernel = kernel.path;
	cfg.cmdline = flags & 2 ? NULL : cmdline;
	cfg.initrd = flags & 8 ? initrd.path : NULL;
	cfg.ecam = flags & 16 ? 0xe0000000u : 0;
	if (flags & 32) {
		cfg.modules = &module;
		cfg.nmodules = 1;
		module.path = initrd.path;
	}
	memset(&regs, 0, sizeof(regs));
	error = boot_load(gm, &cfg, &regs, &err);
	FUZZ_CHECK(error <= 0);
	if (error != 0) {
		FUZZ_CHECK(err.msg[0] != '\0');
		FUZZ_CHECK(memchr(err.msg, '\0', sizeof(err.msg)) != NULL);
		FUZZ_CHECK(strchr(err.msg, '\n') == NULL);
	} else {
		FUZZ_CHECK(gmem_map(gm, regs.rip, 1) != NULL);
		/* Only images that say so with a magic number begin lower,
		 * and what they are told lies in conventional memory. */
		FUZZ_CHECK(regs.rip >= (regs.rax != 0 ? 0x500 : 0x100000));
		FUZZ_CHECK(regs.rax == 0 ||
			   (regs.rbx >= 0x1000 && regs.rbx < regs.rsp &&
			       regs.rsp <= 0x9fc00));
		FUZZ_CHECK(regs.gdtr.limit < 65536);
		FUZZ_CHECK(gmem_map(gm, regs.gdtr.base,
			       regs.gdtr.limit + 1ull) != NULL);
	}
	gmem_destroy(gm);
	(void)close(kernel.fd);
	(void)close(initrd.fd);
	return (0);
}
