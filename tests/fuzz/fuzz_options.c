/* SPDX-License-Identifier: BSD-2-Clause */
/* A command line: words end with a newline or NUL. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/options.h"
#include "fuzz.h"

#define WORDS_MAX 64

static const struct config_var com_opts[] = {{.name = "path"}, {.name = NULL}};
static const struct config_var disk_opts[] = {
    {.name = "path"},
    {.name = "ro", .type = CONFIG_BOOL},
    {.name = "queues", .type = CONFIG_UINT, .min = 1, .max = 64},
    {.name = NULL},
};
static const struct config_device pci[] = {
    {.name = "hostbridge", .help = "host bridge"},
    {.name = "lpc", .help = "LPC bridge", .single = true},
    {.name = "disk", .help = "disk", .opts = disk_opts},
    {.name = NULL},
};
static const struct config_device lpc[] = {
    {.name = "com1", .help = "port", .opts = com_opts, .needs_conf = true},
    {.name = NULL},
};
static const struct config_devices devs = {pci, lpc};

static int
see(void *arg, const char *path, const char *value, char origin)
{
	const struct config *cfg = arg;
	const char *got = config_get(cfg, path);

	FUZZ_CHECK(got != NULL && strcmp(got, value) == 0);
	FUZZ_CHECK(config_origin(cfg, path) == origin);
	(void)config_bool(cfg, path, true);
	return (0);
}

static void
values(const char *s)
{
	uint64_t v;
	uint64_t set[CONFIG_HOST_CPUS / 64];
	bool b;
	int error;

	error = config_parse_cpuset(s, set);
	FUZZ_CHECK(error == 0 || error == -EINVAL);
	error = config_parse_bool(s, &b);
	FUZZ_CHECK(error == 0 || error == -EINVAL);
	error = config_parse_uint(s, &v);
	FUZZ_CHECK(error == 0 || error == -EINVAL || error == -ERANGE);
	error = config_parse_size(s, &v);
	FUZZ_CHECK(error == 0 || error == -EINVAL || error == -ERANGE);
}

/* The same bytes as a file for -k. */
static void
file(const uint8_t *data, size_t size, FILE *out)
{
	struct config_error err = {""};
	char path[32];
	char *argv[] = {(char *)(uintptr_t)"lhyve", (char *)(uintptr_t)"-k",
	    path, (char *)(uintptr_t)"vm0", NULL};
	struct config *cfg;
	int fd, ret;

	fd = memfd_create("conf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    config_create(&cfg) != 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = options_parse(cfg, 4, argv, &devs, out, &err);
	FUZZ_CHECK(ret == 0 || ret == -EINVAL);
	FUZZ_CHECK(ret == 0 || err.msg[0] != '\0');
	for (const char *p = err.msg; *p != '\0'; p++)
		FUZZ_CHECK((unsigned char)*p >= ' ');
	if (ret == 0) {
		(void)config_walk(cfg, see, cfg);
		config_dump(cfg, out);
	}
	config_destroy(cfg);
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error err = {""};
	char *argv[WORDS_MAX + 2] = {NULL}, *copy, *p;
	struct config *cfg;
	int argc = 0, ret;
	FILE *out;

	copy = malloc(size + 1);
	out = fopen("/dev/null", "w");
	if (copy == NULL || out == NULL || config_create(&cfg) != 0)
		abort();
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i] == '\n' ? '\0' : (char)data[i];
	copy[size] = '\0';
	argv[argc++] = (char *)(uintptr_t)"lhyve";
	for (p = copy; p < copy + size && argc <= WORDS_MAX;
	     p += strlen(p) + 1)
		argv[argc++] = p;
	ret = options_parse(cfg, argc, argv, &devs, out, &err);
	FUZZ_CHECK(ret == 0 || ret == 1 || ret == -EINVAL);
	if (ret < 0) {
		FUZZ_CHECK(err.msg[0] != '\0');
		FUZZ_CHECK(memchr(err.msg, '\0', sizeof(err.msg)) != NULL);
		FUZZ_CHECK(strchr(err.msg, '\n') == NULL);
	} else {
		(void)config_walk(cfg, see, cfg);
		config_dump(cfg, out);
	}
	for (int i = 1; i < argc; i++)
		values(argv[i]);
	file(data, size, out);
	config_destroy(cfg);
	(void)fclose(out);
	free(copy);
	return (0);
}
