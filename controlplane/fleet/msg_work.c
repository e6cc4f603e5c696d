/* SPDX-License-Identifier: Apache-2.0 */
/* Pull, heartbeat with leases and acks, usage. */
#include <sodium.h>
#include <stdio.h>

#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"
#include "controlplane/money/exchange.h"
#include "controlplane/money/value.h"
#include "controlplane/store/store_usage.h"

#define ACKS_MAX	64
#define USAGE_OUTAGE_MS 1000 /* the database is away */

/* ---- pull
 * -------------------------------------------------------------------- */

int
msg_pull(struct request *rq)
{
	struct fleet *f = rq->f;
	struct state_bundle *b = NULL;
	Hg__PullRequest *m;
	Hg__PullReply reply;
	int rc;

	m = request_unpack(rq, &hg__pull_request__descriptor);
	if (m == NULL)
		return ERR_INVALID;
	rc = state_bundle(f->state, rq->agent.group, m->have_version,
	    str_make((const char *)m->have_hash.data, m->have_hash.len),
	    m->want_version, &b, &rq->e);
	if (rc != 0)
		return rc;
	hg__pull_reply__init(&reply);
	if (b != NULL) {
		bool follows =
		    m->want_version == b->version && m->offset <= b->len;
		size_t at = follows ? (size_t)m->offset : 0;
		size_t n = b->len - at;

		reply.version = b->version;
		reply.total = b->len;
		reply.offset = at;
		reply.data.data = (uint8_t *)b->data + at;
		reply.data.len = n < BUNDLE_PART ? n : BUNDLE_PART;
		if (at == 0)
			atomic_fetch_add(
			    b->base == 0 ? &f->snapshots : &f->deltas, 1);
	}
	rc = request_answer(rq, &reply.base);
	state_bundle_unref(b);
	return rc;
}

/* ---- heartbeat
 * ---------------------------------------------------------------- */

static void
heartbeat_note(struct request *rq, const Hg__Heartbeat *m, int64_t now)
{
	struct agent_beat b = {.at = now,
	    .active_version = m->active_version,
	    .unshipped = m->journal_unshipped,
	    .oldest_unshipped = m->journal_oldest,
	    .requests_total = m->requests_total};

	snprintf(b.state, sizeof(b.state), "%s", m->state);
	registry_beat(rq->f->registry, rq->env.sender, &b);
}

static int
heartbeat_acks(struct request *rq, struct db *db, const Hg__Heartbeat *m)
{
	struct ack_new acks[ACKS_MAX];
	size_t i;

	if (m->n_acks > ACKS_MAX)
		return err_set(&rq->e, ERR_TOO_LARGE, "%zu acks", m->n_acks);
	for (i = 0; i < m->n_acks; i++) {
		const Hg__ConfigAck *a = m->acks[i];

		acks[i] = (struct ack_new){.version = a->version,
		    .level = (int)a->level,
		    .item_kind = (int)a->kind,
		    .item = str_of(a->item),
		    .reason = str_of(a->reason),
		    .at = a->at};
		if (a->level == HG__ACK_LEVEL__ACK_REJECTED)
			log_error("agent rejected a configuration",
			    LFS("agent", rq->env.sender),
			    LFI("version", a->version), LF("item", a->item),
			    LF("reason", a->reason));
	}
	return store_ack_put(db, rq->env.sender, acks, m->n_acks, &rq->e);
}

static int
heartbeat_store(struct request *rq, const Hg__Heartbeat *m, struct exchange *x)
{
	struct db *db = NULL;
	int rc;

	if (m->n_acks == 0 && m->n_leases == 0)
		return 0;
	rc = store_take(rq->f->o.store, &db, &rq->e);
	if (rc == 0 && m->n_leases > 0)
		rc = value_exchange(
		    x, db, m->leases, m->n_leases, rq->a, &rq->e);
	if (rc == 0 && m->n_acks > 0)
		rc = heartbeat_acks(rq, db, m);
	store_give(db);
	atomic_fetch_add(&rq->f->grants, x->n_given);
	atomic_fetch_add(&rq->f->granted, x->given);
	return rc;
}

static int
heartbeat_key(struct request *rq, const Hg__Heartbeat *m,
    uint8_t key[GROUP_KEY_LEN], Hg__HeartbeatReply *reply)
{
	int rc = fleet_group_key(
	    rq->f, rq->agent.group, key, &reply->group_key_id, &rq->e);

	if (rc == 0 && reply->group_key_id != m->group_key_id) {
		reply->group_key.data = key;
		reply->group_key.len = GROUP_KEY_LEN;
	}
	return rc;
}

