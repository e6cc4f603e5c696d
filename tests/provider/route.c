/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of the simulator: those of each provider's API, on one port, and
 * the control of the simulator itself under /sim.
 */
#include <jansson.h>

#include "tests/provider/route.h"
#include "tests/provider/scenario.h"
#include "tests/provider/store.h"
#include "tests/provider/text.h"

#define JSON "application/json"

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

/* "name=value; name=value" of x-sim-knobs. */
static bool
route_knob_list(struct knobs *k, struct str list)
{
	struct str one, name, value;

	while (list.len > 0) {
		(void)str_cut(list, ';', &one, &list);
		one = str_trim(one);
		if (one.len == 0)
			continue;
		if (!str_cut(one, '=', &name, &value) ||
		    knobs_set(k, name, value) != 0)
			return false;
	}
	return true;
}

/* Model, then the scenario, then headers, then body. False when a header is
 * wrong. */
static bool
route_knobs(struct sim *sim, const struct sim_model *m, const struct scan *s,
    const struct http_request *r, struct knobs *k)
{
	struct str rest = r->headers, name, value;

	*k = m->knobs;
	if (sim->scenario != NULL) {
		struct knobs step;

		if (scenario_next(sim->scenario, r, str_of(m->id), &step))
			route_merge(k, &step);
	}
	while (r->has_sim && http_next_header(&rest, &name, &value)) {
		if (name.len <= 6 ||
		    !str_ieq(str_make(name.p, 6), STR("x-sim-")))
			continue;
		name = str_make(name.p + 6, name.len - 6);
		if (str_ieq(name, STR("forbid")) ||
		    str_ieq(name, STR("require")))
			continue;
		if (str_ieq(name, STR("knobs"))
			? !route_knob_list(k, value)
			: knobs_set(k, name, value) != 0)
			return false;
	}
	route_merge(k, &s->knobs);
	return true;
}

bool
call_model(struct call *q, bool embeddings, const struct sim_model **ret)
{
	struct str id = q->model.len > 0 ? q->model : q->s.model;
	int n = (int)(id.len < 64 ? id.len : 64);

	if (id.len == 0) {
		problem_reply(q->c, PROBLEM_MISSING, "model",
		    q->c->speaker == SPEAK_ANTHROPIC
			? "model: Field required"
			: "you must provide a model parameter");
		return false;
	}
	*ret = catalog_find(&q->c->sim->catalog, id);
	if (*ret != NULL && (*ret)->embeddings == embeddings)
		return true;
	switch (q->c->speaker) {
	case SPEAK_ANTHROPIC:
		problem_replyf(
		    q->c, PROBLEM_NO_MODEL, NULL, "model: %.*s", n, id.p);
		break;
	case SPEAK_GEMINI:
	case SPEAK_VERTEX:
		problem_replyf(q->c, PROBLEM_NO_MODEL, NULL,
		    "models/%.*s is not found for API version v1beta, or is "
		    "not supported for %.*s.",
		    n, id.p, (int)q->action.len, q->action.p);
		break;
	case SPEAK_BEDROCK:
		problem_reply(q->c, PROBLEM_INVALID, NULL,
		    "The provided model identifier is invalid.");
		break;
	case SPEAK_OLLAMA:
		problem_replyf(q->c, PROBLEM_NO_MODEL, NULL,
		    "model '%.*s' not found", n, id.p);
		break;
	case SPEAK_AZURE:
		problem_reply(q->c, PROBLEM_NO_MODEL, NULL,
		    "The API deployment for this resource does not exist. If "
		    "you created the deployment within the last 5 minutes, "
		    "please wait a moment and try again.");
		break;
	default:
		problem_replyf(q->c, PROBLEM_NO_MODEL, NULL,
		    "The model `%.*s` does not exist or you do not have "
		    "access to it.",
		    n, id.p);
		break;
	}
	return false;
}

bool
call_dimensions(struct call *q, const struct sim_model *m)
{
	long long n = q->s.dimensions, max = m->dimensions;

	if (n == -1 || (n > 0 && n <= max))
		return true;
	if (q->c->speaker == SPEAK_COHERE)
		problem_replyf(q->c, PROBLEM_INVALID, "output_dimension",
		    "invalid request: output_dimension %lld is not supported "
		    "by this model.",
		    n);
	else if (q->c->speaker == SPEAK_GEMINI || q->c->speaker == SPEAK_VERTEX)
		problem_replyf(q->c, PROBLEM_INVALID, "outputDimensionality",
		    "The output dimensionality must be between 1 and %lld.",
		    max);
	else
		problem_replyf(q->c, PROBLEM_INVALID, "dimensions",
		    "Invalid value for 'dimensions' = %lld. Must be less than "
		    "or equal to %lld.",
		    n, max);
	q->failed = true;
	return false;
}

