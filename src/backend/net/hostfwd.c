/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/hostfwd.h"

/* A number from 1 to 65535 up to `end`, in network order; 0: it is none. */
static in_port_t
parse_port(const char *s, const char *end)
{
	unsigned v = 0;

	if (s == end || end - s > 5)
		return (0);
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return (0);
		v = v * 10 + (unsigned)(*s - '0');
	}
	return (v <= 65535 ? htons((uint16_t)v) : 0);
}

/* "[ADDR]:PORT" up to `end`. ADDR empty: any. */
static bool
parse_place(const char *s, const char *end, struct sockaddr_storage *ss,
    socklen_t *len)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	const char *colon = memrchr(s, ':', (size_t)(end - s));
	char addr[INET6_ADDRSTRLEN];
	in_port_t port;
	size_t n;

	if (colon == NULL)
		return (false);
	port = parse_port(colon + 1, end);
	n = (size_t)(colon - s);
	if (port == 0 || n >= sizeof(addr))
		return (false);
	memcpy(addr, s, n);
	addr[n] = '\0';
	memset(ss, 0, sizeof(*ss));
	if (n > 2 && addr[0] == '[' && addr[n - 1] == ']') {
		addr[n - 1] = '\0';
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = port;
		*len = sizeof(*sin6);
		return (inet_pton(AF_INET6, addr + 1, &sin6->sin6_addr) == 1);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = port;
	*len = sizeof(*sin);
	return (n == 0 || inet_pton(AF_INET, addr, &sin->sin_addr) == 1);
}

static bool
parse_rule(const char *s, const char *end, struct hostfwd *f)
{
	const char *dash = memchr(s, '-', (size_t)(end - s));
	const char *colon = memchr(s, ':', (size_t)(end - s));

	if (dash == NULL || colon == NULL || colon > dash)
		return (false);
	if (colon - s == 3 && memcmp(s, "udp", 3) == 0)
		f->udp = true;
	else if (colon == s || (colon - s == 3 && memcmp(s, "tcp", 3) == 0))
		f->udp = false;
	else
		return (false);
	return (parse_place(colon + 1, dash, &f->host, &f->host_len) &&
		parse_place(dash + 1, end, &f->guest, &f->guest_len) &&
		f->host.ss_family == f->guest.ss_family);
}

int
hostfwd_parse(const char *s, struct hostfwd fwd[HOSTFWD_MAX], const char **bad)
{
	const char *end;
	int n = 0;

	for (;;) {
		end = strchrnul(s, ';');
		*bad = s;
		if (n == HOSTFWD_MAX || !parse_rule(s, end, &fwd[n]))
			return (-EINVAL);
		n++;
		if (*end == '\0')
			return (n);
		s = end + 1;
	}
}
