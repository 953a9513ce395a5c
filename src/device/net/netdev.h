/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_NETDEV_H
#define LHYVE_DEVICE_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/net/net.h"
#include "device/device.h"

/*
 * What network cards have in common: their options, their address, and which
 * frames they receive.
 */

#define ETHER_ADDR_LEN 6u
#define NETDEV_MTU	1500u /* without mtu= */
#define NETDEV_MTU_MIN	72u   /* bhyve's */

/* The options of a network card; the first is the backend. */
#define NETDEV_OPTS                                                            \
	{.name = "backend",                                                    \
	    .help = "slirp, tapN, socket or passt; without: slirp,open"},      \
	    {.name = "mac", .help = "address, as 00:a0:98:12:34:56"},          \
	    {.name = "path", .help = "Unix socket of socket or passt"},        \
	    {.name = "listen",                                                 \
		.type = CONFIG_BOOL,                                           \
		.dflt = "false",                                               \
		.help = "socket: be the end that waits at path"},              \
	    {.name = "ifname",                                                 \
		.help = "tap: the interface, if its name is not tapN"},        \
	    {.name = "fd",                                                     \
		.help = "number of a descriptor that is open already; tap: "   \
			"one for each queue, 3:4"},                            \
	    {.name = "hostfwd",                                                \
		.help = "slirp: ports of the host that lead to the guest, "    \
			"PROTO:HADDR:HPORT-GADDR:GPORT;..."},                  \
	    {.name = "open",                                                   \
		.type = CONFIG_BOOL,                                           \
		.dflt = "false",                                               \
		.help = "slirp: the guest may connect to the outside"},        \
	{                                                                      \
		.name = "pcap", .help = "file to write all frames to"          \
	}

/* The address of option mac, or else bhyve's by slot and machine. 0, or
 * -EINVAL by device_fail(). */
int netdev_mac(const struct device_conf *conf, uint8_t mac[ETHER_ADDR_LEN]);
/* Opens the backend that the options name, for at most so many queues. 0 or
 * -errno by device_fail(); *out is untouched then. */
int netdev_open(const struct device_conf *conf, struct net **out,
    unsigned queues, unsigned mtu);

/*
 * Which frames are received, as the driver has asked (VIRTIO 1.2, 5.1.6.5.1
 * to 5.1.6.5.3). Pure.
 */
#define FILTER_MACS 64u
struct netdev_filter {
	uint8_t mac[ETHER_ADDR_LEN];
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	/* The driver had more addresses than fit: all of them pass. */
	bool uni_overflow, multi_overflow;
	uint8_t nuni, nmulti;
	uint8_t uni[FILTER_MACS][ETHER_ADDR_LEN];
	uint8_t multi[FILTER_MACS][ETHER_ADDR_LEN];
	bool vlan; /* tagged frames pass by the set below only */
	uint64_t vlans[4096 / 64];
};
/* Everything passes; the address stays. */
void netdev_filter_reset(struct netdev_filter *f);
/* Bytes of a frame that netdev_filter_pass() looks at; of a shorter one
 * the rest is 0. */
#define FILTER_HEAD 16u
bool netdev_filter_pass(
    const struct netdev_filter *f, const uint8_t head[FILTER_HEAD]);

#endif
