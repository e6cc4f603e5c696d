/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controlplane/money/value over a store and an exchange that are those below,
 * not the real ones: what is asked of either, each value once and in order,
 * and what is answered of it. With the database: tests/unit/system/test_value.
 */
#include "controlplane/money/value.h"

#include "common/tags.h"
#include "controlplane/store/store_value.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

#define NOW   INT64_C(5000)
#define MOST  8
#define GRANT UINT64_C(99) /* uid that the exchange answers about */

static struct fake {
	int cells_rc, run_rc;
	unsigned n_cells_calls, n_run;
	struct value_ask asked[MOST];
	size_t n_asked;
	Hg__LeaseReport *run[MOST];
	size_t n_reports; /* of them */
	size_t n_grants;  /* that the exchange answers */
	/* the answer to asked[i] */
	struct value_ask told[MOST];
} f;

static Hg__LeaseGrant granted[MOST];
static Hg__LeaseReport reports[MOST];
static struct exchange x;
static struct arena arena;
static struct error e;

/* ---- the store and the exchange ------------------------------------------ */

int
store_value_cells(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct value_ask *v, size_t n, int64_t now, struct error *err)
{
	(void)db;
	oom_pause(true); /* the checks allocate */
	ck_assert_slice_eq(agent_id, "agent-1");
	ck_assert_uint_eq(boot_epoch, 3);
	ck_assert_int_eq(now, NOW);
	ck_assert_uint_le(n, MOST);
	ck_assert_uint_eq(f.n_run, 0); /* a uid first, then money */
	f.n_cells_calls++;
	f.n_asked = n;
	for (size_t i = 0; i < n; i++) {
		f.asked[i] = v[i];
		ck_assert_uint_eq(v[i].n_leases, 0);
		v[i].state = f.told[i].state;
		v[i].cell_uid = f.told[i].cell_uid;
		v[i].limit = f.told[i].limit;
		v[i].end_ns = f.told[i].end_ns;
		v[i].n_leases = f.told[i].n_leases;
		memcpy(v[i].leases, f.told[i].leases, sizeof(v[i].leases));
	}
	oom_pause(false);
	return f.cells_rc == 0 ? 0 : err_set(err, f.cells_rc, "cells");
}

int
exchange_run(struct exchange *to, struct db *db, Hg__LeaseReport *const *r,
    size_t n, struct arena *a, struct error *err)
{
	(void)db;
	f.n_run++;
	f.n_reports = n;
	for (size_t i = 0; i < n && i < MOST; i++)
		f.run[i] = r[i];
	if (f.run_rc != 0)
		return err_set(err, f.run_rc, "run");
	to->n_grants = 0;
	if (n == 0)
		return 0; /* and no list */
	to->grants = arena_alloc(a, (f.n_grants + 1) * sizeof(*to->grants));
	if (to->grants == NULL)
		return err_set(err, ERR_NOMEM, "run");
	for (size_t i = 0; i < f.n_grants; i++) {
		hg__lease_grant__init(&granted[i]);
		granted[i].budget_uid = GRANT + i;
		to->grants[i] = &granted[i];
	}
	to->n_grants = f.n_grants;
	return 0;
}

/* ---- an exchange --------------------------------------------------------- */

static size_t n_reports;

static void
begin(void)
{
	memset(&f, 0, sizeof(f));
	memset(&x, 0, sizeof(x));
	x.agent_id = STR("agent-1");
	x.boot_epoch = 3;
	x.now = NOW;
	n_reports = 0;
}

static Hg__LeaseReport *
report(uint64_t each_uid, const char *value)
{
	Hg__LeaseReport *r = &reports[n_reports++];

	hg__lease_report__init(r);
	r->each_uid = each_uid;
	r->budget_uid = each_uid == 0 ? GRANT : 0;
	r->value = (char *)(uintptr_t)value;
	r->want_min = 70;
	return r;
}

static int
run(void)
{
	Hg__LeaseReport *v[MOST];

	for (size_t i = 0; i < n_reports; i++)
		v[i] = &reports[i];
	arena_release(&arena);
	arena_init(&arena, 64, (size_t)1 << 22);
	e.text[0] = '\0';
	return value_exchange(&x, NULL, v, n_reports, &arena, &e);
}

static void
known(size_t i, uint64_t uid)
{
	f.told[i].state = VALUE_OK;
	f.told[i].cell_uid = uid;
}

/* Each value of each budget once, in order; the smallest amount that somebody
 * waits for, the largest when that is not told. What is not asked by value
 * goes to the exchange, in its order, and so do its answers come first. */
