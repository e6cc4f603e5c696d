/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets and leases of the database model: what store_lease.c and the
 * functions of schema/0020_budget.sql do. Bugs that are planted here live in
 * the database's part of the protocol.
 */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

static int64_t
max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

unsigned
m_agent_of(const struct db_val *v)
{
	MUST(v->type == DB_STR && v->v.s.len == 36);
	return (unsigned)(v->v.s.p[35] - '0');
}

/* One row with one number. */
static int
m_one(struct db_rows **ret, int64_t v)
{
	*ret = m_rows(1, 1);
	(*ret)->v[0] = v;
	return 0;
}

/* ---- finding rows
 * ------------------------------------------------------------ */

struct m_budget *
sim_db_budget(struct sim *s, uint64_t uid)
{
	for (unsigned i = 0; i < s->db.n_budgets; i++)
		if (s->db.budgets[i].uid == uid && !s->db.budgets[i].deleted)
			return &s->db.budgets[i];
	return NULL;
}

struct m_period *
sim_db_period(struct sim *s, uint64_t uid, int64_t start)
{
	for (unsigned i = s->db.n_periods; i-- > 0;)
		if (s->db.periods[i].uid == uid &&
		    s->db.periods[i].start == start)
			return &s->db.periods[i];
	return NULL;
}

struct m_lease *
sim_db_lease(
    struct sim *s, uint64_t uid, int64_t start, unsigned agent, uint64_t boot)
{
	for (unsigned i = s->db.n_leases; i-- > 0;) {
		struct m_lease *l = &s->db.leases[i];

		if (l->uid == uid && l->start == start && l->agent == agent &&
		    l->boot == boot)
			return l;
	}
	return NULL;
}

static struct m_period *
m_period_add(struct sim *s, uint64_t uid, int64_t start, int64_t end,
    int64_t limit, uint64_t version)
{
	struct m_period *p = &s->db.periods[s->db.n_periods++];

	MUST(s->db.n_periods <= M_PERIODS);
	*p = (struct m_period){.uid = uid,
	    .start = start,
	    .end = end,
	    .limit = limit,
	    .free = limit,
	    .top = limit,
	    .version = version};
	return p;
}

/* hg_budget_period() */
static struct m_period *
m_budget_period(struct sim *s, uint64_t uid, int64_t at)
{
	const struct m_budget *b = sim_db_budget(s, uid);
	struct m_period *p;
	struct m_now n;

	if (b == NULL)
		return NULL;
	sim_budget_now(s, b, at, &n);
	p = sim_db_period(s, uid, n.start);
	if (p == NULL && b->width > 0) {
		sim_window_turn(s, b, n.start);
		sim_budget_now(s, b, at, &n);
	}
	if (p == NULL)
		p = m_period_add(s, uid, n.start, n.end, n.lim, b->version);
	if (p->version < b->version || p->limit != n.lim) {
		p->free += n.lim - p->limit;
		if (s->plant == PLANT_LIMIT_RESET)
			p->free = n.lim - p->settled;
		p->limit = n.lim;
		p->top = max64(p->top, p->limit);
		p->version = b->version;
		p->end = n.end;
		p->closing = false;
	}
	return p;
}

/* ---- reading
 * ------------------------------------------------------------------- */

/* Silent because it was told that it may be, with rights. */
static bool
m_rests(const struct sim *s, const struct m_lease *x, int64_t now)
{
	return s->plant != PLANT_QUIET_GONE && x->quiet_until >= now &&
	       x->granted - x->returned > max64(x->settled, x->r_settled);
}

static void
m_others(const struct sim *s, const struct m_period *p, unsigned agent,
    uint64_t boot, int64_t now, int64_t recent, int64_t *v)
{
	v[0] = v[1] = v[2] = 0;
	for (unsigned i = 0; i < s->db.n_leases; i++) {
		const struct m_lease *x = &s->db.leases[i];

		if (x->uid != p->uid || x->start != p->start || x->doubtful ||
		    (x->agent == agent && x->boot == boot) ||
		    (x->report_at < recent && !m_rests(s, x, now)))
			continue;
		v[0]++;
		v[1] +=
		    max64(0, x->granted - x->returned -
				 max64(x->settled, x->r_settled + x->r_in_use));
		v[2] += x->r_in_use;
	}
}

