/* SPDX-License-Identifier: Apache-2.0 */
/* See exact.h. */
#include "agent/front/exact.h"

#include "agent/front/front.h"
#include "agent/front/reserve.h"
#include "agent/front/shrink.h"

/* A text has a token for so many bytes at the least: no encoding has longer
 * ones but for runs of spaces and the like. */
#define EXACT_BYTES_A_TOKEN 128

struct count {
	const struct tokenizer *t;
	struct tokenizer_scratch *scratch;
	struct buf plain;
	size_t left;	       /* bytes that may still be counted */
	int64_t bytes, tokens; /* of the texts */
	int64_t texts, others; /* texts; raw bytes beside them */
	bool stop;	       /* the count failed */
};

static bool
exact_may(const struct request *r)
{
	enum provider_dialect d = r->att.dep->provider->dialect;
	struct tokens bytes;

	if (r->counted || r->declared || r->unbound || r->spool != NULL ||
	    r->scan.n_media > 0 ||
	    (d != PROVIDER_OPENAI && d != PROVIDER_AZURE))
		return false;
	switch (r->scan.op) {
	case OP_CHAT:
	case OP_COMPLETIONS:
	case OP_EMBEDDINGS:
	case OP_RESPONSES:
	case OP_MESSAGES:
	case OP_GENERATE:
		break;
	default:
		return false;
	}
	settle_worst(&r->scan, r->att.dep->model->max_output_tokens, &bytes);
	return r->worst.n[TC_INPUT] == bytes.n[TC_INPUT];
}

static void
count_text(struct count *c, struct json v)
{
	size_t len = (size_t)(v.end - v.p);
	int64_t n = 0;

	if (len > c->left) {
		c->stop = true;
		return;
	}
	c->left -= len;
	buf_clear(&c->plain);
	if (json_unescape(v, &c->plain) != 0 ||
	    tokenizer_count(c->t, c->scratch, buf_str(&c->plain), &n) != 0) {
		c->stop = true;
		return;
	}
	c->bytes += (int64_t)c->plain.len;
	c->tokens += n;
	c->texts++;
}

/* Members below which texts lie. All others keep their bytes. */
static bool
count_descends(struct str key)
{
	return json_key_eq(key, STR("content")) ||
	       json_key_eq(key, STR("text")) ||
	       json_key_eq(key, STR("parts")) ||
	       json_key_eq(key, STR("output"));
}

/* The documents' depth is limited where they are validated. */
static void
count_texts(struct count *c, struct json v)
{
	struct json_iter it;
	struct json item;
	struct str key;

	if (c->stop)
		return;
	if (v.type == JSON_STRING) {
		count_text(c, v);
	} else if (v.type == JSON_ARRAY) {
		it = json_iter(v);
		while (json_next_element(&it, &item))
			count_texts(c, item);
	} else if (v.type == JSON_OBJECT) {
		it = json_iter(v);
		while (json_next_member(&it, &key, &item))
			if (count_descends(key))
				count_texts(c, item);
	}
}

/* Does the root's member hold the prompt? */
static bool
count_is_prompt(enum op op, struct str key)
{
	switch (op) {
	case OP_CHAT:
		return json_key_eq(key, STR("messages"));
	case OP_COMPLETIONS:
		return json_key_eq(key, STR("prompt"));
	case OP_EMBEDDINGS:
		return json_key_eq(key, STR("input"));
	case OP_RESPONSES:
		return json_key_eq(key, STR("input")) ||
		       json_key_eq(key, STR("instructions"));
	case OP_MESSAGES:
		return json_key_eq(key, STR("messages")) ||
		       json_key_eq(key, STR("system"));
	case OP_GENERATE:
		return json_key_eq(key, STR("contents")) ||
		       json_key_eq(key, STR("systemInstruction")) ||
		       json_key_eq(key, STR("system_instruction"));
	default:
		return false;
	}
}

