/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage records, corrections by evidence, watermarks.
 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/money_json.h"
#include "controlplane/store/store_usage.h"

#define CORRECTIONS_MAX 10000

json_t *
tokens_json(const struct tokens *t)
{
	json_t *out = json_object();
	int i;

	for (i = 0; i < TC_COUNT; i++)
		if (t->n[i] != 0 && json_object_set_new(out,
					token_class_name((enum token_class)i),
					json_integer(t->n[i])) != 0) {
			json_decref(out);
			return NULL;
		}
	return out;
}

static const char *
usage_source_name(int source)
{
	static const char *const names[] = {"none", "provider_final",
	    "provider_partial", "estimated", "crash_estimated"};

	if (source < 0 || source >= (int)(sizeof(names) / sizeof(names[0])))
		return "unknown";
	return names[source];
}

static int
usage_set(json_t *o, const char *name, json_t *v)
{
	return json_object_set_new(o, name, v);
}

static json_t *
usage_json(const struct usage_row *u)
{
	json_t *o = json_object();
	int bad = o == NULL;

	bad |= usage_set(o, "id", json_u64((uint64_t)u->id));
	bad |= usage_set(o, "kind",
	    json_string(u->kind == USAGE_CORRECTION ? "correction" : "usage"));
	bad |= usage_set(o, "request_id", json_string(u->request_id));
	bad |= usage_set(o, "attempt", json_integer(u->attempt));
	bad |= usage_set(o, "started_at", json_instant(u->started_at));
	bad |= usage_set(o, "duration_us", json_integer(u->duration_us));
	bad |= usage_set(o, "first_byte_us", json_integer(u->first_byte_us));
	bad |= usage_set(o, "tenant", json_strn(u->tenant));
	bad |= usage_set(o, "team", json_strn(u->team));
	bad |= usage_set(o, "project", json_strn(u->project));
	bad |= usage_set(o, "key", json_strn(u->key));
	bad |= usage_set(o, "route", json_strn(u->route));
	bad |= usage_set(o, "deployment", json_strn(u->deployment));
	bad |= usage_set(o, "provider", json_strn(u->provider));
	bad |= usage_set(o, "model", json_strn(u->model));
	bad |= usage_set(o, "tokens", tokens_json(&u->tokens));
	bad |= usage_set(o, "tier", json_strn(u->tier));
	bad |= usage_set(o, "cost_nanousd", json_integer(u->cost));
	bad |=
	    usage_set(o, "source", json_string(usage_source_name(u->source)));
	bad |= usage_set(o, "http_status", json_integer(u->http_status));
	bad |= usage_set(o, "streamed", json_boolean(u->streamed));
	bad |= usage_set(o, "finish_reason", json_strn(u->finish_reason));
	bad |= usage_set(o, "error_code", json_strn(u->error_code));
	bad |= usage_set(
	    o, "upstream_request_id", json_strn(u->upstream_request_id));
	bad |= usage_set(
	    o, "config_version", json_integer((json_int_t)u->config_version));
	bad |= usage_set(
	    o, "price_version", json_integer((json_int_t)u->price_version));
	bad |= usage_set(o, "agent", json_strn(u->agent_id));
	bad |= usage_set(o, "boot_epoch", json_u64(u->boot_epoch));
	bad |= usage_set(o, "shard", json_integer(u->shard));
	bad |= usage_set(o, "seq", json_u64(u->seq));
	bad |= usage_set(o, "tags", json_text(u->tags));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

static int
usage_on_row(void *ctx, const struct usage_row *u)
{
	return json_array_append_new(ctx, usage_json(u)) ? ERR_NOMEM : 0;
}

int
usage_list(struct rest_call *c)
{
	struct usage_filter f = {.tenant = http_param(c->req, "tenant"),
	    .project = http_param(c->req, "project"),
	    .key = http_param(c->req, "key"),
	    .user = http_param(c->req, "user"),
	    .request_id = http_param(c->req, "request_id")};
	struct str tag = http_param(c->req, "tag");
	char cursor[64], next[64] = "";
	json_t *list = json_array();
	struct uuid id;
	int rc;

	rc = query_time(c, "from", &f.from);
	if (rc == 0)
		rc = query_time(c, "to", &f.to);
	if (rc == 0)
		rc = query_limit(c, &f.limit);
	if (rc == 0)
		rc = cursor_read(c, 'u', cursor, sizeof(cursor));
	f.cursor = str_of(cursor);
	if (rc == 0 && tag.len > 0 &&
	    (!str_cut(tag, '=', &f.tag, &f.tag_value) || f.tag.len == 0))
		rc = err_set_field(&c->e, ERR_INVALID, "tag",
		    "query parameter tag must be name=value");
	if (rc == 0 && f.request_id.p != NULL &&
	    uuid_parse(f.request_id.p, f.request_id.len, &id) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "request_id",
		    "query parameter request_id must be a UUID");
	if (rc == 0)
		rc = store_usage_list(
		    c->db, &f, usage_on_row, list, next, &c->e);
	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", list, "next_cursor",
		cursor_json('u', str_of(next))));
}