/* Columns as in lease_read of store_lease.c; the last is of values, which are
 * not simulated. */
#define M_LEASE_COLS 27
static void
m_lease_row(struct sim *s, uint64_t uid, int64_t asked, unsigned agent,
    uint64_t boot, int64_t now, int64_t recent, int64_t plenty, int64_t *v)
{
	const struct m_budget *b = sim_db_budget(s, uid);
	const struct m_period *p;
	const struct m_lease *l;
	struct m_now n = {.start = M_NULL, .end = M_NULL};
	bool here;

	if (b != NULL)
		sim_budget_now(s, b, now, &n);
	for (int i = 1; i < M_LEASE_COLS; i++)
		v[i] = M_NULL;
	v[0] = b != NULL;
	v[1] = b != NULL && b->soft;
	v[2] = n.start;
	v[3] = n.end;
	v[19] = asked == 0 || asked == n.start ? M_NULL : asked;
	v[24] = false;
	if (asked == 0 && b == NULL)
		return;
	p = sim_db_period(s, uid, asked == 0 ? n.start : asked);
	if (p == NULL)
		return;
	here = b != NULL && p->start == n.start;
	v[4] = p->start;
	v[5] = p->end;
	v[6] = here ? n.lim + n.past : p->limit;
	v[7] = here ? p->free + n.lim - p->limit : p->free;
	if (s->plant == PLANT_BLIND_GRANT && uid < 100 + SIM_BUDGETS) {
		/* under the lock, what was seen before it */
		if (db_in_tx(sim_db(s)))
			v[7] = s->seen_free[uid - 100];
		else
			s->seen_free[uid - 100] = p->free;
	}
	v[8] = p->settled + (here ? n.past_settled : 0);
	v[9] = b != NULL && p->version < b->version;
	v[23] = (int64_t)p->version;
	v[25] = p->recall_at;
	v[24] = here && (b->width > 0 || n.lim != p->limit);
	l = sim_db_lease(s, uid, p->start, agent, boot);
	if (l != NULL) {
		v[10] = l->granted;
		v[11] = l->settled;
		v[12] = s->plant == PLANT_OVERWRITE ? 0 : l->returned;
		v[13] = l->high_water;
		v[14] = l->report_at;
		v[15] = l->fence_at;
		v[16] = s->plant == PLANT_LAST_WORD ? 0 : l->r_settled;
		v[17] = l->r_in_use;
		v[18] = l->recall;
	}
	if (plenty == 0 ||
	    plenty > p->free + (here ? min64(0, n.lim - p->limit) : 0))
		m_others(s, p, agent, boot, now, recent, &v[20]);
	if (here && n.past > n.past_settled + n.past_held)
		v[21] = (v[21] == M_NULL ? 0 : v[21]) + n.past -
			n.past_settled - n.past_held;
}

int
m_lease_read(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	const int64_t *uids = a[1].v.a.p, *starts = a[2].v.a.p;
	const int64_t *plenty = a[7].v.a.p;
	size_t n = a[1].v.a.n;

	*ret = m_rows(n, M_LEASE_COLS);
	for (size_t i = 0; i < n; i++)
		m_lease_row(s, (uint64_t)uids[i], starts[i], m_agent_of(&a[3]),
		    (uint64_t)a[4].v.i, a[5].v.i, a[6].v.i, plenty[i],
		    &(*ret)->v[i * M_LEASE_COLS]);
	return 0;
}

int
m_lock_current(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	const struct m_period *p =
	    m_budget_period(s, (uint64_t)a[1].v.i, a[2].v.i);

	*ret = m_rows(p != NULL, 1);
	if (p != NULL)
		(*ret)->v[0] = p->start;
	return 0;
}

int
m_lock_old(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	*ret =
	    m_rows(sim_db_period(s, (uint64_t)a[1].v.i, a[2].v.i) != NULL, 1);
	return 0;
}

/* ---- writing
 * ------------------------------------------------------------------- */

static struct m_lease *
m_lease_add(
    struct sim *s, uint64_t uid, int64_t start, unsigned agent, uint64_t boot)
{
	struct m_lease *l = &s->db.leases[s->db.n_leases++];

