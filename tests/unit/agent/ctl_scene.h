/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the control thread share: a control plane that answers by
 * hand, an agent around a ctl, both under a fake clock, step by step.
 */
#ifndef TESTS_UNIT_AGENT_CTL_SCENE_H
#define TESTS_UNIT_AGENT_CTL_SCENE_H

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ctl/ctl.h"
#include "tests/unit/agent/config_kit.h"
#include "tests/unit/support/unit.h"

#define AGENT_ID  "01890a5d-ac96-774b-bcce-b302099a8057"
#define PART_SIZE 200 /* bytes of a bundle in one reply: many parts */

/* ---- a control plane
 * ----------------------------------------------------------- */

struct plane {
	uint8_t public_key[SIGN_PUBLIC_LEN], secret[SIGN_SECRET_LEN];
	uint8_t agent_key[SIGN_PUBLIC_LEN];
	uint8_t group_key[GROUP_KEY_LEN];
	struct buf bundle; /* SignedBundle to be pulled */
	uint64_t version;
	struct clock *clock;
	int refuse;  /* ErrorReply with this code */
	bool away;   /* nobody is there */
	bool silent; /* the answer does not come in time */
	int waited_ms;
	bool forge; /* sign replies with another key */
	bool lose;  /* handle the request, lose the reply */
	int64_t horizon_ms;
	unsigned reports;
	int64_t grant; /* cumulative for budget W_BUDGET */
	int64_t returned, in_use;
	unsigned hellos, beats, urgent, pulls, batches;
	uint64_t acked[5]; /* by level: newest version */
	uint64_t snapshots;
	char rejected_item[64], state[32];
	struct arena arena;
};

static inline void
plane_reply(struct plane *p, const struct envelope *ask,
    const ProtobufCMessage *m, uint32_t type, struct buf *out)
{
	uint8_t other_key[SIGN_PUBLIC_LEN], other[SIGN_SECRET_LEN];
	struct envelope env = {.version = ENVELOPE_VERSION,
	    .type = type,
	    .boot_epoch = ask->boot_epoch,
	    .seq = ask->seq,
	    .sender = str_of(ENVELOPE_CONTROL)};

	sign_keypair(other_key, other);
	ck_assert_int_eq(
	    envelope_pack_message(&env, m, p->forge ? other : p->secret, out),
	    0);
}

static inline void
plane_hello(struct plane *p, const struct envelope *ask, struct buf *out)
{
	Hg__HelloReply r;

	p->hellos++;
	hg__hello_reply__init(&r);
	r.group_key.data = p->group_key;
	r.group_key.len = GROUP_KEY_LEN;
	r.latest_version = p->version;
	r.heartbeat_ms = 1000;
	plane_reply(p, ask, &r.base, ask->type, out);
}

static inline void
plane_grant(struct plane *p, const Hg__LeaseReport *in, Hg__LeaseGrant *g)
{
	hg__lease_grant__init(g);
	g->budget_uid = in->budget_uid;
	g->period_start = 1000;
	g->period_end = INT64_MAX;
	g->granted = p->grant;
	g->fence_ms = 10000;
	g->valid_ms = INT64_MAX;
	g->recall_to = -1;
	g->horizon_ms = p->horizon_ms;
	p->reports++;
	p->returned = in->returned;
	p->in_use = in->in_use;
}

static inline void
plane_heartbeat(struct plane *p, const struct envelope *ask, struct buf *out)
{
	Hg__Heartbeat *m =
	    proto_unpack(&hg__heartbeat__descriptor, ask->payload, &p->arena);
	Hg__LeaseGrant g[8], *pg[8];
	Hg__HeartbeatReply r;

	ck_assert_ptr_nonnull(m);
	p->beats++;
	p->urgent += m->lease_only ? 1 : 0;
	(void)snprintf(p->state, sizeof(p->state), "%s", m->state);
	for (size_t i = 0; i < m->n_acks; i++) {
		p->acked[m->acks[i]->level] = m->acks[i]->version;
		if (m->acks[i]->level == HG__ACK_LEVEL__ACK_REJECTED)
			(void)snprintf(p->rejected_item,
			    sizeof(p->rejected_item), "%s", m->acks[i]->item);
	}
	hg__heartbeat_reply__init(&r);
	r.latest_version = p->version;
	r.grants = pg;
	for (size_t i = 0; i < m->n_leases && i < 8; i++) {
		plane_grant(p, m->leases[i], &g[i]);
		pg[r.n_grants++] = &g[i];
	}
	plane_reply(p, ask, &r.base, ask->type, out);
}

