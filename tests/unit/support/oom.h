/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out on purpose. Unit tests are linked with --wrap for the
 * allocation functions, so calls from our code (not from foreign shared
 * libraries) come here. EACH_OOM runs its body again and again: in round n
 * the n-th allocation fails, until a round in which none did. After each
 * round everything that was allocated in it must have been freed.
 *
 *	EACH_OOM {
 *		int rc = thing_new(&t, &e);
 *
 *		if (oom_hit())
 *			ck_assert_int_eq(rc, ERR_NOMEM);
 *		else
 *			ck_assert_int_eq(rc, 0);
 *		thing_free(t);
 *	}
 *
 * oom_hit() also stops failing: the checks themselves allocate, so call it
 * before the first of them, and compare counts before checking them.
 * Do not leave the body by break or goto. One thread at a time.
 */
#ifndef TESTS_UNIT_SUPPORT_OOM_H
#define TESTS_UNIT_SUPPORT_OOM_H

#include <stdbool.h>
#include <stddef.h>

#define EACH_OOM for (oom_begin(); oom_round();)

/* Start over with the first allocation. */
void oom_begin(void);
/* Check the round before (aborts on a leak), arm the next one; false when the
 * operation went through without a failure. */
bool oom_round(void);
/* Disarm; did an allocation fail in this round? */
bool oom_hit(void);
/* Rounds in which a failure was injected since oom_begin(). */
unsigned long oom_failures(void);
/* This thread's allocations neither fail nor count until oom_pause(false). */
void oom_pause(bool pause);
/* Without EACH_OOM: the n-th allocation from now fails, in a thread whose name
 * starts with prefix (NULL: any). Leaks are not looked for. oom_hit() ends it.
 * prefix must stay. */
void oom_arm(unsigned long n, const char *prefix);
/* Blocks allocated through the wrappers and not freed, of this round. */
size_t oom_live(void);
/* Since the start of the program: allocations that went through. To show
 * that something does not allocate. */
unsigned long oom_allocations(void);

#endif
