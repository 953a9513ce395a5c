/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "device/device.h"

#define DEVICE(name) extern const struct device_desc device_##name;
#include "device/devices.inc"
#undef DEVICE

const struct device_desc *const devices[] = {
#define DEVICE(name) &device_##name,
#include "device/devices.inc"
#undef DEVICE
    NULL,
};

const struct device_desc *
device_find(const char *name)
{
	const struct device_desc *const *d;

	for (d = devices; *d != NULL; d++)
		if (strcasecmp((*d)->pci->name, name) == 0)
			return (*d);
	return (NULL);
}

const char *
device_opt(const struct device_conf *conf, const char *name)
{
	const struct config_var *v;
	char path[CONFIG_PATH_MAX];
	const char *val;
	int n;

	n = snprintf(path, sizeof(path), "%s.%s", conf->node, name);
	val = n > 0 && (size_t)n < sizeof(path) ? config_get(conf->cfg, path)
						: NULL;
	if (val != NULL)
		return (val);
	for (v = conf->desc->opts; v != NULL && v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return (v->dflt);
	return (NULL);
}

bool
device_opt_bool(const struct device_conf *conf, const char *name)
{
	const char *val = device_opt(conf, name);
	bool b;

	return (val != NULL && config_parse_bool(val, &b) == 0 && b);
}

uint64_t
device_opt_uint(const struct device_conf *conf, const char *name)
{
	const char *val = device_opt(conf, name);
	uint64_t n;

	return (val != NULL && config_parse_uint(val, &n) == 0 ? n : 0);
}

int
device_fail(const struct device_conf *conf, const char *fmt, ...)
{
	unsigned bdf[3] = {0};
	const char *leaf;
	char node[48], msg[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	(void)snprintf(node, sizeof(node), "%s.x", conf->node);
	(void)config_pci_path(node, bdf, &leaf);
	return (config_fail(conf->err, "pci slot %u:%u:%u: %s: %s", bdf[0],
	    bdf[1], bdf[2], conf->desc->pci->name, msg));
}
