/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/ctl: identity on disk, and the control thread's state machine against
 * a control plane that lives in this file, step by step under a fake clock.
 */
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

static void
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

static void
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

static void
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

static void
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

static void
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

static void
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

static int
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

static bool
plane_connected(void *ctx)
{
	return !((struct plane *)ctx)->away;
}

static void
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

static void
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

static int
drop_one(void *ctx, const char *name)
{
	char path[PATH_MAX];

	(void)ctx;
	(void)snprintf(path, sizeof(path), "%s/%s", r.dir, name);
	return remove(path) == 0 ? 0 : ERR_IO;
}

static void
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

static struct ctl_view
view(void)
{
	struct ctl_view v;

	ctl_view(r.ctl, &v);
	return v;
}

static uint64_t
active(void)
{
	struct config_view v;

	config_view(r.config, &v);
	return v.version;
}

/* Steps for ms of fake time. */
static void
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

START_TEST(test_start)
{
	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_gt(r.plane.pulls, 2); /* in parts */
	ck_assert_uint_eq(r.plane.hellos, 1);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_RECEIVED], 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_VALIDATED], 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 5);
	ck_assert_str_eq(r.plane.state, "ready");
	/* About one heartbeat a second from now on. */
	r.plane.beats = 0;
	run(10000);
	ck_assert_uint_ge(r.plane.beats, 9);
	ck_assert_uint_le(r.plane.beats, 13);
	/* A later version is found by the heartbeat. */
	plane_commit(&r.plane, &r.world, 6);
	run(1100);
	ck_assert_uint_eq(active(), 6);
}
END_TEST

START_TEST(test_away_and_back)
{
	r.plane.away = true;
	plane_commit(&r.plane, &r.world, 5);
	run(20000);
	ck_assert_int_eq(view().state, CTL_HELLO);
	ck_assert(!view().connected);
	r.plane.away = false;
	run(8000);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert_uint_eq(active(), 5);
	/* Stale after a minute without contact; contact heals. */
	r.plane.away = true;
	run(50000);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
	run(15000);
	ck_assert(view().stale);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 0);
	r.plane.away = false;
	run(8000);
	ck_assert(!view().stale);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
}
END_TEST

/* A line that swallows is given up after seconds; where answers are that slow,
 * the patience grows, and falls back when they come. */
START_TEST(test_patience)
{
	struct plane *p = &r.plane;
	int waits[4] = {5000, 10000, 20000, 30000};

	run(3000);
	ck_assert_int_eq(p->waited_ms, 5000);
	p->silent = true;
	for (int i = 0; i < 4; i++) {
		p->waited_ms = 0;
		while (p->waited_ms == 0)
			run(1);
		ck_assert_int_eq(p->waited_ms, waits[i]);
		ck_assert(!view().connected);
	}
	p->silent = false;
	run(10000); /* the longest pause of a HELLO */
	ck_assert(view().connected);
	ck_assert_int_lt(p->waited_ms, 30000);
	ck_assert_int_gt(p->waited_ms, 5000);
	run(30000);
	ck_assert_int_eq(p->waited_ms, 5000);
}
END_TEST

START_TEST(test_lost_replies)
{
	plane_commit(&r.plane, &r.world, 5);
	for (int i = 0; i < 40; i++) {
		r.plane.lose = i % 2 == 0;
		run(700);
	}
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 5);
}
END_TEST

START_TEST(test_forged)
{
	plane_commit(&r.plane, &r.world, 5);
	r.plane.forge = true;
	run(5000);
	ck_assert_int_eq(view().state, CTL_HELLO);
	ck_assert_uint_eq(active(), 0);
}
END_TEST

