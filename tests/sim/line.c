/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's control line as agent/ctl does it: hello, a heartbeat a second,
 * urgent ones while somebody waits, one exchange at a time; and the link of
 * the shipper. Messages are packed and unpacked for real; the network may
 * lose, repeat, delay and reorder them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/money/lease_table.h"
#include "proto/envelope.h"
#include "tests/sim/sim.h"

#define URGENT_GAP_NS	(2 * NS_PER_MS)
#define URGENT_EVERY_NS (50 * NS_PER_MS)
#define CALL_TIMEOUT_NS (5 * NS_PER_S)

void
sim_msg_free(struct sim_msg *m)
{
	if (m != NULL)
		free(m->bytes);
	free(m);
}

static struct sim_msg *
line_msg(struct sim_agent *a, enum sim_msg_type type, const ProtobufCMessage *p)
{
	struct sim_msg *m = calloc(1, sizeof(*m));

	MUST(m != NULL);
	*m = (struct sim_msg){.type = type,
	    .agent = a->index,
	    .replica = a->sim->home,
	    .boot = a->epoch,
	    .instance = a->instance,
	    .seq = ++a->seq,
	    .life = a->life};
	if (sim_chance(a->sim, a->sim->quiet ? 0 : 100))
		m->replica = (unsigned)sim_below(a->sim, SIM_REPLICAS);
	m->len = protobuf_c_message_get_packed_size(p);
	m->bytes = malloc(m->len + 1);
	MUST(m->bytes != NULL);
	(void)protobuf_c_message_pack(p, m->bytes);
	a->sim->n_msgs++;
	return m;
}

static struct sim_msg *
line_copy(const struct sim_msg *m)
{
	struct sim_msg *c = malloc(sizeof(*c));

	MUST(c != NULL);
	*c = *m;
	c->bytes = malloc(m->len + 1);
	MUST(c->bytes != NULL);
	memcpy(c->bytes, m->bytes, m->len);
	return c;
}

static int64_t
line_delay(struct sim *s)
{
	int64_t d = s->net.rtt / 4 +
		    (int64_t)sim_below(s, (uint64_t)s->net.rtt / 2 + 1);

	if (sim_chance(s, s->net.slow))
		d += (int64_t)sim_below(s, (uint64_t)s->net.slow_ns + 1);
	return d;
}

static void
line_post(struct sim_agent *a, struct sim_msg *m)
{
	struct sim *s = a->sim;

	if (a->cut || sim_chance(s, s->net.drop)) {
		s->n_lost++;
		sim_msg_free(m);
		return;
	}
	if (sim_chance(s, s->net.dup)) {
		struct sim_msg *c = line_copy(m);

		c->again = true;
		s->n_dups++;
		sim_at(s, line_delay(s), EV_TO_CP, a->index, 0)->msg = c;
	}
	sim_at(s, line_delay(s), EV_TO_CP, a->index, 0)->msg = m;
}

static void
line_call(struct sim_agent *a, struct sim_msg *m)
{
	static uint64_t calls;

	a->call = m->call = ++calls;
	a->sent_mono = clock_mono(&a->clock.clock);
	sim_at(a->sim, CALL_TIMEOUT_NS, EV_TIMEOUT, a->index, a->call);
	line_post(a, m);
}

void
sim_line_again(struct sim_agent *a, int64_t delay)
{
	sim_at(a->sim, delay, EV_BEAT, a->index, ++a->beat_no);
}

static void
line_hello(struct sim_agent *a)
{
	Hg__Hello h = HG__HELLO__INIT;

	h.n_shards = a->n_shards;
	lease_table_asked(a->leases, clock_mono(&a->clock.clock));
	line_call(a, line_msg(a, MSG_HELLO, &h.base));
}

/* PLANT_REPORT_FIRST: what is said to be given back is not taken away. */
static void
line_boast(struct sim_agent *a, Hg__Heartbeat *h)
{
	for (size_t i = 0; i < h->n_leases; i++) {
		Hg__LeaseReport *r = h->leases[i];

		if (a->sim->plant == PLANT_REPORT_FIRST && r->granted > 0)
			r->returned += (r->granted - r->settled - r->returned -
					   r->in_use) /
				       2;
	}
}

