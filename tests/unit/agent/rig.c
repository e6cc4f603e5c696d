/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig: see rig.h.
 */
#include "tests/unit/agent/rig.h"

#include <check.h>
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/journal/record.h"
#include "agent/journal/segment.h"
#include "agent/metrics.h"
#include "proto/headgate.pb-c.h"

#define RIG_MAX_ITEMS 32

/* Messages of the items under construction; static because tests fork. */
struct rig_items {
	Hg__Item items[RIG_MAX_ITEMS];
	Hg__Item *list[RIG_MAX_ITEMS];
	size_t n;
};

static char *
rig_text(const char *z)
{
	char *t = strdup(z);

	ck_assert_ptr_nonnull(t);
	return t;
}

static Hg__Item *
rig_item(struct rig_items *t, Hg__ItemKind kind, uint64_t uid, const char *name)
{
	Hg__Item *i = &t->items[t->n];

	ck_assert_uint_lt(t->n, RIG_MAX_ITEMS);
	hg__item__init(i);
	i->kind = kind;
	i->uid = uid;
	i->name = rig_text(name);
	i->version = 1;
	t->list[t->n++] = i;
	return i;
}

#define RIG_NEW(type, prefix)                          \
	({                                             \
		type *rig_m = calloc(1, sizeof(type)); \
                                                       \
		ck_assert_ptr_nonnull(rig_m);          \
		prefix##__init(rig_m);                 \
		rig_m;                                 \
	})

static char **
rig_texts(const char *a, const char *b)
{
	char **v = calloc(2, sizeof(*v));

	ck_assert_ptr_nonnull(v);
	v[0] = rig_text(a);
	if (b != NULL)
		v[1] = rig_text(b);
	return v;
}

static void
rig_owner(struct rig_items *t, Hg__ItemKind kind, uint64_t uid,
    const char *name, uint64_t parent)
{
	Hg__Item *i = rig_item(t, kind, uid, name);

	i->owner = RIG_NEW(Hg__Owner, hg__owner);
	i->owner->parent_uid = parent;
}

static void
rig_key(struct rig_items *t, uint64_t uid, const char *name, const char *secret,
    bool disabled, Hg__Priority priority)
{
	Hg__Item *i = rig_item(t, HG__ITEM_KIND__ITEM_KEY, uid, name);
	uint8_t *digest = malloc(32);

	ck_assert_ptr_nonnull(digest);
	crypto_hash_sha256(
	    digest, (const unsigned char *)secret, strlen(secret));
	i->key = RIG_NEW(Hg__Key, hg__key);
	i->key->project_uid = 3;
	i->key->digest.data = digest;
	i->key->digest.len = 32;
	i->key->disabled = disabled;
	i->key->priority = priority;
	i->key->routes = rig_texts("chat", "embed");
	i->key->n_routes = 2;
}

static void
rig_model(struct rig_items *t, uint64_t uid, const char *name, bool chat,
    const struct rig_config *c)
{
	static const int64_t prices[][2] = {{TC_INPUT, 1000000000},
	    {TC_OUTPUT, 2000000000}, {TC_CACHE_READ, 500000000}};
	Hg__Item *i = rig_item(t, HG__ITEM_KIND__ITEM_MODEL, uid, name);
	size_t k, n = !chat || c->no_output_price ? 1 : 3;
	size_t times = c->dearer_at != 0 ? 2 : 1;

	i->model = RIG_NEW(Hg__Model, hg__model);
	i->model->context_tokens = 100000;
	i->model->max_request = c->max_request;
	i->model->max_output_tokens = chat ? 1000 : 0;
	i->model->capabilities = rig_texts(chat ? "chat" : "embeddings", NULL);
	i->model->n_capabilities = 1;
	if (c->tokenizer != NULL)
		i->model->tokenizer = rig_text(c->tokenizer);
	i->model->prices = calloc(n * times, sizeof(*i->model->prices));
	ck_assert_ptr_nonnull(i->model->prices);
	i->model->n_prices = n * times;
	for (k = 0; k < n * times; k++) {
		Hg__PriceLine *p = RIG_NEW(Hg__PriceLine, hg__price_line);

		p->token_class = (uint32_t)prices[k % n][0];
		p->per_mtok = prices[k % n][1];
		if (chat && c->unit != 0) {
			p->per_mtok = 0;
			if (k % n == (c->unit == TC_OUTPUT ? 1 : 2)) {
				p->token_class = (uint32_t)c->unit;
				p->per_mtok = 10000000000;
			}
		}
		if (k < n) {
			p->to = c->dearer_at;
		} else {
			p->from = c->dearer_at;
			p->per_mtok *= 10;
		}
		i->model->prices[k] = p;
	}
}

