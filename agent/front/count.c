/* SPDX-License-Identifier: Apache-2.0 */
/* See count.h. */
#include "agent/front/count.h"

#include <stdatomic.h>

#include "agent/front/front.h"

#define COUNT_PROBES	4
#define COUNT_FIRST	32  /* answers that are all looked at, then */
#define COUNT_EVERY	8   /* one of these */
#define COUNT_MIN_BYTES 512 /* a shorter prompt says little */
#define COUNT_MAX_BYTES ((int64_t)1 << 20)

/* Thousandths of a byte a token that are believed of any model. */
#define COUNT_MILLI_MIN 1000
#define COUNT_MILLI_MAX 8000

static size_t
count_home(uint64_t model)
{
	return (size_t)(model * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static const struct count_ratio *
count_find(const struct count_ratios *t, uint64_t model)
{
	const struct count_ratio *s;
	size_t i, home = count_home(model);

	for (i = 0; i < COUNT_PROBES; i++) {
		s = &t->slots[(home + i) % COUNT_RATIOS];
		if (s->model == model)
			return s;
	}
	return NULL;
}

int64_t
count_ratio_of(const struct count_ratios *t, uint64_t model, int64_t declared)
{
	const struct count_ratio *s = count_find(t, model);

	return s != NULL && s->declared == declared ? s->milli : declared;
}

bool
count_ratio_due(struct count_ratios *t, uint64_t model, int64_t declared)
{
	struct count_ratio *s = NULL;
	size_t i, home = count_home(model);

	for (i = 0; i < COUNT_PROBES; i++) {
		s = &t->slots[(home + i) % COUNT_RATIOS];
		if (s->model == model || s->model == 0)
			break;
	}
	if (i == COUNT_PROBES || model == 0)
		return false;
	if (s->model == 0 || s->declared != declared)
		*s = (struct count_ratio){
		    .model = model, .declared = declared, .milli = declared};
	s->n_seen++;
	return s->n_seen <= COUNT_FIRST || s->n_seen % COUNT_EVERY == 0;
}

static int64_t
count_clamp(int64_t v, int64_t min, int64_t max)
{
	return v < min ? min : v > max ? max : v;
}

void
count_ratio_learn(
    struct count_ratios *t, uint64_t model, int64_t bytes, int64_t tokens)
{
	struct count_ratio *s =
	    (struct count_ratio *)(uintptr_t)count_find(t, model);
	int64_t seen, weight;

	if (s == NULL || bytes <= 0 || tokens <= 0)
		return;
	/* What is beyond belief has another cause: input that the request does
	 * not show, or a count that is wrong. */
	seen = bytes > INT64_MAX / 1000 ? INT64_MAX : bytes * 1000 / tokens;
	if (seen < COUNT_MILLI_MIN || seen > COUNT_MILLI_MAX)
		return;
	weight = s->n_learned < COUNT_FIRST ? s->n_learned + 2 : COUNT_FIRST;
	s->n_learned++;
	s->milli = count_clamp(s->milli + (seen - s->milli) / weight,
	    s->declared / 2, s->declared * 2);
}

void
count_init(struct front *f, const struct b_model *m, size_t left,
    struct oai_count *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->left = left;
	(void)tokenizer_for_model(
	    &f->agent->tokenizers, m->tokenizer, &ret->counter);
	if (ret->counter.exact != NULL && f->scratch == NULL)
		f->scratch = tokenizer_scratch_new();
	if (ret->counter.exact != NULL && f->scratch == NULL)
		ret->counter.exact = NULL;
	else if (ret->counter.exact != NULL)
		ret->scratch = f->scratch;
	if (ret->counter.exact == NULL)
		ret->counter.milli =
		    count_ratio_of(&f->ratios, m->uid, ret->counter.milli);
}

int64_t
count_milli_of(struct front *f, const struct b_model *m)
{
	struct token_counter by;

	(void)tokenizer_for_model(&f->agent->tokenizers, m->tokenizer, &by);
	return by.exact != NULL ? 0
				: count_ratio_of(&f->ratios, m->uid, by.milli);
}

/* The prompt's text, by c. */
static int64_t
count_text(struct oai_count *c, const struct request *r)
{
	if (r->spool != NULL) /* a form: bytes are all that is known */
		return token_counter_bytes(&c->counter, r->scan.text_bytes);
	if (r->ir != NULL && r->scan.op != OP_CHAT)
		oai_count_ir(c, r->ir);
	else if (r->scan.op == OP_GEMINI_EMBED)
		oai_count_gemini_embed(c, buf_str(&r->body));
	else
		oai_count_request(c, &r->scan, buf_str(&r->body));
	return oai_count_total(c);
}

int64_t
count_prompt(struct request *r, const struct b_model *m, size_t max)
{
	struct front *f = r->f;
	size_t share = f->exact_left < max ? f->exact_left : max;
	struct oai_count c;
	int64_t n;

	if (r->prompt_model == m->uid && m->uid != 0)
		return r->prompt_tokens;
	count_init(f, m, share, &c);
	n = count_text(&c, r);
	if (c.counter.exact != NULL)
		f->exact_left -= share - c.left;
	if (c.left > 0 || c.counter.exact == NULL) {
		r->prompt_model = m->uid;
		r->prompt_tokens = n;
	}
	return n;
}

static bool
count_is_limited(const struct b_key *k)
{
	for (unsigned i = 0; i < k->n_limits; i++)
		if (atomic_load_explicit(
			&k->limits[i]->tpm, memory_order_relaxed) > 0)
			return true;
	return false;
}

int64_t
count_for_limits(struct request *r)
{
	int64_t n;

	if (r->route == NULL || r->route->n_targets == 0 ||
	    op_has_no_body(r->scan.op) || !count_is_limited(r->key))
		return 0;
	n = count_prompt(
	    r, r->route->targets[0].deployment->model, COUNT_ADMIT_MAX);
	if (r->scan.max_output > 0 && r->scan.max_output < OAI_MAX_TOKENS)
		n += r->scan.max_output * r->scan.n;
	return n;
}

/* Does the request show all the input that the provider counted? */
static bool
count_shows_all(const struct request *r, const struct ir_usage *told)
{
	const struct scan *q = &r->scan;

	return (op_is_generation(q->op) || q->op == OP_EMBEDDINGS ||
		   q->op == OP_GEMINI_EMBED) &&
	       r->spool == NULL && q->n_media == 0 && q->n_numbers == 0 &&
	       r->stored_len == 0 && told->input_total > 0 &&
	       told->tokens.n[TC_WEB_SEARCH] == 0 && !told->inconsistent &&
	       q->text_bytes >= COUNT_MIN_BYTES &&
	       q->text_bytes <= COUNT_MAX_BYTES;
}

void
count_learn(struct request *r, const struct ir_usage *told)
{
	const struct b_model *m = r->att.dep->model;
	int64_t bytes, frame = oai_count_frame(&r->scan);
	struct token_counter by;
	struct oai_count c;

	if (!count_shows_all(r, told))
		return;
	(void)tokenizer_for_model(&r->f->agent->tokenizers, m->tokenizer, &by);
	if (by.exact != NULL ||
	    !count_ratio_due(&r->f->ratios, m->uid, by.milli))
		return;
	memset(&c, 0, sizeof(c));
	c.counter.milli = 1000; /* a byte a token: bytes are counted */
	bytes = count_text(&c, r) - frame;
	if (bytes >= COUNT_MIN_BYTES)
		count_ratio_learn(
		    &r->f->ratios, m->uid, bytes, told->input_total - frame);
}