START_TEST(test_reject_and_recover)
{
	Hg__PriceLine *line;
	int64_t good;

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	line = world_find(&r.world, HG__ITEM_KIND__ITEM_MODEL, W_MODEL)
		   ->model->prices[0];
	good = line->per_mtok;
	line->per_mtok = -1;
	plane_commit(&r.plane, &r.world, 6);
	run(5000);
	ck_assert_uint_eq(active(), 5);
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_REJECTED], 6);
	ck_assert_str_eq(r.plane.rejected_item, "gpt-m");
	/* It is not asked for again. */
	r.plane.pulls = 0;
	run(5000);
	ck_assert_uint_eq(r.plane.pulls, 0);
	line->per_mtok = good;
	plane_commit(&r.plane, &r.world, 7);
	run(1500);
	ck_assert_uint_eq(active(), 7);
}
END_TEST

START_TEST(test_fenced)
{
	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	r.plane.refuse = ERR_VERSION;
	run(3000);
	ck_assert_int_eq(view().state, CTL_FENCED);
	ck_assert(view().fenced);
	r.plane.hellos = 0;
	run(20000);
	ck_assert(view().fenced);
	r.plane.refuse = 0;
	run(15000);
	ck_assert_int_eq(view().state, CTL_RUN);
	ck_assert(!view().fenced);
}
END_TEST

static void
push_delta(uint64_t version, bool right_key)
{
	struct item_state *base = world_state(&r.world);
	uint8_t key[GROUP_KEY_LEN];
	Hg__ItemRef ref;
	struct buf delta, sgn, sealed;

	memcpy(key, r.plane.group_key, sizeof(key));
	if (!right_key)
		key[0] ^= 1;
	hg__item_ref__init(&ref);
	ref.kind = HG__ITEM_KIND__ITEM_KEY;
	ref.uid = W_KEY;
	r.world.version = version;
	world_find(&r.world, HG__ITEM_KIND__ITEM_KEY, W_KEY)->key->disabled =
	    true;
	buf_init(&delta, (size_t)1 << 20);
	buf_init(&sgn, (size_t)1 << 20);
	buf_init(&sealed, (size_t)1 << 20);
	world_delta(&r.world, base, &ref, 1, &delta);
	ck_assert_int_eq(bundle_sign(buf_str(&delta), r.plane.secret, &sgn), 0);
	ck_assert_int_eq(
	    delta_seal("default", 0, key, rng_system(), buf_str(&sgn), &sealed),
	    0);
	ctl_pushed(r.ctl, buf_str(&sealed));
	items_unref(base);
	buf_release(&delta);
	buf_release(&sgn);
	buf_release(&sealed);
}

START_TEST(test_push)
{
	const struct bundle *b;
	uint8_t digest[32];

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	r.plane.pulls = r.plane.beats = 0;
	push_delta(6, true);
	/* Active before the control thread did anything. */
	ck_assert_uint_eq(active(), 6);
	b = atomic_load(&r.agent.links[0].mailbox);
	world_digest(W_KEY, digest);
	ck_assert(bundle_find_key(b, digest)->disabled);
	r.plane.version = 6;
	(void)ctl_step(r.ctl); /* acknowledged at once */
	ck_assert_uint_eq(r.plane.acked[HG__ACK_LEVEL__ACK_ACTIVE], 6);
	run(1100);
	ck_assert_uint_eq(r.plane.pulls, 0);
	/* A push under an old group key is repaired by a pull. */
	plane_commit(&r.plane, &r.world, 7);
	push_delta(7, false);
	ck_assert_uint_eq(active(), 6);
	run(20);
	ck_assert_uint_eq(active(), 7);
	ctl_pushed(r.ctl, STR("garbage"));
	run(20);
	ck_assert_uint_eq(active(), 7);
}
END_TEST

