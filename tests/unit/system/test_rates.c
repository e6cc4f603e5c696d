/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of the fleet, both sides against each other: the agents' real cells
 * and tables, the control plane's real arithmetic, between them a network that
 * drops, delays and cuts, on a virtual clock. After each run every window of
 * what was admitted is held against the bound of agent/policy/rate.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/rate.h"
#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/fleet/share.h"
#include "tests/unit/support/unit.h"

#define N_AGENTS 6
#define TICK	 (20 * NS_PER_MS)
#define LATE_MAX 8
#define ADMITTED 400000
#define UID	 77

struct late { /* a report that lies in the network */
	int64_t at;
	struct share_report q;
};

struct agent {
	struct rate_table *table;
	struct limit_cell cell;
	uint64_t epoch;
	bool up, cut;
	int64_t cut_until, beat_at, urgent_at, demand; /* a minute */
	int64_t skew_ppm, flying[64];
	unsigned n_flying, n_late;
	struct late late[LATE_MAX];
};

struct admission {
	int64_t at;
	int32_t tokens;
	bool safe;
};

struct world {
	struct rng_seeded rng;
	int64_t now;
	struct share_limit lim;
	struct share_pool pool;
	struct share_row rows[N_AGENTS];
	struct agent agents[N_AGENTS];
	struct limit_values v;
	struct arena arena;
	unsigned loss; /* of 1000 messages */
	bool ever_safe;
	int64_t refused, limited, max_flying, heard;
	struct admission *done;
	size_t n_done;
};

static struct world w;

static uint64_t
dice(uint64_t n)
{
	return rng_below(&w.rng.rng, n);
}

/* The agent's own monotonic clock runs a little differently. */
static int64_t
mono(const struct agent *a)
{
	return w.now + w.now / 1000000 * a->skew_ppm;
}

static void
agent_start(unsigned i)
{
	struct agent *a = &w.agents[i];
	uint64_t epoch = a->epoch + 1;

	memset(a, 0, sizeof(*a));
	a->epoch = epoch;
	a->skew_ppm = (int64_t)dice(201) - 100;
	a->table = rate_table_new(&rate_tuning_default);
	ck_assert_ptr_nonnull(a->table);
	a->cell.uid = UID;
	a->cell.name = STR("acme.limit");
	a->cell.table = a->table;
	limit_set(&a->cell, &w.v);
	a->up = true;
	a->beat_at = w.now + (int64_t)dice(NS_PER_S);
}

static void
agent_stop(unsigned i)
{
	rate_table_free(w.agents[i].table);
	w.agents[i].table = NULL;
	w.agents[i].up = false;
}

/* ---- the control plane ---- */

static void
hear(unsigned i, const struct share_report *q, struct share_answer *s)
{
	w.heard++;
	share_decide(&w.lim, &w.pool, w.rows, N_AGENTS, i, q, w.now, s);
	for (unsigned d = 0; d < SHARE_N; d++) {
		int64_t sum = 0;

		for (unsigned k = 0; k < N_AGENTS; k++)
			sum +=
			    share_counts(&w.rows[k], (enum share_dim)d, w.now);
		ck_assert_msg(d == SHARE_PLACES || sum <= w.lim.size[d],
		    "%lld of %lld lent", (long long)sum,
		    (long long)w.lim.size[d]);
	}
}

static void
report_of(
    const struct agent *a, const Hg__RateReport *m, struct share_report *q)
{
	*q = (struct share_report){.boot_epoch = a->epoch,
	    .session = m->session,
	    .share_id = m->share_id,
	    .release = m->release,
	    .wanted = {m->requests_wanted, m->tokens_wanted, m->places_wanted},
	    .level = {m->requests_level, m->tokens_level},
	    .returned = {m->requests_returned, m->tokens_returned},
	    .in_flight = m->in_flight};
}

