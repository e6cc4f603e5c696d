/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of /v1/status and /v1/explain, see status.h. Money is in nano-USD as
 * JSON integers; uids are strings, as in the REST API. */
#include "agent/front/status_json.h"

#include <inttypes.h>

#include "common/version.h"

static void
key(struct buf *b, const char *name)
{
	if (b->len > 0 && strchr("{[:,", b->data[b->len - 1]) == NULL)
		(void)buf_addc(b, ',');
	(void)buf_addf(b, "\"%s\":", name);
}

static void
add_text(struct buf *b, const char *name, struct str v)
{
	key(b, name);
	(void)buf_add_json(b, v);
}

static void
add_i64(struct buf *b, const char *name, int64_t v)
{
	key(b, name);
	(void)buf_add_i64(b, v);
}

static void
add_uid(struct buf *b, const char *name, uint64_t v)
{
	key(b, name);
	(void)buf_addf(b, "\"%" PRIu64 "\"", v);
}

static void
add_bool(struct buf *b, const char *name, bool v)
{
	key(b, name);
	(void)buf_addz(b, v ? "true" : "false");
}

static void
add_time(struct buf *b, const char *name, int64_t wall_ns)
{
	char text[40];

	key(b, name);
	if (wall_ns <= 0 || wall_ns == INT64_MAX) {
		(void)buf_addz(b, "null");
		return;
	}
	time_format(wall_ns, 1, text);
	(void)buf_add_json(b, str_of(text));
}

static void
open_object(struct buf *b)
{
	if (b->len > 0 && b->data[b->len - 1] == '}')
		(void)buf_addc(b, ',');
	(void)buf_addc(b, '{');
}

static void
add_tokens(struct buf *b, const char *name, const struct tokens *t)
{
	key(b, name);
	(void)buf_addc(b, '{');
	for (unsigned i = 0; i < TC_COUNT; i++)
		if (t->n[i] != 0)
			add_i64(
			    b, token_class_name((enum token_class)i), t->n[i]);
	(void)buf_addc(b, '}');
}

/* ---- leases
 * ------------------------------------------------------------------------ */

struct lease_filter {
	struct buf *b;
	uint64_t uid; /* 0 = all that have a lease or are waited for */
};

static void
add_lease(void *ctx, const struct lease_shown *v)
{
	const struct lease_filter *f = ctx;
	struct buf *b = f->b;

	if (f->uid != 0 ? v->uid != f->uid
			: (v->period_start == 0 && v->want_total == 0))
		return;
	open_object(b);
	add_text(b, "budget", v->name);
	add_uid(b, "uid", v->uid);
	add_text(b, "mode", v->soft ? STR("soft") : STR("hard"));
	add_i64(b, "limit_nanousd", v->limit);
	add_i64(b, "spent_nanousd", v->spent);
	add_time(b, "period_start", v->period_start);
	add_time(b, "period_end", v->period_end);
	add_i64(b, "granted", v->granted);
	add_i64(b, "settled", v->settled);
	add_i64(b, "returned", v->returned);
	add_i64(b, "in_use", v->in_use);
	add_i64(b, "left", v->left);
	add_i64(b, "rate_per_s", v->rate_per_s);
	add_i64(b, "waiting", v->want_total);
	add_bool(b, "exhausted", v->exhausted);
	add_bool(b, "fenced", v->fenced);
	add_bool(b, "superseded", v->old);
	add_bool(b, "deleted", v->deleted);
	(void)buf_addc(b, '}');
}

/* Our share of a limit of the fleet; rates are of a minute, rounded down. */
static void
add_limit(void *ctx, const struct rate_view *v)
{
	struct buf *b = ctx;

	open_object(b);
	add_text(b, "limit", v->name);
	add_uid(b, "uid", v->uid);
	add_text(b, "scope", v->scope);
	add_i64(b, "requests_per_minute", v->rpm);
	add_i64(b, "tokens_per_minute", v->tpm);
	add_i64(b, "concurrency", v->max_conc);
	add_i64(b, "requests_share", v->req_rate / LIMIT_UNIT);
	add_i64(b, "tokens_share", v->tok_rate / LIMIT_UNIT);
	add_i64(b, "places_share", v->places);
	add_i64(b, "in_flight", v->in_flight);
	add_i64(b, "agents", v->agents);
	add_bool(b, "without_contact", v->safe);
	(void)buf_addc(b, '}');
}