static inline void
plane_pull(struct plane *p, const struct envelope *ask, struct buf *out)
{
	Hg__PullRequest *m = proto_unpack(
	    &hg__pull_request__descriptor, ask->payload, &p->arena);
	Hg__PullReply r;

	ck_assert_ptr_nonnull(m);
	p->pulls++;
	p->snapshots += m->have_version == 0 && m->offset == 0;
	hg__pull_reply__init(&r);
	if (m->have_version < p->version) {
		r.version = p->version;
		r.total = p->bundle.len;
		r.offset = m->offset;
		ck_assert_uint_le(m->offset, p->bundle.len);
		r.data.data = (uint8_t *)p->bundle.data + m->offset;
		r.data.len = p->bundle.len - m->offset;
		if (r.data.len > PART_SIZE)
			r.data.len = PART_SIZE;
	}
	plane_reply(p, ask, &r.base, ask->type, out);
}

static inline void
plane_usage(struct plane *p, const struct envelope *ask, struct buf *out)
{
	Hg__UsageBatch *m =
	    proto_unpack(&hg__usage_batch__descriptor, ask->payload, &p->arena);
	Hg__UsageAck r;

	ck_assert_ptr_nonnull(m);
	p->batches++;
	hg__usage_ack__init(&r);
	r.boot_epoch = m->boot_epoch;
	r.shard = m->shard;
	r.watermark = m->first_seq + m->n_records - 1;
	plane_reply(p, ask, &r.base, ask->type, out);
}

static inline int
plane_call(void *ctx, struct str request, int timeout_ms, struct buf *out,
    struct error *e)
{
	struct plane *p = ctx;
	Hg__ErrorReply refusal;
	struct envelope ask;

	p->waited_ms = timeout_ms;
	if (p->away)
		return err_set(e, ERR_UNAVAILABLE, "nobody there");
	if (p->silent)
		return err_set(e, ERR_TIMEOUT, "no answer");
	arena_clear(&p->arena);
	ck_assert_int_eq(envelope_open(request, &ask, e), 0);
	ck_assert_int_eq(envelope_verify(&ask, p->agent_key), 0);
	ck_assert(str_eqz(ask.sender, AGENT_ID));
	if (p->refuse != 0) {
		hg__error_reply__init(&refusal);
		refusal.code = p->refuse;
		refusal.text = (char *)(uintptr_t) "no";
		plane_reply(
		    p, &ask, &refusal.base, HG__MESSAGE_TYPE__MSG_ERROR, out);
		return 0;
	}
	if (ask.type == HG__MESSAGE_TYPE__MSG_HELLO)
		plane_hello(p, &ask, out);
	else if (ask.type == HG__MESSAGE_TYPE__MSG_HEARTBEAT)
		plane_heartbeat(p, &ask, out);
	else if (ask.type == HG__MESSAGE_TYPE__MSG_PULL)
		plane_pull(p, &ask, out);
	else
		plane_usage(p, &ask, out);
	if (p->lose) {
		p->lose = false;
		buf_clear(out);
		return err_set(e, ERR_UNAVAILABLE, "lost");
	}
	return 0;
}

static inline bool
plane_connected(void *ctx)
{
	return !((struct plane *)ctx)->away;
}

static inline void
plane_commit(struct plane *p, struct world *w, uint64_t version)
{
	struct buf b;

	buf_init(&b, (size_t)1 << 20);
	w->version = version;
	world_snapshot(w, &b);
	buf_clear(&p->bundle);
	ck_assert_int_eq(bundle_sign(buf_str(&b), p->secret, &p->bundle), 0);
	p->version = version;
	buf_release(&b);
}

/* ---- an agent
 * -------------------------------------------------------------------- */

