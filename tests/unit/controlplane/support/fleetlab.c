/* SPDX-License-Identifier: Apache-2.0 */
/* See fleetlab.h. */
#include "tests/unit/controlplane/support/fleetlab.h"

#include <poll.h>
#include <stdio.h>

#include "controlplane/config/credential.h"
#include "controlplane/store/store_config.h"

#define OK(call)                                                          \
	do {                                                              \
		int lab_rc = (call);                                      \
                                                                          \
		if (lab_rc != 0)                                          \
			ck_abort_msg("%s: %d %s", #call, lab_rc, e.text); \
	} while (0)

void
lab_open_store(struct lab *l)
{
	static const uint8_t key[32] = {7};
	struct error e = {0};

	memset(l, 0, sizeof(*l));
	l->store = pgtest_open();
	l->vault = vault_new(key);
	ck_assert_ptr_nonnull(l->vault);
	OK(pki_load(l->store, l->vault, "localhost,127.0.0.1",
	    clock_wall(clock_system()), &l->pki, &e));
}

void
lab_open(struct lab *l)
{
	struct fleet_options o = {.listen = "127.0.0.1:0",
	    .listen_publish = "127.0.0.1:0",
	    .tls_name = "localhost,127.0.0.1",
	    .n_workers = 4};
	struct channel_client_options c = {
	    .n_addresses = 1, .server_name = "localhost", .max_calls = 8};
	struct error e = {0};
	const char *address;
	char text[64];

	lab_open_store(l);
	o.store = l->store;
	o.vault = l->vault;
	o.pki = l->pki;
	OK(fleet_new(&o, &l->fleet, &e));
	snprintf(
	    text, sizeof(text), "tls+tcp://127.0.0.1:%u", fleet_port(l->fleet));
	address = text;
	c.addresses = &address;
	c.ca_pem = l->pki->ca_pem;
	OK(channel_client_new(&c, &l->client, &e));
	OK(channel_client_wait(l->client, 10000));
}

void
lab_close(struct lab *l)
{
	channel_client_free(l->client);
	fleet_free(l->fleet);
	pki_free(l->pki);
	vault_free(l->vault);
	pgtest_close(l->store);
}

/* ---- configuration
 * ----------------------------------------------------------- */

struct lab_item {
	uint64_t uid;
	char *spec;
};

static int
lab_found(void *ctx, const struct store_item *it)
{
	struct lab_item *x = ctx;

	x->uid = it->uid;
	free(x->spec);
	x->spec = str_dup(it->spec);
	return 0;
}

static uint64_t
lab_commit(struct lab *l, int kind, const char *name, const char *spec)
{
	struct store_change c = {.kind = kind, .name = str_of(name)};
	struct lab_item old = {0};
	struct error e = {0};
	struct db *db = NULL;
	uint64_t version = 0;

	OK(store_take(l->store, &db, &e));
	OK(db_begin(db, &e));
	OK(store_config_lock(db, &version, &e));
	if (store_config_get(db, kind, c.name, lab_found, &old, &e) == 0) {
		c.op = spec ? STORE_OP_UPDATE : STORE_OP_DELETE;
		c.uid = old.uid;
		c.old_spec = str_of(old.spec);
	} else {
		c.op = STORE_OP_CREATE;
		OK(store_config_new_uid(db, &c.uid, &e));
	}
	c.new_spec = str_of(spec);
	if (kind == HG__ITEM_KIND__ITEM_PROVIDER && spec != NULL &&
	    c.op == STORE_OP_CREATE) {
		uint64_t v;

		OK(credential_put(db, l->vault, c.uid, CREDENTIAL_MAIN,
		    STR("sk-provider"), &v, &e));
	}
	OK(store_config_commit(
	    db, &c, 1, STR("test"), STR("test"), 0, &version, &e));
	OK(db_commit(db, &e));
	store_give(db);
	free(old.spec);
	return version;
}

uint64_t
lab_put(struct lab *l, int kind, const char *name, const char *spec)
{
	return lab_commit(l, kind, name, spec);
}

uint64_t
lab_delete(struct lab *l, int kind, const char *name)
{
	return lab_commit(l, kind, name, NULL);
}

uint64_t
lab_uid(struct lab *l, int kind, const char *name)
{
	struct lab_item x = {0};
	struct error e = {0};
	struct db *db = NULL;

	OK(store_take(l->store, &db, &e));
	OK(store_config_get(db, kind, str_of(name), lab_found, &x, &e));
	store_give(db);
	free(x.spec);
	return x.uid;
}

uint64_t
lab_put_keys(struct lab *l, unsigned n)
{
	struct store_change *c = calloc(n, sizeof(*c));
	struct error e = {0};
	struct db *db = NULL;
	uint64_t version = 0;
	struct arena a;
	unsigned i;

	arena_init(&a, 1 << 20, 256 << 20);
	OK(store_take(l->store, &db, &e));
	OK(db_begin(db, &e));
	OK(store_config_lock(db, &version, &e));
	for (i = 0; i < n; i++) {
		c[i].op = STORE_OP_CREATE;
		c[i].kind = 4;
		OK(store_config_new_uid(db, &c[i].uid, &e));
		c[i].name = str_of(arena_printf(&a, "acme.r.c.x%u", i + 1));
		c[i].new_spec =
		    str_of(arena_printf(&a, "{\"digest\":\"%064x\"}", i + 1));
	}
	OK(store_config_commit(
	    db, c, n, STR("test"), STR("keys"), 0, &version, &e));
	OK(db_commit(db, &e));
	store_give(db);
	arena_release(&a);
	free(c);
	return version;
}

void
lab_config(struct lab *l)
{
	(void)lab_put(l, 1, "acme", "{}");
	(void)lab_put(l, 2, "acme.r", "{}");
	(void)lab_put(l, 3, "acme.r.c", "{}");
	(void)lab_put(l, 4, "acme.r.c.k",
	    "{\"digest\":\"000102030405060708090a0b0c0d0e0f"
	    "101112131415161718191a1b1c1d1e1f\"}");
	(void)lab_put(l, 5, "p",
	    "{\"dialect\":\"openai\",\"base_url\":\"http://127.0.0.1:1/v1\","
	    "\"credential_version\":1}");
	(void)lab_put(l, 6, "m",
	    "{\"capabilities\":[\"chat\"],\"prices\":[{\"class\":\"input\","
	    "\"usd_per_mtok\":\"1\"}]}");
	(void)lab_put(l, 7, "d",
	    "{\"model\":\"m\",\"provider\":\"p\",\"upstream_model\":\"u\"}");
	(void)lab_put(l, 7, "d-eu",
	    "{\"model\":\"m\",\"provider\":\"p\",\"upstream_model\":\"u\","
	    "\"agent_groups\":[\"eu\"]}");
	lab_wait_version(l, lab_put(l, 8, "m",
				"{\"targets\":[{\"deployment\":\"d\"},"
				"{\"deployment\":\"d-eu\"}]}"));
}

void
lab_wait_version(struct lab *l, uint64_t version)
{
	int i;

	for (i = 0; i < 10000 && fleet_version(l->fleet) < version; i++)
		poll(NULL, 0, 1);
	ck_assert_uint_ge(fleet_version(l->fleet), version);
}

char *
lab_token(
    struct lab *l, const char *group, int64_t max_uses, int64_t expires_at)
{
	struct join_row j = {.group = str_of(group),
	    .region = STR("eu-west-1"),
	    .labels = STR("{\"a\":\"b\"}"),
	    .created_by = STR("test"),
	    .max_uses = max_uses,
	    .expires_at = expires_at};
	struct error e = {0};
	struct db *db = NULL;
	struct buf text;

	buf_init(&text, JOIN_TEXT_MAX);
	OK(store_take(l->store, &db, &e));
	OK(fleet_join_create(l->fleet, db, &j, &text, &e));
	store_give(db);
	return buf_take(&text, NULL);
}

/* ---- agents
 * ------------------------------------------------------------------- */

int
lab_call(struct lab_agent *a, Hg__MessageType type, const ProtobufCMessage *m,
    const ProtobufCMessageDescriptor *reply_type, void *reply)
{
	struct envelope env = {.type = (uint32_t)type,
	    .boot_epoch = a->boot_epoch,
	    .seq = ++a->seq,
	    .sender = str_of(a->id)};
	struct buf out, in;
	void *got;
	int rc;

	buf_init(&out, ENVELOPE_MAX);
	buf_init(&in, ENVELOPE_MAX);
	a->e = (struct error){0};
	rc = envelope_pack_message(&env, m, a->sk, &out);
	if (rc == 0)
		rc = channel_call(
		    a->l->client, buf_str(&out), 30000, &in, &a->e);
	if (rc == 0)
		rc = envelope_open_reply(buf_str(&in), a->l->pki->sign_pk,
		    env.boot_epoch, env.seq, env.type, &env, &a->e);
	if (rc == 0) {
		arena_clear(&a->arena);
		got = proto_unpack(reply_type, env.payload, &a->arena);
		ck_assert_ptr_nonnull(got);
		memcpy(reply, &got, sizeof(got));
	}
	buf_release(&out);
	buf_release(&in);
	return rc;
}

int
lab_enrol(struct lab *l, const char *token, struct lab_agent *a)
{
	char secret[2 * JOIN_SECRET_LEN + 1], host[] = "host-1",
					      version[] = "0.1";
	Hg__EnrolReply *reply = NULL;
	struct join_token t;
	Hg__EnrolRequest m;
	struct error e = {0};
	int rc;

	if (a->l == NULL) {
		memset(a, 0, sizeof(*a));
		a->l = l;
		sign_keypair(a->pk, a->sk);
		arena_init(&a->arena, 4096, 64 << 20);
	}
	OK(join_token_parse(str_of(token), &t, &e));
	ck_assert_mem_eq(t.control_key, l->pki->sign_pk, SIGN_PUBLIC_LEN);
	join_secret_text(t.secret, secret);
	hg__enrol_request__init(&m);
	m.token_id = t.token_id;
	m.token_secret = secret;
	m.public_key.data = a->pk;
	m.public_key.len = sizeof(a->pk);
	m.hostname = host;
	m.software_version = version;
	a->id[0] = '\0';
	rc = lab_call(a, HG__MESSAGE_TYPE__MSG_ENROL, &m.base,
	    &hg__enrol_reply__descriptor, &reply);
	if (rc == 0) {
		snprintf(a->id, sizeof(a->id), "%s", reply->agent_id);
		snprintf(a->group, sizeof(a->group), "%s", reply->group);
		ck_assert_str_eq(reply->region, "eu-west-1");
	}
	join_token_release(&t);
	return rc;
}

int
lab_hello(struct lab_agent *a, uint32_t n_shards)
{
	Hg__HelloReply *reply = NULL;
	Hg__Hello m;
	int rc;

	hg__hello__init(&m);
	m.schema_major = PROTO_SCHEMA_MAJOR;
	m.instance_id = (char *)(uintptr_t)a->instance;
	m.n_shards = n_shards;
	rc = lab_call(a, HG__MESSAGE_TYPE__MSG_HELLO, &m.base,
	    &hg__hello_reply__descriptor, &reply);
	if (rc == 0) {
		ck_assert_uint_eq(reply->group_key.len, GROUP_KEY_LEN);
		memcpy(a->group_key, reply->group_key.data, GROUP_KEY_LEN);
		a->group_key_id = reply->group_key_id;
		ck_assert_str_eq(reply->group, a->group);
	}
	return rc;
}

void
lab_agent(struct lab *l, const char *group, struct lab_agent *a)
{
	char *token = lab_token(l, group, 1, 0);
	int rc;

	memset(a, 0, sizeof(*a));
	rc = lab_enrol(l, token, a);
	ck_assert_msg(rc == 0, "%s", a->e.text);
	a->boot_epoch = 1;
	a->instance = "one";
	rc = lab_hello(a, 2);
	ck_assert_msg(rc == 0, "%s", a->e.text);
	free(token);
}

int
lab_beat(struct lab_agent *a, Hg__LeaseReport *r, Hg__LeaseGrant *grant)
{
	char state[] = "ready";
	Hg__HeartbeatReply *reply = NULL;
	Hg__LeaseGrant none;
	Hg__Heartbeat m;
	int rc;

	hg__heartbeat__init(&m);
	hg__lease_grant__init(&none);
	m.state = state;
	m.group_key_id = a->group_key_id;
	m.instance_id = (char *)(uintptr_t)a->instance;
	if (r != NULL) {
		m.leases = &r;
		m.n_leases = 1;
	}
	rc = lab_call(a, HG__MESSAGE_TYPE__MSG_HEARTBEAT, &m.base,
	    &hg__heartbeat_reply__descriptor, &reply);
	if (rc == 0 && reply->group_key.len != 0)
		a->group_key_id = reply->group_key_id;
	if (rc == 0 && grant != NULL)
		*grant = reply->n_grants > 0 ? *reply->grants[0] : none;
	return rc;
}

int
lab_usage(struct lab_agent *a, uint64_t boot_epoch, uint32_t shard,
    uint64_t first_seq, unsigned n, int64_t cost, uint64_t budget_uid,
    int64_t period_start, bool last, Hg__UsageAck *ack)
{
	uint64_t tenant = lab_uid(a->l, 1, "acme"),
		 key = lab_uid(a->l, 4, "acme.r.c.k");
	Hg__UsageRecord *list[64], rec[64];
	Hg__Charge *charges[64], charge[64];
	int64_t tokens[] = {10};
	uint8_t rid[64][16] = {{0}};
	Hg__UsageAck *reply = NULL;
	Hg__UsageBatch m;
	unsigned i;
	int rc;

	ck_assert_uint_le(n, 64);
	hg__usage_batch__init(&m);
	for (i = 0; i < n; i++) {
		hg__usage_record__init(&rec[i]);
		hg__charge__init(&charge[i]);
		charge[i].budget_uid = budget_uid;
		charge[i].period_start = period_start;
		charge[i].boot_epoch = boot_epoch;
		charges[i] = &charge[i];
		rec[i].seq = first_seq + i;
		rec[i].attempt = 1;
		rid[i][0] = (uint8_t)shard;
		rid[i][1] = (uint8_t)(first_seq + i);
		rid[i][2] = (uint8_t)boot_epoch;
		rec[i].request_id.data = rid[i];
		rec[i].request_id.len = 16;
		rec[i].started_at = clock_wall(clock_system());
		rec[i].tenant_uid = tenant;
		rec[i].team_uid = lab_uid(a->l, 2, "acme.r");
		rec[i].project_uid = lab_uid(a->l, 3, "acme.r.c");
		rec[i].key_uid = key;
		rec[i].tokens = tokens;
		rec[i].n_tokens = 1;
		rec[i].cost = cost;
		rec[i].source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
		if (a->estimated != 0) {
			rec[i].source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
			charge[i].reserved = a->estimated;
		}
		rec[i].http_status = 200;
		if (budget_uid != 0) {
			rec[i].charges = &charges[i];
			rec[i].n_charges = 1;
		}
		list[i] = &rec[i];
	}
	m.boot_epoch = boot_epoch;
	m.shard = shard;
	m.first_seq = first_seq;
	m.records = list;
	m.n_records = n;
	m.last = last;
	m.may_lack = last && a->may_lack;
	rc = lab_call(a, HG__MESSAGE_TYPE__MSG_USAGE, &m.base,
	    &hg__usage_ack__descriptor, &reply);
	if (rc == 0)
		*ack = *reply;
	return rc;
}

void
lab_agent_free(struct lab_agent *a)
{
	arena_release(&a->arena);
}
