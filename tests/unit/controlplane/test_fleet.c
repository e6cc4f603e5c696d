/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet over its real channel (nng, TLS) and a real PostgreSQL: who may
 * enrol and speak, what a group gets, what is pushed when.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "controlplane/fleet/registry.h"
#include "tests/unit/controlplane/support/fleetlab.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), a.e.text);                               \
	} while (0)

START_TEST(test_enrol)
{
	struct lab_agent a = {0}, b = {0};
	struct lab l;
	char *token, first[AGENT_ID_CAP], *late;

	lab_open(&l);
	token = lab_token(&l, "eu", 2, 0);
	late = lab_token(&l, "eu", 2, clock_wall(clock_system()) - 1000);
	IS(lab_enrol(&l, token, &a), 0);
	ck_assert_str_eq(a.group, "eu");
	ck_assert_uint_eq(strlen(a.id), 36);
	memcpy(first, a.id, sizeof(first));
	IS(lab_enrol(&l, token, &a), 0); /* its reply was lost: the same */
	ck_assert_str_eq(a.id, first);
	ck_assert_int_eq(pgtest_number(l.store,
			     "SELECT uses FROM join_token WHERE max_uses = 2 "
			     "AND expires_at IS NULL"),
	    1);
	IS(lab_enrol(&l, token, &b), 0);
	ck_assert_str_ne(b.id, first);
	lab_agent_free(&b);
	b = (struct lab_agent){0};
	IS(lab_enrol(&l, token, &b), ERR_UNAUTHENTICATED); /* used up */
	ck_assert_str_eq(b.e.text, "control plane: join token refused");
	IS(lab_enrol(&l, late, &b), ERR_UNAUTHENTICATED);
	free(token);
	token = lab_token(&l, "eu", 0, 0);
	pgtest_sql(l.store, "UPDATE join_token SET digest = digest || '\\x00'");
	IS(lab_enrol(&l, token, &b), ERR_UNAUTHENTICATED);
	pgtest_sql(l.store,
	    "UPDATE join_token SET digest = substr(digest, 1, 32), "
	    "revoked_at = now()");
	IS(lab_enrol(&l, token, &b), ERR_UNAUTHENTICATED);
	pgtest_sql(l.store, "UPDATE join_token SET revoked_at = NULL");
	IS(lab_enrol(&l, token, &b), 0);
	ck_assert_int_eq(
	    pgtest_number(
		l.store, "SELECT count(*) FROM agent WHERE labels->>'a' = 'b'"),
	    3);
	free(token);
	free(late);
	lab_agent_free(&a);
	lab_agent_free(&b);
	lab_close(&l);
}
END_TEST

START_TEST(test_who_may_speak)
{
	struct lab_agent a, twin, other;
	struct lab l;

	lab_open(&l);
	lab_agent(&l, "eu", &a);
	lab_agent(&l, "eu", &other);
	IS(lab_beat(&a, NULL, NULL), 0);
	/* a second process with the same boot epoch */
	twin = a;
	twin.instance = "two";
	twin.seq = 5000;
	IS(lab_hello(&twin, 2), ERR_VERSION);
	IS(lab_beat(&twin, NULL, NULL), ERR_VERSION);
	ck_assert_int_eq(pgtest_number(l.store, "SELECT count(*) FROM agent "
						"WHERE refused_at IS NOT NULL"),
	    1);
	IS(lab_beat(&a, NULL, NULL), 0);
	/* the same process says hello again: its reply was lost */
	IS(lab_hello(&a, 2), 0);
	/* a restarted one: the old one is out, its usage is not */
	twin.boot_epoch = 2;
	twin.seq = 0;
	IS(lab_beat(&twin, NULL, NULL), ERR_PRECONDITION); /* no hello yet */
	IS(lab_hello(&twin, 2), 0);
	IS(lab_beat(&twin, NULL, NULL), 0);
	IS(lab_beat(&a, NULL, NULL), ERR_VERSION);
	IS(lab_hello(&a, 2), ERR_VERSION);
	/* a repetition */
	twin.seq--;
	IS(lab_beat(&twin, NULL, NULL), ERR_CONFLICT);
	IS(lab_beat(&twin, NULL, NULL), 0);
	/* in another's name */
	memcpy(a.id, other.id, sizeof(a.id));
	a.boot_epoch = 1;
	IS(lab_beat(&a, NULL, NULL), ERR_SIGNATURE);
	snprintf(a.id, sizeof(a.id), "01890000-0000-7000-8000-000000000000");
	IS(lab_beat(&a, NULL, NULL), ERR_UNAUTHENTICATED);
	snprintf(a.id, sizeof(a.id), "control");
	IS(lab_beat(&a, NULL, NULL), ERR_UNAUTHENTICATED);
	lab_agent_free(&a);
	lab_agent_free(&other);
	lab_close(&l);
}
END_TEST