struct rigged {
	struct plane plane;
	struct world world;
	struct agent agent;
	struct agent_options opt;
	struct clock_fake clock;
	struct rng_seeded rng;
	struct identity id;
	struct line line;
	struct lease_table *leases;
	struct config *config;
	struct ctl *ctl;
	char dir[PATH_MAX / 2];
};

static struct rigged r;
static unsigned n_planes; /* replicas, each publishes */

static inline void
setup(void)
{
	struct config_options copt = {.agent = &r.agent, .io = io_system()};
	struct ctl_options opt = {.agent = &r.agent,
	    .identity = &r.id,
	    .boot_epoch = 3,
	    .line = &r.line,
	    .instance_id = "00112233445566778899aabbccddeeff",
	    .stale_after_ms = 60000};
	struct plane *p = &r.plane;
	struct error e;

	n_planes = 1;
	memset(&r, 0, sizeof(r));
	(void)snprintf(r.dir, sizeof(r.dir), "%s/ctl-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(r.dir));
	world_init(&r.world);
	clock_fake_init(&r.clock, NS_PER_S, NS_PER_S);
	rng_seeded_init(&r.rng, 1);
	arena_init(&p->arena, 65536, (size_t)16 << 20);
	buf_init(&p->bundle, (size_t)1 << 20);
	sign_keypair(p->public_key, p->secret);
	memset(p->group_key, 9, sizeof(p->group_key));
	sign_keypair(r.id.public_key, r.id.secret);
	memcpy(p->agent_key, r.id.public_key, SIGN_PUBLIC_LEN);
	memcpy(r.id.control_key, p->public_key, SIGN_PUBLIC_LEN);
	(void)snprintf(r.id.agent_id, sizeof(r.id.agent_id), AGENT_ID);
	r.id.group = world_text(&r.world, "default");
	r.agent.clock = &r.clock.clock;
	r.agent.rng = &r.rng.rng;
	r.agent.opt = &r.opt;
	r.agent.n_workers = 1;
	r.leases = lease_table_new(NULL);
	copt.leases = r.leases;
	copt.data_dir = r.dir;
	memcpy(copt.control_key, p->public_key, SIGN_PUBLIC_LEN);
	ck_assert_int_eq(config_new(&copt, &r.config, &e), 0);
	r.line.identity = &r.id;
	r.line.boot_epoch = 3;
	r.line.transport =
	    (struct line_transport){plane_call, plane_connected, p};
	opt.config = r.config;
	opt.leases = r.leases;
	ck_assert_int_eq(ctl_new(&opt, &r.ctl, &e), 0);
}

static inline int
drop_one(void *ctx, const char *name)
{
	char path[PATH_MAX];

	(void)ctx;
	(void)snprintf(path, sizeof(path), "%s/%s", r.dir, name);
	return remove(path) == 0 ? 0 : ERR_IO;
}

static inline void
teardown(void)
{
	leases_set_kick(NULL, NULL);
	ctl_free(r.ctl);
	bundle_unref(atomic_exchange(&r.agent.links[0].mailbox, NULL));
	config_free(r.config);
	lease_table_free(r.leases);
	arena_release(&r.plane.arena);
	buf_release(&r.plane.bundle);
	world_release(&r.world);
	(void)io_system()->list(io_system(), r.dir, drop_one, NULL);
	(void)rmdir(r.dir);
}

static inline struct ctl_view
view(void)
{
	struct ctl_view v;

	ctl_view(r.ctl, &v);
	return v;
}

static inline uint64_t
active(void)
{
	struct config_view v;

	config_view(r.config, &v);
	return v.version;
}

/* Steps for ms of fake time. */
static inline void
run(int ms)
{
	int64_t end = r.clock.mono + ms * NS_PER_MS;
	int guard = 0;

	while (r.clock.mono <= end) {
		int wait = ctl_step(r.ctl);

		ck_assert_int_lt(guard++, 100000);
		clock_fake_advance(&r.clock, (wait > 0 ? wait : 1) * NS_PER_MS);
	}
}

/* ---- tests
 * ------------------------------------------------------------------------- */

#endif
