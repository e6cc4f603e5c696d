/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the database: the statements of store_lease.c, usage_ingest.c
 * and usage_sums.c, with the semantics of schema/0020_budget.sql, over plain
 * arrays. It replaces store_pool.c, store_tx.c, store_sql.c and store_rows.c
 * at link time. A transaction that does not commit leaves nothing behind. A
 * statement that is not known here stops the simulation: then SQL and model
 * must be brought together again.
 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/usage_internal.h"
#include "tests/sim/model.h"
#include "tests/sim/sim.h"

struct db {
	struct sim *s;
	bool in_tx;
};
struct store {
	struct sim *s;
	char unused[4096]; /* what the real one has */
};

static struct db the_db;
static struct store the_store;

void
sim_db_init(struct sim *s)
{
	the_db = (struct db){.s = s};
	the_store.s = s;
}

struct db *
sim_db(struct sim *s)
{
	the_db.s = s;
	return &the_db;
}

struct store *
sim_store(struct sim *s)
{
	the_store.s = s;
	return &the_store;
}

/* ---- transactions ---------------------------------------------------------
 */

void
sim_db_copy(struct m_db *to, const struct m_db *from)
{
	memcpy(to, from, offsetof(struct m_db, periods));
	memcpy(to->periods, from->periods,
	    from->n_periods * sizeof(from->periods[0]));
	memcpy(
	    to->leases, from->leases, from->n_leases * sizeof(from->leases[0]));
	memcpy(to->marks, from->marks, from->n_marks * sizeof(from->marks[0]));
	memcpy(to->boots, from->boots, from->n_boots * sizeof(from->boots[0]));
}

/* The connection goes away in the middle of a message. */
static int
db_call(struct db *db, struct error *e)
{
	struct sim *s = db->s;

	if (!s->db_lost && s->fail_after >= 0 && s->fail_after-- == 0)
		s->db_lost = true;
	return s->db_lost ? err_set(e, ERR_UNAVAILABLE, "lost") : 0;
}

int
db_begin(struct db *db, struct error *e)
{
	struct sim *s = db->s;
	int rc = db_call(db, e);

	if (rc != 0)
		return rc;
	MUST(!db->in_tx);
	sim_control_meanwhile(s);
	db->in_tx = true;
	sim_db_copy(s->undo, &s->db);
	return 0;
}

void
db_rollback(struct db *db)
{
	struct sim *s = db->s;
	int64_t ledger = s->db.ledger;

	if (!db->in_tx)
		return;
	db->in_tx = false;
	for (unsigned i = s->undo->n_usage; i < s->db.n_usage; i++) {
		s->reqs[s->usage[i].req].rows--;
		s->reqs[s->usage[i].req].booked -= s->usage[i].cost;
	}
	sim_db_copy(&s->db, s->undo);
	if (s->plant == PLANT_HALF_COMMIT)
		s->db.ledger = ledger;
}

int
db_commit(struct db *db, struct error *e)
{
	int rc = db_call(db, e);

	MUST(db->in_tx);
	if (rc != 0 && !db->s->commit_lies) {
		db_rollback(db);
		return rc;
	}
	db->in_tx = false; /* it may be done, though nobody was told so */
	return rc;
}

bool
db_in_tx(const struct db *db)
{
	return db->in_tx;
}

int
store_tx(struct store *st, int tries,
    int (*fn)(struct db *db, void *ctx, struct error *e), void *ctx,
    struct error *e)
{
	struct db *db = sim_db(st->s);
	int rc;

	(void)tries;
	rc = db_begin(db, e);
	if (rc == 0)
		rc = fn(db, ctx, e);
	if (rc == 0)
		rc = db_commit(db, e);
	if (rc != 0)
		db_rollback(db);
	return rc;
}

int
db_script(struct db *db, const char *sql, struct error *e)
{
	(void)sql;
	return db_call(db, e);
}

/* ---- rows ------------------------------------------------------------------
 */

struct db_rows *
m_rows(size_t n, unsigned cols)
{
	struct db_rows *r =
	    calloc(1, sizeof(*r) + (n * cols + 1) * sizeof(int64_t));

	MUST(r != NULL);
	r->n = n;
	r->cols = cols;
	return r;
}

void
db_rows_free(struct db_rows *r)
{
	free(r);
}

size_t
db_rows_count(const struct db_rows *r)
{
	return r->n;
}