static void
rig_deployment(struct rig_items *t, uint64_t uid, const char *name,
    uint64_t model, uint64_t provider, const struct rig_config *c)
{
	Hg__Item *i = rig_item(t, HG__ITEM_KIND__ITEM_DEPLOYMENT, uid, name);
	Hg__Deployment *d = RIG_NEW(Hg__Deployment, hg__deployment);

	i->deployment = d;
	d->model_uid = model;
	d->provider_uid = provider;
	d->upstream_model = rig_text(model == 20 ? "gpt-sim" : "embed-sim");
	d->region = rig_text("test");
	d->max_concurrency = c->max_concurrency;
	d->connect_timeout_ms = c->connect_ms ? c->connect_ms : 5000;
	d->first_byte_timeout_ms = c->first_byte_ms ? c->first_byte_ms : 30000;
	d->idle_timeout_ms = c->idle_ms ? c->idle_ms : 30000;
	d->no_stream_options = c->no_stream_options;
}

static void
rig_route(struct rig_items *t, uint64_t uid, const char *name, uint64_t first,
    uint64_t second)
{
	Hg__Item *i = rig_item(t, HG__ITEM_KIND__ITEM_ROUTE, uid, name);
	size_t k, n = second != 0 ? 2 : 1;

	i->route = RIG_NEW(Hg__Route, hg__route);
	i->route->targets = calloc(n, sizeof(*i->route->targets));
	ck_assert_ptr_nonnull(i->route->targets);
	i->route->n_targets = n;
	for (k = 0; k < n; k++) {
		Hg__RouteTarget *rt =
		    RIG_NEW(Hg__RouteTarget, hg__route_target);

		rt->deployment_uid = k == 0 ? first : second;
		rt->priority = (uint32_t)k;
		rt->weight = 1;
		i->route->targets[k] = rt;
	}
}

static void
rig_add_policies(struct rig_items *t, const struct rig_config *c)
{
	Hg__Item *i;

	if (c->budget > 0) {
		i = rig_item(t, HG__ITEM_KIND__ITEM_BUDGET, 50, "acme.monthly");
		i->budget = RIG_NEW(Hg__Budget, hg__budget);
		i->budget->scope_uid = 1;
		i->budget->scope_kind = HG__ITEM_KIND__ITEM_TENANT;
		i->budget->limit = c->budget;
		i->budget->mode = c->soft ? HG__BUDGET_MODE__BUDGET_SOFT
					  : HG__BUDGET_MODE__BUDGET_HARD;
		i->budget->period = rig_text("month");
	}
	if (c->rpm > 0 || c->tpm > 0 || c->conc > 0) {
		i = rig_item(t, HG__ITEM_KIND__ITEM_LIMIT, 60, "acme.limit");
		i->limit = RIG_NEW(Hg__Limit, hg__limit);
		i->limit->scope_uid = 3;
		i->limit->scope_kind = HG__ITEM_KIND__ITEM_PROJECT;
		i->limit->requests_per_minute = c->rpm;
		i->limit->tokens_per_minute = c->tpm;
		i->limit->concurrency = c->conc;
	}
}

