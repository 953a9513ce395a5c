/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CONFIG_OPTIONS_PRIV_H
#define LHYVE_CONFIG_OPTIONS_PRIV_H

#include "config/options.h"

/* A command line while it is being read. */
struct options {
	struct config *cfg;
	const struct config_devices *devs;
	FILE *out;
	struct config_error *err;
	char letter; /* the option being parsed */
	bool done;   /* help or a list was printed */
};

/* Sets a variable that an option stands for. 0, or -EINVAL with the error. */
int options_set(struct options *o, const char *path, const char *value);
/* The same for a name that the user wrote; `where` begins the message. */
int options_assign(struct options *o, const char *path, const char *value,
    const char *where);

/* Is path a variable of that name, '#' standing for any number? */
bool config_var_match(const char *pattern, const char *path);

/* file.c: -k */
int options_file(struct options *o, const char *arg);
/* processors.c: -c and -p */
int options_topology(struct options *o, const char *arg);
int options_pin(struct options *o, const char *arg);

/* variables.c: '; did you mean "NAME"?' for a name that none of `vars` has,
 * or what to do about it. */
const char *config_hint(char buf[100], const char *name,
    const struct config_var *vars, const char *otherwise);

#endif