/* A member that this model, unlike others, does not take. */
static bool
call_rejects(struct call *q, const char *name)
{
	char quoted[48];

	if (name == NULL || q->c->speaker > SPEAK_DEEPSEEK)
		return false;
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", name);
	if (memmem(q->r->body.p, q->r->body.len, quoted, strlen(quoted)) ==
	    NULL)
		return false;
	problem_replyf(q->c, PROBLEM_UNSUPPORTED, name,
	    strcmp(name, "max_tokens") == 0
		? "Unsupported parameter: '%s' is not supported with this "
		  "model. Use 'max_completion_tokens' instead."
		: "Unsupported parameter: '%s' is not supported with this "
		  "model.",
	    name);
	return true;
}

void
call_start(struct call *q, const struct sim_model *m, bool echo)
{
	struct knobs k;
	json_t *kept = NULL;
	int64_t most = m->context_tokens;

	if (q->s.n_inputs > 0) /* each text by itself */
		most = 3 + most * q->s.n_inputs;
	if (q->s.prompt_tokens > most) {
		problem_replyf(q->c, PROBLEM_CONTEXT, "messages",
		    q->c->speaker == SPEAK_ANTHROPIC
			? "prompt is too long: %lld tokens > %lld maximum"
			: "This model's maximum context length was exceeded: "
			  "%lld tokens, the limit is %lld.",
		    (long long)q->s.prompt_tokens,
		    (long long)m->context_tokens);
		return;
	}
	if (!route_knobs(q->c->sim, m, &q->s, q->r, &k)) {
		problem_reply(q->c, PROBLEM_INVALID, NULL, "bad x-sim- header");
		return;
	}
	if (k.flavor >= 0 && q->c->speaker <= SPEAK_DEEPSEEK)
		q->c->speaker = (enum speaker)k.flavor;
	if (call_rejects(q, knobs_rejected(k.rejects)))
		return;
	if (echo) {
		kept = q->root;
		q->root = NULL;
	}
	exchange_start(q->c, q->d, m, &q->s, &k, q->r, kept);
}

static void
route_models(struct call *q)
{
	const struct catalog *cat = &q->c->sim->catalog;
	struct str one = q->model;
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
		problem_reply(q->c, PROBLEM_NO_MODEL, "model",
		    "The model does not exist.");
	else
		reply_full(q->c, 200, JSON, "", buf_str(&body));
	buf_release(&body);
}

/* One path of a provider. In a pattern {} stands for one segment, the model,
 * and the last may end in ":" and an action; * for the rest. */
struct route {
	const char *method, *path;
	enum speaker speaker;
	void (*handle)(struct call *q);
	const struct dialect *d;
};