bool
db_is_null(const struct db_rows *r, size_t row, int col)
{
	MUST(row < r->n && (unsigned)col < r->cols);
	return r->v[row * r->cols + (unsigned)col] == M_NULL;
}

int64_t
db_i64(const struct db_rows *r, size_t row, int col)
{
	return db_is_null(r, row, col) ? 0
				       : r->v[row * r->cols + (unsigned)col];
}

bool
db_bool(const struct db_rows *r, size_t row, int col)
{
	return db_i64(r, row, col) != 0;
}

struct str
db_str(const struct db_rows *r, size_t row, int col)
{
	(void)r, (void)row, (void)col;
	MUST(!"no text in the model");
	return STR_NULL;
}

int64_t
db_time(const struct db_rows *r, size_t row, int col)
{
	(void)r, (void)row, (void)col;
	MUST(!"no time in the model");
	return 0;
}

/* ---- statements
 * -------------------------------------------------------------- */

static const struct {
	const char *prefix;
	m_statement *run;
} m_statements[] = {
    {"SELECT c.version IS NOT NULL", m_lease_read},
    {"SELECT period_start FROM hg_budget_period(", m_lock_current},
    {"SELECT period_start FROM budget_period ", m_lock_old},
    {"SELECT count(hg_charge(", m_charge},
    {"SELECT CASE WHEN $5::bigint > 0 AND EXISTS", m_lease_write},
    {"SELECT hg_lease_write_some(", m_lease_write_some},
    {"SELECT hg_release(", m_release},
    {"SELECT seq FROM usage_watermark", m_mark_get},
    {"INSERT INTO usage_watermark", m_mark_add},
    {"UPDATE usage_watermark", m_mark_move},
    {"SELECT n.uid * 8", m_known},
    {"SELECT i.uid, CASE i.spec->>'each'", m_no_values},
    {"INSERT INTO usage_quarantine", m_quarantine},
    {"INSERT INTO usage_batch", m_batch},
    {"INSERT INTO ledger", m_ledger},
    {"INSERT INTO usage_hourly", m_hourly},
    {"INSERT INTO usage_daily", m_daily},
};

static int
m_run(struct db *db, const struct db_stmt *st, const struct db_val *args,
    struct db_rows **ret, struct error *e)
{
	static struct {
		const struct db_stmt *st;
		m_statement *run;
	} cache[32];
	size_t i, k = 0;
	int rc = db_call(db, e);

	*ret = NULL;
	if (rc != 0)
		return rc;
	for (i = 0; cache[i].st != NULL && cache[i].st != st; i++)
		MUST(i + 1 < sizeof(cache) / sizeof(*cache));
	if (cache[i].st == NULL) {
		while (strncmp(st->sql, m_statements[k].prefix,
			   strlen(m_statements[k].prefix)) != 0) {
			k++;
			MUST(k < sizeof(m_statements) / sizeof(*m_statements));
		}
		cache[i].st = st;
		cache[i].run = m_statements[k].run;
	}
	return cache[i].run(db->s, args, ret);
}

int
db_query(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, struct db_rows **ret, struct error *e)
{
	(void)n_args;
	return m_run(db, st, args, ret, e);
}

int
db_query_one(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, struct db_rows **ret, struct error *e)
{
	int rc = db_query(db, st, args, n_args, ret, e);

	if (rc == 0 && (*ret == NULL || (*ret)->n != 1)) {
		db_rows_free(*ret);
		*ret = NULL;
		rc = ERR_NOT_FOUND;
	}
	return rc;
}

int
db_exec(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, int64_t *n_rows, struct error *e)
{
	struct db_rows *r = NULL;
	int rc = db_query(db, st, args, n_args, &r, e);

	if (n_rows != NULL)
		*n_rows = 0;
	db_rows_free(r);
	return rc;
}

/* ---- replaced functions of the store
 * ------------------------------------------ */

int
usage_make_days(struct store *s, const int64_t *days, size_t n, struct error *e)
{
	(void)s, (void)days, (void)n, (void)e;
	return 0;
}

int
usage_copy(struct db *db, int64_t batch_id, const struct usage_entry *entries,
    size_t n, struct error *e)
{
	struct sim *s = db->s;
	int rc = db_call(db, e);

	(void)batch_id;
	for (size_t i = 0; rc == 0 && i < n; i++)
		m_usage_add(s, &entries[i]);
	return rc;
}
