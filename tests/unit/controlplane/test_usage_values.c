/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charges of soft budgets for each value: booked once on the cell of the
 * record's value, whatever else the record charges; not at all without a place;
 * and the audit finds the same.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "controlplane/store/money_audit.h"
#include "controlplane/store/store_usage.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/controlplane/support/usagegen.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

#define AGENT STR("01890000-0000-7000-8000-00000000000a")

/* 2026-03-15 10:00:00 UTC */
#define T0  INT64_C(1773568800000000000)
#define NOW (T0 + 3600 * NS_PER_S)

static struct usagegen gen;
static struct error e;

static struct store *
begin(const char *each, unsigned places)
{
	struct store *s = pgtest_open();
	char sql[300];

	usagegen_world(&gen, s, 1, 4, 2, true);
	snprintf(sql, sizeof(sql),
	    "UPDATE config_item SET spec = (spec::text::jsonb || "
	    "'{\"each\":\"%s\",\"mode\":\"soft\",\"max_values\":%u}')::text::"
	    "json WHERE uid = %llu",
	    each, places, (unsigned long long)gen.budget);
	pgtest_sql(s, sql);
	return s;
}

static void
add_tag(Hg__UsageRecord *r, const char *key, const char *value)
{
	Hg__Label *l = malloc(sizeof(*l));

	hg__label__init(l);
	l->key = strdup(key);
	l->value = strdup(value);
	r->tags = realloc(r->tags, (r->n_tags + 1) * sizeof(*r->tags));
	r->tags[r->n_tags++] = l;
}

static const char *const users[] = {"a", "b", NULL, "a", "c", "x\ny", "a"};
#define USERS (sizeof(users) / sizeof(users[0]))

/* Records of these users in turn; some are estimates. */
static Hg__UsageBatch *
batch(uint64_t first, size_t n, const char *tag)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, 1, 0, first, n, T0);

	for (size_t i = 0; i < n; i++) {
		Hg__UsageRecord *r = b->records[i];

		add_tag(r, "team", "t");
		if (users[i % USERS] != NULL)
			add_tag(r, tag, users[i % USERS]);
		if (i % 3 == 0)
			r->source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	}
	return b;
}

static void
ship(struct store *s, const Hg__UsageBatch *b)
{
	struct usage_result r;

	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert(!r.gap);
}

/* The batches' cost of one user. */
static int64_t
cost_of(const Hg__UsageBatch *b, const char *user)
{
	int64_t sum = 0;

	for (size_t i = 0; i < b->n_records; i++) {
		const char *z = users[i % USERS];

		if (strcmp(z == NULL ? "" : z, user) == 0)
			sum += b->records[i]->cost;
	}
	return sum;
}

static int64_t
spent(struct store *s, const char *value)
{
	char sql[300];

	snprintf(sql, sizeof(sql),
	    "SELECT coalesce(sum(p.settled), -1)::bigint FROM budget_value v "
	    "JOIN budget_period p ON p.budget_uid = v.cell_uid "
	    "WHERE v.value = '%s'",
	    value);
	return pgtest_number(s, sql);
}

static int
on_finding(void *ctx, const struct money_finding *f)
{
	(void)ctx;
	if (!f->notice)
		ck_abort_msg("%.*s/%.*s: %.*s", STR_ARG(f->kind),
		    STR_ARG(f->measure), STR_ARG(f->detail));
	return 0;
}

static void
healthy(struct store *s)
{
	struct money_audit_request q = {
	    .actor = STR("test"), .scope = MONEY_AUDIT_FULL};
	struct db *db = NULL;
	int64_t id = 0;

	OK(money_audit_run(s, &q, &id, &e));
	OK(store_take(s, &db, &e));
	OK(money_audit_findings(db, id, 1000, on_finding, NULL, &e));
	store_give(db);
}

