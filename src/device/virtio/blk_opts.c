/* SPDX-License-Identifier: BSD-2-Clause */
/* Options of virtio-blk: bhyve's, and those of the backends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/md5.h"
#include "device/virtio/blk.h"

const struct config_var vblk_opts[] = {
    {.name = "path",
	.help = "a file, a block device, nbd:unix:PATH[:exportname=NAME] or "
		"nbd://HOST[:PORT][/NAME]"},
    {.name = "ro", .type = CONFIG_BOOL, .help = "read-only"},
    {.name = "nocache",
	.type = CONFIG_BOOL,
	.help = "past the host's page cache (O_DIRECT)"},
    {.name = "sync",
	.type = CONFIG_BOOL,
	.help = "each write is on the disk when it is done"},
    {.name = "direct", .type = CONFIG_BOOL, .help = "the same as sync"},
    {.name = "nodelete",
	.type = CONFIG_BOOL,
	.help = "offer no discard: the image keeps its blocks"},
    {.name = "sectorsize",
	.help = "logical sectors, and physical ones behind a slash: 512/4096"},
    {.name = "ser", .help = "serial number, at most 20 characters"},
    {.name = "overlay",
	.help = "file that takes all writes; the disk itself stays as it is"},
    {.name = "snapshot",
	.type = CONFIG_BOOL,
	.help = "writes are forgotten when the machine ends"},
    {.name = "aio",
	.type = CONFIG_WORD,
	.words = "auto io_uring threads",
	.dflt = "auto",
	.help = "how files are read and written: auto, io_uring, threads"},
    {.name = "queues",
	.type = CONFIG_UINT,
	.min = 1,
	.max = VBLK_QUEUES,
	.help = "queues; else one for each processor, up to 4"},
    DEVICE_OPT_BOOTINDEX,
    VIRTIO_OPTS,
    {.name = NULL},
};

/* bhyve's: from the path. */
static void
default_serial(char *out, size_t len, const char *path)
{
	uint8_t d[MD5_SIZE];
	struct md5 md5;

	md5_init(&md5);
	md5_update(&md5, path, strlen(path));
	md5_final(&md5, d);
	(void)snprintf(out, len, "BHYVE-%02X%02X-%02X%02X-%02X%02X", d[0], d[1],
	    d[2], d[3], d[4], d[5]);
}

/* "L" or "L/P"; the backend knows which of them are possible. */
static bool
parse_sectors(const char *s, struct block_config *cfg)
{
	unsigned long n[2] = {0, 0};
	unsigned i;
	char *end;

	for (i = 0; i < 2; i++) {
		if (*s < '0' || *s > '9')
			return (false);
		errno = 0;
		n[i] = strtoul(s, &end, 10);
		if (errno != 0 || n[i] == 0 || n[i] > 1u << 30)
			return (false);
		if (*end == '\0')
			break;
		if (*end != '/' || i == 1)
			return (false);
		s = end + 1;
	}
	cfg->logical = (uint32_t)n[0];
	cfg->physical = (uint32_t)n[1];
	return (true);
}

static unsigned
default_queues(const struct device_conf *conf)
{
	struct config_topology t;
	struct config_error err;

	if (config_topology(conf->cfg, &t, &err) != 0)
		return (1);
	return (t.cpus < 4 ? t.cpus : 4);
}

int
vblk_options(struct vblk *b, const struct device_conf *conf,
    struct block_config *cfg, unsigned *queues)
{
	const char *val, *aio = device_opt(conf, "aio");

	cfg->path = device_opt(conf, "path");
	if (cfg->path == NULL)
		return (device_fail(conf, "no path; give a file"));
	cfg->readonly = device_opt_bool(conf, "ro");
	cfg->nocache = device_opt_bool(conf, "nocache");
	cfg->sync =
	    device_opt_bool(conf, "sync") || device_opt_bool(conf, "direct");
	cfg->nodelete = device_opt_bool(conf, "nodelete");
	cfg->overlay = device_opt(conf, "overlay");
	cfg->snapshot = device_opt_bool(conf, "snapshot");
	if (aio != NULL && strcmp(aio, "io_uring") == 0)
		cfg->aio = BLOCK_AIO_URING;
	else if (aio != NULL && strcmp(aio, "threads") == 0)
		cfg->aio = BLOCK_AIO_THREADS;
	val = device_opt(conf, "sectorsize");
	if (val != NULL && !parse_sectors(val, cfg))
		return (device_fail(conf,
		    "sectorsize=%.40s: not sector sizes; use 512, 4096 or "
		    "512/4096",
		    val));
	val = device_opt(conf, "ser");
	if (val != NULL && strlen(val) > VIRTIO_BLK_ID_BYTES)
		return (device_fail(conf,
		    "ser=%.40s: a serial number has at most %u characters", val,
		    VIRTIO_BLK_ID_BYTES));
	if (val != NULL)
		(void)snprintf(b->serial, sizeof(b->serial), "%s", val);
	else
		default_serial(b->serial, sizeof(b->serial), cfg->path);
	*queues = (unsigned)device_opt_uint(conf, "queues");
	if (*queues == 0)
		*queues = default_queues(conf);
	return (0);
}
