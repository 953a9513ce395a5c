/* SPDX-License-Identifier: BSD-2-Clause */
/* Console device (VIRTIO 5.3): a console, and named ports. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/iothread.h"
#include "device/virtio/console.h"

#define F_SIZE        (1ull << 0)
#define F_MULTIPORT   (1ull << 1)
#define F_EMERG_WRITE (1ull << 2)

/* Queues (VIRTIO 5.3.2): a pair for port 0, one for control, one for each
 * further port. */
enum { Q_RX0, Q_TX0, Q_CTL_RX, Q_CTL_TX, Q_PORT1 };
#define QUEUES (2 * (CONSOLE_PORTS + 1))

/* Configuration (VIRTIO 5.3.4). */
#define CONFIG_COLS  0u
#define CONFIG_ROWS  2u
#define CONFIG_PORTS 4u
#define CONFIG_EMERG 8u
#define CONFIG_BYTES 12u
/* What bhyve says the size is, where the host has none. */
#define COLS 80u
#define ROWS 25u

/* Control messages (VIRTIO 5.3.6.2): le32 port, le16 event, le16 value. */
enum {
	CTL_DEVICE_READY = 0,
	CTL_PORT_ADD = 1,
	CTL_PORT_READY = 3,
	CTL_CONSOLE_PORT = 4,
	CTL_RESIZE = 5,
	CTL_PORT_OPEN = 6,
	CTL_PORT_NAME = 7,
};
#define CTL_SIZE 8u

static const struct state_field port_fields[] = {
    STATE_FIELD(struct console, cols, 1),
    STATE_FIELD(struct console, rows, 1),
    STATE_ARRAY(struct console, guest_open, 1),
    STATE_ARRAY(struct console, tell, 1),
    STATE_END,
};
static const struct state_table console_state = {
    "virtio-console", 1, port_fields};

/* The port whose queue it is; NULL: it is not a port's. */
static struct console_port *
port_of(struct console *con, unsigned queue)
{
	unsigned n = queue < Q_PORT1 ? 0 : queue / 2 - 1;

	return (n < con->nports && queue != Q_CTL_RX && queue != Q_CTL_TX
		    ? &con->port[n]
		    : NULL);
}

/* ---- control messages ---- */

/* One message of those in p->con->tell[p->n], as it is sent. Its length. */
static size_t
make_message(
    const struct console_port *p, unsigned what, uint8_t buf[CTL_SIZE + 64])
{
	const struct console *con = p->con;
	uint32_t id = p->n;
	uint16_t event = 0, value = 1;
	size_t len = CTL_SIZE;

	switch (what) {
	case TELL_ADD:
		event = CTL_PORT_ADD;
		break;
	case TELL_CONSOLE:
		event = CTL_CONSOLE_PORT;
		break;
	case TELL_NAME:
		event = CTL_PORT_NAME;
		/* Without a NUL (VIRTIO 5.3.6.2). */
		len += strlen(p->name);
		memcpy(buf + CTL_SIZE, p->name, strlen(p->name));
		break;
	case TELL_RESIZE:
		event = CTL_RESIZE;
		memcpy(buf + CTL_SIZE, &con->cols, 2);
		memcpy(buf + CTL_SIZE + 2, &con->rows, 2);
		len += 4;
		break;
	default:
		event = CTL_PORT_OPEN;
		value = p->host_open;
		break;
	}
	memcpy(buf, &id, 4);
	memcpy(buf + 4, &event, 2);
	memcpy(buf + 6, &value, 2);
	return (len);
}

void
console_tell(struct console *con)
{
	struct virtq *q = virtio_queue(con->vd, Q_CTL_RX);
	uint8_t buf[CTL_SIZE + CONSOLE_NAME];
	struct virtq_chain *c;
	unsigned i, what;
	size_t len;

	for (i = 0; con->multiport && i < con->nports; i++) {
		while (con->tell[i] != 0) {
			c = virtq_pop(q);
			if (c == NULL)
				return; /* they stay until there is one */
			what = con->tell[i] & -(unsigned)con->tell[i];
			con->tell[i] &= (uint8_t)~what;
			len = make_message(&con->port[i], what, buf);
			/* One that does not fit is lost: the driver's choice.
			 */
			virtq_done(
			    c, virtq_write(c, buf, len) ? (uint32_t)len : 0);
		}
	}
}

