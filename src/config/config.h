/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CONFIG_CONFIG_H
#define LHYVE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The configuration: a tree of variables, each named by its path
 * ("lpc.com1.path"), with the names of bhyve_config(5). Every command-line
 * option sets variables here; nothing else carries what the user asked for.
 *
 * A variable has a value or variables below it, not both. Values are
 * strings.
 */
struct config;

/* One line for the user: the option, the value and the remedy. */
struct config_error {
	char msg[320];
};
/* Formats err->msg and returns -EINVAL. Control characters become '?': the
 * message is one line, whatever the user wrote. */
int config_fail(struct config_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

int config_create(struct config **out); /* 0 or -ENOMEM */
void config_destroy(struct config *cfg);

/*
 * Sets a variable; a later value replaces an earlier one. `origin` is the
 * option letter that set it (0: a default), kept for messages. 0; -EINVAL:
 * malformed path; -EEXIST: the path is a group, or runs through a value;
 * -ENOMEM.
 */
int config_set(
    struct config *cfg, const char *path, const char *value, char origin);
/* Forgets a variable, or a group with all that is below. */
void config_unset(struct config *cfg, const char *path);
/* The value, or NULL if unset. It lives until the variable is set again. */
const char *config_get(const struct config *cfg, const char *path);
/* The option letter that set the variable; 0 for a default or unset. */
char config_origin(const struct config *cfg, const char *path);
/* True if the variable is set to a true value; `dflt` if it is not set. */
bool config_bool(const struct config *cfg, const char *path, bool dflt);

/*
 * Expands %(name) into the value of the variable `name`, and %% into %, in
 * all values. To be called once, when every option was seen.
 */
int config_expand(struct config *cfg, struct config_error *err);

/* Calls fn for each variable, in the order of the names within each group,
 * numbers by their value. Stops at and returns the first nonzero result. */
int config_walk(const struct config *cfg,
    int (*fn)(void *arg, const char *path, const char *value, char origin),
    void *arg);
/* Prints every variable as "path=value", in a form that -k reads. */
void config_dump(const struct config *cfg, FILE *out);

/* Values. Each returns 0 or -EINVAL (-ERANGE: does not fit). */

/* true, on, yes, 1 or false, off, no, 0, in either case. */
int config_parse_bool(const char *s, bool *val);
/* Decimal, 0x hexadecimal or 0 octal; the whole string. */
int config_parse_uint(const char *s, uint64_t *val);
/* Size of memory in bytes: a number below 1 MiB counts MiB, another bytes;
 * with suffix K, M, G or T that unit. */
int config_parse_size(const char *s, uint64_t *val);

/* Longest path that config_set() takes. */
#define CONFIG_PATH_MAX 128

#endif
