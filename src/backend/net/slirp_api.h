/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_NET_SLIRP_API_H
#define LHYVE_BACKEND_NET_SLIRP_API_H

#include <slirp/libslirp.h>

/* libslirp, loaded when a machine has such a network: nobody else needs it,
 * nor the time that GLib takes to start. Functions as in its header. */
#define SLIRP_API(X)                                                           \
	X(new)                                                                 \
	X(cleanup)                                                             \
	X(pollfds_fill)                                                        \
	X(pollfds_poll)                                                        \
	X(input)                                                               \
	X(handle_timer)                                                        \
	X(add_hostxfwd)

struct slirp_api {
	void *lib; /* NULL: not loaded */
#define SLIRP_MEMBER(name) __typeof__(slirp_##name) *name;
	SLIRP_API(SLIRP_MEMBER)
#undef SLIRP_MEMBER
};

/* 0; -ENOENT: there is none; -ENOSYS: it is older than 4.7. */
int slirp_api_load(struct slirp_api *api);
void slirp_api_unload(struct slirp_api *api);

#endif
