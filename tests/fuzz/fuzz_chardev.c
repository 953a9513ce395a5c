/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What somebody types, with Ctrl-A in it: what reaches the guest is compared
 * with the rule. The first byte says how much the guest takes at a time.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/chardev/chardev.h"
#include "base/mevent.h"
#include "fuzz.h"

static unsigned quits;

static void
on_quit(void *arg)
{
	(void)arg;
	quits++;
}

static void
on_ready(void *arg)
{
	(void)arg;
}

/* The rule of the manual, and the number of Ctrl-A x. */
static size_t
expect(const uint8_t *p, size_t n, uint8_t *out, unsigned *quit)
{
	size_t k = 0;
	bool esc = false;

	*quit = 0;
	for (size_t i = 0; i < n; i++) {
		if (!esc) {
			if (p[i] == 1)
				esc = true;
			else
				out[k++] = p[i];
			continue;
		}
		esc = false;
		if (p[i] == 'x' || p[i] == 'X')
			*quit = 1;
		else if (p[i] == 'a' || p[i] == 1)
			out[k++] = 1;
		else if (p[i] != 'h' && p[i] != '?') {
			out[k++] = 1;
			out[k++] = p[i];
		}
	}
	return (k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct chardev_stdio_config cfg = {.escape = true, .quit = on_quit};
	uint8_t want[8192], got[8192], how = fuzz_u8(&in);
	size_t nwant, ngot = 0, n, chunk = 1 + (how & 63);
	struct mevent_loop *loop;
	struct chardev *cd;
	unsigned quit;
	int null;

	if (in.left > sizeof(want) / 2)
		in.left = sizeof(want) / 2;
	nwant = expect(in.p, in.left, want, &quit);
	quits = 0;
	/* As a file: read when asked for, so that no loop has to run. */
	cfg.in_fd = memfd_create("typing", MFD_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	cfg.out_fd = null;
	if (cfg.in_fd < 0 || null < 0 ||
	    write(cfg.in_fd, in.p, in.left) != (ssize_t)in.left ||
	    lseek(cfg.in_fd, 0, SEEK_SET) != 0 ||
	    mevent_loop_create(&loop) != 0)
		abort();
	cfg.loop = loop;
	FUZZ_CHECK(chardev_stdio_create(&cd, &cfg) == 0);
	chardev_start(cd, on_ready, NULL);
	/* A reading that brings only escapes is empty: ask once more. */
	for (unsigned empty = 0; empty < 64 && ngot < sizeof(got);) {
		n = sizeof(got) - ngot < chunk ? sizeof(got) - ngot : chunk;
		n = chardev_read(cd, got + ngot, n);
		FUZZ_CHECK(n <= chunk);
		ngot += n;
		empty = n == 0 ? empty + 1 : 0;
	}
	FUZZ_CHECK(ngot == nwant && memcmp(got, want, nwant) == 0);
	FUZZ_CHECK((quits != 0) == (quit != 0));
	(void)chardev_write(cd, in.p, in.left);
	chardev_destroy(cd);
	mevent_loop_destroy(loop);
	(void)close(cfg.in_fd);
	(void)close(null);
	return (0);
}
