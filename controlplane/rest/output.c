/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON pieces that the handlers share, and answers.
 */
#include <stdio.h>

#include "common/money.h"
#include "controlplane/rest/call.h"

json_t *
json_strn(struct str s)
{
	json_t *v = json_stringn(s.p ? s.p : "", s.len);

	return v ? v : json_string("");
}

json_t *
json_instant(int64_t ns)
{
	char z[32];

	if (ns == 0)
		return json_null();
	time_format(ns, 1, z);
	return json_string(z);
}

json_t *
json_u64(uint64_t v)
{
	char z[24];

	(void)snprintf(z, sizeof(z), "%llu", (unsigned long long)v);
	return json_string(z);
}

json_t *
json_text(struct str s)
{
	json_t *v =
	    s.len ? json_loadb(s.p, s.len, JSON_DECODE_ANY, NULL) : NULL;

	return v ? v : json_object();
}

json_t *
json_usd(int64_t nano)
{
	char z[32];

	money_format(nano, z);
	return json_string(z);
}

static int
output_write(const char *p, size_t n, void *ctx)
{
	return buf_add(ctx, p, n) == 0 ? 0 : -1;
}

int
rest_json(struct rest_call *c, int status, json_t *v)
{
	struct buf *b = &c->res->body;
	int rc = 0;

	if (v == NULL)
		return err_set(&c->e, ERR_NOMEM, "out of memory");
	buf_clear(b);
	if (json_dump_callback(v, output_write, b, JSON_COMPACT) != 0 ||
	    buf_addc(b, '\n') != 0)
		rc = err_set(&c->e, buf_error(b) ? buf_error(b) : ERR_NOMEM,
		    "the answer is too large; ask for less");
	json_decref(v);
	c->res->status = status;
	c->res->content_type = "application/json";
	return rc;
}

int
rest_empty(struct rest_call *c, int status)
{
	buf_clear(&c->res->body);
	c->res->status = status;
	c->res->content_type = NULL;
	return 0;
}

void
rest_audit(struct rest_call *c, const char *action, json_t *detail,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->target, sizeof(c->target), fmt, ap);
	va_end(ap);
	c->action = action;
	json_decref(c->audit);
	c->audit = detail;
}