static void
port_ready(struct console_port *p)
{
	if (p->line != NULL)
		p->con->tell[p->n] |= TELL_CONSOLE | TELL_RESIZE;
	if (p->name[0] != '\0')
		p->con->tell[p->n] |= TELL_NAME;
	if (p->host_open)
		p->con->tell[p->n] |= TELL_OPEN;
}

static void
control(struct console *con, uint32_t id, uint16_t event, uint16_t value)
{
	unsigned i;

	if (event == CTL_DEVICE_READY) {
		for (i = 0; value == 1 && i < con->nports; i++)
			con->tell[i] |= TELL_ADD;
	} else if (id < con->nports && event == CTL_PORT_READY) {
		if (value == 1)
			port_ready(&con->port[id]);
	} else if (id < con->nports && event == CTL_PORT_OPEN) {
		con->guest_open[id] = value != 0;
		console_port_rx(&con->port[id]);
	}
	/* Others are of later specifications, or nothing. */
}

static void
control_tx(struct console *con)
{
	struct virtq *q = virtio_queue(con->vd, Q_CTL_TX);
	struct virtq_chain *c;
	uint8_t buf[CTL_SIZE];
	uint16_t event, value;
	uint32_t id;

	while ((c = virtq_pop(q)) != NULL) {
		if (con->multiport && virtq_read(c, buf, sizeof(buf))) {
			memcpy(&id, buf, 4);
			memcpy(&event, buf + 4, 2);
			memcpy(&value, buf + 6, 2);
			control(con, id, event, value);
			/* Each gets its answers, also if the next is there. */
			console_tell(con);
		}
		virtq_done(c, 0);
	}
}

/* ---- the host's terminal ---- */

static bool
get_size(struct console *con)
{
	uint16_t cols = COLS, rows = ROWS;
	struct winsize ws;

	if (con->tty && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0 &&
	    ws.ws_col != 0 && ws.ws_row != 0) {
		cols = ws.ws_col;
		rows = ws.ws_row;
	}
	if (cols == con->cols && rows == con->rows)
		return (false);
	con->cols = cols;
	con->rows = rows;
	virtio_config_set(con->vd, CONFIG_COLS, &cols, 2);
	virtio_config_set(con->vd, CONFIG_ROWS, &rows, 2);
	return (true);
}

static void
on_winch(void *arg, unsigned ready)
{
	struct console *con = arg;
	struct signalfd_siginfo si;

	(void)ready;
	while (read(con->winchfd, &si, sizeof(si)) == sizeof(si))
		;
	if (!get_size(con))
		return;
	if (virtio_has(con->vd, F_SIZE))
		virtio_config_changed(con->vd);
	con->tell[0] |= TELL_RESIZE;
	console_tell(con);
}

/* The signal is blocked in all threads. */
static int
watch_size(struct console *con)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	con->winchfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (con->winchfd < 0)
		return (-errno);
	return (mevent_add(con->loop, con->winchfd, MEVENT_READ, on_winch, con,
	    &con->winch_ev));
}

/* ---- the device ---- */

static void
console_notify(struct virtio_dev *vd, unsigned n)
{
	struct console *con = virtio_priv(vd);
	struct console_port *p = port_of(con, n);

	if (n == Q_CTL_RX)
		console_tell(con);
	else if (n == Q_CTL_TX)
		control_tx(con);
	else if (p != NULL && n % 2 == 0)
		console_port_rx(p);
	else if (p != NULL)
		console_port_tx(p);
}

static void
console_start(struct virtio_dev *vd)
{
	struct console *con = virtio_priv(vd);

	con->multiport = virtio_has(vd, F_MULTIPORT);
}