static void
answer(struct agent *a, unsigned i, const Hg__RateReport *m, int64_t sent)
{
	struct share_report q;
	struct share_answer s;
	Hg__RateShare x, *list[1] = {&x};
	const struct share_row *r = &w.rows[i];

	report_of(a, m, &q);
	if (dice(1000) < w.loss) {
		if (a->n_late < LATE_MAX && dice(2) == 0)
			a->late[a->n_late++] = (struct late){
			    w.now + (int64_t)dice(9) * NS_PER_S, q};
		return;
	}
	hear(i, &q, &s);
	if (s.stale || q.release || dice(1000) < w.loss)
		return;
	hg__rate_share__init(&x);
	x.limit_uid = UID;
	x.session = m->session;
	x.share_id = r->share_id;
	x.requests_rate = r->size[SHARE_REQUESTS];
	x.tokens_rate = r->size[SHARE_TOKENS];
	x.places = r->size[SHARE_PLACES];
	x.requests_given = r->given[SHARE_REQUESTS];
	x.tokens_given = r->given[SHARE_TOKENS];
	x.ttl_ms = (uint32_t)(SHARE_TTL_NS / NS_PER_MS);
	x.n_agents = s.n_agents;
	x.more = s.more;
	(void)rate_table_reply(a->table, sent, mono(a), list, 1);
}

static void
agent_talk(unsigned i)
{
	struct agent *a = &w.agents[i];
	bool full = w.now >= a->beat_at;
	Hg__RateReport **reports;
	int64_t sent = mono(a);
	size_t n;

	if (!full && (w.now < a->urgent_at || !rate_table_urgent(a->table)))
		return;
	a->urgent_at = w.now + 60 * NS_PER_MS;
	if (full)
		a->beat_at = w.now + NS_PER_S;
	arena_clear(&w.arena);
	ck_assert_int_eq(
	    rate_table_report(a->table, sent, !full, &w.arena, &reports, &n),
	    0);
	ck_assert_uint_le(n, 1);
	if (n == 1 && !a->cut)
		answer(a, i, reports[0], sent);
}

/* ---- requests ---- */

static void
agent_ask(unsigned i)
{
	struct agent *a = &w.agents[i];
	struct limit_cell *cell = &a->cell;
	struct limit_verdict v;
	int64_t tokens = 10 + (int64_t)dice(90);
	int rc = limit_take(&cell, 1, tokens, mono(a), &v);

	/* Nobody waits for long here: after a cut of 3 s it helps itself. */
	if (rc == ERR_AGAIN && a->cut && w.now > a->cut_until - 4 * NS_PER_S)
		limit_assume(cell, mono(a));
	if (rc != 0) {
		w.refused++;
		w.limited += rc == ERR_RATE_LIMITED ? 1 : 0;
		return;
	}
	ck_assert_uint_lt(w.n_done, ADMITTED);
	w.done[w.n_done++] = (struct admission){
	    w.now, (int32_t)tokens, atomic_load(&cell->until) == INT64_MAX};
	w.ever_safe |= w.done[w.n_done - 1].safe;
	if (a->n_flying < 64)
		a->flying[a->n_flying++] = w.now + (int64_t)dice(3 * NS_PER_S);
	else
		limit_done(&cell, 1, 0, mono(a));
}

static void
agent_tick(unsigned i)
{
	struct agent *a = &w.agents[i];
	struct limit_cell *cell = &a->cell;
	struct share_answer s;
	unsigned k;

	for (k = 0; k < a->n_late;)
		if (a->late[k].at <= w.now && !a->cut) {
			hear(i, &a->late[k].q, &s);
			a->late[k] = a->late[--a->n_late];
		} else {
			k++;
		}
	if (!a->up)
		return;
	for (k = 0; k < a->n_flying;)
		if (a->flying[k] <= w.now) {
			limit_done(&cell, 1, 0, mono(a));
			a->flying[k] = a->flying[--a->n_flying];
		} else {
			k++;
		}
	if (a->cut && w.now >= a->cut_until)
		a->cut = false;
	/* demand a minute -> chance a tick */
	for (k = (unsigned)(a->demand / 3000) + 1; k > 0; k--)
		if ((int64_t)dice(3000) < a->demand / ((a->demand / 3000) + 1))
			agent_ask(i);
	agent_talk(i);
}

/* ---- events ---- */

