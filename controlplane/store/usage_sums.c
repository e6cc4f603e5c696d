/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sums of a batch: rows are sorted by one key and neighbours merged, so
 * that SQL sees one row for each ledger entry, hour and day. All
 * transactions touch rollup rows in the order of that key, so two of them
 * wait for each other but do not deadlock.
 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/store_lease.h"
#include "controlplane/store/usage_internal.h"

/* One merged row: counts behind the keys. */
struct usage_sum {
	const int64_t *key;
	int64_t kind;
	int64_t rows;	  /* all */
	int64_t requests; /* without corrections */
	int64_t cost;
	struct tokens tokens;
};

static int
usage_sort(const void *pa, const void *pb)
{
	const struct usage_entry *a = *(const struct usage_entry *const *)pa;
	const struct usage_entry *b = *(const struct usage_entry *const *)pb;

	for (int i = 0; i < K_COUNT; i++)
		if (a->key[i] != b->key[i])
			return a->key[i] < b->key[i] ? -1 : 1;
	return 0;
}

static void
usage_add_entry(struct usage_sum *s, const struct usage_entry *en)
{
	s->rows++;
	s->requests += en->kind == USAGE_RECORD;
	s->cost += en->cost;
	for (int i = 0; i < TC_COUNT; i++)
		s->tokens.n[i] += en->tokens.n[i];
}

static void
usage_add_sum(struct usage_sum *s, const struct usage_sum *o)
{
	s->rows += o->rows;
	s->requests += o->requests;
	s->cost += o->cost;
	for (int i = 0; i < TC_COUNT; i++)
		s->tokens.n[i] += o->tokens.n[i];
}

/* Merge neighbours that agree in the first n_key keys; in place over from
 * when to == from. Returns how many remain. */
static size_t
usage_merge(
    const struct usage_sum *from, size_t n, int n_key, struct usage_sum *to)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		if (m > 0 && memcmp(to[m - 1].key, from[i].key,
				 (size_t)n_key * sizeof(int64_t)) == 0)
			usage_add_sum(&to[m - 1], &from[i]);
		else
			to[m++] = from[i];
	}
	return m;
}

/* Rows as one flat array, row after row; SQL picks them apart by subscript,
 * which is cheaper than unnest() of an array for each column. */
struct usage_flat {
	int64_t *v;
	size_t n; /* numbers so far */
};