static void
line_heartbeat(struct sim_agent *a, bool urgent)
{
	Hg__Heartbeat h = HG__HEARTBEAT__INIT;
	char instance[20];
	struct arena arena;

	arena_init(&arena, 4096, (size_t)4 << 20);
	(void)snprintf(instance, sizeof(instance), "%" PRIx64, a->instance);
	h.instance_id = instance;
	h.lease_only = urgent;
	MUST(lease_table_report(a->leases, clock_mono(&a->clock.clock), urgent,
		 &arena, &h.leases, &h.n_leases) == 0);
	line_boast(a, &h);
	for (size_t i = 0; a->sim->trace && i < h.n_leases; i++) {
		const Hg__LeaseReport *r = h.leases[i];

		sim_trace(a->sim,
		    "agent %u reports budget %" PRIu64 " start %" PRId64
		    " G %" PRId64 " S %" PRId64 " R %" PRId64 " I %" PRId64
		    " want %" PRId64 "/%" PRId64 " rate %" PRId64 " w %" PRId64,
		    a->index, r->budget_uid, r->period_start, r->granted,
		    r->settled, r->returned, r->in_use, r->want_min,
		    r->want_total, r->rate_per_s, r->w_p99);
	}
	if (a->sim->quiet && !a->sim->dueling && a->sim->n_probes == 0 &&
	    a->sim->now > a->sim->storm_end + SIM_SETTLED_NS &&
	    a->sim->now < a->sim->storm_end + SIM_TAIL_NS)
		a->quiet_beats++;
	line_call(a, line_msg(a, MSG_BEAT, &h.base));
	arena_release(&arena);
}

void
sim_line_beat(struct sim_agent *a)
{
	int64_t now = clock_mono(&a->clock.clock);
	int64_t since = now - a->last_urgent;
	bool full = now >= a->next_beat;
	bool fresh = a->kicked && since >= URGENT_GAP_NS;

	if (a->call != 0)
		return; /* goes on when it is answered */
	if (!a->hello_done) {
		line_hello(a);
		return;
	}
	if (fresh || full)
		a->kicked = false;
	if (full || ((fresh || since >= URGENT_EVERY_NS) &&
			lease_table_urgent(a->leases))) {
		a->last_urgent = now;
		if (full)
			a->next_beat =
			    now + NS_PER_S -
			    (int64_t)sim_below(a->sim, (uint64_t)NS_PER_S / 10);
		line_heartbeat(a, !full);
		return;
	}
	now = a->next_beat - now;
	if (lease_table_urgent(a->leases) && now > URGENT_EVERY_NS)
		now = URGENT_EVERY_NS;
	if (a->kicked && now > URGENT_GAP_NS)
		now = URGENT_GAP_NS;
	sim_line_again(a, now > 0 ? now : 1);
}

void
sim_line_kick(void *sim)
{
	struct sim *s = sim;
	struct sim_agent *a = s->acting;

	if (a == NULL || a->kicked || !a->up)
		return;
	a->kicked = true;
	if (a->call == 0)
		sim_line_again(a, 1);
}

/* PLANT_NO_FENCE, PLANT_KEEP_PART, PLANT_CHATTER: what an answer changes. */
static void
line_plants(struct sim_agent *a)
{
	struct sim *s = a->sim;

	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		struct budget_cell *c =
		    lease_table_find(a->leases, s->db.budgets[i].uid);
		struct lease *l = c == NULL ? NULL : atomic_load(&c->current);

		if (s->plant == PLANT_NO_FENCE && l != NULL)
			atomic_store(&l->fence_mono, INT64_MAX);
		if (s->plant == PLANT_KEEP_PART && l != NULL)
			l->pool = false;
		if (s->plant == PLANT_CHATTER && l != NULL &&
		    atomic_load(&l->left) == 0)
			atomic_store(&c->refill, true);
	}
}

static void
line_lost(struct sim_agent *a, int rc)
{
	bool fence = rc == ERR_VERSION || rc == ERR_EXISTS;
	int ms = a->backoff_ms * 2;

	a->hello_done = false;
	a->fenced = fence;
	if (fence)
		lease_table_fence(a->leases);
	ms = ms < 100 ? 100 : ms > 5000 ? 5000 : ms;
	a->backoff_ms = ms;
	if (fence && ms < 5000)
		ms = 5000;
	ms = ms / 2 + (int)sim_below(a->sim, (uint64_t)ms);
	if (rc == ERR_EXISTS) { /* takes a newer epoch */
		sim_agent_die(a);
		sim_at(a->sim, NS_PER_S, EV_START, a->index, 0);
		return;
	}
	sim_line_again(a, ms * NS_PER_MS);
}

