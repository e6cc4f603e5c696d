/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents and the tokens with which they join.
 */
#include <sodium.h>
#include <string.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/store_config.h"
#include "controlplane/store/store_fleet.h"

struct agents_page {
	json_t *list;
	size_t n, limit;
	uint64_t latest;
	char last[AGENT_ID_CAP];
	bool more;
};

static json_t *
agent_json(const struct agent_row *a, uint64_t latest)
{
	uint64_t lag =
	    latest > a->active_version ? latest - a->active_version : 0;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:I, "
			 "s:I, s:o, s:o, s:I, s:o, s:I, s:o, s:o}",
	    "id", a->id, "hostname", json_strn(a->hostname), "group",
	    json_strn(a->group), "region", json_strn(a->region), "labels",
	    json_text(a->labels), "software_version",
	    json_strn(a->software_version), "state", a->state, "agent_state",
	    json_strn(a->agent_state), "boot_epoch", json_u64(a->boot_epoch),
	    "active_version", (json_int_t)a->active_version, "lag_versions",
	    (json_int_t)lag, "enrolled_at", json_instant(a->enrolled_at),
	    "last_seen", json_instant(a->last_seen), "unshipped",
	    (json_int_t)a->unshipped, "oldest_unshipped",
	    json_instant(a->oldest_unshipped), "requests_total",
	    (json_int_t)a->requests_total, "revoked_at",
	    json_instant(a->revoked_at), "refused_reason",
	    json_strn(a->refused_reason));
}

static int
agents_on_row(void *ctx, const struct agent_row *a)
{
	struct agents_page *p = ctx;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	memcpy(p->last, a->id, sizeof(p->last));
	return json_array_append_new(p->list, agent_json(a, p->latest))
		   ? ERR_NOMEM
		   : 0;
}

static int
agent_id(struct rest_call *c, struct str s, char id[AGENT_ID_CAP])
{
	struct uuid u;

	if (uuid_parse(s.p, s.len, &u) != 0)
		return err_set(&c->e, ERR_NOT_FOUND, "no such agent");
	uuid_format(&u, id);
	return 0;
}

int
agents_list(struct rest_call *c)
{
	struct agents_page p = {.list = json_array()};
	char after[64];
	int limit, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'g', after, sizeof(after));
	if (rc == 0)
		rc = store_config_version(c->db, &p.latest, &c->e);
	if (rc == 0) {
		p.limit = (size_t)limit;
		rc = store_agent_list(c->db, str_of(after), limit + 1, false,
		    clock_wall(c->o->clock), agents_on_row, &p, &c->e);
	}
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('g', p.more ? str_of(p.last) : STR_NULL)));
}

int
agents_get(struct rest_call *c)
{
	struct agents_page p = {.list = json_array(), .limit = 1};
	char id[AGENT_ID_CAP];
	json_t *one = NULL;
	int rc = agent_id(c, c->params[0], id);

	if (rc == 0)
		rc = store_config_version(c->db, &p.latest, &c->e);
	if (rc == 0)
		rc = store_agent_get(c->db, str_of(id), clock_wall(c->o->clock),
		    agents_on_row, &p, &c->e);
	if (rc == 0)
		one = json_incref(json_array_get(p.list, 0));
	json_decref(p.list);
	return rc != 0 ? rc : rest_json(c, 200, one);
}

int
agents_revoke(struct rest_call *c)
{
	char id[AGENT_ID_CAP];
	int rc = agent_id(c, c->params[0], id);

	if (rc == 0)
		rc = store_agent_revoke(c->db, str_of(id), &c->e);
	if (rc != 0)
		return rc;
	rest_audit(c, "revoke", NULL, "agents/%s", id);
	return rest_empty(c, 204);
}

/* ---- join tokens
 * ------------------------------------------------------------- */

static json_t *
join_json(const struct join_row *j)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}",
	    "id", j->id, "group", json_strn(j->group), "region",
	    json_strn(j->region), "labels", json_text(j->labels), "created_by",
	    json_strn(j->created_by), "created_at", json_instant(j->created_at),
	    "expires_at", json_instant(j->expires_at), "revoked_at",
	    json_instant(j->revoked_at), "max_uses", (json_int_t)j->max_uses,
	    "uses", (json_int_t)j->uses);
}