static int
usage_flat_make(struct usage_flat *f, struct arena *a, size_t n_rows,
    size_t n_columns, struct error *e)
{
	f->n = 0;
	f->v = arena_alloc(a, n_rows * n_columns * sizeof(*f->v) + 1);
	return f->v != NULL ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

/* Columns where NULL is 0. */
#define ROLLUP_RARE(c) \
	c " = nullif(coalesce(u." c ", 0) + coalesce(excluded." c ", 0), 0)"

#define ROLLUP_MORE(c) c " = u." c " + excluded." c

/* clang-format off */
#define ROLLUP_SET \
	ROLLUP_MORE("requests") ", " ROLLUP_MORE("cost") \
	", " ROLLUP_MORE("t_input") \
	", " ROLLUP_MORE("t_cache_read") \
	", " ROLLUP_MORE("t_cache_write_5m") \
	", " ROLLUP_MORE("t_cache_write_1h") \
	", " ROLLUP_MORE("t_output") \
	", " ROLLUP_MORE("t_reasoning") \
	", " ROLLUP_MORE("t_audio_in") \
	", " ROLLUP_MORE("t_audio_out") \
	", " ROLLUP_MORE("t_image_in") \
	", " ROLLUP_MORE("t_image_out") \
	", " ROLLUP_RARE("t_web_search") \
	", " ROLLUP_RARE("t_audio_seconds") \
	", " ROLLUP_RARE("t_characters") \
	", " ROLLUP_RARE("t_images") \
	", " ROLLUP_RARE("t_search_units") \
	", " ROLLUP_RARE("t_audio_cache_read")
/* clang-format on */

#define ROLLUP_KEY                                                           \
	"tenant_uid, team_uid, project_uid, key_uid, model_uid, route_uid, " \
	"deployment_uid"

/* $1 is the flat array, $2 its number of rows; column c of row i. */
#define FLAT(columns, c) "($1::bigint[])[i * " columns " + " c "]"
#define ROLLUP(c)	 FLAT("26", c)
#define ROLLUP_COLUMNS	 26
_Static_assert(ROLLUP_COLUMNS == 1 + 7 + 2 + TC_COUNT, "a column each");

#define RARE(c) "nullif(" ROLLUP(c) ", 0)"

/* clang-format off */
#define ROLLUP_VALUES \
	", " ROLLUP("2") ", " ROLLUP("3") ", " ROLLUP("4") \
	", " ROLLUP("5") ", " ROLLUP("6") ", " ROLLUP("7") \
	", " ROLLUP("8") ", " ROLLUP("9") ", " ROLLUP("10") \
	", " ROLLUP("11") ", " ROLLUP("12") ", " ROLLUP("13") \
	", " ROLLUP("14") ", " ROLLUP("15") ", " ROLLUP("16") \
	", " ROLLUP("17") ", " ROLLUP("18") ", " ROLLUP("19") \
	", " ROLLUP("20") ", " RARE("21") ", " RARE("22") \
	", " RARE("23") ", " RARE("24") ", " RARE("25") \
	", " RARE("26")
/* clang-format on */

#define ROLLUP_SQL(table, time, seconds)                    \
	"INSERT INTO " table " AS u (" time ", " ROLLUP_KEY \
	", requests, cost, " USAGE_TOKEN_COLUMNS ") "       \
	"SELECT to_timestamp(" ROLLUP(                      \
	    "1") " * " seconds ")" ROLLUP_VALUES            \
		 " FROM generate_series(0, $2::int - 1) i " \
		 "ON CONFLICT (" time ", " ROLLUP_KEY       \
		 ") DO UPDATE SET " ROLLUP_SET

static int
usage_rollup(struct db *db, const struct db_stmt *st, int time_key,
    const struct usage_sum *s, size_t n, struct arena *a, struct error *e)
{
	struct usage_flat f;
	int rc;

	rc = usage_flat_make(&f, a, n, ROLLUP_COLUMNS, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		f.v[f.n++] = s[i].key[time_key];
		for (int k = K_TENANT; k <= K_DEPLOYMENT; k++)
			f.v[f.n++] = s[i].key[k];
		f.v[f.n++] = s[i].requests;
		f.v[f.n++] = s[i].cost;
		for (int k = 0; k < TC_COUNT; k++)
			f.v[f.n++] = s[i].tokens.n[k];
	}
	MUST(f.n == n * ROLLUP_COLUMNS);
	return db_exec(db, st, DB_ARGS(DBIA(f.v, f.n), DBI(n)), NULL, e);
}

#define LEDGER(c)      FLAT("12", c)
#define LEDGER_COLUMNS 12

static int
usage_ledger(struct db *db, int64_t batch_id, const struct usage_sum *s,
    size_t n, struct arena *a, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO ledger (batch_id, ord, hour, kind, tenant_uid, "
	    "project_uid, key_uid, route_uid, deployment_uid, provider_uid, "
	    "model_uid, price_version, records, amount) "
	    "SELECT $3, i, to_timestamp(" LEDGER("1") " * 3600), " LEDGER("2") ", " LEDGER("3") ", " LEDGER("4") ", " LEDGER("5") ", " LEDGER(
		"6") ", " LEDGER("7") ", " LEDGER("8") ", " LEDGER("9") ","
									" " LEDGER("10") ", " LEDGER(
									    "1"
									    "1") ", " LEDGER("12") " FROM generate_series(0, $2::int - 1) i"};
	static const int keys[] = {K_TENANT, K_PROJECT, K_KEY, K_ROUTE,
	    K_DEPLOYMENT, K_PROVIDER, K_MODEL, K_PRICE};
	struct usage_flat f;
	int rc;

	rc = usage_flat_make(&f, a, n, LEDGER_COLUMNS, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		f.v[f.n++] = s[i].key[K_HOUR];
		f.v[f.n++] = s[i].kind;
		for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++)
			f.v[f.n++] = s[i].key[keys[k]];
		f.v[f.n++] = s[i].rows;
		f.v[f.n++] = s[i].cost;
	}
	MUST(f.n == n * LEDGER_COLUMNS);
	return db_exec(
	    db, &st, DB_ARGS(DBIA(f.v, f.n), DBI(n), DBI(batch_id)), NULL, e);
}

