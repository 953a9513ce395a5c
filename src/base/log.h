/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_BASE_LOG_H
#define LHYVE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Messages to the user and to whoever looks for a fault. They go to stderr,
 * one line each, "lhyve: " in front. While the terminal is in raw mode the
 * line ends with CR LF.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the highest level that is printed; LOG_WARN to begin with. */
void log_set_level(enum log_level level);
/* Tells the log whether stderr is a terminal in raw mode. */
void log_set_raw(bool raw);
void log_msg(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * A rate limit for what a guest can cause: at most LOG_RATE_BURST lines for
 * each limit, then one line that says that more are left out. Thread-safe.
 */
#define LOG_RATE_BURST 10
struct log_rate {
	uint32_t count;
};
void log_guest(struct log_rate *rate, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/*
 * Trace points: `trace(TRACE_soft, "...")`. Groups are enabled by name at
 * run time (`-o trace=soft,pic`); a disabled one costs a load and a branch.
 * The list of groups is src/base/trace_groups.inc.
 */
enum trace_group {
#define TRACE_GROUP(name) TRACE_##name,
#include "base/trace_groups.inc"
#undef TRACE_GROUP
	TRACE_NGROUPS
};
extern uint64_t trace_enabled; /* bit n: group n; written at start-up only */
#define trace_on(group) ((trace_enabled >> (group)) & 1)
#define trace(group, ...)                                                      \
	do {                                                                   \
		if (__builtin_expect(trace_on(group), 0))                      \
			trace_msg((group), __VA_ARGS__);                       \
	} while (0)
void trace_msg(enum trace_group group, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Enables a comma-separated list of groups ("all" for every one).
 * 0, or -EINVAL if a name is unknown. */
int trace_enable(const char *list);

#endif
