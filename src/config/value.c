/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

int
config_parse_bool(const char *s, bool *val)
{
	static const struct {
		const char *word;
		bool val;
	} words[] = {
	    {"true", true},
	    {"on", true},
	    {"yes", true},
	    {"1", true},
	    {"false", false},
	    {"off", false},
	    {"no", false},
	    {"0", false},
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(s, words[i].word) == 0) {
			*val = words[i].val;
			return (0);
		}
	}
	return (-EINVAL);
}

/*
 * strtoull(3) takes signs and blanks and cannot tell overflow from its
 * largest value without errno; numbers here have neither.
 */
static int
parse_number(const char *s, const char **end, uint64_t *val)
{
	unsigned base = 10, digit;
	uint64_t v = 0;
	const char *start;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	} else if (s[0] == '0') {
		base = 8;
	}
	for (start = s;; s++) {
		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (base == 16 && isxdigit((unsigned char)*s))
			digit =
			    (unsigned)(tolower((unsigned char)*s) - 'a') + 10;
		else
			break;
		if (digit >= base)
			return (-EINVAL);
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit, &v))
			return (-ERANGE);
	}
	if (s == start)
		return (-EINVAL);
	*end = s;
	*val = v;
	return (0);
}

int
config_parse_uint(const char *s, uint64_t *val)
{
	const char *end;
	int error;

	error = parse_number(s, &end, val);
	if (error != 0)
		return (error);
	return (*end == '\0' ? 0 : -EINVAL);
}

int
config_parse_size(const char *s, uint64_t *val)
{
	static const char units[] = "kmgtpe";
	const char *end, *unit;
	uint64_t v;
	int error;

	error = parse_number(s, &end, &v);
	if (error != 0)
		return (error);
	if (*end == '\0') {
		*val = v < 1048576 ? v * 1048576 : v;
		return (0);
	}
	unit = strchr(units, tolower((unsigned char)*end));
	if (unit == NULL || end[1] != '\0')
		return (-EINVAL);
	if (__builtin_mul_overflow(
		v, UINT64_C(1) << (10 * (unit - units + 1)), &v))
		return (-ERANGE);
	*val = v;
	return (0);
}
