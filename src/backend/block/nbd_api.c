/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/nbd_priv.h"

int
nbd_api_load(struct nbd_api *api)
{
	bool all = true;

	api->lib = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (api->lib == NULL)
		return (-ENOENT);
#define NBD_FIND(name)                                                         \
	*(void **)&api->name = dlsym(api->lib, "nbd_" #name);                  \
	all &= api->name != NULL;
	NBD_API(NBD_FIND)
#undef NBD_FIND
	return (all ? 0 : -ENOSYS);
}

void
nbd_api_unload(struct nbd_api *api)
{
	if (api->lib != NULL)
		(void)dlclose(api->lib);
	api->lib = NULL;
}

/* Copies n bytes and ends them. */
static bool
take(char *out, size_t size, const char *s, size_t n)
{
	if (n >= size)
		return (false);
	memcpy(out, s, n);
	out[n] = '\0';
	return (true);
}

static int
parse_tcp(const char *s, struct nbd_place *at)
{
	const char *end = s + strcspn(s, "/"), *host = s, *colon;
	size_t n;

	if (*s == '[') {
		host = s + 1;
		colon = memchr(s, ']', (size_t)(end - s));
		if (colon == NULL)
			return (-EINVAL);
		n = (size_t)(colon - host);
		colon++;
	} else {
		colon = memchr(s, ':', (size_t)(end - s));
		if (colon == NULL)
			colon = end;
		n = (size_t)(colon - host);
	}
	if (n == 0 || !take(at->host, sizeof(at->host), host, n) ||
	    !take(at->port, sizeof(at->port), "10809", 5))
		return (-EINVAL);
	if (colon < end) {
		if (*colon != ':' || colon + 1 == end ||
		    !take(at->port, sizeof(at->port), colon + 1,
			(size_t)(end - colon - 1)) ||
		    strspn(at->port, "0123456789") != strlen(at->port))
			return (-EINVAL);
	}
	if (*end == '/' && !take(at->export_name, sizeof(at->export_name),
			       end + 1, strlen(end + 1)))
		return (-EINVAL);
	return (0);
}

int
nbd_parse(const char *path, struct nbd_place *at)
{
	const char *s, *name;
	size_t n;

	memset(at, 0, sizeof(*at));
	if (strncmp(path, "nbd://", 6) == 0)
		return (parse_tcp(path + 6, at));
	if (strncmp(path, "nbd:unix:", 9) != 0)
		return (-EINVAL);
	s = path + 9;
	name = strstr(s, ":exportname=");
	n = name != NULL ? (size_t)(name - s) : strlen(s);
	if (n == 0 || !take(at->unix_path, sizeof(at->unix_path), s, n))
		return (-EINVAL);
	if (name != NULL && !take(at->export_name, sizeof(at->export_name),
				name + 12, strlen(name + 12)))
		return (-EINVAL);
	return (0);
}
