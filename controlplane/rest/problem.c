/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as application/problem+json (RFC 9457). What went wrong inside us is
 * for the log only; the caller gets the general text of the code.
 */
#include "common/log.h"
#include "controlplane/rest/call.h"

static bool
problem_is_internal(int code)
{
	return err_http_status(code) == 500 || code == ERR_UNAVAILABLE ||
	       code == ERR_AGAIN || code == ERR_TIMEOUT || code == ERR_NOMEM ||
	       code == ERR_NOT_READY;
}

static void
problem_member(struct buf *b, const char *name, const char *value)
{
	(void)buf_addf(b, ",\"%s\":", name);
	(void)buf_add_json(b, str_of(value));
}

static void
problem_errors(struct buf *b, const struct problems *p)
{
	size_t i;

	(void)buf_addz(b, ",\"errors\":[");
	for (i = 0; i < p->n; i++) {
		(void)buf_addz(b, i ? ",{\"field\":" : "{\"field\":");
		(void)buf_add_json(b, str_of(p->v[i].field));
		problem_member(b, "detail", p->v[i].detail);
		(void)buf_addc(b, '}');
	}
	(void)buf_addc(b, ']');
	if (p->total > p->n)
		(void)buf_addf(b, ",\"errors_omitted\":%zu", p->total - p->n);
}

void
problem_write(struct http_response *res, const struct error *e,
    const struct problems *p, const char *request_id)
{
	int code = e->code ? e->code : ERR_INTERNAL;
	int status = err_http_status(code);
	struct buf *b = &res->body;
	char type[80];

	if (code == ERR_UNSUPPORTED && res->status == 415)
		status = 415;
	if (status >= 500 || status < 400)
		status = status == 503 || status == 504 ? 503 : 500;
	http_response_reset(res);
	buf_release(b);
	res->status = status;
	res->content_type = "application/problem+json";
	(void)snprintf(
	    type, sizeof(type), "urn:headgate:problem:%s", err_name(code));
	(void)buf_addz(b, "{\"type\":");
	(void)buf_add_json(b, str_of(type));
	problem_member(b, "title", err_text(code));
	(void)buf_addf(b, ",\"status\":%d", status);
	problem_member(
	    b, "detail", problem_is_internal(code) ? err_text(code) : e->text);
	problem_member(b, "code", err_name(code));
	if (e->field[0] != '\0' && !problem_is_internal(code))
		problem_member(b, "field", e->field);
	if (request_id != NULL)
		problem_member(b, "request_id", request_id);
	if (p != NULL && p->n > 0)
		problem_errors(b, p);
	(void)buf_addz(b, "}\n");
	if (status == 401)
		http_set_header(
		    res, "WWW-Authenticate", "Bearer realm=\"headgate\"");
	if (status == 503)
		http_set_header(res, "Retry-After", "1");
}

void
rest_problem(struct rest_call *c, int code)
{
	if (c->e.code == 0)
		(void)err_set(&c->e, code, "%s", err_text(code));
	if (problem_is_internal(code))
		log_event(err_http_status(code) == 500 ? LOG_ERROR : LOG_WARN,
		    "request failed", LF("request_id", c->request_id),
		    LF("operation", c->route ? c->route->id : ""),
		    LF("code", err_name(code)), LF("error", c->e.text));
	problem_write(c->res, &c->e, &c->problems, c->request_id);
}
