/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chargeback report as JSON or CSV. Money is exact in both: nano-USD as a
 * whole number and USD as a decimal.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/money_json.h"
#include "controlplane/store/store_usage.h"

struct report {
	struct rest_call *c;
	struct report_query q;
	bool csv;
	json_t *rows;
	int64_t requests, cost;
};

/* "2026-01": from its first instant to that of the next month, UTC. */
static int
report_month(struct rest_call *c, struct str month, struct report_query *q)
{
	char z[32];
	uint64_t y, m;

	if (month.len == 7 && month.p[4] == '-' &&
	    str_to_u64(str_make(month.p, 4), &y) == 0 &&
	    str_to_u64(str_make(month.p + 5, 2), &m) == 0 && m >= 1 &&
	    m <= 12 && y >= 1971 && y <= 2200) {
		(void)snprintf(
		    z, sizeof(z), "%04u-%02u-01", (unsigned)y, (unsigned)m);
		if (parse_time(str_of(z), &q->from) != 0)
			return ERR_INTERNAL;
		y += m == 12;
		m = m == 12 ? 1 : m + 1;
		(void)snprintf(
		    z, sizeof(z), "%04u-%02u-01", (unsigned)y, (unsigned)m);
		return parse_time(str_of(z), &q->to);
	}
	return err_set_field(&c->e, ERR_INVALID, "month",
	    "query parameter month must be like 2026-01");
}

static int
report_query(struct report *r)
{
	struct rest_call *c = r->c;
	struct str month = http_param(c->req, "month");
	struct str group = http_param(c->req, "group_by");
	struct str format = http_param(c->req, "format");
	struct error e;
	int rc;

	r->csv = str_eqz(format, "csv");
	if (format.p != NULL && !r->csv && !str_eqz(format, "json"))
		return err_set_field(&c->e, ERR_INVALID, "format",
		    "query parameter format must be json or csv");
	rc = query_time(c, "from", &r->q.from);
	if (rc == 0)
		rc = query_time(c, "to", &r->q.to);
	if (rc == 0 && month.p != NULL && (r->q.from || r->q.to))
		rc = err_set_field(&c->e, ERR_INVALID, "month",
		    "give either month or from and to");
	if (rc == 0 && month.p != NULL)
		rc = report_month(c, month, &r->q);
	if (rc != 0)
		return rc;
	if (r->q.from == 0 || r->q.to <= r->q.from)
		return err_set_field(&c->e, ERR_INVALID, "from",
		    "give month, or from and a later to");
	if (group.p == NULL)
		group = STR("tenant,team,project,key,model");
	if (report_group_parse(group, &r->q.group_by, &e) != 0)
		return err_set_field(
		    &c->e, ERR_INVALID, "group_by", "%s", e.text);
	r->q.tenant = http_param(c->req, "tenant");
	return 0;
}

/* RFC 4180; a leading = + - @ is what spreadsheets run as a formula. */
static void
report_cell(struct buf *b, struct str s)
{
	size_t i;

	(void)buf_addc(b, '"');
	if (s.len > 0 && strchr("=+-@\t\r", s.p[0]))
		(void)buf_addc(b, '\'');
	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '"')
			(void)buf_addc(b, '"');
		(void)buf_addc(b, s.p[i]);
	}
	(void)buf_addc(b, '"');
}

static void
report_csv_head(struct report *r)
{
	struct buf *b = &r->c->res->body;
	int i;

	for (i = 0; i < REPORT_N_GROUPS; i++)
		if (r->q.group_by & 1u << i)
			(void)buf_addf(b, "%s,", report_group_name(1u << i));
	(void)buf_addz(b, "requests");
	for (i = 0; i < TC_COUNT; i++)
		(void)buf_addf(
		    b, ",tokens_%s", token_class_name((enum token_class)i));
	(void)buf_addz(b, ",cost_nanousd,cost_usd\r\n");
}

static void
report_csv_row(struct report *r, const struct report_row *row)
{
	struct buf *b = &r->c->res->body;
	char usd[32];
	int i;

	for (i = 0; i < REPORT_N_GROUPS; i++)
		if (r->q.group_by & 1u << i) {
			report_cell(b, row->names[i]);
			(void)buf_addc(b, ',');
		}
	(void)buf_add_i64(b, row->requests);
	for (i = 0; i < TC_COUNT; i++) {
		(void)buf_addc(b, ',');
		(void)buf_add_i64(b, row->tokens.n[i]);
	}
	money_format(row->cost, usd);
	(void)buf_addf(b, ",%lld,%s\r\n", (long long)row->cost, usd);
}

static int
report_json_row(struct report *r, const struct report_row *row)
{
	json_t *o = json_object();
	int i, bad = o == NULL;

	for (i = 0; i < REPORT_N_GROUPS; i++)
		if (r->q.group_by & 1u << i)
			bad |=
			    json_object_set_new(o, report_group_name(1u << i),
				json_strn(row->names[i]));
	bad |= json_object_set_new(o, "requests", json_integer(row->requests));
	bad |= json_object_set_new(o, "tokens", tokens_json(&row->tokens));
	bad |= json_object_set_new(o, "cost_nanousd", json_integer(row->cost));
	bad |= json_object_set_new(o, "cost_usd", json_usd(row->cost));
	if (bad) {
		json_decref(o);
		return ERR_NOMEM;
	}
	return json_array_append_new(r->rows, o) ? ERR_NOMEM : 0;
}

static int
report_on_row(void *ctx, const struct report_row *row)
{
	struct report *r = ctx;

	if (__builtin_add_overflow(r->requests, row->requests, &r->requests) ||
	    __builtin_add_overflow(r->cost, row->cost, &r->cost))
		return ERR_CORRUPT;
	if (!r->csv)
		return report_json_row(r, row);
	report_csv_row(r, row);
	return buf_error(&r->c->res->body);
}

static json_t *
report_groups(unsigned bits)
{
	json_t *out = json_array();
	int i;

	for (i = 0; i < REPORT_N_GROUPS; i++)
		if (bits & 1u << i)
			(void)json_array_append_new(
			    out, json_string(report_group_name(1u << i)));
	return out;
}

int
report_chargeback(struct rest_call *c)
{
	struct report r = {.c = c, .rows = json_array()};
	int rc = report_query(&r);

	if (rc == 0 && r.csv)
		report_csv_head(&r);
	if (rc == 0)
		rc = store_usage_report(c->db, &r.q, report_on_row, &r, &c->e);
	if (rc != 0 || r.csv)
		json_decref(r.rows);
	if (rc != 0)
		return rc;
	if (r.csv) {
		c->res->status = 200;
		c->res->content_type = "text/csv; charset=utf-8";
		http_set_header(c->res, "Content-Disposition",
		    "attachment; filename=\"chargeback.csv\"");
		return 0;
	}
	return rest_json(c, 200,
	    json_pack("{s:o, s:o, s:o, s:o, s:{s:I, s:I, s:o}}", "from",
		json_instant(r.q.from), "to", json_instant(r.q.to), "group_by",
		report_groups(r.q.group_by), "rows", r.rows, "totals",
		"requests", (json_int_t)r.requests, "cost_nanousd",
		(json_int_t)r.cost, "cost_usd", json_usd(r.cost)));
}
