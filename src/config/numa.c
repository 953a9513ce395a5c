/* SPDX-License-Identifier: BSD-2-Clause */
/* -n: domains of memory and processors. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

static const char usage[] =
    "use id=N,size=SIZE,cpus=LIST, LIST being like 0-3 or 0,2";

static int
bad(struct config_error *err, const char *arg, const char *what)
{
	return (config_fail(err, "-n %.80s: %s; %s", arg, what, usage));
}

/* Adds an item to a list of processors. */
static int
add_cpus(char *list, size_t size, const char *item)
{
	size_t len = strlen(list);

	if (len + strlen(item) + 2 > size)
		return (-EINVAL);
	(void)snprintf(
	    list + len, size - len, "%s%s", len != 0 ? "," : "", item);
	return (0);
}

struct domain_arg {
	char id[16], size[32], cpus[256], policy[64];
	int error;
};

/*
 * bhyve's items have names, in any order; without names they are id, size,
 * cpus and policy. A number behind a list of processors goes on with it.
 */
static void
parse_item(struct domain_arg *d, const char *tok, unsigned n, char *last)
{
	static const char *const keys[] = {
	    "id=", "size=", "cpus=", "domain_policy="};
	char *const to[] = {d->id, d->size, d->cpus, d->policy};
	const size_t room[] = {sizeof(d->id), sizeof(d->size),
	    sizeof(d->cpus), sizeof(d->policy)};
	unsigned k;

	for (k = 0; k < 4; k++)
		if (strncmp(tok, keys[k], strlen(keys[k])) == 0)
			break;
	if (k < 4) {
		tok += strlen(keys[k]);
	} else if (*last == 'c' && isdigit((unsigned char)*tok)) {
		k = 2;
	} else if (strchr(tok, '=') == NULL && n < 4) {
		k = n;
	} else {
		d->error = -EINVAL;
		return;
	}
	*last = keys[k][0];
	if (k == 2)
		d->error = add_cpus(d->cpus, sizeof(d->cpus), tok);
	else if (strlen(tok) >= room[k] || tok[0] == '\0')
		d->error = -EINVAL;
	else
		(void)snprintf(to[k], room[k], "%s", tok);
}

int
config_numa_option(
    struct config *cfg, const char *arg, struct config_error *err)
{
	static const char *const leaves[] = {"size", "cpus", "domain_policy"};
	struct domain_arg d = {.error = 0};
	const char *const vals[] = {d.size, d.cpus, d.policy};
	char path[CONFIG_PATH_MAX], tok[256], last = '\0';
	const char *p;
	uint64_t id;
	unsigned n;
	size_t len;

	for (p = arg, n = 0;; p += len + 1, n++) {
		len = strcspn(p, ",");
		if (len == 0 || len >= sizeof(tok))
			return (bad(err, arg, "invalid NUMA domain"));
		memcpy(tok, p, len);
		tok[len] = '\0';
		parse_item(&d, tok, n, &last);
		if (d.error != 0)
			return (bad(err, arg, "invalid NUMA domain"));
		if (p[len] == '\0')
			break;
	}
	if (config_parse_uint(d.id, &id) != 0 || id >= CONFIG_MAX_DOMAINS)
		return (config_fail(err,
		    "-n %.80s: the domain's id is missing or not a number "
		    "from 0 to %d; %s",
		    arg, CONFIG_MAX_DOMAINS - 1, usage));
	if (d.cpus[0] == '\0')
		return (bad(err, arg, "the domain has no cpus"));
	for (n = 0; n < 3; n++) {
		(void)snprintf(path, sizeof(path), "domains.%u.%s",
		    (unsigned)id, leaves[n]);
		if (vals[n][0] != '\0' &&
		    config_set(cfg, path, vals[n], 'n') != 0)
			return (config_fail(err, "out of memory"));
	}
	return (0);
}

static const char *
leaf(const struct config *cfg, unsigned id, const char *name)
{
	char path[CONFIG_PATH_MAX];

	(void)snprintf(path, sizeof(path), "domains.%u.%s", id, name);
	return (config_get(cfg, path));
}

/* "0-3,8" into the domains of the processors; 0xff: of none yet. */
static int
assign_cpus(const char *list, unsigned id, unsigned ncpus,
    struct config_numa *numa, struct config_error *err)
{
	unsigned long first, last;
	const char *p = list;
	char *end;

	do {
		if (!isdigit((unsigned char)*p))
			goto invalid;
		first = last = strtoul(p, &end, 10);
		if (*end == '-') {
			p = end + 1;
			if (!isdigit((unsigned char)*p))
				goto invalid;
			last = strtoul(p, &end, 10);
		}
		p = end + (*end == ',');
		if ((*end != ',' && *end != '\0') || last < first ||
		    (*end == ',' && *p == '\0'))
			goto invalid;
		if (last >= ncpus)
			return (config_fail(err,
			    "domains.%u.cpus=%.80s: the machine has %u cpus; "
			    "use 0 to %u",
			    id, list, ncpus, ncpus - 1));
		for (; first <= last; first++) {
			if (numa->cpu_domain[first] != 0xff)
				return (config_fail(err,
				    "domains.%u.cpus=%.80s: cpu %lu is in "
				    "domain %u already; take it out of one",
				    id, list, first,
				    numa->cpu_domain[first]));
			numa->cpu_domain[first] = (uint8_t)id;
		}
	} while (*end != '\0');
	return (0);
invalid:
	return (config_fail(err,
	    "domains.%u.cpus=%.80s: not a list of processors; use one like "
	    "0-3 or 0,2",
	    id, list));
}