/* ---- corrections
 * --------------------------------------------------------------- */

static int
evidence_bad(struct rest_call *c, size_t i, const char *field, const char *text)
{
	char at[64];

	(void)snprintf(
	    at, sizeof(at), "/items/%zu%s%s", i, field[0] ? "/" : "", field);
	return err_set_field(&c->e, ERR_INVALID, at, "%s", text);
}

static int
evidence_tokens(struct rest_call *c, size_t i, json_t *in, struct tokens *out)
{
	enum token_class cls;
	const char *name;
	json_t *v;

	if (!json_is_object(in))
		return evidence_bad(c, i, "tokens", "must be an object");
	json_object_foreach (in, name, v) {
		if (token_class_parse(str_of(name), &cls) != 0)
			return evidence_bad(
			    c, i, "tokens", "names an unknown token class");
		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		    json_integer_value(v) > INT64_C(1000000000000))
			return evidence_bad(
			    c, i, "tokens", "must hold counts from 0");
		out->n[cls] = json_integer_value(v);
	}
	return 0;
}

/* The tier that was billed; absent: the record's. */
static int
evidence_tier(
    struct rest_call *c, size_t i, json_t *in, struct usage_evidence *ev)
{
	json_t *v = json_object_get(in, "tier");

	ev->has_tier = v != NULL;
	if (v == NULL)
		return 0;
	if (!json_is_string(v) || str_copy(str_of(json_string_value(v)),
				      ev->tier, sizeof(ev->tier)) != 0)
		return evidence_bad(
		    c, i, "tier", "must be a text of at most 23 characters");
	return 0;
}

static int
evidence_read(
    struct rest_call *c, size_t i, json_t *in, struct usage_evidence *ev)
{
	json_t *id = json_object_get(in, "request_id");
	json_t *attempt = json_object_get(in, "attempt");
	json_t *absent = json_object_get(in, "absent");
	json_t *tokens = json_object_get(in, "tokens");
	struct uuid u;

	if (!json_is_string(id) ||
	    uuid_parse(json_string_value(id), json_string_length(id), &u) != 0)
		return evidence_bad(c, i, "request_id", "must be a UUID");
	uuid_format(&u, ev->request_id);
	if (attempt != NULL &&
	    (!json_is_integer(attempt) || json_integer_value(attempt) < 0 ||
		json_integer_value(attempt) > 1000))
		return evidence_bad(
		    c, i, "attempt", "must be between 0 and 1000");
	ev->attempt = attempt ? (uint32_t)json_integer_value(attempt) : 1;
	if (absent != NULL && !json_is_boolean(absent))
		return evidence_bad(c, i, "absent", "must be true or false");
	ev->absent = json_is_true(absent);
	if (ev->absent == (tokens != NULL))
		return evidence_bad(
		    c, i, "", "needs either tokens or absent: true");
	if (evidence_tier(c, i, in, ev) != 0)
		return ERR_INVALID;
	return ev->absent ? 0 : evidence_tokens(c, i, tokens, &ev->tokens);
}

