/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. */
#include "controlplane/fleet/share.h"

#include <string.h>

#define SHARE_MINUTE (60 * NS_PER_S)

static int64_t
share_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
share_max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* x * a / b without overflow in between. */
static int64_t
share_part(int64_t x, int64_t a, int64_t b)
{
	return b <= 0 ? 0 : (int64_t)((__int128)x * a / b);
}

int64_t
share_counts(const struct share_row *r, enum share_dim d, int64_t now)
{
	int64_t n = 0;

	if (now < r->until)
		n = r->size[d];
	if (now < r->old_until)
		n = share_max(n, r->old[d]);
	if (d == SHARE_PLACES && now < share_max(r->until, r->old_until))
		n = share_max(n, r->in_flight);
	return n;
}

/* What a row's share of a rate let flow between two instants. */
static __int128
share_flow(
    const struct share_row *r, enum share_dim d, int64_t from, int64_t to)
{
	int64_t a = share_min(r->until, r->old_until),
		b = share_max(r->until, r->old_until), n;
	__int128 sum = 0;

	a = share_min(share_max(a, from), to);
	b = share_min(share_max(b, from), to);
	if (a > from)
		sum += (__int128)(a - from) * share_counts(r, d, from);
	n = r->until > r->old_until ? r->size[d] : r->old[d];
	return sum + (__int128)(b - a) * n;
}

/* Not lent at `now`; below 0 when the limit was lowered. */
static int64_t
share_free(const struct share_limit *lim, const struct share_row *rows,
    size_t n, enum share_dim d, int64_t now)
{
	int64_t left = lim->size[d];
	size_t i;

	for (i = 0; i < n; i++)
		left -= share_counts(&rows[i], d, now);
	return left;
}

/* The pool's bucket may hold the burst's part of what is not lent. */
static void
pool_cap(const struct share_limit *lim, struct share_pool *p,
    const struct share_row *rows, size_t n, int64_t now)
{
	int d;

	for (d = 0; d < SHARE_RATES; d++) {
		int64_t left = share_free(lim, rows, n, (enum share_dim)d, now);
		int64_t cap =
		    left > 0 ? share_part(lim->burst[d], left, lim->size[d])
			     : 0;

		p->level[d] = share_min(p->level[d], cap);
	}
}

/* Let flow in what was not lent since the last decision. */
static void
pool_fill(const struct share_limit *lim, struct share_pool *p,
    const struct share_row *rows, size_t n, int64_t now)
{
	int64_t dt = now - p->at;
	__int128 flow;
	size_t i;
	int d;

	if (p->is_new) {
		for (d = 0; d < SHARE_RATES; d++)
			p->level[d] = lim->burst[d];
		p->at = now;
		p->is_new = false;
	}
	if (dt <= 0)
		return;
	for (d = 0; d < SHARE_RATES; d++) {
		flow = (__int128)lim->size[d] * dt;
		for (i = 0; i < n; i++)
			flow -=
			    share_flow(&rows[i], (enum share_dim)d, p->at, now);
		flow /= SHARE_MINUTE;
		if (flow <= 0)
			continue;
		if (flow > lim->burst[d])
			flow = lim->burst[d];
		p->level[d] =
		    share_min(p->level[d] + (int64_t)flow, lim->burst[d]);
	}
	p->at = now;
}

/* ---- what is fair ---- */

static bool
share_lives(const struct share_row *r, int64_t now)
{
	return now < r->until;
}

/* A quarter more of a rate than was used: room to grow. */
static int64_t
share_want(const struct share_row *r, enum share_dim d, int64_t size)
{
	int64_t w = share_min(r->wanted[d], size);

	if (d != SHARE_PLACES)
		w += w / 4;
	return share_min(w, size);
}

/* The level up to which everybody's want is met when not all can be. */
static int64_t
share_level(const struct share_limit *lim, const struct share_row *rows,
    size_t n, enum share_dim d, int64_t now)
{
	int64_t size = lim->size[d], left, level = 0, next;
	size_t i, open;

	for (;;) {
		left = size;
		open = 0;
		for (i = 0; i < n; i++) {
			int64_t w;

			if (!share_lives(&rows[i], now))
				continue;
			w = share_want(&rows[i], d, size);
			left -= w <= level ? w : 0;
			open += w > level ? 1 : 0;
		}
		if (open == 0)
			return size;
		next = left / (int64_t)open;
		if (next <= level)
			return level;
		level = next;
	}
}

