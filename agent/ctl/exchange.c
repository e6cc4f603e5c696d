/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the control thread: hello, heartbeat, pull; and usage
 * batches for the shipper. What is asked when is decided in ctl.c.
 */
#include "agent/ctl/ctl_priv.h"
#include "agent/metrics.h"
#include "agent/money/lease_value.h"
#include "common/log.h"
#include "common/version.h"

#define HEARTBEAT_MIN_MS 100
#define HEARTBEAT_MAX_MS 60000

static char *
text(const char *z)
{
	return (char *)(uintptr_t)z; /* protobuf-c does not know const */
}

static void
ctl_set_interval(struct ctl *c, uint32_t ms)
{
	if (ms < HEARTBEAT_MIN_MS || ms > HEARTBEAT_MAX_MS)
		return;
	c->heartbeat_ns = (int64_t)ms * NS_PER_MS;
}

void
ctl_set_group_key(struct ctl *c, const ProtobufCBinaryData *key, uint32_t id)
{
	if (key->len != GROUP_KEY_LEN)
		return;
	pthread_mutex_lock(&c->lock);
	memcpy(c->group_key, key->data, GROUP_KEY_LEN);
	c->group_key_id = id;
	c->has_group_key = true;
	pthread_mutex_unlock(&c->lock);
}

static bool
hello_has(const Hg__HelloReply *r, const char *feature)
{
	for (size_t i = 0; i < r->n_features; i++)
		if (strcmp(r->features[i], feature) == 0)
			return true;
	return false;
}

int
ctl_hello(struct ctl *c, struct error *e)
{
	char *features[] = {text(RATE_FEATURE)};
	Hg__Hello ask;
	Hg__HelloReply *reply = NULL;
	int rc;

	hg__hello__init(&ask);
	ask.software_version = text(HEADGATE_VERSION);
	ask.schema_major = PROTO_SCHEMA_MAJOR;
	ask.schema_minor = PROTO_SCHEMA_MINOR;
	ask.n_shards = c->opt.agent->n_workers;
	ask.instance_id = c->opt.instance_id;
	ask.features = features;
	ask.n_features = 1;
	arena_clear(&c->arena);
	rc = line_call(c->opt.line, HG__MESSAGE_TYPE__MSG_HELLO, &ask.base,
	    &hg__hello_reply__descriptor, &c->arena, (void **)&reply, e);
	if (rc != 0)
		return rc;
	ctl_set_group_key(c, &reply->group_key, reply->group_key_id);
	ctl_set_interval(c, reply->heartbeat_ms);
	c->latest_version = reply->latest_version;
	c->lends_rates = hello_has(reply, RATE_FEATURE);
	return 0;
}

/* ---- heartbeat
 * -------------------------------------------------------------------- */

static int
heartbeat_acks(struct ctl *c, Hg__Heartbeat *ask)
{
	size_t n = config_acks(c->opt.config, c->acks);

	if (n == 0)
		return 0;
	ask->acks = arena_alloc(&c->arena, n * sizeof(*ask->acks));
	if (ask->acks == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		Hg__ConfigAck *a = arena_alloc(&c->arena, sizeof(*a));

		if (a == NULL)
			return ERR_NOMEM;
		hg__config_ack__init(a);
		a->version = c->acks[i].version;
		a->level = (Hg__AckLevel)c->acks[i].level;
		a->kind = (Hg__ItemKind)c->acks[i].kind;
		a->item = c->acks[i].item;
		a->reason = c->acks[i].reason;
		a->at = c->acks[i].at;
		ask->acks[i] = a;
	}
	ask->n_acks = n;
	return 0;
}

static const char *
heartbeat_state(const struct ctl *c)
{
	const struct agent *a = c->opt.agent;

	if (atomic_load(&c->draining) ||
	    atomic_load_explicit(&a->draining, memory_order_relaxed))
		return "draining";
	return atomic_load_explicit(&a->ready, memory_order_relaxed)
		   ? "ready"
		   : "starting";
}

