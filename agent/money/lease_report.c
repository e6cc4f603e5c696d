/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control plane is told of each lease and when (cell_rests), what an
 * agent asks for, and what it gives back (table_trim).
 */
#include <stdlib.h>

#include "agent/money/lease_table_priv.h"
#include "agent/money/lease_value.h"
#include "common/err.h"

#define YOUNG_REQUESTS 16
/* The rate of an idle budget is forgotten by halves. */
#define PAST_HALF_NS (60 * NS_PER_S)
#define PAST_HALVES  10

enum report_kind {
	REPORT_URGENT, /* between heartbeats */
	REPORT_FULL,   /* all but what rests */
	REPORT_ROUND   /* and what rested for a while */
};

void
lease_give_up(struct lease *l, int64_t amount)
{
	int64_t left = atomic_load(&l->left), taken;
	bool current = atomic_load(&l->cell->current) == l;

	if (amount > left)
		amount = left > 0 ? left : 0;
	if (current) /* before it is taken: see lease_verdict() */
		atomic_fetch_add(&l->cell->going, amount);
	taken = lease_take(l, amount);
	if (current)
		atomic_fetch_sub(&l->cell->going, amount - taken);
	l->returned += taken;
	MUST(l->returned <= l->granted);
}

int64_t
lease_held(const struct budget_cell *c, int64_t now)
{
	return now < atomic_load(&c->hold_until) ? atomic_load(&c->hold_amount)
						 : 0;
}

