/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that providers answer with, and what the client gets of them: the
 * same bytes where both speak one dialect and nothing of ours is in them, else
 * the same meaning in the client's words. What is wrong with the gateway's own
 * access is never the client's business.
 */
#include <stdio.h>

#include "agent/front/call.h"

/* When to try again, where a provider that is busy does not say. */
#define CALL_RETRY_MS 1000

void
call_error_read(struct request *r, struct dialect_error *ret)
{
	(void)errors_parse(r->att.dep->provider->dialect, r->att.head.status,
	    str_of(r->att.head.amzn_errortype), buf_str(&r->out), &r->f->json,
	    ret);
}

/* Is it about our access to the provider? */
static bool
call_error_is_ours(const struct request *r, const struct dialect_error *de)
{
	if (de->kind == ERROR_NOT_FOUND && r->scan.op >= OP_RESPONSE_GET)
		return false;
	return de->kind == ERROR_AUTH || de->kind == ERROR_PERMISSION ||
	       de->kind == ERROR_NOT_FOUND || r->att.head.status < 200 ||
	       (r->att.head.status >= 300 && r->att.head.status < 400);
}

bool
call_error_may_repeat(const struct dialect_error *de)
{
	switch (de->kind) {
	case ERROR_INVALID:
	case ERROR_FILTERED:
	case ERROR_TOO_LARGE:
		return false;
	case ERROR_AUTH:
	case ERROR_PERMISSION:
	case ERROR_NOT_FOUND:
	case ERROR_RATE:
	case ERROR_QUOTA:
	case ERROR_OVERLOADED:
	case ERROR_TIMEOUT:
	case ERROR_SERVER:
	case ERROR_N_KINDS:
		break;
	}
	return true;
}

/* What the provider says about repeating, passed on. */
static void
call_pass_advice(struct request *r, const struct dialect_error *de)
{
	const struct up_head *h = &r->att.head;
	struct answer *a = &r->answer;
	uint64_t ms;

	memcpy(a->retry_after, h->retry_after, sizeof(a->retry_after));
	if (str_to_u64(str_of(h->retry_after_ms), &ms) == 0 && ms < 86400000)
		a->retry_ms = (int64_t)ms;
	else if (h->retry_after[0] == '\0' && de->retry_ms >= 0)
		a->retry_ms = de->retry_ms;
	if (strcmp(h->should_retry, "true") == 0)
		a->should_retry = 1;
	else if (strcmp(h->should_retry, "false") == 0 ||
		 de->kind == ERROR_QUOTA)
		a->should_retry = 0;
}

/* Is the secret in the text, or its end behind stars, as providers show
 * keys? */
static bool
call_holds(struct str text, struct str secret)
{
	char end[6] = "*";

	if (secret.len < 8 || text.len == 0)
		return false;
	memcpy(end + 1, secret.p + secret.len - 4, 4);
	return memmem(text.p, text.len, secret.p, secret.len) != NULL ||
	       memmem(text.p, text.len, end, 5) != NULL;
}

/* The value of a header line, without its scheme ("Bearer"). */
static struct str
call_secret_of(struct str line)
{
	struct str name, value, tail;

	if (!str_cut(line, ':', &name, &value))
		return STR_NULL;
	value = str_trim(value);
	return str_cut(value, ' ', &name, &tail) ? str_trim(tail) : value;
}

static bool
call_echoes_secret(const struct request *r, struct str text)
{
	const struct b_provider *p = r->att.dep->provider;
	unsigned i;

	if (call_holds(text, call_secret_of(p->auth_header)) ||
	    call_holds(text, p->credential))
		return true;
	for (i = 0; i < p->n_headers; i++) {
		if (call_holds(text, call_secret_of(p->headers[i])))
			return true;
	}
	return false;
}

/* May the body go to the client as it is? */
static bool
call_error_passes(const struct request *r)
{
	struct str body = buf_str(&r->out);
	struct json root, v;

	if (r->plan.mode == RELAY_TRANSLATE || r->att.refused ||
	    json_validate(body, &r->f->json, NULL) != 0)
		return false;
	root = json_root(body);
	return root.type == JSON_OBJECT && json_getz(root, "error", &v) &&
	       v.type == JSON_OBJECT && !call_echoes_secret(r, body);
}

static void
call_error_note(struct request *r, const struct dialect_error *de)
{
	const char *code = de->code[0] != '\0' ? de->code : de->type;

	r->error = ERR_UPSTREAM;
	(void)snprintf(r->error_code, sizeof(r->error_code), "%.31s", code);
	if (r->att.head.status < 300)
		(void)snprintf(r->reason, sizeof(r->reason),
		    "the provider reported an error in its answer");
	else
		(void)snprintf(r->reason, sizeof(r->reason),
		    "the provider answered %d", r->att.head.status);
}

/* The provider's own access error, or one without a text: said by us. */
static void
call_error_say(struct request *r, const struct dialect_error *de)
{
	int status = r->att.head.status;
	char text[120];

	if (status < 300)
		(void)snprintf(text, sizeof(text),
		    "the provider reported an error in its answer");
	else
		(void)snprintf(text, sizeof(text),
		    "the provider answered with status %d", status);
	if (call_error_is_ours(r, de)) {
		refuse_prepare(r, ERR_UPSTREAM, NULL,
		    "the provider refused the gateway's request", NULL);
		return;
	}
	if (r->scan.op >= OP_RESPONSE_GET && de->kind == ERROR_NOT_FOUND) {
		refuse_prepare(r, ERR_NOT_FOUND, NULL,
		    "no response with this id was found", NULL);
		return;
	}
	refuse_prepare(r, ERR_UPSTREAM, NULL, text, NULL);
	r->answer.status = errors_status(r->target.s.client, de);
}

void
call_error_answer(struct request *r, struct dialect_error *de)
{
	enum client_dialect c = r->target.s.client;
	uint64_t ms;

	if (call_error_is_ours(r, de) || r->scan.op >= OP_RESPONSE_GET) {
		call_error_say(r, de);
	} else if (call_error_passes(r)) {
		r->answer.status = errors_status(c, de);
		r->answer.is_json = true;
		call_error_note(r, de);
	} else if (de->message[0] == '\0' ||
		   call_echoes_secret(r, str_of(de->message))) {
		call_error_say(r, de);
	} else {
		if (de->retry_ms < 0 &&
		    str_to_u64(str_of(r->att.head.retry_after), &ms) == 0 &&
		    ms < 86400)
			de->retry_ms = (int64_t)ms * 1000;
		/* SDKs try again soon where they are told when to. */
		if (de->retry_ms < 0 && r->att.head.retry_after[0] == '\0' &&
		    r->plan.mode == RELAY_TRANSLATE &&
		    (de->kind == ERROR_RATE || de->kind == ERROR_OVERLOADED))
			de->retry_ms = CALL_RETRY_MS;
		de->param[0] = '\0'; /* in the provider's words */
		if (r->plan.mode == RELAY_TRANSLATE)
			de->type[0] = '\0';
		buf_clear(&r->out);
		errors_write(&r->out, c, de, r->id_text, NULL);
		r->answer.status = errors_status(c, de);
		r->answer.is_json = true;
		call_error_note(r, de);
	}
	call_pass_advice(r, de);
}