static void
heartbeat_journal(struct ctl *c, Hg__Heartbeat *ask)
{
	struct shipper *s = atomic_load(&c->shipper);
	struct ship_stats stats;

	if (s == NULL)
		return;
	shipper_stats(s, &stats);
	ask->journal_unshipped = stats.unshipped;
	ask->journal_oldest = stats.oldest_at;
}

/* Counters about shares of limits. */
static void
heartbeat_rates(struct ctl *c)
{
	struct metric_set *set = c->opt.agent->metrics;
	struct metric_series *m;
	uint64_t shares, lapses;

	if (set == NULL || c->opt.rates == NULL)
		return;
	rate_table_counts(c->opt.rates, &shares, &lapses);
	m = metric_series(set, AM_LIMIT_SHARES, NULL, 0);
	metric_add(m, (int64_t)shares - metric_value(m));
	m = metric_series(set, AM_LIMIT_LAPSES, NULL, 0);
	metric_add(m, (int64_t)lapses - metric_value(m));
}

/* Counters about leases. */
static void
heartbeat_leases(struct ctl *c)
{
	struct metric_set *set = c->opt.agent->metrics;
	uint64_t grants, recalls, values, refused;
	struct metric_series *m;

	if (set == NULL)
		return;
	lease_table_counts(c->opt.leases, &grants, &recalls);
	lease_value_counts(c->opt.leases, &values, &refused);
	m = metric_series(set, AM_LEASE_GRANTS, NULL, 0);
	metric_add(m, (int64_t)grants - metric_value(m));
	m = metric_series(set, AM_LEASE_RECALLS, NULL, 0);
	metric_add(m, (int64_t)recalls - metric_value(m));
	m = metric_series(set, AM_BUDGET_VALUES, NULL, 0);
	metric_add(m, (int64_t)values - metric_value(m));
	m = metric_series(set, AM_VALUES_REFUSED, NULL, 0);
	metric_add(m, (int64_t)refused - metric_value(m));
}

static void
heartbeat_reply(struct ctl *c, const Hg__HeartbeatReply *r, int64_t sent)
{
	struct agent *a = c->opt.agent;
	bool wake = lease_table_reply(
	    c->opt.leases, sent, clock_mono(a->clock), r->grants, r->n_grants);

	if (c->opt.rates != NULL)
		wake |= rate_table_reply(c->opt.rates, sent,
		    clock_mono(a->clock), r->rates, r->n_rates);
	if (wake)
		agent_wake_all(a);
	heartbeat_leases(c);
	heartbeat_rates(c);
	ctl_set_interval(c, r->heartbeat_ms);
	if (r->latest_version > c->latest_version)
		c->latest_version = r->latest_version;
	if (r->group_key.len > 0)
		ctl_set_group_key(c, &r->group_key, r->group_key_id);
}

int
ctl_heartbeat(struct ctl *c, bool urgent, struct error *e)
{
	Hg__Heartbeat ask;
	Hg__HeartbeatReply *reply = NULL;
	struct clock *clock = c->opt.agent->clock;
	struct config_view view;
	int64_t sent;
	int rc;

	hg__heartbeat__init(&ask);
	arena_clear(&c->arena);
	config_view(c->opt.config, &view);
	ask.active_version = view.version;
	ask.requests_total = metric_sum(c->opt.agent->metrics, AM_REQUESTS);
	ask.state_hash.data = view.state_hash;
	ask.state_hash.len = STATE_HASH_LEN;
	ask.state = text(heartbeat_state(c));
	ask.lease_only = urgent;
	ask.instance_id = c->opt.instance_id;
	ask.group_key_id = c->group_key_id;
	heartbeat_journal(c, &ask);
	rc = heartbeat_acks(c, &ask);
	sent = clock_mono(clock); /* fences count from before it is sent */
	if (rc == 0)
		rc = lease_table_report(c->opt.leases, sent, urgent, &c->arena,
		    &ask.leases, &ask.n_leases);
	if (rc == 0 && c->opt.rates != NULL && c->lends_rates)
		rc = rate_table_report(c->opt.rates, sent, urgent, &c->arena,
		    &ask.rates, &ask.n_rates);
	if (rc != 0) {
		lease_table_no_reply(c->opt.leases);
		return err_set(e, rc, "no memory for a heartbeat");
	}
	rc = line_call(c->opt.line, HG__MESSAGE_TYPE__MSG_HEARTBEAT, &ask.base,
	    &hg__heartbeat_reply__descriptor, &c->arena, (void **)&reply, e);
	if (rc != 0) {
		lease_table_no_reply(c->opt.leases);
		return rc;
	}
	config_acks_sent(c->opt.config, ask.n_acks);
	heartbeat_reply(c, reply, sent);
	return 0;
}

