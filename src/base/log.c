/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages and trace points. The only file-scope state that changes in the
 * tree: there is one stderr in a process.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static _Atomic enum log_level log_max = LOG_WARN;
static atomic_bool log_raw;
uint64_t trace_enabled;

static const char *const trace_names[TRACE_NGROUPS] = {
#define TRACE_GROUP(name) [TRACE_##name] = #name,
#include "base/trace_groups.inc"
#undef TRACE_GROUP
};

void
log_set_level(enum log_level level)
{
	atomic_store(&log_max, level);
}

void
log_set_raw(bool raw)
{
	atomic_store(&log_raw, raw);
}

/* One write(2) a line, so that lines of threads do not mix. */
static void __attribute__((format(printf, 2, 0)))
log_line(const char *prefix, const char *fmt, va_list ap)
{
	char buf[1024];
	size_t len, max = sizeof(buf) - 2;
	const char *p = buf;
	int n;

	len = (size_t)snprintf(buf, max, "lhyve: %s", prefix);
	if (len >= max)
		len = max - 1;
	n = vsnprintf(buf + len, max - len, fmt, ap);
	if (n > 0)
		len += (size_t)n < max - len ? (size_t)n : max - len - 1;
	if (atomic_load(&log_raw))
		buf[len++] = '\r';
	buf[len++] = '\n';
	while (len > 0) {
		ssize_t done = write(STDERR_FILENO, p, len);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		p += done;
		len -= (size_t)done;
	}
}

void
log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	if (level > atomic_load(&log_max))
		return;
	va_start(ap, fmt);
	log_line(level == LOG_WARN ? "warning: " : "", fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_guest(struct log_rate *rate, const char *fmt, ...)
{
	uint32_t n;
	va_list ap;
	int saved = errno;

	if (atomic_load(&log_max) < LOG_WARN)
		return;
	/* Saturates, so that the guest cannot wrap the count around. */
	n = __atomic_load_n(&rate->count, __ATOMIC_RELAXED);
	if (n > LOG_RATE_BURST)
		return;
	n = __atomic_fetch_add(&rate->count, 1, __ATOMIC_RELAXED);
	if (n > LOG_RATE_BURST)
		return;
	va_start(ap, fmt);
	if (n < LOG_RATE_BURST)
		log_line("guest: ", fmt, ap);
	else
		log_msg(LOG_WARN, "guest: more of the same is left out");
	va_end(ap);
	errno = saved;
}

void
trace_msg(enum trace_group group, const char *fmt, ...)
{
	char prefix[32];
	va_list ap;
	int saved = errno;

	snprintf(prefix, sizeof(prefix), "%s: ", trace_names[group]);
	va_start(ap, fmt);
	log_line(prefix, fmt, ap);
	va_end(ap);
	errno = saved;
}

int
trace_enable(const char *list)
{
	uint64_t mask = 0;

	while (*list != '\0') {
		size_t len = strcspn(list, ",");
		unsigned i;

		for (i = 0; i < TRACE_NGROUPS; i++)
			if (strlen(trace_names[i]) == len &&
			    memcmp(trace_names[i], list, len) == 0)
				break;
		if (i < TRACE_NGROUPS)
			mask |= 1ull << i;
		else if (len == 3 && memcmp(list, "all", 3) == 0)
			mask |= (1ull << TRACE_NGROUPS) - 1;
		else
			return (-EINVAL);
		list += len;
		if (*list == ',' && *++list == '\0')
			return (-EINVAL);
	}
	trace_enabled |= mask;
	return (0);
}
