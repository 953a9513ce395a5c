/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target without libFuzzer: every file of a corpus, then inputs
 * made from those and from nothing, the same for the same seed. An input
 * that ends the process is left in a file.
 *
 *	target [-seed N] [-runs N] [-seconds N] [-max N] [FILE|DIR]...
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define CORPUS_MAX 512
#define INPUT_MAX 65536
#define HANG_SECONDS 60

static struct {
	uint8_t *data;
	size_t len;
} corpus[CORPUS_MAX];
static unsigned ncorpus;

/* What runs now, for the handler. */
static uint8_t input[INPUT_MAX];
static volatile size_t input_len;
static char crash_name[256];

static void
save(void)
{
	static const char msg[] = "driver: the input is in ";
	int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		return;
	if (write(fd, input, input_len) < 0 ||
	    write(2, msg, sizeof(msg) - 1) < 0 ||
	    write(2, crash_name, strlen(crash_name)) < 0 ||
	    write(2, "\n", 1) < 0)
		_exit(2);
	close(fd);
}

static void
handler(int sig)
{
	static const char hang[] = "driver: an input does not end\n";

	if (sig == SIGALRM && write(2, hang, sizeof(hang) - 1) < 0)
		_exit(2);
	signal(sig, SIG_DFL);
	save();
	if (sig == SIGALRM)
		abort();
	raise(sig);
}

static void
install(void)
{
	static const int sigs[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE,
		SIGALRM };
	struct sigaction sa, old;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = handler;
	sa.sa_flags = SA_ONSTACK;
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		/* A sanitizer's own handler reports better; abort() comes
		 * afterwards if it was told to. */
		if (sigaction(sigs[i], NULL, &old) == 0 &&
		    ((old.sa_flags & SA_SIGINFO) != 0 ||
			old.sa_handler != SIG_DFL))
			continue;
		sigaction(sigs[i], &sa, NULL);
	}
}

static void
run(void)
{
	uint8_t *copy;

	/* An exact copy: a reading beyond it is seen. */
	copy = malloc(input_len > 0 ? input_len : 1);
	if (copy == NULL)
		exit(2);
	memcpy(copy, input, input_len);
	alarm(HANG_SECONDS);
	(void)LLVMFuzzerTestOneInput(copy, input_len);
	alarm(0);
	free(copy);
}

static void
add_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || ncorpus == CORPUS_MAX) {
		fprintf(stderr, "driver: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	n = read(fd, input, sizeof(input));
	close(fd);
	if (n < 0)
		exit(2);
	corpus[ncorpus].data = malloc((size_t)n + 1);
	if (corpus[ncorpus].data == NULL)
		exit(2);
	memcpy(corpus[ncorpus].data, input, (size_t)n);
	corpus[ncorpus++].len = (size_t)n;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return (strcmp((*a)->d_name, (*b)->d_name));
}

static void
add(const char *path)
{
	char name[1024];
	struct dirent **list;
	struct stat st;
	int n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	n = scandir(path, &list, NULL, by_name);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(name, sizeof(name), "%s/%s", path,
			    list[i]->d_name);
			add_file(name);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static uint64_t
interesting(uint64_t *s)
{
	uint64_t r = fuzz_rand(s);

	switch (r & 7) {
	case 0:
		return (0);
	case 1:
		return (UINT64_MAX);
	case 2:
		return (1ull << (r >> 8 & 63));
	case 3:
		return ((1ull << (r >> 8 & 63)) - 1);
	case 4:
		return (r >> 8 & 0xff);
	default:
		return (fuzz_rand(s));
	}
}

/* Bytes, words and pieces changed, moved, put in and taken out. */
static void
mutate(uint64_t *s, size_t max)
{
	size_t len = input_len, at, n;
	uint64_t r, v;

	for (unsigned k = 1 + fuzz_rand(s) % 8; k > 0; k--) {
		r = fuzz_rand(s);
		at = len > 0 ? (r >> 8) % len : 0;
		n = 1 + (r >> 40) % 16;
		switch (r % 6) {
		case 0: /* a bit */
			if (len > 0)
				input[at] ^= (uint8_t)(1u << (r >> 40 & 7));
			break;
		case 1: /* a number */
			v = interesting(s);
			n = (size_t)1 << (r >> 40 & 3);
			if (at + n <= len)
				memcpy(input + at, &v, n);
			break;
		case 2: /* cut */
			n = n > len - at ? len - at : n;
			memmove(input + at, input + at + n, len - at - n);
			len -= n;
			break;
		case 3: /* put in */
			if (len + n > max)
				break;
			memmove(input + at + n, input + at, len - at);
			for (size_t i = 0; i < n; i++)
				input[at + i] = (uint8_t)fuzz_rand(s);
			len += n;
			break;
		case 4: /* copy within */
			n = n > len - at ? len - at : n;
			if (n > 0)
				memmove(input + fuzz_rand(s) % (len - n + 1),
				    input + at, n);
			break;
		default: /* a byte */
			if (len > 0)
				input[at] = (uint8_t)(r >> 40);
			break;
		}
	}
	input_len = len;
}

static void
make(uint64_t *s, size_t max)
{
	uint64_t r = fuzz_rand(s);
	size_t len;

	if (ncorpus > 0 && r % 3 != 0) {
		r = fuzz_rand(s) % ncorpus;
		memcpy(input, corpus[r].data, corpus[r].len);
		input_len = corpus[r].len;
		mutate(s, max);
		return;
	}
	len = fuzz_rand(s) % (max + 1);
	for (size_t i = 0; i < len; i++)
		input[i] = (uint8_t)fuzz_rand(s);
	input_len = len;
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

int
main(int argc, char **argv)
{
	unsigned long seed = 1, runs = 0, secs = 3600, max = 512, n;
	const char *name = strrchr(argv[0], '/');
	double start = seconds();
	uint64_t s;
	int i;

	for (i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		n = strtoul(argv[i + 1], NULL, 0);
		if (strcmp(argv[i], "-seed") == 0)
			seed = n;
		else if (strcmp(argv[i], "-runs") == 0)
			runs = n;
		else if (strcmp(argv[i], "-seconds") == 0)
			secs = n;
		else if (strcmp(argv[i], "-max") == 0)
			max = n < INPUT_MAX ? n : INPUT_MAX;
		else
			break;
	}
	if (i < argc && argv[i][0] == '-') {
		fprintf(stderr, "usage: %s [-seed N] [-runs N] [-seconds N] "
		    "[-max N] [FILE|DIR]...\n", argv[0]);
		return (2);
	}
	name = name != NULL ? name + 1 : argv[0];
	snprintf(crash_name, sizeof(crash_name), "crash-%s", name);
	for (; i < argc; i++)
		add(argv[i]);
	install();
	for (unsigned c = 0; c < ncorpus; c++) {
		memcpy(input, corpus[c].data, corpus[c].len);
		input_len = corpus[c].len;
		run();
	}
	for (n = 0; n < runs && seconds() - start < (double)secs; n++) {
		/* Each by itself: number n is the same without the others. */
		s = seed * 0x100000000ull + n;
		make(&s, max);
		run();
	}
	printf("%s: %u files, %lu inputs of seed %lu, %.1f s\n", name, ncorpus,
	    n, seed, seconds() - start);
	for (unsigned c = 0; c < ncorpus; c++)
		free(corpus[c].data);
	return (0);
}
