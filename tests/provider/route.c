/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of the simulator: the provider's API under /v1 and the control
 * of the simulator itself under /sim.
 */
#include "tests/provider/route.h"
#include "tests/provider/text.h"

#define JSON "application/json"

static void
route_unauthorised(struct conn *c, struct str given)
{
	char message[256];

	atomic_fetch_add(&c->sim->n.auth_failures, 1);
	if (given.len == 0) {
		reply_error(c, 401, "invalid_request_error", NULL, NULL, "",
		    "You didn't provide an API key. You need to provide your "
		    "API key in an Authorization header using Bearer auth "
		    "(i.e. Authorization: Bearer YOUR_KEY).");
		return;
	}
	(void)snprintf(message, sizeof(message),
	    "Incorrect API key provided: %.*s***. You can find your API key "
	    "at https://platform.openai.com/account/api-keys.",
	    (int)(given.len < 6 ? given.len : 6), given.p);
	reply_error(c, 401, "invalid_request_error", NULL, "invalid_api_key",
	    "", message);
}

static bool
route_authorised(struct conn *c, const struct http_request *r)
{
	struct str given = r->authorization;

	if (c->sim->n_api_keys == 0)
		return true;
	if (given.len > 7 && str_ieq(str_make(given.p, 7), STR("bearer ")))
		given = str_trim(str_make(given.p + 7, given.len - 7));
	else
		given = STR_NULL;
	for (int i = 0; i < c->sim->n_api_keys; i++) {
		if (str_eqz(given, c->sim->api_keys[i]))
			return true;
	}
	route_unauthorised(c, given);
	return false;
}

static void
route_merge(struct knobs *to, const struct knobs *from)
{
	int64_t *a = (int64_t *)(void *)to;
	const int64_t *b = (const int64_t *)(const void *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*a); i++) {
		if (b[i] >= 0)
			a[i] = b[i];
	}
}

/* Model, then headers, then body. False when a header is wrong. */
static bool
route_knobs(const struct sim_model *m, const struct scan *s,
    const struct http_request *r, struct knobs *k)
{
	struct str rest = r->headers, name, value;

	*k = m->knobs;
	while (r->has_sim && http_next_header(&rest, &name, &value)) {
		if (name.len <= 6 ||
		    !str_ieq(str_make(name.p, 6), STR("x-sim-")))
			continue;
		name = str_make(name.p + 6, name.len - 6);
		if (str_ieq(name, STR("forbid")))
			continue;
		if (knobs_set(k, name, value) != 0)
			return false;
	}
	route_merge(k, &s->knobs);
	return true;
}

static void
route_call(struct conn *c, const struct http_request *r, enum x_kind kind)
{
	const struct sim_model *m;
	struct scan s;
	struct knobs k;
	uint64_t attempt = 1, seed;
	char message[256];

	if (!scan_body(r->body, &s) || s.bad != NULL) {
		reply_error(
		    c, 400, "invalid_request_error", NULL, NULL, "", s.bad);
		return;
	}
	if (s.model.len == 0) {
		reply_error(c, 400, "invalid_request_error", NULL, NULL, "",
		    "you must provide a model parameter");
		return;
	}
	m = catalog_find(&c->sim->catalog, s.model);
	if (m == NULL || m->embeddings != (kind == X_EMBED)) {
		(void)snprintf(message, sizeof(message),
		    "The model `%.*s` does not exist or you do not have "
		    "access to it.",
		    (int)(s.model.len < 64 ? s.model.len : 64), s.model.p);
		reply_error(c, 404, "invalid_request_error", NULL,
		    "model_not_found", "", message);
		return;
	}
	if (kind == X_CHAT ? !s.has_messages : !s.has_input) {
		reply_error(c, 400, "invalid_request_error",
		    kind == X_CHAT ? "messages" : "input",
		    "missing_required_parameter", "",
		    kind == X_CHAT ? "Missing required parameter: 'messages'."
				   : "Missing required parameter: 'input'.");
		return;
	}
	if (s.prompt_tokens > m->context_tokens) {
		reply_error(c, 400, "invalid_request_error", "messages",
		    "context_length_exceeded", "",
		    "This model's maximum context length was exceeded.");
		return;
	}
	if (!route_knobs(m, &s, r, &k)) {
		reply_error(c, 400, "invalid_request_error", NULL,
		    "bad_sim_header", "", "bad x-sim- header");
		return;
	}
	if (r->attempt.len > 0)
		(void)!str_to_u64(r->attempt, &attempt);
	seed = text_hash(r->body, c->sim->seed);
	exchange_start(
	    c, kind, m, &s, &k, r->request_id, (uint32_t)attempt, seed);
}

