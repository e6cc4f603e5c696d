/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I5, message algebra: what an agent told is cumulative, so a message that
 * comes again, late or behind younger ones changes nothing. Now and then the
 * last messages are handled once more in their order (some of them had no
 * effect: urgent heartbeats leave the reports out, a batch behind a gap is not
 * booked), and then again with the youngest first: that must change nothing.
 * The registry's sequence check, which keeps most of them away otherwise, is
 * passed by. What a message asks for is left out: asking again may bring more.
 *
 * Nothing is drawn from the seed and the database is put back, so that a run
 * goes on as if this had not been.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/money/exchange.h"
#include "controlplane/store/store_usage.h"
#include "proto/envelope.h"
#include "tests/sim/sim.h"

#define ALGEBRA_EVERY 24 /* messages */

static void
algebra_beat(struct sim *s, const struct sim_msg *m, struct arena *a)
{
	Hg__Heartbeat *ask = proto_unpack(&hg__heartbeat__descriptor,
	    str_make((const char *)m->bytes, m->len), a);
	struct grant_config cfg = grant_default;
	struct exchange x = {.agent_id = str_of(s->agents[m->agent]->id),
	    .boot_epoch = m->boot,
	    .now = sim_control_now(s, m->replica),
	    .cfg = &cfg};
	struct error e;
	int rc;

	MUST(ask != NULL);
	cfg.fence_ms = s->fence_ms;
	cfg.agents_most = s->agents_most;
	for (size_t i = 0; i < ask->n_leases; i++) {
		Hg__LeaseReport *r = ask->leases[i];

		r->want_min = r->want_total = r->rate_per_s = r->w_p99 = 0;
		r->steady_rate = 0;
		r->in_use = 0; /* of then: settled since, it is asked for */
	}
	rc = exchange_run(&x, sim_db(s), ask->leases, ask->n_leases, a, &e);
	/* Money of a process that has a successor is not moved by its word. */
	if (rc != 0 &&
	    (rc != ERR_VERSION || m->boot >= s->db.agents[m->agent].boot))
		sim_fail(s, "I5: a report again: %s", e.text);
}

static void
algebra_usage(struct sim *s, const struct sim_msg *m, struct arena *a)
{
	Hg__UsageBatch *b = proto_unpack(&hg__usage_batch__descriptor,
	    str_make((const char *)m->bytes, m->len), a);
	struct usage_result r = {0};
	struct error e;

	MUST(b != NULL);
	if (store_usage_ingest(sim_store(s), str_of(s->agents[m->agent]->id), b,
		sim_control_now(s, m->replica), &r, &e) != 0)
		sim_fail(s, "I5: a batch again: %s", e.text);
}

static void
algebra_lease(
    struct sim *s, const struct sim_msg *m, unsigned i, const struct m_lease *b)
{
	const struct m_lease *l = &s->db.leases[i];

	if (l->granted == b->granted && l->settled == b->settled &&
	    l->returned == b->returned && l->high_water == b->high_water &&
	    l->r_settled == b->r_settled && l->doubtful == b->doubtful)
		return;
	sim_fail(s,
	    "I5: message %" PRIu64 " of agent %u again: lease of agent %u on "
	    "budget %" PRIu64 ": G %" PRId64 " S %" PRId64 " R %" PRId64
	    " H %" PRId64 " s %" PRId64 " becomes G %" PRId64 " S %" PRId64
	    " R %" PRId64 " H %" PRId64 " s %" PRId64,
	    m->seq, m->agent, l->agent, l->uid, b->granted, b->settled,
	    b->returned, b->high_water, b->r_settled, l->granted, l->settled,
	    l->returned, l->high_water, l->r_settled);
}

