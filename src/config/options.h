/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CONFIG_OPTIONS_H
#define LHYVE_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

/* The kinds of values a variable takes. */
enum config_type {
	CONFIG_STRING,
	CONFIG_BOOL,
	CONFIG_UINT, /* min..max */
	CONFIG_SIZE, /* of memory */
	CONFIG_WORD, /* one of `words` */
	CONFIG_CPUSET, /* of the host: 0-3,5 */
	CONFIG_TEXT, /* for people: no control characters, 1024 bytes */
	CONFIG_UUID,
};

/* A variable that -o may set. */
struct config_var {
	const char *name; /* '#': a decimal number */
	enum config_type type;
	const char *dflt;  /* NULL: unset */
	const char *help;  /* one line */
	const char *words; /* CONFIG_WORD: separated by blanks */
	uint64_t min, max; /* CONFIG_UINT */
};

/*
 * Takes an item of a device's configuration that names none of its options,
 * as virtio-console's "name=path": sets variables below `node` by
 * config_set() with `origin`, which are checked with all others. 0; -ENOENT:
 * it is nothing of his; or another -errno with *err saying why.
 */
typedef int (*config_item_fn)(struct config *cfg, const char *node,
    char origin, const char *item, struct config_error *err);

/* What -s or -l may name. */
struct config_device {
	const char *name;
	const char *help; /* one line */
	/* Variables below the device's node; ends with a NULL name, NULL:
	 * none. A configuration without "name=" sets the first. */
	const struct config_var *opts;
	config_item_fn item; /* or NULL */
	/* Or: whole names of variables that the items of its configuration
	 * set in turn, the last of them optional; ends with NULL. */
	const char *const *vars;
	const char *dflt; /* of the first of `vars`, without configuration */
	const char *man; /* more for the manual, in mdoc; or NULL */
	bool needs_conf; /* the first of these must be given */
	bool single;     /* one a machine */
};

/* The lists that the parser knows; each ends with a NULL name. */
struct config_devices {
	const struct config_device *pci;
	const struct config_device *lpc;
};

/* A command-line option: the parser, lhyve -h and the manual use this. */
struct options;
struct option_desc {
	char letter;
	const char *arg;  /* its argument, as the help names it; NULL: none */
	const char *help; /* one line; NULL: bhyve's, not there yet */
	const char *man;  /* more for the manual, in mdoc; or NULL */
	const char *var;  /* set to the argument, or without one to */
	const char *value; /* this; NULL: true */
	int (*parse)(struct options *o, const char *arg);
};
extern const struct option_desc option_table[]; /* ends with letter 0 */
extern const struct config_var config_vars[];   /* ends with name NULL */

/*
 * Reads a command line into cfg: defaults, options in their order, the
 * machine's name; then expands and checks everything. Returns 0 to go on, 1
 * when all is done (help or a list was printed to out), or -EINVAL with
 * *err saying why.
 */
int options_parse(struct config *cfg, int argc, char *const argv[],
    const struct config_devices *devs, FILE *out, struct config_error *err);

/* Checks names, values, slots and sizes of a whole configuration. */
int config_check(const struct config *cfg, const struct config_devices *devs,
    struct config_error *err);
/* The variable of the table that path names, or NULL. */
const struct config_var *config_var_find(const char *path);
/*
 * -c: what is not given follows from what is, packages first, as bhyve has
 * it. Unlike bhyve's, "cpus=4,cores=2" is two packages and no error. 0, or
 * -EINVAL with *err saying why.
 */
#define CONFIG_MAX_CPUS     64
#define CONFIG_TOPOLOGY_MAX 65535 /* of each number */
struct config_topology {
	unsigned sockets, cores, threads; /* each at least 1 */
	unsigned cpus;			  /* their product */
};
int config_topology(const struct config *cfg, struct config_topology *t,
    struct config_error *err);

/*
 * -n: domains of memory and processors, numbered from 0. Each processor is in
 * one. If all of them have sizes, these are the machine's memory; else they
 * share memory.size equally.
 */
#define CONFIG_MAX_DOMAINS 8
/* Where a domain's memory lies on the host; `nodes` has a bit for each. */
enum config_policy {
	CONFIG_POLICY_NONE,
	CONFIG_POLICY_FIRST_TOUCH,
	CONFIG_POLICY_ROUND_ROBIN, /* over all, or over `nodes` */
	CONFIG_POLICY_PREFER,
	CONFIG_POLICY_BIND,
};
struct config_numa {
	unsigned ndomains; /* 0: none; what follows is not set then */
	uint64_t size[CONFIG_MAX_DOMAINS]; /* in bytes, one after the other */
	uint64_t total;
	uint8_t cpu_domain[CONFIG_MAX_CPUS];
	enum config_policy policy[CONFIG_MAX_DOMAINS];
	uint64_t nodes[CONFIG_MAX_DOMAINS];
};
/* Sets the variables of one -n. 0, or -EINVAL with *err saying why. */
int config_numa_option(
    struct config *cfg, const char *arg, struct config_error *err);
/* Checks and gives all domains of a machine. */
int config_numa(const struct config *cfg, unsigned ncpus,
    struct config_numa *numa, struct config_error *err);
/* The device with the name, in either case, or NULL. */
const struct config_device *config_device_find(
    const struct config_device *list, const char *name);
/* Is path "pci.BUS.SLOT.FUNC.LEAF"? Gives the numbers and the leaf. */
bool config_pci_path(const char *path, unsigned bdf[3], const char **leaf);
/* Fails with the nearest known name of a variable that does not exist;
 * `where` begins the message. */
int config_unknown_var(const char *where, const char *path,
    const struct config_devices *devs, struct config_error *err);
/* Processors of the host: numbers and ranges with commas between, into a
 * set of bits. 0 or -EINVAL. */
#define CONFIG_HOST_CPUS 1024
int config_parse_cpuset(
    const char *s, uint64_t set[CONFIG_HOST_CPUS / 64]);

/* The least and the most memory of a machine, in bytes. */
#define CONFIG_MEMORY_MIN (UINT64_C(16) << 20)
#define CONFIG_MEMORY_MAX (UINT64_C(1) << 40)

#endif
