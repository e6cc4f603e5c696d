/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with an input, all of it at once: a list of JSON pointers
 * with one line of text each. Kept short by a limit; the rest is counted.
 */
#ifndef CONTROLPLANE_CONFIG_PROBLEMS_H
#define CONTROLPLANE_CONFIG_PROBLEMS_H

#include <stddef.h>

#include "common/err.h"

#define PROBLEMS_MAX 50

struct problem {
	int code;	 /* ERR_* */
	char field[256]; /* JSON pointer into the request body; "" = all */
	char detail[384];
};

struct problems {
	struct problem *v; /* malloc'ed, n entries */
	size_t n;	   /* at most PROBLEMS_MAX */
	size_t total;	   /* found, n of them kept */
	int code;	   /* of the first, 0 = none */
};

void problems_init(struct problems *p);
void problems_release(struct problems *p);
/* Add one; field and text are cleaned of control characters. Returns code. */
int problems_add(struct problems *p, int code, const char *field,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* 0 when there is none; else the first one's code, with e set from it. */
int problems_error(const struct problems *p, struct error *e) MUST_CHECK;

#endif
