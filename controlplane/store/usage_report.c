/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chargeback query. The range is cut into whole days (usage_daily), whole
 * hours at the edges (usage_hourly) and what is left (usage), so that a month
 * of a hundred million records is answered from its daily sums.
 */
#include <string.h>

#include "common/clock.h"
#include "controlplane/store/usage_internal.h"

static const char *const report_names[REPORT_N_GROUPS] = {
    "tenant", "team", "project", "key", "model", "route", "deployment", "day"};

const char *
report_group_name(unsigned bit)
{
	for (int i = 0; i < REPORT_N_GROUPS; i++)
		if (bit == 1u << i)
			return report_names[i];
	return "none";
}

int
report_group_parse(struct str list, unsigned *bits, struct error *e)
{
	struct str one;

	*bits = 0;
	while (list.len > 0) {
		int i = 0;

		str_cut(list, ',', &one, &list);
		one = str_trim(one);
		while (i < REPORT_N_GROUPS && !str_eqz(one, report_names[i]))
			i++;
		if (i == REPORT_N_GROUPS)
			return err_set_field(e, ERR_INVALID, "group_by",
			    "cannot group by \"%.*s\"", STR_ARG(one));
		*bits |= 1u << i;
	}
	return 0;
}

/* [from, to) in five parts, each maybe empty (from == to). */
struct report_parts {
	int64_t raw1[2], hours1[2], days[2], hours2[2], raw2[2];
};

static int64_t
report_ceil(int64_t t, int64_t unit)
{
	return t % unit == 0 ? t : (t / unit + 1) * unit;
}

static void
report_cut(int64_t from, int64_t to, struct report_parts *p)
{
	const int64_t hour = 3600 * NS_PER_S, day = 24 * hour;
	int64_t h0 = report_ceil(from, hour), h1 = to / hour * hour;
	int64_t d0 = report_ceil(from, day), d1 = to / day * day;

	if (h0 >= h1)
		h0 = h1 = d0 = d1 = to;
	else if (d0 >= d1)
		d0 = d1 = h1;
	*p = (struct report_parts){
	    {from, h0}, {h0, d0}, {d0, d1}, {d1, h1}, {h1, to}};
}

#define REPORT_SUMS                                                          \
	"sum(x.requests)::bigint, sum(x.cost)::bigint, "                     \
	"sum(x.t_input)::bigint, sum(x.t_cache_read)::bigint, "              \
	"sum(x.t_cache_write_5m)::bigint, sum(x.t_cache_write_1h)::bigint, " \
	"sum(x.t_output)::bigint, sum(x.t_reasoning)::bigint, "              \
	"sum(x.t_audio_in)::bigint, sum(x.t_audio_out)::bigint, "            \
	"sum(x.t_image_in)::bigint, sum(x.t_image_out)::bigint, "            \
	"sum(x.t_web_search)::bigint, "                                      \
	"sum(x.t_audio_seconds)::bigint, "                                   \
	"sum(x.t_characters)::bigint, "                                      \
	"sum(x.t_images)::bigint, "                                          \
	"sum(x.t_search_units)::bigint, "                                    \
	"sum(x.t_audio_cache_read)::bigint"

#define REPORT_SOURCE(table, time, count, from1, to1, from2, to2)          \
	"SELECT " time " AS at, tenant_uid, team_uid, project_uid, "       \
	"key_uid, model_uid, route_uid, deployment_uid, " count            \
	" AS requests, cost, " USAGE_TOKEN_COLUMNS " FROM " table          \
	" WHERE ((" time " >= " from1 " AND " time " < " to1 ") OR (" time \
	" >= " from2 " AND " time " < " to2 "))"                           \
	" AND ($1::text = '' OR tenant_uid = ANY(ARRAY(SELECT uid FROM "   \
	"item_name WHERE kind = 1 AND name = $1)))"

#define REPORT_BIT(bit, col) \
	"CASE WHEN $2::int & " bit " <> 0 THEN x." col " ELSE 0 END"
#define REPORT_NAME(col, bit)                                        \
	"CASE WHEN $2::int & " bit " = 0 THEN '' ELSE coalesce(" col \
	".name, '#' || g." col ") END"
