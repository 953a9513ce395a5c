/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file of frames as tcpdump and Wireshark read it: the classic format of
 * draft-ietf-opsawg-pcap, with nanoseconds. Each frame is one write, so that
 * the file can be read while it grows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/net/backend.h"

#define PCAP_MAGIC_NS 0xa1b23c4du
#define PCAP_ETHERNET 1u

struct pcap {
	int fd;
	bool failed;
};

struct pcap_head {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, network;
};

struct pcap_record {
	uint32_t sec, nsec, captured, length;
};

int
pcap_create(struct pcap **out, const char *path)
{
	const struct pcap_head head = {
	    .magic = PCAP_MAGIC_NS,
	    .major = 2,
	    .minor = 4,
	    .snaplen = NET_FRAME_MAX,
	    .network = PCAP_ETHERNET,
	};
	struct pcap *p;
	int error;

	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return (-ENOMEM);
	p->fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (p->fd < 0 || write(p->fd, &head, sizeof(head)) != sizeof(head)) {
		error = p->fd < 0 || errno != 0 ? -errno : -EIO;
		pcap_destroy(p);
		return (error);
	}
	*out = p;
	return (0);
}

void
pcap_destroy(struct pcap *p)
{
	if (p == NULL)
		return;
	if (p->fd >= 0)
		(void)close(p->fd);
	free(p);
}

void
pcap_write(struct pcap *p, const struct iovec *iov, unsigned niov, size_t len)
{
	struct iovec all[NET_IOV_MAX + 2];
	struct pcap_record rec;
	struct timespec ts;
	size_t left = len;
	unsigned i;

	if (p->failed || niov > NET_IOV_MAX + 1)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	rec.sec = (uint32_t)ts.tv_sec;
	rec.nsec = (uint32_t)ts.tv_nsec;
	rec.captured = rec.length = (uint32_t)len;
	all[0].iov_base = &rec;
	all[0].iov_len = sizeof(rec);
	for (i = 0; i < niov && left > 0; i++) {
		all[i + 1] = iov[i];
		if (all[i + 1].iov_len > left)
			all[i + 1].iov_len = left;
		left -= all[i + 1].iov_len;
	}
	if (left == 0 && writev(p->fd, all, (int)i + 1) ==
		(ssize_t)(sizeof(rec) + len))
		return;
	p->failed = true;
	log_warn("pcap: a frame was not written (%s): the file ends here",
	    errno != 0 ? strerror(errno) : "no space");
}
