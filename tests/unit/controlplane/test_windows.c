/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows of budgets in PostgreSQL: calendars with anchors in time zones,
 * rolling windows, once with a beginning and an end, unlimited.
 */
#include <stdio.h>

#include "common/clock.h"
#include "tests/unit/controlplane/support/asker.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

static struct str
at_text(int64_t ns, char dst[40])
{
	if (ns == INT64_MAX)
		return STR("never");
	time_format(ns, 0, dst);
	return str_of(dst);
}

static int64_t
instant(const char *z)
{
	int64_t at;

	IS(time_parse(str_of(z), &at), 0);
	return at;
}

#define BERLIN	 ",\"time_zone\":\"Europe/Berlin\""
#define NEW_YORK ",\"time_zone\":\"America/New_York\""
#define ANCHOR(day, time) \
	",\"anchor_day\":" #day ",\"anchor_time\":\"" time "\""

static const struct {
	const char *period, *rest, *at, *start, *end;
} cases[] = {
    {"day", "", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00Z",
	"2026-03-30T00:00:00Z"},
    {"day", BERLIN, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z",
	"2026-03-29T22:00:00Z"}, /* 23 h */
    {"day", BERLIN, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z",
	"2026-10-25T23:00:00Z"}, /* 25 h */
    {"day", ",\"time_zone\":\"Asia/Kathmandu\"", "2026-01-01T18:14:59Z",
	"2025-12-31T18:15:00Z", "2026-01-01T18:15:00Z"},
    {"day", ",\"time_zone\":\"Asia/Kathmandu\"", "2026-01-01T18:15:00Z",
	"2026-01-01T18:15:00Z", "2026-01-02T18:15:00Z"},
    /* midnight comes twice: the period begins at the second one */
    {"day", ",\"time_zone\":\"America/Havana\"", "2026-11-01T04:30:00Z",
	"2026-10-31T04:00:00Z", "2026-11-01T05:00:00Z"},
    {"day", ",\"time_zone\":\"America/Havana\"", "2026-11-01T05:00:00Z",
	"2026-11-01T05:00:00Z", "2026-11-02T05:00:00Z"},
    /* 06:00, before and after; across both changes of the clock */
    {"day", BERLIN ",\"anchor_time\":\"06:00\"", "2026-01-02T04:59:59Z",
	"2026-01-01T05:00:00Z", "2026-01-02T05:00:00Z"},
    {"day", BERLIN ",\"anchor_time\":\"06:00\"", "2026-01-02T05:00:00Z",
	"2026-01-02T05:00:00Z", "2026-01-03T05:00:00Z"},
    {"day", BERLIN ",\"anchor_time\":\"02:30\"", "2026-03-29T12:00:00Z",
	"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}, /* no 02:30 */
    {"day", BERLIN ",\"anchor_time\":\"02:30\"", "2026-10-25T01:00:00Z",
	"2026-10-24T00:30:00Z", "2026-10-25T01:30:00Z"}, /* two */
    {"week", "", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z",
	"2026-11-23T00:00:00Z"}, /* Monday */
    {"week", ",\"anchor_day\":7", "2026-11-22T00:00:00Z",
	"2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"},
    {"week", ",\"anchor_day\":7", "2026-11-21T23:59:59Z",
	"2026-11-15T00:00:00Z", "2026-11-22T00:00:00Z"},
    {"week", NEW_YORK ANCHOR(5, "17:30"), "2026-11-20T22:29:59Z",
	"2026-11-13T22:30:00Z", "2026-11-20T22:30:00Z"},
    {"month", "", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z",
	"2024-03-01T00:00:00Z"},
    {"month", NEW_YORK, "2026-03-31T23:00:00Z", "2026-03-01T05:00:00Z",
	"2026-04-01T04:00:00Z"},
    {"month", ",\"anchor_day\":31", "2026-02-10T00:00:00Z",
	"2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"},
    {"month", ",\"anchor_day\":31", "2026-02-28T00:00:00Z",
	"2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"},
    {"month", ",\"anchor_day\":30", "2024-02-29T12:00:00Z",
	"2024-02-29T00:00:00Z", "2024-03-30T00:00:00Z"},
    {"month", ",\"anchor_day\":15", "2026-01-14T23:59:59Z",
	"2025-12-15T00:00:00Z", "2026-01-15T00:00:00Z"},
    {"month", BERLIN ANCHOR(29, "02:30"), "2026-03-29T01:29:59Z",
	"2026-02-28T01:30:00Z", "2026-03-29T01:30:00Z"},
    {"quarter", "", "2026-12-31T23:59:59Z", "2026-10-01T00:00:00Z",
	"2027-01-01T00:00:00Z"},
    {"quarter", ",\"anchor_month\":2", "2027-01-31T23:59:59Z",
	"2026-11-01T00:00:00Z", "2027-02-01T00:00:00Z"},
    {"quarter", ",\"anchor_month\":12,\"anchor_day\":31",
	"2026-06-29T00:00:00Z", "2026-03-31T00:00:00Z", "2026-06-30T00:00:00Z"},
    {"year", ",\"time_zone\":\"Pacific/Auckland\"", "2026-06-01T00:00:00Z",
	"2025-12-31T11:00:00Z", "2026-12-31T11:00:00Z"},
    {"year", ",\"anchor_month\":4,\"anchor_day\":6", "2026-04-05T00:00:00Z",
	"2025-04-06T00:00:00Z", "2026-04-06T00:00:00Z"},
    {"year", ",\"anchor_month\":2,\"anchor_day\":29", "2025-03-01T00:00:00Z",
	"2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z"},
    {"once", "", "2026-06-01T00:00:00Z", "1970-01-01T00:00:00Z", "never"},
    {"once", ",\"from\":\"2026-06-01T00:00:00Z\"", "2026-05-31T23:59:59Z",
	"1970-01-01T00:00:00Z", "2026-06-01T00:00:00Z"},
    {"once",
	",\"from\":\"2026-06-01T00:00:00Z\","
	"\"to\":\"2026-07-01T00:00:00Z\"",
	"2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"},
    {"once", ",\"to\":\"2026-07-01T00:00:00Z\"", "2026-07-01T00:00:00Z",
	"2026-07-01T00:00:00Z", "never"},
    {"rolling", ",\"rolling_hours\":24", "2026-05-31T23:59:59Z",
	"2026-05-31T23:00:00Z", "2026-06-01T00:00:00Z"},
    {"rolling", ",\"rolling_hours\":1", "2026-05-31T23:59:59Z",
	"2026-05-31T23:57:30Z", "2026-06-01T00:00:00Z"},
    {"unlimited", "", "2026-06-01T00:00:00Z", "1970-01-01T00:00:00Z", "never"},
};

START_TEST(test_periods)
{
	int64_t at, start, end, lim;
	char a[40], b[40], spec[200];
	struct db *db = NULL;
	struct lab l;
	size_t i;

	lab_open_store(&l);
	IS(store_take(l.store, &db, &e), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		at = instant(cases[i].at);
		(void)snprintf(spec, sizeof(spec),
		    "{\"period\":\"%s\",\"limit_usd\":\"1\"%s}",
		    cases[i].period, cases[i].rest);
		IS(store_period_bounds(
		       db, str_of(spec), at, &start, &end, &lim, &e),
		    0);
		ck_assert_msg(str_eqz(at_text(start, a), cases[i].start) &&
				  str_eqz(at_text(end, b), cases[i].end),
		    "case %zu: %s to %s", i, a, b);
		ck_assert_int_gt(start, 0); /* 0 means "the current one" */
	}
	IS(store_period_bounds(db,
	       STR("{\"period\":\"day\",\"time_zone\":\"Mars/Olympus\"}"), 1,
	       &start, &end, &lim, &e),
	    ERR_INVALID);
	store_give(db);
	lab_close(&l);
}
END_TEST

/* Every instant lies in one period, and the next begins where one ends. */
START_TEST(test_periods_are_seamless)
{
	static const char *const specs[] = {"{\"period\":\"day\"" BERLIN
					    ",\"anchor_time\":\"02:30\"}",
	    "{\"period\":\"day\",\"time_zone\":\"America/Havana\"}",
	    "{\"period\":\"week\"" NEW_YORK ANCHOR(7, "01:30") "}",
	    "{\"period\":\"month\"" BERLIN ANCHOR(31, "02:30") "}",
	    "{\"period\":\"quarter\",\"anchor_month\":3" ANCHOR(
		30, "23:59") "}",
	    "{\"period\":\"year\",\"anchor_month\":2" ANCHOR(29, "00:00") "}"};
	int64_t at, start, end, next, lim;
	struct db *db = NULL;
	struct lab l;
	size_t i;
	int n;

	lab_open_store(&l);
	IS(store_take(l.store, &db, &e), 0);
	for (i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct str spec = str_of(specs[i]);

		at = instant("2026-02-20T00:00:00Z");
		for (n = 0; n < 200; n++) {
			IS(store_period_bounds(
			       db, spec, at, &start, &end, &lim, &e),
			    0);
			ck_assert(start <= at && at < end);
			IS(store_period_bounds(
			       db, spec, end - 1000, &next, &lim, &lim, &e),
			    0);
			ck_assert_int_eq(next, start);
			IS(store_period_bounds(
			       db, spec, end, &next, &lim, &lim, &e),
			    0);
			ck_assert_int_eq(next, end);
			at = end;
		}
	}
	store_give(db);
	lab_close(&l);
}
END_TEST

#define HOUR (INT64_C(3600) * NS_PER_S)

/* Random spending for weeks: no window of 24 hours holds more than the limit,
 * and what left the window can be spent again. */
START_TEST(test_rolling)
{
	enum { N = 700 };
	static struct {
		int64_t at, cost;
	} spent[N];
	struct asker a;
	struct rng_seeded rng;
	int64_t total = 0, late = 0;
	int n = 0, i, refused = 0;

	rng_seeded_init(&rng, 7);
	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"rolling\",\"rolling_hours\":24}");
	a.now = instant("2026-03-28T11:17:03Z");
	while (n < N) {
		int64_t w = 1 + (int64_t)rng_below(&rng.rng, 150), in = 0;
		Hg__LeaseGrant *g = asker_ask(&a, w);
		struct budget_status s = asker_status(&a);

		ck_assert_int_eq(s.limit, 1000);
		ck_assert_int_eq(
		    s.limit, s.free + s.leased + s.doubtful + s.settled);
		for (i = n; i-- > 0 && spent[i].at > a.now - 24 * HOUR;)
			in += spent[i].cost;
		ck_assert_int_le(in, 1000);
		if (a.granted - a.returned - a.spent >= w) {
			ck_assert_int_le(in + w, 1000);
			asker_charge(&a, a.period, w);
			a.spent += w;
			spent[n].at = a.now;
			spent[n++].cost = w;
			total += w;
		} else {
			refused++;
			ck_assert(g->exhausted);
			/* an hour more back there would be no room either */
			for (; i >= 0 && spent[i].at > a.now - 26 * HOUR; i--)
				in += spent[i].cost;
			late += in + w <= 1000;
		}
		if (rng_below(&rng.rng, 3) == 0) /* idle rights go back */
			a.returned = a.granted - a.spent;
		a.now += (int64_t)rng_below(&rng.rng, (uint64_t)(4 * HOUR));
	}
	ck_assert_int_gt(refused, 50);
	ck_assert_int_eq(late, 0);
	ck_assert_int_gt(total, 30000);
	asker_close(&a);
}
END_TEST