START_TEST(test_leases)
{
	struct budget_cell *c, *short_of;
	struct reservation res;
	struct b_key k = {.n_budgets = 1};

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	leases_set_kick(ctl_kick, r.ctl);
	c = lease_table_find(r.leases, W_BUDGET);
	ck_assert_ptr_nonnull(c);
	k.budgets[0] = c;
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), ERR_AGAIN);
	r.plane.grant = 500;
	(void)lease_wait(c, 100);
	r.plane.beats = 0;
	(void)ctl_step(r.ctl); /* at once */
	ck_assert_uint_eq(r.plane.beats, 1);
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), 0);
	lease_wait_done(c, 100);
	/* Refused as a double: no rights any more, until it is let in. */
	r.plane.refuse = ERR_FORBIDDEN;
	run(1500);
	{
		struct reservation more;

		ck_assert_int_eq(
		    lease_reserve(&k, 1, r.clock.mono, &more, &short_of),
		    ERR_AGAIN);
	}
	r.plane.refuse = 0;
	run(12000);
	lease_settle(&res, 60);
	/* Drain: everything but what was spent goes back. */
	lease_table_drain(r.leases);
	run(3000);
	ck_assert(lease_table_done(r.leases));
	ck_assert_int_eq(r.plane.returned, 440);
	ck_assert_int_eq(r.plane.in_use, 0);
}
END_TEST

static void
push_recall(uint64_t uid, bool right_key)
{
	struct envelope env = {.type = HG__MESSAGE_TYPE__MSG_RECALL,
	    .sender = STR(ENVELOPE_CONTROL)};
	uint8_t pk[SIGN_PUBLIC_LEN], other[SIGN_SECRET_LEN];
	Hg__LeaseRecall m = HG__LEASE_RECALL__INIT;
	struct buf wire;

	sign_keypair(pk, other);
	m.n_budget_uid = 1;
	m.budget_uid = &uid;
	buf_init(&wire, 4096);
	ck_assert_int_eq(envelope_pack_message(&env, &m.base,
			     right_key ? r.plane.secret : other, &wire),
	    0);
	ctl_pushed(r.ctl, buf_str(&wire));
	buf_release(&wire);
}

/* A lease that rests is reported on when its rights are recalled, soon, by who
 * may say so. */
START_TEST(test_recall)
{
	struct budget_cell *c, *short_of;
	struct reservation res;
	struct b_key k = {.n_budgets = 1};

	plane_commit(&r.plane, &r.world, 5);
	run(1500);
	leases_set_kick(ctl_kick, r.ctl);
	c = lease_table_find(r.leases, W_BUDGET);
	ck_assert_ptr_nonnull(c);
	k.budgets[0] = c;
	r.plane.grant = 500;
	r.plane.horizon_ms = 300000;
	(void)lease_wait(c, 100);
	(void)ctl_step(r.ctl);
	ck_assert_int_eq(
	    lease_reserve(&k, 100, r.clock.mono, &res, &short_of), 0);
	lease_wait_done(c, 100);
	run(1500);
	r.plane.reports = r.plane.beats = r.plane.pulls = 0;
	run(3000);
	ck_assert_uint_ge(r.plane.beats, 2);
	ck_assert_uint_eq(r.plane.reports, 0);
	push_recall(W_BUDGET, false);
	push_recall(W_BUDGET + 1000, true);
	run(300);
	ck_assert_uint_eq(r.plane.reports, 0);
	push_recall(W_BUDGET, true);
	push_recall(W_BUDGET, true);
	run(100);
	ck_assert_uint_eq(r.plane.reports, 1);
	ck_assert_uint_eq(r.plane.pulls, 0);
	lease_settle(&res, 60);
}
END_TEST

START_TEST(test_ship_gate)
{
	Hg__UsageBatch b = HG__USAGE_BATCH__INIT;
	Hg__UsageAck ack = HG__USAGE_ACK__INIT;

	b.boot_epoch = 2;
	b.first_seq = 8;
	ck_assert_int_eq(ctl_ship(r.ctl, &b, &ack), ERR_UNAVAILABLE);
	run(1200);
	ck_assert_int_eq(ctl_ship(r.ctl, &b, &ack), 0);
	ck_assert_uint_eq(ack.watermark, 7);
	ck_assert_uint_eq(ack.boot_epoch, 2);
}
END_TEST

/* ---- identity
 * ---------------------------------------------------------------------- */