static int64_t
share_fair(const struct share_limit *lim, const struct share_row *rows,
    size_t n, size_t me, enum share_dim d, int64_t now)
{
	int64_t size = lim->size[d], sum = 0, live = 0, mine;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!share_lives(&rows[i], now))
			continue;
		live++;
		sum += share_min(share_want(&rows[i], d, size), size);
	}
	mine = share_want(&rows[me], d, size);
	if (sum <= size)
		return mine + (size - sum) / (live > 0 ? live : 1);
	/* Places are whole: what is left of the division goes to who comes. */
	return share_min(mine,
	    share_level(lim, rows, n, d, now) + (d == SHARE_PLACES ? 1 : 0));
}

/* Is somebody short of what he may have? Then shares move. So is who has less
 * than half of his want and his part of the rest: what he wants can only be
 * seen when he has it, and who joined last was lent what was left over. */
static bool
share_short(const struct share_limit *lim, const struct share_row *rows,
    size_t n, enum share_dim d, int64_t now)
{
	int64_t size = lim->size[d], rest = size, live = 0, want;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!share_lives(&rows[i], now))
			continue;
		want = share_want(&rows[i], d, size);
		if (rows[i].size[d] < want)
			return true;
		rest = share_max(rest - want, 0);
		live++;
	}
	for (i = 0; i < n; i++) {
		if (!share_lives(&rows[i], now))
			continue;
		want = share_want(&rows[i], d, size);
		if (rows[i].size[d] < (want + rest / live) / 2)
			return true;
	}
	return false;
}

/* ---- deciding ---- */

static int64_t
share_clamp(int64_t v, int64_t least, int64_t most)
{
	return v < least ? least : share_min(v, most);
}

/* Nothing that an agent says passes what the limit allows. */
static struct share_report
share_tame(const struct share_limit *lim, const struct share_row *me,
    const struct share_report *q)
{
	struct share_report r = *q;
	int d;

	for (d = 0; d < SHARE_N; d++)
		r.wanted[d] = share_clamp(q->wanted[d], 0, lim->size[d]);
	for (d = 0; d < SHARE_RATES; d++) {
		r.level[d] =
		    share_clamp(q->level[d], -lim->burst[d], lim->burst[d]);
		r.returned[d] = share_max(q->returned[d], 0);
		if (r.returned[d] - me->returned[d] > lim->burst[d])
			r.returned[d] = me->returned[d] + lim->burst[d];
	}
	r.in_flight = share_clamp(q->in_flight, 0, lim->size[SHARE_PLACES]);
	return r;
}

/* Take in what the agent says. False: of a session that is over. */
static bool
share_hear(struct share_pool *p, struct share_row *me,
    const struct share_report *q, int64_t now)
{
	int d;

	if (q->boot_epoch < me->boot_epoch ||
	    (q->boot_epoch == me->boot_epoch && q->session < me->session))
		return false;
	if (q->boot_epoch != me->boot_epoch) {
		/* The old process may have gone on to the end of its share. */
		for (d = 0; d < SHARE_N; d++)
			me->old[d] = share_counts(me, (enum share_dim)d, now);
		me->old_until = share_max(me->until, me->old_until);
		me->until = 0;
	} else if (q->session != me->session) {
		me->until = me->old_until = 0; /* it began anew by itself */
	}
	if (q->boot_epoch != me->boot_epoch || q->session != me->session) {
		me->boot_epoch = q->boot_epoch;
		me->session = q->session;
		me->share_id = 0;
		memset(me->size, 0, sizeof(me->size));
		memset(me->given, 0, sizeof(me->given));
		/* A message of long ago may open a row again: what it returned
		 * was counted then. */
		memcpy(me->returned, q->returned, sizeof(me->returned));
		me->in_flight = 0;
	} else if (q->share_id == me->share_id) {
		me->old_until = 0; /* the smaller one is in force */
	}
	for (d = 0; d < SHARE_RATES; d++) {
		if (q->returned[d] > me->returned[d]) {
			/* no more comes back than was put in or flowed in */
			p->level[d] += q->returned[d] - me->returned[d];
			me->returned[d] = q->returned[d];
		}
	}
	memcpy(me->wanted, q->wanted, sizeof(me->wanted));
	me->in_flight = q->in_flight;
	return true;
}

