/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening encodings, and counting by them: cut, then merge. Most pieces are
 * tokens themselves, so that one look into the table counts them.
 */
#include "agent/tokenizer/tokenizer_priv.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	const char *alias;
	enum split_rule rule;
} encodings[TOKENIZER_N] = {
    [TOKENIZER_O200K] = {"o200k_base", "o200k", SPLIT_O200K},
    [TOKENIZER_CL100K] = {"cl100k_base", "cl100k", SPLIT_CL100K},
};

static int
tokenizer_find(struct str name)
{
	int i;

	for (i = 0; i < TOKENIZER_N; i++) {
		if (str_eqz(name, encodings[i].name) ||
		    str_eqz(name, encodings[i].alias))
			return i;
	}
	return -1;
}

static int
tokenizer_make(const char *path, struct str table, const char *name,
    struct tokenizer **ret, struct error *e)
{
	int at = tokenizer_find(str_of(name));
	struct tokenizer *t;
	int rc;

	if (at < 0)
		return err_set(
		    e, ERR_UNSUPPORTED, "no tokenizer is named %s", name);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	rc = path != NULL
		 ? bpe_table_open(path, name, &t->table, e)
		 : bpe_table_load(table.p, table.len, name, &t->table, e);
	if (rc != 0) {
		free(t);
		return rc;
	}
	t->classes = uclass_table();
	t->rule = encodings[at].rule;
	*ret = t;
	return 0;
}

int
tokenizer_open(
    const char *dir, const char *name, struct tokenizer **ret, struct error *e)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s.bpe", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ERR_INVALID, "the path is too long");
	return tokenizer_make(path, STR_NULL, name, ret, e);
}

int
tokenizer_load(const void *table, size_t len, const char *name,
    struct tokenizer **ret, struct error *e)
{
	return tokenizer_make(NULL, str_make(table, len), name, ret, e);
}

void
tokenizer_close(struct tokenizer *t)
{
	if (t == NULL)
		return;
	bpe_table_close(&t->table);
	free(t);
}

struct tokenizer_scratch *
tokenizer_scratch_new(void)
{
	struct tokenizer_scratch *s = malloc(sizeof(*s));

	if (s != NULL)
		s->bpe = (struct bpe_scratch){NULL, 0};
	return s;
}

void
tokenizer_scratch_free(struct tokenizer_scratch *s)
{
	if (s == NULL)
		return;
	bpe_scratch_release(&s->bpe);
	free(s);
}

int
tokenizer_count_some(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, size_t max, size_t *pos, int64_t *n)
{
	size_t at = *pos, start = *pos, len, left, k;
	int64_t sum = 0;
	bool open;
	int rc = 0;

	while (at < text.len && (at == start || at - start < max)) {
		left = text.len - at;
		if (left > TOKENIZER_PIECE_MAX)
			left = TOKENIZER_PIECE_MAX;
		len = split_piece(
		    t->classes, t->rule, str_make(text.p + at, left), &open);
		rc = bpe_piece(&t->table, &s->bpe, (const uint8_t *)text.p + at,
		    len, NULL, &k);
		if (rc != 0)
			break;
		sum += (int64_t)k;
		at += len;
	}
	*pos = at;
	*n += sum;
	return rc;
}

int
tokenizer_count(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, int64_t *n)
{
	size_t pos = 0;
	int64_t sum = 0;
	int rc = tokenizer_count_some(t, s, text, SIZE_MAX, &pos, &sum);

	if (rc == 0)
		*n = sum;
	return rc;
}

int
tokenizer_encode(const struct tokenizer *t, struct tokenizer_scratch *s,
    struct str text, uint32_t *ids, size_t cap, size_t *n)
{
	size_t at = 0, len, left, k, sum = 0;
	bool open;
	int rc;

	if (cap < text.len)
		return ERR_TOO_LARGE;
	while (at < text.len) {
		left = text.len - at;
		if (left > TOKENIZER_PIECE_MAX)
			left = TOKENIZER_PIECE_MAX;
		len = split_piece(
		    t->classes, t->rule, str_make(text.p + at, left), &open);
		rc = bpe_piece(&t->table, &s->bpe, (const uint8_t *)text.p + at,
		    len, ids + sum, &k);
		if (rc != 0)
			return rc;
		sum += k;
		at += len;
	}
	*n = sum;
	return 0;
}

int
tokenizer_set_open(struct tokenizer_set *set, const char *dir, struct error *e)
{
	struct error one;
	int i, rc, first = 0;

	memset(set, 0, sizeof(*set));
	for (i = 0; i < TOKENIZER_N; i++) {
		memset(&one, 0, sizeof(one));
		rc = tokenizer_open(dir, encodings[i].name, &set->of[i], &one);
		/* Damage is worth more words than absence. */
		if (rc != 0 && (first == 0 || first == ERR_NOT_FOUND)) {
			first = rc;
			(void)err_set(e, rc, "%s", one.text);
		}
	}
	return first;
}

void
tokenizer_set_close(struct tokenizer_set *set)
{
	int i;

	for (i = 0; i < TOKENIZER_N; i++)
		tokenizer_close(set->of[i]);
	memset(set, 0, sizeof(*set));
}

/* "3.6": digits, and up to three behind a point; 0.1 to 1000. */
static int
tokenizer_ratio(struct str s, int64_t *milli)
{
	struct str whole, part;
	uint64_t w, f = 0;
	size_t i;

	if (str_cut(s, '.', &whole, &part)) {
		if (part.len > 3 || str_to_u64(part, &f) != 0)
			return ERR_INVALID;
		for (i = part.len; i < 3; i++)
			f *= 10;
	}
	if (whole.len > 4 || str_to_u64(whole, &w) != 0)
		return ERR_INVALID;
	f += w * 1000;
	if (f < 100 || f > 1000000)
		return ERR_INVALID;
	*milli = (int64_t)f;
	return 0;
}

int
tokenizer_for_model(const struct tokenizer_set *set, struct str declared,
    struct token_counter *ret)
{
	struct str kind, ratio;
	int at = tokenizer_find(declared);

	*ret = (struct token_counter){NULL, TOKENIZER_DEFAULT_MILLI};
	if (at >= 0) {
		ret->exact = set != NULL ? set->of[at] : NULL;
		return 0;
	}
	if (declared.len == 0)
		return 0;
	if (str_cut(declared, ':', &kind, &ratio) && str_eqz(kind, "bytes") &&
	    tokenizer_ratio(ratio, &ret->milli) == 0)
		return 0;
	return ERR_UNSUPPORTED;
}

bool
tokenizer_name_is_valid(struct str declared)
{
	struct token_counter c;

	return declared.len > 0 && tokenizer_for_model(NULL, declared, &c) == 0;
}