static void
stir(bool cuts, bool crashes)
{
	static const int64_t demands[] = {0, 0, 3, 30, 120, 600, 3000};
	unsigned i = (unsigned)dice(N_AGENTS);
	struct agent *a = &w.agents[i];

	if (dice(4) == 0 && !a->up) {
		agent_start(i);
		return;
	}
	if (!a->up)
		return;
	if (crashes && dice(12) == 0) {
		agent_stop(i);
		return;
	}
	if (cuts && dice(8) == 0) {
		a->cut = true;
		a->cut_until = w.now + (int64_t)dice(60) * NS_PER_S;
		return;
	}
	a->demand = demands[dice(sizeof(demands) / sizeof(demands[0]))];
}

/* ---- checks ---- */

/* All windows from one admission to another: with a = at, the sum of what was
 * admitted in [s, t] may be at most rate (t - s) + burst. One pass: the lowest
 * value of (sum before s - rate s) so far. */
static void
check_rate(int64_t per_minute, int64_t burst, bool tokens, int64_t slack)
{
	double rate = (double)per_minute / 60e9, low = 0, most = 0;
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < w.n_done; i++) {
		const struct admission *d = &w.done[i];
		double at = (double)d->at * rate;

		if (d->safe)
			continue;
		if (i == 0 || (double)sum - at < low)
			low = (double)sum - at;
		sum += tokens ? d->tokens : 1;
		if ((double)sum - at - low > most)
			most = (double)sum - at - low;
	}
	/* The clocks differ by 1e-4. */
	ck_assert_msg(most <= (double)(burst + slack) * 1.001 + 1,
	    "%s: %.0f above the rate, the burst is %lld and %lld",
	    tokens ? "tokens" : "requests", most, (long long)burst,
	    (long long)slack);
}

static void
check_places(void)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < N_AGENTS; i++)
		if (w.agents[i].up)
			sum += atomic_load(&w.agents[i].cell.conc);
	if (sum > w.max_flying)
		w.max_flying = sum;
	if (!w.ever_safe && w.v.max_conc > 0)
		ck_assert_int_le(sum, w.v.max_conc);
}

static void
world_start(uint64_t seed, const struct limit_values *v, unsigned loss)
{
	memset(&w, 0, sizeof(w));
	rng_seeded_init(&w.rng, seed);
	w.now = 1000 * NS_PER_S;
	w.v = *v;
	w.loss = loss;
	w.pool.is_new = true;
	w.lim = (struct share_limit){
	    .size = {v->rpm * LIMIT_UNIT, v->tpm * LIMIT_UNIT, v->max_conc},
	    .burst = {limit_burst(v->rpm, v->req_burst),
		limit_burst(v->tpm, v->tok_burst)}};
	w.done = calloc(ADMITTED, sizeof(*w.done));
	ck_assert_ptr_nonnull(w.done);
	arena_init(&w.arena, 4096, 1 << 20);
	for (unsigned i = 0; i < N_AGENTS; i++)
		(void)snprintf(w.rows[i].agent_id, sizeof(w.rows[i].agent_id),
		    "agent-%u", i);
}

static void
world_stop(void)
{
	for (unsigned i = 0; i < N_AGENTS; i++)
		if (w.agents[i].up)
			agent_stop(i);
	arena_release(&w.arena);
	free(w.done);
}

static void
world_run(int64_t seconds, bool cuts, bool crashes, bool stirs)
{
	int64_t end = w.now + seconds * NS_PER_S;

	for (; w.now < end; w.now += TICK) {
		if (stirs && dice(100) == 0)
			stir(cuts, crashes);
		for (unsigned i = 0; i < N_AGENTS; i++)
			agent_tick(i);
		check_places();
	}
}

/* Parts of the burst smaller than a request let one through on credit. */
static void
world_check(void)
{
	if (w.v.rpm > 0)
		check_rate(
		    w.v.rpm, w.lim.burst[0] / LIMIT_UNIT, false, N_AGENTS);
	if (w.v.tpm > 0)
		check_rate(
		    w.v.tpm, w.lim.burst[1] / LIMIT_UNIT, true, N_AGENTS * 100);
}