static int
join_on_row(void *ctx, const struct join_row *j)
{
	return json_array_append_new(ctx, join_json(j)) ? ERR_NOMEM : 0;
}

int
join_list(struct rest_call *c)
{
	json_t *list = json_array();
	int rc = store_join_list(c->db, join_on_row, list, &c->e);

	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(
	    c, 200, json_pack("{s:o, s:n}", "items", list, "next_cursor"));
}

static bool
join_word_ok(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!(((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') ||
			(s.p[i] >= '0' && s.p[i] <= '9') ||
			strchr("._-", s.p[i])))
			return false;
	return true;
}

/* Fill j from the body. */
static int
join_read(struct rest_call *c, struct join_row *j, char *labels, size_t cap)
{
	struct str expires;
	int64_t ms = 3600000;
	int rc;

	rc = body_only(c, "group region labels expires_in max_uses");
	if (rc == 0)
		rc = body_string(c, "group", 63, false, &j->group);
	if (rc == 0)
		rc = body_string(c, "region", 63, false, &j->region);
	if (rc == 0 && (!join_word_ok(j->group) || !join_word_ok(j->region)))
		rc = err_set_field(&c->e, ERR_INVALID, "/group",
		    "group and region have letters, digits and . _ -");
	if (rc == 0)
		rc = body_labels(c, "labels", labels, cap);
	if (rc == 0)
		rc = body_string(c, "expires_in", 20, false, &expires);
	if (rc == 0 && expires.p != NULL &&
	    (parse_duration(expires, &ms) != 0 || ms <= 0 ||
		ms > INT64_C(366) * 86400000))
		rc = err_set_field(&c->e, ERR_INVALID, "/expires_in",
		    "expires_in must be like 30m, 1h or 7d, at most 366d");
	j->max_uses = 1;
	if (rc == 0)
		rc = body_int(c, "max_uses", 0, 1000000, &j->max_uses);
	if (j->group.len == 0)
		j->group = STR("default");
	if (j->region.len == 0)
		j->region = STR("");
	j->labels = str_of(labels);
	j->created_by = str_of(c->who.name);
	j->expires_at = clock_wall(c->o->clock) + ms * NS_PER_MS;
	return rc;
}

int
join_create(struct rest_call *c)
{
	struct join_row j = {.max_uses = 1};
	char labels[4096];
	struct buf text;
	json_t *out;
	int rc;

	buf_init(&text, 65536);
	rc = join_read(c, &j, labels, sizeof(labels));
	if (rc == 0 && c->o->join_create == NULL)
		rc = err_set(&c->e, ERR_UNSUPPORTED,
		    "this control plane has no agent channel");
	if (rc == 0)
		rc = c->o->join_create(c->o->join_ctx, c->db, &j, &text, &c->e);
	if (rc != 0) {
		buf_release(&text);
		return rc;
	}
	out = join_json(&j);
	if (json_object_set_new(
		out, "token", json_stringn(text.data, text.len)) != 0) {
		json_decref(out);
		out = NULL;
	}
	(void)json_object_del(out, "created_at");
	(void)json_object_del(out, "revoked_at");
	(void)json_object_del(out, "uses");
	sodium_memzero(text.data, text.len);
	buf_release(&text);
	rest_audit(c, "create",
	    json_pack("{s:o, s:o, s:I}", "group", json_strn(j.group), "region",
		json_strn(j.region), "max_uses", (json_int_t)j.max_uses),
	    "join-tokens/%s", j.id);
	http_set_header(c->res, "Location", "/v1/join-tokens/%s", j.id);
	return rest_json(c, 201, out);
}

int
join_revoke(struct rest_call *c)
{
	int rc = store_join_revoke(c->db, c->params[0], &c->e);

	if (rc != 0)
		return rc;
	rest_audit(c, "revoke", NULL, "join-tokens/%.60s", c->params[0].p);
	return rest_empty(c, 204);
}