static const struct route routes[] = {
    {"POST", "/chat/completions", SPEAK_OPENAI, call_chat, &chat_dialect},
    {"POST", "/embeddings", SPEAK_OPENAI, call_embeddings, &embed_dialect},
    {"GET", "/models", SPEAK_OPENAI, route_models, NULL},
    {"GET", "/models/{}", SPEAK_OPENAI, route_models, NULL},
    {"POST", "/messages", SPEAK_ANTHROPIC, call_messages, &messages_dialect},
    {"POST", "/messages/count_tokens", SPEAK_ANTHROPIC, call_count_tokens,
	&messages_dialect},
    {"POST", "/models/{}:", SPEAK_GEMINI, call_gemini, &generate_dialect},
    {"POST", "/publishers/google/models/{}:", SPEAK_VERTEX, call_gemini,
	&generate_dialect},
    {"POST", "/model/{}/converse", SPEAK_BEDROCK, call_converse,
	&converse_dialect},
    {"POST", "/model/{}/converse-stream", SPEAK_BEDROCK, call_converse,
	&converse_dialect},
    {"POST", "/model/{}/invoke", SPEAK_BEDROCK, call_invoke, &invoke_dialect},
    {"POST", "/model/{}/invoke-with-response-stream", SPEAK_BEDROCK,
	call_invoke, &invoke_dialect},
    {"POST", "/responses", SPEAK_OPENAI, call_responses, &responses_dialect},
    {"GET", "/responses/*", SPEAK_OPENAI, call_stored_response, NULL},
    {"DELETE", "/responses/*", SPEAK_OPENAI, call_stored_response, NULL},
    {"POST", "/responses/*", SPEAK_OPENAI, call_stored_response, NULL},
    {"POST", "/v2/chat", SPEAK_COHERE, call_cohere_chat, &cohere_chat_dialect},
    {"POST", "/v2/embed", SPEAK_COHERE, call_cohere_embed,
	&cohere_embed_dialect},
    {"POST", "/v2/rerank", SPEAK_COHERE, call_rerank, &rerank_dialect},
    {"POST", "/rerank", SPEAK_OPENAI, call_rerank, &rerank_dialect},
    {"POST", "/api/chat", SPEAK_OLLAMA, call_ollama, &ollama_dialect},
    {"POST", "/api/embed", SPEAK_OLLAMA, call_ollama_embed,
	&ollama_embed_dialect},
    {"POST", "/completions", SPEAK_OPENAI, call_completions,
	&completions_dialect},
    {"POST", "/moderations", SPEAK_OPENAI, call_moderations,
	&moderations_dialect},
    {"POST", "/images/generations", SPEAK_OPENAI, call_images, &images_dialect},
    {"POST", "/images/edits", SPEAK_OPENAI, call_form, &edits_dialect},
    {"POST", "/audio/transcriptions", SPEAK_OPENAI, call_form,
	&transcriptions_dialect},
    {"POST", "/audio/translations", SPEAK_OPENAI, call_form,
	&translations_dialect},
    {"POST", "/audio/speech", SPEAK_OPENAI, call_speech, &speech_dialect},
};

/* What stands before such a path: it says who is meant. */
struct base {
	const char *prefix;
	enum speaker speaker; /* of the OpenAI kind, or the only one allowed */
	bool openai;	      /* serves what OpenAI serves */
};

static const struct base bases[] = {
    {"/v1", SPEAK_OPENAI, true},
    {"/v1", SPEAK_ANTHROPIC, false},
    {"/mistral/v1", SPEAK_MISTRAL, true},
    {"/vllm/v1", SPEAK_VLLM, true},
    {"/deepseek/v1", SPEAK_DEEPSEEK, true},
    {"/openai/deployments/{}", SPEAK_AZURE, true},
    {"/openai/v1", SPEAK_AZURE, true},
    {"/openai", SPEAK_AZURE, true},
    {"/v1beta", SPEAK_GEMINI, false},
    {"/v1", SPEAK_GEMINI, false},
    {"/v1alpha", SPEAK_GEMINI, false},
    {"/v1/projects/{}/locations/{}", SPEAK_VERTEX, false},
    {"/v1beta1/projects/{}/locations/{}", SPEAK_VERTEX, false},
    {"", SPEAK_BEDROCK, false},
    {"", SPEAK_COHERE, false},
    {"", SPEAK_OLLAMA, false},
};

/* Match a pattern at the start of a path; *rest is what follows, *last the
 * last {}. */
static bool
route_match(const char *pattern, struct str path, struct str *rest,
    struct str *last, struct str *action)
{
	while (*pattern != '\0') {
		if (*pattern == '*')
			path.len = 0;
		if (*pattern == '*')
			break;
		if (pattern[0] == '{') {
			size_t n = 0;

			while (n < path.len && path.p[n] != '/')
				n++;
			*last = str_make(path.p, n);
			path = str_make(path.p + n, path.len - n);
			pattern += 2;
			if (*pattern != ':')
				continue;
			if (!str_cut(*last, ':', last, action))
				return false;
			pattern++;
			continue;
		}
		if (path.len == 0 || path.p[0] != *pattern)
			return false;
		path = str_make(path.p + 1, path.len - 1);
		pattern++;
	}
	*rest = path;
	return true;
}

static const struct route *
route_find(const struct http_request *r, struct call *q)
{
	for (size_t b = 0; b < sizeof(bases) / sizeof(*bases); b++) {
		struct str rest, base_name = STR_NULL, end;

		if (!route_match(
			bases[b].prefix, r->path, &rest, &base_name, &end))
			continue;
		for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
			const struct route *one = &routes[i];

			if (bases[b].openai ? one->speaker != SPEAK_OPENAI
					    : one->speaker != bases[b].speaker)
				continue;
			q->model = base_name;
			if (bases[b].speaker == SPEAK_VERTEX)
				q->model = STR_NULL;
			if (!str_eqz(r->method, one->method) ||
			    !route_match(
				one->path, rest, &end, &q->model, &q->action) ||
			    end.len > 0)
				continue;
			q->c->speaker = bases[b].speaker;
			return one;
		}
	}
	return NULL;
}