/* A replica whose clock is behind grants nothing out of an older bucket, and
 * a budget that becomes a rolling one counts what is granted already. */
START_TEST(test_rolling_edges)
{
	struct asker a;
	Hg__LeaseGrant *g;
	int64_t first;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"month\"}");
	a.now = instant("2026-03-28T12:00:00Z");
	(void)asker_ask(&a, 400);
	asker_charge(&a, a.period, 400);
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
	    "\"period\":\"rolling\",\"rolling_hours\":24}");
	a.period = a.granted = a.returned = a.spent = 0;
	a.now += HOUR;
	g = asker_ask(&a, 601);
	ck_assert(g->exhausted);
	ck_assert_int_eq(g->spent, 400);
	ck_assert_int_eq(g->limit, 1000);
	g = asker_ask(&a, 500);
	ck_assert_int_eq(g->granted, 500);
	first = a.period;
	a.now += HOUR; /* the rights of the last bucket are out there yet */
	g = asker_ask(&a, 101);
	ck_assert(!g->exhausted);
	ck_assert_int_eq(g->granted, 0);
	g = asker_ask(&a, 100);
	ck_assert_int_eq(g->granted, 100);
	ck_assert_int_gt(a.period, first);
	ck_assert_int_eq(asker_books_wrong(&a), 0);
	a.now -= 10 * NS_PER_S; /* another replica, in the bucket before */
	ck_assert_int_eq(asker_ask(&a, 0)->period_start, a.period);
	/* the first bucket gives everything back: there is room again */
	a.now += HOUR / 2;
	pgtest_sql(
	    a.l.store, "UPDATE lease SET returned = 500 WHERE granted = 500");
	pgtest_sql(a.l.store, "UPDATE budget_period p SET free = free + 500 "
			      "WHERE EXISTS (SELECT 1 FROM lease l WHERE "
			      "l.period_start = p.period_start "
			      "AND l.granted = 500)");
	ck_assert_int_eq(asker_status(&a).free, 500);
	g = asker_ask(&a, 600);
	ck_assert_int_eq(g->granted, 600);
	ck_assert_int_eq(asker_status(&a).free, 0);
	/* and a day later everything */
	a.now += 26 * HOUR;
	a.returned = a.granted;
	ck_assert_int_eq(asker_ask(&a, 1000)->granted, 1000);
	/* back to a calendar */
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
	    "\"period\":\"month\"}");
	a.period = a.granted = a.returned = a.spent = 0;
	ck_assert_int_eq(asker_ask(&a, 600)->granted, 1000); /* 400 of before */
	ck_assert_int_eq(asker_status(&a).settled, 400);
	asker_close(&a);
}
END_TEST

