/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_DEVICE_VIRTIO_CONSOLE_H
#define LHYVE_DEVICE_VIRTIO_CONSOLE_H

#include "backend/chardev/chardev.h"
#include "backend/unixsock.h"
#include "base/mevent.h"
#include "device/virtio/virtio.h"

/*
 * What the files of virtio-console share (VIRTIO 5.3). All of it is for the
 * device's own thread, but for what a port's line calls.
 */
#define CONSOLE_PORTS 16u /* as with bhyve */
#define CONSOLE_NAME  64u /* of a port, with its NUL */

/* Control messages that the guest has to be told, a bit each. */
#define TELL_ADD     0x01u
#define TELL_CONSOLE 0x02u
#define TELL_NAME    0x04u
#define TELL_OPEN    0x08u
#define TELL_RESIZE  0x10u

/*
 * A port and the host's side of it: a socket that listens, for one peer at a
 * time; or a line, for the console. What the guest has no room for stays
 * with the peer; what the peer has no room for stays with the guest. Nothing
 * is kept in between.
 */
struct console_port {
	struct console *con;
	unsigned n;
	char name[CONSOLE_NAME]; /* "": the console */
	struct virtq *rx, *tx;

	struct chardev *line; /* the console's; else */
	int linefd;           /* an eventfd: it has input */
	struct unix_listener listener;
	int fd; /* the peer; -1: none */
	struct mevent *listen_ev, *ev, *line_ev;
	unsigned watched; /* MEVENT_* of ev */

	bool host_open;
	struct virtq_chain *unsent; /* what the peer had no room for */
};

struct console {
	struct virtio_dev *vd;
	struct iothread *thread;
	struct mevent_loop *loop;
	struct console_port port[CONSOLE_PORTS];
	unsigned nports;
	bool multiport; /* the driver has it */
	bool tty;       /* the console's line is the host's terminal */
	int winchfd;    /* a signalfd; -1: none */
	struct mevent *winch_ev;
	uint16_t cols, rows;
	/* By port: opened by the guest; TELL_*. */
	uint8_t guest_open[CONSOLE_PORTS], tell[CONSOLE_PORTS];
};

/* console_port.c */
/* Opens the host's side. 0 or -errno; console_port_fini() in either case. */
int console_port_listen(struct console_port *p, const char *path);
int console_port_line(struct console_port *p, struct chardev *line);
void console_port_fini(struct console_port *p);
/* Moves what can be moved. */
void console_port_tx(struct console_port *p);
void console_port_rx(struct console_port *p);
/* Gives chains back. */
void console_port_stop(struct console_port *p);

/* console.c: sends the control messages that there are buffers for. */
void console_tell(struct console *con);

#endif
