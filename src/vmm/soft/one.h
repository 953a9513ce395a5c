/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_SOFT_ONE_H
#define LHYVE_SOFT_ONE_H

/*
 * For another engine, which hands an instruction over: executes the one at
 * RIP of a vcpu whose registers were set, interrupts and exits aside, with
 * the exception that it may raise, which is delivered as well. Of a repeated
 * string instruction it may be one iteration. 0, or -errno if it was not
 * executed.
 */
int soft_one(void *priv, unsigned id);

#endif
