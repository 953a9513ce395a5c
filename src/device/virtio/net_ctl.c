/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net's control queue (VIRTIO 1.2, 5.1.6.5). */
#include <string.h>

#include "device/virtio/net.h"

enum { CTL_RX, CTL_MAC, CTL_VLAN, CTL_ANNOUNCE, CTL_MQ, CTL_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };
#define CTL_OK	0
#define CTL_ERR 1

static bool
ctl_rx(struct vnet *v, uint8_t cmd, struct virtq_chain *c)
{
	struct netdev_filter *f = &v->filter;
	bool *const modes[] = {
	    [RX_PROMISC] = &f->promisc,
	    [RX_ALLMULTI] = &f->allmulti,
	    [RX_ALLUNI] = &f->alluni,
	    [RX_NOMULTI] = &f->nomulti,
	    [RX_NOUNI] = &f->nouni,
	    [RX_NOBCAST] = &f->nobcast,
	};
	uint8_t on;

	if (!virtio_has(v->vd,
		cmd <= RX_ALLMULTI ? VNET_F_CTRL_RX : VNET_F_CTRL_RX_EXTRA) ||
	    cmd > RX_NOBCAST || !virtq_read(c, &on, 1))
		return (false);
	*modes[cmd] = on != 0;
	return (true);
}

/* One of the two tables: as many addresses as fit, none if more come. */
static bool
read_table(struct virtq_chain *c, uint8_t (*table)[ETHER_ADDR_LEN],
    uint8_t *n, bool *overflow)
{
	uint32_t entries;

	if (!virtq_read(c, &entries, sizeof(entries)) ||
	    entries > c->rd_len / ETHER_ADDR_LEN)
		return (false);
	*n = 0;
	*overflow = entries > FILTER_MACS;
	if (*overflow)
		return (virtq_read(c, NULL, entries * (size_t)ETHER_ADDR_LEN));
	*n = (uint8_t)entries;
	return (entries == 0 ||
		virtq_read(c, table, entries * (size_t)ETHER_ADDR_LEN));
}

static bool
ctl_mac(struct vnet *v, uint8_t cmd, struct virtq_chain *c)
{
	struct netdev_filter *f = &v->filter, t;
	uint8_t mac[ETHER_ADDR_LEN];

	if (cmd == MAC_ADDR_SET) {
		if (!virtio_has(v->vd, VNET_F_CTRL_MAC_ADDR) ||
		    c->rd_len != sizeof(mac) ||
		    !virtq_read(c, mac, sizeof(mac)))
			return (false);
		vnet_set_mac(v, mac);
		return (true);
	}
	if (cmd != MAC_TABLE_SET || !virtio_has(v->vd, VNET_F_CTRL_RX))
		return (false);
	/* All or nothing. */
	if (!read_table(c, t.uni, &t.nuni, &t.uni_overflow) ||
	    !read_table(c, t.multi, &t.nmulti, &t.multi_overflow))
		return (false);
	memcpy(f->uni, t.uni, t.nuni * ETHER_ADDR_LEN);
	memcpy(f->multi, t.multi, t.nmulti * ETHER_ADDR_LEN);
	f->nuni = t.nuni;
	f->nmulti = t.nmulti;
	f->uni_overflow = t.uni_overflow;
	f->multi_overflow = t.multi_overflow;
	return (true);
}

static bool
ctl_vlan(struct vnet *v, uint8_t cmd, struct virtq_chain *c)
{
	uint64_t bit;
	uint16_t vid;

	if (!virtio_has(v->vd, VNET_F_CTRL_VLAN) || cmd > VLAN_DEL ||
	    !virtq_read(c, &vid, sizeof(vid)) || vid >= 4096)
		return (false);
	bit = 1ull << (vid % 64);
	if (cmd == VLAN_ADD)
		v->filter.vlans[vid / 64] |= bit;
	else
		v->filter.vlans[vid / 64] &= ~bit;
	return (true);
}

/* The driver has told the neighbours where it is. */
static bool
ctl_announce(struct vnet *v, uint8_t cmd)
{
	if (cmd != 0 || !virtio_has(v->vd, VNET_F_GUEST_ANNOUNCE) ||
	    (v->status & VNET_S_ANNOUNCE) == 0)
		return (false);
	vnet_set_status(v, v->status & (uint16_t)~VNET_S_ANNOUNCE);
	return (true);
}

static bool
ctl_mq(struct vnet *v, uint8_t cmd, struct virtq_chain *c)
{
	unsigned i, was = v->active;
	uint16_t pairs;

	if (cmd != 0 || !virtio_has(v->vd, VNET_F_MQ) ||
	    !virtq_read(c, &pairs, sizeof(pairs)) || pairs == 0 ||
	    pairs > v->pairs)
		return (false);
	/* Nothing is received on a queue that is not in use: what was taken
	 * from it stays for when it is again. */
	v->active = pairs;
	if (net_set_queues(v->net, pairs) != 0) {
		v->active = was;
		(void)net_set_queues(v->net, was);
		return (false);
	}
	for (i = was; i < pairs; i++)
		vnet_rx_notify(v, i);
	return (true);
}

static bool
ctl_offloads(struct vnet *v, uint8_t cmd, struct virtq_chain *c)
{
	uint64_t bits;

	if (cmd != 0 || !virtio_has(v->vd, VNET_F_CTRL_GUEST_OFFLOADS) ||
	    !virtq_read(c, &bits, sizeof(bits)) ||
	    (bits & ~VNET_GUEST_OFFLOADS) != 0 || !virtio_has(v->vd, bits))
		return (false);
	vnet_set_offloads(v, bits);
	return (true);
}

static bool
ctl_command(struct vnet *v, struct virtq_chain *c)
{
	uint8_t head[2]; /* class, command */

	if (!virtq_read(c, head, sizeof(head)))
		return (false);
	switch (head[0]) {
	case CTL_RX:
		return (ctl_rx(v, head[1], c));
	case CTL_MAC:
		return (ctl_mac(v, head[1], c));
	case CTL_VLAN:
		return (ctl_vlan(v, head[1], c));
	case CTL_ANNOUNCE:
		return (ctl_announce(v, head[1]));
	case CTL_MQ:
		return (ctl_mq(v, head[1], c));
	case CTL_OFFLOADS:
		return (ctl_offloads(v, head[1], c));
	default:
		return (false);
	}
}

void
vnet_ctl_notify(struct vnet *v)
{
	struct virtq *q = virtio_queue(v->vd, vnet_ctlq(v));
	struct virtq_chain *c;
	uint8_t ack;

	do {
		virtq_notify_off(q);
		while ((c = virtq_pop(q)) != NULL) {
			if (c->wr_len == 0) {
				virtio_warn(v->vd, "a command without room for "
						   "its answer");
				virtq_done(c, 0);
				continue;
			}
			ack = ctl_command(v, c) ? CTL_OK : CTL_ERR;
			(void)virtq_write(c, &ack, 1);
			virtq_done(c, 1);
		}
	} while (virtq_notify_on(q));
}
