/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "backend/net/slirp_api.h"

int
slirp_api_load(struct slirp_api *api)
{
	bool all = true;

	api->lib = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
	if (api->lib == NULL)
		return (-ENOENT);
#define SLIRP_FIND(name)                                                       \
	*(void **)&api->name = dlsym(api->lib, "slirp_" #name);                \
	all &= api->name != NULL;
	SLIRP_API(SLIRP_FIND)
#undef SLIRP_FIND
	return (all ? 0 : -ENOSYS);
}

void
slirp_api_unload(struct slirp_api *api)
{
	if (api->lib != NULL)
		(void)dlclose(api->lib);
	api->lib = NULL;
}
