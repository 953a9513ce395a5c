/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/md5.h"
#include "device/net/netdev.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* Six bytes of one or two digits with colons between. */
static bool
parse_mac(const char *s, uint8_t mac[ETHER_ADDR_LEN])
{
	unsigned i, digits, v;

	for (i = 0; i < ETHER_ADDR_LEN; i++) {
		if (i > 0 && *s++ != ':')
			return (false);
		v = 0;
		for (digits = 0; digits < 2 && hex(*s) >= 0; digits++)
			v = v * 16 + (unsigned)hex(*s++);
		if (digits == 0)
			return (false);
		mac[i] = (uint8_t)v;
	}
	return (*s == '\0');
}

int
netdev_mac(const struct device_conf *conf, uint8_t mac[ETHER_ADDR_LEN])
{
	static const uint8_t zero[ETHER_ADDR_LEN];
	const char *val = device_opt(conf, "mac");
	uint8_t digest[MD5_SIZE];
	unsigned bus, slot, func;
	struct md5 md5;
	char seed[64];

	if (val != NULL) {
		if (!parse_mac(val, mac) || (mac[0] & 1) != 0 ||
		    memcmp(mac, zero, sizeof(zero)) == 0)
			return (device_fail(conf,
			    "Invalid MAC %.40s; use one as 00:a0:98:12:34:56, "
			    "not of a group and not 0", val));
		return (0);
	}
	if (sscanf(conf->node, "pci.%u.%u.%u", &bus, &slot, &func) != 3)
		return (device_fail(conf, "no slot"));
	/* bhyve's: NetApp's prefix and a digest. It leaves out the bus, so
	 * that cards of two buses have the same address. */
	if (bus == 0)
		(void)snprintf(seed, sizeof(seed), "%u-%u-", slot, func);
	else
		(void)snprintf(
		    seed, sizeof(seed), "%u-%u-%u-", bus, slot, func);
	md5_init(&md5);
	md5_update(&md5, seed, strlen(seed));
	md5_update(&md5, conf->vm_name, strlen(conf->vm_name));
	md5_final(&md5, digest);
	mac[0] = 0x00;
	mac[1] = 0xa0;
	mac[2] = 0x98;
	memcpy(mac + 3, digest, 3);
	return (0);
}

int
netdev_open(const struct device_conf *conf, struct net **out,
    unsigned queues, unsigned mtu)
{
	const struct net_config nc = {
	    .backend = device_opt(conf, "backend"),
	    .label = conf->node,
	    .path = device_opt(conf, "path"),
	    .ifname = device_opt(conf, "ifname"),
	    .fd = device_opt(conf, "fd"),
	    .hostfwd = device_opt(conf, "hostfwd"),
	    .pcap = device_opt(conf, "pcap"),
	    .open = device_opt_bool(conf, "open"),
	    .listen = device_opt_bool(conf, "listen"),
	    .queues = queues,
	    .mtu = mtu,
	};
	char line[256];
	int error;

	error = net_create(out, &nc, line, sizeof(line));
	if (error != 0)
		(void)device_fail(conf, "%s", line);
	return (error);
}

void
netdev_filter_reset(struct netdev_filter *f)
{
	uint8_t mac[ETHER_ADDR_LEN];

	memcpy(mac, f->mac, sizeof(mac));
	memset(f, 0, sizeof(*f));
	memcpy(f->mac, mac, sizeof(mac));
	f->promisc = true;
}

static bool
in_table(const uint8_t (*table)[ETHER_ADDR_LEN], unsigned n,
    const uint8_t *mac)
{
	for (unsigned i = 0; i < n; i++)
		if (memcmp(table[i], mac, ETHER_ADDR_LEN) == 0)
			return (true);
	return (false);
}

bool
netdev_filter_pass(
    const struct netdev_filter *f, const uint8_t head[FILTER_HEAD])
{
	static const uint8_t bcast[ETHER_ADDR_LEN] = {
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	unsigned vid;

	if (f->promisc)
		return (true);
	/* 802.1Q; tag 0 is a priority without a VLAN. */
	if (f->vlan && head[12] == 0x81 && head[13] == 0x00) {
		vid = (head[14] & 0xfu) << 8 | head[15];
		if (vid != 0 && (f->vlans[vid / 64] >> (vid % 64) & 1) == 0)
			return (false);
	}
	if ((head[0] & 1) == 0) {
		if (f->nouni)
			return (false);
		return (f->alluni || f->uni_overflow ||
			memcmp(head, f->mac, ETHER_ADDR_LEN) == 0 ||
			in_table(f->uni, f->nuni, head));
	}
	if (memcmp(head, bcast, ETHER_ADDR_LEN) == 0)
		return (!f->nobcast);
	if (f->nomulti)
		return (false);
	return (f->allmulti || f->multi_overflow ||
		in_table(f->multi, f->nmulti, head));
}