static const struct limit_values limits[] = {
    {.rpm = 60, .fleet = true},
    {.rpm = 600, .req_burst = 20, .fleet = true},
    {.rpm = 600, .tpm = 6000, .tok_burst = 1000, .fleet = true},
    {.rpm = 100000, .max_conc = 7, .fleet = true},
    {.tpm = 30000, .max_conc = 20, .fleet = true},
};

START_TEST(test_storm)
{
	unsigned long seed;

	for (seed = 1; seed <= 40; seed++) {
		world_start(seed, &limits[seed % 5],
		    seed % 3 == 0 ? 0 : (unsigned)(seed * 7 % 300));
		world_run(400, seed % 4 == 1, false, true);
		if (w.n_done == 0)
			ck_abort_msg("seed %lu: nothing was admitted", seed);
		world_check();
		world_stop();
	}
}
END_TEST

/* A process that dies gives nothing back, its successor begins anew. Only the
 * rates hold then: what it had in flight is nobody's any more. */
START_TEST(test_crashes)
{
	unsigned long seed;

	for (seed = 1; seed <= 20; seed++) {
		world_start(seed + 1000, &limits[seed % 3], 50);
		w.ever_safe = true;
		world_run(400, false, true, true);
		world_check();
		world_stop();
	}
}
END_TEST

/* Everybody wants more than there is: all of the rate is used, and divided. */
START_TEST(test_use)
{
	size_t i, from;
	double used;

	world_start(5, &limits[1], 0);
	for (i = 0; i < 4; i++) {
		agent_start((unsigned)i);
		w.agents[i].demand = 1200;
	}
	world_run(20, false, false, false);
	from = w.n_done;
	world_run(60, false, false, false);
	used = (double)(w.n_done - from);
	ck_assert_msg(used > 0.95 * 600, "%.0f of 600", used);
	for (i = 0; i < 4; i++) {
		int64_t rate = atomic_load(&w.agents[i].cell.req.rate);

		ck_assert_int_ge(rate, 140 * LIMIT_UNIT);
		ck_assert_int_le(rate, 160 * LIMIT_UNIT);
	}
	world_check();
	world_stop();
}
END_TEST

/* One agent alone has all of it, with the whole burst. A second one that wants
 * its half has it within two heartbeats and a bit. */
START_TEST(test_join)
{
	int64_t i;

	world_start(6, &limits[0], 0);
	agent_start(0);
	w.agents[0].demand = 3;
	world_run(30, false, false, false);
	ck_assert_int_eq(
	    atomic_load(&w.agents[0].cell.req.rate), 60 * LIMIT_UNIT);
	i = atomic_load(&w.agents[0].cell.req.level);
	ck_assert_msg(i > 50 * LIMIT_UNIT, "level %lld", (long long)i);
	agent_start(1);
	w.agents[1].demand = 600;
	w.agents[0].demand = 600;
	world_run(3, false, false, false);
	ck_assert_int_ge(
	    atomic_load(&w.agents[1].cell.req.rate), 20 * LIMIT_UNIT);
	world_run(10, false, false, false);
	for (i = 0; i < 2; i++) {
		int64_t rate = atomic_load(&w.agents[i].cell.req.rate);

		ck_assert_int_ge(rate, 28 * LIMIT_UNIT);
		ck_assert_int_le(rate, 32 * LIMIT_UNIT);
	}
	world_check();
	world_stop();
}
END_TEST

/* Of a limit that nobody comes near nobody is refused: who joins while others
 * have all of it waits for his part, also when he was lent a scrap. */
START_TEST(test_newcomers)
{
	static const struct limit_values ample = {
	    .rpm = 60000, .tpm = 6000000, .max_conc = 1200, .fleet = true};

	for (uint64_t seed = 1; seed <= 20; seed++) {
		world_start(seed, &ample, 0);
		for (unsigned i = 0; i < N_AGENTS; i++) {
			agent_start(i);
			w.agents[i].demand = 300 + (int64_t)dice(600);
			world_run(1 + (int64_t)dice(6), false, false, false);
			ck_assert_msg(w.limited == 0,
			    "seed %llu: agent %u: %lld refused",
			    (unsigned long long)seed, i, (long long)w.limited);
			if (dice(2) == 0)
				w.agents[dice(i + 1)].demand = 3;
		}
		ck_assert_uint_gt(w.n_done, 100);
		world_check();
		world_stop();
	}
}
END_TEST

