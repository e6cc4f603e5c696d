/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model list: the routes that the key may use, as each dialect lists
 * models. All come on one page.
 */
#include <stdio.h>

#include "agent/front/front.h"

static bool
models_shows(const struct request *r, const struct b_route *route)
{
	return bundle_key_may(r->key, route) && route->n_targets > 0;
}

static void
models_done(struct request *r)
{
	r->answer.status = 200;
	r->answer.is_json = true;
	request_move(r, REQ_ANSWER);
	server_resume(r);
}

static void
models_anthropic(
    struct buf *out, const struct b_route *route, int64_t created_ns)
{
	char at[40];

	time_format(created_ns - created_ns % NS_PER_S, 0, at);
	(void)buf_addz(out, "{\"type\":\"model\",\"id\":");
	(void)buf_add_json(out, route->name);
	(void)buf_addz(out, ",\"display_name\":");
	(void)buf_add_json(out, route->name);
	(void)buf_addf(out, ",\"created_at\":\"%s\"}", at);
}

static void
models_gemini(struct buf *out, const struct b_route *route)
{
	const struct b_model *m = route->targets[0].deployment->model;

	(void)buf_addz(out, "{\"name\":\"models/");
	(void)buf_add_escaped(out, route->name);
	(void)buf_addz(out, "\",\"baseModelId\":");
	(void)buf_add_json(out, route->name);
	(void)buf_addz(out, ",\"version\":\"1\",\"displayName\":");
	(void)buf_add_json(out, route->name);
	if (m->context_tokens > 0)
		(void)buf_addf(out, ",\"inputTokenLimit\":%lld",
		    (long long)m->context_tokens);
	if (m->max_output_tokens > 0)
		(void)buf_addf(out, ",\"outputTokenLimit\":%lld",
		    (long long)m->max_output_tokens);
	(void)buf_addz(out, ",\"supportedGenerationMethods\":[");
	if (m->can_chat)
		(void)buf_addz(out, "\"generateContent\","
				    "\"streamGenerateContent\","
				    "\"countTokens\"");
	if (m->can_embed)
		(void)buf_addz(out,
		    m->can_chat ? ",\"embedContent\"" : "\"embedContent\"");
	(void)buf_addz(out, "]}");
}

static void
models_entry(struct request *r, const struct b_route *route)
{
	int64_t created = r->bundle->created_at;

	switch (r->target.s.client) {
	case CLIENT_OPENAI:
		oai_model_json(
		    &r->out, route->name, route->owned_by, created / NS_PER_S);
		break;
	case CLIENT_ANTHROPIC:
		models_anthropic(&r->out, route, created);
		break;
	case CLIENT_GEMINI:
		models_gemini(&r->out, route);
		break;
	}
}

static void
models_one(struct request *r)
{
	const struct b_route *route =
	    bundle_find_route(r->bundle, str_of(r->target.s.model));

	if (route == NULL || !models_shows(r, route)) {
		refuse_field(r, ERR_MODEL_NOT_FOUND, "model",
		    err_text(ERR_MODEL_NOT_FOUND));
		return;
	}
	models_entry(r, route);
	models_done(r);
}

/* What stands around the entries. */
static void
models_frame(struct request *r, bool end, const char *first, const char *last)
{
	static const char *const heads[] = {
	    [CLIENT_OPENAI] = "{\"object\":\"list\",\"data\":[",
	    [CLIENT_ANTHROPIC] = "{\"data\":[",
	    [CLIENT_GEMINI] = "{\"models\":["};

	if (!end) {
		(void)buf_addz(&r->out, heads[r->target.s.client]);
		return;
	}
	(void)buf_addz(&r->out, "]");
	if (r->target.s.client == CLIENT_ANTHROPIC) {
		(void)buf_addz(&r->out, ",\"has_more\":false,\"first_id\":");
		(void)buf_addz(&r->out, first);
		(void)buf_addz(&r->out, ",\"last_id\":");
		(void)buf_addz(&r->out, last);
	}
	(void)buf_addz(&r->out, "}");
}

/* The name as JSON, or null. */
static void
models_id(const struct b_route *route, char dst[300])
{
	struct buf b;

	buf_init(&b, 299);
	if (route != NULL)
		(void)buf_add_json(&b, route->name);
	else
		(void)buf_addz(&b, "null");
	(void)snprintf(dst, 300, "%s", buf_cstr(&b));
	buf_release(&b);
}

void
models_answer(struct request *r)
{
	const struct b_route *route, *first = NULL, *last = NULL;
	char ids[2][300];
	unsigned i;

	buf_clear(&r->out);
	if (r->target.s.op == OP_MODEL) {
		models_one(r);
		return;
	}
	models_frame(r, false, NULL, NULL);
	for (i = 0; i < r->bundle->n_routes; i++) {
		route = &r->bundle->routes[i];
		if (!models_shows(r, route))
			continue;
		if (first != NULL)
			(void)buf_addc(&r->out, ',');
		else
			first = route;
		last = route;
		models_entry(r, route);
	}
	models_id(first, ids[0]);
	models_id(last, ids[1]);
	models_frame(r, true, ids[0], ids[1]);
	models_done(r);
}