	MUST(s->db.n_leases <= M_LEASES);
	*l = (struct m_lease){.uid = uid,
	    .start = start,
	    .agent = agent,
	    .boot = boot,
	    .period = (unsigned)(sim_db_period(s, uid, start) - s->db.periods)};
	return l;
}

static void
m_recall_others(struct sim *s, const struct m_lease *me, int64_t now)
{
	struct m_period *p = &s->db.periods[me->period];
	bool resting = false;

	p->recall_at = max64(p->recall_at, now);

	for (unsigned i = 0; i < s->db.n_leases; i++) {
		struct m_lease *x = &s->db.leases[i];

		if (x != me && x->uid == me->uid && x->start == me->start &&
		    !x->doubtful &&
		    x->granted - x->returned - max64(x->settled, x->r_settled) >
			x->r_in_use)
			x->recall = true;
		resting |= x != me && x->uid == me->uid &&
			   x->start == me->start && x->recall && !x->doubtful &&
			   x->quiet_until >= now;
	}
	if (!resting ||
	    (p->recall_told <= now && p->recall_told >= now - NS_PER_S))
		return;
	p->recall_told = now;
	s->db.told |= UINT64_C(1) << (me->uid - 100);
}

static void
m_lease_merge(const struct sim *s, struct m_lease *l, const struct db_val *a,
    int64_t back)
{
	bool overwrite = s->plant == PLANT_OVERWRITE;
	bool last = overwrite || s->plant == PLANT_LAST_WORD;

	l->granted += a[5].v.i;
	l->returned = overwrite ? a[6].v.i : l->returned + back;
	l->high_water = max64(l->high_water, a[7].v.i);
	l->r_settled = last ? a[8].v.i : max64(l->r_settled, a[8].v.i);
	l->r_in_use = a[9].v.i;
	l->report_at = max64(l->report_at, a[10].v.i);
	l->fence_at = max64(l->fence_at, a[11].v.i);
	l->recall = a[12].v.b;
	l->quiet_until = max64(l->quiet_until, a[14].v.i);
}

/* hg_lease_write() */
int
m_lease_write(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	uint64_t uid = (uint64_t)a[1].v.i, boot = (uint64_t)a[4].v.i;
	struct m_period *p = sim_db_period(s, uid, a[2].v.i);
	unsigned agent = m_agent_of(&a[3]);
	struct m_lease *l = sim_db_lease(s, uid, a[2].v.i, agent, boot);
	int64_t grant = a[5].v.i, back = 0;

	if (grant > 0 && s->db.agents[agent].boot > boot &&
	    s->plant != PLANT_OLD_BOOT)
		return m_one(ret, M_NULL);
	if (l != NULL)
		back = max64(
		    0, min64(a[6].v.i, l->granted - l->settled) - l->returned);
	if (p == NULL || (grant != 0 && p->closing) ||
	    (grant != 0 && p->free + back < grant &&
		s->plant != PLANT_BLIND_GRANT))
		return m_one(ret, false);
	p->free += back - grant;
	if (grant > 0)
		sim_window_granted(s, p);
	if (l == NULL)
		l = m_lease_add(s, uid, a[2].v.i, agent, boot);
	m_lease_merge(s, l, a, back);
	if (a[13].v.b && s->plant != PLANT_NO_RECALL)
		m_recall_others(s, l, a[10].v.i);
	return m_one(ret, true);
}

/* One row of hg_lease_write_some(); a: its arguments, i: the element. */
static bool
m_write_one(struct sim *s, const struct db_val *a, size_t i)
{
#define COL(c) (((const int64_t *)a[c].v.a.p)[i])
	uint64_t uid = (uint64_t)COL(4), boot = (uint64_t)a[2].v.i;
	unsigned agent = m_agent_of(&a[1]);
	struct m_period *p = sim_db_period(s, uid, COL(5));
	struct m_lease *l = sim_db_lease(s, uid, COL(5), agent, boot);
	bool last = s->plant == PLANT_LAST_WORD;
	int64_t back = 0, seen = COL(15);

	if (COL(13) > 0) { /* floor: money moves */
		if (p == NULL || p->closing || p->free < COL(13) ||
		    p->version != (uint64_t)COL(14) || p->end <= a[3].v.i)
			return false;
		if (l == NULL && seen == -1)
			l = m_lease_add(s, uid, COL(5), agent, boot);
		if (l == NULL || l->granted != max64(seen, 0) ||
		    l->returned != COL(16) || l->recall)
			return false;
		back = max64(
		    0, min64(COL(7), l->granted - l->settled) - l->returned);
	}
	if (l == NULL)
		return false;
	l->granted += COL(6);
	l->returned += back;
	if (p != NULL)
		p->free += back - COL(6);
	if (p != NULL && COL(6) > 0)
		sim_window_granted(s, p);
	l->high_water = max64(l->high_water, COL(8));
	l->r_settled = last ? COL(9) : max64(l->r_settled, COL(9));
	l->r_in_use = COL(10);
	l->report_at = max64(l->report_at, a[3].v.i);
	l->fence_at = max64(l->fence_at, COL(11));
	l->quiet_until = max64(l->quiet_until, COL(12));
	return true;
#undef COL
}