/* A new share in one dimension. */
static int64_t
share_new(const struct share_limit *lim, const struct share_row *rows, size_t n,
    size_t me, enum share_dim d, int64_t now, bool *more)
{
	const struct share_row *r = &rows[me];
	int64_t others, want, fair, may;

	if (lim->size[d] <= 0)
		return 0;
	others = lim->size[d] - share_free(lim, rows, n, d, now) -
		 share_counts(r, d, now);
	may = share_max(lim->size[d] - others, 0);
	want = share_want(r, d, lim->size[d]);
	if (r->size[d] >= want && r->size[d] > 0 && r->size[d] <= may &&
	    !share_short(lim, rows, n, d, now))
		return r->size[d];
	fair = share_fair(lim, rows, n, me, d, now);
	if (fair > may)
		*more = true;
	return share_min(fair, may);
}

static void
share_give(const struct share_limit *lim, struct share_pool *p,
    struct share_row *me, const struct share_report *q, bool is_new)
{
	int64_t depth, room, more;
	int d;

	for (d = 0; d < SHARE_RATES; d++) {
		depth = share_part(lim->burst[d], me->size[d], lim->size[d]);
		/* What was given and is not there yet comes with the answer. */
		room =
		    depth - (is_new ? share_min(q->level[d], 0) : q->level[d]);
		more = share_min(p->level[d], share_min(room, depth));
		if (more <= 0)
			continue;
		p->level[d] -= more;
		me->given[d] += more;
	}
}

void
share_decide(const struct share_limit *lim, struct share_pool *pool,
    struct share_row *rows, size_t n, size_t me,
    const struct share_report *said, int64_t now, struct share_answer *ret)
{
	struct share_row *r = &rows[me];
	struct share_report tame = share_tame(lim, r, said), *q = &tame;
	int64_t size[SHARE_N], counted[SHARE_N], ends;
	bool is_new;
	size_t i;
	int d;

	memset(ret, 0, sizeof(*ret));
	pool_fill(lim, pool, rows, n, now);
	if (!share_hear(pool, r, q, now)) {
		ret->stale = true;
		return;
	}
	is_new = r->share_id == 0 || q->share_id == 0;
	if (q->release) {
		memset(r->size, 0, sizeof(r->size));
		r->until = 0;
		r->old_until = 0;
		r->in_flight = 0;
		pool_cap(lim, pool, rows, n, now);
		return;
	}
	for (d = 0; d < SHARE_N; d++)
		counted[d] = share_counts(r, (enum share_dim)d, now);
	ends = share_max(r->until, r->old_until);
	r->until = now + SHARE_TTL_NS + SHARE_MARGIN_NS;
	for (i = 0; i < n; i++)
		ret->n_agents += share_lives(&rows[i], now) ? 1 : 0;
	for (d = 0; is_new && d < SHARE_N; d++) /* not known: its part */
		r->wanted[d] = share_max(r->wanted[d],
		    (lim->size[d] + ret->n_agents - 1) / ret->n_agents);
	for (d = 0; d < SHARE_N; d++)
		size[d] = share_new(
		    lim, rows, n, me, (enum share_dim)d, now, &ret->more);
	for (d = 0; d < SHARE_N; d++) {
		if (size[d] < counted[d]) {
			memcpy(r->old, counted, sizeof(r->old));
			r->old_until = ends;
		}
	}
	memcpy(r->size, size, sizeof(r->size));
	r->share_id++;
	share_give(lim, pool, r, q, is_new);
	pool_cap(lim, pool, rows, n, now);
}