/* ---- explain
 * ----------------------------------------------------------------------- */

static void
explain_budgets(struct buf *b, const struct explain_entry *x,
    const struct status_options *opt)
{
	key(b, "budgets");
	(void)buf_addc(b, '[');
	for (unsigned i = 0; i < x->n_budgets; i++) {
		const struct explain_budget *g = &x->budgets[i];
		struct lease_filter f = {b, g->uid};

		open_object(b);
		add_text(b, "name", str_of(g->name));
		add_uid(b, "uid", g->uid);
		add_text(b, "mode", g->soft ? STR("soft") : STR("hard"));
		add_i64(b, "limit_nanousd", g->limit);
		add_i64(b, "spent_nanousd", g->spent);
		add_i64(b, "left_after_nanousd", g->left);
		add_time(b, "period_start", g->period_start);
		key(b, "leases_now");
		(void)buf_addc(b, '[');
		lease_table_each(
		    opt->leases, clock_mono(opt->agent->clock), add_lease, &f);
		(void)buf_addz(b, "]}");
	}
	(void)buf_addc(b, ']');
}

static void
explain_attempts(struct buf *b, const struct explain_entry *x)
{
	key(b, "attempts");
	(void)buf_addc(b, '[');
	for (unsigned i = 0; i < x->n_attempts; i++) {
		const struct explain_attempt *a = &x->attempts[i];

		open_object(b);
		add_text(b, "deployment", str_of(a->deployment));
		add_uid(b, "deployment_uid", a->deployment_uid);
		add_text(b, "region", str_of(a->region));
		add_i64(b, "http_status", a->http_status);
		if (a->error != 0)
			add_text(b, "error", str_of(err_name(a->error)));
		add_i64(b, "duration_us", a->duration_us);
		(void)buf_addc(b, '}');
	}
	(void)buf_addc(b, ']');
}

static void
explain_names(struct buf *b, const struct explain_entry *x)
{
	add_text(b, "key", str_of(x->key));
	add_uid(b, "key_uid", x->key_uid);
	add_uid(b, "project_uid", x->project_uid);
	add_uid(b, "team_uid", x->team_uid);
	add_uid(b, "tenant_uid", x->tenant_uid);
	add_text(b, "route", str_of(x->route));
	add_text(b, "model", str_of(x->model));
	add_text(b, "provider", str_of(x->provider));
}

void
status_json_explain(struct buf *b, const struct explain_entry *x,
    const struct status_options *opt)
{
	(void)buf_addc(b, '{');
	add_text(b, "request_id", str_of(x->request_id));
	add_text(b, "agent", str_of(opt->agent_id));
	add_i64(b, "worker", x->worker);
	add_time(b, "started_at", x->started_at);
	add_i64(b, "duration_us", x->duration_us);
	add_i64(b, "first_byte_us", x->first_byte_us);
	add_i64(b, "waited_us", x->waited_us);
	add_i64(b, "config_version", (int64_t)x->config_version);
	add_i64(b, "price_version", (int64_t)x->price_version);
	explain_names(b, x);
	add_bool(b, "streamed", x->streamed);
	add_i64(b, "http_status", x->http_status);
	if (x->error != 0)
		add_text(b, "error", str_of(err_name(x->error)));
	if (x->error_code[0] != '\0')
		add_text(b, "error_code", str_of(x->error_code));
	if (x->refused_by[0] != '\0')
		add_text(b, "refused_by", str_of(x->refused_by));
	add_text(b, "reason", str_of(x->reason));
	add_text(b, "finish_reason", str_of(x->finish_reason));
	add_tokens(b, "tokens_worst_case", &x->worst);
	add_tokens(b, "tokens", &x->tokens);
	add_i64(b, "reserved_nanousd", x->reserved);
	add_i64(b, "released_nanousd", x->released);
	add_i64(b, "cost_nanousd", x->cost);
	add_i64(b, "usage_source", x->source);
	add_i64(b, "rate_tokens_taken", x->limit_tokens);
	add_i64(b, "rate_tokens_settled", x->limit_settled);
	add_text(b, "tokenizer", str_of(x->tokenizer));
	add_i64(b, "token_millibytes", x->prompt_milli);
	explain_budgets(b, x, opt);
	explain_attempts(b, x);
	(void)buf_addz(b, "}\n");
}