/* Under a steady load nobody has more to say than once a second, also when
 * it is more than the limit. */
START_TEST(test_steady)
{
	static const struct limit_values some[] = {
	    {.rpm = 1200, .max_conc = 12, .fleet = true},
	    {.rpm = 60000, .tpm = 6000000, .max_conc = 1200, .fleet = true}};
	int64_t before;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		world_start(seed, &some[seed % 2], 0);
		for (unsigned i = 0; i < 3; i++) {
			agent_start(i);
			w.agents[i].demand = 300 + 400 * i;
		}
		world_run(10, false, false, false);
		before = w.heard;
		world_run(20, false, false, false);
		ck_assert_int_ge(w.heard - before, 55);
		ck_assert_int_le(w.heard - before, 90);
		world_check();
		world_stop();
	}
}
END_TEST

/* Without contact an agent goes on with no more than an equal part. */
START_TEST(test_cut)
{
	size_t from, i;
	int64_t safe = 0;

	world_start(7, &limits[1], 0);
	for (i = 0; i < 3; i++) {
		agent_start((unsigned)i);
		w.agents[i].demand = i == 0 ? 3000 : 30;
	}
	world_run(30, false, false, false);
	ck_assert_int_ge(
	    atomic_load(&w.agents[0].cell.req.rate), 400 * LIMIT_UNIT);
	w.agents[0].cut = true;
	w.agents[0].cut_until = INT64_MAX;
	world_run(11, false, false, false);
	ck_assert_int_eq(atomic_load(&w.agents[0].cell.until), INT64_MAX);
	ck_assert_int_le(
	    atomic_load(&w.agents[0].cell.req.rate), 200 * LIMIT_UNIT);
	from = w.n_done;
	world_run(60, false, false, false);
	for (i = from; i < w.n_done; i++)
		safe += w.done[i].safe ? 1 : 0;
	ck_assert_int_ge(safe, 190);
	ck_assert_int_le(safe, 200 + 7 + 1);
	/* Back in contact it takes what the others leave. */
	w.agents[0].cut = false;
	world_run(5, false, false, false);
	ck_assert_int_ge(
	    atomic_load(&w.agents[0].cell.req.rate), 400 * LIMIT_UNIT);
	ck_assert_int_lt(atomic_load(&w.agents[0].cell.until), INT64_MAX);
	world_check();
	world_stop();
}
END_TEST

/* What is not used goes back, and comes again when it is asked for. */
START_TEST(test_idle)
{
	world_start(8, &limits[3], 0);
	agent_start(0);
	w.agents[0].demand = 600;
	world_run(5, false, false, false);
	ck_assert_int_eq(atomic_load(&w.agents[0].cell.places), 7);
	w.agents[0].demand = 0;
	world_run(16, false, false, false);
	ck_assert_int_eq(atomic_load(&w.agents[0].cell.until), 0);
	ck_assert_int_eq(w.rows[0].until, 0);
	ck_assert_int_eq(w.pool.level[0], w.lim.burst[0]);
	w.agents[0].demand = 600;
	world_run(2, false, false, false);
	ck_assert_int_eq(atomic_load(&w.agents[0].cell.places), 7);
	rate_table_drain(w.agents[0].table);
	w.agents[0].demand = 0;
	world_run(5, false, false, false);
	ck_assert(rate_table_done(w.agents[0].table));
	ck_assert_int_eq(w.rows[0].until, 0);
	world_stop();
}
END_TEST

/* A smaller share counts in its old size until it is confirmed or over; what
 * comes back is counted once. */