static int64_t
mul_div(int64_t a, int64_t b, int64_t c)
{
	__int128 v = (__int128)a * b / c;

	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static int64_t
cell_past_rate(const struct budget_cell *c, int64_t now)
{
	int64_t n = (now - c->past_mono) / PAST_HALF_NS;

	return n < PAST_HALVES ? c->past_rate >> n : 0;
}

/* Back from idleness: the rate from before, half of it for each PAST_HALF_NS.
 * When it is too much now, cell_rate() lowers it within seconds. */
static void
cell_recall_rate(struct budget_cell *c, int64_t now)
{
	int64_t past = cell_past_rate(c, now);

	if (past == 0 || c->rate_per_s != 0 ||
	    !(atomic_load(&c->touched) || atomic_load(&c->want_total) > 0))
		return;
	c->rate_per_s = past;
	c->rate_mono = now;
}

/* Smooth the spending rate: quick to rise, slow to fall, and it does not fall
 * because requests waited for rights: what they would have spent is not known.
 */
static void
cell_rate(struct budget_cell *c, int64_t now)
{
	int64_t dt = now - c->rate_mono, acc, inst;
	bool blocked;

	cell_recall_rate(c, now);
	if (c->rate_mono == 0) {
		c->rate_mono = c->idle_since_mono = now;
		return;
	}
	if (dt < (c->rate_per_s > 0 ? NS_PER_S / 10 : NS_PER_S / 50))
		return; /* sooner while nothing is known */
	acc = atomic_exchange(&c->spent_rate_acc, 0);
	inst = mul_div(acc, NS_PER_S, dt);
	c->steady_ns = lease_add_cap(c->steady_ns, dt);
	if (c->steady_ns > LEASE_STEADY_NS)
		c->steady_ns = dt > LEASE_STEADY_NS ? dt : LEASE_STEADY_NS;
	c->steady_rate += mul_div(inst - c->steady_rate, dt, c->steady_ns);
	blocked = atomic_exchange(&c->blocked, false) ||
		  atomic_load(&c->want_total) > 0;
	if (inst > 2 * c->rate_per_s)
		c->rate_per_s = inst;
	else if (inst > c->rate_per_s || !blocked)
		c->rate_per_s += mul_div(
		    inst - c->rate_per_s, dt, lease_add_cap(dt, 4 * NS_PER_S));
	c->rate_mono = now;
	if (c->rate_per_s >= cell_past_rate(c, now)) {
		c->past_rate = c->rate_per_s;
		c->past_mono = now;
	}
}

static void
cell_idle(struct lease_table *t, struct budget_cell *c, int64_t now)
{
	struct lease *l = atomic_load(&c->current);
	bool used = atomic_exchange(&c->touched, false) ||
		    atomic_load(&c->want_total) > 0 ||
		    (l != NULL && atomic_load(&l->in_use) > 0);
	int64_t w = atomic_load(&c->w_max);

	if (used)
		c->idle_since_mono = now;
	if (now - c->idle_since_mono >= t->tuning.idle_return_ns) {
		c->rate_per_s = c->steady_rate = c->steady_ns = 0;
		atomic_store(&c->w_max, 0);
		atomic_store(&c->peak, 0);
	} else if (!used && w > 0) {
		/* Decays; the next large reservation raises it again. */
		(void)atomic_compare_exchange_strong(
		    &c->w_max, &w, w - w / 16 - 1);
	}
}

/* Rights that lie still now but were in use a moment ago: the worst cases of
 * as many requests as ran at the same time. They are kept and asked for, so
 * that a swing of concurrency makes nobody wait. */
static int64_t
cell_headroom(const struct budget_cell *c, const struct lease *l)
{
	int64_t used = l == NULL ? 0 : atomic_load(&l->in_use);
	int64_t peak = atomic_load(&c->peak);

	return peak > used ? peak - used : 0;
}

static void
cell_peak_decays(struct budget_cell *c, const struct lease *l)
{
	int64_t peak = atomic_load(&c->peak);
	int64_t used = l == NULL ? 0 : atomic_load(&l->in_use);

	if (peak > used)
		(void)atomic_compare_exchange_strong(
		    &c->peak, &peak, peak - (peak - used) / 8 - 1);
}

/* What is spent in the horizon: at the present rate for the first seconds, as
 * the control plane reckons. */
static int64_t
cell_demand(const struct lease_table *t, const struct budget_cell *c)
{
	int64_t more = c->horizon_ns - t->tuning.horizon_ns;
	int64_t need = mul_div(c->rate_per_s, t->tuning.horizon_ns, NS_PER_S);

	if (more <= 0)
		return need;
	return lease_add_cap(need, mul_div(c->steady_rate, more, NS_PER_S));
}

/* What a current lease keeps: everything beyond goes back; `later`: that can
 * wait. */
static void
table_trim(struct lease_table *t, struct budget_cell *c, struct lease *l,
    int64_t now, bool urgent, bool later)
{
	int64_t left = atomic_load(&l->left), keep, room;
	bool waits = atomic_load(&c->want_total) > 0;

	if (t->draining || (waits ? l->pool : l->tail) ||
	    atomic_load(&c->deleted) ||
	    (!waits && now - c->idle_since_mono >= t->tuning.idle_return_ns)) {
		if (!t->draining && !atomic_load(&c->deleted))
			left -= lease_held(c, now);
		lease_give_up(l, left > 0 ? left : 0);
		return;
	}
	if (urgent || waits)
		return;
	room = lease_add_cap(cell_headroom(c, l), atomic_load(&c->w_max));
	keep = lease_add_cap(cell_demand(t, c), room);
	cell_peak_decays(c, l);
	if (!later && left > lease_add_cap(keep, keep / 2))
		lease_give_up(l, (left - keep) / 2);
}

void
lease_cell_retire(struct budget_cell *c, struct lease *l, int64_t now)
{
	atomic_store(&l->fence_mono, 0);
	l->retired_mono = now;
	l->told = false; /* what is on its way may be lost */
	l->next = c->old;
	c->old = l;
}

void
lease_cell_revive(struct budget_cell *c, struct lease *l)
{
	struct lease **at = &c->old;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->next = NULL;
	l->retired_mono = 0;
	l->told = false;
}

/* Has the control plane something to learn about it? */
bool
lease_news(const struct lease *l)
{
	return !l->told || atomic_load(&l->in_use) != 0 ||
	       atomic_load(&l->left) > 0 || l->returned != l->sent_returned ||
	       atomic_load(&l->settled) != l->sent_settled;
}

static Hg__LeaseReport *
report_new(struct arena *a, struct budget_cell *c, struct lease *l)
{
	Hg__LeaseReport *r = arena_alloc(a, sizeof(*r));

	if (r == NULL)
		return NULL;
	hg__lease_report__init(r);
	r->budget_uid = c->uid;
	if (l == NULL)
		return r;
	r->period_start = l->period_start;
	r->granted = l->granted;
	r->returned = l->returned;
	r->in_use = atomic_load(&l->in_use);
	r->settled = atomic_load(&l->settled);
	/* Money that may be spent already or soon: the durable high water is
	 * the intents in the journal, which were written before. */
	r->high_water = lease_add_cap(r->settled, r->in_use);
	if (r->returned != l->sent_returned || r->settled != l->sent_settled)
		l->told = false; /* until this report is answered */
	l->sent_returned = r->returned;
	l->sent_settled = r->settled;
	l->sent_idle = r->in_use == 0;
	return r;
}

/* The smallest amount that somebody waits for; who waits says it again after
 * each answer, so two reports know all of them. 0 = not known. */
static int64_t
cell_least(struct budget_cell *c)
{
	int64_t now = atomic_exchange(&c->want_least, 0);
	int64_t before = c->least_before;

	c->least_before = now;
	return now == 0 || (before != 0 && before < now) ? before : now;
}

/* The largest amount that somebody waits for, known in the same way. Without
 * it the largest may be one that waits no more: then the control plane would
 * keep the rest for it, and grant nothing to the others. */
static int64_t
cell_most(struct budget_cell *c)
{
	int64_t now = atomic_exchange(&c->want_most, 0);
	int64_t before = c->most_before;

	c->most_before = now;
	return before > now ? before : now;
}

/* `silent`: what goes back with this report must not be asked for in it. */
static void
report_demand(const struct lease_table *t, Hg__LeaseReport *r,
    struct budget_cell *c, bool silent)
{
	int64_t total, min, most, room, full;

	c->sent_demand = true;
	c->sent_silent = silent;
	atomic_store(&c->in_flight, true);
	atomic_store(&c->refill, false);
	if (t->draining || silent || atomic_load(&c->deleted))
		return;
	total = atomic_load(&c->want_total);
	min = atomic_load(&c->want_min);
	most = cell_most(c);
	if (most > 0 && most < min)
		min = most;
	r->want_total = total;
	r->want_min = min < total ? min : total;
	r->want_least = cell_least(c);
	if (r->want_least > r->want_min)
		r->want_least = r->want_min; /* also when nobody waits */
	/* Whoever waits now will come again; and while the rate is not known
	 * yet, a handful of requests. The control plane caps what it gives. */
	room = lease_add_cap(cell_headroom(c, atomic_load(&c->current)), total);
	if (c->rate_per_s == 0)
		room = lease_add_cap(
		    room, YOUNG_REQUESTS * atomic_load(&c->w_max));
	r->rate_per_s = lease_add_cap(
	    c->rate_per_s, mul_div(room, NS_PER_S, t->tuning.horizon_ns));
	/* What the control plane will fill up to; ask again at half of it, or
	 * when spending doubles. */
	full = lease_add_cap(
	    mul_div(c->rate_per_s, t->tuning.horizon_ns, NS_PER_S), room);
	atomic_store(&c->low_water, full / 2);
	atomic_store(&c->spend_mark,
	    c->rate_per_s > 0 ? lease_add_cap(c->rate_per_s, c->rate_per_s)
			      : atomic_load(&c->w_max));
	r->w_p99 = atomic_load(&c->w_max);
	r->steady_rate = c->steady_rate;
	if (c->steady_ns >= LEASE_KNOWN_NS || atomic_load(&c->soft))
		r->horizon_max_ms = LEASE_HORIZON_MOST_NS / NS_PER_MS;
}

struct report_list {
	Hg__LeaseReport **v;
	size_t n, cap;
};

static int
report_push(struct report_list *list, Hg__LeaseReport *r)
{
	if (r == NULL)
		return ERR_NOMEM;
	MUST(list->n < list->cap);
	list->v[list->n++] = r;
	return 0;
}

bool
lease_cell_urgent(struct budget_cell *c)
{
	struct lease *l = atomic_load(&c->current);

	if (!lease_value_may_ask(c))
		return false;
	return atomic_load(&c->want_total) > 0 || atomic_load(&c->refill) ||
	       c->hinted ||
	       (l != NULL && (l->returned != l->sent_returned ||
				 (l->tail && atomic_load(&l->left) > 0)));
}

/* May the control plane go without a report on it until rest_until? */
static bool
cell_rests(const struct lease_table *t, struct budget_cell *c)
{
	return c->horizon_ns > 0 && atomic_load(&c->current) != NULL &&
	       !t->draining && !atomic_load(&c->deleted) && !c->unanswered &&
	       c->ask_until == 0 && !lease_cell_urgent(c);
}

static bool
cell_due(const struct lease_table *t, struct budget_cell *c, int64_t now)
{
	return now >= c->rest_until && cell_rests(t, c) &&
	       (atomic_load(&c->touched) ||
		   lease_news(atomic_load(&c->current)));
}

/* One whose rest is over takes those along whose rest is half over. */
static bool
table_round(const struct lease_table *t, int64_t now)
{
	for (size_t i = 0; i < t->n_cells; i++)
		if (cell_due(t, t->cells[i], now))
			return true;
	return false;
}

static bool
cell_skips(const struct lease_table *t, struct budget_cell *c, int64_t now,
    enum report_kind kind)
{
	int64_t half = (c->rest_until - c->rest_from) / 2;

	if (kind == REPORT_URGENT || !cell_rests(t, c))
		return false;
	return now < c->rest_until &&
	       (kind != REPORT_ROUND || now - c->rest_from < half);
}

static int
table_report_old(
    struct budget_cell *c, struct arena *a, struct report_list *list)
{
	for (struct lease *l = c->old; l != NULL && list->n < list->cap;
	     l = l->next) {
		int rc;

		lease_give_up(l, INT64_MAX);
		if (!lease_news(l))
			continue;
		rc = report_push(list, report_new(a, c, l));
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Also for a cell that rests: its rates, and whether it is idle. */
static struct lease *
cell_upkeep(struct lease_table *t, struct budget_cell *c, int64_t now,
    enum report_kind kind)
{
	struct lease *l = atomic_load(&c->current);

	cell_rate(c, now);
	if (l != NULL && now >= atomic_load(&l->end_mono)) {
		atomic_store(&c->current, NULL);
		lease_cell_retire(c, l, now);
		l = NULL;
	}
	if (kind != REPORT_URGENT)
		cell_idle(t, c, now);
	if (l == NULL)
		return NULL;
	table_trim(
	    t, c, l, now, kind == REPORT_URGENT, cell_skips(t, c, now, kind));
	return l;
}

static int
table_report_cell(struct lease_table *t, struct budget_cell *c, int64_t now,
    enum report_kind kind, struct arena *a, struct report_list *list)
{
	struct lease *l = atomic_load(&c->current);
	bool touched =
	    atomic_load(&c->touched) || atomic_load(&c->want_total) > 0;
	bool pooled = l != NULL && l->pool && atomic_load(&l->left) > 0 &&
		      atomic_load(&c->want_total) > 0;
	Hg__LeaseReport *r;
	int rc;

	if (!lease_value_may_ask(c))
		return 0;
	l = cell_upkeep(t, c, now, kind);
	if (!cell_skips(t, c, now, kind) &&
	    (c->unanswered || (kind != REPORT_URGENT && c->ask_until != 0) ||
		(touched && !t->draining) || (l != NULL && lease_news(l)))) {
		r = report_new(a, c, l);
		rc = report_push(list, r);
		if (rc != 0)
			return rc;
		c->sent_mono = now;
		lease_value_ask(c, r);
		report_demand(t, r, c, pooled);
	}
	c->hinted = false;
	return kind == REPORT_URGENT ? 0 : table_report_old(c, a, list);
}

static int
table_report(struct lease_table *t, int64_t now, enum report_kind kind,
    struct arena *a, struct report_list *list)
{
	size_t at = t->cursor;

	lease_values_upkeep(t, now);
	if (kind != REPORT_URGENT)
		lease_values_allow(t);
	list->cap = 2 * t->n_cells + 16; /* what is left over comes next time */
	if (list->cap > t->tuning.max_reports)
		list->cap = t->tuning.max_reports;
	list->v = arena_alloc(a, list->cap * sizeof(Hg__LeaseReport *));
	if (list->v == NULL)
		return ERR_NOMEM;
	if (kind == REPORT_FULL && table_round(t, now))
		kind = REPORT_ROUND;
	for (size_t i = 0; i < t->n_cells && list->n < list->cap; i++) {
		struct budget_cell *c;
		int rc;

		if (at >= t->n_cells)
			at = 0;
		c = t->cells[at++];
		if (kind == REPORT_URGENT && !lease_cell_urgent(c))
			continue;
		rc = table_report_cell(t, c, now, kind, a, list);
		if (rc != 0)
			return rc;
	}
	if (kind != REPORT_URGENT)
		t->cursor = at;
	return 0;
}

int
lease_table_report(struct lease_table *t, int64_t mono_now, bool urgent,
    struct arena *a, Hg__LeaseReport ***reports, size_t *n)
{
	struct report_list list = {NULL, 0, 0};
	int rc;

	pthread_mutex_lock(&t->lock);
	lease_table_asked(t, mono_now);
	rc = table_report(
	    t, mono_now, urgent ? REPORT_URGENT : REPORT_FULL, a, &list);
	pthread_mutex_unlock(&t->lock);
	*reports = list.v;
	*n = list.n;
	return rc;
}
