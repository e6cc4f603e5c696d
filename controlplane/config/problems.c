/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of problems. Without memory the count and the first code stay
 * right, only the texts are missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/problems.h"

void
problems_init(struct problems *p)
{
	memset(p, 0, sizeof(*p));
}

void
problems_release(struct problems *p)
{
	free(p->v);
	problems_init(p);
}

int
problems_add(
    struct problems *p, int code, const char *field, const char *fmt, ...)
{
	char text[sizeof(p->v->detail)];
	struct error e;
	struct problem *q;
	va_list ap;

	if (p->code == 0)
		p->code = code;
	p->total++;
	if (p->n == PROBLEMS_MAX)
		return code;
	q = realloc(p->v, (p->n + 1) * sizeof(*q));
	if (q == NULL)
		return code;
	p->v = q;
	q = &p->v[p->n++];
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(&e, code, "%s", text);
	q->code = code;
	(void)snprintf(q->detail, sizeof(q->detail), "%.383s", e.text);
	(void)err_set(&e, code, "%s", field);
	(void)snprintf(q->field, sizeof(q->field), "%.255s", e.text);
	return code;
}

int
problems_error(const struct problems *p, struct error *e)
{
	if (p->code == 0)
		return 0;
	if (p->n == 0)
		return err_set(e, p->code, "%s", err_text(p->code));
	return err_set_field(e, p->code, p->v[0].field, "%s%s%s",
	    p->code == ERR_INVALID ? p->v[0].field : "",
	    p->code == ERR_INVALID && p->v[0].field[0] ? ": " : "",
	    p->v[0].detail);
}
