/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model list: the routes that the key may use.
 */
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
models_one(struct request *r)
{
	const struct b_route *route =
	    bundle_find_route(r->bundle, str_of(r->target.s.model));

	if (route == NULL || !models_shows(r, route)) {
		refuse_field(r, ERR_MODEL_NOT_FOUND, "model",
		    err_text(ERR_MODEL_NOT_FOUND));
		return;
	}
	oai_model_json(&r->out, route->name, route->owned_by,
	    r->bundle->created_at / NS_PER_S);
	models_done(r);
}

void
models_answer(struct request *r)
{
	const struct b_route *route;
	bool first = true;
	unsigned i;

	buf_clear(&r->out);
	if (r->target.s.op == OP_MODEL) {
		models_one(r);
		return;
	}
	(void)buf_addz(&r->out, "{\"object\":\"list\",\"data\":[");
	for (i = 0; i < r->bundle->n_routes; i++) {
		route = &r->bundle->routes[i];
		if (!models_shows(r, route))
			continue;
		if (!first)
			(void)buf_addc(&r->out, ',');
		first = false;
		oai_model_json(&r->out, route->name, route->owned_by,
		    r->bundle->created_at / NS_PER_S);
	}
	(void)buf_addz(&r->out, "]}");
	models_done(r);
}