static void
route_count(struct sim *s, const struct route *one)
{
	if (one->handle == call_chat)
		atomic_fetch_add(&s->n.chats, 1);
	else if (strcmp(one->d != NULL ? one->d->op : "", "embeddings") == 0)
		atomic_fetch_add(&s->n.embeddings, 1);
	else
		atomic_fetch_add(&s->n.others, 1);
}

static void
route_provider(struct conn *c, const struct http_request *r)
{
	struct call q = {.c = c, .r = r};
	const struct route *one = route_find(r, &q);
	char why[256], model[256];

	atomic_fetch_add(&c->sim->n.requests, 1);
	sim_keep(c->sim, r);
	if ((c->sim->n_canaries > 0 || r->has_asserts) &&
	    !sim_asserts(c->sim, r, why, sizeof(why))) {
		struct buf body;

		buf_init(&body, 4096);
		buf_addz(&body, "{\"error\":{\"code\":\"assertion\","
				"\"message\":");
		buf_add_json(&body, str_of(why));
		buf_addz(&body, "}}");
		reply_full(
		    c, 599, JSON, "x-should-retry: false\r\n", buf_str(&body));
		buf_release(&body);
		return;
	}
	if (one == NULL) {
		problem_replyf(c, PROBLEM_NOT_FOUND, NULL,
		    "Invalid URL (%.*s %.*s)",
		    (int)(r->method.len < 16 ? r->method.len : 16), r->method.p,
		    (int)(r->path.len < 128 ? r->path.len : 128), r->path.p);
		return;
	}
	if (!auth_check(c, r))
		return;
	if (q.model.len > sizeof(model))
		q.model.len = sizeof(model);
	if (q.model.len > 0)
		q.model = http_unescape(q.model, model);
	q.d = one->d;
	route_count(c->sim, one);
	one->handle(&q);
	json_decref(q.root);
}

/* A number of the query string. */
static uint64_t
route_query(const struct http_request *r, const char *name, uint64_t def)
{
	uint64_t n;

	return str_to_u64(http_query(r, name), &n) == 0 ? n : def;
}

static void
route_sim(struct conn *c, const struct http_request *r)
{
	bool post = str_eqz(r->method, "POST");
	struct buf body;

	buf_init(&body, 1024 * 1024 * 1024);
	if (!post && str_eqz(r->path, "/sim/bill")) {
		bill_render(c->sim->bill, route_query(r, "after", 0),
		    route_query(r, "limit", SIZE_MAX), &body);
	} else if (!post && str_eqz(r->path, "/sim/stats")) {
		sim_render_stats(c->sim, &body);
	} else if (!post && str_eqz(r->path, "/sim/last")) {
		sim_render_last(c->sim, &body);
	} else if (post && str_eqz(r->path, "/sim/reset")) {
		sim_reset(c->sim);
		buf_addz(&body, "{}\n");
	} else if (post && str_eqz(r->path, "/sim/scenario")) {
		struct error e = {0};

		if (scenario_load(c->sim->scenario, r->body, &e) == 0)
			buf_addz(&body, "{}\n");
	} else if (post && str_eqz(r->path, "/sim/tls") &&
		   c->sim->tls != NULL) {
		if (tls_server_order(c->sim->tls, http_query(r, "fault"),
			route_query(r, "times", 1)) == 0)
			buf_addz(&body, "{}\n");
	}
	if (body.len == 0)
		problem_reply(c, PROBLEM_NOT_FOUND, NULL,
		    "GET /sim/bill?after=N&limit=N, /sim/stats, /sim/last; "
		    "POST /sim/reset, /sim/scenario, /sim/tls?fault=NAME&"
		    "times=N");
	else
		reply_full(c, 200, JSON, "", buf_str(&body));
	buf_release(&body);
}

void
route_request(struct conn *c, const struct http_request *r)
{
	struct call q = {.c = c, .r = r};

	c->speaker = SPEAK_OPENAI;
	c->x.k.retry = c->x.k.retry_after_ms = -1;
	if (str_starts(r->path, STR("/sim/")))
		route_sim(c, r);
	else if (str_eqz(r->path, "/livez") || str_eqz(r->path, "/readyz"))
		reply_full(c, 200, "text/plain", "", STR("ok\n"));
	else if (str_eqz(r->path, "/token") && str_eqz(r->method, "POST"))
		call_token(&q);
	else
		route_provider(c, r);
}
