/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_DEVICE_H
#define LHYVE_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/pci.h"
#include "config/options.h"

/*
 * What can be put into a PCI slot. A device says what it is in one const
 * struct device_desc, which devices.inc names; the catalogue of -s, the
 * manual, the checks of the options and the machine work from it, and nothing
 * else in the tree names a device.
 */
struct chardev;
struct gmem;
struct mevent_loop;
struct vclock;
struct virtio_ops;

struct device_desc {
	const struct pci_device_ops *pci;
	/* For a virtio device: its own part (virtio/virtio.h). */
	const struct virtio_ops *virtio;
	/*
	 * Its variables below the slot's node ("pci.0.3.0."), with types and
	 * defaults; ends with a NULL name; NULL: none. An item of -s without
	 * "name=" sets the first of them. '#' in a name is a number.
	 */
	const struct config_var *opts;
	bool needs_conf; /* -s must give the first of `opts` */
	bool single;     /* one a machine */
	/* Takes an item of -s that is not one of `opts`: see struct
	 * config_device. NULL: it is an error. */
	config_item_fn item;
	/* More for the manual, in mdoc; NULL: the help line says it all. */
	const char *man;
};

/* All of them; ends with NULL. */
extern const struct device_desc *const devices[];
/* The one whose pci->name it is, or NULL. */
const struct device_desc *device_find(const char *name);

/*
 * What the machine tells a device: the `conf` of pci_device_ops.init. The
 * struct itself is gone after init; what its pointers point at lives as long
 * as the device, but for `err`.
 */
struct device_conf {
	const struct device_desc *desc;
	const struct config *cfg;
	char node[32];            /* "pci.0.3.0" */
	struct config_error *err; /* why init failed; device_fail() */
	/* The machine's loop. Its handlers never wait; a device with work of
	 * its own has an iothread (base/iothread.h). */
	struct mevent_loop *loop;
	struct vclock *vclock;
	/* For giving pages back; data goes by pci_dma_*() and virtqueues. */
	struct gmem *gmem;
	/* Opens the host's end of a line: stdio, pty, tcp=IP:PORT, unix=PATH,
	 * null, or a terminal's path. 0 or -errno. NULL: there are none. */
	int (*open_line)(void *arg, const char *path, struct chardev **out);
	void *open_arg;
	const char *vm_name;
	const char *rundir; /* the machine's directory on the host */
	bool msix;          /* virtio_msix; false (-W): MSI, one message */
};

/* The value of one of the device's options, or its default; NULL: neither.
 * It lives as long as the configuration. */
const char *device_opt(const struct device_conf *conf, const char *name);
/* The same by type; the values have been checked. Unset without default:
 * false, 0. */
bool device_opt_bool(const struct device_conf *conf, const char *name);
uint64_t device_opt_uint(const struct device_conf *conf, const char *name);
/* One line for the user, "pci slot 0:3:0: virtio-blk: " in front: what, the
 * value and the remedy. Returns -EINVAL. */
int device_fail(const struct device_conf *conf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* bootindex=N: the machine tells the firmware the order. */
#define DEVICE_OPT_BOOTINDEX                                                   \
	{                                                                      \
		.name = "bootindex", .type = CONFIG_UINT, .max = 999,          \
		.help = "place in the firmware's boot order",                  \
	}

#endif