static void
route_models(struct conn *c, struct str one)
{
	const struct catalog *cat = &c->sim->catalog;
	struct buf body;
	bool first = true;

	buf_init(&body, 1024 * 1024);
	if (one.len == 0)
		buf_addz(&body, "{\"object\":\"list\",\"data\":[");
	for (int i = 0; i < cat->n_models; i++) {
		const struct sim_model *m = &cat->models[i];

		if (one.len > 0 && !str_eqz(one, m->id))
			continue;
		if (!first)
			buf_addc(&body, ',');
		first = false;
		buf_addf(&body,
		    "{\"id\":\"%s\",\"object\":\"model\","
		    "\"created\":1700000000,\"owned_by\":\"simulator\"}",
		    m->id);
	}
	if (one.len == 0)
		buf_addz(&body, "]}");
	if (one.len > 0 && first)
		reply_error(c, 404, "invalid_request_error", "model",
		    "model_not_found", "", "The model does not exist.");
	else
		reply_full(c, 200, JSON, "", buf_str(&body));
	buf_release(&body);
}

static void
route_v1(struct conn *c, const struct http_request *r)
{
	bool post = str_eqz(r->method, "POST");
	char message[256];

	atomic_fetch_add(&c->sim->n.requests, 1);
	sim_keep(c->sim, r);
	if ((c->sim->n_canaries > 0 || r->forbid.len > 0) &&
	    sim_forbidden(c->sim, r)) {
		reply_error(c, 500, "server_error", NULL, "forbidden_string",
		    "x-should-retry: false\r\n",
		    "a forbidden string reached the provider");
		return;
	}
	if (!route_authorised(c, r))
		return;
	if (post && str_eqz(r->path, "/v1/chat/completions")) {
		atomic_fetch_add(&c->sim->n.chats, 1);
		route_call(c, r, X_CHAT);
	} else if (post && str_eqz(r->path, "/v1/embeddings")) {
		atomic_fetch_add(&c->sim->n.embeddings, 1);
		route_call(c, r, X_EMBED);
	} else if (!post && str_eqz(r->path, "/v1/models")) {
		route_models(c, STR_NULL);
	} else if (!post && str_starts(r->path, STR("/v1/models/"))) {
		route_models(c, str_make(r->path.p + 11, r->path.len - 11));
	} else {
		(void)snprintf(message, sizeof(message),
		    "Invalid URL (%.*s %.*s)",
		    (int)(r->method.len < 16 ? r->method.len : 16), r->method.p,
		    (int)(r->path.len < 128 ? r->path.len : 128), r->path.p);
		reply_error(
		    c, 404, "invalid_request_error", NULL, NULL, "", message);
	}
}

/* A number of the query string. */
static uint64_t
route_query(struct str query, const char *name, uint64_t def)
{
	struct str one, key, value;
	uint64_t n;

	while (query.len > 0) {
		(void)str_cut(query, '&', &one, &query);
		if (str_cut(one, '=', &key, &value) && str_eqz(key, name) &&
		    str_to_u64(value, &n) == 0)
			return n;
	}
	return def;
}

static void
route_sim(struct conn *c, const struct http_request *r)
{
	bool post = str_eqz(r->method, "POST");
	struct buf body;

	buf_init(&body, 1024 * 1024 * 1024);
	if (!post && str_eqz(r->path, "/sim/bill")) {
		bill_render(c->sim->bill, route_query(r->query, "after", 0),
		    route_query(r->query, "limit", SIZE_MAX), &body);
	} else if (!post && str_eqz(r->path, "/sim/stats")) {
		sim_render_stats(c->sim, &body);
	} else if (!post && str_eqz(r->path, "/sim/last")) {
		sim_render_last(c->sim, &body);
	} else if (post && str_eqz(r->path, "/sim/reset")) {
		sim_reset(c->sim);
		buf_addz(&body, "{}\n");
	}
	if (body.len == 0)
		reply_error(c, 404, "invalid_request_error", NULL, NULL, "",
		    "GET /sim/bill?after=N&limit=N, /sim/stats, /sim/last; "
		    "POST /sim/reset");
	else
		reply_full(c, 200, JSON, "", buf_str(&body));
	buf_release(&body);
}

void
route_request(struct conn *c, const struct http_request *r)
{
	if (str_starts(r->path, STR("/sim/")))
		route_sim(c, r);
	else if (str_eqz(r->path, "/livez") || str_eqz(r->path, "/readyz"))
		reply_full(c, 200, "text/plain", "", STR("ok\n"));
	else
		route_v1(c, r);
}