START_TEST(test_arithmetic)
{
	struct share_report q = {
	    .boot_epoch = 1, .session = 1, .wanted = {60 * LIMIT_UNIT, 0, 0}};
	struct share_answer s;
	int64_t got;

	world_start(9, &limits[0], 0);
	hear(0, &q, &s);
	ck_assert_int_eq(w.rows[0].size[0], 60 * LIMIT_UNIT);
	ck_assert_int_eq(w.rows[0].given[0], 60 * LIMIT_UNIT);
	hear(1, &q, &s);
	ck_assert_int_eq(w.rows[1].size[0], 0);
	ck_assert(s.more);
	q.share_id = 1;
	q.level[0] = 60 * LIMIT_UNIT;
	w.now += NS_PER_S;
	hear(0, &q, &s); /* halved, not confirmed */
	ck_assert_int_eq(w.rows[0].size[0], 30 * LIMIT_UNIT);
	ck_assert_int_eq(
	    share_counts(&w.rows[0], SHARE_REQUESTS, w.now), 60 * LIMIT_UNIT);
	hear(1, &q, &s);
	ck_assert_int_eq(w.rows[1].size[0], 0);
	/* The old share's end is as good as a word. */
	ck_assert_int_eq(share_counts(&w.rows[0], SHARE_REQUESTS,
			     w.now - NS_PER_S + SHARE_TTL_NS + SHARE_MARGIN_NS),
	    30 * LIMIT_UNIT);
	q.share_id = 2;
	q.level[0] = 30 * LIMIT_UNIT;
	q.returned[0] = 25 * LIMIT_UNIT;
	hear(0, &q, &s);
	got = w.pool.level[0];
	ck_assert_int_ge(got, 25 * LIMIT_UNIT);
	hear(0, &q, &s); /* once more, as an echo */
	q.returned[0] = 20 * LIMIT_UNIT;
	hear(0, &q, &s); /* and one from before */
	ck_assert_int_eq(w.pool.level[0], got);
	/* Nonsense harms nobody but who says it. */
	q = (struct share_report){.boot_epoch = 1,
	    .session = 1,
	    .share_id = 9,
	    .wanted = {INT64_MAX, INT64_MIN, INT64_MAX},
	    .level = {INT64_MIN, INT64_MAX},
	    .returned = {INT64_MAX, INT64_MAX},
	    .in_flight = INT64_MAX};
	hear(0, &q, &s);
	hear(1, &q, &s);
	q.level[0] = INT64_MAX;
	q.returned[0] = INT64_MIN;
	q.in_flight = INT64_MIN;
	hear(0, &q, &s);
	ck_assert_int_ge(w.rows[0].size[0], 25 * LIMIT_UNIT);
	ck_assert_int_le(w.pool.level[0], 60 * LIMIT_UNIT);
	world_stop();
}
END_TEST

/* What a bucket gathered without contact is not taken along. */
START_TEST(test_back)
{
	struct agent *a = &w.agents[0];
	Hg__RateReport **reports;
	Hg__RateShare x, *list[1] = {&x};
	int64_t sent;
	size_t n;

	world_start(10, &limits[0], 0);
	agent_start(0);
	a->demand = 30;
	world_run(5, false, false, false);
	a->cut = true;
	a->cut_until = INT64_MAX;
	world_run(30, false, false, false);
	ck_assert_int_eq(atomic_load(&a->cell.until), INT64_MAX);
	ck_assert_int_gt(atomic_load(&a->cell.req.level), 0);
	arena_clear(&w.arena);
	sent = mono(a);
	ck_assert_int_eq(
	    rate_table_report(a->table, sent, false, &w.arena, &reports, &n),
	    0);
	ck_assert_uint_eq(n, 1);
	hg__rate_share__init(&x);
	x.limit_uid = UID;
	x.session = reports[0]->session;
	x.requests_rate = 60 * LIMIT_UNIT;
	x.ttl_ms = 10000;
	(void)rate_table_reply(a->table, sent, sent, list, 1);
	ck_assert_int_eq(atomic_load(&a->cell.until), 0);
	ck_assert_int_eq(atomic_load(&a->cell.req.level), 0);
	ck_assert(rate_table_urgent(a->table));
	world_stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rates");

	UNIT_ADD(s, test_storm);
	UNIT_ADD(s, test_crashes);
	UNIT_ADD(s, test_use);
	UNIT_ADD(s, test_join);
	UNIT_ADD(s, test_newcomers);
	UNIT_ADD(s, test_steady);
	UNIT_ADD(s, test_cut);
	UNIT_ADD(s, test_idle);
	UNIT_ADD(s, test_arithmetic);
	UNIT_ADD(s, test_back);
	return unit_run(s);
}
