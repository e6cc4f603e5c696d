/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choices and blocks of an answer while it is written. Blocks are looked for
 * from the end, where those that are open are.
 */
#include "agent/dialect/answer_acc.h"

#include <stdlib.h>

void
acc_init(struct acc *a, size_t max)
{
	memset(a, 0, sizeof(*a));
	a->max = max;
}

static void
acc_block_free(struct acc_block *b)
{
	buf_release(&b->id);
	buf_release(&b->name);
	buf_release(&b->text);
	buf_release(&b->signature);
	buf_release(&b->logprobs);
	free(b);
}

void
acc_release(struct acc *a)
{
	unsigned i;

	for (i = 0; i < a->n_blocks; i++)
		acc_block_free(a->blocks[i]);
	free(a->blocks);
	free(a->choices);
	acc_init(a, a->max);
}

static int
acc_grow(void **v, unsigned n, unsigned *cap, unsigned max, size_t size)
{
	unsigned want = *cap ? 2 * *cap : 4;
	void *grown;

	if (n < *cap)
		return 0;
	if (n >= max)
		return ERR_TOO_LARGE;
	grown = realloc(*v, want * size);
	if (grown == NULL)
		return ERR_NOMEM;
	*v = grown;
	*cap = want;
	return 0;
}

int
acc_add(struct acc *a, struct buf *to, struct str s)
{
	if (s.len > a->max - a->used)
		return ERR_TOO_LARGE;
	a->used += s.len;
	return buf_add_str(to, s);
}

int
acc_open(struct acc *a, const struct ir_event *ev, struct acc_block **ret)
{
	struct acc_block *b;
	void *v = a->blocks;
	int rc;

	rc = acc_grow(&v, a->n_blocks, &a->cap_blocks, ACC_MAX_BLOCKS,
	    sizeof(struct acc_block *));
	a->blocks = v;
	if (rc != 0)
		return rc;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return ERR_NOMEM;
	b->choice = ev->choice;
	b->block = ev->block;
	b->part = ev->part;
	b->open = true;
	buf_init(&b->id, a->max);
	buf_init(&b->name, a->max);
	buf_init(&b->text, a->max);
	buf_init(&b->signature, a->max);
	buf_init(&b->logprobs, 2 * a->max);
	a->blocks[a->n_blocks++] = b;
	rc = acc_add(a, &b->id, ev->id);
	if (rc == 0)
		rc = acc_add(a, &b->name, ev->name);
	*ret = b;
	return rc;
}

struct acc_block *
acc_find(const struct acc *a, unsigned choice, unsigned block)
{
	unsigned i;

	for (i = a->n_blocks; i-- > 0;) {
		if (a->blocks[i]->block == block &&
		    a->blocks[i]->choice == choice)
			return a->blocks[i];
	}
	return NULL;
}

struct str
acc_elements(struct str json)
{
	struct json v = json_root(json);

	if (v.type != JSON_ARRAY || v.end - v.p < 2)
		return STR_NULL;
	return str_trim(str_make(v.p + 1, (size_t)(v.end - v.p) - 2));
}

int
acc_add_logprobs(struct acc *a, struct acc_block *b, struct str json)
{
	struct str s = acc_elements(json);
	int rc = 0;

	if (s.len == 0)
		return 0;
	if (b->logprobs.len > 0)
		rc = acc_add(a, &b->logprobs, STR(","));
	return rc != 0 ? rc : acc_add(a, &b->logprobs, s);
}

void
acc_drop(struct acc *a, struct acc_block *b)
{
	unsigned i = a->n_blocks;

	while (i > 0 && a->blocks[i - 1] != b)
		i--;
	MUST(i > 0);
	a->used -= b->id.len + b->name.len + b->text.len + b->signature.len +
		   b->logprobs.len;
	memmove(&a->blocks[i - 1], &a->blocks[i],
	    (a->n_blocks - i) * sizeof(struct acc_block *));
	a->n_blocks--;
	acc_block_free(b);
}

int
acc_choice(struct acc *a, unsigned choice, struct acc_choice **ret)
{
	void *v = a->choices;
	unsigned i = a->n_choices;
	int rc;

	while (i > 0 && a->choices[i - 1].choice > choice)
		i--;
	if (i > 0 && a->choices[i - 1].choice == choice) {
		*ret = &a->choices[i - 1];
		return 0;
	}
	rc = acc_grow(&v, a->n_choices, &a->cap_choices, ACC_MAX_CHOICES,
	    sizeof(struct acc_choice));
	a->choices = v;
	if (rc != 0)
		return rc;
	memmove(&a->choices[i + 1], &a->choices[i],
	    (a->n_choices - i) * sizeof(struct acc_choice));
	memset(&a->choices[i], 0, sizeof(struct acc_choice));
	a->choices[i].choice = choice;
	a->n_choices++;
	*ret = &a->choices[i];
	return 0;
}

struct str
acc_openai_tier(const struct ir_usage *u)
{
	static const char *const words[] = {"priority", "flex", "scale"};
	struct str tier, place;
	unsigned i;

	if (u == NULL)
		return STR_NULL;
	(void)str_cut(str_of(u->tier), '+', &tier, &place);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eqz(tier, words[i]))
			return str_of(words[i]);
	}
	return STR_NULL;
}