int
m_lease_write_some(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	size_t n = a[4].v.a.n, k = 0;

	*ret = m_rows(n, 1);
	(*ret)->n = 0;
	if (s->db.agents[m_agent_of(&a[1])].boot > (uint64_t)a[2].v.i &&
	    s->plant != PLANT_OLD_BOOT)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (m_write_one(s, a, i))
			(*ret)->v[k++] = (int64_t)i + 1;
	(*ret)->n = k;
	return 0;
}

/* hg_charge() */
static void
m_charge_one(struct sim *s, uint64_t uid, int64_t start, unsigned agent,
    uint64_t boot, int64_t cost, int64_t last_at, int64_t held)
{
	struct m_period *p = NULL;
	struct m_lease *l;
	int64_t over;

	if (s->plant == PLANT_WRONG_PERIOD && start > 1)
		start = 0;
	if (start != 0)
		p = sim_db_period(s, uid, start);
	if (p == NULL)
		p = m_budget_period(s, uid, start > 1 ? start : last_at);
	if (p == NULL || (start != 0 && p->start != start)) {
		if (start == 0)
			return;
		p = m_period_add(s, uid, start, start, 0, 0);
	}
	l = sim_db_lease(s, uid, p->start, agent, boot);
	if (s->plant == PLANT_NO_HOLD)
		held = 0;
	p->settled += cost;
	p->held += held;
	if (l == NULL) {
		p->free -= cost + held;
		return;
	}
	cost += held;
	over = max64(0, l->settled + cost - (l->granted - l->returned));
	l->settled += cost;
	l->granted += over;
	p->free -= over;
}

int
m_charge(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	const int64_t *uid = a[2].v.a.p, *start = a[3].v.a.p;
	const int64_t *boot = a[4].v.a.p, *cost = a[5].v.a.p;
	const int64_t *at = a[6].v.a.p, *held = a[7].v.a.p;

	for (size_t i = 0; i < a[2].v.a.n; i++)
		m_charge_one(s, (uint64_t)uid[i], start[i], m_agent_of(&a[1]),
		    (uint64_t)boot[i], cost[i], at[i], held[i]);
	return m_one(ret, (int64_t)a[2].v.a.n);
}

/* ---- release
 * --------------------------------------------------------------------- */

bool
m_epoch_complete(const struct sim *s, unsigned agent, uint64_t boot)
{
	unsigned shards = 0, closed = 0, n = 0;

	for (unsigned i = 0; i < s->db.n_marks; i++) {
		const struct m_mark *w = &s->db.marks[i];

		if (w->agent == agent && w->boot == boot) {
			shards++;
			closed += w->closed;
		}
	}
	for (unsigned i = 0; i < s->db.n_boots; i++)
		if (s->db.boots[i].agent == agent &&
		    s->db.boots[i].boot == boot)
			n = s->db.boots[i].n_shards;
	if (s->plant == PLANT_ONE_SHARD)
		return closed > 0;
	return n > 0 ? closed >= n : shards > 0 && closed == shards;
}

/* May its journal lack records? Then it proves nothing. */
bool
m_epoch_lacks(const struct sim *s, unsigned agent, uint64_t boot)
{
	for (unsigned i = 0; i < s->db.n_marks; i++) {
		const struct m_mark *w = &s->db.marks[i];

		if (w->agent == agent && w->boot == boot && w->may_lack)
			return s->plant != PLANT_TRUST_POWER_CUT;
	}
	return false;
}