int
msg_heartbeat(struct request *rq)
{
	struct fleet *f = rq->f;
	int64_t now = clock_wall(f->clock);
	struct grant_config cfg = grant_default;
	struct exchange x = {.agent_id = rq->env.sender,
	    .boot_epoch = rq->env.boot_epoch,
	    .now = now,
	    .cfg = &cfg};
	uint8_t key[GROUP_KEY_LEN];
	Hg__HeartbeatReply reply;
	Hg__Heartbeat *m;
	int rc;

	cfg.agents_most = atomic_load(&f->agents_most);
	m = request_unpack(rq, &hg__heartbeat__descriptor);
	if (m == NULL)
		return ERR_INVALID;
	if (m->instance_id[0] != '\0' &&
	    !str_eqz(str_of(m->instance_id), rq->agent.instance_id))
		return err_set(&rq->e, ERR_VERSION,
		    "another process holds this boot epoch");
	rc = request_once(rq);
	if (rc != 0)
		return rc;
	x.lease_only = m->lease_only;
	heartbeat_note(rq, m, now);
	rc = heartbeat_store(rq, m, &x);
	if (rc != 0)
		return rc;
	hg__heartbeat_reply__init(&reply);
	rc = heartbeat_key(rq, m, key, &reply);
	if (rc != 0)
		return rc;
	reply.latest_version = state_version(f->state);
	reply.now = now;
	reply.heartbeat_ms = f->o.heartbeat_ms;
	reply.grants = x.grants;
	reply.n_grants = x.n_grants;
	rates_exchange(rq, m, now, &reply);
	rc = request_answer(rq, &reply.base);
	sodium_memzero(key, sizeof(key));
	return rc;
}

/* ---- usage
 * --------------------------------------------------------------------- */

/* The old process's journal is complete: free its leases. When that fails the
 * batch is not acknowledged: nobody would try again before the next start. */
static int
usage_last(struct request *rq, const Hg__UsageBatch *m)
{
	int64_t released = 0;
	int rc;

	if (!m->last || m->boot_epoch >= rq->agent.boot_epoch)
		return 0;
	rc = store_lease_release(rq->f->o.store, rq->env.sender,
	    rq->agent.boot_epoch, &released, &rq->e);
	if (rc == 0 && released > 0)
		log_info("leases of a dead process freed",
		    LFS("agent", rq->env.sender), LFI("epoch", m->boot_epoch),
		    LFI("released_nanousd", released));
	return rc;
}

static int
usage_ingest(struct request *rq, const Hg__UsageBatch *m, Hg__UsageAck *ack)
{
	struct fleet *f = rq->f;
	struct usage_result r = {0};
	int rc;

	rc = store_usage_ingest(
	    f->o.store, rq->env.sender, m, clock_wall(f->clock), &r, &rq->e);
	if (rc == ERR_AGAIN || rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT) {
		atomic_fetch_add(&f->usage_slowed, 1);
		ack->error_code = ERR_AGAIN;
		ack->retry_ms = ingest_retry_ms(f);
		if (ack->retry_ms < USAGE_OUTAGE_MS)
			ack->retry_ms = USAGE_OUTAGE_MS;
		return 0;
	}
	if (rc != 0)
		return rc;
	ack->watermark = r.watermark;
	atomic_fetch_add(&f->usage_batches, 1);
	atomic_fetch_add(&f->usage_records, r.accepted);
	if (r.gap)
		log_warn("usage batch starts above the watermark",
		    LFS("agent", rq->env.sender), LFI("epoch", m->boot_epoch),
		    LFI("shard", m->shard), LFI("first_seq", m->first_seq),
		    LFI("watermark", r.watermark));
	ingest_rejects(f, rq->env.sender, m, &r);
	if (!r.gap && usage_last(rq, m) != 0) {
		ack->error_code = ERR_AGAIN;
		ack->retry_ms = USAGE_OUTAGE_MS;
	}
	return 0;
}

int
msg_usage(struct request *rq)
{
	struct fleet *f = rq->f;
	Hg__UsageBatch *m = request_unpack(rq, &hg__usage_batch__descriptor);
	Hg__UsageAck ack;
	int64_t began;
	int rc = 0;

	if (m == NULL)
		return ERR_INVALID;
	if (m->boot_epoch > rq->env.boot_epoch)
		return err_set(&rq->e, ERR_INVALID,
		    "usage of a boot epoch that has not begun");
	hg__usage_ack__init(&ack);
	ack.boot_epoch = m->boot_epoch;
	ack.shard = m->shard;
	/* Heartbeats must find a free worker and a connection. */
	began = clock_mono(f->clock);
	if (!ingest_enter(f, &ack.retry_ms)) {
		ack.error_code = ERR_AGAIN;
	} else {
		rc = usage_ingest(rq, m, &ack);
		ingest_leave(f, began);
	}
	return rc != 0 ? rc : request_answer(rq, &ack.base);
}
