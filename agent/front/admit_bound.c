/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt can cost at most, as far as that is not read off the request
 * itself; and what a ceiling refuses because nobody can tell.
 */
#include "agent/dialect/bound.h"
#include "agent/front/admit.h"
#include "agent/front/front.h"

/* Bytes that a reranker takes for one document at the least, and tokens of
 * text that a second of sound gives at the most. */
#define ADMIT_RERANK_CHUNK     250
#define ADMIT_WORDS_PER_SECOND 25
#define ADMIT_MOST	       INT64_C(100000000000) /* tokens; a record's limit */

/* Nothing in the request bounds its cost: does the model's declaration? */
static bool
admit_declared(struct request *r)
{
	r->declared = r->att.dep->model->max_request > 0;
	return r->declared;
}

bool
admit_has_cap(struct request *r)
{
	if (!admit_is_hard(r) || !scan_bills_output(r->scan.op) ||
	    r->worst.n[TC_OUTPUT] > 0 || price_worst_output(&r->att.price) <= 0)
		return true;
	if (admit_declared(r))
		return true;
	if (op_is_generation(r->scan.op) || r->scan.op == OP_COMPLETIONS)
		refuse_field(r, ERR_INVALID,
		    r->scan.op == OP_COMPLETIONS ? "max_tokens"
						 : "max_completion_tokens",
		    "this key has a hard budget and the model has no output "
		    "cap: the request must have one");
	else
		refuse_field(r, ERR_UNSUPPORTED, "model",
		    "this key has a hard budget and the model has no output "
		    "cap");
	return false;
}

static void
admit_unbound(struct request *r, const char *field, const char *text)
{
	if (r->fallback)
		admit_give_up(r, 0, NULL);
	else
		refuse_field(r, ERR_UNSUPPORTED, field, text);
}

bool
admit_bound(struct request *r)
{
	const struct b_model *m = r->att.dep->model;
	bool tools = r->plan.mode != RELAY_TRANSLATE;
	struct bound b;
	int64_t most;

	if (!admit_is_hard(r) || !op_is_generation(r->scan.op))
		return true;
	bound_read(r->scan.op, json_root(buf_str(&r->body)), r->ir, &b);
	if (b.input[0] == '\0' &&
	    (!tools || (b.calls == 0 && b.tool[0] == '\0')))
		return true;
	if (admit_declared(r))
		return true;
	if (tools && b.tool[0] != '\0') {
		admit_unbound(r, b.tool,
		    "the cost of tools that the provider runs has no bound "
		    "without a cap on their calls or a max_request_usd of the "
		    "model, and this key has a hard budget");
		return false;
	}
	if (m->context_tokens <= 0) {
		admit_unbound(r, b.input[0] != '\0' ? b.input : "tools",
		    "its cost has no bound while the model declares no "
		    "context_tokens or max_request_usd, and this key has a "
		    "hard budget");
		return false;
	}
	if (!tools)
		b.calls = 0;
	r->unbound = true;
	most = m->context_tokens < OAI_MAX_TOKENS ? m->context_tokens
						  : OAI_MAX_TOKENS;
	most *= b.calls + 1;
	if (most > r->worst.n[TC_INPUT])
		r->worst.n[TC_INPUT] = most;
	r->worst.n[TC_WEB_SEARCH] += b.calls;
	return true;
}

bool
admit_sound(struct request *r)
{
	if (!r->scan.endless || !admit_is_hard(r) || admit_is_free(r) ||
	    admit_declared(r))
		return true;
	admit_unbound(r, "file",
	    "how long a sound of this format is does not follow from its size: "
	    "this key has a hard budget, for which the model must declare "
	    "max_request_usd, or the sound be PCM (RIFF) or MP3");
	return false;
}

void
admit_worst(struct request *r)
{
	const struct scan *q = &r->scan;
	struct tokens *w = &r->worst;
	int64_t again = q->n_chars * q->n_messages; /* of rerank's query */

	settle_worst(q, r->att.dep->model->max_output_tokens, w);
	if (q->op == OP_RERANK) {
		w->n[TC_SEARCH_UNITS] =
		    (q->n_messages + q->text_bytes / ADMIT_RERANK_CHUNK + 99) /
		    100;
		w->n[TC_INPUT] += again < ADMIT_MOST ? again : ADMIT_MOST;
	} else if (q->op == OP_COMPLETIONS && q->n_messages > 1) {
		/* every prompt is answered, n times */
		w->n[TC_OUTPUT] *= q->n_messages;
		if (w->n[TC_OUTPUT] > ADMIT_MOST)
			w->n[TC_OUTPUT] = ADMIT_MOST;
	} else if (q->n_seconds > 0 && w->n[TC_OUTPUT] == 0) {
		w->n[TC_OUTPUT] = q->n_seconds * ADMIT_WORDS_PER_SECOND;
	}
}