START_TEST(test_once_and_unlimited)
{
	struct asker a;
	Hg__LeaseGrant *g;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"once\",\"from\":\"2026-06-01T00:00:00Z\","
		       "\"to\":\"2026-07-01T00:00:00Z\"}");
	a.now = instant("2026-05-31T23:59:59Z");
	g = asker_ask(&a, 1);
	ck_assert(g->exhausted);
	ck_assert_int_eq(g->valid_ms, 1000);
	a.now += NS_PER_S;
	ck_assert_int_eq(asker_ask(&a, 300)->granted, 300);
	a.now = instant("2026-07-01T00:00:00Z");
	ck_assert(asker_ask(&a, 1)->exhausted);
	ck_assert_int_eq(asker_status(&a).limit, 0);
	/* it is made longer */
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
	    "\"period\":\"once\",\"from\":\"2026-06-01T00:00:00Z\"}");
	a.period = 1; /* of the current configuration */
	a.granted = 0;
	(void)asker_ask(&a, 500);
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	(void)lab_put(
	    &a.l, 9, "acme.b", "{\"scope\":\"acme\",\"period\":\"unlimited\"}");
	a.period = a.granted = 0;
	g = asker_ask(&a, 5000);
	ck_assert(!g->exhausted);
	ck_assert_int_eq(g->granted, 0);
	ck_assert_int_eq(g->period_start, 1);
	asker_charge(&a, 1, 70);
	ck_assert_int_eq(asker_status(&a).settled, 70);
	asker_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/windows");

	UNIT_ADD(s, test_periods);
	UNIT_ADD(s, test_periods_are_seamless);
	UNIT_ADD(s, test_rolling);
	UNIT_ADD(s, test_rolling_edges);
	UNIT_ADD(s, test_once_and_unlimited);
	return pgtest_run(s);
}
