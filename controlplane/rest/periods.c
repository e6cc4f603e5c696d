/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The periods of a budget: open, closing, closed; what was carried over and
 * what was booked late.
 */
#include <stdio.h>

#include "controlplane/rest/budget_find.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/store_budget.h"

struct period_page {
	json_t *list;
	size_t n, limit;
	bool more;
	int64_t last;
};

static json_t *
period_instant(int64_t ns)
{
	return ns > 1 && ns < INT64_MAX ? json_instant(ns) : json_null();
}

static int
period_on_row(void *ctx, const struct budget_period_row *v)
{
	struct period_page *p = ctx;
	json_t *row;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	p->last = v->start;
	row = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			"s:I, s:I, s:I, s:I, s:o}",
	    "period_start", period_instant(v->start), "period_end",
	    period_instant(v->end), "state", json_strn(v->state),
	    "limit_nanousd", (json_int_t)v->limit, "configured_nanousd",
	    (json_int_t)v->base, "adjustment_nanousd", (json_int_t)v->adjust,
	    "spent_nanousd", (json_int_t)v->settled, "held_nanousd",
	    (json_int_t)v->held, "free_nanousd", (json_int_t)v->free,
	    "leased_nanousd", (json_int_t)v->leased, "carried_in_nanousd",
	    (json_int_t)v->carried_in, "carried_out_nanousd",
	    (json_int_t)v->carried_out, "corrections_in_nanousd",
	    (json_int_t)v->corrections_in, "corrections_out_nanousd",
	    (json_int_t)v->corrections_out, "closed_at",
	    v->closed_at != 0 ? json_instant(v->closed_at) : json_null());
	return json_array_append_new(p->list, row) ? ERR_NOMEM : 0;
}

int
budget_periods(struct rest_call *c)
{
	struct period_page p = {.list = json_array()};
	struct budget_found b;
	char cursor[24], next[24] = "";
	uint64_t before = INT64_MAX, uid = 0;
	int limit = 0, rc;

	rc = budget_find_one(c, http_param(c->req, "value"), "value", &b);
	json_decref(b.spec);
	uid = b.cell;
	if (rc == 0)
		rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'p', cursor, sizeof(cursor));
	if (rc == 0 && cursor[0] != '\0')
		rc = parse_u64(c, str_of(cursor), "cursor", &before);
	p.limit = (size_t)limit;
	if (rc == 0)
		rc = store_budget_periods(c->db, uid,
		    before < INT64_MAX ? (int64_t)before : INT64_MAX, limit + 1,
		    period_on_row, &p, &c->e);
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	if (p.more)
		(void)snprintf(next, sizeof(next), "%lld", (long long)p.last);
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('p', str_of(next))));
}
