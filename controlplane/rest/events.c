/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events about budgets: thresholds reached, forecasts above the limit, periods
 * that were closed, money that was carried over.
 */
#include <stdio.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/store_budget.h"
#include "controlplane/store/store_config.h"

struct event_page {
	json_t *list;
	size_t n, limit;
	bool more;
	int64_t last;
};

static int
event_on_row(void *ctx, const struct budget_event *v)
{
	struct event_page *p = ctx;
	json_t *row;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	p->last = v->id;
	row = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:o, "
	    "s:o}",
	    "id", json_u64((uint64_t)v->id), "at", json_instant(v->at),
	    "budget", json_strn(v->budget), "budget_uid",
	    json_u64(v->budget_uid), "value",
	    v->value.p != NULL ? json_strn(v->value) : json_null(),
	    "period_start",
	    v->period_start > 1 ? json_instant(v->period_start) : json_null(),
	    "kind", json_strn(v->kind), "percent", v->percent, "limit_nanousd",
	    (json_int_t)v->limit, "spent_nanousd", (json_int_t)v->spent,
	    "forecast_nanousd",
	    v->forecast >= 0 ? json_integer(v->forecast) : json_null(),
	    "amount_nanousd",
	    v->amount >= 0 ? json_integer(v->amount) : json_null());
	return json_array_append_new(p->list, row) ? ERR_NOMEM : 0;
}

static int
events_page(struct rest_call *c, uint64_t budget_uid)
{
	struct event_page p = {.list = json_array()};
	char cursor[24], next[24] = "";
	uint64_t before = 0;
	int limit = 0, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'e', cursor, sizeof(cursor));
	if (rc == 0 && cursor[0] != '\0')
		rc = parse_u64(c, str_of(cursor), "cursor", &before);
	p.limit = (size_t)limit;
	if (rc == 0)
		rc = store_budget_events(c->db, budget_uid, (int64_t)before,
		    limit + 1, event_on_row, &p, &c->e);
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	if (p.more)
		(void)snprintf(next, sizeof(next), "%lld", (long long)p.last);
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('e', str_of(next))));
}

static int
event_on_item(void *ctx, const struct store_item *it)
{
	*(uint64_t *)ctx = it->uid;
	return 0;
}

int
budget_events(struct rest_call *c)
{
	uint64_t uid = 0;
	int rc = store_config_get(
	    c->db, KIND_BUDGET, c->params[0], event_on_item, &uid, &c->e);

	return rc != 0 ? rc : events_page(c, uid);
}

int
events_list(struct rest_call *c)
{
	return events_page(c, 0);
}