static void
console_stop(struct virtio_dev *vd, unsigned n)
{
	struct console_port *p = port_of(virtio_priv(vd), n);

	if (p != NULL && n % 2 != 0)
		console_port_stop(p);
}

static void
console_reset(struct virtio_dev *vd)
{
	struct console *con = virtio_priv(vd);
	unsigned i;

	con->multiport = false;
	for (i = 0; i < con->nports; i++) {
		con->guest_open[i] = false;
		con->tell[i] = 0;
	}
}

/* VIRTIO 5.3.4: a character for who looks, before there is a queue. */
static void
console_config_write(
    struct virtio_dev *vd, unsigned off, const void *bytes, unsigned len)
{
	struct console *con = virtio_priv(vd);

	if (off == CONFIG_EMERG && len >= 1 && con->port[0].line != NULL)
		(void)chardev_write(con->port[0].line, bytes, 1);
}

static struct console_port *
new_port(struct console *con)
{
	struct console_port *p;

	if (con->nports == CONSOLE_PORTS)
		return (NULL);
	p = &con->port[con->nports];
	p->con = con;
	p->n = con->nports;
	p->fd = p->linefd = p->listener.fd = -1;
	p->rx = virtio_queue(con->vd, p->n == 0 ? Q_RX0 : 2 * p->n + 2);
	p->tx = virtio_queue(con->vd, p->n == 0 ? Q_TX0 : 2 * p->n + 3);
	con->nports++;
	return (p);
}

static int
add_terminal(struct console *con, const struct device_conf *conf)
{
	const char *where = device_opt(conf, "terminal");
	struct console_port *p;
	struct chardev *line;
	int error;

	if (where == NULL)
		return (0);
	error = conf->open_line != NULL
		    ? conf->open_line(conf->open_arg, where, &line)
		    : -ENOTSUP;
	if (error != 0)
		return (device_fail(conf,
		    "terminal=%.80s: cannot be opened: %s; use another place",
		    where,
		    error == -EBUSY ? "a serial port has it"
				    : strerror(-error)));
	p = new_port(con);
	error = console_port_line(p, line);
	con->tty = strcmp(where, "stdio") == 0 && isatty(STDIN_FILENO) == 1;
	if (error == 0 && con->tty)
		error = watch_size(con);
	return (error);
}

static int
add_port(struct console *con, const struct device_conf *conf, unsigned n)
{
	char name_var[20], path_var[20];
	const char *name, *path;
	struct console_port *p;
	int error;

	(void)snprintf(name_var, sizeof(name_var), "port.%u.name", n);
	(void)snprintf(path_var, sizeof(path_var), "port.%u.path", n);
	name = device_opt(conf, name_var);
	path = device_opt(conf, path_var);
	if (name == NULL && path == NULL)
		return (0);
	if (name == NULL || path == NULL)
		return (device_fail(conf,
		    "port.%u: it needs a name and a path; give name=path", n));
	if (strlen(name) >= CONSOLE_NAME)
		return (device_fail(conf,
		    "%.80s: too long for a port's name; use less than %u bytes",
		    name, CONSOLE_NAME));
	p = new_port(con);
	if (p == NULL)
		return (device_fail(conf,
		    "%.80s: more than %u ports; leave one out", name,
		    CONSOLE_PORTS));
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	error = console_port_listen(p, path);
	if (error != 0)
		return (device_fail(conf,
		    "%.40s=%.80s: cannot listen there: %s; use another path",
		    name, path, strerror(-error)));
	return (0);
}

