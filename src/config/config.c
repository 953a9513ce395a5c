/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct config_node {
	struct config_node *next;
	struct config_node *child;
	char *value;
	char origin;
	char name[];
};

struct config {
	struct config_node *root;
};

int
config_fail(struct config_error *err, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	for (p = err->msg; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return (-EINVAL);
}

static struct config_node *
node_new(const char *name, size_t len)
{
	struct config_node *n;

	n = calloc(1, sizeof(*n) + len + 1);
	if (n != NULL)
		memcpy(n->name, name, len);
	return (n);
}

static void
node_free(struct config_node *n)
{
	struct config_node *next;

	for (; n != NULL; n = next) {
		next = n->next;
		node_free(n->child);
		free(n->value);
		free(n);
	}
}

int
config_create(struct config **out)
{
	struct config *cfg;

	cfg = calloc(1, sizeof(*cfg));
	if (cfg == NULL)
		return (-ENOMEM);
	cfg->root = node_new("", 0);
	if (cfg->root == NULL) {
		free(cfg);
		return (-ENOMEM);
	}
	*out = cfg;
	return (0);
}

void
config_destroy(struct config *cfg)
{
	if (cfg == NULL)
		return;
	node_free(cfg->root);
	free(cfg);
}

/* Order of names within a group: numbers by value, before words. */
static int
name_cmp(const char *a, size_t alen, const char *b)
{
	size_t blen = strlen(b);
	bool anum = strspn(a, "0123456789") >= alen;
	bool bnum = strspn(b, "0123456789") == blen;
	int c;

	if (anum != bnum)
		return (anum ? -1 : 1);
	if (anum && alen != blen)
		return (alen < blen ? -1 : 1);
	c = strncmp(a, b, alen < blen ? alen : blen);
	if (c != 0)
		return (c);
	return (alen < blen ? -1 : alen > blen);
}

/* The child with the name, made in its place in the order if `make`. */
static struct config_node *
node_child(struct config_node *n, const char *name, size_t len, bool make)
{
	struct config_node **pp, *c;
	int d = 1;

	for (pp = &n->child; *pp != NULL; pp = &(*pp)->next) {
		d = name_cmp(name, len, (*pp)->name);
		if (d <= 0)
			break;
	}
	if (*pp != NULL && d == 0)
		return (*pp);
	if (!make)
		return (NULL);
	c = node_new(name, len);
	if (c == NULL)
		return (NULL);
	c->next = *pp;
	*pp = c;
	return (c);
}

static struct config_node *
node_find(const struct config *cfg, const char *path)
{
	struct config_node *n = cfg->root;
	size_t len;

	while (n != NULL) {
		len = strcspn(path, ".");
		n = node_child(n, path, len, false);
		if (path[len] == '\0')
			break;
		path += len + 1;
	}
	return (n);
}

static bool
path_ok(const char *path)
{
	const char *p;

	if (strlen(path) >= CONFIG_PATH_MAX)
		return (false);
	for (p = path;; p++) {
		if (*p == '.' || *p == '\0') {
			if (p == path || p[-1] == '.')
				return (false);
			if (*p == '\0')
				return (true);
		}
	}
}

/* Is anything set in the list, or below? */
static bool
group_used(const struct config_node *n)
{
	for (; n != NULL; n = n->next)
		if (n->value != NULL || group_used(n->child))
			return (true);
	return (false);
}

int
config_set(struct config *cfg, const char *path, const char *value, char origin)
{
	struct config_node *n = cfg->root;
	char *copy;
	size_t len;

	if (!path_ok(path))
		return (-EINVAL);
	for (;; path += len + 1) {
		len = strcspn(path, ".");
		n = node_child(n, path, len, true);
		if (n == NULL)
			return (-ENOMEM);
		if (path[len] == '\0')
			break;
		if (n->value != NULL)
			return (-EEXIST);
	}
	if (group_used(n->child))
		return (-EEXIST);
	copy = strdup(value);
	if (copy == NULL)
		return (-ENOMEM);
	free(n->value);
	n->value = copy;
	n->origin = origin;
	return (0);
}

void
config_unset(struct config *cfg, const char *path)
{
	struct config_node *n = node_find(cfg, path);

	if (n == NULL)
		return;
	/* The empty node stays, and is like none. */
	free(n->value);
	n->value = NULL;
	node_free(n->child);
	n->child = NULL;
}

const char *
config_get(const struct config *cfg, const char *path)
{
	const struct config_node *n = node_find(cfg, path);

	return (n != NULL ? n->value : NULL);
}

char
config_origin(const struct config *cfg, const char *path)
{
	const struct config_node *n = node_find(cfg, path);

	return (n != NULL ? n->origin : '\0');
}

bool
config_bool(const struct config *cfg, const char *path, bool dflt)
{
	const char *s = config_get(cfg, path);
	bool val;

	if (s == NULL || config_parse_bool(s, &val) != 0)
		return (dflt);
	return (val);
}

struct expand {
	const struct config *cfg;
	struct config_error *err;
	FILE *out;
	size_t budget; /* bytes that may still be written */
};

/* No value grows past this; %(a)%(a) chains would otherwise double. */
#define EXPAND_MAX   65536
#define EXPAND_DEPTH 8

static int
expand_value(struct expand *e, const char *s, int depth)
{
	char name[CONFIG_PATH_MAX];
	const char *end, *val;
	size_t len;
	int error;

	if (depth > EXPAND_DEPTH)
		return (config_fail(e->err,
		    "\"%s\": variables refer to each other in a circle, or "
		    "more than %d deep; break the chain",
		    s, EXPAND_DEPTH));
	for (; *s != '\0'; s++) {
		if (e->budget == 0)
			return (config_fail(e->err,
			    "a value grows past %d bytes by expansion; "
			    "shorten it",
			    EXPAND_MAX));
		e->budget--;
		if (*s != '%' || s[1] == '%') {
			if (fputc(*s, e->out) == EOF)
				return (-ENOMEM);
			s += *s == '%';
			continue;
		}
		end = s[1] == '(' ? strchr(s, ')') : NULL;
		if (end == NULL || end - s - 2 >= CONFIG_PATH_MAX)
			return (config_fail(e->err,
			    "\"%s\": %% begins a reference; write %%(name), "
			    "or %%%% for a percent sign",
			    s));
		len = (size_t)(end - s) - 2;
		memcpy(name, s + 2, len);
		name[len] = '\0';
		val = config_get(e->cfg, name);
		if (val == NULL)
			return (config_fail(e->err,
			    "%%(%s): no such variable is set; set it with "
			    "-o %s=value",
			    name, name));
		error = expand_value(e, val, depth + 1);
		if (error != 0)
			return (error);
		s = end;
	}
	return (0);
}

/* Expands below n into the list of new values; they replace the old ones
 * only once all are known, so that the order does not matter. */
static int
expand_tree(struct expand *e, struct config_node *n, struct config *fresh,
    char *path, size_t len)
{
	char *buf;
	size_t size;
	int error, n_len;

	for (; n != NULL; n = n->next) {
		n_len = snprintf(path + len, CONFIG_PATH_MAX - len, "%s%s",
		    len == 0 ? "" : ".", n->name);
		if (n->child != NULL) {
			error = expand_tree(
			    e, n->child, fresh, path, len + (size_t)n_len);
			if (error != 0)
				return (error);
			continue;
		}
		if (n->value == NULL)
			continue;
		buf = NULL;
		e->out = open_memstream(&buf, &size);
		if (e->out == NULL)
			return (-ENOMEM);
		e->budget = EXPAND_MAX;
		error = expand_value(e, n->value, 0);
		if (fclose(e->out) != 0 && error == 0)
			error = -ENOMEM;
		if (error == 0)
			error = config_set(fresh, path, buf, n->origin);
		free(buf);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
config_expand(struct config *cfg, struct config_error *err)
{
	struct expand e = {.cfg = cfg, .err = err};
	char path[CONFIG_PATH_MAX] = "";
	struct config *fresh;
	struct config_node *root;
	int error;

	error = config_create(&fresh);
	if (error == 0) {
		error = expand_tree(&e, cfg->root->child, fresh, path, 0);
		if (error == 0) {
			root = cfg->root;
			cfg->root = fresh->root;
			fresh->root = root;
		}
		config_destroy(fresh);
	}
	if (error == -ENOMEM)
		(void)config_fail(err, "out of memory");
	return (error);
}

static int
walk_tree(const struct config_node *n, char *path, size_t len,
    int (*fn)(void *, const char *, const char *, char), void *arg)
{
	int error, n_len;

	for (; n != NULL; n = n->next) {
		n_len = snprintf(path + len, CONFIG_PATH_MAX - len, "%s%s",
		    len == 0 ? "" : ".", n->name);
		if (n->value != NULL)
			error = fn(arg, path, n->value, n->origin);
		else
			error = walk_tree(
			    n->child, path, len + (size_t)n_len, fn, arg);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
config_walk(const struct config *cfg,
    int (*fn)(void *, const char *, const char *, char), void *arg)
{
	char path[CONFIG_PATH_MAX] = "";

	return (walk_tree(cfg->root->child, path, 0, fn, arg));
}

static int
dump_one(void *arg, const char *path, const char *value, char origin)
{
	(void)origin;
	(void)fprintf(arg, "%s=", path);
	for (; *value != '\0'; value++) {
		/* It was expanded, and would be again. */
		if (*value == '%')
			(void)fputc('%', arg);
		(void)fputc(*value, arg);
	}
	(void)fputc('\n', arg);
	return (0);
}

void
config_dump(const struct config *cfg, FILE *out)
{
	(void)config_walk(cfg, dump_one, out);
}