/* Periods and leases without money may be made by any message. */
static void
algebra_compare(
    struct sim *s, const struct sim_msg *m, const struct m_db *before)
{
	for (unsigned i = 0; i < before->n_leases; i++)
		algebra_lease(s, m, i, &before->leases[i]);
	for (unsigned i = 0; i < before->n_periods; i++)
		if (s->db.periods[i].settled != before->periods[i].settled ||
		    s->db.periods[i].held != before->periods[i].held)
			sim_fail(s,
			    "I5: message %" PRIu64
			    " of agent %u again: budget %" PRIu64
			    ": settled %" PRId64 " becomes %" PRId64,
			    m->seq, m->agent, before->periods[i].uid,
			    before->periods[i].settled,
			    s->db.periods[i].settled);
	for (unsigned i = before->n_leases; i < s->db.n_leases; i++)
		if (s->db.leases[i].granted != 0)
			sim_fail(s,
			    "I5: message %" PRIu64
			    " of agent %u again: a new lease of %" PRId64,
			    m->seq, m->agent, s->db.leases[i].granted);
	if (s->db.n_usage != before->n_usage ||
	    s->db.ledger != before->ledger ||
	    s->db.quarantined != before->quarantined)
		sim_fail(s,
		    "I5: message %" PRIu64
		    " of agent %u again: %u records booked, before %u",
		    m->seq, m->agent, s->db.n_usage, before->n_usage);
}

static void
algebra_again(struct sim *s, uint64_t at)
{
	const struct sim_msg *m = &s->algebra.old[at % SIM_OLD];
	struct arena a;

	if (m->bytes == NULL || s->failed)
		return;
	arena_init(&a, 4096, (size_t)16 << 20);
	if (m->type == MSG_BEAT)
		algebra_beat(s, m, &a);
	else
		algebra_usage(s, m, &a);
	db_rollback(sim_db(s));
	arena_release(&a);
}

static void
algebra_twice(struct sim *s)
{
	uint64_t n = s->algebra.n;

	for (unsigned i = 0; i < SIM_OLD; i++)
		algebra_again(s, n + i);
	sim_db_copy(s->algebra.once, &s->db);
	for (unsigned i = SIM_OLD; i > 0 && !s->failed; i--) {
		algebra_again(s, n + i - 1);
		algebra_compare(
		    s, &s->algebra.old[(n + i - 1) % SIM_OLD], s->algebra.once);
	}
}

/* What is booked is counted at the requests, too. */
static void
algebra_put_back(struct sim *s)
{
	for (unsigned i = s->algebra.before->n_usage; i < s->db.n_usage; i++) {
		s->reqs[s->usage[i].req].rows--;
		s->reqs[s->usage[i].req].booked -= s->usage[i].cost;
	}
	sim_db_copy(&s->db, s->algebra.before);
}

static void
algebra_check(struct sim *s)
{
	bool lost = s->db_lost, lies = s->commit_lies;
	long after = s->fail_after;

	if (s->algebra.before == NULL) {
		s->algebra.before = calloc(2, sizeof(*s->algebra.before));
		MUST(s->algebra.before != NULL);
		s->algebra.once = s->algebra.before + 1;
	}
	sim_db_copy(s->algebra.before, &s->db);
	s->db_lost = s->commit_lies = false;
	s->fail_after = -1;
	s->depth += 2; /* nobody else meanwhile */
	algebra_twice(s);
	s->depth -= 2;
	s->db_lost = lost;
	s->commit_lies = lies;
	s->fail_after = after;
	algebra_put_back(s);
}

void
sim_algebra(struct sim *s, const struct sim_msg *m)
{
	struct sim_msg *keep = &s->algebra.old[s->algebra.n % SIM_OLD];

	if (m->type == MSG_HELLO || s->depth > 0 || s->failed)
		return;
	free(keep->bytes);
	*keep = *m;
	keep->bytes = malloc(m->len + 1);
	MUST(keep->bytes != NULL);
	memcpy(keep->bytes, m->bytes, m->len);
	if (++s->algebra.n % ALGEBRA_EVERY == 0)
		algebra_check(s);
}

void
sim_algebra_release(struct sim *s)
{
	for (unsigned i = 0; i < SIM_OLD; i++)
		free(s->algebra.old[i].bytes);
	free(s->algebra.before);
}
