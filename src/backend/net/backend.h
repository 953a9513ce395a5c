/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BACKEND_NET_BACKEND_H
#define LHYVE_BACKEND_NET_BACKEND_H

#include "backend/net/net.h"
#include "base/log.h"
#include "base/mevent.h"

/* The inside of the room: what a backend is, and what net.c does for it. */

struct pcap;

struct net_ops {
	/* Adds its descriptors to n->loop. 0 or -errno. */
	int (*start)(struct net *n);
	/* The loop does not run any more. Works on what is half-built. */
	void (*destroy)(struct net *n);
	/* Instead of sleeping, as in mevent_run_with(); may be NULL. */
	void (*wait)(void *n, int fd);
	/* May a frame be sent now? NULL: always. */
	bool (*tx_ready)(struct net *n, unsigned queue);
	/* Sends it; len is the bytes in iov. Drops what it cannot send. With
	 * no tx_offloads h is 0 and the frame complete. */
	void (*send)(struct net *n, unsigned queue, const struct net_hdr *h,
	    const struct iovec *iov, unsigned niov, size_t len);
	void (*send_end)(struct net *n, unsigned queue); /* may be NULL */
	/* There is room again; may be NULL. */
	void (*rx_resume)(struct net *n, unsigned queue);
	/* n->rx_offloads has changed; may be NULL. */
	void (*offloads)(struct net *n);
	/* Uses that many queues; NULL: has one. 0 or -errno. */
	int (*set_queues)(struct net *n, unsigned queues);
};

/* The part of every backend that net.c knows; comes first in it. */
struct net {
	const struct net_ops *ops;
	struct mevent_loop *loop;
	const struct net_user *user;
	void *arg;
	uint32_t tx_offloads; /* net_send() takes them */
	uint32_t rx_offloads; /* the guest takes them */
	bool raw;	      /* frames go out without a header */
	/* A TCP segment goes out in one piece, however large. */
	bool jumbo;
	/* What comes in may be larger than the MTU, and SYNs say so. */
	uint16_t jumbo_mss;
	bool up;
	unsigned queues;
	unsigned mtu;
	char label[32];
	struct pcap *pcap;
	struct net_stats stats;
	struct log_rate rate;
	uint8_t *scratch; /* NET_FRAME_MAX bytes, if raw */
	/* Of the last net_rx_room(), for pcap. */
	struct iovec room[NET_IOV_MAX + 1];
	unsigned nroom;
};

/* For backends; on the loop's thread. */

size_t net_rx_room(struct net *n, unsigned queue, size_t want);
void net_rx_done(
    struct net *n, unsigned queue, const struct net_hdr *h, size_t len);
void net_rx_end(struct net *n, unsigned queue);
/* A frame in memory of the backend, which may change: it is made what the
 * guest takes. False: there is no room now, try again after rx_resume. */
bool net_deliver(struct net *n, unsigned queue, const struct net_hdr *h,
    uint8_t *p, size_t len);
void net_set_link(struct net *n, bool up);

/* pcap.c. 0 or -errno. */
int pcap_create(struct pcap **out, const char *path);
void pcap_destroy(struct pcap *p);
/* One frame; what is not written is reported once. */
void pcap_write(
    struct pcap *p, const struct iovec *iov, unsigned niov, size_t len);

/* The kinds. 0 or -errno, with the line for the user in err. */
int net_slirp_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen);
int net_tap_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen);
int net_socket_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen);
int net_passt_create(
    struct net **out, const struct net_config *cfg, char *err, size_t errlen);
/* Formats the line and returns `error`. */
int net_fail(char *err, size_t errlen, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Numbers with colons between, each an open descriptor; returns how many, or
 * -EINVAL, -EBADF. */
int net_parse_fds(const char *s, int fds[NET_QUEUES_MAX]);

#endif
