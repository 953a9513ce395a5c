/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_BLOCK_NBD_PRIV_H
#define LHYVE_BACKEND_BLOCK_NBD_PRIV_H

#include <libnbd.h>

#include "backend/block/block_priv.h"

/* The functions of libnbd that are used, found when they are needed. */
#define NBD_API(X)                                                             \
	X(create)                                                              \
	X(close)                                                               \
	X(get_errno)                                                           \
	X(set_export_name)                                                     \
	X(aio_connect_unix)                                                    \
	X(aio_connect_tcp)                                                     \
	X(aio_is_connecting)                                                   \
	X(aio_is_ready)                                                        \
	X(aio_is_dead)                                                         \
	X(aio_is_closed)                                                       \
	X(aio_get_fd)                                                          \
	X(aio_get_direction)                                                   \
	X(aio_notify_read)                                                     \
	X(aio_notify_write)                                                    \
	X(aio_pread)                                                           \
	X(aio_pwrite)                                                          \
	X(aio_flush)                                                           \
	X(aio_trim)                                                            \
	X(aio_zero)                                                            \
	X(poll)                                                                \
	X(get_size)                                                            \
	X(get_block_size)                                                      \
	X(is_read_only)                                                        \
	X(can_zero)                                                            \
	X(can_trim)                                                            \
	X(can_flush)

struct nbd_api {
	void *lib;
#define NBD_MEMBER(name) __typeof__ (&nbd_##name)(name);
	NBD_API(NBD_MEMBER)
#undef NBD_MEMBER
};

/* 0, -ENOENT or -ENOSYS: not there, or too old. */
int nbd_api_load(struct nbd_api *api);
void nbd_api_unload(struct nbd_api *api);

/* Where a server is. */
struct nbd_place {
	char unix_path[108]; /* "": by TCP */
	char host[256], port[8];
	char export_name[256];
};

/* nbd:unix:PATH[:exportname=NAME] or nbd://HOST[:PORT][/EXPORT]; an IPv6
 * address in brackets. 0 or -EINVAL. */
int nbd_parse(const char *path, struct nbd_place *at);

#endif