/* I7, I8: the rest of a lease is free only when everything that its process
 * started is booked. */
static void
m_check_evidence(struct sim *s, const struct m_lease *l)
{
	for (unsigned i = 0; i < s->n_reqs; i++) {
		const struct sim_req *r = &s->reqs[i];

		if (r->agent != l->agent || r->boot != l->boot || !r->called ||
		    r->rows > 0)
			continue;
		for (unsigned k = 0; k < r->n_charges; k++)
			if (r->charges[k].budget_uid == l->uid &&
			    r->charges[k].period_start == l->start)
				sim_fail(s,
				    "I7: the lease of agent %u boot %lu on "
				    "budget %lu is freed, request %u of it is "
				    "not booked",
				    l->agent, l->boot, l->uid, i);
	}
}

/* hg_release() */
int
m_release(struct sim *s, const struct db_val *a, struct db_rows **ret)
{
	unsigned agent = m_agent_of(&a[1]);
	int64_t total = 0;

	for (unsigned i = 0; i < s->db.n_leases; i++) {
		struct m_lease *l = &s->db.leases[i];
		int64_t rest = max64(0, l->granted - l->settled - l->returned);

		if (l->agent != agent || l->boot >= (uint64_t)a[2].v.i ||
		    !(l->doubtful || rest > 0) ||
		    !m_epoch_complete(s, agent, l->boot) ||
		    m_epoch_lacks(s, agent, l->boot))
			continue;
		m_check_evidence(s, l);
		l->returned += rest;
		l->doubtful = false;
		s->db.periods[l->period].free += rest;
		total += rest;
	}
	return m_one(ret, total);
}

/* PLANT_TIMER_FREES: what must never be done. */
void
sim_db_timer_frees(struct sim *s)
{
	int64_t now = sim_control_now(s, 0);

	for (unsigned i = 0; i < s->db.n_leases; i++) {
		struct m_lease *l = &s->db.leases[i];
		int64_t rest = l->granted - l->settled - l->returned;

		if (rest <= 0 || l->report_at > now - 8 * NS_PER_S)
			continue;
		l->returned += rest;
		s->db.periods[l->period].free += rest;
	}
}

/* hg_doubt_timer() */
void
sim_db_doubt_timer(struct sim *s, int64_t grace)
{
	int64_t now = sim_control_now(s, s->home);

	for (unsigned i = 0; i < s->db.n_leases; i++) {
		struct m_lease *l = &s->db.leases[i];
		struct m_period *p = &s->db.periods[l->period];
		const struct m_budget *b = sim_db_budget(s, l->uid);
		int64_t rest = l->granted - l->settled - l->returned;

		if (b == NULL || !b->bounded || p->end <= now ||
		    l->fence_at >= now - grace)
			continue;
		if (s->plant != PLANT_PAST_DELTA)
			rest = min64(rest, b->delta - p->released);
		if (rest <= 0)
			continue;
		l->returned += rest;
		p->free += rest;
		p->released += rest;
		s->n_released++;
	}
}

/* ---- hello (store_fleet.c)
 * --------------------------------------------------------- */

bool
sim_db_hello(struct sim *s, unsigned agent, uint64_t boot, uint64_t instance,
    unsigned n_shards, int64_t now, int *code)
{
	struct m_agent *a = &s->db.agents[agent];

	if (boot < a->boot || (boot == a->boot && instance != a->instance)) {
		*code = a->last_seen < now - 10 * NS_PER_S ? ERR_EXISTS
							   : ERR_VERSION;
		return false;
	}
	if (boot > a->boot) {
		MUST(s->db.n_boots < M_BOOTS);
		s->db.boots[s->db.n_boots++] = (struct m_boot){
		    .agent = agent, .boot = boot, .n_shards = n_shards};
	}
	*a = (struct m_agent){
	    .boot = boot, .instance = instance, .last_seen = now};
	for (unsigned i = 0; i < s->db.n_leases; i++) {
		struct m_lease *l = &s->db.leases[i];

		if (l->agent == agent && l->boot < boot &&
		    l->granted > l->settled + l->returned)
			l->doubtful = true;
	}
	return true;
}