START_TEST(test_asked)
{
	begin();
	f.n_grants = 2;
	for (size_t i = 0; i < 4; i++)
		known(i, 50 + i);
	(void)report(9, "b");
	(void)report(0, "");
	report(8, "z")->want_least = 30;
	(void)report(9, "");
	(void)report(9, "a");
	(void)report(9, "b");
	(void)report(0, "");
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(f.n_cells_calls, 1);
	ck_assert_uint_eq(f.n_asked, 4);
	for (size_t i = 0; i < 4; i++) {
		static const char *const values[] = {"z", "", "a", "b"};

		ck_assert_uint_eq(f.asked[i].budget_uid, i == 0 ? 8 : 9);
		ck_assert_slice_eq(f.asked[i].value, values[i]);
		ck_assert_int_eq(f.asked[i].least, i == 0 ? 30 : 70);
		ck_assert_ptr_eq(x.grants[2 + i]->base.descriptor,
		    &hg__lease_grant__descriptor);
		ck_assert_uint_eq(x.grants[2 + i]->budget_uid, 50 + i);
		ck_assert_uint_eq(x.grants[2 + i]->each_uid, i == 0 ? 8 : 9);
		ck_assert_str_eq(x.grants[2 + i]->value, values[i]);
		ck_assert_int_eq(
		    x.grants[2 + i]->answer, HG__VALUE_ANSWER__VALUE_KNOWN);
		ck_assert_int_eq(x.grants[2 + i]->recall_to, -1);
		ck_assert_int_eq(x.grants[2 + i]->granted, 0);
	}
	ck_assert_uint_eq(x.n_grants, 6);
	ck_assert_ptr_eq(x.grants[0], &granted[0]);
	ck_assert_ptr_eq(x.grants[1], &granted[1]);
	ck_assert_uint_eq(f.n_run, 1);
	ck_assert_uint_eq(f.n_reports, 2);
	ck_assert_ptr_eq(f.run[0], &reports[1]);
	ck_assert_ptr_eq(f.run[1], &reports[6]);
}
END_TEST

/* What is no value is not asked for, nor is it a report. */
START_TEST(test_no_values)
{
	char name[TAGS_USER_MAX + 2];

	begin();
	known(0, 50);
	memset(name, 'x', sizeof(name));
	name[TAGS_USER_MAX + 1] = '\0';
	(void)report(9, name);
	(void)report(9, "\xff");
	(void)report(9, "\xed\xa0\x80"); /* half of a pair */
	(void)report(9, "a\nb");
	(void)report(9, name + 1);
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(f.n_asked, 1);
	ck_assert_slice_eq(f.asked[0].value, name + 1);
	ck_assert_uint_eq(f.n_reports, 0);
	ck_assert_uint_eq(x.n_grants, 1);
	begin();
	(void)report(9, "\xff");
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(f.n_asked, 0);
	ck_assert_uint_eq(f.n_reports, 0);
	ck_assert_uint_eq(x.n_grants, 0);
}
END_TEST

/* No asks: all goes to the exchange as it is; so does what is too much, to be
 * refused there. */
START_TEST(test_none)
{
	static Hg__LeaseReport *many[EXCHANGE_MAX_REPORTS + 1];

	begin();
	f.n_grants = 1;
	(void)report(0, "");
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(f.n_cells_calls, 0);
	ck_assert_uint_eq(f.n_reports, 1);
	ck_assert_uint_eq(x.n_grants, 1);
	begin();
	f.run_rc = ERR_TOO_LARGE;
	for (size_t i = 0; i <= EXCHANGE_MAX_REPORTS; i++)
		many[i] = i == 0 ? report(9, "a") : &reports[0];
	ck_assert_int_eq(value_exchange(&x, NULL, many,
			     EXCHANGE_MAX_REPORTS + 1, &arena, &e),
	    ERR_TOO_LARGE);
	ck_assert_uint_eq(f.n_cells_calls, 0);
	ck_assert_uint_eq(f.n_reports, EXCHANGE_MAX_REPORTS + 1);
	/* as many as may be, all the same */
	begin();
	known(0, 50);
	(void)report(9, "a");
	ck_assert_int_eq(
	    value_exchange(&x, NULL, many, EXCHANGE_MAX_REPORTS, &arena, &e),
	    0);
	ck_assert_uint_eq(f.n_asked, 1);
	ck_assert_uint_eq(x.n_grants, 1);
}
END_TEST

