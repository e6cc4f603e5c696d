/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane: what controlplane/fleet does with a hello, a heartbeat
 * and a usage batch (service.c, msg_join.c, msg_work.c), without envelopes
 * and without a network. Each replica has its own registry, so it may not
 * know yet what the other one heard.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/money/exchange.h"
#include "controlplane/store/store_usage.h"
#include "proto/envelope.h"
#include "tests/sim/sim.h"

int64_t
sim_control_now(const struct sim *s, unsigned replica)
{
	return SIM_WALL0 + s->now + s->cp_skew[replica];
}

static void
control_pack(struct sim_msg *reply, const ProtobufCMessage *m)
{
	reply->len = protobuf_c_message_get_packed_size(m);
	reply->bytes = malloc(reply->len + 1);
	MUST(reply->bytes != NULL);
	(void)protobuf_c_message_pack(m, reply->bytes);
}

static void *
control_unpack(const struct sim_msg *m, const ProtobufCMessageDescriptor *type,
    struct arena *a)
{
	return proto_unpack(type, str_make((const char *)m->bytes, m->len), a);
}

static void
control_load(
    struct sim *s, unsigned replica, unsigned agent, struct agent_entry *e)
{
	const struct m_agent *row = &s->db.agents[agent];

	memset(e, 0, sizeof(*e));
	memcpy(e->id, s->agents[agent]->id, 37);
	e->boot_epoch = row->boot;
	(void)snprintf(
	    e->instance_id, sizeof(e->instance_id), "%" PRIx64, row->instance);
	MUST(registry_put(s->replicas[replica], e) == 0);
}

static bool
control_boot_known(const struct sim *s, unsigned agent, uint64_t boot)
{
	for (unsigned i = 0; i < s->db.n_boots; i++)
		if (s->db.boots[i].agent == agent &&
		    s->db.boots[i].boot == boot)
			return true;
	return false;
}

/* request_sender(), request_epoch() */
static int
control_admit(struct sim *s, const struct sim_msg *m, struct agent_entry *e)
{
	struct registry *r = s->replicas[m->replica];
	struct str id = str_of(s->agents[m->agent]->id);

	if (registry_get(r, id, e) != 0)
		control_load(s, m->replica, m->agent, e);
	if (!registry_accept(r, id, m->boot, m->seq))
		return ERR_CONFLICT;
	if (m->type == MSG_HELLO || m->boot == e->boot_epoch)
		return 0;
	control_load(s, m->replica, m->agent, e);
	if (m->boot > e->boot_epoch)
		return ERR_PRECONDITION;
	if (m->boot == e->boot_epoch || s->plant == PLANT_OLD_BOOT)
		return 0;
	if (m->type == MSG_USAGE && control_boot_known(s, m->agent, m->boot))
		return 0;
	return ERR_VERSION;
}

static int
control_hello(struct sim *s, const struct sim_msg *m)
{
	struct agent_entry e;
	int64_t released;
	int rc, code = 0;
	struct db *db = sim_db(s);

	rc = db_begin(db, NULL);
	if (rc != 0)
		return rc;
	if (!sim_db_hello(s, m->agent, m->boot, m->instance,
		s->agents[m->agent]->n_shards, sim_control_now(s, m->replica),
		&code)) {
		db_rollback(db);
		return code;
	}
	rc = db_commit(db, NULL);
	if (rc != 0)
		return rc;
	control_load(s, m->replica, m->agent, &e);
	rc = store_lease_release(sim_store(s), str_of(s->agents[m->agent]->id),
	    m->boot, &released, NULL);
	(void)registry_accept(s->replicas[m->replica],
	    str_of(s->agents[m->agent]->id), m->boot, m->seq);
	return rc;
}

