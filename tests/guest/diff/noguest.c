/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for guest.c where no engine is built. */
#include <errno.h>

#include "diff.h"

int
guest_create(struct guest **out, const struct diff_layout *lay,
    unsigned options)
{
	(void)out;
	(void)lay;
	(void)options;
	return (-ENOSYS);
}

void
guest_destroy(struct guest *n)
{
	(void)n;
}

int
guest_run(struct guest *n, const struct diff_test *t, struct diff_result *res)
{
	(void)n;
	(void)t;
	(void)res;
	return (-ENOSYS);
}