START_TEST(test_garbage)
{
	struct rng_seeded rng;
	struct lab_agent a;
	struct lab l;
	struct buf in;
	char bytes[300];
	int i;

	rng_seeded_init(&rng, 3);
	lab_open(&l);
	lab_agent(&l, "eu", &a);
	buf_init(&in, ENVELOPE_MAX);
	for (i = 0; i < 300; i++) {
		struct envelope env;
		size_t n = rng_below(&rng.rng, sizeof(bytes));

		rng.rng.fill(&rng.rng, bytes, n);
		buf_clear(&in);
		ck_assert_int_eq(
		    channel_call(l.client, str_make(bytes, n), 10000, &in, &e),
		    0);
		/* a signed refusal */
		ck_assert_int_eq(envelope_open(buf_str(&in), &env, &e), 0);
		ck_assert_int_eq(envelope_verify(&env, l.pki->sign_pk), 0);
		ck_assert_uint_eq(env.type, HG__MESSAGE_TYPE__MSG_ERROR);
	}
	buf_release(&in);
	IS(lab_beat(&a, NULL, NULL), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* ---- bundles
 * ----------------------------------------------------------------- */

/* Pull a whole SignedBundle; ERR_END when there is nothing. */
static int
pull(struct lab_agent *a, uint64_t have, const uint8_t *hash, struct buf *out)
{
	Hg__PullReply *reply = NULL;
	uint64_t version = 0;
	int rc;

	buf_clear(out);
	for (;;) {
		Hg__PullRequest m;

		hg__pull_request__init(&m);
		m.have_version = have;
		m.have_hash.data = (uint8_t *)(uintptr_t)hash;
		m.have_hash.len = hash != NULL ? STATE_HASH_LEN : 0;
		m.want_version = version;
		m.offset = out->len;
		rc = lab_call(a, HG__MESSAGE_TYPE__MSG_PULL, &m.base,
		    &hg__pull_reply__descriptor, &reply);
		if (rc != 0)
			return rc;
		if (reply->total == 0)
			return ERR_END;
		ck_assert_uint_eq(reply->offset, out->len);
		ck_assert_uint_le(reply->data.len, BUNDLE_PART);
		version = reply->version;
		buf_add(out, reply->data.data, reply->data.len);
		if (out->len >= reply->total)
			return 0;
	}
}

/* A replica of the agent's item store: packed items by (kind, uid). */
struct replica {
	struct {
		uint32_t kind;
		uint64_t uid;
		char *bytes;
		size_t len;
	} items[20000];
	size_t n;
	uint64_t version;
	uint8_t hash[STATE_HASH_LEN];
};

static void
replica_remove(struct replica *r, uint32_t kind, uint64_t uid)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->items[i].kind == kind && r->items[i].uid == uid) {
			free(r->items[i].bytes);
			memmove(&r->items[i], &r->items[i + 1],
			    (r->n - i - 1) * sizeof(r->items[0]));
			r->n--;
			return;
		}
}

