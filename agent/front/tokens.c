/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting the tokens of a prompt for a client (Anthropic's count_tokens,
 * Gemini's countTokens), with the tokenizer of the model behind the route. No
 * provider is asked and nothing is billed. Most models' own tokenizers are not
 * public: such counts are marked as estimates.
 */
#include "agent/front/forward.h"
#include "agent/front/front.h"

/* Gemini may wrap the request: {"generateContentRequest":{...}}. */
static int
tokens_unwrap(struct request *r)
{
	struct json v;
	size_t from, len;

	if (r->target.s.op != OP_GEMINI_COUNT_TOKENS ||
	    !json_getz(
		json_root(buf_str(&r->body)), "generateContentRequest", &v) ||
	    v.type != JSON_OBJECT)
		return 0;
	from = (size_t)(v.p - r->body.data);
	len = (size_t)(v.end - v.p);
	buf_consume(&r->body, from);
	r->body.len = len;
	return 0;
}

/* Anthropic's reader wants the cap of an answer, of which there is none. */
static int
tokens_add_cap(struct request *r)
{
	struct json root = json_root(buf_str(&r->body)), v;
	struct json_iter it;
	struct str key;
	bool empty;

	if (r->target.s.op != OP_COUNT_TOKENS || root.type != JSON_OBJECT ||
	    json_getz(root, "max_tokens", &v))
		return 0;
	it = json_iter(root);
	empty = !json_next_member(&it, &key, &v);
	buf_clear(&r->up_body);
	(void)buf_addz(
	    &r->up_body, empty ? "{\"max_tokens\":1" : "{\"max_tokens\":1,");
	(void)buf_add(&r->up_body, root.p + 1, (size_t)(root.end - root.p) - 1);
	if (buf_error(&r->up_body) != 0)
		return buf_error(&r->up_body);
	buf_clear(&r->body);
	return buf_add(&r->body, r->up_body.data, r->up_body.len);
}

static int
tokens_read(struct request *r, struct error *e)
{
	int rc = json_validate(buf_str(&r->body), &r->f->json, e);

	if (rc == 0)
		rc = tokens_unwrap(r);
	if (rc == 0)
		rc = tokens_add_cap(r);
	if (rc == 0)
		rc = forward_read(r, e);
	if (rc == 0)
		scan_generation(
		    r->target.s.op, buf_str(&r->body), r->ir, &r->scan);
	return rc;
}

/* The deployment that would most likely serve it. */
static const struct b_deployment *
tokens_deployment(const struct request *r)
{
	return r->route->n_targets > 0 ? r->route->targets[0].deployment : NULL;
}

void
tokens_answer(struct request *r)
{
	struct error e = {0};
	int64_t n;
	int rc = tokens_read(r, &e);

	if (rc != 0) {
		refuse_field(r,
		    rc == ERR_TOO_LARGE || rc == ERR_NOMEM ? rc : ERR_INVALID,
		    e.field, e.text[0] != '\0' ? e.text : err_text(rc));
		return;
	}
	if (!admit_route(r))
		return;
	r->att.dep = tokens_deployment(r);
	if (r->att.dep == NULL) {
		refuse(r, ERR_UNAVAILABLE, "no deployment serves the model");
		return;
	}
	n = count_prompt(r, r->att.dep->model, SETTLE_EXACT_MAX);
	buf_clear(&r->out);
	if (r->target.s.op == OP_COUNT_TOKENS)
		(void)buf_addf(
		    &r->out, "{\"input_tokens\":%lld}", (long long)n);
	else
		(void)buf_addf(&r->out,
		    "{\"totalTokens\":%lld,\"promptTokensDetails\":"
		    "[{\"modality\":\"TEXT\",\"tokenCount\":%lld}]}",
		    (long long)n, (long long)n);
	r->answer.status = 200;
	r->answer.is_json = true;
	/* Special tokens of a conversation differ from model to model. */
	r->answer.estimated = true;
	request_move(r, REQ_ANSWER);
	server_resume(r);
}