static void
check(const char *each, const char *tag)
{
	struct store *s = begin(each, 2);
	Hg__UsageBatch *b = batch(1, 50, tag), *more;

	for (int i = 0; i < 2; i++) { /* and once more: nothing changes */
		ship(s, b);
		ck_assert_int_eq(spent(s, "a"), cost_of(b, "a"));
		ck_assert_int_eq(spent(s, ""), cost_of(b, ""));
		ck_assert_int_eq(spent(s, "b"), -1);
		ck_assert_int_eq(
		    pgtest_number(s, "SELECT count(*) FROM budget_value"), 2);
	}
	ck_assert_int_gt(cost_of(b, "a"), 0);
	/* told once, and nothing is booked on the budget itself */
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM budget_event "
					  "WHERE kind = 'values'"),
	    1);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM budget_period p WHERE NOT "
			     "EXISTS (SELECT 1 FROM budget_value v "
			     "WHERE v.cell_uid = p.budget_uid)"),
	    0);
	/* what an estimate may have cost more is held where it is booked */
	ck_assert_int_gt(
	    pgtest_number(s, "SELECT sum(held)::bigint FROM budget_period"), 0);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage "
			     "WHERE coalesce(cardinality(charges), 0) = 0"),
	    50 * 3 / (int)USERS);
	healthy(s);
	pgtest_sql(s, "UPDATE config_item SET spec = (spec::text::jsonb || "
		      "'{\"max_values\":3}')::text::json WHERE kind = 9");
	more = batch(51, 50, tag);
	ship(s, more);
	ck_assert_int_eq(spent(s, "b"), cost_of(more, "b"));
	ck_assert_int_eq(spent(s, "a"), cost_of(b, "a") + cost_of(more, "a"));
	ck_assert_int_eq(spent(s, "c"), -1);
	healthy(s);
	usagegen_free(more);
	usagegen_free(b);
	pgtest_close(s);
}

START_TEST(test_user)
{
	check("user", "user");
}
END_TEST

START_TEST(test_tag)
{
	check("tag:customer", "customer");
}
END_TEST

/* A record that is not believed is charged all the same, also to its value. */
START_TEST(test_quarantined)
{
	struct store *s = begin("user", 10);
	Hg__UsageBatch *b = batch(1, 14, "user");

	b->records[3]->started_at = 1; /* of "a" */
	b->records[4]->cost = -1;      /* "c": nothing to believe */
	ship(s, b);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage_quarantine"), 2);
	ck_assert_int_eq(spent(s, "a"), cost_of(b, "a"));
	ck_assert_int_eq(spent(s, "c"), cost_of(b, "c") + 1);
	healthy(s);
	usagegen_free(b);
	pgtest_close(s);
}
END_TEST

/* Charges of other budgets stay, before and after; a budget that is gone or is
 * for all is charged as it says. */
START_TEST(test_others)
{
	struct store *s = begin("user", 1);
	Hg__UsageBatch *b = batch(1, 7, "user");
	char sql[200];

	for (size_t i = 0; i < b->n_records; i++) {
		Hg__UsageRecord *r = b->records[i];
		Hg__Charge *c = malloc(sizeof(*c));

		hg__charge__init(c);
		c->budget_uid = 987654;
		c->period_start = i % 2 == 0 ? 0 : 5;
		c->reserved = r->charges[0]->reserved;
		c->boot_epoch = 1;
		r->charges = realloc(r->charges, 2 * sizeof(*r->charges));
		r->charges[1] = r->charges[0];
		r->charges[i % 2] = r->charges[0];
		r->charges[1 - i % 2] = c;
		r->n_charges = 2;
	}
	ship(s, b);
	/* "" has the place; one record names it */
	ck_assert_int_eq(spent(s, ""), cost_of(b, ""));
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage WHERE 987654 = ANY "
			     "(charges)"),
	    7);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM usage WHERE "
					  "cardinality(charges) = 8"),
	    1);
	snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM usage WHERE %llu = ANY (charges)",
	    (unsigned long long)gen.budget);
	ck_assert_int_eq(pgtest_number(s, sql), 0);
	usagegen_free(b);
	pgtest_close(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/usage_values");

	UNIT_ADD(s, test_user);
	UNIT_ADD(s, test_tag);
	UNIT_ADD(s, test_quarantined);
	UNIT_ADD(s, test_others);
	return pgtest_run(s);
}
