/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage in the database model: watermarks, rows, and the three sums that must
 * tell the same money.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model.h"

static struct m_mark *
m_mark(struct sim *s, const struct db_val *a)
{
	for (unsigned i = 0; i < s->db.n_marks; i++) {
		struct m_mark *w = &s->db.marks[i];

		if (w->agent == m_agent_of(&a[1]) &&
		    w->boot == (uint64_t)a[2].v.i &&
		    w->shard == (unsigned)a[3].v.i)
			return w;
	}
	return NULL;
}

int
m_mark_get(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	const struct m_mark *w = m_mark(s, a);

	*ret = m_rows(w != NULL, 1);
	if (w != NULL)
		(*ret)->v[0] = (int64_t)w->seq;
	return 0;
}

int
m_mark_add(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)ret;
	if (m_mark(s, a) != NULL)
		return 0;
	MUST(s->db.n_marks < M_MARKS);
	s->db.marks[s->db.n_marks++] =
	    (struct m_mark){.agent = m_agent_of(&a[1]),
		.boot = (uint64_t)a[2].v.i,
		.shard = (unsigned)a[3].v.i};
	return 0;
}

int
m_mark_move(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	struct m_mark *w = m_mark(s, a);

	(void)ret;
	MUST(w != NULL);
	if (s->plant != PLANT_NO_WATERMARK)
		w->seq = (uint64_t)a[4].v.i;
	if (s->plant == PLANT_PAST_GAP)
		w->seq++;
	w->closed = w->closed || a[5].v.b;
	w->may_lack = w->may_lack || a[6].v.b;
	return 0;
}

/* All tenants and keys of the world exist, uid 0 does not. */
int
m_known(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	const int64_t *v = a[1].v.a.p;
	size_t n = 0;

	(void)s;
	*ret = m_rows(a[1].v.a.n, 1);
	for (size_t i = 0; i < a[1].v.a.n; i++)
		if (v[i] != 0)
			(*ret)->v[n++] = v[i] * 8 + (v[i] == 1 ? 1 : 4);
	(*ret)->n = n;
	return 0;
}

/* No budget is for each value. */
int
m_no_values(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)s, (void)a;
	*ret = m_rows(0, 2);
	return 0;
}

int
m_batch(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)s, (void)a;
	*ret = m_rows(1, 1);
	(*ret)->v[0] = 1;
	return 0;
}

/* Sum of one column of the flat rows in $1. */
static int64_t
m_flat_sum(const struct db_val *a, size_t columns, size_t column)
{
	const int64_t *v = a[1].v.a.p;
	int64_t sum = 0;

	for (size_t i = 0; i < a[1].v.a.n; i += columns)
		sum += v[i + column];
	return sum;
}

int
m_ledger(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)ret;
	s->db.ledger += m_flat_sum(a, 12, 11);
	s->db.ledger_rows += m_flat_sum(a, 12, 10);
	return 0;
}

int
m_hourly(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)ret;
	s->db.hourly += m_flat_sum(a, 10 + TC_COUNT, 9);
	return 0;
}

int
m_daily(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	(void)ret;
	s->db.daily += m_flat_sum(a, 10 + TC_COUNT, 9);
	return 0;
}

static struct m_usage *
m_usage_row(struct sim *s)
{
	if (s->db.n_usage == s->cap_usage) {
		s->cap_usage = 2 * s->cap_usage + 256;
		s->usage = realloc(s->usage, s->cap_usage * sizeof(*s->usage));
		MUST(s->usage != NULL);
	}
	memset(&s->usage[s->db.n_usage], 0, sizeof(*s->usage));
	return &s->usage[s->db.n_usage++];
}

static void
m_usage_booked(struct sim *s, const struct m_usage *u)
{
	struct sim_req *r = &s->reqs[u->req];

	MUST(u->req < s->n_reqs);
	r->rows++;
	r->booked += u->cost;
	if (r->rows > 1)
		sim_fail(s,
		    "once: request %u is booked twice (agent %u boot %lu "
		    "shard %u seq %lu)",
		    u->req, u->agent, u->boot, u->shard, u->seq);
}

void
m_usage_add(struct sim *s, const struct usage_entry *en)
{
	struct m_usage *u = m_usage_row(s);

	memcpy(&u->req, en->request_id, sizeof(u->req));
	u->req--;
	u->agent = (unsigned)en->agent_id[15];
	u->shard = (unsigned)en->shard;
	u->boot = (uint64_t)en->boot_epoch;
	u->seq = (uint64_t)en->seq;
	u->cost = en->cost;
	u->n_charges = (unsigned)en->n_charges;
	for (unsigned i = 0; i < u->n_charges && i < SIM_BUDGETS; i++) {
		u->charges[i].budget_uid = (uint64_t)en->charges[4 * i];
		u->charges[i].period_start = en->charges[4 * i + 1];
	}
	s->db.booked += u->cost;
	m_usage_booked(s, u);
}

/* Kept aside: in no sum, but it counts as consumed. */
int
m_quarantine(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	Hg__UsageRecord *r = hg__usage_record__unpack(
	    NULL, a[6].v.s.len, (const uint8_t *)a[6].v.s.p);
	struct m_usage *u;
	unsigned id;

	(void)ret;
	MUST(r != NULL);
	s->db.quarantined++;
	memcpy(&id, r->request_id.data, sizeof(id));
	if (id == 0) { /* the journal's filler */
		hg__usage_record__free_unpacked(r, NULL);
		return 0;
	}
	u = m_usage_row(s);
	u->req = id - 1;
	u->agent = m_agent_of(&a[1]);
	u->boot = (uint64_t)a[2].v.i;
	u->shard = (unsigned)a[3].v.i;
	u->seq = r->seq;
	u->cost = r->cost;
	u->n_charges = (unsigned)r->n_charges;
	for (unsigned i = 0; i < u->n_charges && i < SIM_BUDGETS; i++) {
		u->charges[i].budget_uid = r->charges[i]->budget_uid;
		u->charges[i].period_start = r->charges[i]->period_start;
	}
	m_usage_booked(s, u);
	hg__usage_record__free_unpacked(r, NULL);
	return 0;
}
