/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log.
 */
#include <stdio.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"

struct audit_page {
	json_t *list;
	size_t n, limit;
	int64_t last;
	bool more;
};

static int
audit_on_row(void *ctx, const struct audit_entry *a)
{
	struct audit_page *p = ctx;
	json_t *row;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	p->last = a->id;
	row = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
	    "id", json_u64((uint64_t)a->id), "at", json_instant(a->at), "actor",
	    json_strn(a->actor), "role", json_strn(a->role), "action",
	    json_strn(a->action), "target", json_strn(a->target), "request_id",
	    json_strn(a->request_id), "remote", json_strn(a->remote), "version",
	    a->version ? json_integer((json_int_t)a->version) : json_null(),
	    "status", a->status);
	if (row != NULL)
		(void)json_object_set_new(row, "detail", json_text(a->detail));
	return json_array_append_new(p->list, row) ? ERR_NOMEM : 0;
}

int
audit_get(struct rest_call *c)
{
	struct audit_filter f = {.actor = http_param(c->req, "actor"),
	    .target_prefix = http_param(c->req, "target")};
	struct audit_page p = {.list = json_array()};
	char cursor[24], next[24] = "";
	uint64_t before = 0;
	int limit = 0, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = query_time(c, "from", &f.from);
	if (rc == 0)
		rc = query_time(c, "to", &f.to);
	if (rc == 0)
		rc = cursor_read(c, 'a', cursor, sizeof(cursor));
	if (rc == 0 && cursor[0] != '\0')
		rc = parse_u64(c, str_of(cursor), "cursor", &before);
	f.before = (int64_t)before;
	f.limit = limit + 1;
	p.limit = (size_t)limit;
	if (rc == 0)
		rc = audit_list(c->db, &f, audit_on_row, &p, &c->e);
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	if (p.more)
		(void)snprintf(next, sizeof(next), "%lld", (long long)p.last);
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('a', str_of(next))));
}