static void
replica_insert(struct replica *r, const Hg__Item *it)
{
	struct buf b;
	size_t i = r->n;

	replica_remove(r, (uint32_t)it->kind, it->uid);
	i = r->n;
	buf_init(&b, 1 << 20);
	ck_assert_int_eq(proto_pack(&it->base, &b), 0);
	while (i > 0 && (r->items[i - 1].kind > (uint32_t)it->kind ||
			    (r->items[i - 1].kind == (uint32_t)it->kind &&
				r->items[i - 1].uid > it->uid)))
		i--;
	memmove(
	    &r->items[i + 1], &r->items[i], (r->n - i) * sizeof(r->items[0]));
	r->items[i].kind = (uint32_t)it->kind;
	r->items[i].uid = it->uid;
	r->items[i].bytes = buf_take(&b, &r->items[i].len);
	r->n++;
}

/* Apply a SignedBundle as an agent does; false when its base is another. */
static bool
replica_apply(struct replica *r, const struct lab *l, struct str signed_bundle)
{
	struct state_hasher h;
	uint8_t hash[STATE_HASH_LEN];
	struct str inner;
	struct arena a;
	Hg__Bundle *b;
	size_t i;

	ck_assert_int_eq(
	    bundle_verify(signed_bundle, l->pki->sign_pk, &inner, &e), 0);
	arena_init(&a, 1 << 20, 256 << 20);
	b = proto_unpack(&hg__bundle__descriptor, inner, &a);
	ck_assert_ptr_nonnull(b);
	if (b->base_version != 0 && b->base_version != r->version) {
		arena_release(&a);
		return false;
	}
	while (b->base_version == 0 && r->n > 0)
		replica_remove(
		    r, r->items[r->n - 1].kind, r->items[r->n - 1].uid);
	for (i = 0; i < b->n_items; i++)
		replica_insert(r, b->items[i]);
	for (i = 0; i < b->n_deletes; i++)
		replica_remove(
		    r, (uint32_t)b->deletes[i]->kind, b->deletes[i]->uid);
	state_hash_init(&h);
	for (i = 0; i < r->n; i++) {
		item_hash(str_make(r->items[i].bytes, r->items[i].len), hash);
		state_hash_add(&h, r->items[i].kind, r->items[i].uid, hash);
	}
	state_hash_final(&h, r->hash);
	ck_assert_uint_eq(b->state_hash.len, STATE_HASH_LEN);
	ck_assert_mem_eq(r->hash, b->state_hash.data, STATE_HASH_LEN);
	r->version = b->version;
	arena_release(&a);
	return true;
}

static bool
replica_has(const struct replica *r, uint32_t kind, uint64_t uid)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->items[i].kind == kind && r->items[i].uid == uid)
			return true;
	return false;
}

static void
replica_free(struct replica *r)
{
	while (r->n > 0)
		free(r->items[--r->n].bytes);
	free(r);
}