/* An answer for each lease; one without a lease says that there is none. */
START_TEST(test_leases)
{
	begin();
	f.n_grants = 1;
	(void)report(0, "");
	(void)report(9, "a");
	(void)report(9, "b");
	(void)report(9, "c");
	for (size_t i = 0; i < 3; i++)
		known(i, 50 + i);
	f.told[0].n_leases = VALUE_LEASES_MAX;
	f.told[1].n_leases = 1;
	f.told[2].n_leases = VALUE_LEASES_MAX;
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < f.told[i].n_leases; k++)
			f.told[i].leases[k] = (struct value_lease){
			    .period_start = (int64_t)(10 * i + k + 1),
			    .granted = (int64_t)(100 * i + k + 7),
			    .returned = (int64_t)(k + 3)};
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(x.n_grants, 1 + 2 * VALUE_LEASES_MAX + 1);
	for (size_t i = 0, at = 1; i < 3; i++)
		for (size_t k = 0; k < f.told[i].n_leases; k++, at++) {
			const Hg__LeaseGrant *g = x.grants[at];
			const struct value_lease *l = &f.told[i].leases[k];

			ck_assert_uint_eq(g->budget_uid, 50 + i);
			ck_assert_int_eq(g->period_start, l->period_start);
			ck_assert_int_eq(g->granted, l->granted);
			ck_assert_int_eq(g->returned, l->returned);
			ck_assert(!g->exhausted);
		}
}
END_TEST

/* Values that get no cell: what holds for each of them. */
START_TEST(test_refused)
{
	begin();
	(void)report(9, "dear");
	(void)report(9, "gone");
	(void)report(9, "many");
	for (size_t i = 0; i < 3; i++) {
		static const enum value_state states[] = {
		    VALUE_TOO_DEAR, VALUE_GONE, VALUE_TOO_MANY};

		f.told[i].state = states[i];
		f.told[i].limit = 60;
		f.told[i].end_ns = NOW + 1;
	}
	ck_assert_int_eq(run(), 0);
	ck_assert_uint_eq(x.n_grants, 2); /* nothing of what is gone */
	for (size_t i = 0; i < 2; i++) {
		const Hg__LeaseGrant *g = x.grants[i];

		ck_assert_str_eq(g->value, i == 0 ? "dear" : "many");
		ck_assert_int_eq(g->answer, i == 0
						? HG__VALUE_ANSWER__VALUE_SHORT
						: HG__VALUE_ANSWER__VALUE_FULL);
		ck_assert_uint_eq(g->budget_uid, 0);
		ck_assert_uint_eq(g->each_uid, 9);
		ck_assert(g->exhausted == (i == 0));
		ck_assert_int_eq(g->limit, 60);
		ck_assert_int_eq(g->free, 60);
		ck_assert_int_eq(g->avail, 60);
		ck_assert_int_eq(g->period_end, NOW + 1);
		ck_assert_int_eq(g->recall_to, -1);
		ck_assert_int_eq(g->granted, 0);
	}
}
END_TEST

/* Without cells there is no exchange, and without it no answer. */
START_TEST(test_failures)
{
	for (int i = 0; i < 2; i++) {
		begin();
		f.n_grants = 1;
		f.cells_rc = i == 0 ? ERR_TIMEOUT : 0;
		f.run_rc = i == 1 ? ERR_UNAVAILABLE : 0;
		known(0, 50);
		(void)report(9, "a");
		(void)report(0, "");
		ck_assert_int_eq(run(), i == 0 ? ERR_TIMEOUT : ERR_UNAVAILABLE);
		ck_assert_str_eq(e.text, i == 0 ? "cells" : "run");
		ck_assert_uint_eq(f.n_run, (unsigned)i);
		ck_assert_uint_eq(x.n_grants, 0);
	}
}
END_TEST

START_TEST(test_memory)
{
	EACH_OOM
	{
		int rc;

		begin();
		f.n_grants = 2;
		known(0, 50);
		f.told[0].n_leases = VALUE_LEASES_MAX;
		known(1, 51);
		(void)report(9, "a");
		(void)report(9, "b");
		(void)report(0, "");
		rc = run();
		ck_assert_int_eq(rc, oom_hit() ? ERR_NOMEM : 0);
		if (rc == 0)
			ck_assert_uint_eq(x.n_grants, 3 + VALUE_LEASES_MAX);
		else
			ck_assert_uint_ne(strlen(e.text), 0);
		arena_release(&arena);
	}
	ck_assert_uint_gt(oom_failures(), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("money/value");

	UNIT_ADD(s, test_asked);
	UNIT_ADD(s, test_no_values);
	UNIT_ADD(s, test_none);
	UNIT_ADD(s, test_leases);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_failures);
	UNIT_ADD(s, test_memory);
	return unit_run(s);
}