static int
control_beat(struct sim *s, const struct sim_msg *m,
    const struct agent_entry *entry, struct arena *a, struct sim_msg *reply)
{
	Hg__Heartbeat *ask = control_unpack(m, &hg__heartbeat__descriptor, a);
	Hg__HeartbeatReply answer = HG__HEARTBEAT_REPLY__INIT;
	int64_t now = sim_control_now(s, m->replica);
	struct grant_config cfg = grant_default;
	struct exchange x = {.agent_id = str_of(s->agents[m->agent]->id),
	    .boot_epoch = m->boot,
	    .now = now,
	    .cfg = &cfg};
	struct error e;
	int rc;

	MUST(ask != NULL);
	if (strcmp(ask->instance_id, entry->instance_id) != 0 &&
	    s->plant != PLANT_OLD_BOOT)
		return ERR_VERSION;
	cfg.fence_ms = s->fence_ms;
	cfg.agents_most = s->agents_most;
	x.lease_only = ask->lease_only;
	s->db.agents[m->agent].last_seen = now;
	rc = exchange_run(&x, sim_db(s), ask->leases, ask->n_leases, a, &e);
	if (rc != 0)
		return rc;
	answer.now = now;
	answer.grants = x.grants;
	answer.n_grants = x.n_grants;
	control_pack(reply, &answer.base);
	return 0;
}

static int
control_usage(struct sim *s, const struct sim_msg *m,
    const struct agent_entry *entry, struct arena *a, struct sim_msg *reply)
{
	Hg__UsageBatch *b = control_unpack(m, &hg__usage_batch__descriptor, a);
	struct str id = str_of(s->agents[m->agent]->id);
	Hg__UsageAck ack = HG__USAGE_ACK__INIT;
	struct usage_result r = {0};
	int64_t released;
	struct error e;
	int rc;

	MUST(b != NULL);
	if (b->boot_epoch > m->boot)
		return ERR_INVALID;
	ack.boot_epoch = b->boot_epoch;
	ack.shard = b->shard;
	rc = store_usage_ingest(
	    sim_store(s), id, b, sim_control_now(s, m->replica), &r, &e);
	if (rc == ERR_AGAIN || rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT) {
		ack.error_code = ERR_AGAIN;
		ack.retry_ms = 1000;
		control_pack(reply, &ack.base);
		return 0;
	}
	if (rc != 0)
		return rc;
	ack.watermark = r.watermark;
	if (r.gap)
		sim_trace(s, "gap: agent %u boot %" PRIu64 " at %" PRIu64,
		    m->agent, b->boot_epoch, r.watermark);
	if (!r.gap && b->last && b->boot_epoch < entry->boot_epoch &&
	    store_lease_release(
		sim_store(s), id, entry->boot_epoch, &released, NULL) != 0)
		ack.error_code = ERR_AGAIN;
	control_pack(reply, &ack.base);
	return 0;
}

void
sim_control(struct sim *s, const struct sim_msg *m, struct sim_msg *reply)
{
	struct agent_entry entry;
	struct arena a;
	bool lost = s->db_lost, lies = s->commit_lies;
	long after = s->fail_after;

	arena_init(&a, 4096, (size_t)16 << 20);
	*reply = *m;
	reply->bytes = NULL;
	reply->len = 0;
	s->db_lost = false;
	s->fail_after =
	    sim_chance(s, s->net.fail) ? (long)sim_below(s, 12) : -1;
	s->commit_lies = sim_chance(s, 500);
	s->depth++;
	reply->rc = control_admit(s, m, &entry);
	if (reply->rc == 0 && m->type == MSG_HELLO)
		reply->rc = control_hello(s, m);
	else if (reply->rc == 0 && m->type == MSG_BEAT)
		reply->rc = control_beat(s, m, &entry, &a, reply);
	else if (reply->rc == 0)
		reply->rc = control_usage(s, m, &entry, &a, reply);
	s->depth--;
	db_rollback(sim_db(s));
	s->db_lost = lost;
	s->fail_after = after;
	s->commit_lies = lies;
	arena_release(&a);
	if (reply->rc == 0)
		sim_algebra(s, m);
}