static int
console_init(struct virtio_dev *vd, const struct device_conf *conf)
{
	struct console *con = virtio_priv(vd);
	uint32_t nports;
	bool named;
	unsigned i;
	int error;

	con->vd = vd;
	con->winchfd = -1;
	error = iothread_create(&con->thread, "console");
	if (error != 0)
		return (error);
	con->loop = iothread_loop(con->thread);
	virtio_set_loop(vd, con->loop);
	error = add_terminal(con, conf);
	named = con->nports == 0;
	/* Numbers may have gaps. */
	for (i = 0; i < 2 * CONSOLE_PORTS && error == 0; i++)
		error = add_port(con, conf, i);
	if (error != 0)
		return (error);
	if (con->nports == 0)
		return (device_fail(
		    conf, "it has no port; give name=path, or terminal="));
	named = named || con->nports > 1;
	if (con->port[0].line != NULL) {
		virtio_offer(vd, F_SIZE | F_EMERG_WRITE);
		(void)get_size(con);
	}
	if (named)
		virtio_offer(vd, F_MULTIPORT);
	virtio_set_queues(vd, named ? 2 * (con->nports + 1) : 2);
	nports = named ? con->nports : 1;
	virtio_config_set(vd, CONFIG_PORTS, &nports, sizeof(nports));
	return (0);
}

static void
console_fini(struct virtio_dev *vd)
{
	struct console *con = virtio_priv(vd);
	unsigned i;

	iothread_stop(con->thread);
	mevent_remove(con->winch_ev);
	for (i = 0; i < con->nports; i++)
		console_port_fini(&con->port[i]);
	iothread_destroy(con->thread);
	if (con->winchfd >= 0)
		(void)close(con->winchfd);
}

/* bhyve's "name=path": the next port. */
static int
console_item(struct config *cfg, const char *node, char origin,
    const char *item, struct config_error *err)
{
	const char *eq = strchr(item, '=');
	char path[CONFIG_PATH_MAX], name[CONSOLE_NAME];
	size_t len = eq != NULL ? (size_t)(eq - item) : 0;
	unsigned n;
	int error;

	if (eq == NULL)
		return (-ENOENT);
	if (len == 0 || len >= sizeof(name) || eq[1] == '\0')
		return (config_fail(err,
		    "-%c %.80s: not a port; use name=path, with a name of 1 "
		    "to %u bytes",
		    origin, item, CONSOLE_NAME - 1));
	memcpy(name, item, len);
	name[len] = '\0';
	for (n = 0; n < CONSOLE_PORTS; n++) {
		(void)snprintf(path, sizeof(path), "%s.port.%u.name", node, n);
		if (config_get(cfg, path) == NULL)
			break;
	}
	if (n == CONSOLE_PORTS)
		return (config_fail(err,
		    "-%c %.80s: more than %u ports; leave one out", origin,
		    item, CONSOLE_PORTS));
	error = config_set(cfg, path, name, origin);
	(void)snprintf(path, sizeof(path), "%s.port.%u.path", node, n);
	if (error == 0)
		error = config_set(cfg, path, eq + 1, origin);
	return (error != 0 ? config_fail(err, "out of memory") : 0);
}

static const struct config_var console_opts[] = {
    {.name = "terminal",
	.help = "where the guest's console ends: stdio, pty, tcp=IP:PORT, "
		"unix=PATH; no other item: no console"},
    {.name = "port.#.name", .help = "name of a port in the guest"},
    {.name = "port.#.path", .help = "the socket where it ends on the host"},
    VIRTIO_OPTS,
    {.name = NULL},
};

static const struct virtio_ops console_ops = {
    .id = VIRTIO_ID_CONSOLE,
    .class = 0x07,
    .subclass = 0x80, /* other communication controller */
    .queues = QUEUES,
    .size = 64,
    .config_size = CONFIG_BYTES,
    .in_order = true,
    .priv_size = sizeof(struct console),
    .state = &console_state,
    .init = console_init,
    .fini = console_fini,
    .start = console_start,
    .notify = console_notify,
    .stop = console_stop,
    .reset = console_reset,
    .config_write = console_config_write,
};

VIRTIO_DEVICE(virtio_console, "virtio-console",
    "named ports on Unix sockets, name=path; a console, terminal=stdio",
    console_ops, .opts = console_opts, .item = console_item,
    .man = "Each\n.Ar name Ns = Ns Ar path\nis a port of that name in the "
	   "guest, and a socket on the host, where one peer at a time may "
	   "connect; up to 16.\n.Cm terminal Ns = Ns Ar where\nis a console "
	   "beside them, which ends like a serial line.\nWith\n.Cm stdio\nit "
	   "follows the terminal's size.");