void
sim_line_reply(struct sim_agent *a, struct sim_msg *m)
{
	struct sim *s = a->sim;
	Hg__HeartbeatReply *r;
	struct arena arena;

	if (m->call != a->call || m->type == MSG_USAGE)
		return;
	a->call = 0;
	if (m->rc != 0) {
		if (m->type == MSG_BEAT)
			lease_table_no_reply(a->leases);
		line_lost(a, m->rc);
		return;
	}
	a->backoff_ms = 0;
	if (m->type == MSG_HELLO) {
		a->hello_done = true;
		a->fenced = false;
		a->next_beat = 0;
		sim_line_wake_ship(a, 1);
		sim_line_again(a, 1);
		return;
	}
	arena_init(&arena, 4096, (size_t)4 << 20);
	r = proto_unpack(&hg__heartbeat_reply__descriptor,
	    str_make((const char *)m->bytes, m->len), &arena);
	MUST(r != NULL);
	for (size_t i = 0; s->trace && i < r->n_grants; i++)
		sim_trace(s,
		    "agent %u gets budget %" PRIu64 " start %" PRId64
		    " G %" PRId64 " mode %d recall %" PRId64 " %s free %" PRId64
		    " valid %" PRId64 " ms",
		    a->index, r->grants[i]->budget_uid,
		    r->grants[i]->period_start, r->grants[i]->granted,
		    (int)r->grants[i]->mode, r->grants[i]->recall_to,
		    r->grants[i]->exhausted ? "exhausted" : "",
		    r->grants[i]->free, r->grants[i]->valid_ms);
	if (lease_table_reply(a->leases, a->sent_mono,
		clock_mono(&a->clock.clock), r->grants, r->n_grants))
		sim_agent_retry(a);
	line_plants(a);
	arena_release(&arena);
	sim_line_again(a, URGENT_GAP_NS);
}

void
sim_line_timeout(struct sim_agent *a, uint64_t call)
{
	if (a->call != call)
		return;
	a->call = 0;
	if (a->hello_done)
		lease_table_no_reply(a->leases);
	line_lost(a, ERR_TIMEOUT);
}

/* ---- shipping ---------------------------------------------------------------
 */

static bool
ship_ack(const struct sim_msg *reply, Hg__UsageAck *ack)
{
	struct arena arena;
	Hg__UsageAck *r;

	if (reply->rc != 0 || reply->bytes == NULL)
		return false;
	arena_init(&arena, 1024, (size_t)1 << 20);
	r = proto_unpack(&hg__usage_ack__descriptor,
	    str_make((const char *)reply->bytes, reply->len), &arena);
	MUST(r != NULL);
	ack->boot_epoch = r->boot_epoch;
	ack->shard = r->shard;
	ack->watermark = r->watermark;
	ack->error_code = r->error_code;
	ack->retry_ms = r->retry_ms;
	arena_release(&arena);
	return true;
}

static int
ship_lost(struct sim_agent *a, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	a->sim->n_lost++;
	if (a->sim->plant != PLANT_LOST_ACK)
		return ERR_TIMEOUT;
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->watermark = b->first_seq + b->n_records - 1;
	return 0;
}

/* The shipper waits for the answer inside this call, so a message that takes
 * long is one that timed out here and arrives later. */
int
sim_line_send_usage(void *agent, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	struct sim_agent *a = agent;
	struct sim *s = a->sim;
	struct sim_msg *m, reply;
	bool ok;

	if (!a->hello_done)
		return ERR_UNAVAILABLE;
	for (size_t i = 0; s->plant == PLANT_REPLAY_FREES && i < b->n_records;
	     i++)
		if (b->records[i]->source ==
		    HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED)
			b->records[i]->cost = 0;
	m = line_msg(a, MSG_USAGE, &b->base);
	sim_trace(s,
	    "agent %u ships boot %" PRIu64 " shard %u seq %" PRIu64 "+%zu%s",
	    a->index, b->boot_epoch, b->shard, b->first_seq, b->n_records,
	    b->last ? " last" : "");
	if (a->cut || s->cp_down || sim_chance(s, s->net.drop)) {
		sim_msg_free(m);
		return ship_lost(a, b, ack);
	}
	if (sim_chance(s, s->net.slow)) { /* arrives when nobody waits */
		sim_at(s, (int64_t)sim_below(s, (uint64_t)s->net.slow_ns + 1),
		    EV_TO_CP, a->index, 0)
		    ->msg = m;
		return ship_lost(a, b, ack);
	}
	if (sim_chance(s, s->net.dup)) {
		struct sim_msg *c = line_copy(m);

		c->again = true;
		s->n_dups++;
		sim_at(s, line_delay(s), EV_TO_CP, a->index, 0)->msg = c;
	}
	sim_control(s, m, &reply);
	ok = ship_ack(&reply, ack);
	free(reply.bytes);
	sim_msg_free(m);
	if (!ok || sim_chance(s, s->net.drop))
		return reply.rc != 0 ? reply.rc : ship_lost(a, b, ack);
	return 0;
}

void
sim_line_wake_ship(struct sim_agent *a, int64_t delay)
{
	if (a->ship_at > a->sim->now && a->ship_at <= a->sim->now + delay)
		return;
	a->ship_at = a->sim->now + delay;
	sim_at(a->sim, delay, EV_SHIP, a->index, ++a->ship_no);
}

void
sim_line_ship(struct sim_agent *a)
{
	int ms = shipper_turn(a->shipper);

	/* -1: until records are durable, or the line is back */
	sim_line_wake_ship(
	    a, ms < 0 ? NS_PER_S : ms * NS_PER_MS + a->sim->net.rtt);
}
