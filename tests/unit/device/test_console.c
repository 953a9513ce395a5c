/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console: ports on sockets, control messages, who does not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vrig.h"

extern const struct device_desc device_virtio_console;

#define MULTIPORT (1ull << 1)
#define BUF       4096u
#define BIG       (4u << 20) /* more than a socket takes */

struct msg {
	uint32_t id;
	uint16_t event, value;
	char more[64];
};

static char dir[] = "/tmp/lhyve-console-XXXXXX";
static uint64_t ctl_buf[64]; /* of the control queue, by id */

static struct vrig *
rig(const char *fmt)
{
	struct vrig *r = malloc(sizeof(*r));
	char opts[300];

	assert_non_null(r);
	(void)snprintf(opts, sizeof(opts), fmt, dir, dir, dir);
	if (vrig_create(r, &device_virtio_console, opts, true) != 0)
		fail_msg("%s", r->err.msg);
	return (r);
}

static void
unrig(struct vrig *r)
{
	vrig_destroy(r);
	free(r);
}

static int
dial(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = 60};
	int fd;

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", dir, name);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return (fd);
}

/* So many buffers for what the device has to say. */
static void
feed(struct vrig *r, unsigned n, unsigned count, uint32_t len)
{
	struct vrig_buf b = {0, len, true};
	uint16_t id;

	while (count-- != 0) {
		b.gpa = vrig_alloc(r, len);
		id = vrig_add(r, n, &b, 1, false);
		if (n == 2)
			ctl_buf[id] = b.gpa;
	}
	vrig_kick(r, n);
}

static void
tell(struct vrig *r, uint32_t id, uint16_t event, uint16_t value)
{
	struct vrig_buf b = {vrig_alloc(r, 8), 8, false};
	struct msg m = {.id = id, .event = event, .value = value};

	memcpy(vrig_ptr(r, b.gpa), &m, 8);
	(void)vrig_do(r, 3, &b, 1);
}

/* The next control message is this one. */
static void
expect(struct vrig *r, uint32_t id, uint16_t event, uint16_t value,
    const char *more)
{
	uint32_t len;
	struct msg m;
	uint16_t at = vrig_wait(r, 2, &len);

	memset(&m, 0, sizeof(m));
	assert_in_range(len, 8, sizeof(m));
	memcpy(&m, vrig_ptr(r, ctl_buf[at]), len);
	assert_int_equal(m.id, id);
	assert_int_equal(m.event, event);
	assert_int_equal(m.value, value);
	assert_int_equal(len - 8, more != NULL ? strlen(more) : 0);
	if (more != NULL)
		assert_memory_equal(m.more, more, len - 8);
	feed(r, 2, 1, 72);
}

static void
send_text(struct vrig *r, unsigned n, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	struct vrig_buf b[2] = {{vrig_alloc(r, len), len - 1, false}};

	memcpy(vrig_ptr(r, b[0].gpa), text, len);
	b[1] = (struct vrig_buf){b[0].gpa + len - 1, 1, false};
	(void)vrig_do(r, n, b, 2);
}