START_TEST(test_pull)
{
	struct replica *eu = calloc(1, sizeof(*eu)), *us;
	struct lab_agent a, b;
	uint8_t old_hash[STATE_HASH_LEN];
	uint64_t old, version;
	struct buf bundle;
	struct lab l;

	us = calloc(1, sizeof(*us));
	lab_open(&l);
	buf_init(&bundle, BUNDLE_MAX);
	lab_agent(&l, "eu", &a);
	lab_agent(&l, "us", &b);
	IS(pull(&a, 0, NULL, &bundle), ERR_END); /* nothing declared yet */
	lab_config(&l);
	IS(pull(&a, 0, NULL, &bundle), 0);
	ck_assert(replica_apply(eu, &l, buf_str(&bundle)));
	ck_assert_uint_eq(eu->n, 9);
	IS(pull(&b, 0, NULL, &bundle), 0);
	ck_assert(replica_apply(us, &l, buf_str(&bundle)));
	ck_assert_uint_eq(us->n, 8);
	ck_assert(replica_has(eu, 7, lab_uid(&l, 7, "d-eu")));
	ck_assert(!replica_has(us, 7, lab_uid(&l, 7, "d-eu")));
	IS(pull(&a, eu->version, eu->hash, &bundle), ERR_END);
	/* a delta */
	old = eu->version;
	memcpy(old_hash, eu->hash, sizeof(old_hash));
	version = lab_put(&l, 1, "acme", "{\"disabled\":true}");
	lab_wait_version(&l, version);
	IS(pull(&a, eu->version, eu->hash, &bundle), 0);
	ck_assert_uint_lt(bundle.len, 400);
	ck_assert(replica_apply(eu, &l, buf_str(&bundle)));
	ck_assert_uint_eq(eu->version, version);
	/* over several versions, with a delete */
	(void)lab_put(&l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"5\",\"period\":\"day\"}");
	(void)lab_delete(&l, 4, "acme.r.c.k");
	version = lab_delete(&l, 9, "acme.b");
	lab_wait_version(&l, version);
	IS(pull(&a, eu->version, eu->hash, &bundle), 0);
	ck_assert_uint_lt(bundle.len, 400);
	ck_assert(replica_apply(eu, &l, buf_str(&bundle)));
	ck_assert_uint_eq(eu->n, 8);
	/* the same base again, and one whose hash is wrong: a snapshot */
	IS(pull(&a, old, old_hash, &bundle), 0);
	ck_assert_uint_lt(bundle.len, 350);
	old_hash[0] ^= 1;
	IS(pull(&a, old, old_hash, &bundle), 0);
	ck_assert_uint_gt(bundle.len, 350);
	replica_remove(eu, 1, lab_uid(&l, 1, "acme"));
	ck_assert(replica_apply(eu, &l, buf_str(&bundle)));
	IS(pull(&b, us->version, us->hash, &bundle), 0);
	ck_assert(replica_apply(us, &l, buf_str(&bundle)));
	ck_assert_uint_eq(us->n, 7);
	replica_free(eu);
	replica_free(us);
	buf_release(&bundle);
	lab_agent_free(&a);
	lab_agent_free(&b);
	lab_close(&l);
}
END_TEST

/* More than one part; and the credential is in the bundle, nowhere else. */
START_TEST(test_large_pull)
{
	struct replica *r = calloc(1, sizeof(*r));
	struct lab_agent a;
	struct buf bundle;
	struct lab l;

	lab_open(&l);
	lab_config(&l);
	lab_wait_version(&l, lab_put_keys(&l, 19000));
	lab_agent(&l, "eu", &a);
	buf_init(&bundle, BUNDLE_MAX);
	IS(pull(&a, 0, NULL, &bundle), 0);
	ck_assert_uint_gt(bundle.len, BUNDLE_PART);
	ck_assert(replica_apply(r, &l, buf_str(&bundle)));
	ck_assert_uint_eq(r->n, 19009);
	ck_assert_ptr_nonnull(
	    memmem(bundle.data, bundle.len, "sk-provider", 11));
	replica_free(r);
	buf_release(&bundle);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* ---- push
 * -------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	char bytes[100][4096];
	size_t len[100];
	unsigned n;
} pushed = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void
on_push(void *ctx, struct str message)
{
	(void)ctx;
	pthread_mutex_lock(&pushed.lock);
	if (pushed.n < 100 && message.len <= sizeof(pushed.bytes[0])) {
		memcpy(pushed.bytes[pushed.n], message.p, message.len);
		pushed.len[pushed.n++] = message.len;
		pthread_cond_broadcast(&pushed.more);
	}
	pthread_mutex_unlock(&pushed.lock);
}

static unsigned
n_pushed(void)
{
	unsigned n;

	pthread_mutex_lock(&pushed.lock);
	n = pushed.n;
	pthread_mutex_unlock(&pushed.lock);
	return n;
}

/* Wait for the k-th publication and open it; false when not for this key. */
static bool
take_push(struct lab_agent *a, unsigned k, struct buf *out)
{
	struct envelope env;
	int i;

	for (i = 0; i < 10000 && n_pushed() <= k; i++)
		poll(NULL, 0, 1);
	ck_assert_msg(n_pushed() > k, "nothing was published");
	ck_assert_int_eq(
	    envelope_open(str_make(pushed.bytes[k], pushed.len[k]), &env, &e),
	    0);
	ck_assert_int_eq(envelope_verify(&env, a->l->pki->sign_pk), 0);
	ck_assert_uint_eq(env.type, HG__MESSAGE_TYPE__MSG_BUNDLE);
	buf_clear(out);
	return delta_open(env.payload, a->group, a->group_key, out, &e) == 0;
}