/* ---- status
 * ------------------------------------------------------------------------ */

static void
status_config(struct buf *b, const struct status_options *opt)
{
	struct config_view v;
	char hex[2 * STATE_HASH_LEN + 1];

	config_view(opt->config, &v);
	hex_encode(v.state_hash, STATE_HASH_LEN, hex);
	key(b, "config");
	(void)buf_addc(b, '{');
	add_i64(b, "version", (int64_t)v.version);
	add_text(b, "state_hash", str_of(hex));
	add_i64(b, "rejected_version", (int64_t)v.rejected);
	add_time(b, "created_at", v.created_at);
	add_time(b, "activated_at", v.activated_at);
	add_bool(b, "from_cache", v.from_cache);
	add_i64(b, "keys", v.n_keys);
	add_i64(b, "routes", v.n_routes);
	add_i64(b, "deployments", v.n_deployments);
	(void)buf_addc(b, '}');
}

static void
status_control(struct buf *b, const struct status_options *opt)
{
	struct ctl_view v;
	int64_t now = clock_mono(opt->agent->clock);

	ctl_view(opt->ctl, &v);
	key(b, "control");
	(void)buf_addc(b, '{');
	add_text(b, "state", str_of(ctl_state_name(v.state)));
	add_bool(b, "connected", v.connected);
	add_bool(b, "fenced", v.fenced);
	add_bool(b, "stale", v.stale);
	add_i64(b, "latest_version", (int64_t)v.latest_version);
	add_i64(b, "last_contact_ms_ago",
	    v.last_contact == 0 ? -1 : (now - v.last_contact) / NS_PER_MS);
	add_text(b, "last_error", str_of(v.last_error));
	(void)buf_addc(b, '}');
}

static void
status_journal(struct buf *b, const struct status_options *opt)
{
	struct journal_backlog backlog;
	struct ship_stats stats;

	journal_backlog(opt->journal, &backlog);
	shipper_stats(opt->shipper, &stats);
	key(b, "journal");
	(void)buf_addc(b, '{');
	add_bool(b, "writable", backlog.writable);
	add_i64(b, "unshipped", (int64_t)backlog.records);
	add_i64(b, "bytes", (int64_t)backlog.bytes);
	add_i64(b, "segments", (int64_t)backlog.segments);
	add_i64(b, "shipped", (int64_t)stats.records);
	add_i64(b, "batches", (int64_t)stats.batches);
	add_i64(b, "ship_errors", (int64_t)stats.errors);
	(void)buf_addc(b, '}');
}

void
status_json_status(struct buf *b, const struct status_options *opt)
{
	struct lease_filter f = {b, 0};
	const struct agent *a = opt->agent;
	int64_t overrun = 0;

	(void)buf_addc(b, '{');
	add_text(b, "agent", str_of(opt->agent_id));
	add_text(b, "group", str_of(opt->group));
	add_text(b, "region", str_of(opt->region));
	add_text(b, "version", str_of(HEADGATE_VERSION));
	add_i64(b, "workers", a->n_workers);
	add_bool(b, "ready", atomic_load(&a->ready) != 0);
	add_bool(b, "draining", atomic_load(&a->draining) != 0);
	status_control(b, opt);
	status_config(b, opt);
	status_journal(b, opt);
	add_i64(b, "reservation_overruns", (int64_t)lease_overruns(&overrun));
	add_i64(b, "reservation_overrun_nanousd", overrun);
	key(b, "leases");
	(void)buf_addc(b, '[');
	lease_table_each(opt->leases, clock_mono(a->clock), add_lease, &f);
	(void)buf_addz(b, "],\"limits\":[");
	if (opt->rates != NULL)
		rate_table_each(opt->rates, add_limit, b);
	(void)buf_addz(b, "]}\n");
}