/* ---- pull
 * ------------------------------------------------------------------------- */

void
ctl_pull_reset(struct pull *p)
{
	buf_clear(&p->data);
	p->version = p->total = 0;
}

static int
pull_apply(struct ctl *c, struct error *e)
{
	int rc = config_receive(c->opt.config, buf_str(&c->pull.data), e);

	ctl_pull_reset(&c->pull);
	if (rc == ERR_VERSION && !c->pull.full) {
		c->pull.full = true; /* ask again, for a snapshot */
		return 0;
	}
	c->pull.full = false;
	return rc;
}

static int
pull_take(struct ctl *c, const Hg__PullReply *r, bool *done, struct error *e)
{
	struct pull *p = &c->pull;

	if (r->total == 0)
		return ERR_END;
	if (r->version != p->version || r->total != p->total) {
		ctl_pull_reset(p); /* another version: from its start */
		p->version = r->version;
		p->total = r->total;
	}
	if (r->offset != p->data.len)
		return 0; /* ask again for what is missing */
	if (r->total > BUNDLE_MAX || r->data.len == 0 ||
	    r->data.len > r->total - p->data.len ||
	    buf_add(&p->data, r->data.data, r->data.len) != 0) {
		ctl_pull_reset(p);
		p->data.error = 0;
		return err_set(e, ERR_CORRUPT, "malformed part of a bundle");
	}
	if (p->data.len < p->total)
		return 0;
	*done = true;
	return pull_apply(c, e);
}

int
ctl_pull_part(struct ctl *c, bool *done, struct error *e)
{
	Hg__PullRequest ask = HG__PULL_REQUEST__INIT;
	Hg__PullReply *reply = NULL;
	struct config_view view;
	int rc;

	*done = false;
	arena_clear(&c->arena);
	config_view(c->opt.config, &view);
	if (!c->pull.full) {
		ask.have_version = view.version;
		ask.have_hash.data = view.state_hash;
		ask.have_hash.len = view.version == 0 ? 0 : STATE_HASH_LEN;
	}
	ask.want_version = c->pull.version;
	ask.offset = c->pull.data.len;
	rc = line_call(c->opt.line, HG__MESSAGE_TYPE__MSG_PULL, &ask.base,
	    &hg__pull_reply__descriptor, &c->arena, (void **)&reply, e);
	return rc != 0 ? rc : pull_take(c, reply, done, e);
}

/* ---- usage
 * ------------------------------------------------------------------------ */

int
ctl_ship(void *ctl, const Hg__UsageBatch *batch, Hg__UsageAck *ack)
{
	struct ctl *c = ctl;
	Hg__UsageAck *reply = NULL;
	struct arena a;
	struct error e;
	int rc;

	if (!atomic_load(&c->ship_open))
		return ERR_UNAVAILABLE;
	arena_init(&a, 4096, (size_t)1 << 20);
	rc = line_call(c->opt.line, HG__MESSAGE_TYPE__MSG_USAGE, &batch->base,
	    &hg__usage_ack__descriptor, &a, (void **)&reply, &e);
	if (rc == 0) {
		ack->boot_epoch = reply->boot_epoch;
		ack->shard = reply->shard;
		ack->watermark = reply->watermark;
		ack->error_code = reply->error_code;
		ack->retry_ms = reply->retry_ms;
	} else if (rc != ERR_UNAVAILABLE && rc != ERR_TIMEOUT) {
		log_warn("usage batch refused", LF("error", e.text),
		    LFI("epoch", batch->boot_epoch), LFI("shard", batch->shard),
		    LFI("first_seq", batch->first_seq));
	}
	arena_release(&a);
	return rc;
}
