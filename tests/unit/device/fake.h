/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_TESTS_FAKE_H
#define LHYVE_TESTS_FAKE_H

#include <pthread.h>

#include "device/virtio/virtio.h"

/*
 * A virtio device for tests of the core. It copies what a chain has to read
 * into what it has to write; or holds chains until they are asked for.
 * Options: loop=true (the machine's), thread=true (one of its own).
 */
#define FAKE_QUEUES 4u
#define FAKE_SIZE   16u
#define FAKE_F_ONE  1ull /* cannot be had with FAKE_F_TWO */
#define FAKE_F_TWO  2ull
#define FAKE_CONFIG 12u

struct fake {
	struct iothread *thread;
	bool hold;      /* keep chains */
	bool no_flush;  /* leave virtq_flush() to the test */
	bool suppress;  /* notify_off and notify_on around the work */
	bool late_back; /* `stop` does not give chains back */
	pthread_mutex_t lock;
	struct virtq_chain *held, *last; /* in their order */
	unsigned nheld;
	unsigned starts, stops, restarts, resets, notifies, writes;
	unsigned reset_with; /* chains that were held at a reset */
	uint8_t written[8];  /* the last configuration write */
	unsigned written_off, written_len;
};
extern const struct device_desc device_fake;

/* Gives back the chain that is held longest, with `len` bytes written. */
void fake_back(struct virtio_dev *vd, uint32_t len);

#endif
