/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_NET_H
#define LHYVE_BACKEND_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct mevent_loop;

/*
 * A network backend: the host's end of a guest's Ethernet cable. It sees
 * frames as iovecs, each with the header that VIRTIO 1.2, 5.1.6 gives it, so
 * that a checksum or a segmentation is done where it is cheapest, or never.
 *
 * Threads: the device has an event loop for it, and runs it on a thread of
 * its own by net_run(). Everything below but net_create() and net_destroy()
 * is called on that thread, or while it does not run; the functions of
 * struct net_user are called on it, with no lock held.
 */
struct net;

/* The first 10 bytes of struct virtio_net_hdr; little-endian. */
struct net_hdr {
	uint8_t flags;	/* NET_HDR_* */
	uint8_t gso_type; /* NET_GSO_*, and NET_GSO_ECN */
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start, csum_offset;
};
#define NET_HDR_SIZE	   10u
#define NET_HDR_NEEDS_CSUM 1u
#define NET_HDR_DATA_VALID 2u
#define NET_GSO_NONE	   0u
#define NET_GSO_TCPV4	   1u
#define NET_GSO_UDP	   3u /* one datagram, to be fragmented */
#define NET_GSO_TCPV6	   4u
#define NET_GSO_ECN	   0x80u

/* What a receiver of frames takes. TSO and UFO need CSUM. */
#define NET_OFF_CSUM 0x01u /* checksums that are not done yet */
#define NET_OFF_TSO4 0x02u
#define NET_OFF_TSO6 0x04u
#define NET_OFF_ECN  0x08u /* TSO with ECN bits */
#define NET_OFF_UFO  0x10u
#define NET_OFF_ALL  0x1fu

#define NET_ETH_HLEN  14u
#define NET_FRAME_MIN NET_ETH_HLEN
/* The longest frame: an IP packet of 65535 bytes and a VLAN tag. */
#define NET_FRAME_MAX (65535u + 18u)
/* iovecs of a frame, at most. */
#define NET_IOV_MAX    256u
#define NET_QUEUES_MAX 8u

/* The device. */
struct net_user {
	/*
	 * Room for the next frame: fills iov with at most *n buffers (sets
	 * *n) of together at least `want` bytes, or as much as there is;
	 * returns their bytes, 0 if there are none now. Called again before
	 * rx_done(), it gives the same buffers, and maybe more of them.
	 */
	size_t (*rx_room)(void *arg, unsigned queue, struct iovec *iov,
	    unsigned *n, size_t want);
	/* A frame of len bytes is in the buffers. */
	void (*rx_done)(void *arg, unsigned queue, const struct net_hdr *hdr,
	    size_t len);
	/* No more frames for now: the time for an interrupt. */
	void (*rx_end)(void *arg, unsigned queue);
	/* net_send() takes frames again. */
	void (*tx_ready)(void *arg, unsigned queue);
	/* The cable was plugged in or pulled out. */
	void (*link)(void *arg, bool up);
};

/* What the user asked for; strings are NULL if they were not given. */
struct net_config {
	const char *backend; /* its name, "tap0"; NULL: slirp, open */
	const char *label;   /* begins lines in the log: "virtio-net 0:3:0" */
	const char *path;    /* socket, passt: of the Unix socket */
	const char *ifname;  /* tap: the interface, if not `backend` */
	const char *fd;	     /* descriptors that are open, "3:4" */
	const char *hostfwd; /* slirp: "tcp:127.0.0.1:2222-:22;..." */
	const char *pcap;    /* file to write all frames to */
	bool open;	     /* slirp: connections to the outside too */
	bool listen;	     /* socket */
	unsigned queues;     /* that the device would like, 1-NET_QUEUES_MAX */
	unsigned mtu;	     /* of the guest, for frames of TSO */
};

/* Opens it. 0 or -errno, with one line about the option, the value and the
 * remedy in err. */
int net_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen);
/* Its thread has ended. NULL is fine. */
void net_destroy(struct net *n);

/* Is there a backend of this name, or does one begin so, as tap7? */
bool net_known(const char *name);
/* "slirp, tap, ...", for messages. */
const char *net_names(void);

/* Watches its descriptors in the loop; before the thread runs. 0 or
 * -errno. */
int net_start(struct net *n, struct mevent_loop *loop,
    const struct net_user *user, void *arg);
/* The body of the thread: runs the loop until mevent_stop(). 0 or -errno. */
int net_run(struct net *n);

/* What net_send() takes; constant. */
uint32_t net_tx_offloads(const struct net *n);
/* What the guest takes from now on: NET_OFF_*; 0 in the beginning. */
void net_set_offloads(struct net *n, uint32_t offloads);
/* Queue pairs that there are, and the number that are in use from now on:
 * 1 in the beginning. */
unsigned net_queues(const struct net *n);
int net_set_queues(struct net *n, unsigned queues);
bool net_link(const struct net *n);

/*
 * Sends a frame that the guest made: its header and its pieces are checked
 * here. 0: it is gone, or will never go; -EINVAL: the frame is not one;
 * -EAGAIN: keep it until tx_ready(). net_send_end() ends a run of them. A
 * peer that takes nothing for NET_STALL_MS has its frames dropped.
 */
#define NET_STALL_MS 200
int net_send(struct net *n, unsigned queue, const struct net_hdr *hdr,
    const struct iovec *iov, unsigned niov);
void net_send_end(struct net *n, unsigned queue);

/* There is room for frames again after rx_room() had none. */
void net_rx_resume(struct net *n, unsigned queue);

/* Frames so far, for tests and dumps. */
struct net_stats {
	uint64_t tx, tx_dropped, rx, rx_dropped;
};
void net_get_stats(const struct net *n, struct net_stats *st);

#endif
