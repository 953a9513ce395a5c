/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_NET_HOSTFWD_H
#define LHYVE_BACKEND_NET_HOSTFWD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* A port of the host that leads to one of the guest. */
struct hostfwd {
	bool udp;
	struct sockaddr_storage host, guest;
	socklen_t host_len, guest_len;
};
#define HOSTFWD_MAX 64

/*
 * bhyve's (and QEMU's) rules, "PROTO:[HADDR]:HPORT-[GADDR]:GPORT" with
 * semicolons between them; IPv6 addresses are in brackets. Without HADDR
 * every address of the host counts, without GADDR it is the first that DHCP
 * gives. Returns how many, or -EINVAL with *bad at the rule that is none.
 */
int hostfwd_parse(
    const char *s, struct hostfwd fwd[HOSTFWD_MAX], const char **bad);

#endif