static void
hear(int fd, const char *text)
{
	char buf[100] = "";

	assert_int_equal(
	    recv(fd, buf, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buf, text);
}

static const char two[] = "port.0.name=org.a,port.0.path=%s/a,"
			  "port.7.name=b,port.7.path=%s/b";

static struct vrig *
two_ports(void)
{
	struct vrig *r = rig(two);

	vrig_start(r, MULTIPORT, 6);
	feed(r, 2, 8, 72);
	tell(r, 0, 0, 1);
	expect(r, 0, 1, 1, NULL);
	expect(r, 1, 1, 1, NULL);
	return (r);
}

static void
test_ports(void **state)
{
	struct vrig *r = two_ports();
	struct vrig_buf b = {vrig_alloc(r, 64), 64, true};
	int fd, other;
	uint32_t len;
	char c;

	(void)state;
	assert_int_equal(vrig_config(r, 4, 4), 2);
	tell(r, 1, 3, 1);
	expect(r, 1, 7, 1, "b");
	tell(r, 0, 3, 1);
	expect(r, 0, 7, 1, "org.a");
	/* Before anybody is there it goes nowhere. */
	send_text(r, 5, "nobody");
	fd = dial("b");
	expect(r, 1, 6, 1, NULL);
	/* One peer; another one is turned away. */
	other = dial("b");
	assert_int_equal(recv(other, &c, 1, 0), 0);
	(void)close(other);
	send_text(r, 5, "to b");
	hear(fd, "to b");
	/* What is said before the guest opens the port waits. */
	assert_int_equal(send(fd, "early", 5, 0), 5);
	(void)vrig_add(r, 4, &b, 1, false);
	vrig_kick(r, 4);
	tell(r, 1, 6, 1);
	(void)vrig_wait(r, 4, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(vrig_ptr(r, b.gpa), "early", 5);
	/* And so does what comes without a buffer. */
	assert_int_equal(send(fd, "late", 4, 0), 4);
	(void)vrig_add(r, 4, &b, 1, false);
	vrig_kick(r, 4);
	(void)vrig_wait(r, 4, &len);
	assert_int_equal(len, 4);
	(void)vrig_add(r, 4, &b, 1, false);
	vrig_kick(r, 4);
	(void)close(fd);
	expect(r, 1, 6, 0, NULL);
	/* The next one finds it as the first did. */
	fd = dial("b");
	expect(r, 1, 6, 1, NULL);
	assert_int_equal(send(fd, "again", 5, 0), 5);
	(void)vrig_wait(r, 4, &len);
	assert_int_equal(len, 5);
	(void)close(fd);
	unrig(r);
}

/* A peer that went unnoticed, since the guest does not read. */
static void
test_gone(void **state)
{
	struct vrig *r = two_ports();
	int fd;

	(void)state;
	fd = dial("a");
	expect(r, 0, 6, 1, NULL);
	(void)close(fd);
	fd = dial("a");
	expect(r, 0, 6, 0, NULL);
	expect(r, 0, 6, 1, NULL);
	send_text(r, 1, "hello");
	hear(fd, "hello");
	(void)close(fd);
	unrig(r);
}

/* A peer that does not read: the guest waits, and nothing is lost. */
static void
test_slow_peer(void **state)
{
	static uint8_t buf[BIG];
	struct vrig *r = two_ports();
	struct vrig_buf b = {vrig_alloc(r, BIG), BIG, false}, o;
	uint8_t *p = vrig_ptr(r, b.gpa);
	uint32_t len, i;
	uint16_t id;
	int fd;

	(void)state;
	fd = dial("b");
	expect(r, 1, 6, 1, NULL);
	for (i = 0; i < BIG; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	(void)vrig_add(r, 5, &b, 1, false);
	vrig_kick(r, 5);
	/* Meanwhile others go on. */
	tell(r, 0, 3, 1);
	expect(r, 0, 7, 1, "org.a");
	assert_false(vrig_used(r, 5, &id, &len));
	assert_int_equal(recv(fd, buf, BIG, MSG_WAITALL), BIG);
	assert_memory_equal(buf, p, BIG);
	(void)vrig_wait(r, 5, &len);
	/* One that goes in the middle of it. */
	(void)vrig_add(r, 5, &b, 1, false);
	vrig_kick(r, 5);
	assert_int_equal(recv(fd, buf, 10, MSG_WAITALL), 10);
	(void)close(fd);
	(void)vrig_wait(r, 5, &len);
	expect(r, 1, 6, 0, NULL);
	/* And a reset in the middle. */
	fd = dial("b");
	expect(r, 1, 6, 1, NULL);
	(void)vrig_add(r, 5, &b, 1, false);
	vrig_kick(r, 5);
	vrig_start(r, MULTIPORT, 6);
	o = b;
	o.len = 5;
	(void)vrig_do(r, 1, &o, 1);
	assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
	/* The peer is still there. */
	feed(r, 2, 8, 72);
	tell(r, 1, 3, 1);
	expect(r, 1, 7, 1, "b");
	expect(r, 1, 6, 1, NULL);
	(void)close(fd);
	unrig(r);
}

/* Control messages that are none, and buffers too small for one. */
static void
test_control(void **state)
{
	struct vrig *r = two_ports();
	struct vrig_buf b = {vrig_alloc(r, 8), 7, false};
	uint32_t len;
	unsigned i;

	(void)state;
	(void)vrig_do(r, 3, &b, 1);
	b.write = true;
	(void)vrig_do(r, 3, &b, 1);
	for (i = 0; i < 12; i++) {
		tell(r, 2, (uint16_t)i, 1);
		tell(r, UINT32_MAX, (uint16_t)i, 1);
	}
	/* That was DEVICE_READY, twice, whoever says so. */
	for (i = 0; i < 2; i++) {
		expect(r, 0, 1, 1, NULL);
		expect(r, 1, 1, 1, NULL);
	}
	vrig_start(r, MULTIPORT, 6);
	feed(r, 2, 1, 4);
	feed(r, 2, 1, 72);
	tell(r, 0, 0, 1);
	(void)vrig_wait(r, 2, &len);
	assert_int_equal(len, 0);
	expect(r, 1, 1, 1, NULL);
	assert_int_equal(vrig_status(r) & VIRTIO_S_NEEDS_RESET, 0);
	unrig(r);
}

/* Without MULTIPORT there is port 0, and it is open. */
static void
test_one_port(void **state)
{
	struct vrig *r = rig("port.0.name=x,port.0.path=%s/x");
	struct vrig_buf b = {vrig_alloc(r, 64), 64, true};
	uint32_t len;
	int fd;

	(void)state;
	vrig_start(r, 0, 2);
	fd = dial("x");
	send_text(r, 1, "hi");
	(void)vrig_add(r, 0, &b, 1, false);
	vrig_kick(r, 0);
	assert_int_equal(send(fd, "ho", 2, 0), 2);
	(void)vrig_wait(r, 0, &len);
	assert_int_equal(len, 2);
	(void)close(fd);
	unrig(r);
}

/* Sockets go with the machine; others' files stay. */
static void
test_paths(void **state)
{
	struct vrig *r = two_ports();
	char path[60];
	struct stat st;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	unrig(r);
	assert_int_not_equal(stat(path, &st), 0);
}

static void
wrong(const char *opts, const char *text)
{
	struct vrig *r = malloc(sizeof(*r));
	char buf[2000];

	(void)snprintf(buf, sizeof(buf), opts, dir, dir, dir);
	assert_int_not_equal(
	    vrig_create(r, &device_virtio_console, buf, true), 0);
	if (strstr(r->err.msg, text) == NULL)
		fail_msg("%s: no \"%s\"", r->err.msg, text);
	unrig(r);
}

static void
test_wrong(void **state)
{
	(void)state;
	wrong("", "it has no port");
	wrong("port.0.name=a", "port.0: it needs a name and a path");
	wrong("port.0.path=%s/a", "port.0: it needs a name and a path");
	wrong(
	    "port.0.name=a,port.0.path=/no/such/place", "cannot listen there");
	wrong("port.0.name=a,port.0.path=%s/a,port.1.name=b,port.1.path=%s/a",
	    "cannot listen there: Address already in use");
	wrong("port.0.name="
	      "0123456789012345678901234567890123456789012345678901234567890123"
	      ",port.0.path=%s/a",
	    "too long");
}

/* bhyve's way to write them. */
static void
test_items(void **state)
{
	config_item_fn item = device_virtio_console.item;
	struct config_error err;
	struct config *cfg;
	char text[20];
	unsigned i;

	(void)state;
	assert_int_equal(config_create(&cfg), 0);
	assert_int_equal(item(cfg, "pci.0.3.0", 's', "a=/x=y", &err), 0);
	assert_string_equal(config_get(cfg, "pci.0.3.0.port.0.name"), "a");
	assert_string_equal(config_get(cfg, "pci.0.3.0.port.0.path"), "/x=y");
	assert_int_not_equal(item(cfg, "pci.0.3.0", 's', "=/x", &err), 0);
	assert_int_not_equal(item(cfg, "pci.0.3.0", 's', "a=", &err), 0);
	assert_int_equal(item(cfg, "pci.0.3.0", 's', "stdio", &err), -2);
	for (i = 1; i < 16; i++) {
		(void)snprintf(text, sizeof(text), "n%u=/p%u", i, i);
		assert_int_equal(item(cfg, "pci.0.3.0", 's', text, &err), 0);
	}
	assert_string_equal(config_get(cfg, "pci.0.3.0.port.15.path"), "/p15");
	assert_int_not_equal(item(cfg, "pci.0.3.0", 's', "z=/z", &err), 0);
	assert_non_null(strstr(err.msg, "more than 16 ports"));
	config_destroy(cfg);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ports),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_slow_peer),
	    cmocka_unit_test(test_control),
	    cmocka_unit_test(test_one_port),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_items),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return (1);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return (failed);
}