/* In the order of (kind, uid). */
static void
rig_describe(struct rig_items *t, const struct rig_config *c)
{
	Hg__Item *i;
	int k, n = c->url[1] != NULL ? 2 : 1;
	char name[16];

	rig_owner(t, HG__ITEM_KIND__ITEM_TENANT, 1, "acme", 0);
	rig_owner(t, HG__ITEM_KIND__ITEM_TEAM, 2, "acme.rd", 1);
	rig_owner(t, HG__ITEM_KIND__ITEM_PROJECT, 3, "acme.rd.bot", 2);
	rig_key(t, 4, "acme.rd.bot.k1", RIG_KEY, false, 0);
	rig_key(t, 5, "acme.rd.bot.k2", RIG_OTHER, true, 0);
	rig_key(t, 6, "acme.rd.bot.k3", RIG_URGENT, false,
	    HG__PRIORITY__PRIORITY_CRITICAL);
	rig_key(t, 7, "acme.rd.bot.k4", RIG_BATCH, false,
	    HG__PRIORITY__PRIORITY_BATCH);
	for (k = 0; k < n; k++) {
		(void)snprintf(name, sizeof(name), "p%d", k + 1);
		i = rig_item(
		    t, HG__ITEM_KIND__ITEM_PROVIDER, (uint64_t)(10 + k), name);
		i->provider = RIG_NEW(Hg__Provider, hg__provider);
		i->provider->base_url = rig_text(c->url[k]);
		if (c->keyless && k == 0) {
			i->provider->dialect = rig_text("bedrock");
			i->provider->region = rig_text("us-east-1");
			continue;
		}
		i->provider->dialect = rig_text("openai");
		i->provider->credential = rig_text("sk-provider-canary-0001");
	}
	rig_model(t, 20, "m1", true, c);
	rig_model(t, 21, "e1", false, c);
	rig_deployment(t, 30, "d1", 20, 10, c);
	if (n == 2)
		rig_deployment(t, 31, "d2", 20, 11, c);
	rig_deployment(t, 32, "d3", 21, 10, c);
	rig_route(t, 40, "chat", 30, n == 2 ? 31 : 0);
	rig_route(t, 41, "embed", 32, 0);
	rig_route(t, 42, "secret", 30, 0);
	rig_add_policies(t, c);
}