#define REPORT_JOIN(col) " LEFT JOIN item_name " col " ON " col ".uid = g." col

static const struct db_stmt report_stmt = {"SELECT " REPORT_NAME("tenant",
    "1") " n1, " REPORT_NAME("team", "2") " n2, " REPORT_NAME("project",
    "4") " n3, " REPORT_NAME("key", "8") " n4, " REPORT_NAME("model",
    "16") " n5, " REPORT_NAME("route", "32") " n6, " REPORT_NAME("deployment",
    "64") " n7, "
	  "coalesce(to_char(g.day, 'YYYY-MM-DD'), '') n8, g.* FROM ("
	  "SELECT " REPORT_BIT("1", "tenant_uid") " tenant, " REPORT_BIT(
	      "2", "team_uid") " team, " REPORT_BIT("4",
	      "project_uid") " project, " REPORT_BIT("8",
	      "key_uid") " key, " REPORT_BIT("16",
	      "model_uid") " model, " REPORT_BIT("32",
	      "route_uid") " route, " REPORT_BIT("64",
	      "deployment_uid") " deployment, "
				"CASE WHEN $2::int & 128 <> 0 THEN "
				"date_trunc('day', x.at) "
				"END AS day, " REPORT_SUMS
				" FROM (" REPORT_SOURCE("usage_daily", "day",
				    "requests", "$3", "$4", "$3",
				    "$4") " UNION ALL " REPORT_SOURCE("usage_"
								      "hourly",
				    "hour", "requests", "$5", "$6", "$7",
				    "$8") " UNION ALL " REPORT_SOURCE("usage",
				    "started_at",
				    "CASE WHEN kind = 0 THEN 1 ELSE 0 "
				    "END",
				    "$9", "$10", "$11",
				    "$12") ") x GROUP BY 1, 2, 3, 4, "
					   "5, 6, 7, 8) g" REPORT_JOIN(
					       "tenant") REPORT_JOIN("t"
								     "e"
								     "a"
								     "m")
					       REPORT_JOIN(
						   "project") REPORT_JOIN("key")
						   REPORT_JOIN(
						       "model") REPORT_JOIN("ro"
									    "ut"
									    "e")
						       REPORT_JOIN(
							   "deployment") " "
									 "O"
									 "R"
									 "D"
									 "E"
									 "R"
									 " "
									 "B"
									 "Y"
									 " "
									 "n"
									 "1"
									 ","
									 " "
									 "n"
									 "2"
									 ","
									 " "
									 "n"
									 "3"
									 ","
									 " "
									 "n"
									 "4"
									 ","
									 " "
									 "n"
									 "5"
									 ","
									 " "
									 "n"
									 "6"
									 ","
									 " "
									 "n"
									 "7"
									 ","
									 " "
									 "n"
									 "8"};

int
store_usage_report(struct db *db, const struct report_query *q,
    report_row_fn *fn, void *ctx, struct error *e)
{
	struct db_rows *r = NULL;
	struct report_parts p;
	struct report_row row;
	int rc;

	if (q->from < 0 || q->to <= q->from)
		return err_set_field(e, ERR_INVALID, "to",
		    "the report's end must lie after its start");
	report_cut(q->from, q->to, &p);
	rc = db_query(db, &report_stmt,
	    DB_ARGS(DBS(q->tenant), DBI(q->group_by), DBT(p.days[0]),
		DBT(p.days[1]), DBT(p.hours1[0]), DBT(p.hours1[1]),
		DBT(p.hours2[0]), DBT(p.hours2[1]), DBT(p.raw1[0]),
		DBT(p.raw1[1]), DBT(p.raw2[0]), DBT(p.raw2[1])),
	    &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		int k = REPORT_N_GROUPS;

		for (int g = 0; g < REPORT_N_GROUPS; g++)
			row.names[g] = db_str(r, i, g);
		k += 8; /* the group's ids */
		row.requests = db_i64(r, i, k++);
		row.cost = db_i64(r, i, k++);
		for (int c = 0; c < TC_COUNT; c++)
			row.tokens.n[c] = db_i64(r, i, k++);
		rc = fn(ctx, &row);
	}
	db_rows_free(r);
	return rc;
}
