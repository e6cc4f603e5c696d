/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions: list, read, compare, roll back, and how far the agents are.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/items.h"
#include "controlplane/rest/versions.h"
#include "controlplane/store/store_fleet.h"

static json_t *
version_json(const struct store_version *v)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:I}", "version",
	    (json_int_t)v->version, "author", json_strn(v->author), "message",
	    json_strn(v->message), "at", json_instant(v->at), "rollback_of",
	    v->rollback_of ? json_integer((json_int_t)v->rollback_of)
			   : json_null(),
	    "n_changes", (json_int_t)v->n_changes);
}

struct versions_page {
	json_t *list;
	size_t n, limit;
	uint64_t last;
	bool more;
};

static int
versions_on_row(void *ctx, const struct store_version *v)
{
	struct versions_page *p = ctx;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	p->last = v->version;
	return json_array_append_new(p->list, version_json(v)) ? ERR_NOMEM : 0;
}

int
versions_list(struct rest_call *c)
{
	struct versions_page p = {.list = json_array()};
	char cursor[24], next[24] = "";
	uint64_t before = 0;
	int limit, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'v', cursor, sizeof(cursor));
	if (rc == 0 && cursor[0] != '\0')
		rc = parse_u64(c, str_of(cursor), "cursor", &before);
	if (rc == 0) {
		p.limit = (size_t)limit;
		rc = store_version_list(
		    c->db, before, limit + 1, versions_on_row, &p, &c->e);
	}
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	if (p.more)
		(void)snprintf(
		    next, sizeof(next), "%llu", (unsigned long long)p.last);
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('v', str_of(next))));
}

static int
versions_on_one(void *ctx, const struct store_version *v)
{
	json_t **out = ctx;

	*out = version_json(v);
	return *out ? 0 : ERR_NOMEM;
}

int
versions_get(struct rest_call *c)
{
	struct config_result r;
	json_t *out = NULL;
	uint64_t version;
	int rc;

	rc = parse_u64(c, c->params[0], "version", &version);
	if (rc == 0)
		rc = store_version_get(
		    c->db, version, versions_on_one, &out, &c->e);
	if (rc == 0) {
		rc =
		    config_version_diff(c->db, version - 1, version, &r, &c->e);
		if (rc == 0)
			(void)json_object_set_new(
			    out, "changes", config_changes_json(&r));
		config_result_release(&r);
	}
	if (rc != 0) {
		json_decref(out);
		return rc;
	}
	return rest_json(c, 200, out);
}

int
versions_diff(struct rest_call *c)
{
	struct str from_text = http_param(c->req, "from");
	struct config_result r;
	uint64_t to, from;
	json_t *changes;
	int rc;

	rc = parse_u64(c, c->params[0], "version", &to);
	from = rc == 0 && to > 0 ? to - 1 : 0;
	if (rc == 0 && from_text.p != NULL)
		rc = parse_u64(c, from_text, "from", &from);
	if (rc != 0)
		return rc;
	rc = config_version_diff(c->db, from, to, &r, &c->e);
	changes = rc == 0 ? config_changes_json(&r) : NULL;
	config_result_release(&r);
	if (rc != 0)
		return rc;
	return rest_json(c, 200,
	    json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from, "to",
		(json_int_t)to, "changes", changes));
}

int
versions_rollback(struct rest_call *c)
{
	char text[CONFIG_MESSAGE_MAX], what[64];
	struct config_result r;
	struct str message;
	uint64_t to;
	int rc;

	rc = parse_u64(c, c->params[0], "version", &to);
	if (rc == 0 && to == 0)
		rc = err_set(&c->e, ERR_NOT_FOUND, "version 0 does not exist");
	if (rc == 0)
		rc = body_only(c, "message");
	if (rc == 0)
		rc = body_string(
		    c, "message", CONFIG_MESSAGE_MAX - 1, false, &message);
	if (rc != 0)
		return rc;
	(void)snprintf(what, sizeof(what), "rollback to version %llu",
	    (unsigned long long)to);
	rc = config_message(c, message, what, STR_NULL, text);
	if (rc != 0)
		return rc;
	rc = config_rollback(
	    c->db, to, str_of(c->who.name), str_trim(str_of(text)), &r, &c->e);
	if (rc == 0)
		rc = apply_answer(c, &r, false, "rollback");
	config_result_release(&r);
	return rc;
}

/* ---- rollout
 * ---------------------------------------------------------------------- */

static const char *
rollout_level(const struct ack_row *a)
{
	if (a->active_at != 0)
		return "active";
	if (a->rejected_at != 0)
		return "rejected";
	if (a->active_version > a->version)
		return "superseded";
	if (a->validated_at != 0)
		return "validated";
	return a->received_at != 0 ? "received" : "none";
}

static int
rollout_on_row(void *ctx, const struct ack_row *a)
{
	json_t *list = ctx;
	const struct kind_def *k = kind_get((enum kind)a->item_kind);
	json_t *row = json_pack(
	    "{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "agent",
	    json_strn(a->agent_id), "hostname", json_strn(a->hostname), "group",
	    json_strn(a->group), "region", json_strn(a->region), "level",
	    rollout_level(a), "received_at", json_instant(a->received_at),
	    "validated_at", json_instant(a->validated_at), "rejected_at",
	    json_instant(a->rejected_at), "active_at",
	    json_instant(a->active_at), "active_version",
	    (json_int_t)a->active_version, "last_seen",
	    json_instant(a->last_seen));

	if (row != NULL && a->rejected_at != 0) {
		(void)json_object_set_new(row, "rejected_item",
		    json_pack("{s:s, s:o}", "kind", k ? k->name : "", "name",
			json_strn(a->item)));
		(void)json_object_set_new(row, "reason", json_strn(a->reason));
	}
	return json_array_append_new(list, row) ? ERR_NOMEM : 0;
}

int
versions_rollout(struct rest_call *c)
{
	json_t *out = NULL, *list;
	uint64_t version;
	int rc;

	rc = parse_u64(c, c->params[0], "version", &version);
	if (rc == 0)
		rc = store_version_get(
		    c->db, version, versions_on_one, &out, &c->e);
	json_decref(out);
	if (rc != 0)
		return rc;
	list = json_array();
	rc = store_ack_rollout(c->db, version, rollout_on_row, list, &c->e);
	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(c, 200,
	    json_pack(
		"{s:I, s:o}", "version", (json_int_t)version, "agents", list));
}
