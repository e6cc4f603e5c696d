/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment and hello; and making the tokens that enrol. */
#include <sodium.h>
#include <stdio.h>

#include "common/json.h"
#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"
#include "controlplane/store/store_lease.h"
#include "proto/join.h"

#define LABELS_MAX 4096

/* ---- join tokens -----------------------------------------------------------
 */

/* The host of HOST:PORT that others on this machine can reach: of "any
 * address" the loopback. */
static struct str
join_host(const char *listen)
{
	const char *colon = listen != NULL ? strrchr(listen, ':') : NULL;
	struct str host = colon != NULL
			      ? str_make(listen, (size_t)(colon - listen))
			      : STR("");

	if (host.len == 0 || str_eqz(host, "0.0.0.0") || str_eqz(host, "*"))
		return STR("127.0.0.1");
	return str_eqz(host, "[::]") ? STR("[::1]") : host;
}

/* Comma-separated addresses, or one built from where the channel listens and
 * the bound port; strings in the arena. */
static int
join_addresses(struct arena *a, const char *list, const char *listen,
    uint16_t port, char *out[CHANNEL_MAX_ADDRESSES], unsigned *n)
{
	struct str rest = str_of(list), one;
	bool more = rest.len > 0;

	if (!more) {
		struct str host = join_host(listen);

		out[0] =
		    arena_printf(a, "tls+tcp://%.*s:%u", STR_ARG(host), port);
		*n = 1;
		return out[0] != NULL ? 0 : ERR_NOMEM;
	}
	for (*n = 0; more && *n < CHANNEL_MAX_ADDRESSES;) {
		more = str_cut(rest, ',', &one, &rest);
		one = str_trim(one);
		if (one.len == 0)
			continue;
		out[*n] = arena_strdup(a, one);
		if (out[(*n)++] == NULL)
			return ERR_NOMEM;
	}
	return *n > 0 ? 0 : ERR_INVALID;
}

static int
join_text(struct fleet *f, struct arena *a, struct join_token *t,
    const struct join_row *j, struct buf *text)
{
	int rc;

	rc = join_addresses(a, f->advertise, f->o.listen, fleet_port(f),
	    t->addresses, &t->n_addresses);
	if (rc == 0)
		rc =
		    join_addresses(a, f->advertise_publish, f->o.listen_publish,
			fleet_publish_port(f), t->publish, &t->n_publish);
	if (rc != 0)
		return rc;
	t->server_name = f->tls_name;
	t->ca_pem = f->o.pki->ca_pem;
	memcpy(t->control_key, f->o.pki->sign_pk, sizeof(t->control_key));
	t->token_id = fleet_text(j->id);
	t->group = arena_strdup(a, j->group);
	t->region = arena_strdup(a, j->region);
	if (t->group == NULL || t->region == NULL)
		return ERR_NOMEM;
	return join_token_format(t, text);
}

int
fleet_join_create(void *fleet, struct db *db, struct join_row *j,
    struct buf *text, struct error *e)
{
	struct fleet *f = fleet;
	struct join_token t = {0};
	uint8_t digest[32];
	struct uuid id;
	struct arena a;
	int rc;

	if (j->group.len >= sizeof(((struct group_key *)0)->group) ||
	    j->region.len >= 64)
		return err_set_field(e, ERR_INVALID, "/group",
		    "group and region have at most 63 characters");
	uuid_v7(&id, f->rng, clock_wall(f->clock));
	uuid_format(&id, j->id);
	f->rng->fill(f->rng, t.secret, sizeof(t.secret));
	crypto_hash_sha256(digest, t.secret, sizeof(t.secret));
	arena_init(&a, 4096, 256 << 10);
	rc = join_text(f, &a, &t, j, text);
	if (rc != 0)
		rc = err_set(e, rc, "join token: %s", err_text(rc));
	if (rc == 0)
		rc = store_join_create(db, j, digest, e);
	arena_release(&a);
	sodium_memzero(&t, sizeof(t));
	return rc;
}

/* ---- enrolment --------------------------------------------------------------
 */

static int
labels_json(Hg__Label *const *labels, size_t n, struct buf *out)
{
	size_t i;

	buf_addc(out, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		buf_add_json(out, str_of(labels[i]->key));
		buf_addc(out, ':');
		buf_add_json(out, str_of(labels[i]->value));
	}
	return buf_addc(out, '}');
}

static int
enrol_store(struct request *rq, const Hg__EnrolRequest *m,
    const uint8_t secret[JOIN_SECRET_LEN], struct agent_enrol *a)
{
	struct fleet *f = rq->f;
	struct buf labels;
	struct uuid id;
	int rc;

	uuid_v7(&id, f->rng, clock_wall(f->clock));
	uuid_format(&id, a->id);
	crypto_hash_sha256(a->digest, secret, JOIN_SECRET_LEN);
	memcpy(a->public_key, m->public_key.data, sizeof(a->public_key));
	a->token_id = str_of(m->token_id);
	a->hostname = str_of(m->hostname);
	a->software_version = str_of(m->software_version);
	buf_init(&labels, LABELS_MAX);
	if (labels_json(m->labels, m->n_labels, &labels) != 0)
		rc = err_set(&rq->e, ERR_INVALID, "too many labels");
	else {
		a->labels = buf_str(&labels);
		rc = store_agent_enrol(f->o.store, a, &rq->e);
	}
	buf_release(&labels);
	return rc;
}