int
usage_sums(struct db *db, int64_t batch_id, const struct usage_entry *entries,
    size_t n, struct arena *a, struct error *e)
{
	static const struct db_stmt hourly = {
	    ROLLUP_SQL("usage_hourly", "hour", "3600")};
	static const struct db_stmt daily = {
	    ROLLUP_SQL("usage_daily", "day", "86400")};
	const struct usage_entry **sorted;
	struct usage_sum *s;
	size_t m;
	int rc;

	if (n == 0)
		return 0;
	sorted = arena_alloc(a, n * sizeof(*sorted));
	s = arena_zalloc(a, n * sizeof(*s));
	if (sorted == NULL || s == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = 0; i < n; i++)
		sorted[i] = &entries[i];
	qsort(sorted, n, sizeof(*sorted), usage_sort);
	m = 0;
	for (size_t i = 0; i < n; i++) {
		const struct usage_entry *en = sorted[i];

		if (m == 0 ||
		    memcmp(s[m - 1].key, en->key, sizeof(en->key)) != 0) {
			s[m].key = en->key;
			s[m++].kind = en->kind;
		}
		usage_add_entry(&s[m - 1], en);
	}
	rc = usage_ledger(db, batch_id, s, m, a, e);
	m = usage_merge(s, m, K_HOUR + 1, s);
	if (rc == 0)
		rc = usage_rollup(db, &hourly, K_HOUR, s, m, a, e);
	m = usage_merge(s, m, K_DEPLOYMENT + 1, s);
	if (rc == 0)
		rc = usage_rollup(db, &daily, K_DAY, s, m, a, e);
	return rc;
}

static int
charge_sort(const void *pa, const void *pb)
{
	const struct lease_charge *a = pa, *b = pb;

	if (a->budget_uid != b->budget_uid)
		return a->budget_uid < b->budget_uid ? -1 : 1;
	if (a->period_start != b->period_start)
		return a->period_start < b->period_start ? -1 : 1;
	if (a->boot_epoch != b->boot_epoch)
		return a->boot_epoch < b->boot_epoch ? -1 : 1;
	if (a->booked_at != b->booked_at)
		return a->booked_at < b->booked_at ? -1 : 1;
	return 0;
}

int
usage_charge(struct db *db, struct str agent_id, bool correction,
    const struct usage_entry *entries, size_t n, struct arena *a,
    struct error *e)
{
	struct lease_charge *c;
	size_t total = 0, m = 0;

	for (size_t i = 0; i < n; i++)
		if (entries[i].cost != 0 || entries[i].held != 0)
			total += entries[i].n_charges;
	if (total == 0)
		return 0;
	c = arena_alloc(a, total * sizeof(*c));
	if (c == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	total = 0;
	for (size_t i = 0; i < n; i++) {
		const struct usage_entry *en = &entries[i];
		const int64_t *from = en->charges;

		if (en->cost == 0 && en->held == 0)
			continue;
		for (size_t k = 0; k < en->n_charges;
		     k++, from += USAGE_CHARGE_INTS)
			c[total++] = (struct lease_charge){
			    .budget_uid = (uint64_t)from[0],
			    .period_start = from[1],
			    .boot_epoch = correction ? 0 : (uint64_t)from[3],
			    .cost = en->cost,
			    .held = en->held,
			    .last_at = en->started_at,
			    .booked_at = en->booked_at,
			};
	}
	qsort(c, total, sizeof(*c), charge_sort);
	for (size_t i = 0; i < total; i++) {
		if (m > 0 && charge_sort(&c[m - 1], &c[i]) == 0) {
			c[m - 1].cost += c[i].cost;
			c[m - 1].held += c[i].held;
			if (c[i].last_at > c[m - 1].last_at)
				c[m - 1].last_at = c[i].last_at;
		} else {
			c[m++] = c[i];
		}
	}
	return store_lease_charge(db, agent_id, c, m, e);
}
