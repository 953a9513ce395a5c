/* SPDX-License-Identifier: BSD-2-Clause */
/* -c and -p: how many processors, and where they run. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/options_priv.h"

#define TOPOLOGY_USE "use [[cpus=]n][,sockets=n][,cores=n][,threads=n]"

static const char *const keys[] = {"cpus", "sockets", "cores", "threads"};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))

/* "cores=2", or "4" for cpus; without blanks, signs and empty parts. */
static int
topology_item(struct options *o, const char *arg, const char *item, size_t len)
{
	const char *eq = memchr(item, '=', len), *key = keys[0];
	const char *val = item;
	size_t klen, i;
	char buf[16];
	uint64_t n;

	if (len == 0)
		return (config_fail(o->err,
		    "-c %.80s: invalid cpu topology: there is nothing between "
		    "two commas, before the first or after the last; "
		    TOPOLOGY_USE,
		    arg));
	if (eq != NULL) {
		klen = (size_t)(eq - item);
		for (i = 0; i < NKEYS; i++)
			if (strlen(keys[i]) == klen &&
			    strncmp(item, keys[i], klen) == 0)
				break;
		if (i == NKEYS)
			return (config_fail(o->err,
			    "-c %.80s: invalid cpu topology: unknown word "
			    "\"%.*s\"; " TOPOLOGY_USE,
			    arg, (int)(klen < 40 ? klen : 40), item));
		key = keys[i];
		val = eq + 1;
		len -= klen + 1;
	}
	if (len < sizeof(buf)) {
		memcpy(buf, val, len);
		buf[len] = '\0';
	}
	if (len >= sizeof(buf) || config_parse_uint(buf, &n) != 0 || n < 1 ||
	    n > CONFIG_TOPOLOGY_MAX)
		return (config_fail(o->err,
		    "-c %.80s: %s=%.*s: not a number from 1 to %d", arg, key,
		    (int)(len < 40 ? len : 40), val, CONFIG_TOPOLOGY_MAX));
	return (options_set(o, key, buf));
}

int
options_topology(struct options *o, const char *arg)
{
	const char *p;
	size_t i, len;
	int error;

	/* What an earlier -c or file said is about another topology. */
	for (i = 0; i < NKEYS; i++)
		config_unset(o->cfg, keys[i]);
	/* bhyve: an empty argument is one processor. */
	if (arg[0] == '\0')
		return (0);
	for (p = arg;; p += len + 1) {
		len = strcspn(p, ",");
		error = topology_item(o, arg, p, len);
		if (error != 0 || p[len] == '\0')
			return (error);
	}
}

/* A number at *s, which is moved behind it. */
static bool
number(const char **s, uint64_t limit, unsigned *val)
{
	size_t len = strspn(*s, "0123456789");
	char buf[16];
	uint64_t n;

	if (len == 0 || len >= sizeof(buf))
		return (false);
	memcpy(buf, *s, len);
	buf[len] = '\0';
	/* Here 08 is no octal number, but eight. */
	if (config_parse_uint(buf + (len > 1 ? strspn(buf, "0") : 0), &n) !=
	    0) {
		if (strspn(buf, "0") != len)
			return (false);
		n = 0;
	}
	if (n >= limit)
		return (false);
	*s += len;
	*val = (unsigned)n;
	return (true);
}

int
config_parse_cpuset(const char *s, uint64_t set[CONFIG_HOST_CPUS / 64])
{
	unsigned first, last, i;

	memset(set, 0, CONFIG_HOST_CPUS / 8);
	for (;; s++) {
		if (!number(&s, CONFIG_HOST_CPUS, &first))
			return (-EINVAL);
		last = first;
		if (*s == '-') {
			s++;
			if (!number(&s, CONFIG_HOST_CPUS, &last) ||
			    last < first)
				return (-EINVAL);
		}
		for (i = first; i <= last; i++)
			set[i / 64] |= UINT64_C(1) << (i % 64);
		if (*s == '\0')
			return (0);
		if (*s != ',')
			return (-EINVAL);
	}
}

int
options_pin(struct options *o, const char *arg)
{
	char path[32], val[1024];
	unsigned vcpu, host;
	const char *p = arg, *old;

	if (!number(&p, CONFIG_MAX_CPUS, &vcpu) || *p != ':')
		return (config_fail(o->err,
		    "-p %.80s: invalid cpuset configuration: vcpu is not a "
		    "number from 0 to %d; use vcpu:hostcpu",
		    arg, CONFIG_MAX_CPUS - 1));
	p++;
	if (!number(&p, CONFIG_HOST_CPUS, &host) || *p != '\0')
		return (config_fail(o->err,
		    "-p %.80s: invalid cpuset configuration: hostcpu is not a "
		    "number from 0 to %d; use vcpu:hostcpu",
		    arg, CONFIG_HOST_CPUS - 1));
	(void)snprintf(path, sizeof(path), "vcpu.%u.cpuset", vcpu);
	old = config_get(o->cfg, path);
	/* bhyve: several -p for one vcpu add up. */
	if (old != NULL && config_origin(o->cfg, path) == 'p') {
		if ((size_t)snprintf(val, sizeof(val), "%s,%u", old, host) >=
		    sizeof(val))
			return (config_fail(o->err,
			    "-p %.80s: too many for one vcpu; use "
			    "-o %s=FIRST-LAST",
			    arg, path));
	} else {
		(void)snprintf(val, sizeof(val), "%u", host);
	}
	return (options_set(o, path, val));
}