static void
count_body(struct count *c, enum op op, struct json root)
{
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;

	while (!c->stop && json_next_member(&it, &key, &v)) {
		if (count_is_prompt(op, key))
			count_texts(c, v);
		else
			c->others += (int64_t)(v.end - v.p) -
				     (int64_t)json_text_bytes(v);
	}
}

/* The input's bound, or -1. */
static int64_t
exact_input(struct request *r)
{
	struct front *f = r->f;
	struct token_counter counter;
	struct count c = {.left = f->exact_left};
	int64_t n;

	(void)tokenizer_for_model(
	    &f->agent->tokenizers, r->att.dep->model->tokenizer, &counter);
	if (f->scratch == NULL)
		f->scratch = tokenizer_scratch_new();
	c.t = counter.exact;
	c.scratch = f->scratch;
	/* What no turn can count is not asked for again. */
	r->counted = c.t == NULL || r->body.len > SETTLE_EXACT_MAX;
	if (r->counted || c.scratch == NULL || r->body.len > c.left)
		return -1;
	buf_init(&c.plain, SETTLE_EXACT_MAX);
	count_body(&c, r->scan.op, json_root(buf_str(&r->body)));
	buf_release(&c.plain);
	f->exact_left = c.left;
	r->counted = true;
	if (c.stop || c.bytes > r->scan.text_bytes)
		return -1;
	n = r->worst.n[TC_INPUT] - c.bytes + c.others;
	n += c.tokens + (c.tokens + EXACT_MARGIN - 1) / EXACT_MARGIN;
	return n + EXACT_PER_TEXT * c.texts;
}

static bool
exact_amount(struct request *r, int64_t input, struct exact *x)
{
	x->worst = r->worst;
	x->worst.n[TC_INPUT] = input;
	return reserve_price(r->att.dep->model, r->att.priced_at, &r->scan,
		   json_root(buf_str(&r->body)), &x->worst, &x->price) &&
	       reserve_amount(&x->worst, &x->price, &x->amount) &&
	       x->amount < r->amount;
}

/* Could what is left pay for it if its text were as short as can be, and its
 * output lowered? Counting costs time that a refusal must not. */
static bool
exact_is_of_use(struct request *r, const struct budget_cell *cell)
{
	int64_t least = r->worst.n[TC_INPUT] - r->scan.text_bytes +
			r->scan.text_bytes / EXACT_BYTES_A_TOKEN;
	struct exact x;

	x.worst = r->worst;
	x.worst.n[TC_INPUT] = least > 0 ? least : 0;
	x.worst.n[TC_OUTPUT] = 0;
	return reserve_price(r->att.dep->model, r->att.priced_at, &r->scan,
		   json_root(buf_str(&r->body)), &x.worst, &x.price) &&
	       reserve_amount(&x.worst, &x.price, &x.amount) &&
	       x.amount <= shrink_rights(cell, r->f->loop.mono);
}

bool
exact_is_near(const struct request *r, const struct budget_cell *cell)
{
	if (atomic_load_explicit(&cell->reply_gen, memory_order_acquire) == 0)
		return false; /* nothing is known yet */
	return atomic_load_explicit(&cell->exhausted, memory_order_relaxed) ||
	       atomic_load_explicit(&cell->free, memory_order_relaxed) /
		       EXACT_NEAR_FREE <
		   r->amount;
}

bool
exact_count(struct request *r, const struct budget_cell *cell, struct exact *x)
{
	int64_t input;

	if (!exact_may(r) || !exact_is_of_use(r, cell))
		return false;
	input = exact_input(r);
	return input >= 0 && input < r->worst.n[TC_INPUT] &&
	       exact_amount(r, input, x);
}

void
exact_apply(struct request *r, const struct exact *x)
{
	MUST(x->amount < r->amount);
	r->worst = x->worst;
	r->att.price = x->price;
	r->amount = x->amount;
	metric_inc(r->f->agent->metrics, AM_COUNTED, 1);
}