static int
rig_order(const void *a, const void *b)
{
	const Hg__Item *x = *(Hg__Item *const *)a, *y = *(Hg__Item *const *)b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void
rig_compile(struct rig *r, const struct rig_config *c)
{
	struct rig_items t = {.n = 0};
	Hg__Bundle b;
	struct item_state *state;
	struct state_hasher h;
	struct reject why;
	struct error e = {0};
	uint8_t hash[32], *raw;
	size_t i, len;

	hg__bundle__init(&b);
	rig_describe(&t, c);
	qsort(t.list, t.n, sizeof(t.list[0]), rig_order);
	state_hash_init(&h);
	for (i = 0; i < t.n; i++) {
		len = hg__item__get_packed_size(t.list[i]);
		raw = malloc(len);
		ck_assert_ptr_nonnull(raw);
		hg__item__pack(t.list[i], raw);
		item_hash(str_make((char *)raw, len), hash);
		state_hash_add(
		    &h, (uint32_t)t.list[i]->kind, t.list[i]->uid, hash);
		free(raw);
	}
	state_hash_final(&h, hash);
	b.group = rig_text("default");
	b.version = 7;
	b.state_hash.data = hash;
	b.state_hash.len = sizeof(hash);
	b.items = t.list;
	b.n_items = t.n;
	b.created_at = clock_wall(r->agent.clock);
	len = hg__bundle__get_packed_size(&b);
	raw = malloc(len);
	ck_assert_ptr_nonnull(raw);
	hg__bundle__pack(&b, raw);
	ck_assert_msg(
	    items_apply(NULL, str_make((char *)raw, len), &state, &e) == 0,
	    "%s", e.text);
	ck_assert_msg(bundle_compile(state, r->leases, r->limits, &r->bundle,
			  &why, &e) == 0,
	    "%s", e.text);
	bundle_take_effect(r->bundle, r->leases);
	items_unref(state);
	free(raw);
	free(b.group);
	for (i = 0; i < t.n; i++) {
		/* Members are freed by protobuf-c; the items are an array. */
		Hg__Item *copy = malloc(sizeof(*copy));

		ck_assert_ptr_nonnull(copy);
		*copy = *t.list[i];
		hg__item__free_unpacked(copy, NULL);
	}
}

/* ---- the stand-in for the control plane ---- */

/* As the control plane sizes a grant near the end of a budget: who asks for
 * most, or else what the others may use. */
static int64_t
rig_size(const Hg__LeaseReport *q, int64_t purse)
{
	int64_t want = q->want_total;

	if (purse < q->want_min)
		want = q->want_least > purse ? 0 : want - q->want_min;
	return want < purse ? want : purse;
}

static void
rig_grant(struct rig *r)
{
	struct lease_tuning tuning = lease_tuning_default;
	Hg__LeaseReport **reports;
	Hg__LeaseGrant grants[8], *list[8];
	struct arena a;
	size_t i, n;
	int64_t sent = clock_mono(r->agent.clock), more;
	unsigned k;

	(void)tuning;
	arena_init(&a, 4096, 1 << 20);
	ck_assert_int_eq(
	    lease_table_report(r->leases, sent, false, &a, &reports, &n), 0);
	for (i = 0; i < n && i < 8; i++) {
		hg__lease_grant__init(&grants[i]);
		list[i] = &grants[i];
		atomic_fetch_add(&r->purse, reports[i]->returned - r->returned);
		r->returned = reports[i]->returned;
		more = rig_size(reports[i], atomic_load(&r->purse));
		atomic_fetch_sub(&r->purse, more);
		r->granted += more;
		grants[i].budget_uid = reports[i]->budget_uid;
		grants[i].period_start = 1;
		grants[i].period_end = INT64_MAX;
		grants[i].granted = reports[i]->granted + more;
		grants[i].fence_ms = 60000;
		grants[i].valid_ms = 1000000;
		grants[i].recall_to = -1;
		grants[i].limit = 5000000000;
		grants[i].spent = reports[i]->settled;
		grants[i].free = grants[i].avail = atomic_load(&r->purse);
		grants[i].exhausted =
		    more == 0 &&
		    atomic_load(&r->purse) < reports[i]->want_min &&
		    !atomic_load(&r->busy);
	}
	if (lease_table_reply(r->leases, sent, clock_mono(r->agent.clock), list,
		n < 8 ? n : 8)) {
		for (k = 0; k < r->agent.n_workers; k++) {
			uint64_t one = 1;

			ck_assert_int_eq(
			    write(r->agent.links[k].wake_fd, &one, sizeof(one)),
			    sizeof(one));
		}
	}
	arena_release(&a);
}

static void *
rig_control(void *arg)
{
	struct rig *r = arg;
	struct timespec ts = {0, 5000000};

	while (!atomic_load(&r->stop)) {
		if (!atomic_load(&r->deaf))
			rig_grant(r);
		journal_sync_turn(r->journal);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

/* ---- life ---- */

static int64_t
rig_mono(struct clock *c)
{
	(void)c;
	return clock_mono(clock_system());
}

static int64_t
rig_wall(struct clock *c)
{
	return clock_wall(clock_system()) +
	       atomic_load(&((struct rig_clock *)c)->ahead);
}

static void
rig_options(struct rig *r, const struct rig_config *c)
{
	r->opt.data_listen = "127.0.0.1:0";
	r->opt.max_body = 1 << 20;
	r->opt.max_head = 8192;
	r->opt.max_connections = 20000;
	r->opt.stream_buffer = 65536;
	r->opt.lease_wait = c->lease_wait != 0 ? c->lease_wait : 1000;
	r->opt.forward_sim_headers = true;
}

void
rig_start(struct rig *r, const struct rig_config *c)
{
	struct journal_options jo = {0};
	struct journal_replay found;
	struct error e = {0};
	struct agent *a = &r->agent;
	const char *tmp;
	unsigned i;

	memset(r, 0, sizeof(*r));
	ck_assert_int_ge(sodium_init(), 0);
	rig_options(r, c);
	r->opt.queue_wait = c->queue_wait;
	atomic_store(&r->purse, c->budget);
	atomic_store(&r->deaf, c->deaf);
	tmp = getenv("TMPDIR");
	(void)snprintf(r->dir, sizeof(r->dir), "%s/headgate-rig-XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	a->opt = &r->opt;
	r->clock.clock = (struct clock){rig_mono, rig_wall};
	a->clock = &r->clock.clock;
	a->rng = rng_system();
	a->metrics = metric_set_new(agent_metric_defs, AM_COUNT);
	a->n_workers = c->n_workers != 0 ? c->n_workers : 1;
	ck_assert_int_eq(agent_places_init(a, c->places,
			     c->queue_max != 0 ? c->queue_max : 100),
	    0);
	a->explain = explain_new(a->n_workers, 256);
	if (c->tokenizer_dir != NULL)
		ck_assert_msg(tokenizer_set_open(
				  &a->tokenizers, c->tokenizer_dir, &e) == 0,
		    "%s", e.text);
	r->leases = lease_table_new(&lease_tuning_default);
	r->limits = limit_registry_new();
	ck_assert(r->leases != NULL && r->limits != NULL);
	ck_assert(a->metrics != NULL && a->explain != NULL);
	jo.dir = r->dir;
	jo.epoch = 1;
	jo.n_shards = a->n_workers;
	jo.segment_size = 64 << 20;
	jo.reserve = 1 << 20;
	jo.group_commit_ms = 10;
	jo.io = c->io != NULL ? c->io : io_system();
	jo.clock = a->clock;
	ck_assert_msg(
	    journal_open(&jo, &r->journal, &found, &e) == 0, "%s", e.text);
	rig_compile(r, c);
	for (i = 0; i < a->n_workers; i++) {
		a->shards[i] = &r->journal->shards[i];
		bundle_ref(r->bundle);
		atomic_store(&a->links[i].mailbox, r->bundle);
		ck_assert_msg(
		    worker_start(a, i, &r->workers[i], &e) == 0, "%s", e.text);
	}
	r->port = atomic_load(&a->data_port);
	ck_assert_int_eq(pthread_create(&r->control, NULL, rig_control, r), 0);
}

static void
rig_check_lease(void *ctx, const struct lease_shown *v)
{
	(void)ctx;
	ck_assert_int_eq(v->in_use, 0);
	ck_assert_int_eq(
	    v->left, v->granted - v->settled - v->returned - v->in_use);
}

static void
rig_remove_dir(const char *dir)
{
	char path[512];
	struct dirent *de;
	DIR *d = opendir(dir);

	while (d != NULL && (de = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		(void)unlink(path);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(dir);
}

static void
rig_wake(struct rig *r)
{
	uint64_t one = 1;
	unsigned i;

	for (i = 0; i < r->agent.n_workers; i++)
		ck_assert_int_eq(
		    write(r->agent.links[i].wake_fd, &one, sizeof(one)),
		    sizeof(one));
}

void
rig_stop(struct rig *r)
{
	unsigned i, k;

	atomic_store(&r->agent.draining, 1);
	rig_wake(r);
	for (i = 0; i < r->agent.n_workers; i++) {
		worker_join(r->workers[i]);
		close(r->agent.links[i].wake_fd);
	}
	atomic_store(&r->stop, true);
	pthread_join(r->control, NULL);
	for (i = 0; i < r->bundle->n_keys; i++) {
		for (k = 0; k < r->bundle->keys[i].n_limits; k++)
			ck_assert_int_eq(
			    atomic_load(&r->bundle->keys[i].limits[k]->conc),
			    0);
	}
	for (i = 0; i < r->bundle->n_deployments; i++) {
		if (r->bundle->deployments[i].concurrency != NULL)
			ck_assert_int_eq(
			    atomic_load(
				&r->bundle->deployments[i].concurrency->conc),
			    0);
	}
	for (i = 0; i < AGENT_PLACES; i++)
		ck_assert_int_eq(atomic_load(&r->agent.places[i].conc), 0);
	agent_places_free(&r->agent);
	lease_table_each(
	    r->leases, clock_mono(r->agent.clock), rig_check_lease, NULL);
	/* A worker that ended before its first turn left its mailbox full, as
	 * the program expects. */
	for (i = 0; i < r->agent.n_workers; i++)
		bundle_unref(atomic_exchange(&r->agent.links[i].mailbox, NULL));
	ck_assert_int_eq(atomic_load(&r->bundle->refs), 1);
	bundle_unref(r->bundle);
	journal_close(r->journal);
	explain_free(r->agent.explain);
	tokenizer_set_close(&r->agent.tokenizers);
	metric_set_free(r->agent.metrics);
	limit_registry_free(r->limits);
	lease_table_free(r->leases);
	rig_remove_dir(r->dir);
}

/* cap 0: count intents of that attempt. */
static size_t
rig_read_file(
    const char *path, struct journal_usage *dst, size_t cap, uint32_t attempt)
{
	struct journal_intent in;
	struct segment_reader rd;
	struct segment_head head;
	struct record rec;
	struct error e = {0};
	size_t n = 0;

	if (segment_reader_open(&rd, io_system(), path, &e) != 0)
		return 0;
	rd.limit = UINT64_MAX;
	if (segment_reader_head(&rd, &head) == 0) {
		while ((cap == 0 || n < cap) &&
		       segment_reader_next(&rd, &rec) == 0) {
			if (cap == 0 && rec.type == RECORD_INTENT &&
			    record_decode_intent(rec.payload, &in) == 0)
				n += in.attempt == attempt;
			if (cap != 0 && rec.type == RECORD_USAGE &&
			    record_decode_usage(rec.payload, &dst[n]) == 0)
				n++;
		}
	}
	segment_reader_close(&rd);
	return n;
}

static size_t
rig_read(struct rig *r, struct journal_usage *dst, size_t cap, uint32_t attempt)
{
	char path[512];
	struct dirent **names;
	size_t n = 0;
	int i, k = scandir(r->dir, &names, NULL, alphasort);

	for (i = 0; i < k; i++) {
		if (str_ends(str_of(names[i]->d_name), STR(".seg"))) {
			(void)snprintf(path, sizeof(path), "%s/%s", r->dir,
			    names[i]->d_name);
			if (cap == 0)
				n += rig_read_file(path, NULL, 0, attempt);
			else if (n < cap)
				n += rig_read_file(path, dst + n, cap - n, 0);
		}
		free(names[i]);
	}
	if (k >= 0)
		free(names);
	return n;
}

size_t
rig_usage(struct rig *r, struct journal_usage *dst, size_t cap)
{
	return rig_read(r, dst, cap, 0);
}

size_t
rig_intents(struct rig *r, uint32_t attempt)
{
	return rig_read(r, NULL, 0, attempt);
}

int64_t
rig_metric(struct rig *r, enum agent_metric m, const char *label)
{
	struct str v = str_of(label);

	return metric_value(metric_series(r->agent.metrics, (size_t)m,
	    label != NULL ? &v : NULL, label != NULL ? 1 : 0));
}
