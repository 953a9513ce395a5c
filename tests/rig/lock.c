/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the QEMU of a rig (LD_PRELOAD). In a guest of an SVM guest a MOV to CR8
 * while a virtual interrupt waits raises that interrupt without QEMU's lock,
 * and QEMU ends: "tcg_handle_interrupt: assertion failed" (seen in 7.2 and
 * 10.0). Firmware does that behind every interrupt. Here the lock is taken for
 * it. Debian's QEMU has its translator in a module, whose function of that name
 * this one comes before; where it is not in a module nothing changes.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct CPUState;

/* QEMU's. */
__attribute__((weak)) bool qemu_mutex_iothread_locked(void);
__attribute__((weak)) void qemu_mutex_lock_iothread_impl(
    const char *file, int line);
__attribute__((weak)) void qemu_mutex_unlock_iothread(void);

void tcg_handle_interrupt(struct CPUState *cpu, int mask);

static int
find_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	if (strstr(info->dlpi_name, "/accel-tcg-x86_64.so") == NULL)
		return (0);
	*(void **)arg = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
	return (1);
}

void
tcg_handle_interrupt(struct CPUState *cpu, int mask)
{
	static void *_Atomic found;
	void (*own)(struct CPUState *, int);
	void *module = NULL, *sym = found;
	bool locked;

	if (sym == NULL) {
		(void)dl_iterate_phdr(find_module, &module);
		if (module != NULL)
			sym = dlsym(module, "tcg_handle_interrupt");
		if (sym == NULL)
			abort();
		found = sym;
	}
	memcpy(&own, &sym, sizeof(own));
	locked = qemu_mutex_iothread_locked();
	if (!locked)
		qemu_mutex_lock_iothread_impl(__FILE__, __LINE__);
	own(cpu, mask);
	if (!locked)
		qemu_mutex_unlock_iothread();
}