START_TEST(test_identity)
{
	struct join_token t = {.n_addresses = 2,
	    .addresses = {(char *)(uintptr_t) "tls+tcp://a:1",
		(char *)(uintptr_t) "tls+tcp://b:2"},
	    .n_publish = 1,
	    .publish = {(char *)(uintptr_t) "tls+tcp://a:3"},
	    .server_name = (char *)(uintptr_t) "control",
	    .ca_pem = (char *)(uintptr_t) "-----BEGIN\nx\n",
	    .group = (char *)(uintptr_t) "eu",
	    .region = (char *)(uintptr_t) "eu-1"};
	struct identity id, again;
	struct error e;
	struct stat st;
	char path[PATH_MAX];
	struct buf b;

	memset(t.control_key, 5, sizeof(t.control_key));
	ck_assert_int_eq(
	    identity_load(io_system(), r.dir, &again, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(identity_from_token(&t, &id, &e), 0);
	ck_assert_int_ne(identity_enrolled(&id, "junk", "g", "r", &e), 0);
	ck_assert_int_eq(
	    identity_enrolled(&id, AGENT_ID, "eu-2", "eu-1", &e), 0);
	ck_assert_int_eq(identity_save(io_system(), r.dir, &id, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/identity", r.dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(identity_load(io_system(), r.dir, &again, &e), 0);
	ck_assert_str_eq(again.agent_id, AGENT_ID);
	ck_assert_str_eq(again.group, "eu-2");
	ck_assert_str_eq(again.ca_pem, t.ca_pem);
	ck_assert_str_eq(again.addresses[1], "tls+tcp://b:2");
	ck_assert_uint_eq(again.n_publish, 1);
	ck_assert_mem_eq(again.public_key, id.public_key, SIGN_PUBLIC_LEN);
	ck_assert_mem_eq(again.secret, id.secret, SIGN_SECRET_LEN);
	identity_release(&again);
	identity_release(&id);
	/* Cut anywhere it is damaged, never half an identity. */
	buf_init(&b, 65536);
	ck_assert_int_eq(io_read_file(io_system(), path, &b, &e), 0);
	for (size_t n = 0; n + 2 < b.len; n += 3) {
		ck_assert_int_eq(io_write_file_atomic(
				     io_system(), path, b.data, n, 0600, &e),
		    0);
		if (identity_load(io_system(), r.dir, &again, &e) == 0) {
			ck_assert_str_eq(again.agent_id, AGENT_ID);
			identity_release(&again);
		}
	}
	/* A text that would end early is none. */
	*strchr(strstr(buf_cstr(&b), "address = "), '\n') = '\0';
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), path, b.data, b.len, 0600, &e),
	    0);
	ck_assert_int_eq(
	    identity_load(io_system(), r.dir, &again, &e), ERR_CORRUPT);
	buf_release(&b);
}
END_TEST

START_TEST(test_epoch)
{
	uint64_t epoch = 0;
	char path[PATH_MAX];
	struct error e;

	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(epoch_next(io_system(), r.dir, &epoch, &e), 0);
		ck_assert_uint_eq(epoch, i);
	}
	(void)snprintf(path, sizeof(path), "%s/epoch", r.dir);
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), path, "", 0, 0600, &e), 0);
	ck_assert_int_eq(
	    epoch_next(io_system(), r.dir, &epoch, &e), ERR_CORRUPT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/ctl");
	TCase *t = tcase_create("ctl");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_start);
	tcase_add_test(t, test_away_and_back);
	tcase_add_test(t, test_patience);
	tcase_add_test(t, test_lost_replies);
	tcase_add_test(t, test_forged);
	tcase_add_test(t, test_reject_and_recover);
	tcase_add_test(t, test_fenced);
	tcase_add_test(t, test_push);
	tcase_add_test(t, test_leases);
	tcase_add_test(t, test_recall);
	tcase_add_test(t, test_ship_gate);
	tcase_add_test(t, test_identity);
	tcase_add_test(t, test_epoch);
	suite_add_tcase(s, t);
	return unit_run(s);
}
