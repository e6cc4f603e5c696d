/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange of shares of limits: what a heartbeat reports, in one
 * transaction of its own. A failure costs the agent nothing but this answer:
 * its shares hold to their end.
 */
#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"
#include "controlplane/store/store_rate.h"

#define RATES_MAX   1024 /* reports of one heartbeat */
#define RATES_TRIES 3

static void
rates_hear(const Hg__RateReport *m, struct share_report *q, uint64_t boot_epoch)
{
	*q = (struct share_report){.boot_epoch = boot_epoch,
	    .session = m->session,
	    .share_id = m->share_id,
	    .release = m->release,
	    .wanted = {m->requests_wanted, m->tokens_wanted, m->places_wanted},
	    .level = {m->requests_level, m->tokens_level},
	    .returned = {m->requests_returned, m->tokens_returned},
	    .in_flight = m->in_flight};
}

static int
rates_answer(struct arena *a, const Hg__RateReport *m,
    const struct share_row *me, const struct share_answer *s,
    Hg__RateShare **ret)
{
	Hg__RateShare *x = arena_alloc(a, sizeof(*x));

	if (x == NULL)
		return ERR_NOMEM;
	hg__rate_share__init(x);
	x->limit_uid = m->limit_uid;
	x->session = m->session;
	x->share_id = me->share_id;
	x->requests_rate = me->size[SHARE_REQUESTS];
	x->tokens_rate = me->size[SHARE_TOKENS];
	x->places = me->size[SHARE_PLACES];
	x->requests_given = me->given[SHARE_REQUESTS];
	x->tokens_given = me->given[SHARE_TOKENS];
	x->ttl_ms = (uint32_t)(SHARE_TTL_NS / NS_PER_MS);
	x->n_agents = s->n_agents;
	x->more = s->more;
	*ret = x;
	return 0;
}

/* Under the locks of the limits. */
static int
rates_decide(struct request *rq, const Hg__Heartbeat *m, struct rate_view *v,
    int64_t now, Hg__HeartbeatReply *reply)
{
	struct share_report q;
	struct share_answer s;
	size_t i;
	int rc = 0;

	for (i = 0, reply->n_rates = 0; rc == 0 && i < m->n_rates; i++) {
		if (!v[i].found)
			continue;
		rates_hear(m->rates[i], &q, rq->env.boot_epoch);
		share_decide(&v[i].limit, &v[i].pool, v[i].rows, v[i].n,
		    v[i].me, &q, now, &s);
		if (s.stale || q.release)
			continue;
		rc = rates_answer(rq->a, m->rates[i], &v[i].rows[v[i].me], &s,
		    &reply->rates[reply->n_rates]);
		if (rc == 0)
			reply->n_rates++;
	}
	return rc;
}

static int
rates_try(struct request *rq, struct db *db, const Hg__Heartbeat *m,
    int64_t now, Hg__HeartbeatReply *reply, struct error *e)
{
	struct rate_view *v = arena_zalloc(rq->a, m->n_rates * sizeof(*v));
	size_t i;
	int rc;

	if (v == NULL)
		return err_set(e, ERR_NOMEM, "no memory for shares");
	for (i = 0; i < m->n_rates; i++)
		v[i].limit_uid = m->rates[i]->limit_uid;
	rc = db_begin(db, e);
	if (rc == 0)
		rc = store_rate_lock(db, rq->env.sender, v, m->n_rates, e);
	if (rc == 0)
		rc = rates_decide(rq, m, v, now, reply);
	if (rc == 0)
		rc =
		    store_rate_write(db, rq->env.sender, v, m->n_rates, now, e);
	if (rc == 0)
		rc = db_commit(db, e);
	if (rc != 0)
		db_rollback(db);
	store_rate_free(v, m->n_rates);
	return rc;
}

/* A limit twice in one report would be decided twice on the same rows. */
static bool
rates_are_distinct(const Hg__Heartbeat *m)
{
	size_t i, k;

	for (i = 1; i < m->n_rates; i++)
		for (k = 0; k < i; k++)
			if (m->rates[i]->limit_uid == m->rates[k]->limit_uid)
				return false;
	return true;
}

void
rates_exchange(struct request *rq, const Hg__Heartbeat *m, int64_t now,
    Hg__HeartbeatReply *reply)
{
	struct error e = {0};
	struct db *db = NULL;
	int rc, tries;

	if (m->n_rates == 0)
		return;
	if (m->n_rates > RATES_MAX || !rates_are_distinct(m)) {
		log_warn("malformed reports on limits",
		    LFS("agent", rq->env.sender),
		    LFI("reports", (int64_t)m->n_rates));
		return;
	}
	reply->rates = arena_alloc(rq->a, m->n_rates * sizeof(Hg__RateShare *));
	rc = reply->rates == NULL ? ERR_NOMEM
				  : store_take(rq->f->o.store, &db, &e);
	for (tries = 0; rc == 0 && tries < RATES_TRIES; tries++) {
		rc = rates_try(rq, db, m, now, reply, &e);
		if (rc != ERR_AGAIN)
			break;
		rc = tries + 1 < RATES_TRIES ? 0 : rc;
	}
	store_give(db);
	if (rc == 0)
		return;
	reply->n_rates = 0;
	log_warn("no shares of limits for an agent",
	    LFS("agent", rq->env.sender), LF("code", err_name(rc)),
	    LF("error", e.text));
}