static struct channel_sub *
subscribe(struct lab *l, const char *group)
{
	char address[64];
	const char *const addresses[] = {address};
	struct channel_sub_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = l->pki->ca_pem,
	    .server_name = "localhost",
	    .topic = group,
	    .on_message = on_push};
	struct channel_sub *sub = NULL;
	int i;

	snprintf(address, sizeof(address), "tls+tcp://127.0.0.1:%u",
	    fleet_publish_port(l->fleet));
	ck_assert_int_eq(channel_sub_new(&opt, &sub, &e), 0);
	for (i = 0; i < 10000 && !channel_sub_connected(sub); i++)
		poll(NULL, 0, 1);
	return sub;
}

START_TEST(test_push)
{
	struct replica *r = calloc(1, sizeof(*r));
	struct lab_agent a, other;
	struct channel_sub *sub;
	struct buf bundle;
	struct db *db = NULL;
	struct lab l;
	unsigned k = 0;
	bool applied;
	int i;

	lab_open(&l);
	lab_config(&l);
	buf_init(&bundle, BUNDLE_MAX);
	lab_agent(&l, "eu", &a);
	lab_agent(&l, "eu", &other);
	IS(pull(&a, 0, NULL, &bundle), 0);
	ck_assert(replica_apply(r, &l, buf_str(&bundle)));
	sub = subscribe(&l, "eu");
	/* until the server's side of the subscription is there */
	for (i = 0; i < 50 && n_pushed() == 0; i++) {
		lab_wait_version(&l, lab_put(&l, 1, "acme",
					 i % 2 ? "{}" : "{\"disabled\":true}"));
		poll(NULL, 0, 20);
	}
	for (applied = false; k < n_pushed(); k++)
		if (take_push(&a, k, &bundle))
			applied |= replica_apply(r, &l, buf_str(&bundle));
	if (!applied) { /* the first ones were missed: repaired by a pull */
		IS(pull(&a, r->version, r->hash, &bundle), 0);
		ck_assert(replica_apply(r, &l, buf_str(&bundle)));
	}
	/* from now on every delta arrives and applies */
	for (i = 0; i < 5; i++) {
		lab_wait_version(&l, lab_put(&l, 3, "acme.r.c",
					 i % 2 ? "{}" : "{\"disabled\":true}"));
		ck_assert(take_push(&a, k++, &bundle));
		ck_assert(replica_apply(r, &l, buf_str(&bundle)));
		ck_assert_uint_eq(r->version, fleet_version(l.fleet));
	}
	/* a revoked agent is out, and cannot read what follows */
	ck_assert_int_eq(store_take(l.store, &db, &e), 0);
	ck_assert_int_eq(store_agent_revoke(db, str_of(other.id), &e), 0);
	store_give(db);
	for (i = 0; i < 5000 && lab_beat(&other, NULL, NULL) == 0; i++)
		poll(NULL, 0, 1);
	IS(lab_beat(&other, NULL, NULL), ERR_FORBIDDEN);
	for (i = 0; i < 5000 && a.group_key_id == other.group_key_id; i++)
		IS(lab_beat(&a, NULL, NULL), 0);
	ck_assert_uint_ne(a.group_key_id, other.group_key_id);
	lab_wait_version(&l, lab_put(&l, 2, "acme.r", "{\"disabled\":true}"));
	ck_assert(!take_push(&other, k, &bundle));
	IS(lab_hello(&a, 2), 0); /* brings the new key */
	ck_assert(take_push(&a, k, &bundle));
	ck_assert(replica_apply(r, &l, buf_str(&bundle)));
	channel_sub_free(sub);
	replica_free(r);
	buf_release(&bundle);
	lab_agent_free(&a);
	lab_agent_free(&other);
	lab_close(&l);
}
END_TEST

/* ---- acks, figures
 * --------------------------------------------------------------- */