int
msg_enrol(struct request *rq)
{
	uint8_t secret[JOIN_SECRET_LEN];
	struct agent_enrol a = {0};
	Hg__EnrolRequest *m;
	Hg__EnrolReply reply;
	int rc;

	m = request_unpack(rq, &hg__enrol_request__descriptor);
	if (m == NULL)
		return ERR_INVALID;
	if (m->public_key.len != SIGN_PUBLIC_LEN || rq->env.sender.len != 0)
		return err_set(&rq->e, ERR_INVALID, "malformed enrolment");
	rc = envelope_verify(&rq->env, m->public_key.data);
	if (rc != 0)
		return err_set(
		    &rq->e, rc, "the enrolment is not signed by its own key");
	if (hex_decode(str_of(m->token_secret), secret, sizeof(secret)) != 0)
		return err_set(
		    &rq->e, ERR_UNAUTHENTICATED, "join token refused");
	rc = enrol_store(rq, m, secret, &a);
	sodium_memzero(secret, sizeof(secret));
	if (rc == ERR_UNAUTHENTICATED) { /* why is for the log only */
		log_warn("enrolment refused", LF("token", m->token_id),
		    LF("hostname", m->hostname), LF("reason", rq->e.text));
		return err_set(
		    &rq->e, ERR_UNAUTHENTICATED, "join token refused");
	}
	if (rc != 0)
		return rc;
	registry_forget(rq->f->registry, str_of(a.id));
	atomic_fetch_add(&rq->f->enrolled, 1);
	log_info("agent enrolled", LF("agent", a.id),
	    LF("hostname", m->hostname), LF("group", a.group),
	    LF("region", a.region), LFB("again", a.key_known));
	hg__enrol_reply__init(&reply);
	reply.agent_id = a.id;
	reply.group = a.group;
	reply.region = a.region;
	return request_answer(rq, &reply.base);
}

/* ---- hello ------------------------------------------------------------------
 */

static int
hello_answer(struct request *rq)
{
	char *features[] = {fleet_text("rate-leases")};
	struct fleet *f = rq->f;
	uint8_t key[GROUP_KEY_LEN];
	Hg__HelloReply reply;
	int rc;

	hg__hello_reply__init(&reply);
	reply.features = features;
	reply.n_features = 1;
	rc = fleet_group_key(
	    f, rq->agent.group, key, &reply.group_key_id, &rq->e);
	if (rc != 0)
		return rc;
	reply.group = rq->agent.group;
	reply.group_key.data = key;
	reply.group_key.len = sizeof(key);
	reply.latest_version = state_version(f->state);
	reply.now = clock_wall(f->clock);
	reply.heartbeat_ms = f->o.heartbeat_ms;
	rc = request_answer(rq, &reply.base);
	sodium_memzero(key, sizeof(key));
	return rc;
}

int
msg_hello(struct request *rq)
{
	struct fleet *f = rq->f;
	Hg__Hello *m = request_unpack(rq, &hg__hello__descriptor);
	struct agent_hello h;
	int64_t released = 0;
	int rc;

	if (m == NULL)
		return ERR_INVALID;
	if (m->schema_major != PROTO_SCHEMA_MAJOR)
		return err_set(&rq->e, ERR_UNSUPPORTED,
		    "schema %u.%u: this control plane speaks %u.%u",
		    m->schema_major, m->schema_minor, PROTO_SCHEMA_MAJOR,
		    PROTO_SCHEMA_MINOR);
	h = (struct agent_hello){.id = rq->env.sender,
	    .instance_id = str_of(m->instance_id),
	    .software_version = str_of(m->software_version),
	    .boot_epoch = rq->env.boot_epoch,
	    .n_shards = m->n_shards};
	if (h.instance_id.len == 0 || h.instance_id.len > 63)
		return err_set(&rq->e, ERR_INVALID, "bad instance id");
	rc = store_agent_hello(f->o.store, &h, &rq->e);
	if (rc == 0)
		rc = fleet_load_agent(f, rq->env.sender, &rq->agent, &rq->e);
	if (rc == 0)
		rc = state_add_group(f->state, rq->agent.group, &rq->e);
	if (rc == 0) /* evidence may have come before this hello */
		rc = store_lease_release(f->o.store, rq->env.sender,
		    rq->env.boot_epoch, &released, &rq->e);
	if (rc != 0)
		return rc;
	log_info("agent hello", LFS("agent", rq->env.sender),
	    LFI("epoch", rq->env.boot_epoch),
	    LF("version", m->software_version), LF("group", rq->agent.group),
	    LFI("released_nanousd", released));
	return hello_answer(rq);
}