int
usage_correct(struct rest_call *c)
{
	json_t *items = json_object_get(c->body, "items");
	struct correction_result r = {.corrected = 0};
	struct usage_evidence *ev = NULL;
	size_t n = json_array_size(items), i;
	struct str reason;
	int rc;

	rc = body_only(c, "items reason");
	if (rc == 0)
		rc = body_string(c, "reason", 400, false, &reason);
	if (rc == 0 && (!json_is_array(items) || n > CORRECTIONS_MAX))
		rc = err_set_field(&c->e, ERR_INVALID, "/items",
		    "items must be a list of at most %d", CORRECTIONS_MAX);
	if (rc == 0) {
		ev = calloc(n + 1, sizeof(*ev));
		rc = ev ? 0 : err_set(&c->e, ERR_NOMEM, "out of memory");
	}
	for (i = 0; rc == 0 && i < n; i++)
		rc = evidence_read(c, i, json_array_get(items, i), &ev[i]);
	if (rc == 0)
		rc = store_usage_correct(
		    c->db, ev, n, str_of(c->who.name), &r, &c->e);
	free(ev);
	if (rc != 0)
		return rc;
	rest_audit(c, "correct",
	    json_pack("{s:o, s:I, s:I}", "reason", json_strn(reason),
		"corrected", (json_int_t)r.corrected, "difference_nanousd",
		(json_int_t)r.delta_cost),
	    "usage");
	return rest_json(c, 200,
	    json_pack("{s:I, s:I, s:I, s:I, s:I}", "corrected",
		(json_int_t)r.corrected, "unchanged", (json_int_t)r.unchanged,
		"not_found", (json_int_t)r.not_found, "refused",
		(json_int_t)r.refused, "difference_nanousd",
		(json_int_t)r.delta_cost));
}

/* ---- quarantine, watermarks ---- */

static int
rejected_on_row(void *ctx, const struct usage_rejected *q)
{
	json_t *row = json_pack(
	    "{s:o, s:o, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:I, s:o, s:I}",
	    "agent", json_strn(q->agent_id), "boot_epoch",
	    json_u64(q->boot_epoch), "shard", (json_int_t)q->shard, "seq",
	    json_u64(q->seq), "at", json_instant(q->at), "reason",
	    json_strn(q->reason), "charged_nanousd", (json_int_t)q->charged,
	    "held_nanousd", (json_int_t)q->held, "request_id",
	    q->request_id[0] != '\0' ? json_string(q->request_id) : json_null(),
	    "attempt", (json_int_t)q->attempt, "started_at",
	    json_instant(q->started_at), "claimed_nanousd",
	    (json_int_t)q->claimed);

	return json_array_append_new(ctx, row) ? ERR_NOMEM : 0;
}

int
usage_quarantine(struct rest_call *c)
{
	char cursor[96], next[96] = "";
	json_t *list = json_array();
	int limit = 0, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'q', cursor, sizeof(cursor));
	if (rc == 0)
		rc = store_usage_quarantine(c->db, http_param(c->req, "agent"),
		    str_of(cursor), limit, rejected_on_row, list, next, &c->e);
	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", list, "next_cursor",
		cursor_json('q', str_of(next))));
}

static int
watermark_on_row(void *ctx, const struct usage_watermark *w)
{
	json_t *row = json_pack("{s:o, s:o, s:I, s:o, s:b, s:o}", "agent",
	    json_strn(w->agent_id), "boot_epoch", json_u64(w->boot_epoch),
	    "shard", (json_int_t)w->shard, "seq", json_u64(w->seq), "closed",
	    w->closed, "updated_at", json_instant(w->updated_at));

	return json_array_append_new(ctx, row) ? ERR_NOMEM : 0;
}

int
usage_watermarks(struct rest_call *c)
{
	json_t *list = json_array();
	int rc = store_usage_watermarks(
	    c->db, http_param(c->req, "agent"), watermark_on_row, list, &c->e);

	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(
	    c, 200, json_pack("{s:o, s:n}", "items", list, "next_cursor"));
}