struct rollout {
	int64_t active_at, rejected_at;
	char reason[64];
	unsigned n;
};

static int
rollout_row(void *ctx, const struct ack_row *row)
{
	struct rollout *x = ctx;

	x->n++;
	x->active_at = row->active_at;
	x->rejected_at = row->rejected_at;
	snprintf(x->reason, sizeof(x->reason), "%.*s", STR_ARG(row->reason));
	return 0;
}

/* How many agents were heard of since an instant of the only one. */
static void
counted(struct lab *l, const char *since, int64_t n)
{
	int64_t got = -1;
	struct db *db = NULL;
	char sql[96];

	(void)snprintf(
	    sql, sizeof(sql), "SELECT hg_ns(max(%s)) FROM agent", since);
	ck_assert_int_eq(store_take(l->store, &db, &e), 0);
	ck_assert_int_eq(
	    store_agents_count(db, pgtest_number(l->store, sql), &got, &e), 0);
	store_give(db);
	ck_assert_int_eq(got, n);
}

START_TEST(test_acks)
{
	char reason[] = "bad price", item[] = "m", none[] = "";
	Hg__ConfigAck ack[3], *list[3] = {&ack[0], &ack[1], &ack[2]};
	Hg__HeartbeatReply *reply = NULL;
	struct fleet_stats st;
	struct rollout x = {0};
	struct lab_agent a;
	struct db *db = NULL;
	Hg__Heartbeat m;
	struct lab l;
	int i;

	lab_open(&l);
	lab_config(&l);
	lab_agent(&l, "eu", &a);
	hg__heartbeat__init(&m);
	m.active_version = 7;
	m.state = none;
	for (i = 0; i < 3; i++) {
		hg__config_ack__init(&ack[i]);
		ack[i].version = 8;
		ack[i].level = (Hg__AckLevel)(i + 1);
		ack[i].at = INT64_C(1700000000000000000) + i * 1000;
		ack[i].item = none;
		ack[i].reason = none;
	}
	ack[2].kind = HG__ITEM_KIND__ITEM_MODEL;
	ack[2].item = item;
	ack[2].reason = reason;
	m.acks = list;
	m.n_acks = 3;
	for (i = 0; i < 2; i++) /* twice: the first time stays */
		IS(lab_call(&a, HG__MESSAGE_TYPE__MSG_HEARTBEAT, &m.base,
		       &hg__heartbeat_reply__descriptor, &reply),
		    0);
	ck_assert_uint_eq(reply->latest_version, fleet_version(l.fleet));
	ck_assert_int_eq(store_take(l.store, &db, &e), 0);
	ck_assert_int_eq(store_ack_rollout(db, 8, rollout_row, &x, &e), 0);
	store_give(db);
	ck_assert_uint_eq(x.n, 1);
	ck_assert_int_eq(x.active_at, 0);
	ck_assert_int_eq(x.rejected_at, INT64_C(1700000000000002000));
	ck_assert_str_eq(x.reason, "bad price");
	fleet_stats(l.fleet, &st);
	ck_assert_uint_eq(st.agents, 1);
	ck_assert_uint_eq(st.lagging, 1);
	ck_assert_uint_eq(st.enrolled, 1);
	/* the heartbeat reaches the table */
	for (i = 0; i < 5000; i++) {
		if (pgtest_number(
			l.store, "SELECT max(active_version) FROM agent") == 7)
			break;
		poll(NULL, 0, 1);
	}
	ck_assert_int_lt(i, 5000);
	counted(&l, "last_seen", 1); /* and it is one of so many */
	counted(&l, "last_seen + interval '1 microsecond'", 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

START_TEST(test_window)
{
	struct window w = {0};
	uint64_t s;

	for (s = 1; s < 5000; s++)
		ck_assert(window_accept(&w, s));
	ck_assert(!window_accept(&w, 4999));
	ck_assert(!window_accept(&w, 4999 - WINDOW_BITS + 1));
	ck_assert(!window_accept(&w, 1));   /* too old to tell */
	ck_assert(window_accept(&w, 5010)); /* out of order */
	ck_assert(window_accept(&w, 5005));
	ck_assert(!window_accept(&w, 5005));
	ck_assert(window_accept(&w, 5000));
	ck_assert(window_accept(&w, 5000 + 100000));
	ck_assert(!window_accept(&w, 5011));
	ck_assert(window_accept(&w, 5000 + 100000 - WINDOW_BITS + 1));
	ck_assert(window_accept(&w, UINT64_MAX));
	ck_assert(!window_accept(&w, UINT64_MAX));
	ck_assert(window_accept(&w, UINT64_MAX - 1));
}
END_TEST

struct slow_agent {
	struct lab_agent a;
	Hg__UsageAck ack;
	pthread_t thread;
	int rc;
};

static void *
slow_main(void *arg)
{
	struct slow_agent *x = arg;

	x->rc = lab_usage(&x->a, 1, 0, 1, 5, 1000, 0, 0, false, &x->ack);
	return NULL;
}

/* PostgreSQL is slow: who finds no place is told to wait, longer and longer;
 * heartbeats are answered all the while; nothing is lost. */
START_TEST(test_back_pressure)
{
	struct slow_agent x[2] = {0};
	struct lab_agent a = {0};
	struct fleet_stats st;
	Hg__LeaseGrant grant;
	Hg__UsageAck ack;
	struct db *db = NULL;
	uint32_t first;
	struct lab l;
	int beats = 0;

	lab_open(&l);
	lab_config(&l);
	lab_agent(&l, "default", &a);
	for (int i = 0; i < 2; i++)
		lab_agent(&l, "default", &x[i].a);
	IS(store_take(l.store, &db, &e), 0);
	IS(db_begin(db, &e), 0);
	IS(db_script(db, "LOCK TABLE usage_watermark", &e), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&x[i].thread, NULL, slow_main, &x[i]);
	while (pgtest_number(l.store,
		   "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
		   "relation = 'usage_watermark'::regclass") < 2)
		;
	IS(lab_usage(&a, 1, 0, 1, 5, 1000, 0, 0, false, &ack), 0);
	ck_assert_int_eq(ack.error_code, ERR_AGAIN);
	ck_assert_uint_eq(ack.watermark, 0);
	first = ack.retry_ms;
	ck_assert_uint_ge(first, 50);
	do {
		IS(lab_usage(&a, 1, 0, 1, 5, 1000, 0, 0, false, &ack), 0);
		ck_assert_int_eq(ack.error_code, ERR_AGAIN);
		ck_assert_uint_ge(ack.retry_ms, first);
		IS(lab_beat(&a, NULL, &grant), 0);
		beats++;
	} while (ack.retry_ms < 400);
	ck_assert_int_gt(beats, 3);
	db_rollback(db);
	store_give(db);
	for (int i = 0; i < 2; i++) {
		pthread_join(x[i].thread, NULL);
		ck_assert_int_eq(x[i].rc, 0);
		ck_assert_int_eq(x[i].ack.error_code, 0);
		ck_assert_uint_eq(x[i].ack.watermark, 5);
		lab_agent_free(&x[i].a);
	}
	IS(lab_usage(&a, 1, 0, 1, 5, 1000, 0, 0, false, &ack), 0);
	ck_assert_int_eq(ack.error_code, 0);
	ck_assert_uint_eq(ack.watermark, 5);
	fleet_stats(l.fleet, &st);
	ck_assert_uint_ge(st.usage_slowed, (unsigned)beats + 1);
	ck_assert_uint_eq(st.usage_records, 15);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/fleet");

	UNIT_ADD(s, test_window);
	UNIT_ADD(s, test_enrol);
	UNIT_ADD(s, test_who_may_speak);
	UNIT_ADD(s, test_garbage);
	UNIT_ADD(s, test_pull);
	UNIT_ADD(s, test_large_pull);
	UNIT_ADD(s, test_push);
	UNIT_ADD(s, test_back_pressure);
	UNIT_ADD(s, test_acks);
	return pgtest_run(s);
}