/* The policies of cpuset(1) that bhyve takes, and bind. */
static int
parse_policy(const char *s, unsigned id, struct config_numa *numa)
{
	static const struct {
		const char *name;
		enum config_policy policy;
	} names[] = {
	    {"first-touch", CONFIG_POLICY_FIRST_TOUCH},
	    {"round-robin", CONFIG_POLICY_ROUND_ROBIN},
	    {"interleave", CONFIG_POLICY_ROUND_ROBIN},
	    {"prefer", CONFIG_POLICY_PREFER},
	    {"bind", CONFIG_POLICY_BIND},
	};
	size_t len = strcspn(s, ":"), i;
	uint64_t set[CONFIG_HOST_CPUS / 64] = {0};
	enum config_policy policy = CONFIG_POLICY_NONE;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(s, names[i].name, len) == 0 &&
		    names[i].name[len] == '\0')
			policy = names[i].policy;
	if (s[len] == ':') {
		if (config_parse_cpuset(s + len + 1, set) != 0)
			return (-EINVAL);
		for (i = 1; i < CONFIG_HOST_CPUS / 64; i++)
			if (set[i] != 0)
				return (-EINVAL);
	}
	if (policy == CONFIG_POLICY_NONE ||
	    (policy == CONFIG_POLICY_FIRST_TOUCH && set[0] != 0) ||
	    (policy >= CONFIG_POLICY_PREFER && set[0] == 0) ||
	    (policy == CONFIG_POLICY_PREFER && (set[0] & (set[0] - 1)) != 0))
		return (-EINVAL);
	numa->policy[id] = policy;
	numa->nodes[id] = set[0];
	return (0);
}

static int
parse_domain(const struct config *cfg, unsigned id, unsigned ncpus,
    struct config_numa *numa, struct config_error *err)
{
	const char *size = leaf(cfg, id, "size");
	const char *cpus = leaf(cfg, id, "cpus");
	const char *policy = leaf(cfg, id, "domain_policy");

	if (cpus == NULL)
		return (config_fail(err,
		    "domains.%u: it has no processors; set domains.%u.cpus",
		    id, id));
	if (size != NULL &&
	    (config_parse_size(size, &numa->size[id]) != 0 ||
		numa->size[id] == 0 || numa->size[id] % 4096 != 0 ||
		numa->size[id] > CONFIG_MEMORY_MAX))
		return (config_fail(err,
		    "domains.%u.size=%.80s: not a size of memory; use a "
		    "number with suffix M or G",
		    id, size));
	if (policy != NULL && parse_policy(policy, id, numa) != 0)
		return (config_fail(err,
		    "domains.%u.domain_policy=%.80s: not a policy; use "
		    "first-touch, round-robin, interleave:NODES, prefer:NODE "
		    "or bind:NODES",
		    id, policy));
	return (assign_cpus(cpus, id, ncpus, numa, err));
}

/* Counts the domains by the largest number. */
static int
count_domain(void *arg, const char *path, const char *value, char origin)
{
	unsigned *n = arg;
	unsigned long id;

	(void)value;
	(void)origin;
	if (strncmp(path, "domains.", 8) == 0) {
		id = strtoul(path + 8, NULL, 10);
		if (id >= CONFIG_MAX_DOMAINS)
			id = CONFIG_MAX_DOMAINS;
		if (id + 1 > *n)
			*n = (unsigned)id + 1;
	}
	return (0);
}

int
config_numa(const struct config *cfg, unsigned ncpus,
    struct config_numa *numa, struct config_error *err)
{
	uint64_t total, sum = 0, share;
	bool sized = true;
	unsigned i, n = 0;
	int error = 0;

	memset(numa, 0, sizeof(*numa));
	memset(numa->cpu_domain, 0xff, sizeof(numa->cpu_domain));
	(void)config_walk(cfg, count_domain, &n);
	if (n == 0)
		return (0);
	if (n > CONFIG_MAX_DOMAINS)
		return (config_fail(err,
		    "domains: there are at most %d; use numbers from 0 to %d",
		    CONFIG_MAX_DOMAINS, CONFIG_MAX_DOMAINS - 1));
	for (i = 0; i < n && error == 0; i++) {
		error = parse_domain(cfg, i, ncpus, numa, err);
		sized = sized && numa->size[i] != 0;
		sum += numa->size[i];
	}
	if (error != 0)
		return (error);
	for (i = 0; i < ncpus; i++)
		if (numa->cpu_domain[i] == 0xff)
			return (config_fail(err,
			    "domains: cpu %u is in none; add it to the cpus "
			    "of one",
			    i));
	numa->ndomains = n;
	if (sized) {
		numa->total = sum;
		return (0);
	}
	/* bhyve: one size is missing, and all are equal. */
	if (config_parse_size(config_get(cfg, "memory.size"), &total) != 0)
		return (config_fail(err, "memory.size: invalid memsize"));
	share = total / n & ~UINT64_C(0xfff);
	for (i = 0; i < n; i++)
		numa->size[i] = share;
	numa->size[n - 1] += total - share * n;
	numa->total = total;
	return (0);
}
